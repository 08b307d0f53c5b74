//! Reconciliations with issuers. After a cut-over and a time of grace the day that has ended is
//! frozen on every shard, and what all have counted is owed to the issuer, by currency. What an
//! issuer asks by itself goes to the same leader.

use std::time::Duration;

use domain::ids::{IssuerId, LinkId, ShardId, Stan};
use domain::network::SettlementDate;
use domain::reconciliation::{Party, Totals, Verdict};
use domain::record::SafResult;
use domain::request::{IssuerLeg, Transmission};
use domain::time::{Instant, TransmissionTime};
use iso8583::translate::{self, OurReconciliation};
use transaction::matching::{Echo, Expected, ResponseKind};
use transaction::output::StanReuse;
use transaction::reconciliation::{BookInput, BucketKey, ReconciliationId};
use transaction::{Handle, Input};

use super::super::issuing::link_keys;
use super::super::{FollowUp, Shard, unwritable};
use super::{Asked, Asker, rounds_key, settle_name};
use crate::frame::Frame;
use crate::mesh::{BookMessage, Message, Outbound, OutboundId, Purpose};
use crate::metrics::{Counter, ExceptionReason, ReconciliationResult, Side};

/// A day that is going to be frozen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freeze {
    issuer: IssuerId,
    date: SettlementDate,
    at: Instant,
}

/// What the shards have told of a frozen day.
#[derive(Debug)]
pub(crate) struct Freezing {
    party: Party,
    missing: u16,
    sums: Vec<(BucketKey, Totals)>,
}

impl Shard {
    /// Whether this shard leads what concerns an issuer's totals.
    fn leads(&self, issuer: IssuerId) -> bool {
        self.leader_of(issuer) == self.id
    }

    fn leader_of(&self, issuer: IssuerId) -> ShardId {
        ShardId(issuer.0.checked_rem(self.shards).unwrap_or(0))
    }

    /// The day before the one in force has ended: it is frozen when what is under way is over.
    pub(in super::super) fn plan_freeze(&mut self, issuer: IssuerId, now: Instant) {
        let configured = self.config.issuers.get(usize::from(issuer.0));
        let Some(reconcile) = configured.and_then(|issuer| issuer.reconcile) else {
            return;
        };
        let ended = self.engine.ended_day(Party::Issuer(issuer));
        let (Some(date), true) = (ended, self.leads(issuer)) else {
            return;
        };
        if !self.has_ended(issuer, date) {
            return;
        }
        let longest = self.config.routes.iter().map(|route| route.deadline).max();
        let wait = reconcile.grace.saturating_add(longest.unwrap_or_default());
        let at = now.after(wait);
        self.work
            .reconciling
            .freezes
            .push(Freeze { issuer, date, at });
    }

    /// An issuer that takes its cut-over back, or corrects the day, has not ended the later one.
    fn has_ended(&self, issuer: IssuerId, date: SettlementDate) -> bool {
        let in_force = self.engine.day(Party::Issuer(issuer));
        in_force.is_some_and(|in_force| date < in_force)
    }

    /// Freezes what is due.
    pub(in super::super) fn freeze_due(&mut self, now: Instant) {
        let freezes = &mut self.work.reconciling.freezes;
        let due = freezes.extract_if(.., |freeze| freeze.at <= now);
        let due: Vec<Freeze> = due.collect();
        for Freeze { issuer, date, .. } in due {
            if !self.has_ended(issuer, date) {
                continue;
            }
            let party = Party::Issuer(issuer);
            let round = rounds_key(self.work.reconciling.freezing.insert(Freezing {
                party,
                missing: self.shards,
                sums: Vec::new(),
            }));
            for shard in self.peers() {
                let freeze = BookMessage::Freeze {
                    party,
                    date,
                    leader: self.id,
                    round,
                };
                self.mesh.send(shard, Message::Book(freeze));
            }
            self.freeze_here((party, date), (self.id, round), now);
            self.drain(now);
        }
    }

    pub(super) fn freeze_here(
        &mut self,
        (party, date): (Party, SettlementDate),
        (leader, round): (ShardId, u32),
        now: Instant,
    ) {
        let token = rounds_key(self.work.reconciling.asked.insert(Asked::Freeze {
            leader,
            round,
            party,
            date,
        }));
        let input = BookInput::Freeze { party, date, token };
        self.engine.handle_input(Input::Book(input), now);
    }

    /// A shard has frozen a day: the engine is drained by the caller.
    pub(super) fn add_frozen(&mut self, number: u32, frozen: &[(BucketKey, Totals)]) {
        let Some(round) = self.work.reconciling.freezing.get_mut(number as usize) else {
            debug_assert!(false, "invariant: a freeze ends when all shards have told");
            return;
        };
        for (bucket, totals) in frozen {
            match round.sums.iter_mut().find(|(known, _)| known == bucket) {
                Some((_, sum)) => sum.merge(totals),
                None => round.sums.push((*bucket, *totals)),
            }
        }
        round.missing = round.missing.saturating_sub(1);
        if round.missing > 0 {
            return;
        }
        let Freezing { party, sums, .. } = self.work.reconciling.freezing.remove(number as usize);
        let Party::Issuer(issuer) = party else { return };
        for (bucket, totals) in sums {
            if totals != Totals::default() {
                let owe = FollowUp::OweTotals(issuer, bucket, totals);
                self.work.follow_ups.push_back(owe);
            }
        }
    }

