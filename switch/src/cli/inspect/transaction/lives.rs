//! The records of transactions, gathered from PostgreSQL and from journals, and what they add up
//! to.

use std::collections::BTreeMap;

use domain::ids::{Lsn, ShardId, TransactionId};
use domain::record::{Operation, OutcomeKind, OwedKind, Record};
use domain::time::WallTime;
use persistence::applier::{Held, HeldException, HeldRecord, Wanted, words};
use persistence::identity::JournalUuid;
use persistence::manifest::PartyNames;
use persistence::reader::{Met, ShardFolder};
use persistence::record::{self, RecordType};

use super::super::fields;

/// All transactions that were found.
#[derive(Debug, Default)]
pub(super) struct Lives {
    found: BTreeMap<TransactionId, Life>,
    names: PartyNames,
}

/// One transaction.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) transaction: TransactionId,
    pub(super) entries: Vec<Entry>,
    pub(super) exceptions: Vec<HeldException>,
    pub(super) names: PartyNames,
}

/// One record of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) node: Option<u16>,
    pub(super) journal: JournalUuid,
    pub(super) generation: Option<u32>,
    pub(super) shard: ShardId,
    /// It lies in a checkpoint: the first segment that this does not cover.
    pub(super) checkpoint: Option<u64>,
    pub(super) lsn: Lsn,
    /// Its segment and where its batch begins; `None` of one that PostgreSQL holds.
    pub(super) file: Option<(u64, u64)>,
    pub(super) kind: String,
    pub(super) quarantined: Option<String>,
    transaction: TransactionId,
    bytes: Option<Vec<u8>>,
}

/// What the records add up to: the words of `njia.transaction`.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) state: Option<&'static str>,
    pub(super) approved: bool,
    pub(super) code: String,
    pub(super) reversal: Option<&'static str>,
    pub(super) advice: Option<&'static str>,
    pub(super) late_code: Option<String>,
    pub(super) admitted: Option<WallTime>,
}

impl Entry {
    pub(super) fn of(
        shard: &ShardFolder,
        node: Option<u16>,
        journal: JournalUuid,
        met: &Met<'_>,
    ) -> Self {
        Self {
            node,
            journal,
            generation: Some(shard.generation),
            shard: shard.shard,
            checkpoint: shard.checkpoint,
            lsn: met.lsn,
            file: Some((met.segment, met.offset)),
            kind: RecordType::of(&met.record).word().to_owned(),
            quarantined: None,
            transaction: met.record.transaction(),
            bytes: Some(met.bytes.to_vec()),
        }
    }

    fn held(held: &HeldRecord) -> Self {
        Self {
            node: None,
            journal: held.journal,
            generation: None,
            shard: held.shard,
            checkpoint: None,
            lsn: held.lsn,
            file: None,
            kind: held.kind.clone(),
            quarantined: held.quarantined.clone(),
            transaction: held.transaction,
            bytes: held.bytes.clone(),
        }
    }

    /// What it says; `None` where its bytes are not kept, or are of a version that this program
    /// does not read.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        let decoded = record::decode(self.bytes.as_deref()?).ok()?;
        (decoded.lsn == self.lsn).then_some(decoded.record)
    }

    fn at(&self) -> Option<WallTime> {
        self.record().map(|record| fields::at(&record))
    }
}

impl Lives {
    /// What PostgreSQL holds.
    pub(super) fn take(&mut self, held: &Held) {
        for record in &held.records {
            self.add(Entry::held(record));
        }
        for exception in &held.exceptions {
            let life = self.found.entry(exception.transaction).or_default();
            life.exceptions.push(exception.clone());
        }
        for (names, known) in [
            (&mut self.names.acquirers, &held.acquirers),
            (&mut self.names.issuers, &held.issuers),
        ] {
            for (id, name) in known {
                let at = usize::from(*id);
                if names.len() <= at {
                    names.resize(at + 1, "?".to_owned());
                }
                if let Some(slot) = names.get_mut(at) {
                    slot.clone_from(name);
                }
            }
        }
    }

    /// The manifest knows all names; PostgreSQL those of what was found.
    pub(super) fn know(&mut self, names: &PartyNames) {
        self.names = names.clone();
    }

    pub(super) const fn names(&self) -> &PartyNames {
        &self.names
    }

