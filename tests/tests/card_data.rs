//! A card that nobody else has goes through every path there is, with its track, its PIN block and
//! its chip data, in good messages and in bad ones. Afterwards it is looked for, in every form that
//! it may have, wherever something is kept or told: journal, log, database with its write-ahead
//! log, metrics, what operators ask for, and what a dying process leaves behind.

#[path = "card_data/planted.rs"]
mod planted;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use njia_tests::e2e::desk::{answered, with_field};
use njia_tests::e2e::scene::{ALONE, SHORT, Scene, asked, next, reversal, told};
use njia_tests::e2e::session::{Received, Session, framed, message, purchase};
use njia_tests::e2e::{Build, alone, files};
use njia_tests::postgres::{Cluster, Sql, Stop};
use planted::{ACCOUNT, MASKED, PIN_BLOCK, TRACK_2, traces, with_card};
use rustix::process::{Resource, Rlimit, Signal, geteuid, getrlimit, setrlimit};

const SCHEMA: &str = "njia_card_data";
/// Everything is logged, nothing is closed for its errors, and the bank has to answer soon.
const LOUD: [(&str, &str); 7] = [
    ALONE,
    SHORT,
    ("NJIA_LOG", "trace"),
    ("NJIA__LIMITS__BAD_FRAMES_PER_MINUTE_MAX", "10000"),
    ("NJIA__SAF__BACKOFF_FIRST_MS", "10"),
    ("NJIA__JOURNAL__SEGMENT_BYTES", "8388608"),
    ("NJIA__POSTGRES__MIGRATE", "true"),
];

/// An issuer that gives back what it should not.
fn indiscreet(request: &Received, code: &str) -> Vec<u8> {
    let mut answer = answered(request, code);
    for (number, value) in [(35, TRACK_2.as_bytes()), (52, PIN_BLOCK)] {
        answer = planted::with_bytes(&answer, number, value);
    }
    answer
}

/// Approved, declined, repeated, doubled, reversed, advised.
fn good_ones(session: &mut Session, link: &mut Session) {
    let first = with_card(&purchase("000101"));
    for (stan, code) in [("000101", "00"), ("000102", "51")] {
        let message = match stan {
            "000101" => first.clone(),
            _ => with_card(&purchase(stan)),
        };
        session.send(&message).unwrap();
        let request = asked(link, "0200");
        assert_eq!(request.text(2), ACCOUNT, "the issuer needs it");
        link.send(&indiscreet(&request, code)).unwrap();
        assert_eq!(next(session), told("0210", stan, code));
    }
    session.send(&[b"0201", &first[4..]].concat()).unwrap();
    assert_eq!(next(session), told("0210", "000101", "00"));
    let other = with_field(&first, 4, "000000001600");
    session.send(&other).unwrap();
    assert_eq!(next(session), told("0210", "000101", "94"));

    for (stan, original) in [("000103", "000101"), ("000104", "000199")] {
        let taken = reversal(*b"0420", stan, &with_card(&purchase(original)));
        session.send(&with_card(&taken)).unwrap();
        assert_eq!(next(session), told("0430", stan, "00"));
    }
    let owed = link.receive().unwrap();
    assert!(owed.mti().starts_with("042"));
    link.send(&indiscreet(&owed, "00")).unwrap();

    let advice = with_field(&purchase("000105"), 39, "00");
    let advice = with_card(&[b"0220", &advice[4..]].concat());
    session.send(&advice).unwrap();
    assert_eq!(next(session), told("0230", "000105", "00"));
    let owed = link.receive().unwrap();
    assert!(owed.mti().starts_with("022"));
    link.send(&indiscreet(&owed, "00")).unwrap();

    let completion = with_card(&purchase("000106"));
    session.send(&[b"0202", &completion[4..]].concat()).unwrap();
    assert_eq!(next(session), told("0212", "000106", "25"));
}

