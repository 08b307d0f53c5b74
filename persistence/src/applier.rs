//! The copy of the journals in PostgreSQL: exactly once, batch by batch, behind a fence.
//!
//! One task on one thread reads each shard's journal from the watermark up to the durable position,
//! whether that is live traffic or the backlog of an outage, and commits rows and watermark in one
//! transaction. Nothing here stands between a request and its answer.
//!
//! What decides after a failure is the watermark that PostgreSQL holds, never the error that was
//! seen: an unknown COMMIT, a failover that lost the last batches and a take-over by another
//! applier are all settled by reading it again (`attach`). The tables and what may be done with
//! them are in `docs/postgresql.md`.

mod apply;
mod attach;
pub(crate) mod backoff;
mod batch;
mod calendar;
mod days;
mod error;
pub(crate) mod event;
pub(crate) mod failure;
mod journal_source;
mod lane;
mod ledger;
mod load;
mod lookup;
mod migrate;
mod posting;
mod projection;
pub mod report;
mod rows;
mod run;
mod session;
mod settings;
mod source;
mod sql;
mod stage;
mod status;
mod survey;
mod table;
mod tls;
mod verdict;
pub mod words;

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout;

pub use error::{ApplierError, JournalMismatch};
pub use failure::FailureClass;
pub use journal_source::JournalSource;
pub use ledger::Fees;
pub use lookup::{Held, HeldException, HeldRecord, Wanted, look_up};
pub use migrate::{migrate, migrate_to};
pub use session::holds_password;
pub use settings::{
    ApplierSettings, Backoff, BatchPolicy, Identity, Names, Payload, SchemaName, SecretSource,
    Server, Strategy, Timeouts, TlsFiles,
};
pub use source::{Origin, Phase, RecordSource, ShardJournal, SourceError};
pub use status::{Histogram, LaneStatus, Status};
pub use survey::{Survey, survey};
pub use verdict::{JournalState, Watermark, compare};

use backoff::BackoffClock;
use days::DayKeeper;
use lane::Lane;
use session::{ConnectError, Session};
use sql::Sql;

/// Copies the journals of one node.
#[derive(Debug)]
pub struct Applier {
    settings: ApplierSettings,
    sql: Sql,
    lanes: Vec<Lane>,
    status: Arc<Status>,
    session: Option<Session>,
    backoff: BackoffClock,
    days: DayKeeper,
    /// Why the first lane that cannot go on has stopped.
    stopped: Option<ApplierError>,
}

impl Applier {
    /// For `journals`: those of older generations first, the oldest before all, then one per shard
    /// of the one that is written.
    #[must_use]
    pub fn new(settings: ApplierSettings, journals: Vec<ShardJournal>) -> Self {
        let lanes: Vec<Lane> = journals.into_iter().map(Lane::new).collect();
        let status = lanes
            .iter()
            .map(|lane| LaneStatus::new(lane.journal, lane.shard));
        // The low half of a random number is as good a seed as any.
        let seed = u64::try_from(settings.owner & u128::from(u64::MAX)).unwrap_or(1);
        Self {
            sql: Sql::new(&settings.server, settings.strategy),
            backoff: BackoffClock::new(settings.backoff, seed),
            days: DayKeeper::new(&settings.server, settings.retention_days),
            status: Arc::new(Status::new(status)),
            settings,
            lanes,
            session: None,
            stopped: None,
        }
    }

    /// State and counters, to be read from any thread while [`Applier::run`] is under way.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Copies until `shutdown` is ready, then catches up for at most the time that the settings
    /// give it. Whatever can pass by itself is retried for ever. Must run inside a tokio runtime
    /// with I/O and time.
    ///
    /// # Errors
    /// [`ApplierError`]: only what a person, or a new start, has to settle.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ApplierError> {
        let (raise, stop) = watch::channel(false);
        let drain = self.settings.drain;
        let status = Arc::clone(&self.status);
        let mut work = pin!(self.work(stop));
        let end = tokio::select! {
            biased;
            end = &mut work => end,
            () = shutdown => {
                raise.send_replace(true);
                // What is under way when the time is over is settled by the next start's take-over.
                timeout(drain, &mut work).await.unwrap_or(Ok(()))
            }
        };
        status.set_connected(false);
        end
    }
}

/// The watermarks of this node, for the recovery of its journals (J13) and for [`compare`]: none
/// when the schema has never been migrated.
///
/// # Errors
/// [`ApplierError::Away`]: start degraded (J20). [`ApplierError::Misconfigured`],
/// [`ApplierError::Unreadable`]: the settings cannot be used.
pub async fn watermarks(settings: &ApplierSettings) -> Result<Vec<Watermark>, ApplierError> {
    let server = &settings.server;
    let session = Session::open(server, "njia start")
        .await
        .map_err(ConnectError::into_error)?;
    let sql = Sql::new(server, settings.strategy);
    let read = async {
        let known = session
            .client
            .query_typed_one(&sql.watermarks_known, &[])
            .await?;
        if known.try_get(0)? {
            attach::watermarks(&session.client, &sql, settings).await
        } else {
            Ok(Vec::new())
        }
    };
    let read = match timeout(server.timeouts.statement, read).await {
        Ok(read) => read.map_err(failure::Failure::from),
        Err(_) => Err(failure::Failure::timed_out("reading the watermarks")),
    };
    session.close().await;
    read.map_err(|failure| ConnectError::Failed(failure).into_error())
}

/// Reads the watermarks and compares them with the journals that recovery found: J04, J18, J19.
///
/// # Errors
/// As [`watermarks`], and [`ApplierError::Journal`]: refuse to start.
pub async fn check(
    settings: &ApplierSettings,
    journals: &[JournalState],
) -> Result<Vec<Watermark>, ApplierError> {
    let found = watermarks(settings).await?;
    compare(journals, &found, &settings.accept_lost)?;
    Ok(found)
}

#[cfg(test)]
mod tests;
