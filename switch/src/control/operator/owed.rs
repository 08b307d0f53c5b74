//! What is owed, in words.

use domain::ids::TransactionId;
use serde_json::{Value, json};
use transaction::operating::{OperateError, Operated, Stand};
use transaction::output::{Ended, Owed};

use domain::record::{AdviceOrigin, ReversalCause};

use crate::desk::Row;

/// What operators call an entry: the id of the transaction that owes it and, behind a dot, which
/// of all that the transaction has owed it is. The same after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwedName {
    pub(super) transaction: TransactionId,
    pub(super) ordinal: u8,
}

impl OwedName {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (transaction, ordinal) = text.split_once('.')?;
        let digits: String = transaction.chars().filter(|digit| *digit != '-').collect();
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let name = Self {
            transaction: TransactionId(u128::from_str_radix(&digits, 16).ok()?),
            ordinal: ordinal.parse().ok()?,
        };
        let same = is_hex && name.to_string().eq_ignore_ascii_case(text);
        same.then_some(name)
    }
}

impl std::fmt::Display for OwedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.transaction, self.ordinal)
    }
}

/// One line of a list. Nothing in it tells more of an account than its masked number.
pub(super) fn line(row: &Row, issuer: Option<&str>) -> Value {
    let view = &row.view;
    let name = OwedName {
        transaction: view.transaction,
        ordinal: view.ordinal,
    };
    let (state, ended) = match view.stand {
        Stand::Held => ("held", None),
        Stand::Ready => ("ready", None),
        Stand::InFlight => ("in_flight", None),
        Stand::Paused => ("paused", None),
        Stand::Exception(ended) => ("exception", Some(ending(ended))),
    };
    let (kind, why) = match view.what {
        Owed::Reversal(cause) => ("reversal", cause_word(cause)),
        Owed::Advice(origin) => ("advice", origin_word(origin)),
    };
    json!({
        "id": name.to_string(),
        "issuer": issuer,
        "kind": kind,
        "why": why,
        "state": state,
        "ended": ended,
        "age_ms": row.age_ms,
        "attempts": view.attempts,
        "next_ms": row.due_ms,
        "code": view.code.map(|code| code.to_string()),
        "amount": view.amount.minor(),
        "currency": view.amount.currency().to_string(),
        "stays": view.replacement.map(|kept| kept.minor()),
        "account": view.account.to_string(),
        "original": view.original.unwrap_or(view.transaction).to_string(),
    })
}

const fn ending(ended: Ended) -> &'static str {
    match ended {
        Ended::Refused => "refused",
        Ended::Expired => "expired",
        Ended::Dropped => "dropped",
        Ended::Unforwarded => "unforwarded",
    }
}

const fn cause_word(cause: ReversalCause) -> &'static str {
    match cause {
        ReversalCause::Timeout => "timeout",
        ReversalCause::Requested => "requested",
        ReversalCause::InvalidAnswer => "invalid_answer",
        ReversalCause::Restart => "restart",
        ReversalCause::Undelivered => "undelivered",
    }
}

const fn origin_word(origin: AdviceOrigin) -> &'static str {
    match origin {
        AdviceOrigin::Acquirer => "acquirer",
        AdviceOrigin::StandIn => "stand_in",
    }
}

pub(super) const fn done(done: Operated) -> &'static str {
    match done {
        Operated::Due => "due",
        Operated::PutBack => "put_back",
        Operated::Dropped => "dropped",
    }
}

/// Why not, as a sentence.
pub(super) const fn why(error: OperateError) -> &'static str {
    match error {
        OperateError::Unknown => "nothing with this id is owed",
        OperateError::NotDurable => "it is being written to the journal: ask again",
        OperateError::RequestOpen => {
            "the request that it reverses is still open: its answer or its deadline decides"
        }
        OperateError::Behind => "an older one of the same transaction goes first",
        OperateError::Excepted => "it is an exception already",
        OperateError::Overtaken => {
            "a later one of the same transaction is owed or was taken: settle it with the issuer"
        }
        OperateError::NoIssuer => "there is no issuer to tell: settle it by hand",
        OperateError::Full => "no room: saf.entries_max are owed",
    }
}
