//! How long it takes until PostgreSQL is whole again after its disk was lost: from a base backup,
//! and what came after that from the journal (docs/operations.md, "Backup and restore").

use std::time::{Duration, Instant};

use domain::ids::Lsn;
use njia_tests::postgres::{Cluster, Stop};

use crate::cost::purchases;
use crate::log::Log;
use crate::rig::{Running, SCHEMA, assert_applied, connect};
use crate::workload::Workload;
use crate::{PATIENCE, prepared, settings_of};

/// Transactions in the backup, and behind it.
const BACKED_UP: u32 = 40_000;
const BEHIND: u32 = 160_000;

/// The applier runs on meanwhile, as that of a switch does.
pub async fn restore(batch: usize) {
    println!("\nrestore, batches of {batch}, approved purchases");
    let (mut cluster, log) = (prepared().await, Log::new(1));
    let mut workload = Workload::new(8, 1);
    log.append(purchases(&mut workload, BACKED_UP));
    let applier = Running::start(settings_of(&cluster, batch), vec![log.journal()]);
    applier.caught_up_within(PATIENCE, &log).await;
    let backed_up = log.durable();
    cluster.back_up("base").expect("a base backup is made");
    log.append(purchases(&mut workload, BEHIND));
    applier.caught_up_within(PATIENCE, &log).await;
    cluster.stop(Stop::Immediate).expect("the server can end");
    let lost = Instant::now();
    cluster.restore("base").expect("the backup is there");
    let copied = lost.elapsed();
    cluster.resume().expect("the server starts on its backup");
    let started = lost.elapsed();
    reached(&cluster, log.durable()).await;
    let whole = lost.elapsed();
    applier.finish().await;
    assert_applied(&cluster, &log, &std::collections::BTreeSet::new()).await;
    let records = log.durable().0 - backed_up.0;
    let applying = (whole - started).as_secs_f64();
    println!(
        "{BACKED_UP} transactions back from the backup in {:.1} s, the server up {:.1} s later, \
         {records} records behind it again after {applying:.1} s ({:.0} a second): {:.1} s in all",
        copied.as_secs_f64(),
        (started - copied).as_secs_f64(),
        records as f64 / applying,
        whole.as_secs_f64()
    );
}

/// Asks the server itself: what the applier knows may be from before the loss.
async fn reached(cluster: &Cluster, last: Lsn) {
    let client = connect(cluster).await;
    let asked = Instant::now();
    let sql = format!("SELECT max(lsn) FROM {SCHEMA}.watermark");
    loop {
        let row = client.query_one(&sql, &[]).await.expect("it answers");
        if row.get::<_, i64>(0).cast_unsigned() >= last.0 {
            return;
        }
        assert!(asked.elapsed() < PATIENCE, "the applier does not catch up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
