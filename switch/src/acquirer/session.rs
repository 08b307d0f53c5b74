//! One acquirer session: bytes to frames to events. Remembers nothing of a message that is not a
//! well-formed request or reversal.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use domain::ResponseCode;
use domain::ids::AcquirerId;
use domain::time::Instant;
use futures_lite::AsyncReadExt;
use glommio::net::TcpStream;
use iso8583::frame::FrameStep;
use iso8583::{Dialect, Framing, translate};

use super::classify::{Class, classify, refuse};
use super::{Session, SessionRef, Sessions};
use crate::clock::Clock;
use crate::config::ListenerId;
use crate::frame::{Frame, FramePool, write_framed};
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::metrics::{
    AcceptError, CloseReason, Counter, Metrics, ParseReason, RejectReason, Sampler, Side, Stage,
};
use crate::shard::Event;

/// What all sessions of one listener on one shard share.
#[derive(Debug)]
pub(crate) struct SessionContext {
    pub(crate) listener: ListenerId,
    pub(crate) acquirer: AcquirerId,
    pub(crate) dialect: &'static Dialect,
    pub(crate) framing: Framing,
    pub(crate) frame_len_max: usize,
    pub(crate) frame_deadline: Duration,
    pub(crate) bad_frames_per_minute_max: u32,
    pub(crate) out_len_max: usize,
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

    pub(crate) fn count_refused(&self) {
        self.metrics
            .session_refused(self.listener, CloseReason::Limit);
    }

    pub(crate) fn count_accept_error(&self, error: &glommio::GlommioError<()>) {
        let reason = match error.raw_os_error() {
            Some(EMFILE | ENFILE) => AcceptError::FdLimit,
            _ => AcceptError::Other,
        };
        self.metrics.count(Counter::AcceptErrors(reason));
    }
}

/// Reads one session until it ends.
pub(crate) async fn serve(
    stream: TcpStream,
    session_ref: SessionRef,
    session: Rc<Session>,
    context: Rc<SessionContext>,
) {
    let mut reader = Reader {
        stream,
        session_ref,
        session,
        buffer: vec![0; context.frame_len_max.saturating_add(READ_LEN)],
        filled: 0,
        bad_frames: BadFrames::default(),
        parse: Sampler::new(Stage::Parse),
        scratch: vec![0; context.frame_len_max.saturating_add(16)],
        context,
    };
    let reason = reader.run().await;
    reader.context.count_close(reason);
    reader.context.sessions.close(session_ref);
}

struct Reader {
    stream: TcpStream,
    session_ref: SessionRef,
    session: Rc<Session>,
    context: Rc<SessionContext>,
    buffer: Vec<u8>,
    filled: usize,
    bad_frames: BadFrames,
    parse: Sampler,
    scratch: Vec<u8>,
}

impl Reader {
    async fn run(&mut self) -> CloseReason {
        loop {
            if let Err(reason) = self.fill().await {
                return reason;
            }
            if let Err(reason) = self.take_frames().await {
                return reason;
            }
            if let Err(reason) = self.flush() {
                return reason;
            }
        }
    }

    /// Reads once. A frame that has begun must end before its deadline.
    async fn fill(&mut self) -> Result<(), CloseReason> {
        let deadline = (self.filled > 0).then_some(self.context.frame_deadline);
        self.stream
            .set_read_timeout(deadline)
            .map_err(|_| CloseReason::Error)?;
        let Some(free) = self.buffer.get_mut(self.filled..) else {
            return Err(CloseReason::Frame);
        };
        match self.stream.read(free).await {
            Ok(0) => Err(CloseReason::Peer),
            Ok(count) => {
                self.filled = self.filled.saturating_add(count);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                Err(CloseReason::Deadline)
            }
            Err(_) => Err(CloseReason::Peer),
        }
    }

    /// Takes all whole frames out of the buffer and moves the rest to its front.
    async fn take_frames(&mut self) -> Result<(), CloseReason> {
        let mut start = 0;
        let received = self.context.clock.now();
        while let Some(rest) = self.buffer.get(start..self.filled) {
            match self.context.framing.split(rest, self.context.frame_len_max) {
                FrameStep::NeedMore { .. } => break,
                FrameStep::KeepAlive { consumed } => start = start.saturating_add(consumed),
                FrameStep::Refused(_) => return Err(CloseReason::Frame),
                FrameStep::Frame { header, len } => {
                    let body = start.saturating_add(header);
                    start = body.saturating_add(len);
                    if !self.session.has_capacity() {
                        self.wait_for_capacity().await?;
                    }
                    self.take_frame(body..start, received)?;
                }
            }
        }
        self.buffer.copy_within(start..self.filled, 0);
        self.filled = self.filled.saturating_sub(start);
        Ok(())
    }

