//! `njia report` against a PostgreSQL that an applier has filled: what it prints, and how it ends.

// Shared with the applier's suite, which uses more of it.
#![expect(dead_code, reason = "the helpers serve tests/applier.rs too")]

#[path = "applier/books.rs"]
mod books;
#[path = "applier/log.rs"]
mod log;
#[path = "applier/oracle.rs"]
mod oracle;
#[path = "applier/rig.rs"]
mod rig;
#[path = "applier/workload.rs"]
mod workload;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use njia_tests::e2e::Build;
use njia_tests::postgres::Cluster;
use serde_json::Value;
use tokio_postgres::Client;

use log::Log;
use rig::{Running, SCHEMA, connect, migrated, run, settings};
use workload::Workload;

const ALL_EQUAL: i32 = 0;
const USAGE: i32 = 2;
const DIFFERS: i32 = 3;

/// A server with `records` of mixed traffic in its books.
async fn filled(records: usize) -> (Cluster, Client) {
    let cluster = migrated().await;
    let log = Log::new(1);
    let mut workload = Workload::new(71, 1);
    log.append(workload.take(records));
    log.append(workload.finish());
    let applier = Running::start(settings(cluster.url(), 1), vec![log.journal()]);
    applier.caught_up(&log).await;
    applier.finish().await;
    let client = connect(&cluster).await;
    (cluster, client)
}

fn report(cluster: &Cluster, arguments: &[&str]) -> Output {
    let mut command = Command::new(Build::Product.njia());
    command.arg("report").args(arguments);
    command.args(["--db", &cluster.url(), "--schema", SCHEMA]);
    command.output().unwrap()
}

#[track_caller]
fn ended(output: &Output, code: i32) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A day with entries of every kind.
async fn busiest(client: &Client) -> String {
    let sql = format!(
        "SELECT date::text FROM {SCHEMA}.posting WHERE account = 'issuer' AND party = 'bank' \
         GROUP BY date ORDER BY count(*) DESC LIMIT 1"
    );
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_settlement_is_the_same_in_text_csv_and_json_and_sums_to_zero() {
    let (cluster, client) = filled(4000).await;
    let date = busiest(&client).await;
    let ask = |format: &str| {
        let arguments = ["settlement", "--date", &date, "--format", format];
        ended(&report(&cluster, &arguments), ALL_EQUAL)
    };
    let json: Value = serde_json::from_str(&ask("json")).unwrap();
    let positions = json["positions"].as_array().unwrap();
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for position in positions {
        let currency = position["currency"].as_str().unwrap().to_owned();
        *sums.entry(currency).or_default() += position["position_minor"].as_i64().unwrap();
    }
    assert_eq!(sums.len(), 4, "{sums:?}");
    assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
    let accounts: Vec<&str> = positions
        .iter()
        .filter_map(|one| one["account"].as_str())
        .collect();
    for account in ["acquirer", "issuer", "fee", "transit"] {
        assert!(accounts.contains(&account), "no {account}");
    }
    let csv = ask("csv");
    assert_eq!(csv.lines().count(), positions.len() + 1);
    let first = &positions[0];
    let line = format!(
        "{date},{},{},{},{},{},{},{},{}",
        first["currency"].as_str().unwrap(),
        first["account"].as_str().unwrap(),
        first["party"].as_str().unwrap(),
        first["approvals"],
        first["reversals"],
        first["approved_minor"],
        first["reversed_minor"],
        first["position_minor"]
    );
    assert_eq!(csv.lines().nth(1), Some(line.as_str()));
    let text = ask("text");
    let sums = text.lines().filter(|line| line.starts_with("sum"));
    let sums: Vec<&str> = sums
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(sums, ["0.00", "0.00", "0", "0.00"], "UGX has no decimals");
    let one = [
        "settlement",
        "--date",
        &date,
        "--currency",
        "UGX",
        "--format",
        "csv",
    ];
    let one = ended(&report(&cluster, &one), ALL_EQUAL);
    assert!(one.lines().skip(1).all(|line| line.contains(",UGX,")) && one.lines().count() > 2);
}

#[tokio::test]
async fn books_that_somebody_changed_are_told_by_the_exit_code() {
    let (cluster, client) = filled(500).await;
    let date = busiest(&client).await;
    run(
        &client,
        "UPDATE {s}.posting SET amount = amount + 1 WHERE entry = 1",
    )
    .await;
    let output = report(&cluster, &["settlement", "--date", &date]);
    ended(&output, DIFFERS);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("do not sum to zero"), "{told}");
}

