//! Messages to issuers and what comes back.

use std::time::Duration;

use domain::ids::{IssuerId, LinkId, ShardId, Stan};
use domain::pan::Pan;
use domain::request::{Answer, FrameId, IssuerLeg, Transmission, is_enquiry};
use domain::result_code::CodeClass;
use domain::time::{Instant, TransmissionTime};
use domain::{Amount, ResponseCode};
use iso8583::error::WriteError;
use iso8583::translate::{self, IssuerRequest, IssuerReversal};
use persistence::crash::{self, Step};
use router::links::LinkPool;
use router::selection::CallOutcome;
use std::rc::Rc;
use std::sync::Arc;
use transaction::administrative::ExchangeInput;
use transaction::matching::{Echo, Expected, ResponseKind};
use transaction::output::OwedReversal;
use transaction::{Handle, Input, OwedId};

use super::unwritable::{self, Unwritable};
use super::{FollowUp, Shard};
use crate::config::{Config, Issuer, ListenerId, Wire};
use crate::crypto::endpoint_keys::{Endpoint, EndpointKeys, KeyTable};
use crate::frame::Frame;
use crate::issuer::ShardSet;
use crate::issuer::http::operation::Taking;
use crate::mesh::{Message, Outbound, OutboundId, Purpose};

impl Shard {
    /// The intent is durable: the request leaves.
    pub(super) fn send_request(
        &mut self,
        handle: Handle,
        frame: FrameId,
        leg: IssuerLeg,
        now: Instant,
    ) {
        let Some(facts) = self.engine.facts(handle) else {
            return;
        };
        let expected = Expected {
            kind: facts.class.into(),
            stan: leg.stan,
        };
        let Some(issuer) = self.wires.get(usize::from(leg.issuer.0)).copied() else {
            return;
        };
        let Some(waiting) = self.work.waiting.get(frame.0 as usize) else {
            return;
        };
        let message = waiting.frame.message();
        let account = translate::account(message).ok().flatten();
        let account = account.as_ref().map(Pan::expose_digits);
        let echo = self.echo.of_facts(facts, &leg, account.unwrap_or_default());
        let keys = link_keys(&self.keys, leg.issuer);
        let listener = waiting.frame.listener;
        let amount = amount_asked(&self.config, listener, leg.issuer, facts.amount);
        let admitted = self.work.wall;
        let held = self.work.legs.get(&handle.index);
        let completed = held.and_then(|held| held.completed.as_deref());
        let by = self.engine.deadline(handle).unwrap_or(now);
        let framed = unwritable::write(&issuer, keys, &mut self.work.scratch, |body| {
            let going = IssuerRequest {
                leg: &leg,
                forwarding: &issuer.institution,
                admitted,
                amount: amount.map_err(|()| WriteError::Content(4))?,
                completed,
            };
            translate::write_issuer_request(issuer.dialect, message, &going, body)
        });
        let id = OutboundId {
            owner: self.id,
            handle,
            stan: leg.stan,
            purpose: Purpose::Request,
        };
        match framed {
            Ok(len) => {
                let bytes = self.work.scratch.get(..len).unwrap_or_default().to_vec();
                self.dispatch(
                    Box::new(Outbound {
                        id,
                        link: leg.link,
                        expected,
                        echo,
                        by,
                        bytes,
                    }),
                    now,
                );
            }
            Err(why) => {
                self.note_unwritable(leg.issuer, why, now);
                self.outbound_unsent(id);
            }
        }
    }

    /// An owed reversal leaves, for the first time or again with the same content.
    pub(super) fn send_reversal(&mut self, owed: OwedId, transmission: Transmission, now: Instant) {
        match self.build_reversal(owed, transmission, now) {
            Some(outbound) => self.dispatch_owed(owed, Box::new(outbound), now),
            None => self.work.follow_ups.push_back(FollowUp::OwedUnsent(owed)),
        }
    }

    pub(super) fn dispatch_owed(&mut self, owed: OwedId, outbound: Box<Outbound>, now: Instant) {
        let sent = (outbound.link, outbound.expected);
        self.work.owed.insert(owed, sent);
        self.dispatch(outbound, now);
    }

