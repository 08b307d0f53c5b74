//! One record as an event: type, key, headers and the JSON value.

use domain::ids::{NodeId, TransactionId};
use domain::record::Record;
use domain::time::WallTime;
use serde::Serialize;

use super::data::{Data, Shown, text};
use crate::applier::event::{Place, record_time, shard_key};
use crate::applier::{Names, words};

/// The version of the schema. Fields and types are added without raising it; whatever would break
/// a reader raises it.
pub(super) const VERSION: u8 = 1;

/// The type of a record's event; `None` for running sums, which mean nothing outside.
///
/// The words are read by others: never changed, only added to.
#[must_use]
pub const fn event_type(record: &Record<'_>) -> Option<&'static str> {
    Some(match record {
        Record::Intent(_) => "transaction.sent",
        Record::Refused(_) => "transaction.refused",
        Record::Outcome(_) => "transaction.ended",
        Record::Advised(_) => "transaction.advised",
        Record::LateResponse(_) => "answer.late",
        Record::SafOwed(_) => "reversal.owed",
        Record::SafDone(_) => "reversal.ended",
        Record::Tombstone(_) => "reversal.unmatched",
        Record::AdviceDone(_) => "advice.ended",
        Record::Operated(_) => "operator.acted",
        Record::Day(_) => "day.noted",
        Record::Totals(totals) if totals.is_closed => "day.closed",
        Record::Totals(_) => return None,
        Record::Reconciled(_) => "reconciliation.answered",
        Record::ReconciliationOwed(_) => "reconciliation.owed",
        Record::ReconciliationDone(_) => "reconciliation.ended",
    })
}

/// What a topic is given.
#[derive(Debug)]
pub(super) struct Event {
    /// Its type.
    pub(super) kind: &'static str,
    /// `shard_key`, decimal.
    pub(super) key: String,
    /// Stable: the journal, the shard and the LSN of its record.
    pub(super) id: String,
    pub(super) transaction: TransactionId,
    /// When the record was made.
    pub(super) at: WallTime,
    /// JSON.
    pub(super) value: Vec<u8>,
}

impl Event {
    /// The event of `record`; `None` when it has none.
    ///
    /// # Errors
    /// The JSON cannot be written, which is a fault of this module.
    pub(super) fn of(
        record: &Record<'_>,
        place: Place,
        node: NodeId,
        names: &Names,
    ) -> Result<Option<Self>, serde_json::Error> {
        let Some(kind) = event_type(record) else {
            return Ok(None);
        };
        let transaction = record.transaction();
        let at = record_time(record);
        let id = format!("{}-{}-{}", place.journal, place.shard, place.lsn);
        let body = Body {
            version: VERSION,
            id: &id,
            kind,
            at: Shown(at),
            node: node.0,
            journal: Shown(place.journal),
            shard: place.shard.0,
            lsn: place.lsn.0,
            shard_key: shard_key(transaction).0,
            transaction: Shown(transaction),
            data: data(record, names),
        };
        let value = serde_json::to_vec(&body)?;
        Ok(Some(Self {
            kind,
            key: shard_key(transaction).to_string(),
            id,
            transaction,
            at,
            value,
        }))
    }
}

/// The JSON value.
#[derive(Serialize)]
struct Body<'r> {
    version: u8,
    id: &'r str,
    #[serde(rename = "type")]
    kind: &'static str,
    at: Shown<WallTime>,
    node: u16,
    journal: Shown<crate::identity::JournalUuid>,
    shard: u16,
    lsn: u64,
    shard_key: u16,
    transaction: Shown<TransactionId>,
    data: Data<'r>,
}

fn data<'r>(record: &'r Record<'_>, names: &'r Names) -> Data<'r> {
    match record {
        Record::Intent(intent) => Data::default()
            .asked(&intent.facts, names)
            .sent(&intent.leg, names),
        Record::Refused(refused) => Data {
            approved: Some(false),
            code: Some(Shown(refused.code)),
            reason: Some(words::refusal(refused.reason)),
            ..Data::default()
        }
        .asked(&refused.facts, names),
        Record::Outcome(outcome) => Data {
            outcome: Some(words::outcome(outcome.kind)),
            approved: Some(outcome.is_approval()),
            code: Some(Shown(outcome.answer.code)),
            issuer_code: outcome.issuer_code.map(Shown),
            authorisation: text(&outcome.answer.authorisation),
            ..Data::default()
        }
        .of_amount(outcome.answer.amount),
        Record::Advised(advised) => Data::advised(advised, names),
        Record::LateResponse(late) => Data {
            issuer: Some(names.issuer(late.issuer)),
            issuer_code: Some(Shown(late.code)),
            ..Data::default()
        },
        Record::SafOwed(owed) => Data::owed(owed),
        Record::SafDone(done) | Record::AdviceDone(done) => Data::done(done),
        Record::Tombstone(tombstone) => Data {
            acquirer: Some(names.acquirer(tombstone.acquirer)),
            stan: Some(Shown(tombstone.original.stan)),
            ..Data::default()
        },
        Record::Operated(operated) => Data::operated(operated),
        Record::Day(day) => Data {
            date: Some(Shown(day.date)),
            date_before: day.before.map(Shown),
            closed: day.closed.map(Shown),
            ..Data::default()
        }
        .with(day.party, names),
        Record::Totals(totals) => Data::closed(totals, names),
        Record::Reconciled(reconciled) => Data {
            date: Some(Shown(reconciled.date)),
            stan: Some(Shown(reconciled.stan)),
            verdict: Some(words::verdict(reconciled.verdict)),
            ..Data::default()
        }
        .with(reconciled.party, names)
        .counted(reconciled.currency, reconciled.ours),
        Record::ReconciliationOwed(owed) => Data {
            issuer: Some(names.issuer(owed.issuer)),
            date: Some(Shown(owed.date)),
            issuer_stan: Some(Shown(owed.stan)),
            ..Data::default()
        }
        .counted(owed.currency, owed.ours),
        Record::ReconciliationDone(done) => Data {
            outcome: Some(words::saf_result(done.result)),
            verdict: Some(words::verdict(done.verdict)),
            attempts: Some(done.attempts),
            ..Data::default()
        },
    }
}

#[cfg(test)]
mod tests;
