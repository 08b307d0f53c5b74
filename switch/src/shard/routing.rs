//! Risk and route: what the engine asks for and is told within the same turn where it can be.

use std::time::Duration;

use domain::ResponseCode;
use domain::ids::{IssuerId, LinkId, RouteId, ShardId};
use domain::pan::Pan;
use domain::record::{Completed, RefusalReason};
use domain::request::{DuplicateKey, Facts, FrameId, IssuerLeg};
use domain::time::{Instant, TransmissionTime};
use iso8583::translate;
use router::Permit;
use router::Selection as Choice;
use router::conditions::MerchantCategory;
use router::selection::{CallOutcome, Query, SkipReason, Skipped};
use router::week::WeekMinute;
use transaction::Handle;
use transaction::input::{Assessment, Selection};
use transaction::matching::Expected;
use transaction::output::WantedIssuer;

use super::asking::Question;
use super::{FollowUp, Leg, LinkTable, Shard};
use crate::config::Issuer;
use crate::metrics::{Counter, Histogram};

/// Whom the router has named.
#[derive(Debug)]
pub(super) struct Picked {
    route: RouteId,
    candidate: u8,
    issuer: IssuerId,
    permit: Permit,
    /// By when it is to have answered.
    pub(super) deadline: Duration,
    /// Another one was tried before.
    is_failover: bool,
}

/// Why the router has named nobody.
#[derive(Debug)]
pub(super) enum Nobody {
    /// No route leads anywhere.
    NoRoute,
    /// Nobody admits, of these.
    NoneAdmits(Skipped),
}

impl Shard {
    /// Asks the shard that keeps the account's history.
    pub(super) fn ask_risk(&mut self, handle: Handle, now: Instant) {
        let Some(facts) = self.engine.facts(handle).copied() else {
            return;
        };
        let home = account_home(&facts, self.shards);
        self.ask(home, handle, Question::Risk(facts), now);
    }

    /// The verdict of this shard's risk engine.
    pub(super) fn assess(&mut self, facts: &Facts, now: Instant) -> Assessment {
        let timing = self.work.timings.risk.begin(self.clock);
        let verdict = self.risk.assess(facts, now);
        let risk = &self.work.timings.risk;
        if let Some(took) = risk.end(timing, self.clock, &self.metrics) {
            self.metrics.observe_duration(Histogram::Risk, took);
        }
        match verdict {
            risk_inline::Verdict::Accept => {
                self.metrics.count(Counter::RiskAllowed);
                Assessment::Accept
            }
            risk_inline::Verdict::Decline { code, reason } => {
                self.metrics.count(Counter::RiskDeclined);
                Assessment::Decline { code, reason }
            }
        }
    }

    /// Chooses an issuer, a link of it and a STAN; each candidate that falls out is skipped before
    /// anything is sent.
    pub(super) fn select_route(&mut self, handle: Handle, frame: FrameId, tried: u8, now: Instant) {
        let timing = self.work.timings.route.begin(self.clock);
        let choice = self.choose(handle, frame, tried, now);
        let route = &self.work.timings.route;
        route.end(timing, self.clock, &self.metrics);
        let selection = match choice {
            Ok(selection) => selection,
            Err(skipped) => match self.stand_in_rule(handle, skipped) {
                Some(rule) => return self.ask_stand_in(handle, rule, now),
                None => self.none_of(skipped, now),
            },
        };
        self.work
            .follow_ups
            .push_back(FollowUp::Selected(handle, selection));
    }

    /// Whom the request goes to; else those who were passed over.
    fn choose(
        &mut self,
        handle: Handle,
        frame: FrameId,
        tried: u8,
        now: Instant,
    ) -> Result<Selection, Skipped> {
        let ask = |shard: &mut Self, tried| shard.ask_router(handle, frame, tried, now);
        let begin = |shard: &mut Self, picked: Picked| {
            let deadline = picked.deadline;
            if picked.is_failover {
                shard.metrics.count(Counter::Failovers(picked.issuer));
            }
            let leg = shard.begin_leg(handle, picked, None, now)?;
            Some(Selection::Leg { leg, deadline })
        };
        match self.pick(tried, ask, begin) {
            Ok(selection) => Ok(selection),
            Err(Nobody::NoRoute) => Ok(no_route()),
            Err(Nobody::NoneAdmits(skipped)) => Err(skipped),
        }
    }

