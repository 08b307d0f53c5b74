//! Each row of the life of a link, and what holds in any order of events.

use proptest::prelude::*;
use std::vec::Vec;

use super::*;

use LinkInput::{Answered, Asked, Connected, Drain, Heard, KeyInUse, Lost, Mismatch};
use LinkOutput::{Close, Open, Send};
use NetworkKind::{Echo, KeyChange, SignOff, SignOn};
use Verdict::{Accepted, Refused};

const POLICY: LinkPolicy = LinkPolicy {
    sign_on: true,
    key: None,
    echo_idle: Duration::from_secs(30),
    echo_missed: 3,
    answer_timeout: Duration::from_secs(10),
    sign_on_attempts: 3,
    sign_on_retry: Duration::from_secs(60),
    mismatches_max: 2,
};
const KEYS: LinkPolicy = LinkPolicy {
    key: Some(KeyPolicy {
        retry: Duration::from_secs(60),
        renew: Duration::from_secs(86_400),
    }),
    ..POLICY
};
const WITHOUT_SIGN_ON: LinkPolicy = LinkPolicy {
    sign_on: false,
    ..POLICY
};

fn at(seconds: u64) -> Instant {
    Instant::ZERO.after(Duration::from_secs(seconds))
}

fn drained(machine: &mut LinkMachine) -> Vec<LinkOutput> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

