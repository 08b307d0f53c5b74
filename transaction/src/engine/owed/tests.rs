//! Tests of `owed`.

use core::num::NonZeroU32;
use core::time::Duration;
use std::vec::Vec;

use domain::ids::IssuerId;
use domain::record::{Record, SafDone, SafResult};
use domain::request::{Answer, DuplicateKey, IssuerLeg, Reversal, Transmission};
use domain::{Amount, ResponseCode, currency::Currency, time::Instant};

use crate::input::{Handle, Input};
use crate::output::{Event, LegEnding, Output, Owed, StanReuse};
use crate::settings::{SafPolicy, Settings};
use crate::standing::Standing;
use crate::testing::{
    Auto, DEADLINE, Rig, approval, code, decline, facts, kes, reversal, settings,
};

/// Request 1 has timed out; its reversal has been sent once.
fn owing() -> Rig {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.pass(DEADLINE);
    assert_eq!(rig.reversals_sent().len(), 1);
    rig
}

fn done(rig: &Rig) -> Option<SafDone> {
    let is_done = |record: &Record<'_>| {
        if let Record::SafDone(done) = record {
            Some(*done)
        } else {
            None
        }
    };
    rig.journal.iter().find_map(is_done)
}

#[track_caller]
fn ended(rig: &Rig, result: SafResult, attempts: u32, code: Option<ResponseCode>) {
    let done = done(rig).expect("the reversal has ended");
    assert_eq!(
        (done.result, done.attempts, done.code),
        (result, attempts, code)
    );
    assert_eq!(rig.engine.counts().saf, 0);
}

//= docs/rules.md#V-08
#[test]
fn every_code_that_settles_ends_it() {
    for digits in [b"00", b"08", b"25", b"94"] {
        let mut rig = owing();
        rig.respond_to_reversal(code(digits));
        ended(&rig, SafResult::Acknowledged, 1, Some(code(digits)));
        let late = StanReuse::AfterLateWindow;
        let (_, leg) = rig.sent();
        let released = Output::ReleaseStan { leg, reuse: late };
        assert_eq!(
            rig.seen
                .iter()
                .filter(|output| **output == released)
                .count(),
            1
        );
    }
}

#[test]
fn silence_is_followed_by_repeats_with_doubling_pauses() {
    let mut rig = owing();
    let policy = settings().saf;
    let mut before = rig.now;
    for attempt in 0..12_u32 {
        rig.seen.clear();
        while rig.reversals_sent().is_empty() {
            let next = rig.engine.poll_timeout().unwrap();
            rig.pass(next.since(rig.now));
        }
        assert_eq!(rig.reversals_sent()[0].1, Transmission::Repeat);
        let pause = rig.now.since(before) - policy.response_timeout;
        let nominal = policy
            .backoff_max
            .min(policy.backoff_first * 2_u32.pow(attempt));
        assert!(
            pause >= nominal * 4 / 5 && pause <= nominal * 6 / 5,
            "{pause:?} {nominal:?}"
        );
        before = rig.now;
    }
}

#[test]
fn jitter_comes_from_the_seed() {
    let schedule = |seed| {
        let mut rig = Rig::with(Settings { seed, ..settings() }, Auto::Flush);
        rig.request(1, 10);
        rig.pass(Duration::from_secs(3600));
        rig.engine.poll_timeout()
    };
    assert_eq!(schedule(1), schedule(1));
    assert_ne!(schedule(1), schedule(2));
}

#[test]
fn a_busy_issuer_is_asked_again() {
    for digits in [b"91", b"96", b"68", b"90", b"09"] {
        let mut rig = owing();
        for _ in 0..5 {
            rig.respond_to_reversal(code(digits));
            assert_eq!(done(&rig), None);
            rig.pass(Duration::from_secs(60));
        }
        rig.respond_to_reversal(code(b"00"));
        ended(
            &rig,
            SafResult::Acknowledged,
            rig.attempts(),
            Some(code(b"00")),
        );
    }
}

#[test]
fn three_refusals_hand_it_to_people() {
    let mut rig = owing();
    rig.respond_to_reversal(code(b"30"));
    rig.pass(Duration::from_secs(2));
    rig.respond_to_reversal(code(b"91"));
    rig.pass(Duration::from_secs(3));
    rig.respond_to_reversal(code(b"63"));
    assert_eq!(done(&rig), None);
    rig.pass(Duration::from_secs(5));
    rig.respond_to_reversal(code(b"12"));
    ended(&rig, SafResult::Refused, 4, Some(code(b"12")));
    let what = Owed::Reversal(domain::record::ReversalCause::Timeout);
    let result = SafResult::Refused;
    assert!(rig.events().contains(&Event::SafEnded { what, result }));
}

