//! What a session and a link ask for where practice differs (semantics.md §16), on real sockets:
//! the test is the bank.

use std::time::Duration;

use domain::time::TransmissionTime;
use njia_tests::e2e::desk::{answered, with_field, without};
use njia_tests::e2e::scene::{ALONE, SHORT, Scene, asked, next, reversal, told};
use njia_tests::e2e::session::{Received, Session, message, purchase};

/// A purchase that the bank approves; as it was sent.
#[track_caller]
fn approved(session: &mut Session, link: &mut Session, stan: &str) -> Vec<u8> {
    let request = purchase(stan);
    session.send(&request).unwrap();
    let first = asked(link, "0200");
    link.send(&answered(&first, "00")).unwrap();
    assert_eq!(next(session), told("0210", stan, "00"));
    request
}

#[test]
fn a_forwarded_reversal_is_told_what_the_issuer_says() {
    let forward = [
        ALONE,
        ("NJIA__LISTENER__POS__REVERSAL_REQUEST", "forward"),
        ("NJIA__LISTENER__POS__TIMEOUT_ANSWER", "68"),
        ("NJIA__ISSUER__BANK__REVERSAL_TIMEOUT_MS", "3000"),
    ];
    let (scene, mut link) = Scene::open("forwarded", &forward);
    let mut session = scene.session();
    let first = approved(&mut session, &mut link, "000001");
    session.send(&reversal(*b"0400", "000002", &first)).unwrap();
    let owed = asked(&mut link, "0420");
    assert!(!session.has_more().unwrap(), "it waits for the bank");
    link.send(&answered(&owed, "25")).unwrap();
    assert_eq!(next(&mut session), told("0410", "000002", "25"));

    // A bank that is silent: the session's word for that, and the copy hears how it ended.
    let second = approved(&mut session, &mut link, "000003");
    session
        .send(&reversal(*b"0400", "000004", &second))
        .unwrap();
    asked(&mut link, "0420");
    assert_eq!(next(&mut session), told("0410", "000004", "68"));
    let again = asked(&mut link, "0421");
    session
        .send(&reversal(*b"0401", "000004", &second))
        .unwrap();
    link.send(&answered(&again, "00")).unwrap();
    assert_eq!(next(&mut session), told("0410", "000004", "00"));

    // An advice of a reversal waits for nobody.
    let third = approved(&mut session, &mut link, "000005");
    session.send(&reversal(*b"0420", "000006", &third)).unwrap();
    assert_eq!(next(&mut session), told("0430", "000006", "00"));
    let owed = asked(&mut link, "0420");
    link.send(&answered(&owed, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

#[test]
fn fault_056_a_session_that_takes_partial_approvals_gets_the_amount() {
    let partial = |value| ("NJIA__LISTENER__POS__PARTIAL_APPROVAL", value);
    for (name, value, code, amount) in [
        ("partial", "true", "10", "000000000900"),
        ("no-partial", "false", "05", "000000001500"),
    ] {
        let (scene, mut link) = Scene::open(name, &[ALONE, partial(value)]);
        let mut session = scene.session();
        session.send(&purchase("000001")).unwrap();
        let first = asked(&mut link, "0200");
        let less = with_field(&answered(&first, "10"), 4, "000000000900");
        link.send(&less).unwrap();
        let answer = session.receive().unwrap();
        let found = (answer.text(39), answer.text(4));
        assert_eq!(found, (code.to_owned(), amount.to_owned()));
        if value == "false" {
            let owed = asked(&mut link, "0420");
            link.send(&answered(&owed, "00")).unwrap();
        }
        scene.node.settle(Duration::from_secs(60)).unwrap();
        let owed = scene.metric("njia_reversals_total", &["owed"]);
        assert_eq!(owed, if value == "true" { 0.0 } else { 1.0 });
        scene.close_with(link);
    }
}

//= docs/rules.md#T-08
#[test]
fn an_approval_without_its_code_is_reversed_where_the_issuer_has_to_give_one() {
    for (name, value, is_taken) in [("bare", "true", false), ("bare-taken", "false", true)] {
        let demand = ("NJIA__ISSUER__BANK__DEMAND_AUTHORISATION", value);
        let (scene, mut link) = Scene::open(name, &[ALONE, demand]);
        let mut session = scene.session();
        let mut ask = |stan: &str, code: &str, authorisation: Option<&str>| {
            session.send(&purchase(stan)).unwrap();
            let request = asked(&mut link, "0200");
            let answer = answered(&request, code);
            let answer =
                authorisation.map_or(answer.clone(), |given| with_field(&answer, 38, given));
            link.send(&answer).unwrap();
            next(&mut session)
        };
        let given = ask("000001", "00", Some("A1B2C3"));
        assert_eq!(given, told("0210", "000001", "00"));
        let declined = ask("000002", "51", None);
        assert_eq!(declined, told("0210", "000002", "51"));
        let bare = ask("000003", "00", None);
        let code = if is_taken { "00" } else { "96" };
        assert_eq!(bare, told("0210", "000003", code));
        if !is_taken {
            let owed = asked(&mut link, "0420");
            link.send(&answered(&owed, "00")).unwrap();
        }
        scene.node.settle(Duration::from_secs(60)).unwrap();
        let owed = scene.metric("njia_reversals_total", &["owed"]);
        assert_eq!(owed, if is_taken { 0.0 } else { 1.0 });
        scene.close_with(link);
    }
}

/// DE7 an hour and a half away, `ahead` or behind.
fn skewed(ahead: bool) -> String {
    let clock = loadgen::clock::Clock::start();
    let (now, far) = (clock.wall(clock.now()), Duration::from_secs(5_400));
    let at = if ahead {
        now.after(far)
    } else {
        now.before(far)
    };
    String::from_utf8(TransmissionTime::at(at).digits().to_vec()).unwrap()
}

//= docs/rules.md#D-08
#[test]
fn fault_088_a_wrong_clock_is_refused_and_seen_and_repeats_are_not() {
    let bound = [
        ALONE,
        ("NJIA__LISTENER__POS__CLOCK_SKEW_MAX_S", "3600"),
        ("NJIA__LISTENER__POS__DUPLICATE_WINDOW_S", "86400"),
    ];
    let (scene, mut link) = Scene::open("skewed", &bound);
    let mut session = scene.session();
    let first = approved(&mut session, &mut link, "000001");
    let (ahead, behind) = (skewed(true), skewed(false));
    for (stan, sent) in [("000002", &ahead), ("000003", &behind)] {
        session.send(&with_field(&purchase(stan), 7, sent)).unwrap();
        assert_eq!(next(&mut session), told("0210", stan, "30"));
    }
    let refused = scene.metric("njia_rejected_total", &["reason=\"clock_skew\""]);
    assert_eq!(refused, 2.0);

    // What was refused is not remembered; a repeat may be as old, and so may a reversal.
    let late = with_field(&purchase("000003"), 7, &behind);
    let repeat = [b"0201", &late[4..]].concat();
    session.send(&repeat).unwrap();
    let request = asked(&mut link, "0200");
    link.send(&answered(&request, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000003", "00"));
    session.send(&late).unwrap();
    assert_eq!(next(&mut session), told("0210", "000003", "00"), "a copy");
    for (stan, purchase) in [("000004", &late), ("000005", &first)] {
        let reversal = with_field(&reversal(*b"0420", stan, purchase), 7, &behind);
        session.send(&reversal).unwrap();
        assert_eq!(next(&mut session), told("0430", stan, "00"));
        let owed = asked(&mut link, "0420");
        link.send(&answered(&owed, "00")).unwrap();
    }

    // How far is told beyond an hour alone: near ones depend on the second.
    let far = |name: &str, direction: &str| {
        let direction = format!("direction=\"{direction}\"");
        let upto = |bound: &str| {
            let bound = format!("le=\"{bound}\"");
            scene.metric(&format!("{name}_bucket"), &[&direction, &bound])
        };
        upto("7200") - upto("3600")
    };
    let session_clock = |direction| far("njia_session_clock_skew_seconds", direction);
    assert_eq!(session_clock("ahead"), 1.0);
    assert_eq!(session_clock("behind"), 2.0, "the copy of 000003 again");

    let issuer_clock = |direction| far("njia_issuer_clock_skew_seconds", direction);
    let echo = [(7, behind.as_str()), (11, "000001"), (70, "301")];
    link.send(&message(*b"0800", &echo)).unwrap();
    assert_eq!(next(&mut link), told("0810", "000001", "00"));
    assert_eq!((issuer_clock("ahead"), issuer_clock("behind")), (0.0, 1.0));
    scene.node.settle(Duration::from_secs(60)).unwrap();
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

//= docs/rules.md#T-15
/// An enquiry without an amount, or with one of nothing, in the words of either edition.
#[test]
fn an_enquiry_has_no_amount_and_its_approval_no_code() {
    let demand = ("NJIA__ISSUER__BANK__DEMAND_AUTHORISATION", "true");
    let (scene, mut link) = Scene::open("enquiry", &[ALONE, demand]);
    let mut session = scene.session();
    let enquiry = |stan: &str| with_field(&purchase(stan), 3, "310000");
    let of_nothing = |stan: &str| with_field(&enquiry(stan), 4, "000000000000");
    let without_amount = |stan: &str| without(&without(&enquiry(stan), 4), 49);
    for (stan, sent) in [
        ("000001", of_nothing("000001")),
        ("000002", without(&enquiry("000002"), 4)),
        ("000003", without_amount("000003")),
        ("000004", without(&of_nothing("000004"), 49)),
    ] {
        session.send(&sent).unwrap();
        let request = asked(&mut link, "0200");
        let sent = Received::of(&sent);
        for field in [3, 4, 49] {
            assert_eq!(request.text(field), sent.text(field), "{stan}: DE{field}");
        }
        let balance = "1002404C000000152300";
        link.send(&with_field(&answered(&request, "00"), 54, balance))
            .unwrap();
        let answer = session.receive().unwrap();
        assert_eq!(
            (answer.text(39), answer.text(54)),
            ("00".to_owned(), balance.to_owned())
        );
        assert_eq!(
            (answer.text(4), answer.text(49)),
            (sent.text(4), sent.text(49))
        );
    }
    let nothing = with_field(&purchase("000005"), 4, "000000000000");
    session.send(&nothing).unwrap();
    assert_eq!(next(&mut session), told("0210", "000005", "13"));
    let verification = with_field(&of_nothing("000006"), 3, "000000");
    let mut verification = with_field(&verification, 25, "51");
    verification[..4].copy_from_slice(b"0100");
    session.send(&verification).unwrap();
    let request = asked(&mut link, "0100");
    link.send(&answered(&request, "85")).unwrap();
    assert_eq!(next(&mut session), told("0110", "000006", "85"));
    let back = reversal(*b"0420", "000007", &without_amount("000003"));
    let back = with_field(&without(&without(&back, 4), 49), 3, "310000");
    session.send(&back).unwrap();
    assert_eq!(next(&mut session), told("0430", "000007", "00"));
    let owed = asked(&mut link, "0420");
    assert_eq!(
        (owed.text(3), owed.text(4), owed.text(49)),
        ("310000".to_owned(), String::new(), String::new())
    );
    link.send(&answered(&owed, "00")).unwrap();
    a_verification_is_reversed(&mut session, &mut link);
    scene.node.settle(Duration::from_secs(60)).unwrap();
    let owed = scene.metric("njia_reversals_total", &["owed"]);
    assert_eq!(owed, 2.0, "nothing else is reversed");
    scene.close_with(link);
}

/// An account is verified and approved without DE4 and DE49, and its reversal names neither.
fn a_verification_is_reversed(session: &mut Session, link: &mut Session) {
    let bare = |message: &[u8]| without(&without(message, 4), 49);
    let mut verification = with_field(&bare(&purchase("000008")), 25, "51");
    verification[..4].copy_from_slice(b"0100");
    session.send(&verification).unwrap();
    let request = asked(link, "0100");
    link.send(&with_field(&answered(&request, "00"), 38, "A1B2C3"))
        .unwrap();
    assert_eq!(next(session), told("0110", "000008", "00"));
    let back = bare(&reversal(*b"0420", "000009", &verification));
    let sent = Received::of(&verification).text(7);
    let named = format!("0100000008{sent}{:011}{:011}", 628_123, 0);
    session
        .send(&with_field(&with_field(&back, 25, "51"), 90, &named))
        .unwrap();
    assert_eq!(next(session), told("0430", "000009", "00"));
    let owed = asked(link, "0420");
    assert_eq!(
        (owed.text(4), owed.text(49)),
        (String::new(), String::new())
    );
    link.send(&answered(&owed, "00")).unwrap();
}

#[test]
fn a_listener_has_its_own_words_for_copies_and_reversals() {
    let own = [
        ALONE,
        ("NJIA__LISTENER__POS__DUPLICATE_SAME_CONTENT", "reject"),
        ("NJIA__LISTENER__POS__UNKNOWN_ORIGINAL", "25"),
        ("NJIA__LISTENER__POS__REVERSED_ORIGINAL_ANSWER", "12"),
    ];
    let (scene, mut link) = Scene::open("words", &own);
    let mut session = scene.session();
    let unknown = purchase("000001");
    session
        .send(&reversal(*b"0400", "000002", &unknown))
        .unwrap();
    assert_eq!(next(&mut session), told("0410", "000002", "25"));
    session.send(&unknown).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "12"));

    let first = approved(&mut session, &mut link, "000003");
    session.send(&first).unwrap();
    assert_eq!(next(&mut session), told("0210", "000003", "94"));
    let repeat = [b"0201", &first[4..]].concat();
    session.send(&repeat).unwrap();
    assert_eq!(next(&mut session), told("0210", "000003", "00"));
    let request = purchase("000004");
    session.send(&request).unwrap();
    let second = asked(&mut link, "0200");
    session.send(&request).unwrap();
    assert_eq!(
        next(&mut session),
        told("0210", "000004", "09"),
        "in flight"
    );
    link.send(&answered(&second, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000004", "00"));
    session.send(&request).unwrap();
    assert_eq!(next(&mut session), told("0210", "000004", "94"));
    scene.close_with(link);
}

//= docs/rules.md#V-15
//= docs/rules.md#A-11
#[test]
fn an_issuer_that_reads_reasons_is_told_why() {
    let fields = [
        ALONE,
        SHORT,
        ("NJIA__ISSUER__BANK__REASON_FIELD", "56"),
        ("NJIA__LISTENER__POS__REASON_FIELD", "56"),
    ];
    let (scene, mut link) = Scene::open("reasons", &fields);
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    asked(&mut link, "0200");
    let owed = asked(&mut link, "0420");
    assert_eq!(owed.text(56), "4021", "no answer in time");
    link.send(&answered(&owed, "00")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "91"));

    let first = approved(&mut session, &mut link, "000002");
    session.send(&reversal(*b"0420", "000003", &first)).unwrap();
    let owed = asked(&mut link, "0420");
    assert_eq!(owed.text(56), "4000", "its acquirer did not say why");
    link.send(&answered(&owed, "00")).unwrap();
    assert_eq!(next(&mut session), told("0430", "000003", "00"));

    let report = [b"0220", &with_field(&purchase("000004"), 56, "1377")[4..]].concat();
    session.send(&report).unwrap();
    assert_eq!(next(&mut session), told("0230", "000004", "00"));
    let owed = asked(&mut link, "0220");
    assert_eq!(owed.text(56), "1377");
    link.send(&answered(&owed, "00")).unwrap();

    let second = approved(&mut session, &mut link, "000005");
    let said = with_field(&reversal(*b"0420", "000006", &second), 56, "4006");
    session.send(&said).unwrap();
    assert_eq!(next(&mut session), told("0430", "000006", "00"));
    assert_eq!(asked(&mut link, "0420").text(56), "4006");
    drop((session, link));
    let (scene, mut link) = scene.killed();
    let again = asked(&mut link, "0421");
    assert_eq!(again.text(56), "4006", "after a restart");
    link.send(&answered(&again, "00")).unwrap();
    scene.close_with(link);
}

#[test]
fn an_approval_that_nobody_was_told_is_reversed_after_the_window() {
    let reverse = [
        ALONE,
        ("NJIA__LISTENER__POS__REVERSE_UNDELIVERED", "true"),
        ("NJIA__DUPLICATES__WINDOW_S", "10"),
        // Within the window.
        ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "5000"),
        ("NJIA__ROUTE__MOMO_CARDS__DEADLINE_MS", "5000"),
    ];
    let (scene, mut link) = Scene::open("untold", &reverse);
    // Its transactions live on either shard, its session on one.
    let requests = ["000001", "000002", "000003", "000004"].map(purchase);
    for request in &requests {
        let mut gone = scene.session();
        gone.send(request).unwrap();
        let first = asked(&mut link, "0200");
        drop(gone);
        scene.await_that("it is seen to be gone", || {
            scene.metric("njia_sessions", &[]) == 0.0
        });
        link.send(&answered(&first, "00")).unwrap();
    }
    let mut session = scene.session();
    session
        .send(&[b"0201", &requests[2][4..]].concat())
        .unwrap();
    assert_eq!(next(&mut session), told("0210", "000003", "00"));
    let told_in_time = approved(&mut session, &mut link, "000005");
    for _ in 0..3 {
        let owed = asked(&mut link, "0420");
        link.send(&answered(&owed, "00")).unwrap();
    }
    scene.node.settle(Duration::from_secs(60)).unwrap();
    let undelivered = scene.metric("njia_reversals_total", &["undelivered", "acknowledged"]);
    assert_eq!(undelivered, 3.0);
    session.send(&told_in_time).unwrap();
    assert_eq!(next(&mut session).2, "00", "whoever was told keeps it");
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

#[test]
fn a_reversal_may_be_a_request_with_a_number_of_its_own() {
    let own = [
        ALONE,
        SHORT,
        ("NJIA__ISSUER__BANK__REVERSAL_MTI", "0400"),
        ("NJIA__ISSUER__BANK__REVERSAL_STAN", "new"),
        ("NJIA__ISSUER__BANK__REVERSAL_TIMEOUT_MS", "3000"),
    ];
    let (scene, mut link) = Scene::open("own-number", &own);
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    let request = asked(&mut link, "0200");
    assert_eq!(next(&mut session), told("0210", "000001", "91"));
    let first = asked(&mut link, "0400");
    let again = asked(&mut link, "0401");
    assert_eq!(first.text(11), again.text(11), "the same in each sending");
    assert_ne!(first.text(11), request.text(11));
    assert_eq!(
        first.text(90)[4..10],
        request.text(11),
        "DE90 names the original"
    );
    let (scene, mut link) = scene.killed();
    let found = asked(&mut link, "0401");
    assert_eq!(found.text(11), first.text(11), "and after a restart");
    link.send(&answered(&found, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    scene.close_with(link);
}

//= docs/rules.md#V-17
#[test]
fn a_late_decline_cancels_a_reversal_that_has_not_left_until_an_approval_follows() {
    let cancel = [
        ALONE,
        SHORT,
        ("NJIA__NODE__SHARDS", "1"),
        ("NJIA__SAF__INFLIGHT_MAX", "1"),
        ("NJIA__ISSUER__BANK__REVERSAL_TIMEOUT_MS", "60000"),
        (
            "NJIA__ISSUER__BANK__CANCEL_REVERSAL_ON_LATE_DECLINE",
            "true",
        ),
    ];
    let (scene, mut link) = Scene::open("cancelled", &cancel);
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    asked(&mut link, "0200");
    session.send(&purchase("000002")).unwrap();
    let second = asked(&mut link, "0200");
    assert_eq!(next(&mut session), told("0210", "000001", "91"));
    assert_eq!(next(&mut session), told("0210", "000002", "91"));
    let of_first = asked(&mut link, "0420");
    link.send(&answered(&second, "51")).unwrap();
    scene.await_that("the second one is owed no longer", || {
        scene.metric("njia_saf_depth", &[]) == 1.0
    });
    link.send(&answered(&of_first, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    link.send(&answered(&second, "00")).unwrap();
    let of_second = asked(&mut link, "0420");
    assert_eq!(of_second.text(11), second.text(11));
    let conflicts = scene.metric("njia_exceptions_total", &["answer_conflict"]);
    assert_eq!(conflicts, 1.0);
    link.send(&answered(&of_second, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    // Whatever else would have left is behind the sign-off.
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

#[test]
fn what_is_in_flight_on_a_lost_link_is_reversed_at_once_where_the_issuer_wants_it() {
    let fail = [
        ALONE,
        ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "60000"),
        ("NJIA__ISSUER__BANK__FAIL_IN_FLIGHT_ON_LINK_LOSS", "true"),
    ];
    let (scene, mut link) = Scene::open("lost-link", &fail);
    let mut session = scene.session();
    // On either shard.
    for stan in ["000001", "000002", "000003", "000004"] {
        session.send(&purchase(stan)).unwrap();
        asked(&mut link, "0200");
    }
    drop(link);
    let mut codes: Vec<_> = (0..4).map(|_| next(&mut session)).collect();
    codes.sort_unstable();
    let expected = ["000001", "000002", "000003", "000004"].map(|stan| told("0210", stan, "91"));
    assert_eq!(codes, expected, "long before the deadline");
    let mut link = scene.bank.signed_on().unwrap();
    for _ in 0..4 {
        let owed = link.receive().unwrap();
        assert!(["0420", "0421"].contains(&owed.mti().as_str()));
        link.send(&answered(&owed, "00")).unwrap();
    }
    scene.node.settle(Duration::from_secs(60)).unwrap();
    scene.close_with(link);
}
