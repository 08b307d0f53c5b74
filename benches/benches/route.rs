//! Route choice: from an account number to a permit for an issuer, with a million prefixes.
//!
//! `find` is the look-up alone. Beside it in the same run: the same look-up in a table of ten
//! prefixes, and a peer that keeps a hash map per prefix length and asks the longest first.
//! `select` adds breaker, bulkhead and the return of the permit. Those with four routes each meet
//! three rules whose conditions do not hold.

use std::collections::HashMap;
use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::Amount;
use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId};
use domain::time::Instant;
use router::conditions::RouteClass;
use router::selection::{CallOutcome, Query};
use router::week::WeekMinute;
use router::{
    BreakerPolicy, Candidate, Conditions, IssuerPolicy, PrefixRange, RouteSpec, RouteTable, Router,
    Selection,
};

const PREFIXES: usize = 1_000_000;
const ROUTES: usize = 200;
const ISSUERS: u16 = 50;
const ACCOUNTS: usize = 1 << 16;

/// SplitMix64: the same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn digits(&mut self, len: usize) -> String {
        (0..len)
            .map(|_| char::from_digit(self.below(10) as u32, 10).unwrap_or('0'))
            .collect()
    }
}

/// Different prefixes: a tenth of 4 to 6 digits, half of 8, the rest of 9 to 11.
fn prefixes(count: usize, random: &mut Random) -> Vec<String> {
    let mut seen = HashSet::new();
    while seen.len() < count {
        let len = match random.below(10) {
            0 => 4 + random.below(3),
            1..6 => 8,
            _ => 9 + random.below(3),
        };
        seen.insert(random.digits(len as usize));
    }
    let mut prefixes: Vec<String> = seen.into_iter().collect();
    prefixes.sort_unstable();
    prefixes
}

fn table(prefixes: &[String]) -> Arc<RouteTable> {
    let mut specs: Vec<RouteSpec> = (0..ROUTES as u16)
        .map(|route| RouteSpec {
            prefixes: Vec::new(),
            conditions: Conditions::default(),
            order: None,
            candidates: Candidate::in_order(&[0, 1, 2].map(|n| IssuerId((route + n) % ISSUERS))),
            deadline: Duration::from_secs(2),
        })
        .collect();
    for (number, prefix) in prefixes.iter().enumerate() {
        let prefix = PrefixRange::prefix(prefix).expect("digits");
        specs[number % ROUTES].prefixes.push(prefix);
    }
    specs.retain(|spec| !spec.prefixes.is_empty());
    Arc::new(RouteTable::build(specs).expect("no two prefixes are alike"))
}

/// The same routes, each in four: by category, by acquirer and by time, which no query fits, and
/// without a condition. Whoever is asked is dealt by weight.
fn conditional(prefixes: &[String]) -> Arc<RouteTable> {
    let plain = Conditions::default;
    let conditions = [
        plain(),
        Conditions {
            categories: vec!["5411".parse().expect("digits"); 8],
            currency: Some(Currency::KES),
            ..plain()
        },
        Conditions {
            acquirers: (1..9).map(AcquirerId).collect(),
            currency: Some(Currency::KES),
            class: Some(RouteClass::Authorisation),
            ..plain()
        },
        Conditions {
            times: vec!["mon-sun 22:00-06:00".parse().expect("hours")],
            ..plain()
        },
    ];
    let group = |route: usize| {
        (0..3).map(move |n| Candidate {
            issuer: IssuerId(((route + n) % usize::from(ISSUERS)) as u16),
            weight: 10 + n as u16,
        })
    };
    let spec = |(route, prefix): (usize, &String)| {
        let prefix = PrefixRange::prefix(prefix).expect("digits");
        conditions.clone().map(|conditions| RouteSpec {
            prefixes: vec![prefix],
            conditions,
            order: None,
            candidates: vec![group(route).collect()],
            deadline: Duration::from_secs(2),
        })
    };
    let specs = prefixes.iter().enumerate().flat_map(spec);
    Arc::new(RouteTable::build(specs.collect()).expect("conditions tell them apart"))
}

/// Account numbers of 16 digits; nine of ten begin with a prefix of the table.
fn accounts(prefixes: &[String], random: &mut Random) -> Vec<String> {
    (0..ACCOUNTS)
        .map(|_| {
            if random.below(10) == 0 {
                return random.digits(16);
            }
            let prefix = &prefixes[random.below(prefixes.len() as u64) as usize];
            format!("{prefix}{}", random.digits(16 - prefix.len()))
        })
        .collect()
}

