//! The states of one transaction and the only transitions between them.

use core::time::Duration;

use domain::ResponseCode;
use domain::ids::{AuthorisationId, IssuerId};
use domain::message_reason::MessageReason;
use domain::record::{Completed, RefusalReason};
use domain::request::{Answer, DuplicateKey, FrameId, IssuerLeg};

use crate::output::{LegEnding, NotAdmitted};

/// Where a transaction stands.
///
/// ```text
///            accept            leg              durable        answer, deadline, unusable
/// Assessing ───────► Routing ───────► Intended ─────────► Sent ───────────────► Settling(e)
///   │ decline          │ no leg        │ deadline          │ │                    │ durable
///   │                  │               │ reversal   unsent │ │ reversal           ▼
///   │                  │               │      ┌────────────┘ └─────► Reversing  Settled(e)
///   │                  │               │      ▼      leg                │ answer, deadline, unsent
///   │                  │               │  Rerouting ─────► Intended     ▼
///   └──────────────────┴───────────────┴──────┴──► Settling(e)       Settled(AcquirerReversed)
///                                          no leg, deadline, reversal
/// ```
///
/// An advice is `Assigning` until its issuer is known, then `Settling`. A completion request is
/// `Locating` until what it completes is known, then `Routing`: risk has judged that. From
/// `Routing` a request may be `HeldBack`, until its issuer has what it is owed for the account, and
/// is `Routing` again then (`saf/live.rs`). A request
/// that no issuer can be asked about may be approved in its place: from `Routing` or `Rerouting` to
/// `Settling`.
///
/// An approval that is reversed stays where it is; its ending changes. `Reversing` stays when what
/// a partial reversal left is reversed further. A deadline of an approval that stands is that of
/// `waiting.rs`: nobody was told of it. `Assessing` and `Routing` can also be given up: at
/// their deadline, or when the reversal comes first; no trace is left then but the reversal's
/// tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Risk is asked. Nothing is journaled.
    Assessing,
    /// The router is asked. Nothing is journaled.
    Routing,
    /// Waits until its issuer has what it is owed for the account. Nothing is journaled.
    HeldBack,
    /// An advice: its original is looked for, or its issuer. Nothing is journaled.
    Assigning,
    /// A completion request: what it completes is looked for. Nothing is journaled.
    Locating,
    /// The intent is appended and not yet durable. Nothing has left.
    Intended,
    /// The request may have left.
    Sent,
    /// The request provably did not leave; the router is asked for another candidate.
    Rerouting,
    /// The acquirer's reversal came while the request was out. What the issuer says decides whether
    /// the reversal is owed.
    Reversing,
    /// The outcome is appended and not yet durable; its answer waits.
    Settling(Ending),
    /// The outcome is durable.
    Settled(Ending),
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Declined in the switch.
    Refused,
    /// Provably nothing left.
    NotSent,
    /// The issuer declined.
    Declined,
    /// The issuer approved.
    Approved,
    /// Approved, then reversed in part: the rest stays.
    PartlyReversed,
    /// Approved, then reversed in full.
    Reversed,
    /// No answer by the deadline; reversed.
    TimedOut,
    /// The answer could not be used; reversed.
    Invalid,
    /// The acquirer's reversal came before the answer.
    AcquirerReversed,
}

/// What happens to one transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal<'a> {
    Accepted,
    Declined {
        code: ResponseCode,
        reason: RefusalReason,
    },
    Routed {
        leg: IssuerLeg,
        deadline: Duration,
    },
    Unrouted {
        code: ResponseCode,
        reason: RefusalReason,
    },
    /// Its issuer is to have something else first: by when it is to have left.
    Held {
        issuer: IssuerId,
        deadline: Duration,
    },
    /// Its issuer has what it was owed.
    Freed,
    /// It is not to wait, and nobody else takes it.
    TurnedAway(NotAdmitted),
    /// The switch approves in place of an issuer.
    StoodIn(StoodIn<'a>),
    /// It is known how an advice travels, and what it reports.
    Assigned {
        leg: IssuerLeg,
        ending: Ending,
    },
    /// It is known what a completion request completes.
    Located {
        issuer: IssuerId,
        completed: Completed,
    },
    /// Nobody is told of an advice, and nothing is remembered of it.
    Unassigned {
        code: ResponseCode,
        reason: NotAdmitted,
    },
    /// What an advice completes was reversed.
    NotForwarded,
    IntentDurable,
    Unsent,
    Approval(Answer<'a>),
    Decline(Answer<'a>),
    Unusable(Unusable),
    Deadline,
    OutcomeDurable,
    /// An acquirer's reversal that its original does not rule out.
    Reversal(Requested),
}

/// An approval in place of an issuer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoodIn<'a> {
    /// How the advice of it will travel.
    pub(crate) leg: IssuerLeg,
    /// DE38.
    pub(crate) authorisation: AuthorisationId,
    /// Further fields of the advice.
    pub(crate) fields: &'a [u8],
}

/// An answer that cannot be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// What the acquirer is told.
    pub(crate) told: ResponseCode,
    /// DE39 as it came, if it was legible.
    pub(crate) code: Option<ResponseCode>,
}

