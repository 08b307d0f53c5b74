//! Finds segments by name and by what their headers say.

use std::fs;
use std::path::Path;

use domain::ids::{Lsn, ShardId};

use super::OpenSegment;
use crate::error::JournalError;
use crate::identity::Identity;
use crate::layout::{self, Entry};
use crate::manifest::Manifest;
use crate::segment_header::WrappedKey;

/// The wrapped data keys of all segments of `shard`, each once, in the order of the segments: what
/// the shell unwraps before it opens the journal.
///
/// # Errors
/// The manifest or a header cannot be read or believed.
pub fn wrapped_keys(root: &Path, shard: ShardId) -> Result<Vec<WrappedKey>, JournalError> {
    let identity = Manifest::read(root)?.identity(shard);
    let dir = layout::shard_dir(root, identity.generation, shard);
    let mut keys: Vec<WrappedKey> = Vec::new();
    for number in numbers(&dir)? {
        let Some(segment) = OpenSegment::open(&dir, number, &identity)? else {
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
