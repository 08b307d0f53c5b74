//! The rows of `saf/live.rs` that an engine shows.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use domain::ResponseCode;
use domain::bytes::Text;
use domain::ids::IssuerId;
use domain::profile::{Profile, UnknownOriginal};
use domain::record::{Operation, Operator, Reason, Record};
use domain::request::{Completion, Facts, Request, Reversal, Transmission};

use crate::input::{Assessment, Handle, Input, Selection};
use crate::operating::Operate;
use crate::output::{Event, GivenUp, LegEnding, NotAdmitted, Output};
use crate::settings::{BeforeLive, Settings};
use crate::testing::{
    Auto, DEADLINE, Rig, advice, approval, code, facts, named, reversal, settings,
};

const FIRST: IssuerId = IssuerId(0);
const SECOND: IssuerId = IssuerId(1);
const HELD_MAX: usize = 2;

/// These issuers have what they are owed before requests.
fn rig_of(issuers: &[IssuerId]) -> Rig {
    let nobody = BeforeLive::new(HELD_MAX);
    let before_live = issuers.iter().fold(nobody, |set, id| set.with(*id));
    let settings = Settings {
        before_live,
        ..settings()
    };
    Rig::with(settings, Auto::Flush)
}

/// The first issuer was silent on request 1: its reversal is owed and on its way.
fn owing(issuers: &[IssuerId]) -> Rig {
    let mut rig = rig_of(issuers);
    rig.request(1, 10);
    rig.pass(DEADLINE);
    assert_eq!(rig.told(10), Some(ResponseCode::ISSUER_INOPERATIVE));
    assert_eq!(rig.attempts(), 1);
    rig.seen
        .retain(|output| !matches!(output, Output::Send { .. }));
    rig
}

/// A request for the account of request 1.
fn same_account(number: u32) -> Facts {
    Facts {
        account: facts(1).account,
        ..facts(number)
    }
}

fn request(rig: &mut Rig, number: u32) {
    let frame = number * 10;
    rig.request_as(same_account(number), frame, Transmission::First);
}

/// STANs of the acquirer of what was sent, in order.
fn sent(rig: &Rig) -> Vec<u32> {
    let sent = rig.seen.iter().filter_map(|output| {
        if let Output::Send { handle, .. } = output {
            Some(*handle)
        } else {
            None
        }
    });
    sent.map(|handle| rig.engine.facts(handle).unwrap().trace.stan.number())
        .collect()
}

fn given_up(rig: &Rig) -> Vec<GivenUp> {
    let events = rig.events().into_iter();
    events
        .filter_map(|event| {
            if let Event::GivenUp(reason) = event {
                Some(reason)
            } else {
                None
            }
        })
        .collect()
}

fn held_back(rig: &Rig) -> usize {
    rig.engine.counts().held_back
}

#[track_caller]
fn assert_held(rig: &Rig, number: u32) {
    assert!(!sent(rig).contains(&number), "{number} has left");
    assert_eq!(rig.told(number * 10), None);
}

#[test]
fn l01_an_issuer_that_does_not_ask_holds_nobody() {
    let mut rig = owing(&[SECOND]);
    request(&mut rig, 2);
    assert_eq!(sent(&rig), [2]);
}

#[test]
fn l02_a_completion_request_is_not_held() {
    let mut rig = rig_of(&[FIRST]);
    rig.request(1, 10);
    rig.respond(approval());
    request(&mut rig, 2);
    rig.pass(DEADLINE);
    assert_eq!(rig.attempts(), 1, "the reversal of 2");
    rig.complete(3, 30, Completion::Named(named(1)));
    assert_eq!(sent(&rig), [1, 2, 3]);
}

#[test]
fn l03_another_account_is_not_held() {
    let mut rig = owing(&[FIRST]);
    rig.request(2, 20);
    assert_eq!(sent(&rig), [2]);
}

//= docs/rules.md#A-09
#[test]
fn l04_l10_a_request_leaves_when_what_was_owed_has_ended() {
    let mut rig = owing(&[FIRST]);
    let records = rig.records().len();
    request(&mut rig, 2);
    assert_held(&rig, 2);
    assert_eq!((held_back(&rig), rig.records().len()), (1, records));
    assert_eq!(rig.leg_endings().last(), Some(&LegEnding::Unsent));
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!((sent(&rig), held_back(&rig)), (vec![2], 0));
    assert_eq!(rig.records()[records..], ["saf-done", "intent"]);
    rig.respond(approval());
    assert_eq!(rig.told(20), Some(ResponseCode::APPROVED));
    assert_eq!(given_up(&rig), []);
}

