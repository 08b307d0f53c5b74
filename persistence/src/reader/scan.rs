//! Everything that lies in the files of one shard, in order: for people who look at a journal, be
//! it written at this moment or damaged. Never writes, never stops at damage, holds at most one
//! batch and what was read ahead of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use domain::ids::{Lsn, ShardId};
use domain::record::{Carriage, Record};
use rustix::fs::{Advice, fadvise};

use super::segments::numbers;
use super::walk::{Behind, Fault, Source, Step, Walk};
use crate::batch::{BATCH_HEADER_LEN, BLOCK, BatchHeader};
use crate::error::JournalError;
use crate::identity::Identity;
use crate::layout;
use crate::record::{self, RecordError};
use crate::recovery::{self, Label, Refusal, SegmentEnd};
use crate::segment_header::SegmentHeader;

/// What is met on the way through the files of one shard.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every event is a record, and it lives for one turn of a loop"
)]
pub enum Event<'a> {
    /// A segment with a header that can be believed.
    Segment(Box<SegmentHeader>),
    /// A batch; its records follow.
    Batch(BatchHeader),
    /// A record.
    Record(Met<'a>),
    /// Something is wrong, or missing.
    Finding(Finding),
    /// There is nothing more, or nothing more yet: asked again, it is looked for again.
    End(End),
}

/// A record where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Met<'a> {
    /// Its position.
    pub lsn: Lsn,
    /// What it says.
    pub record: Record<'a>,
    /// Whether it was carried over.
    pub carriage: Carriage,
    /// Its bytes, header and padding included.
    pub bytes: &'a [u8],
    /// The number of its segment.
    pub segment: u64,
    /// Where its batch begins.
    pub offset: u64,
}

/// Something wrong in a file.
#[derive(Debug)]
pub struct Finding {
    /// The file, or the directory where a file is missing.
    pub path: PathBuf,
    /// What.
    pub what: What,
}

/// What is wrong.
#[derive(Debug)]
pub enum What {
    /// A row of the decision table: a start would refuse the journal for it.
    Refused(Refusal),
    /// A record inside an intact batch cannot be used (J17).
    Record {
        /// Its position.
        lsn: Lsn,
        /// Where its batch begins.
        offset: u64,
        /// Why.
        error: RecordError,
    },
    /// The system cannot read a place.
    Unreadable {
        /// Where.
        offset: u64,
        /// Why.
        error: io::Error,
    },
    /// Records that no file holds; both ends belong to them.
    Missing {
        /// The first.
        first: Lsn,
        /// The last.
        last: Lsn,
    },
}

impl What {
    /// The row of the decision table, where one applies.
    #[must_use]
    pub const fn label(&self) -> Option<Label> {
        match self {
            Self::Refused(refusal) => Some(refusal.label()),
            Self::Record { .. } => Some(Label::J17),
            Self::Unreadable { .. } | Self::Missing { .. } => None,
        }
    }
}

/// Where the files end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The last segment; 0 when there is none.
    pub segment: u64,
    /// How it ends. Torn: what lies there is no batch, or none yet.
    pub how: SegmentEnd,
    /// The next record to come.
    pub next_lsn: Lsn,
}

/// Where the files of a shard belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// As the manifest says.
    To(Identity),
    /// To an older generation, or the manifest is lost: the folders are believed, and for the rest
    /// the first good header.
    Folder {
        /// The folder's generation.
        generation: u32,
        /// The folder's shard.
        shard: ShardId,
    },
}

/// A place in the files of one shard that moves forward.
#[derive(Debug)]
pub struct Scan {
    dir: PathBuf,
    belongs: Belongs,
    behind: Behind,
    walk: Walk,
    number: u64,
    open: Option<SegmentFile>,
    batch: Current,
    faults: VecDeque<Fault>,
    queue: VecDeque<Ready>,
}

/// The batch whose records are handed out.
#[derive(Clone, Copy, Debug, Default)]
struct Current {
    offset: u64,
    cursor: usize,
    end: usize,
    next: Lsn,
    left: u32,
}

