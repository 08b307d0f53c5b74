//! Brings one shard up inside its executor: journal, recovery, engine, mesh, links, listeners.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use domain::ResponseCode;
use domain::ids::{LinkId, Lsn, ShardId, Stan};
use domain::record::{Advised, Carriage, Intent, Record, Refused};
use domain::request::IssuerLeg;
use domain::result_code::CodeEdition;
use domain::time::{Instant, WallTime};
use persistence::crash::{self, Step};
use persistence::error::JournalError;
use persistence::journal::{Journal, JournalSettings, Retirer, Waiter};
use persistence::marks::Marks;
use risk_inline::RiskEngine;
use router::Router;
use transaction::Engine;

use super::build::{engine_settings, issuer_policies, link_table, risk_policy};
use super::exchange::{Counters, Exchange, ExchangeEnds};
use super::import::newest_checkpoint;
use super::marks;
use super::nonces::Nonces;
use super::replay::Replay;
use super::standing_in::StandInState;
use super::{Event, Shard, Work};
use crate::acquirer::desk::Desk;
use crate::acquirer::{
    Alarms, CredentialsInForce, GatewayContext, ListenerSetup, Places, Polls, Rates,
    SessionContext, Sessions, listen, listen_for_gateway,
};
use crate::boot::ServeError;
use crate::clock::Clock;
use crate::config::{Config, Issuer};
use crate::control::shared::ShardShared;
use crate::crypto::endpoint_keys::{Endpoint, KeyTable};
use crate::crypto::key_store::{KeyStore, RestoredKey};
use crate::crypto::{CryptoError, Keyring};
use crate::echo::EchoReader;
use crate::endpoint::IssuerWire;
use crate::frame::FramePool;
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::issuer::http::access::AccessInForce;
use crate::issuer::http::{HttpIssuer, keep_asking};
use crate::issuer::{ConnectBudget, ConnectionSetup, keep_connected};
use crate::limits::{CONNECTS_MAX, FRAMES_POOLED_MAX, LINKS_MAX};
use crate::mesh::{Mesh, MeshEnds};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::seldom::Seldom;
use crate::tls::{Guests, Lanes, TlsInForce};
use crate::voice::Voice;

/// What a shard is made from; built outside of its executor and sent into it.
#[derive(Debug)]
pub(crate) struct ShardSeed {
    pub(crate) id: ShardId,
    pub(crate) shards: u16,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) keyring: Keyring,
    pub(crate) journal: JournalSettings,
    /// What the records that were carried over into this generation of the journal do not say.
    pub(crate) marks: Arc<Marks>,
    /// The node's start counter.
    pub(crate) start: u32,
    pub(crate) mesh: MeshEnds,
    pub(crate) exchange: ExchangeEnds,
    pub(crate) wires: Vec<IssuerWire>,
    pub(crate) echo: EchoReader,
    pub(crate) metrics: Metrics,
    pub(crate) shared: Arc<ShardShared>,
    /// MAC keys from before this start.
    pub(crate) restored: Arc<[RestoredKey]>,
    /// Where new ones are stored; of the shard that leads their changes.
    pub(crate) key_store: Option<KeyStore>,
}

/// Opens the journal, recovers, and connects to the peers and to the issuers. Listeners stay
/// closed.
///
/// # Errors
/// The journal refuses, or what it holds does not fit the configuration. Nothing was changed but
/// what recovery itself may do.
pub(crate) async fn open(seed: ShardSeed) -> Result<Shard, ServeError> {
    let ShardSeed {
        id,
        shards,
        config,
        clock,
        mut keyring,
        start,
        mesh,
        ..
    } = seed;
    let (now, wall) = (clock.now(), clock.wall());
    let Recovery {
        engine,
        counters,
        journal,
    } = recover_state(
        &config,
        (id, shards, start),
        &mut keyring,
        (seed.journal, seed.exchange, &seed.marks),
        (now, wall),
    )
    .await?;
    let Counters { risk, stand_in, .. } = counters;
    seed.shared.set_position(journal.position());
    seed.shared.keys.tell(keyring.aim());

    let router = router(&config, shards)?;
    let inbox = Inbox::new(config.limits.request_queue_max);
    let sessions = sessions(&config, id, shards);
    let keys = KeyTable::new(&config, &seed.restored, now);
    let (wires, echo, seed_of_stans) = (seed.wires, seed.echo, u64::from(start));
    let links = link_table(&config, id, shards, seed_of_stans, &wires, &echo, &keys);
    let mesh = Mesh::connect(mesh, &inbox).await;
    let work = work((&config, shards), &seed.shared, (wall, seed.key_store));
    let mut shard = Shard {
        tls: Rc::new(TlsInForce::new(Arc::clone(&seed.shared))),
        handshakes: Lanes::new(&config.limits, clock, &seed.metrics),
        id,
        shards,
        clock,
        keyring,
        engine,
        router,
        risk,
        stand_in,
        journal,
        mesh,
        gateway_desk: Desk::new(id, inbox.clone()),
        inbox,
        sessions,
        pool: FramePool::new(FRAMES_POOLED_MAX),
        gate: Rc::new(Gate::default()),
        links,
        keys,
        wires,
        http_issuers: http_issuers(&config, &seed.shared),
        echo,
        metrics: seed.metrics,
        shared: seed.shared,
        work,
        config,
    };
    shard.recover(now).await?;
    shard.start_tasks(start);
    Ok(shard)
}

