//! The batches of one segment, on behind damage: rows J11 to J17 for a reader that names what is
//! wrong instead of stopping at it. [`crate::recovery`] decides about a journal that is to be
//! written; this looks at one that somebody may be writing.
//!
//! Pure but for its [`Source`]. Warning to the editor: a writer may be at work. What convicts a bad
//! place is always looked for first, and the place read once more after it: a batch that lies
//! before a later one was complete when that one was begun.

use std::collections::VecDeque;
use std::io;

use domain::ids::Lsn;

use crate::batch::{self, BLOCK, BatchHeader};
use crate::identity::JournalUuid;
use crate::recovery::{self, Proof, Refusal, SegmentEnd, Tail};
use crate::segment_header::SegmentHeader;

/// Bytes of one segment.
pub trait Source {
    /// `len` bytes from `at`, which lie within the segment.
    ///
    /// # Errors
    /// They cannot be read.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]>;

    /// What was read may be old: the next read asks the disk.
    fn forget(&mut self);
}

/// How much of what lies behind the last batch is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// All of it, as recovery does.
    Everything,
    /// Only the place of the next batch: for a reader that comes back.
    NextBatch,
}

/// Something wrong, or missing.
#[derive(Debug)]
pub enum Fault {
    /// A row of the decision table.
    Refused(Refusal),
    /// The system cannot read a place.
    Unreadable {
        /// Where.
        offset: u64,
        /// Why.
        error: io::Error,
    },
    /// Records that are nowhere; both ends belong to them.
    Missing {
        /// The first.
        first: Lsn,
        /// The last.
        last: Lsn,
    },
}

/// What lies at the place of the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A batch that continues the log, or that is the first one behind damage.
    Batch {
        /// Where it begins.
        offset: u64,
        /// What it says of itself.
        header: BatchHeader,
    },
    /// Nothing that can be used.
    End(SegmentEnd),
}

/// What is known of the log before the place that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Nothing was read.
    Nothing,
    /// The next batch must fit.
    Fits,
    /// Something was damaged: the next batch may leave a gap.
    Gap,
}

/// A place in the log of one shard that moves forward from segment to segment.
#[derive(Debug)]
pub struct Walk {
    journal: JournalUuid,
    tail: Tail,
    trust: Trust,
    at: u64,
    end: u64,
    batch_bytes_max: u64,
}

enum Probe {
    Good(BatchHeader),
    Zeros,
    Bad,
}

/// What lies behind a place without a batch.
#[derive(Default)]
struct Rest {
    /// The first good batch.
    good: Option<(u64, BatchHeader)>,
    /// Behind the last byte before it that is not zero; 0 when there is none.
    nonzero_end: u64,
}

impl Walk {
    /// No batch is longer, whatever a header says.
    const BATCH_BYTES_MAX: u64 = 16 << 20;

