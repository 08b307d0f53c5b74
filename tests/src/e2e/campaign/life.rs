//! One life of a campaign.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use loadgen::clock::Clock;
use loadgen::runner::{self, RunConfig, RunReport};
use loadgen::stop::Stop;
use loadgen::target::Target;
use loadgen::verify::{Inputs, audit, drop_schema};
use persistence::crash::{Step, VARIABLE};

use super::aim::armed;
use super::{Aim, Dice, Plan, Report, Way, free_port, life_folder};
use crate::e2e::mix::{self, Edition};
use crate::e2e::{Issuers, Node, OPERATORS, Process, eventually, pause};
use crate::postgres::Cluster;

/// One state with its issuers, its schema and its load.
pub(super) struct Life<'a> {
    plan: &'a Plan,
    dice: Dice,
    folder: PathBuf,
    state: PathBuf,
    issuers: Option<Issuers>,
    address: SocketAddr,
    edition: Edition,
    environment: Vec<(&'static str, String)>,
    schema: String,
    url: String,
    /// Segments are made anew when their length changes.
    is_long: bool,
    load: Option<JoinHandle<Result<RunReport>>>,
    offered_until: Instant,
}

/// How a start went on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// Its listener is open.
    Listening,
    /// It died before.
    Died,
}

impl<'a> Life<'a> {
    pub(super) fn begin(plan: &'a Plan, number: u64, cluster: &Cluster) -> Result<Self> {
        let folder = life_folder(&plan.folder, number);
        fs::create_dir_all(&folder)?;
        let mut dice = Dice::new(plan.seed ^ (number << 32));
        let port = free_port(&mut dice)?;
        let edition = Edition::alternating(number);
        let issuers = mix::issuers(&folder, ISSUER_LATENCY)?;
        let (url, schema) = (cluster.url(), format!("njia_crash_{number}"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut environment = vec![
            ("NJIA__LISTENER__POS__ADDRESS", address.to_string()),
            ("NJIA__NODE__SHARDS", "2".to_owned()),
            ("NJIA__POSTGRES__URL", url.clone()),
            ("NJIA__POSTGRES__SCHEMA", schema.clone()),
            ("NJIA__POSTGRES__MIGRATE", "true".to_owned()),
        ];
        environment.extend(mix::environment(edition));
        Ok(Self {
            plan,
            dice,
            state: folder.join("state"),
            folder,
            issuers: Some(issuers),
            address,
            edition,
            environment,
            schema,
            url,
            is_long: false,
            load: None,
            offered_until: Instant::now() + plan.life,
        })
    }

    /// Kills until the load has been offered.
    pub(super) fn kill_under_load(&mut self, report: &mut Report) -> Result<()> {
        let process = self.start(None)?;
        self.open(process, report)?;
        while Instant::now() < self.offered_until {
            let aim = report.next_aim();
            self.point(aim, report)
                .with_context(|| format!("at a point of {aim:?}"))?;
        }
        Ok(())
    }

    /// The first start: its load begins when it is open. It is killed at once.
    fn open(&mut self, mut process: Process, report: &mut Report) -> Result<()> {
        if self.await_open(&mut process, Instant::now(), report)? == Opened::Died {
            bail!("the first start died:\n{}", process.log_end());
        }
        let dialect = self.edition.dialect();
        let target = format!("iso://{}?framing=be16&dialect={dialect}", self.address);
        let target: Target = target.parse()?;
        let config = RunConfig {
            insists: true,
            scenario: mix::scenario()?,
            connections: 16,
            timeout: Duration::from_secs(4),
            grace: Duration::from_secs(60),
            seed: self.plan.seed ^ self.dice.below(u64::MAX),
            acks: Some(self.folder.join("acks.log")),
            ..RunConfig::new(target, self.plan.rate, self.plan.life)?
        };
        self.offered_until = Instant::now() + self.plan.life;
        let run = move || runner::run(&config, Clock::start(), &Stop::default(), &mut |_| ());
        self.load = Some(std::thread::spawn(run));
        self.random_pause();
        process.kill()?;
        report.kill(
            Aim {
                row: None,
                way: Way::Random,
            },
            false,
        );
        Ok(())
    }

    fn point(&mut self, aim: Aim, report: &mut Report) -> Result<()> {
        match aim.way {
            Way::Load(step, passes) => {
                let arm = armed(step, passes, &mut self.dice);
                let (mut process, opened) = self.started(Some(&arm), report)?;
                let reached = match opened {
                    Opened::Died => true,
                    Opened::Listening => self.await_death(&mut process, STEP_MAX)?,
                };
                self.conclude(process, aim, reached, report)
            }
            Way::Start(step, passes) | Way::Resized(step, passes) => {
                self.is_long ^= matches!(aim.way, Way::Resized(..));
                let arm = armed(step, passes, &mut self.dice);
                let mut process = self.start(Some(&arm))?;
                let reached = self.await_death(&mut process, STEP_MAX)?;
                self.conclude(process, aim, reached, report)
            }
            Way::Recoveries => self.recoveries(aim, report),
            Way::Drain(step, passes) => {
                let arm = armed(step, passes, &mut self.dice);
                let (mut process, _) = self.started(Some(&arm), report)?;
                self.random_pause();
                process.ask_to_end()?;
                let reached = self.await_death(&mut process, STEP_MAX)?;
                self.conclude(process, aim, reached, report)
            }
            Way::Applier(passes) => self.applier(aim, passes, report),
            Way::Random => {
                let (process, _) = self.started(None, report)?;
                self.random_pause();
                self.conclude(process, aim, false, report)
            }
        }
    }

    /// A kill under load, then three starts that do not come to their end.
    fn recoveries(&mut self, aim: Aim, report: &mut Report) -> Result<()> {
        let (process, _) = self.started(None, report)?;
        self.random_pause();
        process.kill()?;
        for step in [
            Step::RecoveryRead,
            Step::RecoveryAppended,
            Step::RecoveryDurable,
        ] {
            let arm = armed(step, 2, &mut self.dice);
            let mut process = self.start(Some(&arm))?;
            let reached = self.await_death(&mut process, STEP_MAX)?;
            self.conclude(process, aim, reached, report)?;
        }
        Ok(())
    }

    fn applier(&mut self, aim: Aim, passes: u64, report: &mut Report) -> Result<()> {
        let arm = armed(Step::ApplierStops, passes, &mut self.dice);
        let before = self.told_of_stops();
        let (mut process, _) = self.started(Some(&arm), report)?;
        let stopped = eventually(STEP_MAX, || self.told_of_stops() > before);
        self.random_pause();
        if let Some(status) = process.ended()? {
            bail!("{status} when the applier stopped:\n{}", process.log_end());
        }
        process.kill()?;
        report.kill(aim, stopped);
        Ok(())
    }

    fn told_of_stops(&self) -> usize {
        let log = fs::read_to_string(self.state.join("njia.log")).unwrap_or_default();
        log.matches("a crash point stops the applier").count()
    }

    /// Counts the kill; one that its step did not bring is done by hand, at a moment that nothing
    /// chose.
    fn conclude(
        &mut self,
        mut process: Process,
        aim: Aim,
        reached: bool,
        report: &mut Report,
    ) -> Result<()> {
        // Its step may have come behind the last look.
        let reached = reached || self.is_dead(&mut process)?;
        if !reached {
            process.kill()?;
        }
        report.kill(aim, reached);
        Ok(())
    }

    fn started(&mut self, arm: Option<&str>, report: &mut Report) -> Result<(Process, Opened)> {
        let begun = Instant::now();
        let mut process = self.start(arm)?;
        let opened = self.await_open(&mut process, begun, report)?;
        if opened == Opened::Died && arm.is_none() {
            bail!("a start died:\n{}", process.log_end());
        }
        Ok((process, opened))
    }

    fn start(&self, arm: Option<&str>) -> Result<Process> {
        let mut environment = OPERATORS.to_vec();
        for (name, value) in &self.environment {
            environment.push((name, value));
        }
        let segment = if self.is_long { LONG } else { SHORT };
        environment.push(("NJIA__JOURNAL__SEGMENT_BYTES", segment));
        if let Some(arm) = arm {
            environment.push((VARIABLE, arm));
        }
        let issuers = self.issuers.as_ref().context("the issuers have ended")?;
        Process::start(
            self.plan.build,
            &self.state,
            issuers.addresses(),
            &environment,
        )
    }

    /// Waits until the process says that its listener is open, or is dead. A connection would prove
    /// nothing: the kernel closes the rings of a killed process in its own time, and until then its
    /// listener takes connections that nobody will serve.
    fn await_open(
        &self,
        process: &mut Process,
        begun: Instant,
        report: &mut Report,
    ) -> Result<Opened> {
        while begun.elapsed() < OPEN_MAX {
            if process.is_ready() {
                report.recovered(begun.elapsed());
                return Ok(Opened::Listening);
            }
            if self.is_dead(process)? {
                return Ok(Opened::Died);
            }
            pause(Duration::from_millis(2));
        }
        bail!("no listener after {OPEN_MAX:?}:\n{}", process.log_end())
    }

    fn await_death(&self, process: &mut Process, deadline: Duration) -> Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < deadline {
            if self.is_dead(process)? {
                return Ok(true);
            }
            pause(Duration::from_millis(3));
        }
        Ok(false)
    }

    /// Whether it has killed itself. Any other end is a finding.
    fn is_dead(&self, process: &mut Process) -> Result<bool> {
        match process.ended()? {
            None => Ok(false),
            Some(status) if status.signal() == Some(SIGKILL) => Ok(true),
            Some(status) => bail!("it ended by itself: {status}\n{}", process.log_end()),
        }
    }

    fn random_pause(&mut self) {
        pause(Duration::from_millis(150 + self.dice.below(400)));
    }

    /// Heals, settles, drains, and compares.
    pub(super) fn end(mut self, report: &mut Report) -> Result<()> {
        let node = self.start(None)?.ready()?;
        if let Some(load) = self.load.take() {
            match load.join() {
                Ok(run) => report.offered(&run?),
                Err(_) => bail!("the load failed"),
            }
        }
        node.settle(Duration::from_secs(120))?;
        self.await_applied(&node)?;
        let journal = node.journal().to_owned();
        let status = node.terminate()?;
        if !status.success() {
            bail!("the drain ends with {status}");
        }
        let issuers = self.issuers.take().context("the issuers have ended")?;
        let ledgers = issuers.ledgers();
        report.broken(&issuers.breaches()?);
        let found = audit(&Inputs {
            acks: self.folder.join("acks.log"),
            gateway: None,
            journal,
            ledgers,
            database: Some((self.url.clone(), self.schema.clone())),
        })?;
        let passed = found.passed();
        report.audited(&found);
        if passed {
            drop_schema(&self.url, &self.schema)?;
            fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }

    fn await_applied(&self, node: &Node) -> Result<()> {
        let lag = || node.metric("njia_applier_lag_records", &[]);
        if eventually(Duration::from_secs(120), || {
            lag().is_ok_and(|lag| lag == 0.0)
        }) {
            return Ok(());
        }
        bail!("PostgreSQL lacks {:?} records:\n{}", lag(), node.log())
    }
}

const ISSUER_LATENCY: Duration = Duration::from_millis(20);
/// How long a step is waited for.
const STEP_MAX: Duration = Duration::from_secs(15);
const OPEN_MAX: Duration = Duration::from_secs(30);
const SIGKILL: i32 = 9;
/// Two lengths of segments.
const SHORT: &str = "8388608";
const LONG: &str = "12582912";
