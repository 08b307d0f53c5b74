//! `node.durability = "postgres"`: what an acquirer is told, PostgreSQL has, whatever becomes of
//! the server, of the switch, or of the disk under its journal.

use std::fs;
use std::time::Duration;

use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::desk::answered;
use njia_tests::e2e::missing::missing;
use njia_tests::e2e::scene::{ALONE, Scene, asked, next, reversal, told};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{Build, Issuers, Load, Node, alone, eventually, folder, pause};
use njia_tests::postgres::{Cluster, Stop};

const SCHEMA: &str = "njia_durability";
/// No answer is given up, and nothing is shed, within a test.
const PATIENT: [(&str, &str); 2] = [
    ("NJIA__POSTGRES__SHED_AFTER_MS", "60000"),
    ("NJIA__POSTGRES__ANSWER_WAIT_MAX_MS", "60000"),
];
const HASTY: [(&str, &str); 2] = [
    ("NJIA__POSTGRES__SHED_AFTER_MS", "200"),
    ("NJIA__POSTGRES__ANSWER_WAIT_MAX_MS", "500"),
];

fn environment<'a>(
    url: &'a str,
    durability: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let always = [
        ("NJIA__NODE__DURABILITY", durability),
        ("NJIA__POSTGRES__URL", url),
        ("NJIA__POSTGRES__SCHEMA", SCHEMA),
        ("NJIA__POSTGRES__MIGRATE", "true"),
    ];
    [&always, more].concat()
}

fn await_waiting(scene: &Scene, answers: f64) {
    scene.await_that("answers wait", || {
        scene.metric("njia_answers_waiting", &[]) == answers
    });
}

#[test]
fn an_answer_waits_for_postgresql_and_a_reversal_meanwhile_takes_it_back() {
    let _machine = alone();
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let more = [&[ALONE], PATIENT.as_slice()].concat();
    let (scene, mut link) = Scene::open("durability-waits", &environment(&url, "postgres", &more));
    let mut session = scene.session();
    let approve = |link: &mut _, mti| {
        let request = asked(link, mti);
        link.send(&answered(&request, "00")).unwrap();
    };
    let first = purchase("000001");
    session.send(&first).unwrap();
    approve(&mut link, "0200");
    assert_eq!(next(&mut session), told("0210", "000001", "00"));

    cluster.stop(Stop::Fast).unwrap();
    let second = purchase("000002");
    session.send(&second).unwrap();
    approve(&mut link, "0200");
    await_waiting(&scene, 1.0);
    session.send(&[b"0201", &second[4..]].concat()).unwrap();
    await_waiting(&scene, 2.0);
    assert!(!session.has_more().unwrap(), "nothing is told");
    cluster.resume().unwrap();
    assert_eq!(next(&mut session), told("0210", "000002", "00"));
    assert_eq!(next(&mut session), told("0210", "000002", "00"));

    cluster.stop(Stop::Fast).unwrap();
    let third = purchase("000003");
    session.send(&third).unwrap();
    approve(&mut link, "0200");
    await_waiting(&scene, 1.0);
    session.send(&reversal(*b"0420", "000004", &third)).unwrap();
    approve(&mut link, "0420");
    await_waiting(&scene, 2.0);
    assert!(
        !session.has_more().unwrap(),
        "the reversal is not told either"
    );
    cluster.resume().unwrap();
    assert_eq!(next(&mut session), told("0430", "000004", "00"));
    await_waiting(&scene, 0.0);
    assert!(
        !session.has_more().unwrap(),
        "what was taken back is not told"
    );
    scene.close_with(link);
}

#[test]
fn fault_039_new_requests_are_shed_while_answers_wait_and_nothing_is_reversed_for_it() {
    let _machine = alone();
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let more = [&[ALONE], HASTY.as_slice()].concat();
    let (scene, mut link) = Scene::open("durability-sheds", &environment(&url, "postgres", &more));
    let ready = || {
        let status = scene.node.status().unwrap();
        status["ready"]["postgres_keeps_up"] == true
    };
    scene.await_that("the applier is connected", || {
        scene.metric("njia_applier_connected", &[]) == 1.0
    });
    let mut session = scene.session();
    cluster.stop(Stop::Fast).unwrap();
    let request = purchase("000001");
    session.send(&request).unwrap();
    let at_bank = asked(&mut link, "0200");
    link.send(&answered(&at_bank, "00")).unwrap();
    scene.await_that("its answer is given up", || {
        scene.metric("njia_answers_given_up_total", &[]) == 1.0
    });
    scene.await_that("the switch is not ready", || !ready());
    // Its owner refuses it, whichever shard that is.
    for stan in ["000002", "000003", "000004", "000005"] {
        session.send(&purchase(stan)).unwrap();
    }
    let refused = || scene.metric("njia_rejected_total", &["postgres_behind"]);
    let shed = || refused() + scene.metric("njia_rejected_total", &["\"shed\""]);
    scene.await_that("new requests are refused", || shed() >= 1.0);

    cluster.resume().unwrap();
    scene.await_that("the switch is ready", ready);
    let mut again = scene.session();
    again.send(&[b"0201", &request[4..]].concat()).unwrap();
    assert_eq!(next(&mut again), told("0210", "000001", "00"));
    assert_eq!(scene.metric("njia_saf_depth", &[]), 0.0);
    assert_eq!(scene.metric("njia_reversals_total", &[]), 0.0);
    drop(link);
    scene.node.kill().unwrap();
}

