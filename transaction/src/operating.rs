//! What an operator does by hand to what is owed, and what an operator is shown of it.
//!
//! | row | found | retry | drop |
//! |---|---|---|---|
//! | O01 | no such entry | refused | refused |
//! | O02 | its record is not durable | refused | refused |
//! | O03 | waits for the end of its request, or for an older one | refused | refused; taken out |
//! | O04 | waits for room, or is in flight | nothing to do | taken out |
//! | O05 | pauses | due at once | taken out |
//! | O06 | an exception | owed again, behind the rest | refused |
//! | O07 | an exception, and a later one is owed or was taken | refused | refused |
//! | O08 | an exception that nobody was ever to be told | refused | refused |
//!
//! What lasts is journaled with who did it and why; the operator is told when it is durable.

use core::time::Duration;

use domain::bytes::Text;
use domain::ids::{IssuerId, TransactionId};
use domain::pan::MaskedPan;
use domain::record::{self, Operation, Operator, OwedKind, Reason, SafResult};
use domain::time::{Instant, WallTime};
use domain::{Amount, ResponseCode};

use crate::engine::{Effect, Engine};
use crate::input::OwedId;
use crate::output::{Ended, EntryKind, Event, JournalEntry, Output, Owed};
use crate::saf::{SafEntry, Status};
use crate::state::State;

/// Something that is done by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operate {
    /// To what.
    pub owed: OwedId,
    /// What.
    pub operation: Operation,
    /// By whom.
    pub operator: Operator,
    /// Why.
    pub reason: Reason,
}

/// What was done by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operated {
    /// It is sent as soon as there is room.
    Due,
    /// An exception is owed again.
    PutBack,
    /// It is an exception.
    Dropped,
}

/// Why something was not done by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperateError {
    /// Nothing of that name is owed, or an exception.
    Unknown,
    /// Its record is not on disk.
    NotDurable,
    /// The request that it reverses has no answer and has not timed out.
    RequestOpen,
    /// An older one of the same transaction goes first.
    Behind,
    /// It is an exception already.
    Excepted,
    /// A later one of the same transaction is owed, or was taken.
    Overtaken,
    /// There is no issuer to tell.
    NoIssuer,
    /// No room to owe it.
    Full,
}

/// What became of all that an issuer is owed, so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Pauses that have ended.
    pub due: u32,
    /// Exceptions that are owed again.
    pub put_back: u32,
    /// Exceptions that cannot be.
    pub refused: u32,
    /// Where to go on; `None` when all was looked at.
    pub next: Option<u32>,
}

/// One entry of what is owed and what people look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwedView {
    /// Its name inside.
    pub owed: OwedId,
    /// The transaction that owes it.
    pub transaction: TransactionId,
    /// Which of all that the transaction has owed, from 1.
    pub ordinal: u8,
    /// What it is.
    pub what: Owed,
    /// To whom; `None` where nobody is told.
    pub issuer: Option<IssuerId>,
    /// Where it stands.
    pub stand: Stand,
    /// When it was decided.
    pub decided: WallTime,
    /// Transmissions by this process.
    pub attempts: u32,
    /// When it is next sent, or waited for no longer.
    pub due: Option<Instant>,
    /// The last DE39 of the issuer.
    pub code: Option<ResponseCode>,
    /// DE4 of the transaction.
    pub amount: Amount,
    /// What stays of it; `None` reverses all.
    pub replacement: Option<Amount>,
    /// The account, masked.
    pub account: MaskedPan,
    /// What an advice completes.
    pub original: Option<TransactionId>,
}

/// Where an entry stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Its record is not durable, its request is open, or an older one goes first.
    Held,
    /// Waits for its issuer, or for room.
    Ready,
    /// Sent, without an answer.
    InFlight,
    /// Waits until it is due.
    Paused,
    /// Owed no longer.
    Exception(Ended),
}

impl Engine {
    /// What is owed and what people look at, from a position on: what lies at the next `span`
    /// positions, and where to go on.
    pub fn owed_views(
        &self,
        from: u32,
        span: u32,
    ) -> (impl Iterator<Item = OwedView> + '_, Option<u32>) {
        let end = from.saturating_add(span);
        let next = (end < self.saf.positions()).then_some(end);
        let within = self.saf.iter_from(from);
        let within = within.take_while(move |(position, _)| *position < end);
        let views = within.filter_map(|(position, entry)| self.owed_view(position, entry));
        (views, next)
    }

