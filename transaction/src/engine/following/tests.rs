//! What is owed about one original leaves in its order.

use core::time::Duration;
use std::vec::Vec;

use domain::ResponseCode;
use domain::ids::TransactionId;
use domain::record::Record;
use domain::request::{Advice, Reversal};
use domain::time::WallTime;

use super::{COMPLETIONS_MAX, COMPLETIONS_REVERSED_MAX};
use crate::input::{Input, OwedId};
use crate::output::{Event, NotAdmitted, Output};
use crate::settings::Settings;
use crate::testing::{Auto, Rig, advice, approval, code, facts, kes, named, reversal, settings};

const OK: ResponseCode = ResponseCode::APPROVED;
/// Longer than the longest pause, shorter than anything expires.
const LONG: Duration = Duration::from_secs(900);

/// Request 1 is approved.
fn approved() -> Rig {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    rig.seen.clear();
    rig
}

/// Advice `number` completes request 1.
fn complete(rig: &mut Rig, number: u32) {
    rig.give(Input::Advice(completion(number, 20 + number)));
    assert_eq!(rig.told(20 + number), Some(OK));
}

fn completion(number: u32, frame: u32) -> Advice<'static> {
    let mut completion = advice(number, frame);
    completion.facts.account = facts(1).account;
    completion.facts.amount = kes(100);
    completion.original = Some(named(1));
    completion
}

fn reverse_in_part(rig: &mut Rig, minor: u64, frame: u32) {
    let mut part = reversal(1, frame);
    part.key.0 += u128::from(frame);
    part.replacement = Some(kes(minor));
    rig.give(Input::Reversal(part));
    assert_eq!(rig.told(frame), Some(OK));
}

/// Advice `number`, which completes request 1, was a mistake. Its place is told from those around
/// it by the millisecond.
fn undo(rig: &mut Rig, number: u32, frame: u32) {
    let moment = Duration::from_millis(1);
    rig.pass(moment);
    rig.give(Input::Reversal(undoing(number, frame)));
    assert_eq!(rig.told(frame), Some(OK));
    rig.pass(moment);
}

fn undoing(number: u32, frame: u32) -> Reversal {
    let mut undone = reversal(number, frame);
    undone.token = Some(facts(1).account.token);
    undone.amount = kes(100);
    undone
}

/// Advice 2 completes request 1, and the issuer has it.
fn completed() -> Rig {
    let mut rig = approved();
    complete(&mut rig, 2);
    let (_, _, owed) = alone(&mut rig);
    acknowledge(&mut rig, owed);
    assert_eq!(rig.engine.counts().saf, 0);
    rig
}

/// Whose all that is owed is, in the order in which it leaves, one by one: by the number of its
/// request or advice.
fn owners(rig: &mut Rig) -> Vec<u32> {
    let mut owners = Vec::new();
    while rig.engine.counts().saf > 0 {
        let (_, _, owed) = alone(rig);
        let facts = rig.engine.facts(owed.handle).unwrap();
        owners.push(facts.trace.stan.number());
        acknowledge(rig, owed);
    }
    owners
}

/// What has left since the last look, each once: whose, and whether it is an advice.
fn left(rig: &mut Rig) -> Vec<(TransactionId, bool, OwedId)> {
    let mut left = Vec::new();
    for output in &rig.seen {
        let (owed, is_advice) = if let Output::SendAdvice { owed, .. } = output {
            (*owed, true)
        } else if let Output::SendReversal { owed, .. } = output {
            (*owed, false)
        } else {
            continue;
        };
        if left.iter().all(|(_, _, other)| *other != owed) {
            let id = rig.engine.transaction_id(owed.handle).unwrap();
            left.push((id, is_advice, owed));
        }
    }
    rig.seen.clear();
    left
}

fn acknowledge(rig: &mut Rig, owed: OwedId) {
    rig.give(Input::ReversalResponse { owed, code: OK });
}

/// The one entry that has left, and keeps leaving for a long time without another one.
#[track_caller]
fn alone(rig: &mut Rig) -> (TransactionId, bool, OwedId) {
    rig.pass(LONG);
    let left = left(rig);
    assert_eq!(left.len(), 1, "{left:?}");
    left[0]
}

