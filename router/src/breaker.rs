//! The breaker of one issuer: stops asking an issuer that fails or crawls, and finds out with a few
//! probes when it is well again.

use core::time::Duration;

use domain::time::Instant;

use crate::policy::BreakerPolicy;
use crate::window::{CallCounts, CallWindow};

/// One issuer's breaker.
///
/// It moves only when it is called: [`Breaker::refresh`] before each [`Breaker::admit`].
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    state: State,
    /// Rises with each transition, so that a call which outlives the state that admitted it is
    /// known.
    generation: u32,
    /// How often the next open time is doubled.
    doublings: u32,
    window: CallWindow,
}

impl Breaker {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            state: State::Closed {
                since: Instant::ZERO,
            },
            generation: 0,
            doublings: 0,
            window: CallWindow::new(policy.window),
        }
    }

    /// Moves by the passing of time alone: Open to HalfOpen when its time is over, HalfOpen to Open
    /// when its probes stay without result. Says where to, at most one step a call.
    pub(crate) fn refresh(&mut self, now: Instant) -> Option<BreakerState> {
        let due = self.due()?;
        if now < due {
            return None;
        }
        match self.state {
            State::Closed { .. } => None,
            State::Open { .. } => Some(self.probe(now)),
            State::Echo { .. } | State::HalfOpen { .. } => Some(self.open(now)),
        }
    }

    /// Whether it waits for somebody to send an echo, see [`Breaker::echo_sent`].
    pub(crate) const fn wants_echo(&self) -> bool {
        matches!(self.state, State::Echo { sent: None })
    }

    /// Whether it admits nothing until an echo was answered.
    pub(crate) const fn awaits_echo(&self) -> bool {
        matches!(self.state, State::Echo { .. })
    }

    /// The echo that it wants is on its way.
    pub(crate) const fn echo_sent(&mut self, now: Instant) {
        if let State::Echo { sent } = &mut self.state {
            *sent = Some(now);
        }
    }

    /// The issuer has answered an echo: live calls may probe it.
    //= docs/rules.md#R-13
    pub(crate) const fn echo_answered(&mut self, now: Instant) {
        if let State::Echo { sent: Some(_) } = self.state {
            self.enter(State::probing(now));
        }
    }

    /// Whether [`Breaker::admit`] would admit, as things stand since the last [`Breaker::refresh`].
    pub(crate) const fn admits(&self) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { .. } | State::Echo { .. } => false,
            State::HalfOpen { admitted, .. } => admitted < self.policy.probes,
        }
    }

    /// Admits a call, or rejects it. A ticket must come back through [`Breaker::record`] or
    /// [`Breaker::forgo`].
    pub(crate) fn admit(&mut self, now: Instant) -> Option<Ticket> {
        if !self.admits() {
            return None;
        }
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { .. } | State::Echo { .. } => return None,
            State::HalfOpen {
                admitted,
                last_admitted,
                ..
            } => {
                *admitted = admitted.saturating_add(1);
                *last_admitted = now;
            }
        }
        self.check_invariants();
        Some(Ticket(self.generation))
    }

    /// The call was never made: its probe goes to the next one, and nothing is counted.
    pub(crate) fn forgo(&mut self, ticket: Ticket) {
        if ticket.0 != self.generation {
            return;
        }
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { .. } | State::Echo { .. } => {
                debug_assert!(false, "neither gives tickets");
            }
            State::HalfOpen { admitted, .. } => {
                debug_assert!(*admitted > 0, "its own admission is counted");
                *admitted = admitted.saturating_sub(1);
            }
        }
        self.check_invariants();
    }

    /// A call ended. Says where the breaker moved to, if it did. The result of a call that an
    /// earlier state admitted says nothing about the present one and is passed over.
    pub(crate) fn record(
        &mut self,
        ticket: Ticket,
        failed: bool,
        latency: Duration,
        now: Instant,
    ) -> Option<BreakerState> {
        if ticket.0 != self.generation {
            return None;
        }
        let slow = self.policy.slow.is_some_and(|slow| latency >= slow.limit);
        let call = CallCounts {
            calls: 1,
            failures: u32::from(failed),
            slow: u32::from(slow),
        };
        let moved = match &mut self.state {
            State::Closed { .. } => {
                self.window.record(call, now);
                self.trips().then(|| self.trip(now))
            }
            State::Open { .. } | State::Echo { .. } => {
                debug_assert!(false, "neither gives tickets");
                None
            }
            State::HalfOpen { results, .. } => {
                results.add(call);
                let results = *results;
                self.judge(results, now)
            }
        };
        self.check_invariants();
        moved
    }

    /// What a call at `now` would meet.
    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        let due = self.due().is_some_and(|due| now >= due);
        match (self.state, due) {
            (State::Closed { .. }, _) => BreakerState::Closed,
            (State::Open { .. }, false) | (State::Echo { .. } | State::HalfOpen { .. }, true) => {
                BreakerState::Open
            }
            (State::Open { .. }, true) | (State::Echo { .. } | State::HalfOpen { .. }, false) => {
                BreakerState::HalfOpen
            }
        }
    }

    /// When time alone moves it, unless something else does before.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until } => Some(until),
            // Nobody to ask: it is not the issuer that keeps silent.
            State::Echo { sent } => Some(sent?.after(self.policy.echo?)),
            State::HalfOpen {
                admitted,
                last_admitted,
                ..
            } => (admitted >= self.policy.probes)
                .then(|| last_admitted.after(self.policy.probe_timeout)),
        }
    }

    /// Calls of the window while Closed; what was counted before it opened otherwise.
    pub(crate) fn counts(&self, now: Instant) -> CallCounts {
        self.window.counts_at(now)
    }

    pub(crate) fn check_invariants(&self) {
        match self.state {
            State::Closed { .. } | State::Open { .. } => {}
            State::Echo { .. } => debug_assert!(self.policy.echo.is_some(), "it is to be asked"),
            State::HalfOpen {
                admitted, results, ..
            } => {
                debug_assert!(admitted <= self.policy.probes, "probes are limited");
                debug_assert!(results.calls <= admitted, "a result belongs to a probe");
            }
        }
    }

    fn trips(&self) -> bool {
        let counts = self.window.counts();
        let reaches = |part: u32, percent: u8| {
            u64::from(part).saturating_mul(100)
                >= u64::from(percent).saturating_mul(u64::from(counts.calls))
        };
        counts.calls >= self.policy.calls_min
            && (reaches(counts.failures, self.policy.failure_percent)
                || self
                    .policy
                    .slow
                    .is_some_and(|slow| reaches(counts.slow, slow.percent)))
    }

    /// Opens at the first bad probe too many, closes when all probes are in.
    fn judge(&mut self, results: CallCounts, now: Instant) -> Option<BreakerState> {
        let probes = self.policy.probes;
        let tolerated = |part: u32, percent: u8| {
            u64::from(part).saturating_mul(200)
                < u64::from(percent).saturating_mul(u64::from(probes))
        };
        let well = tolerated(results.failures, self.policy.failure_percent)
            && self
                .policy
                .slow
                .is_none_or(|slow| tolerated(results.slow, slow.percent));
        if !well {
            return Some(self.open(now));
        }
        (results.calls >= probes).then(|| self.close(now))
    }

    fn trip(&mut self, now: Instant) -> BreakerState {
        if let State::Closed { since } = self.state
            && now.since(since) >= self.policy.calm
        {
            self.doublings = 0;
        }
        self.open(now)
    }

    fn open(&mut self, now: Instant) -> BreakerState {
        let factor = 1_u32.checked_shl(self.doublings).unwrap_or(u32::MAX);
        let lasts = self
            .policy
            .open_first
            .saturating_mul(factor)
            .min(self.policy.open_max);
        debug_assert!(
            !lasts.is_zero(),
            "a time of zero would let every call through"
        );
        self.doublings = self.doublings.saturating_add(1).min(DOUBLINGS_MAX);
        self.enter(State::Open {
            until: now.after(lasts),
        });
        BreakerState::Open
    }

    //= docs/rules.md#R-04
    fn probe(&mut self, now: Instant) -> BreakerState {
        self.enter(match self.policy.echo {
            Some(_) => State::Echo { sent: None },
            None => State::probing(now),
        });
        BreakerState::HalfOpen
    }

    fn close(&mut self, now: Instant) -> BreakerState {
        self.window.clear();
        self.enter(State::Closed { since: now });
        BreakerState::Closed
    }

    const fn enter(&mut self, state: State) {
        self.state = state;
        self.generation = self.generation.wrapping_add(1);
    }
}

