//! Removes the files of earlier generations of the journal, the oldest first, when every consumer
//! has them to their end. No shard reads them: what was still known went over into the one that is
//! written.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::ids::{Lsn, ShardId};
use domain::time::WallTime;
use persistence::applier;
use persistence::error::JournalError;
#[cfg(feature = "kafka")]
use persistence::events;
use persistence::identity::JournalUuid;
use persistence::manifest::Earlier;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;

/// Reads the journal for itself, and keeps a durable watermark of each shard.
pub(super) trait Consumer: Debug + Send + Sync {
    /// The last record that it has; `None` while that is not known.
    fn watermark(&self, journal: JournalUuid, shard: ShardId) -> Option<Lsn>;
}

/// PostgreSQL, once the applier has read its watermarks.
impl Consumer for OnceLock<Arc<applier::Status>> {
    fn watermark(&self, journal: JournalUuid, shard: ShardId) -> Option<Lsn> {
        let mut lanes = self.get()?.lanes().iter();
        let lane = lanes.find(|lane| (lane.journal, lane.shard) == (journal, shard));
        lane.map(applier::LaneStatus::watermark)
    }
}

/// The topic, once the publisher has read its file.
#[cfg(feature = "kafka")]
impl Consumer for OnceLock<Arc<events::Status>> {
    fn watermark(&self, journal: JournalUuid, shard: ShardId) -> Option<Lsn> {
        let mut lanes = self.get()?.lanes().iter();
        let lane = lanes.find(|lane| (lane.journal, lane.shard) == (journal, shard));
        lane.map(events::LaneStatus::watermark)
    }
}

/// The topic that events were published to, in a run that is not told where it is: it goes on from
/// its file when it is.
#[derive(Debug)]
pub(super) struct Absent;

impl Consumer for Absent {
    fn watermark(&self, _: JournalUuid, _: ShardId) -> Option<Lsn> {
        None
    }
}

/// What the task needs.
#[derive(Debug)]
pub(super) struct Retiring {
    pub(super) root: PathBuf,
    /// Those whose files are there, the oldest first.
    pub(super) kept: Vec<Kept>,
    pub(super) retention: Duration,
    /// Those that have to have them.
    pub(super) consumers: Vec<Arc<dyn Consumer>>,
    pub(super) clock: Clock,
}

/// A generation whose files are there.
#[derive(Debug)]
pub(super) struct Kept {
    earlier: Earlier,
    /// Since when every consumer has been seen to have all of it: a copy that is taken over by an
    /// older one lacks it again, and is not to find it gone before the retention is over.
    whole_since: Option<WallTime>,
}

impl From<Earlier> for Kept {
    fn from(earlier: Earlier) -> Self {
        Self {
            earlier,
            whole_since: None,
        }
    }
}

impl Retiring {
    /// Runs until all are gone, or one cannot be removed.
    pub(super) async fn run(mut self) {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.kept.is_empty() {
            tick.tick().await;
            if let Err(error) = self.look().await {
                return tracing::error!(
                    %error,
                    "earlier generations of the journal are kept until the next start"
                );
            }
        }
    }

    /// Removes the oldest one, if it may go.
    async fn look(&mut self) -> Result<(), JournalError> {
        let now = self.clock.wall();
        for index in 0..self.kept.len() {
            self.note(index, now);
        }
        let Some(oldest) = self.kept.first() else {
            return Ok(());
        };
        let Some(whole_since) = oldest.whole_since else {
            return Ok(());
        };
        let (root, retention) = (self.root.clone(), self.retention);
        let (oldest, is_copied) = (oldest.earlier.clone(), !self.consumers.is_empty());
        let removed = spawn_blocking(move || {
            let since = if is_copied {
                whole_since
            } else {
                oldest.last_written(&root)?
            };
            if age(since, now) < retention {
                return Ok(false);
            }
            oldest.retire(&root)?;
            let generation = oldest.generation;
            tracing::info!(
                generation,
                "an earlier generation of the journal is removed"
            );
            Ok(true)
        });
        // A panic in it is told by the runtime; nothing is taken for removed.
        if removed.await.unwrap_or(Ok(false))? {
            self.kept.remove(0);
        }
        Ok(())
    }

