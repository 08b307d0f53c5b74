//! One shard's shell around the engine: sessions, journal, router, risk, links; and the ways to get
//! it wrong.

mod act;
mod administering;
mod advising;
mod checkpointing;
mod importing;
mod inquiring;
mod issuing;
mod locating;
mod owed_first;
mod past;
mod reconciling;
mod start;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::ids::{IssuerId, LinkId, Lsn, Stan, TransactionId};
use domain::reconciliation::Totals;
use domain::request::{Answer, Facts, FrameId};
use domain::time::{Instant, TransmissionTime, WallTime};
use risk_inline::{RiskEngine, Verdict};
use router::{Permit, Router};
use transaction::administrative::ExchangeInput;
use transaction::input::{Assessment, Assignment, Selection};
use transaction::matching::Expected;
use transaction::reconciliation::{BookInput, BucketKey};
use transaction::{Engine, Handle, Input, OwedId};

use super::Driver;
use super::bytes::{content_of, read_ask};
use super::disk::Disk;
use super::focus::CrashPoint;
use super::journal::{FLUSH_SLOW, Journal, Step};
use super::ledger::{Broken, Ledger};
use super::link::{Link, LinkPlace, PENDING_MAX};
use super::plan::Plan;
use super::postgres::Source;
use super::random::Random;
use super::seen::Seen;
use super::words::{
    Ask, Asked, Came, Event, Held, Inside, MS, Message, OutboundId, Purpose, Said, WALL,
};

use act::tell_acquirer;
use administering::Administering;
use locating::Locating;
use owed_first::OwedHere;
use reconciling::Reconciling;

pub(super) use importing::Old;
pub(super) use locating::Located;
pub(super) use past::Past;
pub(super) use start::{Begin, NotStarted, latest_stans};

pub(super) const ISSUERS: u16 = 2;
/// Each issuer has two.
pub(super) const LINKS: u16 = 4;

/// One shard in one life of the node.
#[derive(Debug)]
pub(super) struct Shard {
    id: u16,
    shards: u16,
    engine: Engine,
    pub(super) journal: Journal,
    driver: Driver,
    life: u64,
    places: Vec<LinkPlace>,
    homes: BTreeMap<LinkId, Link>,
    router: Router,
    risk: RiskEngine,
    /// What may be approved in place of each issuer.
    stand_in: Vec<RiskEngine>,
    /// What waits for an answer, and over which shard's session it came.
    frames: BTreeMap<u32, Waiting>,
    next_frame: u32,
    /// Permits that are out, by position in the engine's table.
    legs: BTreeMap<u32, Leg>,
    /// What is owed and out: the link that it went out on, and its answer.
    owed: Vec<(OwedId, LinkId, Expected)>,
    follow: VecDeque<Follow>,
    /// When the last message to each shard arrives.
    mesh_at: Vec<u64>,
    /// First transmissions of what is owed, by the kind of its answer: never twice in one life.
    reversals_begun: BTreeSet<(u8, u32, TransmissionTime)>,
    /// Whose deciding record has been seen: one each.
    decided: BTreeSet<TransactionId>,
    owed_here: OwedHere,
    flushes: u64,
    asked_to_shed: bool,
    told_to_shed: bool,
    /// Everything up to here was closed by recovery; before that no listener opens.
    open_at: Lsn,
    reconciling: Reconciling,
    administering: Administering,
    locating: Locating,
    pub(super) counts: Seen,
}

/// A message that waits for its answer.
#[derive(Debug)]
struct Waiting {
    ask: Ask,
    session: Came,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Leg {
    /// None of what a start has found.
    permit: Option<Permit>,
    stan: Stan,
    expected: Expected,
    /// Where its answer is waited for.
    link: LinkId,
    /// Of a completion request.
    completed: Option<domain::record::Completed>,
}

/// What comes of a turn and is told to the engine after it.
#[derive(Debug)]
enum Follow {
    Assessed(Handle, Assessment),
    Selected(Handle, Selection),
    Assigned(Handle, Assignment),
    ReversalUnsent(OwedId),
    Acknowledged(OwedId),
    Durable(Lsn),
    Noted(u32),
    Book(BookInput),
    OweTotals(BucketKey, Totals),
    Exchange(ExchangeInput),
    Local(Message),
}

/// What a turn may touch besides the shard.
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
    /// Messages between shards that are on their way.
    pub(super) in_mesh: &'a mut u64,
    /// The process ends; with `true`, the power fails.
    pub(super) dies: Option<bool>,
}

impl Around<'_> {
    fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }
}

