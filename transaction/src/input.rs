//! What the engine is told.

use core::time::Duration;

use domain::ResponseCode;
use domain::ids::{IssuerId, Lsn, Stan};
use domain::record::RefusalReason;
use domain::request::{Answer, IssuerLeg, Request, Reversal};
use domain::time::WallTime;

/// Names an entry of the engine's table. A handle outlives its entry harmlessly: what it says is
/// then ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// Position in the table.
    pub index: u32,
    /// Counts how often the position was given out.
    pub generation: u32,
}

/// Names one owed reversal, in all its transmissions. It outlives its reversal harmlessly: an
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
    /// The issuer's answer to an owed reversal, matched by the link.
    ReversalResponse {
        /// The reversal.
        owed: OwedId,
        /// DE39.
        code: ResponseCode,
    },
    /// Provably no byte of the owed reversal left: no link, or a full one.
    ReversalUnsent {
        /// The reversal.
        owed: OwedId,
    },
    /// A link of this issuer carries traffic: its owed reversals may go.
    IssuerUp {
        /// The issuer.
        issuer: IssuerId,
    },
    /// The wall time of this very instant.
    Wall {
        /// The wall time.
        wall: WallTime,
    },
    /// Whether the shell wants no further work: overload, drain or journal pressure. Copies and
    /// reversals are served all the same.
    Shed(bool),
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
