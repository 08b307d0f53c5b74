//! One load run from begin to end: threads, a common start, and a report.

use std::path::{Path, PathBuf};
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
use crate::gateway::{self, GatewayConfig};
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
    /// The listener; `None` where all is offered to a gateway.
    pub target: Option<Target>,
    /// Takes its share of the rate as JSON.
    pub gateway: Option<GatewayConfig>,
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
    /// Where `acks.log` goes; `gateway-acks.log` stands beside it.
    pub acks: Option<PathBuf>,
    /// Repeats what was not answered until it is.
    pub insists: bool,
}

impl RunConfig {
    /// The built-in scenario at a rate against a listener, with the defaults of the command line.
    ///
    /// # Errors
    /// None: the built-in scenario is read by a test.
    pub fn new(target: impl Into<Option<Target>>, rate: f64, duration: Duration) -> Result<Self> {
        Ok(Self {
            target: target.into(),
            gateway: None,
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

    /// Names of all items, those of the scenario first.
    #[must_use]
    pub fn report_names(&self) -> Vec<String> {
        let mut names = self.scenario.report_names();
        if self.gateway.is_some() {
            names.extend(gateway::ITEMS.map(str::to_owned));
        }
        names
    }

    /// What is offered by ISO 8583 of each transaction.
    fn iso_share(&self) -> f64 {
        self.gateway
            .as_ref()
            .map_or(1.0, |gateway| 1.0 - gateway.share)
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
    let mut totals = Totals::new(&config.report_names());
    for one in driven {
        totals.add(&one.recorder);
    }
    let conduct = Conduct {
        busy: driven.iter().map(|one| one.busy).collect(),
        inflight_exhausted: driven.iter().any(|one| one.inflight_exhausted),
        interrupted: stop.is_asked(),
    };
    let mut thresholds = config.thresholds.clone();
    if config.target.is_some() {
        thresholds.extend_from_slice(&config.scenario.expectations);
    }
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
        let acks = config.acks.as_deref().map(AckLog::create).transpose()?;
        let gateway_acks = match (&config.acks, &config.gateway) {
            (Some(path), Some(_)) => Some(gateway::AckLog::create(&gateway_acks(path))?),
            _ => None,
        };
        let (start, started) = watch::channel(None);
        let (sender, events) = channel();
        let mut progress = Vec::new();
        for (side, share) in sides(config)? {
            let shown = Arc::new(Progress::default());
            progress.push(Arc::clone(&shown));
            let side = match side {
                Side::Iso(target, _) => Side::Iso(target, AckLog::new(acks.clone())),
                Side::Gateway(gateway, _) => {
                    Side::Gateway(gateway, gateway::AckLog::new(gateway_acks.clone()))
                }
            };
            let thread = share.thread;
            let post = Post {
                config: config.clone(),
                side,
                share,
                clock,
                stop: stop.clone(),
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

/// Where what gateways were told stands beside `acks.log`.
#[must_use]
pub fn gateway_acks(acks: &Path) -> PathBuf {
    acks.with_file_name("gateway-acks.log")
}

/// What one thread offers to whom, and where it writes down what it was told.
enum Side {
    Iso(Target, AckLog),
    Gateway(GatewayConfig, gateway::AckLog),
}

/// One for each thread, with its part of its side.
fn sides(config: &RunConfig) -> Result<Vec<(Side, Share)>> {
    let mut sides = Vec::new();
    let shares = |threads: u32, connections: usize| {
        if threads == 0 || connections < crate::numeric::index(threads.into()) {
            bail!("every generator thread needs at least one connection");
        }
        Ok((0..threads).map(move |thread| Share { thread, threads }))
    };
    if config.iso_share() > 0.0 {
        let target = config.target.as_ref().context("the target is missing")?;
        for share in shares(config.threads, config.connections)? {
            sides.push((Side::Iso(target.clone(), AckLog::new(None)), share));
        }
    }
    if let Some(gateway) = &config.gateway {
        for share in shares(gateway.threads, gateway.connections)? {
            let acks = gateway::AckLog::new(None);
            sides.push((Side::Gateway(gateway.clone(), acks), share));
        }
    }
    Ok(sides)
}

/// One generator thread.
struct Post {
    config: RunConfig,
    side: Side,
    share: Share,
    clock: Clock,
    stop: Stop,
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
        let connected = match &self.side {
            Side::Iso(target, _) => {
                driver::connect(target, self.config.connections.div_ceil(threads)).await
            }
            Side::Gateway(gateway, _) => {
                gateway::connect(&gateway.target, gateway.connections.div_ceil(threads)).await
            }
        };
        let sockets = match connected {
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
        let threads = self.share.threads;
        let limits = DriverConfig {
            target: (),
            clock: self.clock,
            stop: self.stop.clone(),
            progress: Arc::clone(&self.progress),
            inflight_max: self.config.inflight_max / crate::numeric::index(threads.into()),
            offered_until: start
                .after(self.config.warmup)
                .after(self.config.profile.duration()),
            grace: self.config.grace,
        };
        self.drive((schedule, start), sockets, limits).await
    }

    async fn drive(
        self,
        (schedule, start): (Schedule, Instant),
        sockets: Vec<driver::Ends>,
        limits: DriverConfig<()>,
    ) -> Result<Driven> {
        let (config, clock) = (&self.config, self.clock);
        let window = Window {
            begin: start.after(config.warmup).as_nanos(),
            timeout: config.timeout,
            promise: config.promise,
        };
        let Share { thread, threads } = self.share;
        match self.side {
            Side::Iso(target, acks) => {
                let scenario = Arc::clone(&config.scenario);
                let parts = Parts {
                    wire: target.wire,
                    clock,
                    start,
                    traffic: Traffic::new(scenario, thread, threads, config.seed),
                    schedule,
                    window,
                    acks,
                    insists: config.insists,
                };
                let generator = Generator::new(parts, &config.scenario);
                driver::drive(generator, sockets, limits.of(target)).await
            }
            Side::Gateway(gateway, acks) => {
                let target = gateway.target.clone();
                let generator = gateway::Generator::new(gateway::Parts {
                    config: gateway,
                    clock,
                    start,
                    seed: (config.seed, thread),
                    schedule,
                    window,
                    acks,
                    base: config.scenario.report_names().len(),
                    connections: sockets.len(),
                });
                gateway::drive(generator, sockets, limits.of(target)).await
            }
        }
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
        let (part, seed) = match &self.side {
            Side::Iso(..) => (config.iso_share(), config.seed),
            // Other times than those of the thread beside it.
            Side::Gateway(gateway, _) => (gateway.share, config.seed ^ GATEWAY_TIMES),
        };
        Schedule::build(&profile.scaled(part), config.arrival, self.share, seed)
    }
}

const GATEWAY_TIMES: u64 = 0x6A50_4E00;
/// Between the last connection and the first message.
const HEAD_START: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
