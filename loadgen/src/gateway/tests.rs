//! The generator without sockets, then a whole run over them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use domain::time::Instant;
use serde_json::{Value, json};

use super::http::Answer;
use super::*;
use crate::clock::Clock;
use crate::profile::Profile;
use crate::recorder::{Outcome, Recorder, Window};
use crate::runner::{RunConfig, run};
use crate::schedule::{Arrival, Schedule, Share};
use crate::stop::Stop;
use crate::verdict::Verdict;

const MS: u64 = 1_000_000;
const ID: &str = "01a1fae5-9c1c-7b1a-8f00-0a0000000421";
const NOTHING: FollowUps = FollowUps {
    repeat: 0.0,
    reverse: 0.0,
};

/// A request as a gateway reads it.
#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    key: String,
    body: Value,
}

impl Request {
    /// The first one in `bytes`, and where it ends.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap().split(' ');
        let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
        let field = |name: &str| fields.iter().find(|(field, _)| *field == name);
        assert_eq!(field("Authorization").unwrap().1, "Bearer a-key");
        let len = field("Content-Length").map_or(0, |(_, len)| len.parse().unwrap());
        let body = bytes.get(end + 4..end + 4 + len)?;
        let request = Self {
            method: first.next().unwrap().to_owned(),
            path: first.next().unwrap().to_owned(),
            key: field("Idempotency-Key").map_or_else(String::new, |(_, key)| (*key).to_owned()),
            body: serde_json::from_slice(body).unwrap_or_default(),
        };
        Some((request, end + 4 + len))
    }

    fn told(&self, state: &str, is_final: bool) -> String {
        let mut told = json!({
            "id": ID, "state": state, "final": is_final, "type": self.body["type"],
            "amount": self.body["amount"], "reference": self.body["reference"],
        });
        if state == "approved" {
            told["responseCode"] = json!("00");
            told["authorisationCode"] = json!("A1B2C3");
        }
        told.to_string()
    }
}

struct Stage {
    generator: Generator,
    folder: tempfile::TempDir,
}

impl Stage {
    /// Payments due every 100 ms from 0 on.
    fn new(payments: u32, connections: usize, follow_ups: FollowUps) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = GatewayTarget::at(([127, 0, 0, 1], 1).into());
        let config = GatewayConfig {
            follow_ups,
            ..GatewayConfig::new(target, Credential::new("a-key").unwrap(), 1.0)
        };
        let duration = Duration::from_millis(u64::from(payments) * 100);
        let share = Share {
            thread: 0,
            threads: 1,
        };
        let profile = Profile::hold(10.0, duration);
        let file = AckLog::create(&folder.path().join("acks")).unwrap();
        let mut generator = Generator::new(Parts {
            config,
            clock: Clock::start(),
            start: Instant::ZERO,
            seed: (42, 0),
            schedule: Schedule::build(&profile, Arrival::Constant, share, 1),
            window: Window {
                begin: 0,
                timeout: Duration::from_secs(5),
                promise: Duration::from_millis(400),
            },
            acks: AckLog::new(Some(file)),
            base: 0,
            connections,
        });
        for line in 0..u16::try_from(connections).unwrap() {
            generator.line_up(line);
        }
        Self { generator, folder }
    }

    /// What leaves at a time, with its connection.
    fn sent(&mut self, now: u64) -> Vec<(u16, Request)> {
        self.generator.expire(now, |_| ());
        self.generator.take_due(now);
        let mut all = Vec::new();
        while let Some(line) = self.generator.next_line() {
            let mut out = Vec::new();
            self.generator.write_next(line, now, &mut out);
            let (request, len) = Request::read(&out).unwrap();
            assert_eq!(len, out.len());
            all.push((line, request));
        }
        all
    }

    /// The one that leaves at a time.
    #[track_caller]
    fn one(&mut self, now: u64) -> (u16, Request) {
        let mut all = self.sent(now);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn answer(&mut self, line: u16, (status, body): (u16, &str), now: u64) {
        let answer = Answer {
            status,
            body: body.as_bytes(),
            closes: false,
            is_replayed: false,
        };
        self.generator.answer(line, &answer, now);
    }

    fn finish(mut self, now: u64) -> (Recorder, Vec<Ack>) {
        let recorder = self.generator.finish(now).unwrap();
        let mut acks = Vec::new();
        Ack::read_all(&self.folder.path().join("acks"), |ack| acks.push(ack)).unwrap();
        (recorder, acks)
    }
}

