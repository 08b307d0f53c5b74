//! Lays a route table out, in one sweep over the ends of all its entries.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use domain::Pan;
use domain::currency::Currency;
use domain::ids::RouteId;

use super::{PrefixRange, Query, Route, RouteSpec, RouteTable, Segment, TableError, unit_of};
use crate::candidates::Candidates;
use crate::conditions::{Conditions, RouteClass};

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
    let bare = bare(&specs, &mut errors);
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
    let Sweep {
        segments, rules, ..
    } = sweep;
    let (index, index_unit) = index(&segments);
    Ok(RouteTable {
        routes,
        conditions: specs.into_iter().map(|spec| spec.conditions).collect(),
        segments,
        rules,
        index,
        index_unit,
        bare,
    })
}

fn route(id: RouteId, spec: &RouteSpec, errors: &mut Vec<TableError>) -> Route {
    if spec.prefixes.is_empty() && spec.conditions.class != Some(RouteClass::Administrative) {
        errors.push(TableError::NoPrefix { route: id });
    }
    if spec.deadline.is_zero() {
        errors.push(TableError::NoDeadline { route: id });
    }
    if let Some(fault) = spec.conditions.fault() {
        errors.push(TableError::Condition { route: id, fault });
    }
    Route {
        id,
        candidates: Candidates::new(id, &spec.candidates, errors),
        deadline: spec.deadline,
    }
}

/// The routes without prefixes, in the order in which they are asked: more conditions before fewer,
/// then the one that is said to come first.
fn bare(specs: &[RouteSpec], errors: &mut Vec<TableError>) -> Vec<RouteId> {
    let rank = |spec: &RouteSpec| {
        (
            u8::MAX.saturating_sub(spec.conditions.count()),
            spec.place(),
        )
    };
    let mut bare: Vec<(RouteId, &RouteSpec)> = Vec::new();
    for (id, spec) in (0..=u16::MAX).map(RouteId).zip(specs) {
        if !spec.prefixes.is_empty() {
            continue;
        }
        let is_like = |other: &&(RouteId, &RouteSpec)| {
            rank(other.1) == rank(spec) && other.1.conditions.meet(&spec.conditions)
        };
        //= docs/rules.md#R-09
        match bare.iter().find(is_like) {
            Some((other, _)) => errors.push(TableError::Alike {
                route: id,
                other: *other,
            }),
            None => bare.push((id, spec)),
        }
    }
    bare.sort_by_key(|(id, spec)| (rank(spec), *id));
    bare.into_iter().map(|(id, _)| id).collect()
}

/// One prefix of one route.
#[derive(Clone, Copy)]
struct Entry<'a> {
    prefix: PrefixRange,
    rule: Rule,
    conditions: &'a Conditions,
    /// Falls with each condition, so that the entry with most sorts first.
    few_conditions: u8,
    place: u32,
}

impl<'a> Entry<'a> {
    fn new(route: RouteId, spec: &'a RouteSpec, prefix: PrefixRange) -> Self {
        let conditions = &spec.conditions;
        let rule = Rule {
            route,
            currency: conditions.currency,
            class: ClassCondition::of(conditions.class),
            has_rare: conditions.rare_count() > 0,
            digits: prefix.digits(),
            is_last: false,
        };
        Self {
            prefix,
            rule,
            conditions,
            few_conditions: u8::MAX.saturating_sub(conditions.count()),
            place: spec.place(),
        }
    }

    /// Narrowest first; of equal ones the one with more conditions, then the one that is said to
    /// come first. The rule itself is last, so that the sequence never depends on chance.
    fn rank(&self) -> (u64, u8, u32, Rule) {
        let width = self.prefix.high().saturating_sub(self.prefix.low());
        (width, self.few_conditions, self.place, self.rule)
    }

    /// Whether some request fits both and nothing says which of them it takes. Both claim a common
    /// account.
    //= docs/rules.md#R-09
    fn conflicts_with(&self, other: &Self) -> bool {
        !self.is_told_from(other) && self.conditions.meet(other.conditions)
    }

    /// Whether something says which of the two a request takes that fits both.
    fn is_told_from(&self, other: &Self) -> bool {
        let (mine, others) = (&self.prefix, &other.prefix);
        if mine.has_the_accounts_of(others) {
            return self.few_conditions != other.few_conditions || self.place != other.place;
        }
        let inside = mine.low() >= others.low() && mine.high() <= others.high();
        let around = mine.low() <= others.low() && mine.high() >= others.high();
        inside || around
    }
}

/// What an entry demands besides its accounts, and where it leads. Class and currency stand here,
/// since most conditions are of these; the others are looked up by route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    pub(super) route: RouteId,
    currency: Option<Currency>,
    class: ClassCondition,
    /// Whether the route has other conditions than these two.
    has_rare: bool,
    /// Digits that an account needs at least.
    digits: u8,
    /// No further rule belongs to the segment.
    pub(super) is_last: bool,
}

impl Rule {
    pub(super) fn fits(&self, query: &Query<'_>, table: &RouteTable) -> bool {
        query.account.len() >= usize::from(self.digits)
            && self.class.fits(query.class)
            && query.has_currency(self.currency)
            && (!self.has_rare || self.rare_fit(query, table))
    }

    /// Out of line: it is asked for few requests, and the look-up of all others stays short.
    #[cold]
    fn rare_fit(&self, query: &Query<'_>, table: &RouteTable) -> bool {
        let conditions = table.conditions.get(usize::from(self.route.0));
        conditions.is_some_and(|conditions| conditions.rare_fit(query))
    }

    /// Whether it takes every account of its segment that is an account number at all.
    fn always_fits(&self) -> bool {
        self.is_unconditional() && usize::from(self.digits) <= Pan::LEN_MIN
    }

    fn is_unconditional(&self) -> bool {
        self.class == ClassCondition::Any && self.currency.is_none() && !self.has_rare
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ClassCondition {
    Any,
    Authorisation,
    Financial,
    Administrative,
}

impl ClassCondition {
    const fn of(class: Option<RouteClass>) -> Self {
        match class {
            None => Self::Any,
            Some(RouteClass::Authorisation) => Self::Authorisation,
            Some(RouteClass::Financial) => Self::Financial,
            Some(RouteClass::Administrative) => Self::Administrative,
        }
    }

    fn fits(self, class: RouteClass) -> bool {
        self == Self::Any || self == Self::of(Some(class))
    }
}

/// Walks over all points where some entry begins or ends, and cuts a segment at each.
struct Sweep<'a> {
    /// Entries that claim the present point.
    active: Vec<Entry<'a>>,
    segments: Vec<Segment>,
    rules: Vec<Rule>,
    /// Where a list of rules stands already.
    known: BTreeMap<Vec<Rule>, u32>,
    scratch: Vec<Rule>,
    errors: Vec<TableError>,
}

impl<'a> Sweep<'a> {
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

    fn run(&mut self, mut entries: Vec<Entry<'a>>) {
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
    fn enter(&mut self, entry: Entry<'a>) {
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
            Some(rule) if rule.is_unconditional() => Segment {
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
