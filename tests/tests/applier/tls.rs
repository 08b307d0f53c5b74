//! TLS to a server that demands it: row 40 of docs/faults.md, and who is not talked to.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use domain::ids::Lsn;
use njia_tests::certificates::{Authority, Pair, replace};
use njia_tests::postgres::{Cluster, USER};
use persistence::applier::{
    ApplierError, ApplierSettings, FailureClass, Identity, TlsFiles, migrate,
};
use tempfile::TempDir;

use crate::log::Log;
use crate::rig::{MIGRATIONS, Running, assert_applied, connect, run, settings, until};
use crate::workload::Workload;

const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE application_name LIKE 'njia applier%'";
const HERE: &str = "DNS:localhost,IP:127.0.0.1";

/// A server on the loopback interface that takes TLS alone, and copies of what a client is given.
struct Secured {
    cluster: Cluster,
    port: u16,
    files: TempDir,
}

impl Secured {
    /// With the certificate `pair`; clients by `rule`, or with whatever certificate.
    async fn start(pair: &Pair, clients: Option<&Authority>) -> Self {
        let mut cluster = Cluster::create().unwrap();
        install(&cluster, pair);
        let files = "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'";
        cluster.set(files).unwrap();
        cluster.admit("host all all all reject").unwrap();
        if let Some(authority) = clients {
            trust(&cluster, authority);
            cluster.set("ssl_ca_file = 'clients.pem'").unwrap();
            cluster.admit("hostssl all all 127.0.0.1/32 cert").unwrap();
        } else {
            cluster.admit("hostssl all all 127.0.0.1/32 trust").unwrap();
        }
        let port = cluster.listen().unwrap();
        assert_eq!(
            migrate(&settings(cluster.url(), 0).server).await.unwrap(),
            MIGRATIONS
        );
        let files = tempfile::tempdir().unwrap();
        Self {
            cluster,
            port,
            files,
        }
    }

    /// Settings that reach it over TLS, with files of their own.
    fn settings(&self, trusted: &Authority, identity: Option<&Pair>) -> ApplierSettings {
        let url = self.url("");
        let mut settings = settings(url, 1);
        replace(&self.file("trust.pem"), &trusted.root()).unwrap();
        if let Some(pair) = identity {
            self.give(pair);
        }
        settings.server.tls = Some(TlsFiles {
            trust: self.file("trust.pem"),
            identity: identity.map(|_| Identity {
                certificates: self.file("client.pem"),
                key: self.file("client.key"),
            }),
        });
        settings
    }

    fn url(&self, more: &str) -> String {
        format!("postgresql://{USER}@127.0.0.1:{}/postgres{more}", self.port)
    }

    fn give(&self, pair: &Pair) {
        replace(&self.file("client.pem"), &pair.certificate).unwrap();
        replace(&self.file("client.key"), &pair.key).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }
}

fn install(cluster: &Cluster, pair: &Pair) {
    let certificate = fs::read(&pair.certificate).unwrap();
    cluster.install("server.pem", &certificate).unwrap();
    cluster
        .install("server.key", &fs::read(&pair.key).unwrap())
        .unwrap();
}

fn trust(cluster: &Cluster, authority: &Authority) {
    let root = fs::read(authority.root()).unwrap();
    cluster.install("clients.pem", &root).unwrap();
}

#[tokio::test]
async fn records_reach_a_server_that_takes_tls_alone() {
    let authority = Authority::new().unwrap();
    let secured = Secured::start(&authority.issue("server", HERE).unwrap(), None).await;
    let log = Log::new(1);
    log.append(Workload::new(61, 1).take(1_200));
    let settings = secured.settings(&authority, None);
    assert!(settings.server.check().is_ok());
    let applier = Running::start(settings, vec![log.journal()]);
    applier.caught_up(&log).await;
    let client = connect(&secured.cluster).await;
    let spoken = "SELECT version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                  WHERE application_name LIKE 'njia applier%' AND ssl";
    let version: String = client.query_one(spoken, &[]).await.unwrap().get(0);
    assert_eq!(version, "TLSv1.3");
    applier.finish().await;
    assert_applied(&secured.cluster, &log, &BTreeSet::new()).await;
}

