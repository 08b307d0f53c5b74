//! One record as a row of `event`.

use domain::ids::{Lsn, ShardId, Slot, TransactionId};
use domain::reconciliation::Party;
use domain::record::{Advised, Intent, Operated, Outcome, Record, Refused, SafDone, SafOwed};
use domain::request::{Facts, IssuerLeg};
use domain::time::WallTime;
use domain::{Amount, ResponseCode};

use super::rows::{Row, RowBuffer};
use super::table::Column;
use super::words;
use crate::identity::JournalUuid;

/// The columns of `event`, in the order in which [`write`] fills them.
pub(crate) const COLUMNS: [Column; 24] = [
    Column::int2("shard_key"),
    Column::uuid("journal"),
    Column::int4("shard"),
    Column::int8("lsn"),
    Column::text("kind"),
    Column::uuid("transaction_id"),
    Column::time("at"),
    Column::text("detail"),
    Column::text("code"),
    Column::text("issuer_code"),
    Column::text("authorisation"),
    Column::int4("acquirer_id"),
    Column::int8("amount"),
    Column::int2("currency"),
    Column::int4("stan"),
    Column::uuid("duplicate_key"),
    Column::bytes("account_token"),
    Column::int2("account_token_key"),
    Column::int4("route_id"),
    Column::int4("issuer_id"),
    Column::int4("link_id"),
    Column::int4("leg_stan"),
    Column::int8("attempts"),
    Column::bytes("payload"),
];

/// Where a record stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) journal: JournalUuid,
    pub(crate) shard: ShardId,
    pub(crate) lsn: Lsn,
}

/// Appends the row of `record`; `payload` is the record as the journal holds it, when it is kept.
pub(crate) fn write(
    buffer: &mut RowBuffer,
    place: Place,
    record: &Record<'_>,
    payload: Option<&[u8]>,
) {
    let cells = Cells::of(record);
    let mut row = buffer.row(COLUMNS.len());
    row.int2(shard_key(record.transaction()).0);
    row.uuid(place.journal.0);
    row.int4(u32::from(place.shard.0));
    row.int8(place.lsn.0);
    row.text(words::kind(record));
    row.uuid(record.transaction().0.to_be_bytes());
    row.time(record_time(record));
    cells.write(&mut row);
    row.option(payload, Row::bytes);
    row.end();
}

/// The slot that the id carries: where the transaction lives, on every node.
pub(crate) fn shard_key(transaction: TransactionId) -> Slot {
    transaction.slot()
}

/// When the record was made.
pub(crate) const fn record_time(record: &Record<'_>) -> WallTime {
    match record {
        Record::Intent(record) => record.admitted,
        Record::Refused(record) => record.admitted,
        Record::Outcome(record) => record.decided,
        Record::SafOwed(record) => record.decided,
        Record::SafDone(record) => record.decided,
        Record::Tombstone(record) => record.decided,
        Record::LateResponse(record) => record.received,
        Record::Advised(record) => record.admitted,
        Record::AdviceDone(record) => record.decided,
        Record::Operated(record) => record.decided,
        Record::Day(record) => record.noted,
        Record::Totals(record) => record.noted,
        Record::Reconciled(record) => record.decided,
        Record::ReconciliationOwed(record) => record.decided,
        Record::ReconciliationDone(record) => record.decided,
    }
}

/// The columns that depend on the kind of record.
#[derive(Default)]
struct Cells<'r> {
    detail: Option<&'static str>,
    code: Option<ResponseCode>,
    issuer_code: Option<ResponseCode>,
    authorisation: &'r str,
    acquirer: Option<u16>,
    amount: Option<Amount>,
    stan: Option<u32>,
    duplicate_key: Option<u128>,
    account_token: Option<[u8; 16]>,
    account_token_key: Option<u8>,
    route: Option<u16>,
    issuer: Option<u16>,
    link: Option<u16>,
    leg_stan: Option<u32>,
    attempts: Option<u32>,
}

