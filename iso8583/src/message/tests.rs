//! Whole messages read; every way to spoil one.

use std::boxed::Box;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::class::Class;
use crate::dialect::{Form, Layout, Tertiary};
use crate::field::{FieldSpec, Length};
use crate::testing::{
    Message, PURCHASE, any_dialect_and_fields, any_fields, any_nested_and_fields, purchase_bytes,
    raw, written,
};
use crate::{describe::describe, translate};

/// The index is kept beside a buffer and moved between threads.
const _: () = {
    const fn movable<T: Copy + Send + Sync + 'static>() {}
    movable::<FieldIndex>();
    assert!(size_of::<FieldIndex>() <= 816);
};

#[track_caller]
fn fault_of(dialect: &'static Dialect, bytes: &[u8]) -> (FieldIndex, ParseError) {
    let mut index = FieldIndex::new();
    let error = dialect.parse(bytes, &mut index).unwrap_err();
    (index, error)
}

/// Parses in `iso87-ascii`, and expects a fault.
#[track_caller]
fn check_fault(bytes: &[u8], field: u8, offset: u32, kind: ParseErrorKind) {
    let (_, error) = fault_of(Dialect::ISO87_ASCII, bytes);
    assert_eq!(
        error,
        ParseError {
            field,
            offset,
            kind
        }
    );
}

#[test]
fn a_purchase_is_read_field_by_field() {
    let message = Message::new(Dialect::ISO87_ASCII, purchase_bytes());
    let view = message.view();
    assert_eq!(view.mti(), Mti::FINANCIAL_REQUEST);
    assert_eq!(view.fields().collect::<Vec<_>>(), PURCHASE);
    assert_eq!(view.present().count(), 20);
    assert_eq!(view.field(5), None);
    assert_eq!(view.field(0), None);
    assert_eq!(view.field(1), None);
    assert_eq!(view.field(255), None);
    assert_eq!(view.bytes(), message.bytes);
}

#[test]
fn the_writer_writes_what_was_put_together_by_hand() {
    assert_eq!(
        written(Dialect::ISO87_ASCII, "0200", &PURCHASE),
        purchase_bytes()
    );
}

#[test]
fn every_prefix_of_a_message_names_the_field_in_which_it_ends() {
    for dialect in [
        Dialect::ISO87_ASCII,
        Dialect::ISO87_ASCII_HEX,
        Dialect::ISO87_BCD,
        Dialect::ISO87_EBCDIC,
    ] {
        let whole = Message::new(dialect, written(dialect, "0200", &PURCHASE));
        let mti_len = dialect.form().mti.wire_len();
        let mti_end = u32::try_from(mti_len).unwrap();
        for cut in 0..whole.bytes.len() {
            let (index, error) = fault_of(dialect, &whole.bytes[..cut]);
            let head = if cut < mti_len { (0, 0) } else { (1, mti_end) };
            let expected = place_of_cut(&whole, cut).unwrap_or(head);
            assert_eq!((error.field, error.offset), expected, "cut at {cut}");
            assert_eq!(error.kind, ParseErrorKind::Truncated);
            let cut_view = MessageRef::new(&whole.bytes[..cut], &index);
            let before = whole
                .view()
                .fields()
                .take_while(|(number, _)| *number < error.field);
            assert!(
                cut_view.fields().eq(before),
                "what came before stays readable"
            );
            assert!(cut < mti_len || cut_view.mti() == whole.view().mti());
        }
    }
}

/// Field and offset of the fault when the message is cut: the prefix when that is cut, else the
/// value.
fn place_of_cut(whole: &Message, cut: usize) -> Option<(u8, u32)> {
    let start_of = |part: &[u8]| part.as_ptr() as usize - whole.bytes.as_ptr() as usize;
    for number in whole.view().present() {
        let wire = start_of(whole.view().wire(number).unwrap());
        let value = start_of(whole.view().field(number).unwrap());
        let end = value + whole.view().field(number).unwrap().len();
        if (wire..end).contains(&cut) {
            let offset = if cut < value { wire } else { value };
            return Some((number, u32::try_from(offset).unwrap()));
        }
    }
    None
}

