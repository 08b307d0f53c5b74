//! Which entry wins, what is refused, and both against a scan over all entries.

use super::*;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec;

const AUTH: Option<MessageClass> = Some(MessageClass::Authorisation);
const FINANCIAL: Option<MessageClass> = Some(MessageClass::Financial);

fn prefix(text: &str) -> PrefixRange {
    text.parse().unwrap()
}

fn spec(prefixes: &[&str]) -> RouteSpec {
    RouteSpec {
        prefixes: prefixes.iter().map(|text| prefix(text)).collect(),
        class: None,
        currency: None,
        candidates: vec![IssuerId(0)],
        deadline: Duration::from_secs(2),
    }
}

fn conditional(
    prefixes: &[&str],
    class: Option<MessageClass>,
    currency: Option<Currency>,
) -> RouteSpec {
    RouteSpec {
        class,
        currency,
        ..spec(prefixes)
    }
}

fn query(account: &str) -> Query<'_> {
    Query {
        account: account.as_bytes(),
        class: MessageClass::Authorisation,
        currency: Currency::KES,
    }
}

fn found(table: &RouteTable, query: Query<'_>) -> Option<u16> {
    table.find(query).map(|route| route.id().0)
}

#[test]
fn the_longest_prefix_wins() {
    let table = RouteTable::build(vec![
        spec(&["4", "5"]),
        spec(&["4111"]),
        spec(&["41111111", "4111111111111111111"]),
        spec(&["411110-411112"]),
    ])
    .unwrap();
    #[track_caller]
    fn check(table: &RouteTable, account: &str, route: Option<u16>) {
        assert_eq!(found(table, query(account)), route, "{account}");
    }
    check(&table, "4999999999999999", Some(0));
    check(&table, "4111000000000000", Some(1));
    check(&table, "4111999999999999", Some(1));
    check(&table, "4112000000000000", Some(0));
    check(&table, "4111100000000000", Some(3));
    check(&table, "4111129999999999", Some(3));
    check(&table, "4111130000000000", Some(1));
    check(&table, "4111111111111111", Some(2));
    check(&table, "4111111111111111111", Some(2));
    check(&table, "3999999999999999", None);
    check(&table, "6000000000000000", None);
    check(&table, "5999999999999999999", Some(0));
    check(&table, "0000000000000000", None);
    check(&table, "9999999999999999999", None);
}

#[test]
fn what_is_no_account_has_no_route() {
    let table = RouteTable::build(vec![spec(&["0", "1-9"])]).unwrap();
    for account in ["", "4", "4111111", "41111111x", "41111111111111111111"] {
        assert_eq!(found(&table, query(account)), None, "{account}");
    }
    assert_eq!(found(&table, query("41111111")), Some(0));
    assert_eq!(found(&table, query("0000000000000000000")), Some(0));
    let empty = RouteTable::build(vec![]).unwrap();
    assert_eq!(found(&empty, query("41111111")), None);
}

/// Zeros that fill an account up to 19 digits are not its own.
#[test]
fn an_account_shorter_than_a_prefix_does_not_begin_with_it() {
    let table = RouteTable::build(vec![spec(&["41"]), spec(&["4100000000"])]).unwrap();
    assert_eq!(found(&table, query("410000000")), Some(0));
    assert_eq!(found(&table, query("4100000000")), Some(1));
}

#[test]
fn conditions_narrow_a_route_down() {
    let table = RouteTable::build(vec![
        conditional(&["41"], None, None),
        conditional(&["41"], AUTH, None),
        conditional(&["41"], AUTH, Some(Currency::KES)),
        conditional(&["4111"], FINANCIAL, None),
        conditional(&["42-44"], None, Some(Currency::KES)),
        conditional(&["43-45"], None, Some(Currency::USD)),
    ])
    .unwrap();
    let check = |account: &str, class, currency, route| {
        let query = Query {
            account: account.as_bytes(),
            class,
            currency,
        };
        assert_eq!(found(&table, query), route, "{query:?} of {account}");
    };
    let (auth, financial) = (MessageClass::Authorisation, MessageClass::Financial);
    check("4100000000", auth, Currency::KES, Some(2));
    check("4100000000", auth, Currency::USD, Some(1));
    check("4100000000", financial, Currency::KES, Some(0));
    check("4111000000", financial, Currency::KES, Some(3));
    check("4111000000", auth, Currency::KES, Some(2));
    check("4300000000", auth, Currency::KES, Some(4));
    check("4300000000", auth, Currency::USD, Some(5));
    check("4300000000", auth, Currency::NGN, None);
    check("4200000000", auth, Currency::USD, None);
}

