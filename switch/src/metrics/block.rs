//! Where one shard counts: a flat array of numbers with one writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use super::names::{FAMILIES, Kind};

/// The numbers of one writer. Readers take what they see: each number by itself is whole.
#[derive(Debug)]
pub(crate) struct Block {
    slots: CachePadded<[AtomicU64; SLOTS]>,
}

impl Block {
    pub(crate) fn new() -> Arc<Self> {
        let slots = std::array::from_fn(|_| AtomicU64::new(0));
        Arc::new(Self {
            slots: CachePadded::new(slots),
        })
    }

    /// Adds without a read-modify-write instruction: there is one writer.
    pub(crate) fn add(&self, slot: usize, count: u64) {
        debug_assert!(
            slot < SLOTS,
            "invariant: positions come from the families' shapes"
        );
        if let Some(number) = self.slots.get(slot) {
            let sum = number.load(Ordering::Relaxed).wrapping_add(count);
            number.store(sum, Ordering::Relaxed);
        }
    }

    /// Takes one off a gauge, which never goes below zero.
    pub(crate) fn subtract_one(&self, slot: usize) {
        if let Some(number) = self.slots.get(slot) {
            let value = number.load(Ordering::Relaxed);
            debug_assert!(value > 0, "invariant: a gauge never goes below zero");
            number.store(value.saturating_sub(1), Ordering::Relaxed);
        }
    }

    pub(crate) fn set(&self, slot: usize, value: u64) {
        debug_assert!(
            slot < SLOTS,
            "invariant: positions come from the families' shapes"
        );
        if let Some(number) = self.slots.get(slot) {
            number.store(value, Ordering::Relaxed);
        }
    }

    /// Counts `value` in its bucket and adds it to the sum of the histogram that begins at `slot`.
    pub(crate) fn observe(&self, slot: usize, bounds: &[u64], value: u64) {
        let bucket = bounds.partition_point(|bound| *bound < value);
        self.add(slot + bucket, 1);
        self.add(slot + bounds.len() + 1, value);
    }

    pub(crate) fn value(&self, slot: usize) -> u64 {
        self.slots
            .get(slot)
            .map_or(0, |number| number.load(Ordering::Relaxed))
    }
}

/// Where each family's numbers begin, by its id.
pub(crate) const OFFSETS: [usize; FAMILIES.len()] = {
    let mut offsets = [0; FAMILIES.len()];
    let mut position = 0;
    let mut offset = 0;
    while position < FAMILIES.len() {
        offsets[position] = offset;
        offset += FAMILIES[position].slots();
        position += 1;
    }
    offsets
};

/// The bounds of each histogram's buckets, by its id.
pub(crate) const BOUNDS: [&[u64]; FAMILIES.len()] = {
    let mut bounds: [&[u64]; FAMILIES.len()] = [&[]; FAMILIES.len()];
    let mut position = 0;
    while position < FAMILIES.len() {
        if let Kind::Histogram(buckets) = FAMILIES[position].kind {
            bounds[position] = buckets.bounds();
        }
        position += 1;
    }
    bounds
};

/// Numbers of all families.
pub(crate) const SLOTS: usize = OFFSETS[FAMILIES.len() - 1] + FAMILIES[FAMILIES.len() - 1].slots();
