//! A switch as a process of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use super::{eventually, http};

/// Which binary of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The one that is shipped.
    Product,
    /// Dies where it is told to.
    CrashPoints,
    /// The same, told to answer before a record is written: the null control.
    ReplyBeforeJournal,
    /// The one that can publish events, which lies beside the test.
    WithEvents,
}

impl Build {
    /// Its path.
    ///
    /// # Panics
    /// It was not built; the message says how.
    #[must_use]
    pub fn njia(self) -> PathBuf {
        let folder = match self {
            Self::Product => variable_or("NJIA_BIN_DIR", "release"),
            Self::CrashPoints | Self::ReplyBeforeJournal => {
                variable_or("NJIA_CRASH_DIR", "crash-points/release")
            }
            Self::WithEvents => return with_events(),
        };
        let path = folder.join("njia");
        assert!(
            path.exists(),
            "{} is missing; `make test` builds it",
            path.display()
        );
        path
    }

    /// Runs it.
    fn command(self) -> Command {
        let mut command = Command::new(self.njia());
        if self == Self::ReplyBeforeJournal {
            command.env("NJIA_REPLY_BEFORE_JOURNAL", "1");
        }
        command
    }
}

/// The switch that cargo has made of the same profile and features as this test: an example of this
/// package, so that nothing is compiled a second time for it.
fn with_events() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its own path");
    let profile = exe.ancestors().nth(2).expect("a test lies in PROFILE/deps");
    let path = profile.join("examples/njia_with_events");
    assert!(
        path.exists(),
        "{} is missing; cargo build -p njia-tests --features kafka --example njia_with_events",
        path.display()
    );
    path
}

/// The load generator's path.
///
/// # Panics
/// It was not built.
#[must_use]
pub(super) fn njia_loadgen() -> PathBuf {
    let path = variable_or("NJIA_BIN_DIR", "release").join("njia-loadgen");
    assert!(
        path.exists(),
        "{} is missing; `make test` builds it",
        path.display()
    );
    path
}

/// A folder that a variable names, else one beside this test's own profile in the target folder.
///
/// # Panics
/// The test does not know where it lies.
#[must_use]
pub fn variable_or(name: &str, beside: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os(name) {
        return PathBuf::from(folder);
    }
    let exe = std::env::current_exe().expect("a test knows its own path");
    let target = exe
        .ancestors()
        .nth(3)
        .expect("a test lies in target/PROFILE/deps");
    target.join(beside)
}

