//! What to do with frames that hold no message (semantics.md §11, rule 3).
//!
//! ```text
//!                 answered                       the next one is its answer
//!   Quiet ───────────────────────► AwaitingAnswer ─────────────────────────► Quiet
//! ```

use core::time::Duration;

use domain::time::Instant;

/// The keep-alives of one connection. None is ever passed on; whether one is answered is the
/// endpoint's choice, and two peers that both answer fall silent: of two in a row, one is taken
/// for the answer to what was sent in between.
#[derive(Clone, Debug)]
pub struct KeepAlive {
    answers: Answers,
    is_answer_awaited: bool,
    answered_at: Option<Instant>,
    row: Row,
}

/// Whether an endpoint answers keep-alives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// `answer_keep_alive` is off.
    Never,
    /// It is on.
    Once,
}

/// What to do with a keep-alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing.
    Ignore,
    /// Write one.
    Answer,
    /// Close the connection: the peer sends nothing else, and without a pause.
    Close,
}

/// Keep-alives without a message or a pause between them.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    len: u32,
    last: Instant,
}

impl KeepAlive {
    /// Keep-alives in a row, without a message and without [`KeepAlive::PAUSE`] between them, that
    /// are borne.
    pub const ROW_MAX: u32 = 100;
    /// From one answer to the next at least. A row ends with a pause of so long: a peer that sends
    /// one now and then, and nothing else all night, does no harm.
    pub const PAUSE: Duration = Duration::from_secs(1);

    /// Of a new connection.
    #[must_use]
    pub const fn new(answers: Answers) -> Self {
        Self {
            answers,
            is_answer_awaited: false,
            answered_at: None,
            row: Row {
                len: 0,
                last: Instant::ZERO,
            },
        }
    }

    /// A keep-alive has come.
    #[must_use]
    pub fn received(&mut self, now: Instant) -> Reaction {
        if now.since(self.row.last) >= Self::PAUSE {
            self.row.len = 0;
        }
        self.row = Row {
            len: self.row.len.saturating_add(1),
            last: now,
        };
        debug_assert!(self.row.len > 0);
        if self.row.len > Self::ROW_MAX {
            return Reaction::Close;
        }
        if self.answers == Answers::Never || core::mem::take(&mut self.is_answer_awaited) {
            return Reaction::Ignore;
        }
        let since_last = self.answered_at.map(|last| now.since(last));
        if since_last.is_some_and(|since| since < Self::PAUSE) {
            return Reaction::Ignore;
        }
        self.answered_at = Some(now);
        self.is_answer_awaited = true;
        Reaction::Answer
    }

    /// A message has come.
    pub const fn message(&mut self) {
        self.row.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Keep-alives at these milliseconds, and what is done with each.
    #[track_caller]
    fn check(answers: Answers, expected: &[(u64, Reaction)]) {
        let mut keep_alive = KeepAlive::new(answers);
        for (position, (millis, reaction)) in expected.iter().enumerate() {
            let done = keep_alive.received(Instant::from_millis(*millis));
            assert_eq!(done, *reaction, "number {position}");
        }
    }

    #[test]
    fn without_leave_none_is_answered() {
        check(
            Answers::Never,
            &[(0, Reaction::Ignore), (5_000, Reaction::Ignore)],
        );
    }

    #[test]
    fn what_can_be_an_answer_is_not_answered() {
        check(
            Answers::Once,
            &[
                (10_000, Reaction::Answer),
                (20_000, Reaction::Ignore),
                (30_000, Reaction::Answer),
                (40_000, Reaction::Ignore),
            ],
        );
    }

    #[test]
    fn there_is_one_answer_a_second() {
        check(
            Answers::Once,
            &[
                (0, Reaction::Answer),
                (1, Reaction::Ignore),
                (2, Reaction::Ignore),
                (999, Reaction::Ignore),
                (1_000, Reaction::Answer),
            ],
        );
    }

    #[test]
    fn more_than_a_hundred_in_a_row_are_a_storm() {
        let mut keep_alive = KeepAlive::new(Answers::Never);
        for _ in 0..KeepAlive::ROW_MAX {
            assert_eq!(keep_alive.received(Instant::ZERO), Reaction::Ignore);
        }
        let mut broken = keep_alive.clone();
        assert_eq!(keep_alive.received(Instant::ZERO), Reaction::Close);
        broken.message();
        for _ in 0..KeepAlive::ROW_MAX {
            assert_eq!(broken.received(Instant::ZERO), Reaction::Ignore);
        }
        assert_eq!(broken.received(Instant::from_millis(999)), Reaction::Close);
    }

    #[test]
    fn an_idle_peer_may_go_on_for_ever() {
        let mut keep_alive = KeepAlive::new(Answers::Once);
        for second in 0..10_000 {
            let reaction = keep_alive.received(Instant::from_millis(second * 1_000));
            assert_ne!(reaction, Reaction::Close);
        }
    }

    /// Passes keep-alives to and fro until none is under way, each `latency` later; how many there
    /// were.
    fn exchanged(mut peers: [KeepAlive; 2], first: &[(usize, u64)], latency: u64) -> usize {
        let mut under_way: VecDeque<(u64, usize)> =
            first.iter().map(|(to, at)| (*at, *to)).collect();
        under_way.make_contiguous().sort_unstable();
        let mut count = 0;
        while let Some((at, to)) = under_way.pop_front() {
            count += 1;
            assert!(count < 1_000, "they never fall silent");
            if peers[to].received(Instant::from_millis(at)) == Reaction::Answer {
                under_way.push_back((at + latency, 1 - to));
                under_way.make_contiguous().sort_unstable();
            }
        }
        count
    }

    #[test]
    fn one_keep_alive_between_two_that_answer_is_answered_once_by_each() {
        let peers = [KeepAlive::new(Answers::Once), KeepAlive::new(Answers::Once)];
        assert_eq!(exchanged(peers, &[(0, 0)], 3_000), 3);
    }

    proptest! {
        #[test]
        fn two_that_answer_fall_silent(
            first in proptest::collection::vec((0..2_usize, 0..60_000_u64), 1..60),
            latency in 0..5_000_u64,
        ) {
            let peers = [KeepAlive::new(Answers::Once), KeepAlive::new(Answers::Once)];
            let count = exchanged(peers, &first, latency);
            // Each answers at most every second one that it gets.
            prop_assert!(count <= first.len() * 2 + 2, "{} became {count}", first.len());
        }

        #[test]
        fn no_two_answers_are_within_a_second(
            pauses in proptest::collection::vec(0..1_500_u64, 1..200),
        ) {
            let mut keep_alive = KeepAlive::new(Answers::Once);
            let mut now = 0;
            let mut answers = Vec::new();
            for pause in pauses {
                now += pause;
                if keep_alive.received(Instant::from_millis(now)) == Reaction::Answer {
                    answers.push(now);
                }
            }
            prop_assert!(answers.windows(2).all(|pair| pair[1] - pair[0] >= 1_000));
        }
    }
}
