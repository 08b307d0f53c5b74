//! Connections of a listener of the control plane, behind their handshakes where it has TLS.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::audit::{Incident, Object};
use super::listener::Accept;
use super::tls::TlsKeeper;
use crate::tls::{Begins, HandshakeError, ListenerSide, TlsSet};

/// Who comes in, in clear or not. A handshake keeps nobody waiting but who makes it.
pub(super) struct Door {
    own: SocketAddr,
    ready: mpsc::Receiver<Come>,
    accepting: JoinHandle<()>,
}

/// A connection.
pub(super) type Stream = Pin<Box<dyn Duplex>>;

/// What is read and written.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

type Come = (Stream, SocketAddr);

/// Which of the files of TLS are its own.
pub(super) type Side = fn(&TlsSet) -> &Begins<ListenerSide>;

impl Door {
    /// Accepts from here on.
    ///
    /// # Errors
    /// The socket does not say where it is.
    pub(super) fn open(
        listener: TcpListener,
        keeper: Arc<TlsKeeper>,
        (side, object): (Side, Object),
    ) -> io::Result<Self> {
        let own = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(READY_MAX);
        let accepting = tokio::spawn(accept_all(listener, keeper, (side, object), sender));
        Ok(Self {
            own,
            ready,
            accepting,
        })
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({})", self.own)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Accept for Door {
    type Stream = Stream;
    type Peer = SocketAddr;

    fn next(&mut self) -> impl Future<Output = io::Result<Come>> + Send {
        let come = self.ready.recv();
        async { come.await.ok_or_else(|| io::ErrorKind::BrokenPipe.into()) }
    }

    fn own(&self) -> io::Result<SocketAddr> {
        Ok(self.own)
    }
}

async fn accept_all(
    listener: TcpListener,
    keeper: Arc<TlsKeeper>,
    (side, object): (Side, Object),
    ready: mpsc::Sender<Come>,
) {
    let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(come) => come,
            Err(error) => {
                tracing::warn!(%error, "connection of the control plane not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let begins = side(&keeper.in_force()).clone();
        match begins {
            Begins::InClear => {
                if ready.send((Box::pin(stream), peer)).await.is_err() {
                    return;
                }
            }
            Begins::Secured(side) => {
                // Further ones wait in the kernel.
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                    return;
                };
                let (ready, audit) = (ready.clone(), Arc::clone(keeper.audit()));
                tokio::spawn(async move {
                    match secure(stream, &side).await {
                        // Whoever would take it is gone: so is the listener.
                        Ok(secured) => drop(ready.send((secured, peer)).await),
                        Err(error) => {
                            let incident = Incident::tls(object, Some(peer.ip()), error);
                            audit.note(incident);
                        }
                    }
                    drop(permit);
                });
            }
            // Nobody has said what it has: it does not begin.
            Begins::Unknown => {}
        }
    }
}

async fn secure(stream: TcpStream, side: &ListenerSide) -> Result<Stream, HandshakeError> {
    let acceptor = TlsAcceptor::from(Arc::clone(&side.config));
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(secured)) => Ok(Box::pin(secured)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no handshake on a listener of the control plane");
            let of_tls = error.get_ref().and_then(|error| error.downcast_ref());
            Err(of_tls.map_or(HandshakeError::Broken, HandshakeError::of))
        }
        Err(_) => Err(HandshakeError::Timeout),
    }
}

/// Connections that nobody has taken yet.
const READY_MAX: usize = 8;
/// Handshakes at a time.
const HANDSHAKES_MAX: usize = 64;
/// From accept to the end of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
