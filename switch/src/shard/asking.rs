//! What the owner of a transaction asks another shard, and what it is told: by message where that
//! is another one, within the turn where it is this one.

use domain::ids::ShardId;
use domain::request::Facts;
use domain::time::Instant;
use transaction::advice::{Original, OriginalQuery};
use transaction::input::Assessment;
use transaction::{Handle, Input, OlderQuery, OwedId};

use super::standing_in::RuleId;
use super::{FollowUp, Shard};
use crate::mesh::Message;

/// What is asked. Each but the last has one shard that knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// The account's home: what does risk say?
    Risk(Facts),
    /// The account's home: may the switch approve in place of an issuer, by this rule?
    StandIn(RuleId, Facts),
    /// The owner of what an advice or a request completes: what is known of that?
    Original(OriginalQuery),
    /// Each shard in turn: does it owe something older about the same original?
    Older(OwedId, OlderQuery),
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
    /// Whether this shard does.
    Older(OwedId, OlderQuery, ShardId, bool),
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
            Question::Older(owed, query) => {
                let is_owed = self.engine.owes_older(query);
                Told::Older(*owed, *query, self.id, is_owed)
            }
            Question::Original(query) => Told::Original(self.engine.original(query)),
        }
    }

    /// Tells the engine; it is drained by the caller.
    pub(super) fn take_told(&mut self, handle: Handle, told: Told, now: Instant) {
        let input = match told {
            Told::Risk(assessment) => Input::Assessed { handle, assessment },
            Told::Older(owed, query, asked, false) if self.is_further(asked) => {
                return self.ask_older(owed, query, self.shard_after(asked), now);
            }
            Told::Older(owed, _, _, is_owed) => Input::Older { owed, is_owed },
            // DE90 may lead nowhere, and DE37 to what a completion request means.
            Told::Original(Original::Unknown) if self.engine.is_locating(handle) => {
                return self.find_referred(handle, now);
            }
            Told::Original(original) => Input::Original { handle, original },
            Told::StandIn(rule, approved) => return self.stand_in(handle, rule, approved, now),
        };
        self.engine.handle_input(input, now);
    }

    //= docs/rules.md#V-12
    /// Asks whether something older about the same original is owed: this shard, then one after the
    /// other. What one of them was told before is told on the same way, so that it knows it.
    pub(super) fn ask_older(
        &mut self,
        owed: OwedId,
        query: OlderQuery,
        shard: ShardId,
        now: Instant,
    ) {
        self.ask(shard, owed.handle, Question::Older(owed, query), now);
    }

    /// Whether there is a shard to ask behind this one.
    fn is_further(&self, asked: ShardId) -> bool {
        self.shard_after(asked) != self.id
    }

    const fn shard_after(&self, asked: ShardId) -> ShardId {
        let next = asked.0.wrapping_add(1);
        ShardId(if next < self.shards { next } else { 0 })
    }
}
