//! Payers who have not decided when the switch dies: each test ends with what the issuer was told
//! to do.

use std::fs;
use std::path::Path;

use njia_tests::e2e::json_bank::Submit;
use njia_tests::e2e::scene::{next, told};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{Session, alone};
use serde_json::Value;
use stage::{Stage, answering_soon, call, called, paths};

#[path = "http_pending/stage.rs"]
mod stage;

/// A payment that its payer has not decided, and where it is asked for.
fn begun(stage: &Stage, submit: Submit, key: &str) -> (Value, String) {
    stage.bank.script(&[submit]);
    let before = stage.submits();
    let begun = stage.pay(key);
    stage.await_that("it is sent", || stage.submits() == before + 1);
    let path = format!("/v1/transactions/{}", begun["id"].as_str().unwrap());
    (begun, path)
}

const WAIT: [&str; 2] = ["-H", "Prefer: wait=30"];

/// Asks until it has come to this.
#[track_caller]
fn await_state(stage: &Stage, path: &str, state: &str) -> Value {
    let mut last = Value::Null;
    stage.await_that(state, || {
        last = stage.curl(path, &WAIT);
        last["state"] == state
    });
    last
}

/// What was moved, and that nothing of it was sent twice.
#[track_caller]
fn check(stage: Stage, effects: &[(&str, u64)], submits: usize) {
    let done = stage.effects();
    let done: Vec<(&str, u64)> = done
        .iter()
        .map(|(kind, minor)| (kind.as_str(), *minor))
        .collect();
    assert_eq!(done, effects);
    assert_eq!(stage.submits(), submits, "each was sent once");
    let is_reversed = effects.iter().any(|(kind, _)| *kind == "reverse");
    assert_eq!(stage.bank.reversal_ids().is_empty(), !is_reversed);
    stage.close();
}

//= docs/rules.md#T-16
/// Killed twice: who asks sees the same payment, a copy is the same, and what the payer says is
/// the end of it.
#[test]
fn a_payer_who_has_not_decided_loses_nothing_by_a_restart() {
    let _machine = alone();
    let mut stage = Stage::open("http-restart", 300_000, "");
    for (word, state) in [("DONE", "approved"), ("NO", "declined")] {
        let (first, path) = begun(&stage, Submit::Wait, word);
        for _ in 0..2 {
            stage = stage.killed();
            let seen = stage.curl(&path, &[]);
            assert_eq!(seen["final"], false, "{seen}");
            for same in ["id", "expiresAt", "state", "requestedAt"] {
                assert_eq!(seen[same], first[same], "{same}: {seen}");
            }
            assert_eq!(seen["pendingReason"], "awaitingPayer", "{seen}");
        }
        let copy = stage.pay(word);
        assert_eq!(copy["id"], first["id"], "{copy}");
        assert_eq!(copy["final"], false, "{copy}");
        let seen = stage.bank.queries();
        stage.await_that("it is asked for", || stage.bank.queries() > seen);
        stage.bank.decide(word);
        let last = await_state(&stage, &path, state);
        assert_eq!(last["final"], true, "{last}");
        assert_eq!(stage.ended_as("approved") + stage.ended_as("declined"), 1.0);
    }
    check(stage, &[("submit", 1_000)], 2);
}

//= docs/rules.md#T-16
/// Nobody would ask for an hour: the address that was told before the kill is good, and what its
/// issuer calls for is asked.
#[test]
fn a_callback_ends_what_was_begun_before_a_restart() {
    let _machine = alone();
    let stage = Stage::asking(
        "http-restart-called",
        300_000,
        "poll_schedule_s = [3600]",
        |text| called(text, "plaintext = true"),
    );
    let (_, path) = begun(&stage, Submit::Wait, "called");
    let stage = stage.killed();
    // Once at the start.
    stage.await_that("it is asked for", || stage.bank.queries() == 1);
    stage.bank.decide("DONE");
    let told_at = paths(&stage.bank).pop().unwrap();
    let url = format!("http://{}{told_at}", stage.node.issuer_callbacks());
    assert_eq!(call(&url, &["-X", "PUT"]), "200");
    await_state(&stage, &path, "approved");
    assert_eq!(stage.bank.queries(), 2);
    check(stage, &[("submit", 1_000)], 1);
}

//= docs/rules.md#T-16
/// The deadline is that of before. What the payer does behind it is taken back.
#[test]
fn a_deadline_does_not_begin_anew() {
    let _machine = alone();
    let stage = Stage::open("http-restart-late", 30_000, "");
    let (_, path) = begun(&stage, Submit::Wait, "late");
    let stage = stage.killed();
    let seen = stage.curl(&path, &[]);
    assert_eq!(seen["final"], false, "{seen}");
    await_state(&stage, &path, "reversal_pending");
    assert_eq!(stage.effects(), []);
    stage.bank.decide("DONE");
    stage.await_that("it is taken back", || stage.bank.effects().len() == 2);
    check(stage, &[("submit", 1_000), ("reverse", 1_000)], 1);
}

