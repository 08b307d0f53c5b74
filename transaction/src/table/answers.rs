//! Room for the further fields of stored answers. They lie in one ring, so that of all answers only
//! the one at its tail stands in the way of others.

use domain::time::WallTime;

use super::Table;
use crate::arena::Span;

impl Table {
    /// Whether room is short for the answers of so many in flight.
    pub(crate) fn lacks_answers(&self, inflight: usize) -> bool {
        let answers = inflight.saturating_add(1).saturating_mul(ANSWER_BYTES_MAX);
        self.arena.free() < answers
    }

    /// Whose answer lies at the tail of the ring, if that may be forgotten. While room is short for
    /// answers nobody else's place is of use: theirs lie behind it.
    pub(crate) fn oldest_answer_to_forget(&self, wall: WallTime) -> Option<u32> {
        let owner = self.arena.oldest()?;
        self.may_forget(owner, wall).then_some(owner)
    }

    /// Moves the answer at the tail of the ring to its head, if it is kept for longer than the
    /// shortest window: it alone holds back all room behind it. `false` when nothing was moved, as
    /// when its window is not over: then the ring is full of what has to be kept.
    pub(crate) fn move_lasting_answer(&mut self, wall: WallTime) -> bool {
        let Some(owner) = self.arena.oldest() else {
            return false;
        };
        let windows = self.terms.iter().map(|term| term.windows.requests);
        let shortest = windows.min().unwrap_or_default();
        let kept = self.kept(owner);
        if kept.is_none_or(|kept| kept.since.after(shortest) >= wall) {
            return false;
        }
        let Some((owner, fields)) = self.arena.move_oldest() else {
            return false;
        };
        let handle = self.handle(owner);
        let Some(transaction) = handle.and_then(|handle| self.transaction_mut(handle)) else {
            debug_assert!(false, "an answer is of a transaction");
            return false;
        };
        transaction.answer.replace_fields(fields);
        true
    }

    /// Takes the bytes of the answer at the tail of the ring off an entry that may be forgotten.
    pub(crate) fn drop_oldest_answer(&mut self, wall: WallTime) -> bool {
        let owner = self.oldest_answer_to_forget(wall);
        let handle = owner.and_then(|owner| self.handle(owner));
        let found = handle.and_then(|handle| self.with_arena(handle));
        let Some((transaction, arena)) = found else {
            return false;
        };
        let fields = transaction.answer.replace_fields(Span::EMPTY);
        debug_assert!(!fields.is_empty(), "it lies at the tail");
        arena.free_span(fields);
        true
    }
}

/// Answers that one admission moves out of the way of others, at most: far more than it stores, so
/// that what is kept for days is passed by, and no turn is long.
pub(crate) const MOVES_MAX: u32 = 64;
/// Room that one answer may take in the arena, with its header and what a wrap may skip.
pub(super) const ANSWER_BYTES_MAX: usize = 1024 + 8;
const _: () = assert!(ANSWER_BYTES_MAX >= domain::request::Answer::FIELDS_LEN_MAX + 8);

#[cfg(test)]
mod tests;
