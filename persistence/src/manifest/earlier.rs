//! The generations before the one that is written: where each ended, so that what PostgreSQL lacks
//! of them can still be copied.

use std::fs;
use std::path::Path;

use domain::ids::{Lsn, NodeId, ShardId};
use domain::time::WallTime;

use super::sync_dir;
use crate::error::JournalError;
use crate::identity::{Identity, JournalUuid};

/// Generations before the current one that a manifest names. A change of the number of shards
/// beyond that is refused.
pub const EARLIER_MAX: usize = 32;
/// How the line of one begins.
pub(super) const KEY: &str = "earlier";

/// A generation that gets no further record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its number.
    pub generation: u32,
    /// Its journal.
    pub journal: JournalUuid,
    /// What was over at this time may not have been carried over; `None` when everything was.
    pub left_behind: Option<WallTime>,
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

    pub(super) fn write(&self, text: &mut String) {
        let (generation, journal) = (self.generation, self.journal);
        let left_behind = self.left_behind.map_or(0, WallTime::unix_millis);
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
            left_behind: match words.next()?.parse().ok()? {
                0 => None,
                millis => Some(WallTime::from_unix_millis(millis)),
            },
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
    let list = |error| JournalError::io("list", root, error);
    for entry in fs::read_dir(root).map_err(list)? {
        let entry = entry.map_err(list)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.parse::<u32>().ok());
        if number.is_some_and(|number| number > current) {
            let path = entry.path();
            tracing::warn!(
                generation = number,
                "a change of the number of shards was cut short: \
                what it had made is removed"
            );
            fs::remove_dir_all(&path).map_err(|error| JournalError::io("remove", &path, error))?;
            sync_dir(root)?;
        }
    }
    Ok(())
}
