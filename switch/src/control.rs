//! The control plane: everything that may block or be slow. It never stands between a request and
//! its answer: shards publish, one thread reads.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use domain::ids::{Lsn, ShardId};
use persistence::Manifest;
use persistence::applier::Origin;
use persistence::identity::Identity;
use persistence::layout::EVENTS_WATERMARK;
use persistence::manifest::{Content, Earlier};
use thiserror::Error;
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

mod access;
mod admin;
mod applier;
pub(crate) mod audit;
mod callbacks;
mod called;
pub mod credentials;
mod door;
#[cfg(feature = "kafka")]
mod events;
pub mod horizon;
pub mod keys;
mod listener;
pub mod logging;
pub mod lookup;
pub(crate) mod marks;
mod operator;
pub mod preflight;
pub mod reach;
pub(crate) mod reporting;
mod retiring;
mod segments;
pub mod shared;
mod signals;
mod sources;
mod status;
#[cfg(test)]
mod tests;
pub mod tls;

use crate::config::Config;
use crate::exit::ExitCode;
use crate::limits::WATCHDOG;
use crate::metrics::{Exposition, Gauge, Labels};
use crate::tls::TlsSet;
use access::AccessSource;
use admin::Admin;
use applier::{Journals, Task};
use audit::{Audit, AuditSource, Object};
use callbacks::{Callbacks, CallbacksSource};
use called::CalledSource;
use credentials::{CredentialsKeeper, CredentialsSource};
use door::Door;
use horizon::HorizonSource;
use keys::{KeysKeeper, KeysSource};
use listener::{AdminListener, Bounds};
use operator::Counter;
use retiring::{Absent, Consumer, Kept, Retiring};
use segments::Segments;
use shared::Shared;
use signals::Signals;
use sources::{ApplierSource, CheckpointSource, NodeSource};
use status::Observer;
use tls::{TlsKeeper, TlsSource};

