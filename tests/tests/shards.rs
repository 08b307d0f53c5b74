//! The number of shards changes between two starts: what was answered, what is owed and what was
//! counted goes over, once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::desk::answered;
use njia_tests::e2e::scene::{ALONE, Scene, asked, next, reversal, told};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{
    Build, Issuers, Load, Node, Process, Session, alone, concatenated, eventually, folder,
};
use njia_tests::postgres::{Cluster, Stop};

const SCHEMA: &str = "njia_shards";
const SOON: Duration = Duration::from_secs(60);

/// Many shards need little room.
const SMALL: (&str, &str) = ("NJIA__JOURNAL__SEGMENT_BYTES", "8388608");

fn shards(count: &str) -> (&str, &str) {
    ("NJIA__NODE__SHARDS", count)
}

fn repeat(purchase: &[u8]) -> Vec<u8> {
    [b"0201", &purchase[4..]].concat()
}

/// The bank says yes to the next message.
#[track_caller]
fn yes(link: &mut Session, mti: &str) {
    let request = asked(link, mti);
    link.send(&answered(&request, "00")).unwrap();
}

#[test]
fn what_was_answered_and_what_is_owed_outlives_every_count() {
    let _machine = alone();
    let (scene, mut link) = Scene::open("shards-chain", &[shards("1"), SMALL, ALONE]);
    let mut session = scene.session();
    let stans = ["000001", "000002", "000003", "000004"];
    let purchases = stans.map(purchase);
    for (stan, purchase) in stans.into_iter().zip(&purchases) {
        session.send(purchase).unwrap();
        yes(&mut link, "0200");
        assert_eq!(next(&mut session), told("0210", stan, "00"));
    }
    // A reversal of nothing known, and a purchase that the bank leaves open.
    let buried = purchase("000005");
    session
        .send(&reversal(*b"0420", "000006", &buried))
        .unwrap();
    assert_eq!(next(&mut session), told("0430", "000006", "00"));
    let open = purchase("000007");
    session.send(&open).unwrap();
    let first_asked = asked(&mut link, "0200");

    let mut before = scene;
    for (place, count) in ["2", "5", "1"].into_iter().enumerate() {
        let (scene, mut link) = before.killed_for(&[shards(count)]);
        assert!(
            scene
                .node
                .log()
                .contains("the journal goes on with another number of shards")
        );
        if place == 0 {
            // What was open is taken back, by a number that the first request still holds.
            let back = asked(&mut link, "0420");
            assert_eq!(back.text(90)[4..10], first_asked.text(11));
            link.send(&answered(&back, "00")).unwrap();
        }
        let mut session = scene.session();
        for (at, (stan, purchase)) in stans.into_iter().zip(&purchases).enumerate() {
            session.send(&repeat(purchase)).unwrap();
            let (_, answered, code) = next(&mut session);
            assert_eq!(answered, stan);
            assert_eq!(
                code == "00",
                at >= place,
                "{stan}: what was reversed is no approval"
            );
        }
        // The original that was reversed before it came stays where it is.
        session.send(&buried).unwrap();
        assert_ne!(next(&mut session).2, "00", "a tombstone");
        // An approval of the first count is taken back now.
        let stan = ["000011", "000012", "000013"][place];
        session
            .send(&reversal(*b"0420", stan, &purchases[place]))
            .unwrap();
        yes(&mut link, "0420");
        assert_eq!(next(&mut session), told("0430", stan, "00"));
        scene.await_that("nothing is owed", || {
            scene.metric("njia_saf_depth", &[]) == 0.0
        });
        assert_eq!(scene.unmatched_at_all(), 0.0);
        drop(link);
        before = scene;
    }
    before.node.kill().unwrap();
}

/// Ends the process when it has begun to write the new generation, or has just taken it up.
fn kill_in_mid_change(state: &Path, issuers: &Issuers, generation: u32, count: &str) {
    let environment = [shards(count), SMALL];
    let process = Process::start(Build::Product, state, issuers.addresses(), &environment).unwrap();
    let new = state.join("journal").join(generation.to_string());
    let begun = || new.exists() || process.is_ready();
    assert!(eventually(SOON, begun), "{}", process.log_end());
    process.kill().unwrap();
}