fn count(recorder: &Recorder, outcome: Outcome) -> u64 {
    let items = recorder.items.iter();
    items.map(|item| item.tally.of(outcome)).sum()
}

#[test]
fn waiting_for_a_connection_is_response_time_and_no_lag() {
    let mut stage = Stage::new(2, 1, NOTHING);
    let (line, first) = stage.one(0);
    assert!(stage.sent(100 * MS).is_empty(), "the connection is taken");
    stage.answer(line, (201, &first.told("approved", true)), 300 * MS);
    let (line, second) = stage.one(300 * MS);
    assert_ne!(first.key, second.key);
    stage.answer(line, (201, &second.told("approved", true)), 310 * MS);
    assert!(stage.generator.is_done());
    let (recorder, acks) = stage.finish(310 * MS);
    let mut all = crate::recorder::ItemRecord::default();
    recorder.items.iter().for_each(|item| all.add(item));
    assert_eq!((all.tally.sent, all.tally.blocked), (2, 1));
    assert!(all.latencies.response.min().abs_diff(210_000) < 500);
    assert!(all.latencies.response.max().abs_diff(300_000) < 500);
    assert!(all.latencies.lag.max() < 1_000);
    assert_eq!(acks.len(), 2);
    assert_eq!(acks[0].key.to_string(), first.key);
    assert_eq!(acks[0].state, Some(State::Approved));
    assert_eq!(first.body["amount"]["minor"], acks[0].amount.minor());
}

#[test]
fn what_is_not_decided_is_asked_for_until_it_is() {
    let mut stage = Stage::new(1, 1, NOTHING);
    let (line, paid) = stage.one(0);
    stage.answer(line, (202, &paid.told("pending", false)), 100 * MS);
    let (line, look) = stage.one(200 * MS);
    assert_eq!(look.method, "GET");
    assert_eq!(look.path, format!("/v1/transactions/{ID}"));
    stage.answer(line, (200, &paid.told("pending", false)), 300 * MS);
    let (line, _) = stage.one(400 * MS);
    stage.answer(line, (200, &paid.told("approved", true)), 500 * MS);
    let (recorder, acks) = stage.finish(500 * MS);
    assert_eq!(count(&recorder, Outcome::Approved), 1);
    let paid: Vec<_> = recorder
        .items
        .iter()
        .filter(|item| item.tally.sent > 0)
        .collect();
    assert_eq!(paid.len(), 1);
    assert!(paid[0].latencies.response.max().abs_diff(500_000) < 500);
    assert_eq!(acks.len(), 1, "what is open is no line");
}

#[test]
fn what_will_not_be_approved_is_decided_and_asked_for_all_the_same() {
    let mut stage = Stage::new(1, 1, NOTHING);
    let (line, paid) = stage.one(0);
    stage.answer(line, (202, &paid.told("reversal_pending", false)), 100 * MS);
    let (line, look) = stage.one(200 * MS);
    assert_eq!(look.method, "GET");
    stage.answer(line, (200, &paid.told("reversed", true)), 300 * MS);
    assert!(stage.generator.is_done());
    let (recorder, acks) = stage.finish(300 * MS);
    assert_eq!(count(&recorder, Outcome::Declined), 1, "it is counted once");
    let states: Vec<_> = acks.iter().map(|ack| ack.state).collect();
    assert_eq!(
        states,
        [Some(State::ReversalPending), Some(State::Reversed)]
    );
}