/// A switch that was started and need not be ready, nor become so.
#[derive(Debug)]
pub struct Process {
    child: Child,
    ready: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts a switch on `state` with the default configuration, but patient; `environment`
    /// stands above that.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        build: Build,
        state: &Path,
        issuers: [SocketAddr; 2],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = build.command();
        command
            .args(["serve", "--default-config", "--state-dir"])
            .arg(state)
            .env("NJIA__ISSUER__BANK__ADDRESSES", issuers[0].to_string())
            .env("NJIA__ISSUER__MOMO__ADDRESSES", issuers[1].to_string())
            .envs(PATIENT)
            .envs(environment.iter().copied());
        Self::launch(command, state)
    }

    fn launch(mut command: Command, state: &Path) -> Result<Self> {
        std::fs::create_dir_all(state)?;
        let ready = state.join("ready.json");
        if ready.exists() {
            std::fs::remove_file(&ready)?;
        }
        let log = state.join("njia.log");
        let output = File::options().create(true).append(true).open(&log)?;
        let child = command
            .arg("--ready-file")
            .arg(&ready)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("starting njia")?;
        Ok(Self { child, ready, log })
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Whether it has told that its listeners are open.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.exists()
    }

    /// Kills it as a power switch would the process.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to drain.
    ///
    /// # Errors
    /// It has ended.
    pub fn ask_to_end(&self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        Ok(())
    }

    /// The last lines of its log, and of those before it on the same state.
    #[must_use]
    pub fn log_end(&self) -> String {
        tail(&std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It did not become ready; the error holds the end of its log.
    pub fn ready(mut self) -> Result<Node> {
        let mut ended = None;
        let is_ready = eventually(Duration::from_secs(60), || {
            ended = self.child.try_wait().ok().flatten();
            self.ready.exists() || ended.is_some()
        });
        if !is_ready || ended.is_some() {
            bail!("njia is not ready ({ended:?}):\n{}", self.log_end());
        }
        let told = std::fs::read_to_string(&self.ready)?;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        let listeners = told["listeners"].clone();
        let gateways = told["gateways"].clone();
        let text = |value: &serde_json::Value| {
            value
                .as_str()
                .map(str::to_owned)
                .context("the ready file names it")
        };
        Ok(Node {
            listener: text(&listeners["pos"])?,
            listeners,
            gateways,
            issuer_callbacks: told["issuer_callbacks"].as_str().map(str::to_owned),
            admin: text(&told["admin"])?,
            socket: PathBuf::from(text(&told["socket"])?),
            journal: PathBuf::from(text(&told["journal"])?),
            process: self,
            is_asked: AtomicBool::new(false),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that fails must not leave a process; one that has ended cannot be killed again.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A running switch.
#[derive(Debug)]
pub struct Node {
    process: Process,
    listener: String,
    listeners: serde_json::Value,
    gateways: serde_json::Value,
    issuer_callbacks: Option<String>,
    admin: String,
    socket: PathBuf,
    journal: PathBuf,
    /// Whether it was asked to drain: asked twice it ends at once.
    is_asked: AtomicBool,
}

impl Node {
    /// Starts a switch on `state` with the default configuration, but patient, and waits until it
    /// is ready.
    ///
    /// # Errors
    /// It did not become ready; the error holds the end of its log.
    pub fn start(
        build: Build,
        state: &Path,
        issuers: [SocketAddr; 2],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        Process::start(build, state, issuers, environment)?.ready()
    }

    /// Starts a switch on a configuration of its own, which has a listener `pos` and keeps its
    /// state in `state`, and waits until it is ready. Where it does not say how long a request may
    /// wait, the switch is patient.
    ///
    /// # Errors
    /// It did not become ready; the error holds the end of its log.
    pub fn configured(
        build: Build,
        config: &Path,
        state: &Path,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let text = std::fs::read_to_string(config)?;
        let patient = (!text.contains(WAIT_KEY)).then_some(WAIT);
        let mut command = build.command();
        command
            .args(["serve", "-c"])
            .arg(config)
            .envs(patient)
            .envs([SEGMENT, FILE_SYSTEM])
            .envs(environment.iter().copied());
        Process::launch(command, state)?.ready()
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// Where acquirers connect.
    #[must_use]
    pub fn listener(&self) -> &str {
        &self.listener
    }

    /// Where metrics and health are told.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Where operators are heard.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where this gateway connects.
    ///
    /// # Panics
    /// There is none of this name.
    #[must_use]
    pub fn gateway_named(&self, name: &str) -> &str {
        let address = self.gateways[name].as_str();
        address.expect("the ready file names every gateway")
    }

    /// Where issuers call back.
    ///
    /// # Panics
    /// None does.
    #[must_use]
    pub fn issuer_callbacks(&self) -> &str {
        let address = self.issuer_callbacks.as_deref();
        address.expect("the ready file names it where issuers call back")
    }

    /// Where the acquirers of this listener connect.
    ///
    /// # Panics
    /// There is none of this name.
    #[must_use]
    pub fn listener_named(&self, name: &str) -> &str {
        let address = self.listeners[name].as_str();
        address.expect("the ready file names every listener")
    }

    /// The folder with the journal's manifest.
    #[must_use]
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.process.log).unwrap_or_default()
    }

    /// Kilobytes of memory in use.
    ///
    /// # Errors
    /// It has ended.
    pub fn peak_resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("a process has a resident size")?.parse()?)
    }

    /// The number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Sets how many descriptors the process may have; what is open stays open. Returns what it
    /// could have before.
    ///
    /// # Errors
    /// It has ended.
    pub fn limit_descriptors(&self, most: Option<u64>) -> Result<Option<u64>> {
        let pid = Some(Pid::from_child(&self.process.child));
        // The switch raises its own soft limit to the hard one, which is that of this process.
        let maximum = getrlimit(Resource::Nofile).maximum;
        let current = most.or(maximum);
        let before = prlimit(pid, Resource::Nofile, Rlimit { current, maximum })?;
        Ok(before.current)
    }

    /// What `/statusz` says.
    ///
    /// # Errors
    /// The admin listener does not answer.
    pub fn status(&self) -> Result<serde_json::Value> {
        let (_, body) = http::get(&self.admin, "/statusz")?;
        Ok(serde_json::from_str(&body)?)
    }

    /// What the admin listener answers, whatever its status.
    ///
    /// # Errors
    /// It does not answer.
    pub fn page(&self, path: &str) -> Result<String> {
        Ok(http::get(&self.admin, path)?.1)
    }

    /// What the kernel tells of the process under `/proc`.
    ///
    /// # Errors
    /// It has ended.
    pub fn process_file(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.process.child.id());
        Ok(std::fs::read_to_string(path)?)
    }

    /// The sum of all samples of a metric whose labels contain all of `labels`.
    ///
    /// # Errors
    /// The admin listener does not answer.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let (status, body) = http::get(&self.admin, "/metrics")?;
        if status != 200 {
            bail!("/metrics answered {status}");
        }
        let sum = body
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| series.split('{').next() == Some(name))
            .filter(|(series, _)| labels.iter().all(|label| series.contains(label)))
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum();
        Ok(sum)
    }

    /// Checks, at rest, that nothing was lost between the counters: each request is a repeat, was
    /// rejected, or became a transaction, and each reversal that was owed has ended. Gauges follow
    /// their counters at the next upkeep, so that is waited for.
    ///
    /// # Errors
    /// The accounts do not add up.
    pub fn check_sums(&self) -> Result<()> {
        let add_up = || self.sums().is_ok();
        if eventually(UPKEEP, add_up) {
            return Ok(());
        }
        self.sums()
    }

    fn sums(&self) -> Result<()> {
        let sum = |names: &[&str], labels: &[&str]| -> Result<f64> {
            let values = names.iter().map(|name| self.metric(name, labels));
            values.sum()
        };
        for ingress in ["iso", "http"] {
            let labels = [format!("ingress=\"{ingress}\"")];
            let labels = labels.each_ref().map(String::as_str);
            let requests = sum(&["njia_requests_total"], &labels)?;
            let mut accounted = sum(&ACCOUNTED, &labels)?;
            // They come by ISO 8583 alone, and are not labelled.
            if ingress == "iso" {
                accounted += sum(&ADMINISTRATIVE, &[])?;
            }
            if requests != accounted {
                bail!("{ingress}: {requests} requests were read, {accounted} are accounted for");
            }
        }
        let (owed, ended) = self.owed_and_ended()?;
        let depth = sum(&["njia_saf_depth"], &[])?;
        if owed != ended + depth {
            bail!("{owed} were owed, {ended} have ended, {depth} are owed");
        }
        Ok(())
    }

    /// What was owed to issuers since the start, and what of all that is owed has ended since.
    fn owed_and_ended(&self) -> Result<(f64, f64)> {
        let of = |labels: &[&str]| -> Result<f64> {
            let reversals = self.metric("njia_reversals_total", labels)?;
            Ok(reversals + self.metric("njia_advices_total", labels)?)
        };
        let owed = of(&["result=\"owed\""])?;
        Ok((owed, of(&[])? - owed))
    }

    /// That, and what a load moves has moved.
    ///
    /// # Errors
    /// They do not, or cannot be read.
    pub fn check_metrics(&self) -> Result<()> {
        self.check_sums()?;
        for name in MOVED_BY_LOAD {
            if self.metric(name, &[])? == 0.0 {
                bail!("{name} stands at zero after a load");
            }
        }
        for stage in STAGES {
            let label = format!("stage=\"{stage}\"");
            if self.metric("njia_stage_duration_seconds_count", &[&label])? == 0.0 {
                bail!("stage {stage} was never timed");
            }
        }
        Ok(())
    }

    /// Waits until no transaction is in flight and no reversal is owed. Gauges follow at the next
    /// upkeep: what they do not show yet, the counters do.
    ///
    /// # Errors
    /// It did not settle in time.
    pub fn settle(&self, deadline: Duration) -> Result<()> {
        let open = || -> Result<f64> {
            let saf = self.metric("njia_saf_depth", &[])?;
            let (owed, ended) = self.owed_and_ended()?;
            let unseen = (owed - ended).max(0.0);
            Ok(saf + unseen + self.metric("njia_inflight_transactions", &[])?)
        };
        if eventually(deadline, || open().is_ok_and(|open| open == 0.0)) {
            return Ok(());
        }
        bail!(
            "still open after {deadline:?}: {:?}\n{}",
            open(),
            tail(&self.log())
        )
    }

    /// Kills it as a power switch would the process.
    ///
    /// # Errors
    /// It had ended before.
    pub fn kill(self) -> Result<()> {
        self.process.kill()
    }

    /// Sends it a signal that ends it, and waits for that.
    ///
    /// # Errors
    /// It had ended before.
    pub fn signal_end(mut self, signal: Signal) -> Result<ExitStatus> {
        kill_process(Pid::from_child(&self.process.child), signal)?;
        Ok(self.process.child.wait()?)
    }

    /// Asks it to drain; [`Node::terminate`] waits for its end.
    ///
    /// # Errors
    /// It had ended before.
    pub fn ask_to_drain(&self) -> Result<()> {
        self.is_asked.store(true, Ordering::Relaxed);
        self.process.ask_to_end()
    }

    /// Asks it to drain and waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        if !self.is_asked.load(Ordering::Relaxed) {
            self.process.ask_to_end()?;
        }
        let mut status = None;
        let ended = eventually(Duration::from_secs(60), || {
            status = self.process.child.try_wait().ok().flatten();
            status.is_some()
        });
        match status {
            Some(status) if ended => Ok(status),
            _ => bail!("njia does not end:\n{}", self.process.log_end()),
        }
    }
}

