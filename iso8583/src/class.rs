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
    /// What each byte must have in [`ASCII`]: the first byte, the others. 0 admits every byte.
    pub(crate) const fn masks(self) -> (u8, u8) {
        match self {
            Self::N => (DIGIT, DIGIT),
            Self::A => (ALPHABETIC, ALPHABETIC),
            Self::An => (ALPHANUMERIC, ALPHANUMERIC),
            Self::Ns => (NUMERIC_SPECIAL, NUMERIC_SPECIAL),
            Self::Ans => (PRINTABLE, PRINTABLE),
            Self::Z => (TRACK, TRACK),
            Self::Xn => (SIGN, DIGIT),
            Self::B => (0, 0),
        }
    }
}

/// Whether all of `bytes` have `mask` in `table`.
#[inline]
pub(crate) fn all(table: &[u8; 256], bytes: &[u8], mask: u8) -> bool {
    // Every bit of the mask survives the AND over all bytes exactly when every byte has it.
    let (chunks, rest) = bytes.as_chunks::<8>();
    let of = |byte: &u8| table.get(usize::from(*byte)).copied().unwrap_or(0);
    let mut common = u8::MAX;
    for [a, b, c, d, e, f, g, h] in chunks {
        common &= of(a) & of(b) & of(c) & of(d) & of(e) & of(f) & of(g) & of(h);
    }
    for byte in rest {
        common &= of(byte);
    }
    common & mask == mask
}

const DIGIT: u8 = 1;
const ALPHABETIC: u8 = 2;
const ALPHANUMERIC: u8 = 4;
const NUMERIC_SPECIAL: u8 = 8;
const PRINTABLE: u8 = 16;
const TRACK: u8 = 32;
const SIGN: u8 = 64;

/// The classes of each byte in ASCII.
pub(crate) static ASCII: [u8; 256] = ascii();

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
            (Class::B, 0),
        ];
        for (class, filler) in classes {
            let (_, mask) = class.masks();
            for len in [1_usize, 3, 7, 8, 9, 16, 21] {
                for place in 0..len {
                    for byte in 0..=255_u8 {
                        let mut bytes: Vec<u8> = std::vec![filler; len];
                        bytes[place] = byte;
                        assert_eq!(
                            all(&ASCII, &bytes, mask),
                            admits(class, false, byte),
                            "{class:?} {byte:02x} at {place} of {len}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_sign_is_c_or_d() {
        let (head, tail) = Class::Xn.masks();
        for byte in 0..=255_u8 {
            assert_eq!(all(&ASCII, &[byte], head), admits(Class::Xn, true, byte));
            assert_eq!(all(&ASCII, &[byte], tail), admits(Class::Xn, false, byte));
        }
    }
}
