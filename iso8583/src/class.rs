//! Character classes as a lookup table: one load per byte, no branch.

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
    /// x+n: `C` or `D`, then digits.
    Xn,
    /// b: any byte.
    B,
}

impl Class {
    /// What every character must be, the first one of [`Class::Xn`] apart.
    pub(crate) const fn check(self) -> Check {
        match self {
            Self::N | Self::Xn => Check::new(DIGIT, b'0', b'9'),
            Self::A => Check::new(ALPHABETIC, b' ', b' '),
            Self::An => Check::new(ALPHANUMERIC, b'0', b'9'),
            Self::Ns => Check::new(NUMERIC_SPECIAL, b' ', b'@'),
            Self::Ans => Check::new(PRINTABLE, b' ', b'~'),
            Self::Z => Check::new(TRACK, b'0', b'9'),
            Self::B => Check::NONE,
        }
    }
}

/// A class as the passes over bytes check it, eight bytes at a time: first by arithmetic on a word,
/// which admits the range of characters that is commonest in the class; only a word that it does not
/// admit is looked up byte by byte. The table is the rule, the range a shortcut within it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    /// In each lane what brings the end of the range to 0x7F.
    above: u64,
    /// In each lane the start of the range.
    below: u64,
    /// The bit of the class in the table.
    mask: u8,
}

impl Check {
    /// Admits nothing; for what is not checked by character.
    pub(crate) const NONE: Self = Self {
        above: u64::MAX,
        below: u64::MAX,
        mask: 0,
    };

    /// No character of the range may be outside the class; `tests` see to it.
    const fn new(mask: u8, first: u8, last: u8) -> Self {
        Self {
            above: LANES.wrapping_mul(0x7F_u8.wrapping_sub(last) as u64),
            below: LANES.wrapping_mul(first as u64),
            mask,
        }
    }

    /// Whether the first `len` of `bytes` are in the class. What follows them is not judged; where
    /// seven bytes or more follow, the last word is read whole and is as cheap as the others.
    #[inline(always)]
    pub(crate) fn admits(&self, bytes: &[u8], len: usize) -> bool {
        let mut ahead = bytes;
        let mut left = len;
        while left > 8 {
            let Some((chunk, tail)) = ahead.split_first_chunk::<8>() else {
                return self.admits_slowly(ahead, left);
            };
            if self.strange(u64::from_le_bytes(*chunk)) != 0 && !self.admits_slowly(chunk, 8) {
                return false;
            }
            left = left.wrapping_sub(8);
            ahead = tail;
        }
        let Some(chunk) = ahead.first_chunk::<8>() else {
            return self.admits_slowly(ahead, left);
        };
        // The lanes that are not judged go out at the top: eight bits each, in two halves, because
        // none may be left and a shift by 64 is none.
        let unjudged = 8_usize.wrapping_sub(left).wrapping_mul(4);
        let strange = self.strange(u64::from_le_bytes(*chunk));
        (strange << unjudged) << unjudged == 0 || self.admits_slowly(chunk, left)
    }

    /// Nonzero from the lane of the first byte outside the range on; lanes after it mean nothing.
    #[inline]
    const fn strange(&self, word: u64) -> u64 {
        (word | word.wrapping_add(self.above) | word.wrapping_sub(self.below)) & HIGH_BITS
    }

    #[cold]
    #[inline(never)]
    fn admits_slowly(&self, bytes: &[u8], len: usize) -> bool {
        bytes
            .iter()
            .take(len)
            .all(|byte| classes(*byte) & self.mask != 0)
    }
}

/// Whether the first `len` of `bytes` are hexadecimal digits, in either case.
pub(crate) fn are_hex(bytes: &[u8], len: usize) -> bool {
    let common = bytes
        .iter()
        .take(len)
        .fold(HEX, |common, byte| common & classes(*byte));
    common != 0
}

/// Whether `byte` may begin a value of [`Class::Xn`].
pub(crate) fn is_sign(byte: u8) -> bool {
    classes(byte) & SIGN != 0
}

fn classes(byte: u8) -> u8 {
    ASCII.get(usize::from(byte)).copied().unwrap_or(0)
}

const LANES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

const DIGIT: u8 = 1;
const ALPHABETIC: u8 = 2;
const ALPHANUMERIC: u8 = 4;
const NUMERIC_SPECIAL: u8 = 8;
const PRINTABLE: u8 = 16;
const TRACK: u8 = 32;
const SIGN: u8 = 64;
const HEX: u8 = 128;

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
        b'C' | b'D' => SIGN,
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
    let hex = if byte.is_ascii_hexdigit() { HEX } else { 0 };
    sign | track | kind | hex
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
            Class::Xn if first => byte == b'C' || byte == b'D',
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
            let check = class.check();
            for len in [1_usize, 3, 7, 8, 9, 16, 21] {
                for place in 0..len {
                    for byte in 0..=255_u8 {
                        let mut bytes: Vec<u8> = std::vec![filler; len];
                        bytes[place] = byte;
                        let expected = admits(class, false, byte);
                        let what = || std::format!("{class:?} {byte:02x} at {place} of {len}");
                        assert_eq!(check.admits(&bytes, len), expected, "{}", what());
                        // What follows is not judged, whatever it is.
                        for follower in [0, 0xFF, b'0'] {
                            let mut longer = bytes.clone();
                            longer.extend([follower; 9]);
                            assert_eq!(check.admits(&longer, len), expected, "{}", what());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn hexadecimal_digits_in_either_case() {
        for byte in 0..=255_u8 {
            assert_eq!(are_hex(&[b'0', byte, 0xFF], 2), byte.is_ascii_hexdigit());
        }
    }

    #[test]
    fn a_sign_is_c_or_d() {
        let digits = Class::Xn.check();
        for byte in 0..=255_u8 {
            assert_eq!(is_sign(byte), admits(Class::Xn, true, byte));
            assert_eq!(digits.admits(&[byte; 9], 9), admits(Class::Xn, false, byte));
        }
    }
}
