//! The order of the rules, what a policy may not be, and the engine against a memory of every
//! event.

use super::*;
use crate::list::{Bin, ListSpec};
use crate::policy::{AmountLimit, VelocityLimit};
use domain::ResponseCode;
use domain::currency::Currency;
use domain::pan::PanToken;
use domain::record::RefusalReason;
use proptest::prelude::*;
use samples::facts;
use std::string::ToString;

const KES: Currency = Currency::KES;
const USD: Currency = Currency::USD;
const BIN: &[u8; 6] = b"506100";

const fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1_000)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn bins(digits: &[&[u8]]) -> ListSpec {
    ListSpec {
        tokens: vec![],
        bins: digits
            .iter()
            .map(|bin| Bin::from_digits(bin).unwrap())
            .collect(),
    }
}

fn tokens(numbers: &[u8]) -> ListSpec {
    ListSpec {
        tokens: numbers
            .iter()
            .map(|number| PanToken([*number; 16]))
            .collect(),
        bins: vec![],
    }
}

const fn limit(currency: Currency, count: u32, amount: u64) -> VelocityLimit {
    VelocityLimit {
        currency,
        count_max: Some(count),
        amount_max: Some(amount),
    }
}

/// Two limits in KES, one in USD, and KES amounts of 10 to 1,000.
fn policy() -> Policy {
    Policy {
        block: ListSpec::EMPTY,
        allow: ListSpec::EMPTY,
        amounts: vec![AmountLimit {
            currency: KES,
            minor_min: 10,
            minor_max: 1_000,
        }],
        windows: vec![
            VelocityWindow {
                length: seconds(80),
                limits: vec![limit(KES, 3, 1_500), limit(USD, 2, 300)],
            },
            VelocityWindow {
                length: seconds(800),
                limits: vec![limit(KES, 5, 2_000)],
            },
        ],
    }
}

fn engine(policy: Policy) -> RiskEngine {
    RiskEngine::new(policy, 100, 7).unwrap()
}

fn check(engine: &mut RiskEngine, token: u8, minor: u64, now: Instant) -> Option<RefusalReason> {
    match engine.assess(&facts(token, BIN, minor, KES), now) {
        Verdict::Accept => None,
        Verdict::Decline { reason, .. } => Some(reason),
    }
}

//= docs/rules.md#R-06
#[test]
fn each_rule_declines_with_its_own_code() {
    let mut engine = engine(Policy {
        block: tokens(&[1]),
        ..policy()
    });
    let mut declined = |token, minor| match engine.assess(&facts(token, BIN, minor, KES), at(0)) {
        Verdict::Accept => None,
        Verdict::Decline { code, reason } => Some((code, reason)),
    };
    let blocked = (ResponseCode::RESTRICTED_CARD, RefusalReason::BlockList);
    let amount = (
        ResponseCode::EXCEEDS_AMOUNT_LIMIT,
        RefusalReason::AmountLimit,
    );
    let sum = (
        ResponseCode::EXCEEDS_AMOUNT_LIMIT,
        RefusalReason::VelocityAmount,
    );
    let count = (
        ResponseCode::EXCEEDS_FREQUENCY_LIMIT,
        RefusalReason::VelocityCount,
    );
    assert_eq!(declined(1, 100), Some(blocked));
    assert_eq!(declined(2, 9), Some(amount));
    assert_eq!(declined(2, 1_001), Some(amount));
    assert_eq!(declined(2, 1_000), None);
    assert_eq!(declined(2, 501), Some(sum));
    assert_eq!(declined(2, 490), None);
    assert_eq!(declined(2, 10), None);
    assert_eq!(declined(2, 10), Some(count));
}

