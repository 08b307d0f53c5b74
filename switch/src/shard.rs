//! One shard: the only owner of its engine, router, risk state, journal and links, and the one loop
//! that mutates them.
//!
//! Tasks that read sockets, the journal's writer and the mesh put [`Event`]s into the inbox. The
//! loop takes them, reads the clock once, feeds the engine one input at a time, acts on every
//! output, and writes what the turn produced.

mod act;
mod administering;
mod advising;
mod askers;
pub(crate) mod asking;
pub(crate) mod awaiting;
mod build;
pub(crate) mod checkpoint;
mod counting;
pub(crate) mod exchange;
mod gateway_reversals;
pub(crate) mod gateways;
pub(crate) mod import;
mod inquiring;
mod intake;
mod issuing;
mod key_changes;
pub(crate) mod locating;
mod marks;
mod networking;
pub(crate) mod nonces;
mod operating;
mod reconciling;
mod replay;
mod routing;
pub(crate) mod setup;
pub(crate) mod standing_in;
pub(crate) mod telling;
mod timing;
mod unwritable;
mod upkeep;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use domain::ids::{IssuerId, LinkId, Lsn, ShardId};
use domain::network::SettlementDate;
use domain::reconciliation::Totals;
use domain::record::Completed;
use domain::request::{DuplicateKey, IssuerLeg};
use domain::time::{Instant, WallTime};
use futures_lite::future;
use glommio::timer::Timer;
use persistence::error::JournalError;
use persistence::journal::{Journal, yield_to_rings};
use persistence::key_file::{KeyFileError, PushedKey};
use risk_inline::RiskEngine;
use router::links::LinkPool;
use router::selection::CallOutcome;
use router::{Permit, Router};
use slab::Slab;
use transaction::administrative::ExchangeInput;
use transaction::advice::Original;
use transaction::input::{Assignment, Selection};
use transaction::matching::{Expected, StanAllocator};
use transaction::network::Settlement;
use transaction::reconciliation::{BookInput, BucketKey};
use transaction::{Engine, Handle, Input, OwedId};

use crate::acquirer::desk::{Ask, Desk};
use crate::acquirer::{Session, SessionRef, Sessions};
use crate::clock::Clock;
use crate::config::{Config, ListenerId};
use crate::conn::Conn;
use crate::control::shared::ShardShared;
use crate::crypto::Keyring;
use crate::crypto::endpoint_keys::KeyTable;
use crate::crypto::key_change::NewKey;
use crate::crypto::key_store::KeyStore;
use crate::echo::EchoReader;
use crate::endpoint::IssuerWire;
use crate::frame::{Casing, Frame, FramePool};
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::issuer::http::HttpIssuer;
use crate::issuer::{Link, Received};
use crate::mesh::{Mesh, Message};
use crate::metrics::Metrics;
use crate::tls::{Lanes, TlsInForce};
use administering::Administering;
use asking::Told;
use awaiting::Awaiting;
use locating::OpenQuestions;
use standing_in::StandInState;
use telling::Approval;
use timing::Timings;

