//! Messages that wait for their answers.

use std::collections::VecDeque;

use hashbrown::HashMap;
use iso8583::Mti;

use crate::message::{Echo, Original};

/// A message that has been sent.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The message type as first sent.
    pub mti: Mti,
    /// What its answer must repeat.
    pub echo: Echo,
    /// Its place in the report.
    pub item: usize,
    /// When it was due.
    pub intended: u64,
    /// When a write was first attempted.
    pub attempted: u64,
    /// When it is given up.
    pub deadline: u64,
    /// The connection that its answer comes on.
    pub line: u16,
    /// What it is.
    pub role: Role,
    /// What it reverses or completes.
    pub refers: Option<Refers>,
    /// Where the plan lies that it belongs to.
    pub plan: Option<u64>,
    /// A repeat that was sent while it waited: times at which that one was due and sent.
    pub attached: Option<(u64, u64)>,
    /// Its reversal was sent while it waited, so that no answer is owed.
    pub cancelled: bool,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Drawn from the scenario.
    Original,
    /// The bytes of an earlier one again.
    Repeat,
    /// Reverses an earlier one.
    Reversal,
}

/// The earlier message that another one is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refers {
    /// DE11 of the original.
    pub stan: [u8; 6],
    /// DE7 of the original.
    pub transmitted: [u8; 10],
    /// DE4 of the original.
    pub amount: [u8; 12],
    /// What a reversal leaves of it; `None` when it leaves nothing.
    pub stays: Option<[u8; 12]>,
}

impl Refers {
    /// To this message, of which `stays` stays when it is reversed.
    #[must_use]
    pub const fn to(original: &Original, stays: Option<[u8; 12]>) -> Self {
        Self {
            stan: original.stan,
            transmitted: original.transmitted,
            amount: original.amount,
            stays,
        }
    }
}

/// All messages of one generator thread that wait, by the number of terminal and STAN.
#[derive(Debug, Default)]
pub struct Inflight {
    entries: HashMap<u64, Entry>,
    /// Deadlines in the order of sending: all timeouts are equal.
    deadlines: VecDeque<(u64, u64)>,
    /// Given up; an answer may still come.
    given_up: HashMap<u64, Entry>,
}

impl Inflight {
    /// Takes a message in.
    pub fn insert(&mut self, number: u64, entry: Entry) {
        debug_assert!(
            self.deadlines
                .back()
                .is_none_or(|(deadline, _)| *deadline <= entry.deadline),
            "deadlines ascend"
        );
        self.deadlines.push_back((entry.deadline, number));
        let before = self.entries.insert(number, entry);
        debug_assert!(before.is_none(), "two messages in flight have one number");
    }

    /// Takes a message out: its answer has come.
    pub fn take(&mut self, number: u64) -> Option<Entry> {
        self.entries.remove(&number)
    }

    /// A message that waits.
    pub fn waiting(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&number)
    }

    /// Takes out a message that is given up at `now`.
    pub fn take_expired(&mut self, now: u64) -> Option<(u64, Entry)> {
        while let Some((deadline, number)) = self.deadlines.front().copied() {
            if deadline > now {
                return None;
            }
            self.deadlines.pop_front();
            // The number may be that of a later message, or of none.
            if self
                .entries
                .get(&number)
                .is_some_and(|entry| entry.deadline == deadline)
            {
                let entry = self.entries.remove(&number)?;
                self.given_up.insert(number, entry);
                return Some((number, entry));
            }
        }
        None
    }

    /// Takes out all messages whose answers would come on a connection. Where that of a repeat was
    /// lost, the answer to its request may still come on another one.
    pub fn take_line(&mut self, line: u16) -> Vec<Entry> {
        let of_line = self.entries.extract_if(|_, entry| entry.line == line);
        let lost: Vec<(u64, Entry)> = of_line.collect();
        let repeated = lost.iter().filter(|(_, entry)| entry.attached.is_some());
        self.given_up.extend(repeated.copied());
        lost.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Of a message that has ended one more answer may come.
    pub fn await_another(&mut self, number: u64, entry: Entry) {
        self.given_up.insert(number, entry);
    }

    /// Takes out a message that was given up: its answer has come after all.
    pub fn take_given_up(&mut self, number: u64) -> Option<Entry> {
        self.given_up.remove(&number)
    }

    /// When the next message is given up, or was answered in between.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// Messages that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
