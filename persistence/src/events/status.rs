//! What the metrics side may read at any time: plain atomics, one writer.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::ids::{Lsn, ShardId};
use domain::time::WallTime;

use super::reason::Reason;
use crate::identity::JournalUuid;

/// State and counters of a publisher. Every field is a single number: readers take what they see.
#[derive(Debug)]
pub struct Status {
    lanes: Box<[LaneStatus]>,
    published: AtomicU64,
    inflight: AtomicU64,
    failures: [AtomicU64; Reason::COUNT],
}

impl Status {
    pub(super) fn new(lanes: impl Iterator<Item = LaneStatus>) -> Self {
        Self {
            lanes: lanes.collect(),
            published: AtomicU64::new(0),
            inflight: AtomicU64::new(0),
            failures: [const { AtomicU64::new(0) }; Reason::COUNT],
        }
    }

    /// One per journal and shard, in the order in which the journals were given.
    #[must_use]
    pub const fn lanes(&self) -> &[LaneStatus] {
        &self.lanes
    }

    /// Events that brokers have acknowledged, repeats included.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Records that were read and are not published: never more than the settings let.
    #[must_use]
    pub fn inflight(&self) -> u64 {
        self.inflight.load(Ordering::Relaxed)
    }

    /// Failures for a reason.
    #[must_use]
    pub fn failures(&self, reason: Reason) -> u64 {
        let count = self.failures.get(reason as usize);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(super) fn add_published(&self, events: u64) {
        self.published.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn set_inflight(&self, records: u64) {
        self.inflight.store(records, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, reason: Reason) {
        if let Some(count) = self.failures.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How far one shard of one journal is.
#[derive(Debug)]
pub struct LaneStatus {
    /// The journal.
    pub journal: JournalUuid,
    /// The shard.
    pub shard: ShardId,
    watermark: AtomicU64,
    published: AtomicU64,
    durable: AtomicU64,
    oldest_millis: AtomicU64,
}

impl LaneStatus {
    pub(super) const fn new(journal: JournalUuid, shard: ShardId) -> Self {
        Self {
            journal,
            shard,
            watermark: AtomicU64::new(0),
            published: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            oldest_millis: AtomicU64::new(0),
        }
    }

    /// Every record up to this one has been published, and a restart will know it: what lies in
    /// segments up to here may go. [`Lsn::ZERO`] until the publisher has read its watermark.
    #[must_use]
    pub fn watermark(&self) -> Lsn {
        Lsn(self.watermark.load(Ordering::Acquire))
    }

    /// Every record up to this one has been published.
    #[must_use]
    pub fn published(&self) -> Lsn {
        Lsn(self.published.load(Ordering::Acquire))
    }

    /// Durable records that are not published.
    #[must_use]
    pub fn lag_records(&self) -> u64 {
        let durable = self.durable.load(Ordering::Relaxed);
        durable.saturating_sub(self.published().0)
    }

    /// When the oldest record that is not published was made; `None` when there is none.
    #[must_use]
    pub fn oldest_unpublished(&self) -> Option<WallTime> {
        let millis = self.oldest_millis.load(Ordering::Relaxed);
        (millis != 0 && self.lag_records() != 0).then(|| WallTime::from_unix_millis(millis))
    }

    pub(super) fn set_watermark(&self, lsn: Lsn) {
        self.watermark.store(lsn.0, Ordering::Release);
    }

    pub(super) fn set_published(&self, lsn: Lsn) {
        self.published.store(lsn.0, Ordering::Release);
    }

    pub(super) fn set_durable(&self, lsn: Lsn) {
        self.durable.store(lsn.0, Ordering::Relaxed);
    }

    pub(super) fn set_oldest(&self, time: WallTime) {
        self.oldest_millis
            .store(time.unix_millis(), Ordering::Relaxed);
    }
}
