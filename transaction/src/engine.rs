//! The engine of one shard: takes inputs, gives outputs, and owns everything in between.
//!
//! Work that one input sets free (a flush that covers a thousand records, a thousand deadlines in
//! one instant) is not piled up: [`Engine::poll_output`] pulls it piece by piece.

pub(crate) mod act;
pub(crate) mod admit;
mod book;
pub(crate) mod following;
mod held_back;
pub(crate) mod owed;
#[cfg(test)]
mod tests;
mod waiting;

use alloc::collections::VecDeque;

use domain::Amount;
use domain::ids::{AcquirerId, IssuerId, LinkId, Lsn, Stan};
use domain::profile::Undelivered;
use domain::record::{
    Carriage, LateResponse, Operator, Outcome, OutcomeKind, Reason, Record, SafDone, SafOwed,
};
use domain::request::{Answer, Facts, FrameId, IssuerLeg};
use domain::time::{Instant, WallTime};

use crate::clock::Clock;
use crate::error::RecoverError;
use crate::input::{Handle, Input};
use crate::operating::{NOBODY, OperateError, Operated, Retried};
use crate::output::{EntryKind, Event, JournalEntry, Output, Owed, OwedReversal, Reply};
use crate::reconciliation::Book;
use crate::replay::Replay;
use crate::saf::Saf;
use crate::settings::{Settings, Windows};
use crate::state::{State, StoodIn};
use crate::table::Table;
use crate::timers::{Deadlines, Timer};
use crate::transaction::Transaction;

/// All transactions of one shard.
///
/// Three kinds of method: `handle_*` tells, `poll_*` asks, the rest reads. After each `handle_*`,
/// [`Engine::poll_output`] is drained to `None` before the next.
#[derive(Debug)]
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) table: Table,
    pub(crate) deadlines: Deadlines,
    pub(crate) saf: Saf,
    pub(crate) book: Book,
    pub(crate) load: Load,
    /// What waits for a record to become durable, in the order of the journal.
    pub(crate) waiting: VecDeque<Waiting>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) next_lsn: Lsn,
    pub(crate) durable: Lsn,
    /// The latest place from before this start, on any shard (`engine/following.rs`).
    pub(crate) placed_behind: WallTime,
    pub(crate) shed: bool,
    pub(crate) serial: u32,
    /// Who has done something by hand in this input, and why.
    pub(crate) operator: (Operator, Reason),
    /// Deadlines up to here have been called out.
    pub(crate) expire_until: Instant,
    pub(crate) replay: Option<Replay>,
}

/// How much is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Without a durable outcome.
    pub(crate) inflight: usize,
    /// May still come to owe a reversal that no room is taken for.
    pub(crate) exposed: usize,
}

/// Something that a durable record sets free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) lsn: Lsn,
    pub(crate) effect: Effect,
}

/// What a durable record sets free.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// The request may leave.
    Intent(Handle),
    /// The answer may leave.
    Outcome(Handle),
    /// The reversal may leave.
    Owed { saf: u32, generation: u32 },
    /// The end of something owed may be told.
    Ended(Handle),
    /// The acknowledgement, or the refusal of a reversed original, may leave.
    Reply { frame: FrameId, reply: Reply },
    /// An operator may be told.
    Operated {
        ticket: u32,
        result: Result<Operated, OperateError>,
    },
    /// The same, of all that an issuer is owed.
    Retried { ticket: u32, retried: Retried },
    /// The shell may be told.
    Noted { token: u32 },
    /// A reconciliation of ours may leave.
    ReconciliationOwed { owed: u32 },
}

/// Numbers for gauges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Entries in the table, finished ones and tombstones included.
    pub entries: usize,
    /// Transactions without a durable outcome.
    pub inflight: usize,
    /// Owed reversals and advices.
    pub saf: usize,
    /// What ended as an exception and can be put back.
    pub exceptions: usize,
    /// Effects that wait for the disk.
    pub waiting: usize,
    /// Requests that wait until their issuer has what it is owed.
    pub held_back: usize,
}

