//! Keeps one connection to an issuer: connects, reads frames, and comes back with back-off.

use std::cell::Cell;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{IssuerId, LinkId};
use domain::time::Instant;
use glommio::net::TcpStream;
use glommio::sync::Semaphore;
use glommio::timer::sleep;
use iso8583::Dialect;
use iso8583::frame::FrameStep;
use iso8583::header::Stripped;
use iso8583::keep_alive::{KeepAlive, Reaction};
use persistence::journal::yield_to_rings;
use router::selection::CallOutcome;
use transaction::network::{Backoff, BackoffPolicy};

use super::Received;
use crate::clock::Clock;
use crate::config::Wire;
use crate::conn::Conn;
use crate::control::audit::{AuditQueue, Incident, Object};
use crate::frame::{Casing, FramePool};
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::metrics::{Metrics, Side};
use crate::reading::{READ_LEN, Unfinished};
use crate::shard::Event;
use crate::sys::SocketWriter;
use crate::tls::{Begins, Got, HandshakeError, Handshakes, Incoming, Tls, TlsInForce};

/// What a connection needs.
#[derive(Debug)]
pub(crate) struct ConnectionSetup {
    pub(crate) link: LinkId,
    pub(crate) issuer_id: IssuerId,
    /// The issuer's name, for people.
    pub(crate) issuer: String,
    pub(crate) tls: Rc<TlsInForce>,
    pub(crate) handshakes: Rc<Handshakes>,
    pub(crate) audit: Arc<AuditQueue>,
    /// Tried in turn, beginning with a different one per link.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) connect_timeout: Duration,
    pub(crate) backoff_max: Duration,
    pub(crate) dialect: &'static Dialect,
    pub(crate) wire: Wire,
    pub(crate) frame_deadline: Duration,
    pub(crate) out_len_max: usize,
    pub(crate) seed: u64,
    /// To connect, so far: an issuer over HTTP is asked on several connections.
    pub(crate) attempts: Cell<usize>,
    /// Of all links of the issuer on this shard.
    pub(crate) budget: Rc<ConnectBudget>,
    /// How long the link was open when it was lost; set by the loop.
    pub(crate) open_for: Rc<Cell<Option<Duration>>>,
    pub(crate) inbox: Inbox,
    pub(crate) pool: FramePool,
    pub(crate) clock: Clock,
    pub(crate) gate: Rc<Gate>,
    pub(crate) metrics: Metrics,
}

/// Runs until the process ends.
pub(crate) async fn keep_connected(setup: ConnectionSetup) {
    let mut is_told = false;
    let policy = BackoffPolicy {
        first: BACKOFF_FIRST.min(setup.backoff_max),
        max: setup.backoff_max,
        reset_after: BACKOFF_RESET,
    };
    let mut backoff = Backoff::new(policy, setup.seed);
    let mut turn = usize::from(setup.link.0);
    while !setup.gate.is_closed() {
        let attempt = setup.budget.attempt(connect(&setup, turn)).await;
        match attempt {
            Ok(connected) => {
                is_told = false;
                read_until_lost(&setup, connected).await;
            }
            Err(reason) => tell_failure(&setup, &reason, std::mem::replace(&mut is_told, true)),
        }
        turn = turn.wrapping_add(1);
        sleep(backoff.wait_after(setup.open_for.take())).await;
    }
}

/// A connection that stands, in clear or behind its handshake.
struct Connected {
    writer: SocketWriter,
    incoming: Incoming,
    tls: Option<Box<Tls>>,
}

impl ConnectionSetup {
    /// A handshake with the issuer had no end: for the audit log.
    pub(super) fn note_refused(&self, address: SocketAddr, error: HandshakeError) {
        let object = Object::Issuer(self.issuer_id);
        let incident = Incident::tls(object, Some(address.ip()), error);
        self.audit.note(incident);
    }
}

