//! Which fields a message has: 128 bits in wire order.

/// A set of field numbers from 1 to 128. Field 1 is the most significant bit, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bitmap(u128);

impl Bitmap {
    /// No field.
    pub const EMPTY: Self = Self(0);

    /// From the two halves as they stand on the wire.
    #[must_use]
    pub(crate) const fn from_halves(primary: u64, secondary: u64) -> Self {
        Self(((primary as u128) << 64) | secondary as u128)
    }

    /// The two halves as they stand on the wire.
    #[must_use]
    pub(crate) const fn halves(self) -> (u64, u64) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "each half is cut out on purpose"
        )]
        ((self.0 >> 64) as u64, self.0 as u64)
    }

    /// This set and `number`; unchanged when the number is not from 1 to 128.
    #[must_use]
    pub const fn with(self, number: u8) -> Self {
        Self(self.0 | Self::bit(number))
    }

    /// This set without `number`.
    #[must_use]
    pub const fn without(self, number: u8) -> Self {
        Self(self.0 & !Self::bit(number))
    }

    /// Whether `number` is in the set.
    #[must_use]
    pub const fn contains(self, number: u8) -> bool {
        self.0 & Self::bit(number) != 0
    }

    /// What is in this set, in the other, or in both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no field is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many fields are in the set.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The numbers, ascending.
    #[must_use]
    pub const fn iter(self) -> Numbers {
        Numbers(self.0)
    }

    const fn bit(number: u8) -> u128 {
        match number {
            1..=128 => TOP >> number.wrapping_sub(1),
            _ => 0,
        }
    }
}

const TOP: u128 = 1 << 127;

impl IntoIterator for Bitmap {
    type Item = u8;
    type IntoIter = Numbers;

    fn into_iter(self) -> Numbers {
        self.iter()
    }
}

/// The numbers of a [`Bitmap`], ascending.
#[derive(Clone, Debug)]
pub struct Numbers(u128);

impl Iterator for Numbers {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        if self.0 == 0 {
            return None;
        }
        let lead = self.0.leading_zeros();
        self.0 &= !(TOP >> lead);
        // At most 127, so that the number fits.
        u8::try_from(lead).ok().map(|lead| lead.wrapping_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn numbers_come_out_ascending() {
        let set = [128, 2, 64, 65, 1, 3]
            .iter()
            .fold(Bitmap::EMPTY, |set, n| set.with(*n));
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 2, 3, 64, 65, 128]);
        assert_eq!(set.count(), 6);
        assert!(set.contains(64) && !set.contains(63));
        assert_eq!(set.without(1).iter().next(), Some(2));
    }

    #[test]
    fn numbers_outside_1_to_128_are_in_no_set() {
        for number in [0, 129, 255] {
            assert!(Bitmap::EMPTY.with(number).is_empty());
            assert!(!Bitmap::from_halves(u64::MAX, u64::MAX).contains(number));
        }
    }

    #[test]
    fn halves_are_in_wire_order() {
        let set = Bitmap::from_halves(0x7000_0000_0000_0000, 1);
        assert_eq!(set.iter().collect::<Vec<_>>(), [2, 3, 4, 128]);
        assert_eq!(set.halves(), (0x7000_0000_0000_0000, 1));
    }
}
