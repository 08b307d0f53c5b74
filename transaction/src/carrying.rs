//! What goes over into another generation of the journal, when the number of shards changes: the
//! records of what is still known, dealt anew by slot, and the book.
//!
//! A record that is carried over rebuilds what its transaction had come to. It happened before: it
//! counts in no totals. The totals themselves are carried as they stand, the sums of all shards on
//! the first one.

use alloc::vec;
use alloc::vec::Vec;

use domain::ids::{AcquirerId, IssuerId, LinkId, ShardId, Slot, Stan, TransactionId};
use domain::reconciliation::{BusinessDay, DayTotals, Party, Totals};
use domain::record::{Carriage, LeftBehind, Record, Tombstone};
use domain::time::{Instant, WallTime};

use crate::engine::Engine;
use crate::error::RecoverError;
use crate::reconciliation::Stamp;
pub use crate::replay::written_at;
use crate::table::Body;

impl Engine {
    /// As [`Engine::recover`], of a record that may have been carried over.
    ///
    /// # Errors
    /// As [`Engine::recover`].
    pub fn recover_as(
        &mut self,
        record: &Record<'_>,
        carriage: Carriage,
        now: Instant,
    ) -> Result<(), RecoverError> {
        self.clock.advance(now);
        self.set_carriage(carriage);
        self.replay_record(record)
    }

    /// Before the first record: some of this was not carried over, so a copy of it may be unknown
    /// here.
    pub fn begin_behind(&mut self, behind: LeftBehind) {
        self.table.forget_before(behind);
    }

    /// Before the first record: of this shard's part of the link's numbers `stan` is the one to go
    /// on behind, whatever legs are carried over. Their transactions may not be the latest: those
    /// may be forgotten, or be with another shard.
    //= docs/rules.md#M-08
    pub fn begin_after(&mut self, link: LinkId, stan: Stan) {
        self.replay_after(link, stan);
    }

    /// What whoever goes on from the records that are carried over does not find, `wall` being the
    /// time of this. Before [`Engine::recovered`].
    #[must_use]
    pub fn left_behind(&self, wall: WallTime) -> LeftBehind {
        if !self.table.has_forgotten() {
            return LeftBehind::default();
        }
        LeftBehind {
            over: wall,
            advices: self.table.gave_way(),
        }
    }

    /// How a record of the journal that was fed goes over into another generation: `None` when the
    /// table has forgotten its transaction. Whatever else it holds may still be reversed, however
    /// old. Before [`Engine::recovered`]. The book is carried by [`Engine::book_records`].
    #[must_use]
    pub fn carriage(&self, record: &Record<'_>) -> Option<Carriage> {
        match record {
            Record::Tombstone(tombstone) => self.is_buried(tombstone).then_some(Carriage::Carried),
            Record::Day(_)
            | Record::Totals(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => None,
            Record::Outcome(outcome) if outcome.is_approval() => {
                self.carriage_of(outcome.transaction, Approves::Yes)
            }
            Record::Advised(advised) if advised.is_approval() => {
                self.carriage_of(advised.transaction, Approves::Yes)
            }
            Record::Intent(_)
            | Record::Refused(_)
            | Record::Outcome(_)
            | Record::SafOwed(_)
            | Record::SafDone(_)
            | Record::LateResponse(_)
            | Record::Advised(_)
            | Record::AdviceDone(_)
            | Record::Operated(_) => self.carriage_of(record.transaction(), Approves::No),
        }
    }

    fn carriage_of(&self, transaction: TransactionId, approves: Approves) -> Option<Carriage> {
        let found = self.replayed(transaction)?;
        let known = self.table.transaction(found)?;
        Some(match approves {
            Approves::Yes if known.is_counted => Carriage::Counted,
            Approves::Yes | Approves::No => Carriage::Carried,
        })
    }

    fn is_buried(&self, tombstone: &Tombstone) -> bool {
        let mut sharing = self.table.sharing(tombstone.trace_key);
        sharing.any(|index| {
            let body = self.table.body(index);
            matches!(body, Some(Body::Tombstone(own)) if own.transaction == tombstone.transaction)
        })
    }

    /// All that the book holds, as records, behind the journal that was fed and before
    /// [`Engine::recovered`].
    #[must_use]
    pub fn book_records(&mut self) -> Vec<Record<'static>> {
        let mut records = Vec::new();
        self.book.begin_snapshot();
        while self.book.is_writing() {
            let stamp = Stamp {
                id: self.next_id(Slot(0)),
                at: self.wall(),
            };
            records.extend(self.book.snapshot_step(stamp));
        }
        records
    }

