//! The words of GSMA's Mobile Money API 1.2 for what this API has: bodies in, objects out, statuses
//! folded into the few that exist there (docs/gsma.md). Amounts are strings and exact: no float is
//! ever computed with.

use domain::ResponseCode;
use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::TransactionId;
use domain::time::WallTime;
use serde::Serialize;

use super::fields::{At, Faults, Fields, Wrong, printable};
use super::problem::{ErrorCode, Problem, Slug};
use super::reversal::{Reverse, Reversed};
use super::strict::{self, Node};
use super::transaction::{State, Transaction, decline_name};
use super::{Create, Kind, Rules, decimal, read_letters, read_sides, read_value, time};

/// Reads the body of a new transaction. `kind` is the one that the path names, if it does.
///
/// # Errors
/// What is wrong with it: all fields at once.
pub(crate) fn create(body: &[u8], kind: Option<Kind>, rules: Rules) -> Result<Create, Problem> {
    read(body, |root, faults, currency| {
        let named = root.text("type", Kind::read, faults);
        if let (Some(named), Some(kind)) = (named, kind)
            && named != kind
        {
            let wrong = (
                ErrorCode::FormatError,
                "is not the type that the path names",
            );
            faults.add(root.of_name("type"), wrong);
        }
        let kind = kind.or(named);
        if kind.is_none() && !root.has("type") {
            let wrong = (ErrorCode::MandatoryValueNotSupplied, "must be there");
            faults.add(root.of_name("type"), wrong);
        }
        let amount = read_amount(root, faults, currency, Demand::Mandatory);
        let sides = read_sides(root, rules, faults);
        let common = Common::read(root, faults);
        let (debit, credit) = sides?;
        Some(Create {
            kind: kind?,
            amount: amount?,
            debit,
            credit,
            reference: common.reference.unwrap_or_default(),
            description: common.description,
            channel: None,
            requested_at: common.requested_at,
            expires_at: None,
            metadata: common.metadata,
        })
    })
}

/// Reads the body of a reversal.
///
/// # Errors
/// What is wrong with it: all fields at once.
pub(crate) fn reverse(body: &[u8]) -> Result<Reverse, Problem> {
    read(body, |root, faults, currency| {
        let is_reversal = |text: &str| match text {
            "reversal" => Ok(()),
            _ => Err((ErrorCode::FormatError, "must be `reversal`")),
        };
        root.text("type", is_reversal, faults);
        let amount = read_amount(root, faults, currency, Demand::Optional);
        let common = Common::read(root, faults);
        Some(Reverse {
            amount,
            reference: common.reference,
            reason: None,
            sent: None,
        })
    })
}

fn read<T>(
    body: &[u8],
    rule: impl FnOnce(&mut Fields<'_>, &mut Faults, &mut Result<(), Problem>) -> Option<T>,
) -> Result<T, Problem> {
    let tree = strict::read(body).map_err(|why| Problem::with(Slug::Malformed, why.text()))?;
    let mut faults = Faults::default();
    let mut currency = Ok(());
    let read = Fields::of(&tree, At::Root, &mut faults).and_then(|mut root| {
        let read = rule(&mut root, &mut faults, &mut currency);
        root.finish(&mut faults);
        read
    });
    let errors = faults.into_errors();
    match read {
        Some(read) if errors.is_empty() => currency.map(|()| read),
        None if errors.is_empty() => currency.and(Err(Problem::of(Slug::InvalidField))),
        Some(_) | None => Err(Problem::fields(errors)),
    }
}

/// What any of the bodies may say beside.
struct Common {
    reference: Option<String>,
    description: Option<String>,
    requested_at: Option<WallTime>,
    metadata: Vec<(String, String)>,
}

impl Common {
    fn read(root: &mut Fields<'_>, faults: &mut Faults) -> Self {
        let reference = "requestingOrganisationTransactionReference";
        let reference = root.text(reference, |text| printable(text, 64), faults);
        let description = root.text("descriptionText", |text| printable(text, 160), faults);
        let requested_at = root.text("requestDate", time::read, faults);
        let metadata = root.node("metadata");
        let metadata = metadata.map(|node| read_pairs(node, root.of_name("metadata"), faults));
        Self {
            reference,
            description,
            requested_at,
            metadata: metadata.unwrap_or_default(),
        }
    }
}

/// GSMA lists what the other API has as an object.
fn read_pairs(node: &Node<'_>, at: At<'_>, faults: &mut Faults) -> Vec<(String, String)> {
    let items = match node {
        Node::List(items) if items.len() <= super::METADATA_MAX => items.as_slice(),
        Node::List(_) => {
            faults.add(at, (ErrorCode::LengthError, "has more than 16 keys"));
            return Vec::new();
        }
        Node::Null
        | Node::Boolean
        | Node::Whole(_)
        | Node::Fraction
        | Node::Text(_)
        | Node::Object(_) => {
            faults.add(at, (ErrorCode::FormatError, "must be a list"));
            return Vec::new();
        }
    };
    let mut pairs: Vec<(String, String)> = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        let at = At::Place(&at, place);
        let Some(mut fields) = Fields::of(item, at, faults) else {
            continue;
        };
        let key = fields.mandatory_text("key", |text| printable(text, 32), faults);
        let value = fields.mandatory_text("value", read_value, faults);
        fields.finish(faults);
        match (key, value) {
            (Some(key), Some(_)) if pairs.iter().any(|(other, _)| *other == key) => {
                let wrong = (ErrorCode::FormatError, "stands there already");
                faults.add(At::Field(&at, "key"), wrong);
            }
            (Some(key), Some(value)) => pairs.push((key, value)),
            (_, _) => {}
        }
    }
    pairs.sort_unstable();
    pairs
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    Mandatory,
    /// Both, or neither.
    Optional,
}

