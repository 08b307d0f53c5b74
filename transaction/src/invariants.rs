//! What always holds in the engine's tables, numbered, and the sweep that checks it.
//!
//! 1. Loads are what the states say: in flight, exposed.
//! 2. Owed reversals and those that may still come never exceed their room.
//! 3. A deadline runs exactly where the state waits for somebody outside, or an acquirer waits
//!    although it has ended.
//! 4. A finished entry is settled and owes nothing, and people look at nothing of it.
//! 5. A chain of owed reversals belongs to its transaction, and only its head has left.
//! 6. A settled transaction holds no permit; an unsent one no STAN.
//! 7. Effects wait in the order of the journal, and none waits for what is durable once drained.
//! 8. What is left of an approval never exceeds it.
//! 9. Whoever is held back has a place among those, and nobody else has.

use crate::engine::Engine;
use crate::saf::Status;
use crate::state::State;
use crate::table::{Body, NONE};
use crate::transaction::Transaction;

impl Engine {
    /// Sweeps everything. Linear in the table.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub fn check_invariants(&self) {
        let (mut inflight, mut exposed, mut held_back) = (0_usize, 0_usize, 0_usize);
        for index in 0..u32::try_from(self.table.len()).unwrap_or(u32::MAX) {
            let Some(Body::Transaction(transaction)) = self.table.body(index) else {
                continue;
            };
            inflight = inflight.saturating_add(usize::from(!transaction.state.is_settled()));
            exposed = exposed.saturating_add(usize::from(transaction.state.is_exposed()));
            let is_held_back = self.is_held_back_or_was(index, transaction);
            held_back = held_back.saturating_add(usize::from(is_held_back));
            self.check_transaction(index, transaction);
        }
        assert_eq!(self.load.inflight, inflight, "1: in flight");
        assert_eq!(self.load.exposed, exposed, "1: exposed");
        assert_eq!(self.saf.live.count(), held_back, "9: held back");
        let promised = self.saf.count().saturating_add(exposed);
        assert!(
            promised <= self.settings.saf_max || self.replay.is_some(),
            "2: room for every reversal"
        );
        let lsns = self.waiting.iter().map(|waiting| waiting.lsn);
        assert!(lsns.is_sorted(), "7: effects wait in order");
        self.check_owed();
    }

    fn is_held_back_or_was(&self, index: u32, transaction: &Transaction) -> bool {
        let held = self
            .table
            .handle(index)
            .map(|handle| self.saf.live.held_for(handle));
        let is_held = held.flatten().is_some();
        let state = transaction.state;
        assert!(is_held || state != State::HeldBack, "9: {state:?}");
        is_held && state.may_be_held_back()
    }

    fn check_transaction(&self, index: u32, transaction: &Transaction) {
        let state = transaction.state;
        let timed = transaction.queue != u8::MAX;
        let waits = !state.has_deadline() && self.is_waited_for(index, transaction);
        let in_recovery = self.replay.is_some();
        assert!(
            timed == ((state.has_deadline() || waits) && !in_recovery)
                || in_recovery && (transaction.is_owed_anew() || transaction.legs.is_resumed()),
            "3: {state:?}"
        );
        let finished = self.table.is_finished(index);
        if finished {
            assert!(state.is_settled(), "4: {state:?}");
            assert_eq!(transaction.saf_head, NONE, "4: {state:?}");
            assert_eq!(transaction.exceptions, 0, "4: {state:?}");
        }
        if state.is_settled() {
            assert!(!transaction.legs.is_open(), "6: {state:?}");
        }
        let open = matches!(state, State::Intended | State::Sent | State::Reversing);
        assert!(!open || transaction.leg.is_some(), "6: {state:?}");
        assert!(transaction.left <= transaction.facts.amount.minor(), "8");
    }

    fn check_owed(&self) {
        for (position, entry) in self.saf.iter() {
            let owner = self.table.transaction(entry.handle);
            assert!(owner.is_some(), "5: an owed reversal has its transaction");
            let Some(owner) = owner else { continue };
            let moving = matches!(entry.status, Status::Ready | Status::InFlight);
            assert!(
                !moving || owner.saf_head == position,
                "5: only the head leaves"
            );
            assert!(
                !moving || owner.state != State::Reversing,
                "5: its leg is open"
            );
        }
    }

    /// The sweep after an entry point, in debug builds and while the table is small.
    pub(crate) fn debug_invariants(&self) {
        if cfg!(debug_assertions) && self.table.len() <= SWEEP_MAX {
            self.check_invariants();
        }
    }
}

/// Tables up to this size are swept after every entry point of a debug build.
const SWEEP_MAX: usize = 256;
