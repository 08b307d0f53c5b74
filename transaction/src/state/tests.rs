//! Tests of `state`.

use super::*;
use crate::testing::{approval, code, decline};
use domain::ids::{IssuerId, LinkId, RouteId, Stan, TransactionId};
use domain::record::Extent;
use domain::request::{MessageClass, MessageKind};
use domain::time::TransmissionTime;
use std::collections::HashSet;
use std::format;
use std::string::String;
use std::vec::Vec;

const ENDINGS: [Ending; 9] = [
    Ending::Refused,
    Ending::NotSent,
    Ending::Declined,
    Ending::Approved,
    Ending::PartlyReversed,
    Ending::Reversed,
    Ending::TimedOut,
    Ending::Invalid,
    Ending::AcquirerReversed,
];

const SIGNALS: [&str; 16] = [
    "Accepted",
    "Located",
    "Declined",
    "Routed",
    "Unrouted",
    "Held",
    "Freed",
    "TurnedAway",
    "IntentDurable",
    "Unsent",
    "Approval",
    "Decline",
    "Unusable",
    "Deadline",
    "OutcomeDurable",
    "Reversal",
];

fn states() -> Vec<State> {
    let mut states = Vec::from([
        State::Assessing,
        State::Locating,
        State::Routing,
        State::HeldBack,
        State::Intended,
        State::Sent,
        State::Rerouting,
        State::Reversing,
    ]);
    states.extend(ENDINGS.map(State::Settling));
    states.extend(ENDINGS.map(State::Settled));
    states
}

fn signal(name: &str) -> Signal<'static> {
    let reason = RefusalReason::Fraud;
    let code = code(b"59");
    match name {
        "Accepted" => Signal::Accepted,
        "Located" => Signal::Located {
            issuer: IssuerId(0),
            completed: completed(),
        },
        "Declined" => Signal::Declined { code, reason },
        "Routed" => Signal::Routed {
            leg: leg(),
            deadline: Duration::from_secs(1),
        },
        "Unrouted" => Signal::Unrouted { code, reason },
        "Held" => Signal::Held {
            issuer: IssuerId(0),
            deadline: Duration::from_secs(1),
        },
        "Freed" => Signal::Freed,
        "TurnedAway" => Signal::TurnedAway(NotAdmitted::Shed),
        "IntentDurable" => Signal::IntentDurable,
        "Unsent" => Signal::Unsent,
        "Approval" => Signal::Approval(approval()),
        "Decline" => Signal::Decline(decline()),
        "Unusable" => Signal::Unusable(Unusable {
            told: code,
            code: None,
        }),
        "Deadline" => Signal::Deadline,
        "OutcomeDurable" => Signal::OutcomeDurable,
        "Reversal" => Signal::Reversal(Requested {
            key: DuplicateKey(1),
            replacement: None,
            reason: None,
            waits: None,
        }),
        other => panic!("no signal {other}"),
    }
}

fn completed() -> Completed {
    Completed {
        transaction: TransactionId(1),
        class: MessageClass::Authorisation,
        kind: MessageKind::Request,
        stan: Stan::new(1).unwrap(),
        transmitted: TransmissionTime::default(),
        local: TransmissionTime::default(),
        extent: Extent::Unknown,
    }
}

fn leg() -> IssuerLeg {
    IssuerLeg {
        route: RouteId(0),
        candidate: 0,
        issuer: IssuerId(0),
        link: LinkId(0),
        stan: Stan::new(1).unwrap(),
        transmitted: TransmissionTime::default(),
    }
}

/// The name of an action, without its data.
fn name(action: &Action<'_>) -> String {
    let text = format!("{action:?}");
    let end = text.find(|letter: char| !letter.is_alphanumeric());
    text[..end.unwrap_or(text.len())].into()
}

