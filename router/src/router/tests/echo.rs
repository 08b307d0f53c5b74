//! Breakers that ask by echo before they admit a call.

use super::*;

/// Two candidates whose breakers ask by echo, for at most half a second.
fn echoing() -> Router {
    let breaker = BreakerPolicy {
        echo: Some(ms(500)),
        ..POLICY.breaker
    };
    let policy = IssuerPolicy { breaker, ..POLICY };
    let mut router = Router::new(table(&[FIRST, SECOND]), vec![policy; 2]).unwrap();
    router.set_links_up(FIRST, 1);
    router.set_links_up(SECOND, 1);
    router
}

fn echoes(router: &mut Router, now: Instant) -> Vec<IssuerId> {
    router.handle_timeout(now);
    core::iter::from_fn(|| router.poll_echo(now)).collect()
}

//= docs/rules.md#R-13
#[test]
fn r13_half_open_admits_nothing_before_its_echo_was_answered() {
    let mut router = echoing();
    open_first(&mut router, at(0));
    assert_eq!(echoes(&mut router, at(999)), []);
    assert_eq!(echoes(&mut router, at(1_000)), [FIRST]);
    assert_eq!(echoes(&mut router, at(1_000)), [], "once");
    let (candidate, permit, skipped) = chosen(router.select(account(), 0, at(1_001)));
    assert_eq!(
        (candidate, skipped),
        (1, vec![(FIRST, SkipReason::EchoAwaited)])
    );
    router.finish(permit, CallOutcome::NotCalled, ms(0), at(1_001));
    router.echo_answered(SECOND, at(1_002));
    router.echo_answered(FIRST, at(1_003));
    for _ in 0..2 {
        let issuer = call(&mut router, CallOutcome::Success, ms(1), at(1_004));
        assert_eq!(issuer, FIRST);
    }
    let states = [BreakerState::HalfOpen, BreakerState::Closed];
    let expected = states.map(|to| transition(FIRST, to));
    assert_eq!(transitions(&mut router), expected, "each state once");
}

#[test]
fn an_echo_without_an_answer_opens_the_breaker_for_longer() {
    let mut router = echoing();
    open_first(&mut router, at(0));
    assert_eq!(echoes(&mut router, at(1_000)), [FIRST]);
    assert_eq!(router.poll_timeout(), Some(at(1_500)));
    assert_eq!(echoes(&mut router, at(1_499)), []);
    assert_eq!(echoes(&mut router, at(1_500)), []);
    assert_eq!(router.state(FIRST, at(1_500)), Some(BreakerState::Open));
    // Late: it belongs to no echo that is waited for.
    router.echo_answered(FIRST, at(1_501));
    assert_eq!(router.state(FIRST, at(1_501)), Some(BreakerState::Open));
    assert_eq!(echoes(&mut router, at(3_499)), []);
    assert_eq!(
        echoes(&mut router, at(3_500)),
        [FIRST],
        "two seconds, not one"
    );
    let states = [
        BreakerState::HalfOpen,
        BreakerState::Open,
        BreakerState::HalfOpen,
    ];
    assert_eq!(
        transitions(&mut router),
        states.map(|to| transition(FIRST, to))
    );
}

#[test]
fn an_echo_waits_for_a_link_to_leave_over() {
    let mut router = echoing();
    open_first(&mut router, at(0));
    router.set_links_up(FIRST, 0);
    assert_eq!(echoes(&mut router, at(1_000)), []);
    router.echo_answered(FIRST, at(1_001));
    assert_eq!(echoes(&mut router, at(60_000)), []);
    assert_eq!(
        router.state(FIRST, at(60_000)),
        Some(BreakerState::HalfOpen)
    );
    router.set_links_up(FIRST, 1);
    assert_eq!(echoes(&mut router, at(60_001)), [FIRST]);
    router.echo_answered(FIRST, at(60_002));
    assert_eq!(
        call(&mut router, CallOutcome::Success, ms(1), at(60_003)),
        FIRST
    );
}

/// Silent for a minute, with a call each 10 ms: no call is spent on finding that out.
#[test]
fn fault_058_an_issuer_that_is_asked_by_echo_gets_no_call_while_it_is_silent() {
    let mut router = echoing();
    open_first(&mut router, at(0));
    let mut asked = 0;
    let mut seen = vec![];
    for step in 1..6_000_u64 {
        let now = at(step * 10);
        asked += echoes(&mut router, now).len();
        assert_eq!(call(&mut router, CallOutcome::Success, ms(1), now), SECOND);
        seen.extend(transitions(&mut router));
    }
    // After 1, 2, 4, 8, 8 … seconds, and half a second each without an answer.
    assert_eq!(asked, 9);
    for pair in seen.windows(2) {
        assert_ne!(pair[0], pair[1], "each state event once");
    }
}