#[test]
fn bytes_behind_the_last_field_are_a_fault() {
    let mut bytes = purchase_bytes();
    let end = u32::try_from(bytes.len()).unwrap();
    bytes.push(b'0');
    check_fault(&bytes, 63, end, ParseErrorKind::Trailing);
    check_fault(
        &raw(b"0800", &[], b"extra"),
        1,
        12,
        ParseErrorKind::Trailing,
    );
}

#[test]
fn a_fault_in_the_content_leaves_the_rest_readable() {
    let body = b"000000C00000001500060112000000004 TERM0001";
    let (index, error) = fault_of(
        Dialect::ISO87_ASCII,
        &raw(b"0200", &[3, 4, 7, 11, 41], body),
    );
    let expected = ParseError {
        field: 4,
        offset: 18,
        kind: ParseErrorKind::Content,
    };
    assert_eq!(error, expected, "the first fault is told");
    assert_eq!(index.present().iter().collect::<Vec<_>>(), [3, 7, 41]);
}

#[test]
fn a_fault_in_the_content_is_told_before_a_later_one_in_the_structure() {
    let bytes = raw(b"0200", &[3, 11, 35, 41], b"00000x0000421x");
    let (index, error) = fault_of(Dialect::ISO87_ASCII, &bytes);
    assert_eq!((error.field, error.kind), (3, ParseErrorKind::Content));
    assert_eq!(index.present().iter().collect::<Vec<_>>(), [11]);
    let bytes = raw(b"0200", &[3, 11], b"00000x000042 and more");
    let (_, error) = fault_of(Dialect::ISO87_ASCII, &bytes);
    assert_eq!((error.field, error.kind), (3, ParseErrorKind::Content));
}

#[test]
fn a_length_prefix_is_digits_and_nothing_else() {
    for prefix in [
        b"+9",
        b"1x",
        b" 9",
        b"9 ",
        b"-1",
        b"0x",
        b"\x00\x09",
        b"\xF0\xF9",
        b"\xB0\xB9",
    ] {
        let body = [&prefix[..], b"123456789"].concat();
        check_fault(&raw(b"0200", &[2], &body), 2, 12, ParseErrorKind::Prefix);
    }
    for prefix in [b"+05", b"0 5", b"00x", b"\xF0\xF0\xF5"] {
        let body = [&prefix[..], b"12345"].concat();
        check_fault(&raw(b"0200", &[48], &body), 48, 12, ParseErrorKind::Prefix);
    }
    check_fault(&raw(b"0200", &[2], b"1"), 2, 12, ParseErrorKind::Truncated);
    check_fault(
        &raw(b"0200", &[48], b"01"),
        48,
        12,
        ParseErrorKind::Truncated,
    );
    // Fewer than four bytes are left, and the length is good.
    let message = Message::new(Dialect::ISO87_ASCII, raw(b"0200", &[48], b"000"));
    assert_eq!(message.view().field(48), Some(&b""[..]));
    let message = Message::new(Dialect::ISO87_ASCII, raw(b"0200", &[32], b"017"));
    assert_eq!(message.view().field(32), Some(&b"7"[..]));
}

#[test]
fn a_length_above_the_maximum_is_refused_before_it_is_believed() {
    let digits = [b'1'; 99];
    let body = [&b"99"[..], &digits].concat();
    check_fault(
        &raw(b"0200", &[2], &body),
        2,
        12,
        ParseErrorKind::AboveMaximum,
    );
    check_fault(
        &raw(b"0200", &[2], b"20"),
        2,
        12,
        ParseErrorKind::AboveMaximum,
    );
    check_fault(
        &raw(b"0200", &[2], b"2012"),
        2,
        12,
        ParseErrorKind::AboveMaximum,
    );
    check_fault(
        &raw(b"0200", &[48], b"999x"),
        48,
        15,
        ParseErrorKind::Truncated,
    );
    check_fault(
        &raw(b"0200", &[54], b"121x"),
        54,
        12,
        ParseErrorKind::AboveMaximum,
    );
}

