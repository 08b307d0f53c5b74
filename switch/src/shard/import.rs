//! Takes a journal up with another number of shards: deals what is still known anew, into a
//! generation of its own beside the one that is in force.
//!
//! ```text
//!  read all old shards ─► write all new ones, synced ─► read them back ─► manifest renamed
//!        │ refused              │                            │
//!        └──────────────────────┴────────────────────────────┴──► the old one stays in force
//! ```
//! Before the rename nothing has changed; the next start removes what was half made (J10). After it
//! the old generation gets no further record: it is kept, and the applier copies it to its end.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::ids::{Lsn, ShardId};
use domain::record::{Advised, Carriage, Intent, LeftBehind, Record, Refused};
use domain::request::Facts;
use domain::time::{Instant, WallTime};
use glommio::Placement;
use persistence::checkpoint::{self, Covered};
use persistence::error::JournalError;
use persistence::identity::Identity;
use persistence::journal::{
    Full, Journal, JournalSettings, Pressure, Recovered, ShedCause, executor,
};
use persistence::layout::shard_dir;
use persistence::manifest::{Content, Manifest};
use persistence::marks::Marks;
use persistence::reader::{KnownReader, UpTo};
use persistence::segment_header::WrappedKey;
use transaction::Engine;
use transaction::carrying::{deal_books, written_at};

use super::build::engine_settings;
use super::marks::{self, latest_stans, relinked_record};
use super::setup::{refuse_removed, wall_at_zero};
use crate::boot::{self, ServeError};
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::{CryptoError, Keyring};

/// Takes the journal of `manifest` up with `shards` shards, if it has another number of them.
/// Blocks; before any shard is started.
///
/// # Errors
/// [`ServeError`]: the old journal is refused, or what it holds does not fit. It is in force as
/// before.
pub(crate) fn take_up(
    config: &Arc<Config>,
    manifest: &mut Manifest,
    shards: u16,
    clock: Clock,
) -> Result<(), ServeError> {
    let from = manifest.content().shards;
    if from == shards {
        return Ok(());
    }
    tracing::info!(
        from,
        to = shards,
        "the number of shards has changed: dealing anew"
    );
    let began = clock.now();
    let import = Import {
        config: Arc::clone(config),
        root: manifest.root().to_owned(),
        old: manifest.content().clone(),
        shards,
        clock,
        now: began,
        wall: clock.wall(),
    };
    let started = executor(Placement::Unbound)
        .name("import")
        .ring_depth(boot::RING_DEPTH)
        .spawn(move || import.run());
    let started = started.map_err(|error| boot::cannot_start("the import", &error))?;
    let (next, figures) = started
        .join()
        .map_err(|error| boot::cannot_start("the import", &error))??;
    manifest.switch_to(next)?;
    let took_ms = clock.now().since(began).as_millis();
    tracing::info!(
        from,
        to = shards,
        generation = manifest.content().generation,
        read = figures.read,
        carried = figures.carried,
        owed = figures.owed,
        took_ms,
        "the journal goes on with another number of shards"
    );
    Ok(())
}

/// One change of the number of shards.
struct Import {
    config: Arc<Config>,
    root: PathBuf,
    /// The generation in force.
    old: Content,
    shards: u16,
    clock: Clock,
    /// The same moment on both clocks.
    now: Instant,
    wall: WallTime,
}

/// What is told of it.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// Records of the old generation.
    read: u64,
    /// Records of the new one.
    carried: u64,
    /// Reversals and advices that are owed.
    owed: usize,
}

/// One shard of the old generation, read to its end.
struct Old {
    identity: Identity,
    engine: Engine,
    keyring: Keyring,
    last: Lsn,
    records: u64,
}

/// One shard of the new generation.
struct New {
    identity: Identity,
    journal: Journal,
    keyring: Keyring,
}

/// An old journal on its way into the new ones.
struct Source {
    reader: KnownReader,
    /// The latest time that it has named.
    reached: WallTime,
    is_over: bool,
}

impl Import {
    async fn run(self) -> Result<(Content, Figures), ServeError> {
        let mut old = Vec::new();
        for shard in (0..self.old.shards).map(ShardId) {
            old.push(self.read(shard).await?);
        }
        let last = old.iter().map(|old| old.last).collect();
        let known = self.old.clone().without_retired(&self.root);
        let next = known.next_generation(self.shards, last, self.marks(&old))?;
        let mut new = Vec::new();
        for shard in (0..self.shards).map(ShardId) {
            new.push(self.open(next.identity(shard)).await?);
        }
        let mut figures = Figures {
            read: old.iter().map(|old| old.records).sum(),
            carried: self.carry(&old, &mut new).await?,
            owed: old.iter().map(|old| old.engine.counts().saf).sum(),
        };
        figures.carried += self.carry_books(&mut old, &new).await?;
        new.iter().try_for_each(|new| self.check_room(new))?;
        drop(old);
        for new in new {
            new.journal.close().await?;
        }
        self.prove(&next, &figures).await?;
        Ok((next, figures))
    }

