//! One simulated mobile-money operator without its sockets: it takes a request, and the payer
//! decides later.
//!
//! | request | answer |
//! |---|---|
//! | `POST …/token/` with `Basic` | 200, `access_token` and `expires_in`; 401 |
//! | `POST …/requesttopay` | 202, empty; 400 without a UUID of version 4; 409 if known |
//! | `GET …/requesttopay/{ref}` | 200, `PENDING`, `SUCCESSFUL` or `FAILED` with a `reason`; 404 |
//! | `POST …/requesttopay/{ref}/refund` | 200 `REFUNDED`, 404, 409 while open, 422 of too much |
//!
//! All but the first want `Bearer` with a token that has not ended: 401. Money moves when the payer
//! confirms, not when the request is taken.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use domain::amount::Amount;
use domain::response_code::ResponseCode;
use hashbrown::{HashMap, HashSet};
use serde_json::{Value, json};

use super::behaviour::Delivery;
use super::book::{Asked, Told};
use super::desk::Desk;
use super::json::http::{Request, each, write_answer};
use super::json::{read_amount, read_payment, reason_of};
use super::wheel::Pending;
use crate::distribution::Distribution;
use crate::random::Random;
use crate::trace_id::TraceId;

/// What an operator does besides what all issuers do. Shares are of the requests to pay.
#[derive(Clone, Copy, Debug)]
pub struct MomoBehaviour {
    /// From a request to what its payer decides.
    pub payer: Distribution,
    /// Never decided: failed at `expiry`.
    pub unconfirmed: f64,
    /// How long a payer has.
    pub expiry: Duration,
    /// Told as not known for `hidden_for`.
    pub hidden: f64,
    /// How long what is hidden is not known.
    pub hidden_for: Distribution,
    /// Answered with 500; half of them are taken all the same.
    pub failed: f64,
    /// Callbacks that are never made.
    pub callback_lost: f64,
    /// Callbacks that are made twice.
    pub callback_twice: f64,
    /// How long a token is good, in seconds.
    pub token_s: u64,
}

/// Takes requests, and lets payers decide at their times.
#[derive(Debug)]
pub(super) struct MomoStation {
    desk: Desk,
    behaviour: MomoBehaviour,
    random: Random,
    payments: HashMap<String, Payment>,
    /// When which payer decides.
    deciding: BinaryHeap<Reverse<(u64, String)>>,
    /// When each token ends.
    tokens: HashMap<String, u64>,
    /// Refunds that were made, by payment and their ids, and what they were told.
    refunds: HashMap<(String, String), Value>,
    /// Refunded before they came.
    voided: HashSet<String>,
    /// Callbacks to be made.
    calls: Vec<Call>,
}

/// A callback: where to, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) url: String,
    pub(super) body: String,
}

/// What has come under a reference.
#[derive(Debug)]
struct Payment {
    id: String,
    trace: TraceId,
    amount: Amount,
    /// Value and currency as they were asked.
    asked: Value,
    /// What its payer decides.
    wanted: Told,
    decided: Option<Told>,
    /// Until then it is told as not known.
    known_at: u64,
    /// Minor units that were executed and not taken back.
    left: u64,
    callback: Option<String>,
}

impl MomoStation {
    pub(super) fn new(desk: Desk, behaviour: MomoBehaviour, seed: u64) -> Self {
        Self {
            desk,
            behaviour,
            random: Random::stream(seed, 0x3030_2202),
            payments: HashMap::new(),
            deciding: BinaryHeap::new(),
            tokens: HashMap::new(),
            refunds: HashMap::new(),
            voided: HashSet::new(),
            calls: Vec::new(),
        }
    }

    pub(super) const fn desk(&self) -> &Desk {
        &self.desk
    }

