//! Completion requests, 0202, on real sockets: they go to the bank of what they complete and are
//! answered by it. The test is the bank.

use std::time::Duration;

use njia_tests::e2e::desk::{answered, with_field, without};
use njia_tests::e2e::eventually;
use njia_tests::e2e::scene::{ALONE, SHORT, Scene, asked, next, reversal, told};
use njia_tests::e2e::session::{Received, Session, purchase};

/// A purchase that the bank approves; as it was sent, and as the bank had it.
#[track_caller]
fn approved(session: &mut Session, link: &mut Session, stan: &str) -> (Vec<u8>, Received) {
    let request = purchase(stan);
    session.send(&request).unwrap();
    let first = asked(link, "0200");
    link.send(&answered(&first, "00")).unwrap();
    assert_eq!(next(session), told("0210", stan, "00"));
    (request, first)
}

/// It asks to complete a purchase, which it names by DE90.
fn completion(mti: [u8; 4], stan: &str, purchase: &[u8]) -> Vec<u8> {
    reversal(mti, stan, purchase)
}

/// The same by DE37, DE41 and DE42 alone.
fn unnamed(mti: [u8; 4], stan: &str, purchase: &[u8]) -> Vec<u8> {
    without(&completion(mti, stan, purchase), 90)
}

/// Two shards: what completes and what is completed lie on either.
//= docs/rules.md#T-12
#[test]
fn a_completion_request_is_answered_by_the_bank_of_its_original() {
    let (scene, mut link) = Scene::open("completion", &[ALONE]);
    let mut session = scene.session();
    for place in 1..=6 {
        let stan = format!("{place:06}");
        let own = format!("{:06}", 100 + place);
        let (request, first) = approved(&mut session, &mut link, &stan);
        let sent = completion(*b"0202", &own, &request);
        session.send(&with_field(&sent, 4, "000000001400")).unwrap();
        let asks = asked(&mut link, "0202");
        assert_eq!(asks.text(4), "000000001400");
        let named = asks.text(90);
        let leg = format!("0200{}{}", first.text(11), first.text(7));
        assert_eq!(named[..20], leg, "as the bank knows it");
        let code = if place % 3 == 0 { "51" } else { "00" };
        link.send(&answered(&asks, code)).unwrap();
        assert_eq!(next(&mut session), told("0212", &own, code));
        // A repeat, and one more: the first answer, and nothing leaves.
        for _ in 0..2 {
            let copy = completion(*b"0203", &own, &request);
            session.send(&with_field(&copy, 4, "000000001400")).unwrap();
            assert_eq!(next(&mut session), told("0212", &own, code));
        }
        let other = completion(*b"0203", &own, &request);
        session.send(&other).unwrap();
        assert_eq!(next(&mut session), told("0212", &own, "94"));
    }
    scene.node.settle(Duration::from_secs(60)).unwrap();
    assert!(!link.has_more().unwrap());
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

/// What the bank is asked when a completion has found its original. A machine that stands still for
/// as long as the shards may think about it gets 96, and the completion is sent again.
#[track_caller]
fn looked_for(session: &mut Session, link: &mut Session, mut message: Vec<u8>) -> Received {
    for _ in 0..20 {
        session.send(&message).unwrap();
        let heard = || link.has_more().unwrap() || session.has_more().unwrap();
        assert!(eventually(Duration::from_secs(60), heard), "no answer");
        if !session.has_more().unwrap() {
            return asked(link, "0202");
        }
        assert_eq!(next(session).2, "96");
        message[3] = b'3';
    }
    panic!("nothing but 96");
}

//= docs/rules.md#T-13
#[test]
fn one_that_names_nothing_is_looked_for_on_all_shards() {
    let (scene, mut link) = Scene::open("completion-unnamed", &[ALONE]);
    let mut session = scene.session();
    for place in 1..=6 {
        let stan = format!("{place:06}");
        let own = format!("{:06}", 100 + place);
        let (request, first) = approved(&mut session, &mut link, &stan);
        let message = match place % 2 {
            0 => unnamed(*b"0202", &own, &request),
            _ => {
                let astray = format!("02009{}{:032}", &stan[1..], 0);
                with_field(&completion(*b"0202", &own, &request), 90, &astray)
            }
        };
        let asks = looked_for(&mut session, &mut link, message);
        assert_eq!(asks.text(90)[4..10], first.text(11));
        link.send(&answered(&asks, "00")).unwrap();
        assert_eq!(next(&mut session), told("0212", &own, "00"));
    }
    // Unknown, and without anything to look by.
    let never = purchase("000099");
    let unknown = [
        completion(*b"0202", "000199", &never),
        unnamed(*b"0202", "000200", &never),
        without(&unnamed(*b"0202", "000201", &never), 37),
    ];
    for (message, own) in unknown.iter().zip(["000199", "000200", "000201"]) {
        let mut message = message.clone();
        let answers = std::iter::repeat_with(|| {
            session.send(&message).unwrap();
            message[3] = b'3';
            next(&mut session)
        });
        let answer = answers.take(20).find(|answer| answer.2 != "96");
        assert_eq!(answer, Some(told("0212", own, "25")));
    }
    let labels = ["origin=\"switch\"", "unknown_original"];
    assert_eq!(scene.metric("njia_declines_total", &labels), 3.0);
    // What was told stays, although its original has come meanwhile.
    session.send(&never).unwrap();
    let late = asked(&mut link, "0200");
    link.send(&answered(&late, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000099", "00"));
    let repeat = completion(*b"0203", "000199", &never);
    session.send(&repeat).unwrap();
    assert_eq!(next(&mut session), told("0212", "000199", "25"));
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

//= docs/rules.md#D-05
#[test]
fn what_was_reversed_is_not_completed() {
    let (scene, mut link) = Scene::open("completion-reversed", &[ALONE, SHORT]);
    let mut session = scene.session();
    let (request, _) = approved(&mut session, &mut link, "000001");
    session
        .send(&reversal(*b"0420", "000002", &request))
        .unwrap();
    assert_eq!(next(&mut session), told("0430", "000002", "00"));
    let owed = asked(&mut link, "0420");
    link.send(&answered(&owed, "00")).unwrap();
    session
        .send(&completion(*b"0202", "000003", &request))
        .unwrap();
    assert_eq!(next(&mut session), told("0212", "000003", "94"));
    // Nobody has answered this one: it is reversed too.
    let silent = purchase("000004");
    session.send(&silent).unwrap();
    asked(&mut link, "0200");
    assert_eq!(next(&mut session), told("0210", "000004", "91"));
    session
        .send(&completion(*b"0202", "000005", &silent))
        .unwrap();
    assert_eq!(next(&mut session), told("0212", "000005", "94"));
    let owed = asked(&mut link, "0420");
    link.send(&answered(&owed, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    assert!(!link.has_more().unwrap());
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

#[test]
fn what_is_undecided_is_not_completed_and_may_come_again() {
    let (scene, mut link) = Scene::open("completion-undecided", &[ALONE]);
    let mut session = scene.session();
    let request = purchase("000001");
    session.send(&request).unwrap();
    let first = asked(&mut link, "0200");
    let sent = completion(*b"0202", "000002", &request);
    session.send(&sent).unwrap();
    assert_eq!(next(&mut session), told("0212", "000002", "96"));
    link.send(&answered(&first, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    session.send(&[b"0203", &sent[4..]].concat()).unwrap();
    let asks = asked(&mut link, "0202");
    link.send(&answered(&asks, "00")).unwrap();
    assert_eq!(next(&mut session), told("0212", "000002", "00"));
    scene.close_with(link);
}

/// A silent bank is owed the reversal of the completion, not of what it completes.
#[test]
fn a_silent_bank_is_owed_its_reversal() {
    let (scene, mut link) = Scene::open("completion-silent", &[ALONE, SHORT]);
    let mut session = scene.session();
    let (request, first) = approved(&mut session, &mut link, "000001");
    let sent = completion(*b"0202", "000002", &request);
    session.send(&sent).unwrap();
    let asks = asked(&mut link, "0202");
    assert_eq!(next(&mut session), told("0212", "000002", "91"));
    let owed = asked(&mut link, "0420");
    let named = format!("0202{}{}", asks.text(11), asks.text(7));
    assert_eq!(owed.text(90)[..20], named);
    assert_ne!(asks.text(11), first.text(11));
    link.send(&answered(&asks, "00")).unwrap();
    link.send(&answered(&owed, "00")).unwrap();
    session.send(&[b"0203", &sent[4..]].concat()).unwrap();
    assert_eq!(next(&mut session), told("0212", "000002", "91"));
    scene.node.settle(Duration::from_secs(60)).unwrap();
    // What it completes stands.
    session.send(&[b"0201", &request[4..]].concat()).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

/// Killed while the bank has it: reversed by its own type, and a copy is told what it came to.
#[test]
fn a_death_between_request_and_answer_owes_its_reversal() {
    let (scene, mut link) = Scene::open("completion-killed", &[ALONE]);
    let mut session = scene.session();
    let (request, _) = approved(&mut session, &mut link, "000001");
    let done = completion(*b"0202", "000003", &request);
    session.send(&done).unwrap();
    let asks = asked(&mut link, "0202");
    link.send(&answered(&asks, "00")).unwrap();
    assert_eq!(next(&mut session), told("0212", "000003", "00"));
    let sent = completion(*b"0202", "000002", &request);
    session.send(&sent).unwrap();
    let asks = asked(&mut link, "0202");
    drop(link);
    let (scene, mut link) = scene.killed();
    let owed = asked(&mut link, "0420");
    assert_eq!(owed.text(90)[..10], format!("0202{}", asks.text(11)));
    link.send(&answered(&owed, "00")).unwrap();
    let mut session = scene.session();
    let copy = [b"0203", &sent[4..]].concat();
    session.send(&copy).unwrap();
    assert_eq!(next(&mut session), told("0212", "000002", "91"));
    session.send(&[b"0203", &done[4..]].concat()).unwrap();
    assert_eq!(next(&mut session), told("0212", "000003", "00"));
    // Its original is known after the restart, and can be completed by another one.
    session
        .send(&completion(*b"0202", "000004", &request))
        .unwrap();
    let asks = asked(&mut link, "0202");
    link.send(&answered(&asks, "00")).unwrap();
    assert_eq!(next(&mut session), told("0212", "000004", "00"));
    scene.node.settle(Duration::from_secs(60)).unwrap();
    scene.close_with(link);
}

/// The acquirer takes a completion back: the bank hears of it by the completion's own name.
#[test]
fn a_completion_is_reversed_by_its_own_name() {
    let (scene, mut link) = Scene::open("completion-taken-back", &[ALONE]);
    let mut session = scene.session();
    let (request, _) = approved(&mut session, &mut link, "000001");
    let sent = completion(*b"0202", "000002", &request);
    session.send(&sent).unwrap();
    let asks = asked(&mut link, "0202");
    link.send(&answered(&asks, "00")).unwrap();
    assert_eq!(next(&mut session), told("0212", "000002", "00"));
    session.send(&reversal(*b"0420", "000003", &sent)).unwrap();
    assert_eq!(next(&mut session), told("0430", "000003", "00"));
    let owed = asked(&mut link, "0420");
    assert_eq!(owed.text(90)[..10], format!("0202{}", asks.text(11)));
    link.send(&answered(&owed, "00")).unwrap();
    session.send(&[b"0203", &sent[4..]].concat()).unwrap();
    assert_eq!(next(&mut session), told("0212", "000002", "94"));
    scene.node.settle(Duration::from_secs(60)).unwrap();
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

//= docs/rules.md#A-08
#[test]
fn what_is_beyond_the_limit_of_the_listener_is_refused_or_left_to_people() {
    let limit = ("NJIA__LISTENER__POS__COMPLETION_OVER_PERCENT", "15");
    let (scene, mut link) = Scene::open("completion-over", &[ALONE, limit]);
    let mut session = scene.session();
    let (request, _) = approved(&mut session, &mut link, "000001");
    // 15.00 was approved, 17.25 is the most.
    for (own, amount) in [("000101", "000000001726"), ("000102", "000000001725")] {
        let sent = with_field(&completion(*b"0202", own, &request), 4, amount);
        session.send(&sent).unwrap();
        if amount.ends_with('5') {
            let asks = asked(&mut link, "0202");
            link.send(&answered(&asks, "00")).unwrap();
            assert_eq!(next(&mut session), told("0212", own, "00"));
        } else {
            assert_eq!(next(&mut session), told("0212", own, "13"));
        }
    }
    for (own, amount) in [("000103", "000000001726"), ("000104", "000000001725")] {
        let sent = with_field(&completion(*b"0220", own, &request), 4, amount);
        session.send(&sent).unwrap();
        assert_eq!(next(&mut session), told("0230", own, "00"));
    }
    let owed = asked(&mut link, "0220");
    assert_eq!(
        owed.text(4),
        "000000001725",
        "the other one is left to people"
    );
    link.send(&answered(&owed, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    let left = scene.metric("njia_exceptions_total", &["advice_over_original"]);
    let labels = ["origin=\"switch\"", "over_original"];
    let refused = scene.metric("njia_declines_total", &labels);
    assert_eq!((left, refused), (1.0, 1.0));
    assert!(!link.has_more().unwrap());
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

/// Two completions of one purchase, and its reversal: on whichever shards they are owed, the bank
/// has them one by one, in the order in which they were accepted.
//= docs/rules.md#V-12
#[test]
fn what_is_owed_about_one_purchase_reaches_the_bank_in_its_order() {
    let patient = ("NJIA__ISSUER__BANK__REVERSAL_TIMEOUT_MS", "120000");
    let (scene, mut link) = Scene::open("completion-order", &[ALONE, patient]);
    let mut session = scene.session();
    let purchases: Vec<(String, Vec<u8>)> = (1..=PURCHASES)
        .map(|place| {
            let stan = format!("{place:06}");
            let (request, _) = approved(&mut session, &mut link, &stan);
            (stan, request)
        })
        .collect();
    for (stan, request) in &purchases {
        for (mti, back, more, condition) in [
            (*b"0220", "0230", '1', "01"),
            (*b"0220", "0230", '2', "02"),
            (*b"0420", "0430", '3', "03"),
        ] {
            let own = format!("{more}{}", &stan[1..]);
            let sent = with_field(&reversal(mti, &own, request), 25, condition);
            session.send(&sent).unwrap();
            assert_eq!(next(&mut session), told(back, &own, "00"));
        }
    }
    for (mti, condition) in [("0220", "01"), ("0220", "02"), ("0420", "")] {
        let all: Vec<Received> = (0..PURCHASES).map(|_| asked(&mut link, mti)).collect();
        for one in &all {
            assert_eq!(one.text(25), condition, "{mti}");
        }
        for one in all {
            link.send(&answered(&one, "00")).unwrap();
        }
    }
    scene.node.settle(Duration::from_secs(60)).unwrap();
    assert!(!link.has_more().unwrap());
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

/// Enough for completions beside their purchase and on the other shard.
const PURCHASES: u32 = 8;
