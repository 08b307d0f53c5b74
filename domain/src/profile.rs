//! What an acquirer's session asks for where practice differs (semantics §16). It is read with each
//! message, and what a transaction was admitted under stays with it.

use crate::ResponseCode;
use crate::amount::Amount;

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
    /// How much may be completed.
    pub completion: CompletionLimit,
}

impl Profile {
    /// A session that says nothing of all this.
    pub const PLAIN: Self = Self {
        same_content: SameContent::Replay,
        unknown_original: UnknownOriginal::Acknowledge,
        reversed_original: ReversedOriginal::Duplicate,
        partial_approval: PartialApproval::Refuse,
        undelivered: Undelivered::Keep,
        completion: CompletionLimit::OfIssuer,
    };
}

/// What a duplicate (even origin) with equal content gets (R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameContent {
    /// Treated as a repeat.
    Replay,
    /// 94; 09 while its original is in flight.
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

/// How near to the clock of the switch DE7 has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockCheck {
    /// As near as copies are known (semantics §4, F63).
    Window,
    /// The same; and a request that is sent for the first time was sent just now.
    Within {
        /// The furthest that it may lie ahead or behind.
        seconds: u16,
    },
    /// DE7 says nothing: its sender's clock cannot be trusted, and its copies are known for longer.
    Untrusted,
}

/// How much of what was approved may be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionLimit {
    /// The issuer decides.
    OfIssuer,
    /// So many percent more than was approved, at most: fuel, tips.
    Above {
        /// 0 of what may not be more.
        percent: u16,
    },
}

impl CompletionLimit {
    /// Whether `completed` is more than it lets through. Amounts of two currencies say nothing
    /// about each other.
    #[must_use]
    pub fn is_passed(self, completed: Amount, approved: Amount) -> bool {
        let Self::Above { percent } = self else {
            return false;
        };
        let whole = u128::from(approved.minor()).saturating_mul(100);
        let more = u128::from(approved.minor()).saturating_mul(percent.into());
        let asked = u128::from(completed.minor()).saturating_mul(100);
        completed.currency() == approved.currency() && asked > whole.saturating_add(more)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::currency::Currency;

    #[test]
    fn a_limit_counts_from_what_was_approved() {
        let kes = |minor| Amount::new(minor, Currency::KES).unwrap();
        let check = |percent, completed, passed| {
            let limit = CompletionLimit::Above { percent };
            let found = limit.is_passed(kes(completed), kes(1_001));
            assert_eq!(found, passed, "{percent} % and {completed}");
        };
        check(0, 1_001, false);
        check(0, 1_002, true);
        check(15, 1_151, false);
        check(15, 1_152, true);
        check(1_000, 11_011, false);
        check(1_000, 11_012, true);
        assert!(!CompletionLimit::OfIssuer.is_passed(kes(Amount::MINOR_MAX), kes(1)));
        let whole = CompletionLimit::Above { percent: 0 };
        let shillings = Amount::new(9, Currency::UGX).unwrap();
        assert!(!whole.is_passed(shillings, kes(1)));
        assert!(whole.is_passed(kes(Amount::MINOR_MAX), kes(1)));
    }
}
