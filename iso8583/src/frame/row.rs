//! The framings as rows of data, and what is read and written by them.

use super::coding::Coding::{self, Bcd, BigEndian, Decimal, Hex, LittleEndian};
use super::{END_OF_TEXT, FrameStep, Framing, MESSAGE_LEN_MIN};
use crate::error::FrameError;

/// One framing.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// All bytes before a message: `lead`, the number, `tail`.
    pub(super) prefix_len: usize,
    lead: &'static [u8],
    coding: Coding,
    number_len: usize,
    tail: Tail,
    counts: Counts,
    /// Bytes of the longest message that the framing allows.
    pub(super) bound: usize,
}

/// What the prefix has behind the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Nothing,
    /// 00 00.
    Zeros,
    /// 00, then a nibble that is 2 in a heartbeat, then one for the platform.
    SessionControl,
    /// 00 00; 01 00 where the record goes on in the next frame.
    MoreFollows,
}

/// What the number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    /// The message.
    Message,
    /// The message and the whole prefix.
    Prefix,
    /// The message and the end-of-text behind it.
    EndOfText,
}

/// A prefix that is well formed.
struct Prefix {
    value: usize,
    is_heartbeat: bool,
}

pub(super) const fn of(framing: Framing) -> &'static Row {
    match framing {
        Framing::Be16 => const { &Row::plain("be16", BigEndian, 2) },
        Framing::Be16Incl => const { &Row::plain("be16-incl", BigEndian, 2).inclusive() },
        Framing::Le16 => const { &Row::plain("le16", LittleEndian, 2) },
        Framing::Le16Incl => const { &Row::plain("le16-incl", LittleEndian, 2).inclusive() },
        Framing::Be16Zeros => const { &Row::plain("be16-00", BigEndian, 2).then(Tail::Zeros) },
        Framing::ZerosBe16 => const { &Row::plain("00-be16", BigEndian, 2).behind(&[0, 0]) },
        Framing::Be24 => const { &Row::plain("be24", BigEndian, 3) },
        Framing::Be24Incl => const { &Row::plain("be24-incl", BigEndian, 3).inclusive() },
        Framing::Le24 => const { &Row::plain("le24", LittleEndian, 3) },
        Framing::Le24Incl => const { &Row::plain("le24-incl", LittleEndian, 3).inclusive() },
        Framing::Be32 => const { &Row::plain("be32", BigEndian, 4) },
        Framing::Be32Incl => const { &Row::plain("be32-incl", BigEndian, 4).inclusive() },
        Framing::Le32 => const { &Row::plain("le32", LittleEndian, 4) },
        Framing::Le32Incl => const { &Row::plain("le32-incl", LittleEndian, 4).inclusive() },
        Framing::Ascii2 => const { &Row::plain("ascii2", Decimal, 2) },
        Framing::Ascii2Incl => const { &Row::plain("ascii2-incl", Decimal, 2).inclusive() },
        Framing::Ascii3 => const { &Row::plain("ascii3", Decimal, 3) },
        Framing::Ascii3Incl => const { &Row::plain("ascii3-incl", Decimal, 3).inclusive() },
        Framing::Ascii4 => const { &Row::plain("ascii4", Decimal, 4) },
        Framing::Ascii4Incl => const { &Row::plain("ascii4-incl", Decimal, 4).inclusive() },
        Framing::Ascii5 => const { &Row::plain("ascii5", Decimal, 5) },
        Framing::Ascii5Incl => const { &Row::plain("ascii5-incl", Decimal, 5).inclusive() },
        Framing::Ascii6 => const { &Row::plain("ascii6", Decimal, 6) },
        Framing::Ascii6Incl => const { &Row::plain("ascii6-incl", Decimal, 6).inclusive() },
        Framing::Hex4 => const { &Row::plain("hex4", Hex, 4) },
        Framing::Bcd2 => const { &Row::plain("bcd2", Bcd, 2) },
        Framing::Vml => {
            const {
                let row = Row::plain("vml", BigEndian, 2).then(Tail::SessionControl);
                &row.bounded(2_048)
            }
        }
        Framing::Rbp => {
            const {
                let row = Row::plain("rbp", BigEndian, 2).then(Tail::MoreFollows);
                &row.behind(&[0xD0, 0x4A])
            }
        }
        Framing::Etx => {
            const {
                &Row::plain("etx", Decimal, 0)
                    .with_end_of_text()
                    .bounded(4_096)
            }
        }
        Framing::Be16Etx => const { &Row::plain("be16-etx", BigEndian, 2).with_end_of_text() },
    }
}

impl Row {
    const fn plain(name: &'static str, coding: Coding, number_len: usize) -> Self {
        Self {
            name,
            prefix_len: number_len,
            lead: &[],
            coding,
            number_len,
            tail: Tail::Nothing,
            counts: Counts::Message,
            bound: FRAME_LEN_MAX,
        }
    }

    const fn inclusive(self) -> Self {
        let counts = Counts::Prefix;
        Self { counts, ..self }
    }

    const fn with_end_of_text(self) -> Self {
        let counts = Counts::EndOfText;
        Self { counts, ..self }
    }

    const fn bounded(self, bound: usize) -> Self {
        Self { bound, ..self }
    }

    const fn behind(self, lead: &'static [u8]) -> Self {
        let prefix_len = self.prefix_len.saturating_add(lead.len());
        Self {
            lead,
            prefix_len,
            ..self
        }
    }

