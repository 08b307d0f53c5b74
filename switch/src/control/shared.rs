//! What shards and the control plane know of one another: atomics and a bounded queue of events. No
//! shard waits here.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use domain::ids::{IssuerId, LinkId, Lsn, ShardId, Stan};
use domain::network::SettlementDate;
use domain::time::Instant;
use parking_lot::Mutex;
use persistence::DurablePosition;
use router::links::EjectionChange;
use router::selection::Transition;
use transaction::matching::UnmatchedNote;

use super::audit::AuditQueue;
use super::called::CalledNews;
use super::horizon::Horizon;
use super::keys::KeysNews;
use super::logging;
use super::marks::Marks;
use crate::clock::Clock;
use crate::config::{Config, CredentialSet, Keys, ListenerId};
use crate::desk::Desk;
use crate::exit::ExitCode;
use crate::issuer::http::access::AccessNews;
use crate::metrics::Metrics;
use crate::tls::{TlsNews, TlsSet};

/// All shards' sides, and what concerns them alike.
#[derive(Debug)]
pub struct Shared {
    /// By [`ShardId`].
    pub shards: Vec<Arc<ShardShared>>,
    node: Arc<NodeFlags>,
    /// Keys that came after the start; never locked by a shard.
    keys: Mutex<Option<Arc<Keys>>>,
    /// Held while keys are judged and put, and while a checkpoint gets its name: what was looked
    /// for holds until it has had its effect. Never locked by a shard.
    keys_turn: Mutex<()>,
}

/// What concerns all shards alike.
#[derive(Debug)]
pub struct NodeFlags {
    clock: Clock,
    recovered: AtomicBool,
    /// Set before `recovered`.
    held_stans: OnceLock<Vec<(LinkId, Stan)>>,
    listening: AtomicBool,
    draining: AtomicBool,
    stop_now: AtomicBool,
    /// Links that take financial traffic, by issuer; written by the first shard, which hears of
    /// all.
    links_up: Vec<AtomicU32>,
    /// By shard; written while a drain runs.
    rest: Vec<Rest>,
    events: ArrayQueue<ControlEvent>,
    audit: Arc<AuditQueue>,
    horizon: Horizon,
}

/// What one shard says of itself while a drain runs.
#[derive(Debug, Default)]
struct Rest {
    at_rest: AtomicBool,
    sent: AtomicU64,
    taken: AtomicU64,
}

/// One shard's side.
#[derive(Debug)]
pub struct ShardShared {
    /// Which.
    pub id: ShardId,
    /// Its counters; to be used by the shard alone.
    pub metrics: Metrics,
    node: Arc<NodeFlags>,
    /// Nanoseconds of the clock at the last turn; zero before the first.
    last_turn: AtomicU64,
    position: OnceLock<Arc<DurablePosition>>,
    applied: AtomicU64,
    behind: AtomicBool,
    /// Its checkpoints, and what they let go.
    pub(crate) marks: Marks,
    /// What operators ask of it.
    pub(crate) desk: Desk,
    /// TLS that it takes up.
    pub(crate) tls: TlsNews,
    /// Keys that it takes up.
    pub(crate) keys: KeysNews,
    /// Credentials of gateways that it takes up.
    pub(crate) credentials: ArrayQueue<Arc<CredentialSet>>,
    /// Payments of which their issuers have told.
    pub(crate) called: CalledNews,
    /// Tokens that it shows, by [`IssuerId`].
    pub(crate) access: Vec<AccessNews>,
}

