//! What gateways ask of this shard: as owner of their transactions, and for handlers of its own.
//!
//! A request becomes a message of ISO 8583:1987, as if a session had read it, and goes the way of
//! all messages: the same engine, risk, routes, journal. What differs is how it is named (its
//! idempotency key in place of DE7, DE11 and DE41) and whom its answer goes to.

use std::collections::hash_map::Entry;

use domain::amount::Amount;
use domain::ids::{AcquirerId, AuthorisationId, Rrn, Slot, Stan, TransactionId};
use domain::profile::ClockCheck;
use domain::request::{Completion, DuplicateKey, Facts, FrameId, Request, Transmission};
use domain::time::{Instant, TransmissionTime, WallTime};
use iso8583::header::HeaderBytes;
use iso8583::{Dialect, Framing, Mti, Writer, translate};
use transaction::output::Reply;
use transaction::reference::{Purpose, ReferenceQuery};
use transaction::standing::{Seen, Standing};
use transaction::{Handle, Input};

use super::askers::{Asker, Wanted};
use super::gateway_reversals::PROFILE;
use super::nonces::{Signed, Spent};
use super::{Shard, Waiting};
use crate::acquirer::SessionRef;
use crate::acquirer::desk::{Ask, NewNonce, NewTransaction, Original, Told};
use crate::acquirer::shown::{Asked, Awaits, Kind, Notification, Slug, State, Transaction};
use crate::config::{Gateway, ListenerId};
use crate::crypto::gateway::KeyNames;
use crate::frame::{Casing, Claim, Frame, Source};
use crate::mesh::Message;
use crate::metrics::{Counter, Ingress, RejectReason, RepeatResult};

impl Shard {
    /// A handler of this shard asks: to the owner.
    pub(super) fn take_asked(&mut self, from: SessionRef, ask: Ask, now: Instant) {
        let owner = self.slot_of(&ask).owner(self.shards);
        if owner == self.id {
            self.take_ask(from, ask, now);
        } else if ask.may_begin() && !self.mesh.has_room(owner) {
            self.metrics.count(Counter::MeshRefused);
            if ask.is_message() {
                self.reject_http(RejectReason::MeshFull);
            }
            self.tell_asker(from, Told::Refused(Slug::Overloaded));
        } else {
            self.mesh.send(owner, Message::Asked { from, ask });
        }
    }

    /// The owner is asked.
    pub(super) fn take_ask(&mut self, from: SessionRef, ask: Ask, now: Instant) {
        match ask {
            Ask::Create(new) => self.create(from, &new, now),
            Ask::ByKey(acquirer, key) => {
                let names = self.keyring.key_names(acquirer, key.as_bytes());
                let known = self.engine.keyed(names.trace_key, names.key);
                match known {
                    Some((handle, _)) => self.tell_now(from, handle, IsCopy::No),
                    None => self.tell_asker(from, Told::Refused(Slug::NotFound)),
                }
            }
            Ask::ById {
                acquirer,
                gateway,
                id,
                waits_until,
            } => match (self.identified(acquirer, gateway, id), waits_until) {
                (Some(handle), Some(until)) => {
                    let asker = Asker {
                        to: from,
                        acquirer,
                        is_copy: IsCopy::No,
                        wants: Wanted::Final,
                        until,
                    };
                    self.tell_or_wait(handle, asker, now);
                }
                (Some(handle), None) => self.tell_now(from, handle, IsCopy::No),
                (None, _) => self.tell_asker(from, Told::Refused(Slug::NotFound)),
            },
            Ask::Reverse(new) => self.reverse(from, &new, now),
            Ask::Spend(new) => {
                let (_, name) = self.keyring.nonce_name(new.acquirer, new.nonce.as_bytes());
                let spent = self.spend(&new, name, now);
                self.tell_asker(from, Told::Nonce(spent));
            }
        }
    }

    /// What is taken is known to an orderly end before it is told.
    fn spend(&mut self, new: &NewNonce, nonce: u128, now: Instant) -> Spent {
        let at = new.timestamp;
        let horizon = self.shared.node().horizon();
        let signed = (Signed { nonce, at }, horizon.durable());
        let spent = self.work.nonces.spend(new.gateway, signed, now);
        if spent == Spent::Once {
            horizon.note_taken(at);
        }
        spent
    }