/// Why the control plane does not start.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Its address is taken, or not ours.
    #[error("admin: cannot bind {address}: {source}; set [admin] address to a free one")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The address for callbacks of issuers is taken, or not ours.
    #[error(
        "issuer_callbacks: cannot bind {address}: {source}; set [issuer_callbacks] address to a \
         free one"
    )]
    Called {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The socket for operators cannot be bound.
    #[error("admin: cannot bind {}: {source}; set [admin] socket to a free path", .path.display())]
    Socket {
        /// What was asked for.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The operating system refused a thread, a signal handler or a poll descriptor.
    #[error("cannot start the control thread: {0}")]
    Start(#[source] io::Error),
}

/// The running control plane.
#[derive(Debug)]
pub struct Control {
    address: SocketAddr,
    called: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
    callbacks: Option<Callbacks>,
    audit: Option<Audit>,
    #[cfg(feature = "kafka")]
    events: Option<events::Events>,
}

/// What is read again at SIGHUP.
#[derive(Clone, Debug)]
pub struct Reloads {
    /// Files of TLS.
    pub tls: Arc<TlsKeeper>,
    /// Keys of account numbers.
    pub keys: Arc<KeysKeeper>,
    /// How gateways show who they are.
    pub credentials: Arc<CredentialsKeeper>,
}

impl Reloads {
    fn add_to(&self, exposition: &mut Exposition) {
        exposition.add_source(TlsSource(Arc::clone(&self.tls)));
        exposition.add_source(KeysSource(Arc::clone(&self.keys)));
        exposition.add_source(CredentialsSource(Arc::clone(&self.credentials)));
    }
}

/// Starts the control plane: its listener is bound and signals are obeyed when this returns.
///
/// # Errors
/// [`ControlError`].
pub fn start(
    config: &Arc<Config>,
    shared: &Arc<Shared>,
    manifest: &Manifest,
    reloads: Reloads,
) -> Result<Control, ControlError> {
    let (listener, address) = bind(config.admin.address)?;
    let operators = operator::bind(&config.admin.socket).map_err(|source| {
        let path = config.admin.socket.clone();
        ControlError::Socket { path, source }
    })?;
    let called = called::bind(config)?;
    let called_at = called.as_ref().and_then(|called| called.local_addr().ok());
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ControlError::Start)?;
    let inside = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(ControlError::Start)?;
    let operators = tokio::net::UnixListener::from_std(operators).map_err(ControlError::Start)?;
    let called = called.map(tokio::net::TcpListener::from_std).transpose();
    let listeners = Listeners {
        questions: listener,
        operators,
        called: called.map_err(ControlError::Start)?,
    };
    let signals = Signals::new().map_err(ControlError::Start)?;
    drop(inside);
    let (stop, stopped) = watch::channel(false);
    let audit = Arc::<audit::Told>::default();
    let plane = Plane::new(
        Arc::clone(config),
        Arc::clone(shared),
        (journals(config, manifest), Arc::clone(&audit)),
        reloads,
    );
    let audit = Audit::start(config, shared, audit).map_err(ControlError::Start)?;
    let callbacks = Callbacks::start(
        config,
        shared,
        journals(config, manifest),
        Arc::clone(&plane.callbacks),
    )
    .map_err(ControlError::Start)?;
    #[cfg(feature = "kafka")]
    let events = events::Events::start(
        config,
        shared,
        journals(config, manifest),
        Arc::clone(&plane.events),
    )
    .map_err(ControlError::Start)?;
    let thread = thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || runtime.block_on(plane.run(listeners, signals, stopped)))
        .map_err(ControlError::Start)?;
    Ok(Control {
        address,
        called: called_at,
        stop,
        thread,
        callbacks,
        audit,
        #[cfg(feature = "kafka")]
        events,
    })
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ControlError> {
    let refused = |source| ControlError::Bind { address, source };
    let listener = TcpListener::bind(address).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

impl Control {
    /// Where the admin listener is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where issuers call back.
    #[must_use]
    pub const fn called(&self) -> Option<SocketAddr> {
        self.called
    }

    /// Ends the control plane after the last shard has ended: the applier catches up, and so do
    /// events, but not for long.
    pub fn finish(self) {
        self.stop.send_replace(true);
        if let Some(callbacks) = self.callbacks {
            callbacks.finish();
        }
        #[cfg(feature = "kafka")]
        if let Some(events) = self.events {
            events.finish();
        }
        if self.thread.join().is_err() {
            tracing::error!("the control thread has panicked");
        }
        // Last of all: it has what the others did.
        if let Some(audit) = self.audit {
            audit.finish();
        }
        logging::flush();
    }
}

fn journals(config: &Config, manifest: &Manifest) -> Journals {
    let root = config.journal.dir.clone();
    let earlier = manifest.content().earlier.iter();
    let kept: Vec<Earlier> = earlier
        .filter(|earlier| earlier.is_there(&root))
        .cloned()
        .collect();
    Journals {
        uuid: manifest.content().journal,
        earlier: shards_of(manifest.content(), &kept),
        root,
        kept,
        origin: if manifest.is_new() {
            Origin::Created
        } else {
            Origin::Recovered
        },
    }
}

/// The shards of earlier generations, the oldest first, and where each ends. PostgreSQL has those
/// that are not kept to their end; should it have lost that since, the applier refuses (J18).
fn shards_of(content: &Content, kept: &[Earlier]) -> Vec<(Identity, Lsn)> {
    let mut all = Vec::new();
    for earlier in kept {
        for (shard, last) in (0..).map(ShardId).zip(&earlier.last) {
            all.push((earlier.identity(content.node, shard), *last));
        }
    }
    all
}

/// What the control thread listens to.
struct Listeners {
    /// Metrics and health.
    questions: tokio::net::TcpListener,
    /// What operators do.
    operators: tokio::net::UnixListener,
    /// Issuers that call back.
    called: Option<tokio::net::TcpListener>,
}

/// Everything that the control thread runs.
struct Plane {
    config: Arc<Config>,
    shared: Arc<Shared>,
    observer: Arc<Observer>,
    exposition: Arc<Exposition>,
    applier: Task,
    callbacks: Arc<callbacks::Told>,
    of_issuers: OfIssuers,
    #[cfg(feature = "kafka")]
    events: events::EventsStatus,
    retiring: Retiring,
    segments: Segments,
    reloads: Reloads,
}

/// What a scrape is told of issuers over HTTP.
struct OfIssuers {
    /// Callbacks of theirs.
    called: Arc<called::Results>,
    /// Tokens that they are shown.
    access: Vec<Arc<access::Told>>,
}

impl OfIssuers {
    fn new(config: &Config, exposition: &mut Exposition) -> Self {
        let called = Arc::new(called::Results::default());
        exposition.add_source(CalledSource(Arc::clone(&called)));
        let access = access::told(config);
        exposition.add_source(AccessSource(access.clone()));
        Self { called, access }
    }
}

impl Plane {
    fn new(
        config: Arc<Config>,
        shared: Arc<Shared>,
        (journals, audit): (Journals, Arc<audit::Told>),
        reloads: Reloads,
    ) -> Self {
        let status = Arc::new(OnceLock::new());
        #[cfg(feature = "kafka")]
        let events = events::EventsStatus::default();
        let callbacks = Arc::new(callbacks::Told::default());
        #[cfg_attr(
            not(feature = "kafka"),
            expect(unused_mut, reason = "events read it too")
        )]
        let mut consumers = consumers(&config, &journals.root, (&status, &callbacks));
        #[cfg(feature = "kafka")]
        if config.kafka.is_some() {
            consumers.push(Arc::<OnceLock<Arc<persistence::events::Status>>>::clone(
                &events,
            ));
        }
        let segments = Segments::new(&config, &shared, journals.root.clone(), consumers.clone());
        let retiring = Retiring {
            root: journals.root.clone(),
            kept: journals.kept.iter().cloned().map(Kept::from).collect(),
            retention: config.journal.retention,
            consumers,
            clock: shared.node().clock(),
        };
        let mut exposition = exposition(&config, &shared, &status, journals.kept.clone());
        let applier = Task {
            config: Arc::clone(&config),
            shared: Arc::clone(&shared),
            journals,
            status: Arc::clone(&status),
        };
        reloads.add_to(&mut exposition);
        let of_issuers = OfIssuers::new(&config, &mut exposition);
        exposition.add_source(AuditSource(audit));
        exposition.add_source(HorizonSource(Arc::clone(&shared)));
        exposition.add_source(CallbacksSource {
            told: Arc::clone(&callbacks),
            clock: shared.node().clock(),
        });
        #[cfg(feature = "kafka")]
        exposition.add_source(events::EventsSource {
            status: Arc::clone(&events),
            clock: shared.node().clock(),
        });
        let observer = Arc::new(Observer::new(
            Arc::clone(&config),
            Arc::clone(&shared),
            status,
            Arc::clone(&callbacks),
        ));
        Self {
            config,
            shared,
            observer,
            exposition: Arc::new(exposition),
            applier,
            callbacks,
            of_issuers,
            #[cfg(feature = "kafka")]
            events,
            retiring,
            segments,
            reloads,
        }
    }

    /// Listens to issuers that call back, and asks for tokens.
    fn serve_issuers(&self, called: Option<tokio::net::TcpListener>) -> Vec<JoinHandle<()>> {
        let tls = &self.reloads.tls;
        let about = (&self.config, &self.shared);
        let tokens = access::tasks(about, tls, &self.of_issuers.access).into_iter();
        let mut tasks: Vec<_> = tokens.map(tokio::spawn).collect();
        if let Some(listener) = called {
            let about = (Arc::clone(&self.config), Arc::clone(&self.shared));
            let results = Arc::clone(&self.of_issuers.called);
            let serving = called::serve(listener, about, Arc::clone(tls), results);
            tasks.push(tokio::spawn(serving));
        }
        tasks
    }

    async fn run(self, listeners: Listeners, signals: Signals, mut stop: watch::Receiver<bool>) {
        let of_issuers = self.serve_issuers(listeners.called);
        let admin = Admin::new(self.exposition, Arc::clone(&self.observer)).router();
        let tls = Arc::clone(&self.reloads.tls);
        let door = match Door::open(listeners.questions, tls, (TlsSet::admin, Object::Admin)) {
            Ok(door) => door,
            Err(error) => return tracing::error!(%error, "the control plane cannot listen"),
        };
        let questions = AdminListener::new(door, Bounds::STANDARD);
        let serving = axum::serve(questions, admin);
        let counter = Counter::new(Arc::clone(&self.config), Arc::clone(&self.shared));
        let operating = tokio::spawn(operator::serve(listeners.operators, counter));
        let copying = tokio::spawn(self.applier.run(stop.clone()));
        let retiring = tokio::spawn(self.retiring.run());
        let letting_go = tokio::spawn(self.segments.run());
        let shared = Arc::clone(&self.shared);
        let obeying = tokio::spawn(async move { signals.obey(shared.node(), &self.reloads).await });
        let watching = tokio::spawn(watch_shards(
            self.shared,
            Arc::clone(&self.observer),
            WATCHDOG,
        ));
        let bounded = tokio::spawn(bound_drain(
            Arc::clone(&self.observer),
            self.config.node.drain,
        ));
        let ended = async {
            // An error means that the sender is gone, which is a stop too.
            drop(stop.wait_for(|stop| *stop).await);
            if let Err(error) = copying.await {
                tracing::error!(%error, "applier task failed");
            }
        };
        tokio::select! {
            served = serving.into_future() => {
                tracing::error!(error = ?served.err(), "admin listener ended");
            }
            () = ended => {}
        }
        let all = [operating, obeying, watching, bounded, retiring, letting_go];
        for task in all.into_iter().chain(of_issuers) {
            task.abort();
        }
    }
}

