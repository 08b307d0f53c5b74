//! Administrative messages (06xx) between sessions and links. What is in flight and what becomes of
//! it stands in [`transaction::administrative`]; this chooses the link and writes the messages.
//!
//! ```text
//!  session ─► owner ── exchange ── route, link, STAN ──► link home ─► issuer
//!  session ◄─ owner ◄─ matched by link, type, STAN ──── link home ◄─┘
//! ```
//!
//! The owner is the shard of hash(acquirer, STAN), as for requests: copies meet there. The breaker
//! admits them, but what becomes of them moves neither breaker nor ejection: an issuer that knows
//! no 06xx is silent to them, and serves payments all the same.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use domain::ResponseCode;
use domain::ids::{IssuerId, LinkId, RouteId, Stan};
use domain::pan::Pan;
use domain::request::{DuplicateKey, FrameId, IssuerLeg, MessageKind};
use domain::time::Instant;
use iso8583::error::WriteError;
use iso8583::translate::{self, GoingAdministrative};
use router::conditions::{MerchantCategory, RouteClass};
use router::links::LinkOutcome;
use router::selection::{CallOutcome, Query};
use router::week::WeekMinute;
use router::{Permit, Selection};
use slab::Slab;
use transaction::Handle;
use transaction::administrative::{
    Asked, Chosen, ExchangeEnding, ExchangeId, ExchangeInput, ExchangeOutput, Exchanges, Untold,
};
use transaction::matching::{Expected, ResponseKind};

use super::issuing::{amount_asked, link_keys};
use super::routing::{Nobody, Picked, draw_of};
use super::{FollowUp, Shard, Waiting, unwritable};
use crate::acquirer::SessionRef;
use crate::config::Config;
use crate::crypto::endpoint_keys;
use crate::frame::Frame;
use crate::mesh::{Outbound, OutboundId, Purpose};
use crate::metrics::{AdministrativeResult, Counter, Ingress, RejectReason, UnmatchedReason};

/// What a shard knows of administrative messages in flight.
#[derive(Debug)]
pub(crate) struct Administering {
    exchanges: Exchanges,
    /// The permits of legs that an issuer may still answer: as many as wait for one.
    legs: AHashMap<ExchangeId, Permit>,
    /// Answers on their way through the table: one at most, within a turn.
    answers: Slab<IssuerAnswer>,
}

/// An answer of an issuer.
#[derive(Debug)]
struct IssuerAnswer {
    issuer: IssuerId,
    frame: Box<Frame>,
    /// The internal code of its DE39.
    code: ResponseCode,
}

impl Default for Administering {
    fn default() -> Self {
        Self::of(0)
    }
}

impl Administering {
    pub(super) fn new(config: &Config) -> Self {
        Self::of(config.limits.administrative_inflight_max)
    }

    fn of(count_max: usize) -> Self {
        Self {
            exchanges: Exchanges::new(count_max, SEED),
            legs: AHashMap::with_capacity(count_max),
            answers: Slab::with_capacity(1),
        }
    }

    /// Messages that wait for an issuer.
    pub(super) const fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Nothing waits for an issuer.
    pub(super) const fn is_at_rest(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// When [`Shard::exchange_timeouts`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.exchanges.poll_timeout()
    }
}

impl Shard {
    /// An administrative message of an acquirer, at its owner.
    //= docs/rules.md#P-01
    pub(super) fn admit_administrative(
        &mut self,
        session: SessionRef,
        frame: Box<Frame>,
        now: Instant,
    ) {
        if self.config.limits.administrative_inflight_max == 0 {
            let reason = RejectReason::Unsupported;
            self.metrics.count(Counter::Rejected(Ingress::Iso, reason));
            return self.refuse(session, frame, ResponseCode::INVALID_TRANSACTION, None);
        }
        let fields = match translate::administrative(frame.message()) {
            Ok(fields) => fields,
            Err(error) => return self.refuse_malformed(session, frame, error.field),
        };
        let (acquirer, message) = (frame.acquirer, frame.message());
        let (key, content) = self.keyring.administrative(acquirer, &fields, message);
        let asked = Asked {
            frame: self.keep(session, frame),
            key,
            content,
        };
        self.exchange_turn(ExchangeInput::Asked(asked), now);
    }

    /// Feeds one input, acts on all outputs, and goes on with what acting produced.
    pub(super) fn exchange_turn(&mut self, input: ExchangeInput, now: Instant) {
        self.work.follow_ups.push_back(FollowUp::Exchange(input));
        self.drain(now);
    }

