//! Repeats and reversals: when they are sent, and what their answers are held against.
//!
//! | original | repeat | reversal |
//! |---|---|---|
//! | waits | sent; one answer for both, to the newest copy | sent; the original is owed no answer any more |
//! | approved | sent; the same answer byte for byte | sent |
//! | declined | sent; the same answer byte for byte | not sent |
//! | refused (96) | sent; it is new to the switch | not sent |
//! | unanswered | sent | sent |
//!
//! A part of the amount stays only where the whole of it is known to be approved.
//!
//! A reversal is sent again, as a repeat, until it is acknowledged. So is every other message of a
//! generator that insists. A completion is due at its time, or at the approval of its original when
//! that comes later: its response is not counted from before it could be sent. What is declined or
//! never answered is not completed.

use std::cmp::Reverse;

use iso8583::Mti;

use super::Generator;
use super::judge::Finding;
use super::plan::{Fate, PlanKind};
use crate::inflight::{Entry, Refers, Role};
use crate::message::mark_repeat;
use crate::recorder::Outcome;
use crate::terminals::trace_number;
use crate::traffic::Drawn;

/// What the answer to the other one of a request and its repeat is.
pub(super) enum Second {
    /// The same.
    Equal,
    /// Not the same.
    Other,
    /// The first one was refused, or lost on its way: this one is the answer to the request.
    New(Box<Entry>),
}

/// The circumstances of a sending.
#[derive(Clone, Copy)]
pub(super) struct Sending {
    pub(super) due: u64,
    pub(super) now: u64,
    pub(super) line: Option<u16>,
}

impl Generator {
    pub(super) fn send_follow_up(
        &mut self,
        due: u64,
        now: u64,
        line: Option<u16>,
        out: &mut Vec<u8>,
    ) {
        let Some(Reverse((_, number))) = self.follow_ups.pop() else {
            return;
        };
        let sending = Sending { due, now, line };
        let start = out.len();
        match self.plans.get(&number).map(|plan| &plan.kind) {
            Some(PlanKind::Repeat(_)) => self.send_repeat(number, sending, out),
            Some(PlanKind::Reversal(_)) => self.send_reversal(number, sending, out),
            Some(PlanKind::Insist(_)) => self.send_again(number, sending, out),
            Some(PlanKind::Completion(_)) => self.send_completion(number, sending, out),
            None => {}
        }
        if line.is_none() {
            out.truncate(start);
        }
    }

    fn send_repeat(&mut self, number: u64, sending: Sending, out: &mut Vec<u8>) {
        let item = self.repeat_item();
        let Some(plan) = self.plans.get_mut(&number) else {
            return;
        };
        let PlanKind::Repeat(repeat) = &mut plan.kind else {
            return;
        };
        if plan.sent > 0 {
            self.plans.remove(&number);
            return;
        }
        plan.sent = 1;
        append_repeat(self.wire, &repeat.frame, out);
        let Sending { due, now, line } = sending;
        // Kept for as long as an answer may come.
        let forget = now.saturating_add(self.timeout);
        self.follow_ups.push(Reverse((forget, number)));
        let original = repeat.entry;
        let waiting = self.inflight.waiting(number);
        if let (Some(waiting), Some(line)) = (waiting, line) {
            repeat.second_allowed = true;
            waiting.attached = Some((due, now));
            waiting.line = line;
            self.recorder.offered(item, due);
            self.recorder.sent(item, due, now);
            return;
        }
        let entry = Entry {
            item,
            intended: due,
            attempted: now,
            deadline: now.saturating_add(self.timeout),
            line: line.unwrap_or(0),
            role: Role::Repeat,
            plan: Some(number),
            ..original
        };
        self.dispatch(number, entry, line.is_some());
    }

