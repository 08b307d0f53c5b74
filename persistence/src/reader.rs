//! Reads the records of one shard from its files, in order, while the writer may be at work. Never
//! writes. Plain blocking reads; no runtime.
//!
//! The applier reads up to the position that the writer publishes; `njia-loadgen verify`, `njia
//! inspect` and tests read a journal at rest to its end. Every batch is checked as recovery checks
//! it: checksum, sequence, LSN, chain. A [`Scan`] also does so with one that is being written or
//! damaged: it names what is wrong and goes on behind it.

mod folder;
mod known;
mod scan;
mod segments;
mod walk;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use domain::ids::{Lsn, ShardId};
use domain::record::{Carriage, Record};
use rustix::fs::{Advice, fadvise};

pub use self::folder::{Folder, Generation, ShardFolder};
pub use self::known::KnownReader;
pub use self::scan::{Belongs, End, Event, Finding, Met, Scan, What};
pub use self::segments::wrapped_keys;
pub use self::segments::{Listed, list};
pub(crate) use self::segments::{keys_in, numbers as segment_numbers};
pub use self::walk::{Behind, Fault, Source, Step as WalkStep, Walk};
use crate::batch::{self, BATCH_HEADER_LEN, BLOCK, BatchHeader};
use crate::error::JournalError;
use crate::identity::Identity;
use crate::layout;
use crate::manifest::Manifest;
use crate::record::{self, RecordError};
use crate::recovery::{self, Proof, Refusal, Tail};
use crate::segment_header::SegmentHeader;

/// How far to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpTo {
    /// To this record, which the writer has published as durable: if it cannot be read, the journal
    /// is damaged.
    Durable(Lsn),
    /// To the last good batch of a journal that nobody writes.
    End,
}

/// One record as it lies in the journal.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its position.
    pub lsn: Lsn,
    /// What it says.
    pub record: Record<'a>,
    /// Whether it was carried over.
    pub carriage: Carriage,
    /// Its bytes, header and padding included: what a quarantine keeps. Account numbers in it are
    /// sealed.
    pub bytes: &'a [u8],
}

/// A place in one shard's journal that moves forward.
#[derive(Debug)]
pub struct ShardReader {
    dir: PathBuf,
    identity: Identity,
    after: Lsn,
    open: Option<OpenSegment>,
    tail: Tail,
    batch: Batch,
    torn: bool,
}

#[derive(Debug)]
struct OpenSegment {
    file: File,
    path: PathBuf,
    header: SegmentHeader,
    at: u64,
}

/// The batch whose records are being handed out.
#[derive(Debug)]
struct Batch {
    bytes: Vec<u8>,
    end: usize,
    cursor: usize,
}

/// What lies where the next batch is expected.
enum Step {
    Batch(BatchHeader),
    Zeros,
    Bad,
}

impl ShardReader {
    /// A reader of `shard` below the journal's `root` whose first record is the one behind `after`.
    /// Its files need not exist yet.
    ///
    /// # Errors
    /// The manifest cannot be read or believed.
    pub fn open(root: &Path, shard: ShardId, after: Lsn) -> Result<Self, JournalError> {
        let identity = Manifest::read(root)?.identity(shard);
        Ok(Self::of(root, identity, after))
    }

    /// The same of the shard and generation that `identity` names.
    #[must_use]
    pub fn of(root: &Path, identity: Identity, after: Lsn) -> Self {
        let dir = layout::shard_dir(root, identity.generation, identity.shard);
        Self::within(dir, identity, after)
    }

    /// The same of the files in `dir`.
    const fn within(dir: PathBuf, identity: Identity, after: Lsn) -> Self {
        Self {
            dir,
            identity,
            after,
            open: None,
            tail: Tail::new(),
            batch: Batch {
                bytes: Vec::new(),
                end: 0,
                cursor: 0,
            },
            torn: false,
        }
    }

    /// The journal that is read.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether [`UpTo::End`] was reached at bytes that are no batch and no zeros: a torn tail that
    /// the next start will judge.
    #[must_use]
    pub const fn torn(&self) -> bool {
        self.torn
    }

