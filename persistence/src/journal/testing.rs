//! What tests of the running journal share: a directory on a real disk, an executor, settings.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::ids::{Lsn, NodeId, ShardId};
use domain::record::{Carriage, Record};
use domain::time::{Instant, WallTime};
use glommio::Placement;
use tempfile::TempDir;

use super::{Clock, FileSystems, Journal, JournalSettings, Recovered, executor};
use crate::error::JournalError;
use crate::manifest::Manifest;

/// A fresh directory below the build directory: the system's own temporary directory may be in
/// memory, where direct I/O does not work.
pub(crate) fn disk_dir(name: &str) -> TempDir {
    let below = std::env::current_exe().unwrap();
    let below = below.parent().unwrap();
    tempfile::Builder::new()
        .prefix(&format!("journal-{name}-"))
        .tempdir_in(below)
        .unwrap()
}

/// Runs `future` on an executor of its own, on this thread.
pub(crate) fn on_executor<T>(future: impl Future<Output = T>) -> T {
    let executor = executor(Placement::Unbound).make().unwrap();
    executor.run(future)
}

/// Waits until `reached`, for a minute at most.
pub(crate) async fn until(mut reached: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if reached() {
            return;
        }
        glommio::timer::sleep(Duration::from_millis(1)).await;
    }
    panic!("what was waited for did not come");
}

/// A clock that stands where the test puts it.
#[derive(Clone, Default)]
pub(crate) struct HandClock(Arc<AtomicU64>);

impl HandClock {
    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap();
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// One shard's journal below a directory of its own.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) clock: HandClock,
    pub(crate) settings: JournalSettings,
    _manifest: Manifest,
}

impl Bench {
    pub(crate) fn new(name: &str) -> Self {
        let dir = disk_dir(name);
        let manifest = Manifest::open_or_create(dir.path(), NodeId(1), 1).unwrap();
        let clock = HandClock::default();
        let hand = clock.clone();
        let settings = JournalSettings {
            root: manifest.root().to_owned(),
            identity: manifest.identity(ShardId(0)),
            segment_bytes: 128 * 1024,
            batch_bytes_max: 32 * 1024,
            bytes_max: 64 * 128 * 1024,
            batch_wait: Duration::ZERO,
            anchor_wait: Duration::from_millis(2),
            file_systems: FileSystems::Any,
            keys: Vec::new(),
            segment_known: 0,
            watermark: None,
            clock: Clock {
                monotonic: Arc::new(move || hand.now()),
                wall: Arc::new(|| WallTime::from_unix_millis(1_700_000_000_000)),
            },
        };
        Self {
            dir,
            clock,
            settings,
            _manifest: manifest,
        }
    }

    /// The directory of the shard's files.
    pub(crate) fn shard_dir(&self) -> std::path::PathBuf {
        let identity = &self.settings.identity;
        crate::layout::shard_dir(self.dir.path(), identity.generation, identity.shard)
    }

    /// The names of the shard's files, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.shard_dir()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Opens the journal; also gives what was on disk, as `Debug` shows it.
    pub(crate) async fn open(&self) -> Result<Opened, JournalError> {
        let mut records = Vec::new();
        let mut on_record = |lsn: Lsn, record: &Record<'_>, _: Carriage| {
            records.push((lsn, format!("{record:?}")));
        };
        let (journal, recovered) = Journal::open(self.settings.clone(), &mut on_record).await?;
        Ok(Opened {
            journal,
            recovered,
            records,
        })
    }
}

pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) recovered: Recovered,
    pub(crate) records: Vec<(Lsn, String)>,
}
