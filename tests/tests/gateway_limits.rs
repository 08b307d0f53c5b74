//! What a gateway may ask for, how often, and how many of it may wait: at each bound and beyond it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use njia_tests::e2e::gateway::{Answer, GATEWAY, GatewayStage};
use njia_tests::e2e::kept::Kept;
use njia_tests::e2e::{Issuers, alone, eventually};

const PATIENCE: Duration = Duration::from_secs(60);
const REFUSALS: &str = "njia_gateway_refusals_total";

fn open(name: &str, more: &str) -> GatewayStage {
    GatewayStage::open(
        env!("CARGO_TARGET_TMPDIR"),
        name,
        &format!("{GATEWAY}{more}"),
    )
}

/// Each of two shards takes two at once, and one more in two seconds: a machine that is slower than
/// that is refused nothing, so it asks until it is.
fn asked_too_often(ask: impl Fn() -> Answer + Sync, usual: u16) -> Answer {
    let mut refusal = None;
    let done = eventually(PATIENCE, || {
        thread::scope(|scope| {
            let asked: Vec<_> = (0..16).map(|_| scope.spawn(&ask)).collect();
            for answer in asked {
                let answer = answer.join().unwrap();
                if answer.status != usual {
                    refusal = Some(answer);
                }
            }
        });
        refusal.is_some()
    });
    assert!(done);
    refusal.unwrap()
}

#[track_caller]
fn check_refused(stage: &GatewayStage, refusal: &Answer, reason: &str) {
    let told = refusal.problem();
    assert_eq!(told, (429, "rate-limited".to_owned()), "{refusal:?}");
    let seconds: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&seconds), "{seconds}");
    let count = |reason: &str| {
        let labels = ["gateway=\"mobile\"", &format!("reason=\"{reason}\"")];
        stage.node.metric(REFUSALS, &labels).unwrap()
    };
    assert!(count(reason) >= 1.0);
    let all = stage.node.metric(REFUSALS, &["gateway=\"mobile\""]);
    assert_eq!(all.unwrap().to_bits(), count(reason).to_bits());
}

#[test]
fn fault_087_a_gateway_that_asks_too_often_is_told_when_to_come_again() {
    let _machine = alone();
    let stage = open("gateway-rate", "rate_per_second = 1\nrate_burst = 4\n");
    let ask = || stage.curl("/v1/transactions?idempotency_key=k", &[]);
    let refusal = asked_too_often(ask, 404);
    check_refused(&stage, &refusal, "rate");
    // Who has shown nothing is not held to the rate of a gateway.
    for _ in 0..8 {
        assert_eq!(stage.curl_unnamed("/v1/heartbeat", &[]).status, 200);
    }
    stage.node.check_sums().unwrap();
    assert!(stage.close().is_empty());
}

#[test]
fn fault_087_an_address_is_held_back_before_it_has_shown_anything() {
    let _machine = alone();
    let more = "address_rate_per_second = 1\naddress_rate_burst = 2\n";
    let stage = open("gateway-address-rate", more);
    let ask = || stage.curl_at("mobile", "/v1/heartbeat", &[]);
    let refusal = asked_too_often(ask, 200);
    check_refused(&stage, &refusal, "address_rate");
    assert!(stage.close().is_empty());
}

/// On one connection, and so on one shard: of a hundred at once one that shows nobody takes all.
#[test]
fn fault_087_who_shows_nobody_pays_more_with_his_address() {
    let _machine = alone();
    let more = "address_rate_per_second = 1\naddress_rate_burst = 100\naddress_failure_cost = \
                1_000\n";
    let stage = open("gateway-failure-cost", more);
    let mut kept = Kept::open(stage.node.gateway_named("mobile")).unwrap();
    for _ in 0..3 {
        assert_eq!(kept.look().unwrap(), 404, "who shows somebody pays once");
    }
    let line = "GET /v1/transactions?idempotency_key=nobody";
    let wrong = ["Authorization: Bearer another-key"];
    kept.send(line, &wrong, "").unwrap();
    assert_eq!(kept.receive().unwrap().status, 401);
    kept.send("GET /v1/heartbeat", &[], "").unwrap();
    let refusal = kept.receive().unwrap();
    assert_eq!(refusal.problem(), (429, "rate-limited".to_owned()));
    let seconds: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    assert!((800..=1_000).contains(&seconds), "{seconds}");
    // Another address owes nothing.
    let other = ["--interface", "127.0.0.2"];
    let known = stage.curl("/v1/transactions?idempotency_key=nobody", &other);
    assert_eq!(known.status, 404);
    assert!(stage.close().is_empty());
}

