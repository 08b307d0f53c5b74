//! Business days end, and the acquirer reconciles.

use std::time::Duration;

use domain::network::SettlementDate;
use domain::reconciliation::{Figure, Party, Totals};

use super::*;
use crate::simulation::bytes::{reads_totals, write_reconciliation_ask};
use crate::simulation::reconciling::{PARTIES, Reconciliation, TotalsTold};

impl World {
    pub(super) fn schedule_days(&mut self, end: u64) {
        let Some(days) = self.plan.days else {
            return;
        };
        self.ledger.names_days = days.named;
        for _ in 0..days.reconciliations {
            let at = self.random.below(end);
            self.later(at, Event::Reconcile { serial: None });
        }
        for _ in 0..days.cut_overs {
            let at = self.random.below(end);
            let party = PARTIES[self.random.below(PARTIES.len() as u64) as usize];
            self.later(at, Event::CutOver { party });
        }
    }

    pub(super) fn of_days(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Reconcile { serial } => self.reconcile(serial),
            Event::ReconciliationToSwitch {
                session,
                ask,
                bytes,
            } => return self.reconciliation_at_session(session, *ask, bytes),
            Event::ReconciliationTold(told) => return self.reconciliation_told(*told),
            Event::CutOver { party } => return self.cut_over(party),
            _ => {}
        }
        Ok(())
    }

    /// It comes over one connection of the party, whatever shard that is at.
    fn cut_over(&mut self, party: Party) -> Result<(), Broken> {
        let home = match party {
            Party::Acquirer(_) => 0,
            Party::Issuer(issuer) => issuer.0 % self.plan.shards,
        };
        self.die_soon();
        self.in_shard(home, |shard, around| shard.cut_over(party, around))
    }

    fn die_soon(&mut self) {
        let Some(days) = self.plan.days else {
            return;
        };
        if self.random.happens(days.crash_soon) {
            let within = match self.random.permille(500) {
                true => 20,
                false => days.grace_ms + 4_000,
            };
            let soon = self.random.below(within * MS);
            let power = self.random.permille(self.plan.power);
            self.later(soon, Event::Crash { power });
        }
    }

    /// The acquirer begins a reconciliation, or sends a copy of one.
    fn reconcile(&mut self, serial: Option<u32>) {
        let Some(days) = self.plan.days else {
            return;
        };
        let is_first = serial.is_none();
        let serial = serial.unwrap_or_else(|| {
            let ask = self.draw_reconciliation();
            self.reconciler.begin(ask)
        });
        let Some((ask, told)) = self.reconciler.get(serial) else {
            return;
        };
        if is_first {
            self.die_soon();
            for _ in 0..self.random.below(3) {
                let later = self.random.below(60_000 * MS);
                let serial = Some(serial);
                self.later(later, Event::Reconcile { serial });
            }
        }
        if !told {
            let serial = Some(serial);
            self.later(5_000 * MS, Event::Reconcile { serial });
        }
        if self.random.permille(self.plan.session_loss) {
            return;
        }
        let bytes = match self.plan.lines {
            Some(lines) => {
                let sign = days.sign(PARTIES[0]);
                let bytes = write_reconciliation_ask(lines.acquirer, &ask, sign);
                self.spoilt(bytes)
            }
            None => Vec::new(),
        };
        let delay = self.random.below(self.plan.session_delay_ms * MS);
        let session = self.random.below(u64::from(self.plan.shards)) as u16;
        let to = Event::ReconciliationToSwitch {
            session,
            ask: Box::new(ask),
            bytes,
        };
        self.later(delay, to);
    }

    fn draw_reconciliation(&mut self) -> Reconciliation {
        let sign = self.plan.days.map(|days| days.sign(PARTIES[0]));
        let in_force = self.ledger.journal().day(PARTIES[0]);
        let today = in_force.unwrap_or(SettlementDate::at(super::super::words::WALL));
        let named = match self.random.below(8) {
            0 => Some(SettlementDate::from_days(today.days() + 30)),
            1 | 2 => Some(SettlementDate::from_days(today.days() - 1)),
            3 | 4 => None,
            _ => Some(today),
        };
        let own = self
            .ledger
            .journal()
            .totals(PARTIES[0], named.unwrap_or(today));
        let own = sign.map(|sign| own.totals.read_as(sign));
        let declared = match self.random.below(4) {
            0 => None,
            1 => own.map(|own| {
                let mut values = Figure::ALL.map(|figure| own.of(figure));
                values[self.random.below(12) as usize] += 1;
                Totals::new(values)
            }),
            _ => own,
        };
        let is_1987 = self
            .plan
            .lines
            .is_some_and(|lines| lines.is_acquirer_1987());
        let wall = wall(self.now, self.wall_ahead);
        Reconciliation {
            serial: 0,
            // Each has a second of its own.
            sent: wall.after(Duration::from_secs(self.random.below(4))),
            date: named,
            declared,
            is_checkpoint: !is_1987 && self.random.permille(300),
        }
    }

    /// A reconciliation arrives at the switch.
    fn reconciliation_at_session(
        &mut self,
        session: u16,
        ask: Reconciliation,
        bytes: Vec<u8>,
    ) -> Result<(), Broken> {
        if !self.shards.iter().all(Shard::is_open) {
            return Ok(());
        }
        self.in_shard(session, |shard, around| {
            shard.arrive_reconciliation(ask, bytes, around)
        })
    }

    /// The acquirer reads what it is told.
    fn reconciliation_told(&mut self, mut told: TotalsTold) -> Result<(), Broken> {
        if let Some(lines) = self.plan.lines {
            let (_, bytes) = std::mem::take(&mut told.bytes);
            let bytes = self.spoilt(bytes);
            if !reads_totals(lines.acquirer, &bytes, &told)? {
                self.counts.garbled += 1;
                return Ok(());
            }
        }
        self.reconciler.told(told.ask.serial);
        Ok(())
    }

    /// B-05: what an issuer has taken is what it was owed.
    pub(super) fn check_issuers_totals(&self) -> Result<(), Broken> {
        let Some(days) = self.plan.days else {
            return Ok(());
        };
        for (id, issuer) in (0..).map(domain::ids::IssuerId).zip(&self.issuers) {
            for (date, ours, is_taken) in self.ledger.journal().owed_to(id) {
                let told = issuer.reckoned(date);
                let is_it = told == Some(ours.read_as(days.sign(Party::Issuer(id))));
                if !is_it && (is_taken || told.is_some()) {
                    let what = format!("{id:?} was owed {ours:?} for {date} and has {told:?}");
                    return Err(("B-05", what));
                }
            }
        }
        Ok(())
    }
}
