//! The audit log: who was refused, and what operators have done, in a file whose lines are chained
//! by a key (docs/audit.md).
//!
//! | state | owner | bound | on failure |
//! |---|---|---|---|
//! | what peers did and is not written | [`AuditQueue`] | 1,024 | counted, told in a line |
//! | what operators did and is not written | the same | 256 | the same |
//! | repeats | [`folds`] | 256 and one per cause | counted for all addresses |
//! | the file and where its chain stands | [`Writer`] | rotated by size | tried each second |
//!
//! It has a thread of its own, as files block: neither a shard nor an operator waits for it.

mod chain;
mod file;
mod folds;
mod incident;
#[cfg(test)]
mod tests;
mod verify;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use domain::time::Instant;

use super::shared::Shared;
use crate::clock::Clock;
use crate::config::{Audit as Settings, Config};
use crate::metrics::exposition::Source;
use crate::metrics::fold::Sample;
use crate::metrics::names::{AUDIT_RESULTS, FamilyId};
pub(crate) use chain::Line;
use chain::Position;
use file::{Found, Written};
use folds::{Folded, Folds};
use incident::Names;
pub(crate) use incident::{Act, Fate, Incident, Object, Place, What, Who, Why};
pub(crate) use verify::{Verified, verify};

/// From everybody to the audit log. Nobody waits here: what finds no room is counted.
#[derive(Debug)]
pub(crate) struct AuditQueue {
    /// Whether anybody reads it.
    is_on: AtomicBool,
    incidents: ArrayQueue<Incident>,
    /// Apart, so that no flood of peers takes their place.
    acts: ArrayQueue<Act>,
    /// Those that found no room.
    full: AtomicU64,
}

