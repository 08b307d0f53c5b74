//! What is timed on the way of a transaction: the steps of the processor by sample, the waits for
//! the disk each.

use std::collections::VecDeque;

use domain::ids::Lsn;
use domain::record::Record;
use domain::time::Instant;

use crate::metrics::{Histogram, Metrics, Sampler, Stage};

/// The timers of one shard.
#[derive(Debug)]
pub(crate) struct Timings {
    pub(super) duplicate: Sampler,
    pub(super) risk: Sampler,
    pub(super) route: Sampler,
    pub(super) reply: Sampler,
    pub(super) syncs: Syncs,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            duplicate: Sampler::new(Stage::Duplicate),
            risk: Sampler::new(Stage::Risk),
            route: Sampler::new(Stage::Route),
            reply: Sampler::new(Stage::Reply),
            syncs: Syncs::default(),
        }
    }
}

/// The records that something waits for, from their appending until they are durable. Bounded by
/// what the journal buffers.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    waiting: VecDeque<(Lsn, Instant, Stage)>,
}

impl Syncs {
    /// A record was appended, behind all others.
    pub(super) fn appended(&mut self, lsn: Lsn, record: &Record<'_>, now: Instant) {
        let stage = match record {
            Record::Intent(_) => Stage::IntentSync,
            Record::Outcome(_) | Record::Refused(_) | Record::Advised(_) => Stage::OutcomeSync,
            // Nobody waits for these.
            Record::SafOwed(_)
            | Record::SafDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::AdviceDone(_)
            | Record::Operated(_)
            | Record::Day(_)
            | Record::Totals(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => return,
        };
        debug_assert!(self.waiting.back().is_none_or(|(last, ..)| *last < lsn));
        self.waiting.push_back((lsn, now, stage));
    }

    /// All records up to `durable` are on disk.
    pub(super) fn durable(&mut self, durable: Lsn, now: Instant, metrics: &Metrics) {
        while let Some((_, since, stage)) = self.waiting.pop_front_if(|(lsn, ..)| *lsn <= durable) {
            metrics.observe_duration(Histogram::Stage(stage), now.since(since));
        }
    }
}
