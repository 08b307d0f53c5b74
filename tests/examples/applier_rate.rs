//! How many records per second the applier copies into a PostgreSQL of its own, by size of batch.
//!
//! `cargo run --release -p njia-tests --example applier_rate [-- BATCH…]`. Rates are reported,
//! never asserted.

// Shared with the suite, which uses more of it.
#![expect(dead_code, reason = "the helpers serve tests/applier.rs too")]

#[path = "../tests/applier/books.rs"]
mod books;
#[path = "../tests/applier/log.rs"]
mod log;
#[path = "../tests/applier/oracle.rs"]
mod oracle;
#[path = "../tests/applier/rig.rs"]
mod rig;
#[path = "../tests/applier/workload.rs"]
mod workload;

use std::time::{Duration, Instant};

use persistence::applier::{Payload, Timeouts};

use log::Log;
use rig::{Running, assert_applied, migrated, settings};
use workload::Workload;

const RECORDS: usize = 200_000;
/// A disk that others use may be slow, and is still to be measured.
const PATIENCE: Duration = Duration::from_secs(3600);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{RECORDS} records each, one connection, fsync on, synchronous_commit on");
    println!("batch  payload  records/s  median batch");
    let asked = std::env::args()
        .skip(1)
        .map(|batch| batch.parse().expect("BATCH is a number"));
    let mut batches: Vec<usize> = asked.collect();
    if batches.is_empty() {
        batches = vec![100, 500, 2000, 500, 2000];
    }
    for (round, batch) in batches.into_iter().enumerate() {
        for payload in [Payload::Keep, Payload::Omit] {
            measure(round, batch, payload).await;
        }
    }
}

async fn measure(round: usize, batch: usize, payload: Payload) {
    let cluster = migrated().await;
    let mut settings = settings(cluster.url(), 1);
    settings.server.timeouts = Timeouts::STANDARD;
    settings.batch.records_max = batch;
    settings.payload = payload;
    let log = Log::new(1);
    let mut workload = Workload::new(round as u64 + 1, 1);
    // Tables and caches are warm before the clock starts.
    log.append(workload.take(RECORDS / 10));
    let applier = Running::start(settings, vec![log.journal()]);
    applier.caught_up_within(PATIENCE, &log).await;
    let records = workload.take(RECORDS);
    let started = Instant::now();
    log.append(records);
    applier.caught_up_within(PATIENCE, &log).await;
    let seconds = started.elapsed().as_secs_f64();
    let median = median(&applier);
    applier.finish().await;
    assert_applied(&cluster, &log, &std::collections::BTreeSet::new()).await;
    let rate = RECORDS as f64 / seconds;
    println!("{batch:5}  {payload:7?}  {rate:9.0}  <= {median} ms");
}

/// The upper bound of the bucket that holds the median.
fn median(applier: &Running) -> f64 {
    let histogram = &applier.status.batch_seconds;
    let counts: Vec<u64> = histogram.counts().collect();
    let half = counts.iter().sum::<u64>().div_ceil(2);
    let mut seen = 0;
    for (count, bound) in counts.iter().zip(histogram.bounds()) {
        seen += count;
        if seen >= half {
            return *bound as f64 / 1e6;
        }
    }
    f64::INFINITY
}