    /// Recovers a shard of the generation in force.
    async fn read(&self, shard: ShardId) -> Result<Old, ServeError> {
        let identity = self.old.identity(shard);
        let (mut keyring, _) = Keyring::new(&self.config.keys, &identity, self.old.start)?;
        let known = self.old.segment_known(shard);
        let newest = newest_checkpoint(&self.root, &identity)?;
        let marks = (&self.old.marks(), newest.as_ref());
        let (engine, recovered) = self.fold(identity, known, marks).await?;
        keyring.add_wrapped(&recovered.wrapped_keys)?;
        Ok(Old {
            identity,
            engine,
            keyring,
            last: recovered.found.last,
            records: recovered.records,
        })
    }

    /// What the journal of one shard leaves behind; its recovery has not ended.
    async fn fold(
        &self,
        identity: Identity,
        segment_known: u64,
        marks: (&Marks, Option<&Covered>),
    ) -> Result<(Engine, Recovered), ServeError> {
        let (shard, shards) = (identity.shard, identity.shards);
        let zero = wall_at_zero(self.wall, self.now);
        let settings = engine_settings(&self.config, shard, shards, self.old.start, zero);
        let mut engine = Engine::with_windows(settings, &self.config.windows());
        marks::begin(&mut engine, &self.config, &identity, marks);
        let mut taken = Ok(());
        let now = self.now;
        let mut on_record = |_: Lsn, record: &Record<'_>, carriage: Carriage| {
            if taken.is_ok() {
                let record = relinked_record(&self.config, record);
                taken = engine.recover_as(&record, carriage, now);
            }
        };
        let settings = self.settings(identity, Vec::new(), segment_known);
        let recovered = Journal::read(settings, &mut on_record).await?;
        taken.map_err(|error| ServeError::Recover(error.to_string()))?;
        Ok((engine, recovered))
    }

    /// What the shards of the new generation are told besides what is carried over. What an old one
    /// was told of that kind its engine has taken in.
    fn marks(&self, old: &[Old]) -> Marks {
        let behind = old.iter().map(|old| old.engine.left_behind(self.wall));
        let latest = old
            .iter()
            .flat_map(|old| latest_stans(&self.config, &old.engine));
        Marks {
            left_behind: behind.fold(LeftBehind::default(), LeftBehind::max),
            latest_stans: latest.collect(),
        }
    }

    fn settings(
        &self,
        identity: Identity,
        keys: Vec<WrappedKey>,
        segment_known: u64,
    ) -> JournalSettings {
        let root = self.root.clone();
        boot::journal_settings(
            &self.config,
            root,
            identity,
            (keys, segment_known),
            self.clock,
        )
    }

    async fn open(&self, identity: Identity) -> Result<New, ServeError> {
        // The shards start under the number behind this one: no data key is named twice.
        let (keyring, wrapped) = Keyring::new(&self.config.keys, &identity, self.old.start)?;
        let settings = self.settings(identity, vec![wrapped], 0);
        let mut nothing = |_: Lsn, _: &Record<'_>, _: Carriage| {};
        let (journal, _) = Journal::open(settings, &mut nothing).await?;
        Ok(New {
            identity,
            journal,
            keyring,
        })
    }

    /// Copies the records of all that is still known, those of all old shards in the order of their
    /// times, so that each new journal reads as if its shard had written it.
    async fn carry(&self, old: &[Old], new: &mut [New]) -> Result<u64, ServeError> {
        let mut sources = Vec::new();
        for old in old {
            sources.push(Source {
                reader: KnownReader::open(&self.root, old.identity)?,
                reached: WallTime::default(),
                is_over: false,
            });
        }
        let mut carried = 0;
        loop {
            let open = sources
                .iter_mut()
                .zip(old)
                .filter(|(source, _)| !source.is_over);
            let Some((source, old)) = open.min_by_key(|(source, _)| source.reached) else {
                return Ok(carried);
            };
            let Some(entry) = source.reader.next(UpTo::Durable(old.last))? else {
                source.is_over = true;
                continue;
            };
            if let Some(at) = written_at(&entry.record) {
                source.reached = source.reached.max(at);
            }
            let Some(carriage) = old.engine.carriage(&entry.record) else {
                continue;
            };
            let home = entry.record.transaction().slot().owner(self.shards);
            if let Some(new) = new.get_mut(usize::from(home.0)) {
                let record = resealed(entry.record, &old.keyring, &mut new.keyring)?;
                append(new, &record, carriage).await?;
                carried += 1;
            }
        }
    }

    async fn carry_books(&self, old: &mut [Old], new: &[New]) -> Result<u64, ServeError> {
        let books: Vec<_> = old
            .iter_mut()
            .map(|old| old.engine.book_records())
            .collect();
        let Some(Old { keyring, .. }) = old.first() else {
            return Ok(0);
        };
        let owner = |acquirer, stan| keyring.slot(acquirer, stan).owner(self.shards);
        let mut carried = 0;
        for (new, book) in new.iter().zip(deal_books(&books, self.shards, owner)) {
            for record in book {
                append(new, &record, Carriage::Carried).await?;
                carried += 1;
            }
        }
        Ok(carried)
    }

    /// A shard that would begin by shedding is of no use.
    fn check_room(&self, new: &New) -> Result<(), ServeError> {
        if new.journal.pressure(self.now) == Pressure::Shed(ShedCause::HighWater) {
            let what = "it would be full to 80 %";
            return Err(misfit(new.identity, &what));
        }
        Ok(())
    }

    /// Reads the new generation back and brings every engine up, as the shards will: what they
    /// would refuse is refused while the old one is still in force.
    async fn prove(&self, next: &Content, figures: &Figures) -> Result<(), ServeError> {
        let (mut records, mut owed) = (0, 0);
        for shard in (0..self.shards).map(ShardId) {
            let identity = next.identity(shard);
            let marks = (&next.marks(), None);
            let (mut engine, recovered) = self.fold(identity, 0, marks).await?;
            records += recovered.records;
            owed += engine.counts().saf;
            refuse_removed(&self.config, engine.busy_legs().map(|(_, leg)| leg))?;
            engine
                .recovered(self.now)
                .map_err(|error| ServeError::Recover(error.to_string()))?;
        }
        if (records, owed) == (figures.carried, figures.owed) {
            return Ok(());
        }
        Err(ServeError::Recover(format!(
            "{} records with {} reversals and advices were carried over to {} shards, {records} \
             with {owed} are there; set shards = {}",
            figures.carried, figures.owed, self.shards, self.old.shards
        )))
    }
}

