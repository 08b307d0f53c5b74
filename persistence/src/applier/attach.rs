//! Taking the watermarks over after connecting: compare, raise the fences, read where they stand.
//!
//! | owner in the row | fence in the row | meaning | done |
//! |---|---|---|---|
//! | any | any, first connection of this start | take-over | raised |
//! | this start | any | only the connection was lost | raised |
//! | another | ≥ ours | another applier has taken over | stop |
//! | another | < ours | the server went back (failover): our take-over is lost | raised |
//!
//! Locking the row waits for whatever an earlier connection of ours still has under way, so what is
//! read afterwards is final.

use domain::ids::{Lsn, ShardId};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::calendar::Calendar;
use super::error::{ApplierError, JournalMismatch};
use super::failure::Failure;
use super::lane::Claim;
use super::posting;
use super::settings::ApplierSettings;
use super::sql::Sql;
use super::verdict::{JournalState, Watermark, compare};
use crate::identity::JournalUuid;

/// Why the watermarks could not be taken over.
#[derive(Debug)]
pub(crate) enum AttachError {
    /// Try again.
    Failed(Failure),
    /// Stop.
    Stop(ApplierError),
}

impl From<tokio_postgres::Error> for AttachError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<JournalMismatch> for AttachError {
    fn from(mismatch: JournalMismatch) -> Self {
        Self::Stop(mismatch.into())
    }
}

/// What a lane found: where its watermark stands, the fence that it raised, and the business days.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) lsn: Lsn,
    pub(crate) fence: i64,
    pub(crate) calendar: Calendar,
}

/// Takes over the watermarks of all lanes in one transaction. The lanes change only when it has
/// committed, and not here.
pub(crate) async fn attach(
    client: &Client,
    sql: &Sql,
    settings: &ApplierSettings,
    claims: &[Claim],
) -> Result<Vec<Attached>, AttachError> {
    check_durability(client)
        .await
        .map_err(AttachError::Failed)?;
    client.batch_execute(&sql.begin).await?;
    let known = watermarks(client, sql, settings).await?;
    let states: Vec<JournalState> = claims.iter().map(|claim| claim.state).collect();
    compare(&states, &known, &settings.accept_lost)?;
    seal_lost(client, sql, settings).await?;
    let mut attached = Vec::with_capacity(claims.len());
    for claim in claims {
        attached.push(take_over(client, sql, settings, claim).await?);
    }
    client.batch_execute("COMMIT").await?;
    Ok(attached)
}

/// The watermarks of this node, as they stand.
pub(crate) async fn watermarks(
    client: &Client,
    sql: &Sql,
    settings: &ApplierSettings,
) -> Result<Vec<Watermark>, tokio_postgres::Error> {
    let node = int2(settings.node.0);
    let rows = client
        .query_typed(&sql.watermarks, &[(&node, Type::INT2)])
        .await?;
    rows.iter()
        .map(|row| {
            let journal: &str = row.try_get(0)?;
            Ok(Watermark {
                journal: JournalUuid::parse(journal).unwrap_or_default(),
                shard: ShardId(u16::try_from(row.try_get::<_, i32>(1)?).unwrap_or(u16::MAX)),
                lsn: lsn_of(row.try_get(2)?),
                sealed: row.try_get(3)?,
            })
        })
        .collect()
}

/// An acknowledged COMMIT that a crash of the server may undo is no COMMIT.
async fn check_durability(client: &Client) -> Result<(), Failure> {
    let sql = "SELECT current_setting('synchronous_commit')";
    let row = client.query_typed_one(sql, &[]).await?;
    if row.try_get::<_, &str>(0)? == "off" {
        return Err(Failure::not_synchronous());
    }
    Ok(())
}

async fn seal_lost(
    client: &Client,
    sql: &Sql,
    settings: &ApplierSettings,
) -> Result<(), tokio_postgres::Error> {
    let node = int2(settings.node.0);
    for journal in &settings.accept_lost {
        let name = journal.to_string();
        let rows = client
            .query_typed(
                &sql.watermark_seal_lost,
                &[(&node, Type::INT2), (&name, Type::TEXT)],
            )
            .await?;
        debug_assert!(rows.is_empty(), "an update without RETURNING has no rows");
    }
    Ok(())
}

