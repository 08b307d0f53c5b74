//! Requests that wait until their issuer has what it is owed for their account: it would decide on
//! a balance that lacks it (`saf_before_live`).
//!
//! | row | a request that was given an issuer | then |
//! |---|---|---|
//! | L01 | the issuer does not ask for it | leaves |
//! | L02 | a completion request | leaves: it has its own order |
//! | L03 | nothing is owed to the issuer for the account | leaves |
//! | L04 | something is | is held back: leg and permit go back, nothing is journaled |
//! | L05 | the same, and no more can be held back | 96, nothing is remembered |
//! | L06 | the same, in a drain | 96, nothing is remembered |
//! | L07 | the same, and its intent for another issuer is journaled | 91 |
//! | L08 | it was held back for this issuer | leaves, whatever is owed since |
//! | L09 | it was held back for another issuer, and this one is owed something | 91 |
//!
//! | row | while it is held back | then |
//! |---|---|---|
//! | L10 | the last of what was owed when it came has ended | the router is asked again |
//! | L11 | half of its route's deadline has passed | 91 |
//! | L12 | a copy comes | the copy takes its place in front of the acquirer |
//! | L13 | its reversal comes | refused as reversed; 00, nothing for the issuer |
//! | L14 | a drain begins | 96, nothing is remembered |
//!
//! 91 says that the issuer cannot be used, as where none admits (R2); 96 that the switch takes no
//! more (R3). The route's deadline runs from the first choice of an issuer: the half that is left
//! is the issuer's. Nothing here is journaled, so that a restart knows of nobody who waited.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use domain::ids::IssuerId;
use domain::pan::PanToken;
use domain::time::Instant;

use crate::index::KeyIndex;
use crate::input::Handle;
use crate::saf::heap::DueHeap;
use crate::saf::{Chain, Ends, Links, Saf, Status};
use crate::settings::{BeforeLive, Settings};
use crate::table::NONE;

/// What is known of a request when an issuer was chosen for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Whether the issuer asks for what it is owed before requests.
    pub(crate) is_asked: bool,
    pub(crate) is_completion: bool,
    /// Whether something is owed to the issuer for the account.
    pub(crate) is_owed: bool,
    pub(crate) before: Before,
    pub(crate) room: Room,
}

/// What has become of a request before an issuer was chosen for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing.
    Nothing,
    /// Its intent for another issuer is journaled, and was not sent.
    Intent,
    /// It was held back for this issuer.
    HeldForIt,
    /// It was held back for another one.
    HeldForOther,
}

/// Whether one more can be held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    Full,
    Draining,
}

/// What becomes of a request that was given an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// L01, L02, L03, L08.
    Now,
    /// L04.
    Later,
    /// L05, L06.
    NoRoom(Room),
    /// L07, L09.
    NotThere,
}

/// L01 to L09.
pub(crate) const fn may_leave(chosen: Chosen) -> Leave {
    if !chosen.is_asked || chosen.is_completion || !chosen.is_owed {
        return Leave::Now;
    }
    match (chosen.before, chosen.room) {
        (Before::HeldForIt, _) => Leave::Now,
        (Before::Intent | Before::HeldForOther, _) => Leave::NotThere,
        (Before::Nothing, Room::Free) => Leave::Later,
        (Before::Nothing, Room::Full | Room::Draining) => Leave::NoRoom(chosen.room),
    }
}

/// What is owed by issuer and account, and who waits for it.
#[derive(Debug)]
pub(crate) struct Live {
    asked: BeforeLive,
    index: KeyIndex,
    accounts: Vec<Account>,
    free_account: u32,
    /// By position in the SAF.
    owed: Vec<Owed>,
    held: Vec<Held>,
    /// From a position in the table.
    held_by: KeyIndex,
    free_held: u32,
    held_max: usize,
    count: usize,
    due: DueHeap,
    /// Those who wait for nothing any more.
    freed: VecDeque<Handle>,
    /// Counts what was ever owed.
    order: u64,
    is_draining: bool,
}

/// An account at an issuer that is owed something for it.
#[derive(Clone, Copy, Debug)]
struct Account {
    issuer: IssuerId,
    token: PanToken,
    /// In the order in which it came to be owed.
    owed: Ends,
    /// In the order in which they came.
    held: Ends,
    next_free: u32,
}

/// Something owed, in the list of its account.
#[derive(Clone, Copy, Debug)]
struct Owed {
    account: u32,
    order: u64,
    links: Links,
    /// When its last attempt ended.
    paused: Instant,
}

