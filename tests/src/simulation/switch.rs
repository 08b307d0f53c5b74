//! The shell around the engine: sessions, links, STANs, a journal; and the ways to get it wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::ResponseCode;
use domain::ids::{
    AuthorisationId, IssuerId, LinkId, Lsn, NodeId, RouteId, ShardId, Stan, TransactionId,
};
use domain::record::{Record, RefusalReason};
use domain::request::{Answer, FrameId, IssuerLeg, Transmission};
use domain::time::{Instant, TransmissionTime, WallTime};
use transaction::input::{Assessment, Selection};
use transaction::matching::{Echo, Expected, ResponseKind};
use transaction::output::{Event as Counted, LegEnding, NotAdmitted, Reply};
use transaction::settings::{Chunks, OutsideWindow, SafPolicy, SameContent};
use transaction::{Engine, Handle, Input, Output, OwedId, Settings};

use super::Driver;
use super::disk::Disk;
use super::ledger::{Broken, Ledger, authorisation, fields_of};
use super::link::{Link, SHARE, Waits};
use super::plan::Plan;
use super::random::Random;
use super::words::{Ask, Event, Inside, LegB, MS, Said, Taking, Told, WALL, kes};

pub(super) const ISSUERS: u16 = 2;
const DEADLINES: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(1_300)];

/// One life of the switch, from start to crash.
#[derive(Debug)]
pub(super) struct Switch {
    engine: Engine,
    driver: Driver,
    pub(super) life: u64,
    links: Vec<Link>,
    frames: BTreeMap<u32, Ask>,
    next_frame: u32,
    /// Durable, as the engine was told.
    reported: usize,
    /// Permits that are out.
    permits: BTreeSet<(u32, u32, Stan)>,
    /// First transmissions of reversals: never twice in one life.
    reversals_begun: BTreeSet<(u32, u64)>,
    /// Whose deciding record has been seen: one each.
    decided: BTreeSet<TransactionId>,
    pub(super) counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) unmatched: u64,
    pub(super) unsent: u64,
    pub(super) table_full: u64,
    pub(super) outside_window: u64,
}

/// What a turn may touch besides the switch.
#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) now: u64,
    pub(super) wall_ahead: i64,
    pub(super) disk: &'a mut Disk,
    pub(super) ledger: &'a mut Ledger,
    pub(super) plan: &'a Plan,
    pub(super) random: &'a mut Random,
    /// What follows, with its delay in ns.
    pub(super) events: &'a mut Vec<(u64, Event)>,
}

fn settings(life: u64, around: &Around<'_>) -> Settings {
    let bounds = around.plan.bounds;
    Settings {
        node: NodeId(1),
        shard: ShardId(0),
        start: life as u32,
        transactions_max: bounds.transactions_max as usize,
        inflight_max: bounds.inflight_max as usize,
        saf_max: bounds.saf_max as usize,
        advice_window: Duration::from_secs(604_800),
        advice_bytes_max: 16_384,
        answer_bytes_max: 16_384,
        deadlines_max: 4,
        issuers: usize::from(ISSUERS),
        duplicate_window: Duration::from_secs(bounds.window_s),
        outside_window: OutsideWindow::Refuse,
        duplicate_same_content: SameContent::Replay,
        timeout_answer: ResponseCode::ISSUER_INOPERATIVE,
        reversed_original_answer: ResponseCode::DUPLICATE,
        unknown_original: ResponseCode::APPROVED,
        decision_timeout: Duration::from_millis(500),
        saf: SafPolicy {
            response_timeout: Duration::from_secs(3),
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(20),
            expiry: Duration::from_secs(bounds.saf_expiry_s),
            inflight_max: bounds.saf_window as u32,
        },
        next_lsn: Lsn(around.disk.len() as u64 + 1),
        wall_at_zero: wall(0, around.wall_ahead),
        seed: life,
        chunks: Chunks::Lazy,
    }
}

pub(super) fn wall(now: u64, ahead_ms: i64) -> WallTime {
    let millis = WALL.after(Duration::from_nanos(now)).unix_millis();
    WallTime::from_unix_millis(millis.saturating_add_signed(ahead_ms))
}

