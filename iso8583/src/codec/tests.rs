//! Rows of packed digits: what is written can be read, and written again, at every length.

use std::boxed::Box;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::dialect::{Dialect, Form};
use crate::field::{Coding, Count, Length, Prefix};
use crate::message::FieldIndex;
use crate::packed::Justify;
use crate::testing::{Message, raw, written};

/// A dialect with one row of packed digits behind a binary length of one byte.
fn dialect_of(class: Class, packed: Packed, count: Count, max: u32) -> &'static Dialect {
    let row = FieldSpec::new(32, "digits", class, Length::Var { digits: 1, max })
        .encoded(Encoding::Packed(packed, Charset::Ascii))
        .prefixed(Prefix::new(Coding::Binary, count));
    let dialect = Dialect::new("digits", Form::ASCII, &[row], &[]).unwrap();
    Box::leak(Box::new(dialect))
}

/// Field 32 as it stands in the message behind MTI and bitmap.
#[track_caller]
fn written_field(dialect: &'static Dialect, value: &[u8]) -> Vec<u8> {
    written(dialect, "0200", &[(32, value)])[12..].to_vec()
}

#[track_caller]
fn value_in(dialect: &'static Dialect, field: &[u8]) -> Vec<u8> {
    let message = Message::new(dialect, raw(b"0200", &[32], field));
    let mut scratch = [0; 64];
    message.view().decode(32, &mut scratch).unwrap().to_vec()
}

#[test]
fn eleven_digits_whose_pad_is_a_digit_are_read_as_they_are_written() {
    for (packed, wire, value) in [
        (
            Packed::RIGHT,
            [6, 0x01, 0x23, 0x45, 0x67, 0x89, 0x01],
            b"012345678901",
        ),
        (
            Packed::LEFT,
            [6, 0x12, 0x34, 0x56, 0x78, 0x90, 0x10],
            b"123456789010",
        ),
    ] {
        let dialect = dialect_of(Class::N, packed, Count::Bytes, 11);
        assert_eq!(written_field(dialect, b"12345678901"), wire);
        assert_eq!(value_in(dialect, &wire), value);
        let row = dialect.field(32).unwrap();
        assert!(row.has_length(12) && !row.has_length(13));
        let beyond = raw(b"0200", &[32], &[7, 0, 0, 0, 0, 0, 0, 0]);
        let error = dialect.parse(&beyond, &mut FieldIndex::new()).unwrap_err();
        assert_eq!(error.kind, ParseErrorKind::AboveMaximum);
    }
}

#[test]
fn an_amount_of_no_length_is_no_byte() {
    for (count, packed) in [
        (Count::Units, Packed::RIGHT),
        (Count::Bytes, Packed::LEFT_F),
    ] {
        let dialect = dialect_of(Class::Xn, packed, count, 9);
        assert_eq!(dialect.field(32).unwrap().wire_len(0), 0);
        assert_eq!(written_field(dialect, b""), [0]);
        assert_eq!(value_in(dialect, &[0]), b"");
        assert_eq!(value_in(dialect, &[1, b'C']), b"C");
    }
}

#[test]
fn the_longest_row_of_digits_with_a_digit_for_a_pad_is_of_whole_bytes() {
    let row = |class, max| {
        FieldSpec::new(32, "digits", class, Length::Var { digits: 6, max })
            .encoded(Encoding::Packed(Packed::RIGHT, Charset::Ascii))
            .prefixed(Prefix::new(Coding::Ascii, Count::Bytes))
    };
    for class in [Class::N, Class::Z, Class::Xn] {
        for max in [1, 2, 10, 11, 65_534, 65_535, 65_536, 999_999] {
            let row = row(class, max);
            let longest = usize::from(row.units_max());
            let bytes = row.wire_len(longest);
            let wire = std::vec![0x11; bytes];
            assert_eq!(units_of(&row, &wire), longest, "{class:?} {max}");
        }
    }
}

fn any_packed() -> impl Strategy<Value = (Class, Packed, Count, u32)> {
    let justify = prop_oneof![Just(Justify::Left), Just(Justify::Right)];
    let class = prop_oneof![Just(Class::N), Just(Class::Z), Just(Class::Xn)];
    let count = prop_oneof![Just(Count::Units), Just(Count::Bytes)];
    let packed = (justify, 0..=15_u8).prop_map(|(justify, pad)| Packed { justify, pad });
    // A separator for a pad makes the tracks ambiguous that begin or end with one.
    let packed = packed.prop_filter("no separator", |packed| packed.pad != 0xD);
    (class, packed, count, 1..=22_u32)
}

proptest! {
    #[test]
    fn packed_digits_of_every_length_come_back(
        (class, packed, count, max) in any_packed(),
        digits in proptest::collection::vec(b'0'..=b'9', 0..=22),
    ) {
        let dialect = dialect_of(class, packed, count, max);
        let row = dialect.field(32).unwrap();
        let mut value = digits;
        value.truncate(max as usize);
        if let (Class::Xn, Some(sign)) = (class, value.first_mut()) {
            *sign = b'C';
        }
        prop_assert!(row.has_length(value.len()) && dialect.rule(32).has_length(value.len()));
        let wire = written_field(dialect, &value);
        prop_assert!(wire.len() - 1 <= dialect.rule(32).wire_len_max());
        let back = value_in(dialect, &wire);
        let pad_is_told = count == Count::Units || packed.pad > 9;
        if pad_is_told || wire.len() == 1 {
            prop_assert_eq!(&back, &value);
        }
        prop_assert!(row.has_length(back.len()) && dialect.rule(32).has_length(back.len()));
        prop_assert_eq!(written_field(dialect, &back), wire);
    }
}
