//! What an advice says, what of it is kept, and what an issuer gets.

use std::vec::Vec;

use domain::bytes::Text;
use domain::ids::{Stan, TransactionId};
use domain::record::Extent;
use domain::request::MessageKind;
use domain::time::TransmissionTime;

use super::*;
use crate::testing::{Message, purchase_with};
use crate::translate::write::tests::{admitted, facts, forwarding, leg, written};

const DIALECT: &Dialect = Dialect::ISO87_ASCII;
const ORIGINAL: &[u8] = b"010000004106011159300000012345600000000000";

/// A completion: approved earlier, and posted now.
fn completion(mti: &str) -> Message {
    let quoted: [(u8, &[u8]); 3] = [(38, b"A1B2C3"), (39, b"00"), (90, ORIGINAL)];
    purchase_with(mti, &quoted)
}

fn kept(message: &Message) -> Vec<u8> {
    let mut scratch = [0; 1024];
    let own = ReasonField::of_dialect(message.view().dialect());
    advice_content(message.view(), Why::Said(own), &mut scratch).to_vec()
}

fn owed<'a>(
    (facts, leg, us): &'a (Facts, IssuerLeg, InstitutionId),
    fields: &'a [u8],
) -> IssuerAdvice<'a> {
    IssuerAdvice {
        facts,
        account: b"5061001234567890",
        amount: facts.amount,
        leg,
        forwarding: us,
        completed: None,
        decided: admitted(),
        authorisation: &AuthorisationId::EMPTY,
        transmission: Transmission::First,
        fields,
        reason_field: None,
    }
}

fn of_issuer(dialect: &'static Dialect, advice: &IssuerAdvice<'_>) -> Message {
    Message::new(dialect, written(|out| write_advice(dialect, advice, out)))
}

fn parts() -> (Facts, IssuerLeg, InstitutionId) {
    (facts(), leg(), forwarding())
}

#[test]
fn an_advice_says_what_a_request_says_and_what_was_decided() {
    for (mti, class, transmission) in [
        ("0120", MessageClass::Authorisation, Transmission::First),
        ("0121", MessageClass::Authorisation, Transmission::Repeat),
        ("0220", MessageClass::Financial, Transmission::First),
        ("0221", MessageClass::Financial, Transmission::Repeat),
    ] {
        let fields = advice(completion(mti).view()).unwrap();
        let request = &fields.request;
        assert_eq!((request.class, request.transmission), (class, transmission));
        assert_eq!(fields.reported, Some(ResponseCode::APPROVED));
        let original = fields.original.unwrap();
        assert_eq!(
            (
                original.stan.number(),
                original.class,
                original.rrn.as_str()
            ),
            (41, Some(MessageClass::Authorisation), "615212000042")
        );
        let sent = TransmissionTime::from_digits(b"0601115930").ok();
        assert_eq!(original.transmitted, sent);
    }
}

#[test]
fn what_is_no_advice_or_lacks_a_field_is_told() {
    let check = |message: &Message, field| {
        assert_eq!(advice(message.view()).unwrap_err(), FormatError { field });
    };
    check(&purchase_with("0200", &[]), 0);
    check(&purchase_with("0420", &[]), 0);
    check(&purchase_with("0220", &[(4, b"")]), 4);
    check(&purchase_with("0220", &[(39, b"0 ")]), 39);
}

#[test]
fn an_original_of_another_layout_names_nothing() {
    let message = purchase_with(
        "0220",
        &[(90, b"999900004106011159300000012345600000000000")],
    );
    assert!(advice(message.view()).unwrap().original.is_none());
}

#[test]
fn nothing_secret_is_kept() {
    let kept = kept(&completion("0220"));
    let numbers: Vec<u8> = AnswerFields(&kept).map(|(number, _)| number).collect();
    assert_eq!(numbers, [25, 38, 39, 43, 55, 90]);
    let (_, chip) = AnswerFields(&kept)
        .find(|(number, _)| *number == 55)
        .unwrap();
    assert!(!chip.contains(&0x57), "the track is left out: {chip:x?}");
    for secret in [
        &b"5061001234567890"[..],
        b"28122011234567890123",
        b"private",
    ] {
        let found = kept.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "{secret:x?}");
    }
}

#[test]
fn an_issuer_gets_the_same_with_a_leg_of_its_own() {
    let message = completion("0220");
    let (parts, kept) = (parts(), kept(&message));
    let sent = of_issuer(DIALECT, &owed(&parts, &kept));
    assert_eq!(sent.view().mti(), Mti::FINANCIAL_ADVICE);
    let own: [(u8, &[u8]); 3] = [(7, b"0601120001"), (11, b"700001"), (33, b"999")];
    let same = [
        2, 3, 4, 12, 13, 18, 22, 25, 32, 37, 38, 39, 41, 42, 43, 49, 90,
    ];
    for number in same {
        let field = message.view().field(number);
        assert!(field.is_some(), "{number}");
        assert_eq!(sent.view().field(number), field, "{number}");
    }
    for (number, value) in own {
        assert_eq!(sent.view().field(number), Some(value), "{number}");
    }
    let numbers = sent
        .view()
        .present()
        .iter()
        .filter(|number| ![55, 1].contains(number));
    assert_eq!(numbers.count(), same.len() + own.len());
}

