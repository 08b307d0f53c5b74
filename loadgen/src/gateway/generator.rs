//! One generator thread without its sockets: what is due, what an answer means, what is given up,
//! and what is sent again under the same key because nothing was told of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use anyhow::Result;
use domain::ids::{AuthorisationId, TransactionId};
use domain::time::{Instant, WallTime};
use hashbrown::HashMap;

use super::acks::{About, Ack, AckLog};
use super::answer::{self, Asked, Said, State, Verdict};
use super::http::Answer;
use super::payment::{Fate, Payment, Payments, Reversal, Writer};
use super::{GatewayConfig, REPEAT, REVERSAL};
use crate::clock::Clock;
use crate::recorder::{Ending, Outcome, Recorder, Window};
use crate::schedule::Schedule;

/// Sends what is due and checks what comes back. Times are nanoseconds of the run's clock.
#[derive(Debug)]
pub(crate) struct Generator {
    clock: Clock,
    timeout: u64,
    start: u64,
    /// Items of the scenario, which stand before ours.
    base: usize,
    schedule: Schedule,
    next: usize,
    payments: Payments,
    writer: Writer,
    /// Payments of which a ticket is left.
    known: HashMap<u64, Known>,
    numbers: u64,
    /// When a ticket is due, and which.
    later: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: HashMap<u64, Ticket>,
    queue: VecDeque<Ticket>,
    idle: VecDeque<u16>,
    lines: Vec<Place>,
    busy: usize,
    /// No deadline of a busy line is earlier.
    earliest: u64,
    recorder: Recorder,
    acks: AckLog,
    problem: Option<anyhow::Error>,
}

/// What a generator is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: GatewayConfig,
    pub(crate) clock: Clock,
    /// When its schedule begins.
    pub(crate) start: Instant,
    /// Of the run, and which thread this is.
    pub(crate) seed: (u64, u32),
    pub(crate) schedule: Schedule,
    pub(crate) window: Window,
    pub(crate) acks: AckLog,
    /// Items of the scenario.
    pub(crate) base: usize,
    /// Its connections, which are down at first.
    pub(crate) connections: usize,
}

/// One payment.
#[derive(Debug)]
struct Known {
    payment: Payment,
    id: Option<TransactionId>,
    /// What is to take it back.
    reversal: Option<Reversal>,
    reversal_after: u64,
    /// It is sent twice: what was told first is kept.
    repeats: bool,
    first: Option<Box<[u8]>>,
    /// Tickets of it that have not ended.
    tickets: u32,
}

/// What is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// POST, for the first time or as a copy.
    Pay,
    /// GET.
    Look,
    Reverse,
}

/// One request, from when it is due until it has come to something.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    number: u64,
    task: Task,
    /// Of ours.
    item: usize,
    intended: u64,
    attempted: u64,
    deadline: u64,
    /// Offered, and so its end is counted. What follows a payment is offered when it is due.
    begun: Begun,
    /// How often it was sent again or asked for.
    tries: u8,
    /// The payment had been told as final before this was written.
    is_replay: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    No,
    Yes,
    /// Its outcome is known and counted: it is asked for until it is final.
    Ended,
}

/// What a connection does.
#[derive(Clone, Copy, Debug)]
enum Place {
    Down,
    Idle,
    Busy(Ticket),
}

impl Generator {
    /// A generator that has sent nothing.
    pub(crate) fn new(parts: Parts) -> Self {
        let timeout = u64::try_from(parts.window.timeout.as_nanos()).unwrap_or(u64::MAX);
        // An answer that waits for as long as it may comes well before it is given up.
        let wait = (parts.window.timeout.as_secs() / 2).clamp(1, 30);
        let run = parts.clock.wall(parts.start).unix_millis();
        Self {
            clock: parts.clock,
            timeout,
            start: parts.start.as_nanos(),
            base: parts.base,
            schedule: parts.schedule,
            next: 0,
            payments: Payments::new(&parts.config, parts.seed, run),
            writer: Writer::new(&parts.config, wait),
            known: HashMap::new(),
            numbers: 0,
            later: BinaryHeap::new(),
            waiting: HashMap::new(),
            queue: VecDeque::new(),
            idle: VecDeque::new(),
            lines: vec![Place::Down; parts.connections],
            busy: 0,
            earliest: u64::MAX,
            recorder: Recorder::new(parts.base + super::ITEMS.len(), parts.window),
            acks: parts.acks,
            problem: None,
        }
    }

