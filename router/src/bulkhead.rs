//! The cap on calls in flight to one issuer.

/// Counts calls in flight. Never above its maximum, never below zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bulkhead {
    inflight: u32,
    inflight_max: u32,
}

impl Bulkhead {
    pub(crate) const fn new(inflight_max: u32) -> Self {
        Self {
            inflight: 0,
            inflight_max,
        }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.inflight >= self.inflight_max
    }

    pub(crate) fn acquire(&mut self) {
        debug_assert!(!self.is_full(), "asked before it is entered");
        self.inflight = self.inflight.saturating_add(1);
    }

    pub(crate) fn release(&mut self) {
        // Each permit was counted once and comes back once: a count that fails here is wrong for
        // good, and the cap with it.
        assert!(self.inflight > 0, "a permit came back twice");
        self.inflight = self.inflight.saturating_sub(1);
        debug_assert!(!self.is_full(), "a place is free");
    }

    pub(crate) const fn inflight(&self) -> u32 {
        self.inflight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_and_empties() {
        let mut bulkhead = Bulkhead::new(2);
        assert!(!bulkhead.is_full());
        bulkhead.acquire();
        bulkhead.acquire();
        assert!(bulkhead.is_full());
        bulkhead.release();
        assert!(!bulkhead.is_full());
        bulkhead.release();
        assert_eq!(bulkhead.inflight(), 0);
    }
}
