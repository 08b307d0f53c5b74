//! Tables by day: made ahead, and dropped when their time is over (`migrations/V4__days.sql`).
//!
//! No batch depends on it: rows of a day without a table go to the default one. What fails here is
//! said and tried again later, and the batches go on. A schema without these functions, made by
//! hand for another engine, has nothing to be looked after.

use std::time::Duration;

use domain::time::Instant;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::Applier;
use super::failure::{Failure, Remedy};
use super::settings::{Server, Timeouts};
use super::sql;

/// Looks after the tables of one schema.
#[derive(Debug)]
pub(crate) struct DayKeeper {
    /// Events older than so many days are dropped; 0 keeps them for ever.
    retention_days: u16,
    begin: String,
    known: String,
    make: String,
    drop: String,
    /// Not before then; at once after the start.
    due: Option<Instant>,
}

impl DayKeeper {
    pub(crate) fn new(server: &Server, retention_days: u16) -> Self {
        let s = server.schema.as_str();
        let timeouts = Timeouts {
            lock: LOCK,
            ..server.timeouts
        };
        Self {
            retention_days,
            begin: sql::begin(&timeouts),
            known: format!("SELECT to_regprocedure('{s}.make_day_tables(integer)') IS NOT NULL"),
            make: format!("SELECT {s}.make_day_tables({AHEAD_DAYS})"),
            drop: format!("SELECT {s}.drop_day_tables($1)"),
            due: None,
        }
    }

    /// How many tables were made, and how many dropped.
    async fn keep(&self, client: &Client) -> Result<(i32, i32), Failure> {
        let known = client.query_typed_one(&self.known, &[]).await?;
        if !known.try_get(0)? {
            return Ok((0, 0));
        }
        client.batch_execute(&self.begin).await?;
        let made = client.query_typed_one(&self.make, &[]).await?;
        client.batch_execute("COMMIT").await?;
        if self.retention_days == 0 {
            return Ok((made.try_get(0)?, 0));
        }
        // By itself: that a role may not drop must not keep it from making.
        client.batch_execute(&self.begin).await?;
        let days = i32::from(self.retention_days);
        let dropped = client
            .query_typed_one(&self.drop, &[(&days, Type::INT4)])
            .await?;
        client.batch_execute("COMMIT").await?;
        Ok((made.try_get(0)?, dropped.try_get(0)?))
    }
}

impl Applier {
    /// Looks after the tables by day when that is due.
    pub(super) async fn keep_days(&mut self) {
        let now = (self.settings.clock)();
        let Some(session) = &self.session else {
            return;
        };
        if self.days.due.is_some_and(|due| now < due) {
            return;
        }
        let limit = self.settings.server.timeouts.batch;
        let kept = timeout(limit, self.days.keep(&session.client)).await;
        let kept = kept.unwrap_or_else(|_| Err(Failure::timed_out("tables by day took too long")));
        let wait = match kept {
            Ok((0, 0)) => EVERY,
            Ok((made, dropped)) => {
                tracing::info!(made, dropped, "tables by day");
                EVERY
            }
            Err(failure) => {
                tracing::warn!(error = %failure, "tables by day are not looked after: later");
                if failure.connection_lost {
                    self.drop_session();
                } else {
                    self.end_transaction().await;
                }
                match failure.remedy() {
                    Remedy::Retry => AGAIN,
                    Remedy::Bisect | Remedy::Pause => EVERY,
                }
            }
        };
        self.days.due = Some(now.after(wait));
    }
}

/// Tables exist for so many days after today: a week without anybody who may make them is survived.
const AHEAD_DAYS: u16 = 7;
const EVERY: Duration = Duration::from_secs(3600);
/// After what may pass by itself: a report that reads the tables holds them.
const AGAIN: Duration = Duration::from_secs(60);
/// Answers may wait for the applier: it does not wait for a report.
const LOCK: Duration = Duration::from_millis(500);
