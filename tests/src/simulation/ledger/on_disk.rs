//! What an answer rests on is on the disk when it leaves, and not only after the next crash.

use domain::ids::Lsn;
use persistence::record::{decode, encode, encoded_len};

use super::*;

/// How purchases stand on the disk, where more was appended.
#[derive(Debug, Default)]
pub(super) struct OnDisk {
    durable: BTreeMap<u16, Lsn>,
    behind: BTreeMap<u32, Behind>,
    /// Outcomes of this turn that owe a reversal.
    owe: BTreeSet<u32>,
}

#[derive(Debug)]
struct Behind {
    /// Of the records that are on the disk.
    state: State,
    /// Further records, encoded. Those of one shard are there in their order; those of another may
    /// be there before.
    appended: Vec<(u16, Lsn, Vec<u8>)>,
}

impl OnDisk {
    pub(super) fn appended(
        &mut self,
        (shard, lsn): (u16, Lsn),
        purchase: u32,
        before: State,
        record: &Record<'_>,
    ) {
        let behind = self.behind.entry(purchase).or_insert(Behind {
            state: before,
            appended: Vec::new(),
        });
        let mut bytes = vec![0; encoded_len(record)];
        encode(record, lsn, &mut bytes).expect("there is room for it");
        behind.appended.push((shard, lsn, bytes));
    }

    fn reached(&self, shard: u16, lsn: Lsn) -> bool {
        self.durable
            .get(&shard)
            .is_some_and(|durable| *durable >= lsn)
    }
}

impl Ledger {
    /// A flush has ended well, and the disk has what was written.
    pub(in crate::simulation) fn durable(&mut self, shard: u16, lsn: Lsn) {
        let mut on_disk = std::mem::take(&mut self.on_disk);
        on_disk.durable.insert(shard, lsn);
        let mut behind = std::mem::take(&mut on_disk.behind);
        behind.retain(|_, behind| {
            let appended = behind.appended.iter();
            let there = appended.take_while(|(shard, lsn, _)| on_disk.reached(*shard, *lsn));
            let there = there.count();
            for (.., bytes) in behind.appended.drain(..there) {
                behind.state.add_bytes(&bytes);
            }
            !behind.appended.is_empty()
        });
        on_disk.behind = behind;
        self.on_disk = on_disk;
    }

    /// What a start would find of a purchase.
    fn on_disk(&self, purchase: u32) -> State {
        let Some(behind) = self.on_disk.behind.get(&purchase) else {
            return self.journal.state(purchase);
        };
        let mut state = behind.state.clone();
        for (shard, lsn, bytes) in &behind.appended {
            if self.on_disk.reached(*shard, *lsn) {
                state.add_bytes(bytes);
            }
        }
        state
    }

    /// S1: an answer leaves; the record that it rests on is on the disk.
    pub(super) fn rests_on_disk(
        &self,
        ask: &Ask,
        answer: &Answer<'_>,
        stored: bool,
    ) -> Result<(), Broken> {
        let purchase = ask.of.number;
        let state = self.on_disk(purchase);
        let is_said = answer.code.is_approval();
        let rests = match ask.what {
            Asked::Reversal { stays, .. } => {
                let is_taken = is_said || answer.code == ResponseCode::ORIGINAL_NOT_FOUND;
                !is_taken || state.is_taken_back(stays.unwrap_or(0))
            }
            Asked::Request { .. } if ask.of.is_advice() => !is_said || state.is_advised(),
            Asked::Request { .. } => {
                if stored && !is_said {
                    return state.check_told(purchase);
                }
                !is_said || state.is_approved
            }
        };
        match rests {
            true => Ok(()),
            false => Err((
                "S1",
                format!("{ask:?} is told {} and the disk has {state:?}", answer.code),
            )),
        }
    }

    /// Where an issuer may have approved what is told otherwise, it is owed the reversal in the
    /// same turn.
    pub(super) fn note_owed(&mut self, purchase: u32, record: &Record<'_>) {
        match record {
            Record::Outcome(outcome)
                if matches!(outcome.kind, OutcomeKind::TimedOut | OutcomeKind::Invalid) =>
            {
                self.on_disk.owe.insert(purchase);
            }
            Record::SafOwed(_) => {
                self.on_disk.owe.remove(&purchase);
            }
            _ => {}
        }
    }

    /// S3, at the end of each turn.
    pub(in crate::simulation) fn check_turn(&self) -> Result<(), Broken> {
        match self.on_disk.owe.first() {
            None => Ok(()),
            Some(purchase) => Err((
                "S3",
                format!("purchase {purchase} may have moved and nothing is owed"),
            )),
        }
    }
}

