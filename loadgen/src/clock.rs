//! The only clock of the load generator.

use std::time::Duration;

use domain::time::{Instant, WallTime};

/// Monotonic time from a zero that all threads of one process share, and the wall time beside it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: std::time::Instant,
    wall_at_zero: WallTime,
}

impl Clock {
    /// A clock whose zero is this moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clocks of the system"
    )]
    #[must_use]
    pub fn start() -> Self {
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            zero: std::time::Instant::now(),
            wall_at_zero: WallTime::from_unix_millis(
                u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            ),
        }
    }

    /// Now, in nanoseconds since the zero.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clocks of the system"
    )]
    #[must_use]
    pub fn now(&self) -> Instant {
        let elapsed = std::time::Instant::now().saturating_duration_since(self.zero);
        Instant::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The wall time at `at`.
    #[must_use]
    pub fn wall(&self, at: Instant) -> WallTime {
        self.wall_at_zero.after(at.since(Instant::ZERO))
    }

    /// `at` as the timers of tokio want it.
    #[must_use]
    pub fn timer(&self, at: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.zero + at.since(Instant::ZERO))
    }

    /// Processor time that the calling thread has used so far.
    #[must_use]
    pub fn thread_busy() -> Duration {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(
            u64::try_from(used.tv_sec).unwrap_or(0),
            u32::try_from(used.tv_nsec).unwrap_or(0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_on_and_wall_time_with_it() {
        let clock = Clock::start();
        let first = clock.now();
        let second = clock.now();
        assert!(second >= first);
        let ahead = first.after(Duration::from_millis(1_500));
        let difference = clock.wall(ahead).unix_millis() - clock.wall(first).unix_millis();
        assert!((1_499..=1_501).contains(&difference));
        assert!(Clock::thread_busy() > Duration::ZERO);
    }
}
