//! Gateways: JSON over HTTP/1.1 on a shard (docs/http-api.md).
//!
//! ```text
//! socket ─► reader: deadlines, scanner ─► pipe ─► hyper ─► handler ─► desk ─► the shard's loop
//!    ▲                                              │                             │ mesh
//!    └──────────────────────────────────────────────┘                             ▼ owner
//! ```
//! A handler asks the loop, which asks the owner of the transaction, and waits for what it is told;
//! it keeps nothing. Bounded: connections by `connections_max` and, of each address, by
//! [`Places`], what waits by [`desk::ASKED_MAX`], bytes by the head, the body and the pipe.

mod alarm;
mod credentials;
pub(crate) mod desk;
mod document;
mod gsma;
mod handler;
mod head;
mod identity;
mod pipe;
mod prefer;
mod rate;
mod refused;
mod request;
mod reversal;
mod signature;
mod wire;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use domain::time::Instant;
use futures_lite::future;
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::sleep;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use persistence::journal::yield_to_rings;

pub(crate) use self::alarm::Alarms;
use self::alarm::LOOK_EVERY;
pub(crate) use self::credentials::CredentialsInForce;
use self::desk::{Ask, Asked, Desk, Full};
pub(crate) use self::handler::DATE_APART_MAX;
use self::handler::handle;
use self::head::{HEAD_LEN_MAX, Scanner, Step};
use self::pipe::{Ends, Pipe, Socket};
pub(crate) use self::rate::Rates;
use self::wire::Wire;
use super::json::problem::{Problem, Slug};
use super::json::{AccountNumbers, Rules};
use super::places::{Place, Places};
use super::session::accept_error;
use crate::clock::Clock;
use crate::config::{Gateway, TlsIdentity};
use crate::control::audit::AuditQueue;
use crate::gate::Gate;
use crate::metrics::{Counter, GatewayRefusal, Ingress, Metrics, RejectReason};
use crate::readiness::Readiness;
use crate::seldom::Seldom;
use crate::sys;
use crate::tls::{Guest, Guests, Handshakes, TlsInForce};

/// What all connections of one gateway on one shard share.
pub(crate) struct GatewayContext {
    pub(crate) gateway: Gateway,
    /// In the configuration.
    pub(crate) number: u16,
    pub(crate) desk: Desk,
    pub(crate) gate: Rc<Gate>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) rates: RefCell<Rates>,
    pub(crate) credentials: Rc<CredentialsInForce>,
    pub(crate) connections: Cell<usize>,
    /// On this shard.
    pub(crate) connections_max: usize,
    pub(crate) places: Rc<Places>,
    pub(crate) guests: Rc<Guests>,
    pub(crate) polls: Polls,
    pub(crate) alarms: Alarms,
    pub(crate) tls: Rc<TlsInForce>,
    pub(crate) handshakes: Rc<Handshakes>,
    pub(crate) readiness: Rc<Readiness>,
    pub(crate) audit: Arc<AuditQueue>,
    /// What was signed when the clock says now was forgotten: the clock was set back.
    pub(crate) set_back: Seldom,
}

impl GatewayContext {
    fn account_numbers(&self) -> AccountNumbers {
        if self.gateway.allow_pan {
            AccountNumbers::Allowed
        } else {
            AccountNumbers::Refused
        }
    }

    /// What a body may say.
    fn rules(&self) -> Rules {
        Rules {
            now: self.clock.wall(),
            account_numbers: self.account_numbers(),
        }
    }

    /// A message whose gateway is known, and that is refused before its owner is asked, is counted
    /// as read and as refused, as one of ISO 8583 would be.
    fn understood<T>(&self, read: Result<T, Problem>) -> Result<T, Problem> {
        read.inspect_err(|problem| {
            self.metrics.count(Counter::Requests(Ingress::Http));
            self.reject(rejected_as(problem.slug));
        })
    }

    fn reject(&self, reason: RejectReason) {
        let rejected = Counter::Rejected(Ingress::Http, reason);
        self.metrics.count(rejected);
    }

    /// Something of this gateway was refused.
    fn count(&self, reason: GatewayRefusal) {
        let counter = Counter::GatewayRefusals(self.number, reason);
        self.metrics.count(counter);
    }

