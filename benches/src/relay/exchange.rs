//! What the connections of one executor share: bytes to send, and who waits for which answer.

use std::task::Waker;

use super::frame::{self, HEADER_LEN, Kind, STAN_LEN};

/// Answers that one link may owe. A power of two: the STAN leads straight to its slot. A slot
/// whose answer never comes is taken by the request that comes a whole round later.
const PENDING_MAX: u32 = 1 << 16;
/// STANs of a link: whole rounds of [`PENDING_MAX`] below one million.
const STANS: u32 = 15 * PENDING_MAX;

/// Names a connection; never given twice by one executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortId(usize);

/// Which side of the relay a connection is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Acquirer,
    Link,
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// The state of one executor; its tasks borrow it between two suspensions, never across one.
#[derive(Debug, Default)]
pub struct Exchange {
    outboxes: Vec<Outbox>,
    links: Vec<Link>,
    next_link: usize,
}

/// Bytes that one connection has still to send.
#[derive(Debug, Default)]
struct Outbox {
    bytes: Vec<u8>,
    /// Set while the task sleeps with nothing to send.
    waker: Option<Waker>,
    is_closed: bool,
}

/// One connection to an issuer.
#[derive(Debug)]
struct Link {
    port: PortId,
    next_stan: u32,
    pending: Vec<Option<Pending>>,
}

/// A request that was forwarded.
#[derive(Clone, Copy, Debug)]
struct Pending {
    stan: u32,
    acquirer: PortId,
    /// As the acquirer sent it.
    original: [u8; STAN_LEN],
}

impl Exchange {
    /// Without connections.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a connection.
    pub fn open(&mut self, role: Role) -> PortId {
        let port = PortId(self.outboxes.len());
        self.outboxes.push(Outbox::default());
        if role == Role::Link {
            let pending = vec![None; PENDING_MAX as usize];
            self.links.push(Link {
                port,
                next_stan: 1,
                pending,
            });
        }
        port
    }

    /// Gives the memory of a connection back; what is still sent to it is dropped.
    pub fn close(&mut self, port: PortId) {
        self.outboxes[port.0] = Outbox {
            is_closed: true,
            ..Outbox::default()
        };
    }

    /// Takes the bytes to send to `port`, and leaves `empty` to be filled.
    pub fn take(&mut self, port: PortId, empty: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.outboxes[port.0].bytes, empty)
    }

    /// Has `waker` called when there are bytes for `port`.
    pub fn sleep(&mut self, port: PortId, waker: &Waker) {
        self.outboxes[port.0].waker = Some(waker.clone());
    }

    /// Handles each whole frame of `bytes`, which `port` received; says how many bytes they are.
    ///
    /// # Errors
    /// A frame does not have the shape of the dialect: the stream cannot be trusted.
    pub fn receive(&mut self, port: PortId, bytes: &[u8]) -> Result<usize, Unreadable> {
        let mut done = 0;
        while let Some(body) = frame::next(&bytes[done..]) {
            let framed = &bytes[done..done + body.end];
            match frame::kind(&framed[HEADER_LEN..]).ok_or(Unreadable)? {
                Kind::Request => self.forward(port, framed)?,
                Kind::Response => self.answer(port, framed)?,
                Kind::NetworkRequest => {
                    let answer = frame::network_answer(&framed[HEADER_LEN..]);
                    self.send(port, &answer.ok_or(Unreadable)?);
                }
                Kind::NetworkResponse => {}
            }
            done += body.end;
        }
        Ok(done)
    }

    /// Sends a request to the next link, with a STAN of that link.
    fn forward(&mut self, acquirer: PortId, framed: &[u8]) -> Result<(), Unreadable> {
        let at = frame::stan_at(&framed[HEADER_LEN..]).ok_or(Unreadable)?;
        let at = at.start + HEADER_LEN;
        let original = *framed[at..].first_chunk().ok_or(Unreadable)?;
        let index = self.next_link;
        self.next_link = if index + 1 == self.links.len() {
            0
        } else {
            index + 1
        };
        let link = &mut self.links[index];
        let stan = link.next_stan;
        link.next_stan = if stan + 1 == STANS { 1 } else { stan + 1 };
        link.pending[(stan % PENDING_MAX) as usize] = Some(Pending {
            stan,
            acquirer,
            original,
        });
        let port = link.port;
        self.send_with_stan(port, framed, at, frame::digits(stan));
        Ok(())
    }

    /// Sends an answer back to the acquirer that waits for it; one that nobody awaits is dropped.
    fn answer(&mut self, port: PortId, framed: &[u8]) -> Result<(), Unreadable> {
        let at = frame::stan_at(&framed[HEADER_LEN..]).ok_or(Unreadable)?;
        let at = at.start + HEADER_LEN;
        let stan = frame::number(&framed[at..at + STAN_LEN]).ok_or(Unreadable)?;
        let Some(link) = self.links.iter_mut().find(|link| link.port == port) else {
            return Err(Unreadable);
        };
        let slot = &mut link.pending[(stan % PENDING_MAX) as usize];
        if let Some(pending) = slot.take_if(|pending| pending.stan == stan) {
            self.send_with_stan(pending.acquirer, framed, at, pending.original);
        }
        Ok(())
    }

    fn send_with_stan(&mut self, port: PortId, framed: &[u8], at: usize, stan: [u8; STAN_LEN]) {
        let from = self.outboxes[port.0].bytes.len();
        self.send(port, framed);
        if let Some(place) = self.outboxes[port.0].bytes.get_mut(from + at..) {
            place[..STAN_LEN].copy_from_slice(&stan);
        }
    }

    fn send(&mut self, port: PortId, framed: &[u8]) {
        let outbox = &mut self.outboxes[port.0];
        if outbox.is_closed {
            return;
        }
        outbox.bytes.extend_from_slice(framed);
        if let Some(waker) = outbox.waker.take() {
            waker.wake();
        }
    }
}
