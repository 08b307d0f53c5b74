//! What a journal is opened with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::Lsn;
use domain::time::{Instant, WallTime};

use crate::batch::BLOCK;
use crate::error::JournalError;
use crate::identity::Identity;
use crate::segment_header::{KEYS_MAX, WrappedKey};

/// What a journal is opened with. One per shard.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// The directory of the manifest.
    pub root: PathBuf,
    /// From the manifest.
    pub identity: Identity,
    /// Bytes of a segment, a multiple of 4096, at most 1 GiB; 64 MiB is usual. A larger one is
    /// rolled less often and frees its space later.
    pub segment_bytes: u64,
    /// Bytes of a batch at most, padding included: a multiple of 4096 below `segment_bytes`, at
    /// most 16 MiB; 1 MiB is usual. Eight buffers of this size are kept.
    pub batch_bytes_max: usize,
    /// Bytes that all segments of this shard may take together: four segments at least. The last
    /// tenth is for what ends or reverses.
    pub bytes_max: u64,
    /// How long the writer waits for company before a batch: zero, but for devices with slow or
    /// costly flushes. Adds itself to the latency of every transaction, twice.
    pub batch_wait: Duration,
    /// How long the shard must be idle before an anchor is written behind its last batch.
    pub anchor_wait: Duration,
    /// Which file systems are taken.
    pub file_systems: FileSystems,
    /// The data keys in use, wrapped: repeated in the header of each segment that is made.
    pub keys: Vec<WrappedKey>,
    /// The segment that the shard wrote to at the last good start, as the manifest says; 0 when it
    /// does not. It or a later one must be there.
    pub segment_known: u64,
    /// The highest record of this journal and shard in PostgreSQL, when it is known at the start.
    pub watermark: Option<Lsn>,
    /// The shell's clock.
    pub clock: Clock,
}

/// Which file systems may hold a journal (J02). Direct I/O must work on any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystems {
    /// Those that it was tried on: ext4 and xfs.
    Tried,
    /// Any that keeps `O_DIRECT`: the operator answers for what a sync means there.
    Any,
}

/// The shell's clock, as functions: this crate has none of its own.
#[derive(Clone)]
pub struct Clock {
    /// Never goes back.
    pub monotonic: Arc<dyn Fn() -> Instant + Send + Sync>,
    /// Stamps segments, for people.
    pub wall: Arc<dyn Fn() -> WallTime + Send + Sync>,
}

impl Clock {
    pub(super) fn now(&self) -> Instant {
        (self.monotonic)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl JournalSettings {
    /// Bytes of a segment unless configured otherwise.
    pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
    /// Bytes of a batch at most unless configured otherwise.
    pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
    /// Idle time before an anchor unless configured otherwise.
    pub const ANCHOR_WAIT: Duration = Duration::from_millis(5);

    /// # Errors
    /// [`JournalError::Misconfigured`] names the first setting that is out of its bounds.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        let block = BLOCK as u64;
        let batch = self.batch_bytes_max as u64;
        let refuse = |key, what| Err(JournalError::Misconfigured { key, what });
        if !batch.is_multiple_of(block) || !(block..=16 << 20).contains(&batch) {
            return refuse(
                "batch_bytes_max",
                "must be a multiple of 4096, at most 16 MiB",
            );
        }
        if !self.segment_bytes.is_multiple_of(block) || self.segment_bytes > 1 << 30 {
            return refuse("segment_bytes", "must be a multiple of 4096, at most 1 GiB");
        }
        if self.segment_bytes < batch.saturating_mul(2).saturating_add(block) {
            return refuse("segment_bytes", "must hold two batches and a header block");
        }
        if self.bytes_max < self.segment_bytes.saturating_mul(4) {
            return refuse("bytes_max", "must hold four segments");
        }
        if self.keys.len() > KEYS_MAX {
            return refuse("keys", "a segment header has room for 8 wrapped keys");
        }
        Ok(())
    }
}
