//! TLS on the connections of acquirers and issuers (docs/tls.md).
//!
//! A connection is one state of rustls that the reading task and the shard's loop share, as they
//! share its socket: bytes that were read go in, bytes to be written come out, and nobody waits
//! inside. What waits is the handshake alone, which has a deadline and takes one step per round of
//! the executor, over all connections of the shard.
//!
//! Absent: `complete_io` (RUSTSEC-2024-0336), resumption, data before the handshake's end, a lock.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use domain::time::Instant;
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::net::TcpStream;
use glommio::sync::Semaphore;
use persistence::journal::yield_to_rings;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, Connection, IoState, ServerConnection};

use crate::clock::Clock;
use crate::config::TlsIdentity;
use crate::metrics::{Counter, Histogram, Metrics, Side, TlsResult};
use crate::reading::{More, READ_LEN};
use crate::sys::SocketWriter;

mod guests;
mod lanes;
pub(crate) mod material;
mod set;
mod stream;
mod term;
#[cfg(test)]
mod tests;

pub(crate) use guests::{Guest, Guests};
pub(crate) use lanes::Lanes;
pub use set::TlsSet;
pub(crate) use set::{Begins, IssuerSide, ListenerSide, TlsInForce, TlsNews};
pub(crate) use stream::TlsStream;
pub(crate) use term::Term;

/// A connection whose handshake is done.
pub(crate) struct Tls {
    connection: RefCell<Connection>,
    /// What came last is not of the protocol. What came before it is given out first.
    is_broken: Cell<bool>,
    /// Until when its certificates are good; of a link.
    term: Option<Term>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// What a write has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes of ours that need not be offered again.
    pub(crate) taken: usize,
    /// The socket took something.
    pub(crate) moved: bool,
}

impl Tls {
    const fn new(connection: Connection) -> Self {
        Self {
            connection: RefCell::new(connection),
            is_broken: Cell::new(false),
            term: None,
        }
    }

    /// Until when its certificates are good; `None` of what is no link.
    pub(crate) const fn term(&self) -> Option<&Term> {
        self.term.as_ref()
    }

    /// Writes what the socket takes: all that one turn has for the connection goes into as few
    /// records as possible.
    pub(crate) fn write(&self, plain: &[u8], socket: &SocketWriter) -> io::Result<Written> {
        let mut connection = self.connection.borrow_mut();
        let mut written = Written {
            taken: 0,
            moved: false,
        };
        loop {
            while connection.wants_write() {
                match connection.write_tls(&mut Outlet(socket)) {
                    Ok(_) => written.moved = true,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(written),
                    Err(error) => return Err(error),
                }
            }
            let rest = plain.get(written.taken..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(written);
            }
            let count = connection.writer().write(rest)?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            written.taken = written.taken.saturating_add(count);
        }
    }

    /// Whether bytes wait that the socket has not taken.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.connection.borrow().wants_write()
    }

    /// Tells the other side that nothing more comes, as far as the socket takes it.
    pub(crate) fn say_goodbye(&self, socket: &SocketWriter) {
        self.connection.borrow_mut().send_close_notify();
        if let Err(error) = self.write(&[], socket) {
            tracing::trace!(%error, "close_notify");
        }
    }

    /// Decrypts as much as there is, or as `plain` holds.
    fn read(&self, cipher: &mut Cipher, plain: &mut [u8]) -> io::Result<Decrypted> {
        let mut connection = self.connection.borrow_mut();
        let mut count = 0;
        loop {
            while let Some(free) = plain.get_mut(count..).filter(|free| !free.is_empty()) {
                match connection.reader().read(free) {
                    Ok(0) => return Ok(Decrypted { count, ended: true }),
                    Ok(read) => count = count.saturating_add(read),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            let is_full = cipher.is_empty() || count == plain.len();
            if self.is_broken.get() && count == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if is_full || self.is_broken.get() {
                let ended = false;
                return Ok(Decrypted { count, ended });
            }
            self.is_broken.set(feed(&mut connection, cipher).is_err());
        }
    }
}

/// What one look at a connection has brought.
#[derive(Clone, Copy, Debug)]
struct Decrypted {
    count: usize,
    /// The other side has said that nothing more comes.
    ended: bool,
}

/// Puts bytes that were read into the state. Each call makes progress, or is an error.
fn feed(connection: &mut Connection, cipher: &mut Cipher) -> io::Result<()> {
    let taken = connection.read_tls(&mut cipher.rest())?;
    if taken == 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    cipher.start = cipher.start.saturating_add(taken);
    let state = connection.process_new_packets();
    state.map(drop).map_err(io::Error::other)
}

/// A socket as rustls writes to it.
struct Outlet<'a>(&'a SocketWriter);

