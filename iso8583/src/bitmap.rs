//! Which fields a message has: up to 192 bits in wire order.

/// A set of field numbers from 1 to 192. In each word the lowest number is the most significant
/// bit, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bitmap {
    /// 1 to 64.
    primary: u64,
    /// 65 to 128.
    secondary: u64,
    /// 129 to 192.
    tertiary: u64,
}

impl Bitmap {
    /// No field.
    pub const EMPTY: Self = Self::from_words(0, 0, 0);

    /// The largest number.
    pub const LAST: u8 = 192;

    /// From the words as they stand on the wire.
    #[must_use]
    pub(crate) const fn from_words(primary: u64, secondary: u64, tertiary: u64) -> Self {
        Self {
            primary,
            secondary,
            tertiary,
        }
    }

    /// The words as they stand on the wire.
    #[must_use]
    pub(crate) const fn words(self) -> [u64; 3] {
        [self.primary, self.secondary, self.tertiary]
    }

    /// This set and `number`; unchanged when the number is not from 1 to 192.
    #[must_use]
    #[inline]
    pub const fn with(self, number: u8) -> Self {
        self.union(Self::only(number))
    }

    /// Adds a number from 1 to 192.
    #[inline]
    pub(crate) const fn insert(&mut self, number: u8) {
        debug_assert!(matches!(number, 1..=Self::LAST));
        match number {
            ..=64 => self.primary |= TOP >> bit(number),
            65..=128 => self.secondary |= TOP >> bit(number),
            _ => self.tertiary |= TOP >> bit(number),
        }
    }

    /// This set without `number`.
    #[must_use]
    #[inline]
    pub const fn without(self, number: u8) -> Self {
        self.minus(Self::only(number))
    }

    /// This set without what is in the other.
    #[must_use]
    #[inline]
    pub const fn minus(self, other: Self) -> Self {
        Self::from_words(
            self.primary & !other.primary,
            self.secondary & !other.secondary,
            self.tertiary & !other.tertiary,
        )
    }

    /// The numbers of this set below `number`.
    #[must_use]
    pub const fn below(self, number: u8) -> Self {
        let mask = !(u64::MAX >> bit(number));
        match number {
            0 | 1 => Self::EMPTY,
            2..=64 => Self::from_words(self.primary & mask, 0, 0),
            65..=128 => Self::from_words(self.primary, self.secondary & mask, 0),
            129..=Self::LAST => {
                Self::from_words(self.primary, self.secondary, self.tertiary & mask)
            }
            _ => self,
        }
    }

    /// The numbers of this set above `number`.
    #[must_use]
    pub const fn above(self, number: u8) -> Self {
        self.minus(self.below(number).with(number))
    }

    /// The smallest number of the set.
    #[must_use]
    pub const fn first(self) -> Option<u8> {
        #[expect(clippy::cast_possible_truncation, reason = "at most 63")]
        match self.words() {
            [0, 0, 0] => None,
            [0, 0, tertiary] => Some(129_u8.wrapping_add(tertiary.leading_zeros() as u8)),
            [0, secondary, _] => Some(65_u8.wrapping_add(secondary.leading_zeros() as u8)),
            [primary, ..] => Some(1_u8.wrapping_add(primary.leading_zeros() as u8)),
        }
    }

    /// The largest number of the set.
    #[must_use]
    pub const fn last(self) -> Option<u8> {
        #[expect(clippy::cast_possible_truncation, reason = "at most 63")]
        match self.words() {
            [0, 0, 0] => None,
            [primary, 0, 0] => Some(64_u8.wrapping_sub(primary.trailing_zeros() as u8)),
            [_, secondary, 0] => Some(128_u8.wrapping_sub(secondary.trailing_zeros() as u8)),
            [_, _, tertiary] => Some(Self::LAST.wrapping_sub(tertiary.trailing_zeros() as u8)),
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
        Self::from_words(
            self.primary | other.primary,
            self.secondary | other.secondary,
            self.tertiary | other.tertiary,
        )
    }

    /// What is in both sets.
    #[must_use]
    #[inline]
    pub const fn intersection(self, other: Self) -> Self {
        Self::from_words(
            self.primary & other.primary,
            self.secondary & other.secondary,
            self.tertiary & other.tertiary,
        )
    }

    /// Whether no field is in the set.
    #[must_use]
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.primary | self.secondary | self.tertiary == 0
    }

