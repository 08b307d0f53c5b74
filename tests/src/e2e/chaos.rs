//! Everything at once, in random order: bad connections on both sides, kills, PostgreSQL restarts.
//! Then all faults end, and acquirer, switch, issuers and PostgreSQL must agree to the minor unit.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use loadgen::clock::Clock;
use loadgen::runner::{self, RunConfig};
use loadgen::stop::Stop;
use loadgen::target::Target;
use loadgen::verify::{Audit, Inputs, audit};

use super::campaign::{Dice, free_port};
use super::mix::{self, Edition};
use super::proxy::{Counts, Proxy, Weather};
use super::{Build, Node, OPERATORS, eventually, pause};
use crate::postgres::{self, Cluster};

/// What is done for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long faults are made.
    pub time: Duration,
    /// Of all that is random.
    pub seed: u64,
    /// Transactions offered per second.
    pub rate: f64,
    /// Where state, ledgers and logs lie.
    pub folder: PathBuf,
}

/// What was done, and what everybody believes.
#[derive(Debug)]
pub struct Found {
    /// Acts by name.
    pub acts: BTreeMap<&'static str, u64>,
    /// The comparison.
    pub audit: Audit,
    /// What a right switch never does to those who speak with it, and no spoiled byte explains.
    pub breaches: Vec<(u64, &'static str)>,
    seed: u64,
    time: Duration,
    /// What the proxies did, of acquirers and of issuers.
    proxied: [BTreeMap<&'static str, u64>; 2],
    /// From the end of the faults until nothing was owed or unapplied.
    pub healed_in: Duration,
}

/// All that takes part.
struct World {
    dice: Dice,
    state: PathBuf,
    environment: Vec<(&'static str, String)>,
    cluster: Cluster,
    cluster_runs: bool,
    /// Before the switch, the bank and the mobile-money operator.
    proxies: [Proxy; 3],
    node: Option<Node>,
    acts: BTreeMap<&'static str, u64>,
}

/// Makes faults for the time of `plan`, heals, and compares.
///
/// # Errors
/// The harness failed, or the switch ended otherwise than by a kill.
pub fn chaos(plan: &Plan) -> Result<Found> {
    let issuers = mix::issuers(&plan.folder, ISSUER_LATENCY)?;
    let mut world = World::start(plan, issuers.addresses())?;
    let acks = plan.folder.join("acks.log");
    let config = load(plan, world.proxies[0].address(), &acks)?;
    let run = move || runner::run(&config, Clock::start(), &Stop::default(), &mut |_| ());
    let load = std::thread::spawn(run);
    let end = Instant::now() + plan.time;
    while Instant::now() < end {
        world.act()?;
        pause(Duration::from_millis(200 + world.dice.below(1_500)));
    }
    let begun = Instant::now();
    let journal = world.heal()?;
    let run = match load.join() {
        Ok(run) => run.context("the load")?,
        Err(_) => bail!("the load failed"),
    };
    world.settle()?;
    let healed_in = begun.elapsed();
    let node = world.node.take().context("the switch runs")?;
    let status = node.terminate()?;
    if !status.success() {
        bail!("the drain ends with {status}");
    }
    let ledgers = issuers.ledgers();
    let to_issuers = issuers.breaches()?;
    let database = Some((world.cluster.url(), SCHEMA.to_owned()));
    let audit = audit(&Inputs {
        acks,
        gateway: None,
        journal,
        ledgers,
        database,
    })?;
    let proxied = world.proxied();
    let spoiled = proxied.each_ref().map(|side| side[CORRUPTED]);
    let mut told = run.totals.breaches();
    told.push((audit.unread, UNREAD));
    let sides = [(told, spoiled[0]), (to_issuers, spoiled[1])];
    let found = Found {
        breaches: sides
            .map(|(breaches, spoiled)| unexplained(breaches, spoiled))
            .concat(),
        acts: world.acts,
        audit,
        seed: plan.seed,
        time: plan.time,
        proxied,
        healed_in,
    };
    if found.passed() {
        fs::remove_dir_all(&plan.folder)?;
    }
    Ok(found)
}

fn load(plan: &Plan, listener: SocketAddr, acks: &Path) -> Result<RunConfig> {
    let dialect = Edition::alternating(plan.seed).dialect();
    let target = format!("iso://{listener}?framing=be16&dialect={dialect}");
    let target: Target = target.parse()?;
    Ok(RunConfig {
        insists: true,
        scenario: mix::scenario()?,
        connections: 16,
        timeout: Duration::from_secs(4),
        grace: Duration::from_secs(120),
        seed: plan.seed,
        acks: Some(acks.to_owned()),
        ..RunConfig::new(target, plan.rate, plan.time)?
    })
}

impl World {
    fn start(plan: &Plan, issuers: [SocketAddr; 2]) -> Result<Self> {
        let mut dice = Dice::new(plan.seed);
        let cluster = Cluster::start()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port(&mut dice)?));
        let proxies = [
            Proxy::start(address, plan.seed ^ 1)?,
            Proxy::start(issuers[0], plan.seed ^ 2)?,
            Proxy::start(issuers[1], plan.seed ^ 3)?,
        ];
        let mut environment = vec![
            ("NJIA__LISTENER__POS__ADDRESS", address.to_string()),
            ("NJIA__NODE__SHARDS", "2".to_owned()),
            ("NJIA__POSTGRES__URL", cluster.url()),
            ("NJIA__POSTGRES__SCHEMA", SCHEMA.to_owned()),
            ("NJIA__POSTGRES__MIGRATE", "true".to_owned()),
            // A bad line is no attack here.
            (
                "NJIA__LIMITS__BAD_FRAMES_PER_MINUTE_MAX",
                "10000".to_owned(),
            ),
            ("NJIA__ISSUER__BANK__RECONNECT_MAX_MS", "500".to_owned()),
            ("NJIA__ISSUER__MOMO__RECONNECT_MAX_MS", "500".to_owned()),
            ("NJIA__SAF__BACKOFF_MAX_S", "5".to_owned()),
        ];
        environment.extend(mix::environment(Edition::alternating(plan.seed)));
        let mut world = Self {
            dice,
            state: plan.folder.join("state"),
            environment,
            cluster,
            cluster_runs: true,
            proxies,
            node: None,
            acts: BTreeMap::new(),
        };
        world.start_node()?;
        Ok(world)
    }

    fn start_node(&mut self) -> Result<()> {
        let mut environment = OPERATORS.to_vec();
        for (name, value) in &self.environment {
            environment.push((name, value));
        }
        let issuers = [self.proxies[1].address(), self.proxies[2].address()];
        let node = Node::start(Build::Product, &self.state, issuers, &environment)?;
        self.node = Some(node);
        Ok(())
    }

    fn act(&mut self) -> Result<()> {
        let name = match self.dice.below(10) {
            0..=2 => self.change_weather(0, "weather of acquirers"),
            3..=4 => self.change_weather(1, "weather of the bank"),
            5 => self.change_weather(2, "weather of the operator"),
            6..=7 => self.kill()?,
            8 => self.drain()?,
            _ => self.toggle_postgres()?,
        };
        *self.acts.entry(name).or_default() += 1;
        Ok(())
    }

    fn change_weather(&mut self, place: usize, name: &'static str) -> &'static str {
        let weather = drawn(&mut self.dice);
        self.proxies[place].set_weather(weather);
        name
    }

    fn kill(&mut self) -> Result<&'static str> {
        let mut node = self.node.take().context("the switch runs")?;
        if let Some(status) = node.ended()? {
            bail!("the switch ended by itself: {status}\n{}", node.log());
        }
        node.kill()?;
        pause(Duration::from_millis(self.dice.below(300)));
        self.start_node()?;
        Ok("SIGKILL")
    }

    fn drain(&mut self) -> Result<&'static str> {
        let node = self.node.take().context("the switch runs")?;
        let status = node.terminate()?;
        if !status.success() {
            bail!("a drain ends with {status}");
        }
        self.start_node()?;
        Ok("SIGTERM")
    }