/// An acquirer's reversal, as far as the issuer has to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requested {
    /// Names it and its copies.
    pub(crate) key: DuplicateKey,
    /// Minor units that stay; `None` takes all back.
    pub(crate) replacement: Option<u64>,
    /// Why, where its acquirer has said so.
    pub(crate) reason: Option<MessageReason>,
    /// The frame that waits for the issuer's answer to it.
    pub(crate) waits: Option<FrameId>,
}

/// What the engine has to do for a transition.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action<'a> {
    /// The pair is not legal: count it, change nothing.
    Ignore,
    /// As `Ignore`, and the leg that came too late goes back.
    ReturnLeg(IssuerLeg),
    /// As `Ignore`, and the STAN that came too late goes back: no permit was taken.
    ReturnStan(IssuerLeg),
    /// Journal the advice, and what is told.
    Advise { leg: IssuerLeg },
    /// Journal an advice that nobody is told of.
    LeaveToPeople,
    /// Forget an advice: this code, no trace.
    DropAdvice(ResponseCode, NotAdmitted),
    /// Forget an advice without an answer: its reversal has come.
    WithdrawAdvice,
    /// Journal the approval and the advice that it owes.
    StandIn(StoodIn<'a>),
    /// Ask the router.
    SelectRoute,
    /// Ask the router for this issuer and no other.
    SelectIssuer {
        issuer: IssuerId,
        completed: Completed,
    },
    /// Journal the refusal.
    Refuse {
        code: ResponseCode,
        reason: RefusalReason,
    },
    /// Wait until this issuer has what it is owed.
    HoldBack {
        issuer: IssuerId,
        deadline: Duration,
    },
    /// It has waited for too long: as `Refuse`.
    GiveUpWaiting,
    /// Its reversal has come: as `Refuse`, without an answer.
    RefuseReversed,
    /// Forget it: 96, no trace.
    Abandon(NotAdmitted),
    /// Forget it without an answer: its reversal has come.
    Withdraw,
    /// Journal the intent.
    Intend { leg: IssuerLeg, deadline: Duration },
    /// Close the intent that was not sent, then journal another.
    Reintend { leg: IssuerLeg },
    /// Let the request leave.
    Send,
    /// Give the leg back and ask for another one.
    NextCandidate,
    /// Close the intent: nothing left for the issuer.
    CloseUnsent { why: WhyUnsent },
    /// Store the answer and journal the outcome.
    Answer(Answer<'a>),
    /// Journal a timed-out outcome and the reversal owed.
    TimeOut,
    /// Journal an invalid outcome and the reversal owed.
    Invalidate(Unusable),
    /// Tell the acquirer.
    Reply,
    /// Journal that the acquirer's reversal came first; hold the reversal until the leg ends.
    ReverseInFlight(Requested),
    /// Journal the reversal of an approval, or of what an earlier reversal left.
    ReverseFurther(Requested),
    /// Journal the reversal of an approval that nobody was told.
    ReverseUndelivered,
    /// The held reversals are owed.
    ReleaseHeld {
        ending: LegEnding,
        answered: Option<ResponseCode>,
    },
    /// The held reversals are not owed: the issuer moved nothing.
    DropHeld { answered: Option<ResponseCode> },
    /// An answer after the end.
    Late { code: Option<ResponseCode> },
}

/// Why an intent is closed as not sent; decides what the acquirer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhyUnsent {
    /// No further candidate.
    Unrouted(ResponseCode),
    /// The deadline passed before anything could leave.
    Deadline,
    /// The acquirer's reversal came first.
    Reversed,
}

