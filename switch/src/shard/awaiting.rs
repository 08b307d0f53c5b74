//! Answers that wait until PostgreSQL has what they say (`node.durability = "postgres"`).
//!
//! | what | owner | bound | when it is reached |
//! |---|---|---|---|
//! | answers that wait | the transaction's shard | `waiting_max`, and what is in flight by then | the oldest is given up |
//! | one answer's wait | – | `wait_max` | it is given up |
//! | how far PostgreSQL is behind | the shard | `shed_after`, `waiting_max` | new requests get 96 |
//!
//! An answer rests on records that were durable when the engine gave it, so it waits for all that
//! were. One that is given up is told to nobody, and nothing is reversed for it: its transaction is
//! kept, and a repeat waits anew. A watermark that goes back, as after a failover, only makes
//! answers wait longer.
//!
//! A shard whose answers wait looks at the watermark every half millisecond; without the mode none
//! wait, and nothing is looked at.

use std::collections::VecDeque;
use std::time::Duration;

use domain::ResponseCode;
use domain::ids::Lsn;
use domain::request::FrameId;
use domain::time::Instant;
use transaction::output::Reply;

use super::Shard;
use crate::config::{Config, Durability};
use crate::metrics::{Counter, Histogram, Stage};

/// Bounds of the waiting.
#[derive(Clone, Copy, Debug)]
struct Policy {
    waiting_max: usize,
    /// Those that were in flight when the bound was reached find room too.
    room: usize,
    wait_max: Duration,
    shed_after: Duration,
}

/// The answers of one shard that wait; none, ever, where answers wait for the journal alone.
#[derive(Debug, Default)]
pub(crate) struct Awaiting {
    policy: Option<Policy>,
    waiting: VecDeque<WaitingAnswer>,
    /// A durable record that PostgreSQL lacked, and when that was seen: the oldest that it lacks
    /// has waited for as long at least.
    behind: Option<(Lsn, Instant)>,
    looks_at: Option<Instant>,
}

/// An answer that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WaitingAnswer {
    lsn: Lsn,
    frame: FrameId,
    reply: Reply,
    since: Instant,
}

impl Awaiting {
    pub(super) fn new(config: &Config) -> Self {
        let policy = config.postgres.as_ref().map(|postgres| Policy {
            waiting_max: postgres.answers_waiting_max,
            room: postgres
                .answers_waiting_max
                .saturating_add(config.limits.inflight_max),
            wait_max: postgres.answer_wait_max,
            shed_after: postgres.shed_after,
        });
        let policy = policy.filter(|_| config.node.durability == Durability::Postgres);
        Self::of(policy)
    }

    fn of(policy: Option<Policy>) -> Self {
        let room = policy.map_or(0, |policy| policy.room);
        Self {
            policy,
            waiting: VecDeque::with_capacity(room),
            behind: None,
            looks_at: None,
        }
    }

    const fn is_on(&self) -> bool {
        self.policy.is_some()
    }

    /// Answers that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// When to look at the watermark next; none while nothing waits for it.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.looks_at.filter(|_| !self.waiting.is_empty())
    }

    /// PostgreSQL is so far behind that a further request would wait for too long.
    pub(super) fn must_shed(&self, now: Instant) -> bool {
        let Some(policy) = &self.policy else {
            return false;
        };
        let is_old = |(_, since): (Lsn, Instant)| now.since(since) >= policy.shed_after;
        self.waiting.len() >= policy.waiting_max || self.behind.is_some_and(is_old)
    }

    /// Puts an answer behind the others; the oldest, when there is no room left.
    fn put(&mut self, held: WaitingAnswer) -> Option<WaitingAnswer> {
        let room = self.policy.map_or(0, |policy| policy.room);
        let oldest = (self.waiting.len() >= room).then(|| self.waiting.pop_front());
        self.looks_at.get_or_insert(held.since);
        self.waiting.push_back(held);
        oldest.flatten()
    }

    /// Takes note of how far journal and PostgreSQL are.
    fn look(&mut self, durable: Lsn, applied: Lsn, now: Instant) {
        if self.behind.is_some_and(|(lsn, _)| lsn <= applied) {
            self.behind = None;
        }
        if durable > applied {
            self.behind.get_or_insert((durable, now));
        }
        self.looks_at = Some(now.after(LOOK_EVERY));
    }

    /// The next answer that need not wait any longer.
    fn pop(&mut self, applied: Lsn) -> Option<WaitingAnswer> {
        self.waiting.pop_front_if(|held| held.lsn <= applied)
    }

    /// The next answer that has waited for as long as one may.
    fn pop_late(&mut self, now: Instant) -> Option<WaitingAnswer> {
        let wait_max = self.policy?.wait_max;
        self.waiting
            .pop_front_if(|held| now.since(held.since) >= wait_max)
    }
}

impl Shard {
    /// Answers a frame, at once or when PostgreSQL has what the answer rests on.
    pub(super) fn tell(&mut self, frame: FrameId, reply: Reply, now: Instant) {
        let lsn = self.journal.durable();
        if !self.work.awaiting.is_on() || promises_nothing(reply) || lsn <= self.shared.applied() {
            return self.answer_timed(frame, reply, now);
        }
        let held = WaitingAnswer {
            lsn,
            frame,
            reply,
            since: now,
        };
        if let Some(oldest) = self.work.awaiting.put(held) {
            self.give_up_answer(oldest.frame);
        }
    }

