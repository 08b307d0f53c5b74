//! Each row of an exchange's life, and what holds in any order of events.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{IssuerId, LinkId};
use domain::time::{TransmissionTime, WallTime};

use super::*;

use ExchangeEnding::{Answered, Silent, Unsent};
use ExchangeOutput::{Discard, Drop, LegEnded, Relay, SelectRoute, Send, Tell};

const DEADLINE: Duration = Duration::from_secs(2);

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn asked(frame: u32, key: u128, content: u64) -> ExchangeInput {
    ExchangeInput::Asked(Asked {
        frame: FrameId(frame),
        key: DuplicateKey(key),
        content: ContentHash(content),
    })
}

fn leg(candidate: u8, stan: u32) -> IssuerLeg {
    IssuerLeg {
        route: RouteId(3),
        candidate,
        issuer: IssuerId(u16::from(candidate)),
        link: LinkId(9),
        stan: Stan::new(stan).unwrap(),
        transmitted: TransmissionTime::at(WallTime::default()),
    }
}

fn drained(exchanges: &mut Exchanges) -> Vec<ExchangeOutput> {
    exchanges.check_invariants();
    core::iter::from_fn(|| exchanges.poll_output()).collect()
}

/// One input, and what it asks for.
fn told(exchanges: &mut Exchanges, input: ExchangeInput, now: Instant) -> Vec<ExchangeOutput> {
    exchanges.handle_input(input, now);
    drained(exchanges)
}

fn id(index: u32, generation: u32) -> ExchangeId {
    ExchangeId { index, generation }
}

fn chosen(exchange: ExchangeId, leg: IssuerLeg) -> ExchangeInput {
    ExchangeInput::Selected {
        exchange,
        chosen: Chosen::Leg {
            leg,
            deadline: DEADLINE,
        },
    }
}

const fn code(frame: u32, code: ResponseCode, why: Untold) -> ExchangeOutput {
    Tell {
        frame: FrameId(frame),
        code,
        why,
    }
}

const fn ended(exchange: ExchangeId, leg: IssuerLeg, ending: ExchangeEnding) -> ExchangeOutput {
    LegEnded {
        exchange,
        leg,
        ending,
    }
}

const fn asks(
    exchange: ExchangeId,
    frame: u32,
    tried: u8,
    route: Option<RouteId>,
) -> ExchangeOutput {
    SelectRoute {
        exchange,
        frame: FrameId(frame),
        tried,
        route,
        key: DuplicateKey(100),
    }
}

const fn sends(exchange: ExchangeId, frame: u32, leg: IssuerLeg) -> ExchangeOutput {
    Send {
        exchange,
        frame: FrameId(frame),
        leg,
    }
}

/// A table of four with one exchange that waits for its issuer, from 10 ms on.
fn sent() -> (Exchanges, ExchangeId, IssuerLeg) {
    let mut exchanges = Exchanges::new(4, 7);
    let (first, leg) = (id(0, 0), leg(0, 41));
    assert_eq!(
        told(&mut exchanges, asked(1, 100, 5), at(10)),
        [asks(first, 1, 0, None)]
    );
    assert_eq!(
        told(&mut exchanges, chosen(first, leg), at(10)),
        [sends(first, 1, leg)]
    );
    assert_eq!(exchanges.poll_timeout(), Some(at(2_010)));
    (exchanges, first, leg)
}

fn answer(exchange: ExchangeId, stan: Stan, frame: u32) -> ExchangeInput {
    ExchangeInput::Answered {
        exchange,
        stan,
        answer: FrameId(frame),
    }
}

#[test]
fn an_answer_is_passed_on_and_a_second_one_is_dropped() {
    let (mut exchanges, first, leg) = sent();
    let relay = Relay {
        frame: FrameId(1),
        answer: FrameId(80),
    };
    let outputs = told(&mut exchanges, answer(first, leg.stan, 80), at(20));
    assert_eq!(outputs, [ended(first, leg, Answered), relay]);
    assert!(exchanges.is_empty());
    assert_eq!(exchanges.poll_timeout(), None);
    let again = told(&mut exchanges, answer(first, leg.stan, 81), at(21));
    let dropped = Drop {
        answer: FrameId(81),
    };
    assert_eq!(again, [dropped]);
}