/// The newest checkpoint of the shard.
pub(super) fn newest_checkpoint(
    root: &Path,
    identity: &Identity,
) -> Result<Option<Covered>, JournalError> {
    let dir = shard_dir(root, identity.generation, identity.shard);
    checkpoint::newest(&dir, identity)
}

/// Appends a record, when there is room for it.
async fn append(new: &New, record: &Record<'_>, carriage: Carriage) -> Result<(), ServeError> {
    loop {
        match new.journal.carry(record, carriage) {
            Ok(_) => return Ok(()),
            // Of one that is dead this tells the cause.
            Err(Full::Backlog | Full::Closed) => {
                new.journal.wait_durable(new.journal.durable()).await?;
            }
            Err(full @ (Full::Space | Full::TooLong)) => {
                return Err(misfit(new.identity, &full));
            }
        }
    }
}

fn misfit(identity: Identity, why: &dyn Display) -> ServeError {
    ServeError::Recover(format!(
        "what shard {} of {} would take over does not fit: {why}; raise journal.bytes_max, or \
         keep the number of shards",
        identity.shard, identity.shards
    ))
}

/// The record with its account under the key of the new journal: an envelope opens where it was
/// sealed, and nowhere else.
pub(super) fn resealed<'a>(
    record: Record<'a>,
    from: &Keyring,
    to: &mut Keyring,
) -> Result<Record<'a>, CryptoError> {
    let mut move_over = |facts: Facts| -> Result<Facts, CryptoError> {
        let mut facts = facts;
        facts.account.sealed = to.reseal(from, &facts.account.sealed)?;
        Ok(facts)
    };
    Ok(match record {
        Record::Intent(intent) => Record::Intent(Intent {
            facts: move_over(intent.facts)?,
            ..intent
        }),
        Record::Refused(refused) => Record::Refused(Refused {
            facts: move_over(refused.facts)?,
            ..refused
        }),
        Record::Advised(advised) => Record::Advised(Advised {
            facts: move_over(advised.facts)?,
            ..advised
        }),
        Record::Outcome(_)
        | Record::SafOwed(_)
        | Record::SafDone(_)
        | Record::Tombstone(_)
        | Record::LateResponse(_)
        | Record::AdviceDone(_)
        | Record::Operated(_)
        | Record::Day(_)
        | Record::Totals(_)
        | Record::Reconciled(_)
        | Record::ReconciliationOwed(_)
        | Record::ReconciliationDone(_) => record,
    })
}
