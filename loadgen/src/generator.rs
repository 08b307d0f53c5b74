//! One generator thread without its sockets: what is due, what an answer means, what is given up.

mod follow_up;
mod judge;
mod plan;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::Result;
use domain::bytes::Text;
use domain::time::{Instant, WallTime};
use hashbrown::HashMap;
use iso8583::{FieldIndex, MessageRef};

use crate::acks::{AckLine, AckLog};
use crate::clock::Clock;
use crate::inflight::{Entry, Inflight, Refers, Role};
use crate::message::Wire;
use crate::recorder::{Ending, Outcome, Recorder, Window};
use crate::scenario::{FOLLOW_UPS, Scenario};
use crate::schedule::Schedule;
use crate::terminals::trace_number;
use crate::traffic::{Drawn, Planned, Traffic};
use follow_up::{Second, Sending};
pub(crate) use judge::classify;
use judge::{Finding, is_refusal};
use plan::{CompletionPlan, Plan, PlanKind};

/// Sends what is due and checks what comes back. Times are nanoseconds of the run's clock.
#[derive(Debug)]
pub struct Generator {
    wire: Wire,
    clock: Clock,
    timeout: u64,
    start: u64,
    traffic: Traffic,
    schedule: Schedule,
    next: usize,
    /// When something is to follow, and for which original.
    follow_ups: BinaryHeap<Reverse<(u64, u64)>>,
    plans: HashMap<u64, Plan>,
    inflight: Inflight,
    recorder: Recorder,
    acks: AckLog,
    items: usize,
    /// Repeats what was not answered until it is.
    insists: bool,
    problem: Option<anyhow::Error>,
}

/// What a generator is made of.
#[derive(Debug)]
pub struct Parts {
    /// How messages stand on the connections.
    pub wire: Wire,
    /// The clock whose nanoseconds are given to it.
    pub clock: Clock,
    /// When its schedule begins.
    pub start: Instant,
    /// Its messages.
    pub traffic: Traffic,
    /// Its times.
    pub schedule: Schedule,
    /// What counts.
    pub window: Window,
    /// Where it writes what it was told.
    pub acks: AckLog,
    /// Repeats what was not answered until it is.
    pub insists: bool,
}

impl Generator {
    /// A generator that has sent nothing.
    #[must_use]
    pub fn new(parts: Parts, scenario: &Scenario) -> Self {
        let items = scenario.items.len();
        Self {
            wire: parts.wire,
            clock: parts.clock,
            timeout: u64::try_from(parts.window.timeout.as_nanos()).unwrap_or(u64::MAX),
            start: parts.start.as_nanos(),
            traffic: parts.traffic,
            schedule: parts.schedule,
            next: 0,
            follow_ups: BinaryHeap::new(),
            plans: HashMap::new(),
            inflight: Inflight::default(),
            recorder: Recorder::new(items + FOLLOW_UPS.len(), parts.window),
            acks: parts.acks,
            items,
            insists: parts.insists,
            problem: None,
        }
    }

    /// Sends the next message that is due at `now`, if one is: appends its frame to `out`. Without
    /// a connection it ends as disconnected, and `out` stays as it was.
    pub fn send_next(&mut self, now: u64, line: Option<u16>, out: &mut Vec<u8>) -> bool {
        let original = self.next_original();
        let follow_up = self.next_follow_up();
        match (original, follow_up) {
            (Some(due), other) if due <= now && other.is_none_or(|other| due <= other) => {
                self.send_original(due, now, line, out);
            }
            (_, Some(due)) if due <= now => self.send_follow_up(due, now, line, out),
            _ => return false,
        }
        true
    }

    /// Takes an answer: one message without its frame. `index` is scratch.
    pub fn answer(&mut self, bytes: &[u8], now: u64, index: &mut FieldIndex) {
        let parsed = self.wire.dialect.parse(bytes, index);
        let view = MessageRef::new(bytes, index);
        if view.mti().class() == iso8583::mti::Class::Network {
            return;
        }
        let number = match (view.array::<8>(41), view.array::<6>(11)) {
            (Some(terminal), Some(stan)) => trace_number(&terminal, &stan),
            _ => None,
        };
        let Some(number) = number else {
            self.recorder.stray(Outcome::Protocol, now);
            return;
        };
        match self.inflight.take(number) {
            Some(entry) => {
                let mut finding = Finding::of(&entry, view, parsed.is_ok());
                let says = finding.outcome.is_answer() && finding.outcome != Outcome::Refused;
                if says && self.is_other_answer_to_repeat(&entry, bytes) {
                    finding.outcome = Outcome::Mismatched;
                }
                if finding.outcome == Outcome::Refused && entry.attached.is_some() {
                    // Its repeat was on its way, and may be taken in.
                    self.inflight.await_another(number, entry);
                }
                self.keep_first_answer(&entry, bytes);
                self.end(&entry, &finding, now);
            }
            None => self.unmatched(number, view, parsed.is_ok(), now),
        }
    }