    /// Asks the router until `begin` takes whom it names; who is not taken is passed over.
    pub(super) fn pick<L>(
        &mut self,
        tried: u8,
        mut ask: impl FnMut(&mut Self, u8) -> Option<Choice>,
        mut begin: impl FnMut(&mut Self, Picked) -> Option<L>,
    ) -> Result<L, Nobody> {
        let mut tried = tried;
        loop {
            let picked = match ask(self, tried) {
                Some(Choice::Chosen {
                    route,
                    candidate,
                    issuer,
                    permit,
                    deadline,
                    skipped,
                }) => {
                    self.count_skipped(skipped);
                    Picked {
                        route,
                        candidate,
                        issuer,
                        permit,
                        deadline,
                        is_failover: tried != 0,
                    }
                }
                Some(Choice::NoneAdmits { skipped, .. }) => {
                    self.count_skipped(skipped);
                    return Err(Nobody::NoneAdmits(skipped));
                }
                Some(Choice::NoRoute) | None => return Err(Nobody::NoRoute),
            };
            let candidate = u32::from(picked.candidate);
            if let Some(leg) = begin(self, picked) {
                return Ok(leg);
            }
            tried |= 1_u8.checked_shl(candidate).unwrap_or(u8::MAX);
        }
    }

    /// A completion request goes to the issuer of its original: over one of its links, or nowhere.
    pub(super) fn select_issuer(&mut self, wanted: &WantedIssuer, now: Instant) {
        let named = self.config.issuers.get(usize::from(wanted.issuer.0));
        let selection = if named.is_none_or(Issuer::is_removed) {
            none_admits()
        } else {
            self.choose_issuer(wanted, now)
        };
        let selected = FollowUp::Selected(wanted.handle, selection);
        self.work.follow_ups.push_back(selected);
    }

    fn choose_issuer(&mut self, wanted: &WantedIssuer, now: Instant) -> Selection {
        let WantedIssuer { handle, issuer, .. } = *wanted;
        let pan = self.account_in(wanted.frame);
        let query = pan.as_ref().and_then(|pan| self.query(handle, pan));
        let choice = query.map(|query| self.router.select_issuer(query, issuer, now));
        match choice {
            Some(Choice::Chosen {
                route,
                candidate,
                issuer,
                permit,
                deadline,
                ..
            }) => {
                let picked = Picked {
                    route,
                    candidate,
                    issuer,
                    permit,
                    deadline,
                    is_failover: false,
                };
                let completed = Some(Box::new(wanted.completed));
                match self.begin_leg(handle, picked, completed, now) {
                    Some(leg) => Selection::Leg { leg, deadline },
                    None => none_admits(),
                }
            }
            Some(Choice::NoneAdmits { skipped, .. }) => {
                self.count_skipped(skipped);
                self.none_of(skipped, now)
            }
            Some(Choice::NoRoute) | None => no_route(),
        }
    }

    /// The leg of a request to whom was chosen; without one the permit goes back.
    fn begin_leg(
        &mut self,
        handle: Handle,
        picked: Picked,
        completed: Option<Box<Completed>>,
        now: Instant,
    ) -> Option<IssuerLeg> {
        let Some(class) = self.engine.facts(handle).map(|facts| facts.class) else {
            self.return_permit(picked.permit, now);
            return None;
        };
        let (permit, leg) = self.take_leg(picked, now)?;
        let expected = Expected {
            kind: class.into(),
            stan: leg.stan,
        };
        let open = Leg {
            permit: Some(permit),
            expected,
            completed,
            call: None,
            inquiry: None,
        };
        self.work.legs.insert(handle.index, open);
        Some(leg)
    }

    /// A link and a STAN for what was chosen; without one the permit goes back.
    pub(super) fn take_leg(&mut self, picked: Picked, now: Instant) -> Option<(Permit, IssuerLeg)> {
        let Some((link, stan)) = self.take_link(picked.issuer, now) else {
            self.return_permit(picked.permit, now);
            return None;
        };
        let leg = IssuerLeg {
            route: picked.route,
            candidate: picked.candidate,
            issuer: picked.issuer,
            link,
            stan,
            transmitted: TransmissionTime::at(self.work.wall),
        };
        Some((picked.permit, leg))
    }

    /// Nobody was called.
    fn return_permit(&mut self, permit: Permit, now: Instant) {
        let nothing = CallOutcome::NotCalled;
        let took = Duration::ZERO;
        self.router.finish(permit, nothing, took, now);
    }

    fn none_of(&self, skipped: Skipped, now: Instant) -> Selection {
        Selection::None {
            code: self.code_of_none(skipped, now),
            reason: RefusalReason::NoneAdmits,
        }
    }