    fn wall(&self) -> WallTime {
        self.clock.wall()
    }
}

/// Whether a record can be an approval that counts.
#[derive(Clone, Copy)]
enum Approves {
    Yes,
    No,
}

/// Deals the books of all shards to `shards` shards. Each gets the business days, and what is
/// closed; the first one the sums of all totals. A result goes to the `owner` of its STAN, or, as
/// what is owed to an issuer does, to the shard that leads for the issuer.
#[must_use]
pub fn deal_books(
    books: &[Vec<Record<'static>>],
    shards: u16,
    owner: impl Fn(AcquirerId, Stan) -> ShardId,
) -> Vec<Vec<Record<'static>>> {
    let mut days: Vec<BusinessDay> = Vec::new();
    let mut totals: Vec<DayTotals> = Vec::new();
    let mut dealt: Vec<Vec<Record<'static>>> = vec![Vec::new(); usize::from(shards)];
    for record in books.iter().flatten() {
        match record {
            Record::Day(day) => meet(&mut days, day),
            Record::Totals(one) => sum(&mut totals, one),
            Record::Reconciled(reconciled) => {
                let home = match reconciled.party {
                    Party::Acquirer(acquirer) => owner(acquirer, reconciled.stan),
                    Party::Issuer(issuer) => leader(issuer, shards),
                };
                put(&mut dealt, home, record);
            }
            Record::ReconciliationOwed(owed) => {
                put(&mut dealt, leader(owed.issuer, shards), record);
            }
            Record::ReconciliationDone(done) => {
                let begun = |known: &Record<'_>| known.transaction() == done.transaction;
                let home = dealt.iter().position(|book| book.iter().any(begun));
                let home = home.and_then(|home| u16::try_from(home).ok());
                put(&mut dealt, ShardId(home.unwrap_or(0)), record);
            }
            Record::Intent(_)
            | Record::Refused(_)
            | Record::Outcome(_)
            | Record::SafOwed(_)
            | Record::SafDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::Advised(_)
            | Record::AdviceDone(_)
            | Record::Operated(_) => debug_assert!(false, "a book holds none of these"),
        }
    }
    for (shard, book) in dealt.iter_mut().enumerate() {
        let own = totals.iter().filter_map(|one| share(one, shard));
        let days = days.iter().map(|day| Record::Day(*day));
        let mut records: Vec<Record<'static>> = days.chain(own.map(Record::Totals)).collect();
        records.append(book);
        *book = records;
    }
    dealt
}

fn put(dealt: &mut [Vec<Record<'static>>], home: ShardId, record: &Record<'static>) {
    if let Some(book) = dealt.get_mut(usize::from(home.0)) {
        book.push(*record);
    }
}

/// The shard that leads what concerns an issuer's totals.
fn leader(issuer: IssuerId, shards: u16) -> ShardId {
    ShardId(issuer.0.checked_rem(shards).unwrap_or(0))
}

/// The day that is furthest on, where a crash came between two shards.
fn meet(days: &mut Vec<BusinessDay>, day: &BusinessDay) {
    let Some(known) = days.iter_mut().find(|known| known.party == day.party) else {
        return days.push(*day);
    };
    let closed = known.closed.max(day.closed);
    let is_kept = known.is_kept || day.is_kept;
    if day.date > known.date {
        *known = *day;
    }
    known.closed = closed;
    known.is_kept = is_kept;
}

fn sum(totals: &mut Vec<DayTotals>, one: &DayTotals) {
    let key = |of: &DayTotals| (of.party, of.date, of.currency);
    match totals.iter_mut().find(|known| key(known) == key(one)) {
        Some(known) => {
            known.totals.merge(&one.totals);
            known.is_closed |= one.is_closed;
        }
        None => totals.push(*one),
    }
}

fn share(all: &DayTotals, shard: usize) -> Option<DayTotals> {
    let rest = DayTotals {
        totals: Totals::default(),
        ..*all
    };
    match shard {
        0 => Some(*all),
        _ => all.is_closed.then_some(rest),
    }
}

#[cfg(test)]
mod tests;
