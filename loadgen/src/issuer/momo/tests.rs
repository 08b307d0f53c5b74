//! An operator on a clock of its own: what it says, when, and what moves.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::issuer::behaviour::Dice;
use crate::issuer::{Behaviour, Control};

const S: u64 = 1_000_000_000;
const REF: &str = "c72025f5-5cd1-4630-99e4-8ba4722fad56";

fn plain() -> MomoBehaviour {
    MomoBehaviour {
        payer: Distribution::fixed_time(Duration::from_secs(3)),
        unconfirmed: 0.0,
        expiry: Duration::from_secs(300),
        hidden: 0.0,
        hidden_for: Distribution::fixed_time(Duration::from_secs(2)),
        failed: 0.0,
        callback_lost: 0.0,
        callback_twice: 0.0,
        token_s: 60,
    }
}

/// An operator, a token of it, and whether all is declined.
fn operator(momo: MomoBehaviour, decline: f64) -> (MomoStation, String) {
    let behaviour = Behaviour {
        decline,
        ..Behaviour::faithful(Duration::from_millis(1))
    };
    let desk = Desk::new(
        Clock::start(),
        Dice::new(behaviour, 42),
        Arc::new(Control::default()),
    );
    let mut station = MomoStation::new(desk, momo, 42);
    let ask = b"POST /collection/token/ HTTP/1.1\r\nAuthorization: Basic eDp5\r\n\r\n";
    let (status, body) = told(&mut station, ask, 0);
    assert_eq!((status, &body["expires_in"]), (200, &json!(60)));
    let token = body["access_token"].as_str().unwrap().to_owned();
    (station, token)
}

thread_local! {
    /// Each request comes behind the one before: a wheel does not turn back.
    static BEHIND: Cell<u64> = const { Cell::new(0) };
}

fn told(station: &mut MomoStation, request: &[u8], now: u64) -> (u16, Value) {
    let now = now + BEHIND.replace(BEHIND.get() + S / 50);
    assert_eq!(station.receive_all(7, request, now), Some(request.len()));
    let mut all = Vec::new();
    station.desk.give_out(now + S / 100, |_, frame| {
        let text = String::from_utf8(frame.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        all.push((status, serde_json::from_str(body).unwrap_or_default()));
    });
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn request(line: &str, token: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "{line} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n{headers}Content-Length: {}\r\n\r\n\
         {body}",
        body.len()
    )
    .into_bytes()
}

fn submit(token: &str, reference: &str) -> Vec<u8> {
    let headers =
        format!("X-Reference-Id: {reference}\r\nX-Callback-Url: http://127.0.0.1:1/told/a\r\n");
    let body = r#"{"externalId":"20260115101500000042","amount":"15.00","currency":"KES"}"#;
    request("POST /collection/v1_0/requesttopay", token, &headers, body)
}

fn standing(station: &mut MomoStation, token: &str, now: u64) -> (u16, String) {
    let line = format!("GET /collection/v1_0/requesttopay/{REF}");
    let (status, body) = told(station, &request(&line, token, "", ""), now);
    (
        status,
        body["status"].as_str().unwrap_or_default().to_owned(),
    )
}

fn refund(station: &mut MomoStation, token: &str, own: &str, value: &str) -> u16 {
    let line = format!("POST /collection/v1_0/requesttopay/{REF}/refund");
    let body = format!(r#"{{"externalId":"{own}","amount":"{value}","currency":"KES"}}"#);
    told(station, &request(&line, token, "", &body), 9 * S).0
}

fn kes(station: &MomoStation) -> (u64, u64) {
    let money = station.desk.book.totals().get(&404).copied();
    money.map_or((0, 0), |money| (money.approved, money.reversed))
}

#[test]
fn money_moves_when_the_payer_confirms_and_is_called_for() {
    let (mut station, token) = operator(plain(), 0.0);
    assert_eq!(
        told(&mut station, &submit(&token, REF), 0),
        (202, Value::Null)
    );
    assert_eq!(station.decide(2 * S), []);
    let pending = (200, "PENDING".to_owned());
    assert_eq!(standing(&mut station, &token, 2 * S), pending);
    assert_eq!(kes(&station), (0, 0));
    let calls = station.decide(4 * S);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].url, "http://127.0.0.1:1/told/a");
    let done = (200, "SUCCESSFUL".to_owned());
    assert_eq!(standing(&mut station, &token, 3 * S), done);
    assert_eq!(kes(&station), (1_500, 0));
    assert!(station.desk.stats().breaches().is_empty());
}

