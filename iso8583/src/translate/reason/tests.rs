//! Which field says why, and what is read and written there.

use std::boxed::Box;
use std::vec::Vec;

use domain::Amount;
use domain::currency::Currency;
use domain::ids::{AuthorisationId, InstitutionId};
use domain::record::ReversalCause;
use domain::request::{Facts, IssuerLeg, MessageKind, Transmission};
use domain::time::TransmissionTime;

use super::*;
use crate::dialect::Dialect;
use crate::field::FieldSpec;
use crate::testing::{Message, PURCHASE, written as bytes_of};
use crate::translate::write::tests::{admitted, facts, forwarding, leg, written};
use crate::translate::{
    IssuerAdvice, IssuerReversal, ReversalForm, Why, advice_content, write_advice, write_reversal,
};

/// A network that has its reasons in DE60.
fn sixty() -> &'static Dialect {
    sixty_seen_as(Sensitivity::Public)
}

fn sixty_seen_as(sensitivity: Sensitivity) -> &'static Dialect {
    let base = Dialect::ISO87_ASCII;
    let named = FieldSpec::new(60, "advice reason", Class::N, Length::lll(4)).seen_as(sensitivity);
    let rows = base
        .rows()
        .map(|row| if row.number == 60 { named } else { *row });
    let rows: Vec<FieldSpec> = rows.collect();
    let dialect = Dialect::new("sixty", base.form(), &rows, base.requirements());
    Box::leak(Box::new(dialect.unwrap()))
}

fn postilion() -> &'static Dialect {
    Dialect::by_name("postilion-like").unwrap()
}

fn own(dialect: &'static Dialect) -> Option<ReasonField> {
    ReasonField::of_dialect(dialect)
}

fn text(message: &Message, number: u8) -> Option<std::string::String> {
    let mut scratch = [0; 64];
    let value = message.view().decode(number, &mut scratch)?;
    Some(std::string::String::from_utf8_lossy(value).into_owned())
}

#[test]
fn a_dialect_says_where_its_reason_stands() {
    for dialect in Dialect::ALL {
        let is_1993 = dialect.version() == Version::Iso1993;
        let expected = match dialect.name() {
            "postilion-like" => Some(56),
            _ if is_1993 => Some(25),
            _ => None,
        };
        let found = own(dialect).map(ReasonField::number);
        assert_eq!(found, expected, "{}", dialect.name());
    }
}

#[test]
fn an_endpoint_names_only_what_holds_four_digits() {
    let check = |dialect, number, expected| {
        let found = ReasonField::new(dialect, number).is_some();
        assert_eq!(found, expected, "DE{number}");
    };
    check(Dialect::ISO87_ASCII, 25, false);
    check(Dialect::ISO87_ASCII, 56, true);
    check(Dialect::ISO87_ASCII, 60, false);
    check(sixty(), 60, true);
    check(sixty_seen_as(Sensitivity::Sad), 60, false);
    check(Dialect::ISO87_ASCII, 48, false);
    check(Dialect::ISO93_ASCII, 25, true);
    check(Dialect::ISO93_ASCII, 56, false);
    check(postilion(), 56, true);
    check(Dialect::by_name("visa-like").unwrap(), 60, false);
}

/// A row of four digits may be a verification value; then nothing of it is journaled.
#[test]
fn a_dialects_own_field_is_none_where_a_secret_may_stand() {
    for (sensitivity, expected) in [
        (Sensitivity::Public, Some(56)),
        (Sensitivity::Sad, None),
        (Sensitivity::Pan, None),
    ] {
        let seen = |row: &FieldSpec| match row.number {
            56 => row.seen_as(sensitivity),
            _ => *row,
        };
        let rows: Vec<FieldSpec> = postilion().rows().map(seen).collect();
        let dialect = Dialect::new(
            "hidden",
            postilion().form(),
            &rows,
            postilion().requirements(),
        );
        let dialect = Box::leak(Box::new(dialect.unwrap()));
        assert_eq!(own(dialect).map(ReasonField::number), expected);
    }
}

#[test]
fn only_four_digits_are_a_reason() {
    let check = |value: &[u8], expected: Option<u16>| {
        let mut fields = PURCHASE.to_vec();
        fields.push((56, value));
        fields.sort_by_key(|(number, _)| *number);
        let message = Message::new(postilion(), bytes_of(postilion(), "0420", &fields));
        let found = reason(message.view(), own(postilion()));
        assert_eq!(found.map(MessageReason::number), expected);
        assert_eq!(reason(message.view(), None), None);
    };
    check(b"4021", Some(4021));
    check(b"402", None);
}