/// Everything that can happen to a shard.
#[derive(Debug)]
pub(crate) enum Event {
    /// A session of this shard read a request or a reversal.
    Request {
        /// Where its answer goes.
        session: SessionRef,
        /// The message.
        frame: Box<Frame>,
    },
    /// A gateway's handler of this shard asks.
    Asked {
        /// Where what is told goes.
        from: SessionRef,
        /// What.
        ask: Ask,
    },
    /// A request from a peer shard found the queue full.
    Excess {
        /// Where its refusal goes.
        session: SessionRef,
        /// The message.
        frame: Box<Frame>,
    },
    /// A peer shard has something to say.
    Mesh(Message),
    /// A connection to an issuer stands.
    LinkConnected {
        /// Which.
        link: LinkId,
        /// Its write side.
        conn: Rc<Conn>,
    },
    /// An issuer sent a message.
    LinkFrame {
        /// On which link.
        link: LinkId,
        /// The message.
        frame: Box<Frame>,
        /// What it is.
        received: Received,
    },
    /// A connection to an issuer has something to flush that the loop did not write.
    LinkWritten {
        /// Its write side.
        conn: Rc<Conn>,
    },
    /// A connection to an issuer has ended.
    LinkLost {
        /// Which.
        link: LinkId,
        /// Why, out of a closed set.
        reason: &'static str,
    },
    /// A session's own answers did not all fit into its socket: the loop goes on with them.
    Blocked {
        /// Which.
        session: SessionRef,
    },
    /// An acquirer brings a new key, which was verified.
    SessionKey {
        /// On which session.
        session: SessionRef,
        /// The message that waits for its answer.
        frame: Box<Frame>,
        /// The key.
        key: NewKey,
    },
    /// A new key was written aside, or could not be.
    KeyWritten {
        /// Of which round of changes.
        round: u32,
        /// All that is written there, if it is.
        written: Result<Vec<PushedKey>, KeyFileError>,
    },
    /// A new key is in force for the next start, or could not be put there.
    KeyStored {
        /// Of which round of changes.
        round: u32,
        /// What is stored now, if it is.
        stored: Result<Vec<PushedKey>, KeyFileError>,
    },
    /// The business day of an acquirer changes.
    SessionCutOver {
        /// Whose.
        listener: ListenerId,
        /// The day, where its message names one.
        named: Option<SettlementDate>,
    },
    /// A session has ended, and this approval was not written to it.
    Untold(Approval),
    /// All records up to here are on disk.
    Durable(Lsn),
    /// The journal has met an error: nothing more becomes durable.
    JournalDead(Box<JournalError>),
}

impl Event {
    /// Work that is not admitted yet.
    pub(crate) const fn is_request(&self) -> bool {
        matches!(
            self,
            Self::Request { .. }
                | Self::Mesh(Message::Request { .. })
                | Self::Asked {
                    ask: Ask::Create(_),
                    ..
                }
                | Self::Mesh(Message::Asked {
                    ask: Ask::Create(_),
                    ..
                })
        )
    }
}

/// The state of one shard.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) shards: u16,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) tls: Rc<TlsInForce>,
    pub(crate) handshakes: Lanes,
    pub(crate) keyring: Keyring,
    pub(crate) engine: Engine,
    pub(crate) router: Router,
    pub(crate) risk: RiskEngine,
    pub(crate) stand_in: StandInState,
    pub(crate) journal: Journal,
    pub(crate) mesh: Mesh,
    pub(crate) inbox: Inbox,
    pub(crate) sessions: Sessions,
    pub(crate) gateway_desk: Desk,
    pub(crate) pool: FramePool,
    pub(crate) gate: Rc<Gate>,
    pub(crate) links: LinkTable,
    pub(crate) keys: KeyTable,
    pub(crate) wires: Vec<IssuerWire>,
    /// By [`IssuerId`], of those that are asked over HTTP.
    pub(crate) http_issuers: Vec<Option<Rc<HttpIssuer>>>,
    pub(crate) echo: EchoReader,
    pub(crate) metrics: Metrics,
    pub(crate) shared: Arc<ShardShared>,
    pub(crate) work: Work,
}

