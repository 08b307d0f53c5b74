//! Room for answers, over a ring that comes round many times.

use core::time::Duration;
use std::vec::Vec;

use domain::ids::AcquirerId;
use domain::request::{Answer, Facts, Transmission};
use domain::time::TransmissionTime;
use proptest::prelude::*;

use super::ANSWER_BYTES_MAX;
use crate::output::{Output, Reply};
use crate::settings::{Settings, Windows};
use crate::testing::{Auto, Rig, approval, facts, settings};

/// The smallest block of the ring.
const BLOCK_MIN: usize = 16;
/// Acquirers by number, with windows of so many minutes. The lists are looked through in this
/// order, and the answers of the last ones lie at the tail as often as others.
const MINUTES: [u64; 3] = [1, 5, 20];

fn narrow() -> Settings {
    Settings {
        transactions_max: 2_048,
        answer_bytes_max: 2_048,
        inflight_max: 1,
        ..settings()
    }
}

fn ringed() -> Rig {
    let windows = MINUTES.map(|minutes| Windows {
        requests: Duration::from_secs(60 * minutes),
        advices: settings().advice_window,
    });
    Rig::with_windows(narrow(), windows.to_vec(), Auto::Flush)
}

fn of(rig: &Rig, acquirer: u16, number: u32) -> Facts {
    let mut own = facts(number);
    own.acquirer = AcquirerId(acquirer);
    own.trace.transmitted = TransmissionTime::at(rig.wall());
    own
}

/// The bytes that a copy is told.
fn told_again(rig: &mut Rig, own: Facts, frame: u32) -> Option<Vec<u8>> {
    rig.seen.clear();
    rig.request_as(own, frame, Transmission::Repeat);
    let mut replies = rig.seen.iter().filter_map(|output| {
        let Output::Reply { reply, .. } = output else {
            return None;
        };
        Some(*reply)
    });
    match replies.next_back()? {
        Reply::Answer(handle) => Some(rig.engine.answer(handle)?.fields.to_vec()),
        Reply::Code(_) | Reply::Acknowledge { .. } => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One request takes room for one answer, so it forgets no more than that room held; what it
    /// is refused for has to be kept, and what has to be kept is told whole.
    #[test]
    fn a_request_forgets_what_stands_in_its_way_and_no_more(
        steps in prop::collection::vec((0_u16..3, 1_usize..60, 0_u64..40, 0_u8..60), 1..500),
    ) {
        let mut rig = ringed();
        let mut kept: Vec<(Facts, u64, Vec<u8>)> = Vec::new();
        for (number, (acquirer, len, seconds, idle)) in (1_u32..).zip(steps) {
            let minutes = if idle == 0 { 30 } else { 0 };
            rig.pass(Duration::from_secs(seconds / 8 + 60 * minutes));
            let own = of(&rig, acquirer, number);
            let before = rig.engine.counts().entries;
            rig.seen.clear();
            rig.request_as(own, number, Transmission::First);
            let after = rig.engine.counts().entries;
            let forgotten = (before + 1).saturating_sub(after);
            prop_assert!(forgotten <= 1 + ANSWER_BYTES_MAX / BLOCK_MIN, "{forgotten} forgotten");
            if rig.told(number).is_some() {
                let wall = rig.wall();
                let in_the_way = rig.engine.table.oldest_answer_to_forget(wall);
                prop_assert_eq!(in_the_way, None, "refused for what need not be kept");
                continue;
            }
            let fields = std::vec![u8::try_from(number % 251).unwrap(); len];
            rig.respond(Answer { fields: &fields, ..approval() });
            kept.push((own, rig.wall().unix_millis(), fields));
        }
        for (frame, (own, at, fields)) in (10_000..).zip(kept) {
            let minutes = MINUTES[usize::from(own.acquirer.0)];
            if rig.wall().unix_millis() < at + 60_000 * minutes {
                prop_assert_eq!(told_again(&mut rig, own, frame), Some(fields));
            }
        }
    }
}

#[test]
fn an_idle_hour_is_not_forgotten_in_one_turn() {
    let mut rig = ringed();
    let mut number = 0;
    // How many it takes the place of; `None` when there is no room.
    let mut ask = |rig: &mut Rig, acquirer| {
        number += 1;
        let before = rig.engine.counts().entries;
        let own = of(rig, acquirer, number);
        rig.request_as(own, number, Transmission::First);
        let after = rig.engine.counts().entries;
        if rig.told(number).is_some() {
            return None;
        }
        rig.respond(approval());
        Some((before + 1).saturating_sub(after))
    };
    // The tail is of the longest window, all behind it of the shortest.
    ask(&mut rig, 2);
    let mut behind = 0;
    while ask(&mut rig, 0).is_some() {
        behind += 1;
    }
    rig.pass(Duration::from_secs(3_600));
    let forgotten = ask(&mut rig, 0).unwrap();
    assert!(behind > 100 && forgotten < 50, "{forgotten} of {behind}");
}