#[test]
fn numbers_are_ascii_digits() {
    for value in [
        &b"00004 "[..],
        b" 00042",
        b"+00042",
        b"-00042",
        b"0000.2",
        b"00004C",
        b"\xF0\xF0\xF0\xF0\xF4\xF2",
        b"\xB2\xB2\xB2\xB2\xB2\xB2",
        "٤٢٤".as_bytes(),
        b"00004\x00",
    ] {
        let bytes = raw(b"0200", &[11], value);
        check_fault(&bytes, 11, 12, ParseErrorKind::Content);
    }
}

#[test]
fn fault_076_bitmaps_that_lie() {
    check_fault(
        &raw(b"0200", &[3, 4], b"000000"),
        4,
        18,
        ParseErrorKind::Truncated,
    );
    check_fault(
        &raw(b"0200", &[3], b"000000000000001500"),
        3,
        18,
        ParseErrorKind::Trailing,
    );
    let primary_alone = &raw(b"0200", &[1, 3], b"")[..12];
    check_fault(primary_alone, 1, 12, ParseErrorKind::Truncated);
    check_fault(
        &raw(b"0200", &[1, 65], b"0"),
        1,
        20,
        ParseErrorKind::Tertiary,
    );
    let all: Vec<u8> = (1..=128).collect();
    check_fault(
        &raw(b"0200", &all, &[b'0'; 9000]),
        1,
        20,
        ParseErrorKind::Tertiary,
    );
    let all_but_65: Vec<u8> = (1..=128).filter(|number| *number != 65).collect();
    let (_, error) = fault_of(
        Dialect::ISO87_ASCII,
        &raw(b"0200", &all_but_65, &[b'0'; 9000]),
    );
    assert_eq!(error.field, 7, "the first field that may not be zeros");
}

#[test]
fn an_empty_secondary_bitmap_is_legal() {
    let message = Message::new(Dialect::ISO87_ASCII, raw(b"0800", &[1, 11], b"000042"));
    assert_eq!(
        message.view().fields().collect::<Vec<_>>(),
        [(11, &b"000042"[..])]
    );
}

#[test]
fn a_hexadecimal_bitmap_in_either_case() {
    for bitmap in ["0a2000000000000f", "0A2000000000000F", "0a2000000000000F"] {
        let fields = ["000000001500", "0601120000", "000042"].concat();
        let private = ["001a", "002bc", "000", "FFFFFFFFffff00fF"].concat();
        let body = ["0800", bitmap, &fields, &private].concat().into_bytes();
        let message = Message::new(Dialect::ISO87_ASCII_HEX, body);
        let view = message.view();
        assert_eq!(
            view.present().iter().collect::<Vec<_>>(),
            [5, 7, 11, 61, 62, 63, 64]
        );
        assert_eq!(
            view.field(62),
            Some(&b"bc"[..]),
            "private bytes stand as they are"
        );
        let mut scratch = [0; 8];
        assert_eq!(view.field(64), Some(&b"FFFFFFFFffff00fF"[..]));
        let mac = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0xFF];
        assert_eq!(view.decode(64, &mut scratch), Some(&mac[..]));
        assert_eq!(view.decode(64, &mut scratch[..7]), None);
    }
}

#[test]
fn what_is_no_bitmap_and_no_type() {
    let (_, error) = fault_of(Dialect::ISO87_ASCII_HEX, b"0210incorrecthexdata");
    let expected = ParseError {
        field: 1,
        offset: 4,
        kind: ParseErrorKind::Bitmap,
    };
    assert_eq!(error, expected);
    for mti in [
        b"02 0",
        b"+200",
        b"\xFF\xFF\xFF\xFF",
        b"\x02\x00\x00\x00",
        b"\xF0\xF2\xF0\xF0",
    ] {
        check_fault(&raw(mti, &[], b""), 0, 0, ParseErrorKind::Mti);
    }
    check_fault(&[b'0'; 65_536], 0, 0, ParseErrorKind::TooLong);
    let (index, _) = fault_of(Dialect::ISO87_ASCII, b"garbage");
    assert_eq!(index.mti(), Mti::UNREAD);
    assert!(
        index.present().is_empty(),
        "nothing is left of the message before"
    );
}

