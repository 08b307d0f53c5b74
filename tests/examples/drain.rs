//! `make drain`: how fast reversals that are owed to one issuer leave over real sockets.
//!
//! ENTRIES requests are in flight at a mute bank when the switch is killed. The next start owes it
//! a reversal of each; from the first link on, it is counted how many a second are acknowledged.
//! The same again with POISONED of them that the bank never answers: the others must not wait. Both
//! are held against the same with one reversal at a time, in the same minute on the same machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use njia_tests::e2e::{Build, Issuers, Load, Node, eventually, pause};

fn main() -> Result<ExitCode> {
    let out = PathBuf::from(std::env::var("OUT").context("OUT names the folder of the report")?);
    let number = |name: &str, otherwise: u32| -> Result<u32> {
        match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
            Err(_) => Ok(otherwise),
        }
    };
    let entries = number("ENTRIES", 10_000)?;
    let poisoned = number("POISONED", 32)?;
    let runs = [
        // What it is held against: one reversal at a time of each shard, and so fewer of them.
        Run {
            name: "one at a time",
            entries: entries.min(BASELINE_ENTRIES_MAX),
            poisoned: 0,
            window: 1,
            rate: AT_ONCE,
        },
        Run {
            name: "drain",
            entries,
            poisoned: 0,
            window: WINDOW,
            rate: RATE,
        },
        Run {
            name: "drain at once",
            entries,
            poisoned: 0,
            window: WINDOW,
            rate: AT_ONCE,
        },
        Run {
            name: "drain at once, poisoned head",
            entries,
            poisoned,
            window: WINDOW,
            rate: AT_ONCE,
        },
    ];
    println!("| run | owed | poisoned | acknowledged in | a second | times one at a time |");
    println!("|---|---|---|---|---|---|");
    let mut baseline = None;
    let mut is_good = true;
    for run in runs {
        let drained = run.drain(&out.join(format!(
            "drain-{}-{}-{}",
            run.window, run.rate, run.poisoned
        )))?;
        let rate = drained.ended / drained.took.as_secs_f64();
        let held_against = *baseline.get_or_insert(rate);
        is_good &= run.window == 1 || rate >= 1_000.0;
        println!(
            "| {} | {} | {} | {:.0} ms | {rate:.0} | {:.1} |",
            run.name,
            drained.owed,
            run.poisoned,
            drained.took.as_secs_f64() * 1_000.0,
            rate / held_against
        );
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A switch that owes, and what it may have in flight.
struct Run {
    name: &'static str,
    entries: u32,
    poisoned: u32,
    /// `saf.inflight_max`: of each shard to one issuer.
    window: u32,
    /// `saf.rate_after_sign_on`: of each shard in the first second, doubling.
    rate: u32,
}

struct Drained {
    owed: f64,
    ended: f64,
    took: Duration,
}

impl Run {
    fn drain(&self, folder: &std::path::Path) -> Result<Drained> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
        let (window, rate) = (self.window.to_string(), self.rate.to_string());
        let own = [
            ("NJIA__SAF__INFLIGHT_MAX", window.as_str()),
            ("NJIA__SAF__RATE_AFTER_SIGN_ON", rate.as_str()),
        ];
        let environment = [ENVIRONMENT.as_slice(), &own].concat();
        let state = folder.join("state");
        let scenario = folder.join("scenario.toml");
        std::fs::write(&scenario, SCENARIO)?;
        let issuers = Issuers::start(folder, Duration::from_millis(5))?;
        let bank = issuers.host.control(Issuers::BANK);
        let node = Node::start(Build::Product, &state, issuers.addresses(), &environment)?;
        bank.mute(true);
        let load = Load {
            rate: self.entries / 2,
            duration: "2s".to_owned(),
            warmup: "0s".to_owned(),
            timeout: "1s".to_owned(),
            seed: 5,
            connections: 64,
            more: vec!["--scenario".to_owned(), scenario.display().to_string()],
        };
        load.start(node.listener(), &folder.join("load"))?
            .finish()?;
        let inflight = node.metric("njia_inflight_transactions", &[])?;
        node.kill()?;
        bank.refuse_connections(true);
        bank.mute(false);
        bank.poison_next(self.poisoned);
        let node = Node::start(Build::Product, &state, issuers.addresses(), &environment)?;
        let depth = || node.metric("njia_saf_depth", &[]);
        let owed = depth()?;
        if owed < inflight || owed < f64::from(self.entries) * 0.5 {
            bail!(
                "{inflight} were in flight and {owed} are owed, of {}",
                self.entries
            );
        }
        bank.refuse_connections(false);
        while depth()? >= owed {
            pause(Duration::from_millis(2));
        }
        let begun = Instant::now();
        let left = f64::from(self.poisoned);
        if !eventually(Duration::from_secs(120), || {
            depth().is_ok_and(|depth| depth <= left)
        }) {
            bail!("{} of {owed} are still owed", depth()?);
        }
        let took = begun.elapsed();
        node.kill()?;
        issuers.finish()?;
        std::fs::remove_dir_all(folder)?;
        let ended = owed - left;
        Ok(Drained { owed, ended, took })
    }
}

/// As it is without a word about it.
const WINDOW: u32 = 64;
/// The same.
const RATE: u32 = 500;
/// More than there are: the window alone is the bound.
const AT_ONCE: u32 = 1_000_000;
/// At one in each shard's flight a full drain would take half a minute.
const BASELINE_ENTRIES_MAX: u32 = 1_000;

/// Nothing ends by itself while the requests are gathered.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("NJIA__NODE__SHARDS", "2"),
    ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "60000"),
    ("NJIA__LIMITS__SESSION_INFLIGHT_MAX", "4096"),
    ("NJIA__ISSUER__BANK__RECONNECT_MAX_MS", "100"),
];

/// Cards of the bank alone.
const SCENARIO: &str = r#"
[terminals]
count = 2400
merchants = 800
institution = "628123"

[[item]]
name = "card-purchase"
weight = 1
message = "purchase"
amount_minor = "lognormal(45000, 0.8)"
currency = { KES = 1 }
cards = { bins = ["506100"], count = 200_000, zipf = 1.05, shift = 5_000 }
chip = 0.85
track2 = 0.4
reverse = { share = 0.0, after = "uniform(1s, 5s)" }
repeat = { share = 0.0, after = "uniform(1s, 5s)" }
"#;
