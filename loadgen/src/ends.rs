//! The two ends of a connection, in clear or with TLS: one is read by a task, the other is written
//! to without waiting.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// PEM files of one side of TLS.
#[derive(Clone, Debug, Default, Args)]
pub struct TlsArgs {
    /// Speaks TLS, with whom certificates of this PEM file have signed.
    #[arg(long, value_name = "PEM")]
    pub tls_ca: Option<PathBuf>,
    /// The chain that is shown.
    #[arg(long, value_name = "PEM", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "PEM", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// For the side that connects; `None` speaks in clear.
    ///
    /// # Errors
    /// A file cannot be used, or there is no one to trust.
    pub fn client(&self, server_name: Option<&str>) -> Result<Option<TlsClient>> {
        let Some(ca) = &self.tls_ca else {
            anyhow::ensure!(self.tls_cert.is_none(), "--tls-cert needs --tls-ca");
            return Ok(None);
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(ca)?);
        let config = match self.own()? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        };
        let name = server_name.map(|name| ServerName::try_from(name.to_owned()));
        Ok(Some(TlsClient {
            config: Arc::new(config),
            server_name: name.transpose().context("--server-name")?,
        }))
    }

    /// For the side that is connected to; with `--tls-ca` it asks for a certificate.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn server(&self) -> Result<Option<Arc<ServerConfig>>> {
        let Some((chain, key)) = self.own()? else {
            anyhow::ensure!(self.tls_ca.is_none(), "--tls-ca needs --tls-cert here");
            return Ok(None);
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = match &self.tls_ca {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(ca) => {
                let roots = Arc::new(roots(ca)?);
                WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?
            }
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        Ok(Some(Arc::new(config)))
    }

    fn own(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
        let Some((certificate, key)) = self.tls_cert.as_ref().zip(self.tls_key.as_ref()) else {
            return Ok(None);
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("{} cannot be used", certificate.display()))?;
        let key = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("{} cannot be used", key.display()))?;
        Ok(Some((chain, key)))
    }
}

fn roots(path: &std::path::Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let all = CertificateDer::pem_file_iter(path)
        .with_context(|| format!("{} cannot be used", path.display()))?;
    for certificate in all {
        roots.add(certificate?)?;
    }
    Ok(roots)
}

/// How a connection that is made begins.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    /// `None` for the address.
    server_name: Option<ServerName<'static>>,
}

impl TlsClient {
    /// Begins one to `address`.
    pub(crate) fn begin(&self, address: std::net::IpAddr) -> Result<Connection> {
        let name = self.server_name.clone();
        let name = name.unwrap_or_else(|| ServerName::IpAddress(address.into()));
        let connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        Ok(connection.into())
    }
}

/// Begins one that was accepted.
pub(crate) fn accepted(config: &Arc<ServerConfig>) -> Result<Connection> {
    Ok(ServerConnection::new(Arc::clone(config))?.into())
}

/// The end that is read.
#[derive(Debug)]
pub(crate) struct Reading {
    half: OwnedReadHalf,
    tls: Option<(Arc<Mutex<Connection>>, Cipher)>,
}

#[derive(Debug)]
struct Cipher {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// The end that is written to.
#[derive(Debug)]
pub(crate) struct Writing {
    half: OwnedWriteHalf,
    tls: Option<Arc<Mutex<Connection>>>,
}

/// The ends of a connection, behind its handshake where it has one.
///
/// # Errors
/// The handshake fails.
pub(crate) async fn open(
    mut socket: TcpStream,
    tls: Option<Connection>,
) -> Result<(Reading, Writing)> {
    let tls = match tls {
        None => None,
        Some(mut connection) => {
            let cipher = shake_hands(&mut socket, &mut connection).await?;
            Some((Arc::new(Mutex::new(connection)), cipher))
        }
    };
    let (read, write) = socket.into_split();
    let writing = Writing {
        half: write,
        tls: tls.as_ref().map(|(state, _)| Arc::clone(state)),
    };
    Ok((Reading { half: read, tls }, writing))
}

async fn shake_hands(socket: &mut TcpStream, connection: &mut Connection) -> Result<Cipher> {
    let mut cipher = Cipher {
        bytes: vec![0; CIPHER_LEN],
        start: 0,
        end: 0,
    };
    let mut out = Vec::new();
    loop {
        while connection.wants_write() {
            connection.write_tls(&mut out)?;
        }
        socket.write_all(&out).await?;
        out.clear();
        if !connection.is_handshaking() {
            return Ok(cipher);
        }
        if cipher.start == cipher.end {
            (cipher.start, cipher.end) = (0, socket.read(&mut cipher.bytes).await?);
            anyhow::ensure!(cipher.end > 0, "the connection ended in its TLS handshake");
        }
        cipher.feed(connection)?;
    }
}

impl Cipher {
    fn feed(&mut self, connection: &mut Connection) -> io::Result<()> {
        let mut rest = self.bytes.get(self.start..self.end).unwrap_or_default();
        let taken = connection.read_tls(&mut rest)?;
        if taken == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.start += taken;
        let state = connection.process_new_packets();
        state.map(drop).map_err(io::Error::other)
    }
}

impl Reading {
    /// Reads what there is; 0 at the end.
    pub(crate) async fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let Some((state, cipher)) = &mut self.tls else {
            return self.half.read(space).await;
        };
        loop {
            if let Some(count) = decrypt(&mut state.lock(), cipher, space)? {
                return Ok(count);
            }
            (cipher.start, cipher.end) = (0, self.half.read(&mut cipher.bytes).await?);
            if cipher.end == 0 {
                return Ok(0);
            }
        }
    }
}

/// `None` when more bytes are needed.
fn decrypt(
    connection: &mut Connection,
    cipher: &mut Cipher,
    space: &mut [u8],
) -> io::Result<Option<usize>> {
    let mut count = 0;
    loop {
        while let Some(free) = space.get_mut(count..).filter(|free| !free.is_empty()) {
            match connection.reader().read(free) {
                Ok(0) => return Ok(Some(count)),
                Ok(read) => count += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if cipher.start == cipher.end || count == space.len() {
            return Ok((count > 0).then_some(count));
        }
        cipher.feed(connection)?;
    }
}

impl Writing {
    /// Takes what can be written without waiting.
    ///
    /// # Errors
    /// `WouldBlock`, or the socket's own.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(state) = &self.tls else {
            return self.half.try_write(bytes);
        };
        let mut connection = state.lock();
        self.push(&mut connection)?;
        let count = connection.writer().write(bytes)?;
        match self.push(&mut connection) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(count),
            Err(error) => Err(error),
            Ok(()) => Ok(count),
        }
    }

    /// Whether something was taken that the socket has not.
    pub(crate) fn has_unwritten(&self) -> bool {
        let state = self.tls.as_ref();
        state.is_some_and(|state| state.lock().wants_write())
    }

    fn push(&self, connection: &mut Connection) -> io::Result<()> {
        while connection.wants_write() {
            connection.write_tls(&mut Outlet(&self.half))?;
        }
        Ok(())
    }
}

struct Outlet<'a>(&'a OwnedWriteHalf);

impl io::Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const CIPHER_LEN: usize = 64 * 1024;
