//! Is it alive, is it ready, how does it stand: the same answers for probes and for people.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use domain::ids::{IssuerId, LinkId};
use domain::network::SettlementDate;
use domain::time::WallTime;
use parking_lot::Mutex;
use persistence::applier::Status as ApplierStatus;
use router::breaker::BreakerState;
use serde::Serialize;
use transaction::matching::UnmatchedNote;

use super::callbacks::Told;
use super::shared::{ControlEvent, EndpointId, Shared};
use crate::config::{Config, Issuer, ListenerId};
use crate::limits::{LIVE, UNMATCHED_SHOWN_MAX};
use crate::metrics::BreakerLabel;

/// Looks at everything and changes nothing.
#[derive(Debug)]
pub(super) struct Observer {
    config: Arc<Config>,
    shared: Arc<Shared>,
    applier: Arc<OnceLock<Arc<ApplierStatus>>>,
    callbacks: Arc<Told>,
    started: WallTime,
    board: Mutex<Board>,
}

/// What events have told so far.
#[derive(Debug, Default)]
struct Board {
    /// By (issuer, shard).
    breakers: BTreeMap<(u16, u16), BreakerState>,
    /// When an issuer's breaker or link changed last, by issuer.
    changed: BTreeMap<u16, WallTime>,
    /// By issuer: the day that its last cut-over began, and whether it is silent until the end.
    settlements: BTreeMap<u16, (SettlementDate, bool)>,
    /// The last answers that were not matched, the oldest first.
    unmatched: VecDeque<UnmatchedStatus>,
}

/// Whether every shard turns.
#[derive(Debug, Serialize)]
pub(super) struct Liveness {
    stuck_shard: Option<u16>,
    quiet_ms: Option<u128>,
}

/// Whether traffic should come here, condition by condition.
#[derive(Debug, Serialize)]
pub(super) struct Readiness {
    recovered: bool,
    listening: bool,
    route_with_link: bool,
    journal_writing: bool,
    journal_has_room: bool,
    not_draining: bool,
    /// Answers do not wait for PostgreSQL, or not for long.
    postgres_keeps_up: bool,
    /// PostgreSQL is configured and away; the journal absorbs.
    degraded: bool,
}

/// How far the start has come.
#[derive(Debug, Serialize)]
pub(super) struct Startup {
    pub(super) recovered: bool,
    listening: bool,
    journals_open: usize,
    shards: usize,
}

/// Everything for people.
#[derive(Debug, Serialize)]
pub(super) struct Status<'a> {
    node: u16,
    version: &'static str,
    configuration: &'a str,
    uptime_s: u64,
    ready: Readiness,
    live: Liveness,
    issuers: Vec<IssuerStatus<'a>>,
    /// The last answers of issuers that belong to nothing that waits, the oldest first.
    unmatched: Vec<UnmatchedStatus>,
    shards: Vec<ShardStatus>,
    applier: Option<Vec<LaneStatus>>,
    callbacks: CallbackStatus,
}

/// What gateways have not been told.
#[derive(Debug, Serialize)]
struct CallbackStatus {
    backlog: u64,
    /// How old the oldest is; 0 without one.
    oldest_ms: u64,
}

/// One answer that was not matched. No value of a field but those that name it.
#[derive(Clone, Debug, Serialize)]
struct UnmatchedStatus {
    issuer: String,
    link: u16,
    unix_ms: u64,
    note: String,
}

#[derive(Debug, Serialize)]
struct IssuerStatus<'a> {
    name: &'a str,
    links_up: u32,
    links: u16,
    breaker: &'static str,
    /// The business day; `None` before the first cut-over, when it is the calendar day.
    settlement_date: Option<String>,
    /// Silent until the end of its cut-over.
    held: bool,
    changed_unix_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ShardStatus {
    shard: u16,
    quiet_ms: Option<u128>,
    durable_lsn: u64,
    applied_lsn: u64,
}

#[derive(Debug, Serialize)]
struct LaneStatus {
    shard: u16,
    watermark: u64,
    lag_records: u64,
    stopped: bool,
}

impl Observer {
    pub(super) fn new(
        config: Arc<Config>,
        shared: Arc<Shared>,
        applier: Arc<OnceLock<Arc<ApplierStatus>>>,
        callbacks: Arc<Told>,
    ) -> Self {
        let started = shared.node().clock().wall();
        Self {
            config,
            shared,
            applier,
            callbacks,
            started,
            board: Mutex::default(),
        }
    }

