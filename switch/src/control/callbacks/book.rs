//! What one gateway is owed: the transactions that are to be told when they are final, and the
//! messages that are on their way. Fed with the records of the journal; knows no clock, file or
//! socket.
//!
//! ```text
//!   intent or refusal with an address ─► open ─► final ─► message ─► delivered, gone, given up
//!                                                  └► remembered, of an approval: a reversal
//!                                                     makes a further message
//! ```

use std::collections::BTreeMap;

use domain::ResponseCode;
use domain::amount::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId, Stan, TransactionId};
use domain::record::{Operated, Operation, Outcome, OutcomeKind, OwedKind, Record, SafDone};
use domain::record::{SafOwed, SafResult};
use domain::request::{Facts, IssuerLeg};
use domain::time::WallTime;
use serde::{Deserialize, Serialize};

use crate::acquirer::shown::{Asked, Awaits, Kind, Notification, State, Transaction};
use crate::callback::{Form, wait_after};

/// One gateway's.
#[derive(Debug, Default)]
pub(super) struct Book {
    watched: BTreeMap<u128, Watched>,
    messages: BTreeMap<String, Message>,
}

/// Where a watched transaction stands, as the records that were read say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Pending,
    Approved,
    Declined,
    Failed,
    ReversalPending,
    Reversed,
    ReversalFailed,
}

/// A transaction whose end is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Watched {
    id: String,
    url: String,
    phase: Phase,
    processing_code: String,
    minor: u64,
    currency: u16,
    created_ms: u64,
    updated_ms: u64,
    rrn: String,
    issuer: Option<String>,
    stan: u32,
    code: Option<String>,
    authorisation: String,
    /// What stays of it, once a part was reversed.
    left: Option<u64>,
    /// Reversals that its issuer has not acknowledged.
    owed: u8,
    is_excepted: bool,
    /// Messages so far.
    told: u16,
    /// What the last of them said.
    told_as: Option<(Phase, Option<u64>)>,
}

/// One that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    /// `webhook-id`: the same in all tries.
    pub(super) id: String,
    /// As [`Form`] keeps it.
    pub(super) url: String,
    pub(super) body: String,
    failures: u32,
    due_ms: u64,
    pub(super) since_ms: u64,
    #[serde(skip)]
    is_sending: bool,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// 2xx.
    Delivered,
    /// 410: never again.
    Gone,
    /// Anything else, or nothing.
    Failed,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    Gone,
    GivenUp,
    Retried,
}

impl Book {
    /// Takes what a record of its gateway says. Says how many were forgotten for want of room.
    pub(super) fn take(
        &mut self,
        acquirer: AcquirerId,
        (record, callback): (&Record<'_>, Option<&str>),
        issuer: impl Fn(IssuerId) -> String,
    ) -> u64 {
        let id = record.transaction();
        if let (Some(url), Some((facts, admitted, leg))) = (callback, beginning(record))
            && facts.acquirer == acquirer
        {
            let fresh = || Watched::new(id, url, facts, admitted);
            let watched = self.watched.entry(id.0).or_insert_with(fresh);
            watched.asked(leg, issuer);
        }
        let Some(watched) = self.watched.get_mut(&id.0) else {
            return 0;
        };
        watched.take(record);
        if let Some(message) = watched.message(id) {
            self.messages.insert(message.id.clone(), message);
        }
        if watched.is_over() {
            self.watched.remove(&id.0);
        }
        self.make_room()
    }

    /// Of those that were told the oldest give way: what is reversed later is not told then.
    fn make_room(&mut self) -> u64 {
        if self.watched.len() <= REMEMBERED_MAX {
            return 0;
        }
        let remembered = self
            .watched
            .iter()
            .filter(|(_, watched)| !watched.is_open());
        let oldest = remembered.min_by_key(|(_, watched)| watched.updated_ms);
        let oldest = oldest.map(|(id, _)| *id);
        oldest.map_or(0, |id| {
            self.watched.remove(&id);
            1
        })
    }

    /// Whether so many further records may be read.
    pub(super) fn has_room(&self, records: usize) -> bool {
        self.owed().saturating_add(records) <= OWED_MAX
    }

    /// Transactions that are not final, and messages on their way.
    fn owed(&self) -> usize {
        let open = self.watched.values().filter(|watched| watched.is_open());
        open.count() + self.messages.len()
    }

    /// Messages on their way.
    pub(super) fn backlog(&self) -> usize {
        self.messages.len()
    }

    /// Since when the oldest of them is.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.messages.values().map(|message| message.since_ms).min()
    }

    /// Those that are due, the oldest first, as many as may be sent at once: they are being sent.
    pub(super) fn due(&mut self, now_ms: u64, inflight_max: usize) -> Vec<Message> {
        let sending = self.messages.values().filter(|one| one.is_sending).count();
        let room = inflight_max.saturating_sub(sending);
        let is_due = |one: &&mut Message| !one.is_sending && one.due_ms <= now_ms;
        let mut due: Vec<&mut Message> = self.messages.values_mut().filter(is_due).collect();
        due.sort_by_key(|message| message.due_ms);
        let begin = |message: &mut Message| {
            message.is_sending = true;
            message.clone()
        };
        due.into_iter().take(room).map(begin).collect()
    }

