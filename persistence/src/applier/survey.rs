//! What an operator wants to know of the server before traffic depends on it.

use domain::time::WallTime;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::error::ApplierError;
use super::failure::Failure;
use super::migrate;
use super::session::{ConnectError, Session};
use super::settings::{SchemaName, Server};

/// What the server says of itself and of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The server's version, as it says it.
    pub version: String,
    /// The last migration that was applied; `None` when the schema was never migrated.
    pub schema_version: Option<i32>,
    /// The last migration that this program has.
    pub schema_wanted: i32,
    /// `synchronous_commit` of this role; the applier refuses `off`.
    pub synchronous_commit: String,
    /// `fsync` of the server; `off` loses data with the first power cut.
    pub fsync: String,
    /// The server's clock.
    pub now: WallTime,
}

/// Asks the server. Changes nothing.
///
/// # Errors
/// [`ApplierError::Away`], [`ApplierError::Misconfigured`], [`ApplierError::Unreadable`].
pub async fn survey(server: &Server) -> Result<Survey, ApplierError> {
    let session = Session::open(server, "njia survey")
        .await
        .map_err(ConnectError::into_error)?;
    let asked = timeout(
        server.timeouts.statement,
        ask(&session.client, &server.schema),
    );
    let answer = match asked.await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => Err(Failure::timed_out("the survey took too long")),
    };
    session.close().await;
    answer.map_err(|failure| ConnectError::Failed(failure).into_error())
}

async fn ask(client: &Client, schema: &SchemaName) -> Result<Survey, tokio_postgres::Error> {
    let sql = "SELECT current_setting('server_version'), current_setting('synchronous_commit'), \
               current_setting('fsync'), \
               (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let row = client.query_typed_one(sql, &[]).await?;
    let millis = u64::try_from(row.try_get::<_, i64>(3)?).unwrap_or(0);
    Ok(Survey {
        version: row.try_get(0)?,
        synchronous_commit: row.try_get(1)?,
        fsync: row.try_get(2)?,
        now: WallTime::from_unix_millis(millis),
        schema_version: schema_version(client, schema).await?,
        schema_wanted: migrate::version(),
    })
}

async fn schema_version(
    client: &Client,
    schema: &SchemaName,
) -> Result<Option<i32>, tokio_postgres::Error> {
    let history = format!("{}.refinery_schema_history", schema.as_str());
    let sql = format!("SELECT to_regclass('{history}') IS NOT NULL");
    let known = client.query_typed_one(&sql, &[]).await?;
    if !known.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let sql = format!("SELECT max(version) FROM {history}");
    let row = client.query_typed_one(&sql, &[]).await?;
    row.try_get(0)
}
