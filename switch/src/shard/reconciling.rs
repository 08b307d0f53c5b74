//! Reconciliations: one shard leads each, asks all of them what they have counted, compares, and
//! answers when that is durable.
//!
//! ```text
//!  session ─► leader ─ Close ─► all ─ Closed (durable) ─► leader ─ decided (durable) ─► session
//! ```
//!
//! The leader of an acquirer's message is the owner of its STAN, so that copies meet it there. A
//! crash loses nothing: a copy finds the result, or asks again; what is closed stays closed.

mod issuers;

use ahash::AHashMap;
use domain::ResponseCode;
use domain::currency::{Currency, Exponents};
use domain::ids::{AcquirerId, IssuerId, LinkId, ShardId};
use domain::network::SettlementDate;
use domain::reconciliation::{
    Declared, Differences, Party, ReconSign, Reconciled, Totals, Verdict,
};
use domain::time::Instant;
use iso8583::translate::{self, ReconciliationAnswer, ReconciliationFields};
use slab::Slab;
use transaction::Input;
use transaction::matching::Expected;
use transaction::reconciliation::{
    BookInput, BucketKey, DayEnd, Decision, ReconciliationId, ReconciliationKey,
};

use super::issuing::link_keys;
use super::{FollowUp, Shard};
use crate::acquirer::SessionRef;
use crate::config::{Config, ListenerId};
use crate::crypto::endpoint_keys;
use crate::frame::Frame;
use crate::limits::RECONCILIATIONS_MAX;
use crate::mesh::{BookMessage, Message};
use crate::metrics::{Counter, ExceptionReason, Ingress, ReconciliationResult, RejectReason, Side};

/// What a shard knows of reconciliations under way.
#[derive(Debug, Default)]
pub(crate) struct Reconciling {
    /// Those that this shard leads.
    rounds: Slab<Round>,
    /// What waits for this shard's own journal.
    asked: Slab<Asked>,
    /// Days of issuers that end in a while.
    freezes: Vec<issuers::Freeze>,
    /// Days that this shard freezes on all.
    freezing: Slab<issuers::Freezing>,
    /// Over which link each reconciliation of ours has left, and what its answer is.
    sent: AHashMap<ReconciliationId, (LinkId, Expected)>,
    /// Segments of the journal when the book was last written down whole.
    segments: usize,
}

/// A reconciliation whose totals are being collected.
#[derive(Debug)]
struct Round {
    key: ReconciliationKey,
    asker: Asker,
    frame: Box<Frame>,
    bucket: BucketKey,
    sign: ReconSign,
    declared: Declared,
    /// Shards that have not told.
    missing: u16,
    sum: Totals,
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug)]
enum Asker {
    /// An acquirer.
    Session(SessionRef),
    /// An issuer.
    Link(LinkId, IssuerId),
}

/// What is told when it is durable.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// A leader's question.
    Close {
        leader: ShardId,
        round: u32,
        bucket: BucketKey,
    },
    /// A leader's freeze.
    Freeze {
        leader: ShardId,
        round: u32,
        party: Party,
        date: SettlementDate,
    },
    /// The end of a round of this shard.
    Decided { round: u32 },
}

impl Reconciling {
    /// Nothing waits for an answer.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.rounds.is_empty() && self.freezing.is_empty()
    }
}

impl Shard {
    /// A reconciliation of an acquirer, at its leader.
    //= docs/rules.md#B-03
    pub(super) fn admit_reconciliation(
        &mut self,
        session: SessionRef,
        frame: Box<Frame>,
        now: Instant,
    ) {
        let asker = Asker::Session(session);
        if self.sign_of(asker, frame.listener).is_none() {
            let reason = RejectReason::Unsupported;
            self.metrics.count(Counter::Rejected(Ingress::Iso, reason));
            return self.refuse(session, frame, ResponseCode::INVALID_TRANSACTION, None);
        }
        let rounds = self.work.reconciling.rounds.len();
        if !self.journal.takes_reversals() {
            return self.refuse_for(RejectReason::JournalUnavailable, session, frame);
        }
        if rounds >= RECONCILIATIONS_MAX {
            return self.refuse_for(RejectReason::QueueFull, session, frame);
        }
        self.admit_of(asker, frame, now);
    }