    /// The same, where the loop drains.
    pub(super) fn take_exchange_input(&mut self, input: ExchangeInput, now: Instant) {
        self.work.administering.exchanges.handle_input(input, now);
        self.act_on_exchanges(now);
    }

    pub(super) fn exchange_timeouts(&mut self, now: Instant) {
        let due = self.work.administering.poll_timeout();
        if due.is_some_and(|at| at <= now) {
            self.work.administering.exchanges.handle_timeout(now);
            self.act_on_exchanges(now);
            self.drain(now);
        }
    }

    fn act_on_exchanges(&mut self, now: Instant) {
        while let Some(output) = self.work.administering.exchanges.poll_output() {
            self.act_on_exchange(output, now);
        }
    }

    fn act_on_exchange(&mut self, output: ExchangeOutput, now: Instant) {
        match output {
            ExchangeOutput::SelectRoute {
                exchange,
                frame,
                tried,
                route,
                key,
            } => {
                let chosen = self.choose_way(exchange, frame, (tried, route, key), now);
                let selected = ExchangeInput::Selected { exchange, chosen };
                self.work.follow_ups.push_back(FollowUp::Exchange(selected));
            }
            ExchangeOutput::Send {
                exchange,
                frame,
                leg,
            } => self.send_administrative(exchange, frame, &leg, now),
            ExchangeOutput::LegEnded {
                exchange,
                leg,
                ending,
            } => self.exchange_leg_ended(exchange, &leg, ending, now),
            ExchangeOutput::Relay { frame, answer } => self.relay_answer(frame, answer),
            ExchangeOutput::Tell { frame, code, why } => {
                self.count_administrative(result_of(why));
                self.tell_untold(frame, code, why);
            }
            ExchangeOutput::Discard { frame } => {
                self.count_administrative(AdministrativeResult::Replaced);
                self.discard(frame);
            }
            ExchangeOutput::Drop { answer } => self.drop_answer(answer),
        }
    }

    fn count_administrative(&self, result: AdministrativeResult) {
        self.metrics.count(Counter::Administrative(result));
    }

    /// Whom it goes to, over which link and under which STAN; each candidate that falls out is
    /// passed over before anything is sent.
    fn choose_way(
        &mut self,
        exchange: ExchangeId,
        frame: FrameId,
        (tried, route, key): (u8, Option<RouteId>, DuplicateKey),
        now: Instant,
    ) -> Chosen {
        let ask = |shard: &mut Self, tried| shard.ask_router_for(frame, (tried, route, key), now);
        let begin = |shard: &mut Self, picked: Picked| {
            let deadline = picked.deadline;
            let (permit, leg) = shard.take_leg(picked, now)?;
            shard.work.administering.legs.insert(exchange, permit);
            Some(Chosen::Leg { leg, deadline })
        };
        match self.pick(tried, ask, begin) {
            Ok(chosen) => chosen,
            Err(Nobody::NoRoute) => Chosen::NoRoute,
            Err(Nobody::NoneAdmits(skipped)) => Chosen::NoneAdmits(self.code_of_none(skipped, now)),
        }
    }

    fn ask_router_for(
        &mut self,
        frame: FrameId,
        (tried, route, key): (u8, Option<RouteId>, DuplicateKey),
        now: Instant,
    ) -> Option<Selection> {
        let draw = draw_of(key);
        if let Some(route) = route {
            return Some(self.router.select_again(route, draw, tried, now));
        }
        let waiting = self.work.waiting.get(frame.0 as usize)?;
        let fields = translate::administrative(waiting.frame.message()).ok()?;
        let exponents = self.exponents(&waiting.frame);
        let query = Query {
            account: fields.account.as_ref().map_or(b"", Pan::expose_digits),
            class: RouteClass::Administrative,
            amount: fields
                .amount
                .and_then(|amount| exponents.from_network(amount)),
            category: MerchantCategory::from_digits(fields.merchant_category.as_bytes()),
            acquirer: waiting.frame.acquirer,
            at: WeekMinute::at(self.work.wall, self.config.routing.utc_offset),
            draw,
        };
        Some(self.router.select(query, tried, now))
    }

    fn send_administrative(
        &mut self,
        exchange: ExchangeId,
        frame: FrameId,
        leg: &IssuerLeg,
        now: Instant,
    ) {
        let id = OutboundId {
            owner: self.id,
            handle: NOBODY,
            stan: leg.stan,
            purpose: Purpose::Administrative(exchange, leg.issuer),
        };
        match self.build_administrative(id, frame, leg, now) {
            Some(outbound) => self.dispatch(Box::new(outbound), now),
            None => self.outbound_unsent(id),
        }
    }