/// All that is owed leaves one by one; whether each is an advice.
fn one_by_one(rig: &mut Rig) -> Vec<bool> {
    let mut kinds = Vec::new();
    while rig.engine.counts().saf > 0 {
        let (_, is_advice, owed) = alone(rig);
        kinds.push(is_advice);
        acknowledge(rig, owed);
    }
    kinds
}

//= docs/rules.md#V-12
#[test]
fn a_reversal_never_overtakes_a_completion() {
    let mut rig = approved();
    complete(&mut rig, 2);
    rig.reverse(1, 30);
    assert_eq!(rig.told(30), Some(OK), "it is taken at once");
    assert_eq!(one_by_one(&mut rig), [true, false]);
}

//= docs/rules.md#V-12
#[test]
fn completions_leave_in_their_order() {
    let mut rig = approved();
    for number in 2..=5 {
        complete(&mut rig, number);
    }
    let mut ids = Vec::new();
    while rig.engine.counts().saf > 0 {
        let (id, _, owed) = alone(&mut rig);
        ids.push(id);
        acknowledge(&mut rig, owed);
    }
    assert_eq!(ids.len(), 4);
    assert!(ids.is_sorted(), "{ids:?}");
}

//= docs/rules.md#V-12
#[test]
fn a_completion_never_overtakes_the_reversal_that_left_it_something() {
    let mut rig = approved();
    reverse_in_part(&mut rig, 5_000, 30);
    complete(&mut rig, 2);
    reverse_in_part(&mut rig, 1_000, 31);
    complete(&mut rig, 3);
    assert_eq!(one_by_one(&mut rig), [false, true, false, true]);
}

/// What was completed by mistake is reversed and completed anew.
#[test]
fn a_completion_never_overtakes_the_reversal_of_an_older_one() {
    let mut rig = approved();
    complete(&mut rig, 2);
    undo(&mut rig, 2, 30);
    complete(&mut rig, 3);
    let (first, is_advice, owed) = alone(&mut rig);
    assert!(is_advice);
    acknowledge(&mut rig, owed);
    let (second, is_advice, owed) = alone(&mut rig);
    assert_eq!((second, is_advice), (first, false));
    acknowledge(&mut rig, owed);
    let (third, is_advice, _) = alone(&mut rig);
    assert!(third != first && is_advice);
}

//= docs/rules.md#V-12
#[test]
fn the_reversal_of_what_was_acknowledged_waits_for_an_older_completion() {
    let mut rig = completed();
    complete(&mut rig, 3);
    undo(&mut rig, 2, 30);
    assert_eq!(owners(&mut rig), [3, 2]);
}

//= docs/rules.md#V-12
#[test]
fn nothing_overtakes_the_reversal_of_what_was_acknowledged() {
    let mut rig = completed();
    undo(&mut rig, 2, 30);
    complete(&mut rig, 3);
    rig.reverse(1, 31);
    assert_eq!(owners(&mut rig), [2, 3, 1]);
}

//= docs/rules.md#V-12
#[test]
fn what_an_acknowledged_completion_completes_survives_a_restart() {
    let mut rig = completed();
    rig.restart(rig.journal.len()).unwrap();
    complete(&mut rig, 3);
    undo(&mut rig, 2, 30);
    rig.reverse(1, 31);
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(owners(&mut rig), [3, 2, 1]);
}

/// What completes an original may be completed itself, and have been acknowledged before.
#[test]
fn the_reversal_of_a_completion_waits_for_what_completes_that() {
    let mut rig = completed();
    let mut further = completion(3, 23);
    further.original = Some(named(2));
    rig.give(Input::Advice(further));
    assert_eq!(rig.told(23), Some(OK));
    undo(&mut rig, 2, 30);
    assert_eq!(owners(&mut rig), [3, 2]);
}

#[test]
fn of_different_originals_nobody_waits() {
    let mut rig = approved();
    complete(&mut rig, 2);
    rig.request(7, 17);
    rig.respond(approval());
    rig.reverse(7, 30);
    assert_eq!(left(&mut rig).len(), 2);
}

