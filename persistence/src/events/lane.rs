//! One shard of one journal on its way to the topic.

use std::collections::VecDeque;

use domain::ids::{Lsn, ShardId};
use domain::time::{Instant, WallTime};

use super::status::LaneStatus;
use super::watermark::Watermark;
use crate::applier::event::Place;
use crate::applier::{Backoff, Phase, RecordSource, ShardJournal, SourceError};
use crate::identity::JournalUuid;
use crate::reader::Entry;

/// One shard of one journal.
///
/// ```text
///   saved ≤ published ≤ sent ≤ durable
///             └ in flight ┘
/// ```
/// Brokers acknowledge partition by partition, so not in the order of LSNs: `published` moves only
/// over what is acknowledged without a gap.
pub(super) struct Lane {
    pub(super) journal: JournalUuid,
    pub(super) shard: ShardId,
    phase: Phase,
    source: Box<dyn RecordSource>,
    /// Where the journal ended when this began.
    found: Lsn,
    /// As the file has it.
    saved: Lsn,
    published: Lsn,
    /// The records `(published, sent]`.
    inflight: VecDeque<Inflight>,
    /// When the first record after `published` was made, as far as it has been read.
    oldest: Option<(Lsn, WallTime)>,
    /// Until when the journal is not read again, after it could not be.
    halted_until: Option<Instant>,
    /// How often in a row it could not be.
    read_failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Inflight {
    at: WallTime,
    is_done: bool,
}

impl Lane {
    pub(super) fn new(journal: ShardJournal) -> Self {
        Self {
            journal: journal.journal,
            shard: journal.shard,
            phase: journal.phase,
            found: journal.source.durable(),
            source: journal.source,
            saved: Lsn::ZERO,
            published: Lsn::ZERO,
            inflight: VecDeque::new(),
            oldest: None,
            halted_until: None,
            read_failures: 0,
        }
    }

    /// Begins where the file says, or with the first record that is left. What is wrong when the
    /// file is ahead of the journal as it was found: that it has grown since proves nothing.
    pub(super) fn attach(&mut self, known: &[Watermark]) -> Result<(), String> {
        let own = |mark: &&Watermark| (mark.journal, mark.shard) == (self.journal, self.shard);
        let first = Lsn(self.source.first_retained().0.saturating_sub(1));
        let lsn = known.iter().find(own).map_or(first, |mark| mark.lsn);
        if lsn > self.found {
            return Err(format!(
                "shard {} of journal {} ended at {}, but was published up to {lsn}: the \
                 journal is an older copy; remove events.watermark if receivers may get events \
                 with other content under ids that they know",
                self.shard, self.journal, self.found
            ));
        }
        (self.saved, self.published) = (lsn, lsn);
        self.inflight.clear();
        Ok(())
    }

    /// Shows at most `max` durable records that were not sent.
    pub(super) fn read(
        &mut self,
        max: usize,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), SourceError> {
        let durable = self.source.durable();
        self.source.read(self.sent(), durable, max, visit)
    }

    /// The next record was handed over, or has no event and `is_done`.
    pub(super) fn hand_over(&mut self, at: WallTime, is_done: bool) {
        self.inflight.push_back(Inflight { at, is_done });
        self.settle();
    }

    /// A broker has acknowledged the event of `lsn`.
    pub(super) fn acknowledged(&mut self, lsn: Lsn) {
        let ahead = lsn.0.checked_sub(self.published.0.saturating_add(1));
        let at = ahead.and_then(|ahead| usize::try_from(ahead).ok());
        if let Some(record) = at.and_then(|at| self.inflight.get_mut(at)) {
            record.is_done = true;
        }
        self.settle();
    }

    /// What is in flight may be lost: all of it is due again.
    pub(super) fn rewind(&mut self) {
        self.inflight.clear();
    }

    fn settle(&mut self) {
        while self.inflight.front().is_some_and(|record| record.is_done) {
            self.inflight.pop_front();
            self.published = self.published.next();
        }
        if let Some(first) = self.inflight.front() {
            self.oldest = Some((self.published.next(), first.at));
        }
    }

    /// Reads when the oldest record was made that is not published, unless that is known.
    pub(super) fn peek(&mut self) -> Result<(), SourceError> {
        let next = self.published.next();
        if self.lag() == 0 || self.oldest.is_some_and(|(lsn, _)| lsn == next) {
            return Ok(());
        }
        let durable = self.source.durable();
        let mut at = None;
        self.source.read(self.published, durable, 1, &mut |entry| {
            at = Some(crate::applier::event::record_time(&entry.record));
        })?;
        self.oldest = at.map(|at| (next, at));
        Ok(())
    }

    /// The journal cannot be read: it is left alone for a while, longer each time. Says how often
    /// it could not be in a row.
    pub(super) fn halt(&mut self, now: Instant, policy: &Backoff) -> u32 {
        let doubled = 1_u32.checked_shl(self.read_failures).unwrap_or(u32::MAX);
        let pause = policy.first.saturating_mul(doubled).min(policy.max);
        self.halted_until = Some(now.after(pause));
        self.read_failures = self.read_failures.saturating_add(1);
        self.read_failures
    }

    /// The journal could be read.
    pub(super) const fn read_on(&mut self) {
        self.halted_until = None;
        self.read_failures = 0;
    }

    /// Whether the journal is left alone at `now`.
    pub(super) fn is_halted(&self, now: Instant) -> bool {
        self.halted_until.is_some_and(|until| now < until)
    }

    /// Where record `lsn` stands.
    pub(super) const fn place(&self, lsn: Lsn) -> Place {
        Place {
            journal: self.journal,
            shard: self.shard,
            lsn,
        }
    }

    /// The last record that was handed over.
    pub(super) fn sent(&self) -> Lsn {
        let inflight = u64::try_from(self.inflight.len()).unwrap_or(u64::MAX);
        Lsn(self.published.0.saturating_add(inflight))
    }

    pub(super) fn inflight(&self) -> usize {
        self.inflight.len()
    }

    /// Whether it is of an earlier generation, and not all of it is published: what came after it,
    /// on whichever shard, waits.
    pub(super) fn is_draining(&self) -> bool {
        self.phase == Phase::Draining && self.lag() > 0
    }

    /// Durable records that are not handed over.
    pub(super) fn due(&self) -> u64 {
        self.source.durable().0.saturating_sub(self.sent().0)
    }

    /// Durable records that are not published.
    pub(super) fn lag(&self) -> u64 {
        self.source.durable().0.saturating_sub(self.published.0)
    }

    /// Whether the file is behind.
    pub(super) fn is_unsaved(&self) -> bool {
        self.saved < self.published
    }

    /// For the file.
    pub(super) const fn watermark(&self) -> Watermark {
        Watermark {
            journal: self.journal,
            shard: self.shard,
            lsn: self.published,
        }
    }

    /// The file has it.
    pub(super) const fn saved(&mut self, lsn: Lsn) {
        self.saved = lsn;
    }

    /// Publishes how far it is.
    pub(super) fn tell(&self, status: &LaneStatus) {
        status.set_durable(self.source.durable());
        status.set_published(self.published);
        status.set_watermark(self.saved);
        if let Some((_, at)) = self.oldest {
            status.set_oldest(at);
        }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane")
            .field("journal", &self.journal)
            .field("shard", &self.shard)
            .field("published", &self.published)
            .field("inflight", &self.inflight.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