    /// All shards have told: the issuer is owed what they add up to. The engine is drained.
    pub(in super::super) fn owe_totals(
        &mut self,
        issuer: IssuerId,
        bucket: BucketKey,
        ours: Totals,
        now: Instant,
    ) {
        let sends = self.config.issuers.get(usize::from(issuer.0));
        let sends = sends.and_then(|issuer| issuer.reconcile?.mti).is_some();
        if !sends || self.engine.knows_reconciliation(bucket) {
            return;
        }
        let Some((_, stan)) = self.reserve_stan(issuer, now) else {
            // Every number is out: the same is found again.
            let at = now.after(AGAIN);
            let date = bucket.date;
            return self
                .work
                .reconciling
                .freezes
                .push(Freeze { issuer, date, at });
        };
        self.count_reconciled(Side::Issuer, ReconciliationResult::Owed);
        let input = BookInput::Owe { bucket, stan, ours };
        self.engine.handle_input(Input::Book(input), now);
    }

    /// A reconciliation of ours leaves, for the first time or again with the same content.
    pub(in super::super) fn send_reconciliation(
        &mut self,
        owed: ReconciliationId,
        transmission: Transmission,
        now: Instant,
    ) {
        let Some(outbound) = self.build_reconciliation(owed, transmission, now) else {
            return self.reconciliation_unsent(owed);
        };
        let (link, expected) = (outbound.link, outbound.expected);
        let before = self.work.reconciling.sent.insert(owed, (link, expected));
        if let Some((earlier, expected)) = before.filter(|(earlier, _)| *earlier != link) {
            self.give_up(earlier, expected, now);
        }
        self.dispatch(Box::new(outbound), now);
    }

    pub(in super::super) fn reconciliation_unsent(&mut self, owed: ReconciliationId) {
        let unsent = BookInput::Unsent { owed };
        self.work.follow_ups.push_back(FollowUp::Book(unsent));
    }

    fn build_reconciliation(
        &mut self,
        id: ReconciliationId,
        transmission: Transmission,
        now: Instant,
    ) -> Option<Outbound> {
        let owed = *self.engine.owed_reconciliation(id)?;
        let issuer = self.config.issuers.get(usize::from(owed.issuer.0))?;
        let reconcile = issuer.reconcile?;
        let link = self.reversal_link(&leg(issuer.link_of(owed.stan), owed.issuer, owed.stan))?;
        let exponents = &issuer.wire.exponents;
        let scale = |minor| exponents.sum_to_network(minor, owed.currency);
        let wire = *self.wires.get(usize::from(owed.issuer.0))?;
        let ours = OurReconciliation {
            mti: reconcile.mti?,
            transmission,
            stan: owed.stan,
            decided: owed.decided,
            date: owed.date,
            currency: owed.currency,
            forwarding: &wire.institution,
            ours: owed.ours.with_amounts(scale).read_as(reconcile.sign),
            sign: reconcile.sign,
        };
        let keys = link_keys(&self.keys, owed.issuer);
        let framed = unwritable::write(&wire, keys, &mut self.work.scratch, |body| {
            translate::write_reconciliation(wire.dialect, &ours, body)
        });
        let framed = framed.map_err(|why| self.note_unwritable(owed.issuer, why, now));
        let bytes = self.work.scratch.get(..framed.ok()?)?.to_vec();
        Some(Outbound {
            id: OutboundId {
                owner: self.id,
                handle: nobody(id),
                stan: owed.stan,
                purpose: Purpose::Reconciliation(id),
            },
            link,
            expected: Expected {
                kind: ResponseKind::Reconciliation,
                stan: owed.stan,
            },
            echo: Echo {
                transmitted: Some(TransmissionTime::at(owed.decided)),
                ..Echo::default()
            },
            by: Instant::FAR_FUTURE,
            bytes,
        })
    }

    /// The issuer's answer; `None` when the message came back or was not taken.
    pub(in super::super) fn reconciliation_answered(
        &mut self,
        owed: ReconciliationId,
        verdict: Option<Verdict>,
        now: Instant,
    ) {
        let input = BookInput::Answered { owed, verdict };
        self.turn(Input::Book(input), now);
    }

