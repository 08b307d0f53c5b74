//! A start finds another number of shards configured, and deals the journal anew.

use std::collections::BTreeSet;

use domain::record::{Carriage, LeftBehind, Record};
use domain::time::WallTime;
use persistence::marks::Marks;
use persistence::record::decode;
use transaction::carrying::deal_books;

use super::*;
use crate::simulation::disk::folder;
use crate::simulation::journal::{Cut, Journal};
use crate::simulation::switch::{Old, latest_stans};
use crate::simulation::words::slot;

/// A shard of a generation that gets no further record.
#[derive(Debug)]
pub(super) struct Sealed {
    source: Source,
    pub(super) table: Table,
    pub(super) applier: Applier,
    marks: Marks,
}

impl Sealed {
    pub(super) const fn is_drained(&self) -> bool {
        self.table.watermark() == self.source.durable.0
    }
}

/// Why a change of the number of shards did not come about.
enum Failed {
    /// It is begun again.
    Stop(Folder, Stop),
    Broken(Broken),
    /// The number of shards is set back.
    TooSmall,
}

/// One generation read to its end.
struct Read {
    shards: Vec<Old>,
    fold: Fold,
    records: u64,
    owed: usize,
}

impl World {
    /// Deals the journal anew, if another number of shards is configured. `false` when the start
    /// was cut short or refused.
    pub(super) fn take_up(&mut self, cut_short: u64) -> Result<bool, Broken> {
        self.disk.remove_behind(self.generation);
        if self.life > 1 && self.configured.is_none() && self.random.happens(self.plan.deals_anew) {
            self.configured = Some(self.random.between(1, 6) as u16);
        }
        let wanted = self.configured.filter(|shards| *shards != self.plan.shards);
        let Some(shards) = wanted else {
            self.configured = None;
            return Ok(true);
        };
        match self.deal_anew(shards, cut_short) {
            Ok(()) => self.counts.dealt_anew += 1,
            Err(Failed::TooSmall) => self.counts.dealt_too_small += 1,
            Err(Failed::Broken(broken)) => return Err(broken),
            Err(Failed::Stop(folder, stop)) => {
                self.counts.dealt_in_part += u64::from(folder.0 > self.generation);
                self.not_started(folder, &stop)?;
                return Ok(false);
            }
        }
        self.configured = None;
        Ok(true)
    }

    fn deal_anew(&mut self, shards: u16, cut_short: u64) -> Result<(), Failed> {
        let cut_short = cut_short.min(CUT_SHORT_MAX);
        let (old, new) = (self.generation, self.generation + 1);
        let forgotten = self.left_out();
        let mut before =
            self.read_all((old, self.marks()), self.plan.shards, forgotten, cut_short)?;
        // What was told has survived so far.
        let survived = self.ledger.survived(before.fold.clone(), self.wall());
        survived.map_err(Failed::Broken)?;
        let marks = self.marks_of(&before);
        let mut journals = Vec::new();
        for shard in 0..shards {
            let begin = self.begin(identity(new, shard, shards), marks.clone(), cut_short);
            let made = begin.make(&mut self.around(&mut Vec::new()));
            journals.push(made.map_err(|stop| Failed::Stop((new, shard), stop))?);
        }
        let mut forgotten = self.left_out();
        let carried = self.carry_over(&mut before, &mut journals, &mut forgotten)?;
        let after = self.read_all((new, marks.clone()), shards, forgotten.clone(), cut_short)?;
        let mut engines = after.shards;
        for engine in engines.iter_mut().map(|read| &mut read.engine) {
            let now = domain::time::Instant::from_nanos(self.now);
            engine.recovered(now).map_err(|_| Failed::TooSmall)?;
        }
        if (after.records, after.owed) != (carried, before.owed) {
            let mut folders = (0..shards).map(|shard| (new, shard));
            if let Some(folder) = folders.find(|folder| self.disk.is_damaged(*folder)) {
                return Err(Failed::Stop(folder, Stop::Interrupted));
            }
            let (told, owed) = ((carried, before.owed), (after.records, after.owed));
            let what = format!("{told:?} records and entries were carried, {owed:?} are there");
            return Err(Failed::Broken(("carried", what)));
        }
        let compared = before.fold.compare_carried(&after.fold);
        compared.map_err(Failed::Broken)?;
        self.switch_over((shards, &marks), &before, forgotten);
        self.counts.carried += carried;
        Ok(())
    }

