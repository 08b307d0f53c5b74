//! A real switch and a receiver that is no code of ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use domain::ids::{Lsn, ShardId};
use njia_tests::e2e::session::{Session, purchase};
use njia_tests::e2e::{Build, Issuers, Load, Node, Process, alone, eventually, folder};
use njia_tests::outside::Peer;
use persistence::events::{event_type, watermarks};
use persistence::reader::{ShardReader, UpTo};
use serde_json::{Value, json};

use crate::planted::{ACCOUNT, MASKED, traces, with_card};
use crate::rig::{Cluster, PATIENCE, Seen, TOPIC, check};

const SHARDS: u16 = 2;

fn environment(brokers: &str) -> [(&str, &str); 3] {
    [
        ("NJIA__NODE__SHARDS", "2"),
        ("NJIA__KAFKA__BROKERS", brokers),
        ("NJIA__KAFKA__TOPIC", TOPIC),
    ]
}

/// The ids of what the journals below `root` hold and a topic must have. Nobody writes them.
fn written(root: &Path) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for shard in (0..SHARDS).map(ShardId) {
        let mut reader = ShardReader::open(root, shard, Lsn::ZERO).unwrap();
        let journal = reader.identity().journal;
        while let Some(entry) = reader.next(UpTo::End).unwrap() {
            if event_type(&entry.record).is_some() {
                ids.insert(format!("{journal}-{shard}-{}", entry.lsn));
            }
        }
    }
    ids
}