/// Leave to make one call; names the state that gave it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

/// ```text
///            failures or slow calls reach their percentage
///    ┌──────────────────────────────────────────────────────────────────┐
///    │                                                                  ▼
///  Closed ◄──────────────── HalfOpen ◄───────────── Echo ◄──────────  Open ◄─┐
///  admits   all probes in,  probes     answered   admits  its time   rejects │
///           fewer bad ones    │                   nothing  is over           │
///           than half the     │                     │                        │
///           percentage        └─────────────────────┴────────────────────────┘
///                               too many bad probes, or the last one, or the
///                               echo, has no result in time
/// ```
/// Each way into Open doubles its time, unless Closed has lasted for the calm time before. Echo is
/// the first part of what people see as HalfOpen; without echoes Open leads to HalfOpen at once.
#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        since: Instant,
    },
    Open {
        until: Instant,
    },
    Echo {
        /// When the echo left; `None` as long as nobody has sent one.
        sent: Option<Instant>,
    },
    HalfOpen {
        /// Probes given out and not given back unused.
        admitted: u32,
        /// How those that ended went.
        results: CallCounts,
        last_admitted: Instant,
    },
}

impl State {
    const fn probing(now: Instant) -> Self {
        Self::HalfOpen {
            admitted: 0,
            results: CallCounts::ZERO,
            last_admitted: now,
        }
    }
}

/// The state of a breaker, as metrics and people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Admits.
    Closed,
    /// Rejects.
    Open,
    /// Probes: admits a limited number of calls.
    HalfOpen,
}

/// Enough for any pair of open times: 2^31 × 1 ms is 24 days.
const DOUBLINGS_MAX: u32 = 31;

#[cfg(test)]
mod tests;
