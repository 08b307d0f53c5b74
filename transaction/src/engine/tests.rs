//! Tests of `engine`.

use core::time::Duration;

use domain::ResponseCode;
use domain::ids::Stan;
use domain::profile::PartialApproval;
use domain::record::{OutcomeKind, Record, RefusalReason, ReversalCause};
use domain::request::{Answer, FrameId, Reversal};
use domain::time::Instant;

use crate::input::{Assessment, Handle, Input, Selection};
use crate::output::{Event, LegEnding, NotAdmitted, Output, StanReuse};
use crate::settings::Settings;
use crate::testing::{
    Auto, DEADLINE, Rig, approval, code, decline, facts, kes, reversal, settings,
};

const APPROVED: Option<ResponseCode> = Some(ResponseCode::APPROVED);
const MALFUNCTION: Option<ResponseCode> = Some(ResponseCode::MALFUNCTION);
const INOPERATIVE: Option<ResponseCode> = Some(ResponseCode::ISSUER_INOPERATIVE);

fn is_sent(rig: &Rig) -> bool {
    let mut outputs = rig.seen.iter();
    outputs.any(|output| matches!(output, Output::Send { .. }))
}

/// Request 1 has been sent; nothing is flushed by itself any more.
fn sent_without_flush() -> Rig {
    let mut rig = Rig::new(Auto::Decide);
    rig.request(1, 10);
    rig.flush();
    assert!(is_sent(&rig));
    rig
}

fn outcome(rig: &Rig, at: usize) -> (OutcomeKind, ResponseCode, Option<ResponseCode>) {
    let Record::Outcome(outcome) = rig.journal[at] else {
        panic!("an outcome stands at {at}");
    };
    (outcome.kind, outcome.answer.code, outcome.issuer_code)
}

//= docs/rules.md#T-01
//= docs/rules.md#T-02
#[test]
fn an_approval_is_durable_before_it_is_told() {
    let mut rig = Rig::new(Auto::Decide);
    rig.request(1, 10);
    assert_eq!(rig.records(), ["intent"]);
    assert!(
        !is_sent(&rig),
        "nothing leaves before the intent is durable"
    );
    rig.flush();
    assert!(is_sent(&rig));
    rig.respond(approval());
    assert_eq!(rig.records(), ["intent", "outcome"]);
    assert_eq!(rig.told(10), None);
    rig.flush();
    assert_eq!(rig.told(10), APPROVED);
    let answered = LegEnding::Answered(ResponseCode::APPROVED);
    assert_eq!(rig.leg_endings(), [answered]);
    let (handle, leg) = rig.sent();
    let reuse = StanReuse::AtOnce;
    assert!(rig.seen.contains(&Output::ReleaseStan { leg, reuse }));
    assert_eq!(rig.engine.answer(handle), Some(approval()));
}

#[test]
fn a_decline_is_passed_on_whatever_amount_it_names() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(Answer {
        amount: Some(kes(0)),
        ..decline()
    });
    assert_eq!(rig.told(10), Some(ResponseCode::INSUFFICIENT_FUNDS));
    assert_eq!(rig.engine.counts().saf, 0);
}

#[test]
fn a_refusal_of_risk_is_one_record_and_reaches_no_issuer() {
    let mut rig = Rig::new(Auto::Nothing);
    rig.request(1, 10);
    let Some(Output::Assess { handle, .. }) = rig.seen.last().copied() else {
        panic!("risk is asked first");
    };
    let assessment = Assessment::Decline {
        code: ResponseCode::SUSPECTED_FRAUD,
        reason: RefusalReason::Fraud,
    };
    rig.give(Input::Assessed { handle, assessment });
    assert_eq!(
        (rig.records().as_slice(), rig.told(10)),
        (["refused"].as_slice(), None)
    );
    rig.flush();
    assert_eq!(rig.told(10), Some(ResponseCode::SUSPECTED_FRAUD));
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), Some(ResponseCode::SUSPECTED_FRAUD));
    assert!(!is_sent(&rig) && rig.leg_endings().is_empty());
}

