//! The choice among candidates, the fate of permits, and the faults of docs/faults.md.

use super::*;
use crate::candidates::Candidate;
use crate::conditions::{Conditions, RouteClass};
use crate::policy::{BreakerPolicy, SlowPolicy};
use crate::table::RouteSpec;
use crate::week::WeekMinute;
use domain::Amount;
use domain::currency::Currency;
use domain::ids::{AcquirerId, RouteId};
use proptest::prelude::*;
use std::vec;

mod echo;

const FIRST: IssuerId = IssuerId(0);
const SECOND: IssuerId = IssuerId(1);
const DEADLINE: Duration = ms(2_000);

const POLICY: IssuerPolicy = IssuerPolicy {
    breaker: BreakerPolicy {
        window: ms(10_000),
        calls_min: 4,
        failure_percent: 50,
        slow: Some(SlowPolicy {
            limit: ms(1_000),
            percent: 80,
        }),
        probes: 2,
        probe_timeout: ms(5_000),
        echo: None,
        open_first: ms(1_000),
        open_max: ms(8_000),
        calm: ms(60_000),
    },
    inflight_max: 3,
};

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn query(account: &[u8]) -> Query<'_> {
    Query {
        account,
        class: RouteClass::Financial,
        amount: Some(Amount::new(100, Currency::KES).unwrap()),
        category: None,
        acquirer: AcquirerId(0),
        at: WeekMinute::default(),
        draw: 0,
    }
}

fn account() -> Query<'static> {
    query(b"4111111111111111")
}

fn table(candidates: &[IssuerId]) -> Arc<RouteTable> {
    grouped(Candidate::in_order(candidates))
}

fn grouped(candidates: Vec<Vec<Candidate>>) -> Arc<RouteTable> {
    let spec = RouteSpec {
        prefixes: vec!["4".parse().unwrap()],
        conditions: Conditions::default(),
        order: None,
        candidates,
        deadline: DEADLINE,
    };
    Arc::new(RouteTable::build(vec![spec]).unwrap())
}

/// Two candidates, both with a link.
fn router() -> Router {
    let mut router = Router::new(table(&[FIRST, SECOND]), vec![POLICY; 2]).unwrap();
    router.set_links_up(FIRST, 1);
    router.set_links_up(SECOND, 4);
    router
}

fn reasons(skipped: Skipped) -> Vec<(IssuerId, SkipReason)> {
    skipped.iter().collect()
}

#[track_caller]
fn chosen(selection: Selection) -> (u8, Permit, Vec<(IssuerId, SkipReason)>) {
    match selection {
        Selection::Chosen {
            route,
            candidate,
            issuer,
            permit,
            deadline,
            skipped,
        } => {
            assert_eq!((route, deadline), (RouteId(0), DEADLINE));
            assert_eq!(permit.issuer(), issuer);
            assert_eq!(usize::from(candidate), reasons(skipped).len());
            (candidate, permit, reasons(skipped))
        }
        other @ (Selection::NoRoute | Selection::NoneAdmits { .. }) => panic!("{other:?}"),
    }
}

#[track_caller]
fn none_admits(selection: Selection) -> Vec<(IssuerId, SkipReason)> {
    match selection {
        Selection::NoneAdmits { route, skipped } => {
            assert_eq!(route, RouteId(0));
            reasons(skipped)
        }
        other @ (Selection::NoRoute | Selection::Chosen { .. }) => panic!("{other:?}"),
    }
}

fn transitions(router: &mut Router) -> Vec<Transition> {
    core::iter::from_fn(|| router.poll_transition()).collect()
}

const fn transition(issuer: IssuerId, to: BreakerState) -> Transition {
    Transition { issuer, to }
}

/// One call to the first candidate that is free.
fn call(router: &mut Router, outcome: CallOutcome, latency: Duration, now: Instant) -> IssuerId {
    let (_, permit, _) = chosen(router.select(account(), 0, now));
    let issuer = permit.issuer();
    router.finish(permit, outcome, latency, now);
    issuer
}

