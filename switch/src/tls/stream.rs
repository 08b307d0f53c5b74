//! A connection behind its handshake as a stream: for HTTP, which reads and writes by itself.
//!
//! Bounded: what was read and not decrypted by the buffer of a read, what was encrypted and not
//! written by one write, since no other begins before the socket has taken it.

use std::io::{self, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use rustls::Connection;

use super::{Cipher, Secured, feed};

/// One connection.
pub(crate) struct TlsStream<S = TcpStream> {
    stream: S,
    connection: Connection,
    cipher: Cipher,
    /// Encrypted, from `written` on not taken by the socket.
    out: Vec<u8>,
    written: usize,
    /// What came last is not of the protocol. What came before it is given out first.
    is_broken: bool,
    is_closing: bool,
}

impl TlsStream {
    /// Of a connection whose handshake is done; `None` of one in clear.
    pub(crate) fn of(secured: Secured) -> Option<Self> {
        Self::over(secured, Some)
    }
}

impl<S> TlsStream<S> {
    /// The same, over what `wrap` makes of the socket, if it can.
    pub(crate) fn over(
        secured: Secured,
        wrap: impl FnOnce(TcpStream) -> Option<S>,
    ) -> Option<Self> {
        let Secured { incoming, tls, .. } = secured;
        // The handshake's: whoever reads from here on has deadlines of its own.
        incoming.set_read_timeout(None).ok()?;
        Some(Self {
            stream: wrap(incoming.stream)?,
            connection: tls.connection.into_inner(),
            cipher: incoming.cipher?,
            out: Vec::new(),
            written: 0,
            is_broken: false,
            is_closing: false,
        })
    }

    /// What it goes over.
    pub(crate) const fn socket(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Writes all that is encrypted.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) else {
                self.out.clear();
                self.written = 0;
                if !self.connection.wants_write() {
                    return Poll::Ready(Ok(()));
                }
                self.connection.write_tls(&mut self.out)?;
                continue;
            };
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written = self.written.saturating_add(count),
            }
        }
    }

    /// Bytes of the socket, when there are none; `false` at its end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.cipher.is_empty() {
            return Poll::Ready(Ok(true));
        }
        let bytes = &mut self.cipher.bytes;
        let count = ready!(Pin::new(&mut self.stream).poll_read(cx, bytes))?;
        (self.cipher.start, self.cipher.end) = (0, count);
        Poll::Ready(Ok(count > 0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    /// Each turn gives out, reads, or ends. An end without a farewell is one too: a body says its
    /// own length.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            match this.connection.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
            if this.is_broken {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if !ready!(this.poll_fill(cx))? {
                return Poll::Ready(Ok(0));
            }
            this.is_broken = feed(&mut this.connection, &mut this.cipher).is_err();
            // The protocol answers for itself, as to a change of its keys.
            if let Poll::Ready(Err(error)) = this.poll_out(cx) {
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        let taken = this.connection.writer().write(bytes)?;
        if taken == 0 && !bytes.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        match this.poll_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What the socket has not taken leaves with the next write, or a flush.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.is_closing, true) {
            this.connection.send_close_notify();
        }
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.stream).poll_close(cx)
    }
}
