//! Tests of `reversal`.

use core::time::Duration;
use std::vec::Vec;

use domain::bytes::Text;
use domain::ids::Rrn;
use domain::message_reason::MessageReason;
use domain::pan::PanToken;
use domain::profile::UnknownOriginal;
use domain::record::{OutcomeKind, Record, ReversalCause, SafResult};
use domain::request::{Answer, DuplicateKey, FrameId, OriginalReference, Reversal, Transmission};
use domain::{Amount, ResponseCode};

use crate::input::{Assessment, Handle, Input};
use crate::output::{Event, LegEnding, NotAdmitted, Output, ReversalResult};
use crate::settings::Settings;
use crate::testing::{
    Auto, DEADLINE, Rig, approval, code, decline, facts, kes, reversal, settings,
};

const APPROVED: Option<ResponseCode> = Some(ResponseCode::APPROVED);
const DUPLICATE: Option<ResponseCode> = Some(ResponseCode::DUPLICATE);
const INVALID_AMOUNT: Option<ResponseCode> = Some(ResponseCode::INVALID_AMOUNT);

fn approved() -> Rig {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    rig
}

/// A reversal after which `stays` is left.
fn partial(frame: u32, stays: u64) -> Reversal {
    Reversal {
        key: DuplicateKey(u128::from(frame)),
        replacement: Some(kes(stays)),
        ..reversal(1, frame)
    }
}

fn give(rig: &mut Rig, reversal: Reversal) {
    rig.give(Input::Reversal(reversal));
}

fn results(rig: &Rig) -> Vec<ReversalResult> {
    let results = rig.events().into_iter().filter_map(|event| {
        if let Event::Reversal(result) = event {
            Some(result)
        } else {
            None
        }
    });
    results.collect()
}

//= docs/rules.md#V-02
#[test]
fn v01_an_unknown_original_gets_a_durable_tombstone_first() {
    let mut rig = Rig::new(Auto::Decide);
    rig.reverse(1, 20);
    assert_eq!(
        (rig.records().as_slice(), rig.told(20)),
        (["tombstone"].as_slice(), None)
    );
    rig.flush();
    assert_eq!(rig.told(20), APPROVED);
    assert_eq!(results(&rig), [ReversalResult::Unknown]);
    assert!(rig.reversals_sent().is_empty());
}

#[test]
fn v01_the_answer_follows_the_profile() {
    let mut rig = Rig::new(Auto::Flush);
    rig.profile.unknown_original = UnknownOriginal::NotFound;
    rig.reverse(1, 20);
    assert_eq!(rig.told(20), Some(ResponseCode::ORIGINAL_NOT_FOUND));
    rig.request(1, 10);
    assert_eq!(rig.told(10), DUPLICATE, "it is not forwarded all the same");
}

#[test]
fn v01_what_differs_in_a_check_is_unknown() {
    let wrong = |change: fn(&mut Reversal)| {
        let mut rig = approved();
        let mut wrong = reversal(1, 20);
        change(&mut wrong);
        give(&mut rig, wrong);
        assert_eq!(results(&rig), [ReversalResult::Unknown]);
        assert!(rig.reversals_sent().is_empty());
        rig.repeat(1, 11);
        assert_eq!(rig.told(11), APPROVED, "the approval stands");
    };
    wrong(|reversal| reversal.token = Some(PanToken([9; 16])));
    wrong(|reversal| reversal.original.rrn = Text::new("DE37", b"other").unwrap());
    wrong(|reversal| reversal.merchant = Text::new("DE42", b"MERCHANT0000002").unwrap());
    wrong(|reversal| reversal.original.transmitted = Some(Default::default()));
    wrong(|reversal| {
        reversal.original.class = Some(domain::request::MessageClass::Authorisation);
    });
    wrong(|reversal| reversal.acquirer = domain::ids::AcquirerId(9));
}

#[test]
fn v01_what_is_absent_is_no_difference() {
    let mut rig = approved();
    let mut bare = reversal(1, 20);
    bare.token = None;
    bare.original.class = None;
    bare.original.transmitted = None;
    bare.original.rrn = Text::EMPTY;
    bare.merchant = Text::EMPTY;
    give(&mut rig, bare);
    assert_eq!(results(&rig), [ReversalResult::Accepted]);
}

