//! One transaction advances: a signal moves its state, the action does what that calls for.

use core::time::Duration;

use domain::currency::Currency;
use domain::ids::{AcquirerId, Stan};
use domain::profile::PartialApproval;
use domain::record::{OutcomeKind, RefusalReason, ReversalCause};
use domain::request::{Answer, FrameId, IssuerLeg};
use domain::{Amount, ResponseCode};

use crate::engine::admit::Sender;
use crate::engine::{Effect, Engine};
use crate::input::{Assessment, Handle, Selection};
use crate::output::{EntryKind, Event, LegEnding, NotAdmitted, Output, Reply, StanReuse};
use crate::state::{Action, Ending, Signal, State, Unusable, WhyUnsent};
use crate::transaction::{LateAnswer, Transaction};

/// Whose a transaction was that nothing is left of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forgotten {
    acquirer: AcquirerId,
    /// What waits for its answer.
    frame: Option<FrameId>,
}

impl Forgotten {
    /// `None` when nobody waits for an answer.
    pub(crate) fn sender(self) -> Option<Sender> {
        let acquirer = self.acquirer;
        self.frame.map(|frame| Sender { acquirer, frame })
    }
}

impl Engine {
    pub(crate) fn on_assessed(&mut self, handle: Handle, assessment: Assessment) {
        let signal = match assessment {
            Assessment::Accept => Signal::Accepted,
            Assessment::Decline { code, reason } => Signal::Declined { code, reason },
        };
        self.advance(handle, signal);
    }

    pub(crate) fn on_selected(&mut self, handle: Handle, selection: Selection) {
        let signal = match selection {
            Selection::Leg { leg, .. } if !self.saf.knows_issuer(leg.issuer) => {
                debug_assert!(false, "a route leads to an issuer that is configured");
                self.return_leg(handle, leg);
                let code = ResponseCode::ISSUER_INOPERATIVE;
                let reason = RefusalReason::NoneAdmits;
                Signal::Unrouted { code, reason }
            }
            Selection::Leg { leg, deadline } => self.routed(handle, leg, deadline),
            Selection::None { code, reason } => Signal::Unrouted { code, reason },
        };
        self.advance(handle, signal);
    }

    //= docs/rules.md#T-16
    /// What a start has found may have left before: no other candidate gets it.
    pub(crate) fn on_unsent(&mut self, handle: Handle, stan: Stan) {
        if self.is_resumed(handle) {
            return self.count(Event::Stray);
        }
        self.advance_leg(handle, stan, Signal::Unsent);
    }

    /// Case g, where the issuer wants it: as if the deadline had passed. What has not left is not
    /// the link's.
    pub(crate) fn on_leg_lost(&mut self, handle: Handle, stan: Stan) {
        let state = self.table.transaction(handle).map(|found| found.state);
        if matches!(state, Some(State::Sent | State::Reversing)) {
            self.advance_leg(handle, stan, Signal::Deadline);
        } else {
            self.count(Event::Stray);
        }
    }

    pub(crate) fn on_unusable(&mut self, handle: Handle, stan: Stan) {
        let what = Unusable {
            told: ResponseCode::MALFUNCTION,
            code: None,
        };
        self.advance_leg(handle, stan, Signal::Unusable(what));
    }

    pub(crate) fn on_response(&mut self, handle: Handle, stan: Stan, answer: &Answer<'_>) {
        let Some(transaction) = self.table.transaction(handle) else {
            return self.count(Event::Stray);
        };
        let signal = judge(transaction, answer);
        self.advance_leg(handle, stan, signal);
    }

    pub(crate) fn on_deadline(&mut self, handle: Handle) {
        self.deadlines.clear(&mut self.table, handle);
        let state = self.table.transaction(handle).map(|found| found.state);
        if state.is_some_and(|state| !state.has_deadline()) {
            self.on_wait_over(handle);
        } else {
            self.advance(handle, Signal::Deadline);
        }
    }

    pub(crate) fn on_intent_durable(&mut self, handle: Handle) {
        let state = self.table.transaction(handle).map(|found| found.state);
        // Closed or reversed meanwhile: its outcome says so, and nothing leaves.
        if state == Some(State::Intended) {
            self.advance(handle, Signal::IntentDurable);
        }
    }

