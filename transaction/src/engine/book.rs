//! The engine keeps the book of its shard: what it counts, and what it is asked.

use alloc::vec::Vec;

use domain::Amount;
use domain::currency::Currency;
use domain::ids::Stan;
use domain::network::SettlementDate;
use domain::reconciliation::{
    Effect as Counted, Party, Reconciled, ReconciliationOwed, Totals, kind_of, named_day,
};
use domain::record::{Carriage, Record};

use crate::engine::{Effect, Engine};
use crate::input::Handle;
use crate::output::{EntryKind, Event, Output};
use crate::reconciliation::{
    BookInput, BucketKey, ClosedNow, DayEnd, Ended, Item, ReconciliationId, ReconciliationKey,
    Stamp,
};

impl Engine {
    /// The day in force with a party, if one was ever told or totals are kept with it.
    #[must_use]
    pub fn day(&self, party: Party) -> Option<SettlementDate> {
        self.book.told(party)
    }

    /// The day that a reconciliation means which names none.
    #[must_use]
    pub fn due_day(&self, party: Party, currency: Currency) -> SettlementDate {
        self.book.due(party, currency, self.clock.wall())
    }

    /// Whether totals of a day may be here.
    #[must_use]
    pub fn keeps_totals(&self, party: Party, date: SettlementDate) -> bool {
        self.book.keeps(party, date, self.clock.wall())
    }

    /// What this shard has counted.
    #[must_use]
    pub fn totals(&self, bucket: BucketKey) -> Totals {
        self.book.totals(bucket)
    }

    /// What a reconciliation of the other side came to, if that is durable.
    #[must_use]
    pub fn reconciled_before(&self, key: ReconciliationKey) -> Option<&Reconciled> {
        self.book.result(key, self.durable)
    }

    pub(crate) fn on_book(&mut self, input: BookInput) {
        match input {
            BookInput::Day { party, date } => {
                if self.book.set_day(party, date) {
                    let stamp = self.stamp(party);
                    let record = self.book.day_record(party, stamp);
                    self.note(record);
                }
            }
            BookInput::Close { bucket, end, token } => {
                if end == DayEnd::Closed {
                    self.close_day(bucket);
                }
                self.wait(Effect::Noted { token });
            }
            BookInput::Decided { decision, token } => {
                let stamp = self.stamp(decision.key.party);
                let record = self.book.decide(self.next_lsn, &decision, stamp);
                self.note(Some(record));
                self.wait(Effect::Noted { token });
            }
            BookInput::Freeze { party, date, token } => {
                self.freeze(party, date);
                self.wait(Effect::Noted { token });
            }
            BookInput::Owe { bucket, stan, ours } => self.owe_reconciliation(bucket, stan, ours),
            BookInput::Answered { owed, verdict } => {
                let ended = self.book.owed.answered(owed.0, verdict, self.clock.now());
                self.end_reconciliation(ended);
            }
            BookInput::Unsent { owed } => self.book.owed.unsent(owed.0, self.clock.now()),
            BookInput::Snapshot => self.book.begin_snapshot(),
        }
    }

    fn close_day(&mut self, bucket: BucketKey) {
        match self.book.close(bucket) {
            Some(ClosedNow::Yes) => {
                let stamp = self.stamp(bucket.party);
                let record = self.book.totals_record(bucket, stamp);
                self.note(record);
            }
            Some(ClosedNow::No) => {}
            None => self.count(Event::Uncounted),
        }
    }

    fn freeze(&mut self, party: Party, date: SettlementDate) {
        for bucket in self.book.freeze(party, date) {
            let stamp = self.stamp(party);
            let record = self.book.totals_record(bucket, stamp);
            self.note(record);
        }
        let stamp = self.stamp(party);
        let record = self.book.day_record(party, stamp);
        self.note(record);
    }

    //= docs/rules.md#B-05
    fn owe_reconciliation(&mut self, bucket: BucketKey, stan: Stan, ours: Totals) {
        let Party::Issuer(issuer) = bucket.party else {
            debug_assert!(false, "acquirers ask by themselves");
            return;
        };
        if self.book.owed.knows(bucket) {
            return;
        }
        if !self.book.owed.has_room() {
            return self.count(Event::Uncounted);
        }
        let stamp = self.stamp(bucket.party);
        let record = ReconciliationOwed {
            transaction: stamp.id,
            decided: stamp.at,
            issuer,
            date: bucket.date,
            currency: bucket.currency,
            stan,
            ours,
        };
        let owed = self.book.owed.owe(record, self.clock.now());
        self.note(Some(Record::ReconciliationOwed(record)));
        self.wait(Effect::ReconciliationOwed { owed });
    }

    fn end_reconciliation(&mut self, ended: Option<Ended>) {
        let Some(ended) = ended else { return };
        let at = self.clock.wall();
        let Some(record) = self.book.owed.get(ended.id).copied() else {
            return;
        };
        let Some(done) = self.book.owed.end(ended, at) else {
            return;
        };
        self.note(Some(Record::ReconciliationDone(done)));
        self.emit(Output::ReconciliationEnded {
            owed: ReconciliationId(ended.id),
            bucket: BucketKey {
                party: Party::Issuer(record.issuer),
                date: record.date,
                currency: record.currency,
            },
            result: ended.result,
            verdict: ended.verdict,
        });
    }

