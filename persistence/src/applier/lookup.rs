//! The records of single transactions, for people: read back from `event` and `quarantine`, where
//! they stand as the journal has them. Changes nothing.

use domain::ids::{Lsn, ShardId, TransactionId};
use domain::time::WallTime;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::error::ApplierError;
use super::failure::Failure;
use super::session::{ConnectError, Session};
use super::settings::Server;
use crate::identity::JournalUuid;

/// Which transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// This one; what follows is not looked at then.
    pub id: Option<TransactionId>,
    /// DE37 of the acquirer.
    pub rrn: Option<String>,
    /// DE11 of the acquirer.
    pub stan: Option<u32>,
    /// By name.
    pub acquirer: Option<String>,
    /// Admitted from the first of the two on, and before the second.
    pub admitted: Option<(WallTime, WallTime)>,
}

impl Wanted {
    /// Transactions at most: whoever finds more has to ask for less.
    pub const HITS_MAX: usize = 1_000;
}

/// What PostgreSQL holds, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// The records of all transactions that fit, in the order of their journals and LSNs.
    pub records: Vec<HeldRecord>,
    /// What people have to look at.
    pub exceptions: Vec<HeldException>,
    /// Up to where each shard of each journal has been copied.
    pub watermarks: Vec<(JournalUuid, ShardId, Lsn)>,
    /// Names of acquirers by id, as far as the rows say them.
    pub acquirers: Vec<(u16, String)>,
    /// Names of issuers by id.
    pub issuers: Vec<(u16, String)>,
}

/// One record.
#[derive(Clone, Debug)]
pub struct HeldRecord {
    /// Its journal.
    pub journal: JournalUuid,
    /// Its shard.
    pub shard: ShardId,
    /// Its position.
    pub lsn: Lsn,
    /// The transaction that it belongs to.
    pub transaction: TransactionId,
    /// Its type.
    pub kind: String,
    /// The record as the journal has it; `None` where `event` does not keep it.
    pub bytes: Option<Vec<u8>>,
    /// SQLSTATE with which the tables refused it, if they did.
    pub quarantined: Option<String>,
}

/// One exception.
#[derive(Clone, Debug)]
pub struct HeldException {
    /// The transaction.
    pub transaction: TransactionId,
    /// Why.
    pub reason: String,
    /// When it was written.
    pub raised: WallTime,
    /// When somebody has settled it.
    pub resolved: Option<WallTime>,
    /// What else there is to say.
    pub note: Option<String>,
}

/// Looks for what fits; `None` when the schema has never been migrated.
///
/// # Errors
/// [`ApplierError::Away`], [`ApplierError::Misconfigured`], [`ApplierError::Unreadable`].
pub async fn look_up(server: &Server, wanted: &Wanted) -> Result<Option<Held>, ApplierError> {
    let session = Session::open(server, "njia inspect")
        .await
        .map_err(ConnectError::into_error)?;
    let asked = timeout(server.timeouts.batch, read(&session.client, server, wanted));
    let answer = match asked.await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => Err(Failure::timed_out(
            "looking for the transaction took too long",
        )),
    };
    session.close().await;
    answer.map_err(|failure| ConnectError::Failed(failure).into_error())
}

