//! What the connections of one executor share: bytes to send, and who waits for which answer.

use std::ops::Range;
use std::task::Waker;

use super::frame::{self, HEADER_LEN, Kind, STAN_LEN};

/// Answers that one link may owe, at most. A power of two: the STAN leads straight to its slot. A
/// slot whose answer never comes is taken by the request that comes a whole round later.
const PENDING_MAX: u32 = 1 << 16;

/// Names a connection; never given twice by one executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortId(usize);

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
    stans: Range<u32>,
    next_stan: u32,
    pending: Box<[Option<Pending>]>,
}

impl Link {
    /// Gives out numbers of `stans` in whole rounds of the pending table.
    fn new(port: PortId, stans: Range<u32>) -> Self {
        let len = (stans.end - stans.start).min(PENDING_MAX);
        let slots = if len.is_power_of_two() {
            len
        } else {
            len.next_power_of_two() / 2
        };
        let rounds = (stans.end - stans.start) / slots;
        let stans = stans.start..stans.start + rounds * slots;
        let pending = vec![None; slots as usize].into_boxed_slice();
        Self {
            port,
            next_stan: stans.start,
            stans,
            pending,
        }
    }

    /// Enters a request and returns its STAN.
    fn enter(&mut self, acquirer: PortId, original: [u8; STAN_LEN]) -> u32 {
        let stan = self.next_stan;
        self.next_stan = if stan + 1 == self.stans.end {
            self.stans.start
        } else {
            stan + 1
        };
        *self.slot(stan) = Some(Pending {
            stan,
            acquirer,
            original,
        });
        stan
    }

    /// Takes out the request that waits for `stan`.
    fn take(&mut self, stan: u32) -> Option<Pending> {
        self.slot(stan).take_if(|pending| pending.stan == stan)
    }

    fn slot(&mut self, stan: u32) -> &mut Option<Pending> {
        let mask = self.pending.len() - 1;
        &mut self.pending[stan.wrapping_sub(self.stans.start) as usize & mask]
    }
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

    /// Enters a connection of an acquirer.
    pub fn open_acquirer(&mut self) -> PortId {
        self.outboxes.push(Outbox::default());
        PortId(self.outboxes.len() - 1)
    }

    /// Enters a connection to an issuer, which gives out `stans`.
    pub fn open_link(&mut self, stans: Range<u32>) -> PortId {
        let port = self.open_acquirer();
        self.links.push(Link::new(port, stans));
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
        let stan = link.enter(acquirer, original);
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
        if let Some(pending) = link.take(stan) {
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
