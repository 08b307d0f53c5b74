//! What a shard owes, by issuer and account, as its records say it: where an issuer asks for it, no
//! request leaves ahead of what was owed before it came.

use std::collections::BTreeMap;

use domain::ids::{IssuerId, TransactionId};
use domain::pan::PanToken;
use domain::record::Record;
use domain::request::{Facts, IssuerLeg};

use crate::simulation::ledger::Broken;
use crate::simulation::plan::OwedFirst;
use crate::simulation::words::number_of;

/// One shard's, in one life.
#[derive(Debug, Default)]
pub(super) struct OwedHere {
    /// To whom a transaction went, and its account.
    to: BTreeMap<TransactionId, (IssuerId, PanToken)>,
    /// In the order in which it came to be owed.
    open: Vec<Open>,
    /// When a purchase was first heard of.
    came: BTreeMap<u32, u64>,
}

#[derive(Debug)]
struct Open {
    transaction: TransactionId,
    to: (IssuerId, PanToken),
    since: u64,
}

impl OwedHere {
    pub(super) fn came(&mut self, purchase: u32, now: u64) {
        self.came.entry(purchase).or_insert(now);
    }

    pub(super) fn note(&mut self, record: &Record<'_>, now: u64) {
        let transaction = record.transaction();
        match record {
            Record::Intent(intent) => self.went(transaction, &intent.leg, &intent.facts),
            Record::Advised(advised) => {
                if let Some(leg) = &advised.leg {
                    self.went(transaction, leg, &advised.facts);
                    self.owe(transaction, now);
                }
            }
            Record::SafOwed(_) => self.owe(transaction, now),
            Record::SafDone(_) | Record::AdviceDone(_) => {
                let mut open = self.open.iter();
                if let Some(oldest) = open.position(|open| open.transaction == transaction) {
                    self.open.remove(oldest);
                }
            }
            _ => {}
        }
    }

    /// A request leaves.
    pub(super) fn check(
        &self,
        facts: &Facts,
        leg: &IssuerLeg,
        asked: OwedFirst,
    ) -> Result<(), Broken> {
        if !asked.is_by(leg.issuer) || leg.is_of_original() {
            return Ok(());
        }
        let purchase = number_of(facts.key);
        let came = self.came.get(&purchase).copied().unwrap_or(0);
        let to = (leg.issuer, facts.account.token);
        let mut open = self.open.iter();
        match open.find(|open| open.to == to && open.since < came) {
            Some(open) => Err(("A-09", format!("purchase {purchase} overtakes {open:?}"))),
            None => Ok(()),
        }
    }

    fn went(&mut self, transaction: TransactionId, leg: &IssuerLeg, facts: &Facts) {
        let to = (leg.issuer, facts.account.token);
        self.to.insert(transaction, to);
    }

    fn owe(&mut self, transaction: TransactionId, since: u64) {
        if let Some(to) = self.to.get(&transaction).copied() {
            self.open.push(Open {
                transaction,
                to,
                since,
            });
        }
    }
}