#[test]
fn no_route_is_one_record_too() {
    let mut rig = Rig::new(Auto::Nothing);
    rig.request(1, 10);
    let handle = handle_of(&rig);
    let assessment = Assessment::Accept;
    rig.give(Input::Assessed { handle, assessment });
    let selection = Selection::None {
        code: ResponseCode::CANNOT_ROUTE,
        reason: RefusalReason::NoRoute,
    };
    rig.give(Input::Selected { handle, selection });
    rig.flush();
    assert_eq!(rig.records(), ["refused"]);
    assert_eq!(rig.told(10), Some(ResponseCode::CANNOT_ROUTE));
}

fn handle_of(rig: &Rig) -> Handle {
    let handle = rig.seen.iter().rev().find_map(|output| {
        if let Output::Assess { handle, .. } = output {
            Some(*handle)
        } else {
            None
        }
    });
    handle.expect("a request was admitted")
}

//= docs/rules.md#T-03
#[test]
fn silence_is_told_only_when_its_reversal_is_durable() {
    let mut rig = sent_without_flush();
    rig.pass(DEADLINE);
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    let told = (
        OutcomeKind::TimedOut,
        ResponseCode::ISSUER_INOPERATIVE,
        None,
    );
    assert_eq!(outcome(&rig, 1), told);
    assert_eq!(rig.told(10), None);
    assert!(rig.reversals_sent().is_empty());
    rig.give(Input::Durable {
        lsn: domain::ids::Lsn(2),
    });
    assert_eq!(rig.told(10), None, "the outcome alone is not enough");
    rig.flush();
    assert_eq!(rig.told(10), INOPERATIVE);
    assert_eq!(rig.reversals_sent().len(), 1);
    assert_eq!(rig.leg_endings(), [LegEnding::TimedOut]);
}

#[test]
fn the_code_for_silence_follows_the_profile() {
    let settings = Settings {
        timeout_answer: ResponseCode::RECEIVED_TOO_LATE,
        ..settings()
    };
    let mut rig = Rig::with(settings, Auto::Flush);
    rig.request(1, 10);
    rig.pass(DEADLINE);
    assert_eq!(rig.told(10), Some(ResponseCode::RECEIVED_TOO_LATE));
}

#[test]
fn at_the_same_tick_whoever_comes_first_wins() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.now = Instant::ZERO.after(DEADLINE);
    rig.respond(approval());
    rig.pass(Duration::ZERO);
    assert_eq!(rig.told(10), APPROVED);
    assert_eq!(rig.engine.counts().saf, 0);

    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.pass(DEADLINE);
    rig.respond(approval());
    assert_eq!(rig.told(10), INOPERATIVE);
    assert_eq!(rig.engine.counts().saf, 1);
    assert!(rig.events().contains(&Event::LateResponse));
}

#[test]
fn a_late_response_is_journaled_once_and_changes_nothing() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.pass(DEADLINE);
    rig.respond(approval());
    rig.respond(approval());
    rig.respond(decline());
    let late = rig.records().iter().filter(|name| **name == "late").count();
    assert_eq!((late, rig.told(10)), (1, INOPERATIVE));
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), INOPERATIVE);
    assert_eq!(rig.reversals_sent().len(), 1);
}

#[test]
fn a_second_answer_is_counted_and_a_conflicting_one_is_journaled() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    rig.respond(approval());
    assert_eq!(rig.records(), ["intent", "outcome"]);
    rig.respond(decline());
    assert_eq!(rig.records(), ["intent", "outcome", "late"]);
    assert_eq!(rig.told(10), APPROVED);
    let seconds = [false, true].map(|conflict| Event::SecondAnswer { conflict });
    assert_eq!(rig.events(), seconds);
}

#[test]
fn fault_055_an_illegible_code_is_96_and_a_reversal() {
    let mut rig = sent_without_flush();
    let (handle, leg) = rig.sent();
    let stan = leg.stan;
    rig.give(Input::Unusable { handle, stan });
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    let told = (OutcomeKind::Invalid, ResponseCode::MALFUNCTION, None);
    assert_eq!((outcome(&rig, 1), rig.told(10)), (told, None));
    rig.flush();
    assert_eq!(rig.told(10), MALFUNCTION);
    assert_eq!(rig.leg_endings(), [LegEnding::Unusable]);
    let cause = ReversalCause::InvalidAnswer;
    assert!(rig.events().contains(&Event::SafOwed { cause }));
}

