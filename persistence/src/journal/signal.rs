//! Wakes the tasks of one executor that wait for a condition.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A condition changed: whoever waits looks again.
#[derive(Debug, Default)]
pub(super) struct Signal {
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    /// Wakes all that wait, in the order in which they began.
    pub(super) fn notify(&self) {
        let mut waiting = self.waiting.borrow_mut();
        for waker in waiting.drain(..) {
            waker.wake();
        }
    }

    /// Waits until `ready` gives something.
    pub(super) async fn until<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        poll_fn(|context| match ready() {
            Some(value) => Poll::Ready(value),
            None => {
                let mut waiting = self.waiting.borrow_mut();
                if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    waiting.push(context.waker().clone());
                }
                Poll::Pending
            }
        })
        .await
    }
}