#[test]
fn fault_060_its_time_runs_out_in_the_end() {
    let mut rig = owing();
    rig.pass(settings().saf.expiry + Duration::from_secs(600));
    let attempts = rig.attempts();
    ended(&rig, SafResult::Expired, attempts, None);
    rig.respond_to_reversal(code(b"00"));
    assert_eq!(rig.events().last(), Some(&Event::Stray));
}

#[test]
fn fault_060_one_that_never_could_be_sent_expires_too() {
    let mut settings = settings();
    settings.saf.expiry = Duration::from_secs(7200);
    let mut rig = Rig::with(settings, Auto::Flush);
    rig.links_down = true;
    rig.request(1, 10);
    rig.pass(settings.saf.expiry);
    assert_eq!(done(&rig), None);
    let tries = rig.reversals_sent();
    assert!(tries.iter().all(|(_, sent)| *sent == Transmission::First));
    rig.pass(Duration::from_secs(600));
    ended(&rig, SafResult::Expired, 0, None);
}

#[test]
fn an_unsent_one_does_not_count_and_stays_a_first_sending() {
    let mut rig = owing();
    let owed = rig.owed_sent()[0];
    rig.give(Input::ReversalUnsent { owed });
    rig.seen.clear();
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.reversals_sent(), [(owed.handle, Transmission::First)]);
}

#[test]
fn an_answer_to_an_earlier_transmission_ends_it_during_the_pause() {
    let mut rig = owing();
    rig.pass(settings().saf.response_timeout);
    rig.respond_to_reversal(code(b"00"));
    ended(&rig, SafResult::Acknowledged, 1, Some(code(b"00")));
    rig.seen.clear();
    rig.pass(Duration::from_secs(60));
    assert!(rig.reversals_sent().is_empty());
}

#[test]
fn each_transmission_is_given_up_once() {
    let given_up = |rig: &Rig, owed| {
        let outputs = rig.seen.iter();
        outputs
            .filter(|seen| **seen == Output::GiveUpReversal { owed })
            .count()
    };
    let mut rig = owing();
    let owed = rig.owed_sent()[0];
    rig.give(Input::ReversalUnsent { owed });
    assert_eq!(given_up(&rig, owed), 0, "nothing of it is pending");
    rig.pass(Duration::from_secs(2));
    rig.pass(settings().saf.response_timeout);
    assert_eq!(given_up(&rig, owed), 1, "nobody answered");
    rig.pass(Duration::from_secs(2));
    for (code, count) in [(b"91", 2), (b"00", 2)] {
        rig.respond_to_reversal(self::code(code));
        assert_eq!(given_up(&rig, owed), count, "the answer ends the latest");
    }
    assert_eq!(rig.engine.counts().saf, 0);
}

#[test]
fn the_window_of_an_issuer_is_bounded() {
    let mut rig = Rig::new(Auto::Flush);
    for number in 1..=10 {
        rig.request(number, number);
    }
    rig.pass(DEADLINE);
    let window = settings().saf.inflight_max;
    assert_eq!(rig.attempts(), window);
    assert_eq!(rig.engine.saf_inflight(IssuerId(0)), window);
    // Each acknowledgement lets the next one go.
    for _ in 0..6 {
        rig.respond_to_reversal(code(b"00"));
    }
    assert_eq!(rig.reversals_sent().len(), 10);
    assert_eq!(rig.engine.counts().saf, 4);
}

#[test]
fn nothing_goes_to_an_issuer_that_has_not_come_up() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.pass(DEADLINE);
    let kept = rig.journal.len();
    rig.restart(kept).unwrap();
    let sent = rig.reversals_sent().len();
    assert_eq!(sent, 1, "the rig's restart brings the issuers up");
    let mut engine = crate::Engine::new(settings());
    for record in &rig.journal[..3] {
        engine.recover(record, Instant::ZERO).unwrap();
    }
    engine.recovered(Instant::ZERO).unwrap();
    assert_eq!(engine.poll_output(), None);
}

#[test]
fn one_poisoned_original_does_not_hold_the_others_up() {
    // It is never answered, or always refused; in the end the refused one is left to people.
    for (refusal, left) in [(None, 1), (Some(b"30"), 0)] {
        poisoned_head(refusal, left);
    }
}