    /// A try has ended; `draw` is any number.
    pub(super) fn ended(&mut self, id: &str, ended: Ended, now_ms: u64, draw: u64) -> Fate {
        let fate = match (ended, self.messages.get_mut(id)) {
            (Ended::Delivered, _) | (_, None) => Fate::Delivered,
            (Ended::Gone, _) => Fate::Gone,
            (Ended::Failed, Some(message)) => {
                message.is_sending = false;
                message.failures = message.failures.saturating_add(1);
                match wait_after(message.failures, draw) {
                    None => Fate::GivenUp,
                    Some(wait) => {
                        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                        message.due_ms = now_ms.saturating_add(wait);
                        return Fate::Retried;
                    }
                }
            }
        };
        self.messages.remove(id);
        fate
    }

    /// All that a later start has to know.
    pub(super) fn parts(
        &self,
    ) -> (
        impl Iterator<Item = &Watched>,
        impl Iterator<Item = &Message>,
    ) {
        (self.watched.values(), self.messages.values())
    }

    /// Of an earlier run; `false` where its id is none.
    pub(super) fn restore_watched(&mut self, watched: Watched) -> bool {
        let id = TransactionId::from_shown(&watched.id);
        if let Some(id) = id {
            self.watched.insert(id.0, watched);
        }
        id.is_some()
    }

    /// Of an earlier run.
    pub(super) fn restore_message(&mut self, message: Message) {
        self.messages.insert(message.id.clone(), message);
    }
}

impl Watched {
    fn new(id: TransactionId, url: &str, facts: &Facts, admitted: WallTime) -> Self {
        Self {
            id: id.to_string(),
            url: url.to_owned(),
            phase: Phase::Pending,
            processing_code: facts.processing_code.as_str().to_owned(),
            minor: facts.amount.minor(),
            currency: facts.amount.currency().code(),
            created_ms: admitted.unix_millis(),
            updated_ms: admitted.unix_millis(),
            rrn: facts.trace.rrn.as_str().to_owned(),
            issuer: None,
            stan: 0,
            code: None,
            authorisation: String::new(),
            left: None,
            owed: 0,
            is_excepted: false,
            told: 0,
            told_as: None,
        }
    }

    fn asked(&mut self, leg: Option<&IssuerLeg>, issuer: impl Fn(IssuerId) -> String) {
        if let Some(leg) = leg {
            self.issuer = Some(issuer(leg.issuer));
            self.stan = leg.stan.number();
        }
    }