//= docs/rules.md#T-16
/// Routes that come and go change the number of its route, and not its deadline.
#[test]
fn a_deadline_is_told_as_it_was_whatever_the_routes_are() {
    let _machine = alone();
    let stage = Stage::open("http-restart-routes", 300_000, "");
    let (first, path) = begun(&stage, Submit::Wait, "routed");
    let stage = stage.killed_and(|folder: &Path| {
        let other = "[[route]]\nname = \"other\"\nprefixes = [\"6\"]\ncandidates = [\"bank\"]\n\
            deadline_ms = 5_000\n[[route]]\nname = \"cards\"";
        replace(folder, "[[route]]\nname = \"cards\"", other);
    });
    let seen = stage.curl(&path, &[]);
    assert_eq!(seen["final"], false, "{seen}");
    assert_eq!(seen["expiresAt"], first["expiresAt"], "{seen}");
    stage.bank.decide("DONE");
    await_state(&stage, &path, "approved");
    check(stage, &[("submit", 1_000)], 1);
}

//= docs/rules.md#T-16
/// Payers of before have their part of what a gateway may have in flight, until they decide.
#[test]
fn what_goes_on_counts_for_its_gateway() {
    let _machine = alone();
    let stage = Stage::open("http-restart-share", 300_000, "");
    // Some on each of both shards.
    let keys: Vec<String> = (1..=8).map(|number| format!("payer-{number}")).collect();
    let paths: Vec<String> = keys
        .iter()
        .map(|key| begun(&stage, Submit::Wait, key).1)
        .collect();
    let stage = stage.killed_and(|folder: &Path| {
        let narrow = "name = \"mobile-money\"\ninflight_max = 2\n";
        replace(folder, "name = \"mobile-money\"\n", narrow);
    });
    let refused = stage.pay("one-more");
    assert_eq!(refused["status"], 429, "{refused}");
    stage.bank.decide("DONE");
    for path in &paths {
        await_state(&stage, path, "approved");
    }
    let (_, path) = begun(&stage, Submit::Approve, "one-more");
    await_state(&stage, &path, "approved");
    check(stage, &[("submit", 1_000); 9], 9);
}

/// Of its configuration, in one place.
fn replace(folder: &Path, from: &str, to: &str) {
    let path = folder.join("njia.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
}

//= docs/rules.md#T-16
/// The issuer has never had it: it is told so by a query, and never asked to pay again.
#[test]
fn what_never_arrived_is_not_sent_again() {
    let _machine = alone();
    let is_final = "not_found_grace_s = 15\nnot_found_is_final = true";
    let stage = Stage::with("http-restart-404", 300_000, is_final, answering_soon);
    let (_, path) = begun(&stage, Submit::Forget, "lost");
    let stage = stage.killed();
    let seen = stage.curl(&path, &[]);
    assert_eq!(seen["final"], false, "{seen}");
    let last = await_state(&stage, &path, "declined");
    assert_eq!(last["responseCode"], "96", "as without a restart: {last}");
    check(stage, &[], 1);
}

//= docs/rules.md#T-10
/// Its issuer cannot be asked any more: it is reversed, as any that a start finds open.
#[test]
fn without_a_query_any_more_it_is_reversed() {
    let _machine = alone();
    let stage = Stage::open("http-restart-changed", 300_000, "");
    let (_, path) = begun(&stage, Submit::Wait, "changed");
    stage.bank.decide("DONE");
    let stage = stage.killed_and(|folder: &Path| {
        let path = folder.join("njia.toml");
        let text = fs::read_to_string(&path).unwrap();
        let (head, rest) = text.split_once("[issuer.http.query]").unwrap();
        let (_, rest) = rest.split_once("[[gateway]]").unwrap();
        fs::write(&path, format!("{head}[[gateway]]{rest}")).unwrap();
    });
    stage.await_that("it is taken back", || stage.bank.effects().len() == 2);
    await_state(&stage, &path, "reversed");
    check(stage, &[("submit", 1_000), ("reverse", 1_000)], 1);
}

//= docs/rules.md#T-16
/// The session has ended with the switch. Its repeat waits for the payer, as before.
#[test]
fn a_repeat_of_an_acquirer_waits_for_what_is_asked_for() {
    let _machine = alone();
    let stage = Stage::open("http-restart-iso", 300_000, "");
    stage.bank.script(&[Submit::Wait]);
    let request = purchase("000001");
    let mut session = Session::connect(stage.node.listener()).unwrap();
    session.send(&request).unwrap();
    stage.await_that("it is sent", || stage.submits() == 1);
    let stage = stage.killed();
    let mut session = Session::connect(stage.node.listener()).unwrap();
    session.send(&request).unwrap();
    stage.await_that("it is asked for", || stage.bank.queries() >= 1);
    stage.bank.decide("DONE");
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    check(stage, &[("submit", 1_500)], 1);
}
