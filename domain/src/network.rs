//! What is said about connections and business days, free of any wire format.

use core::fmt;

use crate::error::InvalidValue;
use crate::time::{TransmissionTime, WallTime, decimal, digits_of};

/// What a network message (08xx) is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkKind {
    /// The sender takes and sends financial messages from here on.
    SignOn,
    /// The sender takes no further ones; earlier ones are still answered.
    SignOff,
    /// Is anybody there?
    Echo,
    /// A new key, or the wish for one.
    KeyChange,
    /// The settlement date changes.
    CutOver,
    /// The change of the settlement date is done.
    CutOverEnd,
    /// Whatever else a network says.
    Other,
}

impl NetworkKind {
    /// Those with a code of their own, in the order of their declaration.
    pub const NAMED: [Self; 6] = [
        Self::SignOn,
        Self::SignOff,
        Self::Echo,
        Self::KeyChange,
        Self::CutOver,
        Self::CutOverEnd,
    ];

    /// Its position in [`NetworkKind::NAMED`].
    #[must_use]
    pub const fn position(self) -> Option<usize> {
        match self {
            Self::SignOn => Some(0),
            Self::SignOff => Some(1),
            Self::Echo => Some(2),
            Self::KeyChange => Some(3),
            Self::CutOver => Some(4),
            Self::CutOverEnd => Some(5),
            Self::Other => None,
        }
    }
}

/// A business day between two parties (DE15): days since 1 January 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SettlementDate(u32);

impl SettlementDate {
    /// The calendar day at `wall`, in UTC.
    #[must_use]
    pub fn at(wall: WallTime) -> Self {
        let days = wall.unix_millis() / MILLIS_PER_DAY;
        Self(u32::try_from(days).unwrap_or(u32::MAX))
    }

    /// Days since 1 January 1970.
    #[must_use]
    pub const fn days(self) -> u32 {
        self.0
    }

    /// Takes the number that [`SettlementDate::days`] gave.
    #[must_use]
    pub const fn from_days(days: u32) -> Self {
        Self(days)
    }

    /// Reads `MMDD`, or `YYMMDD` or `YYYYMMDD`, of which the year is not believed: the one is taken
    /// that lies nearest to `now`.
    ///
    /// # Errors
    /// Another length, a non-digit, or a day that does not exist.
    pub fn from_digits(digits: &[u8], now: WallTime) -> Result<Self, InvalidValue> {
        const WHAT: &str = "DE15";
        if !matches!(digits.len(), 4 | 6 | 8) {
            return Err(InvalidValue::Length(WHAT));
        }
        let day = digits.last_chunk::<4>().copied().unwrap_or_default();
        decimal(WHAT, &day)?;
        let mut noon = *b"0000120000";
        noon.iter_mut()
            .zip(day)
            .for_each(|(slot, digit)| *slot = digit);
        let wall = TransmissionTime::from_digits(&noon)?.resolve(now);
        wall.map(Self::at).ok_or(InvalidValue::Range(WHAT))
    }

    /// The calendar day after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The year, four digits.
    #[must_use]
    pub fn year(self) -> u32 {
        self.start().civil().year
    }

    /// `MMDD`.
    #[must_use]
    pub fn digits(self) -> [u8; 4] {
        let civil = self.start().civil();
        digits_of(
            u64::from(civil.month)
                .saturating_mul(100)
                .saturating_add(civil.day.into()),
        )
    }

    fn start(self) -> WallTime {
        WallTime::from_unix_millis(u64::from(self.0).saturating_mul(MILLIS_PER_DAY))
    }
}

impl fmt::Display for SettlementDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = self.start().civil();
        write!(f, "{:04}-{:02}-{:02}", civil.year, civil.month, civil.day)
    }
}

const MILLIS_PER_DAY: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    /// 31 December 2026, 23:30 UTC.
    const NEW_YEARS_EVE: WallTime = WallTime::from_unix_millis(1_798_759_800_000);

    #[test]
    fn a_date_without_a_year_is_the_nearest_one() {
        let check = |digits: &[u8], shown: &str| {
            let date = SettlementDate::from_digits(digits, NEW_YEARS_EVE).unwrap();
            assert_eq!(date.to_string(), shown);
            assert_eq!(date.digits(), *digits.last_chunk::<4>().unwrap());
        };
        check(b"1231", "2026-12-31");
        check(b"0101", "2027-01-01");
        check(b"270101", "2027-01-01");
        check(b"20261230", "2026-12-30");
        for wrong in [&b"1301"[..], b"0100", b"01", b"010a", b"0230"] {
            assert!(SettlementDate::from_digits(wrong, NEW_YEARS_EVE).is_err());
        }
    }

    #[test]
    fn the_day_after_goes_over_the_end_of_the_year() {
        let date = SettlementDate::at(NEW_YEARS_EVE);
        assert_eq!(date.to_string(), "2026-12-31");
        assert_eq!(date.next().to_string(), "2027-01-01");
        assert_eq!(SettlementDate::from_days(date.days()), date);
    }

    #[test]
    fn every_named_kind_has_its_position() {
        for (position, kind) in NetworkKind::NAMED.into_iter().enumerate() {
            assert_eq!(kind.position(), Some(position));
        }
        assert_eq!(NetworkKind::Other.position(), None);
    }
}
