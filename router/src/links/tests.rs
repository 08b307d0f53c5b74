//! Who takes a call and who is left out, by cases and against a model that counts anew.

use super::*;
use proptest::prelude::*;
use std::vec;

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

const fn link(number: u16) -> LinkId {
    LinkId(10 + number)
}

/// Ejects after three failures, for 1, 2, 4, 4 … seconds.
const POLICY: EjectionPolicy = EjectionPolicy {
    failures: Some(3),
    first: Duration::from_secs(1),
    max: Duration::from_secs(4),
};

fn pool(count: u16) -> LinkPool {
    let mut pool = LinkPool::new(link(0), count, POLICY);
    for number in 0..count {
        pool.set_up(link(number), true, at(0));
    }
    pool
}

fn picked(pool: &mut LinkPool, now: Instant) -> Option<LinkId> {
    pool.pick(now, Some).map(|(link, _)| link)
}

fn changes(pool: &mut LinkPool) -> Vec<(LinkId, bool)> {
    core::iter::from_fn(|| pool.poll_change())
        .map(|change| (change.link, change.is_ejected))
        .collect()
}

/// Lets a link fail so many times.
fn fail(pool: &mut LinkPool, failing: LinkId, times: u32, now: Instant) {
    for _ in 0..times {
        let take = |found| (found == failing).then_some(());
        assert!(pool.pick(now, take).is_some(), "{failing} is used");
        pool.finish(failing, LinkOutcome::Silent, now);
    }
}

//= docs/rules.md#R-11
#[test]
fn r11_the_link_with_the_fewest_calls_is_taken_and_ties_go_round() {
    let mut pool = pool(3);
    let round: Vec<_> = (0..6).filter_map(|_| picked(&mut pool, at(0))).collect();
    assert_eq!(round, [0, 1, 2, 0, 1, 2].map(link));
    // One call each ends on the second: it is below the others until it has caught up.
    pool.finish(link(1), LinkOutcome::Answered, at(1));
    pool.finish(link(1), LinkOutcome::NotSent, at(1));
    let next: Vec<_> = (0..5).filter_map(|_| picked(&mut pool, at(1))).collect();
    assert_eq!(next, [1, 1, 2, 0, 1].map(link));
}

#[test]
fn a_link_that_is_down_or_has_no_number_to_give_is_passed_over() {
    let mut pool = pool(3);
    pool.set_up(link(0), false, at(0));
    let asked = &mut vec![];
    let found = pool.pick(at(0), |link| {
        asked.push(link);
        (asked.len() == 2).then_some(7)
    });
    assert_eq!(found, Some((link(2), 7)));
    assert_eq!(*asked, [1, 2].map(link));
    assert_eq!(pool.pick(at(0), |_| None::<()>), None);
    assert!(!pool.is_usable(link(0)) && pool.is_usable(link(1)));
    assert!(!pool.is_usable(LinkId(9)) && !pool.is_usable(link(3)));
    let mut none = LinkPool::new(link(0), 0, POLICY);
    assert_eq!((picked(&mut none, at(0)), none.pass()), (None, None));
}

#[test]
fn a_link_that_keeps_failing_is_ejected_for_a_time_that_doubles() {
    let mut pool = pool(2);
    fail(&mut pool, link(0), 2, at(0));
    assert_eq!(changes(&mut pool), []);
    fail(&mut pool, link(0), 1, at(0));
    assert_eq!(changes(&mut pool), [(link(0), true)]);
    let others = (0..20).all(|_| picked(&mut pool, at(999)) == Some(link(1)));
    assert!(others && changes(&mut pool).is_empty());
    let mut now = 1_000;
    pool.handle_timeout(at(now));
    assert_eq!(changes(&mut pool), [(link(0), false)]);
    for lasts in [2_000, 4_000, 4_000] {
        assert_eq!(picked(&mut pool, at(now)), Some(link(0)));
        pool.finish(link(0), LinkOutcome::Silent, at(now));
        assert_eq!(changes(&mut pool), [(link(0), true)], "one failure more");
        pool.handle_timeout(at(now + lasts - 1));
        assert!(!pool.is_usable(link(0)));
        now += lasts;
        pool.handle_timeout(at(now));
        assert!(pool.is_usable(link(0)));
        assert_eq!(changes(&mut pool), [(link(0), false)]);
    }
    assert_eq!(picked(&mut pool, at(now)), Some(link(0)));
    pool.finish(link(0), LinkOutcome::Answered, at(now));
    fail(&mut pool, link(0), 2, at(now));
    assert!(pool.is_usable(link(0)), "an answer in between begins anew");
    fail(&mut pool, link(0), 1, at(now));
    pool.handle_timeout(at(now + 1_000));
    assert!(pool.is_usable(link(0)), "for the first time again");
}

//= docs/rules.md#R-12
#[test]
fn r12_the_last_link_is_never_ejected() {
    let mut alone = pool(1);
    fail(&mut alone, link(0), 50, at(0));
    assert_eq!(picked(&mut alone, at(0)), Some(link(0)));
    // The other one goes down while this one is ejected.
    let mut pair = pool(2);
    fail(&mut pair, link(0), 3, at(0));
    assert_eq!(changes(&mut pair), [(link(0), true)]);
    pair.set_up(link(1), false, at(10));
    assert_eq!(changes(&mut pair), [(link(0), false)]);
    assert_eq!(picked(&mut pair, at(10)), Some(link(0)));
    // All are silent: that is the issuer.
    let mut all = pool(4);
    for round in 0..100 {
        for number in 0..4 {
            let now = at(round);
            let take = |found| (found == link(number)).then_some(());
            assert!(all.pick(now, take).is_some(), "round {round}");
            all.finish(link(number), LinkOutcome::Silent, now);
        }
    }
    assert_eq!(changes(&mut all), []);
}