/// The last account of a wide entry is one that a narrow one claims for another currency.
#[test]
fn an_entry_holds_up_to_its_last_account() {
    let narrow = conditional(&["4111111111111111119"], None, Some(Currency::USD));
    let wide = spec(&["4111111111111111110-4111111111111111119"]);
    let table = RouteTable::build(vec![wide, narrow]).unwrap();
    assert_eq!(found(&table, query("4111111111111111119")), Some(0));
    assert_eq!(found(&table, query("4111111111111111120")), None);
}

#[test]
fn all_faults_are_refused_at_once() {
    let errors = RouteTable::build(vec![
        spec(&["4111", "5061"]),
        spec(&["5061", "42"]),
        spec(&["40-45"]),
        spec(&[]),
        RouteSpec {
            candidates: vec![],
            deadline: Duration::ZERO,
            ..spec(&["7"])
        },
        RouteSpec {
            candidates: (0..9).map(IssuerId).collect(),
            ..spec(&["8"])
        },
        RouteSpec {
            candidates: [3, 5, 3].map(IssuerId).to_vec(),
            ..spec(&["9", "9"])
        },
    ])
    .unwrap_err();
    let route = RouteId;
    assert_eq!(
        errors,
        [
            TableError::NoPrefix { route: route(3) },
            TableError::NoDeadline { route: route(4) },
            TableError::NoCandidate { route: route(4) },
            TableError::Candidates {
                route: route(5),
                count: 9
            },
            TableError::CandidateTwice {
                route: route(6),
                issuer: IssuerId(3)
            },
            TableError::Ambiguous {
                route: route(1),
                prefix: prefix("5061"),
                other: route(0),
                other_prefix: prefix("5061"),
            },
            TableError::Ambiguous {
                route: route(6),
                prefix: prefix("9"),
                other: route(6),
                other_prefix: prefix("9"),
            },
        ]
    );
    assert_eq!(
        errors[5].to_string(),
        "prefix 5061 of route 1 and prefix 5061 of route 0 claim the same accounts; make one of \
         them narrower"
    );
}

#[test]
fn what_leaves_two_winners_is_refused() {
    let build = RouteTable::build;
    let refused = |specs: [RouteSpec; 2]| build(specs.to_vec()).is_err();
    let kes = Some(Currency::KES);
    assert!(refused([spec(&["41-43"]), spec(&["42-44"])]));
    assert!(refused([spec(&["4"]), spec(&["400-499"])]));
    let (by_class, by_currency) = (
        conditional(&["4"], AUTH, None),
        conditional(&["4"], None, kes),
    );
    assert!(refused([by_class.clone(), by_currency]));
    assert!(refused([by_class.clone(), by_class.clone()]));
    assert!(!refused([by_class, conditional(&["4"], AUTH, kes)]));
    assert!(!refused([spec(&["41-43"]), spec(&["42"])]));
}

#[test]
fn entries_over_one_account_are_bounded() {
    // Each a step narrower than the one before: all hold 5000.
    let nested = |count: u32| {
        let ranges = (0..count).map(|step| std::format!("{}-{}", 4_000 + step, 6_000 - step));
        let prefixes = ranges.map(|text| prefix(&text)).collect();
        RouteTable::build(vec![RouteSpec {
            prefixes,
            ..spec(&[])
        }])
    };
    assert!(nested(64).is_ok());
    assert_eq!(
        nested(65).unwrap_err(),
        [TableError::Overlaps {
            route: RouteId(0),
            prefix: prefix("4064-5936")
        }]
    );
}

#[test]
fn a_route_keeps_its_candidates_and_its_deadline() {
    let table = RouteTable::build(vec![RouteSpec {
        candidates: [4, 2, 7].map(IssuerId).to_vec(),
        deadline: Duration::from_millis(1_500),
        ..spec(&["4"])
    }])
    .unwrap();
    let route = table.find(query("4111111111111111")).unwrap();
    assert_eq!(route.candidates(), [4, 2, 7].map(IssuerId));
    assert_eq!(route.deadline(), Duration::from_millis(1_500));
    assert_eq!(table.routes().len(), 1);
}