    /// Takes up all that is due at `now`.
    pub(crate) fn take_due(&mut self, now: u64) {
        while let Some(due) = self.next_original().filter(|due| *due <= now) {
            self.next += 1;
            self.begin(due, now);
        }
        while let Some(Reverse((due, order))) = self.later.peek().copied()
            && due <= now
        {
            self.later.pop();
            if let Some(mut ticket) = self.waiting.remove(&order) {
                if ticket.begun == Begun::No {
                    self.offer(&mut ticket, due, now);
                }
                ticket.deadline = now.saturating_add(self.timeout);
                self.enqueue(ticket);
            }
        }
    }

    /// An idle connection, while something waits for one.
    pub(crate) fn next_line(&mut self) -> Option<u16> {
        while !self.queue.is_empty() {
            let line = self.idle.pop_front()?;
            if matches!(self.lines.get(usize::from(line)), Some(Place::Idle)) {
                return Some(line);
            }
        }
        None
    }

    /// Appends the request that has waited longest to what leaves on `line`, which is idle.
    pub(crate) fn write_next(&mut self, line: u16, now: u64, out: &mut Vec<u8>) {
        let (Some(place), Some(mut ticket)) = (
            self.lines.get_mut(usize::from(line)),
            self.queue.pop_front(),
        ) else {
            return;
        };
        let Some(known) = self.known.get(&ticket.number) else {
            debug_assert!(false, "a ticket keeps its payment");
            return;
        };
        ticket.deadline = now.saturating_add(self.timeout);
        ticket.is_replay = known.first.is_some();
        match (ticket.task, known.id, known.reversal) {
            (Task::Pay, _, _) => self.writer.pay(&known.payment, out),
            (Task::Look, Some(id), _) => self.writer.look(id, out),
            (Task::Reverse, Some(id), Some(reversal)) => {
                self.writer.reverse((id, &known.payment), reversal, out);
            }
            (Task::Look | Task::Reverse, _, _) => {
                debug_assert!(false, "what is asked about by its id has one");
            }
        }
        *place = Place::Busy(ticket);
        self.busy += 1;
        self.earliest = self.earliest.min(ticket.deadline);
    }

    /// Takes the answer that came on a connection.
    pub(super) fn answer(&mut self, line: u16, answer: &Answer<'_>, now: u64) {
        let Some(place) = self.lines.get_mut(usize::from(line)) else {
            return;
        };
        let next = if answer.closes {
            Place::Down
        } else {
            Place::Idle
        };
        match std::mem::replace(place, next) {
            Place::Busy(ticket) => {
                self.busy -= 1;
                if !answer.closes {
                    self.idle.push_back(line);
                }
                self.conclude(ticket, answer, now);
            }
            // An answer that nothing was asked for.
            Place::Idle | Place::Down => {
                *place = Place::Down;
                self.recorder.stray(Outcome::Duplicate, now);
            }
        }
    }

    /// A connection stands.
    pub(crate) fn line_up(&mut self, line: u16) {
        if let Some(place) = self.lines.get_mut(usize::from(line)) {
            *place = Place::Idle;
            self.idle.push_back(line);
        }
    }

    /// A connection was lost: its answer will not come.
    pub(crate) fn line_lost(&mut self, line: u16, now: u64) {
        self.end_line(line, Outcome::Disconnected, now);
    }

    /// A connection sent bytes that are no answer.
    pub(crate) fn unframed(&mut self, line: u16, now: u64) {
        self.end_line(line, Outcome::Protocol, now);
    }