    fn admit_of(&mut self, asker: Asker, frame: Box<Frame>, now: Instant) {
        let Some(sign) = self.sign_of(asker, frame.listener) else {
            // An issuer that totals are not kept with gets no answer: its message is unmatched.
            return self.pool.give(frame);
        };
        let party = match asker {
            Asker::Session(_) => Party::Acquirer(frame.acquirer),
            Asker::Link(_, issuer) => Party::Issuer(issuer),
        };
        let Ok(fields) = translate::reconciliation(frame.message(), self.work.wall) else {
            self.count_reconciled(side(party), ReconciliationResult::Error);
            return self.tell_reconciled(asker, frame, &nothing(Verdict::Error, sign), now);
        };
        let key = ReconciliationKey {
            party,
            currency: fields.currency,
            stan: fields.stan,
            transmitted: fields.transmitted,
        };
        if let Some(known) = self.engine.reconciled_before(key).copied() {
            self.count_reconciled(side(party), ReconciliationResult::Repeated);
            let answer = self.told_of(&known, (asker, frame.listener), sign);
            return self.tell_reconciled(asker, frame, &answer, now);
        }
        self.collect(asker, frame, (key, sign), &fields, now);
    }

    fn collect(
        &mut self,
        asker: Asker,
        frame: Box<Frame>,
        (key, sign): (ReconciliationKey, ReconSign),
        fields: &ReconciliationFields,
        now: Instant,
    ) {
        let rounds = &mut self.work.reconciling.rounds;
        if let Some((_, round)) = rounds.iter_mut().find(|(_, round)| round.key == key) {
            // The newest copy gets the answer.
            let earlier = std::mem::replace(&mut round.asker, asker);
            let before = std::mem::replace(&mut round.frame, frame);
            if let Asker::Session(earlier) = earlier {
                self.reply(earlier, &[], None);
            }
            return self.pool.give(before);
        }
        if rounds.len() >= RECONCILIATIONS_MAX.saturating_mul(2) {
            // Only issuers come here: theirs is repeated.
            return self.pool.give(frame);
        }
        let due = || self.engine.due_day(key.party, key.currency);
        let date = fields.date.unwrap_or_else(due);
        let bucket = BucketKey {
            party: key.party,
            date,
            currency: key.currency,
        };
        let is_kept = self.engine.keeps_totals(key.party, date);
        let round = rounds_key(self.work.reconciling.rounds.insert(Round {
            key,
            asker,
            frame,
            bucket,
            sign,
            declared: if is_kept {
                fields.declared
            } else {
                Declared::default()
            },
            missing: self.shards,
            sum: Totals::default(),
        }));
        if !is_kept {
            self.decide_round(round, now);
            return self.drain(now);
        }
        let end = if fields.is_checkpoint {
            DayEnd::GoesOn
        } else {
            DayEnd::Closed
        };
        self.ask_all(bucket, end, round, now);
    }

    /// Asks every shard what it has counted.
    fn ask_all(&mut self, bucket: BucketKey, end: DayEnd, round: u32, now: Instant) {
        for shard in self.peers() {
            let close = BookMessage::Close {
                bucket,
                end,
                leader: self.id,
                round,
            };
            self.mesh.send(shard, Message::Book(close));
        }
        self.close_here(bucket, end, (self.id, round), now);
        self.drain(now);
    }

    fn close_here(
        &mut self,
        bucket: BucketKey,
        end: DayEnd,
        (leader, round): (ShardId, u32),
        now: Instant,
    ) {
        let token = self.work.reconciling.asked.insert(Asked::Close {
            leader,
            round,
            bucket,
        });
        let token = rounds_key(token);
        let input = BookInput::Close { bucket, end, token };
        self.engine.handle_input(Input::Book(input), now);
    }

