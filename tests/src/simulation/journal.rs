//! The shell of one shard's journal on the model disk: the real batches, segments and recovery; the
//! writer's order of operations, each of which can fail, stall or be cut short by a crash.

use domain::Record;
use domain::ids::Lsn;
use domain::record::Carriage;
use domain::time::WallTime;
use persistence::batch::BLOCK;
use persistence::identity::Identity;
use persistence::recovery::{
    Found, Place, Recovery, Refusal, SegmentEnd, Tail, Torn, judge_cover, judge_numbers,
    read_header,
};
use persistence::segment_header::SegmentHeader;
use persistence::sink::{BUFFERS, Class, Full, Sink};

use super::Driver;
use super::disk::{Checkpoint, Disk, FileId, block, folder};
use super::plan::{Plan, Shape};
use super::random::Random;

/// One shard's journal in one life of the node.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) identity: Identity,
    pub(super) found: Found,
    sink: Sink,
    shape: Shape,
    header: SegmentHeader,
    at: usize,
    stage: Stage,
    driver: Driver,
    /// A flush has been under way for too long.
    pub(super) is_stalled: bool,
    waits_for_spare: bool,
    /// Writes that the kernel put off.
    pub(super) put_off: u64,
}

/// What the writer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    /// An anchor, if nothing comes first.
    Resting,
    Written {
        len: usize,
    },
    Syncing {
        len: usize,
        fatal: bool,
    },
    Starved,
    Header,
    Naming,
}

/// What a finished step means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    Durable(Lsn),
    /// The first error is final: the process aborts.
    Dead,
}

/// What a start came to.
#[derive(Debug)]
pub(super) enum Stop {
    Refused(Refusal),
    /// The power failed in the middle of it.
    Interrupted,
}

/// What recovery works with.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) identity: Identity,
    pub(super) shape: Shape,
    pub(super) watermark: Option<Lsn>,
    pub(super) driver: Driver,
    pub(super) disk: &'a mut Disk,
    pub(super) random: &'a mut Random,
    /// How often the power fails between two steps, in permille.
    pub(super) cut_short: u64,
}

/// What writing needs that may be cut short.
#[derive(Debug)]
pub(super) struct Cut<'a> {
    pub(super) disk: &'a mut Disk,
    pub(super) plan: &'a Plan,
    pub(super) random: &'a mut Random,
    /// How often the power fails between two steps, in permille.
    pub(super) cut_short: u64,
}

