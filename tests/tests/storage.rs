//! Real disks that are full, run full, or fail under the journal, on loop devices.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::disk::Disk;
use njia_tests::e2e::scene::reversal;
use njia_tests::e2e::session::{Session, purchase};
use njia_tests::e2e::{Build, Issuers, Load, Node, Process, alone, eventually, folder};

const PATIENCE: Duration = Duration::from_secs(120);
/// Exit codes of docs/operations.md.
const JOURNAL_FAILED: i32 = 74;
const SMALL: [(&str, &str); 4] = [
    ("NJIA__NODE__SHARDS", "1"),
    ("NJIA__LIMITS__SESSION_INFLIGHT_MAX", "65536"),
    ("NJIA__JOURNAL__SEGMENT_BYTES", "8388608"),
    ("NJIA__JOURNAL__BYTES_MAX", "1073741824"),
];

/// A failing disk below a switch, and its issuers.
struct Scene {
    disk: Disk,
    issuers: Issuers,
    folder: PathBuf,
}

impl Scene {
    fn open(name: &str, thin_mib: u32, disk_mib: u32) -> Option<Self> {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let disk = Disk::mount(&folder.join("disk"), thin_mib, disk_mib).unwrap()?;
        let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
        Some(Self {
            disk,
            issuers,
            folder,
        })
    }

    /// Its journal lies on the disk, everything else elsewhere.
    fn process(&self) -> Process {
        let journal = self.disk.files().join("journal").display().to_string();
        let mut environment = SMALL.to_vec();
        environment.push(("NJIA__JOURNAL__DIR", &journal));
        let state = self.folder.join("state");
        Process::start(
            Build::Product,
            &state,
            self.issuers.addresses(),
            &environment,
        )
        .unwrap()
    }

    fn node(&self) -> Node {
        self.process().ready().unwrap()
    }

