//! What there is left after a disk is lost, and how it comes back: the disk of PostgreSQL, with a
//! base backup and without one, and the disk of the journal.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loadgen::clock::Clock;
use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::missing::missing;
use njia_tests::e2e::{Build, Issuers, Load, Node, Process, alone, eventually, folder};
use njia_tests::postgres::{Cluster, Sql, Stop};

const SCHEMA: &str = "njia_backup";
const PATIENCE: Duration = Duration::from_secs(120);

/// A switch with its issuers and its database.
struct Scene {
    folder: PathBuf,
    cluster: Cluster,
    url: String,
    issuers: Issuers,
}

impl Scene {
    fn open(name: &str) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let mut cluster = Cluster::create().unwrap();
        cluster.save("empty").unwrap();
        cluster.resume().unwrap();
        let issuers = Issuers::start(&folder, Duration::from_millis(5)).unwrap();
        Self {
            url: cluster.url(),
            folder,
            cluster,
            issuers,
        }
    }

    fn environment(&self) -> [(&str, &str); 3] {
        [
            ("NJIA__POSTGRES__URL", &self.url),
            ("NJIA__POSTGRES__SCHEMA", SCHEMA),
            ("NJIA__POSTGRES__MIGRATE", "true"),
        ]
    }

    fn process(&self) -> Process {
        let state = self.folder.join("state");
        let addresses = self.issuers.addresses();
        Process::start(Build::Product, &state, addresses, &self.environment()).unwrap()
    }

    fn node(&self) -> Node {
        self.process().ready().unwrap()
    }

    /// All that was told is in PostgreSQL too, to the minor unit, and nothing besides.
    fn close(self, node: Node, acks: PathBuf) {
        node.settle(PATIENCE).unwrap();
        catch_up(&node);
        let journal = node.journal().to_owned();
        assert!(node.terminate().unwrap().success());
        let ledgers = self.issuers.ledgers();
        self.issuers.finish().unwrap();
        let found = audit(&Inputs {
            acks,
            gateway: None,
            journal,
            ledgers,
            database: Some((self.url, SCHEMA.to_owned())),
        })
        .unwrap();
        assert!(found.passed(), "{found}");
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn load(duration: &str) -> Load {
    Load {
        rate: 200,
        duration: duration.to_owned(),
        warmup: "1s".to_owned(),
        timeout: "5s".to_owned(),
        seed: 61,
        connections: 8,
        more: Vec::new(),
    }
}

fn applied(node: &Node) -> f64 {
    node.metric("njia_applier_rows_total", &["inserted"])
        .unwrap()
}

fn lag(node: &Node) -> f64 {
    node.metric("njia_applier_lag_records", &[]).unwrap()
}

#[track_caller]
fn await_that(node: &Node, what: &str, found: impl FnMut() -> bool) {
    assert!(eventually(PATIENCE, found), "never: {what}\n{}", node.log());
}

#[track_caller]
fn catch_up(node: &Node) {
    await_that(node, "PostgreSQL has everything", || {
        node.metric("njia_applier_connected", &[]).unwrap() == 1.0 && lag(node) == 0.0
    });
}

/// A start ends with 65, and says why.
#[track_caller]
fn refused(scene: &Scene, label: &str) {
    let mut refused = scene.process();
    let mut ended = None;
    assert!(eventually(PATIENCE, || {
        ended = refused.ended().unwrap();
        ended.is_some()
    }));
    let told = refused.log_end();
    assert_eq!(ended.and_then(|status| status.code()), Some(65), "{told}");
    assert!(told.contains(label), "{told}");
}

/// The disk of PostgreSQL is lost under load. What its last base backup has comes from there, what
/// came later from the journal; nobody restarts the switch.
#[test]
fn a_base_backup_and_the_journal_give_back_all_that_was_told() {
    let _machine = alone();
    let mut scene = Scene::open("backup-base");
    let node = scene.node();
    let running = load("300s")
        .start(node.listener(), &scene.folder.join("load"))
        .unwrap();
    await_that(&node, "rows", || applied(&node) > 300.0);
    scene.cluster.back_up("base").unwrap();
    let held = applied(&node);
    await_that(&node, "rows beyond the backup", || {
        applied(&node) > held + 300.0
    });
    scene.cluster.stop(Stop::Immediate).unwrap();
    scene.cluster.restore("base").unwrap();
    let clock = Clock::start();
    let lost = clock.now();
    let before = applied(&node);
    scene.cluster.resume().unwrap();
    catch_up(&node);
    println!(
        "{} records again or anew, caught up after {:?}",
        applied(&node) - before,
        clock.now().since(lost)
    );
    let acks = running.end().unwrap().acks;
    scene.close(node, acks);
}

/// Without any backup the whole journal is applied to an empty database.
#[test]
fn the_journal_alone_fills_an_empty_database() {
    let _machine = alone();
    let mut scene = Scene::open("backup-none");
    let node = scene.node();
    let acks = load("4s")
        .start(node.listener(), &scene.folder.join("load"))
        .unwrap()
        .finish()
        .unwrap()
        .acks;
    node.settle(PATIENCE).unwrap();
    catch_up(&node);
    assert!(node.terminate().unwrap().success());
    scene.cluster.stop(Stop::Immediate).unwrap();
    scene.cluster.restore("empty").unwrap();
    scene.cluster.resume().unwrap();
    let node = scene.node();
    catch_up(&node);
    scene.close(node, acks);
}

/// The disk of the journal is lost while PostgreSQL was away: what it did not have is gone, not
/// more. The next start is refused until somebody says that the journal is lost.
#[test]
fn without_its_journal_a_switch_loses_what_postgresql_did_not_have_and_says_so() {
    let _machine = alone();
    let mut scene = Scene::open("backup-journal");
    let node = scene.node();
    let first = load("3s")
        .start(node.listener(), &scene.folder.join("load-1"))
        .unwrap();
    let first = first.finish().unwrap().acks;
    node.settle(PATIENCE).unwrap();
    catch_up(&node);
    scene.cluster.stop(Stop::Fast).unwrap();
    let second = load("2s")
        .start(node.listener(), &scene.folder.join("load-2"))
        .unwrap();
    let second = second.finish().unwrap().acks;
    node.settle(PATIENCE).unwrap();
    let records = lag(&node);
    let journal = node.journal().to_owned();
    node.kill().unwrap();
    fs::remove_dir_all(&journal).unwrap();
    scene.cluster.resume().unwrap();
    assert_eq!(
        missing(&first, &scene.url, SCHEMA),
        0,
        "what PostgreSQL had is there"
    );
    let lost = missing(&second, &scene.url, SCHEMA);
    assert!(
        lost > 0 && f64::from(u32::try_from(lost).unwrap()) <= records,
        "{lost} of {records}"
    );

    refused(&scene, "J04");

    let mut client = Sql::connect(&scene.url).unwrap();
    client
        .run(&format!("UPDATE {SCHEMA}.watermark SET sealed = true"))
        .unwrap();
    let node = scene.node();
    let third = load("2s")
        .start(node.listener(), &scene.folder.join("load-3"))
        .unwrap();
    let third = third.finish().unwrap().acks;
    node.settle(PATIENCE).unwrap();
    catch_up(&node);
    assert_eq!(missing(&third, &scene.url, SCHEMA), 0);
    assert!(node.terminate().unwrap().success());
    scene.issuers.finish().unwrap();
    fs::remove_dir_all(&scene.folder).unwrap();
}

/// A copy of the journal that was made some time ago does not know what was told since: the switch
/// does not answer from it.
#[test]
fn an_older_copy_of_the_journal_is_refused() {
    let _machine = alone();
    let scene = Scene::open("backup-older");
    let copy = scene.folder.join("copy");
    let mut journal = PathBuf::new();
    for (round, name) in ["load-1", "load-2"].into_iter().enumerate() {
        let node = scene.node();
        node.journal().clone_into(&mut journal);
        let running = load("2s").start(node.listener(), &scene.folder.join(name));
        running.unwrap().finish().unwrap();
        node.settle(PATIENCE).unwrap();
        catch_up(&node);
        assert!(node.terminate().unwrap().success());
        if round == 0 {
            copy_tree(&journal, &copy);
        }
    }
    fs::remove_dir_all(&journal).unwrap();
    copy_tree(&copy, &journal);
    refused(&scene, "J18");
    scene.issuers.finish().unwrap();
    fs::remove_dir_all(&scene.folder).unwrap();
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}