#[track_caller]
fn poisoned_head(refusal: Option<&[u8; 2]>, left: usize) {
    let policy = SafPolicy {
        inflight_max: 2,
        ..settings().saf
    };
    let mut rig = Rig::with(
        Settings {
            saf: policy,
            ..settings()
        },
        Auto::Flush,
    );
    for number in 1..=4 {
        rig.request(number, number);
    }
    rig.pass(DEADLINE);
    let poisoned = rig.owed_sent()[0];
    let mut settled = Vec::new();
    for _ in 0..40 {
        rig.pass(Duration::from_secs(1));
        for owed in rig.owed_sent() {
            let is_new = owed != poisoned && !settled.contains(&owed);
            let told = if is_new { Some(b"00") } else { refusal };
            if let Some(told) = told.filter(|_| is_new || owed == poisoned) {
                settled.extend(is_new.then_some(owed));
                let code = code(told);
                rig.give(Input::ReversalResponse { owed, code });
            }
        }
    }
    assert_eq!((settled.len(), rig.engine.counts().saf), (3, left));
}

#[test]
fn a_reversal_of_an_approval_takes_no_stan_back_twice() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    rig.reverse(1, 20);
    rig.respond_to_reversal(code(b"00"));
    let released = rig.seen.iter();
    let released = released.filter(|output| matches!(output, Output::ReleaseStan { .. }));
    assert_eq!(released.count(), 1);
}

/// Owes `count` reversals to an issuer that cannot be reached.
fn owing_many(count: u32, saf: SafPolicy) -> Rig {
    let mut rig = Rig::with(Settings { saf, ..settings() }, Auto::Flush);
    for number in 1..=count {
        rig.request(number, number);
        rig.respond(approval());
    }
    let issuer = IssuerId(0);
    rig.give(Input::IssuerDown { issuer });
    for number in 1..=count {
        rig.reverse(number, 100 + number);
    }
    rig
}

#[test]
fn after_a_sign_on_each_second_takes_twice_as_many() {
    let saf = SafPolicy {
        inflight_max: 64,
        rate_after_up: NonZeroU32::new(2),
        response_timeout: Duration::from_secs(60),
        ..settings().saf
    };
    let mut rig = owing_many(14, saf);
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.attempts(), 0, "nobody can be reached");
    let issuer = IssuerId(0);
    rig.give(Input::IssuerUp { issuer });
    let mut by_second = Vec::new();
    for _ in 0..4 {
        rig.give(Input::IssuerUp { issuer });
        rig.pass(Duration::from_millis(999));
        by_second.push(rig.attempts());
        rig.pass(Duration::from_millis(1));
    }
    assert_eq!(
        by_second,
        [2, 6, 14, 14],
        "a further link begins nothing anew"
    );
}

#[test]
fn what_is_owed_leaves_one_by_one_while_requests_need_the_links() {
    let mut rig = owing_many(3, settings().saf);
    let issuer = IssuerId(0);
    rig.give(Input::Yield {
        issuer,
        yields: true,
    });
    rig.give(Input::IssuerUp { issuer });
    assert_eq!(rig.attempts(), 1);
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(rig.attempts(), 2);
    rig.give(Input::Yield {
        issuer,
        yields: false,
    });
    assert_eq!(rig.attempts(), 3);
}

/// Request 1 has timed out; its reversal waits behind another one in a window of one.
fn timed_out_behind_another() -> (Rig, Handle, IssuerLeg) {
    let mut settings = settings();
    settings.saf.inflight_max = 1;
    let mut rig = Rig::with(settings, Auto::Flush);
    rig.request(2, 12);
    rig.pass(Duration::from_millis(1));
    rig.request(1, 10);
    let (handle, leg) = rig.sent();
    rig.pass(DEADLINE);
    assert_eq!(rig.attempts(), 1, "the first one has the window");
    (rig, handle, leg)
}

fn declined_late(rig: &mut Rig, handle: Handle, leg: IssuerLeg) {
    let stan = leg.stan;
    let answer = decline();
    rig.give(Input::Response {
        handle,
        stan,
        answer,
    });
    rig.give(Input::LateDecline { handle, stan });
}

#[test]
fn a_late_decline_drops_a_reversal_that_has_not_left() {
    let (mut rig, handle, leg) = timed_out_behind_another();
    declined_late(&mut rig, handle, leg);
    assert_eq!(rig.engine.counts().saf, 1, "the other one stays");
    rig.respond_to_reversal(ResponseCode::APPROVED);
    rig.pass(Duration::from_secs(600));
    assert_eq!(rig.attempts(), 1, "it never leaves");
    assert!(rig.records().ends_with(&["late", "saf-done", "saf-done"]));
    rig.restart(rig.journal.len()).unwrap();
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.attempts(), 0, "nor after a restart");
}

