//! Acquirers that wait for more than a durable record: for an issuer's answer to their reversal,
//! and those whose approval could not be told.
//!
//! | row | what waits | until | then |
//! |---|---|---|---|
//! | W01 | an 0400 that is forwarded | its reversal ends | what the issuer said; 00 when it was never sent |
//! | W02 | the same | the issuer may answer no longer | 91; the reversal stands and is repeated |
//! | W03 | the same, and a copy comes | as before | the copy takes its place |
//! | W04 | an approval that was not told | a repeat fetches it | nothing: it stands |
//! | W05 | the same | its reversal comes | as any other approval |
//! | W06 | the same | the duplicate window has passed | reversed |

use domain::ResponseCode;
use domain::profile::{ReversalAnswer, Undelivered};
use domain::record::{ReversalCause, SafResult};
use domain::request::{FrameId, Reversal};
use domain::result_code::CodeClass;

use crate::engine::Engine;
use crate::input::Handle;
use crate::output::{Event, Output, Reply, ReversalResult};
use crate::saf::SafEntry;
use crate::state::{Ending, Requested, Signal, State};
use crate::table::NONE;
use crate::transaction::Transaction;

impl Engine {
    /// W02: from here on the acquirer waits no longer than an issuer may take to acknowledge.
    pub(crate) fn bound_wait(&mut self, handle: Handle) {
        let Some(transaction) = self.table.transaction(handle) else {
            return;
        };
        let is_timed = transaction.state.has_deadline() || transaction.queue != u8::MAX;
        if !is_timed && self.first_waiting(handle).is_some() {
            self.set_deadline(handle, self.settings.saf.response_timeout);
        }
    }

    /// W03. `false` when nothing is owed by this name, or nobody waits for it.
    pub(crate) fn wait_with(&mut self, handle: Handle, reversal: &Reversal) -> bool {
        if reversal.answered == ReversalAnswer::WhenOwed {
            return false;
        }
        let is_it = |entry: &SafEntry| entry.key == reversal.key;
        let Some(saf) = self.find_owed(handle, is_it) else {
            return false;
        };
        let Some(entry) = self.saf.get_mut(saf) else {
            return false;
        };
        if let Some(frame) = entry.waits.replace(reversal.frame) {
            self.emit(Output::Discard { frame });
        }
        let copy = Event::Reversal(ReversalResult::Copy);
        self.count_of(reversal.acquirer, copy);
        self.bound_wait(handle);
        true
    }

    /// W01: the end of something owed, for the acquirer that waits for it.
    pub(crate) fn tell_waiting(&mut self, saf: u32, result: SafResult) {
        let Some(entry) = self.saf.get_mut(saf) else {
            return;
        };
        let Some(frame) = entry.waits.take() else {
            return;
        };
        let entry = *entry;
        let code = match (result, entry.code) {
            // The issuer moved nothing, or never had it to take back.
            (SafResult::Acknowledged, _) if entry.attempts == 0 => ResponseCode::APPROVED,
            (SafResult::Acknowledged | SafResult::Refused, Some(code)) => told(code),
            (SafResult::Acknowledged, None) => ResponseCode::APPROVED,
            (SafResult::Refused | SafResult::Expired | SafResult::Dropped, _) => {
                ResponseCode::ISSUER_TIMED_OUT
            }
        };
        self.reply_when_durable(frame, Reply::Acknowledge { code });
        let handle = entry.handle;
        let has_ended = self
            .table
            .transaction(handle)
            .is_some_and(|found| !found.state.has_deadline());
        if has_ended && self.first_waiting(handle).is_none() {
            self.deadlines.clear(&mut self.table, handle);
        }
    }

    /// A time has run out for a transaction that has ended: W02 or W06.
    pub(crate) fn on_wait_over(&mut self, handle: Handle) {
        let transaction = self.table.transaction(handle);
        if transaction.is_some_and(Transaction::is_owed_anew) {
            return self.owe_foreseen(handle);
        }
        let mut waiting = 0_usize;
        while let Some((saf, frame)) = self.first_waiting(handle) {
            waiting = waiting.saturating_add(1);
            if let Some(entry) = self.saf.get_mut(saf) {
                entry.waits = None;
            }
            let code = ResponseCode::ISSUER_TIMED_OUT;
            self.reply_when_durable(frame, Reply::Acknowledge { code });
        }
        let promised = self.saf.count().saturating_add(self.load.exposed);
        if waiting == 0 && promised < self.settings.saf_max {
            self.advance(handle, Signal::Deadline);
        } else if waiting == 0 {
            // No room to owe it yet.
            self.set_deadline(handle, self.settings.saf.response_timeout);
        }
    }

    /// W04: the answer found nobody.
    pub(crate) fn on_undelivered(&mut self, handle: Handle) {
        let Some(transaction) = self.table.transaction(handle) else {
            return self.count(Event::Stray);
        };
        let stands = transaction.state == State::Settled(Ending::Approved)
            && transaction.saf_head == NONE
            && transaction.exceptions == 0
            && transaction.advised.is_none();
        let is_reversed = transaction.profile.undelivered == Undelivered::Reverse;
        if stands && is_reversed && transaction.queue == u8::MAX {
            let window = self.table.windows(transaction.facts.acquirer).requests;
            self.table.unfinish(handle.index);
            self.set_deadline(handle, window);
        }
    }

    /// W04: a repeat is told what nobody was told.
    pub(crate) fn delivered_again(&mut self, handle: Handle) {
        let waits = self.table.transaction(handle).is_some_and(|found| {
            found.queue != u8::MAX && found.state == State::Settled(Ending::Approved)
        });
        if waits {
            self.deadlines.clear(&mut self.table, handle);
            self.finish_if_done(handle);
        }
    }

    /// W06.
    pub(crate) fn reverse_undelivered(&mut self, handle: Handle) {
        self.take_back(handle, ReversalCause::Undelivered, Requested::BY_NOBODY);
    }

    /// Whether a deadline is due to somebody who waits although the transaction has ended.
    pub(crate) fn is_waited_for(&self, index: u32, transaction: &Transaction) -> bool {
        let is_untold = transaction.state == State::Settled(Ending::Approved)
            && transaction.saf_head == NONE
            && transaction.frame.is_none()
            && transaction.exceptions == 0
            && transaction.profile.undelivered == Undelivered::Reverse
            && !self.table.is_finished(index);
        let handle = self.table.handle(index);
        is_untold
            || transaction.is_owed_anew()
            || handle.is_some_and(|handle| self.first_waiting(handle).is_some())
    }

    fn first_waiting(&self, handle: Handle) -> Option<(u32, FrameId)> {
        let saf = self.find_owed(handle, |entry| entry.waits.is_some())?;
        Some((saf, self.saf.get(saf)?.waits?))
    }

    /// The oldest of what a transaction owes that `is_it` says yes to. A transaction owes no more
    /// than its few partial reversals, one of all, and an advice.
    fn find_owed(&self, handle: Handle, is_it: impl Fn(&SafEntry) -> bool) -> Option<u32> {
        let mut saf = self.first_owed(handle)?;
        loop {
            let entry = self.saf.get(saf)?;
            if is_it(entry) {
                return Some(saf);
            }
            saf = entry.next;
        }
    }
}

/// An acknowledgement by any name is 00; a refusal is the issuer's own.
fn told(code: ResponseCode) -> ResponseCode {
    match code.class() {
        CodeClass::Approved | CodeClass::Administrative => ResponseCode::APPROVED,
        CodeClass::Declined | CodeClass::PickUp | CodeClass::Retryable => code.internal(),
    }
}

#[cfg(test)]
mod tests;
