//! Folds the journal into the table after a restart (journal.md §6).
//!
//! | row | found | becomes |
//! |---|---|---|
//! | P01 | intent without outcome | timed out, a reversal owed, in one turn; or P11 |
//! | P02 | outcome "timed out", "invalid" or "reversed by the acquirer", no reversal owed | owed |
//! | P03 | outcome without reply | kept: a repeat gets it |
//! | P04 | reversal owed, not done | queued, its next transmission is a repeat |
//! | P05 | reversal owed and done | nothing more is owed |
//! | P06 | outcome "not sent", then another intent | the other intent decides |
//! | P07 | tombstone, refusal | kept |
//! | P08 | advice, or approval in place of an issuer | kept; its advice owed as in P04, P05 |
//! | P09 | an operator put it back, or took it out | as P04, or an exception |
//! | P10 | a reversal dropped for a decline, then a late approval, no other one owed | owed |
//! | P11 | intent without outcome, whose issuer can be asked, until its time is over | in flight |

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use domain::ids::{IssuerId, LinkId, Stan, TransactionId};
use domain::record::{
    Advised, Carriage, Intent, LateResponse, Operated, Operation, Outcome, OutcomeKind, Record,
    Refused, ReversalCause, SafDone, SafOwed, SafResult,
};
use domain::request::{Answer, IssuerLeg, TraceKey};
use domain::time::WallTime;
use domain::{Amount, ResponseCode};

use crate::engine::Engine;
use crate::engine::following::is_of_answered;
use crate::error::RecoverError;
use crate::index::KeyIndex;
use crate::input::Handle;
use crate::output::{Ended, Owed};
use crate::saf::{SafEntry, Status};
use crate::state::{Ending, Requested, Signal, State};
use crate::table::{Body, MOVES_MAX, NONE};
use crate::transaction::{LateAnswer, Transaction};

/// What only a recovery needs.
#[derive(Debug)]
pub(crate) struct Replay {
    /// From a transaction's id to its position.
    by_id: KeyIndex,
    /// The next position to close; `None` while the journal is being fed.
    cursor: Option<u32>,
    /// The latest time that a record names: what could be forgotten when it was written may be
    /// forgotten here. What is over only since then may be named by a record further on.
    reached: WallTime,
    /// The latest number of each link.
    latest: BTreeMap<LinkId, Stan>,
    /// Of those, what legs that are carried over do not replace.
    told: BTreeSet<LinkId>,
    /// Of the record that is being fed.
    carriage: Carriage,
}

impl Engine {
    pub(crate) fn replay_record(&mut self, record: &Record<'_>) -> Result<(), RecoverError> {
        if let Some(at) = written_at(record) {
            let replay = self.replaying();
            replay.reached = replay.reached.max(at);
        }
        match record {
            Record::Intent(intent) => {
                self.note_leg(&intent.leg);
                self.replay_intent(intent)
            }
            Record::Refused(refused) => self.replay_refused(refused),
            Record::Outcome(outcome) => {
                self.replay_outcome(outcome);
                Ok(())
            }
            Record::SafOwed(owed) => self.replay_owed(owed),
            Record::SafDone(done) => {
                self.replay_done(done);
                Ok(())
            }
            Record::Tombstone(tombstone) => {
                let body = Body::Tombstone(*tombstone);
                let handle = self.replay_insert(tombstone.trace_key, body)?;
                self.table.finish(handle.index);
                Ok(())
            }
            Record::Advised(advised) => {
                if let Some(leg) = &advised.leg {
                    self.note_leg(leg);
                }
                self.replay_advised(advised)
            }
            Record::AdviceDone(done) => {
                self.replay_done(done);
                Ok(())
            }
            Record::Operated(operated) => {
                self.replay_operated(operated);
                Ok(())
            }
            Record::Day(day) => {
                self.book.replay_day(day);
                Ok(())
            }
            Record::Totals(totals) => {
                self.book.replay_totals(totals);
                Ok(())
            }
            Record::Reconciled(reconciled) => {
                self.book.replay_result(reconciled);
                Ok(())
            }
            Record::ReconciliationOwed(owed) => {
                let (now, wall) = (self.clock.now(), self.clock.wall());
                self.book.owed.replay(*owed, now, wall);
                Ok(())
            }
            Record::ReconciliationDone(done) => {
                self.book.owed.replay_done(done);
                Ok(())
            }
            Record::LateResponse(late) => {
                self.replay_late(late);
                Ok(())
            }
        }
    }
}

