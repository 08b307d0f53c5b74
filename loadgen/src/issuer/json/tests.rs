//! A station on a clock of its own: what it says, when, and what it remembers.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::issuer::behaviour::Dice;
use crate::issuer::{Behaviour, Control};

const MS: u64 = 1_000_000;
const ID: &str = "20260115101500000042";

fn station(behaviour: Behaviour) -> JsonStation {
    let dice = Dice::new(behaviour, 42);
    JsonStation::new(Desk::new(
        Clock::start(),
        dice,
        Arc::new(Control::default()),
    ))
}

fn faithful() -> JsonStation {
    station(Behaviour::faithful(Duration::from_millis(20)))
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("POST /v1/{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{body}")
        .into_bytes()
}

fn payment(id: &str, value: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"externalId":"{id}","amount":{{"value":"{value}","currency":"KES"}},
        "rrn":"601510000042","terminal":"KE000007"}}"#
    );
    post("payments", &body)
}

fn reversal(id: &str, own: &str, value: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"externalId":"{own}","amount":{{"value":"{value}","currency":"KES"}}}}"#);
    post(&format!("payments/{id}/reversals"), &body)
}

/// Status of HTTP and of the body.
fn told(station: &mut JsonStation, request: &[u8], now: u64) -> Vec<(u16, String)> {
    assert_eq!(station.receive_all(7, request, now), Some(request.len()));
    let mut told = Vec::new();
    station.desk.give_out(now + 20 * MS, |line, frame| {
        assert_eq!(line, 7);
        let text = String::from_utf8(frame.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let word = body["status"].as_str().unwrap_or("no JSON").to_owned();
        told.push((status, word));
    });
    told
}

fn one(station: &mut JsonStation, request: &[u8], now: u64) -> (u16, String) {
    let mut all = told(station, request, now);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn said(status: u16, word: &str) -> (u16, String) {
    (status, word.to_owned())
}

fn kes(station: &JsonStation) -> (u64, u64) {
    let money = station.desk.book.totals().get(&404).copied();
    money.map_or((0, 0), |money| (money.approved, money.reversed))
}

#[test]
fn a_payment_is_executed_once_told_as_it_was_asked_and_a_second_one_is_a_breach() {
    let mut station = faithful();
    let first = one(&mut station, &payment(ID, "15.00"), 0);
    assert_eq!(first, said(200, "SUCCESSFUL"));
    assert_eq!(kes(&station), (1_500, 0));
    assert!(station.desk.stats().breaches().is_empty());
    let get = format!("GET /v1/payments/{ID} HTTP/1.1\r\n\r\n");
    let stands = one(&mut station, get.as_bytes(), 100 * MS);
    assert_eq!(stands, said(200, "SUCCESSFUL"));
    let again = one(&mut station, &payment(ID, "15.00"), 200 * MS);
    assert_eq!(again, said(409, "DUPLICATE"));
    assert_eq!(station.desk.stats().breaches().len(), 1);
    let other = get.replace("42 HTTP", "43 HTTP");
    assert_eq!(
        one(&mut station, other.as_bytes(), 300 * MS),
        said(404, "UNKNOWN")
    );
}

#[test]
fn a_reversal_is_taken_once_for_one_id_and_in_parts() {
    let mut station = faithful();
    told(&mut station, &payment(ID, "10.00"), 0);
    let mut now = 0;
    let mut check = |own, value, expected: (u16, &str), sums| {
        now += 100 * MS;
        let found = one(&mut station, &reversal(ID, own, value), now);
        assert_eq!(found, said(expected.0, expected.1), "{own}");
        assert_eq!(kes(&station), sums, "{own}");
    };
    check("a", "3.00", (200, "REVERSED"), (1_000, 300));
    check("a", "3.00", (200, "REVERSED"), (1_000, 300));
    check("b", "3.00", (200, "REVERSED"), (1_000, 600));
    check("c", "4.01", (422, "TOO_MUCH"), (1_000, 600));
    check("d", "4.00", (200, "REVERSED"), (1_000, 1_000));
    let oddities = station.desk.stats().oddities;
    assert_eq!(oddities.reversals_repeated, 1);
}

#[test]
fn what_was_reversed_before_it_came_is_not_executed() {
    let mut station = faithful();
    let early = one(&mut station, &reversal(ID, "a", "10.00"), 0);
    assert_eq!(early, said(404, "UNKNOWN"));
    let late = one(&mut station, &payment(ID, "10.00"), 100 * MS);
    assert_eq!(late, said(200, "FAILED"));
    assert_eq!(kes(&station), (0, 0));
    assert_eq!(station.desk.stats().oddities.requests_after_reversal, 1);
}

#[test]
fn what_cannot_be_read_is_refused_and_counted() {
    let mut station = faithful();
    for (at, (request, status)) in (0..).zip([
        (payment("42", "10.00"), 400),
        (payment(ID, "10.0"), 400),
        (payment(ID, "-1.00"), 400),
        (reversal(ID, "a", ""), 400),
        (post("payments", "{"), 400),
        (post("accounts", "{}"), 404),
    ]) {
        let text = String::from_utf8_lossy(&request).into_owned();
        let found = one(&mut station, &request, at * 100 * MS);
        assert_eq!(found, said(status, "REFUSED"), "{text}");
    }
    assert_eq!(station.desk.stats().unreadable, 6);
    assert_eq!(station.receive_all(7, b"GET / HTTP/0.9\r\n\r\n", 0), None);
}

#[test]
fn decimals_have_the_places_of_their_currency() {
    let check = |value: Value, currency: &str, expected: Option<u64>| {
        let asked = json!({ "value": value, "currency": currency });
        assert_eq!(read_amount(&asked).map(|amount| amount.minor()), expected);
    };
    check(json!("1523.00"), "KES", Some(152_300));
    check(json!(152_300), "KES", Some(152_300));
    check(json!("1523"), "UGX", Some(1_523));
    check(json!("0.05"), "KES", Some(5));
    for bad in ["1523", "1523.0", ".05", "1.523", "+1.00", "1e2.00"] {
        check(json!(bad), "KES", None);
    }
    check(json!("1523.00"), "UGX", None);
    check(json!(15.5), "KES", None);
    check(json!("1.00"), "kes", None);
}

#[test]
fn silence_and_garbled_answers_are_counted() {
    let silent = Behaviour {
        silent: 1.0,
        ..Behaviour::faithful(Duration::from_millis(1))
    };
    let mut mute = station(silent);
    let ids = (0..20).map(|number| format!("20260115101500{number:06}"));
    for id in ids {
        assert!(told(&mut mute, &payment(&id, "1.00"), 0).is_empty());
    }
    let processed = kes(&mute).0 / 100;
    assert!((1..20).contains(&processed), "half of them: {processed}");
    let garbled = Behaviour {
        garble: 1.0,
        ..Behaviour::faithful(Duration::from_millis(1))
    };
    let mut station = station(garbled);
    let found = one(&mut station, &payment(ID, "1.00"), 0);
    assert_eq!(found, said(200, "no JSON"));
}
