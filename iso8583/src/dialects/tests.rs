//! Messages by hand: what each dialect does with the fields in which it differs.

use std::collections::BTreeSet;
use std::vec::Vec;

use super::*;
use crate::composite::Composite;
use crate::field::Sensitivity;
use crate::testing::{Message, written};

/// Hexadecimal digits, with spaces between the fields.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| {
        let text = core::str::from_utf8(pair).unwrap();
        u8::from_str_radix(text, 16).unwrap()
    };
    digits.chunks(2).map(byte).collect()
}

/// The same message is read and written.
#[track_caller]
fn check(dialect: &'static Dialect, mti: &str, fields: &[(u8, &[u8])], wire: &str) {
    let wire = bytes(wire);
    let message = Message::new(dialect, wire.clone());
    let values = message.values();
    let read: Vec<(u8, &[u8])> = values.iter().map(|(n, value)| (*n, &value[..])).collect();
    assert_eq!(read, fields);
    assert_eq!(message.view().mti(), crate::testing::mti_of(mti));
    assert_eq!(written(dialect, mti, fields), wire);
}

/// A message whose digits are packed, but for what pads an odd number of them.
const PACKED: [(u8, &[u8]); 9] = [
    (2, b"506100123456789"),
    (3, b"000000"),
    (19, b"858"),
    (28, b"D00000100"),
    (32, b"12345"),
    (35, b"506100123456789=2812201"),
    (37, b"615212000042"),
    (48, b"a\x00c"),
    (52, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
];

#[test]
fn packed_digits() {
    check(
        Dialect::ISO87_BCD,
        "0200",
        &PACKED,
        "0200 6000201128011000 15 5061001234567890 000000 0858 44 00000100 05 123450 \
         23 506100123456789D28122010 363135323132303030303432 0003 610063 0102030405060708",
    );
    check(
        &iso87::BCD_F,
        "0200",
        &PACKED,
        "0200 6000201128011000 15 506100123456789F 000000 0858 44 00000100 05 12345F \
         23 506100123456789D2812201F 363135323132303030303432 0003 610063 0102030405060708",
    );
}

#[test]
fn letters_digits_and_lengths_in_ebcdic() {
    let fields: [(u8, &[u8]); 6] = [
        (2, b"506100123456789"),
        (11, b"000042"),
        (35, b"506100123456789=2812"),
        (42, b"Shop [1]! ^|   "),
        (48, b"a\x00c"),
        (52, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
    ];
    let check_page = |dialect, shop: &str| {
        let before = "F0F2F0F0 4020000020411000 F1F5 F5F0F6F1F0F0F1F2F3F4F5F6F7F8F9 F0F0F0F0F4F2 \
             F2F0 F5F0F6F1F0F0F1F2F3F4F5F6F7F8F9 7E F2F8F1F2 ";
        let behind = " F0F0F3 610063 0102030405060708";
        check(dialect, "0200", &fields, &[before, shop, behind].concat());
    };
    check_page(
        &iso87::EBCDIC_CP037,
        "E2889697 40 BA F1 BB 5A 40 B0 4F 404040",
    );
    check_page(
        &iso87::EBCDIC_CP500,
        "E2889697 40 4A F1 5A 4F 40 5F BB 404040",
    );
    check_page(
        &iso87::EBCDIC_CP1047,
        "E2889697 40 AD F1 BD 5A 40 5F 4F 404040",
    );
}

#[test]
fn digits_of_another_encoding_are_refused() {
    let refused = |dialect: &'static Dialect, wire: &str| {
        let wire = bytes(wire);
        let error = dialect.parse(&wire, &mut crate::FieldIndex::new());
        let error = error.unwrap_err();
        (error.field, error.kind)
    };
    use crate::error::ParseErrorKind::{Content, Mti, Prefix};
    let bcd = Dialect::ISO87_BCD;
    assert_eq!(refused(bcd, "0200 0020000000000000 00004A"), (11, Content));
    assert_eq!(refused(bcd, "0200 4000000000000000 1A 50"), (2, Prefix));
    assert_eq!(refused(bcd, "0A00 0020000000000000 000042"), (0, Mti));
    let ebcdic = Dialect::ISO87_EBCDIC;
    let wire = "F0F2F0F0 0020000000000000 303030303432";
    assert_eq!(refused(ebcdic, wire), (11, Content));
    let wire = "F0F2F0F0 4000000000000000 3135 F5";
    assert_eq!(refused(ebcdic, wire), (2, Prefix));
    assert_eq!(refused(ebcdic, "30323030 0020000000000000"), (0, Mti));
}

#[test]
fn no_two_have_one_name() {
    let names: Vec<&str> = ALL.iter().map(|dialect| dialect.name()).collect();
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    let all: BTreeSet<&str> = names.iter().copied().chain(aliases).collect();
    assert_eq!(all.len(), ALL.len() + ALIASES.len());
    for (alias, dialect) in ALIASES {
        assert_eq!(Dialect::by_name(alias), Some(dialect));
        assert!(names.contains(&dialect.name()));
    }
}

#[test]
fn a_table_made_from_another_keeps_names_and_parts() {
    let original = Dialect::ISO87_ASCII;
    for dialect in &ALL[..7] {
        assert_eq!(dialect.echo(), original.echo(), "{dialect:?}");
        assert_eq!(dialect.replay(), original.replay(), "{dialect:?}");
        assert_eq!(dialect.sad(), original.sad(), "{dialect:?}");
        assert_eq!(dialect.composites(), original.composites(), "{dialect:?}");
        assert_eq!(dialect.requirements(), original.requirements());
        let same = |(row, first): (&FieldSpec, &FieldSpec)| {
            (row.number, row.name, row.length, row.class)
                == (first.number, first.name, first.length, first.class)
        };
        assert!(dialect.rows().zip(original.rows()).all(same));
        assert_eq!(dialect.rows().count(), original.rows().count());
    }
}

/// The sub-fields of what a field holds.
#[track_caller]
fn check_held(dialect: &'static Dialect, number: u8, wire: &str, fields: &[(u8, &[u8])]) {
    let composite = dialect.field(number).unwrap().composite;
    let (Composite::Bitmapped(held) | Composite::Positional(held)) = composite else {
        panic!("{dialect:?}: DE{number} holds nothing");
    };
    check(held, "0000", fields, wire);
}

#[test]
fn packed_digits_of_1993() {
    check(
        Dialect::ISO93_BCD,
        "1200",
        &[
            (2, b"506100123456789"),
            (12, b"261121104500"),
            (22, b"A00101A14101"),
            (24, b"200"),
            (25, b"1006"),
            (30, b"000000001500000000000000"),
            (31, b"REF"),
            (35, b"506100123456789=2812"),
            (53, b"\x01\x02\x03"),
            (56, b"110000004226112110450006123456123"),
        ],
        "1200 4010058620000900 15 5061001234567890 261121104500 413030313031413134313031 0200 \
         1006 000000001500000000000000 03 524546 20 506100123456789D2812 03 010203 \
         33 1100000042261121104500061234561230",
    );
    check(
        Dialect::ISO93_BCD,
        "1210",
        &[(39, b"000"), (97, b"C0000000000001500")],
        "1210 80000000020000000000000080000000 0000 43 0000000000001500",
    );
}

#[test]
fn text_of_1993() {
    check(
        &iso93::ASCII_HEX,
        "1804",
        &[(12, b"261121104500"), (24, b"831"), (53, b"\xAB")],
        "31383034 30303130303130303030303030383030 323631313231313034353030 383331 3031 4142",
    );
    check(
        &iso93::EBCDIC_CP500,
        "1210",
        &[(39, b"000"), (44, b"A!")],
        "F1F2F1F0 0000000002100000 F0F0F0 F0F2 C14F",
    );
}

#[test]
fn lengths_of_2003() {
    let packed: [(u8, &[u8]); 6] = [
        (4, b"8402000000001500"),
        (11, b"000000000042"),
        (12, b"20261121104500"),
        (34, b"\x01\x00\x02\xAA\xBB"),
        (39, b"0000"),
        (97, b"D84020000000000001500"),
    ];
    check(
        &iso2003::BCD,
        "2110",
        &packed,
        "2110 90300000420000000000000080000000 8402000000001500 000000000042 \
         20261121104500 0005 010002AABB 0000 44 84020000000000001500",
    );
    check(
        Dialect::ISO2003_BASE,
        "2110",
        &packed[3..5],
        "32313130 0000000042000000 30303035 010002AABB 30303030",
    );
    let life_cycle: [(u8, &[u8]); 4] =
        [(1, b"1"), (2, b"TRACE 123456789"), (3, b"01"), (4, b"7788")];
    let (marker, trace) = ("31", "545241434520313233343536373839");
    let packed = [marker, trace, "01 7788"].concat();
    check_held(&iso2003::BCD, 21, &packed, &life_cycle);
    let text = [marker, trace, "3031 37373838"].concat();
    check_held(Dialect::ISO2003_BASE, 21, &text, &life_cycle);
}

#[test]
fn one_byte_lengths_of_digits_and_bytes() {
    check(
        Dialect::VISA_LIKE,
        "0100",
        &[
            (2, b"506100123456789"),
            (22, b"0510"),
            (28, b"D00000100"),
            (35, b"506100123456789=2812201"),
            (44, b"5 M"),
            (60, b"\x05\x00\x00\x40"),
            (62, b"\x80\x00\x00\x00\x00\x00\x00\x00\xE8"),
            (63, b"\x80\x00\x00\x00\x02"),
        ],
        "0100 4000041020100016 0F 0506100123456789 0510 C4F0F0F0F0F0F1F0F0 \
         17 0506100123456789D2812201 03 F540D4 04 05000040 09 8000000000000000E8 05 8000000002",
    );
}

#[test]
fn a_third_bitmap_behind_the_second() {
    check(
        Dialect::VISA_LIKE,
        "0100",
        &[(11, b"000042"), (137, b"\x00\x2A"), (145, b"404")],
        "0100 802000000000000080000000000000000080800000000000 000042 002A 0404",
    );
}

#[test]
fn sub_fields_behind_their_own_bitmap() {
    check_held(
        Dialect::VISA_LIKE,
        62,
        "C000000000000000 E8 0123456789012345",
        &[(1, b"Y"), (2, b"123456789012345")],
    );
    check_held(
        Dialect::VISA_LIKE,
        63,
        "A00000 0002 2501",
        &[(1, b"0002"), (3, b"2501")],
    );
    check_held(
        Dialect::VISA_LIKE,
        126,
        "0040000000000000 F1F1F1F2F3F4",
        &[(10, b"111234")],
    );
    check_held(
        Dialect::POSTILION_LIKE,
        127,
        "4040000082000000 3033 4B4559 373337 34303231 3030",
        &[(2, b"KEY"), (10, b"737"), (33, b"4021"), (39, b"00")],
    );
}

#[test]
fn sub_fields_in_their_places() {
    check_held(
        Dialect::VISA_LIKE,
        60,
        "05 00 00 40",
        &[(1, b"05"), (2, b"00"), (3, b"00"), (4, b"40")],
    );
    check_held(
        Dialect::VISA_LIKE,
        61,
        "000000001500",
        &[(1, b"000000001500")],
    );
    let data: [(u8, &[u8]); 14] = [
        (1, b"0"),
        (2, b"0"),
        (3, b"0"),
        (4, b"0"),
        (5, b"1"),
        (6, b"0"),
        (7, b"0"),
        (8, b"0"),
        (9, b"0"),
        (10, b"6"),
        (11, b"3"),
        (12, b"00"),
        (13, b"404"),
        (14, b"00100     "),
    ];
    let ebcdic = "F0F0F0F0F1F0F0F0F0F6F3 F0F0 F4F0F4 F0F0F1F0F04040404040";
    check_held(Dialect::MASTERCARD_LIKE, 61, ebcdic, &data);
    let ascii = "3030303031303030303633 3030 343034 30303130302020202020";
    check_held(&mastercard::LIKE_ASCII, 61, ascii, &data);
}

#[test]
fn private_bytes_behind_a_length_of_the_link() {
    check(
        Dialect::MASTERCARD_LIKE,
        "0100",
        &[(3, b"000000"), (48, b"\xE3\xF8\xF7\xF0\xF1\xD4")],
        "F0F1F0F0 2000000000010000 F0F0F0F0F0F0 F0F0F6 E3F8F7F0F1D4",
    );
    check(
        &mastercard::LIKE_ASCII,
        "0100",
        &[(48, b"T8701M")],
        "30313030 0000000000010000 303036 543837 3031 4D",
    );
    check(
        Dialect::POSTILION_LIKE,
        "0420",
        &[
            (56, b"4021"),
            (123, b"510101511344101"),
            (127, b"\x40\0\0\0\0\0\0\x0003KEY"),
        ],
        "30343230 80000000000001000000000000000022 303034 34303231 \
         303135 353130313031353131333434313031 303030303133 4000000000000000 3033 4B4559",
    );
}

#[test]
fn dates_are_checked_but_on_a_mastercard_link() {
    let parses = |dialect: &'static Dialect, wire: &str| {
        let mut index = crate::FieldIndex::new();
        dialect
            .parse(&bytes(wire), &mut index)
            .map_err(|error| error.kind)
    };
    use crate::error::ParseErrorKind::Date;
    let packed = "0800 0200000000000000 1301000000";
    assert_eq!(parses(Dialect::ISO87_BCD, packed), Err(Date));
    assert_eq!(parses(Dialect::VISA_LIKE, packed), Err(Date));
    let packed = "1804 0010000000000000 261301104500";
    assert_eq!(parses(Dialect::ISO93_BCD, packed), Err(Date));
    let ebcdic = "F0F8F0F0 0200000000000000 F0F0F0F0F0F0F0F0F0F0";
    assert_eq!(parses(Dialect::ISO87_EBCDIC, ebcdic), Err(Date));
    assert_eq!(parses(Dialect::MASTERCARD_LIKE, ebcdic), Ok(()));
}