#[test]
fn a_reference_is_a_uuid_of_version_4_and_is_taken_once() {
    let (mut station, token) = operator(plain(), 0.0);
    for bad in ["", "42", "c72025f5-5cd1-7630-99e4-8ba4722fad56"] {
        assert_eq!(told(&mut station, &submit(&token, bad), 0).0, 400, "{bad}");
    }
    assert_eq!(told(&mut station, &submit(&token, REF), 0).0, 202);
    let (status, body) = told(&mut station, &submit(&token, REF), S);
    assert_eq!(
        (status, &body["code"]),
        (409, &json!("RESOURCE_ALREADY_EXIST"))
    );
    station.decide(9 * S);
    assert_eq!(kes(&station), (1_500, 0));
    assert_eq!(station.desk.stats().oddities.requests_doubled, 1);
}

#[test]
fn a_wrong_or_ended_token_is_refused() {
    let (mut station, token) = operator(plain(), 0.0);
    assert_eq!(told(&mut station, &submit("x", REF), 0).0, 401);
    assert_eq!(told(&mut station, &submit(&token, REF), 60 * S).0, 401);
    let bare = b"POST /collection/token/ HTTP/1.1\r\n\r\n";
    assert_eq!(told(&mut station, bare, 61 * S).0, 401);
    assert!(station.payments.is_empty());
}

#[test]
fn a_refund_is_made_once_and_never_of_more_than_was_executed() {
    let (mut station, token) = operator(plain(), 0.0);
    told(&mut station, &submit(&token, REF), 0);
    assert_eq!(refund(&mut station, &token, "a", "15.00"), 409);
    station.decide(4 * S);
    for (own, value, status) in [("a", "5.00", 200), ("a", "5.00", 200), ("b", "10.01", 422)] {
        assert_eq!(refund(&mut station, &token, own, value), status);
    }
    assert_eq!(kes(&station), (1_500, 500));
}

#[test]
fn what_is_declined_moves_nothing() {
    let (mut station, token) = operator(plain(), 1.0);
    told(&mut station, &submit(&token, REF), 0);
    station.decide(4 * S);
    assert_eq!(
        standing(&mut station, &token, 3 * S),
        (200, "FAILED".to_owned())
    );
    assert_eq!(refund(&mut station, &token, "a", "15.00"), 422);
    assert_eq!(kes(&station), (0, 0));
}

#[test]
fn hidden_undecided_lost_and_doubled_are_thrown() {
    let momo = MomoBehaviour {
        hidden: 1.0,
        unconfirmed: 1.0,
        ..plain()
    };
    let (mut station, token) = operator(momo, 0.0);
    told(&mut station, &submit(&token, REF), 0);
    assert_eq!(standing(&mut station, &token, S).0, 404);
    station.decide(50 * S);
    let pending = (200, "PENDING".to_owned());
    assert_eq!(standing(&mut station, &token, 50 * S), pending);
    station.decide(301 * S);
    let payment = station.payments.get(REF).unwrap();
    assert_eq!(told_of(payment)["reason"], "EXPIRED");
    assert_eq!(kes(&station), (0, 0));
    for (lost, twice, calls) in [(1.0, 0.0, 0), (0.0, 1.0, 2)] {
        let momo = MomoBehaviour {
            callback_lost: lost,
            callback_twice: twice,
            ..plain()
        };
        let (mut station, token) = operator(momo, 0.0);
        told(&mut station, &submit(&token, REF), 0);
        assert_eq!(station.decide(4 * S).len(), calls);
    }
}
