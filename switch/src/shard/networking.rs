//! Links as the shard has them: connections that come and go, what their messages mean, business
//! days, and the sign-off at the end of a drain.

use std::rc::Rc;

use domain::ids::{IssuerId, LinkId, ShardId};
use domain::network::SettlementDate;
use domain::reconciliation::Party;
use domain::time::{Instant, TransmissionTime};
use iso8583::MessageRef;
use iso8583::error::MacError;
use iso8583::mti::{Class, Function};
use transaction::Input;
use transaction::matching::Cause;
use transaction::network::Hold;

use super::Shard;
use crate::conn::Conn;
use crate::control::audit::{Fate, Incident, Object, What, Who, Why};
use crate::frame::Frame;
use crate::issuer::{CutOverStep, Link, LinkEvent, Received};
use crate::limits::LINKS_MAX;
use crate::mesh::Message;
use crate::metrics::{Counter, Side, UnmatchedReason};
use crate::tls::Begins;

impl Shard {
    pub(super) fn link_connected(&mut self, link: LinkId, conn: Rc<Conn>, now: Instant) {
        let wall = self.work.wall;
        self.note_written(Some(Rc::clone(&conn)));
        if let Some(home) = self.links.home_mut(link) {
            home.connected(conn, now, wall);
            self.after_link(link, now);
        }
    }

    pub(super) fn link_lost(&mut self, link: LinkId, reason: &'static str, now: Instant) {
        tracing::warn!(%link, reason, "link lost");
        let wall = self.work.wall;
        if let Some(home) = self.links.home_mut(link) {
            let issuer = home.issuer();
            home.lost(now, wall);
            let sent = home.outstanding();
            self.metrics.count(Counter::LinkReconnects(issuer));
            self.after_link(link, now);
            let of_issuer = self.config.issuers.get(usize::from(issuer.0));
            if of_issuer.is_some_and(|issuer| issuer.fail_in_flight_on_link_loss) {
                self.fail_in_flight(&sent, now);
            }
        }
    }

    /// A message of an issuer, at the home of its link.
    pub(super) fn link_frame(
        &mut self,
        link: LinkId,
        frame: Box<Frame>,
        received: Received,
        now: Instant,
    ) {
        let wall = self.work.wall;
        let Some(home) = self.links.home_mut(link) else {
            return self.pool.give(frame);
        };
        let issuer = home.issuer();
        let padding = Counter::IssuerPadding(issuer);
        self.metrics.count_wrong_padding(padding, frame.message());
        let event = home.received(&frame, received, now, wall);
        let is_authentic = !matches!(event, LinkEvent::Unauthentic(_));
        if is_authentic && matches!(received, Received::Message) {
            self.observe_clock(issuer, frame.message());
        }
        self.act_on_link((link, link), event, frame, now);
        self.after_link(link, now);
    }

    /// Of what an issuer sends, its own network messages have DE7 of its clock; answers have ours.
    fn observe_clock(&self, issuer: IssuerId, message: MessageRef<'_>) {
        let mti = message.mti();
        let is_own = mti.function() == Function::Request || mti.function() == Function::Advice;
        if mti.class() != Class::Network || !is_own {
            return;
        }
        let digits: Option<[u8; 10]> = message.array(7);
        let sent = digits.map(|digits| TransmissionTime::from_digits(&digits));
        if let Some(Ok(sent)) = sent {
            let wall = self.work.wall;
            self.metrics.observe_issuer_skew(issuer, sent, wall);
        }
    }

    /// An answer that came on another link, with a STAN of one that is at home here.
    pub(super) fn take_misplaced(
        &mut self,
        came_on: LinkId,
        link: LinkId,
        frame: Box<Frame>,
        now: Instant,
    ) {
        let Some(home) = self.links.home_mut(link) else {
            return self.pool.give(frame);
        };
        let event = home.adopt(frame.message(), now);
        self.act_on_link((came_on, link), event, frame, now);
    }

