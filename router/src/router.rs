//! The router of one shard: the shared route table, and for each issuer its breaker, its bulkhead
//! and the number of its links.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use domain::ids::{IssuerId, RouteId};
use domain::request::IssuerLeg;
use domain::time::Instant;

use crate::breaker::{Breaker, BreakerState};
use crate::bulkhead::Bulkhead;
use crate::candidates::bit;
use crate::error::RouterError;
use crate::policy::IssuerPolicy;
use crate::selection::{CallOutcome, Permit, Query, Selection, SkipReason, Skipped, Transition};
use crate::table::{Route, RouteTable};
pub use crate::window::CallCounts;

/// Chooses issuers for one shard.
#[derive(Debug)]
pub struct Router {
    table: Arc<RouteTable>,
    issuers: Vec<Issuer>,
    /// Bounded: what the caller leaves standing beyond `transitions_max` is dropped.
    transitions: VecDeque<Transition>,
    transitions_max: usize,
}

impl Router {
    /// A router with all breakers Closed, nothing in flight and no link up. The position of a
    /// policy is the number of its issuer.
    ///
    /// # Errors
    /// All policies out of bounds and all candidates without a policy.
    pub fn new(
        table: Arc<RouteTable>,
        policies: Vec<IssuerPolicy>,
    ) -> Result<Self, Vec<RouterError>> {
        let mut errors = Vec::new();
        if u16::try_from(policies.len()).is_err() {
            errors.push(RouterError::Issuers {
                count: policies.len(),
            });
        }
        for (issuer, policy) in (0..=u16::MAX).map(IssuerId).zip(&policies) {
            policy.errors(issuer, &mut errors);
        }
        unknown_issuers(&table, policies.len(), &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let transitions_max = policies.len().saturating_mul(TRANSITIONS_EACH);
        Ok(Self {
            table,
            issuers: policies.into_iter().map(Issuer::new).collect(),
            transitions: VecDeque::with_capacity(transitions_max),
            transitions_max,
        })
    }

    /// Chooses the first candidate of the request's route that may be asked now, in the order that
    /// groups and weights give. Bit *n* of `tried` passes over candidate *n*.
    pub fn select(&mut self, query: Query<'_>, tried: u8, now: Instant) -> Selection {
        let Some(route) = self.table.find(query).copied() else {
            return Selection::NoRoute;
        };
        self.choose(&route, query.draw, tried, now)
    }

    /// As [`Router::select`] for a request that has its route already: an hour or a table that has
    /// changed meanwhile would give `tried` another meaning.
    pub fn select_again(
        &mut self,
        route: RouteId,
        draw: u64,
        tried: u8,
        now: Instant,
    ) -> Selection {
        let Some(route) = self.table.route(route).copied() else {
            return Selection::NoRoute;
        };
        self.choose(&route, draw, tried, now)
    }

    /// Asks for one issuer, whoever the request's route names: it alone has what the request
    /// completes. The deadline is that of the route, the position is
    /// [`IssuerLeg::OF_ORIGINAL`].
    pub fn select_issuer(&mut self, query: Query<'_>, issuer: IssuerId, now: Instant) -> Selection {
        let Some(route) = self.table.find(query).copied() else {
            return Selection::NoRoute;
        };
        let mut skipped = Skipped::default();
        match self.admit(issuer, now) {
            Ok(permit) => Selection::Chosen {
                route: route.id(),
                candidate: IssuerLeg::OF_ORIGINAL,
                issuer,
                permit,
                deadline: route.deadline(),
                skipped,
            },
            Err(reason) => {
                skipped.push(issuer, reason);
                Selection::NoneAdmits {
                    route: route.id(),
                    skipped,
                }
            }
        }
    }

    /// Where the account is at home: the first candidate of its route, whether it may be asked now
    /// or not. For what waits until it can be.
    #[must_use]
    pub fn home(&self, query: Query<'_>) -> Option<(RouteId, IssuerId)> {
        let route = self.table.find(query)?;
        let (_, first) = route.drawn(query.draw).next()?;
        Some((route.id(), first))
    }

    //= docs/rules.md#R-03
    /// Takes a permit back. `latency` is the time from sending to the end of the call; it is not
    /// looked at when nothing was sent.
    pub fn finish(
        &mut self,
        permit: Permit,
        outcome: CallOutcome,
        latency: Duration,
        now: Instant,
    ) {
        let Permit { issuer, ticket } = permit;
        let Some(entry) = self.issuers.get_mut(usize::from(issuer.0)) else {
            debug_assert!(false, "a permit names an issuer of its router");
            return;
        };
        entry.bulkhead.release();
        let moved = match outcome {
            CallOutcome::Success => entry.breaker.record(ticket, false, latency, now),
            CallOutcome::Failure => entry.breaker.record(ticket, true, latency, now),
            CallOutcome::NotCalled => {
                entry.breaker.forgo(ticket);
                None
            }
        };
        self.report(issuer, moved);
    }

    /// Says how many links of an issuer are up and signed on. Without any it is never chosen.
    pub fn set_links_up(&mut self, issuer: IssuerId, count: u32) {
        if let Some(entry) = self.issuers.get_mut(usize::from(issuer.0)) {
            entry.links_up = count;
        }
    }

    /// Routes from here on by another table. Breakers and permits stay as they are.
    ///
    /// # Errors
    /// All candidates that this router has no issuer for; then nothing changes.
    pub fn replace_table(&mut self, table: Arc<RouteTable>) -> Result<(), Vec<RouterError>> {
        let mut errors = Vec::new();
        unknown_issuers(&table, self.issuers.len(), &mut errors);
        if errors.is_empty() {
            self.table = table;
            return Ok(());
        }
        Err(errors)
    }

    /// Moves the breakers whose time has come. Nothing depends on it but the promptness of
    /// [`Router::poll_transition`]: a selection moves what it meets by itself.
    pub fn handle_timeout(&mut self, now: Instant) {
        for number in 0..self.issuers.len() {
            let Some(entry) = self.issuers.get_mut(number) else {
                return;
            };
            let moved = entry.breaker.refresh(now);
            let issuer = IssuerId(u16::try_from(number).unwrap_or(u16::MAX));
            self.report(issuer, moved);
        }
    }

    /// When [`Router::handle_timeout`] has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.issuers
            .iter()
            .filter_map(|issuer| issuer.breaker.due())
            .min()
    }

