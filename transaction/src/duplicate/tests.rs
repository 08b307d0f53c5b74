//! Tests of `duplicate`.

use super::*;
use crate::input::Input;
use crate::output::{CopyResult, Event, NotAdmitted, Output, Reply};
use crate::settings::{OutsideWindow, Settings, Windows};
use crate::testing::{Auto, NOON, Rig, approval, code, facts, settings};
use core::time::Duration;
use domain::ResponseCode;
use domain::profile::{ClockCheck, Profile, ReversedOriginal};
use domain::request::{DuplicateKey, MessageClass};
use domain::time::{Instant, TransmissionTime, WallTime};

const APPROVED: Option<ResponseCode> = Some(ResponseCode::APPROVED);
const DUPLICATE: Option<ResponseCode> = Some(ResponseCode::DUPLICATE);

const REJECTING: Profile = Profile {
    same_content: SameContent::Reject,
    ..Profile::PLAIN
};

/// Request 1 has been sent and not answered.
fn in_flight(settings: Settings) -> Rig {
    let mut rig = Rig::with(settings, Auto::Flush);
    rig.request(1, 10);
    rig
}

fn in_flight_under(profile: Profile) -> Rig {
    let mut rig = Rig::new(Auto::Flush);
    rig.profile = profile;
    rig.request(1, 10);
    rig
}

fn finished_under(profile: Profile) -> Rig {
    let mut rig = in_flight_under(profile);
    rig.respond(approval());
    assert_eq!(rig.told(10), APPROVED);
    rig
}

/// Request 1 has been approved and told.
fn finished(settings: Settings) -> Rig {
    let mut rig = in_flight(settings);
    rig.respond(approval());
    assert_eq!(rig.told(10), APPROVED);
    rig
}

/// Everything that is sent from here on is more than it should be.
fn sends(rig: &Rig) -> usize {
    let sends = rig.seen.iter();
    sends
        .filter(|output| matches!(output, Output::Send { .. }))
        .count()
}

//= docs/rules.md#D-04
#[test]
fn d01_a_repeat_that_was_never_seen_is_the_original() {
    let mut rig = Rig::new(Auto::Flush);
    rig.repeat(1, 10);
    rig.respond(approval());
    assert_eq!((rig.told(10), sends(&rig)), (APPROVED, 1));
}

#[test]
fn d01_another_class_is_another_request() {
    let mut rig = finished(settings());
    let mut other = facts(1);
    other.class = MessageClass::Authorisation;
    other.key = DuplicateKey(999);
    rig.request_as(other, 11, Transmission::First);
    assert_eq!(sends(&rig), 2);
}

//= docs/rules.md#V-03
#[test]
fn d02_an_original_after_its_reversal_is_not_forwarded() {
    let mut rig = Rig::new(Auto::Flush);
    rig.reverse(1, 20);
    assert_eq!(rig.told(20), APPROVED);
    assert_eq!(rig.records(), ["tombstone"]);
    rig.request(1, 10);
    rig.repeat(1, 11);
    assert_eq!((rig.told(10), rig.told(11)), (DUPLICATE, DUPLICATE));
    assert_eq!(sends(&rig), 0);
    let event = Event::NotAdmitted(NotAdmitted::Tombstone);
    assert!(rig.events().contains(&event));
    rig.request(2, 12);
    assert_eq!(sends(&rig), 1, "others are not held up");
}

#[test]
fn d02_waits_until_the_tombstone_is_durable() {
    let mut rig = Rig::new(Auto::Decide);
    rig.reverse(1, 20);
    rig.request(1, 10);
    assert_eq!((rig.told(20), rig.told(10)), (None, None));
    rig.flush();
    assert_eq!((rig.told(20), rig.told(10)), (APPROVED, DUPLICATE));
}

//= docs/rules.md#D-03
#[test]
fn d03_other_content_is_refused_in_every_state() {
    for transmission in [Transmission::First, Transmission::Repeat] {
        for mut rig in [in_flight(settings()), finished(settings())] {
            let mut changed = facts(1);
            changed.content = ContentHash(77);
            rig.request_as(changed, 11, transmission);
            assert_eq!((rig.told(11), sends(&rig)), (DUPLICATE, 1));
            let event = Event::Copy(CopyResult::Conflict);
            assert!(rig.events().contains(&event));
        }
    }
}

#[test]
fn d04_a_reversed_transaction_never_yields_an_approval_again() {
    let mut rig = finished(settings());
    rig.reverse(1, 20);
    rig.repeat(1, 11);
    rig.request(1, 12);
    assert_eq!((rig.told(11), rig.told(12)), (DUPLICATE, DUPLICATE));
    assert_eq!(sends(&rig), 1);
}

