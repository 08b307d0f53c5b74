//! The breaker against a model that keeps every call it was told of and counts anew each time.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::vec;

/// What may happen to a breaker.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Admit,
    /// Ends one of the calls under way: which, failed, how long it took.
    End(usize, bool, u64),
    /// Ends one of them as never made.
    Forgo(usize),
    /// One of them never ends.
    Lose(usize),
    /// An echo leaves, if one is wanted.
    SendEcho,
    /// The issuer answers an echo, whenever it left.
    AnswerEcho,
}

#[derive(Debug)]
enum ModelState {
    Closed,
    Open { until: u64 },
    Echo { sent: Option<u64> },
    HalfOpen { last_admitted: u64 },
}

/// All times in milliseconds. A state has a serial; calls belong to the one that admitted them.
#[derive(Debug)]
struct Model {
    policy: BreakerPolicy,
    state: ModelState,
    serial: u32,
    since: u64,
    /// Calls that the present state admitted and that ended or may yet end.
    admitted: BTreeSet<u32>,
    /// Calls that the present state admitted and that ended: when, failed, slow.
    ended: Vec<(u64, bool, bool)>,
    /// How long each opening lasted since the last calm.
    openings: u32,
    calls: u32,
}

impl Model {
    fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            state: ModelState::Closed,
            serial: 0,
            since: 0,
            admitted: BTreeSet::new(),
            ended: vec![],
            openings: 0,
            calls: 0,
        }
    }

    fn enter(&mut self, state: ModelState, now: u64) -> BreakerState {
        let name = match state {
            ModelState::Closed => BreakerState::Closed,
            ModelState::Open { .. } => BreakerState::Open,
            ModelState::Echo { .. } | ModelState::HalfOpen { .. } => BreakerState::HalfOpen,
        };
        self.state = state;
        self.serial += 1;
        self.since = now;
        self.admitted.clear();
        self.ended.clear();
        name
    }

    fn open(&mut self, now: u64) -> BreakerState {
        let mut lasts = self.policy.open_first;
        for _ in 0..self.openings {
            lasts = (lasts * 2).min(self.policy.open_max);
        }
        self.openings += 1;
        let until = now + u64::try_from(lasts.as_millis()).unwrap();
        self.enter(ModelState::Open { until }, now)
    }

    fn refresh(&mut self, now: u64) -> Option<BreakerState> {
        let timeout = u64::try_from(self.policy.probe_timeout.as_millis()).unwrap();
        let echo = self.policy.echo.map(|timeout| timeout.as_millis());
        match self.state {
            ModelState::Open { until } if now >= until && echo.is_some() => {
                Some(self.enter(ModelState::Echo { sent: None }, now))
            }
            ModelState::Open { until } if now >= until => {
                Some(self.enter(ModelState::HalfOpen { last_admitted: now }, now))
            }
            ModelState::Echo { sent: Some(sent) }
                if echo.is_some_and(|timeout| u128::from(now - sent) >= timeout) =>
            {
                Some(self.open(now))
            }
            ModelState::HalfOpen { last_admitted }
                if self.admitted.len() >= self.policy.probes as usize
                    && now >= last_admitted + timeout =>
            {
                Some(self.open(now))
            }
            ModelState::Closed
            | ModelState::Open { .. }
            | ModelState::Echo { .. }
            | ModelState::HalfOpen { .. } => None,
        }
    }

    fn admit(&mut self, now: u64) -> Option<(u32, u32)> {
        match &mut self.state {
            ModelState::Closed => {}
            ModelState::Open { .. } | ModelState::Echo { .. } => return None,
            ModelState::HalfOpen { last_admitted } => {
                if self.admitted.len() >= self.policy.probes as usize {
                    return None;
                }
                *last_admitted = now;
            }
        }
        self.calls += 1;
        self.admitted.insert(self.calls);
        Some((self.serial, self.calls))
    }

    fn forgo(&mut self, (_, call): (u32, u32)) {
        self.admitted.remove(&call);
    }

    fn end(
        &mut self,
        (serial, _): (u32, u32),
        failed: bool,
        latency: u64,
        now: u64,
    ) -> Option<BreakerState> {
        if serial != self.serial {
            return None;
        }
        let slow = self.policy.slow;
        let slow = slow.is_some_and(|slow| u128::from(latency) >= slow.limit.as_millis());
        self.ended.push((now, failed, slow));
        match self.state {
            ModelState::Closed => self.closed_moves(now),
            ModelState::Open { .. } | ModelState::Echo { .. } => unreachable!("they admit nothing"),
            ModelState::HalfOpen { .. } => self.half_open_moves(now),
        }
    }

    fn closed_moves(&mut self, now: u64) -> Option<BreakerState> {
        let width = u64::try_from(self.policy.window.as_millis()).unwrap() / 10;
        let inside = |ended: &&(u64, bool, bool)| now / width - ended.0 / width < 10;
        let recent: Vec<_> = self.ended.iter().filter(inside).collect();
        let failed = recent.iter().filter(|call| call.1).count() * 100;
        let slow = recent.iter().filter(|call| call.2).count() * 100;
        let limit = |percent: u8| usize::from(percent) * recent.len();
        let many = recent.len() >= self.policy.calls_min as usize;
        let bad = failed >= limit(self.policy.failure_percent)
            || self.policy.slow.is_some_and(|p| slow >= limit(p.percent));
        if !(many && bad) {
            return None;
        }
        if u128::from(now - self.since) >= self.policy.calm.as_millis() {
            self.openings = 0;
        }
        Some(self.open(now))
    }

    fn half_open_moves(&mut self, now: u64) -> Option<BreakerState> {
        let probes = self.policy.probes as usize;
        let failed = self.ended.iter().filter(|call| call.1).count() * 200;
        let slow = self.ended.iter().filter(|call| call.2).count() * 200;
        let limit = |percent: u8| usize::from(percent) * probes;
        let well = failed < limit(self.policy.failure_percent)
            && self.policy.slow.is_none_or(|p| slow < limit(p.percent));
        if !well {
            return Some(self.open(now));
        }
        (self.ended.len() == probes).then(|| self.enter(ModelState::Closed, now))
    }
}

