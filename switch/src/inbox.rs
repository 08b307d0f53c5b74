//! The shard's one queue of events: every task of the shard puts in, the loop alone takes out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::shard::Event;

/// A bounded queue with one reader. New requests are admitted up to a bound; what continues work
/// that is already admitted always finds room, because the work itself is bounded.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    inner: Rc<Inner>,
}

struct Inner {
    queue: RefCell<VecDeque<Event>>,
    requests: Cell<usize>,
    requests_max: usize,
    waker: Cell<Option<Waker>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

impl Inbox {
    /// Holds at most `requests_max` requests that the loop has not taken.
    pub(crate) fn new(requests_max: usize) -> Self {
        Self {
            inner: Rc::new(Inner {
                queue: RefCell::new(VecDeque::with_capacity(requests_max * 2)),
                requests: Cell::new(0),
                requests_max,
                waker: Cell::new(None),
            }),
        }
    }

    /// Whether one more request may wait. Repeats, few as they are, have as much room again, and
    /// wait also while new requests are refused.
    pub(crate) fn takes(&self, is_repeat: bool, is_shedding: bool) -> bool {
        let waiting = self.inner.requests.get();
        if is_repeat {
            waiting < self.inner.requests_max.saturating_mul(2)
        } else {
            !is_shedding && waiting < self.inner.requests_max
        }
    }

    /// Puts an event in and wakes the loop.
    pub(crate) fn push(&self, event: Event) {
        if event.is_request() {
            self.inner.requests.set(self.inner.requests.get() + 1);
        }
        self.inner.queue.borrow_mut().push_back(event);
        if let Some(waker) = self.inner.waker.take() {
            waker.wake();
        }
    }

    /// Takes the oldest event.
    pub(crate) fn pop(&self) -> Option<Event> {
        let event = self.inner.queue.borrow_mut().pop_front()?;
        if event.is_request() {
            self.inner.requests.set(self.inner.requests.get() - 1);
        }
        Some(event)
    }

    /// Waits until there is an event.
    pub(crate) async fn ready(&self) {
        poll_fn(|cx| {
            if self.inner.queue.borrow().is_empty() {
                self.inner.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }
}
