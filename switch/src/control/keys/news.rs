//! Keys on their way to a shard, and how far it is with them. Neither side waits here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;

use crate::config::Keys;

/// The control plane offers, the shard takes and tells.
#[derive(Debug)]
pub(crate) struct KeysNews {
    newest: ArrayQueue<Offer>,
    /// Offers so far, and the key that the last one puts in force; written by the control plane
    /// alone. Zero: none yet.
    offered: AtomicU64,
    offered_id: AtomicU32,
    /// The last offer that the shard has taken.
    taken: AtomicU64,
    /// The last one behind which nothing of a key is under way.
    settled: AtomicU64,
    /// The key that the shard writes under, or has begun to take up. Zero before it has said so.
    aims_at: AtomicU32,
    /// How many keys it may still take up.
    left: AtomicU32,
    /// The key that its segment names. Zero: that of the start.
    written: AtomicU32,
}

#[derive(Debug)]
struct Offer {
    number: u64,
    keys: Arc<Keys>,
}

impl KeysNews {
    pub(crate) fn new() -> Self {
        Self {
            newest: ArrayQueue::new(1),
            offered: AtomicU64::new(0),
            offered_id: AtomicU32::new(0),
            taken: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            aims_at: AtomicU32::new(0),
            left: AtomicU32::new(0),
            written: AtomicU32::new(0),
        }
    }

    /// Offers `keys` in place of what the shard has not taken yet, unless it has their key in force
    /// already, or on its way. A shard that could not take a key up is offered it again so.
    pub(crate) fn offer(&self, keys: &Arc<Keys>) {
        if self.last_id() == keys.pan_key_id {
            return;
        }
        let number = self.offered.load(Ordering::Relaxed) + 1;
        self.offered_id.store(keys.pan_key_id, Ordering::Relaxed);
        self.offered.store(number, Ordering::Relaxed);
        let keys = Arc::clone(keys);
        drop(self.newest.force_push(Offer { number, keys }));
    }

    /// Whether the segment that is written names what the shard aims at: nothing that was offered
    /// can be named by another one any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire) == self.offered.load(Ordering::Relaxed)
    }

    /// Whether it has room for the key with this id. What is on its way counts.
    pub(crate) fn has_room(&self, id: u32) -> bool {
        let coming = self.coming();
        let left = self.left.load(Ordering::Relaxed);
        let rest = left.saturating_sub(u32::from(coming.is_some()));
        rest > 0 || self.last_id() == id
    }

    /// The key that new segments name.
    pub(crate) fn written(&self, at_start: u32) -> u32 {
        match self.written.load(Ordering::Relaxed) {
            0 => at_start,
            id => id,
        }
    }

    /// The key of an offer that the shard has not taken.
    fn coming(&self) -> Option<u32> {
        let is_taken = self.taken.load(Ordering::Acquire) == self.offered.load(Ordering::Relaxed);
        (!is_taken).then(|| self.offered_id.load(Ordering::Relaxed))
    }

    /// The key that the shard will end with.
    fn last_id(&self) -> u32 {
        let coming = self.coming();
        coming.unwrap_or_else(|| self.aims_at.load(Ordering::Relaxed))
    }

    /// For the shard: takes what was offered last up by `take_up`, once, and tells how it stands
    /// behind that.
    pub(crate) fn take(&self, take_up: impl FnOnce(&Keys) -> Aim) {
        if let Some(Offer { number, keys }) = self.newest.pop() {
            self.tell(take_up(&keys));
            self.taken.store(number, Ordering::Release);
        }
    }

    /// For the shard: tells how it stands.
    pub(crate) fn tell(&self, aim: Aim) {
        self.aims_at.store(aim.id, Ordering::Relaxed);
        self.left.store(aim.left, Ordering::Relaxed);
    }

    /// For the shard: nothing of a key is under way behind what it has taken.
    pub(crate) fn settle(&self) {
        let taken = self.taken.load(Ordering::Relaxed);
        self.settled.store(taken, Ordering::Release);
    }

    /// For the shard: segments name this key from here on.
    pub(crate) fn set_written(&self, id: u32) {
        self.written.store(id, Ordering::Relaxed);
    }
}

/// How a shard stands with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aim {
    /// The key that it writes under, or has begun to take up.
    pub(crate) id: u32,
    /// How many it may still take up.
    pub(crate) left: u32,
}
