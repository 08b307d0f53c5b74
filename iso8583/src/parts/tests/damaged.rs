//! Messages that cannot be read to their end: what is readable is shown, what could be card data is
//! not.

use super::*;
use crate::testing::PURCHASE;

/// The purchase with some bytes replaced, told.
fn damaged(at: usize, bytes: &[u8]) -> Vec<String> {
    let mut message = purchase_bytes();
    message[at..at + bytes.len()].copy_from_slice(bytes);
    told(Dialect::ISO87_ASCII, &message)
}

#[test]
fn what_is_readable_before_the_end_is_shown() {
    let message = purchase_bytes();
    let told = told(Dialect::ISO87_ASCII, &message[..156]);
    for line in [
        "2 @12 [masked, 16 bytes]",
        "3 @30 \"000000\"",
        "4 @36 \"000000001500\"",
        "7 @48 \"0601120000\"",
        "11 @58 \"000042\"",
        // It has four digits of the account number.
        "32 @87 [masked, 11 bytes]",
        "35 @100 [SAD, 37 bytes]",
        "37 @139 [masked, 12 bytes]",
        "field 41 at offset 151: the message ends inside it",
    ] {
        assert!(told.iter().any(|told| told == line), "{line} in {told:#?}");
    }
    assert!(!told.iter().any(|line| line.starts_with("41 ")));
}

#[test]
fn an_account_number_under_another_field_is_not_shown() {
    // The bit of field 2 is lost: its bytes lie under 3, 4 and 7.
    let told = damaged(4, &[0x32]);
    assert_eq!(
        told[2..4],
        ["3 @12 [masked, 6 bytes]", "4 @18 [masked, 12 bytes]"]
    );
    assert!(told.last().unwrap().starts_with("field 7 at offset 30: "));
    // Its length is too short: the rest of it lies under 3.
    let told = damaged(12, b"09");
    assert_eq!(
        told[2..4],
        ["2 @12 [masked, 9 bytes]", "3 @23 [masked, 6 bytes]"]
    );
}

#[test]
fn a_track_under_another_field_is_not_shown() {
    // The bit of field 35 is lost: its bytes lie under 37 and 41.
    let told = damaged(8, &[0x08]);
    assert!(
        told.contains(&"37 @100 [masked, 12 bytes]".to_string()),
        "{told:#?}"
    );
    assert!(
        told.contains(&"41 @112 [masked, 8 bytes]".to_string()),
        "{told:#?}"
    );
}

#[test]
fn bytes_of_any_kind_are_not_shown() {
    let mac: Vec<(u8, &[u8])> = vec![(3, b"000000"), (59, b"qrstuv"), (64, b"12345678")];
    let mut message = written(Dialect::ISO87_ASCII, "0800", &mac);
    message.push(0);
    check(
        Dialect::ISO87_ASCII,
        &message,
        &[
            "3 @12 \"000000\"",
            "59 @18 [masked, 6 bytes]",
            "64 @27 [masked, 8 bytes]",
            "field 64 at offset 35: bytes follow the last field",
        ],
    );
}

#[track_caller]
fn check_window(message: &[u8], expected: &str) {
    let error = visit(
        Dialect::ISO87_ASCII,
        message,
        &mut [0; 999],
        &mut Told::default(),
    );
    let window = window(Dialect::ISO87_ASCII, message, error.unwrap_err());
    assert_eq!(window.to_string(), expected);
}

#[test]
fn of_the_bytes_around_a_fault_lengths_are_shown_and_no_digits() {
    let mut message = purchase_bytes();
    message[12..14].copy_from_slice(b"1x");
    check_window(&message, "** ** ** ** ** ** ** ** |31 78 ** ** ** ** ** **");
    message[12..14].copy_from_slice(b"99");
    check_window(&message, "** ** ** ** ** ** ** ** |39 39 ** ** ** ** ** **");
    message[12..14].copy_from_slice(b"16");
    // A letter in the amount.
    message[36] = b'x';
    check_window(&message, "** ** ** ** ** ** ** ** |** ** ** ** ** ** ** **");
    check_window(b"X200", "|58 32 30 30");
    check_window(b"", "");
}

#[test]
fn the_first_character_outside_its_class_has_a_place() {
    let check = |at: usize, bytes: &[u8], expected: Option<usize>| {
        let mut message = purchase_bytes();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        let read = Dialect::ISO87_ASCII.parse(&message, &mut crate::FieldIndex::new());
        let place = outsider(Dialect::ISO87_ASCII, &message, read.unwrap_err());
        assert_eq!(place, expected);
    };
    check(47, b"O", Some(47));
    check(40, b"xyz", Some(40));
    // A date that is none, and a length.
    check(48, b"1301", None);
    check(12, b"99", None);
}

#[test]
fn of_a_secret_field_at_fault_only_the_length_is_shown() {
    for (number, prefix) in [(35_u8, 2_usize), (55, 3), (63, 3)] {
        let mut message = purchase_bytes();
        let mut index = crate::FieldIndex::new();
        Dialect::ISO87_ASCII.parse(&message, &mut index).unwrap();
        let at = crate::MessageRef::new(&message, &index)
            .extent(number)
            .unwrap()
            .start;
        message[at] = b'x';
        let error = Dialect::ISO87_ASCII
            .parse(&message, &mut index)
            .unwrap_err();
        let window = window(Dialect::ISO87_ASCII, &message, error);
        let shown = &window.bytes()[at - window.start()..];
        assert!(shown[..prefix].iter().all(Option::is_some), "{window}");
        assert!(shown[prefix..].iter().all(Option::is_none), "{window}");
    }
    assert!(PURCHASE.iter().any(|(number, _)| *number == 35));
}