/// A request that waits, or has waited and asks for its route again.
#[derive(Clone, Copy, Debug)]
struct Held {
    handle: Handle,
    issuer: IssuerId,
    /// None once it waits for nothing any more.
    account: u32,
    /// What was owed from here on does not hold it.
    until: u64,
    links: Links,
}

impl Live {
    /// With room for what is owed at these positions.
    pub(super) fn new(settings: &Settings, places_max: usize) -> Self {
        let asked = settings.before_live;
        let is_used = !asked.is_empty();
        let sized = |max: usize| if is_used { max } else { 0 };
        let held_max = asked.held_back_max.min(settings.inflight_max / 2);
        Self {
            asked,
            index: KeyIndex::new(sized(settings.saf_max), settings.seed),
            accounts: Vec::with_capacity(sized(settings.saf_max)),
            free_account: NONE,
            owed: Vec::with_capacity(sized(places_max)),
            held: Vec::with_capacity(sized(held_max)),
            held_by: KeyIndex::new(sized(held_max), settings.seed),
            free_held: NONE,
            held_max,
            count: 0,
            due: DueHeap::new(sized(held_max)),
            freed: VecDeque::with_capacity(sized(held_max)),
            order: 0,
            is_draining: false,
        }
    }

    /// Whether the issuer asks for what it is owed before requests.
    pub(crate) const fn is_asked(&self, issuer: IssuerId) -> bool {
        self.asked.has(issuer)
    }

    /// Whether something is owed to the issuer for the account.
    pub(crate) fn is_owed(&self, issuer: IssuerId, token: PanToken) -> bool {
        self.find(issuer, token).is_some()
    }

    /// Whether one more can be held back.
    pub(crate) const fn room(&self) -> Room {
        if self.is_draining {
            Room::Draining
        } else if self.count >= self.held_max {
            Room::Full
        } else {
            Room::Free
        }
    }

    /// How many are held back.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// From here on, what was owed for the account holds its requests.
    pub(crate) fn owe(&mut self, position: u32, issuer: IssuerId, token: PanToken) {
        if !self.is_asked(issuer) {
            return;
        }
        let Some(account) = self
            .find(issuer, token)
            .or_else(|| self.open(issuer, token))
        else {
            debug_assert!(false, "there are no more accounts than entries");
            return;
        };
        self.cover(position);
        let order = self.order;
        self.order = order.saturating_add(1);
        let tail = self.account(account).map_or(NONE, |found| found.owed.tail);
        if let Some(owed) = self.owed_mut(position) {
            debug_assert_eq!(owed.account, NONE, "it is owed once");
            *owed = Owed {
                account,
                order,
                links: Links {
                    prev: tail,
                    next: NONE,
                },
                paused: Instant::ZERO,
            };
        }
        if let Some(last) = self.owed_mut(tail) {
            last.links.next = position;
        }
        if let Some(found) = self.account_mut(account) {
            found.owed.tail = position;
            if tail == NONE {
                found.owed.head = position;
            }
        }
    }

    /// It is owed no longer: frees who waited for it alone.
    pub(super) fn ended(&mut self, position: u32) {
        let Some(owed) = self.owed_at(position).copied() else {
            return;
        };
        if owed.account == NONE {
            return;
        }
        let Links { prev, next } = owed.links;
        if let Some(gone) = self.owed_mut(position) {
            gone.account = NONE;
        }
        if let Some(before) = self.owed_mut(prev) {
            before.links.next = next;
        }
        if let Some(after) = self.owed_mut(next) {
            after.links.prev = prev;
        }
        if let Some(account) = self.account_mut(owed.account) {
            if prev == NONE {
                account.owed.head = next;
            }
            if next == NONE {
                account.owed.tail = prev;
            }
        }
        self.free_waiting(owed.account);
        self.close(owed.account);
    }

    /// Holds a request back until what is owed to the issuer for the account has ended, or `due`.
    pub(crate) fn hold(
        &mut self,
        handle: Handle,
        (issuer, token): (IssuerId, PanToken),
        due: Instant,
    ) -> bool {
        debug_assert_eq!(self.room(), Room::Free, "whoever is held back has room");
        let Some(account) = self.find(issuer, token) else {
            return false;
        };
        let Some(held) = self.vacant() else {
            return false;
        };
        let is_known = self.held_by.insert(handle.index.into(), held);
        debug_assert!(is_known, "it has room for all who wait");
        let until = self.order;
        let tail = self.account(account).map_or(NONE, |found| found.held.tail);
        if let Some(place) = self.held_mut(held) {
            *place = Held {
                handle,
                issuer,
                account,
                until,
                links: Links {
                    prev: tail,
                    next: NONE,
                },
            };
        }
        if let Some(last) = self.held_mut(tail) {
            last.links.next = held;
        }
        if let Some(found) = self.account_mut(account) {
            found.held.tail = held;
            if tail == NONE {
                found.held.head = held;
            }
        }
        self.due.set(held, due);
        self.count = self.count.saturating_add(1);
        true
    }