/// Every legal transition that changes the state or calls for work, but those after the end.
const LEGAL: [(&str, &str, &str, &str); 42] = [
    ("Locating", "Located", "Routing", "SelectIssuer"),
    ("Locating", "Declined", "Settling(Refused)", "Refuse"),
    ("Locating", "Deadline", "Locating", "Abandon"),
    ("Locating", "Reversal", "Locating", "Withdraw"),
    ("Assessing", "Accepted", "Routing", "SelectRoute"),
    ("Assessing", "Declined", "Settling(Refused)", "Refuse"),
    ("Assessing", "Deadline", "Assessing", "Abandon"),
    ("Assessing", "Reversal", "Assessing", "Withdraw"),
    ("Routing", "Routed", "Intended", "Intend"),
    ("Routing", "Unrouted", "Settling(Refused)", "Refuse"),
    ("Routing", "Deadline", "Routing", "Abandon"),
    ("Routing", "Reversal", "Routing", "Withdraw"),
    ("Routing", "Held", "HeldBack", "HoldBack"),
    ("Routing", "TurnedAway", "Routing", "Abandon"),
    ("HeldBack", "Freed", "Routing", "SelectRoute"),
    ("HeldBack", "Deadline", "Settling(Refused)", "GiveUpWaiting"),
    ("HeldBack", "TurnedAway", "HeldBack", "Abandon"),
    (
        "HeldBack",
        "Reversal",
        "Settling(Refused)",
        "RefuseReversed",
    ),
    ("Intended", "IntentDurable", "Sent", "Send"),
    ("Intended", "Deadline", "Settling(NotSent)", "CloseUnsent"),
    ("Intended", "Reversal", "Settling(NotSent)", "CloseUnsent"),
    ("Sent", "Approval", "Settling(Approved)", "Answer"),
    ("Sent", "Decline", "Settling(Declined)", "Answer"),
    ("Sent", "Unusable", "Settling(Invalid)", "Invalidate"),
    ("Sent", "Deadline", "Settling(TimedOut)", "TimeOut"),
    ("Sent", "Unsent", "Rerouting", "NextCandidate"),
    ("Sent", "Reversal", "Reversing", "ReverseInFlight"),
    ("Rerouting", "Routed", "Intended", "Reintend"),
    ("Rerouting", "Unrouted", "Settling(NotSent)", "CloseUnsent"),
    ("Rerouting", "Deadline", "Settling(NotSent)", "CloseUnsent"),
    ("Rerouting", "Reversal", "Settling(NotSent)", "CloseUnsent"),
    (
        "Reversing",
        "Approval",
        "Settled(AcquirerReversed)",
        "ReleaseHeld",
    ),
    (
        "Reversing",
        "Unusable",
        "Settled(AcquirerReversed)",
        "ReleaseHeld",
    ),
    (
        "Reversing",
        "Deadline",
        "Settled(AcquirerReversed)",
        "ReleaseHeld",
    ),
    (
        "Reversing",
        "Decline",
        "Settled(AcquirerReversed)",
        "DropHeld",
    ),
    (
        "Reversing",
        "Unsent",
        "Settled(AcquirerReversed)",
        "DropHeld",
    ),
    ("Reversing", "Reversal", "Reversing", "ReverseFurther"),
    (
        "Settled(AcquirerReversed)",
        "Reversal",
        "Settled(AcquirerReversed)",
        "ReverseFurther",
    ),
    (
        "Settling(Approved)",
        "Reversal",
        "Settling(Reversed)",
        "ReverseFurther",
    ),
    (
        "Settled(Approved)",
        "Reversal",
        "Settled(Reversed)",
        "ReverseFurther",
    ),
    (
        "Settled(Approved)",
        "Deadline",
        "Settled(Reversed)",
        "ReverseUndelivered",
    ),
    (
        "Settled(PartlyReversed)",
        "Reversal",
        "Settled(Reversed)",
        "ReverseFurther",
    ),
];

#[test]
fn the_legal_transitions_are_these() {
    let states = states();
    for (before, signalled, after, action) in LEGAL {
        let from = states.iter().find(|state| format!("{state:?}") == before);
        let (to, done) = from.unwrap().on(signal(signalled));
        assert_eq!(format!("{to:?}"), after, "{before} on {signalled}");
        assert_eq!(name(&done), action, "{before} on {signalled}");
    }
}

#[test]
fn everything_else_changes_nothing() {
    let legal: HashSet<_> = LEGAL.iter().map(|(state, on, ..)| (*state, *on)).collect();
    for state in states() {
        let shown = format!("{state:?}");
        for on in SIGNALS {
            if legal.contains(&(shown.as_str(), on)) {
                continue;
            }
            let (after, action) = state.on(signal(on));
            let expected = match (state, on) {
                (State::Settling(ending), "OutcomeDurable") => {
                    assert_eq!(after, State::Settled(ending));
                    assert_eq!(name(&action), "Reply");
                    continue;
                }
                (State::Settling(Ending::PartlyReversed), "Reversal") => {
                    assert_eq!(after, State::Settling(Ending::Reversed));
                    continue;
                }
                (State::Settling(Ending::AcquirerReversed), "Reversal") => "ReverseFurther",
                (State::Settling(_) | State::Settled(_), "Approval" | "Decline" | "Unusable") => {
                    "Late"
                }
                (State::Routing | State::Rerouting, "Routed") => panic!("these are legal"),
                (_, "Routed") => "ReturnLeg",
                _ => "Ignore",
            };
            assert_eq!(after, state, "{shown} on {on}");
            assert_eq!(name(&action), expected, "{shown} on {on}");
        }
    }
}

#[test]
fn a_partial_reversal_keeps_the_rest() {
    let partial = Requested {
        key: DuplicateKey(1),
        replacement: Some(5),
        reason: None,
        waits: None,
    };
    let (after, _) = State::Settled(Ending::Approved).on(Signal::Reversal(partial));
    assert_eq!(after, State::Settled(Ending::PartlyReversed));
    let (again, _) = after.on(Signal::Reversal(partial));
    assert_eq!(again, State::Settled(Ending::PartlyReversed));
}