impl io::Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.try_write(bytes) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a socket that are not decrypted yet.
#[derive(Debug)]
pub(crate) struct Cipher {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Cipher {
    fn new() -> Self {
        Self {
            bytes: vec![0; READ_LEN],
            start: 0,
            end: 0,
        }
    }

    const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads anew; what was left must be gone. How many bytes came.
    async fn fill(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        debug_assert!(self.is_empty(), "invariant: nothing is read over");
        let count = stream.read(&mut self.bytes).await?;
        (self.start, self.end) = (0, count);
        Ok(count)
    }
}

/// The reading half of a connection, in clear or not.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: TcpStream,
    cipher: Option<Cipher>,
}

/// What a read has brought.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Got {
    /// So many bytes, which may be none: the protocol has bytes of its own.
    Bytes(usize, More),
    /// Nothing more comes.
    End,
}

impl Incoming {
    /// In clear.
    pub(crate) const fn plain(stream: TcpStream) -> Self {
        Self {
            stream,
            cipher: None,
        }
    }

    /// How long a read may take.
    ///
    /// # Errors
    /// The socket refuses it.
    pub(crate) fn set_read_timeout(&self, left: Option<Duration>) -> io::Result<()> {
        let set = self.stream.set_read_timeout(left);
        set.map_err(|error| io::Error::other(error.to_string()))
    }

    /// Reads once. `tls` is the state of the same connection.
    ///
    /// # Errors
    /// Those of the socket; or what came is not of the protocol.
    pub(crate) async fn read(&mut self, tls: Option<&Tls>, free: &mut [u8]) -> io::Result<Got> {
        let (Some(tls), Some(cipher)) = (tls, &mut self.cipher) else {
            return Ok(match self.stream.read(free).await? {
                0 => Got::End,
                count => Got::Bytes(count, More::after(count, free.len())),
            });
        };
        let before = tls.read(cipher, free)?;
        if before.count > 0 {
            return Ok(Got::Bytes(before.count, More::MayWait));
        }
        if before.ended || cipher.fill(&mut self.stream).await? == 0 {
            return Ok(Got::End);
        }
        let more = More::after(cipher.end, cipher.bytes.len());
        let found = tls.read(cipher, free)?;
        if found.count == 0 && found.ended {
            return Ok(Got::End);
        }
        let is_full = found.count == free.len();
        Ok(Got::Bytes(
            found.count,
            if is_full { More::MayWait } else { more },
        ))
    }
}

/// Handshakes of one kind on one shard: how many run at once, over all and from one network.
#[derive(Debug)]
pub(crate) struct Handshakes {
    open: Cell<usize>,
    open_max: usize,
    of_network: RefCell<HashMap<Network, usize, RandomState>>,
    of_network_max: usize,
    /// Who may take a step of arithmetic in this round of the executor.
    turn: Semaphore,
    clock: Clock,
    metrics: Metrics,
}

/// How many handshakes may run at once.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    open_max: usize,
    of_network_max: usize,
}

/// Room for one handshake, given back when it is dropped.
#[derive(Debug)]
struct Room {
    of: Rc<Handshakes>,
    network: Option<Network>,
}

/// A /24, or a /56 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network([u8; 8]);

impl Network {
    fn of(address: IpAddr) -> Self {
        let mut prefix = [0; 8];
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                prefix[..4].copy_from_slice(&[4, a, b, c]);
            }
            IpAddr::V6(address) => {
                prefix[0] = 6;
                prefix[1..].copy_from_slice(&address.octets()[..7]);
            }
        }
        Self(prefix)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.of.open.set(self.of.open.get().saturating_sub(1));
        let Some(network) = self.network else {
            return;
        };
        let mut networks = self.of.of_network.borrow_mut();
        if let Some(count) = networks.get_mut(&network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                networks.remove(&network);
            }
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    /// Not done in time.
    Timeout,
    /// Too many run.
    Limit,
    /// One side does not take the other's certificate, or knows nobody of its name.
    Refused,
    /// What came is not of the protocol, the connection is gone, or there is no common version.
    Broken,
}

impl std::fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Timeout => "the TLS handshake was not done in time",
            Self::Limit => "too many TLS handshakes run",
            Self::Refused => "a certificate was refused",
            Self::Broken => "the TLS handshake failed",
        })
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) incoming: Incoming,
    pub(crate) tls: Box<Tls>,
    /// Who has come, where the listener knows them.
    pub(crate) identity: Option<Arc<TlsIdentity>>,
    /// The certificates of who has come, if any.
    pub(crate) shown: Vec<CertificateDer<'static>>,
}