    /// Logs an event and remembers it.
    pub(super) fn note(&self, event: ControlEvent) {
        let now = self.shared.node().clock().wall();
        match event {
            ControlEvent::Breaker { shard, transition } => {
                let issuer = self.name(transition.issuer);
                let to = BreakerLabel::VALUES[BreakerLabel::from(transition.to).index()];
                tracing::warn!(issuer, %shard, state = to, "breaker changed");
                let mut board = self.board.lock();
                board
                    .breakers
                    .insert((transition.issuer.0, shard.0), transition.to);
                board.changed.insert(transition.issuer.0, now);
            }
            ControlEvent::Ejection {
                shard,
                issuer,
                change,
            } => {
                let (issuer, link) = (self.name(issuer), change.link);
                if change.is_ejected {
                    tracing::warn!(issuer, %link, %shard, "link keeps failing, it is ejected");
                } else {
                    tracing::info!(issuer, %link, %shard, "ejected link is used again");
                }
            }
            ControlEvent::Link { link, issuer, up } => {
                let name = self.name(issuer);
                if up {
                    tracing::info!(issuer = name, %link, "link is up");
                } else {
                    tracing::warn!(issuer = name, %link, "link is down");
                }
                self.board.lock().changed.insert(issuer.0, now);
            }
            ControlEvent::Unmatched { link, issuer, note } => {
                self.note_unmatched(link, issuer, &note, now);
            }
            ControlEvent::CutOver {
                issuer,
                date,
                is_held,
            } => {
                let name = self.name(issuer);
                tracing::info!(issuer = name, %date, is_held, "cut-over");
                let mut board = self.board.lock();
                board.settlements.insert(issuer.0, (date, is_held));
            }
            ControlEvent::SessionCutOver { listener, date } => {
                let listener = self.listener(listener);
                tracing::info!(listener, %date, "cut-over of a session");
            }
            ControlEvent::Key { shard, endpoint } => match endpoint {
                EndpointId::Listener(id) => {
                    tracing::info!(listener = self.listener(id), %shard, "new key in use");
                }
                EndpointId::Issuer(id) => {
                    tracing::info!(issuer = self.name(id), %shard, "new key in use");
                }
            },
        }
    }

    fn note_unmatched(&self, link: LinkId, issuer: IssuerId, note: &UnmatchedNote, at: WallTime) {
        let issuer = self.name(issuer);
        tracing::warn!(issuer, %link, %note, "answer not matched");
        let mut board = self.board.lock();
        if board.unmatched.len() >= UNMATCHED_SHOWN_MAX {
            board.unmatched.pop_front();
        }
        board.unmatched.push_back(UnmatchedStatus {
            issuer: issuer.to_owned(),
            link: link.0,
            unix_ms: at.unix_millis(),
            note: note.to_string(),
        });
    }

    fn listener(&self, id: ListenerId) -> &str {
        let listener = self.config.listeners.get(usize::from(id.0));
        listener.map_or("other", |listener| &listener.name)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.shared.node().is_draining()
    }

    pub(super) fn liveness(&self) -> Liveness {
        let stuck = if self.shared.node().is_draining() {
            None
        } else {
            self.shared.stuck(LIVE)
        };
        Liveness {
            stuck_shard: stuck.map(|(shard, _)| shard.0),
            quiet_ms: stuck.map(|(_, quiet)| quiet.as_millis()),
        }
    }

    pub(super) fn readiness(&self) -> Readiness {
        let node = self.shared.node();
        let has_link = |issuer: &IssuerId| node.links_up(*issuer) > 0;
        let routes = self.config.routes.iter();
        let mut candidates = routes.flat_map(|route| route.candidates.iter().flatten());
        let positions = self.shared.positions();
        Readiness {
            recovered: node.is_recovered(),
            listening: node.is_listening(),
            route_with_link: candidates.any(|one| has_link(&one.issuer)),
            journal_writing: positions.is_some_and(|all| all.iter().all(|one| !one.is_dead())),
            journal_has_room: self.journal_has_room(),
            not_draining: !node.is_draining(),
            postgres_keeps_up: !self.shared.shards.iter().any(|shard| shard.is_behind()),
            degraded: self.config.postgres.is_some()
                && !self.applier.get().is_some_and(|status| status.connected()),
        }
    }

