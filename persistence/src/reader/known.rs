//! All records that a start reads, in its order, while the writer may be at work: those of the
//! newest checkpoint, then the segments from there on.

use std::path::Path;

use domain::ids::Lsn;

use super::{Entry, ShardReader, UpTo};
use crate::checkpoint::{self, Covered};
use crate::error::JournalError;
use crate::identity::Identity;
use crate::layout;

/// A place in what a start reads of one shard.
#[derive(Debug)]
pub struct KnownReader {
    covered: Option<Covered>,
    carried: ShardReader,
    left: u64,
    segments: ShardReader,
}

impl KnownReader {
    /// Of the shard and generation that `identity` names, below the journal's `root`.
    ///
    /// # Errors
    /// The newest checkpoint cannot be read or believed.
    pub fn open(root: &Path, identity: Identity) -> Result<Self, JournalError> {
        let dir = layout::shard_dir(root, identity.generation, identity.shard);
        let covered = checkpoint::newest(&dir, &identity)?;
        let newest = covered.as_ref();
        let after = newest.map_or(Lsn::ZERO, |covered| {
            Lsn(covered.next_lsn.0.saturating_sub(1))
        });
        let own = newest.map_or(identity, Covered::identity_of_files);
        let folder = newest.map_or_else(
            || dir.clone(),
            |covered| checkpoint::folder(&dir, covered.segment),
        );
        Ok(Self {
            carried: ShardReader::within(folder, own, Lsn::ZERO),
            left: newest.map_or(0, |covered| covered.records),
            segments: ShardReader::within(dir, identity, after),
            covered,
        })
    }

    /// What is read from a checkpoint.
    #[must_use]
    pub const fn covered(&self) -> Option<&Covered> {
        self.covered.as_ref()
    }

    /// The next record, or `None` when `up_to` is reached. One of a checkpoint has its place in
    /// that for a position.
    ///
    /// # Errors
    /// As [`ShardReader::next`].
    pub fn next(&mut self, up_to: UpTo) -> Result<Option<Entry<'_>>, JournalError> {
        if self.left == 0 {
            return self.segments.next(up_to);
        }
        self.left -= 1;
        let all = self.covered.as_ref().map_or(0, |covered| covered.records);
        self.carried.next(UpTo::Durable(Lsn(all)))
    }
}
