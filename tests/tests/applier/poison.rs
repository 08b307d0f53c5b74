//! Records that the tables refuse: row 37 of docs/faults.md.

use std::collections::BTreeSet;

use domain::ids::Lsn;
use domain::record::Record;
use persistence::applier::FailureClass;
use tokio_postgres::Client;

use crate::log::Log;
use crate::rig::{Running, assert_applied, connect, count, migrated, run, settings, until};
use crate::workload::Workload;

/// From now on the server refuses the records of `poison` table, each with its own SQLSTATE.
pub async fn refuse(client: &Client, poison: &[(u64, &str)]) {
    run(
        client,
        "CREATE TABLE {s}.poison (lsn bigint PRIMARY KEY, code text NOT NULL); \
         CREATE FUNCTION {s}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ \
         DECLARE found text; BEGIN \
         SELECT code INTO found FROM {s}.poison AS p WHERE p.lsn = NEW.lsn; \
         IF found IS NOT NULL THEN RAISE EXCEPTION USING ERRCODE = found, MESSAGE = 'refused'; \
         END IF; RETURN NEW; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON {s}.event FOR EACH ROW \
         EXECUTE FUNCTION {s}.refuse()",
    )
    .await;
    for (lsn, code) in poison {
        run(
            client,
            &format!("INSERT INTO {{s}}.poison VALUES ({lsn}, '{code}')"),
        )
        .await;
    }
}

/// Applies 1,200 records in batches of 500, of which `poison` are refused, and checks the rest.
async fn check(poison: &[(u64, &str)]) {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    refuse(&client, poison).await;
    let log = Log::new(1);
    log.append(Workload::new(21, 1).take(1200));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    let expected = u64::try_from(poison.len()).unwrap();
    assert_eq!(applier.status.rows_quarantined(), expected);
    assert_eq!(applier.status.rows_inserted(), 1200 - expected);
    applier.finish().await;
    let refused: BTreeSet<u64> = poison.iter().map(|(lsn, _)| *lsn).collect();
    assert_applied(&cluster, &log, &refused).await;
    for (lsn, code) in poison {
        let row = format!("{{s}}.quarantine WHERE lsn = {lsn} AND sqlstate = '{code}'");
        assert_eq!(count(&client, &row).await, 1, "{lsn} {code}");
    }
}

async fn fault_037_first_last_and_edges_of_batches() {
    check(&[
        (1, "22021"),
        (500, "22001"),
        (501, "22003"),
        (1000, "23514"),
        (1200, "23502"),
    ])
    .await;
}

async fn fault_037_neighbours_and_a_whole_run() {
    let run: Vec<(u64, &str)> = (240..=260).map(|lsn| (lsn, "23505")).collect();
    check(&run).await;
    check(&[(2, "22021"), (3, "22021"), (250, "22P02"), (251, "22003")]).await;
}

//= docs/rules.md#J-07
async fn fault_037_every_position_of_a_batch() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    refuse(&client, &[]).await;
    let log = Log::new(1);
    let mut workload = Workload::new(22, 1);
    let mut small = settings(cluster.url(), 1);
    small.batch.records_max = 8;
    let applier = Running::start(small, vec![log.journal()]);
    let mut refused = BTreeSet::new();
    for batch in 0..8_u64 {
        // The n-th batch is refused at its n-th record.
        let lsn = batch * 8 + batch + 1;
        run(
            &client,
            &format!("INSERT INTO {{s}}.poison VALUES ({lsn}, '22003')"),
        )
        .await;
        refused.insert(lsn);
        log.append(workload.take(8));
        applier.caught_up(&log).await;
    }
    assert_eq!(applier.status.rows_quarantined(), 8);
    assert!(applier.status.failures(FailureClass::Data) >= 8);
    applier.finish().await;
    assert_applied(&cluster, &log, &refused).await;
}

async fn fault_037_the_quarantined_bytes_are_the_record_and_what_follows_is_an_orphan() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    // A check constraint of the operator's, on the projection instead of the events.
    run(
        &client,
        "ALTER TABLE {s}.transaction ADD CONSTRAINT odd CHECK (stan <> 777)",
    )
    .await;
    let log = Log::new(1);
    let mut workload = Workload::new(23, 1);
    log.append(workload.take(100));
    let (transaction, records) = workload.approved_with_stan(777);
    log.append(records);
    log.append(workload.take(100));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    assert_eq!(applier.status.rows_quarantined(), 1);
    assert_eq!(applier.status.orphans(), 1);
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::from([101])).await;
    let sql = "SELECT sealed, constraint_name, table_name FROM njia_test.quarantine";
    let row = client.query_one(sql, &[]).await.unwrap();
    let decoded = persistence::record::decode(row.get(0)).unwrap();
    assert_eq!(decoded.lsn, Lsn(101));
    assert!(matches!(decoded.record, Record::Intent(intent) if intent.transaction == transaction));
    assert_eq!(
        (row.get::<_, &str>(1), row.get::<_, &str>(2)),
        ("odd", "transaction")
    );
    let orphan =
        format!("{{s}}.exception WHERE reason = 'orphan' AND transaction_id = '{transaction}'");
    assert_eq!(count(&client, &orphan).await, 1);
}

async fn fault_037_an_error_at_commit_is_found_like_any_other() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    run(
        &client,
        "CREATE FUNCTION {s}.late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.lsn = 333 THEN RAISE EXCEPTION USING ERRCODE = '23514'; END IF; \
         RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {s}.event \
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {s}.late()",
    )
    .await;
    let log = Log::new(1);
    log.append(Workload::new(24, 1).take(900));
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&cluster, &log, &BTreeSet::from([333])).await;
}

async fn a_table_that_refuses_everything_is_a_fault_of_the_table() {
    let cluster = migrated().await;
    let client = connect(&cluster).await;
    run(
        &client,
        "ALTER TABLE {s}.event ADD CONSTRAINT nothing CHECK (lsn < 0)",
    )
    .await;
    let log = Log::new(1);
    log.append(Workload::new(25, 1).take(300));
    let mut settings = settings(cluster.url(), 1);
    settings.batch.quarantine_run_max = 5;
    let applier = Running::start(settings, vec![log.journal()]);
    until(|| applier.status.rows_quarantined() == 5).await;
    let refusals = applier.status.failures(FailureClass::Integrity);
    until(|| applier.status.failures(FailureClass::Integrity) > refusals + 3).await;
    assert_eq!(
        applier.status.rows_quarantined(),
        5,
        "it waits for a person"
    );
    run(&client, "ALTER TABLE {s}.event DROP CONSTRAINT nothing").await;
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&cluster, &log, &(1..=5).collect()).await;
}

for_each_strategy! {
    fault_037_first_last_and_edges_of_batches,
    fault_037_neighbours_and_a_whole_run,
    fault_037_every_position_of_a_batch,
    fault_037_the_quarantined_bytes_are_the_record_and_what_follows_is_an_orphan,
    fault_037_an_error_at_commit_is_found_like_any_other,
    a_table_that_refuses_everything_is_a_fault_of_the_table,
}