/// One snapshot: what is beyond a watermark is not in `records`, and nothing is missing below it.
async fn read(
    client: &Client,
    server: &Server,
    wanted: &Wanted,
) -> Result<Option<Held>, tokio_postgres::Error> {
    let s = server.schema.as_str();
    let known = format!("SELECT to_regclass('{s}.watermark') IS NOT NULL");
    let known = client.query_typed_one(&known, &[]).await?;
    if !known.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let begin = format!(
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL statement_timeout = {}",
        server.timeouts.statement.as_millis()
    );
    client.batch_execute(&begin).await?;
    let mut held = Held {
        watermarks: watermarks(client, s).await?,
        ..Held::default()
    };
    let ids = match wanted.id {
        Some(id) => vec![id],
        None => ids(client, s, wanted).await?,
    };
    for id in ids {
        records(client, s, id, &mut held).await?;
        exceptions(client, s, id, &mut held).await?;
        names(client, s, id, &mut held).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(Some(held))
}

async fn watermarks(
    client: &Client,
    s: &str,
) -> Result<Vec<(JournalUuid, ShardId, Lsn)>, tokio_postgres::Error> {
    let sql = format!("SELECT journal::text, shard, lsn FROM {s}.watermark");
    let rows = client.query_typed(&sql, &[]).await?;
    rows.iter().map(place).collect()
}

fn place(row: &Row) -> Result<(JournalUuid, ShardId, Lsn), tokio_postgres::Error> {
    let journal: &str = row.try_get(0)?;
    let shard: i32 = row.try_get(1)?;
    let lsn: i64 = row.try_get(2)?;
    Ok((
        JournalUuid::parse(journal).unwrap_or_default(),
        ShardId(u16::try_from(shard).unwrap_or(u16::MAX)),
        Lsn(u64::try_from(lsn).unwrap_or(0)),
    ))
}

/// There is no index on what a person knows of a transaction: the day narrows nothing but the
/// answer, and the whole table is read.
async fn ids(
    client: &Client,
    s: &str,
    wanted: &Wanted,
) -> Result<Vec<TransactionId>, tokio_postgres::Error> {
    let stan = wanted.stan.map(|stan| i32::try_from(stan).unwrap_or(-1));
    let millis = |at: WallTime| i64::try_from(at.unix_millis()).unwrap_or(i64::MAX);
    let since = wanted.admitted.map(|(since, _)| millis(since));
    let until = wanted.admitted.map(|(_, until)| millis(until));
    let sql = format!(
        "SELECT transaction_id::text FROM {s}.transaction \
         WHERE ($1 IS NULL OR rrn = $1) AND ($2 IS NULL OR stan = $2) \
         AND ($3 IS NULL OR acquirer = $3) \
         AND ($4 IS NULL OR admitted >= to_timestamp($4 / 1000.0)) \
         AND ($5 IS NULL OR admitted < to_timestamp($5 / 1000.0)) \
         ORDER BY admitted, transaction_id LIMIT {}",
        Wanted::HITS_MAX + 1
    );
    let arguments: [(&(dyn ToSql + Sync), Type); 5] = [
        (&wanted.rrn, Type::TEXT),
        (&stan, Type::INT4),
        (&wanted.acquirer, Type::TEXT),
        (&since, Type::INT8),
        (&until, Type::INT8),
    ];
    let rows = client.query_typed(&sql, &arguments).await?;
    rows.iter()
        .map(|row| Ok(id_of(row.try_get(0)?).unwrap_or_default()))
        .collect()
}

fn id_of(text: &str) -> Option<TransactionId> {
    JournalUuid::parse(text).map(|uuid| TransactionId(u128::from_be_bytes(uuid.0)))
}

/// Both tables by their keys.
async fn records(
    client: &Client,
    s: &str,
    id: TransactionId,
    held: &mut Held,
) -> Result<(), tokio_postgres::Error> {
    let sql = format!(
        "SELECT journal::text, shard, lsn, kind, payload, NULL FROM {s}.event \
         WHERE shard_key = $1 AND transaction_id = CAST($2 AS uuid) \
         UNION ALL \
         SELECT journal::text, shard, lsn, kind, sealed, sqlstate FROM {s}.quarantine \
         WHERE shard_key = $1 AND transaction_id = CAST($2 AS uuid) \
         ORDER BY 1, 2, 3"
    );
    for row in &by_id(client, &sql, id).await? {
        let (journal, shard, lsn) = place(row)?;
        held.records.push(HeldRecord {
            journal,
            shard,
            lsn,
            transaction: id,
            kind: row.try_get(3)?,
            bytes: row.try_get(4)?,
            quarantined: row.try_get(5)?,
        });
    }
    Ok(())
}

async fn exceptions(
    client: &Client,
    s: &str,
    id: TransactionId,
    held: &mut Held,
) -> Result<(), tokio_postgres::Error> {
    let sql = format!(
        "SELECT reason, (extract(epoch FROM raised_at) * 1000)::bigint, \
         (extract(epoch FROM resolved_at) * 1000)::bigint, \
         coalesce(note, 'other: ' || other::text) FROM {s}.exception \
         WHERE shard_key = $1 AND transaction_id = CAST($2 AS uuid) ORDER BY raised_at, reason"
    );
    let time = |millis: i64| WallTime::from_unix_millis(u64::try_from(millis).unwrap_or(0));
    for row in &by_id(client, &sql, id).await? {
        held.exceptions.push(HeldException {
            transaction: id,
            reason: row.try_get(0)?,
            raised: time(row.try_get(1)?),
            resolved: row.try_get::<_, Option<i64>>(2)?.map(time),
            note: row.try_get(3)?,
        });
    }
    Ok(())
}

async fn names(
    client: &Client,
    s: &str,
    id: TransactionId,
    held: &mut Held,
) -> Result<(), tokio_postgres::Error> {
    let sql = format!(
        "SELECT acquirer_id, acquirer, issuer_id, issuer FROM {s}.transaction \
         WHERE shard_key = $1 AND transaction_id = CAST($2 AS uuid)"
    );
    let put = |into: &mut Vec<(u16, String)>, id: Option<i32>, name: Option<String>| {
        let id = id.and_then(|id| u16::try_from(id).ok());
        if let (Some(id), Some(name)) = (id, name)
            && !into.iter().any(|(known, _)| *known == id)
        {
            into.push((id, name));
        }
    };
    for row in &by_id(client, &sql, id).await? {
        put(&mut held.acquirers, row.try_get(0)?, row.try_get(1)?);
        put(&mut held.issuers, row.try_get(2)?, row.try_get(3)?);
    }
    Ok(())
}

async fn by_id(
    client: &Client,
    sql: &str,
    id: TransactionId,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let shard_key = i16::try_from(id.slot().0).unwrap_or(0);
    let id = id.to_string();
    client
        .query_typed(sql, &[(&shard_key, Type::INT2), (&id, Type::TEXT)])
        .await
}
