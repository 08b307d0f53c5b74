//! What the bytes of a journal mean after a stop of any kind: a decision table, pure.
//!
//! The rows are J01 to J21 of `docs/journal-format.md`, decided in their order; each refusal names
//! its row. Reading files, locking and mending belong to the caller.
//!
//! Warning to the editor: a batch that is cut off here is forgotten for good. It may only be cut
//! when nothing that it holds can have been acted upon, and every doubt must refuse.

mod refusal;
mod watermark;

use domain::ids::Lsn;
use domain::record::{Carriage, Record};

pub use self::refusal::{Label, Proof, Refusal};
pub use self::watermark::{Found, Torn, Watermark, judge_watermark};
use crate::batch::{self, BATCH_HEADER_LEN, BLOCK, BatchHeader, BatchKind, FORMAT_VERSION};
use crate::checkpoint::Covered;
use crate::identity::Identity;
use crate::segment_header::{HeaderError, SegmentHeader};

/// Where the log stands behind the last good batch: what the next one must continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The segment that holds the last good batch, or its header.
    pub segment: u64,
    /// The next record.
    pub next_lsn: Lsn,
    /// The next batch.
    pub next_sequence: u64,
    /// What the next batch must repeat.
    pub chain: u32,
}

impl Tail {
    /// Of a journal that holds nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            segment: 0,
            next_lsn: Lsn(1),
            next_sequence: 1,
            chain: 0,
        }
    }

    /// Moves behind `header`.
    pub(crate) const fn pass(&mut self, header: &BatchHeader) {
        self.next_lsn = header.next_lsn();
        self.next_sequence = header.sequence.saturating_add(1);
        self.chain = header.chain;
    }

    /// What is wrong with `header` as the next batch; `None` when it continues the log.
    pub(crate) fn misfit(&self, header: &BatchHeader) -> Option<&'static str> {
        let anchor = header.kind == BatchKind::Anchor;
        if header.segment != self.segment {
            Some("segment number")
        } else if header.sequence != self.next_sequence {
            Some("batch sequence")
        } else if header.first_lsn != self.next_lsn {
            Some("first LSN")
        } else if header.previous_chain != self.chain {
            Some("chain value")
        } else if header.acked_up_to >= header.first_lsn {
            Some("acked-up-to LSN")
        } else if anchor != (header.records == 0) {
            Some("record count")
        } else {
            None
        }
    }
}

impl Default for Tail {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether more segments follow the one that is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is part of a checkpoint: all of it was durable before it had a name.
    Checkpoint,
    /// A later segment with a good header exists.
    Earlier,
    /// The one that was being written.
    Last,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentEnd {
    /// J11: zeros from `offset` to the end of the file.
    Clean {
        /// Where the next batch would go.
        offset: u64,
    },
    /// J14: a batch that was being written when the machine stopped, and that nobody was told of.
    Torn {
        /// Where it begins.
        offset: u64,
        /// Behind its last byte that is not zero.
        end: u64,
    },
}

/// What a format version means to a program that writes `current`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Read and written.
    Current,
    /// J07: read; new segments are written as the current one.
    Previous,
    /// J06: refused.
    Newer,
    /// Two or more behind: refused; a program in between converts.
    TooOld,
}

/// J06 and J07.
#[must_use]
pub const fn judge_version(found: u16, current: u16) -> Version {
    if found == current {
        Version::Current
    } else if found > current {
        Version::Newer
    } else if found > 0 && found == current - 1 {
        Version::Previous
    } else {
        Version::TooOld
    }
}

/// J09, as far as the names of the files tell: `numbers` ascending, as listed.
///
/// # Errors
/// [`Refusal::Gap`].
pub fn judge_numbers(numbers: &[u64]) -> Result<(), Refusal> {
    for pair in numbers.windows(2) {
        if let [before, after] = *pair
            && before.checked_add(1) != Some(after)
        {
            return Err(Refusal::Gap { before, after });
        }
    }
    Ok(())
}

/// J09, of the same `numbers`: whether what they do not hold is in the checkpoint. Those before the
/// first that it does not cover need not be there.
///
/// # Errors
/// [`Refusal::Uncovered`] or [`Refusal::Unfollowed`].
pub fn judge_cover(numbers: &[u64], covered: Option<&Covered>) -> Result<(), Refusal> {
    match (covered, numbers.first().copied()) {
        (None, None | Some(1)) => Ok(()),
        (None, Some(first)) => Err(Refusal::Uncovered { first }),
        (Some(covered), _) if numbers.contains(&covered.segment) => Ok(()),
        (Some(covered), _) => {
            let segment = covered.segment;
            Err(Refusal::Unfollowed { segment })
        }
    }
}

