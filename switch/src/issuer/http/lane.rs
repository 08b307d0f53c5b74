//! One link's pool of connections, and the exchanges on it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use domain::request::Answer;
use domain::response_code::ResponseCode;
use domain::time::Instant;
use futures_lite::{AsyncRead, AsyncWrite, future};
use glommio::net::TcpStream;
use glommio::timer::sleep;
use iso8583::Framing;
use iso8583::frame::FrameStep;
use iso8583::header::{HeaderBytes, RejectCode};
use iso8583::mti::Class;
use iso8583::translate;
use transaction::network::{Backoff, BackoffPolicy};
use zeroize::{Zeroize as _, Zeroizing};

use super::bridge::Bridge;
use super::connector::{self, Verdict};
use super::operation::Asked;
use super::plan::Plan;
use super::reply::{self, REPLY_LEN_MAX, Reply, Step};
use crate::conn::Conn;
use crate::frame::{Casing, Frame};
use crate::issuer::{ConnectionSetup, Received};
use crate::shard::Event;
use crate::tls::{Begins, TlsStream};

/// Runs until the process ends. The link is up for as long as connections can be made: from the
/// first one until one is refused.
pub(crate) async fn keep_asking(setup: ConnectionSetup, plan: Arc<Plan>) {
    let policy = BackoffPolicy {
        first: BACKOFF_FIRST.min(setup.backoff_max),
        max: setup.backoff_max,
        reset_after: BACKOFF_RESET,
    };
    let mut backoff = Backoff::new(policy, setup.seed);
    let setup = Rc::new(setup);
    let mut is_told = false;
    while !setup.gate.is_closed() {
        match connect(&setup).await {
            Ok(wire) => {
                is_told = false;
                let lane = Rc::new(Lane::new(Rc::clone(&setup), Arc::clone(&plan)));
                lane.open.set(1);
                lane.keep(wire);
                serve(&lane).await;
            }
            Err(reason) => {
                let (issuer, link) = (&setup.issuer, setup.link);
                if std::mem::replace(&mut is_told, true) {
                    tracing::debug!(%issuer, %link, reason, "still cannot connect");
                } else {
                    tracing::warn!(%issuer, %link, reason, "cannot connect; trying on");
                }
            }
        }
        sleep(backoff.wait_after(setup.open_for.take())).await;
    }
}

async fn serve(lane: &Rc<Lane>) {
    let setup = &lane.setup;
    let conn = Conn::bridged(Rc::clone(&lane.bridge), setup.out_len_max);
    let conn = Rc::new(conn);
    setup.inbox.push(Event::LinkConnected {
        link: setup.link,
        conn: Rc::clone(&conn),
    });
    let mut buffer = Vec::new();
    while lane.bridge.fill(&mut buffer).await {
        let taken = lane.take_all(&buffer);
        let left = buffer.len().saturating_sub(taken);
        buffer.copy_within(taken.., 0);
        if let Some(rest) = buffer.get_mut(left..) {
            // They hold accounts.
            rest.zeroize();
        }
        buffer.truncate(left);
    }
    conn.close();
    setup.inbox.push(Event::LinkLost {
        link: setup.link,
        reason: lane.bridge.ended().unwrap_or("peer"),
    });
}

/// Bytes out and in, in clear or not.
trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

type BoxedWire = Box<dyn Wire>;

async fn connect(setup: &Rc<ConnectionSetup>) -> Result<BoxedWire, String> {
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
            let secured = secured.map_err(|error| failed(error.to_string()))?;
            let stream = TlsStream::of(secured).ok_or("its handshake has no end")?;
            Ok(Box::new(stream))
        }
    }
}

/// The connections of one link while it is up.
struct Lane {
    setup: Rc<ConnectionSetup>,
    plan: Arc<Plan>,
    bridge: Rc<Bridge>,
    /// Those that wait for a request, and since when.
    idle: RefCell<Vec<(BoxedWire, Instant)>>,
    /// All, with those that are in use.
    open: Cell<usize>,
}

/// Why an exchange has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// Provably no byte of the request left.
    NotSent,
    /// Bytes may have left.
    Unknown,
}

