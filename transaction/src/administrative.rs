//! Administrative messages (class 6: 0600, 0620) on their way to an issuer and back. They move no
//! money, so nothing of them is journaled, nothing is owed, and nothing outlives a restart.
//!
//! ```text
//!   asked ──► Routing ── a leg ──► Sent ─┬─ answer ────────────────► the answer
//!               │  ▲                     ├─ deadline, link lost ───► 91
//!               │  └─ provably unsent ───┤
//!               └─ nobody to ask: 92, 91 └─ unusable, given back ──► 96
//! ```
//!
//! | row | comes | an exchange of its key | then |
//! |---|---|---|---|
//! | C01 | a message | none | a route is asked for |
//! | C02 | the same | none, and there is no room | 96 |
//! | C03 | a copy | in flight, same content | the newest copy is answered, the one before is not |
//! | C04 | the same | in flight, other content | 94 |
//! | C05 | a copy | answered before | as C01: it is passed on again |
//!
//! What an exchange waits for has always its own bound: a route is chosen within the turn, an
//! issuer has the deadline of the route.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use domain::ResponseCode;
use domain::ids::{RouteId, Stan};
use domain::request::{ContentHash, DuplicateKey, FrameId, IssuerLeg};
use domain::time::Instant;

use crate::index::KeyIndex;
use crate::output::StanReuse;
use crate::saf::heap::DueHeap;

/// The exchanges of one shard that are in flight.
#[derive(Debug)]
pub struct Exchanges {
    places: Vec<Place>,
    free: Vec<u32>,
    by_key: KeyIndex,
    deadlines: DueHeap,
    outputs: VecDeque<ExchangeOutput>,
}

/// Names one exchange. It outlives it harmlessly: what it says is then ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeId {
    /// Position in the table.
    pub index: u32,
    /// Counts how often the position was given out.
    pub generation: u32,
}

/// A message of an acquirer. Its frame ends in one [`ExchangeOutput::Relay`],
/// [`ExchangeOutput::Tell`] or [`ExchangeOutput::Discard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where the message waits for its answer.
    pub frame: FrameId,
    /// What its copies share.
    pub key: DuplicateKey,
    /// What they may not change.
    pub content: ContentHash,
}

/// What has happened.
#[derive(Clone, Copy, Debug)]
pub enum ExchangeInput {
    /// An acquirer asks.
    Asked(Asked),
    /// The choice that [`ExchangeOutput::SelectRoute`] asked for.
    Selected {
        /// For whom.
        exchange: ExchangeId,
        /// The choice.
        chosen: Chosen,
    },
    /// Provably no byte of this leg left.
    Unsent {
        /// Whose.
        exchange: ExchangeId,
        /// DE11 of the leg.
        stan: Stan,
    },
    /// The link of this leg is lost, and its issuer wants no wait for its answer.
    Lost {
        /// Whose.
        exchange: ExchangeId,
        /// DE11 of the leg.
        stan: Stan,
    },
    /// The issuer has answered.
    Answered {
        /// To whom.
        exchange: ExchangeId,
        /// DE11 of the leg.
        stan: Stan,
        /// Where the answer waits: it ends in one [`ExchangeOutput::Relay`] or
        /// [`ExchangeOutput::Drop`].
        answer: FrameId,
    },
    /// The answer cannot be used, or the network gave back what was sent.
    Unusable {
        /// To whom.
        exchange: ExchangeId,
        /// DE11 of the leg.
        stan: Stan,
    },
}

/// Whom an exchange goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// A candidate that admits, with a STAN and a permit taken for it.
    Leg {
        /// How it travels.
        leg: IssuerLeg,
        /// The route's deadline, counted from the first choice of the exchange: a second candidate
        /// has what is left of it.
        deadline: Duration,
    },
    /// No route is configured.
    NoRoute,
    /// None of its candidates can be asked.
    NoneAdmits(ResponseCode),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeOutput {
    /// Whom to send it to? Told by [`ExchangeInput::Selected`] in the same turn.
    SelectRoute {
        /// For whom.
        exchange: ExchangeId,
        /// The message.
        frame: FrameId,
        /// Candidates that were asked for before, by bit.
        tried: u8,
        /// The route that was chosen then.
        route: Option<RouteId>,
        /// What its copies share.
        key: DuplicateKey,
    },
    /// Send it.
    Send {
        /// Whose leg.
        exchange: ExchangeId,
        /// The message.
        frame: FrameId,
        /// How it travels.
        leg: IssuerLeg,
    },
    /// A leg has ended: its permit goes back, and its number.
    LegEnded {
        /// Whose.
        exchange: ExchangeId,
        /// The leg.
        leg: IssuerLeg,
        /// How.
        ending: ExchangeEnding,
    },
    /// Pass the issuer's answer on.
    Relay {
        /// To whom.
        frame: FrameId,
        /// The answer.
        answer: FrameId,
    },
    /// Answer with this code.
    Tell {
        /// Whom.
        frame: FrameId,
        /// DE39.
        code: ResponseCode,
        /// Why.
        why: Untold,
    },
    /// A newer copy waits in its place: no answer.
    Discard {
        /// Who waited.
        frame: FrameId,
    },
    /// Nobody waits for this answer any more.
    Drop {
        /// The answer.
        answer: FrameId,
    },
}