    /// The next record, or `None` when `up_to` is reached.
    ///
    /// # Errors
    /// Damage below `up_to`, records that were retired before they were read, or a failed read.
    /// After an error the reader is of no further use.
    pub fn next(&mut self, up_to: UpTo) -> Result<Option<Entry<'_>>, JournalError> {
        loop {
            let wanted = self.after.next();
            if matches!(up_to, UpTo::Durable(durable) if wanted > durable) {
                return Ok(None);
            }
            let rest = self.batch.rest();
            let Some((lsn, len)) = record::peek(rest) else {
                if !rest.is_empty() {
                    return Err(self.refused(|segment, offset| Refusal::BadRecord {
                        segment,
                        offset,
                        error: RecordError::Header,
                    }));
                }
                if !self.load(up_to)? {
                    return Ok(None);
                }
                continue;
            };
            let start = self.batch.cursor;
            self.batch.cursor = self.batch.end.min(start.saturating_add(len));
            if lsn >= wanted {
                self.after = lsn;
                return self.entry(start).map(Some);
            }
        }
    }

    /// The record between `start` and the cursor.
    fn entry(&self, start: usize) -> Result<Entry<'_>, JournalError> {
        let bytes = self.batch.bytes.get(start..self.batch.cursor);
        let bytes = bytes.unwrap_or_default();
        let decoded = record::decode(bytes).map_err(|error| {
            self.refused(|segment, offset| Refusal::BadRecord {
                segment,
                offset,
                error,
            })
        })?;
        Ok(Entry {
            lsn: decoded.lsn,
            record: decoded.record,
            carriage: decoded.carriage,
            bytes,
        })
    }

    /// Reads the next batch; `false` when there is none below `up_to`.
    fn load(&mut self, up_to: UpTo) -> Result<bool, JournalError> {
        if self.open.is_none() && !self.seek()? {
            return self.nothing_yet(up_to);
        }
        if let Step::Batch(header) = self.step()? {
            return self.enter(&header).map(|()| true);
        }
        // A page that was read ahead before the batch was written is stale: once more, from the
        // disk. Only then do zeros mean that the segment ends here: behind a stale page the writer
        // may have gone on in the next segment already, whose first record lies further on.
        self.forget_cached();
        match self.step()? {
            Step::Batch(header) => self.enter(&header).map(|()| true),
            Step::Zeros if self.roll()? => Ok(true),
            Step::Zeros => self.nothing_yet(up_to),
            Step::Bad => self.bad_batch(up_to),
        }
    }

    /// Reads what lies where the next batch is expected, into the buffer.
    fn step(&mut self) -> Result<Step, JournalError> {
        let Some(segment) = &self.open else {
            return Ok(Step::Zeros);
        };
        self.batch.clear();
        let left = segment.header.segment_bytes.saturating_sub(segment.at);
        if left < BLOCK as u64 {
            return Ok(Step::Zeros);
        }
        segment.read(&mut self.batch.bytes, BLOCK)?;
        let Some(header) = BatchHeader::peek(&self.batch.bytes) else {
            let zeros = recovery::is_zero(&self.batch.bytes);
            return Ok(if zeros { Step::Zeros } else { Step::Bad });
        };
        let longest = u64::from(segment.header.batch_bytes_max).min(left);
        match usize::try_from(header.extent()) {
            Ok(len) if (BLOCK..).contains(&len) && len as u64 <= longest => {
                segment.read(&mut self.batch.bytes, len)?;
            }
            _ => return Ok(Step::Bad),
        }
        Ok(
            match batch::open(self.identity.journal, &self.batch.bytes) {
                Some((header, _)) => Step::Batch(header),
                None => Step::Bad,
            },
        )
    }

    /// Makes the batch in the buffer the one whose records are handed out.
    fn enter(&mut self, header: &BatchHeader) -> Result<(), JournalError> {
        if let Some(what) = self.tail.misfit(header) {
            return Err(self.refused(|segment, offset| Refusal::Misplaced {
                segment,
                offset,
                what,
            }));
        }
        self.tail.pass(header);
        self.batch.cursor = BATCH_HEADER_LEN;
        self.batch.end = header.len as usize;
        if let Some(segment) = &mut self.open {
            segment.at = segment.at.saturating_add(header.extent());
        }
        Ok(())
    }

    /// The open segment holds nothing more: goes on in the next one; `false` when there is none.
    fn roll(&mut self) -> Result<bool, JournalError> {
        let next = self.tail.segment.saturating_add(1);
        match OpenSegment::open(&self.dir, next, &self.identity)? {
            Some(segment) => self.continue_in(segment).map(|()| true),
            None => Ok(false),
        }
    }

    fn continue_in(&mut self, segment: OpenSegment) -> Result<(), JournalError> {
        let header = &segment.header;
        let fits = header.first_lsn == self.tail.next_lsn
            && header.first_sequence == self.tail.next_sequence
            && header.previous_chain == self.tail.chain;
        if !fits {
            let refusal = Refusal::Discontinued {
                segment: header.number,
                what: "first LSN, sequence or chain value",
            };
            return Err(JournalError::refused(&segment.path, refusal));
        }
        self.tail.segment = header.number;
        self.batch.clear();
        self.open = Some(segment);
        Ok(())
    }

    /// Opens the segment that holds the first wanted record; `false` when there is no segment yet.
    fn seek(&mut self) -> Result<bool, JournalError> {
        let wanted = self.after.next();
        let Some(segment) = segments::holding(&self.dir, &self.identity, wanted)? else {
            return Ok(false);
        };
        let header = &segment.header;
        if header.first_lsn > wanted {
            let refusal = Refusal::RowsMissing {
                applied: self.after,
                first: header.first_lsn,
            };
            return Err(JournalError::refused(&self.dir, refusal));
        }
        self.tail = Tail {
            segment: header.number,
            next_lsn: header.first_lsn,
            next_sequence: header.first_sequence,
            chain: header.previous_chain,
        };
        self.open = Some(segment);
        Ok(true)
    }

    fn nothing_yet(&self, up_to: UpTo) -> Result<bool, JournalError> {
        match up_to {
            UpTo::End => Ok(false),
            UpTo::Durable(_) => Err(self.corrupt()),
        }
    }

    fn bad_batch(&mut self, up_to: UpTo) -> Result<bool, JournalError> {
        self.batch.clear();
        let next = layout::segment_name(self.tail.segment.saturating_add(1));
        let last = !self.dir.join(next).exists();
        if up_to == UpTo::End && last {
            self.torn = true;
            return Ok(false);
        }
        Err(self.corrupt())
    }

    fn forget_cached(&self) {
        if let Some(segment) = &self.open {
            // Advice: when the kernel does not take it, the second read tells the same as the
            // first. From the start of the file, since pages that are cached as one are dropped
            // only when all of them are named.
            let taken = fadvise(&segment.file, 0, None, Advice::DontNeed);
            if let Err(error) = taken {
                tracing::debug!(%error, "cached pages could not be dropped");
            }
            #[cfg(test)]
            tests::page_dropped();
        }
    }

    fn corrupt(&self) -> JournalError {
        self.refused(|segment, offset| Refusal::Corrupt {
            segment,
            offset,
            proof: Proof::Published,
        })
    }

    fn refused(&self, refusal: impl FnOnce(u64, u64) -> Refusal) -> JournalError {
        match &self.open {
            Some(open) => JournalError::refused(&open.path, refusal(self.tail.segment, open.at)),
            None => JournalError::refused(&self.dir, refusal(self.tail.segment, 0)),
        }
    }
}

