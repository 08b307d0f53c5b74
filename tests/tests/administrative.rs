//! Administrative messages, 06xx, on real sockets: passed on to an issuer and back, without money.
//! The test is the acquirer and every issuer.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use iso8583::{Dialect, Mti, Writer};
use njia_tests::e2e::desk::{Desk, answered, with_field, without};
use njia_tests::e2e::scene::{asked, next, told};
use njia_tests::e2e::session::{Received, Session, message};
use njia_tests::e2e::{Build, Node, eventually, folder};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// Accounts of the bank, of the bank within 200 ms, of an issuer of 1993, of one that is down, and
/// of nobody.
const BANK: &str = "5061001234567890";
const SOON: &str = "5062001234567890";
const OTHER: &str = "4111111111111111";
const DOWN: &str = "4222222222222222";
const NOBODY: &str = "9999999999999999";

/// A switch of two shards, one link to the bank and one to an issuer of 1993.
struct Scene {
    folder: PathBuf,
    node: Node,
    bank: Session,
    other: Session,
    /// Nobody else of this machine comes to listen there.
    _down: OwnedFd,
}

impl Scene {
    /// `limits` goes into the table of that name, `routes` are tables of their own.
    fn open(name: &str, limits: &str, routes: &str) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let (state, config) = (folder.join("state"), folder.join("njia.toml"));
        let (bank, other) = (Desk::open().unwrap(), Desk::open().unwrap());
        let (down, nowhere) = unused();
        let addresses = [bank.address().unwrap(), other.address().unwrap(), nowhere];
        let text = text(&state.to_string_lossy(), addresses, limits, routes);
        fs::write(&config, text).unwrap();
        let key = [("NJIA_TEST_KEY", KEY)];
        let node = Node::configured(Build::Product, &config, &state, &key).unwrap();
        let scene = Self {
            folder,
            node,
            bank: bank.link().unwrap(),
            other: other.link().unwrap(),
            _down: down,
        };
        scene.await_that("both links are up", || {
            scene.node.metric("njia_links", &["state=\"up\""]).unwrap() == 2.0
        });
        scene
    }

    fn session(&self) -> Session {
        Session::connect(self.node.listener()).unwrap()
    }

    fn ended(&self, result: &str) -> f64 {
        let label = format!("result=\"{result}\"");
        let found = self.node.metric("njia_administrative_total", &[&label]);
        found.unwrap()
    }

    fn inflight(&self) -> f64 {
        self.node
            .metric("njia_administrative_inflight", &[])
            .unwrap()
    }

    #[track_caller]
    fn await_that(&self, what: &str, found: impl FnMut() -> bool) {
        let waited = eventually(Duration::from_secs(60), found);
        assert!(waited, "never: {what}\n{}", self.node.log());
    }

    /// Nothing of what was passed on is money, and all of it has ended.
    #[track_caller]
    fn close(self) {
        self.await_that("nothing waits", || self.inflight() == 0.0);
        self.node.check_sums().unwrap();
        for name in [
            "njia_transactions_total",
            "njia_reversals_total",
            "njia_advices_total",
            "njia_duplicate_entries",
            "njia_breaker_transitions_total",
        ] {
            assert_eq!(self.node.metric(name, &[]).unwrap(), 0.0, "{name}");
        }
        assert!(self.node.terminate().unwrap().success());
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// Where nobody listens, for as long as the socket is held.
fn unused() -> (OwnedFd, SocketAddr) {
    let held = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&held, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = getsockname(&held).unwrap().try_into().unwrap();
    (held, address)
}

fn text(state: &str, addresses: [SocketAddr; 3], limits: &str, routes: &str) -> String {
    let [bank, other, down] = addresses.map(|address| address.to_string());
    let text = TEMPLATE.replace("STATE", state);
    let text = text.replace("LIMITS", limits).replace("ROUTES", routes);
    text.replace("BANK", &bank)
        .replace("OTHER", &other)
        .replace("DOWN", &down)
}

const TEMPLATE: &str = r#"
[node]
state_dir = "STATE"
shards = 2

[keys]
token_key = "env:NJIA_TEST_KEY"
pan_key = "env:NJIA_TEST_KEY"
hash_key = "env:NJIA_TEST_KEY"

[admin]
address = "127.0.0.1:0"

[limits]
request_wait_max_ms = 60_000
LIMITS

[[acquirer]]
name = "acquirer-1"

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "acquirer-1"

[[issuer]]
name = "bank"
addresses = ["BANK"]
institution = "100001"
links = 1
sign_on = false
echo_idle_s = 3600
breaker = { calls_min = 1, failure_percent = 1 }

[[issuer]]
name = "other"
addresses = ["OTHER"]
institution = "100002"
dialect = "iso93-ascii"
links = 1
sign_on = false
echo_idle_s = 3600

[[issuer]]
name = "down"
addresses = ["DOWN"]
institution = "100003"
links = 1

[[route]]
name = "bank"
prefixes = ["5061"]
candidates = ["bank"]
deadline_ms = 120_000

[[route]]
name = "soon"
prefixes = ["5062"]
candidates = ["bank"]
deadline_ms = 200

[[route]]
name = "other"
prefixes = ["4111"]
candidates = ["down", "other"]
deadline_ms = 120_000

[[route]]
name = "down"
prefixes = ["4222"]
candidates = ["down"]

ROUTES
"#;

/// Messages without an account go to the bank.
const ENQUIRIES: &str = r#"
[[route]]
name = "enquiries"
class = "administrative"
candidates = ["bank"]
acquirers = ["acquirer-1"]
deadline_ms = 120_000
"#;

const PRIVATE: &str = "in \x01 private \x7F";

/// An 06xx about an account, with private fields.
fn about(mti: [u8; 4], stan: &str, account: &str) -> Vec<u8> {
    let clock = loadgen::clock::Clock::start();
    let at = domain::time::TransmissionTime::at(clock.wall(clock.now()));
    let transmitted = String::from_utf8_lossy(&at.digits()).into_owned();
    let rrn = format!("000000{stan}");
    let fields = [
        (2, account),
        (7, transmitted.as_str()),
        (11, stan),
        (12, "120000"),
        (13, "0101"),
        (37, rrn.as_str()),
        (41, "TERM 1  "),
        (48, PRIVATE),
        (63, PRIVATE),
        (120, PRIVATE),
    ];
    message(mti, &fields)
}

/// The issuer's answer with a private field of its own.
fn says(asked: &Received, code: &str) -> Vec<u8> {
    with_field(&answered(asked, code), 62, "said in private")
}

//= docs/rules.md#P-01
//= docs/rules.md#P-07
#[test]
fn a_message_is_passed_on_whole_and_its_answer_has_its_own_echo_fields() {
    let mut scene = Scene::open("administrative-through", "", ENQUIRIES);
    let mut session = scene.session();
    // The link is at home on one shard, and the owners are both.
    for place in 1..=12 {
        let stan = format!("{place:06}");
        let advice = place % 3 == 0;
        let (mti, sent_on, back) = if advice {
            (*b"0621", "0620", "0630")
        } else {
            (*b"0600", "0600", "0610")
        };
        let request = about(mti, &stan, BANK);
        // One in two names no account: it takes the route that claims none.
        let request = if place % 2 == 0 {
            without(&request, 2)
        } else {
            request
        };
        session.send(&request).unwrap();
        let passed = asked(&mut scene.bank, sent_on);
        assert_eq!(passed.text(2).is_empty(), place % 2 == 0);
        assert_ne!(passed.text(11), stan);
        assert_eq!(passed.text(33), "100001");
        for field in [48, 63, 120] {
            assert_eq!(passed.text(field), PRIVATE);
        }
        let code = if place == 5 { "57" } else { "00" };
        scene.bank.send(&says(&passed, code)).unwrap();
        let answer = session.receive().unwrap();
        let found = (answer.mti(), answer.text(11), answer.text(39));
        assert_eq!(found, told(back, &stan, code));
        let echoed = Received::of(&request);
        for field in [2, 7, 12, 13, 37, 41] {
            assert_eq!(answer.text(field), echoed.text(field), "DE{field}");
        }
        assert_eq!(answer.text(62), "said in private");
        assert_eq!(answer.text(33), "");
    }
    assert_eq!(scene.ended("answered"), 12.0);
    scene.close();
}

#[test]
fn it_is_told_in_the_edition_of_its_issuer_and_passes_over_who_is_down() {
    let mut scene = Scene::open("administrative-across", "", "");
    let mut session = scene.session();
    let request = about(*b"0604", "000007", OTHER);
    session.send(&request).unwrap();
    let dialect = Dialect::ISO93_ASCII;
    let passed = scene.other.receive_in(dialect).unwrap();
    assert_eq!(passed.mti(), "1604");
    assert_eq!(passed.text(12)[2..], *"0101120000");
    assert_eq!(passed.text(48), PRIVATE);
    let mut out = vec![0; 512];
    let mti = Mti::new(*b"1614").unwrap();
    let mut writer = Writer::new(dialect, mti, &mut out);
    for (number, value) in [
        (7, passed.text(7)),
        (11, passed.text(11)),
        (12, passed.text(12)),
        (37, passed.text(37)),
        (39, "600".to_owned()),
        (41, passed.text(41)),
        (48, "answer".to_owned()),
        (72, "only of 1993".to_owned()),
    ] {
        writer.put(number, value.as_bytes()).unwrap();
    }
    let len = writer.finish().unwrap();
    scene.other.send(&out[..len]).unwrap();
    let answer = session.receive().unwrap();
    let found = (answer.mti(), answer.text(11), answer.text(39));
    assert_eq!(found, told("0614", "000007", "00"));
    let echoed = Received::of(&request);
    for field in [2, 7, 12, 13, 37, 41] {
        assert_eq!(answer.text(field), echoed.text(field), "DE{field}");
    }
    assert_eq!(
        (answer.text(48).as_str(), answer.text(72).as_str()),
        ("answer", "")
    );
    scene.close();
}

/// A silent issuer, and what else has no answer of one.
//= docs/rules.md#P-03
#[test]
fn without_an_answer_it_is_told_so_and_nothing_is_owed() {
    let mut scene = Scene::open("administrative-silent", "", "");
    let mut session = scene.session();
    for (mti, sent_on, back, stan) in [
        (*b"0600", "0600", "0610", "000001"),
        (*b"0620", "0620", "0630", "000002"),
    ] {
        session.send(&about(mti, stan, SOON)).unwrap();
        let passed = asked(&mut scene.bank, sent_on);
        assert_eq!(next(&mut session), told(back, stan, "91"));
        scene.bank.send(&says(&passed, "00")).unwrap();
    }
    let late = ["bank", "reason=\"late\""];
    scene.await_that("both answers are late", || {
        let unmatched = scene.node.metric("njia_unmatched_answers_total", &late);
        unmatched.unwrap() == 2.0
    });
    for (account, stan, code) in [(NOBODY, "000003", "92"), (DOWN, "000004", "91")] {
        session.send(&about(*b"0600", stan, account)).unwrap();
        assert_eq!(next(&mut session), told("0610", stan, code));
    }
    // Without an account, and no route that claims none; without a terminal too.
    let bare = without(&without(&about(*b"0600", "000005", BANK), 2), 41);
    session.send(&bare).unwrap();
    assert_eq!(next(&mut session), told("0610", "000005", "92"));
    // DE39 is missing: nobody can say what it means.
    session.send(&about(*b"0600", "000006", BANK)).unwrap();
    let passed = asked(&mut scene.bank, "0600");
    let unusable = without(&answered(&passed, "00"), 39);
    scene.bank.send(&unusable).unwrap();
    assert_eq!(next(&mut session), told("0610", "000006", "96"));
    assert!(!session.has_more().unwrap());
    let ended = ["timed_out", "no_route", "none_admits", "failed", "answered"];
    let counts = ended.map(|result| scene.ended(result));
    assert_eq!(counts, [2.0, 2.0, 1.0, 1.0, 0.0]);
    scene.close();
}

//= docs/rules.md#P-04
#[test]
fn a_flood_is_refused_beyond_its_bound_and_each_message_has_one_answer() {
    let limits = "administrative_inflight_max = 4";
    let mut scene = Scene::open("administrative-flood", limits, "");
    let mut session = scene.session();
    for place in 1..=32 {
        let stan = format!("{place:06}");
        session.send(&about(*b"0600", &stan, BANK)).unwrap();
    }
    scene.await_that("all were looked at", || {
        scene.ended("full") + scene.inflight() == 32.0
    });
    let mut open: Vec<String> = (1..=32).map(|place| format!("{place:06}")).collect();
    let mut answer = |session: &mut Session, code: &str| {
        let (mti, stan, found) = next(session);
        assert_eq!((mti.as_str(), found.as_str()), ("0610", code));
        let place = open.iter().position(|one| *one == stan);
        open.swap_remove(place.expect("one answer for one message"));
        open.len()
    };
    for _ in 0..24 {
        answer(&mut session, "96");
    }
    for _ in 0..8 {
        let passed = asked(&mut scene.bank, "0600");
        scene.bank.send(&says(&passed, "00")).unwrap();
        answer(&mut session, "00");
    }
    assert!(open.is_empty());
    assert!(!scene.bank.has_more().unwrap());
    scene.close();
}

//= docs/rules.md#P-05
#[test]
fn a_copy_attaches_while_the_first_is_in_flight_and_is_passed_on_afterwards() {
    let mut scene = Scene::open("administrative-copy", "", "");
    let (mut first, mut second) = (scene.session(), scene.session());
    let request = about(*b"0600", "000042", BANK);
    let mut copy = request.clone();
    copy[3] = b'1';
    first.send(&request).unwrap();
    let passed = asked(&mut scene.bank, "0600");
    second.send(&copy).unwrap();
    scene.await_that("it has taken the place of the first", || {
        scene.ended("replaced") == 1.0
    });
    first.send(&with_field(&copy, 48, "otherwise")).unwrap();
    assert_eq!(next(&mut first), told("0610", "000042", "94"));
    scene.bank.send(&says(&passed, "00")).unwrap();
    assert_eq!(next(&mut second), told("0610", "000042", "00"));
    // No money: what the issuer says to it may be something else by now.
    second.send(&copy).unwrap();
    let again = asked(&mut scene.bank, "0600");
    assert_ne!(again.text(11), passed.text(11));
    scene.bank.send(&says(&again, "57")).unwrap();
    assert_eq!(next(&mut second), told("0610", "000042", "57"));
    assert!(
        !first.has_more().unwrap(),
        "the first got no answer of its own"
    );
    assert!(!scene.bank.has_more().unwrap());
    scene.close();
}

//= docs/rules.md#P-08
#[test]
fn those_of_issuers_and_of_a_switch_that_serves_none_are_refused() {
    let limits = "administrative_inflight_max = 0";
    let mut scene = Scene::open("administrative-unserved", limits, ENQUIRIES);
    let mut session = scene.session();
    session.send(&about(*b"0600", "000001", BANK)).unwrap();
    assert_eq!(next(&mut session), told("0610", "000001", "12"));
    for (mti, back) in [(*b"0602", "0612"), (*b"0622", "0632")] {
        scene.bank.send(&about(mti, "000900", BANK)).unwrap();
        assert_eq!(next(&mut scene.bank), told(back, "000900", "12"));
    }
    assert!(!scene.bank.has_more().unwrap());
    scene.close();
}
