//! One simulated issuer of JSON over HTTP/1.1 without its sockets.
//!
//! | request | answer |
//! |---|---|
//! | `POST …/payments` | 200, `SUCCESSFUL` or `FAILED` with a `reason`; 409 of an id that came before |
//! | `POST …/payments/{id}/reversals` | 200 `REVERSED`, the same of a reversal that came before; 404 of what never came, and then it is refused should it still come; 422 of more than is left |
//! | `GET …/payments/{id}` | 200, how it stands; 404 |
//!
//! A payment is `externalId` (20 digits: date, time and STAN), `amount` with `value` and
//! `currency`, `rrn` and `terminal`; a reversal has an `externalId` of its own and the `amount`
//! that it takes back. A `value` is a decimal as text, or a whole number of minor units; it is told
//! as it was asked. Whatever else a body has is not looked at.

pub(super) mod http;

use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::{Rrn, Stan, TerminalId};
use domain::response_code::ResponseCode;
use domain::time::TransmissionTime;
use hashbrown::{HashMap, HashSet};
use serde_json::{Value, json};

use self::http::{Request, each, write_answer};
use super::behaviour::Delivery;
use super::book::{Asked, Told};
use super::desk::Desk;
use super::wheel::Pending;
use crate::trace_id::TraceId;

/// Takes requests, decides, and gives out answers at their times.
#[derive(Debug)]
pub(super) struct JsonStation {
    desk: Desk,
    payments: HashMap<String, Payment>,
    /// Reversals that were taken, by their ids, and what they were told.
    reversals: HashMap<String, Value>,
    /// Reversed before they came.
    voided: HashSet<String>,
    /// Whose reversals are never answered.
    poisoned: HashSet<String>,
}

/// What has come under an id.
#[derive(Debug)]
struct Payment {
    trace: TraceId,
    told: Told,
    amount: Amount,
    /// Minor units that were not taken back.
    left: u64,
    /// The amount as it was asked.
    asked: Value,
}

/// What is told: a status of HTTP and a body.
type Said = (u16, Value);