fn reversal_of<'a>(
    (facts, leg, us): &'a (Facts, IssuerLeg, InstitutionId),
    cause: ReversalCause,
    stays: Option<u64>,
) -> IssuerReversal<'a> {
    IssuerReversal {
        facts,
        account: b"5061001234567890",
        original: MessageKind::Request,
        leg,
        stan: leg.stan,
        form: ReversalForm::Advice,
        forwarding: us,
        amount: facts.amount,
        replacement: stays.map(|minor| Amount::new(minor, Currency::KES).unwrap()),
        decided: admitted(),
        cause,
        reason: None,
        reason_field: None,
        transmission: Transmission::First,
        transmitted: TransmissionTime::from_number(601_120_003),
    }
}

//= docs/rules.md#V-15
#[test]
fn a_reversal_says_why_where_its_issuer_reads_it() {
    let parts = (facts(), leg(), forwarding());
    let (field, sixty) = (ReasonField::new, sixty());
    let places = [
        (postilion(), own(postilion()), 56),
        (Dialect::ISO93_ASCII, own(Dialect::ISO93_ASCII), 25),
        (Dialect::ISO93_BCD, own(Dialect::ISO93_BCD), 25),
        (sixty, field(sixty, 60), 60),
        (Dialect::ISO87_BCD, field(Dialect::ISO87_BCD, 56), 56),
    ];
    let own_words = MessageReason::new(4006).ok();
    let causes = [
        (ReversalCause::Timeout, None, None, "4021"),
        (ReversalCause::Restart, None, None, "4021"),
        (ReversalCause::InvalidAnswer, None, None, "4020"),
        (ReversalCause::Undelivered, None, None, "4000"),
        (ReversalCause::Requested, None, None, "4000"),
        (ReversalCause::Requested, Some(600), None, "4004"),
        (ReversalCause::Requested, None, own_words, "4006"),
        (ReversalCause::Requested, Some(600), own_words, "4006"),
    ];
    for (dialect, reason_field, number) in places {
        for (cause, stays, reason, expected) in causes {
            for transmission in [Transmission::First, Transmission::Repeat] {
                let reversal = IssuerReversal {
                    reason,
                    reason_field,
                    transmission,
                    ..reversal_of(&parts, cause, stays)
                };
                let bytes = written(|out| write_reversal(dialect, &reversal, out));
                let sent = Message::new(dialect, bytes);
                assert_eq!(text(&sent, number).as_deref(), Some(expected), "{cause:?}");
            }
        }
    }
}

#[test]
fn an_issuer_without_a_field_for_it_is_not_told_why() {
    let parts = (facts(), leg(), forwarding());
    for dialect in [Dialect::ISO87_ASCII, Dialect::ISO93_ASCII, postilion()] {
        let reversal = reversal_of(&parts, ReversalCause::Timeout, None);
        let sent = Message::new(
            dialect,
            written(|out| write_reversal(dialect, &reversal, out)),
        );
        assert_eq!((text(&sent, 25), text(&sent, 60)), (None, None));
        let names_original = dialect.version() == Version::Iso1993;
        assert_eq!(text(&sent, 56).is_some(), names_original);
    }
}

/// An advice of the acquirer, with what it says why.
fn advice_from(dialect: &'static Dialect, why: &[u8]) -> Message {
    let mut fields: Vec<(u8, &[u8])> = PURCHASE.to_vec();
    let mut mti = "0220";
    if dialect.version() == Version::Iso1993 {
        mti = "1220";
        fields.retain(|(number, _)| !matches!(number, 12 | 13 | 18 | 22 | 25 | 49));
        fields.extend([
            (12, &b"260601150000"[..]),
            (22, b"511101513344"),
            (24, b"200"),
            (25, why),
            (26, b"5411"),
            (49, b"KES"),
        ]);
    } else if dialect.name() == "postilion-like" {
        fields.push((56, why));
    }
    fields.retain(|(_, value)| !value.is_empty());
    fields.sort_by_key(|(number, _)| *number);
    let known = |(number, _): &(u8, &[u8])| dialect.field(*number).is_some();
    fields.retain(known);
    Message::new(dialect, bytes_of(dialect, mti, &fields))
}

