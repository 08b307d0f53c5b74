//! The table against a scan over all entries, which are compared as texts.

use super::*;
use crate::conditions::CategoryRange;
use crate::week::WeekWindow;
use proptest::prelude::*;

/// The oracle: an entry as text, compared digit by digit.
#[derive(Clone, Debug)]
struct Naive {
    route: u16,
    low: String,
    high: String,
    order: Option<u16>,
    conditions: Conditions,
}

/// What a request may say besides its account, out of a few values that reach every condition.
#[derive(Clone, Copy, Debug)]
struct Said {
    class: RouteClass,
    currency: Currency,
    minor: u64,
    category: Option<MerchantCategory>,
    acquirer: AcquirerId,
    at: WeekMinute,
}

impl Said {
    /// Every combination.
    fn all() -> impl Iterator<Item = Self> {
        let classes = [RouteClass::Authorisation, RouteClass::Financial];
        let categories = [None, category("1000"), category("2000"), category("3000")];
        let numbers = (0..2 * 2 * 4 * 4 * 3 * MINUTES.len()).collect::<Vec<_>>();
        numbers.into_iter().map(move |number| {
            let mut rest = number;
            let mut below = |bound| {
                let part = rest % bound;
                rest /= bound;
                part
            };
            Self {
                class: classes[below(2)],
                currency: [Currency::KES, Currency::USD][below(2)],
                minor: below(4) as u64,
                category: categories[below(4)],
                acquirer: [0, 1, 2].map(AcquirerId)[below(3)],
                at: WeekMinute::new(MINUTES[below(MINUTES.len())]),
            }
        })
    }

    fn query<'a>(&self, account: &'a str) -> Query<'a> {
        Query {
            class: self.class,
            amount: amount(self.minor, self.currency),
            category: self.category,
            acquirer: self.acquirer,
            at: self.at,
            ..query(account)
        }
    }
}

/// Minutes on both sides of all hours that [`conditions`] draws.
const MINUTES: [u16; 5] = [0, 359, 360, 1_320, 3_000];

impl Naive {
    fn fits(&self, query: &Query<'_>) -> bool {
        let account = core::str::from_utf8(query.account).unwrap();
        let Some(head) = account.get(..self.low.len()) else {
            return false;
        };
        (self.low.as_str()..=self.high.as_str()).contains(&head) && self.suits(query)
    }

    /// The conditions, one after the other.
    fn suits(&self, query: &Query<'_>) -> bool {
        let wanted = &self.conditions;
        if wanted.class.is_some() && wanted.class != Some(query.class) {
            return false;
        }
        if wanted.currency.is_some() && wanted.currency != query.amount.map(Amount::currency) {
            return false;
        }
        let minor = query.amount.unwrap().minor();
        if wanted
            .amount
            .is_some_and(|range| minor < range.min || minor > range.max)
        {
            return false;
        }
        let among = |texts: &[CategoryRange]| {
            let inside = |range: &CategoryRange| {
                let text = std::format!("{range:?}");
                let (low, high) = text.split_once('-').unwrap();
                query.category >= category(low) && query.category <= category(high)
            };
            query.category.is_some() && texts.iter().any(inside)
        };
        if !wanted.categories.is_empty() && !among(&wanted.categories) {
            return false;
        }
        if !wanted.acquirers.is_empty() && !wanted.acquirers.contains(&query.acquirer) {
            return false;
        }
        let holds = |window: &WeekWindow| window.holds(query.at);
        wanted.times.is_empty() || wanted.times.iter().any(holds)
    }

    /// Both ends in 19 digits: texts of one length compare as numbers do.
    fn ends(&self) -> (String, String) {
        (
            std::format!("{:0<19}", self.low),
            std::format!("{:9<19}", self.high),
        )
    }

    fn width(&self) -> u64 {
        let (low, high) = self.ends();
        high.parse::<u64>().unwrap() - low.parse::<u64>().unwrap()
    }

    fn conditions(&self) -> usize {
        let wanted = &self.conditions;
        let lists = [
            wanted.categories.len(),
            wanted.acquirers.len(),
            wanted.times.len(),
        ];
        usize::from(wanted.class.is_some())
            + usize::from(wanted.currency.is_some())
            + usize::from(wanted.amount.is_some())
            + lists.iter().filter(|len| **len > 0).count()
    }

    fn is_ambiguous_with(&self, other: &Self) -> bool {
        let ((low, high), (other_low, other_high)) = (self.ends(), other.ends());
        if high < other_low || other_high < low {
            return false;
        }
        let same = (&low, &high) == (&other_low, &other_high);
        if same && (self.conditions(), self.order) != (other.conditions(), other.order) {
            return false;
        }
        let inside = low >= other_low && high <= other_high;
        let around = low <= other_low && high >= other_high;
        if !same && (inside || around) {
            return false;
        }
        let fits_both = |said: Said| {
            let query = said.query("");
            self.suits(&query) && other.suits(&query)
        };
        Said::all().any(fits_both)
    }
}