    /// To a handler, on whichever shard it waits.
    pub(super) fn tell_asker(&mut self, to: SessionRef, told: Told) {
        if to.shard == self.id {
            self.gateway_desk.tell(to, told);
        } else {
            self.mesh.send(to.shard, Message::ToldAsker { to, told });
        }
    }

    fn slot_of(&self, ask: &Ask) -> Slot {
        match ask {
            Ask::Create(new) => {
                self.keyring
                    .key_names(new.acquirer, new.key.as_bytes())
                    .slot
            }
            Ask::ByKey(acquirer, key) => self.keyring.key_names(*acquirer, key.as_bytes()).slot,
            Ask::ById { id, .. } => id.slot(),
            Ask::Spend(new) => {
                let nonce = new.nonce.as_bytes();
                self.keyring.nonce_name(new.acquirer, nonce).0
            }
            Ask::Reverse(new) => match &new.original {
                Original::Id(id) => id.slot(),
                Original::Key(key) => self.keyring.key_names(new.acquirer, key.as_bytes()).slot,
            },
        }
    }

    /// A copy meets its original here, whatever its account is; the rest is new.
    fn create(&mut self, from: SessionRef, new: &NewTransaction, now: Instant) {
        let names = self.keyring.key_names(new.acquirer, new.key.as_bytes());
        let content = self.keyring.fingerprint(&new.digest);
        match self.engine.keyed(names.trace_key, names.key) {
            Some((handle, known)) if known != content => {
                self.count_copy(RepeatResult::Conflict);
                let id = self.engine.transaction_id(handle).unwrap_or_default();
                self.tell_asker(from, Told::Reused(id));
            }
            Some((handle, _)) if new.is_async => {
                self.count_copy(self.known_copy(handle));
                self.tell_now(from, handle, IsCopy::Yes);
            }
            Some((handle, _)) => {
                self.count_copy(self.known_copy(handle));
                let asker = Asker {
                    to: from,
                    acquirer: new.acquirer,
                    is_copy: IsCopy::Yes,
                    wants: Wanted::Final,
                    until: new.waits_until,
                };
                self.tell_or_wait(handle, asker, now);
            }
            None => match self.excess(new, now) {
                Some((reason, slug)) => {
                    self.reject_http(reason);
                    self.tell_asker(from, Told::Refused(slug));
                }
                None => self.begin(from, new, &names, now),
            },
        }
    }

    /// What became of a copy with the same content.
    fn known_copy(&self, handle: Handle) -> RepeatResult {
        let seen = self.engine.seen(handle);
        if seen.is_some_and(|seen| state(seen.standing).is_final()) {
            RepeatResult::Stored
        } else {
            RepeatResult::Attached
        }
    }

    /// A message of a gateway is refused, and nothing is remembered of it.
    fn reject_http(&self, reason: RejectReason) {
        let rejected = Counter::Rejected(Ingress::Http, reason);
        self.metrics.count(rejected);
    }

    //= docs/rules.md#R-07
    /// Why a new transaction is not begun. What is known is told all the same.
    fn excess(&self, new: &NewTransaction, now: Instant) -> Option<(RejectReason, Slug)> {
        if now.since(new.queued) > self.config.limits.request_wait_max {
            return Some((RejectReason::WaitedTooLong, Slug::Overloaded));
        }
        let has_share = self.has_share(new.acquirer);
        (!has_share).then_some((RejectReason::AcquirerFull, Slug::RateLimited))
    }

    /// Whether one more may be begun for it.
    pub(super) fn has_share(&self, acquirer: AcquirerId) -> bool {
        let share = self.sessions.share(acquirer);
        share.is_some_and(|share| share.has_room(Claim::New))
    }

    /// A transaction of a gateway has ended, or nothing is remembered of it.
    pub(super) fn end_share(&self, acquirer: AcquirerId) {
        if let Some(share) = self.sessions.share(acquirer) {
            share.end();
        }
    }

