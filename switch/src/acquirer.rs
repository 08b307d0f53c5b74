//! The acquirers' side: listeners, sessions, and the table that leads an answer back to its
//! session.

mod classify;
mod gateway;
mod json;
mod listener;
mod places;
mod session;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use domain::ids::{AcquirerId, ShardId};
use domain::network::NetworkKind;
use domain::time::{Instant, WallTime};
use slab::Slab;
use transaction::network::{SessionInput, SessionMachine, SessionOutput};

use crate::conn::Conn;
use crate::frame::{Casing, Claim, Frame};
use crate::shard::telling::Approval;
use crate::voice::{NetworkStan, Told, Voice};

pub(crate) use gateway::{
    Alarms, CredentialsInForce, DATE_APART_MAX, GatewayContext, Polls, Rates, desk,
    listen as listen_for_gateway,
};
pub(crate) use listener::{ListenerSetup, listen};
pub(crate) use places::Places;
pub(crate) use session::SessionContext;

/// JSON as it is read from peers.
pub(crate) mod strict {
    pub(crate) use super::json::strict::{Node, read};
}

/// How a transaction is shown to gateways.
pub(crate) mod shown {
    pub(crate) use super::json::problem::Slug;
    pub(crate) use super::json::{Asked, Awaits, Kind, Notification, State, Transaction};
}

/// A time as of RFC 3339.
pub(crate) fn read_time(text: &str) -> Option<WallTime> {
    json::time::read(text).ok()
}

/// Leads an answer back to the session that asked, on whichever shard that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionRef {
    /// The session's shard.
    pub(crate) shard: ShardId,
    /// Its place in that shard's table.
    pub(crate) index: u32,
    /// Tells it from an earlier session in the same place.
    pub(crate) generation: u32,
}

/// One acquirer connection, as its reading task and the shard's loop see it.
pub(crate) struct Session {
    /// The write side.
    pub(crate) conn: Conn,
    generation: u32,
    inflight: Cell<u32>,
    inflight_max: u32,
    /// What its acquirer has in flight on this shard, over all its sessions.
    share: Rc<Share>,
    /// Its connection has ended; it is kept until nothing of it is in flight.
    is_gone: Cell<bool>,
    malformed: Cell<u32>,
    /// Approvals that are queued and not written, of profiles that reverse what nobody is told of.
    untold: RefCell<Vec<Approval>>,
    reader: Cell<Option<Waker>>,
    network: RefCell<Network>,
    voice: Rc<Voice>,
}

/// What one acquirer has in flight on one shard. It outlives its sessions: whoever connects anew
/// gets no more of it.
#[derive(Debug)]
pub(crate) struct Share {
    inflight: Cell<u32>,
    inflight_max: u32,
}

impl Share {
    fn new(inflight_max: u32) -> Rc<Self> {
        Rc::new(Self {
            inflight: Cell::new(0),
            inflight_max,
        })
    }

    /// One more is in flight.
    pub(crate) fn begin(&self) {
        self.inflight.set(self.inflight.get() + 1);
    }

    /// One has ended.
    pub(crate) fn end(&self) {
        let inflight = self.inflight.get();
        debug_assert!(inflight > 0, "invariant: each end has its begin");
        self.inflight.set(inflight.saturating_sub(1));
    }

    /// Whether one more message of this claim may be in flight. Only what is new is ever refused
    /// for it: what repeats or ends something is bounded by its session.
    pub(crate) fn has_room(&self, claim: Claim) -> bool {
        match claim {
            Claim::New | Claim::Administrative => self.inflight.get() < self.inflight_max,
            Claim::Repeat | Claim::Reversal | Claim::Advice | Claim::Reconciliation => true,
        }
    }
}