async fn connect(setup: &ConnectionSetup, turn: usize) -> Result<Connected, String> {
    let position = turn.checked_rem(setup.addresses.len());
    let address = position.and_then(|position| setup.addresses.get(position));
    let address = address.ok_or("it has no address")?;
    let connected = TcpStream::connect_timeout(*address, setup.connect_timeout).await;
    let stream = connected.map_err(|error| format!("{address}: {error}"))?;
    let writer = SocketWriter::of(&stream, USER_TIMEOUT);
    let writer = writer.map_err(|error| format!("{address}: {error}"))?;
    let side = match setup.tls.issuer(setup.issuer_id) {
        Begins::Secured(side) => side,
        Begins::InClear => {
            return Ok(Connected {
                writer,
                incoming: Incoming::plain(stream),
                tls: None,
            });
        }
        Begins::Unknown => return Err("its files of TLS were not read".to_owned()),
    };
    let secured = setup.handshakes.connect(stream, *address, &side).await;
    let secured = secured.map_err(|error| {
        setup.note_refused(*address, error);
        format!("{address}: {error}")
    })?;
    Ok(Connected {
        writer,
        incoming: secured.incoming,
        tls: Some(secured.tls),
    })
}

/// Loud once until the next connection: attempts go on for as long as the issuer is away.
fn tell_failure(setup: &ConnectionSetup, reason: &str, is_told: bool) {
    let (issuer, link) = (&setup.issuer, setup.link);
    if is_told {
        tracing::debug!(%issuer, %link, reason, "still cannot connect");
    } else {
        tracing::warn!(%issuer, %link, reason, "cannot connect; trying on");
    }
}

async fn read_until_lost(setup: &ConnectionSetup, connected: Connected) {
    let Connected {
        writer,
        mut incoming,
        tls,
    } = connected;
    let conn = Rc::new(Conn::new(writer, tls, setup.out_len_max));
    setup.inbox.push(Event::LinkConnected {
        link: setup.link,
        conn: Rc::clone(&conn),
    });
    let mut frames = Frames {
        setup,
        conn: &conn,
        keep_alive: KeepAlive::new(setup.wire.answers),
    };
    let mut buffer = vec![0; setup.wire.frame_len_max.saturating_add(READ_LEN)];
    let mut filled = 0_usize;
    let mut unfinished = Unfinished::new(setup.frame_deadline);
    let reason = loop {
        let Ok(left) = unfinished.time_left(setup.clock.now()) else {
            break "deadline";
        };
        if incoming.set_read_timeout(left).is_err() {
            break "socket";
        }
        let Some(free) = buffer.get_mut(filled..) else {
            break "frame";
        };
        match incoming.read(conn.tls(), free).await {
            Ok(Got::End) => break "peer",
            Ok(Got::Bytes(count, _)) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => break "deadline",
            Err(_) => break "error",
        }
        let received = setup.clock.now();
        // The protocol answers for itself, as to a change of its keys.
        if conn.has_unwritten() && conn.flush(received).is_err() {
            break "error";
        }
        match frames.take(&buffer, filled, received) {
            Some(rest) => {
                unfinished.note(rest.start, rest.len(), received);
                filled = rest.len();
                buffer.copy_within(rest, 0);
            }
            None => break "frame",
        }
        // An issuer decides how many messages it sends: what the loop has not taken yet bounds what
        // is read. The pause also lets the other tasks in, when it writes without one.
        while setup.inbox.is_crowded() {
            yield_to_rings().await;
        }
    };
    conn.close();
    setup.inbox.push(Event::LinkLost {
        link: setup.link,
        reason,
    });
}

/// What takes frames out of the bytes of one connection.
struct Frames<'a> {
    setup: &'a ConnectionSetup,
    conn: &'a Rc<Conn>,
    keep_alive: KeepAlive,
}

