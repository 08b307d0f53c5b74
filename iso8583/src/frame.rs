//! Framing: where one message ends and the next begins (semantics.md §11).

use crate::error::{FrameError, WriteError};

/// How messages are delimited on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Two bytes, big-endian, that count what follows them.
    Be16,
}

impl Framing {
    /// The framing of that name in the configuration.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|framing| framing.name() == name)
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

    /// Looks at the start of what has been received. A length is judged before the frame is there,
    /// so that nothing is allocated for a length that lies.
    #[must_use]
    pub fn split(self, buf: &[u8], frame_len_max: usize) -> FrameStep {
        let row = self.row();
        let Some(prefix) = buf.get(..row.prefix_len) else {
            return FrameStep::NeedMore {
                at_least: row.prefix_len,
            };
        };
        let value = row.coding.read(prefix);
        if value == 0 {
            return FrameStep::KeepAlive {
                consumed: row.prefix_len,
            };
        }
        if value > frame_len_max {
            return FrameStep::Refused(FrameError::TooLong {
                len: value,
                frame_len_max,
            });
        }
        if value < MESSAGE_LEN_MIN {
            return FrameStep::Refused(FrameError::TooShort { len: value });
        }
        let end = row.prefix_len.saturating_add(value);
        debug_assert!(row.prefix_len > 0 && end > row.prefix_len);
        if buf.len() < end {
            return FrameStep::NeedMore { at_least: end };
        }
        FrameStep::Frame {
            header: row.prefix_len,
            len: value,
        }
    }

    /// Writes the prefix of a message of `len` bytes at the start of `out`; 0 makes a keep-alive.
    /// Returns [`Framing::header_len`].
    ///
    /// # Errors
    /// `out` is shorter than the prefix, or the prefix cannot say `len`.
    pub fn put_header(self, out: &mut [u8], len: usize) -> Result<usize, WriteError> {
        let row = self.row();
        let prefix = out.get_mut(..row.prefix_len).ok_or(WriteError::Full)?;
        row.coding.write(len, prefix).ok_or(WriteError::Full)?;
        Ok(row.prefix_len)
    }

    const fn row(self) -> FramingRow {
        match self {
            Self::Be16 => FramingRow {
                name: "be16",
                prefix_len: 2,
                coding: Coding::BigEndian,
            },
        }
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
    /// A frame: `header` bytes of prefix, then `len` bytes of message.
    Frame {
        /// Bytes before the message.
        header: usize,
        /// Bytes of the message.
        len: usize,
    },
    /// A frame without a message.
    KeepAlive {
        /// Bytes of it.
        consumed: usize,
    },
    /// The connection must be closed.
    Refused(FrameError),
}

struct FramingRow {
    name: &'static str,
    prefix_len: usize,
    coding: Coding,
}

/// How a length stands in its prefix.
enum Coding {
    BigEndian,
}

impl Coding {
    /// Saturates: what does not fit is above every cap.
    fn read(self, prefix: &[u8]) -> usize {
        match self {
            Self::BigEndian => prefix.iter().fold(0_usize, |value, byte| {
                value.saturating_mul(256).saturating_add(usize::from(*byte))
            }),
        }
    }

    /// `None` when `len` does not fit.
    fn write(self, len: usize, prefix: &mut [u8]) -> Option<()> {
        let mut rest = len;
        match self {
            Self::BigEndian => {
                for byte in prefix.iter_mut().rev() {
                    *byte = u8::try_from(rest % 256).ok()?;
                    rest /= 256;
                }
            }
        }
        (rest == 0).then_some(())
    }
}

const ALL: [Framing; 1] = [Framing::Be16];
/// A packed MTI and one bitmap: nothing shorter is a message in any dialect.
const MESSAGE_LEN_MIN: usize = 10;

#[cfg(test)]
mod tests;