    pub(crate) fn on_outcome_durable(&mut self, handle: Handle) {
        self.advance(handle, Signal::OutcomeDurable);
    }

    /// A signal about one leg: of no use when the transaction has gone on to another.
    fn advance_leg(&mut self, handle: Handle, stan: Stan, signal: Signal<'_>) {
        let leg = self.table.transaction(handle).and_then(|found| found.leg);
        if leg.is_some_and(|leg| leg.stan == stan) {
            self.advance(handle, signal);
        } else {
            self.count(Event::Stray);
        }
    }

    /// The one place where a state changes.
    pub(crate) fn advance(&mut self, handle: Handle, signal: Signal<'_>) {
        let Some(transaction) = self.table.transaction_mut(handle) else {
            if let Signal::Routed { leg, .. } = signal {
                self.return_leg(handle, leg);
            }
            return self.count(Event::Stray);
        };
        let before = transaction.state;
        let (after, action) = before.on(signal);
        transaction.state = after;
        self.moved(before, after);
        if before.has_deadline() && !after.has_deadline() {
            self.deadlines.clear(&mut self.table, handle);
        }
        self.act(handle, action);
        if before.may_be_held_back() && !after.may_be_held_back() {
            self.saf.live.let_go(handle);
        }
    }

    fn act(&mut self, handle: Handle, action: Action<'_>) {
        match action {
            Action::Ignore => self.count(Event::Stray),
            Action::ReturnLeg(leg) => self.return_leg(handle, leg),
            Action::ReturnStan(leg) => self.return_stan(leg),
            Action::Advise { leg } => self.advise(handle, leg),
            Action::LeaveToPeople => self.leave_to_people(handle),
            Action::DropAdvice(code, reason) => self.drop_advice(handle, code, reason),
            Action::WithdrawAdvice => self.withdraw_advice(handle),
            Action::StandIn(what) => self.stand_in(handle, &what),
            Action::SelectRoute => self.select_route(handle),
            Action::SelectIssuer { issuer, completed } => {
                self.select_issuer(handle, issuer, completed);
            }
            Action::Refuse { code, reason } => self.refuse(handle, code, reason),
            Action::Abandon(reason) => self.abandon(handle, reason),
            Action::HoldBack { issuer, deadline } => self.hold_back(handle, issuer, deadline),
            Action::GiveUpWaiting => self.give_up_waiting(handle),
            Action::RefuseReversed => self.reverse_held_back(handle),
            Action::Withdraw => self.withdraw(handle),
            Action::Intend { leg, deadline } => {
                self.set_route_deadline(handle, deadline);
                self.intend(handle, leg);
            }
            Action::Reintend { leg } => {
                self.outcome_not_sent(handle, ResponseCode::ISSUER_INOPERATIVE);
                self.intend(handle, leg);
            }
            Action::Send => self.send(handle),
            Action::NextCandidate => self.next_candidate(handle),
            Action::CloseUnsent { why } => self.close_unsent(handle, why),
            Action::Answer(answer) => self.answered(handle, &answer),
            Action::TimeOut => self.time_out(handle),
            Action::Invalidate(what) => self.invalidate(handle, what),
            Action::Reply => self.reply(handle),
            Action::ReverseInFlight(what) => self.reverse_in_flight(handle, what),
            Action::ReverseFurther(what) => self.reverse_further(handle, what),
            Action::ReverseUndelivered => self.reverse_undelivered(handle),
            Action::ReleaseHeld { ending, answered } => {
                self.release_held(handle, ending, answered);
            }
            Action::DropHeld { answered } => self.drop_held(handle, answered),
            Action::Late { code } => self.late(handle, code),
        }
    }

    fn select_route(&mut self, handle: Handle) {
        let Some(transaction) = self.table.transaction(handle) else {
            return;
        };
        let tried = transaction.tried;
        let Some(frame) = transaction.frame else {
            debug_assert!(false, "whoever asks for a route has a frame to send");
            return;
        };
        self.emit(Output::SelectRoute {
            handle,
            frame,
            tried,
        });
    }

