//! What an answer says of the request that it came for, and whether it may.

use domain::ids::{AuthorisationId, TransactionId};
use domain::response_code::ResponseCode;
use domain::result_code::CodeEdition;
use serde::Deserialize;

use super::http::Answer;
use super::payment::{Payment, Reversal};
use crate::generator::classify;
use crate::recorder::Outcome;

/// Where a transaction stands, as a gateway is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Durable, and nothing was sent.
    Received,
    /// A message may have left.
    Pending,
    /// It will never become approved, and its issuer is still to be told.
    ReversalPending,
    /// The issuer has said yes.
    Approved,
    /// Somebody has said no.
    Declined,
    /// Proven not executed.
    Failed,
    /// The payer did not confirm.
    Expired,
    /// Taken back, and the issuer has acknowledged it.
    Reversed,
    /// People have to look at it.
    ReversalFailed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Received,
        Self::Pending,
        Self::ReversalPending,
        Self::Approved,
        Self::Declined,
        Self::Failed,
        Self::Expired,
        Self::Reversed,
        Self::ReversalFailed,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Pending => "pending",
            Self::ReversalPending => "reversal_pending",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Reversed => "reversed",
            Self::ReversalFailed => "reversal_failed",
        }
    }

    /// Whether it changes only when someone asks for it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Received | Self::Pending | Self::ReversalPending => false,
            Self::Approved
            | Self::Declined
            | Self::Failed
            | Self::Expired
            | Self::Reversed
            | Self::ReversalFailed => true,
        }
    }

    /// Whether it is known that it is approved, or will never be.
    #[must_use]
    pub const fn is_decided(self) -> bool {
        !matches!(self, Self::Received | Self::Pending)
    }
}

/// What was told of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its id.
    pub id: TransactionId,
    /// Where it stands.
    pub state: State,
    /// DE39 of 1987; `None` where it is not told.
    pub code: Option<ResponseCode>,
    /// DE38; empty for none.
    pub authorisation: AuthorisationId,
}

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has come to something.
    Ended(Outcome, Option<Said>),
    /// It is not decided: to be asked for.
    Open(Said),
    /// Known, and nothing of it is durable: the same again.
    Again,
}

impl Verdict {
    const fn bare(outcome: Outcome) -> Self {
        Self::Ended(outcome, None)
    }
}

/// What was asked, for what may be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) payment: &'a Payment,
    /// Where it is known already.
    pub(super) id: Option<TransactionId>,
    /// Asked for by GET: 200, and no reference.
    pub(super) is_look: bool,
}

/// Judges the answer to a payment, to its copy, or to a question for it.
pub(super) fn payment(asked: &Asked<'_>, answer: &Answer<'_>) -> Verdict {
    match answer.status {
        200 if asked.is_look => {}
        201 | 202 if !asked.is_look => {}
        409 if slug(answer) == Some("in-progress") => return Verdict::Again,
        status => return Verdict::bare(refusal(status)),
    }
    let Ok(told) = serde_json::from_slice::<Document<'_>>(answer.body) else {
        return Verdict::bare(Outcome::Protocol);
    };
    let Some(said) = told.said() else {
        return Verdict::bare(Outcome::Protocol);
    };
    let status = match answer.status {
        201 => told.is_final,
        202 => !told.is_final,
        _ => true,
    };
    let paid = asked.payment;
    let own = told.amount.is_some_and(|amount| amount.is(paid))
        && told.kind == Some(paid.kind.name())
        && asked.id.is_none_or(|id| id == said.id)
        && (asked.is_look || told.reference.is_some_and(|told| paid.has_reference(told)));
    if !own || !status || told.is_final != said.state.is_final() {
        return Verdict::Ended(Outcome::Mismatched, Some(said));
    }
    if said.state.is_decided() {
        Verdict::Ended(outcome(&said), Some(said))
    } else {
        Verdict::Open(said)
    }
}

/// Judges the answer to a reversal: 202 once it is durable, 201 once the issuer has it.
pub(super) fn reversal(
    (id, payment, asked): (TransactionId, &Payment, Reversal),
    answer: &Answer<'_>,
) -> (Outcome, Option<State>) {
    match answer.status {
        201 | 202 => {}
        status => return (refusal(status), None),
    }
    let Ok(told) = serde_json::from_slice::<Reversed<'_>>(answer.body) else {
        return (Outcome::Protocol, None);
    };
    let own = told.kind == "reversal"
        && told.original_id.and_then(TransactionId::from_shown) == Some(id)
        && told.original.is_none_or(|original| {
            let left = original.remaining.map(|amount| amount.minor);
            let stays = left.is_none_or(|left| left == asked.stays);
            stays && original.amount.is_none_or(|amount| amount.is(payment))
        });
    let is_final = answer.status == 201;
    if !own || told.is_final != told.state.is_final() || told.is_final != is_final {
        return (Outcome::Mismatched, Some(told.state));
    }
    let outcome = match told.state {
        State::Reversed | State::ReversalPending => Outcome::Approved,
        State::ReversalFailed => Outcome::Unexpected,
        State::Received
        | State::Pending
        | State::Approved
        | State::Declined
        | State::Failed
        | State::Expired => Outcome::Mismatched,
    };
    (outcome, Some(told.state))
}

/// 429 and 503 mean that nothing was done; anything else is no answer to a right request.
const fn refusal(status: u16) -> Outcome {
    match status {
        429 | 503 => Outcome::Refused,
        _ => Outcome::Unexpected,
    }
}

fn outcome(said: &Said) -> Outcome {
    match (said.state, said.code) {
        (State::Approved, _) => Outcome::Approved,
        (State::Declined, Some(code)) => match classify(code.as_bytes()) {
            Outcome::Approved => Outcome::Mismatched,
            outcome => outcome,
        },
        (State::ReversalFailed, _) => Outcome::Unexpected,
        // As the 91 of ISO 8583: its issuer did not say anything in time, or could not be asked.
        _ => Outcome::Declined,
    }
}

/// The last part of a problem's type.
fn slug<'a>(answer: &Answer<'a>) -> Option<&'a str> {
    let problem: Problem<'a> = serde_json::from_slice(answer.body).ok()?;
    problem.kind.strip_prefix("/problems/")
}

#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    id: &'a str,
    state: State,
    #[serde(rename = "final")]
    is_final: bool,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    amount: Option<Money<'a>>,
    remaining: Option<Money<'a>>,
    reference: Option<&'a str>,
    response_code: Option<&'a str>,
    authorisation_code: Option<&'a str>,
}

#[derive(Clone, Copy, Deserialize)]
struct Money<'a> {
    minor: u64,
    currency: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reversed<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    original_id: Option<&'a str>,
    state: State,
    #[serde(rename = "final")]
    is_final: bool,
    #[serde(borrow)]
    original: Option<Document<'a>>,
}

impl Document<'_> {
    fn said(&self) -> Option<Said> {
        let code = self
            .response_code
            .map(|code| ResponseCode::read(code.as_bytes()))
            .transpose()
            .ok()?
            .map(|code| code.written_in(CodeEdition::An2));
        let authorisation = self.authorisation_code.unwrap_or_default();
        Some(Said {
            id: TransactionId::from_shown(self.id)?,
            state: self.state,
            code,
            authorisation: AuthorisationId::new("DE38", authorisation.as_bytes()).ok()?,
        })
    }
}

impl Money<'_> {
    fn is(self, payment: &Payment) -> bool {
        self.minor == payment.amount.minor()
            && Some(self.currency) == payment.amount.currency().alphabetic()
    }
}
