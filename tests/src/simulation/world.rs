//! The world: one clock, one queue of events, and everybody in it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;

use domain::ids::IssuerId;

use super::acquirer::{Acquirer, Moves};
use super::disk::Disk;
use super::issuer::{Issuer, Replies};
use super::ledger::{Broken, Ledger};
use super::plan::Plan;
use super::random::Random;
use super::switch::{Around, Counts, ISSUERS, Switch, wall};
use super::words::{Event, MS};
use super::{Driver, Report, Violation};

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
    switch: Option<Switch>,
    life: u64,
    links_up: Vec<bool>,
    /// Requests of one link arrive in order.
    arrived: Vec<u64>,
    issuers: Vec<Issuer>,
    acquirer: Acquirer,
    disk: Disk,
    ledger: Ledger,
    counts: Counts,
    is_calm: bool,
    /// Far ahead before.
    calm_since: u64,
    /// By how much the wall clock has been set, in ms.
    wall_ahead: i64,
}

/// Calm has this long to settle everything.
const CALM_MS: u64 = 1_200_000;

impl World {
    pub(super) fn new(seed: u64, driver: Driver) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random);
        let links = usize::from(ISSUERS);
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
            switch: None,
            life: 0,
            links_up: vec![true; links],
            arrived: vec![0; links],
            issuers: (0..links).map(|_| Issuer::default()).collect(),
            acquirer: Acquirer::default(),
            disk: Disk::default(),
            ledger: Ledger::default(),
            counts: Counts::default(),
            is_calm: false,
            calm_since: u64::MAX,
            wall_ahead: 0,
        };
        world.schedule_faults();
        world
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
            self.later(at, Event::Crash);
        }
        for _ in 0..self.plan.link_flaps {
            let at = self.random.below(end);
            let issuer = IssuerId(self.random.below(u64::from(ISSUERS)) as u16);
            let for_ms = self.random.between(10, 8_000);
            self.later(at, Event::LinkDown { issuer, for_ms });
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
        self.later(end, Event::Calm);
    }

    fn go(&mut self) -> Result<(), Broken> {
        loop {
            let event_at = self.queue.peek().map(|Reverse((at, _))| *at);
            let timer_at = self.switch.as_ref().and_then(Switch::poll_timeout);
            self.step += 1;
            // At the same tick either may come first.
            let timer_first = match (timer_at, event_at) {
                (Some(timer), Some(event)) if timer == event => self.random.permille(500),
                (Some(timer), Some(event)) => timer < event,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if timer_first {
                self.now = self.now.max(timer_at.unwrap_or(0));
                self.note("timer");
                self.inside_switch(|switch, around| switch.timeout(around))?;
            } else if let Some(event) = self.next_event() {
                self.note(&format!("{event:?}"));
                if std::env::var("SIM_TRACE").is_ok() {
                    println!("{} {} {event:?}", self.step, self.now / MS);
                }
                self.happen(event)?;
            }
            if self.is_calm && self.is_settled() {
                return self.close();
            }
            if self.now > self.calm_since.saturating_add(CALM_MS * MS) {
                return Err(("L2", format!("not settled in calm: {:?}", self.switch)));
            }
        }
    }

    fn is_settled(&self) -> bool {
        let idle = self.switch.as_ref().is_some_and(Switch::is_idle);
        idle && self.acquirer.count() == self.plan.purchases && self.acquirer.is_content()
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Purchase => {
                let wall = wall(self.now, self.wall_ahead);
                let moves = self.acquirer.purchase(wall, &self.plan, &mut self.random);
                self.move_acquirer(moves);
            }
            Event::Acquirer { purchase, alarm } => {
                let moves = self.acquirer.alarm(purchase, alarm, &mut self.random);
                self.move_acquirer(moves);
            }
            Event::ToSwitch(ask) => {
                return self.inside_switch(|switch, around| switch.ask(ask, around));
            }
            Event::ToAcquirer(told) => {
                let moves = self.acquirer.told(&told, &mut self.random);
                self.move_acquirer(moves);
            }
            Event::ToIssuer { issuer, message } => {
                let ledger = &mut self.issuers[usize::from(issuer.0)];
                let replies = ledger.receive(&message, &self.plan, &mut self.random);
                if let Some(complaint) = ledger.complaint.take() {
                    return Err(("reversal", complaint));
                }
                self.carry_back(issuer, &replies);
            }
            Event::FromIssuer { issuer, message } => {
                return self.inside_switch(|switch, around| switch.said(issuer, message, around));
            }
            Event::Inside { life, event } if life == self.life => {
                return self.inside_switch(|switch, around| switch.inside(event, around));
            }
            Event::Inside { .. } => {}
            Event::LinkDown { issuer, for_ms } => {
                self.later(for_ms * MS, Event::LinkUp { issuer });
                return self.link(issuer, false);
            }
            Event::LinkUp { issuer } => return self.link(issuer, true),
            Event::Shed(shed) => {
                return self.inside_switch(|switch, around| switch.shed(shed, around));
            }
            Event::WallJump { by_ms } => {
                self.wall_ahead += by_ms;
                return self.inside_switch(|switch, around| switch.set_wall(around));
            }
            Event::Crash => return self.crash(),
            Event::Restart => return self.restart(),
            Event::Calm => {
                self.plan.calm();
                self.is_calm = true;
                self.calm_since = self.now;
            }
        }
        Ok(())
    }

    fn link(&mut self, issuer: IssuerId, up: bool) -> Result<(), Broken> {
        self.links_up[usize::from(issuer.0)] = up;
        self.inside_switch(|switch, around| switch.link(issuer, up, around))
    }

    fn crash(&mut self) -> Result<(), Broken> {
        let Some(switch) = self.switch.take() else {
            return Ok(());
        };
        self.add_counts(switch.counts);
        self.disk.crash(&mut self.random);
        self.ledger.survived(self.disk.records())?;
        let pause = self.random.between(10, 2_000) * MS;
        self.later(pause, Event::Restart);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Broken> {
        self.life += 1;
        if self.life > 1 && self.random.permille(self.plan.crash_in_recovery) {
            let soon = self.random.below(3 * MS);
            self.later(soon, Event::Crash);
        }
        let (driver, life) = (self.driver, self.life);
        let links_up = self.links_up.clone();
        let mut events = Vec::new();
        let mut around = Around {
            now: self.now,
            wall_ahead: self.wall_ahead,
            disk: &mut self.disk,
            ledger: &mut self.ledger,
            plan: &self.plan,
            random: &mut self.random,
            events: &mut events,
        };
        let switch = Switch::start(driver, life, &links_up, &mut around)?;
        self.switch = Some(switch);
        self.carry(events);
        Ok(())
    }

    /// One turn of the switch, if it is alive: a dead one hears nothing.
    fn inside_switch(
        &mut self,
        turn: impl FnOnce(&mut Switch, &mut Around<'_>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let Some(switch) = &mut self.switch else {
            return Ok(());
        };
        let mut events = Vec::new();
        let mut around = Around {
            now: self.now,
            wall_ahead: self.wall_ahead,
            disk: &mut self.disk,
            ledger: &mut self.ledger,
            plan: &self.plan,
            random: &mut self.random,
            events: &mut events,
        };
        turn(switch, &mut around)?;
        self.carry(events);
        Ok(())
    }

    /// What leaves the switch goes through a network that loses, delays and doubles.
    fn carry(&mut self, events: Vec<(u64, Event)>) {
        for (delay, event) in events {
            match event {
                Event::ToAcquirer(told) => {
                    if !self.random.permille(self.plan.session_loss) {
                        let delay = self.random.below(self.plan.session_delay_ms * MS);
                        self.later(delay, Event::ToAcquirer(told));
                    }
                }
                Event::ToIssuer { issuer, message } => {
                    if self.random.permille(self.plan.request_loss) {
                        continue;
                    }
                    let times = 1 + u64::from(self.random.permille(self.plan.request_twice));
                    for _ in 0..times {
                        let soonest = self.now + self.random.below(30 * MS);
                        let arrived = &mut self.arrived[usize::from(issuer.0)];
                        *arrived = soonest.max(*arrived + 1);
                        let delay = *arrived - self.now;
                        self.later(delay, Event::ToIssuer { issuer, message });
                    }
                }
                inside => self.later(delay, inside),
            }
        }
    }

    fn carry_back(&mut self, issuer: IssuerId, replies: &Replies) {
        let message = replies.first;
        if let Some(stray) = replies.stray {
            let delay = self.random.below(60 * MS);
            let message = stray;
            self.later(delay, Event::FromIssuer { issuer, message });
        }
        if let Some(second) = replies.conflicting {
            let delay = self.response_delay();
            self.later(delay, Event::FromIssuer { issuer, message });
            let message = second;
            let delay = delay + 1 + self.random.below(100 * MS);
            self.later(delay, Event::FromIssuer { issuer, message });
            return;
        }
        if self.random.permille(self.plan.response_loss) {
            return;
        }
        let times = 1 + u64::from(self.random.permille(self.plan.response_twice));
        for _ in 0..times {
            let delay = self.response_delay();
            self.later(delay, Event::FromIssuer { issuer, message });
        }
    }

    fn response_delay(&mut self) -> u64 {
        if self.random.permille(self.plan.response_late) {
            // Around the deadline and well behind it.
            self.random.between(1_900 * MS, 6_000 * MS)
        } else {
            self.random.below(60 * MS)
        }
    }

    fn move_acquirer(&mut self, moves: Moves) {
        for ask in moves.asks {
            if !self.random.permille(self.plan.session_loss) {
                let delay = self.random.below(self.plan.session_delay_ms * MS);
                self.later(delay, Event::ToSwitch(ask));
            }
        }
        for (delay, purchase, alarm) in moves.alarms {
            self.later(delay, Event::Acquirer { purchase, alarm });
        }
    }

    /// The end: everybody's books are compared, purchase by purchase.
    fn close(&mut self) -> Result<(), Broken> {
        if let Some(switch) = &self.switch {
            switch.check_idle()?;
            let counts = switch.counts;
            self.add_counts(counts);
        }
        let mut effects: BTreeMap<u32, (u32, u64)> = BTreeMap::new();
        for (purchase, held) in self.issuers.iter().flat_map(Issuer::holdings) {
            let effect = effects.entry(purchase).or_default();
            effect.0 += 1;
            effect.1 += held;
        }
        if let Some((purchase, _)) = effects.iter().find(|(_, (times, _))| *times > 1) {
            return Err(("S2", format!("purchase {purchase} was carried out twice")));
        }
        if let Some(open) = self.ledger.journal().open() {
            return Err(("S3", open));
        }
        let fold = self.ledger.journal();
        let books = self.acquirer.spent();
        for (purchase, spent) in books.filter(|(purchase, _)| !fold.is_exception(*purchase)) {
            let held = effects.get(&purchase).map_or(0, |(_, held)| *held);
            let journaled = fold.spent(purchase);
            if spent != held || spent != journaled {
                let what = format!(
                    "purchase {purchase}: acquirer {spent}, journal {journaled}, issuer {held}"
                );
                return Err(("sum", what));
            }
        }
        Ok(())
    }

    fn add_counts(&mut self, counts: Counts) {
        self.counts.unmatched += counts.unmatched;
        self.counts.unsent += counts.unsent;
        self.counts.table_full += counts.table_full;
        self.counts.outside_window += counts.outside_window;
    }

    fn report(&self) -> Report {
        Report {
            trace: self.trace,
            steps: self.step,
            purchases: self.acquirer.count(),
            restarts: self.life - 1,
            approvals: self.acquirer.approvals,
            replays: self.ledger.replays,
            reversals: self.issuers.iter().map(|issuer| issuer.reversals).sum(),
            unmatched: self.counts.unmatched,
            unsent: self.counts.unsent,
            table_full: self.counts.table_full,
            outside_window: self.counts.outside_window,
            tombstones: self.ledger.journal().tombstones,
        }
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
