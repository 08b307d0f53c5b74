//! Tables by day: made ahead, missing, dropped, and what an upgrade makes of a table that is full.

use std::collections::BTreeSet;

use domain::ids::Lsn;
use njia_tests::e2e::away_from_midnight;
use persistence::applier::{migrate, migrate_to};
use tokio_postgres::Client;

use crate::log::Log;
use crate::rig::{
    MIGRATIONS, Running, SCHEMA, assert_applied, connect, count, migrated, run, settings, until,
};
use crate::workload::Workload;

/// The day on which every transaction of a workload is admitted.
const DAY: &str = "2026-01-01";

/// Tables of `parent`, without those of today and of the days after it.
async fn past(client: &Client, parent: &str) -> Vec<String> {
    let sql = format!(
        "SELECT relname::text FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid \
         WHERE inhparent = '{SCHEMA}.{parent}'::regclass AND relname < '{parent}' || \
         to_char(now() AT TIME ZONE 'UTC', '_YYYYMMDD') ORDER BY 1"
    );
    let rows = client.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// How many tables `parent` has of today and of the days after it.
async fn ahead(client: &Client, parent: &str) -> i64 {
    let of = format!(
        "pg_inherits JOIN pg_class AS c ON c.oid = inhrelid \
         WHERE inhparent = '{SCHEMA}.{parent}'::regclass AND relname ~ '^{parent}_[0-9]{{8}}$' \
         AND relname >= '{parent}' || to_char(now() AT TIME ZONE 'UTC', '_YYYYMMDD')"
    );
    count(client, &of).await
}

async fn events_lie_in_the_table_of_their_day() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    run(
        &client,
        &format!("SELECT {{s}}.make_day_table('event', '{DAY}')"),
    )
    .await;
    let log = Log::new(1);
    let mut workload = Workload::new(91, 1);
    log.append((0..550).flat_map(|_| workload.any_purchase()).collect());
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_eq!(count(&client, "{s}.event_20260101").await, 1100);
    assert_eq!(count(&client, "{s}.event_default").await, 0);
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

/// Whoever moves a table moves the days to come with it.
async fn the_table_of_a_day_lies_where_its_parent_does() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    let lies = |table: &str| {
        format!(
            "pg_class AS c JOIN pg_tablespace AS t ON t.oid = c.reltablespace \
             WHERE c.oid = '{SCHEMA}.{table}'::regclass AND t.spcname = 'else where'"
        )
    };
    let make = "SELECT {s}.make_day_table('event', '2035-01-01')";
    run(&client, make).await;
    for one in [
        "SET allow_in_place_tablespaces = true",
        "CREATE TABLESPACE \"else where\" LOCATION ''",
        "ALTER TABLE {s}.event SET TABLESPACE \"else where\"",
        "ALTER INDEX {s}.event_pkey SET TABLESPACE \"else where\"",
        "SET default_tablespace = \"else where\"",
        "SELECT {s}.make_day_table('event', '2035-01-02'), \
         {s}.make_day_table('posting', '2035-01-02')",
    ] {
        run(&client, one).await;
    }
    for (table, is_there) in [
        ("event_20350101", 0),
        ("event_20350102", 1),
        ("event_20350102_pkey", 1),
        ("posting_20350102", 0),
    ] {
        assert_eq!(count(&client, &lies(table)).await, is_there, "{table}");
    }
}

