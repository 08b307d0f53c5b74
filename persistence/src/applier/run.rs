//! The loop of an applier: connect, take over, batch after batch; whatever fails, the watermark
//! decides what is due.

use std::time::Duration;

use domain::ids::Lsn;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Applier;
use super::apply::{ApplyError, apply, quarantine, roll_back};
use super::attach::{AttachError, Attached, attach};
use super::batch::{Batch, Poison};
use super::error::ApplierError;
use super::event::record_time;
use super::failure::{Failure, Remedy};
use super::lane::Lane;
use super::session::{ConnectError, Session};
use super::settings::ApplierSettings;
use super::status::{Counts, LaneStatus};
use crate::crash::{self, Step};

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// At least one batch landed, or is due again at once.
    Busy,
    /// Nothing is due.
    Idle,
    /// Wait before the next turn.
    Failed(Duration),
}

impl Applier {
    /// Works until `stop` is raised and everything durable is applied.
    pub(super) async fn work(
        &mut self,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), ApplierError> {
        loop {
            let draining = *stop.borrow();
            let wait = match self.turn(draining).await? {
                Turn::Busy => {
                    // Others on this thread get their turn between two batches.
                    tokio::task::yield_now().await;
                    continue;
                }
                Turn::Idle if draining => break,
                Turn::Idle => self.settings.batch.poll,
                Turn::Failed(wait) => wait,
            };
            if draining {
                sleep(wait).await;
            } else {
                tokio::select! {
                    () = sleep(wait) => {}
                    _ = stop.changed() => {}
                }
            }
        }
        if let Some(session) = self.session.take() {
            session.close().await;
        }
        self.stopped.take().map_or(Ok(()), Err)
    }

    /// One batch of each lane that has one.
    async fn turn(&mut self, draining: bool) -> Result<Turn, ApplierError> {
        self.publish();
        if self.lost() {
            self.drop_session();
        }
        if self.session.is_none()
            && let Some(wait) = self.connect().await?
        {
            self.peek();
            return Ok(Turn::Failed(wait));
        }
        self.keep_days().await;
        let mut turn = Turn::Idle;
        for lane in 0..self.lanes.len() {
            match self.step(lane, draining).await? {
                Turn::Busy => turn = Turn::Busy,
                Turn::Idle => {}
                Turn::Failed(wait) => return Ok(Turn::Failed(wait)),
            }
        }
        Ok(turn)
    }

    /// Connects and takes the watermarks over; the wait when that failed.
    async fn connect(&mut self) -> Result<Option<Duration>, ApplierError> {
        let name = format!("njia applier node {}", self.settings.node);
        let session = match Session::open(&self.settings.server, &name).await {
            Ok(session) => session,
            Err(ConnectError::Failed(failure)) => return Ok(Some(self.failed(&failure))),
            Err(ConnectError::Settings(error)) => {
                tracing::error!(error = %error, "PostgreSQL settings cannot be used");
                return Ok(Some(self.backoff.next(Remedy::Pause)));
            }
        };
        let claims: Vec<_> = self.lanes.iter().map(Lane::claim).collect();
        let attached = attach(&session.client, &self.sql, &self.settings, &claims);
        let attached = match timeout(self.settings.server.timeouts.batch, attached).await {
            Ok(attached) => attached,
            Err(_) => Err(AttachError::Failed(Failure::timed_out("taking over"))),
        };
        match attached {
            Ok(attached) => {
                for (lane, found) in attached.into_iter().enumerate() {
                    self.attached(lane, found);
                }
                self.session = Some(session);
                self.status.set_connected(true);
                Ok(None)
            }
            Err(AttachError::Failed(failure)) => {
                session.discard();
                Ok(Some(self.failed(&failure)))
            }
            Err(AttachError::Stop(error)) => {
                session.close().await;
                Err(error)
            }
        }
    }

    /// The lane's row is this applier's; it stands where it was found.
    fn attached(&mut self, lane: usize, found: Attached) {
        let lsn = found.lsn;
        let (Some(lane), Some(status)) = (self.lanes.get_mut(lane), self.status.lanes().get(lane))
        else {
            return;
        };
        if lane.fence.is_some() && lsn < lane.watermark() {
            tracing::warn!(journal = %lane.journal, shard = %lane.shard, left = %lane.watermark(),
                found = %lsn, "watermark moved back: applying again");
        }
        if lane.unknown == Some(lsn) {
            let inserted = lsn.0.saturating_sub(lane.watermark().0);
            self.status.applied(Counts {
                inserted,
                ..Counts::default()
            });
        }
        lane.fence = Some(found.fence);
        // Whether somebody has moved the watermark back: no key says so of records of another
        // transaction under the same LSN, so the first batch is compared with what is there.
        lane.replays = true;
        lane.calendar = found.calendar;
        lane.found_at(lsn, status);
    }

