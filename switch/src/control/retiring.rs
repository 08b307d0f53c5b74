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
    /// The last record that it will not ask for again; [`Lsn::ZERO`] while that is not known.
    fn watermark(&self, journal: JournalUuid, shard: ShardId) -> Lsn;
}

/// PostgreSQL, once the applier has read its watermarks.
impl Consumer for OnceLock<Arc<applier::Status>> {
    fn watermark(&self, journal: JournalUuid, shard: ShardId) -> Lsn {
        let mut lanes = self.get().map_or(&[][..], |status| status.lanes()).iter();
        let lane = lanes.find(|lane| (lane.journal, lane.shard) == (journal, shard));
        lane.map_or(Lsn::ZERO, applier::LaneStatus::watermark)
    }
}

/// The topic, once the publisher has read its file.
#[cfg(feature = "kafka")]
impl Consumer for OnceLock<Arc<events::Status>> {
    fn watermark(&self, journal: JournalUuid, shard: ShardId) -> Lsn {
        let mut lanes = self.get().map_or(&[][..], |status| status.lanes()).iter();
        let lane = lanes.find(|lane| (lane.journal, lane.shard) == (journal, shard));
        lane.map_or(Lsn::ZERO, events::LaneStatus::watermark)
    }
}

/// What the task needs.
#[derive(Debug)]
pub(super) struct Retiring {
    pub(super) root: PathBuf,
    /// Those whose files are there, the oldest first.
    pub(super) kept: Vec<Earlier>,
    pub(super) retention: Duration,
    /// Those that have to have them.
    pub(super) consumers: Vec<Arc<dyn Consumer>>,
    pub(super) clock: Clock,
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
        let Some(oldest) = self.kept.first().cloned() else {
            return Ok(());
        };
        let is_owed = self.is_owed(&oldest);
        let (root, now, retention) = (self.root.clone(), self.clock.wall(), self.retention);
        let removed = spawn_blocking(move || {
            let written = oldest.last_written(&root)?;
            if is_owed || age(written, now) < retention {
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

    /// Whether a consumer has less than all of it, as far as is known.
    fn is_owed(&self, earlier: &Earlier) -> bool {
        let ends = || (0..).map(ShardId).zip(&earlier.last);
        self.consumers.iter().any(|consumer| {
            ends().any(|(shard, last)| consumer.watermark(earlier.journal, shard) < *last)
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
        fn watermark(&self, journal: JournalUuid, shard: ShardId) -> Lsn {
            assert_eq!(journal, JournalUuid([1; 16]));
            Lsn(if shard.0 == 0 { self.0 } else { self.1 })
        }
    }

    #[track_caller]
    fn check(consumers: Vec<Arc<dyn Consumer>>, expected: bool) {
        let retiring = Retiring {
            root: PathBuf::new(),
            kept: Vec::new(),
            retention: Duration::ZERO,
            consumers,
            clock: Clock::start(),
        };
        let earlier = Earlier {
            generation: 1,
            journal: JournalUuid([1; 16]),
            left_behind: None,
            last: vec![Lsn(3), Lsn(5)],
        };
        assert_eq!(retiring.is_owed(&earlier), expected);
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
        let silent = Arc::new(OnceLock::<Arc<applier::Status>>::new());
        check(vec![silent], true);
    }
}