/// A server that cannot prove who it is gets no record and no password.
#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_talked_to_until_it_is_trusted() {
    let (authority, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let secured = Secured::start(&authority.issue("server", HERE).unwrap(), None).await;
    let log = Log::new(1);
    log.append(Workload::new(62, 1).take(600));
    let applier = Running::start(secured.settings(&other, None), vec![log.journal()]);
    until(|| applier.status.failures(FailureClass::Connection) >= 3).await;
    assert_eq!(applier.status.lanes()[0].watermark(), Lsn::ZERO);
    replace(&secured.file("trust.pem"), &authority.root()).unwrap();
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&secured.cluster, &log, &BTreeSet::new()).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_good_for_verify_ca_alone() {
    let authority = Authority::new().unwrap();
    let elsewhere = authority.issue("server", "DNS:elsewhere.example").unwrap();
    let secured = Secured::start(&elsewhere, None).await;
    for (mode, is_served) in [
        ("verify-full", false),
        ("require", false),
        ("verify-ca", true),
    ] {
        let mut settings = secured.settings(&authority, None);
        let url = secured.url(&format!("?sslmode={mode}"));
        settings.server.url = persistence::applier::SecretSource::fixed(url);
        let asked = persistence::applier::watermarks(&settings).await;
        assert_eq!(asked.is_ok(), is_served, "{mode}: {asked:?}");
    }
    let stranger = secured.settings(&Authority::new().unwrap(), None);
    let mut stranger = stranger.clone();
    let url = secured.url("?sslmode=verify-ca");
    stranger.server.url = persistence::applier::SecretSource::fixed(url);
    let refused = persistence::applier::watermarks(&stranger).await;
    assert!(
        matches!(refused, Err(ApplierError::Away { .. })),
        "{refused:?}"
    );
}

/// Whoever answers that it has no TLS does not get clear text instead.
#[tokio::test]
async fn a_server_without_tls_is_not_talked_to_in_clear() {
    let authority = Authority::new().unwrap();
    let mut secured = Secured::start(&authority.issue("server", HERE).unwrap(), None).await;
    secured
        .cluster
        .stop(njia_tests::postgres::Stop::Fast)
        .unwrap();
    secured.cluster.set("ssl = off").unwrap();
    secured
        .cluster
        .admit("host all all 127.0.0.1/32 trust")
        .unwrap();
    secured.cluster.resume().unwrap();
    let refused = persistence::applier::watermarks(&secured.settings(&authority, None)).await;
    assert!(
        matches!(refused, Err(ApplierError::Away { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn fault_040_a_rotated_client_certificate_is_read_again() {
    let (servers, old, new) = (
        Authority::new().unwrap(),
        Authority::new().unwrap(),
        Authority::new().unwrap(),
    );
    let server = servers.issue("server", HERE).unwrap();
    let secured = Secured::start(&server, Some(&old)).await;
    let client = connect(&secured.cluster).await;
    let log = Log::new(1);
    let mut workload = Workload::new(63, 1);
    log.append(workload.take(600));
    let first = old.issue(USER, "DNS:applier").unwrap();
    let settings = secured.settings(&servers, Some(&first));
    let applier = Running::start(settings, vec![log.journal()]);
    applier.caught_up(&log).await;

    trust(&secured.cluster, &new);
    run(&client, "SELECT pg_reload_conf()").await;
    let failures = || {
        let status = &applier.status;
        status.failures(FailureClass::Connection) + status.failures(FailureClass::Access)
    };
    // A connection of before the reload may still be taken.
    while failures() < 3 {
        client.query(TERMINATE, &[]).await.unwrap();
        tokio::task::yield_now().await;
    }
    log.append(workload.take(600));
    secured.give(&new.issue(USER, "DNS:applier").unwrap());
    applier.caught_up(&log).await;
    applier.finish().await;
    assert_applied(&secured.cluster, &log, &BTreeSet::new()).await;
}

#[test]
fn settings_that_would_send_records_in_clear_by_oversight_are_refused() {
    let authority = Authority::new().unwrap();
    let tls = TlsFiles {
        trust: authority.root(),
        identity: None,
    };
    check("postgresql://u@db.example/d", None, Some("file of trust"));
    check("postgresql://u@db.example/d?sslmode=disable", None, None);
    check("postgresql://u@127.0.0.1,localhost/d", None, None);
    check(
        "postgresql://u@localhost,db.example/d",
        None,
        Some("file of trust"),
    );
    check(
        "postgresql://u@localhost/d?sslmode=require",
        None,
        Some("file of trust"),
    );
    check(
        "postgresql://u@localhost/d?sslmode=prefer",
        None,
        Some("fall back"),
    );
    check(
        "postgresql:///d?host=/run/pg&user=u",
        Some(&tls),
        Some("Unix socket"),
    );
    check("postgresql://u@db.example/d", Some(&tls), None);
    let gone = TlsFiles {
        trust: PathBuf::from("/nowhere/trust.pem"),
        ..tls
    };
    check(
        "postgresql://u@db.example/d",
        Some(&gone),
        Some("file of trust"),
    );
}

#[track_caller]
fn check(url: &str, tls: Option<&TlsFiles>, fault: Option<&str>) {
    let mut server = settings(url.to_owned(), 1).server;
    server.tls = tls.cloned();
    let found = server.check().err().map(|error| error.to_string());
    match (&found, fault) {
        (None, None) => {}
        (Some(found), Some(fault)) if found.contains(fault) => {}
        _ => panic!("{url}: {found:?}, not {fault:?}"),
    }
}