/// On each of two shards two: of many at least two come in, at most four, and one more for each
/// that goes.
#[test]
fn fault_087_an_address_has_as_many_connections_as_it_may() {
    let _machine = alone();
    let stage = open("gateway-address-full", "connections_per_address_max = 2\n");
    let address = stage.node.gateway_named("mobile").to_owned();
    let come_in = || {
        let mut kept = Kept::open(&address).ok()?;
        kept.heartbeat().ok().map(|_| kept)
    };
    let open: Vec<Kept> = (0..32).filter_map(|_| come_in()).collect();
    assert!((2..=4).contains(&open.len()), "{} came in", open.len());
    let refused = || {
        let labels = ["gateway=\"mobile\"", "reason=\"address_full\""];
        stage.node.metric(REFUSALS, &labels).unwrap()
    };
    assert!(refused() >= 28.0, "{}", refused());
    let other = ["--interface", "127.0.0.2"];
    assert_eq!(stage.curl_at("mobile", "/v1/heartbeat", &other).status, 200);
    let mut still = open;
    for kept in &mut still {
        assert_eq!(kept.heartbeat().unwrap(), 200, "who is in stays");
    }
    drop(still);
    assert!(eventually(PATIENCE, || come_in().is_some()));
    assert!(stage.close().is_empty());
}

/// A shard has 64 long polls of a gateway: of 129 on two shards one is told at once.
#[test]
fn a_long_poll_too_many_is_told_at_once() {
    let _machine = alone();
    let stage = open("gateway-polls", "");
    let momo = stage.issuers.host.control(Issuers::MOMO);
    momo.freeze(true);
    let paid = stage.pay("key-1", &["-H", "Prefer: respond-async"]);
    assert_eq!(paid.state(), (202, "pending".to_owned()));
    let address = stage.node.gateway_named("mobile").to_owned();
    let mut polls: Vec<(TcpStream, Vec<u8>)> = (0..129)
        .map(|_| (long_poll(&address, &paid.id()), Vec::new()))
        .collect();
    let mut at_once = Vec::new();
    let done = eventually(PATIENCE, || {
        for (stream, read) in &mut polls {
            if has_ended(stream, read) {
                at_once.push(String::from_utf8(read.clone()).unwrap());
            }
        }
        !at_once.is_empty()
    });
    assert!(done);
    assert!(at_once[0].contains("\"state\":\"pending\""), "{at_once:?}");
    momo.freeze(false);
    let mut approved = 0;
    for (stream, mut read) in polls {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = &stream;
        rest.read_to_end(&mut read).unwrap();
        let text = String::from_utf8(read).unwrap();
        approved += usize::from(text.contains("\"state\":\"approved\""));
    }
    assert!(approved > 0, "the others wait until it is decided");
    assert_eq!(stage.close(), [("approve".to_owned(), 1_000)]);
}

fn long_poll(address: &str, id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /v1/transactions/{id} HTTP/1.1\r\nHost: njia\r\nConnection: close\r\n\
         Authorization: Bearer mobile-test-key\r\nPrefer: wait=30\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Reads what is there; whether nothing more comes.
fn has_ended(stream: &mut TcpStream, into: &mut Vec<u8>) -> bool {
    match stream.read_to_end(into) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

/// Row 89: as sessions do, who is connected goes on, and who comes is served when it can be.
#[test]
fn fault_089_without_descriptors_live_gateways_go_on_and_new_ones_wait() {
    let _machine = alone();
    let stage = open("gateway-descriptors", "");
    let address = stage.node.gateway_named("mobile");
    let pay = |kept: &mut Kept, key: &str| {
        kept.send_payment(key).unwrap();
        assert_eq!(kept.receive().unwrap().status, 201, "{key}");
    };
    // As many as reach both shards.
    let mut live: Vec<Kept> = (0..8).map(|_| Kept::open(address).unwrap()).collect();
    for (kept, number) in live.iter_mut().zip(0..) {
        pay(kept, &format!("before-{number}"));
    }
    let before = stage.node.limit_descriptors(Some(16)).unwrap();
    let mut waiting = Kept::open(address).unwrap();
    waiting.send_payment("waiting").unwrap();
    for (kept, number) in live.iter_mut().zip(0..) {
        pay(kept, &format!("without-1-{number}"));
        pay(kept, &format!("without-2-{number}"));
    }
    stage.node.limit_descriptors(before).unwrap();
    assert_eq!(waiting.receive().unwrap().status, 201, "it is taken");
    for (kept, number) in live.iter_mut().zip(0..) {
        pay(kept, &format!("after-{number}"));
    }
    pay(&mut Kept::open(address).unwrap(), "new");
    assert_eq!(stage.close().len(), 4 * 8 + 2);
}
