//! Between the loop of a shard, which writes messages on a link, and the task that asks an issuer
//! over HTTP for them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use domain::time::Instant;
use zeroize::Zeroize as _;

/// What the loop has written and the task has not taken: bounded by [`QUEUED_LEN_MAX`].
#[derive(Default)]
pub(crate) struct Bridge {
    queued: RefCell<Vec<u8>>,
    /// By when each message is to have left, those of the loop's queue included, in their order.
    by: RefCell<VecDeque<Instant>>,
    ended: Cell<Option<&'static str>>,
    waker: Cell<Option<Waker>>,
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued_len = self.queued.borrow().len();
        f.debug_struct("Bridge")
            .field("queued_len", &queued_len)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Bridge {
    /// Takes bytes; 0 while too many wait.
    pub(crate) fn take(&self, bytes: &[u8]) -> usize {
        let mut queued = self.queued.borrow_mut();
        if queued.len() >= QUEUED_LEN_MAX {
            return 0;
        }
        queued.extend_from_slice(bytes);
        drop(queued);
        self.wake();
        bytes.len()
    }

    /// A whole message is on its way here, behind those before it: by when it is to leave.
    pub(crate) fn announce(&self, by: Instant) {
        self.by.borrow_mut().push_back(by);
    }

    /// The same of the next message that was taken. Of one that was not announced it is over.
    pub(super) fn next_by(&self) -> Instant {
        let by = self.by.borrow_mut().pop_front();
        debug_assert!(by.is_some(), "each message is announced");
        by.unwrap_or(Instant::ZERO)
    }

    /// The link takes nothing more.
    pub(crate) fn end(&self) {
        self.end_for("peer");
    }

    /// The same, and why, out of a closed set.
    pub(super) fn end_for(&self, reason: &'static str) {
        self.ended.set(self.ended.get().or(Some(reason)));
        self.wake();
    }

    /// Why it has ended.
    pub(super) fn ended(&self) -> Option<&'static str> {
        self.ended.get()
    }

    /// Waits for bytes and moves them behind those in `into`; `false` at the end, when all that was
    /// written has been taken.
    pub(super) async fn fill(&self, into: &mut Vec<u8>) -> bool {
        poll_fn(|cx| {
            let mut queued = self.queued.borrow_mut();
            if !queued.is_empty() {
                into.extend_from_slice(&queued);
                // They hold accounts.
                queued.as_mut_slice().zeroize();
                queued.clear();
                return Poll::Ready(true);
            }
            if self.ended.get().is_some() {
                return Poll::Ready(false);
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

const QUEUED_LEN_MAX: usize = 1024 * 1024;
