//! Callbacks: tells gateways what has become final, at least once, out of the committed journal.
//!
//! | state | owner | bound | on failure |
//! |---|---|---|---|
//! | how far each journal was read | one per gateway and lane ([`lanes`]) | – | read again |
//! | watched transactions, messages | the gateway's [`book`] | see there | the watermark waits |
//! | what a restart needs | `callbacks.state` ([`state`]) | as the books | tried again each second |
//! | tries under way | [`post`], 8 per gateway | 10 s each | the schedule of [`crate::callback`] |
//!
//! It has a thread of its own: reading cold segments and saving block, and nobody waits for it.

mod book;
mod lanes;
mod post;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::ids::{AcquirerId, IssuerId, Lsn, ShardId};
use domain::time::{Instant, WallTime};
use parking_lot::Mutex;
use persistence::identity::JournalUuid;
use persistence::record;
use tokio::sync::mpsc;

use super::applier::{Journals, open_journals};
use super::retiring::Consumer;
use super::shared::Shared;
use super::sources::age;
use crate::clock::Clock;
use crate::config::{Callbacks as Settings, Config};
use crate::metrics::exposition::Source;
use crate::metrics::fold::Sample;
use crate::metrics::names::{CALLBACK_RESULTS, FamilyId};
use book::{Book, Ended, Fate};
use lanes::{Lanes, READ_MAX};
use post::Trust;
use state::Line;

/// The running thread.
#[derive(Debug)]
pub(super) struct Callbacks {
    /// Its end is the signal to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What the thread tells: for scrapes, for people, and for who removes segments.
#[derive(Debug, Default)]
pub(super) struct Told {
    backlog: AtomicU64,
    /// Unix milliseconds; 0 for none.
    oldest: AtomicU64,
    results: [AtomicU64; CALLBACK_RESULTS.len()],
    /// What every gateway is known to have had.
    saved: Mutex<BTreeMap<(JournalUuid, ShardId), Lsn>>,
}

impl Callbacks {
    /// Starts the thread; `None` where nobody is told.
    pub(super) fn start(
        config: &Arc<Config>,
        shared: &Arc<Shared>,
        journals: Journals,
        told: Arc<Told>,
    ) -> std::io::Result<Option<Self>> {
        if !is_configured(config) {
            return Ok(None);
        }
        let (config, shared) = (Arc::clone(config), Arc::clone(shared));
        let (stop, stopped) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("callbacks".to_owned())
            .spawn(move || {
                while shared.positions().is_none() {
                    if stopped.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
                match Teller::new(&config, &shared, &journals, told) {
                    Ok(teller) => runtime.block_on(teller.run(&stopped)),
                    Err(error) => tracing::error!(%error, "callbacks: nobody is told"),
                }
            })?;
        Ok(Some(Self { stop, thread }))
    }

    /// Lets it note what was decided last, and waits for its end.
    pub(super) fn finish(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the callbacks thread has panicked");
        }
    }
}

/// Whether any gateway is told.
pub(super) fn is_configured(config: &Config) -> bool {
    config.gateways.iter().any(|one| one.callbacks.is_some())
}

/// One gateway.
#[derive(Debug)]
struct Receiving {
    name: String,
    acquirer: AcquirerId,
    settings: Settings,
    trust: Trust,
    book: Book,
}

#[derive(Debug)]
struct Teller {
    gateways: Vec<Receiving>,
    lanes: Lanes,
    /// Names by id.
    issuers: Vec<String>,
    /// What was saved of gateways that are not called back any more.
    others: Vec<Line>,
    root: PathBuf,
    told: Arc<Told>,
    clock: Clock,
    saved_at: Instant,
    /// How long the last save took.
    save_took: Duration,
    is_unsaved: bool,
    ended: mpsc::Receiver<Tried>,
    ending: mpsc::Sender<Tried>,
}

/// A try that has ended.
#[derive(Debug)]
struct Tried {
    gateway: usize,
    message: String,
    ended: Ended,
    fault: String,
}

impl Teller {
    fn new(
        config: &Config,
        shared: &Shared,
        journals: &Journals,
        told: Arc<Told>,
    ) -> Result<Self, String> {
        let mut gateways: Vec<Receiving> = config.gateways.iter().filter_map(receiving).collect();
        let root = journals.root.clone();
        let mut marks = BTreeMap::new();
        let mut others = Vec::new();
        for line in state::read(&root)? {
            restore(&mut gateways, &mut marks, &mut others, line);
        }
        let known = |journal: JournalUuid, shard: ShardId, gateway: usize| {
            marks.get(&(gateway, journal.to_string(), shard.0)).copied()
        };
        let lanes = Lanes::new(open_journals(shared, journals), gateways.len(), known)?;
        let (ending, ended) = mpsc::channel(gateways.len().saturating_mul(INFLIGHT_MAX).max(1));
        let clock = shared.node().clock();
        Ok(Self {
            gateways,
            lanes,
            issuers: config.issuers.iter().map(|one| one.name.clone()).collect(),
            others,
            root,
            told,
            clock,
            saved_at: clock.now(),
            save_took: Duration::ZERO,
            is_unsaved: true,
            ended,
            ending,
        })
    }

