//! Framing: where one message ends and the next begins (semantics.md §11).
//!
//! A framing is a row of `frame/row.rs`: what stands in front of the length, how the length is
//! coded and what it counts, what stands behind the message. There is one reader for all rows.

mod coding;
mod row;

use self::row::Row;
use crate::error::{FrameError, WriteError};

/// How messages are delimited on a stream. The names are those of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// `be16`: two bytes, big-endian, that count what follows them.
    Be16,
    /// `be16-incl`: two bytes, big-endian, that count themselves too.
    Be16Incl,
    /// `le16`: two bytes, little-endian.
    Le16,
    /// `le16-incl`: two bytes, little-endian, that count themselves too.
    Le16Incl,
    /// `be16-00`: two bytes, big-endian, and two zero bytes.
    Be16Zeros,
    /// `00-be16`: two zero bytes and two bytes, big-endian.
    ZerosBe16,
    /// `be24`: three bytes, big-endian.
    Be24,
    /// `be24-incl`: three bytes, big-endian, that count themselves too.
    Be24Incl,
    /// `le24`: three bytes, little-endian.
    Le24,
    /// `le24-incl`: three bytes, little-endian, that count themselves too.
    Le24Incl,
    /// `be32`: four bytes, big-endian.
    Be32,
    /// `be32-incl`: four bytes, big-endian, that count themselves too.
    Be32Incl,
    /// `le32`: four bytes, little-endian.
    Le32,
    /// `le32-incl`: four bytes, little-endian, that count themselves too.
    Le32Incl,
    /// `ascii2`: two decimal digits.
    Ascii2,
    /// `ascii2-incl`: two decimal digits that count themselves too.
    Ascii2Incl,
    /// `ascii3`: three decimal digits.
    Ascii3,
    /// `ascii3-incl`: three decimal digits that count themselves too.
    Ascii3Incl,
    /// `ascii4`: four decimal digits.
    Ascii4,
    /// `ascii4-incl`: four decimal digits that count themselves too.
    Ascii4Incl,
    /// `ascii5`: five decimal digits.
    Ascii5,
    /// `ascii5-incl`: five decimal digits that count themselves too.
    Ascii5Incl,
    /// `ascii6`: six decimal digits.
    Ascii6,
    /// `ascii6-incl`: six decimal digits that count themselves too.
    Ascii6Incl,
    /// `hex4`: four hexadecimal digits, read in either case.
    Hex4,
    /// `bcd2`: four decimal digits, packed into two bytes.
    Bcd2,
    /// `vml`: two bytes, big-endian; a zero byte; session control and platform, a nibble each.
    Vml,
    /// `rbp`: D0 4A; two bytes, big-endian; 00 00, for nothing more follows.
    Rbp,
    /// `etx`: no length; the message ends with the byte 03, which it cannot hold.
    Etx,
    /// `be16-etx`: two bytes, big-endian, that count the message and the 03 behind it.
    Be16Etx,
}

