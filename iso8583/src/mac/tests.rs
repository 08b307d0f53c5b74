//! Where a MAC stands, what it covers, and that nothing of that can be changed.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::field::{FieldSpec, Relay};
use crate::testing::{Message, any_fields, purchase_bytes, purchase_with, raw, written};

/// No MAC, but it has what these tests need: any changed bit of what it covers changes it.
struct Sum;

impl MacEngine for Sum {
    fn compute(&self, covered: &[u8]) -> [u8; MAC_LEN] {
        // FNV-1a: each step maps different states to different states.
        let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
        covered.iter().fold(7, step).to_be_bytes()
    }

    fn verify(&self, covered: &[u8], received: &[u8; MAC_LEN]) -> bool {
        self.compute(covered) == *received
    }
}

/// `message` with its MAC.
#[track_caller]
fn authenticated(dialect: &'static Dialect, message: &[u8]) -> Vec<u8> {
    let mut out = [message, &[0xEE; 64]].concat();
    let len = append(dialect, &Sum, &mut out, message.len()).unwrap();
    out.truncate(len);
    out
}

/// What is said of the MAC of `bytes`.
#[track_caller]
fn check(bytes: &[u8], expected: Result<(), MacError>) {
    let message = Message::new(Dialect::ISO87_ASCII, bytes.to_vec());
    assert_eq!(verify(message.view(), &Sum), expected);
}

fn with_mac(covered: &[u8]) -> Vec<u8> {
    [covered, &Sum.compute(covered)].concat()
}

const fn missing(field: u8) -> MacError {
    MacError {
        field,
        rule: MacRule::Missing,
    }
}

const fn not_last_field(field: u8) -> MacError {
    MacError {
        field,
        rule: MacRule::NotLast,
    }
}

const fn wrong(field: u8) -> MacError {
    MacError {
        field,
        rule: MacRule::Wrong,
    }
}

#[test]
fn a_mac_is_the_last_field_and_covers_all_before_it() {
    check(&with_mac(&raw(b"0800", &[11, 64], b"000042")), Ok(()));
    let above = raw(b"0800", &[1, 11, 70, 128], b"000042301");
    check(&with_mac(&above), Ok(()));
    // DE64 is data like any other when DE128 is there.
    let both = raw(b"0800", &[1, 64, 128], b"8 bytes.");
    check(&with_mac(&both), Ok(()));
    let empty_secondary = raw(b"0800", &[1, 11, 64], b"000042");
    check(&with_mac(&empty_secondary), Ok(()));
}

#[test]
fn a_missing_mac_is_told_where_it_should_be() {
    check(&raw(b"0800", &[], b""), Err(missing(64)));
    check(&raw(b"0800", &[11], b"000042"), Err(missing(64)));
    check(&raw(b"0800", &[1, 70], b"301"), Err(missing(128)));
    let not_last = [with_mac(&raw(b"0800", &[1, 64, 70], b"")), b"301".to_vec()];
    check(&not_last.concat(), Err(not_last_field(64)));
}

/// Accepts everything, to show what is not even asked.
struct Credulous;

impl MacEngine for Credulous {
    fn compute(&self, _: &[u8]) -> [u8; MAC_LEN] {
        [7; MAC_LEN]
    }

    fn verify(&self, _: &[u8], _: &[u8; MAC_LEN]) -> bool {
        true
    }
}

#[test]
fn a_message_with_fields_above_128_has_no_mac() {
    let dialect = Dialect::VISA_LIKE;
    let check = |fields: &[(u8, &[u8])], expected| {
        let message = Message::new(dialect, written(dialect, "0800", fields));
        assert_eq!(verify(message.view(), &Credulous), expected, "{fields:?}");
    };
    let (stan, mac): ((u8, &[u8]), &[u8]) = ((11, b"000042"), &[7; MAC_LEN]);
    check(&[stan, (64, mac)], Ok(()));
    check(&[stan, (128, mac)], Ok(()));
    // The last bytes of the message are those of the MAC, but they are not the MAC.
    check(&[stan, (128, mac), (136, mac)], Err(not_last_field(128)));
    check(&[stan, (64, mac), (136, mac)], Err(not_last_field(64)));
    check(&[stan, (137, &[0, 42])], Err(missing(128)));
}

#[test]
fn no_mac_is_appended_behind_which_fields_would_stand() {
    let dialect = Dialect::VISA_LIKE;
    assert!(is_carried_by(dialect));
    for fields in [
        &[(11, &b"000042"[..]), (137, &[0, 42])][..],
        &[(128, &[7; MAC_LEN]), (137, &[0, 42])],
    ] {
        let message = written(dialect, "0800", fields);
        let mut out = [&message[..], &[0xEE; 64]].concat();
        let before = out.clone();
        let result = append(dialect, &Sum, &mut out, message.len());
        assert_eq!((result, out), (Err(WriteError::BehindMac(137)), before));
    }
}

#[test]
fn a_dialect_whose_answers_repeat_a_field_above_128_carries_none() {
    let base = Dialect::VISA_LIKE;
    for relay in [Relay::Echo, Relay::Replay] {
        let row = |row: &FieldSpec| match row.number {
            137 => row.relayed(relay),
            _ => *row,
        };
        let rows: Vec<_> = base.rows().map(row).collect();
        let dialect = Dialect::new("repeats DE137", base.form(), &rows, &[]).unwrap();
        let dialect: &'static Dialect = std::boxed::Box::leak(std::boxed::Box::new(dialect));
        assert!(!is_carried_by(dialect), "{relay:?}");
    }
}

