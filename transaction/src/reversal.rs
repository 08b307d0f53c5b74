//! What becomes of a reversal that an acquirer sends (semantics §3.3).
//!
//! | row | original | reversal | answer | toward the issuer |
//! |---|---|---|---|---|
//! | V01 | unknown | any | 00, tombstone durable first | nothing |
//! | V02 | a tombstone of this very reversal | any copy | 00 | nothing |
//! | V03 | undecided, nothing journaled | any | as V01; the original is withdrawn | nothing |
//! | V04 | intended, provably not sent | any | 00; closed as not sent | nothing |
//! | V05 | sent | any, in part too | 00 | owed in full if it approves or stays silent |
//! | V06 | declined, refused, not sent | any | 00 | nothing |
//! | V07 | timed out, invalid, reversed | any | 00 | no second reversal |
//! | V08 | approved | a copy of an accepted one | 00 | no second reversal |
//! | V09 | approved | above the original or what is left | 13 | nothing |
//! | V10 | approved | in full | 00 | owed in full |
//! | V11 | approved | in part | 00 | owed in part, the rest stays |
//! | V12 | approved | in part, and it changes nothing | 00 | nothing |
//! | V13 | reversed in part while sent, in an older journal | any | as V08 to V12 | behind the first |
//! | V14 | reversed in part three times | in part once more | 13 | nothing |
//! | V15 | held back | any | 00; refused as reversed | nothing |

use domain::profile::{Profile, ReversalAnswer};
use domain::record::{OutcomeKind, ReversalCause, SafResult, Tombstone};
use domain::request::{FrameId, Reversal};
use domain::time::WallTime;
use domain::{Amount, ResponseCode};

use crate::engine::Engine;
use crate::engine::owed::Due;
use crate::input::Handle;
use crate::output::{EntryKind, Event, LegEnding, Output, Reply, ReversalResult, StanReuse};
use crate::state::{Ending, Requested, Signal, State};
use crate::table::{Body, NONE};
use crate::transaction::{LateAnswer, Transaction};

/// What the table says of a known original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// V03.
    Withdraw,
    /// V04, V15.
    CloseUnsent,
    /// V05.
    WhileSent(Requested),
    /// V06, V12, V13.
    NothingOwed,
    /// V07, V08, V13.
    Copy,
    /// V09, V13, V14.
    TooMuch,
    /// V10, V11, V13.
    Accept(Requested),
}

impl Engine {
    pub(crate) fn on_reversal(&mut self, reversal: &Reversal) {
        let frame = reversal.frame;
        if !self.may_wait() {
            return self.refuse_reversal(reversal);
        }
        let Some(handle) = self.find_original(reversal) else {
            return self.bury(reversal);
        };
        let Some(original) = self.table.transaction(handle) else {
            return;
        };
        match verdict(original, reversal) {
            Verdict::Withdraw => {
                self.advance(handle, Signal::Reversal(requested(reversal)));
                self.bury(reversal);
            }
            Verdict::CloseUnsent => {
                self.advance(handle, Signal::Reversal(requested(reversal)));
                self.acknowledge(reversal, ReversalResult::NotSent);
            }
            Verdict::WhileSent(what) => {
                self.advance(handle, Signal::Reversal(waited_for(what, reversal)));
                self.answer_owed(handle, reversal, ReversalResult::InFlight);
            }
            Verdict::Accept(what) => self.accept_reversal(handle, reversal, what),
            Verdict::NothingOwed => self.acknowledge(reversal, ReversalResult::NothingOwed),
            Verdict::Copy if self.wait_with(handle, reversal) => {}
            Verdict::Copy => self.acknowledge(reversal, ReversalResult::Copy),
            Verdict::TooMuch => {
                self.count_of(reversal.acquirer, Event::Reversal(ReversalResult::TooMuch));
                self.acknowledge_now(frame, ResponseCode::INVALID_AMOUNT);
            }
        }
    }

    fn accept_reversal(&mut self, handle: Handle, reversal: &Reversal, what: Requested) {
        let promised = self.saf.count().saturating_add(self.load.exposed);
        let original = self.table.transaction(handle);
        let may_owe = original.is_some_and(|original| self.may_owe_reversal(original));
        if promised >= self.settings.saf_max || !may_owe {
            return self.refuse_reversal(reversal);
        }
        // An approval that nobody was told waits for a repeat no longer.
        if self
            .table
            .transaction(handle)
            .is_some_and(|found| !found.state.has_deadline())
        {
            self.deadlines.clear(&mut self.table, handle);
        }
        let what = waited_for(what, reversal);
        self.advance(handle, Signal::Reversal(what));
        self.bound_wait(handle);
        self.answer_owed(handle, reversal, ReversalResult::Accepted);
    }

    /// A reversal is durably owed, or is about to be.
    fn answer_owed(&mut self, handle: Handle, reversal: &Reversal, result: ReversalResult) {
        match reversal.answered {
            ReversalAnswer::WhenOwed => self.acknowledge(reversal, result),
            ReversalAnswer::OfIssuer => {
                self.count_of(reversal.acquirer, Event::Reversal(result));
                self.bound_wait(handle);
            }
        }
    }