    fn close(self) {
        self.issuers.finish().unwrap();
        drop(self.disk);
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn ended(mut has_ended: impl FnMut() -> Option<ExitStatus>) -> Option<i32> {
    let mut status = None;
    eventually(PATIENCE, || {
        status = has_ended();
        status.is_some()
    });
    status.and_then(|status| status.code())
}

/// DE39 of the answer; `None` when the session was closed instead.
fn asked(session: &mut Session, message: &[u8]) -> Option<String> {
    session.send(message).ok()?;
    session.receive().ok().map(|answer| answer.text(39))
}

#[test]
fn fault_019_a_disk_that_is_full_at_the_start_refuses_it() {
    let _machine = alone();
    let Some(scene) = Scene::open("storage-start", 64, 48) else {
        return;
    };
    scene.disk.fill().unwrap();
    let mut process = scene.process();
    let code = ended(|| process.ended().unwrap());
    let told = process.log_end();
    assert_eq!(code, Some(JOURNAL_FAILED), "{told}");
    assert!(told.contains("No space left on device"), "{told}");
    // With room it starts on what the refused start has left.
    scene.disk.clear().unwrap();
    let node = scene.node();
    let mut session = Session::connect(node.listener()).unwrap();
    assert_eq!(
        asked(&mut session, &purchase("000001")).as_deref(),
        Some("00")
    );
    assert!(node.terminate().unwrap().success());
    scene.close();
}

#[test]
fn fault_019_a_disk_that_runs_full_sheds_requests_and_takes_reversals() {
    let _machine = alone();
    let Some(scene) = Scene::open("storage-full", 192, 160) else {
        return;
    };
    let node = scene.node();
    let mut session = Session::connect(node.listener()).unwrap();
    let first = purchase("000001");
    assert_eq!(asked(&mut session, &first).as_deref(), Some("00"));
    scene.disk.fill().unwrap();
    // The segment in use and the spare still serve; then there is none.
    let mut stan = 1;
    let mut next = || {
        stan += 1;
        purchase(&format!("{stan:06}"))
    };
    let mut refused = false;
    for _ in 0..20_000 {
        let code = asked(&mut session, &next()).unwrap();
        assert!(code == "00" || code == "96", "{code}");
        refused = code == "96";
        if refused {
            break;
        }
    }
    assert!(refused, "never full");
    let taken_back = reversal(*b"0420", "900001", &first);
    assert_eq!(asked(&mut session, &taken_back).as_deref(), Some("00"));
    assert!(node.status().is_ok(), "it lives");

    scene.disk.clear().unwrap();
    let admits = || asked(&mut session, &next()).as_deref() == Some("00");
    assert!(eventually(PATIENCE, admits), "{}", node.log());
    node.settle(PATIENCE).unwrap();
    node.check_sums().unwrap();
    assert!(node.terminate().unwrap().success());
    scene.close();
}

/// Under load, in the middle of a segment that was written with zeros before, and flushed: on thin
/// storage that keeps no room.
#[test]
fn fault_020_a_journal_on_exhausted_storage_ends_the_process_and_loses_nothing() {
    let _machine = alone();
    let Some(scene) = Scene::open("storage-thin", 192, 160) else {
        return;
    };
    let node = scene.node();
    let load = Load {
        rate: 200,
        duration: "300s".to_owned(),
        warmup: "1s".to_owned(),
        timeout: "2s".to_owned(),
        seed: 71,
        connections: 8,
        more: Vec::new(),
    };
    let running = load
        .start(node.listener(), &scene.folder.join("load"))
        .unwrap();
    let answered = || node.metric("njia_transactions_total", &[]).unwrap();
    assert!(
        eventually(PATIENCE, || answered() > 200.0),
        "{}",
        node.log()
    );
    let mut node = node;
    scene.disk.exhaust().unwrap();
    assert_eq!(
        ended(|| node.ended().unwrap()),
        Some(JOURNAL_FAILED),
        "{}",
        node.log()
    );
    let acks = running.end().unwrap().acks;
    drop(node);

    scene.disk.relieve().unwrap();
    let node = scene.node();
    node.settle(PATIENCE).unwrap();
    let mut session = Session::connect(node.listener()).unwrap();
    assert_eq!(
        asked(&mut session, &purchase("900002")).as_deref(),
        Some("00")
    );
    assert!(node.terminate().unwrap().success());
    let Scene {
        disk,
        issuers,
        folder,
    } = scene;
    let ledgers = issuers.ledgers();
    // What an issuer knows is in its ledger when it has ended.
    issuers.finish().unwrap();
    check(&folder, &acks, disk.files().join("journal"), ledgers);
    drop(disk);
    fs::remove_dir_all(&folder).unwrap();
}

/// Nothing more than was told has an effect, and nothing less.
#[track_caller]
fn check(folder: &Path, acks: &Path, journal: PathBuf, ledgers: Vec<PathBuf>) {
    let found = audit(&Inputs {
        acks: acks.to_owned(),
        gateway: None,
        journal,
        ledgers,
        database: None,
    })
    .unwrap();
    assert!(found.passed(), "{found}\n{}", folder.display());
}

#[test]
fn fault_020_a_disk_that_is_pulled_out_ends_the_process_without_an_approval() {
    let _machine = alone();
    let Some(scene) = Scene::open("storage-pulled", 192, 160) else {
        return;
    };
    let mut node = scene.node();
    let mut session = Session::connect(node.listener()).unwrap();
    assert_eq!(
        asked(&mut session, &purchase("000001")).as_deref(),
        Some("00")
    );
    scene.disk.pull().unwrap();
    let told = asked(&mut session, &purchase("000002"));
    assert_ne!(told.as_deref(), Some("00"), "nothing of it is on any disk");
    assert_eq!(
        ended(|| node.ended().unwrap()),
        Some(JOURNAL_FAILED),
        "{}",
        node.log()
    );
    drop(node);
    let bank = scene.issuers.ledgers().swap_remove(Issuers::BANK);
    scene.issuers.finish().unwrap();
    let bank = fs::read_to_string(bank).unwrap();
    let entries = |stan| bank.lines().filter(|line| line.contains(stan)).count();
    assert_eq!(
        (entries("000000000001") > 0, entries("000000000002")),
        (true, 0),
        "{bank}"
    );
    drop(scene.disk);
    fs::remove_dir_all(&scene.folder).unwrap();
}

/// The device stands still for a while, as a saturated or moving volume does.
#[test]
fn fault_022_a_disk_that_stands_still_sheds_requests_until_it_moves() {
    let _machine = alone();
    let Some(scene) = Scene::open("storage-still", 192, 160) else {
        return;
    };
    let node = scene.node();
    let mut session = Session::connect(node.listener()).unwrap();
    assert_eq!(
        asked(&mut session, &purchase("000001")).as_deref(),
        Some("00")
    );
    scene.disk.freeze().unwrap();
    // What comes first waits for its intent; what comes a second later is not taken any more.
    let mut waiting = Session::connect(node.listener()).unwrap();
    let mut stan = 1;
    let sheds = eventually(PATIENCE, || {
        stan += 1;
        waiting.send(&purchase(&format!("{stan:06}"))).unwrap();
        node.metric("njia_rejected_total", &[]).unwrap() > 0.0
    });
    scene.disk.thaw().unwrap();
    assert!(sheds, "{}", node.log());
    let (mut approved, mut others) = (0, 0);
    for _ in 2..=stan {
        match waiting.receive().unwrap().text(39).as_str() {
            "00" => approved += 1,
            "91" | "96" => others += 1,
            code => panic!("{code}"),
        }
    }
    println!("{approved} approved, {others} not, while the disk stood still");
    assert!(others > 0);
    let again = purchase(&format!("{:06}", stan + 1));
    let again = [again.clone(), [b"0201", &again[4..]].concat()];
    let mut tries = again.iter().chain(std::iter::repeat(&again[1]));
    let admits = || asked(&mut session, tries.next().unwrap()).as_deref() == Some("00");
    assert!(eventually(PATIENCE, admits), "{}", node.log());
    node.settle(PATIENCE).unwrap();
    node.check_sums().unwrap();
    assert!(node.terminate().unwrap().success());
    scene.close();
}

#[test]
fn fault_022_a_disk_that_stands_still_for_too_long_ends_the_process() {
    let _machine = alone();
    let Some(scene) = Scene::open("storage-dead", 192, 160) else {
        return;
    };
    let mut node = scene.node();
    let mut session = Session::connect(node.listener()).unwrap();
    scene.disk.freeze().unwrap();
    session.send(&purchase("000001")).unwrap();
    let gives_up = || node.log().contains("a batch has been due for");
    let gave_up = eventually(PATIENCE, gives_up);
    scene.disk.thaw().unwrap();
    assert!(gave_up, "{}", node.log());
    assert_eq!(
        ended(|| node.ended().unwrap()),
        Some(JOURNAL_FAILED),
        "{}",
        node.log()
    );
    assert!(session.receive().is_err(), "nobody was told anything");
    drop(node);
    let node = scene.node();
    node.settle(PATIENCE).unwrap();
    assert!(node.terminate().unwrap().success());
    scene.close();
}
