//! What is written, and what is refused without a trace.

use std::boxed::Box;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::class::Class;
use crate::dialect::Form;
use crate::testing::{Message, PURCHASE, any_fields, purchase_bytes, raw, written};

fn writer(out: &mut [u8]) -> Writer<'_> {
    Writer::new(Dialect::ISO87_ASCII, Mti::FINANCIAL_REQUEST, out)
}

/// Puts one field and expects it to be refused, without a trace in the message.
#[track_caller]
fn check_refused(number: u8, value: &[u8], expected: WriteError) {
    let mut out = [0; 1500];
    let mut writer = writer(&mut out);
    writer.put(3, b"000000").unwrap();
    assert_eq!(writer.put(number, value), Err(expected));
    writer.put(128, &[0; 8]).unwrap();
    let len = writer.finish().unwrap();
    let body = [&b"000000"[..], &[0; 8]].concat();
    assert_eq!(out[..len], raw(b"0200", &[1, 3, 128], &body));
}

#[test]
fn fields_that_cannot_be_put() {
    check_refused(3, b"000000", WriteError::Order(3));
    check_refused(2, b"5061001234567890", WriteError::Order(2));
    check_refused(0, b"", WriteError::Undefined(0));
    check_refused(1, b"", WriteError::Undefined(1));
    check_refused(65, b"0", WriteError::Undefined(65));
    check_refused(129, b"0", WriteError::Undefined(129));
    check_refused(255, b"0", WriteError::Undefined(255));
    check_refused(4, b"1500", WriteError::Length(4));
    check_refused(32, b"123456789012", WriteError::Length(32));
    check_refused(48, &[b'x'; 1000], WriteError::Length(48));
    check_refused(4, b"00000000150x", WriteError::Content(4));
    check_refused(28, b"-00000100", WriteError::Content(28));
    check_refused(43, &[b'\n'; 40], WriteError::Content(43));
    check_refused(90, &[b'x'; 42], WriteError::Content(90));
}

#[test]
fn a_copy_that_fails_leaves_the_message_as_it_was() {
    let hex = Dialect::ISO87_ASCII_HEX;
    let mut bytes = written(hex, "0800", &[(3, b"000000"), (52, &[7; 8])]);
    *bytes.last_mut().unwrap() = b'x';
    let mut index = FieldIndex::new();
    assert_eq!(
        hex.scan(&bytes, 64, &mut index),
        Ok(()),
        "it looks at lengths"
    );
    let mut out = [0; 100];
    let mut writer = writer(&mut out);
    let scanned = MessageRef::new(&bytes, &index);
    assert_eq!(writer.copy(3, scanned), Ok(()));
    assert_eq!(writer.copy(52, scanned), Err(WriteError::Content(52)));
    let len = writer.finish().unwrap();
    assert_eq!(out[..len], raw(b"0200", &[3], b"000000"));
}

#[test]
fn the_secondary_bitmap_is_there_when_it_is_needed() {
    let check = |fields: &[(u8, &[u8])], expected: Vec<u8>| {
        assert_eq!(written(Dialect::ISO87_ASCII, "0800", fields), expected);
    };
    check(&[], raw(b"0800", &[], b""));
    check(&[(64, &[7; 8])], raw(b"0800", &[64], &[7; 8]));
    check(&[(70, b"301")], raw(b"0800", &[1, 70], b"301"));
    let fields = [
        (7, &b"0601120000"[..]),
        (11, b"000042"),
        (70, b"301"),
        (128, &[7; 8]),
    ];
    let body = [&b"0601120000000042301"[..], &[7; 8]].concat();
    check(&fields, raw(b"0800", &[1, 7, 11, 70, 128], &body));
    let hex = written(Dialect::ISO87_ASCII_HEX, "0800", &fields);
    let text = "0800822000000000000004000000000000010601120000000042301";
    assert_eq!(hex, [text, "0707070707070707"].concat().into_bytes());
}

