//! Makes a checkpoint of a shard's journal, as the thread beside the shards does: out of files that
//! no longer change.

use domain::record::{Carriage, Record};
use domain::time::WallTime;
use persistence::checkpoint::{Builder, Covered, Image, Shape};
use persistence::marks::Marks;
use persistence::record::{RECORD_BYTES_MAX, decode, encode};
use transaction::Settings;
use transaction::carrying::written_at;

use super::start::{latest_stans, settings};
use super::*;
use crate::simulation::disk::{Checkpoint, block, folder};
use crate::simulation::journal::read_before;

/// What a start would read, and the latest time that it names.
type Known = (Vec<(Vec<u8>, Carriage)>, WallTime);

impl Begin {
    /// The checkpoint before `segment`; `None` when the files are damaged, or the table is too
    /// small for what they hold: then there is none.
    pub(in crate::simulation) fn checkpoint(
        &self,
        segment: u64,
        around: &Around<'_>,
    ) -> Option<Checkpoint> {
        let ((known, reached), tail) = self.known(segment, around)?;
        let before = around.disk.checkpoint(folder(&self.identity));
        let mut engine = self.fold(&known, reached, around)?;
        let mut left_out = before.map_or_else(Vec::new, |before| before.left_out.clone());
        let shape = Shape {
            segment_bytes: block(around.plan.shape.segment_blocks),
            batch_bytes_max: block(around.plan.shape.batch_blocks),
        };
        let at = (&self.identity, segment);
        let mut builder = Builder::new(at, shape, Vec::new(), reached);
        let mut images: Vec<Image> = Vec::new();
        for (bytes, _) in &known {
            let record = decode(bytes).expect("it was encoded").record;
            match engine.carriage(&record) {
                Some(_) if self.driver.omits(&record) => {}
                Some(carriage) => {
                    images.extend(builder.add(&record, carriage).expect("it fits"));
                }
                None => left_out.push(bytes.clone()),
            }
        }
        for record in engine.book_records() {
            images.extend(builder.add(&record, Carriage::Carried).expect("it fits"));
        }
        let mut ended = builder.end();
        images.append(&mut ended.images);
        let covered = Covered {
            identity: self.identity,
            segment,
            next_lsn: tail.next_lsn,
            next_sequence: tail.next_sequence,
            chain: tail.chain,
            files: ended.files,
            records: ended.records,
            marks: Marks {
                left_behind: engine.left_behind(reached),
                latest_stans: latest_stans(&engine),
            },
        };
        Some(Checkpoint {
            covered,
            images,
            left_out,
        })
    }

    fn known(
        &self,
        segment: u64,
        around: &Around<'_>,
    ) -> Option<(Known, persistence::recovery::Tail)> {
        let mut bytes = vec![0; RECORD_BYTES_MAX];
        let (mut known, mut reached) = (Vec::new(), WallTime::default());
        let mut on_record = |lsn: Lsn, record: &Record<'_>, carriage: Carriage| {
            let len = encode(record, lsn, &mut bytes).expect("it was encoded before");
            known.push((bytes[..len].to_vec(), carriage));
            reached = reached.max(written_at(record).unwrap_or_default());
        };
        let tail = read_before(around.disk, &self.identity, segment, &mut on_record).ok()?;
        Some(((known, reached), tail))
    }

    fn fold(
        &self,
        known: &[(Vec<u8>, Carriage)],
        reached: WallTime,
        around: &Around<'_>,
    ) -> Option<Engine> {
        let mut engine = Engine::new(Settings {
            start: u32::MAX,
            wall_at_zero: reached,
            ..settings(self, around)
        });
        self.tell(&mut engine, around);
        for (bytes, carriage) in known {
            let record = decode(bytes).expect("it was encoded").record;
            let zero = domain::time::Instant::ZERO;
            engine.recover_as(&record, *carriage, zero).ok()?;
        }
        Some(engine)
    }
}

impl Driver {
    /// A null control leaves what is owed out of checkpoints.
    fn omits(self, record: &Record<'_>) -> bool {
        self == Self::OmitsOwed && matches!(record, Record::SafOwed(_))
    }
}
