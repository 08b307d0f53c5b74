//! Which faults a seed has, and how often they strike.

use domain::ids::IssuerId;
use domain::pan::PanToken;

use super::administering::Administering;
use super::asking::Asking;
use super::bytes::Lines;
use super::focus::CrashPoint;
use super::random::Random;
use super::reconciling::Days;
use super::switches::Switches;

/// Chances are in permille.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) purchases: u64,
    /// Mean pause between two purchases, in ms.
    pub(super) spacing_ms: u64,
    pub(super) crashes: u64,
    /// A crash while a flush is under way.
    pub(super) crash_in_flush: u64,
    pub(super) crash_in_recovery: u64,
    pub(super) flush_stall: u64,
    /// Between acquirer and switch, either way.
    pub(super) session_loss: u64,
    pub(super) session_delay_ms: u64,
    /// Between switch and issuer.
    pub(super) request_loss: u64,
    pub(super) request_twice: u64,
    pub(super) response_loss: u64,
    pub(super) response_late: u64,
    pub(super) response_twice: u64,
    pub(super) link_flaps: u64,
    pub(super) unsent: u64,
    /// Answers that carry another terminal or number.
    pub(super) wrong_echo: u64,
    /// A second answer under the STAN of another request.
    pub(super) wrong_stan: u64,
    pub(super) conflicting: u64,
    pub(super) illegible: u64,
    pub(super) partial: u64,
    pub(super) other_amount: u64,
    pub(super) declined: u64,
    pub(super) reversal_busy: u64,
    /// Refused for no good reason: three times, and people have to look.
    pub(super) reversal_refused: u64,
    /// Steps of the wall clock, up to some minutes either way.
    pub(super) wall_jumps: u64,
    pub(super) assess_slow: u64,
    /// Further copies of a request.
    pub(super) copies: u64,
    pub(super) other_content: u64,
    /// Copies that come after the duplicate window.
    pub(super) stale_copies: u64,
    pub(super) reversal_first: u64,
    pub(super) reversal_race: u64,
    /// A partial reversal while the request may be out, then one of the whole.
    pub(super) partial_race: u64,
    pub(super) reversal_after: u64,
    pub(super) shed: u64,
    /// Crashes that are a loss of power, not the end of a process.
    pub(super) power: u64,
    pub(super) write_error: u64,
    pub(super) sync_error: u64,
    /// EINTR or EAGAIN: the same write is submitted again.
    pub(super) put_off: u64,
    /// Writes that land elsewhere in their segment.
    pub(super) misdirected: u64,
    /// No room for the next segment, for a while.
    pub(super) disk_full: u64,
    /// Of starts that find a rotten bit.
    pub(super) flips: u64,
    /// Between shards, at most.
    pub(super) mesh_delay_us: u64,
    /// Requests that another shard has no room for.
    pub(super) mesh_full: u64,
    /// Answers on another link of the same issuer.
    pub(super) wrong_link: u64,
    pub(super) commit_unknown: u64,
    pub(super) commit_refused: u64,
    pub(super) failovers: u64,
    /// Starts without PostgreSQL.
    pub(super) postgres_away: u64,
    /// Answers in the tick of a deadline.
    pub(super) at_deadline: u64,
    /// Two copies at once.
    pub(super) twins: u64,
    /// The process stands still for half a minute.
    pub(super) stops: u64,
    /// Ends the process, every so often.
    pub(super) crash_at: Option<CrashPoint>,
    pub(super) reports: Reports,
    /// Totals are kept.
    pub(super) days: Option<Days>,
    pub(super) switches: Switches,
    /// What is no money is asked for.
    pub(super) administering: Option<Administering>,
    /// Of reversals and completion requests: DE90 does not say which transaction is meant. Where it
    /// is none, nobody is asked for one.
    pub(super) references: Option<u64>,
    /// Messages are bytes; else they are what was read of them.
    pub(super) lines: Option<Lines>,
    pub(super) bounds: Bounds,
    pub(super) shape: Shape,
    pub(super) shards: u16,
    /// Starts that find another number of shards configured.
    pub(super) deals_anew: u64,
    /// Times at which the journal of a shard gets a checkpoint.
    pub(super) checkpoints: u64,
    pub(super) breaker_percent: u8,
}

