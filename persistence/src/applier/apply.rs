//! One batch, one PostgreSQL transaction: fence and watermark first, rows, COMMIT.

use std::collections::HashSet;

use domain::ids::{Lsn, TransactionId};
use domain::reconciliation::Party;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::attach::{Key, int2, int8, lsn_of};
use super::batch::{Batch, Poison};
use super::calendar::Calendar;
use super::event::{Place, shard_key};
use super::failure::Failure;
use super::lane::Claim;
use super::load::{Insert, Loaded};
use super::projection::{Failed, Projection, Staged};
use super::rows::RowBuffer;
use super::settings::{ApplierSettings, Names};
use super::sql::Sql;
use super::stage::Use;
use super::status::Counts;
use super::{posting, stage, words};
use crate::crash::{self, Step};
use crate::identity::JournalUuid;

/// Up to one row in so many is looked for before it is added, and so many in any case.
const RESUMED_SHARE: usize = 8;
const RESUMED_MIN: usize = 16;

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
    /// A transaction of the batch, or its business key, is there already.
    Collides,
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
    client.batch_execute(&sql.begin_batch).await?;
    advance(client, sql, claim, (batch.from, batch.to)).await?;
    let records = batch.fresh;
    let mut ledger = batch.ledger;
    let inserted = if claim.replays {
        let lsns = replay_events(client, sql, batch.events).await?;
        ledger.keep_moves(|lsn| lsns.contains(&lsn));
        u64::try_from(lsns.len()).unwrap_or(u64::MAX)
    } else {
        insert_events(client, sql, batch.events, records).await?
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
    let place = Place {
        journal: claim.state.journal,
        shard: claim.state.shard,
        lsn: batch.to,
    };
    let lay = Lay {
        client,
        sql,
        place,
        names: &settings.names,
    };
    lay.add(&projection, claim, &mut counts).await?;
    lay.merge(&projection, &mut counts).await?;
    if !posted.postings.is_empty() {
        let rows = posting::write(&posted.postings, &settings.names);
        sql.posting.entries.run(client, rows).await?;
    }
    if calendar != batch.calendar {
        posting::replace_calendar(client, &sql.posting, &Key::of(claim), &calendar).await?;
    }
    if !projection.failed().is_empty() {
        except(&lay, claim, projection.failed()).await?;
    }
    commit(client).await?;
    Ok((counts, calendar))
}

//= docs/rules.md#J-07
/// Moves the watermark past one record that the tables refuse, and keeps the record aside.
pub(crate) async fn quarantine(
    client: &Client,
    sql: &Sql,
    claim: &Claim,
    poison: &Poison,
    why: &Failure,
) -> Result<Counts, ApplyError> {
    client.batch_execute(&sql.begin).await?;
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

//= docs/rules.md#J-06
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

async fn insert_events(
    client: &Client,
    sql: &Sql,
    events: RowBuffer,
    records: u64,
) -> Result<u64, ApplyError> {
    match sql.event.run(client, events).await {
        Ok(rows) if rows < records => Err(ApplyError::Replay),
        Ok(rows) => Ok(rows),
        Err(failure) if is_event_key(&failure) => Err(ApplyError::Replay),
        Err(failure) => Err(ApplyError::Refused(failure)),
    }
}

/// A record is in `event` already: the watermark was moved back without its rows. The key is that
/// of the table of a day, as `event_20260131_pkey`.
fn is_event_key(failure: &Failure) -> bool {
    is_key(failure, |key| {
        key.starts_with("event_") && key.contains("_pkey") || key.starts_with("event_pkey")
    })
}

/// A key of ours refuses a row; those that somebody else has made are none of them.
fn is_key(failure: &Failure, is_ours: impl Fn(&str) -> bool) -> bool {
    failure.server().is_some_and(|server| {
        server.code().code() == "23505" && is_ours(server.constraint().unwrap_or_default())
    })
}

/// Adds the events that are absent; which these are.
async fn replay_events(
    client: &Client,
    sql: &Sql,
    events: RowBuffer,
) -> Result<HashSet<Lsn>, ApplyError> {
    let staged = sql.event_stage.load(&events);
    let forks = staged.query(client, &sql.event_forks).await?;
    let forked = forks.first().map(|row| row.try_get::<_, i64>(0));
    if forked.transpose()? != Some(0) {
        return Err(ApplyError::Forked);
    }
    let rows = staged.query(client, &sql.event_from_stage).await?;
    let lsns = rows.iter().map(|row| row.try_get(0).map(lsn_of));
    let lsns: Result<HashSet<Lsn>, tokio_postgres::Error> = lsns.collect();
    Ok(lsns?)
}

/// Lays what a batch sets over `transaction`.
struct Lay<'a> {
    client: &'a Client,
    sql: &'a Sql,
    place: Place,
    names: &'a Names,
}

