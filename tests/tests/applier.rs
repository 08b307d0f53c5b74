//! The applier against a real server that is killed, fenced, locked, moved back and lied to. What
//! must hold afterwards is always the same: every record once, the projection equal to the fold of
//! the records, the sums equal per currency.

/// Each of these functions is a test, once for each strategy.
macro_rules! for_each_strategy {
    ($($test:ident),* $(,)?) => {
        mod by_copy {
            $(#[tokio::test]
            async fn $test() {
                crate::rig::by(persistence::applier::Strategy::Copy, super::$test()).await;
            })*
        }

        mod by_unnest {
            $(#[tokio::test]
            async fn $test() {
                crate::rig::by(persistence::applier::Strategy::Unnest, super::$test()).await;
            })*
        }
    };
}

#[path = "applier/books.rs"]
mod books;
#[path = "applier/days.rs"]
mod days;
#[path = "applier/log.rs"]
mod log;
#[path = "applier/oracle.rs"]
mod oracle;
#[path = "applier/outages.rs"]
mod outages;
#[path = "applier/poison.rs"]
mod poison;
#[path = "applier/pooler.rs"]
mod pooler;
#[path = "applier/proxy.rs"]
mod proxy;
#[path = "applier/refusals.rs"]
mod refusals;
#[path = "applier/rig.rs"]
mod rig;
#[path = "applier/roles.rs"]
mod roles;
#[path = "applier/takeover.rs"]
mod takeover;
#[path = "applier/tls.rs"]
mod tls;
#[path = "applier/workload.rs"]
mod workload;

use std::collections::BTreeSet;

use persistence::applier::{BatchPolicy, migrate, survey};

use log::Log;
use rig::{MIGRATIONS, Running, SCHEMA, assert_applied, connect, count, migrated, run, settings};
use workload::Workload;

