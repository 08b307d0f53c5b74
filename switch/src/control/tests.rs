//! The control plane over real sockets, without shards.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use domain::ids::{IssuerId, NodeId};
use domain::time::Instant;

use super::credentials::{CredentialsKeeper, CredentialsReader};
use super::keys::KeysReader;
use super::*;
use crate::clock::Clock;
use crate::config::{Config, Environment, Source, create_missing_keys};

/// A control plane on its own state directory.
struct Running {
    control: Control,
    shared: Arc<Shared>,
    config: Arc<Config>,
    _folder: tempfile::TempDir,
}

fn started() -> Running {
    let folder = tempfile::tempdir().unwrap();
    create_missing_keys(folder.path()).unwrap();
    let source = Source::Default {
        state_dir: folder.path(),
    };
    let config = Arc::new(Config::load(source, &Environment::of(&[])).unwrap());
    let shared = Shared::new(2, config.issuers.len(), Clock::start());
    let manifest = Manifest::open_or_create(&config.journal.dir, NodeId(1), 2).unwrap();
    let control = start(
        &config,
        &shared,
        &manifest,
        reloads(&config, &shared, &manifest),
    )
    .unwrap();
    Running {
        control,
        shared,
        config,
        _folder: folder,
    }
}

fn reloads(config: &Arc<Config>, shared: &Arc<Shared>, manifest: &Manifest) -> Reloads {
    let nobody = KeysReader::new(|| unreachable!("nobody sends a signal"));
    Reloads {
        tls: TlsKeeper::open(config, shared).unwrap(),
        keys: KeysKeeper::new(nobody, config, shared, manifest),
        credentials: CredentialsKeeper::new(
            CredentialsReader::new(|| unreachable!("nobody sends a signal")),
            config,
            shared,
        ),
    }
}

impl Running {
    fn ask(&self, path: &str, accept: &str) -> (u16, String, String) {
        ask(self.control.address(), path, accept)
    }
}

/// Status code, head and body.
fn ask(address: SocketAddr, path: &str, accept: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (code, head.to_owned(), body.to_owned())
}

#[test]
fn metrics_come_in_the_form_that_is_asked_for() {
    let running = started();
    running.shared.shards[1]
        .metrics
        .count(crate::metrics::Counter::Requests(
            crate::metrics::Ingress::Iso,
        ));
    let (code, head, body) = running.ask("/metrics", "*/*");
    assert_eq!(code, 200);
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let len = format!("content-length: {}", body.len());
    let mut lines = head.lines();
    assert!(lines.any(|line| line.eq_ignore_ascii_case(&len)), "{head}");
    assert!(
        body.contains("\nnjia_requests_total{ingress=\"iso\"} 1\n"),
        "{body}"
    );
    assert!(body.contains("njia_issuer_inflight_limit{issuer=\"bank\"} 20000\n"));
    assert!(body.contains("njia_journal_limit_bytes 17179869184\n"));
    let (code, head, body) = running.ask("/metrics", "application/openmetrics-text; version=1.0.0");
    assert_eq!(code, 200);
    assert!(head.contains("application/openmetrics-text"), "{head}");
    assert!(body.contains("# EOF"));
    running.control.finish();
}

#[test]
fn readiness_names_each_condition() {
    let running = started();
    let (code, _, body) = running.ask("/readyz", "*/*");
    assert_eq!(code, 503);
    assert!(
        body.contains("\"recovered\": false") && body.contains("\"degraded\": false"),
        "{body}"
    );
    assert_eq!(running.ask("/startupz", "*/*").0, 503);
    let ready = |running: &Running| running.ask("/readyz", "*/*").0;
    for shard in &running.shared.shards {
        shard.set_position(Arc::default());
    }
    running.shared.node().set_recovered(Vec::new());
    assert_eq!(running.ask("/startupz", "*/*").0, 200);
    assert_eq!(ready(&running), 503);
    running.shared.node().set_listening();
    assert_eq!(ready(&running), 503);
    running.shared.shards[0].set_links_up(IssuerId(1), 1);
    let (code, _, body) = running.ask("/readyz", "*/*");
    assert_eq!(code, 200, "{body}");
    let full = Gauge::JournalUsedBytes;
    running.shared.shards[1].metrics.set(full, 16 << 30);
    assert_eq!(ready(&running), 503);
    running.shared.shards[1].metrics.set(full, 0);
    assert_eq!(ready(&running), 200);
    running.shared.node().drain();
    assert_eq!(running.ask("/readyz", "*/*").0, 503);
    running.control.finish();
}

#[test]
fn a_shard_that_does_not_turn_is_not_live() {
    let running = started();
    assert_eq!(running.ask("/livez", "*/*").0, 200);
    running.shared.shards[0].turned(Instant::from_nanos(1));
    assert_eq!(running.ask("/livez", "*/*").0, 200);
    let (code, _, body) = running.ask("/statusz", "*/*");
    assert_eq!(code, 200);
    assert!(
        body.contains("\"name\": \"momo\"") && body.contains("\"breaker\": \"closed\""),
        "{body}"
    );
    running.control.finish();
}

#[test]
fn a_taken_admin_address_is_told_in_plain_words() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    create_missing_keys(folder.path()).unwrap();
    let source = Source::Default {
        state_dir: folder.path(),
    };
    let environment = Environment::of(&[("NJIA__ADMIN__ADDRESS", &address)]);
    let config = Arc::new(Config::load(source, &environment).unwrap());
    let shared = Shared::new(1, 0, Clock::start());
    let manifest = Manifest::open_or_create(&config.journal.dir, NodeId(1), 1).unwrap();
    let error = start(
        &config,
        &shared,
        &manifest,
        reloads(&config, &shared, &manifest),
    )
    .unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with(&format!("admin: cannot bind {address}: ")),
        "{told}"
    );
}

#[test]
fn fault_104_a_third_scrape_is_turned_away() {
    let running = started();
    let exposition = Arc::new(Exposition::new(
        Labels::of(&running.config),
        vec![crate::metrics::Metrics::new()],
    ));
    let observer = Observer::new(
        Arc::clone(&running.config),
        Arc::clone(&running.shared),
        Arc::default(),
        Arc::default(),
    );
    let admin = Admin::new(exposition, Arc::new(observer));
    let held = Arc::clone(&admin.scrapes)
        .try_acquire_many_owned(2)
        .unwrap();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let serving = AdminListener::new(listener, Bounds::STANDARD);
    thread::spawn(move || runtime.block_on(axum::serve(serving, admin.router()).into_future()));
    assert_eq!(ask(address, "/metrics", "*/*").0, 503);
    assert_eq!(ask(address, "/livez", "*/*").0, 200);
    drop(held);
    for _ in 0..5 {
        assert_eq!(ask(address, "/metrics", "*/*").0, 200);
    }
    running.control.finish();
}

/// Runs itself as a child, for the watchdog ends the process that it runs in.
#[test]
fn fault_093_a_stuck_shard_aborts_the_process() {
    const CHILD: &str = "NJIA_TEST_STUCK_SHARD";
    if std::env::var_os(CHILD).is_some() {
        let running = started();
        running.shared.shards[0].turned(Instant::from_nanos(1));
        let observer = Observer::new(
            Arc::clone(&running.config),
            Arc::clone(&running.shared),
            Arc::default(),
            Arc::default(),
        );
        let bound = Duration::from_millis(100);
        let watching = watch_shards(running.shared, Arc::new(observer), bound);
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(watching);
        return;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "control::tests::fault_093_a_stuck_shard_aborts_the_process",
        ])
        .env(CHILD, "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(6)
    );
}