/// An applier drops the days whose time is over, and rows that come for them later still land.
async fn old_days_are_dropped_and_late_records_of_them_still_land() {
    away_from_midnight();
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    run(
        &client,
        &format!("SELECT {{s}}.make_day_table('event', '{DAY}')"),
    )
    .await;
    let log = Log::new(1);
    let mut workload = Workload::new(92, 1);
    log.append(workload.take(1100));
    let keeps = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    keeps.caught_up(&log).await;
    keeps.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
    assert_eq!(past(&client, "event").await, ["event_20260101"]);

    let mut forgets = settings(cluster.url(), 2);
    forgets.retention_days = 30;
    let forgets = Running::start(forgets, vec![log.journal()]);
    until(|| forgets.status.connected()).await;
    log.append(workload.take(900));
    forgets.caught_up(&log).await;
    forgets.finish().await;
    assert_eq!(past(&client, "event").await, Vec::<String>::new());
    assert_eq!(count(&client, "{s}.event").await, 900);
    assert_eq!(count(&client, "{s}.event_default").await, 900);
    assert_eq!(ahead(&client, "event").await, 8);

    run(
        &client,
        "INSERT INTO {s}.event (shard_key, journal, shard, lsn, kind, transaction_id, at) \
         VALUES (1, gen_random_uuid(), 0, 1, 'outcome', {s}.day_floor('1970-01-01'), now())",
    )
    .await;
    run(&client, "SELECT {s}.drop_day_tables(0)").await;
    assert_eq!(count(&client, "{s}.event").await, 901, "0 keeps them");
    run(&client, "SELECT {s}.drop_day_tables(30)").await;
    let left = count(&client, "{s}.event").await;
    assert_eq!(
        left, 1,
        "the default one too, but not what a clock at zero has dated"
    );
}

