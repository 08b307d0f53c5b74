//! Kill the switch under load, start it again, and compare what everybody believes: nothing that
//! was acknowledged is lost, no money moves twice, every open intent is reversed.
//!
//! SIGKILL keeps the page cache, so this says nothing about a missing sync: that is the simulator's
//! to find. What it must find is an answer that leaves before its record is written, and the null
//! control shows that it does.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use loadgen::verify::{Audit, Inputs, audit};
use njia_tests::e2e::{Build, Issuers, Load, Node, alone, concatenated, folder, pause};

const ROUNDS: u64 = 20;
const SEED: u64 = 0x006e_6a69_6121;

/// xorshift64: the moments of the kills come from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One campaign: as many kills as `rounds`, then a settled switch and an audit of all of it.
fn campaign(build: Build, name: &str, rounds: u64) -> Result<Audit> {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
    let state = folder.join("state");
    let issuers = Issuers::start(&folder, Duration::from_millis(15))?;
    let mut dice = Dice(SEED);
    let mut acks = Vec::new();
    for round in 0..rounds {
        let node = Node::start(build, &state, issuers.addresses(), &[])?;
        let files = folder.join(format!("round-{round}"));
        let load = Load {
            rate: 3_000,
            duration: "3s".to_owned(),
            warmup: "0s".to_owned(),
            timeout: "1s".to_owned(),
            seed: SEED + round,
            connections: 16,
            more: Vec::new(),
        };
        let running = load.start(node.listener(), &files)?;
        pause(Duration::from_millis(700 + dice.below(1_800)));
        node.kill()?;
        acks.push(running.finish()?.acks);
    }
    let node = Node::start(build, &state, issuers.addresses(), &[])?;
    node.settle(Duration::from_secs(60))?;
    let journal = node.journal().to_owned();
    let status = node.terminate()?;
    assert!(status.success(), "the drain ends with {status}");
    let ledgers = issuers.ledgers();
    issuers.finish()?;
    let inputs = Inputs {
        acks: concatenated(&folder, &acks)?,
        journal,
        ledgers,
        database: None,
    };
    let found = audit(&inputs)?;
    println!("{name}: {rounds} kills\n{found}");
    if found.passed() {
        fs::remove_dir_all(&folder)?;
    }
    Ok(found)
}

#[test]
fn kills_under_load_lose_nothing_double_nothing_and_leave_nothing_open() {
    let _machine = alone();
    let found = campaign(Build::Product, "crash", ROUNDS).unwrap();
    assert!(found.passed(), "the audit found differences");
    assert!(
        found.acknowledged > 10_000,
        "the load was there: {}",
        found.acknowledged
    );
    assert!(found.reversed > 0, "kills leave intents that are reversed");
}

#[test]
fn an_answer_before_its_record_is_caught() {
    let _machine = alone();
    let found = campaign(Build::ReplyBeforeJournal, "crash-null-control", ROUNDS).unwrap();
    assert!(
        found.lost() > 0,
        "a build that answers too early must be caught in {ROUNDS} kills"
    );
}
