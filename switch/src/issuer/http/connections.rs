//! The connections of one link. They outlive a loss of the link: an exchange that runs on one goes
//! on, and the bound is of all that are open.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use domain::time::Instant;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use glommio::sync::{Permit, Semaphore};
use persistence::journal::yield_to_rings;

use super::plan::Plan;
use super::reply::{REPLY_LEN_MAX, Reading, Reply, Step};
use crate::clock::Clock;
use crate::issuer::ConnectionSetup;
use crate::tls::{Begins, TlsStream};

/// Bytes out and in, in clear or not.
trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

/// One connection. Closed when it is dropped, and counted until then.
pub(super) struct Connection {
    wire: Box<dyn Wire>,
    _place: Place,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// One of those that may be open.
struct Place(Rc<Cell<usize>>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Room for a connection that is not made yet.
pub(super) struct Room {
    place: Place,
    setup: Rc<ConnectionSetup>,
}

impl Room {
    /// Makes it; in its turn, where many are made.
    pub(super) async fn connect(self) -> Result<Connection, String> {
        let wire = connect(&self.setup).await?;
        Ok(Connection {
            wire,
            _place: self.place,
        })
    }
}

pub(super) struct Connections {
    setup: Rc<ConnectionSetup>,
    /// Those that wait for a request, and since when.
    idle: RefCell<Vec<(Connection, Instant)>>,
    /// All, with those that are in use or in the making.
    open: Rc<Cell<usize>>,
    /// Those that what a start has found may take at a time.
    for_found: Semaphore,
}

impl Connections {
    pub(super) fn new(setup: Rc<ConnectionSetup>, plan: &Plan) -> Self {
        let for_found = plan.connections_max.div_ceil(SHARE_OF_FOUND);
        Self {
            setup,
            idle: RefCell::default(),
            open: Rc::default(),
            for_found: Semaphore::new(for_found as u64),
        }
    }

    /// Waits for its turn, which lasts until it is dropped, among those that a start has found. Who
    /// waits must not be dropped: it would take along the turn that it has just been given.
    pub(super) async fn turn_of_found(&self) -> Option<Permit<'_>> {
        // It is refused only once the semaphore is closed, which nobody does.
        self.for_found.acquire_permit(1).await.ok()
    }

    /// One that waits and still stands. That it has ended shows once the executor has looked at its
    /// rings.
    pub(super) async fn standing(&self, plan: &Plan) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.idle.borrow_mut().pop()?;
            let waited = self.setup.clock.now().since(since);
            if waited >= plan.idle_max {
                continue;
            }
            yield_to_rings().await;
            if connection.is_silent().await {
                return Some(connection);
            }
        }
    }

    /// Room for a further one, where not all are open.
    pub(super) fn room(&self, plan: &Plan) -> Option<Room> {
        let open = self.open.get();
        (open < plan.connections_max).then(|| {
            self.open.set(open.saturating_add(1));
            Room {
                place: Place(Rc::clone(&self.open)),
                setup: Rc::clone(&self.setup),
            }
        })
    }

    /// It waits for the next request.
    pub(super) fn keep(&self, connection: Connection) {
        let now = self.setup.clock.now();
        self.idle.borrow_mut().push((connection, now));
    }
}

/// Of the connections of a link what a start has found takes one in so many: the rest is for those
/// that come.
const SHARE_OF_FOUND: usize = 4;

async fn connect(setup: &Rc<ConnectionSetup>) -> Result<Box<dyn Wire>, String> {
    let turn = setup.attempts.get();
    setup.attempts.set(turn.wrapping_add(1));
    let position = turn.checked_rem(setup.addresses.len());
    let address = position.and_then(|position| setup.addresses.get(position));
    let address = *address.ok_or("it has no address")?;
    let failed = |error: String| format!("{address}: {error}");
    let connecting = TcpStream::connect_timeout(address, setup.connect_timeout);
    let stream = setup.budget.attempt(connecting).await;
    let stream = stream.map_err(|error| failed(error.to_string()))?;
    stream
        .set_nodelay(true)
        .map_err(|error| failed(error.to_string()))?;
    match setup.tls.issuer(setup.issuer_id) {
        Begins::InClear => Ok(Box::new(stream)),
        Begins::Unknown => Err("its files of TLS were not read".to_owned()),
        Begins::Secured(side) => {
            let secured = setup.handshakes.connect(stream, address, &side).await;
            let secured = secured.map_err(|error| {
                setup.note_refused(address, error);
                failed(error.to_string())
            })?;
            let stream = TlsStream::of(secured).ok_or("its handshake has no end")?;
            Ok(Box::new(stream))
        }
    }
}

impl Connection {
    /// Whether nothing has come on a connection that waits: neither its end nor anything else.
    async fn is_silent(&mut self) -> bool {
        let mut byte = [0];
        poll_fn(|cx| {
            let read = Pin::new(&mut *self.wire).poll_read(cx, &mut byte);
            Poll::Ready(read.is_pending())
        })
        .await
    }

    /// Writes all of a request, and nothing more of it once it is `until`: what is cut there is no
    /// request to whoever reads it.
    ///
    /// # Errors
    /// Of the socket, or `TimedOut`. Bytes may have left.
    pub(super) async fn write_all(
        &mut self,
        bytes: &[u8],
        until: Instant,
        clock: Clock,
    ) -> io::Result<()> {
        let mut written = 0;
        poll_fn(|cx| {
            loop {
                if clock.now() >= until {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) else {
                    return Pin::new(&mut *self.wire).poll_flush(cx);
                };
                match Pin::new(&mut *self.wire).poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => written += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// `None` of what is no answer.
    pub(super) async fn read_reply(&mut self) -> Option<Reply> {
        let mut reading = Reading::default();
        let mut bytes = Vec::new();
        let mut part = vec![0; 8 * 1024];
        loop {
            let read = poll_fn(|cx| Pin::new(&mut *self.wire).poll_read(cx, &mut part)).await;
            let count = read.ok().filter(|count| *count > 0)?;
            bytes.extend_from_slice(part.get(..count)?);
            match reading.on(&bytes) {
                Step::Whole(reply) => return Some(reply),
                Step::NeedMore if bytes.len() <= REPLY_LEN_MAX => {}
                Step::NeedMore | Step::Bad => return None,
            }
        }
    }
}
