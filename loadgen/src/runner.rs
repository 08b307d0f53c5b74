//! One load run from begin to end: threads, a common start, and a report.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use domain::time::{Instant, WallTime};
use tokio::sync::watch;

use crate::acks::AckLog;
use crate::clock::Clock;
use crate::driver::{self, Driven, DriverConfig, Progress};
use crate::generator::{Generator, Parts};
use crate::profile::Profile;
use crate::recorder::{Totals, Window};
use crate::scenario::Scenario;
use crate::schedule::{Arrival, Schedule, Share};
use crate::stop::Stop;
use crate::target::Target;
use crate::threshold::Threshold;
use crate::traffic::Traffic;
use crate::verdict::{Conduct, Judgement};

/// What is offered to whom, and what must hold.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The listener.
    pub target: Target,
    /// The messages.
    pub scenario: Arc<Scenario>,
    /// The rate over time, without the warm-up.
    pub profile: Profile,
    /// How arrivals are spaced.
    pub arrival: Arrival,
    /// Offered before at the profile's first rate; in no verdict.
    pub warmup: Duration,
    /// How long answers are waited for after the last message.
    pub grace: Duration,
    /// When an answer is given up.
    pub timeout: Duration,
    /// An answer within this time is good.
    pub promise: Duration,
    /// Over all threads.
    pub connections: usize,
    /// Generator threads.
    pub threads: u32,
    /// Messages in flight over all threads that end the run.
    pub inflight_max: usize,
    /// Of times, messages and amounts.
    pub seed: u64,
    /// What must hold, beside what the scenario expects.
    pub thresholds: Vec<Threshold>,
    /// Where `acks.log` goes.
    pub acks: Option<PathBuf>,
    /// Repeats what was not answered until it is.
    pub insists: bool,
}

impl RunConfig {
    /// The built-in scenario at a rate against a listener, with the defaults of the command line.
    ///
    /// # Errors
    /// None: the built-in scenario is read by a test.
    pub fn new(target: Target, rate: f64, duration: Duration) -> Result<Self> {
        Ok(Self {
            target,
            scenario: Arc::new(Scenario::built_in()?),
            profile: Profile::hold(rate, duration),
            arrival: Arrival::Poisson,
            warmup: Duration::ZERO,
            grace: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            promise: Duration::from_millis(400),
            connections: 64,
            threads: 1,
            inflight_max: 200_000,
            seed: 42,
            thresholds: Threshold::defaults(),
            acks: None,
            insists: false,
        })
    }
}

/// What a run saw and how it is judged.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The verdict.
    pub judgement: Judgement,
    /// What was seen.
    pub totals: Totals,
    /// How the generator fared.
    pub conduct: Conduct,
    /// When it began.
    pub started: WallTime,
    /// From the first message due to the end of the last.
    pub elapsed: Duration,
}

/// How far a run is: sums over all threads, warm-up included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Since the first message was due.
    pub elapsed: Duration,
    /// Writes attempted.
    pub sent: u64,
    /// Answers read.
    pub answered: u64,
    /// Of them refused (96).
    pub refused: u64,
    /// Unanswered, disconnected or unreadable.
    pub failed: u64,
    /// Waiting at present.
    pub inflight: u64,
    /// Half of the answers of the last full second came within it.
    pub p50: Duration,
    /// All but one in a hundred came within it.
    pub p99: Duration,
}

/// Offers the load. `watch` is called about once a second.
///
/// # Errors
/// The target cannot be reached, a thread failed, or a file cannot be written.
pub fn run(
    config: &RunConfig,
    clock: Clock,
    stop: &Stop,
    watch: &mut dyn FnMut(&Snapshot),
) -> Result<RunReport> {
    let crew = Crew::muster(config, clock, stop)?;
    crew.wait_until_ready()?;
    let start = clock.now().after(HEAD_START);
    crew.start
        .send(Some(start))
        .map_err(|_| anyhow!("the generator threads ended early"))?;
    let mut driven = Vec::new();
    while driven.len() < crew.progress.len() {
        match crew.events.recv_timeout(Duration::from_secs(1)) {
            Ok(Event::Ended(result)) => driven.push(result?),
            Ok(Event::Ready(_)) => {}
            Err(RecvTimeoutError::Timeout) => watch(&crew.snapshot(clock.now().since(start))),
            Err(RecvTimeoutError::Disconnected) => bail!("a generator thread failed"),
        }
    }
    report(config, &driven, stop, clock, start)
}

fn report(
    config: &RunConfig,
    driven: &[Box<Driven>],
    stop: &Stop,
    clock: Clock,
    start: Instant,
) -> Result<RunReport> {
    let mut totals = Totals::new(&config.scenario.report_names());
    for one in driven {
        totals.add(&one.recorder);
    }
    let conduct = Conduct {
        busy: driven.iter().map(|one| one.busy).collect(),
        inflight_exhausted: driven.iter().any(|one| one.inflight_exhausted),
        interrupted: stop.is_asked(),
    };
    let mut thresholds = config.thresholds.clone();
    thresholds.extend_from_slice(&config.scenario.expectations);
    Ok(RunReport {
        judgement: Judgement::of(&totals, &conduct, &thresholds)?,
        totals,
        conduct,
        started: clock.wall(start),
        elapsed: clock.now().since(start),
    })
}

