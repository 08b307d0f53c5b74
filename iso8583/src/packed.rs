//! Packed digits (BCD): two in a byte, with a pad nibble where their number is odd (semantics.md
//! §12).

/// Where the digits of an odd number stand, and what fills the nibble that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packed {
    /// Where they stand.
    pub justify: Justify,
    /// What stands in the nibble that is over: 0 to 15, commonly 0 or 15.
    pub pad: u8,
}

impl Packed {
    /// `01 23 45`: right-justified, a leading zero.
    pub const RIGHT: Self = Self::new(Justify::Right, 0);
    /// `12 34 50`: left-justified, a trailing zero.
    pub const LEFT: Self = Self::new(Justify::Left, 0);
    /// `12 34 5F`: left-justified, a trailing F.
    pub const LEFT_F: Self = Self::new(Justify::Left, 0xF);

    const fn new(justify: Justify, pad: u8) -> Self {
        Self { justify, pad }
    }

    /// Bytes of so many digits.
    #[inline]
    pub(crate) const fn wire_len(units: usize) -> usize {
        units.div_ceil(2)
    }

    /// Digits of a value whose length is counted in bytes: the pad nibble is told by its value, so
    /// only a pad that is no digit can be told.
    pub(crate) fn units_of(self, wire: &[u8]) -> usize {
        let nibbles = wire.len().saturating_mul(2);
        let over = match self.justify {
            Justify::Right => wire.first().map(|byte| byte >> 4),
            Justify::Left => wire.last().map(|byte| byte & 0x0F),
        };
        let is_padded = self.pad > 9 && over == Some(self.pad);
        nibbles.saturating_sub(usize::from(is_padded))
    }

    /// The nibble that is over where the number of digits is odd.
    fn over(self, wire: &[u8], units: usize) -> Option<u8> {
        if units.is_multiple_of(2) {
            return None;
        }
        match self.justify {
            Justify::Right => wire.first().map(|byte| byte >> 4),
            Justify::Left => wire.last().map(|byte| byte & 0x0F),
        }
    }

    /// Whether the nibble that is over, if there is one, is the pad.
    pub(crate) fn is_padded(self, wire: &[u8], units: usize) -> bool {
        self.over(wire, units)
            .is_none_or(|nibble| nibble == self.pad)
    }

    /// Whether all nibbles but the one that is over are digits, or the separator of a track.
    pub(crate) fn admits(self, wire: &[u8], units: usize, symbols: Symbols) -> bool {
        if units.is_multiple_of(2) {
            return wire.iter().all(|byte| symbols.admit(*byte));
        }
        // The pad nibble may be anything, so a digit takes its place.
        match self.justify {
            Justify::Right => match wire.split_first() {
                Some((first, rest)) => {
                    symbols.admit(first & 0x0F) && rest.iter().all(|byte| symbols.admit(*byte))
                }
                None => true,
            },
            Justify::Left => match wire.split_last() {
                Some((last, rest)) => {
                    symbols.admit(last & 0xF0) && rest.iter().all(|byte| symbols.admit(*byte))
                }
                None => true,
            },
        }
    }

    /// The digits as characters at the start of `out`; `None` when it is too small or `wire` has
    /// another length. A nibble that is no digit becomes `=`, which only a track has.
    pub(crate) fn decode<'o>(
        self,
        wire: &[u8],
        units: usize,
        out: &'o mut [u8],
    ) -> Option<&'o [u8]> {
        if wire.len() != Self::wire_len(units) {
            return None;
        }
        let out = out.get_mut(..units)?;
        let skipped = match self.justify {
            Justify::Right => units % 2,
            Justify::Left => 0,
        };
        let nibbles = wire.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
        for (slot, nibble) in out.iter_mut().zip(nibbles.skip(skipped)) {
            *slot = if nibble < 10 { nibble | b'0' } else { b'=' };
        }
        Some(out)
    }

    /// Packs characters into `out`, which has [`Packed::wire_len`] bytes. Characters are digits,
    /// and in a track `=` or `D`.
    pub(crate) fn encode(self, text: &[u8], out: &mut [u8]) {
        debug_assert_eq!(Self::wire_len(text.len()), out.len());
        let odd = !text.len().is_multiple_of(2);
        let before = (odd && self.justify == Justify::Right).then_some(self.pad);
        let after = (odd && self.justify == Justify::Left).then_some(self.pad);
        let digits = text.iter().map(|character| nibble(*character));
        let mut nibbles = before.into_iter().chain(digits).chain(after);
        for slot in out {
            let (high, low) = (nibbles.next(), nibbles.next());
            *slot = (high.unwrap_or(0) << 4) | low.unwrap_or(0);
        }
    }
}