    async fn run(mut self, stop: &Receiver<()>) {
        let mut ends_at = None;
        loop {
            let now = self.clock.now();
            if ends_at.is_none() && stop.try_recv() != Err(TryRecvError::Empty) {
                ends_at = Some(now.after(DRAIN));
            }
            let has_read = self.read();
            self.send();
            self.save_if_due();
            self.tell();
            // What is under way is tried again by the next start.
            if ends_at.is_some_and(|end| now >= end || !has_read) {
                break;
            }
            let wait = if has_read { Duration::ZERO } else { POLL };
            tokio::select! {
                tried = self.ended.recv() => {
                    if let Some(tried) = tried {
                        self.note(&tried);
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.save();
    }

    /// Whether there was something to read.
    fn read(&mut self) -> bool {
        let Self {
            gateways,
            lanes,
            issuers,
            ..
        } = self;
        let room: Vec<bool> = gateways
            .iter()
            .map(|gateway| gateway.book.has_room(READ_MAX))
            .collect();
        let mut forgotten = 0;
        let issuer = |id: IssuerId| {
            let name = issuers.get(usize::from(id.0));
            name.cloned().unwrap_or_else(|| "?".to_owned())
        };
        let read = lanes.read(
            |gateway| room.get(gateway).copied().unwrap_or(false),
            |gateway, entry| {
                // What was carried over has happened in an older journal, which was read.
                if entry.carriage.is_carried() {
                    return;
                }
                if let Some(gateway) = gateways.get_mut(gateway) {
                    let said = (&entry.record, record::callback(entry.bytes));
                    forgotten += gateway.book.take(gateway.acquirer, said, issuer);
                }
            },
        );
        self.told.count(Counted::Forgotten, forgotten);
        match read {
            Ok(has_read) => {
                self.is_unsaved |= has_read;
                has_read
            }
            Err(error) => {
                tracing::error!(%error, "callbacks: the journal cannot be read");
                false
            }
        }
    }

    fn send(&mut self) {
        let now = self.clock.wall();
        for (index, gateway) in self.gateways.iter_mut().enumerate() {
            let due = gateway.book.due(now.unix_millis(), INFLIGHT_MAX);
            if due.is_empty() {
                continue;
            }
            let tls = gateway.trust.config();
            for message in due {
                let (tls, ending) = (tls.clone(), self.ending.clone());
                let settings = gateway.settings.clone();
                tokio::spawn(async move {
                    let (ended, fault) = post::post(&message, &settings, tls, now).await;
                    let tried = Tried {
                        gateway: index,
                        message: message.id,
                        ended,
                        fault,
                    };
                    // Nobody hears it at the end of the process: then it is tried again.
                    drop(ending.send(tried).await);
                });
            }
        }
    }

    fn note(&mut self, tried: &Tried) {
        let now = self.clock.wall().unix_millis();
        let (draw, _) = uuid::Uuid::new_v4().as_u64_pair();
        let Some(gateway) = self.gateways.get_mut(tried.gateway) else {
            return;
        };
        let fate = gateway.book.ended(&tried.message, tried.ended, now, draw);
        self.is_unsaved = true;
        let (name, fault) = (&gateway.name, &tried.fault);
        let result = match fate {
            Fate::Delivered => Counted::Delivered,
            Fate::Retried => {
                tracing::debug!(gateway = name, %fault, "callback failed, it is tried again");
                Counted::Retried
            }
            Fate::Gone => {
                tracing::info!(gateway = name, message = %tried.message, "callback: 410, gone");
                Counted::Gone
            }
            Fate::GivenUp => {
                let message = &tried.message;
                tracing::warn!(gateway = name, %message, %fault, "callback is given up");
                Counted::GivenUp
            }
        };
        self.told.count(result, 1);
    }

    fn save_if_due(&mut self) {
        let pause = SAVE_EVERY.max(self.save_took.saturating_mul(20));
        if self.is_unsaved && self.clock.now().since(self.saved_at) >= pause {
            self.save();
        }
    }

    fn save(&mut self) {
        let begun = self.clock.now();
        let saved = state::save(&self.root, &self.lines());
        self.saved_at = self.clock.now();
        self.save_took = self.saved_at.since(begun);
        match saved {
            Ok(()) => {
                self.is_unsaved = false;
                self.tell_saved();
            }
            Err(error) => tracing::error!(%error, "callbacks: callbacks.state is not saved"),
        }
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = self.others.clone();
        for (index, gateway) in self.gateways.iter().enumerate() {
            let name = || gateway.name.clone();
            lines.extend(self.lanes.iter().map(|lane| Line::Read {
                gateway: name(),
                journal: lane.journal.to_string(),
                shard: lane.shard.0,
                lsn: lane.read(index).0,
            }));
            let (watched, messages) = gateway.book.parts();
            lines.extend(watched.cloned().map(|of| Line::Watched {
                gateway: name(),
                of,
            }));
            lines.extend(messages.cloned().map(|of| Line::Message {
                gateway: name(),
                of,
            }));
        }
        lines
    }

    fn tell_saved(&self) {
        let mut saved = self.told.saved.lock();
        for lane in self.lanes.iter() {
            let all = (0..self.gateways.len()).map(|gateway| lane.read(gateway));
            if let Some(least) = all.min() {
                saved.insert((lane.journal, lane.shard), least);
            }
        }
    }

    fn tell(&self) {
        let books = || self.gateways.iter().map(|gateway| &gateway.book);
        let backlog: usize = books().map(Book::backlog).sum();
        let backlog = u64::try_from(backlog).unwrap_or(u64::MAX);
        self.told.backlog.store(backlog, Ordering::Relaxed);
        let oldest = books().filter_map(Book::oldest).min();
        let oldest = oldest.unwrap_or(0);
        self.told.oldest.store(oldest, Ordering::Relaxed);
    }
}

/// Where a journal was read up to, by the position of its gateway, its name and shard.
type Marks = BTreeMap<(usize, String, u16), Lsn>;

/// Puts a line where it belongs. What is of a gateway that is not called back any more is kept.
fn restore(gateways: &mut [Receiving], marks: &mut Marks, others: &mut Vec<Line>, line: Line) {
    let (Line::Read { gateway, .. }
    | Line::Watched { gateway, .. }
    | Line::Message { gateway, .. }) = &line;
    let mut all = gateways.iter_mut().enumerate();
    let Some((index, known)) = all.find(|(_, known)| known.name == *gateway) else {
        return others.push(line);
    };
    match line {
        Line::Read {
            journal,
            shard,
            lsn,
            ..
        } => {
            marks.insert((index, journal, shard), Lsn(lsn));
        }
        Line::Watched { of, .. } => {
            if !known.book.restore_watched(of) {
                tracing::error!("callbacks: a watched transaction has no id");
            }
        }
        Line::Message { of, .. } => known.book.restore_message(of),
    }
}

fn receiving(gateway: &crate::config::Gateway) -> Option<Receiving> {
    let settings = gateway.callbacks.clone()?;
    Some(Receiving {
        name: gateway.name.clone(),
        acquirer: gateway.acquirer,
        trust: Trust::new(settings.trust.clone()),
        settings,
        book: Book::default(),
    })
}

/// The position of a result among [`CALLBACK_RESULTS`].
#[derive(Clone, Copy, Debug)]
enum Counted {
    Delivered,
    Retried,
    Gone,
    GivenUp,
    Forgotten,
}

impl Told {
    fn count(&self, result: Counted, by: u64) {
        if let Some(counter) = self.results.get(result as usize) {
            counter.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Messages that no receiver has taken.
    pub(super) fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Relaxed)
    }

    /// How old the oldest of them is, in milliseconds.
    pub(super) fn oldest_ms(&self, now: WallTime) -> u64 {
        match self.oldest.load(Ordering::Relaxed) {
            0 => 0,
            at => now.unix_millis().saturating_sub(at),
        }
    }
}

impl Consumer for Told {
    fn watermark(&self, journal: JournalUuid, shard: ShardId) -> Option<Lsn> {
        self.saved.lock().get(&(journal, shard)).copied()
    }
}

/// For scrapes.
#[derive(Debug)]
pub(super) struct CallbacksSource {
    pub(super) told: Arc<Told>,
    pub(super) clock: Clock,
}

impl Source for CallbacksSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        Some(match family {
            FamilyId::Callbacks => {
                let all = CALLBACK_RESULTS.iter().zip(&self.told.results);
                let sample = |(result, counter): (&&str, &AtomicU64)| {
                    let label = vec![("result", (*result).to_owned())];
                    Sample::labelled(label, counter.load(Ordering::Relaxed))
                };
                all.map(sample).collect()
            }
            FamilyId::CallbackBacklog => vec![Sample::number(self.told.backlog())],
            FamilyId::CallbackOldest => {
                let oldest = self.told.oldest.load(Ordering::Relaxed);
                let oldest = WallTime::from_unix_millis(oldest);
                let age = if oldest.unix_millis() == 0 {
                    0
                } else {
                    age(self.clock.wall(), oldest)
                };
                vec![Sample::number(age)]
            }
            _ => return None,
        })
    }
}

/// Tries under way of one gateway: a slow receiver holds up itself alone.
const INFLIGHT_MAX: usize = 8;
/// How often the durable positions are read while nothing is due.
const POLL: Duration = Duration::from_millis(20);
/// How often the file is written while something changes.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How long it may go on reading after the last shard has ended.
const DRAIN: Duration = Duration::from_secs(5);
