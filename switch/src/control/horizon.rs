//! The horizon of signatures: no request is taken that was signed later than a time which is on
//! disk. So a start knows, without one nonce of the runs before it, what may have come already:
//! all that was signed up to there (docs/http-api.md, "Over a restart").
//!
//! | state | owner | bound | on failure |
//! |---|---|---|---|
//! | the file `signatures` | [`HorizonKeeper`] | one line | it stays, nothing later is taken |
//! | what shards read of it | `Horizon` | atomics | – |
//!
//! ```text
//!   signed at   ────────────┤ forgotten ├──────────── taken ───────────┤ durable ├────────────►
//!               refused, 401: from before the start    each nonce once             503
//! ```
//! It is raised ahead of the clock, by a thread of its own, as files block; it is lowered by an
//! orderly end alone, when no shard takes anything any more. A clock that is set back lowers
//! nothing. Where no gateway signs there is neither thread nor file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::time::WallTime;
use persistence::Manifest;
use persistence::horizon_file::{self, HorizonFileError};
use persistence::layout::SIGNATURES;

use super::shared::Shared;
use crate::config::Config;
use crate::limits::SIGNED_AHEAD_MAX_S;
use crate::metrics::exposition::Source;
use crate::metrics::fold::Sample;
use crate::metrics::names::FamilyId;

/// What shards and the keeper know of it; seconds since 1970. Atomics alone.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    /// Set before a shard is opened, and never again.
    forgotten: AtomicU64,
    durable: AtomicU64,
    latest: AtomicU64,
    is_failing: AtomicBool,
}

impl Horizon {
    /// Up to here, what was signed may have come in a run before.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Up to here, what is signed may be taken.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Something was taken that was signed then.
    pub(crate) fn note_taken(&self, timestamp: u64) {
        self.latest.fetch_max(timestamp, Ordering::Release);
    }
}

/// What a start finds of the runs before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Their horizon.
    Until(u64),
    /// A journal without one: no gateway has signed so far, or the file is gone.
    NoFile,
    /// No journal: nothing was ever taken.
    NoRun,
}

impl Found {
    /// What of them is forgotten at `now`. Without a file that is all that a clock which was never
    /// set back may have let in.
    const fn forgotten(self, now: u64) -> u64 {
        match self {
            Self::Until(until) => until,
            Self::NoFile => now.saturating_add(SIGNED_AHEAD_MAX_S),
            Self::NoRun => 0,
        }
    }
}

/// Where the horizon has to be at `now`: everything that may be taken before it is raised again
/// lies within.
const fn due(now: u64) -> u64 {
    now.saturating_add(SIGNED_AHEAD_MAX_S)
        .saturating_add(LEAD_S)
}

/// Where it may stand when nothing more is taken: at what was signed last.
fn settled(horizon: &Horizon) -> u64 {
    let latest = horizon.latest.load(Ordering::Acquire);
    latest.max(horizon.forgotten())
}

fn seconds(wall: WallTime) -> u64 {
    wall.unix_millis() / 1_000
}

/// Raises the horizon while the switch runs.
#[derive(Debug)]
pub struct HorizonKeeper {
    /// What it is told says that no shard takes anything any more; its mere end does not.
    at_end: Sender<()>,
    thread: JoinHandle<()>,
}

