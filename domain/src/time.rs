//! Time as an argument: a monotonic instant, a wall time, and the two forms that ISO 8583 uses.

use core::fmt;
use core::time::Duration;

use crate::error::InvalidValue;

/// Nanoseconds on the shell's monotonic clock. Its zero is chosen by the shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The shell's zero.
    pub const ZERO: Self = Self(0);
    /// Later than every real instant.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// From nanoseconds since the shell's zero.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the shell's zero.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the shell's zero.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This instant plus `duration`; saturates at [`Instant::FAR_FUTURE`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Milliseconds since 1970-01-01T00:00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WallTime(u64);

impl WallTime {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_millis(self) -> u64 {
        self.0
    }

    /// This time plus `duration`, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// This time minus `duration`, saturating at the epoch.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// The second that these calendar fields name; `None` for one that cannot be, or before 1970.
    #[must_use]
    pub fn from_civil(civil: Civil) -> Option<Self> {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = civil;
        let is_day = (1..=days_in_month(year, month)).contains(&day);
        if !is_day || !(1970..=9999).contains(&year) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let minutes = u64::from(hour)
            .saturating_mul(60)
            .saturating_add(u64::from(minute));
        let seconds = days_from_civil(year, month, day)
            .saturating_mul(86_400)
            .saturating_add(minutes.saturating_mul(60))
            .saturating_add(u64::from(second));
        Some(Self(seconds.saturating_mul(1000)))
    }

    /// The UTC calendar fields.
    #[must_use]
    pub fn civil(self) -> Civil {
        let seconds = self.0 / 1000;
        let (year, month, day) = civil_from_days(seconds / 86_400);
        let second_of_day = seconds % 86_400;
        let part = |value: u64| u8::try_from(value).unwrap_or(0);
        Civil {
            year,
            month,
            day,
            hour: part(second_of_day / 3600),
            minute: part(second_of_day % 3600 / 60),
            second: part(second_of_day % 60),
        }
    }
}

impl fmt::Display for WallTime {
    /// As RFC 3339 has it: `2026-11-21T10:11:12.345Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.civil();
        if at.year > 9999 {
            write!(f, "{}-{:02}-{:02}T", at.year, at.month, at.day)?;
            write!(f, "{:02}:{:02}:{:02}", at.hour, at.minute, at.second)?;
            return write!(f, ".{:03}Z", self.0 % 1000);
        }
        // Every answer has one: by digits it takes a part of the time that widths take.
        let [y0, y1, y2, y3] = digits_of(u64::from(at.year));
        let [m0, m1] = digits_of(u64::from(at.month));
        let [d0, d1] = digits_of(u64::from(at.day));
        let [h0, h1] = digits_of(u64::from(at.hour));
        let [n0, n1] = digits_of(u64::from(at.minute));
        let [s0, s1] = digits_of(u64::from(at.second));
        let [l0, l1, l2] = digits_of(self.0 % 1000);
        let text = [
            y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1,
            b'.', l0, l1, l2, b'Z',
        ];
        f.write_str(core::str::from_utf8(&text).unwrap_or_default())
    }
}

/// UTC calendar fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, from 1970.
    pub year: u32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
}

/// DE7, transmission date and time: UTC `MMDDhhmmss`, without a year (ISO 8583:1987).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransmissionTime(u32);

impl TransmissionTime {
    /// Reads ten digits.
    ///
    /// # Errors
    /// A non-digit, or a month, day, hour, minute or second that cannot be. 29 February is admitted
    /// here: whether the year has one is known only in [`TransmissionTime::resolve`].
    pub fn from_digits(digits: &[u8]) -> Result<Self, InvalidValue> {
        const WHAT: &str = "DE7";
        if digits.len() != 10 {
            return Err(InvalidValue::Length(WHAT));
        }
        let value = decimal(WHAT, digits)?;
        let time = Self(u32::try_from(value).map_err(|_| InvalidValue::Range(WHAT))?);
        let (month, day, hour, minute, second) = time.parts();
        let days = days_in_month(2000, month);
        if days == 0 || day == 0 || day > days || hour > 23 || minute > 59 || second > 59 {
            return Err(InvalidValue::Range(WHAT));
        }
        Ok(time)
    }

    /// Of a message that has no DE7, as those of 1993 may have none.
    pub const UNKNOWN: Self = Self(0);

    /// Whether it says when.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// The form that DE7 has at `at`.
    #[must_use]
    pub fn at(at: WallTime) -> Self {
        let civil = at.civil();
        let digits = [
            civil.month,
            civil.day,
            civil.hour,
            civil.minute,
            civil.second,
        ];
        Self(digits.iter().fold(0_u32, |value, part| {
            value.saturating_mul(100).saturating_add(u32::from(*part))
        }))
    }

