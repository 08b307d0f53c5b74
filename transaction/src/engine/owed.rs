//! Owed reversals and advices: from their record to their end.

use core::time::Duration;

use domain::ResponseCode;
use domain::ids::Stan;
use domain::record::{ReversalCause, SafResult};
use domain::request::DuplicateKey;
use domain::response_code::ReversalEnding;

use crate::engine::{Effect, Engine};
use crate::input::{Handle, OwedId};
use crate::output::{Ended, EntryKind, Event, Output, Owed, StanReuse};
use crate::saf::{SafEntry, Status};
use crate::state::{Ending, Requested, State};
use crate::table::NONE;
use crate::transaction::{LateAnswer, Transaction};

impl Engine {
    /// Owes a reversal of the whole on the switch's own account.
    pub(crate) fn owe(&mut self, handle: Handle, cause: ReversalCause) {
        let transaction = self.table.transaction(handle);
        let due = Due {
            cause,
            what: Requested::BY_NOBODY,
            before: transaction.map_or(0, Transaction::stands),
        };
        self.owe_requested(handle, due);
    }

    /// Owes a reversal; it may leave when its record is durable.
    pub(crate) fn owe_requested(&mut self, handle: Handle, due: Due) {
        let Due {
            cause,
            what,
            before,
        } = due;
        let Some(transaction) = self.table.transaction(handle) else {
            return;
        };
        let Some(leg) = transaction.leg else {
            debug_assert!(false, "only what was sent is reversed");
            return;
        };
        let follows = !self.may_be_completed(transaction, cause);
        let decided = self.place_reversal(handle);
        let mut entry = SafEntry::new(handle, leg.issuer, Owed::Reversal(cause));
        entry.key = what.key;
        entry.before = before;
        entry.replacement = what.replacement;
        entry.reason = what.reason;
        entry.waits = what.waits;
        entry.follows = follows;
        entry.decided = decided;
        let Some(saf) = self.saf.insert(entry, Duration::ZERO, self.clock.now()) else {
            debug_assert!(false, "room for every reversal is taken at admission");
            return;
        };
        self.chain_owed(handle, saf);
        self.hold_requests_behind(saf);
        self.journal(handle, EntryKind::SafOwed { saf });
        self.count(Event::SafOwed { cause });
        let generation = self.saf.generation(saf);
        self.wait(Effect::Owed { saf, generation });
    }

    /// Appends to what the transaction owes; it lives until that is settled.
    pub(crate) fn chain_owed(&mut self, handle: Handle, saf: u32) {
        self.table.unfinish(handle.index);
        let decided = self.saf.get(saf).map(|entry| entry.decided);
        let Some(transaction) = self.table.transaction_mut(handle) else {
            return;
        };
        transaction.placed = transaction.placed.max(decided.unwrap_or_default());
        transaction.owed_count = transaction.owed_count.saturating_add(1);
        let ordinal = transaction.owed_count;
        let completes = transaction.answer.completes();
        if let Some(entry) = self.saf.get_mut(saf) {
            entry.ordinal = ordinal;
            // What reverses a completion stands in the order of what is completed.
            entry.follows &= completes.is_none();
        }
        self.index_owed(handle, saf);
        self.chain_last(handle, saf);
    }

    /// Puts an entry behind all that its transaction owes.
    pub(crate) fn chain_last(&mut self, handle: Handle, saf: u32) {
        let Some(transaction) = self.table.transaction_mut(handle) else {
            return;
        };
        let tail = core::mem::replace(&mut transaction.saf_tail, saf);
        if transaction.saf_head == NONE {
            transaction.saf_head = saf;
        }
        if let Some(last) = self.saf.get_mut(tail) {
            last.next = saf;
        }
    }

    pub(crate) fn on_owed_durable(&mut self, saf: u32, generation: u32) {
        if self.saf.generation(saf) == generation {
            self.saf.set_status(saf, Status::Held);
            self.release_if_first(saf);
        }
    }

    //= docs/rules.md#A-05
    /// Lets a durable reversal or advice go, unless its leg is open or an older one goes first.
    pub(crate) fn release_if_first(&mut self, saf: u32) {
        let Some(entry) = self.saf.get(saf).copied() else {
            return;
        };
        let owner = self.table.transaction(entry.handle);
        let free = owner.is_some_and(|transaction| {
            transaction.saf_head == saf && transaction.state != State::Reversing
        });
        if !free || entry.status != Status::Held {
            return;
        }
        if self.saf.is_expired(saf) {
            self.end_owed(saf, SafResult::Expired);
        } else {
            self.make_ready(saf);
        }
    }