#[test]
fn the_allow_list_lifts_limits_but_not_the_block_list() {
    let mut engine = engine(Policy {
        block: bins(&[b"411111"]),
        allow: ListSpec {
            bins: bins(&[b"411111", b"422222"]).bins,
            ..tokens(&[5])
        },
        ..policy()
    });
    let blocked = facts(5, b"411111", 100, KES);
    assert_eq!(engine.assess(&blocked, at(0)), Verdict::BLOCKED);
    for _ in 0..20 {
        for allowed in [facts(5, BIN, 1_000, KES), facts(6, b"422222", 999_999, KES)] {
            assert_eq!(engine.assess(&allowed, at(0)), Verdict::Accept);
            engine.observe(&allowed, seconds(0), at(0));
        }
    }
    assert_eq!(engine.accounts(), 0, "nothing is counted");
}

#[test]
fn a_decline_leaves_no_trace() {
    let mut engine = engine(policy());
    for _ in 0..20 {
        let amount = check(&mut engine, 1, 5_000, at(0));
        assert_eq!(amount, Some(RefusalReason::AmountLimit));
    }
    for _ in 0..3 {
        assert_eq!(check(&mut engine, 1, 10, at(0)), None);
    }
    // Declined ones do not push the end of the window away.
    for second in 0..80 {
        let count = check(&mut engine, 1, 10, at(second));
        assert_eq!(count, Some(RefusalReason::VelocityCount), "{second}");
    }
    assert_eq!(check(&mut engine, 1, 10, at(90)), None);
}

#[test]
fn accounts_and_currencies_count_for_themselves() {
    let mut engine = engine(policy());
    let shilling = facts(1, BIN, 500, KES);
    let dollar = facts(1, BIN, 100, USD);
    for _ in 0..3 {
        assert_eq!(engine.assess(&shilling, at(0)), Verdict::Accept);
    }
    assert_eq!(engine.assess(&shilling, at(0)), Verdict::VELOCITY_COUNT);
    assert_eq!(check(&mut engine, 2, 500, at(0)), None);
    assert_eq!(engine.assess(&dollar, at(0)), Verdict::Accept);
    assert_eq!(engine.assess(&dollar, at(0)), Verdict::Accept);
    assert_eq!(engine.assess(&dollar, at(0)), Verdict::VELOCITY_COUNT);
    // A currency that no limit names is neither limited nor counted.
    let naira = facts(1, BIN, 999_999_999, Currency::NGN);
    for _ in 0..100 {
        assert_eq!(engine.assess(&naira, at(0)), Verdict::Accept);
    }
    assert_eq!(engine.accounts(), 3);
}

#[test]
fn the_longer_window_holds_when_the_shorter_one_is_free_again() {
    let mut engine = engine(policy());
    for second in [0, 0, 0, 100, 100] {
        assert_eq!(check(&mut engine, 1, 10, at(second)), None);
    }
    let count = Some(RefusalReason::VelocityCount);
    assert_eq!(check(&mut engine, 1, 10, at(400)), count);
    assert_eq!(check(&mut engine, 1, 10, at(899)), count);
    assert_eq!(check(&mut engine, 1, 10, at(900)), None);
}

#[test]
fn what_was_observed_after_a_restart_counts() {
    let mut engine = engine(policy());
    let request = facts(1, BIN, 10, KES);
    // Not in the order of time, one that has left both windows, and all before the clock's zero.
    for age in [10, 70, 15, 1_000] {
        engine.observe(&request, seconds(age), at(0));
    }
    assert_eq!(engine.counted(&request, at(0))[..2], [(3, 30), (3, 30)]);
    let stranger = facts(2, BIN, 10, KES);
    assert_eq!(engine.counted(&stranger, at(0))[..2], [(0, 0), (0, 0)]);
    assert_eq!(engine.assess(&request, at(0)), Verdict::VELOCITY_COUNT);
    // The one of 70 seconds before has left the shorter window.
    assert_eq!(engine.assess(&request, at(20)), Verdict::Accept);
    assert_eq!(engine.assess(&request, at(20)), Verdict::VELOCITY_COUNT);
}

