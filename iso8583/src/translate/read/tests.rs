//! What messages say, and what each misses.

use std::format;
use std::vec::Vec;

use super::*;
use crate::dialect::Dialect;
use crate::message::FieldIndex;
use crate::testing::{Message, purchase_with, raw};

type Changes<'a> = &'a [(u8, &'a [u8])];

const REVERSAL: Changes<'static> = &[(14, b""), (22, b""), (35, b""), (55, b""), (63, b"")];

/// DE90 as its layout says: 0200, STAN 000042, DE7 0601120000, institutions.
const ORIGINAL: &[u8] = b"020000004206011200000000012345600000000999";

#[track_caller]
fn check_refused(mti: &str, changes: Changes<'_>, field: u8) {
    let message = purchase_with(mti, changes);
    assert_eq!(request(message.view()).unwrap_err(), FormatError { field });
}

#[test]
fn a_purchase_says_everything() {
    let message = purchase_with("0200", &[]);
    let fields = request(message.view()).unwrap();
    assert_eq!(fields.class, MessageClass::Financial);
    assert_eq!(fields.transmission, Transmission::First);
    assert_eq!(fields.account.expose_digits(), b"5061001234567890");
    assert_eq!(fields.amount, Amount::new(1500, Currency::KES).unwrap());
    assert_eq!(fields.processing_code.as_str(), "000000");
    assert_eq!(fields.merchant_category.as_str(), "5411");
    assert_eq!(fields.entry_mode.as_str(), "051");
    let trace = fields.trace;
    assert_eq!(trace.stan.number(), 42);
    assert_eq!(trace.transmitted.as_number(), 601_120_000);
    assert_eq!(trace.local_time.as_str(), "150000");
    assert_eq!(trace.local_date.as_str(), "0601");
    assert_eq!(trace.rrn.as_str(), "615212000042");
    assert_eq!(trace.terminal.as_str(), "TERM0001");
    assert_eq!(trace.merchant.as_str(), "MERCHANT 000001");
    assert_eq!(trace.institution.as_str(), "00000123456");
}

#[test]
fn class_and_transmission_come_from_the_type() {
    let check = |mti: &str, class, transmission| {
        let message = purchase_with(mti, &[]);
        let fields = request(message.view()).unwrap();
        assert_eq!(
            (fields.class, fields.transmission),
            (class, transmission),
            "{mti}"
        );
    };
    check("0100", MessageClass::Authorisation, Transmission::First);
    check("0101", MessageClass::Authorisation, Transmission::Repeat);
    check("0201", MessageClass::Financial, Transmission::Repeat);
    check("0202", MessageClass::Financial, Transmission::First);
    for other in [
        "0110", "0120", "0210", "0220", "0400", "0800", "1200", "0240", "0000",
    ] {
        check_refused(other, &[], 0);
    }
}

/// The field that the dialect's requirements miss.
fn missing(message: &Message) -> Option<u8> {
    message
        .view()
        .check_requirements()
        .err()
        .map(|error| error.field)
}

#[test]
fn each_mandatory_field_is_missed() {
    for field in [3, 4, 7, 11, 41, 49] {
        check_refused("0200", &[(field, b"")], field);
        let lacking = purchase_with("0200", &[(field, b"")]);
        assert_eq!(missing(&lacking), Some(field));
    }
    check_refused("0200", &[(2, b""), (35, b"")], 2);
    let lacking = purchase_with("0200", &[(2, b""), (35, b"")]);
    assert_eq!(missing(&lacking), Some(2));
    assert_eq!(missing(&purchase_with("0200", &[])), None);
}

#[test]
fn an_enquiry_may_lack_its_amount_and_no_other_field() {
    let enquiry = |changes: &[(u8, &'static [u8])]| {
        let changes: Vec<_> = [&[(3, &b"310000"[..])], changes].concat();
        purchase_with("0200", &changes)
    };
    let nothing = b"000000000000";
    let check = |changes: &[(u8, &'static [u8])], minor, currency| {
        let message = enquiry(changes);
        assert_eq!(missing(&message), None);
        let fields = request(message.view()).unwrap();
        assert_eq!(fields.amount, Amount::new(minor, currency).unwrap());
    };
    check(&[], 1500, Currency::KES);
    check(&[(4, b"")], 0, Currency::KES);
    check(&[(4, b""), (49, b"")], 0, Currency::NONE);
    check(&[(4, nothing)], 0, Currency::KES);
    check(&[(4, nothing), (49, b"")], 0, Currency::NONE);
    let bare = enquiry(&[(49, b"")]);
    let refused = request(bare.view()).unwrap_err();
    assert_eq!(refused, FormatError { field: 49 }, "of so much of what?");
    for field in [7, 11, 41] {
        let lacking = enquiry(&[(4, b""), (49, b""), (field, b"")]);
        assert_eq!(missing(&lacking), Some(field));
    }
}

#[test]
fn optional_fields_may_be_absent() {
    let absent: Vec<(u8, &[u8])> = [12, 13, 18, 22, 32, 37, 42, 55]
        .into_iter()
        .map(|field| (field, &b""[..]))
        .collect();
    let message = purchase_with("0200", &absent);
    let fields = request(message.view()).unwrap();
    assert!(fields.merchant_category.is_empty() && fields.entry_mode.is_empty());
    assert!(fields.trace.rrn.is_empty() && fields.trace.institution.is_empty());
}

#[test]
fn values_that_no_field_may_have() {
    check_refused("0200", &[(49, b"000")], 49);
    check_refused("0200", &[(49, b"XQX")], 49);
    check_refused("0200", &[(2, b"1234567")], 2);
}

#[test]
fn the_account_is_that_of_the_track() {
    let check = |track: &[u8], account: &[u8]| {
        let message = purchase_with("0200", &[(2, b""), (35, track)]);
        let fields = request(message.view()).unwrap();
        assert_eq!(fields.account.expose_digits(), account);
    };
    check(
        b"5061001234567890=28122011234567890123",
        b"5061001234567890",
    );
    check(b"5061001234567890D2812", b"5061001234567890");
    check(b"5061001234567890123=", b"5061001234567890123");
    check_refused("0200", &[(2, b""), (35, b"5061001234567890")], 35);
    check_refused("0200", &[(2, b""), (35, b"=5061001234567890")], 35);
    check_refused("0200", &[(2, b""), (35, b"50610012345678901234=")], 35);
    check_refused("0200", &[(2, b"5061001234567891")], 2);
    check_refused("0200", &[(2, b"506100123456789")], 2);
}

#[test]
fn printing_shows_no_account() {
    let message = purchase_with("0200", &[]);
    let shown = format!("{:?}", request(message.view()).unwrap());
    assert!(
        shown.contains("506100******7890") && !shown.contains("1234567"),
        "{shown}"
    );
    let message = purchase_with("0420", REVERSAL);
    let shown = format!("{:?}", reversal(message.view()).unwrap());
    assert!(
        shown.contains("506100******7890") && !shown.contains("1234567"),
        "{shown}"
    );
}

#[track_caller]
fn check_original(de90: &[u8], stan: u32, class: Option<MessageClass>, transmitted: Option<u32>) {
    let changes = [REVERSAL, &[(11, &b"000043"[..]), (90, de90)]].concat();
    let message = purchase_with("0420", &changes);
    let original = reversal(message.view()).unwrap().original;
    assert_eq!(original.stan.number(), stan);
    assert_eq!(original.class, class);
    assert_eq!(
        original.transmitted.map(TransmissionTime::as_number),
        transmitted
    );
    assert_eq!(original.rrn.as_str(), "615212000042");
}

#[test]
fn de90_names_the_original() {
    let financial = Some(MessageClass::Financial);
    check_original(ORIGINAL, 42, financial, Some(601_120_000));
    check_original(
        b"010100004206011200000000000000000000000000",
        42,
        Some(MessageClass::Authorisation),
        Some(601_120_000),
    );
    check_original(
        b"020000004200000000000000012345600000000999",
        42,
        financial,
        None,
    );
}

#[test]
fn a_de90_that_is_not_as_its_layout_says_names_nothing() {
    check_original(b"", 43, None, None);
    check_original(&[b'0'; 42], 43, None, None);
    check_original(
        b"042000004206011200000000012345600000000999",
        43,
        None,
        None,
    );
    check_original(
        b"120000004206011200000000012345600000000999",
        43,
        None,
        None,
    );
    check_original(
        b"020000004299999999990000012345600000000999",
        43,
        None,
        None,
    );
}

#[test]
fn de95_is_the_amount_really_completed() {
    let check = |de95: &[u8], replacement: Option<u64>| {
        let changes = [REVERSAL, &[(95, de95)]].concat();
        let message = purchase_with("0420", &changes);
        let fields = reversal(message.view()).unwrap();
        assert_eq!(fields.amount.minor(), 1500);
        assert_eq!(fields.replacement.map(Amount::minor), replacement);
        assert!(
            fields
                .replacement
                .is_none_or(|amount| amount.currency() == Currency::KES)
        );
    };
    check(b"", None);
    check(&[b'0'; 42], None);
    check(b"000000001000000000000000C00000000C00000000", Some(1000));
    check(b"000000001000000000000000000000000000000000", Some(1000));
    let changes = [
        REVERSAL,
        &[(95, &b"00000000100X000000000000C00000000C00000000"[..])],
    ]
    .concat();
    let message = purchase_with("0420", &changes);
    assert_eq!(
        reversal(message.view()).unwrap_err(),
        FormatError { field: 95 }
    );
}

#[test]
fn a_reversal_needs_no_account_but_what_names_it() {
    for (mti, transmission) in [
        ("0400", Transmission::First),
        ("0401", Transmission::Repeat),
        ("0420", Transmission::First),
        ("0421", Transmission::Repeat),
    ] {
        let changes = [REVERSAL, &[(2, &b""[..]), (3, b"")]].concat();
        let message = purchase_with(mti, &changes);
        let fields = reversal(message.view()).unwrap();
        assert_eq!((fields.transmission, fields.account), (transmission, None));
    }
    for field in [4, 7, 11, 41, 49] {
        let changes = [REVERSAL, &[(field, &b""[..])]].concat();
        let message = purchase_with("0420", &changes);
        assert_eq!(reversal(message.view()).unwrap_err(), FormatError { field });
    }
    let of_enquiry = [REVERSAL, &[(3, b"310000"), (4, b""), (49, b"")]].concat();
    let fields = reversal(purchase_with("0420", &of_enquiry).view()).unwrap();
    assert_eq!(fields.amount, Amount::new(0, Currency::NONE).unwrap());
    for other in ["0200", "0430", "0410", "0440", "1420", "0800"] {
        let message = purchase_with(other, REVERSAL);
        assert_eq!(
            reversal(message.view()).unwrap_err(),
            FormatError { field: 0 }
        );
    }
}

#[test]
fn what_an_issuer_answers() {
    let message = purchase_with("0210", &[(38, b"A1B2C3"), (39, b"00"), (44, b"note")]);
    let mut scratch = [0; 1024];
    let answer = issuer_answer(message.view(), &CodeMap::STANDARD, &mut scratch).unwrap();
    assert_eq!(answer.code, ResponseCode::APPROVED);
    assert_eq!(answer.authorisation.as_str(), "A1B2C3");
    assert_eq!(
        answer.amount,
        Some(Amount::new(1500, Currency::KES).unwrap())
    );
    let message = purchase_with("0210", &[(4, b""), (49, b""), (39, b"51")]);
    let answer = issuer_answer(message.view(), &CodeMap::STANDARD, &mut scratch).unwrap();
    assert_eq!(
        (answer.amount, answer.authorisation.is_empty()),
        (None, true)
    );
}

#[test]
fn fault_055_an_answer_that_cannot_be_used() {
    let check = |changes: Changes<'_>, field: u8| {
        let message = purchase_with("0210", changes);
        let error = issuer_answer(message.view(), &CodeMap::STANDARD, &mut [0; 1024]).unwrap_err();
        assert_eq!(error, FormatError { field });
    };
    check(&[], 39);
    check(&[(39, b"0 ")], 39);
    check(&[(39, b"00"), (49, b"")], 49);
    let mut index = FieldIndex::new();
    let garbled = raw(b"0210", &[11, 39], b"000042\xF0\xF0");
    Dialect::ISO87_ASCII
        .parse(&garbled, &mut index)
        .unwrap_err();
    let view = MessageRef::new(&garbled, &index);
    assert_eq!(stan(view).unwrap().number(), 42, "it can still be matched");
    assert_eq!(
        response_code(view, &CodeMap::STANDARD),
        Err(FormatError { field: 39 })
    );
}

#[test]
fn what_can_be_refused_and_what_is_closed() {
    let check = |bytes: Vec<u8>, expected: bool| {
        let mut index = FieldIndex::new();
        Dialect::ISO87_ASCII.parse(&bytes, &mut index).unwrap_err();
        assert_eq!(can_be_refused(MessageRef::new(&bytes, &index)), expected);
    };
    check(raw(b"0200", &[3, 11, 41], b"00000x000042TERM0001"), true);
    check(raw(b"0200", &[11, 41, 48], b"000042TERM000199x"), true);
    check(raw(b"5200", &[3, 11, 41], b"00000x000042TERM0001"), true);
    check(raw(b"0210", &[3, 11, 41], b"00000x000042TERM0001"), false);
    check(raw(b"0200", &[11, 41], b"00004xTERM0001"), false);
    check(raw(b"0200", &[11, 41], b"000042TERM\xFF001"), false);
    check(raw(b"0200", &[2, 11, 41], b"99000042TERM0001"), false);
    check(b"02".to_vec(), false);
}

#[test]
fn a_message_of_the_hexadecimal_dialect_says_the_same() {
    let plain = purchase_with("0200", &[]);
    let fields: Vec<_> = plain.view().fields().collect();
    let hex = crate::testing::written(Dialect::ISO87_ASCII_HEX, "0200", &fields);
    let hex = Message::new(Dialect::ISO87_ASCII_HEX, hex);
    let (plain, hex) = (request(plain.view()).unwrap(), request(hex.view()).unwrap());
    assert_eq!((plain.trace, plain.amount), (hex.trace, hex.amount));
}

#[test]
fn a_fourth_digit_of_the_entry_mode_is_a_fill() {
    let fields: [(u8, &[u8]); 8] = [
        (2, b"5061001234567890"),
        (3, b"000000"),
        (4, b"000000001500"),
        (7, b"0601120000"),
        (11, b"000042"),
        (22, b"0510"),
        (41, b"TERM0001"),
        (49, b"404"),
    ];
    let bytes = crate::testing::written(Dialect::VISA_LIKE, "0100", &fields);
    let message = Message::new(Dialect::VISA_LIKE, bytes);
    let told = request(message.view()).unwrap();
    assert_eq!(told.entry_mode.as_bytes(), b"051");
}
