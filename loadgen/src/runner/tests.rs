//! Whole runs over real sockets on port 0.

use std::io::Read;
use std::net::TcpListener;

use crate::issuer::{Behaviour, IssuerConfig, IssuerHost, Speaks};
use crate::recorder::Outcome;
use crate::verdict::Verdict;

use super::*;

/// Without repeats and reversals, and with a bound on latency that leaves the generator seconds of
/// its own delay: the host of a test may be busy.
fn config(address: std::net::SocketAddr, rate: f64, duration: Duration) -> RunConfig {
    let mut config = RunConfig::new(Target::plain(address), rate, duration).unwrap();
    let mut scenario = Scenario::built_in().unwrap();
    for item in &mut scenario.items {
        item.repeat.share = 0.0;
        item.reverse.follow.share = 0.0;
    }
    config.scenario = Arc::new(scenario);
    config.connections = 4;
    config.thresholds = ["p99<100s", "error_rate<0.1%"]
        .into_iter()
        .map(|text| text.parse().unwrap())
        .collect();
    config
}

/// A simulated issuer answers 0100 and 0200 on its own, so it can stand for a whole switch.
fn host(behaviour: Behaviour) -> IssuerHost {
    let config = IssuerConfig {
        name: "switch".to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        speaks: Speaks::Iso {
            wire: Target::plain(([127, 0, 0, 1], 0).into()).wire,
            sign_on: false,
        },
        behaviour,
        faults: Vec::new(),
        ledger: None,
        tls: None,
        seed: 1,
    };
    IssuerHost::start(vec![config], Clock::start()).unwrap()
}

fn run_quietly(config: &RunConfig) -> RunReport {
    run(config, Clock::start(), &Stop::default(), &mut |_| ()).unwrap()
}

#[test]
fn a_target_that_answers_passes() {
    let host = host(Behaviour::faithful(Duration::from_millis(2)));
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(host.address(0), 500.0, Duration::from_millis(600));
    config.acks = Some(folder.path().join("acks.log"));
    config.warmup = Duration::from_millis(200);
    let report = run_quietly(&config);
    assert_eq!(
        report.judgement.verdict,
        Verdict::Pass,
        "{:?}",
        report.judgement.reasons
    );
    let totals = &report.totals;
    assert_eq!(
        totals.all.tally.sent,
        totals.all.tally.of(Outcome::Approved)
    );
    assert!(totals.warmup.tally.sent > 0);
    let mut acks = 0;
    crate::acks::Ack::read_all(&folder.path().join("acks.log"), |_| acks += 1).unwrap();
    assert_eq!(acks, totals.all.tally.sent + totals.warmup.tally.sent);
    let stats = host.finish().unwrap();
    assert_eq!(stats[0].1.requests, acks);
}

#[test]
fn a_target_that_stalls_shows_it_in_the_response_and_not_in_what_was_sent() {
    let host = host(Behaviour::faithful(Duration::from_millis(1)));
    let control = host.control(0);
    let mut config = config(host.address(0), 400.0, Duration::from_millis(2_500));
    let mut seconds = 0;
    let mut watch = |_: &Snapshot| {
        seconds += 1;
        control.freeze(seconds == 1);
    };
    config.thresholds = vec!["p99<500ms".parse().unwrap()];
    let report = run(&config, Clock::start(), &Stop::default(), &mut watch).unwrap();
    let latencies = &report.totals.all.latencies;
    let p99 = latencies.response.value_at_quantile(0.99);
    assert!(p99 > 700_000, "response p99 {p99} µs hides the stall");
    assert_ne!(report.judgement.verdict, Verdict::Pass);
    assert_eq!(
        report.totals.all.tally.sent,
        report.totals.all.tally.scheduled
    );
}

#[test]
fn a_target_that_stopped_is_a_failure_and_not_invalid() {
    // Accepts by its backlog and never reads.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = config(address, 300.0, Duration::from_millis(500));
    config.timeout = Duration::from_millis(300);
    config.grace = Duration::from_millis(500);
    let report = run_quietly(&config);
    assert_eq!(
        report.judgement.verdict,
        Verdict::Fail,
        "{:?}",
        report.judgement.reasons
    );
    let tally = &report.totals.all.tally;
    assert_eq!(tally.of(Outcome::Timeout), tally.scheduled, "{tally:?}");
}

#[test]
fn a_full_table_ends_the_run_as_a_failure() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut config = config(
        listener.local_addr().unwrap(),
        2_000.0,
        Duration::from_secs(60),
    );
    config.inflight_max = 200;
    let report = run_quietly(&config);
    assert!(report.conduct.inflight_exhausted);
    assert_eq!(
        report.judgement.verdict,
        Verdict::Fail,
        "{:?}",
        report.judgement.reasons
    );
}

#[test]
fn a_lost_connection_is_made_again() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let closer = std::thread::spawn(move || {
        // Every connection is closed after its first bytes; four are made at the start.
        for _ in 0..6 {
            let (mut socket, _) = listener.accept().unwrap();
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
        }
        listener
    });
    let mut config = config(address, 200.0, Duration::from_secs(5));
    config.grace = Duration::from_millis(100);
    let report = run_quietly(&config);
    assert!(report.totals.all.tally.of(Outcome::Disconnected) > 0);
    assert_eq!(report.judgement.verdict, Verdict::Fail);
    assert!(closer.join().is_ok(), "the lost connections came back");
}

#[test]
fn a_target_that_is_not_there_is_an_error_at_once() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = config(address, 100.0, Duration::from_secs(60));
    let error = run(&config, Clock::start(), &Stop::default(), &mut |_| ()).unwrap_err();
    assert!(format!("{error:#}").contains("cannot be reached"));
}

#[test]
fn a_run_ended_by_hand_is_invalid() {
    let host = host(Behaviour::faithful(Duration::from_millis(1)));
    let stop = Stop::default();
    let config = config(host.address(0), 100.0, Duration::from_secs(60));
    let mut watch = |_: &Snapshot| stop.ask();
    let report = run(&config, Clock::start(), &stop.clone(), &mut watch).unwrap();
    assert_eq!(report.judgement.verdict, Verdict::Invalid);
    assert!(report.elapsed < Duration::from_secs(30));
}
