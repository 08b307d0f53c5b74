//! Reversals that gateways ask for, and what a key and an issuer's silence mean to them. Each test
//! ends with what the issuer was told to do.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use njia_tests::e2e::gateway::{API_KEY, Answer, GATEWAY, GatewayStage, PAYMENT};
use njia_tests::e2e::{Issuers, alone, eventually};

const APPROVED: (&str, u64) = ("approve", 1_000);
const REVERSED: (&str, u64) = ("reverse", 1_000);
const PATIENCE: Duration = Duration::from_secs(60);

fn open(name: &str) -> GatewayStage {
    GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), name, GATEWAY)
}

#[track_caller]
fn close(stage: GatewayStage, expected: &[(&str, u64)]) {
    let told = stage.close();
    let told: Vec<(&str, u64)> = told
        .iter()
        .map(|(kind, minor)| (kind.as_str(), *minor))
        .collect();
    assert_eq!(told, expected);
}

#[track_caller]
fn check(answer: &Answer, status: u16, state: &str) {
    assert_eq!(answer.state(), (status, state.to_owned()), "{answer:?}");
}

#[track_caller]
fn refused(answer: &Answer, status: u16, slug: &str) {
    assert_eq!(answer.problem(), (status, slug.to_owned()), "{answer:?}");
}