/// Something that people may want to read in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlEvent {
    /// A breaker changed its state on a shard.
    Breaker {
        /// Where.
        shard: ShardId,
        /// What.
        transition: Transition,
    },
    /// A shard leaves a link out that keeps failing, or takes it back.
    Ejection {
        /// Where.
        shard: ShardId,
        /// Whose.
        issuer: IssuerId,
        /// What.
        change: EjectionChange,
    },
    /// A link takes financial traffic, or no longer does.
    Link {
        /// Which.
        link: LinkId,
        /// Whose.
        issuer: IssuerId,
        /// Whether it does.
        up: bool,
    },
    /// An answer belongs to nothing that waits.
    Unmatched {
        /// On which link it came.
        link: LinkId,
        /// Whose it is.
        issuer: IssuerId,
        /// What is told of it.
        note: UnmatchedNote,
    },
    /// An issuer's business day has changed, or its hold has ended.
    CutOver {
        /// Whose.
        issuer: IssuerId,
        /// The day in force.
        date: SettlementDate,
        /// Whether it takes nothing until the end.
        is_held: bool,
    },
    /// An acquirer's business day has changed on one of its sessions.
    SessionCutOver {
        /// Where it connects.
        listener: ListenerId,
        /// The day in force.
        date: SettlementDate,
    },
    /// A shard makes MACs with a new key.
    Key {
        /// Where.
        shard: ShardId,
        /// Whose.
        endpoint: EndpointId,
    },
}

/// Whose keys, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointId {
    /// Of a listener's sessions.
    Listener(ListenerId),
    /// Of an issuer's links.
    Issuer(IssuerId),
}

impl Shared {
    /// For so many shards and issuers.
    #[must_use]
    pub fn new(shards: u16, issuers: usize, clock: Clock) -> Arc<Self> {
        let node = Arc::new(NodeFlags {
            clock,
            recovered: AtomicBool::new(false),
            held_stans: OnceLock::new(),
            listening: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            stop_now: AtomicBool::new(false),
            links_up: (0..issuers).map(|_| AtomicU32::new(0)).collect(),
            rest: (0..shards).map(|_| Rest::default()).collect(),
            events: ArrayQueue::new(EVENTS_MAX),
            audit: AuditQueue::new(),
            horizon: Horizon::default(),
        });
        let shard = |id| {
            Arc::new(ShardShared {
                id: ShardId(id),
                metrics: Metrics::new(),
                node: Arc::clone(&node),
                last_turn: AtomicU64::new(0),
                position: OnceLock::new(),
                applied: AtomicU64::new(0),
                behind: AtomicBool::new(false),
                marks: Marks::default(),
                desk: Desk::new(),
                tls: TlsNews::new(),
                keys: KeysNews::new(),
                credentials: ArrayQueue::new(1),
                called: CalledNews::new(),
                access: (0..issuers).map(|_| AccessNews::default()).collect(),
            })
        };
        Arc::new(Self {
            shards: (0..shards).map(shard).collect(),
            node,
            keys: Mutex::new(None),
            keys_turn: Mutex::new(()),
        })
    }

    /// From here on every shard's connections begin with this TLS; those that stand keep theirs.
    pub fn put_tls(&self, set: &Arc<TlsSet>) {
        for shard in &self.shards {
            shard.tls.put(Arc::clone(set));
        }
    }

    /// Each shard takes them up with the next request of a gateway.
    pub fn put_credentials(&self, set: &Arc<CredentialSet>) {
        for shard in &self.shards {
            drop(shard.credentials.force_push(Arc::clone(set)));
        }
    }

    /// The keys in force: those of the start, until others were taken up.
    #[must_use]
    pub fn keys(&self, config: &Config) -> Arc<Keys> {
        let newer = self.keys.lock();
        newer
            .as_ref()
            .map_or_else(|| Arc::clone(&config.keys), Arc::clone)
    }

    /// Puts the keys in force that `judge` lets pass, and offers them to all shards. No checkpoint
    /// gets its name meanwhile, so `judge` finds on disk what the keys have to open.
    ///
    /// # Errors
    /// Of `judge`; all is as it was.
    pub(crate) fn put_keys<E>(
        &self,
        judge: impl FnOnce() -> Result<Arc<Keys>, E>,
    ) -> Result<Arc<Keys>, E> {
        let _turn = self.keys_turn.lock();
        let keys = judge()?;
        *self.keys.lock() = Some(Arc::clone(&keys));
        for shard in &self.shards {
            shard.keys.offer(&keys);
        }
        Ok(keys)
    }

