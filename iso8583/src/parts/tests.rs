//! What is shown of a message, and where it is said to stand.

use std::boxed::Box;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use super::*;
use crate::class::Class::{An, Ans, B, N};
use crate::composite::Composite;
use crate::dialect::{BitmapForm, Form};
use crate::field::Encoding::Binary;
use crate::field::{FieldSpec, Length, Sensitivity};
use crate::tagged;
use crate::testing::{purchase_bytes, raw, written};

mod damaged;
mod planted;

/// Everything that a visitor is told, a line each.
#[derive(Default)]
pub(super) struct Told {
    pub(super) lines: Vec<String>,
}

impl Visitor for Told {
    fn mti(&mut self, mti: Mti) {
        self.lines.push(format!("mti {mti}"));
    }

    fn bitmaps(&mut self, place: core::ops::Range<usize>, fields: Bitmap) {
        let numbers: Vec<String> = fields.iter().map(|number| number.to_string()).collect();
        self.lines
            .push(format!("bitmaps {place:?} {}", numbers.join(" ")));
    }

    fn part(&mut self, part: &Part<'_>) {
        let fault = part
            .fault
            .map_or(String::new(), |kind| format!(" ({kind})"));
        let padding = if part.is_padded { "" } else { " (padding)" };
        let line = format!(
            "{} @{} {}{fault}{padding}",
            part.path, part.offset, part.value
        );
        self.lines.push(line.trim_end().to_string());
    }

    fn malformed(&mut self, path: &Path, offset: usize, rule: &dyn fmt::Display) {
        self.lines
            .push(format!("{path} @{offset} malformed: {rule}"));
    }
}

pub(super) fn told(dialect: &'static Dialect, message: &[u8]) -> Vec<String> {
    let mut told = Told::default();
    let visited = visit(dialect, message, &mut vec![0; 4096], &mut told);
    if let Err(error) = visited {
        told.lines.push(error.to_string());
    }
    told.lines
}

/// What is told behind type indicator and bitmaps.
#[track_caller]
pub(super) fn check(dialect: &'static Dialect, message: &[u8], expected: &[&str]) {
    let told = told(dialect, message);
    assert_eq!(told.get(2..).unwrap_or_default(), expected);
}

pub(super) fn leaked(form: Form, rows: &[FieldSpec]) -> &'static Dialect {
    Box::leak(Box::new(Dialect::new("test", form, rows, &[]).unwrap()))
}

/// A dialect with one field, 63, of up to 99 bytes.
pub(super) fn holding(composite: Composite, sensitivity: Sensitivity) -> &'static Dialect {
    let row = FieldSpec::new(63, "outer", B, Length::ll(99));
    let row = row.encoded(Binary).holding(composite).seen_as(sensitivity);
    leaked(Form::ASCII, &[row])
}

/// Field 63 of such a dialect is told as this. Its value begins at 14.
#[track_caller]
fn check_held(composite: Composite, sensitivity: Sensitivity, value: &[u8], expected: &[&str]) {
    let body = [format!("{:02}", value.len()).as_bytes(), value].concat();
    let message = raw(b"0200", &[63], &body);
    check(holding(composite, sensitivity), &message, expected);
}

#[test]
fn a_message_is_told_in_the_order_of_the_wire() {
    let told = told(Dialect::ISO87_ASCII, &purchase_bytes());
    let expected = [
        "mti 0200",
        "bitmaps 4..12 2 3 4 7 11 12 13 14 18 22 25 32 35 37 41 42 43 49 55 63",
        "2 @12 506100******7890",
        "3 @30 \"000000\"",
        "4 @36 \"000000001500\"",
    ];
    assert_eq!(told.get(..5).unwrap(), expected);
    assert!(
        told.contains(&"35 @100 [SAD, 37 bytes]".to_string()),
        "{told:?}"
    );
    let chip = told.iter().position(|line| line == "55 @217").unwrap();
    let elements = [
        "55.9F26 @220 0102030405060708",
        "55.9F36 @231 002A",
        "55.57 @236 [SAD, 4 bytes]",
        "63 @242 [SAD, 21 bytes]",
    ];
    assert_eq!(told.get(chip + 1..).unwrap(), elements);
}

#[test]
fn of_a_secret_field_sub_fields_are_shown_that_their_rows_say_are_public() {
    let inner = leaked(
        Form::nested(BitmapForm::Binary, 1),
        &[
            FieldSpec::new(1, "key", An, Length::Fixed(4)),
            FieldSpec::new(2, "code", N, Length::Fixed(3)).seen_as(Sensitivity::Sad),
            FieldSpec::new(8, "account", N, Length::ll(19)).seen_as(Sensitivity::Pan),
        ],
    );
    let value = b"\xC1ABCD123165061001234567890";
    check_held(
        Composite::Bitmapped(inner),
        Sensitivity::Sad,
        value,
        &[
            "63 @12",
            "63.1 @15 \"ABCD\"",
            "63.2 @19 [SAD, 3 bytes]",
            "63.8 @22 506100******7890",
        ],
    );
    check_held(
        Composite::Bitmapped(inner),
        Sensitivity::Sad,
        b"\xC0ABCD12",
        &[
            "63 @12 [SAD, 7 bytes]",
            "63.1 @15 [masked, 4 bytes]",
            "63.2 @19 malformed: the message ends inside it",
        ],
    );
    let places = leaked(
        Form::POSITIONAL,
        &[
            FieldSpec::new(1, "first", N, Length::Fixed(2)),
            FieldSpec::new(2, "second", Ans, Length::Fixed(3)),
        ],
    );
    check_held(
        Composite::Positional(places),
        Sensitivity::Sad,
        b"12abc",
        &["63 @12", "63.1 @14 \"12\"", "63.2 @16 \"abc\""],
    );
    check_held(
        Composite::Positional(places),
        Sensitivity::Public,
        b"1x",
        &[
            "63 @12 [masked, 2 bytes]",
            "63.1 @14 [masked, 2 bytes] (a character is outside its class)",
            "63.1 @14 malformed: a character is outside its class",
        ],
    );
}

