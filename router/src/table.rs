//! The route table: which issuers may answer for an account.
//!
//! Among all entries that claim an account and whose conditions fit, the narrowest wins: for
//! prefixes that is the longest one. Of entries with the very same accounts, one with more
//! conditions wins over one with fewer, then one with a lower order. Where that leaves two that
//! some request fits, the table is refused.

use alloc::vec::Vec;
use core::time::Duration;

use domain::Pan;
use domain::ids::{IssuerId, RouteId};

use crate::candidates::{Candidate, Candidates, Drawn};
use crate::conditions::Conditions;
use crate::error::TableError;
use crate::prefix::{PrefixRange, padded, unit_of};
use crate::selection::Query;

mod build;

use build::Rule;

/// A route as it is configured.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// The accounts it claims. None claims administrative messages that name no account, and only a
    /// route of that class may have none.
    pub prefixes: Vec<PrefixRange>,
    /// What else it demands of a request.
    pub conditions: Conditions,
    /// Settles which of two routes with the very same prefix and equally many conditions is taken:
    /// the lower one. Without it a route comes after those that have one.
    pub order: Option<u16>,
    /// Whom to ask, the preferred group first: 1 to 8 different issuers, all together.
    pub candidates: Vec<Vec<Candidate>>,
    /// How long an issuer may take; above zero.
    pub deadline: Duration,
}

impl RouteSpec {
    /// Without an order it comes after all that have one.
    fn place(&self) -> u32 {
        self.order.map_or(u32::MAX, u32::from)
    }
}

/// All routes, laid out for look-up. Immutable: a reload builds another one.
///
/// The 10^19 possible account numbers are cut into segments in which the same entries apply; each
/// segment leads to its rules, the winner first. An index by leading digits finds the few segments
/// to search. A million prefixes take some 40 MB.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// By route.
    conditions: Vec<Conditions>,
    /// Ascending by start; the first one starts at 0.
    segments: Vec<Segment>,
    /// Lists of rules, each ended by a rule that is marked as the last.
    rules: Vec<Rule>,
    /// For each value of the leading digits, the segment that holds the smallest such account; one
    /// more at the end.
    index: Vec<u32>,
    /// An account divided by this gives its leading digits.
    index_unit: u64,
    /// Routes without prefixes, the one that wins first.
    bare: Vec<RouteId>,
}

impl RouteTable {
    /// Candidates of a route at most.
    pub const CANDIDATES_MAX: usize = Candidates::MAX;
    /// Entries that may claim one account at most, which bounds the work of a look-up.
    pub const OVERLAPS_MAX: usize = 64;
    /// Routes at most.
    pub const ROUTES_MAX: usize = 65_535;
    /// Prefixes of all routes together at most.
    pub const PREFIXES_MAX: usize = 16_000_000;

    /// Checks and lays out `routes`; the position of a route is its number.
    ///
    /// # Errors
    /// All faults of all routes, each prefix named at most once.
    pub fn build(routes: Vec<RouteSpec>) -> Result<Self, Vec<TableError>> {
        build::build(routes)
    }

    //= docs/rules.md#R-01
    /// The route of an account, or of an administrative message that names none; `None` when no
    /// entry claims it.
    #[must_use]
    pub fn find(&self, query: Query<'_>) -> Option<&Route> {
        if query.account.len() < Pan::LEN_MIN {
            return self.find_bare(&query);
        }
        self.find_by_account(&query)
    }

    /// Among the routes without prefixes the first that fits.
    #[cold]
    fn find_bare(&self, query: &Query<'_>) -> Option<&Route> {
        if !query.account.is_empty() {
            return None;
        }
        let fits = |id: &&RouteId| {
            let conditions = self.conditions.get(usize::from(id.0));
            conditions.is_some_and(|conditions| conditions.fit(query))
        };
        self.route(*self.bare.iter().find(fits)?)
    }

    fn find_by_account(&self, query: &Query<'_>) -> Option<&Route> {
        let (account, _) = padded(query.account).ok()?;
        let segment = self.segment(account)?;
        let route = if query.account.len() >= usize::from(segment.winner_digits) {
            segment.winner
        } else {
            self.walk(segment, query)?
        };
        self.route(route)
    }

    /// A route by its number.
    #[must_use]
    pub fn route(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(usize::from(id.0))
    }

    /// All routes, by number.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The first rule of the segment that fits.
    fn walk(&self, segment: &Segment, query: &Query<'_>) -> Option<RouteId> {
        let first = usize::try_from(segment.rules).ok()?;
        for rule in self.rules.get(first..)? {
            if rule.fits(query, self) {
                return Some(rule.route);
            }
            if rule.is_last {
                break;
            }
        }
        None
    }

    /// The last segment that starts at or before `account`.
    fn segment(&self, account: u64) -> Option<&Segment> {
        let leading = usize::try_from(account.checked_div(self.index_unit)?).ok()?;
        let from = usize::try_from(*self.index.get(leading)?).ok()?;
        let to = usize::try_from(*self.index.get(leading.saturating_add(1))?).ok()?;
        debug_assert!(from <= to && to < self.segments.len());
        let near = self.segments.get(from..=to)?;
        let after = near.partition_point(|segment| segment.start <= account);
        debug_assert!(
            after > 0,
            "the index names a segment at or before the account"
        );
        near.get(after.checked_sub(1)?)
    }
}

/// A route in a table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    id: RouteId,
    candidates: Candidates,
    deadline: Duration,
}

impl Route {
    /// Its number.
    #[must_use]
    pub const fn id(&self) -> RouteId {
        self.id
    }

    /// Everyone who may be asked, by position.
    #[must_use]
    pub fn candidates(&self) -> &[IssuerId] {
        self.candidates.issuers()
    }

    /// The order in which one request asks them, each with its position.
    pub(crate) const fn drawn(&self, draw: u64) -> Drawn<'_> {
        self.candidates.drawn(draw)
    }

    /// How long an issuer may take.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }
}

/// Accounts from `start` to the next segment, to which the same rules apply.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: u64,
    /// Where its rules begin; [`Segment::NO_RULES`] when no entry claims it.
    rules: u32,
    /// Where its first rule leads, if that has no condition: spares most look-ups the way to the
    /// rules.
    winner: RouteId,
    /// Digits that an account needs for that; [`Segment::NO_WINNER`] when the rules must be asked.
    winner_digits: u8,
}

impl Segment {
    const NO_RULES: u32 = u32::MAX;
    const NO_WINNER: u8 = u8::MAX;
    const EMPTY: Self = Self {
        start: 0,
        rules: Self::NO_RULES,
        winner: RouteId(0),
        winner_digits: Self::NO_WINNER,
    };
}

#[cfg(test)]
mod tests;
