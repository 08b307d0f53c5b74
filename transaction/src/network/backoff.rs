//! Waits between two attempts to connect.

use core::time::Duration;

/// How waits grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// The first one.
    pub first: Duration,
    /// Where the doubling stops; the jitter goes beyond it.
    pub max: Duration,
    /// A link that was up for so long begins anew.
    pub reset_after: Duration,
}

/// Doubles with ±50 % jitter, so that a thousand links do not come back in the same instant
/// (faults.md row 59).
#[derive(Debug)]
pub struct Backoff {
    policy: BackoffPolicy,
    wait: Duration,
    random: u64,
}

impl Backoff {
    /// Begins with the first wait.
    #[must_use]
    pub const fn new(policy: BackoffPolicy, seed: u64) -> Self {
        Self {
            wait: policy.first,
            policy,
            random: seed | 1,
        }
    }

    /// How long to wait after a connection that was up for `up_for`, or not at all.
    pub fn wait_after(&mut self, up_for: Option<Duration>) -> Duration {
        if up_for.is_some_and(|time| time >= self.policy.reset_after) {
            self.wait = self.policy.first;
        }
        // xorshift64: good enough to spread reconnects.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let percent = u32::try_from(self.random % 101).unwrap_or(0);
        let percent = percent.saturating_add(50);
        let wait = self.wait.saturating_mul(percent);
        self.wait = self.wait.saturating_mul(2).min(self.policy.max);
        wait.checked_div(100).unwrap_or(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const POLICY: BackoffPolicy = BackoffPolicy {
        first: Duration::from_millis(100),
        max: Duration::from_secs(1),
        reset_after: Duration::from_secs(60),
    };

    #[track_caller]
    fn check(backoff: &mut Backoff, up_for: Option<u64>, expected_ms: u64) {
        let wait = backoff.wait_after(up_for.map(Duration::from_secs));
        let wait = u64::try_from(wait.as_millis()).unwrap();
        let jitter = expected_ms / 2..=expected_ms * 3 / 2;
        assert!(jitter.contains(&wait), "{wait} ms for {expected_ms}");
    }

    #[test]
    fn it_doubles_up_to_its_bound_and_begins_anew_after_a_minute_up() {
        let mut backoff = Backoff::new(POLICY, 42);
        for expected in [100, 200, 400, 800, 1_000, 1_000] {
            check(&mut backoff, None, expected);
        }
        check(&mut backoff, Some(59), 1_000);
        check(&mut backoff, Some(60), 100);
        check(&mut backoff, Some(0), 200);
    }

    #[test]
    fn fault_059_a_thousand_links_come_back_at_different_instants() {
        let first = |seed: u64| Backoff::new(POLICY, seed << 1).wait_after(None);
        let mut waits: Vec<Duration> = (0..1_000).map(first).collect();
        waits.sort_unstable();
        let distinct: BTreeSet<Duration> = waits.iter().copied().collect();
        assert!(distinct.len() > 90, "only {} waits", distinct.len());
        let tenth = |part: u32| {
            let from = Duration::from_millis(u64::from(50 + part * 10));
            let until = from + Duration::from_millis(10);
            let within = |wait: &&Duration| **wait >= from && **wait < until;
            waits.iter().filter(within).count()
        };
        let busiest = (0..10).map(tenth).max().unwrap();
        assert!(
            busiest < 200,
            "{busiest} of 1,000 within a tenth of the time"
        );
    }
}
