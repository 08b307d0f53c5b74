//! From an operation to the bytes of its request, and from an answer to what it means. Pure.
//!
//! Doubt is never taken for a no: what may have been executed and is not told to be is
//! [`Verdict::Unknown`], and a reversal is owed.

use std::time::Duration;

use domain::amount::Amount;
use domain::bytes::Text;
use domain::ids::AuthorisationId;
use domain::response_code::ResponseCode;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::operation::Asked;
use super::plan::{
    AmountForm, AnswerMap, Content, Field, Operation, Plan, Pointer, SecretHeader, Status,
};
use super::reply::Reply;
use crate::acquirer::strict::{self, Node};

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Approved(AuthorisationId),
    Declined(ResponseCode),
    /// Proven: nothing was moved.
    NotExecuted,
    /// The same, because the issuer does not let the switch in.
    NotLetIn,
    /// Of a reversal: the issuer has nothing to take back.
    NothingToReverse,
    /// The issuer has it, and has not decided.
    Pending,
    /// Of a query: it was executed, and something of it taken back.
    TakenBack,
    /// It may have been executed.
    Unknown,
}

//= docs/rules.md#M-11
/// The bytes of a request; `None` where the issuer has no such operation, or where it would take
/// back in full what is to be taken back in part.
pub(crate) fn request(
    plan: &Plan,
    asked: &Asked,
    shown: Option<&SecretHeader>,
) -> Option<Zeroizing<Vec<u8>>> {
    let operation = if asked.is_reversal {
        let reverse = plan.reverse.as_ref()?;
        if reverse.is_idempotent && asked.is_part() {
            return None;
        }
        &reverse.operation
    } else {
        &plan.submit
    };
    Some(written((plan, operation), asked, shown))
}

//= docs/rules.md#M-14
/// The bytes by which the state of a payment is asked for, or of the one that a reversal is of;
/// `None` where the issuer has no such operation.
pub(crate) fn query(
    plan: &Plan,
    asked: &Asked,
    shown: Option<&SecretHeader>,
) -> Option<Zeroizing<Vec<u8>>> {
    let query = plan.query.as_ref()?;
    Some(written((plan, &query.operation), asked, shown))
}

fn written(
    (plan, operation): (&Plan, &Operation),
    asked: &Asked,
    shown: Option<&SecretHeader>,
) -> Zeroizing<Vec<u8>> {
    let body = body(plan, operation, asked);
    let path = placed(&operation.path, asked);
    let (method, host, base) = (&operation.method, &plan.host, &plan.base_path);
    let len = body.len();
    let mut head = Zeroizing::new(format!(
        "{method} {base}{path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n"
    ));
    if method != "GET" {
        put_header(&mut head, "Content-Type", "application/json");
        put_header(&mut head, "Content-Length", &len.to_string());
    }
    let fixed = plan.headers.iter().chain(&operation.headers);
    for (name, value) in fixed {
        let value = placed(value, asked);
        let value = value.replace("{callbackUrl}", &asked.callback_url);
        put_header(&mut head, name, &value);
    }
    for secret in plan.secret_headers.iter().chain(shown) {
        put_header(&mut head, &secret.name, secret.expose());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(head.len() + 2 + len));
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}

/// With what stands in braces filled in.
fn placed(text: &str, asked: &Asked) -> String {
    let placed = text
        .replace("{ourId}", &asked.our_id)
        .replace("{reversalId}", &asked.reversal_id);
    // It is not made for issuers that do not name it.
    if placed.contains("{ourUuid}") {
        placed.replace("{ourUuid}", asked.our_uuid())
    } else {
        placed
    }
}

fn put_header(head: &mut String, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        head.push_str(part);
    }
}

fn body(plan: &Plan, operation: &Operation, asked: &Asked) -> Zeroizing<Vec<u8>> {
    if operation.body.is_empty() {
        return Zeroizing::default();
    }
    let mut tree = Value::Object(Map::new());
    for (pointer, content) in &operation.body {
        let value = match content {
            Content::Constant(text) => Some(Value::from(text.as_str())),
            Content::Field(Field::Amount) => Some(amount_value(plan.amount_form, asked.amount)),
            Content::Field(Field::Remaining) => asked
                .remaining
                .map(|remaining| amount_value(plan.amount_form, remaining)),
            Content::Field(field) => asked.text(*field).map(Value::from),
        };
        if let Some(value) = value {
            put(&mut tree, pointer, value);
        }
    }
    Zeroizing::new(tree.to_string().into_bytes())
}

/// What the configuration lets through never stands in the way of something else.
fn put(tree: &mut Value, pointer: &Pointer, value: Value) {
    let mut place = tree;
    for name in pointer.names() {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(object) = place.as_object_mut() else {
            return;
        };
        place = object.entry(name.as_str()).or_insert(Value::Null);
    }
    *place = value;
}