    /// To whom something is owed, or was.
    #[must_use]
    pub fn issuer_of(&self, owed: OwedId) -> Option<IssuerId> {
        self.named(owed).ok().map(|(_, entry)| entry.issuer)
    }

    fn owed_view(&self, position: u32, entry: &SafEntry) -> Option<OwedView> {
        let transaction = self.table.transaction(entry.handle)?;
        let currency = transaction.facts.amount.currency();
        let stand = match entry.status {
            Status::Vacant => return None,
            Status::Appended | Status::Held => Stand::Held,
            Status::Ready => Stand::Ready,
            Status::InFlight => Stand::InFlight,
            Status::Paused => Stand::Paused,
            Status::Exception(ended) => Stand::Exception(ended),
        };
        let is_told = stand != Stand::Exception(Ended::Unforwarded);
        Some(OwedView {
            owed: entry.id(position),
            transaction: transaction.id,
            ordinal: entry.ordinal,
            what: entry.what,
            issuer: is_told.then_some(entry.issuer),
            stand,
            decided: entry.decided,
            attempts: entry.attempts,
            due: self.saf.due_at(position),
            code: entry.code,
            amount: transaction.facts.amount,
            replacement: entry
                .replacement
                .and_then(|minor| Amount::new(minor, currency).ok()),
            account: transaction.facts.account.masked,
            original: transaction.answer.completes(),
        })
    }

    //= docs/rules.md#A-07
    pub(crate) fn on_operate(&mut self, ticket: u32, operate: &Operate) {
        self.operator = (operate.operator, operate.reason);
        let next_lsn = self.next_lsn;
        let result = match operate.operation {
            Operation::Retry => self.retry(operate.owed),
            Operation::Drop => self.drop_by_hand(operate.owed),
        };
        if self.next_lsn == next_lsn {
            self.emit(Output::Operated { ticket, result });
        } else {
            self.wait(Effect::Operated { ticket, result });
        }
    }

    pub(crate) fn on_retry_all(
        &mut self,
        ticket: u32,
        issuer: IssuerId,
        from: u32,
        operator: Operator,
    ) {
        self.operator = (operator, Reason::EMPTY);
        let next_lsn = self.next_lsn;
        let end = from.saturating_add(RETRY_SPAN);
        let mut retried = Retried {
            next: (end < self.saf.positions()).then_some(end),
            ..Retried::default()
        };
        for position in from..end.min(self.saf.positions()) {
            let entry = self
                .saf
                .get(position)
                .filter(|entry| entry.issuer == issuer);
            let Some(entry) = entry.copied() else {
                continue;
            };
            let worth = matches!(entry.status, Status::Paused | Status::Exception(_))
                && entry.status != Status::Exception(Ended::Unforwarded);
            let count = match worth.then(|| self.retry(entry.id(position))) {
                None | Some(Ok(Operated::Dropped)) => continue,
                Some(Ok(Operated::Due)) => &mut retried.due,
                Some(Ok(Operated::PutBack)) => &mut retried.put_back,
                Some(Err(_)) => &mut retried.refused,
            };
            *count = count.saturating_add(1);
        }
        if self.next_lsn == next_lsn {
            self.emit(Output::Retried { ticket, retried });
        } else {
            self.wait(Effect::Retried { ticket, retried });
        }
    }

    /// The position and the entry that an operator names.
    fn named(&self, owed: OwedId) -> Result<(u32, SafEntry), OperateError> {
        let entry = self.saf.get(owed.saf).copied();
        let same = |entry: &SafEntry| {
            entry.status != Status::Vacant
                && entry.handle == owed.handle
                && self.saf.generation(owed.saf) == owed.generation
        };
        let entry = entry.filter(same).ok_or(OperateError::Unknown)?;
        Ok((owed.saf, entry))
    }

    fn retry(&mut self, owed: OwedId) -> Result<Operated, OperateError> {
        let (saf, entry) = self.named(owed)?;
        match entry.status {
            Status::Vacant => Err(OperateError::Unknown),
            Status::Appended => Err(OperateError::NotDurable),
            Status::Held if self.is_request_open(&entry) => Err(OperateError::RequestOpen),
            Status::Held => Err(OperateError::Behind),
            Status::Ready | Status::InFlight => Ok(Operated::Due),
            Status::Paused => {
                self.make_ready(saf);
                Ok(Operated::Due)
            }
            Status::Exception(Ended::Unforwarded) => Err(OperateError::NoIssuer),
            Status::Exception(Ended::Refused | Ended::Expired | Ended::Dropped) => {
                self.retry_exception(saf, &entry)
            }
        }
    }