/// Lets the first issuer fail until its breaker opens, at `now`.
fn open_first(router: &mut Router, now: Instant) {
    for _ in 0..4 {
        assert_eq!(call(router, CallOutcome::Failure, DEADLINE, now), FIRST);
    }
    assert_eq!(router.state(FIRST, now), Some(BreakerState::Open));
    assert_eq!(transitions(router), [transition(FIRST, BreakerState::Open)]);
}

//= docs/rules.md#R-01
#[test]
fn the_first_candidate_that_may_be_asked_is_chosen() {
    let mut router = router();
    let (candidate, permit, skipped) = chosen(router.select(account(), 0, at(0)));
    assert_eq!((candidate, skipped), (0, vec![]));
    assert_eq!(router.inflight(FIRST), 1);
    router.finish(permit, CallOutcome::Success, ms(5), at(5));
    assert_eq!(router.inflight(FIRST), 0);
    assert_eq!(router.counts(FIRST, at(5)).calls, 1);
}

/// A draw that asks the third issuer of a group first, then the first one.
#[test]
fn within_a_group_the_draw_says_who_is_asked_and_positions_stay() {
    let [third, last] = [IssuerId(2), IssuerId(3)];
    let group = [FIRST, SECOND, third].map(Candidate::of).to_vec();
    let table = grouped(vec![group, vec![Candidate::of(last)]]);
    let mut router = Router::new(table, vec![POLICY; 4]).unwrap();
    for issuer in [FIRST, SECOND, third, last] {
        router.set_links_up(issuer, 1);
    }
    let mut asked = |draw: u64, tried: u8| {
        let query = Query { draw, ..account() };
        let Selection::Chosen {
            candidate,
            permit,
            skipped,
            ..
        } = router.select(query, tried, at(0))
        else {
            panic!("one of four admits");
        };
        let again = router.select_again(RouteId(0), draw, tried, at(0));
        let Selection::Chosen {
            candidate: same,
            permit: second,
            ..
        } = again
        else {
            panic!("one of four admits");
        };
        assert_eq!(candidate, same, "the same draw, the same choice");
        assert_eq!(permit.issuer(), IssuerId(u16::from(candidate)));
        for permit in [permit, second] {
            router.finish(permit, CallOutcome::NotCalled, ms(0), at(0));
        }
        (candidate, reasons(skipped))
    };
    let draw = (0..)
        .find(|draw| asked(*draw, 0).0 == 2 && asked(*draw, 0b100).0 == 0)
        .unwrap();
    let tried = |issuer| (issuer, SkipReason::Tried);
    assert_eq!(asked(draw, 0b100), (0, vec![tried(third)]));
    assert_eq!(asked(draw, 0b101), (1, vec![tried(third), tried(FIRST)]));
    let all = vec![tried(third), tried(FIRST), tried(SECOND)];
    assert_eq!(asked(draw, 0b111), (3, all), "then the next group");
    let unknown = router.select_again(RouteId(1), 0, 0, at(0));
    assert!(matches!(unknown, Selection::NoRoute), "{unknown:?}");
}

//= docs/rules.md#R-02
#[test]
fn an_account_without_a_route_is_told_so() {
    let mut router = router();
    let selection = router.select(query(b"5111111111111111"), 0, at(0));
    assert!(matches!(selection, Selection::NoRoute), "{selection:?}");
}

#[test]
fn each_candidate_is_passed_over_for_its_own_reason() {
    let mut router = router();
    let (candidate, permit, skipped) = chosen(router.select(account(), 0b01, at(0)));
    assert_eq!(candidate, 1);
    assert_eq!(skipped, [(FIRST, SkipReason::Tried)]);
    router.finish(permit, CallOutcome::NotCalled, ms(0), at(0));
    router.set_links_up(SECOND, 0);
    assert_eq!(
        none_admits(router.select(account(), 0b01, at(0))),
        [(FIRST, SkipReason::Tried), (SECOND, SkipReason::LinksDown)]
    );
    let permits: Vec<_> = (0..3)
        .map(|_| chosen(router.select(account(), 0, at(0))).1)
        .collect();
    assert_eq!(router.inflight(FIRST), 3);
    assert_eq!(
        none_admits(router.select(account(), 0b10, at(0))),
        [
            (FIRST, SkipReason::BulkheadFull),
            (SECOND, SkipReason::Tried)
        ]
    );
    for permit in permits {
        router.finish(permit, CallOutcome::NotCalled, ms(0), at(0));
    }
    open_first(&mut router, at(0));
    assert_eq!(
        none_admits(router.select(account(), 0, at(0))),
        [
            (FIRST, SkipReason::BreakerOpen),
            (SECOND, SkipReason::LinksDown)
        ]
    );
}

