//! Towards the issuers: what is written to a link, and what comes back over it.

use domain::ids::AuthorisationId;
use domain::record::Completed;
use domain::request::{Answer, IssuerLeg, Transmission};
use domain::time::TransmissionTime;
use transaction::matching::{Echo, ResponseKind};

use super::act::de38;
use super::*;
use crate::simulation::bytes::{write_request, write_reversal};
use crate::simulation::ledger::{authorisation, fields_of};
use crate::simulation::reconciling::with_day;
use crate::simulation::words::{Completing, Identity, LegB, Taking, kes, number_of};

impl Shard {
    pub(super) fn send(
        &mut self,
        handle: Handle,
        leg: &IssuerLeg,
        frame: FrameId,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        if self.ends_at(CrashPoint::IntentDurable, around) {
            return Ok(());
        }
        let Some(waiting) = self.frames.get(&frame.0) else {
            return Err(("L1", format!("{frame:?} is sent after its end")));
        };
        let ask = waiting.ask;
        if let Some(facts) = self.engine.facts(handle) {
            self.owed_here
                .check(facts, leg, around.plan.bounds.owed_first)?;
        }
        let held = self.legs.get(&handle.index);
        let completed = held.and_then(|held| held.completed);
        let bytes = match &around.plan.lines {
            Some(lines) => {
                let ways = (lines.acquirer, lines.of_issuer(leg.issuer.0));
                let wall = wall(around.now, around.wall_ahead);
                write_request(ways, &waiting.bytes, (leg, completed.as_ref()), wall)
            }
            None => Some(Vec::new()),
        };
        let facts = ask.of.facts(false);
        let message = LegB {
            asks: completing(&ask.of, completed.as_ref()),
            ..LegB::request(&facts, leg)
        };
        let id = OutboundId {
            owner: self.id,
            handle,
            stan: leg.stan,
            purpose: Purpose::Request,
        };
        let Some(bytes) = bytes else {
            return Err(("wire", format!("{message:?} cannot be written")));
        };
        self.tell_home(id, leg.link, (message, bytes), around);
        Ok(())
    }

    /// What is owed leaves over a link of its issuer, if one is up.
    pub(super) fn dispatch_owed(
        &mut self,
        id: OwedId,
        leg: &IssuerLeg,
        (message, bytes): (LegB, Vec<u8>),
        around: &mut Around<'_>,
    ) {
        let Some(link) = self.reversal_link(leg) else {
            self.follow.push_back(Follow::ReversalUnsent(id));
            return;
        };
        self.owed.retain(|(out, ..)| *out != id);
        self.owed.push((id, link, message.expected));
        let outbound = OutboundId {
            owner: self.id,
            handle: id.handle,
            stan: leg.stan,
            purpose: Purpose::Reversal(id),
        };
        self.tell_home(outbound, link, (message, bytes), around);
    }

    pub(super) fn tell_home(
        &mut self,
        id: OutboundId,
        link: LinkId,
        (message, bytes): (LegB, Vec<u8>),
        around: &mut Around<'_>,
    ) {
        let home = self.places[usize::from(link.0)].home;
        let send = Message::Send {
            id,
            link,
            message: Box::new(message),
            bytes,
        };
        self.tell(home, send, around);
    }

    /// At the link's home.
    pub(super) fn write_out(
        &mut self,
        id: OutboundId,
        link: LinkId,
        (message, bytes): (LegB, Vec<u8>),
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let is_once = !id.purpose.is_repeated();
        let stuck = is_once && around.random.permille(around.plan.unsent);
        let home = self.homes.get_mut(&link).expect("this is its home");
        if stuck {
            self.counts.unsent += 1;
            let later = around.random.below(2_500 * MS);
            self.later(later, Inside::Unsent { id }, around);
            return Ok(());
        }
        if !home.up || !home.note(&message, id, around.now) {
            self.counts.unsent += 1;
            self.tell(id.owner, Message::Unsent { id }, around);
            return Ok(());
        }
        if self.driver == Driver::RetriesElsewhere {
            home.sent.push((id, message, bytes.clone()));
        }
        if let Purpose::Administrative(exchange) = id.purpose {
            around.ledger.exchanges.leaves(id.owner, exchange)?;
        }
        if self.ends_at(CrashPoint::HalfSent, around) {
            return Ok(());
        }
        if matches!(id.purpose, Purpose::Request | Purpose::Inquiry) && !message.is_inquiry {
            around.ledger.leaves(&message)?;
        }
        self.ask_later((id, link), &message, around);
        let to = Event::ToIssuer {
            link,
            connection: 0,
            message,
            bytes,
        };
        around.events.push((0, to));
        self.ends_at(CrashPoint::Sent, around);
        self.check_first(&message)
    }