/// The file that an issuer would send whose ledger is equal to the books.
async fn file(client: &Client, date: &str) -> Vec<String> {
    let sql = format!(
        "SELECT t.rrn || ';' || t.leg_stan || ';' || p.currency || ';' || -sum(p.amount) \
         FROM {SCHEMA}.posting AS p \
         JOIN {SCHEMA}.transaction AS t USING (shard_key, transaction_id) \
         WHERE p.account = 'issuer' AND p.party = 'bank' AND p.date = CAST($1::text AS date) \
         GROUP BY t.rrn, t.leg_stan, p.currency ORDER BY t.rrn, t.leg_stan"
    );
    let rows = client.query(&sql, &[&date]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn write(path: &Path, lines: &[String]) {
    let text = format!("Ref;Trace;Ccy;Minor\n{}\n", lines.join("\n"));
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn an_issuers_file_is_matched_missing_or_different() {
    let (cluster, client) = filled(4000).await;
    let date = busiest(&client).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.csv");
    let shown = path.display().to_string();
    let columns = "rrn=Ref,stan=Trace,currency=Ccy,amount=Minor";
    let ask = |format: &str, code: i32| {
        let arguments = [
            "reconcile",
            "--issuer",
            "bank",
            "--file",
            &shown,
            "--date",
            &date,
            "--columns",
            columns,
            "--delimiter",
            ";",
            "--format",
            format,
        ];
        ended(&report(&cluster, &arguments), code)
    };
    let whole = file(&client, &date).await;
    assert!(whole.len() > 20, "{} lines", whole.len());
    write(&path, &whole);
    let equal: Value = serde_json::from_str(&ask("json", ALL_EQUAL)).unwrap();
    assert_eq!(equal["findings"].as_array().unwrap().len(), 0);
    let matched = equal["currencies"].as_array().unwrap().iter();
    let matched: u64 = matched.filter_map(|one| one["matched"].as_u64()).sum();
    assert_eq!(matched, whole.len() as u64);

    // The first that is worth something is a cent off, the next is missing, one is unknown.
    let worth = |line: &&String| !line.ends_with(";0");
    let (off, missing) = {
        let mut worth = whole.iter().filter(worth);
        (worth.next().unwrap().clone(), worth.next().unwrap().clone())
    };
    let mut changed: Vec<String> = whole
        .iter()
        .filter(|line| **line != missing)
        .cloned()
        .collect();
    let place = changed.iter().position(|line| *line == off).unwrap();
    let (head, minor) = off.rsplit_once(';').unwrap();
    changed[place] = format!("{head};{}", minor.parse::<i64>().unwrap() + 1);
    changed.push("999999999999;1;404;100".to_owned());
    write(&path, &changed);
    let csv = ask("csv", DIFFERS);
    let mut results: Vec<&str> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    results.sort_unstable();
    assert_eq!(results, ["different", "missing_at_issuer", "missing_here"]);
    let text = ask("text", DIFFERS);
    assert!(text.contains("different in amount"), "{text}");
    assert!(text.contains(&format!("line {}", place + 2)), "{text}");
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_compared_with_nothing() {
    let (cluster, _client) = filled(10).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.csv");
    let shown = path.display().to_string();
    std::fs::write(&path, "rrn,stan,amount,currency\n1,2,1.5,KES\n1,x,15,KES\n").unwrap();
    let arguments = [
        "reconcile",
        "--issuer",
        "bank",
        "--file",
        &shown,
        "--date",
        "2026-01-01",
    ];
    let output = report(&cluster, &arguments);
    assert_eq!(ended(&output, 1), "");
    let told = String::from_utf8_lossy(&output.stderr);
    for line in [2, 3] {
        assert!(told.contains(&format!("{shown}:{line}: ")), "{told}");
    }
    let wrong = report(&cluster, &["settlement", "--date", "2026-02-30"]);
    ended(&wrong, USAGE);
}
