//! How much an issuer may be asked, and when it is left alone.

use core::time::Duration;

use domain::ids::IssuerId;

use alloc::vec::Vec;

use crate::error::RouterError;

/// What one issuer's breaker and bulkhead go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuerPolicy {
    /// When the breaker opens and closes.
    pub breaker: BreakerPolicy,
    /// Calls in flight at most, from this shard; at least 1.
    pub inflight_max: u32,
}

/// When a breaker opens, how long it stays open, and what lets it close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// How far back calls are counted, in ten buckets: 100 ms to 1 h. A call counts for at least
    /// nine tenths of it.
    pub window: Duration,
    /// Calls in the window below which the breaker never opens; at least 1.
    pub calls_min: u32,
    /// Failed calls of a hundred at which it opens: 1 to 100. HalfOpen closes only below half of
    /// it.
    pub failure_percent: u8,
    /// The same for slow calls; `None` when slowness alone opens nothing.
    pub slow: Option<SlowPolicy>,
    /// Calls that HalfOpen admits, all in all, before it decides: 1 to 1,000.
    pub probes: u32,
    /// After so long without the result of its last probe, HalfOpen opens again, so that a result
    /// that never comes cannot hold it. Longer than the longest deadline of a route; above zero.
    pub probe_timeout: Duration,
    /// HalfOpen asks for an echo first, and opens again when that has no answer for so long; above
    /// zero. `None` probes with calls at once.
    pub echo: Option<Duration>,
    /// How long it stays open the first time; at least 10 ms.
    pub open_first: Duration,
    /// Each further time lasts twice as long, up to this; at least `open_first`.
    pub open_max: Duration,
    /// After staying closed for so long, the next opening is a first one again.
    pub calm: Duration,
}

/// When slowness opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowPolicy {
    /// A call that took this long or longer is slow; above zero.
    pub limit: Duration,
    /// Slow calls of a hundred at which the breaker opens: 1 to 100.
    pub percent: u8,
}

impl IssuerPolicy {
    /// All values that are out of bounds.
    pub(crate) fn errors(&self, issuer: IssuerId, errors: &mut Vec<RouterError>) {
        let breaker = &self.breaker;
        let percent = |value: u8| (1..=100).contains(&value);
        let slow = breaker.slow;
        let checks = [
            (self.inflight_max >= 1, "inflight_max", "at least 1"),
            (
                (WINDOW_MIN..=WINDOW_MAX).contains(&breaker.window),
                "window",
                "100 ms to 1 h",
            ),
            (breaker.calls_min >= 1, "calls_min", "at least 1"),
            (
                percent(breaker.failure_percent),
                "failure_percent",
                "1 to 100",
            ),
            (
                slow.is_none_or(|slow| percent(slow.percent)),
                "slow.percent",
                "1 to 100",
            ),
            (
                slow.is_none_or(|slow| !slow.limit.is_zero()),
                "slow.limit",
                "above zero",
            ),
            (
                (1..=PROBES_MAX).contains(&breaker.probes),
                "probes",
                "1 to 1000",
            ),
            (
                !breaker.probe_timeout.is_zero(),
                "probe_timeout",
                "above zero",
            ),
            (
                breaker.echo.is_none_or(|timeout| !timeout.is_zero()),
                "echo",
                "above zero",
            ),
            (
                breaker.open_first >= OPEN_MIN,
                "open_first",
                "at least 10 ms",
            ),
            (
                breaker.open_max >= breaker.open_first,
                "open_max",
                "at least open_first",
            ),
        ];
        let failed = checks.iter().filter(|(holds, _, _)| !holds);
        errors.extend(failed.map(|(_, knob, bounds)| RouterError::Policy {
            issuer,
            knob,
            bounds,
        }));
    }
}

const OPEN_MIN: Duration = Duration::from_millis(10);
const WINDOW_MIN: Duration = Duration::from_millis(100);
const WINDOW_MAX: Duration = Duration::from_secs(3600);
const PROBES_MAX: u32 = 1000;
