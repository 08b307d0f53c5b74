//! Which fields a message has: 128 bits in wire order.

/// A set of field numbers from 1 to 128. In each half the lowest number is the most significant
/// bit, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bitmap {
    /// 1 to 64.
    primary: u64,
    /// 65 to 128.
    secondary: u64,
}

impl Bitmap {
    /// No field.
    pub const EMPTY: Self = Self::from_halves(0, 0);

    /// From the two halves as they stand on the wire.
    #[must_use]
    pub(crate) const fn from_halves(primary: u64, secondary: u64) -> Self {
        Self { primary, secondary }
    }

    /// The two halves as they stand on the wire.
    #[must_use]
    pub(crate) const fn halves(self) -> (u64, u64) {
        (self.primary, self.secondary)
    }

    /// This set and `number`; unchanged when the number is not from 1 to 128.
    #[must_use]
    #[inline]
    pub const fn with(self, number: u8) -> Self {
        self.union(Self::only(number))
    }

    /// Adds a number from 1 to 128.
    #[inline]
    pub(crate) const fn insert(&mut self, number: u8) {
        debug_assert!(matches!(number, 1..=128));
        if number <= 64 {
            self.primary |= TOP >> bit(number);
        } else {
            self.secondary |= TOP >> bit(number);
        }
    }

    /// This set without `number`.
    #[must_use]
    #[inline]
    pub const fn without(self, number: u8) -> Self {
        let only = Self::only(number);
        Self::from_halves(
            self.primary & !only.primary,
            self.secondary & !only.secondary,
        )
    }

    /// The numbers of this set below `number`.
    #[must_use]
    pub const fn below(self, number: u8) -> Self {
        match number {
            0 | 1 => Self::EMPTY,
            2..=64 => Self::from_halves(self.primary & !(u64::MAX >> bit(number)), 0),
            65..=128 => {
                Self::from_halves(self.primary, self.secondary & !(u64::MAX >> bit(number)))
            }
            _ => self,
        }
    }

    /// The numbers of this set above `number`.
    #[must_use]
    pub const fn above(self, number: u8) -> Self {
        let not = self.below(number).with(number);
        Self::from_halves(self.primary & !not.primary, self.secondary & !not.secondary)
    }

    /// The largest number of the set.
    #[must_use]
    pub const fn last(self) -> Option<u8> {
        #[expect(clippy::cast_possible_truncation, reason = "at most 63")]
        match (self.primary, self.secondary) {
            (0, 0) => None,
            (primary, 0) => Some(64_u8.wrapping_sub(primary.trailing_zeros() as u8)),
            (_, secondary) => Some(128_u8.wrapping_sub(secondary.trailing_zeros() as u8)),
        }
    }

    /// Whether `number` is in the set.
    #[must_use]
    #[inline]
    pub const fn contains(self, number: u8) -> bool {
        !self.intersection(Self::only(number)).is_empty()
    }

    /// What is in this set, in the other, or in both.
    #[must_use]
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self::from_halves(
            self.primary | other.primary,
            self.secondary | other.secondary,
        )
    }

    /// What is in both sets.
    #[must_use]
    #[inline]
    pub const fn intersection(self, other: Self) -> Self {
        Self::from_halves(
            self.primary & other.primary,
            self.secondary & other.secondary,
        )
    }

    /// Whether no field is in the set.
    #[must_use]
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.primary | self.secondary == 0
    }

    /// How many fields are in the set.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.primary
            .count_ones()
            .saturating_add(self.secondary.count_ones())
    }

    /// The numbers, ascending.
    #[must_use]
    #[inline]
    pub const fn iter(self) -> Numbers {
        Numbers {
            primary: self.primary.reverse_bits(),
            secondary: self.secondary.reverse_bits(),
        }
    }

    /// Both halves, lowest number in the lowest bit, each with its lowest number.
    #[inline]
    pub(crate) const fn numbered_halves(self) -> [(u32, u64); 2] {
        [
            (1, self.primary.reverse_bits()),
            (65, self.secondary.reverse_bits()),
        ]
    }

    #[inline]
    const fn only(number: u8) -> Self {
        match number {
            1..=64 => Self::from_halves(TOP >> bit(number), 0),
            65..=128 => Self::from_halves(0, TOP >> bit(number)),
            _ => Self::EMPTY,
        }
    }
}

/// The place of a number in its half, from the most significant bit, 0 to 63.
#[inline]
const fn bit(number: u8) -> u8 {
    number.wrapping_sub(1) & 63
}

const TOP: u64 = 1 << 63;

impl IntoIterator for Bitmap {
    type Item = u8;
    type IntoIter = Numbers;

    #[inline]
    fn into_iter(self) -> Numbers {
        self.iter()
    }
}

/// The numbers of a [`Bitmap`], ascending. Holds them lowest bit first, which makes a step cheaper.
#[derive(Clone, Debug)]
pub struct Numbers {
    primary: u64,
    secondary: u64,
}

impl Iterator for Numbers {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        if let Some(place) = take_lowest(&mut self.primary) {
            return Some(place.wrapping_add(1));
        }
        take_lowest(&mut self.secondary).map(|place| place.wrapping_add(65))
    }
}

#[inline]
fn take_lowest(half: &mut u64) -> Option<u8> {
    if *half == 0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 63")]
    let place = half.trailing_zeros() as u8;
    *half &= half.wrapping_sub(1);
    Some(place)
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
    fn below_keeps_what_is_smaller() {
        let all = Bitmap::from_halves(u64::MAX, u64::MAX);
        for number in 0..=255_u8 {
            let expected = usize::from(number.min(129).saturating_sub(1));
            assert_eq!(all.below(number).iter().count(), expected, "{number}");
            let above = all.above(number);
            assert_eq!(
                above.iter().count(),
                usize::from(128 - number.min(128)),
                "{number}"
            );
            assert_eq!(
                all.below(number).last(),
                (2..).contains(&number).then(|| number.min(129) - 1)
            );
        }
    }

    #[test]
    fn halves_are_in_wire_order() {
        let set = Bitmap::from_halves(0x7000_0000_0000_0000, 1);
        assert_eq!(set.iter().collect::<Vec<_>>(), [2, 3, 4, 128]);
        assert_eq!(set.halves(), (0x7000_0000_0000_0000, 1));
    }
}