    /// Notes whether the consumers have all of one.
    fn note(&mut self, index: usize, now: WallTime) {
        let Some(is_owed) = self.kept.get(index).map(|kept| self.is_owed(&kept.earlier)) else {
            return;
        };
        if let Some(kept) = self.kept.get_mut(index) {
            kept.whole_since = (!is_owed).then(|| kept.whole_since.unwrap_or(now));
        }
    }

    /// Whether a consumer has less than all of it, as far as is known.
    fn is_owed(&self, earlier: &Earlier) -> bool {
        let ends = || (0..).map(ShardId).zip(&earlier.last);
        self.consumers.iter().any(|consumer| {
            ends().any(|(shard, last)| {
                let has = consumer.watermark(earlier.journal, shard);
                has.is_none_or(|has| has < *last)
            })
        })
    }
}

/// Of what lies ahead, because the wall clock was set back: zero.
const fn age(written: WallTime, now: WallTime) -> Duration {
    Duration::from_millis(now.unix_millis().saturating_sub(written.unix_millis()))
}

/// How often the oldest one is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use domain::record::LeftBehind;

    use super::*;

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_old() {
        let [early, late] = [1_000, 9_000].map(WallTime::from_unix_millis);
        assert_eq!(age(early, late), Duration::from_secs(8));
        assert_eq!(age(late, early), Duration::ZERO);
    }

    /// Has shard 0 up to the first and shard 1 up to the second.
    #[derive(Debug)]
    struct Has(u64, u64);

    impl Consumer for Has {
        fn watermark(&self, journal: JournalUuid, shard: ShardId) -> Option<Lsn> {
            assert_eq!(journal, JournalUuid([1; 16]));
            Some(Lsn(if shard.0 == 0 { self.0 } else { self.1 }))
        }
    }

    fn earlier(last: [u64; 2]) -> Earlier {
        Earlier {
            generation: 1,
            journal: JournalUuid([1; 16]),
            left_behind: LeftBehind::default(),
            last: last.map(Lsn).to_vec(),
        }
    }

    fn retiring(consumers: Vec<Arc<dyn Consumer>>) -> Retiring {
        Retiring {
            root: PathBuf::new(),
            kept: vec![earlier([3, 5]).into()],
            retention: Duration::ZERO,
            consumers,
            clock: Clock::start(),
        }
    }

    #[track_caller]
    fn check(consumers: Vec<Arc<dyn Consumer>>, expected: bool) {
        assert_eq!(retiring(consumers).is_owed(&earlier([3, 5])), expected);
    }

    #[test]
    fn a_generation_is_owed_until_every_consumer_has_all_of_it() {
        check(vec![], false);
        check(vec![Arc::new(Has(3, 5))], false);
        check(vec![Arc::new(Has(3, 4))], true);
        check(vec![Arc::new(Has(2, 5))], true);
        check(vec![Arc::new(Has(3, 5)), Arc::new(Has(0, 5))], true);
        check(vec![Arc::new(Has(3, 5)), Arc::new(Has(9, 9))], false);
    }

    #[test]
    fn a_consumer_that_has_told_nothing_is_owed_all() {
        let silent = || Arc::new(OnceLock::<Arc<applier::Status>>::new());
        check(vec![silent()], true);
        check(vec![Arc::new(Absent)], true);
        assert!(
            retiring(vec![silent()]).is_owed(&earlier([0, 0])),
            "of nothing too"
        );
    }

    /// Has everything, or nothing any more.
    #[derive(Debug)]
    struct FallsBack(AtomicBool);

    impl Consumer for FallsBack {
        fn watermark(&self, _: JournalUuid, _: ShardId) -> Option<Lsn> {
            Some(Lsn(if self.0.load(Ordering::Relaxed) { 0 } else { 9 }))
        }
    }

    #[test]
    fn a_consumer_that_falls_back_begins_the_time_anew() {
        let consumer = Arc::new(FallsBack(AtomicBool::new(false)));
        let mut retiring = retiring(vec![Arc::<FallsBack>::clone(&consumer)]);
        let mut whole_since = |at: u64| {
            retiring.note(0, WallTime::from_unix_millis(at));
            retiring.kept[0].whole_since.map(WallTime::unix_millis)
        };
        assert_eq!(whole_since(1_000), Some(1_000));
        assert_eq!(whole_since(2_000), Some(1_000));
        consumer.0.store(true, Ordering::Relaxed);
        assert_eq!(whole_since(3_000), None);
        consumer.0.store(false, Ordering::Relaxed);
        assert_eq!(whole_since(4_000), Some(4_000));
    }
}
