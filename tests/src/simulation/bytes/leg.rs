//! To issuers: what the product's translation makes of a request, an advice and a reversal, and
//! what an issuer reads in it.

use domain::bytes::Text;
use domain::ids::Stan;
use domain::record::Completed;
use domain::request::{Facts, IssuerLeg, Transmission};
use iso8583::mti::Function;
use iso8583::translate::{
    self, IssuerAdvice, IssuerRequest, IssuerReversal, ReasonField, ReversalForm,
};
use transaction::matching::{Echo, Expected, ResponseKind};
use transaction::output::{OwedAdvice, OwedReversal};

use super::asking::normal;
use super::*;
use crate::simulation::words::{
    Completing, Content, LegB, Reported, Taking, account_of, pan_digits,
};

/// A request, out of the acquirer's message.
pub(in crate::simulation) fn write_request(
    (from, to): (&'static Dialect, &'static Dialect),
    message: &[u8],
    (leg, completed): (&IssuerLeg, Option<&Completed>),
    wall: WallTime,
) -> Option<Vec<u8>> {
    parsed(from, message, |message| {
        written(|out| {
            let going = IssuerRequest {
                leg,
                forwarding: &forwarding(),
                admitted: wall,
                amount: None,
                completed,
            };
            translate::write_issuer_request(to, message, &going, out).ok()
        })
    })
}

pub(in crate::simulation) fn write_reversal(
    to: &'static Dialect,
    owed: &OwedReversal,
    facts: &Facts,
    transmission: Transmission,
) -> Option<Vec<u8>> {
    written(|out| {
        let reversal = IssuerReversal {
            facts,
            account: &pan_digits(account_of(facts)),
            original: owed.original,
            leg: &owed.leg,
            stan: owed.leg.stan,
            form: ReversalForm::Advice,
            forwarding: &forwarding(),
            amount: facts.amount,
            replacement: owed.replacement,
            decided: owed.decided,
            cause: owed.cause,
            reason: owed.reason,
            reason_field: ReasonField::of_dialect(to),
            transmission,
            transmitted: TransmissionTime::at(owed.decided),
        };
        translate::write_reversal(to, &reversal, out).ok()
    })
}