//= docs/rules.md#P-03
#[test]
fn a_silent_issuer_is_91_at_the_deadline_and_its_late_answer_is_nobodys() {
    let (mut exchanges, first, leg) = sent();
    exchanges.handle_timeout(at(2_009));
    assert_eq!(drained(&mut exchanges), []);
    exchanges.handle_timeout(at(2_010));
    let timed_out = code(1, ResponseCode::ISSUER_TIMED_OUT, Untold::TimedOut);
    assert_eq!(
        drained(&mut exchanges),
        [ended(first, leg, Silent), timed_out]
    );
    assert!(exchanges.is_empty());
    // The place has a tenant under the same number of the issuer's.
    let next = id(0, 1);
    told(&mut exchanges, asked(2, 200, 5), at(2_011));
    told(&mut exchanges, chosen(next, leg), at(2_011));
    let late = told(&mut exchanges, answer(first, leg.stan, 80), at(2_012));
    let dropped = Drop {
        answer: FrameId(80),
    };
    assert_eq!(late, [dropped]);
    assert_eq!(exchanges.len(), 1);
}

#[test]
fn a_lost_link_and_an_answer_that_cannot_be_used_end_it_at_once() {
    let (mut exchanges, first, leg) = sent();
    let stan = leg.stan;
    let lost = ExchangeInput::Lost {
        exchange: first,
        stan,
    };
    let timed_out = code(1, ResponseCode::ISSUER_TIMED_OUT, Untold::TimedOut);
    assert_eq!(
        told(&mut exchanges, lost, at(11)),
        [ended(first, leg, Silent), timed_out]
    );
    let (mut exchanges, first, leg) = sent();
    let unusable = ExchangeInput::Unusable {
        exchange: first,
        stan,
    };
    let failed = code(1, ResponseCode::MALFUNCTION, Untold::Unusable);
    assert_eq!(
        told(&mut exchanges, unusable, at(11)),
        [ended(first, leg, Answered), failed]
    );
    assert_eq!(told(&mut exchanges, unusable, at(12)), [], "ended once");
}

//= docs/rules.md#P-02
#[test]
fn what_provably_did_not_leave_goes_to_the_next_candidate_within_the_same_deadline() {
    let (mut exchanges, first, unsent) = sent();
    let input = |stan| ExchangeInput::Unsent {
        exchange: first,
        stan,
    };
    assert_eq!(
        told(&mut exchanges, input(unsent.stan), at(1_010)),
        [
            ended(first, unsent, Unsent),
            asks(first, 1, 0b1, Some(RouteId(3)))
        ]
    );
    assert_eq!(exchanges.poll_timeout(), None);
    let second = leg(1, 77);
    assert_eq!(
        told(&mut exchanges, chosen(first, second), at(1_010)),
        [sends(first, 1, second)]
    );
    assert_eq!(exchanges.poll_timeout(), Some(at(2_010)), "what is left");
    assert_eq!(told(&mut exchanges, input(unsent.stan), at(1_011)), []);
    told(&mut exchanges, input(second.stan), at(1_012));
    let none = ExchangeInput::Selected {
        exchange: first,
        chosen: Chosen::NoneAdmits(ResponseCode::ISSUER_INOPERATIVE),
    };
    let nobody = code(1, ResponseCode::ISSUER_INOPERATIVE, Untold::NoneAdmits);
    assert_eq!(told(&mut exchanges, none, at(1_012)), [nobody]);
    assert!(exchanges.is_empty());
}

