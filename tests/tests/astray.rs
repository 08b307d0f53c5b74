//! Reversals whose DE90 does not lead to their original: it is found by DE37, DE41 and DE42 on
//! whichever shard it is, and reversed once. Real sockets; the test is the bank.

use std::time::Duration;

use njia_tests::e2e::desk::{answered, with_field};
use njia_tests::e2e::scene::{ALONE, Scene, asked, next, reversal, told};
use njia_tests::e2e::session::{Session, purchase};

/// A purchase that the bank approves; as it was sent, and DE11 as the bank had it.
#[track_caller]
fn approved(session: &mut Session, link: &mut Session, stan: &str) -> (Vec<u8>, String) {
    let request = purchase(stan);
    session.send(&request).unwrap();
    let first = asked(link, "0200");
    link.send(&answered(&first, "00")).unwrap();
    assert_eq!(next(session), told("0210", stan, "00"));
    (request, first.text(11))
}

/// A reversal that names a STAN which nobody has sent, at a time that nobody knows.
fn astray(mti: [u8; 4], stan: &str, purchase: &[u8]) -> Vec<u8> {
    let named = format!("02009{}{:032}", &stan[1..], 0);
    with_field(&reversal(mti, stan, purchase), 90, &named)
}

/// Sends a reversal until the answer says something: a machine that stands still for as long as the
/// shards may think about it gets 96. How often it was sent.
#[track_caller]
fn reversed(session: &mut Session, message: &[u8], stan: &str) -> f64 {
    let mut message = message.to_vec();
    for times in 1..=20 {
        session.send(&message).unwrap();
        let answer = next(session);
        if answer.2 != "96" {
            assert_eq!(answer, told("0410", stan, "00"));
            return f64::from(times);
        }
        message[3] = b'1';
    }
    panic!("nothing but 96");
}

/// Two shards: originals and what DE90 names lie on either.
//= docs/rules.md#V-11
#[test]
fn an_original_is_found_on_whichever_shard_it_is_and_reversed_once() {
    let (scene, mut link) = Scene::open("astray", &[ALONE]);
    let mut session = scene.session();
    let mut sent = 0.0;
    for place in 1..=8 {
        let stan = format!("{place:06}");
        let own = format!("{:06}", 100 + place);
        let (request, of_leg) = approved(&mut session, &mut link, &stan);
        sent += reversed(&mut session, &astray(*b"0400", &own, &request), &own);
        let owed = asked(&mut link, "0420");
        assert_eq!(owed.text(90)[4..10], of_leg, "the bank's own number");
        for _ in 0..2 {
            sent += reversed(&mut session, &astray(*b"0401", &own, &request), &own);
        }
        link.send(&answered(&owed, "00")).unwrap();
        sent += reversed(&mut session, &astray(*b"0401", &own, &request), &own);
        session.send(&request).unwrap();
        assert_eq!(next(&mut session), told("0210", &stan, "94"));
    }
    scene.node.settle(Duration::from_secs(60)).unwrap();
    let owed = scene.metric("njia_reversals_total", &["requested", "owed"]);
    assert_eq!(owed, 8.0, "each once");
    assert_eq!(scene.metric("njia_reversal_questions_total", &[]), sent);
    assert!(sent >= 32.0);

    // What no shard knows is unknown, as it would be without a question.
    let never = purchase("000099");
    let unknown = reversal(*b"0400", "000199", &never);
    reversed(&mut session, &unknown, "000199");
    session.send(&never).unwrap();
    assert_eq!(
        next(&mut session),
        told("0210", "000099", "94"),
        "a tombstone"
    );
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

/// Other amounts and other cards under the same DE37 are other transactions.
#[test]
fn what_differs_in_a_check_is_left_alone() {
    let (scene, mut link) = Scene::open("astray-other", &[ALONE]);
    let mut session = scene.session();
    let (request, _) = approved(&mut session, &mut link, "000001");
    for (place, (field, value)) in (1..).zip([(4, "000000001400"), (2, "5061009999999999")]) {
        let own = format!("{:06}", 100 + place);
        let other = with_field(&astray(*b"0400", &own, &request), field, value);
        reversed(&mut session, &other, &own);
    }
    session.send(&[b"0201", &request[4..]].concat()).unwrap();
    assert_eq!(
        next(&mut session),
        told("0210", "000001", "00"),
        "it stands"
    );
    scene.node.settle(Duration::from_secs(60)).unwrap();
    assert_eq!(scene.metric("njia_reversals_total", &["owed"]), 0.0);
    scene.close_with(link);
}

/// Killed when the reversal has left and nobody has acknowledged it: it is owed once, and the copy
/// that comes after the restart finds it on its shard again.
#[test]
fn a_death_between_reversal_and_acknowledgement_leaves_it_owed_once() {
    let fast = ("NJIA__ISSUER__BANK__REVERSAL_TIMEOUT_MS", "60000");
    let (mut scene, mut link) = Scene::open("astray-killed", &[ALONE, fast]);
    for place in 1..=3 {
        let stan = format!("{place:06}");
        let own = format!("{:06}", 100 + place);
        let mut session = scene.session();
        let (request, of_leg) = approved(&mut session, &mut link, &stan);
        reversed(&mut session, &astray(*b"0400", &own, &request), &own);
        asked(&mut link, "0420");
        drop(link);
        (scene, link) = scene.killed();
        let owed = asked(&mut link, "0421");
        assert_eq!(owed.text(90)[4..10], of_leg);
        let mut session = scene.session();
        reversed(&mut session, &astray(*b"0401", &own, &request), &own);
        link.send(&answered(&owed, "00")).unwrap();
        scene.node.settle(Duration::from_secs(60)).unwrap();
        session.send(&request).unwrap();
        assert_eq!(next(&mut session), told("0210", &stan, "94"));
        assert_eq!(
            scene.metric("njia_reversals_total", &["owed"]),
            0.0,
            "not again"
        );
    }
    scene.close_with(link);
}

/// Killed before the bank has answered the original: the question finds it in flight after the
/// restart as timed out, and owes nothing further.
#[test]
fn what_a_restart_has_reversed_is_found_and_not_reversed_again() {
    let (scene, mut link) = Scene::open("astray-restart", &[ALONE]);
    let mut session = scene.session();
    let request = purchase("000001");
    session.send(&request).unwrap();
    asked(&mut link, "0200");
    drop(link);
    let (scene, mut link) = scene.killed();
    let owed = asked(&mut link, "0420");
    let mut session = scene.session();
    let looked_for = astray(*b"0400", "000101", &request);
    reversed(&mut session, &looked_for, "000101");
    link.send(&answered(&owed, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    let requested = scene.metric("njia_reversals_total", &["requested"]);
    assert_eq!(requested, 0.0, "one reversal is enough");
    scene.close_with(link);
}