    /// For which issuer a request waits, or has waited before it asked for its route again.
    pub(crate) fn held_for(&self, handle: Handle) -> Option<IssuerId> {
        let held = self.place_of(handle)?;
        self.held_at(held).map(|held| held.issuer)
    }

    /// It is held back no longer, for whatever reason.
    pub(crate) fn let_go(&mut self, handle: Handle) {
        let Some(held) = self.place_of(handle) else {
            return;
        };
        self.unqueue(held);
        self.held_by.remove(handle.index.into(), held);
        let free = self.free_held;
        if let Some(place) = self.held_mut(held) {
            place.handle = Handle::NONE;
            place.links.next = free;
            self.free_held = held;
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Somebody who waits for nothing any more.
    pub(crate) fn next_freed(&mut self) -> Option<Handle> {
        self.freed.pop_front()
    }

    /// Somebody who has waited for too long.
    pub(crate) fn expired(&self, now: Instant) -> Option<Handle> {
        let (at, held) = self.due.earliest()?;
        (at <= now).then_some(self.held_at(held)?.handle)
    }

    /// When somebody will have waited for too long.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.due.earliest().map(|(at, _)| at)
    }

    /// From here on nobody is held back; who is, is to be turned away.
    pub(crate) const fn begin_drain(&mut self) {
        self.is_draining = true;
    }

    /// Somebody who is held back in a drain.
    pub(crate) fn next_drained(&self) -> Option<Handle> {
        if !self.is_draining {
            return None;
        }
        let mut held = self.held.iter().filter(|held| held.account != NONE);
        held.next().map(|held| held.handle)
    }

    /// Frees, in their order, those for whom nothing is owed that was owed when they came.
    fn free_waiting(&mut self, account: u32) {
        loop {
            let Some(found) = self.account(account) else {
                return;
            };
            let oldest = self.owed_at(found.owed.head).map(|owed| owed.order);
            let first = found.held.head;
            let Some(held) = self.held_at(first).copied() else {
                return;
            };
            if oldest.is_some_and(|oldest| oldest < held.until) {
                return;
            }
            self.unqueue(first);
            self.freed.push_back(held.handle);
        }
    }

    /// Takes a request out of the queue of its account, if it stands in it.
    fn unqueue(&mut self, held: u32) {
        self.due.clear(held);
        let Some(place) = self.held_mut(held) else {
            return;
        };
        let account = core::mem::replace(&mut place.account, NONE);
        let Links { prev, next } = place.links;
        if account == NONE {
            return;
        }
        if let Some(before) = self.held_mut(prev) {
            before.links.next = next;
        }
        if let Some(after) = self.held_mut(next) {
            after.links.prev = prev;
        }
        if let Some(account) = self.account_mut(account) {
            if prev == NONE {
                account.held.head = next;
            }
            if next == NONE {
                account.held.tail = prev;
            }
        }
    }

    fn find(&self, issuer: IssuerId, token: PanToken) -> Option<u32> {
        let is_it = |account| {
            self.account(account)
                .is_some_and(|found| found.issuer == issuer && found.token == token)
        };
        self.index.find(key_of(issuer, token), is_it)
    }

    fn open(&mut self, issuer: IssuerId, token: PanToken) -> Option<u32> {
        let account = Account {
            issuer,
            token,
            owed: Ends::EMPTY,
            held: Ends::EMPTY,
            next_free: NONE,
        };
        let position = if let Some(free) = self.account(self.free_account).copied() {
            let position = self.free_account;
            self.free_account = free.next_free;
            *self.account_mut(position)? = account;
            position
        } else {
            let position = u32::try_from(self.accounts.len()).ok()?;
            self.accounts.push(account);
            position
        };
        self.index
            .insert(key_of(issuer, token), position)
            .then_some(position)
    }

    /// Forgets an account that nothing is owed for: nobody waits for it.
    fn close(&mut self, position: u32) {
        let Some(account) = self.account(position).copied() else {
            return;
        };
        if account.owed.head != NONE {
            return;
        }
        debug_assert_eq!(account.held.head, NONE, "who waits, waits for something");
        let key = key_of(account.issuer, account.token);
        self.index.remove(key, position);
        let free = self.free_account;
        if let Some(account) = self.account_mut(position) {
            account.next_free = free;
            self.free_account = position;
        }
    }

    fn place_of(&self, handle: Handle) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        let is_it = |held| self.held_at(held).is_some_and(|held| held.handle == handle);
        self.held_by.find(handle.index.into(), is_it)
    }

