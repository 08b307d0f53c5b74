//! Where handlers wait for what the loop tells them: a bounded table. Who stops waiting takes its
//! place back, and what is told to it then is dropped: its transaction goes on all the same.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use domain::ids::ShardId;
use slab::Slab;

pub(crate) use super::request::{Ask, NewReversal, NewTransaction, Original, Told};
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
        }
    }

    /// Asks; `None` when too many wait already, or as many new requests as the shard takes. What is
    /// told comes by [`Asked::told`].
    pub(crate) fn ask(&self, ask: Ask) -> Option<Asked<'_>> {
        if ask.may_begin() && !self.inbox.takes(Claim::New) {
            return None;
        }
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= ASKED_MAX {
            return None;
        }
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
        Some(Asked { desk: self, from })
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

/// Handlers of one shard that wait.
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
    }
}
