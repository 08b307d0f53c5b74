//! How ids and lengths of sub-elements are written.

use core::fmt;

use crate::hex;

/// How an id or a length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// ASCII characters.
    Ascii,
    /// EBCDIC characters; letters and digits are the same in all code pages in use.
    Ebcdic,
    /// Two digits in a byte, right-justified: an odd number has a zero before it.
    Bcd,
    /// Bytes; a number is big-endian.
    Binary,
}

/// The id of a sub-element as text: letters and digits; of a binary one its hexadecimal digits in
/// upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    chars: [u8; ID_LEN_MAX],
    len: u8,
}

impl Id {
    /// The text in ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.chars.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Form {
    /// Bytes of what has `len` characters, digits or, when binary, bytes.
    pub(super) const fn bytes(self, len: usize) -> usize {
        match self {
            Self::Ascii | Self::Ebcdic | Self::Binary => len,
            Self::Bcd => len.div_ceil(2),
        }
    }

    /// Characters of its text.
    pub(super) const fn chars(self, len: usize) -> usize {
        match self {
            Self::Ascii | Self::Ebcdic | Self::Bcd => len,
            Self::Binary => len.saturating_mul(2),
        }
    }

    /// The id that `bytes` are. `None` when a character is outside the form.
    pub(super) fn id(self, bytes: &[u8], len: usize) -> Option<Id> {
        let mut chars = [0; ID_LEN_MAX];
        let count = self.chars(len);
        self.text(bytes, chars.get_mut(..count)?)?;
        Some(Id {
            chars,
            len: u8::try_from(count).ok()?,
        })
    }

    /// Writes an id into `out`, which has the bytes of `len`. `None` when it does not have that
    /// length or has a character outside the form.
    pub(super) fn put_id(self, id: &[u8], len: usize, out: &mut [u8]) -> Option<()> {
        if id.len() != self.chars(len) {
            return None;
        }
        self.put_text(id, out)
    }

    /// The number that `bytes` are. `None` when a digit is none.
    pub(super) fn number(self, bytes: &[u8], len: usize) -> Option<usize> {
        debug_assert!(bytes.len() == self.bytes(len) && len <= NUMBER_LEN_MAX);
        match self {
            Self::Ascii | Self::Ebcdic | Self::Bcd => {
                let mut text = [0; NUMBER_LEN_MAX];
                let digits = text.get_mut(..len)?;
                self.text(bytes, digits)?;
                digits.iter().try_fold(0_usize, |number, digit| {
                    let digit = char::from(*digit).to_digit(10)?;
                    number
                        .checked_mul(10)?
                        .checked_add(usize::try_from(digit).ok()?)
                })
            }
            Self::Binary => bytes.iter().try_fold(0_usize, |number, byte| {
                number.checked_mul(256)?.checked_add(usize::from(*byte))
            }),
        }
    }

    /// Writes a number into `out`, which has the bytes of `len`. `None` when it has more digits.
    pub(super) fn put_number(self, number: usize, len: usize, out: &mut [u8]) -> Option<()> {
        debug_assert!(out.len() == self.bytes(len) && len <= NUMBER_LEN_MAX);
        let mut left = number;
        match self {
            Self::Ascii | Self::Ebcdic | Self::Bcd => {
                let mut text = [0; NUMBER_LEN_MAX];
                let digits = text.get_mut(..len)?;
                for digit in digits.iter_mut().rev() {
                    *digit = b'0'.wrapping_add(u8::try_from(left % 10).ok()?);
                    left /= 10;
                }
                self.put_text(digits, out)?;
            }
            Self::Binary => {
                for byte in out.iter_mut().rev() {
                    *byte = u8::try_from(left % 256).ok()?;
                    left /= 256;
                }
            }
        }
        (left == 0).then_some(())
    }

