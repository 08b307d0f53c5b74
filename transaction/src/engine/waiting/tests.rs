//! Tests of `waiting`: one per row, and what they must not disturb.

use core::time::Duration;

use domain::ResponseCode;
use domain::profile::{Profile, ReversalAnswer, Undelivered};
use domain::record::{Record, ReversalCause};
use domain::request::{DuplicateKey, Reversal};

use crate::input::Input;
use crate::testing::{Auto, DEADLINE, Rig, approval, code, decline, kes, reversal, settings};

const APPROVED: Option<ResponseCode> = Some(ResponseCode::APPROVED);
const DUPLICATE: Option<ResponseCode> = Some(ResponseCode::DUPLICATE);
const TIMED_OUT: Option<ResponseCode> = Some(ResponseCode::ISSUER_TIMED_OUT);

/// Request 1 has been approved and told.
fn approved_under(profile: Profile) -> Rig {
    let mut rig = Rig::new(Auto::Flush);
    rig.profile = profile;
    rig.request(1, 10);
    rig.respond(approval());
    assert_eq!(rig.told(10), APPROVED);
    rig
}

fn forwarded(frame: u32) -> Reversal {
    Reversal {
        answered: ReversalAnswer::OfIssuer,
        ..reversal(1, frame)
    }
}

fn forward(rig: &mut Rig, reversal: Reversal) {
    rig.give(Input::Reversal(reversal));
}

#[test]
fn w01_a_forwarded_reversal_is_told_what_the_issuer_says() {
    for (said, told) in [(b"00", b"00"), (b"25", b"25"), (b"94", b"94")] {
        let mut rig = approved_under(Profile::PLAIN);
        forward(&mut rig, forwarded(20));
        assert_eq!(rig.told(20), None, "it waits");
        assert_eq!(rig.attempts(), 1);
        rig.respond_to_reversal(code(said));
        assert_eq!(rig.told(20), Some(code(told)));
        assert_eq!(rig.engine.counts().saf, 0);
        rig.pass(Duration::from_secs(60));
        assert_eq!(rig.attempts(), 1, "nothing is sent again");
    }
}

#[test]
fn w01_one_that_races_its_original_waits_for_that_too() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    forward(&mut rig, forwarded(20));
    assert_eq!((rig.told(20), rig.discarded(10)), (None, true));
    rig.respond(decline());
    assert_eq!(rig.told(20), APPROVED, "nothing was to be taken back");
    assert_eq!(rig.attempts(), 0);

    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    forward(&mut rig, forwarded(20));
    rig.respond(approval());
    assert_eq!((rig.told(20), rig.attempts()), (None, 1));
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(rig.told(20), APPROVED);

    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    forward(&mut rig, forwarded(20));
    rig.pass(DEADLINE);
    assert_eq!((rig.told(20), rig.attempts()), (None, 1));
    rig.pass(settings().saf.response_timeout);
    assert_eq!(rig.told(20), TIMED_OUT);
}

#[test]
fn w02_who_waits_too_long_is_told_so_and_the_reversal_stands() {
    for links_down in [false, true] {
        let mut rig = approved_under(Profile::PLAIN);
        rig.links_down = links_down;
        forward(&mut rig, forwarded(20));
        let bound = settings().saf.response_timeout;
        rig.pass(bound - Duration::from_millis(1));
        assert_eq!(rig.told(20), None);
        rig.pass(Duration::from_millis(1));
        assert_eq!(rig.told(20), TIMED_OUT);
        rig.links_down = false;
        rig.pass(Duration::from_secs(60));
        rig.respond_to_reversal(ResponseCode::APPROVED);
        assert_eq!(rig.engine.counts().saf, 0, "it was repeated and taken");
        forward(&mut rig, forwarded(21));
        assert_eq!(rig.told(21), APPROVED, "a copy hears of it at once");
    }
}

