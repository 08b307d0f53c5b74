//! A model disk that loses unsynced writes: every subset of what was pending, at every point of a
//! run of batches and rolls, and again while recovery mends the tail.

use std::collections::BTreeMap;

use super::*;
use crate::sink::{Class, Sink};

/// Power may take effect between any two of these; a write that was not synced leaves any subset
/// of its sectors.
const SECTOR: usize = 512;

/// Files by number; number 0 is the spare.
#[derive(Clone, Default)]
struct ModelDisk {
    durable: BTreeMap<u64, Vec<u8>>,
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Sector {
        file: u64,
        at: usize,
        bytes: Vec<u8>,
    },
    Rename {
        from: u64,
        to: u64,
    },
}

impl ModelDisk {
    fn write(&mut self, file: u64, at: usize, bytes: &[u8]) {
        for (index, sector) in bytes.chunks(SECTOR).enumerate() {
            self.pending.push(Pending::Sector {
                file,
                at: at + index * SECTOR,
                bytes: sector.to_vec(),
            });
        }
    }

    fn rename(&mut self, from: u64, to: u64) {
        self.pending.push(Pending::Rename { from, to });
    }

    fn sync(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            apply(&mut self.durable, &pending);
        }
    }

    /// What the disk may hold after a loss of power: each subset of the pending writes. Sectors
    /// that change nothing are left out, since they only repeat a state.
    fn crashes(&self) -> Vec<BTreeMap<u64, Vec<u8>>> {
        let changes: Vec<&Pending> = self
            .pending
            .iter()
            .filter(|pending| changes(&self.durable, pending))
            .collect();
        assert!(changes.len() <= 16, "{} pending writes", changes.len());
        (0..1_u32 << changes.len())
            .map(|subset| {
                let mut disk = self.durable.clone();
                for (index, pending) in changes.iter().enumerate() {
                    if subset & (1 << index) != 0 {
                        apply(&mut disk, pending);
                    }
                }
                disk
            })
            .collect()
    }
}

fn changes(disk: &BTreeMap<u64, Vec<u8>>, pending: &Pending) -> bool {
    match pending {
        Pending::Sector { file, at, bytes } => disk[file][*at..*at + bytes.len()] != bytes[..],
        Pending::Rename { .. } => true,
    }
}