#[test]
fn a_repeat_differs_in_the_origin_digit_alone() {
    let (parts, kept) = (parts(), kept(&completion("0220")));
    let first = owed(&parts, &kept);
    let repeat = IssuerAdvice {
        transmission: Transmission::Repeat,
        ..first
    };
    let (first, repeat) = (of_issuer(DIALECT, &first), of_issuer(DIALECT, &repeat));
    assert_eq!(repeat.bytes[..4], *b"0221");
    assert_eq!(first.bytes[4..], repeat.bytes[4..]);
}

#[test]
fn what_is_completed_is_named_as_its_issuer_knows_it() {
    let (parts, kept) = (parts(), kept(&completion("0220")));
    let completed = Completed {
        transaction: TransactionId(1),
        class: MessageClass::Authorisation,
        kind: MessageKind::Request,
        stan: Stan::new(699_999).unwrap(),
        transmitted: TransmissionTime::from_number(601_115_931),
        local: TransmissionTime::from_number(601_145_931),
        extent: Extent::Whole,
    };
    let advice = IssuerAdvice {
        completed: Some(&completed),
        ..owed(&parts, &kept)
    };
    let sent = of_issuer(DIALECT, &advice);
    let named: &[u8] = b"010069999906011159310000012345600000000999";
    assert_eq!(sent.view().field(90), Some(named));
    // DE56 of 1993 has DE12 of what is completed, not of the advice.
    let sent = of_issuer(Dialect::ISO93_ASCII, &advice);
    let named = sent.view().field(56).unwrap();
    assert_eq!(named.get(..10), Some(&b"1100699999"[..]));
    assert_eq!(named.get(12..22), Some(&b"0601145931"[..]));
}

#[test]
fn an_approval_of_the_switch_has_its_own_number_and_code() {
    let parts = parts();
    let kept = kept(&purchase_with("0200", &[]));
    let authorisation = Text::new("DE38", b"S00001").unwrap();
    let advice = IssuerAdvice {
        authorisation: &authorisation,
        ..owed(&parts, &kept)
    };
    let sent = of_issuer(DIALECT, &advice);
    assert_eq!(sent.view().field(38), Some(&b"S00001"[..]));
    assert_eq!(sent.view().field(39), Some(&b"00"[..]));
}

#[test]
fn an_issuer_of_another_dialect_gets_what_it_can_carry() {
    let (parts, kept) = (parts(), kept(&completion("0220")));
    for dialect in [
        Dialect::ISO87_BCD,
        Dialect::ISO87_EBCDIC,
        Dialect::ISO87_ASCII_HEX,
    ] {
        let sent = of_issuer(dialect, &owed(&parts, &kept));
        let mut text = [0; 64];
        for (number, value) in [
            (2, &b"5061001234567890"[..]),
            (38, b"A1B2C3"),
            (90, ORIGINAL),
        ] {
            assert_eq!(
                sent.view().decode(number, &mut text),
                Some(value),
                "{number}"
            );
        }
    }
}

/// Where the edition stays, DE22 and DE24 say what they said: nobody derives them.
#[test]
fn an_advice_of_1993_keeps_how_the_card_was_read_and_what_the_message_is_for() {
    let said: [(u8, &[u8]); 14] = [
        (2, b"5061001234567890"),
        (3, b"000000"),
        (4, b"000000001500"),
        (7, b"0601120000"),
        (11, b"000042"),
        (12, b"260601150000"),
        (22, b"511101513344"),
        (24, b"202"),
        (26, b"5411"),
        (32, b"00000123456"),
        (37, b"615212000042"),
        (39, b"000"),
        (41, b"TERM0001"),
        (49, b"KES"),
    ];
    let dialect = Dialect::ISO93_ASCII;
    let bytes = crate::testing::written(dialect, "1220", &said);
    let fields = kept(&Message::new(dialect, bytes));
    let parts = parts();
    let sent = of_issuer(dialect, &owed(&parts, &fields)).values();
    let value = |number| {
        sent.iter()
            .find(|(other, _)| *other == number)
            .map(|(_, value)| value)
    };
    assert_eq!(value(22).unwrap(), b"511101513344");
    assert_eq!(value(24).unwrap(), b"202");
    let sent = of_issuer(DIALECT, &owed(&parts, &fields)).values();
    assert!(sent.iter().all(|(number, _)| *number != 24));
    let entry_mode = sent.iter().find(|(number, _)| *number == 22);
    assert_eq!(entry_mode.unwrap().1, parts.0.entry_mode.as_bytes());
}
