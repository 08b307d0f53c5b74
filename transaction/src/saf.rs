//! What is owed to the issuers: every reversal and every advice from its record until it has ended.
//!
//! In order per original, parallel across originals, with a bounded window per issuer. Nothing here
//! is ever dropped: an entry leaves when its end is journaled.

mod exceptions;
pub(crate) mod heap;
pub(crate) mod live;
mod order;
mod ramp;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use domain::ResponseCode;
use domain::ids::IssuerId;
use domain::message_reason::MessageReason;
use domain::record::{Completed, ReversalCause};
use domain::request::{DuplicateKey, FrameId, Transmission};
use domain::time::{Instant, WallTime};

use crate::input::{Handle, OwedId};
use crate::output::{Ended, Owed};
use crate::random::Random;
use crate::saf::heap::DueHeap;
use crate::saf::live::Live;
use crate::saf::order::{Order, OrderKeys};
use crate::saf::ramp::Ramp;
use crate::settings::{SafPolicy, Settings};
use crate::table::NONE;

/// All that the shard owes.
#[derive(Debug)]
pub(crate) struct Saf {
    entries: Vec<SafEntry>,
    /// Of what is owed; exceptions have their own bound.
    entries_max: usize,
    exceptions_max: usize,
    /// What advices say beyond the facts of their transactions, by position. Each is boxed for as
    /// long as it is owed: an issuer may be away for days.
    contents: Vec<Box<[u8]>>,
    content_bytes: usize,
    content_bytes_max: usize,
    free: u32,
    count: usize,
    exceptions: usize,
    issuers: Vec<Issuer>,
    /// Some issuer may have something ready and room for it.
    runnable: bool,
    /// When something that is ready may leave, as long as nothing may earlier.
    ramp_at: Option<Instant>,
    /// Response deadlines and ends of pauses.
    due: DueHeap,
    /// What is owed about one original, wherever it came from.
    order: Order,
    /// Requests that wait for some of it.
    pub(crate) live: Live,
    /// All that is owed by age; the head expires first.
    aging: Ends,
    /// What people have to look at; the head has waited longest for them.
    excepted: Ends,
    policy: SafPolicy,
    random: Random,
}

/// One owed reversal or advice, or one that has ended as an exception.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SafEntry {
    pub(crate) handle: Handle,
    /// Which of all that its transaction has owed, from 1.
    pub(crate) ordinal: u8,
    pub(crate) issuer: IssuerId,
    pub(crate) what: Owed,
    /// What an advice completes.
    pub(crate) completed: Option<Completed>,
    /// An advice that completes too much.
    pub(crate) is_over: bool,
    /// Names the acquirer's reversal; zero when the switch itself owes it.
    pub(crate) key: DuplicateKey,
    /// Minor units that stood before it.
    pub(crate) before: u64,
    /// Minor units that stay; `None` reverses all.
    pub(crate) replacement: Option<u64>,
    /// Why, where an acquirer has said so.
    pub(crate) reason: Option<MessageReason>,
    pub(crate) decided: WallTime,
    /// The frame of an acquirer that waits for the issuer's answer.
    pub(crate) waits: Option<FrameId>,
    /// Found in the journal at the start: it may have been sent before.
    pub(crate) found: bool,
    /// A start would owe it without its own record: what it is owed for is durable.
    pub(crate) foreseen: bool,
    pub(crate) attempts: u32,
    pub(crate) refusals: u8,
    /// The last DE39 of the issuer.
    pub(crate) code: Option<ResponseCode>,
    pub(crate) status: Status,
    /// The next one of the same transaction.
    pub(crate) next: u32,
    /// Nothing older of its original is owed, or was when it last asked.
    pub(crate) follows: bool,
    /// How often that was asked in vain.
    asked: u8,
    /// Under which keys it is found.
    keys: OrderKeys,
    expires: Instant,
    expired: bool,
    generation: u32,
    links: [Links; 2],
}

/// Where an owed reversal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The place is free.
    Vacant,
    /// Its record is not durable.
    Appended,
    /// Durable; waits for its leg to end or for an older reversal of its transaction.
    Held,
    /// Waits for room in the issuer's window.
    Ready,
    /// Sent; its response deadline runs.
    InFlight,
    /// Waits before it is sent again.
    Paused,
    /// Owed no longer: people look at it, and may put it back.
    Exception(Ended),
}

