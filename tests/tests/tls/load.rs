//! Load over TLS on both sides, with the audit of loads in clear; and files that change under it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use loadgen::ends::TlsArgs;
use loadgen::verify::{Inputs, audit};
use njia_tests::certificates::{Authority, Pair, replace};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{Build, Issuers, Load, alone, eventually, folder};

use crate::rig::{Acquirer, BOTH, Caller, HERE, PATIENCE, Secured, configuration, copied};

/// A switch whose links are TLS with certificates on both sides.
fn both_sides(name: &str) -> Secured {
    both_sides_with(name, |authority| authority.issue("links", "DNS:switch"))
}

fn both_sides_with(name: &str, link: impl Fn(&Authority) -> anyhow::Result<Pair>) -> Secured {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
    let authority = Authority::new().unwrap();
    let issuer = authority.issue("issuer", HERE).unwrap();
    let files = TlsArgs {
        tls_ca: Some(authority.root()),
        tls_cert: Some(issuer.certificate),
        tls_key: Some(issuer.key),
    };
    let tls: Arc<_> = files.server().unwrap().unwrap();
    let issuers = Issuers::start_secure(&folder, Duration::from_millis(2), &tls).unwrap();
    let link = copied(&link(&authority).unwrap(), &folder, "link");
    let link = format!(
        "tls = {{ trust = \"file:{}\", certificate = \"file:{}\", key = \"file:{}\", server_name = \
         \"localhost\" }}\n",
        authority.root().display(),
        link.certificate.display(),
        link.key.display()
    );
    Secured::start_on(folder, authority, issuers, "", &link)
}

fn load(secured: &Secured, duration: &str) -> Load {
    let own = secured.acquirer();
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let more = [
        "--tls-ca".to_owned(),
        text(&secured.authority.root()),
        "--tls-cert".to_owned(),
        text(&own.certificate),
        "--tls-key".to_owned(),
        text(&own.key),
        "--server-name".to_owned(),
        "localhost".to_owned(),
    ];
    Load {
        rate: 200,
        duration: duration.to_owned(),
        warmup: "1s".to_owned(),
        timeout: "20s".to_owned(),
        seed: 7,
        connections: 8,
        more: more.to_vec(),
    }
}

fn check_audit(secured: Secured, acks: PathBuf) {
    secured.node.settle(PATIENCE).unwrap();
    secured.node.check_sums().unwrap();
    let journal = secured.node.journal().to_owned();
    assert!(secured.node.terminate().unwrap().success());
    let ledgers = secured.issuers.ledgers();
    secured.issuers.finish().unwrap();
    let found = audit(&Inputs {
        acks,
        gateway: None,
        journal,
        ledgers,
        database: None,
    })
    .unwrap();
    assert!(found.passed(), "{found}");
    fs::remove_dir_all(&secured.folder).unwrap();
}

#[test]
fn load_over_tls_on_both_sides_adds_up() {
    let _machine = alone();
    let secured = both_sides("tls-load");
    let load = load(&secured, "5s");
    let running = load
        .start(secured.node.listener(), &secured.folder)
        .unwrap();
    let report = running.finish().unwrap();
    report.check_refusals(&secured.node);
    assert!(report.number("/sent") > 0.0);
    let links = ["side=\"issuer\"", "result=\"ok\""];
    let links = secured.node.metric("njia_tls_handshakes_total", &links);
    assert!(links.unwrap() >= 8.0);
    check_audit(secured, report.acks);
}

/// New files are in force for new connections, those that stand go on; bad ones change nothing.
#[test]
fn fault_099_certificates_change_under_load() {
    let _machine = alone();
    let secured = both_sides("tls-rotation");
    let load = load(&secured, "600s");
    let running = load
        .start(secured.node.listener(), &secured.folder)
        .unwrap();
    let decided = || secured.node.metric("njia_transactions_total", &[]).unwrap();
    assert!(eventually(PATIENCE, || decided() > 100.0));
    let reloads = |result: &str| {
        let result = format!("result=\"{result}\"");
        secured
            .node
            .metric("njia_tls_reloads_total", &[&result])
            .unwrap()
    };
    let hang_up = || secured.hang_up();

    // The key of another certificate.
    let next = secured.authority.issue("next", HERE).unwrap();
    replace(&secured.own.certificate, &next.certificate).unwrap();
    hang_up();
    assert!(eventually(PATIENCE, || reloads("refused") == 1.0));
    let (trust, own) = (secured.authority.root(), secured.acquirer());
    let caller = Caller {
        trust: &trust,
        own: Some(&own),
        versions: &BOTH,
    };
    let mut before = Acquirer::connect(secured.node.listener(), &caller).unwrap();
    assert_eq!(before.ask(&purchase("900001")).unwrap(), "00");
    assert!(secured.node.log().contains("does not fit the certificate"));

    replace(&secured.own.key, &next.key).unwrap();
    hang_up();
    assert!(eventually(PATIENCE, || reloads("ok") == 1.0));
    let mut after = Acquirer::connect(secured.node.listener(), &caller).unwrap();
    assert_eq!(after.ask(&purchase("900002")).unwrap(), "00");
    assert_ne!(
        before.shown(),
        after.shown(),
        "a new connection sees the new one"
    );
    assert_eq!(before.ask(&purchase("900003")).unwrap(), "00", "it goes on");

    let then = decided();
    assert!(eventually(PATIENCE, || decided() > then + 100.0));
    let report = running.end().unwrap();
    report.check_refusals(&secured.node);
    let closed = |reason: &str| {
        let reason = format!("reason=\"{reason}\"");
        let labels = [reason.as_str()];
        secured
            .node
            .metric("njia_session_closes_total", &labels)
            .unwrap()
    };
    let ours = ["error", "slow_reader", "frame", "deadline"];
    assert!(ours.iter().all(|reason| closed(reason) == 0.0));
    drop((before, after));
    secured.node.settle(PATIENCE).unwrap();
    assert!(secured.node.terminate().unwrap().success());
    secured.issuers.finish().unwrap();
    fs::remove_dir_all(&secured.folder).unwrap();
}