impl Lane {
    fn new(setup: Rc<ConnectionSetup>, plan: Arc<Plan>) -> Self {
        Self {
            setup,
            plan,
            bridge: Rc::default(),
            idle: RefCell::default(),
            open: Cell::new(0),
        }
    }

    /// Begins an exchange for each whole message. Returns how many bytes they were.
    fn take_all(self: &Rc<Self>, bytes: &[u8]) -> usize {
        let setup = &self.setup;
        let framing = setup.wire.framing;
        let mut start = 0_usize;
        while let Some(rest) = bytes.get(start..) {
            match framing.split(rest, setup.wire.frame_len_max) {
                FrameStep::NeedMore { .. } => break,
                FrameStep::KeepAlive { consumed } => start = start.saturating_add(consumed),
                // The loop writes nothing of the kind.
                FrameStep::Refused(_) => {
                    self.bridge.end_for("frame");
                    return bytes.len();
                }
                FrameStep::Frame {
                    header,
                    len,
                    trailer,
                } => {
                    let body = start.saturating_add(header);
                    let end = body.saturating_add(len);
                    start = end.saturating_add(trailer);
                    self.begin(bytes.get(body..end).unwrap_or_default());
                }
            }
        }
        start
    }

    fn begin(self: &Rc<Self>, message: &[u8]) {
        let setup = &self.setup;
        let mut frame = setup.pool.take(message, casing(setup.wire.framing));
        frame.received = setup.clock.now();
        if setup.dialect.parse(&frame.bytes, &mut frame.index).is_err() {
            // What this switch writes can be read; if not, its timer decides.
            return setup.pool.give(frame);
        }
        let lane = Rc::clone(self);
        let exchange = async move { lane.exchange(frame).await };
        glommio::spawn_local(exchange).detach();
    }

    async fn exchange(&self, frame: Box<Frame>) {
        if frame.message().mti().class() == Class::Network {
            return self.answer_echo(frame).await;
        }
        let wall = self.setup.clock.wall();
        let asked = Asked::of(&self.plan, frame.message(), wall);
        let request = asked
            .as_ref()
            .and_then(|asked| connector::request(&self.plan, asked));
        let (Some(asked), Some(request)) = (asked, request) else {
            return self.tell(frame, Received::Rejected(NOT_SERVED));
        };
        match self.ask(&request).await {
            Ok(reply) => {
                let verdict = connector::judge(&self.plan, &asked, &reply);
                self.tell_verdict(frame, verdict, reply.status);
            }
            Err(Failed::NotSent) => self.tell(frame, Received::Unsent),
            Err(Failed::Unknown) => self.tell(frame, Received::Unusable),
        }
    }

    fn tell_verdict(&self, frame: Box<Frame>, verdict: Verdict, status: u16) {
        let rejected = Received::Rejected(RejectCode(status));
        match verdict {
            Verdict::Approved(authorisation) => {
                let mut answer = Answer::of(ResponseCode::APPROVED);
                answer.authorisation = authorisation;
                self.answer(frame, &answer);
            }
            Verdict::Declined(code) => self.answer(frame, &Answer::of(code)),
            Verdict::NothingToReverse => {
                self.answer(frame, &Answer::of(ResponseCode::ORIGINAL_NOT_FOUND));
            }
            Verdict::NotExecuted => self.tell(frame, rejected),
            Verdict::NotLetIn => {
                let (issuer, link) = (&self.setup.issuer, self.setup.link);
                tracing::error!(%issuer, %link, status, "the issuer does not let the switch in");
                self.tell(frame, rejected);
            }
            Verdict::Unknown => self.tell(frame, Received::Unusable),
        }
    }

    /// One request and its answer. Nothing is sent a second time.
    async fn ask(&self, request: &[u8]) -> Result<Reply, Failed> {
        let mut wire = self.connection().await?;
        let exchange = async {
            write_all(&mut wire, request).await.ok()?;
            read_reply(&mut wire).await
        };
        let late = async {
            sleep(self.plan.answer_max).await;
            None
        };
        let reply = future::or(exchange, late).await;
        match &reply {
            Some(reply) if reply.keeps => self.keep(wire),
            Some(_) | None => self.open.set(self.open.get().saturating_sub(1)),
        }
        reply.ok_or(Failed::Unknown)
    }

