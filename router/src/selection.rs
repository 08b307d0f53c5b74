//! What is asked of a router and what it answers.

use core::time::Duration;

use domain::Amount;
use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId, RouteId};

use crate::breaker::{BreakerState, Ticket};
use crate::conditions::{MerchantCategory, RouteClass};
use crate::table::RouteTable;
use crate::week::WeekMinute;

/// What decides about the route of a request.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// The account number in the clear, ASCII digits. Other bytes, or fewer than 8 or more than 19,
    /// have no route; none at all, in an administrative message, has a route without prefixes.
    pub account: &'a [u8],
    /// What kind of message it is.
    pub class: RouteClass,
    /// DE4 in DE49; without one no condition of an amount or a currency fits.
    pub amount: Option<Amount>,
    /// DE18, when the request names one.
    pub category: Option<MerchantCategory>,
    /// Whose request it is.
    pub acquirer: AcquirerId,
    /// When it came.
    pub at: WeekMinute,
    /// A hash of the request: decides by weight whom it asks first. The same for its copies.
    pub draw: u64,
}

impl Query<'_> {
    /// Whether its amount is in this currency, if one is asked for.
    pub(crate) fn has_currency(&self, wanted: Option<Currency>) -> bool {
        wanted.is_none_or(|wanted| self.amount.is_some_and(|it| it.currency() == wanted))
    }
}

impl core::fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Query")
            .field("class", &self.class)
            .field("currency", &self.amount.map(Amount::currency))
            .finish_non_exhaustive()
    }
}

/// The router's answer to one query.
#[derive(Debug)]
#[must_use = "a permit inside must come back through Router::finish"]
pub enum Selection {
    /// Ask this issuer.
    Chosen {
        /// The route that claims the account.
        route: RouteId,
        /// Which of its candidates, from 0, as the configuration counts them.
        candidate: u8,
        /// Who that is.
        issuer: IssuerId,
        /// Must come back through [`crate::Router::finish`], however the call ends.
        permit: Permit,
        /// How long the issuer may take, from the sending of the request.
        deadline: Duration,
        /// Those who were asked for before it, and why they were passed over.
        skipped: Skipped,
    },
    /// No route is configured for this account, class and currency (semantics.md R2: 92).
    NoRoute,
    /// The route has no candidate that may be asked now (semantics.md R2: 91).
    NoneAdmits {
        /// The route that claims the account.
        route: RouteId,
        /// All its candidates, each with its reason.
        skipped: Skipped,
    },
}

/// Leave to ask one issuer once: a place in its bulkhead and a ticket of its breaker. Neither
/// copied nor made outside of the router.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "must come back through Router::finish"]
pub struct Permit {
    pub(crate) issuer: IssuerId,
    pub(crate) ticket: Ticket,
}

impl Permit {
    /// Whom it allows to ask.
    #[must_use]
    pub const fn issuer(&self) -> IssuerId {
        self.issuer
    }
}

/// How the call behind a permit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// The issuer answered; a business decline is a success.
    Success,
    /// Timeout, link lost with the call in flight, 91, 96, 68, or an unusable answer
    /// (semantics.md §13 rule 3).
    Failure,
    /// Nothing was sent: counts neither way and gives its probe back.
    NotCalled,
}

/// Why a candidate was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// The caller has tried it before.
    Tried,
    /// None of its links is up and signed on.
    LinksDown,
    /// Its breaker is Open.
    BreakerOpen,
    /// Its breaker is HalfOpen and no echo was answered yet.
    EchoAwaited,
    /// Its breaker is HalfOpen and all probes are given out.
    ProbesTaken,
    /// As many calls are in flight as its bulkhead allows.
    BulkheadFull,
}

impl SkipReason {
    pub(crate) const fn of_breaker(state: BreakerState) -> Self {
        match state {
            BreakerState::HalfOpen => Self::ProbesTaken,
            BreakerState::Open | BreakerState::Closed => Self::BreakerOpen,
        }
    }
}

/// The candidates that one selection passed over, in the order in which it asked for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    reasons: [Option<(IssuerId, SkipReason)>; RouteTable::CANDIDATES_MAX],
}

impl Skipped {
    /// Each with the reason, the one asked for first before the others.
    pub fn iter(&self) -> impl Iterator<Item = (IssuerId, SkipReason)> {
        self.reasons.iter().copied().flatten()
    }

    /// Whether the first candidate was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reasons.iter().all(Option::is_none)
    }

    pub(crate) fn push(&mut self, issuer: IssuerId, reason: SkipReason) {
        let free = self.reasons.iter_mut().find(|place| place.is_none());
        debug_assert!(free.is_some(), "a route has at most eight candidates");
        if let Some(place) = free {
            *place = Some((issuer, reason));
        }
    }
}

/// A breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whose breaker.
    pub issuer: IssuerId,
    /// The state it is in from here on.
    pub to: BreakerState,
}