#[test]
fn probes_that_are_given_out_are_a_reason_of_their_own() {
    let mut router = router();
    open_first(&mut router, at(0));
    let probes: Vec<_> = (0..2)
        .map(|_| chosen(router.select(account(), 0, at(1_000))).1)
        .collect();
    let (candidate, permit, skipped) = chosen(router.select(account(), 0, at(1_000)));
    assert_eq!(candidate, 1);
    assert_eq!(skipped, [(FIRST, SkipReason::ProbesTaken)]);
    assert_eq!(probes.len(), 2);
    assert_eq!(permit.issuer(), SECOND);
}

#[test]
fn a_probe_that_was_not_sent_goes_to_the_next_request() {
    let mut router = Router::new(table(&[FIRST]), vec![POLICY]).unwrap();
    router.set_links_up(FIRST, 1);
    open_first(&mut router, at(0));
    for _ in 0..20 {
        call(&mut router, CallOutcome::NotCalled, ms(0), at(1_000));
    }
    for _ in 0..2 {
        call(&mut router, CallOutcome::Success, ms(1), at(1_000));
    }
    assert_eq!(router.state(FIRST, at(1_000)), Some(BreakerState::Closed));
}

/// A full bulkhead must not eat probes, else HalfOpen waits for results that nobody can bring.
#[test]
fn a_full_bulkhead_takes_no_probe() {
    let mut router = Router::new(table(&[FIRST]), vec![POLICY]).unwrap();
    router.set_links_up(FIRST, 1);
    let held: Vec<_> = (0..2)
        .map(|_| chosen(router.select(account(), 0, at(0))).1)
        .collect();
    open_first(&mut router, at(0));
    let probe = chosen(router.select(account(), 0, at(1_000))).1;
    for _ in 0..5 {
        assert_eq!(
            none_admits(router.select(account(), 0, at(1_000))),
            [(FIRST, SkipReason::BulkheadFull)]
        );
    }
    for permit in held {
        router.finish(permit, CallOutcome::Failure, DEADLINE, at(1_001));
    }
    router.finish(probe, CallOutcome::Success, ms(1), at(1_001));
    assert_eq!(
        call(&mut router, CallOutcome::Success, ms(1), at(1_001)),
        FIRST
    );
    assert_eq!(router.state(FIRST, at(1_001)), Some(BreakerState::Closed));
}

#[test]
fn each_transition_is_reported_once() {
    let mut router = router();
    open_first(&mut router, at(0));
    assert_eq!(router.poll_timeout(), Some(at(1_000)));
    router.handle_timeout(at(999));
    assert_eq!(transitions(&mut router), []);
    router.handle_timeout(at(1_000));
    router.handle_timeout(at(1_000));
    assert_eq!(
        transitions(&mut router),
        [transition(FIRST, BreakerState::HalfOpen)]
    );
    for _ in 0..2 {
        call(&mut router, CallOutcome::Success, ms(1), at(1_100));
    }
    assert_eq!(
        transitions(&mut router),
        [transition(FIRST, BreakerState::Closed)]
    );
    assert_eq!(router.poll_timeout(), None);
}