fn read_amount(
    root: &mut Fields<'_>,
    faults: &mut Faults,
    currency: &mut Result<(), Problem>,
    demand: Demand,
) -> Option<Amount> {
    if demand == Demand::Optional && !root.has("amount") && !root.has("currency") {
        return None;
    }
    let text = root.mandatory_text("amount", |text| digits(text).map(|_| text), faults);
    let letters = root.mandatory_text("currency", read_letters, faults);
    let Some(known) = Currency::from_alphabetic(letters?) else {
        *currency = Err(Problem::of(Slug::CurrencyNotSupported));
        return None;
    };
    let read = amount(text?, known);
    read.map_err(|wrong| faults.add(root.of_name("amount"), wrong))
        .ok()
}

fn amount(text: &str, currency: Currency) -> Result<Amount, Wrong> {
    let minor = minor(text, currency.exponent())?;
    Amount::new(minor, currency).map_err(|_| TOO_LARGE)
}

/// Minor units of a decimal string, exactly. Digits past the exponent must be zero.
fn minor(text: &str, exponent: u8) -> Result<u64, Wrong> {
    let (whole, part) = digits(text)?;
    let exponent = usize::from(exponent);
    let (kept, rest) = part.split_at(part.len().min(exponent));
    if rest.bytes().any(|digit| digit != b'0') {
        let wrong = "has more decimal places than its currency";
        return Err((ErrorCode::FormatError, wrong));
    }
    let minor = format!("{whole}{kept:0<exponent$}").parse();
    match minor {
        Ok(0) => {
            let wrong = "must be more than nothing";
            Err((ErrorCode::LessThanTransactionMinValue, wrong))
        }
        Ok(minor @ ..=Amount::MINOR_MAX) => Ok(minor),
        Ok(_) | Err(_) => Err(TOO_LARGE),
    }
}

const TOO_LARGE: Wrong = (
    ErrorCode::GreaterThanTransactionMaxValue,
    "is more than 999999999999 minor units",
);

/// The digits before and behind the point, by `^([0]|([1-9][0-9]{0,17}))([.][0-9]{0,3}[0-9])?$`.
fn digits(text: &str) -> Result<(&str, &str), Wrong> {
    let wrong = "must be a decimal string: at most 18 digits, a point, and 1 to 4 digits";
    let wrong = (ErrorCode::FormatError, wrong);
    let (whole, part) = match text.split_once('.') {
        Some((whole, part)) if (1..=4).contains(&part.len()) => (whole, part),
        Some(_) => return Err(wrong),
        None => (text, ""),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = (1..=18).contains(&whole.len()) && (whole == "0" || !whole.starts_with('0'));
    if is_whole && is_number(whole) && is_number(part) {
        Ok((whole, part))
    } else {
        Err(wrong)
    }
}

impl State {
    /// `transactionStatus`.
    const fn gsma(self) -> &'static str {
        match self {
            Self::Approved => "completed",
            Self::Pending => "pending",
            Self::Declined | Self::Failed => "failed",
            Self::ReversalPending => "reversing",
            Self::Reversed => "reversed",
            Self::ReversalFailed => "reversalFailed",
        }
    }
}

impl Transaction {
    /// GSMA's transaction object.
    pub(crate) fn to_gsma(&self, reference: Option<&str>) -> Vec<u8> {
        written(&self.gsma_object(reference))
    }

