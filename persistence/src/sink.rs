//! A shard's side of its journal: records go into buffers, batches come out. Pure.
//!
//! ```text
//!  try_append ──► filling ──► ready … ──► take_batch ──► in flight ──► completed ──► free
//!                    └───────────────────────▲ an idle shard: at once
//! ```
//! No timer: the next batch is whatever arrived while the one before was in flight. All buffers are
//! made at construction; steady state allocates nothing.

use alloc::collections::VecDeque;

use domain::ids::Lsn;
use domain::record::{Carriage, Record};
use thiserror::Error;

use crate::batch::{self, BATCH_HEADER_LEN, BLOCK, BatchHeader, BatchKind};
use crate::identity::JournalUuid;
use crate::record;
use crate::recovery::Tail;

/// Buffers of one batch each. Eight hold what in-flight transactions may still add while the device
/// stalls and new work is shed.
pub const BUFFERS: usize = 8;

/// What a record is for, where space is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Belongs to new financial work.
    New,
    /// Ends or reverses what has begun: may use the reserve.
    Reserved,
}

/// Why a record was not taken. The shell sheds new work long before it sees one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Full {
    /// All buffers wait for the device.
    #[error("the journal's buffers are full: the device does not keep up")]
    Backlog,
    /// The journal has reached its limit of bytes, or the share of it that this class may use.
    #[error("the journal has reached its limit of bytes")]
    Space,
    /// The journal is dead or closed.
    #[error("the journal takes no more records")]
    Closed,
    /// The record is longer than a record may be: a fault of the caller.
    #[error("the record is too long")]
    TooLong,
}

/// Which records still find space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// All.
    Open,
    /// [`Class::Reserved`] alone.
    Reserved,
    /// None.
    Exhausted,
    /// None, for good.
    Closed,
}

/// A batch that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Header, records and padding: a multiple of [`BLOCK`].
    pub bytes: &'a [u8],
    /// Records in it; none in an anchor.
    pub records: u32,
    /// The last record that is durable once it is.
    pub last: Lsn,
}

/// Collects records into batches. One batch is in flight at most.
#[derive(Debug)]
pub struct Sink {
    journal: JournalUuid,
    batch_bytes_max: usize,
    tail: Tail,
    next_lsn: Lsn,
    durable: Lsn,
    space: Space,
    filling: Buffer,
    ready: VecDeque<Buffer>,
    free: Vec<Buffer>,
    flight: Option<Flight>,
    anchored: bool,
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    first: Lsn,
    records: u32,
}

#[derive(Debug)]
struct Flight {
    buffer: Buffer,
    last: Lsn,
}

impl Sink {
    /// Continues the log behind `tail`. `batch_bytes_max` is a multiple of [`BLOCK`].
    #[must_use]
    pub fn new(journal: JournalUuid, tail: Tail, batch_bytes_max: usize) -> Self {
        debug_assert!(batch_bytes_max.is_multiple_of(BLOCK) && batch_bytes_max > 0);
        let buffer = || Buffer::with_capacity(batch_bytes_max);
        Self {
            journal,
            batch_bytes_max,
            tail,
            next_lsn: tail.next_lsn,
            durable: Lsn(tail.next_lsn.0.saturating_sub(1)),
            space: Space::Open,
            filling: buffer(),
            ready: VecDeque::with_capacity(BUFFERS),
            free: (1..BUFFERS).map(|_| buffer()).collect(),
            flight: None,
            anchored: true,
        }
    }

    /// Takes `record` and gives it its position.
    ///
    /// # Errors
    /// [`Full`]; nothing was taken.
    pub fn try_append(&mut self, record: &Record<'_>, class: Class) -> Result<Lsn, Full> {
        self.try_append_as(record, Carriage::Fresh, class)
    }

    /// The same with a record whose transaction's end is told to an address.
    ///
    /// # Errors
    /// [`Full`]; nothing was taken.
    pub fn try_append_called_back(
        &mut self,
        record: &Record<'_>,
        callback: Option<&str>,
        class: Class,
    ) -> Result<Lsn, Full> {
        self.take((record, Carriage::Fresh, callback), class)
    }

    /// The same with a record that may be carried over.
    ///
    /// # Errors
    /// [`Full`]; nothing was taken.
    pub fn try_append_as(
        &mut self,
        record: &Record<'_>,
        carriage: Carriage,
        class: Class,
    ) -> Result<Lsn, Full> {
        self.take((record, carriage, None), class)
    }

    fn take(&mut self, entry: Entry<'_, '_>, class: Class) -> Result<Lsn, Full> {
        match (self.space, class) {
            (Space::Open, _) | (Space::Reserved, Class::Reserved) => {}
            (Space::Closed, _) => return Err(Full::Closed),
            (Space::Reserved, Class::New) | (Space::Exhausted, _) => return Err(Full::Space),
        }
        let (record, _, callback) = entry;
        let len = record::encoded_len_with(record, callback);
        if len > record::RECORD_BYTES_MAX || BATCH_HEADER_LEN + len > self.batch_bytes_max {
            return Err(Full::TooLong);
        }
        if self.filling.bytes.len() + len > self.batch_bytes_max {
            let empty = self.free.pop().ok_or(Full::Backlog)?;
            let full = core::mem::replace(&mut self.filling, empty);
            self.ready.push_back(full);
        }
        let lsn = self.next_lsn;
        self.filling.push(entry, lsn, len)?;
        self.next_lsn = lsn.next();
        self.anchored = false;
        Ok(lsn)
    }