impl Handshakes {
    /// At most so many at once.
    fn new(bounds: Bounds, clock: Clock, metrics: Metrics) -> Rc<Self> {
        Rc::new(Self {
            open: Cell::new(0),
            open_max: bounds.open_max,
            of_network: RefCell::default(),
            of_network_max: bounds.of_network_max,
            turn: Semaphore::new(1),
            clock,
            metrics,
        })
    }

    /// The side that was connected to: any listener's.
    ///
    /// # Errors
    /// [`HandshakeError`]; it has been counted.
    pub(crate) async fn accept(
        self: &Rc<Self>,
        stream: TcpStream,
        peer: Option<IpAddr>,
        side: &ListenerSide,
    ) -> Result<Secured, HandshakeError> {
        let begun = self.clock.now();
        let result = self.accepted(stream, peer, side).await;
        self.note(Side::Acquirer, begun, result.as_ref().err());
        result
    }

    async fn accepted(
        self: &Rc<Self>,
        stream: TcpStream,
        peer: Option<IpAddr>,
        side: &ListenerSide,
    ) -> Result<Secured, HandshakeError> {
        let network = peer.map(Network::of);
        let room = self.room(network).ok_or(HandshakeError::Limit)?;
        let connection = ServerConnection::new(Arc::clone(&side.config));
        let connection = connection.map_err(|_| HandshakeError::Broken)?;
        let secured = self.shake_hands(stream, connection.into()).await;
        drop(room);
        let mut secured = secured?;
        if !side.identities.is_empty() {
            let known = secured.tls.identity(&side.identities);
            secured.identity = Some(known.ok_or(HandshakeError::Refused)?);
        }
        secured.shown = secured.tls.shown();
        Ok(secured)
    }

    /// The side that connects.
    ///
    /// # Errors
    /// [`HandshakeError`]; it has been counted.
    pub(crate) async fn connect(
        self: &Rc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        side: &Arc<IssuerSide>,
    ) -> Result<Secured, HandshakeError> {
        let begun = self.clock.now();
        let name = side.server_name.clone();
        let name = name.unwrap_or_else(|| ServerName::IpAddress(address.ip().into()));
        let connection = ClientConnection::new(Arc::clone(&side.config), name);
        let mut result = match connection {
            Ok(connection) => self.shake_hands(stream, connection.into()).await,
            Err(_) => Err(HandshakeError::Broken),
        };
        if let Ok(secured) = &mut result {
            let shown = secured.tls.connection.borrow();
            let shown = shown.peer_certificates().unwrap_or_default();
            let term = Term::begin(side, shown, self.clock.wall());
            secured.tls.term = Some(term);
        }
        self.note(Side::Issuer, begun, result.as_ref().err());
        result
    }

    fn room(self: &Rc<Self>, network: Option<Network>) -> Option<Room> {
        if self.open.get() >= self.open_max {
            return None;
        }
        if let Some(network) = network {
            let mut networks = self.of_network.borrow_mut();
            let count = networks.entry(network).or_insert(0);
            if *count >= self.of_network_max {
                return None;
            }
            *count = count.saturating_add(1);
        }
        self.open.set(self.open.get().saturating_add(1));
        Some(Room {
            of: Rc::clone(self),
            network,
        })
    }

    fn note(&self, side: Side, begun: Instant, error: Option<&HandshakeError>) {
        let result = match error {
            None => TlsResult::Ok,
            Some(HandshakeError::Timeout) => TlsResult::Timeout,
            Some(HandshakeError::Limit) => TlsResult::Limit,
            Some(HandshakeError::Refused) => TlsResult::Refused,
            Some(HandshakeError::Broken) => TlsResult::Error,
        };
        self.metrics.count(Counter::TlsHandshakes(side, result));
        if error.is_none() {
            let taken = self.clock.now().since(begun);
            self.metrics
                .observe_duration(Histogram::TlsHandshake(side), taken);
        }
    }