/// Who reads the journal, and lets segments go when he has; but for events.
fn consumers(
    config: &Config,
    root: &Path,
    (status, callbacks): (
        &Arc<OnceLock<Arc<persistence::applier::Status>>>,
        &Arc<callbacks::Told>,
    ),
) -> Vec<Arc<dyn Consumer>> {
    let mut consumers: Vec<Arc<dyn Consumer>> = Vec::new();
    if config.postgres.is_some() {
        consumers.push(Arc::<OnceLock<Arc<persistence::applier::Status>>>::clone(
            status,
        ));
    }
    if callbacks::is_configured(config) {
        consumers.push(Arc::<callbacks::Told>::clone(callbacks));
    }
    consumers.extend(unpublished(config, root));
    consumers
}

/// Events were published, and are not any more: their topic goes on from its file when it is back.
fn unpublished(config: &Config, root: &Path) -> Option<Arc<dyn Consumer>> {
    let file = root.join(EVENTS_WATERMARK);
    if config.kafka.is_some() || !file.exists() {
        return None;
    }
    tracing::warn!(
        file = %file.display(),
        "events of this journal were published, and there is no [kafka]: segments and earlier \
         generations are kept until it is back, or the file is removed"
    );
    Some(Arc::new(Absent))
}

fn exposition(
    config: &Config,
    shared: &Shared,
    status: &Arc<OnceLock<Arc<persistence::applier::Status>>>,
    earlier: Vec<Earlier>,
) -> Exposition {
    let shards = shared
        .shards
        .iter()
        .map(|shard| shard.metrics.clone())
        .collect();
    let mut exposition = Exposition::new(Labels::of(config), shards);
    if let Some(control) = exposition.control(0) {
        for issuer in config.issuers.iter().filter(|issuer| !issuer.is_removed()) {
            control.set(
                Gauge::IssuerInflightLimit(issuer.id),
                u64::from(issuer.inflight_max),
            );
        }
    }
    exposition.add_source(NodeSource {
        fingerprint: config.fingerprint.clone(),
        journal: config.journal.dir.clone(),
        journal_limit: config.journal.bytes_max,
        earlier,
    });
    exposition.add_source(CheckpointSource {
        shards: shared.shards.clone(),
    });
    exposition.add_source(ApplierSource {
        status: Arc::clone(status),
        clock: shared.node().clock(),
    });
    exposition
}

