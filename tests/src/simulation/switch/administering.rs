//! Administrative messages between sessions and links, as the product's shell passes them on.

use std::time::Duration;

use domain::ids::RouteId;
use domain::request::{DuplicateKey, IssuerLeg};
use domain::time::TransmissionTime;
use router::Selection as Choice;
use router::conditions::RouteClass;
use router::selection::{CallOutcome, Query};
use router::week::WeekMinute;
use transaction::administrative::{
    Asked, Chosen, ExchangeEnding, ExchangeId, ExchangeInput, ExchangeOutput, Exchanges, Untold,
};
use transaction::matching::{Echo, ResponseKind};

use super::*;
use crate::simulation::administering::{Administering as Bounds, Administrative};
use crate::simulation::ledger::{Told, Waits};
use crate::simulation::words::LegB;

/// What a shard knows of administrative messages in flight.
#[derive(Debug)]
pub(super) struct Administering {
    exchanges: Exchanges,
    /// Permits that are out.
    permits: BTreeMap<(u32, u32), Permit>,
    frames: BTreeMap<u32, Administrative>,
    next_frame: u32,
    /// Who has waited last under each exchange, for a null control.
    newest: BTreeMap<u32, Administrative>,
    answers: BTreeMap<u32, Said>,
}

/// No transaction's.
const NOBODY: Handle = Handle {
    index: u32::MAX,
    generation: u32::MAX,
};

impl Administering {
    pub(super) fn new(bounds: Option<Bounds>) -> Self {
        let count_max = bounds.map_or(0, |bounds| bounds.inflight_max);
        Self {
            exchanges: Exchanges::new(count_max as usize, 6),
            permits: BTreeMap::new(),
            frames: BTreeMap::new(),
            next_frame: 0,
            newest: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.exchanges.is_empty()
    }

    pub(super) fn inflight(&self) -> usize {
        self.exchanges.len()
    }

    pub(super) fn permits(&self) -> usize {
        self.permits.len()
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        self.exchanges.poll_timeout().map(Instant::as_nanos)
    }

    pub(super) fn check_idle(&self) -> Result<(), Broken> {
        self.exchanges.check_invariants();
        if self.frames.is_empty() && self.answers.is_empty() && self.permits.is_empty() {
            return Ok(());
        }
        let what = format!("no end: {:?} {:?}", self.frames, self.permits);
        Err(("P-06", what))
    }
}

fn bounds(around: &Around<'_>) -> Result<Bounds, Broken> {
    let nobody = || ("P-01", "nobody here asks for it".to_string());
    around.plan.administering.ok_or_else(nobody)
}

impl Shard {
    /// An administrative message arrives over a session of this shard.
    pub(in crate::simulation) fn arrive_administrative(
        &mut self,
        ask: Administrative,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let owner = ask.slot().owner(self.shards).0;
        if owner != self.id && around.random.permille(around.plan.mesh_full) {
            self.counts.mesh_full += 1;
            tell(ask, domain::ResponseCode::MALFUNCTION, around);
            return Ok(());
        }
        self.tell(owner, Message::Administrative(ask), around);
        self.drain(around)
    }

    /// At its owner.
    //= docs/rules.md#P-01
    pub(super) fn administer(
        &mut self,
        ask: Administrative,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let bounds = bounds(around)?;
        let frame = self.administering.next_frame;
        self.administering.next_frame += 1;
        self.administering.frames.insert(frame, ask);
        let place = (self.id, frame);
        around.ledger.exchanges.asked(place, &ask, &bounds);
        let asked = Asked {
            frame: FrameId(frame),
            key: ask.key(),
            content: ask.content(),
        };
        self.give_exchange(ExchangeInput::Asked(asked), around)
    }

    pub(super) fn give_exchange(
        &mut self,
        input: ExchangeInput,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let now = around.instant();
        self.administering.exchanges.handle_input(input, now);
        self.drain_exchanges(around)
    }

    pub(super) fn exchange_timeout(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        self.administering
            .exchanges
            .handle_timeout(around.instant());
        self.drain_exchanges(around)
    }

    fn drain_exchanges(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        while let Some(output) = self.administering.exchanges.poll_output() {
            self.act_on_exchange(output, around)?;
        }
        Ok(())
    }