impl Engine {
    /// An engine that knows nothing. Before its first input it may be told the journal.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self::with_windows(settings, &[])
    }

    /// The same, with windows of their own for these acquirers, by id; the others have those of the
    /// settings. The windows belong to the acquirer and not to one of its sessions, because its
    /// copies may come on any of them, also after a restart.
    #[must_use]
    pub fn with_windows(settings: Settings, windows: &[Windows]) -> Self {
        let waiting_max = waiting_max(&settings);
        Self {
            settings,
            clock: Clock::new(settings.wall_at_zero),
            table: Table::new(&settings, windows),
            deadlines: Deadlines::new(settings.deadlines_max.saturating_add(DEADLINES_OWN)),
            saf: Saf::new(&settings),
            book: Book::new(settings.parties, settings.saf, settings.seed),
            load: Load::default(),
            waiting: VecDeque::with_capacity(waiting_max),
            outputs: VecDeque::with_capacity(OUTPUTS_MAX),
            next_lsn: settings.next_lsn,
            durable: Lsn(settings.next_lsn.0.saturating_sub(1)),
            placed_behind: WallTime::default(),
            shed: false,
            serial: 0,
            operator: (NOBODY, Reason::EMPTY),
            expire_until: Instant::ZERO,
            replay: None,
        }
    }

    /// Tells it what has happened.
    pub fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        debug_assert!(
            self.replay.is_none(),
            "recovery ends before the first input"
        );
        self.clock.advance(now);
        self.book.begin_turn();
        match input {
            Input::Request(request) => self.on_request(&request),
            Input::Reversal(reversal) => self.on_reversal(&reversal),
            Input::Advice(advice) => self.on_advice(&advice),
            Input::Original { handle, original } => self.on_original(handle, original),
            Input::Assigned { handle, assignment } => self.on_assigned(handle, assignment),
            Input::StoodIn {
                handle,
                leg,
                authorisation,
                fields,
            } => {
                let what = StoodIn {
                    leg,
                    authorisation,
                    fields,
                };
                self.on_stood_in(handle, what);
            }
            Input::Assessed { handle, assessment } => self.on_assessed(handle, assessment),
            Input::Selected { handle, selection } => self.on_selected(handle, selection),
            Input::Durable { lsn } => self.durable = self.durable.max(lsn),
            Input::Unsent { handle, stan } => self.on_unsent(handle, stan),
            Input::Undelivered { handle } => self.on_undelivered(handle),
            Input::LegLost { handle, stan } => self.on_leg_lost(handle, stan),
            Input::LateDecline { handle, stan } => self.on_late_decline(handle, stan),
            Input::Response {
                handle,
                stan,
                answer,
            } => self.on_response(handle, stan, &answer),
            Input::Unusable { handle, stan } => self.on_unusable(handle, stan),
            Input::ReversalResponse { owed, code } => self.on_reversal_response(owed, code),
            Input::ReversalUnsent { owed } => self.on_reversal_unsent(owed),
            Input::IssuerUp { issuer } => {
                self.saf.issuer_up(issuer, now);
                self.book.owed.issuer_up(issuer);
            }
            Input::Older { owed, is_owed } => self.on_older(owed, is_owed),
            Input::IssuerDown { issuer } => self.saf.issuer_down(issuer),
            Input::Yield { issuer, yields } => self.saf.set_yield(issuer, yields),
            Input::Operate { ticket, operate } => self.on_operate(ticket, &operate),
            Input::RetryAll {
                ticket,
                issuer,
                from,
                operator,
            } => self.on_retry_all(ticket, issuer, from, operator),
            Input::Wall { wall } => self.clock.anchor(wall),
            Input::Book(input) => self.on_book(input),
            Input::Shed(shed) => self.shed = shed,
            Input::Drain => {
                self.shed = true;
                self.saf.live.begin_drain();
            }
        }
        self.debug_invariants();
    }

    /// Tells it that time has passed. May be called late, early or twice.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.clock.advance(now);
        self.expire_until = self.expire_until.max(now);
        self.debug_invariants();
    }

    /// The next thing to do; `None` when there is nothing left.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            if !self.step() {
                self.debug_invariants();
                return None;
            }
        }
    }

    /// When [`Engine::handle_timeout`] is next of use.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = self.deadlines.earliest(&self.table);
        let saf = self.saf.earliest();
        let owed = self.book.owed.earliest();
        let held = self.saf.live.earliest();
        [deadline, saf, owed, held].into_iter().flatten().min()
    }

    /// Feeds one record of the journal, in the order in which they were written, before the first
    /// input. `now` is the instant that `wall_at_zero` plus `now` makes the present.
    ///
    /// # Errors
    /// What is live does not fit, or the intent of what is owed is missing: the shard must not
    /// start.
    pub fn recover(&mut self, record: &Record<'_>, now: Instant) -> Result<(), RecoverError> {
        self.recover_as(record, Carriage::Fresh, now)
    }

    /// Whether a record that was fed began this transaction; before [`Engine::recovered`].
    #[must_use]
    pub fn has_replayed(&self, id: domain::ids::TransactionId) -> bool {
        self.replayed(id).is_some()
    }

    /// The STAN that was given out last on each link, in the order of the journal, or the one that
    /// [`Engine::begin_after`] was told where there is none since, for
    /// [`crate::matching::StanAllocator::go_on_after`]; before [`Engine::recovered`].
    pub fn latest_stans(&self) -> impl Iterator<Item = (LinkId, Stan)> {
        self.replayed_latest()
    }

    /// Says where the journal that was fed ends: the next record that this engine writes is
    /// `next_lsn`. For a shell that learns it only by reading the journal to its end.
    pub fn resume_at(&mut self, next_lsn: Lsn) {
        debug_assert!(self.outputs.is_empty(), "nothing was journaled before");
        self.next_lsn = next_lsn;
        self.durable = Lsn(next_lsn.0.saturating_sub(1));
    }

    /// The journal has been fed. Closes the intents that it left open: they become outputs, and are
    /// to be durable before a listener opens.
    ///
    /// # Errors
    /// More reversals are owed than there is room for, or one is owed to an issuer that is not
    /// configured: the shard must not start.
    pub fn recovered(&mut self, now: Instant) -> Result<(), RecoverError> {
        self.clock.advance(now);
        self.end_replay()
    }

    /// The record that an entry of this turn stands for.
    #[must_use]
    pub fn record(&self, entry: &JournalEntry) -> Record<'_> {
        #[expect(
            clippy::expect_used,
            reason = "a lost record is lost money: never go on"
        )]
        self.compose(entry)
            .expect("invariant: what is journaled in a turn is in the table until the next input")
    }

    /// Whether a record decides its transaction: each has one that does. An outcome that says "not
    /// sent" does not, while the next candidate is asked. Until the next input.
    #[must_use]
    pub fn decides(&self, entry: &JournalEntry) -> bool {
        match entry.kind {
            EntryKind::Refused { .. } | EntryKind::Advised { .. } => true,
            EntryKind::Outcome {
                kind: OutcomeKind::NotSent,
                ..
            } => self.answer(entry.handle).is_some(),
            // Also of what was reversed in flight: its issuer has yet to answer, and its acquirer
            // is told nothing any more.
            EntryKind::Outcome { .. } => true,
            EntryKind::Intent
            | EntryKind::SafOwed { .. }
            | EntryKind::SafDone { .. }
            | EntryKind::Tombstone
            | EntryKind::LateResponse { .. }
            | EntryKind::AdviceDone { .. }
            | EntryKind::Operated { .. }
            | EntryKind::Book { .. } => false,
        }
    }

    /// What the request said.
    #[must_use]
    pub fn facts(&self, handle: Handle) -> Option<&Facts> {
        Some(&self.table.transaction(handle)?.facts)
    }

    /// The frame that waits for the answer.
    #[must_use]
    pub fn frame(&self, handle: Handle) -> Option<FrameId> {
        self.table.transaction(handle)?.frame
    }

    /// The transaction's id.
    #[must_use]
    pub fn transaction_id(&self, handle: Handle) -> Option<domain::ids::TransactionId> {
        Some(self.table.transaction(handle)?.id)
    }

    /// The latest leg.
    #[must_use]
    pub fn leg(&self, handle: Handle) -> Option<&IssuerLeg> {
        self.table.transaction(handle)?.leg.as_ref()
    }

    /// When what waits for its issuer is given up, and a reversal may be owed.
    #[must_use]
    pub fn deadline(&self, handle: Handle) -> Option<Instant> {
        Some(self.table.transaction(handle)?.deadline)
    }

    /// What the acquirer and every copy is told; `None` before it is decided.
    #[must_use]
    pub fn answer(&self, handle: Handle) -> Option<Answer<'_>> {
        let transaction = self.table.transaction(handle)?;
        transaction.state.ending()?;
        Some(transaction.answer(&self.table.arena))
    }

    /// Whether its answer stands for an issuer that did not answer in time.
    #[must_use]
    pub fn has_timed_out(&self, handle: Handle) -> bool {
        let ending = self
            .table
            .transaction(handle)
            .and_then(|found| found.state.ending());
        ending == Some(crate::state::Ending::TimedOut)
    }

    /// Whether an answer to it that nobody is told of is to be told to the engine.
    #[must_use]
    pub fn is_reversed_untold(&self, handle: Handle) -> bool {
        self.table.transaction(handle).is_some_and(|found| {
            found.profile.undelivered == Undelivered::Reverse
                && found.state.ending() == Some(crate::state::Ending::Approved)
        })
    }

    /// Whether a reversal of its acquirer has been accepted for it, in whole or in part: its first
    /// answer, where it was not told yet, is not true any more (R9).
    #[must_use]
    pub fn is_taken_back(&self, handle: Handle) -> bool {
        let transaction = self.table.transaction(handle);
        transaction.is_some_and(|found| found.state.is_reversed())
    }

    /// The oldest of what the transaction owes, when that is a reversal.
    #[must_use]
    pub fn reversal(&self, handle: Handle) -> Option<OwedReversal> {
        let transaction = self.table.transaction(handle)?;
        let entry = self.saf.get(transaction.saf_head)?;
        let Owed::Reversal(cause) = entry.what else {
            return None;
        };
        let currency = transaction.facts.amount.currency();
        Some(OwedReversal {
            leg: transaction.leg?,
            original: transaction.kind(),
            decided: entry.decided,
            before: Amount::new(entry.before, currency).unwrap_or(transaction.facts.amount),
            replacement: entry
                .replacement
                .and_then(|minor| Amount::new(minor, currency).ok()),
            reason: entry.reason,
            cause,
            attempts: entry.attempts,
        })
    }

    /// The amount that stays after the oldest reversal owed; `None` when all is reversed.
    #[must_use]
    pub fn replacement(&self, handle: Handle) -> Option<Amount> {
        self.reversal(handle)?.replacement
    }

    /// Legs whose STAN is taken: after a recovery, for [`crate::matching::StanAllocator::claim`].
    pub fn busy_legs(&self) -> impl Iterator<Item = (Handle, &IssuerLeg)> {
        let len = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        (0..len).filter_map(|index| {
            let transaction = self.table.at(index)?;
            let leg = transaction.leg.as_ref()?;
            let handle = self.table.handle(index)?;
            transaction.stan_held.then_some((handle, leg))
        })
    }

    /// Numbers for gauges.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            entries: self.table.count(),
            inflight: self.load.inflight,
            saf: self.saf.count(),
            exceptions: self.saf.exceptions(),
            waiting: self.waiting.len(),
            held_back: self.saf.live.count(),
        }
    }

    /// Owed reversals in flight to this issuer.
    #[must_use]
    pub fn saf_inflight(&self, issuer: IssuerId) -> u32 {
        self.saf.inflight(issuer)
    }

    /// The position of the next record.
    #[must_use]
    pub const fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// Does one piece of the work that is due. `false` when there is none.
    fn step(&mut self) -> bool {
        if self.replay_step() || self.book_step() || self.durable_step() {
            return true;
        }
        let until = self.expire_until;
        if let Some(Timer::Deadline(handle)) = self.deadlines.expired(&self.table, until) {
            self.on_deadline(handle);
            return true;
        }
        self.held_back_step() || self.owed_step() || self.saf_step()
    }

    fn durable_step(&mut self) -> bool {
        let durable = self.durable;
        let Some(Waiting { effect, .. }) =
            self.waiting.pop_front_if(|waiting| waiting.lsn <= durable)
        else {
            return false;
        };
        match effect {
            Effect::Intent(handle) => self.on_intent_durable(handle),
            Effect::Outcome(handle) => self.on_outcome_durable(handle),
            Effect::Owed { saf, generation } => self.on_owed_durable(saf, generation),
            Effect::Ended(handle) => self.on_end_durable(handle),
            Effect::Reply { frame, reply } => self.emit(Output::Reply { frame, reply }),
            Effect::Operated { ticket, result } => self.emit(Output::Operated { ticket, result }),
            Effect::Retried { ticket, retried } => self.emit(Output::Retried { ticket, retried }),
            Effect::Noted { token } => self.emit(Output::Noted { token }),
            Effect::ReconciliationOwed { owed } => self.book.owed.durable(owed),
        }
        true
    }

    pub(crate) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn count(&mut self, event: Event) {
        let acquirer = None;
        self.outputs.push_back(Output::Event { event, acquirer });
    }

    /// Counts what became of a message of an acquirer.
    pub(crate) fn count_of(&mut self, acquirer: AcquirerId, event: Event) {
        let acquirer = Some(acquirer);
        self.outputs.push_back(Output::Event { event, acquirer });
    }

    /// Asks for a record; returns its position.
    pub(crate) fn journal(&mut self, handle: Handle, kind: EntryKind) -> Lsn {
        let lsn = self.next_lsn;
        self.next_lsn = lsn.next();
        let decided = self.clock.wall();
        let entry = JournalEntry {
            handle,
            decided,
            kind,
        };
        self.emit(Output::Journal { lsn, entry });
        lsn
    }

    /// Answers a frame once everything journaled so far is durable; what the answer stands for is
    /// among it.
    pub(crate) fn reply_when_durable(&mut self, frame: FrameId, reply: Reply) {
        if self.durable.next() >= self.next_lsn {
            self.emit(Output::Reply { frame, reply });
        } else {
            self.wait(Effect::Reply { frame, reply });
        }
    }

    /// Whether a further frame may wait for the disk without taking the place of an intent, an
    /// outcome or an owed reversal.
    pub(crate) fn may_wait(&self) -> bool {
        let reserve = waiting_reserve(&self.settings);
        let room = waiting_max(&self.settings).saturating_sub(reserve);
        self.waiting.len() < room
    }

    /// Holds an effect back until everything journaled so far is durable.
    pub(crate) fn wait(&mut self, effect: Effect) {
        let lsn = Lsn(self.next_lsn.0.saturating_sub(1));
        debug_assert!(
            self.waiting.back().is_none_or(|last| last.lsn <= lsn),
            "effects wait in the order of the journal"
        );
        self.waiting.push_back(Waiting { lsn, effect });
    }

    pub(crate) fn moved(&mut self, before: State, after: State) {
        let load = &mut self.load;
        match (before.is_settled(), after.is_settled()) {
            (false, true) => load.inflight = load.inflight.saturating_sub(1),
            (true, false) => load.inflight = load.inflight.saturating_add(1),
            (false, false) | (true, true) => {}
        }
        match (before.is_exposed(), after.is_exposed()) {
            (true, false) => load.exposed = load.exposed.saturating_sub(1),
            (false, true) => load.exposed = load.exposed.saturating_add(1),
            (false, false) | (true, true) => {}
        }
    }

    fn compose_owed(&self, transaction: &Transaction, saf: u32) -> Option<SafOwed> {
        let owed = self.saf.get(saf)?;
        let currency = transaction.facts.amount.currency();
        let amount = |minor| Amount::new(minor, currency).ok();
        let Owed::Reversal(cause) = owed.what else {
            return None;
        };
        Some(SafOwed {
            transaction: transaction.id,
            decided: owed.decided,
            cause,
            key: owed.key,
            replacement: owed.replacement.and_then(amount),
            reason: owed.reason,
        })
    }

    fn compose(&self, entry: &JournalEntry) -> Option<Record<'_>> {
        if entry.kind == EntryKind::Tombstone {
            return self
                .table
                .tombstone(entry.handle)
                .copied()
                .map(Record::Tombstone);
        }
        if let EntryKind::Book { place } = entry.kind {
            return self.book.note(place);
        }
        let transaction = self.table.transaction(entry.handle)?;
        let (id, decided) = (transaction.id, entry.decided);
        Some(match entry.kind {
            EntryKind::Tombstone | EntryKind::Book { .. } => return None,
            EntryKind::Intent => Record::Intent(transaction.intent(self.asked_until(transaction))?),
            EntryKind::Refused { reason } => Record::Refused(transaction.refused(reason)),
            EntryKind::Outcome { kind, issuer_code } => Record::Outcome(Outcome {
                transaction: id,
                decided,
                kind,
                answer: transaction.answer(&self.table.arena),
                issuer_code,
            }),
            EntryKind::SafOwed { saf } => Record::SafOwed(self.compose_owed(transaction, saf)?),
            EntryKind::SafDone {
                result,
                code,
                attempts,
            } => Record::SafDone(SafDone {
                transaction: id,
                decided,
                result,
                code,
                attempts,
            }),
            EntryKind::AdviceDone {
                result,
                code,
                attempts,
            } => Record::AdviceDone(SafDone {
                transaction: id,
                decided,
                result,
                code,
                attempts,
            }),
            EntryKind::Operated { .. } => Record::Operated(self.compose_operated(id, entry)?),
            EntryKind::Advised { saf } => Record::Advised(self.compose_advised(transaction, saf)?),
            EntryKind::LateResponse { code } => Record::LateResponse(LateResponse {
                transaction: id,
                received: decided,
                issuer: transaction.leg?.issuer,
                code,
            }),
        })
    }
}

/// Lengths beside those of routes: for a decision, for an issuer's word on a reversal, for an
/// approval that was not told.
const DEADLINES_OWN: usize = 3;

/// Outputs that one input makes at once, at most; what follows from it is pulled by `poll_output`.
const OUTPUTS_MAX: usize = 64;

/// Intents and outcomes in flight, owed reversals, and as much again for acknowledgements.
const fn waiting_max(settings: &Settings) -> usize {
    waiting_reserve(settings)
        .saturating_mul(2)
        .saturating_add(1024)
}

/// What acknowledgements leave free for intents, outcomes and owed reversals.
const fn waiting_reserve(settings: &Settings) -> usize {
    settings
        .inflight_max
        .saturating_mul(2)
        .saturating_add(settings.saf_max)
}
