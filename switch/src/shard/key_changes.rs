//! New MAC keys over all shards: every shard checks with the new key before it is acknowledged, and
//! uses it after. One shard leads all changes, so that two of them have one order, and stores each
//! key before it is acknowledged.
//!
//! ```text
//!  link or session ─ Propose ─► leader ─ Offer ─► all ─ Held ─► leader ─ writes it aside
//!         ▲                                                                 │ in time
//!         │                                                                 ▼
//!         └────────────────── Decided ◄──────────────────────────── puts it in force on disk
//!         └ acknowledges ─ Ended ─► all: use it, or forget it
//! ```
//!
//! A key that is refused is never in force after a start, whenever the process ends and whatever
//! the disk does. Until it is whole and durable aside, a key may be refused for the time that it
//! takes, and no start looks there. From then on nothing but the disk's word refuses it: told 96,
//! its side would stay with the old key while the disk might still make the new one the first.

use domain::ids::{LinkId, ShardId};
use domain::time::Instant;
use iso8583::translate::NetworkRefusal;
use persistence::key_file::{self, KeyFileError, PushedKey};
use slab::Slab;
use transaction::network::{Spread, SpreadStep};

use super::{Event, Shard};
use crate::acquirer::SessionRef;
use crate::control::audit::{Fate, Incident, Object, What, Who, Why};
use crate::crypto::endpoint_keys::Endpoint;
use crate::crypto::key_change::NewKey;
use crate::crypto::key_store::{self, KeyStore};
use crate::frame::Frame;
use crate::limits::{KEY_CHANGES_MAX, KEY_SPREAD_MAX, KEY_STORE_MAX};
use crate::mesh::{KeyMessage, KeyVerdict, Message};
use crate::voice::Told;

/// What a shard knows of changes under way.
#[derive(Debug, Default)]
pub(crate) struct KeyChanges {
    /// Those that came here.
    waiting: Slab<Waiting>,
    /// Those that this shard leads, at most one per endpoint.
    rounds: Vec<Round>,
    last_round: u32,
    /// Whether keys are being stored: one write at a time, since there is one file.
    is_storing: bool,
    /// What is stored; where changes are led.
    store: Option<KeyStore>,
}

/// A change whose message waits for its answer.
#[derive(Debug)]
struct Waiting {
    endpoint: Endpoint,
    came: Came,
}

/// Where a key came.
#[derive(Debug)]
enum Came {
    /// On a link; without a message to answer, it was the answer.
    Link(LinkId, Option<Box<Frame>>),
    /// On a session.
    Session(SessionRef, Box<Frame>),
}

/// A change that this shard leads.
#[derive(Debug)]
struct Round {
    endpoint: Endpoint,
    number: u32,
    from: ShardId,
    id: u32,
    key: NewKey,
    stage: Stage,
}

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not all shards check with the key.
    Spreading(Spread),
    /// All do; another one is being stored. Its turn ends then.
    Spread(Instant),
    /// It is being written aside, until then.
    Storing(Instant),
    /// It is being put in force for the next start: nobody may refuse it any more.
    Promoting,
    /// Whoever brought it has been told.
    Decided,
}

impl KeyChanges {
    /// `store` where changes are led.
    pub(super) fn new(store: Option<KeyStore>) -> Self {
        Self {
            store,
            ..Self::default()
        }
    }

    /// Whether nobody waits for a change, and no key is being stored.
    pub(super) fn is_at_rest(&self) -> bool {
        self.waiting.is_empty() && self.rounds.is_empty() && !self.is_storing
    }

    fn round_mut(&mut self, number: u32) -> Option<&mut Round> {
        self.rounds.iter_mut().find(|round| round.number == number)
    }
}

impl Shard {
    /// A key came on a link.
    pub(super) fn link_key(
        &mut self,
        link: LinkId,
        request: Option<Box<Frame>>,
        key: NewKey,
        now: Instant,
    ) {
        let Some(issuer) = self.links.place(link).map(|place| place.issuer) else {
            return;
        };
        self.propose_key(
            Endpoint::Issuer(issuer),
            Came::Link(link, request),
            key,
            now,
        );
    }

    /// A key came on a session.
    pub(super) fn session_key(
        &mut self,
        session: SessionRef,
        frame: Box<Frame>,
        key: NewKey,
        now: Instant,
    ) {
        let endpoint = Endpoint::Listener(frame.listener);
        self.propose_key(endpoint, Came::Session(session, frame), key, now);
    }

