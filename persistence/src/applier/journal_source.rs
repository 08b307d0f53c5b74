//! The journal files of one shard as a [`RecordSource`].

use std::path::PathBuf;
use std::sync::Arc;

use domain::ids::{Lsn, ShardId};

use super::source::{RecordSource, SourceError};
use crate::error::JournalError;
use crate::identity::Identity;
use crate::position::DurablePosition;
use crate::reader::{Entry, ShardReader, UpTo, list};
use crate::record;

/// Reads a shard's files up to the position that its writer publishes.
///
/// Keeps the bytes of what it read last, at most one batch: a batch that is due again, or a half of
/// it, costs no second walk through its segment.
#[derive(Debug)]
pub struct JournalSource {
    root: PathBuf,
    shard: ShardId,
    position: Arc<DurablePosition>,
    /// Of a generation that gets no further record: where it lies.
    sealed: Option<Identity>,
    reader: Option<ShardReader>,
    window: Window,
}

impl JournalSource {
    /// Of `shard` below the journal's `root`.
    #[must_use]
    pub fn new(root: PathBuf, shard: ShardId, position: Arc<DurablePosition>) -> Self {
        Self {
            root,
            shard,
            position,
            sealed: None,
            reader: None,
            window: Window::default(),
        }
    }

    /// Of a shard of an earlier generation, which ends at `last`.
    #[must_use]
    pub fn sealed(root: PathBuf, identity: Identity, last: Lsn) -> Self {
        let position = DurablePosition::new();
        position.publish(last, 0);
        // What cannot be read here is told when records are asked for.
        let segments = list(&root, &identity).unwrap_or_default();
        if let Some(segment) = segments.first() {
            position.begin_at(segment.first_lsn);
        }
        Self {
            sealed: Some(identity),
            ..Self::new(root, identity.shard, Arc::new(position))
        }
    }

    fn fill(&mut self, after: Lsn, up_to: Lsn, max: usize) -> Result<(), JournalError> {
        // After an error the reader is of no further use: it goes back only when all went well.
        let mut reader = match self.reader.take() {
            Some(reader) if self.window.last() == after => reader,
            _ => match self.sealed {
                Some(identity) => ShardReader::of(&self.root, identity, after),
                None => ShardReader::open(&self.root, self.shard, after)?,
            },
        };
        self.window.clear(after);
        while self.window.len() < max {
            let Some(entry) = reader.next(UpTo::Durable(up_to))? else {
                break;
            };
            self.window.push(&entry);
        }
        self.reader = Some(reader);
        Ok(())
    }
}

impl RecordSource for JournalSource {
    fn durable(&self) -> Lsn {
        self.position.lsn()
    }

    fn first_retained(&self) -> Lsn {
        self.position.first()
    }

    fn read(
        &mut self,
        after: Lsn,
        up_to: Lsn,
        max: usize,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), SourceError> {
        let due = up_to.0.saturating_sub(after.0);
        let max = usize::try_from(due).unwrap_or(max).min(max);
        if !self.window.holds(after, max) {
            self.fill(after, up_to, max)?;
        }
        self.window.show(after, max, visit)
    }
}

/// The encoded records `(after, after + ends.len()]`.
#[derive(Debug, Default)]
struct Window {
    after: Lsn,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Window {
    fn clear(&mut self, after: Lsn) {
        self.after = after;
        self.bytes.clear();
        self.ends.clear();
    }

    fn push(&mut self, entry: &Entry<'_>) {
        debug_assert_eq!(entry.lsn, self.last().next(), "LSNs are dense");
        self.bytes.extend_from_slice(entry.bytes);
        self.ends.push(self.bytes.len());
    }

    const fn len(&self) -> usize {
        self.ends.len()
    }

    fn last(&self) -> Lsn {
        let len = u64::try_from(self.ends.len()).unwrap_or(u64::MAX);
        Lsn(self.after.0.saturating_add(len))
    }

    /// Whether the `count` records after `after` are here.
    fn holds(&self, after: Lsn, count: usize) -> bool {
        let skipped = after.0.checked_sub(self.after.0);
        let skipped = skipped.and_then(|skipped| usize::try_from(skipped).ok());
        let end = skipped.and_then(|skipped| skipped.checked_add(count));
        end.is_some_and(|end| end <= self.ends.len())
    }

    fn show(
        &self,
        after: Lsn,
        max: usize,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), SourceError> {
        let skip = usize::try_from(after.0.saturating_sub(self.after.0)).unwrap_or(usize::MAX);
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let spans = starts.zip(self.ends.iter().copied());
        for (start, end) in spans.skip(skip).take(max) {
            let bytes = self.bytes.get(start..end).unwrap_or_default();
            let decoded = record::decode(bytes)?;
            visit(&Entry {
                lsn: decoded.lsn,
                record: decoded.record,
                carriage: decoded.carriage,
                bytes,
            });
        }
        Ok(())
    }
}