#[test]
fn fault_056_a_partial_approval_is_told_05_and_reversed() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(Answer {
        code: ResponseCode::PARTIAL_APPROVAL,
        amount: Some(kes(4_000)),
        ..approval()
    });
    assert_eq!(rig.told(10), Some(ResponseCode::DO_NOT_HONOUR));
    let issuer_code = Some(ResponseCode::PARTIAL_APPROVAL);
    let told = (
        OutcomeKind::Invalid,
        ResponseCode::DO_NOT_HONOUR,
        issuer_code,
    );
    assert_eq!(outcome(&rig, 1), told);
    let (handle, _) = rig.reversal_sent();
    assert_eq!(
        rig.engine.replacement(handle),
        None,
        "all that was approved"
    );
}

#[test]
fn fault_056_a_partial_approval_is_passed_on_where_the_session_takes_it() {
    let partial = |amount| Answer {
        code: ResponseCode::PARTIAL_APPROVAL,
        amount,
        ..approval()
    };
    let mut rig = Rig::new(Auto::Flush);
    rig.profile.partial_approval = PartialApproval::Pass;
    rig.request(1, 10);
    rig.respond(partial(Some(kes(4_000))));
    assert_eq!(rig.told(10), Some(ResponseCode::PARTIAL_APPROVAL));
    assert!(rig.reversals_sent().is_empty());
    for restarts in [false, true] {
        if restarts {
            rig.restart(rig.journal.len()).unwrap();
        }
        let above = Reversal {
            replacement: Some(kes(4_001)),
            ..reversal(1, 20 + u32::from(restarts))
        };
        rig.give(Input::Reversal(above));
        let told = rig.told(20 + u32::from(restarts));
        assert_eq!(told, Some(ResponseCode::INVALID_AMOUNT), "4,000 are left");
    }
    // How much was approved must be there, and be less than what was asked for.
    for amount in [None, Some(kes(0)), Some(kes(10_000)), Some(kes(10_001))] {
        let mut rig = Rig::new(Auto::Flush);
        rig.profile.partial_approval = PartialApproval::Pass;
        rig.request(1, 10);
        rig.respond(partial(amount));
        assert_eq!(rig.told(10), MALFUNCTION);
        assert_eq!(rig.reversals_sent().len(), 1);
    }
}

#[test]
fn fault_056_an_amount_that_differs_unannounced_is_96_and_a_reversal() {
    for amount in [
        kes(9_999),
        domain::Amount::new(10_000, domain::currency::Currency::UGX).unwrap(),
    ] {
        let mut rig = Rig::new(Auto::Flush);
        rig.request(1, 10);
        rig.respond(Answer {
            amount: Some(amount),
            ..approval()
        });
        assert_eq!(rig.told(10), MALFUNCTION);
        assert_eq!(rig.reversals_sent().len(), 1);
    }
}

#[test]
fn an_answer_without_an_amount_is_usable() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(Answer {
        amount: None,
        ..approval()
    });
    assert_eq!(rig.told(10), APPROVED);
}

#[test]
fn what_was_not_sent_goes_to_the_next_candidate() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    let (handle, first) = rig.sent();
    rig.give(Input::Unsent {
        handle,
        stan: first.stan,
    });
    assert_eq!(rig.records(), ["intent", "outcome", "intent"]);
    let told = (OutcomeKind::NotSent, ResponseCode::ISSUER_INOPERATIVE, None);
    assert_eq!(outcome(&rig, 1), told);
    let (_, second) = rig.sent();
    assert_ne!(first.issuer, second.issuer);
    // What is said of the first leg no longer matters.
    rig.give(Input::Response {
        handle,
        stan: first.stan,
        answer: decline(),
    });
    rig.respond(approval());
    assert_eq!(rig.told(10), APPROVED);
    let answered = LegEnding::Answered(ResponseCode::APPROVED);
    assert_eq!(rig.leg_endings(), [LegEnding::Unsent, answered]);
    assert_eq!(rig.decided, [4], "what was not sent has decided nothing");
}

