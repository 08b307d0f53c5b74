//! What is kept of an answer, and what never.

use std::vec::Vec;

use super::*;
use crate::dialect::Dialect;
use crate::testing::{Message, purchase_with, written};

const CHIP: &[u8] = &[0x91, 2, 0xAA, 0xBB];

#[track_caller]
fn collected(message: &Message, room: usize) -> Vec<(u8, Vec<u8>)> {
    let mut scratch = std::vec![0xEE; room];
    let fields = collect(message.view(), &mut scratch);
    AnswerFields(fields)
        .map(|(number, value)| (number, value.to_vec()))
        .collect()
}

/// Fields 55 and 63 of the purchase are left out unless they are given.
#[track_caller]
fn check(fields: &[(u8, &[u8])], kept: &[(u8, &[u8])]) {
    let fields = [&[(55, &b""[..]), (63, b""), (39, b"00")], fields].concat();
    let last_wins = |n: usize| fields[n + 1..].iter().all(|later| later.0 != fields[n].0);
    let changes: Vec<_> = (0..fields.len())
        .filter(|n| last_wins(*n))
        .map(|n| fields[n])
        .collect();
    let kept: Vec<_> = kept
        .iter()
        .map(|(number, value)| (*number, value.to_vec()))
        .collect();
    assert_eq!(collected(&purchase_with("0210", &changes), 2000), kept);
}

#[test]
fn only_what_the_issuer_adds_is_kept() {
    check(&[], &[]);
    let added: &[(u8, &[u8])] = &[(15, b"0602"), (44, b"note"), (54, b"1002404C000000001500")];
    check(added, added);
    check(
        &[
            (36, b"015061001234567890=00"),
            (45, b"B506100^NAME"),
            (52, &[9; 8]),
        ],
        &[],
    );
    check(
        &[
            (59, b"echo"),
            (64, &[1; 8]),
            (102, b"5061001234567890"),
            (128, &[1; 8]),
        ],
        &[],
    );
}

//= docs/rules.md#C-01
#[test]
fn nothing_of_a_private_field_is_kept() {
    const PLANTED: &[u8] = b"9203737";
    let private: Vec<u8> = (48..=127).filter(|number| is_private(*number)).collect();
    assert_eq!(private.len(), 5 + 16);
    for number in private {
        let message = purchase_with("0210", &[(39, b"00"), (44, b"note"), (number, PLANTED)]);
        let mut scratch = [0; 2000];
        let fields = collect(message.view(), &mut scratch);
        assert!(AnswerFields(fields).any(|field| field == (44, &b"note"[..])));
        let found = fields.windows(3).any(|bytes| bytes == b"737");
        assert!(!found, "DE{number} is in what is stored");
    }
}

fn is_private(number: u8) -> bool {
    matches!(number, 48 | 60..=63 | 112..=127)
}

#[test]
fn chip_data_is_kept_without_card_data() {
    let script = [0x72, 6, 0x86, 4, 0x84, 0x24, 0, 0];
    let unknown = [0xDF, 0x81, 0x01, 1, 7];
    let clean = [CHIP, &script, &unknown].concat();
    check(&[(55, &clean)], &[(55, &clean)]);
    for forbidden in [
        &[0x5A, 2, 0x50, 0x61][..],
        &[0x56, 1, 9],
        &[0x57, 2, 0x50, 0x61],
        &[0x9F, 0x20, 1, 9],
        &[0x9F, 0x6B, 1, 9],
        &[0x70, 4, 0x57, 2, 0x50, 0x61],
        &[0x70, 6, 0x77, 4, 0x57, 2, 0x50, 0x61],
        &[0x70, 7, 0x91, 1, 0, 0x77, 2, 0x5A, 0],
        &[0x70, 2, 0x57, 9],
        // A value that is longer than what it stands in, and in which the track would vanish.
        &[0x70, 8, 0x77, 2, 0x95, 4, 0x57, 2, 0x50, 0x61],
    ] {
        check(
            &[(55, &[CHIP, forbidden, &script].concat())],
            &[(55, &[CHIP, &script].concat())],
        );
        check(&[(55, forbidden)], &[]);
    }
    check(&[(55, &[0x91, 9, 0])], &[]);
    check(&[(55, &[CHIP, &[0x9F]].concat())], &[]);
}

//= docs/rules.md#C-01
#[test]
fn no_authentication_data_of_an_issuers_chip_data_is_kept() {
    let code: &[u8] = &[0x8A, 2, b'0', b'0'];
    let secrets: [&[u8]; 10] = [
        &[0x9F, 0x60, 2, 7, 7],
        &[0x9F, 0x61, 2, 7, 7],
        &[0x99, 2, 7, 7],
        &[0x5F, 0x30, 2, 2, 1],
        &[0x5F, 0x20, 2, b'A', b'B'],
        &[0x9F, 0x0B, 2, b'A', b'B'],
        &[0x9F, 0x1F, 1, 7],
        &[0x9F, 0x20, 1, 7],
        &[0x80, 2, 7, 7],
        &[0x5A, 2, 0x50, 0x61],
    ];
    check(&[(55, &[&secrets.concat(), code].concat())], &[(55, code)]);
    for secret in secrets {
        let len = u8::try_from(secret.len()).unwrap();
        let within = [&[0x77, len], secret].concat();
        check(&[(55, &[code, &within].concat())], &[(55, code)]);
    }
}

