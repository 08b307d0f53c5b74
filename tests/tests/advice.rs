//! Advices on real sockets: acknowledged at once, owed durably, delivered once.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use domain::time::TransmissionTime;
use loadgen::clock::Clock;
use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::session::{message, purchase};
use njia_tests::e2e::{Build, Issuers, Node, Session, alone, eventually, folder};

const SHARDS: (&str, &str) = ("NJIA__NODE__SHARDS", "2");
const SOON: Duration = Duration::from_secs(60);

fn issuers(folder: &std::path::Path) -> Issuers {
    Issuers::start(folder, Duration::from_millis(2)).unwrap()
}

fn start(folder: &std::path::Path, issuers: &Issuers) -> Node {
    let state = folder.join("state");
    Node::start(Build::Product, &state, issuers.addresses(), &[SHARDS]).unwrap()
}

/// An advice of 15.00 KES, which completes a request when it names one by its STAN and DE7.
fn advice(mti: [u8; 4], stan: &str, names: Option<(&str, &str)>) -> Vec<u8> {
    let clock = Clock::start();
    let at = TransmissionTime::at(clock.wall(clock.now()));
    let transmitted = String::from_utf8_lossy(&at.digits()).into_owned();
    advice_of(mti, stan, &transmitted, names)
}

fn advice_of(mti: [u8; 4], stan: &str, sent: &str, names: Option<(&str, &str)>) -> Vec<u8> {
    let rrn = names.map_or(stan, |(original, _)| original);
    let rrn = format!("000000{rrn}");
    let original = names.map(|(stan, sent)| format!("0200{stan}{sent}{}", "0".repeat(22)));
    let mut fields = vec![
        (2, "5061001234567890"),
        (3, "000000"),
        (4, "000000001500"),
        (7, sent),
        (11, stan),
        (12, "120000"),
        (13, "0101"),
        (22, "051"),
        (32, "628123"),
        (37, rrn.as_str()),
        (38, "A1B2C3"),
        (39, "00"),
        (41, "TERM0001"),
        (42, "MERCHANT0000001"),
        (49, "404"),
    ];
    if let Some(original) = &original {
        fields.push((90, original));
    }
    message(mti, &fields)
}

/// Sends a message and reads its answer.
#[track_caller]
fn told(session: &mut Session, sent: &[u8]) -> (String, String) {
    session.send(sent).unwrap();
    let answer = session.receive().unwrap();
    (answer.mti(), answer.text(39))
}

#[track_caller]
fn acknowledged(session: &mut Session, sent: &[u8], mti: &str) {
    assert_eq!(told(session, sent), (mti.to_owned(), "00".to_owned()));
}

fn advices(node: &Node, result: &str) -> f64 {
    let labels = ["origin=\"acquirer\"", result];
    node.metric("njia_advices_total", &labels).unwrap()
}

#[track_caller]
fn await_that(node: &Node, what: &str, holds: impl FnMut() -> bool) {
    assert!(eventually(SOON, holds), "{what}:\n{}", node.log());
}

/// Approvals and reversals that the issuers' ledgers hold.
fn effects(ledgers: &[PathBuf]) -> (usize, usize) {
    let text: String = ledgers
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let count = |word: &str| text.lines().filter(|line| line.starts_with(word)).count();
    (count("approve"), count("reverse"))
}

