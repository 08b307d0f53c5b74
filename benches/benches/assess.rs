//! Risk rules: the verdict on one request, with a million accounts whose counters are warm.
//!
//! Beside it in the same run: one account alone, which stays in the cache, and a peer that keeps
//! the events of each account in a queue of a hash map.

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{AcquirerId, Slot};
use domain::pan::{Account, MaskedPan, PanToken, SealedPan, TokenKeyId};
use domain::request::{ContentHash, DuplicateKey, Facts, MessageClass, Trace, TraceKey};
use domain::time::{Instant, TransmissionTime};
use risk_inline::list::{Bin, ListSpec};
use risk_inline::policy::{AmountLimit, VelocityLimit, VelocityWindow};
use risk_inline::{Policy, RiskEngine, Verdict};

const ACCOUNTS: u64 = 1_000_000;
const LISTED: u64 = 100_000;
const WINDOWS_S: [u64; 3] = [60, 3_600, 86_400];

/// SplitMix64: spreads numbers as a keyed hash does.
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

fn token(number: u64) -> PanToken {
    let halves = [mixed(number), mixed(!number)];
    let mut token = [0; 16];
    token[..8].copy_from_slice(&halves[0].to_le_bytes());
    token[8..].copy_from_slice(&halves[1].to_le_bytes());
    PanToken(token)
}

fn facts() -> Facts {
    Facts {
        acquirer: AcquirerId(0),
        class: MessageClass::Authorisation,
        slot: Slot(0),
        key: DuplicateKey(0),
        content: ContentHash(0),
        trace_key: TraceKey(0),
        account: Account {
            token: token(0),
            token_key: TokenKeyId::FIRST,
            masked: MaskedPan {
                len: 16,
                first: *b"506100",
                last: *b"1111",
            },
            sealed: SealedPan {
                key_id: 1,
                nonce: [0; 12],
                ciphertext: [0; 20],
                tag: [0; 16],
            },
        },
        amount: Amount::new(2_500, Currency::KES).expect("twelve digits"),
        processing_code: Text::EMPTY,
        merchant_category: Text::EMPTY,
        entry_mode: Text::EMPTY,
        trace: Trace {
            stan: domain::ids::Stan::default(),
            transmitted: TransmissionTime::default(),
            local_time: Text::EMPTY,
            local_date: Text::EMPTY,
            rrn: Text::EMPTY,
            terminal: Text::EMPTY,
            merchant: Text::EMPTY,
            institution: Text::EMPTY,
        },
    }
}

/// Lists of a hundred thousand cards; limits that nobody reaches, so that every request is counted.
fn policy() -> Policy {
    let limit = VelocityLimit {
        currency: Currency::KES,
        count_max: Some(VelocityLimit::COUNT_MAX),
        amount_max: Some(VelocityLimit::AMOUNT_MAX),
    };
    let window = |seconds| VelocityWindow {
        length: Duration::from_secs(seconds),
        limits: vec![limit],
    };
    let listed = |from: u64| ListSpec {
        tokens: (from..from + LISTED).map(token).collect(),
        bins: (0..100)
            .map(|bin| Bin::from_digits(format!("{:06}", 900_000 + bin).as_bytes()).expect("six"))
            .collect(),
    };
    Policy {
        block: listed(ACCOUNTS),
        allow: listed(ACCOUNTS * 2),
        amounts: vec![AmountLimit {
            currency: Currency::KES,
            minor_min: 1,
            minor_max: 10_000_000,
        }],
        windows: WINDOWS_S.map(window).to_vec(),
    }
}

/// The peer: all events of the longest window, added up for each verdict.
#[derive(Default)]
struct EventQueues(HashMap<PanToken, VecDeque<(Instant, u64)>>);

impl EventQueues {
    fn assess(&mut self, facts: &Facts, now: Instant) -> bool {
        let events = self.0.entry(facts.account.token).or_default();
        let longest = Duration::from_secs(WINDOWS_S[2]);
        while events
            .front()
            .is_some_and(|(at, _)| now.since(*at) > longest)
        {
            events.pop_front();
        }
        let within = WINDOWS_S.iter().all(|seconds| {
            let length = Duration::from_secs(*seconds);
            let recent = events
                .iter()
                .rev()
                .take_while(|(at, _)| now.since(*at) < length);
            let (count, sum) = recent.fold((0_u32, 0), |(count, sum), (_, minor)| {
                (count + 1, sum + minor)
            });
            count < VelocityLimit::COUNT_MAX && sum < VelocityLimit::AMOUNT_MAX
        });
        if within {
            events.push_back((now, facts.amount.minor()));
        }
        within
    }
}

/// A clock of 10,000 requests a second, and accounts in no order.
struct Arrivals {
    facts: Facts,
    count: u64,
    accounts: u64,
}

impl Arrivals {
    fn of(accounts: u64) -> Self {
        Self {
            facts: facts(),
            count: 0,
            accounts,
        }
    }

    fn next(&mut self) -> (&Facts, Instant) {
        self.count += 1;
        self.facts.account.token = token(mixed(self.count) % self.accounts);
        (&self.facts, Instant::from_nanos(self.count * 100_000))
    }
}

fn assess(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assess");
    for accounts in [1, 1_000, ACCOUNTS] {
        let mut engine = RiskEngine::new(policy(), ACCOUNTS as usize, 7).expect("in bounds");
        let mut arrivals = Arrivals::of(accounts);
        for _ in 0..accounts * 3 {
            let (facts, now) = arrivals.next();
            engine.observe(facts, Duration::ZERO, now);
        }
        group.bench_function(format!("{accounts} accounts"), |bench| {
            bench.iter(|| {
                let (facts, now) = arrivals.next();
                black_box(engine.assess(facts, now)) == Verdict::Accept
            });
        });
    }
    let mut engine = RiskEngine::new(policy(), ACCOUNTS as usize / 10, 7).expect("in bounds");
    let mut arrivals = Arrivals::of(ACCOUNTS);
    group.bench_function("strangers, each evicts another", |bench| {
        bench.iter(|| {
            let (facts, now) = arrivals.next();
            black_box(engine.assess(facts, now)) == Verdict::Accept
        });
    });
    let mut peer = EventQueues::default();
    let mut arrivals = Arrivals::of(ACCOUNTS);
    for _ in 0..ACCOUNTS * 3 {
        let (facts, now) = arrivals.next();
        peer.assess(facts, now);
    }
    group.bench_function("peer: event queues of 1000000 accounts", |bench| {
        bench.iter(|| {
            let (facts, now) = arrivals.next();
            black_box(peer.assess(facts, now))
        });
    });
    group.finish();
}

criterion_group!(benches, assess);
criterion_main!(benches);
