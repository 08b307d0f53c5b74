//! Issuers that are asked in JSON over HTTP: each test ends with what the issuer was told to do.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use njia_tests::e2e::gateway::GATEWAY;
use njia_tests::e2e::json_bank::{Effect, JsonBank, Reverse, Submit, issuer_text};
use njia_tests::e2e::scene::{next, told};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{Build, Node, Session, alone, eventually, folder};

struct Stage {
    node: Node,
    bank: JsonBank,
    folder: PathBuf,
}

impl Stage {
    /// A switch whose cards are at `bank`; `before` are issuers that are asked first.
    fn open(name: &str, before: &[(&str, String)], deadline_ms: u32) -> Self {
        Self::with(name, before, deadline_ms, "")
    }

    /// The same; `more` is said of `bank`.
    fn with(name: &str, before: &[(&str, String)], deadline_ms: u32, more: &str) -> Self {
        let bank = JsonBank::start().unwrap();
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let names: Vec<String> = before
            .iter()
            .map(|(name, _)| format!("\"{name}\", "))
            .collect();
        let texts: Vec<&str> = before.iter().map(|(_, text)| text.as_str()).collect();
        let text = format!(
            r#"
[node]
state_dir = "{}"
shards = 2

[keys]
token_key = "env:NJIA_TEST_KEY"
pan_key = "env:NJIA_TEST_KEY"
hash_key = "env:NJIA_TEST_KEY"

[admin]
address = "127.0.0.1:0"

[[acquirer]]
name = "acquirer-1"

[[acquirer]]
name = "mobile-money"

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "acquirer-1"
{}{}{more}{GATEWAY}
[[route]]
name = "cards"
prefixes = ["5", "254"]
candidates = [{}"bank"]
deadline_ms = {deadline_ms}
"#,
            folder.join("state").display(),
            texts.concat(),
            issuer_text("bank", bank.address()),
            names.concat(),
        );
        fs::write(folder.join("njia.toml"), text).unwrap();
        Self::on(folder, bank)
    }

    fn on(folder: PathBuf, bank: JsonBank) -> Self {
        let (config, state) = (folder.join("njia.toml"), folder.join("state"));
        let node = Node::configured(Build::Product, &config, &state, &[("NJIA_TEST_KEY", KEY)]);
        let stage = Self {
            node: node.unwrap(),
            bank,
            folder,
        };
        stage.await_up("bank");
        stage
    }

    #[track_caller]
    fn await_up(&self, issuer: &str) {
        let labels = [&format!("issuer=\"{issuer}\""), "state=\"up\""];
        self.await_that("the links are up", || {
            self.node.metric("njia_links", &labels).unwrap_or(0.0) >= 2.0
        });
    }

    fn killed(self) -> Self {
        self.node.kill().unwrap();
        Self::on(self.folder, self.bank)
    }

    #[track_caller]
    fn await_that(&self, what: &str, found: impl FnMut() -> bool) {
        let is_so = eventually(Duration::from_secs(60), found);
        assert!(
            is_so,
            "{what}: {:?}\n{}",
            self.bank.effects(),
            self.node.log()
        );
    }

    /// The kinds and amounts that the bank has executed, in their order, all about one id.
    fn effects(&self) -> Vec<(String, u64)> {
        let effects = self.bank.effects();
        let ids: Vec<&str> = effects.iter().map(|(_, id, _)| id.as_str()).collect();
        assert!(
            ids.array_windows().all(|[one, next]| one == next),
            "{ids:?}"
        );
        let pair = |(kind, _, minor): &(String, String, u64)| (kind.clone(), *minor);
        effects.iter().map(pair).collect()
    }

    /// An 0200 of this script is answered so; its bank has executed it and taken it back.
    #[track_caller]
    fn reverses(self, submit: Submit, code: &str) {
        self.bank.script(&[submit]);
        let mut session = Session::connect(self.node.listener()).unwrap();
        session.send(&purchase("000001")).unwrap();
        assert_eq!(
            next(&mut session),
            told("0210", "000001", code),
            "{submit:?}"
        );
        self.await_that("it is taken back", || self.bank.effects().len() == 2);
        let expected = [("submit".to_owned(), 1_500), ("reverse".to_owned(), 1_500)];
        assert_eq!(self.effects(), expected, "{submit:?}");
        self.close();
    }

