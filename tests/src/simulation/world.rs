//! The world: one clock, one queue of events, and everybody in it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use domain::ids::{LinkId, Lsn, NodeId, ShardId};
use persistence::identity::{Identity, JournalUuid};

use super::acquirer::{Acquirer, Moves};
use super::administering::Administrator;
use super::bytes::Lines;
use super::disk::{Disk, Folder};
use super::focus::Focus;
use super::issuer::Issuer;
use super::journal::Stop;
use super::ledger::{Broken, Fold, Ledger};
use super::plan::Plan;
use super::postgres::{Applier, Source, Table};
use super::random::Random;
use super::reconciling::Reconciler;
use super::rot;
use super::seen::Seen;
use super::switch::{Around, Begin, ISSUERS, LINKS, NotStarted, Past, Shard, wall};
use super::switches::Switches;
use super::wire::Wire;
use super::words::{Event, Loss, MS};
use super::{Driver, Extent, Report, Violation};

mod administering;
mod carry;
mod checkpoints;
mod close;
mod days;
mod importing;
mod step;
mod streams;

use importing::Sealed;
use streams::Streams;

#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    driver: Driver,
    now: u64,
    step: u64,
    trace: u64,
    random: Random,
    plan: Plan,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    next_event: u64,
    /// None while the process is dead.
    shards: Vec<Shard>,
    in_mesh: u64,
    life: u64,
    /// Of the journal; the manifest says so.
    generation: u32,
    /// The number of shards that is configured, if the journal has another.
    configured: Option<u16>,
    /// The generations before, and what of them no shard knows any more.
    sealed: Vec<Sealed>,
    forgotten: Fold,
    wires: Vec<Wire>,
    streams: Vec<Streams>,
    /// Requests to one issuer arrive in order.
    arrived: Vec<u64>,
    tables: Vec<Table>,
    appliers: Vec<Applier>,
    issuers: Vec<Issuer>,
    acquirer: Acquirer,
    reconciler: Reconciler,
    administrator: Administrator,
    disk: Disk,
    ledger: Ledger,
    counts: Seen,
    is_calm: bool,
    /// Far ahead before.
    calm_since: u64,
    /// Until then the process stands still.
    stopped_until: u64,
    /// By how much the wall clock has been set, in ms.
    wall_ahead: i64,
}

/// The journals of the node, before the number of their generation.
const JOURNAL: [u8; 16] = *b"a simulated n\0\0\0";

/// Tells the source of what only business days need from others.
const DAYS: u64 = 0xDA75;
/// And of changes of the number of shards.
const SHARDS: u64 = 0x5A4D;

/// The same of administrative messages.
const ADMINISTERING: u64 = 0x0600;

/// The same of references.
const REFERENCES: u64 = 0xDE37;

/// The same of checkpoints.
const CHECKPOINTS: u64 = 0xC4EC;

/// Calm has this long to settle everything.
const CALM_MS: u64 = 1_200_000;

fn identity(generation: u32, shard: u16, shards: u16) -> Identity {
    let mut journal = JOURNAL;
    journal[13..].copy_from_slice(&generation.to_be_bytes()[1..]);
    Identity {
        journal: JournalUuid(journal),
        node: NodeId(1),
        generation,
        shard: ShardId(shard),
        shards,
    }
}