    /// 91, or 90 when there is nobody but issuers that are silent for their cut-over.
    pub(super) fn code_of_none(&self, skipped: Skipped, now: Instant) -> ResponseCode {
        let mut candidates = skipped.iter().peekable();
        let is_held =
            candidates.peek().is_some() && candidates.all(|(issuer, _)| self.is_held(issuer, now));
        if is_held {
            ResponseCode::CUT_OFF
        } else {
            ResponseCode::ISSUER_INOPERATIVE
        }
    }

    pub(super) fn count_skipped(&self, skipped: Skipped) {
        for (issuer, reason) in skipped.iter() {
            match reason {
                SkipReason::BreakerOpen | SkipReason::EchoAwaited | SkipReason::ProbesTaken => {
                    self.metrics.count(Counter::BreakerRejected(issuer));
                }
                SkipReason::Tried | SkipReason::LinksDown | SkipReason::BulkheadFull => {}
            }
        }
    }

    fn ask_router(
        &mut self,
        handle: Handle,
        frame: FrameId,
        tried: u8,
        now: Instant,
    ) -> Option<Choice> {
        let facts = self.engine.facts(handle)?;
        if tried != 0
            && let Some(leg) = self.engine.leg(handle)
        {
            let draw = draw(facts);
            return Some(self.router.select_again(leg.route, draw, tried, now));
        }
        let pan = self.account_in(frame)?;
        let query = self.query(handle, &pan)?;
        Some(self.router.select(query, tried, now))
    }

    /// The account in a frame that waits for its answer.
    pub(super) fn account_in(&self, frame: FrameId) -> Option<Pan> {
        let waiting = self.work.waiting.get(frame.0 as usize)?;
        translate::account(waiting.frame.message()).ok()?
    }

    /// What the route table is asked for a transaction.
    pub(super) fn query<'p>(&self, handle: Handle, account: &'p Pan) -> Option<Query<'p>> {
        let facts = self.engine.facts(handle)?;
        Some(Query {
            account: account.expose_digits(),
            class: facts.class.into(),
            amount: Some(facts.amount),
            category: MerchantCategory::from_digits(facts.merchant_category.as_bytes()),
            acquirer: facts.acquirer,
            at: WeekMinute::at(self.work.wall, self.config.routing.utc_offset),
            draw: draw(facts),
        })
    }

    /// Of the issuer's links the least busy one, and a STAN out of this shard's part of its range.
    pub(super) fn take_link(
        &mut self,
        issuer: IssuerId,
        now: Instant,
    ) -> Option<(LinkId, domain::ids::Stan)> {
        let LinkTable { all, of_issuer } = &mut self.links;
        let pool = of_issuer.get_mut(usize::from(issuer.0))?;
        pool.pick(now, |link| {
            let place = all.get_mut(usize::from(link.0))?;
            place.stans.allocate(now)
        })
    }

    /// A link for a reversal: the original's if it is used, else any of the issuer's that is, else
    /// the original's as long as it is up.
    pub(super) fn reversal_link(&self, leg: &IssuerLeg) -> Option<LinkId> {
        let pool = self.links.of_issuer.get(usize::from(leg.issuer.0))?;
        let mut links = std::iter::once(leg.link).chain(pool.ids());
        let is_up = |link: &LinkId| self.links.place(*link).is_some_and(|place| place.up);
        links
            .find(|link| pool.is_usable(*link))
            .or_else(|| Some(leg.link).filter(is_up))
    }
}

/// By what a request is dealt among the candidates of a group: what all its copies share.
fn draw(facts: &Facts) -> u64 {
    draw_of(facts.key)
}

pub(super) fn draw_of(key: DuplicateKey) -> u64 {
    let [high, low] = [key.0 >> 64, key.0].map(|half| half & u128::from(u64::MAX));
    u64::try_from(high ^ low).unwrap_or_default()
}

/// The shard that keeps an account's history.
pub(super) fn account_home(facts: &Facts, shards: u16) -> ShardId {
    let [.., high, low] = facts.account.token.0;
    ShardId(
        u16::from_be_bytes([high, low])
            .checked_rem(shards)
            .unwrap_or(0),
    )
}

pub(super) const fn none_admits() -> Selection {
    Selection::None {
        code: ResponseCode::ISSUER_INOPERATIVE,
        reason: RefusalReason::NoneAdmits,
    }
}

const fn no_route() -> Selection {
    Selection::None {
        code: ResponseCode::CANNOT_ROUTE,
        reason: RefusalReason::NoRoute,
    }
}