    /// An issuer that is to be sent an echo, over any of its links; each once. To be drained after
    /// [`Router::handle_timeout`].
    pub fn poll_echo(&mut self, now: Instant) -> Option<IssuerId> {
        let wanting =
            |(_, entry): &(u16, &mut Issuer)| entry.links_up > 0 && entry.breaker.wants_echo();
        let (number, entry) = (0_u16..).zip(&mut self.issuers).find(wanting)?;
        entry.breaker.echo_sent(now);
        Some(IssuerId(number))
    }

    /// The issuer has answered an echo. Without this the breaker opens again by itself.
    pub fn echo_answered(&mut self, issuer: IssuerId, now: Instant) {
        if let Some(entry) = self.issuers.get_mut(usize::from(issuer.0)) {
            let moved = entry.breaker.refresh(now);
            entry.breaker.echo_answered(now);
            self.report(issuer, moved);
        }
    }

    /// The next transition that was not reported yet. To be drained at least once a second: an
    /// opening lasts 10 ms at least, so no issuer makes more than there is room for.
    pub fn poll_transition(&mut self) -> Option<Transition> {
        self.transitions.pop_front()
    }

    /// What a call to `issuer` at `now` would meet; `None` for an issuer that is not configured.
    #[must_use]
    pub fn state(&self, issuer: IssuerId, now: Instant) -> Option<BreakerState> {
        self.issuer(issuer).map(|entry| entry.breaker.state(now))
    }

    /// Calls in flight to `issuer` from this shard; zero for an issuer that is not configured.
    #[must_use]
    pub fn inflight(&self, issuer: IssuerId) -> u32 {
        self.issuer(issuer)
            .map_or(0, |entry| entry.bulkhead.inflight())
    }