/// Nobody answers in time; what is owed for it is refused until people have to look at it.
fn late_one(scene: &Scene, session: &mut Session, link: &mut Session) {
    session.send(&with_card(&purchase("000107"))).unwrap();
    let request = asked(link, "0200");
    assert_eq!(next(session), told("0210", "000107", "91"));
    link.send(&indiscreet(&request, "00")).unwrap();
    for _ in 0..3 {
        let owed = link.receive().unwrap();
        assert!(owed.mti().starts_with("042"));
        link.send(&indiscreet(&owed, "30")).unwrap();
    }
    scene.await_that("people have to look at it", || {
        scene.metric("njia_saf_exceptions", &[]) == 1.0
    });
}

fn echo() -> Vec<u8> {
    message(*b"0800", &[(7, "1122030405"), (11, "000109"), (70, "301")])
}

/// Messages that are cut, of types that nobody serves, or not asked for.
fn bad_ones(scene: &Scene, session: &mut Session, link: &mut Session) {
    let whole = with_card(&purchase("000108"));
    for cut in (24..whole.len()).step_by(5) {
        let mut session = scene.session();
        session.send_raw(&framed(&whole[..cut])).unwrap();
        // Told 30, or closed: the switch is done with it.
        session.receive().ok();
    }
    for mti in [b"0300", b"0210", b"0110", b"9200", b"0208", b"0800"] {
        let mut session = scene.session();
        session.send(&[mti, &whole[4..]].concat()).unwrap();
        // What is never answered is behind it once its echo is.
        session.send(&echo()).unwrap();
        session.receive().ok();
    }
    let before = scene.unmatched_at_all();
    let unasked = with_field(&purchase("999998"), 39, "00");
    let unasked = with_card(&[b"0210", &unasked[4..]].concat());
    link.send(&unasked).unwrap();
    scene.await_that("it was not matched", || scene.unmatched_at_all() > before);
    session.send(&echo()).unwrap();
    assert_eq!(next(session), told("0810", "000109", "00"));
}

/// From here on PostgreSQL refuses what one STAN names.
fn refuse_rows(url: &str) {
    let sql = format!(
        "ALTER TABLE {SCHEMA}.transaction ADD CONSTRAINT planted CHECK (stan <> 111) NOT VALID"
    );
    Sql::connect(url).unwrap().run(&sql).unwrap();
}

fn refused_row(scene: &Scene, session: &mut Session, link: &mut Session) {
    session.send(&with_card(&purchase("000111"))).unwrap();
    let request = asked(link, "0200");
    link.send(&indiscreet(&request, "00")).unwrap();
    assert_eq!(next(session), told("0210", "000111", "00"));
    scene.await_that("its row is in quarantine", || {
        scene.metric("njia_applier_rows_total", &["quarantined"]) >= 1.0
    });
}

/// What operators can ask a switch and its journal.
fn answers(scene: &Scene, url: &str) -> Vec<(String, Vec<u8>)> {
    let journal = scene.node.journal().display().to_string();
    let socket = scene.node.socket().display().to_string();
    let asked: [&[&str]; 10] = [
        &["saf", "list", "--exceptions", "--socket", &socket],
        &["saf", "list", "--exceptions", "--json", "--socket", &socket],
        &["inspect", "journal", "verify", &journal],
        &["inspect", "journal", "stat", &journal],
        &["inspect", "journal", "cat", &journal],
        &["inspect", "journal", "export", &journal],
        &[
            "inspect",
            "transaction",
            "--stan",
            "000101",
            "--journal",
            &journal,
        ],
        &[
            "inspect",
            "transaction",
            "--stan",
            "000111",
            "--journal",
            &journal,
            "--json",
        ],
        &[
            "report",
            "settlement",
            "--db",
            url,
            "--schema",
            SCHEMA,
            "--date",
            "2026-01-01",
        ],
        &["config", "defaults"],
    ];
    let mut said: Vec<(String, Vec<u8>)> = asked
        .iter()
        .map(|arguments| {
            let output = Command::new(Build::Product.njia())
                .args(*arguments)
                .output();
            let output = output.unwrap();
            assert!(!output.stdout.is_empty(), "{arguments:?}: {output:?}");
            (arguments.join(" "), [output.stdout, output.stderr].concat())
        })
        .collect();
    for page in ["/metrics", "/statusz", "/readyz"] {
        said.push((page.to_owned(), scene.node.page(page).unwrap().into_bytes()));
    }
    said
}

