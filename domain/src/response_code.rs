//! DE39 of ISO 8583:1987 and what it means for the switch (semantics.md §9).

use core::fmt;

use crate::error::InvalidValue;

/// A response code: two characters as they stand in DE39. Unknown codes are kept as they came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResponseCode([u8; 2]);

impl ResponseCode {
    /// 00, approved.
    pub const APPROVED: Self = Self(*b"00");
    /// 05, do not honour.
    pub const DO_NOT_HONOUR: Self = Self(*b"05");
    /// 10, approved for a part of the amount.
    pub const PARTIAL_APPROVAL: Self = Self(*b"10");
    /// 12, invalid transaction: a message that is not served here.
    pub const INVALID_TRANSACTION: Self = Self(*b"12");
    /// 13, invalid amount.
    pub const INVALID_AMOUNT: Self = Self(*b"13");
    /// 25, original not found.
    pub const ORIGINAL_NOT_FOUND: Self = Self(*b"25");
    /// 30, format error.
    pub const FORMAT_ERROR: Self = Self(*b"30");
    /// 51, insufficient funds.
    pub const INSUFFICIENT_FUNDS: Self = Self(*b"51");
    /// 59, suspected fraud.
    pub const SUSPECTED_FRAUD: Self = Self(*b"59");
    /// 61, exceeds the amount limit.
    pub const EXCEEDS_AMOUNT_LIMIT: Self = Self(*b"61");
    /// 62, restricted card.
    pub const RESTRICTED_CARD: Self = Self(*b"62");
    /// 63, security violation.
    pub const SECURITY_VIOLATION: Self = Self(*b"63");
    /// 65, exceeds the frequency limit.
    pub const EXCEEDS_FREQUENCY_LIMIT: Self = Self(*b"65");
    /// 68, response received too late.
    pub const RECEIVED_TOO_LATE: Self = Self(*b"68");
    /// 90, cut-off in progress.
    pub const CUT_OFF: Self = Self(*b"90");
    /// 91, issuer or switch inoperative.
    pub const ISSUER_INOPERATIVE: Self = Self(*b"91");
    /// 92, cannot route.
    pub const CANNOT_ROUTE: Self = Self(*b"92");
    /// 94, duplicate transmission.
    pub const DUPLICATE: Self = Self(*b"94");
    /// 96, system malfunction.
    pub const MALFUNCTION: Self = Self(*b"96");

    /// Reads DE39: two ASCII letters or digits.
    ///
    /// # Errors
    /// Another length or another character.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidValue> {
        let code: [u8; 2] = bytes.try_into().map_err(|_| InvalidValue::Length("DE39"))?;
        if !code.iter().all(u8::is_ascii_alphanumeric) {
            return Err(InvalidValue::Character("DE39"));
        }
        Ok(Self(code))
    }

    /// The two characters.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 2] {
        &self.0
    }

    /// In the approval set: 00, 08, 10, 11, 16 (semantics.md §9.3 rule 2).
    #[must_use]
    pub const fn is_approval(self) -> bool {
        matches!(&self.0, b"00" | b"08" | b"10" | b"11" | b"16")
    }

    /// Counts against the issuer at its breaker: 91, 96, 68 (semantics.md §9.3 rule 5). A business
    /// decline is a success.
    #[must_use]
    pub const fn is_issuer_failure(self) -> bool {
        matches!(&self.0, b"91" | b"96" | b"68")
    }

    /// What this code means as the answer to an advice: unlike a reversal, one whose original is
    /// unknown or that is taken for a duplicate is not done with.
    #[must_use]
    pub const fn advice_ending(self) -> ReversalEnding {
        match &self.0 {
            b"25" | b"94" => ReversalEnding::Refused,
            _ => self.reversal_ending(),
        }
    }

    /// What a reversal's acknowledgement with this code does to the entry (semantics.md §13 rule
    /// 6).
    #[must_use]
    pub const fn reversal_ending(self) -> ReversalEnding {
        match &self.0 {
            b"00" | b"08" | b"10" | b"11" | b"16" | b"25" | b"94" => ReversalEnding::Settled,
            b"91" | b"96" | b"68" | b"90" | b"09" => ReversalEnding::Retry,
            _ => ReversalEnding::Refused,
        }
    }
}

/// What the answer to a reversal means for the entry that owes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversalEnding {
    /// The issuer has taken it, or never had the original: done.
    Settled,
    /// Try again later.
    Retry,
    /// Try three times in all, then hand it to people.
    Refused,
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).unwrap_or("??"))
    }
}

impl fmt::Debug for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_reversal() {
        let check = |code: &[u8], ending| {
            assert_eq!(ResponseCode::new(code).unwrap().reversal_ending(), ending);
        };
        check(b"00", ReversalEnding::Settled);
        check(b"25", ReversalEnding::Settled);
        check(b"94", ReversalEnding::Settled);
        check(b"91", ReversalEnding::Retry);
        check(b"09", ReversalEnding::Retry);
        check(b"30", ReversalEnding::Refused);
        check(b"63", ReversalEnding::Refused);
    }

    #[test]
    fn an_unknown_code_is_a_decline_and_is_kept() {
        let code = ResponseCode::new(b"Z9").unwrap();
        assert!(!code.is_approval() && !code.is_issuer_failure());
        assert_eq!(code.as_bytes(), b"Z9");
        assert!(ResponseCode::new(b"0").is_err());
        assert!(ResponseCode::new(b"0 ").is_err());
    }
}