#[test]
fn an_index_forgets_the_message_before() {
    let mut index = FieldIndex::new();
    Dialect::ISO87_ASCII
        .parse(&purchase_bytes(), &mut index)
        .unwrap();
    Dialect::ISO87_ASCII.parse(b"02", &mut index).unwrap_err();
    assert!(index.present().is_empty());
    assert_eq!(index.mti(), Mti::UNREAD);
}

#[test]
fn dates_and_times_that_cannot_be() {
    let check = |field: u8, digits: &[u8]| {
        check_fault(
            &raw(b"0800", &[field], digits),
            field,
            12,
            ParseErrorKind::Date,
        );
    };
    check(7, b"1301000000");
    check(7, b"0230000000");
    check(7, b"0229240000");
    check(12, b"246000");
    check(13, b"1301");
    check(13, b"0631");
    // Something else than digits is told as such.
    check_fault(
        &raw(b"0800", &[13], b"13x1"),
        13,
        12,
        ParseErrorKind::Content,
    );
}

#[test]
fn a_field_without_a_row_ends_the_reading() {
    static NARROW: Dialect = match Dialect::new(
        "narrow",
        Form::ASCII,
        &[
            FieldSpec::new(3, "processing code", Class::N, Length::Fixed(6)),
            FieldSpec::new(11, "trace", Class::N, Length::Fixed(6)),
        ],
        &[],
    ) {
        Ok(dialect) => dialect,
        Err(_) => unreachable!(),
    };
    let (index, error) = fault_of(
        &NARROW,
        &raw(b"0200", &[3, 7, 11], b"0000000601120000000042"),
    );
    let expected = ParseError {
        field: 7,
        offset: 18,
        kind: ParseErrorKind::Undefined,
    };
    assert_eq!(error, expected);
    assert_eq!(index.present().iter().collect::<Vec<_>>(), [3]);
}

#[test]
fn an_index_of_other_bytes_gives_nothing_and_no_panic() {
    let message = Message::new(Dialect::ISO87_ASCII, purchase_bytes());
    let view = MessageRef::new(b"0200", &message.index);
    assert_eq!(view.fields().next(), None);
    assert_eq!(view.wire(2), None);
}

/// All that may be asked of a message, whether or not it could be read.
fn ask_everything(bytes: &[u8], index: &FieldIndex) {
    let view = MessageRef::new(bytes, index);
    let mut out = [0; 2048];
    let printed = std::format!("{} {view:?}", describe(view));
    assert!(!printed.is_empty());
    let answer = domain::request::Answer::of(domain::ResponseCode::FORMAT_ERROR);
    let reads = [
        translate::request(view).is_ok(),
        translate::reversal(view).is_ok(),
        translate::network(view, &translate::NetworkCodes::GENERIC).is_ok(),
        translate::issuer_answer(view, &domain::code_map::CodeMap::STANDARD, &mut [0; 300]).is_ok(),
        translate::write_answer(index.dialect(), view, &answer, &mut out).is_ok(),
        translate::write_answer(Dialect::ISO87_ASCII_HEX, view, &answer, &mut out).is_ok(),
    ];
    assert!(reads.len() == 6);
    let mut copy = bytes.to_vec();
    translate::scrub_sad(&mut copy, index);
    assert_eq!(copy.len(), bytes.len());
}

