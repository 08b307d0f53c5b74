//! What people are shown, and what nobody is.

use std::string::ToString;

use super::*;
use crate::dialect::Dialect;
use crate::testing::{Message, PURCHASE, written};

#[track_caller]
fn check(fields: &[(u8, &[u8])], expected: &str) {
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX] {
        let message = Message::new(dialect, written(dialect, "0200", fields));
        let shown = describe(message.view()).to_string();
        let (_, fields) = shown.split_once('\n').unwrap();
        assert_eq!(fields, expected);
    }
}

#[test]
fn a_field_is_shown_as_its_row_says() {
    check(&[(3, b"000000")], "DE3 processing code: \"000000\"");
    check(
        &[(2, b"5061001234567890123")],
        "DE2 primary account number: 506100*********0123",
    );
    check(
        &[(2, b"1234567")],
        "DE2 primary account number: [masked, 7 bytes]",
    );
    check(
        &[(35, b"5061001234567890=2812")],
        "DE35 track 2 data: [SAD, 21 bytes]",
    );
    check(
        &[(63, b"\x1B[31m")],
        "DE63 reserved, private: [SAD, 5 bytes]",
    );
    check(&[(59, b"\x1B[31m")], "DE59 echo data: [masked, 5 bytes]");
    check(
        &[(55, &[0x9F, 0x36, 2, 0, 7, 0x57, 1, 0x50, 0xC1, 1, 9])],
        "DE55 integrated circuit card data\n\
         DE55.9F36 application transaction counter: 0007\n\
         DE55.57 track 2 equivalent data: [SAD, 1 bytes]\n\
         DE55.C1: [SAD, 1 bytes]",
    );
    check(
        &[(41, b"a\"b\\c   ")],
        r#"DE41 card acceptor terminal identification: "a\"b\\c   ""#,
    );
}

#[test]
fn planted_digits_are_nowhere() {
    let planted: [(u8, &[u8]); 12] = [
        (2, b"5061009876543217"),
        (3, b"000000"),
        (34, b"50610098765432170000"),
        (35, b"5061009876543217=28122011234567890123"),
        (36, b"015061009876543217=0011223344"),
        (45, b"B5061009876543217^NAME^2812201"),
        (48, b"92035061009876543217"),
        (52, b"\x98\x76\x54\x32\x17\x33\x44\x55"),
        (55, b"\x5A\x08\x50\x61\x00\x98\x76\x54\x32\x17"),
        (102, b"5061009876543217"),
        (126, b"5061009876543217"),
        (127, b"5061009876543217"),
    ];
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX] {
        let message = Message::new(dialect, written(dialect, "0200", &planted));
        let shown = std::format!("{} {:?}", describe(message.view()), message.view());
        for secret in [
            "987654", "876543", "9876", "7654", "2812201", "NAME", "1733", "v2",
        ] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("506100******3217"), "{shown}");
    }
}

#[test]
fn the_purchase_in_full() {
    let message = Message::new(
        Dialect::ISO87_ASCII,
        written(Dialect::ISO87_ASCII, "0201", &PURCHASE),
    );
    let shown = describe(message.view()).to_string();
    assert!(shown.starts_with("MTI 0201 (iso87-ascii)\nDE2 primary account number: 506100"));
    assert_eq!(shown.lines().count(), 24);
    assert!(shown.is_ascii() && !shown.contains('\x1B'));
}
