//! All that a start would still find of the segments before one of them, written once more, so that
//! these need not be read and may go.
//!
//! A checkpoint is a function of files that no longer change: of the checkpoint before it, and of
//! the segments from there up to the one that it names. It is a folder beside the segments:
//!
//! ```text
//!  checkpoint-00000032.part/ ── files and `covered` written, synced, read back ──► renamed to
//!  checkpoint-00000032/      ── directory synced ──► those before it lose their name, and go
//!     00000001.seg …            records that are carried over, under a journal UUID of its own
//!     covered                   [`Covered`]: where the log goes on
//! ```
//! Before the rename nothing has changed, and what was half made is removed by the next start
//! (J10). After it a start reads the checkpoint, and then segment 32 as one that has just been
//! written.

mod builder;
mod files;

pub use self::builder::{Builder, Ended, Image, Shape};
pub use self::files::{
    Draft, covered, folder, newest, numbers, remove_before, remove_unfinished, verified,
    wrapped_keys,
};

use domain::ids::Lsn;
use domain::time::WallTime;

use crate::identity::{Identity, JournalUuid};
use crate::marks::{Marks, read_behind, read_stans, write_behind, write_stans};
use crate::recovery::{Refusal, Tail};

/// What a checkpoint stands for, and how the log goes on behind it. Its text is the file `covered`:
///
/// ```text
/// njia-checkpoint 1
/// node 1
/// journal 5f0c9a3e-…
/// generation 1
/// shard 0
/// shards 2
/// segment 32
/// next_lsn 81235
/// next_sequence 5512
/// chain 1a2b3c4d
/// left_behind 0
/// files 3
/// records 40213
/// crc32c 5e6f7a8b
/// ```
/// Format 2 has a second time behind `left_behind` (`1763781234567/1763781200000`), or lines behind
/// `records` with the numbers that this shard had given out last, `stans 1 000123 130001`, or both;
/// what needs neither is written in format 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The journal and shard.
    pub identity: Identity,
    /// The first segment that is not covered; 2 at least.
    pub segment: u64,
    /// The first record that is not covered.
    pub next_lsn: Lsn,
    /// The first batch that is not.
    pub next_sequence: u64,
    /// The chain value of the last batch before it.
    pub chain: u32,
    /// Its own segments.
    pub files: u64,
    /// Records in them.
    pub records: u64,
    /// What may not be in it; and the numbers that the shard had given out last, no more than
    /// [`Covered::LATEST_STANS_MAX`].
    pub marks: Marks,
}

impl Covered {
    /// Without what format 2 has.
    const FORMAT_UNMARKED: u16 = 1;
    const FORMAT: u16 = 2;
    /// Links: as many as any configuration has.
    pub const LATEST_STANS_MAX: usize = 1_024;
    /// Longer than any that is written.
    pub(crate) const LEN_MAX: usize = 1_024 + Self::LATEST_STANS_MAX * "stans 65535 999999\n".len();

    /// Where the log stands behind what is covered.
    #[must_use]
    pub const fn tail(&self) -> Tail {
        Tail {
            segment: self.segment.saturating_sub(1),
            next_lsn: self.next_lsn,
            next_sequence: self.next_sequence,
            chain: self.chain,
        }
    }

    /// Where its own files belong: to no journal, so that none is ever taken for a segment of one,
    /// nor for a file of another checkpoint.
    #[must_use]
    pub const fn identity_of_files(&self) -> Identity {
        files_of(&self.identity, self.segment)
    }

    /// The text of the file.
    #[must_use]
    pub fn encode(&self) -> String {
        let Identity {
            journal,
            node,
            generation,
            shard,
            shards,
        } = self.identity;
        debug_assert!(self.marks.latest_stans.len() <= Self::LATEST_STANS_MAX);
        let left_behind = write_behind(self.marks.left_behind);
        let mut text = format!(
            "njia-checkpoint {}\nnode {node}\njournal {journal}\ngeneration {generation}\n\
             shard {shard}\nshards {shards}\nsegment {}\nnext_lsn {}\nnext_sequence {}\n\
             chain {:08x}\nleft_behind {left_behind}\nfiles {}\nrecords {}\n",
            self.format(),
            self.segment,
            self.next_lsn,
            self.next_sequence,
            self.chain,
            self.files,
            self.records
        );
        write_stans(&mut text, &self.marks.latest_stans);
        let checksum = crc32c::crc32c(text.as_bytes());
        format!("{text}crc32c {checksum:08x}\n")
    }

