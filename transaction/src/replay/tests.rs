//! Tests of `replay`.

use core::time::Duration;
use std::vec::Vec;

use domain::ResponseCode;
use domain::ids::{Lsn, Stan};
use domain::record::{Carriage, Record, ReversalCause};
use domain::request::{Answer, DuplicateKey, Reversal, Transmission};
use domain::time::Instant;

use crate::Engine;
use crate::error::RecoverError;
use crate::input::Input;
use crate::output::{Output, StanReuse};
use crate::settings::Settings;
use crate::testing::{Auto, DEADLINE, Rig, approval, code, decline, kes, name, reversal, settings};

const APPROVED: Option<ResponseCode> = Some(ResponseCode::APPROVED);
const DUPLICATE: Option<ResponseCode> = Some(ResponseCode::DUPLICATE);
const INOPERATIVE: Option<ResponseCode> = Some(ResponseCode::ISSUER_INOPERATIVE);

/// A rig after `story`, and after a crash that left `kept` records.
fn crashed(story: impl Fn(&mut Rig), kept: usize) -> Rig {
    let mut rig = Rig::new(Auto::Flush);
    story(&mut rig);
    rig.restart(kept).unwrap();
    rig
}

fn sends(rig: &Rig) -> usize {
    let sends = rig.seen.iter();
    sends
        .filter(|output| matches!(output, Output::Send { .. }))
        .count()
}

fn partial(frame: u32, stays: u64) -> Reversal {
    Reversal {
        key: DuplicateKey(u128::from(frame)),
        replacement: Some(kes(stays)),
        ..reversal(1, frame)
    }
}

//= docs/rules.md#T-10
#[test]
fn p01_an_open_intent_is_timed_out_and_reversed() {
    let mut rig = crashed(|rig| rig.request(1, 10), 1);
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    let Record::SafOwed(owed) = rig.journal[2] else {
        panic!("a reversal is owed");
    };
    assert_eq!(owed.cause, ReversalCause::Restart);
    assert_eq!(
        rig.reversal_sent().1,
        Transmission::First,
        "made by this recovery"
    );
    rig.repeat(1, 11);
    assert_eq!((rig.told(11), sends(&rig)), (INOPERATIVE, 0));
    rig.reverse(1, 20);
    assert_eq!(rig.told(20), APPROVED);
    rig.respond_to_reversal(code(b"25"));
    assert_eq!(
        (rig.engine.counts().saf, rig.reversals_sent().len()),
        (0, 1)
    );
}

#[test]
fn p01_its_stan_stays_taken_until_the_reversal_has_ended() {
    let mut rig = crashed(|rig| rig.request(1, 10), 1);
    let busy: Vec<_> = rig.engine.busy_legs().map(|(_, leg)| *leg).collect();
    assert_eq!(busy.len(), 1);
    rig.respond_to_reversal(code(b"00"));
    let reuse = StanReuse::AfterLateWindow;
    let leg = busy[0];
    assert!(rig.seen.contains(&Output::ReleaseStan { leg, reuse }));
    assert_eq!(rig.engine.busy_legs().count(), 0);
}

#[test]
fn p02_an_outcome_whose_reversal_was_torn_off_owes_it() {
    // The batch was cut between the two.
    let mut rig = crashed(
        |rig| {
            rig.request(1, 10);
            rig.pass(DEADLINE);
        },
        2,
    );
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    assert_eq!(rig.reversals_sent().len(), 1);
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), INOPERATIVE);
    let rig = crashed(
        |rig| {
            rig.request(1, 10);
            rig.reverse(1, 20);
        },
        2,
    );
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed"]);
    assert_eq!(rig.reversals_sent().len(), 1);
}

#[test]
fn p03_an_outcome_is_kept_for_repeats() {
    let mut rig = crashed(
        |rig| {
            rig.request(1, 10);
            rig.respond(approval());
        },
        2,
    );
    rig.repeat(1, 11);
    assert_eq!((rig.told(11), sends(&rig)), (APPROVED, 0));
    let Some(Output::Reply { reply, .. }) = rig.seen.last() else {
        panic!("the repeat was answered last");
    };
    let crate::output::Reply::Answer(handle) = reply else {
        panic!("out of the store");
    };
    assert_eq!(
        rig.engine.answer(*handle),
        Some(approval()),
        "to the last byte"
    );
    rig.reverse(1, 20);
    assert_eq!((rig.told(20), rig.reversals_sent().len()), (APPROVED, 1));
    let mut rig = crashed(
        |rig| {
            rig.request(1, 10);
            rig.respond(decline());
        },
        2,
    );
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), Some(decline().code));
    assert_eq!(rig.engine.busy_legs().count(), 0);
}

