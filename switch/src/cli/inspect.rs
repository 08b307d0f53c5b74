//! `njia inspect journal`: verifies a journal at rest, and shows its records masked. Messages and
//! dialects are in the modules below.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use domain::currency::Currency;
use domain::ids::{Lsn, ShardId, TransactionId};
use domain::reconciliation::{DayTotals, Figure, Party, Reconciled, ReconciliationOwed, Totals};
use domain::record::{OutcomeKind, Record};
use persistence::layout::MANIFEST;
use persistence::reader::UpTo;
use persistence::{Manifest, ShardReader};

use super::CliError;

mod frames;
mod input;
mod json;
pub(super) mod message;
mod pretty;
pub(super) mod table;

/// What the records of one shard come to.
#[derive(Debug, Default)]
struct Sum {
    records: u64,
    last: Lsn,
    kinds: BTreeMap<&'static str, u64>,
    /// Minor units asked for, by currency: transactions with an intent, and refusals.
    asked: BTreeMap<u16, u128>,
    /// Whose request was not sent, in the record before: its next intent follows at once.
    not_sent: Option<TransactionId>,
}

/// Reads every shard to its end; every batch is checked as recovery checks it.
pub(super) fn journal(dir: &Path, records: bool, out: &mut dyn Write) -> Result<(), CliError> {
    if !dir.join(MANIFEST).exists() {
        return Err(CliError::NoJournal(dir.to_owned()));
    }
    let content = Manifest::read(dir)?;
    writeln!(
        out,
        "journal {} of node {}: generation {}, {} shards, start {}",
        content.journal, content.node, content.generation, content.shards, content.start
    )?;
    for shard in (0..content.shards).map(ShardId) {
        content.check_segments(dir, shard)?;
        let mut reader = ShardReader::open(dir, shard, Lsn::ZERO)?;
        let mut sum = Sum::default();
        while let Some(entry) = reader.next(UpTo::End)? {
            sum.add(entry.lsn, &entry.record);
            if records {
                writeln!(out, "{shard} {} {}", entry.lsn, line(&entry.record))?;
            }
        }
        sum.write(shard, reader.torn(), out)?;
    }
    Ok(())
}

