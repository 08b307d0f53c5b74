//! Character classes as a lookup table: one load per byte, no branch.

use crate::charset::Charset;

/// What a field's characters may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// n: digits.
    N,
    /// a: letters and space.
    A,
    /// an: letters, digits and space.
    An,
    /// ns: digits and special characters.
    Ns,
    /// ans: printable characters.
    Ans,
    /// z: track data; digits with `=` or `D`.
    Z,
    /// x+n: `C`, `D` or, as some write it, `0`, then digits.
    Xn,
    /// b: any byte.
    B,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::N,
        Self::A,
        Self::An,
        Self::Ns,
        Self::Ans,
        Self::Z,
        Self::Xn,
        Self::B,
    ];

    /// The name in the standard and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::N => "n",
            Self::A => "a",
            Self::An => "an",
            Self::Ns => "ns",
            Self::Ans => "ans",
            Self::Z => "z",
            Self::Xn => "x+n",
            Self::B => "b",
        }
    }

    /// The range of characters that is commonest in the class; none where no range is common
    /// enough.
    const fn range(self) -> Option<(u8, u8)> {
        match self {
            Self::N | Self::An | Self::Xn => Some((b'0', b'9')),
            Self::Ns => Some((b' ', b'@')),
            Self::Ans => Some((b' ', b'~')),
            Self::A | Self::Z | Self::B => None,
        }
    }

    /// The bit of the class in the table; of [`Class::Xn`] that of the characters behind the sign.
    const fn mask(self) -> u8 {
        match self {
            Self::N | Self::Xn => DIGIT,
            Self::A => ALPHABETIC,
            Self::An => ALPHANUMERIC,
            Self::Ns => NUMERIC_SPECIAL,
            Self::Ans => PRINTABLE,
            Self::Z => TRACK,
            Self::B => 0,
        }
    }
}

/// A class as the passes over bytes check it. The table is the rule. Before it comes a shortcut
/// within it: arithmetic on eight bytes at a time, which admits a range of characters; only a value
/// with another character is looked up byte by byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    /// The start of the range.
    first: u8,
    /// The end of the range.
    last: u8,
    /// The bit of the class in the table.
    mask: u8,
}

impl Check {
    /// The check of a class. Without a range the shortcut admits nothing.
    pub(crate) const fn of(class: Class) -> Self {
        let (first, last) = match class.range() {
            Some(range) => range,
            None => (0x7F, 0),
        };
        Self {
            first,
            last,
            mask: class.mask(),
        }
    }

    /// Whether the check of a class has a shortcut.
    pub(crate) const fn is_quick(class: Class) -> bool {
        class.range().is_some()
    }

    /// Whether all of `value` is in the class.
    #[inline(always)]
    pub(crate) fn admits(&self, value: &[u8]) -> bool {
        all(value, |word| roughly_beside(word, self.first, self.last)) || self.admits_slowly(value)
    }

    /// [`Check::admits`] of bytes in another character set.
    pub(crate) fn admits_in(&self, charset: Charset, value: &[u8]) -> bool {
        value
            .iter()
            .all(|byte| classes(charset.character(*byte)) & self.mask == self.mask)
    }

    /// [`Check::admits`] by the table alone.
    #[inline(never)]
    pub(crate) fn admits_slowly(&self, value: &[u8]) -> bool {
        all_have(self.mask, value)
    }
}

