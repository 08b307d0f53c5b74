//! How long to wait after a failure, with jitter from a seed.

use std::time::Duration;

use super::failure::Remedy;
use super::settings::Backoff;

/// Counts failures in a row and draws the next wait.
#[derive(Debug)]
pub(crate) struct BackoffClock {
    policy: Backoff,
    failures: u32,
    random: u64,
}

impl BackoffClock {
    pub(crate) const fn new(policy: Backoff, seed: u64) -> Self {
        Self {
            policy,
            failures: 0,
            // The generator never leaves zero.
            random: seed | 1,
        }
    }

    /// A batch went through.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// The wait after one more failure: between a half and the whole of the policy's.
    pub(crate) fn next(&mut self, remedy: Remedy) -> Duration {
        let full = match remedy {
            Remedy::Bisect => return Duration::ZERO,
            Remedy::Pause => self.policy.pause,
            Remedy::Retry => {
                let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
                self.policy
                    .first
                    .saturating_mul(doubled)
                    .min(self.policy.max)
            }
        };
        self.failures = self.failures.saturating_add(1);
        let half = full / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        let drawn = self.draw().checked_rem(nanos).unwrap_or(0);
        half + Duration::from_nanos(drawn)
    }

    /// xorshift64: jitter needs spread, not secrecy.
    const fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Backoff = Backoff {
        first: Duration::from_millis(100),
        max: Duration::from_secs(10),
        pause: Duration::from_secs(30),
    };

    #[test]
    fn waits_double_up_to_the_maximum_and_are_spread() {
        let mut clock = BackoffClock::new(POLICY, 7);
        for failure in 0..40_u32 {
            let full = POLICY
                .first
                .saturating_mul(1_u32.checked_shl(failure).unwrap_or(u32::MAX))
                .min(POLICY.max);
            let wait = clock.next(Remedy::Retry);
            assert!(wait >= full / 2 && wait < full, "{failure}: {wait:?}");
        }
        clock.reset();
        assert!(clock.next(Remedy::Retry) < POLICY.first);
        assert!(clock.next(Remedy::Pause) >= POLICY.pause / 2);
        assert_eq!(clock.next(Remedy::Bisect), Duration::ZERO);
    }

    #[test]
    fn two_seeds_wait_differently() {
        let mut one = BackoffClock::new(POLICY, 1);
        let mut two = BackoffClock::new(POLICY, 99);
        assert_ne!(one.next(Remedy::Retry), two.next(Remedy::Retry));
    }
}