#[test]
fn what_may_be_shown_is_kept_and_so_are_scripts_and_unknown_elements() {
    for tag in (0..=0xFFFF).filter(|tag| *tag != ISSUER_SCRIPT_COMMAND) {
        let is_shown = emv::known(tag).is_none_or(|known| known.sensitivity == Sensitivity::Public);
        assert_eq!(!is_secret(tag), is_shown, "{tag:X}");
    }
    assert!(!is_secret(ISSUER_SCRIPT_COMMAND));
}

#[test]
fn what_does_not_fit_is_left_out_and_chip_data_fits_first() {
    let fields: [(u8, &[u8]); 4] = [
        (44, &[b'a'; 25]),
        (54, &[b'b'; 120]),
        (55, CHIP),
        (15, b"0602"),
    ];
    let message = purchase_with("0210", &fields);
    let numbers = |room| {
        collected(&message, room)
            .iter()
            .map(|field| field.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(2000), [15, 44, 54, 55]);
    assert_eq!(numbers(7 + 28 + 7), [15, 44, 55], "54 has no room");
    assert_eq!(numbers(7 + 7), [15, 55]);
    assert_eq!(numbers(7 + 6), [55]);
    assert_eq!(numbers(7), [55]);
    assert_eq!(numbers(6), [0_u8; 0]);
    assert_eq!(numbers(0), [0_u8; 0]);
    for room in 0..200 {
        assert!(collected(&message, room).len() <= 4);
    }
}

#[test]
fn binary_values_are_kept_as_bytes_of_any_dialect() {
    let fields: [(u8, &[u8]); 2] = [(39, b"00"), (55, CHIP)];
    let bytes = written(Dialect::ISO87_ASCII_HEX, "0210", &fields);
    let message = Message::new(Dialect::ISO87_ASCII_HEX, bytes);
    assert_eq!(collected(&message, 100), [(55, CHIP.to_vec())]);
}

#[test]
fn a_broken_row_of_fields_ends_early() {
    let check = |bytes: &[u8], expected: &[(u8, &[u8])]| {
        assert_eq!(AnswerFields(bytes).collect::<Vec<_>>(), expected);
    };
    check(&[44, 0, 1, b'a', 48, 0, 2, b'b'], &[(44, b"a")]);
    check(&[44, 0], &[]);
    check(&[44, 0xFF, 0xFF, 1], &[]);
}

/// `iso87-ascii` with DE55 in datasets.
fn in_datasets() -> &'static Dialect {
    let base = Dialect::ISO87_ASCII;
    let row = |row: &crate::field::FieldSpec| match row.number {
        CHIP_DATA => row.holding(Composite::Datasets),
        _ => *row,
    };
    let rows: Vec<_> = base.rows().map(row).collect();
    let dialect = Dialect::new("in datasets", base.form(), &rows, &[]).unwrap();
    std::boxed::Box::leak(std::boxed::Box::new(dialect))
}

#[test]
fn card_data_in_datasets_is_found_and_left_out() {
    let mut datasets = std::vec![1, 0, 14];
    datasets.extend_from_slice(&[
        0x5A, 4, 0x50, 0x61, 0x00, 0x12, 0x91, 2, 0xAA, 0xBB, 0x57, 2,
    ]);
    datasets.extend_from_slice(&[0x50, 0x61]);
    let fields: [(u8, &[u8]); 2] = [(39, b"00"), (55, &datasets)];
    let dialect = in_datasets();
    let message = Message::new(dialect, written(dialect, "0210", &fields));
    assert_eq!(collected(&message, 2000), [(55, CHIP.to_vec())]);
}

#[test]
fn padding_between_elements_hides_no_card_data() {
    let padded = [
        0, 0x91, 2, 0xAA, 0xBB, 0, 0, 0x5A, 4, 0x50, 0x61, 0x00, 0x12, 0,
    ];
    let kept: &[u8] = &[0, 0x91, 2, 0xAA, 0xBB];
    check(&[(55, &padded)], &[(55, kept)]);
}

#[test]
fn chip_data_changes_its_clothes_between_dialects() {
    let bare: [(u8, &[u8]); 2] = [(39, b"00"), (55, CHIP)];
    let wrapped = [&[1, 0, 4], CHIP].concat();
    let (ascii, datasets) = (Dialect::ISO87_ASCII, in_datasets());
    let check = |from: &'static Dialect, value: &[u8], to: &'static Dialect, expected: &[u8]| {
        let fields = [bare[0], (55, value)];
        let message = Message::new(from, written(from, "0210", &fields));
        let mut out = [0; 256];
        let mut writer = crate::Writer::new(to, message.view().mti(), &mut out);
        writer.copy_up_to(u8::MAX, message.view()).unwrap();
        let len = writer.finish().unwrap();
        let copied = Message::new(to, out[..len].to_vec());
        assert_eq!(copied.view().field(55), Some(expected));
    };
    check(ascii, CHIP, datasets, &wrapped);
    check(datasets, &wrapped, ascii, CHIP);
    check(datasets, &wrapped, datasets, &wrapped);
    check(ascii, CHIP, ascii, CHIP);
}
