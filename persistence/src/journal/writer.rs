//! The task that makes batches durable, one at a time.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use futures_lite::future;

use super::directory::Directory;
use super::flush::Flush;
use super::segment::{ActiveSegment, Spare};
use super::settings::JournalSettings;
use super::shared::Shared;
use crate::batch::BLOCK;
use crate::error::JournalError;
use crate::recovery::Tail;
use crate::segment_header::SegmentHeader;

pub(super) struct Writer {
    settings: JournalSettings,
    directory: Directory,
    segment: ActiveSegment,
    shared: Rc<Shared>,
}

/// What the writer does next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Records,
    /// The next segment, for its keys.
    Roll,
    Anchor,
    Close,
}

impl Writer {
    pub(super) const fn new(
        settings: JournalSettings,
        directory: Directory,
        segment: ActiveSegment,
        shared: Rc<Shared>,
    ) -> Self {
        Self {
            settings,
            directory,
            segment,
            shared,
        }
    }

    pub(super) async fn run(mut self) {
        let shared = Rc::clone(&self.shared);
        let ended = match self.serve().await {
            Ok(()) => self.finish().await,
            Err(error) => error,
        };
        shared.end(ended);
    }

    //= docs/rules.md#J-02
    async fn serve(&mut self) -> Result<(), JournalError> {
        loop {
            match self.next_work().await {
                Work::Records => self.write_records().await?,
                Work::Roll => self.roll().await?,
                Work::Anchor => self.write_anchor().await?,
                Work::Close => return self.write_anchor().await,
            }
        }
    }

    async fn next_work(&self) -> Work {
        let shared = &self.shared;
        let records = shared.work.until(|| {
            if shared.wants_roll() {
                return Some(Work::Roll);
            }
            if shared.sink.borrow().next_extent().is_some() {
                return Some(Work::Records);
            }
            shared.closing.get().then_some(Work::Close)
        });
        if !shared.sink.borrow().wants_anchor() {
            return records.await;
        }
        let idle = async {
            glommio::timer::sleep(self.settings.anchor_wait).await;
            Work::Anchor
        };
        future::or(records, idle).await
    }

    async fn write_records(&mut self) -> Result<(), JournalError> {
        self.shared.due();
        if !self.settings.batch_wait.is_zero() {
            glommio::timer::sleep(self.settings.batch_wait).await;
        }
        // Records may join the batch while a roll is under way, so its length is asked for again.
        while let Some(extent) = self.next_extent() {
            if extent > self.segment.room() {
                self.roll().await?;
                continue;
            }
            let batch = {
                let mut sink = self.shared.sink.borrow_mut();
                let batch = sink.take_batch(self.segment.header.number);
                batch.map(|batch| (self.segment.buffer(batch.bytes), batch.records))
            };
            return match batch {
                Some((buffer, records)) => self.flush(buffer, records).await,
                None => Ok(()),
            };
        }
        Ok(())
    }

    async fn write_anchor(&mut self) -> Result<(), JournalError> {
        if !self.shared.sink.borrow().wants_anchor() {
            return Ok(());
        }
        self.shared.due();
        if self.segment.room() < BLOCK as u64 {
            self.roll().await?;
        }
        let buffer = {
            let mut sink = self.shared.sink.borrow_mut();
            let batch = sink.take_anchor(self.segment.header.number);
            batch.map(|batch| self.segment.buffer(batch.bytes))
        };
        match buffer {
            Some(buffer) => self.flush(buffer, 0).await,
            None => Ok(()),
        }
    }

    /// Write, check, then sync: a sync submitted beside its write may pass it.
    async fn flush(
        &mut self,
        buffer: Rc<glommio::io::DmaBuffer>,
        records: u32,
    ) -> Result<(), JournalError> {
        let started = self.shared.clock.now();
        if let Err(error) = self.segment.write(&buffer).await {
            self.shared.count(|counters| counters.write_errors += 1);
            return Err(self.dead("write a batch to", error));
        }
        if let Err(error) = self.segment.sync().await {
            self.shared.count(|counters| counters.sync_errors += 1);
            return Err(self.dead("sync", error));
        }
        let flush = Flush {
            records,
            bytes: u32::try_from(buffer.len()).unwrap_or(u32::MAX),
            took: self.shared.clock.now().since(started),
        };
        self.shared.completed(flush, &self.segment);
        Ok(())
    }

    /// Goes on in a new segment, as soon as there is a spare.
    async fn roll(&mut self) -> Result<(), JournalError> {
        let spare = self.take_spare().await?;
        let tail = self.shared.sink.borrow().tail();
        let mut header = header(&self.settings, self.segment.header.number + 1, tail);
        header.keys = self.shared.keys();
        let next = spare.activate(&self.directory.path, header).await;
        let next = next.map_err(|error| {
            self.shared.count(|counters| counters.prepare_errors += 1);
            dead(error)
        })?;
        let full = std::mem::replace(&mut self.segment, next);
        self.shared.rolled(&self.segment);
        let path = full.path.clone();
        full.close()
            .await
            .map_err(|error| dead(JournalError::io("close", &path, error)))
    }

    /// Waits for a spare, for as long as it takes: new work is shed meanwhile, and the shell ends
    /// the process when it takes too long.
    async fn take_spare(&self) -> Result<Spare, JournalError> {
        let shared = &self.shared;
        let spare = shared.supply.until(|| {
            let spare = shared.spare.borrow_mut().take();
            spare
                .map(Some)
                .or_else(|| shared.is_starved().then_some(None))
        });
        let spare = spare.await;
        shared.supply.notify();
        spare.ok_or_else(|| {
            let full = io::Error::from(io::ErrorKind::StorageFull);
            self.dead("make the segment behind", full)
        })
    }

    async fn finish(self) -> JournalError {
        let path = self.segment.path.clone();
        match self.segment.close().await {
            Ok(()) => JournalError::Closed,
            Err(error) => dead(JournalError::io("close", &path, error)),
        }
    }
}

/// The header of segment `number`, which continues the log behind `tail`.
pub(super) fn header(settings: &JournalSettings, number: u64, tail: Tail) -> SegmentHeader {
    SegmentHeader {
        identity: settings.identity,
        segment_bytes: settings.segment_bytes,
        batch_bytes_max: u32::try_from(settings.batch_bytes_max).unwrap_or(u32::MAX),
        number,
        first_lsn: tail.next_lsn,
        first_sequence: tail.next_sequence,
        previous_chain: tail.chain,
        created: (settings.clock.wall)(),
        keys: settings.keys.clone(),
    }
}

/// An error of the running journal is its end.
fn dead(error: JournalError) -> JournalError {
    match error {
        JournalError::Io {
            operation,
            path,
            source,
        } => JournalError::Dead {
            operation,
            path,
            source,
        },
        other => other,
    }
}

impl Writer {
    fn next_extent(&self) -> Option<u64> {
        self.shared.sink.borrow().next_extent()
    }

    fn dead(&self, operation: &'static str, error: io::Error) -> JournalError {
        JournalError::Dead {
            operation,
            path: self.segment.path.clone(),
            source: Arc::new(error),
        }
    }
}
