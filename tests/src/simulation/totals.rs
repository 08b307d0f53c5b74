//! The totals of a shard, counted once more from its own journal: slow, obvious, and without a look
//! at how the product counts (docs/rules.md, B-01 to B-05).

use std::collections::BTreeMap;

use domain::ids::TransactionId;
use domain::network::SettlementDate;
use domain::reconciliation::{
    BusinessDay, DAYS_KEPT, DayTotals, Effect, Figure, Kind, Party, Reconciled, ReconciliationDone,
    ReconciliationOwed, Totals,
};
use domain::record::{Carriage, Record, SafOwed};
use domain::request::{Facts, MessageClass};

use super::ledger::Broken;
use super::reconciling::day_in;

/// Of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shadow {
    days: BTreeMap<Party, Day>,
    buckets: BTreeMap<(Party, SettlementDate), Bucket>,
    counted: BTreeMap<TransactionId, Counted>,
    results: BTreeMap<TransactionId, Reconciled>,
    owed: BTreeMap<TransactionId, (ReconciliationOwed, Option<ReconciliationDone>)>,
    complaint: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) date: SettlementDate,
    pub(super) before: Option<SettlementDate>,
    closed: Option<SettlementDate>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) totals: Totals,
    pub(super) is_closed: bool,
}

/// What is known of a transaction that may count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    parties: [Party; 2],
    kind: Kind,
    asked: u64,
    /// `None` before its approval.
    left: Option<u64>,
}

impl Shadow {
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let id = record.transaction();
        match record {
            Record::Intent(intent) => {
                if !self.days.is_empty() {
                    self.note(id, &intent.facts, Party::Issuer(intent.leg.issuer));
                }
            }
            Record::Outcome(outcome) if outcome.is_approval() => {
                let told = outcome.answer.amount.map(|amount| amount.minor());
                self.approve(id, told, day_in(outcome.answer.fields));
            }
            Record::Advised(advised) => {
                if let Some(leg) = advised.leg
                    && !self.days.is_empty()
                {
                    self.note(id, &advised.facts, Party::Issuer(leg.issuer));
                    if advised.is_approval() {
                        self.approve(id, None, None);
                    }
                }
            }
            Record::SafOwed(owed) => self.reverse(owed),
            Record::Day(day) => self.set_day(day),
            Record::Totals(totals) => self.compare_written(totals),
            Record::Reconciled(reconciled) => {
                self.results.insert(id, *reconciled);
            }
            Record::ReconciliationOwed(owed) => {
                self.owed.entry(id).or_insert((*owed, None));
            }
            Record::ReconciliationDone(done) => {
                if let Some((_, end)) = self.owed.get_mut(&id) {
                    *end = Some(*done);
                }
            }
            Record::Outcome(_)
            | Record::Refused(_)
            | Record::SafDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::AdviceDone(_)
            | Record::Operated(_) => {}
        }
    }

    /// Takes a record that was carried over: what it did is in the totals that follow it.
    pub(super) fn carry(&mut self, record: &Record<'_>, carriage: Carriage) {
        let id = record.transaction();
        let counts = carriage == Carriage::Counted;
        match record {
            Record::Intent(intent) => {
                self.note(id, &intent.facts, Party::Issuer(intent.leg.issuer));
            }
            Record::Advised(advised) => {
                if let Some(leg) = advised.leg {
                    self.note(id, &advised.facts, Party::Issuer(leg.issuer));
                }
                self.stand(id, None, counts);
            }
            Record::Outcome(outcome) => {
                let told = outcome.answer.amount.map(|amount| amount.minor());
                self.stand(id, told, counts);
            }
            Record::SafOwed(owed) if owed.takes_back() => {
                let stays = owed.replacement.map_or(0, |amount| amount.minor());
                if let Some(counted) = self.counted.get_mut(&id) {
                    counted.left = counted.left.map(|_| stays);
                }
            }
            Record::Totals(totals) => {
                let bucket = Bucket {
                    totals: totals.totals,
                    is_closed: totals.is_closed,
                };
                self.buckets.insert((totals.party, totals.date), bucket);
            }
            Record::Refused(_)
            | Record::SafOwed(_)
            | Record::SafDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::AdviceDone(_)
            | Record::Operated(_)
            | Record::Day(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => self.add(record),
        }
    }

    fn stand(&mut self, id: TransactionId, told: Option<u64>, counts: bool) {
        if let Some(counted) = self.counted.get_mut(&id).filter(|_| counts) {
            counted.left = Some(told.unwrap_or(counted.asked));
        }
    }

    /// What was seen to be wrong so far.
    pub(super) fn broken(&self) -> Result<(), Broken> {
        match &self.complaint {
            Some(broken) => Err(broken.clone()),
            None => Ok(()),
        }
    }

    pub(super) fn day(&self, party: Party) -> Option<Day> {
        self.days.get(&party).copied()
    }

    pub(super) fn bucket(&self, party: Party, date: SettlementDate) -> Bucket {
        let found = self.buckets.get(&(party, date)).copied();
        let bucket = found.unwrap_or_default();
        Bucket {
            is_closed: bucket.is_closed || self.is_closed(party, date),
            ..bucket
        }
    }

    pub(super) fn days(&self) -> impl Iterator<Item = (Party, Day)> {
        self.days.iter().map(|(party, day)| (*party, *day))
    }

    pub(super) fn buckets(&self) -> impl Iterator<Item = (Party, SettlementDate, Totals)> {
        let buckets = self.buckets.iter();
        buckets.map(|((party, date), bucket)| (*party, *date, bucket.totals))
    }

    pub(super) fn results(&self) -> impl Iterator<Item = &Reconciled> {
        self.results.values()
    }

    /// What issuers are owed, or were.
    pub(super) fn owed(
        &self,
    ) -> impl Iterator<Item = &(ReconciliationOwed, Option<ReconciliationDone>)> {
        self.owed.values()
    }

    fn note(&mut self, id: TransactionId, facts: &Facts, issuer: Party) {
        let is_credit = facts.processing_code.as_bytes().starts_with(b"2");
        let kind = match facts.class {
            MessageClass::Authorisation => Kind::Authorisation,
            MessageClass::Financial if is_credit => Kind::Credit,
            MessageClass::Financial => Kind::Debit,
        };
        let counted = Counted {
            parties: [Party::Acquirer(facts.acquirer), issuer],
            kind,
            asked: facts.amount.minor(),
            left: None,
        };
        self.counted.insert(id, counted);
    }

    //= docs/rules.md#B-01
    fn approve(&mut self, id: TransactionId, told: Option<u64>, named: Option<SettlementDate>) {
        let Some(counted) = self.counted.get_mut(&id) else {
            return;
        };
        let amount = told.unwrap_or(counted.asked);
        counted.left = Some(amount);
        let counted = *counted;
        for party in counted.parties {
            self.count(party, named, (counted.kind, Effect::Approval), amount);
        }
    }

    //= docs/rules.md#B-02
    fn reverse(&mut self, owed: &SafOwed) {
        let stays = owed.replacement.map_or(0, |amount| amount.minor());
        let Some(counted) = self.counted.get_mut(&owed.transaction) else {
            return;
        };
        let (Some(left), true) = (counted.left, owed.takes_back()) else {
            return;
        };
        counted.left = Some(stays);
        let counted = *counted;
        for party in counted.parties {
            let what = (counted.kind, Effect::Reversal);
            self.count(party, None, what, left.saturating_sub(stays));
        }
    }

    fn count(
        &mut self,
        party: Party,
        named: Option<SettlementDate>,
        (kind, effect): (Kind, Effect),
        amount: u64,
    ) {
        let Some(day) = self.day(party) else {
            return;
        };
        let is_near = |date: &SettlementDate| date.days().abs_diff(day.date.days()) <= DAYS_KEPT;
        let mut date = named.filter(is_near).unwrap_or(day.date);
        while self.bucket(party, date).is_closed {
            date = date.next();
        }
        let bucket = self.buckets.entry((party, date)).or_default();
        bucket.totals = sum(&bucket.totals, &figures(kind, effect, amount));
    }

    fn is_closed(&self, party: Party, date: SettlementDate) -> bool {
        let closed = self.day(party).and_then(|day| day.closed);
        closed.is_some_and(|closed| date <= closed)
    }

    fn set_day(&mut self, day: &BusinessDay) {
        let set = Day {
            date: day.date,
            before: day.before,
            closed: day.closed,
        };
        let known = self.days.insert(day.party, set);
        let reopens = known.is_some_and(|known| known.closed > day.closed);
        if reopens || known.is_some_and(|known| known.date > day.date) {
            self.complain("B-04", format!("{known:?} became {day:?}"));
        }
    }

    /// What the product writes down is what was counted, and what is closed stays as it is.
    fn compare_written(&mut self, written: &DayTotals) {
        let bucket = self.bucket(written.party, written.date);
        if let Err((rule, what)) = same((written.party, written.date), &bucket, &written.totals) {
            self.complain(rule, what);
        }
        let own = self.buckets.entry((written.party, written.date));
        let own = own.or_default();
        if own.is_closed && !written.is_closed {
            self.complaint = Some(("B-03", format!("{written:?} is open again")));
        } else {
            own.is_closed = written.is_closed;
        }
    }

    fn complain(&mut self, rule: &'static str, what: String) {
        self.complaint.get_or_insert((rule, what));
    }
}