//= docs/rules.md#M-04
#[test]
fn a_late_decline_behind_a_late_approval_drops_no_reversal() {
    let (mut rig, handle, leg) = timed_out_behind_another();
    let (stan, answer) = (leg.stan, approval());
    rig.give(Input::Response {
        handle,
        stan,
        answer,
    });
    declined_late(&mut rig, handle, leg);
    assert_eq!(rig.engine.counts().saf, 2, "the issuer may hold the money");
}

fn approved_late(rig: &mut Rig, handle: Handle, leg: IssuerLeg) {
    let (stan, answer) = (leg.stan, approval());
    rig.give(Input::Response {
        handle,
        stan,
        answer,
    });
}

//= docs/rules.md#V-17
#[test]
fn a_late_approval_behind_the_decline_owes_the_dropped_reversal_after_all() {
    let (mut rig, handle, leg) = timed_out_behind_another();
    declined_late(&mut rig, handle, leg);
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(rig.engine.counts().saf, 0);
    approved_late(&mut rig, handle, leg);
    let conflict = Event::SecondAnswer { conflict: true };
    assert!(rig.events().contains(&conflict));
    assert!(rig.records().ends_with(&["saf-owed", "late"]));
    assert_eq!(rig.attempts(), 2, "it leaves");
    let answers = rig.records().len();
    approved_late(&mut rig, handle, leg);
    declined_late(&mut rig, handle, leg);
    assert_eq!(rig.records().len(), answers, "once");
    assert_eq!(rig.engine.counts().saf, 1, "nor is it dropped again");
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(rig.attempts(), 1, "a restart owes it");
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(rig.engine.counts().saf, 0);
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(rig.attempts(), 0, "and not once more");
}

//= docs/rules.md#V-17
#[test]
fn a_reversal_that_an_acquirer_asked_for_is_owed_when_an_approval_follows_the_decline() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    let (handle, leg) = rig.sent();
    rig.reverse(1, 11);
    rig.respond(decline());
    assert_eq!(rig.engine.counts().saf, 0, "the issuer moved nothing");
    approved_late(&mut rig, handle, leg);
    assert_eq!(rig.attempts(), 1);
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(rig.engine.counts().saf, 1);
}

//= docs/rules.md#V-17
#[test]
fn what_finds_no_room_to_be_owed_anew_is_owed_when_there_is_some() {
    let mut settings = settings();
    settings.saf_max = 2;
    settings.saf.inflight_max = 1;
    let mut rig = Rig::with(settings, Auto::Flush);
    rig.request(2, 12);
    rig.pass(Duration::from_millis(1));
    rig.request(1, 10);
    let (handle, leg) = rig.sent();
    rig.pass(DEADLINE);
    declined_late(&mut rig, handle, leg);
    // A request in flight has the room that the dropped one gave back.
    rig.request(3, 13);
    approved_late(&mut rig, handle, leg);
    assert_eq!(rig.engine.counts().saf, 1, "no room");
    let seen = |rig: &Rig| {
        let facts = facts(1);
        let (handle, _) = rig.engine.keyed(facts.trace_key, facts.key).unwrap();
        let seen = rig.engine.seen(handle).unwrap();
        (seen.standing, seen.is_owed)
    };
    assert_eq!(seen(&rig), (Standing::ReversalOwed, true));
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(rig.engine.counts().saf, 2, "nor after a restart");
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(rig.engine.counts().saf, 1);
    rig.auto = Auto::Decide;
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.engine.counts().saf, 2, "it is owed");
    assert_eq!(
        seen(&rig).0,
        Standing::ReversalOwed,
        "also by a start that has no record of it"
    );
}

#[test]
fn a_late_decline_changes_nothing_once_the_reversal_has_left() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    let (handle, leg) = rig.sent();
    rig.pass(DEADLINE);
    assert_eq!(rig.attempts(), 1);
    declined_late(&mut rig, handle, leg);
    assert_eq!(rig.engine.counts().saf, 1);
    // One that a restart found may have left before it.
    rig.restart(rig.journal.len()).unwrap();
    rig.links_down = true;
    rig.give(Input::LateDecline {
        handle,
        stan: leg.stan,
    });
    assert_eq!(rig.engine.counts().saf, 1);
}