/// What the connections of gateways wait with.
fn watch_connections() -> Result<Rc<Readiness>, ServeError> {
    let readiness = Readiness::new().map_err(|error| ServeError::Start {
        what: "watching the connections of gateways".to_owned(),
        reason: error.to_string(),
    })?;
    glommio::spawn_local(Rc::clone(&readiness).look()).detach();
    Ok(readiness)
}

/// Without the nonces of the runs before, of which no more is known than when they were signed.
fn work(
    (config, shards): (&Config, u16),
    shared: &ShardShared,
    (wall, key_store): (WallTime, Option<KeyStore>),
) -> Work {
    let most = config.gateways.iter().map(|one| one.nonces_max);
    let forgotten = shared.node().horizon().forgotten();
    Work {
        nonces: Nonces::new(most, shards, forgotten),
        ..Work::new(wall, config, key_store)
    }
}

fn http_issuers(config: &Config, shared: &Arc<ShardShared>) -> Vec<Option<Rc<HttpIssuer>>> {
    let issuer = |issuer: &Issuer| {
        let plan = Arc::clone(issuer.http.as_ref()?);
        let access = AccessInForce::new(Arc::clone(shared), issuer.id);
        Some(Rc::new(HttpIssuer::new(plan).with_access(access)))
    };
    config.issuers.iter().map(issuer).collect()
}

fn router(config: &Config, shards: u16) -> Result<Router, ServeError> {
    let table = Arc::clone(&config.route_table);
    let router = Router::new(table, issuer_policies(config, shards));
    router.map_err(|errors| ServeError::Routes(join_errors(&errors)))
}

/// Of each bound a shard has its share.
fn sessions(config: &Config, id: ShardId, shards: u16) -> Sessions {
    let sessions_max = config.limits.sessions_max.div_ceil(usize::from(shards));
    let shares = config.acquirers.iter();
    let shares = shares.map(|acquirer| acquirer.inflight_max.div_ceil(u32::from(shards)));
    Sessions::new(id, sessions_max, config.limits.session_inflight_max, shares)
}

/// What the journal leaves behind when it has been read to its end.
struct Recovery {
    engine: Engine,
    counters: Counters,
    journal: Journal,
}

