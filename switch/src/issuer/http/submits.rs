//! Which submits of one issuer have not left yet, on one shard, over all of its links. Pure.
//!
//! ```text
//!            leave                  dropped: its exchange is over
//! Waiting ──────────► Left ─────────────────────────────────────►
//!                      ▲ of before this start
//!    │ overtake: a reversal of it is about to be written
//!    └──────────────► Overtaken ────────────────────────────────►
//! ```
//! Who has overtaken writes at once, so what is overtaken never leaves: the issuer would execute
//! what it has already taken back. A link has its home on one shard, and a reversal may go over
//! another link than its submit. So what is told here holds for one shard; between shards it is the
//! time that does: a submit leaves before the deadline of its route or never, and a reversal of
//! what has no answer is decided at that deadline.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ahash::AHashMap;

/// All of one issuer's: as many as exchanges run.
#[derive(Debug, Default)]
pub(super) struct Submits {
    of_id: RefCell<AHashMap<String, Rc<Entry>>>,
}

/// What is known of one submit.
#[derive(Debug)]
struct Entry {
    state: Cell<State>,
    /// The issuer has told that something was decided, and nobody has asked it since.
    is_called: Cell<bool>,
    /// Of whoever waits for that.
    waker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Provably no byte of it has left.
    Waiting,
    /// Bytes of it may have left.
    Left,
    /// Nothing of it has left, nor will.
    Overtaken,
}

/// One submit, until its exchange is over.
#[derive(Debug)]
pub(super) struct Submit {
    of: Rc<Submits>,
    our_id: String,
    entry: Rc<Entry>,
}

impl Submits {
    //= docs/rules.md#M-13
    /// A submit waits for its connection. `None` where one of the same id is not over: two of one
    /// id would be one payment to the issuer.
    pub(super) fn begin(self: &Rc<Self>, our_id: &str) -> Option<Submit> {
        let mut of_id = self.of_id.borrow_mut();
        if of_id.contains_key(our_id) {
            return None;
        }
        let entry = Rc::new(Entry {
            state: Cell::new(State::Waiting),
            is_called: Cell::new(false),
            waker: RefCell::default(),
        });
        of_id.insert(our_id.to_owned(), Rc::clone(&entry));
        Some(Submit {
            of: Rc::clone(self),
            our_id: our_id.to_owned(),
            entry,
        })
    }

    //= docs/rules.md#M-16
    /// The issuer tells that something of this submit was decided.
    pub(super) fn call(&self, our_id: &str) {
        let of_id = self.of_id.borrow();
        let Some(entry) = of_id.get(our_id) else {
            return;
        };
        entry.is_called.set(true);
        if let Some(waker) = entry.waker.take() {
            waker.wake();
        }
    }

    /// A reversal of this id is about to be written: what still waits never leaves.
    pub(super) fn overtake(&self, our_id: &str) {
        let of_id = self.of_id.borrow();
        if let Some(entry) = of_id.get(our_id)
            && entry.state.get() == State::Waiting
        {
            entry.state.set(State::Overtaken);
        }
    }
}

impl Submit {
    /// Its first byte is about to be written; `false` where nothing of it may be.
    #[must_use]
    pub(super) fn leave(&self) -> bool {
        let state = &self.entry.state;
        debug_assert!(state.get() != State::Left, "a submit leaves once");
        match state.get() {
            State::Waiting => {
                state.set(State::Left);
                true
            }
            State::Left | State::Overtaken => false,
        }
    }

    /// It may have left before this start.
    pub(super) fn note_left(&self) {
        self.entry.state.set(State::Left);
    }

    /// Waits until the issuer tells that something was decided, or has told so already. Each time
    /// counts once, however often it was told.
    pub(super) async fn called(&self) {
        poll_fn(|context| self.poll_called(context)).await;
    }

    fn poll_called(&self, context: &Context<'_>) -> Poll<()> {
        if self.entry.is_called.replace(false) {
            return Poll::Ready(());
        }
        self.entry.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Submit {
    fn drop(&mut self) {
        let known = self.of.of_id.borrow_mut().remove(&self.our_id);
        debug_assert!(known.is_some(), "it was there since it began");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_overtaken_never_leaves() {
        let submits = Rc::new(Submits::default());
        let one = submits.begin("1").unwrap();
        let other = submits.begin("2").unwrap();
        submits.overtake("1");
        assert!(!one.leave(), "a reversal may have been written");
        assert!(other.leave(), "the reversal was of another one");
    }

    /// The reversal then follows it.
    #[test]
    fn what_has_left_is_not_overtaken() {
        let submits = Rc::new(Submits::default());
        let submit = submits.begin("1").unwrap();
        assert!(submit.leave());
        submits.overtake("1");
        assert_eq!(submit.entry.state.get(), State::Left);
        submits.overtake("3");
    }

    //= docs/rules.md#M-13
    #[test]
    fn an_id_has_one_submit_at_a_time() {
        let submits = Rc::new(Submits::default());
        let first = submits.begin("1").unwrap();
        assert!(submits.begin("1").is_none(), "the first one is not over");
        drop(first);
        let again = submits.begin("1").unwrap();
        assert!(again.leave(), "nothing is left of the first one");
        drop(again);
        assert!(submits.of_id.borrow().is_empty());
    }

    //= docs/rules.md#M-16
    #[test]
    fn a_call_is_heard_once_before_and_while_it_is_waited_for() {
        let submits = Rc::new(Submits::default());
        let submit = submits.begin("1").unwrap();
        let context = Context::from_waker(Waker::noop());
        submits.call("2");
        assert!(submit.poll_called(&context).is_pending(), "of another");
        submits.call("1");
        submits.call("1");
        assert!(submit.poll_called(&context).is_ready());
        assert!(submit.poll_called(&context).is_pending(), "once");
        submits.call("1");
        assert!(submit.poll_called(&context).is_ready());
    }
}