#[test]
fn what_nobody_has_named_leaves_without_a_question() {
    let mut rig = approved();
    rig.reverse(1, 30);
    let asked = |output: &Output| matches!(output, Output::AskOlder { .. });
    assert!(!rig.seen.iter().any(asked));
    assert_eq!(left(&mut rig).len(), 1);
}

#[test]
fn what_people_have_does_not_hold_the_rest() {
    let mut rig = approved();
    complete(&mut rig, 2);
    rig.reverse(1, 30);
    let (_, _, owed) = alone(&mut rig);
    for _ in 0..3 {
        rig.give(Input::ReversalResponse {
            owed,
            code: code(b"12"),
        });
        rig.pass(LONG);
    }
    assert_eq!(rig.engine.counts().exceptions, 1);
    let left = left(&mut rig);
    assert!(left.iter().any(|(_, is_advice, _)| !is_advice), "{left:?}");
}

#[test]
fn a_restart_keeps_the_order() {
    let mut rig = approved();
    reverse_in_part(&mut rig, 5_000, 30);
    complete(&mut rig, 2);
    complete(&mut rig, 3);
    rig.reverse(1, 31);
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(one_by_one(&mut rig), [false, true, true, false]);
}

#[test]
fn a_reversal_waits_for_a_completion_from_before_the_restart() {
    let mut rig = approved();
    complete(&mut rig, 2);
    rig.restart(rig.journal.len()).unwrap();
    rig.pass(Duration::from_millis(1));
    rig.reverse(1, 30);
    assert_eq!(rig.told(30), Some(OK));
    assert_eq!(one_by_one(&mut rig), [true, false]);
}

/// Its place is behind what it names, also by a clock that was set back.
#[test]
fn a_clock_that_was_set_back_changes_no_order() {
    let mut rig = approved();
    complete(&mut rig, 2);
    let hour = Duration::from_secs(3_600);
    let wall = rig.wall().before(hour);
    rig.give(Input::Wall { wall });
    complete(&mut rig, 3);
    rig.reverse(1, 31);
    assert_eq!(one_by_one(&mut rig), [true, true, false]);
}

/// The place of what is accepted behind a restart is behind what was accepted before it.
#[test]
fn a_clock_that_was_set_back_over_a_restart_changes_no_order() {
    let mut rig = approved();
    complete(&mut rig, 2);
    let settings = &mut rig.engine.settings;
    settings.wall_at_zero = settings.wall_at_zero.before(Duration::from_secs(3_600));
    rig.restart(rig.journal.len()).unwrap();
    rig.reverse(1, 30);
    assert_eq!(rig.told(30), Some(OK));
    assert_eq!(one_by_one(&mut rig), [true, false]);
}

