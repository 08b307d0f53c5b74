//! Examples, written by what writes the answers.

use domain::ResponseCode;
use domain::amount::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{Stan, TransactionId};
use domain::time::WallTime;
use serde_json::{Value, json};

use super::super::problem::{ErrorCode, FieldError, Problem, Slug};
use super::super::{Asked, Kind, Reversed, State, Transaction};

/// The example of a body that is asked for or told.
pub(super) fn of(name: &str, status: u16) -> Option<Value> {
    let state = match status {
        202 => State::Pending,
        _ => State::Approved,
    };
    let read = |bytes: Vec<u8>| serde_json::from_slice(&bytes).ok();
    match name {
        "Create" => Some(json!({
            "type": Kind::MerchantPay.name(),
            "amount": { "minor": 152_300, "currency": "KES" },
            "debitParty": [{ "key": "msisdn", "value": "+254712345678" }],
            "creditParty": [{ "key": "organisationid", "value": "MERCHANT0000001" }],
            "reference": REFERENCE,
            "requestedAt": NOW.to_string(),
            "metadata": { "store": "NBO-07" },
        })),
        "Reverse" => Some(json!({
            "amount": { "minor": 50_000, "currency": "KES" },
            "reason": "customerCancellation",
        })),
        "Transaction" => read(transaction(state).to_json((status != 200).then_some(REFERENCE))),
        "Reversal" => {
            let state = match status {
                202 => State::ReversalPending,
                _ => State::Reversed,
            };
            let original = transaction(state);
            let reversed = Reversed {
                original: &original,
                reference: None,
            };
            read(reversed.to_json())
        }
        "Heartbeat" if status == 200 => Some(json!({ "serviceStatus": "available" })),
        "Heartbeat" => Some(json!({ "serviceStatus": "unavailable" })),
        _ => None,
    }
}

/// The example of one kind of error.
pub(super) fn of_problem(slug: Slug) -> Value {
    let problem = match slug {
        Slug::InvalidField => Problem::fields(vec![FieldError {
            pointer: "/amount/minor".to_owned(),
            detail: "must be there",
            error_code: ErrorCode::MandatoryValueNotSupplied,
        }]),
        _ => Problem::of(slug),
    };
    serde_json::from_slice(&problem.to_json(NOW)).unwrap_or_default()
}

fn transaction(state: State) -> Transaction {
    let is_answered = state == State::Approved || state == State::Reversed;
    Transaction {
        id: ID,
        state,
        kind: Some(Kind::MerchantPay),
        amount: Amount::new(152_300, Currency::KES).unwrap_or(NOTHING),
        code: is_answered.then_some(ResponseCode::APPROVED),
        authorisation: Text::new("DE38", b"A1B2C3").unwrap_or(Text::EMPTY),
        asked: Stan::new(421).ok().map(|stan| Asked {
            issuer: "bank-a".to_owned(),
            stan,
            rrn: Text::new("DE37", b"632421000421").unwrap_or(Text::EMPTY),
        }),
        created: NOW,
        expires: NOW.after(std::time::Duration::from_secs(30)),
        is_owed: false,
        is_excepted: false,
        notification: crate::acquirer::shown::Notification::Polling,
        awaits: crate::acquirer::shown::Awaits::Issuer,
        left: None,
    }
}

const NOTHING: Amount = match Amount::new(0, Currency::KES) {
    Ok(amount) => amount,
    Err(_) => unreachable!(),
};
const REFERENCE: &str = "INV-2026-00042";
pub(super) const ID: TransactionId = TransactionId(0x01a1_fae5_9c1c_7b1a_8f00_0a00_0000_0421);
const NOW: WallTime = WallTime::from_unix_millis(1_795_297_141_000);