#[test]
fn elements_are_shown_by_their_tags() {
    let elements: &[u8] = &[
        0x5A, 8, 0x50, 0x61, 0x00, 0x12, 0x34, 0x56, 0x78, 0x90, 0x71, 5, 0x9F, 0x18, 2, 1, 2,
        0x9F, 0x02, 1, 7, 0x99, 1, 9,
    ];
    let chip = FieldSpec::new(55, "chip", B, Length::ll(99)).encoded(Binary);
    let chip = chip.holding(Composite::Tlv).seen_as(Sensitivity::Sad);
    let dialect = leaked(Form::ASCII, &[chip]);
    check(
        dialect,
        &raw(b"0200", &[55], &[b"24", elements].concat()),
        &[
            "55 @12",
            "55.5A @14 506100******7890",
            "55.71 @24",
            "55.71.9F18 @26 [SAD, 2 bytes]",
            "55.9F02 @31 07",
            "55.99 @35 [SAD, 1 bytes]",
        ],
    );
    // In another field the same tags may mean anything.
    check_held(
        Composite::Tlv,
        Sensitivity::Sad,
        &[0x9F, 0x02, 1, 7, 0x5A, 1, 0x12],
        &[
            "63 @12",
            "63.9F02 @14 [SAD, 1 bytes]",
            "63.5A @18 [masked, 1 bytes]",
        ],
    );
    check_held(
        Composite::Tlv,
        Sensitivity::Public,
        &[0xC1, 1, 7, 0x57, 1, 0x12, 0x9F, 0x02, 9],
        &[
            "63 @12 [masked, 9 bytes]",
            "63.C1 @14 [masked, 1 bytes]",
            "63.57 @17 [SAD, 1 bytes]",
            "63 @23 malformed: it is longer than what it stands in",
        ],
    );
    check_held(
        Composite::Datasets,
        Sensitivity::Public,
        &[0x01, 0, 3, 0xC1, 1, 7, 0x71, 0, 2, 0x80, 5],
        &["63 @12", "63.01 @14", "63.01.C1 @17 07", "63.71 @20 8005"],
    );
}

#[test]
fn sub_elements_are_shown_by_their_ids() {
    let layout = tagged::Layout {
        lead: 1,
        id_len: 2,
        id_form: tagged::Form::Ascii,
        len_len: 2,
        len_form: tagged::Form::Ascii,
        len_counts: tagged::LenCounts::Value,
    };
    let composite = Composite::Tagged(layout);
    check_held(
        composite,
        Sensitivity::Public,
        b"T4203abc9203123",
        &[
            "63 @12",
            "63.lead @14 \"T\"",
            "63.42 @15 \"abc\"",
            "63.92 @22 \"123\"",
        ],
    );
    check_held(
        composite,
        Sensitivity::Sad,
        b"T9203123",
        &[
            "63 @12",
            "63.lead @14 [SAD, 1 bytes]",
            "63.92 @15 [SAD, 3 bytes]",
        ],
    );
}

#[test]
fn what_is_opened_in_another_encoding_stands_where_its_field_stands() {
    let message = written(
        Dialect::ISO87_ASCII_HEX,
        "0200",
        &[(55, &[0x9F, 0x36, 1, 7])],
    );
    check(
        Dialect::ISO87_ASCII_HEX,
        &message,
        &["55 @20", "55.9F36 @23 07"],
    );
}

#[test]
fn content_that_is_wrong_is_shown_with_its_rule() {
    let body = b"06112x1265";
    let stan = FieldSpec::new(11, "stan", N, Length::ll(6));
    let hour = FieldSpec::new(12, "month", N, Length::Fixed(4));
    let hour = hour.dated(crate::calendar::Calendar::MonthDay);
    let message = raw(
        b"0800",
        &[11, 12],
        &[&body[..6], b"00", &body[6..]].concat(),
    );
    check(
        leaked(Form::ASCII, &[stan, hour]),
        &message,
        &[
            "11 @12 \"112x00\" (a character is outside its class)",
            "12 @20 \"1265\" (it is no date or time)",
            "field 11 at offset 14: a character is outside its class",
        ],
    );
}

#[test]
fn a_value_that_does_not_fit_the_scratch_is_not_shown() {
    let message = written(Dialect::ISO87_ASCII_HEX, "0200", &[(64, b"12345678")]);
    let mut told = Told::default();
    visit(Dialect::ISO87_ASCII_HEX, &message, &mut [0; 7], &mut told).unwrap();
    assert_eq!(told.lines.last().unwrap(), "64 @20 [16 bytes]");
}

#[test]
fn known_elements_are_in_order_and_secrets_among_them() {
    for tag in [0x56, 0x57, 0x99, 0x9F1F, 0x9F20, 0x9F6B] {
        assert_eq!(emv::known(tag).unwrap().sensitivity, Sensitivity::Sad);
    }
    assert_eq!(emv::known(0x5A).unwrap().sensitivity, Sensitivity::Pan);
    assert!(emv::known(0x9F7C).is_none());
}