/// What comes next, without a borrow.
#[derive(Debug)]
enum Ready {
    Segment(Box<SegmentHeader>),
    Batch(BatchHeader),
    Record { lsn: Lsn, start: usize, len: usize },
    Finding(Finding),
    End(End),
}

/// What was seen of later segments before a place was judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Later {
    NotAsked,
    Are(bool),
}

impl Scan {
    /// Of the shard whose files lie in `dir`, which need not exist. Begins in the segment that
    /// holds `from`, if headers say which, else at the beginning.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn open(dir: &Path, belongs: Belongs, from: Lsn) -> Result<Self, JournalError> {
        let begins = first_needed(dir, &numbers(dir)?, from);
        Ok(Self {
            dir: dir.to_owned(),
            belongs,
            behind: Behind::Everything,
            walk: Walk::new(),
            number: begins.saturating_sub(1),
            open: None,
            batch: Current::default(),
            faults: VecDeque::new(),
            queue: VecDeque::new(),
        })
    }

    /// From here on only the place of the next batch is looked at, not all that lies behind it.
    pub const fn follow(&mut self) {
        self.behind = Behind::NextBatch;
    }

    /// Where the files belong, as far as it is known.
    #[must_use]
    pub const fn belongs(&self) -> Belongs {
        self.belongs
    }

    /// What comes next.
    ///
    /// # Errors
    /// A directory cannot be listed or a file not be opened. What cannot be read inside a file is a
    /// finding.
    pub fn advance(&mut self) -> Result<Event<'_>, JournalError> {
        let (lsn, start, len) = match self.ready()? {
            Ready::Segment(header) => return Ok(Event::Segment(header)),
            Ready::Batch(header) => return Ok(Event::Batch(header)),
            Ready::Finding(finding) => return Ok(Event::Finding(finding)),
            Ready::End(end) => return Ok(Event::End(end)),
            Ready::Record { lsn, start, len } => (lsn, start, len),
        };
        let offset = self.batch.offset;
        let bytes = self.held(start, len);
        Ok(match record::decode(bytes) {
            Ok(decoded) => Event::Record(Met {
                lsn,
                record: decoded.record,
                carriage: decoded.carriage,
                bytes,
                segment: self.number,
                offset,
            }),
            Err(error) => Event::Finding(self.found(What::Record { lsn, offset, error })),
        })
    }

    fn ready(&mut self) -> Result<Ready, JournalError> {
        loop {
            if let Some(ready) = self.queue.pop_front() {
                return Ok(ready);
            }
            if let Some(ready) = self.record() {
                return Ok(ready);
            }
            let stepped = self.step()?;
            self.tell_faults();
            match stepped {
                Stepped::Batch(header) => self.queue.push_back(Ready::Batch(header)),
                Stepped::End(how, later) if self.queue.is_empty() => self.roll(how, later)?,
                Stepped::End(..) => {}
            }
        }
    }

    /// The next record of the batch, which is intact as a whole.
    fn record(&mut self) -> Option<Ready> {
        let Current {
            cursor,
            end,
            next,
            left,
            offset,
        } = self.batch;
        let rest = end.saturating_sub(cursor);
        if rest == 0 && left == 0 {
            return None;
        }
        let peeked = record::peek(self.held(cursor, rest));
        if let Some((lsn, len)) = peeked
            && left > 0
            && lsn == next
            && len <= rest
        {
            self.batch.cursor = cursor.saturating_add(len);
            self.batch.next = next.next();
            self.batch.left = left.saturating_sub(1);
            return Some(Ready::Record {
                lsn,
                start: cursor,
                len,
            });
        }
        self.batch = Current::default();
        let error = match peeked {
            _ if left == 0 => RecordError::Length,
            Some((lsn, _)) if lsn != next => RecordError::Value("LSN"),
            Some(_) => RecordError::Short,
            None => RecordError::Header,
        };
        if left > 0 {
            let last = Lsn(next.0.saturating_add(u64::from(left)).saturating_sub(1));
            let missing = self.found(What::Missing { first: next, last });
            self.queue.push_back(Ready::Finding(missing));
        }
        let lsn = next;
        Some(Ready::Finding(self.found(What::Record {
            lsn,
            offset,
            error,
        })))
    }

    /// Moves to the next batch of the open segment.
    fn step(&mut self) -> Result<Stepped, JournalError> {
        let Some(segment) = &mut self.open else {
            return Ok(Stepped::End(None, Later::NotAsked));
        };
        let mut later = Later::NotAsked;
        let mut failed = None;
        let (dir, number) = (&self.dir, self.number);
        let mut ask = || {
            let are = numbers(dir).map(|numbers| numbers.last().is_some_and(|last| *last > number));
            let are = are.unwrap_or_else(|error| {
                failed = Some(error);
                false
            });
            later = Later::Are(are);
            are
        };
        let step = self
            .walk
            .next(segment, self.behind, &mut ask, &mut self.faults);
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(match step {
            Step::Batch { offset, header } => {
                self.batch = Current {
                    offset,
                    cursor: BATCH_HEADER_LEN,
                    end: header.len as usize,
                    next: header.first_lsn,
                    left: header.records,
                };
                Stepped::Batch(header)
            }
            Step::End(how) => Stepped::End(Some(how), later),
        })
    }

    /// Goes on in the next segment, if there is one.
    fn roll(&mut self, how: Option<SegmentEnd>, later: Later) -> Result<(), JournalError> {
        let listed = numbers(&self.dir)?;
        let Some(next) = listed.iter().copied().find(|number| *number > self.number) else {
            let offset = 0;
            self.queue.push_back(Ready::End(End {
                segment: self.number,
                how: how.unwrap_or(SegmentEnd::Clean { offset }),
                next_lsn: self.walk.next_lsn(),
            }));
            return Ok(());
        };
        // The segment was judged as the last one, and is that no longer.
        if later == Later::Are(false) {
            return Ok(());
        }
        let retired = listed.first().is_some_and(|first| *first > self.number);
        if self.number.checked_add(1) != Some(next) && retired {
            self.walk = Walk::new();
        } else if self.number.checked_add(1) != Some(next) {
            let gap = Refusal::Gap {
                before: self.number,
                after: next,
            };
            self.open = None;
            self.faults.push_back(Fault::Refused(gap));
            self.walk.lose_track();
        }
        self.number = next;
        self.enter(next)
    }

    /// Opens segment `number`; one that cannot be used is passed by.
    fn enter(&mut self, number: u64) -> Result<(), JournalError> {
        let path = self.dir.join(layout::segment_name(number));
        self.tell_faults();
        self.open = None;
        let Some(mut file) = SegmentFile::open(path)? else {
            // Retired since it was listed.
            self.walk = Walk::new();
            return Ok(());
        };
        let header = match file.bytes(0, BLOCK) {
            Ok(block) => recovery::read_header(number, block),
            Err(error) => {
                self.faults
                    .push_back(Fault::Unreadable { offset: 0, error });
                Err(Refusal::HeaderDamaged { segment: number })
            }
        };
        let (len, header) = (
            file.len,
            header.and_then(|header| self.known(number, header)),
        );
        self.open = Some(file);
        match header {
            Ok(header) => {
                if header.segment_bytes != len {
                    let what = "length";
                    let refusal = Refusal::Elsewhere {
                        segment: number,
                        what,
                    };
                    self.faults.push_back(Fault::Refused(refusal));
                }
                self.walk.enter(&header, len, &mut self.faults);
                self.tell_faults();
                self.queue.push_back(Ready::Segment(Box::new(header)));
            }
            Err(refusal) => {
                let damaged = matches!(refusal, Refusal::HeaderDamaged { .. });
                self.faults.push_back(Fault::Refused(refusal));
                self.tell_faults();
                match self.belongs {
                    Belongs::To(identity) if damaged => {
                        self.walk.enter_headless(identity.journal, number, len);
                    }
                    Belongs::To(_) | Belongs::Folder { .. } => {
                        self.walk.lose_track();
                        self.open = None;
                    }
                }
            }
        }
        Ok(())
    }

    /// J08. The first good header says where the files of a folder belong.
    fn known(&mut self, number: u64, header: SegmentHeader) -> Result<SegmentHeader, Refusal> {
        let expected = match self.belongs {
            Belongs::To(identity) => identity,
            Belongs::Folder { generation, shard } => Identity {
                generation,
                shard,
                ..header.identity
            },
        };
        recovery::judge_identity(&header, number, &expected)?;
        self.belongs = Belongs::To(expected);
        Ok(header)
    }

    fn tell_faults(&mut self) {
        while let Some(fault) = self.faults.pop_front() {
            let finding = self.told(fault);
            self.queue.push_back(Ready::Finding(finding));
        }
    }

    fn told(&self, fault: Fault) -> Finding {
        self.found(match fault {
            Fault::Refused(refusal) => What::Refused(refusal),
            Fault::Unreadable { offset, error } => What::Unreadable { offset, error },
            Fault::Missing { first, last } => What::Missing { first, last },
        })
    }

    fn found(&self, what: What) -> Finding {
        let open = self.open.as_ref();
        let path = open.map_or_else(|| self.dir.clone(), |open| open.path.clone());
        Finding { path, what }
    }

    /// Bytes of the batch whose records are handed out.
    fn held(&self, start: usize, len: usize) -> &[u8] {
        let open = self.open.as_ref();
        let at = self.batch.offset.saturating_add(start as u64);
        open.and_then(|open| open.held(at, len)).unwrap_or_default()
    }
}