    /// The newest transaction that the reversal can mean.
    fn find_original(&self, reversal: &Reversal) -> Option<Handle> {
        let meant = |index: &u32| {
            let transaction = self.table.at(*index);
            transaction.is_some_and(|transaction| transaction.is_meant_by(reversal))
        };
        let mut sharing = self.table.sharing(reversal.trace_key);
        sharing
            .find(meant)
            .and_then(|index| self.table.handle(index))
    }

    //= docs/rules.md#V-02
    /// V01, V02: the original, should it still come, is not forwarded.
    fn bury(&mut self, reversal: &Reversal) {
        let frame = reversal.frame;
        let told = reversal.profile.unknown_original.code();
        let is_copy = self.table.sharing(reversal.trace_key).any(|index| {
            matches!(
                self.table.body(index),
                Some(Body::Tombstone(tombstone)) if tombstone.key == reversal.key
            )
        });
        if is_copy {
            let copy = Event::Reversal(ReversalResult::Copy);
            self.count_of(reversal.acquirer, copy);
            return self.acknowledge_when_durable(frame, told);
        }
        let tombstone = Tombstone {
            transaction: self.next_id(reversal.slot),
            decided: self.clock.wall(),
            acquirer: reversal.acquirer,
            slot: reversal.slot,
            trace_key: reversal.trace_key,
            key: reversal.key,
            original: reversal.original,
        };
        let crowd = self.table.crowd(reversal.trace_key);
        if !self.make_room(crowd) {
            return self.refuse_reversal(reversal);
        }
        let body = Body::Tombstone(tombstone);
        let Some(handle) = self.table.insert(reversal.trace_key, body) else {
            return self.refuse_reversal(reversal);
        };
        self.journal(handle, EntryKind::Tombstone);
        self.table.finish(handle.index);
        let sent = reversal.original.transmitted;
        let sent = sent.and_then(|sent| sent.resolve(self.clock.wall()));
        let forgotten = sent.is_some_and(|sent: WallTime| self.table.may_have_forgotten(sent));
        let result = if forgotten {
            ReversalResult::Forgotten
        } else {
            ReversalResult::Unknown
        };
        self.count_of(reversal.acquirer, Event::Reversal(result));
        self.acknowledge_when_durable(frame, told);
    }

    /// V05: no answer to the original any more. The reversal is journaled at once, so that a
    /// restart knows what stays; it is held until the issuer has answered or its deadline has
    /// passed.
    pub(crate) fn reverse_in_flight(&mut self, handle: Handle, what: Requested) {
        self.discard_frame(handle);
        self.store_code(handle, self.code_of_reversed(handle));
        self.journal_outcome(handle, OutcomeKind::AcquirerReversed, None);
        self.take_back(handle, ReversalCause::Requested, what);
    }

    /// V10, V11, V13. An approval that was not told yet is never told (S4).
    pub(crate) fn reverse_further(&mut self, handle: Handle, what: Requested) {
        self.discard_frame(handle);
        self.take_back(handle, ReversalCause::Requested, what);
    }

    /// R9: what every copy of a reversed original is told.
    pub(crate) fn code_of_reversed(&self, handle: Handle) -> ResponseCode {
        let transaction = self.table.transaction(handle);
        let profile = transaction.map_or(Profile::PLAIN, |found| found.profile);
        profile.reversed_original.code()
    }

    //= docs/rules.md#V-09
    pub(crate) fn take_back(&mut self, handle: Handle, cause: ReversalCause, what: Requested) {
        self.count_reversal(handle, what.replacement.unwrap_or(0));
        let mut before = 0;
        if let Some((transaction, arena)) = self.table.with_arena(handle) {
            before = transaction.stands();
            transaction.take_back(what, arena);
        }
        let due = Due {
            cause,
            what,
            before,
        };
        self.owe_requested(handle, due);
    }

    /// The issuer approved, or may have: the held reversals go, in their order.
    pub(crate) fn release_held(
        &mut self,
        handle: Handle,
        ending: LegEnding,
        answered: Option<ResponseCode>,
    ) {
        self.end_leg(handle, ending);
        self.bound_wait(handle);
        if let Some(code) = answered {
            self.count(Event::LateResponse);
            self.journal(handle, EntryKind::LateResponse { code });
            if let Some(transaction) = self.table.transaction_mut(handle) {
                transaction.late = LateAnswer::of(code);
            }
        }
        let held = self.table.transaction(handle).map(|found| found.saf_head);
        self.release_if_first(held.unwrap_or(NONE));
    }

