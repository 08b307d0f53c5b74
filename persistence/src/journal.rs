//! One shard's journal as it runs: glommio files below [`Journal`].
//!
//! ```text
//!  shard loop ── append ──► sink ──► writer task ── write, fdatasync ──► durable position
//!                                       ▲ roll                             │ wait_durable
//!                                  spare task ── zeros, fdatasync          ▼ shard loop, applier
//! ```
//! `append` is synchronous and only buffers; the writer is a task of its own, one flush
//! outstanding. The first error of a write, a sync or a roll is final (the kernel may mark pages
//! clean after a failed sync, so a second sync proves nothing): the journal is dead, every waiter
//! is told, and the shell ends the process.

mod directory;
mod executor;
mod flush;
mod recover;
mod segment;
mod settings;
mod shared;
mod signal;
mod spare;
mod sys;
mod writer;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::Lsn;
use domain::record::{Carriage, Record};
use domain::time::Instant;
use glommio::Task;

pub use self::executor::{executor, yield_to_rings};
pub use self::flush::Flush;
pub use self::recover::Recovered;
pub use self::settings::{Clock, FileSystems, JournalSettings};
use self::shared::Shared;
pub use self::shared::{Counters, Pressure, ShedCause};
use self::spare::SpareMaker;
use self::writer::Writer;
use crate::error::JournalError;
use crate::position::DurablePosition;
use crate::segment_header::WrappedKey;
pub use crate::sink::{Class, Full};

/// The journal of one shard, open for appending. Lives on the executor that opened it. Dropping it
/// stops the writer where it is, as a crash would; [`Journal::close`] ends it in order.
#[derive(Debug)]
pub struct Journal {
    shared: Rc<Shared>,
    _writer: Task<()>,
    _spares: Task<()>,
}

impl Journal {
    /// Locks and recovers the shard's journal, or makes a new one, and starts its tasks. Every
    /// record on disk is handed to `on_record` in the order of their positions. To be called inside
    /// a glommio executor; reading blocks it, nothing else is served yet.
    ///
    /// # Errors
    /// [`JournalError`]; the files are as they were, but for a torn tail that may have been cut
    /// off.
    pub async fn open(
        settings: JournalSettings,
        on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
    ) -> Result<(Self, Recovered), JournalError> {
        settings.check()?;
        let directory = directory::prepare(&settings).await?;
        let mut recovered = recover::recover(&settings, &directory, on_record).await?;
        let segment = recover::resume(&settings, &directory, &mut recovered).await?;
        let shared = Rc::new(Shared::new(&settings, &recovered, &segment));
        let spares = SpareMaker::new(&settings, &directory, Rc::clone(&shared));
        let writer = Writer::new(settings, directory, segment, Rc::clone(&shared));
        let journal = Self {
            shared,
            _writer: glommio::spawn_local(writer.run()),
            _spares: glommio::spawn_local(spares.run()),
        };
        Ok((journal, recovered.report))
    }