impl HorizonKeeper {
    /// Reads what the runs before have left, tells the shards, and puts the first horizon of this
    /// run on disk: before any shard is opened. `None` where no gateway signs.
    ///
    /// # Errors
    /// The file cannot be believed, read or written; nothing may be taken then.
    pub fn start(
        config: &Config,
        shared: &Arc<Shared>,
        manifest: &Manifest,
    ) -> Result<Option<Self>, HorizonFileError> {
        let mut gateways = config.gateways.iter();
        if !gateways.any(|gateway| !gateway.credentials.signing_keys.is_empty()) {
            return Ok(None);
        }
        let found = match horizon_file::read(manifest.root())? {
            Some(until) => Found::Until(until),
            None if manifest.is_new() => Found::NoRun,
            None => Found::NoFile,
        };
        let now = seconds(shared.node().clock().wall());
        let raiser = Raiser {
            root: manifest.root().to_owned(),
            shared: Arc::clone(shared),
        };
        raiser.tell_found(found, now);
        let horizon = shared.node().horizon();
        horizon
            .forgotten
            .store(found.forgotten(now), Ordering::Release);
        raiser.put(due(now).max(found.forgotten(now)))?;
        let (at_end, told) = channel();
        let thread = std::thread::Builder::new().name("horizon".to_owned());
        let thread = thread.spawn(move || raiser.run(&told));
        let thread = thread.map_err(|source| HorizonFileError::Io {
            operation: "start a thread for",
            path: manifest.root().join(SIGNATURES),
            source,
        })?;
        Ok(Some(Self { at_end, thread }))
    }

    /// Ends it after the last shard has ended: what is signed from here on is good at once after
    /// the next start.
    pub fn finish(self) {
        let told = self.at_end.send(());
        if self.thread.join().is_err() || told.is_err() {
            tracing::error!("the thread of the horizon has panicked");
        }
    }
}

#[derive(Debug)]
struct Raiser {
    root: PathBuf,
    shared: Arc<Shared>,
}

impl Raiser {
    fn run(&self, told: &Receiver<()>) {
        loop {
            match told.recv_timeout(LOOK_EVERY) {
                Err(RecvTimeoutError::Timeout) => self.raise(),
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(()) => return self.settle(),
            }
        }
    }

    /// Once a second; not while the clock is behind what it has said before.
    fn raise(&self) {
        let horizon = self.shared.node().horizon();
        let due = due(seconds(self.shared.node().clock().wall()));
        if due <= horizon.durable() {
            return;
        }
        let put = self.put(due);
        let was_failing = horizon.is_failing.swap(put.is_err(), Ordering::Relaxed);
        match put {
            Ok(()) if was_failing => {
                tracing::info!("the horizon of signatures can be written again");
            }
            Err(error) if !was_failing => tracing::error!(
                %error,
                until = horizon.durable(),
                "the horizon of signatures cannot be written: of gateways that sign nothing is \
                 taken that is signed later than `until`, until it can"
            ),
            Ok(()) | Err(_) => {}
        }
    }

    /// On disk first, then in force.
    fn put(&self, until: u64) -> Result<(), HorizonFileError> {
        horizon_file::replace(&self.root, until)?;
        let horizon = self.shared.node().horizon();
        horizon.durable.store(until, Ordering::Release);
        Ok(())
    }

    fn settle(&self) {
        let until = settled(self.shared.node().horizon());
        if let Err(error) = horizon_file::replace(&self.root, until) {
            tracing::warn!(%error, "the next start refuses what is signed within some seconds");
        }
    }

    fn tell_found(&self, found: Found, now: u64) {
        let file = self.root.join(SIGNATURES);
        let file = file.display();
        let until = found.forgotten(now);
        match found {
            Found::NoRun => {}
            Found::NoFile => tracing::warn!(
                %file,
                until,
                "no horizon of signatures beside the journal: nothing is taken that was signed \
                 before this start"
            ),
            Found::Until(_) if until > due(now) => tracing::error!(
                %file,
                until,
                behind_s = until.saturating_sub(now),
                "the clock is behind what an earlier run has taken: until it has passed `until`, \
                 nothing is taken of gateways that sign; set the clock, or see docs/operations.md"
            ),
            Found::Until(_) => tracing::info!(
                until,
                "what gateways have signed up to `until` may have come before and is refused"
            ),
        }
    }
}

/// For scrapes.
#[derive(Debug)]
pub(super) struct HorizonSource(pub(super) Arc<Shared>);

impl Source for HorizonSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        let horizon = self.0.node().horizon();
        let value = match family {
            FamilyId::HorizonFailing => u64::from(horizon.is_failing.load(Ordering::Relaxed)),
            FamilyId::SignaturesForgotten => horizon.forgotten().saturating_mul(NANOS_PER_S),
            _ => return None,
        };
        Some(vec![Sample::number(value)])
    }
}

