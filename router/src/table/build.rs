//! Lays a route table out, in one sweep over the ends of all its entries.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use domain::Pan;
use domain::currency::Currency;
use domain::ids::{IssuerId, RouteId};
use domain::request::MessageClass;

use super::{PrefixRange, Query, Route, RouteSpec, RouteTable, Segment, TableError, unit_of};

pub(super) fn build(specs: Vec<RouteSpec>) -> Result<RouteTable, Vec<TableError>> {
    let mut errors = Vec::new();
    let prefixes = specs.iter().map(|spec| spec.prefixes.len());
    let prefixes = prefixes.fold(0_usize, usize::saturating_add);
    if specs.len() > RouteTable::ROUTES_MAX {
        errors.push(TableError::Routes { count: specs.len() });
    }
    if prefixes > RouteTable::PREFIXES_MAX {
        errors.push(TableError::Prefixes { count: prefixes });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut routes = Vec::with_capacity(specs.len());
    let mut entries = Vec::with_capacity(prefixes);
    for (id, spec) in (0..=u16::MAX).map(RouteId).zip(&specs) {
        routes.push(route(id, spec, &mut errors));
        entries.extend(
            spec.prefixes
                .iter()
                .map(|prefix| Entry::new(id, spec, *prefix)),
        );
    }
    let mut sweep = Sweep::new(errors);
    sweep.run(entries);
    if !sweep.errors.is_empty() {
        return Err(sweep.errors);
    }
    debug_assert!(
        sweep
            .segments
            .is_sorted_by(|one, next| one.start < next.start)
    );
    debug_assert_eq!(
        routes.len(),
        specs.len(),
        "the position of a route is its number"
    );
    let (index, index_unit) = index(&sweep.segments);
    Ok(RouteTable {
        routes,
        segments: sweep.segments,
        rules: sweep.rules,
        index,
        index_unit,
    })
}

fn route(id: RouteId, spec: &RouteSpec, errors: &mut Vec<TableError>) -> Route {
    if spec.prefixes.is_empty() {
        errors.push(TableError::NoPrefix { route: id });
    }
    if spec.deadline.is_zero() {
        errors.push(TableError::NoDeadline { route: id });
    }
    let count = spec.candidates.len();
    if count == 0 {
        errors.push(TableError::NoCandidate { route: id });
    }
    if count > RouteTable::CANDIDATES_MAX {
        errors.push(TableError::Candidates { route: id, count });
    }
    let mut candidates = [IssuerId(0); RouteTable::CANDIDATES_MAX];
    for (place, issuer) in candidates.iter_mut().zip(&spec.candidates) {
        *place = *issuer;
    }
    let twice = spec.candidates.iter().enumerate().find(|(place, issuer)| {
        spec.candidates
            .iter()
            .take(*place)
            .any(|earlier| earlier == *issuer)
    });
    if let Some((_, issuer)) = twice {
        errors.push(TableError::CandidateTwice {
            route: id,
            issuer: *issuer,
        });
    }
    Route {
        id,
        count: u8::try_from(count).unwrap_or(u8::MAX),
        candidates,
        deadline: spec.deadline,
    }
}

/// One prefix of one route.
#[derive(Clone, Copy)]
struct Entry {
    prefix: PrefixRange,
    rule: Rule,
}

impl Entry {
    fn new(route: RouteId, spec: &RouteSpec, prefix: PrefixRange) -> Self {
        let rule = Rule {
            route,
            currency: spec.currency,
            class: ClassCondition::of(spec.class),
            digits: prefix.digits(),
            is_last: false,
        };
        Self { prefix, rule }
    }

    /// Narrowest first; of equal ones the one with more conditions.
    fn rank(&self) -> (u64, u8, Rule) {
        let width = self.prefix.high().saturating_sub(self.prefix.low());
        let conditions = self.rule.conditions();
        (width, 2_u8.saturating_sub(conditions), self.rule)
    }

    /// Whether some request fits both and nothing says which of them it takes. Both claim a common
    /// account.
    fn conflicts_with(&self, other: &Self) -> bool {
        if !self.rule.meets(&other.rule) {
            return false;
        }
        let (mine, others) = (&self.prefix, &other.prefix);
        if (mine.low(), mine.high()) == (others.low(), others.high()) {
            return !self.rule.has_not_as_many_conditions_as(&other.rule);
        }
        let inside = mine.low() >= others.low() && mine.high() <= others.high();
        let around = mine.low() <= others.low() && mine.high() >= others.high();
        !inside && !around
    }
}

/// What an entry demands besides its accounts, and where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    pub(super) route: RouteId,
    currency: Option<Currency>,
    class: ClassCondition,
    /// Digits that an account needs at least.
    digits: u8,
    /// No further rule belongs to the segment.
    pub(super) is_last: bool,
}

