//! A binary heap of due times in which an entry can be moved or taken out.

use alloc::vec;
use alloc::vec::Vec;

use domain::time::Instant;

use crate::table::NONE;

/// The earliest due time of positions below a fixed bound.
#[derive(Debug)]
pub(crate) struct DueHeap {
    items: Vec<(Instant, u32)>,
    /// Where each position stands in `items`; [`NONE`] when it does not.
    places: Vec<u32>,
}

impl DueHeap {
    pub(crate) fn new(positions_max: usize) -> Self {
        Self {
            items: Vec::with_capacity(positions_max),
            places: vec![NONE; positions_max],
        }
    }

    /// Makes `position` due at `at`.
    pub(crate) fn set(&mut self, position: u32, at: Instant) {
        self.clear(position);
        let place = self.items.len();
        self.items.push((at, position));
        self.note(place);
        self.rise(place);
    }

    /// Makes `position` due never.
    pub(crate) fn clear(&mut self, position: u32) {
        let Some(place) = self.place_of(position) else {
            return;
        };
        let last = self.items.len().saturating_sub(1);
        self.items.swap(place, last);
        self.items.pop();
        if let Some(noted) = self.places.get_mut(position as usize) {
            *noted = NONE;
        }
        if place < last {
            self.note(place);
            self.sink(place);
            self.rise(place);
        }
    }

    /// When `position` is due.
    pub(crate) fn due_at(&self, position: u32) -> Option<Instant> {
        let (at, _) = self.items.get(self.place_of(position)?)?;
        Some(*at)
    }

    /// The earliest, with its position.
    pub(crate) fn earliest(&self) -> Option<(Instant, u32)> {
        self.items.first().copied()
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = place.saturating_sub(1) / 2;
            if self.at(parent) <= self.at(place) {
                return;
            }
            self.swap(parent, place);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = place.saturating_mul(2).saturating_add(1);
            let right = left.saturating_add(1);
            let child = if self.at(right) < self.at(left) {
                right
            } else {
                left
            };
            if self.at(child) >= self.at(place) {
                return;
            }
            self.swap(child, place);
            place = child;
        }
    }

    /// The due time at a place; beyond the end, later than every other.
    fn at(&self, place: usize) -> (Instant, u32) {
        let end = (Instant::FAR_FUTURE, NONE);
        self.items.get(place).copied().unwrap_or(end)
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.items.swap(one, other);
        self.note(one);
        self.note(other);
    }

    fn note(&mut self, place: usize) {
        let position = self.items.get(place).map(|(_, position)| *position);
        let noted = position.and_then(|position| self.places.get_mut(position as usize));
        if let (Some(noted), Ok(place)) = (noted, u32::try_from(place)) {
            *noted = place;
        }
    }

    fn place_of(&self, position: u32) -> Option<usize> {
        let place = *self.places.get(position as usize)?;
        (place != NONE).then_some(place as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_agrees_with_a_map(
            steps in prop::collection::vec((0_u32..16, 0_u64..50, any::<bool>()), 1..200),
        ) {
            let mut heap = DueHeap::new(16);
            let mut model = BTreeMap::new();
            for (position, at, set) in steps {
                if set {
                    heap.set(position, Instant::from_nanos(at));
                    model.insert(position, Instant::from_nanos(at));
                } else {
                    heap.clear(position);
                    model.remove(&position);
                }
                let earliest = model.iter().map(|(position, at)| (*at, *position)).min();
                prop_assert_eq!(heap.earliest(), earliest);
            }
        }
    }
}
