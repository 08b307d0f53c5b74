//! The table of `operating`, and what a crash leaves of it.

use core::time::Duration;
use std::vec::Vec;

use domain::ResponseCode;
use domain::bytes::Text;
use domain::ids::IssuerId;
use domain::record::{Operation, Operator, Reason, Record, SafResult};
use domain::request::Transmission;

use super::{Ended, Operate, OperateError, Operated, OwedView, Retried, Stand};
use crate::input::Input;
use crate::output::{Event, Output, Owed};
use crate::standing::Standing;
use crate::testing::{Auto, Rig, advice, approval, code, facts, name, named, reversal};

const TICKET: u32 = 7;

fn operator() -> Operator {
    Operator {
        uid: 1000,
        name: Text::new("name", b"asha").unwrap(),
    }
}

fn views(rig: &Rig) -> Vec<OwedView> {
    let (views, next) = rig.engine.owed_views(0, 1_000);
    assert_eq!(next, None);
    views.collect()
}

/// The one entry that there is.
#[track_caller]
fn only(rig: &Rig) -> OwedView {
    let views = views(rig);
    assert_eq!(views.len(), 1, "{views:?}");
    views[0]
}

/// Does it by hand and says what the operator was told, if anything.
fn by_hand(
    rig: &mut Rig,
    view: &OwedView,
    operation: Operation,
) -> Option<Result<Operated, OperateError>> {
    let operate = Operate {
        owed: view.owed,
        operation,
        operator: operator(),
        reason: Reason::new("booked by hand").unwrap(),
    };
    rig.give(Input::Operate {
        ticket: TICKET,
        operate,
    });
    told(rig)
}

fn told(rig: &Rig) -> Option<Result<Operated, OperateError>> {
    rig.seen.iter().rev().find_map(|output| {
        if let Output::Operated { ticket, result } = output {
            assert_eq!(*ticket, TICKET);
            Some(*result)
        } else {
            None
        }
    })
}

/// A reversal that the issuer has refused three times.
fn refused_reversal(auto: Auto) -> Rig {
    let mut rig = Rig::new(auto);
    rig.request(1, 1);
    rig.flush();
    rig.pass(Duration::from_secs(3));
    rig.flush();
    for _ in 0..3 {
        rig.respond_to_reversal(code(b"12"));
        rig.pass(Duration::from_secs(4));
    }
    rig.seen.clear();
    rig
}

#[test]
fn what_is_refused_is_shown_as_an_exception_and_goes_again_when_it_is_put_back() {
    let mut rig = refused_reversal(Auto::Flush);
    let view = only(&rig);
    assert_eq!(view.stand, Stand::Exception(Ended::Refused));
    assert_eq!((view.ordinal, view.attempts), (1, 3));
    assert_eq!(view.code, Some(code(b"12")));
    assert_eq!(
        (rig.engine.counts().saf, rig.engine.counts().exceptions),
        (0, 1)
    );
    let told = by_hand(&mut rig, &view, Operation::Retry);
    assert_eq!(told, Some(Ok(Operated::PutBack)));
    assert_eq!(rig.reversal_sent().1, Transmission::Repeat);
    assert_eq!(
        (rig.engine.counts().saf, rig.engine.counts().exceptions),
        (1, 0)
    );
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(views(&rig), []);
    let names: Vec<_> = rig.journal.iter().map(name).collect();
    let end = ["saf-done", "operated", "saf-done"];
    assert_eq!(names[names.len() - 3..], end);
}

//= docs/rules.md#A-07
#[test]
fn nothing_is_told_or_sent_before_its_record_is_durable() {
    let mut rig = refused_reversal(Auto::Flush);
    rig.auto = Auto::Decide;
    let view = only(&rig);
    assert_eq!(by_hand(&mut rig, &view, Operation::Retry), None);
    assert_eq!(rig.attempts(), 0);
    rig.flush();
    assert_eq!(told(&rig), Some(Ok(Operated::PutBack)));
    assert_eq!(rig.attempts(), 1);
    rig.seen.clear();
    let view = only(&rig);
    assert_eq!(by_hand(&mut rig, &view, Operation::Drop), None);
    rig.flush();
    assert_eq!(told(&rig), Some(Ok(Operated::Dropped)));
}