/// As [`approved`], with room for more than may be owed about one original.
fn approved_with_room() -> Rig {
    let room = 2 * COMPLETIONS_REVERSED_MAX;
    let settings = Settings {
        transactions_max: room,
        saf_max: room,
        advice_bytes_max: 64 * room,
        ..settings()
    };
    let mut rig = Rig::with(settings, Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    rig.seen.clear();
    rig
}

fn busy() -> Option<ResponseCode> {
    Some(ResponseCode::MALFUNCTION)
}

//= docs/rules.md#V-14
#[test]
fn so_many_completions_of_one_original_are_owed_at_a_time() {
    let mut rig = approved_with_room();
    rig.request(9_000, 9_002);
    rig.respond(approval());
    rig.seen.clear();
    let last = 2 + u32::try_from(COMPLETIONS_MAX).unwrap();
    for number in 2..last {
        complete(&mut rig, number);
    }
    let (_, _, first) = alone(&mut rig);
    let before = rig.engine.counts().saf;
    rig.give(Input::Advice(completion(last, 9_001)));
    assert_eq!(rig.told(9_001), busy());
    let full = Event::NotAdmitted(NotAdmitted::CompletionsFull);
    assert!(rig.events().contains(&full), "its reason is counted");
    assert_eq!(rig.engine.counts().saf, before, "nothing is remembered");
    let mut other = advice(9_001, 9_003);
    other.facts.account = facts(9_000).account;
    other.original = Some(named(9_000));
    rig.give(Input::Advice(other));
    assert_eq!(rig.told(9_003), Some(OK), "it is of another original");
    acknowledge(&mut rig, first);
    complete(&mut rig, last);
}

//= docs/rules.md#V-14
#[test]
fn a_restart_counts_what_is_owed_about_one_original() {
    let mut rig = approved_with_room();
    let last = 2 + u32::try_from(COMPLETIONS_MAX).unwrap();
    for number in 2..last {
        complete(&mut rig, number);
    }
    rig.restart(rig.journal.len()).unwrap();
    rig.give(Input::Advice(completion(last, 9_001)));
    assert_eq!(rig.told(9_001), busy());
}

//= docs/rules.md#V-14
#[test]
fn so_many_reversals_of_the_completions_of_one_original_are_owed_at_a_time() {
    let mut rig = approved_with_room();
    let last = 2 + u32::try_from(COMPLETIONS_REVERSED_MAX).unwrap();
    for number in 2..=last {
        complete(&mut rig, number);
        let owed = left(&mut rig)[0].2;
        acknowledge(&mut rig, owed);
    }
    for number in 2..last {
        undo(&mut rig, number, 10_000 + number);
    }
    rig.give(Input::Reversal(undoing(last, 9_001)));
    assert_eq!(rig.told(9_001), busy(), "its acquirer repeats it");
    let owed = rig.seen.iter().find_map(|output| {
        if let Output::SendReversal { owed, .. } = output {
            Some(*owed)
        } else {
            None
        }
    });
    acknowledge(&mut rig, owed.unwrap());
    undo(&mut rig, last, 9_002);
}

//= docs/rules.md#V-14
#[test]
fn reversals_of_its_completions_count_with_the_completions_of_an_original() {
    let mut rig = approved_with_room();
    let last = 2 + u32::try_from(COMPLETIONS_MAX).unwrap();
    for number in 2..last {
        complete(&mut rig, number);
        let owed = left(&mut rig)[0].2;
        acknowledge(&mut rig, owed);
    }
    for number in 2..last {
        undo(&mut rig, number, 10_000 + number);
    }
    rig.give(Input::Advice(completion(last, 9_001)));
    assert_eq!(rig.told(9_001), busy());
    let owed = left(&mut rig)[0].2;
    acknowledge(&mut rig, owed);
    complete(&mut rig, last);
}

/// The place of the latest reversal in the journal.
fn placed_last(rig: &Rig) -> WallTime {
    let mut records = rig.journal.iter().rev();
    let owed = records.find_map(|record| {
        let Record::SafOwed(owed) = record else {
            return None;
        };
        Some(owed.decided)
    });
    owed.unwrap()
}

//= docs/rules.md#V-12
#[test]
fn what_is_accepted_behind_a_start_has_its_place_behind_what_any_shard_owes() {
    let later = |rig: &Rig| rig.wall().after(Duration::from_secs(3_600));
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    rig.restart(rig.journal.len()).unwrap();
    let of_another_shard = later(&rig);
    rig.engine.begin_places_behind(of_another_shard);
    rig.reverse(1, 11);
    assert!(placed_last(&rig) > of_another_shard);
    assert_eq!(
        rig.engine.latest_place(),
        placed_last(&rig),
        "for the next start"
    );
    // What came since nobody can have completed before.
    rig.request(2, 12);
    rig.respond(approval());
    rig.reverse(2, 13);
    assert!(placed_last(&rig) < of_another_shard);
}

//= docs/rules.md#V-12
/// The reversal of a completion has its place behind it, whenever that was acknowledged.
#[test]
fn a_start_tells_the_places_of_what_its_issuer_has() {
    let mut rig = completed();
    assert_eq!(rig.engine.counts().saf, 0);
    rig.restart(rig.journal.len()).unwrap();
    assert!(rig.engine.latest_place() > WallTime::default());
    let told = rig.engine.latest_place();
    undo(&mut rig, 2, 30);
    assert!(placed_last(&rig) > told);
}
