//! One acquirer session: bytes to frames to events. Remembers nothing of a message that is not a
//! well-formed request or reversal.

use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use domain::ResponseCode;
use domain::ids::AcquirerId;
use domain::time::Instant;
use futures_lite::future;
use glommio::timer::sleep;
use iso8583::error::MacError;
use iso8583::frame::FrameStep;
use iso8583::header::Stripped;
use iso8583::keep_alive::{KeepAlive, Reaction};
use iso8583::mti::Class as MessageClass;
use iso8583::translate::{NetworkKind, NetworkRefusal};
use iso8583::{Dialect, translate};
use persistence::crash::{self, Step};
use persistence::journal::yield_to_rings;
use transaction::network::SessionPolicy;

use self::bad_frames::BadFrames;
use super::classify::{Class, classify, refuse};
use super::places::{Place, Places};
use super::{Session, SessionRef, Sessions};
use crate::clock::Clock;
use crate::config::{ListenerId, TlsIdentity, Wire};
use crate::control::audit::{AuditQueue, Fate, Incident, Object, What, Who, Why};
use crate::crypto::endpoint_keys;
use crate::frame::{Casing, Claim, Frame, FramePool};
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::metrics::{
    AcceptError, CloseReason, Counter, Ingress, Metrics, RejectReason, Sampler, Side, Stage,
};
use crate::reading::{More, READ_LEN, Unfinished};
use crate::shard::Event;
use crate::tls::{Got, Guest, Guests, Handshakes, Incoming, TlsInForce};
use crate::voice::{KeyMessage, Said, Told, Voice};

mod bad_frames;

/// What all sessions of one listener on one shard share.
#[derive(Debug)]
pub(crate) struct SessionContext {
    pub(crate) listener: ListenerId,
    pub(crate) acquirer: AcquirerId,
    pub(crate) dialect: &'static Dialect,
    pub(crate) wire: Wire,
    pub(crate) voice: Rc<Voice>,
    pub(crate) policy: SessionPolicy,
    pub(crate) mac_failure_answer: Option<ResponseCode>,
    /// To a message of an institution that its certificate does not speak for.
    pub(crate) not_permitted: ResponseCode,
    pub(crate) frame_deadline: Duration,
    pub(crate) request_wait_max: Duration,
    pub(crate) bad_frames_per_minute_max: u32,
    pub(crate) out_len_max: usize,
    pub(crate) tls: Rc<TlsInForce>,
    pub(crate) handshakes: Rc<Handshakes>,
    /// Whether the listener has `tls`.
    pub(crate) is_secured: bool,
    pub(crate) guests: Rc<Guests>,
    pub(crate) places: Rc<Places>,
    pub(crate) audit: Arc<AuditQueue>,
    pub(crate) sessions: Sessions,
    pub(crate) gate: Rc<Gate>,
    pub(crate) inbox: Inbox,
    pub(crate) pool: FramePool,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
}

impl SessionContext {
    pub(crate) fn count_open(&self) {
        self.metrics.session_opened(self.listener);
    }

    pub(crate) fn count_close(&self, reason: CloseReason) {
        self.metrics.session_closed(self.listener, reason);
    }

    pub(crate) fn count_refused(&self, reason: CloseReason) {
        self.metrics.session_refused(self.listener, reason);
    }

    /// Whether a message comes from whom it should, as far as its MAC can tell.
    fn check_mac(&self, frame: &Frame) -> Result<(), MacError> {
        let keys = self.voice.keys.as_ref();
        keys.map_or(Ok(()), |keys| keys.check(frame.message(), frame.received))
    }

    /// How its acquirer is told a code.
    fn told(&self, code: ResponseCode) -> ResponseCode {
        self.wire.codes.named(code)
    }

    /// Counts why a connection was not accepted; `true` when the process is out of descriptors.
    pub(crate) fn count_accept_error(&self, errno: Option<i32>) -> bool {
        let reason = accept_error(errno);
        self.metrics.count(Counter::AcceptErrors(reason));
        reason == AcceptError::FdLimit
    }
}

