//! What other libraries let through is refused here, with field and offset (docs/codec-peers.md
//! names them). That nothing of it is sent on to an issuer is shown on sockets in `bad_input`.

use iso8583::error::{ParseError, ParseErrorKind};
use iso8583::{Dialect, FieldIndex, MessageRef, Mti, Writer};

const PURCHASE: [(u8, &[u8]); 12] = [
    (2, b"5061001234567890"),
    (3, b"000010"),
    (4, b"000000001500"),
    (7, b"0601120000"),
    (11, b"000042"),
    (12, b"150000"),
    (13, b"0601"),
    (35, b"5061001234567890=28122011234567890123"),
    (37, b"000000000042"),
    (41, b"TERM0001"),
    (49, b"404"),
    (55, CHIP_DATA),
];

/// In no order of tags, one tag twice, a private one, a long form of a short length.
const CHIP_DATA: &[u8] = &[
    0x9F, 0x36, 2, 0, 42, 0x82, 2, 0x5C, 0, 0x9F, 0x36, 2, 0, 43, 0xDF, 0x81, 0x01, 1, 7, 0x95,
    0x81, 5, 0, 0, 0, 0, 0,
];

fn written(dialect: &'static Dialect, fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = [0; 2048];
    let mut writer = Writer::new(dialect, Mti::FINANCIAL_REQUEST, &mut out);
    for (number, value) in fields {
        writer.put(*number, value).unwrap();
    }
    let len = writer.finish().unwrap();
    out[..len].to_vec()
}

/// The purchase with the bytes of one field, its length prefix included, replaced.
fn with_field(dialect: &'static Dialect, number: u8, bytes: &[u8]) -> (Vec<u8>, usize) {
    let mut message = written(dialect, &PURCHASE);
    let mut index = FieldIndex::new();
    dialect.parse(&message, &mut index).unwrap();
    let extent = MessageRef::new(&message, &index).extent(number).unwrap();
    message.splice(extent.clone(), bytes.iter().copied());
    (message, extent.start)
}

/// Refused in both forms of the bitmap, at `offset` bytes from the start of the field.
#[track_caller]
fn check(number: u8, bytes: &[u8], offset: usize, kind: ParseErrorKind) {
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX] {
        let (message, start) = with_field(dialect, number, bytes);
        let expected = ParseError {
            field: number,
            offset: u32::try_from(start + offset).unwrap(),
            kind,
        };
        let parsed = dialect.parse(&message, &mut FieldIndex::new());
        assert_eq!(parsed, Err(expected), "{dialect:?}");
    }
}

/// The message as a whole is refused.
#[track_caller]
fn check_whole(dialect: &'static Dialect, message: &[u8], field: u8, offset: usize) {
    let error = dialect.parse(message, &mut FieldIndex::new()).unwrap_err();
    let offset = u32::try_from(offset).unwrap();
    assert_eq!((error.field, error.offset), (field, offset), "{error}");
}

#[test]
fn fault_077_digits_are_digits() {
    check(4, b"00000000150x", 0, ParseErrorKind::Content);
    check(4, b"C00000001500", 0, ParseErrorKind::Content);
    check(4, b"        1500", 0, ParseErrorKind::Content);
    check(2, b"165061001234S67890", 2, ParseErrorKind::Content);
    check(11, b"00O042", 0, ParseErrorKind::Content);
    check(11, &[0, 1, 2, 3, 4, 5], 0, ParseErrorKind::Content);
    check(
        11,
        &[0xF0, 0xF0, 0xF0, 0xF0, 0xF4, 0xF2],
        0,
        ParseErrorKind::Content,
    );
    check(11, "٠٠٤".as_bytes(), 0, ParseErrorKind::Content);
}

