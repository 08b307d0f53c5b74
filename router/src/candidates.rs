//! Whom a route asks, and in which order for one request: group after group, within a group by
//! weight.

use alloc::vec::Vec;

use domain::ids::{IssuerId, RouteId};

use crate::error::TableError;

/// One of those that a route asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who it is.
    pub issuer: IssuerId,
    /// Its share within its group: of a group's requests it is asked first for as many as its
    /// weight is of all their weights. 1 to 1,000.
    pub weight: u16,
}

impl Candidate {
    /// The largest weight.
    pub const WEIGHT_MAX: u16 = 1_000;

    /// One group for each issuer: they are asked in this order.
    #[must_use]
    pub fn in_order(issuers: &[IssuerId]) -> Vec<Vec<Self>> {
        let alone = |issuer: &IssuerId| alloc::vec![Self::of(*issuer)];
        issuers.iter().map(alone).collect()
    }

    /// One whose weight says nothing.
    #[must_use]
    pub const fn of(issuer: IssuerId) -> Self {
        Self { issuer, weight: 1 }
    }
}

/// All of a route, by position. Positions are those of the configuration, whatever the order of
/// asking is: they are what a leg and the mask of those already tried name a candidate by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates {
    issuers: [IssuerId; Self::MAX],
    weights: [u16; Self::MAX],
    /// Bit *n*: candidate *n* is the last of its group.
    ends: u8,
    count: u8,
}

impl Candidates {
    /// As many as a mask has bits.
    pub(crate) const MAX: usize = 8;

    /// Notes what is wrong and keeps what fits.
    pub(crate) fn new(
        route: RouteId,
        groups: &[Vec<Candidate>],
        errors: &mut Vec<TableError>,
    ) -> Self {
        let all = || groups.iter().flatten();
        let count = all().count();
        if count == 0 || groups.iter().any(Vec::is_empty) {
            errors.push(TableError::NoCandidate { route });
        }
        if count > Self::MAX {
            errors.push(TableError::Candidates { route, count });
        }
        if all().any(|one| one.weight == 0 || one.weight > Candidate::WEIGHT_MAX) {
            errors.push(TableError::Weight { route });
        }
        let twice = all().enumerate().find(|(place, one)| {
            let mut earlier = all().take(*place);
            earlier.any(|other| other.issuer == one.issuer)
        });
        if let Some((_, Candidate { issuer, .. })) = twice {
            let issuer = *issuer;
            errors.push(TableError::CandidateTwice { route, issuer });
        }
        Self::laid_out(groups)
    }

    fn laid_out(groups: &[Vec<Candidate>]) -> Self {
        let mut laid_out = Self {
            issuers: [IssuerId(0); Self::MAX],
            weights: [0; Self::MAX],
            ends: 0,
            count: 0,
        };
        let mut places = laid_out.issuers.iter_mut().zip(&mut laid_out.weights);
        for group in groups {
            for (candidate, (issuer, weight)) in group.iter().zip(places.by_ref()) {
                (*issuer, *weight) = (candidate.issuer, candidate.weight);
                laid_out.count = laid_out.count.saturating_add(1);
            }
            laid_out.ends |= bit(laid_out.count.saturating_sub(1));
        }
        laid_out
    }

    /// Everyone, by position.
    pub(crate) fn issuers(&self) -> &[IssuerId] {
        let count = usize::from(self.count);
        self.issuers.get(..count).unwrap_or_default()
    }

    /// The order for one request. The same `draw` gives the same order.
    //= docs/rules.md#R-10
    pub(crate) const fn drawn(&self, draw: u64) -> Drawn<'_> {
        Drawn {
            of: self,
            waiting: 0,
            next: 0,
            state: draw,
        }
    }

    fn issuer(&self, position: u8) -> IssuerId {
        let issuer = self.issuers.get(usize::from(position));
        issuer.copied().unwrap_or(IssuerId(0))
    }

    fn weight(&self, position: u8) -> u64 {
        let weight = self.weights.get(usize::from(position));
        weight.map_or(0, |weight| u64::from(*weight))
    }
}

/// Gives each candidate once, with its position.
#[derive(Debug)]
pub(crate) struct Drawn<'a> {
    of: &'a Candidates,
    /// Those of the present group that were not given yet, by bit.
    waiting: u8,
    /// Where the next group begins.
    next: u8,
    state: u64,
}

impl Drawn<'_> {
    fn open_group(&mut self) {
        let later = self.of.ends & u8::MAX.checked_shl(u32::from(self.next)).unwrap_or(0);
        let end = later.trailing_zeros();
        debug_assert!(end < 8, "the last candidate ends its group");
        let up_to_end = u8::MAX.checked_shr(7_u32.saturating_sub(end)).unwrap_or(0);
        let before = bit(self.next).wrapping_sub(1);
        self.waiting = up_to_end & !before;
        self.next = u8::try_from(end.saturating_add(1)).unwrap_or(u8::MAX);
    }

    /// One of those that wait, by weight.
    fn pick(&mut self) -> u8 {
        let first = u8::try_from(self.waiting.trailing_zeros()).unwrap_or(0);
        if self.waiting.is_power_of_two() {
            return first;
        }
        let waiting = |position: &u8| self.waiting & bit(*position) != 0;
        let places = || (0..self.of.count).filter(waiting);
        let total = places().fold(0_u64, |sum, place| {
            sum.saturating_add(self.of.weight(place))
        });
        let mut left = scaled(mixed(&mut self.state), total);
        for place in places() {
            let weight = self.of.weight(place);
            if left < weight {
                return place;
            }
            left = left.saturating_sub(weight);
        }
        debug_assert!(false, "what is drawn is below the sum of the weights");
        first
    }
}

impl Iterator for Drawn<'_> {
    type Item = (u8, IssuerId);

    fn next(&mut self) -> Option<Self::Item> {
        if self.waiting == 0 {
            if self.next >= self.of.count {
                return None;
            }
            self.open_group();
        }
        let position = self.pick();
        self.waiting &= !bit(position);
        Some((position, self.of.issuer(position)))
    }
}

pub(crate) fn bit(candidate: u8) -> u8 {
    1_u8.checked_shl(u32::from(candidate)).unwrap_or(0)
}

/// The next number of a SplitMix64 sequence: neighbouring draws have nothing in common.
const fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let once = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    twice ^ (twice >> 31)
}

/// A number below `bound`, in proportion to where `random` lies among all numbers.
fn scaled(random: u64, bound: u64) -> u64 {
    let product = u128::from(random).saturating_mul(u128::from(bound));
    u64::try_from(product.wrapping_shr(64)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
