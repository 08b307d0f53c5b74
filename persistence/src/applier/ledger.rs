//! The books: each approval that moves money and each reversal of one, as entries that sum to zero
//! per settlement date and currency.
//!
//! | entry | account | amount of a purchase | when |
//! |---|---|---|---|
//! | 1 | acquirer | + | on the acquirer's day |
//! | 2 | issuer | − | on the issuer's day |
//! | 3, 4 | transit | − on the acquirer's day, + on the issuer's | the two have different days |
//! | 5, 6 | acquirer −, fee + | the fee | the acquirer has one |
//!
//! An amount is what the party is due: negative, it owes. A refund has all signs turned. A reversal
//! posts the opposite of what it takes back, on the days in force when it was accepted; the fee
//! goes back in proportion. Authorisations, inquiries and transfers between accounts of one holder
//! post nothing: what counts, and when, is told by the same functions as the totals of a business
//! day.

use std::collections::HashMap;

use domain::Amount;
use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId, Lsn, TransactionId};
use domain::network::SettlementDate;
use domain::reconciliation::{BusinessDay, DayTotals, Effect, Kind, Party, kind_of, named_day};
use domain::record::Record;
use domain::request::Facts;
use domain::time::WallTime;

use super::calendar::Calendar;
use super::projection::Projection;

/// What one batch does to the books, in the order of its records.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Day(BusinessDay),
    Totals(DayTotals),
    Move(Move),
}

/// One approval, or what one reversal takes back.
#[derive(Clone, Copy, Debug)]
struct Move {
    lsn: Lsn,
    transaction: TransactionId,
    at: WallTime,
    /// Between whom, when the batch says so itself.
    between: Option<Between>,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// In minor units; `None` is what was asked for.
    Approved(Option<u64>, Option<SettlementDate>),
    /// What stays of it.
    TakenBack(u64),
}

/// Between whom money moves, and what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Between {
    pub(crate) acquirer: AcquirerId,
    pub(crate) issuer: IssuerId,
    pub(crate) kind: Kind,
    pub(crate) asked: Amount,
}

impl Between {
    pub(crate) fn of(facts: &Facts, issuer: IssuerId) -> Self {
        Self {
            acquirer: facts.acquirer,
            issuer,
            kind: kind_of(facts.class, facts.processing_code.as_bytes()),
            asked: facts.amount,
        }
    }

    /// Whether an approval of it makes entries.
    const fn moves_money(&self) -> bool {
        match self.kind {
            Kind::Credit | Kind::Debit => true,
            Kind::Transfer | Kind::Inquiry | Kind::Authorisation => false,
        }
    }
}

/// What the books hold of one transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Approved and not taken back, in minor units.
    pub(crate) amount: u64,
    /// The fee for that.
    pub(crate) fee: u64,
    /// Entries so far: the number of the last one.
    pub(crate) entries: u16,
}

/// A transaction as PostgreSQL has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) between: Between,
    pub(crate) standing: Option<Standing>,
}

/// One entry, a row of `posting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) transaction: TransactionId,
    pub(crate) entry: u16,
    pub(crate) date: SettlementDate,
    pub(crate) currency: Currency,
    pub(crate) account: Book,
    pub(crate) effect: Effect,
    /// What the party is due, in minor units; negative when it owes.
    pub(crate) amount: i64,
    pub(crate) at: WallTime,
}

/// Whose account an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Book {
    Acquirer(AcquirerId),
    Issuer(IssuerId),
    /// What was kept of an acquirer.
    Fee(AcquirerId),
    /// What one side counts on another day than the other.
    Transit,
}

/// What the entries of a batch come to.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    pub(crate) postings: Vec<Posting>,
    pub(crate) standing: HashMap<TransactionId, Standing>,
    /// Whether a day has begun or was closed.
    pub(crate) has_days: bool,
}