/// One issuer's window.
#[derive(Clone, Copy, Debug)]
struct Issuer {
    up: bool,
    inflight: u32,
    ready: Ends,
    ramp: Ramp,
    /// Requests need its links: one at a time.
    yields: bool,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    prev: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    head: u32,
    tail: u32,
}

/// Which of an entry's links.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
enum Chain {
    Ready = 0,
    Aging = 1,
}

impl Ends {
    const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
    };
}

impl SafEntry {
    /// A reversal that is to be sent for `handle`.
    pub(crate) const fn new(handle: Handle, issuer: IssuerId, what: Owed) -> Self {
        let unlinked = Links {
            prev: NONE,
            next: NONE,
        };
        Self {
            handle,
            ordinal: 0,
            issuer,
            what,
            completed: None,
            is_over: false,
            key: DuplicateKey(0),
            before: 0,
            replacement: None,
            reason: None,
            decided: WallTime::from_unix_millis(0),
            waits: None,
            found: false,
            foreseen: false,
            attempts: 0,
            refusals: 0,
            code: None,
            status: Status::Appended,
            next: NONE,
            follows: true,
            asked: 0,
            keys: OrderKeys::NONE,
            expires: Instant::FAR_FUTURE,
            expired: false,
            generation: 0,
            links: [unlinked; 2],
        }
    }

    /// Its name outside, at this position.
    pub(crate) const fn id(&self, position: u32) -> OwedId {
        OwedId {
            handle: self.handle,
            saf: position,
            generation: self.generation,
        }
    }

    //= docs/rules.md#V-07
    /// The origin digit of its latest transmission.
    pub(crate) const fn transmission(&self) -> Transmission {
        if self.found || self.attempts > 1 {
            Transmission::Repeat
        } else {
            Transmission::First
        }
    }
}