/// What the loop itself keeps between and within turns.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Frames whose answer is still owed, by [`FrameId`].
    pub(crate) waiting: Slab<Waiting>,
    /// Where the ends of gateways' transactions are told, by duplicate key, while frames wait.
    pub(crate) callbacks: AHashMap<u128, Box<str>>,
    /// Gateways' handlers that wait until a transaction is decided.
    pub(crate) asked: askers::Askers,
    /// What gateways have signed with.
    pub(crate) nonces: nonces::Nonces,
    /// Legs that hold a permit, by the index of their handle.
    pub(crate) legs: AHashMap<u32, Leg>,
    /// What a start has found, and whose issuers have yet to be asked what became of it.
    pub(crate) inquiries: VecDeque<(Handle, IssuerLeg)>,
    /// Over which link each reversal and each advice in flight has left, and what its answer is.
    pub(crate) owed: AHashMap<OwedId, (LinkId, Expected)>,
    /// Reversals and completion requests whose original all shards are asked for.
    pub(crate) questions: OpenQuestions,
    /// Inputs that acting on an output has produced: fed when the engine is drained.
    pub(crate) follow_ups: VecDeque<FollowUp>,
    /// Whether outputs are being acted on.
    pub(crate) is_draining: bool,
    /// Connections with bytes to flush at the end of the turn.
    pub(crate) dirty: Vec<Rc<Conn>>,
    /// Sessions with bytes to flush at the end of the turn.
    pub(crate) dirty_sessions: Vec<Rc<Session>>,
    /// Which messages that could not be written an operator knows of.
    pub(crate) unwritable_told: unwritable::Told,
    /// Where messages are encoded.
    pub(crate) scratch: Vec<u8>,
    /// The wall time of this turn's clock reading.
    pub(crate) wall: WallTime,
    /// When [`Shard::upkeep`] runs next.
    pub(crate) upkeep_at: Instant,
    /// Since when a drain runs.
    pub(crate) draining_since: Option<Instant>,
    /// What the shards' rest looked like last, while a drain runs.
    pub(crate) rest_seen: Option<u64>,
    /// Whether it looked so twice.
    pub(crate) is_drained: bool,
    /// Messages taken from peers.
    pub(crate) mesh_taken: u64,
    /// Whether new requests were refused in the turn before.
    pub(crate) was_shedding: bool,
    /// What is timed on the way of a transaction.
    pub(crate) timings: Timings,
    /// For how long the journal's batch has been seen to be due.
    pub(crate) stall: upkeep::Stall,
    /// Failures of the journal that the metrics have.
    pub(crate) journal_errors: JournalErrors,
    /// By issuer, whether what is owed gives way to requests.
    pub(crate) yields: Vec<bool>,
    /// By issuer, its business day; the same on every shard.
    pub(crate) settlements: Vec<Settlement>,
    /// Key changes that this shard has begun, and those that it leads.
    pub(crate) key_changes: key_changes::KeyChanges,
    /// Reconciliations under way.
    pub(crate) reconciling: reconciling::Reconciling,
    /// Messages of acquirers between being read and coming to something.
    pub(crate) counting: counting::Counting,
    /// Answers that wait for PostgreSQL.
    pub(crate) awaiting: Awaiting,
    /// Administrative messages in flight.
    pub(crate) administering: Administering,
    /// Until when links may sign off, at the end of a drain.
    pub(crate) leaving_until: Option<Instant>,
}

/// Failures of the journal, by operation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct JournalErrors {
    pub(crate) write: u64,
    pub(crate) sync: u64,
    pub(crate) prepare: u64,
}

/// A frame whose answer is still owed.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) session: SessionRef,
    pub(crate) frame: Box<Frame>,
    /// How long its issuer had it.
    pub(crate) at_issuer: Duration,
    /// Of a gateway that is called back, what names its transaction.
    pub(crate) called_back: Option<DuplicateKey>,
}

/// A leg that an issuer may still answer.
#[derive(Debug)]
pub(crate) struct Leg {
    /// `None` from when its issuer has said that it answers later.
    pub(crate) permit: Option<Permit>,
    pub(crate) expected: Expected,
    /// What a completion request completes.
    pub(crate) completed: Option<Box<Completed>>,
    /// What is known of how it ended, beyond what its transaction is told.
    pub(crate) call: Option<CallOutcome>,
    /// Of one that a start has found.
    pub(crate) inquiry: Option<Inquiry>,
}

/// How an issuer is asked what became of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inquiry {
    pub(crate) link: LinkId,
    /// Its deadline.
    pub(crate) until: WallTime,
}

