//! There and back, in one edition and between two, field by field.

use std::vec::Vec;

use domain::currency::Currency;

use super::super::write::tests::{admitted, leg, written};
use super::*;
use crate::testing::{Message, mti_of, written as message};
use crate::translate::{self, write_refusal};

/// Seven private bytes that no character set knows.
const PRIVATE: &[u8] = b"\x00\x01\xFF \xC3\x28\x80";
/// What an acquirer of 1987 asks without naming an account.
const ASKED: [(u8, &[u8]); 10] = [
    (7, b"0601120000"),
    (11, b"000042"),
    (12, b"150000"),
    (13, b"0601"),
    (18, b"5411"),
    (32, b"00000123456"),
    (37, b"615212000042"),
    (48, PRIVATE),
    (63, PRIVATE),
    (127, PRIVATE),
];
const ASKED_1993: [(u8, &[u8]); 8] = [
    (11, b"000042"),
    (12, b"260601150000"),
    (24, b"600"),
    (26, b"5411"),
    (37, b"615212000042"),
    (41, b"TERM0001"),
    (72, b"what is asked"),
    (123, PRIVATE),
];

fn forwarding() -> InstitutionId {
    InstitutionId::new("DE33", b"628123").unwrap()
}

fn asked(dialect: &'static Dialect, mti: &str, more: &[(u8, &[u8])]) -> Message {
    let base: &[(u8, &[u8])] = if dialect.version() == Version::Iso1993 {
        &ASKED_1993
    } else {
        &ASKED
    };
    let mut fields: Vec<(u8, &[u8])> = [base, more].concat();
    fields.sort_by_key(|(number, _)| *number);
    Message::new(dialect, message(dialect, mti, &fields))
}

fn sent(dialect: &'static Dialect, request: &Message, amount: Option<Amount>) -> Message {
    let (leg, forwarding) = (leg(), forwarding());
    let going = GoingAdministrative {
        leg: &leg,
        forwarding: &forwarding,
        asked: admitted(),
        amount,
    };
    let written = |out: &mut [u8]| write_administrative(dialect, request.view(), &going, out);
    Message::new(dialect, self::written(written))
}

fn told(request: &Message, answer: &Message, code: &str) -> Message {
    let dialect = request.view().dialect();
    let code = ResponseCode::read(code.as_bytes()).unwrap();
    let written = |out: &mut [u8]| {
        write_administrative_answer(dialect, request.view(), answer.view(), code, out)
    };
    Message::new(dialect, self::written(written))
}

/// The type and all fields are these.
#[track_caller]
fn check(found: &Message, mti: &str, expected: &[(u8, &[u8])]) {
    assert_eq!(found.view().mti(), mti_of(mti));
    let expected: Vec<(u8, Vec<u8>)> = expected
        .iter()
        .map(|(number, value)| (*number, value.to_vec()))
        .collect();
    assert_eq!(found.values(), expected);
}

#[test]
fn it_names_no_account_no_terminal_and_no_amount() {
    let message = asked(Dialect::ISO87_ASCII, "0621", &[]);
    let fields = administrative(message.view()).unwrap();
    assert_eq!(fields.kind, MessageKind::Advice);
    assert!(fields.account.is_none() && fields.amount.is_none());
    assert!(fields.trace.terminal.is_empty());
    let more: [(u8, &[u8]); 3] = [
        (4, b"000000001500"),
        (35, b"5061001234567890=2812"),
        (49, b"404"),
    ];
    let message = asked(Dialect::ISO87_ASCII, "0600", &more);
    let fields = administrative(message.view()).unwrap();
    assert_eq!(fields.kind, MessageKind::Request);
    assert_eq!(fields.amount, Amount::new(1_500, Currency::KES).ok());
    assert_eq!(fields.account.unwrap().expose_digits(), b"5061001234567890");
}