    /// A reversal is sent for the first time once in a life.
    fn check_first(&mut self, message: &LegB) -> Result<(), Broken> {
        let taking = message.reversal.zip(message.echo.transmitted);
        let kind = message.expected.kind as u8;
        if let Some((taking, sent)) = taking
            && taking.transmission == Transmission::First
            && !self.reversals_begun.insert((kind, message.purchase, sent))
        {
            return Err(("saf", format!("{message:?} is a first sending twice")));
        }
        Ok(())
    }

    /// Something comes back over a link of this shard.
    pub(in crate::simulation) fn said(
        &mut self,
        link: LinkId,
        said: Said,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let now = around.instant();
        let driver = self.driver;
        let issuer = self.places[usize::from(link.0)].issuer;
        let requests = [ResponseKind::Authorisation, ResponseKind::Financial];
        let is_asked = requests.contains(&said.expected.kind) && around.plan.asks(issuer);
        if is_asked && said.code.is_none() {
            // It decides nothing, so it is asked for.
            return Ok(());
        }
        let home = self.homes.get_mut(&link).expect("this is its home");
        let Some(id) = home.match_answer(driver, &said, now) else {
            self.counts.unmatched += 1;
            return Ok(());
        };
        home.sent.retain(|(sent, ..)| *sent != id);
        self.tell(id.owner, Message::Answer { id, said }, around);
        self.drain(around)
    }

    pub(super) fn answered(
        &mut self,
        id: OutboundId,
        said: &Said,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        if self.ends_at(CrashPoint::AnswerRead, around) {
            return Ok(());
        }
        let (handle, stan) = (id.handle, id.stan);
        if let Purpose::Administrative(exchange) = id.purpose {
            return self.administrative_answered((exchange, stan), said, around);
        }
        match (said.code, id.purpose) {
            (Some(_), Purpose::Reversal(_)) if self.driver == Driver::DeafToAcknowledgements => {
                Ok(())
            }
            (Some(code), Purpose::Reversal(owed)) => {
                self.give(Input::ReversalResponse { owed, code }, around)
            }
            (None, Purpose::Reversal(_)) => Ok(()),
            (_, Purpose::Reconciliation(owed)) => {
                let verdict = said.verdict;
                self.give(Input::Book(BookInput::Answered { owed, verdict }), around)
            }
            (_, Purpose::Administrative(_)) => Ok(()),
            (None, Purpose::Request | Purpose::Inquiry) => {
                self.give(Input::Unusable { handle, stan }, around)
            }
            (Some(code), Purpose::Request | Purpose::Inquiry) => {
                self.counts.told_later += u64::from(id.purpose == Purpose::Inquiry);
                let fields = with_day(said.settles, &fields_of(said.purchase));
                let approved = code.is_approval();
                if approved && around.ledger.lies.hear(said.purchase) {
                    self.counts.truths += 1;
                    if self.driver == Driver::DeafBehindDeclines {
                        return Ok(());
                    }
                }
                let answer = Answer {
                    code,
                    authorisation: if approved {
                        de38(&authorisation(said.purchase))
                    } else {
                        AuthorisationId::EMPTY
                    },
                    amount: said.amount.map(kes),
                    fields: if approved { &fields } else { &[] },
                };
                let input = Input::Response {
                    handle,
                    stan,
                    answer,
                };
                self.give(input, around)?;
                if !approved && around.plan.switches.cancels_reversals {
                    self.give(Input::LateDecline { handle, stan }, around)?;
                }
                Ok(())
            }
        }
    }

    /// The connection of one of this shard's links has come or gone.
    pub(in crate::simulation) fn link(
        &mut self,
        link: LinkId,
        up: bool,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let home = self.homes.get_mut(&link).expect("this is its home");
        home.up = up;
        let sent = std::mem::take(&mut home.sent);
        let out: Vec<OutboundId> = home.pending.outstanding().map(|(_, id)| id).collect();
        let issuer = self.places[usize::from(link.0)].issuer;
        let fails = around.plan.switches.fails_in_flight && !around.plan.asks(issuer);
        if fails && !up {
            for id in out.into_iter().filter(|id| !id.purpose.is_repeated()) {
                self.tell(id.owner, Message::LegLost { id }, around);
            }
        }
        for to in 0..self.shards {
            self.tell(to, Message::LinkState { link, up }, around);
        }
        if self.driver == Driver::RetriesElsewhere && !up {
            self.send_elsewhere(link, sent, around);
        }
        self.drain(around)
    }

