//! Headers taken off, turned round, written; and those that are none.

use std::format;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const BODY: &[u8] = b"0800message body";

fn from_hex(digits: &str) -> Vec<u8> {
    let mut out = std::vec![0; digits.len() / 2];
    hex::decode(digits.as_bytes(), &mut out).unwrap().to_vec()
}

/// A BASE I header by hand: to station 000000, from 999999, with marks in bytes 11 to 21.
fn base1(total: u16) -> Vec<u8> {
    let mut header = from_hex("16010200000000009999990102030405060708090a0b");
    header[3..5].copy_from_slice(&total.to_be_bytes());
    header
}

/// A reject of a message of ours, with code 0510.
fn reject() -> Vec<u8> {
    let total = u16::try_from(26 + 22 + BODY.len()).unwrap();
    let mut outer = base1(total);
    outer[0] = 26;
    outer[1] = 0x81;
    outer.extend([0x80, 0x00, 0x05, 0x10]);
    let inner = base1(u16::try_from(22 + BODY.len()).unwrap());
    [&outer[..], &inner, BODY].concat()
}

#[track_caller]
fn taken(form: Header, frame: &[u8]) -> (HeaderBytes, &[u8]) {
    match form.strip(frame) {
        Ok(Stripped::Message { header, message }) => (header, message),
        other => panic!("{other:?}"),
    }
}

/// The header as received goes back as `replied`, in front of a body of other length.
#[track_caller]
fn check_reply(form: Header, received: &[u8], replied: &[u8]) {
    let frame = [received, BODY].concat();
    let (header, message) = taken(form, &frame);
    assert_eq!(header.as_bytes(), received);
    assert_eq!(message, BODY);
    assert_eq!(header.form(), form);
    let mut out = [0xEE; 64];
    let put = header.reply().put(&mut out, BODY.len() + 4);
    assert_eq!(put, Ok(received.len()));
    assert_eq!(&out[..received.len()], replied);
    assert_eq!(out[received.len()], 0xEE);
}

#[track_caller]
fn check_refused(form: Header, frame: &[u8], expected: HeaderError) {
    assert_eq!(form.strip(frame).unwrap_err(), expected);
}

#[test]
fn a_reply_goes_back_to_where_the_request_came_from() {
    check_reply(Header::None, &[], &[]);
    let tpdu = [0x60, 0x00, 0x01, 0x80, 0x23];
    check_reply(Header::Tpdu, &tpdu, &[0x60, 0x80, 0x23, 0x00, 0x01]);
    check_reply(Header::Base24, b"ISO026000050", b"ISO026000050");
    check_reply(Header::Fixed(3), &[1, 2, 3], &[1, 2, 3]);
    check_reply(Header::Fixed(32), &[9; 32], &[9; 32]);
    let mut replied = from_hex("16010200009999990000000102030405060708090a0b");
    replied[4] = 42;
    check_reply(Header::Base1, &base1(38), &replied);
}

#[test]
fn the_total_of_a_base1_header_is_that_of_its_own_frame() {
    let header = Header::Base1.addressed("000000", "999999").unwrap();
    let mut out = [0; 22];
    assert_eq!(header.put(&mut out, 300), Ok(22));
    let expected = "160102014200000099999900000000000000000000 00";
    assert_eq!(out[..], from_hex(&expected.replace(' ', "")));
    assert_eq!(header.put(&mut out, 65_535 - 22), Ok(22));
    assert_eq!(header.put(&mut out, 65_535 - 21), Err(WriteError::Full));
    assert_eq!(header.put(&mut out[..21], 10), Err(WriteError::Full));
}

#[test]
fn what_is_sent_first_has_the_header_of_the_configuration() {
    let tpdu = Header::Tpdu.addressed("0001", "80aF").unwrap();
    assert_eq!(tpdu.as_bytes(), [0x60, 0x00, 0x01, 0x80, 0xAF]);
    let base24 = Header::Base24.verbatim("49534F303236303030303530").unwrap();
    assert_eq!(base24.as_bytes(), b"ISO026000050");
    assert_eq!(
        Header::Fixed(2).verbatim("00ff").unwrap().as_bytes(),
        [0, 0xFF]
    );
    for (form, destination, source) in [
        (Header::Tpdu, "001", "8000"),
        (Header::Tpdu, "00001", "8000"),
        (Header::Tpdu, "000g", "8000"),
        (Header::Base1, "00000A", "999999"),
        (Header::Base1, "000000", "99999"),
        (Header::None, "0001", "8000"),
        (Header::Base24, "0001", "8000"),
        (Header::Fixed(4), "0001", "8000"),
    ] {
        assert_eq!(form.addressed(destination, source), None, "{form}");
    }
    for (form, digits) in [
        (Header::Base24, "49534F3032363030303035"),
        (Header::Base24, "49534E303236303030303530"),
        (Header::Base24, "49534F303236303030303500"),
        (Header::Fixed(2), "00ff00"),
        (Header::Fixed(2), "00"),
        (Header::Fixed(2), "00fg"),
        (Header::Tpdu, "6000018000"),
        (Header::None, ""),
    ] {
        assert_eq!(form.verbatim(digits), None, "{form} {digits}");
    }
}