    fn build_administrative(
        &mut self,
        id: OutboundId,
        frame: FrameId,
        leg: &IssuerLeg,
        now: Instant,
    ) -> Option<Outbound> {
        let issuer = *self.wires.get(usize::from(leg.issuer.0))?;
        let waiting = self.work.waiting.get(frame.0 as usize)?;
        let message = waiting.frame.message();
        // It was read whole when its route was chosen.
        let kind = translate::administrative_kind(message)?;
        let exponents = self.exponents(&waiting.frame);
        let amount = match translate::administrative_amount(message) {
            Some(amount) => {
                let listener = waiting.frame.listener;
                let amount = exponents.from_network(amount).ok_or(());
                amount.and_then(|it| amount_asked(&self.config, listener, leg.issuer, it))
            }
            None => Ok(None),
        };
        let asked = self.work.wall;
        let keys = link_keys(&self.keys, leg.issuer);
        let framed = unwritable::write(&issuer, keys, &mut self.work.scratch, |body| {
            let going = GoingAdministrative {
                leg,
                forwarding: &issuer.institution,
                asked,
                amount: amount.map_err(|()| WriteError::Content(4))?,
            };
            translate::write_administrative(issuer.dialect, message, &going, body)
        });
        let expected = expected_of(kind, leg.stan);
        let echo = self.echo.of_administrative(message, leg, issuer.dialect);
        let framed = framed.map_err(|why| self.note_unwritable(leg.issuer, why, now));
        let bytes = self.work.scratch.get(..framed.ok()?)?.to_vec();
        Some(Outbound {
            id,
            link: leg.link,
            expected,
            echo,
            by: Instant::FAR_FUTURE,
            bytes,
        })
    }

    fn exchange_leg_ended(
        &mut self,
        exchange: ExchangeId,
        leg: &IssuerLeg,
        ending: ExchangeEnding,
        now: Instant,
    ) {
        if let Some(permit) = self.work.administering.legs.remove(&exchange) {
            let nothing = CallOutcome::NotCalled;
            self.router.finish(permit, nothing, Duration::ZERO, now);
            if let Some(pool) = self.links.pool_mut(leg.issuer) {
                pool.finish(leg.link, LinkOutcome::NotSent, now);
            }
        } else {
            debug_assert!(false, "invariant: each chosen leg holds a permit");
        }
        if let Some(place) = self.links.place_mut(leg.link) {
            place.stans.release(leg.stan, ending.stan_reuse(), now);
        }
        if ending == ExchangeEnding::Silent {
            // One of the two is out, and the other one nobody knows.
            for kind in [
                ResponseKind::Administrative,
                ResponseKind::AdministrativeAdvice,
            ] {
                let stan = leg.stan;
                self.give_up(leg.link, Expected { kind, stan }, now);
            }
        }
    }

    /// An issuer's answer, at the owner of its exchange.
    pub(super) fn take_administrative_answer(
        &mut self,
        (exchange, issuer, stan): (ExchangeId, IssuerId, Stan),
        frame: Box<Frame>,
        late: bool,
        now: Instant,
    ) {
        if late {
            // It was counted where it came, and nothing is owed for it.
            return self.pool.give(frame);
        }
        let codes = self.config.issuers.get(usize::from(issuer.0));
        let codes = codes.map(|issuer| Arc::clone(&issuer.wire.codes));
        let code = translate::response_code(frame.message(), &codes.unwrap_or_default());
        let input = match code {
            Ok(code) => {
                let answer = IssuerAnswer {
                    issuer,
                    frame,
                    code,
                };
                let place = self.work.administering.answers.insert(answer);
                ExchangeInput::Answered {
                    exchange,
                    stan,
                    answer: FrameId(u32::try_from(place).unwrap_or(u32::MAX)),
                }
            }
            Err(_) => {
                self.pool.give(frame);
                ExchangeInput::Unusable { exchange, stan }
            }
        };
        self.exchange_turn(input, now);
    }

    /// Nobody waits for it any more: it has crossed the end of its exchange on the way here.
    fn drop_answer(&mut self, answer: FrameId) {
        let answers = &mut self.work.administering.answers;
        if let Some(answer) = answers.try_remove(answer.0 as usize) {
            let late = Counter::Unmatched(answer.issuer, UnmatchedReason::Late);
            self.metrics.count(late);
            self.pool.give(answer.frame);
        }
    }