/// How a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeEnding {
    /// With an answer, whatever it says.
    Answered,
    /// Without one in time.
    Silent,
    /// Nothing left for the issuer.
    Unsent,
}

impl ExchangeEnding {
    /// When the number of the leg may be given out again.
    #[must_use]
    pub const fn stan_reuse(self) -> StanReuse {
        match self {
            Self::Answered | Self::Unsent => StanReuse::AtOnce,
            Self::Silent => StanReuse::AfterLateWindow,
        }
    }
}

/// Why an acquirer is not told what an issuer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untold {
    /// As many are in flight as may be.
    Full,
    /// Another message of the same key is in flight.
    Conflict,
    /// No route is configured.
    NoRoute,
    /// None of its candidates can be asked.
    NoneAdmits,
    /// The issuer did not answer in time.
    TimedOut,
    /// Its answer cannot be used, or the message came back.
    Unusable,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    exchange: Option<Exchange>,
}

#[derive(Clone, Copy, Debug)]
struct Exchange {
    key: DuplicateKey,
    content: ContentHash,
    frame: FrameId,
    /// Candidates that nothing was sent to, by bit.
    tried: u8,
    /// When it is told 91; none before the first choice.
    until: Option<Instant>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A route was asked for.
    Routing,
    /// The issuer may have it: there is no second one (T-04).
    Sent(IssuerLeg),
}

impl Exchanges {
    /// At most `count_max` in flight. `seed` spreads their keys.
    #[must_use]
    pub fn new(count_max: usize, seed: u64) -> Self {
        let count_max = u32::try_from(count_max).unwrap_or(u32::MAX).min(COUNT_MAX);
        let place = |_| Place {
            generation: 0,
            exchange: None,
        };
        let room = usize::try_from(count_max).unwrap_or(0);
        Self {
            places: (0..count_max).map(place).collect(),
            free: (0..count_max).rev().collect(),
            by_key: KeyIndex::new(room, seed),
            deadlines: DueHeap::new(room),
            outputs: VecDeque::with_capacity(OUTPUTS_PER_INPUT),
        }
    }

    /// Takes what has happened.
    pub fn handle_input(&mut self, input: ExchangeInput, now: Instant) {
        match input {
            ExchangeInput::Asked(asked) => self.asked(asked),
            ExchangeInput::Selected { exchange, chosen } => self.selected(exchange, chosen, now),
            ExchangeInput::Unsent { exchange, stan } => self.unsent(exchange, stan),
            ExchangeInput::Lost { exchange, stan } => self.silent(exchange, stan),
            ExchangeInput::Answered {
                exchange,
                stan,
                answer,
            } => self.answered(exchange, stan, answer),
            ExchangeInput::Unusable { exchange, stan } => self.unusable(exchange, stan),
        }
        self.check_touched();
    }

