//! How a shard starts: out of its journal, before a listener opens.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::NodeId;
use domain::pan::PanToken;
use domain::record::{Carriage, Record};
use persistence::identity::Identity;
use persistence::marks::{LatestStans, Marks};
use risk_inline::Policy;
use risk_inline::list::ListSpec;
use risk_inline::policy::{AmountLimit, VelocityLimit, VelocityWindow};
use router::conditions::RouteClass;
use router::{
    BreakerPolicy, Candidate, Conditions, IssuerPolicy, PrefixRange, RouteSpec, RouteTable,
};
use transaction::Settings;
use transaction::settings::{BeforeLive, Chunks, IssuerSet, OutsideWindow, SafPolicy};

use super::past::{Past, WINDOW};
use super::*;
use crate::simulation::disk::folder;
use crate::simulation::journal::{Start, Stop};
use crate::simulation::ledger::{DEADLINE_MS, Fold};
use crate::simulation::link::{link_of, range_of};
use crate::simulation::reconciling::parties;

/// What a start needs besides the world.
#[derive(Clone, Debug)]
pub(in crate::simulation) struct Begin {
    pub(in crate::simulation) driver: Driver,
    pub(in crate::simulation) life: u64,
    pub(in crate::simulation) identity: Identity,
    pub(in crate::simulation) watermark: Option<Lsn>,
    /// What the records that were carried over into the generation do not say.
    pub(in crate::simulation) marks: Marks,
    /// How often the power fails between two steps, in permille.
    pub(in crate::simulation) cut_short: u64,
}

/// Why a shard did not start.
#[derive(Debug)]
pub(in crate::simulation) enum NotStarted {
    Stop(Stop),
    Broken(Broken),
    /// What there is does not fit.
    TooSmall(String),
}

impl Driver {
    /// How often recovery takes a record in.
    const fn times_recovered(self, record: &Record<'_>) -> usize {
        match (self, record) {
            (Self::ForgetsTombstone, Record::Tombstone(_))
            | (Self::ForgetsDays, Record::Day(_))
            | (Self::ReopensDays, Record::Totals(_)) => 0,
            (Self::CountsTwice, Record::Outcome(_))
            | (Self::CountsReversalsTwice, Record::SafOwed(_)) => 2,
            _ => 1,
        }
    }

    /// As what recovery takes a record in.
    pub(super) const fn taken(self, carriage: Carriage) -> Carriage {
        match self {
            Self::CountsCarried => Carriage::Fresh,
            _ => carriage,
        }
    }
}

