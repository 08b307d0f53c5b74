//! Completions follow the advices that they complete: an issuer that has not been told of the
//! original knows nothing that could be completed (25).
//!
//! A completion may lie on another shard than its original. Before its first transmission the shell
//! asks the original's shard whether the original's advice is still owed; if so, it waits and asks
//! again.

use domain::ids::TransactionId;

use crate::engine::Engine;
use crate::input::OwedId;
use crate::output::{Event, Output, Owed};
use crate::replay::id_key;
use crate::saf::{SafEntry, Status};

impl Engine {
    /// Whether an issuer is still owed the advice of this transaction.
    #[must_use]
    pub fn owes_advice(&self, transaction: TransactionId) -> bool {
        let is_it = |saf| {
            let entry = self.saf.get(saf);
            let owner = entry.and_then(|entry| self.table.transaction(entry.handle));
            owner.is_some_and(|owner| owner.id == transaction)
        };
        self.saf.advice_of(id_key(transaction), is_it).is_some()
    }

    //= docs/rules.md#A-05
    /// Lets the shell ask before a completion leaves for the first time. `false` when it may leave.
    pub(crate) fn ask_before(&mut self, saf: u32) -> bool {
        let Some((owed, original)) = self.saf.get(saf).and_then(|entry| unasked(entry, saf)) else {
            return false;
        };
        self.saf.uncount_attempt(saf);
        self.emit(Output::AskOwed { owed, original });
        true
    }

    pub(crate) fn on_owed_of(&mut self, owed: OwedId, is_owed: bool) {
        let waits = |saf: &u32| {
            let entry = self.saf.get(*saf);
            entry.is_some_and(|entry| {
                entry.status == Status::InFlight && unasked(entry, *saf).is_some()
            })
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

/// What a completion that has not been asked about completes.
pub(crate) fn unasked(entry: &SafEntry, saf: u32) -> Option<(OwedId, TransactionId)> {
    let completed = entry.completed.filter(|_| !entry.follows)?;
    let is_advice = matches!(entry.what, Owed::Advice(_));
    is_advice.then(|| (entry.id(saf), completed.transaction))
}
