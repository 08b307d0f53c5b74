//! Time of the week: what a route's hours are written in, in one fixed offset from UTC. No time
//! zone with its changes: an hour that comes twice a year would have two routes.

use core::fmt;
use core::str::FromStr;

use domain::time::WallTime;
use thiserror::Error;

/// A minute of the week, from Monday 00:00 on: 0 to 10,079.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WeekMinute(u16);

impl WeekMinute {
    /// Minutes of a week.
    pub const COUNT: u16 = 7 * DAY;

    /// From minutes since Monday 00:00; what is beyond Sunday begins the week anew.
    #[must_use]
    pub const fn new(minutes: u16) -> Self {
        Self(minutes % Self::COUNT)
    }

    /// The minute in which `wall` lies, for clocks that are `offset` ahead of UTC.
    #[must_use]
    pub fn at(wall: WallTime, offset: UtcOffset) -> Self {
        // The epoch was a Thursday; one week more keeps an offset to the west above zero.
        let minutes = (wall.unix_millis() / 60_000)
            .saturating_add(EPOCH_MINUTE)
            .saturating_add_signed(i64::from(offset.0));
        Self(u16::try_from(minutes % WEEK).unwrap_or(0))
    }

    const fn day(self) -> u16 {
        self.0 / DAY
    }

    const fn minute(self) -> u16 {
        self.0 % DAY
    }
}

/// How far local clocks are ahead of UTC, in minutes: −14 to +14 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UtcOffset(i16);

impl FromStr for UtcOffset {
    type Err = WeekError;

    /// Reads `+03:00` or `-05:30`.
    fn from_str(text: &str) -> Result<Self, WeekError> {
        let (sign, clock) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(clock), _) => (1_i16, clock),
            (None, Some(clock)) => (-1, clock),
            (None, None) => return Err(WeekError::Offset),
        };
        let minutes = minute_of_day(clock).filter(|minutes| *minutes <= OFFSET_MAX);
        let minutes = minutes.and_then(|minutes| i16::try_from(minutes).ok());
        let minutes = minutes.ok_or(WeekError::Offset)?;
        Ok(Self(minutes.saturating_mul(sign)))
    }
}

/// Hours on some days of the week. Those that end before they begin last until the next day.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WeekWindow {
    /// Bit 0 is Monday. The day on which it begins.
    days: u8,
    /// Minutes of the day; from 0 to 1,439.
    from: u16,
    /// The first minute that is outside; from 1 to 1,440.
    to: u16,
}

impl WeekWindow {
    /// Whether the minute lies in it.
    #[must_use]
    pub const fn holds(&self, at: WeekMinute) -> bool {
        let (day, minute) = (at.day(), at.minute());
        if self.from < self.to {
            return self.is_on(day) && self.from <= minute && minute < self.to;
        }
        let before = day.saturating_add(6) % 7;
        (self.is_on(day) && self.from <= minute) || (self.is_on(before) && minute < self.to)
    }

    /// Whether some minute lies in both: then one of them begins within the other.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.begins().any(|minute| other.holds(minute))
            || other.begins().any(|minute| self.holds(minute))
    }

    fn begins(&self) -> impl Iterator<Item = WeekMinute> {
        let days = (0..7_u16).filter(|day| self.is_on(*day));
        days.map(|day| WeekMinute::new(day.saturating_mul(DAY).saturating_add(self.from)))
    }

    const fn is_on(&self, day: u16) -> bool {
        self.days.wrapping_shr(day as u32) & 1 == 1
    }
}

impl FromStr for WeekWindow {
    type Err = WeekError;

    /// Reads `mon-fri 08:00-18:00`, `sat 22:00-06:00` or `mon-sun 00:00-24:00`. Days may run over
    /// Sunday.
    fn from_str(text: &str) -> Result<Self, WeekError> {
        let (days, hours) = text.split_once(' ').ok_or(WeekError::Window)?;
        let (first, last) = days.split_once('-').unwrap_or((days, days));
        let (from, to) = hours.split_once('-').ok_or(WeekError::Window)?;
        let (first, last) = (day_named(first)?, day_named(last)?);
        let from = minute_of_day(from).filter(|minute| *minute < DAY);
        let to = minute_of_day(to).filter(|minute| *minute > 0);
        let (from, to) = from.zip(to).ok_or(WeekError::Hour)?;
        if from == to {
            return Err(WeekError::Empty);
        }
        Ok(Self {
            days: days_between(first, last),
            from,
            to,
        })
    }
}

impl fmt::Debug for WeekWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (day, name) in (0_u16..).zip(DAYS) {
            if self.is_on(day) {
                write!(f, "{name} ")?;
            }
        }
        let clock = |minute: u16| (minute / 60, minute % 60);
        let ((from, from_minute), (to, to_minute)) = (clock(self.from), clock(self.to));
        write!(f, "{from:02}:{from_minute:02}-{to:02}:{to_minute:02}")
    }
}

/// Why a text says no time of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WeekError {
    /// Not days and hours with a blank between them.
    #[error("a time is written like `mon-fri 08:00-18:00`")]
    Window,
    /// No name of a day.
    #[error("days are mon, tue, wed, thu, fri, sat and sun")]
    Day,
    /// No time of a day.
    #[error("hours are written like 08:00, from 00:00 to 24:00")]
    Hour,
    /// It ends where it begins.
    #[error("hours that end where they begin say nothing; the whole day is 00:00-24:00")]
    Empty,
    /// No offset.
    #[error("an offset from UTC is written like `+03:00`, up to 14 hours")]
    Offset,
}