#[test]
fn what_each_version_echoes_and_replays() {
    let check = |dialect: &Dialect, echo: &[u8], replay: &[u8]| {
        let numbers = |set: Bitmap| set.iter().collect::<Vec<u8>>();
        assert_eq!(numbers(dialect.echo()), echo, "{dialect:?}");
        assert_eq!(numbers(dialect.replay()), replay, "{dialect:?}");
    };
    let echo = [2, 3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49, 59];
    check(
        Dialect::ISO87_ASCII,
        &echo,
        &[5, 6, 9, 10, 15, 16, 44, 50, 51, 54, 55],
    );
    check(
        Dialect::VISA_LIKE,
        &echo,
        &[5, 6, 9, 10, 15, 16, 44, 50, 51, 54, 55],
    );
    check(
        Dialect::MASTERCARD_LIKE,
        &echo,
        &[5, 6, 9, 10, 15, 16, 44, 50, 51, 54, 55],
    );
    check(
        Dialect::POSTILION_LIKE,
        &echo,
        &[5, 6, 9, 10, 15, 16, 44, 50, 51, 54, 55, 58],
    );
    check(
        Dialect::ISO93_ASCII,
        &[2, 3, 4, 7, 11, 12, 32, 37, 41, 42, 49, 59],
        &[5, 6, 9, 10, 15, 16, 28, 29, 30, 44, 50, 51, 54, 55, 58, 95],
    );
    check(
        Dialect::ISO2003_BASE,
        &[2, 3, 4, 7, 11, 12, 32, 37, 41, 42, 59],
        &[5, 6, 9, 10, 15, 16, 28, 29, 30, 54, 55, 58, 95],
    );
}