#[test]
fn what_is_not_answered_is_sent_again_under_its_key() {
    let mut stage = Stage::new(1, 1, NOTHING);
    let (line, paid) = stage.one(0);
    stage.generator.line_lost(line, 100 * MS);
    stage.generator.line_up(line);
    assert!(stage.sent(200 * MS).is_empty());
    let (line, again) = stage.one(1_200 * MS);
    assert_eq!((&again.key, &again.body), (&paid.key, &paid.body));
    stage
        .generator
        .expire(6_300 * MS, |closed| assert_eq!(closed, line));
    stage.generator.line_lost(line, 6_300 * MS);
    stage.generator.line_up(line);
    let (line, again) = stage.one(7_400 * MS);
    assert_eq!(again.key, paid.key);
    stage.answer(line, (201, &paid.told("approved", true)), 7_500 * MS);
    assert!(stage.generator.is_done());
    let (recorder, acks) = stage.finish(7_500 * MS);
    assert_eq!(count(&recorder, Outcome::Disconnected), 1);
    assert_eq!(count(&recorder, Outcome::Timeout), 1);
    assert_eq!(recorder.items[REPEAT].tally.of(Outcome::Approved), 1);
    assert!(acks.iter().all(|ack| ack.key.to_string() == paid.key));
    assert_eq!(acks[2].state, Some(State::Approved));
}

#[test]
fn a_copy_gets_the_answer_of_its_original() {
    let copies = FollowUps {
        repeat: 1.0,
        reverse: 0.0,
    };
    for (other, outcome) in [(false, Outcome::Approved), (true, Outcome::Mismatched)] {
        let mut stage = Stage::new(1, 1, copies);
        let (line, paid) = stage.one(0);
        let told = paid.told("approved", true);
        stage.answer(line, (201, &told), 10 * MS);
        let (line, copy) = stage.one(3_000 * MS);
        assert_eq!((copy.key, copy.body), (paid.key, paid.body));
        let body = if other {
            told.replace("A1B2C3", "A1B2C4")
        } else {
            told
        };
        let answer = Answer {
            status: 201,
            body: body.as_bytes(),
            closes: false,
            is_replayed: true,
        };
        stage.generator.answer(line, &answer, 3_010 * MS);
        let (recorder, _) = stage.finish(3_010 * MS);
        assert_eq!(recorder.items[REPEAT].tally.of(outcome), 1, "{other}");
    }
}

#[test]
fn what_was_approved_is_reversed_by_its_id() {
    let reversed = FollowUps {
        repeat: 0.0,
        reverse: 1.0,
    };
    let mut stage = Stage::new(1, 1, reversed);
    let (line, paid) = stage.one(0);
    stage.answer(line, (201, &paid.told("approved", true)), 10 * MS);
    let (line, reversal) = stage.one(4_000 * MS);
    assert_eq!(reversal.path, format!("/v1/transactions/{ID}/reversals"));
    assert_ne!(reversal.key, paid.key);
    let told = json!({
        "type": "reversal", "originalId": ID, "state": "reversal_pending", "final": false,
    });
    stage.answer(line, (202, &told.to_string()), 4_010 * MS);
    let (recorder, acks) = stage.finish(4_010 * MS);
    assert_eq!(recorder.items[REVERSAL].tally.of(Outcome::Approved), 1);
    assert_eq!(acks[1].about, About::Reversal);
    assert_eq!(acks[1].key.to_string(), paid.key);
    let taken = reversal.body["amount"]["minor"].as_u64();
    let left = taken.map_or(0, |taken| acks[1].amount.minor() - taken);
    assert_eq!(acks[1].stays, left);
}

/// A status, what it says, and what that is found to be.
type Case<'a> = (u16, &'a dyn Fn(&Request) -> String, Outcome);

