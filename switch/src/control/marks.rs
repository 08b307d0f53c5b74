//! What is known of one shard's checkpoints, and which segments may go: written by the thread that
//! makes checkpoints and by the control plane, read by the shard and by scrapes. Atomics alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::ids::Lsn;

/// One shard's.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    made: AtomicU64,
    failed: AtomicU64,
    nanos: AtomicU64,
    bytes: AtomicU64,
    covered: AtomicU64,
    keep_from: AtomicU64,
    retired: AtomicU64,
}

impl Marks {
    /// A checkpoint of so many bytes lies on disk: records before `next_lsn` are in it, as far as a
    /// start would find them.
    pub(crate) fn set_covered(&self, next_lsn: Lsn, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.covered.store(next_lsn.0, Ordering::Release);
    }

    /// The first record that no checkpoint stands for; [`Lsn::ZERO`] without a checkpoint.
    pub(crate) fn covered(&self) -> Lsn {
        Lsn(self.covered.load(Ordering::Acquire))
    }

    /// A checkpoint was made, or was not, and took so long.
    pub(crate) fn count_made(&self, made: bool, took: Duration) {
        let count = if made { &self.made } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Segments whose records all lie before `keep_from` may go.
    pub(crate) fn let_go(&self, keep_from: Lsn) {
        self.keep_from.fetch_max(keep_from.0, Ordering::Release);
    }

    /// As [`Marks::let_go`] has said last.
    pub(crate) fn keep_from(&self) -> Lsn {
        Lsn(self.keep_from.load(Ordering::Acquire))
    }

    /// So many segments were removed.
    pub(crate) fn count_retired(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.retired.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn nanos(&self) -> u64 {
        self.nanos.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn retired(&self) -> u64 {
        self.retired.load(Ordering::Relaxed)
    }
}
