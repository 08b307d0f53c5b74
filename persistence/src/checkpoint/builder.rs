//! The files of a checkpoint, made in memory one after the other: the same batches and records as
//! in the journal. Pure.

use domain::record::{Carriage, Record};
use domain::time::WallTime;

use super::files_of;
use crate::batch::BLOCK;
use crate::identity::Identity;
use crate::recovery::Tail;
use crate::segment_header::{SegmentHeader, WrappedKey};
use crate::sink::{Class, Full, Sink};

/// How large the files and their batches are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a file at most; it has no byte behind its last batch.
    pub segment_bytes: usize,
    /// Bytes of a batch at most, a multiple of [`BLOCK`].
    pub batch_bytes_max: usize,
}

impl Shape {
    /// What a switch writes: one file is in memory at a time.
    pub const STANDARD: Self = Self {
        segment_bytes: 16 * 1024 * 1024,
        batch_bytes_max: 256 * 1024,
    };
}

/// One file, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its number, from 1.
    pub number: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Collects what is carried over into files.
#[derive(Debug)]
pub struct Builder {
    identity: Identity,
    shape: Shape,
    keys: Vec<WrappedKey>,
    created: WallTime,
    sink: Sink,
    number: u64,
    begins: Tail,
    bytes: Vec<u8>,
    records: u64,
}

impl Builder {
    /// Of the checkpoint of `identity` that covers what is before `segment`. `keys` are those that
    /// its account numbers are sealed under, wrapped.
    #[must_use]
    pub fn new(
        (identity, segment): (&Identity, u64),
        shape: Shape,
        keys: Vec<WrappedKey>,
        created: WallTime,
    ) -> Self {
        let identity = files_of(identity, segment);
        let begins = Tail::new();
        Self {
            identity,
            shape,
            keys,
            created,
            sink: Sink::new(identity.journal, begins, shape.batch_bytes_max),
            number: 1,
            begins,
            bytes: Vec::new(),
            records: 0,
        }
    }

    /// Takes the next record; returns a file when one is full.
    ///
    /// # Errors
    /// [`Full::TooLong`].
    pub fn add(&mut self, record: &Record<'_>, carriage: Carriage) -> Result<Option<Image>, Full> {
        self.sink.try_append_as(record, carriage, Class::Reserved)?;
        self.records += 1;
        if self.sink.waiting() == 0 {
            return Ok(None);
        }
        Ok(self.take_batch())
    }

    /// Closes the next batch; returns the file before when it did not fit into that any more.
    fn take_batch(&mut self) -> Option<Image> {
        let extent = usize::try_from(self.sink.next_extent()?).unwrap_or(usize::MAX);
        let fits = self.bytes.len().saturating_add(extent) <= self.shape.segment_bytes;
        let full = if fits || self.bytes.len() <= BLOCK {
            None
        } else {
            self.take_file()
        };
        if self.bytes.is_empty() {
            self.bytes.resize(BLOCK, 0);
        }
        if let Some(batch) = self.sink.take_batch(self.number) {
            self.bytes.extend_from_slice(batch.bytes);
        }
        self.sink.completed();
        full
    }

    /// The file that was filled so far, and begins the next one.
    fn take_file(&mut self) -> Option<Image> {
        if self.bytes.len() <= BLOCK {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        let header = SegmentHeader {
            identity: self.identity,
            segment_bytes: bytes.len() as u64,
            batch_bytes_max: u32::try_from(self.shape.batch_bytes_max).unwrap_or(u32::MAX),
            number: self.number,
            first_lsn: self.begins.next_lsn,
            first_sequence: self.begins.next_sequence,
            previous_chain: self.begins.chain,
            created: self.created,
            keys: self.keys.clone(),
        };
        let block = header.encode();
        bytes
            .iter_mut()
            .zip(block)
            .for_each(|(target, byte)| *target = byte);
        let number = self.number;
        self.number += 1;
        self.begins = self.sink.tail();
        Some(Image { number, bytes })
    }

    /// The files that are left, at most two.
    #[must_use]
    pub fn end(mut self) -> Ended {
        let mut images = Vec::new();
        while self.sink.next_extent().is_some() {
            images.extend(self.take_batch());
        }
        images.extend(self.take_file());
        Ended {
            images,
            files: self.number - 1,
            records: self.records,
        }
    }
}

/// The end of a checkpoint.
#[derive(Debug)]
pub struct Ended {
    /// The last files.
    pub images: Vec<Image>,
    /// Files in all.
    pub files: u64,
    /// Records in all.
    pub records: u64,
}
