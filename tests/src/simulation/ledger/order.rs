//! What is owed about one original, as the journals of all shards say it: nothing leaves ahead of
//! what has an earlier place (V-12).

use std::collections::BTreeMap;

use domain::ids::TransactionId;
use domain::record::{Advised, Record, SafOwed};
use domain::time::WallTime;

use super::{Broken, Fold, Ledger};

/// Of all shards.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// By completion, what it completes: for as long as it is known, not only while it is owed.
    completes: BTreeMap<TransactionId, TransactionId>,
    /// The place that the shard of its original has given a completion.
    places: BTreeMap<TransactionId, WallTime>,
    /// In the order of their records.
    open: Vec<Owed>,
    noted: u64,
}

#[derive(Clone, Debug)]
struct Owed {
    about: TransactionId,
    by: TransactionId,
    place: WallTime,
    /// Not of an advice that completes nothing, nor of what nobody can have completed.
    waits: bool,
    /// Zero of what a start has found.
    since: u64,
}

/// A journal that is read again says the same of what is owed; the places that were given, and what
/// came first of two shards, it does not say.
impl PartialEq for Order {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |order: &Self| {
            let mut open: Vec<_> = order
                .open
                .iter()
                .map(|open| (open.about, open.by))
                .collect();
            open.sort_unstable();
            open
        };
        self.completes == other.completes && sorted(self) == sorted(other)
    }
}

impl Eq for Order {}

impl Order {
    pub(super) fn note(&mut self, record: &Record<'_>) {
        match record {
            Record::Advised(advised) if advised.leg.is_some() => self.advised(advised),
            Record::SafOwed(owed) => self.owed(owed),
            Record::AdviceDone(_) | Record::SafDone(_) => {
                let by = record.transaction();
                if let Some(oldest) = self.open.iter().position(|open| open.by == by) {
                    self.open.remove(oldest);
                }
            }
            _ => {}
        }
    }

    fn advised(&mut self, advised: &Advised<'_>) {
        let by = advised.transaction;
        let completes = advised.completes.map(|named| named.transaction);
        if let Some(original) = completes {
            self.completes.insert(by, original);
        }
        let place = self.places.remove(&by).unwrap_or(advised.admitted);
        self.open(by, place, completes.is_some());
    }

    fn owed(&mut self, owed: &SafOwed) {
        let by = owed.transaction;
        let waits = owed.takes_back() || self.completes.contains_key(&by);
        self.open(by, owed.decided, waits);
    }

    fn open(&mut self, by: TransactionId, place: WallTime, waits: bool) {
        self.noted += 1;
        self.open.push(Owed {
            about: self.completes.get(&by).copied().unwrap_or(by),
            by,
            place,
            waits,
            since: self.noted,
        });
    }

    /// What has an earlier place was owed when this was recorded, and is.
    fn overtaken(&self, by: TransactionId) -> Option<(&Owed, &Owed)> {
        let first = self.open.iter().find(|open| open.by == by);
        let leaving = first.filter(|first| first.waits)?;
        let older = self.open.iter().find(|other| {
            let was_owed = other.since < leaving.since || leaving.since == 0;
            // A start has found the one and not the other: whatever the clock said then.
            let is_before = match (other.since == 0, leaving.since == 0) {
                (true, false) => true,
                (false, true) => false,
                (true, true) | (false, false) => {
                    (other.place, other.by) < (leaving.place, leaving.by)
                }
            };
            other.about == leaving.about && other.by != by && was_owed && is_before
        })?;
        Some((leaving, older))
    }
}

impl Fold {
    //= docs/rules.md#V-12
    /// What this transaction owes first leaves.
    pub(in crate::simulation) fn check_order(&self, by: TransactionId) -> Result<(), Broken> {
        match self.order.overtaken(by) {
            Some(found) => Err(("V-12", format!("{:?} overtakes {:?}", found.0, found.1))),
            None => Ok(()),
        }
    }

    /// What a start has found is all known to each shard.
    pub(super) fn found_order(&mut self) {
        for open in &mut self.order.open {
            open.since = 0;
        }
    }
}

impl Ledger {
    /// The shard of its original gives a completion its place.
    pub(in crate::simulation) fn placed(&mut self, completion: TransactionId, place: WallTime) {
        self.journal.order.places.insert(completion, place);
    }
}