/// Opens the journal and feeds every record to the engine and to the homes of the accounts.
async fn recover_state(
    config: &Config,
    (id, shards, start): (ShardId, u16, u32),
    keyring: &mut Keyring,
    (journal, ends, of_manifest): (JournalSettings, ExchangeEnds, &Marks),
    (now, wall): (Instant, WallTime),
) -> Result<Recovery, ServeError> {
    let settings = engine_settings(config, id, shards, start, wall_at_zero(wall, now));
    let mut engine = Engine::with_windows(settings, &config.windows());
    let newest = newest_checkpoint(&journal.root, &journal.identity)?;
    let told = (of_manifest, newest.as_ref());
    marks::begin(&mut engine, config, &journal.identity, told);
    let accounts_max = config.risk.accounts_max;
    let risk = RiskEngine::new(risk_policy(config), accounts_max, u64::from(start))
        .map_err(|errors| ServeError::Risk(join_errors(&errors)))?;
    let stand_in = StandInState::new(config, u64::from(start))
        .map_err(|errors| ServeError::Risk(join_errors(&errors)))?;
    let counters = Counters {
        risk,
        stand_in,
        placed: WallTime::default(),
    };
    let exchange = Exchange::new(ends, counters);
    let mut replay = Replay::new(config, engine, exchange, (now, wall));
    let mut sealed = None;
    let mut on_record =
        |_: Lsn, record: &Record<'_>, carriage: Carriage| match renewed(keyring, record) {
            Ok(None) => replay.take(record, carriage),
            Ok(Some(renewed)) => replay.take(&renewed, carriage),
            Err(error) => sealed = sealed.take().or(Some(error)),
        };
    let (journal, recovered) = Journal::open(journal, &mut on_record).await?;
    if let Some(error) = sealed {
        return Err(error.into());
    }
    let (mut engine, mut exchange) = replay.end()?;
    exchange.note_placed(engine.latest_place());
    keyring.add_wrapped(&recovered.wrapped_keys)?;
    engine.resume_at(recovered.next_lsn);
    let covered = recovered.covered;
    let carried = covered.map_or(0, |covered| covered.records);
    tracing::info!(shard = %id, records = recovered.records, carried, "journal recovered");
    let counters = exchange.end().await;
    engine.begin_places_behind(counters.placed);
    Ok(Recovery {
        engine,
        counters,
        journal,
    })
}

/// The record with the token by which its account is known; `None` where it has that.
fn renewed<'a>(keyring: &Keyring, record: &Record<'a>) -> Result<Option<Record<'a>>, CryptoError> {
    Ok(match record {
        Record::Intent(intent) => keyring
            .renewed(&intent.facts)?
            .map(|facts| Record::Intent(Intent { facts, ..*intent })),
        Record::Refused(refused) => keyring
            .renewed(&refused.facts)?
            .map(|facts| Record::Refused(Refused { facts, ..*refused })),
        Record::Advised(advised) => keyring
            .renewed(&advised.facts)?
            .map(|facts| Record::Advised(Advised { facts, ..*advised })),
        Record::Outcome(_)
        | Record::SafOwed(_)
        | Record::SafDone(_)
        | Record::Tombstone(_)
        | Record::LateResponse(_)
        | Record::AdviceDone(_)
        | Record::Operated(_)
        | Record::Day(_)
        | Record::Totals(_)
        | Record::Reconciled(_)
        | Record::ReconciliationOwed(_)
        | Record::ReconciliationDone(_) => None,
    })
}

impl Shard {
    /// Claims the STANs that recovered legs use, closes the intents that the journal left open, and
    /// writes what that takes.
    async fn recover(&mut self, now: Instant) -> Result<(), ServeError> {
        let legs = self.engine.busy_legs().map(|(_, leg)| leg);
        refuse_removed(&self.config, legs)?;
        for (link, stan) in self.engine.latest_stans() {
            if let Some(place) = self.links.all.get_mut(usize::from(link.0)) {
                place.stans.go_on_after(stan);
            }
        }
        self.engine
            .recovered(now)
            .map_err(|error| ServeError::Recover(error.to_string()))?;
        for (_, leg) in self.engine.busy_legs() {
            if let Some(place) = self.links.all.get_mut(usize::from(leg.link.0)) {
                // One of another shard's part is claimed there before a listener opens.
                place.stans.claim(leg.stan);
            }
        }
        self.drain(now);
        crash::point(Step::RecoveryAppended);
        // What recovery decided is on disk before a listener opens.
        let last = Lsn(self.journal.next_lsn().0.saturating_sub(1));
        let mut durable = self.journal.durable();
        while durable < last {
            durable = self.journal.wait_durable(durable).await?;
        }
        crash::point(Step::RecoveryDurable);
        self.turn(transaction::Input::Durable { lsn: durable }, now);
        self.resume_days(now);
        Ok(())
    }