    fn end_line(&mut self, line: u16, outcome: Outcome, now: u64) {
        let Some(place) = self.lines.get_mut(usize::from(line)) else {
            return;
        };
        if let Place::Busy(ticket) = std::mem::replace(place, Place::Down) {
            self.busy -= 1;
            self.lose(ticket, outcome, now);
        }
    }

    /// Gives up what has waited too long. The connections of what had left are of no further use:
    /// they are told to `close`.
    pub(crate) fn expire(&mut self, now: u64, mut close: impl FnMut(u16)) {
        while let Some(ticket) = self.queue.front().copied()
            && ticket.deadline <= now
        {
            self.queue.pop_front();
            self.lose(ticket, Outcome::Timeout, now);
        }
        if now < self.earliest {
            return;
        }
        let deadline = |place: &Place| match place {
            Place::Busy(ticket) => Some(ticket.deadline),
            Place::Idle | Place::Down => None,
        };
        let lines = (0..).zip(&self.lines);
        let expired: Vec<u16> = lines
            .filter(|(_, place)| deadline(place).is_some_and(|deadline| deadline <= now))
            .map(|(line, _)| line)
            .collect();
        for line in expired {
            self.end_line(line, Outcome::Timeout, now);
            close(line);
        }
        self.earliest = self
            .lines
            .iter()
            .filter_map(deadline)
            .min()
            .unwrap_or(u64::MAX);
    }

    /// Ends the run: what still waits is given up. The generator is of no further use.
    ///
    /// # Errors
    /// The log of acknowledgements could not be written.
    pub(crate) fn finish(&mut self, now: u64) -> Result<Recorder> {
        let busy = self.lines.iter().filter_map(|place| match place {
            Place::Busy(ticket) => Some(*ticket),
            Place::Idle | Place::Down => None,
        });
        let left: Vec<Ticket> = busy
            .chain(self.queue.drain(..))
            .chain(self.waiting.drain().map(|(_, ticket)| ticket))
            .collect();
        for ticket in left {
            if ticket.begun != Begun::No {
                self.end(&ticket, Outcome::Timeout, None, now);
            }
        }
        self.acks.flush()?;
        match self.problem.take() {
            Some(problem) => Err(problem),
            None => Ok(self.recorder.take()),
        }
    }

    /// When something is to be done next, if nothing comes in.
    pub(crate) fn next_event(&self) -> Option<u64> {
        let times = [
            self.next_original(),
            self.later.peek().map(|Reverse((due, _))| *due),
            self.queue.front().map(|ticket| ticket.deadline),
            (self.busy > 0).then_some(self.earliest),
        ];
        times.into_iter().flatten().min()
    }

    /// Everything was sent, and nothing waits.
    pub(crate) fn is_done(&self) -> bool {
        let nothing = self.later.is_empty() && self.queue.is_empty();
        self.next_original().is_none() && nothing && self.busy == 0
    }

    /// The log could not be written; the run cannot go on.
    pub(crate) const fn has_problem(&self) -> bool {
        self.problem.is_some()
    }

    /// Requests that wait for a connection or an answer.
    pub(crate) fn inflight(&self) -> usize {
        self.busy + self.queue.len()
    }

    /// What was seen so far.
    pub(crate) const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn next_original(&self) -> Option<u64> {
        let time = self.schedule.times().get(self.next);
        time.map(|time| self.start + time)
    }

    fn begin(&mut self, due: u64, now: u64) {
        let (payment, fate) = self.payments.draw();
        let number = self.numbers;
        self.numbers += 1;
        let (reversal, reversal_after) = match fate {
            Fate::Reverse { after, reversal } => (Some(reversal), after),
            Fate::Nothing | Fate::Repeat { .. } => (None, 0),
        };
        let known = Known {
            payment,
            id: None,
            reversal,
            reversal_after,
            repeats: matches!(fate, Fate::Repeat { .. }),
            first: None,
            tickets: 1,
        };
        self.known.insert(number, known);
        let mut ticket = Ticket::new(number, Task::Pay, payment.kind.item());
        if let Fate::Repeat { after } = fate {
            self.plan(
                due.saturating_add(after),
                Ticket::new(number, Task::Pay, REPEAT),
            );
        }
        self.offer(&mut ticket, due, now);
        ticket.deadline = now.saturating_add(self.timeout);
        self.enqueue(ticket);
    }

