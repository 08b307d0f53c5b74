//! ISO 4217 numeric codes and their exponents.

use core::fmt;

use crate::error::InvalidValue;
use crate::time::{decimal, digits_of};

/// An ISO 4217 numeric code (DE49), 001 to 999.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency(u16);

impl Currency {
    /// Kenyan shilling.
    pub const KES: Self = Self(404);
    /// Nigerian naira.
    pub const NGN: Self = Self(566);
    /// Uganda shilling.
    pub const UGX: Self = Self(800);
    /// US dollar.
    pub const USD: Self = Self(840);

    /// From a numeric code, 1 to 999.
    ///
    /// # Errors
    /// [`InvalidValue::Range`].
    pub const fn new(code: u16) -> Result<Self, InvalidValue> {
        if code == 0 || code > 999 {
            return Err(InvalidValue::Range("DE49"));
        }
        Ok(Self(code))
    }

    /// Reads the three digits of DE49.
    ///
    /// # Errors
    /// A non-digit, another length, or 000.
    pub fn from_digits(digits: &[u8]) -> Result<Self, InvalidValue> {
        if digits.len() != 3 {
            return Err(InvalidValue::Length("DE49"));
        }
        let code = decimal("DE49", digits)?;
        Self::new(u16::try_from(code).map_err(|_| InvalidValue::Range("DE49"))?)
    }

    /// The numeric code.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// The three digits of DE49.
    #[must_use]
    pub fn digits(self) -> [u8; 3] {
        digits_of(u64::from(self.0))
    }

    /// Decimal places of the minor unit (ISO 4217; semantics.md §10).
    #[must_use]
    pub const fn exponent(self) -> u8 {
        match self.0 {
            108 | 152 | 174 | 262 | 324 | 352 | 392 | 410 | 548 | 600 | 646 | 704 | 800 | 940
            | 950 | 952 | 953 => 0,
            48 | 368 | 400 | 414 | 434 | 512 | 788 => 3,
            927 | 990 => 4,
            _ => 2,
        }
    }

    /// The ISO 4217 numeric code of a three-letter code of the regions that njia names in its
    /// reports; `None` for others.
    #[must_use]
    pub fn from_alphabetic(letters: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, name)| *name == letters)
            .map(|(code, _)| Self(*code))
    }
}

const NAMES: [(u16, &str); 15] = [
    (404, "KES"),
    (566, "NGN"),
    (800, "UGX"),
    (834, "TZS"),
    (646, "RWF"),
    (936, "GHS"),
    (710, "ZAR"),
    (952, "XOF"),
    (950, "XAF"),
    (230, "ETB"),
    (414, "KWD"),
    (990, "CLF"),
    (840, "USD"),
    (978, "EUR"),
    (392, "JPY"),
];

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(code, _)| *code == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{:03}", self.0),
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_of_the_currencies_that_bite() {
        let check = |name: &str, exponent| {
            let currency = Currency::from_alphabetic(name).unwrap();
            assert_eq!(currency.exponent(), exponent, "{name}");
        };
        for name in ["UGX", "XOF", "XAF", "RWF", "JPY"] {
            check(name, 0);
        }
        for name in ["KES", "NGN", "USD", "EUR", "TZS", "GHS", "ZAR", "ETB"] {
            check(name, 2);
        }
        check("KWD", 3);
        check("CLF", 4);
    }

    #[test]
    fn de49_is_three_digits_and_not_zero() {
        assert_eq!(Currency::from_digits(b"404"), Ok(Currency::KES));
        assert_eq!(
            Currency::from_digits(b"000"),
            Err(InvalidValue::Range("DE49"))
        );
        assert_eq!(
            Currency::from_digits(b"40"),
            Err(InvalidValue::Length("DE49"))
        );
        assert_eq!(
            Currency::from_digits(b"4x4"),
            Err(InvalidValue::Character("DE49"))
        );
    }
}