impl State {
    /// The only way a state changes. Illegal pairs change nothing.
    pub(crate) fn on(self, signal: Signal<'_>) -> (Self, Action<'_>) {
        match self {
            Self::Assessing => self.on_assessing(signal),
            Self::Routing => self.on_routing(signal),
            Self::HeldBack => self.on_held_back(signal),
            Self::Assigning => self.on_assigning(signal),
            Self::Locating => self.on_locating(signal),
            Self::Intended => self.on_intended(signal),
            Self::Sent => self.on_sent(signal),
            Self::Rerouting => self.on_rerouting(signal),
            Self::Reversing => self.on_reversing(signal),
            Self::Settling(ending) | Self::Settled(ending) => self.on_ended(ending, signal),
        }
    }

    fn on_assessing(self, signal: Signal<'_>) -> (Self, Action<'_>) {
        match signal {
            Signal::Accepted => (Self::Routing, Action::SelectRoute),
            Signal::Declined { code, reason } => refused(code, reason),
            Signal::Deadline => (self, Action::Abandon(NotAdmitted::Undecided)),
            Signal::Reversal(_) => (self, Action::Withdraw),
            Signal::Routed { leg, .. } => (self, Action::ReturnLeg(leg)),
            Signal::Assigned { leg, .. } => (self, Action::ReturnStan(leg)),
            Signal::StoodIn(what) => (self, Action::ReturnStan(what.leg)),
            Signal::Unrouted { .. }
            | Signal::IntentDurable
            | Signal::Unsent
            | Signal::Approval(_)
            | Signal::Decline(_)
            | Signal::Unusable(_)
            | Signal::OutcomeDurable
            | Signal::Unassigned { .. }
            | Signal::Located { .. }
            | Signal::Held { .. }
            | Signal::Freed
            | Signal::TurnedAway(_)
            | Signal::NotForwarded => (self, Action::Ignore),
        }
    }

    fn on_routing(self, signal: Signal<'_>) -> (Self, Action<'_>) {
        match signal {
            Signal::Routed { leg, deadline } => (Self::Intended, Action::Intend { leg, deadline }),
            Signal::Unrouted { code, reason } => refused(code, reason),
            Signal::Held { issuer, deadline } => {
                (Self::HeldBack, Action::HoldBack { issuer, deadline })
            }
            Signal::TurnedAway(reason) => (self, Action::Abandon(reason)),
            Signal::Deadline => (self, Action::Abandon(NotAdmitted::Undecided)),
            Signal::Reversal(_) => (self, Action::Withdraw),
            Signal::Assigned { leg, .. } => (self, Action::ReturnStan(leg)),
            Signal::StoodIn(what) => (Self::Settling(Ending::Approved), Action::StandIn(what)),
            Signal::Accepted
            | Signal::Declined { .. }
            | Signal::IntentDurable
            | Signal::Unsent
            | Signal::Approval(_)
            | Signal::Decline(_)
            | Signal::Unusable(_)
            | Signal::OutcomeDurable
            | Signal::Unassigned { .. }
            | Signal::Located { .. }
            | Signal::Freed
            | Signal::NotForwarded => (self, Action::Ignore),
        }
    }

    fn on_held_back(self, signal: Signal<'_>) -> (Self, Action<'_>) {
        match signal {
            Signal::Freed => (Self::Routing, Action::SelectRoute),
            Signal::Deadline => (Self::Settling(Ending::Refused), Action::GiveUpWaiting),
            Signal::TurnedAway(reason) => (self, Action::Abandon(reason)),
            Signal::Reversal(_) => (Self::Settling(Ending::Refused), Action::RefuseReversed),
            Signal::Routed { leg, .. } => (self, Action::ReturnLeg(leg)),
            Signal::Assigned { leg, .. } => (self, Action::ReturnStan(leg)),
            Signal::StoodIn(what) => (self, Action::ReturnStan(what.leg)),
            Signal::Accepted
            | Signal::Declined { .. }
            | Signal::Unrouted { .. }
            | Signal::Held { .. }
            | Signal::IntentDurable
            | Signal::Unsent
            | Signal::Approval(_)
            | Signal::Decline(_)
            | Signal::Unusable(_)
            | Signal::OutcomeDurable
            | Signal::Unassigned { .. }
            | Signal::Located { .. }
            | Signal::NotForwarded => (self, Action::Ignore),
        }
    }