impl AuditQueue {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            is_on: AtomicBool::new(false),
            incidents: ArrayQueue::new(INCIDENTS_MAX),
            acts: ArrayQueue::new(ACTS_MAX),
            full: AtomicU64::new(0),
        })
    }

    /// A peer was refused, or has changed something.
    pub(crate) fn note(&self, incident: Incident) {
        if self.is_on.load(Ordering::Relaxed) && self.incidents.push(incident).is_err() {
            self.full.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An operator has done something.
    pub(crate) fn act(&self, act: Act) {
        if self.is_on.load(Ordering::Relaxed) && self.acts.push(act).is_err() {
            self.full.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Audit {
    /// Its end is the signal to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What the thread tells scrapes.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// By position as [`AUDIT_RESULTS`].
    results: [AtomicU64; AUDIT_RESULTS.len()],
    is_failing: AtomicBool,
    /// The number of the last line.
    last: AtomicU64,
}

/// The position of a result among [`AUDIT_RESULTS`].
#[derive(Clone, Copy, Debug)]
enum Counted {
    Written,
    Folded,
    QueueFull,
    Unwritten,
}

impl Audit {
    /// Starts the thread; `None` where nothing is written down.
    pub(super) fn start(
        config: &Arc<Config>,
        shared: &Arc<Shared>,
        told: Arc<Told>,
    ) -> io::Result<Option<Self>> {
        let Some(settings) = config.audit.clone() else {
            return Ok(None);
        };
        let queue = Arc::clone(shared.node().audit());
        queue.is_on.store(true, Ordering::Relaxed);
        let mut writer = Writer {
            settings,
            names: Names::of(config),
            queue,
            folds: Folds::default(),
            state: State::Begun,
            told,
            clock: shared.node().clock(),
            lost: Lost::default(),
        };
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&stopped))?;
        Ok(Some(Self { stop, thread }))
    }

    /// Writes what is there, closes the log, and waits for the end.
    pub(super) fn finish(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the audit thread has panicked");
        }
    }
}

/// What could not be written, for the next line that can.
#[derive(Debug, Default)]
struct Lost {
    queue_full: u64,
    unwritten: u64,
}

/// Whether there is a file.
///
/// ```text
/// Begun ─┬─► Open ◄─┐ each second
///        └─► Failing┘
/// ```
#[derive(Debug)]
enum State {
    Begun,
    Open(Written, Position),
    /// Since when, and where the chain stood, if that was known.
    Failing(Instant, Option<Position>),
}

#[derive(Debug)]
struct Writer {
    settings: Arc<Settings>,
    names: Names,
    queue: Arc<AuditQueue>,
    folds: Folds,
    state: State,
    told: Arc<Told>,
    clock: Clock,
    lost: Lost,
}

impl Writer {
    fn run(&mut self, stop: &Receiver<()>) {
        self.open_if_due();
        loop {
            let is_end = stop.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout);
            self.turn(is_end);
            if is_end {
                break;
            }
        }
        self.write(Act::of_switch(What::LogClosed, Fate::Done, Why::None));
        self.sync();
        if let State::Open(_, at) = &self.state {
            tracing::info!(seq = at.seq, mac = %at.tag.hex(), "audit log closed");
        }
    }

    /// Everything that waits; at the end what is counted too.
    fn turn(&mut self, is_end: bool) {
        self.open_if_due();
        self.check_path();
        let before = self.told.last.load(Ordering::Relaxed);
        // What comes meanwhile is for the next turn.
        for _ in 0..ACTS_MAX {
            let Some(act) = self.queue.acts.pop() else {
                break;
            };
            self.write(act);
        }
        for _ in 0..INCIDENTS_MAX {
            let Some(incident) = self.queue.incidents.pop() else {
                break;
            };
            match self.folds.take(incident, self.clock.now()) {
                Folded::Line => self.write(self.line_of(incident, 1)),
                Folded::Counted => self.told.count(Counted::Folded, 1),
            }
        }
        for (incident, count) in self.folds.due(self.clock.now(), is_end) {
            self.write(self.line_of(incident, count));
        }
        let full = self.queue.full.swap(0, Ordering::Relaxed);
        self.told.count(Counted::QueueFull, full);
        self.lost.queue_full = self.lost.queue_full.saturating_add(full);
        if self.lost.queue_full > 0 {
            self.tell_lost();
        }
        if self.told.last.load(Ordering::Relaxed) != before {
            self.sync();
        }
    }

    fn line_of(&self, incident: Incident, count: u64) -> Act {
        let from = incident
            .from
            .map(|address| address.to_canonical().to_string());
        let unknown = if incident.who == Who::Various {
            "various"
        } else {
            "unknown"
        };
        Act {
            what: incident.what,
            who: self.names.who(incident.who),
            from: from.unwrap_or_else(|| unknown.to_owned()),
            object: self.names.object(incident.object),
            fate: incident.fate,
            why: incident.why,
            count,
        }
    }

    /// Tries to open the file, at first and then once a second.
    fn open_if_due(&mut self) {
        let now = self.clock.now();
        let known = match &self.state {
            State::Open(..) => return,
            State::Failing(since, _) if now.since(*since) < RETRY => return,
            State::Failing(_, known) => *known,
            State::Begun => None,
        };
        let is_first = matches!(self.state, State::Begun);
        match Written::open(&self.settings.file, &self.settings.key) {
            Ok((written, found)) => self.opened(written, found, known),
            Err(error) => {
                if is_first {
                    self.tell_failure(&error);
                }
                self.told.is_failing.store(true, Ordering::Relaxed);
                self.state = State::Failing(now, known);
            }
        }
    }

    /// Goes on behind what was found, or behind what this process has written last where that is
    /// gone: then the gap shows.
    fn opened(&mut self, written: Written, found: Found, known: Option<Position>) {
        self.told.is_failing.store(false, Ordering::Relaxed);
        let (at, why, torn) = match found {
            Found::Chain { last, at, torn } => {
                let is_closed = last.event == What::LogClosed.word();
                let why = if is_closed {
                    Why::AfterClose
                } else {
                    Why::AfterCrash
                };
                (at, why, torn)
            }
            Found::Nothing => (Position::NONE, Why::First, 0),
            Found::Strange => {
                tracing::error!(
                    file = %self.settings.file.display(),
                    "the last line of the audit log was not made with this key: what was there is \
                     kept beside it, and a chain begins anew"
                );
                (Position::NONE, Why::UnknownTail, 0)
            }
        };
        let at = known.filter(|known| known.seq > at.seq).unwrap_or(at);
        let why = known.map_or(why, |_| Why::AfterFailure);
        self.state = State::Open(written, at);
        if torn > 0 {
            let repaired = Act::of_switch(What::LogRepaired, Fate::Done, Why::TornTail);
            self.write(Act {
                object: format!("log, {torn} bytes"),
                ..repaired
            });
        }
        self.write(Act::of_switch(What::LogOpened, Fate::Done, why));
        self.sync();
        if let State::Open(_, at) = &self.state {
            let file = self.settings.file.display();
            tracing::info!(%file, seq = at.seq, mac = %at.tag.hex(), "audit log opened");
        }
    }

    /// Whoever takes the file away does not end the log: another one begins, and says so.
    fn check_path(&mut self) {
        let State::Open(written, at) = &self.state else {
            return;
        };
        if written.is_there() {
            return;
        }
        let at = *at;
        tracing::error!(file = %self.settings.file.display(), "the audit log's file is gone");
        match Written::open(&self.settings.file, &self.settings.key) {
            Ok((written, _)) => {
                self.state = State::Open(written, at);
                self.write(Act::of_switch(What::LogReplaced, Fate::Done, Why::FileGone));
            }
            Err(error) => self.fail(Some(at), &error),
        }
    }

    /// Writes a line, behind one that tells of those that could not be written.
    fn write(&mut self, act: Act) {
        if self.lost.unwritten > 0 && matches!(self.state, State::Open(..)) {
            self.tell_lost();
        }
        self.append(&act);
    }

    fn tell_lost(&mut self) {
        let lost = |why, count| Act {
            count,
            ..Act::of_switch(What::EventsLost, Fate::Failed, why)
        };
        let unwritten = self.lost.unwritten;
        if unwritten > 0 && self.append(&lost(Why::Unwritten, unwritten)) {
            self.lost.unwritten = self.lost.unwritten.saturating_sub(unwritten);
        }
        let full = self.lost.queue_full;
        if full > 0 && self.append(&lost(Why::QueueFull, full)) {
            self.lost.queue_full = 0;
        }
    }

    /// Whether it was written.
    fn append(&mut self, act: &Act) -> bool {
        let State::Open(written, at) = &mut self.state else {
            self.miss(act);
            return false;
        };
        let line = Line {
            seq: at.seq.saturating_add(1),
            time: self.clock.wall().to_string(),
            event: act.what.word().to_owned(),
            who: act.who.clone(),
            from: act.from.clone(),
            object: act.object.clone(),
            result: act.fate.word().to_owned(),
            reason: act.why.word().to_owned(),
            count: act.count,
            prev: at.tag.hex(),
        };
        let appended = append(written, &line, *at, &self.settings);
        match appended {
            Ok(next) => {
                *at = next;
                self.told.last.store(next.seq, Ordering::Relaxed);
                self.told.count(Counted::Written, 1);
                true
            }
            Err(error) => {
                let at = *at;
                self.fail(Some(at), &error);
                self.miss(act);
                false
            }
        }
    }

    /// A line that tells of lost ones is not lost itself: what it counts stays counted.
    fn miss(&mut self, act: &Act) {
        if act.what != What::EventsLost {
            self.lost.unwritten = self.lost.unwritten.saturating_add(act.count);
            self.told.count(Counted::Unwritten, act.count);
        }
    }

    fn sync(&mut self) {
        if let State::Open(written, at) = &self.state
            && let Err(error) = written.sync()
        {
            let at = *at;
            self.fail(Some(at), &error);
        }
    }

    fn fail(&mut self, at: Option<Position>, error: &io::Error) {
        self.tell_failure(error);
        self.told.is_failing.store(true, Ordering::Relaxed);
        self.state = State::Failing(self.clock.now(), at);
    }

    fn tell_failure(&self, error: &io::Error) {
        tracing::error!(
            file = %self.settings.file.display(),
            %error,
            "the audit log cannot be written: traffic goes on, what happens is counted and not \
             kept until it can"
        );
    }
}