    fn start_tasks(&self, start: u32) {
        glommio::spawn_local(tell_durable(self.journal.waiter(), self.inbox.clone())).detach();
        let retired = retire(self.journal.retirer(), Arc::clone(&self.shared));
        glommio::spawn_local(retired).detach();
        for (issuer, wire) in self.config.issuers.iter().zip(&self.wires) {
            let budget = Rc::new(ConnectBudget::new(CONNECTS_MAX));
            let http = self.http_issuers.get(usize::from(issuer.id.0));
            let http = http.and_then(Option::as_ref);
            for link in issuer.link_ids() {
                let home = self.links.place(link);
                let Some(place) = home.filter(|place| place.home.is_some()) else {
                    continue;
                };
                let setup = ConnectionSetup {
                    audit: Arc::clone(self.shared.node().audit()),
                    link,
                    issuer_id: issuer.id,
                    issuer: issuer.name.clone(),
                    tls: Rc::clone(&self.tls),
                    handshakes: Rc::clone(&self.handshakes.links),
                    addresses: issuer.addresses.clone(),
                    connect_timeout: issuer.connect_timeout,
                    backoff_max: issuer.reconnect_max,
                    dialect: wire.dialect,
                    wire: issuer.wire.clone(),
                    frame_deadline: self.config.limits.frame_deadline,
                    out_len_max: self.config.limits.out_queue_bytes_max,
                    seed: u64::from(start) << 16 | u64::from(link.0),
                    attempts: Cell::new(usize::from(link.0)),
                    budget: Rc::clone(&budget),
                    open_for: Rc::clone(&place.open_for),
                    inbox: self.inbox.clone(),
                    pool: self.pool.clone(),
                    clock: self.clock,
                    gate: Rc::clone(&self.gate),
                    metrics: self.metrics.clone(),
                };
                if let Some(http) = http {
                    let asking = keep_asking(setup, Rc::clone(http));
                    glommio::spawn_local(asking).detach();
                } else {
                    glommio::spawn_local(keep_connected(setup)).detach();
                }
            }
        }
    }

    /// The numbers that recovered legs hold in the parts of other shards: the number of shards was
    /// changed since they were given out.
    pub(crate) fn strange_stans(&self) -> Vec<(LinkId, Stan)> {
        let legs = self.engine.busy_legs().map(|(_, leg)| (leg.link, leg.stan));
        let owed = self.engine.owed_reconciliations().filter_map(|owed| {
            let issuer = self.config.issuers.get(usize::from(owed.issuer.0))?;
            Some((issuer.link_of(owed.stan)?, owed.stan))
        });
        let is_strange = |(link, stan): &(LinkId, Stan)| {
            let place = self.links.all.get(usize::from(link.0));
            place.is_some_and(|place| !place.stans.has(*stan))
        };
        legs.chain(owed).filter(is_strange).collect()
    }

    /// Claims those of `held` that are of this shard's part: an answer to what they were given out
    /// for may still come. They are given out again after the next start at the earliest.
    //= docs/rules.md#M-02
    pub(crate) fn claim(&mut self, held: &[(LinkId, Stan)]) {
        for (link, stan) in held {
            if let Some(place) = self.links.all.get_mut(usize::from(link.0)) {
                place.stans.claim(*stan);
            }
        }
    }

    /// Opens the listeners on the addresses that the node has reserved.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub(crate) fn listen(&self, addresses: &[SocketAddr]) -> Result<(), ServeError> {
        for (listener, address) in self.config.listeners.iter().zip(addresses) {
            let setup = ListenerSetup {
                address: *address,
                context: self.context(listener),
            };
            listen(setup).map_err(|source| ServeError::Bind {
                name: listener.name.clone(),
                address: *address,
                source,
            })?;
        }
        let credentials = Rc::new(CredentialsInForce::new(&self.shared, &self.config));
        let readiness = watch_connections()?;
        let of_gateways = addresses.iter().skip(self.config.listeners.len());
        for ((number, gateway), address) in (0..).zip(&self.config.gateways).zip(of_gateways) {
            let context = GatewayContext {
                gateway: gateway.clone(),
                number,
                desk: self.gateway_desk.of_gateway(),
                gate: Rc::clone(&self.gate),
                clock: self.clock,
                metrics: self.metrics.clone(),
                rates: RefCell::new(Rates::new(gateway.rates, self.shards)),
                credentials: Rc::clone(&credentials),
                connections: Cell::new(0),
                connections_max: gateway.connections.all.div_ceil(usize::from(self.shards)),
                places: Places::new(gateway.connections.of_address),
                guests: Guests::new(),
                polls: Polls::default(),
                alarms: Alarms::default(),
                tls: Rc::clone(&self.tls),
                handshakes: Rc::clone(&self.handshakes.gateways),
                readiness: Rc::clone(&readiness),
                audit: Arc::clone(self.shared.node().audit()),
                set_back: Seldom::default(),
            };
            listen_for_gateway(*address, context).map_err(|source| ServeError::Bind {
                name: gateway.name.clone(),
                address: *address,
                source,
            })?;
        }
        Ok(())
    }

    fn context(&self, listener: &crate::config::Listener) -> SessionContext {
        let limits = &self.config.limits;
        SessionContext {
            listener: listener.id,
            acquirer: listener.acquirer,
            dialect: listener.wire.dialect,
            wire: listener.wire.clone(),
            voice: Rc::new(Voice {
                dialect: listener.wire.dialect,
                codes: listener.network_codes,
                mac: listener.mac.clone(),
                keys: self.keys.of(Endpoint::Listener(listener.id)).cloned(),
            }),
            policy: listener.session,
            mac_failure_answer: listener.mac_failure_answer,
            not_permitted: not_permitted(listener.wire.dialect),
            frame_deadline: limits.frame_deadline,
            request_wait_max: limits.request_wait_max,
            bad_frames_per_minute_max: limits.bad_frames_per_minute_max,
            out_len_max: limits.out_queue_bytes_max,
            tls: Rc::clone(&self.tls),
            handshakes: Rc::clone(&self.handshakes.sessions),
            is_secured: listener.tls.is_some(),
            guests: Guests::new(),
            places: Places::new(listener.connections_per_address),
            audit: Arc::clone(self.shared.node().audit()),
            sessions: self.sessions.clone(),
            gate: Rc::clone(&self.gate),
            inbox: self.inbox.clone(),
            pool: self.pool.clone(),
            clock: self.clock,
            metrics: self.metrics.clone(),
        }
    }

    /// Ends the journal in order; the last step of a drain.
    ///
    /// # Errors
    /// It is dead; some records may not be durable.
    pub(crate) async fn close(&self) -> Result<(), JournalError> {
        self.journal.close().await
    }
}