    fn on_assigning(self, signal: Signal<'_>) -> (Self, Action<'_>) {
        match signal {
            Signal::Assigned { leg, ending } => (Self::Settling(ending), Action::Advise { leg }),
            Signal::NotForwarded => (Self::Settling(Ending::NotSent), Action::LeaveToPeople),
            Signal::Unassigned { code, reason } => (self, Action::DropAdvice(code, reason)),
            Signal::Deadline => {
                let dropped = Action::DropAdvice(ResponseCode::MALFUNCTION, NotAdmitted::Undecided);
                (self, dropped)
            }
            Signal::Reversal(_) => (self, Action::WithdrawAdvice),
            Signal::Routed { leg, .. } => (self, Action::ReturnLeg(leg)),
            Signal::StoodIn(what) => (self, Action::ReturnStan(what.leg)),
            Signal::Accepted
            | Signal::Declined { .. }
            | Signal::Unrouted { .. }
            | Signal::IntentDurable
            | Signal::Unsent
            | Signal::Approval(_)
            | Signal::Decline(_)
            | Signal::Unusable(_)
            | Signal::Located { .. }
            | Signal::Held { .. }
            | Signal::Freed
            | Signal::TurnedAway(_)
            | Signal::OutcomeDurable => (self, Action::Ignore),
        }
    }

    fn on_locating(self, signal: Signal<'_>) -> (Self, Action<'_>) {
        match signal {
            Signal::Located { issuer, completed } => {
                (Self::Routing, Action::SelectIssuer { issuer, completed })
            }
            Signal::Declined { code, reason } => refused(code, reason),
            Signal::Deadline => (self, Action::Abandon(NotAdmitted::Undecided)),
            Signal::Reversal(_) => (self, Action::Withdraw),
            Signal::Routed { leg, .. } => (self, Action::ReturnLeg(leg)),
            Signal::Assigned { leg, .. } => (self, Action::ReturnStan(leg)),
            Signal::StoodIn(what) => (self, Action::ReturnStan(what.leg)),
            Signal::Accepted
            | Signal::Unrouted { .. }
            | Signal::IntentDurable
            | Signal::Unsent
            | Signal::Approval(_)
            | Signal::Decline(_)
            | Signal::Unusable(_)
            | Signal::OutcomeDurable
            | Signal::Unassigned { .. }
            | Signal::Held { .. }
            | Signal::Freed
            | Signal::TurnedAway(_)
            | Signal::NotForwarded => (self, Action::Ignore),
        }
    }

    fn on_intended(self, signal: Signal<'_>) -> (Self, Action<'_>) {
        match signal {
            Signal::IntentDurable => (Self::Sent, Action::Send),
            Signal::Deadline => unsent(WhyUnsent::Deadline),
            Signal::Reversal(_) => unsent(WhyUnsent::Reversed),
            Signal::Routed { leg, .. } => (self, Action::ReturnLeg(leg)),
            Signal::Assigned { leg, .. } => (self, Action::ReturnStan(leg)),
            Signal::StoodIn(what) => (self, Action::ReturnStan(what.leg)),
            Signal::Accepted
            | Signal::Declined { .. }
            | Signal::Unrouted { .. }
            | Signal::Unsent
            | Signal::Approval(_)
            | Signal::Decline(_)
            | Signal::Unusable(_)
            | Signal::OutcomeDurable
            | Signal::Unassigned { .. }
            | Signal::Located { .. }
            | Signal::Held { .. }
            | Signal::Freed
            | Signal::TurnedAway(_)
            | Signal::NotForwarded => (self, Action::Ignore),
        }
    }

    //= docs/rules.md#T-04
    //= docs/rules.md#T-06
    fn on_sent(self, signal: Signal<'_>) -> (Self, Action<'_>) {
        match signal {
            Signal::Approval(answer) => (Self::Settling(Ending::Approved), Action::Answer(answer)),
            Signal::Decline(answer) => (Self::Settling(Ending::Declined), Action::Answer(answer)),
            Signal::Unusable(what) => (Self::Settling(Ending::Invalid), Action::Invalidate(what)),
            Signal::Deadline => (Self::Settling(Ending::TimedOut), Action::TimeOut),
            Signal::Unsent => (Self::Rerouting, Action::NextCandidate),
            Signal::Reversal(what) => (Self::Reversing, Action::ReverseInFlight(what)),
            Signal::Routed { leg, .. } => (self, Action::ReturnLeg(leg)),
            Signal::Assigned { leg, .. } => (self, Action::ReturnStan(leg)),
            Signal::StoodIn(what) => (self, Action::ReturnStan(what.leg)),
            Signal::Accepted
            | Signal::Declined { .. }
            | Signal::Unrouted { .. }
            | Signal::IntentDurable
            | Signal::OutcomeDurable
            | Signal::Unassigned { .. }
            | Signal::Located { .. }
            | Signal::Held { .. }
            | Signal::Freed
            | Signal::TurnedAway(_)
            | Signal::NotForwarded => (self, Action::Ignore),
        }
    }