    /// Runs `name` for what was sealed under the key with the id `used`, if that is in force; none
    /// else is put meanwhile.
    pub(crate) fn under_key<T>(
        &self,
        config: &Config,
        used: u32,
        name: impl FnOnce() -> T,
    ) -> Option<T> {
        let _turn = self.keys_turn.lock();
        (self.keys(config).pan_key_id == used).then(name)
    }

    #[cfg(test)]
    pub(super) fn is_keys_turn_held(&self) -> bool {
        self.keys_turn.is_locked()
    }

    /// What concerns all shards alike.
    #[must_use]
    pub fn node(&self) -> &NodeFlags {
        &self.node
    }

    /// A shard that has turned at least once, and then not for longer than `bound`.
    #[must_use]
    pub fn stuck(&self, bound: Duration) -> Option<(ShardId, Duration)> {
        let now = self.node.clock.now();
        let quiet = |shard: &Arc<ShardShared>| {
            let quiet = now.since(shard.last_turn()?);
            (quiet > bound).then_some((shard.id, quiet))
        };
        self.shards.iter().find_map(quiet)
    }

    /// The positions of all journals, once every shard has opened its own.
    #[must_use]
    pub fn positions(&self) -> Option<Vec<Arc<DurablePosition>>> {
        self.shards
            .iter()
            .map(|shard| shard.position.get().cloned())
            .collect()
    }
}

impl NodeFlags {
    /// The shards' clock.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// What is to be written down of who was refused and what was changed by hand.
    pub(crate) const fn audit(&self) -> &Arc<AuditQueue> {
        &self.audit
    }

    /// How late may be signed what gateways ask for.
    pub(crate) const fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    /// Every shard has recovered: listeners may open, and each claims what is its own of `held`.
    pub fn set_recovered(&self, held: Vec<(LinkId, Stan)>) {
        drop(self.held_stans.set(held));
        self.recovered.store(true, Ordering::Release);
    }

    /// Numbers of links that recovered legs hold in the parts of other shards, once all shards have
    /// recovered.
    #[must_use]
    pub fn held_stans(&self) -> &[(LinkId, Stan)] {
        self.held_stans.get().map_or(&[], Vec::as_slice)
    }

    /// Whether every shard has recovered.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.recovered.load(Ordering::Acquire)
    }

    /// Every listener is open.
    pub fn set_listening(&self) {
        self.listening.store(true, Ordering::Release);
    }

    /// Whether every listener is open.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }

    /// No new work: shards finish what is in flight and end.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether a drain runs.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Shards end without waiting for what is in flight.
    pub fn stop_now(&self) {
        self.stop_now.store(true, Ordering::Release);
        self.drain();
    }

    /// Whether to end without waiting for what is in flight.
    #[must_use]
    pub fn must_stop_now(&self) -> bool {
        self.stop_now.load(Ordering::Acquire)
    }

    /// Links of an issuer that take financial traffic.
    #[must_use]
    pub fn links_up(&self, issuer: IssuerId) -> u32 {
        let links = self.links_up.get(usize::from(issuer.0));
        links.map_or(0, |links| links.load(Ordering::Acquire))
    }

    /// Whether every issuer has a link that takes financial traffic.
    #[must_use]
    pub fn all_linked(&self, mut issuers: impl Iterator<Item = IssuerId>) -> bool {
        issuers.all(|issuer| self.links_up(issuer) > 0)
    }

    /// How many messages the shards have sent to one another, once each is at rest and has taken
    /// all that was sent to it. The shards are looked at one after the other: only the same number
    /// a second time proves that nothing moved in between.
    #[must_use]
    pub fn all_at_rest(&self) -> Option<u64> {
        let sum = |count: fn(&Rest) -> &AtomicU64| -> u64 {
            let counts = self
                .rest
                .iter()
                .map(|rest| count(rest).load(Ordering::Acquire));
            counts.sum()
        };
        let taken = sum(|rest| &rest.taken);
        let at_rest = |rest: &Rest| rest.at_rest.load(Ordering::Acquire);
        let all = self.rest.iter().all(at_rest);
        let sent = sum(|rest| &rest.sent);
        (all && sent == taken).then_some(sent)
    }

    /// The next thing that a shard has told.
    #[must_use]
    pub fn take_event(&self) -> Option<ControlEvent> {
        self.events.pop()
    }
}

