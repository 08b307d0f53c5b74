//! What a message of a type must have: mandatory and conditional fields, as rows of a dialect.

use crate::bitmap::Bitmap;
use crate::mti::Mti;

/// What messages of some types must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Which types.
    pub mti: MtiPattern,
    /// Fields that must all be there.
    pub mandatory: Bitmap,
    /// Of each of these sets, at least one.
    pub one_of: &'static [Bitmap],
    /// What must be there when something else is.
    pub conditions: &'static [Condition],
}

/// Fields that must be there when another one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// When this field is there,
    pub when: u8,
    /// all of these must be.
    pub then: Bitmap,
}

impl Requirement {
    /// The first field that a message of the type lacks; of a set of which one is enough, the
    /// lowest. `None` when the message has what it must have, or is of another type.
    #[must_use]
    pub fn missing(&self, mti: Mti, present: Bitmap) -> Option<u8> {
        if !self.mti.matches(mti) {
            return None;
        }
        let met = |condition: &&Condition| present.contains(condition.when);
        let conditional = self.conditions.iter().filter(met);
        let needed = conditional.fold(self.mandatory, |all, condition| all.union(condition.then));
        let lacking = |set: &&Bitmap| set.intersection(present).is_empty();
        let one_of = self.one_of.iter().filter(lacking);
        let lowest = |set: Bitmap| set.iter().next();
        one_of
            .filter_map(|set| lowest(*set))
            .chain(lowest(needed.minus(present)))
            .min()
    }
}

/// Four places, each a digit or any digit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MtiPattern([u8; 4]);

impl MtiPattern {
    /// Takes four characters, each a digit or `x` for any; `None` for anything else.
    #[must_use]
    pub const fn new(places: [u8; 4]) -> Option<Self> {
        let mut rest: &[u8] = &places;
        while let [place, tail @ ..] = rest {
            if !matches!(place, b'0'..=b'9' | b'x') {
                return None;
            }
            rest = tail;
        }
        Some(Self(places))
    }

    /// Whether a type is meant.
    #[must_use]
    pub fn matches(self, mti: Mti) -> bool {
        let digits = mti.as_bytes();
        let mut places = self.0.iter().zip(digits);
        places.all(|(place, digit)| *place == b'x' || place == digit)
    }
}

impl core::fmt::Display for MtiPattern {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).unwrap_or("????"))
    }
}

impl core::fmt::Debug for MtiPattern {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mti: &[u8; 4], present: &[u8], missing: Option<u8>) {
        const ACCOUNT: Bitmap = Bitmap::EMPTY.with(2).with(35);
        const PIN: Condition = Condition {
            when: 52,
            then: Bitmap::EMPTY.with(53),
        };
        let requirement = Requirement {
            mti: MtiPattern::new(*b"02x0").unwrap(),
            mandatory: [3, 4].into_iter().collect(),
            one_of: &[ACCOUNT],
            conditions: &[PIN],
        };
        let present = present.iter().copied().collect();
        let mti = Mti::new(*mti).unwrap();
        assert_eq!(requirement.missing(mti, present), missing);
    }

    #[test]
    fn the_first_field_that_is_not_there() {
        check(b"0200", &[2, 3, 4], None);
        check(b"0200", &[3, 4, 35], None);
        check(b"0200", &[3, 4], Some(2));
        check(b"0200", &[2, 4], Some(3));
        check(b"0200", &[2, 3], Some(4));
        check(b"0220", &[2, 3, 4, 52], Some(53));
        check(b"0220", &[2, 3, 4, 52, 53], None);
        check(b"0201", &[], None);
        check(b"0100", &[], None);
    }

    #[test]
    fn a_pattern_is_digits_and_x() {
        assert!(MtiPattern::new(*b"0x00").is_some());
        assert!(MtiPattern::new(*b"0*00").is_none());
        assert!(MtiPattern::new(*b"02 0").is_none());
    }
}
