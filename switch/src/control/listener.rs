//! Connections of the control plane's listeners: few, and each with a bound on how long it may
//! take (fault 104).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Accepts so many connections at a time; further ones wait in the kernel.
#[derive(Debug)]
pub(super) struct AdminListener<L> {
    inner: L,
    room: Arc<Semaphore>,
    waits: Waits,
}

/// What connections come from.
pub(super) trait Accept: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Who connects.
    type Peer: Send;

    /// The next one.
    fn next(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>> + Send;

    /// Who listens, in the form of a peer.
    fn own(&self) -> io::Result<Self::Peer>;
}

impl Accept for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }

    fn own(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

/// The user at the other end of a Unix socket, as the kernel says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The user id; `None` where the kernel does not say.
    pub(super) uid: Option<u32>,
}

impl Accept for UnixListener {
    type Stream = UnixStream;
    type Peer = Caller;

    async fn next(&mut self) -> io::Result<(UnixStream, Caller)> {
        let (stream, _) = Self::accept(self).await?;
        let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
        Ok((stream, Caller { uid }))
    }

    fn own(&self) -> io::Result<Caller> {
        Ok(Caller { uid: None })
    }
}

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// From accept, or from the last answer, to the next question.
    pub(super) ask: Duration,
    /// From the first byte of an answer to its last.
    pub(super) answer: Duration,
}

/// How many connections there may be, and how long each may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) connections_max: usize,
    pub(super) waits: Waits,
}

impl Bounds {
    /// Prometheus, a probe or two, people. Longer than Prometheus leaves a connection idle; as long
    /// as it waits for a scrape.
    pub(super) const STANDARD: Self = Self {
        connections_max: 32,
        waits: Waits {
            ask: Duration::from_secs(75),
            answer: Duration::from_secs(10),
        },
    };
    /// A list of all that is owed takes its time.
    pub(super) const OPERATOR: Self = Self {
        connections_max: 32,
        waits: Waits {
            ask: Duration::from_secs(75),
            answer: Duration::from_secs(300),
        },
    };
    /// Issuers that call back.
    pub(super) const CALLED: Self = Self {
        connections_max: 512,
        waits: Waits {
            ask: Duration::from_secs(15),
            answer: Duration::from_secs(5),
        },
    };
}

impl<L: Accept> AdminListener<L> {
    pub(super) fn new(inner: L, bounds: Bounds) -> Self {
        Self {
            inner,
            waits: bounds.waits,
            room: Arc::new(Semaphore::new(bounds.connections_max)),
        }
    }
}

impl<L: Accept> Listener for AdminListener<L> {
    type Io = Connection<L::Stream>;
    type Addr = L::Peer;

    async fn accept(&mut self) -> (Self::Io, L::Peer) {
        loop {
            // The semaphore is never closed; without a permit the connection is one too many.
            let permit = Arc::clone(&self.room).acquire_owned().await.ok();
            match self.inner.next().await {
                Ok((stream, peer)) => return (Connection::new(stream, self.waits, permit), peer),
                Err(error) => {
                    tracing::warn!(%error, "connection of the control plane not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<L::Peer> {
        self.inner.own()
    }
}

/// A connection that must ask and read its answers in time.
#[derive(Debug)]
pub(super) struct Connection<S> {
    stream: S,
    deadline: Pin<Box<Sleep>>,
    waits: Waits,
    phase: Phase,
    _permit: Option<OwnedSemaphorePermit>,
}

/// What the connection is given time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// To ask.
    Asking,
    /// To read the answer.
    Answering,
}

impl<S> Connection<S> {
    fn new(stream: S, waits: Waits, permit: Option<OwnedSemaphorePermit>) -> Self {
        let deadline = Box::pin(sleep(waits.ask));
        Self {
            stream,
            deadline,
            waits,
            phase: Phase::Asking,
            _permit: permit,
        }
    }

    /// Starts the time of a phase, unless it runs already.
    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            let wait = match phase {
                Phase::Asking => self.waits.ask,
                Phase::Answering => self.waits.answer,
            };
            self.deadline.set(sleep(wait));
        }
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        // A peer that sends while it is answered wins one more period: no more is read then.
        if buffer.filled().len() > before {
            self.enter(Phase::Asking);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.enter(Phase::Answering);
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use std::io::{Read as _, Write as _};

    const SHORT: Bounds = Bounds {
        connections_max: 32,
        waits: Waits {
            ask: Duration::from_millis(100),
            answer: Duration::from_millis(100),
        },
    };

    /// Serves on a thread of its own a path with a large answer.
    fn serve() -> SocketAddr {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let large = || async { "x".repeat(64 << 20) };
        let router = Router::new().route("/large", get(large));
        std::thread::spawn(move || {
            runtime
                .block_on(async { axum::serve(AdminListener::new(listener, SHORT), router).await })
        });
        address
    }

    #[test]
    fn fault_104_who_does_not_ask_is_closed() {
        let mut stream = std::net::TcpStream::connect(serve()).unwrap();
        stream.write_all(b"GET /lar").unwrap();
        let wait = Some(Duration::from_secs(10));
        stream.set_read_timeout(wait).unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest).map_err(|error| error.kind());
        assert!(
            matches!(ended, Ok(0) | Err(io::ErrorKind::ConnectionReset)),
            "{ended:?}"
        );
    }

    #[test]
    fn fault_104_who_does_not_read_is_closed() {
        let mut stream = std::net::TcpStream::connect(serve()).unwrap();
        stream
            .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        // Reading begins when the other side has given up, which it shows by refusing more bytes.
        let wait = Some(Duration::from_secs(60));
        stream.set_write_timeout(wait).unwrap();
        while stream.write_all(b"\r\n").is_ok() {
            std::thread::yield_now();
        }
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(
            ended.is_err() || rest.len() < 64 << 20,
            "{} bytes",
            rest.len()
        );
    }
}