impl Begin {
    /// Starts out of the journal. `fold` gathers what the records say, `past` what of it the homes
    /// of accounts are to count; `asks` what a null control sends again.
    pub(in crate::simulation) fn start(
        &self,
        (fold, past): (&mut Fold, &mut Past),
        asks: &mut Vec<Ask>,
        around: &mut Around<'_>,
    ) -> Result<Shard, NotStarted> {
        let now = around.instant();
        let hidden = self.hidden(asks, around);
        let mut engine = self.engine(around);
        let (risk, stand_in) = (risk(), stand_in(around.plan));
        let mut refused = None;
        let driver = self.driver;
        let mut owed_here = OwedHere::default();
        let mut on_record = |_: Lsn, record: &Record<'_>, carriage: Carriage| {
            let id = record.transaction();
            if hidden.contains(&id) {
                if driver == Driver::LeavesOpen {
                    fold.add(self.shard(), record, carriage);
                }
                return;
            }
            fold.add(self.shard(), record, carriage);
            owed_here.note(record, 0);
            let times = driver.times_recovered(record);
            if times > 0 {
                past.add(record, self.shard(), &engine, driver);
            }
            for _ in 0..times {
                if let Err(error) = engine.recover_as(record, driver.taken(carriage), now) {
                    refused.get_or_insert(error);
                }
            }
        };
        let mut start = self.recovery(around);
        let journal = start.recover(&mut on_record).map_err(NotStarted::Stop)?;
        let broken = |error| NotStarted::Broken(("recovery", format!("{error}")));
        if let Some(error) = refused {
            return Err(broken(error));
        }
        engine.resume_at(Lsn(journal.found.last.0 + 1));
        let latest: Vec<(LinkId, Stan)> = engine.latest_stans().collect();
        engine.recovered(now).map_err(broken)?;
        let mut shard = self.build(engine, (risk, stand_in), journal, around);
        for (link, stan) in latest {
            shard.places[usize::from(link.0)].stans.go_on_after(stan);
        }
        Ok(Shard { owed_here, ..shard })
    }

    /// One that knows nothing yet.
    pub(super) fn engine(&self, around: &Around<'_>) -> Engine {
        let mut engine = Engine::new(settings(self, around));
        self.tell(&mut engine, around);
        engine
    }

    /// Tells an engine what the records that are carried over do not say.
    pub(super) fn tell(&self, engine: &mut Engine, around: &Around<'_>) {
        let checkpoint = around.disk.checkpoint(folder(&self.identity));
        let own = checkpoint.map(|own| &own.covered.marks);
        engine.begin_behind(self.marks.left_behind);
        let latest = &self.marks.latest_stans;
        for link in (0..LINKS).map(LinkId) {
            let on_link = latest.iter().map(|(_, stan)| *stan);
            let on_link: Vec<Stan> = on_link.filter(|stan| link_of(*stan) == link).collect();
            let range = range_of(link, self.identity.shards, self.shard());
            if let Some(stan) = range.go_on_behind(&on_link) {
                engine.begin_after(link, stan);
            }
        }
        let Some(own) = own else {
            return;
        };
        engine.begin_behind(own.left_behind);
        for (_, stan) in &own.latest_stans {
            engine.begin_after(link_of(*stan), *stan);
        }
    }

    const fn shard(&self) -> u16 {
        self.identity.shard.0
    }

    pub(super) fn recovery<'a>(&self, around: &'a mut Around<'_>) -> Start<'a> {
        Start {
            identity: self.identity,
            shape: around.plan.shape,
            watermark: self.watermark,
            driver: self.driver,
            cut_short: self.cut_short,
            disk: around.disk,
            random: around.random,
        }
    }

    /// A null control hides open intents from the engine; another one asks for them again.
    fn hidden(&self, asks: &mut Vec<Ask>, around: &mut Around<'_>) -> BTreeSet<TransactionId> {
        if !matches!(
            self.driver,
            Driver::ResendsAfterRestart | Driver::LeavesOpen
        ) {
            return BTreeSet::new();
        }
        let mut open = BTreeMap::new();
        let mut on_record = |_: Lsn, record: &Record<'_>, _: Carriage| match record {
            Record::Intent(intent) => {
                open.insert(intent.transaction, intent.facts);
            }
            Record::Outcome(outcome) => {
                open.remove(&outcome.transaction);
            }
            _ => {}
        };
        let mut start = self.recovery(around);
        start.cut_short = 0;
        // A refusal shows again in the start itself.
        drop(start.recover(&mut on_record));
        if self.driver == Driver::ResendsAfterRestart {
            asks.extend(open.values().map(Ask::again));
        }
        open.into_keys().collect()
    }

    fn build(
        &self,
        engine: Engine,
        (risk, stand_in): (RiskEngine, Vec<RiskEngine>),
        journal: Journal,
        around: &Around<'_>,
    ) -> Shard {
        let (shard, shards) = (self.shard(), self.identity.shards);
        let torn = journal.found.torn.is_some();
        let seed = self.life * 31 + u64::from(shard);
        let links = (0..LINKS).map(LinkId);
        let places = links
            .clone()
            .map(|link| LinkPlace::new(link, shards, shard, seed * 7 + u64::from(link.0)));
        let homes = links
            .filter(|link| link.0 % shards == shard)
            .map(|link| (link, Link::new(false, seed)));
        Shard {
            id: shard,
            shards,
            engine,
            journal,
            driver: self.driver,
            life: self.life,
            places: places.collect(),
            homes: homes.collect(),
            router: router(around.plan),
            risk,
            stand_in,
            frames: BTreeMap::new(),
            next_frame: 0,
            legs: BTreeMap::new(),
            owed: Vec::new(),
            follow: VecDeque::new(),
            mesh_at: vec![0; usize::from(shards)],
            reversals_begun: BTreeSet::new(),
            decided: BTreeSet::new(),
            owed_here: OwedHere::default(),
            flushes: 0,
            asked_to_shed: false,
            told_to_shed: false,
            open_at: Lsn::ZERO,
            reconciling: Reconciling::default(),
            locating: Locating::default(),
            administering: Administering::new(around.plan.administering),
            counts: Seen {
                torn: u64::from(torn),
                ..Seen::default()
            },
        }
    }
}

/// The numbers that the shard of this engine has given out last.
pub(in crate::simulation) fn latest_stans(engine: &Engine) -> LatestStans {
    let latest = engine.latest_stans();
    latest
        .map(|(link, stan)| (IssuerId(link.0 % ISSUERS), stan))
        .collect()
}

impl Shard {
    /// Closes what the journal left open: journaled, not yet durable.
    pub(in crate::simulation) fn close_open(
        &mut self,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        self.drain(around)?;
        for (_, leg) in self.engine.busy_legs() {
            self.places[usize::from(leg.link.0)].stans.claim(leg.stan);
        }
        self.open_at = self.journal.last();
        self.resume_days(around)?;
        self.drain(around)
    }
}