#[test]
fn v02_a_copy_of_an_unknown_one_makes_no_second_tombstone() {
    let mut rig = Rig::new(Auto::Decide);
    rig.reverse(1, 20);
    rig.reverse(1, 21);
    assert_eq!((rig.told(20), rig.told(21)), (None, None));
    rig.flush();
    rig.reverse(1, 22);
    assert_eq!(
        (rig.told(20), rig.told(21), rig.told(22)),
        (APPROVED, APPROVED, APPROVED)
    );
    assert_eq!(rig.records(), ["tombstone"]);
}

#[test]
fn v03_an_undecided_original_is_withdrawn() {
    for routed in [false, true] {
        let mut rig = Rig::new(Auto::Nothing);
        rig.request(1, 10);
        let Some(Output::Assess { handle, .. }) = rig.seen.last().copied() else {
            panic!("risk is asked first");
        };
        let assessment = Assessment::Accept;
        if routed {
            rig.give(Input::Assessed { handle, assessment });
        }
        rig.reverse(1, 20);
        assert!(rig.discarded(10));
        // Each request is counted once: this one ends here.
        let overtaken = Event::NotAdmitted(NotAdmitted::Tombstone);
        assert!(rig.events().contains(&overtaken), "{:?}", rig.events());
        rig.flush();
        assert_eq!(
            (rig.records().as_slice(), rig.told(20)),
            (["tombstone"].as_slice(), APPROVED)
        );
        rig.give(Input::Assessed { handle, assessment });
        let selection = rig.select(0);
        rig.give(Input::Selected { handle, selection });
        assert_eq!(rig.leg_endings(), [LegEnding::Unsent]);
        rig.repeat(1, 11);
        assert_eq!((rig.told(11), rig.records().len()), (DUPLICATE, 1));
    }
}

/// Each copy of a gateway's POST has a DE7 and a DE37 of its own.
#[test]
fn v03_a_gateways_copy_is_buried_whatever_names_it_has() {
    let mut rig = Rig::new(Auto::Nothing);
    rig.request(1, 10);
    let by_key = |frame| Reversal {
        original: OriginalReference {
            class: None,
            transmitted: None,
            rrn: Rrn::EMPTY,
            ..reversal(1, frame).original
        },
        ..reversal(1, frame)
    };
    give(&mut rig, by_key(20));
    assert!(rig.discarded(10));
    rig.flush();
    assert_eq!(rig.told(20), APPROVED);
    let mut copy = facts(1);
    copy.trace.rrn = facts(2).trace.rrn;
    copy.trace.transmitted = facts(2).trace.transmitted;
    rig.request_as(copy, 11, Transmission::First);
    assert_eq!((rig.told(11), rig.records().len()), (DUPLICATE, 1));
}

//= docs/rules.md#T-05
#[test]
fn v04_an_intent_that_was_not_sent_is_closed() {
    let mut rig = Rig::new(Auto::Decide);
    rig.request(1, 10);
    rig.reverse(1, 20);
    assert!(rig.discarded(10));
    rig.flush();
    assert_eq!(rig.records(), ["intent", "outcome"]);
    assert_eq!(rig.told(20), APPROVED);
    assert_eq!(rig.leg_endings(), [LegEnding::Unsent]);
    let sent = |output: &Output| matches!(output, Output::Send { .. });
    assert!(!rig.seen.iter().any(sent));
    rig.repeat(1, 11);
    rig.reverse(1, 21);
    assert_eq!((rig.told(11), rig.told(21)), (DUPLICATE, APPROVED));
    assert_eq!(rig.engine.counts().saf, 0);
}

#[test]
fn v04_between_two_candidates_nothing_was_sent_either() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    let (handle, leg) = rig.sent();
    let stan = leg.stan;
    rig.auto = Auto::Nothing;
    rig.give(Input::Unsent { handle, stan });
    rig.reverse(1, 20);
    rig.flush();
    assert_eq!(rig.records(), ["intent", "outcome"]);
    assert!(rig.discarded(10));
    assert_eq!(rig.told(20), APPROVED);
    let selection = rig.select(1);
    rig.give(Input::Selected { handle, selection });
    assert_eq!(rig.leg_endings(), [LegEnding::Unsent, LegEnding::Unsent]);
}

fn reversed_in_flight() -> (Rig, Handle) {
    let mut rig = Rig::new(Auto::Decide);
    rig.request(1, 10);
    rig.flush();
    let (handle, _) = rig.sent();
    rig.reverse(1, 20);
    assert!(rig.discarded(10));
    assert_eq!(rig.told(20), None);
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    assert_eq!(rig.decided, [2], "whatever its issuer says");
    rig.auto = Auto::Flush;
    rig.flush();
    assert_eq!(rig.told(20), APPROVED);
    assert!(rig.reversals_sent().is_empty(), "it waits for the issuer");
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), DUPLICATE);
    (rig, handle)
}