    pub(super) fn startup(&self) -> Startup {
        let node = self.shared.node();
        let open = self
            .shared
            .shards
            .iter()
            .filter(|shard| shard.position().is_some());
        Startup {
            recovered: node.is_recovered(),
            listening: node.is_listening(),
            journals_open: open.count(),
            shards: self.shared.shards.len(),
        }
    }

    pub(super) fn status(&self) -> Status<'_> {
        let now = self.shared.node().clock().wall();
        Status {
            node: self.config.node.id.0,
            version: env!("CARGO_PKG_VERSION"),
            configuration: &self.config.fingerprint,
            uptime_s: now.unix_millis().saturating_sub(self.started.unix_millis()) / 1000,
            ready: self.readiness(),
            live: self.liveness(),
            issuers: self.issuers(),
            unmatched: self.board.lock().unmatched.iter().cloned().collect(),
            shards: self.shards(),
            applier: self.applier.get().map(|status| lanes(status)),
            callbacks: CallbackStatus {
                backlog: self.callbacks.backlog(),
                oldest_ms: self.callbacks.oldest_ms(now),
            },
        }
    }

    fn issuers(&self) -> Vec<IssuerStatus<'_>> {
        let board = self.board.lock();
        self.config
            .issuers
            .iter()
            .map(|issuer| self.issuer(issuer, &board))
            .collect()
    }

    fn issuer<'a>(&self, issuer: &'a Issuer, board: &Board) -> IssuerStatus<'a> {
        let of_issuer = board
            .breakers
            .iter()
            .filter(|((id, _), _)| *id == issuer.id.0);
        let labels = of_issuer.map(|(_, state)| BreakerLabel::from(*state).index());
        let settlement = board.settlements.get(&issuer.id.0);
        let gravest = labels.max().unwrap_or(BreakerLabel::Closed.index());
        IssuerStatus {
            name: &issuer.name,
            links_up: self.shared.node().links_up(issuer.id),
            links: issuer.links,
            breaker: BreakerLabel::VALUES
                .get(gravest)
                .copied()
                .unwrap_or_default(),
            settlement_date: settlement.map(|(date, _)| date.to_string()),
            held: settlement.is_some_and(|(_, is_held)| *is_held),
            changed_unix_ms: board.changed.get(&issuer.id.0).map(|at| at.unix_millis()),
        }
    }

    fn shards(&self) -> Vec<ShardStatus> {
        let now = self.shared.node().clock().now();
        let shard = |shard: &Arc<super::shared::ShardShared>| ShardStatus {
            shard: shard.id.0,
            quiet_ms: shard.last_turn().map(|at| now.since(at).as_millis()),
            durable_lsn: shard.position().map_or(0, |position| position.lsn().0),
            applied_lsn: shard.applied().0,
        };
        self.shared.shards.iter().map(shard).collect()
    }

    /// Below the high-water mark on every shard.
    fn journal_has_room(&self) -> bool {
        let limit = self.config.journal.bytes_max / 100 * HIGH_WATER_PERCENT;
        let mut used = self
            .shared
            .shards
            .iter()
            .map(|shard| shard.metrics.journal_used_bytes());
        used.all(|used| used < limit)
    }

    fn name(&self, issuer: IssuerId) -> &str {
        let issuer = self.config.issuers.get(usize::from(issuer.0));
        issuer.map_or("other", |issuer| &issuer.name)
    }
}

fn lanes(status: &ApplierStatus) -> Vec<LaneStatus> {
    let lane = |lane: &persistence::applier::LaneStatus| LaneStatus {
        shard: lane.shard.0,
        watermark: lane.watermark().0,
        lag_records: lane.lag_records(),
        stopped: lane.stopped(),
    };
    status.lanes().iter().map(lane).collect()
}

impl Liveness {
    pub(super) const fn is_ok(&self) -> bool {
        self.stuck_shard.is_none()
    }
}

impl Readiness {
    pub(super) const fn is_ready(&self) -> bool {
        self.recovered
            && self.listening
            && self.route_with_link
            && self.journal_writing
            && self.journal_has_room
            && self.not_draining
            && self.postgres_keeps_up
    }
}

/// Of a shard's journal: above it new financial work is shed.
const HIGH_WATER_PERCENT: u64 = 80;
