//! The books in PostgreSQL: what has to be read before a batch can be posted, the entries on their
//! way into `posting`, and the calendar beside the watermark.

use std::collections::HashMap;

use domain::Amount;
use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId, TransactionId};
use domain::network::SettlementDate;
use domain::reconciliation::kind_of;
use domain::request::MessageClass;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row as PgRow};

use super::attach::{Key, int2};
use super::calendar::{Calendar, Closed, Day, party_columns, party_of};

use super::event::shard_key;
use super::failure::Failure;
use super::ledger::{Account, Between, Book, Posting, Standing};
use super::load::Insert;
use super::rows::{Row, RowBuffer};
use super::settings::{Names, SchemaName, Strategy};
use super::table::Column;
use super::words;
use crate::identity::JournalUuid;

/// The columns of `posting`, in the order in which [`write`] fills them.
const COLUMNS: [Column; 11] = [
    Column::int2("shard_key"),
    Column::uuid("transaction_id"),
    Column::int2("entry"),
    Column::date("date"),
    Column::int2("currency"),
    Column::text("account"),
    Column::int4("party_id"),
    Column::text("party"),
    Column::text("effect"),
    Column::int8("amount"),
    Column::time("at"),
];

/// The statements of the books.
#[derive(Debug)]
pub(crate) struct PostingSql {
    pub(crate) entries: Insert,
    pub(crate) accounts: String,
    days: String,
    closed: String,
    days_clear: String,
    closed_clear: String,
    days_insert: String,
    closed_insert: String,
}

impl PostingSql {
    pub(crate) fn new(schema: &SchemaName, strategy: Strategy) -> Self {
        const KEY: &str = "shard_key = $1 AND journal = CAST($2 AS uuid) AND shard = $3";
        let s = schema.as_str();
        Self {
            // An entry that is there already is a fault, never to be passed over.
            entries: Insert::new(strategy, &format!("{s}.posting"), COLUMNS, ""),
            accounts: format!(
                "SELECT f.place, CAST(t.acquirer_id AS int4), CAST(t.issuer_id AS int4), \
                 t.processing_code, t.amount, t.currency, t.posted, t.fee, t.entries \
                 FROM unnest($1, $2) WITH ORDINALITY AS f (shard_key, transaction_id, place) \
                 JOIN {s}.transaction AS t ON t.shard_key = f.shard_key \
                 AND t.transaction_id = CAST(f.transaction_id AS uuid) \
                 WHERE t.class = 'financial' AND t.issuer_id IS NOT NULL"
            ),
            days: format!(
                "SELECT party, CAST(party_id AS int4), CAST(date - DATE '1970-01-01' AS int4), \
                 CAST(closed - DATE '1970-01-01' AS int4) \
                 FROM {s}.business_day WHERE {KEY} ORDER BY party, party_id"
            ),
            closed: format!(
                "SELECT party, CAST(party_id AS int4), CAST(date - DATE '1970-01-01' AS int4), \
                 currency FROM {s}.closed_day WHERE {KEY} ORDER BY party, party_id, date, currency"
            ),
            days_clear: format!("DELETE FROM {s}.business_day WHERE {KEY}"),
            closed_clear: format!("DELETE FROM {s}.closed_day WHERE {KEY}"),
            days_insert: format!(
                "INSERT INTO {s}.business_day \
                 (shard_key, journal, shard, party, party_id, date, closed) \
                 SELECT $1, CAST($2 AS uuid), $3, f.party, f.party_id, \
                 DATE '1970-01-01' + f.date, DATE '1970-01-01' + f.closed \
                 FROM unnest($4, $5, $6, $7) AS f (party, party_id, date, closed)"
            ),
            closed_insert: format!(
                "INSERT INTO {s}.closed_day \
                 (shard_key, journal, shard, party, party_id, date, currency) \
                 SELECT $1, CAST($2 AS uuid), $3, f.party, f.party_id, \
                 DATE '1970-01-01' + f.date, f.currency \
                 FROM unnest($4, $5, $6, $7) AS f (party, party_id, date, currency)"
            ),
        }
    }
}

