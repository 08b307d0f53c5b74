//! Finds segments by name and by what their headers say.

use std::fs;
use std::path::Path;

use domain::ids::{Lsn, ShardId};
use domain::time::WallTime;

use super::OpenSegment;
use crate::checkpoint;
use crate::error::JournalError;
use crate::identity::Identity;
use crate::layout::{self, Entry};
use crate::manifest::Manifest;
use crate::recovery::Tail;
use crate::segment_header::WrappedKey;

/// The wrapped data keys of the newest checkpoint and of all segments of `shard`, each once, in the
/// order of the segments: what the shell unwraps before it opens the journal.
///
/// # Errors
/// The manifest or a header cannot be read or believed.
pub fn wrapped_keys(root: &Path, shard: ShardId) -> Result<Vec<WrappedKey>, JournalError> {
    let identity = Manifest::read(root)?.identity(shard);
    let dir = layout::shard_dir(root, identity.generation, shard);
    let mut keys = checkpoint::wrapped_keys(&dir, &identity)?;
    for key in keys_in(&dir, &identity)? {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// The same of the segments in `dir` alone.
pub(crate) fn keys_in(dir: &Path, identity: &Identity) -> Result<Vec<WrappedKey>, JournalError> {
    let mut keys: Vec<WrappedKey> = Vec::new();
    for number in numbers(dir)? {
        let Some(segment) = OpenSegment::open(dir, number, identity)? else {
            continue;
        };
        for key in segment.header.keys {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

/// The numbers of the segments in `dir`, ascending; none when it does not exist.
pub(crate) fn numbers(dir: &Path) -> Result<Vec<u64>, JournalError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JournalError::io("list", dir, error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| JournalError::io("list", dir, error))?;
        if let Some(Entry::Segment(number)) = entry.file_name().to_str().map(layout::classify) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The segment that holds `wanted` or will hold it: the last one that begins at or before it, else
/// the first there is. `None` when there is no segment.
pub(super) fn holding(
    dir: &Path,
    identity: &Identity,
    wanted: Lsn,
) -> Result<Option<OpenSegment>, JournalError> {
    let mut earliest = None;
    for number in numbers(dir)?.into_iter().rev() {
        // One that was retired since it was listed is not there to be opened.
        let Some(segment) = OpenSegment::open(dir, number, identity)? else {
            continue;
        };
        if segment.header.first_lsn <= wanted {
            return Ok(Some(segment));
        }
        earliest = Some(segment);
    }
    Ok(earliest)
}

/// A segment, as far as its name and its header tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub number: u64,
    /// Its first record.
    pub first_lsn: Lsn,
    /// Bytes of the file.
    pub bytes: u64,
    /// When it was begun: all records before it had been written.
    pub created: WallTime,
    /// What the log has to continue when it begins.
    pub begins: Tail,
}

/// The segments of `identity` below `root`, in the order of their numbers.
///
/// # Errors
/// A header cannot be read or believed.
pub fn list(root: &Path, identity: &Identity) -> Result<Vec<Listed>, JournalError> {
    let dir = layout::shard_dir(root, identity.generation, identity.shard);
    let mut found = Vec::new();
    for number in numbers(&dir)? {
        let Some(segment) = OpenSegment::open(&dir, number, identity)? else {
            continue;
        };
        let header = &segment.header;
        found.push(Listed {
            number,
            first_lsn: header.first_lsn,
            bytes: header.segment_bytes,
            created: header.created,
            begins: Tail {
                segment: number.saturating_sub(1),
                next_lsn: header.first_lsn,
                next_sequence: header.first_sequence,
                chain: header.previous_chain,
            },
        });
    }
    Ok(found)
}
