//! Asks issuers over HTTP for access tokens, renews them, and hands them to the shards.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::ids::IssuerId;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::shared::Shared;
use super::tls::TlsKeeper;
use crate::config::Config;
use crate::issuer::http::access::{Access, AccessPlan, Granted};
use crate::issuer::http::plan::Plan;
use crate::metrics::exposition::Source;
use crate::metrics::fold::Sample;
use crate::metrics::names::{FamilyId, TOKEN_RESULTS};
use crate::tls::Begins;

/// What a scrape is told of one issuer.
#[derive(Debug)]
pub(super) struct Told {
    issuer: String,
    /// Unix milliseconds; 0 while there is none.
    until: AtomicU64,
    granted: AtomicU64,
    failed: AtomicU64,
}

/// One issuer.
struct Keeper {
    id: IssuerId,
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    tls: Arc<TlsKeeper>,
    told: Arc<Told>,
}

/// Those that want a token, as a scrape is told of them.
pub(super) fn told(config: &Config) -> Vec<Arc<Told>> {
    let issuers = config.issuers.iter();
    let wanting = issuers.filter(|issuer| {
        let plan = issuer.http.as_ref();
        plan.is_some_and(|plan| plan.access.is_some())
    });
    let told = |issuer: &crate::config::Issuer| Told {
        issuer: issuer.name.clone(),
        until: AtomicU64::new(0),
        granted: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    };
    wanting.map(|issuer| Arc::new(told(issuer))).collect()
}

/// One task for each of them, until it is ended.
pub(super) fn tasks(
    (config, shared): (&Arc<Config>, &Arc<Shared>),
    tls: &Arc<TlsKeeper>,
    told: &[Arc<Told>],
) -> Vec<impl Future<Output = ()> + Send + use<>> {
    let issuers = config.issuers.iter();
    let keeper = |issuer: &crate::config::Issuer| {
        let plan = issuer.http.as_ref()?;
        let mut told = told.iter();
        let keeper = Keeper {
            id: issuer.id,
            told: Arc::clone(told.find(|told| told.issuer == issuer.name)?),
            plan: Arc::clone(plan),
            shared: Arc::clone(shared),
            tls: Arc::clone(tls),
        };
        Some(keeper.keep())
    };
    issuers.filter_map(keeper).collect()
}