impl World {
    pub(super) fn new(seed: u64, driver: Driver, focus: Option<Focus>, extent: Extent) -> Self {
        let mut random = Random::new(seed);
        let plan = Self::plan(seed, driver, (focus, extent), &mut random);
        let issuers = usize::from(ISSUERS);
        let shards = plan.shards;
        let ledger = Ledger::of(&plan.switches, plan.deadline_ms());
        let mut world = Self {
            seed,
            driver,
            now: 0,
            step: 0,
            trace: 0xCBF2_9CE4_8422_2325,
            random,
            plan,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            shards: Vec::new(),
            in_mesh: 0,
            life: 0,
            generation: 1,
            configured: None,
            sealed: Vec::new(),
            forgotten: Fold::default(),
            wires: (0..LINKS).map(|_| Wire::default()).collect(),
            streams: (0..LINKS).map(|_| Streams::default()).collect(),
            arrived: vec![0; issuers],
            tables: (0..shards).map(|_| Table::default()).collect(),
            appliers: Vec::new(),
            issuers: (0..issuers).map(|_| Issuer::default()).collect(),
            acquirer: Acquirer::default(),
            reconciler: Reconciler::default(),
            administrator: Administrator::default(),
            disk: Disk::default(),
            ledger,
            counts: Seen::default(),
            is_calm: false,
            calm_since: u64::MAX,
            stopped_until: 0,
            wall_ahead: 0,
        };
        world.schedule_faults();
        world
    }

    /// Which faults there are: each part of the world draws them from a source of its own.
    fn plan(
        seed: u64,
        driver: Driver,
        (focus, extent): (Option<Focus>, Extent),
        random: &mut Random,
    ) -> Plan {
        let mut plan = Plan::draw(random);
        if let Some(focus) = focus {
            plan.focus(focus);
        }
        if focus.is_none() && extent >= Extent::Advices {
            plan.draw_advices(&mut Random::new(!seed));
            plan.draw_owed_first(seed);
        }
        if focus.is_none() && extent >= Extent::Days {
            plan.draw_days(&mut Random::new(seed.rotate_left(32) ^ DAYS));
        }
        if focus.is_none() && extent >= Extent::Shards {
            plan.draw_shards(&mut Random::new(seed.rotate_left(32) ^ SHARDS));
        }
        if focus.is_none() && extent >= Extent::Switches {
            plan.switches = Switches::draw(&mut Random::new(seed.rotate_left(16) ^ DAYS));
            plan.draw_lies(seed);
        }
        if focus.is_none() && extent >= Extent::Administrative {
            plan.draw_administering(&mut Random::new(seed.rotate_left(16) ^ ADMINISTERING));
        }
        if focus.is_none() && extent >= Extent::References {
            plan.draw_references(&mut Random::new(seed.rotate_left(16) ^ REFERENCES));
        }
        if focus.is_none() && extent >= Extent::Checkpoints {
            plan.draw_checkpoints(&mut Random::new(seed.rotate_left(16) ^ CHECKPOINTS));
        }
        if focus.is_none() && extent >= Extent::Inquiries {
            plan.draw_asking(seed);
        }
        if driver == Driver::KeepsHalfFrames {
            plan.switches.asking = None;
            plan.administering = None;
            plan.link_flaps = 60;
            plan.lines = Some(Lines::in_pieces(random));
        }
        plan
    }

    pub(super) fn run(mut self) -> Result<Report, Violation> {
        match self.go() {
            Ok(()) => Ok(self.report()),
            Err((rule, what)) => Err(Violation {
                seed: self.seed,
                step: self.step,
                at_ms: self.now / MS,
                rule,
                what,
            }),
        }
    }