fn amount_value(form: AmountForm, amount: Amount) -> Value {
    match form {
        AmountForm::Minor => Value::from(amount.minor()),
        AmountForm::Decimal => Value::from(decimal(amount)),
    }
}

/// With as many decimals as its currency has.
fn decimal(amount: Amount) -> String {
    let exponent = usize::from(amount.currency().exponent());
    let digits = format!("{:0width$}", amount.minor(), width = exponent + 1);
    let (whole, part) = digits.split_at(digits.len() - exponent);
    if part.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{part}")
    }
}

//= docs/rules.md#M-09
/// What an answer to `asked` means.
pub(crate) fn judge(plan: &Plan, asked: &Asked, reply: &Reply) -> Verdict {
    let status = reply.status;
    match status {
        202 if is_asked_for(plan, asked) => Verdict::Pending,
        // It promises an answer that nobody would ask for.
        202 => Verdict::Unknown,
        200..=299 => match answer_map(plan, asked) {
            Some(map) => judge_body((plan, map), About::Operation(asked), &reply.body),
            None => Verdict::Unknown,
        },
        _ if asked.is_reversal && plan.nothing_to_reverse.contains(&status) => {
            Verdict::NothingToReverse
        }
        401 | 403 => Verdict::NotLetIn,
        429 | 503 if plan.busy_means_not_executed => Verdict::NotExecuted,
        _ if plan.not_executed.contains(&status) => Verdict::NotExecuted,
        _ => Verdict::Unknown,
    }
}

/// Whether what the issuer has not decided is asked for until it is.
const fn is_asked_for(plan: &Plan, asked: &Asked) -> bool {
    plan.query.is_some() && !asked.is_reversal
}

//= docs/rules.md#M-14
/// What the answer to a query says of the payment, which is this old. Of the statuses that are no
/// 2xx none proves anything, but for 404 where the configuration says so. As long as its answer may
/// be waited for a submit may still leave, and a switch that has died meanwhile does not say when
/// it did: the grace begins behind that.
pub(crate) fn judge_query(plan: &Plan, asked: &Asked, reply: &Reply, age: Duration) -> Verdict {
    let Some(query) = &plan.query else {
        return Verdict::Unknown;
    };
    let map = query.answer.as_ref().unwrap_or(&plan.answer);
    match reply.status {
        202 => Verdict::Pending,
        200..=299 => judge_body((plan, map), About::Payment(asked), &reply.body),
        401 | 403 => Verdict::NotLetIn,
        404 if age < plan.answer_max.saturating_add(query.not_found_grace) => Verdict::Pending,
        404 if query.not_found_is_final => Verdict::NotExecuted,
        _ => Verdict::Unknown,
    }
}

/// What an answer is to be about.
#[derive(Clone, Copy)]
enum About<'a> {
    /// What was asked for.
    Operation(&'a Asked),
    /// The payment of it, which a query is for.
    Payment(&'a Asked),
}

fn judge_body((plan, map): (&Plan, &AnswerMap), about: About<'_>, body: &[u8]) -> Verdict {
    let Ok(tree) = strict::read(body) else {
        return Verdict::Unknown;
    };
    let told = text_at(&tree, &map.status);
    let known = |told: &str| map.statuses.iter().find(|(text, _)| text == told);
    let status = told.and_then(known).map(|(_, status)| *status);
    match (status, agrees((plan, map), about, &tree)) {
        (Some(Status::Done), Agrees::InAll) => {
            let text = map.authorisation.as_ref();
            let text = text.and_then(|pointer| text_at(&tree, pointer));
            let code = text.and_then(|text| Text::new("DE38", text.as_bytes()).ok());
            Verdict::Approved(code.unwrap_or(AuthorisationId::EMPTY))
        }
        (Some(Status::Declined), Agrees::InAll | Agrees::AsFarAsTold) => {
            let reason = map.reason.as_ref();
            let reason = reason.and_then(|pointer| text_at(&tree, pointer));
            let mapped = |reason: &str| map.reasons.iter().find(|(text, _)| text == reason);
            let code = reason.and_then(mapped).map(|(_, code)| *code);
            Verdict::Declined(code.unwrap_or(ResponseCode::DO_NOT_HONOUR))
        }
        (Some(Status::Pending), Agrees::InAll | Agrees::AsFarAsTold)
            if is_asked_for(plan, about.asked()) =>
        {
            Verdict::Pending
        }
        (Some(Status::TakenBack), Agrees::InAll) => Verdict::TakenBack,
        (Some(Status::Done | Status::Declined | Status::Pending | Status::TakenBack) | None, _) => {
            Verdict::Unknown
        }
    }
}

//= docs/rules.md#M-12
/// How the answers of this operation are read: a payment that stands takes nothing back, and one
/// that is taken back was not approved.
fn answer_map<'a>(plan: &'a Plan, asked: &Asked) -> Option<&'a AnswerMap> {
    if asked.is_reversal {
        plan.reverse.as_ref().map(|reverse| &reverse.answer)
    } else {
        Some(&plan.answer)
    }
}

