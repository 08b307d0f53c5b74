//! Layouts in use and others, and what holds of any bytes under any layout.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::TaggedRule as Rule;
use super::*;

/// Two characters of id, two digits of length, in ASCII.
const ASCII: Layout = Layout {
    lead: 0,
    id_len: 2,
    id_form: Form::Ascii,
    len_len: 2,
    len_form: Form::Ascii,
    len_counts: LenCounts::Value,
};
/// DE48 of a Mastercard link in EBCDIC: a category, then id 2 and length 2.
const MASTERCARD: Layout = Layout {
    lead: 1,
    id_form: Form::Ebcdic,
    len_form: Form::Ebcdic,
    ..ASCII
};
/// Three packed digits of id and of length, which counts the two bytes of the id too.
const PACKED: Layout = Layout {
    id_len: 3,
    id_form: Form::Bcd,
    len_len: 3,
    len_form: Form::Bcd,
    len_counts: LenCounts::IdAndValue,
    ..ASCII
};
/// One byte of id, two of length.
const BINARY: Layout = Layout {
    id_len: 1,
    id_form: Form::Binary,
    len_form: Form::Binary,
    ..ASCII
};

#[track_caller]
fn check_field(layout: Layout, field: &[u8], expected: &[(&str, u32, &[u8])]) {
    let read: Vec<_> = layout.sub_elements(field).map(Result::unwrap).collect();
    let ids: Vec<String> = read.iter().map(|one| one.id.to_string()).collect();
    let plain: Vec<_> = ids
        .iter()
        .zip(&read)
        .map(|(id, one)| (id.as_str(), one.offset, one.value))
        .collect();
    assert_eq!(plain, expected);
    assert_eq!(layout.check(field), Ok(()));
    let lead = usize::from(layout.lead);
    let (mut again, mut end) = (field.to_vec(), lead);
    again[lead..].fill(0xEE);
    for (id, _, value) in expected {
        end += layout.put(&mut again[end..], id.as_bytes(), value).unwrap();
    }
    assert_eq!(again, field);
}

#[track_caller]
fn check_fault(layout: Layout, field: &[u8], offset: u32, rule: Rule) {
    let error = TaggedError { offset, rule };
    assert_eq!(layout.check(field), Err(error));
    let mut read = layout.sub_elements(field).skip_while(Result::is_ok);
    assert_eq!(read.next(), Some(Err(error)));
    assert!(read.next().is_none(), "nothing is read behind a fault");
}

#[test]
fn sub_elements_of_all_forms_are_read_and_written() {
    check_field(
        ASCII,
        b"A10748TagA1A300zz02\xFF\0",
        &[
            ("A1", 0, b"48TagA1"),
            ("A3", 11, b""),
            ("zz", 15, b"\xFF\0"),
        ],
    );
    check_field(
        MASTERCARD,
        &[
            0xE3, 0xF2, 0xF6, 0xF0, 0xF3, 0xF2, 0xF1, 0xF6, 0xC1, 0xA9, 0xF1, 0xF0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0,
        ],
        &[("26", 1, &[0xF2, 0xF1, 0xF6]), ("Az", 8, &[0; 10])],
    );
    check_field(
        PACKED,
        &[0x01, 0x23, 0x00, 0x04, 7, 8, 0x09, 0x99, 0x00, 0x02],
        &[("123", 0, &[7, 8]), ("999", 6, &[])],
    );
    check_field(
        BINARY,
        &[0xA0, 0, 1, 9, 0, 0, 0],
        &[("A0", 0, &[9]), ("00", 4, &[])],
    );
    for layout in [ASCII, PACKED, BINARY] {
        check_field(layout, &[], &[]);
    }
    check_field(MASTERCARD, &[0xD9], &[]);
}

#[test]
fn the_first_of_an_id_is_found() {
    let field = b"A101xA201yA101z";
    assert_eq!(ASCII.find(field, b"A1"), Some(&b"x"[..]));
    assert_eq!(ASCII.find(field, b"A2"), Some(&b"y"[..]));
    assert_eq!(ASCII.find(field, b"A"), None);
    assert_eq!(ASCII.find(b"A1ztA201y", b"A2"), None, "behind a fault");
    let field = [0xE3, 0xF2, 0xF6, 0xF0, 0xF1, 0x40];
    assert_eq!(MASTERCARD.find(&field, b"26"), Some(&[0x40][..]));
}