/// What a request or a reversal comes to.
const ACCOUNTED: [&str; 4] = [
    "njia_repeats_total",
    "njia_rejected_total",
    "njia_transactions_total",
    "njia_inflight_transactions",
];
/// The same of administrative messages.
const ADMINISTRATIVE: [&str; 2] = ["njia_administrative_total", "njia_administrative_inflight"];
/// Far longer than any gauge lags behind.
const UPKEEP: Duration = Duration::from_secs(10);
/// Metrics that every load moves.
const MOVED_BY_LOAD: [&str; 8] = [
    "njia_transaction_duration_seconds_count",
    "njia_own_duration_seconds_count",
    "njia_issuer_duration_seconds_count",
    "njia_risk_duration_seconds_count",
    "njia_journal_sync_duration_seconds_count",
    "njia_journal_bytes_total",
    "njia_links",
    "njia_shard_turns_total",
];
const STAGES: [&str; 7] = [
    "parse",
    "duplicate",
    "risk",
    "route",
    "intent_sync",
    "outcome_sync",
    "reply",
];

/// What a slow machine needs. One that stands still for the 100 ms that a request may wait refuses
/// it, and one that does so for the second of a route tells a timeout: both are right, and not what
/// most tests look at.
const PATIENT: [(&str, &str); 6] = [
    WAIT,
    ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "30000"),
    ("NJIA__ROUTE__MOMO_CARDS__DEADLINE_MS", "30000"),
    SEGMENT,
    FILE_SYSTEM,
    ("NJIA__NODE__SHARDS", "2"),
];
/// What operators get who set nothing, for tests that are about it.
pub const OPERATORS: [(&str, &str); 3] = [
    ("NJIA__LIMITS__REQUEST_WAIT_MAX_MS", "100"),
    ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "1000"),
    ("NJIA__ROUTE__MOMO_CARDS__DEADLINE_MS", "1000"),
];
const WAIT: (&str, &str) = ("NJIA__LIMITS__REQUEST_WAIT_MAX_MS", "60000");
/// The same in a configuration.
const WAIT_KEY: &str = "request_wait_max_ms";
/// Each state is written with zeros before it is used.
const SEGMENT: (&str, &str) = ("NJIA__JOURNAL__SEGMENT_BYTES", "8388608");
/// Wherever the project was unpacked.
const FILE_SYSTEM: (&str, &str) = ("NJIA__JOURNAL__ALLOW_ANY_FILESYSTEM", "true");

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