impl Saf {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (entries_max, policy) = (settings.saf_max, settings.saf);
        let exceptions_max = settings.exceptions_max;
        let places_max = entries_max.saturating_add(exceptions_max).saturating_add(1);
        let issuer = Issuer {
            up: false,
            inflight: 0,
            ready: Ends::EMPTY,
            ramp: Ramp::NONE,
            yields: false,
        };
        Self {
            entries: Vec::with_capacity(places_max),
            entries_max,
            exceptions_max,
            contents: Vec::new(),
            content_bytes: 0,
            content_bytes_max: settings.advice_bytes_max,
            free: NONE,
            count: 0,
            exceptions: 0,
            issuers: vec![issuer; settings.issuers],
            runnable: false,
            ramp_at: None,
            due: DueHeap::new(places_max),
            order: Order::new(entries_max, settings.seed),
            live: Live::new(settings, places_max),
            aging: Ends::EMPTY,
            excepted: Ends::EMPTY,
            policy,
            random: Random::new(settings.seed),
        }
    }

    /// Takes a reversal in; it expires `age` later than one that is decided at `now`.
    pub(crate) fn insert(&mut self, entry: SafEntry, age: Duration, now: Instant) -> Option<u32> {
        if self.count >= self.entries_max {
            return None;
        }
        let position = self.vacant()?;
        let generation = self.get(position).map_or(0, |old| old.generation);
        let expires = now.after(self.policy.expiry.saturating_sub(age));
        let place = usize::try_from(position).ok()?;
        *self.entries.get_mut(place)? = SafEntry {
            generation,
            expires,
            ..entry
        };
        self.count = self.count.saturating_add(1);
        let mut aging = self.aging;
        self.push_back(Chain::Aging, &mut aging, position);
        self.aging = aging;
        Some(position)
    }

    /// Keeps what an advice says.
    pub(crate) fn set_content(&mut self, position: u32, content: &[u8]) {
        let Ok(place) = usize::try_from(position) else {
            return;
        };
        if content.is_empty() && place >= self.contents.len() {
            return;
        }
        if self.contents.len() <= place {
            self.contents
                .resize_with(place.saturating_add(1), Box::default);
        }
        let Some(kept) = self.contents.get_mut(place) else {
            return;
        };
        let before = core::mem::replace(kept, Box::from(content));
        let freed = self.content_bytes.saturating_sub(before.len());
        self.content_bytes = freed.saturating_add(content.len());
    }

    /// What an advice says beyond the facts of its transaction.
    pub(crate) fn content(&self, position: u32) -> &[u8] {
        let place = usize::try_from(position).ok();
        let kept = place.and_then(|place| self.contents.get(place));
        kept.map_or(&[], |kept| kept)
    }

    /// Whether so many bytes more can be kept.
    pub(crate) const fn has_room_for(&self, len: usize) -> bool {
        self.content_bytes.saturating_add(len) <= self.content_bytes_max
    }

    /// Takes out what has ended.
    pub(crate) fn remove(&mut self, position: u32) {
        self.end(position);
        self.vacate(position);
    }

    /// Takes an entry out of what is owed; its place and its content stay.
    fn end(&mut self, position: u32) {
        self.withdraw(position);
        self.live.ended(position);
        let Some(entry) = self.get(position) else {
            return;
        };
        if !entry.expired {
            let mut aging = self.aging;
            self.unlink(Chain::Aging, &mut aging, position);
            self.aging = aging;
        }
        self.unindex(position);
        self.count = self.count.saturating_sub(1);
    }

    /// Frees the place of an entry that is in no list.
    fn vacate(&mut self, position: u32) {
        self.set_content(position, &[]);
        let free = self.free;
        if let Some(entry) = self.get_mut(position) {
            entry.status = Status::Vacant;
            entry.generation = entry.generation.wrapping_add(1);
            entry.next = free;
            self.free = position;
        }
    }

    /// Lets a held reversal go as soon as its issuer has room. `false` when there is no such
    /// issuer: it stays held.
    #[must_use]
    pub(crate) fn make_ready(&mut self, position: u32) -> bool {
        self.withdraw(position);
        let Some(number) = self.get(position).map(|entry| usize::from(entry.issuer.0)) else {
            return false;
        };
        let Some(issuer) = self.issuers.get(number) else {
            return false;
        };
        let mut ready = issuer.ready;
        if self.is_waited_for(position) {
            self.push_front(Chain::Ready, &mut ready, position);
        } else {
            self.push_back(Chain::Ready, &mut ready, position);
        }
        if let Some(issuer) = self.issuers.get_mut(number) {
            issuer.ready = ready;
        }
        self.set_status(position, Status::Ready);
        self.runnable = true;
        true
    }

    /// The next reversal that may leave; its attempt is counted and its response deadline runs.
    pub(crate) fn next_to_send(&mut self, now: Instant) -> Option<u32> {
        if self.ramp_at.is_some_and(|at| at <= now) {
            self.ramp_at = None;
            self.runnable = true;
        }
        if !self.runnable {
            return None;
        }
        let Some(position) = self.next_ready(now) else {
            self.runnable = false;
            return None;
        };
        self.withdraw(position);
        self.set_status(position, Status::InFlight);
        self.adjust_inflight(position, 1);
        let due = now.after(self.policy.response_timeout);
        let entry = self.get_mut(position)?;
        entry.attempts = entry.attempts.saturating_add(1);
        self.due.set(position, due);
        Some(position)
    }

    /// The first entry of an issuer that has room for it; else notes when one may have.
    fn next_ready(&mut self, now: Instant) -> Option<u32> {
        let (rate, window) = (self.policy.rate_after_up, self.policy.inflight_max);
        let mut later: Option<Instant> = None;
        for issuer in &mut self.issuers {
            let window = if issuer.yields { 1 } else { window };
            if !issuer.up || issuer.inflight >= window || issuer.ready.head == NONE {
                continue;
            }
            match rate.and_then(|rate| issuer.ramp.next_at(rate)) {
                Some(at) if at > now => later = Some(later.map_or(at, |other| other.min(at))),
                Some(_) | None => {
                    issuer.ramp.note_sent();
                    return Some(issuer.ready.head);
                }
            }
        }
        self.ramp_at = later;
        None
    }

    /// Waits before the next transmission: the longer, the more went unanswered.
    pub(crate) fn pause(&mut self, position: u32, now: Instant) {
        let attempts = self.get(position).map_or(0, |entry| entry.attempts);
        self.pause_for(position, attempts, now);
    }

    /// Waits as after so many transmissions.
    pub(crate) fn pause_for(&mut self, position: u32, attempts: u32, now: Instant) {
        self.withdraw(position);
        self.set_status(position, Status::Paused);
        self.note_paused(position, now);
        let pause = self.pause_after(attempts);
        self.due.set(position, now.after(pause));
    }

    /// The transmission did not happen: its attempt does not count.
    pub(crate) fn uncount_attempt(&mut self, position: u32) {
        if let Some(entry) = self.get_mut(position) {
            entry.attempts = entry.attempts.saturating_sub(1);
        }
    }

    /// An entry whose response deadline or pause has passed.
    pub(crate) fn due(&self, now: Instant) -> Option<u32> {
        let (at, position) = self.due.earliest()?;
        (at <= now).then_some(position)
    }

    /// An entry whose time has run out. One in flight is marked and ends with its answer or its
    /// response deadline; one that is held, when its turn comes.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<u32> {
        loop {
            let position = self.aging.head;
            let entry = self.get(position)?;
            if entry.expires > now || entry.status == Status::Appended {
                return None;
            }
            let ends_later = matches!(entry.status, Status::InFlight | Status::Held);
            let mut aging = self.aging;
            self.unlink(Chain::Aging, &mut aging, position);
            self.aging = aging;
            if let Some(entry) = self.get_mut(position) {
                entry.expired = true;
            }
            if !ends_later {
                return Some(position);
            }
        }
    }

    /// The issuer can be reached, or one more of its links.
    pub(crate) fn issuer_up(&mut self, issuer: IssuerId, now: Instant) {
        if let Some(issuer) = self.issuers.get_mut(usize::from(issuer.0)) {
            if !issuer.up {
                issuer.ramp = Ramp::begin(now);
            }
            issuer.up = true;
            self.runnable = true;
        }
    }

    /// The issuer cannot be reached: nothing leaves.
    pub(crate) fn issuer_down(&mut self, issuer: IssuerId) {
        if let Some(issuer) = self.issuers.get_mut(usize::from(issuer.0)) {
            issuer.up = false;
        }
    }

    /// Whether requests need the issuer's links.
    pub(crate) fn set_yield(&mut self, issuer: IssuerId, yields: bool) {
        if let Some(issuer) = self.issuers.get_mut(usize::from(issuer.0)) {
            issuer.yields = yields;
            self.runnable = true;
        }
    }

    /// When something here is next due.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        let due = self.due.earliest().map(|(at, _)| at);
        let aging = self.get(self.aging.head);
        let expiry = aging
            .filter(|entry| entry.status != Status::Appended)
            .map(|entry| entry.expires);
        [due, expiry, self.ramp_at].into_iter().flatten().min()
    }

    pub(crate) fn get(&self, position: u32) -> Option<&SafEntry> {
        self.entries.get(usize::try_from(position).ok()?)
    }

    pub(crate) fn get_mut(&mut self, position: u32) -> Option<&mut SafEntry> {
        self.entries.get_mut(usize::try_from(position).ok()?)
    }

    pub(crate) fn set_status(&mut self, position: u32, status: Status) {
        if let Some(entry) = self.get_mut(position) {
            entry.status = status;
        }
    }

    pub(crate) fn is_expired(&self, position: u32) -> bool {
        self.get(position).is_some_and(|entry| entry.expired)
    }

    /// Tells an entry from the next tenant of its position.
    pub(crate) fn generation(&self, position: u32) -> u32 {
        self.get(position).map_or(0, |entry| entry.generation)
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn knows_issuer(&self, issuer: IssuerId) -> bool {
        usize::from(issuer.0) < self.issuers.len()
    }

    /// Entries that are taken, with their positions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &SafEntry)> {
        self.iter_from(0)
    }

    /// Those from a position on.
    pub(crate) fn iter_from(&self, from: u32) -> impl Iterator<Item = (u32, &SafEntry)> {
        let before = usize::try_from(from).unwrap_or(usize::MAX);
        (0_u32..)
            .zip(&self.entries)
            .skip(before)
            .filter(|(_, entry)| entry.status != Status::Vacant)
    }

    /// How many positions there are.
    pub(crate) fn positions(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// When the response deadline or the pause of an entry ends.
    pub(crate) fn due_at(&self, position: u32) -> Option<Instant> {
        self.due.due_at(position)
    }

    pub(crate) fn inflight(&self, issuer: IssuerId) -> u32 {
        let issuer = self.issuers.get(usize::from(issuer.0));
        issuer.map_or(0, |issuer| issuer.inflight)
    }

    /// Takes an entry out of the place that its status names: ready queue, window or heap.
    fn withdraw(&mut self, position: u32) {
        let Some(entry) = self.get(position) else {
            return;
        };
        let number = usize::from(entry.issuer.0);
        match entry.status {
            Status::Ready => {
                let Some(issuer) = self.issuers.get(number) else {
                    return;
                };
                let mut ready = issuer.ready;
                self.unlink(Chain::Ready, &mut ready, position);
                if let Some(issuer) = self.issuers.get_mut(number) {
                    issuer.ready = ready;
                }
            }
            Status::InFlight => {
                self.due.clear(position);
                self.adjust_inflight(position, -1);
                self.runnable = true;
            }
            Status::Paused => self.due.clear(position),
            Status::Vacant | Status::Appended | Status::Held | Status::Exception(_) => {}
        }
        self.set_status(position, Status::Held);
    }

    fn adjust_inflight(&mut self, position: u32, by: i32) {
        let number = self.get(position).map(|entry| usize::from(entry.issuer.0));
        if let Some(issuer) = number.and_then(|number| self.issuers.get_mut(number)) {
            let changed = issuer.inflight.checked_add_signed(by);
            debug_assert!(changed.is_some(), "the window never goes below zero");
            issuer.inflight = changed.unwrap_or(0);
        }
    }

    /// First pause × 2 per attempt, at most the longest, and up to a fifth more or less.
    fn pause_after(&mut self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let pause = self.policy.backoff_first.saturating_mul(factor);
        let pause = pause.min(self.policy.backoff_max);
        let nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        let fifth = nanos / 5;
        let spread = fifth.saturating_mul(2).saturating_add(1);
        let jitter = self.random.draw().checked_rem(spread).unwrap_or(0);
        Duration::from_nanos(nanos.saturating_sub(fifth).saturating_add(jitter))
    }

    fn vacant(&mut self) -> Option<u32> {
        if let Some(entry) = self.get(self.free) {
            let position = self.free;
            self.free = entry.next;
            return Some(position);
        }
        if self.entries.len() >= self.entries.capacity() {
            debug_assert!(false, "there is a place for all that is counted");
            return None;
        }
        let position = u32::try_from(self.entries.len()).ok()?;
        let nobody = Handle {
            index: NONE,
            generation: 0,
        };
        let nothing = Owed::Reversal(ReversalCause::Timeout);
        let blank = SafEntry::new(nobody, IssuerId(0), nothing);
        self.entries.push(blank);
        Some(position)
    }

    fn push_back(&mut self, chain: Chain, ends: &mut Ends, position: u32) {
        let tail = ends.tail;
        if let Some(links) = self.links_mut(chain, position) {
            links.prev = tail;
            links.next = NONE;
        }
        match self.links_mut(chain, tail) {
            Some(last) => last.next = position,
            None => ends.head = position,
        }
        ends.tail = position;
    }

    fn unlink(&mut self, chain: Chain, ends: &mut Ends, position: u32) {
        let Some(links) = self.links_mut(chain, position) else {
            return;
        };
        let Links { prev, next } = *links;
        match self.links_mut(chain, prev) {
            Some(before) => before.next = next,
            None => ends.head = next,
        }
        match self.links_mut(chain, next) {
            Some(after) => after.prev = prev,
            None => ends.tail = prev,
        }
    }

    fn links_mut(&mut self, chain: Chain, position: u32) -> Option<&mut Links> {
        let entry = self.get_mut(position)?;
        let [ready, aging] = &mut entry.links;
        Some(match chain {
            Chain::Ready => ready,
            Chain::Aging => aging,
        })
    }
}
