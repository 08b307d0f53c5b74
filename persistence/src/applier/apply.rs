//! One batch, one PostgreSQL transaction: fence and watermark first, rows, COMMIT.

use std::collections::HashSet;
use std::io::Cursor;
use std::pin::pin;

use domain::ids::{Lsn, TransactionId};
use futures_sink::Sink;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, CopyInSink};

use super::attach::{Key, int2, int8, lsn_of};
use super::batch::{Batch, Poison};
use super::calendar::Calendar;
use super::event::{Place, shard_key};
use super::failure::Failure;
use super::lane::Claim;
use super::projection::Failed;
use super::settings::ApplierSettings;
use super::sql::Sql;
use super::status::Counts;
use super::{posting, stage, words};
use crate::crash::{self, Step};
use crate::identity::JournalUuid;

/// Why a batch did not land, or may not have.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// Not committed, for certain.
    Refused(Failure),
    /// Nobody knows whether it is committed: the watermark says.
    Unknown(Failure),
    /// The compare-and-set found another fence or another LSN.
    Fenced,
    /// PostgreSQL has the records of this batch, at least in part.
    Replay,
    /// PostgreSQL has other records under these LSNs.
    Forked,
}

impl From<tokio_postgres::Error> for ApplyError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<Failure> for ApplyError {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

/// Applies `batch`. On an error the transaction is open or gone: [`roll_back`]. Returns the
/// business days after it.
pub(crate) async fn apply(
    client: &Client,
    sql: &Sql,
    settings: &ApplierSettings,
    claim: &Claim,
    batch: Batch,
) -> Result<(Counts, Calendar), ApplyError> {
    crash::point(Step::BeforeBegin);
    client.batch_execute(&sql.begin).await?;
    advance(client, sql, claim, (batch.from, batch.to)).await?;
    let records = batch.records();
    let mut ledger = batch.ledger;
    let inserted = if claim.replays {
        let lsns = replay_events(client, sql, batch.events).await?;
        ledger.keep_moves(|lsn| lsns.contains(&lsn));
        u64::try_from(lsns.len()).unwrap_or(u64::MAX)
    } else {
        copy_events(client, sql, batch.events).await?
    };
    let mut counts = Counts {
        inserted,
        duplicate: records.saturating_sub(inserted),
        ..Counts::default()
    };
    let mut projection = batch.projection;
    let mut calendar = batch.calendar.clone();
    let accounts = posting::accounts(client, &sql.posting, &ledger.unknown()).await?;
    let posted = ledger.post(&mut calendar, accounts, &settings.fees);
    projection.post(&posted.standing);
    let rows = (projection.len(), projection.requests());
    if rows.0 > 0 {
        let place = Place {
            journal: claim.state.journal,
            shard: claim.state.shard,
            lsn: batch.to,
        };
        let staged = stage::write(&projection, place, &settings.names);
        copy(client, &sql.stage_copy, staged.finish()).await?;
        project(client, sql, rows, &mut counts).await?;
    }
    if !posted.postings.is_empty() {
        let rows = posting::write(&posted.postings, &settings.names);
        copy(client, &sql.posting.copy, rows).await?;
    }
    if calendar != batch.calendar {
        posting::replace_calendar(client, &sql.posting, &Key::of(claim), &calendar).await?;
    }
    if !projection.failed().is_empty() {
        except(client, sql, claim, projection.failed()).await?;
    }
    commit(client).await?;
    Ok((counts, calendar))
}

/// Moves the watermark past one record that the tables refuse, and keeps the record aside.
pub(crate) async fn quarantine(
    client: &Client,
    sql: &Sql,
    claim: &Claim,
    poison: &Poison,
    why: &Failure,
) -> Result<Counts, ApplyError> {
    client.batch_execute(&sql.begin_plain).await?;
    advance(client, sql, claim, (claim.watermark, poison.lsn)).await?;
    let key = Key::of(claim);
    let transaction = uuid_text(poison.transaction);
    let table = why.server().and_then(|server| server.table());
    let constraint = why.server().and_then(|server| server.constraint());
    let parameters: [(&(dyn ToSql + Sync), Type); 10] = [
        (&int2(shard_key(poison.transaction).0), Type::INT2),
        (&key.journal, Type::TEXT),
        (&key.shard, Type::INT4),
        (&int8(poison.lsn), Type::INT8),
        (&transaction, Type::TEXT),
        (&poison.kind, Type::TEXT),
        (&why.sqlstate(), Type::TEXT),
        (&table, Type::TEXT),
        (&constraint, Type::TEXT),
        (&poison.sealed, Type::BYTEA),
    ];
    client
        .execute_typed(&sql.quarantine_insert, &parameters)
        .await?;
    commit(client).await?;
    Ok(Counts {
        quarantined: 1,
        ..Counts::default()
    })
}

/// Leaves the session without a transaction; whether it can be used further.
pub(crate) async fn roll_back(client: &Client) -> bool {
    client.batch_execute("ROLLBACK").await.is_ok()
}

/// The compare-and-set: from where this applier left the watermark, under the fence that it raised.
async fn advance(
    client: &Client,
    sql: &Sql,
    claim: &Claim,
    (from, to): (Lsn, Lsn),
) -> Result<(), ApplyError> {
    let key = Key::of(claim);
    let fence = claim.fence.unwrap_or(-1);
    let rows = client
        .query_typed(
            &sql.watermark_advance,
            &[
                (&key.shard_key, Type::INT2),
                (&key.journal, Type::TEXT),
                (&key.shard, Type::INT4),
                (&int8(to), Type::INT8),
                (&claim.ends_at(to), Type::BOOL),
                (&int8(from), Type::INT8),
                (&fence, Type::INT8),
            ],
        )
        .await?;
    let [row] = rows.as_slice() else {
        return Err(ApplyError::Fenced);
    };
    // A reload of the server's configuration may turn it off under an open connection.
    if row.try_get::<_, &str>(0)? == "off" {
        return Err(ApplyError::Refused(Failure::not_synchronous()));
    }
    Ok(())
}

async fn copy_events(client: &Client, sql: &Sql, events: Vec<u8>) -> Result<u64, ApplyError> {
    match copy(client, &sql.event_copy, events).await {
        Ok(rows) => Ok(rows),
        Err(failure) if is_event_key(&failure) => Err(ApplyError::Replay),
        Err(failure) => Err(ApplyError::Refused(failure)),
    }
}

/// A record is in `event` already: the watermark was moved back without its rows.
fn is_event_key(failure: &Failure) -> bool {
    failure.server().is_some_and(|server| {
        server.code().code() == "23505"
            && server
                .constraint()
                .is_some_and(|name| name.starts_with("event_pkey"))
    })
}

/// Adds the events that are absent; which these are.
async fn replay_events(
    client: &Client,
    sql: &Sql,
    events: Vec<u8>,
) -> Result<HashSet<Lsn>, ApplyError> {
    client.batch_execute(&sql.event_stage).await?;
    copy(client, &sql.event_stage_copy, events).await?;
    let row = client.query_typed_one(&sql.event_forks, &[]).await?;
    if row.try_get::<_, i64>(0)? != 0 {
        return Err(ApplyError::Forked);
    }
    let rows = client.query_typed(&sql.event_from_stage, &[]).await?;
    let lsns = rows.iter().map(|row| row.try_get(0).map(lsn_of));
    let lsns: Result<HashSet<Lsn>, tokio_postgres::Error> = lsns.collect();
    Ok(lsns?)
}

/// Lays the staged rows over `transaction`: first those seen for the first time, then those that
/// are there; doubles and orphans are looked for only when the numbers do not add up.
async fn project(
    client: &Client,
    sql: &Sql,
    (staged, requests): (u64, u64),
    counts: &mut Counts,
) -> Result<(), ApplyError> {
    let mut placed = 0;
    if requests > 0 {
        placed += client.execute_typed(&sql.transaction_insert, &[]).await?;
    }
    if placed == staged {
        return Ok(());
    }
    placed += client.execute_typed(&sql.transaction_merge, &[]).await?;
    if placed < staged && requests > 0 {
        counts.doubles = client.execute_typed(&sql.transaction_double, &[]).await?;
        placed += counts.doubles;
        if counts.doubles > 0 {
            client.execute_typed(&sql.exception_double, &[]).await?;
        }
    }
    if placed < staged {
        counts.orphans = client.execute_typed(&sql.exception_orphan, &[]).await?;
    }
    Ok(())
}

/// Lists reversals and advices that no issuer took: each from its own record, since a later record
/// of the same transaction may have changed its row in this very batch.
async fn except(
    client: &Client,
    sql: &Sql,
    claim: &Claim,
    failed: &[Failed],
) -> Result<(), ApplyError> {
    let key = Key::of(claim);
    let shard_keys: Vec<i16> = failed
        .iter()
        .map(|f| int2(shard_key(f.transaction).0))
        .collect();
    let transactions: Vec<String> = failed.iter().map(|f| uuid_text(f.transaction)).collect();
    let reasons: Vec<&str> = failed.iter().map(|f| words::exception(f)).collect();
    let lsns: Vec<i64> = failed.iter().map(|f| int8(f.lsn)).collect();
    let notes: Vec<Option<&str>> = failed.iter().map(|f| f.note.as_deref()).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 7] = [
        (&key.journal, Type::TEXT),
        (&key.shard, Type::INT4),
        (&shard_keys, Type::INT2_ARRAY),
        (&transactions, Type::TEXT_ARRAY),
        (&reasons, Type::TEXT_ARRAY),
        (&lsns, Type::INT8_ARRAY),
        (&notes, Type::TEXT_ARRAY),
    ];
    client
        .execute_typed(&sql.exception_owed, &parameters)
        .await?;
    Ok(())
}