impl Start<'_> {
    /// Judges every segment, mends the tail and opens the segment in which the journal goes on.
    pub(super) fn recover(
        &mut self,
        on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
    ) -> Result<Journal, Stop> {
        let folder = folder(&self.identity);
        let numbers = self.disk.numbers(folder);
        judge_numbers(&numbers).map_err(Stop::Refused)?;
        let checkpoint = self.disk.checkpoint(folder).cloned();
        let covered = checkpoint.as_ref().map(|own| own.covered.clone());
        judge_cover(&numbers, covered.as_ref()).map_err(Stop::Refused)?;
        self.disk.sync_names(folder);
        let first = self.first_of(&numbers)?;
        let files = (&self.identity, self.watermark);
        let begun = begin(files, checkpoint.as_ref(), on_record);
        let mut judge = begun.map_err(Stop::Refused)?;
        let mut last = None;
        let mut torn = None;
        let read_from = covered.as_ref().map_or(0, |own| own.segment);
        let is_read = |number: &&u64| **number >= read_from;
        for number in numbers.iter().filter(is_read) {
            let file = (folder, *number);
            // What the last process wrote may be in a cache that the next loss of power empties.
            if self.driver != Driver::TrustsCache {
                self.disk.sync(file);
            }
            let place = match numbers.last() {
                Some(newest) if newest == number => Place::Last,
                _ => Place::Earlier,
            };
            let bytes = self.disk.read(file);
            let judged = judge.segment(*number, &bytes, place, on_record);
            let (header, end) = judged.map_err(Stop::Refused)?;
            if let SegmentEnd::Torn { offset, end } = end {
                torn = Some(Torn {
                    segment: *number,
                    offset,
                    lsn: judge.tail().next_lsn,
                });
                self.cut(file, offset as usize..end as usize)?;
            }
            last = Some((header, end));
        }
        let tail = judge.tail();
        let found = Found {
            journal: self.identity.journal,
            first: first.unwrap_or_else(|| judge.first_lsn()),
            last: Lsn(tail.next_lsn.0 - 1),
            torn,
        };
        let (header, at) = match last {
            Some((header, SegmentEnd::Clean { offset })) => (header, offset as usize),
            Some((header, SegmentEnd::Torn { .. })) => {
                (self.begin(header.number + 1, tail)?, BLOCK)
            }
            None => (self.begin(1, tail)?, BLOCK),
        };
        Ok(Journal {
            identity: self.identity,
            found,
            sink: Sink::new(self.identity.journal, tail, block(self.shape.batch_blocks)),
            shape: self.shape,
            header,
            at,
            stage: Stage::Idle,
            driver: self.driver,
            is_stalled: false,
            waits_for_spare: false,
            put_off: 0,
        })
    }

    /// The first record that the files hold; of what a checkpoint covers the headers alone are
    /// read.
    fn first_of(&self, numbers: &[u64]) -> Result<Option<Lsn>, Stop> {
        let Some(number) = numbers.first() else {
            return Ok(None);
        };
        let bytes = self.disk.read((folder(&self.identity), *number));
        let header = read_header(*number, &bytes).map_err(Stop::Refused)?;
        Ok(Some(header.first_lsn))
    }

    /// J14: zeroes the torn tail.
    fn cut(&mut self, file: FileId, range: std::ops::Range<usize>) -> Result<(), Stop> {
        let len = range.len().next_multiple_of(super::disk::SECTOR);
        let zeros = vec![0; len];
        self.disk.write(file, range.start, range.start, &zeros);
        self.may_end()?;
        self.disk.sync(file);
        self.may_end()
    }

    fn begin(&mut self, number: u64, tail: Tail) -> Result<SegmentHeader, Stop> {
        let header = header(&self.identity, self.shape, number, tail);
        let file = (folder(&self.identity), number);
        let len = block(self.shape.segment_blocks);
        self.disk.prepare(file, len, &header.encode());
        self.may_end()?;
        self.disk.sync(file);
        self.disk.rename(file);
        self.may_end()?;
        self.disk.sync_names(file.0);
        self.may_end()?;
        Ok(header)
    }

    fn may_end(&mut self) -> Result<(), Stop> {
        if self.random.permille(self.cut_short) {
            return Err(Stop::Interrupted);
        }
        Ok(())
    }
}

impl Journal {
    pub(super) fn append(&mut self, record: &Record<'_>) -> Result<Lsn, Full> {
        let class = match record {
            Record::Intent(_) | Record::Refused(_) => Class::New,
            _ => Class::Reserved,
        };
        self.sink.try_append(record, class)
    }

    /// As [`Journal::append`], of what is carried over; what does not fit is written first.
    pub(super) fn carry(
        &mut self,
        record: &Record<'_>,
        carriage: Carriage,
        to: &mut Cut<'_>,
    ) -> Result<(), Stop> {
        while let Err(full) = self.sink.try_append_as(record, carriage, Class::New) {
            assert_eq!(full, Full::Backlog, "nothing else is full");
            self.write_all(to)?;
        }
        Ok(())
    }

    /// Writes all that was taken, before anything else happens.
    pub(super) fn write_all(&mut self, to: &mut Cut<'_>) -> Result<(), Stop> {
        while self.durable() < self.last() {
            if to.random.permille(to.cut_short) {
                return Err(Stop::Interrupted);
            }
            if self.begin(to.disk, to.plan, to.random).is_none()
                && let (Step::Dead, _) = self.step(to.disk, to.plan, to.random)
            {
                return Err(Stop::Interrupted);
            }
        }
        Ok(())
    }

    /// The number of the segment that is being written.
    pub(super) const fn segment(&self) -> u64 {
        self.header.number
    }

    /// The highest record that may be acted upon.
    pub(super) const fn durable(&self) -> Lsn {
        self.sink.durable()
    }

    pub(super) const fn last(&self) -> Lsn {
        Lsn(self.sink.next_lsn().0 - 1)
    }