/// What PostgreSQL has of `transactions`; those that are absent, or post nothing, are left out.
pub(crate) async fn accounts(
    client: &Client,
    sql: &PostingSql,
    transactions: &[TransactionId],
) -> Result<HashMap<TransactionId, Account>, Failure> {
    if transactions.is_empty() {
        return Ok(HashMap::new());
    }
    let shard_keys: Vec<i16> = transactions
        .iter()
        .map(|transaction| int2(shard_key(*transaction).0))
        .collect();
    let ids: Vec<String> = transactions
        .iter()
        .map(|transaction| JournalUuid(transaction.0.to_be_bytes()).to_string())
        .collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&shard_keys, Type::INT2_ARRAY), (&ids, Type::TEXT_ARRAY)];
    let rows = client.query_typed(&sql.accounts, &parameters).await?;
    let mut accounts = HashMap::with_capacity(rows.len());
    for row in &rows {
        let place: i64 = row.try_get(0)?;
        let place = usize::try_from(place).unwrap_or(0).checked_sub(1);
        let transaction = place.and_then(|place| transactions.get(place));
        if let (Some(transaction), Some(account)) = (transaction, account(row)?) {
            accounts.insert(*transaction, account);
        }
    }
    Ok(accounts)
}

/// `None` where the row says what no journal could: nothing is posted on a guess.
fn account(row: &PgRow) -> Result<Option<Account>, tokio_postgres::Error> {
    let id = |number: i32| u16::try_from(number).unwrap_or(u16::MAX);
    let processing_code: &str = row.try_get(3)?;
    let currency = currency_of(row.try_get(5)?);
    let asked =
        currency.and_then(|currency| Amount::new(minor(row.try_get(4).ok()), currency).ok());
    let posted: Option<i64> = row.try_get(6)?;
    let entries: Option<i16> = row.try_get(8)?;
    let standing = posted.map(|posted| Standing {
        amount: minor(Some(posted)),
        fee: 0,
        entries: entries
            .and_then(|last| u16::try_from(last).ok())
            .unwrap_or(0),
    });
    let fee: Option<i64> = row.try_get(7)?;
    let standing = standing.map(|standing| Standing {
        fee: minor(fee),
        ..standing
    });
    let (acquirer, issuer) = (id(row.try_get(1)?), id(row.try_get(2)?));
    Ok(asked.map(|asked| Account {
        between: Between {
            acquirer: AcquirerId(acquirer),
            issuer: IssuerId(issuer),
            kind: kind_of(MessageClass::Financial, processing_code.as_bytes()),
            asked,
        },
        standing,
    }))
}

fn minor(number: Option<i64>) -> u64 {
    number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0)
}

fn currency_of(code: i16) -> Option<Currency> {
    u16::try_from(code)
        .ok()
        .and_then(|code| Currency::new(code).ok())
}

/// The rows of `postings`.
pub(crate) fn write(postings: &[Posting], names: &Names) -> RowBuffer {
    const ROW_BYTES: usize = 160;
    let mut buffer = RowBuffer::new(postings.len() * ROW_BYTES);
    for posting in postings {
        let mut row = buffer.row(COLUMNS.len());
        row.int2(shard_key(posting.transaction).0);
        row.uuid(posting.transaction.0.to_be_bytes());
        row.int2(posting.entry);
        row.date(posting.date);
        row.int2(posting.currency.code());
        write_account(&mut row, posting.account, names);
        row.text(words::effect(posting.effect));
        row.signed(posting.amount);
        row.time(posting.at);
        row.end();
    }
    buffer
}

fn write_account(row: &mut Row<'_>, account: Book, names: &Names) {
    let (word, party) = match account {
        Book::Acquirer(id) => ("acquirer", Some((id.0, names.acquirer(id)))),
        Book::Issuer(id) => ("issuer", Some((id.0, names.issuer(id)))),
        Book::Fee(id) => ("fee", Some((id.0, names.acquirer(id)))),
        Book::Transit => ("transit", None),
    };
    row.text(word);
    row.option(party.map(|(id, _)| u32::from(id)), Row::int4);
    row.option(party.map(|(_, name)| name), Row::text);
}

