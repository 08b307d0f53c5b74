//! How many rows per second the applier brings into a PostgreSQL of its own, by strategy and size
//! of batch, beside bare COPY BINARY of the same rows into the same tables with the same indexes.
//!
//! `make applier`, or `cargo run --release -p njia-tests --example applier_rate [-- BATCH…]`. Rates
//! are reported, never asserted.
//!
//! Bare COPY is psql with one transaction for each batch: the rows of `event`, `transaction` and
//! `posting` as they stand in the end, each once, and no watermark. Nothing folds records into
//! transactions there, changes a row, or looks for a conflict. Rows are counted alike for all:
//! those that were added to the three tables.
//!
//! Then what a transaction costs in bytes, how far PostgreSQL is behind at a pace, and how long a
//! restore takes. `rates`, `bytes`, `lag` and `restore` among the arguments run these parts alone.

// Shared with the suite, which uses more of it.
#![expect(dead_code, reason = "the helpers serve tests/applier.rs too")]

#[path = "../tests/applier/books.rs"]
mod books;
#[path = "applier_rate/cost.rs"]
mod cost;
#[path = "../tests/applier/log.rs"]
mod log;
#[path = "../tests/applier/oracle.rs"]
mod oracle;
#[path = "applier_rate/restore.rs"]
mod restore;
#[path = "../tests/applier/rig.rs"]
mod rig;
#[path = "../tests/applier/workload.rs"]
mod workload;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use njia_tests::postgres::Cluster;
use persistence::applier::{ApplierSettings, BatchPolicy, Strategy, Timeouts};

use log::Log;
use rig::{Running, SCHEMA, assert_applied, connect, count, migrated, run, settings};
use workload::Workload;

const RECORDS: usize = 100_000;
/// Tables and caches are warm before the clock starts.
const WARM: usize = RECORDS / 10;
/// A disk that others use may be slow, and is still to be measured.
const PATIENCE: Duration = Duration::from_secs(3600);
const PARTS: [&str; 4] = ["rates", "bytes", "lag", "restore"];
const TABLES: [&str; 3] = ["event", "transaction", "posting"];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{RECORDS} records each, one connection, fsync on, synchronous_commit on");
    println!("load of the machine before: {}", load());
    let (parts, batches): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|arg| PARTS.contains(&arg.as_str()));
    let wanted = |part| parts.is_empty() || parts.iter().any(|asked| asked == part);
    let asked = batches.iter();
    let mut batches: Vec<usize> = asked
        .map(|batch| {
            batch
                .parse()
                .expect("rates, bytes, lag, restore, or numbers for sizes of batches")
        })
        .collect();
    if batches.is_empty() {
        batches = vec![2000, 500, 100];
    }
    if wanted("rates") {
        println!("batch  how        rows/s  records/s  of bare  p50 ms  p99 ms");
        for batch in batches {
            measure(batch).await;
        }
    }
    if wanted("bytes") {
        cost::bytes(BatchPolicy::STANDARD.records_max).await;
    }
    if wanted("lag") {
        cost::lag(BatchPolicy::STANDARD.records_max).await;
    }
    if wanted("restore") {
        restore::restore(BatchPolicy::STANDARD.records_max).await;
    }
    println!("load of the machine after: {}", load());
}

/// All ways with one size of batch. Bare COPY runs before and after the others, and the mean of
/// both counts, since a machine is not the same all the time.
async fn measure(batch: usize) {
    let (copied, cluster, rows) = applied(batch, Strategy::Copy).await;
    let folder = cluster.folder().join("rows");
    take_out(&cluster, &folder, batch).await;
    let before = bare(&folder, batch).await;
    let (unnested, ..) = applied(batch, Strategy::Unnest).await;
    let after = bare(&folder, batch).await;
    let bare = f64::midpoint(before, after);
    let rate = |seconds: f64| rows / seconds;
    let line = |how: &str, seconds: f64, latency: &str| {
        let records = RECORDS as f64 / seconds;
        let ratio = 100.0 * bare / seconds;
        let rate = rate(seconds);
        println!("{batch:5}  {how:7}  {rate:8.0}  {records:9.0}  {ratio:5.0} %  {latency}");
    };
    line("copy", copied.seconds, &copied.latency);
    line("unnest", unnested.seconds, &unnested.latency);
    line("bare", bare, "");
    println!(
        "       bare COPY: {before:.2} s before, {after:.2} s after; {rows:.0} rows of {RECORDS} \
         records"
    );
}

struct Applied {
    seconds: f64,
    latency: String,
}