    fn build_reversal(
        &mut self,
        id: OwedId,
        transmission: Transmission,
        now: Instant,
    ) -> Option<Outbound> {
        let handle = id.handle;
        let facts = self.engine.facts(handle)?;
        let owed = self.engine.reversal(handle)?;
        let leg = owed.leg;
        let link = self.reversal_link(&leg)?;
        let issuer = *self.wires.get(usize::from(leg.issuer.0))?;
        let pan = match self.keyring.unseal(&facts.account.sealed) {
            Ok(pan) => pan,
            Err(error) => {
                tracing::error!(issuer = %leg.issuer, %error, "reversal cannot be built");
                return None;
            }
        };
        let transmitted = TransmissionTime::at(owed.decided);
        let account = pan.expose_digits();
        let echo = Echo {
            transmitted: Some(transmitted),
            ..self.echo.of_facts(facts, &leg, account)
        };
        let of_issuer = self.config.issuers.get(usize::from(leg.issuer.0))?;
        let (amount, replacement) = amounts_of(of_issuer, facts.amount, &owed)?;
        let stan = of_issuer.reversal_stan(leg.stan);
        let reversal = IssuerReversal {
            facts,
            account,
            original: owed.original,
            leg: &leg,
            stan,
            form: of_issuer.reversal.form,
            forwarding: &issuer.institution,
            amount,
            replacement,
            decided: owed.decided,
            cause: owed.cause,
            reason: owed.reason,
            reason_field: issuer.reason_field,
            transmission,
            transmitted,
        };
        let keys = link_keys(&self.keys, leg.issuer);
        let framed = unwritable::write(&issuer, keys, &mut self.work.scratch, |body| {
            translate::write_reversal(issuer.dialect, &reversal, body)
        });
        let kind = ResponseKind::Reversal;
        let expected = Expected { kind, stan };
        self.owed_outbound(id, leg.issuer, framed, now, (link, expected, echo))
    }

    /// What was written for something owed, in the scratch, with what its answer must match.
    pub(super) fn owed_outbound(
        &mut self,
        id: OwedId,
        issuer: IssuerId,
        framed: Result<usize, Unwritable>,
        now: Instant,
        (link, expected, echo): (LinkId, Expected, Echo),
    ) -> Option<Outbound> {
        let framed = framed.map_err(|why| self.note_unwritable(issuer, why, now));
        let bytes = self.work.scratch.get(..framed.ok()?)?.to_vec();
        Some(Outbound {
            id: OutboundId {
                owner: self.id,
                handle: id.handle,
                stan: expected.stan,
                purpose: Purpose::Reversal(id),
            },
            link,
            expected,
            echo,
            by: Instant::FAR_FUTURE,
            bytes,
        })
    }

    pub(super) fn dispatch(&mut self, outbound: Box<Outbound>, now: Instant) {
        let Some(home) = self
            .links
            .place(outbound.link)
            .map(|place| place.home_shard)
        else {
            return self.outbound_unsent(outbound.id);
        };
        if home == self.id {
            self.send_at_home(outbound, now);
        } else {
            self.mesh.send(home, Message::Send(outbound));
        }
    }

    /// This shard holds the connection: write, or say that nothing left.
    pub(super) fn send_at_home(&mut self, outbound: Box<Outbound>, now: Instant) {
        let id = outbound.id;
        let Some(link) = self.links.home_mut(outbound.link) else {
            return self.outbound_unsent(id);
        };
        let conn = link.conn().cloned();
        match link.send(outbound, now) {
            Ok(()) => self.note_written(conn),
            Err(outbound) => self.tell_unsent(outbound.id),
        }
    }

    fn tell_unsent(&mut self, outbound: OutboundId) {
        if outbound.owner == self.id {
            self.outbound_unsent(outbound);
        } else {
            let owner = outbound.owner;
            self.mesh.send(owner, Message::Unsent { outbound });
        }
    }

    /// A link has taken it and nothing of it left: the same as if it had not.
    pub(super) fn hand_unsent(&mut self, outbound: OutboundId, now: Instant) {
        self.tell_unsent(outbound);
        self.drain(now);
    }

    pub(super) fn hand_unusable(&mut self, outbound: OutboundId, now: Instant) {
        if outbound.owner == self.id {
            self.take_unusable(outbound, now);
        } else {
            let owner = outbound.owner;
            self.mesh.send(owner, Message::Unusable { outbound });
        }
    }

    pub(super) fn hand_pending(
        &mut self,
        outbound: OutboundId,
        call: (CallOutcome, Duration),
        now: Instant,
    ) {
        if outbound.owner == self.id {
            self.take_pending(outbound, call, now);
        } else {
            let owner = outbound.owner;
            self.mesh.send(owner, Message::Pending { outbound, call });
        }
    }