#[test]
fn what_is_never_shown() {
    for dialect in ALL {
        for row in dialect.rows() {
            let is_private = row.class == Class::B
                && row.composite == Composite::Opaque
                && matches!(row.length, Length::Var { .. })
                && row.relay != crate::field::Relay::Echo;
            let is_card_data = matches!(row.number, 35 | 36 | 45 | 52 | 55);
            let is_third = row.number > 128;
            if (is_private && !is_third) || is_card_data {
                let what = (dialect, row.number, row.name);
                assert_eq!(row.sensitivity, Sensitivity::Sad, "{what:?}");
            }
        }
        assert_eq!(dialect.field(2).unwrap().sensitivity, Sensitivity::Pan);
    }
}

#[test]
fn every_field_of_the_table_has_a_row() {
    for dialect in ALL {
        for number in (2..=64).chain(66..=128) {
            assert!(dialect.field(number).is_some(), "{dialect:?}: {number}");
        }
        assert!(dialect.field(65).is_none());
    }
}

#[test]
fn what_each_version_must_have() {
    let missing = |dialect: &Dialect, mti: &str, present: &[u8]| {
        let present: Bitmap = present.iter().copied().collect();
        let mti = crate::testing::mti_of(mti);
        let requirements = dialect.requirements().iter();
        requirements
            .filter_map(|requirement| requirement.missing(mti, present))
            .min()
    };
    let (old, iso93, iso2003) = (
        Dialect::ISO87_BCD,
        Dialect::ISO93_BCD,
        Dialect::ISO2003_BASE,
    );
    assert_eq!(missing(old, "0200", &[2, 3, 4, 7, 11, 41, 49]), None);
    assert_eq!(missing(old, "0200", &[3, 4, 7, 11, 41, 49]), Some(2));
    assert_eq!(missing(iso93, "1200", &[2, 3, 4, 11, 12, 24, 41, 49]), None);
    assert_eq!(
        missing(iso93, "1100", &[35, 3, 4, 11, 12, 41, 49]),
        Some(24)
    );
    assert_eq!(missing(iso93, "1420", &[4, 11, 24, 41, 49]), Some(12));
    assert_eq!(missing(iso93, "1210", &[11]), Some(39));
    assert_eq!(missing(iso93, "1804", &[]), None);
    assert_eq!(missing(iso2003, "2100", &[2, 3, 4, 11, 12, 24, 41]), None);
    assert_eq!(missing(iso2003, "2430", &[39]), Some(11));
}

