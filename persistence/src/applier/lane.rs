//! One shard of one journal on its way into PostgreSQL: how far it is, and what it knows of a
//! record that the tables refuse.

use domain::ids::{Lsn, ShardId};
use domain::time::Instant;

use super::calendar::Calendar;
use super::event::Place;
use super::projection::OwedTotals;
use super::settings::{Backoff, BatchPolicy};
use super::source::{Origin, Phase, RecordSource, ShardJournal, SourceError};
use super::status::LaneStatus;
use super::verdict::JournalState;
use crate::identity::JournalUuid;
use crate::reader::Entry;

/// One shard of one journal.
///
/// The search for a poison record needs no stack. `suspect` is the end of a range, beginning at the
/// watermark, that holds one: each attempt takes the first half of it. A half that fails is the new
/// range; a half that lands moves the watermark, so that the rest is. A range of one is the record.
/// Every step is a whole transaction of its own, so a crash in between costs nothing.
pub(crate) struct Lane {
    pub(crate) journal: JournalUuid,
    pub(crate) shard: ShardId,
    origin: Origin,
    phase: Phase,
    source: Box<dyn RecordSource>,
    watermark: Lsn,
    /// The fence that this applier raised; none before the first connection.
    pub(crate) fence: Option<i64>,
    /// Where the watermark stands if a COMMIT without answer did happen.
    pub(crate) unknown: Option<Lsn>,
    suspect: Option<Lsn>,
    /// The business days as of the watermark.
    pub(crate) calendar: Calendar,
    /// What issuers are owed of our totals, as far as it was read. It may have records beyond the
    /// watermark: a batch that is tried again has the same ones.
    pub(crate) totals: OwedTotals,
    /// Records moved into quarantine since the last batch that landed.
    pub(crate) quarantine_run: u32,
    /// PostgreSQL has these records already: each is looked for, for a while.
    pub(crate) replays: bool,
    /// It has a transaction of the next batch, or its business key: each is looked for, once.
    pub(crate) collides: bool,
    /// Since when a small batch waits for more records.
    waits_since: Option<Instant>,
    /// Until when the journal is not read again, after it could not be.
    halted_until: Option<Instant>,
    /// How often in a row it could not be.
    read_failures: u32,
}

impl Lane {
    pub(crate) fn new(journal: ShardJournal) -> Self {
        Self {
            journal: journal.journal,
            shard: journal.shard,
            origin: journal.origin,
            phase: journal.phase,
            source: journal.source,
            watermark: Lsn::ZERO,
            fence: None,
            unknown: None,
            suspect: None,
            calendar: Calendar::default(),
            totals: OwedTotals::default(),
            quarantine_run: 0,
            replays: false,
            collides: false,
            waits_since: None,
            halted_until: None,
            read_failures: 0,
        }
    }

    /// Every record up to this one is in PostgreSQL.
    pub(crate) const fn watermark(&self) -> Lsn {
        self.watermark
    }

    /// Durable records that are not in PostgreSQL.
    pub(crate) fn lag(&self) -> u64 {
        self.source.durable().0.saturating_sub(self.watermark.0)
    }

    /// Whether its journal gets no further record.
    pub(crate) fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
    }

    /// Where record `lsn` stands.
    pub(crate) const fn place(&self, lsn: Lsn) -> Place {
        Place {
            journal: self.journal,
            shard: self.shard,
            lsn,
        }
    }

    /// What this applier claims of the lane's row.
    pub(crate) fn claim(&self) -> Claim {
        let last = self.source.durable();
        Claim {
            state: JournalState {
                journal: self.journal,
                shard: self.shard,
                origin: self.origin,
                first_retained: self.source.first_retained(),
                last,
            },
            watermark: self.watermark,
            fence: self.fence,
            unknown: self.unknown,
            end: (self.phase == Phase::Draining).then_some(last),
            replays: self.replays,
            collides: self.collides,
        }
    }

    /// Whether the next batch waits for more records at `now`: it is small, and has not waited for
    /// long. By the clock and not by turns, which come without a pause while another lane is busy.
    pub(crate) fn waits(&mut self, policy: &BatchPolicy, now: Instant) -> bool {
        let min = u64::try_from(policy.records_min).unwrap_or(u64::MAX);
        if self.suspect.is_some() || self.lag() >= min {
            return false;
        }
        let since = *self.waits_since.get_or_insert(now);
        now.since(since) < policy.linger
    }

    /// The journal cannot be read: it is left alone for a while, longer each time. Says how often
    /// it could not be in a row.
    pub(crate) fn halt(&mut self, now: Instant, policy: &Backoff) -> u32 {
        let doubled = 1_u32.checked_shl(self.read_failures).unwrap_or(u32::MAX);
        let pause = policy.first.saturating_mul(doubled).min(policy.max);
        self.halted_until = Some(now.after(pause));
        self.read_failures = self.read_failures.saturating_add(1);
        self.read_failures
    }

    /// The journal could be read again.
    pub(crate) const fn read_on(&mut self) {
        self.halted_until = None;
        self.read_failures = 0;
    }

    /// Whether the journal is left alone at `now`.
    pub(crate) fn is_halted(&self, now: Instant) -> bool {
        self.halted_until.is_some_and(|until| now < until)
    }

    /// Whether the journal could not be read the last time.
    pub(crate) const fn has_failed(&self) -> bool {
        self.read_failures > 0
    }

    /// How many records the next attempt may take, out of `max`.
    pub(crate) fn attempt(&self, max: usize) -> usize {
        match self.suspect {
            None => max,
            Some(end) => {
                let range = end.0.saturating_sub(self.watermark.0);
                let half = usize::try_from(range / 2).unwrap_or(max);
                half.clamp(1, max.max(1))
            }
        }
    }

    /// The batch up to `to` was refused. Whether it was a single record: that is the one.
    pub(crate) const fn refused(&mut self, to: Lsn) -> bool {
        debug_assert!(to.0 > self.watermark.0, "a batch holds a record");
        self.suspect = Some(to);
        to.0 == self.watermark.0 + 1
    }

    /// PostgreSQL has everything up to `to`.
    pub(crate) fn advance(&mut self, to: Lsn, status: &LaneStatus) {
        self.watermark = to;
        self.unknown = None;
        self.waits_since = None;
        if self.suspect.is_some_and(|end| end <= to) {
            self.suspect = None;
        }
        status.set_watermark(to);
    }

    /// The watermark as it was found: perhaps further back than it was left.
    pub(crate) fn found_at(&mut self, lsn: Lsn, status: &LaneStatus) {
        self.suspect = None;
        self.advance(lsn, status);
    }

    /// Shows at most `max` durable records after the watermark.
    pub(crate) fn read(
        &mut self,
        max: usize,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), SourceError> {
        let durable = self.source.durable();
        self.source.read(self.watermark, durable, max, visit)
    }

    /// Publishes how far the journal is.
    pub(crate) fn publish(&self, status: &LaneStatus) {
        status.set_durable(self.source.durable());
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane")
            .field("journal", &self.journal)
            .field("shard", &self.shard)
            .field("watermark", &self.watermark)
            .field("suspect", &self.suspect)
            .finish_non_exhaustive()
    }
}