#[test]
fn d04_is_told_only_when_the_reversal_is_durable() {
    let mut rig = finished(settings());
    rig.auto = Auto::Decide;
    rig.reverse(1, 20);
    rig.repeat(1, 11);
    assert_eq!((rig.told(20), rig.told(11)), (None, None));
    rig.flush();
    assert_eq!((rig.told(20), rig.told(11)), (APPROVED, DUPLICATE));
}

#[test]
fn d04_the_answer_follows_the_profile() {
    let mut rig = finished(settings());
    rig.profile.reversed_original = ReversedOriginal::Invalid;
    rig.reverse(1, 20);
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), Some(code(b"12")));
}

//= docs/rules.md#D-01
#[test]
fn d05_a_repeat_gets_the_stored_answer() {
    let mut rig = finished(settings());
    rig.repeat(1, 11);
    assert_eq!((rig.told(11), sends(&rig)), (APPROVED, 1));
    let (handle, _) = rig.sent();
    assert_eq!(rig.engine.answer(handle), Some(approval()));
    assert!(rig.events().contains(&Event::Copy(CopyResult::Stored)));
}

#[test]
fn d05_holds_under_reject_and_under_shed() {
    let mut rig = finished_under(REJECTING);
    rig.give(Input::Shed(true));
    rig.repeat(1, 11);
    assert_eq!((rig.told(11), sends(&rig)), (APPROVED, 1));
}

#[test]
fn d06_a_duplicate_is_taken_for_a_repeat_or_rejected() {
    let mut rig = finished(settings());
    rig.request(1, 11);
    assert_eq!((rig.told(11), sends(&rig)), (APPROVED, 1));
    let mut rig = finished_under(REJECTING);
    rig.request(1, 11);
    assert_eq!((rig.told(11), sends(&rig)), (DUPLICATE, 1));
}

//= docs/rules.md#T-11
//= docs/rules.md#D-02
#[test]
fn d07_a_repeat_waits_for_the_one_answer() {
    for profile in [Profile::PLAIN, REJECTING] {
        let mut rig = in_flight_under(profile);
        rig.repeat(1, 11);
        rig.repeat(1, 12);
        assert!(rig.discarded(10) && rig.discarded(11));
        rig.respond(approval());
        assert_eq!((rig.told(10), rig.told(11)), (None, None));
        assert_eq!((rig.told(12), sends(&rig)), (APPROVED, 1));
    }
}

//= docs/rules.md#T-09
#[test]
fn d07_a_repeat_before_the_outcome_is_durable_waits_too() {
    let mut rig = in_flight(settings());
    rig.auto = Auto::Decide;
    rig.respond(approval());
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), None);
    rig.flush();
    assert_eq!((rig.told(10), rig.told(11)), (None, APPROVED));
}

//= docs/rules.md#D-07
#[test]
fn d08_a_duplicate_in_flight_waits_or_is_rejected() {
    let mut rig = in_flight(settings());
    rig.request(1, 11);
    rig.respond(approval());
    assert_eq!((rig.told(11), sends(&rig)), (APPROVED, 1));
    let mut rig = in_flight_under(REJECTING);
    rig.request(1, 11);
    assert_eq!(rig.told(11), Some(ResponseCode::IN_PROGRESS));
    rig.auto = Auto::Decide;
    rig.respond(approval());
    rig.request(1, 12);
    assert_eq!(rig.told(12), Some(ResponseCode::IN_PROGRESS), "not durable");
    rig.flush();
    assert_eq!((rig.told(10), sends(&rig)), (APPROVED, 1));
    rig.request(1, 13);
    assert_eq!((rig.told(13), sends(&rig)), (DUPLICATE, 1));
}

#[test]
fn a_request_outside_the_window_is_not_processed() {
    let hour = Duration::from_secs(3600);
    for sent in [NOON.before(hour), NOON.after(hour)] {
        let mut rig = Rig::new(Auto::Flush);
        let mut old = facts(1);
        old.trace.transmitted = TransmissionTime::at(sent);
        rig.request_as(old, 10, Transmission::First);
        assert_eq!((rig.told(10), sends(&rig)), (DUPLICATE, 0));
        let mut rig = Rig::with(
            Settings {
                outside_window: OutsideWindow::Admit,
                ..settings()
            },
            Auto::Flush,
        );
        rig.request_as(old, 10, Transmission::First);
        assert_eq!(sends(&rig), 1);
    }
}

const PUNCTUAL: ClockCheck = ClockCheck::Within { seconds: 60 };

