//! What a gateway may ask for, how often, and how many of it may wait: at each bound and beyond it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use njia_tests::e2e::gateway::{Answer, GATEWAY, GatewayStage};
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
