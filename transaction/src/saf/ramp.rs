//! How fast what is owed leaves after an issuer has come back: slowly at first, twice as fast with
//! every second, until its window alone is the bound.

use core::num::NonZeroU32;
use core::time::Duration;

use domain::time::Instant;

/// One issuer's ramp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    since: Instant,
    /// Since then.
    sent: u64,
}

impl Ramp {
    /// Before the issuer has ever been there.
    pub(super) const NONE: Self = Self {
        since: Instant::ZERO,
        sent: u64::MAX,
    };

    /// The issuer is back.
    pub(super) const fn begin(now: Instant) -> Self {
        Self {
            since: now,
            sent: 0,
        }
    }

    pub(super) const fn note_sent(&mut self) {
        self.sent = self.sent.saturating_add(1);
    }

    /// When the next one may leave: `rate` in the first second, twice as many in the next one, and
    /// so on. `None` when the ramp is over.
    pub(super) fn next_at(&self, rate: NonZeroU32) -> Option<Instant> {
        let rate = u64::from(rate.get());
        let seconds = self
            .sent
            .checked_div(rate)?
            .checked_add(1)?
            .checked_ilog2()?;
        if seconds >= SECONDS_MAX {
            return None;
        }
        let times = 1_u64.checked_shl(seconds)?;
        let before = rate.checked_mul(times.saturating_sub(1))?;
        let beyond = self.sent.checked_sub(before)?;
        let nanos = beyond
            .checked_mul(1_000_000_000)?
            .checked_div(rate.checked_mul(times)?)?;
        let whole = Duration::from_secs(u64::from(seconds));
        Some(
            self.since
                .after(whole.saturating_add(Duration::from_nanos(nanos))),
        )
    }
}

/// By then it is a thousand times as fast as at first.
const SECONDS_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_takes_twice_as_many_as_the_one_before() {
        let rate = NonZeroU32::new(4).unwrap();
        let mut ramp = Ramp::begin(Instant::ZERO);
        let mut by_second = [0_u32; 12];
        while let Some(at) = ramp.next_at(rate) {
            let second = at.as_nanos() / 1_000_000_000;
            by_second[usize::try_from(second).unwrap()] += 1;
            ramp.note_sent();
        }
        let expected = [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 0, 0];
        assert_eq!(by_second, expected);
        assert_eq!(Ramp::NONE.next_at(rate), None);
    }

    #[test]
    fn the_largest_rate_holds_nothing_back_for_long() {
        let mut ramp = Ramp::begin(Instant::ZERO);
        for _ in 0..1_000 {
            ramp.note_sent();
        }
        let at = ramp.next_at(NonZeroU32::MAX).unwrap();
        assert!(at < Instant::from_nanos(1_000));
    }
}
