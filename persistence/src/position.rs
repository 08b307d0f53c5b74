//! How far a shard's journal is durable, for readers on other threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::ids::Lsn;

/// Published by a shard's writer after each completed flush, read by the applier. Lock-free: one
/// writer, any number of readers.
#[derive(Debug)]
pub struct DurablePosition {
    lsn: AtomicU64,
    segment: AtomicU64,
    first: AtomicU64,
    dead: AtomicBool,
}

impl DurablePosition {
    /// Nothing is durable yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lsn: AtomicU64::new(0),
            segment: AtomicU64::new(0),
            first: AtomicU64::new(1),
            dead: AtomicBool::new(false),
        }
    }

    /// The highest durable record; [`Lsn::ZERO`] for none. Everything up to it can be read from the
    /// files.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        Lsn(self.lsn.load(Ordering::Acquire))
    }

    /// The number of the segment that is being written.
    #[must_use]
    pub fn segment(&self) -> u64 {
        self.segment.load(Ordering::Acquire)
    }

    /// The first record that the segments still hold, or would hold.
    #[must_use]
    pub fn first(&self) -> Lsn {
        Lsn(self.first.load(Ordering::Acquire))
    }

    /// Whether the writer has met an error: the position will not move again.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Moves forward; never back.
    #[cfg_attr(
        not(any(test, feature = "journal", feature = "applier")),
        expect(dead_code, reason = "the writer")
    )]
    pub(crate) fn publish(&self, lsn: Lsn, segment: u64) {
        debug_assert!(lsn >= self.lsn(), "a durable position never goes back");
        self.segment.store(segment, Ordering::Release);
        self.lsn.store(lsn.0, Ordering::Release);
    }

    /// Segments were retired; never back.
    #[cfg_attr(
        not(any(test, feature = "journal", feature = "applier")),
        expect(dead_code, reason = "the writer")
    )]
    pub(crate) fn begin_at(&self, first: Lsn) {
        self.first.store(first.0, Ordering::Release);
    }

    #[cfg_attr(
        not(any(test, feature = "journal")),
        expect(dead_code, reason = "the writer")
    )]
    pub(crate) fn mark_dead(&self) {
        self.dead.store(true, Ordering::Release);
    }
}

impl Default for DurablePosition {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_starts_at_nothing_and_shows_what_was_published() {
        let position = DurablePosition::new();
        assert_eq!((position.lsn(), position.segment()), (Lsn::ZERO, 0));
        position.publish(Lsn(7), 2);
        assert_eq!((position.lsn(), position.segment()), (Lsn(7), 2));
        assert!(!position.is_dead());
        position.mark_dead();
        assert!(position.is_dead());
    }
}