    //= docs/rules.md#R-05
    /// The issuer has it and answers later. Its permit goes back, so that payers who take their
    /// time keep nobody from being asked; what its breaker makes of the call is said by that.
    pub(super) fn take_pending(
        &mut self,
        outbound: OutboundId,
        (call, took): (CallOutcome, Duration),
        now: Instant,
    ) {
        let OutboundId { handle, stan, .. } = outbound;
        let is_waited_for = outbound.purpose == Purpose::Request
            && self.engine.leg(handle).is_some_and(|leg| leg.stan == stan);
        let leg = self.work.legs.get_mut(&handle.index);
        let leg = leg.filter(|leg| is_waited_for && leg.expected.stan == stan);
        if let Some(permit) = leg.and_then(|leg| leg.permit.take()) {
            self.router.finish(permit, call, took, now);
        }
    }

    /// It may have been executed. A request is reversed; what is owed is sent again by its timer.
    pub(super) fn take_unusable(&mut self, outbound: OutboundId, now: Instant) {
        let OutboundId { handle, stan, .. } = outbound;
        match outbound.purpose {
            Purpose::Request | Purpose::Inquiry => {
                self.turn(Input::Unusable { handle, stan }, now);
            }
            Purpose::Administrative(exchange, _) => {
                self.exchange_turn(ExchangeInput::Unusable { exchange, stan }, now);
            }
            Purpose::Reversal(_) | Purpose::Reconciliation(_) => {}
        }
    }

    /// Provably no byte of it left: the engine hears of it when it is drained.
    pub(super) fn outbound_unsent(&mut self, outbound: OutboundId) {
        let follow_up = match outbound.purpose {
            Purpose::Request => FollowUp::Unsent(outbound.handle, outbound.stan),
            Purpose::Inquiry => return self.inquire_again(outbound),
            Purpose::Reversal(owed) => {
                self.work.owed.remove(&owed);
                FollowUp::OwedUnsent(owed)
            }
            Purpose::Reconciliation(owed) => return self.reconciliation_unsent(owed),
            Purpose::Administrative(exchange, _) => {
                let stan = outbound.stan;
                FollowUp::Exchange(ExchangeInput::Unsent { exchange, stan })
            }
        };
        self.work.follow_ups.push_back(follow_up);
    }

    pub(super) fn hand_answer(
        &mut self,
        outbound: OutboundId,
        frame: Box<Frame>,
        late: bool,
        now: Instant,
    ) {
        if outbound.owner == self.id {
            self.take_answer(outbound, frame, late, now);
        } else {
            self.mesh.send(
                outbound.owner,
                Message::Answer {
                    outbound,
                    frame,
                    late,
                },
            );
        }
    }

    pub(super) fn hand_reject(&mut self, outbound: OutboundId, call: CallOutcome, now: Instant) {
        if outbound.owner == self.id {
            self.take_reject(outbound, call, now);
        } else {
            let owner = outbound.owner;
            self.mesh.send(owner, Message::Rejected { outbound, call });
        }
    }

    //= docs/rules.md#R-05
    /// What was sent came back, at the owner of its transaction. The issuer has not executed a
    /// request, so it is answered 96 and nothing is owed; `call` is what its breaker makes of that,
    /// for an issuer that refuses has answered. A reversal counts as refused, and ends with the
    /// exceptions unless a further transmission is taken.
    pub(super) fn take_reject(&mut self, outbound: OutboundId, call: CallOutcome, now: Instant) {
        let OutboundId { handle, stan, .. } = outbound;
        if outbound.purpose == Purpose::Request
            && let Some(leg) = self.work.legs.get_mut(&handle.index)
            && leg.expected.stan == stan
        {
            leg.call = Some(call);
        }
        let input = match outbound.purpose {
            Purpose::Request | Purpose::Inquiry => Input::Response {
                handle,
                stan,
                answer: Answer::of(ResponseCode::MALFUNCTION),
            },
            Purpose::Reversal(owed) => Input::ReversalResponse {
                owed,
                code: ResponseCode::FORMAT_ERROR,
            },
            Purpose::Reconciliation(owed) => {
                return self.reconciliation_answered(owed, None, now);
            }
            Purpose::Administrative(exchange, _) => {
                return self.exchange_turn(ExchangeInput::Unusable { exchange, stan }, now);
            }
        };
        self.turn(input, now);
    }