    /// How many fields are in the set.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.primary
            .count_ones()
            .saturating_add(self.secondary.count_ones())
            .saturating_add(self.tertiary.count_ones())
    }

    /// The numbers, ascending.
    #[must_use]
    #[inline]
    pub const fn iter(self) -> Numbers {
        Numbers {
            primary: self.primary.reverse_bits(),
            secondary: self.secondary.reverse_bits(),
            tertiary: self.tertiary.reverse_bits(),
        }
    }

    #[inline]
    const fn only(number: u8) -> Self {
        let bit = TOP >> bit(number);
        match number {
            1..=64 => Self::from_words(bit, 0, 0),
            65..=128 => Self::from_words(0, bit, 0),
            129..=Self::LAST => Self::from_words(0, 0, bit),
            _ => Self::EMPTY,
        }
    }
}

/// The place of a number in its word, from the most significant bit, 0 to 63.
#[inline]
const fn bit(number: u8) -> u8 {
    number.wrapping_sub(1) & 63
}

const TOP: u64 = 1 << 63;

impl FromIterator<u8> for Bitmap {
    fn from_iter<I: IntoIterator<Item = u8>>(numbers: I) -> Self {
        numbers.into_iter().fold(Self::EMPTY, Self::with)
    }
}

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
    tertiary: u64,
}

impl Iterator for Numbers {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        if let Some(place) = take_lowest(&mut self.primary) {
            return Some(place.wrapping_add(1));
        }
        if let Some(place) = take_lowest(&mut self.secondary) {
            return Some(place.wrapping_add(65));
        }
        take_lowest(&mut self.tertiary).map(|place| place.wrapping_add(129))
    }
}

#[inline]
fn take_lowest(word: &mut u64) -> Option<u8> {
    if *word == 0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 63")]
    let place = word.trailing_zeros() as u8;
    *word &= word.wrapping_sub(1);
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const ALL: Bitmap = Bitmap::from_words(u64::MAX, u64::MAX, u64::MAX);

    #[test]
    fn numbers_come_out_ascending() {
        let set: Bitmap = [192, 128, 2, 64, 129, 65, 1, 3].into_iter().collect();
        let numbers: Vec<u8> = set.iter().collect();
        assert_eq!(numbers, [1, 2, 3, 64, 65, 128, 129, 192]);
        assert_eq!(set.count(), 8);
        assert!(set.contains(64) && !set.contains(63));
        assert_eq!(set.without(1).iter().next(), Some(2));
    }

    #[test]
    fn numbers_outside_1_to_192_are_in_no_set() {
        for number in [0, 193, 255] {
            assert!(Bitmap::EMPTY.with(number).is_empty());
            assert!(!ALL.contains(number));
        }
    }

    #[test]
    fn below_keeps_what_is_smaller() {
        for number in 0..=255_u8 {
            let expected = usize::from(number.min(193).saturating_sub(1));
            assert_eq!(ALL.below(number).iter().count(), expected, "{number}");
            let above = ALL.above(number);
            assert_eq!(
                above.iter().count(),
                usize::from(192 - number.min(192)),
                "{number}"
            );
            assert_eq!(
                ALL.above(number).first(),
                (..192).contains(&number).then(|| number + 1)
            );
            assert_eq!(
                ALL.below(number).last(),
                (2..).contains(&number).then(|| number.min(193) - 1)
            );
        }
    }

    #[test]
    fn words_are_in_wire_order() {
        let set = Bitmap::from_words(0x7000_0000_0000_0000, 1, 1 << 63);
        assert_eq!(set.iter().collect::<Vec<_>>(), [2, 3, 4, 128, 129]);
        assert_eq!(set.words(), [0x7000_0000_0000_0000, 1, 1 << 63]);
    }
}
