//! The end of a run: everybody's books are compared, purchase by purchase.

use super::*;
use crate::simulation::issuer::Issuer;

impl World {
    pub(super) fn close(&mut self) -> Result<(), Broken> {
        for shard in &self.shards {
            shard.check_idle()?;
            self.ledger.exchanges.check_idle()?;
            self.counts.add(&shard.counts);
            self.counts.put_off += shard.journal.put_off;
        }
        for (table, shard) in self.tables.iter().zip(&self.shards) {
            table.compare(self.driver, &self.disk, &shard.source())?;
        }
        self.check_sealed()?;
        let ahead = self.issuers.iter().map(|issuer| issuer.completions_ahead);
        self.counts.completions_ahead = ahead.sum();
        let asked = self.issuers.iter().map(|issuer| issuer.completions_asked);
        self.counts.completions_asked = asked.sum();
        self.counts.told_in_flight = self.ledger.told_in_flight;
        self.counts.settled_on = self.issuers.iter().map(|issuer| issuer.settled_on).sum();
        self.check_journal()?;
        self.check_books()?;
        self.ledger.journal().check_totals()?;
        self.check_issuers_totals()
    }

    fn check_books(&self) -> Result<(), Broken> {
        let mut effects: BTreeMap<u32, (u32, u64)> = BTreeMap::new();
        for (purchase, held) in self.issuers.iter().flat_map(Issuer::holdings) {
            let effect = effects.entry(purchase).or_default();
            effect.0 += 1;
            effect.1 += held;
        }
        if let Some((purchase, _)) = effects.iter().find(|(_, (times, _))| *times > 1) {
            return Err(("S2", format!("purchase {purchase} was carried out twice")));
        }
        let fold = self.ledger.journal();
        if let Some(open) = fold.open() {
            return Err(("S3", open));
        }
        let books = self.acquirer.spent();
        let lies = &self.ledger.lies;
        let excused = |purchase| fold.is_exception(purchase) || lies.excuse(purchase);
        for (purchase, spent) in books.filter(|(purchase, _)| !excused(*purchase)) {
            let held = effects.get(&purchase).map_or(0, |(_, held)| *held);
            let journaled = fold.spent(purchase);
            if spent.is_some_and(|spent| spent != held) || held != journaled {
                let what = format!(
                    "purchase {purchase}: acquirer {spent:?}, journal {journaled}, issuer {held}"
                );
                return Err(("sum", what));
            }
        }
        Ok(())
    }

    /// What lies on the disk says what was journaled: read again as a start would.
    fn check_journal(&mut self) -> Result<(), Broken> {
        self.life += 1;
        let (mut fold, mut past) = (self.left_out(), Past::default());
        let mut events = Vec::new();
        for shard in 0..self.plan.shards {
            let begin = Begin {
                driver: self.driver,
                life: self.life,
                identity: self.identity(shard),
                watermark: Some(Lsn(self.tables[usize::from(shard)].watermark())),
                marks: self.marks(),
                cut_short: 0,
            };
            let (read, around) = ((&mut fold, &mut past), &mut self.around(&mut events));
            let started = begin.start(read, &mut Vec::new(), around);
            match started {
                Ok(_) => {}
                Err(NotStarted::Broken(broken)) => return Err(broken),
                Err(NotStarted::TooSmall(what)) => return Err(("recovery", what)),
                Err(NotStarted::Stop(_)) if self.disk.is_damaged(self.folder(shard)) => {
                    return Ok(());
                }
                Err(NotStarted::Stop(stop)) => return Err(("recovery", format!("{stop:?}"))),
            }
        }
        let folders = (0..self.plan.shards).map(|shard| self.folder(shard));
        let has_checkpoint = |folder| self.disk.checkpoint(folder).is_some();
        if folders.into_iter().any(has_checkpoint) {
            // Of what was forgotten the totals alone are left.
            self.ledger.journal().compare_carried(&fold)?;
            return self.ledger.journal().compare_sums(&fold);
        }
        if fold != *self.ledger.journal() {
            return Err(("S5", "the disk says other than was journaled".to_string()));
        }
        Ok(())
    }

    pub(super) fn report(&self) -> Report {
        Report {
            trace: self.trace,
            steps: self.step,
            purchases: self.acquirer.count(),
            restarts: self.life.saturating_sub(2),
            approvals: self.acquirer.approvals,
            replays: self.ledger.replays,
            reversals: self.issuers.iter().map(|issuer| issuer.reversals).sum(),
            tombstones: self.ledger.journal().tombstones,
            simulated_ms: self.now / MS,
            seen: self.counts,
        }
    }
}