    /// What the breaker of `issuer` has counted in its window.
    #[must_use]
    pub fn counts(&self, issuer: IssuerId, now: Instant) -> CallCounts {
        self.issuer(issuer)
            .map_or(CallCounts::ZERO, |entry| entry.breaker.counts(now))
    }

    /// The table in use.
    #[must_use]
    pub const fn table(&self) -> &Arc<RouteTable> {
        &self.table
    }

    /// Asserts what must always hold, in debug builds.
    pub fn check_invariants(&self) {
        debug_assert!(self.transitions.len() <= self.transitions_max);
        for issuer in &self.issuers {
            issuer.breaker.check_invariants();
        }
    }

    //= docs/rules.md#R-02
    fn choose(&mut self, route: &Route, draw: u64, tried: u8, now: Instant) -> Selection {
        debug_assert!(!route.candidates().is_empty());
        let mut skipped = Skipped::default();
        for (candidate, issuer) in route.drawn(draw) {
            let reason = if tried & bit(candidate) == 0 {
                match self.admit(issuer, now) {
                    Ok(permit) => {
                        return Selection::Chosen {
                            route: route.id(),
                            candidate,
                            issuer,
                            permit,
                            deadline: route.deadline(),
                            skipped,
                        };
                    }
                    Err(reason) => reason,
                }
            } else {
                SkipReason::Tried
            };
            skipped.push(issuer, reason);
        }
        Selection::NoneAdmits {
            route: route.id(),
            skipped,
        }
    }

    fn admit(&mut self, issuer: IssuerId, now: Instant) -> Result<Permit, SkipReason> {
        let Some(entry) = self.issuers.get_mut(usize::from(issuer.0)) else {
            debug_assert!(false, "candidates were checked when the table was taken");
            return Err(SkipReason::LinksDown);
        };
        if entry.links_up == 0 {
            return Err(SkipReason::LinksDown);
        }
        let moved = entry.breaker.refresh(now);
        let ticket = entry.admit(now);
        self.report(issuer, moved);
        ticket.map(|ticket| Permit { issuer, ticket })
    }

    fn report(&mut self, issuer: IssuerId, moved: Option<BreakerState>) {
        let Some(to) = moved else { return };
        let room = self.transitions.len() < self.transitions_max;
        debug_assert!(room, "transitions are drained now and then");
        if room {
            self.transitions.push_back(Transition { issuer, to });
        }
    }

    fn issuer(&self, issuer: IssuerId) -> Option<&Issuer> {
        self.issuers.get(usize::from(issuer.0))
    }
}

#[derive(Clone, Debug)]
struct Issuer {
    breaker: Breaker,
    bulkhead: Bulkhead,
    links_up: u32,
}

impl Issuer {
    fn new(policy: IssuerPolicy) -> Self {
        Self {
            breaker: Breaker::new(policy.breaker),
            bulkhead: Bulkhead::new(policy.inflight_max),
            links_up: 0,
        }
    }

    fn admit(&mut self, now: Instant) -> Result<crate::breaker::Ticket, SkipReason> {
        let rejected = if self.breaker.awaits_echo() {
            SkipReason::EchoAwaited
        } else {
            SkipReason::of_breaker(self.breaker.state(now))
        };
        if !self.breaker.admits() {
            return Err(rejected);
        }
        if self.bulkhead.is_full() {
            return Err(SkipReason::BulkheadFull);
        }
        let ticket = self.breaker.admit(now).ok_or(rejected)?;
        self.bulkhead.acquire();
        Ok(ticket)
    }
}

fn unknown_issuers(table: &RouteTable, issuers: usize, errors: &mut Vec<RouterError>) {
    for route in table.routes() {
        let unknown = route
            .candidates()
            .iter()
            .filter(|issuer| usize::from(issuer.0) >= issuers);
        errors.extend(unknown.map(|issuer| RouterError::UnknownIssuer {
            route: route.id(),
            issuer: *issuer,
        }));
    }
}

/// Room for transitions that nobody has polled yet, for each issuer.
const TRANSITIONS_EACH: usize = 320;

#[cfg(test)]
mod tests;
