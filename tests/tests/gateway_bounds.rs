//! What one request and one connection of a gateway may be: at each bound and one beyond it. And
//! what one key is on two shards at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use njia_tests::e2e::gateway::{Answer, GATEWAY, GatewayStage, PAYMENT};
use njia_tests::e2e::kept::Kept;
use njia_tests::e2e::{Issuers, alone, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

fn open(name: &str) -> GatewayStage {
    GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), name, GATEWAY)
}

/// What is answered until the connection ends.
fn answered(stage: &GatewayStage, request: &str) -> Answer {
    let mut stream = TcpStream::connect(stage.node.gateway_named("mobile")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    Answer::read(&text)
}

/// A head that asks for `target` and has `fields` more fields, `len` bytes in all.
fn head(target: &str, fields: usize, len: usize) -> String {
    let line = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    let more = "A: b\r\n".repeat(fields);
    let fill = len.checked_sub(line.len() + more.len() + "Z: \r\n\r\n".len());
    let fill = "z".repeat(fill.expect("there is room for the rest"));
    format!("{line}{more}Z: {fill}\r\n\r\n")
}

#[test]
fn a_head_is_bounded_in_bytes_fields_and_target() {
    let _machine = alone();
    let stage = open("gateway-bounds-head");
    let heartbeat = "/v1/heartbeat";
    for (fields, len, status) in [
        (0, 8_192, 200),
        (0, 8_193, 431),
        // Beside these: the host, whether it closes, and what fills it.
        (61, 1_000, 200),
        (62, 1_000, 431),
    ] {
        let answer = answered(&stage, &head(heartbeat, fields, len));
        assert_eq!(answer.status, status, "{fields} fields, {len} bytes");
    }
    for (len, status) in [(2_048, 404), (2_049, 414)] {
        let target = format!("/{}", "x".repeat(len - 1));
        let answer = answered(&stage, &head(&target, 0, 4_000));
        assert_eq!(answer.status, status, "a target of {len} bytes");
    }
    assert!(stage.close().is_empty());
}

#[test]
fn a_key_and_a_body_are_bounded() {
    let _machine = alone();
    let stage = open("gateway-bounds-body");
    let paid = stage.pay(&"k".repeat(64), &[]);
    assert_eq!(paid.state(), (201, "approved".to_owned()), "{paid:?}");
    let refused = stage.pay(&"k".repeat(65), &[]);
    assert_eq!(refused.status, 400, "{refused:?}");
    let named = |len: usize| PAYMENT.replace("INV-2026-00042", &"r".repeat(len));
    let post = |key: &str, body: &str| stage.post("/v1/transactions", key, body, &[]);
    assert_eq!(post("r", &named(64)).status, 201);
    let refused = post("r-1", &named(65));
    assert_eq!(refused.problem(), (400, "invalid-field".to_owned()));
    assert_eq!(refused.json()["errors"][0]["pointer"], "/reference");
    let amount = |minor: u64| PAYMENT.replace("1000", &minor.to_string());
    assert_eq!(post("a", &amount(1)).status, 201);
    assert_eq!(post("b", &amount(999_999_999_999)).status, 201);
    let refused = post("c", &amount(1_000_000_000_000));
    assert_eq!(refused.problem(), (400, "invalid-field".to_owned()));
    // Sixteen levels are read, and found to be no payment; one more is not read.
    for (levels, slug) in [(16, "invalid-field"), (17, "malformed")] {
        let deep = format!("{}{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        let body = PAYMENT.replacen('{', &format!("{{\"unknown\":{deep},"), 1);
        let answer = post("d", &body);
        assert_eq!(answer.problem(), (400, slug.to_owned()), "{levels} levels");
    }
    let told = stage.close();
    assert_eq!(told.len(), 4, "{told:?}");
}

#[test]
fn a_connection_carries_ten_thousand_requests() {
    let _machine = alone();
    let stage = open("gateway-bounds-requests");
    let mut kept = Kept::open(stage.node.gateway_named("mobile")).unwrap();
    // As many as may be sent ahead of their answers at a time.
    for at in (0..10_000).step_by(16) {
        let count = 16.min(10_000 - at);
        for _ in 0..count {
            kept.send("GET /v1/heartbeat", &[], "").unwrap();
        }
        for nth in at..at + count {
            let answer = kept.receive().unwrap();
            let closes = answer.header("connection") == Some("close");
            let is_last = nth == 9_999;
            assert_eq!((answer.status, closes), (200, is_last), "{nth}");
        }
    }
    kept.is_closed().unwrap();
    assert!(stage.close().is_empty());
}

/// Whichever of two bodies was first under the key is the payment; whoever shows the other is told
/// so, or told to come again while it is not durable.
#[test]
fn one_key_with_two_accounts_on_two_shards_at_once_is_one_payment() {
    let _machine = alone();
    let stage = open("gateway-two-accounts");
    let control = stage.issuers.host.control(Issuers::MOMO);
    control.freeze(true);
    let other = PAYMENT.replace("254712345678", "254712345679");
    let bodies = [PAYMENT, other.as_str()];
    let answers: Vec<(usize, Answer)> = thread::scope(|scope| {
        let stage = &stage;
        let asked: Vec<_> = (0..16)
            .map(|nth| {
                let which = nth % 2;
                let wait = ["-H", "Prefer: wait=30"];
                let body = bodies[which];
                scope.spawn(move || (which, stage.post("/v1/transactions", "one", body, &wait)))
            })
            .collect();
        let begun = eventually(PATIENCE, || {
            let found = stage.curl("/v1/transactions?idempotency_key=one", &[]);
            found.status == 200
        });
        control.freeze(false);
        assert!(begun, "{}", stage.node.log());
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let paid: Vec<_> = answers
        .iter()
        .filter(|(_, told)| told.status == 201)
        .collect();
    let (first, payment) = paid.first().expect("one of them is the payment");
    for (which, told) in &answers {
        if told.status == 201 {
            assert_eq!((which, &told.text), (first, &payment.text));
        } else if told.status == 422 {
            assert_ne!(which, first);
            assert_eq!(told.problem().1, "idempotency-key-reused");
        } else {
            assert_eq!(told.problem(), (409, "in-progress".to_owned()), "{told:?}");
        }
    }
    let told = stage.close();
    assert_eq!(told, [("approve".to_owned(), 1_000)]);
}
