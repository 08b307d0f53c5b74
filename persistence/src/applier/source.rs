//! Where the records come from.

use std::error::Error;

use domain::ids::{Lsn, ShardId};

use crate::identity::JournalUuid;
use crate::reader::Entry;

/// One shard's journal, read in LSN order. Reading never writes and may be repeated.
pub trait RecordSource: Send {
    /// The last durable record; [`Lsn::ZERO`] for none. Never goes back.
    fn durable(&self) -> Lsn;

    /// The first record that is still on disk.
    fn first_retained(&self) -> Lsn;

    /// Shows the records after `after` up to `up_to`, at most `max`, in LSN order without a gap.
    /// `after` may lie before what was read last.
    ///
    /// # Errors
    /// A record cannot be read; the text names file and offset.
    fn read(
        &mut self,
        after: Lsn,
        up_to: Lsn,
        max: usize,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), SourceError>;
}

/// Why records cannot be read; names file and offset.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// One shard's journal, as the applier is given it.
pub struct ShardJournal {
    /// The journal.
    pub journal: JournalUuid,
    /// The shard.
    pub shard: ShardId,
    /// How it came to be.
    pub origin: Origin,
    /// Whether it gets further records.
    pub phase: Phase,
    /// Its records.
    pub source: Box<dyn RecordSource>,
}

impl std::fmt::Debug for ShardJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardJournal")
            .field("journal", &self.journal)
            .field("shard", &self.shard)
            .field("origin", &self.origin)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

/// How a journal came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Made by this start: nothing was on disk.
    Created,
    /// Found on disk.
    Recovered,
}

/// Whether a journal gets further records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Being written.
    Live,
    /// Of an older generation: its watermark is sealed when it has been copied to its end.
    Draining,
}