#[test]
fn without_a_route_it_is_92() {
    let mut exchanges = Exchanges::new(4, 7);
    told(&mut exchanges, asked(1, 100, 5), at(1));
    let none = ExchangeInput::Selected {
        exchange: id(0, 0),
        chosen: Chosen::NoRoute,
    };
    let nowhere = code(1, ResponseCode::CANNOT_ROUTE, Untold::NoRoute);
    assert_eq!(told(&mut exchanges, none, at(1)), [nowhere]);
    assert_eq!(told(&mut exchanges, none, at(1)), [], "told once");
    // A leg that comes for nobody goes back.
    let stray = told(&mut exchanges, chosen(id(0, 0), leg(0, 1)), at(2));
    assert_eq!(stray, [ended(id(0, 0), leg(0, 1), Unsent)]);
}

//= docs/rules.md#P-05
#[test]
fn a_copy_takes_the_place_of_the_one_before_it_and_other_content_is_refused() {
    let (mut exchanges, first, leg) = sent();
    let before = Discard { frame: FrameId(1) };
    assert_eq!(told(&mut exchanges, asked(2, 100, 5), at(11)), [before]);
    let conflict = code(3, ResponseCode::DUPLICATE, Untold::Conflict);
    assert_eq!(told(&mut exchanges, asked(3, 100, 6), at(12)), [conflict]);
    let relay = Relay {
        frame: FrameId(2),
        answer: FrameId(80),
    };
    let outputs = told(&mut exchanges, answer(first, leg.stan, 80), at(20));
    assert_eq!(outputs, [ended(first, leg, Answered), relay]);
    // C05: what was answered is passed on again.
    let again = told(&mut exchanges, asked(4, 100, 5), at(21));
    assert_eq!(again, [asks(id(0, 1), 4, 0, None)]);
}

//= docs/rules.md#P-04
#[test]
fn a_full_table_refuses_what_is_new_and_takes_copies() {
    let mut exchanges = Exchanges::new(2, 7);
    for number in 1..=2 {
        told(&mut exchanges, asked(number, number.into(), 0), at(1));
    }
    let full = code(3, ResponseCode::MALFUNCTION, Untold::Full);
    assert_eq!(told(&mut exchanges, asked(3, 3, 0), at(1)), [full]);
    let before = Discard { frame: FrameId(1) };
    assert_eq!(told(&mut exchanges, asked(4, 1, 0), at(1)), [before]);
    assert_eq!(exchanges.len(), 2);
}

/// What an acquirer, a shell, an issuer and the time do, in any order.
#[derive(Clone, Debug)]
enum Step {
    Ask { key: u8, content: u8 },
    Choose { which: u8, what: u8 },
    Unsent(u8),
    Lost(u8),
    Answer(u8),
    Unusable(u8),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..8, 0_u8..2).prop_map(|(key, content)| Step::Ask { key, content }),
        4 => (any::<u8>(), 0_u8..6).prop_map(|(which, what)| Step::Choose { which, what }),
        1 => any::<u8>().prop_map(Step::Unsent),
        1 => any::<u8>().prop_map(Step::Lost),
        3 => any::<u8>().prop_map(Step::Answer),
        1 => any::<u8>().prop_map(Step::Unusable),
        2 => (1_u16..900).prop_map(Step::Pass),
    ]
}

/// The shell's side, with what it has seen.
struct World {
    exchanges: Exchanges,
    now: Instant,
    frames: u32,
    waiting: BTreeSet<u32>,
    answers: BTreeSet<u32>,
    routing: Vec<(ExchangeId, u8)>,
    /// Legs out, by number, with whether the issuer may have them.
    out: BTreeMap<u32, (ExchangeId, IssuerLeg)>,
    /// All legs that ever were: late messages are about any.
    past: Vec<(ExchangeId, Stan)>,
    numbers: u32,
}