fn day_named(text: &str) -> Result<u16, WeekError> {
    let position = DAYS.iter().position(|name| *name == text);
    position
        .and_then(|position| u16::try_from(position).ok())
        .ok_or(WeekError::Day)
}

fn days_between(first: u16, last: u16) -> u8 {
    let mut days = 0_u8;
    for step in 0..7 {
        let day = first.saturating_add(step) % 7;
        days |= 1_u8.wrapping_shl(u32::from(day));
        if day == last {
            break;
        }
    }
    days
}

/// Minutes of `08:30`, up to those of `24:00`.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let whole = hours.saturating_mul(60).saturating_add(minutes);
    (minutes < 60 && whole <= DAY).then_some(whole)
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: u16 = 24 * 60;
/// Thursday 00:00, a week later.
const EPOCH_MINUTE: u64 = 3 * DAY as u64 + WEEK;
const WEEK: u64 = WeekMinute::COUNT as u64;
const OFFSET_MAX: u16 = 14 * 60;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    fn window(text: &str) -> WeekWindow {
        text.parse().unwrap()
    }

    fn minutes(window: WeekWindow) -> Vec<u16> {
        let all = 0..WeekMinute::COUNT;
        all.filter(|minute| window.holds(WeekMinute::new(*minute)))
            .collect()
    }

    #[test]
    fn a_wall_time_has_its_minute_of_the_week_in_any_offset() {
        #[track_caller]
        fn check(unix_seconds: u64, offset: &str, expected: u16) {
            let wall = WallTime::from_unix_millis(unix_seconds * 1_000);
            let found = WeekMinute::at(wall, offset.parse().unwrap());
            assert_eq!(found, WeekMinute(expected), "{unix_seconds} {offset}");
        }
        const HOUR: u16 = 60;
        check(0, "+00:00", 3 * DAY);
        check(59, "+00:00", 3 * DAY);
        check(60, "+00:00", 3 * DAY + 1);
        check(0, "-14:00", 2 * DAY + 10 * HOUR);
        // Sunday 2026-03-01 23:30 UTC is Monday in Nairobi.
        check(1_772_407_800, "+00:00", 6 * DAY + 23 * HOUR + 30);
        check(1_772_407_800, "+03:00", 2 * HOUR + 30);
        check(1_772_407_800, "-05:30", 6 * DAY + 18 * HOUR);
    }

    #[test]
    fn hours_are_those_of_their_days() {
        #[track_caller]
        fn check(text: &str, inside: &[u16], outside: &[u16]) {
            let window = window(text);
            for minute in inside {
                assert!(window.holds(WeekMinute::new(*minute)), "{minute} in {text}");
            }
            for minute in outside {
                assert!(
                    !window.holds(WeekMinute::new(*minute)),
                    "{minute} in {text}"
                );
            }
        }
        check(
            "mon-fri 08:00-18:00",
            &[480, 1_079, 4 * DAY + 480],
            &[479, 1_080, 5 * DAY + 480, 6 * DAY + 480],
        );
        check("tue 00:00-24:00", &[DAY, 2 * DAY - 1], &[DAY - 1, 2 * DAY]);
        // Over midnight it belongs to the day it begins on, also over the end of the week.
        check(
            "sun 22:00-06:00",
            &[6 * DAY + 1_320, 7 * DAY - 1, 0, 359],
            &[6 * DAY + 1_319, 360, DAY, 6 * DAY],
        );
        check("sat-mon 10:00-11:00", &[600, 5 * DAY + 600], &[DAY + 600]);
        assert_eq!(minutes(window("mon-sun 00:00-24:00")).len(), 10_080);
        let shown = std::format!("{:?}", window("sat-mon 22:00-06:30"));
        assert_eq!(shown, "mon sat sun 22:00-06:30");
    }

    #[test]
    fn windows_meet_exactly_when_a_minute_is_in_both() {
        let texts = [
            "mon 08:00-18:00",
            "mon 18:00-24:00",
            "mon-fri 17:59-18:01",
            "sun 22:00-06:00",
            "mon 05:59-06:00",
            "mon 06:00-06:01",
            "sat-sun 00:00-24:00",
            "tue-sun 23:00-00:01",
            "wed 12:00-11:59",
        ];
        for one in texts.map(window) {
            for other in texts.map(window) {
                let held = minutes(one);
                let both = held
                    .iter()
                    .any(|minute| other.holds(WeekMinute::new(*minute)));
                assert_eq!(one.meets(&other), both, "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn what_says_no_time_is_refused() {
        #[track_caller]
        fn check(text: &str, expected: WeekError) {
            assert_eq!(text.parse::<WeekWindow>().unwrap_err(), expected, "{text}");
        }
        check("", WeekError::Window);
        check("mon", WeekError::Window);
        check("mon 08:00", WeekError::Window);
        check("monday 08:00-09:00", WeekError::Day);
        check("mon-xyz 08:00-09:00", WeekError::Day);
        check("mon 8:00-09:00", WeekError::Hour);
        check("mon 08:60-09:00", WeekError::Hour);
        check("mon 24:00-09:00", WeekError::Hour);
        check("mon 23:00-00:00", WeekError::Hour);
        check("mon 23:00-24:01", WeekError::Hour);
        check("mon +1:00-09:00", WeekError::Hour);
        check("mon 08:00-08:00", WeekError::Empty);
        for text in ["", "3", "03:00", "+3:00", "+14:01", "+-1:00", "+03:60"] {
            let refused = text.parse::<UtcOffset>().unwrap_err();
            assert_eq!(refused, WeekError::Offset, "{text}");
        }
        assert!(WeekError::Window.to_string().contains("mon-fri"));
    }
}