impl Framing {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::Be16,
        Self::Be16Incl,
        Self::Le16,
        Self::Le16Incl,
        Self::Be16Zeros,
        Self::ZerosBe16,
        Self::Be24,
        Self::Be24Incl,
        Self::Le24,
        Self::Le24Incl,
        Self::Be32,
        Self::Be32Incl,
        Self::Le32,
        Self::Le32Incl,
        Self::Ascii2,
        Self::Ascii2Incl,
        Self::Ascii3,
        Self::Ascii3Incl,
        Self::Ascii4,
        Self::Ascii4Incl,
        Self::Ascii5,
        Self::Ascii5Incl,
        Self::Ascii6,
        Self::Ascii6Incl,
        Self::Hex4,
        Self::Bcd2,
        Self::Vml,
        Self::Rbp,
        Self::Etx,
        Self::Be16Etx,
    ];

    /// The framing of that name in the configuration. `ascii` without a number has four digits.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "ascii" => Some(Self::Ascii4),
            "ascii-incl" => Some(Self::Ascii4Incl),
            _ => Self::ALL.into_iter().find(|framing| framing.name() == name),
        }
    }

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Bytes of the prefix.
    #[must_use]
    pub const fn header_len(self) -> usize {
        self.row().prefix_len
    }

    /// Bytes behind a message.
    #[must_use]
    pub const fn trailer_len(self) -> usize {
        self.row().trailer_len()
    }

    /// Bytes of the longest message that it can carry, whatever the cap of an endpoint is.
    #[must_use]
    pub fn len_max(self) -> usize {
        self.row().len_max()
    }

    /// Whether a message may hold every byte: not, where one of them is the end.
    #[must_use]
    pub const fn is_transparent(self) -> bool {
        self.header_len() > 0
    }

    /// Looks at the start of what has been received. A length is judged before the frame is there,
    /// so that nothing is allocated for a length that lies.
    #[inline]
    #[must_use]
    pub fn split(self, buf: &[u8], frame_len_max: usize) -> FrameStep {
        // A whole frame in the commonest framing: five times as fast as through its row, which
        // says the same and judges all the rest.
        if self == Self::Be16
            && let Some((prefix, rest)) = buf.split_first_chunk()
        {
            let len = usize::from(u16::from_be_bytes(*prefix));
            if (MESSAGE_LEN_MIN..=frame_len_max).contains(&len) && rest.len() >= len {
                return FrameStep::Frame {
                    header: prefix.len(),
                    len,
                    trailer: 0,
                };
            }
        }
        self.split_by_row(buf, frame_len_max)
    }

    fn split_by_row(self, buf: &[u8], frame_len_max: usize) -> FrameStep {
        let row = self.row();
        let len_max = frame_len_max.min(row.bound);
        let step = if row.prefix_len == 0 {
            until_end_of_text(buf, len_max)
        } else if let Some(prefix) = buf.get(..row.prefix_len) {
            row.split(prefix, buf, len_max)
        } else {
            Ok(FrameStep::NeedMore {
                at_least: row.prefix_len,
            })
        };
        step.unwrap_or_else(FrameStep::Refused)
    }

    /// Writes the prefix of a message of `len` bytes at the start of `out`; 0 makes a keep-alive.
    /// Returns [`Framing::header_len`].
    ///
    /// # Errors
    /// `out` is shorter than the prefix, or the prefix cannot say `len`.
    pub fn put_header(self, out: &mut [u8], len: usize) -> Result<usize, WriteError> {
        let row = self.row();
        if len > row.bound {
            return Err(WriteError::Full);
        }
        let prefix = out.get_mut(..row.prefix_len).ok_or(WriteError::Full)?;
        row.write(len, prefix).ok_or(WriteError::Full)?;
        Ok(row.prefix_len)
    }

    /// Makes a frame of the `len` bytes that stand in `out` behind [`Framing::header_len`]: writes
    /// the prefix, and what stands behind the message. 0 makes a keep-alive. Returns the length of
    /// the whole frame.
    ///
    /// # Errors
    /// `out` is too short, the framing cannot say `len`, or the message holds the byte that would
    /// end it.
    pub fn enclose(self, out: &mut [u8], len: usize) -> Result<usize, WriteError> {
        let header = self.put_header(out, len)?;
        let end = header.checked_add(len).ok_or(WriteError::Full)?;
        let message = out.get(header..end).ok_or(WriteError::Full)?;
        if !self.is_transparent() && message.contains(&END_OF_TEXT) {
            return Err(WriteError::EndOfText);
        }
        if self.trailer_len() == 0 || (len == 0 && self.is_transparent()) {
            return Ok(end);
        }
        *out.get_mut(end).ok_or(WriteError::Full)? = END_OF_TEXT;
        end.checked_add(1).ok_or(WriteError::Full)
    }

    const fn row(self) -> &'static Row {
        row::of(self)
    }
}

/// What the start of the received bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStep {
    /// Not a whole frame yet.
    NeedMore {
        /// Bytes that the buffer must hold in all, those already there included, before it is worth
        /// looking again.
        at_least: usize,
    },
    /// A frame: `header` bytes of prefix, then `len` bytes of message, then `trailer` bytes.
    Frame {
        /// Bytes before the message.
        header: usize,
        /// Bytes of the message.
        len: usize,
        /// Bytes behind it.
        trailer: usize,
    },
    /// A frame without a message.
    KeepAlive {
        /// Bytes of it.
        consumed: usize,
    },
    /// The connection must be closed.
    Refused(FrameError),
}

fn until_end_of_text(buf: &[u8], len_max: usize) -> Result<FrameStep, FrameError> {
    let end = buf.iter().take(len_max.saturating_add(1));
    match end.copied().position(|byte| byte == END_OF_TEXT) {
        Some(0) => Ok(FrameStep::KeepAlive { consumed: 1 }),
        Some(len) if len < MESSAGE_LEN_MIN => Err(FrameError::TooShort { len }),
        Some(len) => Ok(FrameStep::Frame {
            header: 0,
            len,
            trailer: 1,
        }),
        None if buf.len() > len_max => Err(FrameError::NoEnd {
            frame_len_max: len_max,
        }),
        None => Ok(FrameStep::NeedMore {
            at_least: buf.len().saturating_add(1),
        }),
    }
}

/// A packed MTI and one bitmap: nothing shorter is a message in any dialect.
const MESSAGE_LEN_MIN: usize = 10;
/// ETX.
const END_OF_TEXT: u8 = 0x03;

#[cfg(test)]
mod tests;
