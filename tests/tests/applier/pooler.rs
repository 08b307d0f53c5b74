//! The applier through a real pgbouncer in transaction mode: one connection to the server for two
//! appliers, so that each finds it as the other has left it.

use std::collections::BTreeSet;

use domain::ids::{Lsn, NodeId};
use njia_tests::pgbouncer::Pooler;
use persistence::applier::{FailureClass, survey, watermarks};

use crate::log::Log;
use crate::oracle;
use crate::poison::refuse;
use crate::rig::{
    Running, SCHEMA, assert_applied, assert_kept, connect, count, migrated, run, settings, until,
};
use crate::workload::Workload;

async fn two_nodes_share_one_connection_to_the_server() {
    let cluster = migrated().await;
    let pooler = Pooler::start(&cluster, 1).unwrap();
    let logs = [Log::new(1), Log::new(2)];
    let mut workloads = [Workload::new(71, 1), Workload::new(72, 2)];
    let mut elsewhere = settings(pooler.url(), 2);
    elsewhere.node = NodeId(2);
    let appliers = [
        Running::start(settings(pooler.url(), 1), vec![logs[0].journal()]),
        Running::start(elsewhere, vec![logs[1].journal()]),
    ];
    for size in [1, 7, 900, 1_400] {
        for (log, workload) in logs.iter().zip(&mut workloads) {
            log.append(workload.take(size));
        }
        for (applier, log) in appliers.iter().zip(&logs) {
            applier.caught_up(log).await;
        }
    }
    for applier in appliers {
        // What a session would say that is not as this applier left it.
        for class in [FailureClass::Schema, FailureClass::Other] {
            assert_eq!(applier.status.failures(class), 0, "{:?}", applier.status);
        }
        assert_eq!(applier.status.rows_inserted(), 2_308);
        applier.finish().await;
    }
    let client = connect(&cluster).await;
    let mut expected = oracle::fold(&logs[0], &BTreeSet::new());
    expected.extend(oracle::fold(&logs[1], &BTreeSet::new()));
    oracle::assert_equal(&oracle::projection(&client, SCHEMA).await, &expected);
    for log in &logs {
        assert_kept(&cluster, log, &BTreeSet::new()).await;
    }
    assert_nothing_is_left(&client).await;
}

async fn a_pooler_that_is_killed_in_mid_batch_costs_nothing() {
    let cluster = migrated().await;
    let mut pooler = Pooler::start(&cluster, 2).unwrap();
    let log = Log::new(1);
    let mut workload = Workload::new(73, 1);
    let applier = Running::start(settings(pooler.url(), 1), vec![log.journal()]);
    let lane = || applier.status.lanes()[0].watermark();
    for round in 0..5_u64 {
        log.append(workload.take(3_000));
        // Somewhere in the middle of what was appended.
        until(|| lane() >= Lsn(round * 3_000 + 400 * round)).await;
        let failures = applier.status.failures(FailureClass::Connection);
        pooler.kill().unwrap();
        until(|| applier.status.failures(FailureClass::Connection) > failures).await;
        pooler.resume().unwrap();
    }
    applier.caught_up(&log).await;
    assert_eq!(applier.status.rows_inserted(), 15_000, "each counted once");
    applier.finish().await;
    let known = watermarks(&settings(pooler.url(), 2)).await.unwrap();
    assert_eq!((known.len(), known[0].lsn), (1, Lsn(15_000)));
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn poison_take_over_and_replay_work_through_a_pooler() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    let pooler = Pooler::start(&cluster, 1).unwrap();
    let poison = [(3, "22021"), (500, "23514"), (777, "22003")];
    refuse(&client, &poison).await;
    let log = Log::new(1);
    log.append(Workload::new(74, 1).take(1_200));
    let first = Running::start(settings(pooler.url(), 1), vec![log.journal()]);
    first.caught_up(&log).await;
    assert_eq!(first.status.rows_quarantined(), 3);
    first.finish().await;
    let refused: BTreeSet<u64> = poison.iter().map(|(lsn, _)| *lsn).collect();
    assert_applied(&cluster, &log, &refused).await;

    run(&client, "UPDATE {s}.watermark SET lsn = 800").await;
    let second = Running::start(settings(pooler.url(), 2), vec![log.journal()]);
    second.caught_up(&log).await;
    assert_eq!(second.status.rows_duplicate(), 400);
    assert_eq!(second.status.rows_inserted(), 0);
    second.finish().await;
    assert_applied(&cluster, &log, &refused).await;
    assert_nothing_is_left(&client).await;
}

#[tokio::test]
async fn questions_are_answered_through_a_pooler() {
    let cluster = migrated().await;
    let pooler = Pooler::start(&cluster, 1).unwrap();
    let server = settings(pooler.url(), 1).server;
    for _ in 0..2 {
        let found = survey(&server).await.unwrap();
        assert_eq!(found.schema_version, Some(found.schema_wanted));
    }
    assert_eq!(watermarks(&settings(pooler.url(), 1)).await.unwrap(), []);
}

/// No session of the server keeps a table of ours.
async fn assert_nothing_is_left(client: &tokio_postgres::Client) {
    let temporary = "pg_class WHERE relpersistence = 't'";
    assert_eq!(count(client, temporary).await, 0);
}

for_each_strategy! {
    two_nodes_share_one_connection_to_the_server,
    a_pooler_that_is_killed_in_mid_batch_costs_nothing,
    poison_take_over_and_replay_work_through_a_pooler,
}