    fn format(&self) -> u16 {
        let advices = self.marks.left_behind.advices > WallTime::default();
        if advices || !self.marks.latest_stans.is_empty() {
            Self::FORMAT
        } else {
            Self::FORMAT_UNMARKED
        }
    }

    /// Reads the text of the checkpoint whose folder is called after `segment`.
    ///
    /// # Errors
    /// [`Refusal::Checkpoint`]: it is not exactly what this program writes.
    pub fn decode(segment: u64, text: &str) -> Result<Self, Refusal> {
        let refused = |what| Refusal::Checkpoint { segment, what };
        let at = text.rfind("crc32c ").unwrap_or(0);
        let (body, checksum) = text.split_at_checked(at).unwrap_or_default();
        if checksum != format!("crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())) {
            return Err(refused("the checksum of `covered` does not fit"));
        }
        let mut lines = body.lines();
        let mut next = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        let format = next("njia-checkpoint").unwrap_or_default();
        let known = [Self::FORMAT_UNMARKED, Self::FORMAT];
        if !known.iter().any(|known| known.to_string() == format) {
            return Err(refused("its format is not one that this program reads"));
        }
        let covered = (|| {
            Some(Self {
                identity: Identity {
                    node: domain::ids::NodeId(next("node")?.parse().ok()?),
                    journal: JournalUuid::parse(next("journal")?)?,
                    generation: next("generation")?.parse().ok()?,
                    shard: domain::ids::ShardId(next("shard")?.parse().ok()?),
                    shards: next("shards")?.parse().ok()?,
                },
                segment: next("segment")?.parse().ok()?,
                next_lsn: Lsn(next("next_lsn")?.parse().ok()?),
                next_sequence: next("next_sequence")?.parse().ok()?,
                chain: u32::from_str_radix(next("chain")?, 16).ok()?,
                marks: Marks {
                    left_behind: read_behind(next("left_behind")?)?,
                    latest_stans: read_stans(body.lines())?,
                },
                files: next("files")?.parse().ok()?,
                records: next("records")?.parse().ok()?,
            })
        })();
        let covered = covered.ok_or_else(|| refused("a line of `covered` is missing or wrong"))?;
        if covered.segment != segment || segment < 2 {
            return Err(refused("its folder is called after another segment"));
        }
        if covered.encode() != text {
            return Err(refused(
                "`covered` is not written as this program writes it",
            ));
        }
        Ok(covered)
    }

    /// Whether it is of the journal and shard that the manifest names.
    ///
    /// # Errors
    /// [`Refusal::Checkpoint`].
    pub fn judge_identity(&self, expected: &Identity) -> Result<(), Refusal> {
        if self.identity == *expected {
            return Ok(());
        }
        let (segment, what) = (self.segment, "it is of another journal or shard");
        Err(Refusal::Checkpoint { segment, what })
    }

    /// Whether `records` in `files` are all of it.
    ///
    /// # Errors
    /// [`Refusal::Checkpoint`].
    pub fn judge_whole(&self, files: u64, records: u64) -> Result<(), Refusal> {
        if (self.files, self.records) == (files, records) {
            return Ok(());
        }
        let (segment, what) = (self.segment, "files or records of it are missing");
        Err(Refusal::Checkpoint { segment, what })
    }
}

/// Where the files of the checkpoint before `segment` belong.
#[must_use]
pub const fn files_of(identity: &Identity, segment: u64) -> Identity {
    Identity {
        journal: journal_apart(identity.journal, segment),
        ..*identity
    }
}

/// What the files of that checkpoint name in place of their journal; and of that, the journal.
#[must_use]
pub const fn journal_apart(journal: JournalUuid, segment: u64) -> JournalUuid {
    const APART: u128 = u128::from_le_bytes(*b"njia checkpoint\n");
    let apart = u128::from_le_bytes(journal.0) ^ APART ^ segment as u128;
    JournalUuid(apart.to_le_bytes())
}

#[cfg(test)]
mod tests;
