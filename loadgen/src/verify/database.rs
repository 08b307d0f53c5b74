//! What PostgreSQL says, by transaction.

use anyhow::{Context, Result};
use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::{Lsn, TransactionId};
use hashbrown::HashMap;
use tokio_postgres::{Client, NoTls, Row};

use super::journal::Entry;

/// All transactions of one schema.
#[derive(Debug, Default)]
pub struct DatabaseBook {
    pub(super) rows: HashMap<TransactionId, DatabaseRow>,
    /// Transactions that are there twice, or are copies that slipped through.
    pub(super) doubled: Vec<TransactionId>,
    /// Rows of `event` and of `quarantine`.
    pub(super) events: u64,
    pub(super) quarantined: u64,
    pub(super) exceptions: u64,
    /// Rows of `settlement_violation`: what does not sum to zero in the books.
    pub(super) unbalanced: u64,
    /// Last record applied, by shard.
    pub(super) watermarks: HashMap<u16, u64>,
}

/// One transaction.
#[derive(Clone, Debug)]
pub(super) struct DatabaseRow {
    pub(super) amount: Amount,
    pub(super) approved: bool,
    pub(super) code: Option<String>,
    pub(super) authorisation: Option<String>,
    pub(super) answered: Option<u64>,
    pub(super) reversal: bool,
    pub(super) stays: u64,
    /// What stands in the books.
    pub(super) posted: u64,
    /// Whether it is posted at all: an authorisation, an inquiry and a transfer are not.
    pub(super) posts: bool,
}

impl DatabaseBook {
    /// Reads a schema.
    ///
    /// # Errors
    /// The server cannot be reached, or the tables are not those of this version.
    pub fn read(url: &str, schema: &str) -> Result<Self> {
        with_client(url, async |client| {
            client
                .batch_execute(&format!("SET search_path TO {}", quoted(schema)))
                .await?;
            let mut book = Self::default();
            for row in client.query(TRANSACTIONS, &[]).await? {
                book.fold(&row)?;
            }
            for row in client
                .query("SELECT shard, lsn FROM watermark WHERE NOT sealed", &[])
                .await?
            {
                let shard: i32 = row.try_get(0)?;
                let lsn: i64 = row.try_get(1)?;
                book.watermarks
                    .insert(u16::try_from(shard)?, u64::try_from(lsn)?);
            }
            book.quarantined = count(client, "quarantine").await?;
            book.exceptions = count(client, "exception").await?;
            book.unbalanced = count(client, "settlement_violation").await?;
            book.events = count(client, "event").await? + book.quarantined;
            Ok(book)
        })
    }

    fn fold(&mut self, row: &Row) -> Result<()> {
        let id: String = row.try_get("transaction_id")?;
        let id = parse_uuid(&id).context("a transaction id cannot be read")?;
        let currency: i16 = row.try_get("currency")?;
        let currency = Currency::new(u16::try_from(currency)?)?;
        let minor: i64 = row.try_get("amount")?;
        let answered: Option<i64> = row.try_get("answer_amount")?;
        let stays: Option<i64> = row.try_get("replacement")?;
        let posted: Option<i64> = row.try_get("posted")?;
        let reversal: Option<String> = row.try_get("reversal")?;
        let entry = DatabaseRow {
            amount: Amount::new(u64::try_from(minor)?, currency)?,
            approved: row.try_get("approved")?,
            code: row.try_get("code")?,
            authorisation: row.try_get("authorisation")?,
            answered: answered.map(u64::try_from).transpose()?,
            reversal: reversal.is_some(),
            stays: stays.map(u64::try_from).transpose()?.unwrap_or(0),
            posted: posted.map(u64::try_from).transpose()?.unwrap_or(0),
            posts: row.try_get("posts")?,
        };
        let copy: bool = row.try_get("copy")?;
        if self.rows.insert(id, entry).is_some() || copy {
            self.doubled.push(id);
        }
        Ok(())
    }
}

impl DatabaseRow {
    /// Money as PostgreSQL knows it, in minor units.
    pub(super) fn money(&self) -> u64 {
        match (self.approved, self.reversal) {
            (false, _) => 0,
            (true, true) => self.stays,
            (true, false) => self.answered.unwrap_or_else(|| self.amount.minor()),
        }
    }

    /// Whether the books have all of its money, and no other. As the journal agrees with the
    /// issuers' ledgers by transaction, so do the books then.
    pub(super) fn is_posted(&self) -> bool {
        let due = if self.posts { self.money() } else { 0 };
        self.posted == due
    }

    /// Whether it says what the journal says.
    pub(super) fn agrees(&self, entry: &Entry) -> bool {
        let code = entry.code.map(|code| code.to_string());
        let authorisation = self.authorisation.as_deref().unwrap_or_default();
        self.amount == entry.amount
            && self.code == code
            && authorisation == entry.authorisation.as_str()
            && self.reversal == entry.reversal.is_some()
            && self.money() == entry.money()
    }
}

/// Runs `work` with a connection of its own.
///
/// # Errors
/// The server cannot be reached, or what `work` says.
pub(crate) fn with_client<T>(url: &str, work: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // The error of a connection names no password, but the URL does: it is not repeated here.
        let (client, connection) = tokio_postgres::connect(url, NoTls)
            .await
            .context("PostgreSQL cannot be reached")?;
        let pump = tokio::spawn(connection);
        let result = work(&client).await;
        drop(client);
        // Its error, if any, has already failed the work.
        drop(pump.await);
        result
    })
}

/// Drops a schema with everything in it.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub fn drop_schema(url: &str, schema: &str) -> Result<()> {
    with_client(url, async |client| {
        let statement = format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(schema));
        Ok(client.batch_execute(&statement).await?)
    })
}

/// Whether the records of a journal up to `last`, as [`super::last_records`] gives them,
/// have been applied to a schema.
///
/// # Errors
/// The server cannot be read.
pub fn is_applied(url: &str, schema: &str, last: &[(u16, Lsn)]) -> Result<bool> {
    with_client(url, async |client| {
        let statement = format!(
            "SELECT shard, lsn FROM {}.watermark WHERE NOT sealed",
            quoted(schema)
        );
        let mut applied = HashMap::new();
        for row in client.query(&statement, &[]).await? {
            let (shard, lsn): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
            applied.insert(u16::try_from(shard)?, u64::try_from(lsn)?);
        }
        Ok(last
            .iter()
            .all(|(shard, lsn)| applied.get(shard).copied().unwrap_or_default() >= lsn.0))
    })
}

/// An identifier of ours between quotes.
pub(crate) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

async fn count(client: &Client, table: &str) -> Result<u64> {
    let row = client
        .query_one(&format!("SELECT count(*) FROM {table}"), &[])
        .await?;
    let count: i64 = row.try_get(0)?;
    Ok(u64::try_from(count)?)
}

fn parse_uuid(text: &str) -> Option<TransactionId> {
    let digits = text.replace('-', "");
    if digits.len() != 32 {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(TransactionId)
}

const TRANSACTIONS: &str = "SELECT transaction_id::text AS transaction_id, amount, currency, \
    approved, code, authorisation, answer_amount, replacement, reversal, posted, \
    class = 'financial' AND left(processing_code, 1) NOT IN ('3', '4') AS posts, \
    duplicate_of IS NOT NULL AS copy FROM transaction";
