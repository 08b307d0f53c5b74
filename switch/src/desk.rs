//! What operators ask of a shard, and what they are told: two bounded queues, so that a shard never
//! waits for the control plane.

use crossbeam::queue::ArrayQueue;
use domain::ids::{IssuerId, TransactionId};
use domain::record::Operator;
use transaction::OwedId;
use transaction::operating::{Operate, OperateError, Operated, OwedView, Retried};

/// One shard's desk.
#[derive(Debug)]
pub(crate) struct Desk {
    asked: ArrayQueue<(u32, Command)>,
    told: ArrayQueue<(u32, Told)>,
}

/// What is asked. Each is a piece of work that a turn can bear; who asks goes on from there.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// What is owed and excepted, from a position on.
    List {
        /// Where.
        from: u32,
        /// Which of it.
        filter: Filter,
    },
    /// Which entry has this name?
    Locate {
        /// The transaction that owes it.
        transaction: TransactionId,
        /// Which of what that has owed.
        ordinal: u8,
        /// Where to look.
        from: u32,
    },
    /// Something is done to one entry.
    Operate(Box<Operate>),
    /// All of an issuer is sent.
    RetryAll {
        /// Whose.
        issuer: IssuerId,
        /// Where to go on.
        from: u32,
        /// By whom.
        operator: Operator,
    },
}

/// Which entries are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Of this issuer alone.
    pub(crate) issuer: Option<IssuerId>,
    /// What people have to look at, instead of what is owed.
    pub(crate) exceptions: bool,
}

/// What is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// Some entries, and where to go on.
    Listed {
        /// The entries.
        rows: Vec<Row>,
        /// Where the next ones are.
        next: Option<u32>,
    },
    /// The entry, or where to look further.
    Located {
        /// The entry.
        found: Option<OwedId>,
        /// Where to look further.
        next: Option<u32>,
    },
    /// What was done to it, durably.
    Operated(Result<Operated, OperateError>),
    /// What was done to all of them, durably.
    Retried(Retried),
    /// The journal has no room for what an operator does.
    NoRoom,
}

/// One entry as people are shown it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) view: OwedView,
    /// Since it was decided.
    pub(crate) age_ms: u64,
    /// Until it is next sent, or waited for no longer.
    pub(crate) due_ms: Option<u64>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            asked: ArrayQueue::new(QUESTIONS_MAX),
            told: ArrayQueue::new(QUESTIONS_MAX),
        }
    }

    /// Asks. `false` when the shard has not taken what was asked before.
    pub(crate) fn ask(&self, ticket: u32, command: Command) -> bool {
        self.asked.push((ticket, command)).is_ok()
    }

    /// The next question, for the shard.
    pub(crate) fn take_question(&self) -> Option<(u32, Command)> {
        self.asked.pop()
    }

    /// Answers. An answer that nobody has fetched gives way.
    pub(crate) fn tell(&self, ticket: u32, told: Told) {
        drop(self.told.force_push((ticket, told)));
    }

    /// The answer to this question; older ones are thrown away.
    pub(crate) fn take_answer(&self, ticket: u32) -> Option<Told> {
        std::iter::from_fn(|| self.told.pop())
            .find(|(to, _)| *to == ticket)
            .map(|(_, told)| told)
    }
}

/// One question is asked at a time; another one or two may have been given up.
const QUESTIONS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_its_question_and_no_other() {
        let desk = Desk::new();
        for ticket in 0..8 {
            desk.tell(ticket, Told::NoRoom);
        }
        assert!(desk.take_answer(9).is_none());
        desk.tell(9, Told::NoRoom);
        desk.tell(10, Told::NoRoom);
        assert!(desk.take_answer(10).is_some());
        assert!(desk.take_answer(9).is_none(), "given up");
    }

    #[test]
    fn questions_are_bounded() {
        let desk = Desk::new();
        let command = Command::List {
            from: 0,
            filter: Filter {
                issuer: None,
                exceptions: false,
            },
        };
        let taken = (0..9)
            .filter(|ticket| desk.ask(*ticket, command.clone()))
            .count();
        assert_eq!(taken, QUESTIONS_MAX);
    }
}
