//! What a scrape tells that no shard counts: the build, the disk, the applier.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use domain::ids::ShardId;
use domain::time::WallTime;
use persistence::applier::{FailureClass, Histogram, LaneStatus, Status};
use persistence::manifest::Earlier;

use super::logging;
use super::marks::Marks;
use super::shared::ShardShared;
use crate::clock::Clock;
use crate::metrics::exposition::Source;
use crate::metrics::fold::{Sample, Value};
use crate::metrics::labels::{ApplierRow, LogDropCause};
use crate::metrics::names::FamilyId;

/// The build, the configuration, the disk of the journal, the log.
#[derive(Debug)]
pub(super) struct NodeSource {
    pub(super) fingerprint: String,
    pub(super) journal: PathBuf,
    pub(super) journal_limit: u64,
    /// The generations before the one that is written.
    pub(super) earlier: Vec<Earlier>,
}

impl Source for NodeSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        let samples = match family {
            FamilyId::BuildInfo => {
                let version = ("version", env!("CARGO_PKG_VERSION").to_owned());
                let commit = (
                    "commit",
                    option_env!("NJIA_COMMIT").unwrap_or("unknown").to_owned(),
                );
                Sample::labelled(vec![version, commit], 1)
            }
            FamilyId::ConfigInfo => Sample::labelled(vec![("sha256", self.fingerprint.clone())], 1),
            FamilyId::JournalLimit => Sample::number(self.journal_limit),
            FamilyId::JournalDiskFree => Sample::number(self.disk().map_or(0, |(free, _)| free)),
            FamilyId::JournalDiskSize => Sample::number(self.disk().map_or(0, |(_, size)| size)),
            FamilyId::JournalEarlier => {
                let kept = self.earlier.iter();
                let kept = kept.filter(|earlier| earlier.is_there(&self.journal));
                Sample::number(u64::try_from(kept.count()).unwrap_or(u64::MAX))
            }
            FamilyId::LogLinesDropped => {
                let cause = LogDropCause::VALUES
                    .iter()
                    .map(|cause| ("cause", (*cause).to_owned()));
                Sample::labelled(cause.collect(), logging::dropped())
            }
            _ => return None,
        };
        Some(vec![samples])
    }
}

impl NodeSource {
    /// Bytes free and in all.
    fn disk(&self) -> Option<(u64, u64)> {
        let disk = rustix::fs::statvfs(&self.journal).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Some((bytes(disk.f_bavail), bytes(disk.f_blocks)))
    }
}

/// Checkpoints of all shards, and the segments that they let go.
#[derive(Debug)]
pub(super) struct CheckpointSource {
    pub(super) shards: Vec<Arc<ShardShared>>,
}

impl Source for CheckpointSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        let value: fn(&Marks) -> u64 = match family {
            FamilyId::Checkpoints => Marks::made,
            FamilyId::CheckpointFailures => Marks::failed,
            FamilyId::CheckpointTime => Marks::nanos,
            FamilyId::CheckpointBytes => Marks::bytes,
            FamilyId::CheckpointLsn => |marks| marks.covered().0.saturating_sub(1),
            FamilyId::SegmentsRetired => Marks::retired,
            _ => return None,
        };
        let shards = self.shards.iter();
        let values = shards.map(|shard| (shard.id, value(&shard.marks)));
        Some(per_shard(values, u64::saturating_add))
    }
}

/// The applier, once it runs; before that its families tell nothing but zeros.
#[derive(Clone, Debug)]
pub(super) struct ApplierSource {
    pub(super) status: Arc<OnceLock<Arc<Status>>>,
    pub(super) clock: Clock,
}

impl Source for ApplierSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        let status = self.status.get()?;
        Some(match family {
            FamilyId::ApplierConnected => vec![Sample::number(u64::from(status.connected()))],
            FamilyId::ApplierRows => rows(status),
            FamilyId::ApplierFailures => {
                let class = |class: &FailureClass| {
                    let label = vec![("class", class.as_str().to_owned())];
                    Sample::labelled(label, status.failures(*class))
                };
                FailureClass::ALL.iter().map(class).collect()
            }
            FamilyId::ApplierBatchDuration => vec![histogram(&status.batch_seconds)],
            FamilyId::ApplierBatchRows => vec![histogram(&status.batch_records)],
            FamilyId::ApplierLagRecords => per_shard(
                of_lanes(status, LaneStatus::lag_records),
                u64::saturating_add,
            ),
            FamilyId::ApplierLag => {
                let now = self.clock.wall();
                let oldest =
                    |lane: &LaneStatus| lane.oldest_unapplied().map_or(0, |at| age(now, at));
                per_shard(of_lanes(status, oldest), u64::max)
            }
            _ => return None,
        })
    }
}

