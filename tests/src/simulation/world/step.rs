//! What is looked at at every step.

use domain::time::WallTime;

use super::*;

impl World {
    pub(super) fn wall(&self) -> WallTime {
        wall(self.now, self.wall_ahead)
    }

    /// S3, S6, S8 and L1, as far as they can be known before the end.
    pub(super) fn check_step(&self) -> Result<(), Broken> {
        for shard in &self.shards {
            shard.check_bounds(&self.plan)?;
        }
        self.ledger.answers.check(self.now)?;
        if self.disk.has_secret() {
            let what = "an account number was written to the disk";
            return Err(("S6", what.to_string()));
        }
        if self.shards.is_empty() {
            return Ok(());
        }
        // An advice takes its place before its record.
        let held: u64 = self.shards.iter().map(Shard::owed_count).sum();
        let owed = self.ledger.journal().owed_now();
        match held >= owed {
            true => Ok(()),
            false => Err(("S3", format!("{owed} are owed, the shards know {held}"))),
        }
    }
}