    /// A reversal that nobody can be sent is an exception for people, never silence.
    pub(crate) fn make_ready(&mut self, saf: u32) {
        if !self.saf.make_ready(saf) {
            debug_assert!(
                false,
                "recovery and admission refuse an issuer that is unknown"
            );
            self.end_owed(saf, SafResult::Expired);
        }
    }

    /// One piece of the work on owed reversals.
    pub(crate) fn saf_step(&mut self) -> bool {
        let (now, until) = (self.clock.now(), self.expire_until);
        if let Some(saf) = self.saf.due(until) {
            self.on_saf_due(saf);
            return true;
        }
        if let Some(saf) = self.saf.expired(until) {
            self.end_owed(saf, SafResult::Expired);
            return true;
        }
        let Some(saf) = self.saf.next_to_send(now) else {
            return false;
        };
        if self.ask_before(saf) {
            return true;
        }
        if let Some(entry) = self.saf.get(saf) {
            let owed = entry.id(saf);
            let transmission = entry.transmission();
            self.emit(match entry.what {
                Owed::Reversal(_) => Output::SendReversal { owed, transmission },
                Owed::Advice(_) => Output::SendAdvice { owed, transmission },
            });
        }
        true
    }

    /// Its response deadline or its pause has passed.
    fn on_saf_due(&mut self, saf: u32) {
        match self.saf.get(saf).map(|entry| entry.status) {
            Some(Status::InFlight) => {
                self.give_up(saf);
                self.try_later(saf);
            }
            Some(Status::Paused) => self.make_ready(saf),
            Some(
                Status::Vacant
                | Status::Appended
                | Status::Held
                | Status::Ready
                | Status::Exception(_),
            )
            | None => {
                debug_assert!(false, "only what is in flight or paused is due");
            }
        }
    }

    //= docs/rules.md#V-08
    pub(crate) fn on_reversal_response(&mut self, owed: OwedId, code: ResponseCode) {
        let Some(saf) = self.still_owed(owed) else {
            return self.count(Event::Stray);
        };
        let Some(entry) = self.saf.get_mut(saf) else {
            return;
        };
        // An answer to an earlier transmission is as good as one to the latest.
        if entry.attempts == 0 {
            return self.count(Event::Stray);
        }
        entry.code = Some(code);
        let ending = match entry.what {
            Owed::Reversal(_) => code.reversal_ending(),
            Owed::Advice(_) => code.advice_ending(),
        };
        if ending == ReversalEnding::Refused {
            entry.refusals = entry.refusals.saturating_add(1);
        }
        let refusals = entry.refusals;
        self.give_up(saf);
        match ending {
            ReversalEnding::Settled => self.end_owed(saf, SafResult::Acknowledged),
            ReversalEnding::Refused if refusals >= REFUSALS_MAX => {
                self.end_owed(saf, SafResult::Refused);
            }
            ReversalEnding::Refused | ReversalEnding::Retry => self.try_later(saf),
        }
    }

    pub(crate) fn on_reversal_unsent(&mut self, owed: OwedId) {
        let saf = self.still_owed(owed);
        let status = saf
            .and_then(|saf| self.saf.get(saf))
            .map(|entry| entry.status);
        if let (Some(saf), Some(Status::InFlight)) = (saf, status) {
            self.saf.uncount_attempt(saf);
            self.try_later(saf);
        } else {
            self.count(Event::Stray);
        }
    }

    /// Nothing has moved at the issuer, so what was owed for its silence is not: as long as no byte
    /// of it has left (semantics §3.2, case c).
    pub(crate) fn on_late_decline(&mut self, handle: Handle, stan: Stan) {
        let Some(transaction) = self.table.transaction(handle) else {
            return self.count(Event::Stray);
        };
        // An issuer that has approved as well may hold the money: then the reversal stands.
        let is_it = transaction.state.ending() == Some(Ending::TimedOut)
            && transaction.late == LateAnswer::Declined
            && transaction.leg.is_some_and(|leg| leg.stan == stan);
        let Some(saf) = self.first_owed(handle).filter(|_| is_it) else {
            return;
        };
        let is_unsent = self
            .saf
            .get(saf)
            .is_some_and(|entry| entry.attempts == 0 && !entry.found);
        if is_unsent {
            if let Some(transaction) = self.table.transaction_mut(handle) {
                transaction.late = LateAnswer::Dropped;
            }
            self.end_owed(saf, SafResult::Acknowledged);
        }
    }

