//! What acquirers and issuers were told of totals, held against what the journal adds up to.

use domain::network::SettlementDate;
use domain::reconciliation::{Figure, Party, ReconSign, Totals, Verdict};
use domain::record::SafResult;
use iso8583::translate::ReconciliationAnswer;

use super::*;
use crate::simulation::reconciling::{PARTIES, Reconciliation};
use crate::simulation::totals::{Bucket, same, sum};

/// What a reconciliation was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    ask: Reconciliation,
    verdict: Verdict,
    date: Option<SettlementDate>,
    ours: Option<Totals>,
}

impl Fold {
    /// Those of all shards; closed when they all are.
    pub(in crate::simulation) fn totals(&self, party: Party, date: SettlementDate) -> Bucket {
        let buckets = self
            .totals
            .values()
            .map(|shadow| shadow.bucket(party, date));
        let empty = Bucket {
            is_closed: true,
            ..Bucket::default()
        };
        buckets.fold(empty, |all, one| Bucket {
            totals: sum(&all.totals, &one.totals),
            is_closed: all.is_closed && one.is_closed,
        })
    }

    /// The latest day in force on any shard.
    pub(in crate::simulation) fn day(&self, party: Party) -> Option<SettlementDate> {
        let days = self.totals.values().filter_map(|shadow| shadow.day(party));
        days.map(|day| day.date).max()
    }

    /// B-01, B-02, B-04: what a shard has counted and which day it is are what its journal says.
    pub(in crate::simulation) fn compare_totals(
        &self,
        shard: u16,
        told: impl Fn(Party, SettlementDate) -> Totals,
        day: impl Fn(Party) -> Option<SettlementDate>,
    ) -> Result<(), Broken> {
        let Some(shadow) = self.totals.get(&shard) else {
            return Ok(());
        };
        for (party, own) in shadow.days() {
            let in_force = day(party);
            if in_force != Some(own.date) {
                let what = format!("{party:?}: {in_force:?} is in force, {own:?} was journaled");
                return Err(("B-04", what));
            }
        }
        for (party, date, totals) in shadow.buckets() {
            let own = Bucket {
                totals,
                is_closed: false,
            };
            same((party, date), &own, &told(party, date))?;
        }
        Ok(())
    }

    /// What is carried over adds up to the same.
    pub(in crate::simulation) fn compare_sums(&self, carried: &Self) -> Result<(), Broken> {
        let all = self.totals.values().flat_map(Shadow::buckets);
        for (party, date, _) in all {
            let (own, told) = (self.totals(party, date), carried.totals(party, date));
            same((party, date), &own, &told.totals)?;
        }
        Ok(())
    }

    /// At the end: everybody knows the same days, and each issuer has what it was owed.
    pub(in crate::simulation) fn check_totals(&self) -> Result<(), Broken> {
        for shadow in self.totals.values() {
            for (party, day) in shadow.days() {
                if Some(day.date) != self.day(party) {
                    return Err(("B-04", format!("{party:?} has {day:?} and another day")));
                }
            }
        }
        self.check_owed()?;
        self.check_sums()
    }

    /// B-05: of each day that has ended and is not empty.
    fn check_owed(&self) -> Result<(), Broken> {
        for party in PARTIES {
            let Party::Issuer(issuer) = party else {
                continue;
            };
            let days = self.totals.values().filter_map(|shadow| shadow.day(party));
            let Some(ended) = days.filter_map(|day| day.before).max() else {
                continue;
            };
            let all = self.totals.values().flat_map(Shadow::buckets);
            let dates = all.filter(|(other, date, _)| *other == party && *date <= ended);
            let dates: BTreeSet<SettlementDate> = dates.map(|(_, date, _)| date).collect();
            for date in dates {
                let bucket = self.totals(party, date);
                let owed = self.totals.values().flat_map(Shadow::owed);
                let mut owed = owed.filter(|(owed, _)| (owed.issuer, owed.date) == (issuer, date));
                let told = owed.next().map(|(owed, done)| (owed.ours, done.is_some()));
                let again = owed.count();
                let is_empty = bucket.totals == Totals::default();
                let is_it = match told {
                    None => is_empty,
                    Some((ours, is_done)) => ours == bucket.totals && is_done,
                };
                if !bucket.is_closed || !is_it || again > 0 {
                    let what = format!(
                        "{party:?} was owed {told:?} and {again} more for {date}: {bucket:?}"
                    );
                    return Err(("B-05", what));
                }
            }
        }
        Ok(())
    }

