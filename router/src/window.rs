//! Calls of the recent past, counted in a ring of time buckets.

use core::time::Duration;

use domain::time::Instant;

/// How calls went, over a window that slides in steps of a tenth of its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallWindow {
    width_nanos: u64,
    /// Number of the newest bucket since the clock's zero.
    newest: u64,
    buckets: [CallCounts; BUCKETS],
    sum: CallCounts,
}

impl CallWindow {
    pub(crate) fn new(window: Duration) -> Self {
        let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        Self {
            width_nanos: (nanos / BUCKETS_U64).max(1),
            newest: 0,
            buckets: [CallCounts::ZERO; BUCKETS],
            sum: CallCounts::ZERO,
        }
    }

    /// Forgets all calls.
    pub(crate) fn clear(&mut self) {
        self.buckets = [CallCounts::ZERO; BUCKETS];
        self.sum = CallCounts::ZERO;
    }

    /// Counts a call that ended at `now`. A time before the newest bucket counts in that one.
    pub(crate) fn record(&mut self, call: CallCounts, now: Instant) {
        self.slide(now);
        let Some(bucket) = self.buckets.get_mut(place(self.newest)) else {
            return;
        };
        bucket.add(call);
        self.sum.add(call);
        debug_assert!(call.calls == 1 && call.failures <= 1 && call.slow <= 1);
        debug_assert_eq!(self.sum, self.resummed(), "the sum is that of the buckets");
    }

    /// Calls that ended in the last nine to ten tenths of the window, as of the newest bucket.
    pub(crate) const fn counts(&self) -> CallCounts {
        self.sum
    }

    /// The same as of `now`, without a change.
    pub(crate) fn counts_at(&self, now: Instant) -> CallCounts {
        let mut copy = *self;
        copy.slide(now);
        copy.sum
    }

    fn slide(&mut self, now: Instant) {
        let number = now.as_nanos().checked_div(self.width_nanos).unwrap_or(0);
        let steps = number.saturating_sub(self.newest);
        for step in 1..=steps.min(BUCKETS_U64) {
            let passed = self.newest.saturating_add(step);
            if let Some(bucket) = self.buckets.get_mut(place(passed)) {
                self.sum.subtract(*bucket);
                *bucket = CallCounts::ZERO;
            }
        }
        self.newest = self.newest.max(number);
        debug_assert!(self.newest >= number, "what is over stays over");
    }

    fn resummed(&self) -> CallCounts {
        let mut sum = CallCounts::ZERO;
        for bucket in &self.buckets {
            sum.add(*bucket);
        }
        sum
    }
}

/// Numbers of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// All that ended.
    pub calls: u32,
    /// Those that failed.
    pub failures: u32,
    /// Those that took as long as the slow limit or longer, failed ones included.
    pub slow: u32,
}

impl CallCounts {
    pub(crate) const ZERO: Self = Self {
        calls: 0,
        failures: 0,
        slow: 0,
    };

    pub(crate) const fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failures = self.failures.saturating_add(other.failures);
        self.slow = self.slow.saturating_add(other.slow);
    }

    const fn subtract(&mut self, other: Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.failures = self.failures.saturating_sub(other.failures);
        self.slow = self.slow.saturating_sub(other.slow);
    }
}

const BUCKETS: usize = 10;
const BUCKETS_U64: u64 = 10;

fn place(number: u64) -> usize {
    usize::try_from(number % BUCKETS_U64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallCounts = CallCounts {
        calls: 1,
        failures: 0,
        slow: 0,
    };

    #[test]
    fn a_call_counts_for_nine_to_ten_tenths_of_the_window() {
        let mut window = CallWindow::new(Duration::from_secs(10));
        window.record(CALL, Instant::from_millis(1_000));
        window.record(CALL, Instant::from_millis(1_999));
        let calls = |millis| window.counts_at(Instant::from_millis(millis)).calls;
        assert_eq!(calls(10_999), 2);
        assert_eq!(calls(11_000), 0);
        assert_eq!(calls(1_000_000_000), 0);
    }

    #[test]
    fn a_clock_that_stands_or_falls_back_loses_no_call() {
        let mut window = CallWindow::new(Duration::from_secs(10));
        window.record(CALL, Instant::from_millis(50_000));
        window.record(CALL, Instant::from_millis(49_000));
        assert_eq!(window.counts().calls, 2);
        window.clear();
        assert_eq!(window.counts(), CallCounts::ZERO);
    }
}
