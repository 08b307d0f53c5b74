//! The business day between njia and one other party.
//!
//! ```text
//!            201                          202, a sign-on, HOLD_MAX
//!  Serving ───────► Held (if it is asked for) ───────► Serving
//!  date d           date d + 1, or that of DE15
//! ```

use core::time::Duration;

use domain::network::SettlementDate;
use domain::time::{Instant, WallTime};

/// Which day it is, and whether the other party wants silence while it changes. The day is that of
/// the journal after a start; a hold ends with the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// `None` before the first cut-over.
    date: Option<SettlementDate>,
    held_until: Option<Instant>,
}

impl Settlement {
    /// A cut-over without an end is ended after so long: silence for ever is nobody's wish.
    pub const HOLD_MAX: Duration = Duration::from_secs(3_600);

    /// The day in force: that of the last cut-over, else the calendar day in UTC.
    #[must_use]
    pub fn date(&self, wall: WallTime) -> SettlementDate {
        self.date.unwrap_or_else(|| SettlementDate::at(wall))
    }

    /// The day that the last cut-over began.
    #[must_use]
    pub const fn told(&self) -> Option<SettlementDate> {
        self.date
    }

    /// A cut-over begins: the day is the one that it names, else the next. A second one before the
    /// end of the first is the same one, unless it names another day.
    pub fn begin(
        &mut self,
        named: Option<SettlementDate>,
        hold: Hold,
        wall: WallTime,
        now: Instant,
    ) {
        let is_again = self.held_until.is_some();
        let next = || {
            let date = self.date(wall);
            if is_again { date } else { date.next() }
        };
        self.date = Some(named.unwrap_or_else(next));
        self.held_until = match hold {
            Hold::UntilEnd => Some(now.after(Self::HOLD_MAX)),
            Hold::No => None,
        };
    }

    /// The day that is known from before: no cut-over begins.
    pub const fn resume(&mut self, date: SettlementDate) {
        self.date = Some(date);
    }

    /// It has ended.
    pub const fn end(&mut self) {
        self.held_until = None;
    }

    //= docs/rules.md#N-06
    /// Whether new work has to wait.
    #[must_use]
    pub fn is_held(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// Ends a hold that has lasted too long; `true` when it did.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let is_over = self.held_until.is_some_and(|until| until <= now);
        if is_over {
            self.held_until = None;
        }
        is_over
    }

    /// When [`Settlement::handle_timeout`] has something to do.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.held_until
    }
}

/// Whether a party takes nothing between the start and the end of its cut-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It serves on.
    No,
    /// It wants silence.
    UntilEnd,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 June 2026, 12:00:00.
    const WALL: WallTime = WallTime::from_unix_millis(1_780_315_200_000);
    const NOW: Instant = Instant::from_millis(5);

    fn day(days: u32) -> SettlementDate {
        SettlementDate::from_days(SettlementDate::at(WALL).days() + days)
    }

    #[test]
    fn a_cut_over_begins_the_next_day_or_the_one_that_it_names() {
        let mut settlement = Settlement::default();
        assert_eq!((settlement.date(WALL), settlement.told()), (day(0), None));
        settlement.begin(None, Hold::No, WALL, NOW);
        assert_eq!(settlement.date(WALL), day(1));
        settlement.begin(None, Hold::No, WALL, NOW);
        assert_eq!(settlement.date(WALL), day(2), "of the day in force");
        settlement.begin(Some(day(5)), Hold::No, WALL, NOW);
        assert_eq!(settlement.told(), Some(day(5)));
        assert!(!settlement.is_held(NOW));
        assert_eq!(settlement.poll_timeout(), None);
    }

    #[test]
    fn a_hold_lasts_until_its_end_or_its_bound() {
        let mut settlement = Settlement::default();
        settlement.begin(None, Hold::UntilEnd, WALL, NOW);
        settlement.begin(None, Hold::UntilEnd, WALL, NOW);
        assert_eq!(settlement.date(WALL), day(1), "a copy is no second day");
        assert!(settlement.is_held(NOW));
        settlement.end();
        assert!(!settlement.is_held(NOW));

        settlement.begin(None, Hold::UntilEnd, WALL, NOW);
        let end = NOW.after(Settlement::HOLD_MAX);
        assert_eq!(settlement.poll_timeout(), Some(end));
        assert!(!settlement.handle_timeout(NOW));
        assert!(!settlement.is_held(end));
        assert!(settlement.handle_timeout(end));
        assert!(!settlement.handle_timeout(end));
        assert_eq!(settlement.date(WALL), day(2), "the day stays");
    }
}
