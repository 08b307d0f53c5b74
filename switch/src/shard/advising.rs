//! Advices: from the session into the engine, and from there to their issuers.

use domain::ResponseCode;
use domain::ids::{IssuerId, LinkId};
use domain::pan::Pan;
use domain::request::{Advice, Answer, FrameId, IssuerLeg, Transmission};
use domain::time::{Instant, TransmissionTime};
use iso8583::translate::{self, IssuerAdvice, Why};
use transaction::advice::OriginalQuery;
use transaction::input::Assignment;
use transaction::matching::{Expected, ResponseKind};
use transaction::{Handle, Input, OwedId};

use super::asking::Question;
use super::issuing::link_keys;
use super::{FollowUp, LinkTable, Shard, unwritable};
use crate::acquirer::SessionRef;
use crate::config::Issuer;
use crate::frame::Frame;
use crate::mesh::Outbound;
use crate::metrics::RejectReason;

impl Shard {
    /// An advice is taken from the journal's reserve, as a reversal is (fault 31).
    pub(super) fn admit_advice(&mut self, session: SessionRef, frame: Box<Frame>, now: Instant) {
        if !self.journal.takes_reversals() {
            return self.refuse_for(RejectReason::JournalUnavailable, session, frame);
        }
        let mut fields = match translate::advice(frame.message()) {
            Ok(fields) => fields,
            Err(error) => return self.refuse_malformed(session, frame, error.field),
        };
        match self.exponents(&frame).from_network(fields.request.amount) {
            Some(amount) => fields.request.amount = amount,
            None => return self.refuse_malformed(session, frame, 4),
        }
        let mut scratch = [0_u8; Answer::FIELDS_LEN_MAX];
        let why = Why::Said(self.reason_field(&frame));
        let content = translate::advice_content(frame.message(), why, &mut scratch);
        let Ok(advice) = self.keyring.advice(frame.acquirer, &fields, content) else {
            return self.refuse_malformed(session, frame, 2);
        };
        let facts = self.as_known(advice.facts, &fields.request);
        let limit = self.profile(&frame).completion;
        let clock = self.clock_check(&frame);
        let frame = self.keep(session, frame);
        let advice = Advice {
            facts,
            frame,
            limit,
            clock,
            ..advice
        };
        self.turn(Input::Advice(advice), now);
    }

    /// Asks the shard where the original would live.
    pub(super) fn find_original(&mut self, handle: Handle, query: OriginalQuery, now: Instant) {
        let owner = query.named.slot.owner(self.shards);
        self.ask(owner, handle, Question::Original(query), now);
    }

    /// Decides whose an advice is, and gives it a STAN of one of that issuer's links.
    pub(super) fn assign_leg(
        &mut self,
        handle: Handle,
        frame: FrameId,
        issuer: Option<IssuerId>,
        now: Instant,
    ) {
        let named = issuer.and_then(|issuer| self.config.issuers.get(usize::from(issuer.0)));
        let assignment = if named.is_some_and(Issuer::is_removed) {
            Assignment::NoIssuer
        } else {
            match self.leg_of_advice(handle, frame, issuer, now) {
                Ok(leg) => Assignment::Leg(leg),
                Err(code) => Assignment::None { code },
            }
        };
        let assigned = FollowUp::Assigned(handle, assignment);
        self.work.follow_ups.push_back(assigned);
    }

    fn leg_of_advice(
        &mut self,
        handle: Handle,
        frame: FrameId,
        issuer: Option<IssuerId>,
        now: Instant,
    ) -> Result<IssuerLeg, ResponseCode> {
        let no_route = ResponseCode::CANNOT_ROUTE;
        let pan = self.account_in(frame).ok_or(no_route)?;
        let query = self.query(handle, &pan).ok_or(no_route)?;
        let home = self.router.home(query);
        let (route, of_route) = home.ok_or(no_route)?;
        let issuer = issuer.unwrap_or(of_route);
        let (link, stan) = self
            .reserve_stan(issuer, now)
            .ok_or(ResponseCode::MALFUNCTION)?;
        Ok(IssuerLeg {
            route,
            candidate: 0,
            issuer,
            link,
            stan,
            transmitted: TransmissionTime::at(self.work.wall),
        })
    }

    /// A STAN for what waits until its issuer can be reached: of a link that is used, if one is. It
    /// may wait for days, so that it leaves requests their share of the numbers.
    pub(super) fn reserve_stan(
        &mut self,
        issuer: IssuerId,
        now: Instant,
    ) -> Option<(LinkId, domain::ids::Stan)> {
        let LinkTable { all, of_issuer } = &mut self.links;
        let pool = of_issuer.get(usize::from(issuer.0))?;
        let used = pool.ids().filter(|link| pool.is_usable(*link));
        used.chain(pool.ids()).find_map(|link| {
            let place = all.get_mut(usize::from(link.0))?;
            Some((link, place.stans.allocate_spare(now)?))
        })
    }

    /// An owed advice leaves, for the first time or again with the same content.
    pub(super) fn send_advice(&mut self, owed: OwedId, transmission: Transmission, now: Instant) {
        match self.build_advice(owed, transmission, now) {
            Some(outbound) => self.dispatch_owed(owed, Box::new(outbound), now),
            None => self.work.follow_ups.push_back(FollowUp::OwedUnsent(owed)),
        }
    }

    fn build_advice(
        &mut self,
        id: OwedId,
        transmission: Transmission,
        now: Instant,
    ) -> Option<Outbound> {
        let handle = id.handle;
        let facts = self.engine.facts(handle)?;
        let owed = self.engine.advice(id)?;
        let leg = owed.leg;
        let link = self.reversal_link(&leg)?;
        let issuer = *self.wires.get(usize::from(leg.issuer.0))?;
        let pan: Pan = match self.keyring.unseal(&facts.account.sealed) {
            Ok(pan) => pan,
            Err(error) => {
                tracing::error!(issuer = %leg.issuer, %error, "advice cannot be built");
                return None;
            }
        };
        let account = pan.expose_digits();
        let echo = self.echo.of_facts(facts, &leg, account);
        let exponents = &self
            .config
            .issuers
            .get(usize::from(leg.issuer.0))?
            .wire
            .exponents;
        let advice = IssuerAdvice {
            facts,
            account,
            amount: exponents.to_network(facts.amount)?,
            leg: &leg,
            forwarding: &issuer.institution,
            completed: owed.completed.as_ref(),
            decided: self.work.wall,
            authorisation: &owed.authorisation,
            transmission,
            fields: owed.fields,
            reason_field: issuer.reason_field,
        };
        let keys = link_keys(&self.keys, leg.issuer);
        let framed = unwritable::write(&issuer, keys, &mut self.work.scratch, |body| {
            translate::write_advice(issuer.dialect, &advice, body)
        });
        let expected = Expected {
            kind: ResponseKind::of_advice(facts.class),
            stan: leg.stan,
        };
        self.owed_outbound(id, leg.issuer, framed, now, (link, expected, echo))
    }
}