/// What is not asked but told, and why.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reports {
    /// Purchases that are advices from the start: what an acquirer decided on its own.
    pub(super) advices: u64,
    /// Approvals that an advice completes, and a quarter as many purchases whatever they come to.
    pub(super) completions: u64,
    /// Times at which no issuer can be reached.
    pub(super) outages: u64,
    /// What the switch may approve in place of an issuer, in minor units.
    pub(super) floor: u64,
}

impl Reports {
    pub(super) const MANY: Self = Self {
        advices: 400,
        completions: 800,
        outages: 4,
        floor: 200,
    };
}

/// Which issuers have what they are owed for an account before a request of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwedFirst {
    /// A bit for each.
    issuers: u64,
    /// Requests that wait at once, at most.
    pub(super) held_back_max: u64,
    /// Accounts that all purchases share; each has its own where it is zero.
    accounts: u32,
}

impl OwedFirst {
    fn draw(random: &mut Random) -> Self {
        Self {
            issuers: random.between(1, 3),
            held_back_max: random.between(1, 20),
            accounts: random.between(1, 5) as u32,
        }
    }

    pub(super) const fn is_by(self, issuer: IssuerId) -> bool {
        (self.issuers >> issuer.0) & 1 == 1
    }

    /// What an engine takes for the account of a purchase.
    pub(super) fn token(self, own: PanToken) -> PanToken {
        let number = u128::from_be_bytes(own.0);
        match number.checked_rem(u128::from(self.accounts)) {
            // No list of risk has it.
            Some(shared) => PanToken((shared | 1 << 64).to_be_bytes()),
            None => own,
        }
    }
}

/// How the journal is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) segment_blocks: u64,
    pub(super) batch_blocks: u64,
}

/// How narrow the engine is built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) inflight_max: u64,
    pub(super) saf_max: u64,
    pub(super) saf_window: u64,
    pub(super) saf_expiry_s: u64,
    /// Of duplicates.
    pub(super) window_s: u64,
    pub(super) transactions_max: u64,
    /// How long advices are remembered.
    pub(super) advice_window_s: u64,
    /// For what owed advices say.
    pub(super) advice_bytes_max: u64,
    pub(super) owed_first: OwedFirst,
}

impl Shape {
    fn draw(random: &mut Random) -> Self {
        Self {
            segment_blocks: random.between(6, 40),
            batch_blocks: random.between(2, 6),
        }
    }
}

impl Bounds {
    fn draw(random: &mut Random) -> Self {
        Self {
            inflight_max: random.between(3, 64),
            saf_max: random.between(8, 200),
            saf_window: random.between(1, 5),
            saf_expiry_s: 604_800,
            window_s: 3_600,
            transactions_max: 256,
            advice_window_s: 604_800,
            advice_bytes_max: 16_384,
            owed_first: OwedFirst::default(),
        }
    }
}