    pub(in super::super) fn reconciliation_ended(
        &mut self,
        owed: ReconciliationId,
        bucket: BucketKey,
        (result, verdict): (SafResult, Verdict),
        now: Instant,
    ) {
        if let Some((link, expected)) = self.work.reconciling.sent.remove(&owed) {
            self.give_up(link, expected, now);
        }
        self.release_stan_of(owed, now);
        let (date, currency) = (bucket.date, bucket.currency);
        let issuer = settle_name(&self.config, bucket.party);
        let (told, exception) = match (result, verdict) {
            (SafResult::Acknowledged, Verdict::InBalance) => {
                (ReconciliationResult::InBalance, None)
            }
            (SafResult::Acknowledged, Verdict::OutOfBalance) => (
                ReconciliationResult::OutOfBalance,
                Some(ExceptionReason::OutOfBalance),
            ),
            (SafResult::Acknowledged, Verdict::Unknown) => (ReconciliationResult::Unknown, None),
            (SafResult::Acknowledged, Verdict::Error) => (
                ReconciliationResult::Error,
                Some(ExceptionReason::ReconciliationRefused),
            ),
            (SafResult::Refused | SafResult::Dropped, _) => (
                ReconciliationResult::Refused,
                Some(ExceptionReason::ReconciliationRefused),
            ),
            (SafResult::Expired, _) => (
                ReconciliationResult::Expired,
                Some(ExceptionReason::ReconciliationExpired),
            ),
        };
        self.count_reconciled(Side::Issuer, told);
        if let Some(reason) = exception {
            self.metrics.count(Counter::Exceptions(reason));
            let result = ReconciliationResult::VALUES
                .get(told.index())
                .copied()
                .unwrap_or_default();
            tracing::error!(issuer, %date, %currency, result, "look at a reconciliation of ours");
        }
    }

    /// Its number belongs to one link of its issuer, whichever it has left over, if it ever has.
    fn release_stan_of(&mut self, owed: ReconciliationId, now: Instant) {
        let Some(owed) = self.engine.owed_reconciliation(owed) else {
            return;
        };
        let (stan, issuer) = (owed.stan, usize::from(owed.issuer.0));
        let issuer = self.config.issuers.get(issuer);
        let link = issuer.and_then(|issuer| issuer.link_of(stan));
        if let Some(place) = link.and_then(|link| self.links.place_mut(link)) {
            place.stans.release(stan, StanReuse::AfterLateWindow, now);
        }
    }

    /// An issuer asks by itself: its leader answers, over the same link.
    pub(in super::super) fn hand_issuer_reconciliation(
        &mut self,
        link: LinkId,
        frame: Box<Frame>,
        now: Instant,
    ) {
        let Some(issuer) = self.links.place(link).map(|place| place.issuer) else {
            return self.pool.give(frame);
        };
        let leader = self.leader_of(issuer);
        if leader == self.id {
            self.admit_issuer_reconciliation(link, issuer, frame, now);
        } else {
            let asks = BookMessage::IssuerAsks {
                link,
                issuer,
                frame,
            };
            self.mesh.send(leader, Message::Book(asks));
        }
    }

    pub(super) fn admit_issuer_reconciliation(
        &mut self,
        link: LinkId,
        issuer: IssuerId,
        frame: Box<Frame>,
        now: Instant,
    ) {
        self.admit_of(Asker::Link(link, issuer), frame, now);
    }

    /// Writes an answer on a link, wherever that is.
    pub(in super::super) fn answer_on_link(&mut self, link: LinkId, bytes: Vec<u8>, now: Instant) {
        let home = self.links.place(link).map(|place| place.home_shard);
        if home == Some(self.id) {
            if let Some(home) = self.links.home_mut(link) {
                home.answer(&bytes);
                self.after_link(link, now);
            }
        } else if let Some(home) = home {
            let answer = BookMessage::LinkAnswer { link, bytes };
            self.mesh.send(home, Message::Book(answer));
        }
    }

    /// After a recovery: the numbers of what is owed are taken.
    pub(in super::super) fn claim_owed_reconciliations(&mut self) {
        let owed = self.engine.owed_reconciliations();
        let taken: Vec<(IssuerId, Stan)> = owed.map(|owed| (owed.issuer, owed.stan)).collect();
        for (issuer, stan) in taken {
            let link = self.config.issuers.get(usize::from(issuer.0));
            let link = link.and_then(|issuer| issuer.link_of(stan));
            if let Some(place) = link.and_then(|link| self.links.place_mut(link)) {
                place.stans.claim(stan);
            }
        }
    }
}

/// How a reconciliation travels, as far as a link is chosen by it.
fn leg(link: Option<LinkId>, issuer: IssuerId, stan: Stan) -> IssuerLeg {
    IssuerLeg {
        route: domain::ids::RouteId(0),
        candidate: 0,
        issuer,
        link: link.unwrap_or(LinkId(u16::MAX)),
        stan,
        transmitted: TransmissionTime::UNKNOWN,
    }
}

/// No transaction's: the purpose says what it is.
const fn nobody(id: ReconciliationId) -> Handle {
    Handle {
        index: u32::MAX,
        generation: id.0,
    }
}

/// Until the same freeze is tried again that found no number for its message.
const AGAIN: Duration = Duration::from_secs(60);
