//! Dates and times that cannot be: month 13, hour 24 (semantics.md §10).
//!
//! A row that says what its digits mean has them checked. A year is not known here, so 29 February
//! is always possible; a leap second is possible too.

/// What the digits of a field say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Calendar {
    /// No date: nothing is checked.
    None,
    /// MMDD.
    MonthDay,
    /// hhmmss.
    Time,
    /// MMDDhhmmss.
    MonthDayTime,
    /// YYMM.
    YearMonth,
    /// YYMMDD.
    YearMonthDay,
    /// YYMMDDhhmmss.
    YearMonthDayTime,
}

impl Calendar {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::MonthDay,
        Self::Time,
        Self::MonthDayTime,
        Self::YearMonth,
        Self::YearMonthDay,
        Self::YearMonthDayTime,
    ];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::MonthDay => "MMDD",
            Self::Time => "hhmmss",
            Self::MonthDayTime => "MMDDhhmmss",
            Self::YearMonth => "YYMM",
            Self::YearMonthDay => "YYMMDD",
            Self::YearMonthDayTime => "YYMMDDhhmmss",
        }
    }

    /// Digits of the whole; 0 where nothing is checked.
    #[must_use]
    pub const fn len(self) -> usize {
        if self.is_empty() {
            return 0;
        }
        self.name().len()
    }

    /// Whether nothing is checked.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether digits can be a date or time of this kind. All are known to be digits.
    pub(crate) fn admits(self, digits: &[u8]) -> bool {
        match self {
            Self::YearMonth => is_month(digits.get(2..).unwrap_or_default()),
            Self::None => true,
            Self::MonthDay
            | Self::Time
            | Self::MonthDayTime
            | Self::YearMonthDay
            | Self::YearMonthDayTime => digits.len() == self.len() && self.parts().admit(digits),
        }
    }

    /// Where its parts stand.
    pub(crate) const fn parts(self) -> Parts {
        let (month_day, time) = match self {
            Self::None | Self::YearMonth => (NOWHERE, NOWHERE),
            Self::MonthDay => (0, NOWHERE),
            Self::Time => (NOWHERE, 0),
            Self::MonthDayTime => (0, 4),
            Self::YearMonthDay => (2, NOWHERE),
            Self::YearMonthDayTime => (2, 6),
        };
        Parts { month_day, time }
    }
}

/// Where MMDD and hhmmss stand in a field, if they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    month_day: u8,
    time: u8,
}

impl Parts {
    /// Whether the digits at each place can be what they say.
    #[inline]
    pub(crate) fn admit(self, digits: &[u8]) -> bool {
        let has = |place: u8| place != NOWHERE;
        let at = |place: u8| digits.get(usize::from(place)..);
        let month_day = || at(self.month_day).and_then(|digits| digits.first_chunk());
        let time = || at(self.time).and_then(|digits| digits.first_chunk());
        (!has(self.month_day) || month_day().is_some_and(is_month_day))
            && (!has(self.time) || time().is_some_and(is_time))
    }
}

fn is_month(digits: &[u8]) -> bool {
    matches!(digits, [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2'])
}

#[inline]
fn is_month_day(digits: &[u8; 4]) -> bool {
    let [month, day] = pairs(*digits);
    let days = DAYS.get(usize::from(month)).copied().unwrap_or(0);
    // Day 0 becomes the largest number.
    day.wrapping_sub(1) < days
}

#[inline]
fn is_time([h, hour, m, minute, s, second]: &[u8; 6]) -> bool {
    let [hour, minute] = pairs([*h, *hour, *m, *minute]);
    let [_, second] = pairs([0, 0, *s, *second]);
    hour < 24 && minute < 60 && second <= 60
}

/// The two numbers that four digits say.
#[inline]
const fn pairs(digits: [u8; 4]) -> [u8; 2] {
    let digits = u32::from_be_bytes(digits) & 0x0F0F_0F0F;
    // Tens times ten, onto the ones beside them.
    let [_, first, _, second] = digits
        .wrapping_add((digits >> 8).wrapping_mul(10))
        .to_be_bytes();
    [first, second]
}

/// Days that a month can have.
static DAYS: [u8; 13] = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const NOWHERE: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(calendar: Calendar, digits: &str, possible: bool) {
        assert_eq!(calendar.admits(digits.as_bytes()), possible, "{digits}");
    }

    #[test]
    fn days_that_a_month_has() {
        for (digits, possible) in [
            ("0101", true),
            ("0131", true),
            ("0132", false),
            ("0100", false),
            ("0229", true),
            ("0230", false),
            ("0431", false),
            ("0930", true),
            ("1231", true),
            ("1301", false),
            ("0001", false),
            ("9999", false),
            ("011", false),
        ] {
            check(Calendar::MonthDay, digits, possible);
        }
    }

    #[test]
    fn times_that_a_day_has() {
        for (digits, possible) in [
            ("000000", true),
            ("235959", true),
            ("235960", true),
            ("240000", false),
            ("236000", false),
            ("235961", false),
            ("23595", false),
        ] {
            check(Calendar::Time, digits, possible);
        }
    }

    #[test]
    fn each_part_of_a_longer_one_is_checked() {
        check(Calendar::MonthDayTime, "0229235959", true);
        check(Calendar::MonthDayTime, "1329235959", false);
        check(Calendar::MonthDayTime, "0229245959", false);
        check(Calendar::YearMonth, "2812", true);
        check(Calendar::YearMonth, "2800", false);
        check(Calendar::YearMonth, "2813", false);
        check(Calendar::YearMonthDay, "000229", true);
        check(Calendar::YearMonthDay, "001301", false);
        check(Calendar::YearMonthDayTime, "991231235960", true);
        check(Calendar::YearMonthDayTime, "991232235960", false);
        check(Calendar::None, "anything", true);
        for calendar in Calendar::ALL {
            assert!(calendar.is_empty() || calendar.len() >= 4);
            check(calendar, "", calendar.is_empty());
        }
    }
}