impl World {
    fn new() -> Self {
        Self {
            exchanges: Exchanges::new(5, 3),
            now: at(0),
            frames: 0,
            waiting: BTreeSet::new(),
            answers: BTreeSet::new(),
            routing: Vec::new(),
            out: BTreeMap::new(),
            past: Vec::new(),
            numbers: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        let now = self.now;
        let input = match *step {
            Step::Ask { key, content } => {
                self.frames += 1;
                assert!(self.waiting.insert(self.frames));
                asked(self.frames, key.into(), content.into())
            }
            Step::Choose { which, what } => {
                if self.routing.is_empty() {
                    return;
                }
                let place = usize::from(which) % self.routing.len();
                let (exchange, tried) = self.routing.swap_remove(place);
                let chosen = self.choose(exchange, tried, what);
                ExchangeInput::Selected { exchange, chosen }
            }
            Step::Pass(millis) => {
                self.now = now.after(Duration::from_millis(millis.into()));
                self.exchanges.handle_timeout(self.now);
                return self.drain();
            }
            Step::Unsent(which)
            | Step::Lost(which)
            | Step::Answer(which)
            | Step::Unusable(which) => {
                if self.past.is_empty() {
                    return;
                }
                let (exchange, stan) = self.past[usize::from(which) % self.past.len()];
                match step {
                    Step::Unsent(_) => ExchangeInput::Unsent { exchange, stan },
                    Step::Lost(_) => ExchangeInput::Lost { exchange, stan },
                    Step::Unusable(_) => ExchangeInput::Unusable { exchange, stan },
                    Step::Answer(_) | Step::Ask { .. } | Step::Choose { .. } | Step::Pass(_) => {
                        self.frames += 1;
                        assert!(self.answers.insert(self.frames));
                        answer(exchange, stan, self.frames)
                    }
                }
            }
        };
        self.exchanges.handle_input(input, now);
        self.drain();
    }

    fn choose(&mut self, exchange: ExchangeId, tried: u8, what: u8) -> Chosen {
        let candidate = (0..3).find(|candidate| tried & (1 << candidate) == 0);
        match (what, candidate) {
            (0, _) => Chosen::NoRoute,
            (1, _) | (_, None) => Chosen::NoneAdmits(ResponseCode::ISSUER_INOPERATIVE),
            (_, Some(candidate)) => {
                self.numbers += 1;
                let leg = leg(candidate, self.numbers);
                self.out.insert(self.numbers, (exchange, leg));
                self.past.push((exchange, leg.stan));
                Chosen::Leg {
                    leg,
                    deadline: DEADLINE,
                }
            }
        }
    }

    fn drain(&mut self) {
        for output in drained(&mut self.exchanges) {
            match output {
                SelectRoute {
                    exchange, tried, ..
                } => self.routing.push((exchange, tried)),
                Send { exchange, leg, .. } => {
                    let out = self.out.get(&leg.stan.number());
                    assert_eq!(out, Some(&(exchange, leg)), "only what was chosen leaves");
                }
                LegEnded { leg, .. } => {
                    let ended = self.out.remove(&leg.stan.number());
                    assert!(ended.is_some(), "each leg ends once");
                }
                Relay { frame, answer } => {
                    assert!(self.waiting.remove(&frame.0), "one answer for one message");
                    assert!(self.answers.remove(&answer.0), "each answer goes once");
                }
                Tell { frame, .. } | Discard { frame } => {
                    assert!(self.waiting.remove(&frame.0), "one answer for one message");
                }
                Drop { answer } => assert!(self.answers.remove(&answer.0)),
            }
        }
        assert!(self.answers.is_empty(), "no answer is held");
        assert_eq!(self.waiting.len(), self.exchanges.len());
    }
}

proptest! {
    //= docs/rules.md#P-06
    #[test]
    fn each_message_has_one_end_and_the_table_empties(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        while !world.routing.is_empty() {
            world.step(&Step::Choose { which: 0, what: 0 });
        }
        world.now = world.now.after(DEADLINE);
        world.exchanges.handle_timeout(world.now);
        world.drain();
        prop_assert!(world.exchanges.is_empty());
        prop_assert!(world.waiting.is_empty() && world.out.is_empty());
        prop_assert_eq!(world.exchanges.poll_timeout(), None);
    }
}