pub(super) fn wall(now: u64, ahead_ms: i64) -> WallTime {
    let millis = WALL
        .after(std::time::Duration::from_nanos(now))
        .unix_millis();
    WallTime::from_unix_millis(millis.saturating_add_signed(ahead_ms))
}

impl Shard {
    /// A frame arrives over a session of this shard.
    pub(super) fn arrive(
        &mut self,
        ask: Ask,
        bytes: Vec<u8>,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let read = match &around.plan.lines {
            Some(lines) => read_ask(lines.acquirer, &bytes, &ask),
            None => Some(ask),
        };
        let Some(ask) = read else {
            // Its session says what is wrong with it; nobody acts on it.
            self.counts.garbled += 1;
            return Ok(());
        };
        let owner = ask.slot().owner(self.shards).0;
        if owner != self.id && around.random.permille(around.plan.mesh_full) {
            let answer = Answer::of(domain::ResponseCode::MALFUNCTION);
            self.counts.mesh_full += 1;
            return tell_acquirer(ask, bytes, &answer, around);
        }
        let session = Came {
            session: self.id,
            serial: around.ledger.answers.taken(ask, owner, around.now),
        };
        let message = Message::Ask {
            session,
            ask,
            bytes,
        };
        self.tell(owner, message, around);
        self.drain(around)
    }

    fn ask(&mut self, waiting: Waiting, around: &mut Around<'_>) -> Result<(), Broken> {
        let ask = waiting.ask;
        if self.ends_at(CrashPoint::Parsed, around) {
            return Ok(());
        }
        let is_reversal = matches!(ask.what, Asked::Reversal { .. });
        if is_reversal && around.plan.references.is_some() {
            return self.admit_reversal(waiting, Located::NotAsked, around);
        }
        let frame = FrameId(self.next_frame);
        self.next_frame += 1;
        let content = match &around.plan.lines {
            Some(lines) => content_of(lines.acquirer, &waiting.bytes),
            None => ask.of.content(),
        };
        self.frames.insert(frame.0, waiting);
        let profile = around.plan.switches.told(self.driver);
        let remembers = !around.plan.is_forgetful();
        around.ledger.arrived(&ask, remembers);
        let shared = around.plan.bounds.owed_first;
        if let Some(mut advice) = ask.advice((frame, profile), &content) {
            let account = &mut advice.facts.account;
            account.token = shared.token(account.token);
            self.give(Input::Advice(advice), around)?;
        }
        if let Some(mut request) = ask.request(frame, profile) {
            self.owed_here.came(ask.of.number, around.now);
            let account = &mut request.facts.account;
            account.token = shared.token(account.token);
            self.give(Input::Request(request), around)?;
        }
        if let Some(mut reversal) = ask.reversal(frame, profile) {
            reversal.token = reversal.token.map(|token| shared.token(token));
            self.give(Input::Reversal(reversal), around)?;
        }
        Ok(())
    }

    pub(super) fn inside(&mut self, event: Inside, around: &mut Around<'_>) -> Result<(), Broken> {
        match event {
            Inside::Disk => self.disk_step(around),
            Inside::Slow { flush } => {
                if flush == self.flushes && self.journal.is_syncing() {
                    self.journal.is_stalled = true;
                    self.counts.stalled += 1;
                }
                self.drain(around)
            }
            Inside::Assessed { handle } => {
                let assessment = Assessment::Accept;
                self.give(Input::Assessed { handle, assessment }, around)
            }
            Inside::Unsent { id } => {
                self.tell(id.owner, Message::Unsent { id }, around);
                self.drain(around)
            }
            Inside::Inquire { handle, stan } => self.inquire((handle, stan), around),
            Inside::Question { id, link, message } => {
                self.question((id, link), &message, around);
                Ok(())
            }
            Inside::Freeze { issuer, date } => self.freeze(issuer, date, around),
            Inside::Mesh(message) => {
                *around.in_mesh -= 1;
                self.counts.between_shards += 1;
                self.take(message, around)?;
                self.drain(around)
            }
            Inside::Reply(held) => self.release(*held, around),
        }
    }

    fn disk_step(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        let (step, delay) = self.journal.step(around.disk, around.plan, around.random);
        match step {
            Step::Nothing => {}
            Step::Dead => {
                around.dies = Some(false);
                self.counts.disk_errors += 1;
            }
            Step::Durable(lsn) => {
                self.flushes += 1;
                self.journal.is_stalled = false;
                // What the disk has, whatever the shell believes.
                if self.journal.is_synced(around.disk) {
                    around.ledger.durable(self.id, lsn);
                }
                self.give(Input::Durable { lsn }, around)?;
            }
        }
        if let Some(delay) = delay {
            self.await_disk(delay, around);
        }
        self.drain(around)
    }

