//! Why a journal is refused, and the row of the decision table that says so.

use core::fmt;

use domain::ids::Lsn;
use thiserror::Error;

use crate::identity::JournalUuid;
use crate::record::RecordError;

/// A row of the decision table in `docs/journal-format.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the rows are described in docs/journal-format.md"
)]
pub enum Label {
    J01,
    J02,
    J04,
    J05,
    J06,
    J08,
    J09,
    J13,
    J15,
    J16,
    J17,
    J18,
    J19,
    J21,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::J01 => "J01",
            Self::J02 => "J02",
            Self::J04 => "J04",
            Self::J05 => "J05",
            Self::J06 => "J06",
            Self::J08 => "J08",
            Self::J09 => "J09",
            Self::J13 => "J13",
            Self::J15 => "J15",
            Self::J16 => "J16",
            Self::J17 => "J17",
            Self::J18 => "J18",
            Self::J19 => "J19",
            Self::J21 => "J21",
        })
    }
}

/// What shows that a bad batch had been durable before it went bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A later segment was begun.
    LaterSegment,
    /// A good batch lies behind it.
    LaterBatch {
        /// Where.
        offset: u64,
    },
    /// A good batch lies behind it and says that effects had been released on its records.
    AckedUpTo {
        /// Where.
        offset: u64,
    },
    /// PostgreSQL holds records of it.
    Watermark,
    /// The writer has published it as durable.
    Published,
    /// It lies in a checkpoint, which got its name when all of it was durable.
    Checkpoint,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LaterSegment => f.write_str("a later segment"),
            Self::LaterBatch { offset } => write!(f, "a good batch at offset {offset}"),
            Self::AckedUpTo { offset } => {
                write!(f, "the acknowledgement in the batch at offset {offset}")
            }
            Self::Watermark => f.write_str("the watermark in PostgreSQL"),
            Self::Published => f.write_str("the position that the writer published"),
            Self::Checkpoint => f.write_str("the name of the checkpoint"),
        }
    }
}