/// Logs what shards tell, and aborts the process when one is stuck: a shard never limps on,
/// recovery is the journal's work (fault 93). Not while it drains: shards end one after the other.
/// Not at the first look either: a process that was stopped as a whole looks stuck until its shards
/// have had a moment.
async fn watch_shards(shared: Arc<Shared>, observer: Arc<Observer>, bound: Duration) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_stuck = false;
    loop {
        tick.tick().await;
        while let Some(event) = shared.node().take_event() {
            observer.note(event);
        }
        if shared.node().is_draining() {
            continue;
        }
        let stuck = shared.stuck(bound);
        if let Some((shard, quiet)) = stuck.filter(|_| was_stuck) {
            tracing::error!(%shard, quiet_ms = quiet.as_millis(), "shard is stuck, aborting");
            logging::flush();
            std::process::abort();
        }
        was_stuck = stuck.is_some();
    }
}

/// Ends a process whose drain does not end.
async fn bound_drain(observer: Arc<Observer>, drain: Duration) {
    let mut tick = interval(TICK);
    while !observer.is_draining() {
        tick.tick().await;
    }
    tokio::time::sleep(drain + applier::DRAIN + DRAIN_SLACK).await;
    tracing::error!("the drain did not end, the process does; the next start closes what is left");
    logging::flush();
    std::process::exit(ExitCode::Other.number());
}

/// How often events are looked for.
const TICK: Duration = Duration::from_millis(50);
/// What a drain may take beyond its two bounds: closing files and threads.
const DRAIN_SLACK: Duration = Duration::from_secs(10);
