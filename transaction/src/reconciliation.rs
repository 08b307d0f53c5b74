//! What was counted between njia and each party, by settlement date and currency (semantics.md §8).
//!
//! A shard counts what it owns, in the turn that journals it: the same function counts in a replay,
//! so that totals are the fold of the journal at every record. What a record [`Record::Totals`]
//! says replaces the fold so far; with one of each bucket in every segment, older segments are not
//! needed.
//!
//! ```text
//!            closed: by a reconciliation of the other side, or of ours after its cut-over
//!   Open ────────────────────────────────────────────────────────────────────► Closed
//! ```
//!
//! A closed day never changes. What still comes for it counts for the next day that is open.

mod owed;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use domain::Amount;
use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId, Lsn, Slot, Stan, TransactionId};
use domain::network::SettlementDate;
pub use domain::reconciliation::DAYS_KEPT;
use domain::reconciliation::{
    BusinessDay, DayTotals, Differences, Effect as Counted, Kind, Party, Reconciled, Totals,
    Verdict, counting_day, first_open, is_near,
};
use domain::record::Record;
use domain::time::{TransmissionTime, WallTime};

use crate::settings::SafPolicy;

pub(crate) use owed::{Ended, Owed};

/// With whom totals are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parties {
    acquirers: u64,
    issuers: u64,
}

impl Parties {
    /// The same with one more. An id above 63 is nobody's: a configuration has 50 of each.
    #[must_use]
    pub fn with(mut self, party: Party) -> Self {
        let (set, id) = match party {
            Party::Acquirer(id) => (&mut self.acquirers, id.0),
            Party::Issuer(id) => (&mut self.issuers, id.0),
        };
        *set |= 1_u64.checked_shl(id.into()).unwrap_or(0);
        self
    }

    /// Whether totals are kept with this one.
    #[must_use]
    pub fn has(&self, party: Party) -> bool {
        let (set, id) = match party {
            Party::Acquirer(id) => (self.acquirers, id.0),
            Party::Issuer(id) => (self.issuers, id.0),
        };
        set.checked_shr(id.into()).unwrap_or(0) & 1 == 1
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.acquirers == 0 && self.issuers == 0
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Party> {
        let acquirers = (0..64).map(|id| Party::Acquirer(AcquirerId(id)));
        let issuers = (0..64).map(|id| Party::Issuer(IssuerId(id)));
        acquirers
            .chain(issuers)
            .filter(move |party| self.has(*party))
    }
}

/// What the book is told.
#[derive(Clone, Copy, Debug)]
pub enum BookInput {
    /// A business day begins.
    Day {
        /// With whom.
        party: Party,
        /// The day.
        date: SettlementDate,
    },
    /// Totals are asked for; answered by [`crate::Output::Noted`] when they are durable. A day that
    /// is closed stays as it is.
    Close {
        /// With whom, when, in what.
        bucket: BucketKey,
        /// Whether the day ends with it.
        end: DayEnd,
        /// Names the question.
        token: u32,
    },
    /// A reconciliation was decided; answered by [`crate::Output::Noted`] when that is durable.
    Decided {
        /// What was found.
        decision: Decision,
        /// Names the question.
        token: u32,
    },
    /// All days of a party up to this one end, in every currency; answered by
    /// [`crate::Output::Noted`] when that is durable.
    Freeze {
        /// With whom.
        party: Party,
        /// The last one.
        date: SettlementDate,
        /// Names the question.
        token: u32,
    },
    /// An issuer is owed a reconciliation of these totals of all shards, under this STAN. One that
    /// is owed already, or was, is not owed again.
    Owe {
        /// With whom, when, in what.
        bucket: BucketKey,
        /// DE11.
        stan: Stan,
        /// The totals.
        ours: Totals,
    },
    /// The issuer's answer to what is owed; `None` when it says that it was not taken.
    Answered {
        /// What it answers.
        owed: ReconciliationId,
        /// What was found.
        verdict: Option<Verdict>,
    },
    /// Provably nothing of what is owed left.
    Unsent {
        /// Which.
        owed: ReconciliationId,
    },
    /// Everything that is kept is to be written once more: a new segment has begun.
    Snapshot,
}

/// Names a reconciliation that is owed, while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReconciliationId(pub u32);

/// Whether a question for totals ends their day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayEnd {
    /// It is closed.
    Closed,
    /// It goes on.
    GoesOn,
}