#[test]
fn what_it_may_not_lack_and_what_it_is_not() {
    #[track_caller]
    fn refused(message: &Message, field: u8) {
        let error = administrative(message.view()).unwrap_err();
        assert_eq!(error.field, field);
    }
    let without = |field: u8| {
        let fields: Vec<_> = ASKED.into_iter().filter(|(it, _)| *it != field).collect();
        let dialect = Dialect::ISO87_ASCII;
        Message::new(dialect, message(dialect, "0600", &fields))
    };
    refused(&without(11), 11);
    refused(&without(7), 7);
    let dialect = Dialect::ISO93_ASCII;
    let bare = Message::new(dialect, message(dialect, "1604", &[(11, b"000042")]));
    refused(&bare, 12);
    for mti in ["0610", "0640", "0606", "0800", "1600"] {
        refused(&asked(Dialect::ISO87_ASCII, mti, &[]), 0);
    }
    let two: [(u8, &[u8]); 2] = [(2, b"4111111111111111"), (35, b"5061001234567890=2812")];
    refused(&asked(Dialect::ISO87_ASCII, "0600", &two), 2);
}

#[test]
fn within_an_edition_all_of_it_is_passed_on() {
    let more: [(u8, &[u8]); 3] = [(52, b"PINBLOCK"), (53, b"0000000000000001"), (70, b"301")];
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_BCD] {
        let request = asked(Dialect::ISO87_ASCII, "0601", &more);
        let sent = sent(dialect, &request, None);
        let expected: [(u8, &[u8]); 14] = [
            (7, b"0601120001"),
            (11, b"700001"),
            (12, b"150000"),
            (13, b"0601"),
            (18, b"5411"),
            (32, b"00000123456"),
            (33, b"628123"),
            (37, b"615212000042"),
            (48, PRIVATE),
            (52, b"PINBLOCK"),
            (53, b"0000000000000001"),
            (63, PRIVATE),
            (70, b"301"),
            (127, PRIVATE),
        ];
        check(&sent, "0600", &expected);
    }
}

#[test]
fn an_amount_is_told_in_the_units_of_the_issuer() {
    let more: [(u8, &[u8]); 2] = [(4, b"000000001500"), (49, b"404")];
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO93_ASCII] {
        let request = asked(Dialect::ISO87_ASCII, "0600", &more);
        let sent = sent(dialect, &request, Amount::new(15, Currency::KES).ok());
        assert_eq!(sent.view().array(4), Some(*b"000000000015"));
        assert_eq!(sent.view().array(49), Some(*b"404"));
    }
}

/// DE24 is left out: what it would say in 1993 does not follow from 0600.
#[test]
fn from_1987_to_1993_and_back() {
    let request = asked(Dialect::ISO87_ASCII, "0620", &[(70, b"301")]);
    let sent = sent(Dialect::ISO93_ASCII, &request, None);
    let expected: [(u8, &[u8]); 9] = [
        (7, b"0601120001"),
        (11, b"700001"),
        (12, b"260601150000"),
        (26, b"5411"),
        (32, b"00000123456"),
        (33, b"628123"),
        (37, b"615212000042"),
        (48, PRIVATE),
        (63, PRIVATE),
    ];
    let carried: Vec<_> = expected.into_iter().chain([(127, PRIVATE)]).collect();
    check(&sent, "1620", &carried);
    let answer: [(u8, &[u8]); 8] = [
        (7, b"0601120009"),
        (11, b"700001"),
        (12, b"260601150000"),
        (15, b"260602"),
        (37, b"999999999999"),
        (39, b"600"),
        (44, b"more to say"),
        (72, b"only of 1993"),
    ];
    let dialect = Dialect::ISO93_ASCII;
    let answer = Message::new(dialect, message(dialect, "1630", &answer));
    let told = told(&request, &answer, "600");
    let expected: [(u8, &[u8]); 9] = [
        (7, b"0601120000"),
        (11, b"000042"),
        (12, b"150000"),
        (13, b"0601"),
        (15, b"0602"),
        (32, b"00000123456"),
        (37, b"615212000042"),
        (39, b"00"),
        (44, b"more to say"),
    ];
    check(&told, "0630", &expected);
}