#[test]
fn fault_069_an_advice_is_acknowledged_while_its_issuer_is_silent_and_delivered_once() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "advice-silent");
    let issuers = issuers(&folder);
    let node = start(&folder, &issuers);
    issuers.host.control(Issuers::BANK).mute(true);
    let mut session = Session::connect(node.listener()).unwrap();
    for stan in 1..=20 {
        let stan = format!("{stan:06}");
        acknowledged(&mut session, &advice(*b"0220", &stan, None), "0230");
    }
    acknowledged(&mut session, &advice(*b"0120", "000021", None), "0130");
    assert_eq!(advices(&node, "\"owed\""), 21.0);
    node.kill().unwrap();

    let node = start(&folder, &issuers);
    let depth = || node.metric("njia_saf_depth", &[]).unwrap();
    await_that(&node, "all are owed", || depth() == 21.0);
    issuers.host.control(Issuers::BANK).mute(false);
    await_that(&node, "all are taken", || {
        advices(&node, "\"acknowledged\"") == 21.0
    });
    node.settle(SOON).unwrap();
    assert!(node.terminate().unwrap().success());
    let ledgers = issuers.ledgers();
    issuers.finish().unwrap();
    assert_eq!(effects(&ledgers), (21, 0));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn copies_of_an_advice_have_one_effect_and_other_content_is_refused() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "advice-copies");
    let issuers = issuers(&folder);
    let node = start(&folder, &issuers);
    let mut first = Session::connect(node.listener()).unwrap();
    let mut second = Session::connect(node.listener()).unwrap();
    let sent = advice(*b"0220", "000001", None);
    let repeat = [b"0221", &sent[4..]].concat();
    acknowledged(&mut first, &sent, "0230");
    acknowledged(&mut second, &repeat, "0230");
    acknowledged(&mut first, &sent, "0230");
    let mut other = repeat;
    let amount = other
        .windows(12)
        .position(|digits| digits == b"000000001500")
        .unwrap();
    other[amount + 11] = b'1';
    let refused = ("0230".to_owned(), "94".to_owned());
    assert_eq!(told(&mut second, &other), refused);
    await_that(&node, "it is taken", || {
        advices(&node, "\"acknowledged\"") == 1.0
    });
    node.check_sums().unwrap();
    assert!(node.terminate().unwrap().success());
    let ledgers = issuers.ledgers();
    issuers.finish().unwrap();
    assert_eq!(effects(&ledgers), (1, 0));
    fs::remove_dir_all(&folder).unwrap();
}

/// What was reversed cannot be completed; what stands can, whichever shard has it.
#[test]
fn a_completion_of_what_was_reversed_is_left_to_people() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "advice-completion");
    let issuers = issuers(&folder);
    let node = start(&folder, &issuers);
    let mut session = Session::connect(node.listener()).unwrap();
    for number in 1..=8 {
        let stan = format!("{number:06}");
        let request = purchase(&stan);
        acknowledged(&mut session, &request, "0210");
        // DE7 stands behind MTI, bitmap, DE2 with its length, DE3 and DE4.
        let sent = String::from_utf8(request[4 + 8 + 18 + 6 + 12..][..10].to_vec()).unwrap();
        let is_reversed = number % 2 == 0;
        if is_reversed {
            let reversal = [b"0420", &request[4..]].concat();
            acknowledged(&mut session, &reversal, "0430");
        }
        let completion = format!("{:06}", 1_000 + number);
        let completion = advice(*b"0220", &completion, Some((&stan, &sent)));
        acknowledged(&mut session, &completion, "0230");
    }
    let left = || {
        let labels = ["advice_of_reversed"];
        node.metric("njia_exceptions_total", &labels).unwrap()
    };
    assert_eq!((advices(&node, "\"owed\""), left()), (4.0, 4.0));
    await_that(&node, "what stands is completed", || {
        advices(&node, "\"acknowledged\"") == 4.0
    });
    node.settle(SOON).unwrap();
    node.check_sums().unwrap();
    assert!(node.terminate().unwrap().success());
    let ledgers = issuers.ledgers();
    issuers.finish().unwrap();
    assert_eq!(effects(&ledgers), (12, 4));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_advice_is_reversed_behind_itself() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "advice-reversal");
    let issuers = issuers(&folder);
    let node = start(&folder, &issuers);
    issuers.host.control(Issuers::BANK).mute(true);
    let mut session = Session::connect(node.listener()).unwrap();
    let sent = advice(*b"0220", "000001", None);
    acknowledged(&mut session, &sent, "0230");
    let reversal = [b"0420", &sent[4..]].concat();
    acknowledged(&mut session, &reversal, "0430");
    issuers.host.control(Issuers::BANK).mute(false);
    node.settle(Duration::from_secs(60)).unwrap();
    node.check_sums().unwrap();
    let journal = node.journal().to_owned();
    assert!(node.terminate().unwrap().success());
    let ledgers = issuers.ledgers();
    issuers.finish().unwrap();
    assert_eq!(effects(&ledgers), (1, 1), "in this order, and once");
    let acks = folder.join("acks.log");
    fs::write(&acks, "njia-acks 1\n").unwrap();
    let found = audit(&Inputs {
        acks,
        gateway: None,
        journal,
        ledgers,
        database: None,
    });
    let found = found.unwrap();
    assert!(found.passed(), "{found}");
    fs::remove_dir_all(&folder).unwrap();
}
