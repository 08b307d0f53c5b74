//! What a route table or a router refuses to be made from. All are the configuration's fault, and
//! all are reported at once.

use domain::ids::{IssuerId, RouteId};
use thiserror::Error;

use crate::candidates::Candidate;
use crate::conditions::ConditionError;
use crate::prefix::PrefixRange;
use crate::table::RouteTable;

/// A route that cannot stand in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// Some request fits two entries, and neither is more specific: the same prefix twice with as
    /// many conditions and no order, or ranges that overlap without one holding the other.
    #[error(
        "prefix {prefix} of route {route} and prefix {other_prefix} of route {other} claim the \
         same accounts; {}",
        remedy(prefix, other_prefix)
    )]
    Ambiguous {
        /// The route read second, by position.
        route: RouteId,
        /// Its prefix.
        prefix: PrefixRange,
        /// The route read first; may be the same one.
        other: RouteId,
        /// The prefix it is in conflict with.
        other_prefix: PrefixRange,
    },
    /// More entries claim one account than a look-up may have to walk through.
    #[error(
        "prefix {prefix} of route {route} is the {}th that claims the same accounts; remove some",
        RouteTable::OVERLAPS_MAX.saturating_add(1)
    )]
    Overlaps {
        /// The route, by position.
        route: RouteId,
        /// The prefix that is one too many.
        prefix: PrefixRange,
    },
    /// Some message without an account fits two routes without prefixes, and neither has more
    /// conditions or a lower order.
    #[error(
        "route {route} and route {other} take the same messages without an account; give one of \
         them more conditions, or a lower order"
    )]
    Alike {
        /// The route read second, by position.
        route: RouteId,
        /// The route read first.
        other: RouteId,
    },
    /// A route that no account can take, of another class than administrative.
    #[error("route {route} has no prefix; give it one, or class administrative")]
    NoPrefix {
        /// The route, by position.
        route: RouteId,
    },
    /// A route that leads nowhere, or a group of candidates without any.
    #[error("route {route} has no candidate; give it an issuer")]
    NoCandidate {
        /// The route, by position.
        route: RouteId,
    },
    /// More candidates than the mask of those already tried has bits.
    #[error(
        "route {route} has {count} candidates; keep the first {}",
        RouteTable::CANDIDATES_MAX
    )]
    Candidates {
        /// The route, by position.
        route: RouteId,
        /// How many it has.
        count: usize,
    },
    /// A weight of zero, or above the largest.
    #[error(
        "route {route} has a weight that is not 1 to {}",
        Candidate::WEIGHT_MAX
    )]
    Weight {
        /// The route, by position.
        route: RouteId,
    },
    /// A condition that no request can be held against.
    #[error("route {route}: {fault}")]
    Condition {
        /// The route, by position.
        route: RouteId,
        /// What is wrong with it.
        fault: ConditionError,
    },
    /// One issuer twice among the candidates.
    #[error("route {route} names issuer {issuer} twice; remove one")]
    CandidateTwice {
        /// The route, by position.
        route: RouteId,
        /// The issuer, by position.
        issuer: IssuerId,
    },
    /// A deadline of zero: every request would time out.
    #[error("route {route} has a deadline of zero; give it some milliseconds")]
    NoDeadline {
        /// The route, by position.
        route: RouteId,
    },
    /// More routes than a route number counts.
    #[error("{count} routes are more than {}; merge some", RouteTable::ROUTES_MAX)]
    Routes {
        /// How many there are.
        count: usize,
    },
    /// More prefixes than a table holds.
    #[error(
        "{count} prefixes are more than {}; merge some",
        RouteTable::PREFIXES_MAX
    )]
    Prefixes {
        /// How many there are.
        count: usize,
    },
}

/// What settles which of two prefixes is taken.
#[must_use]
pub const fn remedy(prefix: &PrefixRange, other: &PrefixRange) -> &'static str {
    if prefix.has_the_accounts_of(other) {
        "give one of them more conditions, or a lower order"
    } else {
        "make one of them narrower"
    }
}

/// A router that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RouterError {
    /// A candidate that is not configured.
    #[error("route {route} names issuer {issuer}, which is not configured")]
    UnknownIssuer {
        /// The route, by position.
        route: RouteId,
        /// The issuer, by position.
        issuer: IssuerId,
    },
    /// More issuers than an issuer number counts.
    #[error("{count} issuers are more than 65535")]
    Issuers {
        /// How many there are.
        count: usize,
    },
    /// A value of an issuer's policy lies outside its bounds.
    #[error("issuer {issuer}: {knob} is out of bounds: {bounds}")]
    Policy {
        /// The issuer, by position.
        issuer: IssuerId,
        /// The field of the policy.
        knob: &'static str,
        /// What it may be.
        bounds: &'static str,
    },
}
