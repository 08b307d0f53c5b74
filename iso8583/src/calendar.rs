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
    #[inline]
    pub(crate) fn admits(self, digits: &[u8]) -> bool {
        match (self, digits) {
            (Self::None, _) => true,
            (Self::MonthDay, month_day) => is_month_day(month_day),
            (Self::Time, time) => is_time(time),
            (Self::MonthDayTime, [a, b, c, d, time @ ..]) => {
                is_month_day(&[*a, *b, *c, *d]) && is_time(time)
            }
            (Self::YearMonth, [_, _, month @ ..]) => is_month(month),
            (Self::YearMonthDay, [_, _, month_day @ ..]) => is_month_day(month_day),
            (Self::YearMonthDayTime, [_, _, a, b, c, d, time @ ..]) => {
                is_month_day(&[*a, *b, *c, *d]) && is_time(time)
            }
            _ => false,
        }
    }
}

#[inline]
fn is_month(digits: &[u8]) -> bool {
    matches!(digits, [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2'])
}

#[inline]
fn is_month_day(digits: &[u8]) -> bool {
    let [month_tens, month_ones, day_tens, day_ones] = digits else {
        return false;
    };
    let (month, day) = (
        number(*month_tens, *month_ones),
        number(*day_tens, *day_ones),
    );
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    day >= 1 && day <= days
}

#[inline]
fn is_time(digits: &[u8]) -> bool {
    let [h, hours, m, minutes, s, seconds] = digits else {
        return false;
    };
    number(*h, *hours) < 24 && number(*m, *minutes) < 60 && number(*s, *seconds) <= 60
}

/// The number that two digits say.
#[inline]
const fn number(tens: u8, ones: u8) -> u8 {
    (tens & 0x0F).wrapping_mul(10).wrapping_add(ones & 0x0F)
}

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
