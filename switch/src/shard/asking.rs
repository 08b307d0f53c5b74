//! What the owner of a transaction asks another shard, and what it is told: by message where that
//! is another one, within the turn where it is this one.

use domain::ids::{ShardId, TransactionId};
use domain::request::Facts;
use domain::time::Instant;
use transaction::advice::{Original, OriginalQuery};
use transaction::input::Assessment;
use transaction::{Handle, Input, OwedId};

use super::standing_in::RuleId;
use super::{FollowUp, Shard};
use crate::mesh::Message;

/// What is asked. Each has one shard that knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// The account's home: what does risk say?
    Risk(Facts),
    /// The account's home: may the switch approve in place of an issuer, by this rule?
    StandIn(RuleId, Facts),
    /// The owner of what an advice or a request completes: what is known of that?
    Original(OriginalQuery),
    /// The owner of what an advice completes: is its issuer still owed the advice of that?
    Owes(OwedId, TransactionId),
}

/// What is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// The verdict.
    Risk(Assessment),
    /// Whether it may.
    StandIn(RuleId, bool),
    /// What is known.
    Original(Original),
    /// Whether it is.
    Owes(OwedId, bool),
}

impl Shard {
    /// Asks `to` about a transaction of this shard.
    pub(super) fn ask(&mut self, to: ShardId, handle: Handle, question: Question, now: Instant) {
        if to == self.id {
            let told = self.consult(&question, now);
            self.work.follow_ups.push_back(FollowUp::Told(handle, told));
        } else {
            let from = self.id;
            let question = Box::new(question);
            let message = Message::Ask {
                handle,
                from,
                question,
            };
            self.mesh.send(to, message);
        }
    }

    /// Answers a question of any shard.
    pub(super) fn consult(&mut self, question: &Question, now: Instant) -> Told {
        match question {
            Question::Risk(facts) => Told::Risk(self.assess(facts, now)),
            Question::StandIn(rule, facts) => {
                Told::StandIn(*rule, self.stand_in.approves(*rule, facts, now))
            }
            Question::Owes(owed, original) => Told::Owes(*owed, self.engine.owes_advice(*original)),
            Question::Original(query) => Told::Original(self.engine.original(query)),
        }
    }

    /// Tells the engine; it is drained by the caller.
    pub(super) fn take_told(&mut self, handle: Handle, told: Told, now: Instant) {
        let input = match told {
            Told::Risk(assessment) => Input::Assessed { handle, assessment },
            Told::Owes(owed, is_owed) => Input::OwedOf { owed, is_owed },
            // DE90 may lead nowhere, and DE37 to what a completion request means.
            Told::Original(Original::Unknown) if self.engine.is_locating(handle) => {
                return self.find_referred(handle, now);
            }
            Told::Original(original) => Input::Original { handle, original },
            Told::StandIn(rule, approved) => return self.stand_in(handle, rule, approved, now),
        };
        self.engine.handle_input(input, now);
    }
}
