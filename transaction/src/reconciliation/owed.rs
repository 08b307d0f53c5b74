//! Reconciliations that are owed to issuers: each is repeated until it is acknowledged, or left to
//! people.
//!
//! ```text
//!            durable         room           answered
//!  Appended ─────────► Ready ─────► InFlight ─────────► Done
//!                        ▲             │ no answer, not sent, refused
//!                        └── Paused ◄──┘
//! ```

use alloc::vec::Vec;

use domain::reconciliation::{ReconciliationDone, ReconciliationOwed, Verdict};
use domain::record::SafResult;
use domain::request::Transmission;
use domain::time::{Instant, WallTime};

use super::{BucketKey, is_past};
use crate::network::{Backoff, BackoffPolicy};
use crate::settings::SafPolicy;

/// All that one shard owes, and what has ended of the days that are kept.
#[derive(Debug)]
pub(crate) struct Owed {
    entries: Vec<Entry>,
    policy: SafPolicy,
    seed: u64,
    last: u32,
}

#[derive(Debug)]
struct Entry {
    id: u32,
    record: ReconciliationOwed,
    status: Status,
    attempts: u32,
    refusals: u8,
    /// It may have been sent before the start.
    is_found: bool,
    backoff: Backoff,
    expires: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Its record is not durable.
    Appended,
    /// May leave.
    Ready,
    /// Sent; its answer is waited for.
    InFlight { until: Instant },
    /// Waits before it is sent again.
    Paused { until: Instant },
    /// Ended.
    Done(ReconciliationDone),
}

/// One of them has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) id: u32,
    pub(crate) result: SafResult,
    pub(crate) verdict: Verdict,
}

impl Owed {
    pub(crate) const fn new(policy: SafPolicy, seed: u64) -> Self {
        Self {
            entries: Vec::new(),
            policy,
            seed,
            last: 0,
        }
    }

