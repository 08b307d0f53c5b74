//! The bytes of one batch: a header, records, zeros up to the next block; checksummed and chained.
//!
//! Pure. A batch is what one flush makes durable. Its CRC32C covers the journal's UUID, the header,
//! the records and the padding, and is the chain value that the next batch repeats: a batch that is
//! stale, swapped or from elsewhere does not fit. Against accidents only; a CRC is no MAC.

use core::ops::Range;

use domain::ids::Lsn;

use crate::identity::JournalUuid;
use crate::record::{self, Decoded, RecordError};

/// Every write starts and ends at a multiple of this, and so does every batch.
pub const BLOCK: usize = 4096;
/// Length of a batch header.
pub const BATCH_HEADER_LEN: usize = 64;
/// The format that is written, of segments and batches alike.
pub const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"njB1";
const FLAG_ANCHOR: u16 = 1;
/// Where the checksum stands in a batch header.
const CHECKSUM_AT: Range<usize> = 52..56;

/// Whether a batch carries records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchKind {
    /// One record at least.
    Records,
    /// None: written when the shard falls idle, so that an acknowledged batch is not the last one.
    Anchor,
}

/// What a batch says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Records or anchor.
    pub kind: BatchKind,
    /// The segment that it belongs to.
    pub segment: u64,
    /// Rises by one with each batch of the journal, from 1.
    pub sequence: u64,
    /// Its first record; of an anchor, the next record to come.
    pub first_lsn: Lsn,
    /// Records in it.
    pub records: u32,
    /// Bytes of header and records, without padding.
    pub len: u32,
    /// Highest record on which an effect had been released when the batch was closed.
    pub acked_up_to: Lsn,
    /// The chain value of the batch before.
    pub previous_chain: u32,
    /// CRC32C of this batch: its chain value.
    pub chain: u32,
}

impl BatchHeader {
    /// Bytes from the start of this batch to the start of the next.
    #[must_use]
    pub fn extent(&self) -> u64 {
        u64::from(self.len).next_multiple_of(BLOCK as u64)
    }

    /// The record after the last one of this batch.
    #[must_use]
    pub const fn next_lsn(&self) -> Lsn {
        Lsn(self.first_lsn.0.saturating_add(self.records as u64))
    }

    /// Reads the fields; believes nothing but the magic, the version and the flags. `None` when
    /// these do not fit.
    #[must_use]
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<BATCH_HEADER_LEN>()?;
        let flags = u16::from_le_bytes(field(bytes, 6)?);
        let kind = match flags {
            0 => BatchKind::Records,
            FLAG_ANCHOR => BatchKind::Anchor,
            _ => return None,
        };
        let known = field::<4>(bytes, 0)? == MAGIC
            && u16::from_le_bytes(field(bytes, 4)?) == FORMAT_VERSION
            && field::<8>(bytes, 56)? == [0; 8];
        if !known {
            return None;
        }
        Some(Self {
            kind,
            segment: u64::from_le_bytes(field(bytes, 8)?),
            sequence: u64::from_le_bytes(field(bytes, 16)?),
            first_lsn: Lsn(u64::from_le_bytes(field(bytes, 24)?)),
            records: u32::from_le_bytes(field(bytes, 32)?),
            len: u32::from_le_bytes(field(bytes, 36)?),
            acked_up_to: Lsn(u64::from_le_bytes(field(bytes, 40)?)),
            previous_chain: u32::from_le_bytes(field(bytes, 48)?),
            chain: u32::from_le_bytes(field(bytes, CHECKSUM_AT.start)?),
        })
    }

    fn write(&self, out: &mut [u8]) {
        let flags = match self.kind {
            BatchKind::Records => 0,
            BatchKind::Anchor => FLAG_ANCHOR,
        };
        let parts: [&[u8]; 12] = [
            &MAGIC,
            &FORMAT_VERSION.to_le_bytes(),
            &flags.to_le_bytes(),
            &self.segment.to_le_bytes(),
            &self.sequence.to_le_bytes(),
            &self.first_lsn.0.to_le_bytes(),
            &self.records.to_le_bytes(),
            &self.len.to_le_bytes(),
            &self.acked_up_to.0.to_le_bytes(),
            &self.previous_chain.to_le_bytes(),
            &self.chain.to_le_bytes(),
            &[0; 8],
        ];
        let bytes = parts.iter().flat_map(|part| part.iter());
        for (target, byte) in out.iter_mut().zip(bytes) {
            *target = *byte;
        }
    }
}

/// Writes `header` over the front of `batch` with the checksum of all of `batch`, which is header
/// space, records and zero padding, and returns that checksum: the chain value.
pub fn seal(mut header: BatchHeader, journal: JournalUuid, batch: &mut [u8]) -> u32 {
    debug_assert!(
        batch.len() as u64 == header.extent(),
        "a batch is padded to a block"
    );
    header.chain = 0;
    header.write(batch);
    header.chain = checksum(journal, batch);
    header.write(batch);
    header.chain
}

/// Reads a batch whose checksum fits at the front of `bytes`: its header and all of its bytes.
/// `None` when there is none; what that means is for [`crate::recovery`] to say.
#[must_use]
pub fn open(journal: JournalUuid, bytes: &[u8]) -> Option<(BatchHeader, &[u8])> {
    let header = BatchHeader::peek(bytes)?;
    if (header.len as usize) < BATCH_HEADER_LEN {
        return None;
    }
    let batch = bytes.get(..usize::try_from(header.extent()).ok()?)?;
    (checksum(journal, batch) == header.chain).then_some((header, batch))
}

/// The records of a batch that [`open`] has accepted, in order.
#[must_use]
pub fn records<'a>(header: &BatchHeader, batch: &'a [u8]) -> Records<'a> {
    let body = batch.get(BATCH_HEADER_LEN..header.len as usize);
    Records {
        rest: body.unwrap_or_default(),
        next: header.first_lsn,
        left: header.records,
    }
}

/// Iterator over the records of one batch. Ends at the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    next: Lsn,
    left: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(Decoded<'a>, &'a [u8]), RecordError>;

    /// The record and its bytes.
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let extra = !self.rest.is_empty();
            self.rest = &[];
            return extra.then_some(Err(RecordError::Length));
        }
        let step = self.step();
        if step.is_err() {
            self.left = 0;
            self.rest = &[];
        }
        Some(step)
    }
}

impl<'a> Records<'a> {
    fn step(&mut self) -> Result<(Decoded<'a>, &'a [u8]), RecordError> {
        let decoded = record::decode(self.rest)?;
        if decoded.lsn != self.next {
            return Err(RecordError::Value("LSN"));
        }
        let (bytes, rest) = self
            .rest
            .split_at_checked(decoded.len)
            .ok_or(RecordError::Short)?;
        self.rest = rest;
        self.next = self.next.next();
        self.left -= 1;
        Ok((decoded, bytes))
    }
}

/// Over the UUID and `batch`, whose own checksum counts as zero.
fn checksum(journal: JournalUuid, batch: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&journal.0);
    let before = batch.get(..CHECKSUM_AT.start).unwrap_or_default();
    let after = batch.get(CHECKSUM_AT.end..).unwrap_or_default();
    let crc = crc32c::crc32c_append(crc, before);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, after)
}

/// The `N` bytes at `at`.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

#[cfg(test)]
mod tests;
