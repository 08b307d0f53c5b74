//! The only clock of the data plane: everything below it takes time as an argument.

use domain::time::{Instant, WallTime};

/// A monotonic clock whose zero is its own creation.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: std::time::Instant,
}

impl Clock {
    /// Starts at zero now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this module is where time is read"
    )]
    pub fn start() -> Self {
        Self {
            zero: std::time::Instant::now(),
        }
    }

    /// Time since the clock's start.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The wall time, UTC. A clock before 1970 counts as 1970.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this module is where time is read"
    )]
    pub fn wall(&self) -> WallTime {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| {
                u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
            });
        WallTime::from_unix_millis(since_epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_go_back() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(clock.now() >= first);
        assert!(clock.wall().civil().year >= 2024);
    }
}