/// Nobody has made tables for a while: rows go to the default one, and it heals by itself.
async fn a_day_without_a_table_stops_nothing_and_the_next_one_has_one() {
    away_from_midnight();
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    let day = |days: u8| {
        format!("to_char(now() AT TIME ZONE 'UTC' + {days} * interval '1 day', 'YYYYMMDD')")
    };
    let (today, tomorrow) = (day(0), day(1));
    run(
        &client,
        &format!(
            "DO $$ BEGIN EXECUTE 'DROP TABLE {{s}}.event_' || {today}; \
             EXECUTE 'DROP TABLE {{s}}.event_' || {tomorrow}; END $$; \
             INSERT INTO {{s}}.event (shard_key, journal, shard, lsn, kind, transaction_id, at) \
             VALUES (1, gen_random_uuid(), 0, 1, 'outcome', \
             {{s}}.day_floor((now() AT TIME ZONE 'UTC')::date), now())"
        ),
    )
    .await;
    assert_eq!(ahead(&client, "event").await, 6);
    let log = Log::new(1);
    log.append(Workload::new(93, 1).take(700));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_eq!(count(&client, "{s}.event_default").await, 701);
    assert_eq!(ahead(&client, "event").await, 7, "all but today's");
    run(
        &client,
        "DELETE FROM {s}.event_default WHERE kind = 'outcome' AND payload IS NULL",
    )
    .await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

/// As an engine without tables by day is set up by hand.
async fn a_table_that_is_whole_and_has_no_functions_is_written_alike() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    run(
        &client,
        "DROP FUNCTION {s}.make_day_tables; DROP FUNCTION {s}.drop_day_tables; \
         DROP FUNCTION {s}.make_day_table; ALTER TABLE {s}.event RENAME TO gone; \
         CREATE TABLE {s}.event (LIKE {s}.gone, \
         PRIMARY KEY (shard_key, journal, shard, lsn, transaction_id)); DROP TABLE {s}.gone",
    )
    .await;
    let log = Log::new(1);
    log.append(Workload::new(94, 1).take(1300));
    let mut settings = settings(cluster.url(), 1);
    settings.retention_days = 1;
    let applier = Running::start(settings, vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

/// A role that may neither make nor drop tables writes its rows all the same.
async fn a_role_that_may_not_drop_tables_goes_on_writing() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    run(
        &client,
        &format!("SELECT {{s}}.make_day_table('event', '{DAY}')"),
    )
    .await;
    run(
        &client,
        "CREATE ROLE low LOGIN; GRANT USAGE ON SCHEMA {s} TO low; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {s} TO low",
    )
    .await;
    let log = Log::new(1);
    log.append(Workload::new(95, 1).take(800));
    let mut settings = settings(cluster.url_of("low", None), 1);
    settings.retention_days = 1;
    let applier = Running::start(settings, vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_eq!(count(&client, "{s}.event_20260101").await, 800);
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

/// A report holds every table while new ones are due.
async fn a_long_report_holds_up_the_tables_and_no_batch() {
    away_from_midnight();
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    run(
        &client,
        "DO $$ BEGIN EXECUTE 'DROP TABLE {s}.event_' || \
         to_char(now() AT TIME ZONE 'UTC' + interval '7 days', 'YYYYMMDD'); END $$",
    )
    .await;
    let report = connect(&cluster).await;
    run(&report, "BEGIN; SELECT count(*) FROM {s}.event").await;
    let log = Log::new(1);
    log.append(Workload::new(96, 1).take(800));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    run(&report, "ROLLBACK").await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

async fn an_upgrade_keeps_every_row_and_goes_on_where_it_was() {
    away_from_midnight();
    let cluster = njia_tests::postgres::Cluster::start().unwrap();
    let server = settings(cluster.url(), 0).server;
    assert_eq!(migrate_to(&server, 3).await.unwrap(), MIGRATIONS[..3]);
    let client = connect(&cluster).await;
    let log = Log::new(1);
    let mut workload = Workload::new(97, 1).of_one_token_key();
    log.append(workload.take(2500));
    // A program of then wrote without them.
    let later = ["transaction", "event"];
    for table in later {
        let add = format!("ALTER TABLE {{s}}.{table} ADD COLUMN account_token_key smallint");
        run(&client, &add).await;
    }
    let before = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    before.caught_up(&log).await;
    before.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
    for table in later {
        let drop = format!("ALTER TABLE {{s}}.{table} DROP COLUMN account_token_key");
        run(&client, &drop).await;
    }

    assert_eq!(migrate(&server).await.unwrap(), MIGRATIONS[3..]);
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
    for parent in ["event", "posting"] {
        let kept = format!("{{s}}.{parent}_default");
        assert_eq!(count(&client, &kept).await, 0, "a default one is empty");
        assert_eq!(ahead(&client, parent).await, 7, "today is in the old one");
    }
    log.append(workload.take(1500));
    log.append(workload.finish());
    let after = Running::start(settings(cluster.url(), 2), vec![log.journal()]);
    after.caught_up(&log).await;
    after.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
}

/// What is not settled stays, whatever its age.
#[tokio::test]
async fn settled_transactions_are_thinned_and_no_other() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    let log = Log::new(1);
    log.append(Workload::new(98, 1).take(3000));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    let open = "{s}.transaction AS t WHERE state = 'sent' OR reversal = 'owed' OR EXISTS \
                (SELECT FROM {s}.exception AS e WHERE e.transaction_id = t.transaction_id)";
    let (all, kept) = (
        count(&client, "{s}.transaction").await,
        count(&client, open).await,
    );
    assert!(kept > 0 && kept < all);
    run(&client, "SELECT {s}.thin_transactions(0, 1000000)").await;
    assert_eq!(count(&client, "{s}.transaction").await, all, "0 keeps all");
    run(&client, "SELECT {s}.thin_transactions(30, 10)").await;
    assert_eq!(count(&client, "{s}.transaction").await, all - 10);
    run(&client, "SELECT {s}.thin_transactions(30, 1000000)").await;
    assert_eq!(count(&client, "{s}.transaction").await, kept);
    assert_eq!(count(&client, open).await, kept);
    assert_eq!(count(&client, "{s}.settlement_violation").await, 0);
    let last = i64::try_from(log.durable().0).unwrap();
    assert_eq!(
        count(&client, "{s}.event").await,
        last,
        "records are not its matter"
    );
    assert!(log.durable() > Lsn::ZERO);
}

for_each_strategy! {
    events_lie_in_the_table_of_their_day,
    the_table_of_a_day_lies_where_its_parent_does,
    old_days_are_dropped_and_late_records_of_them_still_land,
    a_day_without_a_table_stops_nothing_and_the_next_one_has_one,
    a_table_that_is_whole_and_has_no_functions_is_written_alike,
    a_role_that_may_not_drop_tables_goes_on_writing,
    a_long_report_holds_up_the_tables_and_no_batch,
    an_upgrade_keeps_every_row_and_goes_on_where_it_was,
}
