//! Makes checkpoints beside the shards: one thread of low priority, one shard at a time, out of
//! files that no longer change. A shard neither waits for it nor tells it anything.
//!
//! ```text
//!  due ─► room? ─► fold what a start would read, up to the segment that is written
//!               ─► write what is still known, resealed ─► read back and fold again ─► name it
//! ```
//! Whatever fails, the journal is as it was: the shard goes on, and it is tried again later.

mod maker;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use domain::ids::{Lsn, ShardId};
use domain::record::{Carriage, Record};
use domain::time::Instant;
use persistence::checkpoint::{Builder, Covered, Draft, Image, Shape};
use persistence::error::JournalError;
use persistence::identity::Identity;
use persistence::journal::Full;
use persistence::layout::shard_dir;
use persistence::manifest::{Content, Manifest};
use persistence::marks::Marks;
use persistence::reader::{KnownReader, Listed, UpTo, list, wrapped_keys};
use thiserror::Error;
use transaction::Engine;
use transaction::error::RecoverError;

use super::build::engine_settings;
use super::import::{newest_checkpoint, resealed};
use super::marks::{self, latest_stans, relinked_record};
use crate::config::Config;
use crate::control::shared::Shared;
use crate::crypto::{CryptoError, Keyring};

pub(crate) use maker::start;

/// Why a checkpoint was not made. The journal is as it was.
#[derive(Debug, Error)]
enum CheckpointError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error("a record does not fit into it: {0}")]
    Full(#[from] Full),
    #[error("segment {0} is not there")]
    NoSegment(u64),
    #[error(
        "{free} bytes are free on the disk, and {needed} are left to the segments of all shards: \
         free some, or lower journal.bytes_max"
    )]
    Room { free: u64, needed: u64 },
    #[error("it holds {found} of {owed} owed reversals and advices when it is read back")]
    Differs { owed: usize, found: usize },
    #[error("the key of account numbers has changed meanwhile")]
    KeyChanged,
    #[error("the switch ends")]
    Stopped,
}

/// One checkpoint of one shard.
struct Making<'a> {
    config: &'a Config,
    shared: &'a Shared,
    root: &'a Path,
    content: &'a Content,
    identity: Identity,
    /// The first segment that it does not cover.
    segment: u64,
    /// Bytes of the disk that are left to the segments.
    reserve: u64,
    stop: &'a AtomicBool,
}

/// What was made.
#[derive(Clone, Debug)]
struct Made {
    covered: Covered,
    bytes: u64,
    read: u64,
    owed: usize,
}