/// What network messages have made of a session.
struct Network {
    machine: SessionMachine,
    stan: NetworkStan,
    /// How its last message stood on the connection: messages of ours stand so too.
    casing: Option<Casing>,
    scratch: Vec<u8>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("inflight", &self.inflight)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Waits until the session may have one more message of this claim in flight. Not reading is
    /// the back-pressure that an acquirer feels.
    pub(crate) async fn capacity(&self, claim: Claim) {
        poll_fn(|cx| {
            if self.has_capacity(claim) || self.conn.is_closed() {
                Poll::Ready(())
            } else {
                self.reader.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await;
    }

    /// Whether [`Session::capacity`] would return at once. What is never refused for want of room
    /// has as much room again: it need not wait behind what is.
    pub(crate) fn has_capacity(&self, claim: Claim) -> bool {
        let share = match claim {
            Claim::New | Claim::Administrative => self.inflight_max,
            Claim::Repeat | Claim::Reversal | Claim::Advice | Claim::Reconciliation => {
                self.inflight_max.saturating_mul(2)
            }
        };
        self.inflight.get() < share
    }

    /// The loop found one of its messages malformed.
    pub(crate) fn count_malformed(&self) {
        self.malformed.set(self.malformed.get().saturating_add(1));
    }

    /// How many the loop has found so since the last call.
    pub(crate) fn take_malformed(&self) -> u32 {
        self.malformed.take()
    }

    /// Whether its transactions are looked at: it may have to sign on first.
    pub(crate) fn takes_requests(&self) -> bool {
        self.network.borrow().machine.takes_requests()
    }

    /// A message of the acquirer came, which is what it says to be.
    pub(crate) fn heard(&self, frame: &Frame, now: Instant) {
        let mut network = self.network.borrow_mut();
        network.casing = Some(frame.casing.reply());
        network.machine.handle_input(SessionInput::Heard, now);
    }

    /// The acquirer has sent a network message, which was answered.
    pub(crate) fn asked(&self, kind: NetworkKind, now: Instant) {
        let mut network = self.network.borrow_mut();
        network.machine.handle_input(SessionInput::Asked(kind), now);
    }

    /// When an echo is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.network.borrow().machine.poll_timeout()
    }

    /// Sends an echo that is due; closes the connection when nobody answers them.
    pub(crate) fn handle_timeout(&self, now: Instant, wall: WallTime) {
        self.network.borrow_mut().machine.handle_timeout(now);
        self.act(wall);
    }

    /// The process takes no more work: signs off, where the acquirer has signed on.
    pub(crate) fn drain(&self, now: Instant, wall: WallTime) {
        let drain = SessionInput::Drain;
        self.network.borrow_mut().machine.handle_input(drain, now);
        self.act(wall);
    }

    /// Answers a network message of the acquirer. An answer that cannot be written closes the
    /// session: silence would leave the acquirer waiting.
    pub(crate) fn answer_network(&self, request: &Frame, told: Told) {
        let mut network = self.network.borrow_mut();
        let len = self.voice.answer(request, told, &mut network.scratch);
        self.push(len, &network.scratch);
    }

    fn act(&self, wall: WallTime) {
        let mut network = self.network.borrow_mut();
        while let Some(output) = network.machine.poll_output() {
            match output {
                SessionOutput::Send(kind) => {
                    // Nothing has come yet that would say what stands around a message.
                    let Some(casing) = network.casing else {
                        continue;
                    };
                    let stan = network.stan.next();
                    let out = &mut network.scratch;
                    let len = self.voice.ask(kind, stan, wall, casing, out);
                    self.push(len, out);
                }
                SessionOutput::Close => self.conn.close(),
            }
        }
    }

    fn push(&self, len: Option<usize>, scratch: &[u8]) {
        let bytes = len.and_then(|len| scratch.get(..len));
        if bytes.is_none_or(|bytes| self.conn.push(bytes).is_err()) {
            self.conn.close();
        }
    }

    /// An answer was queued, perhaps one that must not be lost in silence.
    pub(crate) fn tell(&self, approval: Option<Approval>) {
        self.untold.borrow_mut().extend(approval);
    }

    /// Its socket has taken all that was queued, unless it was closed.
    pub(crate) fn written(&self) {
        if !self.conn.is_closed() {
            self.untold.borrow_mut().clear();
        }
    }

    /// What was queued and not written.
    pub(crate) fn take_untold(&self) -> Vec<Approval> {
        self.untold.take()
    }

    /// Waits until nothing of it is in flight: each message has its end.
    pub(crate) async fn at_rest(&self) {
        poll_fn(|cx| {
            if self.inflight.get() == 0 || self.conn.is_closed() {
                return Poll::Ready(());
            }
            self.reader.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// One more request is in flight.
    pub(crate) fn begin(&self) {
        self.inflight.set(self.inflight.get() + 1);
        self.share.begin();
    }

    /// One request has ended.
    fn end(&self) {
        debug_assert!(self.inflight.get() > 0, "invariant: each end has its begin");
        self.inflight.set(self.inflight.get().saturating_sub(1));
        self.share.end();
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The sessions of one shard.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    table: Rc<RefCell<Slab<Rc<Session>>>>,
    generation: Rc<Cell<u32>>,
    /// Sessions whose connection stands.
    open: Rc<Cell<usize>>,
    count_max: usize,
    inflight_max: u32,
    /// By acquirer.
    shares: Rc<[Rc<Share>]>,
    shard: ShardId,
}

impl Sessions {
    /// At most `count_max` sessions, each with at most `inflight_max` requests in flight, those of
    /// one acquirer together with what `shares` says.
    pub(crate) fn new(
        shard: ShardId,
        count_max: usize,
        inflight_max: u32,
        shares: impl Iterator<Item = u32>,
    ) -> Self {
        Self {
            table: Rc::new(RefCell::new(Slab::with_capacity(count_max.min(1024)))),
            generation: Rc::new(Cell::new(0)),
            open: Rc::new(Cell::new(0)),
            count_max,
            inflight_max,
            shares: shares.map(Share::new).collect(),
            shard,
        }
    }

    /// Adds a session; `None` when there are too many.
    pub(crate) fn open(
        &self,
        conn: Conn,
        context: &SessionContext,
    ) -> Option<(SessionRef, Rc<Session>)> {
        let mut table = self.table.borrow_mut();
        if self.open.get() >= self.count_max {
            return None;
        }
        let share = self.shares.get(usize::from(context.acquirer.0))?;
        let generation = self.generation.get().wrapping_add(1);
        self.generation.set(generation);
        let session = Rc::new(Session {
            conn,
            generation,
            inflight: Cell::new(0),
            inflight_max: self.inflight_max,
            share: Rc::clone(share),
            is_gone: Cell::new(false),
            malformed: Cell::new(0),
            untold: RefCell::default(),
            reader: Cell::new(None),
            network: RefCell::new(Network {
                machine: SessionMachine::new(context.policy, context.clock.now()),
                stan: NetworkStan::default(),
                casing: None,
                scratch: vec![0; NETWORK_LEN_MAX],
            }),
            voice: Rc::clone(&context.voice),
        });
        let index = u32::try_from(table.insert(Rc::clone(&session))).ok()?;
        self.open.set(self.open.get() + 1);
        Some((
            SessionRef {
                shard: self.shard,
                index,
                generation,
            },
            session,
        ))
    }

    /// What an acquirer has in flight on this shard.
    pub(crate) fn share(&self, acquirer: AcquirerId) -> Option<&Share> {
        self.shares.get(usize::from(acquirer.0)).map(Rc::as_ref)
    }

    /// A session's connection has ended; answers that still come for it are dropped.
    pub(crate) fn close(&self, session: SessionRef) {
        let mut table = self.table.borrow_mut();
        if let Some(found) = self.find(&table, session) {
            found.conn.close();
            if !found.is_gone.replace(true) {
                self.open.set(self.open.get().saturating_sub(1));
            }
            if found.inflight.get() == 0 {
                table.remove(session.index as usize);
            }
        }
    }

    /// One message of a session has ended. The session, if it is still there.
    pub(crate) fn end(&self, session: SessionRef) -> Option<Rc<Session>> {
        let mut table = self.table.borrow_mut();
        let found = self.find(&table, session)?;
        found.end();
        if !found.is_gone.get() {
            return Some(found);
        }
        if found.inflight.get() == 0 {
            table.remove(session.index as usize);
        }
        None
    }

    /// The session, if it is still there.
    pub(crate) fn get(&self, session: SessionRef) -> Option<Rc<Session>> {
        let found = self.find(&self.table.borrow(), session);
        found.filter(|session| !session.is_gone.get())
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Rc<Session>> {
        let table = self.table.borrow();
        table
            .iter()
            .filter(|(_, session)| !session.is_gone.get())
            .map(|(_, session)| Rc::clone(session))
            .collect()
    }

    /// Closes them all; the last step of a drain.
    pub(crate) fn close_all(&self) {
        for (_, session) in self.table.borrow().iter() {
            session.conn.close();
        }
    }

    fn find(&self, table: &Slab<Rc<Session>>, wanted: SessionRef) -> Option<Rc<Session>> {
        debug_assert_eq!(
            wanted.shard, self.shard,
            "invariant: answers go to the session's shard"
        );
        let session = table.get(wanted.index as usize)?;
        (session.generation == wanted.generation).then(|| Rc::clone(session))
    }
}

/// Bytes of the largest network message: the answer to one has its echo fields, which are few.
const NETWORK_LEN_MAX: usize = 1_024;