#[test]
fn the_last_candidate_that_was_not_sent_to_ends_it_without_a_reversal() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    for _ in 0..2 {
        let (handle, leg) = rig.sent();
        let stan = leg.stan;
        rig.give(Input::Unsent { handle, stan });
    }
    assert_eq!(rig.records(), ["intent", "outcome", "intent", "outcome"]);
    assert_eq!(rig.decided, [4]);
    assert_eq!(rig.told(10), INOPERATIVE);
    assert_eq!(rig.engine.counts().saf, 0);
    let released = rig.seen.iter().filter(|output| {
        let at_once = StanReuse::AtOnce;
        matches!(output, Output::ReleaseStan { reuse, .. } if *reuse == at_once)
    });
    assert_eq!(released.count(), 2);
}

#[test]
fn the_next_candidate_has_what_is_left_of_the_deadline() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    let (handle, leg) = rig.sent();
    let stan = leg.stan;
    rig.pass(DEADLINE / 2);
    rig.give(Input::Unsent { handle, stan });
    rig.pass(DEADLINE / 2);
    assert_eq!(rig.told(10), INOPERATIVE);
    assert_eq!(rig.reversals_sent().len(), 1);
}

#[test]
fn a_deadline_before_the_intent_is_durable_sends_nothing() {
    let mut rig = Rig::new(Auto::Decide);
    rig.request(1, 10);
    rig.pass(DEADLINE);
    assert_eq!(rig.records(), ["intent", "outcome"]);
    rig.flush();
    assert_eq!((rig.told(10), is_sent(&rig)), (MALFUNCTION, false));
    let told = (OutcomeKind::NotSent, ResponseCode::MALFUNCTION, None);
    assert_eq!(outcome(&rig, 1), told);
    assert_eq!(rig.leg_endings(), [LegEnding::Unsent]);
    assert_eq!(rig.engine.counts().saf, 0);
}

//= docs/rules.md#D-06
#[test]
fn what_is_not_decided_in_time_leaves_no_trace() {
    let mut rig = Rig::new(Auto::Nothing);
    rig.request(1, 10);
    let handle = handle_of(&rig);
    rig.pass(settings().decision_timeout);
    assert_eq!((rig.told(10), rig.records().len()), (MALFUNCTION, 0));
    let event = Event::NotAdmitted(NotAdmitted::Undecided);
    assert!(rig.events().contains(&event));
    // The verdict comes after all, for whoever has the place by then.
    rig.repeat(1, 11);
    let assessment = Assessment::Accept;
    rig.give(Input::Assessed { handle, assessment });
    assert_eq!(rig.events().last(), Some(&Event::Stray));
    assert_eq!(rig.told(11), None);
}

#[test]
fn a_leg_that_comes_too_late_goes_back() {
    let mut rig = Rig::new(Auto::Nothing);
    rig.request(1, 10);
    let handle = handle_of(&rig);
    rig.pass(settings().decision_timeout);
    let selection = rig.select(0);
    rig.give(Input::Selected { handle, selection });
    assert_eq!(rig.leg_endings(), [LegEnding::Unsent]);
    assert!(matches!(
        rig.seen.iter().rev().nth(1),
        Some(Output::ReleaseStan { .. })
    ));
}

#[test]
fn shed_refuses_requests_and_takes_reversals() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    rig.give(Input::Shed(true));
    rig.request(2, 11);
    assert_eq!(rig.told(11), MALFUNCTION);
    rig.reverse(1, 20);
    assert_eq!(rig.told(20), APPROVED);
    assert_eq!(rig.reversals_sent().len(), 1);
    rig.give(Input::Shed(false));
    rig.repeat(2, 12);
    rig.respond(approval());
    assert_eq!(rig.told(12), APPROVED, "what was shed claimed no key");
}

