//! What is to follow a message, kept until it has happened.

use super::judge::Finding;
use crate::inflight::{Entry, Role};
use crate::message::{Draft, Echo, Original, ReversalDraft};
use crate::recorder::Outcome;
use crate::traffic::Planned;
use iso8583::mti::Version;

/// What follows one original.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kind: PlanKind,
    pub(super) fate: Fate,
    /// How often it was sent.
    pub(super) sent: u32,
}

impl Plan {
    pub(super) const fn new(kind: PlanKind) -> Self {
        Self {
            kind,
            fate: Fate::Pending,
            sent: 0,
        }
    }

    /// An acquirer that insists goes on with what its one repeat did not bring.
    pub(super) fn insist_on(&mut self, role: Role, finding: &Finding) {
        let goes_on = match role {
            Role::Original => self.sent > 0,
            Role::Repeat => true,
            Role::Reversal => false,
        };
        if let PlanKind::Repeat(repeat) = &mut self.kind
            && goes_on
            && !finding.is_final()
        {
            self.kind = PlanKind::Insist(InsistPlan {
                entry: repeat.entry,
                frame: std::mem::take(&mut repeat.frame),
            });
        }
    }

    /// An acquirer reverses what was approved and what it knows nothing about.
    pub(super) const fn wants_reversal(&self) -> bool {
        match self.fate {
            Fate::Pending | Fate::Unanswered => true,
            Fate::Answered(outcome) => matches!(outcome, Outcome::Approved),
        }
    }
}

#[derive(Debug)]
pub(super) enum PlanKind {
    Repeat(RepeatPlan),
    Reversal(ReversalPlan),
    Insist(InsistPlan),
    Completion(CompletionPlan),
}

/// The completion of an authorisation. It is due at its time, and not before its original was
/// approved: an acquirer cannot complete what it may not.
#[derive(Debug)]
pub(super) struct CompletionPlan {
    /// The authorisation as it was sent.
    pub(super) entry: Entry,
    pub(super) frame: Vec<u8>,
    /// When it is due if the authorisation has been approved by then.
    pub(super) due: u64,
    pub(super) draft: Box<Draft>,
    pub(super) follow_up: Option<Box<Planned>>,
}

/// The same bytes again and again until they are answered.
#[derive(Debug)]
pub(super) struct InsistPlan {
    /// The original as it was sent.
    pub(super) entry: Entry,
    pub(super) frame: Vec<u8>,
}

/// The same bytes once more.
#[derive(Debug)]
pub(super) struct RepeatPlan {
    /// The original as it was sent.
    pub(super) entry: Entry,
    pub(super) frame: Vec<u8>,
    /// The answer to the original, which the repeat's must equal.
    pub(super) first: Option<Vec<u8>>,
    /// The repeat was sent while the original waited: one answer is owed for both, but each may
    /// have got its own when they crossed on the way.
    pub(super) second_allowed: bool,
}

/// The reversal of an original, sent until it is acknowledged.
#[derive(Debug)]
pub(super) struct ReversalPlan {
    pub(super) draft: ReversalDraft,
    /// As first sent; empty before.
    pub(super) frame: Vec<u8>,
}

/// What became of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Pending,
    Answered(Outcome),
    Unanswered,
}

impl PlanKind {
    pub(super) fn repeat(entry: Entry, frame: &[u8]) -> Self {
        Self::Repeat(RepeatPlan {
            entry,
            frame: frame.to_vec(),
            first: None,
            second_allowed: false,
        })
    }

    pub(super) fn insist(entry: Entry, frame: &[u8]) -> Self {
        Self::Insist(InsistPlan {
            entry,
            frame: frame.to_vec(),
        })
    }

    pub(super) fn reversal(
        original: &Draft,
        version: Version,
        stan: [u8; 6],
        stays: Option<[u8; 12]>,
    ) -> Self {
        let amount = match (version, stays) {
            (Version::Iso1993, Some(stays)) => stays,
            _ => original.echo.amount,
        };
        Self::Reversal(ReversalPlan {
            draft: ReversalDraft {
                echo: Echo {
                    stan,
                    amount,
                    ..original.echo
                },
                original: Original::of(original.mti, &original.echo),
                stays,
                category: original.category,
            },
            frame: Vec::new(),
        })
    }
}
