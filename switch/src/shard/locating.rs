//! A reversal or a completion request whose DE90 leads to nothing: one question to all shards, by
//! what all messages of a transaction share (semantics §3.3). The holder of the original takes the
//! reversal over, and says of a completion request what it completes; what no shard knows is
//! unknown, and only then.
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
//! anything, and a copy asks again. A completion request waits in the engine, up to its deadline.

use domain::ids::ShardId;
use domain::request::Reversal;
use domain::time::Instant;
use iso8583::translate;
use transaction::Handle;
use transaction::advice::Original;
use transaction::reference::{Found, Purpose, ReferenceQuery};

use super::{FollowUp, Shard};
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

/// What waits for the shards' answers.
#[derive(Debug)]
enum Asker {
    /// A reversal, which is in no table yet.
    Reversal {
        session: SessionRef,
        frame: Box<Frame>,
    },
    /// A completion request of this shard.
    Completion(Handle),
}

/// A question that not all shards have answered.
#[derive(Debug)]
pub(crate) struct OpenQuestion {
    serial: u32,
    asker: Asker,
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

    /// Q05.
    fn is_full(&self) -> bool {
        self.open.len() >= QUESTIONS_MAX
    }

    /// Opens one that so many shards are asked; this one has found `own`.
    fn ask(
        &mut self,
        asker: Asker,
        own: Option<(ShardId, Found)>,
        awaited: u16,
        now: Instant,
    ) -> QuestionId {
        let serial = self.serial.wrapping_add(1);
        self.serial = serial;
        let index = self.open.insert(OpenQuestion {
            serial,
            asker,
            awaited,
            found: own,
            until: now.after(QUESTION_TIMEOUT),
        });
        QuestionId { index, serial }
    }

    /// Q02. What was given up meanwhile was told 96: its answers are nobody's.
    fn answer(&mut self, id: QuestionId, shard: ShardId, found: Option<Found>) {
        let open = self.open.get_mut(id.index);
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
    }

    /// The question, when all shards have answered it.
    fn take_settled(&mut self, id: QuestionId) -> Option<OpenQuestion> {
        let question = self.open.get(id.index)?;
        let is_settled = question.serial == id.serial && question.awaited == 0;
        is_settled.then(|| self.open.remove(id.index))
    }