fn uuid_text(transaction: TransactionId) -> String {
    JournalUuid(transaction.0.to_be_bytes()).to_string()
}

/// Sends `data`, a whole COPY stream.
async fn copy(client: &Client, statement: &str, data: Vec<u8>) -> Result<u64, Failure> {
    let sink: CopyInSink<Cursor<Vec<u8>>> = client.copy_in(statement).await?;
    let mut sink = pin!(sink);
    // A sink that is closed early says why in `finish`.
    let ready = std::future::poll_fn(|context| sink.as_mut().poll_ready(context)).await;
    if ready.is_ok() {
        sink.as_mut().start_send(Cursor::new(data))?;
        crash::point(Step::InsideCopy);
    }
    Ok(sink.as_mut().finish().await?)
}

async fn commit(client: &Client) -> Result<(), ApplyError> {
    #[cfg(feature = "crash-points")]
    commit_and_die(client).await;
    match client.batch_execute("COMMIT").await {
        Ok(()) => {
            crash::point(Step::CommitAnswered);
            Ok(())
        }
        Err(error) => {
            let failure = Failure::from(error);
            if failure.proves_rollback() {
                Err(ApplyError::Refused(failure))
            } else {
                Err(ApplyError::Unknown(failure))
            }
        }
    }
}

/// Lets COMMIT leave, and dies before its answer is read.
#[cfg(feature = "crash-points")]
async fn commit_and_die(client: &Client) {
    if crash::is_due(Step::CommitSent) {
        let commit = client.batch_execute("COMMIT");
        drop(tokio::time::timeout(std::time::Duration::ZERO, commit).await);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        crash::die();
    }
}
