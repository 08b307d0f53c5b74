//! Checkpoints are made while the node runs, and segments go behind them.

use persistence::record::decode;
use persistence::segment_header::SegmentHeader;

use super::*;
use crate::simulation::words::Stage;

impl World {
    pub(super) fn schedule_checkpoints(&mut self, end: u64) {
        for _ in 0..self.plan.checkpoints {
            let at = self.random.below(end);
            let shard = self.random.below(6) as u16;
            let stage = Stage::Draft;
            self.later(at, Event::Checkpoint { shard, stage });
        }
    }

    /// The next step of a checkpoint, if its life still lasts: between any two of them the power
    /// may fail.
    pub(super) fn of_checkpoints(&mut self, shard: u16, stage: Stage) {
        if self.shards.is_empty() {
            return;
        }
        let shard = shard % self.plan.shards;
        let folder = self.folder(shard);
        match stage {
            Stage::Draft => self.draft(shard),
            Stage::Name { life, segment } if life == self.life => {
                if self.disk.name_checkpoint((folder, segment)) {
                    let stage = Stage::Keep { life, segment };
                    let pause = self.random.below(20 * MS);
                    self.later(pause, Event::Checkpoint { shard, stage });
                }
            }
            Stage::Keep { life, segment } if life == self.life => {
                self.disk.keep_checkpoint((folder, segment));
                self.counts.checkpoints += 1;
                self.retire(shard, segment);
            }
            Stage::Name { .. } | Stage::Keep { .. } => {}
        }
    }

    fn draft(&mut self, shard: u16) {
        let folder = self.folder(shard);
        let segment = self.shards[usize::from(shard)].journal.segment();
        let before = self.disk.checkpoint(folder);
        if segment <= before.map_or(1, |before| before.covered.segment) {
            return;
        }
        let begin = Begin {
            driver: self.driver,
            life: self.life,
            identity: self.identity(shard),
            watermark: None,
            marks: self.marks(),
            cut_short: 0,
        };
        let made = begin.checkpoint(segment, &self.around(&mut Vec::new()));
        let Some(checkpoint) = made else {
            return;
        };
        self.disk.draft(folder, checkpoint);
        let life = self.life;
        let stage = Stage::Name { life, segment };
        let pause = self.random.below(500 * MS);
        self.later(pause, Event::Checkpoint { shard, stage });
    }

    /// The oldest segments go, when PostgreSQL has them and so has every standby that may take
    /// over.
    fn retire(&mut self, shard: u16, covered: u64) {
        let folder = self.folder(shard);
        let has = match self.driver {
            Driver::RetiresUnread => u64::MAX,
            _ => {
                let lag = FALL_BACK * (self.plan.failovers + 1);
                let table = &self.tables[usize::from(shard)];
                table.watermark().saturating_sub(lag)
            }
        };
        let numbers = self.disk.numbers(folder);
        for pair in numbers.windows(2).filter(|pair| pair[0] < covered) {
            let next = self.disk.read((folder, pair[1]));
            let next = SegmentHeader::decode(&next).map(|header| header.first_lsn.0);
            // A damaged one waits for people.
            if next.is_err() || next.is_ok_and(|next| next > has.saturating_add(1)) {
                return;
            }
            self.disk.retire((folder, pair[0]));
            self.counts.retired += 1;
        }
    }

    /// What no journal of the generation in force says any more.
    pub(super) fn left_out(&self) -> Fold {
        let mut fold = self.forgotten.clone();
        for shard in 0..self.plan.shards {
            let checkpoint = self.disk.checkpoint(self.folder(shard));
            for bytes in checkpoint.into_iter().flat_map(|own| &own.left_out) {
                fold.add_apart(&decode(bytes).expect("it was encoded").record);
            }
        }
        fold
    }
}

/// More records than a failover takes back.
pub(super) const FALL_BACK: u64 = 40;