/// Reads the segments of one shard in the order of their numbers and judges each.
#[derive(Clone, Debug)]
pub struct Recovery {
    identity: Identity,
    watermark: Option<Lsn>,
    tail: Tail,
    first_lsn: Lsn,
}

impl Recovery {
    /// For the journal that the manifest names. `watermark` is the highest record that PostgreSQL
    /// holds of this very journal and shard, when it is known.
    #[must_use]
    pub const fn new(identity: Identity, watermark: Option<Lsn>) -> Self {
        Self {
            identity,
            watermark,
            tail: Tail::new(),
            first_lsn: Lsn(1),
        }
    }

    /// The same, behind what a checkpoint covers: the first segment is the one that it names.
    #[must_use]
    pub const fn behind(covered: &Covered, watermark: Option<Lsn>) -> Self {
        Self {
            identity: covered.identity,
            watermark,
            tail: covered.tail(),
            first_lsn: covered.next_lsn,
        }
    }

    /// Judges the segment whose file is called `number` and holds `bytes`; hands each record to
    /// `on_record`, in order.
    ///
    /// # Errors
    /// [`Refusal`]: this journal must not be written to. Records before the refused place may have
    /// been handed out.
    pub fn segment(
        &mut self,
        number: u64,
        bytes: &[u8],
        place: Place,
        on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
    ) -> Result<(SegmentHeader, SegmentEnd), Refusal> {
        let header = self.header(number, bytes)?;
        self.continues(&header)?;
        let mut at = BLOCK;
        while let Some(rest) = bytes.get(at..) {
            match batch::open(self.identity.journal, rest) {
                Some((batch_header, batch)) => {
                    self.accept(&batch_header, batch, Spot::new(&header, at), on_record)?;
                    at = at.saturating_add(batch.len());
                }
                None if is_zero(rest) => {
                    return Ok((header, SegmentEnd::Clean { offset: at as u64 }));
                }
                None => {
                    let end = self.tear(bytes, Spot::new(&header, at), place)?;
                    return Ok((header, end));
                }
            }
        }
        let offset = bytes.len() as u64;
        Ok((header, SegmentEnd::Clean { offset }))
    }

    /// Where the log stands behind what was judged so far.
    #[must_use]
    pub const fn tail(&self) -> Tail {
        self.tail
    }

    /// The first record that the files still hold, or would hold.
    #[must_use]
    pub const fn first_lsn(&self) -> Lsn {
        self.first_lsn
    }

    /// J06, J08.
    fn header(&self, number: u64, bytes: &[u8]) -> Result<SegmentHeader, Refusal> {
        let header = read_header(number, bytes)?;
        judge_identity(&header, number, &self.identity)?;
        if header.segment_bytes != bytes.len() as u64 {
            return Err(Refusal::Elsewhere {
                segment: number,
                what: "length",
            });
        }
        Ok(header)
    }

    /// J09. What is not here must be in the checkpoint.
    fn continues(&mut self, header: &SegmentHeader) -> Result<(), Refusal> {
        let before = self.tail.segment;
        if before == 0 && header.number > 1 {
            let first = header.number;
            return Err(Refusal::Uncovered { first });
        }
        if before.checked_add(1) != Some(header.number) {
            let after = header.number;
            return Err(Refusal::Gap { before, after });
        }
        let broken = if header.first_lsn != self.tail.next_lsn {
            Some("first LSN")
        } else if header.first_sequence != self.tail.next_sequence {
            Some("first batch sequence")
        } else if header.previous_chain != self.tail.chain {
            Some("previous chain value")
        } else {
            None
        };
        if let Some(what) = broken {
            return Err(Refusal::Discontinued {
                segment: header.number,
                what,
            });
        }
        self.tail.segment = header.number;
        Ok(())
    }