    /// B-01, B-02: over all days the totals are what the purchases came to.
    fn check_sums(&self) -> Result<(), Broken> {
        if self.day(PARTIES[0]).is_none() {
            return Ok(());
        }
        let approved = self.states.values().filter(|state| state.is_approved);
        let spent = approved.clone().filter(|state| state.has_amount);
        let own = (
            approved.count() as u64,
            spent.clone().map(|state| state.approved).sum::<u64>(),
            spent.map(|state| state.approved - state.left).sum::<u64>(),
        );
        let of_issuers = |party: &Party| matches!(party, Party::Issuer(_));
        let of_acquirer = |party: &Party| matches!(party, Party::Acquirer(_));
        for counted in [self.over_all(of_acquirer), self.over_all(of_issuers)] {
            let of = |figures: &[Figure]| figures.iter().map(|one| counted.of(*one)).sum::<u64>();
            let told = (
                of(&[Figure::Credits, Figure::Debits, Figure::Authorisations]),
                of(&[Figure::CreditAmount, Figure::DebitAmount]),
                of(&[Figure::CreditReversalAmount, Figure::DebitReversalAmount]),
            );
            if told != own {
                let what = format!("{told:?} in all totals, the purchases came to {own:?}");
                return Err(("B-01", what));
            }
        }
        Ok(())
    }

    fn over_all(&self, of: impl Fn(&Party) -> bool) -> Totals {
        let all = self.totals.values().flat_map(Shadow::buckets);
        let all = all.filter(|(party, ..)| of(party));
        all.fold(Totals::default(), |all, (_, _, totals)| sum(&all, &totals))
    }

    /// What an issuer was owed, by day, and whether it has taken it.
    pub(in crate::simulation) fn owed_to(
        &self,
        issuer: domain::ids::IssuerId,
    ) -> impl Iterator<Item = (SettlementDate, Totals, bool)> {
        let owed = self.totals.values().flat_map(Shadow::owed);
        let owed = owed.filter(move |(owed, _)| owed.issuer == issuer);
        owed.map(|(owed, done)| {
            let is_taken = done.is_some_and(|done| done.result == SafResult::Acknowledged);
            (owed.date, owed.ours, is_taken)
        })
    }
}

impl Ledger {
    /// The answer to a reconciliation leaves.
    //= docs/rules.md#B-03
    pub(in crate::simulation) fn reconciled(
        &mut self,
        ask: &Reconciliation,
        answer: &ReconciliationAnswer,
    ) -> Result<(), Broken> {
        let found = Found {
            ask: *ask,
            verdict: answer.verdict,
            date: answer.date,
            ours: answer.ours,
        };
        let first = self.reconciled.entry(ask.serial).or_insert(found);
        if *first != found {
            let what = format!("{first:?}, then {found:?}");
            return Err(("B-03", what));
        }
        self.check_found(&found, answer.sign)
    }

    fn check_found(&self, found: &Found, sign: ReconSign) -> Result<(), Broken> {
        let expected = match (found.ask.declared, found.ours) {
            (Some(declared), Some(ours)) if declared == ours => Verdict::InBalance,
            (Some(_), Some(_)) => Verdict::OutOfBalance,
            (None, _) | (_, None) => Verdict::Unknown,
        };
        if found.verdict != expected {
            return Err(("B-03", format!("{found:?} should be {expected:?}")));
        }
        let (Some(date), Some(ours), false) = (found.date, found.ours, found.ask.is_checkpoint)
        else {
            return Ok(());
        };
        let bucket = self.journal.totals(PARTIES[0], date);
        if bucket.is_closed && bucket.totals.read_as(sign) == ours {
            return Ok(());
        }
        Err(("B-03", format!("{found:?} was told of {bucket:?}")))
    }

    /// After a crash: what was told is in the journal, and what the journal writes of totals is
    /// what it adds up to.
    pub(super) fn totals_survived(&self) -> Result<(), Broken> {
        for shadow in self.journal.totals.values() {
            shadow.broken()?;
        }
        for found in self.reconciled.values() {
            let key = found.ask.key();
            let mut all = self.journal.totals.values().flat_map(Shadow::results);
            let is_it = all.any(|known| {
                (known.stan, known.transmitted) == (key.stan, key.transmitted)
                    && known.verdict == found.verdict
            });
            if !is_it {
                return Err(("B-03", format!("{found:?} was lost")));
            }
        }
        Ok(())
    }
}