/// Request 1, sent then, on a session that says this.
fn sent_at(sent: TransmissionTime, transmission: Transmission, clock: ClockCheck) -> Rig {
    let mut rig = Rig::new(Auto::Flush);
    rig.clock = clock;
    let mut request = facts(1);
    request.trace.transmitted = sent;
    rig.request_as(request, 10, transmission);
    rig
}

//= docs/rules.md#D-08
#[test]
fn fault_088_a_clock_that_is_too_far_away_is_told_so() {
    const SKEWED: Option<ResponseCode> = Some(ResponseCode::FORMAT_ERROR);
    let skewed = Event::NotAdmitted(NotAdmitted::ClockSkew);
    let check = |sent: WallTime, is_taken: bool| {
        let sent = TransmissionTime::at(sent);
        let rig = sent_at(sent, Transmission::First, PUNCTUAL);
        let told = if is_taken { None } else { SKEWED };
        assert_eq!((rig.told(10), sends(&rig)), (told, usize::from(is_taken)));
        assert_eq!(rig.events().contains(&skewed), !is_taken);
        assert_eq!(rig.engine.counts().entries, usize::from(is_taken), "D-06");
        // As it lies inside of the duplicate window, nothing is said against it by default.
        let rig = sent_at(sent, Transmission::First, ClockCheck::Window);
        assert_eq!(sends(&rig), 1);
    };
    let seconds = Duration::from_secs;
    check(NOON, true);
    check(NOON.before(seconds(60)), true);
    check(NOON.after(seconds(60)), true);
    check(NOON.before(seconds(61)), false);
    check(NOON.after(seconds(61)), false);
    let no_such_day = TransmissionTime::from_digits(b"0229120000").unwrap();
    let rig = sent_at(no_such_day, Transmission::First, PUNCTUAL);
    assert_eq!((rig.told(10), sends(&rig)), (SKEWED, 0));
}

//= docs/rules.md#D-08
#[test]
fn fault_088_what_may_be_old_is_not_judged_by_its_age() {
    let old = TransmissionTime::at(NOON.before(Duration::from_secs(500)));
    let repeat = sent_at(old, Transmission::Repeat, PUNCTUAL);
    assert_eq!(sends(&repeat), 1, "it is as old as its first copy");
    let without = sent_at(TransmissionTime::UNKNOWN, Transmission::First, PUNCTUAL);
    assert_eq!(sends(&without), 1, "1993 may leave DE7 out");

    // A copy of what is known, marked or not, gets what it asks for; so does a reversal.
    let now = TransmissionTime::at(NOON);
    let mut rig = sent_at(now, Transmission::First, PUNCTUAL);
    rig.respond(approval());
    rig.pass(Duration::from_secs(500));
    rig.request(1, 11);
    rig.repeat(1, 12);
    assert_eq!((rig.told(11), rig.told(12)), (APPROVED, APPROVED));
    rig.reverse(1, 13);
    assert_eq!(rig.told(13), APPROVED);
}

//= docs/rules.md#D-08
#[test]
fn a_session_whose_clock_cannot_be_trusted_is_not_judged_by_it() {
    let untrusted = ClockCheck::Untrusted;
    let hour = Duration::from_secs(3600);
    for sent in [NOON.before(hour), NOON.after(hour)] {
        let sent = TransmissionTime::at(sent);
        let mut rig = sent_at(sent, Transmission::First, untrusted);
        assert_eq!(sends(&rig), 1);
        rig.respond(approval());
        rig.repeat(1, 11);
        let mut copy = facts(1);
        copy.trace.transmitted = sent;
        rig.request_as(copy, 12, Transmission::First);
        assert_eq!((rig.told(12), sends(&rig)), (APPROVED, 1));
    }
}

#[test]
fn a_copy_is_recognised_as_long_as_it_could_be_taken_for_an_original() {
    // One transaction whose DE7 lies nine minutes ahead, in a table that is full of others.
    let mut rig = Rig::with(
        Settings {
            transactions_max: 4,
            ..settings()
        },
        Auto::Flush,
    );
    let mut ahead = facts(1);
    let nine = Duration::from_secs(540);
    ahead.trace.transmitted = TransmissionTime::at(NOON.after(nine));
    rig.request_as(ahead, 10, Transmission::First);
    rig.respond(approval());
    for minute in 1..25_u32 {
        rig.now = Instant::ZERO.after(Duration::from_secs(u64::from(minute) * 60));
        let mut other = facts(100 + minute);
        let wall = NOON.after(Duration::from_secs(u64::from(minute) * 60));
        other.trace.transmitted = TransmissionTime::at(wall);
        let before = sends(&rig);
        rig.request_as(other, 100 + minute, Transmission::First);
        if sends(&rig) > before {
            rig.respond(approval());
        }
        let before = sends(&rig);
        rig.request_as(ahead, 200 + minute, Transmission::Repeat);
        assert_eq!(sends(&rig), before, "sent again after {minute} minutes");
    }
}

