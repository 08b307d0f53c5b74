//! How a length stands in its prefix.

use crate::error::FrameError;

/// How a number stands in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Binary, the highest byte first.
    BigEndian,
    /// Binary, the lowest byte first.
    LittleEndian,
    /// A decimal digit per byte.
    Decimal,
    /// A hexadecimal digit per byte, read in either case, written in lower case.
    Hex,
    /// Two decimal digits per byte.
    Bcd,
}

impl Coding {
    /// The number in `bytes`, at most six of them. Offsets count from the first one.
    pub(super) fn read(self, bytes: &[u8]) -> Result<usize, FrameError> {
        debug_assert!(bytes.len() <= DIGITS_MAX, "invariant: no row has more");
        let base = self.base();
        let step = |value: usize, digit: usize| value.saturating_mul(base).saturating_add(digit);
        let mut value = 0;
        match self {
            Self::BigEndian => {
                value = bytes
                    .iter()
                    .fold(0, |value, byte| step(value, (*byte).into()));
            }
            Self::LittleEndian => {
                let backwards = bytes.iter().rev();
                value = backwards.fold(0, |value, byte| step(value, (*byte).into()));
            }
            Self::Decimal | Self::Hex => {
                for (offset, byte) in bytes.iter().enumerate() {
                    let digit = digit(*byte).filter(|digit| *digit < base);
                    value = step(value, digit.ok_or(FrameError::NotADigit { offset })?);
                }
            }
            Self::Bcd => {
                for (offset, byte) in bytes.iter().enumerate() {
                    let (high, low) = (usize::from(byte >> 4), usize::from(byte & 0x0F));
                    if high >= base || low >= base {
                        return Err(FrameError::NotBcd { offset });
                    }
                    value = step(step(value, high), low);
                }
            }
        }
        Ok(value)
    }

    /// Writes `number` into all of `bytes`; `None` when it does not fit.
    pub(super) fn write(self, number: usize, bytes: &mut [u8]) -> Option<()> {
        debug_assert!(bytes.len() <= DIGITS_MAX, "invariant: no row has more");
        let base = self.base();
        let mut rest = number;
        let mut next = || {
            let digit = rest.checked_rem(base).unwrap_or(0);
            rest = rest.checked_div(base).unwrap_or(0);
            u8::try_from(digit).unwrap_or(0)
        };
        match self {
            Self::BigEndian => bytes.iter_mut().rev().for_each(|byte| *byte = next()),
            Self::LittleEndian => bytes.iter_mut().for_each(|byte| *byte = next()),
            Self::Decimal | Self::Hex => {
                bytes
                    .iter_mut()
                    .rev()
                    .for_each(|byte| *byte = letter(next()));
            }
            Self::Bcd => {
                for byte in bytes.iter_mut().rev() {
                    let low = next();
                    *byte = (next() << 4) | low;
                }
            }
        }
        (rest == 0).then_some(())
    }

    /// The largest number in `len` bytes.
    pub(super) fn number_max(self, len: usize) -> usize {
        let digits = match self {
            Self::BigEndian | Self::LittleEndian | Self::Decimal | Self::Hex => len,
            Self::Bcd => len.saturating_mul(2),
        };
        let count = (0..digits).fold(1_usize, |count, _| count.saturating_mul(self.base()));
        count.saturating_sub(1)
    }

    const fn base(self) -> usize {
        match self {
            Self::BigEndian | Self::LittleEndian => 256,
            Self::Decimal | Self::Bcd => 10,
            Self::Hex => 16,
        }
    }
}

fn digit(byte: u8) -> Option<usize> {
    let digit = char::from(byte).to_digit(16)?;
    usize::try_from(digit).ok()
}

const fn letter(digit: u8) -> u8 {
    if digit < 10 {
        digit.wrapping_add(b'0')
    } else {
        digit.wrapping_sub(10).wrapping_add(b'a')
    }
}

/// Of the longest prefix.
const DIGITS_MAX: usize = 6;
