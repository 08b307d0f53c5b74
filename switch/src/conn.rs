//! The write side of a connection: a bounded buffer that the shard's loop flushes at the end of a
//! turn.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use domain::time::Instant;

use crate::issuer::http::bridge::Bridge;
use crate::sys::SocketWriter;
use crate::tls::{Tls, Written};

/// What a connection has still to write. Shared between the task that reads the socket and the
/// loop; neither holds a borrow over an await.
#[derive(Debug)]
pub(crate) struct Conn {
    socket: Way,
    /// `None` in clear.
    tls: Option<Box<Tls>>,
    out: RefCell<Vec<u8>>,
    out_len_max: usize,
    blocked_since: Cell<Option<Instant>>,
    listed: Cell<bool>,
    closed: Cell<bool>,
}

/// Where what is written goes.
#[derive(Debug)]
enum Way {
    Socket(SocketWriter),
    Bridge(Rc<Bridge>),
}

impl Way {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.try_write(bytes),
            Self::Bridge(bridge) => Ok(bridge.take(bytes)),
        }
    }

    fn shut_down(&self) {
        match self {
            Self::Socket(socket) => socket.shut_down(),
            Self::Bridge(bridge) => bridge.end(),
        }
    }
}

/// Why bytes were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The connection has been closed.
    Closed,
    /// The peer does not read: its queue reached the bound, so it was closed.
    SlowReader,
}

impl Conn {
    /// A connection that queues at most `out_len_max` bytes; in clear without `tls`.
    pub(crate) fn new(socket: SocketWriter, tls: Option<Box<Tls>>, out_len_max: usize) -> Self {
        Self::to(Way::Socket(socket), tls, out_len_max)
    }

    /// To a task of this shard, which speaks for an issuer that knows no messages.
    pub(crate) fn bridged(bridge: Rc<Bridge>, out_len_max: usize) -> Self {
        Self::to(Way::Bridge(bridge), None, out_len_max)
    }

    fn to(socket: Way, tls: Option<Box<Tls>>, out_len_max: usize) -> Self {
        Self {
            socket,
            tls,
            out: RefCell::new(Vec::with_capacity(16 * 1024)),
            out_len_max,
            blocked_since: Cell::new(None),
            listed: Cell::new(false),
            closed: Cell::new(false),
        }
    }

    /// Queues one whole frame. One turn may hold more than the queue does, so a full queue is
    /// written out first; a peer is slow only when its socket does not take that.
    ///
    /// # Errors
    /// [`Refused`]; nothing of the frame was queued, so nothing of it will leave.
    pub(crate) fn push(&self, frame: &[u8]) -> Result<(), Refused> {
        self.push_by(frame, Instant::FAR_FUTURE)
    }

    /// The same of what is to be written before an instant or not at all, where it waits behind
    /// what this queue is written to: a socket has taken it before.
    ///
    /// # Errors
    /// Those of [`Conn::push`].
    pub(crate) fn push_by(&self, frame: &[u8], by: Instant) -> Result<(), Refused> {
        if self.has_no_room_for(frame) && self.write_out().is_err() {
            return Err(Refused::Closed);
        }
        if self.closed.get() {
            return Err(Refused::Closed);
        }
        if self.has_no_room_for(frame) {
            self.close();
            return Err(Refused::SlowReader);
        }
        self.out.borrow_mut().extend_from_slice(frame);
        if let Way::Bridge(bridge) = &self.socket {
            bridge.announce(by);
        }
        Ok(())
    }

    fn has_no_room_for(&self, frame: &[u8]) -> bool {
        self.out.borrow().len().saturating_add(frame.len()) > self.out_len_max
    }

    /// Whether the loop must note the connection for its flush; it is told so once until
    /// [`Conn::unlist`].
    pub(crate) fn list(&self) -> bool {
        !self.listed.replace(true)
    }

    /// The loop has taken it off its list.
    pub(crate) fn unlist(&self) {
        self.listed.set(false);
    }

    /// Writes what the socket takes. `Ok(true)` when nothing is left.
    ///
    /// # Errors
    /// The socket's error; the connection is closed then.
    pub(crate) fn flush(&self, now: Instant) -> io::Result<bool> {
        self.write_out()?;
        let is_clean = self.out.borrow().is_empty() && !self.has_unwritten();
        if !is_clean && self.blocked_since.get().is_none() {
            self.blocked_since.set(Some(now));
        }
        Ok(is_clean)
    }

    fn write_out(&self) -> io::Result<()> {
        if self.closed.get() {
            return Ok(());
        }
        let mut out = self.out.borrow_mut();
        let written = match &self.tls {
            None => self.write_plain(&out),
            Some(tls) => match &self.socket {
                Way::Socket(socket) => tls.write(&out, socket),
                Way::Bridge(_) => self.write_plain(&out),
            },
        };
        match written {
            Ok(written) => {
                out.drain(..written.taken);
                if written.moved {
                    self.blocked_since.set(None);
                }
                Ok(())
            }
            Err(error) => {
                drop(out);
                self.close();
                Err(error)
            }
        }
    }

    fn write_plain(&self, out: &[u8]) -> io::Result<Written> {
        let mut taken = 0;
        while let Some(rest) = out.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.socket.try_write(rest)? {
                0 => break,
                count => taken += count,
            }
        }
        Ok(Written {
            taken,
            moved: taken > 0,
        })
    }

    /// The TLS of the connection, for whoever reads it.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_deref()
    }

    /// Whether the protocol has bytes of its own, or ours encrypted, that the socket has not taken.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_unwritten())
    }

    /// Half of what is queued, for a crash in the middle of a frame.
    pub(crate) fn write_half(&self) {
        let out = self.out.borrow();
        if let Some(half) = out.get(..out.len() / 2)
            && let Err(error) = self.socket.try_write(half)
        {
            tracing::debug!(%error, "half of a frame was not written");
        }
    }

    /// Since when the socket has taken nothing.
    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since.get()
    }

    /// Shuts the socket down; the reading task sees the end.
    pub(crate) fn close(&self) {
        if !self.closed.replace(true) {
            if let (Some(tls), Way::Socket(socket)) = (&self.tls, &self.socket) {
                tls.say_goodbye(socket);
            }
            self.socket.shut_down();
            self.out.borrow_mut().clear();
        }
    }

    /// Whether it has been closed from this side.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_turn_may_hold_more_than_the_queue() {
        let (conn, _ours, _theirs) = connection(4_096);
        for _ in 0..100 {
            conn.push(&[7; 1_000]).unwrap();
        }
        assert!(conn.flush(Instant::ZERO).unwrap());
        assert!(!conn.is_closed());
    }

    #[test]
    fn a_peer_that_does_not_read_is_closed_when_its_queue_is_full() {
        let (conn, _ours, _theirs) = connection(4_096);
        let refused = std::iter::repeat_with(|| conn.push(&[7; 1_000])).find_map(Result::err);
        assert_eq!(refused, Some(Refused::SlowReader));
        assert!(conn.is_closed());
        assert_eq!(conn.push(&[7]), Err(Refused::Closed));
    }

    fn connection(out_len_max: usize) -> (Conn, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let writer = SocketWriter::of(&ours, Duration::from_secs(10)).unwrap();
        (Conn::new(writer, None, out_len_max), ours, theirs)
    }
}
