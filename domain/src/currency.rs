//! ISO 4217 numeric codes and their exponents.

use alloc::vec::Vec;
use core::fmt;

use crate::amount::Amount;
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

    /// ISO 4217 XXX: that of what has no amount and names no currency.
    pub const NONE: Self = Self(999);

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

    /// Reads DE49 as it may stand in an `an3` field: three digits, or three letters of ISO 4217.
    ///
    /// # Errors
    /// As [`Currency::from_digits`], or letters that are no currency.
    pub fn read(text: &[u8]) -> Result<Self, InvalidValue> {
        if text.first().is_some_and(u8::is_ascii_digit) {
            return Self::from_digits(text);
        }
        let letters = core::str::from_utf8(text).unwrap_or_default();
        Self::from_alphabetic(letters).ok_or(InvalidValue::Range("DE49"))
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

    /// The ISO 4217 numeric code of a three-letter code in capitals; `None` for what is none.
    #[must_use]
    pub fn from_alphabetic(letters: &str) -> Option<Self> {
        let mut known = NAMES.iter().chain(FURTHER_NAMES);
        let found = known.find(|(_, name)| *name == letters);
        found.map(|(code, _)| Self(*code))
    }

    /// Its three letters of ISO 4217; `None` of a number that stands for no currency there.
    #[must_use]
    pub fn alphabetic(self) -> Option<&'static str> {
        let mut known = NAMES.iter().chain(FURTHER_NAMES);
        let found = known.find(|(code, _)| *code == self.0);
        found.map(|(_, name)| *name)
    }
}

/// Exponents that a network uses for some currencies in place of those of ISO 4217 (semantics.md
/// §10). Empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exponents(Vec<(Currency, u8)>);

impl Exponents {
    /// Those of ISO 4217.
    pub const ISO: Self = Self(Vec::new());
    /// The largest one that there is.
    pub const MAX: u8 = 4;

    /// For these currencies others than those of ISO 4217; of one that stands twice the first. What
    /// is above [`Exponents::MAX`] counts as that.
    #[must_use]
    pub fn new(overrides: Vec<(Currency, u8)>) -> Self {
        Self(overrides)
    }

    /// Whether the network counts some currency in other units.
    #[must_use]
    pub const fn is_iso(&self) -> bool {
        self.0.is_empty()
    }

    /// The amount in the units of ISO 4217; `None` when it has no whole number of them, or too
    /// many.
    #[must_use]
    pub fn from_network(&self, amount: Amount) -> Option<Amount> {
        let currency = amount.currency();
        rescaled(amount, self.of(currency), currency.exponent())
    }

    /// The amount in the network's units; `None` when it has no whole number of them, or too many.
    #[must_use]
    pub fn to_network(&self, amount: Amount) -> Option<Amount> {
        let currency = amount.currency();
        rescaled(amount, currency.exponent(), self.of(currency))
    }

    /// A sum of amounts of the network's, of which each is a whole number of its units.
    #[must_use]
    pub fn sum_to_network(&self, minor: u64, currency: Currency) -> u64 {
        let (from, to) = (currency.exponent(), self.of(currency));
        let scale = 10_u64.saturating_pow(u32::from(from.abs_diff(to)));
        if to >= from {
            minor.saturating_mul(scale)
        } else {
            minor.checked_div(scale).unwrap_or(minor)
        }
    }

    fn of(&self, currency: Currency) -> u8 {
        let found = self.0.iter().find(|(known, _)| *known == currency);
        found.map_or_else(|| currency.exponent(), |(_, own)| (*own).min(Self::MAX))
    }
}