    pub(crate) fn refuse(&mut self, handle: Handle, code: ResponseCode, reason: RefusalReason) {
        self.store_code(handle, code);
        self.journal(handle, EntryKind::Refused { reason });
        self.wait(Effect::Outcome(handle));
    }

    /// Nothing was decided in time, or nobody takes it: shed, and no trace is left.
    fn abandon(&mut self, handle: Handle, reason: NotAdmitted) {
        if let Some(sender) = self.forget(handle).and_then(Forgotten::sender) {
            self.not_admitted(sender, ResponseCode::MALFUNCTION, reason);
        }
    }

    fn withdraw(&mut self, handle: Handle) {
        let forgotten = self.forget(handle);
        self.withdrawn(forgotten);
    }

    /// Nobody waits for an answer any more, and nothing but the tombstone is remembered: it is
    /// counted as what its reversal overtook.
    pub(crate) fn withdrawn(&mut self, forgotten: Option<Forgotten>) {
        let Some(forgotten) = forgotten else {
            return;
        };
        let overtaken = Event::NotAdmitted(NotAdmitted::Tombstone);
        self.count_of(forgotten.acquirer, overtaken);
        if let Some(frame) = forgotten.frame {
            self.emit(Output::Discard { frame });
        }
    }

    /// Takes an undecided transaction out of the table.
    pub(crate) fn forget(&mut self, handle: Handle) -> Option<Forgotten> {
        self.deadlines.clear(&mut self.table, handle);
        self.saf.live.let_go(handle);
        let transaction = self.table.transaction_mut(handle)?;
        let state = transaction.state;
        let forgotten = Forgotten {
            acquirer: transaction.facts.acquirer,
            frame: transaction.frame,
        };
        debug_assert!(transaction.leg.is_none(), "nothing was journaled");
        debug_assert!(!state.is_settled(), "undecided ones are in flight");
        self.moved(state, State::Settled(Ending::NotSent));
        self.table.remove(handle.index);
        Some(forgotten)
    }

    //= docs/rules.md#T-01
    fn intend(&mut self, handle: Handle, leg: IssuerLeg) {
        let now = self.clock.now();
        if let Some(transaction) = self.table.transaction_mut(handle) {
            debug_assert!(!transaction.legs.is_open(), "one leg at a time");
            transaction.leg = Some(leg);
            transaction.legs.open();
            transaction.stan_held = true;
            transaction.started = now;
        }
        self.journal(handle, EntryKind::Intent);
        self.wait(Effect::Intent(handle));
    }

    fn send(&mut self, handle: Handle) {
        let now = self.clock.now();
        let Some(transaction) = self.table.transaction_mut(handle) else {
            return;
        };
        transaction.started = now;
        transaction.legs.note_intent();
        let (Some(frame), Some(leg)) = (transaction.frame, transaction.leg) else {
            debug_assert!(false, "an intended transaction has frame and leg");
            return;
        };
        self.emit(Output::Send { handle, frame, leg });
    }

    /// The issuer of what it completes is the only one that a completion request has.
    fn next_candidate(&mut self, handle: Handle) {
        let transaction = self.table.transaction(handle);
        if transaction.is_some_and(Transaction::is_completion) {
            let code = ResponseCode::ISSUER_INOPERATIVE;
            let reason = RefusalReason::NoneAdmits;
            return self.advance(handle, Signal::Unrouted { code, reason });
        }
        if let Some(transaction) = self.table.transaction_mut(handle) {
            let candidate = transaction.leg.map_or(0, |leg| u32::from(leg.candidate));
            transaction.tried |= 1_u8.checked_shl(candidate).unwrap_or(0);
        }
        self.end_leg(handle, LegEnding::Unsent);
        self.release_stan(handle, StanReuse::AtOnce);
        self.select_route(handle);
    }

    //= docs/rules.md#T-05
    fn close_unsent(&mut self, handle: Handle, why: WhyUnsent) {
        self.end_leg(handle, LegEnding::Unsent);
        self.release_stan(handle, StanReuse::AtOnce);
        let code = match why {
            WhyUnsent::Unrouted(code) => code,
            WhyUnsent::Deadline => ResponseCode::MALFUNCTION,
            WhyUnsent::Reversed => self.code_of_reversed(handle),
        };
        if why == WhyUnsent::Reversed {
            self.discard_frame(handle);
        }
        self.outcome_not_sent(handle, code);
        self.wait(Effect::Outcome(handle));
    }

