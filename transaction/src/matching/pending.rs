//! What is out on a link, and to whom its answer belongs (semantics §5).

use alloc::vec::Vec;
use core::time::Duration;

use domain::ids::Stan;
use domain::request::MessageClass;
use domain::time::Instant;
use thiserror::Error;

use super::echo::{Echo, EchoFields};
use crate::index::KeyIndex;
use crate::table::NONE;

/// The class of the response that is waited for. A reversal may carry its original's STAN, so the
/// STAN alone is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ResponseKind {
    /// 0110.
    Authorisation = 1,
    /// 0210.
    Financial = 2,
    /// 0410 or 0430.
    Reversal = 4,
    /// 0130.
    AuthorisationAdvice = 5,
    /// 0230.
    FinancialAdvice = 6,
    /// 0530 or 0532.
    Reconciliation = 7,
    /// 0610.
    Administrative = 8,
    /// 0630.
    AdministrativeAdvice = 9,
}

impl ResponseKind {
    /// What answers an advice of this class.
    #[must_use]
    pub const fn of_advice(class: MessageClass) -> Self {
        match class {
            MessageClass::Authorisation => Self::AuthorisationAdvice,
            MessageClass::Financial => Self::FinancialAdvice,
        }
    }

    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Authorisation,
        Self::Financial,
        Self::Reversal,
        Self::AuthorisationAdvice,
        Self::FinancialAdvice,
        Self::Reconciliation,
        Self::Administrative,
        Self::AdministrativeAdvice,
    ];

    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Authorisation => "authorisation",
            Self::Financial => "financial",
            Self::Reversal => "reversal",
            Self::AuthorisationAdvice => "authorisation advice",
            Self::FinancialAdvice => "financial advice",
            Self::Reconciliation => "reconciliation",
            Self::Administrative => "administrative",
            Self::AdministrativeAdvice => "administrative advice",
        }
    }
}

impl From<MessageClass> for ResponseKind {
    fn from(class: MessageClass) -> Self {
        match class {
            MessageClass::Authorisation => Self::Authorisation,
            MessageClass::Financial => Self::Financial,
        }
    }
}

/// The key of what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Expected {
    /// The response's class.
    pub kind: ResponseKind,
    /// DE11 of leg B.
    pub stan: Stan,
}

impl Expected {
    const fn key(self) -> u64 {
        ((self.kind as u64) << 32) | self.stan.number() as u64
    }
}

/// Whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match<T> {
    /// The answer to what this owner sent.
    Matched(T),
    /// Its owner has given it up this long ago.
    Late {
        /// Who waited for it.
        owner: T,
        /// Since it was given up.
        age: Duration,
    },
    /// A second answer.
    AlreadyAnswered {
        /// Who got the first.
        owner: T,
        /// Since the first.
        age: Duration,
    },
    /// The STAN is known, but these fields differ: not matched, never close enough.
    Differs(EchoFields),
    /// Nothing is known of it.
    Unknown,
}

/// What comes nearest to an answer that was not matched, of all that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// Its key.
    pub expected: Expected,
    /// In which fields the answer differs from it.
    pub differs: EchoFields,
}

/// Why a request may not go out under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyRefused {
    /// Another request is out under this key, or its late answer may still come.
    #[error("the stan is in use on this link; send under another")]
    InUse,
    /// As much is out as the table was built for.
    #[error("the link's table is full; wait for answers or raise its bound")]
    Full,
    /// It has none of the fields that the issuer gives back.
    #[error("the request carries no field to match its answer by")]
    NothingToCompare,
}

/// Bounds of a [`PendingTable`].
#[derive(Clone, Copy, Debug)]
pub struct PendingLimits {
    /// Requests out at once.
    pub inflight_max: usize,
    /// Given-up ones that are remembered, the oldest goes first.
    pub late_max: usize,
    /// Answered ones that are remembered, the oldest goes first.
    pub answered_max: usize,
    /// How long either is remembered.
    pub window: Duration,
}