fn told(
    from: &Message,
    why: Why,
    (to, reason_field): (&'static Dialect, Option<ReasonField>),
) -> Message {
    let mut scratch = [0; 1024];
    let fields = advice_content(from.view(), why, &mut scratch);
    told_of(fields, (to, reason_field))
}

fn told_of(fields: &[u8], (to, reason_field): (&'static Dialect, Option<ReasonField>)) -> Message {
    let (facts, leg, us) = (facts(), leg(), forwarding());
    let advice = IssuerAdvice {
        facts: &facts,
        account: b"5061001234567890",
        amount: facts.amount,
        leg: &leg,
        forwarding: &us,
        completed: None,
        decided: admitted(),
        authorisation: &AuthorisationId::EMPTY,
        transmission: Transmission::First,
        fields,
        reason_field,
    };
    Message::new(to, written(|out| write_advice(to, &advice, out)))
}

//= docs/rules.md#A-11
#[test]
fn what_an_advice_says_why_travels_into_the_issuers_field() {
    let (plain, of_1993, sixty) = (Dialect::ISO87_ASCII, Dialect::ISO93_ASCII, sixty());
    for from in [postilion(), of_1993, Dialect::ISO93_BCD] {
        let said = Why::Said(own(from));
        let message = advice_from(from, b"1377");
        let check = |to: &'static Dialect, field: Option<ReasonField>, number| {
            let sent = told(&message, said, (to, field));
            let found = text(&sent, number);
            assert_eq!(
                found.as_deref(),
                Some("1377"),
                "{} to {}",
                from.name(),
                to.name()
            );
        };
        check(postilion(), own(postilion()), 56);
        check(of_1993, own(of_1993), 25);
        check(plain, ReasonField::new(plain, 56), 56);
        check(sixty, ReasonField::new(sixty, 60), 60);
        let sent = told(&message, said, (plain, None));
        assert_eq!((text(&sent, 56), text(&sent, 60)), (None, None));
        assert_ne!(text(&sent, 25).as_deref(), Some("1377"));
        let silent = told(
            &advice_from(from, b""),
            said,
            (postilion(), own(postilion())),
        );
        assert_eq!(text(&silent, 56), None);
    }
    let message = advice_from(plain, b"");
    let sent = told(&message, Why::Said(None), (plain, None));
    assert_eq!(
        text(&sent, 25).as_deref(),
        Some("00"),
        "the condition is no reason"
    );
}

/// A field that is none of the acquirer's reasons stays what it is, whatever it looks like.
#[test]
fn what_an_acquirer_says_where_it_gives_no_reasons_is_none() {
    let plain = Dialect::ISO87_ASCII;
    let message = advice_from(postilion(), b"1377");
    let check = |field: Option<ReasonField>, (to, reads), expected: Option<&str>| {
        let sent = told(&message, Why::Said(field), (to, reads));
        assert_eq!(text(&sent, 56).as_deref(), expected, "{}", to.name());
    };
    let named = ReasonField::new(plain, 56);
    check(None, (postilion(), own(postilion())), None);
    check(None, (plain, named), None);
    check(None, (plain, None), Some("1377"));
    check(own(postilion()), (plain, None), None);
    check(own(postilion()), (plain, named), Some("1377"));
}

/// what the request says about itself is not why it was approved here.
#[test]
fn an_approval_in_the_issuers_place_has_a_reason_of_its_own() {
    for from in [postilion(), Dialect::ISO93_ASCII, Dialect::ISO87_ASCII] {
        let request = advice_from(from, b"1508");
        let why = Why::Instead(own(from), MessageReason::ISSUER_UNAVAILABLE);
        let sent = told(&request, why, (postilion(), own(postilion())));
        assert_eq!(text(&sent, 56).as_deref(), Some("1003"));
        let of_1993 = Dialect::ISO93_ASCII;
        let sent = told(&request, why, (of_1993, own(of_1993)));
        assert_eq!(text(&sent, 25).as_deref(), Some("1003"));
    }
}

/// As journals from before have them: DE25 of 1993, DE56 of 1987.
#[test]
fn reasons_are_found_where_they_were_kept_before() {
    let of_1987 = b"\x38\x00\x041006";
    let sent = told_of(of_1987, (postilion(), own(postilion())));
    assert_eq!(text(&sent, 56).as_deref(), Some("1006"));
    let of_1993 = b"\x00\x00\x011\x19\x00\x041006";
    let issuer = Dialect::ISO93_ASCII;
    let sent = told_of(of_1993, (issuer, own(issuer)));
    assert_eq!(text(&sent, 25).as_deref(), Some("1006"));
}
