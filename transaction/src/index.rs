//! From a 64-bit key to a position: open addressing with linear probing, in one array of fixed
//! size.
//!
//! Not `hashbrown`: a table that stays full while old entries make room for new ones would make it
//! rehash or double, millions of entries in one turn. Here a removal closes its gap at once, so
//! there is nothing to clean up and nothing grows.

use alloc::vec;
use alloc::vec::Vec;

use crate::random::mix;

/// Maps keys to positions below `u32::MAX`. The keys themselves stay with the caller, who compares.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    /// Zero is empty; else the hash in the upper half, position + 1 in the lower.
    cells: Vec<u64>,
    mask: u64,
    count: usize,
    seed: u64,
}

impl KeyIndex {
    /// Room for `entries_max`, at a load of at most three quarters.
    pub(crate) fn new(entries_max: usize, seed: u64) -> Self {
        let cells = entries_max
            .saturating_mul(4)
            .div_ceil(3)
            .saturating_add(1)
            .next_power_of_two();
        Self {
            cells: vec![0; cells],
            mask: (cells as u64).saturating_sub(1),
            count: 0,
            seed,
        }
    }

    /// The position of the key, if `is_it` says that one of its candidates is the one.
    pub(crate) fn find(&self, key: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = self.hash(key);
        let mut at = u64::from(hash) & self.mask;
        loop {
            let (candidate, position) = split(self.cell(at))?;
            if candidate == hash && is_it(position) {
                return Some(position);
            }
            at = at.wrapping_add(1) & self.mask;
        }
    }

    /// Adds a key that is not in it. `false` when the array is full.
    pub(crate) fn insert(&mut self, key: u64, position: u32) -> bool {
        if self.count.saturating_add(1) >= self.cells.len() {
            return false;
        }
        let hash = self.hash(key);
        let mut at = u64::from(hash) & self.mask;
        while split(self.cell(at)).is_some() {
            at = at.wrapping_add(1) & self.mask;
        }
        self.set(at, join(hash, position));
        self.count = self.count.saturating_add(1);
        true
    }

    /// Lets the key name another position.
    pub(crate) fn replace(&mut self, key: u64, old: u32, new: u32) {
        if let Some(at) = self.place(key, old) {
            let hash = self.hash(key);
            self.set(at, join(hash, new));
        }
    }

    /// Takes the key out.
    pub(crate) fn remove(&mut self, key: u64, position: u32) {
        let Some(gap) = self.place(key, position) else {
            debug_assert!(false, "only what was inserted is removed");
            return;
        };
        self.count = self.count.saturating_sub(1);
        self.close(gap);
    }

    /// Moves later cells of the same run back, so that no search stops short at the gap.
    fn close(&mut self, mut gap: u64) {
        let mut at = gap.wrapping_add(1) & self.mask;
        while let Some((hash, _)) = split(self.cell(at)) {
            let home = u64::from(hash) & self.mask;
            let distance = at.wrapping_sub(home) & self.mask;
            let hole = at.wrapping_sub(gap) & self.mask;
            if distance >= hole {
                self.set(gap, self.cell(at));
                gap = at;
            }
            at = at.wrapping_add(1) & self.mask;
        }
        self.set(gap, 0);
    }

    fn place(&self, key: u64, position: u32) -> Option<u64> {
        let wanted = join(self.hash(key), position);
        let mut at = u64::from(self.hash(key)) & self.mask;
        loop {
            let cell = self.cell(at);
            if cell == wanted {
                return Some(at);
            }
            if cell == 0 {
                return None;
            }
            at = at.wrapping_add(1) & self.mask;
        }
    }

    /// Keys that differ in nothing but their last three bits lie in one cache line: what is counted
    /// up, as ids are, is filled in without a miss for each.
    fn hash(&self, key: u64) -> u32 {
        let [a, b, c, d, ..] = mix((key >> LINE_BITS) ^ self.seed).to_be_bytes();
        let [.., low] = key.to_be_bytes();
        let line = u32::from_be_bytes([a, b, c, d]) & !LINE_MASK;
        line | (u32::from(low) & LINE_MASK)
    }

    fn cell(&self, at: u64) -> u64 {
        usize::try_from(at)
            .ok()
            .and_then(|at| self.cells.get(at))
            .copied()
            .unwrap_or(0)
    }

    fn set(&mut self, at: u64, cell: u64) {
        let place = usize::try_from(at).ok();
        if let Some(target) = place.and_then(|at| self.cells.get_mut(at)) {
            *target = cell;
        }
    }

    #[cfg(test)]
    pub(crate) const fn count(&self) -> usize {
        self.count
    }
}

/// Eight cells of eight bytes.
const LINE_BITS: u32 = 3;
const LINE_MASK: u32 = (1 << LINE_BITS) - 1;

const fn join(hash: u32, position: u32) -> u64 {
    ((hash as u64) << 32) | (position as u64).wrapping_add(1)
}

fn split(cell: u64) -> Option<(u32, u32)> {
    let [a, b, c, d, e, f, g, h] = cell.to_be_bytes();
    let position = u32::from_be_bytes([e, f, g, h]).checked_sub(1)?;
    Some((u32::from_be_bytes([a, b, c, d]), position))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn it_agrees_with_a_map(
            steps in prop::collection::vec((0_u64..48, any::<bool>()), 1..400),
        ) {
            let mut index = KeyIndex::new(32, 7);
            let mut model = HashMap::new();
            let mut keys = HashMap::new();
            for (step, (key, add)) in steps.into_iter().enumerate() {
                let position = u32::try_from(step).unwrap();
                if add && model.len() < 32 && !model.contains_key(&key) {
                    prop_assert!(index.insert(key, position));
                    model.insert(key, position);
                    keys.insert(position, key);
                } else if !add && let Some(position) = model.remove(&key) {
                    index.remove(key, position);
                }
                for key in 0..48 {
                    let found = index.find(key, |position| keys.get(&position) == Some(&key));
                    prop_assert_eq!(found, model.get(&key).copied());
                }
                prop_assert_eq!(index.count(), model.len());
            }
        }
    }

    #[test]
    fn a_key_can_name_another_position() {
        let mut index = KeyIndex::new(4, 1);
        assert!(index.insert(9, 1));
        index.replace(9, 1, 2);
        assert_eq!(index.find(9, |_| true), Some(2));
        index.remove(9, 2);
        assert_eq!(index.find(9, |_| true), None);
    }
}
