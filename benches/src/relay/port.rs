//! One connection: a task that reads into the exchange and writes what the exchange holds for it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use anyhow::{Result, ensure};
use futures_lite::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use glommio::net::TcpStream;

use super::exchange::{Exchange, PortId};
use super::frame::{self, HEADER_LEN, Kind};

/// Room for many frames in one read; a frame is at most 64 KiB and a header.
const READ_LEN: usize = 128 * 1024;

/// The task's own half of a connection.
#[derive(Debug)]
pub struct Port {
    id: PortId,
    stream: TcpStream,
    exchange: Rc<RefCell<Exchange>>,
    /// Received; whole frames are handled at once, the rest stands at the front.
    inbox: Vec<u8>,
    inbox_len: usize,
    /// Being sent, from `sent` on. Changes places with the exchange's buffer when it is empty.
    outbox: Vec<u8>,
    sent: usize,
}

impl Port {
    /// A port for a connection that the exchange knows as `id`.
    #[must_use]
    pub fn new(id: PortId, stream: TcpStream, exchange: Rc<RefCell<Exchange>>) -> Self {
        let inbox = vec![0; READ_LEN];
        Self {
            id,
            stream,
            exchange,
            inbox,
            inbox_len: 0,
            outbox: Vec::new(),
            sent: 0,
        }
    }

    /// Relays until the peer closes.
    ///
    /// # Errors
    /// When the socket fails or the peer sends what is not a frame of the dialect.
    pub async fn run(mut self) -> io::Result<()> {
        let ended = poll_fn(|context| self.turn(context)).await;
        self.exchange.borrow_mut().close(self.id);
        ended
    }

    /// Reads once, sends all there is, and sleeps until the socket or the exchange has more.
    fn turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = self.read(context)?.is_ready();
        let flushed = self.write(context)?;
        if closed {
            return Poll::Ready(Ok(()));
        }
        if flushed.is_ready() {
            self.exchange.borrow_mut().sleep(self.id, context.waker());
        }
        Poll::Pending
    }

    /// Ready when the peer has closed.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let room = &mut self.inbox[self.inbox_len..];
            let room_len = room.len();
            let len = ready!(Pin::new(&mut self.stream).poll_read(context, room))?;
            if len == 0 {
                return Poll::Ready(Ok(()));
            }
            self.inbox_len += len;
            self.receive()?;
            if len == room_len {
                // More may be waiting: others take their turn first.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let received = &self.inbox[..self.inbox_len];
        let done = self.exchange.borrow_mut().receive(self.id, received);
        let done = done.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        self.inbox.copy_within(done..self.inbox_len, 0);
        self.inbox_len -= done;
        Ok(())
    }

    /// Ready when nothing is left to send.
    fn write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.sent < self.outbox.len() {
                let rest = &self.outbox[self.sent..];
                self.sent += ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            }
            self.outbox.clear();
            self.sent = 0;
            let empty = std::mem::take(&mut self.outbox);
            self.outbox = self.exchange.borrow_mut().take(self.id, empty);
            if self.outbox.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Sends 0800 sign-on and waits for the issuer's 0810.
///
/// # Errors
/// When the socket fails or the answer is something else.
pub async fn sign_on(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(&frame::sign_on()).await?;
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).await?;
    let mut body = vec![0; usize::from(u16::from_be_bytes(header))];
    stream.read_exact(&mut body).await?;
    ensure!(
        frame::kind(&body) == Some(Kind::NetworkResponse),
        "the answer is not an 0810"
    );
    Ok(())
}