#[test]
fn l10_they_leave_in_the_order_in_which_they_came() {
    let mut rig = owing(&[FIRST]);
    request(&mut rig, 3);
    request(&mut rig, 2);
    assert_eq!(held_back(&rig), 2);
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(sent(&rig), [3, 2]);
}

#[test]
fn l08_l10_what_is_owed_since_does_not_hold_it() {
    let mut rig = rig_of(&[FIRST]);
    request(&mut rig, 1);
    rig.pass(DEADLINE / 2);
    request(&mut rig, 3);
    rig.pass(DEADLINE / 2);
    let first = rig.owed_sent();
    assert_eq!(first.len(), 1);
    // Half a second before the other reversal is owed, with more than that left.
    rig.pass(DEADLINE / 4);
    request(&mut rig, 2);
    rig.pass(DEADLINE / 4);
    assert_eq!(rig.attempts(), 2, "that of 3 too");
    assert_held(&rig, 2);
    let code = ResponseCode::APPROVED;
    let owed = first[0];
    rig.give(Input::ReversalResponse { owed, code });
    assert_eq!(sent(&rig), [1, 3, 2]);
    assert_eq!(rig.engine.counts().saf, 1, "that of 3 is owed");
    request(&mut rig, 4);
    assert_held(&rig, 4);
}

#[test]
fn l10_an_operator_ends_the_wait_too() {
    let mut rig = owing(&[FIRST]);
    request(&mut rig, 2);
    let operate = Operate {
        owed: rig.owed_sent()[0],
        operation: Operation::Drop,
        operator: Operator {
            uid: 1000,
            name: Text::new("name", b"asha").unwrap(),
        },
        reason: Reason::new("booked by hand").unwrap(),
    };
    rig.give(Input::Operate { ticket: 1, operate });
    assert_eq!(sent(&rig), [2]);
}

#[test]
fn l04_an_advice_holds_requests_too() {
    let mut rig = rig_of(&[FIRST]);
    let mut offline = advice(5, 50);
    offline.facts.account = facts(1).account;
    rig.give(Input::Advice(offline));
    request(&mut rig, 2);
    assert_held(&rig, 2);
    let (owed, _) = rig.advices_sent()[0];
    let code = ResponseCode::APPROVED;
    rig.give(Input::ReversalResponse { owed, code });
    assert_eq!(sent(&rig), [2]);
}

#[test]
fn l04_a_restart_knows_what_is_owed_and_nobody_who_waited() {
    let mut rig = owing(&[FIRST]);
    request(&mut rig, 2);
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(held_back(&rig), 0);
    rig.request_as(same_account(2), 21, Transmission::Repeat);
    assert_eq!((sent(&rig), held_back(&rig)), (vec![], 1));
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(sent(&rig), [2]);
}

#[test]
fn l05_no_more_wait_than_there_is_room_for() {
    let mut rig = owing(&[FIRST]);
    for number in [2, 3, 4] {
        request(&mut rig, number);
    }
    assert_eq!(held_back(&rig), HELD_MAX);
    assert_eq!(rig.told(40), Some(ResponseCode::MALFUNCTION));
    assert_eq!(given_up(&rig), [GivenUp::Full]);
    let refused = Event::NotAdmitted(NotAdmitted::HeldBackFull);
    assert!(rig.events().contains(&refused));
    // Nothing is remembered of it: its copy is a request like any other.
    rig.respond_to_reversal(ResponseCode::APPROVED);
    rig.request_as(same_account(4), 41, Transmission::Repeat);
    assert_eq!(sent(&rig), [2, 3, 4]);
}

/// A request that is asked about, and its handle.
fn undecided(rig: &mut Rig, number: u32) -> Handle {
    rig.auto = Auto::Nothing;
    request(rig, number);
    let asked = rig.seen.iter().rev().find_map(|output| {
        if let Output::Assess { handle, .. } = output {
            Some(*handle)
        } else {
            None
        }
    });
    asked.unwrap()
}

fn select(rig: &mut Rig, handle: Handle, issuer: IssuerId) {
    let leg = rig.leg_to(issuer);
    let deadline = DEADLINE;
    let selection = Selection::Leg { leg, deadline };
    rig.give(Input::Selected { handle, selection });
}

#[test]
fn l06_l14_a_drain_turns_away_who_waits_and_who_would() {
    let mut rig = owing(&[FIRST]);
    request(&mut rig, 2);
    let late = undecided(&mut rig, 3);
    rig.give(Input::Drain);
    assert_eq!(rig.told(20), Some(ResponseCode::MALFUNCTION));
    let assessment = Assessment::Accept;
    rig.give(Input::Assessed {
        handle: late,
        assessment,
    });
    select(&mut rig, late, FIRST);
    assert_eq!(rig.told(30), Some(ResponseCode::MALFUNCTION));
    assert_eq!(given_up(&rig), [GivenUp::Draining; 2]);
    let counts = rig.engine.counts();
    assert_eq!((counts.held_back, counts.inflight), (0, 0));
    assert_eq!(sent(&rig), [0; 0]);
}