#[test]
fn a_field_above_128_has_both_bitmaps_whatever_is_passed_over() {
    let fixed = |number| FieldSpec::new(number, "field", Class::N, Length::Fixed(3));
    for layout in [Tertiary::AfterSecondary, Tertiary::Field65] {
        let form = Form::ASCII.layout(Layout::Chained(layout));
        let rows = [3, 100, 128, 130, 192].map(fixed);
        let dialect = Dialect::new("three bitmaps", form, &rows, &[]).unwrap();
        let dialect: &'static Dialect = Box::leak(Box::new(dialect));
        for numbers in [
            &[3, 130][..],
            &[130],
            &[3, 100, 130],
            &[3, 130, 192],
            &[100, 192],
        ] {
            for passed in [1, 3, 64, 65, 100, 128] {
                let mut out = [0; 100];
                let mut writer = Writer::new(dialect, Mti::FINANCIAL_REQUEST, &mut out);
                for number in numbers {
                    if *number > passed {
                        writer.pass_over(passed);
                    }
                    writer.put(*number, b"123").unwrap();
                }
                let len = writer.finish().unwrap();
                let message = Message::new(dialect, out[..len].to_vec());
                let present: Vec<u8> = message.view().present().iter().collect();
                assert_eq!(present, numbers, "{layout:?}, {passed} passed over");
            }
        }
    }
}

#[test]
fn a_field_that_fails_above_64_opens_no_secondary_bitmap() {
    let mut out = [0; 100];
    let mut writer = writer(&mut out);
    writer.put(3, b"000000").unwrap();
    assert_eq!(writer.put(70, b"x01"), Err(WriteError::Content(70)));
    let len = writer.finish().unwrap();
    assert_eq!(out[..len], raw(b"0200", &[3], b"000000"));
}

#[test]
fn a_field_above_64_that_does_not_fit_opens_no_secondary_bitmap() {
    let whole = raw(b"0200", &[3], b"000000");
    for spare in 0..11 {
        let mut out = std::vec![0; whole.len() + spare];
        let mut writer = writer(&mut out);
        writer.put(3, b"000000").unwrap();
        assert_eq!(writer.put(70, b"301"), Err(WriteError::Full));
        let len = writer.finish().unwrap();
        assert_eq!(out[..len], whole, "{spare} bytes to spare");
    }
}

#[test]
fn every_buffer_that_is_too_small_is_full() {
    let mut fields = PURCHASE.to_vec();
    fields.push((90, &[b'0'; 42]));
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX] {
        let whole = written(dialect, "0200", &fields);
        for len in 0..=whole.len() {
            let mut out = std::vec![0; len];
            let mut writer = Writer::new(dialect, Mti::FINANCIAL_REQUEST, &mut out);
            let put = fields
                .iter()
                .try_for_each(|(number, value)| writer.put(*number, value));
            let finished = put.and_then(|()| writer.finish());
            if len == whole.len() {
                assert_eq!(finished, Ok(len));
                assert_eq!(out, whole);
            } else {
                assert_eq!(finished, Err(WriteError::Full), "{len} bytes");
            }
        }
    }
}

#[test]
fn short_text_is_padded_to_its_fixed_length() {
    let mut out = [0; 100];
    let mut writer = writer(&mut out);
    writer.put_padded(32, b"12").unwrap();
    writer.put_padded(38, b"A1").unwrap();
    writer.put_padded(41, b"TERM0001").unwrap();
    assert_eq!(
        writer.put_padded(42, &[b'x'; 16]),
        Err(WriteError::Length(42))
    );
    writer.put_padded(49, b"4").unwrap();
    let len = writer.finish().unwrap();
    let expected = raw(b"0200", &[32, 38, 41, 49], b"0212A1    TERM00014  ");
    assert_eq!(out[..len], expected);
}

#[test]
fn a_field_is_copied_byte_for_byte_or_not_at_all() {
    let message = Message::new(Dialect::ISO87_ASCII, purchase_bytes());
    let mut out = [0; 500];
    let mut writer = writer(&mut out);
    for number in 2..=64 {
        writer.copy(number, message.view()).unwrap();
    }
    let len = writer.finish().unwrap();
    assert_eq!(out[..len], message.bytes);
}

proptest! {
    #[test]
    fn copies_between_dialects_keep_every_value(fields in any_fields(Dialect::ISO87_ASCII)) {
        let borrowed: Vec<_> = fields.iter().map(|(n, value)| (*n, &value[..])).collect();
        let (plain, hex) = (Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX);
        for (from, to) in [(plain, hex), (hex, plain), (hex, hex)] {
            let message = Message::new(from, written(from, "0200", &borrowed));
            let mut out = [0; 8192];
            let mut writer = Writer::new(to, Mti::FINANCIAL_REQUEST, &mut out);
            for number in message.view().present() {
                writer.copy(number, message.view()).unwrap();
            }
            let len = writer.finish().unwrap();
            prop_assert_eq!(&out[..len], &written(to, "0200", &borrowed)[..]);
        }
    }

    #[test]
    fn copies_of_every_length(from in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut to = std::vec![0; from.len()];
        copy(&from, &mut to);
        prop_assert_eq!(to, from);
    }
}
