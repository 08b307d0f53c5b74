//! What travels: through a network that loses, delays and doubles.

use domain::ResponseCode;
use domain::ids::IssuerId;
use transaction::matching::ResponseKind;

use super::*;
use crate::simulation::issuer::Replies;
use crate::simulation::words::{LegB, Said};

impl World {
    /// What leaves the switch.
    pub(super) fn carry(&mut self, events: Vec<(u64, Event)>) {
        for (delay, event) in events {
            match event {
                Event::ToAcquirer(told) => {
                    if !self.random.permille(self.plan.session_loss) {
                        let delay = self.random.below(self.plan.session_delay_ms * MS);
                        self.later(delay, Event::ToAcquirer(told));
                    }
                }
                Event::ReconciliationTold(told) => {
                    if !self.random.permille(self.plan.session_loss) {
                        let delay = self.random.below(self.plan.session_delay_ms * MS);
                        self.later(delay, Event::ReconciliationTold(told));
                    }
                }
                Event::AdministrativeTold { ask, code } => self.carry_administrative(ask, code),
                Event::ToIssuer {
                    link,
                    message,
                    bytes,
                    ..
                } => self.carry_out(link, message, &bytes),
                inside => self.later(delay, inside),
            }
        }
    }

    fn carry_out(&mut self, link: LinkId, message: LegB, bytes: &[u8]) {
        if self.random.permille(self.plan.request_loss) {
            return;
        }
        let connection = self.wires[usize::from(link.0)].connection();
        let times = 1 + u64::from(self.random.permille(self.plan.request_twice));
        for _ in 0..times {
            if self.plan.lines.is_some() {
                self.stream_out(link, connection, bytes);
                continue;
            }
            let soonest = self.now + self.random.below(30 * MS);
            let arrived = &mut self.arrived[usize::from(link.0 % ISSUERS)];
            *arrived = soonest.max(*arrived + 1);
            let delay = *arrived - self.now;
            let to = Event::ToIssuer {
                link,
                connection,
                message,
                bytes: Vec::new(),
            };
            self.later(delay, to);
        }
    }

    /// A message arrives at an issuer, if its connection still carries that far.
    pub(super) fn at_issuer(
        &mut self,
        link: LinkId,
        connection: u32,
        message: &LegB,
    ) -> Result<(), Broken> {
        if !self.wires[usize::from(link.0)].carries_out(connection) {
            return Ok(());
        }
        let id = IssuerId(link.0 % ISSUERS);
        let asking = self.plan.switches.asking.filter(|asking| asking.has(id));
        let issuer = &mut self.issuers[usize::from(id.0)];
        let around = (self.now, asking.as_ref(), &self.plan);
        let replies = issuer.receive(message, around, &mut self.random);
        if let Some(complaint) = issuer.complaint.take() {
            return Err(("reversal", complaint));
        }
        if let Some(objection) = issuer.objection.take() {
            return Err(("B-05", objection));
        }
        let ahead = issuer.ahead.take();
        if let Some(purchase) = issuer.began.take()
            && !self.ledger.carried_out.insert(purchase)
        {
            let what = format!("purchase {purchase} is carried out a second time: {message:?}");
            return Err(("S2", what));
        }
        let excused = |purchase: &u32| self.ledger.journal().may_be_unheard_of(*purchase);
        if let Some(purchase) = ahead.filter(|purchase| !excused(purchase)) {
            let what = format!("{message:?} completes {purchase}, which its issuer was never told");
            return Err(("A-05", what));
        }
        if let Some(replies) = replies {
            self.carry_back((link, connection), &replies);
        }
        Ok(())
    }

    /// An answer arrives, if its connection still carries that far.
    pub(super) fn at_switch(
        &mut self,
        link: LinkId,
        connection: u32,
        message: Said,
    ) -> Result<(), Broken> {
        if !self.wires[usize::from(link.0)].brings_back(connection) {
            return Ok(());
        }
        let home = link.0 % self.plan.shards;
        self.in_shard(home, |shard, around| shard.said(link, message, around))
    }

    fn carry_back(&mut self, over: (LinkId, u32), replies: &Replies) {
        let message = replies.first;
        if let Some(stray) = replies.stray {
            let delay = self.random.below(60 * MS);
            self.answer_over(over, delay, stray);
        }
        if let Some(second) = replies.conflicting {
            let delay = self.response_delay();
            self.answer_over(over, delay, message);
            let delay = delay + 1 + self.random.below(100 * MS);
            self.answer_over(over, delay, second);
            return;
        }
        if self.random.permille(self.plan.response_loss) {
            return;
        }
        let times = 1 + u64::from(self.random.permille(self.plan.response_twice));
        for _ in 0..times {
            let delay = self.response_delay();
            let delay = self.at_deadline().unwrap_or(delay);
            if self.plan.switches.lies && delay > LATE && self.lie(over, delay, message) {
                return;
            }
            let mut over = over;
            if self.random.permille(self.plan.wrong_link) {
                let other = LinkId((over.0.0 + ISSUERS) % LINKS);
                over = (other, self.wires[usize::from(other.0)].connection());
            }
            self.answer_over(over, delay, message);
        }
    }

    /// A decline of what was approved, and behind it the truth. `false` where that is no approval
    /// of a request.
    fn lie(&mut self, over: (LinkId, u32), delay: u64, truth: Said) -> bool {
        let requests = [ResponseKind::Authorisation, ResponseKind::Financial];
        let approves = truth.code.is_some_and(ResponseCode::is_approval);
        if !approves || !requests.contains(&truth.expected.kind) {
            return false;
        }
        self.ledger.lies.tell(truth.purchase);
        let code = Some(ResponseCode::DO_NOT_HONOUR);
        self.answer_over(over, delay, Said { code, ..truth });
        let delay = delay + 1 + self.random.below(100 * MS);
        self.answer_over(over, delay, truth);
        true
    }

    fn answer_over(&mut self, (link, connection): (LinkId, u32), delay: u64, message: Said) {
        let from = Event::FromIssuer {
            link,
            connection,
            message,
        };
        self.later(delay, from);
    }

    /// Until the very tick of the next deadline.
    fn at_deadline(&mut self) -> Option<u64> {
        let (at, _) = self.next_timer()?;
        let chosen = at > self.now && self.random.permille(self.plan.at_deadline);
        chosen.then(|| at - self.now)
    }

    fn response_delay(&mut self) -> u64 {
        if self.random.permille(self.plan.response_late) {
            // Around the deadline and well behind it.
            self.random.between(1_900 * MS, 6_000 * MS)
        } else {
            self.random.below(60 * MS)
        }
    }

    pub(super) fn move_acquirer(&mut self, moves: Moves) {
        for ask in moves.asks {
            if !self.random.permille(self.plan.session_loss) {
                let delay = self.random.below(self.plan.session_delay_ms * MS);
                let session = self.random.below(u64::from(self.plan.shards)) as u16;
                let bytes = self.written(&ask);
                let to = Event::ToSwitch {
                    session,
                    ask,
                    bytes,
                };
                self.later(delay, to);
            }
        }
        for (delay, purchase, alarm) in moves.alarms {
            self.later(delay, Event::Acquirer { purchase, alarm });
        }
    }
}

/// Behind every deadline.
const LATE: u64 = 3_000 * MS;