#[test]
fn a_second_answer_in_other_words_hides_no_opposite() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    let (handle, leg) = rig.sent();
    let in_other_words = Answer {
        code: code(b"08"),
        ..approval()
    };
    rig.give(Input::Response {
        handle,
        stan: leg.stan,
        answer: in_other_words,
    });
    assert_eq!(rig.records(), ["intent", "outcome"]);
    rig.respond(decline());
    assert_eq!(rig.records(), ["intent", "outcome", "late"]);
    let seconds = [false, true].map(|conflict| Event::SecondAnswer { conflict });
    assert_eq!(rig.events(), seconds);
}

#[test]
fn a_lost_link_ends_at_once_what_was_sent_on_it() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    let (handle, leg) = rig.sent();
    let stan = leg.stan;
    rig.give(Input::LegLost { handle, stan });
    assert_eq!(rig.told(10), Some(ResponseCode::ISSUER_INOPERATIVE));
    assert_eq!(rig.attempts(), 1);
    assert_eq!(rig.leg_endings(), [LegEnding::TimedOut]);
    rig.give(Input::LegLost { handle, stan });
    assert_eq!(rig.attempts(), 1, "once");

    // What has not left is not the link's.
    let mut rig = Rig::new(Auto::Decide);
    rig.request(1, 10);
    let (handle, leg) = rig
        .engine
        .busy_legs()
        .next()
        .map(|(at, leg)| (at, *leg))
        .unwrap();
    let stan = leg.stan;
    rig.give(Input::LegLost { handle, stan });
    assert_eq!(rig.records(), ["intent"]);
}

#[test]
fn fault_056_an_approval_of_nothing_is_96_and_a_reversal_where_something_was_asked() {
    let nothing = Amount::new(0, Currency::NONE).unwrap();
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(Answer {
        amount: Some(nothing),
        ..approval()
    });
    assert_eq!(rig.told(10), Some(ResponseCode::MALFUNCTION));
    assert_eq!(rig.reversals_sent().len(), 1);
}

/// A reversal after which `stays` is left.
fn partial(frame: u32, stays: u64) -> Reversal {
    Reversal {
        key: DuplicateKey(u128::from(frame)),
        replacement: Some(kes(stays)),
        ..reversal(1, frame)
    }
}

/// What the oldest reversal owed takes back.
fn takes(rig: &Rig) -> u64 {
    let owed = rig.engine.reversal(rig.reversal_sent().0).unwrap();
    owed.before.minor() - owed.replacement.map_or(0, Amount::minor)
}

//= docs/rules.md#M-11
/// 100.00 in parts of 30.00, 30.00 and the rest: acknowledged one by one or at the end, with or
/// without a restart before and behind each transmission.
#[test]
fn each_reversal_takes_back_its_own_part() {
    for restarts in [false, true] {
        for at_once in [false, true] {
            let mut rig = Rig::new(Auto::Flush);
            rig.request(1, 10);
            rig.respond(approval());
            let mut taken = Vec::new();
            let parts = [partial(20, 7_000), partial(21, 4_000), reversal(1, 22)];
            for part in parts {
                rig.give(Input::Reversal(part));
                if at_once {
                    continue;
                }
                if restarts {
                    rig.restart(rig.journal.len()).unwrap();
                }
                taken.push(takes(&rig));
                rig.pass(settings().saf.response_timeout);
                assert_eq!(
                    taken.last(),
                    Some(&takes(&rig)),
                    "the same when it is repeated"
                );
                rig.respond_to_reversal(code(b"00"));
                if restarts {
                    rig.restart(rig.journal.len()).unwrap();
                }
            }
            while rig.engine.counts().saf > 0 {
                if restarts {
                    rig.restart(rig.journal.len()).unwrap();
                }
                taken.push(takes(&rig));
                rig.respond_to_reversal(code(b"00"));
            }
            assert_eq!(taken, [3_000, 3_000, 4_000], "{restarts} {at_once}");
        }
    }
}

//= docs/rules.md#M-11
/// The first one ends among the exceptions: the second one does not make up for it.
#[test]
fn what_people_look_at_is_no_part_of_the_next() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(approval());
    rig.give(Input::Reversal(partial(20, 7_000)));
    for _ in 0..3 {
        rig.respond_to_reversal(code(b"05"));
        rig.pass(Duration::from_secs(600));
    }
    assert_eq!(rig.engine.counts().saf, 0);
    rig.reverse(1, 21);
    assert_eq!(takes(&rig), 7_000);
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(takes(&rig), 7_000);
}