    fn propose_key(&mut self, endpoint: Endpoint, came: Came, key: NewKey, now: Instant) {
        let is_full = self.work.key_changes.waiting.len() >= KEY_CHANGES_MAX;
        if is_full || self.work.draining_since.is_some() {
            return self.answer_key(came, Told::Refused(NetworkRefusal::Busy), now);
        }
        let id = self
            .work
            .key_changes
            .waiting
            .insert(Waiting { endpoint, came });
        let message = KeyMessage::Propose {
            endpoint,
            key,
            from: self.id,
            id: u32::try_from(id).unwrap_or(u32::MAX),
        };
        self.tell_shard(LEADER, message, now);
    }

    pub(super) fn take_key_message(&mut self, message: KeyMessage, now: Instant) {
        match message {
            KeyMessage::Propose {
                endpoint,
                key,
                from,
                id,
            } => self.lead(endpoint, &key, (from, id), now),
            KeyMessage::Offer {
                endpoint,
                key,
                leader,
                round,
            } => {
                if let Some(keys) = self.keys.of(endpoint) {
                    keys.offer(&key);
                }
                self.tell_shard(leader, KeyMessage::Held { round }, now);
            }
            KeyMessage::Held { round } => {
                if let Some(round) = self.work.key_changes.round_mut(round)
                    && let Stage::Spreading(spread) = &mut round.stage
                {
                    spread.note();
                }
                self.spread_key_rounds(now);
            }
            KeyMessage::Decided { id, verdict } => self.end_key_change(id, verdict, now),
            KeyMessage::Ended { endpoint, is_used } => self.key_ended(endpoint, is_used, now),
        }
    }

    /// Offers a key to every shard, one change of an endpoint after the other. One in force already
    /// is acknowledged once more, and nothing changes: the key before it checks on.
    fn lead(&mut self, endpoint: Endpoint, key: &NewKey, (from, id): (ShardId, u32), now: Instant) {
        let rounds = &self.work.key_changes.rounds;
        if rounds.iter().any(|round| round.endpoint == endpoint) {
            let verdict = KeyVerdict::Busy;
            return self.tell_shard(from, KeyMessage::Decided { id, verdict }, now);
        }
        let keys = self.keys.of(endpoint);
        let is_in_force = keys.is_some_and(|keys| keys.is_in_force(key));
        if let Some(keys) = keys.filter(|_| !is_in_force) {
            keys.offer(key);
        }
        let others = self.shards.saturating_sub(1);
        let changes = &mut self.work.key_changes;
        changes.last_round = changes.last_round.wrapping_add(1);
        let round = changes.last_round;
        changes.rounds.push(Round {
            endpoint,
            number: round,
            from,
            id,
            key: key.clone(),
            stage: if is_in_force {
                Stage::Decided
            } else {
                Stage::Spreading(Spread::over(others, now.after(KEY_SPREAD_MAX)))
            },
        });
        if is_in_force {
            let verdict = KeyVerdict::Held;
            return self.tell_shard(from, KeyMessage::Decided { id, verdict }, now);
        }
        for shard in self.peers() {
            let offer = KeyMessage::Offer {
                endpoint,
                key: key.clone(),
                leader: self.id,
                round,
            };
            self.mesh.send(shard, Message::Key(offer));
        }
        self.spread_key_rounds(now);
    }

    /// Stores what every shard checks with.
    fn spread_key_rounds(&mut self, now: Instant) {
        for round in &mut self.work.key_changes.rounds {
            if let Stage::Spreading(spread) = round.stage
                && spread.step(now) == SpreadStep::Complete
            {
                round.stage = Stage::Spread(now.after(KEY_STORE_MAX));
            }
        }
        self.store_next_key(now);
    }

    /// Refuses what has taken too long.
    pub(super) fn give_up_key_rounds(&mut self, now: Instant) {
        let overdue = |round: &mut Round| {
            let verdict = match round.stage {
                Stage::Spreading(spread) if spread.step(now) == SpreadStep::Overdue => {
                    KeyVerdict::Overdue
                }
                Stage::Spread(until) | Stage::Storing(until) if until <= now => {
                    tracing::error!("a MAC key takes too long to be stored and is refused");
                    KeyVerdict::Unstored
                }
                Stage::Spreading(_)
                | Stage::Spread(_)
                | Stage::Storing(_)
                | Stage::Promoting
                | Stage::Decided => {
                    return None;
                }
            };
            round.stage = Stage::Decided;
            Some((round.from, round.id, verdict))
        };
        let rounds = self.work.key_changes.rounds.iter_mut();
        let due: Vec<(ShardId, u32, KeyVerdict)> = rounds.filter_map(overdue).collect();
        for (from, id, verdict) in due {
            self.tell_shard(from, KeyMessage::Decided { id, verdict }, now);
        }
    }

