//! Tests of `reference`.

use core::time::Duration;
use std::vec::Vec;

use domain::bytes::Text;
use domain::request::{DuplicateKey, TraceKey};
use proptest::prelude::*;

use super::*;
use crate::input::Input;
use crate::settings::Settings;
use crate::testing::{Auto, Rig, approval, facts, kes, reversal, settings};

fn query(number: u32) -> ReferenceQuery {
    let facts = facts(number);
    ReferenceQuery {
        acquirer: facts.acquirer,
        rrn: facts.trace.rrn,
        terminal: facts.trace.terminal,
        merchant: facts.trace.merchant,
        class: Some(facts.class),
        transmitted: Some(facts.trace.transmitted),
        local: None,
        amount: Some(facts.amount),
        authorisation: Text::EMPTY,
        purpose: Purpose::Reversal,
        token: Some(facts.account.token),
    }
}

/// Request 1 has been approved.
fn approved() -> Rig {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    rig
}

/// A reversal of request 1 whose DE90 names a STAN that nobody has sent.
fn astray(frame: u32) -> Reversal {
    let elsewhere = reversal(500, frame);
    Reversal {
        original: OriginalReference {
            rrn: facts(1).trace.rrn,
            ..elsewhere.original
        },
        key: DuplicateKey(77),
        token: Some(facts(1).account.token),
        ..elsewhere
    }
}

#[test]
fn what_de90_does_not_find_its_reference_does() {
    let mut rig = approved();
    let astray = astray(20);
    assert!(!rig.engine.knows_original(&astray));
    let found = rig.engine.referred(&query(1)).unwrap();
    let named = rig.engine.named_by(found.handle, &astray).unwrap();
    assert!(rig.engine.knows_original(&named));
    rig.give(Input::Reversal(named));
    assert_eq!(rig.attempts(), 1);
    // A copy finds the same one, and changes nothing.
    let found = rig.engine.referred(&query(1)).unwrap();
    let copy = Reversal {
        frame: domain::request::FrameId(21),
        ..rig.engine.named_by(found.handle, &astray).unwrap()
    };
    rig.give(Input::Reversal(copy));
    assert_eq!((rig.told(20), rig.told(21)), (rig.told(21), rig.told(20)));
    assert!(rig.told(21).is_some());
    assert_eq!(rig.attempts(), 1);
}

#[test]
fn it_is_found_after_a_restart_and_its_copy_changes_nothing() {
    let mut rig = approved();
    let found = rig.engine.referred(&query(1)).unwrap();
    let named = rig.engine.named_by(found.handle, &astray(20)).unwrap();
    rig.give(Input::Reversal(named));
    let owed = rig
        .records()
        .iter()
        .filter(|name| **name == "saf-owed")
        .count();
    rig.restart(rig.journal.len()).unwrap();
    let found = rig.engine.referred(&query(1)).unwrap();
    let copy = rig.engine.named_by(found.handle, &astray(21)).unwrap();
    rig.give(Input::Reversal(copy));
    let again = rig
        .records()
        .iter()
        .filter(|name| **name == "saf-owed")
        .count();
    assert_eq!((owed, again), (1, 1));
    assert!(rig.told(21).is_some());
}

#[test]
fn what_differs_in_a_check_is_not_meant() {
    let rig = approved();
    let missed = |change: fn(&mut ReferenceQuery)| {
        let mut other = query(1);
        change(&mut other);
        assert_eq!(rig.engine.referred(&other), None, "{other:?}");
    };
    missed(|query| query.acquirer = AcquirerId(9));
    missed(|query| query.rrn = Text::new("DE37", b"000000000002").unwrap());
    missed(|query| query.terminal = Text::new("DE41", b"TERM0002").unwrap());
    missed(|query| query.merchant = Text::new("DE42", b"MERCHANT0000002").unwrap());
    missed(|query| query.class = Some(MessageClass::Authorisation));
    missed(|query| query.amount = Some(kes(9_999)));
    missed(|query| query.token = Some(PanToken([9; 16])));
    let bare = ReferenceQuery {
        class: None,
        transmitted: None,
        token: None,
        ..query(1)
    };
    assert!(rig.engine.referred(&bare).is_some());
    assert!(bare.is_whole());
    let none = Text::EMPTY;
    assert!(!ReferenceQuery { rrn: none, ..bare }.is_whole());
}