/// A word that has each byte of a value of one to seven, and nothing else. Of none, zeros.
#[inline(always)]
fn spread(value: &[u8]) -> u64 {
    debug_assert!(value.len() < 8);
    if let (Some(first), Some(last)) = (value.first_chunk::<4>(), value.last_chunk::<4>()) {
        return (u64::from(u32::from_le_bytes(*first)) << 32)
            | u64::from(u32::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (value.first_chunk::<2>(), value.last_chunk::<2>()) {
        let half =
            (u32::from(u16::from_le_bytes(*first)) << 16) | u32::from(u16::from_le_bytes(*last));
        return u64::from(half).wrapping_mul(BOTH_HALVES);
    }
    value
        .first()
        .map_or(0, |byte| LANES.wrapping_mul(u64::from(*byte)))
}

/// Whether `bytes` are digits.
#[inline]
pub(crate) fn are_digits(bytes: &[u8]) -> bool {
    all(bytes, |word| roughly_beside(word, b'0', b'9'))
}

/// Whether `bytes` are printable.
#[inline]
pub(crate) fn are_printable(bytes: &[u8]) -> bool {
    all(bytes, |word| roughly_beside(word, b' ', b'~'))
}

/// Whether `bytes` are letters, digits and spaces; mostly they are digits.
#[inline]
pub(crate) fn are_alphanumeric(bytes: &[u8]) -> bool {
    are_digits(bytes)
        || all(bytes, |word| {
            let letters = beside(word | LANES.wrapping_mul(0x20), b'a', b'z');
            beside(word, b'0', b'9') & letters & unlike(word, b' ')
        })
}

/// Whether `bytes` are track data: digits with `=` or `D`. The separators are few, so that most
/// words are digits alone.
#[inline]
pub(crate) fn are_track(bytes: &[u8]) -> bool {
    all(bytes, |word| {
        match roughly_beside(word, b'0', b'9') & HIGH_BITS {
            0 => 0,
            _ => beside(word, b'0', b'9') & unlike(word, b'=') & unlike(word, b'D'),
        }
    })
}

/// Whether `bytes` are hexadecimal digits, in either case.
pub(crate) fn are_hex(bytes: &[u8]) -> bool {
    all(bytes, |word| {
        let letters = beside(word | LANES.wrapping_mul(0x20), b'a', b'f');
        beside(word, b'0', b'9') & letters
    })
}

/// The high bit of the lane of the first byte outside a range; other bits, and lanes after it, mean
/// nothing.
#[inline(always)]
const fn roughly_beside(word: u64, first: u8, last: u8) -> u64 {
    let above = word.wrapping_add(LANES.wrapping_mul(0x7F_u8.wrapping_sub(last) as u64));
    let below = word.wrapping_sub(LANES.wrapping_mul(first as u64));
    word | above | below
}

/// The high bit of each lane whose byte is not in the range, which is within ASCII.
#[inline(always)]
const fn beside(word: u64, first: u8, last: u8) -> u64 {
    let low_bits = word & !HIGH_BITS;
    let above = low_bits.wrapping_add(LANES.wrapping_mul(0x7F_u8.wrapping_sub(last) as u64));
    let from_first = (low_bits | HIGH_BITS).wrapping_sub(LANES.wrapping_mul(first as u64));
    (word | above | !from_first) & HIGH_BITS
}

/// The high bit of each lane whose byte is another one.
#[inline(always)]
const fn unlike(word: u64, byte: u8) -> u64 {
    let difference = word ^ LANES.wrapping_mul(byte as u64);
    ((difference & !HIGH_BITS).wrapping_add(!HIGH_BITS) | difference) & HIGH_BITS
}

/// Whether the high bit of no lane says that it is bad. Eight bytes at a time; the last eight
/// overlap those before them, because to judge a byte twice is cheaper than to judge the odd bytes
/// apart.
#[inline(always)]
fn all(bytes: &[u8], bad: impl Fn(u64) -> u64) -> bool {
    let Some(last) = bytes.last_chunk() else {
        return bytes.is_empty() || bad(spread(bytes)) & HIGH_BITS == 0;
    };
    let mut found = bad(u64::from_le_bytes(*last));
    for chunk in bytes.as_chunks().0 {
        found |= bad(u64::from_le_bytes(*chunk));
    }
    found & HIGH_BITS == 0
}

/// One load per byte, no branch: a bit survives the AND over all bytes exactly when each has it.
#[inline(always)]
fn all_have(mask: u8, bytes: &[u8]) -> bool {
    debug_assert!(mask.count_ones() <= 1);
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut common = mask;
    for [a, b, c, d, e, f, g, h] in chunks {
        common &= classes(*a) & classes(*b) & classes(*c) & classes(*d);
        common &= classes(*e) & classes(*f) & classes(*g) & classes(*h);
    }
    rest.iter()
        .fold(common, |common, byte| common & classes(*byte))
        == mask
}

/// Whether `byte` may begin a value of [`Class::Xn`].
pub(crate) fn is_sign(byte: u8) -> bool {
    classes(byte) & SIGN != 0
}

#[inline(always)]
fn classes(byte: u8) -> u8 {
    ASCII.get(usize::from(byte)).copied().unwrap_or(0)
}

const LANES: u64 = 0x0101_0101_0101_0101;
const BOTH_HALVES: u64 = 0x0000_0001_0000_0001;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

const DIGIT: u8 = 1;
const ALPHABETIC: u8 = 2;
const ALPHANUMERIC: u8 = 4;
const NUMERIC_SPECIAL: u8 = 8;
const PRINTABLE: u8 = 16;
const TRACK: u8 = 32;
const SIGN: u8 = 64;

/// The classes of each byte in ASCII.
static ASCII: [u8; 256] = ascii();

const fn ascii() -> [u8; 256] {
    let mut table = [0_u8; 256];
    let mut rest: &mut [u8] = &mut table;
    let mut byte = 0_u8;
    while let [slot, tail @ ..] = rest {
        *slot = classes_of(byte);
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    table
}

const fn classes_of(byte: u8) -> u8 {
    let sign = match byte {
        b'C' | b'D' | b'0' => SIGN,
        _ => 0,
    };
    let track = match byte {
        b'0'..=b'9' | b'=' | b'D' => TRACK,
        _ => 0,
    };
    let kind = match byte {
        b'0'..=b'9' => DIGIT | ALPHANUMERIC | NUMERIC_SPECIAL | PRINTABLE,
        b'A'..=b'Z' | b'a'..=b'z' => ALPHABETIC | ALPHANUMERIC | PRINTABLE,
        b' ' => ALPHABETIC | ALPHANUMERIC | NUMERIC_SPECIAL | PRINTABLE,
        b'!'..=b'~' => NUMERIC_SPECIAL | PRINTABLE,
        _ => 0,
    };
    sign | track | kind
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The class rules once more, without the table.
    fn admits(class: Class, first: bool, byte: u8) -> bool {
        let printable = (0x20..=0x7E).contains(&byte);
        match class {
            Class::N => byte.is_ascii_digit(),
            Class::A => byte.is_ascii_alphabetic() || byte == b' ',
            Class::An => byte.is_ascii_alphanumeric() || byte == b' ',
            Class::Ns => printable && !byte.is_ascii_alphabetic(),
            Class::Ans => printable,
            Class::Z => byte.is_ascii_digit() || byte == b'=' || byte == b'D',
            Class::Xn if first => matches!(byte, b'C' | b'D' | b'0'),
            Class::Xn => byte.is_ascii_digit(),
            Class::B => true,
        }
    }

    #[test]
    fn every_byte_of_every_class_at_every_place() {
        let classes = [
            (Class::N, b'7'),
            (Class::A, b'x'),
            (Class::An, b'x'),
            (Class::Ns, b'/'),
            (Class::Ans, b'~'),
            (Class::Z, b'='),
        ];
        for (class, filler) in classes {
            let check = Check::of(class);
            for len in [1_usize, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 21] {
                for place in 0..len {
                    for byte in 0..=255_u8 {
                        let mut bytes: Vec<u8> = std::vec![filler; len];
                        bytes[place] = byte;
                        let expected = admits(class, false, byte);
                        let what = || std::format!("{class:?} {byte:02x} at {place} of {len}");
                        assert_eq!(check.admits(&bytes), expected, "{}", what());
                        assert_eq!(check.admits_slowly(&bytes), expected, "{}", what());
                    }
                }
            }
            assert!(check.admits(b""));
        }
    }

    #[test]
    fn hexadecimal_digits_in_either_case() {
        for byte in 0..=255_u8 {
            assert_eq!(are_hex(&[b'0', byte]), byte.is_ascii_hexdigit());
        }
    }

    #[test]
    fn a_sign_is_c_d_or_0() {
        let digits = Check::of(Class::Xn);
        for byte in 0..=255_u8 {
            assert_eq!(is_sign(byte), admits(Class::Xn, true, byte));
            assert_eq!(digits.admits(&[byte; 9]), admits(Class::Xn, false, byte));
        }
    }
}
