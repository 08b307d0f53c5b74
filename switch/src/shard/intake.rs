//! From the session to the engine, and from the engine's answer back to the session.

use std::sync::Arc;
use std::time::Duration;

use domain::ResponseCode;
use domain::currency::Exponents;
use domain::ids::{AuthorisationId, ShardId, Slot};
use domain::profile::{ClockCheck, Profile, ReversalAnswer};
use domain::request::{Completion, Facts, FrameId, Request, Reversal, Transmission};
use domain::time::{Instant, TransmissionTime};
use iso8583::mti::Function;
use iso8583::translate::{self, CompletionFields, ReasonField, RequestFields, ReversalFields};
use transaction::reference::{Purpose, ReferenceQuery};

use super::locating::Located;
use super::{Shard, Waiting};
use crate::acquirer::SessionRef;
use crate::config::Listener;
use crate::crypto::endpoint_keys::{self, Endpoint, EndpointKeys};
use crate::frame::{Claim, Frame};
use crate::mesh::Message;
use crate::metrics::{Counter, Ingress, RejectReason, Side};

impl Shard {
    /// A session of this shard read a message: hand it to the transaction's owner.
    pub(super) fn take_request(&mut self, session: SessionRef, frame: Box<Frame>, now: Instant) {
        let owner = self.owner_of(&frame);
        let gives_way = Claim::of(frame.message()).gives_way();
        if owner == self.id {
            self.admit(session, frame, now);
        } else if gives_way && !self.mesh.has_room(owner) {
            self.metrics.count(Counter::MeshRefused);
            self.refuse_for(RejectReason::MeshFull, session, frame);
        } else {
            self.mesh.send(owner, Message::Request { session, frame });
        }
    }

    //= docs/rules.md#R-07
    /// The owner takes a message: its words are made out of it, and the engine decides. A first
    /// request that has waited too long is not begun: others wait behind it, and their acquirers
    /// count from when they sent them.
    pub(super) fn admit(&mut self, session: SessionRef, frame: Box<Frame>, now: Instant) {
        match Claim::of(frame.message()) {
            Claim::Reversal => self.admit_reversal(session, frame, Located::NotAsked, now),
            Claim::Advice => self.admit_advice(session, frame, now),
            Claim::Reconciliation => self.admit_reconciliation(session, frame, now),
            Claim::New | Claim::Administrative
                if now.since(frame.queued) > self.config.limits.request_wait_max =>
            {
                self.refuse_for(RejectReason::WaitedTooLong, session, frame);
            }
            Claim::Administrative => self.admit_administrative(session, frame, now),
            Claim::New | Claim::Repeat => self.admit_request(session, frame, now),
        }
    }

    /// There is no time for it.
    pub(super) fn refuse_excess(&mut self, session: SessionRef, frame: Box<Frame>) {
        self.refuse_for(RejectReason::QueueFull, session, frame);
    }

    /// 96, before any intent.
    pub(super) fn refuse_for(
        &mut self,
        reason: RejectReason,
        session: SessionRef,
        frame: Box<Frame>,
    ) {
        self.metrics.count(Counter::Rejected(Ingress::Iso, reason));
        self.refuse(session, frame, ResponseCode::MALFUNCTION, None);
    }

    fn admit_request(&mut self, session: SessionRef, frame: Box<Frame>, now: Instant) {
        let mut fields = match translate::request(frame.message()) {
            Ok(fields) => fields,
            Err(error) => {
                return self.refuse_malformed(session, frame, error.field);
            }
        };
        match self.exponents(&frame).from_network(fields.amount) {
            Some(amount) => fields.amount = amount,
            None => return self.refuse_malformed(session, frame, 4),
        }
        if fields.amount.minor() == 0 && !frame.message().needs_no_amount() {
            self.metrics
                .count(Counter::Rejected(Ingress::Iso, RejectReason::Malformed));
            return self.refuse(session, frame, ResponseCode::INVALID_AMOUNT, Some(4));
        }
        let transmission = fields.transmission;
        let Ok(facts) = self.keyring.facts(frame.acquirer, &fields) else {
            return self.refuse_malformed(session, frame, 2);
        };
        let facts = self.as_known(facts, &fields);
        let completion = match translate::completion(frame.message()) {
            Ok(named) => self.completion(&facts, named),
            Err(error) => return self.refuse_malformed(session, frame, error.field),
        };
        let (profile, clock) = (self.profile(&frame), self.clock_check(&frame));
        if transmission == Transmission::First {
            let (sent, wall) = (facts.trace.transmitted, self.work.wall);
            self.metrics
                .observe_session_skew(frame.listener, sent, wall);
        }
        let frame = self.keep(session, frame);
        let request = Request {
            frame,
            transmission,
            facts,
            completion,
            profile,
            clock,
        };
        let timing = self.work.timings.duplicate.begin(self.clock);
        let input = transaction::Input::Request(request);
        self.engine.handle_input(input, now);
        let duplicate = &self.work.timings.duplicate;
        duplicate.end(timing, self.clock, &self.metrics);
        self.drain(now);
    }