/// What a step has found, without what is wrong.
enum Stepped {
    Batch(BatchHeader),
    End(Option<SegmentEnd>, Later),
}

/// The last segment that begins at or before `from`, else the first.
fn first_needed(dir: &Path, listed: &[u64], from: Lsn) -> u64 {
    let first = listed.first().copied().unwrap_or(1);
    let holds = |number: &&u64| {
        let mut block = [0; BLOCK];
        let file = File::open(dir.join(layout::segment_name(**number)));
        let read = file.and_then(|file| file.read_exact_at(&mut block, 0));
        let header = SegmentHeader::decode(&block);
        let fits = |header: SegmentHeader| header.number == **number && header.first_lsn <= from;
        read.is_ok() && header.is_ok_and(fits)
    };
    listed.iter().rev().find(holds).copied().unwrap_or(first)
}

/// A file that is read ahead, a megabyte at a time.
#[derive(Debug)]
struct SegmentFile {
    file: File,
    path: PathBuf,
    len: u64,
    window: Vec<u8>,
    from: u64,
    valid: usize,
}

impl SegmentFile {
    const AHEAD: usize = 1 << 20;

    /// `None` when there is no such file.
    fn open(path: PathBuf) -> Result<Option<Self>, JournalError> {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(JournalError::io("open", &path, error)),
        };
        let len = file
            .metadata()
            .map_err(|error| JournalError::io("look at", &path, error))?
            .len();
        Ok(Some(Self {
            file,
            path,
            len,
            window: Vec::new(),
            from: 0,
            valid: 0,
        }))
    }

    fn held(&self, at: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(at.checked_sub(self.from)?).ok()?;
        let end = start.checked_add(len)?;
        self.window.get(..self.valid)?.get(start..end)
    }

    fn fill(&mut self, at: u64, len: usize) -> io::Result<()> {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = len.max(Self::AHEAD.min(left));
        if self.window.len() < wanted {
            self.window.resize(wanted, 0);
        }
        (self.from, self.valid) = (at, 0);
        let ahead = self.window.get_mut(..wanted).unwrap_or_default();
        if self.file.read_exact_at(ahead, at).is_ok() {
            self.valid = wanted;
            return Ok(());
        }
        // A place that cannot be read must not hide the ones before it.
        let needed = self.window.get_mut(..len).unwrap_or_default();
        self.file.read_exact_at(needed, at)?;
        self.valid = len;
        Ok(())
    }
}

impl Source for SegmentFile {
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        if self.held(at, len).is_none() {
            self.fill(at, len)?;
        }
        self.held(at, len)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn forget(&mut self) {
        self.valid = 0;
        // Advice: when the kernel does not take it, the next read tells the same as the last one.
        let taken = fadvise(&self.file, 0, None, Advice::DontNeed);
        if let Err(error) = taken {
            tracing::debug!(%error, "cached pages could not be dropped");
        }
    }
}

#[cfg(test)]
mod tests;