#[test]
fn a_mac_over_other_bytes_is_wrong() {
    let without_its_bit = raw(b"0800", &[11], b"000042");
    let bytes = raw(b"0800", &[11, 64], b"000042");
    let mac = Sum.compute(&without_its_bit);
    check(&[&bytes[..], &mac].concat(), Err(wrong(64)));
    let above = raw(b"0800", &[1, 11, 70, 128], b"000042301");
    let mac = Sum.compute(&above[4..]);
    check(&[&above[..], &mac].concat(), Err(wrong(128)));
}

#[test]
fn an_error_names_field_and_rule() {
    let told = std::format!("{}; {}", missing(128), wrong(64));
    assert_eq!(
        told,
        "field 128: the message authentication code is missing; \
         field 64: the message authentication code is wrong"
    );
}

#[test]
fn a_mac_is_appended_and_its_bit_is_set() {
    let purchase = purchase_bytes();
    let bytes = authenticated(Dialect::ISO87_ASCII, &purchase);
    let mut covered = purchase;
    covered[11] |= 1;
    assert_eq!(bytes, with_mac(&covered));
    let network = written(
        Dialect::ISO87_ASCII,
        "0800",
        &[(11, b"000042"), (70, b"301")],
    );
    let bytes = authenticated(Dialect::ISO87_ASCII, &network);
    let covered = raw(b"0800", &[1, 11, 70, 128], b"000042301");
    assert_eq!(bytes, with_mac(&covered));
}

#[test]
fn where_no_mac_can_be_the_message_stays_as_it_was() {
    let check = |dialect, message: &[u8], room: usize, expected| {
        let mut out = [message, &[0xEE; 64][..room]].concat();
        let before = out.clone();
        let result = append(dialect, &Sum, &mut out, message.len());
        assert_eq!((result, out), (Err(expected), before));
    };
    let purchase = purchase_bytes();
    let ascii = Dialect::ISO87_ASCII;
    check(ascii, &purchase, MAC_LEN - 1, WriteError::Full);
    let twice = authenticated(ascii, &purchase);
    check(ascii, &twice, 64, WriteError::Order(64));
    let network = written(ascii, "0800", &[(70, b"301"), (128, &[0; MAC_LEN])]);
    check(ascii, &network, 64, WriteError::Order(128));
    check(ascii, b"0200 is cut", 64, WriteError::Content(1));
    let empty_secondary = raw(b"0800", &[1, 11], b"000042");
    check(ascii, &empty_secondary, 64, WriteError::Content(1));
    let mut out = [0; 8];
    assert_eq!(append(ascii, &Sum, &mut out, 9), Err(WriteError::Full));
}

#[test]
fn hexadecimal_digits_are_compared_as_bytes() {
    let dialect = Dialect::ISO87_ASCII_HEX;
    let message = written(dialect, "0800", &[(41, b"TERM0001"), (43, &[b' '; 40])]);
    let mut bytes = authenticated(dialect, &message);
    assert_eq!(bytes.len(), message.len() + 2 * MAC_LEN);
    let (covered, mac) = bytes.split_at_mut(message.len());
    let expected = Sum.compute(covered).map(|byte| std::format!("{byte:02X}"));
    assert_eq!(mac, expected.concat().as_bytes());
    mac.make_ascii_lowercase();
    let message = Message::new(dialect, bytes.clone());
    assert_eq!(verify(message.view(), &Sum), Ok(()));
    // The bitmap is covered as it stands: in another letter case these are other bytes.
    assert_eq!(&bytes[4..20], b"0000000000A00001");
    bytes[4..20].make_ascii_lowercase();
    let message = Message::new(dialect, bytes);
    assert_eq!(verify(message.view(), &Sum), Err(wrong(64)));
}

#[test]
fn both_built_in_dialects_carry_a_mac() {
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX] {
        assert!(is_carried_by(dialect), "{dialect:?}");
    }
    let rows: Vec<_> = (2..=127)
        .filter_map(|number| Dialect::ISO87_ASCII.field(number).copied())
        .collect();
    let dialect = Dialect::new("no DE128", Dialect::ISO87_ASCII.form(), &rows, &[]).unwrap();
    let dialect: &'static Dialect = std::boxed::Box::leak(std::boxed::Box::new(dialect));
    assert!(!is_carried_by(dialect));
}

#[test]
fn what_follows_the_message_in_its_buffer_is_no_part_of_it() {
    let message = purchase_with("0200", &[]);
    let bytes = authenticated(Dialect::ISO87_ASCII, &message.bytes);
    let mut longer = Message::new(Dialect::ISO87_ASCII, bytes);
    longer.bytes.push(0);
    assert_eq!(verify(longer.view(), &Sum), Err(not_last_field(64)));
}

proptest! {
    #[test]
    fn any_changed_bit_is_refused(
        mut fields in any_fields(Dialect::ISO87_ASCII),
        flipped in any::<proptest::sample::Index>(),
    ) {
        let dialect = Dialect::ISO87_ASCII;
        fields.retain(|(number, _)| !matches!(number, 64 | 128));
        let fields: Vec<(u8, &[u8])> = fields.iter().map(|(n, value)| (*n, &value[..])).collect();
        let mut bytes = authenticated(dialect, &written(dialect, "0200", &fields));
        let message = Message::new(dialect, bytes.clone());
        prop_assert_eq!(verify(message.view(), &Sum), Ok(()));
        let bit = flipped.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut index = FieldIndex::new();
        if dialect.parse(&bytes, &mut index).is_ok() {
            prop_assert!(verify(MessageRef::new(&bytes, &index), &Sum).is_err());
        }
    }
}