    fn outcome_not_sent(&mut self, handle: Handle, code: ResponseCode) {
        self.store_code(handle, code);
        self.journal_outcome(handle, OutcomeKind::NotSent, None);
    }

    //= docs/rules.md#T-02
    fn answered(&mut self, handle: Handle, answer: &Answer<'_>) {
        let Some((transaction, arena)) = self.table.with_arena(handle) else {
            return;
        };
        let whole = transaction.store_answer(answer, handle.index, arena);
        if answer.code.is_approval() {
            transaction.left = transaction.approved();
        }
        if !whole {
            self.count(Event::AnswerCut);
        }
        self.end_leg(handle, LegEnding::Answered(answer.code));
        self.release_stan(handle, StanReuse::AtOnce);
        if answer.code.is_approval() {
            self.count_approval(handle);
        }
        self.journal_outcome(handle, OutcomeKind::Answered, None);
        self.wait(Effect::Outcome(handle));
    }

    //= docs/rules.md#T-03
    fn time_out(&mut self, handle: Handle) {
        self.end_leg(handle, LegEnding::TimedOut);
        self.store_code(handle, self.settings.timeout_answer);
        self.journal_outcome(handle, OutcomeKind::TimedOut, None);
        let cause = match self.replay {
            Some(_) => ReversalCause::Restart,
            None => ReversalCause::Timeout,
        };
        self.owe(handle, cause);
        self.wait(Effect::Outcome(handle));
    }

    //= docs/rules.md#T-08
    fn invalidate(&mut self, handle: Handle, what: Unusable) {
        self.end_leg(handle, LegEnding::Unusable);
        self.store_code(handle, what.told);
        self.journal_outcome(handle, OutcomeKind::Invalid, what.code);
        self.owe(handle, ReversalCause::InvalidAnswer);
        self.wait(Effect::Outcome(handle));
    }

    //= docs/rules.md#T-09
    fn reply(&mut self, handle: Handle) {
        let transaction = self.table.transaction_mut(handle);
        let frame = transaction.and_then(|transaction| transaction.frame.take());
        if let Some(frame) = frame {
            let reply = Reply::Answer(handle);
            self.emit(Output::Reply { frame, reply });
        } else if self.is_resumed(handle) {
            // Whoever asks for it has no frame here.
            self.emit(Output::OwedEnded { handle });
        }
        self.finish_if_done(handle);
    }

    //= docs/rules.md#T-07
    /// An answer after the end: journaled once, changes nothing. A second one is worth that where
    /// it says the opposite of the first; where an approval follows the decline that a reversal was
    /// dropped for, that reversal is owed after all.
    fn late(&mut self, handle: Handle, code: Option<ResponseCode>) {
        let Some(transaction) = self.table.transaction_mut(handle) else {
            return;
        };
        let told = transaction.was_answered();
        let approves = code.map(ResponseCode::is_approval);
        let first = match transaction.late {
            _ if told => Some(transaction.answer.code.is_approval()),
            LateAnswer::Declined | LateAnswer::Dropped => Some(false),
            LateAnswer::Nothing | LateAnswer::Approved | LateAnswer::Unreversed => None,
        };
        let conflict = first.is_some() && approves.is_some() && approves != first;
        let is_new = transaction.late == LateAnswer::Nothing;
        let worth = code.filter(|_| match told {
            true => is_new && conflict,
            false => is_new || conflict,
        });
        if let Some(code) = worth {
            transaction.late = transaction.late.then(code);
        }
        self.count(if told || conflict {
            Event::SecondAnswer { conflict }
        } else {
            Event::LateResponse
        });
        if let Some(code) = worth {
            // First, so that whoever reads of this approval knows of its reversal.
            self.owe_anew(handle);
            self.journal(handle, EntryKind::LateResponse { code });
        }
    }

    /// A leg that came for a transaction that has no use for it.
    pub(crate) fn return_leg(&mut self, handle: Handle, leg: IssuerLeg) {
        self.emit(Output::LegEnded {
            handle,
            frame: None,
            leg,
            ending: LegEnding::Unsent,
            elapsed: Duration::ZERO,
        });
        self.return_stan(leg);
    }