impl Ledger {
    /// Notes what `record` does to the books; `projection` has it already.
    pub(crate) fn note(&mut self, lsn: Lsn, record: &Record<'_>, projection: &Projection) {
        let found = match record {
            Record::Day(day) => return self.steps.push(Step::Day(*day)),
            Record::Totals(totals) => return self.steps.push(Step::Totals(*totals)),
            Record::Outcome(outcome) if outcome.is_approval() => {
                let answer = &outcome.answer;
                let named = named_day(answer.fields, outcome.decided);
                let amount = answer.amount.map(Amount::minor);
                Some((outcome.decided, What::Approved(amount, named)))
            }
            Record::Advised(advised) if advised.leg.is_some() && advised.is_approval() => {
                Some((advised.admitted, What::Approved(None, None)))
            }
            Record::SafOwed(owed) if owed.takes_back() => {
                let stays = owed.replacement.map_or(0, Amount::minor);
                Some((owed.decided, What::TakenBack(stays)))
            }
            Record::Outcome(_)
            | Record::Advised(_)
            | Record::SafOwed(_)
            | Record::Intent(_)
            | Record::Refused(_)
            | Record::SafDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::AdviceDone(_)
            | Record::Operated(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => None,
        };
        let Some((at, what)) = found else { return };
        let transaction = record.transaction();
        let between = projection.between(transaction);
        if between.is_none_or(|between| between.moves_money()) {
            self.steps.push(Step::Move(Move {
                lsn,
                transaction,
                at,
                between,
                what,
            }));
        }
    }

    /// Notes a record that was carried over: what it did is in the books of its generation, and
    /// the days that it says go on.
    pub(crate) fn take_over(&mut self, record: &Record<'_>) {
        match record {
            Record::Day(day) => self.steps.push(Step::Day(*day)),
            Record::Totals(totals) => self.steps.push(Step::Totals(*totals)),
            Record::Intent(_)
            | Record::Refused(_)
            | Record::Outcome(_)
            | Record::SafOwed(_)
            | Record::SafDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::Advised(_)
            | Record::AdviceDone(_)
            | Record::Operated(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => {}
        }
    }

    /// Leaves out the records that PostgreSQL had already: what they did is in the books.
    pub(crate) fn keep_moves(&mut self, is_new: impl Fn(Lsn) -> bool) {
        self.steps.retain(|step| match step {
            Step::Move(one) => is_new(one.lsn),
            Step::Day(_) | Step::Totals(_) => true,
        });
    }

    /// The transactions of which PostgreSQL has to say between whom they are, or what stands.
    pub(crate) fn unknown(&self) -> Vec<TransactionId> {
        let mut seen = HashMap::new();
        let mut unknown = Vec::new();
        for step in &self.steps {
            let Step::Move(one) = step else { continue };
            let is_first = seen.insert(one.transaction, ()).is_none();
            let is_told = matches!(one.what, What::Approved(..)) && one.between.is_some();
            if is_first && !is_told {
                unknown.push(one.transaction);
            }
        }
        unknown
    }

    /// Makes the entries. `calendar` is that of the record before the batch, and becomes that of
    /// its last one; `accounts` has what [`Ledger::unknown`] asks for.
    pub(crate) fn post(
        &self,
        calendar: &mut Calendar,
        accounts: HashMap<TransactionId, Account>,
        fees: &Fees,
    ) -> Posted {
        let mut accounts = accounts;
        let mut posted = Posted::default();
        for step in &self.steps {
            let one = match step {
                Step::Day(day) => {
                    posted.has_days = true;
                    calendar.begin(day);
                    continue;
                }
                Step::Totals(totals) => {
                    posted.has_days = true;
                    calendar.note(totals);
                    continue;
                }
                Step::Move(one) => one,
            };
            let account = match (accounts.get_mut(&one.transaction), one.between) {
                (Some(account), _) => account,
                (None, Some(between)) => accounts.entry(one.transaction).or_insert(Account {
                    between,
                    standing: None,
                }),
                // Its request is in quarantine: the exception `orphan` says so.
                (None, None) => continue,
            };
            if account.between.moves_money() {
                posted.apply(one, account, calendar, fees);
            }
        }
        posted
    }
}

impl Posted {
    fn apply(&mut self, one: &Move, account: &mut Account, calendar: &Calendar, fees: &Fees) {
        let between = account.between;
        let before = account.standing;
        let (after, named) = match one.what {
            What::Approved(amount, named) => {
                let amount = amount.unwrap_or_else(|| between.asked.minor());
                let fee = fees.of(&between, amount);
                let entries = before.map_or(0, |before| before.entries);
                (
                    Standing {
                        amount,
                        fee,
                        entries,
                    },
                    named,
                )
            }
            What::TakenBack(stays) => {
                let Some(before) = before.filter(|before| stays < before.amount) else {
                    return;
                };
                let fee = share(before.fee, stays, before.amount);
                let entries = before.entries;
                (
                    Standing {
                        amount: stays,
                        fee,
                        entries,
                    },
                    None,
                )
            }
        };
        if after.amount == 0 && before.is_none() {
            return;
        }
        let currency = between.asked.currency();
        let day = |party| calendar.day_of(party, currency, named, one.at);
        let mut entries = Entries {
            postings: &mut self.postings,
            transaction: one.transaction,
            currency,
            at: one.at,
            effect: match one.what {
                What::Approved(..) => Effect::Approval,
                What::TakenBack(_) => Effect::Reversal,
            },
            last: after.entries,
        };
        entries.post(
            &between,
            (
                day(Party::Acquirer(between.acquirer)),
                day(Party::Issuer(between.issuer)),
            ),
            &Change::between(before.unwrap_or_default(), after),
        );
        let after = Standing {
            entries: entries.last,
            ..after
        };
        account.standing = Some(after);
        self.standing.insert(one.transaction, after);
    }
}

/// By how much what stands changes.
struct Change {
    amount: i64,
    fee: i64,
}

impl Change {
    fn between(before: Standing, after: Standing) -> Self {
        let signed = |minor: u64| i64::try_from(minor).unwrap_or(i64::MAX);
        Self {
            amount: signed(after.amount).saturating_sub(signed(before.amount)),
            fee: signed(after.fee).saturating_sub(signed(before.fee)),
        }
    }
}

/// The entries of one transaction that are being made.
struct Entries<'p> {
    postings: &'p mut Vec<Posting>,
    transaction: TransactionId,
    currency: Currency,
    at: WallTime,
    effect: Effect,
    last: u16,
}

impl Entries<'_> {
    fn post(
        &mut self,
        between: &Between,
        (acquirers, issuers): (SettlementDate, SettlementDate),
        change: &Change,
    ) {
        let due = match between.kind {
            Kind::Credit => change.amount.saturating_neg(),
            Kind::Debit | Kind::Transfer | Kind::Inquiry | Kind::Authorisation => change.amount,
        };
        let owed = due.saturating_neg();
        self.entry(Book::Acquirer(between.acquirer), acquirers, due);
        self.entry(Book::Issuer(between.issuer), issuers, owed);
        if acquirers != issuers {
            self.entry(Book::Transit, acquirers, owed);
            self.entry(Book::Transit, issuers, due);
        }
        if change.fee != 0 {
            let paid = change.fee.saturating_neg();
            self.entry(Book::Acquirer(between.acquirer), acquirers, paid);
            self.entry(Book::Fee(between.acquirer), acquirers, change.fee);
        }
    }

