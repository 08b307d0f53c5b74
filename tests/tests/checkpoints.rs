//! The journal of a running switch stays within its budget: checkpoints stand for what is over, and
//! segments go behind the last consumer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::scene::{next, told};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{
    Build, Issuers, Load, Node, Process, Session, alone, concatenated, eventually, folder,
};
use njia_tests::postgres::{Cluster, Sql, Stop};
use persistence::layout::{Entry, classify};

const SCHEMA: &str = "njia_checkpoints";
const SOON: Duration = Duration::from_secs(60);
const BUDGET: u64 = 40 << 20;
/// Rounds of load until segments must have gone: each writes some ten megabytes.
const ROUNDS_MAX: u32 = 40;

fn small<'a>() -> Vec<(&'a str, &'a str)> {
    vec![
        ("NJIA__NODE__SHARDS", "1"),
        ("NJIA__JOURNAL__SEGMENT_BYTES", "8388608"),
        ("NJIA__JOURNAL__BYTES_MAX", "41943040"),
        ("NJIA__JOURNAL__CHECKPOINT_BYTES", "8388608"),
        ("NJIA__LIMITS__REQUEST_WAIT_MAX_MS", "2000"),
    ]
}

fn with_postgres(url: &str) -> Vec<(&str, &str)> {
    let mut environment = small();
    environment.extend([
        ("NJIA__POSTGRES__URL", url),
        ("NJIA__POSTGRES__SCHEMA", SCHEMA),
        ("NJIA__POSTGRES__MIGRATE", "true"),
    ]);
    environment
}

fn load(node: &Node, seed: u32, into: &Path) -> PathBuf {
    let load = Load {
        rate: 300,
        duration: "3s".to_owned(),
        warmup: "1s".to_owned(),
        timeout: "5s".to_owned(),
        seed: u64::from(seed),
        connections: 8,
        more: Vec::new(),
    };
    let running = load.start(node.listener(), &into.join(seed.to_string()));
    running.unwrap().finish().unwrap().acks
}

/// The numbers of segments and of checkpoints of the only shard, and the bytes of the segments.
fn on_disk(journal: &Path) -> (Vec<u64>, Vec<u64>, u64) {
    let (mut segments, mut checkpoints, mut bytes) = (Vec::new(), Vec::new(), 0);
    for entry in fs::read_dir(journal.join("1/0")).unwrap().flatten() {
        match classify(entry.file_name().to_str().unwrap()) {
            Entry::Segment(number) => {
                segments.push(number);
                // One that is removed at this moment has no length.
                bytes += entry.metadata().map_or(0, |found| found.len());
            }
            Entry::Checkpoint(number) => checkpoints.push(number),
            _ => {}
        }
    }
    segments.sort_unstable();
    (segments, checkpoints, bytes)
}

fn first_segment(journal: &Path) -> u64 {
    on_disk(journal).0.first().copied().unwrap()
}

#[track_caller]
fn answered(node: &Node, bytes: &[u8], stan: &str) {
    let mut session = Session::connect(node.listener()).unwrap();
    session.send(bytes).unwrap();
    assert_eq!(next(&mut session), told("0210", stan, "00"));
}

fn repeat(purchase: &[u8]) -> Vec<u8> {
    [b"0201", &purchase[4..]].concat()
}

fn inspect(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(Build::Product.njia())
        .arg("inspect")
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), told)
}