/// A journal that must not be written to. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// J04.
    #[error(
        "no journal here, but PostgreSQL holds records of this node up to {applied} from journal \
         {journal}: the journal is lost or this is the wrong disk"
    )]
    LostJournal {
        /// The journal that PostgreSQL knows.
        journal: JournalUuid,
        /// Its watermark.
        applied: Lsn,
    },
    /// J05.
    #[error("the manifest cannot be believed: {what}")]
    Manifest {
        /// The fault.
        what: &'static str,
    },
    /// J06, and formats too old to be read.
    #[error(
        "segment {segment} has format {found}; this program writes format {known} and reads it and \
         the one before"
    )]
    Format {
        /// The segment.
        segment: u64,
        /// Its version.
        found: u16,
        /// The version that this program writes.
        known: u16,
    },
    /// J08.
    #[error("the header of segment {segment} is damaged")]
    HeaderDamaged {
        /// The segment.
        segment: u64,
    },
    /// J08.
    #[error("segment {segment} belongs elsewhere: its {what} does not fit")]
    Elsewhere {
        /// The segment.
        segment: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// J09.
    #[error(
        "segments are missing: the last start went on in segment {expected}, {}; bring the files \
         back, or what was acknowledged in them is forgotten",
        Newest(*found)
    )]
    Lost {
        /// What the manifest says.
        expected: u64,
        /// The newest on disk; 0 for none.
        found: u64,
    },
    /// J09.
    #[error("segments are missing between {before} and {after}")]
    Gap {
        /// The last before the gap.
        before: u64,
        /// The first behind it.
        after: u64,
    },
    /// J09.
    #[error(
        "segments before {first} are gone, and no checkpoint is here that covers them: bring back \
         the checkpoint, or the segments"
    )]
    Uncovered {
        /// The first on disk.
        first: u64,
    },
    /// J09.
    #[error(
        "the checkpoint covers what is before segment {segment}, and that one is not here: bring \
         it back, or what was acknowledged in it is forgotten"
    )]
    Unfollowed {
        /// The first that it does not cover.
        segment: u64,
    },
    /// J09.
    #[error("segment {segment} does not continue the one before: its {what} does not fit")]
    Discontinued {
        /// The segment.
        segment: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// J13.
    #[error(
        "the batch at offset {offset} of segment {segment} is damaged, and {proof} shows that it \
        was durable"
    )]
    Corrupt {
        /// The segment.
        segment: u64,
        /// Where the batch begins.
        offset: u64,
        /// What shows it.
        proof: Proof,
    },
    /// J15.
    #[error(
        "the last batch, at offset {offset} of segment {segment}, is damaged, and bytes up to \
         {beyond} are beyond what one torn write can leave"
    )]
    BeyondTail {
        /// The segment.
        segment: u64,
        /// Where the batch begins.
        offset: u64,
        /// Behind the last byte that is not zero.
        beyond: u64,
    },
    /// J16.
    #[error(
        "the batch at offset {offset} of segment {segment} is intact but stale or misdirected: its \
         {what} does not fit"
    )]
    Misplaced {
        /// The segment.
        segment: u64,
        /// Where the batch begins.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// J17.
    #[error(
        "the batch at offset {offset} of segment {segment} is intact but was written wrong: {error}"
    )]
    BadRecord {
        /// The segment.
        segment: u64,
        /// Where the batch begins.
        offset: u64,
        /// The fault of the record.
        error: RecordError,
    },
    /// J18.
    #[error(
        "PostgreSQL holds records up to {applied}, this journal ends at {last}: it is an old \
        backup \
         or the wrong disk"
    )]
    Behind {
        /// The watermark.
        applied: Lsn,
        /// The last record on disk.
        last: Lsn,
    },
    /// J18.
    #[error(
        "PostgreSQL follows journal {known} of this node and shard, this one is {found}: it is the \
         wrong disk"
    )]
    OtherJournal {
        /// The one that PostgreSQL follows.
        known: JournalUuid,
        /// The one on disk.
        found: JournalUuid,
    },
    /// J19.
    #[error(
        "PostgreSQL holds records up to {applied}, this journal begins at {first}: the rows \
        between \
         would be missing"
    )]
    RowsMissing {
        /// The watermark.
        applied: Lsn,
        /// The first record on disk.
        first: Lsn,
    },
    /// J21.
    #[error(
        "the checkpoint before segment {segment} cannot be believed: {what}; bring it back, or, if \
         segment 1 and all behind it are here, move its folder away"
    )]
    Checkpoint {
        /// The first segment that it does not cover.
        segment: u64,
        /// The fault.
        what: &'static str,
    },
}

struct Newest(u64);

impl fmt::Display for Newest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("and there is none"),
            number => write!(f, "the newest here is {number}"),
        }
    }
}

impl Refusal {
    /// The row of the decision table.
    #[must_use]
    pub const fn label(&self) -> Label {
        match self {
            Self::LostJournal { .. } => Label::J04,
            Self::Manifest { .. } => Label::J05,
            Self::Format { .. } => Label::J06,
            Self::HeaderDamaged { .. } | Self::Elsewhere { .. } => Label::J08,
            Self::Lost { .. }
            | Self::Gap { .. }
            | Self::Uncovered { .. }
            | Self::Unfollowed { .. }
            | Self::Discontinued { .. } => Label::J09,
            Self::Corrupt { .. } => Label::J13,
            Self::BeyondTail { .. } => Label::J15,
            Self::Misplaced { .. } => Label::J16,
            Self::BadRecord { .. } => Label::J17,
            Self::Behind { .. } | Self::OtherJournal { .. } => Label::J18,
            Self::RowsMissing { .. } => Label::J19,
            Self::Checkpoint { .. } => Label::J21,
        }
    }
}
