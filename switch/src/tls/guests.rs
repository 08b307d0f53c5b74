//! Who has come with a certificate, and for how long he may stay: until the first end of a
//! certificate that he has shown, and no longer than whoever is trusted vouches for him. He is
//! looked at again at that end, and when SIGHUP has brought other files.
//!
//! ```text
//!  join ─► Good ──── first end, or refused by what is in force ───► Over: whoever waits is woken
//!           │ ▲
//!           └─┘ vouched for by what SIGHUP has brought
//! ```
//! One look at a chain is one for all connections that have shown it. Bounded: there is a chain for
//! a connection at most, and none without one.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use ahash::AHashMap;
use domain::time::WallTime;
use glommio::timer::sleep;
use rustls::pki_types::{CertificateDer, UnixTime};
use slab::Slab;

use super::{Begins, Handshakes, ListenerSide, material};
use crate::clock::Clock;
use crate::gate::Gate;

/// Those of one listener or one gateway on one shard.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    chains: RefCell<AHashMap<Shown, Rc<Chain>>>,
}

type Shown = Rc<[CertificateDer<'static>]>;

/// What one or more of them have shown.
#[derive(Debug)]
struct Chain {
    shown: Shown,
    /// The first end of one of its certificates.
    until: Option<WallTime>,
    /// What vouched for it last.
    side: RefCell<Arc<ListenerSide>>,
    is_over: Cell<bool>,
    waiting: RefCell<Slab<Option<Waker>>>,
}

/// One connection of somebody who has shown a certificate; dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Guest {
    of: Rc<Guests>,
    chain: Rc<Chain>,
    place: usize,
}

impl Guests {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// `side` has taken what was shown. `None` of who has shown nothing: he may stay.
    pub(crate) fn join(
        self: &Rc<Self>,
        shown: Vec<CertificateDer<'static>>,
        side: &Arc<ListenerSide>,
    ) -> Option<Guest> {
        if shown.is_empty() {
            return None;
        }
        let shown: Shown = shown.into();
        let mut chains = self.chains.borrow_mut();
        let chain = chains.entry(Rc::clone(&shown)).or_insert_with(|| {
            Rc::new(Chain {
                until: shown.iter().filter_map(material::good_until).min(),
                shown,
                side: RefCell::new(Arc::clone(side)),
                is_over: Cell::new(false),
                waiting: RefCell::default(),
            })
        });
        let place = chain.waiting.borrow_mut().insert(None);
        Some(Guest {
            of: Rc::clone(self),
            chain: Rc::clone(chain),
            place,
        })
    }

    /// Looks at all of them again and again, until the shard drains. `newest` is what connections
    /// begin with now.
    pub(crate) async fn watch(
        self: Rc<Self>,
        newest: impl Fn() -> Begins<ListenerSide>,
        handshakes: Rc<Handshakes>,
        (clock, gate): (Clock, Rc<Gate>),
    ) {
        while !gate.is_closed() {
            sleep(LOOK_EVERY).await;
            if self.chains.borrow().is_empty() {
                continue;
            }
            self.end_by(clock.wall());
            if let Begins::Secured(newest) = newest() {
                self.look_again(&newest, &handshakes, clock).await;
            }
        }
    }

    fn end_by(&self, now: WallTime) {
        // The second in which it ends is its last (RFC 5280 section 4.1.2.5), so that whoever goes
        // does not come in once more.
        let last = now.before(Duration::from_secs(1));
        let is_past = |chain: &&Rc<Chain>| chain.until.is_some_and(|until| until <= last);
        let past: Vec<_> = self.find(is_past);
        for chain in past {
            self.end(&chain);
        }
    }

    /// One chain a turn, as a handshake takes its steps: the shard has others to serve.
    async fn look_again(&self, newest: &Arc<ListenerSide>, handshakes: &Handshakes, clock: Clock) {
        let is_stale = |chain: &&Rc<Chain>| !Arc::ptr_eq(&chain.side.borrow(), newest);
        for chain in self.find(is_stale) {
            let vouches = || newest.vouches_for(&chain.shown, clock.wall());
            if handshakes.in_turn(vouches).await {
                *chain.side.borrow_mut() = Arc::clone(newest);
            } else {
                self.end(&chain);
            }
        }
    }

    fn find(&self, is_wanted: impl Fn(&&Rc<Chain>) -> bool) -> Vec<Rc<Chain>> {
        let chains = self.chains.borrow();
        chains.values().filter(is_wanted).map(Rc::clone).collect()
    }

