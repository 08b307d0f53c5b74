//! What the tasks of one journal share: the sink, the durable position, space, and how it ended.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::Lsn;
use domain::record::{Carriage, Record};
use domain::time::Instant;

use super::flush::Flush;
use super::recover::Recovery;
use super::segment::{ActiveSegment, Spare};
use super::settings::{Clock, JournalSettings};
use super::signal::Signal;
use crate::error::JournalError;
use crate::position::DurablePosition;
use crate::segment_header::{KEYS_MAX, WrappedKey};
use crate::sink::{BUFFERS, Class, Full, Sink, Space};

/// A flush that takes longer than this sheds new work.
const SLOW_FLUSH: Duration = Duration::from_secs(1);
/// Completed flushes that are kept until the shell asks for them.
const FLUSHES_MAX: usize = 1024;

/// Whether new financial work may come in. Network messages may under either, reversals while
/// [`Journal::takes_reversals`](super::Journal::takes_reversals).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// It may.
    Admit,
    /// It must be answered 96 before its intent.
    Shed(ShedCause),
}

/// Why new work is shed. A closed set: it becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShedCause {
    /// The journal met an error or was closed.
    Ended,
    /// The flush that is due has taken longer than a second.
    SlowFlush,
    /// Half of the buffers wait for the device.
    Backlog,
    /// More than 80 % of the journal's bytes are used; ends below 70 %.
    HighWater,
    /// The next segment cannot be made.
    NoSpare,
}

/// Since the journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Batches that became durable, anchors included.
    pub batches: u64,
    /// Anchors among them.
    pub anchors: u64,
    /// Records that became durable.
    pub records: u64,
    /// Bytes of these batches, padding included.
    pub bytes: u64,
    /// Segments begun.
    pub rolls: u64,
    /// Writes that failed: one at most, it ends the journal.
    pub write_errors: u64,
    /// Syncs that failed: one at most, it ends the journal.
    pub sync_errors: u64,
    /// Segments that could not be made.
    pub prepare_errors: u64,
}

/// A segment on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) number: u64,
    pub(super) first_lsn: Lsn,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) clock: Clock,
    pub(super) sink: RefCell<Sink>,
    pub(super) position: Arc<DurablePosition>,
    /// Something is to be written, or the journal is to be closed.
    pub(super) work: Signal,
    /// The durable position has moved, or the journal has ended.
    progress: Signal,
    /// A spare was made, or taken, or a segment was retired.
    pub(super) supply: Signal,
    pub(super) spare: RefCell<Option<Spare>>,
    pub(super) segments: RefCell<VecDeque<Span>>,
    pub(super) counters: Cell<Counters>,
    pub(super) flushes: RefCell<VecDeque<Flush>>,
    pub(super) closing: Cell<bool>,
    /// For the header of the next segment.
    keys: RefCell<Vec<WrappedKey>>,
    /// The segment that is written has others.
    is_rekeying: Cell<bool>,
    spare_failed: Cell<bool>,
    ended: RefCell<Option<JournalError>>,
    due_since: Cell<Option<Instant>>,
    active_used: Cell<u64>,
    above_high_water: Cell<bool>,
    segment_bytes: u64,
    batch_bytes_max: u64,
    bytes_max: u64,
}

impl Shared {
    pub(super) fn new(
        settings: &JournalSettings,
        recovered: &Recovery,
        segment: &ActiveSegment,
    ) -> Self {
        let journal = settings.identity.journal;
        let sink = Sink::new(journal, recovered.tail, settings.batch_bytes_max);
        let position = Arc::new(DurablePosition::new());
        position.publish(sink.durable(), segment.header.number);
        let mut segments: VecDeque<Span> = recovered.spans.iter().copied().collect();
        segments.retain(|span| span.number != segment.header.number);
        segments.push_back(span_of(segment));
        let shared = Self {
            dir: recovered.dir.clone(),
            clock: settings.clock.clone(),
            sink: RefCell::new(sink),
            position,
            work: Signal::default(),
            progress: Signal::default(),
            supply: Signal::default(),
            spare: RefCell::new(None),
            segments: RefCell::new(segments),
            counters: Cell::new(Counters::default()),
            flushes: RefCell::new(VecDeque::with_capacity(FLUSHES_MAX)),
            closing: Cell::new(false),
            keys: RefCell::new(settings.keys.clone()),
            is_rekeying: Cell::new(false),
            spare_failed: Cell::new(false),
            ended: RefCell::new(None),
            due_since: Cell::new(None),
            active_used: Cell::new(segment.at),
            above_high_water: Cell::new(false),
            segment_bytes: settings.segment_bytes,
            batch_bytes_max: settings.batch_bytes_max as u64,
            bytes_max: settings.bytes_max,
        };
        shared.position.begin_at(shared.first_lsn());
        shared.measure();
        shared
    }