#[test]
fn l07_a_second_candidate_is_not_waited_for() {
    let mut rig = rig_of(&[SECOND]);
    let unsent = |rig: &mut Rig| {
        let (handle, leg) = rig.sent();
        let stan = leg.stan;
        rig.give(Input::Unsent { handle, stan });
    };
    request(&mut rig, 1);
    unsent(&mut rig);
    assert_eq!(rig.sent().1.issuer, SECOND);
    rig.pass(DEADLINE);
    assert_eq!(rig.attempts(), 1);
    request(&mut rig, 2);
    assert_eq!(rig.sent().1.issuer, FIRST);
    unsent(&mut rig);
    assert_eq!(rig.told(20), Some(ResponseCode::ISSUER_INOPERATIVE));
    assert_eq!(given_up(&rig), [GivenUp::OtherIssuer]);
    assert_eq!(rig.records().last(), Some(&"outcome"));
    assert_eq!(rig.engine.counts().saf, 1, "nothing is owed for it");
}

/// The latest request that the router was asked for.
fn held(rig: &Rig) -> Handle {
    let asked = rig.seen.iter().rev().find_map(|output| {
        if let Output::SelectRoute { handle, .. } = output {
            Some(*handle)
        } else {
            None
        }
    });
    asked.unwrap()
}

#[test]
fn l09_nobody_waits_for_two_issuers() {
    let mut rig = owing(&[FIRST, SECOND]);
    let other = undecided(&mut rig, 3);
    let assessment = Assessment::Accept;
    rig.give(Input::Assessed {
        handle: other,
        assessment,
    });
    select(&mut rig, other, SECOND);
    rig.flush();
    rig.auto = Auto::Flush;
    // The second one owes nothing to anybody in time either.
    rig.pass(DEADLINE);
    assert_eq!(rig.attempts(), 2);
    request(&mut rig, 2);
    assert_eq!(held_back(&rig), 1);
    let handle = held(&rig);
    rig.auto = Auto::Nothing;
    let owed = rig.owed_sent()[0];
    let code = ResponseCode::APPROVED;
    rig.give(Input::ReversalResponse { owed, code });
    select(&mut rig, handle, SECOND);
    rig.flush();
    assert_eq!(rig.told(20), Some(ResponseCode::ISSUER_INOPERATIVE));
    assert_eq!(given_up(&rig), [GivenUp::OtherIssuer]);
}

#[test]
fn l11_half_of_the_deadline_is_for_waiting() {
    let mut rig = owing(&[FIRST]);
    let records = rig.records().len();
    request(&mut rig, 2);
    rig.pass(DEADLINE / 2 - Duration::from_millis(1));
    assert_held(&rig, 2);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.told(20), Some(ResponseCode::ISSUER_INOPERATIVE));
    assert_eq!(rig.records()[records..], ["refused"]);
    assert_eq!(given_up(&rig), [GivenUp::TooLong]);
    assert_eq!(held_back(&rig), 0);
    assert!(sent(&rig).is_empty());
    // It is remembered: a copy is told the same.
    rig.request_as(same_account(2), 21, Transmission::Repeat);
    assert_eq!(rig.told(21), Some(ResponseCode::ISSUER_INOPERATIVE));
}

#[test]
fn l11_the_issuer_has_what_is_left_of_the_deadline() {
    let mut rig = owing(&[FIRST]);
    request(&mut rig, 2);
    rig.pass(DEADLINE / 4);
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(sent(&rig), [2]);
    rig.pass(DEADLINE * 3 / 4 - Duration::from_millis(1));
    assert_eq!(rig.told(20), None);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.told(20), Some(ResponseCode::ISSUER_INOPERATIVE));
}

#[test]
fn l12_a_copy_takes_the_place_of_who_waits() {
    let mut rig = owing(&[FIRST]);
    request(&mut rig, 2);
    rig.request_as(same_account(2), 21, Transmission::Repeat);
    assert!(rig.discarded(20));
    assert_eq!(held_back(&rig), 1);
    rig.respond_to_reversal(ResponseCode::APPROVED);
    rig.respond(approval());
    assert_eq!(rig.told(21), Some(ResponseCode::APPROVED));
    assert_eq!(sent(&rig), [2]);
}

