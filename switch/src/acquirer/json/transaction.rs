//! What everybody is told of a transaction.

use std::fmt::Display;

use domain::ResponseCode;
use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::{AuthorisationId, Rrn, Stan, TransactionId};
use domain::result_code::ResultCode;
use domain::time::WallTime;
use serde::{Serialize, Serializer};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::openapi::schemas;
use super::{Decimal, Kind};

/// Where a transaction stands, as its gateway sees it. States never move back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// A message may have left.
    Pending,
    Approved,
    Declined,
    /// Proven not executed.
    Failed,
    /// It will never become approved: a reversal is owed, durably.
    ReversalPending,
    Reversed,
    /// Refused or given up: a person decides.
    ReversalFailed,
}

impl State {
    /// Whether it changes only when someone asks for it.
    pub(crate) const fn is_final(self) -> bool {
        match self {
            Self::Approved
            | Self::Declined
            | Self::Failed
            | Self::Reversed
            | Self::ReversalFailed => true,
            Self::Pending | Self::ReversalPending => false,
        }
    }
}

/// Who was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) issuer: String,
    pub(crate) stan: Stan,
    pub(crate) rrn: Rrn,
}

/// A transaction, as its owner knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) state: State,
    pub(crate) kind: Option<Kind>,
    pub(crate) amount: Amount,
    /// What it was decided with; `None` before.
    pub(crate) code: Option<ResponseCode>,
    pub(crate) authorisation: AuthorisationId,
    pub(crate) asked: Option<Asked>,
    pub(crate) created: WallTime,
    /// By when it is decided at the latest; of one that is not final.
    pub(crate) expires: WallTime,
    /// Its issuer is still to be told something about it.
    pub(crate) is_owed: bool,
    /// People have to look at something about it.
    pub(crate) is_excepted: bool,
    /// What stays of one that was reversed in part.
    pub(crate) left: Option<Amount>,
    /// How its end is told, to whoever is told now.
    pub(crate) notification: Notification,
    /// Whom it waits for, while it is not final.
    pub(crate) awaits: Awaits,
}

/// Whom a transaction waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaits {
    Issuer,
    /// Its issuer has it, and has said that it is decided later.
    Payer,
}

impl Awaits {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Issuer => "awaitingIssuer",
            Self::Payer => "awaitingPayer",
        }
    }
}

/// How a gateway learns of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notification {
    Polling,
    Callback,
}

impl Notification {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Callback => "callback",
        }
    }
}

impl Transaction {
    /// What [`Transaction::to_json`] writes.
    pub(super) fn schema() -> RefOr<Schema> {
        <Document<'_> as PartialSchema>::schema()
    }

    /// Where others name that schema.
    pub(super) fn reference() -> RefOr<Schema> {
        RefOr::Ref(Ref::from_schema_name("Transaction"))
    }

    /// The schemas that [`Transaction::schema`] names.
    pub(super) fn parts() -> [(&'static str, RefOr<Schema>); 3] {
        [
            ("Money", Money::schema()),
            ("Issuer", <Issuer<'_> as PartialSchema>::schema()),
            ("Decline", Decline::schema()),
        ]
    }

    /// The representation. The same transaction in the same state has the same bytes, whoever asks.
    pub(crate) fn to_json(&self, reference: Option<&str>) -> Vec<u8> {
        let mut text = Vec::with_capacity(TEXT_LEN);
        // Strings, integers and booleans alone: there is nothing that could not be written.
        match serde_json::to_writer(&mut text, &self.document(reference)) {
            Ok(()) => text,
            Err(_) => Vec::new(),
        }
    }

    pub(super) fn document<'a>(&'a self, reference: Option<&'a str>) -> Document<'a> {
        let is_final = self.state.is_final();
        let code = self.code.filter(|_| is_final);
        Document {
            id: Shown(self.id),
            state: self.state,
            is_final,
            kind: self.kind.map(Kind::name),
            amount: Money::of(self.amount),
            remaining: self.left.map(Money::of),
            reference,
            response_code: code.map(Shown),
            decline: code
                .filter(|_| self.state == State::Declined)
                .map(Decline::of),
            authorisation_code: Some(self.authorisation.as_str())
                .filter(|text| is_final && !text.is_empty()),
            issuer: self.asked.as_ref().map(|asked| Issuer {
                route: &asked.issuer,
                stan: Shown(asked.stan),
                rrn: asked.rrn.as_str(),
            }),
            pending_reason: (!is_final).then(|| self.awaits.name()),
            expires_at: (!is_final).then_some(Shown(self.expires)),
            notification_method: (!is_final).then(|| self.notification.name()),
            created_at: Shown(self.created),
        }
    }
}

/// More than most representations take.
const TEXT_LEN: usize = 512;

/// A string of JSON as its value shows itself, without one in between.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    #[schema(schema_with = schemas::id)]
    id: Shown<TransactionId>,
    state: State,
    #[serde(rename = "final")]
    is_final: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::kind)]
    kind: Option<&'static str>,
    amount: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    response_code: Option<Shown<ResponseCode>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline: Option<Decline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorisation_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<Issuer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::pending_reason)]
    pending_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::time)]
    expires_at: Option<Shown<WallTime>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::notification_method)]
    notification_method: Option<&'static str>,
    #[schema(schema_with = schemas::time)]
    created_at: Shown<WallTime>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Money {
    minor: u64,
    #[schema(value_type = String)]
    currency: Shown<Currency>,
    #[schema(schema_with = schemas::decimal)]
    decimal: Shown<Decimal>,
}

impl Money {
    pub(super) fn of(amount: Amount) -> Self {
        Self {
            minor: amount.minor(),
            currency: Shown(amount.currency()),
            decimal: Shown(Decimal::of(amount)),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Issuer<'a> {
    route: &'a str,
    #[schema(value_type = String)]
    stan: Shown<Stan>,
    rrn: &'a str,
}

/// Why it was declined, in the words of GSMA.
#[derive(Serialize, ToSchema)]
struct Decline {
    code: &'static str,
    category: &'static str,
    retryable: bool,
}

impl Decline {
    fn of(code: ResponseCode) -> Self {
        Self {
            code: decline_name(code.meaning()),
            category: "businessRule",
            retryable: false,
        }
    }
}

pub(super) fn decline_name(meaning: ResultCode) -> &'static str {
    let mut known = DECLINES.iter();
    let found = known.find(|(code, _)| *code == meaning);
    found.map_or("requestDeclined", |(_, name)| *name)
}

/// What GSMA has a name for.
const DECLINES: [(ResultCode, &str); 1] = [(ResultCode::InsufficientFunds, "insufficientFunds")];