#[test]
fn fault_042_links_down_is_not_the_breakers_business() {
    let mut router = router();
    router.set_links_up(FIRST, 0);
    router.set_links_up(SECOND, 0);
    for _ in 0..50 {
        assert_eq!(none_admits(router.select(account(), 0, at(0))).len(), 2);
    }
    assert_eq!(router.state(FIRST, at(0)), Some(BreakerState::Closed));
    // Refused at the connect: nothing was sent, the next candidate may have it.
    router.set_links_up(FIRST, 1);
    router.set_links_up(SECOND, 1);
    let (_, permit, _) = chosen(router.select(account(), 0, at(0)));
    router.finish(permit, CallOutcome::NotCalled, ms(0), at(0));
    let (candidate, permit, _) = chosen(router.select(account(), 0b01, at(0)));
    assert_eq!(candidate, 1);
    assert_eq!(router.inflight(FIRST), 0);
    assert_eq!(router.counts(FIRST, at(0)), CallCounts::ZERO);
    router.finish(permit, CallOutcome::Success, ms(9), at(9));
}

#[test]
fn fault_043_an_issuer_that_never_answers_returns_its_permits_and_is_asked_again() {
    let mut router = Router::new(table(&[FIRST]), vec![POLICY]).unwrap();
    router.set_links_up(FIRST, 1);
    let mut probed = 0;
    for second in 0..600 {
        let now = at(second * 1_000);
        let mut permits = vec![];
        while let Selection::Chosen { permit, .. } = router.select(account(), 0, now) {
            permits.push(permit);
        }
        probed += permits.len();
        // Each ends at its deadline.
        for permit in permits {
            router.finish(permit, CallOutcome::Failure, DEADLINE, now.after(DEADLINE));
        }
        assert_eq!(router.inflight(FIRST), 0);
        transitions(&mut router);
    }
    assert!(
        (100..300).contains(&probed),
        "{probed} calls in ten minutes"
    );
    // Well again: it closes as soon as it is probed.
    let now = at(700_000);
    for _ in 0..2 {
        call(&mut router, CallOutcome::Success, ms(1), now);
    }
    assert_eq!(router.state(FIRST, now), Some(BreakerState::Closed));
}

#[test]
fn fault_044_slow_answers_open_the_breaker() {
    let mut router = router();
    for _ in 0..4 {
        assert_eq!(router.state(FIRST, at(0)), Some(BreakerState::Closed));
        call(&mut router, CallOutcome::Success, ms(1_000), at(0));
    }
    assert_eq!(
        transitions(&mut router),
        [transition(FIRST, BreakerState::Open)]
    );
}

/// Every other call fails, with a call each 10 ms for a minute.
#[test]
fn fault_058_errors_around_half_do_not_make_it_flap() {
    let mut router = router();
    let mut seen = vec![];
    let mut probes = 0;
    for step in 0..6_000_u64 {
        let now = at(step * 10);
        let (_, permit, _) = chosen(router.select(account(), 0, now));
        let first = permit.issuer() == FIRST;
        probes += u32::from(first && router.state(FIRST, now) == Some(BreakerState::HalfOpen));
        let bad = first && step.is_multiple_of(2);
        let outcome = if bad {
            CallOutcome::Failure
        } else {
            CallOutcome::Success
        };
        router.finish(permit, outcome, ms(1), now);
        seen.extend(transitions(&mut router));
    }
    let opened = seen.iter().filter(|seen| seen.to == BreakerState::Open);
    let times = u32::try_from(opened.count()).unwrap();
    // 1 + 2 + 4 + 8 + 8 … seconds of a minute.
    assert!((8..=10).contains(&times), "opened {times} times");
    assert!(probes <= times * 2, "{probes} probes");
    for pair in seen.windows(2) {
        assert_ne!(pair[0], pair[1], "each state event once");
    }
}

#[test]
fn a_permit_that_comes_back_late_frees_its_place_and_nothing_else() {
    let mut router = router();
    let (_, late, _) = chosen(router.select(account(), 0, at(0)));
    open_first(&mut router, at(0));
    let (_, probe, _) = chosen(router.select(account(), 0, at(1_000)));
    assert_eq!(router.inflight(FIRST), 2);
    router.finish(late, CallOutcome::Failure, ms(1_001), at(1_001));
    assert_eq!(router.inflight(FIRST), 1);
    assert_eq!(router.state(FIRST, at(1_001)), Some(BreakerState::HalfOpen));
    router.finish(probe, CallOutcome::Success, ms(1), at(1_002));
    call(&mut router, CallOutcome::Success, ms(1), at(1_002));
    assert_eq!(router.state(FIRST, at(1_002)), Some(BreakerState::Closed));
}