fn rows(status: &Status) -> Vec<Sample> {
    let row = |row: &ApplierRow| {
        let count = match row {
            ApplierRow::Inserted => status.rows_inserted(),
            ApplierRow::Duplicate => status.rows_duplicate(),
            ApplierRow::Quarantined => status.rows_quarantined(),
        };
        let name = ApplierRow::VALUES
            .get(row.index())
            .copied()
            .unwrap_or_default();
        Sample::labelled(vec![("result", name.to_owned())], count)
    };
    ApplierRow::ALL.iter().map(row).collect()
}

fn histogram<const N: usize>(histogram: &Histogram<N>) -> Sample {
    let counts = histogram.counts().collect();
    Sample {
        labels: Vec::new(),
        value: Value::Histogram {
            counts,
            sum: histogram.sum(),
        },
    }
}

fn of_lanes(
    status: &Status,
    value: impl Fn(&LaneStatus) -> u64,
) -> impl Iterator<Item = (ShardId, u64)> {
    let lanes = status.lanes().iter();
    lanes.map(move |lane| (lane.shard, value(lane)))
}

/// One value per shard. A shard's number may stand for one of several generations: `join` says what
/// of two is told.
pub(super) fn per_shard(
    lanes: impl Iterator<Item = (ShardId, u64)>,
    join: impl Fn(u64, u64) -> u64,
) -> Vec<Sample> {
    let mut shards: BTreeMap<ShardId, u64> = BTreeMap::new();
    for (shard, value) in lanes {
        let known = shards.entry(shard).or_default();
        *known = join(*known, value);
    }
    let sample = |(shard, value): (ShardId, u64)| {
        Sample::labelled(vec![("shard", shard.to_string())], value)
    };
    shards.into_iter().map(sample).collect()
}

/// In nanoseconds; zero when `at` lies ahead.
pub(super) const fn age(now: WallTime, at: WallTime) -> u64 {
    now.unix_millis()
        .saturating_sub(at.unix_millis())
        .saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::super::applier::settings;
    use super::*;
    use crate::config::{Config, Environment, create_missing_keys};
    use crate::metrics::names::{APPLIER_FAILURES, Kind};
    use persistence::applier::Applier;

    /// Of an applier that has nothing to copy.
    fn status() -> Arc<Status> {
        let folder = tempfile::tempdir().unwrap();
        create_missing_keys(folder.path()).unwrap();
        let source = crate::config::Source::Default {
            state_dir: folder.path(),
        };
        let environment = Environment::of(&[("NJIA__POSTGRES__URL", "postgres://a@127.0.0.1/b")]);
        let config = Config::load(source, &environment).unwrap();
        let settings = settings(&config, config.postgres.as_ref().unwrap()).unwrap();
        Applier::new(settings, Vec::new()).status()
    }

    #[test]
    fn an_applier_that_does_not_run_leaves_zeros() {
        let source = ApplierSource {
            status: Arc::default(),
            clock: Clock::start(),
        };
        assert_eq!(source.samples(FamilyId::ApplierRows), None);
        source.status.set(status()).unwrap();
        assert_eq!(source.samples(FamilyId::ApplierRows).unwrap().len(), 3);
        let failures = source.samples(FamilyId::ApplierFailures).unwrap();
        assert_eq!(failures.len(), APPLIER_FAILURES.len());
        assert_eq!(
            source.samples(FamilyId::ApplierConnected),
            Some(vec![Sample::number(0)])
        );
    }

    #[test]
    fn the_disk_of_the_journal_has_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let source = NodeSource {
            fingerprint: "00".to_owned(),
            journal: folder.path().to_owned(),
            journal_limit: 7,
            earlier: Vec::new(),
        };
        assert_ne!(
            source.samples(FamilyId::JournalDiskSize),
            Some(vec![Sample::number(0)])
        );
        assert_eq!(
            source.samples(FamilyId::JournalLimit),
            Some(vec![Sample::number(7)])
        );
        assert_eq!(source.samples(FamilyId::Requests), None);
    }

    #[test]
    fn the_classes_of_the_applier_are_those_of_the_table() {
        let classes: Vec<&str> = FailureClass::ALL
            .iter()
            .map(|class| class.as_str())
            .collect();
        assert_eq!(classes, APPLIER_FAILURES);
        let bounds = |id: FamilyId| match id.family().kind {
            Kind::Histogram(buckets) => buckets.bounds(),
            Kind::Counter | Kind::Gauge | Kind::State => &[],
        };
        let status = status();
        assert_eq!(
            bounds(FamilyId::ApplierBatchDuration),
            status.batch_seconds.bounds()
        );
        assert_eq!(
            bounds(FamilyId::ApplierBatchRows),
            status.batch_records.bounds()
        );
    }
}