/// Applies the records; also the server that has them, and how many rows they were.
async fn applied(batch: usize, strategy: Strategy) -> (Applied, Cluster, f64) {
    let cluster = prepared().await;
    let mut settings = settings_of(&cluster, batch);
    settings.strategy = strategy;
    let log = Log::new(1);
    let mut workload = Workload::new(1, 1);
    log.append(workload.take(WARM));
    let applier = Running::start(settings, vec![log.journal()]);
    applier.caught_up_within(PATIENCE, &log).await;
    let warm = rows(&cluster).await;
    let records = workload.take(RECORDS);
    let before: Vec<u64> = applier.status.batch_seconds.counts().collect();
    let started = Instant::now();
    log.append(records);
    applier.caught_up_within(PATIENCE, &log).await;
    let seconds = started.elapsed().as_secs_f64();
    let latency = format!(
        "{:6.1}  {:6.1}",
        quantile(&applier, &before, 0.5),
        quantile(&applier, &before, 0.99)
    );
    applier.finish().await;
    assert_applied(&cluster, &log, &std::collections::BTreeSet::new()).await;
    let added = rows(&cluster).await - warm;
    (Applied { seconds, latency }, cluster, added)
}

/// A server whose tables are there, that of the workload's day among them.
async fn prepared() -> Cluster {
    let cluster = migrated().await;
    cost::make_day(&cluster).await;
    cluster
}

fn settings_of(cluster: &Cluster, batch: usize) -> ApplierSettings {
    let mut settings = settings(cluster.url(), 1);
    settings.server.timeouts = Timeouts::STANDARD;
    settings.batch.records_max = batch;
    settings
}

async fn rows(cluster: &Cluster) -> f64 {
    let client = connect(cluster).await;
    let mut rows = 0;
    for table in TABLES {
        rows += count(&client, &format!("{{s}}.{table}")).await;
    }
    rows as f64
}

/// Milliseconds, interpolated within the bucket as Prometheus does.
fn quantile(applier: &Running, before: &[u64], share: f64) -> f64 {
    let histogram = &applier.status.batch_seconds;
    let counts: Vec<u64> = histogram.counts().zip(before).map(|(c, b)| c - b).collect();
    let wanted = counts.iter().sum::<u64>() as f64 * share;
    let (mut seen, mut low) = (0.0, 0.0);
    for (count, bound) in counts.iter().zip(histogram.bounds()) {
        let (count, high) = (*count as f64, *bound as f64 / 1e6);
        if count > 0.0 && seen + count >= wanted {
            return low + (high - low) * (wanted - seen) / count;
        }
        seen += count;
        low = high;
    }
    f64::INFINITY
}

/// The batches as files of rows: those of the warm tables first.
fn batches(batch: usize) -> Vec<(usize, usize)> {
    let end = WARM + RECORDS;
    let starts = std::iter::once(0).chain((WARM..end).step_by(batch));
    let ends = (WARM..end).step_by(batch).chain([end]);
    starts.zip(ends).collect()
}

/// Writes the rows of each batch into files, one for each table, in the binary format. A
/// transaction goes with its last record, so that it is copied once.
async fn take_out(cluster: &Cluster, folder: &std::path::Path, batch: usize) {
    let client = connect(cluster).await;
    for table in ["event", "transaction"] {
        run(&client, &format!("CREATE INDEX ON {{s}}.{table} (lsn)")).await;
    }
    run(&client, "ANALYZE").await;
    let mut script = format!("\\! mkdir -p {}\n", folder.display());
    for (from, to) in batches(batch) {
        for table in TABLES {
            let (of, key) = match table {
                "posting" => (
                    "posting AS r JOIN njia_test.transaction AS t \
                     USING (shard_key, transaction_id)",
                    "t.lsn",
                ),
                table => (table, "lsn"),
            };
            let what = if table == "posting" { "r.*" } else { "*" };
            let file = folder.join(format!("{from}.{table}"));
            writeln!(
                script,
                "\\copy (SELECT {what} FROM {SCHEMA}.{of} WHERE {key} > {from} AND {key} <= {to} \
                 ORDER BY {key}) TO '{}' WITH (FORMAT binary)",
                file.display()
            )
            .expect("a String takes everything");
        }
    }
    cluster.psql(&script).expect("rows can be taken out");
}

/// Seconds that bare COPY takes for the batches in `folder` after the warm ones.
async fn bare(folder: &std::path::Path, batch: usize) -> f64 {
    let cluster = prepared().await;
    let script = |batches: &[(usize, usize)]| {
        let mut script = String::new();
        for (from, _) in batches {
            script.push_str("BEGIN;\n");
            for table in TABLES {
                let file = folder.join(format!("{from}.{table}"));
                writeln!(
                    script,
                    "\\copy {SCHEMA}.{table} FROM '{}' WITH (FORMAT binary)",
                    file.display()
                )
                .expect("a String takes everything");
            }
            script.push_str("COMMIT;\n");
        }
        script
    };
    let batches = batches(batch);
    let (warm, rest) = batches.split_at(1);
    cluster.psql(&script(warm)).expect("rows can be copied");
    let rest = script(rest);
    let started = Instant::now();
    cluster.psql(&rest).expect("rows can be copied");
    started.elapsed().as_secs_f64()
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
