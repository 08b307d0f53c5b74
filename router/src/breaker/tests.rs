//! Each transition by itself, then all of them together against a model that remembers every call.

use super::*;
use crate::policy::SlowPolicy;
use std::vec::Vec;

mod model;

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Opens at two bad calls of four, probes with three, opens for 1, 2, 4, 5, 5 … seconds.
const POLICY: BreakerPolicy = BreakerPolicy {
    window: ms(1_000),
    calls_min: 4,
    failure_percent: 50,
    slow: Some(SlowPolicy {
        limit: ms(300),
        percent: 75,
    }),
    probes: 3,
    probe_timeout: ms(800),
    echo: None,
    open_first: ms(1_000),
    open_max: ms(5_000),
    calm: ms(10_000),
};

/// One call that ends as it begins.
fn call(
    breaker: &mut Breaker,
    failed: bool,
    latency: Duration,
    now: Instant,
) -> Option<BreakerState> {
    let ticket = breaker.admit(now).expect("the breaker admits");
    breaker.record(ticket, failed, latency, now)
}

/// A breaker that opened at 0 ms for the first time.
fn opened() -> Breaker {
    let mut breaker = Breaker::new(POLICY);
    for _ in 0..3 {
        assert_eq!(call(&mut breaker, true, ms(1), at(0)), None);
    }
    assert_eq!(
        call(&mut breaker, true, ms(1), at(0)),
        Some(BreakerState::Open)
    );
    breaker
}

/// A breaker that probes since 1,000 ms.
fn half_open() -> Breaker {
    let mut breaker = opened();
    assert_eq!(breaker.refresh(at(1_000)), Some(BreakerState::HalfOpen));
    breaker
}

#[test]
fn closed_opens_at_the_failure_rate() {
    #[track_caller]
    fn check(calls: &[bool], to: Option<BreakerState>) {
        let mut breaker = Breaker::new(POLICY);
        let mut moved = None;
        for failed in calls {
            assert_eq!(moved, None);
            moved = call(&mut breaker, *failed, ms(1), at(5));
        }
        assert_eq!(moved, to);
    }
    let open = Some(BreakerState::Open);
    check(&[true, true, true], None);
    check(&[true, true, true, true], open);
    check(&[true, true, false, false], open);
    check(&[false, false, true, true], open);
    check(&[true, false, false, false], None);
    check(&[true, false, false, false, true, false, true], None);
    check(&[true, false, false, false, true, false, true, true], open);
}

#[test]
fn closed_opens_at_the_slow_rate() {
    let mut breaker = Breaker::new(POLICY);
    for latency in [299, 300, 300] {
        assert_eq!(call(&mut breaker, false, ms(latency), at(5)), None);
    }
    assert_eq!(
        call(&mut breaker, false, ms(5_000), at(5)),
        Some(BreakerState::Open)
    );
    let mut blind = Breaker::new(BreakerPolicy {
        slow: None,
        ..POLICY
    });
    for _ in 0..100 {
        assert_eq!(call(&mut blind, false, ms(5_000), at(5)), None);
    }
}

#[test]
fn closed_forgets_what_left_the_window() {
    let mut breaker = Breaker::new(POLICY);
    for millis in [0, 10, 20] {
        assert_eq!(call(&mut breaker, true, ms(1), at(millis)), None);
    }
    assert_eq!(call(&mut breaker, true, ms(1), at(1_000)), None);
    assert_eq!(breaker.counts(at(1_000)).calls, 1);
    assert_eq!(breaker.state(at(1_000)), BreakerState::Closed);
}

#[test]
fn open_rejects_until_its_time_is_over() {
    let mut breaker = opened();
    assert_eq!(breaker.refresh(at(999)), None);
    assert_eq!(breaker.admit(at(999)), None);
    assert_eq!(breaker.state(at(999)), BreakerState::Open);
    assert_eq!(breaker.state(at(1_000)), BreakerState::HalfOpen);
    assert_eq!(breaker.due(), Some(at(1_000)));
    assert_eq!(breaker.refresh(at(1_000)), Some(BreakerState::HalfOpen));
    assert_eq!(breaker.refresh(at(1_000)), None);
}

//= docs/rules.md#R-04
#[test]
fn half_open_admits_its_probes_and_no_more() {
    let mut breaker = half_open();
    let tickets: Vec<_> = (0..5).filter_map(|_| breaker.admit(at(1_000))).collect();
    assert_eq!(tickets.len(), 3);
    // Also not when one is back already.
    let mut tickets = tickets.into_iter();
    assert_eq!(
        breaker.record(tickets.next().unwrap(), false, ms(1), at(1_001)),
        None
    );
    assert_eq!(breaker.admit(at(1_001)), None);
}

#[test]
fn half_open_closes_when_all_probes_are_in_and_well() {
    let mut breaker = half_open();
    assert_eq!(call(&mut breaker, false, ms(1), at(1_000)), None);
    assert_eq!(call(&mut breaker, false, ms(1), at(1_500)), None);
    assert_eq!(
        call(&mut breaker, false, ms(1), at(2_000)),
        Some(BreakerState::Closed)
    );
    assert_eq!(breaker.counts(at(2_000)), CallCounts::ZERO);
}

