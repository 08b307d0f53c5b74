//! The comparison itself.

use std::collections::BTreeMap;
use std::fmt::Display;

use domain::ids::TransactionId;
use domain::record::SafResult;
use domain::response_code::ResponseCode;
use hashbrown::HashMap;

use super::acquirer::{AcquirerBook, Reversal, Told};
use super::completions::Completions;
use super::database::DatabaseBook;
use super::gateway::GatewayBook;
use super::journal::{Entry, JournalBook};
use super::ledgers::LedgerBook;

/// What the comparison found.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Each check with what it found; all must have found nothing.
    pub checks: Vec<Check>,
    /// Money by numeric currency code.
    pub sums: BTreeMap<u16, Sums>,
    /// Transactions in the journal.
    pub transactions: u64,
    /// Answers that the acquirer read, one per request.
    pub acknowledged: u64,
    /// Approvals and acknowledgements of reversals among them.
    pub acked_writes: u64,
    /// Requests refused before any work was done for them.
    pub refused: u64,
    /// Transactions with a reversal.
    pub reversed: u64,
    /// Of them those that leave a part.
    pub reversed_in_part: u64,
    /// Transactions in whose place a completion stands.
    pub completed: u64,
    /// Advices.
    pub advised: u64,
    /// Answers that their message could not be read. None, where no line spoils a byte.
    pub unread: u64,
    /// Reversals that have not ended.
    pub reversals_owed: u64,
    /// In the journal, and the acquirer was never told: the answer was lost on the way.
    pub unacknowledged: u64,
    /// Transactions whose money stands otherwise in the journal than the acquirer was told, because
    /// an answer was lost on the way.
    pub untold: u64,
}

/// One thing that must not be.
#[derive(Clone, Debug)]
pub struct Check {
    /// What it is.
    pub name: &'static str,
    /// How often it was found.
    pub count: u64,
    /// The first that were found, by their ids.
    pub offenders: Vec<String>,
    kind: Fault,
}

/// What kind of fault a check looks for, for the line of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Lost,
    Doubled,
    Other,
}

/// Money of one currency in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// As the acquirer was told.
    pub acquirer: i128,
    /// What the acquirer was not told, by the journal. That it makes the sums equal says nothing:
    /// it is the difference. Each transaction in it is checked by itself.
    pub untold: i128,
    /// By the journal.
    pub journal: i128,
    /// By the issuers; `None` when they were not asked.
    pub issuers: Option<i128>,
    /// By PostgreSQL; `None` when it was not asked.
    pub database: Option<i128>,
}

impl Sums {
    /// Whether all who were asked agree.
    #[must_use]
    pub fn are_equal(&self) -> bool {
        let agrees = |sum: Option<i128>| sum.is_none_or(|sum| sum == self.journal);
        self.acquirer + self.untold == self.journal && agrees(self.issuers) && agrees(self.database)
    }
}

impl Check {
    pub(super) fn new(name: &'static str, kind: Fault) -> Self {
        Self {
            name,
            count: 0,
            offenders: Vec::new(),
            kind,
        }
    }

    pub(super) fn found(&mut self, offender: impl Display) {
        self.count += 1;
        if self.offenders.len() < OFFENDERS_MAX {
            self.offenders.push(offender.to_string());
        }
    }

    pub(super) fn expect(&mut self, holds: bool, offender: impl Display) {
        if !holds {
            self.found(offender);
        }
    }
}

/// All who were told something.
#[derive(Clone, Copy, Debug)]
pub struct Acquirers<'a> {
    /// By ISO 8583.
    pub iso: &'a AcquirerBook,
    /// By JSON.
    pub gateway: &'a GatewayBook,
}

impl Audit {
    /// Compares the books.
    #[must_use]
    pub fn of(
        acquirers: Acquirers<'_>,
        journal: &JournalBook,
        ledgers: Option<&LedgerBook>,
        database: Option<&DatabaseBook>,
    ) -> Self {
        let acquirer = acquirers.iso;
        let mut audit = Self {
            transactions: crate::numeric::count(journal.transactions.len()),
            unread: acquirer.unread,
            ..Self::default()
        };
        let completions = Completions::of(acquirer, journal);
        audit.completed = crate::numeric::count(completions.count());
        audit.journal_itself(journal, &completions);
        audit.acquirer_and_journal(acquirers, journal, &completions);
        if !acquirers.gateway.is_empty() {
            audit.gateway_and_journal(acquirers.gateway, journal);
            audit.gateway_doubles(acquirer, acquirers.gateway, journal);
        }
        audit.completed(&completions);
        if let Some(ledgers) = ledgers {
            audit.issuers_and_journal(ledgers, journal, &completions);
        }
        if let Some(database) = database {
            audit.database_and_journal(database, journal, &completions);
        }
        let mut sums = Check::new("sums of a currency that are not equal", Fault::Other);
        for (currency, one) in &audit.sums {
            sums.expect(one.are_equal(), format_args!("currency {currency:03}"));
        }
        audit.checks.push(sums);
        audit
    }

