//! What one session feels of the switch's bounds and of its end, on real sockets.

use std::fs;
use std::path::Path;
use std::time::Duration;

use njia_tests::e2e::session::{Session, framed, purchase};
use njia_tests::e2e::{Build, Issuers, Node, eventually, folder};

/// Far longer than a machine stands still, far shorter than the deadline of a route.
const ISSUER_LATENCY: Duration = Duration::from_secs(4);

/// Faults 72 and 87: the session is not read for as long as a request may wait; what is beyond its
/// share after that is told so, long before what is within it is answered.
#[test]
fn fault_072_what_is_beyond_a_sessions_share_is_told_so() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "share");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let share = [
        ("NJIA__LIMITS__SESSION_INFLIGHT_MAX", "4"),
        ("NJIA__LIMITS__REQUEST_WAIT_MAX_MS", "2000"),
    ];
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &share).unwrap();
    let labels = ["issuer=\"bank\"", "state=\"up\""];
    let has_links = || node.metric("njia_links", &labels).unwrap() > 0.0;
    assert!(eventually(Duration::from_secs(60), has_links));
    let bank = issuers.host.control(Issuers::BANK);
    bank.freeze(true);
    let mut session = Session::connect(node.listener()).unwrap();
    let many: Vec<u8> = (1..=200)
        .flat_map(|stan| framed(&purchase(&format!("{stan:06}"))))
        .collect();
    session.send_raw(&many).unwrap();
    let mut answers = |count| -> Vec<(String, String)> {
        (0..count)
            .map(|_| session.receive().unwrap())
            .map(|answer| (answer.text(39), answer.text(11)))
            .collect()
    };
    let refused = answers(196);
    bank.freeze(false);
    let approved = answers(4);
    assert!(
        refused.iter().all(|(code, _)| code == "96"),
        "the refusals come first: {refused:?}"
    );
    let mut stans: Vec<(&str, &str)> = approved
        .iter()
        .map(|(code, stan)| (code.as_str(), stan.as_str()))
        .collect();
    stans.sort_unstable();
    let first = ["000001", "000002", "000003", "000004"].map(|stan| ("00", stan));
    assert_eq!(stans, first, "the share is of those that came first");

    session.send(&purchase("000201")).unwrap();
    assert_eq!(session.receive().unwrap().text(39), "00", "it goes on");
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// Held back for longer than a frame may take: the half frame behind it was not late.
#[test]
fn what_a_held_session_has_begun_has_its_whole_deadline() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "held");
    let issuers = Issuers::start(&folder, ISSUER_LATENCY).unwrap();
    let limits = [
        ("NJIA__LIMITS__SESSION_INFLIGHT_MAX", "1"),
        ("NJIA__LIMITS__FRAME_DEADLINE_MS", "2000"),
    ];
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &limits).unwrap();
    let mut session = Session::connect(node.listener()).unwrap();
    let repeat = |stan| [b"0201", &purchase(stan)[4..]].concat();
    let last = framed(&purchase("000004"));
    let (half, rest) = last.split_at(40);
    // Repeats have as much room again: the third message waits for an answer to the first two.
    let sent = [
        framed(&purchase("000001")),
        framed(&repeat("000002")),
        framed(&repeat("000003")),
        half.to_vec(),
    ];
    session.send_raw(&sent.concat()).unwrap();
    let mut answered = vec![session.receive().unwrap().text(11)];
    session.send_raw(rest).unwrap();
    answered.extend((0..3).map(|_| session.receive().unwrap().text(11)));
    answered.sort();
    assert_eq!(answered, ["000001", "000002", "000003", "000004"]);
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// On each of two shards two: of many at least two come in, at most four, and one more for each
/// that goes.
#[test]
fn fault_087_an_address_has_as_many_sessions_as_it_may() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "address");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let bounds = [
        ("NJIA__NODE__SHARDS", "2"),
        ("NJIA__LISTENER__POS__CONNECTIONS_PER_ADDRESS_MAX", "2"),
        ("NJIA__LIMITS__REQUEST_WAIT_MAX_MS", "10000"),
    ];
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &bounds).unwrap();
    let labels = ["issuer=\"bank\"", "state=\"up\""];
    let has_links = || node.metric("njia_links", &labels).unwrap() > 0.0;
    assert!(eventually(Duration::from_secs(60), has_links));
    let come_in = |stan: u32| {
        let mut session = Session::connect(node.listener()).ok()?;
        session.send(&purchase(&format!("{stan:06}"))).ok()?;
        let answer = session.receive().ok()?;
        assert_eq!(answer.text(39), "00");
        Some(session)
    };
    let mut open: Vec<Session> = (1..=32).filter_map(come_in).collect();
    assert!((2..=4).contains(&open.len()), "{} came in", open.len());
    let reason = ["listener=\"pos\"", "reason=\"address_limit\""];
    let refused = node.metric("njia_session_closes_total", &reason).unwrap();
    assert!(refused >= 28.0, "{refused}");
    for (stan, session) in (100..).zip(&mut open) {
        session.send(&purchase(&format!("{stan:06}"))).unwrap();
        assert_eq!(session.receive().unwrap().text(39), "00", "who is in stays");
    }
    drop(open);
    let mut stan = 200;
    let room = || {
        stan += 1;
        come_in(stan).is_some()
    };
    assert!(eventually(Duration::from_secs(60), room));
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// A copy or a reversal that reaches the other journal is not recognised there.
#[test]
fn a_port_belongs_to_one_switch() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "port");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let first = folder.join("first");
    let node = Node::start(Build::Product, &first, issuers.addresses(), &[]).unwrap();
    let taken = [("NJIA__LISTENER__POS__ADDRESS", node.listener())];
    let second = folder.join("second");
    let refused = Node::start(Build::Product, &second, issuers.addresses(), &taken);
    let told = refused.expect_err("the port is taken").to_string();
    assert!(told.contains("Address already in use"), "{told}");
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// Fault 101. A transaction has its owner on one of two shards, its session and its link on either:
/// the shard that has nothing of its own left must stay. Where they lie is different in each round.
#[test]
fn fault_101_what_is_in_flight_when_a_drain_begins_is_answered() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "drain");
    let issuers = Issuers::start(&folder, ISSUER_LATENCY).unwrap();
    for round in 1..=6 {
        drain_with_one_in_flight(&folder.join("state"), &issuers, round);
    }
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

