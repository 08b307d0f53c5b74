//! The admin listener's connections: few, and each with a bound on how long it may take (fault 104).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Accepts at most [`CONNECTIONS_MAX`] connections at a time; further ones wait in the kernel.
#[derive(Debug)]
pub(super) struct AdminListener {
    inner: TcpListener,
    room: Arc<Semaphore>,
}

impl AdminListener {
    pub(super) fn new(inner: TcpListener) -> Self {
        Self {
            inner,
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl Listener for AdminListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // The semaphore is never closed; without a permit the connection is one too many.
            let permit = Arc::clone(&self.room).acquire_owned().await.ok();
            match self.inner.accept().await {
                Ok((stream, peer)) => return (Connection::new(stream, permit), peer),
                Err(error) => {
                    tracing::warn!(%error, "admin connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that must ask and read its answers in time.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
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

impl Connection {
    fn new(stream: TcpStream, permit: Option<OwnedSemaphorePermit>) -> Self {
        let deadline = Box::pin(sleep(ASK_WAIT));
        Self {
            stream,
            deadline,
            phase: Phase::Asking,
            _permit: permit,
        }
    }

    /// Starts the time of a phase, unless it runs already.
    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            let wait = match phase {
                Phase::Asking => ASK_WAIT,
                Phase::Answering => ANSWER_WAIT,
            };
            self.deadline.as_mut().reset(Instant::now() + wait);
        }
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() && buffer.filled().len() > before {
            self.enter(Phase::Asking);
        }
        read
    }
}

impl AsyncWrite for Connection {
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

/// Connections at a time: Prometheus, a probe or two, people.
const CONNECTIONS_MAX: usize = 32;
/// From accept, or from the last answer, to the next question.
const ASK_WAIT: Duration = Duration::from_secs(75);
/// From the first byte of an answer to its last.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