    fn take(&mut self, record: &Record<'_>) {
        match record {
            Record::Intent(_) => self.phase = Phase::Pending,
            Record::Refused(refused) => {
                let is_ours =
                    refused.code.is_issuer_failure() || refused.code == ResponseCode::CANNOT_ROUTE;
                let phase = if is_ours {
                    Phase::Failed
                } else {
                    Phase::Declined
                };
                self.decided(phase, refused.code, refused.admitted);
            }
            Record::Advised(advised) => {
                let phase = if advised.is_approval() {
                    Phase::Approved
                } else {
                    Phase::Declined
                };
                self.authorisation = advised.answer.authorisation.as_str().to_owned();
                self.decided(phase, advised.answer.code, advised.admitted);
            }
            Record::Outcome(outcome) => self.take_outcome(outcome),
            Record::SafOwed(owed) => self.take_owed(owed),
            Record::SafDone(done) => self.take_done(done),
            Record::Operated(operated) => self.take_operated(operated),
            Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::AdviceDone(_)
            | Record::Day(_)
            | Record::Totals(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => {}
        }
    }

    fn decided(&mut self, phase: Phase, code: ResponseCode, at: WallTime) {
        self.phase = phase;
        self.code = Some(code.to_string());
        self.updated_ms = at.unix_millis();
    }

    fn take_outcome(&mut self, outcome: &Outcome<'_>) {
        let phase = match outcome.kind {
            OutcomeKind::Answered if outcome.answer.code.is_approval() => Phase::Approved,
            OutcomeKind::Answered => Phase::Declined,
            OutcomeKind::NotSent => Phase::Failed,
            OutcomeKind::TimedOut | OutcomeKind::Invalid | OutcomeKind::AcquirerReversed => {
                Phase::ReversalPending
            }
        };
        self.authorisation = outcome.answer.authorisation.as_str().to_owned();
        self.decided(phase, outcome.answer.code, outcome.decided);
    }

    fn take_owed(&mut self, owed: &SafOwed) {
        self.updated_ms = owed.decided.unix_millis();
        self.owed = self.owed.saturating_add(1);
        match owed.replacement {
            Some(left) if left.minor() > 0 => self.left = Some(left.minor()),
            Some(_) | None => self.phase = Phase::ReversalPending,
        }
    }

    fn take_done(&mut self, done: &SafDone) {
        self.updated_ms = done.decided.unix_millis();
        self.owed = self.owed.saturating_sub(1);
        self.is_excepted |= done.result != SafResult::Acknowledged;
        self.settle();
    }

    fn take_operated(&mut self, operated: &Operated) {
        if operated.what != OwedKind::Reversal {
            return;
        }
        self.updated_ms = operated.decided.unix_millis();
        if operated.operation == Operation::Retry
            && self.is_excepted
            && self.phase == Phase::ReversalFailed
        {
            self.owed = self.owed.saturating_add(1);
            self.is_excepted = false;
            self.phase = Phase::ReversalPending;
        }
    }

    fn settle(&mut self) {
        if self.phase == Phase::ReversalPending && self.owed == 0 {
            self.phase = if self.is_excepted {
                Phase::ReversalFailed
            } else {
                Phase::Reversed
            };
        }
    }

    /// What is to be told, where that was not told before.
    fn message(&mut self, id: TransactionId) -> Option<Message> {
        let now = (self.phase, self.left);
        if !self.state().is_final() || self.told_as == Some(now) {
            return None;
        }
        let body = self.body(&self.transaction(id)?)?;
        self.told = self.told.saturating_add(1);
        self.told_as = Some(now);
        Some(Message {
            id: format!("{id}-{}", self.told),
            url: self.url.clone(),
            body,
            failures: 0,
            due_ms: 0,
            since_ms: self.updated_ms,
            is_sending: false,
        })
    }

    fn body(&self, transaction: &Transaction) -> Option<String> {
        // Messages may overtake each other: the later one says so.
        let at = WallTime::from_unix_millis(self.updated_ms);
        match Form::of(&self.url).0 {
            Form::Gsma { .. } => String::from_utf8(transaction.to_gsma_callback(at)).ok(),
            Form::Native => {
                let mut body = String::from_utf8(transaction.to_json(None)).ok()?;
                body.truncate(body.strip_suffix('}')?.len());
                body.push_str(&format!(r#","updatedAt":"{at}"}}"#));
                Some(body)
            }
        }
    }

    /// As a GET shows it.
    fn transaction(&self, id: TransactionId) -> Option<Transaction> {
        let currency = Currency::new(self.currency).ok()?;
        let code = self.code.as_deref();
        let code =
            code.and_then(|code| ResponseCode::new(code.as_bytes().first_chunk::<2>()?).ok());
        let asked = self.issuer.as_ref().and_then(|issuer| {
            Some(Asked {
                issuer: issuer.clone(),
                stan: Stan::new(self.stan).ok()?,
                rrn: Text::new("DE37", self.rrn.as_bytes()).ok()?,
            })
        });
        let created = WallTime::from_unix_millis(self.created_ms);
        Some(Transaction {
            id,
            state: self.state(),
            kind: Kind::of_processing_code(self.processing_code.as_bytes()),
            amount: Amount::new(self.minor, currency).ok()?,
            code,
            authorisation: Text::new("DE38", self.authorisation.as_bytes()).ok()?,
            asked,
            created,
            expires: created,
            is_owed: self.owed > 0,
            is_excepted: self.is_excepted,
            notification: Notification::Callback,
            awaits: Awaits::Issuer,
            left: self.left.and_then(|left| Amount::new(left, currency).ok()),
        })
    }

    const fn state(&self) -> State {
        match self.phase {
            Phase::Pending => State::Pending,
            Phase::Approved => State::Approved,
            Phase::Declined => State::Declined,
            Phase::Failed => State::Failed,
            Phase::ReversalPending => State::ReversalPending,
            Phase::Reversed => State::Reversed,
            Phase::ReversalFailed => State::ReversalFailed,
        }
    }

    /// Whether it has to be told.
    const fn is_open(&self) -> bool {
        !self.state().is_final()
    }

    /// Whether nothing further can come.
    const fn is_over(&self) -> bool {
        match self.phase {
            Phase::Declined | Phase::Failed | Phase::Reversed => true,
            Phase::Pending | Phase::Approved | Phase::ReversalPending | Phase::ReversalFailed => {
                false
            }
        }
    }
}

/// What a transaction begins with.
const fn beginning<'r>(
    record: &'r Record<'_>,
) -> Option<(&'r Facts, WallTime, Option<&'r IssuerLeg>)> {
    match record {
        Record::Intent(intent) => Some((&intent.facts, intent.admitted, Some(&intent.leg))),
        Record::Refused(refused) => Some((&refused.facts, refused.admitted, None)),
        Record::Advised(advised) => Some((&advised.facts, advised.admitted, advised.leg.as_ref())),
        Record::Outcome(_)
        | Record::SafOwed(_)
        | Record::SafDone(_)
        | Record::Tombstone(_)
        | Record::LateResponse(_)
        | Record::AdviceDone(_)
        | Record::Operated(_)
        | Record::Day(_)
        | Record::Totals(_)
        | Record::Reconciled(_)
        | Record::ReconciliationOwed(_)
        | Record::ReconciliationDone(_) => None,
    }
}

/// Of one gateway: what is open and what is on its way. Beyond it the journal waits.
const OWED_MAX: usize = 2_048;
/// Of one gateway: all that are watched. Beyond it those that were told are forgotten, the oldest
/// first.
const REMEMBERED_MAX: usize = 6_144;

#[cfg(test)]
mod tests;