    fn entry(&mut self, account: Book, date: SettlementDate, amount: i64) {
        self.last = self.last.saturating_add(1);
        self.postings.push(Posting {
            transaction: self.transaction,
            entry: self.last,
            date,
            currency: self.currency,
            account,
            effect: self.effect,
            amount,
            at: self.at,
        });
    }
}

/// What is kept of each acquirer's purchases, in basis points of the amount.
#[derive(Clone, Debug, Default)]
pub struct Fees {
    /// By `AcquirerId`; none where there is none.
    pub basis_points: Vec<u16>,
}

impl Fees {
    /// Of purchases alone: a refund costs nothing. Half a minor unit is rounded up.
    fn of(&self, between: &Between, amount: u64) -> u64 {
        const WHOLE: u128 = 10_000;
        let own = self.basis_points.get(usize::from(between.acquirer.0));
        let rate = match (between.kind, own) {
            (Kind::Debit, Some(own)) => u128::from(*own),
            (_, None)
            | (Kind::Credit | Kind::Transfer | Kind::Inquiry | Kind::Authorisation, Some(_)) => 0,
        };
        let fee = (u128::from(amount) * rate + WHOLE / 2) / WHOLE;
        u64::try_from(fee).unwrap_or(amount).min(amount)
    }
}

/// `fee * stays / of`, rounded down: what stays is never more than its share.
fn share(fee: u64, stays: u64, of: u64) -> u64 {
    let product = u128::from(fee) * u128::from(stays);
    let share = product.checked_div(u128::from(of)).unwrap_or(0);
    u64::try_from(share).unwrap_or(fee)
}

#[cfg(test)]
mod tests;
