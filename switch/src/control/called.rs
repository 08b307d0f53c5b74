//! Issuers over HTTP tell that something was decided. What they say of it is not believed: it
//! brings a query forward on the shard that waits for it, and is thrown away.

use std::net::{IpAddr, TcpListener as StdTcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::serve::IncomingStream;
use crossbeam::queue::ArrayQueue;
use domain::ids::IssuerId;

use super::ControlError;
use super::audit::{Fate, Incident, Object, What, Who, Why};
use super::door::Door;
use super::listener::{AdminListener, Bounds};
use super::shared::Shared;
use super::tls::TlsKeeper;
use crate::config::{Config, IssuerCallbacks};
use crate::issuer::http::called::OurId;
use crate::metrics::exposition::Source;
use crate::metrics::fold::Sample;
use crate::metrics::names::{FamilyId, ISSUER_CALLBACK_RESULTS};
use crate::tls::TlsSet;

/// From the control plane to one shard: payments that were told of and that it has not taken up.
#[derive(Debug)]
pub(crate) struct CalledNews(ArrayQueue<(IssuerId, OurId)>);

impl CalledNews {
    pub(crate) fn new() -> Self {
        Self(ArrayQueue::new(CALLED_MAX))
    }

    /// `false` where there is no room.
    fn put(&self, issuer: IssuerId, our_id: OurId) -> bool {
        self.0.push((issuer, our_id)).is_ok()
    }

    pub(crate) fn take(&self) -> Option<(IssuerId, OurId)> {
        self.0.pop()
    }
}

/// What the listener knows.
#[derive(Debug)]
pub(super) struct Called {
    callbacks: Arc<IssuerCallbacks>,
    config: Arc<Config>,
    shared: Arc<Shared>,
    results: Arc<Results>,
}

/// By position as [`ISSUER_CALLBACK_RESULTS`].
#[derive(Debug, Default)]
pub(super) struct Results([AtomicU64; ISSUER_CALLBACK_RESULTS.len()]);

/// What becomes of one.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Taken,
    Forged,
    Malformed,
    Full,
}

impl Results {
    fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.0.get(outcome as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Binds the listener; `None` where no issuer calls.
pub(super) fn bind(config: &Config) -> Result<Option<StdTcpListener>, ControlError> {
    let Some(callbacks) = &config.issuer_callbacks else {
        return Ok(None);
    };
    let address = callbacks.address;
    let bound = StdTcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        tracing::info!(address = %listener.local_addr()?, "issuers call back here");
        Ok(listener)
    });
    let bind = |source| ControlError::Called { address, source };
    bound.map(Some).map_err(bind)
}

/// Serves issuers until the task is ended.
pub(super) async fn serve(
    listener: tokio::net::TcpListener,
    (config, shared): (Arc<Config>, Arc<Shared>),
    keeper: Arc<TlsKeeper>,
    results: Arc<Results>,
) {
    let Some(callbacks) = config.issuer_callbacks.clone() else {
        return;
    };
    let called = Called {
        callbacks,
        config,
        shared,
        results,
    };
    let router = Router::new().fallback(take).with_state(Arc::new(called));
    let router = router.into_make_service_with_connect_info::<Origin>();
    let door = match Door::open(
        listener,
        keeper,
        (TlsSet::issuer_callbacks, Object::IssuerCallbacks),
    ) {
        Ok(door) => door,
        Err(error) => return tracing::error!(%error, "issuers cannot call back"),
    };
    let listener = AdminListener::new(door, Bounds::CALLED);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the listener for callbacks of issuers ended");
    }
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
struct Origin(IpAddr);

impl Connected<IncomingStream<'_, AdminListener<Door>>> for Origin {
    fn connect_info(stream: IncomingStream<'_, AdminListener<Door>>) -> Self {
        Self(stream.remote_addr().ip())
    }
}

//= docs/rules.md#M-16
/// Whoever shows an address that the switch has told is believed that something was decided, and
/// not what.
async fn take(
    State(called): State<Arc<Called>>,
    ConnectInfo(caller): ConnectInfo<Origin>,
    request: Request,
) -> StatusCode {
    if !matches!(*request.method(), Method::POST | Method::PUT) {
        called.results.count(Outcome::Malformed);
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    let named = called.callbacks.read(request.uri().path());
    let named = named.and_then(|(name, our_id)| Some((called.issuer(name)?, our_id)));
    let Some((issuer, our_id)) = named else {
        called.results.count(Outcome::Forged);
        called.note_forged(caller);
        return StatusCode::UNAUTHORIZED;
    };
    // Read to its end, so that the connection is good for the next one.
    if to_bytes(request.into_body(), BODY_LEN_MAX).await.is_err() {
        called.results.count(Outcome::Malformed);
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    // Nobody knows which shard waits for it.
    let shards = called.shared.shards.iter();
    let full = shards.filter(|shard| !shard.called.put(issuer, our_id));
    if full.count() == 0 {
        called.results.count(Outcome::Taken);
        StatusCode::OK
    } else {
        called.results.count(Outcome::Full);
        StatusCode::SERVICE_UNAVAILABLE
    }
}

impl Called {
    /// Nobody was told this address: for the audit log.
    fn note_forged(&self, caller: Origin) {
        self.shared.node().audit().note(Incident {
            what: What::Authentication,
            who: Who::Unknown,
            from: Some(caller.0),
            object: Object::IssuerCallbacks,
            fate: Fate::Refused,
            why: Why::ForgedAddress,
        });
    }

    /// One that is called back to.
    fn issuer(&self, name: &str) -> Option<IssuerId> {
        let mut issuers = self.config.issuers.iter();
        let issuer = issuers.find(|issuer| issuer.name == name)?;
        let plan = issuer.http.as_ref()?;
        plan.callbacks.as_ref().map(|_| issuer.id)
    }
}

/// For scrapes.
#[derive(Debug)]
pub(super) struct CalledSource(pub(super) Arc<Results>);

impl Source for CalledSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        let FamilyId::IssuerCallbacks = family else {
            return None;
        };
        let all = ISSUER_CALLBACK_RESULTS.iter().zip(&self.0.0);
        let sample = |(result, counter): (&&str, &AtomicU64)| {
            let label = vec![("result", (*result).to_owned())];
            Sample::labelled(label, counter.load(Ordering::Relaxed))
        };
        Some(all.map(sample).collect())
    }
}

/// Of one shard, which looks fifty times a second.
const CALLED_MAX: usize = 4_096;
/// Of a body that nobody looks at.
const BODY_LEN_MAX: usize = 64 * 1024;
