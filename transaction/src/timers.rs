//! Deadlines of transactions, and a heap of due times for owed reversals.
//!
//! The transactions of one route share one deadline, so a queue per length of deadline is in order
//! by itself: setting and clearing cost a few stores. A route whose deadline changes in a reload
//! takes another queue; those in flight keep theirs.

use alloc::vec::Vec;
use core::time::Duration;

use domain::time::Instant;

use crate::input::Handle;
use crate::table::{List, NONE, Table};
use crate::transaction::Transaction;

/// What runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Risk or route did not decide, or the issuer did not answer. The handle's generation keeps a
    /// deadline from acting on the position's next tenant.
    Deadline(Handle),
}

/// FIFO queues of transactions, one per length of deadline.
#[derive(Debug)]
pub(crate) struct Deadlines {
    queues: Vec<Queue>,
    queues_max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    length: Duration,
    list: List,
}

impl Deadlines {
    /// At most 254 queues; the last takes, in order, what has none of its own.
    pub(crate) fn new(queues_max: usize) -> Self {
        let queues_max = queues_max.clamp(1, 254);
        Self {
            queues: Vec::with_capacity(queues_max),
            queues_max,
        }
    }

    /// Starts the deadline of a transaction that has none running.
    pub(crate) fn set(&mut self, table: &mut Table, handle: Handle, at: Instant, length: Duration) {
        let number = self.queue_for(length);
        let Some(transaction) = table.transaction_mut(handle) else {
            return;
        };
        debug_assert_eq!(transaction.queue, u8::MAX, "one deadline at a time");
        transaction.deadline = at;
        transaction.queue = u8::try_from(number).unwrap_or(u8::MAX);
        let Some(queue) = self.queues.get_mut(number) else {
            return;
        };
        let after = last_not_later(table, queue.list, at);
        insert_after(table, &mut queue.list, handle.index, after);
    }

    /// Stops the deadline of a transaction, if one runs.
    pub(crate) fn clear(&mut self, table: &mut Table, handle: Handle) {
        let Some(transaction) = table.transaction_mut(handle) else {
            return;
        };
        let number = usize::from(transaction.queue);
        transaction.queue = u8::MAX;
        if let Some(queue) = self.queues.get_mut(number) {
            table.unlink(&mut queue.list, handle.index);
        }
    }

    /// How long the deadline of a transaction was when it began; `None` where none runs.
    pub(crate) fn length_of(&self, transaction: &Transaction) -> Option<Duration> {
        let queue = self.queues.get(usize::from(transaction.queue))?;
        Some(queue.length)
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self, table: &Table) -> Option<Instant> {
        self.heads(table).map(|(at, _)| at).min()
    }

    /// A deadline that has passed at `now`, the earliest first.
    pub(crate) fn expired(&self, table: &Table, now: Instant) -> Option<Timer> {
        let due = self.heads(table).filter(|(at, _)| *at <= now);
        let (_, index) = due.min_by_key(|(at, _)| *at)?;
        table.handle(index).map(Timer::Deadline)
    }

    fn heads<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = (Instant, u32)> + 'a {
        self.queues.iter().filter_map(|queue| {
            let head = queue.list.head;
            table
                .at(head)
                .map(|transaction| (transaction.deadline, head))
        })
    }

    fn queue_for(&mut self, length: Duration) -> usize {
        let same = self.queues.iter().position(|queue| queue.length == length);
        if let Some(number) = same {
            return number;
        }
        let empty = self.queues.iter().position(|queue| queue.list.head == NONE);
        let fresh = Queue {
            length,
            list: List::EMPTY,
        };
        if let Some(number) = empty {
            if let Some(queue) = self.queues.get_mut(number) {
                *queue = fresh;
            }
            return number;
        }
        if self.queues.len() < self.queues_max {
            self.queues.push(fresh);
        }
        self.queues.len().saturating_sub(1)
    }
}

/// Where a deadline belongs: nearly always behind the tail.
fn last_not_later(table: &Table, list: List, at: Instant) -> u32 {
    let mut place = list.tail;
    while let Some(transaction) = table.at(place) {
        if transaction.deadline <= at {
            return place;
        }
        place = table.previous_in_list(place);
    }
    NONE
}

fn insert_after(table: &mut Table, list: &mut List, index: u32, after: u32) {
    if after == list.tail {
        table.push_back(list, index);
    } else {
        table.insert_after(list, index, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Body;
    use crate::testing::{facts, settings};
    use domain::ids::TransactionId;
    use domain::request::{FrameId, Request, Transmission};
    use domain::time::WallTime;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn entry(table: &mut Table, number: u32) -> Handle {
        let request = Request {
            completion: domain::request::Completion::No,
            frame: FrameId(number),
            transmission: Transmission::First,
            facts: facts(number),
            profile: domain::profile::Profile::PLAIN,
            clock: domain::profile::ClockCheck::Window,
        };
        let admitted = Transaction::admit(&request, TransactionId(1), WallTime::default());
        let body = Body::Transaction(admitted);
        table.insert(request.facts.trace_key, body).unwrap()
    }

    proptest! {
        #[test]
        fn deadlines_are_called_out_in_order_whatever_their_length(
            queues_max in 1_usize..4,
            lengths in prop::collection::vec((1_u64..6, any::<bool>()), 1..40),
        ) {
            let mut table = Table::new(&settings(), &[]);
            let mut deadlines = Deadlines::new(queues_max);
            let mut model: Vec<(Instant, u32)> = Vec::new();
            for (number, (length, clear)) in (1_u32..).zip(lengths) {
                let length = Duration::from_millis(length * 100);
                let at = Instant::from_millis(u64::from(number)).after(length);
                let handle = entry(&mut table, number);
                deadlines.set(&mut table, handle, at, length);
                if clear {
                    deadlines.clear(&mut table, handle);
                } else {
                    model.push((at, handle.index));
                }
                let earliest = model.iter().map(|(at, _)| *at).min();
                prop_assert_eq!(deadlines.earliest(&table), earliest);
            }
            model.sort();
            for (at, _) in model {
                let before = Instant::from_nanos(at.as_nanos() - 1);
                prop_assert_eq!(deadlines.expired(&table, before), None);
                let Some(Timer::Deadline(handle)) = deadlines.expired(&table, at) else {
                    panic!("it has passed");
                };
                deadlines.clear(&mut table, handle);
            }
            prop_assert_eq!(deadlines.earliest(&table), None);
        }
    }
}
