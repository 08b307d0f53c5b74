//! Who may write: rows 34 and 35 of docs/faults.md, and the rows J03, J04, J18, J19 of the recovery
//! table.

use std::collections::BTreeSet;

use domain::ids::Lsn;
use njia_tests::postgres::{Cluster, Stop, USER};
use persistence::applier::{
    ApplierError, FailureClass, JournalMismatch, JournalState, Origin, Phase, check, watermarks,
};

use crate::log::Log;
use crate::rig::{Running, assert_applied, connect, count, migrated, run, settings, until};
use crate::workload::Workload;

async fn fault_035_of_two_appliers_the_later_one_goes_on_and_the_other_stops() {
    let cluster = migrated().await;
    let log = Log::new(1);
    let mut workload = Workload::new(41, 1);
    log.append(workload.take(2000));
    let first = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    until(|| first.status.connected()).await;
    let second = Running::start(settings(cluster.url(), 2), vec![log.journal()]);
    until(|| second.status.connected()).await;
    log.append(workload.take(2000));
    let error = first.ended().await;
    assert!(matches!(error, ApplierError::Superseded { .. }), "{error}");
    second.caught_up(&log).await;
    second.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn fault_035_many_take_overs_in_mid_batch_make_no_doubles() {
    let cluster = migrated().await;
    let log = Log::new(1);
    let mut workload = Workload::new(42, 1);
    let mut running: Vec<Running> = Vec::new();
    for owner in 1..=8 {
        log.append(workload.take(1200));
        let applier = Running::start(settings(cluster.url(), owner), vec![log.journal()]);
        until(|| applier.status.connected()).await;
        running.push(applier);
    }
    let last = running.pop().unwrap();
    // Whoever had written all before the next one came finds out now.
    log.append(workload.take(1200));
    for loser in running {
        let error = loser.ended().await;
        assert!(matches!(error, ApplierError::Superseded { .. }), "{error}");
    }
    last.caught_up(&log).await;
    last.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

/// The standby stands first in the connection string, streams, loses its primary's log, and is
/// promoted when the primary dies: the last batches are not in it.
#[tokio::test]
async fn fault_034_a_promoted_standby_that_lacks_the_last_batches_gets_them_again() {
    let mut primary = migrated().await;
    let standby = Cluster::standby_of(&primary).unwrap();
    let folders = [standby.folder(), primary.folder()].map(|folder| folder.display().to_string());
    let url = format!("host={} user={USER} dbname=postgres", folders.join(","));
    let log = Log::new(1);
    let mut workload = Workload::new(49, 1);
    log.append(workload.take(3_000));
    let applier = Running::start(settings(url, 1), vec![log.journal()]);
    applier.caught_up(&log).await;

    let replica = connect(&standby).await;
    let streamed = "{s}.watermark WHERE lsn = 3000";
    while count(&replica, streamed).await == 0 {
        tokio::task::yield_now().await;
    }
    run(&replica, "ALTER SYSTEM SET primary_conninfo = ''").await;
    run(&replica, "SELECT pg_reload_conf()").await;
    let streaming = "SELECT count(*) FROM pg_stat_wal_receiver";
    while replica
        .query_one(streaming, &[])
        .await
        .unwrap()
        .get::<_, i64>(0)
        != 0
    {
        tokio::task::yield_now().await;
    }
    log.append(workload.take(2_500));
    applier.caught_up(&log).await;
    assert_eq!(
        count(&replica, "{s}.event").await,
        3_000,
        "the rest is lost"
    );

    primary.stop(Stop::Kill).unwrap();
    log.append(workload.take(700));
    let status = &applier.status;
    until(|| {
        status.failures(FailureClass::ReadOnly) + status.failures(FailureClass::Connection) > 1
    })
    .await;
    standby.promote().unwrap();
    applier.caught_up(&log).await;
    assert_eq!(
        (status.rows_inserted(), status.rows_duplicate()),
        (8_700, 0)
    );
    applier.finish().await;
    assert_applied(&standby, &log, &BTreeSet::new()).await;
}

async fn a_watermark_that_somebody_else_moved_stops_the_applier() {
    let cluster = migrated().await;
    let log = Log::new(1);
    let mut workload = Workload::new(43, 1);
    log.append(workload.take(100));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    let client = connect(&cluster).await;
    run(&client, "UPDATE {s}.watermark SET lsn = 150").await;
    log.append(workload.take(100));
    let error = applier.ended().await;
    assert!(
        matches!(
            error,
            ApplierError::WatermarkMoved {
                expected: Lsn(100),
                found: Lsn(150),
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(count(&client, "{s}.event").await, 100);
}

fn state(log: &Log, origin: Origin, last: u64) -> JournalState {
    JournalState {
        journal: log.journal,
        shard: log.shard,
        origin,
        first_retained: Lsn(1),
        last: Lsn(last),
    }
}

#[tokio::test]
async fn j03_a_server_that_was_never_migrated_has_no_watermark() {
    let cluster = njia_tests::postgres::Cluster::start().unwrap();
    let settings = settings(cluster.url(), 1);
    assert_eq!(watermarks(&settings).await.unwrap(), []);
    let journal = state(&Log::new(1), Origin::Created, 0);
    assert_eq!(check(&settings, &[journal]).await.unwrap(), []);
}

#[tokio::test]
async fn j04_an_empty_disk_is_refused_until_the_lost_journal_is_named() {
    let cluster = migrated().await;
    let lost = Log::new(1);
    lost.append(Workload::new(44, 1).take(300));
    let applier = Running::start(settings(cluster.url(), 1), vec![lost.journal()]);
    applier.caught_up(&lost).await;
    applier.finish().await;

    let mut settings = settings(cluster.url(), 2);
    let found = Log::new(2);
    found.append(Workload::new(45, 2).take(50));
    let created = state(&found, Origin::Created, 50);
    let refused = check(&settings, &[created]).await.unwrap_err();
    let expected = JournalMismatch::Lost {
        journal: lost.journal,
        shard: lost.shard,
        watermark: Lsn(300),
    };
    assert!(
        matches!(refused, ApplierError::Journal(why) if why == expected),
        "{refused}"
    );
    assert!(refused.to_string().contains(&lost.journal.to_string()));
    let journal = || found.journal_of(Origin::Created, Phase::Live);
    let error = Running::start(settings.clone(), vec![journal()])
        .ended()
        .await;
    assert!(
        matches!(error, ApplierError::Journal(why) if why == expected),
        "{error}"
    );

    settings.accept_lost = vec![lost.journal];
    let applier = Running::start(settings.clone(), vec![journal()]);
    applier.caught_up(&found).await;
    applier.finish().await;
    settings.accept_lost.clear();
    let known = check(&settings, &[created]).await.unwrap();
    let sealed = known.iter().find(|row| row.journal == lost.journal);
    assert!(sealed.is_some_and(|row| row.sealed), "named once is enough");
}

#[tokio::test]
async fn j18_an_older_copy_of_the_journal_is_refused() {
    let cluster = migrated().await;
    let log = Log::new(1);
    log.append(Workload::new(46, 1).take(300));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    let settings = settings(cluster.url(), 2);
    let old = state(&log, Origin::Recovered, 299);
    let refused = check(&settings, &[old]).await.unwrap_err();
    let expected = JournalMismatch::Ahead {
        journal: log.journal,
        shard: log.shard,
        last: Lsn(299),
        watermark: Lsn(300),
    };
    assert!(
        matches!(refused, ApplierError::Journal(why) if why == expected),
        "{refused}"
    );
    let other = state(&Log::new(2), Origin::Recovered, 10);
    let refused = check(&settings, &[other]).await.unwrap_err();
    let other = matches!(
        refused,
        ApplierError::Journal(JournalMismatch::Other { journal, .. }) if journal == log.journal
    );
    assert!(other, "{refused}");
}

#[tokio::test]
async fn j20_a_server_that_is_away_is_told_apart() {
    let mut cluster = migrated().await;
    cluster.stop(njia_tests::postgres::Stop::Fast).unwrap();
    let refused = check(&settings(cluster.url(), 1), &[]).await.unwrap_err();
    assert!(matches!(refused, ApplierError::Away { .. }), "{refused}");
}

#[tokio::test]
async fn a_drained_journal_is_sealed_at_its_end() {
    let cluster = migrated().await;
    let old = Log::new(1);
    old.append(Workload::new(47, 1).take(700));
    let live = Log::new(2);
    live.append(Workload::new(48, 2).take(10));
    let journals = vec![
        old.journal_of(Origin::Recovered, Phase::Draining),
        live.journal(),
    ];
    let applier = Running::start(settings(cluster.url(), 1), journals);
    applier.caught_up(&old).await;
    applier.caught_up(&live).await;
    applier.finish().await;
    let known = watermarks(&settings(cluster.url(), 2)).await.unwrap();
    let sealed: Vec<_> = known.iter().filter(|row| row.sealed).collect();
    assert_eq!(sealed.len(), 1);
    assert_eq!((sealed[0].journal, sealed[0].lsn), (old.journal, Lsn(700)));
}

for_each_strategy! {
    fault_035_of_two_appliers_the_later_one_goes_on_and_the_other_stops,
    fault_035_many_take_overs_in_mid_batch_make_no_doubles,
    a_watermark_that_somebody_else_moved_stops_the_applier,
}