    /// An answer, at the owner of its transaction.
    pub(super) fn take_answer(
        &mut self,
        outbound: OutboundId,
        frame: Box<Frame>,
        late: bool,
        now: Instant,
    ) {
        let OutboundId {
            handle,
            stan,
            purpose,
            ..
        } = outbound;
        let message = frame.message();
        if let Purpose::Reconciliation(owed) = purpose {
            let verdict = translate::reconciliation_verdict(message);
            self.pool.give(frame);
            return self.reconciliation_answered(owed, verdict, now);
        }
        if let Purpose::Administrative(exchange, issuer) = purpose {
            return self.take_administrative_answer((exchange, issuer, stan), frame, late, now);
        }
        let wire = self.issuer_wire(handle);
        let codes = wire
            .as_ref()
            .map(|wire| Arc::clone(&wire.codes))
            .unwrap_or_default();
        if let Purpose::Reversal(owed) = purpose {
            crash::point(Step::ReversalAnswered);
            if let Ok(code) = translate::response_code(message, &codes) {
                self.turn(Input::ReversalResponse { owed, code }, now);
            }
        } else {
            crash::point(Step::AnswerRead);
            let mut scratch = [0_u8; Answer::FIELDS_LEN_MAX];
            let answer = translate::issuer_answer(message, &codes, &mut scratch);
            match answer.map(|answer| in_iso_units(answer, wire.as_ref())) {
                Ok(Some(answer)) if !late && self.lacks_authorisation(handle, &answer) => {
                    self.turn(Input::Unusable { handle, stan }, now);
                }
                Ok(Some(answer)) => {
                    let response = Input::Response {
                        handle,
                        stan,
                        answer,
                    };
                    self.turn(response, now);
                    if !answer.code.is_approval() && self.cancels_reversals(handle) {
                        self.turn(Input::LateDecline { handle, stan }, now);
                    }
                }
                Err(_) | Ok(None) if late => {
                    if let Ok(code) = translate::response_code(message, &codes) {
                        self.late_approval((handle, stan), code, now);
                    }
                }
                Err(_) | Ok(None) => self.turn(Input::Unusable { handle, stan }, now),
            }
        }
        self.pool.give(frame);
    }

    //= docs/rules.md#V-17
    /// Of a late answer the code is all that counts, whatever else cannot be read; and of that,
    /// that the issuer may hold money.
    fn late_approval(&mut self, (handle, stan): (Handle, Stan), code: ResponseCode, now: Instant) {
        if code.is_approval() && code.class() != CodeClass::Administrative {
            let answer = Answer::of(code);
            let response = Input::Response {
                handle,
                stan,
                answer,
            };
            self.turn(response, now);
        }
    }

    /// How the issuer of a transaction speaks; `None` of one that is forgotten.
    fn issuer_wire(&self, handle: Handle) -> Option<Wire> {
        Some(self.issuer_of(handle)?.wire.clone())
    }

    fn issuer_of(&self, handle: Handle) -> Option<&Issuer> {
        let issuer = self.engine.leg(handle)?.issuer;
        self.config.issuers.get(usize::from(issuer.0))
    }

    //= docs/rules.md#T-08
    /// Whether an approval has no DE38 where its issuer has to give one.
    fn lacks_authorisation(&self, handle: Handle, answer: &Answer<'_>) -> bool {
        let demands = |issuer: &Issuer| issuer.demands_authorisation;
        let is_bare = answer.code.is_approval() && answer.authorisation.is_empty();
        is_bare && self.issuer_of(handle).is_some_and(demands) && self.is_authorised(handle)
    }

    /// Whether an approval of it is an authorisation. What has no amount or moves none needs none,
    /// and what completes an earlier request has that one's.
    fn is_authorised(&self, handle: Handle) -> bool {
        let completes = self
            .engine
            .leg(handle)
            .is_some_and(IssuerLeg::is_of_original);
        let facts = self.engine.facts(handle);
        let moves = facts.is_some_and(|facts| {
            facts.amount.minor() > 0 && !is_enquiry(facts.processing_code.as_bytes())
        });
        moves && !completes
    }

    fn cancels_reversals(&self, handle: Handle) -> bool {
        let issuer = self.issuer_of(handle);
        issuer.is_some_and(|issuer| issuer.reversal.cancel_on_late_decline)
    }