/// PostgreSQL is away twice under load; in the middle of the second time the switch is killed, and
/// its journal with it. How much of what was told is in PostgreSQL.
struct Crash {
    folder: std::path::PathBuf,
    cluster: Cluster,
    issuers: Issuers,
    acks: std::path::PathBuf,
    refused: f64,
    missing: u64,
}

fn crash(durability: &str) -> Crash {
    let name = format!("durability-crash-{durability}");
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), &name);
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let issuers = Issuers::start(&folder, Duration::from_millis(10)).unwrap();
    let hasty = environment(&url, durability, &HASTY);
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &hasty).unwrap();
    let load = Load {
        rate: 200,
        duration: "300s".to_owned(),
        warmup: "1s".to_owned(),
        timeout: "2s".to_owned(),
        seed: 31,
        connections: 16,
        more: Vec::new(),
    };
    let running = load.start(node.listener(), &folder.join("load")).unwrap();
    let applied = || {
        node.metric("njia_applier_rows_total", &["inserted"])
            .unwrap()
    };
    let applies = |more: f64| {
        let before = applied();
        let moved = eventually(Duration::from_secs(60), || applied() > before + more);
        assert!(moved, "{}", node.log());
    };
    applies(300.0);
    cluster.stop(Stop::Immediate).unwrap();
    pause(Duration::from_secs(2));
    cluster.resume().unwrap();
    applies(300.0);
    let refused = node
        .metric("njia_rejected_total", &["postgres_behind"])
        .unwrap();
    cluster.stop(Stop::Immediate).unwrap();
    pause(Duration::from_secs(1));
    node.kill().unwrap();
    let acks = running.end().unwrap().acks;
    cluster.resume().unwrap();
    let missing = missing(&acks, &url, SCHEMA);
    Crash {
        folder,
        cluster,
        issuers,
        acks,
        refused,
        missing,
    }
}

#[test]
fn everything_that_was_told_is_in_postgresql_when_switch_and_journal_are_lost() {
    let _machine = alone();
    let crash = crash("postgres");
    assert_eq!(crash.missing, 0);
    assert!(crash.refused > 0.0, "new requests were shed meanwhile");
    // And with the journal kept, all is settled and agrees.
    let url = crash.cluster.url();
    let environment = environment(&url, "postgres", &HASTY);
    let state = crash.folder.join("state");
    let node = Node::start(
        Build::Product,
        &state,
        crash.issuers.addresses(),
        &environment,
    )
    .unwrap();
    node.settle(Duration::from_secs(60)).unwrap();
    let lag = || node.metric("njia_applier_lag_records", &[]).unwrap();
    let caught_up = eventually(Duration::from_secs(60), || lag() == 0.0);
    assert!(caught_up, "lag {}\n{}", lag(), node.log());
    let journal = node.journal().to_owned();
    assert!(node.terminate().unwrap().success());
    let ledgers = crash.issuers.ledgers();
    crash.issuers.finish().unwrap();
    let found = audit(&Inputs {
        acks: crash.acks,
        gateway: None,
        journal,
        ledgers,
        database: Some((url, SCHEMA.to_owned())),
    })
    .unwrap();
    assert!(found.passed(), "{found}");
    fs::remove_dir_all(&crash.folder).unwrap();
}

/// The null control: where answers wait for the journal alone, its loss is a loss.
#[test]
fn the_same_crash_loses_what_was_told_where_answers_wait_for_the_journal_alone() {
    let _machine = alone();
    let crash = crash("journal");
    assert!(crash.missing > 0, "the comparison sees what is missing");
    assert_eq!(crash.refused, 0.0);
    crash.issuers.finish().unwrap();
    fs::remove_dir_all(&crash.folder).unwrap();
}
