//! Which of an issuer's links takes a call: the one with the fewest in flight. A link that keeps
//! failing is ejected for a while.
//!
//! ```text
//!          failures in a row, beside a link that answers
//!   used ───────────────────────────────────────────────► ejected
//!    ▲                                                      │
//!    └── its time is over, it answers, or no other is up ───┘
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use domain::ids::LinkId;
use domain::time::Instant;

/// When a link is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectionPolicy {
    /// Calls without an answer, or losses of the connection, in a row; `None` ejects none.
    pub failures: Option<u32>,
    /// How long it is left out the first time.
    pub first: Duration,
    /// Each further time, unless it answered in between, lasts twice as long, up to this.
    pub max: Duration,
}

/// The links of one issuer, as one shard uses them.
///
/// Calls of other shards over the same links are not seen: each shard balances its own.
#[derive(Debug)]
pub struct LinkPool {
    policy: EjectionPolicy,
    first: LinkId,
    links: Vec<Load>,
    /// Where the search among equals begins, so that ties go round.
    next: usize,
    /// Bounded: what the caller leaves standing beyond `changes_max` is dropped.
    changes: VecDeque<EjectionChange>,
    changes_max: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    is_up: bool,
    inflight: u32,
    /// In a row.
    failures: u32,
    /// Until when it is left out.
    ejected: Option<Instant>,
    /// How often it was, since it last answered.
    ejections: u32,
}

impl Load {
    const fn is_usable(&self) -> bool {
        self.is_up && self.ejected.is_none()
    }
}

/// How a call over a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkOutcome {
    /// With an answer, whatever it says.
    Answered,
    /// Without one, by its deadline.
    Silent,
    /// Nothing was sent.
    NotSent,
}

/// A link was ejected or is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectionChange {
    /// Which.
    pub link: LinkId,
    /// Whether it is left out from here on.
    pub is_ejected: bool,
}

impl LinkPool {
    /// `count` links, numbered from `first` on, all down.
    #[must_use]
    pub fn new(first: LinkId, count: u16, policy: EjectionPolicy) -> Self {
        let count = usize::from(count);
        let changes_max = count.saturating_mul(CHANGES_EACH);
        Self {
            policy,
            first,
            links: alloc::vec![Load::default(); count],
            next: 0,
            changes: VecDeque::with_capacity(changes_max),
            changes_max,
        }
    }

    /// Gives a call to the usable link with the fewest calls in flight for which `take` finds what
    /// else the call needs, and counts it. It comes back through [`LinkPool::finish`].
    //= docs/rules.md#R-11
    pub fn pick<T>(
        &mut self,
        now: Instant,
        mut take: impl FnMut(LinkId) -> Option<T>,
    ) -> Option<(LinkId, T)> {
        self.handle_timeout(now);
        let mut asked = None;
        loop {
            let best = self.least(asked)?;
            let (_, _, place) = best;
            let link = self.id(place);
            if let Some(taken) = take(link) {
                let load = self.links.get_mut(place)?;
                load.inflight = load.inflight.saturating_add(1);
                self.next = place.saturating_add(1);
                return Some((link, taken));
            }
            asked = Some(best);
        }
    }

    /// A call over `link` ended.
    pub fn finish(&mut self, link: LinkId, outcome: LinkOutcome, now: Instant) {
        let Some(place) = self.place(link) else {
            debug_assert!(false, "a call ends on a link of its issuer");
            return;
        };
        if let Some(load) = self.links.get_mut(place) {
            debug_assert!(load.inflight > 0, "each call ends once");
            load.inflight = load.inflight.saturating_sub(1);
        }
        match outcome {
            LinkOutcome::Answered => self.answered(place),
            LinkOutcome::Silent => self.failed(place, now),
            LinkOutcome::NotSent => {}
        }
        self.check_invariants();
    }

    /// Says whether a link takes traffic. To go down is a failure of it.
    pub fn set_up(&mut self, link: LinkId, is_up: bool, now: Instant) {
        let Some(place) = self.place(link) else {
            return;
        };
        let was_up = self.links.get_mut(place).map(|load| {
            let was_up = load.is_up;
            load.is_up = is_up;
            was_up
        });
        if was_up == Some(true) && !is_up {
            self.failed(place, now);
        }
        self.keep_one();
        self.check_invariants();
    }