    /// J12, J16, J17.
    fn accept(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        spot: Spot,
        on_record: &mut dyn FnMut(Lsn, &Record<'_>, Carriage),
    ) -> Result<(), Refusal> {
        let too_long = header.extent() > spot.batch_bytes_max as u64;
        let misfit = self.tail.misfit(header);
        if let Some(what) = misfit.or_else(|| too_long.then_some("length")) {
            return Err(Refusal::Misplaced {
                segment: spot.segment,
                offset: spot.offset(),
                what,
            });
        }
        for step in batch::records(header, batch) {
            let (decoded, _) = step.map_err(|error| Refusal::BadRecord {
                segment: spot.segment,
                offset: spot.offset(),
                error,
            })?;
            on_record(decoded.lsn, &decoded.record, decoded.carriage);
        }
        self.tail.pass(header);
        Ok(())
    }

    //= docs/rules.md#J-04
    /// J13, J14, J15: a batch at `spot` is bad.
    fn tear(&self, bytes: &[u8], spot: Spot, place: Place) -> Result<SegmentEnd, Refusal> {
        if let Some(proof) = self.proof(bytes, spot, place) {
            return Err(Refusal::Corrupt {
                segment: spot.segment,
                offset: spot.offset(),
                proof,
            });
        }
        let end = nonzero_end(bytes);
        if end > spot.at.saturating_add(spot.batch_bytes_max) {
            return Err(Refusal::BeyondTail {
                segment: spot.segment,
                offset: spot.offset(),
                beyond: end as u64,
            });
        }
        Ok(SegmentEnd::Torn {
            offset: spot.offset(),
            end: end as u64,
        })
    }

    //= docs/rules.md#J-03
    /// What shows that the bad batch at `spot` had once been durable.
    fn proof(&self, bytes: &[u8], spot: Spot, place: Place) -> Option<Proof> {
        match place {
            Place::Checkpoint => return Some(Proof::Checkpoint),
            Place::Earlier => return Some(Proof::LaterSegment),
            Place::Last => {}
        }
        if self.watermark.is_some_and(|lsn| lsn >= self.tail.next_lsn) {
            return Some(Proof::Watermark);
        }
        let mut at = spot.at.saturating_add(BLOCK);
        while let Some(rest) = bytes.get(at..)
            && rest.len() >= BATCH_HEADER_LEN
        {
            if let Some((later, _)) = batch::open(self.identity.journal, rest) {
                return Some(if later.acked_up_to >= self.tail.next_lsn {
                    Proof::AckedUpTo { offset: at as u64 }
                } else {
                    Proof::LaterBatch { offset: at as u64 }
                });
            }
            at = at.saturating_add(BLOCK);
        }
        None
    }
}

/// The place of a batch, and what its segment says of batches.
#[derive(Clone, Copy)]
struct Spot {
    segment: u64,
    at: usize,
    batch_bytes_max: usize,
}

impl Spot {
    const fn new(header: &SegmentHeader, at: usize) -> Self {
        Self {
            segment: header.number,
            at,
            batch_bytes_max: header.batch_bytes_max as usize,
        }
    }

    const fn offset(self) -> u64 {
        self.at as u64
    }
}

/// J06, and the half of J08 that needs no manifest: the header at the front of segment `number`.
///
/// # Errors
/// [`Refusal`].
pub fn read_header(number: u64, bytes: &[u8]) -> Result<SegmentHeader, Refusal> {
    SegmentHeader::decode(bytes).map_err(|error| match error {
        HeaderError::Damaged => Refusal::HeaderDamaged { segment: number },
        HeaderError::Version(found) => Refusal::Format {
            segment: number,
            found,
            known: FORMAT_VERSION,
        },
    })
}

/// The half of J08 that needs the manifest: whether the header of segment `number` belongs there.
///
/// # Errors
/// [`Refusal::Elsewhere`].
pub fn judge_identity(
    header: &SegmentHeader,
    number: u64,
    expected: &Identity,
) -> Result<(), Refusal> {
    let found = &header.identity;
    let elsewhere = if found.journal != expected.journal {
        "journal UUID"
    } else if found.node != expected.node {
        "node"
    } else if found.generation != expected.generation {
        "generation"
    } else if found.shard != expected.shard {
        "shard"
    } else if found.shards != expected.shards {
        "shard count"
    } else if header.number != number {
        "segment number"
    } else {
        return Ok(());
    };
    Err(Refusal::Elsewhere {
        segment: number,
        what: elsewhere,
    })
}

/// Whether all of `bytes` are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    bytes
        .chunks(BLOCK)
        .all(|chunk| ZEROS.get(..chunk.len()) == Some(chunk))
}

/// Behind the last byte that is not zero.
fn nonzero_end(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last.saturating_add(1))
}

#[cfg(test)]
mod tests;
