//! A connection of a gateway that is kept, by hand: in clear or behind a handshake.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::gateway::{API_KEY, Answer, PAYMENT};
use crate::certificates::Pair;

/// One connection.
#[derive(Debug)]
pub struct Kept(BufReader<Wire>);

#[derive(Debug)]
enum Wire {
    Clear(TcpStream),
    Sealed(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(into),
            Self::Sealed(stream) => stream.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            Self::Sealed(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Sealed(stream) => stream.flush(),
        }
    }
}

impl Kept {
    /// In clear.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(address: &str) -> Result<Self> {
        Ok(Self::over(Wire::Clear(connected(address)?)))
    }

    /// Behind a handshake, which the first request makes.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn secured(address: &str, config: &Arc<ClientConfig>) -> Result<Self> {
        let name = ServerName::try_from("localhost")?;
        let connection = ClientConnection::new(Arc::clone(config), name)?;
        let stream = StreamOwned::new(connection, connected(address)?);
        Ok(Self::over(Wire::Sealed(Box::new(stream))))
    }

    fn over(wire: Wire) -> Self {
        Self(BufReader::with_capacity(1_024, wire))
    }

    /// The certificate that the switch has shown; `None` in clear, or before the first answer.
    #[must_use]
    pub fn shown(&self) -> Option<Vec<u8>> {
        match self.0.get_ref() {
            Wire::Clear(_) => None,
            Wire::Sealed(stream) => Some(stream.conn.peer_certificates()?.first()?.to_vec()),
        }
    }

    /// Sends a request with the key of the stage; `more` are whole lines of its head.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, line: &str, more: &[&str], body: &str) -> Result<()> {
        let more: String = more.iter().map(|line| format!("{line}\r\n")).collect();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: njia\r\nContent-Length: {}\r\n{more}\r\n{body}",
            body.len()
        );
        let stream = self.0.get_mut();
        stream.write_all(request.as_bytes())?;
        Ok(stream.flush()?)
    }

    /// Sends a payment under a key.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send_payment(&mut self, key: &str) -> Result<()> {
        let key = format!("Idempotency-Key: {key}");
        let (kind, wait) = ("Content-Type: application/json", "Prefer: wait=30");
        let more = [&credential(), kind, wait, &key];
        self.send("POST /v1/transactions", &more, PAYMENT)
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// There is none.
    pub fn receive(&mut self) -> Result<Answer> {
        let mut head = String::new();
        let mut len = 0;
        loop {
            let start = head.len();
            if self.0.read_line(&mut head)? == 0 {
                bail!("the switch closed the connection");
            }
            let line = head[start..].to_ascii_lowercase();
            if let Some(digits) = line.strip_prefix("content-length: ") {
                len = digits.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; len];
        self.0.read_exact(&mut body)?;
        Ok(Answer::read(&(head + &String::from_utf8(body)?)))
    }

    /// The status of a heartbeat, which needs no credential.
    ///
    /// # Errors
    /// There is no answer.
    pub fn heartbeat(&mut self) -> Result<u16> {
        self.send("GET /v1/heartbeat", &[], "")?;
        Ok(self.receive()?.status)
    }

    /// The status of a question that the owner of a transaction is asked, which is not there: 404.
    ///
    /// # Errors
    /// There is no answer.
    pub fn look(&mut self) -> Result<u16> {
        let line = "GET /v1/transactions?idempotency_key=nobody";
        self.send(line, &[&credential()], "")?;
        Ok(self.receive()?.status)
    }

    /// Waits until the switch closes the connection without sending anything.
    ///
    /// # Errors
    /// It sends something, or does not close within a minute.
    pub fn is_closed(&mut self) -> Result<()> {
        let gone = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];
        match self.0.read(&mut [0; 1]) {
            Ok(0) => Ok(()),
            Ok(_) => bail!("the switch answered"),
            Err(error) if gone.contains(&error.kind()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn credential() -> String {
    format!("Authorization: Bearer {API_KEY}")
}

fn connected(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

/// What a gateway begins a handshake with that trusts `root` and shows `own`.
///
/// # Errors
/// A file cannot be read.
pub fn showing(root: &Path, own: Option<&Pair>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).context("the root")?)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let Some(own) = own else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let chain = CertificateDer::pem_file_iter(&own.certificate)?;
    let chain = chain.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&own.key)?;
    Ok(Arc::new(builder.with_client_auth_cert(chain, key)?))
}
