//! What is owed about one original: its own advice and reversals, its completions, and what
//! reverses those, each of which may be owed by another transaction and lie on another shard.

use domain::ids::TransactionId;

use crate::index::KeyIndex;
use crate::replay::id_key;
use crate::saf::Saf;

/// Finds entries by what they are about.
#[derive(Debug)]
pub(crate) struct Order {
    /// By the transaction that owes them.
    own: KeyIndex,
    /// Completions, and what reverses one, by what is completed.
    of_original: KeyIndex,
}

/// Under which keys an entry is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct OrderKeys {
    own: Option<u64>,
    of_original: Option<u64>,
}

impl OrderKeys {
    pub(super) const NONE: Self = Self {
        own: None,
        of_original: None,
    };
}

impl Order {
    pub(super) fn new(entries_max: usize, seed: u64) -> Self {
        Self {
            own: KeyIndex::new(entries_max, seed),
            of_original: KeyIndex::new(entries_max, seed),
        }
    }
}

impl Saf {
    /// Lets an entry be found for as long as it is owed: by its transaction, and by what it
    /// completes as soon as that is known.
    pub(crate) fn index(
        &mut self,
        position: u32,
        owner: TransactionId,
        original: Option<TransactionId>,
    ) {
        let Some(entry) = self.get(position) else {
            return;
        };
        let mut keys = entry.keys;
        let original = original.map(id_key);
        if keys.own.is_none() {
            keys.own = Some(id_key(owner)).filter(|key| self.order.own.insert(*key, position));
            debug_assert!(keys.own.is_some(), "it holds as many as can be owed");
        }
        if keys.of_original.is_none() {
            let of_original = &mut self.order.of_original;
            keys.of_original = original.filter(|key| of_original.insert(*key, position));
        }
        if let Some(entry) = self.get_mut(position) {
            entry.keys = keys;
        }
    }

    /// It is owed no longer.
    pub(super) fn unindex(&mut self, position: u32) {
        let Some(entry) = self.get_mut(position) else {
            return;
        };
        let keys = core::mem::replace(&mut entry.keys, OrderKeys::NONE);
        if let Some(key) = keys.own {
            self.order.own.remove(key, position);
        }
        if let Some(key) = keys.of_original {
            self.order.of_original.remove(key, position);
        }
    }

    /// Whether `is_it` says yes to something that a transaction owes.
    pub(crate) fn owes(&self, transaction: TransactionId, is_it: impl FnMut(u32) -> bool) -> bool {
        self.order.own.find(id_key(transaction), is_it).is_some()
    }

    /// Whether `is_it` says yes to something that others owe about a transaction.
    pub(crate) fn is_owed_about(
        &self,
        original: TransactionId,
        is_it: impl FnMut(u32) -> bool,
    ) -> bool {
        let found = self.order.of_original.find(id_key(original), is_it);
        found.is_some()
    }

    /// It was asked in vain whether an entry may leave; returns how often, up to a bound, so that
    /// it follows what goes first by some seconds at most.
    pub(crate) fn note_asked(&mut self, position: u32) -> u32 {
        let Some(entry) = self.get_mut(position) else {
            return 0;
        };
        entry.asked = entry.asked.saturating_add(1).min(ASKED_MAX);
        u32::from(entry.asked)
    }
}

/// Pauses double so often while an entry waits for an older one of its original.
const ASKED_MAX: u8 = 4;