    /// What the issuer said, with the echo fields of the message that waited for it.
    //= docs/rules.md#P-07
    fn relay_answer(&mut self, frame: FrameId, answer: FrameId) {
        let waiting = self.work.waiting.try_remove(frame.0 as usize);
        let answers = &mut self.work.administering.answers;
        let answer = answers.try_remove(answer.0 as usize);
        let (Some(waiting), Some(answer)) = (waiting, answer) else {
            debug_assert!(false, "invariant: each frame is answered once");
            return;
        };
        let code = self.code_passed_on(&waiting.frame, answer.code);
        let mut out = std::mem::take(&mut self.work.scratch);
        let casing = waiting.frame.casing.reply();
        let framed = casing.write(&mut out, |body| {
            let (dialect, message) = (waiting.frame.dialect(), waiting.frame.message());
            let said = answer.frame.message();
            let written =
                translate::write_administrative_answer(dialect, message, said, code, body).ok()?;
            endpoint_keys::append(self.session_keys(&waiting.frame), dialect, body, written)
        });
        self.pool.give(answer.frame);
        if let Some(bytes) = framed.and_then(|len| out.get(..len)) {
            self.count_administrative(AdministrativeResult::Answered);
            self.reply(waiting.session, bytes, None);
            self.work.scratch = out;
            self.pool.give(waiting.frame);
        } else {
            // There is no room in its frames for what the issuer says.
            self.work.scratch = out;
            self.count_administrative(AdministrativeResult::Failed);
            self.refuse(
                waiting.session,
                waiting.frame,
                ResponseCode::MALFUNCTION,
                None,
            );
        }
    }

    /// DE39 of an answer that is passed on: as the issuer said it, unless the codes of one of the
    /// two endpoints say otherwise.
    fn code_passed_on(&self, asked: &Frame, code: ResponseCode) -> ResponseCode {
        let said = code.sent().unwrap_or(code);
        let told = self.code_told(asked, code);
        if told == code && said.internal() == code {
            said
        } else {
            told
        }
    }

    fn tell_untold(&mut self, frame: FrameId, code: ResponseCode, why: Untold) {
        let Some(Waiting { session, frame, .. }) = self.work.waiting.try_remove(frame.0 as usize)
        else {
            debug_assert!(false, "invariant: each frame is answered once");
            return;
        };
        let code = match why {
            Untold::TimedOut => self.timeout_told(&frame, code),
            Untold::Full
            | Untold::Conflict
            | Untold::NoRoute
            | Untold::NoneAdmits
            | Untold::Unusable => code,
        };
        self.refuse(session, frame, code, None);
    }

    /// What an issuer asks of the kind that acquirers ask: 12, on its link and nowhere else.
    //= docs/rules.md#P-08
    pub(super) fn refuse_on_link(&mut self, link: LinkId, frame: Box<Frame>, now: Instant) {
        let issuer = self.links.place(link).map(|place| place.issuer);
        let config = issuer.and_then(|issuer| self.config.issuers.get(usize::from(issuer.0)));
        if let (Some(issuer), Some(config)) = (issuer, config)
            && translate::can_be_refused(frame.message())
        {
            let code = config.wire.codes.named(ResponseCode::INVALID_TRANSACTION);
            let keys = link_keys(&self.keys, issuer);
            let out = &mut self.work.scratch;
            let framed = frame.casing.reply().write(out, |body| {
                let (dialect, message) = (frame.dialect(), frame.message());
                let len = translate::write_refusal(dialect, message, code, None, body).ok()?;
                endpoint_keys::append(keys, dialect, body, len)
            });
            if let Some(bytes) = framed.and_then(|len| out.get(..len)) {
                let bytes = bytes.to_vec();
                self.answer_on_link(link, bytes, now);
            }
        }
        self.pool.give(frame);
    }
}

fn expected_of(kind: MessageKind, stan: Stan) -> Expected {
    let kind = match kind {
        MessageKind::Advice => ResponseKind::AdministrativeAdvice,
        MessageKind::Request | MessageKind::Completion => ResponseKind::Administrative,
    };
    Expected { kind, stan }
}

const fn result_of(why: Untold) -> AdministrativeResult {
    match why {
        Untold::Full => AdministrativeResult::Full,
        Untold::Conflict => AdministrativeResult::Conflict,
        Untold::NoRoute => AdministrativeResult::NoRoute,
        Untold::NoneAdmits => AdministrativeResult::NoneAdmits,
        Untold::TimedOut => AdministrativeResult::TimedOut,
        Untold::Unusable => AdministrativeResult::Failed,
    }
}

/// No transaction's: the purpose says what it is.
const NOBODY: Handle = Handle {
    index: u32::MAX,
    generation: u32::MAX,
};
/// Spreads the keys of a table whose entries never outlive the process.
const SEED: u64 = 6;
