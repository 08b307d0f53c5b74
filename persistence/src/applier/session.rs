//! One connection to PostgreSQL.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::ApplierError;
use super::failure::Failure;
use super::settings::{Server, TlsFiles};

/// An open connection and the task that drives it on this thread.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    driver: JoinHandle<()>,
}

/// Why a connection could not be opened.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Try again.
    Failed(Failure),
    /// The settings cannot be used.
    Settings(ApplierError),
}

impl Session {
    /// Connects to a server that takes writes.
    pub(crate) async fn open(server: &Server, name: &str) -> Result<Self, ConnectError> {
        let config = configure(server, name)?;
        let connect = async {
            if config.get_ssl_mode() == SslMode::Require {
                let tls = server.tls.as_ref().ok_or(ConnectError::Settings(
                    ApplierError::Misconfigured("tls: sslmode=require needs a file of trust"),
                ))?;
                let connector = MakeRustlsConnect::new(tls_config(tls)?);
                let (client, connection) = config.connect(connector).await?;
                Ok(Self::start(client, connection))
            } else {
                let (client, connection) = config.connect(NoTls).await?;
                Ok(Self::start(client, connection))
            }
        };
        match timeout(server.timeouts.connect, connect).await {
            Ok(session) => session,
            Err(_) => Err(ConnectError::Failed(Failure::timed_out(
                "connecting took too long",
            ))),
        }
    }

    fn start<C>(client: Client, connection: C) -> Self
    where
        C: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    {
        // Whatever ends the connection also fails the statement that waits on it, and is seen
        // there.
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "connection ended");
            }
        });
        Self { client, driver }
    }

    /// Says goodbye, so that the server sees an orderly end.
    pub(crate) async fn close(self) {
        let Self { client, mut driver } = self;
        drop(client);
        if timeout(Duration::from_secs(1), &mut driver).await.is_err() {
            driver.abort();
        }
    }

    /// Gives the connection up at once: it may hang.
    pub(crate) fn discard(self) {
        self.driver.abort();
    }
}

impl From<tokio_postgres::Error> for ConnectError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Server {
    /// What can be told of the settings without connecting.
    ///
    /// # Errors
    /// [`ApplierError::Misconfigured`], or the source of the URL cannot be read.
    pub fn check(&self) -> Result<(), ApplierError> {
        match configure(self, "njia") {
            Ok(_) => Ok(()),
            Err(ConnectError::Settings(error)) => Err(error),
            // Only connecting fails otherwise.
            Err(ConnectError::Failed(_)) => Ok(()),
        }
    }
}

fn configure(server: &Server, name: &str) -> Result<Config, ConnectError> {
    let url = server
        .url
        .url()
        .map_err(unreadable("the connection string"))?;
    // The parser's error may quote the string, which is a secret.
    let mut config: Config = url.parse().map_err(|_| {
        ConnectError::Settings(ApplierError::Misconfigured(
            "url: cannot be read as a connection string",
        ))
    })?;
    config
        .application_name(name)
        .connect_timeout(server.timeouts.connect)
        .tcp_user_timeout(server.timeouts.tcp_user)
        .keepalives(true)
        .keepalives_idle(server.timeouts.tcp_user)
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    Ok(config)
}

fn tls_config(files: &TlsFiles) -> Result<ClientConfig, ConnectError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.trust)? {
        roots
            .add(certificate)
            .map_err(unreadable("the file of trust"))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unreadable("the protocol versions of TLS"))?
        .with_root_certificates(roots);
    let Some(identity) = &files.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(&identity.certificates)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(unreadable("the key file"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(unreadable("the certificate and key"))
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let read = || -> Result<Vec<_>, Box<dyn std::error::Error + Send + Sync>> {
        let all: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?;
        if all.is_empty() {
            return Err(Box::new(io::Error::other("no certificate in the file")));
        }
        Ok(all)
    };
    read().map_err(unreadable("a certificate file"))
}

fn unreadable<E>(what: &'static str) -> impl FnOnce(E) -> ConnectError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| {
        ConnectError::Settings(ApplierError::Unreadable {
            what,
            source: source.into(),
        })
    }
}