const fn nibble(character: u8) -> u8 {
    match character {
        b'0'..=b'9' => character & 0x0F,
        _ => SEPARATOR,
    }
}

/// Which nibbles stand for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbols {
    /// Digits.
    Digits,
    /// Digits and the separator of a track, D.
    Track,
}

impl Symbols {
    fn admit(self, byte: u8) -> bool {
        let (high, low) = (byte >> 4, byte & 0x0F);
        match self {
            Self::Digits => high < 10 && low < 10,
            Self::Track => is_track(high) && is_track(low),
        }
    }
}

const fn is_track(nibble: u8) -> bool {
    nibble < 10 || nibble == SEPARATOR
}

/// On which side the digits of an odd number stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Justify {
    /// The first nibble is over.
    Right,
    /// The last nibble is over.
    Left,
}

const SEPARATOR: u8 = 0xD;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(packed: Packed, text: &[u8], wire: &[u8]) {
        let mut out = [0xEE; 8];
        packed.encode(text, &mut out[..wire.len()]);
        assert_eq!(&out[..wire.len()], wire);
        assert_eq!(packed.decode(wire, text.len(), &mut out), Some(text));
        assert!(packed.admits(wire, text.len(), Symbols::Track));
        assert!(packed.is_padded(wire, text.len()));
    }

    #[test]
    fn the_three_ways_to_pack_an_odd_number_of_digits() {
        check(Packed::RIGHT, b"12345", &[0x01, 0x23, 0x45]);
        check(Packed::LEFT, b"12345", &[0x12, 0x34, 0x50]);
        check(Packed::LEFT_F, b"12345", &[0x12, 0x34, 0x5F]);
        for packed in [Packed::RIGHT, Packed::LEFT, Packed::LEFT_F] {
            check(packed, b"1234", &[0x12, 0x34]);
            check(packed, b"", &[]);
        }
        check(Packed::LEFT_F, b"12=45", &[0x12, 0xD4, 0x5F]);
    }

    #[test]
    fn only_digits_are_admitted_but_in_the_nibble_that_is_over() {
        let check = |packed: Packed, wire: &[u8], units, admitted| {
            assert_eq!(packed.admits(wire, units, Symbols::Digits), admitted);
        };
        check(Packed::RIGHT, &[0x12, 0x30], 3, true);
        check(Packed::RIGHT, &[0xF2, 0x30], 3, true);
        check(Packed::RIGHT, &[0x1A, 0x30], 3, false);
        check(Packed::LEFT, &[0x12, 0x3C], 3, true);
        check(Packed::LEFT, &[0x12, 0xC3], 3, false);
        check(Packed::LEFT, &[0x12, 0x3C], 4, false);
        check(Packed::LEFT, &[0x1D, 0x34], 4, false);
        assert!(Packed::LEFT.admits(&[0x1D, 0x34], 4, Symbols::Track));
        assert!(!Packed::LEFT.admits(&[0x1E, 0x34], 4, Symbols::Track));
    }

    #[test]
    fn a_wrong_pad_is_noticed() {
        assert!(!Packed::RIGHT.is_padded(&[0x12, 0x30], 3));
        assert!(!Packed::LEFT_F.is_padded(&[0x12, 0x30], 3));
        assert!(Packed::LEFT_F.is_padded(&[0x12, 0x30], 4));
    }

    #[test]
    fn a_length_in_bytes_tells_the_digits_where_the_pad_is_none() {
        assert_eq!(Packed::LEFT_F.units_of(&[0x12, 0x3F]), 3);
        assert_eq!(Packed::LEFT_F.units_of(&[0x12, 0x34]), 4);
        assert_eq!(Packed::LEFT.units_of(&[0x12, 0x30]), 4);
        assert_eq!(Packed::LEFT.units_of(&[]), 0);
    }
}
