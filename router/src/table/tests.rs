//! Which entry wins, and what is refused.

use super::*;
use crate::conditions::{AmountRange, ConditionError, MerchantCategory, RouteClass};
use crate::week::WeekMinute;
use domain::Amount;
use domain::currency::Currency;
use domain::ids::AcquirerId;
use std::string::{String, ToString};
use std::vec;

mod model;

const AUTH: Option<RouteClass> = Some(RouteClass::Authorisation);
const FINANCIAL: Option<RouteClass> = Some(RouteClass::Financial);

fn prefix(text: &str) -> PrefixRange {
    text.parse().unwrap()
}

fn spec(prefixes: &[&str]) -> RouteSpec {
    RouteSpec {
        prefixes: prefixes.iter().map(|text| prefix(text)).collect(),
        conditions: Conditions::default(),
        order: None,
        candidates: Candidate::in_order(&[IssuerId(0)]),
        deadline: Duration::from_secs(2),
    }
}

fn conditional(
    prefixes: &[&str],
    class: Option<RouteClass>,
    currency: Option<Currency>,
) -> RouteSpec {
    let conditions = Conditions {
        class,
        currency,
        ..Conditions::default()
    };
    with(prefixes, conditions)
}

fn with(prefixes: &[&str], conditions: Conditions) -> RouteSpec {
    RouteSpec {
        conditions,
        ..spec(prefixes)
    }
}

fn query(account: &str) -> Query<'_> {
    Query {
        account: account.as_bytes(),
        class: RouteClass::Authorisation,
        amount: amount(100, Currency::KES),
        category: None,
        acquirer: AcquirerId(0),
        at: WeekMinute::default(),
        draw: 0,
    }
}

fn amount(minor: u64, currency: Currency) -> Option<Amount> {
    Some(Amount::new(minor, currency).unwrap())
}

fn category(text: &str) -> Option<MerchantCategory> {
    MerchantCategory::from_digits(text.as_bytes())
}

fn found(table: &RouteTable, query: Query<'_>) -> Option<u16> {
    table.find(query).map(|route| route.id().0)
}

//= docs/rules.md#R-01
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
            class,
            amount: amount(100, currency),
            ..query(account)
        };
        assert_eq!(found(&table, query), route, "{query:?} of {account}");
    };
    let (auth, financial) = (RouteClass::Authorisation, RouteClass::Financial);
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

fn weighted(candidates: &[(u16, u16)]) -> Vec<Candidate> {
    let candidate = |&(issuer, weight): &(u16, u16)| Candidate {
        issuer: IssuerId(issuer),
        weight,
    };
    candidates.iter().map(candidate).collect()
}

const AMOUNT_ALONE: Conditions = Conditions {
    class: None,
    currency: None,
    amount: Some(AmountRange { min: 1, max: 2 }),
    categories: Vec::new(),
    acquirers: Vec::new(),
    times: Vec::new(),
};

/// Each condition by itself on one prefix, beside a route without any.
#[test]
fn each_condition_takes_its_requests_out_of_a_route() {
    #[track_caller]
    fn check(conditions: Conditions, inside: &[Query<'_>], outside: &[Query<'_>]) {
        let count = conditions.count();
        let table = RouteTable::build(vec![spec(&["4"]), with(&["4"], conditions)]).unwrap();
        for query in inside {
            assert_eq!(found(&table, *query), Some(1), "{count} {query:?}");
        }
        for query in outside {
            assert_eq!(found(&table, *query), Some(0), "{count} {query:?}");
        }
    }
    let base = query("4111111111111111");
    let none = Conditions::default;
    let amounts = Conditions {
        currency: Some(Currency::KES),
        ..AMOUNT_ALONE
    };
    let of = |minor, currency| Query {
        amount: amount(minor, currency),
        ..base
    };
    let kes = Currency::KES;
    check(
        amounts,
        &[of(1, kes), of(2, kes)],
        &[of(0, kes), of(3, kes), of(1, Currency::USD)],
    );
    let categories = Conditions {
        categories: ["5411", "5811-5814"]
            .map(|text| text.parse().unwrap())
            .to_vec(),
        ..none()
    };
    let of = |text| Query {
        category: category(text),
        ..base
    };
    check(
        categories,
        &[of("5411"), of("5811"), of("5814")],
        &[of("5410"), of("5412"), of("5815"), of(""), base],
    );
    let acquirers = Conditions {
        acquirers: [2, 5].map(AcquirerId).to_vec(),
        ..none()
    };
    let of = |id| Query {
        acquirer: AcquirerId(id),
        ..base
    };
    check(acquirers, &[of(2), of(5)], &[of(0), of(3)]);
    let times = Conditions {
        times: vec!["mon 08:00-18:00".parse().unwrap()],
        ..none()
    };
    let at = |minute| Query {
        at: WeekMinute::new(minute),
        ..base
    };
    check(
        times,
        &[at(480), at(1_079)],
        &[at(479), at(1_080), at(2_000)],
    );
}

