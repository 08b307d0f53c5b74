//! One `match` from each output of the engine to its I/O.

use std::time::Duration;

use domain::ids::{LinkId, Lsn};
use domain::record::Record;
use domain::request::{Facts, FrameId, IssuerLeg};
use domain::time::Instant;
use domain::{ResponseCode, ResultCode};
use iso8583::translate;
use persistence::crash::{self, Step};
use persistence::journal::Class;
use router::links::LinkOutcome;
use router::selection::CallOutcome;
use transaction::matching::Expected;
use transaction::output::{JournalEntry, LegEnding, Output, Reply, StanReuse};
use transaction::{Handle, OwedId};

use super::telling::Approval;
use super::{Shard, Waiting};
use crate::acquirer::desk::Told;
use crate::crypto::endpoint_keys;
use crate::frame::{Frame, Source};
use crate::mesh::Message;
use crate::metrics::{Ingress, Outcome};

impl Shard {
    pub(super) fn act(&mut self, output: Output, now: Instant) {
        match output {
            Output::Assess { handle, .. } => self.ask_risk(handle, now),
            Output::SelectRoute {
                handle,
                frame,
                tried,
            } => {
                self.select_route(handle, frame, tried, now);
            }
            Output::Journal { lsn, entry } => self.append(lsn, &entry, now),
            Output::Send { handle, frame, leg } => {
                crash::point(Step::IntentDurable);
                self.tell_intent(frame, handle);
                self.send_request(handle, frame, leg, now);
            }
            Output::Inquire { handle, leg, until } => self.note_inquiry(handle, leg, until),
            Output::SelectIssuer(wanted) => self.select_issuer(&wanted, now),
            Output::FindOriginal { handle, query } => self.find_original(handle, query, now),
            Output::FindReferred { handle } => self.find_referred(handle, now),
            Output::AssignLeg {
                handle,
                frame,
                issuer,
            } => {
                self.assign_leg(handle, frame, issuer, now);
            }
            Output::SendAdvice { owed, transmission } => self.send_advice(owed, transmission, now),
            Output::SendReversal { owed, transmission } => {
                self.send_reversal(owed, transmission, now);
            }
            Output::LegEnded {
                handle,
                frame,
                leg,
                ending,
                elapsed,
            } => {
                self.leg_ended((handle, frame), &leg, ending, elapsed, now);
            }
            Output::GiveUpReversal { owed } => self.give_up_reversal(owed, now),
            Output::OwedEnded { handle } => self.tell_askers(handle),
            Output::ReleaseStan { leg, reuse } => self.release_stan(&leg, reuse, now),
            Output::Reply { frame, reply } => {
                crash::point(Step::OutcomeDurable);
                self.tell(frame, reply, now);
            }
            Output::Discard { frame } => self.discard(frame),
            Output::AskOlder { owed, query } => self.ask_older(owed, query, self.id, now),
            Output::Operated { ticket, result } => self.tell_operated(ticket, result),
            Output::Retried { ticket, retried } => self.tell_retried(ticket, retried),
            Output::Noted { token } => self.follow_noted(token),
            Output::SendReconciliation { owed, transmission } => {
                self.send_reconciliation(owed, transmission, now);
            }
            Output::ReconciliationEnded {
                owed,
                bucket,
                result,
                verdict,
            } => self.reconciliation_ended(owed, bucket, (result, verdict), now),
            Output::Event { event, acquirer } => self.count_event(event, acquirer),
        }
    }