/// 63, of 1993: 122.
fn not_permitted(dialect: &iso8583::Dialect) -> ResponseCode {
    let code = match dialect.version().code_edition() {
        CodeEdition::An2 => None,
        CodeEdition::N3 | CodeEdition::N4 => ResponseCode::read(b"122").ok(),
    };
    code.unwrap_or(ResponseCode::SECURITY_VIOLATION)
}

/// Puts the journal's progress into the inbox. Its end without a close is the end of the process.
async fn tell_durable(waiter: Waiter, inbox: Inbox) {
    let mut after = Lsn::ZERO;
    loop {
        match waiter.wait_durable(after).await {
            Ok(lsn) => {
                after = lsn;
                inbox.push(Event::Durable(lsn));
            }
            Err(JournalError::Closed) => return,
            Err(error) => {
                inbox.push(Event::JournalDead(Box::new(error)));
                return;
            }
        }
    }
}

/// Removes the segments that the control plane lets go, until the journal ends. What cannot be
/// removed is tried again; the journal lives.
async fn retire(retirer: Retirer, shared: Arc<ShardShared>) {
    while !retirer.has_ended() {
        glommio::timer::sleep(RETIRE_EVERY).await;
        let keep_from = shared.marks.keep_from();
        if keep_from <= retirer.first_lsn() {
            continue;
        }
        match retirer.retire(keep_from).await {
            Ok(0) => {}
            Ok(count) => {
                shared.marks.count_retired(count);
                let first = retirer.first_lsn();
                let shard = shared.id;
                tracing::info!(%shard, count, %first, "segments of the journal retired");
            }
            Err(error) => {
                let error = persistence::error::chain(&error);
                tracing::warn!(shard = %shared.id, %error, "a segment cannot be retired");
            }
        }
    }
}

/// How often the shard looks whether segments may go.
const RETIRE_EVERY: Duration = Duration::from_millis(500);

/// A recovered leg with the link that holds its STAN in this start. A leg that no link of its
/// issuer holds gets a number that no link has: its reversal goes over any link of the issuer.
pub(super) fn relinked(config: &Config, leg: &IssuerLeg) -> IssuerLeg {
    let issuer = config.issuers.get(usize::from(leg.issuer.0));
    let link = issuer.and_then(|issuer| issuer.link_of(leg.stan));
    IssuerLeg {
        link: link.unwrap_or(NO_LINK),
        ..*leg
    }
}

