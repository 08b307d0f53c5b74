//! What is owed about one original leaves in its order, whichever transactions and shards owe it:
//! an issuer that has not been told of the original knows nothing that could be completed (25), and
//! one that has reversed it completes it no more.
//!
//! The shard of the original deals out the places: each completion that names it, and each reversal
//! of it, gets a time later than the one before. That time is all that is compared, so that nobody
//! waits for somebody who waits for him. Before the first transmission of what has a place, the
//! shell asks all shards whether something with an earlier one is owed; if so, it waits and asks
//! again. The journal keeps the time. What reverses a completion has its place from the shard of
//! the completion, behind its own; of a completion request (0202) nothing is kept, as it was never
//! owed.
//!
//! Which places were given before a start, the shard of the original does not find in its journal:
//! those of completions are with whoever owes them. So a start tells all shards the latest place of
//! anything that any of them owes, and what is accepted about an original from before it comes
//! behind that, also where the clock was set back.

use core::time::Duration;

use domain::ids::TransactionId;
use domain::record::{OwedKind, ReversalCause};
use domain::time::WallTime;

use crate::engine::Engine;
use crate::input::{Handle, OwedId};
use crate::output::{Event, Output, Owed};
use crate::saf::{SafEntry, Status};
use crate::transaction::Transaction;

/// Who would leave, for a shard to say whether it owes something older about the same original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OlderQuery {
    /// About what.
    pub original: TransactionId,
    /// Who owes it.
    pub transaction: TransactionId,
    /// Reversal or advice.
    pub kind: OwedKind,
    /// Its place.
    pub decided: WallTime,
}

impl Engine {
    /// Whether this shard owes an issuer something about an original that goes before this.
    #[must_use]
    pub fn owes_older(&self, query: &OlderQuery) -> bool {
        let own = |saf| {
            self.owner_of(saf).is_some_and(|(entry, owner)| {
                let goes_first =
                    matches!(entry.what, Owed::Advice(_)) || is_older(entry, owner, query);
                owner.id == query.original && owner.id != query.transaction && goes_first
            })
        };
        // A completion may be completed itself: its reversal waits for that too.
        let is_completed = match query.kind {
            OwedKind::Reversal => self.owes_older_about(query.transaction, query),
            OwedKind::Advice => false,
        };
        is_completed
            || self.saf.owes(query.original, own)
            || self.owes_older_about(query.original, query)
    }

    /// Completions of this transaction, and what reverses them.
    fn owes_older_about(&self, original: TransactionId, query: &OlderQuery) -> bool {
        self.saf.is_owed_about(original, |saf| {
            self.owner_of(saf).is_some_and(|(entry, owner)| {
                owner.answer.completes() == Some(original)
                    && owner.id != query.transaction
                    && is_older(entry, owner, query)
            })
        })
    }

    fn owner_of(&self, saf: u32) -> Option<(&SafEntry, &Transaction)> {
        let entry = self.saf.get(saf)?;
        Some((entry, self.table.transaction(entry.handle)?))
    }

    //= docs/rules.md#V-12
    /// The latest place of what is owed here, or people may put back, or was owed about what is
    /// still known, which may be reversed from there: for all shards, of which each is told the
    /// latest of all by [`Self::begin_places_behind`]. When the journal has been fed.
    #[must_use]
    pub fn latest_place(&self) -> WallTime {
        let owed = self.saf.iter().map(|(_, entry)| entry.decided);
        let len = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        let known = (0..len).filter_map(|index| self.table.at(index));
        let places = owed.chain(known.map(|transaction| transaction.placed));
        places.max().unwrap_or_default()
    }

    /// What is accepted from here on about originals from before this start has its place behind
    /// this.
    pub fn begin_places_behind(&mut self, latest: WallTime) {
        self.placed_behind = self.placed_behind.max(latest);
    }

    /// The earliest place that something about an original may get when the clock says `wall`.
    fn earliest_place(&self, original: Handle, wall: WallTime) -> WallTime {
        let transaction = self.table.transaction(original);
        let is_earlier = transaction.is_some_and(|original| self.is_of_earlier_start(original));
        match is_earlier && self.placed_behind > WallTime::default() {
            true => wall.max(self.placed_behind.after(MOMENT)),
            false => wall,
        }
    }

    fn is_of_earlier_start(&self, transaction: &Transaction) -> bool {
        transaction.id.start() != self.settings.start & START_BITS
    }

    /// The place of a completion that was taken at `taken` and names this transaction.
    pub(crate) fn place_behind(&mut self, original: Handle, taken: WallTime) -> Option<WallTime> {
        let taken = self.earliest_place(original, taken);
        let transaction = self.table.transaction_mut(original)?;
        Some(transaction.place_next(taken, MOMENT))
    }

    /// What a completion owes is found by what it completes from here on; its own reversal gets a
    /// place behind its own, also when the issuer has long acknowledged the completion.
    pub(crate) fn take_place(&mut self, completion: Handle, original: TransactionId) {
        let saf = self.first_owed(completion);
        let decided = saf
            .and_then(|saf| self.saf.get(saf))
            .map(|entry| entry.decided);
        let owner = self.table.transaction_mut(completion);
        if let (Some(saf), Some(decided), Some(owner)) = (saf, decided, owner) {
            owner.placed = owner.placed.max(decided);
            // Its record has no other time than that at which it was taken.
            owner.admitted = owner.admitted.max(decided);
            owner.answer.set_completes(Some(original));
            self.index_owed(completion, saf);
        }
    }