    /// The next batch of one lane.
    async fn step(&mut self, index: usize, draining: bool) -> Result<Turn, ApplierError> {
        let policy = self.settings.batch;
        let waits = self.waits_for_earlier(index);
        let (Some(lane), Some(status)) =
            (self.lanes.get_mut(index), self.status.lanes().get(index))
        else {
            return Ok(Turn::Idle);
        };
        let now = (self.settings.clock)();
        if waits || lane.is_halted(now) || lane.lag() == 0 {
            return Ok(Turn::Idle);
        }
        if crash::is_due(Step::ApplierStops) {
            return Ok(self.halt_lane(index, "a crash point stops the applier".into()));
        }
        if !draining && lane.waits(&policy, now) {
            return Ok(Turn::Idle);
        }
        let max = lane.attempt(policy.records_max);
        let built = Batch::build(lane, max, self.settings.payload);
        let batch = match built {
            Ok(batch) => batch,
            Err(source) => return Ok(self.halt_lane(index, source)),
        };
        status.set_oldest(batch.oldest);
        let to = batch.to;
        let records = batch.records();
        let started = (self.settings.clock)();
        let Some(session) = &self.session else {
            return Ok(Turn::Idle);
        };
        let claim = lane.claim();
        let applied = apply(&session.client, &self.sql, &self.settings, &claim, batch);
        match within(&self.settings, applied).await {
            Ok((counts, calendar)) => {
                lane.calendar = calendar;
                let took = (self.settings.clock)().since(started);
                self.status.batch_seconds.record_duration(took);
                self.status.batch_records.record(records);
                self.landed(index, to, counts);
                Ok(Turn::Busy)
            }
            Err(error) => self.recover(index, to, error).await,
        }
    }

    /// Whether an earlier generation is not copied to its end: a reversal finds its original only
    /// when that has been copied. Lanes are in the order of their generations.
    fn waits_for_earlier(&self, index: usize) -> bool {
        let Some(journal) = self.lanes.get(index).map(|lane| lane.journal) else {
            return false;
        };
        let earlier = self.lanes.iter().take(index);
        let mut earlier = earlier.filter(|lane| lane.journal != journal);
        earlier.any(|lane| lane.is_draining() && lane.lag() > 0)
    }

    fn landed(&mut self, index: usize, to: Lsn, counts: Counts) {
        let (Some(lane), Some(status)) =
            (self.lanes.get_mut(index), self.status.lanes().get(index))
        else {
            return;
        };
        lane.advance(to, status);
        lane.read_on();
        status.set_stopped(false);
        lane.replays &= counts.duplicate > 0;
        lane.collides = false;
        lane.quarantine_run = match counts.quarantined {
            0 => 0,
            _ => lane.quarantine_run.saturating_add(1),
        };
        self.status.applied(counts);
        self.backoff.reset();
        if !self.lanes.iter().any(Lane::has_failed) {
            self.stopped = None;
        }
    }

    /// A batch up to `to` did not land, or may not have.
    async fn recover(
        &mut self,
        index: usize,
        to: Lsn,
        error: ApplyError,
    ) -> Result<Turn, ApplierError> {
        match error {
            ApplyError::Refused(failure) => self.refused(index, to, failure).await,
            ApplyError::Unknown(failure) => {
                if let Some(lane) = self.lanes.get_mut(index) {
                    lane.unknown = Some(to);
                }
                self.drop_session();
                Ok(Turn::Failed(self.failed(&failure)))
            }
            ApplyError::Fenced => {
                // Reading the row again says whose it is.
                self.drop_session();
                Ok(Turn::Failed(self.backoff.next(Remedy::Retry)))
            }
            ApplyError::Replay => {
                if let Some(lane) = self.lanes.get_mut(index) {
                    lane.replays = true;
                }
                self.end_transaction().await;
                Ok(Turn::Busy)
            }
            ApplyError::Collides => {
                if let Some(lane) = self.lanes.get_mut(index) {
                    lane.collides = true;
                }
                self.end_transaction().await;
                Ok(Turn::Busy)
            }
            ApplyError::Forked => {
                self.drop_session();
                let (journal, shard) = self.identity(index);
                Err(ApplierError::Forked {
                    journal,
                    shard,
                    lsn: to,
                })
            }
        }
    }

    /// The server has refused the batch, or the connection broke before COMMIT.
    async fn refused(
        &mut self,
        index: usize,
        to: Lsn,
        failure: Failure,
    ) -> Result<Turn, ApplierError> {
        let mut wait = self.failed(&failure);
        if failure.connection_lost || failure.remedy() == Remedy::Pause {
            self.drop_session();
            return Ok(Turn::Failed(wait));
        }
        self.end_transaction().await;
        if failure.remedy() != Remedy::Bisect {
            return Ok(Turn::Failed(wait));
        }
        let run_max = self.settings.batch.quarantine_run_max;
        let Some(lane) = self.lanes.get_mut(index) else {
            return Ok(Turn::Idle);
        };
        if !lane.refused(to) {
            return Ok(Turn::Busy);
        }
        if lane.quarantine_run >= run_max {
            tracing::error!(journal = %lane.journal, shard = %lane.shard, run = run_max,
                "so many records in a row are refused that the schema must be at fault: pausing");
            wait = self.backoff.next(Remedy::Pause);
            return Ok(Turn::Failed(wait));
        }
        let poison = match Poison::read(lane) {
            Ok(poison) => poison,
            Err(source) => return Ok(self.halt_lane(index, source)),
        };
        self.set_aside(index, &poison, &failure).await
    }

