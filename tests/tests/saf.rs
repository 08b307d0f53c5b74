//! What an operator does to what issuers are owed, with the shipped command against a running
//! switch.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use domain::time::TransmissionTime;
use loadgen::clock::Clock;
use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::session::{message, purchase};
use njia_tests::e2e::{Build, Issuers, Node, Session, alone, eventually, folder};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);
const PAN: &str = "5061001234567890";

fn start(folder: &Path, issuers: &Issuers, more: &[(&str, &str)]) -> Node {
    let state = folder.join("state");
    let environment = [&[("NJIA__NODE__SHARDS", "2")], more].concat();
    Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap()
}

/// An offline approval of 15.00 KES.
fn advice(stan: &str) -> Vec<u8> {
    let clock = Clock::start();
    let at = TransmissionTime::at(clock.wall(clock.now()));
    let sent = String::from_utf8_lossy(&at.digits()).into_owned();
    let rrn = format!("000000{stan}");
    let fields = [
        (2, PAN),
        (3, "000000"),
        (4, "000000001500"),
        (7, sent.as_str()),
        (11, stan),
        (12, "120000"),
        (13, "0101"),
        (22, "051"),
        (32, "628123"),
        (37, rrn.as_str()),
        (39, "00"),
        (41, "TERM0001"),
        (42, "MERCHANT0000001"),
        (49, "404"),
    ];
    message(*b"0220", &fields)
}

#[track_caller]
fn acknowledged(session: &mut Session, sent: &[u8]) {
    session.send(sent).unwrap();
    assert_eq!(session.receive().unwrap().text(39), "00");
}

/// Owes the bank three advices, which it does not answer.
fn three_owed(node: &Node, issuers: &Issuers) {
    issuers.host.control(Issuers::BANK).mute(true);
    let mut session = Session::connect(node.listener()).unwrap();
    for stan in ["000001", "000002", "000003"] {
        acknowledged(&mut session, &advice(stan));
    }
}

fn njia(socket: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(Build::Product.njia());
    let command = command
        .arg("saf")
        .args(arguments)
        .arg("--socket")
        .arg(socket);
    command.output().unwrap()
}

/// What the command says when it succeeds.
#[track_caller]
fn done(node: &Node, arguments: &[&str]) -> String {
    let output = njia(node.socket(), arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}: {error}\n{}",
        node.log()
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(PAN), "an account in the clear");
    text
}

/// What the command says when it fails, and its exit code.
#[track_caller]
fn refused(socket: &Path, arguments: &[&str]) -> (i32, String) {
    let output = njia(socket, arguments);
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

fn entries(node: &Node, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["list", "--json"], arguments].concat();
    let text = done(node, &arguments);
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

fn ids(node: &Node, arguments: &[&str]) -> Vec<String> {
    let entries = entries(node, arguments);
    let mut ids: Vec<String> = entries
        .iter()
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn what_an_operator_was_told_survives_a_kill() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "saf-kill");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let node = start(&folder, &issuers, &[]);
    three_owed(&node, &issuers);
    let owed = ids(&node, &[]);
    assert_eq!(owed.len(), 3, "{owed:?}");
    for entry in entries(&node, &["--issuer", "bank"]) {
        assert_eq!(entry["kind"], "advice");
        assert_eq!(entry["account"], "506100******7890");
        assert_eq!(
            (&entry["amount"], &entry["currency"]),
            (&1500.into(), &"KES".into())
        );
    }
    assert_eq!(ids(&node, &["--issuer", "momo"]), [""; 0]);
    let told = done(
        &node,
        &["drop", &owed[0], "--reason", "booked by hand, ticket 4711"],
    );
    assert!(told.contains("an exception"), "{told}");
    node.kill().unwrap();

    let node = start(&folder, &issuers, &[]);
    assert_eq!(ids(&node, &[]), owed[1..]);
    let dropped = entries(&node, &["--exceptions"]);
    assert_eq!(dropped.len(), 1, "{dropped:?}");
    assert_eq!(
        (&dropped[0]["id"], &dropped[0]["ended"]),
        (&owed[0].clone().into(), &"dropped".into())
    );
    done(&node, &["drop", &owed[1], "--reason", "a second one"]);
    let told = done(&node, &["retry", &owed[0]]);
    assert!(told.contains("owed again"), "{told}");
    node.kill().unwrap();

    let node = start(&folder, &issuers, &[]);
    assert_eq!(ids(&node, &[]), [owed[0].clone(), owed[2].clone()]);
    let told = done(&node, &["retry", "--issuer", "bank"]);
    assert!(told.contains("1 exceptions owed again"), "{told}");
    assert_eq!(ids(&node, &[]), owed);
    let text = done(&node, &["list"]);
    assert!(text.contains("3 owed") && text.contains(&owed[0]), "{text}");
    issuers.host.control(Issuers::BANK).mute(false);
    node.settle(Duration::from_secs(60)).unwrap();
    assert_eq!(ids(&node, &["--exceptions"]), [""; 0]);
    let journal = node.journal().to_owned();
    assert!(!node.log().contains(PAN));
    assert!(node.terminate().unwrap().success());
    check_records(&journal);
    let ledgers = issuers.ledgers();
    issuers.finish().unwrap();
    let acks = folder.join("acks.log");
    fs::write(&acks, "njia-acks 1\n").unwrap();
    let inputs = Inputs {
        acks,
        gateway: None,
        journal,
        ledgers,
        database: None,
    };
    let found = audit(&inputs).unwrap();
    assert!(found.passed(), "{found}");
    fs::remove_dir_all(&folder).unwrap();
}