    /// Asks the owner, through the desk; `slug` where there is no room.
    fn ask(&self, ask: Ask, slug: Slug) -> Result<Asked<'_>, Problem> {
        let is_message = ask.is_message();
        if is_message {
            self.metrics.count(Counter::Requests(Ingress::Http));
        }
        self.desk.ask(ask).map_err(|full| {
            let reason = match full {
                Full::Shard => RejectReason::QueueFull,
                Full::Gateway => RejectReason::SessionFull,
            };
            if full == Full::Gateway {
                self.count(GatewayRefusal::PlacesFull);
            }
            if is_message {
                self.reject(reason);
            }
            Problem::of(slug)
        })
    }
}

/// What is counted for a message that its owner never saw.
const fn rejected_as(slug: Slug) -> RejectReason {
    match slug {
        Slug::Draining => RejectReason::Draining,
        Slug::Overloaded => RejectReason::Shed,
        Slug::StaleRequest => RejectReason::ClockSkew,
        Slug::NotFound => RejectReason::UnknownOriginal,
        Slug::NotPermitted | Slug::Unauthenticated => RejectReason::NotPermitted,
        Slug::RateLimited => RejectReason::AcquirerFull,
        Slug::MethodNotAllowed => RejectReason::Unsupported,
        Slug::Malformed
        | Slug::IdempotencyKeyMissing
        | Slug::InvalidField
        | Slug::RequestTimeout
        | Slug::LengthRequired
        | Slug::TooLarge
        | Slug::TargetTooLong
        | Slug::UnsupportedMediaType
        | Slug::ExpectationFailed
        | Slug::IdempotencyKeyReused
        | Slug::CurrencyNotSupported
        | Slug::InProgress
        | Slug::StateConflict
        | Slug::HeadTooLarge
        | Slug::VersionNotSupported => RejectReason::Malformed,
    }
}

/// Long polls of one gateway on one shard.
#[derive(Debug, Default)]
pub(crate) struct Polls(Cell<usize>);

impl Polls {
    /// Whoever comes when there is no room is told at once.
    fn room(&self) -> Option<LongPoll<'_>> {
        let open = self.0.get();
        (open < POLLS_MAX).then(|| {
            self.0.set(open + 1);
            LongPoll(self)
        })
    }
}

/// One of them.
#[derive(Debug)]
struct LongPoll<'a>(&'a Polls);

impl Drop for LongPoll<'_> {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

/// Of one gateway on one shard, beyond which a long poll is none.
const POLLS_MAX: usize = 64;

/// Starts listening.
///
/// # Errors
/// The address cannot be bound.
pub(crate) fn listen(address: SocketAddr, context: GatewayContext) -> std::io::Result<()> {
    let listener = sys::listen(address)?;
    document::prepare(&context);
    let context = Rc::new(context);
    glommio::spawn_local(look_at_alarms(Rc::clone(&context))).detach();
    if context.gateway.tls.is_some() {
        let (tls, number) = (Rc::clone(&context.tls), context.number);
        let watching = Rc::clone(&context.guests).watch(
            move || tls.gateway(number),
            Rc::clone(&context.handshakes),
            (context.clock, Rc::clone(&context.gate)),
        );
        glommio::spawn_local(watching).detach();
    }
    glommio::spawn_local(accept_all(listener, context)).detach();
    Ok(())
}

/// For as long as there are connections or may be.
async fn look_at_alarms(context: Rc<GatewayContext>) {
    while !context.gate.is_closed() || context.connections.get() > 0 {
        sleep(LOOK_EVERY).await;
        context.alarms.ring(context.clock.now());
    }
}

