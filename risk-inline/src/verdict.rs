//! What the rules say of one request.

use domain::ResponseCode;
use domain::record::RefusalReason;

/// May the request go to an issuer?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Accept,
    /// It is declined here.
    Decline {
        /// DE39 of the answer.
        code: ResponseCode,
        /// The rule that it broke.
        reason: RefusalReason,
    },
}

impl Verdict {
    pub(crate) const BLOCKED: Self = Self::Decline {
        code: ResponseCode::RESTRICTED_CARD,
        reason: RefusalReason::BlockList,
    };
    pub(crate) const AMOUNT_LIMIT: Self = Self::Decline {
        code: ResponseCode::EXCEEDS_AMOUNT_LIMIT,
        reason: RefusalReason::AmountLimit,
    };
    pub(crate) const VELOCITY_COUNT: Self = Self::Decline {
        code: ResponseCode::EXCEEDS_FREQUENCY_LIMIT,
        reason: RefusalReason::VelocityCount,
    };
    pub(crate) const VELOCITY_AMOUNT: Self = Self::Decline {
        code: ResponseCode::EXCEEDS_AMOUNT_LIMIT,
        reason: RefusalReason::VelocityAmount,
    };
}
