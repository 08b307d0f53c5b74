//! The rows of the table of advices, and approvals in place of an issuer.

use core::time::Duration;
use std::collections::BTreeSet;

use domain::ResponseCode;
use domain::ids::{AuthorisationId, IssuerId};
use domain::profile::{ClockCheck, CompletionLimit};
use domain::record::{AdviceOrigin, Record, SafResult};
use domain::request::{Advice, MessageKind, Transmission};
use domain::time::TransmissionTime;

use super::Original;
use crate::input::{Input, OwedId, Selection};
use crate::output::{AdviceResult, Event, NotAdmitted, Output, Owed};
use crate::settings::Settings;
use crate::testing::{
    Auto, Rig, advice, approval, code, decline, facts, kes, named, reversal, settings,
};

const OK: ResponseCode = ResponseCode::APPROVED;

fn rig() -> Rig {
    Rig::new(Auto::Flush)
}

fn advise(rig: &mut Rig, advice: Advice<'_>) {
    rig.give(Input::Advice(advice));
}

fn advise_as(rig: &mut Rig, number: u32, frame: u32, original: u32) {
    let mut completion = advice(number, frame);
    completion.facts.account = facts(original).account;
    completion.original = Some(named(original));
    advise(rig, completion);
}

/// The issuer answers the latest advice that was sent.
fn respond(rig: &mut Rig, code: ResponseCode) {
    let (owed, _) = *rig.advices_sent().last().expect("an advice was sent");
    rig.give(Input::ReversalResponse { owed, code });
}

//= docs/rules.md#A-01
#[test]
fn a01_an_advice_is_acknowledged_when_it_is_owed_durably_and_sent_until_it_is_taken() {
    let mut rig = Rig::new(Auto::Decide);
    advise(&mut rig, advice(1, 10));
    assert_eq!(rig.records(), ["advised"]);
    assert_eq!((rig.told(10), rig.advices_sent().len()), (None, 0));
    rig.flush();
    assert_eq!(rig.told(10), Some(OK));
    let (owed, transmission) = rig.advices_sent()[0];
    assert_eq!(transmission, Transmission::First);
    let sent = rig.engine.advice(owed).unwrap();
    assert_eq!(
        (sent.origin, sent.completed, sent.fields),
        (AdviceOrigin::Acquirer, None, advice(1, 10).fields)
    );
    rig.pass(Duration::from_secs(10));
    assert_eq!(rig.advices_sent()[1], (owed, Transmission::Repeat));
    respond(&mut rig, OK);
    assert_eq!(rig.records(), ["advised", "advice-done"]);
    assert_eq!(rig.engine.counts().saf, 0);
    let what = Owed::Advice(AdviceOrigin::Acquirer);
    let result = SafResult::Acknowledged;
    assert!(rig.events().contains(&Event::SafEnded { what, result }));
}

#[test]
fn a01_an_issuer_that_is_away_does_not_keep_the_acquirer_waiting() {
    let mut rig = rig();
    rig.links_down = true;
    advise(&mut rig, advice(1, 10));
    assert_eq!(rig.told(10), Some(OK));
    rig.pass(Duration::from_secs(3_600));
    rig.links_down = false;
    rig.pass(Duration::from_secs(600));
    respond(&mut rig, OK);
    assert_eq!(rig.records(), ["advised", "advice-done"]);
}

//= docs/rules.md#A-02
#[test]
fn a02_a_completion_follows_the_issuer_of_its_original() {
    let mut rig = rig();
    rig.request(1, 10);
    rig.respond(approval());
    let (handle, leg) = rig.sent();
    let transaction = rig.engine.transaction_id(handle).unwrap();
    advise_as(&mut rig, 2, 20, 1);
    assert_eq!(rig.told(20), Some(OK));
    let (owed, _) = rig.advices_sent()[0];
    let sent = rig.engine.advice(owed).unwrap();
    let completed = sent.completed.expect("it names what it completes");
    assert_eq!(
        (completed.transaction, completed.stan, completed.transmitted),
        (transaction, leg.stan, leg.transmitted)
    );
    assert_eq!(sent.leg.issuer, leg.issuer);
}