    fn act_on_exchange(
        &mut self,
        output: ExchangeOutput,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        match output {
            ExchangeOutput::SelectRoute {
                exchange,
                frame,
                tried,
                route,
                key,
            } => {
                let chosen = self.choose_way((exchange, frame), (tried, route, key), around)?;
                let selected = ExchangeInput::Selected { exchange, chosen };
                self.follow.push_back(Follow::Exchange(selected));
                Ok(())
            }
            ExchangeOutput::Send {
                exchange,
                frame,
                leg,
            } => self.send_administrative((exchange, frame), &leg, around),
            ExchangeOutput::LegEnded {
                exchange,
                leg,
                ending,
            } => self.exchange_leg_ended(exchange, &leg, ending, around),
            ExchangeOutput::Relay { frame, answer } => {
                let answer = self.administering.answers.remove(&answer.0);
                let Some((said, code)) = answer.and_then(|said| Some((said, said.code?))) else {
                    return Err(("P-07", format!("{frame:?} is told an answer twice")));
                };
                let ask = self.waiting_under(frame)?;
                self.counts.administered += 1;
                let told = Told {
                    owner: self.id,
                    frame: frame.0,
                    ask: &ask,
                    code,
                };
                around.ledger.exchanges.relayed(told, said.purchase)?;
                tell(ask, code, around);
                Ok(())
            }
            ExchangeOutput::Tell { frame, code, why } => self.tell_untold(frame, code, why, around),
            ExchangeOutput::Discard { frame } => {
                let ask = self.waiting_under(frame)?;
                self.counts.administered_again += 1;
                if self.driver == Driver::AnswersReplaced {
                    let code = domain::ResponseCode::MALFUNCTION;
                    return self.refuse_administrative((frame, ask), code, Untold::Full, around);
                }
                around.ledger.exchanges.discarded((self.id, frame.0))
            }
            ExchangeOutput::Drop { answer } => self.drop_answer(answer, around),
        }
    }

    fn waiting_under(&mut self, frame: FrameId) -> Result<Administrative, Broken> {
        let waiting = self.administering.frames.remove(&frame.0);
        waiting.ok_or_else(|| ("P-06", format!("{frame:?} is answered twice")))
    }

    fn tell_untold(
        &mut self,
        frame: FrameId,
        code: domain::ResponseCode,
        why: Untold,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let ask = self.waiting_under(frame)?;
        let code = match why {
            Untold::TimedOut => around.plan.switches.timeout_answer,
            Untold::Full
            | Untold::Conflict
            | Untold::NoRoute
            | Untold::NoneAdmits
            | Untold::Unusable => code,
        };
        match why {
            Untold::TimedOut => self.counts.administering_timed_out += 1,
            Untold::Full => self.counts.administering_full += 1,
            _ => {}
        }
        self.refuse_administrative((frame, ask), code, why, around)
    }

    fn refuse_administrative(
        &mut self,
        (frame, ask): (FrameId, Administrative),
        code: domain::ResponseCode,
        why: Untold,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let told = Told {
            owner: self.id,
            frame: frame.0,
            ask: &ask,
            code,
        };
        let waits = Waits {
            now: around.now,
            ends_with_link: around.plan.switches.fails_in_flight,
            code: around.plan.switches.timeout_answer,
        };
        let bounds = bounds(around)?;
        around
            .ledger
            .exchanges
            .refused(told, why, (waits, &bounds))?;
        tell(ask, code, around);
        Ok(())
    }

    /// Whom it goes to; each candidate that falls out is passed over before anything is sent.
    fn choose_way(
        &mut self,
        (exchange, frame): (ExchangeId, FrameId),
        (mut tried, route, key): (u8, Option<RouteId>, DuplicateKey),
        around: &mut Around<'_>,
    ) -> Result<Chosen, Broken> {
        let Some(ask) = self.administering.frames.get(&frame.0).copied() else {
            return Err(("P-06", format!("{frame:?} is sent after its end")));
        };
        let (account, now) = (ask.account(), around.instant());
        let query = Query {
            account: &account,
            class: RouteClass::Administrative,
            amount: None,
            category: None,
            acquirer: domain::ids::AcquirerId(1),
            at: WeekMinute::new(0),
            draw: key.0 as u64,
        };
        loop {
            let choice = match route {
                Some(route) => self.router.select_again(route, query.draw, tried, now),
                None => self.router.select(query, tried, now),
            };
            let (route, candidate, issuer, permit, deadline) = match choice {
                Choice::Chosen {
                    route,
                    candidate,
                    issuer,
                    permit,
                    deadline,
                    ..
                } => (route, candidate, issuer, permit, deadline),
                Choice::NoneAdmits { .. } => {
                    let code = domain::ResponseCode::ISSUER_INOPERATIVE;
                    return Ok(Chosen::NoneAdmits(code));
                }
                Choice::NoRoute => return Ok(Chosen::NoRoute),
            };
            let Some((link, stan)) = self.take_link(issuer, around) else {
                let nothing = CallOutcome::NotCalled;
                self.router.finish(permit, nothing, Duration::ZERO, now);
                tried |= 1 << candidate;
                continue;
            };
            let place = (exchange.index, exchange.generation);
            self.administering.permits.insert(place, permit);
            let leg = IssuerLeg {
                route,
                candidate,
                issuer,
                link,
                stan,
                transmitted: TransmissionTime::at(wall(around.now, around.wall_ahead)),
            };
            return Ok(Chosen::Leg { leg, deadline });
        }
    }

