//! Issuers over HTTP that answer later: each test ends with what the issuer was told to do.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use njia_tests::certificates::Authority;
use njia_tests::e2e::audit::{self, AUDIT};
use njia_tests::e2e::json_bank::{JsonBank, Submit};
use njia_tests::e2e::scene::{next, told};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{Session, alone, eventually};
use stage::{KEY, Stage, answering_soon, call, called, effect, paths};

#[path = "http_pending/stage.rs"]
mod stage;

//= docs/rules.md#M-14
/// Executed, and its answer lost in each of these ways: it is asked for, and nothing is reversed.
#[test]
fn a_lost_answer_is_asked_for() {
    let _machine = alone();
    let stage = Stage::open("http-query-lost", 60_000, "");
    let mut session = Session::connect(stage.node.listener()).unwrap();
    let ways = [
        Submit::HangUp,
        Submit::Garbled,
        Submit::Failed(500),
        Submit::Failed(409),
    ];
    stage.bank.script(&ways);
    for number in 1..=ways.len() {
        let stan = format!("{number:06}");
        session.send(&purchase(&stan)).unwrap();
        assert_eq!(next(&mut session), told("0210", &stan, "00"));
    }
    assert_eq!(stage.effects(), ways.map(|_| effect("submit")));
    assert_eq!(stage.submits(), ways.len(), "each was sent once");
    assert!(stage.bank.queries() >= ways.len());
    stage.close();
}

//= docs/rules.md#M-14
/// A gateway sees it pending, and then what the payer has decided.
#[test]
fn a_payer_who_takes_time_is_waited_for() {
    let _machine = alone();
    let stage = Stage::open("http-query-payer", 300_000, "");
    let wait = ["-H", "Prefer: wait=30"];
    for (word, state) in [("DONE", "approved"), ("NO", "declined")] {
        stage.bank.script(&[Submit::Wait]);
        let seen = stage.bank.queries();
        let begun = stage.pay(word);
        let path = format!("/v1/transactions/{}", begun["id"].as_str().unwrap());
        stage.await_that("it is asked for", || stage.bank.queries() >= seen + 2);
        let pending = stage.curl(&path, &[]);
        assert_eq!(pending["final"], false, "{pending}");
        assert_eq!(pending["pendingReason"], "awaitingPayer");
        stage.bank.decide(word);
        let ended = stage.curl(&path, &wait);
        assert_eq!(ended["state"], state, "{ended}");
    }
    assert_eq!(stage.effects(), [("submit".to_owned(), 1_000)]);
    assert_eq!(stage.submits(), 2, "each was sent once");
    stage.close();
}

//= docs/rules.md#M-15
/// Its deadline ends its wait: 91. What the payer does then is taken back.
#[test]
fn what_is_confirmed_behind_the_deadline_is_refunded() {
    let _machine = alone();
    let stage = Stage::open("http-query-late", 3_000, "");
    let mut session = stage.sent(Submit::Wait);
    assert_eq!(next(&mut session), told("0210", "000001", "91"));
    let seen = stage.bank.queries();
    stage.await_that("the reversal asks", || stage.bank.queries() >= seen + 2);
    assert_eq!(stage.effects(), [], "nothing is taken back yet");
    stage.bank.decide("DONE");
    stage.await_that("it is taken back", || stage.bank.effects().len() == 2);
    assert_eq!(stage.effects(), [effect("submit"), effect("reverse")]);
    assert_eq!(stage.submits(), 1);
    stage.close();
}

//= docs/rules.md#M-15
#[test]
fn what_is_declined_behind_the_deadline_has_nothing_to_reverse() {
    let _machine = alone();
    let stage = Stage::open("http-query-no", 3_000, "");
    let mut session = stage.sent(Submit::Wait);
    assert_eq!(next(&mut session), told("0210", "000001", "91"));
    stage.bank.decide("NO");
    stage.node.settle(Duration::from_secs(60)).unwrap();
    assert_eq!(stage.effects(), []);
    assert_eq!(stage.bank.reversal_ids(), Vec::<String>::new());
    stage.close();
}

//= docs/rules.md#M-15
/// Killed between the submit and what the payer decides, and down until its time is over.
#[test]
fn what_is_confirmed_behind_a_long_outage_is_refunded() {
    let _machine = alone();
    let stage = Stage::open("http-query-killed", 3_000, "");
    let _session = stage.sent(Submit::Wait);
    stage.await_that("it is sent", || stage.submits() == 1);
    let sent = Instant::now();
    let stage = stage.killed_and(|_| {
        assert!(eventually(Duration::from_secs(60), || {
            sent.elapsed() > Duration::from_secs(3)
        }));
    });
    let seen = stage.bank.queries();
    stage.await_that("the reversal asks", || stage.bank.queries() >= seen + 2);
    stage.bank.decide("DONE");
    stage.await_that("it is taken back", || stage.bank.effects().len() == 2);
    assert_eq!(stage.effects(), [effect("submit"), effect("reverse")]);
    assert_eq!(stage.submits(), 1);
    stage.close();
}

