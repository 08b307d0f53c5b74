//! All transactions and tombstones of the shard: a slab in chunks, an index by trace key, and the
//! finished ones in the order in which they may be forgotten, in one list for each length of time
//! that they are kept: what is kept longer than others holds none of them.

mod answers;
mod keeping;

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use domain::ids::AcquirerId;
use domain::record::{AdviceOrigin, LeftBehind, Tombstone};
use domain::request::{MessageKind, TraceKey};
use domain::time::WallTime;

use crate::arena::Arena;
use crate::index::KeyIndex;
use crate::input::Handle;
use crate::settings::{Chunks, Settings, Windows};
use crate::transaction::Transaction;
use answers::ANSWER_BYTES_MAX;
pub(crate) use answers::MOVES_MAX;
use keeping::{GaveWay, Kept, TERMS_MAX, Term, place_of};

/// No position.
pub(crate) const NONE: u32 = u32::MAX;

const CHUNK: usize = 1024;

/// The slab with its index and its lists.
#[derive(Debug)]
pub(crate) struct Table {
    chunks: Vec<Vec<Entry>>,
    entries_max: usize,
    /// [`Settings::live_max`].
    live_max: usize,
    len: usize,
    /// Linked through [`Entry::next`].
    free: u32,
    count: usize,
    index: KeyIndex,
    /// By what all messages of a transaction share; `reference.rs`.
    pub(crate) references: KeyIndex,
    /// By length of the windows; the first one is of acquirers that say nothing.
    terms: Vec<Term>,
    /// By acquirer, its place in `terms`.
    term_of: Vec<u8>,
    gave_way: GaveWay,
    pub(crate) arena: Arena,
    /// The latest admission that was forgotten.
    forgotten: WallTime,
}

/// One position of the slab.
#[derive(Debug)]
pub(crate) struct Entry {
    generation: u32,
    /// The next entry with the same trace key.
    same_trace: u32,
    prev: u32,
    next: u32,
    /// The transactions before and after it of the same reference.
    pub(crate) reference: [u32; 2],
    /// Which list of finished ones it is in.
    finished: Option<u8>,
    body: Body,
}

/// What lies at a position.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "entries lie in place: a box would be an allocation per transaction"
)]
pub(crate) enum Body {
    Vacant,
    Transaction(Transaction),
    Tombstone(Tombstone),
}

/// A doubly linked list through the entries. An entry is in one list at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    pub(crate) head: u32,
    pub(crate) tail: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
    };
}

impl Table {
    pub(crate) fn new(settings: &Settings, windows: &[Windows]) -> Self {
        let entries_max = settings.transactions_max.min(NONE as usize);
        let reserve = settings
            .inflight_max
            .saturating_add(1)
            .saturating_mul(ANSWER_BYTES_MAX);
        let mut table = Self {
            chunks: Vec::with_capacity(entries_max.div_ceil(CHUNK)),
            entries_max,
            live_max: Settings::live_max(entries_max),
            len: 0,
            free: NONE,
            count: 0,
            index: KeyIndex::new(entries_max, settings.seed),
            references: KeyIndex::new(entries_max, settings.seed),
            terms: vec![Term::new(settings.windows())],
            term_of: Vec::with_capacity(windows.len()),
            gave_way: GaveWay::new(windows.len()),
            arena: Arena::new(settings.answer_bytes_max.saturating_add(reserve)),
            forgotten: WallTime::default(),
        };
        for windows in windows {
            table.add_acquirer(*windows);
        }
        if settings.chunks == Chunks::Preallocated {
            while table.chunks.len() < table.chunks.capacity() {
                table.chunks.push(Vec::with_capacity(CHUNK));
            }
        }
        table
    }

    /// The next acquirer's. Beyond [`TERMS_MAX`] different ones the longest there is holds for it.
    fn add_acquirer(&mut self, windows: Windows) {
        let windows = windows.ordered();
        let same = self.terms.iter().position(|term| term.windows == windows);
        let place = match same {
            Some(place) => place,
            None if self.terms.len() < TERMS_MAX => {
                self.terms.push(Term::new(windows));
                self.terms.len().saturating_sub(1)
            }
            None => self.longest_term(),
        };
        self.term_of.push(u8::try_from(place).unwrap_or(0));
    }

    fn longest_term(&self) -> usize {
        let windows = |term: &Term| (term.windows.requests, term.windows.advices);
        let longest = self.terms.iter().enumerate();
        let longest = longest.max_by_key(|(_, term)| windows(term));
        longest.map_or(0, |(place, _)| place)
    }