    pub(super) const fn desk_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }

    /// Takes the requests in `bytes`; says how many bytes they were, or `None` when the connection
    /// must be closed.
    pub(super) fn receive_all(&mut self, line: u32, bytes: &[u8], now: u64) -> Option<usize> {
        let taken = each(bytes, |request| self.receive(line, request, now));
        self.desk.stats.unreadable += u64::from(taken.is_none());
        taken
    }

    /// Lets payers decide whose time has come; gives the callbacks that follow.
    pub(super) fn decide(&mut self, now: u64) -> Vec<Call> {
        while let Some(Reverse((at, _))) = self.deciding.peek()
            && *at <= now
        {
            if let Some(Reverse((_, reference))) = self.deciding.pop() {
                self.decide_one(&reference);
            }
        }
        std::mem::take(&mut self.calls)
    }

    fn decide_one(&mut self, reference: &str) {
        let Some(payment) = self.payments.get_mut(reference) else {
            return;
        };
        let told = self.desk.book.request(&Asked {
            id: payment.trace,
            repeat: false,
            amount: payment.amount,
            told: payment.wanted,
            completes: None,
        });
        self.desk.book.close(payment.trace.stan);
        payment.decided = Some(told);
        if told.code.is_approval() {
            payment.left = payment.amount.minor();
            self.desk.stats.approved += 1;
        }
        let Some(url) = payment.callback.clone() else {
            return;
        };
        let body = told_of(payment).to_string();
        if self.random.chance(self.behaviour.callback_lost) {
            return;
        }
        let call = Call { url, body };
        if self.random.chance(self.behaviour.callback_twice) {
            self.calls.push(call.clone());
        }
        self.calls.push(call);
    }

    fn receive(&mut self, line: u32, request: Request<'_>, now: u64) {
        if request.method == "POST" && request.path.trim_end_matches('/').ends_with("/token") {
            let said = self.token(&request, now);
            return self.answer(line, said, Delivery::Once, now);
        }
        let shown = request.header("authorization").unwrap_or_default();
        let token = shown.strip_prefix("Bearer ").unwrap_or_default();
        if self.tokens.get(token).is_none_or(|end| *end <= now) {
            let said = (401, Some(json!({ "error": "invalid_token" })));
            return self.answer(line, said, Delivery::Once, now);
        }
        let at = request.path.find(OPERATION);
        let path = at.and_then(|at| request.path.get(at + OPERATION.len()..));
        let parts: Vec<&str> = path.unwrap_or("/?").split('/').skip(1).collect();
        match (request.method, parts.as_slice()) {
            ("POST", []) => self.payment(line, &request, now),
            ("POST", [reference, "refund"]) => self.refund(line, reference, request.body, now),
            ("GET", [reference]) => {
                let said = self.standing(reference, now);
                self.answer(line, said, Delivery::Once, now);
            }
            _ => self.refuse(line, 404, now),
        }
    }

    fn token(&mut self, request: &Request<'_>, now: u64) -> Said {
        let shown = request.header("authorization").unwrap_or_default();
        if !shown.starts_with("Basic ") {
            return (401, Some(json!({ "error": "invalid_client" })));
        }
        self.tokens.retain(|_, end| *end > now);
        if self.tokens.len() >= TOKENS_MAX {
            return (503, None);
        }
        let token = format!("{:016x}{:016x}", self.random.bits(), self.random.bits());
        let seconds = self.behaviour.token_s;
        let end = now.saturating_add(seconds.saturating_mul(NANOS));
        let said = json!({
            "access_token": token, "token_type": "access_token", "expires_in": seconds,
        });
        self.tokens.insert(token, end);
        (200, Some(said))
    }

    fn payment(&mut self, line: u32, request: &Request<'_>, now: u64) {
        let reference = request.header("x-reference-id").unwrap_or_default();
        let read = read_flat(request.body).filter(|_| is_uuid_4(reference));
        let Some((id, (trace, amount), asked)) = read else {
            return self.refuse(line, 400, now);
        };
        self.desk.first.get_or_insert(now);
        self.desk.stats.requests += 1;
        if self.payments.contains_key(reference) {
            self.desk.book.oddities.requests_doubled += 1;
            let said = (409, Some(json!({ "code": "RESOURCE_ALREADY_EXIST" })));
            return self.answer(line, said, Delivery::Once, now);
        }
        if self.payments.len() >= PAYMENTS_MAX {
            return self.answer(line, (503, None), Delivery::Once, now);
        }
        let delivery = self.desk.delivery();
        if delivery == (Delivery::Silent { processed: false }) {
            self.desk.stats.silent += 1;
            return;
        }
        let fails = self.random.chance(self.behaviour.failed);
        if fails && self.random.chance(0.5) {
            return self.answer(line, (500, None), delivery, now);
        }
        let payment = Payment {
            id,
            trace,
            amount,
            asked,
            wanted: self.desk.wanted(),
            decided: None,
            known_at: now,
            left: 0,
            callback: request.header("x-callback-url").map(str::to_owned),
        };
        self.take(reference, payment, now);
        let status = if fails { 500 } else { 202 };
        self.answer(line, (status, None), delivery, now);
    }

    /// Throws what becomes of it.
    fn take(&mut self, reference: &str, mut payment: Payment, now: u64) {
        let behaviour = self.behaviour;
        if self.random.chance(behaviour.hidden) {
            let hidden = behaviour.hidden_for.sample_nanos(&mut self.random);
            payment.known_at = now.saturating_add(hidden);
        }
        if self.voided.contains(reference) {
            self.desk.book.oddities.requests_after_reversal += 1;
            payment.wanted = Told::decline(ResponseCode::DUPLICATE);
        }
        let expiry = u64::try_from(behaviour.expiry.as_nanos()).unwrap_or(u64::MAX);
        let mut after = behaviour.payer.sample_nanos(&mut self.random);
        if self.random.chance(behaviour.unconfirmed) || after >= expiry {
            after = expiry;
            let code = ResponseCode::new(EXPIRED);
            payment.wanted = Told::decline(code.unwrap_or(ResponseCode::DO_NOT_HONOUR));
        }
        let entry = (now.saturating_add(after), reference.to_owned());
        self.deciding.push(Reverse(entry));
        self.payments.insert(reference.to_owned(), payment);
    }

    fn refund(&mut self, line: u32, reference: &str, body: &[u8], now: u64) {
        self.desk.stats.reversals += 1;
        let Some(said) = self.refunded(reference, body) else {
            return self.refuse(line, 400, now);
        };
        let delivery = self.desk.delivery();
        self.answer(line, said, delivery, now);
    }

    /// Takes back once for one id of a refund. `None` of what is none.
    fn refunded(&mut self, reference: &str, body: &[u8]) -> Option<Said> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let own = body.get("externalId")?.as_str()?.to_owned();
        let amount = read_amount(&nested(&body)?)?;
        let key = (reference.to_owned(), own);
        if let Some(said) = self.refunds.get(&key) {
            self.desk.book.oddities.reversals_repeated += 1;
            return Some((200, Some(said.clone())));
        }
        let refused = |status, code: &str| Some((status, Some(json!({ "code": code }))));
        if self.refunds.len() >= PAYMENTS_MAX || self.voided.len() >= PAYMENTS_MAX {
            return Some((503, None));
        }
        let Some(payment) = self.payments.get_mut(reference) else {
            self.desk.book.oddities.reversals_unknown += 1;
            self.voided.insert(key.0);
            return refused(404, "RESOURCE_NOT_FOUND");
        };
        if payment.decided.is_none() {
            return refused(409, "NOT_DECIDED");
        }
        let is_same = payment.amount.currency() == amount.currency();
        let Some(left) = payment.left.checked_sub(amount.minor()).filter(|_| is_same) else {
            return refused(422, "TOO_MUCH");
        };
        payment.left = left;
        let stays = Amount::new(left, amount.currency()).ok();
        self.desk.book.reversal(&payment.trace, stays);
        let said = json!({
            "externalId": key.1, "status": "REFUNDED",
            "amount": body.get("amount"), "currency": body.get("currency"),
        });
        self.refunds.insert(key, said.clone());
        Some((200, Some(said)))
    }

    fn standing(&self, reference: &str, now: u64) -> Said {
        match self.payments.get(reference) {
            Some(payment) if payment.known_at <= now => (200, Some(told_of(payment))),
            Some(_) | None => (404, Some(json!({ "code": "RESOURCE_NOT_FOUND" }))),
        }
    }

    /// What cannot be read is told so at once.
    fn refuse(&mut self, line: u32, status: u16, now: u64) {
        self.desk.stats.unreadable += 1;
        self.answer(line, (status, None), Delivery::Once, now);
    }

    fn answer(&mut self, line: u32, (status, body): Said, delivery: Delivery, now: u64) {
        let mut body = body.map(|body| body.to_string()).unwrap_or_default();
        match delivery {
            Delivery::Silent { .. } => {
                self.desk.stats.silent += 1;
                return;
            }
            Delivery::Garbled => {
                self.desk.stats.garbled += 1;
                "{\"status\":".clone_into(&mut body);
            }
            Delivery::Late => self.desk.stats.late += 1,
            Delivery::Once | Delivery::Twice => {}
        }
        let mut frame = self.desk.wheel.buffer();
        write_answer(status, body.as_bytes(), &mut frame);
        let due = now.saturating_add(self.desk.dice.delay(delivery));
        let closes = None;
        self.desk.wheel.insert(
            due,
            Pending {
                line,
                frame,
                closes,
            },
        );
    }
}