#[test]
fn r09_what_some_request_fits_alike_is_refused_unless_an_order_says() {
    #[track_caller]
    fn check(one: &RouteSpec, other: &RouteSpec, stands: bool) {
        for specs in [[one, other], [other, one]] {
            let built = RouteTable::build(specs.map(Clone::clone).to_vec());
            assert_eq!(built.is_ok(), stands, "{:?}", built.err());
        }
    }
    //= docs/rules.md#R-09
    let of_categories = |text: &str| {
        let conditions = Conditions {
            categories: vec![text.parse().unwrap()],
            ..Conditions::default()
        };
        with(&["4"], conditions)
    };
    let of_times = |text: &str| {
        let conditions = Conditions {
            times: vec![text.parse().unwrap()],
            ..Conditions::default()
        };
        with(&["4"], conditions)
    };
    let ordered = |order, spec: &RouteSpec| RouteSpec {
        order: Some(order),
        ..spec.clone()
    };
    let (shops, food) = (of_categories("5000-5999"), of_categories("5811-5814"));
    let night = of_times("mon-sun 22:00-06:00");
    check(&shops, &of_categories("6000"), true);
    check(&shops, &food, false);
    check(&shops, &night, false);
    check(&shops, &ordered(1, &food), true);
    check(&ordered(1, &shops), &ordered(1, &food), false);
    check(&ordered(1, &shops), &ordered(2, &night), true);
    check(&night, &of_times("mon-sun 06:00-22:00"), true);
    check(&night, &of_times("sat 05:59-07:00"), false);
    // Two conditions win over one, whatever they are, and no order changes that.
    let both = RouteSpec {
        conditions: Conditions {
            currency: Some(Currency::KES),
            ..night.conditions
        },
        ..spec(&["4"])
    };
    check(&shops, &both, true);
    let table = RouteTable::build(vec![ordered(1, &shops), both]).unwrap();
    let at_night = Query {
        category: category("5411"),
        ..query("4111111111111111")
    };
    assert_eq!(found(&table, at_night), Some(1));
    // No order tells apart what lies across one another.
    check(
        &ordered(1, &spec(&["41-43"])),
        &ordered(2, &spec(&["42-44"])),
        false,
    );
}

#[test]
fn the_lower_order_is_taken_and_one_without_comes_last() {
    let route = |order, category: &str| RouteSpec {
        order,
        ..with(
            &["4"],
            Conditions {
                categories: vec![category.parse().unwrap()],
                ..Conditions::default()
            },
        )
    };
    let table = RouteTable::build(vec![
        route(None, "5000-5999"),
        route(Some(7), "5400-5499"),
        route(Some(3), "5450-5549"),
    ])
    .unwrap();
    let of = |text| Query {
        category: category(text),
        ..query("4111111111111111")
    };
    assert_eq!(found(&table, of("5000")), Some(0));
    assert_eq!(found(&table, of("5400")), Some(1));
    assert_eq!(found(&table, of("5450")), Some(2));
    assert_eq!(found(&table, of("5549")), Some(2));
    assert_eq!(found(&table, of("4999")), None);
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
            candidates: Candidate::in_order(&[0, 1, 2, 3, 4, 5, 6, 7, 8].map(IssuerId)),
            ..spec(&["8"])
        },
        RouteSpec {
            candidates: Candidate::in_order(&[3, 5, 3].map(IssuerId)),
            ..spec(&["9", "9"])
        },
        RouteSpec {
            candidates: vec![weighted(&[(0, 1_001)]), vec![]],
            ..with(&["6"], AMOUNT_ALONE)
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
            TableError::Condition {
                route: route(7),
                fault: ConditionError::AmountWithoutCurrency,
            },
            TableError::NoCandidate { route: route(7) },
            TableError::Weight { route: route(7) },
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
        errors[8].to_string(),
        "prefix 5061 of route 1 and prefix 5061 of route 0 claim the same accounts; give one of \
         them more conditions, or a lower order"
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
        candidates: vec![weighted(&[(4, 70), (2, 30)]), weighted(&[(7, 1)])],
        deadline: Duration::from_millis(1_500),
        ..spec(&["4"])
    }])
    .unwrap();
    let route = table.find(query("4111111111111111")).unwrap();
    assert_eq!(route.candidates(), [4, 2, 7].map(IssuerId));
    assert_eq!(route.deadline(), Duration::from_millis(1_500));
    assert_eq!(table.routes().len(), 1);
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