#[test]
fn each_answer_is_checked() {
    let approved = |request: &Request| request.told("approved", true);
    let cases: [Case<'_>; 9] = [
        (201, &approved, Outcome::Approved),
        (202, &approved, Outcome::Mismatched),
        (201, &|one| one.told("pending", false), Outcome::Mismatched),
        (201, &|one| one.told("declined", true), Outcome::Declined),
        (
            201,
            &|one| approved(one).replace("\"minor\":", "\"minor\":1"),
            Outcome::Mismatched,
        ),
        (
            201,
            &|one| approved(one).replace("\"reference\":\"", "\"reference\":\"1"),
            Outcome::Mismatched,
        ),
        (201, &|_| "{}".to_owned(), Outcome::Protocol),
        (503, &|_| "{}".to_owned(), Outcome::Refused),
        (400, &|_| "{}".to_owned(), Outcome::Unexpected),
    ];
    for (status, body, outcome) in cases {
        let mut stage = Stage::new(1, 1, NOTHING);
        let (line, paid) = stage.one(0);
        let body = body(&paid);
        stage.answer(line, (status, &body), 10 * MS);
        let (recorder, _) = stage.finish(10 * MS);
        assert_eq!(count(&recorder, outcome), 1, "{status} {body}");
    }
    let mut stage = Stage::new(1, 1, NOTHING);
    let (line, paid) = stage.one(0);
    stage.answer(line, (201, &approved(&paid)), 10 * MS);
    stage.answer(line, (201, &approved(&paid)), 20 * MS);
    let (recorder, _) = stage.finish(20 * MS);
    assert_eq!(count(&recorder, Outcome::Duplicate), 1);
}

#[test]
fn the_seed_names_the_requests() {
    let sent = || {
        let mut stage = Stage::new(5, 5, NOTHING);
        let all = stage.sent(1_000 * MS);
        all.into_iter().map(|(_, one)| one.body).collect::<Vec<_>>()
    };
    let first = sent();
    assert_eq!(first.len(), 5);
    assert_eq!(first[0]["debitParty"][0]["key"], "msisdn");
}

#[test]
fn a_key_is_referred_to_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "a-key\n").unwrap();
    let key = Credential::referred(&format!("file:{}", path.display())).unwrap();
    assert_eq!(key, Credential::new("a-key").unwrap());
    assert!(!format!("{key:?}").contains("a-key"));
    let error = Credential::referred("some-real-key").unwrap_err();
    assert!(!error.to_string().contains("some-real-key"));
    assert!(Credential::new("a key\r\n").is_err());
}

/// Approves everything, and ends each connection after three answers.
fn serve(mut socket: TcpStream) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    for served in 1..=3 {
        let (request, len) = loop {
            if let Some(found) = Request::read(&bytes) {
                break found;
            }
            match socket.read(&mut buffer) {
                Ok(read @ 1..) => bytes.extend_from_slice(&buffer[..read]),
                Ok(0) | Err(_) => return,
            }
        };
        bytes.drain(..len);
        let body = request.told("approved", true);
        let closes = if served == 3 {
            "connection: close\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 201 Created\r\n{closes}content-length: {}\r\n\r\n",
            body.len()
        );
        if socket.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn a_gateway_that_answers_passes() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            std::thread::spawn(move || serve(socket.unwrap()));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut config = RunConfig::new(None, 300.0, Duration::from_millis(600)).unwrap();
    config.gateway = Some(GatewayConfig {
        connections: 8,
        follow_ups: NOTHING,
        ..GatewayConfig::new(
            GatewayTarget::at(address),
            Credential::new("a-key").unwrap(),
            1.0,
        )
    });
    config.timeout = Duration::from_secs(60);
    config.grace = Duration::from_secs(60);
    config.acks = Some(folder.path().join("acks.log"));
    config.thresholds = ["p99<100s", "error_rate<0.1%"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    let report = run(&config, Clock::start(), &Stop::default(), &mut |_| ()).unwrap();
    let judgement = &report.judgement;
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    let tally = &report.totals.all.tally;
    assert!(tally.sent > 50);
    assert_eq!(tally.sent, tally.of(Outcome::Approved));
    let mut acks = 0;
    Ack::read_all(&folder.path().join("gateway-acks.log"), |_| acks += 1).unwrap();
    assert_eq!(acks, tally.sent);
}