/// How far the horizon is ahead of what the clock may let in: raised a fifth of a second late at
/// most, it is never reached.
const LEAD_S: u64 = 1;
const LOOK_EVERY: Duration = Duration::from_millis(200);
const NANOS_PER_S: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const NOW: u64 = 1_795_297_141;

    fn raiser(root: &std::path::Path) -> Raiser {
        Raiser {
            root: root.to_owned(),
            shared: Shared::new(1, 0, Clock::start()),
        }
    }

    fn stored(root: &std::path::Path) -> u64 {
        horizon_file::read(root).unwrap().unwrap()
    }

    #[test]
    fn a_start_forgets_what_earlier_runs_may_have_taken() {
        assert_eq!(Found::NoRun.forgotten(NOW), 0);
        assert_eq!(Found::Until(NOW - 9).forgotten(NOW), NOW - 9);
        // A clock that was set back: still what is on disk.
        assert_eq!(Found::Until(NOW + 3_600).forgotten(NOW), NOW + 3_600);
        assert_eq!(Found::NoFile.forgotten(NOW), NOW + SIGNED_AHEAD_MAX_S);
    }

    #[test]
    fn what_may_be_taken_before_it_is_raised_again_lies_within() {
        // It is raised in the second after `NOW` at the latest, and then this is taken.
        assert!(due(NOW) >= NOW + 1 + SIGNED_AHEAD_MAX_S);
        // Not much more, as it is what a start after a kill refuses.
        assert!(due(NOW) <= NOW + SIGNED_AHEAD_MAX_S + 2);
    }

    #[test]
    fn it_is_on_disk_before_it_is_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let raiser = raiser(dir.path());
        let horizon = raiser.shared.node().horizon();
        raiser.raise();
        let first = horizon.durable();
        assert!(first > SIGNED_AHEAD_MAX_S + LEAD_S);
        assert_eq!(stored(dir.path()), first);
        // A clock that is behind it lowers nothing.
        raiser.put(first + 3_600).unwrap();
        raiser.raise();
        assert_eq!(horizon.durable(), first + 3_600);
        assert_eq!(stored(dir.path()), first + 3_600);
    }

    #[test]
    fn what_cannot_be_written_is_not_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let raiser = raiser(dir.path());
        let horizon = raiser.shared.node().horizon();
        let in_the_way = dir.path().join(persistence::layout::SIGNATURES_NEW);
        std::fs::create_dir(&in_the_way).unwrap();
        raiser.raise();
        assert_eq!(horizon.durable(), 0);
        assert!(horizon.is_failing.load(Ordering::Relaxed));
        std::fs::remove_dir(&in_the_way).unwrap();
        raiser.raise();
        assert_eq!(stored(dir.path()), horizon.durable());
        assert!(!horizon.is_failing.load(Ordering::Relaxed));
    }

    #[test]
    fn an_orderly_end_alone_lowers_it_to_what_was_taken_last() {
        let dir = tempfile::tempdir().unwrap();
        let run = |end: &dyn Fn(Sender<()>)| {
            let raiser = raiser(dir.path());
            let horizon = Arc::clone(&raiser.shared);
            let horizon = horizon.node().horizon();
            horizon.forgotten.store(NOW, Ordering::Release);
            raiser.put(NOW + 100).unwrap();
            for timestamp in [NOW + 7, NOW + 3] {
                horizon.note_taken(timestamp);
            }
            let (sender, told) = channel();
            end(sender);
            raiser.run(&told);
            stored(dir.path())
        };
        assert_eq!(run(&|sender| drop(sender)), NOW + 100);
        assert_eq!(run(&|sender| sender.send(()).unwrap()), NOW + 7);
        // Nothing was taken: what was forgotten stays so.
        let raiser = raiser(dir.path());
        let horizon = raiser.shared.node().horizon();
        horizon.forgotten.store(NOW, Ordering::Release);
        raiser.settle();
        assert_eq!(stored(dir.path()), NOW);
    }
}