/// A crash may take back the leg that it would name, or another issuer get it.
#[test]
fn a11_a_completion_of_what_is_undecided_comes_again() {
    let check = |original: fn(&mut Rig), settle: fn(&mut Rig)| {
        let mut rig = Rig::new(Auto::Decide);
        original(&mut rig);
        advise_as(&mut rig, 2, 20, 1);
        assert_eq!(rig.told(20), Some(ResponseCode::MALFUNCTION));
        rig.flush();
        settle(&mut rig);
        advise_as(&mut rig, 2, 21, 1);
        rig.flush();
        assert_eq!(rig.told(21), Some(OK));
        let Some(Record::Advised(advised)) = rig.journal.last() else {
            panic!("{:?}", rig.journal.last());
        };
        assert!(advised.completes.is_some());
    };
    check(|rig| advise(rig, advice(1, 10)), |_| ());
    let answered = |rig: &mut Rig| {
        rig.respond(approval());
        rig.flush();
    };
    check(|rig| rig.request(1, 10), answered);
    let sent = |rig: &mut Rig| {
        rig.request(1, 10);
        rig.flush();
    };
    check(sent, answered);
}

//= docs/rules.md#A-03
#[test]
fn a03_a_completion_of_what_was_reversed_is_left_to_people() {
    let check = |before: fn(&mut Rig)| {
        let mut rig = rig();
        rig.request(1, 10);
        before(&mut rig);
        rig.seen.clear();
        advise_as(&mut rig, 2, 20, 1);
        assert_eq!(rig.told(20), Some(OK));
        assert!(rig.advices_sent().is_empty());
        let left = Event::Advice(AdviceResult::LeftToPeople);
        assert!(rig.events().contains(&left));
        let Some(Record::Advised(record)) = rig.journal.last() else {
            panic!("{:?}", rig.records());
        };
        assert_eq!((record.leg, record.answer.code), (None, OK));
        let kept = rig.journal.len();
        rig.restart(kept).unwrap();
        assert!(rig.advices_sent().is_empty());
        advise_as(&mut rig, 2, 21, 1);
        assert_eq!(rig.told(21), Some(OK), "a copy is told the same");
        assert_eq!(rig.journal.len(), kept);
    };
    check(|rig| {
        rig.respond(approval());
        rig.reverse(1, 11);
    });
    check(|rig| rig.pass(Duration::from_secs(3)));
    check(|rig| rig.reverse(1, 11));
}

#[test]
fn what_is_left_of_an_original_can_be_completed() {
    let mut rig = rig();
    rig.request(1, 10);
    rig.respond(approval());
    rig.give(Input::Reversal(domain::request::Reversal {
        replacement: Some(kes(4_000)),
        ..reversal(1, 11)
    }));
    advise_as(&mut rig, 2, 20, 1);
    assert_eq!(rig.told(20), Some(OK));
    rig.respond_to_reversal(OK);
    rig.pass(Duration::from_secs(3));
    assert_eq!(rig.advices_sent().len(), 1);
}

//= docs/rules.md#A-04
#[test]
fn a04_copies_are_acknowledged_and_have_no_effect() {
    let mut rig = Rig::new(Auto::Decide);
    advise(&mut rig, advice(1, 10));
    advise(
        &mut rig,
        Advice {
            transmission: Transmission::Repeat,
            ..advice(1, 11)
        },
    );
    assert!(rig.discarded(10) && rig.told(11).is_none());
    rig.flush();
    assert_eq!(rig.told(11), Some(OK));
    advise(&mut rig, advice(1, 12));
    assert_eq!(rig.told(12), Some(OK));
    respond(&mut rig, OK);
    advise(&mut rig, advice(1, 13));
    assert_eq!(rig.told(13), Some(OK));
    assert_eq!(rig.records(), ["advised", "advice-done"]);
}

#[test]
fn a04_copies_are_known_for_days_and_after_a_restart() {
    let mut rig = rig();
    advise(&mut rig, advice(1, 10));
    respond(&mut rig, OK);
    rig.restart(2).unwrap();
    rig.pass(Duration::from_secs(6 * 86_400));
    advise(&mut rig, advice(1, 11));
    assert_eq!(rig.told(11), Some(OK));
    assert_eq!(rig.journal.len(), 2);
}

