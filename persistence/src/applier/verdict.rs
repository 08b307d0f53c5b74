//! Whether journals and watermarks belong together: J03, J04, J18, J19 of the recovery table. Pure.

use domain::ids::{Lsn, ShardId};

use super::error::JournalMismatch;
use super::source::Origin;
use crate::identity::JournalUuid;

/// How far PostgreSQL has one shard of one journal of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The journal.
    pub journal: JournalUuid,
    /// The shard.
    pub shard: ShardId,
    /// Every record up to this one is in PostgreSQL.
    pub lsn: Lsn,
    /// Whether the journal has ended and was copied to its end, or was given up.
    pub sealed: bool,
}

/// What is on disk of one shard of one journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalState {
    /// The journal.
    pub journal: JournalUuid,
    /// The shard.
    pub shard: ShardId,
    /// How it came to be.
    pub origin: Origin,
    /// The first record that is still there; 1 when nothing was ever removed.
    pub first_retained: Lsn,
    /// The last record; [`Lsn::ZERO`] for none.
    pub last: Lsn,
}

impl JournalState {
    const fn owns(&self, watermark: &Watermark) -> bool {
        self.shard.0 == watermark.shard.0
            && u128::from_be_bytes(self.journal.0) == u128::from_be_bytes(watermark.journal.0)
    }
}

/// Compares all journals of this node with all watermarks of this node. Journals named in
/// `accept_lost` are not missed.
///
/// # Errors
/// The first row of the recovery table that is violated.
pub fn compare(
    journals: &[JournalState],
    watermarks: &[Watermark],
    accept_lost: &[JournalUuid],
) -> Result<(), JournalMismatch> {
    let missed = watermarks.iter().find(|watermark| {
        let on_disk = journals.iter().any(|journal| journal.owns(watermark));
        !watermark.sealed && !on_disk && !accept_lost.contains(&watermark.journal)
    });
    if let Some(watermark) = missed {
        return Err(missing(journals, watermark));
    }
    journals
        .iter()
        .try_for_each(|journal| fits(journal, watermarks))
}

fn missing(journals: &[JournalState], watermark: &Watermark) -> JournalMismatch {
    let Watermark {
        journal,
        shard,
        lsn: watermark,
        ..
    } = *watermark;
    let nothing_found = journals
        .iter()
        .all(|journal| journal.origin == Origin::Created);
    if nothing_found {
        JournalMismatch::Lost {
            journal,
            shard,
            watermark,
        }
    } else {
        JournalMismatch::Other {
            journal,
            shard,
            watermark,
        }
    }
}

fn fits(state: &JournalState, watermarks: &[Watermark]) -> Result<(), JournalMismatch> {
    let JournalState { journal, shard, .. } = *state;
    let watermark = watermarks
        .iter()
        .find(|watermark| state.owns(watermark))
        .map_or(Lsn::ZERO, |watermark| watermark.lsn);
    if watermark > state.last {
        return Err(JournalMismatch::Ahead {
            journal,
            shard,
            last: state.last,
            watermark,
        });
    }
    if watermark.next() < state.first_retained {
        return Err(JournalMismatch::Gap {
            journal,
            shard,
            first: state.first_retained,
            watermark,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: JournalUuid = JournalUuid([1; 16]);
    const OTHER: JournalUuid = JournalUuid([2; 16]);
    const SHARD: ShardId = ShardId(0);

    fn disk(origin: Origin, first: u64, last: u64) -> JournalState {
        JournalState {
            journal: OURS,
            shard: SHARD,
            origin,
            first_retained: Lsn(first),
            last: Lsn(last),
        }
    }

    fn row(journal: JournalUuid, lsn: u64, sealed: bool) -> Watermark {
        Watermark {
            journal,
            shard: SHARD,
            lsn: Lsn(lsn),
            sealed,
        }
    }

    #[track_caller]
    fn check(journal: JournalState, rows: &[Watermark], expected: Result<(), JournalMismatch>) {
        assert_eq!(compare(&[journal], rows, &[]), expected);
    }

    #[test]
    fn j03_a_new_journal_and_no_watermark() {
        check(disk(Origin::Created, 1, 0), &[], Ok(()));
        check(disk(Origin::Created, 1, 0), &[row(OTHER, 9, true)], Ok(()));
    }

    #[test]
    fn j04_nothing_on_disk_but_a_watermark_of_this_node() {
        let lost = JournalMismatch::Lost {
            journal: OTHER,
            shard: SHARD,
            watermark: Lsn(9),
        };
        let rows = [row(OTHER, 9, false)];
        check(disk(Origin::Created, 1, 0), &rows, Err(lost));
        let named = compare(&[disk(Origin::Created, 1, 0)], &rows, &[OTHER]);
        assert_eq!(named, Ok(()), "the operator has named it");
    }

    #[test]
    fn j18_the_watermark_is_beyond_the_end() {
        let ahead = JournalMismatch::Ahead {
            journal: OURS,
            shard: SHARD,
            last: Lsn(8),
            watermark: Lsn(9),
        };
        check(
            disk(Origin::Recovered, 1, 8),
            &[row(OURS, 9, false)],
            Err(ahead),
        );
        check(
            disk(Origin::Recovered, 1, 9),
            &[row(OURS, 9, false)],
            Ok(()),
        );
    }

    #[test]
    fn j18_another_journal_of_this_node_is_not_sealed() {
        let other = JournalMismatch::Other {
            journal: OTHER,
            shard: SHARD,
            watermark: Lsn(3),
        };
        let rows = [row(OURS, 9, false), row(OTHER, 3, false)];
        check(disk(Origin::Recovered, 1, 9), &rows, Err(other));
        let rows = [row(OURS, 9, false), row(OTHER, 3, true)];
        check(disk(Origin::Recovered, 1, 9), &rows, Ok(()));
    }

    #[test]
    fn j19_rows_would_be_missing() {
        let gap = JournalMismatch::Gap {
            journal: OURS,
            shard: SHARD,
            first: Lsn(11),
            watermark: Lsn(9),
        };
        check(
            disk(Origin::Recovered, 11, 20),
            &[row(OURS, 9, false)],
            Err(gap),
        );
        check(
            disk(Origin::Recovered, 11, 20),
            &[row(OURS, 10, false)],
            Ok(()),
        );
        let unknown = JournalMismatch::Gap {
            journal: OURS,
            shard: SHARD,
            first: Lsn(2),
            watermark: Lsn::ZERO,
        };
        check(disk(Origin::Recovered, 2, 20), &[], Err(unknown));
    }
}
