//! Who may see and do what: `tuning/roles.sql`, tried by logging in as each role.

use std::collections::BTreeSet;

use domain::network::SettlementDate;
use domain::time::WallTime;
use njia_tests::postgres::Cluster;
use persistence::applier::report;
use tokio_postgres::{Client, NoTls};

use crate::log::Log;
use crate::rig::{Running, SCHEMA, assert_applied, connect, migrated, run, settings};
use crate::workload::Workload;

const ROLES: &str = include_str!("../../../tuning/roles.sql");

/// A server with the roles, a login of each, and rows that the writer has written.
async fn filled() -> (Cluster, Log) {
    let cluster = migrated().await;
    let owner = connect(&cluster).await;
    let script = ROLES.replace(":\"schema\"", SCHEMA);
    for _ in 0..2 {
        run(&owner, &script).await;
    }
    // No staging table is made.
    run(&owner, "REVOKE TEMP ON DATABASE postgres FROM PUBLIC").await;
    for role in ["writer", "reader", "auditor", "keeper"] {
        let login = format!("CREATE ROLE a_{role} LOGIN; GRANT njia_{role} TO a_{role}");
        run(&owner, &login).await;
    }
    let log = Log::new(1);
    log.append(Workload::new(81, 1).take(1200));
    let url = cluster.url_of("a_writer", None);
    let applier = Running::start(settings(url, 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    (cluster, log)
}

async fn login(cluster: &Cluster, role: &str) -> Client {
    let url = cluster.url_of(&format!("a_{role}"), None);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(async {
        drop(connection.await);
    });
    client
}

/// Whether `sql` is permitted; any other refusal is a fault of the test.
async fn may(client: &Client, sql: &str) -> bool {
    let sql = sql.replace("{s}", SCHEMA);
    match client.batch_execute(&sql).await {
        Ok(()) => true,
        Err(error) => {
            let code = error.code().map(|code| code.code().to_owned());
            assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
            false
        }
    }
}

async fn check(role: &str, permitted: &[&str], refused: &[&str]) -> Cluster {
    let (cluster, _) = filled().await;
    let client = login(&cluster, role).await;
    for sql in permitted {
        assert!(may(&client, sql).await, "{role} may not: {sql}");
    }
    for sql in refused {
        assert!(!may(&client, sql).await, "{role} may: {sql}");
    }
    cluster
}

async fn the_writer_writes_and_can_take_nothing_back() {
    let (cluster, log) = filled().await;
    assert_applied(&cluster, &log, &BTreeSet::new()).await;
    let writer = login(&cluster, "writer").await;
    for sql in [
        "DELETE FROM {s}.event",
        "UPDATE {s}.event SET kind = 'x'",
        "UPDATE {s}.posting SET amount = 1",
        "DELETE FROM {s}.posting",
        "DELETE FROM {s}.transaction",
        "DELETE FROM {s}.quarantine",
        "TRUNCATE {s}.exception",
        "DROP TABLE {s}.event",
        "CREATE TABLE {s}.mine (a int)",
        "SELECT {s}.drop_day_tables(1)",
        "SELECT {s}.thin_transactions(1, 1)",
        "SELECT {s}.make_day_table('event', DATE '2026-01-02')",
    ] {
        assert!(!may(&writer, sql).await, "{sql}");
    }
    assert!(may(&writer, "SELECT {s}.make_day_tables(9)").await);
}

#[tokio::test]
async fn the_keeper_ends_what_is_old_and_reads_nothing() {
    check(
        "keeper",
        &[
            "SELECT {s}.make_day_tables(9)",
            "SELECT {s}.drop_day_tables(36500)",
            "SELECT {s}.thin_transactions(36500, 1)",
        ],
        &[
            "SELECT count(*) FROM {s}.event",
            "SELECT state FROM {s}.transaction",
            "DELETE FROM {s}.event",
            "DELETE FROM {s}.transaction",
            "DROP TABLE {s}.event_default",
            "SELECT {s}.make_day_table('event', DATE '2026-01-02')",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_reader_sees_truncated_numbers_and_no_token() {
    let cluster = check(
        "reader",
        &[
            "SELECT account_masked, rrn, stan, posted FROM {s}.transaction",
            "SELECT * FROM {s}.settlement",
            "SELECT * FROM {s}.settlement_violation",
            "SELECT * FROM {s}.total",
            "SELECT * FROM {s}.exception",
        ],
        &[
            "SELECT account_token FROM {s}.transaction",
            "SELECT count(*) FROM {s}.transaction WHERE account_token = ''::bytea",
            "SELECT * FROM {s}.transaction",
            "SELECT account_token FROM {s}.event",
            "SELECT payload FROM {s}.event",
            "SELECT sealed FROM {s}.quarantine",
            "UPDATE {s}.exception SET note = 'x'",
            "UPDATE {s}.watermark SET lsn = 0",
        ],
    )
    .await;
    let server = settings(cluster.url_of("a_reader", None), 1).server;
    let date = SettlementDate::at(WallTime::from_unix_millis(1_767_225_600_000));
    let settlement = report::settlement(&server, date, None).await.unwrap();
    assert_eq!(settlement.violations, 0);
    assert!(!settlement.positions.is_empty());
    let items = report::issuer_items(&server, "bank", date, 10)
        .await
        .unwrap();
    assert!(
        !items.is_empty(),
        "a role that may read suffices for reports"
    );
}

#[tokio::test]
async fn the_auditor_sees_tokens_and_no_truncated_number() {
    check(
        "auditor",
        &[
            "SELECT account_token, state FROM {s}.transaction",
            "SELECT kind, account_token, at FROM {s}.event",
            "SELECT sqlstate FROM {s}.quarantine",
            "SELECT * FROM {s}.posting",
        ],
        &[
            "SELECT account_masked FROM {s}.transaction",
            "SELECT * FROM {s}.transaction",
            "SELECT payload FROM {s}.event",
            "SELECT sealed FROM {s}.quarantine",
            "INSERT INTO {s}.posting SELECT * FROM {s}.posting",
            "DELETE FROM {s}.event",
        ],
    )
    .await;
}

#[tokio::test]
async fn every_table_and_column_says_what_it_holds() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    let sql = format!(
        "SELECT c.relname || coalesce('.' || a.attname, '') FROM pg_class AS c \
         LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 \
         AND NOT a.attisdropped AND c.relkind <> 'v' AND NOT c.relispartition \
         WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind IN ('r', 'p', 'v') \
         AND c.relname <> 'refinery_schema_history' \
         AND (obj_description(c.oid, 'pg_class') IS NULL \
         OR (a.attnum IS NOT NULL AND col_description(c.oid, a.attnum) IS NULL)) ORDER BY 1"
    );
    let rows = client.query(&sql, &[]).await.unwrap();
    let silent: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(silent, Vec::<String>::new());
}

for_each_strategy! {
    the_writer_writes_and_can_take_nothing_back,
}