    fn schedule_faults(&mut self) {
        self.later(0, Event::Restart);
        let mut at = MS;
        for _ in 0..self.plan.purchases {
            self.later(at, Event::Purchase);
            at += self.random.below(2 * self.plan.spacing_ms * MS + 1);
        }
        let end = at + 10_000 * MS;
        for _ in 0..self.plan.crashes {
            let at = self.random.below(end);
            let power = self.random.permille(self.plan.power);
            self.later(at, Event::Crash { power });
        }
        for _ in 0..self.plan.failovers {
            let at = self.random.below(end);
            self.later(at, Event::Failover);
        }
        for _ in 0..self.plan.link_flaps {
            let at = self.random.below(end);
            let link = LinkId(self.random.below(u64::from(LINKS)) as u16);
            let for_ms = self.random.between(10, 8_000);
            let losses = [Loss::Reset, Loss::IssuerEnds, Loss::WeEnd];
            let loss = losses[self.random.below(3) as usize];
            self.later(at, Event::LinkDown { link, loss, for_ms });
        }
        for _ in 0..self.plan.stops {
            let at = self.random.below(end);
            let for_ms = self.random.between(1_000, 30_000);
            self.later(at, Event::Stop { for_ms });
        }
        for _ in 0..self.plan.reports.outages {
            let at = self.random.below(end);
            let for_ms = self.random.between(200, 20_000);
            self.later(at, Event::Outage { for_ms });
        }
        for _ in 0..self.plan.shed {
            let at = self.random.below(end);
            let pause = self.random.below(3_000 * MS);
            self.later(at, Event::Shed(true));
            self.later(at + pause, Event::Shed(false));
        }
        for _ in 0..self.plan.wall_jumps {
            let at = self.random.below(end);
            let most_ms = self.plan.bounds.window_s * 1_000 / 12;
            let by_ms = self.random.below(2 * most_ms) as i64 - most_ms as i64;
            self.later(at, Event::WallJump { by_ms });
        }
        self.schedule_days(end);
        self.schedule_administering(end);
        self.schedule_checkpoints(end);
        self.later(end, Event::Calm);
    }