    fn await_disk(&mut self, delay: u64, around: &mut Around<'_>) {
        if !self.journal.is_resting() {
            around.ledger.answers.disk_keeps(self.id, around.now, delay);
        }
        self.later(delay, Inside::Disk, around);
        if self.journal.is_syncing() {
            if delay > FLUSH_SLOW {
                let flush = self.flushes;
                self.later(FLUSH_SLOW, Inside::Slow { flush }, around);
            }
            if around.random.permille(around.plan.crash_in_flush) {
                let within = around.random.below(delay);
                let power = around.random.permille(around.plan.power);
                around.events.push((within, Event::Crash { power }));
            }
        }
    }

    pub(super) fn timeout(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        self.engine.handle_timeout(around.instant());
        self.drain(around)?;
        self.exchange_timeout(around)?;
        self.drain(around)
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        let engine = self.engine.poll_timeout().map(Instant::as_nanos);
        engine
            .into_iter()
            .chain(self.administering.poll_timeout())
            .min()
    }

    pub(super) fn shed(&mut self, shed: bool, around: &mut Around<'_>) -> Result<(), Broken> {
        self.asked_to_shed = shed;
        self.drain(around)
    }

    pub(super) fn set_wall(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        let wall = wall(around.now, around.wall_ahead);
        self.give(Input::Wall { wall }, around)
    }