async fn take_over(
    client: &Client,
    sql: &Sql,
    settings: &ApplierSettings,
    claim: &Claim,
) -> Result<Attached, AttachError> {
    let node = int2(settings.node.0);
    let key = Key::of(claim);
    let owner = JournalUuid(settings.owner.to_be_bytes()).to_string();
    client
        .query_typed(
            &sql.watermark_insert,
            &[
                (&key.shard_key, Type::INT2),
                (&key.journal, Type::TEXT),
                (&key.shard, Type::INT4),
                (&node, Type::INT2),
                (&owner, Type::TEXT),
            ],
        )
        .await?;
    let row = client
        .query_typed_one(
            &sql.watermark_lock,
            &[
                (&key.shard_key, Type::INT2),
                (&key.journal, Type::TEXT),
                (&key.shard, Type::INT4),
            ],
        )
        .await?;
    let found = Found {
        lsn: lsn_of(row.try_get(0)?),
        fence: row.try_get(1)?,
        ours: row.try_get::<_, &str>(2)? == owner,
    };
    let fence = decide(claim, &found).map_err(AttachError::Stop)?;
    let calendar = posting::calendar(client, &sql.posting, &key).await?;
    let sealed = claim.ends_at(found.lsn);
    client
        .query_typed(
            &sql.watermark_fence,
            &[
                (&key.shard_key, Type::INT2),
                (&key.journal, Type::TEXT),
                (&key.shard, Type::INT4),
                (&fence, Type::INT8),
                (&owner, Type::TEXT),
                (&sealed, Type::BOOL),
            ],
        )
        .await?;
    Ok(Attached {
        lsn: found.lsn,
        fence,
        calendar,
    })
}

/// What stands in a lane's row.
#[derive(Clone, Copy, Debug)]
struct Found {
    lsn: Lsn,
    fence: i64,
    /// Whether this start of this process raised that fence.
    ours: bool,
}

/// The table above, and where the watermark may stand: the fence to raise.
fn decide(claim: &Claim, found: &Found) -> Result<i64, ApplierError> {
    let JournalState { journal, shard, .. } = claim.state;
    let ours = claim.fence.unwrap_or(0);
    if let Some(fence) = claim.fence {
        if !found.ours && found.fence >= fence {
            return Err(ApplierError::Superseded { journal, shard });
        }
        let expected = claim.watermark;
        if found.lsn > expected && claim.unknown != Some(found.lsn) {
            return Err(ApplierError::WatermarkMoved {
                journal,
                shard,
                expected,
                found: found.lsn,
            });
        }
    }
    Ok(found.fence.max(ours).saturating_add(1))
}

/// The key of a lane's row, as parameters. The row's `shard_key` is the shard's number: any
/// function of the key does.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) shard_key: i16,
    pub(crate) journal: String,
    pub(crate) shard: i32,
}

impl Key {
    pub(crate) fn of(claim: &Claim) -> Self {
        let JournalState { journal, shard, .. } = claim.state;
        Self {
            shard_key: int2(shard.0),
            journal: journal.to_string(),
            shard: i32::from(shard.0),
        }
    }
}

/// For numbers that their type bounds far below the column's.
pub(crate) fn int2(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

pub(crate) fn int8(lsn: Lsn) -> i64 {
    i64::try_from(lsn.0).unwrap_or(i64::MAX)
}

pub(crate) fn lsn_of(number: i64) -> Lsn {
    Lsn(u64::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applier::source::Origin;

    const START: Claim = Claim {
        state: JournalState {
            journal: JournalUuid([1; 16]),
            shard: ShardId(0),
            origin: Origin::Recovered,
            first_retained: Lsn(1),
            last: Lsn(100),
        },
        watermark: Lsn(50),
        fence: Some(7),
        unknown: Some(Lsn(60)),
        end: None,
        replays: false,
        collides: false,
    };

    fn found(lsn: u64, fence: i64, ours: bool) -> Found {
        Found {
            lsn: Lsn(lsn),
            fence,
            ours,
        }
    }

    #[track_caller]
    fn raised(claim: &Claim, row: Found, fence: i64) {
        assert_eq!(decide(claim, &row).unwrap(), fence);
    }

    #[test]
    fn the_first_connection_of_a_start_takes_over() {
        let first = Claim {
            fence: None,
            watermark: Lsn::ZERO,
            unknown: None,
            ..START
        };
        raised(&first, found(90, 4, false), 5);
        raised(&first, found(0, 0, true), 1);
    }

    #[test]
    fn an_unknown_commit_is_old_or_new_and_nothing_else() {
        raised(&START, found(50, 7, true), 8);
        raised(&START, found(60, 7, true), 8);
        let moved = decide(&START, &found(55, 7, true));
        assert!(matches!(moved, Err(ApplierError::WatermarkMoved { .. })));
        let moved = decide(&START, &found(61, 7, true));
        assert!(matches!(moved, Err(ApplierError::WatermarkMoved { .. })));
    }

    #[test]
    fn a_higher_or_equal_fence_of_another_stops_this_one() {
        for fence in [7, 8, 1000] {
            let lost = decide(&START, &found(50, fence, false));
            assert!(matches!(lost, Err(ApplierError::Superseded { .. })));
        }
    }

    #[test]
    fn a_server_that_went_back_is_taken_over_again() {
        raised(&START, found(30, 6, false), 8);
        raised(&START, found(0, 0, false), 8);
        raised(&START, found(30, 7, true), 8);
    }
}
