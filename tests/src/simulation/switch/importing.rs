//! What a change of the number of shards asks of the shards: the old ones are read to their end,
//! and numbers that legs hold in the parts of others are claimed there.

use domain::record::{Carriage, Record};
use domain::time::WallTime;
use persistence::record::{RECORD_BYTES_MAX, encode};
use persistence::recovery::Found;
use transaction::carrying::written_at;

use super::*;
use crate::simulation::journal::Stop;
use crate::simulation::ledger::Fold;
use crate::simulation::link::link_of;

/// One shard of a generation, read to its end; its recovery has not ended.
#[derive(Debug)]
pub(in crate::simulation) struct Old {
    pub(in crate::simulation) engine: Engine,
    pub(in crate::simulation) found: Found,
    /// In their order, with the time that each names.
    pub(in crate::simulation) records: Vec<(Option<WallTime>, Vec<u8>)>,
}

impl Begin {
    /// Reads a journal to its end. The engine does not come up.
    pub(in crate::simulation) fn read(
        &self,
        fold: &mut Fold,
        around: &mut Around<'_>,
    ) -> Result<Old, NotStarted> {
        let now = around.instant();
        let mut engine = self.engine(around);
        let mut records = Vec::new();
        let mut refused = None;
        let (driver, shard) = (self.driver, self.identity.shard.0);
        let mut bytes = vec![0; RECORD_BYTES_MAX];
        let mut on_record = |lsn: Lsn, record: &Record<'_>, carriage: Carriage| {
            fold.add(shard, record, carriage);
            let len = encode(record, lsn, &mut bytes).expect("it was encoded before");
            records.push((written_at(record), bytes[..len].to_vec()));
            if let Err(error) = engine.recover_as(record, driver.taken(carriage), now) {
                refused.get_or_insert(error);
            }
        };
        let journal = self.recovery(around).recover(&mut on_record);
        let journal = journal.map_err(NotStarted::Stop)?;
        match refused {
            Some(error) => Err(NotStarted::TooSmall(format!("{error}"))),
            None => Ok(Old {
                engine,
                found: journal.found,
                records,
            }),
        }
    }

    /// Makes a journal that holds nothing yet.
    pub(in crate::simulation) fn make(&self, around: &mut Around<'_>) -> Result<Journal, Stop> {
        let mut nothing = |_: Lsn, _: &Record<'_>, _: Carriage| {};
        self.recovery(around).recover(&mut nothing)
    }
}

impl Shard {
    /// The numbers that legs of this shard hold in the parts of others.
    pub(in crate::simulation) fn strange_stans(&self) -> Vec<Stan> {
        let legs = self.engine.busy_legs().map(|(_, leg)| leg.stan);
        let owed = self.engine.owed_reconciliations().map(|owed| owed.stan);
        let is_strange = |stan: &Stan| {
            let place = &self.places[usize::from(link_of(*stan).0)];
            !place.stans.has(*stan)
        };
        legs.chain(owed).filter(is_strange).collect()
    }

    pub(in crate::simulation) fn latest_place(&self) -> WallTime {
        self.engine.latest_place()
    }

    pub(in crate::simulation) fn begin_places_behind(&mut self, latest: WallTime) {
        self.engine.begin_places_behind(latest);
    }

    /// Claims those of them that are of this shard's part.
    //= docs/rules.md#M-02
    pub(in crate::simulation) fn claim_strange(&mut self, held: &[Stan]) {
        for stan in held {
            self.places[usize::from(link_of(*stan).0)].claim_strange(*stan);
        }
    }
}
