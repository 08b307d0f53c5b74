//! Starts the applier: waits until every journal is open, migrates when told to, then copies.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::ids::Lsn;
use domain::time::Instant;
use persistence::applier::{
    self, Applier, ApplierError, ApplierSettings, Backoff, BatchPolicy, Fees, Identity,
    JournalSource, LaneStatus, Names, Origin, Payload, Phase, SchemaName, SecretSource, Server,
    ShardJournal, Status, Timeouts, TlsFiles,
};
pub(super) use persistence::error::chain;
use persistence::identity::JournalUuid;
use persistence::manifest::Earlier;
use tokio::sync::watch;
use tokio::time::sleep;

use super::logging;
use super::shared::Shared;
use crate::clock::Clock;
use crate::config::{Config, Durability, Postgres, PostgresTls, SecretPlace};
use crate::exit::ExitCode;

/// Where the journals are, as the applier is told.
#[derive(Clone, Debug)]
pub(super) struct Journals {
    pub(super) root: PathBuf,
    pub(super) uuid: JournalUuid,
    pub(super) origin: Origin,
    /// The shards of earlier generations, the oldest first, and where each ends.
    pub(super) earlier: Vec<(persistence::identity::Identity, Lsn)>,
    /// Those generations, as far as their files are there.
    pub(super) kept: Vec<Earlier>,
}

/// What the task needs.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) config: Arc<Config>,
    pub(super) shared: Arc<Shared>,
    pub(super) journals: Journals,
    pub(super) status: Arc<OnceLock<Arc<Status>>>,
}

impl Task {
    /// Runs until `stop` is raised and what is durable is copied, or the time for that is over.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let Some(postgres) = &self.config.postgres else {
            return;
        };
        let settings = match settings(&self.config, postgres) {
            Ok(settings) => settings,
            Err(error) => return tracing::error!(%error, "applier does not start"),
        };
        let ready = async {
            if postgres.migrate {
                migrate(&settings.server).await;
            }
            self.journals().await
        };
        let journals = tokio::select! {
            journals = ready => journals,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let applier = Applier::new(settings, journals);
        let status = applier.status();
        drop(self.status.set(Arc::clone(&status)));
        let stopped = async {
            // An error means that the control plane is gone, which is a stop too.
            drop(stop.wait_for(|stop| *stop).await);
        };
        let shared = Arc::clone(&self.shared);
        let copied = tokio::select! {
            copied = applier.run(stopped) => copied,
            () = tell_applied(&status, &shared, &self) => Ok(()),
        };
        if let Err(error) = copied {
            give_up(&error);
        }
    }

    /// Waits until every shard has opened its journal.
    async fn journals(&self) -> Vec<ShardJournal> {
        while self.shared.positions().is_none() {
            sleep(POLL).await;
        }
        open_journals(&self.shared, &self.journals)
    }
}

/// The earlier journals that are still there, and those that shards have opened, each to be read
/// from its files.
pub(super) fn open_journals(shared: &Shared, journals: &Journals) -> Vec<ShardJournal> {
    let journal = |shard: &Arc<super::shared::ShardShared>| {
        let position = shard.position()?;
        Some(ShardJournal {
            journal: journals.uuid,
            shard: shard.id,
            origin: journals.origin,
            phase: Phase::Live,
            source: Box::new(JournalSource::new(
                journals.root.clone(),
                shard.id,
                Arc::clone(position),
            )),
        })
    };
    let earlier = journals
        .earlier
        .iter()
        .map(|(identity, last)| ShardJournal {
            journal: identity.journal,
            shard: identity.shard,
            origin: Origin::Recovered,
            phase: Phase::Draining,
            source: Box::new(JournalSource::sealed(
                journals.root.clone(),
                *identity,
                *last,
            )),
        });
    earlier
        .chain(shared.shards.iter().filter_map(journal))
        .collect()
}

/// Migrates, however long PostgreSQL is away.
async fn migrate(server: &Server) {
    loop {
        match applier::migrate(server).await {
            Ok(versions) => {
                return tracing::info!(applied = versions.len(), "schema is up to date");
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot migrate yet");
                sleep(MIGRATE_PAUSE).await;
            }
        }
    }
}