//= docs/rules.md#V-07
#[test]
fn p04_what_is_owed_goes_out_as_a_repeat_with_its_own_time() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.pass(DEADLINE);
    let before = rig.engine.reversal(rig.reversal_sent().0).unwrap();
    rig.pass(Duration::from_secs(30));
    rig.restart(3).unwrap();
    let (handle, transmission) = rig.reversal_sent();
    assert_eq!(transmission, Transmission::Repeat);
    let after = rig.engine.reversal(handle).unwrap();
    assert_eq!(
        (after.decided, after.leg, after.cause),
        (before.decided, before.leg, before.cause)
    );
    assert_eq!(rig.records().len(), 3, "nothing is owed twice");
}

#[test]
fn p04_expiry_counts_from_the_decision() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.pass(DEADLINE);
    rig.now = Instant::ZERO.after(settings().saf.expiry);
    rig.restart(3).unwrap();
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.records()[3..], ["saf-done"]);
}

#[test]
fn p05_what_is_done_is_not_owed_again() {
    let rig = crashed(
        |rig| {
            rig.request(1, 10);
            rig.pass(DEADLINE);
            rig.respond_to_reversal(code(b"00"));
        },
        4,
    );
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed", "saf-done"]);
    assert_eq!(
        (rig.reversals_sent().len(), rig.engine.counts().saf),
        (0, 0)
    );
    assert_eq!(rig.engine.busy_legs().count(), 0);
}

#[test]
fn p06_after_not_sent_the_next_intent_decides() {
    let story = |rig: &mut Rig| {
        rig.request(1, 10);
        let (handle, leg) = rig.sent();
        let stan = leg.stan;
        rig.give(Input::Unsent { handle, stan });
    };
    let mut rig = crashed(story, 2);
    assert_eq!((rig.engine.counts().saf, rig.records().len()), (0, 2));
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), INOPERATIVE);
    let rig = crashed(story, 3);
    assert_eq!(
        rig.records(),
        ["intent", "outcome", "intent", "outcome", "saf-owed"]
    );
    let owed = rig.engine.reversal(rig.reversal_sent().0).unwrap();
    assert_eq!(owed.leg.candidate, 1, "the reversal follows the latest leg");
}

#[test]
fn p07_tombstones_and_refusals_are_kept() {
    let mut rig = crashed(|rig| rig.reverse(1, 20), 1);
    rig.request(1, 10);
    rig.reverse(1, 21);
    assert_eq!((rig.told(10), rig.told(21)), (DUPLICATE, APPROVED));
    assert_eq!(rig.records(), ["tombstone"]);
}

#[test]
fn an_approval_that_was_reversed_stays_reversed() {
    let story = |rig: &mut Rig| {
        rig.request(1, 10);
        rig.respond(approval());
        rig.give(Input::Reversal(partial(20, 6_000)));
        rig.reverse(1, 21);
        rig.respond_to_reversal(code(b"00"));
        rig.respond_to_reversal(code(b"00"));
    };
    let mut whole = Rig::new(Auto::Flush);
    story(&mut whole);
    let names = [
        "intent", "outcome", "saf-owed", "saf-owed", "saf-done", "saf-done",
    ];
    assert_eq!(whole.records(), names);
    for kept in 3..=6 {
        let mut rig = crashed(story, kept);
        rig.repeat(1, 11);
        assert_eq!(rig.told(11), DUPLICATE, "{kept}");
        let due = [1, 2, 1, 0][kept - 3];
        let sent = rig.reversals_sent();
        assert_eq!(sent.len(), due.min(1), "{kept}");
        assert!(sent.iter().all(|(_, sent)| *sent == Transmission::Repeat));
        assert_eq!(rig.engine.counts().saf, due, "{kept}");
        let mut copy = partial(20, 6_000);
        copy.frame.0 = 30;
        rig.give(Input::Reversal(copy));
        assert_eq!(rig.told(30), APPROVED);
        assert_eq!(rig.engine.counts().saf, due, "a copy owes nothing");
        let more = partial(31, 7_000);
        rig.give(Input::Reversal(more));
        let told = if kept == 3 {
            Some(ResponseCode::INVALID_AMOUNT)
        } else {
            APPROVED
        };
        assert_eq!(rig.told(31), told, "{kept}");
    }
}