    /// Whether what recovery closed is durable.
    pub(super) fn is_open(&self) -> bool {
        self.journal.durable() >= self.open_at
    }

    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        let counts = self.engine.counts();
        let engine = counts.inflight == 0 && counts.saf == 0 && counts.waiting == 0;
        let totals = self.engine.owed_reconciliations().next().is_none();
        engine
            && totals
            && self.reconciling.is_idle()
            && self.administering.is_idle()
            && self.locating.is_idle()
            && self.journal.durable() == self.journal.last()
    }

    /// Reversals and advices that it owes to issuers.
    pub(super) fn owed_count(&self) -> u64 {
        self.engine.counts().saf as u64
    }

    /// The journal as an applier reads it.
    pub(super) fn source(&self) -> Source {
        Source {
            identity: self.journal.identity,
            found: self.journal.found,
            durable: self.journal.durable(),
        }
    }

    /// For people.
    pub(super) fn summary(&self) -> String {
        let counts = self.engine.counts();
        let journal = (self.journal.durable(), self.journal.last());
        format!("{counts:?} {journal:?}")
    }

    /// S8: what is declared bounded is.
    pub(super) fn check_bounds(&self, plan: &Plan) -> Result<(), Broken> {
        let counts = self.engine.counts();
        let bounds = plan.bounds;
        let (waiting, buffers) = self.journal.waiting();
        let pending = self.homes.values().map(|link| link.pending.inflight());
        let permits: u32 = (0..ISSUERS)
            .map(|id| self.router.inflight(IssuerId(id)))
            .sum();
        let inflight_max = bounds.inflight_max as usize;
        let held_back_max = plan
            .bounds
            .owed_first
            .held_back_max
            .min(bounds.inflight_max / 2);
        let exchanges_max = plan.administering.map_or(0, |bounds| bounds.inflight_max);
        let exchanges_max = exchanges_max as usize;
        let checks = [
            ("entries", counts.entries, bounds.transactions_max as usize),
            ("held back", counts.held_back, held_back_max as usize),
            ("reversals", counts.saf, bounds.saf_max as usize),
            ("buffers", waiting, buffers),
            ("pending answers", pending.max().unwrap_or(0), PENDING_MAX),
            ("permits", permits as usize, self.permits()),
            ("exchanges", self.administering.inflight(), exchanges_max),
            ("legs", self.legs.len(), inflight_max.max(counts.inflight)),
        ];
        match checks.iter().find(|(_, is, most)| is > most) {
            Some((what, is, most)) => Err(("S8", format!("{is} {what}, {most} at most"))),
            None => Ok(()),
        }
    }

    /// When nothing is under way, nothing may be held.
    pub(super) fn check_idle(&self) -> Result<(), Broken> {
        self.engine.check_invariants();
        self.administering.check_idle()?;
        if !self.frames.is_empty() {
            return Err(("L1", format!("frames without an end: {:?}", self.frames)));
        }
        let permits: u32 = (0..ISSUERS)
            .map(|id| self.router.inflight(IssuerId(id)))
            .sum();
        if !self.legs.is_empty() || permits > 0 {
            let what = format!("{permits} never returned, legs {:?}", self.legs);
            return Err(("permits", what));
        }
        let busy: Vec<i64> = self.places.iter().map(LinkPlace::busy).collect();
        if busy.iter().any(|count| *count != 0) {
            return Err(("stans", format!("out, or released twice: {busy:?}")));
        }
        let pending = self.homes.values().map(|link| link.pending.inflight());
        let out: usize = pending.sum();
        if self.driver != Driver::MatchesOnStanAlone && out > 0 {
            let links = self
                .homes
                .values()
                .flat_map(|link| link.pending.outstanding());
            let waited: Vec<_> = links.collect();
            return Err((
                "pending",
                format!("{out} answers are waited for: {waited:?}"),
            ));
        }
        Ok(())
    }

    /// Whether the process ends at this step, before what follows.
    fn ends_at(&mut self, point: CrashPoint, around: &mut Around<'_>) -> bool {
        let ends = around.plan.crash_at == Some(point) && around.random.permille(100);
        if ends && around.dies.is_none() {
            self.counts.crash_points += 1;
            around.dies = Some(around.random.permille(around.plan.power));
        }
        around.dies.is_some()
    }

    fn give(&mut self, input: Input<'_>, around: &mut Around<'_>) -> Result<(), Broken> {
        self.engine.handle_input(input, around.instant());
        self.drain_engine(around)
    }

    fn drain_engine(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        while around.dies.is_none()
            && let Some(output) = self.engine.poll_output()
        {
            self.act(output, around)?;
        }
        Ok(())
    }

    /// Outputs, and what follows from them within the turn.
    fn drain(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        self.drain_engine(around)?;
        while around.dies.is_none()
            && let Some(follow) = self.follow.pop_front()
        {
            match follow {
                Follow::Assessed(handle, assessment) => {
                    self.give(Input::Assessed { handle, assessment }, around)?;
                }
                Follow::Selected(handle, selection) => {
                    self.give(Input::Selected { handle, selection }, around)?;
                }
                Follow::Assigned(handle, assignment) => {
                    self.give(Input::Assigned { handle, assignment }, around)?;
                }
                Follow::ReversalUnsent(owed) => {
                    self.give(Input::ReversalUnsent { owed }, around)?;
                }
                Follow::Acknowledged(owed) => {
                    let code = domain::ResponseCode::APPROVED;
                    self.give(Input::ReversalResponse { owed, code }, around)?;
                }
                Follow::Durable(lsn) => self.give(Input::Durable { lsn }, around)?,
                Follow::Noted(token) => self.noted(token, around)?,
                Follow::Exchange(input) => self.give_exchange(input, around)?,
                Follow::Book(input) => self.give(Input::Book(input), around)?,
                Follow::OweTotals(bucket, ours) => self.owe_totals(bucket, ours, around)?,
                Follow::Local(message) => self.take(message, around)?,
            }
        }
        if around.dies.is_some() {
            return Ok(());
        }
        let shed = self.asked_to_shed || self.journal.wants_shed();
        if shed != self.told_to_shed {
            self.told_to_shed = shed;
            self.give(Input::Shed(shed), around)?;
        }
        self.write_book(around)?;
        around.ledger.check_turn()?;
        self.compare_totals(around)?;
        self.begin_disk(around);
        Ok(())
    }

    fn begin_disk(&mut self, around: &mut Around<'_>) {
        let delay = self.journal.begin(around.disk, around.plan, around.random);
        if let Some(delay) = delay {
            self.await_disk(delay, around);
        }
    }

    /// Tells a shard, itself included. Messages from one shard to another keep their order.
    fn tell(&mut self, to: u16, message: Message, around: &mut Around<'_>) {
        if to == self.id {
            self.follow.push_back(Follow::Local(message));
            return;
        }
        let delay = around.random.below(around.plan.mesh_delay_us * 1_000);
        let at = &mut self.mesh_at[usize::from(to)];
        *at = (around.now + delay).max(*at + 1);
        *around.in_mesh += 1;
        let inside = Event::Inside {
            life: self.life,
            shard: to,
            event: Inside::Mesh(message),
        };
        around.events.push((*at - around.now, inside));
    }

    fn later(&self, delay: u64, event: Inside, around: &mut Around<'_>) {
        let inside = Event::Inside {
            life: self.life,
            shard: self.id,
            event,
        };
        around.events.push((delay, inside));
    }

    fn take(&mut self, message: Message, around: &mut Around<'_>) -> Result<(), Broken> {
        match message {
            Message::Ask {
                session,
                ask,
                bytes,
            } => self.ask(
                Waiting {
                    ask,
                    session,
                    bytes,
                },
                around,
            ),
            Message::Assess {
                handle,
                from,
                facts,
            } => {
                let assessment = self.assess(&facts, around);
                self.tell(from, Message::Assessed { handle, assessment }, around);
                Ok(())
            }
            Message::Assessed { handle, assessment } => {
                self.give(Input::Assessed { handle, assessment }, around)
            }
            Message::AskStandIn {
                handle,
                from,
                facts,
                issuer,
            } => {
                self.may_stand_in((handle, from), &facts, issuer, around);
                Ok(())
            }
            Message::StandIn {
                handle,
                issuer,
                approved,
            } => self.stand_in(handle, issuer, approved, around),
            Message::FindOriginal {
                handle,
                from,
                query,
            } => {
                self.look_up_original((handle, from), &query, around);
                Ok(())
            }
            Message::AskOlder { .. } | Message::Older { .. } => self.older(message, around),
            Message::Original { handle, original } => self.take_original(handle, original, around),
            Message::Send {
                id,
                link,
                message,
                bytes,
            } => self.write_out(id, link, (*message, bytes), around),
            Message::Unsent { id } => self.unsent(id, around),
            Message::Answer { id, said } => self.answered(id, &said, around),
            Message::GiveUp { link, expected } => self.given_up(link, expected, around),
            Message::LinkState { link, up } => self.link_state(link, up, around),
            Message::LegLost { id } => self.leg_lost(id, around),
            Message::Administrative(ask) => self.administer(ask, around),
            Message::Locate { .. } | Message::LocatedAt { .. } | Message::Reverse { .. } => {
                self.take_location(message, around)
            }
            Message::Book(message) => self.take_book(*message, around),
        }
    }

    fn given_up(
        &mut self,
        link: LinkId,
        expected: Expected,
        around: &Around<'_>,
    ) -> Result<(), Broken> {
        if let Some(home) = self.homes.get_mut(&link) {
            home.pending.give_up(expected, around.instant());
        }
        Ok(())
    }

    fn unsent(&mut self, id: OutboundId, around: &mut Around<'_>) -> Result<(), Broken> {
        match id.purpose {
            Purpose::Request => {
                let (handle, stan) = (id.handle, id.stan);
                self.give(Input::Unsent { handle, stan }, around)
            }
            Purpose::Inquiry => {
                self.inquire_later((id.handle, id.stan), around);
                Ok(())
            }
            Purpose::Reversal(owed) => {
                self.owed.retain(|(out, ..)| *out != owed);
                self.give(Input::ReversalUnsent { owed }, around)
            }
            Purpose::Reconciliation(owed) => {
                self.give(Input::Book(BookInput::Unsent { owed }), around)
            }
            Purpose::Administrative(exchange) => {
                let stan = id.stan;
                self.give_exchange(ExchangeInput::Unsent { exchange, stan }, around)
            }
        }
    }

    /// A lost link had not answered it, and its issuer wants no wait for that.
    fn leg_lost(&mut self, id: OutboundId, around: &mut Around<'_>) -> Result<(), Broken> {
        let (handle, stan) = (id.handle, id.stan);
        self.counts.legs_lost += 1;
        match id.purpose {
            Purpose::Administrative(exchange) if self.driver == Driver::AsksAnother => {
                self.give_exchange(ExchangeInput::Unsent { exchange, stan }, around)
            }
            Purpose::Administrative(exchange) => {
                self.give_exchange(ExchangeInput::Lost { exchange, stan }, around)
            }
            // Asked until it is told.
            Purpose::Inquiry => Ok(()),
            Purpose::Request | Purpose::Reversal(_) | Purpose::Reconciliation(_) => {
                self.give(Input::LegLost { handle, stan }, around)
            }
        }
    }

    /// Of requests and administrative messages.
    fn permits(&self) -> usize {
        self.legs.len() + self.administering.permits()
    }

    /// The shard that knows how much an account has moved.
    fn account_home(&self, facts: &Facts) -> u16 {
        u16::from(facts.account.token.0[15]) % self.shards
    }

    fn assess(&mut self, facts: &Facts, around: &Around<'_>) -> Assessment {
        match self.risk.assess(facts, around.instant()) {
            Verdict::Accept => Assessment::Accept,
            Verdict::Decline { code, reason } => {
                self.counts.declined_here += 1;
                Assessment::Decline { code, reason }
            }
        }
    }
}