impl Frames<'_> {
    /// Hands all whole frames to the loop. Returns what is left, or `None` when the stream cannot
    /// be trusted any more: there is no way to find the next frame by guessing.
    fn take(&mut self, buffer: &[u8], filled: usize, received: Instant) -> Option<Range<usize>> {
        let wire = &self.setup.wire;
        let mut start = 0_usize;
        while let Some(rest) = buffer.get(start..filled) {
            match wire.framing.split(rest, wire.frame_len_max) {
                FrameStep::NeedMore { .. } => break,
                FrameStep::KeepAlive { consumed } => {
                    start = start.saturating_add(consumed);
                    self.take_keep_alive(received)?;
                }
                FrameStep::Refused(_) => {
                    self.setup.metrics.count_bad_length(Side::Issuer);
                    return None;
                }
                FrameStep::Frame {
                    header,
                    len,
                    trailer,
                } => {
                    self.keep_alive.message();
                    let body = start.saturating_add(header);
                    let end = body.saturating_add(len);
                    start = end.saturating_add(trailer);
                    self.take_frame(buffer.get(body..end).unwrap_or_default(), received)?;
                }
            }
        }
        Some(start..filled)
    }

    /// `None` when the header is not one of the link's.
    fn take_frame(&self, bytes: &[u8], at: Instant) -> Option<()> {
        let setup = self.setup;
        let (header, message, rejected) = match setup.wire.header.strip(bytes) {
            Ok(Stripped::Message { header, message }) => (header, message, None),
            Ok(Stripped::Rejected {
                code,
                header,
                message,
            }) => (header, message, Some(code)),
            Err(_) => {
                setup.metrics.count_bad_length(Side::Issuer);
                return None;
            }
        };
        let framing = setup.wire.framing;
        let mut frame = setup.pool.take(message, Casing { framing, header });
        frame.received = at;
        let parsed = setup.dialect.parse(&frame.bytes, &mut frame.index);
        if let Err(error) = parsed {
            setup.metrics.count_parse_error(Side::Issuer, error);
        }
        let received = match (rejected, parsed) {
            (Some(code), Ok(())) => Received::Rejected {
                code,
                call: CallOutcome::Failure,
            },
            (None, Ok(())) => Received::Message,
            (_, Err(error)) => Received::Unreadable {
                field: error.field,
                offset: error.offset,
            },
        };
        setup.inbox.push(Event::LinkFrame {
            link: setup.link,
            frame,
            received,
        });
        Some(())
    }

    /// A frame without a message: never passed on. `None` when there are too many.
    fn take_keep_alive(&mut self, at: Instant) -> Option<()> {
        match self.keep_alive.received(at) {
            Reaction::Ignore => Some(()),
            Reaction::Close => None,
            Reaction::Answer => {
                let mut out = [0; Casing::LEN_MAX];
                let len = self.setup.wire.framing.enclose(&mut out, 0).ok()?;
                self.conn.push(out.get(..len)?).ok()?;
                self.setup.inbox.push(Event::LinkWritten {
                    conn: Rc::clone(self.conn),
                });
                Some(())
            }
        }
    }
}

/// How many attempts to connect run at once (faults.md row 59).
#[derive(Debug)]
pub(crate) struct ConnectBudget {
    permits: Semaphore,
}

impl ConnectBudget {
    /// At most so many at once.
    pub(crate) fn new(attempts: u32) -> Self {
        Self {
            permits: Semaphore::new(u64::from(attempts)),
        }
    }

    /// Runs an attempt when it is its turn.
    pub(super) async fn attempt<T>(&self, connect: impl Future<Output = T>) -> T {
        // It is refused only once the semaphore is closed, which nobody does.
        let permit = self.permits.acquire_permit(1).await;
        let connected = connect.await;
        drop(permit);
        connected
    }
}

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_RESET: Duration = Duration::from_secs(60);
const USER_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn fault_059_only_so_many_links_connect_at_once() {
        let executor = persistence::journal::executor(glommio::Placement::Unbound);
        let running = executor.spawn(|| async {
            let budget = Rc::new(ConnectBudget::new(3));
            let (running, most) = (Rc::new(Cell::new(0_u32)), Rc::new(RefCell::new(0)));
            let attempts: Vec<_> = (0..100)
                .map(|_| {
                    let (budget, running) = (Rc::clone(&budget), Rc::clone(&running));
                    let most = Rc::clone(&most);
                    glommio::spawn_local(async move {
                        let attempt = async {
                            running.set(running.get() + 1);
                            let seen = running.get().max(*most.borrow());
                            *most.borrow_mut() = seen;
                            futures_lite::future::yield_now().await;
                            running.set(running.get() - 1);
                        };
                        budget.attempt(attempt).await;
                    })
                    .detach()
                })
                .collect();
            for attempt in attempts {
                attempt.await;
            }
            *most.borrow()
        });
        assert_eq!(running.unwrap().join().unwrap(), 3);
    }
}
