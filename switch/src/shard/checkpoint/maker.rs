//! The thread that makes checkpoints, and when it makes one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::ids::Lsn;
use domain::time::Instant;
use persistence::error::chain;
use persistence::identity::Identity;
use persistence::layout::shard_dir;
use persistence::manifest::Manifest;
use persistence::reader::list;

use super::{CheckpointError, Made, Making, bytes_of, shard_of};
use crate::boot::{ServeError, cannot_start};
use crate::config::Config;
use crate::control::shared::{ShardShared, Shared};

/// The thread. Holds the manifest, and with it the lock of the journal's directory.
#[derive(Debug)]
pub(crate) struct Maker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Manifest>,
}

/// Starts the thread, when every shard has recovered.
///
/// # Errors
/// [`ServeError::Start`].
pub(crate) fn start(
    config: &Arc<Config>,
    shared: &Arc<Shared>,
    manifest: Manifest,
) -> Result<Maker, ServeError> {
    let stop = Arc::new(AtomicBool::new(false));
    let watch = Watch {
        config: Arc::clone(config),
        shared: Arc::clone(shared),
        root: manifest.root().to_owned(),
        manifest,
        stop: Arc::clone(&stop),
        seen: Vec::new(),
    };
    let thread = std::thread::Builder::new()
        .name("checkpoints".to_owned())
        .spawn(move || watch.run())
        .map_err(|error| cannot_start("the thread of checkpoints", &error))?;
    Ok(Maker { stop, thread })
}

impl Maker {
    /// Ends it; what it was making is left half made. Returns the lock.
    pub(crate) fn finish(self) -> Option<Manifest> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let ended = self.thread.join();
        if ended.is_err() {
            tracing::error!("the thread of checkpoints has panicked");
        }
        ended.ok()
    }
}

struct Watch {
    config: Arc<Config>,
    shared: Arc<Shared>,
    root: PathBuf,
    manifest: Manifest,
    stop: Arc<AtomicBool>,
    seen: Vec<Seen>,
}

/// What is known of one shard.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The first segment that its checkpoint does not cover; 1 without one.
    covered: u64,
    /// Bytes of that checkpoint.
    bytes: u64,
    /// Bytes of the segments behind it that get no further record, and the one that was written
    /// when they were summed up.
    fresh: (u64, u64),
    /// Not before that.
    not_before: Instant,
    /// How long the next failure puts it off.
    pause: Duration,
}

/// When a checkpoint is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    fresh: u64,
    /// Of the last one: what is written again and again is no more than what is new.
    last: u64,
    asked: u64,
    used: u64,
    limit: u64,
}

impl Due {
    const fn is_due(self) -> bool {
        let calm = if self.last > self.asked {
            self.last
        } else {
            self.asked
        };
        let crowded = self.limit / CROWDED_SHARE;
        let is_crowded = self.used.saturating_mul(100) > self.limit.saturating_mul(CROWDED_PERCENT);
        let wanted = if is_crowded && crowded < calm {
            crowded
        } else {
            calm
        };
        self.fresh > 0 && self.fresh >= wanted
    }
}