    /// Takes back the links whose time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        for place in 0..self.links.len() {
            let until = self.links.get(place).and_then(|load| load.ejected);
            if until.is_some_and(|until| until <= now) {
                self.take_back(place);
            }
        }
    }

    /// The next change that was not reported yet. To be drained now and then.
    pub fn poll_change(&mut self) -> Option<EjectionChange> {
        self.changes.pop_front()
    }

    /// Whether the link is up and not ejected.
    #[must_use]
    pub fn is_usable(&self, link: LinkId) -> bool {
        self.place(link)
            .and_then(|place| self.links.get(place))
            .is_some_and(Load::is_usable)
    }

    /// All links, by number.
    pub fn ids(&self) -> impl Iterator<Item = LinkId> + '_ {
        (0..self.links.len()).map(|place| self.id(place))
    }

    /// A link for a message that is no call: usable, and another one each time.
    pub fn pass(&mut self) -> Option<LinkId> {
        let count = self.links.len();
        let places = (0..count).map(|step| self.next.saturating_add(step).checked_rem(count));
        let usable = |place: &usize| self.links.get(*place).is_some_and(Load::is_usable);
        let place = places.flatten().find(usable)?;
        self.next = place.saturating_add(1);
        Some(self.id(place))
    }

    /// Asserts what must always hold, in debug builds.
    //= docs/rules.md#R-12
    pub fn check_invariants(&self) {
        let is_up = self.links.iter().any(|load| load.is_up);
        let is_usable = self.links.iter().any(Load::is_usable);
        debug_assert_eq!(is_up, is_usable, "of links that are up one is used");
        debug_assert!(self.changes.len() <= self.changes_max);
    }

    /// Of those that come after `asked`, the one to be asked next: fewest calls, then the nearest
    /// in the round.
    fn least(&self, asked: Option<(u32, usize, usize)>) -> Option<(u32, usize, usize)> {
        let count = self.links.len();
        let usable = self.links.iter().enumerate();
        let keys = usable.filter(|(_, load)| load.is_usable());
        let keys = keys.map(|(place, load)| {
            let ahead = place.saturating_add(count).saturating_sub(self.next);
            let distance = ahead.checked_rem(count).unwrap_or(0);
            (load.inflight, distance, place)
        });
        keys.filter(|key| asked.is_none_or(|asked| *key > asked))
            .min()
    }

    fn answered(&mut self, place: usize) {
        if let Some(load) = self.links.get_mut(place) {
            load.failures = 0;
            load.ejections = 0;
        }
        self.take_back(place);
    }

    /// Ejects it when it fails once too often. Where no other link answers, the issuer is silent
    /// and not the link: that is the breaker's business.
    fn failed(&mut self, place: usize, now: Instant) {
        let others = || self.links.iter().enumerate().filter(|(at, _)| *at != place);
        let has_better = others().any(|(_, load)| load.is_usable() && load.failures == 0);
        let Some(load) = self.links.get_mut(place) else {
            return;
        };
        load.failures = load.failures.saturating_add(1);
        let is_too_often = self.policy.failures.is_some_and(|max| load.failures >= max);
        if !is_too_often || !has_better || load.ejected.is_some() {
            return;
        }
        let factor = 1_u32.checked_shl(load.ejections).unwrap_or(u32::MAX);
        let lasts = self.policy.first.saturating_mul(factor);
        load.ejected = Some(now.after(lasts.min(self.policy.max)));
        load.ejections = load.ejections.saturating_add(1).min(DOUBLINGS_MAX);
        self.report(place, true);
    }

    /// One more failure ejects it again.
    fn take_back(&mut self, place: usize) {
        let Some(load) = self.links.get_mut(place) else {
            return;
        };
        if load.ejected.take().is_some() {
            let most = self.policy.failures.unwrap_or(0).saturating_sub(1);
            load.failures = load.failures.min(most);
            self.report(place, false);
        }
    }

    /// Uses the ejected ones when no other is up.
    fn keep_one(&mut self) {
        if self.links.iter().any(Load::is_usable) {
            return;
        }
        for place in 0..self.links.len() {
            if self.links.get(place).is_some_and(|load| load.is_up) {
                self.take_back(place);
            }
        }
    }

    fn report(&mut self, place: usize, is_ejected: bool) {
        let link = self.id(place);
        if self.changes.len() < self.changes_max {
            self.changes.push_back(EjectionChange { link, is_ejected });
        }
    }

    fn id(&self, place: usize) -> LinkId {
        let place = u16::try_from(place).unwrap_or(u16::MAX);
        LinkId(self.first.0.saturating_add(place))
    }

    fn place(&self, link: LinkId) -> Option<usize> {
        let place = usize::from(link.0.checked_sub(self.first.0)?);
        (place < self.links.len()).then_some(place)
    }
}

/// Room for changes that nobody has polled yet, for each link.
const CHANGES_EACH: usize = 8;
/// Enough for any pair of times.
const DOUBLINGS_MAX: u32 = 31;

#[cfg(test)]
mod tests;