fn rescaled(amount: Amount, from: u8, to: u8) -> Option<Amount> {
    let scale = 10_u64.checked_pow(u32::from(from.abs_diff(to)))?;
    let minor = if to >= from {
        amount.minor().checked_mul(scale)?
    } else {
        let is_whole = amount.minor().checked_rem(scale)? == 0;
        is_whole.then(|| amount.minor().checked_div(scale))??
    };
    Amount::new(minor, amount.currency()).ok()
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

/// The others of ISO 4217, which njia shows as digits.
#[rustfmt::skip]
const FURTHER_NAMES: &[(u16, &str)] = &[
    (784, "AED"), (971, "AFN"), (8, "ALL"), (51, "AMD"), (532, "ANG"), (973, "AOA"),
    (32, "ARS"), (36, "AUD"), (533, "AWG"), (944, "AZN"), (977, "BAM"), (52, "BBD"),
    (50, "BDT"), (975, "BGN"), (48, "BHD"), (108, "BIF"), (60, "BMD"), (96, "BND"),
    (68, "BOB"), (984, "BOV"), (986, "BRL"), (44, "BSD"), (64, "BTN"), (72, "BWP"),
    (933, "BYN"), (84, "BZD"), (124, "CAD"), (976, "CDF"), (947, "CHE"), (756, "CHF"),
    (948, "CHW"), (152, "CLP"), (156, "CNY"), (170, "COP"), (970, "COU"), (188, "CRC"),
    (192, "CUP"), (132, "CVE"), (203, "CZK"), (262, "DJF"), (208, "DKK"), (214, "DOP"),
    (12, "DZD"), (818, "EGP"), (232, "ERN"), (242, "FJD"), (238, "FKP"), (826, "GBP"),
    (981, "GEL"), (292, "GIP"), (270, "GMD"), (324, "GNF"), (320, "GTQ"), (328, "GYD"),
    (344, "HKD"), (340, "HNL"), (332, "HTG"), (348, "HUF"), (360, "IDR"), (376, "ILS"),
    (356, "INR"), (368, "IQD"), (364, "IRR"), (352, "ISK"), (388, "JMD"), (400, "JOD"),
    (417, "KGS"), (116, "KHR"), (174, "KMF"), (408, "KPW"), (410, "KRW"), (136, "KYD"),
    (398, "KZT"), (418, "LAK"), (422, "LBP"), (144, "LKR"), (430, "LRD"), (426, "LSL"),
    (434, "LYD"), (504, "MAD"), (498, "MDL"), (969, "MGA"), (807, "MKD"), (104, "MMK"),
    (496, "MNT"), (446, "MOP"), (929, "MRU"), (480, "MUR"), (462, "MVR"), (454, "MWK"),
    (484, "MXN"), (979, "MXV"), (458, "MYR"), (943, "MZN"), (516, "NAD"), (558, "NIO"),
    (578, "NOK"), (524, "NPR"), (554, "NZD"), (512, "OMR"), (590, "PAB"), (604, "PEN"),
    (598, "PGK"), (608, "PHP"), (586, "PKR"), (985, "PLN"), (600, "PYG"), (634, "QAR"),
    (946, "RON"), (941, "RSD"), (643, "RUB"), (682, "SAR"), (90, "SBD"), (690, "SCR"),
    (938, "SDG"), (752, "SEK"), (702, "SGD"), (654, "SHP"), (925, "SLE"), (706, "SOS"),
    (968, "SRD"), (728, "SSP"), (930, "STN"), (222, "SVC"), (760, "SYP"), (748, "SZL"),
    (764, "THB"), (972, "TJS"), (934, "TMT"), (788, "TND"), (776, "TOP"), (949, "TRY"),
    (780, "TTD"), (901, "TWD"), (980, "UAH"), (997, "USN"), (940, "UYI"), (858, "UYU"),
    (927, "UYW"), (860, "UZS"), (926, "VED"), (928, "VES"), (704, "VND"), (548, "VUV"),
    (882, "WST"), (951, "XCD"), (953, "XPF"), (886, "YER"), (967, "ZMW"), (924, "ZWG"),
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
    fn de49_may_be_letters() {
        for (text, code) in [
            ("404", 404),
            ("KES", 404),
            ("ZWG", 924),
            ("UYW", 927),
            ("008", 8),
        ] {
            assert_eq!(Currency::read(text.as_bytes()).unwrap().code(), code);
        }
        for text in ["", "XX1", "ABC", "kes", "00A", "000", "4O4"] {
            assert!(Currency::read(text.as_bytes()).is_err(), "{text}");
        }
        let all = || NAMES.iter().chain(FURTHER_NAMES);
        for (place, (code, name)) in all().enumerate() {
            assert!(name.len() == 3 && (1..=999).contains(code));
            let currency = Currency::from_alphabetic(name).unwrap();
            assert_eq!(currency.alphabetic(), Some(*name));
            let before = || all().take(place);
            assert!(
                before().all(|other| other.0 != *code && other.1 != *name),
                "{name}"
            );
        }
        // Those with an exponent of their own all have letters.
        let odd = (1..=999).filter(|code| Currency(*code).exponent() != 2);
        assert!(odd.clone().all(|code| all().any(|known| known.0 == code)));
        assert_eq!(odd.count(), 26);
    }

    #[test]
    fn a_network_may_count_in_other_units() {
        let exponents = Exponents::new(std::vec![(Currency::UGX, 2), (Currency(414), 2)]);
        let check = |minor, currency, iso: Option<u64>| {
            let amount = Amount::new(minor, currency).unwrap();
            let read = exponents.from_network(amount);
            assert_eq!(read.map(Amount::minor), iso, "{minor} {currency}");
            if let Some(read) = read {
                assert_eq!(exponents.to_network(read), Some(amount));
            }
        };
        check(150_000, Currency::UGX, Some(1_500));
        check(150_050, Currency::UGX, None);
        check(1_234, Currency(414), Some(12_340));
        check(1_500, Currency::KES, Some(1_500));
        check(Amount::MINOR_MAX, Currency(414), None);
        let odd = Amount::new(1_234, Currency(414)).unwrap();
        assert_eq!(exponents.to_network(odd), None, "no digit is lost");
        assert!(Exponents::ISO.is_iso() && !exponents.is_iso());
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
