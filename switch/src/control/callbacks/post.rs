//! One try: resolve, connect, sign, send, read the status.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use domain::time::WallTime;
use http_body_util::Full;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::book::{Ended, Message};
use crate::callback::{self, Form, Target};
use crate::config::Callbacks;

/// Sends it once.
pub(super) async fn post(
    message: &Message,
    gateway: &Callbacks,
    tls: Option<Arc<ClientConfig>>,
    now: WallTime,
) -> (Ended, String) {
    let tried = timeout(TOTAL, tried(message, gateway, tls, now)).await;
    match tried.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
        Ok(200..=299) => (Ended::Delivered, String::new()),
        Ok(410) => (Ended::Gone, "410".to_owned()),
        Ok(status) => (Ended::Failed, status.to_string()),
        Err(fault) => (Ended::Failed, fault),
    }
}

async fn tried(
    message: &Message,
    gateway: &Callbacks,
    tls: Option<Arc<ClientConfig>>,
    now: WallTime,
) -> Result<u16, String> {
    // What was permitted when it came may not be any more.
    let (form, url) = Form::of(&message.url);
    let target = gateway.hosts.target(url);
    let target = target.map_err(|_| "its host is not permitted".to_owned())?;
    let request = request((message, form), gateway, &target.uri, now)?;
    let connected = timeout(CONNECT, connect(&target)).await;
    let stream = connected.map_err(|_| "not connected in time".to_owned())??;
    if !target.is_https {
        return exchange(stream, request).await;
    }
    let tls = tls.ok_or("nobody is trusted: callback_trust cannot be read")?;
    let name = ServerName::try_from(target.host.clone());
    let name = name.map_err(|_| "its host has no name for TLS".to_owned())?;
    let stream = TlsConnector::from(tls).connect(name, stream).await;
    exchange(stream.map_err(|error| error.to_string())?, request).await
}

/// To the first of its addresses that is permitted and answers. It is the address that is connected
/// to which is looked at, never one that the name had before.
async fn connect(target: &Target) -> Result<TcpStream, String> {
    let found = lookup_host((target.host.as_str(), target.port)).await;
    let found = found.map_err(|error| error.to_string())?;
    let mut fault = "all of its addresses are private".to_owned();
    for address in found.filter(|address| target.reach.admits(address.ip())) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => fault = error.to_string(),
        }
    }
    Err(fault)
}

fn request(
    (message, form): (&Message, Form<'_>),
    gateway: &Callbacks,
    uri: &Uri,
    now: WallTime,
) -> Result<Request<Full<Bytes>>, String> {
    let seconds = now.unix_millis() / 1_000;
    let mut signatures = Vec::new();
    for place in &gateway.secrets {
        let text = place.read()?;
        let secret = callback::secret(text.expose())?;
        let body = message.body.as_bytes();
        signatures.push(callback::signature(&secret, &message.id, seconds, body));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = match form {
        Form::Native => Request::post(path),
        Form::Gsma { correlation } => Request::put(path)
            .header("x-correlationid", correlation)
            .header("x-date", now.to_string()),
    };
    request
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .header(
            header::USER_AGENT,
            concat!("njia/", env!("CARGO_PKG_VERSION")),
        )
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signatures.join(" "))
        .body(Full::new(Bytes::copy_from_slice(message.body.as_bytes())))
        .map_err(|error| error.to_string())
}

/// The status is all that is read of the answer: a head of at most [`HEAD_MAX`] bytes, and no body.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = hyper::client::conn::http1::Builder::new();
    client.max_buf_size(HEAD_MAX);
    let (mut sender, connection) = client
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let mut connection = std::pin::pin!(connection);
    let mut is_over = false;
    loop {
        tokio::select! {
            answer = &mut answer => {
                let answer = answer.map_err(|error| error.to_string())?;
                return Ok(answer.status().as_u16());
            }
            // An error of the connection is told to the answer too.
            _ = &mut connection, if !is_over => is_over = true,
        }
    }
}

/// Who may vouch for a receiver; read again when the file has changed.
#[derive(Debug)]
pub(super) struct Trust {
    path: PathBuf,
    changed: Option<SystemTime>,
    config: Option<Arc<ClientConfig>>,
}

impl Trust {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            changed: None,
            config: None,
        }
    }

    /// `None` while the file cannot be used. Blocks.
    pub(super) fn config(&mut self) -> Option<Arc<ClientConfig>> {
        let changed = std::fs::metadata(&self.path).and_then(|found| found.modified());
        let changed = changed.ok();
        if self.config.is_none() || changed != self.changed {
            match load(&self.path) {
                Ok(config) => self.config = Some(Arc::new(config)),
                Err(error) => {
                    let file = self.path.display();
                    tracing::error!(%file, %error, "callback_trust cannot be used");
                }
            }
            self.changed = changed;
        }
        self.config.clone()
    }
}

fn load(path: &Path) -> Result<ClientConfig, String> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.filter_map(Result::ok));
    if added == 0 {
        return Err("has no certificate".to_owned());
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Of resolving and connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// Of all of it.
const TOTAL: Duration = Duration::from_secs(10);
/// Bytes of an answer that are kept at most: the least that hyper takes.
const HEAD_MAX: usize = 8_192;
