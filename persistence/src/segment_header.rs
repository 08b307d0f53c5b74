//! The first block of a segment: where the file belongs, what it continues, and the wrapped keys of
//! the account numbers sealed in it.
//!
//! Pure. Offsets are in `docs/journal-format.md`.

use core::fmt;

use domain::ids::{Lsn, NodeId, ShardId};
use domain::time::WallTime;

use crate::batch::{BLOCK, FORMAT_VERSION, field};
use crate::identity::{Identity, JournalUuid};

/// Wrapped keys that a header has room for.
pub const KEYS_MAX: usize = 8;
/// Length of a wrapped data key: nonce, key and tag of AES-256-GCM.
pub const WRAPPED_KEY_LEN: usize = 60;

const MAGIC: [u8; 8] = *b"njiaSEG\n";
const WRAPPING_IDS_AT: usize = 96;
const KEYS_AT: usize = 128;
const KEY_STRIDE: usize = 64;
const _: () = assert!(
    WRAPPING_IDS_AT + 4 * KEYS_MAX <= KEYS_AT,
    "an id for each key"
);
const CHECKSUM_AT: usize = BLOCK - 4;

/// A data key as the shell wrapped it. Opaque here: no cryptography happens in this crate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WrappedKey {
    /// What [`domain::pan::SealedPan::key_id`] names.
    pub key_id: u32,
    /// Which key of the operator's it is wrapped under; 0: a segment from before these had ids.
    pub wrapping_id: u32,
    /// The wrapped key.
    pub wrapped: [u8; WRAPPED_KEY_LEN],
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({})", self.key_id)
    }
}

/// What a segment's first block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Where the file belongs.
    pub identity: Identity,
    /// Bytes of the whole file.
    pub segment_bytes: u64,
    /// No batch in it is longer, padding included.
    pub batch_bytes_max: u32,
    /// Its number, from 1; its file name repeats it.
    pub number: u64,
    /// The first record that it may hold.
    pub first_lsn: Lsn,
    /// The first batch that it may hold.
    pub first_sequence: u64,
    /// The chain value of the last batch before it; 0 in the first segment of a journal.
    pub previous_chain: u32,
    /// When it was made. For people: nothing depends on it.
    pub created: WallTime,
    /// At most [`KEYS_MAX`].
    pub keys: Vec<WrappedKey>,
}

/// Why a block is not a segment header that this program can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Too short, not a segment header, or its checksum does not fit.
    Damaged,
    /// The checksum fits, but the format is not one that this program reads.
    Version(u16),
}

impl SegmentHeader {
    /// The block as it is written.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        debug_assert!(
            self.keys.len() <= KEYS_MAX,
            "the settings bound the number of keys"
        );
        let mut block = Vec::with_capacity(BLOCK);
        let keys = self.keys.len().min(KEYS_MAX);
        block.extend_from_slice(&MAGIC);
        block.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        block.extend_from_slice(&u16::try_from(keys).unwrap_or(0).to_le_bytes());
        block.extend_from_slice(&u32::try_from(BLOCK).unwrap_or(0).to_le_bytes());
        block.extend_from_slice(&self.segment_bytes.to_le_bytes());
        block.extend_from_slice(&self.batch_bytes_max.to_le_bytes());
        block.extend_from_slice(&self.identity.generation.to_le_bytes());
        block.extend_from_slice(&self.identity.journal.0);
        block.extend_from_slice(&self.identity.node.0.to_le_bytes());
        block.extend_from_slice(&self.identity.shard.0.to_le_bytes());
        block.extend_from_slice(&self.identity.shards.to_le_bytes());
        block.extend_from_slice(&[0; 2]);
        block.extend_from_slice(&self.number.to_le_bytes());
        block.extend_from_slice(&self.first_lsn.0.to_le_bytes());
        block.extend_from_slice(&self.first_sequence.to_le_bytes());
        block.extend_from_slice(&self.previous_chain.to_le_bytes());
        block.extend_from_slice(&[0; 4]);
        block.extend_from_slice(&self.created.unix_millis().to_le_bytes());
        for key in self.keys.iter().take(keys) {
            block.extend_from_slice(&key.wrapping_id.to_le_bytes());
        }
        block.resize(KEYS_AT, 0);
        for key in self.keys.iter().take(keys) {
            block.extend_from_slice(&key.key_id.to_le_bytes());
            block.extend_from_slice(&key.wrapped);
        }
        block.resize(CHECKSUM_AT, 0);
        let checksum = crc32c::crc32c(&block);
        block.extend_from_slice(&checksum.to_le_bytes());
        block
    }

    /// Reads the block at the front of `bytes`.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let block = bytes.first_chunk::<BLOCK>().ok_or(HeaderError::Damaged)?;
        Self::checked_version(block)?;
        Self::fields(block).ok_or(HeaderError::Damaged)
    }

    fn checked_version(block: &[u8; BLOCK]) -> Result<(), HeaderError> {
        let (body, checksum) = block.split_last_chunk::<4>().ok_or(HeaderError::Damaged)?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) || !body.starts_with(&MAGIC) {
            return Err(HeaderError::Damaged);
        }
        let version = field(body, 8).map_or(0, u16::from_le_bytes);
        if version != FORMAT_VERSION {
            return Err(HeaderError::Version(version));
        }
        Ok(())
    }

    fn fields(block: &[u8; BLOCK]) -> Option<Self> {
        let keys = usize::from(u16::from_le_bytes(field(block, 10)?));
        if keys > KEYS_MAX || u32::from_le_bytes(field(block, 12)?) as usize != BLOCK {
            return None;
        }
        Some(Self {
            segment_bytes: u64::from_le_bytes(field(block, 16)?),
            batch_bytes_max: u32::from_le_bytes(field(block, 24)?),
            identity: Identity {
                generation: u32::from_le_bytes(field(block, 28)?),
                journal: JournalUuid(field(block, 32)?),
                node: NodeId(u16::from_le_bytes(field(block, 48)?)),
                shard: ShardId(u16::from_le_bytes(field(block, 50)?)),
                shards: u16::from_le_bytes(field(block, 52)?),
            },
            number: u64::from_le_bytes(field(block, 56)?),
            first_lsn: Lsn(u64::from_le_bytes(field(block, 64)?)),
            first_sequence: u64::from_le_bytes(field(block, 72)?),
            previous_chain: u32::from_le_bytes(field(block, 80)?),
            created: WallTime::from_unix_millis(u64::from_le_bytes(field(block, 88)?)),
            keys: (0..keys)
                .map(|index| key(block, index))
                .collect::<Option<Vec<_>>>()?,
        })
    }
}

fn key(block: &[u8; BLOCK], index: usize) -> Option<WrappedKey> {
    let at = KEYS_AT + index * KEY_STRIDE;
    Some(WrappedKey {
        key_id: u32::from_le_bytes(field(block, at)?),
        wrapping_id: u32::from_le_bytes(field(block, WRAPPING_IDS_AT + 4 * index)?),
        wrapped: field(block, at + 4)?,
    })
}

#[cfg(test)]
mod tests;
