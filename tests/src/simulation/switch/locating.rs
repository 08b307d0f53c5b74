//! Reversals and completion requests whose DE90 leads to nothing: one question to all shards, by
//! DE37, DE41 and DE42, as the product's shell asks it.

use domain::ids::AuthorisationId;
use domain::request::Reversal;
use transaction::advice::Original;
use transaction::reference::{Found, Purpose as Wanted, ReferenceQuery};

use super::*;

/// The questions of one shard that not all have answered.
#[derive(Debug, Default)]
pub(super) struct Locating {
    open: BTreeMap<u32, Question>,
    next: u32,
}

#[derive(Debug)]
struct Question {
    asker: Asker,
    missing: u16,
    found: Option<(u16, Found)>,
}

#[derive(Debug)]
enum Asker {
    Reversal(Waiting),
    Completion(Handle),
}

/// What is known of where the original of a reversal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulation) enum Located {
    /// Nobody was asked.
    NotAsked,
    Here(Handle),
    /// No shard has it.
    Nowhere,
}

impl Locating {
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}

impl Shard {
    /// A reversal, where DE90 leads or where its original was found.
    //= docs/rules.md#V-11
    pub(super) fn admit_reversal(
        &mut self,
        waiting: Waiting,
        located: Located,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let frame = FrameId(self.next_frame);
        let profile = around.plan.switches.told(self.driver);
        let Some(mut reversal) = waiting.ask.reversal(frame, profile) else {
            return Err(("V-11", format!("{:?} is no reversal", waiting.ask)));
        };
        let shared = around.plan.bounds.owed_first;
        reversal.token = reversal.token.map(|token| shared.token(token));
        if located == Located::NotAsked && !self.engine.knows_original(&reversal) {
            let query = query_of(&waiting.ask, &reversal);
            if query.is_whole() {
                self.question_all(Asker::Reversal(waiting), &query, around);
                return Ok(());
            }
        }
        let reversal = match located {
            Located::NotAsked => reversal,
            Located::Nowhere => {
                let remembers = !around.plan.is_forgetful();
                around.ledger.found_nowhere(&waiting.ask, remembers)?;
                reversal
            }
            Located::Here(handle) => {
                let Some(named) = self.engine.named_by(handle, &reversal) else {
                    // Forgotten on the way.
                    let to = waiting.ask.slot().owner(self.shards).0;
                    self.tell_reversal(to, waiting, Located::Nowhere, around);
                    return Ok(());
                };
                self.counts.located += 1;
                named
            }
        };
        self.next_frame += 1;
        let serial = waiting.session.serial;
        around.ledger.answers.moved(serial, self.id, around.now);
        self.frames.insert(frame.0, waiting);
        self.give(Input::Reversal(reversal), around)
    }

    fn tell_reversal(
        &mut self,
        to: u16,
        waiting: Waiting,
        located: Located,
        around: &mut Around<'_>,
    ) {
        let Waiting {
            ask,
            session,
            bytes,
        } = waiting;
        let message = Message::Reverse {
            session,
            ask,
            bytes,
            located,
        };
        self.tell(to, message, around);
    }

    pub(super) fn take_location(
        &mut self,
        message: Message,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        match message {
            Message::Locate {
                question,
                from,
                query,
            } => {
                self.locate((question, from), &query, around);
                Ok(())
            }
            Message::LocatedAt {
                question,
                shard,
                found,
            } => self.located_at(question, (shard, found), around),
            Message::Reverse {
                session,
                ask,
                bytes,
                located,
            } => {
                let waiting = Waiting {
                    ask,
                    session,
                    bytes,
                };
                self.admit_reversal(waiting, located, around)
            }
            _ => Err(("V-11", "no word of where something is".to_owned())),
        }
    }

    /// What a completion request means that has no DE90.
    //= docs/rules.md#T-13
    pub(super) fn find_referred(&mut self, handle: Handle, around: &mut Around<'_>) {
        let Some(facts) = self.engine.facts(handle) else {
            return;
        };
        let query = ReferenceQuery {
            acquirer: facts.acquirer,
            rrn: facts.trace.rrn,
            terminal: facts.trace.terminal,
            merchant: facts.trace.merchant,
            class: None,
            transmitted: None,
            local: None,
            amount: None,
            authorisation: AuthorisationId::EMPTY,
            purpose: Wanted::Completion,
            token: Some(facts.account.token),
        };
        self.counts.unnamed += 1;
        self.question_all(Asker::Completion(handle), &query, around);
    }

    fn question_all(&mut self, asker: Asker, query: &ReferenceQuery, around: &mut Around<'_>) {
        let question = self.locating.next;
        self.locating.next += 1;
        let asks_nobody = match asker {
            Asker::Reversal(_) => self.driver == Driver::ReversesWhereNamed,
            Asker::Completion(_) => self.driver == Driver::CompletesWhereNamed,
        };
        let (from, shards) = (self.id, self.shards);
        let asked: Vec<u16> = (0..shards)
            .filter(|shard| *shard == from || !asks_nobody)
            .collect();
        let open = Question {
            asker,
            missing: asked.len() as u16,
            found: None,
        };
        self.locating.open.insert(question, open);
        for shard in asked {
            let locate = Message::Locate {
                question,
                from,
                query: Box::new(*query),
            };
            self.tell(shard, locate, around);
        }
    }

    /// Another shard's question, or this one's own.
    fn locate(
        &mut self,
        (question, from): (u32, u16),
        query: &ReferenceQuery,
        around: &mut Around<'_>,
    ) {
        let found = self.engine.referred(query);
        let shard = self.id;
        let told = Message::LocatedAt {
            question,
            shard,
            found,
        };
        self.tell(from, told, around);
    }

    fn located_at(
        &mut self,
        number: u32,
        (shard, found): (u16, Option<Found>),
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let Some(question) = self.locating.open.get_mut(&number) else {
            return Err(("V-11", format!("question {number} has ended")));
        };
        question.missing -= 1;
        let known = question.found.map(|(_, known)| known.admitted);
        if let Some(found) = found
            && known.is_none_or(|known| found.admitted > known)
        {
            question.found = Some((shard, found));
        }
        if question.missing > 0 {
            return Ok(());
        }
        let Some(Question { asker, found, .. }) = self.locating.open.remove(&number) else {
            return Ok(());
        };
        match (asker, found) {
            (Asker::Completion(handle), found) => {
                let original = found.map_or(Original::Unknown, |(_, found)| found.original);
                self.give(Input::Original { handle, original }, around)
            }
            (Asker::Reversal(waiting), None) => {
                self.admit_reversal(waiting, Located::Nowhere, around)
            }
            (Asker::Reversal(waiting), Some((holder, found))) => {
                let located = Located::Here(found.handle);
                self.counts.located_elsewhere += u64::from(holder != self.id);
                self.tell_reversal(holder, waiting, located, around);
                Ok(())
            }
        }
    }
}

fn query_of(ask: &Ask, reversal: &Reversal) -> ReferenceQuery {
    ReferenceQuery {
        acquirer: reversal.acquirer,
        rrn: reversal.original.rrn,
        terminal: ask.of.facts(false).trace.terminal,
        merchant: reversal.merchant,
        class: reversal.original.class,
        transmitted: reversal.original.transmitted,
        local: None,
        amount: Some(reversal.amount),
        authorisation: AuthorisationId::EMPTY,
        purpose: Wanted::Reversal,
        token: reversal.token,
    }
}
