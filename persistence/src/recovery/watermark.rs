//! The rows of the decision table that need PostgreSQL: J03, J04, the watermark of J13, J18, J19.
//!
//! They are judged at the first connect (J20), which may be long after the start: so against what
//! the start found, never against where the journal stands by then.

use domain::ids::Lsn;

use super::refusal::{Proof, Refusal};
use crate::identity::JournalUuid;

/// What PostgreSQL knows of this node and shard: its one unsealed journal and how far it is
/// applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The journal that it follows.
    pub journal: JournalUuid,
    /// The last record that it holds; [`Lsn::ZERO`] for none.
    pub lsn: Lsn,
}

/// What the start found on disk, before anything was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The journal.
    pub journal: JournalUuid,
    /// The first record that the files still hold, or would hold.
    pub first: Lsn,
    /// The last good record; one less than `first` when there is none.
    pub last: Lsn,
    /// Where a torn tail was cut off.
    pub torn: Option<Torn>,
}

/// A torn tail that recovery has cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment that it was in.
    pub segment: u64,
    /// Where it began.
    pub offset: u64,
    /// The first record that it would have held.
    pub lsn: Lsn,
}

/// Judges what was found on disk (`None`: no journal) against PostgreSQL (`None`: it has no
/// watermark of this node and shard).
///
/// # Errors
/// [`Refusal`] of J04, J13, J18 or J19: the process must stop.
pub const fn judge_watermark(
    found: Option<&Found>,
    watermark: Option<Watermark>,
) -> Result<(), Refusal> {
    match (found, watermark) {
        (None, None) => Ok(()),
        (None, Some(watermark)) => Err(Refusal::LostJournal {
            journal: watermark.journal,
            applied: watermark.lsn,
        }),
        (Some(found), None) => judge_applied(found, Lsn::ZERO),
        (Some(found), Some(watermark)) => {
            if u128::from_le_bytes(watermark.journal.0) != u128::from_le_bytes(found.journal.0) {
                return Err(Refusal::OtherJournal {
                    known: watermark.journal,
                    found: found.journal,
                });
            }
            judge_applied(found, watermark.lsn)
        }
    }
}

const fn judge_applied(found: &Found, applied: Lsn) -> Result<(), Refusal> {
    if let Some(torn) = found.torn
        && applied.0 >= torn.lsn.0
    {
        return Err(Refusal::Corrupt {
            segment: torn.segment,
            offset: torn.offset,
            proof: Proof::Watermark,
        });
    }
    if applied.0 > found.last.0 {
        return Err(Refusal::Behind {
            applied,
            last: found.last,
        });
    }
    if applied.0 < found.first.0.saturating_sub(1) {
        return Err(Refusal::RowsMissing {
            applied,
            first: found.first,
        });
    }
    Ok(())
}