    /// Of a journal of which nothing was read.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            journal: JournalUuid([0; 16]),
            tail: Tail::new(),
            trust: Trust::Nothing,
            at: 0,
            end: 0,
            batch_bytes_max: Self::BATCH_BYTES_MAX,
        }
    }

    /// The next record that is expected.
    #[must_use]
    pub const fn next_lsn(&self) -> Lsn {
        self.tail.next_lsn
    }

    /// Enters the segment with `header`, whose file has `len` bytes (J09).
    pub fn enter(&mut self, header: &SegmentHeader, len: u64, faults: &mut VecDeque<Fault>) {
        if self.trust == Trust::Nothing && header.number == 1 {
            self.trust = Trust::Fits;
        }
        let begins = Tail {
            segment: header.number,
            next_lsn: header.first_lsn,
            next_sequence: header.first_sequence,
            chain: header.previous_chain,
        };
        let expected = Tail {
            segment: header.number,
            ..self.tail
        };
        let goes_back = header.first_lsn < expected.next_lsn;
        let fits = match self.trust {
            Trust::Nothing => true,
            Trust::Fits => begins == expected,
            Trust::Gap => !goes_back,
        };
        if !fits {
            faults.push_back(Fault::Refused(Refusal::Discontinued {
                segment: header.number,
                what: "first LSN, sequence or chain value",
            }));
        }
        if self.trust == Trust::Nothing || !goes_back {
            self.missing_up_to(header.first_lsn, faults);
            self.tail = begins;
            self.trust = Trust::Fits;
        } else {
            self.tail.segment = header.number;
            self.trust = Trust::Gap;
        }
        self.journal = header.identity.journal;
        self.batch_bytes_max = u64::from(header.batch_bytes_max);
        self.begin(len.min(header.segment_bytes));
    }

    /// Enters segment `number` of `journal` although its header is damaged.
    pub const fn enter_headless(&mut self, journal: JournalUuid, number: u64, len: u64) {
        self.journal = journal;
        self.tail.segment = number;
        self.lose_track();
        self.begin(len);
    }

    /// Segments or batches are known to be missing here.
    pub const fn lose_track(&mut self) {
        if matches!(self.trust, Trust::Fits) {
            self.trust = Trust::Gap;
        }
    }

    const fn begin(&mut self, end: u64) {
        self.at = BLOCK as u64;
        self.end = end;
    }

    /// Moves to the next batch. `later` says whether a later segment exists; `faults` gets what is
    /// wrong on the way.
    pub fn next(
        &mut self,
        source: &mut impl Source,
        behind: Behind,
        later: &mut dyn FnMut() -> bool,
        faults: &mut VecDeque<Fault>,
    ) -> Step {
        while self.end.saturating_sub(self.at) >= BLOCK as u64 {
            let mut probe = self.probe(source, self.at);
            let mut is_earlier = false;
            let mut rest = Rest::default();
            if !matches!(probe, Ok(Probe::Good(_))) {
                is_earlier = later();
                source.forget();
                probe = self.probe(source, self.at);
            }
            let looks_on = match probe {
                Ok(Probe::Good(_)) => false,
                Ok(Probe::Zeros) => is_earlier || behind == Behind::Everything,
                Ok(Probe::Bad) | Err(_) => true,
            };
            if looks_on {
                rest = self.rest(source);
                source.forget();
                probe = self.probe(source, self.at);
            }
            let taken = match probe {
                Ok(Probe::Good(header)) => self.take(header, faults),
                Ok(Probe::Zeros) => self.judge(true, &rest, is_earlier, faults),
                Ok(Probe::Bad) => self.judge(false, &rest, is_earlier, faults),
                Err(error) => {
                    let offset = self.at;
                    faults.push_back(Fault::Unreadable { offset, error });
                    self.judge(false, &rest, is_earlier, faults)
                }
            };
            if let Some(step) = taken {
                return step;
            }
        }
        Step::End(SegmentEnd::Clean { offset: self.at })
    }

    fn probe(&self, source: &mut impl Source, at: u64) -> io::Result<Probe> {
        let block = source.bytes(at, BLOCK)?;
        let Some(header) = BatchHeader::peek(block) else {
            let zeros = recovery::is_zero(block);
            return Ok(if zeros { Probe::Zeros } else { Probe::Bad });
        };
        let longest = Self::BATCH_BYTES_MAX.min(self.end.saturating_sub(at));
        let len = match usize::try_from(header.extent()) {
            Ok(len) if len >= BLOCK && len as u64 <= longest => len,
            _ => return Ok(Probe::Bad),
        };
        let opened = batch::open(self.journal, source.bytes(at, len)?);
        Ok(opened.map_or(Probe::Bad, |(header, _)| Probe::Good(header)))
    }

    /// J12, J16. A batch that is older than what was read is stale and not taken.
    fn take(&mut self, header: BatchHeader, faults: &mut VecDeque<Fault>) -> Option<Step> {
        let offset = self.at;
        self.at = self.at.saturating_add(header.extent());
        let is_stale = header.segment != self.tail.segment
            || header.sequence < self.tail.next_sequence
            || header.first_lsn < self.tail.next_lsn;
        let misfit = match self.trust {
            Trust::Fits => self.tail.misfit(&header),
            Trust::Nothing if header.segment == self.tail.segment => None,
            Trust::Nothing => Some("segment number"),
            Trust::Gap => is_stale.then_some("segment number, sequence or first LSN"),
        };
        let too_long = header.extent() > self.batch_bytes_max;
        if let Some(what) = misfit.or_else(|| too_long.then_some("length")) {
            faults.push_back(Fault::Refused(Refusal::Misplaced {
                segment: self.tail.segment,
                offset,
                what,
            }));
            if is_stale {
                return None;
            }
        }
        self.missing_up_to(header.first_lsn, faults);
        self.tail.pass(&header);
        self.trust = Trust::Fits;
        Some(Step::Batch { offset, header })
    }

    /// J11, J13, J14, J15: there is no batch here.
    fn judge(
        &mut self,
        zeros: bool,
        rest: &Rest,
        is_earlier: bool,
        faults: &mut VecDeque<Fault>,
    ) -> Option<Step> {
        let offset = self.at;
        let segment = self.tail.segment;
        let clean = Step::End(SegmentEnd::Clean { offset });
        if let Some((at, later)) = rest.good {
            let proof = if later.acked_up_to >= self.tail.next_lsn {
                Proof::AckedUpTo { offset: at }
            } else {
                Proof::LaterBatch { offset: at }
            };
            self.refuse(
                Refusal::Corrupt {
                    segment,
                    offset,
                    proof,
                },
                at,
                faults,
            );
            return None;
        }
        if zeros && rest.nonzero_end == 0 {
            return Some(clean);
        }
        let end = rest.nonzero_end;
        if is_earlier {
            let proof = Proof::LaterSegment;
            self.refuse(
                Refusal::Corrupt {
                    segment,
                    offset,
                    proof,
                },
                self.end,
                faults,
            );
            return Some(clean);
        }
        if end > offset.saturating_add(self.batch_bytes_max) {
            let beyond = end;
            self.refuse(
                Refusal::BeyondTail {
                    segment,
                    offset,
                    beyond,
                },
                self.end,
                faults,
            );
            return Some(clean);
        }
        Some(Step::End(SegmentEnd::Torn { offset, end }))
    }

    fn refuse(&mut self, refusal: Refusal, go_on_at: u64, faults: &mut VecDeque<Fault>) {
        faults.push_back(Fault::Refused(refusal));
        self.at = go_on_at;
        self.lose_track();
    }

    /// Looks at what lies behind the place of the next batch, up to the first good batch.
    fn rest(&self, source: &mut impl Source) -> Rest {
        let mut rest = Rest::default();
        let mut at = self.at;
        while self.end.saturating_sub(at) >= BLOCK as u64 {
            // A block that cannot be read is not known to be zero.
            let last = match source.bytes(at, BLOCK) {
                Ok(block) if recovery::is_zero(block) => None,
                Ok(block) => block.iter().rposition(|byte| *byte != 0),
                Err(_) => Some(0),
            };
            if let Some(last) = last {
                if at > self.at
                    && let Ok(Probe::Good(header)) = self.probe(source, at)
                {
                    rest.good = Some((at, header));
                    break;
                }
                rest.nonzero_end = at.saturating_add(last as u64).saturating_add(1);
            }
            at = at.saturating_add(BLOCK as u64);
        }
        rest
    }

    fn missing_up_to(&self, lsn: Lsn, faults: &mut VecDeque<Fault>) {
        let first = self.tail.next_lsn;
        if self.trust != Trust::Nothing && first < lsn {
            let last = Lsn(lsn.0.saturating_sub(1));
            faults.push_back(Fault::Missing { first, last });
        }
    }
}

impl Default for Walk {
    fn default() -> Self {
        Self::new()
    }
}