#[test]
fn a05_other_content_under_the_same_key_is_refused() {
    let mut rig = rig();
    advise(&mut rig, advice(1, 10));
    let mut other = advice(1, 11);
    other.facts.content.0 += 1;
    advise(&mut rig, other);
    assert_eq!(rig.told(11), Some(ResponseCode::DUPLICATE));
    assert_eq!(rig.records(), ["advised"]);
}

#[test]
fn a06_an_advice_that_was_reversed_before_it_came_goes_no_further() {
    let mut rig = rig();
    rig.reverse(1, 10);
    advise(&mut rig, advice(1, 11));
    assert_eq!(rig.told(11), Some(OK));
    assert_eq!(rig.records(), ["tombstone"]);
}

#[test]
fn a07_an_advice_without_a_route_is_not_remembered() {
    let mut rig = rig();
    rig.no_route = true;
    advise(&mut rig, advice(1, 10));
    assert_eq!(rig.told(10), Some(ResponseCode::CANNOT_ROUTE));
    assert_eq!(rig.engine.counts().entries, 0);
    rig.no_route = false;
    advise(&mut rig, advice(1, 11));
    assert_eq!(rig.told(11), Some(OK));
}

#[test]
fn a08_an_advice_is_taken_when_requests_are_shed_and_refused_only_without_room() {
    let mut rig = Rig::with(
        Settings {
            saf_max: 10,
            advice_bytes_max: 40,
            ..settings()
        },
        Auto::Flush,
    );
    rig.links_down = true;
    rig.give(Input::Shed(true));
    for number in 1..=4 {
        advise(&mut rig, advice(number, number));
        assert_eq!(rig.told(number), Some(OK));
    }
    advise(&mut rig, advice(5, 5));
    assert_eq!(
        rig.told(5),
        Some(ResponseCode::MALFUNCTION),
        "no bytes left"
    );
    for number in 6..=10 {
        let small = Advice {
            fields: b"",
            ..advice(number, number)
        };
        advise(&mut rig, small);
        assert_eq!(rig.told(number), Some(OK));
    }
    advise(
        &mut rig,
        Advice {
            fields: b"",
            ..advice(12, 12)
        },
    );
    assert_eq!(
        rig.told(12),
        Some(ResponseCode::MALFUNCTION),
        "no entry left"
    );
    let full = Event::NotAdmitted(NotAdmitted::SafFull);
    assert_eq!(
        rig.events().iter().filter(|event| **event == full).count(),
        2
    );
}

#[test]
fn a08_what_was_not_decided_in_time_is_forgotten() {
    let mut rig = Rig::new(Auto::Nothing);
    advise(&mut rig, advice(1, 10));
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.told(10), Some(ResponseCode::MALFUNCTION));
    let counts = rig.engine.counts();
    assert_eq!((counts.entries, counts.inflight, counts.saf), (0, 0, 0));
}

#[test]
fn a09_an_advice_may_be_days_old_and_no_older() {
    let check = |days: u64, told| {
        let mut rig = rig();
        let sent = rig.wall().before(Duration::from_secs(days * 86_400));
        let mut old = advice(1, 10);
        old.facts.trace.transmitted = TransmissionTime::at(sent);
        advise(&mut rig, old);
        assert_eq!(rig.told(10), Some(told), "{days}");
    };
    check(6, OK);
    check(8, ResponseCode::DUPLICATE);
}

//= docs/rules.md#D-08
#[test]
fn an_advice_of_a_clock_that_cannot_be_trusted_is_of_any_age() {
    let check = |clock, told| {
        let mut rig = rig();
        let sent = rig.wall().before(Duration::from_secs(8 * 86_400));
        let mut old = advice(1, 10);
        old.clock = clock;
        old.facts.trace.transmitted = TransmissionTime::at(sent);
        advise(&mut rig, old);
        assert_eq!(rig.told(10), Some(told), "{clock:?}");
    };
    check(ClockCheck::Untrusted, OK);
    check(ClockCheck::Window, ResponseCode::DUPLICATE);
    check(ClockCheck::Within { seconds: 60 }, ResponseCode::DUPLICATE);
}