    //= docs/rules.md#V-14
    /// Whether this shard may owe one completion more of an original: each question about it walks
    /// what is owed about it.
    pub(crate) fn may_owe_about(&self, original: TransactionId) -> bool {
        self.owed_about(original, COMPLETIONS_MAX) < COMPLETIONS_MAX
    }

    //= docs/rules.md#V-14
    /// Whether one reversal more of a completion may be owed; of anything else, always.
    pub(crate) fn may_owe_reversal(&self, of: &Transaction) -> bool {
        of.answer.completes().is_none_or(|original| {
            self.owed_about(original, COMPLETIONS_REVERSED_MAX) < COMPLETIONS_REVERSED_MAX
        })
    }

    /// How much this shard owes about an original for others; at most `max` are counted.
    fn owed_about(&self, original: TransactionId, max: usize) -> usize {
        let mut count = 0_usize;
        self.saf.is_owed_about(original, |saf| {
            let is_it = self
                .owner_of(saf)
                .is_some_and(|(_, owner)| owner.answer.completes() == Some(original));
            count = count.saturating_add(usize::from(is_it));
            count >= max
        });
        count
    }

    /// Lets what a transaction owes be found for as long as it does.
    pub(crate) fn index_owed(&mut self, handle: Handle, saf: u32) {
        if let Some(owner) = self.table.transaction(handle) {
            self.saf.index(saf, owner.id, owner.answer.completes());
        }
    }

    /// The place of a reversal. It is its DE7 too, which names it together with its STAN: two of
    /// one transaction never share a second.
    pub(crate) fn place_reversal(&mut self, original: Handle) -> WallTime {
        let wall = self.earliest_place(original, self.clock.wall());
        let Some(transaction) = self.table.transaction_mut(original) else {
            return wall;
        };
        let apart = if transaction.was_reversed_before() {
            Duration::from_secs(1)
        } else {
            MOMENT
        };
        transaction.place_next(wall, apart)
    }

    /// Whether a reversal may have to wait for a completion: of what has ended otherwise than by an
    /// answer there is none, and of what this process has admitted it knows who named it.
    pub(crate) fn may_be_completed(&self, original: &Transaction, cause: ReversalCause) -> bool {
        is_of_answered(cause) && (original.has_place() || self.is_of_earlier_start(original))
    }

    //= docs/rules.md#A-05
    //= docs/rules.md#V-12
    /// Lets the shell ask before something with a place leaves for the first time. `false` when it
    /// may leave.
    pub(crate) fn ask_before(&mut self, saf: u32) -> bool {
        let waits = self.owner_of(saf).filter(|(entry, _)| !entry.follows);
        let Some((entry, owner)) = waits else {
            return false;
        };
        let owed = entry.id(saf);
        let query = OlderQuery {
            original: owner.answer.completes().unwrap_or(owner.id),
            transaction: owner.id,
            kind: entry.what.kind(),
            decided: entry.decided,
        };
        self.saf.uncount_attempt(saf);
        self.emit(Output::AskOlder { owed, query });
        true
    }

    pub(crate) fn on_older(&mut self, owed: OwedId, is_owed: bool) {
        let waits = |saf: &u32| {
            let entry = self.saf.get(*saf);
            entry.is_some_and(|entry| entry.status == Status::InFlight && !entry.follows)
        };
        let Some(saf) = self.still_owed(owed).filter(waits) else {
            return self.count(Event::Stray);
        };
        if is_owed {
            let asked = self.saf.note_asked(saf);
            return self.saf.pause_for(saf, asked, self.clock.now());
        }
        if let Some(entry) = self.saf.get_mut(saf) {
            entry.follows = true;
        }
        self.make_ready(saf);
    }
}

/// Whether something can have been completed that is reversed for this cause.
pub(crate) const fn is_of_answered(cause: ReversalCause) -> bool {
    match cause {
        ReversalCause::Requested | ReversalCause::Undelivered => true,
        ReversalCause::Timeout | ReversalCause::InvalidAnswer | ReversalCause::Restart => false,
    }
}

/// The same on every shard and after a restart, and never both ways.
fn is_older(entry: &SafEntry, owner: &Transaction, query: &OlderQuery) -> bool {
    (entry.decided, owner.id) < (query.decided, query.transaction)
}

/// Completions of one original, and what reverses some, that a shard takes on at a time.
pub(crate) const COMPLETIONS_MAX: usize = 128;
/// As many may be owed when a completion is reversed: of those that were acknowledged long ago too.
pub(crate) const COMPLETIONS_REVERSED_MAX: usize = 4 * COMPLETIONS_MAX;

/// As many bits as an id has of the start counter.
const START_BITS: u32 = 0x000F_FFFF;

/// What is decided is kept to the millisecond.
const MOMENT: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