    /// One that waits, if it still stands; else a new one.
    async fn connection(&self) -> Result<BoxedWire, Failed> {
        loop {
            let Some((mut wire, since)) = self.idle.borrow_mut().pop() else {
                break;
            };
            let waited = self.setup.clock.now().since(since);
            if waited < self.plan.idle_max && is_silent(&mut wire).await {
                return Ok(wire);
            }
            self.open.set(self.open.get().saturating_sub(1));
        }
        if self.open.get() >= self.plan.connections_max {
            return Err(Failed::NotSent);
        }
        self.open.set(self.open.get().saturating_add(1));
        match connect(&self.setup).await {
            Ok(wire) => Ok(wire),
            Err(reason) => {
                self.open.set(self.open.get().saturating_sub(1));
                let (issuer, link) = (&self.setup.issuer, self.setup.link);
                tracing::debug!(%issuer, %link, reason, "no further connection");
                self.bridge.end_for("error");
                Err(Failed::NotSent)
            }
        }
    }

    fn keep(&self, wire: BoxedWire) {
        let now = self.setup.clock.now();
        self.idle.borrow_mut().push((wire, now));
    }

    /// A sign of life is that a connection stands, or can be made.
    async fn answer_echo(&self, frame: Box<Frame>) {
        match self.connection().await {
            Ok(wire) => self.keep(wire),
            // All are in use: so it is with a silent issuer too, and that is for the timers.
            Err(_) if self.bridge.ended().is_none() => {}
            Err(_) => return self.setup.pool.give(frame),
        }
        let mut out = [0; 512];
        let dialect = self.setup.dialect;
        let len = translate::write_network_answer(dialect, frame.message(), &mut out);
        self.receive(frame, len.ok().and_then(|len| out.get(..len)));
    }

    fn answer(&self, frame: Box<Frame>, answer: &Answer<'_>) {
        let mut out = Zeroizing::new([0; 2_048]);
        let dialect = self.setup.dialect;
        let len = translate::write_answer(dialect, frame.message(), answer, &mut *out);
        self.receive(frame, len.ok().and_then(|len| out.get(..len)));
    }

    /// Hands the loop an answer as an issuer of ISO 8583 would give it.
    fn receive(&self, asked: Box<Frame>, answer: Option<&[u8]>) {
        let setup = &self.setup;
        setup.pool.give(asked);
        let Some(answer) = answer else { return };
        let mut frame = setup.pool.take(answer, casing(setup.wire.framing));
        frame.received = setup.clock.now();
        if setup.dialect.parse(&frame.bytes, &mut frame.index).is_err() {
            return setup.pool.give(frame);
        }
        self.tell(frame, Received::Message);
    }

    fn tell(&self, frame: Box<Frame>, received: Received) {
        self.setup.inbox.push(Event::LinkFrame {
            link: self.setup.link,
            frame,
            received,
        });
    }
}

const fn casing(framing: Framing) -> Casing {
    Casing {
        framing,
        header: HeaderBytes::NONE,
    }
}

/// Whether nothing has come on a connection that waits: neither its end nor anything else.
async fn is_silent(wire: &mut BoxedWire) -> bool {
    let mut byte = [0];
    poll_fn(|cx| {
        let read = Pin::new(&mut **wire).poll_read(cx, &mut byte);
        Poll::Ready(read.is_pending())
    })
    .await
}

async fn write_all(wire: &mut BoxedWire, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    poll_fn(|cx| {
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut **wire).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Pin::new(&mut **wire).poll_flush(cx)
    })
    .await
}

/// `None` of what is no answer.
async fn read_reply(wire: &mut BoxedWire) -> Option<Reply> {
    let mut bytes = Vec::new();
    let mut part = vec![0; 8 * 1024];
    loop {
        let read = poll_fn(|cx| Pin::new(&mut **wire).poll_read(cx, &mut part)).await;
        let count = read.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(part.get(..count)?);
        match reply::read(&bytes) {
            Step::Whole(reply) => return Some(reply),
            Step::NeedMore if bytes.len() <= REPLY_LEN_MAX => {}
            Step::NeedMore | Step::Bad => return None,
        }
    }
}

/// Of what is not asked over HTTP.
const NOT_SERVED: RejectCode = RejectCode(0);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_RESET: Duration = Duration::from_secs(60);