/// Takes both through the same steps.
struct Pair {
    breaker: Breaker,
    model: Model,
    under_way: Vec<(Ticket, (u32, u32))>,
    now: u64,
}

impl Pair {
    fn new(policy: BreakerPolicy) -> Self {
        Self {
            breaker: Breaker::new(policy),
            model: Model::new(policy),
            under_way: vec![],
            now: 0,
        }
    }

    fn step(&mut self, step: Step) {
        let count = self.under_way.len().max(1);
        match step {
            Step::Pass(millis) => self.now += millis,
            Step::Admit => {
                let moved = self.breaker.refresh(at(self.now));
                assert_eq!(moved, self.model.refresh(self.now));
                let ticket = self.breaker.admit(at(self.now));
                let expected = self.model.admit(self.now);
                assert_eq!(ticket.is_some(), expected.is_some(), "at {}", self.now);
                self.under_way.extend(ticket.zip(expected));
            }
            Step::End(which, failed, latency) if !self.under_way.is_empty() => {
                let (ticket, call) = self.under_way.swap_remove(which % count);
                let now = at(self.now);
                let moved = self.breaker.record(ticket, failed, ms(latency), now);
                assert_eq!(moved, self.model.end(call, failed, latency, self.now));
            }
            Step::Forgo(which) if !self.under_way.is_empty() => {
                let (ticket, call) = self.under_way.swap_remove(which % count);
                self.breaker.forgo(ticket);
                self.model.forgo(call);
            }
            Step::Lose(which) if !self.under_way.is_empty() => {
                let _lost = self.under_way.swap_remove(which % count);
            }
            Step::End(..) | Step::Forgo(_) | Step::Lose(_) => {}
            Step::SendEcho => {
                let wants = matches!(self.model.state, ModelState::Echo { sent: None });
                assert_eq!(self.breaker.wants_echo(), wants);
                if wants {
                    self.breaker.echo_sent(at(self.now));
                    self.model.state = ModelState::Echo {
                        sent: Some(self.now),
                    };
                }
            }
            Step::AnswerEcho => {
                self.breaker.echo_answered(at(self.now));
                if let ModelState::Echo { sent: Some(_) } = self.model.state {
                    let last_admitted = self.now;
                    self.model
                        .enter(ModelState::HalfOpen { last_admitted }, self.now);
                }
            }
        }
        self.breaker.check_invariants();
    }