/// What is out on a link. `T` says who waits: a shard and a handle.
#[derive(Debug)]
pub struct PendingTable<T> {
    places: Vec<Place<T>>,
    free: u32,
    index: KeyIndex,
    inflight: usize,
    late: Remembered,
    answered: Remembered,
    limits: PendingLimits,
    /// What the issuer gives back.
    key: EchoFields,
}

#[derive(Clone, Copy, Debug)]
struct Place<T> {
    expected: Expected,
    echo: Echo,
    owner: T,
    status: Status,
    /// When it was sent, given up or answered.
    since: Instant,
    prev: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Free,
    Out,
    Late,
    Answered,
}

/// A FIFO through the places.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    head: u32,
    tail: u32,
    count: usize,
}

impl Remembered {
    const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
        count: 0,
    };
}

impl<T: Copy + PartialEq> PendingTable<T> {
    /// An empty table of an issuer that gives back [`EchoFields::DEFAULT_KEY`].
    #[must_use]
    pub fn new(limits: PendingLimits, seed: u64) -> Self {
        Self::matching_by(EchoFields::DEFAULT_KEY, limits, seed)
    }

    /// An empty table of an issuer that gives back these fields, of which there is at least one.
    #[must_use]
    pub fn matching_by(key: EchoFields, limits: PendingLimits, seed: u64) -> Self {
        debug_assert!(!key.is_empty(), "a stan alone is no key");
        let places_max = limits
            .inflight_max
            .saturating_add(limits.late_max)
            .saturating_add(limits.answered_max)
            .saturating_add(1);
        Self {
            places: Vec::with_capacity(places_max),
            free: NONE,
            index: KeyIndex::new(places_max, seed),
            inflight: 0,
            late: Remembered::EMPTY,
            answered: Remembered::EMPTY,
            limits,
            key,
        }
    }

    /// Notes a request that is about to go out. Its owner may send again under the same key.
    ///
    /// # Errors
    /// The key is in use, or there is no room.
    pub fn insert(
        &mut self,
        expected: Expected,
        echo: Echo,
        owner: T,
        now: Instant,
    ) -> Result<(), KeyRefused> {
        if !echo.can_be_compared(self.key) {
            return Err(KeyRefused::NothingToCompare);
        }
        if self.inflight >= self.limits.inflight_max {
            return Err(KeyRefused::Full);
        }
        self.expire(now);
        if let Some(position) = self.find(expected) {
            let place = self.place(position);
            let held = place.is_some_and(|place| match place.status {
                Status::Out | Status::Late => place.owner != owner,
                Status::Answered | Status::Free => false,
            });
            if held {
                return Err(KeyRefused::InUse);
            }
            self.forget(position);
        }
        let place = Place {
            expected,
            echo,
            owner,
            status: Status::Out,
            since: now,
            prev: NONE,
            next: NONE,
        };
        let position = self.put(place).ok_or(KeyRefused::Full)?;
        self.index.insert(expected.key(), position);
        self.inflight = self.inflight.saturating_add(1);
        Ok(())
    }

    //= docs/rules.md#M-01
    /// Whose answer this is. A match is taken out of what is out.
    pub fn resolve(&mut self, expected: Expected, echo: &Echo, now: Instant) -> Match<T> {
        self.expire(now);
        let Some(position) = self.find(expected) else {
            return self.other_class(expected);
        };
        let Some(place) = self.place(position).copied() else {
            return Match::Unknown;
        };
        let differs = place.echo.differs(echo, self.key);
        if !differs.is_empty() {
            return Match::Differs(differs);
        }
        let owner = place.owner;
        let age = now.since(place.since);
        match place.status {
            Status::Out => {
                self.remember(position, Status::Answered, now);
                Match::Matched(owner)
            }
            Status::Late => Match::Late { owner, age },
            Status::Answered => Match::AlreadyAnswered { owner, age },
            Status::Free => Match::Unknown,
        }
    }