impl Switch {
    /// Starts out of the journal. What it closes is journaled, not yet durable.
    pub(super) fn start(
        driver: Driver,
        life: u64,
        links_up: &[bool],
        around: &mut Around<'_>,
    ) -> Result<Self, Broken> {
        let resend = if driver == Driver::ResendsAfterRestart {
            let asks = hide_open_intents(around.disk);
            around.ledger.survived(around.disk.records())?;
            asks
        } else {
            Vec::new()
        };
        let engine = Engine::new(settings(life, around));
        let links = links_up.iter().zip(0_u64..);
        let mut switch = Self {
            engine,
            driver,
            life,
            links: links
                .map(|(up, number)| Link::new(*up, life * 7 + number))
                .collect(),
            frames: BTreeMap::new(),
            next_frame: 0,
            reported: around.disk.len(),
            permits: BTreeSet::new(),
            reversals_begun: BTreeSet::new(),
            decided: BTreeSet::new(),
            counts: Counts::default(),
        };
        switch.recover(around)?;
        for (issuer, up) in (0..ISSUERS).map(IssuerId).zip(links_up) {
            if *up {
                switch.give(Input::IssuerUp { issuer }, around)?;
            }
        }
        for request in resend {
            switch.ask(request, around)?;
        }
        Ok(switch)
    }

    fn recover(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        let now = Instant::from_nanos(around.now);
        let refused = |error| ("recovery", format!("{error}"));
        for record in around.disk.records() {
            self.engine.recover(&record, now).map_err(refused)?;
        }
        self.engine.recovered(now).map_err(refused)?;
        self.drain(around)?;
        for (_, leg) in self.engine.busy_legs() {
            self.links[usize::from(leg.link.0)].stans.claim(leg.stan);
        }
        Ok(())
    }

    /// A frame arrives from an acquirer.
    pub(super) fn ask(&mut self, ask: Ask, around: &mut Around<'_>) -> Result<(), Broken> {
        let frame = FrameId(self.next_frame);
        self.next_frame += 1;
        self.frames.insert(frame.0, ask);
        if let Some(request) = ask.request(frame) {
            self.give(Input::Request(request), around)?;
        }
        if let Some(reversal) = ask.reversal(frame) {
            self.give(Input::Reversal(reversal), around)?;
        }
        Ok(())
    }

    /// Something comes back from an issuer.
    pub(super) fn said(
        &mut self,
        issuer: IssuerId,
        said: Said,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let now = Instant::from_nanos(around.now);
        let Some(waits) = self.links[usize::from(issuer.0)].match_answer(self.driver, &said, now)
        else {
            self.counts.unmatched += 1;
            return Ok(());
        };
        let stan = said.expected.stan;
        let fields = fields_of(said.purchase);
        let input = match (said.code, waits) {
            (Some(code), Waits::Reversal(owed)) => Input::ReversalResponse { owed, code },
            (None, Waits::Reversal(_)) => return Ok(()),
            (None, Waits::Request(handle)) => Input::Unusable { handle, stan },
            (Some(code), Waits::Request(handle)) => {
                let approved = code.is_approval();
                let de38 = authorisation(said.purchase);
                let answer = Answer {
                    code,
                    authorisation: if approved {
                        AuthorisationId::new("DE38", &de38).expect("digits")
                    } else {
                        AuthorisationId::EMPTY
                    },
                    amount: said.amount.map(kes),
                    fields: if approved { &fields } else { &[] },
                };
                Input::Response {
                    handle,
                    stan,
                    answer,
                }
            }
        };
        self.give(input, around)
    }

    pub(super) fn inside(&mut self, event: Inside, around: &mut Around<'_>) -> Result<(), Broken> {
        match event {
            Inside::Flushed { upto } => {
                around.disk.flushing = false;
                let skipped = self.driver == Driver::SkipsSync && !around.random.permille(50);
                if !skipped {
                    around.disk.synced(upto);
                }
                self.reported = self.reported.max(upto);
                let lsn = Lsn(self.reported as u64);
                self.give(Input::Durable { lsn }, around)
            }
            Inside::Assessed { handle } => {
                let assessment = Assessment::Accept;
                self.give(Input::Assessed { handle, assessment }, around)
            }
            Inside::Unsent { handle, stan } => self.give(Input::Unsent { handle, stan }, around),
        }
    }

    pub(super) fn timeout(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        self.engine.handle_timeout(Instant::from_nanos(around.now));
        self.drain(around)
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        self.engine.poll_timeout().map(Instant::as_nanos)
    }

    pub(super) fn link(
        &mut self,
        issuer: IssuerId,
        up: bool,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        self.links[usize::from(issuer.0)].up = up;
        if up {
            self.give(Input::IssuerUp { issuer }, around)?;
        }
        Ok(())
    }