impl Watch {
    fn run(mut self) -> Manifest {
        if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
            tracing::debug!(%error, "checkpoints are made at the usual priority");
        }
        for index in 0..self.shared.shards.len() {
            let seen = self.find(index);
            self.seen.push(seen);
        }
        while !self.is_over() {
            for index in 0..self.shared.shards.len() {
                self.look(index);
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        self.manifest
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.shared.node().is_draining()
    }

    /// What the start has found.
    fn find(&self, index: usize) -> Seen {
        let mut seen = Seen {
            covered: 1,
            bytes: 0,
            fresh: (0, 0),
            not_before: Instant::ZERO,
            pause: PAUSE_FIRST,
        };
        let Some(shard) = self.shared.shards.get(index) else {
            return seen;
        };
        let identity = self.manifest.identity(shard.id);
        let dir = shard_dir(&self.root, identity.generation, identity.shard);
        // The start has read it.
        if let Ok(Some(covered)) = persistence::checkpoint::newest(&dir, &identity) {
            seen.covered = covered.segment;
            seen.bytes = bytes_of(&dir, covered.segment);
            shard.marks.set_covered(covered.next_lsn, seen.bytes);
        }
        seen
    }

    fn look(&mut self, index: usize) {
        let shard = self.shared.shards.get(index).map(Arc::clone);
        let (Some(shard), Some(seen)) = (shard, self.seen.get(index).copied()) else {
            return;
        };
        let clock = self.shared.node().clock();
        let began = clock.now();
        let Some(segment) = shard.position().map(|position| position.segment()) else {
            return;
        };
        if self.is_over() || segment <= seen.covered || began < seen.not_before {
            return;
        }
        let identity = self.manifest.identity(shard.id);
        let fresh = match self.fresh(&identity, segment, seen) {
            Ok(fresh) => fresh,
            Err(error) => return self.failed(index, &shard, &error, began),
        };
        if let Some(seen) = self.seen.get_mut(index) {
            seen.fresh = (fresh, segment);
        }
        let due = Due {
            fresh,
            last: seen.bytes,
            asked: self.config.journal.checkpoint_bytes,
            used: shard.metrics.journal_used_bytes(),
            limit: self.config.journal.bytes_max,
        };
        if !due.is_due() {
            return;
        }
        match self.make(identity, segment) {
            Ok(made) => self.made(index, &shard, &made, began),
            Err(CheckpointError::Stopped) => {}
            Err(error) => self.failed(index, &shard, &error, began),
        }
    }

    /// Bytes of the segments behind the checkpoint, but for the one that is written.
    fn fresh(&self, identity: &Identity, segment: u64, seen: Seen) -> Result<u64, CheckpointError> {
        let (fresh, at) = seen.fresh;
        if at == segment {
            return Ok(fresh);
        }
        let segments = list(&self.root, identity)?;
        let fresh = segments.iter().filter(|one| {
            let range = seen.covered..segment;
            range.contains(&one.number)
        });
        Ok(fresh.map(|one| one.bytes).sum())
    }

    fn make(&mut self, identity: Identity, segment: u64) -> Result<Made, CheckpointError> {
        let journal = &self.config.journal;
        let shards = u64::from(identity.shards);
        let ahead = journal.segment_bytes.saturating_mul(SEGMENTS_AHEAD);
        let content = self.manifest.content().clone();
        let making = Making {
            config: &self.config,
            shared: &self.shared,
            root: &self.root,
            content: &content,
            identity,
            segment,
            reserve: ahead.min(journal.bytes_max).saturating_mul(shards),
            stop: &self.stop,
        };
        making.make(&mut self.manifest)
    }

    fn made(&mut self, index: usize, shard: &ShardShared, made: &Made, began: Instant) {
        let now = self.shared.node().clock().now();
        let took = now.since(began);
        let Made {
            ref covered,
            bytes,
            read,
            owed,
        } = *made;
        if let Some(seen) = self.seen.get_mut(index) {
            *seen = Seen {
                covered: covered.segment,
                bytes,
                fresh: (0, covered.segment),
                not_before: now,
                pause: PAUSE_FIRST,
            };
        }
        shard.marks.count_made(true, took);
        shard.marks.set_covered(covered.next_lsn, bytes);
        let up_to = Lsn(covered.next_lsn.0.saturating_sub(1));
        tracing::info!(
            shard = %shard_of(&covered.identity),
            segment = covered.segment,
            %up_to,
            read,
            carried = covered.records,
            owed,
            bytes,
            took_ms = took.as_millis(),
            "checkpoint of the journal"
        );
    }

    fn failed(
        &mut self,
        index: usize,
        shard: &ShardShared,
        error: &CheckpointError,
        began: Instant,
    ) {
        let now = self.shared.node().clock().now();
        shard.marks.count_made(false, now.since(began));
        let Some(seen) = self.seen.get_mut(index) else {
            return;
        };
        seen.not_before = now.after(seen.pause);
        tracing::warn!(
            shard = %shard.id,
            error = chain(error),
            again_in_s = seen.pause.as_secs(),
            "no checkpoint: the journal goes on without"
        );
        seen.pause = seen.pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

/// How often shards are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a failure.
const PAUSE_FIRST: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// Of the budget: above it a checkpoint is made early, so that segments may go before new work is
/// refused at 80.
const CROWDED_PERCENT: u64 = 50;
/// And then behind this share of it.
const CROWDED_SHARE: u64 = 8;
/// What is left of the disk to each shard, in segments.
const SEGMENTS_AHEAD: u64 = 16;
/// Of the scheduler.
const LOWEST_PRIORITY: i32 = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_due_behind_as_much_as_is_asked_for_or_as_the_last_one_took() {
        let calm = Due {
            fresh: 0,
            last: 10,
            asked: 100,
            used: 400,
            limit: 1_600,
        };
        let check = |fresh, last, used, expected| {
            let due = Due {
                fresh,
                last,
                used,
                ..calm
            };
            assert_eq!(due.is_due(), expected, "{due:?}");
        };
        check(99, 10, 400, false);
        check(100, 10, 400, true);
        check(100, 300, 400, false);
        check(300, 300, 400, true);
    }

    #[test]
    fn a_budget_that_is_half_used_asks_for_one_early() {
        let check = |fresh, used, expected| {
            let due = Due {
                fresh,
                last: 5_000,
                asked: 1_000,
                used,
                limit: 1_600,
            };
            assert_eq!(due.is_due(), expected, "{due:?}");
        };
        check(199, 801, false);
        check(200, 801, true);
        check(200, 800, false);
        check(0, 1_600, false);
    }
}