    /// One piece of the work on reconciliations of ours.
    pub(crate) fn owed_step(&mut self) -> bool {
        let ended = self.book.owed.expire(self.expire_until);
        if ended.is_some() {
            self.end_reconciliation(ended);
            return true;
        }
        let Some((owed, transmission)) = self.book.owed.next_to_send(self.clock.now()) else {
            return false;
        };
        let owed = ReconciliationId(owed);
        self.emit(Output::SendReconciliation { owed, transmission });
        true
    }

    /// What [`Output::SendReconciliation`] sends.
    #[must_use]
    pub fn owed_reconciliation(&self, owed: ReconciliationId) -> Option<&ReconciliationOwed> {
        self.book.owed.get(owed.0)
    }

    /// All that have not ended; after a recovery their STANs are taken.
    pub fn owed_reconciliations(&self) -> impl Iterator<Item = &ReconciliationOwed> {
        self.book.owed.open()
    }

    /// Whether one is owed, or was, for these totals.
    #[must_use]
    pub fn knows_reconciliation(&self, bucket: BucketKey) -> bool {
        self.book.owed.knows(bucket)
    }

    /// The last day that is over, when there was a cut-over.
    #[must_use]
    pub fn ended_day(&self, party: Party) -> Option<SettlementDate> {
        self.book.ended(party)
    }

    /// What this shard has counted for the closed days of a party up to this one.
    #[must_use]
    pub fn frozen(&self, party: Party, date: SettlementDate) -> Vec<(BucketKey, Totals)> {
        self.book.frozen(party, date)
    }

    /// Days are known from the first start on, and every start writes down once more what is kept:
    /// the segments before it are not needed for it.
    pub(crate) fn open_book(&mut self) {
        self.book.open(SettlementDate::at(self.clock.wall()));
    }

    /// Writes one record of a snapshot. `false` when there is none left.
    pub(crate) fn book_step(&mut self) -> bool {
        if !self.book.is_writing() {
            return false;
        }
        let stamp = self.stamp_of(domain::ids::Slot(0));
        let record = self.book.snapshot_step(stamp);
        let is_more = record.is_some();
        self.note(record);
        is_more
    }

    /// An approval is decided: it counts with both sides.
    pub(crate) fn count_approval(&mut self, handle: Handle) {
        let Some(transaction) = self.table.transaction(handle) else {
            return;
        };
        let carriage = self.fed_as();
        if carriage.is_carried() {
            if let Some(transaction) = self.table.transaction_mut(handle) {
                transaction.is_counted = carriage == Carriage::Counted;
            }
            return;
        }
        let (facts, at) = (&transaction.facts, transaction.admitted);
        let acquirer = Party::Acquirer(facts.acquirer);
        let issuer = transaction.leg.map(|leg| Party::Issuer(leg.issuer));
        if !self.book.counts(acquirer) && !issuer.is_some_and(|issuer| self.book.counts(issuer)) {
            return;
        }
        let answer = transaction.answer(&self.table.arena);
        let item = Item {
            kind: kind_of(facts.class, facts.processing_code.as_bytes()),
            effect: Counted::Approval,
            amount: answer.amount.unwrap_or(facts.amount),
            named: named_day(answer.fields, at),
        };
        self.book.count(acquirer, &item);
        if let Some(issuer) = issuer {
            self.book.count(issuer, &item);
        }
        if let Some(transaction) = self.table.transaction_mut(handle) {
            transaction.is_counted = true;
        }
        self.tell_lost();
    }

    /// What an approval leaves is less from here on: `stays` of what it left before. Counts for the
    /// days in force, whenever it was approved.
    //= docs/rules.md#B-02
    pub(crate) fn count_reversal(&mut self, handle: Handle, stays: u64) {
        let Some(transaction) = self.table.transaction(handle) else {
            return;
        };
        let facts = &transaction.facts;
        let reversed = transaction.left.saturating_sub(stays);
        let amount = Amount::new(reversed, facts.amount.currency());
        let counts = transaction.is_counted && !self.fed_as().is_carried();
        let (true, Ok(amount)) = (counts, amount) else {
            return;
        };
        let acquirer = Party::Acquirer(facts.acquirer);
        let issuer = transaction.leg.map(|leg| Party::Issuer(leg.issuer));
        let item = Item {
            kind: kind_of(facts.class, facts.processing_code.as_bytes()),
            effect: Counted::Reversal,
            amount,
            named: None,
        };
        self.book.count(acquirer, &item);
        if let Some(issuer) = issuer {
            self.book.count(issuer, &item);
        }
        self.tell_lost();
    }

    fn tell_lost(&mut self) {
        if self.book.take_lost() > 0 && self.replay.is_none() {
            self.count(Event::Uncounted);
        }
    }

    fn stamp(&mut self, party: Party) -> Stamp {
        self.stamp_of(crate::reconciliation::Book::slot(party))
    }

    fn stamp_of(&mut self, slot: domain::ids::Slot) -> Stamp {
        Stamp {
            id: self.next_id(slot),
            at: self.clock.wall(),
        }
    }

    fn note(&mut self, record: Option<Record<'static>>) {
        if let Some(record) = record {
            let place = self.book.put(record);
            self.journal(Handle::NONE, EntryKind::Book { place });
        }
    }
}