/// Few digits, so that entries meet.
fn digits(len: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![Just('0'), Just('1'), Just('8'), Just('9')], len)
        .prop_map(|digits| digits.into_iter().collect())
}

fn ends() -> impl Strategy<Value = (String, String)> {
    let length = prop_oneof![6 => 1_usize..6, 1 => 8_usize..=19];
    let range = length.prop_flat_map(|len| (digits(len), digits(len)));
    (range, 0_u8..4).prop_map(|((one, two), kind)| match kind {
        0 if one <= two => (one, two),
        0 => (two, one),
        _ => (one.clone(), one),
    })
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let class = prop_oneof![4 => Just(None), 1 => Just(AUTH), 1 => Just(FINANCIAL)];
    let money = (0_u8..3, 0_u64..4, 0_u64..4, any::<bool>());
    let lists = (
        prop::collection::vec(0_usize..4, 0..2),
        prop::collection::vec((0_u16..3).prop_map(AcquirerId), 0..3),
        prop::collection::vec(0_usize..4, 0..2),
    );
    let rare = prop::option::weighted(0.4, lists);
    (class, money, rare).prop_map(|(class, (currency, one, two, bounded), rare)| {
        let (categories, acquirers, times) = rare.unwrap_or_default();
        let currency = [None, Some(Currency::KES), Some(Currency::USD)][usize::from(currency)];
        let (min, max) = (one.min(two), one.max(two));
        let ranges = ["1000", "2000-2999", "1500-3000", "0000-9999"];
        let hours = [
            "mon 00:00-06:00",
            "sun 22:00-06:00",
            "mon-wed 06:00-24:00",
            "wed 02:00-02:01",
        ];
        Conditions {
            class,
            currency,
            amount: (currency.is_some() && bounded).then_some(AmountRange { min, max }),
            categories: categories
                .iter()
                .map(|one| ranges[*one].parse().unwrap())
                .collect(),
            acquirers,
            times: times
                .iter()
                .map(|one| hours[*one].parse().unwrap())
                .collect(),
        }
    })
}

fn entries() -> impl Strategy<Value = Vec<Naive>> {
    let order = prop_oneof![3 => Just(None), 1 => Just(Some(1)), 1 => Just(Some(2))];
    let entry = (ends(), order, conditions()).prop_map(|((low, high), order, conditions)| Naive {
        route: 0,
        low,
        high,
        order,
        conditions,
    });
    prop::collection::vec(entry, 0..12).prop_map(|mut entries| {
        for (route, entry) in (0_u16..).zip(&mut entries) {
            entry.route = route;
        }
        entries
    })
}

fn build(entries: &[Naive]) -> Result<RouteTable, Vec<TableError>> {
    let specs = entries.iter().map(|entry| RouteSpec {
        prefixes: vec![PrefixRange::range(&entry.low, &entry.high).unwrap()],
        order: entry.order,
        ..with(&[], entry.conditions.clone())
    });
    RouteTable::build(specs.collect())
}

fn ambiguous(entries: &[Naive]) -> bool {
    entries.iter().enumerate().any(|(place, entry)| {
        let earlier = &entries[..place];
        earlier.iter().any(|other| entry.is_ambiguous_with(other))
    })
}

/// Leaves out what would make the set ambiguous.
fn settled(entries: Vec<Naive>) -> Vec<Naive> {
    let mut kept: Vec<Naive> = vec![];
    for entry in entries {
        if !kept.iter().any(|other| entry.is_ambiguous_with(other)) {
            let route = u16::try_from(kept.len()).unwrap();
            kept.push(Naive { route, ..entry });
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn exactly_the_ambiguous_tables_are_refused(entries in entries()) {
        prop_assert_eq!(build(&entries).is_err(), ambiguous(&entries));
    }

    #[test]
    fn look_up_and_scan_agree(
        entries in entries().prop_map(settled),
        accounts in prop::collection::vec(digits(8..=19), 1..10),
        said in prop::sample::select(Said::all().collect::<Vec<_>>()),
    ) {
        let table = build(&entries).unwrap();
        for account in &accounts {
            let query = said.query(account);
            let fitting = entries.iter().filter(|entry| entry.fits(&query));
            let best = fitting.min_by_key(|entry| {
                let place = entry.order.unwrap_or(u16::MAX);
                (entry.width(), 9 - entry.conditions(), place)
            });
            let best = best.map(|entry| entry.route);
            prop_assert_eq!(found(&table, query), best, "{} {:?}", account, said);
        }
    }
}