/// What is told: a status of HTTP, and a body where there is one.
type Said = (u16, Option<Value>);

/// A payment whose amount and currency stand beside each other.
fn read_flat(body: &[u8]) -> Option<(String, (TraceId, Amount), Value)> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let amount = nested(&body)?;
    *body.get_mut("amount")? = amount;
    read_payment(&body)
}

fn nested(body: &Value) -> Option<Value> {
    Some(json!({ "value": body.get("amount")?, "currency": body.get("currency")? }))
}

fn told_of(payment: &Payment) -> Value {
    let asked = |name: &str| payment.asked.get(name).cloned().unwrap_or_default();
    let mut told = json!({
        "externalId": payment.id,
        "amount": asked("value"),
        "currency": asked("currency"),
        "status": "PENDING",
    });
    match payment.decided {
        Some(decided) if decided.code.is_approval() => {
            told["status"] = json!("SUCCESSFUL");
            told["financialTransactionId"] = json!(decided.authorisation.as_str());
        }
        Some(decided) => {
            told["status"] = json!("FAILED");
            told["reason"] = json!(reason_of(decided));
        }
        None => {}
    }
    told
}

/// 8-4-4-4-12 hexadecimal digits, with the marks of version 4.
fn is_uuid_4(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let is_hex = |byte: u8| byte == b'-' || byte.is_ascii_hexdigit();
    groups == [8, 4, 4, 4, 12]
        && text.bytes().all(is_hex)
        && text.as_bytes().get(14) == Some(&b'4')
        && matches!(
            text.as_bytes().get(19),
            Some(b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
        )
}

const OPERATION: &str = "/requesttopay";
/// DE39 54, whose word is `EXPIRED`.
const EXPIRED: &[u8] = b"54";
const PAYMENTS_MAX: usize = 1_000_000;
const TOKENS_MAX: usize = 1_024;
const NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