impl Engine {
    pub(crate) fn end_replay(&mut self) -> Result<(), RecoverError> {
        let len = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        let mut unowed = 0_usize;
        for transaction in (0..len).filter_map(|index| self.table.at(index)) {
            let must_owe = must_owe(transaction);
            unowed = unowed.saturating_add(usize::from(must_owe));
            let owes = must_owe || transaction.is_owed_anew() || transaction.saf_head != NONE;
            let unknown = |leg: &IssuerLeg| !self.saf.knows_issuer(leg.issuer);
            if let Some(leg) = transaction.leg.filter(|leg| owes && unknown(leg)) {
                return Err(RecoverError::UnknownIssuer(leg.issuer.0));
            }
        }
        if self.saf.count().saturating_add(unowed) > self.settings.saf_max {
            return Err(RecoverError::SafExhausted);
        }
        let replay = self.replaying();
        replay.by_id = KeyIndex::new(0, 0);
        replay.cursor = Some(0);
        replay.carriage = Carriage::Fresh;
        self.open_book();
        Ok(())
    }

    //= docs/rules.md#J-05
    /// Closes the next transaction that the crash left open. `false` when all are closed.
    pub(crate) fn replay_step(&mut self) -> bool {
        let Some(cursor) = self.replay.as_ref().and_then(|replay| replay.cursor) else {
            return false;
        };
        let len = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        let open = (cursor..len).find(|index| {
            let transaction = self.table.at(*index);
            transaction.is_some_and(|found| {
                must_owe(found) || found.is_owed_anew() || found.saf_head != NONE
            })
        });
        let handle = open.and_then(|index| self.table.handle(index));
        let (Some(index), Some(handle)) = (open, handle) else {
            self.replay = None;
            return false;
        };
        self.close_replayed(handle);
        if let Some(replay) = &mut self.replay {
            replay.cursor = Some(index.saturating_add(1));
        }
        true
    }

    fn note_leg(&mut self, leg: &IssuerLeg) {
        let replay = self.replaying();
        if !replay.carriage.is_carried() || !replay.told.contains(&leg.link) {
            replay.latest.insert(leg.link, leg.stan);
        }
    }

    pub(crate) fn replay_after(&mut self, link: LinkId, stan: Stan) {
        let replay = self.replaying();
        replay.latest.insert(link, stan);
        replay.told.insert(link);
    }

    //= docs/rules.md#T-10
    fn close_replayed(&mut self, handle: Handle) {
        let Some(transaction) = self.table.transaction(handle) else {
            return;
        };
        if transaction.state == State::Sent {
            if self.can_resume(transaction) {
                return self.resume(handle);
            }
            self.advance(handle, Signal::Deadline);
        } else if transaction.is_owed_anew() {
            self.owe_foreseen(handle);
        } else if must_owe(transaction) {
            self.owe(handle, ReversalCause::Restart);
        } else {
            self.release_if_first(transaction.saf_head);
        }
    }

    fn replay_intent(&mut self, intent: &Intent) -> Result<(), RecoverError> {
        let Some(found) = self.replayed(intent.transaction) else {
            let transaction = Transaction::recovered_intent(intent);
            let handle = self.replay_transaction(transaction)?;
            self.moved(State::Settled(Ending::NotSent), State::Sent);
            self.replay_asked(handle, intent);
            return Ok(());
        };
        self.table.unfinish(found.index);
        self.replay_state(found, State::Sent);
        self.replay_asked(found, intent);
        self.with_replayed(found, |transaction| {
            transaction.leg = Some(intent.leg);
            transaction.stan_held = true;
        });
        Ok(())
    }