impl<'a> About<'a> {
    const fn asked(self) -> &'a Asked {
        match self {
            Self::Operation(asked) | Self::Payment(asked) => asked,
        }
    }
}

/// Whether an answer is about what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agrees {
    InAll,
    /// Something that it was to repeat is missing.
    AsFarAsTold,
    No,
}

fn agrees((plan, map): (&Plan, &AnswerMap), about: About<'_>, tree: &Node<'_>) -> Agrees {
    let asked = about.asked();
    let is_text = |node: &Node<'_>, own: &str| matches!(node, Node::Text(text) if text == own);
    let our_id = |node: &Node<'_>| is_text(node, &asked.our_id);
    let reversal_id = |node: &Node<'_>| is_text(node, &asked.reversal_id);
    let amount = |node: &Node<'_>| match about {
        // An earlier reversal in part may have taken of it what this one does not know.
        About::Payment(_) if asked.is_reversal => {
            let told = told_amount(node, plan.amount_form, asked.stood);
            told.is_some_and(|told| told.minor() >= asked.stood.minor())
        }
        About::Operation(_) | About::Payment(_) => is_amount(node, plan.amount_form, asked.amount),
    };
    let letters = asked.amount.currency().alphabetic();
    let currency = |node: &Node<'_>| letters.is_some_and(|letters| is_text(node, letters));
    let found = [
        compare(tree, map.our_id.as_ref(), our_id),
        compare(tree, map.reversal_id.as_ref(), reversal_id),
        compare(tree, map.amount.as_ref(), amount),
        compare(tree, map.currency.as_ref(), currency),
    ];
    if found.contains(&Agrees::No) {
        Agrees::No
    } else if found.contains(&Agrees::AsFarAsTold) {
        Agrees::AsFarAsTold
    } else {
        Agrees::InAll
    }
}

fn compare(
    tree: &Node<'_>,
    pointer: Option<&Pointer>,
    is_same: impl Fn(&Node<'_>) -> bool,
) -> Agrees {
    let Some(pointer) = pointer else {
        return Agrees::InAll;
    };
    match at(tree, pointer) {
        None | Some(Node::Null) => Agrees::AsFarAsTold,
        Some(node) if is_same(node) => Agrees::InAll,
        Some(_) => Agrees::No,
    }
}

/// Written otherwise, as with zeros behind, it is another one: nothing is guessed.
fn is_amount(node: &Node<'_>, form: AmountForm, amount: Amount) -> bool {
    match (form, node) {
        (AmountForm::Minor, Node::Whole(minor)) => *minor == amount.minor(),
        (AmountForm::Decimal, Node::Text(text)) => *text == decimal(amount),
        (AmountForm::Minor | AmountForm::Decimal, _) => false,
    }
}

/// The amount that stands there, in the currency of another one.
fn told_amount(node: &Node<'_>, form: AmountForm, like: Amount) -> Option<Amount> {
    let minor = match (form, node) {
        (AmountForm::Minor, Node::Whole(minor)) => *minor,
        (AmountForm::Decimal, Node::Text(text)) => text.replace('.', "").parse().ok()?,
        (AmountForm::Minor | AmountForm::Decimal, _) => return None,
    };
    let told = Amount::new(minor, like.currency()).ok()?;
    is_amount(node, form, told).then_some(told)
}

fn text_at<'a>(tree: &'a Node<'a>, pointer: &Pointer) -> Option<&'a str> {
    match at(tree, pointer)? {
        Node::Text(text) => Some(text),
        Node::Null
        | Node::Boolean
        | Node::Whole(_)
        | Node::Fraction
        | Node::List(_)
        | Node::Object(_) => None,
    }
}

pub(super) fn at<'a>(tree: &'a Node<'a>, pointer: &Pointer) -> Option<&'a Node<'a>> {
    let mut node = tree;
    for name in pointer.names() {
        node = match node {
            Node::Object(entries) => &entries.iter().find(|(key, _)| key == name)?.1,
            Node::List(items) => items.get(name.parse::<usize>().ok()?)?,
            Node::Null | Node::Boolean | Node::Whole(_) | Node::Fraction | Node::Text(_) => {
                return None;
            }
        };
    }
    Some(node)
}

#[cfg(test)]
pub(super) mod tests;