#[test]
fn a_drop_says_who_and_why_and_its_answer_is_nobodys() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 1);
    rig.pass(Duration::from_secs(3));
    let view = only(&rig);
    assert_eq!(view.stand, Stand::InFlight);
    let told = by_hand(&mut rig, &view, Operation::Drop);
    assert_eq!(told, Some(Ok(Operated::Dropped)));
    let Some(Record::Operated(record)) = rig.journal.last() else {
        panic!("{:?}", rig.journal.last());
    };
    assert_eq!(record.operator, operator());
    assert_eq!(record.reason.as_str(), "booked by hand");
    assert_eq!((record.ordinal, record.attempts), (1, 1));
    let given_up = |output: &Output| matches!(output, Output::GiveUpReversal { .. });
    assert!(rig.seen.iter().any(given_up));
    let ended = |event: &Event| {
        matches!(
            event,
            Event::SafEnded {
                what: Owed::Reversal(_),
                result: SafResult::Dropped
            }
        )
    };
    assert!(rig.events().iter().any(ended));
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(rig.events().last(), Some(&Event::Stray));
    assert_eq!(only(&rig).stand, Stand::Exception(Ended::Dropped));
    let view = only(&rig);
    let again = by_hand(&mut rig, &view, Operation::Drop);
    assert_eq!(again, Some(Err(OperateError::Excepted)));
}

#[test]
fn a_pause_ends_at_once_and_what_is_in_flight_stays() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 1);
    rig.pass(Duration::from_secs(3));
    let view = only(&rig);
    let due = Some(Ok(Operated::Due));
    assert_eq!(by_hand(&mut rig, &view, Operation::Retry), due);
    assert_eq!(rig.attempts(), 1, "it is in flight");
    rig.respond_to_reversal(ResponseCode::ISSUER_INOPERATIVE);
    assert_eq!(only(&rig).stand, Stand::Paused);
    assert_eq!(by_hand(&mut rig, &view, Operation::Retry), due);
    assert_eq!(rig.attempts(), 2);
    let records = rig.journal.iter().map(name);
    assert_eq!(records.filter(|name| *name == "operated").count(), 0);
}

#[test]
fn everything_of_an_issuer_goes_at_once() {
    let mut rig = refused_reversal(Auto::Flush);
    rig.request(2, 2);
    rig.pass(Duration::from_secs(3));
    rig.respond_to_reversal(ResponseCode::ISSUER_INOPERATIVE);
    rig.seen.clear();
    for (issuer, expected) in [(1, (0, 0)), (0, (1, 1))] {
        rig.give(Input::RetryAll {
            ticket: TICKET,
            issuer: IssuerId(issuer),
            from: 0,
            operator: operator(),
        });
        let retried = rig.seen.iter().rev().find_map(|output| {
            if let Output::Retried { retried, .. } = output {
                Some(*retried)
            } else {
                None
            }
        });
        let (due, put_back) = expected;
        let expected = Retried {
            due,
            put_back,
            ..Retried::default()
        };
        assert_eq!(retried, Some(expected));
    }
    assert_eq!(rig.attempts(), 2);
}

#[test]
fn an_older_reversal_never_follows_a_later_one() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 1);
    rig.respond(approval());
    let mut partial = reversal(1, 2);
    partial.replacement = Some(crate::testing::kes(4_000));
    rig.give(Input::Reversal(partial));
    for _ in 0..3 {
        rig.respond_to_reversal(code(b"12"));
        rig.pass(Duration::from_secs(20));
    }
    let first = only(&rig);
    assert_eq!(first.stand, Stand::Exception(Ended::Refused));
    let mut whole = reversal(1, 3);
    whole.key.0 += 1;
    rig.give(Input::Reversal(whole));
    let overtaken = Some(Err(OperateError::Overtaken));
    assert_eq!(by_hand(&mut rig, &first, Operation::Retry), overtaken);
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(by_hand(&mut rig, &first, Operation::Retry), overtaken);
}

#[test]
fn a_reversal_whose_request_is_open_is_left_alone() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 1);
    rig.reverse(1, 2);
    let view = only(&rig);
    assert_eq!(view.stand, Stand::Held);
    for operation in [Operation::Retry, Operation::Drop] {
        let told = by_hand(&mut rig, &view, operation);
        assert_eq!(told, Some(Err(OperateError::RequestOpen)));
        rig.seen.clear();
    }
}

