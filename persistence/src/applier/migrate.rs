//! Brings a schema up to this program's version.

use refinery::{Report, Runner, Target};
use tokio_postgres::Client;

use super::error::ApplierError;
use super::session::{ConnectError, Session};
use super::settings::Server;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The last migration that this program has.
pub(crate) fn version() -> i32 {
    let runner = runner();
    let versions = runner
        .get_migrations()
        .iter()
        .map(refinery::Migration::version);
    versions.max().unwrap_or(0)
}

/// Creates the schema if it is absent and applies the migrations that it lacks. Waits for another
/// process that does the same. Needs a connection of its own, not a pooler in transaction mode.
/// Returns the versions that were applied.
///
/// # Errors
/// [`ApplierError::Away`], [`ApplierError::Misconfigured`], [`ApplierError::Migration`].
pub async fn migrate(server: &Server) -> Result<Vec<i32>, ApplierError> {
    migrate_to(server, version()).await
}

/// The same, up to `version`: what an earlier program has left, for tests of an upgrade.
///
/// # Errors
/// As [`migrate`].
pub async fn migrate_to(server: &Server, version: i32) -> Result<Vec<i32>, ApplierError> {
    let mut session = Session::open(server, "njia migrate")
        .await
        .map_err(ConnectError::into_error)?;
    let outcome = locked(&mut session.client, server, version).await;
    // The end of the session frees the lock, also when a migration has failed.
    session.close().await;
    let report = outcome?;
    let applied = report.applied_migrations().iter();
    Ok(applied.map(refinery::Migration::version).collect())
}

async fn locked(
    client: &mut Client,
    server: &Server,
    version: i32,
) -> Result<Report, ApplierError> {
    let schema = server.schema.as_str();
    let prepare = format!(
        "SELECT pg_advisory_lock(hashtextextended('njia migrate {schema}', 0)); \
         CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path TO {schema};"
    );
    client
        .batch_execute(&prepare)
        .await
        .map_err(|error| ApplierError::Migration(error.into()))?;
    let target = Target::Version(version);
    runner()
        .set_target(target)
        .run_async(client)
        .await
        .map_err(|error| ApplierError::Migration(error.into()))
}

/// Each migration in a transaction of its own; one that was applied and differs now is refused.
fn runner() -> Runner {
    embedded::migrations::runner()
        .set_abort_divergent(true)
        .set_abort_missing(true)
}

impl ConnectError {
    pub(crate) fn into_error(self) -> ApplierError {
        match self {
            Self::Failed(failure) => ApplierError::Away {
                class: failure.class,
                source: failure.source,
            },
            Self::Settings(error) => error,
        }
    }
}
