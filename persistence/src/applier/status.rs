//! What the metrics side may read at any time: plain atomics, one writer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::ids::{Lsn, ShardId};
use domain::time::WallTime;

use super::failure::FailureClass;
use crate::identity::JournalUuid;

/// State and counters of an applier. Every field is a single number: readers take what they see.
#[derive(Debug)]
pub struct Status {
    connected: AtomicBool,
    lanes: Box<[LaneStatus]>,
    inserted: AtomicU64,
    duplicate: AtomicU64,
    quarantined: AtomicU64,
    doubles: AtomicU64,
    orphans: AtomicU64,
    failures: [AtomicU64; FailureClass::COUNT],
    /// How long batches took, in seconds.
    pub batch_seconds: Histogram<18>,
    /// Records of each batch.
    pub batch_records: Histogram<12>,
}

impl Status {
    pub(crate) fn new(lanes: impl Iterator<Item = LaneStatus>) -> Self {
        Self {
            connected: AtomicBool::new(false),
            lanes: lanes.collect(),
            inserted: AtomicU64::new(0),
            duplicate: AtomicU64::new(0),
            quarantined: AtomicU64::new(0),
            doubles: AtomicU64::new(0),
            orphans: AtomicU64::new(0),
            failures: [const { AtomicU64::new(0) }; FailureClass::COUNT],
            batch_seconds: Histogram::new(LATENCY_NANOS),
            batch_records: Histogram::new(COUNTS),
        }
    }

    /// Whether a connection is open and every watermark is this applier's.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// One per journal and shard, in the order in which the journals were given.
    #[must_use]
    pub const fn lanes(&self) -> &[LaneStatus] {
        &self.lanes
    }

    /// Records whose rows were committed by this applier.
    #[must_use]
    pub fn rows_inserted(&self) -> u64 {
        self.inserted.load(Ordering::Relaxed)
    }

    /// Records that PostgreSQL already had when they were applied again, and doubles of a business
    /// key.
    #[must_use]
    pub fn rows_duplicate(&self) -> u64 {
        self.duplicate.load(Ordering::Relaxed)
    }

    /// Records that the tables refused.
    #[must_use]
    pub fn rows_quarantined(&self) -> u64 {
        self.quarantined.load(Ordering::Relaxed)
    }

    /// Transactions whose business key another transaction had first: each one is in `exception`,
    /// and its reversal is owed.
    #[must_use]
    pub fn doubles(&self) -> u64 {
        self.doubles.load(Ordering::Relaxed)
    }

    /// Transactions without a request, because its record is in quarantine.
    #[must_use]
    pub fn orphans(&self) -> u64 {
        self.orphans.load(Ordering::Relaxed)
    }

    /// Failures of a class.
    #[must_use]
    pub fn failures(&self, class: FailureClass) -> u64 {
        self.failures
            .get(class as usize)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, class: FailureClass) {
        if let Some(count) = self.failures.get(class as usize) {
            add(count, 1);
        }
    }

    pub(crate) fn applied(&self, counts: Counts) {
        add(&self.inserted, counts.inserted);
        add(&self.duplicate, counts.duplicate + counts.doubles);
        add(&self.quarantined, counts.quarantined);
        add(&self.doubles, counts.doubles);
        add(&self.orphans, counts.orphans);
    }
}

/// What one transaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) inserted: u64,
    pub(crate) duplicate: u64,
    pub(crate) quarantined: u64,
    pub(crate) doubles: u64,
    pub(crate) orphans: u64,
}

/// How far one shard of one journal is.
#[derive(Debug)]
pub struct LaneStatus {
    /// The journal.
    pub journal: JournalUuid,
    /// The shard.
    pub shard: ShardId,
    watermark: AtomicU64,
    durable: AtomicU64,
    oldest_millis: AtomicU64,
    stopped: AtomicBool,
}