impl Plan {
    pub(super) fn draw(random: &mut Random) -> Self {
        let mut fault = |most| sometimes(random, most);
        Self {
            crashes: fault(4),
            crash_in_flush: fault(15),
            crash_in_recovery: fault(500),
            flush_stall: fault(60),
            session_loss: fault(150),
            session_delay_ms: 1 + fault(400),
            request_loss: fault(150),
            request_twice: fault(100),
            response_loss: fault(150),
            response_late: fault(150),
            response_twice: fault(150),
            link_flaps: fault(6),
            unsent: fault(100),
            wrong_echo: fault(80),
            wrong_stan: fault(150),
            conflicting: fault(60),
            illegible: fault(60),
            partial: fault(60),
            other_amount: fault(60),
            declined: fault(300),
            reversal_busy: fault(300),
            reversal_refused: fault(500).saturating_sub(250),
            wall_jumps: fault(3),
            assess_slow: fault(80),
            copies: fault(400),
            other_content: fault(80),
            stale_copies: fault(900),
            reversal_first: fault(60),
            reversal_race: fault(150),
            partial_race: fault(100),
            reversal_after: fault(400),
            shed: fault(3),
            power: 1_000 - fault(700),
            write_error: fault(20).saturating_sub(12),
            sync_error: fault(20).saturating_sub(12),
            put_off: fault(100),
            misdirected: fault(16).saturating_sub(8),
            disk_full: fault(300),
            flips: fault(600),
            mesh_delay_us: 1 + fault(3_000),
            mesh_full: fault(40),
            wrong_link: fault(60),
            commit_unknown: fault(300),
            commit_refused: fault(500),
            failovers: fault(3),
            postgres_away: fault(500),
            at_deadline: fault(50),
            twins: fault(100),
            stops: 0,
            crash_at: None,
            reports: Reports::default(),
            days: None,
            switches: Switches::PLAIN,
            administering: None,
            references: None,
            lines: None,
            shape: Shape::draw(random),
            shards: random.between(1, 4) as u16,
            deals_anew: 0,
            checkpoints: 0,
            breaker_percent: random.between(20, 101) as u8,
            bounds: Bounds::draw(random),
            purchases: random.between(20, 70),
            spacing_ms: random.between(1, 400),
        }
        .forgetful(random)
    }

    /// Half of all worlds outlast their duplicate window, in a table that may be too small for it.
    /// The window stays above what an acquirer needs for its repeats and reversals.
    fn forgetful(mut self, random: &mut Random) -> Self {
        if random.permille(500) {
            self.spacing_ms = random.between(500, 4_000);
            self.bounds.window_s = random.between(90, 180);
            self.bounds.transactions_max = random.between(16, 128);
        }
        if random.permille(200) {
            self.bounds.saf_expiry_s = random.between(20, 120);
        }
        self
    }

    /// What only advices and approvals in place of issuers need comes from a source of its own, so
    /// that a seed without them is the world that it was.
    pub(super) fn draw_advices(&mut self, random: &mut Random) {
        let mut fault = |most| sometimes(random, most);
        self.reports = Reports {
            advices: fault(300),
            completions: fault(600),
            outages: fault(4),
            floor: fault(4) * 100,
        };
        self.stops = random.below(4).saturating_sub(2);
        if self.is_forgetful() {
            let window_s = self.bounds.window_s;
            self.bounds.advice_window_s = random.between(window_s, 2 * window_s);
        }
        self.bounds.advice_bytes_max = random.between(200, 2_000);
        self.lines = random.permille(500).then(|| Lines::draw(random));
        if self.lines.is_some_and(|lines| lines.spoiled > 0) {
            // Whoever is told a lie alone cannot know: the first of two answers is not lost.
            self.conflicting = 0;
        }
    }

    /// Every seventh world has issuers that ask for what they are owed first.
    pub(super) fn draw_owed_first(&mut self, seed: u64) {
        if seed % 7 == 2 {
            self.bounds.owed_first = OwedFirst::draw(&mut Random::new(seed.rotate_left(32)));
        }
    }

    /// Every seventh world has issuers that decline first, of what they approve too late. A process
    /// that stands still may take for timely what comes too late here.
    pub(super) fn draw_lies(&mut self, seed: u64) {
        if seed % 7 == 5 {
            self.switches.lies = true;
            self.switches.cancels_reversals = true;
            self.stops = 0;
            self.bounds.saf_window = 1;
            self.response_late = self.response_late.max(100);
        }
    }

    /// From a source of its own, for the same reason.
    pub(super) fn draw_days(&mut self, random: &mut Random) {
        self.days = random.permille(700).then(|| Days::draw(random));
    }