    fn send_again(&mut self, number: u64, sending: Sending, out: &mut Vec<u8>) {
        let item = self.repeat_item();
        let Some(plan) = self.plans.get_mut(&number) else {
            return;
        };
        let (frame, original) = match &plan.kind {
            PlanKind::Insist(insist) => (&insist.frame, insist.entry),
            PlanKind::Completion(completion) => (&completion.frame, completion.entry),
            PlanKind::Repeat(_) | PlanKind::Reversal(_) => return,
        };
        if self.inflight.waiting(number).is_some() {
            return;
        }
        plan.sent += 1;
        append_repeat(self.wire, frame, out);
        let Sending { due, now, line } = sending;
        let entry = Entry {
            item,
            intended: due,
            attempted: now,
            deadline: now.saturating_add(self.timeout),
            line: line.unwrap_or(0),
            role: Role::Repeat,
            plan: Some(number),
            ..original
        };
        self.dispatch(number, entry, line.is_some());
    }

    /// Completes what was approved; what was not answered is sent again by who insists.
    fn send_completion(&mut self, number: u64, sending: Sending, out: &mut Vec<u8>) {
        let fate = self.plans.get(&number).map(|plan| plan.fate);
        if fate != Some(Fate::Answered(Outcome::Approved)) {
            return self.send_again(number, sending, out);
        }
        let kind = self.plans.remove(&number).map(|plan| plan.kind);
        let Some(PlanKind::Completion(mut plan)) = kind else {
            return;
        };
        let stamp = self.traffic.stamp(self.wall(sending.now));
        plan.draft.echo.transmitted = stamp.transmitted;
        plan.draft.echo.local = stamp.local;
        let drawn = Drawn {
            item: self.completion_item(),
            draft: *plan.draft,
            follow_up: plan.follow_up.map(|planned| *planned),
        };
        self.send_drawn(drawn, sending, out);
    }

    /// The end of an authorisation that is to be completed is known, or one of its sendings.
    fn tell_completion(&mut self, number: u64, finding: &Finding, now: u64) {
        let insists = self.insists;
        let Some(plan) = self.plans.get_mut(&number) else {
            return;
        };
        let PlanKind::Completion(completion) = &mut plan.kind else {
            return;
        };
        let is_whole = finding.outcome == Outcome::Approved && !finding.is_partial();
        let again = if is_whole {
            plan.fate = Fate::Answered(Outcome::Approved);
            completion.draft.authorisation = finding.authorisation;
            Some(completion.due.max(now))
        } else {
            let goes_on = insists && !finding.is_final() && plan.sent < REPEATS_MAX;
            goes_on.then(|| now.saturating_add(REPEAT_PAUSE))
        };
        match again {
            Some(due) => self.follow_ups.push(Reverse((due, number))),
            None => {
                self.plans.remove(&number);
            }
        }
    }

    fn send_reversal(&mut self, number: u64, sending: Sending, out: &mut Vec<u8>) {
        let Sending { due, now, line } = sending;
        let item = self.reversal_item();
        let stamp = self.traffic.stamp(self.wall(now));
        let Some(plan) = self.plans.get_mut(&number) else {
            return;
        };
        if plan.sent == 0 && !plan.wants_reversal() {
            self.plans.remove(&number);
            return;
        }
        let is_approved = plan.fate == Fate::Answered(Outcome::Approved);
        let PlanKind::Reversal(reversal) = &mut plan.kind else {
            return;
        };
        if plan.sent == 0 && !is_approved {
            reversal.draft.reverse_all();
        }
        plan.sent += 1;
        let draft = &mut reversal.draft;
        if reversal.frame.is_empty() {
            draft.echo.transmitted = stamp.transmitted;
            draft.echo.local = stamp.local;
            if let Err(problem) = draft.write(self.wire, &mut reversal.frame) {
                self.problem = Some(problem);
                return;
            }
            out.extend_from_slice(&reversal.frame);
        } else {
            append_repeat(self.wire, &reversal.frame, out);
        }
        let entry = Entry {
            mti: self.wire.mti(Mti::REVERSAL_ADVICE),
            echo: draft.echo,
            item,
            intended: due,
            attempted: now,
            deadline: now.saturating_add(self.timeout),
            line: line.unwrap_or(0),
            role: Role::Reversal,
            refers: Some(Refers::to(&draft.original, draft.stays)),
            plan: Some(number),
            attached: None,
            cancelled: false,
        };
        if let Some(waiting) = self.inflight.waiting(number) {
            waiting.cancelled = true;
        }
        if let Some(own) = trace_number(&entry.echo.terminal, &entry.echo.stan) {
            self.dispatch(own, entry, line.is_some());
        }
    }