#[test]
fn a_drop_in_the_middle_lets_the_rest_go_in_order() {
    let mut rig = Rig::new(Auto::Flush);
    rig.give(Input::Advice(advice(1, 1)));
    let mut taken_back = reversal(1, 2);
    taken_back.original.class = None;
    rig.give(Input::Reversal(taken_back));
    let entries = views(&rig);
    assert_eq!(entries.len(), 2, "{entries:?}");
    let (first, second) = (entries[0], entries[1]);
    let behind = Some(Err(OperateError::Behind));
    assert_eq!(by_hand(&mut rig, &second, Operation::Retry), behind);
    let dropped = Some(Ok(Operated::Dropped));
    assert_eq!(by_hand(&mut rig, &second, Operation::Drop), dropped);
    assert_eq!(views(&rig)[0].stand, Stand::InFlight);
    let (owed, _) = *rig.advices_sent().last().unwrap();
    assert_eq!(owed, first.owed);
    rig.give(Input::ReversalResponse {
        owed,
        code: ResponseCode::APPROVED,
    });
    assert_eq!(only(&rig).stand, Stand::Exception(Ended::Dropped));
}

#[test]
fn what_nobody_was_told_is_shown_and_cannot_be_sent() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 1);
    rig.respond(approval());
    rig.reverse(1, 2);
    rig.respond_to_reversal(ResponseCode::APPROVED);
    let mut completion = advice(2, 3);
    completion.original = Some(named(1));
    completion.facts.account = facts(1).account;
    rig.give(Input::Advice(completion));
    let view = only(&rig);
    assert_eq!(view.stand, Stand::Exception(Ended::Unforwarded));
    assert_eq!(view.issuer, None);
    let refused = Some(Err(OperateError::NoIssuer));
    assert_eq!(by_hand(&mut rig, &view, Operation::Retry), refused);
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(only(&rig).stand, Stand::Exception(Ended::Unforwarded));
}

#[test]
fn the_oldest_exception_gives_way_and_its_transaction_may_be_forgotten() {
    let mut rig = Rig::new(Auto::Flush);
    for number in 1..=5 {
        rig.request(number, number);
        rig.pass(Duration::from_secs(3));
        for view in views(&rig) {
            if view.stand == Stand::InFlight {
                by_hand(&mut rig, &view, Operation::Drop);
            }
        }
    }
    assert_eq!(rig.engine.counts().exceptions, 4);
    let ordinals: Vec<u8> = views(&rig).iter().map(|view| view.ordinal).collect();
    assert_eq!(ordinals, [1; 4]);
    // Nobody looks at it any more, and its reversal has failed all the same.
    let standing = |rig: &Rig, number| {
        let facts = facts(number);
        let (handle, _) = rig.engine.keyed(facts.trace_key, facts.key)?;
        rig.engine.seen(handle).map(|seen| seen.standing)
    };
    let standings = |rig: &Rig| [1, 5].map(|number| standing(rig, number));
    assert_eq!(standings(&rig), [Some(Standing::Excepted); 2]);
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(standings(&rig), [Some(Standing::Excepted); 2]);
}

/// Every prefix of the journal is a crash: what was told before it holds after it.
#[test]
fn a_crash_between_any_two_records_forgets_nothing_that_was_told() {
    let mut rig = refused_reversal(Auto::Flush);
    let before = rig.journal.len();
    let view = only(&rig);
    by_hand(&mut rig, &view, Operation::Retry);
    let put_back = rig.journal.len();
    let view = only(&rig);
    by_hand(&mut rig, &view, Operation::Drop);
    let dropped = rig.journal.len();
    let journal = rig.journal.clone();
    for (kept, stand, owed) in [
        (before, Stand::Exception(Ended::Refused), 0),
        (put_back, Stand::InFlight, 1),
        (dropped, Stand::Exception(Ended::Dropped), 0),
    ] {
        rig.journal = journal.clone();
        rig.restart(kept).unwrap();
        let view = only(&rig);
        assert_eq!((view.stand, view.ordinal), (stand, 1), "{kept} records");
        assert_eq!(rig.engine.counts().saf, owed);
        if owed == 1 {
            assert_eq!(rig.reversal_sent().1, Transmission::Repeat);
        }
    }
}
