//! What a transaction costs in bytes, and how far PostgreSQL is behind at a pace: the figures that
//! docs/capacity.md counts with.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use domain::ids::Lsn;
use njia_tests::postgres::Cluster;
use tokio_postgres::Client;

use crate::log::Log;
use crate::rig::{Running, SCHEMA, assert_applied, connect, count};
use crate::workload::Workload;
use crate::{PATIENCE, TABLES, prepared, settings_of};

/// Transactions of each kind whose bytes are counted.
const TRANSACTIONS: u32 = 40_000;
/// How long a pace is held.
const HELD: Duration = Duration::from_secs(5);
const OFFERED_TPS: f64 = 10_000.0;

/// Bytes in the journal and in PostgreSQL: of approved purchases alone, and of the mixture of the
/// tests, in which every third transaction has more than two records.
pub async fn bytes(batch: usize) {
    println!("\nbytes per transaction, batches of {batch}");
    let mut plain = Workload::new(5, 1);
    let purchases: Vec<Vec<u8>> = purchases(&mut plain, TRANSACTIONS);
    let mixed = Workload::new(6, 1).take(2 * usize::try_from(TRANSACTIONS).expect("it fits"));
    for (name, records) in [("purchases", purchases), ("mixture", mixed)] {
        let cluster = prepared().await;
        let client = connect(&cluster).await;
        let log = Log::new(1);
        let journal: usize = records.iter().map(Vec::len).sum();
        let count_of = records.len() as f64;
        let before = Held::read(&client).await;
        log.append(records);
        let applier = Running::start(settings_of(&cluster, batch), vec![log.journal()]);
        applier.caught_up_within(PATIENCE, &log).await;
        applier.finish().await;
        let after = Held::read(&client).await;
        assert_applied(&cluster, &log, &std::collections::BTreeSet::new()).await;
        let transactions = count(&client, "{s}.transaction").await as f64;
        let per = |bytes: f64| bytes / transactions;
        println!(
            "{name:9}  {:.2} records  journal {:5.0}  as COPY {:5.0}  WAL {:5.0}",
            count_of / transactions,
            per(journal as f64),
            per(sent(&cluster)),
            per(after.wal - before.wal)
        );
        for ((table, heap, index), (_, heap0, index0)) in after.tables.iter().zip(&before.tables) {
            let (heap, index) = (per(heap - heap0), per(index - index0));
            println!("           {table:11}  rows {heap:5.0}  indexes {index:5.0}");
        }
    }
}

/// How far PostgreSQL is behind: from the moment at which a record is durable to that at which the
/// watermark has passed it. At the pace that is offered, and as fast as the applier is.
pub async fn lag(batch: usize) {
    println!("\nlag behind the journal, batches of {batch}, approved purchases, {HELD:?} each");
    let (cluster, log) = (prepared().await, Log::new(1));
    let mut workload = Workload::new(7, 1);
    log.append(purchases(&mut workload, 4_000));
    let applier = Running::start(settings_of(&cluster, batch), vec![log.journal()]);
    applier.caught_up_within(PATIENCE, &log).await;
    let started = Instant::now();
    log.append(purchases(&mut workload, TRANSACTIONS));
    applier.caught_up_within(PATIENCE, &log).await;
    let fastest = f64::from(TRANSACTIONS) / started.elapsed().as_secs_f64();
    println!("at most {fastest:.0} transactions a second, when all are there");
    for tps in [OFFERED_TPS.min(fastest / 2.0), OFFERED_TPS, fastest] {
        paced(&applier, &log, &mut workload, tps).await;
    }
    applier.finish().await;
    assert_applied(&cluster, &log, &std::collections::BTreeSet::new()).await;
}

async fn paced(applier: &Running, log: &Log, workload: &mut Workload, tps: f64) {
    let pairs = purchases(workload, (tps * HELD.as_secs_f64()) as u32);
    let mut records = pairs.into_iter();
    let first = log.durable().0;
    let lane = &applier.status.lanes()[0];
    let (mut marks, mut lags) = (VecDeque::<(Lsn, Instant)>::new(), Vec::new());
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let mut behind = None;
    loop {
        tick.tick().await;
        let due = (2.0 * tps * started.elapsed().as_secs_f64()) as u64;
        let missing = due.saturating_sub(log.durable().0 - first);
        let piece: Vec<Vec<u8>> = records.by_ref().take(missing as usize).collect();
        if !piece.is_empty() {
            log.append(piece);
            marks.push_back((log.durable(), Instant::now()));
        }
        let there = lane.watermark();
        while let Some((_, at)) = marks.pop_front_if(|(lsn, _)| *lsn <= there) {
            lags.push(at.elapsed());
        }
        if records.len() == 0 {
            behind.get_or_insert_with(|| (log.durable().0 - there.0, Instant::now()));
            if marks.is_empty() {
                break;
            }
        }
        assert!(
            started.elapsed() < PATIENCE,
            "the applier does not catch up"
        );
    }
    lags.sort_unstable();
    let at = |share: f64| lags[(share * (lags.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
    let (records, since) = behind.expect("the loop ends after the last record");
    println!(
        "{tps:6.0} a second: lag p50 {:6.0} ms, p99 {:6.0} ms, most {:6.0} ms; {records} records \
         behind at the end, gone {:.1} s later",
        at(0.5),
        at(0.99),
        at(1.0),
        since.elapsed().as_secs_f64()
    );
}

pub fn purchases(workload: &mut Workload, count: u32) -> Vec<Vec<u8>> {
    (0..count).flat_map(|_| workload.any_purchase()).collect()
}

/// Bytes of all rows in the form in which they go to the server, each once.
fn sent(cluster: &Cluster) -> f64 {
    let file = |table: &str| cluster.folder().join(format!("{table}.sent"));
    let copy = |table: &&str| {
        let file = file(table);
        let (what, to) = (format!("SELECT * FROM {SCHEMA}.{table}"), file.display());
        format!("\\copy ({what}) TO '{to}' WITH (FORMAT binary)\n")
    };
    let script: String = TABLES.iter().map(copy).collect();
    cluster.psql(&script).expect("rows can be taken out");
    let len = |table: &&str| std::fs::metadata(file(table)).map_or(0, |file| file.len());
    TABLES.iter().map(len).sum::<u64>() as f64
}

/// What the server holds, in bytes.
struct Held {
    wal: f64,
    /// Rows with what is kept aside of them, and indexes.
    tables: Vec<(&'static str, f64, f64)>,
}

impl Held {
    async fn read(client: &Client) -> Self {
        let wal = "SELECT (pg_current_wal_lsn() - '0/0')::float8";
        let wal = client.query_one(wal, &[]).await.expect("it answers").get(0);
        let mut tables = Vec::new();
        for table in TABLES {
            let sql = format!(
                "SELECT sum(pg_table_size(c.oid))::float8, sum(pg_indexes_size(c.oid))::float8 \
                 FROM pg_class AS c WHERE relnamespace = '{SCHEMA}'::regnamespace \
                 AND relkind = 'r' AND relname ~ '^{table}(_|$)'"
            );
            let row = client.query_one(&sql, &[]).await.expect("it answers");
            tables.push((table, row.get(0), row.get(1)));
        }
        Self { wal, tables }
    }
}

/// The table of the day that workloads fall on, as a switch of that day would have it.
pub async fn make_day(cluster: &Cluster) {
    let client = connect(cluster).await;
    crate::rig::run(&client, "SELECT {s}.make_day_table('event', '2026-01-01')").await;
}