    /// A null control: what the lost link had not answered goes out on another one.
    fn send_elsewhere(
        &mut self,
        lost: LinkId,
        sent: Vec<(OutboundId, LegB, Vec<u8>)>,
        around: &mut Around<'_>,
    ) {
        let mut others = self.homes.iter_mut();
        let Some((link, other)) = others.find(|(link, home)| **link != lost && home.up) else {
            return;
        };
        for (id, message, bytes) in sent {
            if id.purpose == Purpose::Request && other.note(&message, id, around.now) {
                let to = Event::ToIssuer {
                    link: *link,
                    connection: 0,
                    message,
                    bytes,
                };
                around.events.push((0, to));
            }
        }
    }

    pub(super) fn link_state(
        &mut self,
        link: LinkId,
        up: bool,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        self.places[usize::from(link.0)].up = up;
        let issuer = self.places[usize::from(link.0)].issuer;
        let places = self.places.iter();
        let open = places.filter(|place| place.up && place.issuer == issuer);
        self.router.set_links_up(issuer, open.count() as u32);
        if up {
            self.give(Input::IssuerUp { issuer }, around)?;
        }
        Ok(())
    }

    /// Tells the link's home that an answer would be late now.
    pub(super) fn give_up(&mut self, link: LinkId, expected: Expected, around: &mut Around<'_>) {
        let home = self.places[usize::from(link.0)].home;
        self.tell(home, Message::GiveUp { link, expected }, around);
    }

    pub(super) fn give_up_reversal(&mut self, owed: OwedId, around: &mut Around<'_>) {
        let position = self.owed.iter().position(|(out, ..)| *out == owed);
        if let Some(position) = position {
            let (_, link, expected) = self.owed.swap_remove(position);
            self.give_up(link, expected, around);
        }
    }

    pub(super) fn send_reversal(
        &mut self,
        id: OwedId,
        transmission: Transmission,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let handle = id.handle;
        let (Some(owed), Some(facts)) = (self.engine.reversal(handle), self.engine.facts(handle))
        else {
            return Err(("saf", format!("{handle:?} has no reversal to send")));
        };
        let message = LegB {
            expected: Expected {
                kind: ResponseKind::Reversal,
                stan: owed.leg.stan,
            },
            echo: Echo {
                transmitted: Some(TransmissionTime::at(owed.decided)),
                terminal: facts.trace.terminal,
                rrn: facts.trace.rrn,
                ..Echo::default()
            },
            purchase: number_of(facts.key),
            amount: facts.amount.minor(),
            reversal: Some(Taking {
                original: owed.leg.transmitted,
                stays: owed.replacement.map(|amount| amount.minor()),
                transmission,
            }),
            report: None,
            asks: None,
            local: None,
            reckoned: None,
            is_inquiry: false,
        };
        if !around.ledger.journal().may_reverse(message.purchase) {
            return Err(("A-05", format!("{message:?} overtakes its advice")));
        }
        self.check_order(handle, around)?;
        if self.driver == Driver::DropsOwed && around.random.permille(100) {
            self.follow.push_back(Follow::Acknowledged(id));
            return Ok(());
        }
        let bytes = match &around.plan.lines {
            Some(lines) => {
                let to = lines.of_issuer(owed.leg.issuer.0);
                write_reversal(to, &owed, facts, transmission)
            }
            None => Some(Vec::new()),
        };
        let Some(bytes) = bytes else {
            return Err(("wire", format!("{message:?} cannot be written")));
        };
        self.dispatch_owed(id, &owed.leg, (message, bytes), around);
        Ok(())
    }

    /// The original's link if it is up, else any of the issuer's.
    pub(super) fn reversal_link(&self, leg: &IssuerLeg) -> Option<LinkId> {
        if self.places[usize::from(leg.link.0)].up {
            return Some(leg.link);
        }
        let links = (0..LINKS).map(LinkId);
        let mut open = links.filter(|link| {
            let place = &self.places[usize::from(link.0)];
            place.up && place.issuer == leg.issuer
        });
        open.next()
    }
}

fn completing(of: &Identity, completed: Option<&Completed>) -> Option<Completing> {
    completed.map(|completed| Completing {
        named: (completed.stan, completed.transmitted),
        account: of.account(),
    })
}