impl ShardShared {
    /// What concerns all shards alike.
    #[must_use]
    pub fn node(&self) -> &NodeFlags {
        &self.node
    }

    /// Tells the watchdog that the loop has turned.
    pub fn turned(&self, at: Instant) {
        self.last_turn
            .store(at.as_nanos().max(1), Ordering::Relaxed);
    }

    /// Tells, while a drain runs, whether this shard has nothing left to do, and how many messages
    /// it has sent to its peers and taken from them.
    pub fn set_at_rest(&self, at_rest: bool, sent: u64, taken: u64) {
        if let Some(rest) = self.node.rest.get(usize::from(self.id.0)) {
            rest.taken.store(taken, Ordering::Release);
            rest.at_rest.store(at_rest, Ordering::Release);
            rest.sent.store(sent, Ordering::Release);
        }
    }

    /// When the loop turned last; `None` before its first turn.
    #[must_use]
    pub fn last_turn(&self) -> Option<Instant> {
        match self.last_turn.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Instant::from_nanos(nanos)),
        }
    }

    /// Tells how far PostgreSQL has the shard's journal.
    pub fn set_applied(&self, applied: Lsn) {
        self.applied.store(applied.0, Ordering::Release);
    }

    /// Records up to this one are in PostgreSQL. Zero without PostgreSQL.
    #[must_use]
    pub fn applied(&self) -> Lsn {
        Lsn(self.applied.load(Ordering::Acquire))
    }

    /// Tells whether new requests are refused because answers wait for PostgreSQL.
    pub fn set_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Relaxed);
    }

    /// Whether new requests are refused because answers wait for PostgreSQL.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// How far the shard's journal is durable; `None` before it is open.
    #[must_use]
    pub fn position(&self) -> Option<&Arc<DurablePosition>> {
        self.position.get()
    }

    /// Publishes where the shard's journal is durable up to.
    pub fn set_position(&self, position: Arc<DurablePosition>) {
        let first = self.position.set(position).is_ok();
        debug_assert!(first, "invariant: a shard opens its journal once");
    }

    /// Tells how many links of an issuer take financial traffic. Every shard may call it; the first
    /// one is believed, since all hear of the same links.
    pub fn set_links_up(&self, issuer: IssuerId, links: u32) {
        if self.id == ShardId(0)
            && let Some(up) = self.node.links_up.get(usize::from(issuer.0))
        {
            up.store(links, Ordering::Release);
        }
    }

    /// Tells that a breaker has changed its state.
    pub fn tell_breaker(&self, transition: Transition) {
        self.tell(ControlEvent::Breaker {
            shard: self.id,
            transition,
        });
    }

    /// Tells that a link is left out or taken back.
    pub fn tell_ejection(&self, issuer: IssuerId, change: EjectionChange) {
        self.tell(ControlEvent::Ejection {
            shard: self.id,
            issuer,
            change,
        });
    }

    /// Tells that a link takes financial traffic, or no longer does; for its home shard.
    pub fn tell_link(&self, link: LinkId, issuer: IssuerId, up: bool) {
        self.tell(ControlEvent::Link { link, issuer, up });
    }

    /// Tells of an answer that was not matched.
    pub fn tell_unmatched(&self, link: LinkId, issuer: IssuerId, note: UnmatchedNote) {
        self.tell(ControlEvent::Unmatched { link, issuer, note });
    }

    /// Tells the business day of an issuer; for the shard that heard of it first.
    pub fn tell_cut_over(&self, issuer: IssuerId, date: SettlementDate, is_held: bool) {
        self.tell(ControlEvent::CutOver {
            issuer,
            date,
            is_held,
        });
    }

    /// Tells the business day of a session.
    pub fn tell_session_cut_over(&self, listener: ListenerId, date: SettlementDate) {
        self.tell(ControlEvent::SessionCutOver { listener, date });
    }

    /// Tells that a new key is in use here.
    pub fn tell_key(&self, endpoint: EndpointId) {
        let shard = self.id;
        self.tell(ControlEvent::Key { shard, endpoint });
    }

    /// Ends the process: the journal met an error, so nothing more may be acknowledged. The exit
    /// code lets systemd start it again.
    pub fn die(&self, error: &dyn Display) -> ! {
        tracing::error!(shard = %self.id, %error, "journal failed, the process ends");
        logging::flush();
        std::process::exit(ExitCode::JournalFailed.number())
    }

    /// Dropped when the log is far behind: the metrics have counted what it says.
    fn tell(&self, event: ControlEvent) {
        if let Err(lost) = self.node.events.push(event) {
            tracing::debug!(?lost, "event not told");
        }
    }
}