    fn replay_refused(&mut self, refused: &Refused) -> Result<(), RecoverError> {
        let transaction = Transaction::recovered_refusal(refused);
        let handle = self.replay_transaction(transaction)?;
        self.table.finish(handle.index);
        Ok(())
    }

    fn replay_outcome(&mut self, outcome: &Outcome<'_>) {
        let Some(found) = self.replayed(outcome.transaction) else {
            return;
        };
        let approved = outcome.answer.code.is_approval();
        let ending = match outcome.kind {
            OutcomeKind::Answered if approved => Ending::Approved,
            OutcomeKind::Answered => Ending::Declined,
            OutcomeKind::TimedOut => Ending::TimedOut,
            OutcomeKind::Invalid => Ending::Invalid,
            OutcomeKind::NotSent => Ending::NotSent,
            OutcomeKind::AcquirerReversed => Ending::AcquirerReversed,
        };
        self.replay_room_for(&outcome.answer);
        self.replay_state(found, State::Settled(ending));
        if let Some((transaction, arena)) = self.table.with_arena(found) {
            transaction.store_answer(&outcome.answer, found.index, arena);
            transaction.settle_replayed(ending);
        }
        if ending == Ending::Approved {
            self.count_approval(found);
        }
        match ending {
            Ending::Approved | Ending::Declined | Ending::NotSent => {
                self.table.finish(found.index);
            }
            Ending::TimedOut
            | Ending::Invalid
            | Ending::AcquirerReversed
            | Ending::Refused
            | Ending::Reversed
            | Ending::PartlyReversed => {}
        }
    }

    fn replay_owed(&mut self, owed: &SafOwed) -> Result<(), RecoverError> {
        let orphan = RecoverError::Orphan(owed.transaction);
        let found = self.replayed(owed.transaction).ok_or(orphan)?;
        let original = self.table.transaction(found).copied().ok_or(orphan)?;
        let leg = original.leg.ok_or(orphan)?;
        let what = Requested {
            key: owed.key,
            replacement: owed.replacement.map(Amount::minor),
            reason: owed.reason,
            waits: None,
        };
        let mut entry = SafEntry::new(found, leg.issuer, Owed::Reversal(owed.cause));
        entry.key = what.key;
        entry.before = original.stands();
        entry.replacement = what.replacement;
        entry.reason = what.reason;
        entry.decided = owed.decided;
        entry.follows = !is_of_answered(owed.cause);
        self.promise_again(entry, &[])?;
        if let Some(ending) = original
            .state
            .ending()
            .and_then(|ending| ending.reversed(what))
        {
            self.replay_state(found, State::Settled(ending));
        }
        if owed.takes_back() {
            self.count_reversal(found, what.replacement.unwrap_or(0));
        }
        if let Some((transaction, arena)) = self.table.with_arena(found) {
            // Behind one that was dropped its number has long been given back.
            transaction.stan_held = !transaction.late.owe();
            if owed.takes_back() {
                transaction.take_back(what, arena);
            }
        }
        Ok(())
    }

    /// What was owed before the restart may have been sent before it.
    fn promise_again(&mut self, entry: SafEntry, content: &[u8]) -> Result<(), RecoverError> {
        let age = self.age_of(entry.decided);
        let mut entry = entry;
        entry.found = true;
        entry.status = Status::Held;
        let promised = self.promise(entry, content, age);
        let saf = promised.ok_or(RecoverError::SafExhausted)?;
        self.hold_requests_behind(saf);
        Ok(())
    }