#[test]
fn a_new_table_keeps_breakers_and_permits() {
    let mut router = router();
    let (_, permit, _) = chosen(router.select(account(), 0, at(0)));
    let unknown = router.replace_table(table(&[IssuerId(2)]));
    let (route, issuer) = (RouteId(0), IssuerId(2));
    assert_eq!(
        unknown.unwrap_err(),
        [RouterError::UnknownIssuer { route, issuer }]
    );
    router.replace_table(table(&[SECOND])).unwrap();
    assert_eq!(router.inflight(FIRST), 1);
    router.finish(permit, CallOutcome::Success, ms(1), at(1));
    assert_eq!(router.inflight(FIRST), 0);
    assert_eq!(
        call(&mut router, CallOutcome::Success, ms(1), at(1)),
        SECOND
    );
    assert_eq!(router.table().routes()[0].candidates(), [SECOND]);
}

#[test]
fn what_is_out_of_bounds_is_refused_at_once() {
    let slow = Some(SlowPolicy {
        limit: ms(0),
        percent: 101,
    });
    let breaker = BreakerPolicy {
        window: ms(99),
        calls_min: 0,
        failure_percent: 0,
        slow,
        probes: 1_001,
        probe_timeout: ms(0),
        echo: Some(ms(0)),
        open_first: ms(9),
        open_max: ms(9),
        calm: ms(0),
    };
    let longer_first = BreakerPolicy {
        open_first: ms(9_000),
        ..POLICY.breaker
    };
    let policies = vec![
        IssuerPolicy {
            breaker,
            inflight_max: 0,
        },
        IssuerPolicy {
            breaker: longer_first,
            ..POLICY
        },
    ];
    let errors = Router::new(table(&[FIRST, IssuerId(9)]), policies).unwrap_err();
    let knobs: Vec<_> = errors
        .iter()
        .filter_map(|error| match error {
            RouterError::Policy { issuer, knob, .. } => Some((issuer.0, *knob)),
            RouterError::UnknownIssuer { .. } | RouterError::Issuers { .. } => None,
        })
        .collect();
    let first = [
        "inflight_max",
        "window",
        "calls_min",
        "failure_percent",
        "slow.percent",
        "slow.limit",
        "probes",
        "probe_timeout",
        "echo",
        "open_first",
    ];
    let mut expected: Vec<_> = first.map(|knob| (0, knob)).to_vec();
    expected.push((1, "open_max"));
    assert_eq!(knobs, expected);
    let (route, issuer) = (RouteId(0), IssuerId(9));
    assert!(errors.contains(&RouterError::UnknownIssuer { route, issuer }));
}

/// What may happen to a router with three issuers.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Select(u8),
    Finish(usize, CallOutcome),
    Links(u16, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(CallOutcome::Success),
        Just(CallOutcome::Failure),
        Just(CallOutcome::NotCalled),
    ];
    prop_oneof![
        1 => prop_oneof![1_u64..400, Just(1_000), Just(9_000)].prop_map(Step::Pass),
        6 => prop_oneof![3 => Just(0_u8), 1 => 0_u8..8].prop_map(Step::Select),
        5 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Finish(which, outcome)),
        1 => (0_u16..3, 0_u32..3).prop_map(|(issuer, count)| Step::Links(issuer, count)),
    ]
}