    /// Tells those whose issuer was silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, index)) = self.deadlines.earliest() {
            if now < at {
                break;
            }
            let exchange = self.id(index);
            let Some(State::Sent(leg)) = self.exchange(exchange).map(|found| found.state) else {
                debug_assert!(false, "a deadline runs while an issuer is waited for");
                self.deadlines.clear(index);
                continue;
            };
            self.silent(exchange, leg.stan);
        }
        self.check_touched();
    }

    /// What to do next; drained after every call.
    pub fn poll_output(&mut self) -> Option<ExchangeOutput> {
        self.outputs.pop_front()
    }

    /// When [`Exchanges::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.earliest().map(|(at, _)| at)
    }

    /// Exchanges in flight.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.places.len().saturating_sub(self.free.len())
    }

    /// Whether none is in flight.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sweeps everything. Linear in the table.
    ///
    /// # Panics
    /// When an invariant is broken: 1, what is not free is in flight; 2, a deadline runs exactly
    /// where an issuer is waited for; 3, each key leads to its exchange; 4, no two wait under one
    /// frame.
    pub fn check_invariants(&self) {
        let mut count = 0_usize;
        let mut frames = Vec::with_capacity(self.len());
        for (index, place) in (0_u32..).zip(&self.places) {
            let is_timed = self.deadlines.due_at(index).is_some();
            let Some(exchange) = place.exchange else {
                assert!(!is_timed, "2: {index} is free");
                continue;
            };
            count = count.saturating_add(1);
            let is_sent = match exchange.state {
                State::Routing => false,
                State::Sent(_) => true,
            };
            assert_eq!(is_timed, is_sent, "2: {index}");
            assert_eq!(self.find(exchange.key), Some(index), "3: {index}");
            frames.push(exchange.frame);
        }
        assert_eq!(count, self.len(), "1: in flight");
        for index in &self.free {
            assert!(self.exchange(self.id(*index)).is_none(), "1: {index}");
        }
        frames.sort_unstable();
        frames.dedup();
        assert_eq!(frames.len(), count, "4: frames");
    }

    /// What every call can look at without a sweep.
    fn check_touched(&self) {
        debug_assert!(self.free.len() <= self.places.len());
        debug_assert!(
            self.deadlines
                .earliest()
                .is_none_or(|(_, index)| self.exchange(self.id(index)).is_some()),
            "2: the next deadline is somebody's"
        );
    }

    fn asked(&mut self, asked: Asked) {
        let Asked {
            frame,
            key,
            content,
        } = asked;
        if let Some(index) = self.find(key) {
            return self.copied(index, asked);
        }
        //= docs/rules.md#P-04
        let Some(index) = self.free.pop() else {
            return self.tell(frame, ResponseCode::MALFUNCTION, Untold::Full);
        };
        let inserted = self.by_key.insert(low(key), index);
        debug_assert!(inserted, "the index has room for every place");
        if let Some(place) = self.places.get_mut(index as usize) {
            debug_assert!(place.exchange.is_none(), "a free place is empty");
            place.exchange = Some(Exchange {
                key,
                content,
                frame,
                tried: 0,
                until: None,
                state: State::Routing,
            });
        }
        self.outputs.push_back(ExchangeOutput::SelectRoute {
            exchange: self.id(index),
            frame,
            tried: 0,
            route: None,
            key,
        });
    }

    /// C03 and C04.
    fn copied(&mut self, index: u32, asked: Asked) {
        let place = self.places.get_mut(index as usize);
        let Some(exchange) = place.and_then(|place| place.exchange.as_mut()) else {
            return;
        };
        if exchange.content != asked.content {
            return self.tell(asked.frame, ResponseCode::DUPLICATE, Untold::Conflict);
        }
        //= docs/rules.md#P-05
        let frame = core::mem::replace(&mut exchange.frame, asked.frame);
        debug_assert_ne!(frame, asked.frame, "each message has a frame of its own");
        self.outputs.push_back(ExchangeOutput::Discard { frame });
    }

    fn selected(&mut self, exchange: ExchangeId, chosen: Chosen, now: Instant) {
        let found = self.exchange_mut(exchange);
        let routing = found.filter(|found| matches!(found.state, State::Routing));
        match (routing, chosen) {
            (Some(found), Chosen::Leg { leg, deadline }) => {
                found.state = State::Sent(leg);
                let until = *found.until.get_or_insert_with(|| now.after(deadline));
                let frame = found.frame;
                self.send(exchange, frame, leg, until);
            }
            (Some(_), Chosen::NoRoute) => {
                self.end(exchange, ResponseCode::CANNOT_ROUTE, Untold::NoRoute);
            }
            (Some(_), Chosen::NoneAdmits(code)) => self.end(exchange, code, Untold::NoneAdmits),
            // Nobody waits for it: what was taken for it goes back.
            (None, Chosen::Leg { leg, .. }) => {
                self.leg_ended(exchange, leg, ExchangeEnding::Unsent);
            }
            (None, Chosen::NoRoute | Chosen::NoneAdmits(_)) => {}
        }
    }

    fn send(&mut self, exchange: ExchangeId, frame: FrameId, leg: IssuerLeg, until: Instant) {
        self.deadlines.set(exchange.index, until);
        self.outputs.push_back(ExchangeOutput::Send {
            exchange,
            frame,
            leg,
        });
    }

    /// The only way to a second candidate: the first one provably had nothing.
    //= docs/rules.md#P-02
    fn unsent(&mut self, exchange: ExchangeId, stan: Stan) {
        let Some(leg) = self.leg(exchange, stan) else {
            return;
        };
        self.deadlines.clear(exchange.index);
        self.leg_ended(exchange, leg, ExchangeEnding::Unsent);
        let candidate = 1_u8.checked_shl(leg.candidate.into()).unwrap_or(0);
        let Some(found) = self.exchange_mut(exchange) else {
            return;
        };
        if candidate == 0 || found.tried & candidate != 0 {
            debug_assert!(false, "a candidate is asked for once");
            let code = ResponseCode::ISSUER_INOPERATIVE;
            return self.end(exchange, code, Untold::NoneAdmits);
        }
        found.tried |= candidate;
        found.state = State::Routing;
        let Exchange {
            frame, tried, key, ..
        } = *found;
        self.outputs.push_back(ExchangeOutput::SelectRoute {
            exchange,
            frame,
            tried,
            route: Some(leg.route),
            key,
        });
    }

    //= docs/rules.md#P-03
    fn silent(&mut self, exchange: ExchangeId, stan: Stan) {
        if let Some(leg) = self.leg(exchange, stan) {
            self.leg_ended(exchange, leg, ExchangeEnding::Silent);
            self.end(exchange, ResponseCode::ISSUER_TIMED_OUT, Untold::TimedOut);
        }
    }

    fn unusable(&mut self, exchange: ExchangeId, stan: Stan) {
        if let Some(leg) = self.leg(exchange, stan) {
            self.leg_ended(exchange, leg, ExchangeEnding::Answered);
            self.end(exchange, ResponseCode::MALFUNCTION, Untold::Unusable);
        }
    }

    fn answered(&mut self, exchange: ExchangeId, stan: Stan, answer: FrameId) {
        let leg = self.leg(exchange, stan);
        if let Some(leg) = leg
            && let Some(frame) = self.forget(exchange)
        {
            self.leg_ended(exchange, leg, ExchangeEnding::Answered);
            self.outputs
                .push_back(ExchangeOutput::Relay { frame, answer });
        } else {
            self.outputs.push_back(ExchangeOutput::Drop { answer });
        }
    }

    fn leg_ended(&mut self, exchange: ExchangeId, leg: IssuerLeg, ending: ExchangeEnding) {
        self.outputs.push_back(ExchangeOutput::LegEnded {
            exchange,
            leg,
            ending,
        });
    }

    fn end(&mut self, exchange: ExchangeId, code: ResponseCode, why: Untold) {
        if let Some(frame) = self.forget(exchange) {
            self.tell(frame, code, why);
        }
    }

    fn tell(&mut self, frame: FrameId, code: ResponseCode, why: Untold) {
        self.outputs
            .push_back(ExchangeOutput::Tell { frame, code, why });
    }

    /// Its place is free, and its name is nobody's. Who waited, for the one answer.
    //= docs/rules.md#P-06
    fn forget(&mut self, exchange: ExchangeId) -> Option<FrameId> {
        self.exchange(exchange)?;
        let place = self.places.get_mut(exchange.index as usize)?;
        let Exchange { key, frame, .. } = place.exchange.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.by_key.remove(low(key), exchange.index);
        self.deadlines.clear(exchange.index);
        self.free.push(exchange.index);
        Some(frame)
    }

    fn id(&self, index: u32) -> ExchangeId {
        let place = self.places.get(index as usize);
        ExchangeId {
            index,
            generation: place.map_or(0, |place| place.generation),
        }
    }

    fn find(&self, key: DuplicateKey) -> Option<u32> {
        self.by_key.find(low(key), |index| {
            let place = self.places.get(index as usize);
            place
                .and_then(|place| place.exchange)
                .is_some_and(|it| it.key == key)
        })
    }

    fn exchange(&self, id: ExchangeId) -> Option<Exchange> {
        let place = self.places.get(id.index as usize)?;
        place.exchange.filter(|_| place.generation == id.generation)
    }

    fn exchange_mut(&mut self, id: ExchangeId) -> Option<&mut Exchange> {
        let place = self.places.get_mut(id.index as usize)?;
        let is_it = place.generation == id.generation;
        place.exchange.as_mut().filter(|_| is_it)
    }

    /// The leg that waits under this number.
    fn leg(&self, exchange: ExchangeId, stan: Stan) -> Option<IssuerLeg> {
        match self.exchange(exchange)?.state {
            State::Sent(leg) => (leg.stan == stan).then_some(leg),
            State::Routing => None,
        }
    }
}

fn low(key: DuplicateKey) -> u64 {
    u64::try_from(key.0 & u128::from(u64::MAX)).unwrap_or_default()
}

/// Places that the configuration may ask for.
const COUNT_MAX: u32 = 1_000_000;
/// An input is followed by three outputs at most; a moment in which many run out of time by more.
const OUTPUTS_PER_INPUT: usize = 64;

#[cfg(test)]
mod tests;
