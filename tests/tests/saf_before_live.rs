//! Requests wait until their issuer has what it is owed for the account, on real sockets. The test
//! is the bank.

use std::time::Duration;

use njia_tests::e2e::desk::{answered, with_field, without};
use njia_tests::e2e::scene::{ALONE, SHORT, Scene, asked, next, reversal, told};
use njia_tests::e2e::session::{Session, purchase};

const ASKED: (&str, &str) = ("NJIA__ISSUER__BANK__SAF_BEFORE_LIVE", "true");
/// Whatever has the same account lies on the same shard.
const ONE_SHARD: (&str, &str) = ("NJIA__NODE__SHARDS", "1");
/// Nothing is repeated, and no request is given up, while a test runs.
const PATIENT: [(&str, &str); 2] = [
    ("NJIA__ISSUER__BANK__REVERSAL_TIMEOUT_MS", "120000"),
    ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "120000"),
];
const OTHER_PAN: &str = "5061009876543210";

/// An offline approval for the account of all purchases.
fn advice(stan: &str) -> Vec<u8> {
    without(&reversal(*b"0220", stan, &purchase("000900")), 90)
}

/// The bank is owed an advice, and has it in hand.
#[track_caller]
fn owed(session: &mut Session, link: &mut Session, stan: &str) -> Vec<u8> {
    session.send(&advice(stan)).unwrap();
    assert_eq!(next(session), told("0230", stan, "00"));
    answered(&asked(link, "0220"), "00")
}

/// So many wait.
#[track_caller]
fn await_held(scene: &Scene, count: f64) {
    scene.await_that("requests wait", || {
        scene.metric("njia_held_back_requests", &[]) == count
    });
}

fn given_up(scene: &Scene, reason: &str) -> f64 {
    let reason = format!("reason=\"{reason}\"");
    scene.metric("njia_held_back_given_up_total", &[&reason])
}

//= docs/rules.md#A-09
#[test]
fn a_request_leaves_behind_what_its_bank_is_owed_for_the_account() {
    let [silence, deadline] = PATIENT;
    let more = [ALONE, ASKED, ONE_SHARD, silence, deadline];
    let (scene, mut link) = Scene::open("saf-before-live", &more);
    let mut session = scene.session();
    let acknowledgement = owed(&mut session, &mut link, "000001");
    let request = purchase("000002");
    session.send(&request).unwrap();
    await_held(&scene, 1.0);
    // Another account does not wait; nothing of the first has left before it.
    session
        .send(&with_field(&purchase("000003"), 2, OTHER_PAN))
        .unwrap();
    let other = asked(&mut link, "0200");
    assert_eq!(other.text(2), OTHER_PAN);
    link.send(&answered(&other, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000003", "00"));
    link.send(&acknowledgement).unwrap();
    let first = asked(&mut link, "0200");
    assert_ne!(first.text(2), OTHER_PAN);
    link.send(&answered(&first, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000002", "00"));
    await_held(&scene, 0.0);
    assert_eq!(scene.metric("njia_held_back_total", &[]), 1.0);
    scene.node.settle(Duration::from_secs(60)).unwrap();
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

#[test]
fn a_request_that_has_waited_for_half_of_its_deadline_gets_91() {
    let [silence, _] = PATIENT;
    let more = [ALONE, ASKED, ONE_SHARD, SHORT, silence];
    let (scene, mut link) = Scene::open("saf-before-live-91", &more);
    let mut session = scene.session();
    let acknowledgement = owed(&mut session, &mut link, "000001");
    session.send(&purchase("000002")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000002", "91"));
    assert_eq!(given_up(&scene, "too_long"), 1.0);
    assert!(!link.has_more().unwrap(), "nothing has left");
    link.send(&acknowledgement).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    // Nothing is owed for it either.
    assert_eq!(scene.metric("njia_reversals_total", &["owed"]), 0.0);
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

/// Also where an acquirer wants to hear that an original is unknown: this one is not.
//= docs/rules.md#V-13
#[test]
fn the_reversal_of_a_request_that_waits_goes_no_further() {
    let [silence, deadline] = PATIENT;
    let unknown = ("NJIA__LISTENER__POS__UNKNOWN_ORIGINAL", "25");
    let more = [ALONE, ASKED, ONE_SHARD, silence, deadline, unknown];
    let (scene, mut link) = Scene::open("saf-before-live-reversed", &more);
    let mut session = scene.session();
    let acknowledgement = owed(&mut session, &mut link, "000001");
    let request = purchase("000002");
    session.send(&request).unwrap();
    await_held(&scene, 1.0);
    session
        .send(&reversal(*b"0420", "000002", &request))
        .unwrap();
    assert_eq!(next(&mut session), told("0430", "000002", "00"));
    await_held(&scene, 0.0);
    session
        .send(&reversal(*b"0421", "000002", &request))
        .unwrap();
    assert_eq!(next(&mut session), told("0430", "000002", "00"));
    let repeat = [b"0201", &request[4..]].concat();
    session.send(&repeat).unwrap();
    assert_eq!(next(&mut session), told("0210", "000002", "94"));
    let never_sent = purchase("000007");
    session
        .send(&reversal(*b"0420", "000007", &never_sent))
        .unwrap();
    assert_eq!(next(&mut session), told("0430", "000007", "25"));
    link.send(&acknowledgement).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    assert!(!link.has_more().unwrap(), "nothing has left");
    scene.close_with(link);
}

#[test]
fn a_drain_refuses_who_waits() {
    let [silence, deadline] = PATIENT;
    let more = [ALONE, ASKED, ONE_SHARD, silence, deadline];
    let (scene, mut link) = Scene::open("saf-before-live-drain", &more);
    let mut session = scene.session();
    owed(&mut session, &mut link, "000001");
    session.send(&purchase("000002")).unwrap();
    await_held(&scene, 1.0);
    scene.close_with(link);
    assert_eq!(next(&mut session), told("0210", "000002", "96"));
}