#[test]
fn j10_a_start_that_is_killed_while_it_deals_anew_is_begun_again() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "shards-killed");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let state = folder.join("state");
    let start = |count| {
        Node::start(
            Build::Product,
            &state,
            issuers.addresses(),
            &[shards(count), SMALL],
        )
        .unwrap()
    };
    let node = start("1");
    let mut session = Session::connect(node.listener()).unwrap();
    let first = purchase("000001");
    session.send(&first).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    let journal = node.journal().to_owned();
    node.kill().unwrap();
    for _ in 0..3 {
        kill_in_mid_change(&state, &issuers, 2, "3");
    }
    // What was left half made by whatever came before is no journal.
    let ahead = journal.join("9").join("0");
    fs::create_dir_all(&ahead).unwrap();
    fs::write(ahead.join("00000001.seg"), "half").unwrap();
    let node = start("3");
    assert!(!ahead.exists());
    let mut session = Session::connect(node.listener()).unwrap();
    session.send(&repeat(&first)).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    node.kill().unwrap();
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_the_shards_before_have_left_goes_when_postgresql_has_it() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "shards-retired");
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let state = folder.join("state");
    let start = |count| {
        let environment = [
            shards(count),
            SMALL,
            ("NJIA__JOURNAL__RETENTION_S", "0"),
            ("NJIA__POSTGRES__URL", url.as_str()),
            ("NJIA__POSTGRES__SCHEMA", SCHEMA),
            ("NJIA__POSTGRES__MIGRATE", "true"),
        ];
        Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap()
    };
    let answered = |node: &Node, bytes: &[u8], stan| {
        let mut session = Session::connect(node.listener()).unwrap();
        session.send(bytes).unwrap();
        assert_eq!(next(&mut session), told("0210", stan, "00"));
    };
    let kept = |node: &Node| {
        node.metric("njia_journal_earlier_generations", &[])
            .unwrap()
    };
    let first = purchase("000001");
    let node = start("1");
    let migrated = || node.metric("njia_applier_connected", &[]).unwrap() == 1.0;
    assert!(eventually(SOON, migrated), "{}", node.log());
    cluster.stop(Stop::Fast).unwrap();
    answered(&node, &first, "000001");
    let before = node.journal().join("1");
    node.kill().unwrap();
    let node = start("2");
    answered(&node, &purchase("000002"), "000002");
    assert!(before.exists(), "PostgreSQL is away: {}", node.log());
    assert_eq!(kept(&node), 1.0);
    cluster.resume().unwrap();
    let gone = || kept(&node) == 0.0 && !before.exists();
    assert!(eventually(SOON, gone), "{}", node.log());
    node.kill().unwrap();
    // It is missed by nobody: not at a start, not at the next change.
    for count in ["2", "1"] {
        let node = start(count);
        answered(&node, &repeat(&first), "000001");
        let copied = || {
            let connected = node.metric("njia_applier_connected", &[]).unwrap() == 1.0;
            connected && node.metric("njia_applier_lag_records", &[]).unwrap() == 0.0
        };
        assert!(eventually(SOON, copied), "{}", node.log());
        node.kill().unwrap();
    }
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn acquirers_issuers_journals_and_postgresql_agree_over_every_count() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "shards-load");
    let cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let issuers = Issuers::start(&folder, Duration::from_millis(10)).unwrap();
    let state = folder.join("state");
    let start = |count| {
        let environment = [
            shards(count),
            SMALL,
            ("NJIA__POSTGRES__URL", url.as_str()),
            ("NJIA__POSTGRES__SCHEMA", SCHEMA),
            ("NJIA__POSTGRES__MIGRATE", "true"),
        ];
        Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap()
    };
    let mut acks: Vec<PathBuf> = Vec::new();
    for (seed, count) in (1_u32..).zip(["1", "2", "1", "2", "5"]) {
        if seed > 1 {
            kill_in_mid_change(&state, &issuers, seed, count);
        }
        let node = start(count);
        let load = Load {
            rate: 150,
            duration: "4s".to_owned(),
            warmup: "1s".to_owned(),
            timeout: "5s".to_owned(),
            seed: u64::from(seed),
            connections: 8,
            more: Vec::new(),
        };
        let running = load.start(node.listener(), &folder.join(seed.to_string()));
        acks.push(running.unwrap().finish().unwrap().acks);
        node.kill().unwrap();
    }
    let node = start("1");
    node.settle(SOON).unwrap();
    let lag = || node.metric("njia_applier_lag_records", &[]).unwrap();
    let connected = || node.metric("njia_applier_connected", &[]).unwrap() == 1.0;
    assert!(
        eventually(SOON, || connected() && lag() == 0.0),
        "lag {}\n{}",
        lag(),
        node.log()
    );
    let journal = node.journal().to_owned();
    assert!(node.terminate().unwrap().success());
    let mut verify = Command::new(Build::Product.njia());
    verify.args(["inspect", "journal", "verify"]).arg(&journal);
    let verified = verify.output().unwrap();
    let told = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{told}");
    assert!(
        told.contains("(sealed)"),
        "every generation is read: {told}"
    );
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