/// The peer: one hash map per prefix length, the longest asked first.
struct MapPerLength(Vec<(usize, HashMap<Vec<u8>, u16>)>);

impl MapPerLength {
    fn new(prefixes: &[String]) -> Self {
        let mut maps: HashMap<usize, HashMap<Vec<u8>, u16>> = HashMap::new();
        for (number, prefix) in prefixes.iter().enumerate() {
            let map = maps.entry(prefix.len()).or_default();
            map.insert(prefix.clone().into_bytes(), (number % ROUTES) as u16);
        }
        let mut maps: Vec<_> = maps.into_iter().collect();
        maps.sort_unstable_by_key(|(len, _)| std::cmp::Reverse(*len));
        Self(maps)
    }

    fn find(&self, account: &[u8]) -> Option<u16> {
        self.0
            .iter()
            .find_map(|(len, map)| map.get(account.get(..*len)?).copied())
    }
}

fn router(table: &Arc<RouteTable>) -> Router {
    let policy = IssuerPolicy {
        breaker: BreakerPolicy {
            window: Duration::from_secs(10),
            calls_min: 20,
            failure_percent: 50,
            slow: None,
            probes: 5,
            probe_timeout: Duration::from_secs(10),
            echo: None,
            open_first: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            calm: Duration::from_secs(60),
        },
        inflight_max: 256,
    };
    let policies = vec![policy; usize::from(ISSUERS)];
    let mut router = Router::new(Arc::clone(table), policies).expect("in bounds");
    for issuer in 0..ISSUERS {
        router.set_links_up(IssuerId(issuer), 4);
    }
    router
}

fn query(account: &str) -> Query<'_> {
    Query {
        account: account.as_bytes(),
        class: RouteClass::Authorisation,
        amount: Some(Amount::new(1_000, Currency::KES).expect("twelve digits")),
        category: None,
        acquirer: AcquirerId(0),
        at: WeekMinute::new(600),
        draw: 7,
    }
}

fn route(criterion: &mut Criterion) {
    let mut random = Random(1);
    let prefixes = prefixes(PREFIXES, &mut random);
    let accounts = accounts(&prefixes, &mut random);
    let mut next = accounts.iter().cycle();
    let mut next = move || next.next().expect("accounts go round");

    let large = table(&prefixes);
    let small = table(&prefixes[..10]);
    let peer = MapPerLength::new(&prefixes);
    let mut group = criterion.benchmark_group("route");
    group.bench_function("find in 1,000,000 prefixes", |bench| {
        bench.iter(|| large.find(query(next())).map(router::table::Route::id));
    });
    group.bench_function("find in 10 prefixes", |bench| {
        bench.iter(|| small.find(query(next())).map(router::table::Route::id));
    });
    group.bench_function("peer: hash map per length", |bench| {
        bench.iter(|| peer.find(next().as_bytes()));
    });
    let mut router = self::router(&large);
    let mut nanos = 0_u64;
    group.bench_function("select and finish in 1,000,000 prefixes", |bench| {
        bench.iter(|| {
            nanos += 100_000;
            let now = Instant::from_nanos(nanos);
            if let Selection::Chosen { permit, .. } = router.select(query(next()), 0, now) {
                let latency = black_box(Duration::from_millis(20));
                router.finish(permit, CallOutcome::Success, latency, now);
            }
        });
    });
    let conditional = conditional(&prefixes[..10_000]);
    group.bench_function("find in 10,000 prefixes with four routes each", |bench| {
        bench.iter(|| {
            conditional
                .find(query(next()))
                .map(router::table::Route::id)
        });
    });
    let mut router = self::router(&conditional);
    let mut draw = 0_u64;
    group.bench_function(
        "select and finish by weight, with four routes each",
        |bench| {
            bench.iter(|| {
                nanos += 100_000;
                draw += 1;
                let now = Instant::from_nanos(nanos);
                let query = Query {
                    draw,
                    ..query(next())
                };
                if let Selection::Chosen { permit, .. } = router.select(query, 0, now) {
                    let latency = black_box(Duration::from_millis(20));
                    router.finish(permit, CallOutcome::Success, latency, now);
                }
            });
        },
    );
    group.sample_size(10);
    group.bench_function("build of 1,000,000 prefixes", |bench| {
        bench.iter(|| table(&prefixes));
    });
    group.finish();
}

criterion_group!(benches, route);
criterion_main!(benches);