/// Whether the product's totals are these.
pub(super) fn same(
    (party, date): (Party, SettlementDate),
    ours: &Bucket,
    told: &Totals,
) -> Result<(), Broken> {
    let differs = |figure: &Figure| ours.totals.of(*figure) != told.of(*figure);
    let Some(figure) = Figure::ALL.into_iter().find(differs) else {
        return Ok(());
    };
    let rule = if is_of_reversals(figure) {
        "B-02"
    } else {
        "B-01"
    };
    let (own, told) = (ours.totals.of(figure), told.of(figure));
    let what = format!("{party:?} has {told} in {figure:?} of {date}, {own} were journaled");
    Err((rule, what))
}

const fn is_of_reversals(figure: Figure) -> bool {
    matches!(figure.field(), 75 | 77 | 79 | 87 | 89)
}

fn figures(kind: Kind, effect: Effect, amount: u64) -> Totals {
    let fields = match (kind, effect) {
        (Kind::Authorisation, Effect::Approval) => [81, 0],
        (Kind::Credit, Effect::Approval) => [74, 86],
        (Kind::Credit, Effect::Reversal) => [75, 87],
        (Kind::Debit, Effect::Approval) => [76, 88],
        (Kind::Debit, Effect::Reversal) => [77, 89],
        _ => [0, 0],
    };
    let value = |figure: Figure| match fields {
        [number, _] if figure.field() == number => 1,
        [_, sum] if figure.field() == sum => amount,
        _ => 0,
    };
    Totals::new(Figure::ALL.map(value))
}

/// Both together.
pub(super) fn sum(one: &Totals, other: &Totals) -> Totals {
    Totals::new(Figure::ALL.map(|figure| one.of(figure) + other.of(figure)))
}
