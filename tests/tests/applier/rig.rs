//! A server with a schema, an applier on a task of its own, and the questions that every test asks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::ids::NodeId;
use domain::time::Instant;
use njia_tests::postgres::{Cluster, Stop};
use persistence::applier::{
    Applier, ApplierError, ApplierSettings, Backoff, BatchPolicy, Fees, Names, Payload, SchemaName,
    SecretSource, Server, ShardJournal, Status, Strategy, Timeouts, migrate,
};
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use crate::log::Log;
use crate::{books, oracle};

pub const SCHEMA: &str = "njia_test";
/// Those of an empty server.
pub const MIGRATIONS: [i32; 6] = [1, 2, 3, 4, 5, 6];
/// No condition of these tests takes longer on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(180);

tokio::task_local! {
    /// How the appliers of the running test bring their rows in.
    static STRATEGY: Strategy;
}

/// Runs a test whose appliers work by `strategy`.
pub async fn by(strategy: Strategy, test: impl Future<Output = ()>) {
    STRATEGY.scope(strategy, test).await;
}

/// Settings with short waits, of node 1, by the strategy of the test.
pub fn settings(url: String, owner: u128) -> ApplierSettings {
    settings_of(SecretSource::fixed(url), owner)
}

pub fn settings_of(url: SecretSource, owner: u128) -> ApplierSettings {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    ApplierSettings {
        server: Server {
            url,
            password: None,
            tls: None,
            schema: SchemaName::new(SCHEMA).unwrap(),
            timeouts: Timeouts {
                lock: Duration::from_millis(200),
                ..Timeouts::STANDARD
            },
        },
        node: NodeId(1),
        owner,
        names: Names {
            acquirers: names(&oracle::ACQUIRERS),
            issuers: names(&oracle::ISSUERS),
            routes: names(&oracle::ROUTES),
        },
        fees: Fees {
            basis_points: oracle::FEES.to_vec(),
        },
        strategy: STRATEGY.try_with(|by| *by).unwrap_or(Strategy::Copy),
        batch: BatchPolicy {
            records_max: 500,
            records_min: 1,
            linger: Duration::ZERO,
            poll: Duration::from_millis(1),
            quarantine_run_max: 64,
        },
        backoff: Backoff {
            first: Duration::from_millis(1),
            max: Duration::from_millis(20),
            pause: Duration::from_millis(20),
        },
        drain: PATIENCE,
        payload: Payload::Keep,
        retention_days: 0,
        accept_lost: Vec::new(),
        clock,
    }
}

pub fn clock() -> Instant {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    Instant::from_nanos(u64::try_from(start.elapsed().as_nanos()).unwrap())
}

/// An applier at work.
pub struct Running {
    pub status: Arc<Status>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ApplierError>>,
}

impl Running {
    pub fn start(settings: ApplierSettings, journals: Vec<ShardJournal>) -> Self {
        let applier = Applier::new(settings, journals);
        let status = applier.status();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(applier.run(async {
            // A dropped sender is a signal too.
            let _: Result<(), _> = stopped.await;
        }));
        Self { status, stop, task }
    }

    /// Lets it catch up and ends it.
    pub async fn finish(self) {
        drop(self.stop);
        let end = timeout(PATIENCE, self.task)
            .await
            .expect("the applier ends");
        end.unwrap().unwrap();
    }

    /// Waits until it ends by itself.
    pub async fn ended(self) -> ApplierError {
        let end = timeout(PATIENCE, self.task)
            .await
            .expect("the applier ends");
        end.unwrap().unwrap_err()
    }

    /// Waits until `log`, as far as it is durable, is in PostgreSQL.
    pub async fn caught_up(&self, log: &Log) {
        self.caught_up_within(PATIENCE, log).await;
    }