    fn offer(&mut self, ticket: &mut Ticket, due: u64, now: u64) {
        ticket.begun = Begun::Yes;
        ticket.intended = due;
        ticket.attempted = now;
        let item = self.base + ticket.item;
        self.recorder.offered(item, due);
        self.recorder.sent(item, due, now);
    }

    fn enqueue(&mut self, ticket: Ticket) {
        if ticket.begun == Begun::Yes && self.queue.len() >= self.idle.len() {
            self.recorder
                .queued(self.base + ticket.item, ticket.intended);
        }
        self.queue.push_back(ticket);
    }

    /// A further ticket of a payment.
    fn plan(&mut self, due: u64, ticket: Ticket) {
        if let Some(known) = self.known.get_mut(&ticket.number) {
            known.tickets += 1;
        }
        self.put_off(due, ticket);
    }

    /// The same ticket, later.
    fn put_off(&mut self, due: u64, ticket: Ticket) {
        let order = self.numbers;
        self.numbers += 1;
        self.later.push(Reverse((due, order)));
        self.waiting.insert(order, ticket);
    }

    fn conclude(&mut self, ticket: Ticket, answer: &Answer<'_>, now: u64) {
        let Some(known) = self.known.get(&ticket.number) else {
            return;
        };
        if let (Task::Reverse, Some(id), Some(reversal)) = (ticket.task, known.id, known.reversal) {
            let (outcome, state) = answer::reversal((id, &known.payment, reversal), answer);
            let said = state.map(|state| Said {
                id,
                state,
                code: None,
                authorisation: AuthorisationId::EMPTY,
            });
            return self.end(&ticket, outcome, said, now);
        }
        let asked = Asked {
            payment: &known.payment,
            id: known.id,
            is_look: ticket.task == Task::Look,
        };
        match answer::payment(&asked, answer) {
            Verdict::Ended(outcome, said) => {
                let outcome = self.compared(&ticket, outcome, said.as_ref(), answer);
                self.learn(&ticket, said, now);
                self.end(&ticket, outcome, said, now);
            }
            Verdict::Open(said) => {
                self.learn(&ticket, Some(said), now);
                self.ask_again(ticket, Task::Look, now.saturating_add(LOOK_PAUSE), now);
            }
            Verdict::Again => {
                self.ask_again(ticket, ticket.task, now.saturating_add(AGAIN_PAUSE), now);
            }
        }
    }

    /// Whether what is told of a payment for the second time is what was told first.
    fn compared(
        &mut self,
        ticket: &Ticket,
        outcome: Outcome,
        said: Option<&Said>,
        answer: &Answer<'_>,
    ) -> Outcome {
        let settled = said.is_some_and(|said| {
            matches!(
                said.state,
                State::Approved | State::Declined | State::Failed
            )
        });
        let known = self.known.get_mut(&ticket.number);
        let Some(known) = known.filter(|known| known.repeats) else {
            return outcome;
        };
        if !settled || ticket.task != Task::Pay {
            return outcome;
        }
        match &known.first {
            None => {
                known.first = Some(answer.body.into());
                outcome
            }
            Some(first) => {
                let marked = answer.is_replayed || !ticket.is_replay;
                let same = marked && **first == *answer.body;
                if same { outcome } else { Outcome::Mismatched }
            }
        }
    }

    /// What is told of a payment may be what its reversal waits for, or not yet final.
    fn learn(&mut self, ticket: &Ticket, said: Option<Said>, now: u64) {
        let (Some(known), Some(said)) = (self.known.get_mut(&ticket.number), said) else {
            return;
        };
        known.id.get_or_insert(said.id);
        let is_first = ticket.item < REPEAT && ticket.begun == Begun::Yes;
        if is_first && said.state == State::Approved && known.reversal.is_some() {
            let due = ticket
                .intended
                .saturating_add(known.reversal_after)
                .max(now);
            self.plan(due, Ticket::new(ticket.number, Task::Reverse, REVERSAL));
        }
        if is_first && said.state == State::ReversalPending {
            let mut look = Ticket::new(ticket.number, Task::Look, ticket.item);
            look.begun = Begun::Ended;
            self.plan(now.saturating_add(LOOK_PAUSE), look);
        }
    }