    fn on_rerouting(self, signal: Signal<'_>) -> (Self, Action<'_>) {
        match signal {
            Signal::Routed { leg, .. } => (Self::Intended, Action::Reintend { leg }),
            Signal::Unrouted { code, .. } => unsent(WhyUnsent::Unrouted(code)),
            Signal::Deadline => unsent(WhyUnsent::Deadline),
            Signal::Reversal(_) => unsent(WhyUnsent::Reversed),
            Signal::Assigned { leg, .. } => (self, Action::ReturnStan(leg)),
            Signal::StoodIn(what) => (Self::Settling(Ending::Approved), Action::StandIn(what)),
            Signal::Accepted
            | Signal::Declined { .. }
            | Signal::IntentDurable
            | Signal::Unsent
            | Signal::Approval(_)
            | Signal::Decline(_)
            | Signal::Unusable(_)
            | Signal::OutcomeDurable
            | Signal::Unassigned { .. }
            | Signal::Located { .. }
            | Signal::Held { .. }
            | Signal::Freed
            | Signal::TurnedAway(_)
            | Signal::NotForwarded => (self, Action::Ignore),
        }
    }

    fn on_reversing(self, signal: Signal<'_>) -> (Self, Action<'_>) {
        let done = Self::Settled(Ending::AcquirerReversed);
        let owed = |ending, answered| (done, Action::ReleaseHeld { ending, answered });
        match signal {
            Signal::Approval(answer) => owed(LegEnding::Answered(answer.code), Some(answer.code)),
            Signal::Unusable(what) => owed(LegEnding::Unusable, what.code),
            Signal::Deadline => owed(LegEnding::TimedOut, None),
            Signal::Decline(answer) => {
                let answered = Some(answer.code);
                (done, Action::DropHeld { answered })
            }
            Signal::Unsent => (done, Action::DropHeld { answered: None }),
            Signal::Reversal(what) => (self, Action::ReverseFurther(what)),
            Signal::Routed { leg, .. } => (self, Action::ReturnLeg(leg)),
            Signal::Assigned { leg, .. } => (self, Action::ReturnStan(leg)),
            Signal::StoodIn(what) => (self, Action::ReturnStan(what.leg)),
            Signal::Accepted
            | Signal::Declined { .. }
            | Signal::Unrouted { .. }
            | Signal::IntentDurable
            | Signal::OutcomeDurable
            | Signal::Unassigned { .. }
            | Signal::Located { .. }
            | Signal::Held { .. }
            | Signal::Freed
            | Signal::TurnedAway(_)
            | Signal::NotForwarded => (self, Action::Ignore),
        }
    }

    /// Before and after the outcome is durable: the difference is whether the answer may go.
    fn on_ended(self, ending: Ending, signal: Signal<'_>) -> (Self, Action<'_>) {
        match signal {
            Signal::OutcomeDurable => match self {
                Self::Settling(_) => (Self::Settled(ending), Action::Reply),
                Self::Settled(_)
                | Self::Assessing
                | Self::Routing
                | Self::HeldBack
                | Self::Assigning
                | Self::Locating
                | Self::Intended
                | Self::Sent
                | Self::Rerouting
                | Self::Reversing => (self, Action::Ignore),
            },
            Signal::Reversal(what) => match ending.reversed(what) {
                Some(ending) => (self.with_ending(ending), Action::ReverseFurther(what)),
                None => (self, Action::Ignore),
            },
            Signal::Approval(answer) | Signal::Decline(answer) => {
                let code = Some(answer.code);
                (self, Action::Late { code })
            }
            Signal::Unusable(what) => (self, Action::Late { code: what.code }),
            Signal::Routed { leg, .. } => (self, Action::ReturnLeg(leg)),
            Signal::Assigned { leg, .. } => (self, Action::ReturnStan(leg)),
            Signal::StoodIn(what) => (self, Action::ReturnStan(what.leg)),
            // Its answer was told to nobody, and the window for its repeats is over.
            Signal::Deadline if self == Self::Settled(Ending::Approved) => {
                (Self::Settled(Ending::Reversed), Action::ReverseUndelivered)
            }
            Signal::Accepted
            | Signal::Declined { .. }
            | Signal::Unrouted { .. }
            | Signal::IntentDurable
            | Signal::Unsent
            | Signal::Deadline
            | Signal::Unassigned { .. }
            | Signal::Located { .. }
            | Signal::Held { .. }
            | Signal::Freed
            | Signal::TurnedAway(_)
            | Signal::NotForwarded => (self, Action::Ignore),
        }
    }