#[test]
fn v05_an_approval_after_the_reversal_is_reversed() {
    let (mut rig, _) = reversed_in_flight();
    rig.respond(approval());
    assert_eq!(rig.reversals_sent().len(), 1);
    assert_eq!(rig.records()[3..], ["late"]);
    rig.respond_to_reversal(code(b"00"));
    assert_eq!(rig.records()[3..], ["late", "saf-done"]);
    assert_eq!(rig.leg_endings(), [LegEnding::Answered(code(b"00"))]);
    assert_eq!(rig.told(10), None);
}

#[test]
fn v05_silence_after_the_reversal_is_reversed() {
    let (mut rig, _) = reversed_in_flight();
    rig.pass(DEADLINE);
    assert_eq!(rig.reversals_sent().len(), 1);
    assert_eq!(rig.leg_endings(), [LegEnding::TimedOut]);
    rig.respond(approval());
    assert_eq!(rig.records()[3..], ["late"]);
}

#[test]
fn v05_an_unusable_answer_after_the_reversal_is_reversed() {
    let (mut rig, handle) = reversed_in_flight();
    let stan = rig.sent().1.stan;
    rig.give(Input::Unusable { handle, stan });
    assert_eq!(rig.reversals_sent().len(), 1);
    assert_eq!(rig.leg_endings(), [LegEnding::Unusable], "no timeout");
    let (mut rig, _) = reversed_in_flight();
    rig.respond(Answer {
        amount: Some(kes(1)),
        ..approval()
    });
    assert_eq!(rig.leg_endings(), [LegEnding::Unusable]);
    assert_eq!(rig.records()[3..], ["late"]);
}

#[test]
fn v05_a_decline_after_the_reversal_owes_nothing() {
    let (mut rig, _) = reversed_in_flight();
    rig.respond(decline());
    rig.pass(Duration::from_secs(3600));
    assert!(rig.reversals_sent().is_empty());
    let Record::SafDone(done) = rig.journal[3] else {
        panic!("the reversal has ended");
    };
    assert_eq!((done.attempts, done.code), (0, Some(decline().code)));
    assert_eq!(done.result, SafResult::Acknowledged);
    assert_eq!(rig.engine.counts().saf, 0);
    rig.reverse(1, 21);
    assert_eq!(rig.told(21), APPROVED);
}

#[test]
fn v05_what_turns_out_unsent_owes_nothing() {
    let (mut rig, handle) = reversed_in_flight();
    let stan = rig.sent().1.stan;
    rig.give(Input::Unsent { handle, stan });
    rig.pass(Duration::from_secs(3600));
    assert!(rig.reversals_sent().is_empty());
    assert_eq!(rig.leg_endings(), [LegEnding::Unsent]);
    assert_eq!(rig.engine.counts().saf, 0);
}

#[test]
fn v05_a_second_reversal_meanwhile_is_a_copy() {
    let (mut rig, _) = reversed_in_flight();
    rig.reverse(1, 21);
    assert_eq!(rig.told(21), APPROVED);
    rig.respond(approval());
    assert_eq!(rig.reversals_sent().len(), 1);
    let expected = [ReversalResult::InFlight, ReversalResult::Copy];
    assert_eq!(results(&rig), expected);
}

//= docs/rules.md#V-16
#[test]
fn v05_a_partial_one_takes_back_all() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    give(&mut rig, partial(20, 6_000));
    assert_eq!(rig.told(20), APPROVED);
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), DUPLICATE);
    rig.respond(approval());
    let (handle, _) = rig.reversal_sent();
    assert_eq!(rig.engine.replacement(handle), None);
    give(&mut rig, partial(21, 2_000));
    assert_eq!((rig.told(21), rig.engine.counts().saf), (APPROVED, 1));
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    give(&mut rig, partial(20, 10_001));
    assert_eq!(rig.told(20), INVALID_AMOUNT);
    rig.respond(approval());
    assert_eq!(rig.told(10), APPROVED);
}

