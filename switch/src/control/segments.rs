//! Lets segments of the journal go: the oldest first, when a checkpoint stands for them and every
//! consumer has them, once they are old enough, or the budget of their shard asks for it. The shard
//! removes them; it owns its journal.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use domain::ids::{Lsn, ShardId};
use domain::time::WallTime;
use persistence::Manifest;
use persistence::error::JournalError;
use persistence::identity::Identity;
use persistence::layout::{segment_name, shard_dir};
use persistence::manifest::Content;
use persistence::reader::{Listed, list};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::retiring::Consumer;
use super::shared::{ShardShared, Shared};
use crate::clock::Clock;
use crate::config::Config;

/// What the task needs.
#[derive(Debug)]
pub(super) struct Segments {
    root: PathBuf,
    shards: Vec<Arc<ShardShared>>,
    consumers: Vec<Arc<dyn Consumer>>,
    retention: Duration,
    bytes_max: u64,
    clock: Clock,
    /// By shard, since when every consumer has been seen to have all of a segment: as with earlier
    /// generations, an older copy that takes over is to find what it lacks.
    had_since: Vec<BTreeMap<u64, WallTime>>,
}

/// A segment that may go, as far as a checkpoint tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    /// The first record behind it.
    end: Lsn,
    bytes: u64,
    /// Since when its age counts; `None` while a consumer lacks some of it.
    since: Option<WallTime>,
}

/// When a candidate goes.
#[derive(Clone, Copy, Debug)]
struct Terms {
    retention: Duration,
    used: u64,
    limit: u64,
    now: WallTime,
}

impl Segments {
    pub(super) fn new(
        config: &Config,
        shared: &Shared,
        root: PathBuf,
        consumers: Vec<Arc<dyn Consumer>>,
    ) -> Self {
        Self {
            root,
            shards: shared.shards.clone(),
            consumers,
            retention: config.journal.retention,
            bytes_max: config.journal.bytes_max,
            clock: shared.node().clock(),
            had_since: vec![BTreeMap::new(); shared.shards.len()],
        }
    }

    /// Runs for good.
    pub(super) async fn run(mut self) {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.look().await {
                let error = persistence::error::chain(&error);
                tracing::warn!(%error, "no segment of the journal was removed; tried again soon");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }

    async fn look(&mut self) -> Result<(), JournalError> {
        let held = |shard: &Arc<ShardShared>| {
            let first = shard.position().map(|position| position.first());
            first.is_some_and(|first| shard.marks.covered() > first)
        };
        if !self.shards.iter().any(held) {
            return Ok(());
        }
        let root = self.root.clone();
        let content = blocking(move || Manifest::read(&root)).await?;
        for index in 0..self.shards.len() {
            let Some(shard) = self.shards.get(index).filter(|shard| held(shard)) else {
                continue;
            };
            let shard = Arc::clone(shard);
            let candidates = self.candidates(index, &content, &shard).await?;
            let terms = Terms {
                retention: self.retention,
                used: shard.metrics.journal_used_bytes(),
                limit: self.bytes_max,
                now: self.clock.wall(),
            };
            if let Some(keep_from) = keep_from(&candidates, terms) {
                shard.marks.let_go(keep_from);
            }
        }
        Ok(())
    }

    /// Those that the checkpoint stands for, the oldest first.
    async fn candidates(
        &mut self,
        index: usize,
        content: &Content,
        shard: &ShardShared,
    ) -> Result<Vec<Candidate>, JournalError> {
        let identity = content.identity(shard.id);
        let (root, covered) = (self.root.clone(), shard.marks.covered());
        let is_copied = !self.consumers.is_empty();
        let found = blocking(move || covered_by(&root, &identity, covered, !is_copied)).await?;
        let has = self.watermark(&identity);
        let now = self.clock.wall();
        let Some(had_since) = self.had_since.get_mut(index) else {
            return Ok(Vec::new());
        };
        let mut kept = BTreeMap::new();
        let mut candidates = Vec::new();
        for (segment, end, written) in found {
            let is_had = has.is_none_or(|has| has.next() >= end);
            let known = had_since.get(&segment.number).copied();
            let since = match written {
                Some(written) => Some(written),
                None => is_had.then(|| known.unwrap_or(now)),
            };
            if let Some(since) = since {
                kept.insert(segment.number, since);
            }
            candidates.push(Candidate {
                end,
                bytes: segment.bytes,
                since,
            });
        }
        *had_since = kept;
        Ok(candidates)
    }

    /// What every consumer has; `None` when there is no consumer.
    fn watermark(&self, identity: &Identity) -> Option<Lsn> {
        let (journal, shard): (_, ShardId) = (identity.journal, identity.shard);
        let has = |consumer: &Arc<dyn Consumer>| {
            let watermark = consumer.watermark(journal, shard);
            watermark.unwrap_or(Lsn::ZERO)
        };
        self.consumers.iter().map(has).min()
    }
}

/// Where the journal may begin from now on; `None` when nothing may go.
fn keep_from(candidates: &[Candidate], terms: Terms) -> Option<Lsn> {
    let mut used = terms.used;
    let mut keep_from = None;
    for candidate in candidates {
        let Some(since) = candidate.since else {
            break;
        };
        let millis = terms.now.unix_millis().saturating_sub(since.unix_millis());
        let is_old = Duration::from_millis(millis) >= terms.retention;
        let is_crowded = used.saturating_mul(100) > terms.limit.saturating_mul(CROWDED_PERCENT);
        if !(is_old || is_crowded) {
            break;
        }
        used = used.saturating_sub(candidate.bytes);
        keep_from = Some(candidate.end);
    }
    keep_from
}

/// The segments whose records all lie before `covered`, with their ends and, when it is asked for,
/// when they were written last.
fn covered_by(
    root: &Path,
    identity: &Identity,
    covered: Lsn,
    with_time: bool,
) -> Result<Vec<(Listed, Lsn, Option<WallTime>)>, JournalError> {
    let dir = shard_dir(root, identity.generation, identity.shard);
    let segments = list(root, identity)?;
    let ends = segments.iter().skip(1).map(|next| next.first_lsn);
    let pairs = segments.iter().zip(ends);
    let covered = pairs.take_while(|(_, end)| *end <= covered);
    let timed = covered.map(|(segment, end)| {
        let written = with_time.then(|| written(&dir.join(segment_name(segment.number))));
        (*segment, end, written)
    });
    Ok(timed.collect())
}

/// One that cannot be looked at counts as new.
fn written(path: &Path) -> WallTime {
    let modified = fs::metadata(path).and_then(|found| found.modified());
    let since = modified
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let millis = since.map_or(u64::MAX, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    WallTime::from_unix_millis(millis)
}

/// A panic in it is told by the runtime; the task ends with it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    spawn_blocking(work)
        .await
        .unwrap_or(Err(JournalError::Closed))
}

/// Of the budget: above it segments go before their time. Below the mark at which shedding ends.
const CROWDED_PERCENT: u64 = 60;
/// How often segments are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same behind an error.
const AFTER_ERROR: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_unix_millis(1_000_000);