impl Batch {
    /// The records that were not handed out yet.
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.cursor..self.end).unwrap_or_default()
    }

    fn clear(&mut self) {
        (self.cursor, self.end) = (0, 0);
    }
}

impl OpenSegment {
    /// Opens segment `number` below `dir`; `None` when there is no such file.
    fn open(dir: &Path, number: u64, identity: &Identity) -> Result<Option<Self>, JournalError> {
        let path = dir.join(layout::segment_name(number));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(JournalError::io("open", &path, error)),
        };
        let mut block = vec![0; BLOCK];
        file.read_exact_at(&mut block, 0)
            .map_err(|error| JournalError::io("read", &path, error))?;
        let header = recovery::read_header(number, &block)
            .and_then(|header| recovery::judge_identity(&header, number, identity).map(|()| header))
            .map_err(|refusal| JournalError::refused(&path, refusal))?;
        Ok(Some(Self {
            file,
            path,
            header,
            at: BLOCK as u64,
        }))
    }

    /// Reads `len` bytes from the current place.
    fn read(&self, into: &mut Vec<u8>, len: usize) -> Result<(), JournalError> {
        into.resize(len, 0);
        self.file
            .read_exact_at(into, self.at)
            .map_err(|error| JournalError::io("read", &self.path, error))
    }
}

#[cfg(test)]
mod tests;