    pub(super) const fn wants_shed(&self) -> bool {
        self.is_stalled || self.waits_for_spare
    }

    /// Buffers never run out unnoticed: those that wait are bounded.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.sink.waiting(), BUFFERS)
    }

    /// Whether it waits for something to write.
    pub(super) fn is_resting(&self) -> bool {
        self.stage == Stage::Resting
    }

    /// Whether a flush is being waited for.
    pub(super) const fn is_syncing(&self) -> bool {
        matches!(self.stage, Stage::Syncing { .. })
    }

    /// Whether the disk would keep all that was written to the segment at hand.
    pub(super) fn is_synced(&self, disk: &Disk) -> bool {
        disk.is_synced(self.file())
    }

    /// Begins the next operation, if none is under way; says after how many ns it ends.
    pub(super) fn begin(
        &mut self,
        disk: &mut Disk,
        plan: &Plan,
        random: &mut Random,
    ) -> Option<u64> {
        if !matches!(self.stage, Stage::Idle | Stage::Resting) {
            return None;
        }
        let Some(extent) = self.sink.next_extent() else {
            if self.sink.wants_anchor() && self.stage == Stage::Idle {
                self.stage = Stage::Resting;
                return Some(ANCHOR_WAIT);
            }
            return None;
        };
        if extent > self.room() {
            return Some(self.roll(disk, plan, random));
        }
        Some(self.write(false, disk, plan, random))
    }

    /// What was begun has ended.
    pub(super) fn step(
        &mut self,
        disk: &mut Disk,
        plan: &Plan,
        random: &mut Random,
    ) -> (Step, Option<u64>) {
        let file = self.file();
        match self.stage {
            Stage::Idle => (Step::Nothing, None),
            Stage::Resting => self.rest(disk, plan, random),
            Stage::Written { len } => {
                if random.permille(plan.write_error) {
                    disk.shorten(file, random);
                    return (Step::Dead, None);
                }
                if random.permille(plan.put_off) {
                    self.put_off += 1;
                    return (Step::Nothing, Some(random.between(10_000, 200_000)));
                }
                let (delay, fatal) = flush_time(plan, random);
                self.stage = Stage::Syncing { len, fatal };
                (Step::Nothing, Some(delay))
            }
            Stage::Syncing { len, fatal } => {
                if fatal {
                    return (Step::Dead, None);
                }
                if random.permille(plan.sync_error) {
                    disk.fail_sync(file, random);
                    if self.driver != Driver::RetriesSync {
                        return (Step::Dead, None);
                    }
                }
                if self.driver != Driver::SkipsSync || random.permille(50) {
                    disk.sync(file);
                }
                self.at += len;
                self.stage = Stage::Idle;
                (Step::Durable(self.sink.completed()), None)
            }
            Stage::Starved => {
                self.waits_for_spare = false;
                self.stage = Stage::Idle;
                (Step::Nothing, None)
            }
            Stage::Header => {
                disk.sync(self.next_file());
                disk.rename(self.next_file());
                self.stage = Stage::Naming;
                (Step::Nothing, Some(random.between(100_000, 1_000_000)))
            }
            Stage::Naming => {
                disk.sync_names(file.0);
                let number = self.header.number + 1;
                self.header = header(&self.identity, self.shape, number, self.sink.tail());
                self.at = BLOCK;
                self.stage = Stage::Idle;
                (Step::Nothing, None)
            }
        }
    }

    fn rest(&mut self, disk: &mut Disk, plan: &Plan, random: &mut Random) -> (Step, Option<u64>) {
        self.stage = Stage::Idle;
        if !self.sink.wants_anchor() {
            return (Step::Nothing, None);
        }
        let delay = if self.room() < BLOCK as u64 {
            self.roll(disk, plan, random)
        } else {
            self.write(true, disk, plan, random)
        };
        (Step::Nothing, Some(delay))
    }

    fn write(&mut self, anchor: bool, disk: &mut Disk, plan: &Plan, random: &mut Random) -> u64 {
        let (file, number, at) = (self.file(), self.header.number, self.at);
        let segment_blocks = self.shape.segment_blocks;
        let batch = if anchor {
            self.sink.take_anchor(number)
        } else {
            self.sink.take_batch(number)
        };
        let batch = batch.expect("there is something to write");
        let len = batch.bytes.len();
        let blocks = (len / BLOCK) as u64;
        let lands = if random.permille(plan.misdirected) {
            block(random.below(segment_blocks - blocks + 1))
        } else {
            at
        };
        disk.write(file, lands, at, batch.bytes);
        self.stage = Stage::Written { len };
        random.between(20_000, 200_000)
    }

    /// A spare gets its header; its name comes last.
    fn roll(&mut self, disk: &mut Disk, plan: &Plan, random: &mut Random) -> u64 {
        if random.permille(plan.disk_full) {
            self.waits_for_spare = true;
            self.stage = Stage::Starved;
            return random.between(50_000_000, 2_000_000_000);
        }
        let number = self.header.number + 1;
        let next = header(&self.identity, self.shape, number, self.sink.tail());
        let len = block(self.shape.segment_blocks);
        disk.prepare(self.next_file(), len, &next.encode());
        self.stage = Stage::Header;
        random.between(100_000, 1_000_000)
    }

    const fn room(&self) -> u64 {
        (block(self.shape.segment_blocks) - self.at) as u64
    }

    const fn file(&self) -> FileId {
        (folder(&self.identity), self.header.number)
    }

    const fn next_file(&self) -> FileId {
        (folder(&self.identity), self.header.number + 1)
    }
}

