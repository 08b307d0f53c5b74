//! Tests of `resuming`.

use core::time::Duration;
use std::vec::Vec;

use domain::ResponseCode;
use domain::ids::IssuerId;
use domain::record::{Record, ReversalCause};
use domain::request::{Answer, IssuerLeg};

use crate::input::{Handle, Input};
use crate::output::{LegEnding, Output};
use crate::settings::{IssuerSet, Settings};
use crate::standing::Standing;
use crate::testing::{Auto, DEADLINE, Rig, approval, code, decline, settings};

/// All that a rig routes to can be asked later.
fn asked() -> Settings {
    let asked_later = (0..8).map(IssuerId);
    let asked_later = asked_later.fold(IssuerSet::NOBODY, IssuerSet::with);
    Settings {
        asked_later,
        ..settings()
    }
}

/// One request is out, a part of its time has passed, and a crash has left its intent.
fn crashed_after(passed: Duration) -> Rig {
    let mut rig = Rig::with(asked(), Auto::Flush);
    rig.request(1, 10);
    rig.pass(passed);
    rig.restart(1).unwrap();
    rig
}

const HALF: Duration = Duration::from_secs(1);

fn inquiries(rig: &Rig) -> Vec<(Handle, IssuerLeg)> {
    let seen = rig.seen.iter();
    let asked = seen.filter_map(|output| {
        if let Output::Inquire { handle, leg, .. } = output {
            Some((*handle, *leg))
        } else {
            None
        }
    });
    asked.collect()
}

fn is_told_anew(rig: &Rig) -> bool {
    let mut seen = rig.seen.iter();
    seen.any(|output| matches!(output, Output::OwedEnded { .. }))
}

fn answer(rig: &mut Rig, answer: Answer<'_>) {
    let (handle, leg) = *inquiries(rig).first().expect("it is asked for");
    let stan = leg.stan;
    rig.give(Input::Response {
        handle,
        stan,
        answer,
    });
}

fn standing(rig: &Rig) -> Standing {
    let (handle, _) = *inquiries(rig).first().expect("it is asked for");
    rig.engine.seen(handle).unwrap().standing
}

/// Nothing of it leaves a second time.
#[track_caller]
fn check_unsent(rig: &Rig) {
    let again = |output: &Output| {
        matches!(
            output,
            Output::Send { .. } | Output::SelectRoute { .. } | Output::SendReversal { .. }
        )
    };
    assert!(!rig.seen.iter().any(again), "{:?}", rig.seen);
}

//= docs/rules.md#T-16
#[test]
fn an_intent_says_until_when_it_is_asked_for() {
    let mut rig = Rig::with(asked(), Auto::Flush);
    rig.pass(HALF);
    rig.request(1, 10);
    let Record::Intent(intent) = rig.journal[0] else {
        panic!("an intent");
    };
    assert_eq!(intent.asked_until, Some(intent.admitted.after(DEADLINE)));
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    let Record::Intent(intent) = rig.journal[0] else {
        panic!("an intent");
    };
    assert_eq!(intent.asked_until, None, "nobody can be asked");
}

//= docs/rules.md#T-16
#[test]
fn q01_q03_what_is_asked_for_ends_as_the_issuer_says() {
    for (said, standing_then) in [
        (approval(), Standing::Approved),
        (decline(), Standing::Declined),
    ] {
        let mut rig = crashed_after(HALF);
        assert_eq!(rig.records(), ["intent"], "nothing is decided");
        assert_eq!(standing(&rig), Standing::Pending);
        assert_eq!(rig.engine.counts().inflight, 1);
        answer(&mut rig, said);
        assert_eq!(rig.records(), ["intent", "outcome"]);
        assert_eq!(standing(&rig), standing_then);
        let answered = LegEnding::Answered(said.code);
        assert_eq!(rig.leg_endings(), [answered]);
        assert!(is_told_anew(&rig), "whoever asks has no frame");
        check_unsent(&rig);
        rig.repeat(1, 11);
        assert_eq!(rig.told(11), Some(said.code));
        rig.restart(2).unwrap();
        assert_eq!(inquiries(&rig), []);
        assert_eq!(rig.records(), ["intent", "outcome"]);
    }
}