    const fn then(self, tail: Tail) -> Self {
        let prefix_len = self.prefix_len.saturating_add(2);
        Self {
            tail,
            prefix_len,
            ..self
        }
    }

    pub(super) const fn trailer_len(&self) -> usize {
        match self.counts {
            Counts::EndOfText => 1,
            Counts::Message | Counts::Prefix => 0,
        }
    }

    pub(super) fn len_max(&self) -> usize {
        if self.prefix_len == 0 {
            return self.bound;
        }
        let number_max = self.coding.number_max(self.number_len);
        self.bound.min(number_max.saturating_sub(self.counted()))
    }

    /// What the number counts beyond the message.
    const fn counted(&self) -> usize {
        match self.counts {
            Counts::Message => 0,
            Counts::Prefix => self.prefix_len,
            Counts::EndOfText => 1,
        }
    }

    /// Judges `prefix`, which is whole, and finds the frame that begins with it in `buf`.
    pub(super) fn split(
        &self,
        prefix: &[u8],
        buf: &[u8],
        len_max: usize,
    ) -> Result<FrameStep, FrameError> {
        let Prefix {
            value,
            is_heartbeat,
        } = self.read(prefix)?;
        let is_empty = value == 0 || self.counts == Counts::Prefix && value == self.prefix_len;
        let len = if is_empty {
            0
        } else {
            let len = value.checked_sub(self.counted());
            len.ok_or(FrameError::BelowItself { value })?
        };
        if len > len_max {
            return Err(FrameError::TooLong {
                len,
                frame_len_max: len_max,
            });
        }
        if len < MESSAGE_LEN_MIN && !is_empty && !is_heartbeat {
            return Err(FrameError::TooShort { len });
        }
        let trailer = if is_empty { 0 } else { self.trailer_len() };
        let message_end = self.prefix_len.saturating_add(len);
        let end = message_end.saturating_add(trailer);
        debug_assert!(self.prefix_len > 0 && end >= self.prefix_len);
        let Some(frame) = buf.get(..end) else {
            return Ok(FrameStep::NeedMore { at_least: end });
        };
        if is_empty || is_heartbeat {
            return Ok(FrameStep::KeepAlive { consumed: end });
        }
        if trailer > 0 && frame.last() != Some(&END_OF_TEXT) {
            return Err(FrameError::NoTrailer {
                offset: message_end,
            });
        }
        Ok(FrameStep::Frame {
            header: self.prefix_len,
            len,
            trailer,
        })
    }

    fn read(&self, prefix: &[u8]) -> Result<Prefix, FrameError> {
        let lead_len = self.lead.len();
        let number_end = lead_len.saturating_add(self.number_len);
        let (lead, rest) = prefix.split_at_checked(lead_len).unwrap_or_default();
        let (number, tail) = rest.split_at_checked(self.number_len).unwrap_or_default();
        debug_assert_eq!(lead.len().saturating_add(number.len()), number_end);
        same(lead, self.lead, 0)?;
        let value = self.coding.read(number)?;
        let is_heartbeat = match (self.tail, tail) {
            (Tail::SessionControl, [first, control]) => {
                same(&[*first], &[0], number_end)?;
                control >> 4 == HEARTBEAT
            }
            (Tail::MoreFollows, MORE) => return Err(FrameError::MoreFollows),
            (Tail::Zeros | Tail::MoreFollows, _) => {
                same(tail, &[0, 0], number_end)?;
                false
            }
            (Tail::Nothing | Tail::SessionControl, _) => false,
        };
        Ok(Prefix {
            value,
            is_heartbeat,
        })
    }

    /// `None` when the prefix cannot say `len`.
    pub(super) fn write(&self, len: usize, prefix: &mut [u8]) -> Option<()> {
        debug_assert_eq!(prefix.len(), self.prefix_len);
        if self.prefix_len == 0 {
            return Some(());
        }
        let (lead, rest) = prefix.split_at_mut_checked(self.lead.len())?;
        lead.copy_from_slice(self.lead);
        let (number, tail) = rest.split_at_mut_checked(self.number_len)?;
        // An empty message has no end-of-text either: it is a keep-alive.
        let counted = match self.counts {
            Counts::EndOfText if len == 0 => 0,
            Counts::Message | Counts::Prefix | Counts::EndOfText => self.counted(),
        };
        self.coding.write(len.checked_add(counted)?, number)?;
        tail.fill(0);
        if let (Tail::SessionControl, 0, Some(control)) = (self.tail, len, tail.last_mut()) {
            *control = HEARTBEAT << 4;
        }
        Some(())
    }
}

/// Refuses a byte that is not the fixed one; the first of `found` stands at `offset`.
fn same(found: &[u8], expected: &[u8], offset: usize) -> Result<(), FrameError> {
    let mut pairs = found.iter().zip(expected);
    match pairs.position(|(found, expected)| found != expected) {
        Some(position) => Err(FrameError::NotFixed {
            offset: offset.saturating_add(position),
        }),
        None => Ok(()),
    }
}

/// No message is longer: 64 KiB is what offsets within one are made for.
const FRAME_LEN_MAX: usize = 65_535;
/// Session control in the high nibble of its byte.
const HEARTBEAT: u8 = 2;
const MORE: &[u8] = &[1, 0];