    /// Every turn writes, reads, or ends.
    async fn shake_hands(
        &self,
        mut stream: TcpStream,
        mut connection: Connection,
    ) -> Result<Secured, HandshakeError> {
        let begun = self.clock.now();
        let mut cipher = Cipher::new();
        let mut out = Vec::new();
        let mut read_len = 0_usize;
        loop {
            while connection.wants_write() {
                connection
                    .write_tls(&mut out)
                    .map_err(|_| HandshakeError::Broken)?;
            }
            let left = DEADLINE.saturating_sub(self.clock.now().since(begun));
            if left.is_zero() {
                return Err(HandshakeError::Timeout);
            }
            if !out.is_empty() {
                stream.set_write_timeout(Some(left)).map_err(broken)?;
                stream.write_all(&out).await.map_err(failed)?;
                out.clear();
            }
            if !connection.is_handshaking() {
                let incoming = Incoming {
                    stream,
                    cipher: Some(cipher),
                };
                return Ok(Secured {
                    incoming,
                    tls: Box::new(Tls::new(connection)),
                    identity: None,
                    shown: Vec::new(),
                });
            }
            if cipher.is_empty() {
                stream.set_read_timeout(Some(left)).map_err(broken)?;
                let count = cipher.fill(&mut stream).await.map_err(failed)?;
                read_len = read_len.saturating_add(count);
                if count == 0 || read_len > HANDSHAKE_LEN_MAX {
                    return Err(HandshakeError::Broken);
                }
            }
            if let Err(error) = self.step(&mut connection, &mut cipher).await {
                tell(&mut stream, &mut connection).await;
                return Err(error);
            }
        }
    }

    /// What takes as much arithmetic as a step.
    async fn in_turn<T>(&self, step: impl FnOnce() -> T) -> T {
        // Refused only once the semaphore is closed, which nobody does.
        let turn = self.turn.acquire_permit(1).await;
        let done = step();
        // Also of what failed: a chain that is refused is the dearest step of all.
        yield_to_rings().await;
        drop(turn);
        done
    }

    /// One step of arithmetic: one at a time, and then everything else of the shard has its turn,
    /// so that a storm of handshakes takes a bounded part of it.
    async fn step(
        &self,
        connection: &mut Connection,
        cipher: &mut Cipher,
    ) -> Result<(), HandshakeError> {
        let state = self.in_turn(|| take(connection, cipher)).await?;
        if state.peer_has_closed() && connection.is_handshaking() {
            return Err(HandshakeError::Broken);
        }
        Ok(())
    }
}

fn take(connection: &mut Connection, cipher: &mut Cipher) -> Result<IoState, HandshakeError> {
    let taken = connection.read_tls(&mut cipher.rest());
    let taken = taken.map_err(|_| HandshakeError::Broken)?;
    if taken == 0 {
        return Err(HandshakeError::Broken);
    }
    cipher.start = cipher.start.saturating_add(taken);
    let state = connection.process_new_packets();
    state.map_err(|error| HandshakeError::of(&error))
}

/// The alert that says why, as far as it goes out at once.
async fn tell(stream: &mut TcpStream, connection: &mut Connection) {
    let mut out = Vec::new();
    while connection.wants_write() {
        if connection.write_tls(&mut out).is_err() {
            return;
        }
    }
    if stream.set_write_timeout(Some(ALERT_WAIT)).is_ok()
        && let Err(error) = stream.write_all(&out).await
    {
        tracing::trace!(%error, "alert");
    }
}

fn broken(_: glommio::GlommioError<()>) -> HandshakeError {
    HandshakeError::Broken
}

fn failed(error: io::Error) -> HandshakeError {
    if error.kind() == io::ErrorKind::TimedOut {
        HandshakeError::Timeout
    } else {
        HandshakeError::Broken
    }
}

impl HandshakeError {
    pub(crate) const fn of(error: &rustls::Error) -> Self {
        use rustls::{AlertDescription as Alert, Error};
        match error {
            Error::InvalidCertificate(_)
            | Error::InvalidCertRevocationList(_)
            | Error::NoCertificatesPresented
            | Error::UnsupportedNameType
            | Error::AlertReceived(
                Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::CertificateRequired,
            ) => Self::Refused,
            _ => Self::Broken,
        }
    }
}

impl Tls {
    fn shown(&self) -> Vec<CertificateDer<'static>> {
        let connection = self.connection.borrow();
        let shown = connection.peer_certificates().unwrap_or_default();
        shown
            .iter()
            .cloned()
            .map(CertificateDer::into_owned)
            .collect()
    }

    /// Who has come: the first that its certificate is made out to.
    fn identity(&self, known: &[Arc<TlsIdentity>]) -> Option<Arc<TlsIdentity>> {
        let connection = self.connection.borrow();
        let certificate = connection.peer_certificates()?.first()?;
        let mut known = known.iter();
        let found = known.find(|one| material::is_made_out_to(certificate, &one.san));
        found.cloned()
    }
}

/// From the connection to the end of the handshake.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of one side of a handshake: a chain of certificates is far below.
const HANDSHAKE_LEN_MAX: usize = 256 * 1024;
/// How long the alert that ends a handshake may take.
const ALERT_WAIT: Duration = Duration::from_millis(100);