impl Making<'_> {
    fn make(&self, manifest: &mut Manifest) -> Result<Made, CheckpointError> {
        let place = self.place()?;
        self.check_room(0)?;
        let newest = newest_checkpoint(self.root, &self.identity)?;
        let (mut engine, read) = self.fold(&place, newest.as_ref())?;
        let owed = engine.counts().saf;
        let mut draft = Draft::begin(&self.dir(), self.segment)?;
        let written = self
            .write(&place, &mut engine, &mut draft)
            .and_then(|(covered, key)| {
                // Two of them are as large as the table twice.
                drop(engine);
                self.prove(&draft, &place, &covered, owed)?;
                Ok((covered, key))
            });
        let bytes = draft.bytes();
        match written {
            Ok((covered, key)) => {
                self.name(manifest, draft, key)?;
                Ok(Made {
                    covered,
                    bytes,
                    read,
                    owed,
                })
            }
            Err(error) => {
                draft.discard()?;
                Err(error)
            }
        }
    }

    /// A key that is replaced meanwhile may be let go at any time, and nobody looks for it in what
    /// has no name yet: so none is replaced while the name is given.
    fn name(
        &self,
        manifest: &mut Manifest,
        draft: Draft,
        used: u32,
    ) -> Result<(), CheckpointError> {
        let mut draft = Some(draft);
        let named = self.shared.under_key(self.config, used, || {
            manifest.expect_checkpoints()?;
            draft.take().map_or(Ok(()), Draft::keep)
        });
        if let Some(draft) = draft {
            draft.discard()?;
        }
        named
            .ok_or(CheckpointError::KeyChanged)?
            .map_err(CheckpointError::from)
    }

    fn dir(&self) -> PathBuf {
        shard_dir(self.root, self.identity.generation, self.identity.shard)
    }

    /// Where the first segment begins that is not covered.
    fn place(&self) -> Result<Listed, CheckpointError> {
        let segments = list(self.root, &self.identity)?;
        let place = segments.into_iter().find(|one| one.number == self.segment);
        place.ok_or(CheckpointError::NoSegment(self.segment))
    }

    /// An engine whose clock stands where that of the shard stood when the segment was begun: what
    /// is forgotten depends on the files alone.
    fn engine(&self, place: &Listed, newest: Option<&Covered>) -> Engine {
        let (shard, shards) = (self.identity.shard, self.identity.shards);
        let settings = engine_settings(self.config, shard, shards, NO_START, place.created);
        let mut engine = Engine::with_windows(settings, &self.config.windows());
        let marks = (&self.content.marks(), newest);
        marks::begin(&mut engine, self.config, &self.identity, marks);
        engine
    }

    fn fold(
        &self,
        place: &Listed,
        newest: Option<&Covered>,
    ) -> Result<(Engine, u64), CheckpointError> {
        let mut engine = self.engine(place, newest);
        let mut read = 0;
        let mut reader = KnownReader::open(self.root, self.identity)?;
        while let Some(entry) = reader.next(before(place))? {
            self.may_go_on(read)?;
            let record = relinked_record(self.config, &entry.record);
            engine.recover_as(&record, entry.carriage, Instant::ZERO)?;
            read += 1;
        }
        Ok((engine, read))
    }

    /// Copies the records of all that is still known, then the book; with the id of the key that
    /// they are sealed under in the end.
    fn write(
        &self,
        place: &Listed,
        engine: &mut Engine,
        draft: &mut Draft,
    ) -> Result<(Covered, u32), CheckpointError> {
        let wrapped = wrapped_keys(self.root, self.identity.shard)?;
        // Not before: a segment may name a key that was taken up since.
        let keys = self.shared.keys(self.config);
        let (mut theirs, _) = Keyring::new(&keys, &self.identity, NO_START)?;
        theirs.add_wrapped(&wrapped)?;
        let key = KEYS_OF_CHECKPOINTS | u32::try_from(self.segment).unwrap_or(u32::MAX);
        let (mut own, wrapped) = Keyring::new(&keys, &self.identity, key)?;
        let at = (&self.identity, self.segment);
        let mut builder = Builder::new(at, Shape::STANDARD, vec![wrapped], place.created);
        let mut reader = KnownReader::open(self.root, self.identity)?;
        let mut read = 0;
        while let Some(entry) = reader.next(before(place))? {
            self.may_go_on(read)?;
            read += 1;
            if let Some(carriage) = engine.carriage(&entry.record) {
                let record = resealed(entry.record, &theirs, &mut own)?;
                self.put(draft, builder.add(&record, carriage)?)?;
            }
        }
        for record in engine.book_records() {
            self.put(draft, builder.add(&record, Carriage::Carried)?)?;
        }
        let ended = builder.end();
        for image in ended.images {
            self.put(draft, Some(image))?;
        }
        let covered = Covered {
            identity: self.identity,
            segment: self.segment,
            next_lsn: place.begins.next_lsn,
            next_sequence: place.begins.next_sequence,
            chain: place.begins.chain,
            files: ended.files,
            records: ended.records,
            marks: Marks {
                left_behind: engine.left_behind(place.created),
                latest_stans: latest_stans(self.config, engine),
            },
        };
        Ok((covered, keys.pan_key_id))
    }

    fn put(&self, draft: &mut Draft, image: Option<Image>) -> Result<(), CheckpointError> {
        let Some(image) = image else {
            return Ok(());
        };
        self.check_room(u64::try_from(image.bytes.len()).unwrap_or(u64::MAX))?;
        Ok(draft.put(&image)?)
    }

    /// Reads back what was written, as a start will.
    fn prove(
        &self,
        draft: &Draft,
        place: &Listed,
        covered: &Covered,
        owed: usize,
    ) -> Result<(), CheckpointError> {
        let mut engine = self.engine(place, Some(covered));
        let (mut taken, mut read) = (Ok(()), 0);
        let mut on_record = |_: Lsn, record: &Record<'_>, carriage: Carriage| {
            if taken.is_ok() {
                taken = self.may_go_on(read).and_then(|()| {
                    let record = relinked_record(self.config, record);
                    let taken = engine.recover_as(&record, carriage, Instant::ZERO);
                    taken.map_err(CheckpointError::from)
                });
                read += 1;
            }
        };
        draft.prove(covered, &mut on_record)?;
        taken?;
        let found = engine.counts().saf;
        if found != owed {
            return Err(CheckpointError::Differs { owed, found });
        }
        Ok(())
    }

    /// Whether the disk holds `more` bytes besides what is left to the segments.
    fn check_room(&self, more: u64) -> Result<(), CheckpointError> {
        let free = free_bytes(self.root)?;
        let needed = self.reserve;
        if free < needed.saturating_add(more) {
            return Err(CheckpointError::Room { free, needed });
        }
        Ok(())
    }

    fn may_go_on(&self, read: u64) -> Result<(), CheckpointError> {
        if read.is_multiple_of(STOP_EVERY) && self.stop.load(Ordering::Relaxed) {
            return Err(CheckpointError::Stopped);
        }
        Ok(())
    }
}

/// Up to the last record that is covered.
const fn before(place: &Listed) -> UpTo {
    UpTo::Durable(Lsn(place.first_lsn.0.saturating_sub(1)))
}

fn free_bytes(root: &Path) -> Result<u64, CheckpointError> {
    let found = rustix::fs::statvfs(root).map_err(|error| JournalError::Io {
        operation: "look at the disk of",
        path: root.to_owned(),
        source: std::sync::Arc::new(error.into()),
    })?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes of the checkpoint on disk.
fn bytes_of(dir: &Path, segment: u64) -> u64 {
    let folder = persistence::checkpoint::folder(dir, segment);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|found| found.len())
        .sum()
}

/// What names shards in the log.
const fn shard_of(identity: &Identity) -> ShardId {
    identity.shard
}

/// The data keys of checkpoints: no start is counted so far.
const KEYS_OF_CHECKPOINTS: u32 = 1 << 31;
/// A start that never was: nothing is sealed under its key, and no transaction has its ids.
const NO_START: u32 = u32::MAX;
/// Records after which the end of the switch is looked for.
const STOP_EVERY: u64 = 1_024;