impl Lay<'_> {
    /// Adds the transactions that the batch asks for. Those that are there, and doubles, are looked
    /// for only where there may be some.
    async fn add(
        &self,
        projection: &Projection,
        claim: &Claim,
        counts: &mut Counts,
    ) -> Result<(), ApplyError> {
        let sql = self.sql;
        if claim.replays || claim.collides {
            let all = || projection.requested();
            return self.lay(all, &sql.transaction_or_not, counts).await;
        }
        let (begun, resumed) = (projection.begun().count(), projection.resumed().count());
        // While the first candidate of a route is not tried, every row looks resumed, and is not.
        if resumed > RESUMED_MIN.max(begun / RESUMED_SHARE) {
            let all = || projection.requested();
            return self.lay(all, &sql.transaction, counts).await;
        }
        let begun = || projection.begun();
        self.lay(begun, &sql.transaction, counts).await?;
        let resumed = || projection.resumed();
        self.lay(resumed, &sql.transaction_or_not, counts).await
    }

    /// Adds rows; lays those that are there already over them, and lists doubles.
    async fn lay<'p, I: Iterator<Item = &'p Staged>>(
        &self,
        staged: impl Fn() -> I,
        into: &Insert,
        counts: &mut Counts,
    ) -> Result<(), ApplyError> {
        let (client, sql) = (self.client, self.sql);
        let rows = stage::write(staged(), Use::Add, self.place, self.names);
        let asked = rows.rows();
        if asked == 0 {
            return Ok(());
        }
        let mut placed = match into.run(client, rows).await {
            Ok(placed) => placed,
            Err(failure) if is_transaction_key(&failure) => return Err(ApplyError::Collides),
            Err(failure) => return Err(ApplyError::Refused(failure)),
        };
        if placed == asked {
            return Ok(());
        }
        let rows = self.load(staged());
        placed += rows.execute(client, &sql.transaction_merge).await?;
        if placed < asked {
            let doubles = rows.execute(client, &sql.transaction_double).await?;
            if doubles > 0 {
                rows.execute(client, &sql.exception_double).await?;
            }
            counts.doubles += doubles;
        }
        Ok(())
    }

    /// Lays the others over the rows that are there; orphans are looked for only when the numbers
    /// do not add up.
    async fn merge(&self, projection: &Projection, counts: &mut Counts) -> Result<(), ApplyError> {
        let continued = u64::try_from(projection.continued().count()).unwrap_or(u64::MAX);
        if continued == 0 {
            return Ok(());
        }
        let (client, sql) = (self.client, self.sql);
        let rows = self.load(projection.continued());
        let placed = rows.execute(client, &sql.transaction_merge).await?;
        if placed < continued {
            counts.orphans = rows.execute(client, &sql.exception_orphan).await?;
        }
        Ok(())
    }

    fn load<'p>(&self, staged: impl Iterator<Item = &'p Staged>) -> Loaded {
        let rows = stage::write(staged, Use::Lay, self.place, self.names);
        self.sql.stage.load(&rows)
    }
}

/// A transaction is there already, or another one has its business key.
fn is_transaction_key(failure: &Failure) -> bool {
    let ours = ["transaction_pkey", "transaction_business_key"];
    is_key(failure, |key| ours.iter().any(|ours| key.starts_with(ours)))
}

/// Lists what a person has to look at: each from its own record, since a later record of the same
/// transaction may have changed its row in this very batch. Laid twice it changes nothing.
async fn except(lay: &Lay<'_>, claim: &Claim, failed: &[Failed]) -> Result<(), ApplyError> {
    let answers = failed.iter().filter(|failed| failed.approves().is_some());
    let (answers, others): (Vec<&Failed>, Vec<&Failed>) = (
        answers.collect(),
        failed
            .iter()
            .filter(|failed| failed.approves().is_none())
            .collect(),
    );
    list(lay, claim, &lay.sql.exception_owed, &others).await?;
    list(lay, claim, &lay.sql.exception_answer, &answers).await
}

/// Second answers alone say what they say of the transaction.
async fn list(
    lay: &Lay<'_>,
    claim: &Claim,
    statement: &str,
    failed: &[&Failed],
) -> Result<(), ApplyError> {
    if failed.is_empty() {
        return Ok(());
    }
    let key = Key::of(claim);
    let shard_keys: Vec<i16> = failed
        .iter()
        .map(|f| int2(shard_key(f.transaction).0))
        .collect();
    let transactions: Vec<String> = failed.iter().map(|f| uuid_text(f.transaction)).collect();
    let reasons: Vec<&str> = failed.iter().map(|f| words::exception(f)).collect();
    let lsns: Vec<i64> = failed.iter().map(|f| int8(f.lsn)).collect();
    let notes: Vec<Option<String>> = failed.iter().map(|f| note(f, lay.names)).collect();
    let approves: Vec<bool> = failed.iter().filter_map(|f| f.approves()).collect();
    let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
        (&key.journal, Type::TEXT),
        (&key.shard, Type::INT4),
        (&shard_keys, Type::INT2_ARRAY),
        (&transactions, Type::TEXT_ARRAY),
        (&reasons, Type::TEXT_ARRAY),
        (&lsns, Type::INT8_ARRAY),
        (&notes, Type::TEXT_ARRAY),
    ];
    if !approves.is_empty() {
        debug_assert_eq!(approves.len(), failed.len());
        parameters.push((&approves, Type::BOOL_ARRAY));
    }
    lay.client.execute_typed(statement, &parameters).await?;
    Ok(())
}

/// What a person needs to act on it, with the name of whom it is with.
fn note(failed: &Failed, names: &Names) -> Option<String> {
    let (side, name) = match failed.party {
        Some(Party::Acquirer(id)) => ("acquirer", names.acquirers.get(usize::from(id.0))),
        Some(Party::Issuer(id)) => ("issuer", names.issuers.get(usize::from(id.0))),
        None => return failed.said(),
    };
    let name = name.map_or("?", String::as_str);
    let note = failed.said().unwrap_or_default();
    Some(format!("{side} {name}: {note}"))
}

fn uuid_text(transaction: TransactionId) -> String {
    JournalUuid(transaction.0.to_be_bytes()).to_string()
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
