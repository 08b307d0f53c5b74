//! The shard's one queue of events: every task of the shard puts in, the loop alone takes out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::frame::Claim;
use crate::shard::Event;

/// A queue with one reader and two lanes. What continues work that is already admitted goes first,
/// and always finds room, because the work itself is bounded, and links read no further while it is
/// crowded. Requests wait behind it, up to a bound: so all that waits under overload is what may
/// still be refused.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    inner: Rc<Inner>,
}

struct Inner {
    admitted: RefCell<VecDeque<Event>>,
    requests: RefCell<VecDeque<Event>>,
    requests_max: usize,
    waker: Cell<Option<Waker>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("admitted", &self.admitted.borrow().len())
            .field("requests", &self.requests.borrow().len())
            .finish_non_exhaustive()
    }
}

impl Inbox {
    /// Holds at most `requests_max` new requests that the loop has not taken.
    pub(crate) fn new(requests_max: usize) -> Self {
        Self {
            inner: Rc::new(Inner {
                admitted: RefCell::new(VecDeque::with_capacity(requests_max)),
                requests: RefCell::new(VecDeque::with_capacity(requests_max.saturating_mul(2))),
                requests_max,
                waker: Cell::new(None),
            }),
        }
    }

    /// Whether one more request may wait. Repeats, few as they are, have as much room again;
    /// reversals and advices are held to the bound of their session alone.
    pub(crate) fn takes(&self, claim: Claim) -> bool {
        let waiting = self.inner.requests.borrow().len();
        match claim {
            Claim::New | Claim::Administrative => waiting < self.inner.requests_max,
            Claim::Repeat => waiting < self.inner.requests_max.saturating_mul(2),
            Claim::Reversal | Claim::Advice | Claim::Reconciliation => true,
        }
    }

    /// More waits ahead of the requests than a few turns take: links read no further. The loop
    /// takes from it whatever else happens, so waiting for this to end is waiting for turns only.
    pub(crate) fn is_crowded(&self) -> bool {
        self.inner.admitted.borrow().len() >= CROWD
    }

    /// Puts an event in and wakes the loop.
    pub(crate) fn push(&self, event: Event) {
        let lane = if event.is_request() {
            &self.inner.requests
        } else {
            &self.inner.admitted
        };
        lane.borrow_mut().push_back(event);
        if let Some(waker) = self.inner.waker.take() {
            waker.wake();
        }
    }

    /// Takes the oldest event that continues something, else the oldest request.
    pub(crate) fn pop(&self) -> Option<Event> {
        let admitted = self.inner.admitted.borrow_mut().pop_front();
        admitted.or_else(|| self.inner.requests.borrow_mut().pop_front())
    }

    /// Waits until there is an event.
    pub(crate) async fn ready(&self) {
        poll_fn(|cx| {
            if self.is_empty() {
                self.inner.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// Requests that wait.
    pub(crate) fn requests(&self) -> usize {
        self.inner.requests.borrow().len()
    }

    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner.admitted.borrow().is_empty() && self.inner.requests.borrow().is_empty()
    }
}

/// Some turns' worth of events.
const CROWD: usize = 4_096;

#[cfg(test)]
mod tests {
    use domain::ids::{Lsn, ShardId};
    use iso8583::Framing;
    use iso8583::header::HeaderBytes;

    use super::*;
    use crate::acquirer::SessionRef;
    use crate::frame::{Casing, FramePool};

    #[test]
    fn what_is_admitted_goes_first() {
        let inbox = Inbox::new(4);
        inbox.push(request());
        inbox.push(Event::Durable(Lsn(1)));
        inbox.push(request());
        inbox.push(Event::Durable(Lsn(2)));
        let order: Vec<bool> = std::iter::from_fn(|| inbox.pop())
            .map(|event| event.is_request())
            .collect();
        assert_eq!(order, [false, false, true, true]);
    }

    #[test]
    fn new_requests_wait_up_to_the_bound_and_repeats_up_to_twice_as_many() {
        let inbox = Inbox::new(2);
        let room = |inbox: &Inbox| {
            [Claim::New, Claim::Repeat, Claim::Reversal].map(|claim| inbox.takes(claim))
        };
        inbox.push(Event::Durable(Lsn(1)));
        inbox.push(request());
        assert_eq!(room(&inbox), [true, true, true]);
        inbox.push(request());
        assert_eq!(room(&inbox), [false, true, true]);
        inbox.push(request());
        inbox.push(request());
        assert_eq!(room(&inbox), [false, false, true]);
        inbox.pop();
        inbox.pop();
        assert_eq!(room(&inbox), [false, true, true], "three wait");
    }

    fn request() -> Event {
        Event::Request {
            session: SessionRef {
                shard: ShardId(0),
                index: 0,
                generation: 0,
            },
            frame: FramePool::new(1).take(&[], CASING),
        }
    }

    const CASING: Casing = Casing {
        framing: Framing::Be16,
        header: HeaderBytes::NONE,
    };
}