    fn toggle_postgres(&mut self) -> Result<&'static str> {
        if !self.cluster_runs {
            self.cluster.resume()?;
            self.cluster_runs = true;
            return Ok("PostgreSQL started");
        }
        let how = match self.dice.below(2) {
            0 => postgres::Stop::Fast,
            _ => postgres::Stop::Immediate,
        };
        self.cluster.stop(how)?;
        self.cluster_runs = false;
        Ok("PostgreSQL stopped")
    }

    /// Ends all faults; says where the journal is.
    fn heal(&mut self) -> Result<PathBuf> {
        for proxy in &self.proxies {
            proxy.set_weather(Weather::default());
        }
        if !self.cluster_runs {
            self.cluster.resume()?;
            self.cluster_runs = true;
        }
        let node = self.node.as_ref().context("the switch runs")?;
        Ok(node.journal().to_owned())
    }

    /// What the proxies did, of acquirers and of issuers.
    fn proxied(&self) -> [BTreeMap<&'static str, u64>; 2] {
        let counts = self.proxies.each_ref();
        let [acquirers, mut issuers, momo] = counts.map(|proxy| counted(proxy.counts()));
        for (name, count) in momo {
            *issuers.entry(name).or_default() += count;
        }
        [acquirers, issuers]
    }

    fn settle(&self) -> Result<()> {
        let node = self.node.as_ref().context("the switch runs")?;
        node.settle(Duration::from_secs(120))?;
        let lag = || node.metric("njia_applier_lag_records", &[]);
        if !eventually(Duration::from_secs(120), || {
            lag().is_ok_and(|lag| lag == 0.0)
        }) {
            bail!("PostgreSQL lacks {:?} records:\n{}", lag(), node.log());
        }
        Ok(())
    }
}