/// Puts down at each shard how far its journal is in PostgreSQL, for `/statusz`. No segment of the
/// generation in force is retired by it.
async fn tell_applied(status: &Status, shared: &Shared, task: &Task) {
    let every = tell_every(&task.config);
    let live = |lane: &&LaneStatus| lane.journal == task.journals.uuid;
    loop {
        for lane in status.lanes().iter().filter(live) {
            if let Some(shard) = shared.shards.get(usize::from(lane.shard.0)) {
                shard.set_applied(lane.watermark());
            }
        }
        sleep(every).await;
    }
}

/// Where answers wait for it, as often as a timer can be set.
fn tell_every(config: &Config) -> Duration {
    match config.node.durability {
        Durability::Journal => TELL_EVERY,
        Durability::Postgres => TICK,
    }
}

/// Where answers wait, a batch is whatever came during the one before.
fn batch_policy(config: &Config, postgres: &Postgres) -> BatchPolicy {
    let standard = BatchPolicy {
        records_max: postgres.batch_rows_max,
        records_min: BatchPolicy::STANDARD
            .records_min
            .min(postgres.batch_rows_max),
        ..BatchPolicy::STANDARD
    };
    match config.node.durability {
        Durability::Journal => standard,
        Durability::Postgres => BatchPolicy {
            records_min: 1,
            linger: Duration::ZERO,
            poll: TICK,
            ..standard
        },
    }
}

/// A journal that does not belong to what PostgreSQL holds ends the process: going on would hide
/// that rows are missing. Whatever else stops the applier is left to people; the journal absorbs.
fn give_up(error: &ApplierError) {
    let error_text = chain(error);
    tracing::error!(error = %error_text, "applier has stopped");
    if matches!(
        error,
        ApplierError::Journal(_) | ApplierError::Forked { .. }
    ) {
        logging::flush();
        std::process::exit(ExitCode::JournalRefused.number());
    }
}

pub(super) fn settings(
    config: &Config,
    postgres: &Postgres,
) -> Result<ApplierSettings, ApplierError> {
    let acquirers = config.acquirers.iter();
    let fees = acquirers
        .map(|acquirer| acquirer.fee_basis_points)
        .collect();
    Ok(ApplierSettings {
        server: Server {
            url: source(&postgres.url),
            password: postgres.password.as_ref().map(source),
            tls: postgres.tls.as_ref().map(postgres_tls),
            schema: SchemaName::new(&postgres.schema)?,
            timeouts: Timeouts::STANDARD,
        },
        node: config.node.id,
        // A fence is raised by a number; the name of its owner only helps people.
        owner: uuid::Uuid::new_v4().as_u128(),
        names: names(config),
        fees: Fees { basis_points: fees },
        strategy: postgres.strategy,
        batch: batch_policy(config, postgres),
        backoff: Backoff::STANDARD,
        drain: DRAIN,
        payload: Payload::Keep,
        retention_days: postgres.retention_days,
        accept_lost: Vec::new(),
        clock: monotonic,
    })
}

/// Names by id, those of removed parties among them.
pub(super) fn names(config: &Config) -> Names {
    let names = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect();
    Names {
        acquirers: names(&mut config.acquirers.iter().map(|acquirer| &acquirer.name)),
        issuers: names(&mut config.issuers.iter().map(|issuer| &issuer.name)),
        routes: names(&mut config.routes.iter().map(|route| &route.name)),
    }
}

/// Read again at each connect: what was rotated is taken up.
pub(super) fn source(place: &SecretPlace) -> SecretSource {
    let place = place.clone();
    SecretSource::asked(move || {
        let text = place.read().map_err(std::io::Error::other)?;
        Ok(text.expose().to_owned())
    })
}

fn postgres_tls(tls: &PostgresTls) -> TlsFiles {
    TlsFiles {
        trust: tls.trust.clone(),
        identity: tls.identity.as_ref().map(|identity| Identity {
            certificates: identity.certificate.clone(),
            key: identity.key.clone(),
        }),
    }
}

pub(super) fn monotonic() -> Instant {
    static CLOCK: OnceLock<Clock> = OnceLock::new();
    CLOCK.get_or_init(Clock::start).now()
}

/// How often journals are looked for while the switch starts.
const POLL: Duration = Duration::from_millis(20);
/// How often shards are told how far their journals are copied.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// The same, and how often journals are looked at, where answers wait for it.
const TICK: Duration = Duration::from_millis(1);
/// Between two attempts to migrate.
const MIGRATE_PAUSE: Duration = Duration::from_secs(2);
/// How long the applier may catch up after the last shard has ended.
pub(super) const DRAIN: Duration = Duration::from_secs(10);