#[test]
fn a_new_policy_keeps_the_counters_of_equal_windows() {
    let mut engine = engine(policy());
    for _ in 0..3 {
        assert_eq!(check(&mut engine, 1, 10, at(0)), None);
    }
    let mut stricter = policy();
    stricter.windows[0].limits[0] = limit(KES, 4, 1_500);
    engine.replace_policy(stricter.clone()).unwrap();
    assert_eq!(check(&mut engine, 1, 10, at(0)), None);
    let count = Some(RefusalReason::VelocityCount);
    assert_eq!(check(&mut engine, 1, 10, at(0)), count);
    let mut broken = policy();
    broken.windows[0].length = seconds(0);
    assert!(engine.replace_policy(broken).is_err());
    assert_eq!(check(&mut engine, 1, 10, at(0)), count);
    stricter.windows[0].length = seconds(81);
    engine.replace_policy(stricter).unwrap();
    assert_eq!(engine.accounts(), 0);
    assert_eq!(check(&mut engine, 1, 10, at(0)), None);
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let amount = |currency, minor_min, minor_max| AmountLimit {
        currency,
        minor_min,
        minor_max,
    };
    let window = |length, limits: &[VelocityLimit]| VelocityWindow {
        length,
        limits: limits.to_vec(),
    };
    let broken = Policy {
        block: ListSpec::EMPTY,
        allow: ListSpec::EMPTY,
        amounts: vec![amount(KES, 2, 1), amount(USD, 0, 1), amount(USD, 0, 1)],
        windows: vec![
            window(Duration::from_millis(999), &[limit(KES, 65_536, 1)]),
            window(seconds(31 * 86_400 + 1), &[limit(KES, 1, (1 << 48) - 1)]),
            window(seconds(60), &[limit(USD, 1, 1), limit(USD, 1, 1)]),
            window(seconds(60), &[limit(USD, 1, 1)]),
        ],
    };
    let errors = RiskEngine::new(broken, 0, 0).unwrap_err();
    let (currency, other) = (KES, USD);
    assert_eq!(
        errors,
        [
            PolicyError::Accounts { accounts_max: 0 },
            PolicyError::AmountOrder { currency },
            PolicyError::AmountTwice { currency: other },
            PolicyError::Windows { count: 4 },
            PolicyError::Length { window: 0 },
            PolicyError::CountMax {
                window: 0,
                currency
            },
            PolicyError::Length { window: 1 },
            PolicyError::AmountMax {
                window: 1,
                currency
            },
            PolicyError::VelocityTwice {
                window: 2,
                currency: other
            },
        ]
    );
    assert_eq!(
        errors[4].to_string(),
        "velocity window 0 has a length out of bounds; give 1 s to 31 days"
    );
    let too_many = RiskEngine::new(policy(), (1 << 30) + 1, 0).unwrap_err();
    let accounts_max = (1 << 30) + 1;
    assert_eq!(too_many, [PolicyError::Accounts { accounts_max }]);
}

/// A request that was accepted, as the model remembers it.
#[derive(Clone, Copy, Debug)]
struct Event {
    token: u8,
    currency: Currency,
    nanos: u64,
    minor: u64,
}

/// Remembers every event and adds up anew each time.
struct Memory {
    windows: Vec<VelocityWindow>,
    events: Vec<Event>,
}

impl Memory {
    /// Counts and sums of the events for which `counts` holds, given window length and age.
    fn sums(&self, event: Event, counts: impl Fn(u64, u64) -> bool) -> Vec<(usize, u64)> {
        let sum = |window: &VelocityWindow| {
            let length = u64::try_from(window.length.as_nanos()).unwrap();
            let same = self.events.iter().filter(|other| {
                (other.token, other.currency) == (event.token, event.currency)
                    && counts(length, other.nanos)
            });
            same.fold((0, 0), |(count, minor), other| {
                (count + 1, minor + other.minor)
            })
        };
        self.windows.iter().map(sum).collect()
    }