    pub(super) fn append(
        &self,
        record: &Record<'_>,
        carriage: Carriage,
        class: Class,
    ) -> Result<Lsn, Full> {
        self.take(|sink| sink.try_append_as(record, carriage, class))
    }

    pub(super) fn append_called_back(
        &self,
        record: &Record<'_>,
        callback: Option<&str>,
        class: Class,
    ) -> Result<Lsn, Full> {
        self.take(|sink| sink.try_append_called_back(record, callback, class))
    }

    fn take(&self, append: impl FnOnce(&mut Sink) -> Result<Lsn, Full>) -> Result<Lsn, Full> {
        let mut sink = self.sink.borrow_mut();
        if self.above_high_water.get() {
            let space = self.space(sink.pending_bytes());
            sink.set_space(space);
        }
        let lsn = append(&mut sink)?;
        drop(sink);
        self.work.notify();
        Ok(lsn)
    }

    pub(super) async fn wait_durable(&self, after: Lsn) -> Result<Lsn, JournalError> {
        let reached = || {
            let durable = self.position.lsn();
            if durable > after {
                return Some(Ok(durable));
            }
            self.ended.borrow().clone().map(Err)
        };
        self.progress.until(reached).await
    }

    pub(super) async fn close(&self) -> Result<(), JournalError> {
        self.closing.set(true);
        self.sink.borrow_mut().set_space(Space::Closed);
        self.work.notify();
        self.supply.notify();
        match self.progress.until(|| self.ended.borrow().clone()).await {
            JournalError::Closed => Ok(()),
            error => Err(error),
        }
    }

    /// The writer has stopped, for good.
    pub(super) fn end(&self, error: JournalError) {
        if !matches!(error, JournalError::Closed) {
            tracing::error!(%error, source = ?std::error::Error::source(&error), "journal is dead");
            self.position.mark_dead();
        }
        self.sink.borrow_mut().set_space(Space::Closed);
        let mut ended = self.ended.borrow_mut();
        if ended.is_none() {
            *ended = Some(error);
        }
        drop(ended);
        self.progress.notify();
        self.supply.notify();
    }

    /// The batch in flight is durable.
    pub(super) fn completed(&self, flush: Flush, segment: &ActiveSegment) {
        let durable = self.sink.borrow_mut().completed();
        self.position.publish(durable, segment.header.number);
        self.active_used.set(segment.at);
        self.due_since.set(None);
        self.count(|counters| {
            counters.batches += 1;
            counters.anchors += u64::from(flush.records == 0);
            counters.records += u64::from(flush.records);
            counters.bytes += u64::from(flush.bytes);
        });
        let mut flushes = self.flushes.borrow_mut();
        if flushes.len() == FLUSHES_MAX {
            flushes.pop_front();
        }
        flushes.push_back(flush);
        drop(flushes);
        self.measure();
        self.progress.notify();
    }

    /// A batch is due from here on.
    pub(super) fn due(&self) {
        if self.due_since.get().is_none() {
            self.due_since.set(Some(self.clock.now()));
        }
    }

    pub(super) fn rolled(&self, segment: &ActiveSegment) {
        self.segments.borrow_mut().push_back(span_of(segment));
        self.active_used.set(segment.at);
        let has_them = segment.header.keys == *self.keys.borrow();
        self.is_rekeying.set(self.is_rekeying.get() && !has_them);
        self.count(|counters| counters.rolls += 1);
        self.measure();
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }

    pub(super) fn spare_outcome(&self, failed: bool) {
        self.spare_failed.set(failed);
        self.supply.notify();
        if self.is_rekeying.get() {
            self.work.notify();
        }
    }

    pub(super) fn rekey(&self, keys: Vec<WrappedKey>) {
        assert!(keys.len() <= KEYS_MAX, "a segment header has room for them");
        self.is_rekeying.set(true);
        *self.keys.borrow_mut() = keys;
        self.work.notify();
    }

    pub(super) const fn is_rekeying(&self) -> bool {
        self.is_rekeying.get()
    }

    pub(super) fn keys(&self) -> Vec<WrappedKey> {
        self.keys.borrow().clone()
    }