//= docs/rules.md#M-14
/// An issuer that does not know it may come to know it, unless it says that this is final.
#[test]
fn what_is_not_known_is_no_proof_by_itself() {
    let _machine = alone();
    let is_final = "not_found_grace_s = 4\nnot_found_is_final = true";
    let stage = Stage::with("http-query-404", 60_000, is_final, answering_soon);
    let mut session = stage.sent(Submit::Forget);
    assert_eq!(next(&mut session), told("0210", "000001", "96"));
    assert!(stage.bank.queries() >= 2, "it was asked within the grace");
    assert_eq!(stage.bank.reversal_ids(), Vec::<String>::new());
    stage.close();
    let stage = Stage::open("http-query-404-open", 3_000, "not_found_grace_s = 1");
    let mut session = stage.sent(Submit::Forget);
    assert_eq!(next(&mut session), told("0210", "000001", "91"));
    let seen = stage.bank.queries();
    stage.await_that("the reversal asks", || stage.bank.queries() >= seen + 2);
    assert_eq!(stage.bank.reversal_ids(), Vec::<String>::new());
    fs::remove_dir_all(&stage.folder).unwrap();
}

//= docs/rules.md#R-05
/// More payers than the bulkhead has places take their time, and the next one is asked at once.
#[test]
fn a_pending_payment_takes_no_place_of_the_bulkhead() {
    let _machine = alone();
    let narrow = |text: String| text.replace("links = 2", "links = 2\ninflight_max = 2");
    let stage = Stage::with("http-query-places", 120_000, "", narrow);
    let mut session = Session::connect(stage.node.listener()).unwrap();
    for number in 1..=6 {
        stage.bank.script(&[Submit::Wait]);
        session.send(&purchase(&format!("{number:06}"))).unwrap();
        // Its answer, which says that there is none yet, has come when it is asked for.
        stage.await_that("each is asked for", || stage.asked_for() == number);
    }
    let taken = stage.node.metric("njia_issuer_inflight", &["bank"]);
    assert_eq!(taken.unwrap(), 0.0);
    stage.bank.decide("DONE");
    for _ in 1..=6 {
        assert_eq!(next(&mut session).2, "00");
    }
    assert_eq!(stage.effects(), vec![effect("submit"); 6]);
    stage.close();
}

/// The issuer takes nothing back: what it has executed too late is for people.
#[test]
fn without_a_reverse_what_is_confirmed_late_is_an_exception() {
    let _machine = alone();
    let stage = Stage::with("http-query-people", 3_000, "", |text| {
        let (head, tail) = text.split_once("[issuer.http.reverse]").unwrap();
        let (_, answer) = tail.split_once("[issuer.http.answer]").unwrap();
        format!("{head}[issuer.http.answer]{answer}")
    });
    let mut session = stage.sent(Submit::Wait);
    assert_eq!(next(&mut session), told("0210", "000001", "91"));
    let exceptions = || stage.node.metric("njia_exceptions_total", &[]).unwrap();
    let seen = stage.bank.queries();
    stage.await_that("it is asked for", || stage.bank.queries() >= seen + 2);
    assert_eq!(exceptions(), 0.0, "nobody has decided");
    stage.bank.decide("DONE");
    stage.await_that("people are told", || exceptions() == 1.0);
    assert_eq!(stage.effects(), [effect("submit")]);
    assert_eq!(stage.submits(), 1);
    stage.close();
}