    /// What was in flight on a link of this shard, where its issuer wants no wait for it: each
    /// owner hears that no answer comes. Semantics §3.2, case g.
    pub(super) fn fail_in_flight(&mut self, lost: &[OutboundId], now: Instant) {
        for outbound in lost {
            let outbound = *outbound;
            match outbound.purpose {
                Purpose::Request | Purpose::Administrative(..) => {}
                // Repeated until it is acknowledged, or asked until it is told.
                Purpose::Reversal(_) | Purpose::Reconciliation(_) | Purpose::Inquiry => continue,
            }
            if outbound.owner == self.id {
                self.leg_lost(outbound, now);
            } else {
                self.mesh
                    .send(outbound.owner, Message::LegLost { outbound });
            }
        }
    }

    /// The same, at the owner.
    pub(super) fn leg_lost(&mut self, outbound: OutboundId, now: Instant) {
        let OutboundId { handle, stan, .. } = outbound;
        if let Purpose::Administrative(exchange, _) = outbound.purpose {
            self.exchange_turn(ExchangeInput::Lost { exchange, stan }, now);
        } else {
            self.turn(Input::LegLost { handle, stan }, now);
        }
    }

    /// A breaker of this shard probes: an echo leaves over one of the issuer's links, over another
    /// one the next time.
    pub(super) fn probe(&mut self, issuer: IssuerId) {
        let link = self.links.pool_mut(issuer).and_then(LinkPool::pass);
        let place = link.and_then(|link| Some((link, self.links.place(link)?.home_shard)));
        match place {
            Some((link, home)) if home == self.id => self.probe_at_home(link, home),
            Some((link, home)) => {
                let from = self.id;
                self.mesh.send(home, Message::Probe { link, from });
            }
            // It has gone down in this very turn: the breaker opens again by itself.
            None => {}
        }
    }

    pub(super) fn probe_at_home(&mut self, link: LinkId, from: ShardId) {
        let wall = self.work.wall;
        if let Some(home) = self.links.home_mut(link) {
            home.probe(from, wall);
            let conn = home.conn().cloned();
            self.note_written(conn);
        }
    }

    /// Tells the shards whose breakers asked that the issuer answers.
    pub(super) fn hand_echo(&mut self, link: LinkId, probed_by: ShardSet, now: Instant) {
        let Some(issuer) = self.links.place(link).map(|place| place.issuer) else {
            return;
        };
        for shard in probed_by.iter() {
            if shard == self.id {
                self.router.echo_answered(issuer, now);
            } else {
                self.mesh.send(shard, Message::Echoed { issuer });
            }
        }
    }
}

/// DE4 for an issuer that counts in other units than the acquirer; `Err` when it has no whole
/// number of them.
pub(super) fn amount_asked(
    config: &Config,
    listener: ListenerId,
    issuer: IssuerId,
    amount: Amount,
) -> Result<Option<Amount>, ()> {
    let listener = config.listeners.get(usize::from(listener.0));
    let issuer = config.issuers.get(usize::from(issuer.0)).ok_or(())?;
    // What came on no listener is a gateway's, and counts as the switch does.
    let is_iso = listener.is_none_or(|listener| listener.wire.exponents.is_iso());
    if is_iso && issuer.wire.exponents.is_iso() {
        return Ok(None);
    }
    issuer.wire.exponents.to_network(amount).map(Some).ok_or(())
}

/// DE4 of a reversal and what of it stays, in the issuer's units.
fn amounts_of(
    issuer: &Issuer,
    whole: Amount,
    owed: &OwedReversal,
) -> Option<(Amount, Option<Amount>)> {
    let (before, stays) = (owed.before, owed.replacement);
    let (amount, stays) = match &issuer.http {
        Some(plan) => {
            let taking = Taking {
                whole,
                before,
                stays,
            };
            taking.amounts(plan)?
        }
        None => (whole, stays),
    };
    let exponents = &issuer.wire.exponents;
    let stays = match stays {
        Some(stays) => Some(exponents.to_network(stays)?),
        None => None,
    };
    Some((exponents.to_network(amount)?, stays))
}

/// The same answer with its amount as the switch counts; `None` when it has no whole number of
/// units.
fn in_iso_units<'a>(mut answer: Answer<'a>, wire: Option<&Wire>) -> Option<Answer<'a>> {
    if let (Some(amount), Some(wire)) = (answer.amount, wire) {
        answer.amount = Some(wire.exponents.from_network(amount)?);
    }
    Some(answer)
}

/// What authenticates requests and reversals to an issuer.
pub(super) fn link_keys(keys: &KeyTable, issuer: IssuerId) -> Option<&EndpointKeys> {
    keys.of(Endpoint::Issuer(issuer)).map(Rc::as_ref)
}
