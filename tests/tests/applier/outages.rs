//! The server ends, or the way to it: rows 10 to 12, 18, 32, 33, 34, 36, 41 of docs/faults.md.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::ids::Lsn;
use njia_tests::postgres::{Stop, USER};
use persistence::applier::{ApplierError, FailureClass, JournalMismatch};

use crate::log::Log;
use crate::proxy::{Fate, Proxy};
use crate::rig::{Running, assert_applied, connect, count, migrated, run, settings, until};
use crate::workload::Workload;

const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE application_name LIKE 'njia applier%'";

#[tokio::test]
async fn fault_032_a_server_that_is_down_at_start_is_waited_for() {
    let mut cluster = migrated().await;
    cluster.stop(Stop::Fast).unwrap();
    let log = Log::new(1);
    log.append(Workload::new(1, 1).take(800));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    let status = applier.status.clone();
    until(|| status.failures(FailureClass::Connection) > 2).await;
    assert!(!status.connected());
    let lane = &status.lanes()[0];
    assert_eq!(lane.lag_records(), 800);
    assert!(lane.oldest_unapplied().is_some(), "the lag has an age");
    cluster.resume().unwrap();
    applier.caught_up(&log).await;
    assert!(status.connected());
    assert_eq!(lane.oldest_unapplied(), None);
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

#[tokio::test]
async fn fault_018_a_journal_that_cannot_be_read_is_tried_again_and_holds_up_no_other() {
    let cluster = migrated().await;
    let (log, other) = (Log::new(1), Log::new(2));
    log.append(Workload::new(3, 1).take(700));
    other.append(Workload::new(4, 1).take(700));
    log.fail_reads(u64::MAX);
    let journals = vec![log.journal(), other.journal()];
    let applier = Running::start(settings(cluster.url(), 1), journals);
    applier.caught_up(&other).await;
    let stopped = |lane: usize| applier.status.lanes()[lane].stopped();
    until(|| stopped(0) && log.unreadable() < u64::MAX - 2).await;
    assert_eq!(applier.status.lanes()[0].watermark(), Lsn::ZERO);
    log.fail_reads(2);
    applier.caught_up(&log).await;
    until(|| !stopped(0)).await;
    assert!(!stopped(1));
    applier.finish().await;
    let client = connect(&cluster).await;
    assert_eq!(count(&client, "{s}.event").await, 1_400);
}

async fn fault_033_a_backend_that_is_terminated_at_any_moment_costs_nothing() {
    let cluster = migrated().await;
    let log = Log::new(1);
    let mut workload = Workload::new(2, 1);
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    let client = connect(&cluster).await;
    let mut terminated = 0;
    log.append(workload.take(700));
    while terminated < 40 {
        let ended = client.query(TERMINATE, &[]).await.unwrap().len();
        if ended > 0 {
            log.append(workload.take(700));
        }
        terminated += ended;
    }
    applier.caught_up(&log).await;
    let failures = applier.status.failures(FailureClass::Operator)
        + applier.status.failures(FailureClass::Connection);
    assert!(failures > 0, "some of them were at work");
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn fault_033_a_server_that_crashes_in_the_middle_of_batches_costs_nothing() {
    let mut cluster = migrated().await;
    let log = Log::new(1);
    let mut workload = Workload::new(3, 1);
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    for round in 0..9_u64 {
        log.append(workload.take(4000));
        // Somewhere in the middle of what was appended.
        let inside = 500 + 350 * round;
        until(|| applier.status.lanes()[0].watermark() >= Lsn(round * 4000 + inside)).await;
        let how = [Stop::Immediate, Stop::Fast, Stop::Kill][usize::try_from(round % 3).unwrap()];
        cluster.stop(how).unwrap();
        cluster.resume().unwrap();
    }
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

//= docs/rules.md#J-06
async fn fault_011_a_commit_without_answer_is_settled_by_the_watermark() {
    let cluster = migrated().await;
    let log = Log::new(1);
    log.append(Workload::new(4, 1).take(15_000));
    let fates = vec![
        Fate::Pass,
        Fate::Pass,
        Fate::LoseAnswer,
        Fate::Pass,
        Fate::LoseCommit,
        Fate::Pass,
        Fate::Pass,
    ];
    let proxy = Proxy::start(cluster.socket(), fates);
    let applier = Running::start(settings(proxy.url(USER), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    let cut = proxy.cut.load(std::sync::atomic::Ordering::Relaxed);
    assert!(cut >= 10, "{cut} commits were cut");
    assert_eq!(applier.status.rows_inserted(), 15_000, "each counted once");
    assert_eq!(applier.status.rows_duplicate(), 0);
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn fault_041_a_connection_that_is_swallowed_in_commit_is_given_up_and_the_watermark_decides()
{
    let cluster = migrated().await;
    let log = Log::new(1);
    log.append(Workload::new(41, 1).take(6_000));
    let fates = vec![
        Fate::Pass,
        Fate::SwallowAnswer,
        Fate::Pass,
        Fate::SwallowCommit,
        Fate::Pass,
    ];
    let proxy = Proxy::start(cluster.socket(), fates);
    let mut settings = settings(proxy.url(USER), 1);
    settings.server.timeouts.batch = Duration::from_secs(1);
    // The server frees the watermark row of a client that it does not know to be gone.
    settings.server.timeouts.idle_in_transaction = Duration::from_millis(500);
    let applier = Running::start(settings, vec![log.journal()]);
    applier.caught_up(&log).await;
    let cut = proxy.cut.load(std::sync::atomic::Ordering::Relaxed);
    assert!(cut >= 2, "{cut} connections were swallowed");
    assert!(applier.status.failures(FailureClass::Connection) >= 2);
    assert_eq!(applier.status.rows_inserted(), 6_000, "each counted once");
    assert_eq!(applier.status.rows_duplicate(), 0);
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn fault_034_a_failover_that_lost_the_last_batches_is_applied_again() {
    let mut cluster = migrated().await;
    let log = Log::new(1);
    let mut workload = Workload::new(5, 1);
    log.append(workload.take(3000));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    cluster.stop(Stop::Fast).unwrap();
    cluster.save("standby").unwrap();
    cluster.resume().unwrap();
    log.append(workload.take(2500));
    applier.caught_up(&log).await;
    cluster.stop(Stop::Immediate).unwrap();
    cluster.restore("standby").unwrap();
    log.append(workload.take(100));
    cluster.resume().unwrap();
    applier.caught_up(&log).await;
    until(|| applier.status.connected()).await;
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

#[tokio::test]
async fn fault_034_records_that_a_failover_lost_and_that_are_retired_stop_the_applier() {
    let mut cluster = migrated().await;
    cluster.stop(Stop::Fast).unwrap();
    cluster.save("standby").unwrap();
    cluster.resume().unwrap();
    let log = Log::new(1);
    log.append(Workload::new(6, 1).take(900));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    log.retire_before(Lsn(500));
    cluster.stop(Stop::Immediate).unwrap();
    cluster.restore("standby").unwrap();
    cluster.resume().unwrap();
    let error = applier.ended().await;
    let expected = JournalMismatch::Gap {
        journal: log.journal,
        shard: log.shard,
        first: Lsn(500),
        watermark: Lsn::ZERO,
    };
    assert!(
        matches!(error, ApplierError::Journal(found) if found == expected),
        "{error}"
    );
}

async fn a_watermark_moved_back_by_hand_makes_no_doubles() {
    let cluster = migrated().await;
    let log = Log::new(1);
    log.append(Workload::new(7, 1).take(3000));
    let first = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    first.caught_up(&log).await;
    first.finish().await;
    let client = connect(&cluster).await;
    run(&client, "UPDATE {s}.watermark SET lsn = 700").await;
    let second = Running::start(settings(cluster.url(), 2), vec![log.journal()]);
    second.caught_up(&log).await;
    assert_eq!(second.status.rows_duplicate(), 2300);
    assert_eq!(second.status.rows_inserted(), 0);
    assert_eq!(second.status.rows_quarantined(), 0);
    second.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn other_records_under_the_same_numbers_stop_the_applier() {
    let cluster = migrated().await;
    let (log, fork) = (Log::new(1), Log::new(1));
    let mut workload = Workload::new(8, 1);
    log.append(workload.approved(1).1);
    log.append(workload.approved(2).1);
    let first = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    first.caught_up(&log).await;
    first.finish().await;
    // An older copy of the journal that went on differently, with the same slots.
    let mut elsewhere = Workload::new(8, 2);
    fork.append(elsewhere.approved(1).1);
    fork.append(elsewhere.approved(2).1);
    let client = connect(&cluster).await;
    run(&client, "UPDATE {s}.watermark SET lsn = 0").await;
    let second = Running::start(settings(cluster.url(), 2), vec![fork.journal()]);
    let error = second.ended().await;
    assert!(matches!(error, ApplierError::Forked { .. }), "{error}");
    assert_eq!(count(&client, "{s}.event").await, 4, "nothing was written");
}

async fn fault_036_a_locked_table_is_waited_for() {
    let cluster = migrated().await;
    let log = Log::new(1);
    let blocker = connect(&cluster).await;
    run(
        &blocker,
        "BEGIN; LOCK TABLE {s}.event IN ACCESS EXCLUSIVE MODE",
    )
    .await;
    log.append(Workload::new(9, 1).take(600));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    until(|| applier.status.failures(FailureClass::Operator) >= 2).await;
    assert_eq!(applier.status.lanes()[0].watermark(), Lsn::ZERO);
    run(&blocker, "ROLLBACK").await;
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn fault_036_a_batch_that_takes_too_long_is_given_up_and_done_again() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    run(&client, "CREATE SEQUENCE {s}.tries").await;
    run(
        &client,
        "CREATE FUNCTION {s}.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('{s}.tries') <= 2 THEN PERFORM pg_sleep(30); END IF; RETURN NULL; END $$; \
         CREATE TRIGGER slow AFTER INSERT ON {s}.event EXECUTE FUNCTION {s}.slow()",
    )
    .await;
    let log = Log::new(1);
    log.append(Workload::new(10, 1).take(600));
    let mut settings = settings(cluster.url(), 1);
    // The first is ended by the server's clock, the second by the applier's.
    settings.server.timeouts.statement = Duration::from_secs(3);
    settings.server.timeouts.batch = Duration::from_secs(2);
    settings.server.timeouts.lock = Duration::from_secs(2);
    let applier = Running::start(settings, vec![log.journal()]);
    applier.caught_up(&log).await;
    assert!(applier.status.failures(FailureClass::Connection) >= 1);
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn fault_018_an_applier_that_is_dropped_in_mid_batch_leaves_nothing_half() {
    let cluster = migrated().await;
    let log = Log::new(1);
    let mut workload = Workload::new(11, 1);
    for start in 1..=12 {
        log.append(workload.take(1500));
        let mut settings = settings(cluster.url(), start);
        settings.drain = Duration::from_millis(u64::try_from(start).unwrap());
        let applier = Running::start(settings, vec![log.journal()]);
        until(|| applier.status.connected()).await;
        applier.finish().await;
    }
    let applier = Running::start(settings(cluster.url(), 99), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

for_each_strategy! {
    fault_033_a_backend_that_is_terminated_at_any_moment_costs_nothing,
    fault_033_a_server_that_crashes_in_the_middle_of_batches_costs_nothing,
    fault_011_a_commit_without_answer_is_settled_by_the_watermark,
    fault_041_a_connection_that_is_swallowed_in_commit_is_given_up_and_the_watermark_decides,
    fault_034_a_failover_that_lost_the_last_batches_is_applied_again,
    a_watermark_moved_back_by_hand_makes_no_doubles,
    other_records_under_the_same_numbers_stop_the_applier,
    fault_036_a_locked_table_is_waited_for,
    fault_036_a_batch_that_takes_too_long_is_given_up_and_done_again,
    fault_018_an_applier_that_is_dropped_in_mid_batch_leaves_nothing_half,
}