    /// Q04.
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
        if self.work.questions.is_full() {
            return self.refuse_for(RejectReason::Undecided, session, frame);
        }
        self.metrics.count(Counter::ReversalQuestions);
        self.question_all(Asker::Reversal { session, frame }, query, now);
    }

    //= docs/rules.md#T-13
    /// Asks all shards for what a completion request of this shard means by DE37, DE41 and DE42.
    pub(super) fn find_referred(&mut self, handle: Handle, now: Instant) {
        let query = self.reference_of(handle);
        let is_room = !self.work.questions.is_full();
        match query {
            Some(query) if query.is_whole() && is_room => {
                self.question_all(Asker::Completion(handle), &query, now);
            }
            Some(query) if query.is_whole() => self.tell_located(handle, Original::Undecided),
            Some(_) | None => self.tell_located(handle, Original::Unknown),
        }
    }

    fn reference_of(&self, handle: Handle) -> Option<ReferenceQuery> {
        let facts = self.engine.facts(handle)?;
        let frame = self.engine.frame(handle)?;
        let waiting = self.work.waiting.get(frame.0 as usize)?;
        let named = translate::completion(waiting.frame.message()).ok()??;
        Some(ReferenceQuery {
            acquirer: facts.acquirer,
            rrn: facts.trace.rrn,
            terminal: facts.trace.terminal,
            merchant: facts.trace.merchant,
            class: named.original.and_then(|original| original.class),
            transmitted: None,
            local: None,
            amount: None,
            authorisation: named.authorisation,
            purpose: Purpose::Completion,
            token: Some(facts.account.token),
        })
    }

    /// The engine hears of it when it is drained.
    fn tell_located(&mut self, handle: Handle, original: Original) {
        let located = FollowUp::Located(handle, original);
        self.work.follow_ups.push_back(located);
    }

    fn question_all(&mut self, asker: Asker, query: &ReferenceQuery, now: Instant) {
        let own = self.engine.referred(query).map(|found| (self.id, found));
        let others = self.shards.saturating_sub(1);
        let id = self.work.questions.ask(asker, own, others, now);
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
        self.work.questions.answer(id, shard, found);
        self.settle_question(id, now);
    }

    fn settle_question(&mut self, id: QuestionId, now: Instant) {
        let Some(question) = self.work.questions.take_settled(id) else {
            return;
        };
        let found = question.found;
        let (session, frame) = match question.asker {
            Asker::Reversal { session, frame } => (session, frame),
            Asker::Completion(handle) => {
                let original = found.map_or(Original::Unknown, |(_, found)| found.original);
                self.tell_located(handle, original);
                // Of a node with one shard it is asked and answered while outputs are acted on.
                if !self.work.is_draining {
                    self.drain(now);
                }
                return;
            }
        };
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
        while let Some(question) = self.work.questions.take_due(now) {
            match question.asker {
                Asker::Reversal { session, frame } => {
                    self.refuse_for(RejectReason::Undecided, session, frame);
                }
                Asker::Completion(handle) => {
                    self.tell_located(handle, Original::Undecided);
                    self.drain(now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::time::WallTime;

    use super::*;

    /// Three shards are asked for the original of a completion request, which is `index` here.
    fn ask(questions: &mut OpenQuestions, index: u32, now: Instant) -> QuestionId {
        questions.ask(Asker::Completion(handle(index)), None, 3, now)
    }

    fn handle(index: u32) -> Handle {
        Handle {
            index,
            generation: 0,
        }
    }

    fn found(index: u32, millis: u64) -> Option<Found> {
        Some(Found {
            handle: handle(index),
            admitted: WallTime::from_unix_millis(millis),
            original: Original::Unknown,
        })
    }

    fn asked_by(question: &OpenQuestion) -> u32 {
        match question.asker {
            Asker::Completion(handle) => handle.index,
            Asker::Reversal { .. } => panic!("no reversal asks here"),
        }
    }

    //= docs/rules.md#V-11
    //= docs/rules.md#T-13
    #[test]
    fn q01_q02_q03_the_newest_that_any_shard_knows_is_meant_when_all_have_answered() {
        let mut questions = OpenQuestions::default();
        let id = ask(&mut questions, 1, Instant::ZERO);
        questions.answer(id, ShardId(1), found(7, 20));
        questions.answer(id, ShardId(2), found(8, 10));
        assert!(questions.take_settled(id).is_none(), "one has not answered");
        questions.answer(id, ShardId(3), None);
        let settled = questions.take_settled(id).unwrap();
        let meant = settled.found.map(|(shard, found)| (shard, found.handle));
        assert_eq!(meant, Some((ShardId(1), handle(7))));
        let id = ask(&mut questions, 2, Instant::ZERO);
        for shard in 1..=3 {
            questions.answer(id, ShardId(shard), None);
        }
        assert!(questions.take_settled(id).unwrap().found.is_none());
        assert!(questions.is_empty());
    }

    //= docs/rules.md#V-11
    //= docs/rules.md#T-13
    #[test]
    fn q04_what_a_shard_leaves_unanswered_is_given_up_whatever_the_others_say() {
        let mut questions = OpenQuestions::default();
        let id = ask(&mut questions, 1, Instant::ZERO);
        questions.answer(id, ShardId(1), found(7, 20));
        questions.answer(id, ShardId(2), None);
        let due = Instant::ZERO.after(QUESTION_TIMEOUT);
        assert_eq!(questions.poll_timeout(), Some(due));
        let moment = std::time::Duration::from_nanos(1);
        let before = Instant::ZERO.after(QUESTION_TIMEOUT.saturating_sub(moment));
        assert!(questions.take_due(before).is_none(), "it has time left");
        let given_up = questions.take_due(due).unwrap();
        assert_eq!(asked_by(&given_up), 1);
        assert!(questions.is_empty() && questions.poll_timeout().is_none());
        // The next one has its place: the answer that comes too late is none to that.
        let next = ask(&mut questions, 2, due);
        assert_eq!(next.index, id.index);
        questions.answer(id, ShardId(3), found(9, 30));
        assert!(questions.take_settled(id).is_none());
        let due = due.after(QUESTION_TIMEOUT);
        let open = questions.take_due(due).unwrap();
        assert_eq!((asked_by(&open), open.awaited), (2, 3));
        assert!(open.found.is_none());
    }

    //= docs/rules.md#V-11
    //= docs/rules.md#T-13
    #[test]
    fn q05_so_many_are_open_at_a_time() {
        let mut questions = OpenQuestions::default();
        let mut ids = Vec::new();
        for index in 0..u32::try_from(QUESTIONS_MAX).unwrap() {
            assert!(!questions.is_full());
            ids.push(ask(&mut questions, index, Instant::ZERO));
        }
        assert!(questions.is_full());
        for shard in 1..=3 {
            questions.answer(ids[5], ShardId(shard), None);
        }
        assert!(questions.take_settled(ids[5]).is_some());
        assert!(!questions.is_full(), "one was settled");
    }
}