/// An input for the engine, out of the way it was drained.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FollowUp {
    /// What this shard knows by itself.
    Told(Handle, Told),
    /// What was asked of the book is durable.
    Noted(u32),
    /// An input for the book.
    Book(BookInput),
    /// All shards have told what they counted for an issuer.
    OweTotals(IssuerId, BucketKey, Totals),
    /// The router has decided.
    Selected(Handle, Selection),
    /// How an advice travels has been decided.
    Assigned(Handle, Assignment),
    /// An input for the administrative messages in flight.
    Exchange(ExchangeInput),
    /// The answer has found nobody.
    Undelivered(Handle),
    /// What all shards know of the original of a completion request.
    Located(Handle, Original),
    /// Provably nothing of the request left.
    Unsent(Handle, domain::ids::Stan),
    /// Provably nothing of the reversal, or the advice, left.
    OwedUnsent(OwedId),
    /// The null control of the crash test: what was only appended counts as durable.
    #[cfg(feature = "crash-points")]
    Durable(Lsn),
}

/// All links of the node: those at home here with their state, the others with whether they are up.
#[derive(Debug)]
pub(crate) struct LinkTable {
    pub(crate) all: Vec<LinkPlace>,
    /// For each issuer, how its links share this shard's calls.
    pub(crate) of_issuer: Vec<LinkPool>,
}

/// A link as this shard knows it.
#[derive(Debug)]
pub(crate) struct LinkPlace {
    /// Whose it is.
    pub(crate) issuer: IssuerId,
    /// The shard that holds the connection.
    pub(crate) home_shard: ShardId,
    /// Whether it takes financial traffic.
    pub(crate) up: bool,
    /// This shard's part of the link's STAN range.
    pub(crate) stans: StanAllocator,
    /// The link itself, when this shard is its home.
    pub(crate) home: Option<Box<Link>>,
    /// How long it was open when it was lost, for the task that connects it again.
    pub(crate) open_for: Rc<Cell<Option<Duration>>>,
}

impl LinkTable {
    pub(crate) fn place(&self, link: LinkId) -> Option<&LinkPlace> {
        self.all.get(usize::from(link.0))
    }

    pub(crate) fn place_mut(&mut self, link: LinkId) -> Option<&mut LinkPlace> {
        self.all.get_mut(usize::from(link.0))
    }

    pub(crate) fn home_mut(&mut self, link: LinkId) -> Option<&mut Link> {
        self.place_mut(link)?.home.as_deref_mut()
    }

    /// How the links of `issuer` share this shard's calls.
    pub(crate) fn pool_mut(&mut self, issuer: IssuerId) -> Option<&mut LinkPool> {
        self.of_issuer.get_mut(usize::from(issuer.0))
    }

    /// Whether a link of `issuer` takes financial traffic.
    pub(crate) fn is_reached(&self, issuer: IssuerId) -> bool {
        let mut links = self.all.iter();
        links.any(|place| place.issuer == issuer && place.up)
    }

    pub(crate) fn homes_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.all
            .iter_mut()
            .filter_map(|place| place.home.as_deref_mut())
    }
}

impl Shard {
    /// The loop. Ends when a drain is complete.
    pub(crate) async fn run(&mut self) {
        loop {
            let wait = self.next_deadline().since(self.clock.now());
            if wait.is_zero() {
                // Whatever is due, every turn lets the sockets and the journal have theirs.
                yield_to_rings().await;
            } else {
                future::or(self.inbox.ready(), sleep(wait.max(TIMER_RESOLUTION))).await;
            }
            let now = self.clock.now();
            self.work.wall = self.clock.wall();
            let taken = self.take_events(now);
            self.engine_timeouts(now);
            self.link_timeouts(now);
            self.question_timeouts(now);
            self.exchange_timeouts(now);
            self.release_waiting(now);
            if self.work.upkeep_at <= now {
                self.upkeep(now);
            }
            self.mesh.flush();
            self.flush(now);
            self.note_turn(now);
            if self.drained(now) {
                return;
            }
            if taken == TURN_EVENTS_MAX {
                // More waits: let the sockets and the journal have their turn first.
                yield_to_rings().await;
            }
        }
    }

