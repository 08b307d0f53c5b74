//! Feeds what the journal holds to what a shard keeps in memory: engine, risk, stand-in.

use domain::record::{AdviceOrigin, Advised, Intent, Record};
use domain::time::{Instant, WallTime};
use risk_inline::{Past, RiskEngine};
use transaction::Engine;
use transaction::error::RecoverError;

use super::setup::{earlier, relinked};
use super::standing_in::StandInState;
use crate::boot::ServeError;
use crate::config::Config;

/// One reading of a journal.
pub(super) struct Replay<'a> {
    config: &'a Config,
    engine: Engine,
    risk: RiskEngine,
    stand_in: StandInState,
    /// Requests that risk is still to count.
    past: Vec<Past>,
    /// The same moment on both clocks.
    now: Instant,
    wall: WallTime,
    /// The first record that the engine did not take; those behind it are passed over.
    refused: Option<RecoverError>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        config: &'a Config,
        engine: Engine,
        risk: RiskEngine,
        stand_in: StandInState,
        (now, wall): (Instant, WallTime),
    ) -> Self {
        Self {
            config,
            engine,
            risk,
            stand_in,
            past: Vec::with_capacity(PAST_MAX),
            now,
            wall,
            refused: None,
        }
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, record: &Record<'_>) {
        if self.refused.is_some() {
            return;
        }
        let taken = match record {
            Record::Intent(intent) => self.take_intent(intent, record),
            Record::Advised(advised) => self.take_advised(advised),
            Record::Refused(_)
            | Record::Outcome(_)
            | Record::SafOwed(_)
            | Record::SafDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::AdviceDone(_)
            | Record::Operated(_)
            | Record::Day(_)
            | Record::Totals(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => self.engine.recover(record, self.now),
        };
        self.refused = taken.err();
    }

    /// What the journal has left behind.
    ///
    /// # Errors
    /// [`ServeError::Recover`]: the engine did not take a record.
    pub(super) fn end(mut self) -> Result<(Engine, RiskEngine, StandInState), ServeError> {
        if let Some(error) = self.refused {
            return Err(ServeError::Recover(error.to_string()));
        }
        self.risk.observe_all(&self.past);
        Ok((self.engine, self.risk, self.stand_in))
    }

    fn take_intent(&mut self, intent: &Intent, record: &Record<'_>) -> Result<(), RecoverError> {
        if !intent.leg.is_of_original() {
            // Of a completion request risk was not asked.
            let at = earlier(self.now, self.wall, intent.admitted);
            self.past.extend(self.risk.past(&intent.facts, at));
        }
        if self.past.len() >= PAST_MAX {
            self.risk.observe_all(&self.past);
            self.past.clear();
        }
        let leg = relinked(self.config, &intent.leg);
        if leg == intent.leg {
            return self.engine.recover(record, self.now);
        }
        let relinked = Record::Intent(Intent { leg, ..*intent });
        self.engine.recover(&relinked, self.now)
    }

    fn take_advised(&mut self, advised: &Advised<'_>) -> Result<(), RecoverError> {
        if let Some(leg) = &advised.leg
            && advised.origin == AdviceOrigin::StandIn
        {
            let at = earlier(self.now, self.wall, advised.admitted);
            self.past.extend(self.risk.past(&advised.facts, at));
            self.stand_in.observe(self.config, &advised.facts, leg, at);
        }
        let leg = advised.leg.map(|leg| relinked(self.config, &leg));
        let relinked = Record::Advised(Advised { leg, ..*advised });
        self.engine.recover(&relinked, self.now)
    }
}

/// As many as risk counts together.
const PAST_MAX: usize = 256;
