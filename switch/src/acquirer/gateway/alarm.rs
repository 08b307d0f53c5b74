//! Deadlines of connections and of handlers. One task looks at all of them some times a second:
//! what is almost never late costs no timer of its own. Pure but for wakers: it reads no clock.
//!
//! Bounded by two for each connection: its reader, and the handler of its one request.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use domain::time::Instant;
use slab::Slab;

/// All that are set.
#[derive(Debug, Default)]
pub(crate) struct Alarms(RefCell<Slab<Set>>);

#[derive(Debug)]
struct Set {
    due: Instant,
    has_rung: bool,
    waker: Option<Waker>,
}

impl Alarms {
    /// Is ready once `due` has come, up to [`LOOK_EVERY`] late.
    pub(super) fn at(&self, due: Instant) -> Alarm<'_> {
        let set = Set {
            due,
            has_rung: false,
            waker: None,
        };
        Alarm {
            all: self,
            index: self.0.borrow_mut().insert(set),
        }
    }

    /// Wakes whoever waits for what is due.
    pub(super) fn ring(&self, now: Instant) {
        for (_, set) in self.0.borrow_mut().iter_mut() {
            if set.due > now || set.has_rung {
                continue;
            }
            set.has_rung = true;
            if let Some(waker) = set.waker.take() {
                waker.wake();
            }
        }
    }
}

/// How often whoever has alarms looks at them.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One that is set; dropped, it is none.
#[derive(Debug)]
pub(super) struct Alarm<'a> {
    all: &'a Alarms,
    index: usize,
}

impl Future for Alarm<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut sets = self.all.0.borrow_mut();
        let Some(set) = sets.get_mut(self.index).filter(|set| !set.has_rung) else {
            return Poll::Ready(());
        };
        match &mut set.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => set.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.all.0.borrow_mut().try_remove(self.index);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn an_alarm_rings_once_it_is_due_and_wakes_whoever_waits() {
        let (alarms, woken) = (Alarms::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut early = pin!(alarms.at(at(100)));
        let mut late = pin!(alarms.at(at(200)));
        assert!(early.as_mut().poll(&mut cx).is_pending());
        assert!(late.as_mut().poll(&mut cx).is_pending());
        alarms.ring(at(99));
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        alarms.ring(at(100));
        alarms.ring(at(150));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(early.as_mut().poll(&mut cx).is_ready());
        assert!(late.as_mut().poll(&mut cx).is_pending());
    }

    #[test]
    fn one_that_nobody_waits_for_any_more_is_gone() {
        let (alarms, woken) = (Alarms::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut alarm = Box::pin(alarms.at(at(1)));
        let polled = alarm.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(alarm);
        alarms.ring(at(2));
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        assert!(alarms.0.borrow().is_empty());
        // Its place is another's, who waits for something else.
        let mut next = pin!(alarms.at(at(3)));
        let polled = next.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
}