/// What an applier claims of a lane's row in `watermark`: plain data that may be held across waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) state: JournalState,
    pub(crate) watermark: Lsn,
    /// The fence that this applier raised; none before its first connection.
    pub(crate) fence: Option<i64>,
    /// Where the watermark stands if a COMMIT without answer did happen.
    pub(crate) unknown: Option<Lsn>,
    /// The end of a journal that gets no further record.
    pub(crate) end: Option<Lsn>,
    /// Whether PostgreSQL has these records already.
    pub(crate) replays: bool,
    /// Whether it has a transaction of the next batch, or its business key.
    pub(crate) collides: bool,
}

impl Claim {
    /// Whether the journal has been copied to its end when the watermark stands at `lsn`.
    pub(crate) fn ends_at(&self, lsn: Lsn) -> bool {
        self.end == Some(lsn)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Nothing;

    impl RecordSource for Nothing {
        fn durable(&self) -> Lsn {
            Lsn(2000)
        }

        fn first_retained(&self) -> Lsn {
            Lsn(1)
        }

        fn read(
            &mut self,
            _: Lsn,
            _: Lsn,
            _: usize,
            _: &mut dyn FnMut(&Entry<'_>),
        ) -> Result<(), SourceError> {
            Ok(())
        }
    }

    fn lane() -> Lane {
        Lane::new(ShardJournal {
            journal: JournalUuid([0; 16]),
            shard: ShardId(0),
            origin: Origin::Recovered,
            phase: Phase::Live,
            source: Box::new(Nothing),
        })
    }

    #[test]
    fn a_small_batch_waits_for_its_time_however_often_it_is_asked() {
        let status = LaneStatus::new(JournalUuid([0; 16]), ShardId(0));
        let mut lane = lane();
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let policy = BatchPolicy {
            records_min: 5_000,
            linger: Duration::from_millis(50),
            poll: Duration::from_millis(10),
            ..BatchPolicy::STANDARD
        };
        for _ in 0..1_000 {
            assert!(lane.waits(&policy, at(7)));
        }
        assert!(lane.waits(&policy, at(56)));
        assert!(!lane.waits(&policy, at(57)));
        lane.advance(Lsn(1), &status);
        assert!(lane.waits(&policy, at(58)), "the next batch waits anew");
        let big = BatchPolicy {
            records_min: 1_999,
            ..policy
        };
        assert!(!lane.waits(&big, at(58)));
    }

    /// Plays a batch of `records` in which `poison` are refused; returns what was quarantined and
    /// how many attempts it took.
    fn search(records: u64, poison: &[u64]) -> (Vec<u64>, u32) {
        let status = LaneStatus::new(JournalUuid([0; 16]), ShardId(0));
        let mut lane = lane();
        let (mut quarantined, mut attempts) = (Vec::new(), 0);
        while lane.watermark().0 < records {
            attempts += 1;
            let from = lane.watermark().0;
            let max = usize::try_from(records - from).unwrap();
            let to = from + u64::try_from(lane.attempt(max)).unwrap();
            if poison.iter().any(|lsn| (from + 1..=to).contains(lsn)) {
                if lane.refused(Lsn(to)) {
                    quarantined.push(to);
                    lane.advance(Lsn(to), &status);
                }
            } else {
                lane.advance(Lsn(to), &status);
            }
        }
        (quarantined, attempts)
    }

    #[test]
    fn a_poison_record_is_found_at_every_position() {
        for records in [1, 2, 3, 7, 64, 500] {
            for position in 1..=records {
                let (found, attempts) = search(records, &[position]);
                assert_eq!(found, [position], "of {records}");
                assert!(attempts <= 2 * 10 + 2, "{attempts} attempts for {records}");
            }
        }
    }

    #[test]
    fn several_poison_records_are_found_each() {
        let (found, _) = search(500, &[1, 2, 250, 499, 500]);
        assert_eq!(found, [1, 2, 250, 499, 500]);
        let all: Vec<u64> = (1..=16).collect();
        assert_eq!(search(16, &all).0, all);
        assert_eq!(search(500, &[]), (Vec::new(), 1));
    }
}