/// Why a connection was not accepted.
pub(super) const fn accept_error(errno: Option<i32>) -> AcceptError {
    match errno {
        Some(EMFILE | ENFILE) => AcceptError::FdLimit,
        _ => AcceptError::Other,
    }
}

/// Where a session's bytes come from, and who sends them.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) incoming: Incoming,
    /// As whom the certificate shows it, where the listener knows names.
    pub(super) identity: Option<Arc<TlsIdentity>>,
    /// What its certificate has to be for it to stay.
    pub(super) guest: Option<Guest>,
    /// What it takes of its address' connections.
    pub(super) place: Place,
    /// Where it comes from, as far as the kernel knows.
    pub(super) address: Option<IpAddr>,
}

/// Reads one session until it ends.
pub(super) async fn serve(
    caller: Caller,
    session_ref: SessionRef,
    session: Rc<Session>,
    context: Rc<SessionContext>,
) {
    let _place = caller.place;
    let mut reader = Reader {
        incoming: caller.incoming,
        identity: caller.identity,
        guest: caller.guest,
        address: caller.address,
        session_ref,
        session,
        buffer: vec![0; context.wire.frame_len_max.saturating_add(READ_LEN)],
        filled: 0,
        unfinished: Unfinished::new(context.frame_deadline),
        keep_alive: KeepAlive::new(context.wire.answers),
        held_since: None,
        bad_frames: BadFrames::default(),
        parse: Sampler::new(Stage::Parse),
        scratch: vec![0; context.wire.frame_len_max.saturating_add(Casing::LEN_MAX)],
        context,
    };
    let ended = reader.run().await;
    let is_drain = reader.context.gate.is_closed() && reader.session.conn.is_closed();
    let reason = if is_drain { CloseReason::Drain } else { ended };
    reader.context.count_close(reason);
    reader.context.sessions.close(session_ref);
    for untold in reader.session.take_untold() {
        reader.context.inbox.push(Event::Untold(untold));
    }
}

struct Reader {
    incoming: Incoming,
    identity: Option<Arc<TlsIdentity>>,
    guest: Option<Guest>,
    address: Option<IpAddr>,
    session_ref: SessionRef,
    session: Rc<Session>,
    context: Rc<SessionContext>,
    buffer: Vec<u8>,
    filled: usize,
    unfinished: Unfinished,
    keep_alive: KeepAlive,
    /// Since when it has had its share in flight, without its socket having been empty.
    held_since: Option<Instant>,
    bad_frames: BadFrames,
    parse: Sampler,
    scratch: Vec<u8>,
}

impl Reader {
    async fn run(&mut self) -> CloseReason {
        loop {
            match self.turn().await {
                Ok(More::MayWait) => {
                    // glommio reads on without a pause where it can, and would never come to the
                    // other tasks while a peer writes as fast as this session reads.
                    yield_to_rings().await;
                }
                Ok(More::Nothing) => self.held_since = None,
                Err(CloseReason::Certificate) => {
                    self.leave().await;
                    return CloseReason::Certificate;
                }
                Err(reason) => return reason,
            }
        }
    }

    //= docs/rules.md#L-04
    /// What is in flight is answered, for as long as the acquirer takes answers.
    async fn leave(&self) {
        let (conn, clock) = (&self.session.conn, self.context.clock);
        self.session.at_rest().await;
        let until = clock.now().after(LAST_ANSWER_MAX);
        while let Ok(false) = conn.flush(clock.now())
            && clock.now() < until
        {
            sleep(LAST_ANSWER_LOOK).await;
        }
        if !conn.has_unwritten() {
            self.session.written();
        }
    }

    async fn turn(&mut self) -> Result<More, CloseReason> {
        let more = self.fill().await?;
        self.take_frames().await?;
        self.flush()?;
        Ok(more)
    }