    fn go(&mut self) -> Result<(), Broken> {
        loop {
            let event_at = self.queue.peek().map(|Reverse((at, _))| *at);
            let timer = self.next_timer();
            self.step += 1;
            // At the same tick either may come first.
            let timer_first = match (timer, event_at) {
                (Some((timer, _)), Some(event)) if timer == event => self.random.permille(500),
                (Some((timer, _)), Some(event)) => timer < event,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if let (Some((at, _)), Some(event)) = (timer, event_at)
                && at == event
            {
                self.counts.ties += 1;
            }
            if let Some((at, shard)) = timer.filter(|_| timer_first) {
                self.now = self.now.max(at);
                self.note("timer");
                self.in_shard(shard, |shard, around| shard.timeout(around))?;
            } else if let Some(event) = self.next_event() {
                self.note(&format!("{event:?}"));
                if super::is_traced() {
                    println!("{} {} {event:?}", self.step, self.now / MS);
                }
                if self.now < self.stopped_until && event.is_within() {
                    // It waits in a socket or a queue.
                    self.later(self.stopped_until - self.now, event);
                } else {
                    self.happen(event)?;
                }
            }
            self.check_step()?;
            if self.is_calm && self.is_settled() {
                return self.close();
            }
            // Where nothing is to come, nothing settles any more.
            let is_over = timer.is_none() && event_at.is_none();
            if is_over || self.now > self.calm_since.saturating_add(CALM_MS * MS) {
                return Err(("L2", self.unsettled()));
            }
        }
    }

    fn next_timer(&self) -> Option<(u64, u16)> {
        let timers = (0_u16..).zip(&self.shards);
        let timers = timers.filter_map(|(id, shard)| Some((shard.poll_timeout()?, id)));
        // One that was due while the process stood still is late.
        let (at, shard) = timers.min()?;
        Some((at.max(self.stopped_until), shard))
    }

    fn is_settled(&self) -> bool {
        let idle = !self.shards.is_empty() && self.shards.iter().all(Shard::is_idle);
        let applied = || {
            let durable = self.shards.iter().map(|shard| shard.journal.durable().0);
            durable.eq(self.tables.iter().map(Table::watermark))
        };
        idle && self.in_mesh == 0
            && self.sealed.iter().all(Sealed::is_drained)
            && self.acquirer.customers() == self.plan.purchases
            && self.acquirer.is_content()
            && self.reconciler.is_content()
            && self.administrator.is_content()
            && applied()
    }

    /// What is still under way.
    fn unsettled(&self) -> String {
        let marks: Vec<u64> = self.tables.iter().map(Table::watermark).collect();
        let shards: Vec<String> = self.shards.iter().map(Shard::summary).collect();
        let content = self.acquirer.is_content();
        let mesh = self.in_mesh;
        format!(
            "not settled in calm: acquirer content {content}, mesh {mesh}, applied {marks:?}, \
             {shards:?}"
        )
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Purchase => {
                let wall = self.wall();
                let moves = self.acquirer.purchase(wall, &self.plan, &mut self.random);
                self.move_acquirer(moves);
            }
            Event::Acquirer { purchase, alarm } => {
                let around = (self.wall(), &self.plan);
                let moves = self
                    .acquirer
                    .alarm(purchase, alarm, around, &mut self.random);
                self.move_acquirer(moves);
            }
            Event::ToSwitch {
                session,
                ask,
                bytes,
            } => return self.at_session(session, ask, bytes),
            Event::ToAcquirer(told) => return self.at_acquirer(told),
            Event::Reconcile { .. }
            | Event::ReconciliationToSwitch { .. }
            | Event::ReconciliationTold(_)
            | Event::CutOver { .. } => return self.of_days(event),
            Event::Administer { .. }
            | Event::AdministrativeToSwitch { .. }
            | Event::AdministrativeTold { .. } => return self.of_administering(event),
            Event::ToIssuer {
                link,
                connection,
                message,
                ..
            } => return self.at_issuer(link, connection, &message),
            Event::Bytes {
                link,
                connection,
                way,
                piece,
            } => return self.arrive((link, connection), way, &piece),
            Event::FromIssuer {
                link,
                connection,
                message,
            } => return self.say((link, connection), message),
            Event::Checkpoint { shard, stage } => self.of_checkpoints(shard, stage),
            Event::Inside { life, shard, event } if life == self.life => {
                return self.in_shard(shard, |shard, around| shard.inside(event, around));
            }
            Event::Inside { .. } => {}
            Event::LinkDown { link, loss, for_ms } => return self.lose(link, loss, for_ms),
            Event::Outage { for_ms } => return self.lose_all(for_ms),
            Event::Stop { for_ms } => self.stop(for_ms),
            Event::LinkUp { link } => return self.link(link, true),
            Event::Shed(shed) => {
                return self.in_each(|shard, around| shard.shed(shed, around));
            }
            Event::WallJump { by_ms } => {
                self.counts.wall_jumps += 1;
                self.wall_ahead += by_ms;
                return self.in_each(Shard::set_wall);
            }
            Event::Crash { power } => self.crash(power),
            Event::Restart => return self.restart(),
            Event::Apply { life } if life == self.life => return self.apply(),
            Event::Apply { .. } => {}
            Event::Failover => self.fall_back(),
            Event::Calm => self.begin_calm(),
        }
        Ok(())
    }

    fn begin_calm(&mut self) {
        self.plan.calm();
        self.is_calm = true;
        self.calm_since = self.now;
        if (0..self.plan.shards).any(|shard| self.disk.is_damaged(self.folder(shard))) {
            // The applier has met what it cannot read: people stop the process.
            self.crash(false);
        }
    }

    fn lose(&mut self, link: LinkId, loss: Loss, for_ms: u64) -> Result<(), Broken> {
        self.later(for_ms * MS, Event::LinkUp { link });
        self.wires[usize::from(link.0)].lose(loss);
        self.counts.links_lost += 1;
        self.link(link, false)
    }

    fn stop(&mut self, for_ms: u64) {
        self.counts.stops += 1;
        self.ledger.answers.process_stops(self.now, for_ms * MS);
        self.stopped_until = self.now + for_ms * MS;
    }

    fn lose_all(&mut self, for_ms: u64) -> Result<(), Broken> {
        self.counts.outages += 1;
        for link in (0..LINKS).map(LinkId) {
            self.lose(link, Loss::Reset, for_ms)?;
        }
        Ok(())
    }

