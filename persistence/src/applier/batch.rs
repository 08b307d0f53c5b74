//! The records of one PostgreSQL transaction, encoded.

use domain::ids::{Lsn, TransactionId};
use domain::time::WallTime;

use super::calendar::Calendar;
use super::event::{self, Place, record_time};
use super::lane::Lane;
use super::ledger::Ledger;
use super::projection::Projection;
use super::rows::RowBuffer;
use super::settings::Payload;
use super::source::SourceError;
use super::words;
use crate::reader::Entry;

/// Records `(from, to]` of one lane.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) from: Lsn,
    pub(crate) to: Lsn,
    /// Records in it that happened in this journal: the others are rows already.
    pub(crate) fresh: u64,
    /// When the first record was made.
    pub(crate) oldest: WallTime,
    /// Rows of `event`.
    pub(crate) events: RowBuffer,
    /// What the records set of their transactions.
    pub(crate) projection: Projection,
    /// What they do to the books.
    pub(crate) ledger: Ledger,
    /// The business days before the first of them.
    pub(crate) calendar: Calendar,
}

impl Batch {
    /// Reads and encodes the next records of `lane`, at most `max`.
    pub(crate) fn build(
        lane: &mut Lane,
        max: usize,
        payload: Payload,
    ) -> Result<Self, SourceError> {
        const EVENT_BYTES: usize = 1024;
        let from = lane.watermark();
        let place = lane.place(from);
        let mut to = from;
        let mut oldest = None;
        let mut events = RowBuffer::new(max.saturating_mul(EVENT_BYTES));
        let mut projection = Projection::after(std::mem::take(&mut lane.totals));
        let mut ledger = Ledger::default();
        let mut fault = None;
        let mut fresh = 0;
        let read = lane.read(max, &mut |&Entry {
                                            lsn,
                                            record,
                                            carriage,
                                            bytes,
                                        }| {
            if fault.is_some() || lsn != to.next() {
                fault.get_or_insert_with(|| format!("record {lsn} came after {to}"));
                return;
            }
            let payload = (payload == Payload::Keep).then_some(bytes);
            if carriage.is_carried() {
                ledger.take_over(&record);
                projection.know(&record);
            } else {
                event::write(&mut events, Place { lsn, ..place }, &record, payload);
                projection.fold(lsn, &record);
                ledger.note(lsn, &record, &projection);
                fresh += 1;
            }
            oldest = oldest.or_else(|| Some(record_time(&record)));
            to = lsn;
        });
        lane.totals = projection.take_totals();
        read?;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        Ok(Self {
            from,
            to,
            fresh,
            oldest: oldest.unwrap_or_default(),
            events,
            projection,
            ledger,
            calendar: lane.calendar.clone(),
        })
    }

    /// Records in it.
    pub(crate) const fn records(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0)
    }
}

/// One record that the tables refuse, for `quarantine`.
#[derive(Debug)]
pub(crate) struct Poison {
    pub(crate) lsn: Lsn,
    pub(crate) transaction: TransactionId,
    pub(crate) kind: &'static str,
    pub(crate) sealed: Vec<u8>,
}

impl Poison {
    /// The record after the lane's watermark.
    pub(crate) fn read(lane: &mut Lane) -> Result<Self, SourceError> {
        let mut found = None;
        lane.read(1, &mut |entry| {
            found = Some(Self {
                lsn: entry.lsn,
                transaction: entry.record.transaction(),
                kind: words::kind(&entry.record),
                sealed: entry.bytes.to_vec(),
            });
        })?;
        found.ok_or_else(|| "the record that was refused cannot be read again".into())
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::ShardId;
    use domain::record::{Carriage, Record};

    use super::super::source::{Origin, Phase, RecordSource, ShardJournal};
    use super::*;
    use crate::identity::JournalUuid;
    use crate::testing::sample;

    /// Records of these kinds, in turn.
    struct Records(Vec<(Record<'static>, Carriage)>);

    impl RecordSource for Records {
        fn durable(&self) -> Lsn {
            Lsn(self.0.len() as u64)
        }

        fn first_retained(&self) -> Lsn {
            Lsn(1)
        }

        fn read(
            &mut self,
            _: Lsn,
            _: Lsn,
            _: usize,
            visit: &mut dyn FnMut(&Entry<'_>),
        ) -> Result<(), SourceError> {
            for (lsn, (record, carriage)) in (1..).zip(&self.0) {
                visit(&Entry {
                    lsn: Lsn(lsn),
                    record: *record,
                    carriage: *carriage,
                    bytes: &[],
                });
            }
            Ok(())
        }
    }

    fn built(carriage: Carriage) -> Batch {
        let records = (0..200).map(|seed| (sample(seed), carriage)).collect();
        let mut lane = Lane::new(ShardJournal {
            journal: JournalUuid([7; 16]),
            shard: ShardId(0),
            origin: Origin::Recovered,
            phase: Phase::Live,
            source: Box::new(Records(records)),
        });
        Batch::build(&mut lane, 1_000, Payload::Keep).unwrap()
    }

    fn rows(batch: &Batch) -> usize {
        let projected = batch.projection.requested().count() + batch.projection.continued().count();
        let events = usize::try_from(batch.events.rows()).unwrap();
        events + projected + batch.projection.failed().len()
    }

    #[test]
    fn what_is_carried_over_is_no_row_and_no_entry_of_the_books() {
        let fresh = built(Carriage::Fresh);
        assert_eq!((fresh.fresh, fresh.records()), (200, 200));
        assert_ne!(rows(&fresh), 0);
        for carriage in [Carriage::Carried, Carriage::Counted] {
            let batch = built(carriage);
            assert_eq!(
                (batch.fresh, batch.records()),
                (0, 200),
                "the watermark passes them"
            );
            assert_eq!(rows(&batch), 0);
            assert_eq!(batch.ledger.unknown(), []);
        }
    }
}