//= docs/rules.md#A-05
#[test]
fn an_advice_is_reversed_behind_itself() {
    let mut rig = rig();
    rig.links_down = true;
    advise(&mut rig, advice(1, 10));
    rig.reverse(1, 11);
    assert_eq!(rig.told(11), Some(OK));
    assert_eq!(rig.records(), ["advised", "saf-owed"]);
    let kept = rig.journal.len();
    rig.restart(kept).unwrap();
    rig.links_down = false;
    rig.pass(Duration::from_secs(600));
    assert!(rig.reversals_sent().is_empty(), "the advice goes first");
    let (owed, transmission) = *rig.advices_sent().last().unwrap();
    assert_eq!(transmission, Transmission::Repeat);
    respond(&mut rig, OK);
    let (handle, _) = rig.reversal_sent();
    assert_eq!(handle, owed.handle);
    let owed = rig.engine.reversal(handle).unwrap();
    assert_eq!(owed.original, MessageKind::Advice);
    rig.respond_to_reversal(OK);
    assert_eq!(rig.engine.counts().saf, 0);
}

#[test]
fn an_advice_of_a_decline_leaves_nothing_to_reverse() {
    let mut rig = rig();
    let reported = Some(ResponseCode::INSUFFICIENT_FUNDS);
    advise(
        &mut rig,
        Advice {
            reported,
            ..advice(1, 10)
        },
    );
    assert_eq!(rig.told(10), Some(OK));
    rig.reverse(1, 11);
    assert_eq!(rig.told(11), Some(OK));
    assert_eq!(rig.records(), ["advised"]);
    rig.restart(1).unwrap();
    rig.reverse(1, 12);
    assert_eq!(rig.records(), ["advised"]);
}

#[test]
fn what_ends_an_advice() {
    let check = |answer: &[u8; 2], times: usize, last: &str, result| {
        let mut rig = rig();
        advise(&mut rig, advice(1, 10));
        for _ in 0..times {
            respond(&mut rig, code(answer));
            rig.pass(Duration::from_secs(60));
        }
        assert_eq!(rig.records().last(), Some(&last), "{answer:?}");
        if let Some(Record::AdviceDone(done)) = rig.journal.last() {
            assert_eq!(Some(done.result), result);
        }
    };
    check(b"00", 1, "advice-done", Some(SafResult::Acknowledged));
    check(b"30", 2, "advised", None);
    check(b"30", 3, "advice-done", Some(SafResult::Refused));
    check(b"25", 3, "advice-done", Some(SafResult::Refused));
    check(b"91", 3, "advised", None);
}

#[test]
fn advices_in_flight_take_no_room_for_answers() {
    let settings = Settings {
        inflight_max: 2,
        answer_bytes_max: 0,
        ..settings()
    };
    let mut rig = Rig::with(settings, Auto::Decide);
    for number in 1..=6 {
        advise(&mut rig, advice(number, number));
    }
    rig.flush();
    for number in 1..=6 {
        assert_eq!(rig.told(number), Some(OK), "{number}");
    }
}

#[test]
fn exceptions_that_nobody_looks_at_keep_no_advice_out() {
    let settings = Settings {
        advice_bytes_max: 20,
        ..settings()
    };
    let mut rig = Rig::with(settings, Auto::Flush);
    for number in 1..=4 {
        advise(&mut rig, advice(number, number));
        assert_eq!(rig.told(number), Some(OK), "{number}");
        for _ in 0..3 {
            respond(&mut rig, code(b"30"));
            rig.pass(Duration::from_secs(60));
        }
        assert_eq!(rig.records().last(), Some(&"advice-done"));
    }
    assert_eq!(rig.engine.counts().exceptions, 2, "twenty bytes hold two");
}

#[test]
fn an_original_that_went_nowhere_is_unknown() {
    let mut rig = rig();
    rig.request(1, 10);
    rig.respond(decline());
    let query = |number| super::OriginalQuery {
        acquirer: facts(number).acquirer,
        named: named(number),
        merchant: facts(number).trace.merchant,
        token: facts(number).account.token,
        taken: None,
    };
    let known = rig.engine.original(&query(1));
    assert!(matches!(
        known,
        Original::Stands {
            issuer: IssuerId(0),
            ..
        }
    ));
    assert_eq!(rig.engine.original(&query(2)), Original::Unknown);
    let mut other = query(1);
    other.token.0[0] ^= 1;
    assert_eq!(rig.engine.original(&other), Original::Unknown);
}

