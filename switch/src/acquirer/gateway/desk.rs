//! Where handlers wait for what the loop tells them: a table with so many places of each gateway.
//! Who stops waiting takes its place back, and what is told to it then is dropped: its transaction
//! goes on all the same.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use domain::ids::ShardId;
use slab::Slab;

pub(crate) use super::request::{Ask, NewNonce, NewReversal, NewTransaction, Original, Told};
use crate::acquirer::SessionRef;
use crate::frame::Claim;
use crate::inbox::Inbox;
use crate::shard::Event;

/// The handlers of one shard that wait.
#[derive(Clone)]
pub(crate) struct Desk {
    shard: ShardId,
    waiting: Rc<RefCell<Slab<Place>>>,
    generation: Rc<Cell<u32>>,
    inbox: Inbox,
    /// Those of one gateway: nobody else's handlers wait behind them.
    of_gateway: Rc<Cell<usize>>,
}

/// Why somebody may not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The shard takes no more new requests.
    Shard,
    /// As many of its gateway wait as may.
    Gateway,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("waiting", &self.waiting.borrow().len())
            .finish_non_exhaustive()
    }
}

struct Place {
    generation: u32,
    told: Option<Told>,
    waker: Option<Waker>,
}

impl Desk {
    pub(crate) fn new(shard: ShardId, inbox: Inbox) -> Self {
        Self {
            shard,
            waiting: Rc::default(),
            generation: Rc::default(),
            inbox,
            of_gateway: Rc::default(),
        }
    }

    /// The same desk for the handlers of one more gateway, whose places are its own.
    pub(crate) fn of_gateway(&self) -> Self {
        Self {
            of_gateway: Rc::default(),
            ..self.clone()
        }
    }

    /// Asks. What is told comes by [`Asked::told`].
    ///
    /// # Errors
    /// Too many wait already.
    pub(crate) fn ask(&self, ask: Ask) -> Result<Asked<'_>, Full> {
        if ask.may_begin() && !self.inbox.takes(Claim::New) {
            return Err(Full::Shard);
        }
        if self.of_gateway.get() >= ASKED_MAX {
            return Err(Full::Gateway);
        }
        self.of_gateway.set(self.of_gateway.get() + 1);
        let mut waiting = self.waiting.borrow_mut();
        let generation = self.generation.get().wrapping_add(1);
        self.generation.set(generation);
        let index = waiting.insert(Place {
            generation,
            told: None,
            waker: None,
        });
        let from = SessionRef {
            shard: self.shard,
            index: u32::try_from(index).unwrap_or(u32::MAX),
            generation,
        };
        self.inbox.push(Event::Asked { from, ask });
        Ok(Asked { desk: self, from })
    }

    /// The loop tells.
    pub(crate) fn tell(&self, to: SessionRef, told: Told) {
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting.get_mut(to.index as usize);
        if let Some(place) = place.filter(|place| place.generation == to.generation) {
            place.told = Some(told);
            if let Some(waker) = place.waker.take() {
                waker.wake();
            }
        }
    }
}

/// Handlers of one gateway on one shard that wait.
pub(crate) const ASKED_MAX: usize = 4_096;

/// One that waits.
pub(crate) struct Asked<'a> {
    desk: &'a Desk,
    from: SessionRef,
}

impl Asked<'_> {
    /// Waits. What is told a second time comes by a second call.
    pub(crate) async fn told(&self) -> Told {
        poll_fn(|cx| {
            let mut waiting = self.desk.waiting.borrow_mut();
            let Some(place) = waiting.get_mut(self.from.index as usize) else {
                return Poll::Pending;
            };
            if let Some(told) = place.told.take() {
                return Poll::Ready(told);
            }
            place.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut waiting = self.desk.waiting.borrow_mut();
        waiting.try_remove(self.from.index as usize);
        let of_gateway = &self.desk.of_gateway;
        of_gateway.set(of_gateway.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::AcquirerId;

    use super::*;
    use crate::acquirer::gateway::request::IdempotencyKey;

    #[test]
    fn a_gateway_takes_no_place_of_another() {
        let desk = Desk::new(ShardId(0), Inbox::new(16));
        let (one, other) = (desk.of_gateway(), desk.of_gateway());
        let ask = || Ask::ByKey(AcquirerId(1), IdempotencyKey::read(b"k").unwrap());
        let mut open: Vec<_> = (0..4_096).map(|_| one.ask(ask()).unwrap()).collect();
        assert_eq!(one.ask(ask()).map(|_| ()), Err(Full::Gateway));
        other.ask(ask()).unwrap();
        open.pop();
        one.ask(ask()).unwrap();
        let new = other.ask(ask()).unwrap();
        desk.tell(new.from, Told::Reserved);
        assert!(
            desk.waiting.borrow()[new.from.index as usize]
                .told
                .is_some()
        );
    }
}