    /// Stores the key of the first round whose turn it is.
    fn store_next_key(&mut self, now: Instant) {
        let wall = self.work.wall;
        let changes = &mut self.work.key_changes;
        if changes.is_storing {
            return;
        }
        let mut rounds = changes.rounds.iter_mut();
        let turn = rounds.find_map(|round| match round.stage {
            Stage::Spread(until) => Some((round, until)),
            Stage::Spreading(_) | Stage::Storing(_) | Stage::Promoting | Stage::Decided => None,
        });
        let Some((round, until)) = turn else { return };
        let store = changes.store.as_ref();
        let keys =
            store.and_then(|store| store.with(&self.config, round.endpoint, &round.key, wall));
        let Some(keys) = keys else {
            round.stage = Stage::Decided;
            let (from, id, verdict) = (round.from, round.id, KeyVerdict::Unstored);
            return self.tell_shard(from, KeyMessage::Decided { id, verdict }, now);
        };
        if let Some((side, name)) = key_store::named(&self.config, round.endpoint) {
            tracing::info!(side = side.word(), name, "storing a new key");
        }
        round.stage = Stage::Storing(until);
        let number = round.number;
        self.write_keys_aside(number, keys);
    }

    fn write_keys_aside(&mut self, round: u32, keys: Vec<PushedKey>) {
        let changes = &mut self.work.key_changes;
        let Some(store) = &changes.store else { return };
        let (root, inbox) = (store.root().to_owned(), self.inbox.clone());
        changes.is_storing = true;
        glommio::spawn_local(async move {
            let writing = glommio::executor().spawn_blocking(move || {
                let written = key_file::write_aside(&root, &keys);
                written.map(|()| keys)
            });
            let written = writing.await;
            inbox.push(Event::KeyWritten { round, written });
        })
        .detach();
    }

    fn promote_keys(&self, round: u32, keys: Vec<PushedKey>) {
        let Some(store) = &self.work.key_changes.store else {
            return;
        };
        let (root, inbox) = (store.root().to_owned(), self.inbox.clone());
        glommio::spawn_local(async move {
            let promoting = glommio::executor().spawn_blocking(move || {
                let promoted = key_file::promote(&root);
                promoted.map(|()| keys)
            });
            let stored = promoting.await;
            inbox.push(Event::KeyStored { round, stored });
        })
        .detach();
    }

    /// Keys are durable aside, where no start looks for them, or they are not. Those of a key that
    /// was refused meanwhile stay there until others take their place.
    pub(super) fn keys_written(
        &mut self,
        number: u32,
        written: Result<Vec<PushedKey>, KeyFileError>,
        now: Instant,
    ) {
        let round = self.work.key_changes.round_mut(number);
        let waits = round.filter(|round| matches!(round.stage, Stage::Storing(_)));
        match (waits, written) {
            (Some(round), Ok(keys)) => {
                round.stage = Stage::Promoting;
                return self.promote_keys(number, keys);
            }
            (None, Ok(_)) => tracing::warn!("a MAC key was written too late and is not used"),
            (Some(_) | None, Err(error)) => return self.keys_not_stored(number, &error, now),
        }
        self.work.key_changes.is_storing = false;
        self.store_next_key(now);
    }

    /// Keys will be found by the next start, or those before them will.
    pub(super) fn keys_stored(
        &mut self,
        number: u32,
        stored: Result<Vec<PushedKey>, KeyFileError>,
        now: Instant,
    ) {
        let keys = match stored {
            Ok(keys) => keys,
            // The next start finds out.
            Err(error @ KeyFileError::Unknown { .. }) => self.shared.die(&error),
            Err(error @ (KeyFileError::Io { .. } | KeyFileError::Damaged { .. })) => {
                return self.keys_not_stored(number, &error, now);
            }
        };
        if let Some(store) = &mut self.work.key_changes.store {
            store.stored(keys);
        }
        self.end_storing(number, KeyVerdict::Held, now);
    }

    /// The ones before are stored for certain.
    fn keys_not_stored(&mut self, number: u32, error: &KeyFileError, now: Instant) {
        tracing::error!(%error, "MAC keys could not be stored");
        self.end_storing(number, KeyVerdict::Unstored, now);
    }