    fn check(&self, event: Event) -> Verdict {
        let bucketed = |length: u64, nanos: u64| {
            let width = length.div_ceil(8);
            let number = |nanos| (nanos + LEAD_NANOS) / width;
            number(nanos) + 8 >= number(event.nanos)
        };
        let sums = self.sums(event, bucketed);
        for (window, (count, sum)) in self.windows.iter().zip(sums) {
            let Some(limit) = limit_of(window, event.currency) else {
                continue;
            };
            if limit.count_max.is_some_and(|max| count + 1 > max as usize) {
                return Verdict::VELOCITY_COUNT;
            }
            if limit.amount_max.is_some_and(|max| sum + event.minor > max) {
                return Verdict::VELOCITY_AMOUNT;
            }
        }
        Verdict::Accept
    }

    /// No interval as long as a window, to the nanosecond, holds more than the window allows.
    fn assert_limits_hold(&self, event: Event) {
        let exact = |length: u64, nanos: u64| nanos + length > event.nanos;
        for (window, (count, sum)) in self.windows.iter().zip(self.sums(event, exact)) {
            let Some(limit) = limit_of(window, event.currency) else {
                continue;
            };
            assert!(limit.count_max.is_none_or(|max| count <= max as usize));
            assert!(limit.amount_max.is_none_or(|max| sum <= max));
        }
    }
}

fn limit_of(window: &VelocityWindow, currency: Currency) -> Option<&VelocityLimit> {
    window
        .limits
        .iter()
        .find(|limit| limit.currency == currency)
}

fn velocity_limit(currency: Currency) -> impl Strategy<Value = VelocityLimit> {
    let count_max = proptest::option::of(0_u32..6);
    let amount_max = proptest::option::of(0_u64..600);
    (count_max, amount_max).prop_map(move |(count_max, amount_max)| VelocityLimit {
        currency,
        count_max,
        amount_max,
    })
}

fn windows() -> impl Strategy<Value = Vec<VelocityWindow>> {
    let limits = (
        velocity_limit(KES),
        proptest::option::of(velocity_limit(USD)),
    );
    let window = (1_000_u64..20_000, limits).prop_map(|(millis, (kes, usd))| VelocityWindow {
        length: Duration::from_millis(millis),
        limits: core::iter::once(kes).chain(usd).collect(),
    });
    prop::collection::vec(window, 1..=3)
}