/// V-15: whether it comes before or behind the answer, and after a restart.
//= docs/rules.md#V-15
#[test]
fn why_an_acquirer_reverses_is_kept_as_long_as_it_is_owed() {
    let reason = MessageReason::new(4006).ok();
    for (in_flight, reason) in [(false, reason), (true, reason), (false, None)] {
        let mut rig = Rig::new(Auto::Flush);
        rig.request(1, 10);
        let said = Reversal {
            reason,
            ..partial(20, 6_000)
        };
        if in_flight {
            give(&mut rig, said);
            rig.respond(approval());
        } else {
            rig.respond(approval());
            give(&mut rig, said);
        }
        let owed = |rig: &Rig| rig.engine.reversal(rig.reversal_sent().0).unwrap();
        assert_eq!(owed(&rig).reason, reason);
        rig.restart(rig.journal.len()).unwrap();
        assert_eq!(owed(&rig).reason, reason);
        assert_eq!(rig.reversal_sent().1, Transmission::Repeat);
    }
}

/// An older journal: reversed in part while sent, so that 60.00 of 100.00 stays.
fn partly_reversed_in_flight() -> Rig {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    give(&mut rig, partial(20, 6_000));
    let Some(Record::SafOwed(owed)) = rig.journal.last_mut() else {
        panic!("a reversal is owed");
    };
    owed.replacement = Some(kes(6_000));
    rig.restart(rig.journal.len()).unwrap();
    rig
}

/// Acknowledges what is owed, one by one; says what stays after each.
fn settle(rig: &mut Rig) -> Vec<Option<Amount>> {
    let mut stays = Vec::new();
    while rig.engine.counts().saf > 0 {
        let (handle, _) = rig.reversal_sent();
        stays.push(rig.engine.replacement(handle));
        rig.respond_to_reversal(code(b"00"));
    }
    stays
}

//= docs/rules.md#V-09
#[test]
fn v13_the_rest_can_be_reversed() {
    for acknowledged in [false, true] {
        let mut rig = partly_reversed_in_flight();
        let mut sent = Vec::new();
        if acknowledged {
            sent = settle(&mut rig);
        }
        give(&mut rig, partial(21, 2_000));
        rig.reverse(1, 22);
        sent.extend(settle(&mut rig));
        assert_eq!(sent, [Some(kes(6_000)), Some(kes(2_000)), None]);
        assert_eq!((rig.told(21), rig.told(22)), (APPROVED, APPROVED));
        rig.reverse(1, 23);
        assert_eq!((rig.told(23), rig.engine.counts().saf), (APPROVED, 0));
    }
}

#[test]
fn v13_is_judged_as_on_an_approved_one() {
    let mut rig = partly_reversed_in_flight();
    let mut copy = partial(20, 6_000);
    copy.frame = FrameId(30);
    give(&mut rig, copy);
    give(&mut rig, partial(31, 7_000));
    give(&mut rig, partial(32, 6_000));
    let told = [30, 31, 32].map(|frame| rig.told(frame));
    assert_eq!(told, [APPROVED, INVALID_AMOUNT, APPROVED]);
    assert_eq!(settle(&mut rig), [Some(kes(6_000))]);
}

//= docs/rules.md#V-04
#[test]
fn v06_what_moved_nothing_is_acknowledged_without_a_reversal() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(decline());
    rig.reverse(1, 20);
    assert_eq!(rig.told(20), APPROVED);
    assert_eq!(results(&rig), [ReversalResult::NothingOwed]);
    assert_eq!(rig.records(), ["intent", "outcome"]);
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), Some(decline().code));
}

#[test]
fn v07_a_timed_out_original_owes_no_second_reversal() {
    let mut rig = Rig::new(Auto::Decide);
    rig.request(1, 10);
    rig.flush();
    rig.pass(DEADLINE);
    rig.reverse(1, 20);
    assert_eq!(rig.told(20), None, "its reversal is not durable yet");
    rig.flush();
    assert_eq!(rig.told(20), APPROVED);
    assert_eq!(rig.told(10), Some(ResponseCode::ISSUER_INOPERATIVE));
    assert_eq!(rig.reversals_sent().len(), 1);
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    rig.auto = Auto::Flush;
    rig.respond_to_reversal(code(b"00"));
    rig.reverse(1, 21);
    assert_eq!((rig.told(21), rig.engine.counts().saf), (APPROVED, 0));
}

//= docs/rules.md#T-08
#[test]
fn v07_an_invalid_original_owes_no_second_reversal() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(Answer {
        amount: Some(kes(1)),
        ..approval()
    });
    rig.reverse(1, 20);
    assert_eq!(rig.told(20), APPROVED);
    assert_eq!(rig.engine.counts().saf, 1);
}