    /// Recovers the shard's journal and leaves it: no further record is written to it. For a
    /// generation that another one takes the place of.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub async fn read(
        settings: JournalSettings,
        on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
    ) -> Result<Recovered, JournalError> {
        settings.check()?;
        let directory = directory::prepare(&settings).await?;
        let recovered = recover::recover(&settings, &directory, on_record).await?;
        recovered.leave().await
    }

    /// Takes `record` into the next batch and returns its position: dense, one more than the last.
    ///
    /// # Errors
    /// [`Full`]; nothing was taken. [`Journal::pressure`] tells before it comes to that.
    pub fn append(&self, record: &Record<'_>, class: Class) -> Result<Lsn, Full> {
        self.shared.append(record, Carriage::Fresh, class)
    }

    /// The same with a record whose transaction's end is told to an address.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_called_back(
        &self,
        record: &Record<'_>,
        callback: Option<&str>,
        class: Class,
    ) -> Result<Lsn, Full> {
        self.shared.append_called_back(record, callback, class)
    }

    /// Takes a record that is carried over from an older generation, and returns its position.
    ///
    /// # Errors
    /// [`Full`]; nothing was taken.
    pub fn carry(&self, record: &Record<'_>, carriage: Carriage) -> Result<Lsn, Full> {
        self.shared.append(record, carriage, Class::New)
    }

    /// The highest durable record.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.shared.position.lsn()
    }

    /// The position that the next record gets.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.shared.sink.borrow().next_lsn()
    }

    /// Waits until a record behind `after` is durable; returns the highest one.
    ///
    /// # Errors
    /// [`JournalError::Dead`] with the one error that ended the journal, or
    /// [`JournalError::Closed`].
    pub async fn wait_durable(&self, after: Lsn) -> Result<Lsn, JournalError> {
        self.waiter().wait_durable(after).await
    }

    /// A second handle that only waits: for a task beside the shard's loop.
    #[must_use]
    pub fn waiter(&self) -> Waiter {
        Waiter {
            shared: Rc::clone(&self.shared),
        }
    }

    /// Where the durable position is published, for readers on other threads.
    #[must_use]
    pub fn position(&self) -> Arc<DurablePosition> {
        Arc::clone(&self.shared.position)
    }

    /// Whether new financial work may still come in, at `now`.
    #[must_use]
    pub fn pressure(&self, now: Instant) -> Pressure {
        self.shared.pressure(now)
    }

    /// Whether there is room for reversals that an acquirer sends: they may use the reserve, but
    /// the last twentieth is left to what ends what has begun, and to the next start.
    #[must_use]
    pub fn takes_reversals(&self) -> bool {
        self.shared.takes_reversals()
    }

    /// For how long, at `now`, the batch that is due has not become durable; zero when none is due.
    /// The shell ends the process when this passes its limit.
    #[must_use]
    pub fn stalled(&self, now: Instant) -> Duration {
        self.shared.stalled(now)
    }

    /// Bytes of the journal that hold something: full segments and the used part of the last one.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.shared.used_bytes()
    }

    /// Bytes that the journal may use.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.shared.limit_bytes()
    }

    /// Segments on disk.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.shared.segments.borrow().len()
    }

    /// The first record that is still on disk.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.shared.first_lsn()
    }

    /// What was written and what failed, since the journal was opened.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters.get()
    }

    /// The oldest completed flush that was not asked for yet; the last 1,024 are kept.
    pub fn poll_flush(&self) -> Option<Flush> {
        self.shared.flushes.borrow_mut().pop_front()
    }

    /// Deletes the segments whose records all lie before `keep_from`, and returns how many: those
    /// that a checkpoint covers. The caller answers for it that no consumer needs anything before
    /// `keep_from`.
    ///
    /// # Errors
    /// A failed operation; the segments that are left are whole.
    pub async fn retire(&self, keep_from: Lsn) -> Result<usize, JournalError> {
        segment::retire(&self.shared, keep_from).await
    }

    /// A second handle that only retires segments: for a task beside the shard's loop.
    #[must_use]
    pub fn retirer(&self) -> Retirer {
        Retirer {
            shared: Rc::clone(&self.shared),
        }
    }

    /// From the next segment on these keys stand in the headers, and that segment is begun as soon
    /// as a spare is ready. Nothing may be sealed under a key that is not in the header of a
    /// segment: wait until [`Journal::is_rekeying`] says that it is.
    ///
    /// # Panics
    /// More than [`KEYS_MAX`](crate::segment_header::KEYS_MAX) of them.
    pub fn rekey(&self, keys: Vec<WrappedKey>) {
        self.shared.rekey(keys);
    }

    /// Whether the segment that is written has other keys than those of the last
    /// [`Journal::rekey`].
    #[must_use]
    pub fn is_rekeying(&self) -> bool {
        self.shared.is_rekeying()
    }

    /// Takes no more records, writes what was taken and an anchor behind it.
    ///
    /// # Errors
    /// [`JournalError::Dead`]; then some records may not be durable.
    pub async fn close(&self) -> Result<(), JournalError> {
        self.shared.close().await
    }
}

/// Retires segments.
#[derive(Clone, Debug)]
pub struct Retirer {
    shared: Rc<Shared>,
}

impl Retirer {
    /// As [`Journal::retire`].
    ///
    /// # Errors
    /// As [`Journal::retire`].
    pub async fn retire(&self, keep_from: Lsn) -> Result<usize, JournalError> {
        segment::retire(&self.shared, keep_from).await
    }

    /// As [`Journal::first_lsn`].
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.shared.first_lsn()
    }

    /// Whether the journal has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.shared.has_ended()
    }
}

/// Waits for records to become durable.
#[derive(Clone, Debug)]
pub struct Waiter {
    shared: Rc<Shared>,
}

impl Waiter {
    /// As [`Journal::wait_durable`].
    ///
    /// # Errors
    /// [`JournalError::Dead`] or [`JournalError::Closed`].
    pub async fn wait_durable(&self, after: Lsn) -> Result<Lsn, JournalError> {
        self.shared.wait_durable(after).await
    }
}