/// The calendar of a lane, as of its watermark.
pub(crate) async fn calendar(
    client: &Client,
    sql: &PostingSql,
    key: &Key,
) -> Result<Calendar, tokio_postgres::Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
        (&key.shard_key, Type::INT2),
        (&key.journal, Type::TEXT),
        (&key.shard, Type::INT4),
    ];
    let party = |row: &PgRow| Ok(party_of(row.try_get(0)?, row.try_get(1)?));
    let days = client.query_typed(&sql.days, &parameters).await?;
    let days: Result<Vec<Day>, tokio_postgres::Error> = days
        .iter()
        .map(|row| {
            Ok(Day {
                party: party(row)?,
                date: date_of(row.try_get(2)?),
                closed: row.try_get::<_, Option<i32>>(3)?.map(date_of),
            })
        })
        .collect();
    let closed = client.query_typed(&sql.closed, &parameters).await?;
    let mut shut = Vec::with_capacity(closed.len());
    for row in &closed {
        if let Some(currency) = currency_of(row.try_get(3)?) {
            shut.push(Closed {
                party: party(row)?,
                date: date_of(row.try_get(2)?),
                currency,
            });
        }
    }
    Ok(Calendar::new(days?, shut))
}

/// Puts the calendar of a lane in the place of the one before: a few rows, at a cut-over.
pub(crate) async fn replace_calendar(
    client: &Client,
    sql: &PostingSql,
    key: &Key,
    calendar: &Calendar,
) -> Result<(), Failure> {
    let place: [(&(dyn ToSql + Sync), Type); 3] = [
        (&key.shard_key, Type::INT2),
        (&key.journal, Type::TEXT),
        (&key.shard, Type::INT4),
    ];
    client.execute_typed(&sql.days_clear, &place).await?;
    client.execute_typed(&sql.closed_clear, &place).await?;
    let days = calendar.days();
    let parties: Vec<&str> = days.iter().map(|day| party_columns(day.party).0).collect();
    let ids: Vec<i32> = days
        .iter()
        .map(|day| party_columns(day.party).1.into())
        .collect();
    let dates: Vec<i32> = days.iter().map(|day| number_of(day.date)).collect();
    let closed: Vec<Option<i32>> = days.iter().map(|day| day.closed.map(number_of)).collect();
    let mut rows = place.to_vec();
    rows.extend([
        (&parties as &(dyn ToSql + Sync), Type::TEXT_ARRAY),
        (&ids, Type::INT4_ARRAY),
        (&dates, Type::INT4_ARRAY),
        (&closed, Type::INT4_ARRAY),
    ]);
    client.execute_typed(&sql.days_insert, &rows).await?;
    let shut = calendar.closed();
    let parties: Vec<&str> = shut.iter().map(|one| party_columns(one.party).0).collect();
    let ids: Vec<i32> = shut
        .iter()
        .map(|one| party_columns(one.party).1.into())
        .collect();
    let dates: Vec<i32> = shut.iter().map(|one| number_of(one.date)).collect();
    let currencies: Vec<i16> = shut.iter().map(|one| int2(one.currency.code())).collect();
    let mut rows = place.to_vec();
    rows.extend([
        (&parties as &(dyn ToSql + Sync), Type::TEXT_ARRAY),
        (&ids, Type::INT4_ARRAY),
        (&dates, Type::INT4_ARRAY),
        (&currencies, Type::INT2_ARRAY),
    ]);
    client.execute_typed(&sql.closed_insert, &rows).await?;
    Ok(())
}

fn date_of(days: i32) -> SettlementDate {
    SettlementDate::from_days(u32::try_from(days).unwrap_or(0))
}

/// Days since 1 January 1970. A day that no `date` holds is no day of a payment.
fn number_of(date: SettlementDate) -> i32 {
    i32::try_from(date.days()).unwrap_or(i32::MAX)
}