    fn ask_again(&mut self, mut ticket: Ticket, task: Task, due: u64, now: u64) {
        if ticket.tries >= LOOKS_MAX {
            return self.lose(ticket, Outcome::Timeout, now);
        }
        ticket.tries += 1;
        ticket.task = task;
        self.put_off(due, ticket);
    }

    /// Nothing was told of a request that may have arrived: it is sent again under its key.
    fn lose(&mut self, ticket: Ticket, outcome: Outcome, now: u64) {
        if ticket.begun == Begun::Yes && ticket.tries < RETRIES_MAX {
            let (task, item) = match ticket.task {
                Task::Pay | Task::Look => (Task::Pay, REPEAT),
                Task::Reverse => (Task::Reverse, REVERSAL),
            };
            let mut again = Ticket::new(ticket.number, task, item);
            again.tries = ticket.tries + 1;
            self.plan(now.saturating_add(AGAIN_PAUSE), again);
        }
        self.end(&ticket, outcome, None, now);
    }

    /// The end of a request is known: counts it and writes it down.
    fn end(&mut self, ticket: &Ticket, outcome: Outcome, said: Option<Said>, now: u64) {
        // What is asked for beyond its outcome is not counted again, unless it is not as it must.
        if ticket.begun != Begun::Ended {
            self.recorder.ended(&Ending {
                item: self.base + ticket.item,
                outcome,
                intended: ticket.intended,
                attempted: Some(ticket.attempted),
                ended: now,
            });
        } else if outcome.is_breach() {
            self.recorder.stray(outcome, now);
        } else if said.is_some_and(|said| !said.state.is_final()) && ticket.tries < LOOKS_MAX {
            return self.ask_again(*ticket, Task::Look, now.saturating_add(LOOK_PAUSE), now);
        }
        self.acknowledge(ticket, outcome, said.as_ref(), now);
        if let Some(known) = self.known.get_mut(&ticket.number) {
            known.tickets -= 1;
            if known.tickets == 0 {
                self.known.remove(&ticket.number);
            }
        }
    }

    fn acknowledge(&mut self, ticket: &Ticket, outcome: Outcome, said: Option<&Said>, now: u64) {
        let Some(known) = self.known.get(&ticket.number) else {
            return;
        };
        let is_reversal = ticket.task == Task::Reverse;
        let stays = known.reversal.filter(|_| is_reversal).map(|one| one.stays);
        let ack = Ack {
            about: if is_reversal {
                About::Reversal
            } else {
                About::Payment
            },
            key: known.payment.key,
            outcome,
            id: known.id,
            state: None,
            code: None,
            authorisation: AuthorisationId::EMPTY,
            amount: known.payment.amount,
            stays: stays.unwrap_or(0),
            at: self.wall(now),
        };
        let ack = said.map_or(ack, |said| ack.told(said));
        if let Err(problem) = self.acks.write(&ack) {
            self.problem = Some(problem);
        }
    }

    fn wall(&self, now: u64) -> WallTime {
        self.clock.wall(Instant::from_nanos(now))
    }
}

impl Ticket {
    const fn new(number: u64, task: Task, item: usize) -> Self {
        Self {
            number,
            task,
            item,
            intended: 0,
            attempted: 0,
            deadline: 0,
            begun: Begun::No,
            tries: 0,
            is_replay: false,
        }
    }
}

/// Between an answer that is not final and the next question.
const LOOK_PAUSE: u64 = 50_000_000;
/// Until what was not answered is sent again.
const AGAIN_PAUSE: u64 = 1_000_000_000;
/// Questions for one payment.
const LOOKS_MAX: u8 = 30;
/// How often one request is sent again.
const RETRIES_MAX: u8 = 3;