    /// Whatever happened, and with every call lost: the breaker admits again after a bounded time.
    fn comes_round(mut self) {
        let policy = self.breaker.policy;
        let longest = policy.probe_timeout + policy.open_max;
        let later = at(self.now).after(longest);
        let _: Option<BreakerState> = self.breaker.refresh(later);
        let _: Option<BreakerState> = self.breaker.refresh(later.after(longest));
        // Of one that asks by echo nothing is expected while the issuer answers none.
        self.breaker.echo_sent(later);
        self.breaker.echo_answered(later.after(longest));
        assert!(self.breaker.admits(), "{:?}", self.breaker.state);
    }
}

fn step() -> impl Strategy<Value = Step> {
    let latency = prop_oneof![Just(299_u64), Just(300)];
    let pause = prop_oneof![0_u64..150, 900_u64..1_100, Just(5_000), Just(20_000)];
    prop_oneof![
        2 => pause.prop_map(Step::Pass),
        6 => Just(Step::Admit),
        6 => (any::<usize>(), any::<bool>(), latency).prop_map(|(w, f, l)| Step::End(w, f, l)),
        1 => any::<usize>().prop_map(Step::Forgo),
        1 => any::<usize>().prop_map(Step::Lose),
        2 => Just(Step::SendEcho),
        2 => Just(Step::AnswerEcho),
    ]
}

/// Windows shorter and longer than the time a breaker stays open.
fn policy() -> impl Strategy<Value = BreakerPolicy> {
    let slow = proptest::option::of((1_u8..=100).prop_map(|percent| SlowPolicy {
        limit: ms(300),
        percent,
    }));
    let window = prop_oneof![Just(ms(1_000)), Just(ms(20_000))];
    let echo = prop_oneof![Just(None), Just(Some(ms(100)))];
    (1_u32..6, 1_u8..=100, slow, 1_u32..5, window, echo).prop_map(
        |(calls_min, failure_percent, slow, probes, window, echo)| BreakerPolicy {
            echo,
            window,
            calls_min,
            failure_percent,
            slow,
            probes,
            ..POLICY
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn breaker_and_model_agree(policy in policy(), steps in prop::collection::vec(step(), 0..200)) {
        let mut pair = Pair::new(policy);
        for step in steps {
            pair.step(step);
        }
        pair.comes_round();
    }
}

/// All sequences of a few steps, so that no corner depends on luck.
#[test]
fn breaker_and_model_agree_on_every_short_sequence() {
    for echo in [None, Some(ms(500))] {
        every_short_sequence(echo);
    }
}

fn every_short_sequence(echo: Option<Duration>) {
    const STEPS: [Step; 7] = [
        Step::Pass(1_000),
        Step::Admit,
        Step::End(0, false, 1),
        Step::End(0, true, 1),
        Step::Forgo(0),
        Step::Lose(0),
        // Both in one, else seven steps do not lead round.
        Step::AnswerEcho,
    ];
    const LENGTH: u32 = 7;
    let policy = BreakerPolicy {
        calls_min: 1,
        probes: 1,
        echo,
        ..POLICY
    };
    for sequence in 0..STEPS.len().pow(LENGTH) {
        let mut pair = Pair::new(policy);
        let mut rest = sequence;
        for _ in 0..LENGTH {
            let step = STEPS[rest % STEPS.len()];
            if matches!(step, Step::AnswerEcho) {
                pair.step(Step::SendEcho);
            }
            pair.step(step);
            rest /= STEPS.len();
        }
        pair.comes_round();
    }
}