//= docs/rules.md#V-16
#[test]
fn a_partial_one_in_flight_leaves_nothing_after_a_restart_either() {
    let story = |answer: Option<Answer<'static>>| {
        move |rig: &mut Rig| {
            rig.request(1, 10);
            rig.give(Input::Reversal(partial(20, 6_000)));
            if let Some(answer) = answer {
                rig.respond(answer);
            }
        }
    };
    for answer in [None, Some(approval()), Some(decline())] {
        let mut live = Rig::new(Auto::Flush);
        story(answer)(&mut live);
        let kept = live.journal.len();
        let restarted = crashed(story(answer), kept);
        for mut rig in [live, restarted] {
            rig.give(Input::Reversal(partial(21, 6_001)));
            rig.reverse(1, 22);
            assert_eq!((rig.told(21), rig.told(22)), (APPROVED, APPROVED));
            let owed = rig.records().into_iter().filter(|name| *name == "saf-owed");
            assert_eq!(owed.count(), 1, "{answer:?}");
        }
    }
}

//= docs/rules.md#J-05
#[test]
fn a_crash_at_any_record_and_in_any_recovery_ends_the_same() {
    let story = |rig: &mut Rig| {
        rig.request(1, 1);
        rig.respond(approval());
        rig.request(2, 2);
        rig.request(3, 3);
        rig.reverse(3, 103);
        let (handle, leg) = rig.sent();
        rig.give(Input::Unusable {
            handle,
            stan: leg.stan,
        });
        rig.reverse(1, 101);
        rig.reverse(4, 104);
        rig.request(5, 5);
        rig.respond(decline());
        rig.pass(DEADLINE);
    };
    let mut whole = Rig::new(Auto::Flush);
    story(&mut whole);
    let total = whole.journal.len();
    for kept in 0..=total {
        let mut once = crashed(story, kept);
        let made = once.journal.len() - kept;
        let end: Vec<_> = once.journal.clone();
        for torn in 0..=made {
            // The recovery itself dies after `torn` of its records, three times.
            let mut rig = crashed(story, kept);
            for _ in 0..3 {
                rig.restart(kept + torn).unwrap();
            }
            assert_eq!(rig.journal.len(), end.len(), "{kept} {torn}");
            let kinds = |journal: &[Record<'_>]| journal.iter().map(name).collect::<Vec<_>>();
            assert_eq!(kinds(&rig.journal), kinds(&end), "{kept} {torn}");
            assert_eq!(rig.engine.counts(), once.engine.counts(), "{kept} {torn}");
        }
        // Whatever was open is closed, and nothing is ever sent again.
        for number in [1, 2, 3, 5] {
            let known = end.iter().any(|record| {
                matches!(record, Record::Intent(intent)
                    if intent.facts.trace.stan.number() == number)
            });
            let before = sends(&once);
            once.repeat(number, 500 + number);
            assert_eq!(
                sends(&once) - before,
                usize::from(!known),
                "{kept} {number}"
            );
        }
    }
}

//= docs/rules.md#M-08
#[test]
fn the_number_that_a_link_gave_out_last_is_told() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.request(2, 20);
    let legs: Vec<_> = rig
        .journal
        .iter()
        .filter_map(|record| {
            if let Record::Intent(intent) = record {
                Some((intent.leg.link, intent.leg.stan))
            } else {
                None
            }
        })
        .collect();
    assert!(legs.len() == 2 && legs[0].0 == legs[1].0 && legs[0].1 != legs[1].1);
    let mut engine = Engine::new(settings());
    for record in &rig.journal {
        engine.recover(record, rig.now).unwrap();
    }
    assert_eq!(engine.latest_stans().collect::<Vec<_>>(), [legs[1]]);
}

