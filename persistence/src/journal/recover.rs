//! Reads a shard's segments, carries out what [`crate::recovery`] decides, and opens the segment in
//! which the journal goes on.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use domain::ids::Lsn;
use domain::record::{Carriage, Record};

use super::directory::Directory;
use super::segment::{ActiveSegment, HeldSegment, Spare};
use super::settings::JournalSettings;
use super::shared::Span;
use super::writer::header;
use crate::batch::BLOCK;
use crate::checkpoint::{self, Covered};
use crate::crash::{self, Step};
use crate::error::JournalError;
use crate::layout;
use crate::manifest::{check_newest, sync_dir};
use crate::reader::segment_numbers;
use crate::recovery::{self, Found, Place, Refusal, SegmentEnd, Tail, Torn};
use crate::segment_header::{SegmentHeader, WrappedKey};

/// Longest segment that any settings allow.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Copies of torn tails at one place: each crash during recovery may leave one more.
const BROKEN_MAX: u32 = 1_000;

/// What was found on disk, and how the journal goes on.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// For the checks against PostgreSQL, which may come later.
    pub found: Found,
    /// The position that the next record gets.
    pub next_lsn: Lsn,
    /// Records that were read.
    pub records: u64,
    /// The wrapped data keys of the checkpoint and of all segments, each once.
    pub wrapped_keys: Vec<WrappedKey>,
    /// What was read from a checkpoint in place of segments.
    pub covered: Option<Covered>,
}

pub(super) struct Recovery {
    pub(super) report: Recovered,
    pub(super) dir: PathBuf,
    pub(super) tail: Tail,
    pub(super) spans: Vec<Span>,
    last: Option<LastSegment>,
}

impl Recovery {
    pub(super) async fn leave(self) -> Result<Recovered, JournalError> {
        if let Some(last) = self.last {
            last.held.close().await?;
        }
        Ok(self.report)
    }
}

struct LastSegment {
    header: SegmentHeader,
    end: SegmentEnd,
    held: HeldSegment,
}

/// Reads the newest checkpoint, judges all segments behind it and cuts off a torn tail. Those
/// before it are there for readers: of them the headers alone are judged. The last segment is
/// locked before a byte of it is read: a killed process may still have writes on their way into it,
/// and its lock lasts as long as they do.
pub(super) async fn recover(
    settings: &JournalSettings,
    directory: &Directory,
    on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
) -> Result<Recovery, JournalError> {
    let dir = &directory.path;
    let numbers = segment_numbers(dir)?;
    let refused = |refusal| JournalError::refused(dir, refusal);
    recovery::judge_numbers(&numbers).map_err(refused)?;
    let covered = checkpoint::newest(dir, &settings.identity)?;
    recovery::judge_cover(&numbers, covered.as_ref()).map_err(refused)?;
    let newest = numbers.last().copied().unwrap_or(0);
    check_newest(dir, settings.segment_known, newest)?;
    let Some(last) = numbers.last() else {
        let judge = recovery::Recovery::new(settings.identity, settings.watermark);
        return Ok(Walk::default().finish(settings, dir, &judge, None));
    };
    let held = HeldSegment::open(dir.join(layout::segment_name(*last))).await?;
    match judge(settings, dir, (&numbers, covered.as_ref()), on_record).await {
        Ok((walk, judge)) => Ok(walk.finish(settings, dir, &judge, Some(held))),
        Err(error) => {
            held.close().await?;
            Err(error)
        }
    }
}