/// Mostly one or two kinds of bad weather at a time, sometimes none.
fn drawn(dice: &mut Dice) -> Weather {
    let mut weather = Weather::default();
    for _ in 0..dice.below(3) {
        match dice.below(7) {
            0 => {
                weather.delay = Duration::from_millis(dice.below(60));
                weather.jitter = Duration::from_millis(dice.below(120));
            }
            1 => weather.throttle = Some(20_000 + dice.below(200_000)),
            2 => weather.split = 500,
            3 => weather.corrupt = 1 + dice.below(20),
            4 => weather.reset = 1 + dice.below(15),
            5 => weather.half_close = 1 + dice.below(10),
            _ => weather.black_hole = 1 + dice.below(10),
        }
    }
    weather
}

fn counted(counts: &Counts) -> BTreeMap<&'static str, u64> {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    BTreeMap::from([
        ("connections", of(&counts.connections)),
        ("splits", of(&counts.splits)),
        (CORRUPTED, of(&counts.corruptions)),
        ("resets", of(&counts.resets)),
        ("half-closes", of(&counts.half_closes)),
        ("black holes", of(&counts.black_holes)),
    ])
}

/// What `spoiled` bytes on a side do not explain. One in a length spoils all that follows on its
/// connection, so that there is no telling how much of what they may explain they do.
fn unexplained(mut breaches: Vec<(u64, &'static str)>, spoiled: u64) -> Vec<(u64, &'static str)> {
    let may_explain = |what: &str| spoiled > 0 && BY_SPOILED_BYTES.contains(&what);
    breaches.retain(|(count, what)| *count > 0 && !may_explain(what));
    breaches
}

impl Found {
    /// Nothing is lost or doubled, all sums are equal, and there was some of each kind.
    #[must_use]
    pub fn passed(&self) -> bool {
        let audit = &self.audit;
        let kinds = [audit.advised, audit.completed, audit.reversed_in_part];
        audit.passed() && self.breaches.is_empty() && kinds.iter().all(|count| *count > 0)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |all: &BTreeMap<&'static str, u64>| {
            let each = all.iter().map(|(name, count)| format!("{name} {count}"));
            each.collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "| chaos | value |\n|---|---|")?;
        writeln!(
            f,
            "| seed, time of faults, acquirer | {}, {:?}, {} |",
            self.seed,
            self.time,
            Edition::alternating(self.seed).dialect()
        )?;
        writeln!(f, "| acts | {} |", listed(&self.acts))?;
        writeln!(
            f,
            "| between acquirer and switch | {} |",
            listed(&self.proxied[0])
        )?;
        writeln!(
            f,
            "| between switch and issuers | {} |",
            listed(&self.proxied[1])
        )?;
        writeln!(f, "| acked writes | {} |", self.audit.acked_writes)?;
        let parts = self.audit.reversed_in_part;
        writeln!(
            f,
            "| reversed, in part | {}, {parts} |",
            self.audit.reversed
        )?;
        writeln!(f, "| advices | {} |", self.audit.advised)?;
        writeln!(f, "| completions | {} |", self.audit.completed)?;
        writeln!(f, "| lost | {} |", self.audit.lost())?;
        writeln!(f, "| doubled | {} |", self.audit.doubled())?;
        writeln!(f, "| never told to the acquirer | {} |", self.audit.untold)?;
        writeln!(f, "| healed in | {} ms |", self.healed_in.as_millis())?;
        for (currency, sums) in &self.audit.sums {
            writeln!(
                f,
                "| money of {currency:03} | acquirer {} + untold {}, switch {}, issuers {}, \
                 PostgreSQL {} |",
                sums.acquirer,
                sums.untold,
                sums.journal,
                sums.issuers.unwrap_or_default(),
                sums.database.unwrap_or_default()
            )?;
        }
        for check in self.audit.checks.iter().filter(|check| check.count > 0) {
            writeln!(
                f,
                "| {} | {} {:?} |",
                check.name, check.count, check.offenders
            )?;
        }
        for (count, what) in &self.breaches {
            writeln!(f, "| {what} | {count} |")?;
        }
        let verdict = if self.passed() { "PASS" } else { "FAIL" };
        writeln!(f, "| verdict | {verdict} |")
    }
}

const SCHEMA: &str = "njia_chaos";
const UNREAD: &str = "messages were told that they cannot be read";
const CORRUPTED: &str = "corrupted bytes";
/// Breaches that a spoiled byte may look like.
const BY_SPOILED_BYTES: [&str; 3] = [
    "answers were not their request's own",
    UNREAD,
    "messages could not be read",
];
const ISSUER_LATENCY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spoiled_byte_explains_what_cannot_be_read_and_nothing_else() {
        let breaches = vec![
            (2, "messages could not be read"),
            (1, "requests came twice"),
            (0, "messages were told that they cannot be read"),
        ];
        let left = |spoiled| unexplained(breaches.clone(), spoiled);
        assert_eq!(left(0), breaches[..2]);
        assert_eq!(left(3), breaches[1..2]);
    }
}
