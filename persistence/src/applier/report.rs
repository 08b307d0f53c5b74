//! What people ask of the books: positions of a day, and what an issuer's file is compared with.

use domain::currency::Currency;
use domain::error::InvalidValue;
use domain::network::SettlementDate;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::error::ApplierError;
use super::failure::Failure;
use super::session::{ConnectError, Session};
use super::settings::Server;

/// What one party is due for one day in one currency; minor units, negative when it owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The currency.
    pub currency: Currency,
    /// `acquirer`, `issuer`, `fee` or `transit`.
    pub account: String,
    /// Its name; none for `transit`.
    pub party: Option<String>,
    /// Entries of approvals.
    pub approvals: i64,
    /// Entries of reversals.
    pub reversals: i64,
    /// Sum of the former.
    pub approved: i64,
    /// Sum of the latter.
    pub reversed: i64,
    /// Both together.
    pub position: i64,
}

/// The books of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// By currency, account and party.
    pub positions: Vec<Position>,
    /// Rows of `settlement_violation` for this day: none, or the tables are at fault.
    pub violations: i64,
}

/// What one transaction moved with an issuer on one day: what the issuer owes for it, in minor
/// units; negative where it is due money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerItem {
    /// Its id.
    pub transaction: String,
    /// DE37; empty when it had none.
    pub rrn: String,
    /// DE11 of the issuer's leg.
    pub stan: u32,
    /// The currency.
    pub currency: Currency,
    /// Approvals less reversals of the day.
    pub amount: i64,
}

/// The positions of `date`, in one currency or in all.
///
/// # Errors
/// [`ApplierError::Away`], [`ApplierError::Misconfigured`], [`ApplierError::Unreadable`].
pub async fn settlement(
    server: &Server,
    date: SettlementDate,
    currency: Option<Currency>,
) -> Result<Settlement, ApplierError> {
    let session = open(server).await?;
    let answer = read_settlement(&session.client, server, date, currency).await;
    session.close().await;
    answer.map_err(Unread::into_error)
}

/// All that counts with an issuer on `date`, at most `max`.
///
/// # Errors
/// As [`settlement`].
pub async fn issuer_items(
    server: &Server,
    issuer: &str,
    date: SettlementDate,
    max: usize,
) -> Result<Vec<IssuerItem>, ApplierError> {
    let session = open(server).await?;
    let answer = read_items(&session.client, server, (issuer, date), max).await;
    session.close().await;
    answer.map_err(Unread::into_error)
}

async fn open(server: &Server) -> Result<Session, ApplierError> {
    let session = Session::open(server, "njia report").await;
    session.map_err(ConnectError::into_error)
}

/// Why there is no answer.
enum Unread {
    Server(tokio_postgres::Error),
    /// The books have a currency that no journal has.
    Currency(InvalidValue),
}

impl From<tokio_postgres::Error> for Unread {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl Unread {
    fn into_error(self) -> ApplierError {
        match self {
            Self::Server(error) => ConnectError::Failed(Failure::from(error)).into_error(),
            Self::Currency(error) => ApplierError::Unreadable {
                what: "posting.currency",
                source: error.into(),
            },
        }
    }
}

async fn read_settlement(
    client: &Client,
    server: &Server,
    date: SettlementDate,
    currency: Option<Currency>,
) -> Result<Settlement, Unread> {
    const ONE: &str = "date = CAST($1 AS date) AND ($2 IS NULL OR currency = $2)";
    let s = server.schema.as_str();
    let date = date.to_string();
    let currency = currency.and_then(|currency| i16::try_from(currency.code()).ok());
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&date, Type::TEXT), (&currency, Type::INT2)];
    let sql = format!(
        "SELECT currency, account, party, approvals, reversals, approved, reversed, position \
         FROM {s}.settlement WHERE {ONE} ORDER BY currency, account, party, party_id"
    );
    let rows = client.query_typed(&sql, &parameters).await?;
    let positions: Result<Vec<Position>, Unread> = rows
        .iter()
        .map(|row| {
            Ok(Position {
                currency: currency_of(row, 0)?,
                account: row.try_get(1)?,
                party: row.try_get(2)?,
                approvals: row.try_get(3)?,
                reversals: row.try_get(4)?,
                approved: row.try_get(5)?,
                reversed: row.try_get(6)?,
                position: row.try_get(7)?,
            })
        })
        .collect();
    let sql = format!("SELECT count(*) FROM {s}.settlement_violation WHERE {ONE}");
    let violations = client.query_typed_one(&sql, &parameters).await?;
    Ok(Settlement {
        positions: positions?,
        violations: violations.try_get(0)?,
    })
}

async fn read_items(
    client: &Client,
    server: &Server,
    (issuer, date): (&str, SettlementDate),
    max: usize,
) -> Result<Vec<IssuerItem>, Unread> {
    let s = server.schema.as_str();
    let sql = format!(
        "SELECT t.transaction_id::text, coalesce(t.rrn, ''), coalesce(t.leg_stan, 0), p.currency, \
         (-p.amount)::bigint \
         FROM (SELECT shard_key, transaction_id, currency, sum(amount) AS amount \
         FROM {s}.posting WHERE account = 'issuer' AND party = $1 AND date = CAST($2 AS date) \
         GROUP BY shard_key, transaction_id, currency) AS p \
         JOIN {s}.transaction AS t ON t.shard_key = p.shard_key \
         AND t.transaction_id = p.transaction_id \
         ORDER BY t.shard_key, t.transaction_id LIMIT $3"
    );
    let date = date.to_string();
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
        (&issuer, Type::TEXT),
        (&date, Type::TEXT),
        (&max, Type::INT8),
    ];
    let rows = client.query_typed(&sql, &parameters).await?;
    rows.iter()
        .map(|row| {
            Ok(IssuerItem {
                transaction: row.try_get(0)?,
                rrn: row.try_get::<_, String>(1)?.trim().to_owned(),
                stan: u32::try_from(row.try_get::<_, i32>(2)?).unwrap_or(0),
                currency: currency_of(row, 3)?,
                amount: row.try_get(4)?,
            })
        })
        .collect()
}

fn currency_of(row: &Row, column: usize) -> Result<Currency, Unread> {
    let code: i16 = row.try_get(column)?;
    Currency::new(u16::try_from(code).unwrap_or(0)).map_err(Unread::Currency)
}