/// Which totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketKey {
    /// With whom.
    pub party: Party,
    /// The day.
    pub date: SettlementDate,
    /// The currency.
    pub currency: Currency,
}

/// Names a reconciliation of the other side and its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconciliationKey {
    /// Whose it is.
    pub party: Party,
    /// The currency.
    pub currency: Currency,
    /// DE11.
    pub stan: Stan,
    /// DE7.
    pub transmitted: TransmissionTime,
}

/// What a reconciliation of the other side came to.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// Which.
    pub key: ReconciliationKey,
    /// The day.
    pub date: SettlementDate,
    /// What was found.
    pub verdict: Verdict,
    /// Where the sides differ.
    pub differs: Differences,
    /// Ours, of all shards.
    pub ours: Totals,
}

/// Days, totals and results of one shard.
#[derive(Debug)]
pub(crate) struct Book {
    parties: Parties,
    days: Vec<Day>,
    /// Oldest first; no two of one key.
    buckets: Vec<Bucket>,
    /// Each with the position of its record.
    results: VecDeque<(Lsn, Reconciled)>,
    pub(crate) owed: Owed,
    /// Records of this turn.
    notes: Vec<Record<'static>>,
    /// The next part of a snapshot; `None` when none is being written.
    snapshot: Option<usize>,
    /// A count found no room: people have to know.
    lost: u64,
}

#[derive(Clone, Copy, Debug)]
struct Day {
    party: Party,
    date: SettlementDate,
    before: Option<SettlementDate>,
    /// This day and all before it are closed, whatever the currency.
    closed: Option<SettlementDate>,
    /// Whether totals were kept when it began: a party that is added is counted from then on, in a
    /// replay too.
    is_kept: bool,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    key: BucketKey,
    totals: Totals,
    is_closed: bool,
}

/// One transaction that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) effect: Counted,
    pub(crate) amount: Amount,
    /// DE15 of its answer.
    pub(crate) named: Option<SettlementDate>,
}

impl Book {
    pub(crate) fn new(parties: Parties, saf: SafPolicy, seed: u64) -> Self {
        let room = if parties.is_empty() { 0 } else { BUCKETS_MAX };
        Self {
            parties,
            days: Vec::new(),
            buckets: Vec::with_capacity(room),
            results: VecDeque::new(),
            owed: Owed::new(saf, seed),
            notes: Vec::new(),
            snapshot: None,
            lost: 0,
        }
    }

    /// Whether anything is counted for one of these.
    pub(crate) fn counts(&self, party: Party) -> bool {
        self.day(party).is_some_and(|day| day.is_kept)
    }

    /// Counts for the day of the party: the one that the answer names, else the one in force; the
    /// next one when that is closed.
    //= docs/rules.md#B-01
    pub(crate) fn count(&mut self, party: Party, item: &Item) {
        let Some(day) = self.day(party).filter(|day| day.is_kept) else {
            return;
        };
        let currency = item.amount.currency();
        let date = counting_day(day.date, item.named, day.closed, |date| {
            self.is_shut(party, date, currency)
        });
        let key = BucketKey {
            party,
            date,
            currency,
        };
        match self.bucket_mut(key) {
            Some(bucket) => bucket
                .totals
                .count(item.kind, item.effect, item.amount.minor()),
            None => self.lost = self.lost.saturating_add(1),
        }
    }

    /// Counts that found no room since the last question.
    pub(crate) const fn take_lost(&mut self) -> u64 {
        core::mem::replace(&mut self.lost, 0)
    }

    /// The day in force; before the first one that is known, the calendar day.
    pub(crate) fn date(&self, party: Party, at: WallTime) -> SettlementDate {
        self.day(party)
            .map_or_else(|| SettlementDate::at(at), |day| day.date)
    }

    /// The day that was told last.
    pub(crate) fn told(&self, party: Party) -> Option<SettlementDate> {
        self.day(party).map(|day| day.date)
    }

    /// The day that a reconciliation means which names none: the one that has ended, while it is
    /// open, else the one in force or the first open one behind it.
    pub(crate) fn due(&self, party: Party, currency: Currency, at: WallTime) -> SettlementDate {
        let ended = self.day(party).and_then(|day| day.before);
        if matches!(party, Party::Issuer(_)) && ended.is_some() {
            // Ours has closed it, and this one asks for the same.
            return ended.unwrap_or_else(|| self.date(party, at));
        }
        let ended = ended.filter(|date| {
            let key = BucketKey {
                party,
                date: *date,
                currency,
            };
            !self.is_closed(key)
        });
        ended.unwrap_or_else(|| self.open_day(party, self.date(party, at), currency))
    }