    /// Writes the text of `bytes` into `out`, which has its length.
    fn text(self, bytes: &[u8], out: &mut [u8]) -> Option<()> {
        match self {
            Self::Ascii => translate(bytes, out, |byte| {
                byte.is_ascii_alphanumeric().then_some(byte)
            }),
            Self::Ebcdic => translate(bytes, out, ascii_of_ebcdic),
            Self::Bcd => unpack(bytes, out),
            Self::Binary => {
                hex::encode(bytes, out);
                Some(())
            }
        }
    }

    /// Writes the bytes of `text` into `out`, which has their number.
    fn put_text(self, text: &[u8], out: &mut [u8]) -> Option<()> {
        match self {
            Self::Ascii => translate(text, out, |byte| {
                byte.is_ascii_alphanumeric().then_some(byte)
            }),
            Self::Ebcdic => translate(text, out, ebcdic_of_ascii),
            Self::Bcd => pack(text, out),
            Self::Binary => hex::decode(text, out).map(|_| ()),
        }
    }
}

fn translate(from: &[u8], to: &mut [u8], one: impl Fn(u8) -> Option<u8>) -> Option<()> {
    debug_assert_eq!(from.len(), to.len());
    for (slot, byte) in to.iter_mut().zip(from) {
        *slot = one(*byte)?;
    }
    Some(())
}

/// Digits out of nibbles, from the last one on; a nibble before the first digit must be zero, or
/// two ways of writing one id would be two ids.
fn unpack(bytes: &[u8], digits: &mut [u8]) -> Option<()> {
    debug_assert_eq!(bytes.len(), digits.len().div_ceil(2));
    let mut digits = digits.iter_mut().rev();
    let nibbles = bytes.iter().rev().flat_map(|byte| [byte & 0x0F, byte >> 4]);
    for nibble in nibbles {
        match digits.next() {
            Some(digit) if nibble <= 9 => *digit = nibble.wrapping_add(b'0'),
            None if nibble == 0 => {}
            Some(_) | None => return None,
        }
    }
    Some(())
}

fn pack(digits: &[u8], bytes: &mut [u8]) -> Option<()> {
    debug_assert_eq!(bytes.len(), digits.len().div_ceil(2));
    let mut digits = digits.iter().rev();
    for byte in bytes.iter_mut().rev() {
        let low = digits.next().copied().unwrap_or(b'0');
        let high = digits.next().copied().unwrap_or(b'0');
        if !(low.is_ascii_digit() && high.is_ascii_digit()) {
            return None;
        }
        *byte = ((high & 0x0F) << 4) | (low & 0x0F);
    }
    Some(())
}

fn ascii_of_ebcdic(byte: u8) -> Option<u8> {
    moved(byte, |range| (range.ebcdic, range.ascii, range.count))
}

fn ebcdic_of_ascii(byte: u8) -> Option<u8> {
    moved(byte, |range| (range.ascii, range.ebcdic, range.count))
}

/// The byte at the same place of the other character set.
fn moved(byte: u8, range: impl Fn(&Range) -> (u8, u8, u8)) -> Option<u8> {
    RANGES.iter().map(range).find_map(|(from, to, count)| {
        let place = byte.checked_sub(from)?;
        (place < count).then(|| to.wrapping_add(place))
    })
}

/// Characters that follow one another in both sets.
struct Range {
    ebcdic: u8,
    ascii: u8,
    count: u8,
}

const RANGES: [Range; 7] = [
    Range {
        ebcdic: 0xF0,
        ascii: b'0',
        count: 10,
    },
    Range {
        ebcdic: 0xC1,
        ascii: b'A',
        count: 9,
    },
    Range {
        ebcdic: 0xD1,
        ascii: b'J',
        count: 9,
    },
    Range {
        ebcdic: 0xE2,
        ascii: b'S',
        count: 8,
    },
    Range {
        ebcdic: 0x81,
        ascii: b'a',
        count: 9,
    },
    Range {
        ebcdic: 0x91,
        ascii: b'j',
        count: 9,
    },
    Range {
        ebcdic: 0xA2,
        ascii: b's',
        count: 8,
    },
];

/// Characters of the longest id.
pub const ID_LEN_MAX: usize = 8;
const NUMBER_LEN_MAX: usize = 4;