    fn link(&mut self, link: LinkId, up: bool) -> Result<(), Broken> {
        self.wires[usize::from(link.0)].up = up;
        let home = link.0 % self.plan.shards;
        self.in_shard(home, |shard, around| shard.link(link, up, around))
    }

    fn crash(&mut self, power: bool) {
        if self.shards.is_empty() {
            return;
        }
        for shard in std::mem::take(&mut self.shards) {
            self.counts.add(&shard.counts);
            self.counts.put_off += shard.journal.put_off;
        }
        self.in_mesh = 0;
        self.ledger.answers.close();
        for wire in &mut self.wires {
            wire.lose(Loss::IssuerEnds);
        }
        if power {
            self.disk.lose_power(&mut self.random);
        } else {
            self.disk.sweep();
        }
        let pause = self.random.between(10, 2_000) * MS;
        self.later(pause, Event::Restart);
    }

    fn restart(&mut self) -> Result<(), Broken> {
        self.life += 1;
        let mut cut_short = 0;
        if self.life > 1 {
            cut_short = self.plan.crash_in_recovery;
            if self.random.permille(self.plan.crash_in_recovery) {
                let soon = self.random.below(3 * MS);
                let power = self.random.permille(self.plan.power);
                self.later(soon, Event::Crash { power });
            }
        }
        let rotten = self.rot();
        if !self.take_up(cut_short)? {
            return Ok(());
        }
        let mut events = Vec::new();
        let (mut fold, mut past) = (self.left_out(), Past::default());
        let mut asks = Vec::new();
        let mut shards = Vec::new();
        for shard in 0..self.plan.shards {
            let away = self.random.permille(self.plan.postgres_away);
            let watermark = self.tables[usize::from(shard)].watermark();
            let begin = Begin {
                driver: self.driver,
                life: self.life,
                identity: self.identity(shard),
                watermark: (!away).then_some(Lsn(watermark)),
                marks: self.marks(),
                cut_short,
            };
            let (read, around) = ((&mut fold, &mut past), &mut self.around(&mut events));
            let started = begin.start(read, &mut asks, around);
            match started {
                Ok(shard) => shards.push(shard),
                Err(NotStarted::Broken(broken)) => return Err(broken),
                Err(NotStarted::Stop(stop)) => {
                    return self.not_started(self.folder(shard), &stop);
                }
                Err(NotStarted::TooSmall(what)) => return Err(("recovery", what)),
            }
        }
        if let Some(place) = rotten {
            let what = format!("a start has not seen the rotten bit at {place:?}");
            return Err(("S1", what));
        }
        self.ledger.survived(fold, self.wall())?;
        self.shards = shards;
        self.tell_places();
        self.begin_to_apply();
        self.in_each(|shard, around| {
            shard.count_past(&past, around);
            shard.check_past(&past, around)
        })?;
        self.in_each(Shard::close_open)?;
        self.ledger.check_closed()?;
        self.claim_strange();
        for link in (0..LINKS).map(LinkId) {
            if self.wires[usize::from(link.0)].up {
                self.link(link, true)?;
            }
        }
        for ask in asks {
            let session = ask.of.slot().owner(self.plan.shards).0;
            let bytes = self.written(&ask);
            self.in_shard(session, |shard, around| shard.arrive(ask, bytes, around))?;
        }
        let life = self.life;
        self.later(MS, Event::Apply { life });
        Ok(())
    }

    /// A bit of some shard's journal rots while the process is down.
    fn rot(&mut self) -> Option<(u16, u64, usize)> {
        if !self.random.permille(self.plan.flips) {
            return None;
        }
        let shard = self.random.below(u64::from(self.plan.shards)) as u16;
        let identity = self.identity(shard);
        let place = rot::convicted(&self.disk, &identity, &mut self.random);
        let (file, at) = place?;
        self.disk.flip(file, at, &mut self.random);
        Some((file.0.1, file.1, at))
    }