/// `iso87-bcd` fills with zeros what `iso87-bcd-f` fills with F.
#[test]
fn a_nibble_that_is_not_the_pad_is_told_and_is_no_fault() {
    let fields: [(u8, &[u8]); 6] = [
        (2, b"506100123456789"),
        (3, b"000000"),
        (19, b"858"),
        (32, b"12345"),
        (33, b"123456"),
        (35, b"5061001234567890=2812201"),
    ];
    let check = |name: &str, expected: &[u8]| {
        let bytes = written(Dialect::ISO87_BCD, "0200", &fields);
        let message = Message::new(Dialect::by_name(name).unwrap(), bytes);
        let wrong: Vec<u8> = message.view().wrong_padding().iter().collect();
        assert_eq!(wrong, expected, "{name}");
    };
    check("iso87-bcd", &[]);
    check("iso87-bcd-f", &[2, 32]);
}

#[test]
fn a_dialect_without_odd_packed_digits_has_no_pad_to_look_at() {
    assert!(Dialect::ISO87_ASCII.padded().is_empty());
    assert!(Dialect::ISO87_EBCDIC.padded().is_empty());
    let padded = Dialect::ISO87_BCD.padded();
    assert!(padded.contains(2) && padded.contains(19));
    assert!(!padded.contains(3) && !padded.contains(41) && !padded.contains(28));
    let base = Dialect::ISO87_BCD;
    let rows: Vec<_> = base.rows().copied().collect();
    let mut form = base.form();
    form.strict_padding = true;
    let strict = Dialect::new("strict", form, &rows, &[]).unwrap();
    assert!(strict.padded().is_empty());
}

