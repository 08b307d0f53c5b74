//! A reversal whose DE90 leads to nothing: one question to all shards, by what all messages of a
//! transaction share (semantics §3.3). The holder of the original takes the reversal over; what no
//! shard knows is unknown, and only then.
//!
//! | row | answers | then |
//! |---|---|---|
//! | Q01 | a shard knows it | that shard takes the reversal, as if DE90 had led there |
//! | Q02 | several do | the newest is meant |
//! | Q03 | all say no | unknown: a tombstone where DE90 leads |
//! | Q04 | not all in time | 96: the acquirer repeats, and the question is asked again |
//! | Q05 | too many questions are open | the same |
//! | Q06 | its original was forgotten on the way | unknown, as Q03 |
//!
//! Nothing is remembered of a question: until the holder has journaled the reversal nobody was told
//! anything, and a copy asks again.

use domain::ids::ShardId;
use domain::request::Reversal;
use domain::time::Instant;
use transaction::Handle;
use transaction::reference::{Found, ReferenceQuery};

use super::Shard;
use crate::acquirer::SessionRef;
use crate::frame::Frame;
use crate::limits::{QUESTION_TIMEOUT, QUESTIONS_MAX};
use crate::mesh::Message;
use crate::metrics::{Counter, RejectReason};

/// What is known of where the original of a reversal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Located {
    /// Nobody was asked.
    NotAsked,
    /// This shard has it.
    Here(Handle),
    /// No shard has it.
    Nowhere,
}

/// Names a question, at the shard that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuestionId {
    index: usize,
    serial: u32,
}

/// A reversal that waits for the shards' answers.
#[derive(Debug)]
pub(crate) struct OpenQuestion {
    serial: u32,
    session: SessionRef,
    frame: Box<Frame>,
    /// Shards that have not answered.
    awaited: u16,
    found: Option<(ShardId, Found)>,
    until: Instant,
}

/// The questions of one shard.
#[derive(Debug, Default)]
pub(crate) struct OpenQuestions {
    open: slab::Slab<OpenQuestion>,
    serial: u32,
}

impl OpenQuestions {
    /// Nobody is asked for anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// When the earliest of them is given up.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.open.iter().map(|(_, question)| question.until).min()
    }

    fn take_due(&mut self, now: Instant) -> Option<OpenQuestion> {
        let due = self.open.iter().find(|(_, open)| open.until <= now);
        let index = due.map(|(index, _)| index)?;
        Some(self.open.remove(index))
    }
}

impl Shard {
    //= docs/rules.md#V-11
    /// Asks all shards for the original of a reversal that this shard, where DE90 leads, does not
    /// know.
    pub(super) fn locate(
        &mut self,
        session: SessionRef,
        frame: Box<Frame>,
        query: &ReferenceQuery,
        now: Instant,
    ) {
        let questions = &mut self.work.questions;
        if questions.open.len() >= QUESTIONS_MAX {
            return self.refuse_for(RejectReason::Undecided, session, frame);
        }
        let serial = questions.serial.wrapping_add(1);
        questions.serial = serial;
        let own = self.engine.referred(query).map(|found| (self.id, found));
        let index = self.work.questions.open.insert(OpenQuestion {
            serial,
            session,
            frame,
            awaited: self.shards.saturating_sub(1),
            found: own,
            until: now.after(QUESTION_TIMEOUT),
        });
        let id = QuestionId { index, serial };
        self.metrics.count(Counter::ReversalQuestions);
        let from = self.id;
        for shard in (0..self.shards).map(ShardId).filter(|shard| *shard != from) {
            let query = Box::new(*query);
            self.mesh.send(shard, Message::Locate { id, from, query });
        }
        self.settle_question(id, now);
    }

    /// Answers a peer.
    pub(super) fn take_question(&mut self, id: QuestionId, from: ShardId, query: &ReferenceQuery) {
        let found = self.engine.referred(query);
        let shard = self.id;
        self.mesh
            .send(from, Message::LocatedAt { id, shard, found });
    }

    /// A peer has answered.
    pub(super) fn take_location(
        &mut self,
        id: QuestionId,
        shard: ShardId,
        found: Option<Found>,
        now: Instant,
    ) {
        // Given up meanwhile: its reversal was told 96.
        let open = self.work.questions.open.get_mut(id.index);
        let Some(question) = open.filter(|question| question.serial == id.serial) else {
            return;
        };
        question.awaited = question.awaited.saturating_sub(1);
        let known = question.found.map(|(_, known)| known.admitted);
        if let Some(found) = found
            && known.is_none_or(|known| found.admitted > known)
        {
            question.found = Some((shard, found));
        }
        self.settle_question(id, now);
    }

    fn settle_question(&mut self, id: QuestionId, now: Instant) {
        let open = self.work.questions.open.get(id.index);
        if open.is_none_or(|question| question.awaited > 0) {
            return;
        }
        let question = self.work.questions.open.remove(id.index);
        let OpenQuestion {
            session,
            frame,
            found,
            ..
        } = question;
        match found {
            None => self.admit_reversal(session, frame, Located::Nowhere, now),
            Some((holder, Found { handle, .. })) if holder == self.id => {
                self.admit_reversal(session, frame, Located::Here(handle), now);
            }
            Some((holder, Found { handle, .. })) => {
                let located = Located::Here(handle);
                let message = Message::Reversal {
                    session,
                    frame,
                    located,
                };
                self.mesh.send(holder, message);
            }
        }
    }

    /// The reversal of an original that this shard was found to have. `Err` when that was forgotten
    /// on the way: it is unknown then, where DE90 leads.
    pub(super) fn located(&self, located: Located, reversal: &Reversal) -> Result<Reversal, ()> {
        match located {
            Located::NotAsked | Located::Nowhere => Ok(*reversal),
            Located::Here(handle) => self.engine.named_by(handle, reversal).ok_or(()),
        }
    }

    /// Gives up the questions that not all shards have answered in time.
    pub(super) fn question_timeouts(&mut self, now: Instant) {
        while let Some(OpenQuestion { session, frame, .. }) = self.work.questions.take_due(now) {
            self.refuse_for(RejectReason::Undecided, session, frame);
        }
    }
}