/// Events that wait for the control plane, which looks several times a second.
const EVENTS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_all_shards_without_a_message_between_them() {
        let shared = Shared::new(2, 0, Clock::start());
        let (one, two) = (&shared.shards[0], &shared.shards[1]);
        assert_eq!(shared.node().all_at_rest(), None);
        one.set_at_rest(true, 5, 3);
        assert_eq!(
            shared.node().all_at_rest(),
            None,
            "the other has not said so"
        );
        two.set_at_rest(true, 3, 4);
        assert_eq!(shared.node().all_at_rest(), None, "a message is under way");
        two.set_at_rest(false, 3, 5);
        assert_eq!(shared.node().all_at_rest(), None, "it is at work on it");
        two.set_at_rest(true, 3, 5);
        assert_eq!(shared.node().all_at_rest(), Some(8));
    }

    #[test]
    fn a_shard_is_stuck_only_after_it_has_turned() {
        let shared = Shared::new(2, 0, Clock::start());
        assert_eq!(shared.stuck(Duration::ZERO), None);
        shared.shards[1].turned(Instant::ZERO);
        while shared.node().clock().now() <= Instant::from_nanos(1) {
            std::hint::spin_loop();
        }
        let (shard, _) = shared.stuck(Duration::ZERO).unwrap();
        assert_eq!(shard, ShardId(1));
        assert_eq!(shared.stuck(Duration::from_secs(3_600)), None);
    }

    #[test]
    fn an_issuer_is_linked_when_the_first_shard_says_so() {
        let shared = Shared::new(2, 2, Clock::start());
        shared.shards[0].set_links_up(IssuerId(0), 4);
        shared.shards[1].set_links_up(IssuerId(1), 4);
        let both = || [IssuerId(0), IssuerId(1)].into_iter();
        assert!(!shared.node().all_linked(both()));
        shared.shards[0].set_links_up(IssuerId(1), 1);
        assert!(shared.node().all_linked(both()));
        assert_eq!(shared.node().links_up(IssuerId(0)), 4);
    }

    #[test]
    fn stopping_now_is_a_drain_too() {
        let shared = Shared::new(1, 0, Clock::start());
        assert!(!shared.node().is_draining());
        shared.node().stop_now();
        assert!(shared.shards[0].node().is_draining());
        assert!(shared.shards[0].node().must_stop_now());
    }

    #[test]
    fn events_are_bounded() {
        let shared = Shared::new(1, 1, Clock::start());
        for _ in 0..EVENTS_MAX + 7 {
            shared.shards[0].tell_link(LinkId(0), IssuerId(0), true);
        }
        let taken = std::iter::from_fn(|| shared.node().take_event()).count();
        assert_eq!(taken, EVENTS_MAX);
    }
}
