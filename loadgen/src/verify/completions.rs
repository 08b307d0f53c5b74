//! What completes what: a completion stands in the place of what its original held, in each of the
//! four places, for as long as something of it is left.

use domain::ids::TransactionId;
use hashbrown::HashSet;

use super::acquirer::{AcquirerBook, Told};
use super::journal::{Entry, JournalBook};
use crate::trace_id::TraceId;

/// The originals in whose place a completion stands.
#[derive(Debug, Default)]
pub(super) struct Completions {
    /// As the acquirer was told.
    told: HashSet<TraceId>,
    /// The acquirer does not know whether their completion stands.
    doubtful: HashSet<TraceId>,
    /// By the journal.
    journal: HashSet<TransactionId>,
    /// Their completion has not reached the issuer.
    owed: HashSet<TransactionId>,
    /// Completions that the switch has for those of another original, or of none.
    pub(super) astray: Vec<TraceId>,
    /// Completions that were told that what they complete is unknown or reversed, or cannot be
    /// completed so, though it was approved and stands.
    pub(super) denied: Vec<TraceId>,
}

impl Completions {
    /// The journal says of an advice what it completes; of a request (0202) the acquirer alone.
    pub(super) fn of(acquirer: &AcquirerBook, journal: &JournalBook) -> Self {
        let mut all = Self::default();
        for (completion, original) in &journal.completes {
            all.stands(journal, *completion, *original);
        }
        for (id, told) in &acquirer.told {
            if let Some(original) = &told.completes {
                all.told_of(acquirer, journal, (id, told), original);
            }
        }
        all
    }

    fn told_of(
        &mut self,
        acquirer: &AcquirerBook,
        journal: &JournalBook,
        (id, told): (&TraceId, &Told),
        original: &TraceId,
    ) {
        if told.money() > 0 {
            self.told.insert(*original);
        }
        if told.is_uncertain() {
            self.doubtful.insert(*original);
        }
        let known = acquirer.told.get(original);
        if told.was_denied() && known.is_some_and(|original| original.money() > 0) {
            self.denied.push(*id);
        }
        let Some(completion) = journal.by_request.get(id) else {
            return;
        };
        let named = journal.by_request.get(original);
        if journal.is_advised(*completion) {
            if journal.completes.get(completion) != named {
                self.astray.push(*id);
            }
        } else if let Some(original) = named {
            self.stands(journal, *completion, *original);
        }
    }

    fn stands(&mut self, journal: &JournalBook, completion: TransactionId, of: TransactionId) {
        let Some(entry) = journal.transactions.get(&completion) else {
            return;
        };
        if entry.money() > 0 {
            self.journal.insert(of);
        }
        if entry.is_owing() || entry.open {
            self.owed.insert(of);
        }
    }

    /// Transactions in whose place a completion stands.
    pub(super) fn count(&self) -> usize {
        self.journal.len()
    }

    /// Money of a request as the acquirer was told.
    pub(super) fn told_money(&self, id: &TraceId, told: &Told) -> u64 {
        if self.told.contains(id) {
            0
        } else {
            told.money()
        }
    }

    /// Whether the acquirer may know less than the journal.
    pub(super) fn is_uncertain(&self, id: &TraceId, told: &Told) -> bool {
        told.is_uncertain() || self.doubtful.contains(id)
    }

    /// Money of a transaction as the journal has it.
    pub(super) fn money(&self, id: TransactionId, entry: &Entry) -> u64 {
        self.in_place_of(id, entry.money())
    }

    /// The same for money that another book says a transaction has.
    pub(super) fn in_place_of(&self, id: TransactionId, money: u64) -> u64 {
        if self.journal.contains(&id) { 0 } else { money }
    }

    /// Whether the issuer has been told all about it.
    pub(super) fn is_settled(&self, id: TransactionId, entry: &Entry) -> bool {
        !entry.is_owing() && !entry.open && !self.owed.contains(&id)
    }
}
