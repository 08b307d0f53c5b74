//! Feeds what the journal holds to what shards keep in memory: the engine here, and at the homes of
//! its accounts risk and stand-in.

use std::time::Duration;

use domain::record::{AdviceOrigin, Advised, Carriage, Intent, Record};
use domain::time::{Instant, WallTime};
use transaction::Engine;
use transaction::error::RecoverError;

use super::exchange::Exchange;
use super::setup::relinked;
use crate::boot::ServeError;
use crate::config::Config;

/// One reading of a journal.
pub(super) struct Replay<'a> {
    config: &'a Config,
    engine: Engine,
    exchange: Exchange,
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
        exchange: Exchange,
        (now, wall): (Instant, WallTime),
    ) -> Self {
        Self {
            config,
            engine,
            exchange,
            now,
            wall,
            refused: None,
        }
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, record: &Record<'_>, carriage: Carriage) {
        if self.refused.is_some() {
            return;
        }
        let taken = match record {
            Record::Intent(intent) => self.take_intent(intent, carriage),
            Record::Advised(advised) => self.take_advised(advised, carriage),
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
            | Record::ReconciliationDone(_) => self.engine.recover_as(record, carriage, self.now),
        };
        self.refused = taken.err();
    }

    /// What the journal has left behind.
    ///
    /// # Errors
    /// [`ServeError::Recover`]: the engine did not take a record.
    pub(super) fn end(self) -> Result<(Engine, Exchange), ServeError> {
        match self.refused {
            Some(error) => Err(ServeError::Recover(error.to_string())),
            None => Ok((self.engine, self.exchange)),
        }
    }

    //= docs/rules.md#R-14
    fn take_intent(&mut self, intent: &Intent, carriage: Carriage) -> Result<(), RecoverError> {
        // Of a completion request risk was not asked, and of no other one twice: a further intent
        // is that of the next candidate.
        if !intent.leg.is_of_original() && !self.engine.has_replayed(intent.transaction) {
            let age = self.age(intent.admitted);
            self.exchange.note_accepted(&intent.facts, age, self.now);
        }
        let leg = relinked(self.config, &intent.leg);
        let relinked = Record::Intent(Intent { leg, ..*intent });
        self.engine.recover_as(&relinked, carriage, self.now)
    }

    //= docs/rules.md#R-14
    fn take_advised(
        &mut self,
        advised: &Advised<'_>,
        carriage: Carriage,
    ) -> Result<(), RecoverError> {
        if let Some(leg) = &advised.leg
            && advised.origin == AdviceOrigin::StandIn
        {
            let (facts, age) = (&advised.facts, self.age(advised.admitted));
            if !self.engine.has_replayed(advised.transaction) {
                self.exchange.note_accepted(facts, age, self.now);
            }
            self.exchange
                .note_stood_in(self.config, (facts, leg), age, self.now);
        }
        let leg = advised.leg.map(|leg| relinked(self.config, &leg));
        let relinked = Record::Advised(Advised { leg, ..*advised });
        self.engine.recover_as(&relinked, carriage, self.now)
    }

    /// How long ago that was. What lies ahead, because the wall clock was set back, is of now.
    const fn age(&self, at: WallTime) -> Duration {
        let now_millis = self.wall.unix_millis();
        Duration::from_millis(now_millis.saturating_sub(at.unix_millis()))
    }
}

#[cfg(test)]
mod tests {
    use domain::ResponseCode;
    use domain::ids::{IssuerId, LinkId, RouteId, ShardId, Stan, TransactionId};
    use domain::record::{Outcome, OutcomeKind};
    use domain::request::{Answer, IssuerLeg};
    use domain::time::TransmissionTime;

    use super::*;
    use crate::shard::build::engine_settings;
    use crate::shard::exchange::tests::{config, counters, facts};
    use crate::shard::exchange::{self, Counters};

    /// A process that has just begun.
    const NOW: Instant = Instant::from_millis(5);
    const WALL: WallTime = WallTime::from_unix_millis(1_795_000_000_000);

    fn intent(id: u128, candidate: u8, age_s: u64) -> Record<'static> {
        Record::Intent(Intent {
            transaction: TransactionId(id),
            admitted: WALL.before(Duration::from_secs(age_s)),
            facts: facts(1),
            leg: IssuerLeg {
                route: RouteId(0),
                candidate,
                issuer: IssuerId(0),
                link: LinkId(0),
                stan: Stan::new(1 + u32::from(candidate)).unwrap(),
                transmitted: TransmissionTime::at(WALL),
            },
            asked_until: None,
        })
    }

    fn not_sent(id: u128) -> Record<'static> {
        Record::Outcome(Outcome {
            transaction: TransactionId(id),
            decided: WALL,
            kind: OutcomeKind::NotSent,
            answer: Answer::of(ResponseCode::ISSUER_INOPERATIVE),
            issuer_code: None,
        })
    }

    /// What the two windows of the default configuration hold, 10 seconds and an hour.
    #[track_caller]
    fn check(records: &[Record<'_>], expected: [u32; 2]) {
        let config = config();
        let wall_at_zero = WALL.before(NOW.since(Instant::ZERO));
        let engine = Engine::new(engine_settings(&config, ShardId(0), 1, 1, wall_at_zero));
        let ends = exchange::build(1).remove(0);
        let exchange = Exchange::new(ends, counters(&config));
        let mut replay = Replay::new(&config, engine, exchange, (NOW, WALL));
        for record in records {
            replay.take(record, Carriage::Fresh);
        }
        let (_, exchange) = replay.end().unwrap();
        let Counters { risk, .. } = futures_lite::future::block_on(exchange.end());
        let [(seconds, _), (hour, _), _] = risk.counted(&facts(1), NOW);
        assert_eq!([seconds, hour], expected);
    }

    //= docs/rules.md#R-14
    #[test]
    fn each_request_counts_once_and_at_its_own_time() {
        check(&[intent(1, 0, 1), intent(2, 0, 60)], [1, 2]);
        check(&[intent(1, 0, 60), intent(2, 0, 8_000)], [0, 1]);
        // The next candidate of one request; by weight it may be the first one of the route.
        check(&[intent(1, 1, 1), not_sent(1), intent(1, 0, 1)], [1, 1]);
        let completion = intent(1, IssuerLeg::OF_ORIGINAL, 1);
        check(&[completion], [0, 0]);
    }
}
