//! The rows of the table of completion requests.

use core::time::Duration;

use domain::ids::AuthorisationId;
use domain::profile::{CompletionLimit, Profile, ReversedOriginal};
use domain::record::{OutcomeKind, Record};
use domain::request::{
    Answer, Completion, Facts, FrameId, MessageKind, Request, Reversal, Transmission,
};

use super::*;
use crate::input::{Input, Selection};
use crate::output::{Event, LegEnding};
use crate::testing::{Auto, Rig, advice, approval, code, decline, facts, kes, named, reversal};

const GONE: ResponseCode = ResponseCode::ISSUER_INOPERATIVE;

fn rig() -> Rig {
    Rig::new(Auto::Flush)
}

/// Request 1 has been approved.
fn approved() -> Rig {
    let mut rig = rig();
    rig.request(1, 10);
    rig.respond(approval());
    rig.seen.clear();
    rig
}

fn ask(rig: &mut Rig, frame: u32) {
    rig.complete(2, frame, Completion::Named(named(1)));
}

fn selected(rig: &Rig) -> Option<(IssuerId, Completed)> {
    rig.seen.iter().find_map(|output| {
        if let Output::SelectIssuer(wanted) = output {
            Some((wanted.issuer, wanted.completed))
        } else {
            None
        }
    })
}

//= docs/rules.md#T-12
#[test]
fn c01_it_goes_to_the_issuer_of_its_original_and_is_answered_by_it() {
    let mut rig = rig();
    rig.request(1, 10);
    let (original, leg) = rig.sent();
    rig.respond(approval());
    rig.seen.clear();
    ask(&mut rig, 20);
    let (issuer, completed) = selected(&rig).expect("an issuer is asked for");
    assert_eq!(issuer, leg.issuer);
    assert_eq!(
        (completed.stan, completed.transmitted),
        (leg.stan, leg.transmitted)
    );
    let id = rig.engine.transaction_id(original).unwrap();
    assert_eq!(completed.transaction, id);
    let assessed = |output: &Output| matches!(output, Output::Assess { .. });
    assert!(
        !rig.seen.iter().any(assessed),
        "risk has judged the original"
    );
    assert_eq!(rig.told(20), None);
    rig.respond(approval());
    assert_eq!(rig.told(20), Some(ResponseCode::APPROVED));
    assert_eq!(rig.records(), ["intent", "outcome", "intent", "outcome"]);
}

#[test]
fn c01_a_decline_is_the_issuers_word_and_so_is_one_of_the_original() {
    let mut rig = approved();
    ask(&mut rig, 20);
    rig.respond(decline());
    assert_eq!(rig.told(20), Some(decline().code));

    let mut rig = self::rig();
    rig.request(1, 10);
    rig.respond(decline());
    ask(&mut rig, 20);
    rig.respond(approval());
    assert_eq!(rig.told(20), Some(ResponseCode::APPROVED));
}

#[test]
fn c02_what_names_nothing_is_told_so_and_every_copy_the_same() {
    let mut rig = rig();
    ask(&mut rig, 20);
    let unknown = ResponseCode::ORIGINAL_NOT_FOUND;
    assert_eq!(rig.told(20), Some(unknown));
    assert_eq!(rig.records(), ["refused"]);
    // The original comes after all: what was told stays.
    rig.request(1, 10);
    rig.respond(approval());
    ask(&mut rig, 21);
    assert_eq!(rig.told(21), Some(unknown));
    let kept = rig.journal.len();
    rig.restart(kept).unwrap();
    ask(&mut rig, 22);
    assert_eq!(rig.told(22), Some(unknown));
    assert_eq!(rig.journal.len(), kept);
}

#[test]
fn c02_what_the_switch_has_declined_went_nowhere() {
    let mut rig = Rig::new(Auto::Nothing);
    rig.request(1, 10);
    let Some(Output::Assess { handle, .. }) = rig.seen.first().copied() else {
        panic!("{:?}", rig.seen);
    };
    rig.give(Input::Assessed {
        handle,
        assessment: crate::input::Assessment::Decline {
            code: code(b"59"),
            reason: RefusalReason::Fraud,
        },
    });
    rig.flush();
    rig.auto = Auto::Flush;
    ask(&mut rig, 20);
    assert_eq!(rig.told(20), Some(ResponseCode::ORIGINAL_NOT_FOUND));
}

//= docs/rules.md#T-13
#[test]
fn c02_one_without_de90_is_looked_for_by_its_reference() {
    let mut rig = approved();
    rig.auto = Auto::Decide;
    rig.complete(2, 20, Completion::Unnamed);
    let Some(Output::FindReferred { handle }) = rig.seen.first().copied() else {
        panic!("{:?}", rig.seen);
    };
    assert!(rig.engine.is_locating(handle));
    let original = rig
        .engine
        .original(&crate::advice::OriginalQuery::of(&facts(1), named(1)));
    rig.give(Input::Original { handle, original });
    assert!(!rig.engine.is_locating(handle) && selected(&rig).is_some());
    rig.give(Input::Original { handle, original });
    assert!(rig.events().contains(&Event::Stray), "told twice");
}