    /// The ten digits as a number, `MMDDhhmmss`.
    #[must_use]
    pub const fn as_number(self) -> u32 {
        self.0
    }

    /// Takes the number that [`TransmissionTime::as_number`] gave; for values read from storage.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The ten digits.
    #[must_use]
    pub fn digits(self) -> [u8; 10] {
        digits_of(u64::from(self.0))
    }

    /// The wall time it names, in the year that puts it nearest to `now` (semantics.md §10).
    /// `None` for 29 February when none of the years around `now` has one.
    #[must_use]
    pub fn resolve(self, now: WallTime) -> Option<WallTime> {
        let this_year = now.civil().year;
        let (month, day, hour, minute, second) = self.parts();
        let years = [
            this_year.saturating_sub(1),
            this_year,
            this_year.saturating_add(1),
        ];
        years
            .into_iter()
            .filter(|year| *year >= 1970 && day <= days_in_month(*year, month))
            .map(|year| {
                let days = days_from_civil(year, month, day);
                let clock = u64::from(hour)
                    .saturating_mul(3600)
                    .saturating_add(u64::from(minute).saturating_mul(60))
                    .saturating_add(u64::from(second));
                let seconds = days.saturating_mul(86_400).saturating_add(clock);
                WallTime(seconds.saturating_mul(1000))
            })
            .min_by_key(|candidate| candidate.0.abs_diff(now.0))
    }

    /// How far the clock that it was read from is from ours, as far as it says: it has no
    /// fractions of a second, and was some time under way. `None` as in
    /// [`TransmissionTime::resolve`].
    #[must_use]
    pub fn skew(self, now: WallTime) -> Option<Skew> {
        let sent = self.resolve(now)?.0 / 1000;
        let now = now.0 / 1000;
        Some(if sent > now {
            Skew::Ahead {
                seconds: sent.saturating_sub(now),
            }
        } else {
            Skew::Behind {
                seconds: now.saturating_sub(sent),
            }
        })
    }

    fn parts(self) -> (u8, u8, u8, u8, u8) {
        let part = |divisor: u32| {
            let value = self.0.checked_div(divisor).unwrap_or(0) % 100;
            u8::try_from(value).unwrap_or(0)
        };
        (
            part(100_000_000),
            part(1_000_000),
            part(10_000),
            part(100),
            part(1),
        )
    }
}

impl fmt::Debug for TransmissionTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

/// How far a clock is from ours, in whole seconds; half a year at most, as DE7 has no year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// Its time is before ours, or the same.
    Behind {
        /// So much.
        seconds: u64,
    },
    /// Its time is after ours.
    Ahead {
        /// So much.
        seconds: u64,
    },
}

impl Skew {
    /// How far, in either direction.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Behind { seconds } | Self::Ahead { seconds } => seconds,
        }
    }
}

/// A decimal number out of ASCII digits.
///
/// # Errors
/// [`InvalidValue`] names `what`: a non-digit, no digit, or more than `u64` holds.
pub fn decimal(what: &'static str, digits: &[u8]) -> Result<u64, InvalidValue> {
    if digits.is_empty() {
        return Err(InvalidValue::Length(what));
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        if !digit.is_ascii_digit() {
            return Err(InvalidValue::Character(what));
        }
        value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit.wrapping_sub(b'0'))))
            .ok_or(InvalidValue::Range(what))
    })
}

/// The last `N` decimal digits of `value` in ASCII, with leading zeros.
#[must_use]
pub fn digits_of<const N: usize>(value: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(rest % 10).unwrap_or(0).wrapping_add(b'0');
        rest /= 10;
    }
    digits
}

fn days_in_month(year: u32, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

/// Howard Hinnant's days_from_civil, for years from 1970.
fn days_from_civil(year: u32, month: u8, day: u8) -> u64 {
    let (month, day) = (u64::from(month), u64::from(day));
    let year = u64::from(year).saturating_sub(u64::from(month <= 2));
    let era = year / 400;
    let year_of_era = year % 400;
    let shifted = if month > 2 {
        month.saturating_sub(3)
    } else {
        month.saturating_add(9)
    };
    let day_of_year = (shifted.saturating_mul(153).saturating_add(2) / 5)
        .saturating_add(day)
        .saturating_sub(1);
    let day_of_era = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era / 4)
        .saturating_sub(year_of_era / 100)
        .saturating_add(day_of_year);
    era.saturating_mul(146_097)
        .saturating_add(day_of_era)
        .saturating_sub(719_468)
}