    /// A start that was refused has to have a reason outside of the switch; then people mend it.
    fn not_started(&mut self, folder: Folder, stop: &Stop) -> Result<(), Broken> {
        match stop {
            Stop::Interrupted => {
                self.counts.interrupted += 1;
                self.disk.lose_power(&mut self.random);
            }
            Stop::Refused(refusal) => {
                if !self.disk.is_damaged(folder) {
                    return Err(("recovery", format!("refused a good journal: {refusal}")));
                }
                self.counts.refused += 1;
                self.disk.sweep();
                self.disk.repair(folder);
            }
        }
        let pause = self.random.between(10, 500) * MS;
        self.later(pause, Event::Restart);
        Ok(())
    }

    /// The appliers of all shards look for work.
    fn apply(&mut self) -> Result<(), Broken> {
        if !self.apply_sealed()? {
            return Ok(());
        }
        for (id, shard) in (0_u16..).zip(&self.shards) {
            let (index, source) = (usize::from(id), (&self.disk, &shard.source()));
            let (applier, table) = (&mut self.appliers[index], &mut self.tables[index]);
            let step = applier.step(self.driver, table, source, &self.plan, &mut self.random);
            if let Err(("recovery", _)) = &step
                && self.disk.is_damaged(self.folder(id))
            {
                // The process stops; people mend what the late check has found.
                self.counts.refused += 1;
                self.crash(false);
                self.disk.repair(self.folder(id));
                return Ok(());
            }
            step?;
        }
        self.apply_later();
        Ok(())
    }

    fn apply_later(&mut self) {
        let stops = self.driver == Driver::StopsApplying && self.life > 1;
        if !self.shards.is_empty() && !stops {
            let life = self.life;
            let pause = self.random.between(5, 200) * MS;
            self.later(pause, Event::Apply { life });
        }
    }

    /// The journal of a shard, in the generation in force.
    fn identity(&self, shard: u16) -> Identity {
        identity(self.generation, shard, self.plan.shards)
    }

    const fn folder(&self, shard: u16) -> Folder {
        (self.generation, shard)
    }

    fn around<'a>(&'a mut self, events: &'a mut Vec<(u64, Event)>) -> Around<'a> {
        Around {
            now: self.now,
            wall_ahead: self.wall_ahead,
            disk: &mut self.disk,
            ledger: &mut self.ledger,
            plan: &self.plan,
            random: &mut self.random,
            events,
            in_mesh: &mut self.in_mesh,
            dies: None,
        }
    }

    fn in_each(
        &mut self,
        mut turn: impl FnMut(&mut Shard, &mut Around<'_>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        for id in 0..self.plan.shards {
            self.in_shard(id, &mut turn)?;
        }
        Ok(())
    }

    /// One turn of a shard, if the process is alive: a dead one hears nothing.
    fn in_shard(
        &mut self,
        id: u16,
        turn: impl FnOnce(&mut Shard, &mut Around<'_>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let mut shards = std::mem::take(&mut self.shards);
        let mut events = Vec::new();
        let mut dies = None;
        let mut result = Ok(());
        if let Some(shard) = shards.get_mut(usize::from(id)) {
            let mut around = self.around(&mut events);
            result = turn(shard, &mut around);
            dies = around.dies;
        }
        self.shards = shards;
        self.carry(events);
        if let Some(power) = dies {
            self.crash(power);
        }
        result
    }

    fn later(&mut self, delay: u64, event: Event) {
        let number = self.next_event;
        self.next_event += 1;
        self.events.insert(number, event);
        self.queue.push(Reverse((self.now + delay, number)));
    }

    fn next_event(&mut self) -> Option<Event> {
        let Reverse((at, number)) = self.queue.pop()?;
        self.now = self.now.max(at);
        self.events.remove(&number)
    }

    /// FNV-1a over what happened and when.
    fn note(&mut self, what: &str) {
        for byte in self.now.to_be_bytes().iter().chain(what.as_bytes()) {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}