#[track_caller]
fn drain_with_one_in_flight(state: &Path, issuers: &Issuers, round: u32) {
    let two = [("NJIA__NODE__SHARDS", "2")];
    let node = Node::start(Build::Product, state, issuers.addresses(), &two).unwrap();
    let mut session = Session::connect(node.listener()).unwrap();
    session.send(&purchase(&format!("{round:06}"))).unwrap();
    let inflight = || node.metric("njia_inflight_transactions", &[]).unwrap();
    assert!(
        eventually(Duration::from_secs(60), || inflight() == 1.0),
        "round {round}: {} are in flight",
        inflight()
    );
    assert!(node.terminate().unwrap().success());
    let answer = session.receive();
    let answer = answer.unwrap_or_else(|error| panic!("round {round}: {error}"));
    assert_eq!(answer.text(39), "00", "round {round}");
    session.is_closed().unwrap();
}

/// Row 89: who is connected goes on, who comes waits and is served when there is a descriptor.
#[test]
fn fault_089_without_descriptors_live_sessions_go_on_and_new_ones_wait() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "descriptors");
    let issuers = Issuers::start(&folder, Duration::ZERO).unwrap();
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &[]).unwrap();
    let mut live = Session::connect(node.listener()).unwrap();
    live.send(&purchase("000001")).unwrap();
    assert_eq!(live.receive().unwrap().text(39), "00");

    let before = node.limit_descriptors(Some(16)).unwrap();
    let mut waiting = Session::connect(node.listener()).unwrap();
    waiting.send(&purchase("000002")).unwrap();
    for stan in 3..=200 {
        live.send(&purchase(&format!("{stan:06}"))).unwrap();
        assert_eq!(live.receive().unwrap().text(39), "00", "it goes on");
    }
    assert!(!waiting.has_more().unwrap(), "nobody has taken it");

    node.limit_descriptors(before).unwrap();
    assert_eq!(waiting.receive().unwrap().text(39), "00", "it is taken");
    let errors = node.metric("njia_accept_errors_total", &[]).unwrap();
    assert!(errors >= 1.0, "{errors} are counted");
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