//= docs/rules.md#D-05
#[test]
fn c03_what_was_reversed_is_not_completed() {
    let check = |before: fn(&mut Rig), answer: ReversedOriginal, told: &[u8; 2]| {
        let mut rig = rig();
        rig.profile = Profile {
            reversed_original: answer,
            ..Profile::PLAIN
        };
        rig.request(1, 10);
        before(&mut rig);
        rig.seen.clear();
        ask(&mut rig, 20);
        assert_eq!((rig.told(20), selected(&rig)), (Some(code(told)), None));
        let refused = rig.journal.last();
        let Some(Record::Refused(refused)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(refused.reason, RefusalReason::ReversedOriginal);
        rig.restart(rig.journal.len()).unwrap();
        ask(&mut rig, 21);
        assert_eq!(rig.told(21), Some(code(told)));
    };
    let reversed = |rig: &mut Rig| {
        rig.respond(approval());
        rig.reverse(1, 11);
    };
    check(reversed, ReversedOriginal::Duplicate, b"94");
    check(reversed, ReversedOriginal::Invalid, b"12");
    let timed_out = |rig: &mut Rig| rig.pass(Duration::from_secs(3));
    check(timed_out, ReversedOriginal::Duplicate, b"94");
}

#[test]
fn c04_what_is_undecided_comes_again() {
    let mut rig = rig();
    rig.request(1, 10);
    ask(&mut rig, 20);
    assert_eq!(rig.told(20), Some(ResponseCode::MALFUNCTION));
    let (handle, leg) = (rig.sent().0, rig.sent().1);
    rig.give(Input::Response {
        handle,
        stan: leg.stan,
        answer: approval(),
    });
    ask(&mut rig, 21);
    rig.respond(approval());
    assert_eq!(rig.told(21), Some(ResponseCode::APPROVED));
}

#[test]
fn c04_nobody_says_what_it_completes() {
    let mut rig = Rig::new(Auto::Nothing);
    ask(&mut rig, 20);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.told(20), Some(ResponseCode::MALFUNCTION));
    assert!(rig.records().is_empty());
    assert_eq!(rig.engine.counts().entries, 0);
}

#[test]
fn c05_an_issuer_that_has_not_heard_of_an_approval_in_its_place_is_not_asked() {
    let mut rig = Rig::new(Auto::Nothing);
    rig.request(1, 10);
    let Some(Output::Assess { handle, .. }) = rig.seen.first().copied() else {
        panic!("{:?}", rig.seen);
    };
    rig.give(Input::Assessed {
        handle,
        assessment: crate::input::Assessment::Accept,
    });
    let leg = rig.leg_to(IssuerId(1));
    rig.give(Input::StoodIn {
        handle,
        leg,
        authorisation: AuthorisationId::EMPTY,
        fields: &[],
    });
    rig.auto = Auto::Flush;
    rig.flush();
    ask(&mut rig, 20);
    assert_eq!((rig.told(20), selected(&rig)), (Some(GONE), None));
    let (owed, _) = rig.advices_sent()[0];
    rig.give(Input::ReversalResponse {
        owed,
        code: ResponseCode::APPROVED,
    });
    rig.complete(3, 21, Completion::Named(named(1)));
    let (issuer, _) = selected(&rig).expect("it has heard of it");
    assert_eq!(issuer, IssuerId(1));
    rig.respond(approval());
    assert_eq!(rig.told(21), Some(ResponseCode::APPROVED));
}

#[test]
fn c05_so_is_what_an_acquirer_has_reported() {
    let mut rig = rig();
    rig.give(Input::Advice(advice(1, 10)));
    ask(&mut rig, 20);
    assert_eq!(rig.told(20), Some(GONE));
}

#[test]
fn c06_an_issuer_that_is_gone_cannot_be_asked_and_no_other_one_is() {
    let mut rig = approved();
    rig.issuer_gone = true;
    ask(&mut rig, 20);
    assert_eq!(rig.told(20), Some(GONE));

    let mut rig = approved();
    ask(&mut rig, 20);
    let (handle, leg) = rig.sent();
    rig.seen.clear();
    let stan = leg.stan;
    rig.give(Input::Unsent { handle, stan });
    assert_eq!(rig.told(20), Some(GONE));
    assert_eq!(rig.leg_endings(), [LegEnding::Unsent]);
    let routed =
        |output: &Output| matches!(output, Output::SelectRoute { .. } | Output::SelectIssuer(_));
    assert!(!rig.seen.iter().any(routed), "there is no second candidate");
    let Some(Record::Outcome(outcome)) = rig.journal.last() else {
        panic!("{:?}", rig.records());
    };
    assert_eq!(outcome.kind, OutcomeKind::NotSent);
}