    /// Bytes that the next batch will take in its segment; `None` when there is none to write.
    #[must_use]
    pub fn next_extent(&self) -> Option<u64> {
        let buffer = self.ready.front().unwrap_or(&self.filling);
        let extent = buffer.bytes.len().next_multiple_of(BLOCK);
        (buffer.records > 0).then_some(extent as u64)
    }

    /// Closes the next batch, to be written into `segment`. `None` when there is none, or when one
    /// is in flight.
    pub fn take_batch(&mut self, segment: u64) -> Option<Batch<'_>> {
        if self.flight.is_some() {
            return None;
        }
        let buffer = match self.ready.pop_front() {
            Some(buffer) => buffer,
            None if self.filling.records > 0 => {
                // Nothing is in flight or ready, so all other buffers are free.
                let empty = self.free.pop()?;
                core::mem::replace(&mut self.filling, empty)
            }
            None => return None,
        };
        self.launch(buffer, BatchKind::Records, segment)
    }

    /// Closes an empty batch behind the last one, so that it is no longer the last; `None` when
    /// the log ends with an anchor already, or when there is something else to write.
    pub fn take_anchor(&mut self, segment: u64) -> Option<Batch<'_>> {
        if !self.wants_anchor() {
            return None;
        }
        let mut buffer = self.free.pop()?;
        buffer.first = self.next_lsn;
        self.anchored = true;
        self.launch(buffer, BatchKind::Anchor, segment)
    }

    /// Whether the log ends with a batch of records and nothing waits or is in flight.
    #[must_use]
    pub fn wants_anchor(&self) -> bool {
        !self.anchored && self.flight.is_none() && self.next_extent().is_none()
    }

    /// The batch in flight is durable: all records up to the returned one are.
    pub fn completed(&mut self) -> Lsn {
        debug_assert!(self.flight.is_some(), "a batch was in flight");
        if let Some(flight) = self.flight.take() {
            debug_assert!(flight.last >= self.durable, "batches end in order");
            self.durable = flight.last;
            let mut buffer = flight.buffer;
            buffer.clear();
            self.free.push(buffer);
        }
        self.durable
    }

    /// Says which records still find space. [`Space::Closed`] is for good.
    pub fn set_space(&mut self, space: Space) {
        if self.space != Space::Closed {
            self.space = space;
        }
    }

    /// The batch in flight.
    #[must_use]
    pub fn in_flight(&self) -> Option<Batch<'_>> {
        self.flight.as_ref().map(|flight| Batch {
            bytes: &flight.buffer.bytes,
            records: flight.buffer.records,
            last: flight.last,
        })
    }

    /// The highest durable record.
    #[must_use]
    pub const fn durable(&self) -> Lsn {
        self.durable
    }

    /// The position that the next record gets.
    #[must_use]
    pub const fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// Where the log stands behind the last batch that was taken.
    #[must_use]
    pub const fn tail(&self) -> Tail {
        self.tail
    }

    /// Bytes that the records not yet durable will take on disk.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        let flight = self.flight.as_ref().map(|flight| &flight.buffer);
        let filling = Some(&self.filling).filter(|buffer| buffer.records > 0);
        let buffers = self.ready.iter().chain(flight).chain(filling);
        buffers
            .map(|buffer| buffer.bytes.len().next_multiple_of(BLOCK) as u64)
            .sum()
    }

    /// Buffers that are neither empty nor the one being filled.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ready.len() + usize::from(self.flight.is_some())
    }

    fn launch(&mut self, mut buffer: Buffer, kind: BatchKind, segment: u64) -> Option<Batch<'_>> {
        let len = buffer.bytes.len();
        buffer.bytes.resize(len.next_multiple_of(BLOCK), 0);
        let mut header = BatchHeader {
            kind,
            segment,
            sequence: self.tail.next_sequence,
            first_lsn: buffer.first,
            records: buffer.records,
            // At most batch_bytes_max, which the settings bound far below 4 GiB.
            len: u32::try_from(len).unwrap_or(u32::MAX),
            acked_up_to: self.durable,
            previous_chain: self.tail.chain,
            chain: 0,
        };
        debug_assert_eq!(header.first_lsn, self.tail.next_lsn, "LSNs are dense");
        header.chain = batch::seal(header, self.journal, &mut buffer.bytes);
        self.tail.segment = segment;
        self.tail.pass(&header);
        let last = Lsn(header.next_lsn().0.saturating_sub(1));
        self.flight = Some(Flight { buffer, last });
        self.in_flight()
    }
}

/// A record on its way into a batch, and the address behind it.
type Entry<'r, 'a> = (&'r Record<'a>, Carriage, Option<&'r str>);

impl Buffer {
    fn with_capacity(batch_bytes_max: usize) -> Self {
        let mut bytes = Vec::with_capacity(batch_bytes_max);
        bytes.resize(BATCH_HEADER_LEN, 0);
        Self {
            bytes,
            first: Lsn::ZERO,
            records: 0,
        }
    }

    fn push(&mut self, entry: Entry<'_, '_>, lsn: Lsn, len: usize) -> Result<(), Full> {
        let (record, carriage, callback) = entry;
        let at = self.bytes.len();
        self.bytes.resize(at + len, 0);
        let out = self.bytes.get_mut(at..).unwrap_or_default();
        if record::encode_with(record, (carriage, callback), lsn, out).is_err() {
            self.bytes.truncate(at);
            return Err(Full::TooLong);
        }
        if self.records == 0 {
            self.first = lsn;
        }
        self.records += 1;
        Ok(())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(BATCH_HEADER_LEN, 0);
        self.records = 0;
    }
}

#[cfg(test)]
mod tests;