    fn begin(&mut self, from: SessionRef, new: &NewTransaction, names: &KeyNames, now: Instant) {
        let frame = self.frame_of(new, names, now);
        let fields = frame
            .as_deref()
            .map(|frame| translate::request(frame.message()));
        let (Some(frame), Some(Ok(fields))) = (frame, fields) else {
            debug_assert!(
                false,
                "invariant: what a gateway may ask for can be written"
            );
            self.reject_http(RejectReason::Malformed);
            return self.tell_asker(from, Told::Refused(Slug::Overloaded));
        };
        let Ok(facts) = self.keyring.facts(new.acquirer, &fields) else {
            self.pool.give(frame);
            self.reject_http(RejectReason::Malformed);
            return self.tell_asker(from, Told::Refused(Slug::Overloaded));
        };
        let facts = Facts {
            slot: names.slot,
            key: names.key,
            trace_key: names.trace_key,
            content: self.keyring.fingerprint(&new.digest),
            ..facts
        };
        if let Some(share) = self.sessions.share(new.acquirer) {
            share.begin();
        }
        self.work.counting.inflight_http += 1;
        let frame = self.keep(from, frame);
        self.expect_callback(frame, names.key, new);
        let request = Request {
            frame,
            transmission: Transmission::First,
            facts,
            completion: Completion::No,
            profile: PROFILE,
            clock: ClockCheck::Window,
        };
        self.turn(Input::Request(request), now);
    }

    /// Its URL goes into the records that it begins with: they are durable together, or not at all.
    /// By its duplicate key: the time in its id is not known before it is admitted. A copy that
    /// comes meanwhile changes nothing.
    fn expect_callback(&mut self, frame: FrameId, key: DuplicateKey, new: &NewTransaction) {
        let Some(url) = &new.callback else {
            return;
        };
        let Entry::Vacant(place) = self.work.callbacks.entry(key.0) else {
            return;
        };
        if let Some(waiting) = self.work.waiting.get_mut(frame.0 as usize) {
            waiting.called_back = Some(key);
            place.insert(url.clone());
        }
    }

    /// The frame goes: all its transaction begins with was appended, or nothing is remembered.
    pub(super) fn forget_callback(&mut self, waiting: &Waiting) {
        if let Some(key) = waiting.called_back {
            self.work.callbacks.remove(&key.0);
        }
    }

    /// What an issuer will be asked, as if a session had brought it.
    fn frame_of(&self, new: &NewTransaction, names: &KeyNames, now: Instant) -> Option<Box<Frame>> {
        let gateway = self.gateway(new.gateway)?;
        let mut out = [0; MESSAGE_LEN_MAX];
        let len = self.write_message(new, gateway, names, &mut out)?;
        let casing = Casing {
            framing: Framing::Be16,
            header: HeaderBytes::NONE,
        };
        let mut frame = self.pool.take(out.get(..len)?, casing);
        out.fill(0);
        frame.acquirer = new.acquirer;
        frame.listener = NO_LISTENER;
        frame.received = new.queued;
        frame.queued = now;
        frame.source = Source::Gateway {
            is_async: new.is_async,
        };
        let parsed = Dialect::ISO87_ASCII.parse(&frame.bytes, &mut frame.index);
        parsed.is_ok().then_some(frame)
    }

    fn write_message(
        &self,
        new: &NewTransaction,
        gateway: &Gateway,
        names: &KeyNames,
        out: &mut [u8],
    ) -> Option<usize> {
        let mti = Mti::new(*b"0200")?;
        let transmitted = TransmissionTime::at(self.work.wall).digits();
        let (date, time) = transmitted.split_at(4);
        let stan = stan_of(names);
        let rrn = rrn_of(self.engine.next_transaction_id(names.slot));
        let fields: [(u8, &[u8]); 13] = [
            (2, new.account.expose_digits()),
            (3, new.kind.processing_code()),
            (4, &new.amount.digits()),
            (7, &transmitted),
            (11, &stan.digits()),
            (12, time),
            (13, date),
            (18, gateway.merchant_category.as_bytes()),
            (22, b"000"),
            (37, rrn.as_bytes()),
            (41, gateway.terminal.as_bytes()),
            (42, gateway.merchant.as_bytes()),
            (49, &new.amount.currency().digits()),
        ];
        let mut writer = Writer::new(Dialect::ISO87_ASCII, mti, out);
        for (number, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            writer.put(number, value).ok()?;
        }
        writer.finish().ok()
    }