#[test]
fn acquirers_issuers_journal_and_postgresql_agree_when_early_segments_are_gone() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "checkpoints-load");
    let cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let issuers = Issuers::start(&folder, Duration::from_millis(5)).unwrap();
    let state = folder.join("state");
    let environment = with_postgres(&url);
    let start = || Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap();
    let mut acks: Vec<PathBuf> = Vec::new();
    let mut node = start();
    let journal = node.journal().to_owned();
    for seed in 1..=ROUNDS_MAX {
        acks.push(load(&node, seed, &folder));
        assert!(on_disk(&journal).2 <= BUDGET);
        node.kill().unwrap();
        node = start();
        if first_segment(&journal) > 4 {
            break;
        }
    }
    assert!(first_segment(&journal) > 4, "{}", node.log());
    node.settle(SOON).unwrap();
    let lag = || node.metric("njia_applier_lag_records", &[]).unwrap();
    let connected = || node.metric("njia_applier_connected", &[]).unwrap() == 1.0;
    assert!(
        eventually(SOON, || connected() && lag() == 0.0),
        "{}",
        node.log()
    );
    assert!(node.terminate().unwrap().success());
    let place = journal.to_str().unwrap();
    let (good, text) = inspect(&["journal", "verify", place]);
    assert!(good && text.contains("checkpoint before segment"), "{text}");
    let ledgers = issuers.ledgers();
    issuers.finish().unwrap();
    let found = audit(&Inputs {
        acks: concatenated(&folder, &acks).unwrap(),
        gateway: None,
        journal,
        ledgers,
        database: Some((url, SCHEMA.to_owned())),
    })
    .unwrap();
    assert!(found.passed(), "{found}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn without_postgresql_the_budget_bounds_the_journal_and_nothing_known_is_forgotten() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "checkpoints-budget");
    let issuers = Issuers::start(&folder, Duration::from_millis(5)).unwrap();
    let state = folder.join("state");
    let start = |count: &str| {
        let mut environment = small();
        environment.push(("NJIA__NODE__SHARDS", count));
        Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap()
    };
    let node = start("1");
    let journal = node.journal().to_owned();
    let first = purchase("900001");
    answered(&node, &first, "900001");
    for seed in 1..=ROUNDS_MAX {
        load(&node, seed, &folder);
        assert!(on_disk(&journal).2 <= BUDGET);
        if first_segment(&journal) > 3 {
            break;
        }
    }
    assert!(first_segment(&journal) > 3, "{}", node.log());
    assert!(node.metric("njia_checkpoints_total", &[]).unwrap() >= 1.0);
    assert!(
        node.metric("njia_journal_segments_retired_total", &[])
            .unwrap()
            >= 3.0
    );
    node.kill().unwrap();
    let node = start("1");
    answered(&node, &repeat(&first), "900001");
    node.kill().unwrap();
    let place = journal.to_str().unwrap();
    let (found, text) = inspect(&["transaction", "--stan", "900001", "--journal", place]);
    assert!(found, "{text}");
    let (_, text) = inspect(&["journal", "export", place, "--type", "intent"]);
    assert!(text.contains("\"carried\":true"));
    // What lies in a checkpoint goes over as what lies in segments does.
    let node = start("2");
    answered(&node, &repeat(&first), "900001");
    node.kill().unwrap();
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn segments_wait_for_postgresql_whatever_a_checkpoint_covers() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "checkpoints-watermark");
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let issuers = Issuers::start(&folder, Duration::from_millis(5)).unwrap();
    let state = folder.join("state");
    let mut environment = with_postgres(&url);
    environment.push(("NJIA__JOURNAL__RETENTION_S", "0"));
    let node = Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap();
    let journal = node.journal().to_owned();
    let connected = || node.metric("njia_applier_connected", &[]).unwrap() == 1.0;
    assert!(eventually(SOON, connected), "{}", node.log());
    cluster.stop(Stop::Fast).unwrap();
    for seed in 1..=ROUNDS_MAX {
        load(&node, seed, &folder);
        if node.metric("njia_checkpoints_total", &[]).unwrap() >= 1.0 {
            break;
        }
    }
    let (segments, checkpoints, _) = on_disk(&journal);
    assert!(!checkpoints.is_empty(), "{}", node.log());
    assert_eq!(segments.first(), Some(&1), "PostgreSQL is away");
    node.kill().unwrap();
    let node = Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap();
    assert_eq!(first_segment(&journal), 1, "and after a start");
    cluster.resume().unwrap();
    let gone = || first_segment(&journal) > 1;
    assert!(eventually(SOON, gone), "{}", node.log());
    node.kill().unwrap();
    // A database that has less than that is not written to: rows between would be missing.
    let mut client = Sql::connect(&url).unwrap();
    client
        .run(&format!("DROP SCHEMA {SCHEMA} CASCADE"))
        .unwrap();
    let addresses = issuers.addresses();
    let mut refused = Process::start(Build::Product, &state, addresses, &environment).unwrap();
    let mut ended = None;
    assert!(eventually(SOON, || {
        ended = refused.ended().unwrap();
        ended.is_some()
    }));
    let told = refused.log_end();
    assert_eq!(ended.and_then(|status| status.code()), Some(65), "{told}");
    assert!(told.contains("J19"), "{told}");
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
