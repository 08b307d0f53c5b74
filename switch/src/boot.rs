//! Starts the switch: pins one executor per shard, recovers, opens the listeners, tells that it is
//! ready, and waits for the end of the drain.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use domain::ids::{LinkId, Stan};
use glommio::{ExecutorJoinHandle, Placement};
use persistence::error::JournalError;
use persistence::horizon_file::HorizonFileError;
use persistence::identity::Identity;
use persistence::journal::{FileSystems, JournalSettings, executor};
use persistence::manifest::Manifest;
use persistence::reader::wrapped_keys;
use persistence::segment_header::WrappedKey;
use rustix::net::{SocketType, sockopt};
use thiserror::Error;

use crate::clock::Clock;
use crate::config::Config;
use crate::control::credentials::{CredentialsKeeper, CredentialsReader};
use crate::control::horizon::HorizonKeeper;
use crate::control::keys::{KeysKeeper, KeysReader};
use crate::control::shared::{NodeFlags, Shared};
use crate::control::tls::TlsKeeper;
use crate::control::{self, Reloads};
use crate::crypto::key_store::{KeyStore, KeyStoreError, RestoredKey};
use crate::crypto::{CryptoError, Keyring};
use crate::echo::EchoReader;
use crate::endpoint::issuer_wires;
use crate::mesh;
use crate::shard::checkpoint;
use crate::shard::exchange;
use crate::shard::import;
use crate::shard::setup::{self, ShardSeed};
use crate::sys::family_of;

/// What `njia serve` adds to the configuration.
#[derive(Debug)]
pub struct ServeOptions {
    /// Gets a JSON object with every real address once the switch is ready.
    pub ready_file: Option<PathBuf>,
    /// Reads the keys of the configuration again.
    pub keys: KeysReader,
    /// Reads the credentials of gateways again.
    pub credentials: CredentialsReader,
}

