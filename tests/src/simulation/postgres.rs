//! PostgreSQL as a table set with a watermark, and the applier in front of it: commits whose
//! outcome is unknown, refusals, failover to an older state.

use domain::Record;
use domain::ids::Lsn;
use persistence::batch;
use persistence::identity::{Identity, JournalUuid};
use persistence::recovery::{Found, Watermark, judge_watermark};
use persistence::segment_header::SegmentHeader;

use super::Driver;
use super::disk::{Disk, block, folder};
use super::ledger::Broken;
use super::plan::Plan;
use super::random::Random;

/// The tables of one shard's journal.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    watermark: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    lsn: u64,
    /// Of the record's bytes.
    hash: u64,
    /// Of what it says of a transaction, wherever it stands; `None` of what is no row.
    event: Option<u64>,
}

/// A journal as an applier reads it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) identity: Identity,
    pub(super) found: Found,
    pub(super) durable: Lsn,
}

/// One life of an applier, over one shard's journal.
#[derive(Debug, Default)]
pub(super) struct Applier {
    /// What it takes the watermark for; `None` before it has read it.
    believed: Option<u64>,
    /// The segment that is read next, and the block in it.
    cursor: Option<(u64, usize)>,
    next: u64,
    ahead: Vec<Row>,
    is_checked: bool,
}

impl Table {
    pub(super) const fn watermark(&self) -> u64 {
        self.watermark
    }

    pub(super) const fn as_watermark(&self, journal: JournalUuid) -> Watermark {
        Watermark {
            journal,
            lsn: Lsn(self.watermark),
        }
    }

    /// One transaction: moves the watermark on from `from` and adds the rows, or does nothing.
    fn commit(&mut self, from: u64, rows: &[Row]) -> bool {
        if self.watermark != from {
            return false;
        }
        self.watermark = from + rows.len() as u64;
        self.rows.extend_from_slice(rows);
        true
    }

    /// A standby takes over that lacks the last commits.
    pub(super) fn fall_back(&mut self, lost: u64) {
        self.watermark = self.watermark.saturating_sub(lost);
        self.rows.truncate(self.watermark as usize);
    }

    /// What the rows say of transactions.
    pub(super) fn events(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().filter_map(|row| row.event)
    }

    /// S5, at every commit.
    pub(super) fn check(&self) -> Result<(), Broken> {
        let dense = self.rows.len() as u64 == self.watermark
            && self.rows.last().is_none_or(|row| row.lsn == self.watermark);
        if dense {
            return Ok(());
        }
        let what = format!("{} rows at watermark {}", self.rows.len(), self.watermark);
        Err(("S5", what))
    }

    /// S5, in whole: the rows are what the journal says up to the watermark.
    pub(super) fn compare(
        &self,
        driver: Driver,
        disk: &Disk,
        journal: &Source,
    ) -> Result<(), Broken> {
        let mut applier = Applier::default();
        // What was retired is held against what was written then.
        let gone = first_on(disk, journal)
            .saturating_sub(1)
            .min(self.watermark);
        applier.seek(gone, disk, journal);
        let mut rows = self.rows[..gone as usize].to_vec();
        while (rows.len() as u64) < self.watermark {
            let before = rows.len();
            applier.read(driver, (disk, journal), self.watermark);
            rows.append(&mut applier.ahead);
            if rows.len() == before {
                break;
            }
        }
        rows.truncate(self.watermark as usize);
        if rows == self.rows {
            return Ok(());
        }
        let what = format!("{} rows for {} records", self.rows.len(), rows.len());
        Err(("S5", what))
    }
}

