//! The generations before the one that is written: where each ended, so that what PostgreSQL lacks
//! of them can still be copied.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use domain::ids::{Lsn, NodeId, ShardId};
use domain::record::LeftBehind;
use domain::time::WallTime;

use super::sync_dir;
use crate::error::JournalError;
use crate::identity::{Identity, JournalUuid};
use crate::layout;
use crate::marks::{read_behind, write_behind};

/// Generations before the current one that a manifest names. A change of the number of shards
/// forgets those whose files are gone, and is refused while there are so many.
pub const EARLIER_MAX: usize = 32;
/// How the line of one begins.
pub(super) const KEY: &str = "earlier";
/// Behind the number of a generation whose files are being removed.
const RETIRED: &str = ".retired";

/// A generation that gets no further record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its number.
    pub generation: u32,
    /// Its journal.
    pub journal: JournalUuid,
    /// What may not have been carried over.
    pub left_behind: LeftBehind,
    /// By shard, its last record; [`Lsn::ZERO`] for none.
    pub last: Vec<Lsn>,
}

impl Earlier {
    /// Where the files of `shard` belong.
    #[must_use]
    pub fn identity(&self, node: NodeId, shard: ShardId) -> Identity {
        Identity {
            journal: self.journal,
            node,
            generation: self.generation,
            shard,
            shards: u16::try_from(self.last.len()).unwrap_or(u16::MAX),
        }
    }

    /// Whether its files are below `root`.
    #[must_use]
    pub fn is_there(&self, root: &Path) -> bool {
        self.dir(root).is_dir()
    }

    /// When the newest of its files was written. Blocks.
    ///
    /// # Errors
    /// A failed operation.
    pub fn last_written(&self, root: &Path) -> Result<WallTime, JournalError> {
        let mut newest = 0;
        for shard in entries(&self.dir(root))? {
            for file in entries(&shard)? {
                let failed = |error| JournalError::io("look at", &file, error);
                let written = fs::metadata(&file).and_then(|found| found.modified());
                let since = written.map_err(failed)?.duration_since(UNIX_EPOCH);
                let millis = since.unwrap_or_default().as_millis();
                newest = newest.max(u64::try_from(millis).unwrap_or(u64::MAX));
            }
        }
        Ok(WallTime::from_unix_millis(newest))
    }

    /// Removes its files. It loses its name before the first of them goes: what is left of a
    /// removal that was cut short is no generation, and the next start removes it. Blocks.
    ///
    /// # Errors
    /// A failed operation.
    pub fn retire(&self, root: &Path) -> Result<(), JournalError> {
        let dir = self.dir(root);
        let away = root.join(format!("{}{RETIRED}", self.generation));
        fs::rename(&dir, &away).map_err(|error| JournalError::io("rename", &dir, error))?;
        sync_dir(root)?;
        remove(root, &away)
    }

    fn dir(&self, root: &Path) -> PathBuf {
        layout::generation_dir(root, self.generation)
    }

    pub(super) fn write(&self, text: &mut String) {
        let (generation, journal) = (self.generation, self.journal);
        let left_behind = write_behind(self.left_behind);
        text.push_str(&format!("{KEY} {generation} {journal} {left_behind}"));
        for last in &self.last {
            text.push_str(&format!(" {last}"));
        }
        text.push('\n');
    }

    /// The order, and what was left out, are compared when it is written again.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ').skip(1);
        Some(Self {
            generation: words.next()?.parse().ok()?,
            journal: JournalUuid::parse(words.next()?)?,
            left_behind: read_behind(words.next()?)?,
            last: words
                .map(|word| word.parse().ok().map(Lsn))
                .collect::<Option<Vec<Lsn>>>()?,
        })
    }
}

pub(super) fn is_earlier(line: &str) -> bool {
    line.split(' ').next() == Some(KEY)
}

pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<Earlier>> {
    lines
        .filter(|line| is_earlier(line))
        .map(Earlier::read)
        .collect()
}

/// J10: removes the generations behind `current`, whose making was cut short: nobody was told of
/// anything in them.
pub(super) fn remove_unfinished(root: &Path, current: u32) -> Result<(), JournalError> {
    for path in entries(root)? {
        let number = name_of(&path).and_then(|name| name.parse::<u32>().ok());
        if number.is_some_and(|number| number > current) {
            tracing::warn!(
                generation = number,
                "a change of the number of shards was cut short: \
                what it had made is removed"
            );
            remove(root, &path)?;
        }
    }
    Ok(())
}

/// Removes what is left of generations whose removal was cut short.
pub(super) fn remove_retired(root: &Path) -> Result<(), JournalError> {
    for path in entries(root)? {
        let number = name_of(&path).and_then(|name| name.strip_suffix(RETIRED));
        if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
            remove(root, &path)?;
        }
    }
    Ok(())
}

fn remove(root: &Path, path: &Path) -> Result<(), JournalError> {
    fs::remove_dir_all(path).map_err(|error| JournalError::io("remove", path, error))?;
    sync_dir(root)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let list = |error| JournalError::io("list", dir, error);
    let entries = fs::read_dir(dir).map_err(list)?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(list))
        .collect()
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}