async fn judge(
    settings: &JournalSettings,
    dir: &Path,
    (numbers, covered): (&[u64], Option<&Covered>),
    on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
) -> Result<(Walk, recovery::Recovery), JournalError> {
    let mut walk = Walk::default();
    let mut judge = match covered {
        Some(covered) => {
            walk.carried(dir, covered, on_record)?;
            crash::point(Step::RecoveryRead);
            recovery::Recovery::behind(covered, settings.watermark)
        }
        None => recovery::Recovery::new(settings.identity, settings.watermark),
    };
    let mut bytes = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        if covered.is_some_and(|covered| *number < covered.segment) {
            walk.pass(read_header(settings, dir, *number)?);
            continue;
        }
        let place = if index + 1 < numbers.len() {
            Place::Earlier
        } else {
            Place::Last
        };
        let path = dir.join(layout::segment_name(*number));
        read_synced(&path, &mut bytes)?;
        let mut counted = |lsn: Lsn, record: &Record<'_>, carriage: Carriage| {
            walk.records += 1;
            on_record(lsn, record, carriage);
        };
        let (header, end) = judge
            .segment(*number, &bytes, place, &mut counted)
            .map_err(|refusal| JournalError::refused(&path, refusal))?;
        if let SegmentEnd::Torn { offset, end } = end {
            walk.torn = Some(Torn {
                segment: *number,
                offset,
                lsn: judge.tail().next_lsn,
            });
            cut(dir, *number, &bytes, offset, end)?;
        }
        walk.pass(header.clone());
        walk.last = Some((header, end));
        crash::point(Step::RecoveryRead);
        // Reading a gigabyte must not starve what else was started on this executor.
        glommio::executor().yield_task_queue_now().await;
    }
    Ok((walk, judge))
}

/// What is gathered on the way through the segments.
#[derive(Default)]
struct Walk {
    records: u64,
    torn: Option<Torn>,
    keys: Vec<WrappedKey>,
    spans: Vec<Span>,
    covered: Option<Covered>,
    last: Option<(SegmentHeader, SegmentEnd)>,
}

impl Walk {
    /// Reads the checkpoint.
    fn carried(
        &mut self,
        dir: &Path,
        covered: &Covered,
        on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
    ) -> Result<(), JournalError> {
        self.keys = checkpoint::verified(dir, covered, on_record)?;
        self.records = covered.records;
        self.covered = Some(covered.clone());
        Ok(())
    }