    /// Gives up what has waited too long.
    pub fn expire(&mut self, now: u64) {
        while let Some((_, entry)) = self.inflight.take_expired(now) {
            self.give_up(&entry, now);
        }
    }

    /// A connection was lost: its answers will not come.
    pub fn line_lost(&mut self, line: u16, now: u64) {
        for entry in self.inflight.take_line(line) {
            self.end(&entry, &Finding::without_answer(Outcome::Disconnected), now);
        }
    }

    /// A connection sent bytes that are no frame.
    pub fn unframed(&mut self, now: u64) {
        self.recorder.stray(Outcome::Protocol, now);
    }

    /// Bytes of messages stayed behind because their connection was full.
    pub fn blocked(&mut self, messages: u64, now: u64) {
        self.recorder.blocked(now, messages);
    }

    /// Ends the run: what still waits is given up. The generator is of no further use.
    ///
    /// # Errors
    /// A message could not be written, or the log of acknowledgements could not.
    pub fn finish(&mut self, now: u64) -> Result<Recorder> {
        while let Some((_, entry)) = self.inflight.take_expired(u64::MAX) {
            self.give_up(&entry, now);
        }
        self.acks.flush()?;
        match self.problem.take() {
            Some(problem) => Err(problem),
            None => Ok(self.recorder.take()),
        }
    }

    /// When something is to be done next, if nothing comes in.
    #[must_use]
    pub fn next_event(&self) -> Option<u64> {
        let times = [
            self.next_original(),
            self.next_follow_up(),
            self.inflight.next_deadline(),
        ];
        times.into_iter().flatten().min()
    }