/// What happens at which second: an input, or only the time.
type Step = (u64, Option<LinkInput>, &'static [LinkOutput], LinkPhase);

/// Each step has exactly these outputs and ends in this phase.
#[track_caller]
fn check(policy: LinkPolicy, steps: &[Step]) -> LinkMachine {
    let mut machine = LinkMachine::new(policy, 0);
    for (number, (second, input, outputs, phase)) in steps.iter().enumerate() {
        match input {
            Some(input) => machine.handle_input(*input, at(*second)),
            None => machine.handle_timeout(at(*second)),
        }
        assert_eq!(drained(&mut machine), *outputs, "step {number}");
        assert_eq!(machine.phase(), *phase, "step {number}");
    }
    machine
}

const SIGN_ON: Step = (0, Some(Connected), &[Send(SignOn)], LinkPhase::Connected);
const UP: Step = (
    1,
    Some(Answered(SignOn, Accepted)),
    &[Open(true)],
    LinkPhase::Up,
);

//= docs/rules.md#N-02
#[test]
fn a_link_signs_on_before_it_is_open() {
    let machine = check(POLICY, &[SIGN_ON, UP]);
    assert_eq!(machine.poll_timeout(), Some(at(31)));
    assert_eq!(machine.open_for(at(61)), Some(Duration::from_secs(60)));
    check(
        WITHOUT_SIGN_ON,
        &[(0, Some(Connected), &[Open(true)], LinkPhase::Up)],
    );
}

#[test]
fn a_sign_on_is_repeated_after_ten_seconds_and_given_up_after_three() {
    check(
        POLICY,
        &[
            SIGN_ON,
            (9, None, &[], LinkPhase::Connected),
            (10, None, &[Send(SignOn)], LinkPhase::Connected),
            (20, None, &[Send(SignOn)], LinkPhase::Connected),
            (30, None, &[Close(Alarm::SignOnUnanswered)], LinkPhase::Down),
            (31, None, &[], LinkPhase::Down),
        ],
    );
}

#[test]
fn a_refused_sign_on_stays_connected_and_is_tried_every_minute() {
    check(
        POLICY,
        &[
            SIGN_ON,
            (
                1,
                Some(Answered(SignOn, Refused)),
                &[LinkOutput::Alarm(Alarm::SignOnRefused)],
                LinkPhase::Connected,
            ),
            (
                2,
                Some(Answered(SignOn, Accepted)),
                &[],
                LinkPhase::Connected,
            ),
            (60, None, &[], LinkPhase::Connected),
            (61, None, &[Send(SignOn)], LinkPhase::Connected),
            (
                62,
                Some(Answered(SignOn, Accepted)),
                &[Open(true)],
                LinkPhase::Up,
            ),
        ],
    );
}

#[test]
fn fault_052_a_silent_issuer_is_asked_three_times_and_then_left() {
    check(
        POLICY,
        &[
            SIGN_ON,
            UP,
            (20, Some(Heard), &[], LinkPhase::Up),
            (31, None, &[], LinkPhase::Up),
            (50, None, &[Send(Echo)], LinkPhase::Up),
            (60, None, &[Send(Echo)], LinkPhase::Up),
            (70, None, &[Send(Echo)], LinkPhase::Up),
            (
                80,
                None,
                &[Close(Alarm::EchoUnanswered), Open(false)],
                LinkPhase::Down,
            ),
        ],
    );
}

#[test]
fn any_sign_of_life_makes_missed_echoes_good() {
    check(
        POLICY,
        &[
            SIGN_ON,
            UP,
            (31, None, &[Send(Echo)], LinkPhase::Up),
            (41, None, &[Send(Echo)], LinkPhase::Up),
            (42, Some(Heard), &[], LinkPhase::Up),
            (71, None, &[], LinkPhase::Up),
            (72, None, &[Send(Echo)], LinkPhase::Up),
            (82, None, &[Send(Echo)], LinkPhase::Up),
            (92, None, &[Send(Echo)], LinkPhase::Up),
        ],
    );
}

#[test]
fn fault_057_a_sign_off_of_the_issuer_bars_the_link_until_it_signs_on() {
    check(
        POLICY,
        &[
            SIGN_ON,
            UP,
            (
                2,
                Some(Asked(SignOff)),
                &[Open(false)],
                LinkPhase::SignedOff,
            ),
            (3, Some(Asked(SignOff)), &[], LinkPhase::SignedOff),
            (32, None, &[Send(Echo)], LinkPhase::SignedOff),
            (33, Some(Heard), &[], LinkPhase::SignedOff),
            (34, Some(Asked(SignOn)), &[Open(true)], LinkPhase::Up),
            (35, Some(Asked(NetworkKind::CutOver)), &[], LinkPhase::Up),
        ],
    );
    // A new connection begins anew.
    check(
        POLICY,
        &[
            SIGN_ON,
            UP,
            (
                2,
                Some(Asked(SignOff)),
                &[Open(false)],
                LinkPhase::SignedOff,
            ),
            (3, Some(Lost), &[], LinkPhase::Down),
            SIGN_ON,
            UP,
        ],
    );
    // Its yes to our sign-on is the last word.
    check(
        POLICY,
        &[
            SIGN_ON,
            (1, Some(Asked(SignOff)), &[], LinkPhase::Connected),
            UP,
        ],
    );
}

#[test]
fn a_key_is_asked_for_before_the_link_is_open_and_once_a_day() {
    let day = 86_400;
    check(
        KEYS,
        &[
            SIGN_ON,
            (
                1,
                Some(Answered(SignOn, Accepted)),
                &[Send(KeyChange)],
                LinkPhase::SignedOn,
            ),
            (60, None, &[], LinkPhase::SignedOn),
            (
                61,
                None,
                &[LinkOutput::Alarm(Alarm::KeyMissing), Send(KeyChange)],
                LinkPhase::SignedOn,
            ),
            (62, Some(KeyInUse), &[Open(true)], LinkPhase::Up),
            (63, Some(Lost), &[Open(false)], LinkPhase::Down),
            SIGN_ON,
            UP,
            (day + 61, Some(Heard), &[], LinkPhase::Up),
            (day + 62, None, &[Send(KeyChange)], LinkPhase::Up),
            (day + 63, Some(KeyInUse), &[], LinkPhase::Up),
            (day + 80, None, &[], LinkPhase::Up),
        ],
    );
    check(
        POLICY,
        &[SIGN_ON, UP, (2, Some(KeyInUse), &[], LinkPhase::Up)],
    );
}

#[test]
fn the_links_of_an_issuer_renew_their_key_one_after_the_other() {
    let due = |seed| {
        let mut machine = LinkMachine::new(KEYS, seed);
        machine.handle_input(Connected, at(0));
        machine.handle_input(Answered(SignOn, Accepted), at(0));
        machine.handle_input(KeyInUse, at(0));
        machine.renew_at.unwrap()
    };
    assert!((1..8).all(|seed| due(seed) > due(seed - 1)));
    assert!(due(63) < at(86_400 + 86_400 / 16));
}

#[test]
fn a_drain_signs_off_and_waits_for_the_answer() {
    let draining: Step = (
        2,
        Some(Drain),
        &[Send(SignOff), Open(false)],
        LinkPhase::Draining,
    );
    let answer = Some(Answered(SignOff, Refused));
    let machine = check(
        POLICY,
        &[
            SIGN_ON,
            UP,
            draining,
            (3, Some(Drain), &[], LinkPhase::Draining),
            (3, Some(Asked(SignOn)), &[], LinkPhase::Draining),
            (4, answer, &[], LinkPhase::SignedOff),
            (99, None, &[], LinkPhase::SignedOff),
        ],
    );
    assert!(machine.is_at_rest());
    check(
        POLICY,
        &[
            SIGN_ON,
            UP,
            draining,
            (11, None, &[], LinkPhase::Draining),
            (12, None, &[], LinkPhase::SignedOff),
        ],
    );
    let machine = check(
        WITHOUT_SIGN_ON,
        &[
            (0, Some(Connected), &[Open(true)], LinkPhase::Up),
            (1, Some(Drain), &[Open(false)], LinkPhase::SignedOff),
        ],
    );
    assert!(machine.is_at_rest());
    check(
        POLICY,
        &[SIGN_ON, (1, Some(Drain), &[], LinkPhase::SignedOff)],
    );
}

#[test]
fn fault_048_a_link_whose_answers_cannot_be_is_left_alone_for_a_minute() {
    let alarm = LinkOutput::Alarm(Alarm::Quarantined);
    let doubt = |second| -> Step { (second, Some(Mismatch), &[], LinkPhase::Up) };
    let alarmed: &'static [LinkOutput] = &[LinkOutput::Alarm(Alarm::Quarantined), Open(false)];
    assert_eq!(alarmed.first(), Some(&alarm));
    check(
        POLICY,
        &[
            SIGN_ON,
            UP,
            doubt(2),
            doubt(61),
            // A minute after the first one the count begins anew.
            doubt(62),
            doubt(63),
            (64, Some(Mismatch), alarmed, LinkPhase::Quarantined),
            (65, Some(Mismatch), &[], LinkPhase::Quarantined),
            (66, Some(Heard), &[], LinkPhase::Quarantined),
            (96, None, &[Send(Echo)], LinkPhase::Quarantined),
            (97, Some(Heard), &[], LinkPhase::Quarantined),
            (124, None, &[Open(true)], LinkPhase::Up),
            doubt(125),
        ],
    );
    check(POLICY, &[(0, Some(Mismatch), &[], LinkPhase::Down)]);
}

fn any_input() -> impl Strategy<Value = Option<LinkInput>> {
    let kind = (0..7_usize).prop_map(|place| {
        let named = NetworkKind::NAMED.get(place).copied();
        named.unwrap_or(NetworkKind::Other)
    });
    let verdict = any::<bool>().prop_map(|yes| if yes { Accepted } else { Refused });
    prop_oneof![
        Just(None),
        Just(Some(Connected)),
        Just(Some(Lost)),
        Just(Some(Heard)),
        Just(Some(KeyInUse)),
        Just(Some(Drain)),
        Just(Some(Mismatch)),
        (kind.clone(), verdict).prop_map(|(kind, verdict)| Some(Answered(kind, verdict))),
        kind.prop_map(|kind| Some(Asked(kind))),
    ]
}

proptest! {
    /// In any order: `Open` is told exactly when it changes, nothing is sent without a connection,
    /// and a timeout that is not due does nothing.
    #[test]
    fn what_is_told_is_what_is_so(
        steps in prop::collection::vec((any_input(), 0..40_u64), 1..80),
        policy in 0..3_usize,
    ) {
        let policy = [POLICY, KEYS, WITHOUT_SIGN_ON][policy];
        let mut machine = LinkMachine::new(policy, 7);
        let (mut now, mut told) = (at(0), false);
        for (input, seconds) in steps {
            now = now.after(Duration::from_secs(seconds));
            let is_due = machine.poll_timeout().is_some_and(|at| at <= now);
            match input {
                Some(input) => machine.handle_input(input, now),
                None => machine.handle_timeout(now),
            }
            let outputs = drained(&mut machine);
            if input.is_none() && !is_due {
                prop_assert_eq!(&outputs, &[]);
            }
            for output in outputs {
                match output {
                    Open(open) => {
                        prop_assert_ne!(open, told);
                        told = open;
                    }
                    Send(_) => prop_assert_ne!(machine.phase(), LinkPhase::Down),
                    Close(_) => prop_assert_eq!(machine.phase(), LinkPhase::Down),
                    LinkOutput::Alarm(_) => {}
                }
            }
            prop_assert_eq!(told, machine.is_open());
            if input.is_none() {
                prop_assert!(machine.poll_timeout().is_none_or(|at| at > now));
            }
        }
    }
}