fn refused_by(settings: Settings, admitted: u32, reason: NotAdmitted) {
    let mut rig = Rig::with(settings, Auto::Flush);
    for number in 1..=admitted {
        rig.request(number, number);
    }
    assert_eq!(rig.events(), []);
    rig.request(900, 900);
    assert_eq!(rig.told(900), MALFUNCTION);
    assert_eq!(rig.events(), [Event::NotAdmitted(reason)]);
}

#[test]
fn every_bound_is_a_named_refusal() {
    let inflight_max = 3;
    let settings = settings();
    refused_by(
        Settings {
            inflight_max,
            ..settings
        },
        3,
        NotAdmitted::InflightFull,
    );
    // Nine tenths are for what the switch may come to owe itself.
    refused_by(
        Settings {
            saf_max: 10,
            ..settings
        },
        9,
        NotAdmitted::SafFull,
    );
    // One sixteenth is for a recovery.
    let transactions_max = 4;
    refused_by(
        Settings {
            transactions_max,
            ..settings
        },
        4,
        NotAdmitted::TableFull,
    );
}

/// A table of three, full of what has left the window, that has taken a fourth.
fn overfull() -> Rig {
    let settings = Settings {
        transactions_max: 3,
        ..settings()
    };
    let mut rig = Rig::with(settings, Auto::Flush);
    for number in 1..=3 {
        rig.request(number, number);
        rig.respond(approval());
    }
    rig.pass(Duration::from_secs(601));
    let mut fresh = facts(4);
    fresh.trace.transmitted = domain::time::TransmissionTime::at(rig.wall());
    rig.request_as(fresh, 4, domain::request::Transmission::First);
    rig.respond(approval());
    rig
}

#[test]
fn a_full_table_forgets_the_oldest_outside_the_window() {
    let mut rig = overfull();
    assert_eq!((rig.told(4), rig.engine.counts().entries), (APPROVED, 3));
    rig.repeat(2, 12);
    assert_eq!(rig.told(12), APPROVED, "only the oldest was forgotten");
    rig.repeat(1, 11);
    assert_eq!(
        rig.told(11),
        Some(ResponseCode::DUPLICATE),
        "its DE7 is too old"
    );
    rig.reverse(1, 20);
    let forgotten = Event::Reversal(crate::output::ReversalResult::Forgotten);
    assert!(rig.events().contains(&forgotten));
}

#[test]
fn what_was_forgotten_is_no_original_after_the_clock_was_set_back() {
    let mut rig = overfull();
    let wall = rig.wall().before(Duration::from_secs(60));
    rig.give(Input::Wall { wall });
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), Some(ResponseCode::DUPLICATE));
    rig.pass(Duration::from_secs(120));
    let mut late = facts(5);
    late.trace.transmitted = domain::time::TransmissionTime::at(wall);
    rig.request_as(late, 5, domain::request::Transmission::First);
    rig.respond(approval());
    assert_eq!(rig.told(5), APPROVED, "what is sent since is taken");
}

#[test]
fn what_is_kept_longer_holds_nothing_else() {
    fn at(ahead: Duration) -> domain::time::TransmissionTime {
        domain::time::TransmissionTime::at(crate::testing::NOON.after(ahead))
    }
    let tombstone = |rig: &mut Rig| rig.reverse(9, 90);
    let clock_ahead = |rig: &mut Rig| {
        let mut facts = facts(9);
        facts.trace.transmitted = at(Duration::from_secs(500));
        rig.request_as(facts, 90, domain::request::Transmission::First);
        rig.respond(approval());
    };
    for first in [tombstone, clock_ahead] as [fn(&mut Rig); 2] {
        let settings = Settings {
            transactions_max: 4,
            ..settings()
        };
        let mut rig = Rig::with(settings, Auto::Flush);
        first(&mut rig);
        for number in 1..=3 {
            rig.request(number, number);
            rig.respond(approval());
        }
        rig.pass(Duration::from_secs(601));
        for number in 4..=6 {
            let mut fresh = facts(number);
            fresh.trace.transmitted = at(Duration::from_secs(601));
            rig.request_as(fresh, number, domain::request::Transmission::First);
            rig.respond(approval());
            assert_eq!(rig.told(number), APPROVED);
        }
        let mut fresh = facts(7);
        fresh.trace.transmitted = at(Duration::from_secs(601));
        rig.request_as(fresh, 7, domain::request::Transmission::First);
        assert_eq!(rig.told(7), MALFUNCTION, "the first one is kept");
    }
}