    const fn with_ending(self, ending: Ending) -> Self {
        if self.is_settled() {
            Self::Settled(ending)
        } else {
            Self::Settling(ending)
        }
    }

    /// Whether the outcome is durable.
    pub(crate) const fn is_settled(self) -> bool {
        matches!(self, Self::Settled(_))
    }

    /// Whether it may still come to owe a reversal that no room is taken for.
    pub(crate) const fn is_exposed(self) -> bool {
        match self {
            Self::Assessing
            | Self::Locating
            | Self::Routing
            | Self::HeldBack
            | Self::Intended
            | Self::Sent
            | Self::Rerouting => true,
            Self::Assigning | Self::Reversing | Self::Settling(_) | Self::Settled(_) => false,
        }
    }

    /// Whether it is held back, or may be next.
    pub(crate) const fn may_be_held_back(self) -> bool {
        matches!(self, Self::HeldBack | Self::Routing)
    }

    /// How it ended, if it has.
    pub(crate) const fn ending(self) -> Option<Ending> {
        match self {
            Self::Settling(ending) | Self::Settled(ending) => Some(ending),
            Self::Assessing
            | Self::Routing
            | Self::HeldBack
            | Self::Assigning
            | Self::Locating
            | Self::Intended
            | Self::Sent
            | Self::Rerouting
            | Self::Reversing => None,
        }
    }

    /// Whether its route deadline or decision deadline runs.
    pub(crate) const fn has_deadline(self) -> bool {
        match self {
            Self::Assessing
            | Self::Routing
            | Self::HeldBack
            | Self::Assigning
            | Self::Locating
            | Self::Intended
            | Self::Sent
            | Self::Rerouting
            | Self::Reversing => true,
            Self::Settling(_) | Self::Settled(_) => false,
        }
    }

    /// Whether a reversal of the acquirer has been accepted for it (R9).
    pub(crate) const fn is_reversed(self) -> bool {
        match self {
            Self::Reversing => true,
            Self::Settling(ending) | Self::Settled(ending) => match ending {
                Ending::Reversed | Ending::PartlyReversed | Ending::AcquirerReversed => true,
                Ending::Refused
                | Ending::NotSent
                | Ending::Declined
                | Ending::Approved
                | Ending::TimedOut
                | Ending::Invalid => false,
            },
            Self::Assessing
            | Self::Routing
            | Self::HeldBack
            | Self::Assigning
            | Self::Locating
            | Self::Intended
            | Self::Sent
            | Self::Rerouting => false,
        }
    }
}

impl Ending {
    /// What an approval, or the rest that a reversal in flight left, becomes; `None` when there is
    /// nothing to reverse.
    pub(crate) const fn reversed(self, what: Requested) -> Option<Self> {
        match self {
            Self::Approved | Self::PartlyReversed => match what.replacement {
                None => Some(Self::Reversed),
                Some(_) => Some(Self::PartlyReversed),
            },
            Self::AcquirerReversed => Some(self),
            Self::Refused
            | Self::NotSent
            | Self::Declined
            | Self::Reversed
            | Self::TimedOut
            | Self::Invalid => None,
        }
    }

    /// Whether the issuer's answer was passed on, or was about to be.
    pub(crate) const fn is_answered(self) -> bool {
        match self {
            Self::Declined | Self::Approved | Self::PartlyReversed | Self::Reversed => true,
            Self::Refused
            | Self::NotSent
            | Self::TimedOut
            | Self::Invalid
            | Self::AcquirerReversed => false,
        }
    }
}

fn refused<'a>(code: ResponseCode, reason: RefusalReason) -> (State, Action<'a>) {
    let action = Action::Refuse { code, reason };
    (State::Settling(Ending::Refused), action)
}

fn unsent<'a>(why: WhyUnsent) -> (State, Action<'a>) {
    let action = Action::CloseUnsent { why };
    (State::Settling(Ending::NotSent), action)
}

#[cfg(test)]
mod tests;