    /// Nothing was found, and all sums are equal.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.count == 0)
    }

    /// Transactions that somebody was told of and that are not where they must be.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.count(Fault::Lost)
    }

    /// Transactions that are there twice, or moved money twice.
    #[must_use]
    pub fn doubled(&self) -> u64 {
        self.count(Fault::Doubled)
    }

    fn count(&self, kind: Fault) -> u64 {
        let checks = self.checks.iter().filter(|check| check.kind == kind);
        checks.map(|check| check.count).sum()
    }

    fn journal_itself(&mut self, journal: &JournalBook, completions: &Completions) {
        let mut doubled = Check::new("requests with more than one transaction", Fault::Doubled);
        journal.doubled.iter().for_each(|id| doubled.found(id));
        let mut contradictions = Check::new("records that contradict others", Fault::Other);
        for (id, what) in &journal.contradictions {
            contradictions.found(format_args!("{id} {what}"));
        }
        let mut open = Check::new("intents without an outcome", Fault::Other);
        let mut owing = Check::new("reversals or advices still owed", Fault::Other);
        let mut failed = Check::new(
            "reversals or advices that ended as exceptions",
            Fault::Other,
        );
        for (id, entry) in &journal.transactions {
            open.expect(!entry.open, id);
            owing.expect(!entry.is_owing(), id);
            self.advised += u64::from(journal.is_advised(*id));
            let advice = entry.advice.flatten();
            failed.expect(matches!(advice, None | Some(SafResult::Acknowledged)), id);
            let Some(reversal) = entry.reversal else {
                continue;
            };
            self.reversed += 1;
            self.reversed_in_part += u64::from(reversal.stays > 0);
            let ended_well = matches!(reversal.result, None | Some(SafResult::Acknowledged));
            failed.expect(ended_well, id);
        }
        self.reversals_owed = owing.count;
        for (id, entry) in &journal.transactions {
            let money = completions.money(*id, entry);
            self.sum(entry.amount.currency().code()).journal += i128::from(money);
        }
        self.checks
            .extend([doubled, contradictions, open, owing, failed]);
    }

    fn acquirer_and_journal(
        &mut self,
        acquirers: Acquirers<'_>,
        journal: &JournalBook,
        completions: &Completions,
    ) {
        let acquirer = acquirers.iso;
        let mut lost = Check::new("acknowledged, but not in the journal", Fault::Lost);
        let mut differing = Check::new("told otherwise than the journal says", Fault::Other);
        let mut money = Check::new("money of acquirer and journal differs", Fault::Other);
        let mut partial = Check::new("never told, and neither all nor nothing", Fault::Other);
        for (id, told) in &acquirer.told {
            self.acknowledged += u64::from(told.code.is_some());
            self.acked_writes += told.acked_writes();
            let known = completions.told_money(id, told);
            self.sum(told.amount.currency().code()).acquirer += i128::from(known);
            let Some((transaction, entry)) = journal.of_request(id) else {
                match told.code {
                    Some(code) if has_no_record(code) => self.refused += 1,
                    Some(_) if told.may_be_buried() && journal.is_buried(id, told.approved) => {}
                    Some(_) => lost.found(id),
                    None => {}
                }
                continue;
            };
            let has = completions.money(transaction, entry);
            differing.expect(same_answer(told, entry), id);
            self.unacknowledged += u64::from(told.code.is_none());
            if completions.is_uncertain(id, told) {
                partial.expect(entry.is_all_or_nothing(told.amount, told.stays), id);
                self.untell(entry, (known, has));
            } else {
                money.expect(known == has, id);
            }
        }
        for request in journal.by_request.keys() {
            if !acquirer.told.contains_key(request)
                && let Some((transaction, entry)) = journal.of_request(request)
                && !acquirers.gateway.knows(transaction)
            {
                self.unacknowledged += 1;
                partial.expect(entry.is_all_or_nothing(entry.amount, 0), request);
                self.untell(entry, (0, completions.money(transaction, entry)));
            }
        }
        let mut contradicted = Check::new("told two different things", Fault::Other);
        acquirer
            .contradicted
            .iter()
            .for_each(|id| contradicted.found(id));
        let mut kept = Check::new("its reversal was declined", Fault::Other);
        acquirer.kept.iter().for_each(|id| kept.found(id));
        self.checks
            .extend([lost, differing, contradicted, kept, money, partial]);
    }

    fn completed(&mut self, completions: &Completions) {
        let mut astray = Check::new("completes another one than it names, or none", Fault::Other);
        let mut denied = Check::new("completes what was approved, and was declined", Fault::Lost);
        completions.astray.iter().for_each(|id| astray.found(id));
        completions.denied.iter().for_each(|id| denied.found(id));
        self.checks.extend([astray, denied]);
    }

    /// The acquirer knows of `told`, and cannot know better.
    pub(super) fn untell(&mut self, entry: &Entry, (told, has): (u64, u64)) {
        self.untold += u64::from(has != told);
        let untold = i128::from(has) - i128::from(told);
        self.sum(entry.amount.currency().code()).untold += untold;
    }

    fn issuers_and_journal(
        &mut self,
        ledgers: &LedgerBook,
        journal: &JournalBook,
        completions: &Completions,
    ) {
        let mut stray = Check::new("money moved at an issuer without an intent", Fault::Lost);
        let mut doubled = Check::new("money moved more than once at issuers", Fault::Doubled);
        let mut money = Check::new("money of issuers and journal differs", Fault::Other);
        let mut net: HashMap<TransactionId, (u32, i128)> = HashMap::new();
        for sums in self.sums.values_mut() {
            sums.issuers = Some(0);
        }
        for (leg_id, leg) in &ledgers.legs {
            let stays = i128::from(leg.approved) - i128::from(leg.reversed);
            *self.sum(leg.currency.code()).issuers.get_or_insert(0) += stays;
            match journal.by_leg.get(leg_id) {
                Some(id) => {
                    let (approvals, sum) = net.entry(*id).or_default();
                    *approvals += leg.approvals;
                    *sum += stays;
                }
                None => stray.found(leg_id),
            }
        }
        for (id, entry) in &journal.transactions {
            let (approvals, stays) = net.get(id).copied().unwrap_or_default();
            doubled.expect(approvals <= 1, id);
            // A reversal on its way is listed as owed.
            let settled = completions.is_settled(*id, entry);
            let has = i128::from(completions.money(*id, entry));
            money.expect(!settled || stays == has, id);
        }
        self.checks.extend([stray, doubled, money]);
    }

    fn database_and_journal(
        &mut self,
        database: &DatabaseBook,
        journal: &JournalBook,
        completions: &Completions,
    ) {
        let mut missing = Check::new("in the journal, but not in PostgreSQL", Fault::Lost);
        let mut doubled = Check::new("in PostgreSQL more than once", Fault::Doubled);
        let mut surplus = Check::new("in PostgreSQL, but not in the journal", Fault::Other);
        let mut differing = Check::new("PostgreSQL says otherwise than the journal", Fault::Other);
        let mut events = Check::new("records that PostgreSQL does not have", Fault::Lost);
        let mut refused = Check::new("records in quarantine or exceptions", Fault::Other);
        let mut posted = Check::new("the books say otherwise than the transaction", Fault::Other);
        let mut unbalanced = Check::new("in the books, and not summing to zero", Fault::Other);
        for sums in self.sums.values_mut() {
            sums.database = Some(0);
        }
        for (id, row) in &database.rows {
            *self
                .sum(row.amount.currency().code())
                .database
                .get_or_insert(0) += i128::from(completions.in_place_of(*id, row.money()));
            surplus.expect(journal.transactions.contains_key(id), id);
            posted.expect(row.is_posted(), id);
        }
        for (id, entry) in &journal.transactions {
            match database.rows.get(id) {
                Some(row) => differing.expect(row.agrees(entry), id),
                None => missing.found(id),
            }
        }
        database.doubled.iter().for_each(|id| doubled.found(id));
        events.count = journal.records.abs_diff(database.events);
        for (shard, last) in &journal.last {
            let applied = database.watermarks.get(shard).copied().unwrap_or_default();
            events.expect(
                applied == last.0,
                format_args!("shard {shard} is applied up to {applied} of {last}"),
            );
        }
        refused.count = database.quarantined + database.exceptions;
        unbalanced.count = database.unbalanced;
        self.checks
            .extend([missing, doubled, surplus, differing, events, refused]);
        self.checks.extend([posted, unbalanced]);
    }

    pub(super) fn sum(&mut self, currency: u16) -> &mut Sums {
        self.sums.entry(currency).or_default()
    }
}

/// Answers that are given without a transaction: nothing was done, and a copy would be new.
fn has_no_record(code: ResponseCode) -> bool {
    matches!(
        code.as_bytes(),
        b"96" | b"30" | b"12" | b"13" | b"63" | b"94" | b"09" | b"90" | b"25"
    )
}

fn same_answer(told: &Told, entry: &Entry) -> bool {
    let amount = told.amount == entry.amount;
    let Some(code) = told.code else {
        return amount;
    };
    // A copy that was shed, answered last: what another one came to may be a decline by then.
    let is_free = told.unanswered || told.reversal != Reversal::None || entry.money() == 0;
    let unclaimed = has_no_record(code) && is_free;
    let same = Some(code) == entry.code && told.authorisation == entry.authorisation;
    amount && (same || unclaimed)
}

/// Offenders that are named.
const OFFENDERS_MAX: usize = 20;