//= docs/rules.md#M-08
#[test]
fn legs_that_are_carried_over_do_not_turn_numbers_back() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    let (_, leg) = rig.sent();
    let told = Stan::new(leg.stan.number() + 500).unwrap();
    let latest = |carriage| {
        let mut engine = Engine::new(settings());
        engine.begin_after(leg.link, told);
        for record in &rig.journal {
            engine.recover_as(record, carriage, rig.now).unwrap();
        }
        engine.latest_stans().collect::<Vec<_>>()
    };
    assert_eq!(latest(Carriage::Carried), [(leg.link, told)]);
    assert_eq!(latest(Carriage::Fresh), [(leg.link, leg.stan)]);
}

#[test]
fn what_does_not_fit_refuses_to_start() {
    let mut rig = Rig::new(Auto::Flush);
    for number in 1..=8 {
        rig.request(number, number);
    }
    rig.pass(DEADLINE);
    let recover = |settings: Settings| {
        let mut engine = Engine::new(settings);
        for record in &rig.journal {
            engine.recover(record, rig.now)?;
        }
        engine.recovered(rig.now)
    };
    assert_eq!(recover(settings()), Ok(()));
    let small = Settings {
        transactions_max: 7,
        ..settings()
    };
    assert_eq!(recover(small), Err(RecoverError::TableExhausted));
    let small = Settings {
        saf_max: 7,
        ..settings()
    };
    assert_eq!(recover(small), Err(RecoverError::SafExhausted));
    let without = Settings {
        issuers: 0,
        ..settings()
    };
    assert_eq!(recover(without), Err(RecoverError::UnknownIssuer(0)));
    let mut engine = Engine::new(settings());
    let owed = rig
        .journal
        .iter()
        .find(|record| name(record) == "saf-owed")
        .unwrap();
    let orphan = RecoverError::Orphan(owed.transaction());
    assert_eq!(engine.recover(owed, rig.now), Err(orphan));
}

#[test]
fn what_is_owed_to_an_issuer_that_is_gone_refuses_to_start() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.pass(DEADLINE);
    rig.respond_to_reversal(code(b"00"));
    assert_eq!(rig.records(), ["intent", "outcome", "saf-owed", "saf-done"]);
    for (kept, expected) in [
        (1, Err(RecoverError::UnknownIssuer(0))),
        (2, Err(RecoverError::UnknownIssuer(0))),
        (3, Err(RecoverError::UnknownIssuer(0))),
        (4, Ok(())),
    ] {
        let mut engine = Engine::new(Settings {
            issuers: 0,
            ..settings()
        });
        for record in &rig.journal[..kept] {
            engine.recover(record, rig.now).unwrap();
        }
        assert_eq!(engine.recovered(rig.now), expected, "{kept}");
    }
}

#[test]
fn open_intents_that_cannot_be_reversed_refuse_to_start() {
    let mut rig = Rig::new(Auto::Flush);
    for number in 1..=8 {
        rig.request(number, number);
    }
    let mut engine = Engine::new(Settings {
        saf_max: 7,
        ..settings()
    });
    for record in &rig.journal {
        engine.recover(record, rig.now).unwrap();
    }
    assert_eq!(engine.recovered(rig.now), Err(RecoverError::SafExhausted));
}

#[test]
fn a_recovery_keeps_what_the_engine_before_it_kept() {
    let small = Settings {
        transactions_max: 16,
        ..settings()
    };
    let mut rig = Rig::with(small, Auto::Flush);
    for number in 1..=60_u32 {
        let mut facts = crate::testing::facts(number);
        facts.trace.transmitted = domain::time::TransmissionTime::at(rig.wall());
        rig.request_as(facts, number, Transmission::First);
        rig.respond(approval());
        rig.pass(Duration::from_secs(60));
    }
    assert!(rig.engine.counts().entries <= 15);
    let kept = rig.journal.len();
    rig.restart(kept).unwrap();
    assert!(rig.engine.counts().entries >= 15);
    assert_eq!(rig.engine.next_lsn(), Lsn(kept as u64 + 1));
    assert!(rig.engine.counts().entries <= 16);
}