    /// A message about days and totals.
    pub(super) fn take_book_message(&mut self, message: BookMessage, now: Instant) {
        match message {
            BookMessage::Day { party, date } => self.set_day(party, date, now),
            BookMessage::Known { party, date } => {
                if self
                    .engine
                    .day(party)
                    .is_none_or(|own| own.days() < date.days())
                {
                    self.set_day(party, date, now);
                }
            }
            BookMessage::Close {
                bucket,
                end,
                leader,
                round,
            } => self.close_here(bucket, end, (leader, round), now),
            BookMessage::Closed { round, totals } => self.add_to_round(round, &totals, now),
            BookMessage::Freeze {
                party,
                date,
                leader,
                round,
            } => self.freeze_here((party, date), (leader, round), now),
            BookMessage::Frozen { round, totals } => self.add_frozen(round, &totals),
            BookMessage::IssuerAsks {
                link,
                issuer,
                frame,
            } => self.admit_issuer_reconciliation(link, issuer, frame, now),
            BookMessage::LinkAnswer { link, bytes } => self.answer_on_link(link, bytes, now),
        }
        self.drain(now);
    }

    /// What was asked of the book is durable. The engine is drained by the caller.
    pub(super) fn noted(&mut self, token: u32, now: Instant) {
        let Some(asked) = self.work.reconciling.asked.try_remove(token as usize) else {
            debug_assert!(false, "invariant: each token is told once");
            return;
        };
        match asked {
            Asked::Close {
                leader,
                round,
                bucket,
            } => {
                let totals = self.engine.totals(bucket);
                if leader == self.id {
                    self.add_to_round(round, &totals, now);
                } else {
                    let closed = BookMessage::Closed { round, totals };
                    self.mesh.send(leader, Message::Book(closed));
                }
            }
            Asked::Freeze {
                leader,
                round,
                party,
                date,
            } => {
                let totals = self.engine.frozen(party, date);
                if leader == self.id {
                    self.add_frozen(round, &totals);
                } else {
                    let frozen = BookMessage::Frozen { round, totals };
                    self.mesh.send(leader, Message::Book(frozen));
                }
            }
            Asked::Decided { round } => self.end_round(round, now),
        }
    }

    fn add_to_round(&mut self, number: u32, totals: &Totals, now: Instant) {
        let Some(round) = self.work.reconciling.rounds.get_mut(number as usize) else {
            debug_assert!(false, "invariant: a round ends when all shards have told");
            return;
        };
        round.sum.merge(totals);
        round.missing = round.missing.saturating_sub(1);
        if round.missing == 0 {
            self.decide_round(number, now);
        }
    }

    /// All is known: the result is written down.
    fn decide_round(&mut self, number: u32, now: Instant) {
        let Some(round) = self.work.reconciling.rounds.get(number as usize) else {
            return;
        };
        let (sum, from) = (round.sum, (round.asker, round.frame.listener));
        let ours = self.in_units_of(from, &sum, round.bucket.currency);
        let differs = round
            .declared
            .compare(&ours.read_as(round.sign), round.sign);
        let decision = Decision {
            key: round.key,
            date: round.bucket.date,
            verdict: verdict(&round.declared, differs),
            differs,
            ours: sum,
        };
        let asked = Asked::Decided { round: number };
        let token = rounds_key(self.work.reconciling.asked.insert(asked));
        let input = BookInput::Decided { decision, token };
        self.engine.handle_input(Input::Book(input), now);
    }

    fn end_round(&mut self, number: u32, now: Instant) {
        let rounds = &mut self.work.reconciling.rounds;
        let Some(round) = rounds.try_remove(number as usize) else {
            return;
        };
        let Some(known) = self.engine.reconciled_before(round.key).copied() else {
            debug_assert!(false, "invariant: a result is kept when it is decided");
            return;
        };
        self.tell_people(&known);
        let from = (round.asker, round.frame.listener);
        let answer = self.told_of(&known, from, round.sign);
        self.tell_reconciled(round.asker, round.frame, &answer, now);
    }