    /// Takes a record, once: PostgreSQL may hold it too, and a change of the shard count carries
    /// what is still needed over into the next generation.
    pub(super) fn add(&mut self, entry: Entry) {
        let life = self.found.entry(entry.transaction).or_default();
        let place = |entry: &Entry| (entry.journal, entry.shard, entry.lsn);
        let is_known = |known: &Entry| {
            place(known) == place(&entry)
                || (known.journal != entry.journal
                    && known.record().is_some()
                    && known.record() == entry.record())
        };
        if !life.entries.iter().any(is_known) {
            life.entries.push(entry);
        }
    }

    pub(super) fn holds(&self, transaction: TransactionId) -> bool {
        self.found.contains_key(&transaction)
    }

    /// Whether no further transaction is taken.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() > Wanted::HITS_MAX
    }

    /// All of them, the oldest first, each in the order of its records.
    pub(super) fn finish(self) -> Vec<Life> {
        let Self { found, names } = self;
        let lives = found.into_iter().map(|(transaction, mut life)| {
            life.transaction = transaction;
            life.names = names.clone();
            life.drop_copies();
            life.sort();
            life
        });
        lives.collect()
    }
}

impl Life {
    /// What lies in a checkpoint is shown where it happened, if that is still there. Its account
    /// is sealed anew, so it is told by its type and time.
    fn drop_copies(&mut self) {
        let told = |entry: &Entry| (entry.kind.clone(), entry.at());
        let own = self.entries.iter().filter(|own| own.checkpoint.is_none());
        let own: Vec<_> = own.map(told).collect();
        self.entries
            .retain(|entry| entry.checkpoint.is_none() || !own.contains(&told(entry)));
    }

    /// By LSN within a journal; journals, of which a change of the shard count makes several, by
    /// the time of their first record.
    fn sort(&mut self) {
        let mut begins: BTreeMap<(JournalUuid, ShardId), Option<WallTime>> = BTreeMap::new();
        for entry in &self.entries {
            let begin = begins.entry((entry.journal, entry.shard)).or_default();
            let at = entry.at();
            if begin.is_none() || (at.is_some() && at < *begin) {
                *begin = at;
            }
        }
        self.entries.sort_by_key(|entry| {
            let begin = begins.get(&(entry.journal, entry.shard)).copied().flatten();
            (begin, entry.journal, entry.shard, entry.lsn)
        });
    }

    /// The record that says what was asked.
    pub(super) fn asked(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            let record = entry.record();
            record.is_some_and(|record| fields::facts(&record).is_some())
        })
    }

    pub(super) fn state(&self) -> State {
        let mut state = State::default();
        for entry in &self.entries {
            if let Some(record) = entry.record() {
                state.fold(&record);
            }
        }
        state
    }
}

impl State {
    fn fold(&mut self, record: &Record<'_>) {
        if self.admitted.is_none() {
            self.admitted = Some(fields::at(record));
        }
        match record {
            Record::Intent(_) => self.ended(words::SENT, false, ""),
            Record::Refused(refused) => {
                self.ended(words::REFUSED, false, refused.code.digits().as_str());
            }
            Record::Outcome(outcome) => {
                let answered = outcome.kind == OutcomeKind::Answered;
                let approved = answered && outcome.answer.code.is_approval();
                let code = outcome.answer.code.digits();
                self.ended(words::outcome(outcome.kind), approved, code.as_str());
            }
            Record::Advised(advised) => {
                let approved = advised.leg.is_some() && advised.is_approval();
                let code = advised.answer.code.digits();
                self.ended(words::advised(advised), approved, code.as_str());
                self.advice = advised.leg.map(|_| words::OWED);
            }
            Record::SafOwed(_) => self.reversal = Some(words::OWED),
            Record::SafDone(done) => self.reversal = Some(words::saf_result(done.result)),
            Record::AdviceDone(done) => self.advice = Some(words::saf_result(done.result)),
            Record::Operated(operated) => {
                let state = match operated.operation {
                    Operation::Retry => words::OWED,
                    Operation::Drop => words::operation(operated.operation),
                };
                match operated.what {
                    OwedKind::Reversal => self.reversal = Some(state),
                    OwedKind::Advice => self.advice = Some(state),
                }
            }
            Record::LateResponse(late) => self.late_code = Some(late.code.to_string()),
            Record::Tombstone(_)
            | Record::Day(_)
            | Record::Totals(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => {
                self.state = Some(RecordType::of(record).word());
            }
        }
    }

    fn ended(&mut self, state: &'static str, approved: bool, code: &str) {
        self.state = Some(state);
        self.approved = approved;
        code.clone_into(&mut self.code);
    }
}
