//! What a gateway is told, or not, by the clock: of what comes too slowly, of silence, of how long
//! it may wait, of a switch that ends; and how many connections it may have.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use njia_tests::e2e::gateway::{API_KEY, Answer, GATEWAY, GatewayStage, PAYMENT};
use njia_tests::e2e::kept::Kept;
use njia_tests::e2e::{Issuers, alone, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

fn open(name: &str, more: &str) -> GatewayStage {
    let more = format!("{GATEWAY}{more}");
    GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), name, &more)
}

/// A head that never ends, a body that does not come, and one that stops on its way.
#[test]
fn fault_084_what_comes_too_slowly_is_told_so_and_closed() {
    let _machine = alone();
    let stage = open("gateway-slow", "");
    let begun = "POST /v1/transactions HTTP/1.1\r\nHost: a\r\n";
    let whole = format!(
        "{begun}Authorization: Bearer {API_KEY}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: slow\r\nContent-Length: {}\r\n\r\n",
        PAYMENT.len()
    );
    let cut = format!("{whole}{}", &PAYMENT[..PAYMENT.len() - 1]);
    let slow = [begun, &whole, &cut].map(|text| {
        let mut stream = TcpStream::connect(stage.node.gateway_named("mobile")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    });
    for (mut stream, what) in slow.into_iter().zip(["head", "body", "rest"]) {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let answer = Answer::read(&text);
        assert_eq!(
            answer.problem(),
            (408, "request-timeout".to_owned()),
            "{what}"
        );
        assert_eq!(answer.header("connection"), Some("close"), "{what}");
    }
    let unknown = stage.curl("/v1/transactions?idempotency_key=slow", &[]);
    assert_eq!(unknown.status, 404, "nothing was begun");
    assert!(stage.close().is_empty());
}

#[test]
fn who_is_silent_is_closed_and_who_waits_for_an_answer_is_not() {
    let _machine = alone();
    let stage = open("gateway-idle", "idle_max_s = 5\n");
    let control = stage.issuers.host.control(Issuers::MOMO);
    control.freeze(true);
    let address = stage.node.gateway_named("mobile");
    let mut waits = Kept::open(address).unwrap();
    waits.send_payment("waits").unwrap();
    let mut silent = Kept::open(address).unwrap();
    assert_eq!(silent.heartbeat().unwrap(), 200);
    silent.is_closed().unwrap();
    control.freeze(false);
    assert_eq!(waits.receive().unwrap().status, 201);
    assert_eq!(stage.close().len(), 1);
}

#[test]
fn nobody_waits_longer_than_thirty_seconds() {
    let _machine = alone();
    let stage = open("gateway-wait", "");
    for (asked, applied) in [("1", "wait=1"), ("30", "wait=30"), ("31", "wait=30")] {
        let prefer = format!("Prefer: wait={asked}");
        let answer = stage.pay(asked, &["-H", &prefer]);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.header("preference-applied"), Some(applied));
    }
    let packed = stage.pay("packed", &["-H", "Content-Encoding: gzip"]);
    assert_eq!(packed.problem(), (415, "unsupported-media-type".to_owned()));
    assert_eq!(stage.close().len(), 3);
}

/// What was begun is told; nothing is begun any more, on connections that are there either.
#[test]
fn a_switch_that_ends_tells_what_was_begun_and_begins_nothing() {
    let _machine = alone();
    let stage = open("gateway-drain", "");
    let control = stage.issuers.host.control(Issuers::MOMO);
    control.freeze(true);
    let address = stage.node.gateway_named("mobile");
    let mut begun = Kept::open(address).unwrap();
    begun.send_payment("begun").unwrap();
    let is_known = || {
        stage
            .curl("/v1/transactions?idempotency_key=begun", &[])
            .status
            == 200
    };
    assert!(eventually(PATIENCE, is_known));
    let mut others: Vec<Kept> = (0..2).map(|_| Kept::open(address).unwrap()).collect();
    for other in &mut others {
        assert_eq!(other.heartbeat().unwrap(), 200);
    }
    stage.node.ask_to_drain().unwrap();
    let [beating, paying] = &mut others[..] else {
        unreachable!("there are two");
    };
    let ends = eventually(PATIENCE, || beating.heartbeat().unwrap_or(0) != 200);
    assert!(ends, "{}", stage.node.log());
    paying.send_payment("late").unwrap();
    let refused = paying.receive().unwrap();
    assert_eq!(refused.problem(), (503, "draining".to_owned()));
    control.freeze(false);
    assert_eq!(begun.receive().unwrap().status, 201);
    assert!(stage.node.terminate().unwrap().success());
    stage.issuers.finish().unwrap();
}

/// Of two shards each has its part; who comes beyond it is closed unread.
#[test]
fn a_gateway_has_as_many_connections_as_it_may() {
    let _machine = alone();
    let stage = open("gateway-connections", "connections_max = 2\n");
    let address = stage.node.gateway_named("mobile");
    let mut taken = Vec::new();
    for _ in 0..8 {
        let mut kept = Kept::open(address).unwrap();
        if kept.heartbeat().is_ok() {
            taken.push(kept);
        }
    }
    assert!((1..=2).contains(&taken.len()), "{}", taken.len());
    let refused = 8 - taken.len();
    let labels = ["gateway=\"mobile\"", "reason=\"connections_full\""];
    let counted = || stage.node.metric("njia_gateway_refusals_total", &labels);
    let expected = f64::from(u32::try_from(refused).unwrap());
    assert!(eventually(PATIENCE, || counted().unwrap() == expected));
    drop(taken);
    let again = || Kept::open(address).is_ok_and(|mut kept| kept.heartbeat().is_ok());
    assert!(eventually(PATIENCE, again), "who has gone has made room");
    assert!(stage.close().is_empty());
}