    /// Whether the next segment is begun for its keys alone: only when one is ready, for nothing
    /// would be written while one is made, and not where room is short.
    pub(super) fn wants_roll(&self) -> bool {
        let may = self.is_rekeying.get() && !self.closing.get() && !self.above_high_water.get();
        may && self.spare.borrow().is_some()
    }

    /// Whether another segment may be made, and none is ready.
    pub(super) fn wants_spare(&self) -> bool {
        self.spare.borrow().is_none() && self.may_grow()
    }

    /// Whether no spare will come while the journal is being closed.
    pub(super) fn is_starved(&self) -> bool {
        self.closing.get() && (self.spare_failed.get() || !self.may_grow())
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    fn may_grow(&self) -> bool {
        self.allotted().saturating_add(self.segment_bytes) <= self.bytes_max
    }

    fn allotted(&self) -> u64 {
        self.segments.borrow().iter().map(|span| span.bytes).sum()
    }

    /// The oldest segment, when all of its records lie before `keep_from`.
    pub(super) fn retirable(&self, keep_from: Lsn) -> Option<u64> {
        let segments = self.segments.borrow();
        let (oldest, next) = (segments.front()?, segments.get(1)?);
        (next.first_lsn <= keep_from).then_some(oldest.number)
    }

    pub(super) fn retired(&self, number: u64) {
        self.segments
            .borrow_mut()
            .retain(|span| span.number != number);
        self.position.begin_at(self.first_lsn());
        self.measure();
        self.supply.notify();
    }

    pub(super) fn first_lsn(&self) -> Lsn {
        let segments = self.segments.borrow();
        segments.front().map_or(Lsn(1), |span| span.first_lsn)
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let segments = self.segments.borrow();
        let full: u64 = segments.iter().rev().skip(1).map(|span| span.bytes).sum();
        full.saturating_add(self.active_used.get())
    }

    /// The segments there are and as many more as fit below the configured limit.
    pub(super) fn limit_bytes(&self) -> u64 {
        let allotted = self.allotted();
        let more = self.bytes_max.saturating_sub(allotted) / self.segment_bytes;
        allotted.saturating_add(more.saturating_mul(self.segment_bytes))
    }

    pub(super) fn stalled(&self, now: Instant) -> Duration {
        self.due_since
            .get()
            .map_or(Duration::ZERO, |since| now.since(since))
    }

    pub(super) fn pressure(&self, now: Instant) -> Pressure {
        let cause = if self.has_ended() || self.closing.get() {
            ShedCause::Ended
        } else if self.stalled(now) > SLOW_FLUSH {
            ShedCause::SlowFlush
        } else if self.sink.borrow().waiting() >= BUFFERS / 2 {
            ShedCause::Backlog
        } else if self.above_high_water.get() {
            ShedCause::HighWater
        } else if self.spare.borrow().is_none() && (self.spare_failed.get() || !self.may_grow()) {
            ShedCause::NoSpare
        } else {
            return Pressure::Admit;
        };
        Pressure::Shed(cause)
    }

    pub(super) fn takes_reversals(&self) -> bool {
        self.space(self.limit_bytes() / 20) != Space::Exhausted
    }

    /// Sets the high-water mark above 80 %, clears it below 70 %.
    fn measure(&self) {
        let (used, limit) = (self.used_bytes(), self.limit_bytes());
        if is_over(used, limit, 80) {
            self.above_high_water.set(true);
        } else if !is_over(used, limit, 70) && self.above_high_water.replace(false) {
            self.sink.borrow_mut().set_space(Space::Open);
        }
    }

    /// The last tenth is for what ends or reverses; two batches more are kept for what a roll
    /// leaves unused.
    fn space(&self, pending: u64) -> Space {
        let (used, limit) = (self.used_bytes(), self.limit_bytes());
        let used = used.saturating_add(pending);
        if used.saturating_add(self.batch_bytes_max * 2) > limit {
            Space::Exhausted
        } else if is_over(used, limit, 90) {
            Space::Reserved
        } else {
            Space::Open
        }
    }
}

const fn is_over(used: u64, limit: u64, percent: u64) -> bool {
    used.saturating_mul(100) > limit.saturating_mul(percent)
}

const fn span_of(segment: &ActiveSegment) -> Span {
    Span {
        number: segment.header.number,
        first_lsn: segment.header.first_lsn,
        bytes: segment.header.segment_bytes,
    }
}