#[test]
fn fault_078_lengths_are_digits_within_the_maximum() {
    check(2, b"+9123456789", 0, ParseErrorKind::Prefix);
    check(2, b"1x5061001234567890", 0, ParseErrorKind::Prefix);
    check(2, b" 9123456789", 0, ParseErrorKind::Prefix);
    check(
        2,
        b"2050610012345678901234",
        0,
        ParseErrorKind::AboveMaximum,
    );
    check(55, b"-01", 0, ParseErrorKind::Prefix);
}

#[test]
fn the_type_indicator_is_four_digits() {
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX] {
        for mti in [b"X200", b"02 0", b"+200", b"020\0"] {
            let mut message = written(dialect, &PURCHASE);
            message[..4].copy_from_slice(mti);
            check_whole(dialect, &message, 0, 0);
        }
    }
}

#[test]
fn fault_076_a_bitmap_is_hexadecimal() {
    let dialect = Dialect::ISO87_ASCII_HEX;
    for place in 4..20 {
        for byte in [b'G', b'g', b' ', b'x', 0, 0xC1] {
            let mut message = written(dialect, &PURCHASE);
            message[place] = byte;
            check_whole(dialect, &message, 1, 4);
        }
    }
}

#[test]
fn fault_076_nothing_follows_the_last_field() {
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX] {
        let mut message = written(dialect, &PURCHASE);
        let end = message.len();
        for byte in [0, b'0', 0x03, b'\n'] {
            message.push(byte);
            check_whole(dialect, &message, 55, end);
        }
    }
}

#[test]
fn a_message_that_is_cut_is_refused_at_every_byte() {
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX] {
        let message = written(dialect, &PURCHASE);
        for cut in 0..message.len() {
            let parsed = dialect.parse(&message[..cut], &mut FieldIndex::new());
            assert_eq!(parsed.unwrap_err().kind, ParseErrorKind::Truncated, "{cut}");
        }
    }
}

#[test]
fn fault_082_a_month_and_a_day_can_be() {
    check(13, b"1301", 0, ParseErrorKind::Date);
    check(13, b"0001", 0, ParseErrorKind::Date);
    check(13, b"0230", 0, ParseErrorKind::Date);
    check(7, b"1301120000", 0, ParseErrorKind::Date);
    check(12, b"246000", 0, ParseErrorKind::Date);
}

/// The check is a switch of the row.
#[test]
fn a_dialect_may_take_any_four_digits_for_a_date() {
    let base = Dialect::ISO87_ASCII;
    let undated = |row: &iso8583::field::FieldSpec| row.dated(iso8583::calendar::Calendar::None);
    let rows: Vec<_> = base.rows().map(undated).collect();
    let dialect = Dialect::new("undated", base.form(), &rows, &[]).unwrap();
    let dialect: &'static Dialect = Box::leak(Box::new(dialect));
    let (message, _) = with_field(dialect, 13, b"1399");
    assert_eq!(dialect.parse(&message, &mut FieldIndex::new()), Ok(()));
}

#[test]
fn leading_zeros_stay() {
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX] {
        let message = written(dialect, &PURCHASE);
        let mut index = FieldIndex::new();
        dialect.parse(&message, &mut index).unwrap();
        let view = MessageRef::new(&message, &index);
        assert_eq!(view.array(3), Some(*b"000010"));
        assert_eq!(view.array(4), Some(*b"000000001500"));
        assert_eq!(view.array(11), Some(*b"000042"));
    }
}

#[test]
fn chip_data_keeps_its_own_order() {
    let mut index = FieldIndex::new();
    let (ascii, hex) = (Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX);
    let message = written(ascii, &PURCHASE);
    ascii.parse(&message, &mut index).unwrap();
    let view = MessageRef::new(&message, &index);
    assert_eq!(view.check_composites(), Ok(()));
    for dialect in [ascii, hex] {
        let mut out = [0; 2048];
        let mut writer = Writer::new(dialect, view.mti(), &mut out);
        writer.copy_up_to(u8::MAX, view).unwrap();
        let len = writer.finish().unwrap();
        assert_eq!(out[..len], written(dialect, &PURCHASE));
    }
}