    /// Whether totals of a day may still be here: it is not older than what is kept.
    pub(crate) fn keeps(&self, party: Party, date: SettlementDate, at: WallTime) -> bool {
        self.parties.has(party) && is_near(date, self.date(party, at))
    }

    /// What was counted.
    pub(crate) fn totals(&self, key: BucketKey) -> Totals {
        let found = self.buckets.iter().find(|bucket| bucket.key == key);
        found.map_or_else(Totals::default, |bucket| bucket.totals)
    }

    /// What a copy of a reconciliation is told. Before that is durable nobody is told anything: a
    /// crash could take it back, and the copy after it would be decided anew.
    //= docs/rules.md#B-03
    pub(crate) fn result(&self, key: ReconciliationKey, durable: Lsn) -> Option<&Reconciled> {
        let told = self.results.iter().filter(|(lsn, _)| *lsn <= durable);
        told.map(|(_, known)| known).rev().find(|known| {
            let own = ReconciliationKey {
                party: known.party,
                currency: known.currency,
                stan: known.stan,
                transmitted: known.transmitted,
            };
            own == key
        })
    }

    pub(crate) fn note(&self, place: u32) -> Option<Record<'static>> {
        self.notes.get(usize::try_from(place).ok()?).copied()
    }

    /// The records of the turn before were taken.
    pub(crate) fn begin_turn(&mut self) {
        self.notes.clear();
    }

    /// `true` when the day is another than before.
    pub(crate) fn set_day(&mut self, party: Party, date: SettlementDate) -> bool {
        let has_room = self.days.len() < DAYS_MAX;
        match self.days.iter_mut().find(|day| day.party == party) {
            Some(day) if day.date == date => return false,
            Some(day) => {
                day.before = Some(day.date);
                day.date = date;
            }
            None if has_room => self.days.push(Day {
                party,
                date,
                before: None,
                closed: None,
                is_kept: self.parties.has(party),
            }),
            None => return false,
        }
        true
    }

    /// Nothing is counted for a day from here on. `None` when there is no room to remember that.
    pub(crate) fn close(&mut self, key: BucketKey) -> Option<ClosedNow> {
        let bucket = self.bucket_mut(key)?;
        let was_closed = core::mem::replace(&mut bucket.is_closed, true);
        Some(if was_closed {
            ClosedNow::No
        } else {
            ClosedNow::Yes
        })
    }

    /// Nothing is counted for this day and those before it from here on, in no currency: the
    /// buckets that were open.
    pub(crate) fn freeze(&mut self, party: Party, date: SettlementDate) -> Vec<BucketKey> {
        let mut closed = Vec::new();
        for bucket in &mut self.buckets {
            let is_meant = bucket.key.party == party && bucket.key.date.days() <= date.days();
            if is_meant && !core::mem::replace(&mut bucket.is_closed, true) {
                closed.push(bucket.key);
            }
        }
        let mut days = self.days.iter_mut();
        if let Some(day) = days.find(|day| day.party == party) {
            day.closed = Some(day.closed.map_or(date, |closed| closed.max(date)));
        }
        closed
    }

    /// What was counted for the closed days that are kept.
    pub(crate) fn frozen(&self, party: Party, date: SettlementDate) -> Vec<(BucketKey, Totals)> {
        let all = self.buckets.iter().filter(|bucket| {
            let key = bucket.key;
            key.party == party && bucket.is_closed && key.date.days() <= date.days()
        });
        all.map(|bucket| (bucket.key, bucket.totals)).collect()
    }

    /// The last day that is over, when there was a cut-over. It is not the one that was in force
    /// before: a crash may have taken several cut-overs from this shard that the others know of,
    /// and what they have counted on the days between would never end.
    //= docs/rules.md#B-05
    pub(crate) fn ended(&self, party: Party) -> Option<SettlementDate> {
        let day = self.day(party).filter(|day| day.before.is_some())?;
        let ended = day.date.days().checked_sub(1)?;
        Some(SettlementDate::from_days(ended))
    }

    /// Puts a record into this turn; its place.
    pub(crate) fn put(&mut self, record: Record<'static>) -> u32 {
        let place = u32::try_from(self.notes.len()).unwrap_or(u32::MAX);
        self.notes.push(record);
        place
    }

    pub(crate) fn day_record(&self, party: Party, stamp: Stamp) -> Option<Record<'static>> {
        let day = self.day(party)?;
        Some(Record::Day(BusinessDay {
            transaction: stamp.id,
            noted: stamp.at,
            party,
            date: day.date,
            before: day.before,
            closed: day.closed,
            is_kept: day.is_kept,
        }))
    }

    pub(crate) fn totals_record(&self, key: BucketKey, stamp: Stamp) -> Option<Record<'static>> {
        let bucket = self.buckets.iter().find(|bucket| bucket.key == key)?;
        Some(bucket.record(stamp))
    }

    /// Remembers what a reconciliation came to; the record of it.
    pub(crate) fn decide(
        &mut self,
        lsn: Lsn,
        decision: &Decision,
        stamp: Stamp,
    ) -> Record<'static> {
        let reconciled = Reconciled {
            transaction: stamp.id,
            decided: stamp.at,
            party: decision.key.party,
            date: decision.date,
            currency: decision.key.currency,
            stan: decision.key.stan,
            transmitted: decision.key.transmitted,
            verdict: decision.verdict,
            differs: decision.differs,
            ours: decision.ours,
        };
        self.remember(reconciled, lsn);
        Record::Reconciled(reconciled)
    }

    /// Whether a snapshot is being written.
    pub(crate) const fn is_writing(&self) -> bool {
        self.snapshot.is_some()
    }

    pub(crate) fn begin_snapshot(&mut self) {
        self.snapshot = Some(0);
    }

    /// The next record of a snapshot.
    pub(crate) fn snapshot_step(&mut self, stamp: Stamp) -> Option<Record<'static>> {
        let at = self.snapshot?;
        self.snapshot = Some(at.saturating_add(1));
        let buckets_at = at.checked_sub(self.days.len());
        let results_at = buckets_at.and_then(|at| at.checked_sub(self.buckets.len()));
        let record = match (self.days.get(at), buckets_at, results_at) {
            (Some(day), ..) => self.day_record(day.party, stamp),
            (None, Some(place), None) => self.buckets.get(place).map(|one| one.record(stamp)),
            (None, _, Some(place)) => match self.results.get(place) {
                Some((_, result)) => Some(Record::Reconciled(*result)),
                None => self.owed_record(place.saturating_sub(self.results.len())),
            },
            (None, None, None) => None,
        };
        if record.is_none() {
            self.snapshot = None;
        }
        record
    }

    /// Of each that is owed the record, and then that of its end, if it has one.
    fn owed_record(&self, at: usize) -> Option<Record<'static>> {
        let mut left = at;
        for place in 0.. {
            let (owed, done) = self.owed.at(place)?;
            let records = [
                Some(Record::ReconciliationOwed(*owed)),
                done.map(|done| Record::ReconciliationDone(*done)),
            ];
            for record in records.into_iter().flatten() {
                if left == 0 {
                    return Some(record);
                }
                left = left.saturating_sub(1);
            }
        }
        None
    }

    /// Which slot a record of this book is filed under.
    pub(crate) const fn slot(party: Party) -> Slot {
        match party {
            Party::Acquirer(id) => Slot(id.0 % Slot::COUNT),
            Party::Issuer(id) => Slot(id.0 % Slot::COUNT),
        }
    }

    pub(crate) fn replay_day(&mut self, day: &BusinessDay) {
        match self.days.iter_mut().find(|known| known.party == day.party) {
            Some(known) => {
                known.date = day.date;
                known.before = day.before;
                known.closed = day.closed;
                known.is_kept = day.is_kept;
            }
            None => self.days.push(Day {
                party: day.party,
                date: day.date,
                before: day.before,
                closed: day.closed,
                is_kept: day.is_kept,
            }),
        }
    }

    /// What it says is all: whatever was counted before is in it.
    pub(crate) fn replay_totals(&mut self, day: &DayTotals) {
        let key = BucketKey {
            party: day.party,
            date: day.date,
            currency: day.currency,
        };
        if let Some(bucket) = self.bucket_mut(key) {
            bucket.totals = day.totals;
            bucket.is_closed = day.is_closed;
        }
    }

    /// A snapshot repeats what is known.
    pub(crate) fn replay_result(&mut self, reconciled: &Reconciled) {
        let is_known = |(_, known): &(Lsn, Reconciled)| known.transaction == reconciled.transaction;
        if !self.results.iter().any(is_known) {
            self.remember(*reconciled, Lsn::ZERO);
        }
    }

    /// The journal was read: each party of the configuration has a day, and totals are kept with
    /// exactly these from here on.
    pub(crate) fn open(&mut self, today: SettlementDate) {
        let parties = self.parties;
        for party in parties.iter() {
            if self.told(party).is_none() {
                self.set_day(party, today);
            }
        }
        for day in &mut self.days {
            day.is_kept = parties.has(day.party);
        }
        self.begin_snapshot();
    }

    /// All that is kept, for comparison.
    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<(BucketKey, Totals, bool)> {
        let buckets = self.buckets.iter();
        buckets
            .map(|bucket| (bucket.key, bucket.totals, bucket.is_closed))
            .collect()
    }

    fn remember(&mut self, what: Reconciled, lsn: Lsn) {
        while self.results.len() >= RESULTS_MAX {
            self.results.pop_front();
        }
        self.results.push_back((lsn, what));
    }

    fn day(&self, party: Party) -> Option<&Day> {
        self.days.iter().find(|day| day.party == party)
    }

    fn is_closed(&self, key: BucketKey) -> bool {
        let closed = self.day(key.party).and_then(|day| day.closed);
        if closed.is_some_and(|closed| key.date <= closed) {
            return true;
        }
        let found = self.buckets.iter().find(|bucket| bucket.key == key);
        found.is_some_and(|bucket| bucket.is_closed)
    }

    /// The first open day from `date` on.
    fn open_day(&self, party: Party, date: SettlementDate, currency: Currency) -> SettlementDate {
        let closed = self.day(party).and_then(|day| day.closed);
        first_open(date, closed, |date| self.is_shut(party, date, currency))
    }

    fn is_shut(&self, party: Party, date: SettlementDate, currency: Currency) -> bool {
        self.is_closed(BucketKey {
            party,
            date,
            currency,
        })
    }

    /// The bucket of a key, made if there is room: days that are too old go first, then the oldest
    /// closed one.
    fn bucket_mut(&mut self, key: BucketKey) -> Option<&mut Bucket> {
        let known = self.buckets.iter().rposition(|bucket| bucket.key == key);
        let place = match known {
            Some(place) => place,
            None => self.make(key)?,
        };
        self.buckets.get_mut(place)
    }

    fn make(&mut self, key: BucketKey) -> Option<usize> {
        if self.buckets.len() >= BUCKETS_MAX {
            let closed = self.buckets.iter().position(|bucket| bucket.is_closed)?;
            self.buckets.remove(closed);
        }
        let oldest = self.day(key.party).map(|day| day.date);
        if let Some(oldest) = oldest {
            self.buckets.retain(|bucket| {
                let is_old = bucket.key.party == key.party && is_past(bucket.key.date, oldest);
                !(is_old && bucket.is_closed)
            });
        }
        self.buckets.push(Bucket {
            key,
            totals: Totals::default(),
            is_closed: false,
        });
        self.buckets.len().checked_sub(1)
    }
}

/// Whether a day was closed by this very question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClosedNow {
    Yes,
    No,
}

/// The name and the time of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) id: TransactionId,
    pub(crate) at: WallTime,
}

impl Bucket {
    const fn record(&self, stamp: Stamp) -> Record<'static> {
        Record::Totals(DayTotals {
            transaction: stamp.id,
            noted: stamp.at,
            party: self.key.party,
            date: self.key.date,
            currency: self.key.currency,
            totals: self.totals,
            is_closed: self.is_closed,
        })
    }
}

fn is_past(date: SettlementDate, in_force: SettlementDate) -> bool {
    date.days().saturating_add(DAYS_KEPT) < in_force.days()
}

/// Totals of one party, day and currency on one shard.
pub const BUCKETS_MAX: usize = 1_024;
/// Reconciliations of other sides that a shard remembers, the newest ones.
pub const RESULTS_MAX: usize = 1_024;
/// Parties: 64 acquirers and 64 issuers.
const DAYS_MAX: usize = 128;

#[cfg(test)]
mod tests;
