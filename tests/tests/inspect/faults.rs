//! Messages that cannot be read: where it stopped, why, and what is shown of them.

use iso8583::{Dialect, FieldIndex};
use serde_json::{Value, json};

use super::{PURCHASE, object, of_bytes, purchase, written};

/// What is told of a purchase with a fault: the place and the rule, as `Dialect::parse` has them,
/// and these fields with their values. The type indicator can be read.
#[track_caller]
fn check(bytes: &[u8], field: u8, offset: u32, shown: &[u8]) {
    let dialect = Dialect::ISO87_ASCII;
    let error = dialect.parse(bytes, &mut FieldIndex::new()).unwrap_err();
    assert_eq!((error.field, error.offset), (field, offset));
    let rule = error.kind.to_string();
    let out = of_bytes(dialect, &["--json"], bytes).unreadable("the message cannot be read");
    let object = object(&out);
    assert_eq!(
        object["error"],
        json!({ "field": field, "offset": offset, "rule": rule })
    );
    assert_eq!(object["mti"], "0200");
    let fields = object["fields"].as_object().unwrap();
    for (number, value) in PURCHASE {
        let told = fields.get(&number.to_string()).and_then(Value::as_str);
        if shown.contains(&number) {
            assert_eq!(
                told.map(str::as_bytes),
                Some(value),
                "field {number} in {out}"
            );
        } else {
            let is_masked =
                told.is_none_or(|told| told.contains("[masked,") || told.contains("[SAD,"));
            let is_account = number == 2 && told == Some("506106******3216");
            assert!(is_masked || is_account, "field {number} in {out}");
        }
    }
    let text = of_bytes(dialect, &[], bytes).unreadable("the message cannot be read");
    let place = format!(", offset {offset} ({offset:04X}): {rule}\n");
    let told = text.lines().find(|line| line.starts_with("fault: "));
    assert!(
        told.is_some_and(|line| place.starts_with(&line[line.find(", offset").unwrap()..])),
        "{text}"
    );
}

/// The purchase with other bytes at a place.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut message = purchase();
    message[at..at + bytes.len()].copy_from_slice(bytes);
    message
}

/// The fields before the first one with authentication data, but for the account number.
const BEFORE_TRACK: [u8; 8] = [3, 4, 7, 11, 12, 13, 22, 32];

#[test]
fn a_cut_message_is_shown_up_to_the_cut() {
    let all = purchase();
    check(&all[..70 + 3], 13, 70, &BEFORE_TRACK[..5]);
    check(&all[..85 + 1], 35, 85, &BEFORE_TRACK);
    check(&all[..87 + 20], 35, 87, &BEFORE_TRACK);
    // In the account number: there is no telling what the rest of it is.
    check(&all[..20], 2, 14, &[]);
    // Behind authentication data nothing is shown: its length may be the fault.
    check(&all[..150], 52, 147, &BEFORE_TRACK);
}

#[test]
fn a_length_that_cannot_be_ends_the_message() {
    check(&changed(85, b"38"), 35, 85, &BEFORE_TRACK);
    check(&changed(85, b"3x"), 35, 85, &BEFORE_TRACK);
    check(&changed(12, b"20"), 2, 12, &[]);
}

#[test]
fn a_date_that_cannot_be_is_a_fault_of_its_field() {
    let others = [3, 4, 7, 11, 12, 22, 32];
    check(&changed(70, b"0632"), 13, 70, &others);
    check(&changed(70, b"1301"), 13, 70, &others);
    // A date of transmission is the evidence that fields are where they seem to be.
    check(&changed(48, b"0632"), 7, 48, &[]);
}

#[test]
fn bytes_too_many_are_told_with_the_last_field() {
    let long = [&purchase()[..], b"x"].concat();
    check(&long, 64, 213, &BEFORE_TRACK);
}

#[test]
fn a_fault_in_the_type_indicator_or_the_bitmap_shows_nothing() {
    for (bytes, field, offset, mti) in [
        (&b"X200"[..], 0, 0, Value::Null),
        (b"", 0, 0, Value::Null),
        (b"02", 0, 0, Value::Null),
        (b"0200\x72\x38", 1, 4, json!("0200")),
    ] {
        let out = of_bytes(Dialect::ISO87_ASCII, &["--json"], bytes);
        let object = object(&out.unreadable("the message cannot be read"));
        assert_eq!(object["mti"], mti);
        assert_eq!(object["fields"], json!({}));
        assert_eq!(object["error"]["field"], field);
        assert_eq!(object["error"]["offset"], offset);
    }
    let out = of_bytes(Dialect::ISO87_ASCII, &[], b"").unreadable("the message cannot be read");
    let expected = "message iso87-ascii, 0 bytes\n\
                    fault: type indicator, offset 0 (0000): the message ends inside it\n";
    assert_eq!(out, expected);
}

#[test]
fn the_bytes_around_a_fault_are_masked_but_for_the_length() {
    let out = of_bytes(Dialect::ISO87_ASCII, &[], &changed(85, b"38"));
    let text = out.unreadable("the message cannot be read");
    let window = "\n  004D  ** ** ** ** ** ** ** ** |33 38 ** ** ** ** ** **\n";
    assert!(text.contains(window), "{text}");
    let note = "note: values that could be card data are hidden: with a fault in the message, \
                nothing need be where it seems to be\n";
    assert!(text.ends_with(note), "{text}");
}

#[test]
fn a_message_in_the_wrong_dialect_is_at_fault() {
    let packed = written(Dialect::ISO87_BCD, b"0800", &[(11, b"000042")]);
    let out = of_bytes(Dialect::ISO87_ASCII, &["--json"], &packed);
    let object = object(&out.unreadable("the message cannot be read"));
    assert_eq!(object["error"]["field"], 0);
}