    /// By the DE37 that its id gives: the engine knows transactions by that anyway.
    pub(super) fn identified(
        &self,
        acquirer: AcquirerId,
        gateway: u16,
        id: TransactionId,
    ) -> Option<Handle> {
        let gateway = self.gateway(gateway)?;
        let found = self.engine.referred(&ReferenceQuery {
            acquirer,
            rrn: rrn_of(id),
            terminal: gateway.terminal,
            merchant: gateway.merchant,
            class: None,
            transmitted: None,
            local: None,
            amount: None,
            authorisation: AuthorisationId::EMPTY,
            purpose: Purpose::Reversal,
            token: None,
        })?;
        (self.engine.transaction_id(found.handle) == Some(id)).then_some(found.handle)
    }

    /// By its position in the configuration.
    pub(super) fn gateway(&self, number: u16) -> Option<&Gateway> {
        self.config.gateways.get(usize::from(number))
    }

    pub(super) fn tell_now(&mut self, to: SessionRef, handle: Handle, is_copy: IsCopy) {
        let told = self.standing_told(handle, is_copy);
        self.tell_asker(to, told);
    }

    /// Who asks for what is not final waits with the others, up to a bound.
    fn tell_or_wait(&mut self, handle: Handle, asker: Asker, now: Instant) {
        let seen = self.engine.seen(handle);
        // What nobody would be told in time is told now: that nothing of it is durable.
        let is_open = seen.is_some_and(|seen| {
            seen.standing != Standing::Reserved && !state(seen.standing).is_final()
        });
        if !is_open || !self.work.asked.put(handle, asker, now) {
            self.tell_now(asker.to, handle, asker.is_copy);
        }
    }

    /// Tells those who wait for what this transaction has come to.
    pub(super) fn tell_askers(&mut self, handle: Handle) {
        if !self.work.asked.has(handle) {
            return;
        }
        let seen = self.engine.seen(handle);
        let (is_final, is_owed) = seen.map_or((true, false), |seen| {
            (state(seen.standing).is_final(), seen.is_owed)
        });
        let told = self.work.asked.take(handle, |wants| match wants {
            Wanted::Final => is_final,
            Wanted::Acknowledged => !is_owed,
        });
        for asker in told {
            self.tell_now(asker.to, handle, asker.is_copy);
        }
    }

    fn standing_told(&self, handle: Handle, is_copy: IsCopy) -> Told {
        match self.engine.seen(handle) {
            Some(seen) if seen.standing != Standing::Reserved => {
                let shown = self.shown(&seen);
                Told::Transaction {
                    transaction: Box::new(Transaction {
                        awaits: self.awaits(handle),
                        expires: self.asked_until(handle).unwrap_or(shown.expires),
                        ..shown
                    }),
                    is_copy: is_copy == IsCopy::Yes,
                }
            }
            Some(_) | None => Told::Reserved,
        }
    }

    /// Of what a start has found: its route may be another one since.
    fn asked_until(&self, handle: Handle) -> Option<WallTime> {
        let leg = self.work.legs.get(&handle.index)?;
        Some(leg.inquiry?.until)
    }

    /// A leg has no permit from when its issuer has said that it answers later.
    fn awaits(&self, handle: Handle) -> Awaits {
        match self.work.legs.get(&handle.index) {
            Some(leg) if leg.permit.is_none() => Awaits::Payer,
            Some(_) | None => Awaits::Issuer,
        }
    }

    fn shown(&self, seen: &Seen<'_>) -> Transaction {
        let facts = seen.facts;
        let issuer = |leg: &domain::request::IssuerLeg| {
            let issuer = self.config.issuers.get(usize::from(leg.issuer.0))?;
            Some(Asked {
                issuer: issuer.name.clone(),
                stan: leg.stan,
                rrn: facts.trace.rrn,
            })
        };
        let route = seen
            .leg
            .and_then(|leg| self.config.routes.get(usize::from(leg.route.0)));
        let deadline = route.map(|route| route.deadline).unwrap_or_default();
        Transaction {
            id: seen.id,
            state: state(seen.standing),
            kind: Kind::of_processing_code(facts.processing_code.as_bytes()),
            amount: facts.amount,
            code: Some(seen.code),
            authorisation: seen.authorisation,
            asked: seen.leg.and_then(issuer),
            created: seen.admitted,
            expires: seen.admitted.after(deadline),
            is_owed: seen.is_owed,
            is_excepted: seen.is_excepted,
            notification: Notification::Polling,
            awaits: Awaits::Issuer,
            left: Amount::new(seen.left, facts.amount.currency())
                .ok()
                .filter(|_| seen.is_reversed_in_part),
        }
    }