proptest! {
    #[test]
    fn every_wrong_pad_is_told(fields in any_fields(Dialect::ISO87_BCD)) {
        let fields: Vec<_> = fields.iter().map(|(n, value)| (*n, &value[..])).collect();
        let bytes = written(Dialect::ISO87_BCD, "0200", &fields);
        let mut index = FieldIndex::new();
        let dialect = Dialect::by_name("iso87-bcd-f").unwrap();
        prop_assert_eq!(dialect.parse(&bytes, &mut index), Ok(()));
        let view = MessageRef::new(&bytes, &index);
        let wrong = index.present().iter().filter(|n| view.is_padded(*n) == Some(false));
        prop_assert_eq!(view.wrong_padding(), wrong.collect::<Bitmap>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn what_is_written_is_read_and_written_again((dialect, fields) in any_dialect_and_fields()) {
        let borrowed: Vec<_> = fields.iter().map(|(n, value)| (*n, &value[..])).collect();
        let bytes = written(dialect, "0200", &borrowed);
        let message = Message::new(dialect, bytes.clone());
        let values = message.values();
        prop_assert_eq!(&values, &fields);
        ask_everything(&message.bytes, &message.index);
        let read: Vec<_> = values.iter().map(|(n, value)| (*n, &value[..])).collect();
        prop_assert_eq!(written(dialect, "0200", &read), bytes);
    }

    #[test]
    fn so_is_what_a_field_holds((dialect, fields) in any_nested_and_fields()) {
        let borrowed: Vec<_> = fields.iter().map(|(n, value)| (*n, &value[..])).collect();
        let bytes = written(dialect, "0000", &borrowed);
        let message = Message::new(dialect, bytes.clone());
        prop_assert_eq!(&message.values(), &fields);
        prop_assert_eq!(written(dialect, "0000", &borrowed), bytes);
    }

    #[test]
    fn a_flipped_byte_never_panics(
        (dialect, fields) in any_dialect_and_fields(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let borrowed: Vec<_> = fields.iter().map(|(n, value)| (*n, &value[..])).collect();
        let mut bytes = written(dialect, "0200", &borrowed);
        for (place, flip) in &flips {
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
        }
        let mut index = FieldIndex::new();
        if let Err(error) = dialect.parse(&bytes, &mut index) {
            prop_assert!(error.offset as usize <= bytes.len());
            prop_assert!(error.field <= Bitmap::LAST);
        }
        ask_everything(&bytes, &index);
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for dialect in Dialect::ALL {
            let mut index = FieldIndex::new();
            let read = dialect.parse(&bytes, &mut index);
            prop_assert!(read.is_err() || bytes.len() >= dialect.form().head_len());
            ask_everything(&bytes, &index);
        }
    }
}

/// All that an index says: type, present fields and their places.
fn read(index: &FieldIndex, bytes: &[u8]) -> (Mti, Vec<(u8, core::ops::Range<usize>)>) {
    let view = MessageRef::new(bytes, index);
    let place = |number| Some((number, view.extent(number)?));
    (
        index.mti(),
        view.present().iter().filter_map(place).collect(),
    )
}

/// Whether no pass can go on.
fn ends_the_reading(kind: ParseErrorKind) -> bool {
    kind.is_structural() && kind != ParseErrorKind::Trailing
}

/// The rows of ISO 8583:1987 behind bitmaps that no built-in dialect has.
fn in_layout(layout: Layout) -> &'static Dialect {
    let base = Dialect::ISO87_ASCII;
    let rows: Vec<FieldSpec> = base.rows().copied().collect();
    let dialect = Dialect::new("layout", base.form().layout(layout), &rows, &[]).unwrap();
    Box::leak(Box::new(dialect))
}

fn in_every_layout() -> Vec<&'static Dialect> {
    let further = [
        Layout::Fixed(16),
        Layout::Chained(Tertiary::AfterSecondary),
        Layout::Chained(Tertiary::Field65),
    ];
    let further = further.map(in_layout);
    Dialect::ALL.iter().copied().chain(further).collect()
}

#[test]
fn a_scan_does_not_look_at_what_follows_the_last_field() {
    for dialect in in_every_layout() {
        let mut bytes = written(dialect, "0200", &[(3, b"000000"), (128, &[7; 8])]);
        check_twins(dialect, &bytes);
        bytes.push(0);
        check_twins(dialect, &bytes);
        let scanned = dialect.scan(&bytes, 128, &mut FieldIndex::new());
        assert_eq!(scanned, Ok(()), "{dialect:?}");
    }
}

#[track_caller]
fn check_twins(dialect: &'static Dialect, bytes: &[u8]) {
    let (mut quick, mut slow) = (FieldIndex::new(), FieldIndex::new());
    slow.begin(dialect);
    let slowly = dialect.parse_slowly(bytes, &mut slow);
    assert_eq!(dialect.parse(bytes, &mut quick), slowly);
    assert_eq!(read(&quick, bytes), read(&slow, bytes));
    for last in [1, 11, 49, 64, 90, 128] {
        let scanned = dialect.scan(bytes, last, &mut quick);
        if slowly.is_ok() || slowly.is_err_and(|error| error.kind == ParseErrorKind::Trailing) {
            assert_eq!(scanned, Ok(()), "{dialect:?} up to {last}");
            let (_, mut fields) = read(&slow, bytes);
            fields.retain(|(number, _)| *number <= last);
            assert_eq!(read(&quick, bytes).1, fields);
        } else if slowly.is_err_and(|error| error.field <= last && ends_the_reading(error.kind)) {
            assert_eq!(scanned, slowly, "up to {last}");
        }
    }
}

proptest! {
    /// The quick pass says what the slow one says, of good messages and of spoiled ones.
    #[test]
    fn the_quick_pass_and_the_slow_one_agree(
        dialect in proptest::sample::select(in_every_layout()),
        seed in any::<prop::sample::Index>(),
        fields in prop::sample::select(Dialect::ALL.to_vec()).prop_flat_map(any_fields),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut out = [0; 20_000];
        let mut writer = crate::Writer::new(dialect, Mti::FINANCIAL_REQUEST, &mut out);
        for (number, value) in &fields {
            // Values of another dialect that do not suit this one stay out.
            let _unsuited = writer.put(*number, value);
        }
        let len = writer.finish().unwrap();
        let mut bytes = out[..len].to_vec();
        check_twins(dialect, &bytes);
        for (place, byte) in flips {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        check_twins(dialect, &bytes);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
            check_twins(dialect, &bytes);
        }
        let end = seed.index(bytes.len() + 1);
        bytes.insert(end, b'0');
        check_twins(dialect, &bytes);
    }
}