    fn term_of(&self, acquirer: AcquirerId) -> usize {
        let place = self.term_of.get(usize::from(acquirer.0));
        place.copied().map_or(0, usize::from)
    }

    fn term(&self, acquirer: AcquirerId) -> Option<&Term> {
        self.terms.get(self.term_of(acquirer))
    }

    /// How long the copies of an acquirer are known.
    pub(crate) fn windows(&self, acquirer: AcquirerId) -> Windows {
        self.term(acquirer)
            .map_or(Windows::NONE, |term| term.windows)
    }

    /// Puts `body` into the table under its trace key. `None` when it is full.
    pub(crate) fn insert(&mut self, trace_key: TraceKey, body: Body) -> Option<Handle> {
        let index = self.vacant()?;
        let first = self.first(trace_key);
        let entry = self.entry_mut(index)?;
        entry.body = body;
        entry.same_trace = first.unwrap_or(NONE);
        entry.prev = NONE;
        entry.next = NONE;
        entry.finished = None;
        let generation = entry.generation;
        match first {
            Some(first) => self.index.replace(trace_key.0, first, index),
            None => {
                let inserted = self.index.insert(trace_key.0, index);
                debug_assert!(
                    inserted,
                    "the index holds as many keys as there are entries"
                );
            }
        }
        self.chain_reference(index);
        self.count = self.count.saturating_add(1);
        Some(Handle { index, generation })
    }