    fn pass(&mut self, header: SegmentHeader) {
        for key in header.keys {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
        self.spans.push(Span {
            number: header.number,
            first_lsn: header.first_lsn,
            bytes: header.segment_bytes,
        });
    }

    fn finish(
        self,
        settings: &JournalSettings,
        dir: &Path,
        judge: &recovery::Recovery,
        held: Option<HeldSegment>,
    ) -> Recovery {
        let tail = judge.tail();
        let first = self.spans.first().map(|span| span.first_lsn);
        let last = self.last.zip(held);
        let last = last.map(|((header, end), held)| LastSegment { header, end, held });
        Recovery {
            report: Recovered {
                found: Found {
                    journal: settings.identity.journal,
                    first: first.unwrap_or_else(|| judge.first_lsn()),
                    last: Lsn(tail.next_lsn.0.saturating_sub(1)),
                    torn: self.torn,
                },
                next_lsn: tail.next_lsn,
                records: self.records,
                wrapped_keys: self.keys,
                covered: self.covered,
            },
            dir: dir.to_owned(),
            tail,
            spans: self.spans,
            last,
        }
    }
}

/// J06, J08: of a segment that a checkpoint covers.
fn read_header(
    settings: &JournalSettings,
    dir: &Path,
    number: u64,
) -> Result<SegmentHeader, JournalError> {
    let path = dir.join(layout::segment_name(number));
    let mut block = vec![0; BLOCK];
    File::open(&path)
        .and_then(|file| file.read_exact_at(&mut block, 0))
        .map_err(|error| JournalError::io("read", &path, error))?;
    recovery::read_header(number, &block)
        .and_then(|header| {
            recovery::judge_identity(&header, number, &settings.identity)?;
            Ok(header)
        })
        .map_err(|refusal| JournalError::refused(&path, refusal))
}

/// Goes on in the last segment where it ends, or begins a new one: when there is none, when its
/// tail was torn, or when it was made under other settings or for other keys. One that holds
/// nothing is replaced under its own number, so that restarts without work do not fill the disk.
pub(super) async fn resume(
    settings: &JournalSettings,
    directory: &Directory,
    recovered: &mut Recovery,
) -> Result<ActiveSegment, JournalError> {
    let Some(last) = recovered.last.take() else {
        return begin(settings, directory, recovered.tail, 1).await;
    };
    let number = match last.end {
        SegmentEnd::Clean { offset } if last.suits(settings) => {
            return Ok(last.held.resume(last.header, offset));
        }
        SegmentEnd::Clean { offset } if offset == BLOCK as u64 => last.header.number,
        SegmentEnd::Clean { .. } | SegmentEnd::Torn { .. } => last.header.number + 1,
    };
    let begun = begin(settings, directory, recovered.tail, number).await;
    last.held.close().await?;
    begun
}

async fn begin(
    settings: &JournalSettings,
    directory: &Directory,
    tail: Tail,
    number: u64,
) -> Result<ActiveSegment, JournalError> {
    let dir = &directory.path;
    let spare = Spare::make(dir, 0, settings.segment_bytes).await?;
    spare.activate(dir, header(settings, number, tail)).await
}

impl LastSegment {
    fn suits(&self, settings: &JournalSettings) -> bool {
        let keys = &self.header.keys;
        self.header.segment_bytes == settings.segment_bytes
            && self.header.batch_bytes_max as usize == settings.batch_bytes_max
            && settings.keys.iter().all(|key| keys.contains(key))
    }
}

/// Syncs the file before a byte of it is believed: what the last process wrote may be in a cache
/// that the next loss of power empties.
fn read_synced(path: &Path, into: &mut Vec<u8>) -> Result<(), JournalError> {
    let failed = |operation| move |error| JournalError::io(operation, path, error);
    let mut file = File::open(path).map_err(failed("open"))?;
    file.sync_all().map_err(failed("sync"))?;
    let len = file.metadata().map_err(failed("look at"))?.len();
    if len > SEGMENT_BYTES_MAX {
        let refusal = Refusal::Elsewhere {
            segment: 0,
            what: "length",
        };
        return Err(JournalError::refused(path, refusal));
    }
    into.clear();
    file.read_to_end(into).map_err(failed("read"))?;
    Ok(())
}

//= docs/rules.md#J-01
/// J14: keeps a copy of the torn tail, then zeroes it, so that it can never come back.
fn cut(dir: &Path, number: u64, bytes: &[u8], offset: u64, end: u64) -> Result<(), JournalError> {
    let range = usize::try_from(offset).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
    let tail = bytes.get(range).unwrap_or_default();
    tracing::warn!(
        segment = number,
        offset,
        bytes = tail.len(),
        "torn tail is cut off"
    );
    keep_copy(dir, &format!("{number:08}-{offset}"), tail)?;
    let path = dir.join(layout::segment_name(number));
    let zeroed = (|| {
        let file = File::options().write(true).open(&path)?;
        file.write_all_at(&vec![0; tail.len()], offset)?;
        file.sync_data()
    })();
    zeroed.map_err(|error| JournalError::io("zero the torn tail of", &path, error))
}

/// Writes `<stem>.broken`, or `<stem>-2.broken` and so on when there is one: a start that died
/// while it zeroed the tail has left a better copy than this one.
fn keep_copy(dir: &Path, stem: &str, tail: &[u8]) -> Result<(), JournalError> {
    let part = dir.join(format!("{stem}.broken.part"));
    let failed = |error: io::Error| JournalError::io("write", &part, error);
    let mut file = File::create(&part).map_err(failed)?;
    file.write_all(tail).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let names = (1..=BROKEN_MAX).map(|copy| match copy {
        1 => dir.join(format!("{stem}.broken")),
        copy => dir.join(format!("{stem}-{copy}.broken")),
    });
    for name in names {
        if !name.exists() {
            fs::rename(&part, &name).map_err(failed)?;
            return sync_dir(dir);
        }
    }
    Err(failed(io::Error::from(io::ErrorKind::AlreadyExists)))
}
