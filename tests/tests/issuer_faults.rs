//! Issuers that misbehave, on real sockets: one that falls silent, one that sends what is no
//! message.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::{Build, Issuers, Load, LoadReport, Node, alone, eventually, folder};

/// A load that is judged by the test, not by the tool's thresholds.
fn load(rate: u32, duration: &str, seed: u64) -> Load {
    Load {
        rate,
        duration: duration.to_owned(),
        warmup: "1s".to_owned(),
        timeout: "5s".to_owned(),
        seed,
        connections: 16,
        more: vec!["--threshold".to_owned(), "p50<5s".to_owned()],
    }
}

/// Stops the switch and compares all that is known.
fn audited(node: Node, issuers: Issuers, report: &LoadReport) -> Result<loadgen::verify::Audit> {
    node.settle(Duration::from_secs(60))?;
    let journal = node.journal().to_owned();
    assert!(node.terminate()?.success(), "the drain ends with 0");
    let ledgers = issuers.ledgers();
    issuers.finish()?;
    audit(&Inputs {
        acks: report.acks.clone(),
        journal,
        ledgers,
        database: None,
    })
}

#[test]
fn a_silent_issuer_is_left_alone_and_taken_back() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "silent-issuer");
    let issuers = Issuers::start(&folder, Duration::from_millis(10)).unwrap();
    let node = Node::start(
        Build::Product,
        &folder.join("state"),
        issuers.addresses(),
        &[],
    )
    .unwrap();
    let running = load(1_000, "10s", 7)
        .start(node.listener(), &folder.join("load"))
        .unwrap();
    let approved_by_momo = || {
        node.metric(
            "njia_issuer_requests_total",
            &["issuer=\"momo\"", "\"approved\""],
        )
        .unwrap()
    };
    assert!(
        eventually(Duration::from_secs(20), || approved_by_momo() > 50.0),
        "momo has traffic"
    );

    issuers.host.control(Issuers::BANK).mute(true);
    let opened = || {
        let labels = ["issuer=\"bank\"", "to=\"open\""];
        node.metric("njia_breaker_transitions_total", &labels)
            .unwrap()
            >= 1.0
    };
    assert!(
        eventually(Duration::from_secs(6), opened),
        "the bank's breaker opens:\n{}",
        node.log()
    );
    let failed_over = node
        .metric("njia_issuer_requests_total", &["issuer=\"momo\""])
        .unwrap();
    let takes_over = || {
        let now = node
            .metric("njia_issuer_requests_total", &["issuer=\"momo\""])
            .unwrap();
        now > failed_over + 200.0
    };
    assert!(
        eventually(Duration::from_secs(5), takes_over),
        "momo takes the bank's traffic"
    );

    issuers.host.control(Issuers::BANK).mute(false);
    let closed = || {
        let labels = ["issuer=\"bank\"", "to=\"closed\""];
        node.metric("njia_breaker_transitions_total", &labels)
            .unwrap()
            >= 1.0
    };
    let report = running.finish().unwrap();
    if !closed() {
        // A breaker closes on traffic: its probes are live requests.
        let more = load(500, "12s", 8)
            .start(node.listener(), &folder.join("more"))
            .unwrap();
        assert!(
            eventually(Duration::from_secs(15), closed),
            "it closes again:\n{}",
            node.log()
        );
        more.finish().unwrap();
    }
    let timed_out = node
        .metric(
            "njia_issuer_requests_total",
            &["issuer=\"bank\"", "timeout"],
        )
        .unwrap();
    assert!(timed_out > 0.0, "what was under way timed out");
    node.settle(Duration::from_secs(60)).unwrap();
    let owed = node
        .metric("njia_reversals_total", &["cause=\"timeout\"", "owed"])
        .unwrap();
    let done = node
        .metric(
            "njia_reversals_total",
            &["cause=\"timeout\"", "acknowledged"],
        )
        .unwrap();
    assert!(
        owed >= timed_out && done == owed,
        "each is reversed: {timed_out} {owed} {done}"
    );
    println!("{}", report.printed);
    drop(node);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn one_malformed_answer_costs_one_timeout_and_its_reversal() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "malformed-answer");
    let issuers = Issuers::start(&folder, Duration::from_millis(10)).unwrap();
    let node = Node::start(
        Build::Product,
        &folder.join("state"),
        issuers.addresses(),
        &[],
    )
    .unwrap();
    let running = load(1_000, "6s", 9)
        .start(node.listener(), &folder.join("load"))
        .unwrap();
    let approved = || {
        node.metric("njia_issuer_requests_total", &["\"approved\""])
            .unwrap()
    };
    assert!(
        eventually(Duration::from_secs(20), || approved() > 500.0),
        "the load is there"
    );
    issuers.host.control(Issuers::BANK).garble_next(1);
    let report = running.finish().unwrap();
    node.settle(Duration::from_secs(60)).unwrap();
    let timeouts = node
        .metric("njia_issuer_requests_total", &["timeout"])
        .unwrap();
    let owed = node
        .metric("njia_reversals_total", &["owed", "cause=\"timeout\""])
        .unwrap();
    let reconnects = node.metric("njia_link_reconnects_total", &[]).unwrap();
    assert_eq!(
        (timeouts, owed, reconnects),
        (1.0, 1.0, 0.0),
        "{}",
        node.log()
    );
    println!("{}", report.printed);
    let found = audited(node, issuers, &report).unwrap();
    assert!(found.passed(), "{found}");
    assert_eq!(report.exit, Some(0), "{}", report.printed);
    fs::remove_dir_all(&folder).unwrap();
}