    fn vacant(&mut self) -> Option<u32> {
        if let Some(free) = self.held_at(self.free_held) {
            let position = self.free_held;
            self.free_held = free.links.next;
            return Some(position);
        }
        let position = u32::try_from(self.held.len()).ok()?;
        self.held.push(Held {
            handle: Handle::NONE,
            issuer: IssuerId(0),
            account: NONE,
            until: 0,
            links: Links {
                prev: NONE,
                next: NONE,
            },
        });
        Some(position)
    }

    /// There is a place for what is owed at this position.
    fn cover(&mut self, position: u32) {
        let nothing = Owed {
            account: NONE,
            order: 0,
            links: Links {
                prev: NONE,
                next: NONE,
            },
            paused: Instant::ZERO,
        };
        let places = usize::try_from(position).map_or(0, |place| place.saturating_add(1));
        if self.owed.len() < places {
            self.owed.resize(places, nothing);
        }
    }

    fn account(&self, position: u32) -> Option<&Account> {
        self.accounts.get(usize::try_from(position).ok()?)
    }

    fn account_mut(&mut self, position: u32) -> Option<&mut Account> {
        self.accounts.get_mut(usize::try_from(position).ok()?)
    }

    fn owed_at(&self, position: u32) -> Option<&Owed> {
        self.owed.get(usize::try_from(position).ok()?)
    }

    fn owed_mut(&mut self, position: u32) -> Option<&mut Owed> {
        self.owed.get_mut(usize::try_from(position).ok()?)
    }

    fn held_at(&self, position: u32) -> Option<&Held> {
        self.held.get(usize::try_from(position).ok()?)
    }

    fn held_mut(&mut self, position: u32) -> Option<&mut Held> {
        self.held.get_mut(usize::try_from(position).ok()?)
    }
}

impl Saf {
    /// Somebody waits for what is owed to the issuer for the account: what is ready goes ahead of
    /// the rest, and what pauses is due, though never sooner after its last attempt than after a
    /// first one. Of an account that is owed very much, only the oldest.
    pub(crate) fn hurry(&mut self, issuer: IssuerId, token: PanToken, now: Instant) {
        let account = self.live.find(issuer, token);
        let account = account.and_then(|account| self.live.account(account));
        let mut position = account.map_or(NONE, |account| account.owed.head);
        for _ in 0..HURRIED_MAX {
            let Some(owed) = self.live.owed_at(position).copied() else {
                return;
            };
            match self.get(position).map(|entry| entry.status) {
                Some(Status::Ready) => {
                    let is_ready = self.make_ready(position);
                    debug_assert!(is_ready, "its issuer is known");
                }
                Some(Status::Paused) => self.end_pause(position, owed.paused, now),
                Some(
                    Status::Vacant
                    | Status::Appended
                    | Status::Held
                    | Status::InFlight
                    | Status::Exception(_),
                )
                | None => {}
            }
            position = owed.links.next;
        }
    }

    fn end_pause(&mut self, position: u32, paused: Instant, now: Instant) {
        let at = paused.after(self.policy.backoff_first);
        if self.due_at(position).is_some_and(|due| due > at.max(now)) {
            self.due.set(position, at.max(now));
        }
    }

    /// An attempt has ended.
    pub(super) fn note_paused(&mut self, position: u32, now: Instant) {
        if let Some(owed) = self.live.owed_mut(position) {
            owed.paused = now;
        }
    }

    /// Whether somebody waits for this to end.
    pub(super) fn is_waited_for(&self, position: u32) -> bool {
        let owed = self.live.owed_at(position);
        let account = owed.and_then(|owed| self.live.account(owed.account));
        account.is_some_and(|account| account.held.head != NONE)
    }

    pub(super) fn push_front(&mut self, chain: Chain, ends: &mut Ends, position: u32) {
        let head = ends.head;
        if let Some(links) = self.links_mut(chain, position) {
            links.prev = NONE;
            links.next = head;
        }
        match self.links_mut(chain, head) {
            Some(first) => first.prev = position,
            None => ends.tail = position,
        }
        ends.head = position;
    }
}

fn key_of(issuer: IssuerId, token: PanToken) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = token.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ u64::from(issuer.0).rotate_right(16)
}

/// Entries that one request that comes to wait looks at: few enough for a turn.
const HURRIED_MAX: usize = 64;

#[cfg(test)]
mod tests;
