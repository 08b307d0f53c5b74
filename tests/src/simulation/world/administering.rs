//! The acquirer asks and reports what is no money, and sends again what goes unanswered.

use domain::ResponseCode;

use super::*;
use crate::simulation::administering::Administrative;

impl World {
    pub(super) fn schedule_administering(&mut self, end: u64) {
        let Some(bounds) = self.plan.administering else {
            return;
        };
        for _ in 0..bounds.messages {
            let at = self.random.below(end);
            self.later(at, Event::Administer { serial: None });
        }
    }

    pub(super) fn of_administering(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Administer { serial } => self.administer(serial),
            Event::AdministrativeToSwitch { session, ask } => {
                return self.administrative_at_session(session, ask);
            }
            Event::AdministrativeTold { ask, code } => self.administrator.told(&ask, code),
            _ => {}
        }
        Ok(())
    }

    /// One arrives. No listener is open before what recovery closed is durable.
    fn administrative_at_session(
        &mut self,
        session: u16,
        ask: Administrative,
    ) -> Result<(), Broken> {
        if !self.shards.iter().all(Shard::is_open) {
            return Ok(());
        }
        self.in_shard(session, |shard, around| {
            shard.arrive_administrative(ask, around)
        })
    }

    /// The acquirer begins a message, or sends a copy of one.
    fn administer(&mut self, serial: Option<u32>) {
        let Some(bounds) = self.plan.administering else {
            return;
        };
        let is_first = serial.is_none();
        let serial = serial.unwrap_or_else(|| {
            let ask = Administrative::draw(&mut self.random);
            self.administrator.begin(ask)
        });
        let Some((mut ask, told)) = self.administrator.get(serial) else {
            return;
        };
        let again = Event::Administer {
            serial: Some(serial),
        };
        if is_first {
            while self.random.permille(bounds.copies) {
                let later = match self.random.permille(700) {
                    true => self.random.below(100 * MS),
                    false => self.random.below(8_000 * MS),
                };
                self.later(later, again.clone());
            }
        } else {
            ask.other_content =
                self.random.permille(bounds.copies) && self.random.permille(bounds.other_content);
        }
        if !told {
            self.later(ANSWER_MS * MS, again);
        }
        self.send_administrative(ask);
    }

    fn send_administrative(&mut self, ask: Administrative) {
        if self.random.permille(self.plan.session_loss) {
            return;
        }
        let delay = self.random.below(self.plan.session_delay_ms * MS);
        let session = self.random.below(u64::from(self.plan.shards)) as u16;
        self.later(delay, Event::AdministrativeToSwitch { session, ask });
    }

    /// What an acquirer is told may be lost on the way.
    pub(super) fn carry_administrative(&mut self, ask: Administrative, code: ResponseCode) {
        if !self.random.permille(self.plan.session_loss) {
            let delay = self.random.below(self.plan.session_delay_ms * MS);
            self.later(delay, Event::AdministrativeTold { ask, code });
        }
    }
}

/// Longer than the route's deadline.
const ANSWER_MS: u64 = 5_000;