#[test]
fn losses_of_the_connection_count_and_outlast_it() {
    let mut pool = pool(2);
    for _ in 0..3 {
        pool.set_up(link(0), true, at(0));
        pool.set_up(link(0), false, at(0));
        pool.set_up(link(0), false, at(0));
    }
    assert_eq!(changes(&mut pool), [(link(0), true)]);
    pool.set_up(link(0), true, at(10));
    assert_eq!(picked(&mut pool, at(10)), Some(link(1)));
    assert_eq!(picked(&mut pool, at(1_000)), Some(link(0)));
}

#[test]
fn an_answer_brings_a_link_back() {
    let mut pool = pool(2);
    assert_eq!(picked(&mut pool, at(0)), Some(link(0)));
    fail(&mut pool, link(0), 3, at(0));
    pool.finish(link(0), LinkOutcome::Answered, at(5));
    assert_eq!(changes(&mut pool), [(link(0), true), (link(0), false)]);
    assert!(pool.is_usable(link(0)));
}

#[test]
fn without_a_number_of_failures_none_is_ejected() {
    let policy = EjectionPolicy {
        failures: None,
        ..POLICY
    };
    let mut pool = LinkPool::new(link(0), 2, policy);
    pool.set_up(link(0), true, at(0));
    pool.set_up(link(1), true, at(0));
    fail(&mut pool, link(0), 100, at(0));
    assert!(pool.is_usable(link(0)) && changes(&mut pool).is_empty());
}

#[test]
fn what_is_no_call_goes_over_one_link_after_the_other() {
    let mut pool = pool(3);
    pool.set_up(link(1), false, at(0));
    let passed: Vec<_> = (0..4).filter_map(|_| pool.pass()).collect();
    assert_eq!(passed, [0, 2, 0, 2].map(link));
    assert_eq!(picked(&mut pool, at(0)), Some(link(0)), "none is in flight");
}

/// What may happen to four links.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Pick,
    Finish(usize, LinkOutcome),
    Up(u16, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        2 => Just(LinkOutcome::Answered),
        4 => Just(LinkOutcome::Silent),
        1 => Just(LinkOutcome::NotSent),
    ];
    prop_oneof![
        1 => prop_oneof![1_u64..900, Just(1_000), Just(5_000)].prop_map(Step::Pass),
        6 => Just(Step::Pick),
        5 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Finish(which, outcome)),
        1 => (0_u16..4, any::<bool>()).prop_map(|(number, up)| Step::Up(number, up)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_least_loaded_usable_link_is_picked_and_one_is_always_usable(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut pool = LinkPool::new(link(0), 4, POLICY);
        let mut up = [false; 4];
        let mut calls: Vec<LinkId> = vec![];
        // Since when each link is out, by what was reported.
        let mut out = [None; 4];
        // Failures in a row, by what was told.
        let mut failures = [0_u32; 4];
        let mut now = at(0);
        for step in steps {
            let place = |link: LinkId| usize::from(link.0 - 10);
            match step {
                Step::Pass(millis) => {
                    now = now.after(Duration::from_millis(millis));
                    pool.handle_timeout(now);
                }
                Step::Up(number, is_up) => {
                    let place = usize::from(number);
                    failures[place] += u32::from(up[place] && !is_up);
                    up[place] = is_up;
                    pool.set_up(link(number), is_up, now);
                }
                Step::Finish(which, outcome) if !calls.is_empty() => {
                    let ended = calls.swap_remove(which % calls.len());
                    match outcome {
                        LinkOutcome::Answered => failures[place(ended)] = 0,
                        LinkOutcome::Silent => failures[place(ended)] += 1,
                        LinkOutcome::NotSent => {}
                    }
                    pool.finish(ended, outcome, now);
                }
                Step::Finish(..) => {}
                Step::Pick => {
                    let is_usable = |one: &LinkId| pool.is_usable(*one);
                    let usable: Vec<LinkId> = pool.ids().filter(is_usable).collect();
                    let load = |link: &LinkId| calls.iter().filter(|call| *call == link).count();
                    let least = usable.iter().map(load).min();
                    let found = picked(&mut pool, now);
                    prop_assert_eq!(found.is_some(), up.contains(&true));
                    if let Some(found) = found {
                        prop_assert!(usable.contains(&found));
                        prop_assert_eq!(Some(load(&found)), least);
                        calls.push(found);
                    }
                }
            }
            for (link, is_ejected) in changes(&mut pool) {
                let place = usize::from(link.0 - 10);
                prop_assert_eq!(out[place].is_some(), !is_ejected, "each change once");
                prop_assert!(!is_ejected || failures[place] > 0);
                out[place] = is_ejected.then_some(now);
            }
            for (number, place) in (0..4).zip(0_usize..) {
                let usable = pool.is_usable(link(number));
                prop_assert_eq!(usable, up[place] && out[place].is_none());
                let longest = out[place].is_none_or(|since| now.since(since) < POLICY.max);
                prop_assert!(longest, "nobody is out for longer than the longest time");
            }
            pool.check_invariants();
        }
    }
}