    //= docs/rules.md#V-17
    /// Owes a reversal that was dropped, where the issuer has approved behind its decline. Where
    /// there is no room, as soon as there is: nothing was reserved for it any more.
    pub(crate) fn owe_anew(&mut self, handle: Handle) {
        let is_owed = |transaction: &Transaction| transaction.is_owed_anew();
        if !self.table.transaction(handle).is_some_and(is_owed) {
            return;
        }
        self.table.unfinish(handle.index);
        let promised = self.saf.count().saturating_add(self.load.exposed);
        if promised >= self.settings.saf_max {
            return self.set_deadline(handle, self.settings.saf.response_timeout);
        }
        self.deadlines.clear(&mut self.table, handle);
        if let Some(transaction) = self.table.transaction_mut(handle) {
            transaction.late.owe();
        }
        self.owe(handle, ReversalCause::InvalidAnswer);
    }

    //= docs/rules.md#V-18
    /// The same where the approval is durable: a start would owe it too.
    pub(crate) fn owe_foreseen(&mut self, handle: Handle) {
        self.owe_anew(handle);
        let head = self.table.transaction(handle).map(|found| found.saf_head);
        let owed = self
            .owed_from(head.unwrap_or(NONE))
            .map(|(saf, _)| saf)
            .last();
        if let Some(entry) = owed.and_then(|saf| self.saf.get_mut(saf)) {
            entry.foreseen = entry.status == Status::Appended;
        }
    }

    /// The answer may have come to an earlier transmission over another link; the latest one, if
    /// it is out, must not stay pending on its own.
    pub(crate) fn give_up(&mut self, saf: u32) {
        let Some(entry) = self.saf.get(saf) else {
            return;
        };
        if entry.status == Status::InFlight && entry.follows {
            let owed = entry.id(saf);
            self.emit(Output::GiveUpReversal { owed });
        }
    }

    fn try_later(&mut self, saf: u32) {
        if self.saf.is_expired(saf) {
            return self.end_owed(saf, SafResult::Expired);
        }
        self.count(Event::SafRetry);
        self.saf.pause(saf, self.clock.now());
    }

    /// The reversal, if it is the one that its transaction owes first: only that one has left.
    pub(crate) fn still_owed(&self, owed: OwedId) -> Option<u32> {
        let first = self.first_owed(owed.handle)?;
        let same = first == owed.saf && self.saf.generation(first) == owed.generation;
        same.then_some(first)
    }

    pub(crate) fn first_owed(&self, handle: Handle) -> Option<u32> {
        let first = self.table.transaction(handle)?.saf_head;
        (first != NONE).then_some(first)
    }

    /// Journals the end of the oldest reversal of its transaction, and lets the next one go.
    pub(crate) fn end_owed(&mut self, saf: u32, result: SafResult) {
        let Some(entry) = self.saf.get(saf).copied() else {
            return;
        };
        let handle = entry.handle;
        let (code, attempts, what) = (entry.code, entry.attempts, entry.what);
        self.journal(
            handle,
            match what {
                Owed::Reversal(_) => EntryKind::SafDone {
                    result,
                    code,
                    attempts,
                },
                Owed::Advice(_) => EntryKind::AdviceDone {
                    result,
                    code,
                    attempts,
                },
            },
        );
        self.tell_waiting(saf, result);
        self.count(Event::SafEnded { what, result });
        self.leave_owed(handle, saf, Ended::of(result));
    }

    /// Takes something that has ended off its transaction: for good, or to the exceptions.
    pub(crate) fn leave_owed(&mut self, handle: Handle, saf: u32, ended: Option<Ended>) {
        if let Some(transaction) = self.table.transaction_mut(handle) {
            transaction.unwritten = transaction.unwritten.saturating_add(1);
            self.wait(Effect::Ended(handle));
        }
        let was_first = self.first_owed(handle) == Some(saf);
        let first = match ended {
            Some(ended) => self.except_owed(handle, saf, ended),
            None => {
                self.note_taken(handle, saf);
                self.drop_owed(handle, saf)
            }
        };
        if first == NONE {
            self.release_stan(handle, StanReuse::AfterLateWindow);
            self.finish_if_done(handle);
        } else if was_first {
            self.release_if_first(first);
        }
    }

    pub(crate) fn on_end_durable(&mut self, handle: Handle) {
        if let Some(transaction) = self.table.transaction_mut(handle) {
            debug_assert!(transaction.unwritten > 0, "each one is counted");
            transaction.unwritten = transaction.unwritten.saturating_sub(1);
            self.emit(Output::OwedEnded { handle });
        }
    }