pub(super) fn settings(begin: &Begin, around: &Around<'_>) -> Settings {
    let bounds = around.plan.bounds;
    Settings {
        node: NodeId(1),
        shard: begin.identity.shard,
        start: begin.life as u32,
        transactions_max: match begin.driver {
            Driver::BuildsTooWide => 256,
            _ => bounds.transactions_max as usize,
        },
        inflight_max: bounds.inflight_max as usize,
        saf_max: bounds.saf_max as usize,
        exceptions_max: 4,
        advice_window: Duration::from_secs(bounds.advice_window_s),
        advice_bytes_max: bounds.advice_bytes_max as usize,
        answer_bytes_max: 16_384,
        deadlines_max: 4,
        issuers: usize::from(ISSUERS),
        duplicate_window: Duration::from_secs(bounds.window_s),
        outside_window: OutsideWindow::Refuse,
        timeout_answer: around.plan.switches.timeout_answer,
        decision_timeout: Duration::from_millis(500),
        saf: SafPolicy {
            response_timeout: Duration::from_secs(3),
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            expiry: Duration::from_secs(bounds.saf_expiry_s),
            inflight_max: bounds.saf_window as u32,
            rate_after_up: None,
        },
        before_live: before_live(begin.driver, around.plan),
        asked_later: match &around.plan.switches.asking {
            Some(asking) => asking.settings(begin.driver, begin.life),
            None => IssuerSet::NOBODY,
        },
        parties: parties(around.plan.days),
        next_lsn: Lsn(1),
        wall_at_zero: wall(0, around.wall_ahead),
        seed: begin.life,
        chunks: Chunks::Lazy,
    }
}

fn before_live(driver: Driver, plan: &Plan) -> BeforeLive {
    let asked = plan.bounds.owed_first;
    let issuers = (0..ISSUERS).map(IssuerId);
    let asking = issuers.filter(|id| asked.is_by(*id) && driver != Driver::OvertakesOwed);
    let nobody = BeforeLive::new(asked.held_back_max as usize);
    asking.fold(nobody, |set, id| set.with(id))
}

fn router(plan: &Plan) -> Router {
    let route = |class, candidates: &[IssuerId], deadline_ms| RouteSpec {
        prefixes: vec![PrefixRange::prefix("41").expect("digits")],
        conditions: Conditions {
            class: Some(class),
            ..Conditions::default()
        },
        order: None,
        candidates: Candidate::in_order(candidates),
        deadline: Duration::from_millis(deadline_ms),
    };
    let (first, second) = (IssuerId(0), IssuerId(1));
    let longer = plan.deadline_ms();
    let mut routes = vec![
        route(RouteClass::Financial, &[first, second], longer),
        route(
            RouteClass::Authorisation,
            &[second, first],
            longer * 13 / 20,
        ),
    ];
    if let Some(administering) = plan.administering {
        let class = RouteClass::Administrative;
        let known = route(class, &[second, first], DEADLINE_MS);
        let bare = RouteSpec {
            prefixes: Vec::new(),
            ..route(class, &[first], DEADLINE_MS)
        };
        routes.push(known);
        routes.extend(administering.is_bare.then_some(bare));
    }
    let table = RouteTable::build(routes).expect("good routes");
    let policy = IssuerPolicy {
        breaker: BreakerPolicy {
            window: Duration::from_secs(10),
            calls_min: 8,
            failure_percent: plan.breaker_percent,
            slow: None,
            probes: 2,
            probe_timeout: Duration::from_secs(5),
            echo: None,
            open_first: Duration::from_millis(200),
            open_max: Duration::from_secs(5),
            calm: Duration::from_secs(60),
        },
        inflight_max: plan.bounds.inflight_max as u32,
    };
    let policies = vec![policy; usize::from(ISSUERS)];
    Router::new(Arc::new(table), policies).expect("good policies")
}

fn risk() -> RiskEngine {
    let currency = domain::currency::Currency::KES;
    let blocked = (0..200_u128).filter(|number| number % 17 == 5);
    let policy = Policy {
        block: ListSpec {
            tokens: blocked
                .map(|number| PanToken(number.to_be_bytes()))
                .collect(),
            bins: Vec::new(),
        },
        allow: ListSpec::EMPTY,
        amounts: vec![AmountLimit {
            currency,
            minor_min: 1,
            minor_max: 1_000,
        }],
        windows: vec![VelocityWindow {
            length: WINDOW,
            limits: vec![VelocityLimit {
                currency,
                count_max: Some(20),
                amount_max: None,
            }],
        }],
    };
    RiskEngine::new(policy, 256, 1).expect("a good policy")
}

/// Up to the floor, for each issuer, and so often for each account.
fn stand_in(plan: &Plan) -> Vec<RiskEngine> {
    let currency = domain::currency::Currency::KES;
    let policy = || Policy {
        block: ListSpec::EMPTY,
        allow: ListSpec::EMPTY,
        amounts: vec![AmountLimit {
            currency,
            minor_min: 0,
            minor_max: plan.reports.floor,
        }],
        windows: vec![VelocityWindow {
            length: WINDOW,
            limits: vec![VelocityLimit {
                currency,
                count_max: Some(20),
                amount_max: None,
            }],
        }],
    };
    let rule = |_| RiskEngine::new(policy(), 256, 2).expect("a good policy");
    (0..ISSUERS).map(rule).collect()
}