async fn accept_all(listener: TcpListener, context: Rc<GatewayContext>) {
    while !context.gate.is_closed() {
        match listener.accept().await {
            Ok(_) if context.gate.is_closed() => return,
            Ok(stream) => {
                if let Err(reason) = open(stream, &context) {
                    context.count(reason);
                    // Nothing else waits here where somebody connects again and again.
                    yield_to_rings().await;
                }
            }
            // Most often the process is out of descriptors: whoever is connected goes on.
            Err(error) => {
                let reason = accept_error(error.raw_os_error());
                context.metrics.count(Counter::AcceptErrors(reason));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Beyond a bound a connection is closed at once, as nothing of it was read.
fn open(stream: TcpStream, context: &Rc<GatewayContext>) -> Result<(), GatewayRefusal> {
    if context.connections.get() >= context.connections_max {
        return Err(GatewayRefusal::ConnectionsFull);
    }
    let address = stream.peer_addr().ok().map(|address| address.ip());
    let place = context.places.take(address);
    let place = place.ok_or(GatewayRefusal::AddressFull)?;
    context.connections.set(context.connections.get() + 1);
    glommio::spawn_local(greet(stream, (address, place), Rc::clone(context))).detach();
    Ok(())
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Who does not read for so long is not waited for.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// One connection, as its reader and its handler see it.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// Requests whose answer is not made yet.
    busy: Cell<u32>,
    /// All requests so far.
    served: Cell<u32>,
    /// Why it ends, and whether a request waits for its body then: that one is answered so.
    fault: Cell<Option<Slug>>,
    is_in_body: Cell<bool>,
    /// The peer has gone, or sends nothing more.
    has_ended: Cell<bool>,
    /// Where it comes from, as far as the kernel knows.
    address: Option<IpAddr>,
    /// As whom its certificate shows it, where the gateway names who may come.
    identity: Option<Arc<TlsIdentity>>,
    /// What its certificate has to be for it to stay.
    guest: Option<Guest>,
}

impl Connection {
    /// Whether its certificate has ended, or was withdrawn.
    fn is_over(&self) -> bool {
        self.guest.as_ref().is_some_and(Guest::is_over)
    }
}

async fn greet(
    stream: TcpStream,
    (address, _place): (Option<IpAddr>, Place),
    context: Rc<GatewayContext>,
) {
    if let Some(begun) = wire::begin(stream, (address, &context)).await {
        let wire::Begun {
            wire,
            identity,
            guest,
        } = begun;
        let connection = Connection {
            address,
            identity,
            guest,
            ..Connection::default()
        };
        serve(wire, Rc::new(connection), &context).await;
    }
    context.connections.set(context.connections.get() - 1);
}

async fn serve(wire: Wire, connection: Rc<Connection>, context: &Rc<GatewayContext>) {
    wire.set_write_timeout(WRITE_DEADLINE);
    let socket: Socket = Rc::new(RefCell::new(wire));
    let pipe = Rc::new(Pipe::default());
    let ends = Ends {
        pipe: Rc::clone(&pipe),
        socket: Rc::clone(&socket),
    };
    let service = service_fn(|request| {
        let (context, connection) = (Rc::clone(context), Rc::clone(&connection));
        async move { Ok::<_, Infallible>(handle(request, &context, &connection).await) }
    });
    let mut builder = http1::Builder::new();
    builder.half_close(true).header_read_timeout(None);
    let speaking = builder.serve_connection(ends, service);
    let mut reader = Reader {
        socket: &socket,
        pipe: &pipe,
        connection: &connection,
        context,
        buffer: vec![0; BUFFER_LEN],
        filled: 0,
        scanner: Scanner::new(context.gateway.body_len_max),
    };
    // hyper goes on after the reader has ended: it still has answers to give.
    let reading = async {
        reader.run().await;
        pipe.end();
        future::pending::<()>().await;
    };
    let (mut speaking, mut reading) = (pin!(speaking), pin!(reading));
    // The reader first: what it lets through, hyper finds in the same turn.
    let spoken = poll_fn(|cx| {
        let _ended = reading.as_mut().poll(cx);
        speaking.as_mut().poll(cx)
    });
    if let Err(error) = spoken.await {
        tracing::trace!(%error, "a gateway's connection has ended");
    }
    if connection.is_over() {
        context.count(GatewayRefusal::CertificateOver);
    }
    if let Some(slug) = connection
        .fault
        .get()
        .filter(|_| !connection.is_in_body.get())
    {
        let last = refusal(slug, context);
        if let Err(error) = pipe::write_all(&socket, &last).await {
            tracing::trace!(%error, "a gateway has not waited for its refusal");
        }
    }
    if let Err(error) = pipe::close(&socket).await {
        tracing::trace!(%error, "a gateway's connection was gone");
    } else if !connection.has_ended.get() {
        linger(&socket).await;
    }
}

/// Reads on for a while what is still on its way: a socket that is closed with bytes unread resets
/// the connection, and the peer loses the answer that it was given.
async fn linger(socket: &Socket) {
    let mut rest = vec![0; BUFFER_LEN];
    let draining = async {
        let mut read = 0;
        while let Ok(count @ 1..) = pipe::read(socket, &mut rest).await {
            read += count;
            if read > LINGER_LEN_MAX {
                return;
            }
        }
    };
    future::or(draining, async {
        sleep(LINGER_MAX).await;
    })
    .await;
}

/// The answer to what was never a request: it ends the connection.
fn refusal(slug: Slug, context: &GatewayContext) -> Vec<u8> {
    let body = Problem::of(slug).to_json(context.clock.wall());
    // The target is not looked at: no target has others.
    let allow = if slug == Slug::MethodNotAllowed {
        "allow: GET, POST\r\n"
    } else {
        ""
    };
    let mut answer = format!(
        "HTTP/1.1 {} Refused\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         {allow}connection: close\r\n\r\n",
        slug.status(),
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

struct Reader<'a> {
    socket: &'a Socket,
    pipe: &'a Pipe,
    connection: &'a Connection,
    context: &'a GatewayContext,
    buffer: Vec<u8>,
    filled: usize,
    scanner: Scanner,
}

impl Reader<'_> {
    /// Reads until the peer ends, or something is wrong.
    async fn run(&mut self) {
        // From the accept, then from the first byte of each head, then from the end of each.
        let mut since = Some(self.context.clock.now());
        loop {
            let was_in_body = self.scanner.is_in_body();
            match self.scanner.step(&self.buffer[..self.filled]) {
                Step::Pass(count) => {
                    self.pipe.give(&self.buffer[..count]).await;
                    self.buffer.copy_within(count..self.filled, 0);
                    self.filled -= count;
                    let is_next = was_in_body != self.scanner.is_in_body();
                    if is_next || !was_in_body {
                        let more = self.filled > 0 || self.scanner.is_in_body();
                        since = more.then(|| self.context.clock.now());
                    }
                }
                Step::Refuse(slug) => return self.refuse(slug),
                Step::NeedMore => match self.fill(since).await {
                    Ok(0) => return self.connection.has_ended.set(true),
                    Err(Ended::Silent) => return,
                    Ok(_) => {
                        since = since.or_else(|| Some(self.context.clock.now()));
                    }
                    Err(Ended::TooSlow) => return self.refuse(Slug::RequestTimeout),
                },
            }
        }
    }

    /// Reads once; what has begun must be whole in time.
    async fn fill(&mut self, since: Option<Instant>) -> Result<usize, Ended> {
        let free = &mut self.buffer[self.filled..];
        loop {
            let (due, ended) = match since {
                Some(since) => (since.after(PART_DEADLINE), Ended::TooSlow),
                None => {
                    let idle = self.context.gateway.connections.idle_max;
                    (self.context.clock.now().after(idle), Ended::Silent)
                }
            };
            let has_waited = Cell::new(false);
            let reading = async { Some(pipe::read(self.socket, free).await) };
            let late = async {
                has_waited.set(true);
                let due = self.context.alarms.at(due);
                match self.connection.guest.as_ref().filter(|_| since.is_none()) {
                    Some(guest) => future::or(due, guest.over()).await,
                    None => due.await,
                }
                None
            };
            match future::or(reading, late).await {
                Some(Ok(count)) => {
                    self.filled += count;
                    // Whoever always finds something to read keeps the rings from being looked at.
                    if !has_waited.get() {
                        yield_to_rings().await;
                    }
                    return Ok(count);
                }
                Some(Err(_)) => {
                    self.connection.has_ended.set(true);
                    return Err(Ended::Silent);
                }
                //= docs/rules.md#L-04
                None if self.connection.is_over() && since.is_none() => return Err(ended),
                // Whoever waits for an answer is silent with reason.
                None if ended == Ended::Silent && self.connection.busy.get() > 0 => {}
                None => return Err(ended),
            }
        }
    }

    fn refuse(&self, slug: Slug) {
        self.connection.is_in_body.set(self.scanner.is_in_body());
        self.connection.fault.set(Some(slug));
    }
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The peer has gone, or has nothing to say.
    Silent,
    /// What it has begun is not whole in time.
    TooSlow,
}

/// Room for one head, or for a part of a body.
const BUFFER_LEN: usize = 16 * 1024;
const _: () = assert!(
    BUFFER_LEN > HEAD_LEN_MAX,
    "a head is refused for its size before the buffer is full"
);
/// From the accept or its first byte to the end of a head, and from there to the end of a body.
const PART_DEADLINE: Duration = Duration::from_secs(5);
/// After the last answer, for what the peer still sends: who is held up for seconds loses its
/// answer otherwise.
const LINGER_MAX: Duration = Duration::from_secs(60);
const LINGER_LEN_MAX: usize = 1024 * 1024;
/// Requests on one connection.
const REQUESTS_MAX: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_has_64_long_polls_on_a_shard() {
        let polls = Polls::default();
        let mut open: Vec<_> = (0..64).map(|_| polls.room().unwrap()).collect();
        assert!(polls.room().is_none());
        open.pop();
        let last = polls.room();
        assert!(last.is_some() && polls.room().is_none());
    }
}