impl Rule {
    pub(super) fn fits(&self, query: &Query<'_>) -> bool {
        query.account.len() >= usize::from(self.digits)
            && self.class.fits(query.class)
            && self
                .currency
                .is_none_or(|currency| currency == query.currency)
    }

    /// Whether it takes every account of its segment that is an account number at all.
    fn always_fits(&self) -> bool {
        self.conditions() == 0 && usize::from(self.digits) <= Pan::LEN_MIN
    }

    /// Whether a request can fit both.
    fn meets(&self, other: &Self) -> bool {
        let currencies = match (self.currency, other.currency) {
            (Some(mine), Some(others)) => mine == others,
            (None, _) | (_, None) => true,
        };
        currencies && self.class.meets(other.class)
    }

    /// For rules that meet: whether the conditions of one hold those of the other and more.
    fn has_not_as_many_conditions_as(&self, other: &Self) -> bool {
        self.conditions() != other.conditions()
    }

    fn conditions(&self) -> u8 {
        let class = u8::from(self.class != ClassCondition::Any);
        class.saturating_add(u8::from(self.currency.is_some()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ClassCondition {
    Any,
    Authorisation,
    Financial,
}

impl ClassCondition {
    const fn of(class: Option<MessageClass>) -> Self {
        match class {
            None => Self::Any,
            Some(MessageClass::Authorisation) => Self::Authorisation,
            Some(MessageClass::Financial) => Self::Financial,
        }
    }

    fn fits(self, class: MessageClass) -> bool {
        self == Self::Any || self == Self::of(Some(class))
    }

    fn meets(self, other: Self) -> bool {
        self == other || self == Self::Any || other == Self::Any
    }
}

/// Walks over all points where some entry begins or ends, and cuts a segment at each.
struct Sweep {
    /// Entries that claim the present point.
    active: Vec<Entry>,
    segments: Vec<Segment>,
    rules: Vec<Rule>,
    /// Where a list of rules stands already.
    known: BTreeMap<Vec<Rule>, u32>,
    scratch: Vec<Rule>,
    errors: Vec<TableError>,
}

impl Sweep {
    fn new(errors: Vec<TableError>) -> Self {
        Self {
            active: Vec::with_capacity(RouteTable::OVERLAPS_MAX),
            segments: vec![Segment::EMPTY],
            rules: Vec::new(),
            known: BTreeMap::new(),
            scratch: Vec::new(),
            errors,
        }
    }

    fn run(&mut self, mut entries: Vec<Entry>) {
        // Stable: of equal entries the one of the earlier route is met first.
        entries.sort_by_key(|entry| {
            (
                entry.prefix.low(),
                u64::MAX.wrapping_sub(entry.prefix.high()),
            )
        });
        let mut points: Vec<u64> = entries
            .iter()
            .flat_map(|entry| [entry.prefix.low(), entry.prefix.high().saturating_add(1)])
            .collect();
        points.sort_unstable();
        points.dedup();
        let mut coming = entries.into_iter().peekable();
        for point in points {
            self.active.retain(|entry| entry.prefix.high() >= point);
            while let Some(entry) = coming.next_if(|entry| entry.prefix.low() == point) {
                self.enter(entry);
            }
            self.cut(point);
        }
        debug_assert!(coming.peek().is_none(), "each entry begins at a point");
        self.segments.shrink_to_fit();
    }

    /// An entry in conflict is named once and left out, so that it makes no further errors.
    fn enter(&mut self, entry: Entry) {
        let (route, prefix) = (entry.rule.route, entry.prefix);
        if let Some(other) = self.active.iter().find(|other| entry.conflicts_with(other)) {
            self.errors.push(TableError::Ambiguous {
                route,
                prefix,
                other: other.rule.route,
                other_prefix: other.prefix,
            });
        } else if self.active.len() >= RouteTable::OVERLAPS_MAX {
            self.errors.push(TableError::Overlaps { route, prefix });
        } else {
            self.active.push(entry);
        }
    }

    fn cut(&mut self, start: u64) {
        let segment = self.segment(start);
        let Some(before) = self.segments.last_mut() else {
            return;
        };
        if before.rules == segment.rules {
            return;
        }
        if before.start == start {
            *before = segment;
        } else {
            self.segments.push(segment);
        }
    }

    /// What begins at `start` under the entries that are active.
    fn segment(&mut self, start: u64) -> Segment {
        let rules = self.list();
        let first = self.active.first().map(|entry| entry.rule);
        match first {
            Some(rule) if rule.conditions() == 0 => Segment {
                start,
                rules,
                winner: rule.route,
                winner_digits: rule.digits,
            },
            Some(_) | None => Segment {
                start,
                rules,
                ..Segment::EMPTY
            },
        }
    }

    /// The rules of the present point, the winner first, kept once for all points with the same.
    fn list(&mut self) -> u32 {
        self.active.sort_unstable_by_key(Entry::rank);
        self.scratch.clear();
        for entry in &self.active {
            self.scratch.push(entry.rule);
            if entry.rule.always_fits() {
                break;
            }
        }
        let Some(last) = self.scratch.last_mut() else {
            return Segment::NO_RULES;
        };
        last.is_last = true;
        if let Some(start) = self.known.get(&self.scratch) {
            return *start;
        }
        let start = u32::try_from(self.rules.len()).unwrap_or(Segment::NO_RULES);
        self.rules.extend_from_slice(&self.scratch);
        self.known.insert(self.scratch.clone(), start);
        start
    }
}

/// For each value of the leading digits the segment that holds the first account with them.
fn index(segments: &[Segment]) -> (Vec<u32>, u64) {
    let mut digits = 1_usize;
    let mut values = 10_usize;
    while values < segments.len() && digits < INDEX_DIGITS_MAX {
        digits = digits.saturating_add(1);
        values = values.saturating_mul(10);
    }
    let unit = unit_of(digits);
    let mut index = Vec::with_capacity(values.saturating_add(1));
    let mut current = 0_u32;
    let mut later = segments.iter().skip(1).peekable();
    for value in 0..=values {
        let first = unit.saturating_mul(u64::try_from(value).unwrap_or(u64::MAX));
        while later.next_if(|segment| segment.start <= first).is_some() {
            current = current.saturating_add(1);
        }
        index.push(current);
    }
    debug_assert!(index.is_sorted(), "later digits, later segments");
    debug_assert_eq!(index.len(), values.saturating_add(1));
    (index, unit)
}

// Four to a cache line.
const _: () = assert!(size_of::<Segment>() == 16);

// Every place in the list of rules has a number below that of Segment::NO_RULES: each entry has two
// ends, and at each at most OVERLAPS_MAX rules are listed.
const _: () =
    assert!(RouteTable::PREFIXES_MAX * 2 * RouteTable::OVERLAPS_MAX < Segment::NO_RULES as usize);

/// A million values, 4 MB.
const INDEX_DIGITS_MAX: usize = 6;
