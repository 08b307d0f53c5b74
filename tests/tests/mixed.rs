//! The demo, small: ISO 8583 and JSON in one load, the proof of both, and null controls of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use njia_tests::e2e::gateway::{API_KEY, GATEWAY, GatewayStage};
use njia_tests::e2e::{alone, folder, variable_or};

fn loadgen() -> Command {
    let mut command = Command::new(variable_or("NJIA_BIN_DIR", "release").join("njia-loadgen"));
    command.env_remove("DATABASE_URL");
    command
}

/// The proof of what a demo has left.
fn verified(demo: &Path) -> (Option<i32>, String) {
    let output = loadgen()
        .args(["verify", "--settle", "60s", "--acks"])
        .arg(demo.join("acks.log"))
        .arg("--gateway-acks")
        .arg(demo.join("gateway-acks.log"))
        .arg("--journal")
        .arg(demo.join("state/journal"))
        .arg("--ledger")
        .arg(demo.join("bank.ledger"))
        .arg("--ledger")
        .arg(demo.join("momo.ledger"))
        .arg("--ledger")
        .arg(demo.join("wallet.ledger"))
        .output()
        .unwrap();
    (output.status.code(), text(&output))
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Appends a line that `made` makes of the first one that begins with `start`.
fn with_line(path: &Path, start: &str, made: impl Fn(&str) -> String) -> String {
    let before = fs::read_to_string(path).unwrap();
    let line = before.lines().find(|line| line.starts_with(start)).unwrap();
    fs::write(path, format!("{before}{}\n", made(line))).unwrap();
    before
}

/// Each message of either side is counted once as read and once as what it came to.
#[test]
fn what_was_read_of_both_sides_is_accounted_for() {
    let _machine = alone();
    let stage = GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), "mixed-sums", GATEWAY);
    let listener = stage.node.listener();
    let gateway = stage.node.gateway_named("mobile");
    let output = loadgen()
        .arg("run")
        .arg(format!("iso://{listener}?framing=be16&dialect=iso87-ascii"))
        .args(["--gateway", &format!("http://{gateway}")])
        .args(["--gateway-key", "env:NJIA_TEST_GATEWAY_KEY"])
        .args(["--gateway-share", "50%"])
        .args(["--gateway-repeat", "10%", "--gateway-reverse", "10%"])
        .args(["--rate", "100", "--duration", "4s", "--warmup", "0s"])
        .env("NJIA_TEST_GATEWAY_KEY", API_KEY)
        .output()
        .unwrap();
    let printed = text(&output);
    stage.node.settle(Duration::from_secs(60)).unwrap();
    stage.node.check_sums().unwrap();
    for (name, labels) in [
        ("njia_requests_total", ["ingress=\"iso\"", ""]),
        ("njia_requests_total", ["ingress=\"http\"", ""]),
        ("njia_repeats_total", ["ingress=\"http\"", "stored"]),
        ("njia_transactions_total", ["ingress=\"http\"", "approved"]),
        ("njia_transactions_total", ["ingress=\"http\"", "reversal"]),
    ] {
        let count = stage.node.metric(name, &labels).unwrap();
        assert!(count > 0.0, "{name} {labels:?}: {printed}");
    }
    assert!(!stage.close().is_empty());
}

/// The issuer that is asked in JSON has had cards and wallets.
#[track_caller]
fn check_wallet(demo: &Path) {
    let wallet = fs::read_to_string(demo.join("wallet.ledger")).unwrap();
    let of = |gateway: bool| {
        let is_of = |line: &&str| line.contains(" GATEWAY1 ") == gateway;
        let approvals = wallet.lines().filter(|line| line.starts_with("approve "));
        approvals.filter(is_of).count()
    };
    assert!(of(true) > 10 && of(false) > 10, "{wallet}");
}

#[test]
fn what_both_sides_were_told_is_proven() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "mixed");
    let demo = folder.join("demo");
    let output = loadgen()
        .args([
            "demo",
            "--rate",
            "1000",
            "--duration",
            "4s",
            "--warmup",
            "1s",
        ])
        .args(["--json", "50%", "--keep"])
        .arg(&demo)
        .output()
        .unwrap();
    let printed = text(&output);
    println!("{printed}");
    // Its verdict is also about times, which a test does not judge.
    assert!(printed.contains("lost 0, doubled 0"), "{printed}");
    assert!(!printed.contains("NOT equal"), "{printed}");
    let summary = fs::read_to_string(demo.join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let items = summary["items"].as_array().unwrap();
    let approved = |prefix: &str| {
        let of = |item: &&serde_json::Value| item["name"].as_str().unwrap().starts_with(prefix);
        let counts = items.iter().filter(of);
        counts
            .map(|item| item["approved"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert!(
        approved("json-") > 100 && approved("card-") > 100,
        "{printed}"
    );
    check_wallet(&demo);
    let (exit, proof) = verified(&demo);
    assert_eq!(exit, Some(0), "{proof}");

    // An approval that is in no journal.
    let acks = demo.join("gateway-acks.log");
    let before = with_line(&acks, "payment", |line| {
        let mut words: Vec<&str> = line.split(' ').collect();
        words[1] = "00000000-0000-4000-8000-000000000001";
        words[2] = "00000000-0000-7000-8000-000000000001";
        words.join(" ")
    });
    let (exit, proof) = verified(&demo);
    assert_eq!(exit, Some(99), "{proof}");
    assert!(
        proof.contains("told to a gateway, but not in the journal: 1"),
        "{proof}"
    );
    fs::write(&acks, before).unwrap();

    // Money that moved twice, at an issuer of either kind.
    for issuer in ["bank.ledger", "wallet.ledger"] {
        let before = with_line(&demo.join(issuer), "approve", str::to_owned);
        let (exit, proof) = verified(&demo);
        assert_eq!(exit, Some(99), "{proof}");
        assert!(
            proof.contains("money moved more than once at issuers: 1"),
            "{proof}"
        );
        fs::write(demo.join(issuer), before).unwrap();
    }
    fs::remove_dir_all(&folder).unwrap();
}