fn arrivals() -> impl Strategy<Value = Vec<(u64, u8, bool, u64)>> {
    let pause = prop_oneof![
        4 => 0_u64..50_000_000,
        4 => 0_u64..2_000_000_000,
        1 => 0_u64..30_000_000_000,
    ];
    let arrival = (pause, 0_u8..4, any::<bool>(), 0_u64..200);
    prop::collection::vec(arrival, 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn engine_and_memory_agree(windows in windows(), arrivals in arrivals()) {
        let policy = Policy {
            block: ListSpec::EMPTY,
            allow: ListSpec::EMPTY,
            amounts: vec![],
            windows: windows.clone(),
        };
        let mut engine = engine(policy);
        let mut memory = Memory { windows, events: vec![] };
        let mut nanos = 0;
        for (pause, token, dollar, minor) in arrivals {
            nanos += pause;
            let currency = if dollar { USD } else { KES };
            let event = Event { token, currency, nanos, minor };
            let request = facts(token, BIN, minor, currency);
            let verdict = engine.assess(&request, Instant::from_nanos(nanos));
            prop_assert_eq!(verdict, memory.check(event), "{:?}", event);
            if verdict == Verdict::Accept {
                memory.events.push(event);
                memory.assert_limits_hold(event);
            }
        }
        prop_assert_eq!(engine.evicted(), 0);
    }

    /// In whatever order the journal is read back: the verdicts after a restart are those without
    /// one.
    #[test]
    fn a_rebuilt_engine_gives_the_verdicts_of_the_old_one(
        windows in windows(),
        arrivals in arrivals().prop_shuffle(),
        probes in arrivals(),
    ) {
        let policy = Policy {
            block: ListSpec::EMPTY,
            allow: ListSpec::EMPTY,
            amounts: vec![],
            windows,
        };
        let mut engine = engine(policy.clone());
        let mut accepted = vec![];
        let mut nanos = 100_000_000_000;
        for (pause, token, dollar, minor) in arrivals {
            nanos += pause;
            let request = facts(token, BIN, minor, if dollar { USD } else { KES });
            let now = Instant::from_nanos(nanos);
            if engine.assess(&request, now) == Verdict::Accept {
                accepted.push((request, now));
            }
        }
        // As shards read their journals one after the other.
        let half = accepted.len() / 2;
        let mut rebuilt = RiskEngine::new(policy, 100, 8).unwrap();
        let swapped = accepted[half..].iter().chain(&accepted[..half]);
        let past: Vec<_> = swapped
            .filter_map(|(request, at)| {
                let now = Instant::from_nanos(nanos);
                rebuilt.past(request, now.since(*at), now)
            })
            .collect();
        rebuilt.observe_all(&past);
        for (pause, token, dollar, minor) in probes {
            nanos += pause;
            let request = facts(token, BIN, minor, if dollar { USD } else { KES });
            let now = Instant::from_nanos(nanos);
            prop_assert_eq!(rebuilt.assess(&request, now), engine.assess(&request, now));
        }
    }
    /// What several journals hold of an account reaches its home in any order. The counts are those
    /// of a memory of every event, whatever the clock says.
    #[test]
    fn the_order_of_the_past_changes_no_count(
        windows in windows(),
        past in past(),
        start in 0_u64..60_000_000_000,
        later in prop::collection::vec(0_u64..8_000_000_000, 1..6),
        group in 1_usize..40,
    ) {
        let policy = Policy {
            block: ListSpec::EMPTY,
            allow: ListSpec::EMPTY,
            amounts: vec![],
            windows: windows.clone(),
        };
        let mut engine = engine(policy);
        let now = Instant::from_nanos(start);
        let found: Vec<_> = past
            .iter()
            .filter_map(|(age, token, minor)| {
                engine.past(&facts(*token, BIN, *minor, KES), Duration::from_nanos(*age), now)
            })
            .collect();
        for group in found.chunks(group) {
            engine.observe_all(group);
        }
        let mut elapsed = 0;
        for pause in later {
            elapsed += pause;
            let now = Instant::from_nanos(start + elapsed);
            for token in 0..3 {
                let counted = engine.counted(&facts(token, BIN, 1, KES), now);
                for (window, counted) in windows.iter().zip(counted) {
                    let expected = remembered(window, &past, (token, start, elapsed));
                    prop_assert_eq!(counted, expected, "{} after {}", token, elapsed);
                }
            }
        }
    }
}

/// Ages, accounts and minor units, in any order.
fn past() -> impl Strategy<Value = Vec<(u64, u8, u64)>> {
    let age = prop_oneof![0_u64..2_000_000_000, 0_u64..40_000_000_000];
    prop::collection::vec((age, 0_u8..3, 0_u64..200), 0..150)
}

/// What a window holds of an account, `elapsed` after a start at `start`: all added up anew.
fn remembered(
    window: &VelocityWindow,
    past: &[(u64, u8, u64)],
    (token, start, elapsed): (u8, u64, u64),
) -> (u32, u64) {
    let width = u64::try_from(window.length.as_nanos()).unwrap().div_ceil(8);
    let newest = (LEAD_NANOS + start + elapsed) / width;
    past.iter()
        .filter(|(age, other, _)| {
            *other == token && (LEAD_NANOS + start - age) / width + 8 >= newest
        })
        .fold((0, 0), |(count, sum), (_, _, minor)| {
            (count + 1, sum + minor)
        })
}