/// A message without an account, of an acquirer.
fn bare_query(acquirer: u16) -> Query<'static> {
    Query {
        class: RouteClass::Administrative,
        amount: None,
        acquirer: AcquirerId(acquirer),
        ..query("")
    }
}

fn bare_spec(acquirers: &[u16], order: Option<u16>) -> RouteSpec {
    let conditions = Conditions {
        class: Some(RouteClass::Administrative),
        acquirers: acquirers.iter().copied().map(AcquirerId).collect(),
        ..Conditions::default()
    };
    RouteSpec {
        order,
        ..with(&[], conditions)
    }
}

#[test]
fn a_message_without_an_account_takes_a_route_without_prefixes() {
    let table = RouteTable::build(vec![
        spec(&["4"]),
        bare_spec(&[], None),
        bare_spec(&[7], Some(2)),
        bare_spec(&[7, 8], Some(1)),
    ])
    .unwrap();
    assert_eq!(found(&table, bare_query(0)), Some(1));
    assert_eq!(found(&table, bare_query(7)), Some(3), "the lower order");
    assert_eq!(found(&table, bare_query(8)), Some(3));
    let money = Query {
        class: RouteClass::Financial,
        ..bare_query(0)
    };
    assert_eq!(found(&table, money), None);
    // With an account it is a route of that account, or none.
    let named = |account| Query {
        account,
        ..bare_query(0)
    };
    assert_eq!(found(&table, named(b"4111111111111111")), Some(0));
    assert_eq!(found(&table, named(b"5111111111111111")), None);
    assert_eq!(found(&table, named(b"41")), None);
}

#[test]
fn an_administrative_message_has_routes_of_its_own_and_no_amount() {
    let table = RouteTable::build(vec![
        spec(&["4"]),
        conditional(&["41"], Some(RouteClass::Administrative), None),
        conditional(&["42"], None, Some(Currency::KES)),
    ])
    .unwrap();
    let of = |account, class, amount| {
        let query = Query {
            class,
            amount,
            ..query(account)
        };
        found(&table, query)
    };
    let administrative = RouteClass::Administrative;
    assert_eq!(of("4100000000", administrative, None), Some(1));
    assert_eq!(of("4100000000", RouteClass::Financial, None), Some(0));
    assert_eq!(of("4200000000", administrative, None), Some(0));
    let amount = amount(100, Currency::KES);
    assert_eq!(of("4200000000", administrative, amount), Some(2));
}

#[test]
fn routes_without_prefixes_that_nothing_tells_apart_are_refused() {
    let refused = RouteTable::build(vec![
        bare_spec(&[1, 2], None),
        bare_spec(&[2, 3], None),
        bare_spec(&[3], None),
        bare_spec(&[2], Some(1)),
    ]);
    let alike = |route, other| TableError::Alike {
        route: RouteId(route),
        other: RouteId(other),
    };
    assert_eq!(refused.unwrap_err(), [alike(1, 0)]);
    let money = RouteTable::build(vec![conditional(&[], AUTH, None)]);
    let no_prefix = TableError::NoPrefix { route: RouteId(0) };
    assert_eq!(money.unwrap_err(), [no_prefix]);
}
