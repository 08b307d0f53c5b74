//! One connection to PostgreSQL.

use std::net::IpAddr;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode as Wire, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::ApplierError;
use super::failure::{Failure, Remedy};
use super::settings::{SecretSource, Server};
use super::tls::{self, SslMode};

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
    /// Connects to the first host that takes writes. Each has its own time, so that one that hangs
    /// does not use up that of the others.
    pub(crate) async fn open(server: &Server, name: &str) -> Result<Self, ConnectError> {
        let target = Target::read(server, name)?;
        let mut found: Option<Failure> = None;
        for host in &target.hosts {
            let connect = Self::connect(host, target.tls.as_ref());
            let failure = match timeout(server.timeouts.connect, connect).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(error)) => Failure::from(error),
                Err(_) => Failure::timed_out("connecting took too long"),
            };
            tracing::debug!(error = %failure, "a host of the connection string is no use");
            // What only a person can help with is told rather than that another host is down.
            let kept = found.take().filter(|first| first.remedy() == Remedy::Pause);
            found = Some(kept.unwrap_or(failure));
        }
        Err(found.map_or_else(
            || ConnectError::Settings(ApplierError::Misconfigured("url: names no host")),
            ConnectError::Failed,
        ))
    }

    async fn connect(
        host: &Config,
        tls: Option<&MakeRustlsConnect>,
    ) -> Result<Self, tokio_postgres::Error> {
        if let Some(tls) = tls {
            let (client, connection) = host.connect(tls.clone()).await?;
            Ok(Self::start(client, connection))
        } else {
            let (client, connection) = host.connect(NoTls).await?;
            Ok(Self::start(client, connection))
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

/// What the settings say at this moment: secrets and certificates are read anew for each connect.
struct Target {
    /// The hosts of the connection string, each by itself, in its order.
    hosts: Vec<Config>,
    tls: Option<MakeRustlsConnect>,
}

impl Target {
    fn read(server: &Server, name: &str) -> Result<Self, ConnectError> {
        let (mode, mut config) =
            parse(&read(&server.url, "the connection string")?).map_err(ConnectError::Settings)?;
        if let Some(password) = &server.password {
            if config.get_password().is_some() {
                return Err(misconfigured(
                    "password: the connection string holds one too",
                ));
            }
            config.password(read(password, "the password")?);
        }
        let (mode, tls) = match (mode, &server.tls) {
            (SslMode::Unsaid | SslMode::Disable, None) => (mode, None),
            (SslMode::Disable, Some(_)) => (mode, None),
            (SslMode::Unsaid, Some(files)) => (SslMode::VerifyFull, Some(files)),
            (SslMode::VerifyCa | SslMode::VerifyFull, Some(files)) => (mode, Some(files)),
            (SslMode::VerifyCa | SslMode::VerifyFull, None) => {
                return Err(misconfigured("tls: this sslmode needs a file of trust"));
            }
        };
        check_hosts(&config, mode)?;
        let wire = if tls.is_some() {
            Wire::Require
        } else {
            Wire::Disable
        };
        config
            .ssl_mode(wire)
            .application_name(name)
            .connect_timeout(server.timeouts.connect)
            .tcp_user_timeout(server.timeouts.tcp_user)
            .keepalives(true)
            .keepalives_idle(server.timeouts.tcp_user)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        let tls = tls.map(|files| tls::client(files, mode)).transpose()?;
        Ok(Self {
            hosts: each_host(&config),
            tls: tls.map(MakeRustlsConnect::new),
        })
    }
}

fn read(source: &SecretSource, what: &'static str) -> Result<String, ConnectError> {
    source.read().map_err(unreadable(what))
}

/// The parser's error may quote the string, which is a secret.
fn parse(url: &str) -> Result<(SslMode, Config), ApplierError> {
    let (mode, rest) = SslMode::split(url)?;
    let config = rest
        .parse()
        .map_err(|_| ApplierError::Misconfigured("url: cannot be read as a connection string"))?;
    Ok((mode, config))
}

/// Whether a connection string holds a password; none when it cannot be read.
#[must_use]
pub fn holds_password(url: &str) -> Option<bool> {
    let (_, config) = parse(url).ok()?;
    Some(config.get_password().is_some())
}

/// Nothing leaves this machine in clear by oversight, and no TLS is asked of a Unix socket.
fn check_hosts(config: &Config, mode: SslMode) -> Result<(), ConnectError> {
    let is_socket = |host: &Host| matches!(host, Host::Unix(_));
    match mode {
        SslMode::Disable => Ok(()),
        SslMode::Unsaid if is_local(config) => Ok(()),
        SslMode::Unsaid => Err(misconfigured(
            "tls: a server on another machine needs a file of trust, or sslmode=disable in url \
             if records may pass the network in clear",
        )),
        SslMode::VerifyCa | SslMode::VerifyFull if config.get_hosts().iter().any(is_socket) => Err(
            misconfigured("url: a Unix socket has no TLS; name a host, or say sslmode=disable"),
        ),
        SslMode::VerifyCa | SslMode::VerifyFull => Ok(()),
    }
}

/// Whether every host is this machine.
fn is_local(config: &Config) -> bool {
    let host_is = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        Host::Unix(_) => true,
    };
    let addresses = config.get_hostaddrs();
    if addresses.is_empty() {
        config.get_hosts().iter().all(host_is)
    } else {
        addresses.iter().all(IpAddr::is_loopback)
    }
}

/// `config` with one of its hosts each.
fn each_host(config: &Config) -> Vec<Config> {
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let ports = config.get_ports();
    let one = |at: usize| {
        let mut one = without_host(config);
        match hosts.get(at) {
            Some(Host::Tcp(name)) => {
                one.host(name);
            }
            Some(Host::Unix(folder)) => {
                one.host_path(folder);
            }
            None => {}
        }
        if let Some(address) = addresses.get(at) {
            one.hostaddr(*address);
        }
        if let Some(port) = ports.get(at).or_else(|| ports.first()) {
            one.port(*port);
        }
        one
    };
    (0..hosts.len().max(addresses.len())).map(one).collect()
}

fn without_host(config: &Config) -> Config {
    let mut one = Config::new();
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(database) = config.get_dbname() {
        one.dbname(database);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    if let Some(wait) = config.get_connect_timeout() {
        one.connect_timeout(*wait);
    }
    if let Some(wait) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*wait);
    }
    if let Some(wait) = config.get_keepalives_interval() {
        one.keepalives_interval(wait);
    }
    if let Some(count) = config.get_keepalives_retries() {
        one.keepalives_retries(count);
    }
    one.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs());
    one
}

impl Server {
    /// What can be told of the settings without connecting.
    ///
    /// # Errors
    /// [`ApplierError::Misconfigured`], or a secret or a certificate cannot be read.
    pub fn check(&self) -> Result<(), ApplierError> {
        match Target::read(self, "njia") {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into_error()),
        }
    }
}

const fn misconfigured(what: &'static str) -> ConnectError {
    ConnectError::Settings(ApplierError::Misconfigured(what))
}

pub(crate) fn unreadable<E>(what: &'static str) -> impl FnOnce(E) -> ConnectError
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