    /// `came_on` is where the message was read, `link` whose STAN it has; most often the same.
    fn act_on_link(
        &mut self,
        (came_on, link): (LinkId, LinkId),
        event: LinkEvent,
        frame: Box<Frame>,
        now: Instant,
    ) {
        let Some(issuer) = self.links.place(link).map(|place| place.issuer) else {
            return self.pool.give(frame);
        };
        match event {
            LinkEvent::Answer { outbound, late } => {
                if let Some(age) = late {
                    self.note_unmatched(link, Cause::Late(age), &frame, now);
                }
                return self.hand_answer(outbound, frame, late.is_some(), now);
            }
            LinkEvent::Second { outbound, age } => {
                self.note_unmatched(link, Cause::AlreadyAnswered(age), &frame, now);
                return self.hand_answer(outbound, frame, true, now);
            }
            LinkEvent::Rejected { outbound, call } => {
                self.metrics.count(Counter::IssuerRejects(issuer));
                if let Some(outbound) = outbound {
                    self.hand_reject(outbound, call, now);
                }
            }
            LinkEvent::Unsent(outbound) => self.hand_unsent(outbound, now),
            LinkEvent::Unusable(outbound) => self.hand_unusable(outbound, now),
            LinkEvent::Pending(outbound, call, took) => {
                self.hand_pending(outbound, (call, took), now);
            }
            LinkEvent::Unmatched(Cause::Unknown) if came_on == link => {
                return self.look_elsewhere(link, issuer, frame, now);
            }
            LinkEvent::Unmatched(cause) => self.note_unmatched(link, cause, &frame, now),
            LinkEvent::Unauthentic(error) => self.note_unauthentic(link, error, &frame, now),
            LinkEvent::NewKey { key, is_asked } => {
                return self.link_key(link, is_asked.then_some(frame), key, now);
            }
            LinkEvent::CutOver { step, date } => self.tell_cut_over(issuer, step, date, now),
            LinkEvent::Reconciliation => {
                return self.hand_issuer_reconciliation(link, frame, now);
            }
            LinkEvent::Unserved => return self.refuse_on_link(link, frame, now),
            LinkEvent::Echoed { probed_by } => self.hand_echo(link, probed_by, now),
            LinkEvent::Handled => {}
            LinkEvent::KeyRefused => self.note_key_refused(link),
        }
        self.pool.give(frame);
    }

    /// Nothing on the link waits for it. Its STAN says which link of the issuer it is of.
    fn look_elsewhere(&mut self, link: LinkId, issuer: IssuerId, frame: Box<Frame>, now: Instant) {
        let of_stan = Link::stan_of(frame.message()).and_then(|stan| {
            let issuer = self.config.issuers.get(usize::from(issuer.0))?;
            issuer.link_of(stan)
        });
        let Some(other) = of_stan.filter(|other| *other != link) else {
            self.note_unmatched(link, Cause::Unknown, &frame, now);
            return self.pool.give(frame);
        };
        let home = self.links.place(other).map(|place| place.home_shard);
        if home == Some(self.id) {
            self.take_misplaced(link, other, frame, now);
        } else if let Some(home) = home {
            let message = Message::Misplaced {
                came_on: link,
                link: other,
                frame,
            };
            self.mesh.send(home, message);
        }
    }

    /// Nothing has shown who sent a key that is none.
    fn note_key_refused(&self, link: LinkId) {
        if let Some(place) = self.links.place(link) {
            self.shared.node().audit().note(Incident {
                what: What::KeyChange,
                who: Who::Unknown,
                from: None,
                object: Object::Issuer(place.issuer),
                fate: Fate::Refused,
                why: Why::KeyUnusable,
            });
        }
    }

    fn note_unauthentic(&mut self, link: LinkId, error: MacError, frame: &Frame, now: Instant) {
        self.metrics.count_mac_failure(Side::Issuer, error);
        if let Some(place) = self.links.place(link) {
            let incident = Incident::mac(Object::Issuer(place.issuer), None, error);
            self.shared.node().audit().note(incident);
        }
        self.note_unmatched(link, Cause::Mac, frame, now);
    }

