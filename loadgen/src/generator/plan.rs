//! What is to follow a message, kept until it has happened.

use crate::inflight::Entry;
use crate::message::{Draft, Echo, ReversalDraft};
use crate::recorder::Outcome;

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

    pub(super) fn reversal(original: &Draft, stan: [u8; 6]) -> Self {
        Self::Reversal(ReversalPlan {
            draft: ReversalDraft {
                echo: Echo {
                    stan,
                    ..original.echo
                },
                original_mti: original.mti,
                original_stan: original.echo.stan,
                original_transmitted: original.echo.transmitted,
                category: original.category,
            },
            frame: Vec::new(),
        })
    }
}