    /// Reads once. A frame that has begun must end before its deadline.
    async fn fill(&mut self) -> Result<More, CloseReason> {
        let now = self.context.clock.now();
        let left = self.unfinished.time_left(now);
        let left = left.map_err(|_| CloseReason::Deadline)?;
        let echo = self.session.poll_timeout().map(|at| at.since(now));
        // A read that may not take any time would not be one.
        let echo = echo.map(|left| left.max(TIMER_RESOLUTION));
        let left = left.into_iter().chain(echo).min();
        self.incoming
            .set_read_timeout(left)
            .map_err(|_| CloseReason::Error)?;
        let Some(free) = self.buffer.get_mut(self.filled..) else {
            return Err(CloseReason::Frame);
        };
        let reading = self.incoming.read(self.session.conn.tls(), free);
        let read = match &self.guest {
            None => reading.await,
            Some(guest) if guest.is_over() => return Err(CloseReason::Certificate),
            Some(guest) => {
                let over = async {
                    guest.over().await;
                    None
                };
                let read = future::or(async { Some(reading.await) }, over).await;
                read.ok_or(CloseReason::Certificate)?
            }
        };
        match read {
            Ok(Got::End) => Err(CloseReason::Peer),
            Ok(Got::Bytes(count, more)) => {
                self.filled = self.filled.saturating_add(count);
                Ok(more)
            }
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => self.timed_out(),
            Err(_) => Err(CloseReason::Peer),
        }
    }

    /// A frame that is not whole in time ends the session; silence is asked whether anybody is
    /// there.
    fn timed_out(&self) -> Result<More, CloseReason> {
        let now = self.context.clock.now();
        if self.unfinished.time_left(now).is_err() {
            return Err(CloseReason::Deadline);
        }
        self.session.handle_timeout(now, self.context.clock.wall());
        if self.session.conn.is_closed() {
            return Err(CloseReason::Silent);
        }
        Ok(More::Nothing)
    }

    /// Takes all whole frames out of the buffer and moves the rest to its front.
    async fn take_frames(&mut self) -> Result<(), CloseReason> {
        let mut start = 0;
        let received = self.context.clock.now();
        self.count_bad_frames(received, self.session.take_malformed())?;
        while let Some(rest) = self.buffer.get(start..self.filled) {
            let wire = &self.context.wire;
            match wire.framing.split(rest, wire.frame_len_max) {
                FrameStep::NeedMore { .. } => break,
                FrameStep::KeepAlive { consumed } => {
                    start = start.saturating_add(consumed);
                    self.take_keep_alive(received)?;
                }
                FrameStep::Refused(_) => {
                    self.context.metrics.count_bad_length(Side::Acquirer);
                    return Err(CloseReason::Frame);
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
                    self.take_frame(body..end, received).await?;
                }
            }
        }
        self.buffer.copy_within(start..self.filled, 0);
        self.filled = self.filled.saturating_sub(start);
        if self.filled == 0 {
            self.unfinished.note(start, 0, received);
        } else {
            // Not since it was read: this side may have held the session back in between.
            self.unfinished
                .note(start, self.filled, self.context.clock.now());
        }
        Ok(())
    }

    /// Writes what was answered here. What the socket does not take is left to the loop.
    fn flush(&self) -> Result<(), CloseReason> {
        match self.session.conn.flush(self.context.clock.now()) {
            Ok(true) => {
                self.session.written();
                Ok(())
            }
            Ok(false) => {
                self.context.inbox.push(Event::Blocked {
                    session: self.session_ref,
                });
                Ok(())
            }
            Err(_) => Err(CloseReason::Error),
        }
    }

    /// Not reading is the back-pressure that an acquirer feels (fault 72), but what is not read
    /// waits in the kernel, where nobody sees its age. So a session is held only for as long as a
    /// request may wait; while its socket has not been empty since, it is read, and what is beyond
    /// its share is refused (fault 87).
    async fn wait_for_capacity(&mut self, claim: Claim) -> Result<(), CloseReason> {
        let now = self.context.clock.now();
        let held = now.since(*self.held_since.get_or_insert(now));
        let left = self.context.request_wait_max.saturating_sub(held);
        if !claim.gives_way() {
            self.flush()?;
            self.session.capacity(claim).await;
        } else if !left.is_zero() {
            self.flush()?;
            future::or(self.session.capacity(claim), sleep(left)).await;
        }
        if self.session.conn.is_closed() {
            Err(CloseReason::SlowReader)
        } else {
            Ok(())
        }
    }