//= docs/rules.md#V-05
#[test]
fn v08_a_copy_of_a_partial_one_changes_nothing() {
    let mut rig = approved();
    give(&mut rig, partial(20, 6_000));
    rig.respond_to_reversal(code(b"00"));
    give(&mut rig, partial(21, 4_000));
    rig.respond_to_reversal(code(b"00"));
    // The same key as the first, in another frame.
    let mut copy = partial(20, 6_000);
    copy.frame = FrameId(22);
    copy.transmission = Transmission::Repeat;
    give(&mut rig, copy);
    assert_eq!(rig.told(22), APPROVED);
    assert_eq!(rig.reversals_sent().len(), 2);
    let accepted = ReversalResult::Accepted;
    assert_eq!(results(&rig), [accepted, accepted, ReversalResult::Copy]);
}

//= docs/rules.md#V-06
#[test]
fn v09_more_than_is_left_is_refused() {
    let refused = |amount: Amount, replacement: Option<Amount>| {
        let mut rig = approved();
        give(
            &mut rig,
            Reversal {
                amount,
                replacement,
                ..reversal(1, 20)
            },
        );
        assert_eq!(rig.told(20), INVALID_AMOUNT);
        assert_eq!(rig.records(), ["intent", "outcome"]);
        rig.repeat(1, 11);
        assert_eq!(rig.told(11), APPROVED);
    };
    let ugx = Amount::new(10_000, domain::currency::Currency::UGX).unwrap();
    refused(kes(10_001), None);
    refused(ugx, None);
    refused(kes(10_000), Some(kes(10_001)));
    refused(kes(10_000), Some(ugx));
    let mut rig = approved();
    give(&mut rig, partial(20, 6_000));
    give(&mut rig, partial(21, 7_000));
    assert_eq!((rig.told(20), rig.told(21)), (APPROVED, INVALID_AMOUNT));
}

//= docs/rules.md#V-01
#[test]
fn v10_an_approval_is_reversed_in_full() {
    let mut rig = approved();
    rig.auto = Auto::Decide;
    rig.reverse(1, 20);
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    assert_eq!((rig.told(20), rig.reversals_sent().len()), (None, 0));
    rig.flush();
    assert_eq!((rig.told(20), rig.reversals_sent().len()), (APPROVED, 1));
    let cause = ReversalCause::Requested;
    assert!(rig.events().contains(&Event::SafOwed { cause }));
    let (handle, transmission) = rig.reversal_sent();
    assert_eq!(transmission, Transmission::First);
    let owed = rig.engine.reversal(handle).unwrap();
    assert_eq!((owed.replacement, owed.leg), (None, rig.sent().1));
    rig.auto = Auto::Flush;
    rig.respond_to_reversal(code(b"00"));
    rig.reverse(1, 21);
    assert_eq!(rig.told(21), APPROVED);
    assert_eq!(rig.reversals_sent().len(), 1);
}

#[test]
fn v10_an_approval_that_was_not_told_is_never_told() {
    let mut rig = Rig::new(Auto::Decide);
    rig.request(1, 10);
    rig.flush();
    rig.respond(approval());
    rig.reverse(1, 20);
    assert!(rig.discarded(10));
    rig.flush();
    assert_eq!((rig.told(10), rig.told(20)), (None, APPROVED));
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    assert_eq!(rig.reversals_sent().len(), 1);
}

#[test]
fn v11_partial_then_full_go_out_in_their_order() {
    let mut rig = approved();
    give(&mut rig, partial(20, 6_000));
    rig.reverse(1, 21);
    assert_eq!((rig.told(20), rig.told(21)), (APPROVED, APPROVED));
    assert_eq!(rig.reversals_sent().len(), 1, "one at a time");
    let (handle, _) = rig.reversal_sent();
    let first = rig.engine.reversal(handle).unwrap();
    assert_eq!(first.replacement, Some(kes(6_000)));
    rig.respond_to_reversal(code(b"00"));
    assert_eq!(rig.reversals_sent().len(), 2);
    let second = rig.engine.reversal(handle).unwrap();
    assert_eq!(second.replacement, None);
    let apart = second.decided.unix_millis() - first.decided.unix_millis();
    assert!(apart >= 1000, "they share a STAN, so never a DE7");
    rig.respond_to_reversal(code(b"00"));
    assert_eq!(rig.engine.counts().saf, 0);
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), DUPLICATE);
}