    /// The intent is durable: who wants to know no more than that is told.
    pub(super) fn tell_intent(&mut self, frame: FrameId, handle: Handle) {
        let Some(waiting) = self.work.waiting.get(frame.0 as usize) else {
            return;
        };
        let session = waiting.session;
        if waiting.frame.source == (Source::Gateway { is_async: true }) {
            self.tell_now(session, handle, IsCopy::No);
        }
    }

    /// It is decided, or nothing is remembered of it.
    pub(super) fn answer_gateway(&mut self, waiting: Waiting, reply: Reply, now: Instant) {
        self.forget_callback(&waiting);
        self.time_answer(reply, &waiting, now);
        if let Source::Reversal { .. } = waiting.frame.source {
            self.answer_reversal(&waiting, reply, now);
        } else {
            self.end_share(waiting.frame.acquirer);
            match reply {
                Reply::Answer(handle) => {
                    self.tell_now(waiting.session, handle, IsCopy::No);
                    self.tell_askers(handle);
                }
                Reply::Code(code) if code == PROFILE.reversed_original.code() => {
                    self.tell_asker(waiting.session, Told::Buried);
                }
                Reply::Code(_) | Reply::Acknowledge { .. } => {
                    self.tell_asker(waiting.session, Told::Refused(Slug::Overloaded));
                }
            }
        }
        self.pool.give(waiting.frame);
    }
}

/// Whether who asks has sent what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsCopy {
    Yes,
    No,
}

const fn state(standing: Standing) -> State {
    match standing {
        Standing::Reserved | Standing::Pending => State::Pending,
        Standing::Approved => State::Approved,
        Standing::Declined => State::Declined,
        Standing::NotExecuted => State::Failed,
        Standing::ReversalOwed => State::ReversalPending,
        Standing::Reversed => State::Reversed,
        Standing::Excepted => State::ReversalFailed,
    }
}

/// Names start and serial of an id: so an id is found by its DE37, and no second table leads from
/// ids to transactions. A serial comes again after 16,777,216 transactions of a shard in one start:
/// of two with the same one the older is not found by its id any more.
fn rrn_of(id: TransactionId) -> Rrn {
    let mut rest = id.0 & ((1 << 52) - 1);
    let mut digits = [b'N'; 12];
    for digit in digits.iter_mut().skip(1).rev() {
        let low = u8::try_from(rest & 31).unwrap_or(0);
        *digit = match low {
            0..=9 => b'0' + low,
            _ => b'A' + low - 10,
        };
        rest >>= 5;
    }
    Rrn::new("DE37", &digits).unwrap_or(Rrn::EMPTY)
}

/// DE11, which need not be unique: its key names it, so that a reversal which comes first does too.
pub(super) fn stan_of(names: &KeyNames) -> Stan {
    let hash = u32::try_from(names.key.0 & 0xFFFF_FFFF).unwrap_or(0);
    Stan::new(hash % Stan::MAX + 1).unwrap_or_default()
}

/// A message of a gateway came on no listener: what a listener may say differently is not said.
const NO_LISTENER: ListenerId = ListenerId(u16::MAX);
/// More than the fields of such a message take.
const MESSAGE_LEN_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use domain::ids::{NodeId, Origin};

    use super::*;

    #[test]
    fn an_id_names_its_message() {
        let id = |start, serial| {
            let origin = Origin {
                node: NodeId(5),
                start,
                serial,
            };
            TransactionId::new(1_767_225_600_000, Slot(0xABC), origin)
        };
        assert_eq!(rrn_of(id(9, 77)).as_str(), "N0001400002D");
        assert_ne!(rrn_of(id(9, 77)), rrn_of(id(9, 78)));
        assert_ne!(rrn_of(id(9, 77)), rrn_of(id(10, 77)));
        assert_eq!(rrn_of(id(0xF_FFFF, u32::MAX)).as_str(), "N3VVVVVVVVVV");
    }
}