impl JsonStation {
    pub(super) fn new(desk: Desk) -> Self {
        Self {
            desk,
            payments: HashMap::new(),
            reversals: HashMap::new(),
            voided: HashSet::new(),
            poisoned: HashSet::new(),
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

    fn receive(&mut self, line: u32, request: Request<'_>, now: u64) {
        let at = request.path.find("/payments");
        let path = at.and_then(|at| request.path.get(at + "/payments".len()..));
        let parts: Vec<&str> = path.unwrap_or("/?").split('/').skip(1).collect();
        match (request.method, parts.as_slice()) {
            ("POST", []) => self.payment(line, request.body, now),
            ("POST", [id, "reversals"]) => self.reversal(line, id, request.body, now),
            ("GET", [id]) => {
                let said = self.standing(id);
                self.answer(line, &said, (Delivery::Once, None), now);
            }
            _ => self.refuse(line, 404, now),
        }
    }

    /// What cannot be read is told so at once.
    fn refuse(&mut self, line: u32, status: u16, now: u64) {
        self.desk.stats.unreadable += 1;
        let said = (status, json!({ "status": "REFUSED" }));
        self.answer(line, &said, (Delivery::Once, None), now);
    }

    fn payment(&mut self, line: u32, body: &[u8], now: u64) {
        let read = serde_json::from_slice(body).ok();
        let Some((id, asked, value)) = read.as_ref().and_then(read_payment) else {
            return self.refuse(line, 400, now);
        };
        self.desk.first.get_or_insert(now);
        self.desk.stats.requests += 1;
        let delivery = self.desk.delivery();
        if delivery == (Delivery::Silent { processed: false }) {
            self.desk.stats.silent += 1;
            return;
        }
        let (trace, amount) = asked;
        let closes = Some(trace.stan);
        if self.voided.contains(&id) {
            self.desk.book.oddities.requests_after_reversal += 1;
            let told = Told::decline(ResponseCode::DUPLICATE);
            let said = (200, told_of(&id, told, &value));
            return self.answer(line, &said, (delivery, closes), now);
        }
        let is_known = self.payments.contains_key(&id);
        let told = self.desk.wanted();
        let told = self.desk.book.request(&Asked {
            id: trace,
            repeat: false,
            amount,
            told,
            completes: None,
        });
        self.desk.stats.approved += u64::from(told.code.is_approval());
        let said = if is_known {
            (409, json!({ "externalId": id, "status": "DUPLICATE" }))
        } else {
            (200, told_of(&id, told, &value))
        };
        if !is_known {
            let payment = Payment {
                trace,
                told,
                amount,
                left: amount.minor(),
                asked: value,
            };
            self.payments.insert(id, payment);
        }
        self.answer(line, &said, (delivery, closes), now);
    }

    fn reversal(&mut self, line: u32, id: &str, body: &[u8], now: u64) {
        self.desk.stats.reversals += 1;
        if self.desk.control.take_poison() {
            self.poisoned.insert(id.to_owned());
        }
        let Some(said) = self.reversed(id, body) else {
            return self.refuse(line, 400, now);
        };
        let delivery = self.desk.delivery();
        if self.poisoned.contains(id) {
            self.desk.stats.silent += 1;
            return;
        }
        self.answer(line, &said, (delivery, None), now);
    }

    /// Takes back once for one id of a reversal. `None` of what is none.
    fn reversed(&mut self, id: &str, body: &[u8]) -> Option<Said> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let own = body.get("externalId")?.as_str()?.to_owned();
        let asked = body.get("amount")?;
        let amount = read_amount(asked)?;
        if let Some(said) = self.reversals.get(&own) {
            self.desk.book.oddities.reversals_repeated += 1;
            return Some((200, said.clone()));
        }
        let Some(payment) = self.payments.get_mut(id) else {
            self.desk.book.oddities.reversals_unknown += 1;
            self.voided.insert(id.to_owned());
            return Some((404, json!({ "externalId": own, "status": "UNKNOWN" })));
        };
        let is_same = payment.amount.currency() == amount.currency();
        let Some(left) = payment.left.checked_sub(amount.minor()).filter(|_| is_same) else {
            return Some((422, json!({ "externalId": own, "status": "TOO_MUCH" })));
        };
        payment.left = left;
        let stays = Amount::new(left, amount.currency()).ok();
        // What was reversed in full says nothing again; a decline has nothing to give back.
        self.desk.book.reversal(&payment.trace, stays);
        let said = json!({ "externalId": own, "status": "REVERSED", "amount": asked });
        self.reversals.insert(own, said.clone());
        Some((200, said))
    }

    fn standing(&self, id: &str) -> Said {
        match self.payments.get(id) {
            Some(payment) => (200, told_of(id, payment.told, &payment.asked)),
            None => (404, json!({ "externalId": id, "status": "UNKNOWN" })),
        }
    }

    /// Writes an answer and puts it on its way; its STAN is free once it has left.
    fn answer(
        &mut self,
        line: u32,
        (status, body): &Said,
        (delivery, closes): (Delivery, Option<Stan>),
        now: u64,
    ) {
        let mut body = body.to_string().into_bytes();
        match delivery {
            Delivery::Silent { .. } => {
                self.desk.stats.silent += 1;
                return;
            }
            Delivery::Garbled => {
                self.desk.stats.garbled += 1;
                body.truncate(body.len() / 2);
            }
            Delivery::Late => self.desk.stats.late += 1,
            // One request has one answer.
            Delivery::Once | Delivery::Twice => {}
        }
        let mut frame = self.desk.wheel.buffer();
        write_answer(*status, &body, &mut frame);
        let due = now.saturating_add(self.desk.dice.delay(delivery));
        let pending = Pending {
            line,
            frame,
            closes,
        };
        self.desk.wheel.insert(due, pending);
    }
}

/// Its id, what names it in ledgers, its amount, and that as it stands there.
pub(super) fn read_payment(body: &Value) -> Option<(String, (TraceId, Amount), Value)> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let id = text("externalId")?;
    let asked = body.get("amount")?;
    let digits = id.as_bytes();
    let trace = TraceId {
        stan: Stan::from_digits(digits.get(14..20)?).ok()?,
        transmitted: TransmissionTime::from_digits(digits.get(4..14)?).ok()?,
        rrn: Rrn::new("DE37", text("rrn").unwrap_or_default().as_bytes()).ok()?,
        terminal: TerminalId::new("DE41", text("terminal").unwrap_or_default().as_bytes()).ok()?,
    };
    let is_whole = id.len() == 20;
    let amount = read_amount(asked).filter(|_| is_whole)?;
    Some((id.to_owned(), (trace, amount), asked.clone()))
}

/// `value` in `currency`.
pub(super) fn read_amount(asked: &Value) -> Option<Amount> {
    let currency = Currency::from_alphabetic(asked.get("currency")?.as_str()?)?;
    let value = asked.get("value")?;
    let minor = match value {
        Value::String(text) => read_decimal(text, usize::from(currency.exponent()))?,
        value => value.as_u64()?,
    };
    Amount::new(minor, currency).ok()
}

/// Minor units of a decimal with exactly as many places as its currency has.
fn read_decimal(text: &str, exponent: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = [whole, part].concat();
    let is_exact = part.len() == exponent && text.contains('.') == (exponent > 0);
    let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_exact && is_number)
}

fn told_of(id: &str, told: Told, asked: &Value) -> Value {
    if told.code.is_approval() {
        return json!({
            "externalId": id,
            "status": "SUCCESSFUL",
            "amount": asked,
            "authorisation": told.authorisation.as_str(),
        });
    }
    json!({
        "externalId": id,
        "status": "FAILED",
        "amount": asked,
        "reason": reason_of(told),
    })
}

/// The word for why it was declined.
pub(super) fn reason_of(told: Told) -> &'static str {
    let code = told.code.to_string();
    let known = REASONS.iter().find(|(of, _)| *of == code);
    known.map_or("NOT_DONE", |(_, reason)| reason)
}

/// Why an issuer declines, by DE39.
const REASONS: [(&str, &str); 6] = [
    ("51", "NOT_ENOUGH_FUNDS"),
    ("05", "NOT_HONOURED"),
    ("54", "EXPIRED"),
    ("55", "WRONG_PIN"),
    ("57", "NOT_PERMITTED"),
    ("94", "REVERSED_BEFORE"),
];

#[cfg(test)]
mod tests;