    pub(crate) fn return_stan(&mut self, leg: IssuerLeg) {
        let reuse = StanReuse::AtOnce;
        self.emit(Output::ReleaseStan { leg, reuse });
    }

    /// Gives the leg's permit back; once.
    pub(crate) fn end_leg(&mut self, handle: Handle, ending: LegEnding) {
        let now = self.clock.now();
        let Some(transaction) = self.table.transaction_mut(handle) else {
            return;
        };
        if !transaction.legs.close() {
            return;
        }
        let elapsed = now.since(transaction.started);
        let frame = transaction.frame;
        if let Some(leg) = transaction.leg {
            self.emit(Output::LegEnded {
                handle,
                frame,
                leg,
                ending,
                elapsed,
            });
        }
    }

    /// Gives the leg's STAN back; once.
    pub(crate) fn release_stan(&mut self, handle: Handle, reuse: StanReuse) {
        let Some(transaction) = self.table.transaction_mut(handle) else {
            return;
        };
        if !core::mem::take(&mut transaction.stan_held) {
            return;
        }
        if let Some(leg) = transaction.leg {
            self.emit(Output::ReleaseStan { leg, reuse });
        }
    }

    pub(crate) fn discard_frame(&mut self, handle: Handle) {
        let transaction = self.table.transaction_mut(handle);
        if let Some(frame) = transaction.and_then(|transaction| transaction.frame.take()) {
            self.emit(Output::Discard { frame });
        }
    }

    /// Counted from the first time that an issuer was chosen.
    fn set_route_deadline(&mut self, handle: Handle, length: Duration) {
        if self.saf.live.held_for(handle).is_none() {
            self.set_deadline(handle, length);
        }
    }

    pub(crate) fn set_deadline(&mut self, handle: Handle, length: Duration) {
        let at = self.clock.now().after(length);
        self.deadlines.clear(&mut self.table, handle);
        self.deadlines.set(&mut self.table, handle, at, length);
    }

    pub(crate) fn journal_outcome(
        &mut self,
        handle: Handle,
        kind: OutcomeKind,
        issuer_code: Option<ResponseCode>,
    ) {
        self.journal(handle, EntryKind::Outcome { kind, issuer_code });
    }

    pub(crate) fn store_code(&mut self, handle: Handle, code: ResponseCode) {
        if let Some(transaction) = self.table.transaction_mut(handle) {
            debug_assert!(
                transaction.answer.fields().is_empty(),
                "a stored answer is not replaced"
            );
            transaction.answer.set_code(code);
        }
    }
}

/// What an issuer's answer is good for (semantics R8, F56).
fn judge<'a>(transaction: &Transaction, answer: &Answer<'a>) -> Signal<'a> {
    let code = Some(answer.code);
    // Nothing in no currency is told to nobody.
    let told = Answer {
        amount: answer
            .amount
            .filter(|amount| amount.currency() != Currency::NONE),
        ..*answer
    };
    if !answer.code.is_approval() {
        return Signal::Decline(told);
    }
    let asked = transaction.facts.amount;
    if answer.code == ResponseCode::PARTIAL_APPROVAL {
        let is_less = answer
            .amount
            .is_some_and(|amount| is_less(amount, asked) && amount.minor() > 0);
        let told = match transaction.profile.partial_approval {
            PartialApproval::Pass if is_less => return Signal::Approval(told),
            PartialApproval::Pass => ResponseCode::MALFUNCTION,
            PartialApproval::Refuse => ResponseCode::DO_NOT_HONOUR,
        };
        return Signal::Unusable(Unusable { told, code });
    }
    // What has no amount is not contradicted by one.
    let differs = answer.amount.is_some_and(|amount| amount != asked);
    if differs && asked.minor() > 0 {
        let told = ResponseCode::MALFUNCTION;
        return Signal::Unusable(Unusable { told, code });
    }
    Signal::Approval(told)
}

fn is_less(amount: Amount, asked: Amount) -> bool {
    amount != asked && asked.checked_sub(amount).is_some()
}