/// Core files as large as this process may allow its children; what it could allow before.
fn allow_core_files() -> bool {
    let limit = getrlimit(Resource::Core);
    let widest = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Core, widest).unwrap();
    limit.maximum != Some(0)
}

/// Whether whoever runs this may lock all memory.
fn may_lock_memory() -> bool {
    geteuid().is_root() || getrlimit(Resource::Memlock).maximum.is_none()
}

/// Whether this machine writes them at all.
fn writes_core_files(folder: &Path) -> bool {
    let mut dying = Command::new("sh");
    dying.args(["-c", "kill -ABRT $$"]).current_dir(folder);
    dying.status().unwrap().core_dumped()
}

/// No core file, and no page that may be swapped out where that can be had.
fn check_process(scene: &Scene, locks: bool) {
    let limits = scene.node.process_file("limits").unwrap();
    let none = |line: &str| {
        line.split_whitespace()
            .skip(4)
            .take(2)
            .all(|limit| limit == "0")
    };
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    assert!(core.is_some_and(none), "{limits}");
    let status = scene.node.process_file("status").unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    let is_locked = locked.is_some_and(|size| size.trim() != "0 kB");
    assert_eq!(is_locked, locks, "{status}");
    println!("this user may lock memory, and so it is: {locks}");
}

#[test]
fn what_is_planted_is_kept_and_told_nowhere() {
    let _machine = alone();
    let may_have = allow_core_files();
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let mut environment = LOUD.to_vec();
    environment.push(("NJIA__POSTGRES__URL", &url));
    environment.push(("NJIA__POSTGRES__SCHEMA", SCHEMA));
    let locks = may_lock_memory();
    if locks {
        environment.push(("NJIA__NODE__LOCK_MEMORY", "true"));
    }
    let (scene, mut link) = Scene::open("card-data", &environment);
    let mut session = scene.session();
    good_ones(&mut session, &mut link);
    late_one(&scene, &mut session, &mut link);
    bad_ones(&scene, &mut session, &mut link);
    refuse_rows(&url);
    refused_row(&scene, &mut session, &mut link);
    // No frame at all: whatever becomes of the link, its bytes go nowhere.
    link.send_raw(&framed(&with_card(&purchase("000112"))[1..]))
        .unwrap();
    scene.await_that("the bank's answer cannot be read", || {
        scene.metric("njia_parse_errors_total", &["issuer"]) >= 1.0
    });
    let said = answers(&scene, &url);
    let shown = |(_, bytes): &(String, Vec<u8>)| String::from_utf8_lossy(bytes).contains(MASKED);
    assert!(said.iter().any(shown), "the transactions are there, masked");
    assert_eq!(traces(&said), Vec::<String>::new());

    let state = scene.node.journal().parent().unwrap().to_owned();
    let sub_folder = state.join("dying");
    fs::create_dir(&sub_folder).unwrap();
    let can = may_have && writes_core_files(&sub_folder);
    fs::remove_dir_all(&sub_folder).unwrap();
    check_process(&scene, locks);
    let (scene, ended) = scene.signalled(Signal::ABORT);
    assert!(
        ended.signal().is_some() && !ended.core_dumped(),
        "{ended:?}"
    );
    println!("other processes leave core files here: {can}");

    cluster.stop(Stop::Fast).unwrap();
    let mut kept = files(&state);
    let bytes = kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    assert!(bytes > 1 << 20, "journal and log: {bytes}");
    kept.extend(files(cluster.folder()));
    assert_eq!(traces(&kept), Vec::<String>::new());
    // The search finds what is there: in the same files, with the card among them.
    fs::write(state.join("control"), with_card(&purchase("000113"))).unwrap();
    let found = traces(&files(&state));
    for what in ["account", "track", "PIN block", "name", "chip account"] {
        assert!(
            found.iter().any(|trace| trace.starts_with(what)),
            "{what}: {found:?}"
        );
    }
    scene.forget();
}
