//! Between a socket and hyper: a task reads the socket, under its deadlines, and hands on what the
//! scanner lets through; hyper reads from here and writes to the socket.
//!
//! hyper's own timers must be `Send`, which those of a shard are not, so all deadlines are here. It
//! reads one request at a time, so what is buffered is bounded by [`READY_LEN_MAX`] and by the
//! reader's own buffer. Both are polled by one task, the reader first, so that it wakes nobody.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_lite::{AsyncRead, AsyncWrite};
use hyper::rt::ReadBufCursor;

use super::wire::Wire;

/// What was let through and hyper has not taken.
#[derive(Default)]
pub(super) struct Pipe {
    ready: RefCell<Vec<u8>>,
    has_ended: Cell<bool>,
    reader: Cell<Option<Waker>>,
}

impl Pipe {
    /// Hands bytes on; waits while too many have not been taken.
    pub(super) async fn give(&self, bytes: &[u8]) {
        poll_fn(|cx| {
            if self.ready.borrow().len() < READY_LEN_MAX {
                return Poll::Ready(());
            }
            self.reader.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        self.ready.borrow_mut().extend_from_slice(bytes);
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.has_ended.set(true);
    }
}

/// Bytes that hyper may leave lying.
const READY_LEN_MAX: usize = 16 * 1024;

/// A socket. It outlives hyper: what ends a connection is written last. Borrowed within a poll and
/// never over one.
pub(super) type Socket = Rc<RefCell<Wire>>;

/// What hyper reads and writes.
pub(super) struct Ends {
    pub(super) pipe: Rc<Pipe>,
    pub(super) socket: Socket,
}

impl hyper::rt::Read for Ends {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let pipe = &self.pipe;
        let mut ready = pipe.ready.borrow_mut();
        if ready.is_empty() {
            if pipe.has_ended.get() {
                return Poll::Ready(Ok(()));
            }
            return Poll::Pending;
        }
        let count = ready.len().min(buf.remaining());
        buf.put_slice(&ready[..count]);
        // They may hold an account: what moves up is overwritten, what is left behind zeroed.
        let left = ready.len() - count;
        ready.copy_within(count.., 0);
        ready[left..].fill(0);
        ready.truncate(left);
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Ends {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.socket.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.borrow_mut()).poll_flush(cx)
    }

    /// The connection is closed by whoever serves it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Reads what there is; waits for the first byte. 0 at the end.
///
/// # Errors
/// The socket's.
pub(super) async fn read(socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut *socket.borrow_mut()).poll_read(cx, into)).await
}

/// Writes all of `bytes`.
///
/// # Errors
/// The socket's.
pub(super) async fn write_all(socket: &Socket, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    poll_fn(|cx| {
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let mut half = socket.borrow_mut();
            match Pin::new(&mut *half).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Ends the write side: the peer sees all that was written, and then the end.
///
/// # Errors
/// The socket's.
pub(super) async fn close(socket: &Socket) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *socket.borrow_mut()).poll_close(cx)).await
}
