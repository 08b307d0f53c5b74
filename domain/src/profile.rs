//! What an acquirer's session asks for where practice differs (semantics §16). It is read with each
//! message, and what a transaction was admitted under stays with it.

use crate::ResponseCode;

/// The switches of one session, as far as they change what the engine decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What a duplicate (even origin) with equal content gets (R5).
    pub same_content: SameContent,
    /// What a reversal is told whose original is unknown.
    pub unknown_original: UnknownOriginal,
    /// What an original is told after its reversal (R9).
    pub reversed_original: ReversedOriginal,
    /// What becomes of an approval of less than was asked for.
    pub partial_approval: PartialApproval,
    /// What becomes of an approval that could not be told.
    pub undelivered: Undelivered,
}

impl Profile {
    /// A session that says nothing of all this.
    pub const PLAIN: Self = Self {
        same_content: SameContent::Replay,
        unknown_original: UnknownOriginal::Acknowledge,
        reversed_original: ReversedOriginal::Duplicate,
        partial_approval: PartialApproval::Refuse,
        undelivered: Undelivered::Keep,
    };
}

/// What a duplicate (even origin) with equal content gets (R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameContent {
    /// Treated as a repeat.
    Replay,
    /// 94.
    Reject,
}

/// What a reversal is told whose original is unknown. A tombstone stands in both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownOriginal {
    /// 00.
    Acknowledge,
    /// 25.
    NotFound,
}

impl UnknownOriginal {
    /// DE39.
    #[must_use]
    pub const fn code(self) -> ResponseCode {
        match self {
            Self::Acknowledge => ResponseCode::APPROVED,
            Self::NotFound => ResponseCode::ORIGINAL_NOT_FOUND,
        }
    }
}

/// What an original is told after its reversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversedOriginal {
    /// 94.
    Duplicate,
    /// 12.
    Invalid,
}

impl ReversedOriginal {
    /// DE39.
    #[must_use]
    pub const fn code(self) -> ResponseCode {
        match self {
            Self::Duplicate => ResponseCode::DUPLICATE,
            Self::Invalid => ResponseCode::INVALID_TRANSACTION,
        }
    }
}

/// What becomes of an approval of less than was asked for (DE39 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartialApproval {
    /// The session cannot take it: 05, and what was approved is reversed.
    Refuse,
    /// It is passed on with its amount.
    Pass,
}

/// What becomes of an approval whose session was gone when it was to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// It stands: a repeat gets it.
    Keep,
    /// It stands until the duplicate window has passed; then, unless a repeat has fetched it, it is
    /// reversed.
    Reverse,
}

/// When an acquirer is told what became of its reversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversalAnswer {
    /// As soon as it is durably owed (R6).
    WhenOwed,
    /// When the issuer has answered it: the session has its 0400 forwarded.
    OfIssuer,
}