    /// Tells what PostgreSQL has by now, and gives up what has waited for too long.
    pub(super) fn release_waiting(&mut self, now: Instant) {
        if !self.work.awaiting.is_on() {
            return;
        }
        let (durable, applied) = (self.journal.durable(), self.shared.applied());
        self.work.awaiting.look(durable, applied, now);
        while let Some(held) = self.work.awaiting.pop(applied) {
            let waited = now.since(held.since);
            self.metrics
                .observe_duration(Histogram::Stage(Stage::PostgresWait), waited);
            if self.is_taken_back(held.reply) {
                self.discard(held.frame);
            } else {
                self.answer_timed(held.frame, held.reply, now);
            }
        }
        while let Some(held) = self.work.awaiting.pop_late(now) {
            self.give_up_answer(held.frame);
        }
        // An approval whose session has gone may be owed a reversal.
        if !self.work.follow_ups.is_empty() {
            self.drain(now);
        }
    }

    fn give_up_answer(&mut self, frame: FrameId) {
        self.metrics.count(Counter::AnswersGivenUp);
        self.discard(frame);
    }

    /// Its acquirer has reversed it while it waited: an approval would contradict that (R9).
    fn is_taken_back(&self, reply: Reply) -> bool {
        match reply {
            Reply::Answer(handle) => self.engine.is_taken_back(handle),
            Reply::Code(_) | Reply::Acknowledge { .. } => false,
        }
    }
}

/// "Not now" stands on no record.
fn promises_nothing(reply: Reply) -> bool {
    match reply {
        Reply::Code(code) | Reply::Acknowledge { code } => code == ResponseCode::MALFUNCTION,
        Reply::Answer(_) => false,
    }
}

/// How often the watermark is looked at while answers wait for it.
const LOOK_EVERY: Duration = Duration::from_micros(500);

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        waiting_max: 3,
        room: 5,
        wait_max: Duration::from_millis(100),
        shed_after: Duration::from_millis(20),
    };

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn held(lsn: u64, millis: u64) -> WaitingAnswer {
        WaitingAnswer {
            lsn: Lsn(lsn),
            frame: FrameId(u32::try_from(lsn).unwrap()),
            reply: Reply::Acknowledge {
                code: ResponseCode::APPROVED,
            },
            since: at(millis),
        }
    }

    fn popped(awaiting: &mut Awaiting, applied: u64) -> Vec<u64> {
        std::iter::from_fn(|| awaiting.pop(Lsn(applied)))
            .map(|held| held.lsn.0)
            .collect()
    }

    #[test]
    fn an_answer_leaves_when_the_watermark_has_passed_it_and_not_before() {
        let mut awaiting = Awaiting::of(Some(POLICY));
        assert_eq!(awaiting.poll_timeout(), None);
        for lsn in [4, 4, 6] {
            assert_eq!(awaiting.put(held(lsn, 1)), None);
        }
        assert_eq!(awaiting.poll_timeout(), Some(at(1)), "at once");
        assert_eq!(popped(&mut awaiting, 3), [0; 0]);
        assert_eq!(popped(&mut awaiting, 5), [4, 4]);
        awaiting.look(Lsn(6), Lsn(2), at(2));
        assert_eq!(popped(&mut awaiting, 2), [0; 0], "after a failover");
        assert!(awaiting.poll_timeout() > Some(at(2)));
        assert_eq!(popped(&mut awaiting, 6), [6]);
        assert_eq!(awaiting.poll_timeout(), None);
    }

    #[test]
    fn the_oldest_answer_gives_way_and_late_ones_are_given_up_in_order() {
        let mut awaiting = Awaiting::of(Some(POLICY));
        for lsn in 1..=5 {
            assert_eq!(awaiting.put(held(lsn, lsn)), None);
        }
        assert_eq!(awaiting.put(held(6, 6)), Some(held(1, 1)));
        assert_eq!(awaiting.pop_late(at(101)), None);
        assert_eq!(awaiting.pop_late(at(103)), Some(held(2, 2)));
        assert_eq!(awaiting.pop_late(at(103)), Some(held(3, 3)));
        assert_eq!(awaiting.pop_late(at(103)), None);
        assert_eq!(awaiting.len(), 3);
    }

    #[test]
    fn new_requests_are_shed_by_number_and_by_age_until_postgresql_has_caught_up() {
        let mut awaiting = Awaiting::of(Some(POLICY));
        awaiting.look(Lsn(9), Lsn(9), at(0));
        assert!(!awaiting.must_shed(at(1_000)), "nothing is missing");
        for lsn in 1..=3 {
            assert!(!awaiting.must_shed(at(1)));
            assert_eq!(awaiting.put(held(lsn, 1)), None);
        }
        assert!(awaiting.must_shed(at(1)), "as many as may wait");
        assert_eq!(popped(&mut awaiting, 3).len(), 3);

        awaiting.look(Lsn(12), Lsn(9), at(10));
        awaiting.look(Lsn(14), Lsn(11), at(29));
        assert!(!awaiting.must_shed(at(29)));
        assert!(
            awaiting.must_shed(at(30)),
            "the twelfth is missing for 20 ms"
        );
        awaiting.look(Lsn(20), Lsn(12), at(31));
        assert!(!awaiting.must_shed(at(50)), "it moves");
        assert!(
            awaiting.must_shed(at(51)),
            "the twentieth is missing for 20 ms"
        );
        awaiting.look(Lsn(20), Lsn(20), at(52));
        assert!(!awaiting.must_shed(at(1_000)));
    }

    #[test]
    fn without_the_mode_nothing_is_held_and_nothing_is_shed() {
        let mut awaiting = Awaiting::default();
        assert!(!awaiting.is_on());
        awaiting.look(Lsn(9), Lsn(0), at(0));
        assert!(!awaiting.must_shed(at(1_000)));
        assert_eq!(awaiting.waiting.capacity(), 0);
    }
}