/// The certificates of both sides, six times over, while a load goes on: no transaction fails, and
/// each new certificate is met. `NJIA_ROTATION_RATE=5000` offers that many a second: for release
/// binaries, with nothing beside it.
#[test]
fn fault_099_certificates_change_six_times_and_no_transaction_fails() {
    let _machine = alone();
    let secured = both_sides("tls-rotations");
    let rate = std::env::var("NJIA_ROTATION_RATE").ok();
    let rate = rate.map_or(200, |rate| rate.parse().unwrap());
    let load = Load {
        rate,
        connections: 32,
        timeout: "5s".to_owned(),
        ..load(&secured, "12s")
    };
    let running = load
        .start(secured.node.listener(), &secured.folder)
        .unwrap();
    let metric = |name: &str, labels: &[&str]| secured.node.metric(name, labels).unwrap();
    let decided = || metric("njia_transactions_total", &[]);
    let (trust, own) = (secured.authority.root(), secured.acquirer());
    let caller = Caller {
        trust: &trust,
        own: Some(&own),
        versions: &BOTH,
    };
    let mut shown: Option<Vec<u8>> = None;
    for round in 1..=6 {
        let next = secured.authority.issue("next", HERE).unwrap();
        replace(&secured.own.key, &next.key).unwrap();
        replace(&secured.own.certificate, &next.certificate).unwrap();
        let link = secured.authority.issue("link", "DNS:switch").unwrap();
        replace(&secured.folder.join("link.key"), &link.key).unwrap();
        replace(&secured.folder.join("link.pem"), &link.certificate).unwrap();
        secured.hang_up();
        let taken = || metric("njia_tls_reloads_total", &["result=\"ok\""]);
        assert!(eventually(PATIENCE, || taken() == f64::from(round)));
        let mut new = Acquirer::connect(secured.node.listener(), &caller).unwrap();
        let stan = format!("{:06}", 900_000 + round);
        assert_eq!(new.ask(&purchase(&stan)).unwrap(), "00");
        let certificate = new.shown();
        assert_ne!(shown.as_ref(), Some(&certificate), "round {round}");
        shown = Some(certificate);
        let (then, more) = (decided(), f64::from(rate) / 4.0);
        assert!(eventually(PATIENCE, || decided() > then + more));
    }
    let report = running.finish().unwrap();
    report.check_refusals(&secured.node);
    for pointer in [
        "/timeout",
        "/disconnected",
        "/protocol_error",
        "/mismatched",
    ] {
        assert_eq!(report.number(pointer), 0.0, "{pointer}: {}", report.printed);
    }
    println!("{}", report.printed);
    check_audit(secured, report.acks);
}

/// Shortly before the end of their certificate, once there is a new one, and nobody notices.
//= docs/rules.md#L-01
#[test]
fn links_connect_anew_when_their_certificate_ends() {
    let _machine = alone();
    let secured = both_sides_with("tls-expiry", |authority| {
        authority.issue_for("links", "DNS:switch", 50)
    });
    let load = load(&secured, "600s");
    let running = load
        .start(secured.node.listener(), &secured.folder)
        .unwrap();
    let handshakes = || {
        let labels = ["side=\"issuer\"", "result=\"ok\""];
        let name = "njia_tls_handshakes_total";
        secured.node.metric(name, &labels).unwrap()
    };
    let decided = || secured.node.metric("njia_transactions_total", &[]).unwrap();
    assert!(eventually(PATIENCE, || decided() > 100.0));
    let before = handshakes();
    assert!(before >= 8.0);
    let next = secured.authority.issue("next", "DNS:switch").unwrap();
    replace(&secured.folder.join("link.pem"), &next.certificate).unwrap();
    replace(&secured.folder.join("link.key"), &next.key).unwrap();
    secured.hang_up();
    assert!(eventually(PATIENCE, || handshakes() == before + 8.0));
    let then = decided();
    assert!(eventually(PATIENCE, || decided() > then + 100.0));
    assert_eq!(handshakes(), before + 8.0, "the new ones stay");
    let report = running.end().unwrap();
    report.check_refusals(&secured.node);
    check_audit(secured, report.acks);
}

#[test]
fn files_that_cannot_be_used_refuse_the_start() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "tls-refused");
    let authority = Authority::new().unwrap();
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let good = authority.issue("switch", HERE).unwrap();
    let other = authority.issue("other", HERE).unwrap();
    let expired = authority.issue_expired("expired", HERE).unwrap();
    let early = authority.issue_early("early", HERE).unwrap();
    let mixed = Pair {
        certificate: good.certificate.clone(),
        key: other.key.clone(),
    };
    let empty = Pair {
        certificate: good.key.clone(),
        key: good.key.clone(),
    };
    let cases = [
        (mixed, "`key` ("),
        (expired, "has expired"),
        (early, "is not valid yet"),
        (empty, "holds no certificate"),
    ];
    for (position, (pair, told)) in cases.into_iter().enumerate() {
        let own = copied(&pair, &folder, &format!("own-{position}"));
        let config = configuration(&folder, &authority, &own, &issuers, ("", ""));
        let output = Command::new(Build::Product.njia())
            .args(["serve", "-c"])
            .arg(&config)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(told) && said.contains("njia.toml:"), "{said}");
    }
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
