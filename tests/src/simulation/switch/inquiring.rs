//! Issuers that decide later are asked: about what is in flight, and what a start has found so.

use domain::request::IssuerLeg;

use super::*;
use crate::simulation::words::LegB;

impl Shard {
    /// A start has found it in flight: no permit is out for it.
    pub(super) fn note_found(
        &mut self,
        handle: Handle,
        leg: &IssuerLeg,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let Some(facts) = self.engine.facts(handle) else {
            return Err(("T-16", format!("{handle:?} is asked for without facts")));
        };
        let open = Leg {
            permit: None,
            stan: leg.stan,
            expected: Expected {
                kind: facts.class.into(),
                stan: leg.stan,
            },
            completed: None,
            link: leg.link,
        };
        self.legs.insert(handle.index, open);
        self.counts.resumed += 1;
        self.inquire_later((handle, leg.stan), around);
        Ok(())
    }

    pub(super) fn inquire_later(&self, found: (Handle, Stan), around: &mut Around<'_>) {
        let delay = around.random.below(300 * MS);
        let (handle, stan) = found;
        self.later(delay, Inside::Inquire { handle, stan }, around);
    }

    /// The first question goes to a link; later, while none is up.
    pub(super) fn inquire(
        &mut self,
        (handle, stan): (Handle, Stan),
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let leg = self.engine.leg(handle).copied();
        let held = self.legs.get(&handle.index);
        let is_open = held.is_some_and(|held| held.stan == stan);
        let Some(leg) = leg.filter(|leg| is_open && leg.stan == stan) else {
            return Ok(());
        };
        let (Some(link), Some(facts)) = (self.reversal_link(&leg), self.engine.facts(handle))
        else {
            self.inquire_later((handle, stan), around);
            return Ok(());
        };
        let message = LegB {
            is_inquiry: self.driver != Driver::SubmitsAgain,
            ..LegB::request(facts, &leg)
        };
        if let Some(held) = self.legs.get_mut(&handle.index) {
            held.link = link;
        }
        let id = OutboundId {
            owner: self.id,
            handle,
            stan,
            purpose: Purpose::Inquiry,
        };
        self.tell_home(id, link, (message, Vec::new()), around);
        self.drain(around)
    }

    /// At the link's home: the next question about what has just left, if it is to be asked for.
    pub(super) fn ask_later(
        &self,
        (id, link): (OutboundId, LinkId),
        message: &LegB,
        around: &mut Around<'_>,
    ) {
        let issuer = self.places[usize::from(link.0)].issuer;
        let is_asked = around.plan.asks(issuer) && message.asks.is_none();
        if !is_asked || !matches!(id.purpose, Purpose::Request | Purpose::Inquiry) {
            return;
        }
        let question = Inside::Question {
            id,
            link,
            message: Box::new(LegB {
                is_inquiry: true,
                ..*message
            }),
        };
        let delay = around.random.between(50, 1_500) * MS;
        self.later(delay, question, around);
    }

    /// At the link's home: asks, as long as nothing was told.
    pub(super) fn question(
        &mut self,
        (id, link): (OutboundId, LinkId),
        message: &LegB,
        around: &mut Around<'_>,
    ) {
        let home = self.homes.get(&link).expect("this is its home");
        if !home.pending.outstanding().any(|(_, out)| out == id) {
            return;
        }
        if home.up {
            self.counts.questions += 1;
            let to = Event::ToIssuer {
                link,
                connection: 0,
                message: *message,
                bytes: Vec::new(),
            };
            around.events.push((0, to));
        }
        self.ask_later((id, link), message, around);
    }
}