#[test]
fn what_owes_a_reversal_is_never_forgotten() {
    let settings = Settings {
        transactions_max: 2,
        ..settings()
    };
    let mut rig = Rig::with(settings, Auto::Flush);
    for number in 1..=2 {
        rig.request(number, number);
    }
    rig.pass(Duration::from_secs(700));
    let mut fresh = facts(3);
    fresh.trace.transmitted = domain::time::TransmissionTime::at(rig.wall());
    rig.request_as(fresh, 3, domain::request::Transmission::First);
    assert_eq!((rig.told(3), rig.engine.counts().saf), (MALFUNCTION, 2));
}

#[test]
fn copies_of_one_stan_are_bounded() {
    let settings = Settings {
        transactions_max: 1000,
        ..settings()
    };
    let mut rig = Rig::with(settings, Auto::Flush);
    for serial in 0..200_u32 {
        let mut facts = facts(1);
        facts.key = domain::request::DuplicateKey(u128::from(serial) + 1);
        rig.request_as(facts, serial, domain::request::Transmission::First);
        if serial < 128 {
            rig.respond(approval());
        }
    }
    assert_eq!(rig.told(127), APPROVED);
    assert_eq!(rig.told(128), MALFUNCTION);
}

/// What takes the transaction of `handle` from its request to its reversal.
fn steps(handle: Handle, selection: Selection, stan: Stan) -> [Input<'static>; 7] {
    let durable = |lsn| Input::Durable {
        lsn: domain::ids::Lsn(lsn),
    };
    let answer = approval();
    let assessment = Assessment::Accept;
    [
        Input::Assessed { handle, assessment },
        Input::Selected { handle, selection },
        durable(1),
        Input::Response {
            handle,
            stan,
            answer,
        },
        durable(9),
        Input::Reversal(reversal(1, 20)),
        durable(10),
    ]
}

/// One input of each kind, most of them out of place.
fn surprises(handle: Handle, selection: Selection, stan: Stan) -> [Input<'static>; 11] {
    let none = Selection::None {
        code: code(b"92"),
        reason: RefusalReason::NoRoute,
    };
    let declined = Assessment::Decline {
        code: code(b"59"),
        reason: RefusalReason::Fraud,
    };
    let assessed = |assessment| Input::Assessed { handle, assessment };
    let selected = |selection| Input::Selected { handle, selection };
    let (answer, code) = (decline(), code(b"00"));
    let lsn = domain::ids::Lsn(99);
    let owed = crate::input::OwedId {
        handle,
        saf: 0,
        generation: 0,
    };
    [
        assessed(declined),
        selected(none),
        Input::Unsent { handle, stan },
        Input::Unusable { handle, stan },
        Input::Response {
            handle,
            stan,
            answer,
        },
        Input::ReversalResponse { owed, code },
        Input::ReversalUnsent { owed },
        assessed(Assessment::Accept),
        selected(selection),
        Input::Reversal(reversal(1, 21)),
        Input::Durable { lsn },
    ]
}

#[test]
fn no_input_in_any_state_panics_or_answers_twice() {
    // Every input is thrown at a transaction in each of its states; the sweep runs after each.
    for stage in 0..8 {
        let mut rig = Rig::new(Auto::Nothing);
        rig.request(1, 10);
        let handle = handle_of(&rig);
        let selection = rig.select(0);
        let Selection::Leg { leg, .. } = selection else {
            panic!("the first candidate admits");
        };
        for step in steps(handle, selection, leg.stan).iter().take(stage) {
            rig.give(*step);
        }
        for input in surprises(handle, selection, leg.stan) {
            rig.give(input);
        }
        rig.pass(Duration::from_secs(3600));
        rig.flush();
        let ends = rig.seen.iter().filter(|output| {
            matches!(output, Output::Reply { frame, .. } | Output::Discard { frame }
                if *frame == FrameId(10))
        });
        assert_eq!(ends.count(), 1, "stage {stage}");
    }
}