/// Which reasons to pass an issuer over hold, told from the outside.
fn reasons_that_hold(
    router: &Router,
    issuer: IssuerId,
    links: u32,
    now: Instant,
) -> impl Fn(SkipReason) -> bool + use<> {
    let state = router.state(issuer, now).unwrap();
    let full = router.inflight(issuer) >= POLICY.inflight_max;
    move |reason| match reason {
        SkipReason::Tried => false,
        SkipReason::LinksDown => links == 0,
        SkipReason::BreakerOpen => links > 0 && state == BreakerState::Open,
        SkipReason::EchoAwaited | SkipReason::ProbesTaken => {
            links > 0 && state == BreakerState::HalfOpen
        }
        SkipReason::BulkheadFull => links > 0 && state != BreakerState::Open && full,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn permits_reasons_and_transitions_always_fit(steps in prop::collection::vec(step(), 0..200)) {
        let issuers = [FIRST, SECOND, IssuerId(2)];
        let mut router = Router::new(table(&issuers), vec![POLICY; 3]).unwrap();
        let mut links = [0_u32; 3];
        let mut permits: Vec<Permit> = vec![];
        let mut states = [BreakerState::Closed; 3];
        let mut now = at(0);
        for step in steps {
            match step {
                Step::Pass(millis) => now = now.after(ms(millis)),
                Step::Links(issuer, count) => {
                    links[usize::from(issuer)] = count;
                    router.set_links_up(IssuerId(issuer), count);
                }
                Step::Finish(which, outcome) if !permits.is_empty() => {
                    let permit = permits.swap_remove(which % permits.len());
                    router.finish(permit, outcome, ms(10), now);
                }
                Step::Finish(..) => {}
                Step::Select(tried) => {
                    let before = issuers.map(|issuer| {
                        reasons_that_hold(&router, issuer, links[usize::from(issuer.0)], now)
                    });
                    let skipped = match router.select(account(), tried, now) {
                        Selection::Chosen { candidate, permit, skipped, .. } => {
                            prop_assert_eq!(tried >> candidate & 1, 0);
                            prop_assert!(links[usize::from(candidate)] > 0);
                            permits.push(permit);
                            skipped
                        }
                        Selection::NoneAdmits { skipped, .. } => {
                            prop_assert_eq!(skipped.iter().count(), 3);
                            skipped
                        }
                        Selection::NoRoute => unreachable!("the account has a route"),
                    };
                    for (issuer, reason) in skipped.iter() {
                        let holds = if tried >> issuer.0 & 1 == 1 {
                            reason == SkipReason::Tried
                        } else {
                            before[usize::from(issuer.0)](reason)
                        };
                        prop_assert!(holds, "{} was skipped for {:?}", issuer, reason);
                    }
                }
            }
            for Transition { issuer, to } in transitions(&mut router) {
                prop_assert_ne!(states[usize::from(issuer.0)], to);
                states[usize::from(issuer.0)] = to;
            }
            for issuer in issuers {
                let held = permits.iter().filter(|permit| permit.issuer() == issuer).count();
                prop_assert_eq!(router.inflight(issuer) as usize, held);
                prop_assert!(held <= POLICY.inflight_max as usize);
            }
            router.check_invariants();
        }
    }
}

#[test]
fn one_issuer_is_asked_for_whoever_the_route_names() {
    let mut router = Router::new(table(&[FIRST]), vec![POLICY; 2]).unwrap();
    let down = router.select_issuer(account(), SECOND, at(0));
    let Selection::NoneAdmits { skipped, .. } = down else {
        panic!("{down:?}");
    };
    assert_eq!(reasons(skipped), [(SECOND, SkipReason::LinksDown)]);
    router.set_links_up(SECOND, 1);
    let chosen = router.select_issuer(account(), SECOND, at(0));
    let Selection::Chosen {
        candidate,
        issuer,
        permit,
        deadline,
        ..
    } = chosen
    else {
        panic!("{chosen:?}");
    };
    assert_eq!(
        (candidate, issuer, deadline),
        (IssuerLeg::OF_ORIGINAL, SECOND, DEADLINE)
    );
    assert_eq!(router.inflight(SECOND), 1);
    router.finish(permit, CallOutcome::Success, ms(1), at(1));
    assert_eq!(router.inflight(SECOND), 0);
    let nowhere = router.select_issuer(query(b"5"), SECOND, at(2));
    assert!(matches!(nowhere, Selection::NoRoute));
}