/// The generator threads of a run.
struct Crew {
    start: watch::Sender<Option<Instant>>,
    events: Receiver<Event>,
    progress: Vec<Arc<Progress>>,
}

enum Event {
    Ready(Result<()>),
    Ended(Result<Box<Driven>>),
}

impl Crew {
    fn muster(config: &RunConfig, clock: Clock, stop: &Stop) -> Result<Self> {
        if config.threads == 0 || config.connections < crate::numeric::index(config.threads.into())
        {
            bail!("every generator thread needs at least one connection");
        }
        let acks = match &config.acks {
            Some(path) => Some(AckLog::create(path)?),
            None => None,
        };
        let (start, started) = watch::channel(None);
        let (sender, events) = channel();
        let mut progress = Vec::new();
        for thread in 0..config.threads {
            let shown = Arc::new(Progress::default());
            progress.push(Arc::clone(&shown));
            let post = Post {
                config: config.clone(),
                share: Share {
                    thread,
                    threads: config.threads,
                },
                clock,
                stop: stop.clone(),
                acks: AckLog::new(acks.clone()),
                progress: shown,
                started: started.clone(),
                events: sender.clone(),
            };
            std::thread::Builder::new()
                .name(format!("generator-{thread}"))
                .spawn(move || post.serve())?;
        }
        Ok(Self {
            start,
            events,
            progress,
        })
    }

    fn wait_until_ready(&self) -> Result<()> {
        for _ in 0..self.progress.len() {
            match self.events.recv().context("a generator thread failed")? {
                Event::Ready(result) => result?,
                Event::Ended(result) => {
                    result?;
                }
            }
        }
        Ok(())
    }

    fn snapshot(&self, elapsed: Duration) -> Snapshot {
        let sum = |counter: fn(&Progress) -> &AtomicU64| -> u64 {
            let values = self.progress.iter();
            values.map(|one| counter(one).load(Ordering::Relaxed)).sum()
        };
        let slowest = |counter: fn(&Progress) -> &AtomicU64| {
            let values = self.progress.iter();
            let micros = values.map(|one| counter(one).load(Ordering::Relaxed)).max();
            Duration::from_micros(micros.unwrap_or(0))
        };
        Snapshot {
            elapsed,
            sent: sum(|one| &one.sent),
            answered: sum(|one| &one.answered),
            refused: sum(|one| &one.refused),
            failed: sum(|one| &one.failed),
            inflight: sum(|one| &one.inflight),
            p50: slowest(|one| &one.p50_us),
            p99: slowest(|one| &one.p99_us),
        }
    }
}

/// One generator thread.
struct Post {
    config: RunConfig,
    share: Share,
    clock: Clock,
    stop: Stop,
    acks: AckLog,
    progress: Arc<Progress>,
    started: watch::Receiver<Option<Instant>>,
    events: Sender<Event>,
}

impl Post {
    fn serve(self) {
        let events = self.events.clone();
        let result = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for a generator thread")
            .and_then(|runtime| runtime.block_on(self.work()));
        // Nobody listens any more when the run has failed elsewhere.
        drop(events.send(Event::Ended(result.map(Box::new))));
    }

    async fn work(mut self) -> Result<Driven> {
        let schedule = self.schedule();
        let threads = crate::numeric::index(u64::from(self.share.threads));
        let connections = self.config.connections.div_ceil(threads);
        let sockets = match driver::connect(&self.config.target, connections).await {
            Ok(sockets) => sockets,
            Err(error) => {
                self.tell_ready(Err(error))?;
                bail!("the target could not be reached");
            }
        };
        self.tell_ready(Ok(()))?;
        let start = {
            let started = self.started.wait_for(Option::is_some).await;
            let start = *started.context("the run ended before its start")?;
            start.context("the run ended before its start")?
        };
        let driver = DriverConfig {
            target: self.config.target.clone(),
            clock: self.clock,
            stop: self.stop.clone(),
            progress: Arc::clone(&self.progress),
            inflight_max: self.config.inflight_max / threads,
            offered_until: start
                .after(self.config.warmup)
                .after(self.config.profile.duration()),
            grace: self.config.grace,
        };
        driver::drive(self.generator(schedule, start), sockets, driver).await
    }

    fn tell_ready(&self, ready: Result<()>) -> Result<()> {
        let told = self.events.send(Event::Ready(ready));
        told.map_err(|_| anyhow!("the run ended before its start"))
    }

    fn schedule(&self) -> Schedule {
        let config = &self.config;
        let profile = if config.warmup.is_zero() {
            config.profile.clone()
        } else {
            config.profile.after_warmup(config.warmup)
        };
        Schedule::build(&profile, config.arrival, self.share, config.seed)
    }

    fn generator(&mut self, schedule: Schedule, start: Instant) -> Generator {
        let config = &self.config;
        let Share { thread, threads } = self.share;
        let scenario = Arc::clone(&config.scenario);
        let parts = Parts {
            wire: config.target.wire,
            clock: self.clock,
            start,
            traffic: Traffic::new(scenario, thread, threads, config.seed),
            schedule,
            window: Window {
                begin: start.after(config.warmup).as_nanos(),
                timeout: config.timeout,
                promise: config.promise,
            },
            acks: std::mem::replace(&mut self.acks, AckLog::new(None)),
            insists: config.insists,
        };
        Generator::new(parts, &config.scenario)
    }
}

/// Between the last connection and the first message.
const HEAD_START: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
