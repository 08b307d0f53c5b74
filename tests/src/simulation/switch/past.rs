//! What accounts have moved before a restart: counted at their homes, held against all journals.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::{IssuerId, TransactionId};
use domain::record::{AdviceOrigin, Record};
use domain::request::Facts;
use domain::time::WallTime;
use transaction::Engine;

use super::{Around, Shard, wall};
use crate::simulation::Driver;
use crate::simulation::ledger::Broken;

/// What all journals of the node hold, as a start reads them.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Past {
    /// In the order of the reading.
    found: Vec<(u16, Found)>,
    /// The model: each request once.
    accepted: BTreeMap<TransactionId, (Facts, WallTime)>,
    stood_in: BTreeMap<TransactionId, (IssuerId, Facts, WallTime)>,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    facts: Facts,
    admitted: WallTime,
    /// Whether risk has to count it.
    accepted: bool,
    /// In whose place it was approved.
    stood_in: Option<IssuerId>,
}

impl Past {
    /// Takes a record of `shard`, before its engine does.
    pub(super) fn add(&mut self, record: &Record<'_>, shard: u16, engine: &Engine, driver: Driver) {
        let again = |id| engine.has_replayed(id) && driver != Driver::CountsPastTwice;
        let (id, found) = match record {
            Record::Intent(intent) if !intent.leg.is_of_original() => {
                let found = Found {
                    facts: intent.facts,
                    admitted: intent.admitted,
                    accepted: !again(intent.transaction),
                    stood_in: None,
                };
                (intent.transaction, found)
            }
            Record::Advised(advised) if advised.origin == AdviceOrigin::StandIn => {
                let found = Found {
                    facts: advised.facts,
                    admitted: advised.admitted,
                    accepted: !again(advised.transaction),
                    stood_in: advised.leg.map(|leg| leg.issuer),
                };
                (advised.transaction, found)
            }
            _ => return,
        };
        let (facts, admitted) = (found.facts, found.admitted);
        self.accepted.entry(id).or_insert((facts, admitted));
        if let Some(issuer) = found.stood_in {
            self.stood_in.insert(id, (issuer, facts, admitted));
        }
        self.found.push((shard, found));
    }
}

impl Shard {
    /// Counts what is at home here. One journal comes behind the other.
    //= docs/rules.md#R-14
    pub(in crate::simulation) fn count_past(&mut self, past: &Past, around: &Around<'_>) {
        for (owner, found) in &past.found {
            let home = self.account_home(&found.facts);
            let place = match self.driver {
                Driver::CountsPastAtOwner => *owner,
                _ => home,
            };
            if place != self.id {
                continue;
            }
            self.counts.past_elsewhere += u64::from(*owner != home);
            let now = around.instant();
            let age = match self.driver {
                Driver::CountsPastAsPresent => Duration::ZERO,
                _ => age(found.admitted, around),
            };
            if found.accepted {
                self.risk.observe(&found.facts, age, now);
            }
            if let Some(issuer) = found.stood_in {
                self.stand_in[usize::from(issuer.0)].observe(&found.facts, age, now);
            }
        }
    }

    /// Holds the counters of the accounts at home here against all journals.
    pub(in crate::simulation) fn check_past(
        &self,
        past: &Past,
        around: &Around<'_>,
    ) -> Result<(), Broken> {
        let now = around.instant();
        let accepted = past.accepted.values();
        let accepted = accepted.map(|(facts, admitted)| (None, *facts, *admitted));
        let stood_in = past.stood_in.values();
        let stood_in = stood_in.map(|(issuer, facts, admitted)| (Some(*issuer), *facts, *admitted));
        let mut expected = BTreeMap::<_, (Facts, u32, u32)>::new();
        for (issuer, facts, admitted) in accepted.chain(stood_in) {
            let table = issuer.map(|issuer: IssuerId| issuer.0);
            let entry = (facts, 0, 0);
            let (_, least, most) = expected
                .entry((table, facts.account.token))
                .or_insert(entry);
            let age = age(admitted, around);
            *least += u32::from(age < WINDOW);
            *most += u32::from(age <= WINDOW + WINDOW / 8);
        }
        for ((table, _), (facts, least, most)) in expected {
            if self.account_home(&facts) != self.id {
                continue;
            }
            let engine = match table {
                None => &self.risk,
                Some(issuer) => &self.stand_in[usize::from(issuer)],
            };
            let [(count, _), ..] = engine.counted(&facts, now);
            if !(least..=most).contains(&count) {
                let what = format!(
                    "shard {} counts {count} of {least} to {most} of account {} at {table:?}",
                    self.id, facts.account.masked
                );
                return Err(("R-14", what));
            }
        }
        Ok(())
    }
}

fn age(admitted: WallTime, around: &Around<'_>) -> Duration {
    let now = wall(around.now, around.wall_ahead);
    Duration::from_millis(now.unix_millis().saturating_sub(admitted.unix_millis()))
}

/// Of risk, and of approvals in place of issuers.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