    /// The next key has its turn.
    fn end_storing(&mut self, number: u32, verdict: KeyVerdict, now: Instant) {
        let changes = &mut self.work.key_changes;
        changes.is_storing = false;
        let round = changes.round_mut(number);
        if let Some(round) = round.filter(|round| round.stage != Stage::Decided) {
            round.stage = Stage::Decided;
            let (from, id) = (round.from, round.id);
            self.tell_shard(from, KeyMessage::Decided { id, verdict }, now);
        }
        self.store_next_key(now);
    }

    /// The leader has decided: acknowledge the key and use it, or refuse it.
    fn end_key_change(&mut self, id: u32, verdict: KeyVerdict, now: Instant) {
        let waiting = &mut self.work.key_changes.waiting;
        let Some(Waiting { endpoint, came }) = waiting.try_remove(id as usize) else {
            return;
        };
        let told = match verdict {
            KeyVerdict::Held => Told::Accepted,
            KeyVerdict::Overdue | KeyVerdict::Unstored | KeyVerdict::Busy => {
                Told::Refused(NetworkRefusal::Busy)
            }
        };
        // The acknowledgement still has a MAC under the old key.
        self.answer_key(came, told, now);
        self.note_key_change(endpoint, verdict);
        if verdict == KeyVerdict::Busy {
            return;
        }
        let is_used = verdict == KeyVerdict::Held;
        let ended = KeyMessage::Ended { endpoint, is_used };
        for shard in self.peers() {
            self.mesh.send(shard, Message::Key(ended.clone()));
        }
        self.key_ended(endpoint, is_used, now);
    }

    /// Who brought a key that opens under the KEK has proven who it is.
    fn note_key_change(&self, endpoint: Endpoint, verdict: KeyVerdict) {
        let (who, object) = match endpoint {
            Endpoint::Issuer(issuer) => (Who::Issuer(issuer), Object::Issuer(issuer)),
            Endpoint::Listener(id) => {
                let listener = self.config.listeners.get(usize::from(id.0));
                let who = listener.map_or(Who::Unknown, |one| Who::Acquirer(one.acquirer));
                (who, Object::Listener(id))
            }
        };
        let (fate, why) = match verdict {
            KeyVerdict::Held => (Fate::Done, Why::None),
            KeyVerdict::Busy | KeyVerdict::Overdue => (Fate::Refused, Why::Busy),
            KeyVerdict::Unstored => (Fate::Failed, Why::Unwritten),
        };
        self.shared.node().audit().note(Incident {
            what: What::KeyChange,
            who,
            from: None,
            object,
            fate,
            why,
        });
    }

    fn answer_key(&mut self, came: Came, told: Told, now: Instant) {
        match came {
            Came::Link(link, Some(frame)) => {
                if let Some(home) = self.links.home_mut(link) {
                    home.answer_network(&frame, told);
                    self.after_link(link, now);
                }
                self.pool.give(frame);
            }
            Came::Link(_, None) => {}
            Came::Session(session, frame) => {
                if let Some(session) = self.sessions.get(session) {
                    session.answer_network(&frame, told);
                    if session.conn.list() {
                        self.work.dirty_sessions.push(session);
                    }
                }
                self.pool.give(frame);
            }
        }
    }

    fn key_ended(&mut self, endpoint: Endpoint, is_used: bool, now: Instant) {
        let rounds = &mut self.work.key_changes.rounds;
        rounds.retain(|round| round.endpoint != endpoint);
        let Some(keys) = self.keys.of(endpoint) else {
            return;
        };
        if !is_used {
            return keys.withdraw();
        }
        keys.use_next(now);
        self.shared.tell_key(endpoint);
        if let Endpoint::Issuer(issuer) = endpoint {
            let wall = self.work.wall;
            let pool = self.links.pool_mut(issuer);
            let links: Vec<LinkId> = pool.map_or_else(Vec::new, |pool| pool.ids().collect());
            for link in links {
                if let Some(home) = self.links.home_mut(link) {
                    home.key_in_use(now, wall);
                    self.after_link(link, now);
                }
            }
        }
    }

    fn tell_shard(&mut self, shard: ShardId, message: KeyMessage, now: Instant) {
        if shard == self.id {
            self.take_key_message(message, now);
        } else {
            self.mesh.send(shard, Message::Key(message));
        }
    }
}

/// Leads all changes: there is one file to store keys in.
pub(super) const LEADER: ShardId = ShardId(0);