#[test]
fn what_is_no_header_of_the_form_is_refused() {
    for form in [
        Header::Tpdu,
        Header::Base1,
        Header::Base24,
        Header::Fixed(9),
    ] {
        let header_len = form.len();
        for len in 0..header_len {
            let expected = HeaderError::TooShort { len, header_len };
            check_refused(form, &std::vec![0x60; len], expected);
        }
    }
    let not_fixed = |offset| HeaderError::NotFixed { offset };
    check_refused(Header::Tpdu, b"0800message body", not_fixed(0));
    check_refused(Header::Base24, b"IS0026000050", not_fixed(2));
    check_refused(Header::Base24, b"ISO02600005\n", not_fixed(11));
}

#[test]
fn a_base1_header_that_contradicts_its_frame_is_refused() {
    let frame = |change: fn(&mut Vec<u8>)| {
        let mut frame = [&base1(38)[..], BODY].concat();
        change(&mut frame);
        frame
    };
    let length = |value| HeaderError::Length { value };
    let total = |total, len| HeaderError::Total { total, len };
    check_refused(Header::Base1, &frame(|frame| frame[0] = 21), length(21));
    check_refused(Header::Base1, &frame(|frame| frame[4] = 37), total(37, 38));
    check_refused(Header::Base1, &frame(|frame| frame.push(0)), total(38, 39));
    let another = frame(|frame| frame[1] |= 0x80);
    check_refused(Header::Base1, &another, HeaderError::Another);
}

#[test]
fn a_reject_gives_back_what_was_sent() {
    let frame = reject();
    let Ok(Stripped::Rejected {
        code,
        header,
        message,
    }) = Header::Base1.strip(&frame)
    else {
        panic!("it is a reject");
    };
    assert_eq!(code, RejectCode(510));
    assert_eq!(format!("{code}"), "0510");
    assert_eq!(header.as_bytes(), base1(38));
    assert_eq!(message, BODY);
}

#[test]
fn a_reject_that_is_none_is_refused() {
    let changed = |offset: usize, value: u8| {
        let mut frame = reject();
        frame[offset] = value;
        frame
    };
    let length = |value| HeaderError::Length { value };
    check_refused(Header::Base1, &changed(22, 0x00), length(26));
    check_refused(Header::Base1, &changed(26, 26), length(26));
    check_refused(Header::Base1, &changed(24, 0x0A), HeaderError::RejectCode);
    let mut cut = reject();
    cut.truncate(47);
    cut[4] = 47;
    let expected = HeaderError::TooShort {
        len: 47,
        header_len: 48,
    };
    check_refused(Header::Base1, &cut, expected);
}

#[test]
fn forms_are_found_by_name() {
    for name in ["none", "tpdu", "base1", "base24", "fixed1", "fixed32"] {
        let form = Header::by_name(name).unwrap();
        assert_eq!(format!("{form}"), name);
    }
    for name in [
        "fixed", "fixed0", "fixed33", "fixed007", "fixed+7", "TPDU", "",
    ] {
        assert_eq!(Header::by_name(name), None, "{name}");
    }
    assert!(Header::None.is_empty() && !Header::Tpdu.is_empty());
}

#[test]
fn nothing_of_a_header_is_printed() {
    let header = Header::Fixed(4).verbatim("41414141").unwrap();
    assert_eq!(format!("{header:?}"), "HeaderBytes(fixed4)");
}

fn any_form() -> impl Strategy<Value = Header> {
    prop_oneof![
        Just(Header::None),
        Just(Header::Tpdu),
        Just(Header::Base1),
        Just(Header::Base24),
        (1..=32_u8).prop_map(Header::Fixed),
    ]
}

proptest! {
    #[test]
    fn a_reply_to_a_reply_has_the_first_header(
        form in any_form(),
        destination in 0..10_000_u32,
        source in 0..10_000_u32,
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let digits = if form == Header::Base1 { 6 } else { 4 };
        let address = |number| format!("{number:0digits$}");
        let first = form.addressed(&address(destination), &address(source));
        let fixed = || form.verbatim(&"49534F".repeat(form.len() / 3));
        let first = first.or_else(fixed).unwrap_or(HeaderBytes::NONE);
        let mut frame = std::vec![0; 32];
        let len = first.put(&mut frame, body.len()).unwrap();
        frame.truncate(len);
        frame.extend(&body);
        let (header, message) = taken(first.form(), &frame);
        prop_assert_eq!(message, &body[..]);
        prop_assert_eq!(header.reply().reply(), header);
        let mut again = [0; 32];
        header.reply().reply().put(&mut again, body.len()).unwrap();
        prop_assert_eq!(&again[..len], &frame[..len]);
    }

    #[test]
    fn no_bytes_make_a_panic(
        form in any_form(),
        mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
        first in prop::sample::select(std::vec![22_u8, 26, 0x60, b'I']),
    ) {
        if bytes.len() > 4 {
            bytes[0] = first;
            bytes[3] = 0;
            bytes[4] = u8::try_from(bytes.len()).unwrap();
        }
        if let Ok(Stripped::Message { header, message }) = form.strip(&bytes) {
            prop_assert_eq!([header.as_bytes(), message].concat(), bytes);
        }
    }
}
