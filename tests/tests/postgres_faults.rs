//! PostgreSQL that answers and cannot go on, under load: acquirers see nothing of it, and at last
//! all is there.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::disk::Disk;
use njia_tests::e2e::{
    Build, Issuers, Load, LoadReport, Node, Running, alone, eventually, folder, pause,
};
use njia_tests::postgres::{Cluster, Sql};

const SCHEMA: &str = "njia_stuck";
const PATIENCE: Duration = Duration::from_secs(120);

/// A switch under load, with its database.
struct Scene {
    folder: PathBuf,
    issuers: Issuers,
    node: Node,
    url: String,
}

impl Scene {
    fn open(name: &str, cluster: &Cluster) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let issuers = Issuers::start(&folder, Duration::from_millis(5)).unwrap();
        let url = cluster.url();
        let environment = [
            ("NJIA__POSTGRES__URL", url.as_str()),
            ("NJIA__POSTGRES__SCHEMA", SCHEMA),
            ("NJIA__POSTGRES__MIGRATE", "true"),
            // A machine that stands still for 100 ms refuses requests, whatever PostgreSQL does.
            ("NJIA__LIMITS__REQUEST_WAIT_MAX_MS", "60000"),
        ];
        let state = folder.join("state");
        let node = Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap();
        Self {
            folder,
            issuers,
            node,
            url,
        }
    }

    fn load(&self, rate: u32, duration: &str) -> Running {
        let load = Load {
            rate,
            duration: duration.to_owned(),
            warmup: "1s".to_owned(),
            timeout: "5s".to_owned(),
            seed: 81,
            connections: 8,
            more: Vec::new(),
        };
        load.start(self.node.listener(), &self.folder.join("load"))
            .unwrap()
    }

    fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.node.metric(name, labels).unwrap()
    }

    #[track_caller]
    fn await_that(&self, what: &str, found: impl FnMut() -> bool) {
        let waited = eventually(PATIENCE, found);
        assert!(waited, "never: {what}\n{}", self.node.log());
    }

    fn await_rows(&self) {
        self.await_that("rows", || {
            self.metric("njia_applier_rows_total", &["inserted"]) > 100.0
        });
    }

    /// Nobody was refused, and everything arrives.
    fn close(self, report: LoadReport) {
        println!("{}", report.printed);
        report.check_refusals(&self.node);
        self.node.settle(PATIENCE).unwrap();
        self.await_that("PostgreSQL has everything", || {
            self.metric("njia_applier_lag_records", &[]) == 0.0
        });
        assert_eq!(
            self.metric("njia_applier_rows_total", &["quarantined"]),
            0.0
        );
        let journal = self.node.journal().to_owned();
        assert!(self.node.terminate().unwrap().success());
        let ledgers = self.issuers.ledgers();
        self.issuers.finish().unwrap();
        let found = audit(&Inputs {
            acks: report.acks,
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

#[test]
fn fault_036_a_table_that_is_locked_for_a_minute_holds_nobody_up() {
    let _machine = alone();
    let cluster = Cluster::start().unwrap();
    let scene = Scene::open("stuck-locked", &cluster);
    let running = scene.load(100, "66s");
    scene.await_rows();
    let mut blocker = Sql::connect(&scene.url).unwrap();
    let lock = format!("BEGIN; LOCK TABLE {SCHEMA}.transaction IN ACCESS EXCLUSIVE MODE");
    blocker.run(&lock).unwrap();
    let applied = || scene.metric("njia_applier_rows_total", &["inserted"]);
    let before = applied();
    pause(Duration::from_secs(60));
    // A batch that was under way may have been counted after it was looked at.
    let meanwhile = applied() - before;
    assert!(meanwhile <= 4_000.0, "{meanwhile} rows came past the lock");
    blocker.run("ROLLBACK").unwrap();
    let report = running.finish().unwrap();
    scene.close(report);
}

#[test]
fn fault_039_a_real_disk_that_is_full_under_postgresql_is_waited_for() {
    let _machine = alone();
    let cluster = Cluster::start().unwrap();
    let Some(disk) = Disk::mount(&cluster.folder().join("disk"), 96, 64).unwrap() else {
        return;
    };
    let space = disk.files().join("space");
    fs::create_dir(&space).unwrap();
    cluster.give(&space).unwrap();
    let scene = Scene::open("stuck-full", &cluster);
    let mut client = Sql::connect(&scene.url).unwrap();
    let place = format!("CREATE TABLESPACE small LOCATION '{}'", space.display());
    client.run(&place).unwrap();
    // The switch makes the schema and its tables of days in its own time: here all are made before
    // they are moved, as a table of a day does not go where its parent lies.
    let made = format!("SET search_path = {SCHEMA}; SELECT make_day_tables(1)");
    scene.await_that("tables of days", || client.run(&made).is_ok());
    client
        .run(&format!(
            "DO $$ DECLARE day regclass; BEGIN ALTER TABLE {SCHEMA}.event SET TABLESPACE small; \
             FOR day IN SELECT inhrelid FROM pg_inherits \
             WHERE inhparent = '{SCHEMA}.event'::regclass \
             LOOP EXECUTE format('ALTER TABLE %s SET TABLESPACE small', day); END LOOP; END $$"
        ))
        .unwrap();
    // A server makes its files longer by up to 512 KiB at once: as much must come behind the fill.
    let running = scene.load(500, "20s");
    scene.await_rows();
    disk.fill().unwrap();
    scene.await_that("the server says that its disk is full", || {
        scene.metric("njia_applier_failures_total", &["class=\"53\""]) > 0.0
    });
    disk.clear().unwrap();
    let report = running.finish().unwrap();
    scene.close(report);
    drop(client);
}