    /// The issuer moved nothing: the held reversals end without having been sent.
    pub(crate) fn drop_held(&mut self, handle: Handle, answered: Option<ResponseCode>) {
        let ending = answered.map_or(LegEnding::Unsent, LegEnding::Answered);
        self.end_leg(handle, ending);
        self.release_stan(handle, StanReuse::AtOnce);
        if let Some(transaction) = self.table.transaction_mut(handle) {
            transaction.left = 0;
            transaction.late = LateAnswer::Dropped;
        }
        while let Some(held) = self.first_owed(handle) {
            if let Some(entry) = self.saf.get_mut(held) {
                entry.code = answered;
            }
            self.end_owed(held, SafResult::Acknowledged);
        }
    }

    fn acknowledge(&mut self, reversal: &Reversal, result: ReversalResult) {
        self.count_of(reversal.acquirer, Event::Reversal(result));
        self.acknowledge_when_durable(reversal.frame, ResponseCode::APPROVED);
    }

    //= docs/rules.md#V-01
    fn acknowledge_when_durable(&mut self, frame: FrameId, code: ResponseCode) {
        self.reply_when_durable(frame, Reply::Acknowledge { code });
    }

    fn acknowledge_now(&mut self, frame: FrameId, code: ResponseCode) {
        let reply = Reply::Acknowledge { code };
        self.emit(Output::Reply { frame, reply });
    }

    /// No room to promise anything: the acquirer repeats it.
    fn refuse_reversal(&mut self, reversal: &Reversal) {
        let full = Event::Reversal(ReversalResult::Full);
        self.count_of(reversal.acquirer, full);
        self.acknowledge_now(reversal.frame, ResponseCode::MALFUNCTION);
    }
}

//= docs/rules.md#V-04
/// The table above, for a known original.
fn verdict(original: &Transaction, reversal: &Reversal) -> Verdict {
    match original.state {
        State::Assessing | State::Routing | State::Assigning | State::Locating => Verdict::Withdraw,
        State::HeldBack | State::Intended | State::Rerouting => Verdict::CloseUnsent,
        State::Sent => verdict_on_sent(original, reversal),
        State::Reversing => verdict_on_reversed(original, reversal),
        State::Settling(ending) | State::Settled(ending) => match ending {
            Ending::Refused | Ending::NotSent | Ending::Declined => Verdict::NothingOwed,
            Ending::TimedOut | Ending::Invalid | Ending::Reversed => Verdict::Copy,
            Ending::AcquirerReversed => verdict_on_reversed(original, reversal),
            Ending::Approved | Ending::PartlyReversed => verdict_on_approved(original, reversal),
        },
    }
}

//= docs/rules.md#V-16
fn verdict_on_sent(original: &Transaction, reversal: &Reversal) -> Verdict {
    let asked = original.facts.amount;
    if is_above(reversal, asked, asked) {
        return Verdict::TooMuch;
    }
    // Its acquirer has no approval of which a part could stay.
    Verdict::WhileSent(Requested {
        replacement: None,
        ..requested(reversal)
    })
}

//= docs/rules.md#V-05
/// V07, V13.
fn verdict_on_reversed(original: &Transaction, reversal: &Reversal) -> Verdict {
    if original.left == 0 {
        return Verdict::Copy;
    }
    verdict_on_approved(original, reversal)
}

fn verdict_on_approved(original: &Transaction, reversal: &Reversal) -> Verdict {
    if original.knows_reversal(reversal.key) {
        return Verdict::Copy;
    }
    let currency = original.facts.amount.currency();
    let Ok(left) = Amount::new(original.left, currency) else {
        return Verdict::TooMuch;
    };
    if is_above(reversal, original.facts.amount, left) {
        return Verdict::TooMuch;
    }
    let what = requested(reversal);
    if what.replacement == Some(original.left) {
        return Verdict::NothingOwed;
    }
    // A key that is forgotten would make its copy a new reversal, and above what is left.
    if what.replacement.is_some() && !original.has_room_for_reversal() {
        return Verdict::TooMuch;
    }
    Verdict::Accept(what)
}

//= docs/rules.md#V-06
/// DE4 names the original amount, DE95 what stays of it.
fn is_above(reversal: &Reversal, asked: Amount, left: Amount) -> bool {
    let stays_too_much = reversal
        .replacement
        .is_some_and(|stays| left.checked_sub(stays).is_none());
    let are_nothing = asked.minor() == 0 && reversal.amount.minor() == 0;
    let names_more = !are_nothing && asked.checked_sub(reversal.amount).is_none();
    names_more || stays_too_much
}

/// A replacement of nothing is a reversal of all.
fn requested(reversal: &Reversal) -> Requested {
    Requested {
        key: reversal.key,
        replacement: reversal
            .replacement
            .map(Amount::minor)
            .filter(|minor| *minor > 0),
        reason: reversal.reason,
        waits: None,
    }
}

/// The same, when its acquirer waits for the issuer's answer.
fn waited_for(what: Requested, reversal: &Reversal) -> Requested {
    let waits = match reversal.answered {
        ReversalAnswer::WhenOwed => None,
        ReversalAnswer::OfIssuer => Some(reversal.frame),
    };
    Requested { waits, ..what }
}

#[cfg(test)]
mod tests;