    fn tell_people(&self, known: &Reconciled) {
        let result = match known.verdict {
            Verdict::Unknown => ReconciliationResult::Unknown,
            Verdict::InBalance => ReconciliationResult::InBalance,
            Verdict::OutOfBalance => ReconciliationResult::OutOfBalance,
            Verdict::Error => ReconciliationResult::Error,
        };
        self.count_reconciled(side(known.party), result);
        if known.verdict == Verdict::OutOfBalance {
            let fields: Vec<u8> = known.differs.fields().collect();
            let (party, date, currency) = (known.party, known.date, known.currency);
            let name = settle_name(&self.config, party);
            tracing::error!(party = name, %date, %currency, ?fields, "totals are out of balance");
            let reason = ExceptionReason::OutOfBalance;
            self.metrics.count(Counter::Exceptions(reason));
        }
    }

    pub(super) fn count_reconciled(&self, side: Side, result: ReconciliationResult) {
        self.metrics.count(Counter::Reconciliations(side, result));
    }

    fn told_of(
        &self,
        known: &Reconciled,
        from: (Asker, ListenerId),
        sign: ReconSign,
    ) -> ReconciliationAnswer {
        let ours = self.in_units_of(from, &known.ours, known.currency);
        let is_kept = self.engine.keeps_totals(known.party, known.date);
        ReconciliationAnswer {
            verdict: known.verdict,
            date: Some(known.date),
            ours: is_kept.then(|| ours.read_as(sign)),
            sign,
        }
    }

    fn in_units_of(
        &self,
        (asker, listener): (Asker, ListenerId),
        totals: &Totals,
        currency: Currency,
    ) -> Totals {
        let Config {
            listeners, issuers, ..
        } = self.config.as_ref();
        let wire = match asker {
            Asker::Session(_) => listeners.get(usize::from(listener.0)).map(|one| &one.wire),
            Asker::Link(_, issuer) => issuers.get(usize::from(issuer.0)).map(|one| &one.wire),
        };
        wire.map_or(*totals, |wire| in_units(&wire.exponents, totals, currency))
    }

    fn sign_of(&self, asker: Asker, listener: ListenerId) -> Option<ReconSign> {
        match asker {
            Asker::Session(_) => {
                let listener = self.config.listeners.get(usize::from(listener.0))?;
                listener.reconcile
            }
            Asker::Link(_, issuer) => {
                let issuer = self.config.issuers.get(usize::from(issuer.0))?;
                Some(issuer.reconcile?.sign)
            }
        }
    }

    fn tell_reconciled(
        &mut self,
        asker: Asker,
        frame: Box<Frame>,
        answer: &ReconciliationAnswer,
        now: Instant,
    ) {
        let mut out = std::mem::take(&mut self.work.scratch);
        let framed = frame.casing.reply().write(&mut out, |body| {
            let (dialect, message) = (frame.dialect(), frame.message());
            let written =
                translate::write_reconciliation_answer(dialect, message, answer, body).ok()?;
            let keys = match asker {
                Asker::Session(_) => self.session_keys(&frame),
                Asker::Link(_, issuer) => link_keys(&self.keys, issuer),
            };
            endpoint_keys::append(keys, dialect, body, written)
        });
        let bytes = framed.and_then(|len| out.get(..len)).unwrap_or_default();
        match asker {
            Asker::Session(session) => self.reply(session, bytes, None),
            Asker::Link(link, _) => self.answer_on_link(link, bytes.to_vec(), now),
        }
        self.work.scratch = out;
        self.pool.give(frame);
    }
}

/// Business days.
impl Shard {
    /// An acquirer's business day changes: on every shard. Without a day of its own it is the one
    /// after the day in force.
    pub(super) fn session_cut_over(
        &mut self,
        listener: ListenerId,
        named: Option<SettlementDate>,
        now: Instant,
    ) {
        let configured = self.config.listeners.get(usize::from(listener.0));
        let Some(party) = configured.map(|found| Party::Acquirer(found.acquirer)) else {
            return;
        };
        let in_force = self.engine.day(party);
        let next = in_force
            .unwrap_or_else(|| SettlementDate::at(self.work.wall))
            .next();
        let date = named.unwrap_or(next);
        self.shared.tell_session_cut_over(listener, date);
        for shard in self.peers() {
            let day = BookMessage::Day { party, date };
            self.mesh.send(shard, Message::Book(day));
        }
        self.set_day(party, date, now);
    }

