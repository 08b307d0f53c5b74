//! The table of semantics.md §9.2, copied from the page and not from the code.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use CodeEdition::{An2, N3, N4};

/// 1987, 1993; a star where the way back leads to another code of 1987.
const TABLE: &str = "
    00 000  01 107  02 108  03 109  04 200  07 207  05 100  06*909  08 001  09 923  10 002
    11 003  12 902  13 110  14 111  15*908  16 004  19 903  20*909  21*909  22*909  23 113
    25 914  30 904  41 208  43 209  51 116  52 114  53*114  39*114  54 101  33 201  55 117
    75 106  38 206  56 118  57 119  58 120  40 115  59 102  34 202  60 103  35 203  61 121
    62 104  36 204  63 122  65 123  66 105  37 205  68*911  90 906  91 907  92 908  93 124
    94 913  95 915  96 909";

fn code(digits: &str) -> ResponseCode {
    ResponseCode::read(digits.as_bytes()).unwrap()
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    let one_way = |entry: &str| entry.as_bytes()[2] == b'*';
    let entries: Vec<&str> = {
        let mut words = TABLE.split_whitespace();
        let mut entries = Vec::new();
        while let Some(word) = words.next() {
            if word.len() > 2 {
                entries.push(word);
            } else {
                let start = word.as_ptr() as usize - TABLE.as_ptr() as usize;
                words.next().unwrap();
                entries.push(&TABLE[start..start + 6]);
            }
        }
        entries
    };
    entries
        .into_iter()
        .map(move |entry| (&entry[..2], &entry[3..], one_way(entry)))
}

#[track_caller]
fn check(from: &str, edition: CodeEdition, to: &str) {
    let written = code(from).written_in(edition);
    assert_eq!(written.digits().as_str(), to, "{from} in {edition:?}");
}

#[test]
fn every_pair_holds_in_both_directions() {
    let mut count = 0;
    for (an2, n3, one_way) in rows() {
        check(an2, N3, n3);
        let n4 = format!("{}0{}", &n3[..1], &n3[1..]);
        check(an2, N4, &n4);
        if !one_way {
            check(n3, An2, an2);
            check(&n4, An2, an2);
            assert_eq!(code(n3).internal(), code(an2));
        }
        count += 1;
    }
    assert_eq!(count, PAIRS.len(), "the table has the rows of the page");
}

#[test]
fn what_1993_alone_has_becomes_what_the_page_says() {
    for (n3, an2) in [
        ("400", "00"),
        ("500", "00"),
        ("600", "00"),
        ("700", "00"),
        ("800", "00"),
        ("900", "00"),
        ("901", "00"),
        ("501", "95"),
        ("480", "00"),
        ("481", "25"),
        ("905", "92"),
        ("911", "91"),
        ("910", "91"),
        ("912", "91"),
        ("916", "96"),
        ("921", "96"),
        ("922", "96"),
        ("126", "63"),
        ("128", "63"),
        ("125", "14"),
        ("129", "59"),
        ("005", "00"),
        ("099", "00"),
        ("130", "05"),
        ("199", "05"),
        ("210", "04"),
        ("299", "04"),
        ("924", "96"),
        ("999", "96"),
    ] {
        check(n3, An2, an2);
    }
    for unknown in ["Z9", "85", "17"] {
        check(unknown, N3, "100");
        check(unknown, N4, "1000");
    }
    check("67", N3, "200");
    for (n4, n3, an2) in [
        ("0085", "085", "00"),
        ("0885", "000", "00"),
        ("1816", "100", "05"),
        ("2500", "200", "04"),
        ("9200", "909", "96"),
        ("4200", "400", "00"),
    ] {
        check(n4, N3, n3);
        check(n4, An2, an2);
    }
}

fn all() -> impl Iterator<Item = ResponseCode> {
    (0..=u16::MAX).filter_map(|stored| ResponseCode::from_stored(stored.to_be_bytes()).ok())
}

/// Over all codes that there are.
#[test]
fn no_decline_becomes_an_approval_and_no_pick_up_a_plain_decline() {
    for code in all() {
        for edition in [An2, N3, N4] {
            let told = code.written_in(edition);
            assert_eq!(told.edition(), edition);
            let what = format!("{code} is told as {told}");
            match code.class() {
                CodeClass::Administrative => assert_ne!(told.class(), CodeClass::PickUp, "{what}"),
                CodeClass::Retryable | CodeClass::Declined => {
                    assert!(
                        matches!(told.class(), CodeClass::Retryable | CodeClass::Declined),
                        "{what}"
                    );
                }
                same @ (CodeClass::Approved | CodeClass::PickUp) => {
                    assert_eq!(told.class(), same, "{what}");
                }
            }
        }
        let internal = code.internal();
        assert_eq!(internal.is_approval(), code.is_approval(), "{code}");
        assert_eq!(internal.sent().unwrap_or(internal), code);
        assert_eq!(internal.written_in(code.edition()), code, "lossless");
        assert_eq!(internal.internal(), internal);
        assert_eq!(
            internal.is_issuer_failure(),
            code.is_issuer_failure(),
            "{code}"
        );
        assert_eq!(internal.reversal_ending(), code.reversal_ending(), "{code}");
    }
}

#[test]
fn the_classes_of_the_page() {
    let of = |class| -> Vec<String> {
        let named = all().filter(|code| code.edition() == An2 && code.class() == class);
        named.map(|code| format!("{code}")).collect()
    };
    assert_eq!(of(CodeClass::Approved), ["00", "08", "10", "11", "16"]);
    assert_eq!(of(CodeClass::Retryable), ["09", "68", "90", "91", "96"]);
    assert!(of(CodeClass::Administrative).is_empty());
    let approved = all().filter(|code| code.edition() == N3 && code.is_approval());
    assert_eq!(approved.count(), 100, "000 to 099");
}