/// The journal says who has done what, and why.
fn check_records(journal: &Path) {
    let mut command = Command::new(Build::Product.njia());
    let command = command
        .args(["inspect", "journal", "--records"])
        .arg(journal);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let by_hand: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(" operated "))
        .collect();
    assert_eq!(by_hand.len(), 4, "{text}");
    let uid = format!("operator_uid={}", rustix::process::geteuid().as_raw());
    assert!(
        by_hand.iter().all(|line| line.contains(&uid)),
        "{by_hand:?}"
    );
    let reason = "reason=\"booked by hand, ticket 4711\"";
    assert_eq!(
        by_hand.iter().filter(|line| line.contains(reason)).count(),
        1
    );
}

#[test]
fn what_cannot_be_done_is_told_in_plain_words() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "saf-refused");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let node = start(&folder, &issuers, &[]);
    three_owed(&node, &issuers);
    let owed = ids(&node, &[]);
    let socket = node.socket().to_owned();
    let check = |arguments: &[&str], code: i32, said: &str| {
        let (exit, text) = refused(&socket, arguments);
        assert_eq!(exit, code, "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    };
    let unknown = owed[0].replace(".1", ".2");
    let because = ["--reason", "because"];
    check(
        &["drop", &unknown, because[0], because[1]],
        1,
        "nothing with this id",
    );
    check(&["retry", &unknown], 1, "nothing with this id");
    check(&["retry", "4711"], 1, "no id of `njia saf list`");
    check(&["drop", &owed[0]], 2, "--reason");
    check(&["drop", &owed[0], "--reason", " "], 2, "may not be empty");
    let card = ["--reason", "card 5061 0012 3456 7890"];
    check(
        &["drop", &owed[0], card[0], card[1]],
        1,
        "without an account number",
    );
    check(&["list", "--issuer", "nobody"], 1, "no issuer `nobody`");
    check(&["retry", "--issuer", "nobody"], 1, "no issuer `nobody`");
    assert_eq!(ids(&node, &[]), owed, "nothing was done");
    done(&node, &["drop", &owed[0], because[0], because[1]]);
    check(
        &["drop", &owed[0], because[0], because[1]],
        1,
        "an exception already",
    );
    node.kill().unwrap();
    check(&["list"], 1, "no switch runs here");
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// The file is its owner's, and what the kernel says of the caller is looked at too.
#[test]
fn another_user_may_not_operate() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "saf-permission");
    let outside = tempfile::tempdir().unwrap();
    let socket = outside.path().join("admin.sock");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let place = [("NJIA__ADMIN__SOCKET", socket.to_str().unwrap())];
    let node = start(&folder, &issuers, &place);
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let made = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(made & 0o777, 0o600);
    if rustix::process::geteuid().is_root() {
        mode(outside.path(), 0o755);
        let binary = outside.path().join("njia");
        fs::copy(Build::Product.njia(), &binary).unwrap();
        let as_nobody = || {
            let mut command = Command::new(&binary);
            let command = command.args(["saf", "list", "--socket"]).arg(&socket);
            let output = command.uid(65_534).gid(65_534).output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            (output.status.code(), text)
        };
        let (code, text) = as_nobody();
        assert!(code == Some(1) && text.contains("no permission"), "{text}");
        mode(&socket, 0o666);
        let (code, text) = as_nobody();
        assert!(
            code == Some(1) && text.contains("only root and the user with id 0"),
            "{text}"
        );
    } else {
        eprintln!("not root: another user was not tried");
    }
    done(&node, &["list"]);
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// A reversal goes the same way, and its acquirer's request stays answered as it was.
#[test]
fn a_reversal_is_dropped_and_put_back() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "saf-reversal");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let node = start(&folder, &issuers, &[]);
    let mut session = Session::connect(node.listener()).unwrap();
    let request = purchase("000001");
    acknowledged(&mut session, &request);
    issuers.host.control(Issuers::BANK).mute(true);
    acknowledged(&mut session, &[b"0420", &request[4..]].concat());
    let listed = entries(&node, &[]);
    assert_eq!((listed.len(), &listed[0]["why"]), (1, &"requested".into()));
    let id = ids(&node, &[]).remove(0);
    done(&node, &["drop", &id, "--reason", "the bank has it"]);
    node.settle(SOON).unwrap();
    issuers.host.control(Issuers::BANK).mute(false);
    done(&node, &["retry", &id]);
    let taken = ["cause=\"requested\"", "\"acknowledged\""];
    let is_taken = || node.metric("njia_reversals_total", &taken).unwrap() == 1.0;
    assert!(eventually(SOON, is_taken), "{}", node.log());
    node.check_sums().unwrap();
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// A long outage with many advices: half of the STANs are the requests'.
#[test]
fn fault_069_what_is_owed_leaves_stans_to_requests() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "saf-stans");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let few = [
        ("NJIA__NODE__SHARDS", "1"),
        ("NJIA__ISSUER__BANK__LINKS", "1"),
        ("NJIA__ISSUER__BANK__STAN_SIZE", "1000"),
        ("NJIA__ISSUER__BANK__INFLIGHT_MAX", "400"),
    ];
    let node = start(&folder, &issuers, &few);
    issuers.host.control(Issuers::BANK).mute(true);
    let mut session = Session::connect(node.listener()).unwrap();
    let mut told = |stan: u32| {
        session.send(&advice(&format!("{stan:06}"))).unwrap();
        session.receive().unwrap().text(39)
    };
    let taken = (1..=1_000).take_while(|stan| told(*stan) == "00").count();
    assert_eq!(taken, 500);
    assert_eq!(told(2_000), "96", "its acquirer keeps it");
    session.send(&purchase("003000")).unwrap();
    let inflight = || node.metric("njia_inflight_transactions", &[]).unwrap();
    assert!(
        eventually(SOON, || inflight() == 1.0),
        "it has gone to the bank"
    );
    node.kill().unwrap();
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// What is owed leaves slowly after a sign-on: some of it was taken long before all was.
#[test]
fn what_is_owed_does_not_flood_an_issuer_that_is_back() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "saf-ramp");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let slow = [
        ("NJIA__NODE__SHARDS", "1"),
        ("NJIA__SAF__RATE_AFTER_SIGN_ON", "1"),
    ];
    let node = start(&folder, &issuers, &slow);
    issuers.host.control(Issuers::BANK).mute(true);
    let mut session = Session::connect(node.listener()).unwrap();
    for stan in 1..=30 {
        acknowledged(&mut session, &advice(&format!("{stan:06}")));
    }
    node.kill().unwrap();
    issuers.host.control(Issuers::BANK).mute(false);
    let node = start(&folder, &issuers, &slow);
    let depth = || node.metric("njia_saf_depth", &[]).unwrap();
    let mut seen = Vec::new();
    let all = eventually(Duration::from_secs(60), || {
        seen.push(depth());
        seen.last() == Some(&0.0)
    });
    assert!(all, "{}", node.log());
    seen.dedup();
    assert!(seen.len() > 4, "in a few steps: {seen:?}");
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