    /// Copies what is still known, in the order of its times. Returns how many records went over.
    fn carry_over(
        &mut self,
        before: &mut Read,
        journals: &mut [Journal],
        forgotten: &mut Fold,
    ) -> Result<u64, Failed> {
        let shards = journals.len() as u16;
        let mut carried = 0;
        for (shard, index) in in_order(&before.shards) {
            let old = &before.shards[shard];
            let decoded = decode(&old.records[index].1).expect("it was encoded");
            let record = decoded.record;
            let is_left = self.driver == Driver::LeavesTombstones;
            let carriage = match record {
                Record::Tombstone(_) if is_left => None,
                _ => old.engine.carriage(&record),
            };
            let Some(carriage) = carriage else {
                if !is_left {
                    forgotten.add_apart(&record);
                }
                continue;
            };
            let home = record.transaction().slot().owner(shards);
            self.put(&mut journals[usize::from(home.0)], &record, carriage)?;
            carried += 1;
        }
        let engines = before.shards.iter_mut();
        let books: Vec<_> = engines.map(|old| old.engine.book_records()).collect();
        let owner = |_, stan: domain::ids::Stan| slot(stan.number()).owner(shards);
        for (journal, book) in journals.iter_mut().zip(deal_books(&books, shards, owner)) {
            for record in book {
                self.put(journal, &record, Carriage::Carried)?;
                carried += 1;
            }
        }
        for journal in journals {
            let at = folder(&journal.identity);
            let written = journal.write_all(&mut self.cut_short());
            written.map_err(|stop| Failed::Stop(at, stop))?;
        }
        Ok(carried)
    }

    fn put(
        &mut self,
        journal: &mut Journal,
        record: &Record<'_>,
        carriage: Carriage,
    ) -> Result<(), Failed> {
        let at = folder(&journal.identity);
        let carried = journal.carry(record, carriage, &mut self.cut_short());
        carried.map_err(|stop| Failed::Stop(at, stop))
    }

    fn cut_short(&mut self) -> Cut<'_> {
        Cut {
            disk: &mut self.disk,
            plan: &self.plan,
            random: &mut self.random,
            cut_short: self.plan.crash_in_recovery.min(CUT_SHORT_MAX),
        }
    }

    /// One rename: from here on the other generation is in force.
    fn switch_over(&mut self, (shards, marks): (u16, &Marks), before: &Read, forgotten: Fold) {
        let tables = std::mem::take(&mut self.tables);
        for ((shard, table), old) in (0..).zip(tables).zip(&before.shards) {
            self.sealed.push(Sealed {
                source: Source {
                    identity: self.identity(shard),
                    found: old.found,
                    durable: old.found.last,
                },
                table,
                applier: Applier::default(),
                marks: marks.clone(),
            });
        }
        self.tables = (0..shards).map(|_| Table::default()).collect();
        self.generation += 1;
        self.plan.shards = shards;
        self.forgotten = forgotten;
        self.life += 1;
    }

    /// Reads all journals of a generation.
    fn read_all(
        &mut self,
        (generation, marks): (u32, Marks),
        shards: u16,
        fold: Fold,
        cut_short: u64,
    ) -> Result<Read, Failed> {
        let mut read = Read {
            shards: Vec::new(),
            fold,
            records: 0,
            owed: 0,
        };
        for shard in 0..shards {
            let begin = self.begin(
                identity(generation, shard, shards),
                marks.clone(),
                cut_short,
            );
            let old = begin.read(&mut read.fold, &mut self.around(&mut Vec::new()));
            let old = old.map_err(|failed| match failed {
                NotStarted::Stop(stop) => Failed::Stop((generation, shard), stop),
                NotStarted::Broken(broken) => Failed::Broken(broken),
                NotStarted::TooSmall(_) => Failed::TooSmall,
            })?;
            read.records += old.records.len() as u64;
            read.owed += old.engine.counts().saf;
            read.shards.push(old);
        }
        Ok(read)
    }

    fn begin(&self, identity: Identity, marks: Marks, cut_short: u64) -> Begin {
        let table = self.tables.get(usize::from(identity.shard.0));
        let table = table.filter(|_| identity.generation == self.generation);
        Begin {
            driver: self.driver,
            life: self.life,
            identity,
            watermark: table.map(|table| Lsn(table.watermark())),
            marks,
            cut_short,
        }
    }
}