    pub async fn caught_up_within(&self, patience: Duration, log: &Log) {
        let lanes = self.status.lanes().iter();
        let mut lanes = lanes.filter(|lane| (lane.journal, lane.shard) == (log.journal, log.shard));
        let lane = lanes.next().expect("the applier was given this journal");
        let there = came_true(patience, || lane.watermark() == log.durable()).await;
        assert!(there, "stuck: {:?}", self.status);
    }
}

/// Waits for a condition that another task or the server brings about.
pub async fn until(holds: impl FnMut() -> bool) {
    assert!(
        came_true(PATIENCE, holds).await,
        "the condition does not come true"
    );
}

async fn came_true(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        while !holds() {
            tick.tick().await;
        }
    };
    timeout(patience, wait).await.is_ok()
}

/// A started cluster whose schema is migrated.
pub async fn migrated() -> Cluster {
    static TEMPLATE: OnceCell<PathBuf> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(template).await;
    Cluster::start_from(template).unwrap()
}

/// The data of such a cluster, made once for the whole suite.
async fn template() -> PathBuf {
    let mut cluster = Cluster::start().unwrap();
    let settings = settings(cluster.url(), 0);
    assert_eq!(migrate(&settings.server).await.unwrap(), MIGRATIONS);
    cluster.stop(Stop::Fast).unwrap();
    // The bench, which is no test, has no folder of cargo's.
    let base = option_env!("CARGO_TARGET_TMPDIR").unwrap_or("target/tmp");
    let template = Path::new(base).join("applier-template");
    if template.exists() {
        fs::remove_dir_all(&template).unwrap();
    }
    fs::create_dir_all(base).unwrap();
    cluster.save_as(&template).unwrap();
    template
}

/// A superuser's connection, beside the applier's.
pub async fn connect(cluster: &Cluster) -> Client {
    let (client, connection) = tokio_postgres::connect(&cluster.url(), NoTls)
        .await
        .unwrap();
    tokio::spawn(async {
        // It ends with the server, in most tests of this suite.
        drop(connection.await);
    });
    client
}

pub async fn count(client: &Client, what: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {what}");
    let sql = sql.replace("{s}", SCHEMA);
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

pub async fn run(client: &Client, sql: &str) {
    client
        .batch_execute(&sql.replace("{s}", SCHEMA))
        .await
        .unwrap();
}

/// Each record of `log` is there once, and the watermark at the end.
pub async fn assert_kept(cluster: &Cluster, log: &Log, refused: &BTreeSet<u64>) {
    let client = connect(cluster).await;
    let last = i64::try_from(log.durable().0).unwrap();
    let quarantined = i64::try_from(refused.len()).unwrap();
    let journal = format!("journal = '{}' AND shard = {}", log.journal, log.shard);
    let events = count(&client, &format!("{{s}}.event WHERE {journal}")).await;
    assert_eq!(events, last - quarantined, "events");
    let aside = count(&client, &format!("{{s}}.quarantine WHERE {journal}")).await;
    assert_eq!(aside, quarantined, "quarantine");
    let watermark = format!("{{s}}.watermark WHERE {journal} AND lsn = {last}");
    assert_eq!(count(&client, &watermark).await, 1, "watermark");
}

/// Everything that must hold once `log` alone has been applied: each record once, the projection
/// equal to the fold, the sums equal per currency, the watermark at the end.
pub async fn assert_applied(cluster: &Cluster, log: &Log, refused: &BTreeSet<u64>) {
    assert_kept(cluster, log, refused).await;
    let client = connect(cluster).await;
    let expected = oracle::fold(log, refused);
    let held = oracle::projection(&client, SCHEMA).await;
    oracle::assert_equal(&held, &expected);
    books::assert_balanced(&client, SCHEMA).await;
    let entries = books::Books::fold(log, refused).entries;
    books::assert_equal(&books::held(&client, SCHEMA).await, &entries);
    assert_eq!(
        oracle::totals(&client, SCHEMA).await,
        oracle::sums(&expected)
    );
}