    /// P08. After an intent that provably was not sent it is the same transaction's.
    fn replay_advised(&mut self, advised: &Advised<'_>) -> Result<(), RecoverError> {
        let known = self.replayed(advised.transaction);
        let handle = match known {
            Some(found) => {
                self.table.unfinish(found.index);
                self.replay_state(found, State::Settled(Ending::Approved));
                self.with_replayed(found, |transaction| transaction.take_advised(advised));
                found
            }
            None => self.replay_transaction(Transaction::recovered_advised(advised))?,
        };
        self.place_again(advised);
        if advised.leg.is_some() && advised.is_approval() {
            self.count_approval(handle);
        }
        if let Some(leg) = advised.leg {
            let what = Owed::Advice(advised.origin);
            let mut entry = SafEntry::new(handle, leg.issuer, what);
            entry.decided = advised.admitted;
            entry.completed = advised.completes;
            entry.follows = advised.completes.is_none();
            self.promise_again(entry, advised.fields)?;
        } else {
            self.replay_unforwarded(handle, advised);
        }
        Ok(())
    }

    //= docs/rules.md#V-12
    /// What is accepted from here on has its place behind this completion, also where the clock was
    /// set back over the restart.
    fn place_again(&mut self, completion: &Advised<'_>) {
        let Some(named) = completion.completes else {
            return;
        };
        if let Some(original) = self.replayed(named.transaction) {
            self.with_replayed(original, |original| {
                original.placed = original.placed.max(completion.admitted);
            });
        }
    }

    /// P05, of an advice that nobody was told: people look at it.
    fn replay_unforwarded(&mut self, handle: Handle, advised: &Advised<'_>) {
        let what = Owed::Advice(advised.origin);
        let mut entry = SafEntry::new(handle, IssuerId(0), what);
        entry.decided = advised.admitted;
        entry.completed = advised.completes;
        entry.is_over = advised.is_over;
        if self.promise_again(entry, advised.fields).is_ok()
            && let Some(saf) = self.first_owed(handle)
        {
            self.except_owed(handle, saf, Ended::Unforwarded);
        } else {
            self.table.finish(handle.index);
        }
    }

    /// P09.
    fn replay_operated(&mut self, operated: &Operated) {
        let Some(found) = self.replayed(operated.transaction) else {
            return;
        };
        let age = self.age_of(operated.decided);
        match operated.operation {
            Operation::Drop => {
                let head = self.first_owed(found).unwrap_or(NONE);
                let mut owed = self.owed_from(head);
                let saf = owed.find(|(_, entry)| entry.ordinal == operated.ordinal);
                let saf = saf.map(|(saf, _)| saf);
                drop(owed);
                if let Some(saf) = saf {
                    self.note_ending(saf, operated.code, operated.attempts);
                    self.except_owed(found, saf, Ended::Dropped);
                }
            }
            Operation::Retry => {
                if let Some(saf) = self.exception_of(found, operated.ordinal)
                    && self.put_back(saf, age)
                {
                    self.saf.set_status(saf, Status::Held);
                }
            }
        }
        self.with_replayed(found, |own| own.stan_held &= own.saf_head != NONE);
        self.finish_if_done(found);
    }

    fn exception_of(&self, handle: Handle, ordinal: u8) -> Option<u32> {
        let is_it = |entry: &SafEntry| {
            entry.handle == handle
                && entry.ordinal == ordinal
                && matches!(entry.status, Status::Exception(_))
        };
        let found = self.saf.iter().find(|(_, entry)| is_it(entry));
        found.map(|(saf, _)| saf)
    }

    fn age_of(&self, decided: WallTime) -> Duration {
        let now = self.clock.wall().unix_millis();
        Duration::from_millis(now.saturating_sub(decided.unix_millis()))
    }

    fn note_ending(&mut self, saf: u32, code: Option<ResponseCode>, attempts: u32) {
        if let Some(entry) = self.saf.get_mut(saf) {
            entry.code = code;
            entry.attempts = attempts;
        }
    }