impl Sum {
    fn add(&mut self, lsn: Lsn, record: &Record<'_>) {
        self.records += 1;
        self.last = lsn;
        *self.kinds.entry(kind(record)).or_default() += 1;
        let is_first = self.not_sent.take() != Some(record.transaction());
        let facts = match record {
            Record::Intent(intent) if is_first => &intent.facts,
            Record::Refused(refused) => &refused.facts,
            Record::Advised(advised) if is_first => &advised.facts,
            Record::Outcome(outcome) => {
                let is_not_sent = outcome.kind == OutcomeKind::NotSent;
                self.not_sent = is_not_sent.then_some(outcome.transaction);
                return;
            }
            Record::Intent(_)
            | Record::Advised(_)
            | Record::AdviceDone(_)
            | Record::Operated(_)
            | Record::SafOwed(_)
            | Record::SafDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::Day(_)
            | Record::Totals(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => return,
        };
        let asked = self
            .asked
            .entry(facts.amount.currency().code())
            .or_default();
        *asked += u128::from(facts.amount.minor());
    }

    fn write(&self, shard: ShardId, torn: bool, out: &mut dyn Write) -> std::io::Result<()> {
        let tail = if torn {
            "; its tail is torn, the next start will judge it"
        } else {
            ""
        };
        writeln!(
            out,
            "shard {shard}: {} records up to {}{tail}",
            self.records, self.last
        )?;
        for (kind, count) in &self.kinds {
            writeln!(out, "  {kind:<14}{count:>12}")?;
        }
        for (code, minor) in &self.asked {
            let currency = Currency::new(*code);
            let name = currency.map_or_else(|_| code.to_string(), |currency| currency.to_string());
            writeln!(out, "  asked for {name} {minor} (minor units)")?;
        }
        Ok(())
    }
}

const fn kind(record: &Record<'_>) -> &'static str {
    match record {
        Record::Intent(_) => "intent",
        Record::Refused(_) => "refused",
        Record::Outcome(outcome) => match outcome.kind {
            OutcomeKind::Answered => "answered",
            OutcomeKind::TimedOut => "timed-out",
            OutcomeKind::Invalid => "invalid",
            OutcomeKind::NotSent => "not-sent",
            OutcomeKind::AcquirerReversed => "reversed",
        },
        Record::SafOwed(_) => "saf-owed",
        Record::SafDone(_) => "saf-done",
        Record::Tombstone(_) => "tombstone",
        Record::LateResponse(_) => "late-response",
        Record::Advised(_) => "advised",
        Record::AdviceDone(_) => "advice-done",
        Record::Operated(_) => "operated",
        Record::Day(_) => "day",
        Record::Totals(_) => "totals",
        Record::Reconciled(_) => "reconciled",
        Record::ReconciliationOwed(_) => "recon-owed",
        Record::ReconciliationDone(_) => "recon-done",
    }
}

fn totals(day: &DayTotals) -> String {
    format!(
        "{} date={} currency={} closed={} {}",
        party(day.party),
        day.date,
        day.currency,
        day.is_closed,
        figures(&day.totals)
    )
}

fn owed_totals(owed: &ReconciliationOwed) -> String {
    format!(
        "issuer={} date={} currency={} leg_stan={} {}",
        owed.issuer,
        owed.date,
        owed.currency,
        owed.stan,
        figures(&owed.ours)
    )
}

fn result(reconciled: &Reconciled) -> String {
    format!(
        "{} date={} currency={} stan={} verdict={:?} {}",
        party(reconciled.party),
        reconciled.date,
        reconciled.currency,
        reconciled.stan,
        reconciled.verdict,
        figures(&reconciled.ours)
    )
}

fn party(party: Party) -> String {
    match party {
        Party::Acquirer(id) => format!("acquirer={id}"),
        Party::Issuer(id) => format!("issuer={id}"),
    }
}

/// What is not nothing, by data element; reversals stand under what they reverse.
fn figures(totals: &Totals) -> String {
    let all = Figure::ALL.into_iter();
    let counted = all.filter(|figure| totals.of(*figure) > 0);
    let told = counted.map(|figure| format!("de{}={}", figure.field(), totals.of(figure)));
    told.collect::<Vec<_>>().join(" ")
}

/// One record in one line. The types mask account numbers; further fields of answers are not shown.
fn line(record: &Record<'_>) -> String {
    let head = format!("{} {}", record.transaction(), kind(record));
    match record {
        Record::Intent(intent) => {
            let (facts, leg) = (&intent.facts, &intent.leg);
            format!(
                "{head} acquirer={} stan={} account={} amount={} issuer={} link={} leg_stan={}",
                facts.acquirer,
                facts.trace.stan,
                facts.account.masked,
                facts.amount,
                leg.issuer,
                leg.link,
                leg.stan
            )
        }
        Record::Refused(refused) => format!(
            "{head} stan={} account={} amount={} code={} reason={:?}",
            refused.facts.trace.stan,
            refused.facts.account.masked,
            refused.facts.amount,
            refused.code,
            refused.reason
        ),
        Record::Outcome(outcome) => format!("{head} code={}", outcome.answer.code),
        Record::SafOwed(owed) => format!("{head} cause={:?}", owed.cause),
        Record::Advised(advised) => format!(
            "{head} stan={} account={} amount={} code={} origin={:?} issuer={}",
            advised.facts.trace.stan,
            advised.facts.account.masked,
            advised.facts.amount,
            advised.answer.code,
            advised.origin,
            advised
                .leg
                .map_or_else(|| "-".to_owned(), |leg| leg.issuer.to_string())
        ),
        Record::SafDone(done) | Record::AdviceDone(done) => {
            format!("{head} result={:?} attempts={}", done.result, done.attempts)
        }
        Record::Operated(operated) => format!(
            "{head} {:?} of {:?} {} by uid={} name={:?} reason={:?}",
            operated.operation,
            operated.what,
            operated.ordinal,
            operated.operator.uid,
            operated.operator.name.as_str(),
            operated.reason
        ),
        Record::Tombstone(tombstone) => format!("{head} stan={}", tombstone.original.stan),
        Record::Day(day) => format!("{head} {} date={}", party(day.party), day.date),
        Record::Totals(day) => format!("{head} {}", totals(day)),
        Record::Reconciled(reconciled) => format!("{head} {}", result(reconciled)),
        Record::ReconciliationOwed(owed) => format!("{head} {}", owed_totals(owed)),
        Record::ReconciliationDone(done) => format!("{head} {done:?}"),
        Record::LateResponse(late) => format!("{head} issuer={} code={}", late.issuer, late.code),
    }
}