    /// Writes what was answered here. What the socket does not take is left to the loop.
    fn flush(&self) -> Result<(), CloseReason> {
        match self.session.conn.flush(self.context.clock.now()) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.context.inbox.push(Event::Blocked {
                    session: self.session_ref,
                });
                Ok(())
            }
            Err(_) => Err(CloseReason::Error),
        }
    }

    async fn wait_for_capacity(&self) -> Result<(), CloseReason> {
        self.flush()?;
        self.session.capacity().await;
        if self.session.conn.is_closed() {
            Err(CloseReason::SlowReader)
        } else {
            Ok(())
        }
    }

    fn take_frame(
        &mut self,
        range: std::ops::Range<usize>,
        received: Instant,
    ) -> Result<(), CloseReason> {
        let context = &self.context;
        let bytes = self.buffer.get(range).unwrap_or_default();
        let mut frame = context.pool.take(bytes, context.framing);
        frame.acquirer = context.acquirer;
        frame.received = received;
        let timing = self.parse.begin(context.clock);
        let parsed = context.dialect.parse(&frame.bytes, &mut frame.index);
        self.parse.end(timing, context.clock, &context.metrics);
        match classify(frame.message(), parsed) {
            Class::Request => self.admit(frame),
            Class::Reversal => {
                context.metrics.count(Counter::Requests);
                self.hand_over(frame);
                Ok(())
            }
            Class::Network => {
                let answered = self.answer_network(&frame);
                self.context.pool.give(frame);
                answered
            }
            Class::Refuse { code, field } => {
                context.metrics.count(Counter::Requests);
                context
                    .metrics
                    .count(Counter::Rejected(RejectReason::Malformed));
                self.refuse(frame, code, field)?;
                self.count_bad_frame(received)
            }
            Class::Close => {
                context
                    .metrics
                    .count(Counter::ParseErrors(Side::Acquirer, ParseReason::Frame));
                context.pool.give(frame);
                Err(CloseReason::Frame)
            }
        }
    }

    /// A repeat may have been answered before, so 96 could contradict that answer: repeats go to
    /// the engine also under overload, which knows. A request enters the queue of the shard's loop,
    /// or is refused at once: a queue that cannot grow is what keeps latency bounded under
    /// overload.
    fn admit(&mut self, frame: Box<Frame>) -> Result<(), CloseReason> {
        let context = &self.context;
        context.metrics.count(Counter::Requests);
        let is_repeat = frame.message().mti().is_repeat();
        if !context.inbox.takes(is_repeat, context.gate.is_shedding()) {
            context
                .metrics
                .count(Counter::Rejected(RejectReason::Overloaded));
            return self.refuse(frame, ResponseCode::MALFUNCTION, None);
        }
        self.hand_over(frame);
        Ok(())
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
        let result = if class == Class::Close {
            Err(CloseReason::Frame)
        } else {
            self.answer(|dialect, out| {
                translate::write_refusal(dialect, frame.message(), code, field, out).ok()
            })
        };
        self.context.pool.give(frame);
        result
    }

    fn answer_network(&mut self, frame: &Frame) -> Result<(), CloseReason> {
        self.answer(|dialect, out| {
            translate::write_network_answer(dialect, frame.message(), out).ok()
        })
    }

    /// Writes one answer made in the session. An answer that cannot be written closes the session:
    /// silence would leave the acquirer waiting.
    fn answer(
        &mut self,
        write: impl FnOnce(&'static Dialect, &mut [u8]) -> Option<usize>,
    ) -> Result<(), CloseReason> {
        let framing = self.context.framing;
        let framed = write_framed(framing, &mut self.scratch, |body| {
            write(self.context.dialect, body)
        })
        .ok_or(CloseReason::Error)?;
        let bytes = self.scratch.get(..framed).unwrap_or_default();
        match self.session.conn.push(bytes) {
            Ok(()) => Ok(()),
            Err(_) => Err(CloseReason::SlowReader),
        }
    }

    fn count_bad_frame(&self, now: Instant) -> Result<(), CloseReason> {
        if self.bad_frames.count(now) > self.context.bad_frames_per_minute_max {
            return Err(CloseReason::Frame);
        }
        Ok(())
    }
}

/// Bad but framed messages within the running minute.
#[derive(Debug, Default)]
struct BadFrames {
    since: Cell<Instant>,
    count: Cell<u32>,
}

impl BadFrames {
    fn count(&self, now: Instant) -> u32 {
        if now.since(self.since.get()) >= Duration::from_secs(60) {
            self.since.set(now);
            self.count.set(0);
        }
        self.count.set(self.count.get().saturating_add(1));
        self.count.get()
    }
}

/// Too many open files, in the process and in the system (Linux errno).
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
/// Bytes asked for in one read: enough for some hundred messages, so that a busy session costs one
/// system call for many.
const READ_LEN: usize = 64 * 1024;
