//! `make drain`: how fast reversals that are owed to one issuer leave over real sockets.
//!
//! ENTRIES requests are in flight at a mute bank when the switch is killed. The next start owes it
//! a reversal of each; from the first link on, it is counted how many a second are acknowledged.
//! The same again with POISONED of them that the bank never answers: the others must not wait.

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
    println!("| reversals owed | poisoned | acknowledged in | a second |\n|---|---|---|---|");
    let mut is_good = true;
    for poisoned in [0, poisoned] {
        let folder = out.join(format!("drain-{poisoned}"));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let drained = drain(&folder, entries, poisoned)?;
        let rate = drained.ended / drained.took.as_secs_f64();
        is_good &= rate >= 1_000.0;
        println!(
            "| {} | {poisoned} | {:.0} ms | {rate:.0} |",
            drained.owed,
            drained.took.as_secs_f64() * 1_000.0
        );
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Drained {
    owed: f64,
    ended: f64,
    took: Duration,
}

fn drain(folder: &std::path::Path, entries: u32, poisoned: u32) -> Result<Drained> {
    std::fs::create_dir_all(folder)?;
    let state = folder.join("state");
    let scenario = folder.join("scenario.toml");
    std::fs::write(&scenario, SCENARIO)?;
    let issuers = Issuers::start(folder, Duration::from_millis(5))?;
    let bank = issuers.host.control(Issuers::BANK);
    let node = Node::start(Build::Product, &state, issuers.addresses(), &ENVIRONMENT)?;
    bank.mute(true);
    let load = Load {
        rate: entries / 2,
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
    bank.poison_next(poisoned);
    let node = Node::start(Build::Product, &state, issuers.addresses(), &ENVIRONMENT)?;
    let depth = || node.metric("njia_saf_depth", &[]);
    let owed = depth()?;
    if owed < inflight || owed < f64::from(entries) * 0.5 {
        bail!("{inflight} were in flight and {owed} are owed, of {entries}");
    }
    bank.refuse_connections(false);
    while depth()? >= owed {
        pause(Duration::from_millis(2));
    }
    let begun = Instant::now();
    let left = f64::from(poisoned);
    if !eventually(Duration::from_secs(120), || {
        depth().is_ok_and(|depth| depth <= left)
    }) {
        bail!("{} of {owed} are still owed", depth()?);
    }
    let took = begun.elapsed();
    node.kill()?;
    issuers.finish()?;
    let ended = owed - left;
    Ok(Drained { owed, ended, took })
}

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