/// What confluent-kafka reads, repeats deleted as a receiver does it; and how many there were.
fn read_outside(brokers: &str) -> (Vec<Seen>, u64) {
    let mut peer = Peer::python("events.py");
    let patience = PATIENCE.as_secs();
    let answer = peer.ask(&json!({ "brokers": brokers, "topic": TOPIC, "patience": patience }));
    assert!(answer["error"].is_null(), "{}", answer["error"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let seen = |event: &Value| Seen {
        partition: i32::try_from(event["partition"].as_i64().unwrap()).unwrap(),
        key: text(&event["key"]),
        timestamp: event["timestamp"].as_i64().unwrap(),
        headers: event["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        value: text(&event["value"]),
    };
    let events = answer["events"].as_array().unwrap();
    let events = events.iter().map(seen).collect();
    (events, answer["repeats"].as_u64().unwrap())
}

/// Approved, with everything of a card.
fn buy_with_card(session: &mut Session, stan: &str) {
    session.send(&with_card(&purchase(stan))).unwrap();
    let answer = session.receive().unwrap();
    assert_eq!(
        (answer.mti().as_str(), answer.text(39).as_str()),
        ("0210", "00")
    );
}

/// The card of [`buy_with_card`] is there three times, masked, and nothing else of it.
#[track_caller]
fn check_masked(messages: &[Seen], log: &str) {
    let texts = messages.iter().map(|message| format!("{message:?}"));
    let texts = texts.chain([log.to_owned()]);
    let kept: Vec<_> = texts
        .map(|text| (text.clone(), text.into_bytes()))
        .collect();
    assert_eq!(traces(&kept), Vec::<String>::new());
    let shown = messages.iter().filter(|seen| seen.value.contains(MASKED));
    assert!(shown.count() >= 3, "the card was there");
    let account = [("account".to_owned(), ACCOUNT.as_bytes().to_vec())];
    assert_ne!(traces(&account), Vec::<String>::new(), "and would be found");
}

#[track_caller]
fn await_metric(node: &Node, name: &str, found: impl Fn(f64) -> bool) {
    let waited = eventually(PATIENCE, || node.metric(name, &[]).is_ok_and(&found));
    assert!(waited, "never: {name}\n{}", node.log());
}

#[test]
fn a_receiver_outside_has_everything_that_a_switch_has_written_across_a_kill() {
    let _machine = alone();
    let cluster = Cluster::start();
    let brokers = cluster.brokers();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "events-kill");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let state = folder.join("state");
    let start = || {
        let environment = environment(&brokers);
        Node::start(Build::WithEvents, &state, issuers.addresses(), &environment).unwrap()
    };
    let node = start();
    let load = Load {
        rate: 200,
        duration: "60s".to_owned(),
        warmup: "0s".to_owned(),
        timeout: "2s".to_owned(),
        seed: 8,
        connections: 4,
        more: Vec::new(),
    };
    let load = load.start(node.listener(), &folder.join("load")).unwrap();
    await_metric(&node, "njia_events_published_total", |events| {
        events > 500.0
    });
    await_metric(&node, "njia_events_watermark", |lsn| lsn > 0.0);
    node.kill().unwrap();
    load.abandon().unwrap();
    assert!(!watermarks(&state.join("journal")).unwrap().is_empty());

    let node = start();
    let mut session = Session::connect(node.listener()).unwrap();
    for stan in ["000001", "000002", "000003"] {
        buy_with_card(&mut session, stan);
    }
    node.settle(PATIENCE).unwrap();
    await_metric(&node, "njia_events_lag_records", |records| records == 0.0);
    assert!(node.metric("njia_events_watermark", &[]).unwrap() > 0.0);
    let journal = node.journal().to_owned();
    let log = node.log();
    assert!(node.terminate().unwrap().success());

    let expected = written(&journal);
    let saved = watermarks(&journal).unwrap();
    assert_eq!(
        saved.len(),
        usize::from(SHARDS),
        "a stop catches up and saves: {saved:?}"
    );
    let (seen, repeats) = read_outside(&brokers);
    assert_eq!(check(&seen, &expected), 0, "the receiver has deleted them");
    println!("{} events, {repeats} repeats after the kill", seen.len());
    let inside = cluster.read();
    assert_eq!(
        check(&inside, &expected) as u64,
        repeats,
        "both count the same"
    );
    assert_eq!(inside.len() as u64, seen.len() as u64 + repeats);

    check_masked(&inside, &log);
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn brokers_that_are_away_hold_up_nobody() {
    let _machine = alone();
    let cluster = Cluster::start();
    cluster.0.broker_down(-1).unwrap();
    let brokers = cluster.brokers();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "events-away");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let state = folder.join("state");
    let environment = environment(&brokers);
    let node = Node::start(Build::WithEvents, &state, issuers.addresses(), &environment).unwrap();
    let mut session = Session::connect(node.listener()).unwrap();
    for stan in 1..=50 {
        session.send(&purchase(&format!("{stan:06}"))).unwrap();
        let answer = session.receive().unwrap();
        assert_eq!(
            (answer.mti().as_str(), answer.text(39).as_str()),
            ("0210", "00")
        );
    }
    await_metric(&node, "njia_events_lag_records", |records| records >= 100.0);
    await_metric(&node, "njia_events_lag_seconds", |seconds| seconds > 0.0);
    await_metric(&node, "njia_events_failures_total", |failures| {
        failures > 0.0
    });
    assert_eq!(
        node.metric("njia_events_published_total", &[]).unwrap(),
        0.0
    );
    cluster.0.broker_up(-1).unwrap();
    await_metric(&node, "njia_events_lag_records", |records| records == 0.0);
    let journal = node.journal().to_owned();
    assert!(node.terminate().unwrap().success());
    check(&cluster.read(), &written(&journal));
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_switch_without_events_refuses_to_start_and_says_how_to_build_one() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "events-refused");
    let nowhere = [([127, 0, 0, 1], 9).into(); 2];
    let environment = environment("127.0.0.1:9092");
    let state = folder.join("state");
    let mut process = Process::start(Build::Product, &state, nowhere, &environment).unwrap();
    let mut ended = None;
    let has_ended = eventually(PATIENCE, || {
        ended = process.ended().unwrap();
        ended.is_some()
    });
    assert!(has_ended && !ended.unwrap().success(), "{ended:?}");
    let told = process.log_end();
    assert!(told.contains("--features kafka"), "{told}");
    assert!(!process.is_ready());
    fs::remove_dir_all(&folder).unwrap();
}