#[test]
fn l13_the_reversal_of_who_waits_goes_no_further() {
    let mut rig = owing(&[FIRST]);
    request(&mut rig, 2);
    reverse(&mut rig, 2, 22);
    assert_eq!(rig.told(22), Some(ResponseCode::APPROVED));
    assert!(rig.discarded(20));
    assert_eq!(rig.records().last(), Some(&"refused"));
    let counts = rig.engine.counts();
    assert_eq!((counts.held_back, counts.saf), (0, 1));
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(sent(&rig), [0; 0]);
    rig.request_as(same_account(2), 23, Transmission::Repeat);
    assert_eq!(rig.told(23), Some(code(b"94")));
}

/// Reverses `number`, whose account is that of request 1, in a session that wants to hear of
/// unknown originals.
fn reverse(rig: &mut Rig, number: u32, frame: u32) {
    rig.give(Input::Reversal(Reversal {
        token: Some(facts(1).account.token),
        profile: Profile {
            unknown_original: UnknownOriginal::NotFound,
            ..Profile::PLAIN
        },
        ..reversal(number, frame)
    }));
}

//= docs/rules.md#V-13
#[test]
fn l13_who_waits_is_known_also_where_an_unknown_original_is_told_25() {
    let mut rig = owing(&[FIRST]);
    reverse(&mut rig, 9, 19);
    assert_eq!(rig.told(19), Some(ResponseCode::ORIGINAL_NOT_FOUND));
    request(&mut rig, 2);
    rig.auto = Auto::Decide;
    reverse(&mut rig, 2, 22);
    assert_eq!(rig.told(22), None, "what it says is not durable");
    rig.flush();
    assert_eq!(rig.told(22), Some(ResponseCode::APPROVED));
    for (restarts, frame) in [(false, 30), (true, 40)] {
        if restarts {
            rig.restart(rig.journal.len()).unwrap();
        }
        reverse(&mut rig, 2, frame);
        rig.flush();
        assert_eq!(rig.told(frame), Some(ResponseCode::APPROVED), "its copy");
        rig.request_as(same_account(2), frame + 1, Transmission::Repeat);
        rig.flush();
        assert_eq!(rig.told(frame + 1), Some(code(b"94")));
    }
}

#[test]
fn what_a_completion_names_is_undecided_while_it_waits() {
    let mut rig = owing(&[FIRST]);
    request(&mut rig, 2);
    rig.complete(3, 30, Completion::Named(named(2)));
    // The account of a completion is that of what it names.
    assert_eq!(rig.told(30), Some(code(b"25")));
    let mut completion = facts(4);
    completion.account = facts(1).account;
    rig.give(Input::Request(Request {
        frame: domain::request::FrameId(40),
        transmission: Transmission::First,
        facts: completion,
        completion: Completion::Named(named(2)),
        profile: Profile::PLAIN,
        clock: domain::profile::ClockCheck::Window,
    }));
    assert_eq!(rig.told(40), Some(ResponseCode::MALFUNCTION));
}

/// Refuses the reversal until its pauses are long.
fn pausing() -> Rig {
    let mut rig = owing(&[FIRST]);
    for pause_ms in [1_300, 2_500, 0] {
        rig.respond_to_reversal(ResponseCode::ISSUER_INOPERATIVE);
        rig.pass(Duration::from_millis(pause_ms));
    }
    assert_eq!(rig.attempts(), 3);
    rig
}

#[test]
fn a_pause_ends_when_somebody_waits_but_not_at_once() {
    let mut rig = pausing();
    rig.pass(Duration::from_millis(400));
    request(&mut rig, 2);
    rig.pass(Duration::from_millis(599));
    assert_eq!(rig.attempts(), 3, "a second has to pass");
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.attempts(), 4);
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(sent(&rig), [2]);
}

#[test]
fn a_pause_that_nobody_waits_for_is_as_long_as_ever() {
    let mut rig = pausing();
    rig.request(2, 20);
    rig.pass(Duration::from_millis(1_500));
    assert_eq!(rig.attempts(), 3);
}

#[test]
fn what_somebody_waits_for_goes_ahead_of_the_rest() {
    let mut rig = rig_of(&[FIRST]);
    for number in 1..=6 {
        rig.request(number, number * 10);
    }
    let down = Input::IssuerDown { issuer: FIRST };
    rig.give(down);
    rig.pass(DEADLINE);
    assert_eq!((rig.attempts(), rig.engine.counts().saf), (0, 6));
    let last = facts(6).account;
    let facts = Facts {
        account: last,
        ..facts(7)
    };
    rig.request_as(facts, 70, Transmission::First);
    assert_eq!(held_back(&rig), 1);
    rig.give(Input::IssuerUp { issuer: FIRST });
    let (first, _) = rig.reversals_sent()[0];
    assert_eq!(rig.engine.facts(first).unwrap().trace.stan.number(), 6);
    assert!(matches!(rig.journal.last(), Some(Record::SafOwed(_))));
}
