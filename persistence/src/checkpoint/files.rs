//! The folders of checkpoints on disk. Plain blocking calls: a checkpoint is made beside the shard,
//! never by it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use domain::ids::Lsn;
use domain::record::{Carriage, Record};
use rustix::fs::{Advice, fadvise};

use super::Covered;
use super::builder::Image;
use crate::crash::{self, Step};
use crate::error::JournalError;
use crate::identity::Identity;
use crate::layout::{self, COVERED, Entry};
use crate::manifest::sync_dir;
use crate::reader::segment_numbers;
use crate::recovery::{Place, Recovery, Refusal};
use crate::segment_header::WrappedKey;

/// Longer than any that is written.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The whole checkpoints in the shard's directory `dir`, by the segment that each is before,
/// ascending.
///
/// # Errors
/// It cannot be listed.
pub fn numbers(dir: &Path) -> Result<Vec<u64>, JournalError> {
    let mut numbers = Vec::new();
    for (entry, _) in listed(dir)? {
        if let Entry::Checkpoint(number) = entry {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The folder of the checkpoint before `segment`.
#[must_use]
pub fn folder(dir: &Path, segment: u64) -> PathBuf {
    dir.join(layout::checkpoint_name(segment))
}

/// What the newest checkpoint of `identity` in `dir` covers; `None` when there is none.
///
/// # Errors
/// [`Refusal::Checkpoint`], or it cannot be read.
pub fn newest(dir: &Path, identity: &Identity) -> Result<Option<Covered>, JournalError> {
    let Some(segment) = numbers(dir)?.last().copied() else {
        return Ok(None);
    };
    let covered = covered(&folder(dir, segment), segment)?;
    covered
        .judge_identity(identity)
        .map_err(|refusal| JournalError::refused(&folder(dir, segment), refusal))?;
    Ok(Some(covered))
}

/// What the checkpoint before `segment` in `folder` says of itself.
///
/// # Errors
/// [`Refusal::Checkpoint`], or it cannot be read.
pub fn covered(folder: &Path, segment: u64) -> Result<Covered, JournalError> {
    let path = folder.join(COVERED);
    let text = match fs::read(&path) {
        Ok(text) if text.len() <= Covered::LEN_MAX => text,
        Ok(_) => Vec::new(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(JournalError::io("read", &path, error)),
    };
    let text = String::from_utf8(text).unwrap_or_default();
    Covered::decode(segment, &text).map_err(|refusal| JournalError::refused(&path, refusal))
}

/// Reads all of a checkpoint, hands each record out with its place in it, and returns the wrapped
/// keys of its files.
///
/// # Errors
/// [`JournalError::Refused`] names the file: nothing in a checkpoint may be damaged.
pub fn verified(
    dir: &Path,
    covered: &Covered,
    on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
) -> Result<Vec<WrappedKey>, JournalError> {
    verify(&folder(dir, covered.segment), covered, on_record)
}

/// The wrapped keys of the newest checkpoint's files.
///
/// # Errors
/// As [`newest`], or a header cannot be read or believed.
pub fn wrapped_keys(dir: &Path, identity: &Identity) -> Result<Vec<WrappedKey>, JournalError> {
    let Some(covered) = newest(dir, identity)? else {
        return Ok(Vec::new());
    };
    let folder = folder(dir, covered.segment);
    crate::reader::keys_in(&folder, &covered.identity_of_files())
}

fn verify(
    folder: &Path,
    covered: &Covered,
    on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
) -> Result<Vec<WrappedKey>, JournalError> {
    let found = segment_numbers(folder)?;
    let mut judge = Recovery::new(covered.identity_of_files(), None);
    let (mut keys, mut bytes, mut records) = (Vec::new(), Vec::new(), 0);
    for number in &found {
        let path = folder.join(layout::segment_name(*number));
        read(&path, &mut bytes)?;
        let mut counted = |lsn: Lsn, record: &Record<'_>, carriage: Carriage| {
            records += 1;
            on_record(lsn, record, carriage);
        };
        let (header, _) = judge
            .segment(*number, &bytes, Place::Checkpoint, &mut counted)
            .map_err(|refusal| JournalError::refused(&path, refusal))?;
        for key in header.keys {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    covered
        .judge_whole(found.len() as u64, records)
        .map_err(|refusal| JournalError::refused(folder, refusal))?;
    Ok(keys)
}

/// J10: removes what was being made or removed when the last process stopped.
///
/// # Errors
/// A failed operation.
pub fn remove_unfinished(dir: &Path) -> Result<(), JournalError> {
    for (entry, path) in listed(dir)? {
        if entry == Entry::CheckpointPart {
            remove(&path)?;
        }
    }
    sync_dir(dir)
}

/// Removes the checkpoints before the one that covers most. Each loses its name first, so that none
/// is ever found in part.
///
/// # Errors
/// A failed operation; what is left is whole.
pub fn remove_before(dir: &Path, segment: u64) -> Result<(), JournalError> {
    for number in numbers(dir)?.into_iter().filter(|number| *number < segment) {
        let (from, part) = (
            folder(dir, number),
            dir.join(layout::checkpoint_part_name(number)),
        );
        fs::rename(&from, &part).map_err(|error| JournalError::io("rename", &from, error))?;
        sync_dir(dir)?;
        remove(&part)?;
    }
    Ok(())
}

/// A checkpoint that is being made. Dropping it leaves a folder that the next one, or the next
/// start, removes.
#[derive(Debug)]
pub struct Draft {
    dir: PathBuf,
    part: PathBuf,
    segment: u64,
    bytes: u64,
}

impl Draft {
    /// Begins the checkpoint before `segment` in the shard's directory `dir`.
    ///
    /// # Errors
    /// A failed operation.
    pub fn begin(dir: &Path, segment: u64) -> Result<Self, JournalError> {
        remove_unfinished(dir)?;
        let part = dir.join(layout::checkpoint_part_name(segment));
        let made = fs::DirBuilder::new().mode(0o700).create(&part);
        made.map_err(|error| JournalError::io("create", &part, error))?;
        Ok(Self {
            dir: dir.to_owned(),
            part,
            segment,
            bytes: 0,
        })
    }

    /// Bytes of the files so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes and syncs a file.
    ///
    /// # Errors
    /// A failed operation.
    pub fn put(&mut self, image: &Image) -> Result<(), JournalError> {
        self.bytes += image.bytes.len() as u64;
        self.write(&layout::segment_name(image.number), &image.bytes)
    }

    /// Says what it covers, and reads it back: from the disk, as far as the kernel lets that be
    /// asked for.
    ///
    /// # Errors
    /// A failed operation, or what was written is not what is read.
    pub fn prove(
        &self,
        covered: &Covered,
        on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
    ) -> Result<(), JournalError> {
        debug_assert_eq!(covered.segment, self.segment);
        self.write(COVERED, covered.encode().as_bytes())?;
        sync_dir(&self.part)?;
        verify(&self.part, covered, on_record).map(drop)
    }

    /// Gives it its name: from here on a start reads it. What it takes the place of goes.
    ///
    /// # Errors
    /// A failed operation; the next start finds it, or the one before.
    pub fn keep(self) -> Result<(), JournalError> {
        crash::point(Step::CheckpointWritten);
        let name = folder(&self.dir, self.segment);
        fs::rename(&self.part, &name)
            .map_err(|error| JournalError::io("rename", &self.part, error))?;
        crash::point(Step::CheckpointRenamed);
        sync_dir(&self.dir)?;
        remove_before(&self.dir, self.segment)
    }

    /// Leaves nothing of it.
    ///
    /// # Errors
    /// A failed operation.
    pub fn discard(self) -> Result<(), JournalError> {
        remove(&self.part)?;
        sync_dir(&self.dir)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        let path = self.part.join(name);
        let failed = |operation| move |error| (operation, error);
        let written = (|| {
            let mut file = File::create_new(&path).map_err(failed("create"))?;
            file.write_all(bytes).map_err(failed("write"))?;
            file.sync_all().map_err(failed("sync"))?;
            forget_cached(&file);
            Ok(())
        })();
        written.map_err(|(operation, error)| JournalError::io(operation, &path, error))
    }
}

fn read(path: &Path, into: &mut Vec<u8>) -> Result<(), JournalError> {
    let failed = |operation| move |error| JournalError::io(operation, path, error);
    let mut file = File::open(path).map_err(failed("open"))?;
    let len = file.metadata().map_err(failed("look at"))?.len();
    if len > FILE_BYTES_MAX {
        let refusal = Refusal::Elsewhere {
            segment: 0,
            what: "length",
        };
        return Err(JournalError::refused(path, refusal));
    }
    into.clear();
    io::Read::read_to_end(&mut file, into).map_err(failed("read"))?;
    forget_cached(&file);
    Ok(())
}

/// So that what is read back is the medium's, and pages that requests need are not pushed out.
/// Advice: when the kernel does not take it, nothing is wrong.
fn forget_cached(file: &File) {
    if let Err(error) = fadvise(file, 0, None, Advice::DontNeed) {
        tracing::debug!(%error, "cached pages could not be dropped");
    }
}

fn remove(path: &Path) -> Result<(), JournalError> {
    fs::remove_dir_all(path).map_err(|error| JournalError::io("remove", path, error))
}

fn listed(dir: &Path) -> Result<Vec<(Entry, PathBuf)>, JournalError> {
    let failed = |error| JournalError::io("list", dir, error);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if let Some(name) = entry.file_name().to_str() {
            found.push((layout::classify(name), entry.path()));
        }
    }
    Ok(found)
}