    fn take_events(&mut self, now: Instant) -> usize {
        for taken in 0..TURN_EVENTS_MAX {
            let Some(event) = self.inbox.pop() else {
                return taken;
            };
            self.handle(event, now);
        }
        TURN_EVENTS_MAX
    }

    fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Request { session, frame } => self.take_request(session, frame, now),
            Event::Asked { from, ask } => self.take_asked(from, ask, now),
            Event::Excess { session, frame } => {
                self.work.mesh_taken += 1;
                self.refuse_excess(session, frame);
            }
            Event::Mesh(message) => {
                self.take_message(message, now);
                self.work.mesh_taken += 1;
            }
            Event::LinkConnected { link, conn } => self.link_connected(link, conn, now),
            Event::LinkFrame {
                link,
                frame,
                received,
            } => {
                self.link_frame(link, frame, received, now);
            }
            Event::LinkWritten { conn } => self.note_written(Some(conn)),
            Event::LinkLost { link, reason } => self.link_lost(link, reason, now),
            Event::Blocked { session } => self.note_blocked(session),
            Event::SessionKey {
                session,
                frame,
                key,
            } => self.session_key(session, frame, key, now),
            Event::KeyWritten { round, written } => self.keys_written(round, written, now),
            Event::KeyStored { round, stored } => self.keys_stored(round, stored, now),
            Event::SessionCutOver { listener, named } => {
                self.session_cut_over(listener, named, now);
            }
            Event::Untold(untold) => self.note_untold(untold, now),
            Event::Durable(lsn) => self.durable(lsn, now),
            Event::JournalDead(error) => {
                self.count_journal_errors();
                self.shared.die(&error);
            }
        }
    }

    fn take_message(&mut self, message: Message, now: Instant) {
        match message {
            Message::Request { session, frame } => self.admit(session, frame, now),
            Message::Reversal {
                session,
                frame,
                located,
            } => {
                self.admit_reversal(session, frame, located, now);
            }
            Message::Asked { from, ask } => self.take_ask(from, ask, now),
            Message::ToldAsker { to, told } => self.gateway_desk.tell(to, told),
            Message::Locate { id, from, query } => self.take_question(id, from, &query),
            Message::LocatedAt { id, shard, found } => {
                self.take_location(id, shard, found, now);
            }
            Message::Reply {
                session,
                bytes,
                approval,
            } => {
                self.deliver_for_peer(session, &bytes, approval);
            }
            Message::Untold { handle } => self.turn(Input::Undelivered { handle }, now),
            Message::Malformed { session } => self.note_malformed(session),
            Message::Ask {
                handle,
                from,
                question,
            } => {
                let told = self.consult(&question, now);
                self.mesh.send(from, Message::Told { handle, told });
            }
            Message::Told { handle, told } => {
                self.take_told(handle, told, now);
                self.drain(now);
            }
            Message::Send(outbound) => self.send_at_home(outbound, now),
            Message::Unsent { outbound } => {
                self.outbound_unsent(outbound);
                self.drain(now);
            }
            Message::Unusable { outbound } => self.take_unusable(outbound, now),
            Message::Pending { outbound, call } => self.take_pending(outbound, call, now),
            Message::Answer {
                outbound,
                frame,
                late,
            } => {
                self.take_answer(outbound, frame, late, now);
            }
            Message::LegLost { outbound } => self.leg_lost(outbound, now),
            Message::Rejected { outbound, call } => self.take_reject(outbound, call, now),
            Message::GiveUp { link, expected } => self.give_up_at_home(link, expected, now),
            Message::Probe { link, from } => self.probe_at_home(link, from),
            Message::Echoed { issuer } => self.router.echo_answered(issuer, now),
            Message::LinkState { link, up } => self.set_link_state(link, up, now),
            Message::Misplaced {
                came_on,
                link,
                frame,
            } => {
                self.take_misplaced(came_on, link, frame, now);
            }
            Message::CutOver { issuer, step, date } => self.set_cut_over(issuer, step, date, now),
            Message::Key(message) => self.take_key_message(message, now),
            Message::Book(message) => self.take_book_message(message, now),
        }
    }

    fn durable(&mut self, lsn: Lsn, now: Instant) {
        self.work.timings.syncs.durable(lsn, now, &self.metrics);
        self.turn(Input::Durable { lsn }, now);
    }

    /// Feeds one input, acts on all outputs, and goes on with what acting produced.
    pub(crate) fn turn(&mut self, input: Input<'_>, now: Instant) {
        self.engine.handle_input(input, now);
        self.drain(now);
    }

    /// Acts on outputs until the engine has none and no follow-up is left. Acting never drains: the
    /// stack would grow with the number of requests that a lost link gives back.
    pub(crate) fn drain(&mut self, now: Instant) {
        assert!(
            !std::mem::replace(&mut self.work.is_draining, true),
            "invariant: outputs are acted on by one loop"
        );
        loop {
            while let Some(output) = self.engine.poll_output() {
                self.act(output, now);
            }
            let Some(next) = self.work.follow_ups.pop_front() else {
                break;
            };
            self.follow_up(next, now);
        }
        self.work.is_draining = false;
    }

    fn follow_up(&mut self, next: FollowUp, now: Instant) {
        let input = match next {
            FollowUp::Told(handle, told) => return self.take_told(handle, told, now),
            FollowUp::Noted(token) => return self.noted(token, now),
            FollowUp::Exchange(input) => return self.take_exchange_input(input, now),
            FollowUp::Book(input) => Input::Book(input),
            FollowUp::OweTotals(issuer, bucket, totals) => {
                return self.owe_totals(issuer, bucket, totals, now);
            }
            FollowUp::Assigned(handle, assignment) => Input::Assigned { handle, assignment },
            FollowUp::Selected(handle, selection) => Input::Selected { handle, selection },
            FollowUp::Located(handle, original) => Input::Original { handle, original },
            FollowUp::Unsent(handle, stan) => Input::Unsent { handle, stan },
            FollowUp::Undelivered(handle) => Input::Undelivered { handle },
            FollowUp::OwedUnsent(owed) => Input::ReversalUnsent { owed },
            #[cfg(feature = "crash-points")]
            FollowUp::Durable(lsn) => Input::Durable { lsn },
        };
        self.engine.handle_input(input, now);
    }

    fn note_blocked(&mut self, session_ref: SessionRef) {
        if let Some(session) = self.sessions.get(session_ref)
            && session.conn.list()
        {
            self.work.dirty_sessions.push(session);
        }
    }

    /// Notes a link's connection for the flush at the end of the turn.
    pub(crate) fn note_written(&mut self, conn: Option<Rc<Conn>>) {
        self.work.dirty.extend(conn.filter(|conn| conn.list()));
    }
}

impl Work {
    /// Nothing to do yet.
    pub(crate) fn new(wall: WallTime, config: &Config, keys: Option<KeyStore>) -> Self {
        let issuers = config.issuers.len();
        Self {
            wall,
            yields: vec![false; issuers],
            settlements: vec![Settlement::default(); issuers],
            scratch: vec![0; config.frame_len_max().saturating_add(Casing::LEN_MAX)],
            counting: counting::Counting::default(),
            awaiting: Awaiting::new(config),
            administering: Administering::new(config),
            key_changes: key_changes::KeyChanges::new(keys),
            ..Self::default()
        }
    }
}

async fn sleep(wait: Duration) {
    Timer::new(wait).await;
}

/// Events per turn: enough to share system calls and flushes, few enough that a turn stays below a
/// few milliseconds.
const TURN_EVENTS_MAX: usize = 512;
/// Timers are not armed finer than this: glommio fires very short ones late (its issue 326), and no
/// deadline of a payment is finer than a millisecond.
const TIMER_RESOLUTION: Duration = Duration::from_micros(500);
