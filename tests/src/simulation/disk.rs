//! A disk that keeps what was synced, and of the rest whatever prefix it likes.

use domain::Record;
use domain::record::{Advised, Outcome};
use domain::request::Answer;

use super::random::Random;

/// One record, owned.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    record: Record<'static>,
    fields: Vec<u8>,
}

/// The journal on its disk.
#[derive(Debug, Default)]
pub(super) struct Disk {
    records: Vec<Stored>,
    /// What a crash cannot take.
    synced: usize,
    pub(super) flushing: bool,
}

impl Stored {
    pub(super) fn new(record: Record<'_>) -> Self {
        let mut fields = Vec::new();
        let record = match record {
            Record::Outcome(outcome) => {
                fields.extend_from_slice(outcome.answer.fields);
                Record::Outcome(with_fields(outcome, &[]))
            }
            Record::Advised(advised) => {
                fields.extend_from_slice(advised.fields);
                Record::Advised(advised_with(advised, &[]))
            }
            Record::Intent(record) => Record::Intent(record),
            Record::Refused(record) => Record::Refused(record),
            Record::SafOwed(record) => Record::SafOwed(record),
            Record::SafDone(record) => Record::SafDone(record),
            Record::AdviceDone(record) => Record::AdviceDone(record),
            Record::Tombstone(record) => Record::Tombstone(record),
            Record::LateResponse(record) => Record::LateResponse(record),
        };
        Self { record, fields }
    }

    pub(super) fn view(&self) -> Record<'_> {
        match self.record {
            Record::Outcome(outcome) => Record::Outcome(with_fields(outcome, &self.fields)),
            Record::Advised(advised) => Record::Advised(advised_with(advised, &self.fields)),
            other => other,
        }
    }
}

fn advised_with<'a>(advised: Advised<'_>, fields: &'a [u8]) -> Advised<'a> {
    Advised {
        transaction: advised.transaction,
        admitted: advised.admitted,
        facts: advised.facts,
        reported: advised.reported,
        origin: advised.origin,
        leg: advised.leg,
        completes: advised.completes,
        answer: advised.answer,
        fields,
    }
}

fn with_fields<'a>(outcome: Outcome<'_>, fields: &'a [u8]) -> Outcome<'a> {
    Outcome {
        transaction: outcome.transaction,
        decided: outcome.decided,
        kind: outcome.kind,
        answer: Answer {
            code: outcome.answer.code,
            authorisation: outcome.answer.authorisation,
            amount: outcome.answer.amount,
            fields,
        },
        issuer_code: outcome.issuer_code,
    }
}

impl Disk {
    pub(super) fn append(&mut self, record: Record<'_>) {
        self.records.push(Stored::new(record));
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.records.iter().map(Stored::view)
    }

    /// Whether something waits for a flush.
    pub(super) fn is_dirty(&self, reported: usize) -> bool {
        reported < self.records.len()
    }

    /// A flush of everything up to `upto` has ended.
    pub(super) fn synced(&mut self, upto: usize) {
        self.synced = self.synced.max(upto);
    }

    /// The power fails: of what was not synced, a prefix of any length survives.
    pub(super) fn crash(&mut self, random: &mut Random) {
        let pending = (self.records.len() - self.synced) as u64;
        let kept = match random.below(3) {
            0 => 0,
            1 => pending,
            _ => random.below(pending + 1),
        };
        self.records.truncate(self.synced + kept as usize);
        self.synced = self.records.len();
        self.flushing = false;
    }

    /// Cuts out records: the null control that hides open intents from the engine.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Record<'_>) -> bool) {
        self.records.retain(|stored| keep(&stored.view()));
        self.synced = self.records.len();
    }
}