impl Keeper {
    async fn keep(self) {
        let Some(plan) = &self.plan.access else {
            return;
        };
        let mut backoff = BACKOFF_FIRST;
        loop {
            let asked = timeout(TOTAL, self.ask(plan)).await;
            let asked = asked.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            let granted = asked.and_then(|granted| self.put(&granted).map(|()| granted));
            match granted {
                Ok(granted) => {
                    self.told.granted.fetch_add(1, Ordering::Relaxed);
                    backoff = BACKOFF_FIRST;
                    self.wait(granted.renew_after()).await;
                }
                Err(fault) => {
                    let issuer = &self.told.issuer;
                    self.told.failed.fetch_add(1, Ordering::Relaxed);
                    if backoff == BACKOFF_FIRST {
                        tracing::error!(%issuer, %fault, "no access token; trying on");
                    } else {
                        tracing::debug!(%issuer, %fault, "still no access token");
                    }
                    sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Until the next one is asked for: earlier where the issuer no longer lets in who shows it.
    async fn wait(&self, long: Duration) {
        let (clock, index) = (self.shared.node().clock(), usize::from(self.id.0));
        let begun = clock.now();
        while clock.now().since(begun) < long {
            let left = long.saturating_sub(clock.now().since(begun));
            sleep(LOOK.min(left)).await;
            let mut shards = self.shared.shards.iter();
            let is_refused = shards.any(|shard| {
                let news = shard.access.get(index);
                news.is_some_and(|news| news.is_refused())
            });
            if is_refused && clock.now().since(begun) >= APART {
                return;
            }
        }
    }

    fn put(&self, granted: &Granted) -> Result<(), String> {
        let clock = self.shared.node().clock();
        let wrong = || "the token holds what no header may".to_owned();
        let access = Arc::new(Access {
            header: granted.header().ok_or_else(wrong)?,
            until: clock.now().after(granted.lifetime),
        });
        let millis = u64::try_from(granted.lifetime.as_millis()).unwrap_or(u64::MAX);
        let until = clock.wall().unix_millis().saturating_add(millis);
        self.told.until.store(until, Ordering::Relaxed);
        for shard in &self.shared.shards {
            if let Some(news) = shard.access.get(usize::from(self.id.0)) {
                news.put(Arc::clone(&access));
            }
        }
        Ok(())
    }

    async fn ask(&self, plan: &AccessPlan) -> Result<Granted, String> {
        let request = self.request(plan)?;
        let to = (plan.host.as_str(), plan.port);
        let stream = TcpStream::connect(to).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let (status, body) = match self.tls.in_force().issuer_side(self.id) {
            Begins::InClear if !plan.is_https => exchange(stream, request).await?,
            Begins::Secured(side) if plan.is_https => {
                let name = ServerName::try_from(plan.host.clone());
                let name = name.map_err(|_| "its host has no name for TLS".to_owned())?;
                let connector = TlsConnector::from(Arc::clone(&side.config));
                let stream = connector.connect(name, stream).await;
                exchange(stream.map_err(|error| error.to_string())?, request).await?
            }
            Begins::InClear | Begins::Secured(_) | Begins::Unknown => {
                return Err("its TLS is not known".to_owned());
            }
        };
        plan.granted(status, &body)
    }

    fn request(&self, plan: &AccessPlan) -> Result<Request<Full<Bytes>>, String> {
        let parts = plan.request()?;
        let mut request = Request::builder()
            .method(plan.method.as_str())
            .uri(plan.path.as_str())
            .header(header::HOST, plan.authority.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close");
        if let Some(kind) = parts.content_type {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(text) = &parts.authorisation {
            request = request.header(header::AUTHORIZATION, text.as_str());
        }
        for header in &self.plan.secret_headers {
            request = request.header(header.name.as_str(), header.expose());
        }
        let body = Bytes::copy_from_slice(parts.body.as_bytes());
        let request = request.body(Full::new(body));
        request.map_err(|_| "the request cannot be written".to_owned())
    }
}

/// Status and body, which is bounded. Nothing is followed.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(u16, Vec<u8>), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let client = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = client.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(async move {
        // What ends it is told to the answer too.
        drop(connection.await);
    });
    let answer = async {
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), BODY_LEN_MAX);
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes().to_vec()))
    };
    let answer = answer.await;
    connection.abort();
    answer
}

/// For scrapes.
#[derive(Debug)]
pub(super) struct AccessSource(pub(super) Vec<Arc<Told>>);

impl Source for AccessSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        let mut samples = Vec::new();
        for told in &self.0 {
            let issuer = || ("issuer", told.issuer.clone());
            match family {
                FamilyId::IssuerTokenExpiry => {
                    let millis = told.until.load(Ordering::Relaxed);
                    let nanos = millis.saturating_mul(1_000_000);
                    samples.push(Sample::labelled(vec![issuer()], nanos));
                }
                FamilyId::IssuerTokens => {
                    let counts = [&told.granted, &told.failed];
                    for (result, count) in TOKEN_RESULTS.iter().zip(counts) {
                        let labels = vec![issuer(), ("result", (*result).to_owned())];
                        samples.push(Sample::labelled(labels, count.load(Ordering::Relaxed)));
                    }
                }
                _ => return None,
            }
        }
        (!samples.is_empty()).then_some(samples)
    }
}

/// Of one attempt, from resolving to the last byte.
const TOTAL: Duration = Duration::from_secs(10);
const BODY_LEN_MAX: usize = 64 * 1024;
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether a token was refused.
const LOOK: Duration = Duration::from_millis(200);
/// However often it is refused, another one is asked for once in so long.
const APART: Duration = Duration::from_secs(5);