/// Where the chain stands behind the line.
fn append(
    written: &mut Written,
    line: &Line,
    before: Position,
    settings: &Settings,
) -> io::Result<Position> {
    let sealed = line.sealed(&settings.key);
    let (bytes, tag) = sealed.ok_or_else(|| io::Error::other("the line cannot be made"))?;
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let is_full = written.len().saturating_add(len) > settings.file_bytes_max;
    if is_full && written.len() > 0 {
        written.rotate(before.seq)?;
    }
    written.append(&bytes)?;
    Ok(Position { seq: line.seq, tag })
}

impl Told {
    fn count(&self, result: Counted, by: u64) {
        if let Some(counter) = self.results.get(result as usize) {
            counter.fetch_add(by, Ordering::Relaxed);
        }
    }
}

/// For scrapes.
#[derive(Debug)]
pub(super) struct AuditSource(pub(super) Arc<Told>);

impl Source for AuditSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        Some(match family {
            FamilyId::AuditEvents => {
                let all = AUDIT_RESULTS.iter().zip(&self.0.results);
                let sample = |(result, counter): (&&str, &AtomicU64)| {
                    let label = vec![("result", (*result).to_owned())];
                    Sample::labelled(label, counter.load(Ordering::Relaxed))
                };
                all.map(sample).collect()
            }
            FamilyId::AuditFailing => {
                let is_failing = self.0.is_failing.load(Ordering::Relaxed);
                vec![Sample::number(u64::from(is_failing))]
            }
            FamilyId::AuditLast => vec![Sample::number(self.0.last.load(Ordering::Relaxed))],
            _ => return None,
        })
    }
}

/// What peers did, until the thread looks.
const INCIDENTS_MAX: usize = 1_024;
/// What operators did.
const ACTS_MAX: usize = 256;
/// How often the thread looks.
const POLL: Duration = Duration::from_millis(20);
/// How often a file that cannot be written is tried.
const RETRY: Duration = Duration::from_secs(1);