/// The reversal of a completion that has never come does not take back what it was to complete.
//= docs/rules.md#V-11
#[test]
fn another_time_in_de90_is_another_transaction() {
    let mut rig = Rig::new(Auto::Flush);
    let mut purchase = facts(1);
    let digits = |time: TransmissionTime| time.digits();
    let made = digits(purchase.trace.transmitted);
    purchase.trace.local_date = Text::new("DE13", &made[..4]).unwrap();
    purchase.trace.local_time = Text::new("DE12", &made[4..]).unwrap();
    let own = purchase.trace.transmitted;
    rig.request_as(purchase, 10, domain::request::Transmission::First);
    rig.respond(approval());
    let later = WallTime::default().after(Duration::from_secs(86_400));
    let other = TransmissionTime::at(later);
    assert_ne!(own, other);
    let check = |transmitted, local, is_meant: bool| {
        let asked = ReferenceQuery {
            transmitted,
            local,
            ..query(1)
        };
        assert_eq!(rig.engine.referred(&asked).is_some(), is_meant, "{asked:?}");
    };
    check(Some(own), None, true);
    check(Some(other), None, false);
    check(None, Some(own), true);
    check(None, Some(other), false);
    check(Some(own), Some(own), true);
    check(None, None, true);
}

#[test]
fn of_several_the_newest_is_meant() {
    let mut rig = approved();
    rig.pass(Duration::from_secs(1));
    let mut again = facts(1);
    again.trace_key = TraceKey(900);
    again.key = DuplicateKey(900);
    rig.request_as(again, 11, domain::request::Transmission::First);
    let newest = rig.engine.referred(&query(1)).unwrap();
    assert_eq!(newest.handle, rig.sent().0);
    assert_eq!(newest.admitted, rig.wall());
}

proptest! {
    /// Transactions of few references come and are forgotten in any order.
    #[test]
    fn chains_agree_with_a_list(steps in prop::collection::vec((0_u8..4, any::<bool>()), 1..120)) {
        let small = Settings { transactions_max: 64, ..settings() };
        let mut table = Table::new(&small, &[]);
        let mut model: Vec<(u8, u32)> = Vec::new();
        for (serial, (reference, comes)) in (1_u32..).zip(steps) {
            if comes && model.len() < 50 {
                let mut facts = facts(serial);
                facts.trace.rrn = Text::new("DE37", &[b'0' + reference]).unwrap();
                let request = domain::request::Request {
                    completion: domain::request::Completion::No,
                    frame: domain::request::FrameId(serial),
                    transmission: domain::request::Transmission::First,
                    facts,
                    profile: domain::profile::Profile::PLAIN,
                    clock: domain::profile::ClockCheck::Window,
                };
                let id = domain::ids::TransactionId(u128::from(serial));
                let body = Transaction::admit(&request, id, WallTime::default());
                let body = Body::Transaction(body);
                let handle = table.insert(facts.trace_key, body).unwrap();
                model.push((reference, handle.index));
            } else if !model.is_empty() {
                let (_, index) = model.remove(serial as usize % model.len());
                table.remove(index);
            }
            for reference in 0..4 {
                let mut facts = facts(1);
                facts.trace.rrn = Text::new("DE37", &[b'0' + reference]).unwrap();
                let found: Vec<u32> = table.referred(reference_of(&facts).unwrap()).collect();
                let of_it = model.iter().rev().filter(|(other, _)| *other == reference);
                let expected: Vec<u32> = of_it.map(|(_, index)| *index).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}

/// A completion shares the reference of what it completes, and is not what the next one means.
#[test]
fn what_completes_something_is_not_completed() {
    let mut rig = approved();
    let asked = ReferenceQuery {
        amount: None,
        class: None,
        transmitted: None,
        purpose: Purpose::Completion,
        ..query(1)
    };
    let first = rig.engine.referred(&asked).unwrap();
    assert!(matches!(first.original, Original::Stands { .. }));
    rig.pass(Duration::from_secs(1));
    let completion = domain::request::Completion::Named(crate::testing::named(1));
    let mut completing = facts(2);
    completing.trace.rrn = facts(1).trace.rrn;
    completing.account = facts(1).account;
    rig.give(Input::Request(domain::request::Request {
        frame: domain::request::FrameId(20),
        transmission: domain::request::Transmission::First,
        facts: completing,
        completion,
        profile: rig.profile,
        clock: domain::profile::ClockCheck::Window,
    }));
    rig.respond(approval());
    assert_eq!(rig.engine.referred(&asked), Some(first));
    let newest = rig.engine.referred(&ReferenceQuery {
        purpose: Purpose::Reversal,
        ..asked
    });
    assert_ne!(newest, Some(first), "a reversal may mean the completion");
}

#[test]
fn de38_is_a_check_where_both_have_one() {
    let rig = approved();
    let asked = |digits: &[u8]| ReferenceQuery {
        amount: None,
        authorisation: Text::new("DE38", digits).unwrap(),
        purpose: Purpose::Completion,
        ..query(1)
    };
    assert!(rig.engine.referred(&asked(b"A1B2C3")).is_some());
    assert!(rig.engine.referred(&asked(b"")).is_some());
    assert_eq!(rig.engine.referred(&asked(b"A1B2C4")), None);
}