impl State {
    fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(&decode(bytes).expect("it was encoded").record);
    }

    /// Any record is about it.
    fn is_known(&self) -> bool {
        let asked = self.intents > 0 || self.refused;
        asked || self.advised > 0 || self.left_to_people || self.buried || self.owed > 0
    }

    /// Whether it says what its acknowledged reversal rests on: that no more than `stays` is left.
    pub(super) fn is_taken_back(&self, stays: u64) -> bool {
        if !self.is_known() || self.intents != self.closed {
            return false;
        }
        match self.is_approved {
            // A reversal in part of what was approved in part may change nothing.
            true => self.left <= stays,
            false => !self.may_have_moved || self.owed > 0,
        }
    }

    /// S3: whoever is told that nothing was approved is told so when the disk has an outcome, and
    /// what the issuer is owed if it may have approved.
    fn check_told(&self, purchase: u32) -> Result<(), Broken> {
        if self.intents == self.closed && (!self.may_have_moved || self.owed > 0) {
            return Ok(());
        }
        Err((
            "S3",
            format!("purchase {purchase} is told its end and the disk has {self:?}"),
        ))
    }
}

/// What a record says that is the first of its transaction.
pub(super) fn facts_of<'a>(record: &'a Record<'_>) -> Option<&'a Facts> {
    match record {
        Record::Intent(intent) => Some(&intent.facts),
        Record::Refused(refused) => Some(&refused.facts),
        Record::Advised(advised) => Some(&advised.facts),
        Record::Outcome(_)
        | Record::AdviceDone(_)
        | Record::SafOwed(_)
        | Record::SafDone(_)
        | Record::Tombstone(_)
        | Record::LateResponse(_)
        | Record::Operated(_)
        | Record::Day(_)
        | Record::Totals(_)
        | Record::Reconciled(_)
        | Record::ReconciliationOwed(_)
        | Record::ReconciliationDone(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::record::{ReversalCause, SafDone, SafOwed};
    use domain::request::DuplicateKey;
    use domain::time::WallTime;

    use super::*;

    const PURCHASE: u32 = 7;
    const NOW: WallTime = WallTime::from_unix_millis(0);

    fn approved(left: u64) -> State {
        State {
            intents: 1,
            closed: 1,
            is_approved: true,
            left,
            ..State::default()
        }
    }

    #[test]
    fn an_acknowledged_reversal_rests_on_a_record_that_leaves_no_more() {
        assert!(!State::default().is_taken_back(0), "nothing is known of it");
        assert!(!approved(900).is_taken_back(0));
        assert!(approved(0).is_taken_back(0));
        // An earlier reversal in part is not this one.
        let in_part = State {
            owed: 1,
            ..approved(500)
        };
        assert!(!in_part.is_taken_back(0));
        assert!(in_part.is_taken_back(500));
        // A tombstone elsewhere does not take back what was approved.
        let buried = State {
            buried: true,
            ..approved(900)
        };
        assert!(!buried.is_taken_back(0));
    }

    #[test]
    fn what_may_have_moved_is_taken_back_when_its_reversal_is_owed() {
        let mut state = State {
            intents: 1,
            ..State::default()
        };
        assert!(!state.is_taken_back(0), "it is still open");
        state.closed = 1;
        assert!(state.is_taken_back(0), "its issuer declined it");
        state.may_have_moved = true;
        assert!(!state.is_taken_back(0));
        state.owed = 1;
        assert!(state.is_taken_back(0));
    }

    #[test]
    fn what_one_shard_has_flushed_says_nothing_of_another() {
        let (first, second) = (TransactionId(1), TransactionId(2));
        let owed = Record::SafOwed(SafOwed {
            transaction: first,
            decided: NOW,
            cause: ReversalCause::Timeout,
            key: DuplicateKey(0),
            replacement: None,
            reason: None,
        });
        let done = Record::SafDone(SafDone {
            transaction: second,
            decided: NOW,
            result: SafResult::Acknowledged,
            code: None,
            attempts: 1,
        });
        let mut ledger = Ledger::default();
        let mut append = |shard, record| {
            let before = State::default();
            let on_disk = &mut ledger.on_disk;
            on_disk.appended((shard, Lsn(1)), PURCHASE, before, record);
        };
        append(0, &owed);
        append(1, &done);
        let has = |ledger: &Ledger| {
            let state = ledger.on_disk(PURCHASE);
            (state.owed, state.done)
        };
        assert_eq!(has(&ledger), (0, 0));
        ledger.durable(1, Lsn(1));
        assert_eq!(has(&ledger), (0, 1));
    }
}