    /// From a source of its own, for the same reason.
    pub(super) fn draw_shards(&mut self, random: &mut Random) {
        if random.permille(500) {
            self.deals_anew = random.between(100, 600);
        }
    }

    pub(super) fn draw_checkpoints(&mut self, random: &mut Random) {
        if random.permille(600) {
            self.checkpoints = random.between(2, 30);
        }
    }

    /// Where messages are no bytes: what those of this class look like is held by other tests.
    pub(super) fn draw_administering(&mut self, random: &mut Random) {
        let draws = self.lines.is_none() && random.permille(700);
        self.administering = draws.then(|| Administering::draw(random));
    }

    pub(super) fn draw_references(&mut self, random: &mut Random) {
        self.references = random.permille(600).then(|| random.between(100, 700));
    }

    /// Two of seven worlds have issuers that decide later. There messages are no bytes, for an
    /// issuer of this kind speaks no ISO 8583.
    pub(super) fn draw_asking(&mut self, seed: u64) {
        if matches!(seed % 7, 3 | 6) {
            self.switches.asking = Some(Asking::draw(&mut Random::new(seed.rotate_left(48))));
            self.lines = None;
        }
    }

    /// Whether this issuer is asked what became of a request.
    pub(super) fn asks(&self, issuer: IssuerId) -> bool {
        self.switches
            .asking
            .is_some_and(|asking| asking.has(issuer))
    }

    /// The longer one of the routes.
    pub(super) fn deadline_ms(&self) -> u64 {
        self.switches
            .asking
            .map_or(2_000, |asking| asking.deadline_ms)
    }

    /// Whether the table may have forgotten a transaction before the run is over.
    pub(super) const fn is_forgetful(&self) -> bool {
        self.bounds.transactions_max < 256
    }

    /// The same world without faults; acquirers finish what they have begun.
    pub(super) fn calm(&mut self) {
        *self = Self {
            bounds: self.bounds,
            purchases: self.purchases,
            spacing_ms: self.spacing_ms,
            session_delay_ms: 1,
            crashes: 0,
            crash_in_flush: 0,
            crash_in_recovery: 0,
            flush_stall: 0,
            session_loss: 0,
            request_loss: 0,
            request_twice: 0,
            response_loss: 0,
            response_late: 0,
            response_twice: 0,
            link_flaps: 0,
            unsent: 0,
            wrong_echo: 0,
            wrong_stan: 0,
            conflicting: 0,
            illegible: 0,
            partial: 0,
            other_amount: 0,
            declined: 0,
            reversal_busy: 0,
            reversal_refused: 0,
            wall_jumps: 0,
            assess_slow: 0,
            copies: 0,
            other_content: 0,
            stale_copies: 0,
            reversal_first: 0,
            reversal_race: 0,
            partial_race: 0,
            reversal_after: 0,
            shed: 0,
            shape: self.shape,
            shards: self.shards,
            checkpoints: 0,
            deals_anew: 0,
            breaker_percent: self.breaker_percent,
            power: 0,
            write_error: 0,
            sync_error: 0,
            put_off: 0,
            misdirected: 0,
            disk_full: 0,
            flips: 0,
            mesh_delay_us: 100,
            mesh_full: 0,
            wrong_link: 0,
            commit_unknown: 0,
            commit_refused: 0,
            failovers: 0,
            postgres_away: 0,
            at_deadline: 0,
            twins: 0,
            stops: 0,
            crash_at: None,
            reports: self.reports.calm(),
            days: self.days.map(Days::calm),
            switches: self.switches.calm(),
            administering: self.administering.map(Administering::calm),
            references: self.references.map(|_| 0),
            lines: self.lines.map(Lines::calm),
        };
    }
}

impl Reports {
    fn calm(self) -> Self {
        Self {
            floor: self.floor,
            ..Self::default()
        }
    }
}

/// Up to so much, in most worlds.
fn sometimes(random: &mut Random, most: u64) -> u64 {
    match random.permille(600) {
        true => random.below(most + 1),
        false => 0,
    }
}