    /// Three segments of a hundred bytes, with records up to 9, 19 and 29.
    #[track_caller]
    fn check(since: [Option<u64>; 3], used: u64, expected: Option<u64>) {
        let candidates: Vec<Candidate> = (1..)
            .zip(since)
            .map(|(number, since)| Candidate {
                end: Lsn(number * 10),
                bytes: 100,
                since: since.map(WallTime::from_unix_millis),
            })
            .collect();
        let terms = Terms {
            retention: Duration::from_secs(100),
            used,
            limit: 1_000,
            now: NOW,
        };
        assert_eq!(keep_from(&candidates, terms), expected.map(Lsn));
    }

    #[test]
    fn segments_go_when_they_are_old_and_had() {
        check([Some(900_000), Some(900_001), Some(1)], 100, Some(10));
        check([Some(1), Some(2), Some(3)], 100, Some(30));
        check([Some(900_001), Some(1), Some(1)], 100, None);
        check([None, Some(1), Some(1)], 100, None);
        check([Some(1), None, Some(1)], 100, Some(10));
        // The clock was set back.
        check([Some(2_000_000), None, None], 100, None);
    }

    #[test]
    fn the_budget_asks_for_as_many_as_it_needs_and_for_none_that_a_consumer_lacks() {
        let young = Some(999_999);
        check([young; 3], 600, None);
        check([young; 3], 601, Some(10));
        check([young; 3], 750, Some(20));
        check([young; 3], 990, Some(30));
        check([young, None, young], 990, Some(10));
        check([None; 3], 990, None);
    }

    #[derive(Debug)]
    struct Has(Option<u64>);

    impl Consumer for Has {
        fn watermark(&self, _: persistence::identity::JournalUuid, _: ShardId) -> Option<Lsn> {
            self.0.map(Lsn)
        }
    }

    #[test]
    fn what_every_consumer_has_is_what_the_last_one_has() {
        let shared = Shared::new(1, 0, Clock::start());
        let identity = Identity {
            journal: persistence::identity::JournalUuid([7; 16]),
            node: domain::ids::NodeId(1),
            generation: 1,
            shard: ShardId(0),
            shards: 1,
        };
        let check = |has: &[Option<u64>], expected: Option<u64>| {
            let consumers = has
                .iter()
                .map(|has| Arc::new(Has(*has)) as Arc<dyn Consumer>);
            let segments = Segments {
                root: PathBuf::new(),
                shards: shared.shards.clone(),
                consumers: consumers.collect(),
                retention: Duration::ZERO,
                bytes_max: 0,
                clock: Clock::start(),
                had_since: Vec::new(),
            };
            assert_eq!(segments.watermark(&identity), expected.map(Lsn));
        };
        check(&[], None);
        check(&[Some(5)], Some(5));
        check(&[Some(5), Some(3)], Some(3));
        check(&[Some(5), None], Some(0));
    }
}