//= docs/rules.md#T-16
/// The deadline is that of before: not one that begins anew.
#[test]
fn q04_its_deadline_is_that_of_before_the_restart() {
    let mut rig = crashed_after(HALF);
    let rest = DEADLINE - HALF;
    rig.pass(rest - Duration::from_millis(1));
    assert_eq!(rig.records(), ["intent"]);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    let Record::SafOwed(owed) = rig.journal[2] else {
        panic!("a reversal is owed");
    };
    assert_eq!(owed.cause, ReversalCause::Timeout);
    assert_eq!(rig.leg_endings(), [LegEnding::TimedOut]);
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), Some(ResponseCode::ISSUER_INOPERATIVE));
}

//= docs/rules.md#T-16
/// Whoever asks is told so, whatever the routes are by then.
#[test]
fn q01_its_deadline_is_told_as_its_record_has_it() {
    let rig = crashed_after(HALF + Duration::from_micros(700));
    let Record::Intent(intent) = rig.journal[0] else {
        panic!("an intent");
    };
    let mut seen = rig.seen.iter();
    let told = seen.find_map(|output| {
        if let Output::Inquire { until, .. } = output {
            Some(*until)
        } else {
            None
        }
    });
    assert!(told.is_some());
    assert_eq!(told, intent.asked_until);
}

/// Of two starts the second asks again, within the same time.
#[test]
fn q05_a_further_start_asks_again() {
    let mut rig = crashed_after(HALF);
    rig.pass(HALF / 2);
    rig.restart(1).unwrap();
    assert_eq!(inquiries(&rig).len(), 1);
    rig.pass(HALF / 2);
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
}

//= docs/rules.md#T-10
#[test]
fn q02_what_has_no_time_left_is_timed_out_and_reversed() {
    let mut rig = Rig::with(asked(), Auto::Flush);
    rig.request(1, 10);
    rig.now = rig.now.after(DEADLINE);
    rig.restart(1).unwrap();
    assert_eq!(inquiries(&rig), []);
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
}

/// A record that says nothing is of a request that no query can know, and where there is no query
/// any more nobody can be asked.
#[test]
fn q02_a_changed_configuration_only_ends_the_asking() {
    let mut rig = crashed_after(HALF);
    rig.engine.settings.asked_later = IssuerSet::NOBODY;
    rig.restart(1).unwrap();
    assert_eq!(inquiries(&rig), []);
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.engine.settings.asked_later = asked().asked_later;
    rig.restart(1).unwrap();
    assert_eq!(inquiries(&rig), []);
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
}

/// A clock that was set back gives nobody more time than the route does.
#[test]
fn a_clock_that_was_set_back_makes_nothing_longer() {
    let mut rig = crashed_after(HALF);
    let wall_at_zero = rig.engine.settings.wall_at_zero;
    rig.engine.settings.wall_at_zero = wall_at_zero.before(Duration::from_secs(3_600));
    rig.restart(1).unwrap();
    assert_eq!(inquiries(&rig).len(), 1);
    rig.pass(DEADLINE);
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
}

//= docs/rules.md#T-16
/// Whatever the shell says: it was sent before, and nobody else gets it.
#[test]
fn what_cannot_be_asked_is_not_sent_to_another_one() {
    let mut rig = crashed_after(HALF);
    let (handle, leg) = inquiries(&rig)[0];
    let stan = leg.stan;
    rig.repeat(1, 11);
    rig.give(Input::Unsent { handle, stan });
    assert_eq!(rig.records(), ["intent"]);
    check_unsent(&rig);
    rig.reverse(1, 12);
    rig.give(Input::Unsent { handle, stan });
    check_unsent(&rig);
    answer(&mut rig, approval());
    assert_eq!(rig.reversals_sent().len(), 1, "it was executed");
}

/// A copy waits for the answer, and a reversal for the end of the leg, as without a restart.
#[test]
fn copies_and_reversals_find_it_in_flight() {
    let mut rig = crashed_after(HALF);
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), None);
    answer(&mut rig, approval());
    assert_eq!(rig.told(11), Some(ResponseCode::APPROVED));
    let mut rig = crashed_after(HALF);
    rig.reverse(1, 12);
    assert_eq!(rig.told(12), Some(ResponseCode::APPROVED));
    assert_eq!(rig.reversals_sent(), []);
    answer(&mut rig, Answer::of(code(b"05")));
    assert_eq!(rig.reversals_sent(), [], "nothing was moved");
}