async fn the_projection_is_the_fold_of_the_records() {
    let cluster = migrated().await;
    let log = Log::new(1);
    let mut workload = Workload::new(11, 1);
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    for size in [1, 2, 7, 500, 501, 3000] {
        log.append(workload.take(size));
        applier.caught_up(&log).await;
    }
    log.append(workload.finish());
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn two_shards_share_a_connection_and_nothing_else() {
    let cluster = migrated().await;
    let logs = [Log::new(1), Log::new(1).of_shard(1)];
    logs[0].append(Workload::new(3, 1).take(2500));
    logs[1].append(Workload::new(4, 2).take(700));
    let journals = logs.iter().map(Log::journal).collect();
    let applier = Running::start(settings(cluster.url(), 1), journals);
    applier.caught_up(&logs[0]).await;
    applier.caught_up(&logs[1]).await;
    assert_eq!(applier.status.rows_inserted(), 3200);
    applier.finish().await;
    let client = connect(&cluster).await;
    assert_eq!(count(&client, "{s}.event").await, 3200);
    let mut expected = oracle::fold(&logs[0], &BTreeSet::new());
    expected.extend(oracle::fold(&logs[1], &BTreeSet::new()));
    oracle::assert_equal(&oracle::projection(&client, SCHEMA).await, &expected);
}

#[tokio::test]
async fn a_small_batch_waits_for_more_but_not_for_ever() {
    let cluster = migrated().await;
    let log = Log::new(1);
    let mut settings = settings(cluster.url(), 1);
    settings.batch = BatchPolicy {
        records_min: 500,
        linger: std::time::Duration::from_millis(50),
        ..settings.batch
    };
    let applier = Running::start(settings, vec![log.journal()]);
    log.append(Workload::new(5, 1).take(10));
    applier.caught_up(&log).await;
    let batches: u64 = applier.status.batch_records.counts().sum();
    assert_eq!(
        batches, 1,
        "ten records that were there at once go together"
    );
    applier.finish().await;
}

async fn a_business_key_that_two_transactions_claim_is_an_exception() {
    let cluster = migrated().await;
    let (here, there) = (Log::new(1), Log::new(2));
    let (first, records) = Workload::new(7, 1).approved(99);
    here.append(records);
    let mut other = Workload::new(7, 2);
    let (second, records) = other.approved(99);
    there.append(records);
    let (third, records) = other.approved(99);
    there.append(records);
    assert_eq!(first.slot(), second.slot(), "the key decides the slot");
    assert_eq!(first.slot(), third.slot());

    let one = Running::start(settings(cluster.url(), 1), vec![here.journal()]);
    one.caught_up(&here).await;
    one.finish().await;
    let mut elsewhere = settings(cluster.url(), 2);
    elsewhere.node = domain::ids::NodeId(2);
    let two = Running::start(elsewhere, vec![there.journal()]);
    two.caught_up(&there).await;
    assert_eq!(
        two.status.doubles(),
        2,
        "across nodes, and inside one batch"
    );
    two.finish().await;

    let client = connect(&cluster).await;
    let listed = format!(
        "{{s}}.exception WHERE reason = 'double' AND transaction_id = '{second}' \
         AND other = '{first}'"
    );
    assert_eq!(count(&client, &listed).await, 1);
    let kept = format!("{{s}}.transaction WHERE transaction_id = '{second}' AND approved");
    assert_eq!(count(&client, &kept).await, 1, "its money stays visible");
}

async fn two_nodes_that_claim_one_key_at_once_lose_nothing() {
    let cluster = migrated().await;
    let (here, there) = (Log::new(1), Log::new(2));
    let (mut one, mut two) = (Workload::new(7, 1), Workload::new(7, 2));
    for key in 0..400 {
        here.append(one.approved(key).1);
        there.append(two.approved(key).1);
    }
    let mut elsewhere = settings(cluster.url(), 2);
    elsewhere.node = domain::ids::NodeId(2);
    let here_applier = Running::start(settings(cluster.url(), 1), vec![here.journal()]);
    let there_applier = Running::start(elsewhere, vec![there.journal()]);
    here_applier.caught_up(&here).await;
    there_applier.caught_up(&there).await;
    here_applier.finish().await;
    there_applier.finish().await;
    let client = connect(&cluster).await;
    assert_eq!(count(&client, "{s}.event").await, 1600);
    assert_eq!(count(&client, "{s}.transaction").await, 800);
    let doubles = count(&client, "{s}.transaction WHERE duplicate_of IS NOT NULL").await;
    assert_eq!(doubles, 400, "each key has one winner");
    assert_eq!(
        count(&client, "{s}.exception WHERE reason = 'double'").await,
        400
    );
}

async fn failed_reversals_are_exceptions_for_people() {
    let cluster = migrated().await;
    let log = Log::new(1);
    let mut workload = Workload::new(13, 1);
    log.append(workload.take(3000));
    log.append(workload.finish());
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    let client = connect(&cluster).await;
    for result in ["refused", "expired"] {
        let ended = format!("{{s}}.transaction WHERE reversal = '{result}'");
        let listed = format!("{{s}}.exception WHERE reason = 'reversal_{result}'");
        let ended = count(&client, &ended).await;
        assert!(ended > 0);
        assert_eq!(count(&client, &listed).await, ended);
    }
}

/// Six records: what a later one makes of the row must not hide that the fourth is a failure.
async fn a_failed_reversal_is_listed_however_its_records_fall_into_batches() {
    for cut in 0..=6 {
        let cluster = migrated().await;
        let log = Log::new(1);
        let (transaction, mut records) = Workload::new(13, 1).reversed_twice();
        let rest = records.split_off(cut);
        let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
        for batch in [records, rest] {
            log.append(batch);
            applier.caught_up(&log).await;
        }
        applier.finish().await;
        let client = connect(&cluster).await;
        let listed = format!(
            "{{s}}.exception WHERE transaction_id = '{transaction}' \
             AND reason = 'reversal_refused' AND lsn = 4"
        );
        assert_eq!(count(&client, &listed).await, 1, "cut after {cut}");
        assert_eq!(count(&client, "{s}.exception").await, 1, "cut after {cut}");
        assert_applied(&cluster, &log, &BTreeSet::new()).await;
    }
}

/// Whoever holds money that the other side does not know of has to be asked; a second way to
/// decline has moved nothing.
async fn an_answer_that_contradicts_the_first_is_listed_once() {
    for (first, then, listed) in [(b"00", b"51", 1), (b"51", b"00", 1), (b"51", b"05", 0)] {
        for cut in 0..=3 {
            let cluster = migrated().await;
            let log = Log::new(1);
            let (transaction, mut records) = Workload::new(13, 1).answered_twice(first, then);
            let rest = records.split_off(cut);
            let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
            for batch in [records, rest] {
                log.append(batch);
                applier.caught_up(&log).await;
            }
            applier.finish().await;
            let client = connect(&cluster).await;
            let says = if then == b"00" {
                "approves with 00"
            } else {
                "declines with 51"
            };
            let row = format!(
                "{{s}}.exception WHERE transaction_id = '{transaction}' AND lsn = 3 \
                 AND reason = 'answer_conflict' AND note LIKE 'issuer %: {says} at %'"
            );
            assert_eq!(count(&client, &row).await, listed, "cut after {cut}");
            assert_eq!(count(&client, "{s}.exception").await, listed);
            assert_applied(&cluster, &log, &BTreeSet::new()).await;
        }
    }
}

/// It is listed with the reversal that is owed for it, and the decline before it is not.
async fn an_approval_behind_a_late_decline_is_listed_once() {
    for (at_once, cut) in [
        (true, 0),
        (true, 4),
        (true, 6),
        (true, 7),
        (false, 0),
        (false, 5),
        (false, 6),
    ] {
        let cluster = migrated().await;
        let log = Log::new(1);
        let (transaction, mut records) = Workload::new(13, 1).approved_behind_a_decline(at_once);
        let rest = records.split_off(cut);
        let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
        for batch in [records, rest] {
            log.append(batch);
            applier.caught_up(&log).await;
        }
        applier.finish().await;
        let client = connect(&cluster).await;
        let lsn = if at_once { 7 } else { 6 };
        let row = format!(
            "{{s}}.exception WHERE transaction_id = '{transaction}' AND lsn = {lsn} \
             AND reason = 'answer_conflict' AND note LIKE 'issuer %: approves with 00 at %'"
        );
        assert_eq!(count(&client, &row).await, 1, "cut after {cut}");
        assert_eq!(count(&client, "{s}.exception").await, 1, "cut after {cut}");
    }
}

async fn totals_that_differ_are_listed_with_what_differs() {
    for cut in 0..=5 {
        let cluster = migrated().await;
        let log = Log::new(1);
        let (ids, mut records) = Workload::new(13, 1).out_of_balance();
        let rest = records.split_off(cut);
        let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
        for batch in [records, rest] {
            log.append(batch);
            applier.caught_up(&log).await;
        }
        applier.finish().await;
        let client = connect(&cluster).await;
        // What was owed may have come batches before.
        let owed = "issuer %: 2024-10-04 %DE11 000043; ours: DE76 1, DE88 1500; sent 3 times";
        for (transaction, reason, lsn, note) in [
            (
                ids[0],
                "out_of_balance",
                1,
                "acquirer %: 2024-10-04 %DE11 000042; other figures in DE88; \
                 ours: DE76 1, DE88 1500",
            ),
            (ids[1], "out_of_balance", 3, owed),
            (ids[2], "reconciliation_refused", 5, owed),
        ] {
            let row = format!(
                "{{s}}.exception WHERE transaction_id = '{transaction}' AND lsn = {lsn} \
                 AND reason = '{reason}' AND note LIKE '{note}'"
            );
            assert_eq!(count(&client, &row).await, 1, "{reason}, cut after {cut}");
        }
        assert_eq!(count(&client, "{s}.exception").await, 3, "cut after {cut}");
    }
}

/// What an operator did stays visible, with who and why, whatever follows it.
async fn what_was_done_by_hand_is_listed_with_who_and_why() {
    for cut in 0..=5 {
        let cluster = migrated().await;
        let log = Log::new(1);
        let (transaction, mut records) = Workload::new(13, 1).by_hand();
        let rest = records.split_off(cut);
        let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
        for batch in [records, rest] {
            log.append(batch);
            applier.caught_up(&log).await;
        }
        applier.finish().await;
        let client = connect(&cluster).await;
        for (reason, lsn) in [("reversal_dropped", 4), ("reversal_retried", 5)] {
            let listed = format!(
                "{{s}}.exception WHERE transaction_id = '{transaction}' AND reason = '{reason}' \
                 AND lsn = {lsn} AND note = 'by asha (1000): booked by hand'"
            );
            assert_eq!(
                count(&client, &listed).await,
                1,
                "{reason}, cut after {cut}"
            );
        }
        let owed = "{s}.transaction WHERE reversal = 'owed'";
        assert_eq!(count(&client, owed).await, 1);
        assert_applied(&cluster, &log, &BTreeSet::new()).await;
    }
}

#[tokio::test]
async fn migrations_wait_for_each_other_and_run_once() {
    let cluster = njia_tests::postgres::Cluster::start().unwrap();
    let server = settings(cluster.url(), 1).server;
    assert_eq!(survey(&server).await.unwrap().schema_version, None);
    let all = tokio::join!(migrate(&server), migrate(&server), migrate(&server));
    let mut applied = [all.0.unwrap(), all.1.unwrap(), all.2.unwrap()].concat();
    applied.sort_unstable();
    assert_eq!(
        applied, MIGRATIONS,
        "one of them did it, the others had nothing to do"
    );
    let found = survey(&server).await.unwrap();
    assert_eq!(found.schema_version, Some(found.schema_wanted));
    assert_eq!(
        (found.synchronous_commit.as_str(), found.fsync.as_str()),
        ("on", "off")
    );
    assert!(found.now.unix_millis() > 1_700_000_000_000 && !found.version.is_empty());
    let client = connect(&cluster).await;
    run(&client, "DROP SCHEMA {s} CASCADE").await;
    assert_eq!(
        migrate(&server).await.unwrap(),
        MIGRATIONS,
        "a dropped schema comes back"
    );
}

async fn what_was_copied_before_there_were_books_is_not_in_them_nor_is_its_reversal() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    let log = Log::new(1);
    let mut workload = Workload::new(61, 1);
    let (first, records) = workload.purchased(99);
    log.append(records);
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    assert_eq!(count(&client, "{s}.posting").await, 2);
    // As an upgrade finds them.
    run(
        &client,
        "DELETE FROM {s}.posting; \
         UPDATE {s}.transaction SET posted = NULL, fee = NULL, entries = NULL",
    )
    .await;
    log.append(workload.reversed(first));
    let (second, records) = workload.purchased(100);
    log.append(records);
    applier.caught_up(&log).await;
    log.append(workload.reversed(second));
    applier.finish().await;
    let of = |id| format!("{{s}}.posting WHERE transaction_id = '{id}'");
    assert_eq!(count(&client, &of(first)).await, 0);
    assert_eq!(count(&client, &of(second)).await, 4);
    books::assert_balanced(&client, SCHEMA).await;
}

