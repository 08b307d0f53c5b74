//! Which accounts an entry of the route table claims: a prefix, or a range of equally long
//! prefixes.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// Accounts from `low` to `high`, both 1 to 19 digits of one length. A single prefix is the range
/// of itself.
///
/// An account belongs to it when its first digits, as many as the range has, lie in the range. An
/// account with fewer digits than that belongs to no such range.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PrefixRange {
    low: u64,
    high: u64,
    digits: u8,
}

impl PrefixRange {
    /// Digits at most, those of the longest account number.
    pub const DIGITS_MAX: usize = 19;

    /// All accounts that begin with `digits`.
    ///
    /// # Errors
    /// No digit, more than 19, or another character.
    pub fn prefix(digits: &str) -> Result<Self, PrefixError> {
        Self::range(digits, digits)
    }

    /// All accounts whose first digits lie between `low` and `high`, both included.
    ///
    /// # Errors
    /// As [`PrefixRange::prefix`]; also ends of different length, or `low` above `high`.
    pub fn range(low: &str, high: &str) -> Result<Self, PrefixError> {
        if low.len() != high.len() {
            return Err(PrefixError::Lengths);
        }
        let (first, unit) = padded(low.as_bytes())?;
        let (last, _) = padded(high.as_bytes())?;
        if first > last {
            return Err(PrefixError::Order);
        }
        Ok(Self {
            low: first,
            high: last.saturating_add(unit.saturating_sub(1)),
            digits: u8::try_from(low.len()).map_err(|_| PrefixError::Length)?,
        })
    }

    /// How many leading digits of an account it looks at.
    #[must_use]
    pub const fn digits(&self) -> u8 {
        self.digits
    }

    /// Whether both claim the very same accounts, as `4` and `400-499` do.
    #[must_use]
    pub const fn has_the_accounts_of(&self, other: &Self) -> bool {
        self.low == other.low && self.high == other.high
    }

    /// The smallest account it claims, as a number of 19 digits.
    pub(crate) const fn low(&self) -> u64 {
        self.low
    }

    /// The largest account it claims, as a number of 19 digits.
    pub(crate) const fn high(&self) -> u64 {
        self.high
    }
}

impl FromStr for PrefixRange {
    type Err = PrefixError;

    /// Reads `506100` or `506100-506199`.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        match text.split_once('-') {
            Some((low, high)) => Self::range(low, high),
            None => Self::prefix(text),
        }
    }
}

impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = usize::from(self.digits);
        let unit = unit_of(width);
        let shown = |value: u64| value.checked_div(unit).unwrap_or(0);
        let (low, high) = (shown(self.low), shown(self.high));
        write!(f, "{low:0width$}")?;
        if low == high {
            return Ok(());
        }
        write!(f, "-{high:0width$}")
    }
}

impl fmt::Debug for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no prefix and no range of prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// Something else than a digit.
    #[error("a prefix is made of digits only")]
    Character,
    /// No digit, or more than 19.
    #[error("a prefix has 1 to 19 digits")]
    Length,
    /// The ends of a range have different lengths.
    #[error("both ends of a range need the same number of digits")]
    Lengths,
    /// The range runs backwards.
    #[error("the low end of a range must not be above its high end")]
    Order,
}

/// The number that `digits` begin, filled with zeros to 19 digits, and what their last one is
/// worth.
pub(crate) fn padded(digits: &[u8]) -> Result<(u64, u64), PrefixError> {
    if digits.is_empty() || digits.len() > PrefixRange::DIGITS_MAX {
        return Err(PrefixError::Length);
    }
    let mut value = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(PrefixError::Character);
        }
        // 19 digits stay below 2^64.
        value = value
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit.wrapping_sub(b'0')));
    }
    let unit = unit_of(digits.len());
    Ok((value.wrapping_mul(unit), unit))
}

/// What the last of `digits` digits is worth in a number of 19.
pub(crate) fn unit_of(digits: usize) -> u64 {
    let rest = PrefixRange::DIGITS_MAX.saturating_sub(digits);
    let rest = u32::try_from(rest).unwrap_or(0);
    // At most 10^19, which is below 2^64.
    10_u64.checked_pow(rest).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_prefix_is_shown_as_it_was_written() {
        for text in ["4", "0", "0045", "506100-506199", "9999999999999999999"] {
            assert_eq!(text.parse::<PrefixRange>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_prefix_claims_all_numbers_that_begin_with_it() {
        let range = PrefixRange::prefix("4111").unwrap();
        assert_eq!(range.low(), 4_111_000_000_000_000_000);
        assert_eq!(range.high(), 4_111_999_999_999_999_999);
        let all = PrefixRange::range("0", "9").unwrap();
        assert_eq!((all.low(), all.high()), (0, 9_999_999_999_999_999_999));
        assert_eq!(all.digits(), 1);
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        #[track_caller]
        fn check(text: &str, error: PrefixError) {
            assert_eq!(text.parse::<PrefixRange>(), Err(error), "{text}");
        }
        check("", PrefixError::Length);
        check("12345678901234567890", PrefixError::Length);
        check("41a1", PrefixError::Character);
        check("41 1", PrefixError::Character);
        check("4100-41000", PrefixError::Lengths);
        check("42-41", PrefixError::Order);
        check("41-42-43", PrefixError::Lengths);
        check("٤١", PrefixError::Character);
    }
}
