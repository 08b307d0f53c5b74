//! A station on a clock of its own: what it says, when, and what it remembers.

use std::sync::Arc;
use std::time::Duration;

use domain::currency::Currency;
use iso8583::{Mti, Writer};

use super::*;
use crate::clock::Clock;
use crate::issuer::behaviour::Dice;
use crate::issuer::book::Oddities;
use crate::issuer::{Behaviour, Control};

const MS: u64 = 1_000_000;
const WIRE: Wire = Wire::PLAIN;

fn station(behaviour: Behaviour) -> (Station, Arc<Control>) {
    let control = Arc::new(Control::default());
    let dice = Dice::new(behaviour, 42);
    let desk = Desk::new(Clock::start(), dice, Arc::clone(&control));
    (Station::new(desk, WIRE, false), control)
}

fn faithful() -> (Station, Arc<Control>) {
    station(Behaviour::faithful(Duration::from_millis(20)))
}

fn request(mti: Mti, stan: u32) -> Vec<u8> {
    let mut out = vec![0; 512];
    let mut writer = Writer::new(WIRE.dialect, mti, &mut out);
    let stan = format!("{stan:06}");
    let mut put = |number, value: &[u8]| writer.put(number, value).unwrap();
    put(2, b"4111111111111111");
    put(3, b"010000");
    put(4, b"000000012300");
    put(7, b"0115101500");
    put(11, stan.as_bytes());
    put(37, b"601510000042");
    put(41, b"KE000007");
    put(49, b"404");
    if mti.class() == Class::Reversal {
        let original = format!("0200{stan}0115101500{:022}", 0);
        put(90, original.as_bytes());
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

fn given(station: &mut Station, now: u64) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    station.desk.give_out(now, |_, frame| {
        let mut index = FieldIndex::new();
        let message = &frame[2..];
        let code = match WIRE.dialect.parse(message, &mut index) {
            Ok(()) => {
                let view = MessageRef::new(message, &index);
                String::from_utf8_lossy(view.field(39).unwrap()).into_owned()
            }
            Err(_) => "unreadable".to_owned(),
        };
        answers.push((index.mti().to_string(), code));
    });
    answers
}

#[track_caller]
fn check(station: &mut Station, now: u64, expected: &[(&str, &str)]) {
    let answers = given(station, now);
    let answers: Vec<(&str, &str)> = answers
        .iter()
        .map(|(mti, code)| (mti.as_str(), code.as_str()))
        .collect();
    assert_eq!(answers, expected);
}

fn kes(station: &Station) -> (u64, u64) {
    let money = Currency::KES.code();
    let totals = station.desk.stats().totals;
    let found = totals.iter().find(|(code, _)| *code == money);
    found.map_or((0, 0), |(_, money)| (money.approved, money.reversed))
}

#[test]
fn a_request_is_answered_after_the_latency_and_an_echo_at_once() {
    let (mut station, _) = faithful();
    station.receive(0, &request(Mti::FINANCIAL_REQUEST, 1), 0);
    let mut out = vec![0; 128];
    let mut writer = Writer::new(WIRE.dialect, Mti::NETWORK_REQUEST, &mut out);
    writer.put(7, b"0115101500").unwrap();
    writer.put(11, b"000001").unwrap();
    writer.put(70, b"301").unwrap();
    let len = writer.finish().unwrap();
    station.receive(0, &out[..len], 0);
    check(&mut station, MS, &[("0810", "00")]);
    check(&mut station, 19 * MS, &[]);
    check(&mut station, 20 * MS, &[("0210", "00")]);
    assert_eq!(kes(&station), (12_300, 0));
}

#[test]
fn a_mute_issuer_processes_and_does_not_answer() {
    let (mut station, control) = faithful();
    control.mute(true);
    station.receive(0, &request(Mti::FINANCIAL_REQUEST, 1), 0);
    check(&mut station, 30 * MS, &[]);
    control.mute(false);
    check(&mut station, 60 * MS, &[]);
    assert_eq!(kes(&station), (12_300, 0), "the lost approval is an effect");
    for _ in 0..2 {
        station.receive(0, &request(Mti::REVERSAL_ADVICE, 1), 60 * MS);
    }
    check(&mut station, 90 * MS, &[("0430", "00"), ("0430", "00")]);
    assert_eq!(kes(&station), (12_300, 12_300));
    assert_eq!(station.desk.stats().silent, 1);
}

#[test]
fn a_frozen_issuer_answers_when_it_thaws() {
    let (mut station, control) = faithful();
    control.freeze(true);
    station.receive(0, &request(Mti::FINANCIAL_REQUEST, 1), 0);
    check(&mut station, 3_000 * MS, &[]);
    control.freeze(false);
    check(&mut station, 3_001 * MS, &[("0210", "00")]);
}

#[test]
fn faults_by_count_hit_that_many_requests() {
    let (mut station, control) = faithful();
    control.garble_next(8);
    for stan in 1..=8 {
        station.receive(0, &request(Mti::FINANCIAL_REQUEST, stan), 0);
    }
    let answers = given(&mut station, 30 * MS);
    assert_eq!(answers.len(), 8);
    assert!(answers.iter().all(|(_, code)| code == "unreadable"));
    control.silence_next(1);
    station.receive(0, &request(Mti::FINANCIAL_REQUEST, 9), 30 * MS);
    station.receive(0, &request(Mti::FINANCIAL_REQUEST, 10), 30 * MS);
    check(&mut station, 60 * MS, &[("0210", "00")]);
    assert_eq!(station.desk.stats().garbled, 8);
}

#[test]
fn late_and_double_answers_come_when_they_should() {
    let (mut late, _) = station(Behaviour {
        late: 1.0,
        ..Behaviour::faithful(Duration::from_millis(20))
    });
    late.receive(0, &request(Mti::FINANCIAL_REQUEST, 1), 0);
    check(&mut late, 3_999 * MS, &[]);
    check(&mut late, 4_000 * MS, &[("0210", "00")]);
    let (mut twice, _) = station(Behaviour {
        duplicate: 1.0,
        ..Behaviour::faithful(Duration::from_millis(20))
    });
    twice.receive(0, &request(Mti::FINANCIAL_REQUEST, 1), 0);
    check(&mut twice, 20 * MS, &[("0210", "00")]);
    check(&mut twice, 40 * MS, &[("0210", "00")]);
    assert_eq!(kes(&twice), (12_300, 0));
}

#[test]
fn a_stan_in_flight_is_refused_for_another_request() {
    let (mut station, _) = faithful();
    station.receive(0, &request(Mti::FINANCIAL_REQUEST, 1), 0);
    let mut other = request(Mti::FINANCIAL_REQUEST, 1);
    let at = other
        .windows(12)
        .position(|window| window == b"601510000042")
        .unwrap();
    other[at + 11] = b'9';
    station.receive(0, &other, MS);
    check(&mut station, 30 * MS, &[("0210", "00"), ("0210", "94")]);
    assert_eq!(station.desk.stats().oddities.stans_reused, 1);
}

#[test]
fn what_cannot_be_read_is_counted_and_not_answered() {
    let (mut station, _) = faithful();
    station.receive(0, b"0200garbage", 0);
    station.receive(0, &request(Mti::FINANCIAL_RESPONSE, 1), 0);
    check(&mut station, 60 * MS, &[]);
    assert_eq!(station.desk.stats().unreadable, 2);
}

#[test]
fn a_request_before_the_sign_on_is_ignored_where_it_is_required() {
    let (mut station, _) = faithful();
    station.sign_on = true;
    station.receive(7, &request(Mti::FINANCIAL_REQUEST, 1), 0);
    check(&mut station, 30 * MS, &[]);
    let mut out = vec![0; 128];
    let mut writer = Writer::new(WIRE.dialect, Mti::NETWORK_REQUEST, &mut out);
    writer.put(7, b"0115101500").unwrap();
    writer.put(11, b"000001").unwrap();
    writer.put(70, b"001").unwrap();
    let len = writer.finish().unwrap();
    station.receive(7, &out[..len], 30 * MS);
    station.receive(7, &request(Mti::FINANCIAL_REQUEST, 2), 31 * MS);
    station.receive(8, &request(Mti::FINANCIAL_REQUEST, 3), 31 * MS);
    check(&mut station, 60 * MS, &[("0810", "00"), ("0210", "00")]);
    assert_eq!(station.desk.stats().before_sign_on, 2);
}

#[test]
fn an_administrative_message_is_answered_and_moves_nothing() {
    let (mut station, control) = faithful();
    let mti = |digits: &[u8; 4]| Mti::new(*digits).unwrap();
    station.receive(1, &request(mti(b"0600"), 7), 0);
    station.receive(1, &request(mti(b"0621"), 8), 0);
    check(&mut station, 30 * MS, &[("0610", "00"), ("0630", "00")]);
    control.silence_next(1);
    station.receive(1, &request(mti(b"0600"), 9), 40 * MS);
    check(&mut station, 90 * MS, &[]);
    assert_eq!(kes(&station), (0, 0));
    let stats = station.desk.stats();
    assert_eq!((stats.administrative, stats.silent), (3, 1));
    assert_eq!(stats.breaches(), []);
}

fn in_1993() -> Station {
    let dialect = iso8583::Dialect::by_name("iso93-ascii").unwrap();
    let (mut station, _) = faithful();
    station.spoken = Wire { dialect, ..WIRE };
    station
}

/// A message of 1993 that names an original by its STAN, made at the same place and time of day.
fn message_1993(mti: &[u8; 4], stan: u32, original: Option<u32>) -> Vec<u8> {
    let dialect = iso8583::Dialect::by_name("iso93-ascii").unwrap();
    let mut out = vec![0; 512];
    let mut writer = Writer::new(dialect, Mti::new(*mti).unwrap(), &mut out);
    let mut put = |number, value: &[u8]| writer.put(number, value).unwrap();
    let local = |stan: u32| format!("2601151015{stan:02}");
    put(2, b"4111111111111111");
    put(3, b"000000");
    put(4, b"000000012300");
    put(7, format!("01151015{stan:02}").as_bytes());
    put(11, format!("{stan:06}").as_bytes());
    put(12, local(stan).as_bytes());
    put(24, if mti[1] == b'4' { b"400" } else { b"200" });
    put(37, b"601510000042");
    put(41, b"KE000007");
    put(49, b"404");
    if let Some(stan) = original {
        put(56, format!("1100{stan:06}{}00", local(stan)).as_bytes());
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

#[test]
fn an_issuer_of_1993_knows_what_is_completed_and_reversed_by_its_place_and_time() {
    let mut station = in_1993();
    station.receive(0, &message_1993(b"1100", 1, None), 0);
    station.receive(0, &message_1993(b"1220", 2, Some(1)), MS);
    station.receive(0, &message_1993(b"1221", 2, Some(1)), MS);
    assert_eq!(kes(&station), (24_600, 12_300), "once, in its place");
    station.receive(0, &message_1993(b"1420", 3, Some(2)), MS);
    assert_eq!(kes(&station), (36_900, 24_600), "the first one holds again");
    station.receive(0, &message_1993(b"1202", 4, Some(1)), MS);
    assert_eq!(kes(&station), (49_200, 36_900));
    assert_eq!(station.desk.stats().oddities, Oddities::default());
}

#[test]
fn what_an_issuer_of_1993_was_told_to_reverse_before_it_came_is_not_taken() {
    let mut station = in_1993();
    station.receive(0, &message_1993(b"1420", 3, Some(1)), 0);
    station.receive(0, &message_1993(b"1100", 1, None), MS);
    assert_eq!(kes(&station), (0, 0));
    assert_eq!(station.desk.stats().oddities.requests_after_reversal, 1);
}

#[test]
fn a_completion_takes_the_place_of_what_it_names() {
    let (mut station, _) = faithful();
    station.receive(0, &request(Mti::FINANCIAL_REQUEST, 1), 0);
    let named = format!("0200{:06}0115101500{:022}", 1, 0);
    let advice = request(Mti::FINANCIAL_ADVICE, 2);
    let mut index = FieldIndex::new();
    WIRE.dialect.parse(&advice, &mut index).unwrap();
    let view = MessageRef::new(&advice, &index);
    let mut out = vec![0; 512];
    let mut writer = Writer::new(WIRE.dialect, Mti::FINANCIAL_ADVICE, &mut out);
    for number in view.present() {
        writer.copy(number, view).unwrap();
    }
    writer.put(90, named.as_bytes()).unwrap();
    let len = writer.finish().unwrap();
    station.receive(0, &out[..len], MS);
    assert_eq!(kes(&station), (24_600, 12_300));
    assert_eq!(station.desk.stats().oddities, Oddities::default());
}

#[test]
fn a_completion_of_what_never_came_is_odd_in_1993_too() {
    let mut station = in_1993();
    station.receive(0, &message_1993(b"1100", 1, None), 0);
    station.receive(0, &message_1993(b"1220", 2, Some(1)), MS);
    assert_eq!(station.desk.stats().breaches(), []);
    station.receive(0, &message_1993(b"1220", 4, Some(3)), MS);
    station.receive(0, &message_1993(b"1202", 6, Some(5)), MS);
    assert_eq!(station.desk.stats().oddities.completions_unknown, 2);
    assert_eq!(station.desk.stats().breaches().len(), 1);
}