fn part(minor: u64) -> String {
    format!(r#"{{"amount":{{"minor":{minor},"currency":"KES"}},"reason":"customerCancellation"}}"#)
}

#[test]
fn a_payment_is_reversed_once() {
    let _machine = alone();
    let stage = open("gateway-reversed");
    let paid = stage.pay("pay-1", &[]);
    check(&paid, 201, "approved");
    let path = format!("/v1/transactions/{}", paid.id());
    let reversals = format!("{path}/reversals");
    let reversed = stage.post(&reversals, "back-1", "{}", &["-H", "Prefer: wait=30"]);
    check(&reversed, 201, "reversed");
    assert_eq!(reversed.json()["originalId"], paid.json()["id"]);
    assert_eq!(reversed.json()["original"]["state"], "reversed");
    assert_eq!(reversed.header("location"), Some(path.as_str()));
    let again = stage.post(&reversals, "back-1", "{}", &[]);
    check(&again, 201, "reversed");
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    refused(
        &stage.post(&reversals, "back-1", &part(1), &[]),
        422,
        "idempotency-key-reused",
    );
    refused(
        &stage.post(&reversals, "back-2", "{}", &[]),
        409,
        "state-conflict",
    );
    check(&stage.curl(&path, &[]), 200, "reversed");
    // The payment is not told as an approval any more, and not made again.
    check(&stage.pay("pay-1", &[]), 201, "reversed");

    let stage = stage.killed();
    check(
        &stage.post(&reversals, "back-1", "{}", &[]),
        201,
        "reversed",
    );
    refused(
        &stage.post(&reversals, "back-1", &part(1), &[]),
        422,
        "idempotency-key-reused",
    );
    check(&stage.pay("pay-1", &[]), 201, "reversed");
    close(stage, &[APPROVED, REVERSED]);
}

#[test]
fn parts_are_reversed_up_to_the_whole() {
    let _machine = alone();
    let stage = open("gateway-parts");
    let path = format!("/v1/transactions/{}", stage.pay("pay-1", &[]).id());
    let reversals = format!("{path}/reversals");
    let wait = ["-H", "Prefer: wait=30"];
    let first = stage.post(&reversals, "back-1", &part(300), &wait);
    check(&first, 201, "reversed");
    assert_eq!(first.json()["original"]["remaining"]["minor"], 700);
    check(
        &stage.post(&reversals, "back-1", &part(300), &wait),
        201,
        "reversed",
    );
    refused(
        &stage.post(&reversals, "back-1", &part(301), &wait),
        422,
        "idempotency-key-reused",
    );
    refused(
        &stage.post(&reversals, "back-2", &part(701), &wait),
        409,
        "state-conflict",
    );
    let other = r#"{"amount":{"minor":1,"currency":"UGX"}}"#;
    refused(
        &stage.post(&reversals, "back-2", other, &wait),
        409,
        "state-conflict",
    );
    check(
        &stage.post(&reversals, "back-2", &part(200), &wait),
        201,
        "reversed",
    );
    let found = stage.curl(&path, &[]);
    check(&found, 200, "approved");
    assert_eq!(found.json()["remaining"]["decimal"], "5.00");
    let stage = stage.killed();
    check(
        &stage.post(&reversals, "back-1", &part(300), &wait),
        201,
        "reversed",
    );
    check(
        &stage.post(&reversals, "back-3", &part(500), &wait),
        201,
        "reversed",
    );
    check(&stage.curl(&path, &[]), 200, "reversed");
    let parts = [("reverse", 300), ("reverse", 200), ("reverse", 500)];
    close(stage, &[&[APPROVED], &parts[..]].concat());
}

#[test]
fn a_reversal_may_come_before_its_payment() {
    let _machine = alone();
    let stage = open("gateway-buried");
    let reversals = "/v1/transactions/reversals?idempotency_key=pay-1";
    let first = stage.pay("pay-0", &[]);
    check(&first, 201, "approved");
    let sent = format!(r#"{{"originalRequestedAt":{}}}"#, first.json()["createdAt"]);
    let long_ago = r#"{"originalRequestedAt":"2020-01-01T00:00:00Z"}"#;
    // What may have been executed and forgotten is not told to be reversed.
    for body in ["{}", long_ago, &part(1)] {
        let told = stage.post(reversals, "back-1", body, &[]);
        refused(&told, 404, "not-found");
    }
    check(
        &stage.post(reversals, "back-1", &sent, &[]),
        201,
        "reversed",
    );
    check(
        &stage.post(reversals, "back-1", &sent, &[]),
        201,
        "reversed",
    );
    refused(&stage.pay("pay-1", &[]), 409, "state-conflict");
    let stage = stage.killed();
    refused(&stage.pay("pay-1", &[]), 409, "state-conflict");
    check(
        &stage.post(reversals, "back-1", &sent, &[]),
        201,
        "reversed",
    );
    // Another key is another payment; its own reversal finds it by that key.
    check(&stage.pay("pay-2", &[]), 201, "approved");
    let reversals = "/v1/transactions/reversals?idempotency_key=pay-2";
    check(
        &stage.post(reversals, "back-1", "{}", &["-H", "Prefer: wait=30"]),
        201,
        "reversed",
    );
    let id = "01a1fae5-9c1c-7b1a-8f00-0a0000000421";
    let unknown = format!("/v1/transactions/{id}/reversals");
    refused(&stage.post(&unknown, "back-2", "{}", &[]), 404, "not-found");
    refused(&stage.curl(&unknown, &[]), 405, "method-not-allowed");
    close(stage, &[APPROVED, APPROVED, REVERSED]);
}

#[test]
fn a_payment_that_is_not_decided_is_reversed_and_never_told_as_approved() {
    let _machine = alone();
    let stage = open("gateway-in-flight");
    let control = stage.issuers.host.control(Issuers::MOMO);
    control.freeze(true);
    let paid = stage.pay("pay-1", &["-H", "Prefer: respond-async"]);
    check(&paid, 202, "pending");
    let path = format!("/v1/transactions/{}", paid.id());
    let reversals = format!("{path}/reversals");
    refused(
        &stage.post(&reversals, "back-1", &part(1), &[]),
        409,
        "state-conflict",
    );
    let prefer = ["-H", "Prefer: respond-async"];
    check(
        &stage.post(&reversals, "back-1", "{}", &prefer),
        202,
        "reversal_pending",
    );
    check(&stage.curl(&path, &[]), 200, "reversal_pending");
    let stage = stage.killed();
    control.freeze(false);
    let wait = ["-H", "Prefer: wait=30"];
    check(
        &stage.post(&reversals, "back-1", "{}", &wait),
        201,
        "reversed",
    );
    check(&stage.curl(&path, &wait), 200, "reversed");
    check(&stage.pay("pay-1", &[]), 201, "reversed");
    close(stage, &[APPROVED, REVERSED]);
}

#[test]
fn two_copies_at_once_are_one_payment() {
    let _machine = alone();
    let stage = open("gateway-copies");
    let control = stage.issuers.host.control(Issuers::MOMO);
    control.freeze(true);
    let attached = || {
        let labels = ["ingress=\"http\"", "result=\"attached\""];
        stage.node.metric("njia_repeats_total", &labels).unwrap()
    };
    let answers: Vec<Answer> = thread::scope(|scope| {
        let stage = &stage;
        let pay = || scope.spawn(move || stage.pay("pay-1", &["-H", "Prefer: wait=30"]));
        let mut asked = vec![pay()];
        // One that comes while nothing is durable would be told to ask again.
        let begun = eventually(PATIENCE, || {
            let found = stage.curl("/v1/transactions?idempotency_key=pay-1", &[]);
            found.status == 200
        });
        asked.extend((0..3).map(|_| pay()));
        let waiting = eventually(PATIENCE, || attached() >= 3.0);
        control.freeze(false);
        assert!(begun && waiting, "{}", stage.node.log());
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for answer in &answers {
        check(answer, 201, "approved");
        assert_eq!(answer.text, answers[0].text);
    }
    let replayed = |answer: &&Answer| answer.header("idempotency-replayed") == Some("true");
    assert_eq!(answers.iter().filter(replayed).count(), 3);
    assert_eq!(attached().to_bits(), 3.0_f64.to_bits());
    close(stage, &[APPROVED]);
}

/// A handler that has waited long enough asks its owner once more, and one whose client has gone
/// asks nobody any more: each message is counted once all the same.
#[test]
fn who_waits_too_long_or_goes_away_is_counted_once() {
    let _machine = alone();
    let stage = open("gateway-gone");
    let requests = || {
        let http = ["ingress=\"http\""];
        stage.node.metric("njia_requests_total", &http).unwrap()
    };
    let control = stage.issuers.host.control(Issuers::MOMO);
    control.freeze(true);
    let wait = ["-H", "Prefer: wait=1"];
    let paid = stage.pay("pay-1", &wait);
    check(&paid, 202, "pending");
    let reversals = format!("/v1/transactions/{}/reversals", paid.id());
    let back = stage.post(&reversals, "back-1", "{}", &wait);
    check(&back, 202, "reversal_pending");
    assert_eq!(requests().to_bits(), 2.0_f64.to_bits());
    let request = format!(
        "POST /v1/transactions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {API_KEY}\r\n\
         Content-Type: application/json\r\nIdempotency-Key: pay-2\r\nContent-Length: {}\r\n\r\n\
         {PAYMENT}",
        PAYMENT.len()
    );
    let mut stream = TcpStream::connect(stage.node.gateway_named("mobile")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let begun = eventually(PATIENCE, || {
        let found = stage.curl("/v1/transactions?idempotency_key=pay-2", &[]);
        found.status == 200
    });
    assert!(begun, "{}", stage.node.log());
    drop(stream);
    control.freeze(false);
    stage.node.settle(PATIENCE).unwrap();
    assert_eq!(requests().to_bits(), 3.0_f64.to_bits());
    let told = stage.close();
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn a_kill_behind_202_leaves_what_is_asked_for() {
    let _machine = alone();
    let stage = open("gateway-killed");
    let control = stage.issuers.host.control(Issuers::MOMO);
    control.freeze(true);
    let paid = stage.pay("pay-1", &["-H", "Prefer: respond-async"]);
    check(&paid, 202, "pending");
    let stage = stage.killed();
    control.freeze(false);
    // Nobody knows what the issuer did: it is owed a reversal, and the key says so.
    let path = format!("/v1/transactions/{}", paid.id());
    check(
        &stage.curl(&path, &["-H", "Prefer: wait=30"]),
        200,
        "reversed",
    );
    let again = stage.pay("pay-1", &[]);
    check(&again, 201, "reversed");
    assert_eq!(again.id(), paid.id());
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    close(stage, &[APPROVED, REVERSED]);
}

#[test]
fn a_silent_issuer_is_no_error_of_http() {
    let _machine = alone();
    let stage = open("gateway-silent");
    let control = stage.issuers.host.control(Issuers::MOMO);
    control.silence_next(1);
    let body = PAYMENT.replace("+254", "+255");
    let paid = stage.post(
        "/v1/transactions",
        "pay-1",
        &body,
        &["-H", "Prefer: wait=30"],
    );
    let (status, state) = paid.state();
    assert!(
        [(202, "reversal_pending"), (201, "reversed")].contains(&(status, state.as_str())),
        "{paid:?}"
    );
    let path = format!("/v1/transactions/{}", paid.id());
    check(
        &stage.curl(&path, &["-H", "Prefer: wait=30"]),
        200,
        "reversed",
    );
    refused(
        &stage.post(&format!("{path}/reversals"), "back-1", "{}", &[]),
        409,
        "state-conflict",
    );
    close(stage, &[APPROVED, REVERSED]);
}

#[test]
fn amounts_are_exact_in_currencies_of_each_exponent() {
    let _machine = alone();
    let stage = open("gateway-exponents");
    for (currency, decimal) in [("UGX", "1000"), ("KES", "10.00"), ("BHD", "1.000")] {
        let body = PAYMENT.replace("KES", currency);
        let paid = stage.post("/v1/transactions", currency, &body, &[]);
        check(&paid, 201, "approved");
        assert_eq!(paid.json()["amount"]["decimal"], decimal);
    }
    close(stage, &[APPROVED; 3]);
}

#[test]
fn what_was_sent_long_ago_is_refused() {
    let _machine = alone();
    let stage = open("gateway-stale");
    let stale = stage.pay("pay-1", &["-H", "X-Date: 2020-01-01T00:00:00Z"]);
    refused(&stale, 400, "stale-request");
    refused(
        &stage.pay("pay-1", &["-H", "X-Date: yesterday"]),
        400,
        "malformed",
    );
    close(stage, &[]);
}

#[test]
fn a_refusal_reaches_who_is_still_sending() {
    let _machine = alone();
    let stage = open("gateway-lingering");
    // Far more than the sockets between hold: closed unread, the answer would be lost in a reset.
    let body = " ".repeat(900_000);
    let folder = njia_tests::e2e::folder(env!("CARGO_TARGET_TMPDIR"), "gateway-body");
    let file = folder.join("body");
    std::fs::write(&file, &body).unwrap();
    let data = format!("@{}", file.display());
    let more = [
        "-H",
        "Expect:",
        "-H",
        "Content-Type: application/json",
        "--data-binary",
        &data,
    ];
    for _ in 0..5 {
        refused(&stage.curl("/v1/transactions", &more), 413, "too-large");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    close(stage, &[]);
}