#[test]
fn from_1993_to_1987_and_back() {
    let request = asked(Dialect::ISO93_ASCII, "1605", &[]);
    let sent = sent(Dialect::ISO87_ASCII, &request, None);
    let expected: [(u8, &[u8]); 9] = [
        (7, b"0601120001"),
        (11, b"700001"),
        (12, b"150000"),
        (13, b"0601"),
        (18, b"5411"),
        (33, b"628123"),
        (37, b"615212000042"),
        (41, b"TERM0001"),
        (123, PRIVATE),
    ];
    check(&sent, "0604", &expected);
    let answer: [(u8, &[u8]); 5] = [
        (7, b"0601120001"),
        (11, b"700001"),
        (39, b"00"),
        (41, b"TERM0001"),
        (62, PRIVATE),
    ];
    let dialect = Dialect::ISO87_ASCII;
    let answer = Message::new(dialect, message(dialect, "0614", &answer));
    let told = told(&request, &answer, "00");
    let expected: [(u8, &[u8]); 6] = [
        (11, b"000042"),
        (12, b"260601150000"),
        (37, b"615212000042"),
        (39, b"600"),
        (41, b"TERM0001"),
        (62, PRIVATE),
    ];
    check(&told, "1614", &expected);
}

//= docs/rules.md#P-07
#[test]
fn an_answer_has_the_echo_fields_of_its_request_and_nothing_of_the_card() {
    let request = asked(Dialect::ISO87_ASCII, "0600", &[(41, b"TERM 1  ")]);
    let answer: [(u8, &[u8]); 16] = [
        (2, b"5061001234567890"),
        (4, b"000000009999"),
        (7, b"0601120001"),
        (11, b"700001"),
        (33, b"628123"),
        (35, b"5061001234567890=2812"),
        (37, b"000000700001"),
        (38, b"A1B2C3"),
        (39, b"00"),
        (41, b"OTHER   "),
        (42, b"MERCHANT 000001"),
        (45, b"B5061001234567890^N^2812"),
        (48, b"answer in private"),
        (52, b"PINBLOCK"),
        (54, b"0001404C000000001500"),
        (120, PRIVATE),
    ];
    let dialect = Dialect::ISO87_BCD;
    let answer = Message::new(dialect, message(dialect, "0610", &answer));
    let told = told(&request, &answer, "05");
    let expected: [(u8, &[u8]); 12] = [
        (7, b"0601120000"),
        (11, b"000042"),
        (12, b"150000"),
        (13, b"0601"),
        (32, b"00000123456"),
        (37, b"615212000042"),
        (38, b"A1B2C3"),
        (39, b"05"),
        (41, b"TERM 1  "),
        (48, b"answer in private"),
        (54, b"0001404C000000001500"),
        (120, PRIVATE),
    ];
    check(&told, "0610", &expected);
}

/// 1993 says yes to it in its own way, unless the issuer has said what it says.
#[test]
fn codes_are_those_of_the_edition_of_the_acquirer() {
    let request = asked(Dialect::ISO93_ASCII, "1624", &[]);
    let dialect = Dialect::ISO93_ASCII;
    let answer = Message::new(dialect, message(dialect, "1634", &[(39, b"000")]));
    for (code, written) in [
        ("00", "600"),
        ("000", "000"),
        ("600", "600"),
        ("911", "911"),
    ] {
        let told = told(&request, &answer, code);
        assert_eq!(told.view().field(39), Some(written.as_bytes()), "{code}");
    }
    let request = asked(Dialect::ISO87_ASCII, "0600", &[]);
    for (code, written) in [("00", "00"), ("600", "00"), ("911", "91"), ("902", "12")] {
        let told = told(&request, &answer, code);
        assert_eq!(told.view().field(39), Some(written.as_bytes()), "{code}");
    }
}

/// It names no terminal, and can be refused all the same.
#[test]
fn one_without_a_terminal_can_be_refused() {
    let request = asked(Dialect::ISO87_ASCII, "0600", &[]);
    assert!(translate::can_be_refused(request.view()));
    let code = ResponseCode::ISSUER_TIMED_OUT;
    let dialect = Dialect::ISO87_ASCII;
    let refused = |out: &mut [u8]| write_refusal(dialect, request.view(), code, None, out);
    let refused = Message::new(dialect, written(refused));
    assert_eq!(refused.view().field(39), Some(&b"91"[..]));
}