impl Applier {
    /// Copies some of what is durable.
    pub(super) fn step(
        &mut self,
        driver: Driver,
        table: &mut Table,
        (disk, journal): (&Disk, &Source),
        plan: &Plan,
        random: &mut Random,
    ) -> Result<(), Broken> {
        if random.permille(plan.commit_refused) {
            return Ok(());
        }
        if !self.is_checked {
            let watermark = table.as_watermark(journal.identity.journal);
            judge_watermark(Some(&journal.found), Some(watermark))
                .map_err(|refusal| ("recovery", format!("at the first connect: {refusal}")))?;
            self.is_checked = true;
        }
        let Some(from) = self.believed else {
            self.believed = Some(table.watermark);
            self.seek(table.watermark, disk, journal);
            return Ok(());
        };
        self.read(driver, (disk, journal), journal.durable.0);
        let most = random.between(1, 60) as usize;
        let rows: Vec<Row> = self.ahead.iter().take(most).copied().collect();
        if rows.is_empty() {
            // A failover shows when there is nothing to write, too: by the timeline.
            if table.watermark != from {
                self.believed = None;
            }
            return Ok(());
        }
        let unknown = random.permille(plan.commit_unknown);
        if unknown && random.permille(500) {
            return self.doubt();
        }
        if driver == Driver::MovesWatermarkAlone && random.permille(50) {
            table.watermark += 1;
            return table.check();
        }
        if !table.commit(from, &rows) {
            return self.doubt();
        }
        table.check()?;
        if unknown {
            if driver == Driver::AppliesTwice {
                // Takes the error for a refusal, and its own rows for missing.
                table.rows.extend_from_slice(&rows);
                return table.check();
            }
            return self.doubt();
        }
        self.believed = Some(from + rows.len() as u64);
        self.ahead.drain(..rows.len());
        Ok(())
    }

    /// The outcome is not known: the watermark decides.
    fn doubt(&mut self) -> Result<(), Broken> {
        self.believed = None;
        Ok(())
    }

    fn seek(&mut self, after: u64, disk: &Disk, journal: &Source) {
        let folder = folder(&journal.identity);
        self.cursor = disk.numbers(folder).first().map(|number| (*number, 1));
        self.next = after + 1;
        self.ahead.clear();
    }

    /// Reads records up to `upto`, one batch at a time, until some are there.
    fn read(&mut self, driver: Driver, (disk, journal): (&Disk, &Source), upto: u64) {
        let folder = folder(&journal.identity);
        while self.ahead.is_empty() && self.next <= upto {
            let Some((number, at)) = self.cursor else {
                return;
            };
            let newest = disk.numbers(folder).last().copied().unwrap_or(0);
            if number > newest {
                return;
            }
            let oldest = disk.numbers(folder).first().copied().unwrap_or(number);
            if number < oldest {
                // It was retired: all of it had been copied.
                self.cursor = Some((oldest, 1));
                continue;
            }
            let bytes = disk.read((folder, number));
            let rest = bytes.get(block(at as u64)..).unwrap_or_default();
            let Some((header, found)) = batch::open(journal.identity.journal, rest) else {
                // The end of this segment; damage waits for people.
                if number < newest && rest.iter().all(|byte| *byte == 0) {
                    self.cursor = Some((number + 1, 1));
                    continue;
                }
                return;
            };
            if header.next_lsn().0 > upto + 1 {
                return;
            }
            for record in batch::records(&header, found) {
                let Ok((decoded, bytes)) = record else { return };
                if decoded.lsn.0 > self.next {
                    return;
                }
                if decoded.lsn.0 == self.next {
                    self.ahead.push(Row {
                        lsn: decoded.lsn.0,
                        hash: hash(bytes),
                        event: match decoded.carriage.is_carried() {
                            true if driver != Driver::CopiesCarried => None,
                            true | false => event(&decoded.record),
                        },
                    });
                    self.next = decoded.lsn.0 + 1;
                }
            }
            let blocks = header.extent() / persistence::batch::BLOCK as u64;
            self.cursor = Some((number, at + blocks as usize));
        }
    }
}

/// The first record that the files hold.
fn first_on(disk: &Disk, journal: &Source) -> u64 {
    let folder = folder(&journal.identity);
    let first = disk.numbers(folder).first().copied();
    let header = first.and_then(|number| {
        let bytes = disk.read((folder, number));
        SegmentHeader::decode(&bytes).ok()
    });
    header.map_or(1, |header| header.first_lsn.0)
}

/// What makes a record of a transaction one of its kind.
fn event(record: &Record<'_>) -> Option<u64> {
    match record {
        Record::Intent(_) | Record::Outcome(_) | Record::Advised(_) | Record::Tombstone(_) => {
            Some(hash(format!("{record:?}").as_bytes()))
        }
        _ => None,
    }
}

/// FNV-1a over words.
fn hash(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8);
    words.fold(0xCBF2_9CE4_8422_2325, |hash: u64, word| {
        let mut padded = [0; 8];
        padded[..word.len()].copy_from_slice(word);
        (hash ^ u64::from_le_bytes(padded)).wrapping_mul(0x0100_0000_01B3)
    })
}