    /// Whose it is that is in flight under this name; it stays so.
    #[must_use]
    pub fn waits_for(&self, expected: Expected) -> Option<T> {
        let place = self.place(self.find_out(expected)?)?;
        Some(place.owner)
    }

    /// Whether the STAN is in flight, under whatever class.
    #[must_use]
    pub fn is_stan_out(&self, stan: Stan) -> bool {
        let kinds = ResponseKind::ALL.into_iter();
        let mut keys = kinds.map(|kind| Expected { kind, stan });
        keys.any(|expected| self.find_out(expected).is_some())
    }

    //= docs/rules.md#M-03
    /// What an answer may have been meant for: what waits under its STAN, else what differs in the
    /// fewest fields and agrees in one that tells requests apart. Looks at all that waits, so it is
    /// for the few answers that are told to people.
    #[must_use]
    pub fn nearest(&self, expected: Option<Expected>, echo: &Echo) -> Option<Nearest> {
        let out = self.places.iter();
        let out = out.filter(|place| place.status == Status::Out);
        let candidates = out.filter_map(|place| {
            let mut differs = place.echo.differs(echo, EchoFields::default());
            let is_near = place.echo.agrees(echo);
            let known = expected.map(|expected| (expected.kind, expected.stan));
            let (kind, stan) = known.unzip();
            if kind != Some(place.expected.kind) {
                differs = differs.with(EchoFields::CLASS);
            }
            let is_same_stan = stan == Some(place.expected.stan);
            if !is_same_stan {
                differs = differs.with(EchoFields::STAN);
            }
            let expected = place.expected;
            let distance = (!is_same_stan, differs.count(), expected.stan);
            let nearest = Nearest { expected, differs };
            (is_same_stan || is_near).then_some((distance, nearest))
        });
        candidates
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, nearest)| nearest)
    }

    /// The owner waits no longer: an answer is late from here on. `false` when it is not out.
    pub fn give_up(&mut self, expected: Expected, now: Instant) -> bool {
        match self.find_out(expected) {
            Some(position) => {
                self.remember(position, Status::Late, now);
                true
            }
            None => false,
        }
    }

    /// Forgets what is out or late under the key, if it `is_earlier`: a reversal is repeated with
    /// its STAN, and the next one of the same transaction has it too.
    pub fn supersede(&mut self, expected: Expected, is_earlier: impl FnOnce(&T) -> bool) {
        let Some(position) = self.find(expected) else {
            return;
        };
        if self
            .place(position)
            .is_some_and(|place| is_earlier(&place.owner))
        {
            self.forget(position);
        }
    }

    /// The request provably did not go out: its key is free again.
    pub fn withdraw(&mut self, expected: Expected) -> Option<T> {
        let position = self.find_out(expected)?;
        let owner = self.place(position)?.owner;
        self.forget(position);
        Some(owner)
    }

    /// Forgets what is older than the window.
    pub fn expire(&mut self, now: Instant) {
        for status in [Status::Late, Status::Answered] {
            while let Some(position) = self.oldest(status) {
                let since = self.place(position).map_or(now, |place| place.since);
                if now.since(since) < self.limits.window {
                    break;
                }
                self.forget(position);
            }
        }
    }

    /// Requests that are out.
    #[must_use]
    pub const fn inflight(&self) -> usize {
        self.inflight
    }

    /// Given-up requests that are remembered.
    #[must_use]
    pub const fn late(&self) -> usize {
        self.late.count
    }

    /// What is out, in no particular order: for the link that goes down.
    pub fn outstanding(&self) -> impl Iterator<Item = (Expected, T)> {
        let out = self
            .places
            .iter()
            .filter(|place| place.status == Status::Out);
        out.map(|place| (place.expected, place.owner))
    }

    /// The same STAN under another class: a wrong MTI, worth its own line in the log.
    fn other_class(&self, expected: Expected) -> Match<T> {
        if self.is_stan_out(expected.stan) {
            Match::Differs(EchoFields::CLASS)
        } else {
            Match::Unknown
        }
    }

    //= docs/rules.md#M-04
    /// Moves what is out to those that are only remembered.
    fn remember(&mut self, position: u32, status: Status, now: Instant) {
        self.inflight = self.inflight.saturating_sub(1);
        if let Some(place) = self.place_mut(position) {
            debug_assert_eq!(place.status, Status::Out, "only what is out ends");
            place.status = status;
            place.since = now;
        }
        self.push_back(position, status);
        let (list, bound) = match status {
            Status::Late => (self.late, self.limits.late_max),
            Status::Answered | Status::Out | Status::Free => {
                (self.answered, self.limits.answered_max)
            }
        };
        if list.count > bound {
            self.forget(list.head);
        }
    }

    /// Takes a place out of everything.
    fn forget(&mut self, position: u32) {
        let Some(place) = self.place(position).copied() else {
            return;
        };
        match place.status {
            Status::Out => self.inflight = self.inflight.saturating_sub(1),
            Status::Late | Status::Answered => self.unlink(position, place.status),
            Status::Free => return,
        }
        self.index.remove(place.expected.key(), position);
        let free = self.free;
        if let Some(place) = self.place_mut(position) {
            place.status = Status::Free;
            place.next = free;
            self.free = position;
        }
    }

    fn put(&mut self, place: Place<T>) -> Option<u32> {
        if let Some(vacant) = self.place(self.free) {
            let position = self.free;
            let next = vacant.next;
            *self.place_mut(position)? = place;
            self.free = next;
            return Some(position);
        }
        if self.places.len() >= self.places.capacity() {
            return None;
        }
        let position = u32::try_from(self.places.len()).ok()?;
        self.places.push(place);
        Some(position)
    }

    fn find(&self, expected: Expected) -> Option<u32> {
        self.index.find(expected.key(), |position| {
            self.place(position)
                .is_some_and(|place| place.expected == expected)
        })
    }

    fn find_out(&self, expected: Expected) -> Option<u32> {
        let position = self.find(expected)?;
        let out = self.place(position)?.status == Status::Out;
        out.then_some(position)
    }

    const fn oldest(&self, status: Status) -> Option<u32> {
        let list = match status {
            Status::Late => self.late,
            Status::Answered | Status::Out | Status::Free => self.answered,
        };
        if list.head == NONE {
            None
        } else {
            Some(list.head)
        }
    }

    fn push_back(&mut self, position: u32, status: Status) {
        let mut list = *self.list(status);
        if let Some(place) = self.place_mut(position) {
            place.prev = list.tail;
            place.next = NONE;
        }
        match self.place_mut(list.tail) {
            Some(last) => last.next = position,
            None => list.head = position,
        }
        list.tail = position;
        list.count = list.count.saturating_add(1);
        *self.list(status) = list;
    }

    fn unlink(&mut self, position: u32, status: Status) {
        let mut list = *self.list(status);
        let Some(place) = self.place(position) else {
            return;
        };
        let (prev, next) = (place.prev, place.next);
        match self.place_mut(prev) {
            Some(before) => before.next = next,
            None => list.head = next,
        }
        match self.place_mut(next) {
            Some(after) => after.prev = prev,
            None => list.tail = prev,
        }
        list.count = list.count.saturating_sub(1);
        *self.list(status) = list;
    }

    const fn list(&mut self, status: Status) -> &mut Remembered {
        match status {
            Status::Late => &mut self.late,
            Status::Answered | Status::Out | Status::Free => &mut self.answered,
        }
    }

    fn place(&self, position: u32) -> Option<&Place<T>> {
        self.places.get(usize::try_from(position).ok()?)
    }

    fn place_mut(&mut self, position: u32) -> Option<&mut Place<T>> {
        self.places.get_mut(usize::try_from(position).ok()?)
    }
}

#[cfg(test)]
mod tests;