impl LaneStatus {
    pub(crate) const fn new(journal: JournalUuid, shard: ShardId) -> Self {
        Self {
            journal,
            shard,
            watermark: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            oldest_millis: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Every record up to this one is in PostgreSQL, read back after a synchronous commit.
    #[must_use]
    pub fn watermark(&self) -> Lsn {
        Lsn(self.watermark.load(Ordering::Acquire))
    }

    /// Durable records that are not in PostgreSQL.
    #[must_use]
    pub fn lag_records(&self) -> u64 {
        let durable = self.durable.load(Ordering::Relaxed);
        durable.saturating_sub(self.watermark().0)
    }

    /// When the oldest record that is not in PostgreSQL was made; `None` when there is none.
    #[must_use]
    pub fn oldest_unapplied(&self) -> Option<WallTime> {
        let millis = self.oldest_millis.load(Ordering::Relaxed);
        (millis != 0 && self.lag_records() != 0).then(|| WallTime::from_unix_millis(millis))
    }

    /// Whether a record cannot be read, so that this lane stands still until it can.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn set_watermark(&self, lsn: Lsn) {
        self.watermark.store(lsn.0, Ordering::Release);
    }

    pub(crate) fn set_durable(&self, lsn: Lsn) {
        self.durable.store(lsn.0, Ordering::Relaxed);
    }

    pub(crate) fn set_oldest(&self, time: WallTime) {
        self.oldest_millis
            .store(time.unix_millis(), Ordering::Relaxed);
    }

    pub(crate) fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::Relaxed);
    }
}

/// Counts per bucket (not cumulative) and a sum. The last bucket has no upper bound.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: [u64; N],
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    const fn new(bounds: [u64; N]) -> Self {
        Self {
            bounds,
            counts: [const { AtomicU64::new(0) }; N],
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Upper bounds, in nanoseconds or records.
    #[must_use]
    pub const fn bounds(&self) -> &[u64; N] {
        &self.bounds
    }

    /// Observations per bound, then those above the last bound.
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        let buckets = self.counts.iter().chain([&self.above]);
        buckets.map(|count| count.load(Ordering::Relaxed))
    }

    /// The sum of all observations, in nanoseconds or records.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self, value: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound);
        let count = bucket.and_then(|bucket| self.counts.get(bucket));
        add(count.unwrap_or(&self.above), 1);
        add(&self.sum, value);
    }

    pub(crate) fn record_duration(&self, value: Duration) {
        self.record(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// One writer: a load and a store are enough.
fn add(count: &AtomicU64, by: u64) {
    let value = count.load(Ordering::Relaxed).wrapping_add(by);
    count.store(value, Ordering::Relaxed);
}

const MS: u64 = 1_000_000;
/// Bucket set L of `docs/metrics.md`.
const LATENCY_NANOS: [u64; 18] = [
    MS / 2,
    MS,
    2 * MS,
    5 * MS,
    10 * MS,
    20 * MS,
    50 * MS,
    100 * MS,
    200 * MS,
    300 * MS,
    400 * MS,
    500 * MS,
    750 * MS,
    1000 * MS,
    2000 * MS,
    5000 * MS,
    10_000 * MS,
    30_000 * MS,
];
/// Bucket set N of `docs/metrics.md`.
const COUNTS: [u64; 12] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_observation_is_in_one_bucket() {
        let histogram = Histogram::new(COUNTS);
        for value in [0, 1, 2, 3, 2048, 2049] {
            histogram.record(value);
        }
        let counts: Vec<u64> = histogram.counts().collect();
        assert_eq!(counts.iter().sum::<u64>(), 6);
        assert_eq!((counts[0], counts[1], counts[2]), (2, 1, 1));
        assert_eq!((counts[11], counts[12], histogram.sum()), (1, 1, 4103));
    }

    #[test]
    fn a_lane_without_lag_has_no_oldest_record() {
        let lane = LaneStatus::new(JournalUuid([0; 16]), ShardId(0));
        lane.set_oldest(WallTime::from_unix_millis(5));
        assert_eq!(lane.oldest_unapplied(), None);
        lane.set_durable(Lsn(3));
        assert_eq!(lane.lag_records(), 3);
        assert_eq!(lane.oldest_unapplied(), Some(WallTime::from_unix_millis(5)));
        lane.set_watermark(Lsn(3));
        assert_eq!(lane.oldest_unapplied(), None);
    }
}
