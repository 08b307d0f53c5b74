//! Issuers that misbehave, on real sockets: one that falls silent, one that sends what is no
//! message.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use loadgen::scenario::Scenario;
use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::{
    Build, Issuers, Load, LoadReport, Node, Running, alone, concatenated, eventually, folder,
};

/// A load that is judged by the test, not by the tool's thresholds.
fn load(rate: u32, duration: &str, seed: u64) -> Load {
    Load {
        rate,
        duration: duration.to_owned(),
        warmup: "1s".to_owned(),
        timeout: "20s".to_owned(),
        seed,
        connections: 16,
        more: vec!["--threshold".to_owned(), "p50<5s".to_owned()],
    }
}

/// Stops the switch and compares all that is known.
fn audited(node: Node, issuers: Issuers, acks: PathBuf) -> Result<loadgen::verify::Audit> {
    let journal = node.journal().to_owned();
    assert!(node.terminate()?.success(), "the drain ends with 0");
    let ledgers = issuers.ledgers();
    issuers.finish()?;
    audit(&Inputs {
        acks,
        gateway: None,
        journal,
        ledgers,
        database: None,
    })
}

/// The switch, its issuers, and a place for files.
struct Scene {
    folder: std::path::PathBuf,
    issuers: Issuers,
    node: Node,
}

impl Scene {
    /// An issuer has to answer in `deadline_ms`.
    fn open(name: &str, deadline_ms: &str) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let issuers = Issuers::start(&folder, Duration::from_millis(10)).unwrap();
        let state = folder.join("state");
        let deadlines = [
            ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", deadline_ms),
            ("NJIA__ROUTE__MOMO_CARDS__DEADLINE_MS", deadline_ms),
        ];
        let node = Node::start(Build::Product, &state, issuers.addresses(), &deadlines).unwrap();
        Self {
            folder,
            issuers,
            node,
        }
    }

    fn offer(&self, load: &Load) -> Running {
        let files = self.folder.join(format!("load-{}", load.seed));
        load.start(self.node.listener(), &files).unwrap()
    }

    /// Requests alone: one whose answer is spoilt is neither repeated nor reversed by its acquirer.
    fn requests(&self, duration: &str, seed: u64) -> Running {
        let file = self.folder.join("requests.toml");
        let text = Scenario::built_in_text().replace("share = 0.01", "share = 0.0");
        fs::write(&file, text).unwrap();
        let mut load = load(200, duration, seed);
        load.more.push("--scenario".to_owned());
        load.more.push(file.display().to_string());
        self.offer(&load)
    }

    fn calls(&self, labels: &[&str]) -> f64 {
        self.node
            .metric("njia_issuer_requests_total", labels)
            .unwrap()
    }

    fn reversals(&self, result: &str) -> f64 {
        let labels = ["cause=\"timeout\"", result];
        self.node.metric("njia_reversals_total", &labels).unwrap()
    }

    fn breaker_went(&self, issuer: &str, to: &str) -> bool {
        let (issuer, to) = (format!("issuer=\"{issuer}\""), format!("to=\"{to}\""));
        let metric = "njia_breaker_transitions_total";
        self.node.metric(metric, &[&issuer, &to]).unwrap() >= 1.0
    }

    #[track_caller]
    fn await_that(&self, what: &str, holds: impl FnMut() -> bool) {
        let in_time = eventually(Duration::from_secs(60), holds);
        assert!(in_time, "{what}:\n{}", self.node.log());
    }

    /// Waits for rest, checks the counters, and compares all that is known.
    fn close(self, reports: &[LoadReport]) {
        self.node.check_metrics().unwrap();
        let parts: Vec<_> = reports.iter().map(|report| report.acks.clone()).collect();
        let acks = concatenated(&self.folder, &parts).unwrap();
        let found = audited(self.node, self.issuers, acks).unwrap();
        assert!(found.passed(), "{found}");
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[test]
fn a_silent_issuer_is_left_alone_and_taken_back() {
    let _machine = alone();
    let scene = Scene::open("silent-issuer", "1000");
    let running = scene.offer(&load(300, "60s", 7));
    let by_momo = || scene.calls(&["issuer=\"momo\""]);
    scene.await_that("momo has traffic", || by_momo() > 50.0);

    scene.issuers.host.control(Issuers::BANK).mute(true);
    scene.await_that("the bank's breaker opens", || {
        scene.breaker_went("bank", "open")
    });
    let before = by_momo();
    scene.await_that("momo takes the bank's traffic", || {
        by_momo() > before + 1_000.0
    });
    scene.issuers.host.control(Issuers::BANK).mute(false);
    // A breaker closes on traffic: its probes are live requests.
    scene.await_that("the bank's breaker closes again", || {
        scene.breaker_went("bank", "closed")
    });

    let report = running.finish().unwrap();
    println!("{}", report.printed);
    scene.node.settle(Duration::from_secs(60)).unwrap();
    // A machine that stands still for a second makes others late too.
    let timed_out = scene.calls(&["timeout"]);
    assert!(scene.calls(&["issuer=\"bank\"", "timeout"]) > 0.0);
    // Everything sent to it until its first calls had timed out, a second later, and their share
    // of the breaker's window of two seconds was reached; the rest is a machine that stands still.
    let most = 300.0 * (1.0 + 2.0 + 4.0);
    let in_time = timed_out < most;
    assert!(in_time, "the breaker opens within its window: {timed_out}");
    assert_eq!(report.number("/timeout"), 0.0, "each has its answer");
    let told = report.told("91").unwrap();
    assert!(told >= timed_out, "91 to each: {told} of {timed_out}");
    // The deadline of the route is a second; the rest is what a busy machine may add.
    let slowest = report.number("/service/max_us");
    assert!(slowest < 10_000_000.0, "by the deadline: {slowest} us");
    let (owed, done) = (
        scene.reversals("\"owed\""),
        scene.reversals("\"acknowledged\""),
    );
    assert_eq!((owed, done), (timed_out, timed_out), "each is reversed");
    scene.close(&[report]);
}

#[test]
fn one_malformed_answer_costs_one_timeout_and_its_reversal() {
    let _machine = alone();
    let scene = Scene::open("malformed-answer", "10000");
    let before = scene.requests("4s", 8).finish().unwrap();
    let approved = || scene.calls(&["\"approved\""]);
    let calm = approved();
    let running = scene.requests("20s", 9);
    scene.await_that("the load is there", || approved() > calm + 300.0);
    scene.issuers.host.control(Issuers::BANK).garble_next(1);
    scene.await_that("a timeout", || scene.calls(&["timeout"]) > 0.0);
    let report = running.finish().unwrap();
    println!("{}", report.printed);
    scene.node.settle(Duration::from_secs(60)).unwrap();
    let lost = scene.node.metric("njia_link_reconnects_total", &[]);
    assert_eq!(
        (
            scene.calls(&["timeout"]),
            scene.reversals("owed"),
            lost.unwrap()
        ),
        (1.0, 1.0, 0.0),
        "{}",
        scene.node.log()
    );
    assert_eq!(report.number("/timeout"), 0.0, "each has its answer");
    assert_eq!(report.told("91").unwrap(), 1.0, "{}", report.printed);
    let p99 = |report: &LoadReport| report.number("/service/p99_us");
    println!("p99 {} us, {} us without it", p99(&report), p99(&before));
    scene.close(&[before, report]);
}