#[test]
fn v11_an_answer_to_the_first_never_ends_the_second() {
    let mut rig = approved();
    give(&mut rig, partial(20, 6_000));
    rig.reverse(1, 21);
    let first = rig.owed_sent()[0];
    let code = code(b"00");
    rig.give(Input::ReversalResponse { owed: first, code });
    assert_eq!(rig.owed_sent().len(), 2);
    for _ in 0..2 {
        rig.give(Input::ReversalResponse { owed: first, code });
        rig.give(Input::ReversalUnsent { owed: first });
    }
    assert_eq!(rig.engine.counts().saf, 1, "the second is still owed");
    let strays = rig.events().into_iter();
    assert_eq!(strays.filter(|event| *event == Event::Stray).count(), 4);
    rig.respond_to_reversal(code);
    assert_eq!(rig.engine.counts().saf, 0);
}

#[test]
fn v11_a_replacement_of_nothing_is_a_full_reversal() {
    let mut rig = approved();
    give(&mut rig, partial(20, 0));
    let (handle, _) = rig.reversal_sent();
    assert_eq!(rig.engine.replacement(handle), None);
}

#[test]
fn v12_a_partial_one_that_changes_nothing_owes_nothing() {
    let mut rig = approved();
    give(&mut rig, partial(20, 10_000));
    assert_eq!((rig.told(20), rig.engine.counts().saf), (APPROVED, 0));
    assert_eq!(results(&rig), [ReversalResult::NothingOwed]);
}

//= docs/rules.md#V-10
#[test]
fn v14_copies_of_all_partial_ones_are_known() {
    let mut rig = approved();
    for (frame, stays) in [(20, 8_000), (21, 6_000), (22, 4_000)] {
        give(&mut rig, partial(frame, stays));
        assert_eq!(rig.told(frame), APPROVED);
    }
    give(&mut rig, partial(23, 2_000));
    assert_eq!(rig.told(23), INVALID_AMOUNT, "its copies could not be told");
    for (frame, stays) in [(20, 8_000), (21, 6_000), (22, 4_000)] {
        let mut copy = partial(frame, stays);
        copy.frame = FrameId(frame + 10);
        give(&mut rig, copy);
        assert_eq!(rig.told(frame + 10), APPROVED, "{stays}");
    }
    rig.reverse(1, 24);
    assert_eq!(rig.told(24), APPROVED, "in full is always possible");
    let left = [Some(kes(8_000)), Some(kes(6_000)), Some(kes(4_000)), None];
    assert_eq!(settle(&mut rig), left);
    let mut copy = partial(20, 8_000);
    copy.frame = FrameId(40);
    give(&mut rig, copy);
    assert_eq!(rig.told(40), APPROVED);
}

#[test]
fn a_reversal_that_cannot_be_promised_is_asked_for_again() {
    let settings = Settings {
        saf_max: 10,
        ..settings()
    };
    let mut rig = Rig::with(settings, Auto::Flush);
    for number in 1..=11 {
        rig.request(number, number);
        rig.respond(approval());
    }
    for number in 1..=10 {
        rig.reverse(number, 100 + number);
    }
    assert_eq!(rig.told(110), APPROVED);
    rig.reverse(11, 111);
    assert_eq!(rig.told(111), Some(ResponseCode::MALFUNCTION));
    assert_eq!(results(&rig).last(), Some(&ReversalResult::Full));
    rig.respond_to_reversal(code(b"00"));
    rig.reverse(11, 112);
    assert_eq!(rig.told(112), APPROVED);
}

#[test]
fn acknowledgements_that_wait_for_the_disk_are_bounded() {
    let mut rig = approved();
    rig.auto = Auto::Decide;
    for frame in 0..3_000 {
        rig.reverse(1, 1_000 + frame);
    }
    let full = results(&rig)
        .into_iter()
        .filter(|result| *result == ReversalResult::Full);
    let waiting = rig.engine.counts().waiting;
    assert_eq!(
        full.count() + waiting - 1,
        3_000,
        "one of the waiting is the reversal itself"
    );
    rig.flush();
    assert_eq!(rig.engine.counts().waiting, 0);
}

#[test]
fn the_outcome_of_a_reversal_in_flight_names_it() {
    let (rig, _) = reversed_in_flight();
    let Record::Outcome(outcome) = rig.journal[1] else {
        panic!("an outcome follows the intent");
    };
    assert_eq!(outcome.kind, OutcomeKind::AcquirerReversed);
    assert_eq!(outcome.answer.code, ResponseCode::DUPLICATE);
}
