//! The server is there and says no: rows 38 to 40 of docs/faults.md.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use domain::ids::Lsn;
use persistence::applier::{ApplierSettings, FailureClass, SecretSource};
use tokio_postgres::Client;

use crate::log::Log;
use crate::rig::{Running, assert_applied, connect, migrated, run, settings, settings_of, until};
use crate::workload::Workload;

/// Breaks the server with `break_it`, waits until failures of `class` show that nothing gets
/// through, heals it with `heal`, and checks that everything lands once.
async fn check(seed: u64, break_it: &str, class: FailureClass, heal: &str) {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    run(&client, break_it).await;
    let log = Log::new(1);
    log.append(Workload::new(seed, 1).take(1100));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    stuck(&applier, class).await;
    run(&client, heal).await;
    applier.caught_up(&log).await;
    assert_eq!(applier.status.rows_quarantined(), 0);
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn stuck(applier: &Running, class: FailureClass) {
    let status = &applier.status;
    until(|| status.failures(class) >= 3).await;
    assert_eq!(status.lanes()[0].watermark(), Lsn::ZERO);
}

/// The server reports `code` for the first five attempts.
async fn report(client: &Client, code: &str) {
    run(
        client,
        &format!(
            "CREATE SEQUENCE {{s}}.tries; \
             CREATE FUNCTION {{s}}.flaky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('{{s}}.tries') <= 5 THEN RAISE EXCEPTION USING ERRCODE = '{code}'; \
             END IF; RETURN NULL; END $$; \
             CREATE TRIGGER flaky BEFORE INSERT ON {{s}}.event EXECUTE FUNCTION {{s}}.flaky()"
        ),
    )
    .await;
}

async fn check_retried(code: &str, class: FailureClass) {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    report(&client, code).await;
    let log = Log::new(1);
    log.append(Workload::new(31, 1).take(1100));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    assert_eq!(applier.status.failures(class), 5, "{code}");
    assert_eq!(applier.status.rows_quarantined(), 0, "{code}");
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn fault_038_deadlock_and_serialization_failures_are_retried() {
    check_retried("40P01", FailureClass::Rollback).await;
    check_retried("40001", FailureClass::Rollback).await;
}

async fn fault_039_a_full_disk_and_too_many_connections_are_waited_for() {
    check_retried("53100", FailureClass::Resources).await;
    check_retried("53300", FailureClass::Resources).await;
}

async fn fault_039_a_missing_column_pauses() {
    let away = "ALTER TABLE {s}.transaction RENAME COLUMN rrn TO elsewhere";
    let back = "ALTER TABLE {s}.transaction RENAME COLUMN elsewhere TO rrn";
    check(32, away, FailureClass::Schema, back).await;
}

#[tokio::test]
async fn fault_039_a_schema_that_was_never_migrated_pauses() {
    let away = "ALTER SCHEMA {s} RENAME TO elsewhere";
    let back = "ALTER SCHEMA elsewhere RENAME TO {s}";
    check(33, away, FailureClass::Schema, back).await;
}

#[tokio::test]
async fn fault_039_a_read_only_server_pauses() {
    let away = "ALTER DATABASE postgres SET default_transaction_read_only = on";
    let back = "SET transaction_read_only = off; \
                ALTER DATABASE postgres RESET default_transaction_read_only";
    check(34, away, FailureClass::ReadOnly, back).await;
}

#[tokio::test]
async fn a_server_that_does_not_wait_for_its_disk_is_refused() {
    let away = "ALTER DATABASE postgres SET synchronous_commit = off";
    let back = "ALTER DATABASE postgres RESET synchronous_commit";
    check(35, away, FailureClass::NotSynchronous, back).await;
}

async fn a_server_that_stops_waiting_for_its_disk_is_refused_at_the_next_batch() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    let log = Log::new(1);
    let mut workload = Workload::new(36, 1);
    log.append(workload.take(10));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    run(&client, "ALTER SYSTEM SET synchronous_commit = off").await;
    run(&client, "SELECT pg_reload_conf()").await;
    let mut reader = client
        .query_one("SHOW synchronous_commit", &[])
        .await
        .unwrap();
    while reader.get::<_, &str>(0) != "off" {
        reader = client
            .query_one("SHOW synchronous_commit", &[])
            .await
            .unwrap();
    }
    let applied = applier.status.lanes()[0].watermark();
    log.append(workload.take(10));
    until(|| applier.status.failures(FailureClass::NotSynchronous) >= 2).await;
    assert_eq!(applier.status.lanes()[0].watermark(), applied);
    run(&client, "ALTER SYSTEM RESET synchronous_commit").await;
    run(&client, "SELECT pg_reload_conf()").await;
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

/// A role of its own with no more than the page of the tables grants it.
async fn role(client: &Client) {
    run(
        client,
        "CREATE ROLE njia_applier LOGIN PASSWORD 'first'; \
         GRANT USAGE ON SCHEMA {s} TO njia_applier; \
         GRANT SELECT, INSERT, UPDATE ON {s}.watermark, {s}.transaction TO njia_applier; \
         GRANT SELECT, INSERT ON {s}.event, {s}.exception, {s}.quarantine TO njia_applier; \
         GRANT INSERT ON {s}.posting TO njia_applier; \
         GRANT SELECT, INSERT, DELETE ON {s}.business_day, {s}.closed_day TO njia_applier",
    )
    .await;
}

async fn fault_039_a_role_without_permission_pauses_and_the_granted_one_suffices() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    role(&client).await;
    run(&client, "REVOKE INSERT ON {s}.event FROM njia_applier").await;
    let log = Log::new(1);
    log.append(Workload::new(37, 1).take(1100));
    let url = cluster.url_of("njia_applier", None);
    let applier = Running::start(settings(url, 1), vec![log.journal()]);
    stuck(&applier, FailureClass::Schema).await;
    run(&client, "GRANT INSERT ON {s}.event TO njia_applier").await;
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

#[tokio::test]
async fn fault_040_a_rotated_password_is_read_again() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    role(&client).await;
    cluster.demand_password("njia_applier").unwrap();
    run(&client, "SELECT pg_reload_conf()").await;
    let password = Arc::new(Mutex::new("first"));
    let settings = with_password(&cluster, &password);
    let log = Log::new(1);
    let mut workload = Workload::new(38, 1);
    log.append(workload.take(600));
    let applier = Running::start(settings, vec![log.journal()]);
    applier.caught_up(&log).await;
    run(&client, "ALTER ROLE njia_applier PASSWORD 'second'").await;
    run(
        &client,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'njia_applier'",
    )
    .await;
    log.append(workload.take(600));
    until(|| applier.status.failures(FailureClass::Access) >= 2).await;
    *password.lock().unwrap() = "second";
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

fn with_password(
    cluster: &njia_tests::postgres::Cluster,
    password: &Arc<Mutex<&'static str>>,
) -> ApplierSettings {
    let urls = ["first", "second"].map(|word| cluster.url_of("njia_applier", Some(word)));
    let password = Arc::clone(password);
    let ask = move || {
        let at = usize::from(*password.lock().unwrap() == "second");
        Ok(urls[at].clone())
    };
    settings_of(SecretSource::asked(ask), 1)
}

for_each_strategy! {
    fault_038_deadlock_and_serialization_failures_are_retried,
    fault_039_a_full_disk_and_too_many_connections_are_waited_for,
    fault_039_a_missing_column_pauses,
    a_server_that_stops_waiting_for_its_disk_is_refused_at_the_next_batch,
    fault_039_a_role_without_permission_pauses_and_the_granted_one_suffices,
}