    fn replay_done(&mut self, done: &SafDone) {
        let Some(found) = self.replayed(done.transaction) else {
            return;
        };
        let Some(transaction) = self.table.transaction(found) else {
            return;
        };
        let oldest = transaction.saf_head;
        if oldest != NONE {
            self.note_ending(oldest, done.code, done.attempts);
            match Ended::of(done.result) {
                Some(ended) => self.except_owed(found, oldest, ended),
                None => {
                    self.note_taken(found, oldest);
                    self.drop_owed(found, oldest)
                }
            };
            self.with_replayed(found, |transaction| {
                transaction.stan_held = transaction.saf_head != NONE;
                // Acknowledged without having been sent: the issuer had moved nothing.
                let unsent = done.attempts == 0 && done.result == SafResult::Acknowledged;
                if unsent && !transaction.was_answered() {
                    transaction.late = LateAnswer::Dropped;
                }
                if unsent && transaction.state.ending() == Some(Ending::AcquirerReversed) {
                    transaction.left = 0;
                }
            });
            self.finish_if_done(found);
        }
    }

    fn replay_late(&mut self, late: &LateResponse) {
        let Some(found) = self.replayed(late.transaction) else {
            return;
        };
        self.with_replayed(found, |transaction| {
            transaction.late = transaction.late.then(late.code);
        });
        let transaction = self.table.transaction(found);
        if transaction.is_some_and(Transaction::is_owed_anew) {
            self.table.unfinish(found.index);
        }
    }

    fn replay_transaction(&mut self, transaction: Transaction) -> Result<Handle, RecoverError> {
        let id = transaction.id;
        let trace_key = transaction.facts.trace_key;
        let handle = self.replay_insert(trace_key, Body::Transaction(transaction))?;
        let replay = self.replaying();
        let indexed = replay.by_id.insert(id_key(id), handle.index);
        debug_assert!(indexed, "it holds as many ids as there are entries");
        Ok(handle)
    }

    fn replay_insert(&mut self, trace_key: TraceKey, body: Body) -> Result<Handle, RecoverError> {
        while self.table.count() >= self.settings.transactions_max {
            if !self.replay_forget() {
                return Err(RecoverError::TableExhausted);
            }
        }
        let inserted = self.table.insert(trace_key, body);
        inserted.ok_or(RecoverError::TableExhausted)
    }

    /// Forgets a finished entry, if one lay outside the window when the latest record was written;
    /// otherwise one that does by the clock of this start.
    fn replay_forget(&mut self) -> bool {
        let reached = self.replay.as_ref().map(|replay| replay.reached);
        let found = [reached, Some(self.clock.wall())].into_iter().flatten();
        let mut found = found.filter_map(|wall| Some((self.table.oldest_to_forget(wall)?, wall)));
        let Some((oldest, wall)) = found.next() else {
            return false;
        };
        self.replay_forget_one(oldest, wall)
    }

    fn replay_forget_one(&mut self, oldest: u32, wall: WallTime) -> bool {
        let id = self.table.at(oldest).map(|transaction| transaction.id);
        if let (Some(id), Some(replay)) = (id, &mut self.replay) {
            replay.by_id.remove(id_key(id), oldest);
        }
        self.table.forget(oldest, wall)
    }

    /// Makes room for an answer, as far as that can be. What lies outside the window only by the
    /// clock of this start may be named by a later record: it loses its answer, which nobody can
    /// ask for any more, and stays.
    fn replay_room_for(&mut self, answer: &Answer<'_>) {
        let need = answer.fields.len().saturating_add(ARENA_SLACK);
        let reached = self.replaying().reached;
        let mut moves = 0_u32;
        while self.table.arena.free() < need {
            if let Some(oldest) = self.table.oldest_answer_to_forget(reached) {
                self.replay_forget_one(oldest, reached);
            } else if moves < MOVES_MAX && self.table.move_lasting_answer(reached) {
                moves = moves.saturating_add(1);
            } else if !self.table.drop_oldest_answer(self.clock.wall()) {
                return;
            }
        }
    }

    fn replaying(&mut self) -> &mut Replay {
        let entries_max = self.settings.transactions_max;
        let seed = self.settings.seed;
        self.replay.get_or_insert_with(|| Replay {
            by_id: KeyIndex::new(entries_max, seed),
            cursor: None,
            reached: WallTime::default(),
            latest: BTreeMap::new(),
            told: BTreeSet::new(),
            carriage: Carriage::Fresh,
        })
    }