    /// A copy of what came under another token key says the same under that.
    //= docs/rules.md#D-09
    pub(super) fn as_known(&self, facts: Facts, fields: &RequestFields) -> Facts {
        if !self.keyring.is_token_rotating() {
            return facts;
        }
        match self.engine.keyed(facts.trace_key, facts.key) {
            Some((_, content)) if self.keyring.says(fields, content) => Facts { content, ..facts },
            Some(_) | None => facts,
        }
    }

    /// What a request completes, if it is one that completes something.
    fn completion(&self, facts: &Facts, named: Option<CompletionFields>) -> Completion {
        match named.map(|fields| fields.original) {
            None => Completion::No,
            Some(None) => Completion::Unnamed,
            Some(Some(reference)) => Completion::Named(self.keyring.named(facts, reference)),
        }
    }

    /// A reversal is taken from the journal's reserve (fault 31), and refused with 96 only when
    /// that is nearly used up: what has begun must still find room for its end.
    pub(super) fn admit_reversal(
        &mut self,
        session: SessionRef,
        frame: Box<Frame>,
        located: Located,
        now: Instant,
    ) {
        if !self.journal.takes_reversals() {
            return self.refuse_for(RejectReason::JournalUnavailable, session, frame);
        }
        let mut fields = match translate::reversal(frame.message()) {
            Ok(fields) => fields,
            Err(error) => {
                return self.refuse_malformed(session, frame, error.field);
            }
        };
        let exponents = self.exponents(&frame);
        let replacement = fields.replacement.map(|kept| exponents.from_network(kept));
        match (exponents.from_network(fields.amount), replacement) {
            (Some(amount), None | Some(Some(_))) => {
                fields.amount = amount;
                fields.replacement = replacement.flatten();
            }
            (None, _) | (_, Some(None)) => return self.refuse_malformed(session, frame, 4),
        }
        let reversal = self
            .keyring
            .reversal(frame.acquirer, &fields, FrameId::default());
        if located == Located::NotAsked && !self.engine.knows_original(&reversal) {
            let query = reference_query(&reversal, &fields);
            if query.is_whole() {
                return self.locate(session, frame, &query, now);
            }
        }
        let Ok(reversal) = self.located(located, &reversal) else {
            return self.give_back(session, frame, reversal.slot, now);
        };
        let reversal = Reversal {
            profile: self.profile(&frame),
            answered: self.reversal_answer(&frame),
            reason: translate::reason(frame.message(), self.reason_field(&frame)),
            frame: self.keep(session, frame),
            ..reversal
        };
        self.turn(transaction::Input::Reversal(reversal), now);
    }

    /// To the shard where DE90 leads: no shard knows the original any more.
    fn give_back(&mut self, session: SessionRef, frame: Box<Frame>, slot: Slot, now: Instant) {
        let located = Located::Nowhere;
        let owner = slot.owner(self.shards);
        if owner == self.id {
            self.admit_reversal(session, frame, located, now);
        } else {
            let message = Message::Reversal {
                session,
                frame,
                located,
            };
            self.mesh.send(owner, message);
        }
    }

    fn listener_of(&self, frame: &Frame) -> Option<&Listener> {
        self.config.listeners.get(usize::from(frame.listener.0))
    }

    /// What the session of a message asks for.
    pub(super) fn profile(&self, frame: &Frame) -> Profile {
        let listener = self.listener_of(frame);
        listener.map_or(Profile::PLAIN, |listener| listener.profile)
    }

    /// What DE7 has to be in the messages of its session.
    pub(super) fn clock_check(&self, frame: &Frame) -> ClockCheck {
        let listener = self.listener_of(frame);
        listener.map_or(ClockCheck::Window, |listener| listener.clock)
    }