#[test]
fn an_amount_in_another_currency_names_it() {
    let asks = |dialect: &Dialect, mti: &str, amount: u8, currency: u8| {
        let with = |numbers: &[u8]| -> Option<u8> {
            let all = numbers.iter().copied().collect::<Bitmap>();
            // All that any message must have.
            let present = (2..=49).filter(|number| !matches!(number, 5 | 6));
            let present = present.collect::<Bitmap>().union(all);
            let mti = crate::testing::mti_of(mti);
            let requirements = dialect.requirements().iter();
            requirements
                .filter_map(|requirement| requirement.missing(mti, present))
                .min()
        };
        assert_eq!(with(&[amount, currency]), None, "{dialect:?} {mti}");
        assert_eq!(with(&[currency]), None, "{dialect:?} {mti}");
        with(&[amount]) == Some(currency)
    };
    for (dialect, version) in [
        (Dialect::ISO87_EBCDIC, '0'),
        (Dialect::VISA_LIKE, '0'),
        (Dialect::ISO93_ASCII, '1'),
    ] {
        for kind in ["100", "101", "120", "200", "220", "221", "400", "420"] {
            let mti = std::format!("{version}{kind}");
            assert!(asks(dialect, &mti, 5, 50), "{dialect:?} {mti}");
            assert!(asks(dialect, &mti, 6, 51), "{dialect:?} {mti}");
        }
        for kind in ["110", "210", "230", "430", "800"] {
            let mti = std::format!("{version}{kind}");
            assert!(!asks(dialect, &mti, 5, 50), "{dialect:?} {mti}");
        }
    }
    // These amounts have their currency in them.
    assert!(!asks(Dialect::ISO2003_BASE, "2100", 5, 50));
}
