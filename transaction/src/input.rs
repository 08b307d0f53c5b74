//! What the engine is told.

use core::time::Duration;

use domain::ResponseCode;
use domain::ids::{AuthorisationId, IssuerId, Lsn, Stan};
use domain::record::{Operator, RefusalReason};
use domain::request::{Advice, Answer, IssuerLeg, Request, Reversal};
use domain::time::WallTime;

use crate::advice::Original;
use crate::operating::Operate;
use crate::reconciliation::BookInput;

/// Names an entry of the engine's table. A handle outlives its entry harmlessly: what it says is
/// then ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// Position in the table.
    pub index: u32,
    /// Counts how often the position was given out.
    pub generation: u32,
}

impl Handle {
    /// No entry's.
    pub(crate) const NONE: Self = Self {
        index: u32::MAX,
        generation: u32::MAX,
    };
}

/// Names one owed reversal or advice, in all its transmissions. It outlives it harmlessly: an
/// answer to one never ends another of the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwedId {
    /// The transaction that owes it.
    pub handle: Handle,
    /// Position in the SAF.
    pub(crate) saf: u32,
    /// Counts how often the position was given out.
    pub(crate) generation: u32,
}

/// One thing that has happened, as the shell saw it.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// An 0100 or 0200, or a copy of one. Its frame ends in one [`crate::output::Output::Reply`] or
    /// [`crate::output::Output::Discard`].
    Request(Request),
    /// An 0400 or 0420, or a copy of one. Its frame ends as that of a request.
    Reversal(Reversal),
    /// An 0120 or 0220, or a copy of one. Its frame ends as that of a request.
    Advice(Advice<'a>),
    /// What [`crate::output::Output::FindOriginal`] asked for.
    Original {
        /// The transaction.
        handle: Handle,
        /// What its slot's shard knows.
        original: Original,
    },
    /// What [`crate::output::Output::AssignLeg`] asked for.
    Assigned {
        /// The transaction.
        handle: Handle,
        /// How it travels.
        assignment: Assignment,
    },
    /// In answer to [`crate::output::Output::SelectRoute`]: no candidate can be asked, and the
    /// switch approves in place of one.
    StoodIn {
        /// The transaction.
        handle: Handle,
        /// How the advice of it will travel.
        leg: IssuerLeg,
        /// DE38.
        authorisation: AuthorisationId,
        /// Further fields of the advice, encoded as [`Answer::fields`].
        fields: &'a [u8],
    },
    /// The verdict that [`crate::output::Output::Assess`] asked for.
    Assessed {
        /// The transaction.
        handle: Handle,
        /// The verdict.
        assessment: Assessment,
    },
    /// The choice that [`crate::output::Output::SelectRoute`] asked for.
    Selected {
        /// The transaction.
        handle: Handle,
        /// The choice.
        selection: Selection,
    },
    /// All records up to `lsn` are on disk.
    Durable {
        /// The last of them.
        lsn: Lsn,
    },
    /// Provably no byte of this leg's request left.
    Unsent {
        /// The transaction.
        handle: Handle,
        /// The STAN of the leg.
        stan: Stan,
    },
    /// The answer to this transaction found its session gone, or its connection failed before it
    /// was written.
    Undelivered {
        /// The transaction.
        handle: Handle,
    },
    /// The link of this leg is lost, and its issuer wants no wait for its answer.
    LegLost {
        /// The transaction.
        handle: Handle,
        /// The STAN of the leg.
        stan: Stan,
    },
    /// A late answer declined, and its issuer wants no reversal of what it has declined: beside its
    /// [`Input::Response`].
    LateDecline {
        /// The transaction.
        handle: Handle,
        /// The STAN of the leg.
        stan: Stan,
    },
    /// The issuer's answer, matched by the link.
    Response {
        /// The transaction.
        handle: Handle,
        /// The STAN of the leg.
        stan: Stan,
        /// What it says.
        answer: Answer<'a>,
    },
    /// A matched answer without a legible DE39.
    Unusable {
        /// The transaction.
        handle: Handle,
        /// The STAN of the leg.
        stan: Stan,
    },
    /// The issuer's answer to an owed reversal or advice, matched by the link.
    ReversalResponse {
        /// The reversal.
        owed: OwedId,
        /// DE39.
        code: ResponseCode,
    },
    /// Provably no byte of the owed reversal or advice left: no link, or a full one.
    ReversalUnsent {
        /// The reversal.
        owed: OwedId,
    },
    /// A link of this issuer carries traffic: its owed reversals may go.
    IssuerUp {
        /// The issuer.
        issuer: IssuerId,
    },
    /// What [`crate::output::Output::AskOlder`] asked for.
    Older {
        /// What would leave.
        owed: OwedId,
        /// Whether a shard owes something older.
        is_owed: bool,
    },
    /// No link of this issuer carries traffic: what it is owed waits.
    IssuerDown {
        /// The issuer.
        issuer: IssuerId,
    },
    /// Whether requests need this issuer's links: what it is owed leaves one by one then.
    Yield {
        /// The issuer.
        issuer: IssuerId,
        /// Whether they do.
        yields: bool,
    },
    /// An operator does something by hand; ends in one [`crate::output::Output::Operated`].
    Operate {
        /// Names the question in the answer.
        ticket: u32,
        /// What.
        operate: Operate,
    },
    /// An operator wants everything of an issuer to be sent: what waits is due at once, exceptions
    /// are owed again. A part at a time; ends in one [`crate::output::Output::Retried`].
    RetryAll {
        /// Names the question in the answer.
        ticket: u32,
        /// Whose.
        issuer: IssuerId,
        /// Where to go on, as the part before has said; from 0.
        from: u32,
        /// Who.
        operator: Operator,
    },
    /// The wall time of this very instant.
    Wall {
        /// The wall time.
        wall: WallTime,
    },
    /// Days, totals and reconciliations.
    Book(BookInput),
    /// Whether the shell wants no further work: overload, drain or journal pressure. Copies and
    /// reversals are served all the same.
    Shed(bool),
    /// The shell ends: as [`Input::Shed`], for good. Requests that are held back are turned away.
    Drain,
}

/// What risk says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assessment {
    /// It may go on.
    Accept,
    /// It is declined here.
    Decline {
        /// What the acquirer is told.
        code: ResponseCode,
        /// Why.
        reason: RefusalReason,
    },
}

/// How an advice travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// With this STAN, to this issuer, when it can be reached.
    Leg(IssuerLeg),
    /// Not at all: the issuer of what it completes is not configured any more.
    NoIssuer,
    /// No route is configured for it.
    None {
        /// What the acquirer is told.
        code: ResponseCode,
    },
}

/// What the router says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// A candidate that admits, with a STAN and a permit taken for it.
    Leg {
        /// How the request travels.
        leg: IssuerLeg,
        /// The route's deadline, counted from the first selection of the transaction: a second
        /// candidate has what is left of it.
        deadline: Duration,
    },
    /// No candidate.
    None {
        /// What the acquirer is told: 92 or 91.
        code: ResponseCode,
        /// Why.
        reason: RefusalReason,
    },
}