    /// Counts an answer that was not matched, and tells it when its turn has come.
    fn note_unmatched(&mut self, link: LinkId, cause: Cause, frame: &Frame, now: Instant) {
        let wall = self.work.wall;
        let Some(home) = self.links.home_mut(link) else {
            return;
        };
        let issuer = home.issuer();
        let note = home.note_unmatched(cause, frame.message(), now, wall);
        self.metrics.count(Counter::Unmatched(issuer, label(cause)));
        if let Some(note) = note {
            self.shared.tell_unmatched(link, issuer, note);
        }
    }

    /// Whatever a link has done, it may have written and may be open or shut since.
    pub(super) fn after_link(&mut self, link: LinkId, now: Instant) {
        let Some(home) = self.links.home_mut(link) else {
            return;
        };
        let conn = home.conn().cloned();
        let change = home.take_change();
        self.note_written(conn);
        if let Some(up) = change {
            self.announce_link(link, up, now);
        }
    }

    /// Links whose certificates' time is over connect anew.
    pub(super) fn renew_links(&mut self, now: Instant) {
        let wall = self.work.wall;
        for id in (0..LINKS_MAX).map(LinkId) {
            let Some(place) = self.links.place_mut(id) else {
                return;
            };
            let Some(link) = place.home.as_deref_mut() else {
                continue;
            };
            let Begins::Secured(newest) = self.tls.issuer(link.issuer()) else {
                continue;
            };
            if link.renew(&newest, now, wall) {
                self.after_link(id, now);
            }
        }
    }

    /// Remembers how long a link was open, so that its next wait is short after a long time.
    pub(super) fn note_open_time(&mut self, now: Instant) {
        for place in &mut self.links.all {
            if let Some(time) = place.home.as_ref().and_then(|home| home.open_for(now)) {
                place.open_for.set(Some(time));
            }
        }
    }

    /// Tells every shard that a link takes new work, or no longer does.
    fn announce_link(&mut self, link: LinkId, up: bool, now: Instant) {
        // At the end of a drain nobody asks for links any more, and a peer that has ended takes no
        // message: those that wait for rest would wait for it.
        if self.work.leaving_until.is_none() {
            for shard in self.peers() {
                self.mesh.send(shard, Message::LinkState { link, up });
            }
        }
        if let Some(place) = self.links.place(link) {
            self.shared.tell_link(link, place.issuer, up);
        }
        self.set_link_state(link, up, now);
    }

    /// All shards but this one.
    pub(super) fn peers(&self) -> impl Iterator<Item = ShardId> + use<> {
        let own = self.id;
        (0..self.shards)
            .map(ShardId)
            .filter(move |shard| *shard != own)
    }

    pub(super) fn set_link_state(&mut self, link: LinkId, up: bool, now: Instant) {
        let Some(place) = self.links.place_mut(link) else {
            return;
        };
        place.up = up;
        let issuer = place.issuer;
        if let Some(pool) = self.links.pool_mut(issuer) {
            pool.set_up(link, up, now);
        }
        self.set_links_up(issuer, now);
        let is_reached = self.links.is_reached(issuer);
        if up {
            self.turn(Input::IssuerUp { issuer }, now);
        } else if !is_reached {
            self.turn(Input::IssuerDown { issuer }, now);
        }
    }

    /// An issuer that is silent for its cut-over has no link for new work. Reversals go on.
    fn set_links_up(&mut self, issuer: IssuerId, now: Instant) {
        let same_issuer = self.links.all.iter().filter(|place| place.issuer == issuer);
        let up = same_issuer.filter(|place| place.up).count();
        let up = u32::try_from(up).unwrap_or(u32::MAX);
        let is_held = self.is_held(issuer, now);
        self.router
            .set_links_up(issuer, if is_held { 0 } else { up });
        self.shared.set_links_up(issuer, up);
    }

    /// Whether an issuer takes nothing until its cut-over has ended.
    pub(super) fn is_held(&self, issuer: IssuerId, now: Instant) -> bool {
        let settlement = self.work.settlements.get(usize::from(issuer.0));
        settlement.is_some_and(|settlement| settlement.is_held(now))
    }