/// Where judging begins: behind the records of the checkpoint, if there is one.
fn begin(
    (identity, watermark): (&Identity, Option<Lsn>),
    checkpoint: Option<&Checkpoint>,
    on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
) -> Result<Recovery, Refusal> {
    let Some(Checkpoint {
        covered, images, ..
    }) = checkpoint
    else {
        return Ok(Recovery::new(*identity, watermark));
    };
    covered.judge_identity(identity)?;
    let mut judge = Recovery::new(covered.identity_of_files(), None);
    let mut records = 0;
    let mut counted = |lsn: Lsn, record: &Record<'_>, carriage: Carriage| {
        records += 1;
        on_record(lsn, record, carriage);
    };
    for image in images {
        judge.segment(image.number, &image.bytes, Place::Checkpoint, &mut counted)?;
    }
    covered.judge_whole(images.len() as u64, records)?;
    Ok(Recovery::behind(covered, watermark))
}

/// Reads what a start would read, up to where `segment` begins.
pub(super) fn read_before(
    disk: &Disk,
    identity: &Identity,
    segment: u64,
    on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
) -> Result<Tail, Refusal> {
    let folder = folder(identity);
    let checkpoint = disk.checkpoint(folder);
    let mut judge = begin((identity, None), checkpoint, on_record)?;
    for number in checkpoint.map_or(1, |own| own.covered.segment)..segment {
        let bytes = disk.read((folder, number));
        judge.segment(number, &bytes, Place::Earlier, on_record)?;
    }
    Ok(judge.tail())
}

/// How long a sync takes, and whether that is too long for the process to wait.
fn flush_time(plan: &Plan, random: &mut Random) -> (u64, bool) {
    if !random.permille(plan.flush_stall) {
        return (random.between(100_000, 2_000_000), false);
    }
    let stall = if random.permille(50) {
        random.between(5_000_000_000, 60_000_000_000)
    } else {
        random.between(50_000_000, 3_000_000_000)
    };
    (stall.min(FLUSH_MAX), stall > FLUSH_MAX)
}

fn header(identity: &Identity, shape: Shape, number: u64, tail: Tail) -> SegmentHeader {
    SegmentHeader {
        identity: *identity,
        segment_bytes: block(shape.segment_blocks) as u64,
        batch_bytes_max: block(shape.batch_blocks) as u32,
        number,
        first_lsn: tail.next_lsn,
        first_sequence: tail.next_sequence,
        previous_chain: tail.chain,
        created: WallTime::from_unix_millis(0),
        keys: Vec::new(),
    }
}

const ANCHOR_WAIT: u64 = 20_000_000;
/// A flush that takes longer ends the process.
const FLUSH_MAX: u64 = 10_000_000_000;
/// A flush that takes longer makes the shell shed new work.
pub(super) const FLUSH_SLOW: u64 = 1_000_000_000;