#[test]
fn faults_are_named_by_their_place_in_the_field() {
    check_fault(ASCII, b"A100B", 4, Rule::Truncated);
    check_fault(ASCII, b"A100B1", 6, Rule::Truncated);
    check_fault(ASCII, b"A100B10", 6, Rule::Truncated);
    check_fault(ASCII, b"A100B103ab", 8, Rule::Truncated);
    check_fault(MASTERCARD, &[], 0, Rule::Truncated);
    for bad in [b"A ", b"\0\0", b"A\x80"] {
        check_fault(ASCII, &[b"A100", &bad[..], b"00"].concat(), 4, Rule::Id);
    }
    for bad in [b"+9", b"1x", b" 1", b"-1"] {
        check_fault(
            ASCII,
            &[&b"A100B1"[..], bad, b"123456789"].concat(),
            6,
            Rule::Length,
        );
    }
    check_fault(MASTERCARD, &[0xE3, 0x32, 0x36, 0xF0, 0xF0], 1, Rule::Id);
    check_fault(MASTERCARD, &[0xE3, 0xF2, 0xF6, 0x30, 0x30], 3, Rule::Length);
    // A nibble above nine; one before the three digits; a length below what it counts.
    check_fault(PACKED, &[0x01, 0x2A, 0, 2], 0, Rule::Id);
    check_fault(PACKED, &[0x11, 0x23, 0, 2], 0, Rule::Id);
    check_fault(PACKED, &[0x01, 0x23, 0x10, 2], 2, Rule::Length);
    check_fault(PACKED, &[0x01, 0x23, 0, 0x0A], 2, Rule::Length);
    check_fault(PACKED, &[0x01, 0x23, 0, 1], 2, Rule::Length);
    check_fault(BINARY, &[0xA0, 0xFF, 0xFF, 1], 3, Rule::Truncated);
}

#[test]
fn layouts_that_cannot_be_read_nothing() {
    let bad = [
        Layout { id_len: 0, ..ASCII },
        Layout { id_len: 9, ..ASCII },
        Layout {
            id_len: 5,
            ..BINARY
        },
        Layout {
            len_len: 0,
            ..ASCII
        },
        Layout {
            len_len: 5,
            ..BINARY
        },
        Layout {
            id_len: 0,
            len_len: 0,
            ..BINARY
        },
    ];
    for layout in bad {
        assert!(!layout.is_possible(), "{layout:?}");
        check_fault(layout, b"A100", 0, Rule::Layout);
        assert_eq!(layout.put(&mut [0; 99], b"", b""), None);
    }
    for layout in [
        ASCII,
        MASTERCARD,
        PACKED,
        BINARY,
        Layout { id_len: 8, ..ASCII },
    ] {
        assert!(layout.is_possible(), "{layout:?}");
    }
}

#[test]
fn what_cannot_be_said_is_not_written() {
    let mut out = [0; 200];
    assert_eq!(ASCII.put(&mut out, b"A1", &[7; 99]), Some(103));
    assert_eq!(ASCII.put(&mut out, b"A1", &[7; 100]), None);
    assert_eq!(ASCII.put(&mut out[..102], b"A1", &[7; 99]), None);
    for id in [&b"A"[..], b"A12", b"A ", b""] {
        assert_eq!(ASCII.put(&mut out, id, b""), None);
        assert_eq!(MASTERCARD.put(&mut out, id, b""), None);
    }
    for id in [&b"12"[..], b"12A", b"1A2", b"A12", b"1234"] {
        assert_eq!(PACKED.put(&mut out, id, b""), None);
    }
    assert_eq!(BINARY.put(&mut out, b"A", b""), None);
    assert_eq!(BINARY.put(&mut out, b"AG", b""), None);
    // Two bytes are the id's: 997 are left for the value.
    let mut out = [0; 1100];
    assert_eq!(PACKED.put(&mut out, b"123", &[7; 997]), Some(1001));
    assert_eq!(PACKED.put(&mut out, b"123", &[7; 998]), None);
}

