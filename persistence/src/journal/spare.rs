//! Keeps one spare segment ready, in the background.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::directory::Directory;
use super::segment::Spare;
use super::settings::JournalSettings;
use super::shared::Shared;
use crate::error::JournalError;

/// Pause after a spare could not be made. New work is shed meanwhile; the current segment serves.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct SpareMaker {
    shared: Rc<Shared>,
    dir: PathBuf,
    segment_bytes: u64,
    serial: u64,
}

impl SpareMaker {
    pub(super) fn new(
        settings: &JournalSettings,
        directory: &Directory,
        shared: Rc<Shared>,
    ) -> Self {
        Self {
            shared,
            dir: directory.path.clone(),
            segment_bytes: settings.segment_bytes,
            serial: 1,
        }
    }

    pub(super) async fn run(mut self) {
        while self.wanted().await {
            match Spare::make(&self.dir, self.serial, self.segment_bytes).await {
                Ok(spare) => {
                    *self.shared.spare.borrow_mut() = Some(spare);
                    self.shared.spare_outcome(false);
                }
                Err(error) => self.failed(&error).await,
            }
            self.serial += 1;
        }
    }

    /// Waits until a spare is wanted; `false` when none will be again.
    async fn wanted(&self) -> bool {
        let shared = &self.shared;
        let wanted = || match (shared.has_ended(), shared.wants_spare()) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        };
        shared.supply.until(wanted).await
    }

    async fn failed(&self, error: &JournalError) {
        tracing::error!(%error, source = ?std::error::Error::source(error), "no spare segment");
        self.shared.count(|counters| counters.prepare_errors += 1);
        self.shared.spare_outcome(true);
        glommio::timer::sleep(RETRY).await;
    }
}