    /// Takes an entry out. It is in no list.
    pub(crate) fn remove(&mut self, index: u32) {
        let Some(trace_key) = self.trace_key(index) else {
            debug_assert!(false, "only what was inserted is removed");
            return;
        };
        self.unchain(trace_key, index);
        self.unchain_reference(index);
        if let Some(transaction) = self.at(index) {
            let fields = transaction.answer.fields();
            self.arena.free_span(fields);
        }
        let free = self.free;
        if let Some(entry) = self.entry_mut(index) {
            debug_assert!(entry.finished.is_none(), "it has left its list");
            entry.body = Body::Vacant;
            entry.generation = entry.generation.wrapping_add(1);
            entry.next = free;
            self.free = index;
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Whether a further entry fits, with the answers of `inflight` others still to come.
    pub(crate) fn has_room(&self, inflight: usize) -> bool {
        self.count < self.live_max && !self.lacks_answers(inflight)
    }

    /// A finished entry that may be forgotten, the oldest of its list.
    pub(crate) fn oldest_to_forget(&self, wall: WallTime) -> Option<u32> {
        let lists = self.terms.iter().flat_map(|term| &term.finished);
        let mut heads = lists.map(|list| list.head);
        let over = heads.find(|head| self.may_forget(*head, wall));
        over.or_else(|| {
            if self.count < self.live_max {
                return None;
            }
            // Requests need the room more than the days that advices are kept for.
            let advices = self.terms.iter().filter_map(|term| {
                let list = term.finished.get(usize::from(Kept::ADVICES))?;
                Some(list.head)
            });
            let mut heads = advices;
            heads.find(|head| self.may_forget_early(*head, wall))
        })
    }

    fn may_forget_early(&self, index: u32, wall: WallTime) -> bool {
        let kept = self.kept(index);
        let over = |kept: Kept| kept.least() < wall;
        kept.is_some_and(over) && self.is_finished(index)
    }

    /// Whether this entry is finished and no copy of it can be taken for an original any more.
    fn may_forget(&self, index: u32, wall: WallTime) -> bool {
        let kept = self.kept(index);
        let over = kept.is_some_and(|kept| kept.until() < wall);
        over && self.is_finished(index)
    }

    /// Forgets this entry, if it may be.
    pub(crate) fn forget(&mut self, index: u32, wall: WallTime) -> bool {
        let Some(kept) = self.kept(index) else {
            return false;
        };
        let is_advice = kept.kind == MessageKind::Advice;
        let over = self.may_forget(index, wall);
        if !(over || is_advice && self.may_forget_early(index, wall)) {
            return false;
        }
        let buries = matches!(self.body(index), Some(Body::Tombstone(_)));
        if let Some(term) = self.terms.get_mut(kept.term) {
            if is_advice {
                if over {
                    term.unknown_advice = term.unknown_advice.max(kept.least());
                } else {
                    self.gave_way.note(kept.acquirer, kept.least());
                }
                if buries {
                    term.unknown = term.unknown.max(kept.since.after(kept.least));
                }
            } else {
                term.unknown = term.unknown.max(kept.since.after(kept.longer));
            }
        }
        let admitted = self.at(index).map(|transaction| transaction.admitted);
        self.forgotten = self.forgotten.max(admitted.unwrap_or_default());
        self.unfinish(index);
        self.remove(index);
        true
    }

    /// The latest DE7 of an advice that gave way to requests, whoever sent it.
    pub(crate) fn gave_way(&self) -> WallTime {
        self.gave_way.latest()
    }

    /// Whether anything was.
    pub(crate) fn has_forgotten(&self) -> bool {
        let never = WallTime::default();
        let mut terms = self.terms.iter();
        terms.any(|term| term.unknown > never || term.unknown_advice > never)
            || self.gave_way.latest() > never
    }

    /// What was over then, by the windows of each, is unknown from here on; and whoever sent them,
    /// those advices.
    pub(crate) fn forget_before(&mut self, behind: LeftBehind) {
        for term in &mut self.terms {
            let Windows { requests, advices } = term.windows;
            term.unknown = term.unknown.max(behind.over.before(requests));
            term.unknown_advice = term.unknown_advice.max(behind.over.before(advices));
        }
        self.gave_way.note_of_anyone(behind.advices);
    }

    /// How many share this trace key. Bounded by [`CROWD_MAX`], as a search walks them all.
    pub(crate) fn crowd(&self, trace_key: TraceKey) -> Crowd {
        let nobody = Crowd {
            count: 0,
            oldest: NONE,
        };
        self.sharing(trace_key).fold(nobody, |crowd, index| Crowd {
            count: crowd.count.saturating_add(1),
            oldest: index,
        })
    }

    /// Until when a copy could still be taken for an original: the window after its admission or
    /// its DE7, whichever is later. For a tombstone twice the window, as its original's DE7 may lie
    /// ahead. No DE7 counts for more: what lies further ahead is not admitted, or only where no DE7
    /// is looked at. Advices, and tombstones as they may bury one, are kept for days beyond that.
    fn kept(&self, index: u32) -> Option<Kept> {
        let body = &self.entry(index)?.body;
        let acquirer = match body {
            Body::Vacant => return None,
            Body::Transaction(transaction) => transaction.facts.acquirer,
            Body::Tombstone(tombstone) => tombstone.acquirer,
        };
        let term = self.term_of(acquirer);
        let windows = self.windows(acquirer);
        let window = windows.requests;
        let days = windows.advices.saturating_sub(window);
        let (since, longer, least, kind) = match body {
            Body::Vacant => return None,
            Body::Transaction(transaction) => {
                let admitted = transaction.admitted;
                let sent = transaction.facts.trace.transmitted.resolve(admitted);
                let ahead = sent.unwrap_or(admitted).unix_millis();
                let ahead = ahead.saturating_sub(admitted.unix_millis());
                let ahead = Duration::from_millis(ahead);
                match transaction.advised {
                    Some(AdviceOrigin::Acquirer) => {
                        let is_known = transaction.facts.trace.transmitted.is_known();
                        let least = if is_known { ahead } else { days };
                        let longer = days.saturating_add(ahead);
                        (admitted, longer, least, MessageKind::Advice)
                    }
                    Some(AdviceOrigin::StandIn) | None => {
                        let longer = ahead.min(window);
                        (admitted, longer, longer, MessageKind::Request)
                    }
                }
            }
            // What it buries may be an advice.
            Body::Tombstone(tombstone) => {
                let longer = days.saturating_add(window);
                (tombstone.decided, longer, window, MessageKind::Advice)
            }
        };
        Some(Kept {
            since,
            longer,
            least,
            kind,
            window,
            term,
            acquirer,
        })
    }

    /// Marks an entry as one that may be forgotten when its time comes.
    pub(crate) fn finish(&mut self, index: u32) {
        let Some(kept) = self.kept(index) else {
            return;
        };
        let number = kept.number();
        match self.entry_mut(index) {
            Some(entry) if entry.finished.is_none() => entry.finished = Some(number),
            Some(_) | None => return,
        }
        let mut list = self.finished_list(number);
        self.push_back(&mut list, index);
        self.set_finished_list(number, list);
    }

    /// The entry lives again: a reversal is owed.
    pub(crate) fn unfinish(&mut self, index: u32) {
        let finished = self
            .entry_mut(index)
            .and_then(|entry| entry.finished.take());
        let Some(number) = finished else {
            return;
        };
        let mut list = self.finished_list(number);
        self.unlink(&mut list, index);
        self.set_finished_list(number, list);
    }

    fn finished_list(&self, number: u8) -> List {
        let (term, list) = place_of(number);
        let found = self
            .terms
            .get(term)
            .and_then(|term| term.finished.get(list));
        found.copied().unwrap_or(List::EMPTY)
    }

    fn set_finished_list(&mut self, number: u8, list: List) {
        let (term, place) = place_of(number);
        let term = self.terms.get_mut(term);
        if let Some(place) = term.and_then(|term| term.finished.get_mut(place)) {
            *place = list;
        }
    }

    /// Appends to a list that the entry is not in.
    pub(crate) fn push_back(&mut self, list: &mut List, index: u32) {
        let tail = list.tail;
        if let Some(entry) = self.entry_mut(index) {
            entry.prev = tail;
            entry.next = NONE;
        }
        match self.entry_mut(tail) {
            Some(last) => last.next = index,
            None => list.head = index,
        }
        list.tail = index;
    }

    /// Takes an entry out of the list that it is in.
    pub(crate) fn unlink(&mut self, list: &mut List, index: u32) {
        let Some(entry) = self.entry_mut(index) else {
            return;
        };
        let (prev, next) = (entry.prev, entry.next);
        entry.prev = NONE;
        entry.next = NONE;
        match self.entry_mut(prev) {
            Some(before) => before.next = next,
            None => list.head = next,
        }
        match self.entry_mut(next) {
            Some(after) => after.prev = prev,
            None => list.tail = prev,
        }
    }

    /// Puts `index` behind `place`, or first when `place` is none; not behind the tail.
    pub(crate) fn insert_after(&mut self, list: &mut List, index: u32, place: u32) {
        let next = self.entry(place).map_or(list.head, |before| before.next);
        if let Some(entry) = self.entry_mut(index) {
            entry.prev = place;
            entry.next = next;
        }
        match self.entry_mut(place) {
            Some(before) => before.next = index,
            None => list.head = index,
        }
        if let Some(after) = self.entry_mut(next) {
            after.prev = index;
        }
    }

    /// The entry before `index` in its list.
    pub(crate) fn previous_in_list(&self, index: u32) -> u32 {
        self.entry(index).map_or(NONE, |entry| entry.prev)
    }

    /// Positions that share this trace key, the newest first.
    pub(crate) fn sharing(&self, trace_key: TraceKey) -> Sharing<'_> {
        let next = self.first(trace_key).unwrap_or(NONE);
        Sharing { table: self, next }
    }

    pub(crate) fn transaction(&self, handle: Handle) -> Option<&Transaction> {
        match &self.live(handle)?.body {
            Body::Transaction(transaction) => Some(transaction),
            Body::Vacant | Body::Tombstone(_) => None,
        }
    }

    pub(crate) fn transaction_mut(&mut self, handle: Handle) -> Option<&mut Transaction> {
        let entry = self.entry_mut(handle.index)?;
        match &mut entry.body {
            Body::Transaction(transaction) if entry.generation == handle.generation => {
                Some(transaction)
            }
            Body::Transaction(_) | Body::Vacant | Body::Tombstone(_) => None,
        }
    }

    pub(crate) fn tombstone(&self, handle: Handle) -> Option<&Tombstone> {
        match &self.live(handle)?.body {
            Body::Tombstone(tombstone) => Some(tombstone),
            Body::Vacant | Body::Transaction(_) => None,
        }
    }

    /// The transaction at a position, if one lies there.
    pub(crate) fn at(&self, index: u32) -> Option<&Transaction> {
        match &self.entry(index)?.body {
            Body::Transaction(transaction) => Some(transaction),
            Body::Vacant | Body::Tombstone(_) => None,
        }
    }

    /// What lies at a position.
    pub(crate) fn body(&self, index: u32) -> Option<&Body> {
        self.entry(index).map(|entry| &entry.body)
    }

    /// The handle of whatever lies at a position.
    pub(crate) fn handle(&self, index: u32) -> Option<Handle> {
        let generation = self.entry(index)?.generation;
        Some(Handle { index, generation })
    }

    /// The transaction and the arena that its answer goes to.
    pub(crate) fn with_arena(&mut self, handle: Handle) -> Option<(&mut Transaction, &mut Arena)> {
        let chunk = self.chunks.get_mut(handle.index as usize / CHUNK)?;
        let entry = chunk.get_mut(handle.index as usize % CHUNK)?;
        match &mut entry.body {
            Body::Transaction(transaction) if entry.generation == handle.generation => {
                Some((transaction, &mut self.arena))
            }
            Body::Transaction(_) | Body::Vacant | Body::Tombstone(_) => None,
        }
    }

    /// Entries that are taken.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Positions that were ever taken.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Whether a transaction of that time may have been forgotten.
    pub(crate) fn may_have_forgotten(&self, sent: WallTime) -> bool {
        sent <= self.forgotten
    }

    /// Whether a copy that was sent then may be of what is forgotten. Older than the window, but
    /// after the wall clock was set back.
    pub(crate) fn may_be_unknown(&self, acquirer: AcquirerId, sent: WallTime) -> bool {
        self.term(acquirer).is_some_and(|term| sent <= term.unknown)
    }

    /// The same for an advice.
    pub(crate) fn may_be_unknown_advice(&self, acquirer: AcquirerId, sent: WallTime) -> bool {
        let term = self.term(acquirer);
        term.is_some_and(|term| sent <= term.unknown_advice) || sent <= self.gave_way.of(acquirer)
    }

    pub(crate) fn is_finished(&self, index: u32) -> bool {
        self.entry(index)
            .is_some_and(|entry| entry.finished.is_some())
    }

    fn live(&self, handle: Handle) -> Option<&Entry> {
        self.entry(handle.index)
            .filter(|entry| entry.generation == handle.generation)
    }

    fn first(&self, trace_key: TraceKey) -> Option<u32> {
        self.index.find(trace_key.0, |index| {
            self.trace_key(index) == Some(trace_key)
        })
    }

    fn trace_key(&self, index: u32) -> Option<TraceKey> {
        match &self.entry(index)?.body {
            Body::Vacant => None,
            Body::Transaction(transaction) => Some(transaction.facts.trace_key),
            Body::Tombstone(tombstone) => Some(tombstone.trace_key),
        }
    }

    fn unchain(&mut self, trace_key: TraceKey, index: u32) {
        let next = self.entry(index).map_or(NONE, |entry| entry.same_trace);
        let first = self.first(trace_key).unwrap_or(NONE);
        if first == index {
            if next == NONE {
                self.index.remove(trace_key.0, index);
            } else {
                self.index.replace(trace_key.0, index, next);
            }
            return;
        }
        let before = self.sharing(trace_key).find(|other| {
            self.entry(*other)
                .is_some_and(|entry| entry.same_trace == index)
        });
        if let Some(entry) = before.and_then(|before| self.entry_mut(before)) {
            entry.same_trace = next;
        }
    }

    /// A vacant position, out of the free list or at the end.
    fn vacant(&mut self) -> Option<u32> {
        if let Some(entry) = self.entry(self.free) {
            let index = self.free;
            self.free = entry.next;
            return Some(index);
        }
        if self.len >= self.entries_max {
            return None;
        }
        let index = u32::try_from(self.len).ok()?;
        if self.len / CHUNK >= self.chunks.len() {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks.get_mut(self.len / CHUNK)?.push(Entry::VACANT);
        self.len = self.len.saturating_add(1);
        Some(index)
    }

    pub(crate) fn entry(&self, index: u32) -> Option<&Entry> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    pub(crate) fn entry_mut(&mut self, index: u32) -> Option<&mut Entry> {
        let index = index as usize;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }
}

impl Entry {
    const VACANT: Self = Self {
        generation: 0,
        same_trace: NONE,
        prev: NONE,
        next: NONE,
        reference: [NONE, NONE],
        finished: None,
        body: Body::Vacant,
    };
}

/// The entries of one trace key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) count: usize,
    pub(crate) oldest: u32,
}

/// Entries that may share a trace key: an acquirer that never changes its STAN is slowed down
/// before it slows the shard down.
pub(crate) const CROWD_MAX: usize = 128;

/// Walks the entries of one trace key.
#[derive(Debug)]
pub(crate) struct Sharing<'a> {
    table: &'a Table,
    next: u32,
}

impl Iterator for Sharing<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let index = self.next;
        self.next = self.table.entry(index)?.same_trace;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_small() {
        let max = Settings::ENTRY_BYTES_MAX;
        assert!(size_of::<Entry>() <= max, "{}", size_of::<Entry>());
    }
}