    /// Tells the plan of a message how it ended.
    pub(super) fn tell_plan(&mut self, entry: &Entry, finding: &Finding, now: u64) {
        let outcome = finding.outcome;
        let Some(number) = entry.plan else {
            return;
        };
        let Some(plan) = self.plans.get_mut(&number) else {
            return;
        };
        if let PlanKind::Completion(_) = plan.kind {
            return self.tell_completion(number, finding, now);
        }
        let answered = outcome.is_answer();
        if self.insists {
            plan.insist_on(entry.role, finding);
        }
        if let PlanKind::Insist(_) = plan.kind {
            if finding.is_final() || plan.sent >= REPEATS_MAX {
                self.plans.remove(&number);
            } else {
                let again = now.saturating_add(REPEAT_PAUSE);
                self.follow_ups.push(Reverse((again, number)));
            }
            return;
        }
        let sendings_max = if self.insists {
            REPEATS_MAX
        } else {
            REVERSAL_SENDINGS_MAX
        };
        match entry.role {
            Role::Original if answered => plan.fate = Fate::Answered(outcome),
            Role::Original => plan.fate = Fate::Unanswered,
            Role::Repeat => {}
            Role::Reversal if finding.is_final() => {
                self.plans.remove(&number);
            }
            Role::Reversal => {
                if plan.sent < sendings_max {
                    let again = now.saturating_add(REVERSAL_PAUSE);
                    self.follow_ups.push(Reverse((again, number)));
                }
            }
        }
    }

    /// Whether this answers a repeat otherwise than its original was answered. A refused original
    /// was never taken in, so its repeat is new.
    pub(super) fn is_other_answer_to_repeat(&self, entry: &Entry, bytes: &[u8]) -> bool {
        if entry.role != Role::Repeat {
            return false;
        }
        let plan = entry.plan.and_then(|number| self.plans.get(&number));
        match plan.map(|plan| (&plan.kind, plan.fate)) {
            Some((_, Fate::Answered(Outcome::Refused))) => false,
            Some((PlanKind::Repeat(repeat), _)) => {
                repeat.first.as_ref().is_some_and(|first| first != bytes)
            }
            _ => false,
        }
    }

    /// Keeps the answer to an original that will be repeated.
    pub(super) fn keep_first_answer(&mut self, entry: &Entry, bytes: &[u8]) {
        if entry.role != Role::Original {
            return;
        }
        let plan = entry.plan.and_then(|number| self.plans.get_mut(&number));
        if let Some(PlanKind::Repeat(repeat)) = plan.map(|plan| &mut plan.kind) {
            repeat.first = Some(bytes.to_vec());
        }
    }

    /// The answer that the other one of a request and its repeat got; `None` when none is expected.
    pub(super) fn take_second_answer(&mut self, number: u64, bytes: &[u8]) -> Option<Second> {
        let plan = self.plans.get_mut(&number)?;
        let refused = plan.fate == Fate::Answered(Outcome::Refused);
        let PlanKind::Repeat(repeat) = &mut plan.kind else {
            return None;
        };
        if !repeat.second_allowed {
            return None;
        }
        repeat.second_allowed = false;
        if refused || repeat.first.is_none() {
            return Some(Second::New(Box::new(repeat.entry)));
        }
        let is_equal = repeat.first.as_ref().is_some_and(|first| first == bytes);
        Some(if is_equal {
            Second::Equal
        } else {
            Second::Other
        })
    }
}

fn append_repeat(wire: crate::message::Wire, frame: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(frame);
    mark_repeat(wire, out.get_mut(start..).unwrap_or_default());
}

/// An acquirer that is not acknowledged after this many sendings leaves it to people.
const REVERSAL_SENDINGS_MAX: u32 = 8;
/// A message that is not answered after so many repeats is left to people.
const REPEATS_MAX: u32 = 200;
/// Nanoseconds between the end of a sending that was not answered and its repeat.
const REPEAT_PAUSE: u64 = 200_000_000;
/// Nanoseconds between a sending that failed and the next.
const REVERSAL_PAUSE: u64 = 1_000_000_000;