impl<'r> Cells<'r> {
    fn of(record: &'r Record<'_>) -> Self {
        match record {
            Record::Intent(Intent { facts, leg, .. }) => Self::default().asked(facts).sent(leg),
            Record::Refused(refused) => Self::refused(refused),
            Record::Outcome(outcome) => Self::outcome(outcome),
            Record::SafOwed(owed) => Self::saf_owed(owed),
            Record::SafDone(done) | Record::AdviceDone(done) => Self::saf_done(done),
            Record::Advised(advised) => Self::advised(advised),
            Record::Operated(operated) => Self::operated(operated),
            Record::Tombstone(tombstone) => Self {
                acquirer: Some(tombstone.acquirer.0),
                stan: Some(tombstone.original.stan.number()),
                duplicate_key: Some(tombstone.key.0),
                ..Self::default()
            },
            Record::LateResponse(late) => Self {
                code: Some(late.code),
                issuer: Some(late.issuer.0),
                ..Self::default()
            },
            Record::Day(day) => Self::default().with(day.party),
            Record::ReconciliationOwed(owed) => Self {
                issuer: Some(owed.issuer.0),
                leg_stan: Some(owed.stan.number()),
                ..Self::default()
            },
            Record::ReconciliationDone(done) => Self {
                detail: Some(words::reconciliation(done)),
                attempts: Some(done.attempts),
                ..Self::default()
            },
            Record::Totals(totals) => Self {
                detail: totals.is_closed.then_some("closed"),
                ..Self::default().with(totals.party)
            },
            Record::Reconciled(reconciled) => Self {
                detail: Some(words::verdict(reconciled.verdict)),
                stan: Some(reconciled.stan.number()),
                ..Self::default().with(reconciled.party)
            },
        }
    }

    fn advised(advised: &'r Advised<'_>) -> Self {
        let cells = Self {
            detail: Some(words::advised(advised)),
            code: Some(advised.answer.code),
            issuer_code: advised.reported,
            authorisation: advised.answer.authorisation.as_str(),
            ..Self::default()
        };
        let cells = cells.asked(&advised.facts);
        match &advised.leg {
            Some(leg) => cells.sent(leg),
            None => cells,
        }
    }

    const fn with(self, party: Party) -> Self {
        match party {
            Party::Acquirer(id) => Self {
                acquirer: Some(id.0),
                ..self
            },
            Party::Issuer(id) => Self {
                issuer: Some(id.0),
                ..self
            },
        }
    }

    fn asked(self, facts: &Facts) -> Self {
        Self {
            acquirer: Some(facts.acquirer.0),
            amount: Some(facts.amount),
            stan: Some(facts.trace.stan.number()),
            duplicate_key: Some(facts.key.0),
            account_token: Some(facts.account.token.0),
            account_token_key: Some(facts.account.token_key.0.get()),
            ..self
        }
    }

    const fn sent(self, leg: &IssuerLeg) -> Self {
        Self {
            route: Some(leg.route.0),
            issuer: Some(leg.issuer.0),
            link: Some(leg.link.0),
            leg_stan: Some(leg.stan.number()),
            ..self
        }
    }

    fn refused(refused: &Refused) -> Self {
        Self {
            detail: Some(words::refusal(refused.reason)),
            code: Some(refused.code),
            ..Self::default()
        }
        .asked(&refused.facts)
    }

    fn outcome(outcome: &'r Outcome<'_>) -> Self {
        Self {
            detail: Some(words::outcome(outcome.kind)),
            code: Some(outcome.answer.code),
            issuer_code: outcome.issuer_code,
            authorisation: outcome.answer.authorisation.as_str(),
            amount: outcome.answer.amount,
            ..Self::default()
        }
    }

    fn saf_owed(owed: &SafOwed) -> Self {
        Self {
            detail: Some(words::cause(owed.cause)),
            amount: owed.replacement,
            duplicate_key: (owed.key.0 != 0).then_some(owed.key.0),
            ..Self::default()
        }
    }

    fn saf_done(done: &SafDone) -> Self {
        Self {
            detail: Some(words::saf_result(done.result)),
            code: done.code,
            attempts: Some(done.attempts),
            ..Self::default()
        }
    }

    fn operated(operated: &Operated) -> Self {
        Self {
            detail: Some(words::operation(operated.operation)),
            code: operated.code,
            attempts: Some(operated.attempts),
            ..Self::default()
        }
    }

    fn write(&self, row: &mut Row<'_>) {
        row.option(self.detail, Row::text);
        row.option(self.code, code);
        row.option(self.issuer_code, code);
        row.text_or_null(self.authorisation);
        row.option(self.acquirer.map(u32::from), Row::int4);
        row.option(self.amount.map(Amount::minor), Row::int8);
        let currency = self.amount.map(|amount| amount.currency().code());
        row.option(currency, Row::int2);
        row.option(self.stan, Row::int4);
        row.option(self.duplicate_key.map(u128::to_be_bytes), Row::uuid);
        row.option(self.account_token, |row, token| row.bytes(&token));
        row.option(self.account_token_key.map(u16::from), Row::int2);
        row.option(self.route.map(u32::from), Row::int4);
        row.option(self.issuer.map(u32::from), Row::int4);
        row.option(self.link.map(u32::from), Row::int4);
        row.option(self.leg_stan, Row::int4);
        row.option(self.attempts.map(u64::from), Row::int8);
    }
}

/// DE39 as text.
pub(crate) fn code(row: &mut Row<'_>, code: ResponseCode) {
    row.bytes(code.digits().as_bytes());
}
