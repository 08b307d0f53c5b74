//! The body of a reversal, and what is told of one.

use domain::amount::Amount;
use domain::message_reason::MessageReason;
use domain::time::WallTime;
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::fields::{At, Faults, Fields, Wrong, printable};
use super::openapi::schemas::{self, AskedAmount};
use super::problem::{ErrorCode, Problem, Slug};
use super::transaction::{Document, State, Transaction};
use super::{put, put_optional, read_amount, strict, time};

/// What a gateway asks to take back.
#[derive(Clone, Debug, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Reverse {
    /// Left out: all of it.
    #[schema(value_type = Option<AskedAmount>)]
    pub(crate) amount: Option<Amount>,
    /// Told back.
    #[schema(schema_with = schemas::reference)]
    pub(crate) reference: Option<String>,
    /// Told to the issuer.
    #[schema(schema_with = schemas::reason)]
    pub(crate) reason: Option<MessageReason>,
    /// When the original was sent for the first time.
    #[schema(rename = "originalRequestedAt", schema_with = schemas::time)]
    pub(crate) sent: Option<WallTime>,
}

/// Reads the body of a reversal.
///
/// # Errors
/// What is wrong with it: all fields at once.
pub(crate) fn reverse(body: &[u8]) -> Result<Reverse, Problem> {
    let tree = strict::read(body).map_err(|why| Problem::with(Slug::Malformed, why.text()))?;
    let mut faults = Faults::default();
    let mut currency = Ok(());
    let read = Fields::of(&tree, At::Root, &mut faults).map(|mut root| {
        let amount = root.node("amount");
        let amount = amount
            .and_then(|node| read_amount(node, root.of_name("amount"), &mut faults, &mut currency));
        let reference = root.text("reference", |text| printable(text, 64), &mut faults);
        let reason = root.text("reason", read_reason, &mut faults);
        let sent = root.text("originalRequestedAt", time::read, &mut faults);
        root.finish(&mut faults);
        Reverse {
            amount,
            reference,
            reason,
            sent,
        }
    });
    let errors = faults.into_errors();
    match read {
        Some(reverse) if errors.is_empty() => currency.map(|()| reverse),
        Some(_) | None => Err(Problem::fields(errors)),
    }
}

fn read_reason(text: &str) -> Result<MessageReason, Wrong> {
    let found = REASONS.iter().find(|(name, _)| *name == text);
    let wrong = "is no reason of a reversal";
    found
        .map(|(_, reason)| *reason)
        .ok_or((ErrorCode::FormatError, wrong))
}

/// What an issuer is told of a reason, in the codes of ISO 8583.
pub(super) const REASONS: [(&str, MessageReason); 4] = [
    ("customerCancellation", MessageReason::CUSTOMER_CANCELLATION),
    ("completedInPart", MessageReason::COMPLETED_IN_PART),
    ("responseNotUsable", MessageReason::RESPONSE_NOT_USABLE),
    ("timeout", MessageReason::TIMEOUT),
];

impl Reverse {
    /// What a copy must not change. The original is not part of it: it keeps the keys of its
    /// reversals itself, however it is named.
    pub(crate) fn canonical(&self, out: &mut Vec<u8>) {
        put(out, b"reversal");
        let amount = self.amount.map(|amount| {
            let mut text = amount.digits().to_vec();
            text.extend_from_slice(&amount.currency().digits());
            text
        });
        put_optional(out, amount.as_deref());
        put_optional(out, self.reference.as_ref().map(String::as_bytes));
        let reason = self.reason.map(MessageReason::digits);
        put_optional(out, reason.as_ref().map(<[u8; 4]>::as_slice));
        let sent = self.sent.map(|at| at.unix_millis().to_be_bytes());
        put_optional(out, sent.as_ref().map(<[u8; 8]>::as_slice));
    }
}

/// Where a reversal stands, told with its original.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reversed<'a> {
    pub(crate) original: &'a Transaction,
    pub(crate) reference: Option<&'a str>,
}

impl Reversed<'_> {
    /// What [`Reversed::to_json`] and [`buried_json`] write.
    pub(super) fn schema() -> RefOr<Schema> {
        <ReversalDocument<'_> as PartialSchema>::schema()
    }

    pub(crate) const fn state(self) -> State {
        let original = self.original;
        match original.state {
            State::Reversed | State::ReversalPending | State::ReversalFailed => original.state,
            State::Pending => State::ReversalPending,
            // What is owed may still be taken, whatever became of one before it.
            _ if original.is_owed => State::ReversalPending,
            _ if original.is_excepted => State::ReversalFailed,
            // In part, or nothing had to be taken back.
            State::Approved | State::Declined | State::Failed => State::Reversed,
        }
    }

    pub(crate) fn to_json(self) -> Vec<u8> {
        let state = self.state();
        let document = ReversalDocument {
            kind: "reversal",
            original_id: Some(self.original.id.to_string()),
            state,
            is_final: state.is_final(),
            reference: self.reference,
            original: Some(self.original.document(None)),
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

/// What is told where the reversal came first: there is nothing that it could be told with.
pub(crate) fn buried_json(reference: Option<&str>) -> Vec<u8> {
    let document = ReversalDocument {
        kind: "reversal",
        original_id: None,
        state: State::Reversed,
        is_final: true,
        reference,
        original: None,
    };
    serde_json::to_vec(&document).unwrap_or_default()
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReversalDocument<'a> {
    #[serde(rename = "type")]
    #[schema(schema_with = schemas::reversal_kind)]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::id)]
    original_id: Option<String>,
    state: State,
    #[serde(rename = "final")]
    is_final: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = Transaction::reference)]
    original: Option<Document<'a>>,
}

#[cfg(test)]
mod tests {
    use domain::currency::Currency;

    use super::*;

    #[test]
    fn all_or_a_part_is_taken_back() {
        let all = reverse(b"{}").unwrap();
        assert_eq!((all.amount, all.reason), (None, None));
        let text = br#"{"amount":{"minor":500,"currency":"KES"},"reference":"R-1",
            "reason":"customerCancellation"}"#;
        let part = reverse(text).unwrap();
        assert_eq!(part.amount, Amount::new(500, Currency::KES).ok());
        assert_eq!(part.reason, Some(MessageReason::CUSTOMER_CANCELLATION));
        let canonical = |reverse: &Reverse| {
            let mut out = Vec::new();
            reverse.canonical(&mut out);
            out
        };
        assert_ne!(canonical(&all), canonical(&part));
        assert_eq!(canonical(&reverse(text).unwrap()), canonical(&part));
        let other = Reverse {
            reference: None,
            ..part
        };
        assert_ne!(canonical(&other), canonical(&reverse(text).unwrap()));
    }

    #[test]
    fn what_cannot_be_used_is_told_at_once() {
        let text = br#"{"amount":{"minor":0,"currency":"KES"},"reason":"because","pin":"1"}"#;
        let problem = reverse(text).unwrap_err();
        let pointers: Vec<&str> = problem
            .errors
            .iter()
            .map(|error| error.pointer.as_str())
            .collect();
        assert_eq!(pointers, ["/amount/minor", "/reason", ""]);
        assert_eq!(reverse(b"[]").unwrap_err().slug, Slug::InvalidField);
        assert_eq!(reverse(b"{").unwrap_err().slug, Slug::Malformed);
        let text = br#"{"amount":{"minor":1,"currency":"ABC"}}"#;
        assert_eq!(reverse(text).unwrap_err().slug, Slug::CurrencyNotSupported);
    }
}