    /// An older one must not follow it any more.
    pub(crate) fn note_taken(&mut self, handle: Handle, saf: u32) {
        let ordinal = self.saf.get(saf).map_or(0, |entry| entry.ordinal);
        if let Some(transaction) = self.table.transaction_mut(handle) {
            transaction.taken = transaction.taken.max(ordinal);
        }
    }

    /// Takes something out of both tables; returns what its transaction owes first then.
    pub(crate) fn drop_owed(&mut self, handle: Handle, saf: u32) -> u32 {
        let first = self.unchain_owed(handle, saf);
        self.saf.remove(saf);
        first
    }

    /// Moves something from what a transaction owes to what people look at; returns what it owes
    /// first then.
    pub(crate) fn except_owed(&mut self, handle: Handle, saf: u32, ended: Ended) -> u32 {
        let first = self.unchain_owed(handle, saf);
        if let Some(transaction) = self.table.transaction_mut(handle) {
            transaction.exceptions = transaction.exceptions.saturating_add(1);
        }
        if let Some(oldest) = self.saf.except(saf, ended) {
            self.forget_exception(oldest);
        }
        first
    }

    /// Whether `len` bytes of content can be kept. Exceptions that keep some give way, the oldest
    /// first: the journal has them all the same, and nobody may be kept from being promised
    /// anything until people have looked.
    pub(crate) fn make_room_for_content(&mut self, len: usize) -> bool {
        while let Some(oldest) = self.saf.exception_in_the_way(len) {
            self.forget_exception(oldest);
        }
        self.saf.has_room_for(len)
    }

    fn forget_exception(&mut self, saf: u32) {
        let handle = self.saf.get(saf).map(|entry| entry.handle);
        self.saf.forget_exception(saf);
        if let Some(handle) = handle {
            self.note_exception_left(handle);
            // That nobody looks at it any more does not make it done.
            if let Some(transaction) = self.table.transaction_mut(handle) {
                transaction.legs.note_failed();
            }
            self.finish_if_done(handle);
        }
    }

    pub(crate) fn note_exception_left(&mut self, handle: Handle) {
        if let Some(transaction) = self.table.transaction_mut(handle) {
            debug_assert!(transaction.exceptions > 0, "each one is counted");
            transaction.exceptions = transaction.exceptions.saturating_sub(1);
        }
    }

    /// Takes an entry out of what its transaction owes; returns the first of the rest.
    fn unchain_owed(&mut self, handle: Handle, saf: u32) -> u32 {
        let next = self.saf.get(saf).map_or(NONE, |entry| entry.next);
        let head = self.table.transaction(handle).map(|found| found.saf_head);
        let head = head.unwrap_or(NONE);
        let before = self.owed_before(head, saf);
        if let Some(last) = before.and_then(|before| self.saf.get_mut(before)) {
            last.next = next;
        }
        let first = if head == saf { next } else { head };
        if let Some(transaction) = self.table.transaction_mut(handle) {
            transaction.saf_head = first;
            if next == NONE {
                transaction.saf_tail = before.unwrap_or(NONE);
            }
        }
        first
    }

    /// The one that stands before `saf` in the chain that begins at `head`.
    fn owed_before(&self, head: u32, saf: u32) -> Option<u32> {
        self.owed_from(head)
            .find(|(_, entry)| entry.next == saf)
            .map(|(position, _)| position)
    }

    /// What a transaction owes, from one of its entries on.
    pub(crate) fn owed_from(&self, head: u32) -> impl Iterator<Item = (u32, &SafEntry)> {
        let mut next = head;
        core::iter::from_fn(move || {
            let position = next;
            let entry = self.saf.get(position)?;
            next = entry.next;
            Some((position, entry))
        })
    }

    /// Lets the table forget it in time, when the outcome is durable and nothing is owed.
    pub(crate) fn finish_if_done(&mut self, handle: Handle) {
        let done = self.table.transaction(handle).is_some_and(|transaction| {
            transaction.state.is_settled()
                && transaction.saf_head == NONE
                && !transaction.is_owed_anew()
                && transaction.exceptions == 0
        });
        if done {
            // Nobody waits for anything of it any more.
            self.deadlines.clear(&mut self.table, handle);
            self.table.finish(handle.index);
        }
    }
}

/// What is to be owed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) cause: ReversalCause,
    pub(crate) what: Requested,
    /// Minor units that stood before it.
    pub(crate) before: u64,
}

impl Requested {
    /// What the switch owes on its own account: all of it.
    pub(crate) const BY_NOBODY: Self = Self {
        key: DuplicateKey(0),
        replacement: None,
        reason: None,
        waits: None,
    };
}

/// After so many refusals the entry goes to people.
const REFUSALS_MAX: u8 = 3;

#[cfg(test)]
mod tests;