/// A leg that is not ended leads to a reversal, and that needs its issuer.
pub(super) fn refuse_removed<'a>(
    config: &Config,
    mut busy: impl Iterator<Item = &'a IssuerLeg>,
) -> Result<(), ServeError> {
    let issuer = |leg: &IssuerLeg| config.issuers.get(usize::from(leg.issuer.0));
    let refused = busy.find(|leg| issuer(leg).is_none_or(Issuer::is_removed));
    let Some(leg) = refused else {
        return Ok(());
    };
    let name = issuer(leg).map_or_else(
        || format!("issuer number {}", leg.issuer),
        |issuer| format!("issuer `{}`", issuer.name),
    );
    Err(ServeError::Recover(format!(
        "reversals are owed to {name}, which is not configured; put its [[issuer]] back, and \
         remove it when njia_saf_depth is 0"
    )))
}

const NO_LINK: LinkId = LinkId(u16::MAX);
const _: () = assert!(LINKS_MAX < NO_LINK.0);

/// The wall time at the clock's zero.
pub(super) fn wall_at_zero(wall: WallTime, now: Instant) -> WallTime {
    wall.before(now.since(Instant::ZERO))
}

pub(crate) fn join_errors(errors: &[impl std::fmt::Display]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use domain::ids::{IssuerId, RouteId, Stan};
    use domain::time::TransmissionTime;
    use persistence::manifest::PartyNames;

    use super::*;
    use crate::config::{Environment, Source, create_missing_keys};

    /// The default configuration on a journal that knows `removed` too, with id 0.
    fn config() -> Config {
        let folder = tempfile::tempdir().unwrap();
        create_missing_keys(folder.path()).unwrap();
        let state_dir = folder.path();
        let source = Source::Default { state_dir };
        let config = Config::load(source, &Environment::of(&[])).unwrap();
        let PartyNames { acquirers, issuers } = config.party_names();
        let issuers = std::iter::once("removed".to_owned()).chain(issuers);
        let known = PartyNames {
            acquirers,
            issuers: issuers.collect(),
        };
        config.numbered(&known).unwrap()
    }

    fn leg(issuer: u16, link: u16, stan: u32) -> IssuerLeg {
        IssuerLeg {
            route: RouteId(0),
            candidate: 0,
            issuer: IssuerId(issuer),
            link: LinkId(link),
            stan: Stan::new(stan).unwrap(),
            transmitted: TransmissionTime::at(WallTime::from_unix_millis(0)),
        }
    }

    #[test]
    fn what_is_owed_to_an_issuer_that_was_removed_refuses_the_start() {
        let config = config();
        let (bank, removed, unknown) = (leg(1, 0, 1), leg(0, 0, 1), leg(9, 0, 1));
        refuse_removed(&config, [&bank].into_iter()).unwrap();
        for (busy, name) in [
            (&removed, "issuer `removed`"),
            (&unknown, "issuer number 9"),
        ] {
            let refused = refuse_removed(&config, [&bank, busy].into_iter()).unwrap_err();
            let told = refused.to_string();
            assert!(
                told.contains(name) && told.contains("put its [[issuer]] back"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_shard_is_built_with_an_issuer_that_was_removed() {
        let config = config();
        let table = Arc::clone(&config.route_table);
        Router::new(table, issuer_policies(&config, 2)).unwrap();
        let wires = crate::endpoint::issuer_wires(&config);
        let keys = KeyTable::new(&config, &[], Instant::ZERO);
        let links = link_table(&config, ShardId(0), 2, 1, &wires, &EchoReader::new(), &keys);
        let of_issuer = links.of_issuer.iter().map(|pool| pool.ids().count());
        let of_issuer: Vec<usize> = of_issuer.collect();
        assert_eq!(of_issuer, [0, 4, 4]);
        let engine = Engine::new(engine_settings(
            &config,
            ShardId(0),
            2,
            1,
            WallTime::default(),
        ));
        assert_eq!(engine.saf_inflight(IssuerId(2)), 0);
    }

    #[test]
    fn a_recovered_leg_goes_by_its_issuer_and_not_by_the_link_that_it_names() {
        let config = config();
        // Link 6 is of the second issuer; the leg is of the first.
        assert_eq!(relinked(&config, &leg(1, 6, 1)).link, LinkId(0));
        assert_eq!(relinked(&config, &leg(2, 0, 1)).link, LinkId(4));
        assert_eq!(relinked(&config, &leg(0, 0, 1)).link, NO_LINK);
        assert_eq!(relinked(&config, &leg(9, 0, 1)).link, NO_LINK);
        let untouched = leg(1, 0, 7);
        assert_eq!(relinked(&config, &untouched), untouched);
    }
}