impl World {
    /// What the records that were carried over to the generation in force do not say.
    pub(super) fn marks(&self) -> Marks {
        let last = self.sealed.last().map(|last| last.marks.clone());
        last.unwrap_or_default()
    }

    fn marks_of(&self, before: &Read) -> Marks {
        let now = wall(self.now, self.wall_ahead);
        let shards = before.shards.iter();
        let behind = shards.clone().map(|old| old.engine.left_behind(now));
        Marks {
            left_behind: behind.fold(LeftBehind::default(), LeftBehind::max),
            latest_stans: shards.flat_map(|old| latest_stans(&old.engine)).collect(),
        }
    }

    //= docs/rules.md#V-12
    /// The latest place of what any shard owes is told to all.
    pub(super) fn tell_places(&mut self) {
        let places = self.shards.iter().map(|shard| shard.latest_place());
        let latest = places.max().unwrap_or_default();
        if self.driver != Driver::ForgetsPlaces {
            for shard in &mut self.shards {
                shard.begin_places_behind(latest);
            }
        }
    }

    /// Numbers that legs hold in the parts of other shards are claimed there.
    pub(super) fn claim_strange(&mut self) {
        let strange = self.shards.iter().flat_map(Shard::strange_stans);
        let strange: Vec<_> = strange.collect();
        for shard in &mut self.shards {
            shard.claim_strange(&strange);
        }
    }
}

/// PostgreSQL.
impl World {
    pub(super) fn fall_back(&mut self) {
        let sealed = self.sealed.iter_mut().map(|sealed| &mut sealed.table);
        for table in self.tables.iter_mut().chain(sealed) {
            table.fall_back(self.random.below(checkpoints::FALL_BACK));
        }
    }

    /// Appliers of a new life know nothing.
    pub(super) fn begin_to_apply(&mut self) {
        self.appliers = self.tables.iter().map(|_| Applier::default()).collect();
        for sealed in &mut self.sealed {
            sealed.applier = Applier::default();
        }
    }

    /// The older generation first, to its end. `false` while it is not there.
    pub(super) fn apply_sealed(&mut self) -> Result<bool, Broken> {
        let open = |sealed: &&mut Sealed| !sealed.is_drained();
        let mut left = self.sealed.iter_mut().filter(open);
        let Some(first) = left.next() else {
            return Ok(true);
        };
        let generation = first.source.identity.generation;
        let same = |sealed: &&mut Sealed| sealed.source.identity.generation == generation;
        for sealed in std::iter::once(first).chain(left.filter(same)) {
            let source = (&self.disk, &sealed.source);
            let (table, plan) = (&mut sealed.table, &self.plan);
            let applier = &mut sealed.applier;
            applier.step(self.driver, table, source, plan, &mut self.random)?;
        }
        self.apply_later();
        Ok(false)
    }

    /// S5: all generations are copied, and nothing twice.
    pub(super) fn check_sealed(&self) -> Result<(), Broken> {
        for sealed in &self.sealed {
            let table = &sealed.table;
            table.compare(self.driver, &self.disk, &sealed.source)?;
        }
        let sealed = self.sealed.iter().map(|sealed| &sealed.table);
        let mut known = BTreeSet::new();
        let mut rows = sealed.chain(&self.tables).flat_map(Table::events);
        if rows.any(|event| !known.insert(event)) {
            return Err(("S5", "something happened twice".to_string()));
        }
        Ok(())
    }
}

/// Of which shard, and which of its records: each journal in its order, all in the order of their
/// times.
fn in_order(shards: &[Old]) -> Vec<(usize, usize)> {
    let mut at: Vec<(usize, WallTime)> = vec![(0, WallTime::default()); shards.len()];
    let mut order = Vec::new();
    loop {
        let open = (0..shards.len()).filter(|shard| at[*shard].0 < shards[*shard].records.len());
        let Some(shard) = open.min_by_key(|shard| at[*shard].1) else {
            return order;
        };
        let (index, reached) = at[shard];
        order.push((shard, index));
        let named = shards[shard].records[index].0;
        at[shard] = (index + 1, named.map_or(reached, |named| reached.max(named)));
    }
}

/// More often than that no change would ever come to its end.
const CUT_SHORT_MAX: u64 = 3;