    /// R6: an 0400 is acknowledged like an 0420, unless the session has it forwarded.
    fn reversal_answer(&self, frame: &Frame) -> ReversalAnswer {
        let is_request = frame.message().mti().function() == Function::Request;
        let listener = self.listener_of(frame).filter(|_| is_request);
        listener.map_or(ReversalAnswer::WhenOwed, |listener| {
            listener.reversal_request
        })
    }

    /// Where the messages of its session say why they were sent.
    pub(super) fn reason_field(&self, frame: &Frame) -> Option<ReasonField> {
        self.listener_of(frame)?.wire.reason_field
    }

    /// In which units the acquirer of a message counts.
    pub(super) fn exponents(&self, frame: &Frame) -> Arc<Exponents> {
        let listener = self.listener_of(frame);
        listener.map_or_else(Arc::default, |listener| {
            Arc::clone(&listener.wire.exponents)
        })
    }

    /// Its session is told too: it bears only so many.
    pub(super) fn refuse_malformed(&mut self, session: SessionRef, frame: Box<Frame>, field: u8) {
        self.metrics
            .count(Counter::Rejected(Ingress::Iso, RejectReason::Malformed));
        self.metrics.count_meaningless(Side::Acquirer);
        if session.shard == self.id {
            self.note_malformed(session);
        } else {
            self.mesh
                .send(session.shard, Message::Malformed { session });
        }
        self.refuse(session, frame, ResponseCode::FORMAT_ERROR, Some(field));
    }

    /// A message of a session of this shard was found malformed by its owner.
    pub(super) fn note_malformed(&self, session: SessionRef) {
        if let Some(session) = self.sessions.get(session) {
            session.count_malformed();
        }
    }

    pub(super) fn keep(&mut self, session: SessionRef, frame: Box<Frame>) -> FrameId {
        let key = self.work.waiting.insert(Waiting {
            session,
            frame,
            at_issuer: Duration::ZERO,
            called_back: None,
        });
        FrameId(u32::try_from(key).unwrap_or(u32::MAX))
    }

    /// The owner of a message's transaction: by the STAN in DE90, else by its own.
    fn owner_of(&self, frame: &Frame) -> ShardId {
        let message = frame.message();
        let stan = if Claim::of(message) == Claim::Reversal {
            translate::reversal(message)
                .map(|fields| fields.original.stan)
                .ok()
        } else {
            translate::stan(message).ok()
        };
        // A message without a usable STAN is refused by whoever owns slot zero.
        let slot = self.keyring.slot(frame.acquirer, stan.unwrap_or_default());
        slot.owner(self.shards)
    }

    /// Answers without an engine: nothing is remembered.
    pub(super) fn refuse(
        &mut self,
        session: SessionRef,
        frame: Box<Frame>,
        code: ResponseCode,
        field: Option<u8>,
    ) {
        let mut out = std::mem::take(&mut self.work.scratch);
        let casing = frame.casing.reply();
        let code = self.code_told(&frame, code);
        let framed = casing.write(&mut out, |body| {
            let (dialect, message) = (frame.dialect(), frame.message());
            let len = translate::write_refusal(dialect, message, code, field, body).ok()?;
            endpoint_keys::append(self.session_keys(&frame), dialect, body, len)
        });
        let bytes = framed.and_then(|len| out.get(..len)).unwrap_or_default();
        self.reply(session, bytes, None);
        self.work.scratch = out;
        self.pool.give(frame);
    }

    /// What authenticates the answer to a message, on whichever shard its session is.
    pub(super) fn session_keys(&self, request: &Frame) -> Option<&EndpointKeys> {
        let keys = self.keys.of(Endpoint::Listener(request.listener))?;
        keys.of(request.message().mti().class())
    }
}

/// By what the original of a reversal is looked for where DE90 does not lead to it.
fn reference_query(reversal: &Reversal, fields: &ReversalFields) -> ReferenceQuery {
    ReferenceQuery {
        acquirer: reversal.acquirer,
        rrn: fields.trace.rrn,
        terminal: fields.trace.terminal,
        merchant: fields.trace.merchant,
        class: reversal.original.class,
        transmitted: reversal.original.transmitted,
        local: TransmissionTime::from_digits(fields.original_local.as_bytes()).ok(),
        amount: Some(reversal.amount),
        authorisation: AuthorisationId::EMPTY,
        purpose: Purpose::Reversal,
        token: reversal.token,
    }
}