/// Howard Hinnant's civil_from_days, for days from 1970-01-01.
fn civil_from_days(days: u64) -> (u32, u8, u8) {
    let days = days.saturating_add(719_468);
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = day_of_era
        .saturating_sub(day_of_era / 1460)
        .saturating_add(day_of_era / 36_524)
        .saturating_sub(day_of_era / 146_096)
        / 365;
    let days_before = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era / 4)
        .saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(days_before);
    let shifted = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = day_of_year
        .saturating_sub(shifted.saturating_mul(153).saturating_add(2) / 5)
        .saturating_add(1);
    let month = if shifted < 10 {
        shifted.saturating_add(3)
    } else {
        shifted.saturating_sub(9)
    };
    let year = era
        .saturating_mul(400)
        .saturating_add(year_of_era)
        .saturating_add(u64::from(month <= 2));
    (
        u32::try_from(year).unwrap_or(u32::MAX),
        u8::try_from(month).unwrap_or(1),
        u8::try_from(day).unwrap_or(1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW_YEAR_2026: WallTime = WallTime::from_unix_millis(1_767_225_600_000);

    #[test]
    fn civil_fields_of_known_times() {
        let civil = WallTime::from_unix_millis(951_782_400_000).civil();
        assert_eq!((civil.year, civil.month, civil.day), (2000, 2, 29));
        assert_eq!(NEW_YEAR_2026.civil().year, 2026);
        assert_eq!(TransmissionTime::at(NEW_YEAR_2026).as_number(), 101_000_000);
    }

    #[test]
    fn a_time_is_told_as_it_is_read() {
        let at = WallTime::from_unix_millis(1_767_225_600_007);
        assert_eq!(std::format!("{at}"), "2026-01-01T00:00:00.007Z");
        let leap = WallTime::from_unix_millis(951_782_400_000);
        assert_eq!(WallTime::from_civil(leap.civil()), Some(leap));
        let not = |civil: Civil| assert_eq!(WallTime::from_civil(civil), None, "{civil:?}");
        let civil = NEW_YEAR_2026.civil();
        not(Civil {
            year: 1969,
            ..civil
        });
        not(Civil { month: 13, ..civil });
        not(Civil { day: 0, ..civil });
        not(Civil {
            month: 2,
            day: 29,
            ..civil
        });
        not(Civil { hour: 24, ..civil });
        not(Civil {
            second: 60,
            ..civil
        });
    }

    #[test]
    fn every_day_of_a_century_survives_the_round_trip() {
        for day in 0..36_525_u64 {
            let (year, month, day_of_month) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, day_of_month), day);
        }
    }

    #[test]
    fn de7_takes_the_year_nearest_to_now() {
        let last_second = TransmissionTime::from_digits(b"1231235959").unwrap();
        let resolved = last_second.resolve(NEW_YEAR_2026).unwrap();
        assert_eq!(resolved.unix_millis(), NEW_YEAR_2026.unix_millis() - 1000);
        let first = TransmissionTime::from_digits(b"0101000001").unwrap();
        let before_midnight = NEW_YEAR_2026.before(Duration::from_secs(2));
        assert_eq!(first.resolve(before_midnight).unwrap().civil().year, 2026);
    }

    #[test]
    fn fault_088_the_distance_of_a_clock_is_told_over_a_new_year() {
        let check = |digits: &[u8; 10], now: WallTime, expected| {
            let sent = TransmissionTime::from_digits(digits).unwrap();
            assert_eq!(sent.skew(now), expected, "{sent:?}");
        };
        let behind = |seconds| Some(Skew::Behind { seconds });
        let ahead = |seconds| Some(Skew::Ahead { seconds });
        check(b"1231235958", NEW_YEAR_2026, behind(2));
        let midnight_to_come = NEW_YEAR_2026.before(Duration::from_millis(1));
        check(b"0101000001", midnight_to_come, ahead(2));
        check(b"1231235959", midnight_to_come, behind(0));
        check(b"1231235959", midnight_to_come.before(MOMENT), behind(0));
        // Half a year and a second ahead is as well half a year behind.
        check(b"0702120001", NEW_YEAR_2026, behind(15_767_999));
        check(b"0702115959", NEW_YEAR_2026, ahead(15_767_999));
        let march = NEW_YEAR_2026.after(Duration::from_secs(86_400 * 60));
        check(b"0229120000", march, None);
    }

    const MOMENT: Duration = Duration::from_millis(998);

    #[test]
    fn de7_refuses_impossible_times() {
        for digits in [
            b"1301000000",
            b"0230000000",
            b"0101240000",
            b"0101006000",
            b"0100000000",
        ] {
            assert_eq!(
                TransmissionTime::from_digits(digits),
                Err(InvalidValue::Range("DE7"))
            );
        }
        let leap_day = TransmissionTime::from_digits(b"0229120000").unwrap();
        assert_eq!(
            leap_day.resolve(NEW_YEAR_2026.after(Duration::from_secs(86_400 * 60))),
            None
        );
    }
}