    pub(crate) fn replayed_latest(&self) -> impl Iterator<Item = (LinkId, Stan)> {
        let latest = self.replay.iter().flat_map(|replay| &replay.latest);
        latest.map(|(link, stan)| (*link, *stan))
    }

    pub(crate) fn set_carriage(&mut self, carriage: Carriage) {
        self.replaying().carriage = carriage;
    }

    /// Of the record that is being fed; [`Carriage::Fresh`] when the journal was read.
    pub(crate) fn fed_as(&self) -> Carriage {
        let replay = self.replay.as_ref();
        replay.map_or(Carriage::Fresh, |replay| replay.carriage)
    }

    pub(crate) fn replayed(&self, id: TransactionId) -> Option<Handle> {
        let by_id = &self.replay.as_ref()?.by_id;
        let is_it = |index| self.table.at(index).is_some_and(|found| found.id == id);
        by_id
            .find(id_key(id), is_it)
            .and_then(|index| self.table.handle(index))
    }

    fn replay_state(&mut self, found: Handle, state: State) {
        if let Some(transaction) = self.table.transaction_mut(found) {
            let before = core::mem::replace(&mut transaction.state, state);
            self.moved(before, state);
        }
    }

    pub(crate) fn with_replayed(&mut self, found: Handle, change: impl FnOnce(&mut Transaction)) {
        if let Some(transaction) = self.table.transaction_mut(found) {
            change(transaction);
        }
    }
}

/// The time that a record of a transaction names: when it was decided, or shortly before.
#[must_use]
pub const fn written_at(record: &Record<'_>) -> Option<WallTime> {
    match record {
        Record::Intent(intent) => Some(intent.admitted),
        Record::Refused(refused) => Some(refused.admitted),
        Record::Outcome(outcome) => Some(outcome.decided),
        Record::SafOwed(owed) => Some(owed.decided),
        Record::Tombstone(tombstone) => Some(tombstone.decided),
        Record::Advised(advised) => Some(advised.admitted),
        Record::SafDone(_)
        | Record::AdviceDone(_)
        | Record::LateResponse(_)
        | Record::Operated(_)
        | Record::Day(_)
        | Record::Totals(_)
        | Record::Reconciled(_)
        | Record::ReconciliationOwed(_)
        | Record::ReconciliationDone(_) => None,
    }
}

/// P01, P02: it may have moved money, and nobody has taken that back.
fn must_owe(transaction: &Transaction) -> bool {
    match transaction.state {
        State::Sent => true,
        State::Settled(Ending::TimedOut | Ending::Invalid | Ending::AcquirerReversed) => {
            transaction.owed_count == 0
        }
        State::Settled(
            Ending::Refused
            | Ending::NotSent
            | Ending::Declined
            | Ending::Approved
            | Ending::PartlyReversed
            | Ending::Reversed,
        )
        | State::Assessing
        | State::Routing
        | State::HeldBack
        | State::Assigning
        | State::Locating
        | State::Intended
        | State::Rerouting
        | State::Reversing
        | State::Settling(_) => false,
    }
}

/// Node, start, shard and serial, the serial last: neighbours in time are neighbours in the index.
/// Two that share them, since the serial has wrapped in between, are told apart by the whole id.
pub(crate) const fn id_key(id: TransactionId) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = id.0.to_be_bytes();
    let origin = u32::from_be_bytes([a, b, c, d]);
    let serial = u32::from_be_bytes([e, f, g, h]).rotate_right(SHARD_BITS);
    ((origin as u64) << 32) | serial as u64
}

/// An engine's serial counts in the upper bits and has its shard in the lower ones.
const SHARD_BITS: u32 = 8;

/// A block's header and padding, and what a wrap of the ring may skip.
const ARENA_SLACK: usize = 1040;

#[cfg(test)]
mod tests;