    /// Moves one record into quarantine.
    async fn set_aside(
        &mut self,
        index: usize,
        poison: &Poison,
        why: &Failure,
    ) -> Result<Turn, ApplierError> {
        let (Some(lane), Some(session)) = (self.lanes.get(index), &self.session) else {
            return Ok(Turn::Busy);
        };
        tracing::error!(journal = %lane.journal, shard = %lane.shard, lsn = %poison.lsn,
            sqlstate = why.sqlstate(), "record refused by the tables: into quarantine");
        let claim = lane.claim();
        let moved = quarantine(&session.client, &self.sql, &claim, poison, why);
        match within(&self.settings, moved).await {
            Ok(counts) => {
                self.landed(index, poison.lsn, counts);
                Ok(Turn::Busy)
            }
            Err(ApplyError::Refused(failure)) => {
                self.drop_session();
                self.status.failed(failure.class);
                tracing::error!(error = %failure, "quarantine refuses the record: pausing");
                Ok(Turn::Failed(self.backoff.next(Remedy::Pause)))
            }
            Err(error) => Box::pin(self.recover(index, poison.lsn, error)).await,
        }
    }

    /// A record cannot be read: never skipped. The file is opened again after a pause, since what
    /// is in the way may pass, as a lack of descriptors does. The other lanes go on.
    fn halt_lane(&mut self, index: usize, source: super::source::SourceError) -> Turn {
        let now = (self.settings.clock)();
        let (Some(lane), Some(status)) =
            (self.lanes.get_mut(index), self.status.lanes().get(index))
        else {
            return Turn::Idle;
        };
        let failures = lane.halt(now, &self.settings.backoff);
        status.set_stopped(true);
        let error = ApplierError::Source {
            journal: lane.journal,
            shard: lane.shard,
            after: lane.watermark(),
            source,
        };
        if failures < 4 || failures.is_power_of_two() {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(error = %error, cause = ?cause, failures,
                "journal cannot be read: this shard is not copied until it can");
        }
        self.stopped = Some(error);
        Turn::Idle
    }

    /// Counts a failure, says it, and draws the wait.
    fn failed(&mut self, failure: &Failure) -> Duration {
        self.status.failed(failure.class);
        let wait = self.backoff.next(failure.remedy());
        let failures = self.backoff.failures();
        match failure.remedy() {
            Remedy::Bisect => {
                tracing::warn!(error = %failure, "batch refused: looking for the record");
            }
            Remedy::Pause => {
                tracing::error!(error = %failure, ?wait, "PostgreSQL refuses: pausing");
            }
            // The first few of a row, then each power of two: a long outage is no flood.
            Remedy::Retry if failures < 4 || failures.is_power_of_two() => {
                tracing::warn!(error = %failure, failures, ?wait, "PostgreSQL failed: again");
            }
            Remedy::Retry => {}
        }
        wait
    }

    pub(super) async fn end_transaction(&mut self) {
        let Some(session) = &self.session else {
            return;
        };
        let limit = self.settings.server.timeouts.statement;
        let rolled_back = timeout(limit, roll_back(&session.client)).await;
        if rolled_back != Ok(true) {
            self.drop_session();
        }
    }

    pub(super) fn drop_session(&mut self) {
        self.status.set_connected(false);
        if let Some(session) = self.session.take() {
            session.discard();
        }
    }

    fn lost(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.client.is_closed())
    }

    fn publish(&self) {
        for (lane, status) in self.pairs() {
            lane.publish(status);
        }
    }

    /// While PostgreSQL is away: how old the oldest record is that it lacks.
    fn peek(&mut self) {
        for (lane, status) in self.lanes.iter_mut().zip(self.status.lanes()) {
            if lane.lag() > 0 && !lane.has_failed() {
                let seen = lane.read(1, &mut |entry| {
                    status.set_oldest(record_time(&entry.record));
                });
                if let Err(error) = seen {
                    // Applying it will halt the lane; until then nothing depends on it.
                    tracing::debug!(error = %error, "the oldest record cannot be read");
                }
            }
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (&Lane, &LaneStatus)> {
        self.lanes.iter().zip(self.status.lanes())
    }

    fn identity(&self, index: usize) -> (crate::identity::JournalUuid, domain::ids::ShardId) {
        self.lanes
            .get(index)
            .map_or_else(Default::default, |lane| (lane.journal, lane.shard))
    }
}

/// One transaction, within its time. What is given up may still be committed.
async fn within<T>(
    settings: &ApplierSettings,
    transaction: impl Future<Output = Result<T, ApplyError>>,
) -> Result<T, ApplyError> {
    match timeout(settings.server.timeouts.batch, transaction).await {
        Ok(applied) => applied,
        Err(_) => Err(ApplyError::Unknown(Failure::timed_out(
            "the batch took too long",
        ))),
    }
}