    /// Whether one is owed, or was, for these totals.
    pub(crate) fn knows(&self, bucket: BucketKey) -> bool {
        self.entries
            .iter()
            .any(|entry| key(&entry.record) == bucket)
    }

    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        self.entries.len() < OWED_MAX
    }

    /// Takes one whose record is being written; its id.
    pub(crate) fn owe(&mut self, record: ReconciliationOwed, now: Instant) -> u32 {
        let today = record.date;
        self.entries.retain(|entry| {
            let is_done = matches!(entry.status, Status::Done(_));
            !(is_done && is_past(entry.record.date, today))
        });
        self.put(record, Status::Appended, now, now.after(self.policy.expiry))
    }

    /// Found in the journal; a snapshot repeats what is known.
    pub(crate) fn replay(&mut self, record: ReconciliationOwed, now: Instant, wall: WallTime) {
        let id = record.transaction;
        if self
            .entries
            .iter()
            .any(|entry| entry.record.transaction == id)
        {
            return;
        }
        let age = wall
            .unix_millis()
            .saturating_sub(record.decided.unix_millis());
        let age = core::time::Duration::from_millis(age);
        let left = self.policy.expiry.saturating_sub(age);
        self.put(record, Status::Ready, now, now.after(left));
        if let Some(entry) = self.entries.last_mut() {
            entry.is_found = true;
        }
    }

    /// Found in the journal: it has ended.
    pub(crate) fn replay_done(&mut self, done: &ReconciliationDone) {
        let mut entries = self.entries.iter_mut();
        let found = entries.find(|entry| entry.record.transaction == done.transaction);
        if let Some(entry) = found {
            entry.status = Status::Done(*done);
        }
    }

    /// Its record is durable.
    pub(crate) fn durable(&mut self, id: u32) {
        if let Some(entry) = self.entry(id)
            && entry.status == Status::Appended
        {
            entry.status = Status::Ready;
        }
    }

    /// The next one that may leave, which counts as sent.
    pub(crate) fn next_to_send(&mut self, now: Instant) -> Option<(u32, Transmission)> {
        let until = now.after(self.policy.response_timeout);
        let mut entries = self.entries.iter_mut();
        let entry = entries.find(|entry| entry.status == Status::Ready)?;
        let transmission = if entry.attempts == 0 && !entry.is_found {
            Transmission::First
        } else {
            Transmission::Repeat
        };
        entry.attempts = entry.attempts.saturating_add(1);
        entry.status = Status::InFlight { until };
        Some((entry.id, transmission))
    }

    /// Nothing of it left.
    pub(crate) fn unsent(&mut self, id: u32, now: Instant) {
        if let Some(entry) = self.entry(id)
            && matches!(entry.status, Status::InFlight { .. })
        {
            entry.attempts = entry.attempts.saturating_sub(1);
            entry.pause(now);
        }
    }

    /// Its answer has come; `None` when it says that the message was not taken.
    pub(crate) fn answered(
        &mut self,
        id: u32,
        verdict: Option<Verdict>,
        now: Instant,
    ) -> Option<Ended> {
        let entry = self.entry(id)?;
        if matches!(entry.status, Status::Done(_) | Status::Appended) {
            return None;
        }
        let (result, verdict) = match verdict {
            Some(verdict) => (SafResult::Acknowledged, verdict),
            None => {
                entry.refusals = entry.refusals.saturating_add(1);
                if entry.refusals < REFUSALS_MAX {
                    entry.pause(now);
                    return None;
                }
                (SafResult::Refused, Verdict::Unknown)
            }
        };
        Some(Ended {
            id,
            result,
            verdict,
        })
    }

    /// One whose time has run out, else one whose answer or pause is over, which goes on.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Ended> {
        for entry in &mut self.entries {
            match entry.status {
                Status::InFlight { until } if until <= now => entry.pause(now),
                Status::Paused { until } if until <= now => entry.status = Status::Ready,
                Status::InFlight { .. }
                | Status::Paused { .. }
                | Status::Appended
                | Status::Ready
                | Status::Done(_) => {}
            }
            let waits = matches!(entry.status, Status::Paused { .. } | Status::Ready);
            if waits && entry.expires <= now {
                return Some(Ended {
                    id: entry.id,
                    result: SafResult::Expired,
                    verdict: Verdict::Unknown,
                });
            }
        }
        None
    }

    /// A link of the issuer carries traffic: what was paused for want of one may leave.
    pub(crate) fn issuer_up(&mut self, issuer: domain::ids::IssuerId) {
        for entry in &mut self.entries {
            let is_paused = matches!(entry.status, Status::Paused { .. });
            if is_paused && entry.record.issuer == issuer && entry.refusals == 0 {
                entry.status = Status::Ready;
            }
        }
    }

    /// Ends one; the record of that.
    pub(crate) fn end(&mut self, ended: Ended, at: WallTime) -> Option<ReconciliationDone> {
        let entry = self.entry(ended.id)?;
        let done = ReconciliationDone {
            transaction: entry.record.transaction,
            decided: at,
            result: ended.result,
            verdict: ended.verdict,
            attempts: entry.attempts,
        };
        entry.status = Status::Done(done);
        Some(done)
    }

    /// When [`Owed::expire`] is next of use.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        let due = |entry: &Entry| match entry.status {
            Status::InFlight { until } | Status::Paused { until } => Some(until),
            Status::Appended | Status::Ready | Status::Done(_) => None,
        };
        self.entries.iter().filter_map(due).min()
    }

    /// What one of them says.
    pub(crate) fn get(&self, id: u32) -> Option<&ReconciliationOwed> {
        let found = self.entries.iter().find(|entry| entry.id == id);
        found.map(|entry| &entry.record)
    }

    /// Those that have not ended.
    pub(crate) fn open(&self) -> impl Iterator<Item = &ReconciliationOwed> {
        let open = self.entries.iter();
        let open = open.filter(|entry| !matches!(entry.status, Status::Done(_)));
        open.map(|entry| &entry.record)
    }

    /// The record at a place, and its end when it has one: for a snapshot.
    pub(crate) fn at(
        &self,
        place: usize,
    ) -> Option<(&ReconciliationOwed, Option<&ReconciliationDone>)> {
        let entry = self.entries.get(place)?;
        let done = match &entry.status {
            Status::Done(done) => Some(done),
            Status::Appended | Status::Ready | Status::InFlight { .. } | Status::Paused { .. } => {
                None
            }
        };
        Some((&entry.record, done))
    }

    fn put(
        &mut self,
        record: ReconciliationOwed,
        status: Status,
        now: Instant,
        expires: Instant,
    ) -> u32 {
        debug_assert!(now <= expires);
        self.last = self.last.wrapping_add(1);
        let policy = BackoffPolicy {
            first: self.policy.backoff_first,
            max: self.policy.backoff_max,
            reset_after: core::time::Duration::MAX,
        };
        self.entries.push(Entry {
            id: self.last,
            record,
            status,
            attempts: 0,
            refusals: 0,
            is_found: false,
            backoff: Backoff::new(policy, self.seed ^ u64::from(self.last)),
            expires,
        });
        self.last
    }

    fn entry(&mut self, id: u32) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }
}

impl Entry {
    fn pause(&mut self, now: Instant) {
        let until = now.after(self.backoff.wait_after(None));
        self.status = Status::Paused { until };
    }
}

const fn key(record: &ReconciliationOwed) -> BucketKey {
    BucketKey {
        party: domain::reconciliation::Party::Issuer(record.issuer),
        date: record.date,
        currency: record.currency,
    }
}

/// Reconciliations that one shard may owe or remember.
const OWED_MAX: usize = 1_024;
/// After so many refusals one goes to people.
const REFUSALS_MAX: u8 = 3;