    /// A frame without a message: never passed on.
    fn take_keep_alive(&mut self, received: Instant) -> Result<(), CloseReason> {
        match self.keep_alive.received(received) {
            Reaction::Ignore => Ok(()),
            Reaction::Close => Err(CloseReason::Frame),
            Reaction::Answer => {
                let framing = self.context.wire.framing;
                let len = framing.enclose(&mut self.scratch, 0);
                self.push(len.map_err(|_| CloseReason::Error)?)
            }
        }
    }

    async fn take_frame(
        &mut self,
        range: Range<usize>,
        received: Instant,
    ) -> Result<(), CloseReason> {
        let context = &self.context;
        let (framing, form) = (context.wire.framing, context.wire.header);
        let (header, message) = match form.strip(self.buffer.get(range).unwrap_or_default()) {
            Ok(Stripped::Message { header, message }) => (header, message),
            // An answer of ours comes back: its request has had its outcome, and a repeat gets it.
            Ok(Stripped::Rejected { .. }) => {
                context.metrics.count_meaningless(Side::Acquirer);
                return self.count_bad_frames(received, 1);
            }
            Err(_) => {
                context.metrics.count_bad_length(Side::Acquirer);
                return Err(CloseReason::Frame);
            }
        };
        let mut frame = context.pool.take(message, Casing { framing, header });
        frame.acquirer = context.acquirer;
        frame.listener = context.listener;
        frame.received = received;
        frame.queued = received;
        let timing = self.parse.begin(context.clock);
        let parsed = context.dialect.parse(&frame.bytes, &mut frame.index);
        self.parse.end(timing, context.clock, &context.metrics);
        let padding = Counter::SessionPadding(context.listener);
        context
            .metrics
            .count_wrong_padding(padding, frame.message());
        if let Err(error) = parsed {
            context.metrics.count_parse_error(Side::Acquirer, error);
        } else if let Err(error) = context.check_mac(&frame) {
            self.refuse_unauthentic(frame, error)?;
            return self.count_bad_frames(received, 1);
        } else if !self.is_permitted(&frame) {
            self.note(What::Permission, Why::Institution);
            let code = Some(context.not_permitted);
            self.refuse_unheard(frame, code, RejectReason::NotPermitted)?;
            return self.count_bad_frames(received, 1);
        } else {
            self.session.heard(&frame, received);
        }
        match classify(frame.message(), parsed) {
            Class::Transaction(claim) => {
                crash::point(Step::FrameParsed);
                self.admit(frame, claim).await
            }
            Class::Network => {
                self.take_network(frame, received);
                Ok(())
            }
            Class::NetworkAnswer => {
                context.pool.give(frame);
                Ok(())
            }
            Class::Refuse { code, field } => {
                self.count_refusal(code, parsed.is_ok());
                self.refuse(frame, code, field)?;
                self.count_bad_frames(received, 1)
            }
            Class::Close => {
                context.pool.give(frame);
                Err(CloseReason::Frame)
            }
        }
    }

    /// Counts a message that is refused at once, whether or not it could be read.
    fn count_refusal(&self, code: ResponseCode, is_readable: bool) {
        let metrics = &self.context.metrics;
        metrics.count(Counter::Requests(Ingress::Iso));
        let is_unserved = code == ResponseCode::INVALID_TRANSACTION;
        if is_readable && !is_unserved {
            metrics.count_meaningless(Side::Acquirer);
        }
        let reason = if is_unserved {
            RejectReason::Unsupported
        } else {
            RejectReason::Malformed
        };
        metrics.count(Counter::Rejected(Ingress::Iso, reason));
    }

