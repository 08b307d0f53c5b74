//! Network management and matching on real sockets: the test is the issuer, and says what comes
//! when (faults.md rows 45 to 50, 52 and 57).

use std::time::Duration;

use njia_tests::e2e::desk::{accepted, answered, said, with_field};
use njia_tests::e2e::eventually;
use njia_tests::e2e::scene::{ALONE, SHORT, Scene, asked, next, told};
use njia_tests::e2e::session::{Received, Session, message, purchase};

#[test]
fn fault_057_an_issuer_that_signs_off_finishes_its_work_and_is_taken_back() {
    let (scene, mut link) = Scene::open("sign-off", &[]);
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    let first = asked(&mut link, "0200");
    assert_eq!(said(&mut link, "002", &[]), "00");
    scene.await_up(0.0);
    assert_eq!(scene.metric("njia_links", &["bank", "signed_off"]), 1.0);
    session.send(&purchase("000002")).unwrap();
    assert_eq!(
        next(&mut session),
        told("0210", "000002", "00"),
        "the operator's"
    );

    assert_eq!(
        said(&mut link, "301", &[]),
        "00",
        "an echo is answered all the same"
    );
    link.send(&answered(&first, "05")).unwrap();
    assert_eq!(
        next(&mut session),
        told("0210", "000001", "05"),
        "the bank's"
    );

    assert_eq!(said(&mut link, "001", &[]), "00");
    scene.await_up(1.0);
    session.send(&purchase("000003")).unwrap();
    let third = asked(&mut link, "0200");
    link.send(&answered(&third, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000003", "00"));
    assert_eq!(scene.unmatched_at_all(), 0.0);
    scene.close_with(link);
}

//= docs/rules.md#N-06
#[test]
fn fault_057_an_issuer_that_wants_silence_for_its_cut_over_has_it() {
    let hold = ("NJIA__ISSUER__BANK__HOLD_ON_CUTOVER", "true");
    let (scene, mut link) = Scene::open("cut-over", &[hold, ALONE]);
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    let first = asked(&mut link, "0200");
    assert_eq!(said(&mut link, "201", &[(15, "0704")]), "00");
    let settled = || scene.node.status().unwrap()["issuers"][0].clone();
    scene.await_that("the day is told", || settled()["held"] == true);
    let date = settled()["settlement_date"].as_str().unwrap().to_owned();
    assert!(date.ends_with("-07-04"), "{date}");
    for stan in ["000002", "000003", "000004"] {
        session.send(&purchase(stan)).unwrap();
        assert_eq!(next(&mut session), told("0210", stan, "90"));
    }
    link.send(&answered(&first, "00")).unwrap();
    assert_eq!(
        next(&mut session),
        told("0210", "000001", "00"),
        "begun before"
    );

    assert_eq!(said(&mut link, "202", &[]), "00");
    scene.await_that("it serves", || settled()["held"] == false);
    session.send(&purchase("000005")).unwrap();
    let fifth = asked(&mut link, "0200");
    link.send(&answered(&fifth, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000005", "00"));
    scene.close_with(link);
}

//= docs/rules.md#T-07
#[test]
fn fault_045_an_approval_after_the_deadline_changes_nothing() {
    let (scene, mut link) = Scene::open("late", &[ALONE, SHORT]);
    let mut session = scene.session();
    let request = purchase("000001");
    session.send(&request).unwrap();
    let first = asked(&mut link, "0200");
    assert_eq!(next(&mut session), told("0210", "000001", "91"));
    let reversal = asked(&mut link, "0420");
    link.send(&answered(&first, "00")).unwrap();
    scene.await_that("it is known as late", || scene.unmatched("late") == 1.0);
    link.send(&answered(&reversal, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    session.send(&request).unwrap();
    assert_eq!(next(&mut session).2, "91", "a copy is told the same");
    let reversals = |result: &str| scene.metric("njia_reversals_total", &[result]);
    assert_eq!((reversals("owed"), reversals("acknowledged")), (1.0, 1.0));
    scene.close_with(link);
}

#[test]
fn fault_047_the_first_answer_counts_and_a_contradiction_is_for_people() {
    let (scene, mut link) = Scene::open("twice", &[ALONE]);
    let mut session = scene.session();
    let request = purchase("000001");
    session.send(&request).unwrap();
    let first = asked(&mut link, "0200");
    for _ in 0..2 {
        link.send(&answered(&first, "00")).unwrap();
    }
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    scene.await_that("the copy is counted", || {
        scene.unmatched("duplicate") == 1.0
    });
    let conflicts = || scene.metric("njia_exceptions_total", &["answer_conflict"]);
    assert_eq!(conflicts(), 0.0, "it says the same");
    link.send(&answered(&first, "05")).unwrap();
    scene.await_that("people are told", || conflicts() == 1.0);
    session.send(&request).unwrap();
    assert_eq!(next(&mut session).2, "00", "the first stands");
    scene.close_with(link);
}

#[test]
fn fault_048_an_answer_that_is_not_that_of_a_request_is_told_with_what_comes_nearest() {
    let (scene, mut link) = Scene::open("mismatch", &[ALONE, SHORT]);
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    let first = asked(&mut link, "0200");
    let right = answered(&first, "00");
    let stan = first.text(11);
    for (field, value) in [
        (41, "TERM0002"),
        (37, "000000000009"),
        (2, "5061009999999999"),
        (7, "0101000000"),
        (11, if stan == "000009" { "000008" } else { "000009" }),
    ] {
        link.send(&with_field(&right, field, value)).unwrap();
    }
    assert_eq!(next(&mut session), told("0210", "000001", "91"));
    let reversal = asked(&mut link, "0420");
    link.send(&answered(&reversal, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    assert_eq!(
        (scene.unmatched("mismatch"), scene.unmatched("unknown")),
        (4.0, 1.0)
    );
    let notes = scene.node.status().unwrap()["unmatched"].to_string();
    let differs = format!("differs(DE41): 0210 stan {stan}; nearest is financial stan {stan}");
    assert!(notes.contains(&differs), "{notes}");
    assert!(notes.contains("which differs in DE11"), "{notes}");
    scene.await_that("the log tells of it", || {
        scene.node.log().contains("answer not matched")
    });
    let log = scene.node.log();
    for secret in ["TERM0002", "5061009999999999", "000000000009"] {
        assert!(!log.contains(secret) && !notes.contains(secret), "{secret}");
    }
    scene.close_with(link);
}

#[test]
fn fault_048_a_link_with_too_many_of_them_is_left_alone() {
    let few = ("NJIA__ISSUER__BANK__MISMATCHES_PER_MINUTE_MAX", "3");
    let (scene, mut link) = Scene::open("quarantine", &[few]);
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    let first = asked(&mut link, "0200");
    for _ in 0..4 {
        let wrong = with_field(&answered(&first, "00"), 41, "TERM0002");
        link.send(&wrong).unwrap();
    }
    scene.await_up(0.0);
    assert_eq!(scene.metric("njia_links", &["bank", "quarantined"]), 1.0);
    session.send(&purchase("000002")).unwrap();
    assert_eq!(
        next(&mut session),
        told("0210", "000002", "00"),
        "the operator's"
    );
    link.send(&answered(&first, "00")).unwrap();
    assert_eq!(
        next(&mut session),
        told("0210", "000001", "00"),
        "earlier ones count"
    );
    scene.close_with(link);
}

/// What becomes of an answer on the other one of the bank's two links.
fn answered_elsewhere(name: &str, group: &str) -> (Scene, [Session; 2], Session) {
    let more = [
        ALONE,
        SHORT,
        ("NJIA__ISSUER__BANK__LINKS", "2"),
        ("NJIA__ISSUER__BANK__LINK_GROUP", group),
    ];
    let scene = Scene::start(name, &more);
    let mut links = [
        scene.bank.signed_on().unwrap(),
        scene.bank.signed_on().unwrap(),
    ];
    scene.await_up(2.0);
    let mut session = scene.session();
    for (stan, code) in [("000001", "00"), ("000002", "05")] {
        session.send(&purchase(stan)).unwrap();
        let (at, request) = either(&mut links);
        links[1 - at].send(&answered(&request, code)).unwrap();
        let answer = next(&mut session);
        let expected = if group == "issuer" { code } else { "91" };
        assert_eq!(answer, told("0210", stan, expected));
        if expected == "91" {
            let (at, reversal) = either(&mut links);
            links[at].send(&answered(&reversal, "00")).unwrap();
            scene.node.settle(Duration::from_secs(60)).unwrap();
        }
    }
    (scene, links, session)
}

/// The next message on either link, and on which.
fn either(links: &mut [Session; 2]) -> (usize, Received) {
    let mut found = None;
    eventually(Duration::from_secs(60), || {
        found = (0..2).find(|at| links[*at].has_more().unwrap());
        found.is_some()
    });
    let at = found.expect("the switch sends something");
    (at, links[at].receive().unwrap())
}

#[test]
fn fault_049_an_answer_on_another_link_counts_where_the_group_allows_it() {
    let (scene, links, _) = answered_elsewhere("group", "issuer");
    assert_eq!(scene.unmatched_at_all(), 0.0);
    drop(links);
    scene.close();
}

#[test]
fn fault_049_an_answer_on_another_link_is_told_as_such_where_it_does_not_count() {
    let (scene, links, _) = answered_elsewhere("no-group", "link");
    assert_eq!(scene.unmatched("mismatch"), 2.0);
    let notes = scene.node.status().unwrap()["unmatched"].to_string();
    assert!(notes.contains("wrong_link"), "{notes}");
    drop(links);
    scene.close();
}

#[test]
fn fault_050_what_is_no_answer_disturbs_no_request() {
    let (scene, mut link) = Scene::open("no-answer", &[ALONE]);
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    let first = asked(&mut link, "0200");
    link.send(first.message().bytes()).unwrap();
    assert_eq!(said(&mut link, "301", &[]), "00");
    let stan = first.text(11);
    let fields = [
        (7, "0601120000"),
        (11, stan.as_str()),
        (39, "00"),
        (70, "301"),
    ];
    link.send(&message(*b"0810", &fields)).unwrap();
    link.send(&answered(&first, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    assert_eq!(
        (scene.unmatched("mismatch"), scene.unmatched_at_all()),
        (1.0, 1.0)
    );
    scene.close_with(link);
}

#[test]
fn fault_052_an_issuer_that_is_silent_is_left_and_connected_anew() {
    let fast = [
        ("NJIA__ISSUER__BANK__ECHO_IDLE_S", "1"),
        ("NJIA__ISSUER__BANK__ECHO_MISSED", "2"),
        ("NJIA__ISSUER__BANK__NETWORK_TIMEOUT_MS", "4000"),
    ];
    let (scene, mut link) = Scene::open("silent", &fast);
    let mut stans = Vec::new();
    for _ in 0..2 {
        let echo = asked(&mut link, "0800");
        assert_eq!(echo.text(70), "301");
        stans.push(echo.text(11));
    }
    assert_ne!(stans[0], stans[1]);
    link.is_closed().unwrap();
    let mut again = scene.bank.signed_on().unwrap();
    scene.await_up(1.0);
    let echo = asked(&mut again, "0800");
    again.send(&accepted(&echo)).unwrap();
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    let request = loop {
        let received = again.receive().unwrap();
        if received.mti() == "0200" {
            break received;
        }
        again.send(&accepted(&received)).unwrap();
    };
    again.send(&answered(&request, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    drop(again);
    scene.close();
}

//= docs/rules.md#N-01
#[test]
fn a_session_signs_on_where_it_must_and_is_signed_off_at_the_end() {
    let must = [
        ("NJIA__LISTENER__POS__REQUIRE_SIGN_ON", "true"),
        ("NJIA__LISTENER__POS__NETWORK_CODES", "visa"),
    ];
    let (scene, link) = Scene::open("require-sign-on", &must);
    let to_operator = |stan| with_field(&purchase(stan), 2, "6390001234567890");
    let mut session = scene.session();
    session.send(&to_operator("000001")).unwrap();
    assert_eq!(
        said(&mut session, "301", &[]),
        "00",
        "network messages are answered"
    );
    let ignored = scene.metric("njia_rejected_total", &["not_signed_on"]);
    assert_eq!(ignored, 1.0);
    assert_eq!(said(&mut session, "071", &[]), "00");
    session.send(&to_operator("000002")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000002", "00"));
    assert_eq!(said(&mut session, "072", &[]), "00");
    session.send(&to_operator("000003")).unwrap();
    assert_eq!(
        said(&mut session, "001", &[]),
        "00",
        "other families are read"
    );
    session.send(&to_operator("000003")).unwrap();
    assert_eq!(
        next(&mut session),
        told("0210", "000003", "00"),
        "nothing was remembered"
    );

    let end = std::thread::spawn(move || {
        let off = session.receive().unwrap();
        assert_eq!((off.mti().as_str(), off.text(70).as_str()), ("0800", "072"));
        session.is_closed().unwrap();
    });
    scene.close_with(link);
    end.join().unwrap();
}

#[test]
fn a_silent_session_is_asked_for_a_sign_of_life() {
    let echoes = [
        ("NJIA__LISTENER__POS__ECHO_IDLE_S", "1"),
        ("NJIA__LISTENER__POS__ECHO_MISSED", "2"),
        ("NJIA__LISTENER__POS__NETWORK_TIMEOUT_MS", "3000"),
    ];
    let (scene, link) = Scene::open("session-echo", &echoes);
    let mut session = scene.session();
    assert_eq!(said(&mut session, "001", &[]), "00");
    let echo = asked(&mut session, "0800");
    assert_eq!(echo.text(70), "301");
    session.send(&accepted(&echo)).unwrap();
    for _ in 0..2 {
        assert_eq!(asked(&mut session, "0800").text(70), "301");
    }
    session.is_closed().unwrap();
    scene.await_that("it is told why", || {
        scene.metric("njia_session_closes_total", &["reason=\"silent\""]) == 1.0
    });
    scene.close_with(link);
}