#[test]
fn a_silent_issuer_owes_it_a_reversal_that_says_what_it_was() {
    let check = |restarted: bool| {
        let mut rig = approved();
        ask(&mut rig, 20);
        if restarted {
            rig.restart(rig.journal.len()).unwrap();
        } else {
            rig.pass(Duration::from_secs(3));
            assert_eq!(rig.told(20), Some(GONE));
        }
        let (handle, _) = rig.reversal_sent();
        let owed = rig.engine.reversal(handle).expect("it is owed");
        assert_eq!(owed.original, MessageKind::Completion);
        rig.repeat_completion(2, 21, named(1));
        assert_eq!(rig.told(21), Some(GONE), "a copy is told the same");
    };
    check(false);
    check(true);
}

#[test]
fn its_reversal_meets_it_while_its_original_is_looked_for() {
    let mut rig = Rig::new(Auto::Nothing);
    rig.complete(2, 20, Completion::Unnamed);
    rig.reverse(2, 21);
    assert!(rig.discarded(20));
    rig.flush();
    assert_eq!(rig.told(21), Some(ResponseCode::APPROVED));
    assert_eq!(rig.records(), ["tombstone"]);
}

#[test]
fn copies_attach_and_are_told_the_first_answer() {
    let mut rig = approved();
    ask(&mut rig, 20);
    rig.repeat_completion(2, 21, named(1));
    assert!(rig.discarded(20));
    rig.respond(approval());
    assert_eq!(rig.told(21), Some(ResponseCode::APPROVED));
    rig.repeat_completion(2, 22, named(1));
    assert_eq!(rig.told(22), Some(ResponseCode::APPROVED));
    assert_eq!(rig.records().len(), 4);
}

#[test]
fn a_leg_that_comes_too_late_goes_back() {
    let mut rig = Rig::new(Auto::Nothing);
    ask(&mut rig, 20);
    let Some(Output::FindOriginal { handle, .. }) = rig.seen.first().copied() else {
        panic!("{:?}", rig.seen);
    };
    let leg = rig.leg_to(IssuerId(0));
    let deadline = Duration::from_secs(1);
    let selection = Selection::Leg { leg, deadline };
    rig.give(Input::Selected { handle, selection });
    assert_eq!(rig.leg_endings(), [LegEnding::Unsent]);
}

fn ask_for(rig: &mut Rig, number: u32, frame: u32, minor: u64) {
    let completing = Facts {
        account: facts(1).account,
        amount: kes(minor),
        ..facts(number)
    };
    rig.give(Input::Request(Request {
        frame: FrameId(frame),
        transmission: Transmission::First,
        facts: completing,
        completion: Completion::Named(named(1)),
        profile: rig.profile,
        clock: domain::profile::ClockCheck::Window,
    }));
}

//= docs/rules.md#A-08
#[test]
fn c07_what_is_beyond_the_limit_of_its_session_is_refused() {
    let mut rig = approved();
    ask_for(&mut rig, 2, 20, 90_000);
    assert!(selected(&rig).is_some(), "the issuer decides");
    let mut rig = approved();
    rig.profile.completion = CompletionLimit::Above { percent: 15 };
    ask_for(&mut rig, 2, 20, 11_501);
    assert_eq!(rig.told(20), Some(ResponseCode::INVALID_AMOUNT));
    let Some(Record::Refused(refused)) = rig.journal.last() else {
        panic!("{:?}", rig.records());
    };
    assert_eq!(refused.reason, RefusalReason::OverOriginal);
    ask_for(&mut rig, 3, 21, 11_500);
    rig.respond(Answer {
        amount: None,
        ..approval()
    });
    assert_eq!(rig.told(21), Some(ResponseCode::APPROVED));
    // What stands after a partial reversal is what counts.
    rig.give(Input::Reversal(Reversal {
        replacement: Some(kes(4_000)),
        ..reversal(1, 11)
    }));
    ask_for(&mut rig, 4, 22, 4_601);
    assert_eq!(rig.told(22), Some(ResponseCode::INVALID_AMOUNT));
}

#[test]
fn c07_nothing_was_approved_that_it_could_be_above_of() {
    let mut rig = rig();
    rig.profile.completion = CompletionLimit::Above { percent: 0 };
    rig.request(1, 10);
    rig.respond(decline());
    ask_for(&mut rig, 2, 20, 90_000);
    assert!(selected(&rig).is_some());
}