    /// The journal has room for every record of an admitted transaction: what it lacks room for is
    /// refused at the entrance. If it ever has not, going on would answer without a record.
    fn append(&mut self, lsn: Lsn, entry: &JournalEntry, now: Instant) {
        if self.engine.decides(entry) {
            self.count_decided(entry);
        }
        let record = self.engine.record(entry);
        self.work.timings.syncs.appended(lsn, &record, now);
        let class = match record {
            Record::Intent(_) | Record::Refused(_) => Class::New,
            Record::Outcome(_)
            | Record::Advised(_)
            | Record::AdviceDone(_)
            | Record::Operated(_)
            | Record::SafOwed(_)
            | Record::SafDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::Day(_)
            | Record::Totals(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => Class::Reserved,
        };
        let facts = facts_of(&record);
        let callback = facts.and_then(|facts| self.work.callbacks.get(&facts.key.0));
        let callback = callback.map(|url| &**url);
        match self.journal.append_called_back(&record, callback, class) {
            Ok(appended) => {
                assert_eq!(appended, lsn, "invariant: engine and journal count alike");
                if matches!(record, Record::Intent(_)) {
                    crash::point(Step::IntentAppended);
                } else if matches!(record, Record::Outcome(_)) {
                    crash::point(Step::OutcomeAppended);
                }
            }
            Err(error) => self.shared.die(&error),
        }
        #[cfg(feature = "crash-points")]
        if crash::replies_before_journal() {
            let durable = super::FollowUp::Durable(lsn);
            self.work.follow_ups.push_back(durable);
        }
    }

    fn leg_ended(
        &mut self,
        (handle, frame): (Handle, Option<FrameId>),
        leg: &IssuerLeg,
        ending: LegEnding,
        elapsed: Duration,
        now: Instant,
    ) {
        self.note_leg_end(frame, ending, elapsed);
        let Some(held) = self.work.legs.remove(&handle.index) else {
            debug_assert!(false, "invariant: each chosen leg holds a permit");
            return;
        };
        let call = held.call.unwrap_or_else(|| call_outcome(ending));
        let is_pending = held.permit.is_none();
        if let Some(permit) = held.permit {
            self.router.finish(permit, call, elapsed, now);
        }
        if held.inquiry.is_none()
            && let Some(pool) = self.links.pool_mut(leg.issuer)
        {
            let outcome = match ending {
                LegEnding::Answered(_) | LegEnding::Unusable => LinkOutcome::Answered,
                // Its link has answered, and the payer has not.
                LegEnding::TimedOut if is_pending => LinkOutcome::Answered,
                LegEnding::TimedOut => LinkOutcome::Silent,
                LegEnding::Unsent => LinkOutcome::NotSent,
            };
            pool.finish(leg.link, outcome, now);
        }
        if held.inquiry.is_some()
            && let Some(facts) = self.engine.facts(handle)
        {
            // No frame waits for it, with which it would have ended.
            self.end_share(facts.acquirer);
        }
        self.metrics.count_leg(leg, ending, elapsed);
        if ending == LegEnding::TimedOut {
            self.give_up(
                held.inquiry.map_or(leg.link, |inquiry| inquiry.link),
                held.expected,
                now,
            );
        }
    }

    fn give_up_reversal(&mut self, owed: OwedId, now: Instant) {
        if let Some((link, expected)) = self.work.owed.remove(&owed) {
            self.give_up(link, expected, now);
        }
    }

    fn release_stan(&mut self, leg: &IssuerLeg, reuse: StanReuse, now: Instant) {
        if let Some(place) = self.links.place_mut(leg.link) {
            place.stans.release(leg.stan, reuse, now);
        }
    }

    /// Tells the link's home that an answer would be late now.
    pub(super) fn give_up(&mut self, link: LinkId, expected: Expected, now: Instant) {
        let Some(home) = self.links.place(link).map(|place| place.home_shard) else {
            return;
        };
        if home == self.id {
            self.give_up_at_home(link, expected, now);
        } else {
            self.mesh.send(home, Message::GiveUp { link, expected });
        }
    }

    /// The same at the link's home.
    pub(super) fn give_up_at_home(&mut self, link: LinkId, expected: Expected, now: Instant) {
        if let Some(link) = self.links.home_mut(link) {
            link.give_up(expected, now);
        }
    }

    pub(super) fn answer_timed(&mut self, frame: FrameId, reply: Reply, now: Instant) {
        let timing = self.work.timings.reply.begin(self.clock);
        self.answer(frame, reply, now);
        let stage = &self.work.timings.reply;
        stage.end(timing, self.clock, &self.metrics);
    }

    /// Encodes an answer by echo of the frame that waited for it, and sends it.
    fn answer(&mut self, frame: FrameId, reply: Reply, now: Instant) {
        let Some(waiting) = self.work.waiting.try_remove(frame.0 as usize) else {
            debug_assert!(false, "invariant: each frame is answered once");
            return;
        };
        if waiting.frame.source != Source::Session {
            return self.answer_gateway(waiting, reply, now);
        }
        let mut out = std::mem::take(&mut self.work.scratch);
        let message = waiting.frame.message();
        let dialect = waiting.frame.dialect();
        let casing = waiting.frame.casing.reply();
        let framed = casing.write(&mut out, |body| {
            let mut answer = match reply {
                Reply::Answer(handle) => self.engine.answer(handle)?,
                Reply::Code(code) | Reply::Acknowledge { code } => {
                    domain::request::Answer::of(code)
                }
            };
            let is_timeout = match reply {
                Reply::Answer(handle) => self.engine.has_timed_out(handle),
                Reply::Code(code) | Reply::Acknowledge { code } => {
                    code == ResponseCode::ISSUER_TIMED_OUT
                }
            };
            if is_timeout {
                answer.code = self.timeout_told(&waiting.frame, answer.code);
            }
            if let Some(amount) = answer.amount {
                answer.amount = self.exponents(&waiting.frame).to_network(amount);
            }
            answer.code = self.code_told(&waiting.frame, answer.code);
            let len = translate::write_answer(dialect, message, &answer, body).ok()?;
            endpoint_keys::append(self.session_keys(&waiting.frame), dialect, body, len)
        });
        let bytes = framed.and_then(|len| out.get(..len)).unwrap_or_default();
        self.time_answer(reply, &waiting, now);
        let approval = self.approval_in(reply);
        self.reply(waiting.session, bytes, approval);
        self.work.scratch = out;
        self.pool.give(waiting.frame);
    }

    /// The approval in an answer, when nobody's being told of it would reverse it.
    fn approval_in(&self, reply: Reply) -> Option<Approval> {
        let Reply::Answer(handle) = reply else {
            return None;
        };
        let owner = self.id;
        let is_reversed = self.engine.is_reversed_untold(handle);
        is_reversed.then_some(Approval { owner, handle })
    }

    /// How the session of a message is told a code.
    pub(super) fn code_told(&self, request: &Frame, code: ResponseCode) -> ResponseCode {
        let listener = self.config.listeners.get(usize::from(request.listener.0));
        listener.map_or(code, |listener| listener.wire.codes.named(code))
    }

    /// Of a timeout, which the session has its own word for (semantics.md R1).
    pub(super) fn timeout_told(&self, request: &Frame, code: ResponseCode) -> ResponseCode {
        let listener = self.config.listeners.get(usize::from(request.listener.0));
        match listener {
            Some(listener) if TIMED_OUT.contains(&code) => listener.timeout_answer,
            Some(_) | None => code,
        }
    }

    /// Authentication data stays until an issuer has had it: the next candidate needs it whole.
    fn note_leg_end(&mut self, frame: Option<FrameId>, ending: LegEnding, elapsed: Duration) {
        let waiting = frame.and_then(|frame| self.work.waiting.get_mut(frame.0 as usize));
        let Some(waiting) = waiting else { return };
        waiting.at_issuer = waiting.at_issuer.saturating_add(elapsed);
        if ending != LegEnding::Unsent {
            waiting.frame.scrub_sensitive();
        }
    }

    pub(super) fn time_answer(&self, reply: Reply, waiting: &Waiting, now: Instant) {
        let code = match reply {
            Reply::Answer(handle) => self.engine.answer(handle).map(|answer| answer.code),
            Reply::Code(code) | Reply::Acknowledge { code } => Some(code),
        };
        if let Some(code) = code {
            let elapsed = now.since(waiting.frame.received);
            let ingress = match waiting.frame.source {
                Source::Session => Ingress::Iso,
                Source::Gateway { .. } | Source::Reversal { .. } => Ingress::Http,
            };
            let ended = (ingress, outcome_told(code));
            self.metrics
                .observe_answer(ended, elapsed, waiting.at_issuer);
        }
    }

    /// A newer copy has taken its place, or its reversal came first, or it has waited for too long:
    /// no answer.
    pub(super) fn discard(&mut self, frame: FrameId) {
        if let Some(waiting) = self.work.waiting.try_remove(frame.0 as usize) {
            self.forget_callback(&waiting);
            match waiting.frame.source {
                Source::Session => self.reply(waiting.session, &[], None),
                Source::Gateway { .. } => {
                    self.end_share(waiting.frame.acquirer);
                    self.tell_asker(waiting.session, Told::Elsewhere);
                }
                Source::Reversal { .. } => self.tell_asker(waiting.session, Told::Elsewhere),
            }
            self.pool.give(waiting.frame);
        }
    }
}

/// How the engine says that an issuer was silent.
const TIMED_OUT: [ResponseCode; 2] = [
    ResponseCode::ISSUER_INOPERATIVE,
    ResponseCode::ISSUER_TIMED_OUT,
];

/// What was asked, of the records that a transaction begins with.
const fn facts_of<'r>(record: &'r Record<'_>) -> Option<&'r Facts> {
    match record {
        Record::Intent(intent) => Some(&intent.facts),
        Record::Refused(refused) => Some(&refused.facts),
        Record::Advised(advised) => Some(&advised.facts),
        Record::Outcome(_)
        | Record::AdviceDone(_)
        | Record::Operated(_)
        | Record::SafOwed(_)
        | Record::SafDone(_)
        | Record::Tombstone(_)
        | Record::LateResponse(_)
        | Record::Day(_)
        | Record::Totals(_)
        | Record::Reconciled(_)
        | Record::ReconciliationOwed(_)
        | Record::ReconciliationDone(_) => None,
    }
}

/// How an answer looks to whoever waited for it.
fn outcome_told(code: ResponseCode) -> Outcome {
    if code.is_approval() {
        return Outcome::Approved;
    }
    match code.meaning() {
        ResultCode::IssuerInoperative | ResultCode::ReceivedTooLate => Outcome::TimedOut,
        ResultCode::Malfunction => Outcome::Failed,
        _ if code == ResponseCode::ISSUER_TIMED_OUT => Outcome::TimedOut,
        _ => Outcome::Declined,
    }
}

//= docs/rules.md#R-05
/// What the breaker of an issuer makes of the end of a call.
fn call_outcome(ending: LegEnding) -> CallOutcome {
    match ending {
        LegEnding::Answered(code) if code.is_issuer_failure() => CallOutcome::Failure,
        LegEnding::Answered(_) => CallOutcome::Success,
        LegEnding::TimedOut | LegEnding::Unusable => CallOutcome::Failure,
        LegEnding::Unsent => CallOutcome::NotCalled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &[u8; 2], expected: CallOutcome) {
        let code = ResponseCode::new(code).unwrap();
        assert_eq!(call_outcome(LegEnding::Answered(code)), expected);
    }

    //= docs/rules.md#R-05
    #[test]
    fn a_decline_speaks_for_its_issuer() {
        for code in [b"00", b"05", b"10", b"51", b"54", b"14", b"61"] {
            check(code, CallOutcome::Success);
        }
        for code in [b"91", b"96", b"68"] {
            check(code, CallOutcome::Failure);
        }
        assert_eq!(call_outcome(LegEnding::TimedOut), CallOutcome::Failure);
        assert_eq!(call_outcome(LegEnding::Unusable), CallOutcome::Failure);
        assert_eq!(call_outcome(LegEnding::Unsent), CallOutcome::NotCalled);
    }
}