/// Stands in for the transaction that asks for a route.
fn stand_in(rig: &mut Rig) {
    let asked = rig.seen.iter().rev().find_map(|output| {
        if let Output::SelectRoute { handle, .. } = output {
            Some(*handle)
        } else {
            None
        }
    });
    let leg = rig.leg_to(IssuerId(1));
    rig.give(Input::StoodIn {
        handle: asked.expect("a route is asked for"),
        leg,
        authorisation: AuthorisationId::new("DE38", b"S00001").unwrap(),
        fields: b"\x26\x00\x06S00001",
    });
}

fn accept(rig: &mut Rig) {
    let asked = rig.seen.iter().rev().find_map(|output| {
        if let Output::Assess { handle, .. } = output {
            Some(*handle)
        } else {
            None
        }
    });
    rig.give(Input::Assessed {
        handle: asked.expect("risk is asked"),
        assessment: crate::input::Assessment::Accept,
    });
}

//= docs/rules.md#A-06
#[test]
fn an_approval_in_place_of_an_issuer_owes_it_an_advice_in_one_record() {
    let mut rig = Rig::new(Auto::Nothing);
    rig.request(1, 10);
    accept(&mut rig);
    stand_in(&mut rig);
    assert_eq!(rig.records(), ["advised"]);
    assert_eq!(rig.told(10), None);
    rig.flush();
    assert_eq!(rig.told(10), Some(OK));
    assert!(rig.events().contains(&Event::StoodIn));
    let (owed, _) = rig.advices_sent()[0];
    let sent = rig.engine.advice(owed).unwrap();
    assert_eq!(
        (sent.origin, sent.authorisation.as_str()),
        (AdviceOrigin::StandIn, "S00001")
    );
    rig.auto = Auto::Flush;
    rig.restart(1).unwrap();
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), Some(OK));
    assert_eq!(rig.advices_sent().last().unwrap().1, Transmission::Repeat);
    rig.reverse(1, 12);
    rig.repeat(1, 13);
    assert_eq!(rig.told(13), Some(ResponseCode::DUPLICATE), "R9");
}

#[test]
fn an_approval_in_place_of_an_issuer_may_follow_one_that_got_nothing() {
    let mut rig = rig();
    rig.request(1, 10);
    let (handle, leg) = rig.sent();
    rig.auto = Auto::Nothing;
    rig.give(Input::Unsent {
        handle,
        stan: leg.stan,
    });
    stand_in(&mut rig);
    rig.flush();
    assert_eq!(rig.told(10), Some(OK));
    assert_eq!(rig.records(), ["intent", "advised"]);
    assert_eq!(rig.decided, [2], "one record decides");
    rig.auto = Auto::Flush;
    rig.restart(2).unwrap();
    assert!(rig.reversals_sent().is_empty());
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), Some(OK));
    assert_eq!(rig.advices_sent().len(), 1);
    respond(&mut rig, OK);
}

#[test]
fn a_crash_at_each_record_owes_the_advice_or_knows_nothing_of_it() {
    let mut rig = rig();
    advise(&mut rig, advice(1, 10));
    respond(&mut rig, OK);
    let journal = rig.journal.clone();
    for kept in 0..=journal.len() {
        rig.journal.clone_from(&journal);
        rig.restart(kept).unwrap();
        assert_eq!(rig.advices_sent().len(), usize::from(kept == 1), "{kept}");
    }
}

#[test]
fn a_late_selection_or_assignment_gives_its_stan_back() {
    let mut rig = rig();
    advise(&mut rig, advice(1, 10));
    let (owed, _) = rig.advices_sent()[0];
    rig.seen.clear();
    let leg = rig.leg_to(IssuerId(0));
    rig.give(Input::Assigned {
        handle: owed.handle,
        assignment: crate::input::Assignment::Leg(leg),
    });
    let released = rig
        .seen
        .iter()
        .filter(|output| matches!(output, Output::ReleaseStan { leg: given, .. } if *given == leg));
    assert_eq!(released.count(), 1);
    rig.give(Input::Selected {
        handle: owed.handle,
        selection: Selection::None {
            code: OK,
            reason: domain::record::RefusalReason::NoRoute,
        },
    });
    assert_eq!(rig.engine.counts().saf, 1);
}