    /// A message enters the queue of the shard's loop, or is refused at once. One that comes before
    /// a sign-on that must be has no answer, and nothing is remembered (semantics §7 rule 1).
    async fn admit(&mut self, mut frame: Box<Frame>, claim: Claim) -> Result<(), CloseReason> {
        //= docs/rules.md#N-05
        self.context.metrics.count(Counter::Requests(Ingress::Iso));
        if !self.session.takes_requests() {
            let reason = RejectReason::NotSignedOn;
            self.context
                .metrics
                .count(Counter::Rejected(Ingress::Iso, reason));
            self.context.pool.give(frame);
            return Ok(());
        }
        if !self.session.has_capacity(claim) {
            if let Err(reason) = self.wait_for_capacity(claim).await {
                let full = Counter::Rejected(Ingress::Iso, RejectReason::SessionFull);
                self.context.metrics.count(full);
                self.context.pool.give(frame);
                return Err(reason);
            }
            frame.queued = self.context.clock.now();
        }
        if let Some(reason) = self.excess(claim) {
            self.context
                .metrics
                .count(Counter::Rejected(Ingress::Iso, reason));
            return self.refuse(frame, ResponseCode::MALFUNCTION, None);
        }
        self.hand_over(frame);
        Ok(())
    }

    /// Why a message cannot be taken.
    fn excess(&self, claim: Claim) -> Option<RejectReason> {
        if claim.gives_way()
            && let Some(reason) = self.context.gate.shedding()
        {
            return Some(reason);
        }
        if !self.session.has_capacity(claim) {
            Some(RejectReason::SessionFull)
        } else if !self.session.share.has_room(claim) {
            Some(RejectReason::AcquirerFull)
        } else if !self.context.inbox.takes(claim) {
            Some(RejectReason::QueueFull)
        } else {
            None
        }
    }

    fn hand_over(&self, frame: Box<Frame>) {
        self.session.begin();
        self.context.inbox.push(Event::Request {
            session: self.session_ref,
            frame,
        });
    }

    fn refuse(
        &mut self,
        frame: Box<Frame>,
        code: ResponseCode,
        field: Option<u8>,
    ) -> Result<(), CloseReason> {
        let class = refuse(frame.message(), code, field);
        let code = self.context.told(code);
        let result = if class == Class::Close {
            Err(CloseReason::Frame)
        } else {
            self.answer(&frame, |dialect, out| {
                translate::write_refusal(dialect, frame.message(), code, field, out).ok()
            })
        };
        self.context.pool.give(frame);
        result
    }

    /// A message with a missing or wrong MAC: nothing is remembered of it (fault 80).
    fn refuse_unauthentic(
        &mut self,
        frame: Box<Frame>,
        error: MacError,
    ) -> Result<(), CloseReason> {
        let metrics = &self.context.metrics;
        metrics.count_mac_failure(Side::Acquirer, error);
        let object = Object::Listener(self.context.listener);
        let incident = Incident::mac(object, self.address, error);
        self.context.audit.note(incident);
        let answer = self.context.mac_failure_answer;
        self.refuse_unheard(frame, answer, RejectReason::Mac)
    }

    /// Hands over to the audit log what is refused. Who it is, a certificate alone has proven.
    fn note(&self, what: What, why: Why) {
        self.context.audit.note(Incident {
            what,
            who: self
                .identity
                .as_ref()
                .map_or(Who::Unknown, |_| Who::Acquirer(self.context.acquirer)),
            from: self.address,
            object: Object::Listener(self.context.listener),
            fate: Fate::Refused,
            why,
        });
    }

    /// Whether the institutions that a message names, DE32 and DE33, are those of its certificate.
    fn is_permitted(&self, frame: &Frame) -> bool {
        let Some(identity) = &self.identity else {
            return true;
        };
        let mut scratch = [0; INSTITUTION_LEN_MAX];
        [32, 33].into_iter().all(|field| {
            let named = frame.message().decode(field, &mut scratch);
            named.is_none_or(|named| identity.speaks_for(named))
        })
    }

