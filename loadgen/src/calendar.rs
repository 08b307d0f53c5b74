//! The times that messages carry, worked out once per second.

use std::time::Duration;

use domain::time::{TransmissionTime, WallTime, digits_of};

/// The time fields of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// DE7, UTC.
    pub transmitted: [u8; 10],
    /// `YYMMDDhhmmss` at the terminal: DE12 of 1993; of 1987 DE12 has its time and DE13 its date.
    pub local: [u8; 12],
    /// The head of DE37: last digit of the year, day of the year, hour.
    pub reference: [u8; 6],
}

/// Keeps the stamp of the present second.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    second: u64,
    stamp: Stamp,
}

impl Calendar {
    /// A calendar that has not been asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            second: 0,
            stamp: Stamp::at(WallTime::from_unix_millis(0)),
        }
    }

    /// The stamp at `wall`.
    pub fn stamp(&mut self, wall: WallTime) -> &Stamp {
        let second = wall.unix_millis() / 1000;
        if second != self.second {
            self.second = second;
            self.stamp = Stamp::at(wall);
        }
        &self.stamp
    }
}

impl Default for Calendar {
    fn default() -> Self {
        Self::new()
    }
}

impl Stamp {
    fn at(wall: WallTime) -> Self {
        let there = wall.after(EAST_AFRICA);
        let [y1, y2]: [u8; 2] = digits_of(u64::from(there.civil().year % 100));
        let [m1, m2, d1, d2, h1, h2, n1, n2, s1, s2] = TransmissionTime::at(there).digits();
        let civil = wall.civil();
        let begin_of_year = days_before(civil.year, civil.month) + u64::from(civil.day);
        let reference = u64::from(civil.year % 10) * 100_000 + begin_of_year * 100;
        Self {
            transmitted: TransmissionTime::at(wall).digits(),
            local: [y1, y2, m1, m2, d1, d2, h1, h2, n1, n2, s1, s2],
            reference: digits_of(reference + u64::from(civil.hour)),
        }
    }
}

/// Days of the year before a month begins.
fn days_before(year: u32, month: u8) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    lengths
        .iter()
        .take(usize::from(month.saturating_sub(1)))
        .sum()
}

/// Terminals stand at UTC+3, all year.
const EAST_AFRICA: Duration = Duration::from_secs(3 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_holds_utc_and_local_time() {
        // 2026-12-31T22:15:30Z is already the next year at the terminal.
        let wall = WallTime::from_unix_millis(1_798_755_330_000);
        let mut calendar = Calendar::new();
        let stamp = *calendar.stamp(wall);
        assert_eq!(&stamp.transmitted, b"1231221530");
        assert_eq!(&stamp.local, b"270101011530");
        assert_eq!(&stamp.reference, b"636522");
        let next = *calendar.stamp(wall.after(Duration::from_secs(1)));
        assert_eq!(&next.transmitted, b"1231221531");
    }
}