fn apply(disk: &mut BTreeMap<u64, Vec<u8>>, pending: &Pending) {
    match pending {
        Pending::Sector { file, at, bytes } => {
            let file = disk.get_mut(file).unwrap();
            file[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        Pending::Rename { from, to } => {
            let file = disk.remove(from).unwrap();
            disk.insert(*to, file);
        }
    }
}

/// The writer's order of operations, on the model. `check` sees the disk after each of them, with
/// the number of records that were acknowledged by then.
struct Run<'a> {
    disk: ModelDisk,
    log: Log,
    segment: u64,
    at: usize,
    acknowledged: usize,
    check: &'a mut dyn FnMut(&ModelDisk, usize),
}

impl Run<'_> {
    fn step(&mut self, change: impl FnOnce(&mut ModelDisk)) {
        change(&mut self.disk);
        (self.check)(&self.disk, self.acknowledged);
    }

    fn roll(&mut self) {
        let zeros = vec![0; self.log.segment_bytes];
        self.disk.durable.insert(0, zeros);
        self.segment += 1;
        let header = self.log.header(self.segment).encode();
        self.step(|disk| disk.write(0, 0, &header));
        self.step(ModelDisk::sync);
        let to = self.segment;
        self.step(|disk| disk.rename(0, to));
        self.step(ModelDisk::sync);
        self.at = BLOCK;
    }

    fn batch(&mut self, records: &[Record<'_>]) {
        for record in records {
            self.log.sink.try_append(record, Class::New).unwrap();
        }
        let bytes = self
            .log
            .sink
            .take_batch(self.segment)
            .unwrap()
            .bytes
            .to_vec();
        self.flush(&bytes);
        self.acknowledged += records.len();
        (self.check)(&self.disk, self.acknowledged);
    }

    fn anchor(&mut self) {
        let bytes = self
            .log
            .sink
            .take_anchor(self.segment)
            .unwrap()
            .bytes
            .to_vec();
        self.flush(&bytes);
    }

    fn flush(&mut self, bytes: &[u8]) {
        let (file, at) = (self.segment, self.at);
        self.step(|disk| disk.write(file, at, bytes));
        self.step(ModelDisk::sync);
        self.log.sink.completed();
        self.at += bytes.len();
    }
}

fn run(script: impl FnOnce(&mut Run<'_>), check: &mut dyn FnMut(&ModelDisk, usize)) -> Log {
    let mut log = Log::with_segments_of(8 * BLOCK);
    log.segments.clear();
    log.sink = Sink::new(IDENTITY.journal, Tail::new(), Log::BATCH_MAX);
    let mut run = Run {
        disk: ModelDisk::default(),
        log,
        segment: 0,
        at: 0,
        acknowledged: 0,
        check,
    };
    run.roll();
    script(&mut run);
    run.log
}

/// The segments that a start would find; J10 removes the spare.
fn files(disk: &BTreeMap<u64, Vec<u8>>) -> Vec<Vec<u8>> {
    let numbers: Vec<u64> = disk.keys().copied().filter(|number| *number > 0).collect();
    judge_numbers(&numbers).unwrap();
    let named = disk.iter().filter(|(number, _)| **number > 0);
    named.map(|(_, bytes)| bytes.clone()).collect()
}

/// Recovers, mends as the verdict says, and dies again in the middle of mending, `depth` times
/// over.
fn check_recovery(disk: &BTreeMap<u64, Vec<u8>>, acknowledged: usize, all: &[String], depth: u32) {
    let segments = files(disk);
    let recovered = recover(&segments, None);
    let found: Vec<&String> = recovered.records.iter().map(|(_, record)| record).collect();
    assert!(
        found.len() >= acknowledged,
        "an acknowledged record is lost"
    );
    assert!(
        found
            .iter()
            .eq(&all.iter().take(found.len()).collect::<Vec<_>>()),
        "invented"
    );
    let end = recovered
        .end
        .unwrap_or_else(|refusal| panic!("refused: {refusal}"));
    let SegmentEnd::Torn { offset, end } = end else {
        return;
    };
    let number = segments.len() as u64;
    let (from, to) = (
        usize::try_from(offset).unwrap(),
        usize::try_from(end).unwrap(),
    );
    let mut mending = ModelDisk {
        durable: disk.clone(),
        pending: Vec::new(),
    };
    mending.write(number, from, &vec![0; (to - from).next_multiple_of(SECTOR)]);
    if depth > 0 {
        for again in sampled(&mending, depth) {
            check_recovery(&again, acknowledged, all, depth - 1);
        }
    }
    mending.sync();
    let mended = recover(&files(&mending.durable), None);
    assert_eq!(
        mended.records, recovered.records,
        "mending changes no record"
    );
    assert_eq!(mended.end, Ok(SegmentEnd::Clean { offset }));
}

/// All crashes of the first mending, a few of those after it.
fn sampled(mending: &ModelDisk, depth: u32) -> Vec<BTreeMap<u64, Vec<u8>>> {
    let crashes = mending.crashes();
    let step = if depth > 2 {
        1
    } else {
        crashes.len().div_ceil(3)
    };
    crashes.into_iter().step_by(step).collect()
}

fn check_script(script: fn(&mut Run<'_>), depth: u32) {
    let mut states = Vec::new();
    let log = run(script, &mut |disk, acknowledged| {
        states.push((disk.clone(), acknowledged))
    });
    let mut whole = BTreeMap::new();
    let (last, total) = states.last().unwrap();
    whole.clone_from(&last.durable);
    let all: Vec<String> = recover(&files(&whole), None)
        .records
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    assert_eq!(all.len(), *total, "the whole run is readable");
    assert_eq!(log.sink.durable().0, *total as u64);
    let mut crashes = 0;
    for (disk, acknowledged) in &states {
        for crashed in disk.crashes() {
            check_recovery(&crashed, *acknowledged, &all, depth);
            crashes += 1;
        }
    }
    assert!(crashes > states.len(), "some writes were pending");
}

#[test]
fn four_batches_and_every_subset_of_their_sectors() {
    check_script(
        |run| {
            run.batch(&[intent(1); 14]);
            run.batch(&[small(15)]);
            run.batch(&[sample(16), small(17)]);
            run.batch(&[intent(18); 10]);
        },
        0,
    );
}

#[test]
fn a_batch_of_two_blocks_in_every_subset() {
    check_script(|run| run.batch(&[intent(1); 19]), 0);
}

#[test]
fn anchors_and_rolls_between_batches() {
    check_script(
        |run| {
            run.batch(&[small(1), small(2)]);
            run.anchor();
            run.roll();
            run.batch(&[intent(3); 12]);
            run.anchor();
            run.roll();
            run.batch(&[small(15)]);
        },
        0,
    );
}

#[test]
fn dying_three_times_while_the_tail_is_cut_off() {
    check_script(
        |run| {
            run.batch(&[small(1)]);
            run.batch(&[intent(2); 5]);
        },
        3,
    );
}