    /// What curl gets for a body that is posted to the gateway under a key.
    fn post(&self, path: &str, key: &str, body: &str, prefers: &str) -> serde_json::Value {
        let url = format!("http://{}{path}", self.node.gateway_named("mobile"));
        let key = format!("Idempotency-Key: {key}");
        let prefers = format!("Prefer: {prefers}");
        let output = std::process::Command::new("curl")
            .args(["-sS", "--max-time", "60", "-H", &key, "-H", &prefers])
            .args(["-H", "Authorization: Bearer mobile-test-key"])
            .args(["-H", "Content-Type: application/json"])
            .args(["--data-binary", body, &url])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn close(self) {
        self.node.settle(Duration::from_secs(60)).unwrap();
        let status = self.node.terminate().unwrap();
        assert!(status.success(), "{status}");
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[test]
fn a_card_payment_ends_at_an_issuer_over_http() {
    let _machine = alone();
    let stage = Stage::open("http-issuer", &[], 30_000);
    stage
        .bank
        .script(&[Submit::Approve, Submit::Decline, Submit::Refused(422)]);
    let mut session = Session::connect(stage.node.listener()).unwrap();
    session.send(&purchase("000001")).unwrap();
    let approved = session.receive().unwrap();
    assert_eq!(
        (approved.text(39), approved.text(38)),
        ("00".to_owned(), "A1B2C3".to_owned())
    );
    session.send(&purchase("000002")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000002", "51"));
    // Proven not executed: nothing is owed.
    session.send(&purchase("000003")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000003", "96"));
    assert_eq!(stage.effects(), [("submit".to_owned(), 1_500)]);
    let heads = stage.bank.heads();
    assert!(
        heads
            .iter()
            .all(|head| head.contains("\r\nHost: bank.example\r\n")),
        "{heads:?}"
    );
    assert!(
        heads
            .iter()
            .all(|head| head.contains("\r\nAuthorization: Basic bmppYT")),
        "{heads:?}"
    );
    assert_eq!(heads.len(), 3, "each was sent once");
    let log = stage.node.log();
    assert!(
        !log.contains("5061001234567890") && !log.contains(KEY),
        "{log}"
    );
    stage.close();
}

#[test]
fn a_payment_of_a_gateway_ends_at_an_issuer_over_http() {
    let _machine = alone();
    let stage = Stage::open("http-issuer-json", &[], 30_000);
    let url = format!(
        "http://{}/v1/transactions",
        stage.node.gateway_named("mobile")
    );
    let output = std::process::Command::new("curl")
        .args([
            "-sS",
            "--max-time",
            "60",
            "-H",
            "Authorization: Bearer mobile-test-key",
        ])
        .args([
            "-H",
            "Idempotency-Key: pay-1",
            "-H",
            "Content-Type: application/json",
        ])
        .args(["--data-binary", njia_tests::e2e::gateway::PAYMENT, &url])
        .output()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["state"], "approved", "{answer}");
    assert_eq!(answer["authorisationCode"], "A1B2C3", "{answer}");
    assert_eq!(stage.effects(), [("submit".to_owned(), 1_000)]);
    stage.close();
}

//= docs/rules.md#M-11
/// 10.00 in parts of 3.00, 3.00 and the rest: acknowledged, executed with the answer lost at a
/// kill, and behind another start.
#[test]
fn each_reversal_takes_back_its_own_part() {
    let _machine = alone();
    let stage = Stage::open("http-parts", &[], 30_000);
    let payment = njia_tests::e2e::gateway::PAYMENT;
    let paid = stage.post("/v1/transactions", "pay-1", payment, "wait=30");
    assert_eq!(paid["state"], "approved", "{paid}");
    let path = format!(
        "/v1/transactions/{}/reversals",
        paid["id"].as_str().unwrap()
    );
    let part = r#"{"amount":{"minor":300,"currency":"KES"}}"#;
    let first = stage.post(&path, "back-1", part, "wait=30");
    assert_eq!(first["state"], "reversed", "{first}");
    stage.await_that("the first", || stage.bank.effects().len() == 2);
    stage.bank.lose_an_answer();
    stage.post(&path, "back-2", part, "respond-async");
    stage.await_that("the second", || stage.bank.effects().len() == 3);
    let stage = stage.killed();
    stage.node.settle(Duration::from_secs(60)).unwrap();
    stage.post(&path, "back-3", "{}", "respond-async");
    stage.await_that("the rest", || stage.bank.effects().len() == 4);
    let effects = [
        ("submit", 1_000),
        ("reverse", 300),
        ("reverse", 300),
        ("reverse", 400),
    ];
    let effects = effects.map(|(kind, minor)| (kind.to_owned(), minor));
    assert_eq!(stage.effects(), effects);
    // The same in each transmission.
    let mut asked = stage.bank.asked();
    assert!(asked.len() > 3, "{asked:?}");
    asked.dedup();
    let said: Vec<_> = asked
        .iter()
        .map(|(_, minor, rest)| (*minor, *rest))
        .collect();
    assert_eq!(
        said,
        [(300, Some(700)), (300, Some(400)), (400, Some(0))],
        "{asked:?}"
    );
    stage.close();
}

#[test]
fn silence_is_91_and_a_reversal() {
    let _machine = alone();
    Stage::open("http-silence", &[], 1_000).reverses(Submit::Silence, "91");
}

#[test]
fn what_cannot_be_understood_is_reversed_at_once() {
    let _machine = alone();
    for (place, submit) in [
        Submit::HangUp,
        Submit::Garbled,
        Submit::OtherAmount,
        Submit::Failed(500),
        Submit::Failed(503),
    ]
    .into_iter()
    .enumerate()
    {
        let stage = Stage::open(&format!("http-doubt-{place}"), &[], 60_000);
        stage.reverses(submit, "96");
    }
}

/// One after the other; each is answered with 96, and sent once.
#[track_caller]
fn submitted(stage: &Stage, submits: &[Submit]) {
    stage.bank.script(submits);
    let mut session = Session::connect(stage.node.listener()).unwrap();
    for (number, submit) in (1..).zip(submits) {
        let stan = format!("{number:06}");
        session.send(&purchase(&stan)).unwrap();
        assert_eq!(next(&mut session), told("0210", &stan, "96"), "{submit:?}");
    }
    stage.node.settle(Duration::from_secs(60)).unwrap();
    let heads = stage.bank.heads();
    let is_submit = |head: &&String| head.starts_with("POST /v1/payments ");
    assert_eq!(heads.iter().filter(is_submit).count(), submits.len());
    let elsewhere = |head: &String| head.contains("elsewhere");
    assert!(!heads.iter().any(elsewhere), "{heads:?}");
}

/// All were executed, whatever came back: a redirection that is not followed, an id that is said to
/// be taken, a bucket that is empty, what is no HTTP, a reset.
#[test]
fn what_proves_nothing_is_reversed_once() {
    let _machine = alone();
    let calm = "[issuer.breaker]\ncalls_min = 1_000\n";
    let stage = Stage::with("http-unproven", &[], 60_000, calm);
    let submits = [
        Submit::Failed(302),
        Submit::Failed(307),
        Submit::Failed(409),
        Submit::Failed(418),
        Submit::Failed(429),
        Submit::Failed(502),
        Submit::Failed(0),
        Submit::Reset,
        Submit::OtherId,
    ];
    submitted(&stage, &submits);
    let effects = stage.bank.effects();
    let ids = effects.iter().filter(|(kind, ..)| kind == "submit");
    let ids: Vec<&str> = ids.map(|(_, id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), submits.len(), "{effects:?}");
    assert_eq!(effects.len(), 2 * submits.len(), "{effects:?}");
    for (id, submit) in ids.into_iter().zip(submits) {
        let back = ("reverse".to_owned(), id.to_owned(), 1_500);
        assert!(effects.contains(&back), "{submit:?}: {effects:?}");
    }
    stage.close();
}

/// Nothing is owed of what was not executed, and nobody else is asked for it.
#[test]
fn what_is_refused_by_its_status_was_not_executed() {
    let _machine = alone();
    let calm = "[issuer.breaker]\ncalls_min = 1_000\n";
    let stage = Stage::with("http-not-executed", &[], 60_000, calm);
    let submits = [400, 404, 405, 413, 415, 422, 401, 403].map(Submit::Refused);
    submitted(&stage, &submits);
    assert_eq!(stage.effects(), []);
    assert_eq!(stage.bank.reversal_ids(), Vec::<String>::new());
    stage.close();
}

/// Of an issuer that says so 429 and 503 prove that nothing was executed.
#[test]
fn who_is_busy_has_executed_nothing_where_that_is_declared() {
    let _machine = alone();
    let other = JsonBank::start().unwrap();
    let declared = "[issuer.http]\nbusy_means_not_executed = true\n";
    let text = issuer_text("other", other.address()).replacen("[issuer.http]\n", declared, 1);
    let calm = "[issuer.breaker]\ncalls_min = 1_000\n";
    let stage = Stage::open("http-busy", &[("other", text + calm)], 60_000);
    stage.await_up("other");
    other.script(&[429, 503].map(Submit::Refused));
    let mut session = Session::connect(stage.node.listener()).unwrap();
    for stan in ["000001", "000002"] {
        session.send(&purchase(stan)).unwrap();
        assert_eq!(next(&mut session), told("0210", stan, "96"));
    }
    assert_eq!(other.heads().len(), 2, "each was sent once");
    stage.node.settle(Duration::from_secs(60)).unwrap();
    assert_eq!(other.reversal_ids(), Vec::<String>::new());
    assert_eq!(stage.effects(), [], "the next candidate is not asked");
    stage.close();
}

/// Its links were up: so it is chosen, and nothing can be sent. The next one is asked.
#[test]
fn a_refused_connection_leads_to_the_next_candidate() {
    let _machine = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let before = [(
        "other",
        issuer_text("other", listener.local_addr().unwrap()),
    )];
    let taken = accept(&listener, 2);
    let stage = Stage::open("http-refused", &before, 30_000);
    stage.await_up("other");
    drop(taken.join().unwrap());
    drop(listener);
    let mut session = Session::connect(stage.node.listener()).unwrap();
    session.send(&purchase("000001")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    assert_eq!(stage.effects(), [("submit".to_owned(), 1_500)]);
    let failovers = stage.node.metric("njia_failovers_total", &["bank"]);
    assert!(failovers.unwrap() >= 1.0, "another one was tried before");
    stage.close();
}

/// The connections that are made to a listener, and nothing more.
fn accept(listener: &TcpListener, count: usize) -> JoinHandle<Vec<TcpStream>> {
    let listener = listener.try_clone().unwrap();
    thread::spawn(move || {
        let streams = std::iter::repeat_with(|| listener.accept().unwrap().0);
        streams.take(count).collect()
    })
}

//= docs/rules.md#M-13
/// What was given up while it waited for a connection is not sent when that comes: whether it ended
/// as not sent or with a reversal, the issuer executes nothing of it.
#[test]
fn what_waits_for_a_slow_connect_is_not_sent_behind_its_deadline() {
    let _machine = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let slow = "links = 2\nconnect_timeout_ms = 60_000";
    let text = issuer_text("other", address).replace("links = 2", slow);
    let taken = accept(&listener, 2);
    let stage = Stage::open("http-slow-connect", &[("other", text)], 1_000);
    stage.await_up("other");
    drop(taken.join().unwrap());
    // The kernel drops what comes while its queue is full, and the other side tries again.
    let wait = Duration::from_millis(200);
    let fill = || TcpStream::connect_timeout(&address, wait);
    let queued: Vec<TcpStream> = std::iter::repeat_with(fill).map_while(Result::ok).collect();
    let mut session = Session::connect(stage.node.listener()).unwrap();
    session.send(&purchase("000001")).unwrap();
    let code = next(&mut session).2;
    assert!(["91", "96"].contains(&code.as_str()), "{code}");
    drop(queued);
    let other = JsonBank::start_on(listener).unwrap();
    let (mut approved, mut number) = (0, 1);
    stage.await_that("it is connected to", || {
        number += 1;
        session.send(&purchase(&format!("{number:06}"))).unwrap();
        let is_approved = next(&mut session).2 == "00";
        approved += usize::from(is_approved);
        is_approved && other.effects().iter().any(|(kind, ..)| kind == "submit")
    });
    stage.node.settle(Duration::from_secs(60)).unwrap();
    let standing = standing(&other.effects()) + standing(&stage.bank.effects());
    assert_eq!(standing, approved, "{:?}", other.effects());
    stage.close();
}

/// How many payments an issuer has executed and not taken back. It executes none that it was to
/// take back before.
fn standing(effects: &[Effect]) -> usize {
    let place = |kind: &str, id: &str| effects.iter().position(|it| it.0 == kind && it.1 == id);
    let submits = effects.iter().filter(|(kind, ..)| kind == "submit");
    let reversals = submits.map(|(_, id, _)| (place("submit", id), place("reverse", id)));
    let (taken_back, standing): (Vec<_>, Vec<_>) = reversals.partition(|(_, it)| it.is_some());
    assert!(
        taken_back.iter().all(|(submit, it)| submit < it),
        "{effects:?}"
    );
    standing.len()
}

/// An answer that is lost costs the payer nothing: each transmission has the id of the first.
#[test]
fn a_reversal_is_repeated_by_its_id_until_it_is_acknowledged() {
    let _machine = alone();
    let stage = Stage::open("http-reversals", &[], 30_000);
    stage.bank.script(&[Submit::HangUp]);
    stage
        .bank
        .script_reversals(&[Reverse::HangUp, Reverse::HangUp]);
    let mut session = Session::connect(stage.node.listener()).unwrap();
    session.send(&purchase("000001")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "96"));
    stage.node.settle(Duration::from_secs(60)).unwrap();
    let ids = stage.bank.reversal_ids();
    assert!(ids.len() >= 3, "two answers were lost: {ids:?}");
    assert!(
        ids.array_windows().all(|[one, next]| one == next),
        "{ids:?}"
    );
    let expected = [("submit".to_owned(), 1_500), ("reverse".to_owned(), 1_500)];
    assert_eq!(stage.effects(), expected);
    stage.close();
}

//= docs/rules.md#R-05
/// It says that it has not executed them: that is an answer, however many there are.
#[test]
fn an_issuer_that_refuses_keeps_its_breaker_closed() {
    let _machine = alone();
    let stage = Stage::with("http-refusals", &[], 30_000, BREAKER);
    stage.bank.script(&[Submit::Refused(422); 40]);
    let mut session = Session::connect(stage.node.listener()).unwrap();
    for number in 1..=41 {
        let stan = format!("{number:06}");
        session.send(&purchase(&stan)).unwrap();
        let code = if number > 40 { "00" } else { "96" };
        assert_eq!(next(&mut session), told("0210", &stan, code));
    }
    stage.close();
}

//= docs/rules.md#R-05
/// Nobody gets through with these credentials: the breaker opens, and the log says it once a shard.
#[test]
fn an_issuer_that_does_not_let_in_opens_its_breaker() {
    let _machine = alone();
    let stage = Stage::with("http-not-let-in", &[], 30_000, BREAKER);
    stage.bank.script(&[Submit::Refused(401); 100]);
    let mut session = Session::connect(stage.node.listener()).unwrap();
    let codes: Vec<String> = (1..=60)
        .map(|number| {
            let stan = format!("{number:06}");
            session.send(&purchase(&stan)).unwrap();
            next(&mut session).2
        })
        .collect();
    assert!(
        codes.iter().filter(|code| *code == "96").count() >= 5,
        "{codes:?}"
    );
    assert!(codes.iter().any(|code| code == "91"), "{codes:?}");
    let log = stage.node.log();
    let lines = log.matches("does not let the switch in").count();
    assert!((1..=2).contains(&lines), "{log}");
    stage.close();
}

/// It judges by few calls, for long, and does not close again.
const BREAKER: &str = "
[issuer.breaker]
window_s = 300
calls_min = 5
slow_ms = 120_000
open_ms = 3_600_000
open_max_ms = 3_600_000
";

/// The id of a reversal that is owed after a restart is that of the request before it.
#[test]
fn a_request_in_flight_at_a_kill_is_reversed_by_its_id() {
    let _machine = alone();
    let stage = Stage::open("http-killed", &[], 60_000);
    stage.bank.script(&[Submit::Silence]);
    let mut session = Session::connect(stage.node.listener()).unwrap();
    session.send(&purchase("000001")).unwrap();
    stage.await_that("it is sent", || !stage.bank.effects().is_empty());
    let stage = stage.killed();
    stage.await_that("it is taken back", || stage.bank.effects().len() == 2);
    let expected = [("submit".to_owned(), 1_500), ("reverse".to_owned(), 1_500)];
    assert_eq!(stage.effects(), expected);
    stage.close();
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