    fn retry_exception(&mut self, saf: u32, entry: &SafEntry) -> Result<Operated, OperateError> {
        if !self.saf.knows_issuer(entry.issuer) {
            return Err(OperateError::NoIssuer);
        }
        if self.is_overtaken(entry) {
            return Err(OperateError::Overtaken);
        }
        let owner = self.table.transaction(entry.handle);
        if !owner.is_some_and(|owner| self.may_owe_reversal(owner)) {
            return Err(OperateError::Full);
        }
        let promised = self.saf.count().saturating_add(self.load.exposed);
        if promised >= self.settings.saf_max || !self.put_back(saf, Duration::ZERO) {
            return Err(OperateError::Full);
        }
        self.journal_operated(entry, Operation::Retry);
        self.count(Event::SafPutBack { what: entry.what });
        let generation = self.saf.generation(saf);
        self.wait(Effect::Owed { saf, generation });
        Ok(Operated::PutBack)
    }

    /// Owes an exception again, behind what its transaction owes.
    pub(crate) fn put_back(&mut self, saf: u32, age: Duration) -> bool {
        let handle = self.saf.get(saf).map(|entry| entry.handle);
        let Some(handle) = handle else { return false };
        if !self.saf.put_back(saf, age, self.clock.now()) {
            return false;
        }
        self.note_exception_left(handle);
        self.index_owed(handle, saf);
        self.chain_last(handle, saf);
        self.hold_requests_behind(saf);
        true
    }

    fn drop_by_hand(&mut self, owed: OwedId) -> Result<Operated, OperateError> {
        let (saf, entry) = self.named(owed)?;
        match entry.status {
            Status::Vacant => return Err(OperateError::Unknown),
            Status::Appended => return Err(OperateError::NotDurable),
            Status::Exception(_) => return Err(OperateError::Excepted),
            Status::Held if self.is_request_open(&entry) => return Err(OperateError::RequestOpen),
            Status::Held | Status::Ready | Status::InFlight | Status::Paused => {}
        }
        self.give_up(saf);
        self.journal_operated(&entry, Operation::Drop);
        let (what, result) = (entry.what, SafResult::Dropped);
        self.count(Event::SafEnded { what, result });
        self.leave_owed(entry.handle, saf, Some(Ended::Dropped));
        Ok(Operated::Dropped)
    }

    fn journal_operated(&mut self, entry: &SafEntry, operation: Operation) {
        let kind = EntryKind::Operated {
            ordinal: entry.ordinal,
            what: entry.what.kind(),
            operation,
            code: entry.code,
            attempts: entry.attempts,
        };
        self.journal(entry.handle, kind);
    }

    pub(crate) fn compose_operated(
        &self,
        transaction: TransactionId,
        entry: &JournalEntry,
    ) -> Option<record::Operated> {
        let EntryKind::Operated {
            ordinal,
            what,
            operation,
            code,
            attempts,
        } = entry.kind
        else {
            return None;
        };
        let (operator, reason) = self.operator;
        Some(record::Operated {
            transaction,
            decided: entry.decided,
            ordinal,
            what,
            operation,
            operator,
            reason,
            code,
            attempts,
        })
    }

    fn is_request_open(&self, entry: &SafEntry) -> bool {
        let owner = self.table.transaction(entry.handle);
        owner.is_some_and(|owner| owner.state == State::Reversing)
    }

    /// A reversal says what stays: an older one must not follow a later one.
    fn is_overtaken(&self, entry: &SafEntry) -> bool {
        let Some(owner) = self.table.transaction(entry.handle) else {
            return true;
        };
        let mut owed = self.owed_from(owner.saf_head);
        owner.taken > entry.ordinal || owed.any(|(_, other)| other.ordinal > entry.ordinal)
    }
}

impl OwedView {
    /// Reversal or advice.
    #[must_use]
    pub const fn kind(&self) -> OwedKind {
        self.what.kind()
    }
}

/// Stands where nobody has done anything.
pub(crate) const NOBODY: Operator = Operator {
    uid: u32::MAX,
    name: Text::EMPTY,
};
/// Positions that one [`crate::Input::RetryAll`] looks at: few enough for a turn.
const RETRY_SPAN: u32 = 256;

#[cfg(test)]
mod tests;