#[test]
fn half_open_opens_at_the_first_bad_probe_too_many() {
    let mut breaker = half_open();
    assert_eq!(call(&mut breaker, false, ms(1), at(1_000)), None);
    assert_eq!(
        call(&mut breaker, true, ms(1), at(1_100)),
        Some(BreakerState::Open)
    );
    assert_eq!(breaker.due(), Some(at(3_100)), "twice as long as before");
    // Slow probes: 37.5 of a hundred are tolerated, one of three is less, two are more.
    let mut breaker = half_open();
    assert_eq!(call(&mut breaker, false, ms(300), at(1_000)), None);
    assert_eq!(
        call(&mut breaker, false, ms(300), at(1_000)),
        Some(BreakerState::Open)
    );
}

/// It opens at 50 of a hundred, and closes below 25.
#[test]
fn fault_058_half_open_demands_more_than_closed() {
    #[track_caller]
    fn check(failures: u32, to: BreakerState) {
        let mut breaker = Breaker::new(BreakerPolicy {
            probes: 20,
            ..POLICY
        });
        for _ in 0..4 {
            let _: Option<BreakerState> = call(&mut breaker, true, ms(1), at(0));
        }
        breaker.refresh(at(1_000)).expect("probes");
        let moved = (0..20).find_map(|probe| {
            let failed = probe < failures;
            call(&mut breaker, failed, ms(1), at(1_000))
        });
        assert_eq!(moved, Some(to), "{failures} of 20");
    }
    check(0, BreakerState::Closed);
    check(4, BreakerState::Closed);
    check(5, BreakerState::Open);
    check(10, BreakerState::Open);
}

#[test]
fn a_probe_that_was_not_called_leaves_its_place_to_another() {
    let mut breaker = half_open();
    for _ in 0..100 {
        let ticket = breaker.admit(at(1_000)).expect("a place is free");
        breaker.forgo(ticket);
    }
    for _ in 0..2 {
        assert_eq!(call(&mut breaker, false, ms(1), at(1_000)), None);
    }
    let unused = breaker.admit(at(1_000)).expect("the third place");
    assert_eq!(breaker.admit(at(1_000)), None);
    breaker.forgo(unused);
    assert_eq!(
        call(&mut breaker, false, ms(1), at(1_000)),
        Some(BreakerState::Closed)
    );
}

#[test]
fn fault_043_half_open_opens_when_its_probes_never_end() {
    let mut breaker = half_open();
    let _lost: Vec<_> = (0..3).filter_map(|_| breaker.admit(at(1_200))).collect();
    assert_eq!(breaker.refresh(at(1_999)), None);
    assert!(!breaker.admits());
    assert_eq!(breaker.refresh(at(2_000)), Some(BreakerState::Open));
    assert_eq!(breaker.refresh(at(4_000)), Some(BreakerState::HalfOpen));
    assert!(breaker.admits());
}

#[test]
fn half_open_waits_for_traffic_without_an_end() {
    let mut breaker = half_open();
    let _lost = breaker.admit(at(1_000));
    assert_eq!(breaker.refresh(at(1_000_000)), None);
    assert!(breaker.admits(), "two places are left");
}

#[test]
fn open_times_double_up_to_the_longest_and_start_anew_after_calm() {
    let mut breaker = Breaker::new(POLICY);
    let mut now = at(0);
    let open = |breaker: &mut Breaker, now: Instant| {
        while breaker.admits() {
            let _: Option<BreakerState> = call(breaker, true, ms(1), now);
        }
        breaker.due().expect("Open has an end")
    };
    let close = |breaker: &mut Breaker, now: Instant| {
        breaker.refresh(now).expect("probes");
        for _ in 0..3 {
            let _: Option<BreakerState> = call(breaker, false, ms(1), now);
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    };
    for lasts in [1_000, 2_000, 4_000, 5_000, 5_000] {
        let until = open(&mut breaker, now);
        assert_eq!(until, now.after(ms(lasts)));
        close(&mut breaker, until);
        now = until.after(ms(9_999));
    }
    now = now.after(ms(1));
    assert_eq!(open(&mut breaker, now), now.after(ms(1_000)));
}

#[test]
fn a_call_that_outlives_its_state_says_nothing_about_the_next_one() {
    let mut breaker = Breaker::new(POLICY);
    let early: Vec<_> = (0..8).filter_map(|_| breaker.admit(at(0))).collect();
    let mut early = early.into_iter();
    for _ in 0..4 {
        let _: Option<BreakerState> = call(&mut breaker, true, ms(1), at(0));
    }
    let mut late = |breaker: &mut Breaker, millis: u64| {
        let ticket = early.next().unwrap();
        assert_eq!(breaker.record(ticket, true, ms(9), at(millis)), None);
        let ticket = early.next().unwrap();
        breaker.forgo(ticket);
    };
    assert_eq!(breaker.state(at(0)), BreakerState::Open);
    late(&mut breaker, 10);
    breaker.refresh(at(1_000)).expect("probes");
    let probes: Vec<_> = (0..3).filter_map(|_| breaker.admit(at(1_000))).collect();
    late(&mut breaker, 1_010);
    assert!(!breaker.admits(), "no place came back");
    for probe in probes {
        let _: Option<BreakerState> = breaker.record(probe, false, ms(1), at(1_020));
    }
    assert_eq!(breaker.state(at(1_020)), BreakerState::Closed);
    late(&mut breaker, 1_030);
    assert_eq!(breaker.counts(at(1_030)), CallCounts::ZERO);
}
