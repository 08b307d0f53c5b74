//! Money: integer minor units with their currency. No float exists anywhere (semantics.md R10).

use core::fmt;

use crate::currency::Currency;
use crate::error::InvalidValue;
use crate::time::{decimal, digits_of};

/// Minor units of one currency, as DE4 holds them: 0 to 999,999,999,999.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amount {
    minor: u64,
    currency: Currency,
}

impl Amount {
    /// The largest value of a 12-digit amount field.
    pub const MINOR_MAX: u64 = 999_999_999_999;

    /// From minor units.
    ///
    /// # Errors
    /// More than 12 digits.
    pub const fn new(minor: u64, currency: Currency) -> Result<Self, InvalidValue> {
        if minor > Self::MINOR_MAX {
            return Err(InvalidValue::Range("DE4"));
        }
        Ok(Self { minor, currency })
    }

    /// Reads the twelve digits of an amount field.
    ///
    /// # Errors
    /// A non-digit or another length.
    pub fn from_digits(digits: &[u8], currency: Currency) -> Result<Self, InvalidValue> {
        if digits.len() != 12 {
            return Err(InvalidValue::Length("DE4"));
        }
        Self::new(decimal("DE4", digits)?, currency)
    }

    /// Minor units.
    #[must_use]
    pub const fn minor(self) -> u64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The twelve digits of DE4.
    #[must_use]
    pub fn digits(self) -> [u8; 12] {
        digits_of(self.minor)
    }

    /// The difference; `None` when the currencies differ or `other` is larger.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        let minor = self.minor.checked_sub(other.minor)?;
        Some(Self {
            minor,
            currency: self.currency,
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = usize::from(self.currency.exponent());
        let scale = 10_u64
            .checked_pow(u32::from(self.currency.exponent()))
            .unwrap_or(1);
        let whole = self.minor.checked_div(scale).unwrap_or(0);
        let part = self.minor.checked_rem(scale).unwrap_or(0);
        if exponent == 0 {
            write!(f, "{} {whole}", self.currency)
        } else {
            write!(f, "{} {whole}.{part:0exponent$}", self.currency)
        }
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn amounts_are_shown_with_the_exponent_of_their_currency() {
        let check = |minor, currency: &str, shown: &str| {
            let currency = Currency::from_alphabetic(currency).unwrap();
            assert_eq!(Amount::new(minor, currency).unwrap().to_string(), shown);
        };
        check(10_050, "KES", "KES 100.50");
        check(100, "UGX", "UGX 100");
        check(1, "KWD", "KWD 0.001");
        check(12_345, "CLF", "CLF 1.2345");
    }

    #[test]
    fn subtraction_never_goes_below_zero_or_across_currencies() {
        let amount = |minor, currency| Amount::new(minor, currency).unwrap();
        let hundred = amount(100, Currency::KES);
        assert_eq!(
            hundred
                .checked_sub(amount(40, Currency::KES))
                .unwrap()
                .minor(),
            60
        );
        assert_eq!(hundred.checked_sub(amount(101, Currency::KES)), None);
        assert_eq!(hundred.checked_sub(amount(1, Currency::UGX)), None);
    }

    #[test]
    fn de4_is_twelve_digits() {
        let amount = Amount::from_digits(b"000000001500", Currency::USD).unwrap();
        assert_eq!(amount.minor(), 1500);
        assert_eq!(&amount.digits(), b"000000001500");
        assert!(Amount::from_digits(b"00000000150", Currency::USD).is_err());
        assert!(Amount::from_digits(b"C00000001500", Currency::USD).is_err());
    }
}
