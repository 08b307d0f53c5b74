//! One link: while connections can be made it takes messages, and has an exchange for each.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use domain::request::Answer;
use domain::response_code::ResponseCode;
use domain::time::Instant;
use futures_lite::future;
use glommio::timer::sleep;
use iso8583::Framing;
use iso8583::Mti;
use iso8583::frame::FrameStep;
use iso8583::header::{HeaderBytes, RejectCode};
use iso8583::mti::{Class, Function};
use iso8583::translate;
use router::selection::CallOutcome;
use transaction::network::{Backoff, BackoffPolicy};
use zeroize::{Zeroize as _, Zeroizing};

use super::HttpIssuer;
use super::bridge::Bridge;
use super::connections::{Connection, Connections};
use super::connector::{self, Verdict};
use super::operation::Asked;
use super::reply::Reply;
use super::submits::Submit;
use crate::conn::Conn;
use crate::frame::{Casing, Frame};
use crate::issuer::{ConnectionSetup, Received};
use crate::shard::Event;

/// Runs until the process ends. The link is up for as long as connections can be made: from the
/// first one until one is refused.
pub(crate) async fn keep_asking(setup: ConnectionSetup, issuer: Rc<HttpIssuer>) {
    let policy = BackoffPolicy {
        first: BACKOFF_FIRST.min(setup.backoff_max),
        max: setup.backoff_max,
        reset_after: BACKOFF_RESET,
    };
    let mut backoff = Backoff::new(policy, setup.seed);
    let setup = Rc::new(setup);
    let connections = Rc::new(Connections::new(Rc::clone(&setup), &issuer.plan));
    let mut is_told = false;
    while !setup.gate.is_closed() {
        let made = match connections.room(&issuer.plan) {
            Some(room) => room.connect().await,
            // Of exchanges that began before the link was lost. One that is over shows as much.
            None => {
                let standing = connections.standing(&issuer.plan).await;
                standing.ok_or_else(|| "all its connections are in use".to_owned())
            }
        };
        match made {
            Ok(connection) => {
                is_told = false;
                connections.keep(connection);
                let lane = Lane {
                    setup: Rc::clone(&setup),
                    issuer: Rc::clone(&issuer),
                    connections: Rc::clone(&connections),
                    bridge: Rc::default(),
                };
                serve(&Rc::new(lane)).await;
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

/// One link while it is up. Its exchanges go on when it is lost.
struct Lane {
    setup: Rc<ConnectionSetup>,
    issuer: Rc<HttpIssuer>,
    connections: Rc<Connections>,
    bridge: Rc<Bridge>,
}

/// Why an exchange has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// Provably no byte of the request left.
    NotSent,
    /// Bytes may have left.
    Unknown,
}

/// Until when what of an exchange may go on.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Nothing of the request is written from then on.
    write: Instant,
    /// The answer is waited for no longer.
    answer: Instant,
}

impl Lane {
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
        let by = self.bridge.next_by();
        let mut frame = setup.pool.take(message, casing(setup.wire.framing));
        frame.received = setup.clock.now();
        if setup.dialect.parse(&frame.bytes, &mut frame.index).is_err() {
            // What this switch writes can be read; if not, its timer decides.
            return setup.pool.give(frame);
        }
        let lane = Rc::clone(self);
        let exchange = async move { lane.exchange(frame, by).await };
        glommio::spawn_local(exchange).detach();
    }

    //= docs/rules.md#M-13
    /// `by` is when a submit is to have left.
    async fn exchange(self: &Rc<Self>, mut frame: Box<Frame>, by: Instant) {
        let answer = frame.received.after(self.issuer.plan.answer_max);
        if frame.message().mti().class() == Class::Network {
            return self.answer_echo(frame, answer).await;
        }
        let (plan, wall) = (&self.issuer.plan, self.setup.clock.wall());
        let asked = Asked::of(plan, frame.message(), wall);
        let is_inquiry = is_inquiry(frame.message().mti());
        // No issuer is told more of a card than its number, and a payer may take minutes.
        frame.scrub_sensitive();
        let Some(asked) = asked else {
            // It was served when it left.
            if is_inquiry {
                return self.tell(frame, Received::Unusable);
            }
            return self.tell_rejected(frame, NOT_SERVED, CallOutcome::NotCalled);
        };
        if asked.is_reversal {
            self.reverse(frame, &asked, answer).await;
        } else if is_inquiry {
            self.resume(frame, &asked, by).await;
        } else {
            self.submit(frame, &asked, (answer, by)).await;
        }
    }

    //= docs/rules.md#M-13
    /// An answer that does not decide is followed by a query, where the issuer has one.
    async fn submit(
        self: &Rc<Self>,
        frame: Box<Frame>,
        asked: &Asked,
        (answer, by): (Instant, Instant),
    ) {
        let plan = &self.issuer.plan;
        let request = self.issuer.show(frame.received, |shown| {
            connector::request(plan, asked, shown)
        });
        let Some(request) = request else {
            return self.tell(frame, Received::Unsent);
        };
        let Some(request) = request else {
            return self.tell_rejected(frame, NOT_SERVED, CallOutcome::NotCalled);
        };
        let Some(submit) = self.issuer.submits.begin(&asked.our_id) else {
            return self.tell(frame, Received::Unsent);
        };
        let write = answer.min(by);
        let limits = Limits { write, answer };
        match self.ask(&request, Some(&submit), limits).await {
            Ok(reply) => match connector::judge(plan, asked, &reply) {
                Verdict::Pending => {
                    let doubt = Doubt::new(&submit, by, CallOutcome::Success);
                    self.inquire(frame, asked, doubt).await;
                }
                Verdict::Unknown => {
                    let doubt = Doubt::new(&submit, by, CallOutcome::Failure);
                    self.inquire(frame, asked, doubt).await;
                }
                verdict => self.tell_verdict(frame, verdict, reply.status),
            },
            Err(Failed::NotSent) => self.tell(frame, Received::Unsent),
            Err(Failed::Unknown) => {
                let doubt = Doubt::new(&submit, by, CallOutcome::Failure);
                self.inquire(frame, asked, doubt).await;
            }
        }
    }

    fn tell_verdict(&self, frame: Box<Frame>, verdict: Verdict, status: u16) {
        let code = RejectCode(status);
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
            //= docs/rules.md#R-05
            Verdict::NotExecuted => {
                let is_busy = status == 429 || status >= 500;
                let call = if is_busy {
                    CallOutcome::Failure
                } else {
                    CallOutcome::Success
                };
                self.tell_rejected(frame, code, call);
            }
            Verdict::NotLetIn => {
                self.note_not_let_in(status);
                self.tell_rejected(frame, code, CallOutcome::Failure);
            }
            Verdict::Pending | Verdict::TakenBack | Verdict::Unknown => {
                self.tell(frame, Received::Unusable);
            }
        }
    }

    fn note_not_let_in(&self, status: u16) {
        self.issuer.refuse_access();
        if let Some(count) = self.issuer.not_let_in.note(self.setup.clock.now()) {
            let (issuer, link) = (&self.setup.issuer, self.setup.link);
            tracing::error!(
                %issuer, %link, status, count, "the issuer does not let the switch in"
            );
        }
    }

    /// One request and its answer. Nothing is sent a second time.
    async fn ask(
        self: &Rc<Self>,
        request: &[u8],
        submit: Option<&Submit>,
        limits: Limits,
    ) -> Result<Reply, Failed> {
        let mut connection = self.connection(limits.write).await?;
        let clock = self.setup.clock;
        let now = clock.now();
        // From here to its first byte nothing else runs.
        if now >= limits.write || !submit.is_none_or(Submit::leave) {
            self.connections.keep(connection);
            return Err(Failed::NotSent);
        }
        let exchange = async {
            let written = connection.write_all(request, limits.write, clock).await;
            written.ok()?;
            connection.read_reply().await
        };
        let late = async {
            sleep(limits.answer.since(now)).await;
            None
        };
        let reply = future::or(exchange, late).await.ok_or(Failed::Unknown)?;
        if reply.keeps {
            self.connections.keep(connection);
        }
        Ok(reply)
    }

    /// One that waits, if it still stands; else a new one, which is waited for `until` then.
    async fn connection(self: &Rc<Self>, until: Instant) -> Result<Connection, Failed> {
        let plan = &self.issuer.plan;
        if let Some(connection) = self.connections.standing(plan).await {
            return Ok(connection);
        }
        let room = self.connections.room(plan).ok_or(Failed::NotSent)?;
        let is_wanted = Rc::new(Cell::new(true));
        let connecting = {
            let (lane, is_wanted) = (Rc::clone(self), Rc::clone(&is_wanted));
            async move {
                match room.connect().await {
                    Ok(connection) if is_wanted.get() => Some(connection),
                    // Of use to the next request.
                    Ok(connection) => {
                        lane.connections.keep(connection);
                        None
                    }
                    Err(reason) => {
                        lane.lose(&reason);
                        None
                    }
                }
            }
        };
        // A task of its own: who has its turn to connect, and is dropped, would take it along.
        let connecting = glommio::spawn_local(connecting).detach();
        let late = async {
            sleep(until.since(self.setup.clock.now())).await;
            None
        };
        let made = future::or(async { connecting.await.flatten() }, late).await;
        is_wanted.set(false);
        made.ok_or(Failed::NotSent)
    }

    /// No further connection can be made.
    fn lose(&self, reason: &str) {
        let (issuer, link) = (&self.setup.issuer, self.setup.link);
        tracing::debug!(%issuer, %link, reason, "no further connection");
        self.bridge.end_for("error");
    }

    /// A sign of life is that a connection stands, or can be made.
    async fn answer_echo(self: &Rc<Self>, frame: Box<Frame>, until: Instant) {
        match self.connection(until).await {
            Ok(connection) => self.connections.keep(connection),
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

    fn tell_rejected(&self, frame: Box<Frame>, code: RejectCode, call: CallOutcome) {
        self.tell(frame, Received::Rejected { code, call });
    }

    fn tell(&self, frame: Box<Frame>, received: Received) {
        self.setup.inbox.push(Event::LinkFrame {
            link: self.setup.link,
            frame,
            received,
        });
    }
}

//= docs/rules.md#T-16
/// Whether a message asks what became of a request that left before this start.
fn is_inquiry(mti: Mti) -> bool {
    let is_request = matches!(mti.class(), Class::Authorisation | Class::Financial)
        && mti.function() == Function::Request;
    is_request && mti.is_repeat()
}

const fn casing(framing: Framing) -> Casing {
    Casing {
        framing,
        header: HeaderBytes::NONE,
    }
}

/// Of what is not asked over HTTP.
const NOT_SERVED: RejectCode = RejectCode(0);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_RESET: Duration = Duration::from_secs(60);

mod inquiry;
use inquiry::Doubt;
#[cfg(test)]
mod tests;