    pub(super) fn shed(&mut self, shed: bool, around: &mut Around<'_>) -> Result<(), Broken> {
        self.give(Input::Shed(shed), around)
    }

    pub(super) fn set_wall(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        let wall = wall(around.now, around.wall_ahead);
        self.give(Input::Wall { wall }, around)
    }

    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        let counts = self.engine.counts();
        counts.inflight == 0 && counts.saf == 0 && counts.waiting == 0
    }

    /// When nothing is under way, nothing may be held.
    pub(super) fn check_idle(&self) -> Result<(), Broken> {
        self.engine.check_invariants();
        if !self.frames.is_empty() {
            return Err(("L1", format!("frames without an end: {:?}", self.frames)));
        }
        if !self.permits.is_empty() {
            return Err(("permits", format!("never returned: {:?}", self.permits)));
        }
        let busy = self
            .links
            .iter()
            .map(|link| SHARE - link.stans.free() - link.stans.late() as u32);
        let busy: Vec<u32> = busy.collect();
        if busy.iter().any(|count| *count > 0) {
            return Err(("stans", format!("never released: {busy:?}")));
        }
        let pending = self.links.iter().map(|link| link.pending.inflight());
        let out: usize = pending.sum();
        if self.driver != Driver::MatchesOnStanAlone && out > 0 {
            return Err(("pending", format!("{out} answers are waited for")));
        }
        Ok(())
    }

    fn give(&mut self, input: Input<'_>, around: &mut Around<'_>) -> Result<(), Broken> {
        let now = Instant::from_nanos(around.now);
        self.engine.handle_input(input, now);
        self.drain(around)
    }

    fn drain(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        loop {
            while let Some(output) = self.engine.poll_output() {
                self.act(output, around)?;
            }
            let early = self.driver == Driver::RepliesBeforeDurable;
            if !early || !around.disk.is_dirty(self.reported) {
                break;
            }
            self.reported = around.disk.len();
            let lsn = Lsn(self.reported as u64);
            let now = Instant::from_nanos(around.now);
            self.engine.handle_input(Input::Durable { lsn }, now);
        }
        self.begin_flush(around);
        Ok(())
    }

    fn begin_flush(&mut self, around: &mut Around<'_>) {
        let upto = around.disk.len();
        let flushed = match self.driver {
            Driver::RepliesBeforeDurable => 0,
            Driver::Faithful
            | Driver::SkipsSync
            | Driver::ResendsAfterRestart
            | Driver::MatchesOnStanAlone => self.reported,
        };
        if around.disk.flushing || !around.disk.is_dirty(flushed) {
            return;
        }
        around.disk.flushing = true;
        let micros = if around.random.permille(around.plan.flush_stall) {
            around.random.between(50_000, 3_000_000)
        } else {
            around.random.between(100, 2_000)
        };
        let event = Inside::Flushed { upto };
        let life = self.life;
        around
            .events
            .push((micros * 1_000, Event::Inside { life, event }));
        if around.random.permille(around.plan.crash_in_flush) {
            let within = around.random.below(micros * 1_000);
            around.events.push((within, Event::Crash));
        }
    }

    fn act(&mut self, output: Output, around: &mut Around<'_>) -> Result<(), Broken> {
        match output {
            Output::Assess { handle, .. } => self.assess(handle, around),
            Output::SelectRoute { handle, tried, .. } => self.select(handle, tried, around),
            Output::Journal { lsn, entry } => {
                let record = self.engine.record(&entry);
                if lsn.0 != around.disk.len() as u64 + 1 {
                    return Err(("lsn", format!("{lsn} after {} records", around.disk.len())));
                }
                let id = record.transaction();
                if self.engine.decides(&entry) && !self.decided.insert(id) {
                    return Err(("decided", format!("{id} is decided a second time")));
                }
                around.disk.append(record);
                around.ledger.journaled(&record);
                if std::env::var("SIM_TRACE").is_ok() {
                    println!("   J {lsn} {entry:?} {:?}", record.transaction());
                }
            }
            Output::Send { handle, leg, frame } => return self.send(handle, &leg, frame, around),
            Output::LegEnded {
                handle,
                leg,
                ending,
                ..
            } => {
                return self.leg_ended(handle, &leg, ending, around);
            }
            Output::ReleaseStan { leg, reuse } => {
                let now = Instant::from_nanos(around.now);
                let link = &mut self.links[usize::from(leg.link.0)];
                link.stans.release(leg.stan, reuse, now);
            }
            Output::Reply { frame, reply } => return self.reply(frame, reply, around),
            Output::Discard { frame } => {
                if self.frames.remove(&frame.0).is_none() {
                    return Err(("L1", format!("{frame:?} discarded after its end")));
                }
            }
            Output::SendReversal { owed, transmission } => {
                return self.send_reversal(owed, transmission, around);
            }
            Output::FindOriginal { .. } | Output::AssignLeg { .. } | Output::SendAdvice { .. } => {
                return Err(("advice", format!("{output:?}: no acquirer here sends one")));
            }
            Output::GiveUpReversal { owed } => {
                let leg = self.engine.leg(owed.handle).copied();
                if let Some(leg) = leg {
                    let expected = Expected {
                        kind: ResponseKind::Reversal,
                        stan: leg.stan,
                    };
                    let now = Instant::from_nanos(around.now);
                    let link = &mut self.links[usize::from(leg.link.0)];
                    link.pending.give_up(expected, now);
                }
            }
            Output::Event(event) => return self.count(event, around),
        }
        Ok(())
    }

    fn count(&mut self, event: Counted, around: &Around<'_>) -> Result<(), Broken> {
        let fits = around.plan.bounds.transactions_max >= 256;
        match event {
            Counted::AnswerCut => return Err(("S8", "an answer found no room".to_string())),
            Counted::NotAdmitted(NotAdmitted::TableFull) if fits => {
                return Err(("S8", format!("{event:?} in a world that fits")));
            }
            Counted::NotAdmitted(NotAdmitted::TableFull) => self.counts.table_full += 1,
            Counted::NotAdmitted(NotAdmitted::OutsideWindow) => self.counts.outside_window += 1,
            _ => {}
        }
        Ok(())
    }

    fn assess(&mut self, handle: Handle, around: &mut Around<'_>) {
        if around.random.permille(around.plan.assess_slow) {
            let later = around.random.below(800 * MS);
            let event = Inside::Assessed { handle };
            let life = self.life;
            around.events.push((later, Event::Inside { life, event }));
            return;
        }
        let assessment = if around.random.permille(around.plan.assess_declined) {
            Assessment::Decline {
                code: ResponseCode::SUSPECTED_FRAUD,
                reason: RefusalReason::Fraud,
            }
        } else {
            Assessment::Accept
        };
        let now = Instant::from_nanos(around.now);
        self.engine
            .handle_input(Input::Assessed { handle, assessment }, now);
    }

    fn select(&mut self, handle: Handle, tried: u8, around: &mut Around<'_>) {
        let now = Instant::from_nanos(around.now);
        let open = (0..ISSUERS).find(|issuer| {
            // A link that has just gone down may still be taken for one that is up.
            let up = self.links[usize::from(*issuer)].up || around.random.permille(300);
            tried & (1 << issuer) == 0 && up
        });
        let stan = open.and_then(|issuer| self.links[usize::from(issuer)].stans.allocate(now));
        let selection = match (open, stan) {
            (Some(issuer), Some(stan)) => {
                self.permits.insert((handle.index, handle.generation, stan));
                Selection::Leg {
                    leg: IssuerLeg {
                        route: RouteId(0),
                        candidate: issuer as u8,
                        issuer: IssuerId(issuer),
                        link: LinkId(issuer),
                        stan,
                        transmitted: TransmissionTime::at(wall(around.now, around.wall_ahead)),
                    },
                    deadline: DEADLINES[usize::from(issuer)],
                }
            }
            _ => Selection::None {
                code: ResponseCode::ISSUER_INOPERATIVE,
                reason: RefusalReason::NoneAdmits,
            },
        };
        self.engine
            .handle_input(Input::Selected { handle, selection }, now);
    }

    fn send(
        &mut self,
        handle: Handle,
        leg: &IssuerLeg,
        frame: FrameId,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let Some(ask) = self.frames.get(&frame.0) else {
            return Err(("L1", format!("{frame:?} is sent after its end")));
        };
        let facts = ask.of.facts(false);
        let expected = Expected {
            kind: facts.class.into(),
            stan: leg.stan,
        };
        let message = LegB {
            expected,
            echo: Echo {
                transmitted: Some(leg.transmitted),
                terminal: facts.trace.terminal,
                rrn: facts.trace.rrn,
                ..Echo::default()
            },
            purchase: ask.of.number,
            amount: ask.of.amount,
            reversal: None,
        };
        let life = self.life;
        let link = &mut self.links[usize::from(leg.link.0)];
        let stuck = around.random.permille(around.plan.unsent);
        if !link.up || stuck || !link.note(&message, Waits::Request(handle), around.now) {
            self.counts.unsent += 1;
            let later = if stuck {
                around.random.below(2_500 * MS)
            } else {
                0
            };
            let stan = leg.stan;
            let event = Inside::Unsent { handle, stan };
            around.events.push((later, Event::Inside { life, event }));
            return Ok(());
        }
        let issuer = leg.issuer;
        around.events.push((0, Event::ToIssuer { issuer, message }));
        Ok(())
    }

    fn leg_ended(
        &mut self,
        handle: Handle,
        leg: &IssuerLeg,
        ending: LegEnding,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let permit = (handle.index, handle.generation, leg.stan);
        if !self.permits.remove(&permit) {
            return Err(("permits", format!("{leg:?} returned twice")));
        }
        if ending == LegEnding::TimedOut {
            let now = Instant::from_nanos(around.now);
            let link = &mut self.links[usize::from(leg.link.0)];
            for kind in [ResponseKind::Authorisation, ResponseKind::Financial] {
                let stan = leg.stan;
                link.pending.give_up(Expected { kind, stan }, now);
            }
        }
        Ok(())
    }

    fn reply(
        &mut self,
        frame: FrameId,
        reply: Reply,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let Some(ask) = self.frames.remove(&frame.0) else {
            return Err(("L1", format!("{frame:?} is answered twice")));
        };
        let (answer, stored) = match reply {
            Reply::Answer(handle) => (self.engine.answer(handle), true),
            Reply::Code(code) | Reply::Acknowledge { code } => (Some(Answer::of(code)), false),
        };
        let Some(answer) = answer else {
            return Err(("L1", format!("{frame:?} has no answer to tell")));
        };
        around.ledger.answered(&ask, &answer, stored)?;
        let told = Told {
            ask,
            code: answer.code,
        };
        around.events.push((0, Event::ToAcquirer(told)));
        Ok(())
    }

    fn send_reversal(
        &mut self,
        id: OwedId,
        transmission: Transmission,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let handle = id.handle;
        let (Some(owed), Some(facts)) = (self.engine.reversal(handle), self.engine.facts(handle))
        else {
            return Err(("saf", format!("{handle:?} has no reversal to send")));
        };
        let message = LegB {
            expected: Expected {
                kind: ResponseKind::Reversal,
                stan: owed.leg.stan,
            },
            echo: Echo {
                transmitted: Some(TransmissionTime::at(owed.decided)),
                terminal: facts.trace.terminal,
                rrn: facts.trace.rrn,
                ..Echo::default()
            },
            purchase: (facts.key.0 >> 8) as u32,
            amount: facts.amount.minor(),
            reversal: Some(Taking {
                original: owed.leg.transmitted,
                stays: owed.replacement.map(|amount| amount.minor()),
                transmission,
            }),
        };
        let link = &mut self.links[usize::from(owed.leg.link.0)];
        if !link.up || !link.note(&message, Waits::Reversal(id), around.now) {
            let now = Instant::from_nanos(around.now);
            self.engine
                .handle_input(Input::ReversalUnsent { owed: id }, now);
            return Ok(());
        }
        let first = transmission == Transmission::First;
        let name = (message.purchase, owed.decided.unix_millis());
        if first && !self.reversals_begun.insert(name) {
            return Err(("saf", format!("{message:?} is a first sending twice")));
        }
        let issuer = owed.leg.issuer;
        around.events.push((0, Event::ToIssuer { issuer, message }));
        Ok(())
    }
}

/// Takes intents without an outcome out of the journal; returns what they asked for.
fn hide_open_intents(disk: &mut Disk) -> Vec<Ask> {
    let mut open = BTreeMap::new();
    for record in disk.records() {
        match record {
            Record::Intent(intent) => {
                open.insert(intent.transaction, intent.facts);
            }
            Record::Outcome(outcome) => {
                open.remove(&outcome.transaction);
            }
            _ => {}
        }
    }
    disk.retain(|record| !open.contains_key(&record.transaction()));
    let asks = open.values().map(Ask::again);
    asks.collect()
}