pub(in crate::simulation) fn write_advice(
    to: &'static Dialect,
    (owed, leg): (&OwedAdvice<'_>, &IssuerLeg),
    facts: &Facts,
    (transmission, wall): (Transmission, WallTime),
) -> Option<Vec<u8>> {
    written(|out| {
        let advice = IssuerAdvice {
            facts,
            account: &pan_digits(account_of(facts)),
            amount: facts.amount,
            leg,
            forwarding: &forwarding(),
            completed: owed.completed.as_ref(),
            decided: wall,
            authorisation: &owed.authorisation,
            transmission,
            fields: owed.fields,
            reason_field: ReasonField::of_dialect(to),
        };
        translate::write_advice(to, &advice, out).ok()
    })
}

fn written(write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<Vec<u8>> {
    let mut out = [0; MESSAGE_MAX];
    let len = write(&mut out)?;
    Some(out[..len].to_vec())
}

/// What an issuer reads.
pub(in crate::simulation) fn read_leg(dialect: &'static Dialect, bytes: &[u8]) -> Option<LegB> {
    parsed(dialect, bytes, |message| {
        let mti = message.mti();
        if mti.class() == Class::Reversal {
            return reversal(message);
        }
        if mti.class() == Class::Reconciliation {
            return super::reconciling::reckoned(message);
        }
        let class = class_of(mti)?;
        let is_advice = mti.function() == Function::Advice;
        let advice = is_advice.then(|| translate::advice(message)).transpose();
        let advice = advice.ok()?;
        let request = match &advice {
            Some(_) => None,
            None => Some(translate::request(message).ok()?),
        };
        let fields = match (&advice, &request) {
            (Some(advice), _) => &advice.request,
            (None, Some(request)) => request,
            (None, None) => return None,
        };
        let kind = if is_advice {
            ResponseKind::of_advice(class)
        } else {
            class.into()
        };
        let purchase = purchase_in(message)?;
        let report = advice.as_ref().map(|advice| Reported {
            completes: advice
                .original
                .and_then(|named| Some((named.stan, original_time(message, named.transmitted)?))),
            account: account_in(fields.account.expose_digits()),
            content: content_in(message, purchase, advice.reported),
        });
        let asks = translate::completion(message).ok()?;
        let asks = asks.and_then(|asks| asks.original).and_then(|named| {
            let time = original_time(message, named.transmitted)?;
            Some(Completing {
                named: (named.stan, time),
                account: account_in(fields.account.expose_digits()),
            })
        });
        Some(LegB {
            asks,
            expected: Expected {
                kind,
                stan: fields.trace.stan,
            },
            echo: echo_of(message),
            purchase,
            amount: fields.amount.minor(),
            reversal: None,
            report,
            local: local_in(message),
            reckoned: None,
            is_inquiry: false,
        })
    })
}

fn reversal(message: MessageRef<'_>) -> Option<LegB> {
    let fields = translate::reversal(message).ok()?;
    let local = TransmissionTime::from_digits(fields.original_local.as_bytes()).ok();
    let stan: Stan = fields.trace.stan;
    Some(LegB {
        asks: None,
        expected: Expected {
            kind: ResponseKind::Reversal,
            stan,
        },
        echo: echo_of(message),
        purchase: purchase_in(message)?,
        amount: fields.amount.minor(),
        reversal: Some(Taking {
            original: fields.original.transmitted.or(local)?,
            stays: fields.replacement.map(|amount| amount.minor()),
            transmission: fields.transmission,
        }),
        report: None,
        local: local_in(message),
        reckoned: None,
        is_inquiry: false,
    })
}

/// DE12 of 1993, by which DE56 names it.
fn local_in(message: MessageRef<'_>) -> Option<TransmissionTime> {
    if is_1987(message.dialect()) {
        return None;
    }
    let field = text_of(message, 12)?;
    TransmissionTime::from_digits(field.get(2..)?).ok()
}

/// DE7 of what DE90 names; of what DE56 names, DE12.
fn original_time(
    message: MessageRef<'_>,
    transmitted: Option<TransmissionTime>,
) -> Option<TransmissionTime> {
    transmitted.or_else(|| {
        let field = text_of(message, 56)?;
        TransmissionTime::from_digits(field.get(12..22)?).ok()
    })
}

/// The further fields, as the acquirer's purchase has them: DE44 does not cross editions.
fn content_in(
    message: MessageRef<'_>,
    purchase: u32,
    reported: Option<domain::ResponseCode>,
) -> Content {
    let mut content = match text_of(message, 44) {
        Some(text) if text != short_text(purchase) => text,
        _ => fields_of(purchase),
    };
    if reported.is_some_and(|code| !normal(code).is_approval()) {
        content.extend_from_slice(&[39, 0, 2, b'0', b'5']);
    }
    Content::new(&content)
}

pub(super) fn echo_of(message: MessageRef<'_>) -> Echo {
    let transmitted = text_of(message, 7);
    Echo {
        transmitted: transmitted.and_then(|text| TransmissionTime::from_digits(&text).ok()),
        terminal: text(message, 41),
        rrn: text(message, 37),
        ..Echo::default()
    }
}

fn text<const N: usize>(message: MessageRef<'_>, number: u8) -> Text<N> {
    let text = text_of(message, number).unwrap_or_default();
    Text::new("echo field", &text).unwrap_or(Text::EMPTY)
}

fn account_in(digits: &[u8]) -> u32 {
    let first = digits_to_number(&pan_digits(0));
    digits_to_number(digits).saturating_sub(first) as u32
}

fn digits_to_number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