    fn gsma_object<'a>(&self, reference: Option<&'a str>) -> TransactionObject<'a> {
        TransactionObject {
            transaction_reference: self.id.to_string(),
            requesting_organisation_transaction_reference: reference.filter(|it| !it.is_empty()),
            transaction_status: self.state.gsma(),
            kind: self.kind.map(Kind::name),
            amount: decimal(self.amount),
            currency: self.amount.currency().to_string(),
            creation_date: self.created.to_string(),
        }
    }

    /// What a callback in GSMA's words says of its end.
    pub(crate) fn to_gsma_callback(&self, at: WallTime) -> Vec<u8> {
        match self.gsma_refusal() {
            Some(refusal) => refusal.to_json(at),
            None => self.to_gsma(None),
        }
    }

    /// GSMA's request state object.
    pub(crate) fn to_request_state(&self, now: WallTime) -> Vec<u8> {
        let id = self.id.to_string();
        let is_final = self.state.is_final();
        let status = self.request_status();
        let refused = (status == "failed").then(|| self.refusal());
        let object = RequestState {
            server_correlation_id: &id,
            object_reference: &id,
            status,
            notification_method: self.notification.name(),
            pending_reason: (!is_final).then(|| self.awaits.name()),
            expiry_time: (!is_final).then(|| self.expires.to_string()),
            error: refused.map(|refused| refused.object(now)),
        };
        written(&object)
    }

    /// What was asked for is done, or is not. Never `completed` for what was reversed without
    /// ever having been approved: who reads no further would take it for paid.
    fn request_status(&self) -> &'static str {
        match self.state {
            State::Pending | State::ReversalPending => "pending",
            State::Approved => "completed",
            State::Reversed if self.code.is_some_and(ResponseCode::is_approval) => "completed",
            State::Reversed | State::Declined | State::Failed | State::ReversalFailed => "failed",
        }
    }

    /// Why it is told as an error; `None` while it may be told as a transaction.
    pub(crate) fn gsma_refusal(&self) -> Option<Refusal> {
        match self.state {
            State::Declined | State::Failed => Some(self.refusal()),
            // It was never approved: 201 would be read as paid.
            State::Reversed if !self.code.is_some_and(ResponseCode::is_approval) => {
                Some(self.refusal())
            }
            State::Pending
            | State::Approved
            | State::ReversalPending
            | State::Reversed
            | State::ReversalFailed => None,
        }
    }

    fn refusal(&self) -> Refusal {
        let code = self.code.filter(|_| self.state == State::Declined);
        Refusal(code.map_or("requestDeclined", |code| decline_name(code.meaning())))
    }
}

impl Reversed<'_> {
    /// GSMA's transaction object of the reversal: how that stands, and what it was of.
    pub(crate) fn to_gsma(self) -> Vec<u8> {
        let original = self.original;
        let object = TransactionObject {
            transaction_status: self.state().gsma(),
            kind: Some("reversal"),
            ..original.gsma_object(None)
        };
        written(&object)
    }
}

/// GSMA's name of a decline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(&'static str);

impl Refusal {
    /// GSMA's error object.
    pub(crate) fn to_json(self, now: WallTime) -> Vec<u8> {
        written(&self.object(now))
    }

    fn object(self, now: WallTime) -> ErrorObject<'static> {
        ErrorObject {
            error_category: "businessRule",
            error_code: ErrorName::Decline(self.0),
            error_description: "It was declined, or is not executed",
            error_date_time: now.to_string(),
            error_parameters: Vec::new(),
        }
    }
}

impl Problem {
    /// Its status among those that exist there.
    pub(crate) const fn gsma_status(&self) -> u16 {
        // It may still be made: a 400 would be read as its end.
        if matches!(self.slug, Slug::InProgress) {
            return 503;
        }
        match self.slug.status() {
            401 | 403 => 401,
            404 | 405 => 404,
            500..=504 => 503,
            _ => 400,
        }
    }

    /// GSMA's error object.
    pub(crate) fn to_gsma(&self, now: WallTime) -> Vec<u8> {
        let facts = self.slug.facts();
        let first = self.errors.first();
        let code = first.map_or(facts.code, |first| first.error_code);
        let parameters = self.errors.iter().map(|error| Pair {
            key: &error.pointer,
            value: error.detail,
        });
        written(&ErrorObject {
            error_category: facts.category,
            error_code: ErrorName::Fault(code),
            error_description: self.detail.unwrap_or(facts.title),
            error_date_time: now.to_string(),
            error_parameters: parameters.collect(),
        })
    }
}

/// Where the transaction of a key is found.
pub(crate) fn link_json(id: TransactionId) -> Vec<u8> {
    written(&Link {
        link: format!("/transactions/{id}"),
    })
}

/// Strings alone: there is nothing that could not be written.
fn written(object: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(object).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransactionObject<'a> {
    transaction_reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    requesting_organisation_transaction_reference: Option<&'a str>,
    transaction_status: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    amount: String,
    currency: String,
    creation_date: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestState<'a> {
    server_correlation_id: &'a str,
    object_reference: &'a str,
    status: &'static str,
    notification_method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject<'static>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorObject<'a> {
    error_category: &'static str,
    error_code: ErrorName,
    error_description: &'static str,
    error_date_time: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    error_parameters: Vec<Pair<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ErrorName {
    Fault(ErrorCode),
    Decline(&'static str),
}

#[derive(Serialize)]
struct Pair<'a> {
    key: &'a str,
    value: &'static str,
}

#[derive(Serialize)]
struct Link {
    link: String,
}

#[cfg(test)]
mod tests;