/// The oracle: an entry as text, compared digit by digit.
#[derive(Clone, Debug)]
struct Naive {
    route: u16,
    low: String,
    high: String,
    class: Option<MessageClass>,
    currency: Option<Currency>,
}

impl Naive {
    fn fits(&self, query: &Query<'_>) -> bool {
        let account = core::str::from_utf8(query.account).unwrap();
        let Some(head) = account.get(..self.low.len()) else {
            return false;
        };
        (self.low.as_str()..=self.high.as_str()).contains(&head)
            && self.class.is_none_or(|class| class == query.class)
            && self
                .currency
                .is_none_or(|currency| currency == query.currency)
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
        usize::from(self.class.is_some()) + usize::from(self.currency.is_some())
    }

    fn is_ambiguous_with(&self, other: &Self) -> bool {
        let apart = |one: bool, two: bool, equal: bool| one && two && !equal;
        let classes = (self.class.is_some(), other.class.is_some());
        let currencies = (self.currency.is_some(), other.currency.is_some());
        if apart(classes.0, classes.1, self.class == other.class)
            || apart(currencies.0, currencies.1, self.currency == other.currency)
        {
            return false;
        }
        let ((low, high), (other_low, other_high)) = (self.ends(), other.ends());
        if high < other_low || other_high < low {
            return false;
        }
        if (&low, &high) == (&other_low, &other_high) {
            let subset = classes.0 <= classes.1 && currencies.0 <= currencies.1;
            let superset = classes.0 >= classes.1 && currencies.0 >= currencies.1;
            return subset == superset;
        }
        let inside = low >= other_low && high <= other_high;
        let around = low <= other_low && high >= other_high;
        !inside && !around
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

fn entries() -> impl Strategy<Value = Vec<Naive>> {
    let class = prop_oneof![4 => Just(None), 1 => Just(AUTH), 1 => Just(FINANCIAL)];
    let currency = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Currency::KES)),
        1 => Just(Some(Currency::USD)),
    ];
    let entry = (ends(), class, currency).prop_map(|((low, high), class, currency)| Naive {
        route: 0,
        low,
        high,
        class,
        currency,
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
        ..conditional(&[], entry.class, entry.currency)
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
        accounts in prop::collection::vec(digits(8..=19), 1..40),
        class in prop_oneof![Just(AUTH), Just(FINANCIAL)],
        currency in prop_oneof![Just(Currency::KES), Just(Currency::USD)],
    ) {
        let table = build(&entries).unwrap();
        for account in &accounts {
            let query = Query {
                account: account.as_bytes(),
                class: class.unwrap(),
                currency,
            };
            let fitting = entries.iter().filter(|entry| entry.fits(&query));
            let best = fitting.min_by_key(|entry| (entry.width(), 2 - entry.conditions()));
            prop_assert_eq!(found(&table, query), best.map(|entry| entry.route), "{}", account);
        }
    }
}

/// So many entries that the index has all its digits; each account is looked up at both ends of its
/// entry and beside them.
#[test]
fn look_up_and_scan_agree_in_a_large_table() {
    // Every 70th number of seven digits, told apart by an eighth digit every 3rd time.
    let text = |number: u64| {
        let digits = std::format!("{:07}", number * 70);
        if number.is_multiple_of(3) {
            std::format!("{digits}5")
        } else {
            digits
        }
    };
    let texts: Vec<String> = (0..100_000_u64).map(text).collect();
    let mut specs: Vec<RouteSpec> = (0..100).map(|_| spec(&[])).collect();
    for (number, text) in texts.iter().enumerate() {
        specs[number % 100].prefixes.push(prefix(text));
    }
    let table = RouteTable::build(specs).unwrap();
    for (number, text) in texts.iter().enumerate() {
        let expected = Some(u16::try_from(number % 100).unwrap());
        let (low, high) = (prefix(text).low(), prefix(text).high());
        let at = |account: u64| found(&table, query(&std::format!("{account:019}")));
        assert_eq!(at(low), expected, "{text}");
        assert_eq!(at(high), expected, "{text}");
        assert_eq!(at(high + 1), None, "after {text}");
    }
}
