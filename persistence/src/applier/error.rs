//! Why an applier stops. Whatever can pass by itself is retried and counted, and is not here.

use std::error::Error;

use domain::ids::{Lsn, ShardId};
use thiserror::Error;

use super::failure::FailureClass;
use crate::identity::JournalUuid;

/// Why an applier stops, or a check at start fails.
#[derive(Debug, Error)]
pub enum ApplierError {
    /// A setting cannot be used.
    #[error("postgres {0}")]
    Misconfigured(&'static str),
    /// A file that the settings name cannot be used.
    #[error("cannot read {what}")]
    Unreadable {
        /// Which one.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// PostgreSQL cannot be reached or refuses; a check at start may go on degraded (J20).
    #[error("PostgreSQL is away (class {class})")]
    Away {
        /// What kind of failure it is.
        class: FailureClass,
        /// What the server or the system said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The journals on disk and the watermarks do not belong together.
    #[error(transparent)]
    Journal(#[from] JournalMismatch),
    /// Another applier has raised the fence.
    #[error("another applier has taken over journal {journal} shard {shard}; this one stops")]
    Superseded {
        /// The journal.
        journal: JournalUuid,
        /// The shard.
        shard: ShardId,
    },
    /// The watermark is neither where this applier left it, nor before, nor where its last batch
    /// would have put it.
    #[error(
        "watermark of journal {journal} shard {shard} is at {found}, left at {expected}: \
         something else writes it; find out what before starting again"
    )]
    WatermarkMoved {
        /// The journal.
        journal: JournalUuid,
        /// The shard.
        shard: ShardId,
        /// Where it was left.
        expected: Lsn,
        /// Where it is.
        found: Lsn,
    },
    /// PostgreSQL holds another record under the same LSN.
    #[error(
        "PostgreSQL holds other records of journal {journal} shard {shard} near {lsn}: \
         the journal was restored from an older copy"
    )]
    Forked {
        /// The journal.
        journal: JournalUuid,
        /// The shard.
        shard: ShardId,
        /// Where the batch begins.
        lsn: Lsn,
    },
    /// A record cannot be read; never skipped.
    #[error("journal {journal} shard {shard} cannot be read after {after}")]
    Source {
        /// The journal.
        journal: JournalUuid,
        /// The shard.
        shard: ShardId,
        /// The last record that was applied.
        after: Lsn,
        /// File and offset.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A migration failed.
    #[error("cannot migrate the schema")]
    Migration(#[source] Box<dyn Error + Send + Sync>),
}

/// Journals and watermarks that do not belong together (journal.md, recovery table).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JournalMismatch {
    /// J04: nothing on disk, but PostgreSQL has a watermark of this node.
    #[error(
        "J04: the journal on disk is empty, but PostgreSQL has journal {journal} shard {shard} of \
         this node up to {watermark}: lost journal or wrong disk; mount the right one, or name \
         {journal} as lost"
    )]
    Lost {
        /// The journal that PostgreSQL knows.
        journal: JournalUuid,
        /// Its shard.
        shard: ShardId,
        /// How far it was copied.
        watermark: Lsn,
    },
    /// J18: the watermark lies beyond the journal's end.
    #[error(
        "J18: journal {journal} shard {shard} ends at {last}, but PostgreSQL has it up to \
         {watermark}: old backup or wrong disk"
    )]
    Ahead {
        /// The journal.
        journal: JournalUuid,
        /// The shard.
        shard: ShardId,
        /// The last record on disk.
        last: Lsn,
        /// How far it was copied.
        watermark: Lsn,
    },
    /// J18: PostgreSQL holds another unsealed journal of this node.
    #[error(
        "J18: PostgreSQL has unsealed journal {journal} shard {shard} of this node up to \
         {watermark}, which is not on disk: old backup or wrong disk; or name {journal} as lost"
    )]
    Other {
        /// The journal that PostgreSQL knows.
        journal: JournalUuid,
        /// Its shard.
        shard: ShardId,
        /// How far it was copied.
        watermark: Lsn,
    },
    /// J19: records between the watermark and the first retained one are gone.
    #[error(
        "J19: journal {journal} shard {shard} begins at {first}, but PostgreSQL has it only up to \
         {watermark}: rows would be missing; bring back the older segments"
    )]
    Gap {
        /// The journal.
        journal: JournalUuid,
        /// The shard.
        shard: ShardId,
        /// The first record on disk.
        first: Lsn,
        /// How far it was copied.
        watermark: Lsn,
    },
}