    /// What is not heard has an answer at most: nothing is remembered of it. `None` drops it.
    fn refuse_unheard(
        &mut self,
        frame: Box<Frame>,
        answer: Option<ResponseCode>,
        reason: RejectReason,
    ) -> Result<(), CloseReason> {
        let metrics = &self.context.metrics;
        let is_network = frame.message().mti().class() == MessageClass::Network;
        if !is_network {
            metrics.count(Counter::Requests(Ingress::Iso));
            metrics.count(Counter::Rejected(Ingress::Iso, reason));
        }
        match answer {
            // It needs no DE41 for its answer.
            Some(code) if is_network => {
                let code = self.context.told(code);
                let answered = self.answer(&frame, |dialect, out| {
                    translate::write_refusal(dialect, frame.message(), code, None, out).ok()
                });
                self.context.pool.give(frame);
                answered
            }
            Some(code) => self.refuse(frame, code, None),
            None => {
                self.context.pool.give(frame);
                Ok(())
            }
        }
    }

    //= docs/rules.md#N-01
    /// What the acquirer asks is always answered, and goes no further. A new key is answered when
    /// every shard has it.
    fn take_network(&self, frame: Box<Frame>, now: Instant) {
        let context = &self.context;
        let Said::Asks(kind) = context.voice.said(frame.message()) else {
            return context.pool.give(frame);
        };
        let told = match kind {
            NetworkKind::KeyChange => match context.voice.key_in(frame.message()) {
                KeyMessage::New(key) => {
                    return context.inbox.push(Event::SessionKey {
                        session: self.session_ref,
                        frame,
                        key,
                    });
                }
                KeyMessage::Refused(why) => {
                    tracing::error!(%why, "new key of a session refused, the old one stays");
                    self.note(What::KeyChange, Why::KeyUnusable);
                    Told::of_key(why)
                }
                KeyMessage::None | KeyMessage::Unserved => Told::Refused(NetworkRefusal::NotServed),
            },
            NetworkKind::SignOn
            | NetworkKind::SignOff
            | NetworkKind::Echo
            | NetworkKind::CutOver
            | NetworkKind::CutOverEnd
            | NetworkKind::Other => Told::Accepted,
        };
        self.session.answer_network(&frame, told);
        self.session.asked(kind, now);
        if kind == NetworkKind::CutOver {
            let wall = context.clock.wall();
            context.inbox.push(Event::SessionCutOver {
                listener: context.listener,
                named: translate::settlement_date(frame.message(), wall),
            });
        }
        context.pool.give(frame);
    }

    /// Writes one answer made in the session, with its MAC, in the casing of what it answers. An
    /// answer that cannot be written closes the session: silence would leave the acquirer waiting.
    fn answer(
        &mut self,
        request: &Frame,
        write: impl FnOnce(&'static Dialect, &mut [u8]) -> Option<usize>,
    ) -> Result<(), CloseReason> {
        let dialect = self.context.dialect;
        let class = request.message().mti().class();
        let keys = self.context.voice.keys.as_ref();
        let keys = keys.and_then(|keys| keys.of(class));
        let casing = request.casing.reply();
        let framed = casing.write(&mut self.scratch, |body| {
            let len = write(dialect, body)?;
            endpoint_keys::append(keys, dialect, body, len)
        });
        self.push(framed.ok_or(CloseReason::Error)?)
    }

    /// Queues the frame of `len` bytes in the scratch buffer.
    fn push(&self, len: usize) -> Result<(), CloseReason> {
        let bytes = self.scratch.get(..len).unwrap_or_default();
        match self.session.conn.push(bytes) {
            Ok(()) => Ok(()),
            Err(_) => Err(CloseReason::SlowReader),
        }
    }

    fn count_bad_frames(&self, now: Instant, count: u32) -> Result<(), CloseReason> {
        if self.bad_frames.add(now, count) > self.context.bad_frames_per_minute_max {
            return Err(CloseReason::Frame);
        }
        Ok(())
    }
}

/// How long the last answers of a session may take to leave.
const LAST_ANSWER_MAX: Duration = Duration::from_secs(5);
const LAST_ANSWER_LOOK: Duration = Duration::from_millis(10);
/// Characters of DE32 and of DE33.
const INSTITUTION_LEN_MAX: usize = 11;
/// The finest that a read is timed.
const TIMER_RESOLUTION: Duration = Duration::from_millis(1);

/// Too many open files, in the process and in the system (Linux errno).
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