    fn send_administrative(
        &mut self,
        (exchange, frame): (ExchangeId, FrameId),
        leg: &IssuerLeg,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let Some(ask) = self.administering.frames.get(&frame.0).copied() else {
            return Err(("P-06", format!("{frame:?} is sent after its end")));
        };
        let bounds = bounds(around)?;
        let (own, to) = ((self.id, exchange), (&ask, leg.issuer));
        around
            .ledger
            .exchanges
            .sends(own, to, &bounds, around.now)?;
        self.administering.newest.insert(exchange.index, ask);
        let message = LegB {
            expected: ask.expected(leg.stan),
            echo: Echo {
                transmitted: Some(leg.transmitted),
                ..ask.echo()
            },
            purchase: ask.serial,
            amount: 0,
            reversal: None,
            report: None,
            asks: None,
            local: None,
            reckoned: None,
            is_inquiry: false,
        };
        let id = OutboundId {
            owner: self.id,
            handle: NOBODY,
            stan: leg.stan,
            purpose: Purpose::Administrative(exchange),
        };
        self.tell_home(id, leg.link, (message, Vec::new()), around);
        Ok(())
    }

    fn exchange_leg_ended(
        &mut self,
        exchange: ExchangeId,
        leg: &IssuerLeg,
        ending: ExchangeEnding,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let place = (exchange.index, exchange.generation);
        let Some(permit) = self.administering.permits.remove(&place) else {
            return Err(("permits", format!("{leg:?} returned twice")));
        };
        let now = around.instant();
        let nothing = CallOutcome::NotCalled;
        self.router.finish(permit, nothing, Duration::ZERO, now);
        let stans = &mut self.places[usize::from(leg.link.0)].stans;
        stans.release(leg.stan, ending.stan_reuse(), now);
        if ending == ExchangeEnding::Silent {
            // One of the two is out, and the other one nobody knows.
            for kind in [
                ResponseKind::Administrative,
                ResponseKind::AdministrativeAdvice,
            ] {
                let stan = leg.stan;
                self.give_up(leg.link, Expected { kind, stan }, around);
            }
        }
        Ok(())
    }

    /// An issuer's answer, at the owner of its exchange.
    pub(super) fn administrative_answered(
        &mut self,
        (exchange, stan): (ExchangeId, Stan),
        said: &Said,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        if said.code.is_none() {
            return self.give_exchange(ExchangeInput::Unusable { exchange, stan }, around);
        }
        let answer = FrameId(self.administering.next_frame);
        self.administering.next_frame += 1;
        self.administering.answers.insert(answer.0, *said);
        let input = ExchangeInput::Answered {
            exchange,
            stan,
            answer,
        };
        self.give_exchange(input, around)
    }

    /// Nobody waits for it any more.
    fn drop_answer(&mut self, answer: FrameId, around: &mut Around<'_>) -> Result<(), Broken> {
        let Some(said) = self.administering.answers.remove(&answer.0) else {
            return Err(("P-03", format!("{answer:?} is dropped twice")));
        };
        self.counts.administering_late += 1;
        let mut newest = self.administering.newest.values();
        let late = newest.find(|ask| ask.serial == said.purchase).copied();
        if let (Driver::TellsLate, Some(ask), Some(code)) = (self.driver, late, said.code) {
            let told = Told {
                owner: self.id,
                frame: u32::MAX,
                ask: &ask,
                code,
            };
            around.ledger.exchanges.relayed(told, said.purchase)?;
            tell(ask, code, around);
        }
        Ok(())
    }
}

fn tell(ask: Administrative, code: domain::ResponseCode, around: &mut Around<'_>) {
    around
        .events
        .push((0, Event::AdministrativeTold { ask, code }));
}