/// Why the switch did not start, or stopped.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The journal refuses, or failed while running.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A key could not be made or used.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// Stored MAC keys cannot be taken up.
    #[error(transparent)]
    MacKeys(#[from] KeyStoreError),
    /// What gateways may have signed before is not known.
    #[error(transparent)]
    Horizon(#[from] HorizonFileError),
    /// Routes contradict each other.
    #[error("routes: {0}")]
    Routes(String),
    /// Risk rules contradict each other.
    #[error("risk: {0}")]
    Risk(String),
    /// What the journal holds does not fit the configuration.
    #[error("the journal cannot be taken up with this configuration: {0}")]
    Recover(String),
    /// Files of TLS cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// A listener's address is taken or not ours.
    #[error("listener {name}: cannot bind {address}: {source}")]
    Bind {
        /// Its name in the configuration.
        name: String,
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start {what}: {reason}")]
    Start {
        /// Which.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The ready file could not be written.
    #[error("cannot write {path}: {source}")]
    ReadyFile {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// What a shard reports to the thread that started it.
#[derive(Debug)]
enum Report {
    /// Recovered; listeners may open. The numbers that its legs hold in the parts of other shards.
    Recovered(Vec<(LinkId, Stan)>),
    /// Its listeners are open.
    Listening,
    /// It will not start.
    Failed(ServeError),
}

/// Runs the switch until it has drained.
///
/// # Errors
/// [`ServeError`]: it did not start, or the journal failed.
pub fn serve(config: Config, options: ServeOptions) -> Result<(), ServeError> {
    let shards = shard_count(&config);
    let clock = Clock::start();
    let mut manifest = Manifest::open_or_create(&config.journal.dir, config.node.id, shards)?;
    let names = manifest.number(&config.party_names())?;
    let config = config
        .numbered(names)
        .map_err(|errors| ServeError::Routes(setup::join_errors(&errors)))?;
    warn_of_memory(&config);
    let config = &Arc::new(config);
    let stored_keys = KeyStore::open(manifest.root(), config, clock.wall())?;
    import::take_up(config, &mut manifest, shards, clock)?;
    let reserved = reserve_addresses(config)?;
    let addresses: Arc<[SocketAddr]> = reserved.iter().map(|(address, _)| *address).collect();
    let shared = Shared::new(shards, config.issuers.len(), clock);
    let horizon = HorizonKeeper::start(config, &shared, &manifest)?;
    let tls = TlsKeeper::open(config, &shared).map_err(ServeError::Tls)?;
    let keys = KeysKeeper::new(options.keys, config, &shared, &manifest);
    let credentials = CredentialsKeeper::new(options.credentials, config, &shared);
    let reloads = Reloads {
        tls,
        keys,
        credentials,
    };
    let control = control::start(config, &shared, &manifest, reloads)
        .map_err(|error| cannot_start("the control plane", &error))?;
    let (report, reports) = channel();
    let mut executors = Vec::new();
    for seed in seeds(config, &manifest, &shared, stored_keys)? {
        executors.push(spawn(config, seed, Arc::clone(&addresses), report.clone())?);
    }
    drop(report);
    await_listening(&reports, &shared, &mut manifest)?;
    drop(reserved);
    let maker = checkpoint::start(config, &shared, manifest)?;
    await_links(config, shared.node());
    ready(config, options.ready_file, &addresses, &control)?;
    for executor in executors {
        join(executor)?;
    }
    if let Some(horizon) = horizon {
        horizon.finish();
    }
    // The lock of the journal's directory, until the last reader is done.
    let manifest = maker.finish();
    control.finish();
    drop(manifest);
    tracing::info!("drained");
    Ok(())
}

/// One seed per shard.
fn seeds(
    config: &Arc<Config>,
    manifest: &Manifest,
    shared: &Shared,
    (key_store, restored): (KeyStore, Vec<RestoredKey>),
) -> Result<Vec<ShardSeed>, ServeError> {
    let (mut key_store, restored) = (Some(key_store), Arc::from(restored));
    let shards = manifest.content().shards;
    let start = manifest.content().start;
    let wires = issuer_wires(config);
    let echo = EchoReader::new();
    let marks = Arc::new(manifest.content().marks());
    let clock = shared.node().clock();
    let mut seeds = Vec::new();
    let meshes = mesh::build(shards, config.limits.mesh_messages_max);
    let exchanges = exchange::build(shards);
    for ((mesh, exchange), shared) in meshes.into_iter().zip(exchanges).zip(&shared.shards) {
        let identity = manifest.identity(shared.id);
        let (mut keyring, wrapped) = Keyring::new(&config.keys, &identity, start)?;
        keyring.keep_listed(config.listed_tokens());
        // Before any shard writes: one that is refused later would leave behind a data key of this
        // start, wrapped under a key that the next one may not have. What cannot be read here is
        // for the recovery to judge.
        if let Ok(earlier) = wrapped_keys(manifest.root(), identity.shard) {
            keyring.add_wrapped(&earlier)?;
        }
        let segment_known = manifest.segment_known(identity.shard);
        let (root, keys) = (manifest.root().to_owned(), vec![wrapped]);
        seeds.push(ShardSeed {
            id: shared.id,
            shards,
            config: Arc::clone(config),
            clock,
            keyring,
            journal: journal_settings(config, root, identity, (keys, segment_known), clock),
            marks: Arc::clone(&marks),
            start,
            mesh,
            exchange,
            wires: wires.clone(),
            echo: echo.clone(),
            metrics: shared.metrics.clone(),
            shared: Arc::clone(shared),
            restored: Arc::clone(&restored),
            // The first shard leads the changes of keys.
            key_store: key_store.take(),
        });
    }
    Ok(seeds)
}

/// The table grows with what it remembers, up to its bound: better told at start than by the
/// kernel's killer.
fn warn_of_memory(config: &Config) {
    let needed = config.remembered().bytes;
    let machine = rustix::system::sysinfo();
    let unit = usize::try_from(machine.mem_unit).unwrap_or(1);
    let memory = usize::try_from(machine.totalram)
        .unwrap_or(usize::MAX)
        .saturating_mul(unit);
    if needed > memory / 2 {
        tracing::warn!(
            needed_mib = needed >> 20,
            memory_mib = memory >> 20,
            "what limits.transactions_max may take is more than half of this machine's memory: \
             lower it, or expect the process to be killed when the table is full"
        );
    }
}

pub(crate) fn journal_settings(
    config: &Config,
    root: PathBuf,
    identity: Identity,
    (keys, segment_known): (Vec<WrappedKey>, u64),
    clock: Clock,
) -> JournalSettings {
    JournalSettings {
        root,
        identity,
        segment_bytes: config.journal.segment_bytes,
        batch_bytes_max: JournalSettings::BATCH_BYTES_MAX,
        bytes_max: config.journal.bytes_max,
        batch_wait: config.journal.batch_wait,
        anchor_wait: JournalSettings::ANCHOR_WAIT,
        file_systems: if config.journal.allow_any_filesystem {
            FileSystems::Any
        } else {
            FileSystems::Tried
        },
        keys,
        segment_known,
        watermark: None,
        clock: persistence::journal::Clock {
            monotonic: Arc::new(move || clock.now()),
            wall: Arc::new(move || clock.wall()),
        },
    }
}

/// Waits for the issuers' links, so that the first request finds one; not for longer than a moment,
/// because an issuer may be away.
fn await_links(config: &Config, node: &NodeFlags) {
    let deadline = node.clock().now().after(LINKS_WAIT);
    let configured = || config.issuers.iter().filter(|issuer| !issuer.is_removed());
    let linked = || node.all_linked(configured().map(|issuer| issuer.id));
    while !linked() && !node.is_draining() && node.clock().now() < deadline {
        std::thread::park_timeout(BOOT_POLL);
    }
    for issuer in configured().filter(|issuer| node.links_up(issuer.id) == 0) {
        let addresses = &issuer.addresses;
        tracing::warn!(issuer = %issuer.name, ?addresses, "no link yet: it cannot be reached, or \
            does not answer the sign-on");
    }
}

/// Tells that the switch is ready, and where.
fn ready(
    config: &Config,
    ready_file: Option<PathBuf>,
    addresses: &[SocketAddr],
    control: &control::Control,
) -> Result<(), ServeError> {
    let admin = control.address();
    tracing::info!(%admin, "ready");
    let Some(path) = ready_file else {
        return Ok(());
    };
    let listeners: serde_json::Map<String, serde_json::Value> = config
        .listeners
        .iter()
        .zip(addresses)
        .map(|(listener, address)| (listener.name.clone(), address.to_string().into()))
        .collect();
    let of_gateways = addresses.iter().skip(config.listeners.len());
    let gateways: serde_json::Map<String, serde_json::Value> = config
        .gateways
        .iter()
        .zip(of_gateways)
        .map(|(gateway, address)| (gateway.name.clone(), address.to_string().into()))
        .collect();
    let text = serde_json::json!({
        "pid": std::process::id(),
        "admin": admin.to_string(),
        "socket": config.admin.socket,
        "listeners": listeners,
        "gateways": gateways,
        "issuer_callbacks": control.called().map(|address| address.to_string()),
        "journal": config.journal.dir,
        "node": config.node.id.0,
    });
    write_aside(&path, &text.to_string()).map_err(|source| ServeError::ReadyFile { path, source })
}

/// Whoever waits for the file finds it whole.
fn write_aside(path: &Path, text: &str) -> std::io::Result<()> {
    let aside = path.with_extension("partial");
    std::fs::write(&aside, text)?;
    std::fs::rename(&aside, path)
}

/// Executors: as configured, else one per core that the process may use.
pub(crate) fn shard_count(config: &Config) -> u16 {
    shards_of(config.node.shards)
}

/// The same of what `shards` says.
pub(crate) fn shards_of(configured: u16) -> u16 {
    match configured {
        0 => u16::try_from(usable_cores().len()).unwrap_or(1).max(1),
        count => count,
    }
}

/// The cores of the process's affinity, in order.
fn usable_cores() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else {
        return vec![0];
    };
    (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect()
}

/// Takes every listener's address before a shard runs, so that port 0 is the same for all of them
/// and a taken port is told in plain words. The sockets never listen; they only hold the place.
fn reserve_addresses(config: &Config) -> Result<Vec<(SocketAddr, OwnedFd)>, ServeError> {
    let mut reserved = Vec::new();
    let listeners = config.listeners.iter();
    let listeners = listeners.map(|listener| (&listener.name, listener.address));
    let gateways = config.gateways.iter();
    let gateways = gateways.map(|gateway| (&gateway.name, gateway.address));
    for (name, address) in listeners.chain(gateways) {
        let reserve = reserve(address).map_err(|source| ServeError::Bind {
            name: name.clone(),
            address,
            source,
        })?;
        reserved.push(reserve);
    }
    Ok(reserved)
}

fn reserve(address: SocketAddr) -> std::io::Result<(SocketAddr, OwnedFd)> {
    let family = family_of(address);
    // Sockets that share a port let another process share it too: one that does not tells whether
    // the port is free. SO_REUSEADDR passes over connections that have ended.
    if address.port() != 0 {
        let alone = rustix::net::socket(family, SocketType::STREAM, None)?;
        sockopt::set_socket_reuseaddr(&alone, true)?;
        bind_patiently(&alone, address)?;
    }
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    let real = rustix::net::getsockname(&socket)?;
    let real = SocketAddr::try_from(real).map_err(|_| std::io::Error::other("not an address"))?;
    Ok((real, socket))
}

/// The kernel closes the rings of a killed process in its own time, and with them its listeners.
fn bind_patiently(socket: &OwnedFd, address: SocketAddr) -> std::io::Result<()> {
    for _ in 1..BIND_ATTEMPTS {
        match rustix::net::bind(socket, &address) {
            Err(rustix::io::Errno::ADDRINUSE) => std::thread::park_timeout(BIND_PAUSE),
            bound => return Ok(bound?),
        }
    }
    Ok(rustix::net::bind(socket, &address)?)
}

fn spawn(
    config: &Config,
    seed: ShardSeed,
    addresses: Arc<[SocketAddr]>,
    report: Sender<Report>,
) -> Result<ExecutorJoinHandle<Result<(), ServeError>>, ServeError> {
    let cores = if config.node.cpus.is_empty() {
        usable_cores()
    } else {
        config
            .node
            .cpus
            .iter()
            .map(|cpu| usize::from(*cpu))
            .collect()
    };
    let placement = match usize::from(seed.id.0).checked_rem(cores.len()) {
        Some(position) => cores.get(position).copied().map(Placement::Fixed),
        None => None,
    };
    let name = format!("shard-{}", seed.id);
    executor(placement.unwrap_or(Placement::Unbound))
        .name(&name)
        .ring_depth(RING_DEPTH)
        .spawn(move || run_shard(seed, addresses, report))
        .map_err(|error| cannot_start(&name, &error))
}

async fn run_shard(
    seed: ShardSeed,
    addresses: Arc<[SocketAddr]>,
    report: Sender<Report>,
) -> Result<(), ServeError> {
    let shared = Arc::clone(&seed.shared);
    let mut shard = match setup::open(seed).await {
        Ok(shard) => shard,
        Err(error) => {
            send(&report, Report::Failed(error));
            return Ok(());
        }
    };
    send(&report, Report::Recovered(shard.strange_stans()));
    // Listeners open when every shard has recovered: a session of this shard may need any owner.
    while !shared.node().is_recovered() {
        glommio::timer::sleep(BOOT_POLL).await;
    }
    shard.claim(shared.node().held_stans());
    match shard.listen(&addresses) {
        Ok(()) => send(&report, Report::Listening),
        Err(error) => {
            send(&report, Report::Failed(error));
            return Ok(());
        }
    }
    drop(report);
    shard.run().await;
    shard.close().await.map_err(ServeError::Journal)
}

/// The receiver is gone only when starting has failed already.
fn send(report: &Sender<Report>, what: Report) {
    if report.send(what).is_err() {
        tracing::debug!("nobody waits for the start any more");
    }
}

fn await_listening(
    reports: &Receiver<Report>,
    shared: &Shared,
    manifest: &mut Manifest,
) -> Result<(), ServeError> {
    let (shards, node) = (shared.shards.len(), shared.node());
    let mut recovered = 0;
    let mut listening = 0;
    let mut held = Vec::new();
    while listening < shards {
        match reports.recv() {
            Ok(Report::Recovered(stans)) => {
                recovered += 1;
                held.extend(stans);
            }
            Ok(Report::Listening) => listening += 1,
            Ok(Report::Failed(error)) => return Err(error),
            Err(_) => return Err(cannot_start("a shard", &"it ended while starting")),
        }
        if recovered == shards && !node.is_recovered() {
            let positions = shared.positions().unwrap_or_default();
            let segments = positions.iter().map(|position| position.segment());
            manifest.recovered(segments.collect())?;
            node.set_recovered(std::mem::take(&mut held));
        }
    }
    node.set_listening();
    Ok(())
}

fn join(executor: ExecutorJoinHandle<Result<(), ServeError>>) -> Result<(), ServeError> {
    executor
        .join()
        .map_err(|error| cannot_start("a shard's executor", &error))?
}

pub(crate) fn cannot_start(what: &str, reason: &dyn std::fmt::Display) -> ServeError {
    ServeError::Start {
        what: what.to_owned(),
        reason: reason.to_string(),
    }
}

/// A second and a half until an address counts as taken.
const BIND_ATTEMPTS: u32 = 30;
const BIND_PAUSE: Duration = Duration::from_millis(50);
/// Entries of one executor's rings.
pub(crate) const RING_DEPTH: usize = 512;
const BOOT_POLL: Duration = Duration::from_millis(1);
/// How long readiness waits for the issuers' links; a link that is down later is not waited for.
const LINKS_WAIT: Duration = Duration::from_secs(3);