#[test]
fn w03_the_newest_copy_is_answered() {
    let mut rig = approved_under(Profile::PLAIN);
    forward(&mut rig, forwarded(20));
    forward(&mut rig, forwarded(21));
    assert!(rig.discarded(20));
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!((rig.told(20), rig.told(21)), (None, APPROVED));
    assert_eq!(rig.attempts(), 1);
}

#[test]
fn w02_each_of_two_partial_ones_has_its_answer() {
    let mut rig = approved_under(Profile::PLAIN);
    let part = |frame: u32, stays| Reversal {
        key: DuplicateKey(u128::from(frame)),
        replacement: Some(kes(stays)),
        ..forwarded(frame)
    };
    forward(&mut rig, part(20, 6_000));
    forward(&mut rig, part(21, 2_000));
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!((rig.told(20), rig.told(21)), (APPROVED, None));
    rig.pass(settings().saf.response_timeout);
    assert_eq!(rig.told(21), TIMED_OUT);
}

/// A restart between the record and the answer: what was promised is kept, the copy hears of it.
#[test]
fn w02_a_restart_forgets_who_waited_and_keeps_what_is_owed() {
    let mut rig = approved_under(Profile::PLAIN);
    forward(&mut rig, forwarded(20));
    rig.restart(rig.journal.len()).unwrap();
    assert_eq!(rig.attempts(), 1);
    forward(&mut rig, forwarded(21));
    assert_eq!(rig.told(21), None);
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(rig.told(21), APPROVED);
}

const REVERSING: Profile = Profile {
    undelivered: Undelivered::Reverse,
    ..Profile::PLAIN
};

/// The answer to request 1 found nobody.
fn untold(profile: Profile) -> Rig {
    let mut rig = approved_under(profile);
    let handle = rig.answered_last();
    rig.give(Input::Undelivered { handle });
    rig
}

fn past_the_window() -> Duration {
    settings().duplicate_window + Duration::from_secs(1)
}

#[test]
fn w04_an_approval_that_a_repeat_has_fetched_stands() {
    let mut rig = untold(REVERSING);
    rig.pass(Duration::from_secs(30));
    rig.repeat(1, 11);
    assert_eq!(rig.told(11), APPROVED);
    rig.pass(past_the_window());
    assert_eq!((rig.attempts(), rig.engine.counts().saf), (0, 0));
}

#[test]
fn w04_nothing_becomes_of_it_where_the_profile_keeps_it() {
    let mut rig = untold(Profile::PLAIN);
    rig.pass(past_the_window());
    assert_eq!((rig.attempts(), rig.engine.counts().saf), (0, 0));
}

#[test]
fn w05_its_reversal_is_that_of_any_approval() {
    let mut rig = untold(REVERSING);
    rig.reverse(1, 20);
    assert_eq!((rig.told(20), rig.attempts()), (APPROVED, 1));
    rig.respond_to_reversal(ResponseCode::APPROVED);
    rig.pass(past_the_window());
    assert_eq!((rig.attempts(), rig.engine.counts().saf), (1, 0));
}

#[test]
fn w06_an_approval_that_nobody_fetched_is_reversed_after_the_window() {
    let mut rig = untold(REVERSING);
    rig.pass(settings().duplicate_window - Duration::from_millis(1));
    assert_eq!(rig.attempts(), 0);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.attempts(), 1);
    let cause = rig.journal.iter().find_map(|record| {
        if let Record::SafOwed(owed) = record {
            Some(owed.cause)
        } else {
            None
        }
    });
    assert_eq!(cause, Some(ReversalCause::Undelivered));
    rig.request(1, 11);
    assert_eq!(rig.told(11), DUPLICATE, "R9");
    rig.restart(rig.journal.len()).unwrap();
    rig.repeat(1, 12);
    assert_eq!(rig.told(12), DUPLICATE, "R9 after a restart");
    rig.respond_to_reversal(ResponseCode::APPROVED);
    assert_eq!(rig.engine.counts().saf, 0);
}