/// The issuer of what is completed is not configured any more.
#[test]
fn a10_a_completion_for_an_issuer_that_is_gone_is_left_to_people() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    rig.issuer_gone = true;
    rig.seen.clear();
    advise_as(&mut rig, 2, 20, 1);
    assert_eq!(rig.told(20), Some(OK));
    assert!(rig.advices_sent().is_empty());
    let gone = Event::Advice(AdviceResult::NoIssuer);
    assert!(rig.events().contains(&gone));
    let Some(Record::Advised(advised)) = rig.journal.last() else {
        panic!("{:?}", rig.journal.last());
    };
    assert!(advised.leg.is_none() && advised.completes.is_some());
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(rig.engine.counts().exceptions, 1);
    advise_as(&mut rig, 2, 21, 1);
    assert_eq!(rig.told(21), Some(OK), "its copy");
}

/// Advice 1, which its issuer has not taken, and a completion of it.
fn completed_untold() -> (Rig, OwedId) {
    let mut rig = rig();
    advise(&mut rig, advice(1, 10));
    let (original, _) = rig.advices_sent()[0];
    rig.seen.clear();
    advise_as(&mut rig, 2, 20, 1);
    assert_eq!(rig.told(20), Some(OK));
    (rig, original)
}

//= docs/rules.md#A-05
#[test]
fn a_completion_never_overtakes_the_advice_that_it_completes() {
    let (mut rig, original) = completed_untold();
    rig.pass(Duration::from_secs(4));
    assert!(rig.advices_sent().iter().all(|(owed, _)| *owed == original));
    rig.give(Input::ReversalResponse {
        owed: original,
        code: OK,
    });
    rig.seen.clear();
    rig.pass(Duration::from_secs(30));
    let sent = rig.advices_sent();
    assert_ne!(sent[0].0, original);
    assert_eq!(sent[0].1, Transmission::First);
}

#[test]
fn a_restart_keeps_a_completion_behind_its_original() {
    let (mut rig, _) = completed_untold();
    rig.restart(rig.journal.len()).unwrap();
    rig.pass(Duration::from_secs(3));
    let sent: BTreeSet<u32> = rig
        .advices_sent()
        .iter()
        .map(|(owed, _)| owed.handle.index)
        .collect();
    assert_eq!(sent.len(), 1, "the original alone");
}

//= docs/rules.md#A-08
#[test]
fn a12_what_completes_too_much_is_left_to_people() {
    let check = |minor: u64, is_over: bool| {
        let mut rig = rig();
        rig.request(1, 10);
        rig.respond(approval());
        let mut completion = advice(2, 20);
        completion.facts.account = facts(1).account;
        completion.facts.amount = kes(minor);
        completion.original = Some(named(1));
        completion.limit = CompletionLimit::Above { percent: 15 };
        advise(&mut rig, completion);
        assert_eq!(rig.told(20), Some(OK));
        assert_eq!(rig.advices_sent().is_empty(), is_over);
        let over = Event::Advice(AdviceResult::OverOriginal);
        assert_eq!(rig.events().contains(&over), is_over);
        let Some(Record::Advised(record)) = rig.journal.last() else {
            panic!("{:?}", rig.records());
        };
        assert_eq!((record.is_over, record.leg.is_none()), (is_over, is_over));
        assert!(record.completes.is_some());
        let kept = rig.journal.len();
        rig.restart(kept).unwrap();
        assert_eq!(rig.advices_sent().is_empty(), is_over);
        advise(
            &mut rig,
            Advice {
                frame: domain::request::FrameId(21),
                ..completion
            },
        );
        assert_eq!(rig.told(21), Some(OK), "a copy is told the same");
        assert_eq!(rig.journal.len(), kept);
    };
    check(11_500, false);
    check(11_501, true);
}
