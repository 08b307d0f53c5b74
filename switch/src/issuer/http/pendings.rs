//! How many payments of one issuer are asked for until they are decided, on one shard. Pure.

use std::cell::Cell;
use std::rc::Rc;

/// All of one issuer's.
#[derive(Debug, Default)]
pub(super) struct Pendings {
    count: Cell<usize>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Pending(Rc<Pendings>);

impl Pendings {
    /// One more, where there are fewer than that.
    pub(super) fn begin(self: &Rc<Self>, max: usize) -> Option<Pending> {
        let count = self.count.get();
        if count >= max {
            return None;
        }
        self.count.set(count.saturating_add(1));
        Some(Pending(Rc::clone(self)))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let count = self.0.count.get();
        debug_assert!(count > 0, "each was counted once");
        self.0.count.set(count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_bounded() {
        let pendings = Rc::new(Pendings::default());
        let first = pendings.begin(2).unwrap();
        let _second = pendings.begin(2).unwrap();
        assert!(pendings.begin(2).is_none());
        drop(first);
        assert!(pendings.begin(2).is_some());
    }
}