    /// What day it is, written down: a restart does not move it.
    //= docs/rules.md#B-04
    pub(super) fn set_day(&mut self, party: Party, date: SettlementDate, now: Instant) {
        self.turn(Input::Book(BookInput::Day { party, date }), now);
        if let Party::Issuer(issuer) = party
            && let Some(settlement) = self.work.settlements.get_mut(usize::from(issuer.0))
        {
            settlement.resume(date);
            self.plan_freeze(issuer, now);
        }
    }

    /// After a recovery: the days that the journal knows are in force, and a peer that had not
    /// heard of a cut-over before the crash hears of it.
    pub(super) fn resume_days(&mut self, now: Instant) {
        self.claim_owed_reconciliations();
        let acquirers = (0..self.config.acquirers.len()).map(|id| u16::try_from(id).unwrap_or(0));
        let issuers = (0..self.config.issuers.len()).map(|id| u16::try_from(id).unwrap_or(0));
        let acquirers = acquirers.map(|id| Party::Acquirer(AcquirerId(id)));
        let issuers = issuers.map(|id| Party::Issuer(IssuerId(id)));
        let parties: Vec<Party> = acquirers.chain(issuers).collect();
        for party in parties {
            let Some(date) = self.engine.day(party) else {
                continue;
            };
            for shard in self.peers() {
                let known = BookMessage::Known { party, date };
                self.mesh.send(shard, Message::Book(known));
            }
            if let Party::Issuer(issuer) = party {
                if let Some(place) = self.work.settlements.get_mut(usize::from(issuer.0)) {
                    place.resume(date);
                }
                self.plan_freeze(issuer, now);
                if self.id == ShardId(0) {
                    self.shared.tell_cut_over(issuer, date, false);
                }
            }
        }
        self.work.reconciling.segments = self.journal.segments();
    }

    /// The book is written down whole in each segment, so that no older one is needed for it.
    pub(super) fn write_book(&mut self, now: Instant) {
        let segments = self.journal.segments();
        if std::mem::replace(&mut self.work.reconciling.segments, segments) != segments {
            self.turn(Input::Book(BookInput::Snapshot), now);
        }
    }

    /// The engine is drained: what was asked of the book goes on.
    pub(super) fn follow_noted(&mut self, token: u32) {
        self.work.follow_ups.push_back(FollowUp::Noted(token));
    }
}

fn verdict(declared: &Declared, differs: Differences) -> Verdict {
    if !declared.says_anything() {
        Verdict::Unknown
    } else if differs.is_empty() {
        Verdict::InBalance
    } else {
        Verdict::OutOfBalance
    }
}

const fn nothing(verdict: Verdict, sign: ReconSign) -> ReconciliationAnswer {
    ReconciliationAnswer {
        verdict,
        date: None,
        ours: None,
        sign,
    }
}

const fn side(party: Party) -> Side {
    match party {
        Party::Acquirer(_) => Side::Acquirer,
        Party::Issuer(_) => Side::Issuer,
    }
}

fn settle_name(config: &Config, party: Party) -> &str {
    let name = match party {
        Party::Acquirer(id) => config
            .acquirers
            .get(usize::from(id.0))
            .map(|known| &known.name),
        Party::Issuer(id) => config
            .issuers
            .get(usize::from(id.0))
            .map(|known| &known.name),
    };
    name.map_or("", String::as_str)
}

/// Sums as an endpoint counts that has other decimal places.
fn in_units(exponents: &Exponents, totals: &Totals, currency: Currency) -> Totals {
    totals.with_amounts(|minor| exponents.sum_to_network(minor, currency))
}

fn rounds_key(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