    /// Whoever shows the same from here on is looked at anew.
    fn end(&self, chain: &Rc<Chain>) {
        chain.is_over.set(true);
        self.forget(chain);
        for (_, waker) in chain.waiting.borrow_mut().iter_mut() {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
    }

    fn forget(&self, chain: &Rc<Chain>) {
        let mut chains = self.chains.borrow_mut();
        let known = chains.get(&chain.shown);
        if known.is_some_and(|known| Rc::ptr_eq(known, chain)) {
            chains.remove(&chain.shown);
        }
    }
}

impl Guest {
    /// Whether it has to go.
    pub(crate) fn is_over(&self) -> bool {
        self.chain.is_over.get()
    }

    /// Is ready once it has to go.
    pub(crate) async fn over(&self) {
        poll_fn(|cx| {
            if self.is_over() {
                return Poll::Ready(());
            }
            if let Some(waker) = self.chain.waiting.borrow_mut().get_mut(self.place) {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut waiting = self.chain.waiting.borrow_mut();
        waiting.try_remove(self.place);
        if waiting.is_empty() {
            self.of.forget(&self.chain);
        }
    }
}

impl ListenerSide {
    /// Whether a connection could begin with these certificates.
    fn vouches_for(&self, shown: &[CertificateDer<'static>], now: WallTime) -> bool {
        let (Some(verifier), Some((first, more))) = (&self.verifier, shown.split_first()) else {
            return false;
        };
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now.unix_millis()));
        verifier.verify_client_cert(first, more, now).is_ok()
    }
}

/// How long somebody may stay beyond his time.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::task::Context;

    use futures_lite::future;

    use super::*;
    use crate::tls::tests::{Authority, lanes, run};

    fn at(minutes: u64) -> WallTime {
        Authority::begin().after(Duration::from_secs(minutes * 60))
    }

    #[test]
    fn whoever_has_shown_a_certificate_goes_at_the_first_end_of_his_chain() {
        let authority = Authority::new();
        let side = authority.side_of_listener();
        let guests = Guests::new();
        let short = authority.issue("urn:short", at(0), at(60)).chain;
        let long = authority.issue("urn:long", at(0), at(120)).chain;
        let first = guests.join(short.clone(), &side).unwrap();
        let second = guests.join(short.clone(), &side).unwrap();
        let third = guests.join(long, &side).unwrap();
        assert!(guests.join(Vec::new(), &side).is_none());
        assert_eq!(guests.chains.borrow().len(), 2, "one for all of a chain");
        guests.end_by(at(60));
        assert!(!first.is_over());
        guests.end_by(at(60).after(Duration::from_secs(1)));
        assert!(first.is_over() && second.is_over() && !third.is_over());
        drop((first, second, third));
        assert!(guests.chains.borrow().is_empty());
    }

    #[test]
    fn one_that_is_gone_leaves_those_that_have_shown_the_same() {
        let authority = Authority::new();
        let side = authority.side_of_listener();
        let guests = Guests::new();
        let chain = authority.issue("urn:one", at(0), at(60)).chain;
        let first = guests.join(chain.clone(), &side).unwrap();
        let second = guests.join(chain.clone(), &side).unwrap();
        drop(first);
        guests.end_by(at(61));
        assert!(second.is_over());
        // Whoever comes back is looked at anew, and his leaving is his own.
        let anew = guests.join(chain, &side).unwrap();
        drop(second);
        assert!(!anew.is_over());
        guests.end_by(at(61));
        assert!(anew.is_over());
    }

    #[test]
    fn what_new_files_do_not_vouch_for_is_woken_and_goes() {
        run(async || {
            let authority = Authority::new();
            let (old, same) = (authority.side_of_listener(), authority.side_of_listener());
            let other = Authority::new().side_of_listener();
            let (guests, lane) = (Guests::new(), lanes().sessions);
            let good = authority.until_the_end("urn:one");
            let guest = guests.join(good, &old).unwrap();
            let clock = Clock::start();
            guests.look_again(&same, &lane, clock).await;
            assert!(!guest.is_over(), "the same authority vouches for him");
            let mut over = Box::pin(guest.over());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(over.as_mut().poll(&mut cx).is_pending());
            future::zip(over, guests.look_again(&other, &lane, clock)).await;
            assert!(guest.is_over());
            assert!(guests.chains.borrow().is_empty());
        });
    }

    #[test]
    fn without_anybody_who_vouches_nobody_stays() {
        let authority = Authority::new();
        let side = authority.side_of_listener();
        let good = authority.until_the_end("urn:one");
        let now = Clock::start().wall();
        assert!(side.vouches_for(&good, now));
        assert!(!side.vouches_for(&[], now));
        let none = ListenerSide {
            config: Arc::clone(&side.config),
            verifier: None,
            identities: Vec::new(),
        };
        assert!(!none.vouches_for(&good, now));
    }
}