    /// Everything was sent, and nothing waits.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.next_original().is_none() && self.follow_ups.is_empty() && self.inflight.is_empty()
    }

    /// A message could not be written; the run cannot go on.
    #[must_use]
    pub const fn has_problem(&self) -> bool {
        self.problem.is_some()
    }

    /// Messages that wait.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.inflight.len()
    }

    /// What was seen so far.
    #[must_use]
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn next_original(&self) -> Option<u64> {
        self.schedule
            .times()
            .get(self.next)
            .map(|time| self.start + time)
    }

    fn next_follow_up(&self) -> Option<u64> {
        self.follow_ups.peek().map(|Reverse((due, _))| *due)
    }

    fn send_original(&mut self, due: u64, now: u64, line: Option<u16>, out: &mut Vec<u8>) {
        self.next += 1;
        if let Some(drawn) = self.traffic.draw(self.wall(now)) {
            self.send_drawn(drawn, Sending { due, now, line }, out);
        }
    }

    /// Sends a message that stands for itself, or completes another one, and plans what follows.
    fn send_drawn(&mut self, drawn: Drawn, sending: Sending, out: &mut Vec<u8>) {
        let Sending { due, now, line } = sending;
        let start = out.len();
        if let Err(problem) = drawn.draft.write(self.wire, out) {
            self.problem = Some(problem);
            return;
        }
        let echo = drawn.draft.echo;
        let Some(number) = trace_number(&echo.terminal, &echo.stan) else {
            return;
        };
        let mut entry = Entry {
            mti: self.wire.mti(drawn.draft.mti),
            echo,
            item: drawn.item,
            intended: due,
            attempted: now,
            deadline: now.saturating_add(self.timeout),
            line: line.unwrap_or(0),
            role: Role::Original,
            refers: drawn.draft.completes.map(|one| Refers::to(&one, None)),
            plan: None,
            attached: None,
            cancelled: false,
        };
        let frame = out.get(start..).unwrap_or_default();
        entry.plan = self.plan(drawn, number, &entry, frame);
        if line.is_none() {
            out.truncate(start);
        }
        self.dispatch(number, entry, line.is_some());
    }

    fn plan(&mut self, drawn: Drawn, number: u64, entry: &Entry, frame: &[u8]) -> Option<u64> {
        let Some(planned) = drawn.follow_up else {
            if self.insists {
                let kind = PlanKind::insist(*entry, frame);
                self.plans.insert(number, Plan::new(kind));
            }
            return self.insists.then_some(number);
        };
        let (after, kind) = match planned {
            Planned::Repeat { after } => (after, PlanKind::repeat(*entry, frame)),
            Planned::Reversal { after, stan, stays } => {
                let kind = PlanKind::reversal(&drawn.draft, self.wire.version(), stan, stays);
                (after, kind)
            }
            Planned::Completion {
                after,
                draft,
                follow_up,
            } => {
                let due = entry.intended.saturating_add(after);
                let kind = PlanKind::Completion(CompletionPlan {
                    entry: *entry,
                    frame: frame.to_vec(),
                    due,
                    draft,
                    follow_up,
                });
                self.plans.insert(number, Plan::new(kind));
                return Some(number); // due when its original is approved, not before
            }
        };
        self.plans.insert(number, Plan::new(kind));
        let due = entry.intended.saturating_add(after);
        self.follow_ups.push(Reverse((due, number)));
        Some(number)
    }

    /// A message is on its way, or ends at once for want of a connection.
    fn dispatch(&mut self, number: u64, entry: Entry, connected: bool) {
        self.recorder.offered(entry.item, entry.intended);
        self.recorder
            .sent(entry.item, entry.intended, entry.attempted);
        if connected {
            self.inflight.insert(number, entry);
        } else {
            let finding = Finding::without_answer(Outcome::Disconnected);
            self.end(&entry, &finding, entry.attempted);
        }
    }

    fn give_up(&mut self, entry: &Entry, now: u64) {
        let outcome = if entry.cancelled {
            Outcome::Reversed
        } else {
            Outcome::Timeout
        };
        self.end(entry, &Finding::without_answer(outcome), now);
    }

    /// The end of a message is known: counts it, writes it down, and tells its plan.
    fn end(&mut self, entry: &Entry, finding: &Finding, now: u64) {
        let ending = Ending {
            item: entry.item,
            outcome: finding.outcome,
            intended: entry.intended,
            attempted: Some(entry.attempted),
            ended: now,
        };
        self.recorder.ended(&ending);
        if let Some((intended, attempted)) = entry.attached {
            self.recorder.ended(&Ending {
                item: self.repeat_item(),
                intended,
                attempted: Some(attempted),
                ..ending
            });
        }
        self.acknowledge(entry, finding, now);
        self.tell_plan(entry, finding, now);
    }

    /// An answer that nothing waits for: the second one to a request and its repeat, a late one, or
    /// one too many.
    fn unmatched(&mut self, number: u64, view: MessageRef<'_>, readable: bool, now: u64) {
        if let Some(second) = self.take_second_answer(number, view.bytes()) {
            match second {
                Second::Equal => {}
                Second::Other if is_refusal(view) => {}
                Second::Other => self.recorder.stray(Outcome::Mismatched, now),
                Second::New(entry) => {
                    let finding = Finding::of(&entry, view, readable);
                    self.acknowledge(&entry, &finding, now);
                }
            }
        } else if let Some(entry) = self.inflight.take_given_up(number) {
            let finding = Finding::of(&entry, view, readable);
            self.recorder.late(entry.item, entry.intended);
            if finding.outcome.is_breach() {
                self.recorder.stray(finding.outcome, now);
            }
            self.acknowledge(&entry, &finding, now);
        } else {
            self.recorder.stray(Outcome::Duplicate, now);
        }
    }

    fn acknowledge(&mut self, entry: &Entry, finding: &Finding, now: u64) {
        let line = AckLine {
            mti: entry.mti,
            echo: &entry.echo,
            outcome: finding.outcome,
            code: finding.code.as_ref().map(Text::as_bytes),
            authorisation: finding.authorisation.as_ref().map(<[u8; 6]>::as_slice),
            at: self.wall(now),
            original: entry.refers.as_ref(),
        };
        if let Err(problem) = self.acks.write(&line) {
            self.problem = Some(problem);
        }
    }

    const fn repeat_item(&self) -> usize {
        self.items
    }

    const fn reversal_item(&self) -> usize {
        self.items + 1
    }

    const fn completion_item(&self) -> usize {
        self.items + 2
    }

    fn wall(&self, now: u64) -> WallTime {
        self.clock.wall(Instant::from_nanos(now))
    }
}

#[cfg(test)]
mod tests;