#[test]
fn letters_and_digits_are_the_same_both_ways() {
    let ebcdic = Layout {
        lead: 0,
        ..MASTERCARD
    };
    let all = (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z');
    for byte in all {
        let mut out = [0; 4];
        assert_eq!(ebcdic.put(&mut out, &[byte, b'0'], b""), Some(4));
        assert_eq!(ebcdic.find(&out, &[byte, b'0']), Some(&b""[..]));
    }
    // First and last of each run of characters, as cp037, cp500 and cp1047 have them.
    let runs = [
        (b"AI", [0xC1, 0xC9]),
        (b"JR", [0xD1, 0xD9]),
        (b"SZ", [0xE2, 0xE9]),
        (b"ai", [0x81, 0x89]),
        (b"jr", [0x91, 0x99]),
        (b"sz", [0xA2, 0xA9]),
        (b"09", [0xF0, 0xF9]),
    ];
    for (id, bytes) in runs {
        let field = [&bytes[..], &[0xF0, 0xF0]].concat();
        assert_eq!(ebcdic.find(&field, id), Some(&b""[..]), "{bytes:02X?}");
    }
    let read = (0..=255).filter(|byte| ebcdic.check(&[*byte, 0xF0, 0xF0, 0xF0]).is_ok());
    assert_eq!(read.count(), 62, "and nothing else is an id");
}

#[test]
fn nothing_shows_a_value() {
    let field = b"A1045061";
    let error = ASCII.check(&field[..7]).unwrap_err();
    let (all, first) = (ASCII.sub_elements(field), ASCII.sub_elements(field).next());
    assert_eq!(
        format!("{all:?} {first:?} {error}"),
        "SubElements[8 bytes] Some(Ok(A1[4 bytes])) \
         sub-element at offset 4: it is longer than the field"
    );
}

fn layouts() -> impl Strategy<Value = Layout> {
    let form = proptest::sample::select(&FORMS[..]).boxed();
    let counts = prop_oneof![Just(LenCounts::Value), Just(LenCounts::IdAndValue)];
    (0..3_u8, 0..5_u8, form.clone(), 0..5_u8, form, counts).prop_map(
        |(lead, id_len, id_form, len_len, len_form, len_counts)| Layout {
            lead,
            id_len,
            id_form,
            len_len,
            len_form,
            len_counts,
        },
    )
}

/// An id that suits the layout.
fn id_of(layout: Layout, seed: u64) -> Vec<u8> {
    let chars = layout.id_form.chars(usize::from(layout.id_len));
    (0..chars)
        .map(|place| b'0' + u8::try_from((seed >> (4 * place)) % 10).unwrap())
        .collect()
}

proptest! {
    #[test]
    fn any_bytes_end_under_any_layout(
        layout in layouts(),
        field in vec(prop_oneof![any::<u8>(), 0x30..0x3A_u8, 0xF0..0xFA_u8, 0..4_u8], 0..60),
    ) {
        let read: Vec<_> = layout.sub_elements(&field).collect();
        prop_assert!(read.len() <= field.len() + 1);
        let error = read.iter().find_map(|one| one.err());
        prop_assert_eq!(layout.check(&field), error.map_or(Ok(()), Err));
    }

    #[test]
    fn what_is_put_is_read_and_each_cut_is_a_fault_or_a_shorter_row(
        layout in layouts().prop_filter("one that can be", |layout| layout.is_possible()),
        row in vec((any::<u64>(), vec(any::<u8>(), 0..30)), 0..4),
    ) {
        let mut out = [0xEE; 300];
        let mut ends = std::vec![usize::from(layout.lead)];
        let mut written = Vec::new();
        for (seed, value) in row {
            let (id, end) = (id_of(layout, seed), ends[ends.len() - 1]);
            // One digit of length cannot say every length.
            if let Some(len) = layout.put(&mut out[end..], &id, &value) {
                ends.push(end + len);
                written.push((id, value));
            }
        }
        for cut in 0..=ends[ends.len() - 1] {
            let read: Vec<_> = layout
                .sub_elements(&out[..cut])
                .map_while(Result::ok)
                .map(|one| (one.id.as_bytes().to_vec(), one.value.to_vec()))
                .collect();
            prop_assert_eq!(&read[..], &written[..read.len()]);
            prop_assert_eq!(layout.check(&out[..cut]).is_ok(), ends.contains(&cut));
            let passed = ends[1..].iter().filter(|end| **end <= cut);
            prop_assert_eq!(read.len(), passed.count());
        }
    }
}

const FORMS: [Form; 4] = [Form::Ascii, Form::Ebcdic, Form::Bcd, Form::Binary];