#[tokio::test]
async fn an_entry_that_is_changed_by_hand_is_seen() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    let log = Log::new(1);
    let mut workload = Workload::new(62, 1);
    for key in 1..4 {
        log.append(workload.purchased(key).1);
    }
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    books::assert_balanced(&client, SCHEMA).await;
    let seen = "{s}.settlement_violation WHERE what = ";
    run(
        &client,
        "UPDATE {s}.posting SET amount = amount + 1 WHERE (transaction_id, entry) IN \
         (SELECT transaction_id, entry FROM {s}.posting WHERE account = 'issuer' LIMIT 1)",
    )
    .await;
    for what in ["'day'", "'transaction'", "'standing'"] {
        assert_eq!(count(&client, &format!("{seen}{what}")).await, 1, "{what}");
    }
}

for_each_strategy! {
    the_projection_is_the_fold_of_the_records,
    two_shards_share_a_connection_and_nothing_else,
    a_business_key_that_two_transactions_claim_is_an_exception,
    two_nodes_that_claim_one_key_at_once_lose_nothing,
    failed_reversals_are_exceptions_for_people,
    an_answer_that_contradicts_the_first_is_listed_once,
    an_approval_behind_a_late_decline_is_listed_once,
    totals_that_differ_are_listed_with_what_differs,
    a_failed_reversal_is_listed_however_its_records_fall_into_batches,
    what_was_done_by_hand_is_listed_with_who_and_why,
    what_was_copied_before_there_were_books_is_not_in_them_nor_is_its_reversal,
}