/// Acquirer 0 has short windows, acquirer 1 those of the settings, acquirer 2 long ones.
fn rig_with_windows() -> Rig {
    let minutes = |requests: u64, advices: u64| Windows {
        requests: Duration::from_secs(60 * requests),
        advices: Duration::from_secs(60 * advices),
    };
    let own = settings();
    let usual = Windows {
        requests: own.duplicate_window,
        advices: own.advice_window,
    };
    let windows = [minutes(1, 5), usual, minutes(60, 30_000)].to_vec();
    Rig::with_windows(settings(), windows, Auto::Flush)
}

fn of_acquirer(acquirer: u16, number: u32) -> domain::request::Facts {
    domain::request::Facts {
        acquirer: domain::ids::AcquirerId(acquirer),
        ..facts(number)
    }
}

#[test]
fn each_acquirer_has_its_own_window() {
    for (acquirer, seconds) in [(0, 60), (1, 600), (2, 3_600), (9, 600)] {
        for (age, told) in [(seconds - 1, APPROVED), (seconds + 1, DUPLICATE)] {
            let mut rig = rig_with_windows();
            let mut old = of_acquirer(acquirer, 1);
            old.trace.transmitted = TransmissionTime::at(NOON.before(Duration::from_secs(age)));
            rig.request_as(old, 10, Transmission::First);
            if told == APPROVED {
                rig.respond(approval());
            }
            assert_eq!(rig.told(10), told, "acquirer {acquirer}, {age} s old");
        }
    }
}

/// A full table forgets what is past its own window, and no copy of the others is taken for new.
#[test]
fn what_is_kept_for_long_outlives_what_is_not() {
    for restarts in [false, true] {
        let mut rig = rig_with_windows();
        for acquirer in [0, 2] {
            let number = 1 + u32::from(acquirer);
            rig.request_as(of_acquirer(acquirer, number), number, Transmission::First);
            rig.respond(approval());
        }
        rig.pass(Duration::from_secs(900));
        let room = Settings::live_max(settings().transactions_max);
        for number in 100..(100 + u32::try_from(room).unwrap()) {
            let mut other = of_acquirer(0, number);
            other.trace.transmitted = TransmissionTime::at(rig.wall());
            rig.request_as(other, number, Transmission::First);
            rig.respond(approval());
            rig.pass(Duration::from_secs(5));
        }
        if restarts {
            rig.restart(rig.journal.len()).unwrap();
        }
        rig.seen.clear();
        rig.request_as(of_acquirer(2, 3), 500, Transmission::Repeat);
        assert_eq!((rig.told(500), sends(&rig)), (APPROVED, 0), "kept");
        rig.request_as(of_acquirer(0, 1), 501, Transmission::Repeat);
        // A restart has a little more room, and may know it still.
        let told = rig.told(501);
        assert!(
            told == DUPLICATE || (restarts && told == APPROVED),
            "{told:?}"
        );
        assert_eq!(sends(&rig), 0, "too old");
    }
}

/// The bytes of its answer lie in one ring with those of the others.
#[test]
fn an_answer_that_is_kept_for_long_takes_no_room_from_others() {
    for restarts in [false, true] {
        let own = settings();
        let settings = Settings {
            answer_bytes_max: 512,
            inflight_max: 1,
            ..own
        };
        let windows = |minutes: u64| Windows {
            requests: Duration::from_secs(60 * minutes),
            advices: own.advice_window,
        };
        let mut rig = Rig::with_windows(settings, [windows(1), windows(60)].to_vec(), Auto::Flush);
        rig.request_as(of_acquirer(1, 1), 1, Transmission::First);
        rig.respond(approval());
        for number in 2..200 {
            rig.pass(Duration::from_secs(5));
            let mut other = of_acquirer(0, number);
            other.trace.transmitted = TransmissionTime::at(rig.wall());
            rig.request_as(other, number, Transmission::First);
            rig.respond(approval());
            assert_eq!(rig.told(number), APPROVED, "{number}");
        }
        if restarts {
            rig.restart(rig.journal.len()).unwrap();
        }
        let answered = approval().fields;
        rig.seen.clear();
        rig.request_as(of_acquirer(1, 1), 500, Transmission::Repeat);
        assert_eq!((rig.told(500), sends(&rig)), (APPROVED, 0), "kept");
        let Some(Output::Reply {
            reply: Reply::Answer(handle),
            ..
        }) = rig.seen.last()
        else {
            panic!("{:?}", rig.seen);
        };
        let told = rig.engine.answer(*handle).unwrap();
        assert_eq!(told.fields, answered, "whole");
    }
}
