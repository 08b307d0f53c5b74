//! Why a message was sent, as its sender says it: four digits, of which njia itself sends six
//! (semantics.md §3.5). ISO 8583:1993 has them in DE25; of 1987 a dialect may have a field.

use core::fmt;

use crate::error::InvalidValue;
use crate::record::ReversalCause;
use crate::time::{decimal, digits_of};

/// A message reason code, 0000 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageReason(u16);

impl MessageReason {
    /// 1003: approved in the issuer's place, which could not be asked.
    pub const ISSUER_UNAVAILABLE: Self = Self(1003);
    /// 1006: approved in the issuer's place, under the floor limit.
    pub const UNDER_FLOOR_LIMIT: Self = Self(1006);
    /// 4000: the customer has cancelled.
    pub const CUSTOMER_CANCELLATION: Self = Self(4000);
    /// 4004: completed for a part of the amount.
    pub const COMPLETED_IN_PART: Self = Self(4004);
    /// 4020: the response could not be used.
    pub const RESPONSE_NOT_USABLE: Self = Self(4020);
    /// 4021: no response in time.
    pub const TIMEOUT: Self = Self(4021);

    /// From its number.
    ///
    /// # Errors
    /// It has more than four digits.
    pub const fn new(number: u16) -> Result<Self, InvalidValue> {
        if number > 9_999 {
            return Err(InvalidValue::Range("message reason"));
        }
        Ok(Self(number))
    }

    /// From its four digits.
    ///
    /// # Errors
    /// There are more or fewer, or other characters.
    pub fn read(digits: &[u8]) -> Result<Self, InvalidValue> {
        if digits.len() != 4 {
            return Err(InvalidValue::Length("message reason"));
        }
        let number = decimal("message reason", digits)?;
        Self::new(u16::try_from(number).unwrap_or(u16::MAX))
    }

    /// What a reversal says whose acquirer has said nothing, or that nobody has asked for. After a
    /// restart nobody knows more than that no answer came.
    //= docs/rules.md#V-15
    #[must_use]
    pub const fn of_reversal(cause: ReversalCause, in_part: bool) -> Self {
        match cause {
            ReversalCause::Timeout | ReversalCause::Restart => Self::TIMEOUT,
            ReversalCause::InvalidAnswer => Self::RESPONSE_NOT_USABLE,
            ReversalCause::Requested if in_part => Self::COMPLETED_IN_PART,
            // Its customer has gone without what was approved.
            ReversalCause::Requested | ReversalCause::Undelivered => Self::CUSTOMER_CANCELLATION,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its four digits.
    #[must_use]
    pub fn digits(self) -> [u8; 4] {
        digits_of(u64::from(self.0))
    }
}

impl fmt::Display for MessageReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

impl fmt::Debug for MessageReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_reason_is_four_digits() {
        for text in ["0000", "0017", "4021", "9999"] {
            let reason = MessageReason::read(text.as_bytes()).unwrap();
            assert_eq!(
                (reason.to_string(), &reason.digits()[..]),
                (text.to_string(), text.as_bytes())
            );
            assert_eq!(MessageReason::new(reason.number()), Ok(reason));
        }
        for text in ["", "402", "04021", "40 1", "4o21"] {
            assert!(MessageReason::read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(MessageReason::new(10_000).is_err());
    }

    //= docs/rules.md#V-15
    #[test]
    fn each_cause_has_its_reason() {
        let check = |cause, in_part, number| {
            let reason = MessageReason::of_reversal(cause, in_part);
            assert_eq!(reason.number(), number, "{cause:?}");
        };
        check(ReversalCause::Timeout, false, 4021);
        check(ReversalCause::Restart, false, 4021);
        check(ReversalCause::InvalidAnswer, false, 4020);
        check(ReversalCause::Requested, false, 4000);
        check(ReversalCause::Requested, true, 4004);
        check(ReversalCause::Undelivered, false, 4000);
    }
}