    /// An issuer has told its cut-over: it concerns all of its links on all shards.
    fn tell_cut_over(
        &mut self,
        issuer: IssuerId,
        step: CutOverStep,
        date: Option<SettlementDate>,
        now: Instant,
    ) {
        // Each sign-on ends a hold, and most find none.
        if step == CutOverStep::End && !self.is_held(issuer, now) {
            return;
        }
        for shard in self.peers() {
            self.mesh
                .send(shard, Message::CutOver { issuer, step, date });
        }
        self.set_cut_over(issuer, step, date, now);
        if let Some(settlement) = self.work.settlements.get(usize::from(issuer.0)) {
            let (date, is_held) = (settlement.date(self.work.wall), settlement.is_held(now));
            self.shared.tell_cut_over(issuer, date, is_held);
        }
    }

    pub(super) fn set_cut_over(
        &mut self,
        issuer: IssuerId,
        step: CutOverStep,
        date: Option<SettlementDate>,
        now: Instant,
    ) {
        let position = usize::from(issuer.0);
        let wants_silence = self
            .config
            .issuers
            .get(position)
            .is_some_and(|issuer| issuer.hold_on_cutover);
        let hold = if wants_silence {
            Hold::UntilEnd
        } else {
            Hold::No
        };
        let wall = self.work.wall;
        if let Some(settlement) = self.work.settlements.get_mut(position) {
            match step {
                CutOverStep::Start => settlement.begin(date, hold, wall, now),
                CutOverStep::End => settlement.end(),
            }
        }
        let date = self
            .work
            .settlements
            .get(position)
            .map(|one| one.date(wall));
        if let (CutOverStep::Start, Some(date)) = (step, date) {
            self.set_day(Party::Issuer(issuer), date, now);
        }
        self.set_links_up(issuer, now);
    }

    /// Ends holds that have lasted too long, key changes that nobody answers, and overlaps.
    pub(super) fn network_timeouts(&mut self, now: Instant) {
        let settlements = (0..).map(IssuerId).zip(&mut self.work.settlements);
        let over: Vec<IssuerId> = settlements
            .filter_map(|(issuer, settlement)| settlement.handle_timeout(now).then_some(issuer))
            .collect();
        for issuer in over {
            tracing::error!(%issuer, "a cut-over has no end, the issuer is asked again");
            self.set_links_up(issuer, now);
        }
        self.keys.expire(now);
        self.give_up_key_rounds(now);
    }

    /// Signs off on every link, once; whether nothing more is to be said.
    pub(super) fn sign_off_links(&mut self, now: Instant) -> bool {
        let wall = self.work.wall;
        let until = *self
            .work
            .leaving_until
            .get_or_insert_with(|| now.after(SIGN_OFF_MAX));
        let mut is_said = true;
        for link in (0..self.links.all.len()).filter_map(|link| u16::try_from(link).ok()) {
            let Some(home) = self.links.home_mut(LinkId(link)) else {
                continue;
            };
            home.drain(now, wall);
            is_said &= home.is_at_rest();
            self.after_link(LinkId(link), now);
        }
        is_said || until <= now
    }

    /// Signs off the sessions that have signed on.
    pub(super) fn sign_off_sessions(&mut self, now: Instant) {
        let wall = self.work.wall;
        for session in self.sessions.all() {
            session.drain(now, wall);
            if session.conn.list() {
                self.work.dirty_sessions.push(session);
            }
        }
    }
}

/// The metric's word, which is coarser than that of the log (semantics §5).
const fn label(cause: Cause) -> UnmatchedReason {
    match cause {
        Cause::Late(_) => UnmatchedReason::Late,
        Cause::AlreadyAnswered(_) => UnmatchedReason::Duplicate,
        Cause::Differs(_)
        | Cause::WrongMti
        | Cause::WrongLink
        | Cause::Mac
        | Cause::Format { .. } => UnmatchedReason::Mismatch,
        Cause::Unknown => UnmatchedReason::Unknown,
    }
}

/// How long a sign-off at the end of a drain waits for its answer: the process has nothing else
/// left to do.
const SIGN_OFF_MAX: std::time::Duration = std::time::Duration::from_secs(1);