/// One more than may be asked for at a time is reversed, as where there is no query; its place is
/// the next one's when it is decided.
#[test]
fn beyond_the_bound_what_is_pending_is_reversed() {
    let _machine = alone();
    let stage = Stage::with("http-query-bound", 60_000, "pending_max = 1", |text| {
        text.replace("links = 2", "links = 1")
    });
    let mut session = stage.sent(Submit::Wait);
    stage.await_that("it is asked for", || stage.bank.queries() >= 1);
    stage.bank.script(&[Submit::Wait]);
    session.send(&purchase("000002")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000002", "96"));
    stage.bank.decide("DONE");
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    stage.await_that("the other is taken back", || {
        stage.bank.effects().len() == 3
    });
    assert_eq!(stage.effects()[2], effect("reverse"));
    stage.bank.script(&[Submit::Wait]);
    session.send(&purchase("000003")).unwrap();
    stage.await_that("it is sent", || stage.submits() == 3);
    stage.bank.decide("DONE");
    assert_eq!(next(&mut session), told("0210", "000003", "00"));
    stage.close();
}

//= docs/rules.md#M-16
/// Nobody would ask for an hour: what the issuer calls for is asked at once, and the answer to that
/// decides, whatever the callback says. Forged, late and repeated ones change nothing.
#[test]
fn fault_086_a_callback_of_an_issuer_is_verified_and_decides_nothing() {
    let _machine = alone();
    let more = format!("plaintext = true\n{AUDIT}");
    let stage = Stage::asking("http-called", 300_000, "poll_schedule_s = [3600]", |text| {
        called(text, &more)
    });
    let url = |path: &str| format!("http://{}{path}", stage.node.issuer_callbacks());
    let lie = ["-X", "PUT", "--data-binary", r#"{"status":"DONE"}"#];
    for (number, word, code) in [(1, "DONE", "00"), (2, "NO", "05")] {
        let stan = format!("{number:06}");
        stage.bank.script(&[Submit::Wait]);
        let mut session = Session::connect(stage.node.listener()).unwrap();
        session.send(&purchase(&stan)).unwrap();
        stage.await_that("it is sent", || stage.submits() == number);
        let told_at = paths(&stage.bank).pop().unwrap();
        let (seen, submits) = (stage.bank.queries(), stage.effects());
        // It says that all is done: it is asked, and says otherwise.
        assert_eq!(call(&url(&told_at), &lie), "200");
        stage.await_that("it is asked", || stage.bank.queries() == seen + 1);
        let forged = told_at.replacen("/bank/2", "/bank/3", 1);
        for path in [forged.as_str(), "/told/bank/x", "/told", "/", "/metrics"] {
            assert_eq!(call(&url(path), &lie), "401", "{path}");
        }
        assert_eq!(call(&url(&told_at), &[]), "405");
        assert_eq!(stage.effects(), submits, "nothing is decided");
        stage.bank.decide(word);
        for _ in 0..5 {
            assert_eq!(call(&url(&told_at), &["-X", "POST"]), "200");
        }
        assert_eq!(next(&mut session), told("0210", &stan, code));
        assert!(stage.bank.queries() <= seen + 3, "once in a second at most");
        // It moves back, and nobody listens.
        assert_eq!(call(&url(&told_at), &lie), "200");
    }
    let taken = |result: &str| stage.node.metric("njia_issuer_callbacks_total", &[result]);
    stage.await_that("they are counted", || taken("forged").unwrap() == 10.0);
    assert_eq!(taken("taken").unwrap(), 14.0);
    assert_eq!(taken("malformed").unwrap(), 2.0);
    assert_eq!(stage.effects(), [effect("submit")]);
    assert_eq!(stage.submits(), 2, "each was sent once");
    check_forged_is_written(stage.ended());
}

/// Each of the ten, one in a line of its own and the others counted.
fn check_forged_is_written(folder: PathBuf) {
    let file = audit::file(&folder.join("state"));
    let (mut lines, mut forged) = (0, 0);
    for [event, who, object, result, reason, count] in audit::lines(&file) {
        if reason == "forged_address" {
            let told = [event, who, object, result];
            let expected = [
                "authentication",
                "unknown",
                "listener:issuer_callbacks",
                "refused",
            ];
            assert_eq!(told, expected);
            lines += 1;
            forged += count.parse::<u32>().unwrap();
        }
    }
    assert_eq!((lines, forged), (2, 10));
    let (code, told) = audit::verified(&folder.join("njia.toml"), KEY, &[&file]);
    assert_eq!(code, 0, "{told}");
    fs::remove_dir_all(folder).unwrap();
}

//= docs/rules.md#M-16
/// Over TLS, after a kill, the address that was told before is still good, and the body is bounded.
#[test]
fn an_address_for_callbacks_outlives_a_restart() {
    let _machine = alone();
    let authority = Authority::new().unwrap();
    let own = authority.issue("switch", "DNS:localhost").unwrap();
    let tls = format!(
        "tls = {{ certificate = \"file:{}\", key = \"file:{}\" }}",
        own.certificate.display(),
        own.key.display()
    );
    let stage = Stage::asking("http-called-tls", 60_000, "poll_schedule_s = [1]", |text| {
        called(text, &tls)
    });
    let _session = stage.sent(Submit::Wait);
    stage.await_that("it is sent", || stage.submits() == 1);
    let stage = stage.killed();
    let told_at = paths(&stage.bank).pop().unwrap();
    let port = stage
        .node
        .issuer_callbacks()
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    let url = |scheme: &str| format!("{scheme}://localhost:{port}{told_at}");
    let root = authority.root().display().to_string();
    let long = stage.folder.join("long");
    fs::write(&long, vec![b'1'; 65_537]).unwrap();
    let long = format!("@{}", long.display());
    assert_eq!(
        call(&url("https"), &["--cacert", &root, "-X", "PUT"]),
        "200"
    );
    let much = ["--cacert", &root, "--data-binary", &long];
    assert_eq!(call(&url("https"), &much), "413");
    assert_eq!(call(&url("http"), &["-X", "PUT"]), "000", "in clear");
    stage.bank.decide("DONE");
    stage.await_that("it is told", || stage.ended_as("approved") == 1.0);
    assert_eq!(stage.effects(), [effect("submit")]);
    stage.close();
}

/// A switch that shows the bank tokens, which are good for so long.
fn with_tokens(name: &str, expires_in: &str) -> Stage {
    let bank = JsonBank::start().unwrap();
    bank.demand_tokens(expires_in);
    let url = format!("http://{}/token", bank.address());
    let change = |text: String| {
        let auth = "kind = \"basic\"\nuser = \"njia\"";
        let oauth2 = format!("kind = \"oauth2\"\ntoken_url = \"{url}\"\nclient_id = \"njia\"");
        let path = "path = \"/payments\"\n";
        let header = format!("{path}headers = {{ X-Reference-Id = \"{{ourUuid}}\" }}\n");
        let secrets = "[issuer.http.secret_headers]\nX-Key = \"env:NJIA_TEST_KEY\"\n";
        let text = text.replacen(auth, &oauth2, 1).replacen(path, &header, 1);
        let submit = "[issuer.http.submit]";
        text.replacen(submit, &format!("{secrets}{submit}"), 1)
    };
    let stage = Stage::over(bank, name, (60_000, "poll_schedule_s = [1]"), change);
    stage.await_that("it is told when the token ends", || {
        let name = "njia_issuer_token_expiry_timestamp_seconds";
        stage.node.metric(name, &["bank"]).unwrap() > 0.0
    });
    stage
}

/// It is renewed before its end, and no request comes without one.
#[test]
fn a_token_is_renewed_before_it_ends() {
    let _machine = alone();
    let stage = with_tokens("http-tokens", "\"4\"");
    let mut session = Session::connect(stage.node.listener()).unwrap();
    for number in 1..=3 {
        let (seen, stan) = (stage.bank.tokens_asked().len(), format!("{number:06}"));
        stage.await_that("it is renewed", || stage.bank.tokens_asked().len() > seen);
        session.send(&purchase(&stan)).unwrap();
        assert_eq!(next(&mut session), told("0210", &stan, "00"));
    }
    let (head, body) = stage.bank.tokens_asked().remove(0);
    assert!(head.contains("authorization: Basic bmppYTow"), "{head}");
    assert!(head.contains(&format!("x-key: {KEY}")), "{head}");
    assert_eq!(body, "grant_type=client_credentials");
    let heads = stage.bank.heads();
    let ids = heads
        .iter()
        .filter_map(|head| head.split_once("X-Reference-Id: "));
    let ids: Vec<&str> = ids.filter_map(|(_, rest)| rest.get(..36)).collect();
    assert_eq!(ids.len(), 3);
    for id in ids {
        let marks = (id.as_bytes()[14], id.as_bytes()[19]);
        assert!(matches!(marks, (b'4', b'8' | b'9' | b'a' | b'b')), "{id}");
    }
    stage.close();
}

/// What is not let in was not executed; a new token is asked for before the old one ends.
#[test]
fn a_token_that_is_refused_is_renewed() {
    let _machine = alone();
    let stage = with_tokens("http-tokens-refused", "3600");
    let mut session = Session::connect(stage.node.listener()).unwrap();
    // None is asked for again within five seconds, whatever is refused.
    stage.bank.withdraw_tokens();
    session.send(&purchase("000001")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "96"));
    stage.await_that("it is renewed", || stage.bank.tokens_asked().len() == 2);
    session.send(&purchase("000002")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000002", "00"));
    assert_eq!(stage.effects(), [effect("submit")]);
    assert_eq!(stage.bank.reversal_ids(), Vec::<String>::new());
    stage.close();
}
