//! A request arrives: is it a copy, may it come in?

use domain::ResponseCode;
use domain::ids::{AcquirerId, Origin, Slot, TransactionId};
use domain::profile::ClockCheck;
use domain::request::{Completion, FrameId, Request, Transmission};

use crate::advice::OriginalQuery;
use crate::duplicate::{Decision, Found, Seen, decide};
use crate::engine::Engine;
use crate::input::Handle;
use crate::output::{CopyResult, Event, NotAdmitted, Output, Reply};
use crate::settings::OutsideWindow;
use crate::table::{Body, CROWD_MAX, Crowd, MOVES_MAX};
use crate::transaction::{Transaction, is_buried};

/// Whose a message is, and what waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) acquirer: AcquirerId,
    pub(crate) frame: FrameId,
}

impl Sender {
    const fn of(request: &Request) -> Self {
        Self {
            acquirer: request.facts.acquirer,
            frame: request.frame,
        }
    }
}

impl Engine {
    pub(crate) fn on_request(&mut self, request: &Request) {
        let found = self.look_up(request);
        let policy = request.profile.same_content;
        let sender = Sender::of(request);
        match decide(found.seen, request.transmission, policy) {
            Decision::Process => self.admit(request),
            Decision::Replay => self.reply_stored(found.handle, request),
            Decision::Attach => self.attach(found.handle, request),
            Decision::Reject => self.refuse_duplicate(sender, CopyResult::Rejected),
            Decision::RejectInFlight => {
                let code = ResponseCode::IN_PROGRESS;
                self.refuse_copy(sender, code, CopyResult::Rejected);
            }
            Decision::Conflict => self.refuse_duplicate(sender, CopyResult::Conflict),
            Decision::Reversed => {
                self.refuse_reversed(request, Event::Copy(CopyResult::Reversed));
            }
            Decision::Buried => {
                self.refuse_reversed(request, Event::NotAdmitted(NotAdmitted::Tombstone));
            }
        }
    }

    //= docs/rules.md#V-03
    /// Looks for the transaction with this key, else for a tombstone that buries it.
    fn look_up(&self, request: &Request) -> Found {
        let facts = &request.facts;
        let mut found = Found::NOTHING;
        for index in self.table.sharing(facts.trace_key) {
            match self.table.body(index) {
                Some(Body::Transaction(transaction)) if transaction.facts.key == facts.key => {
                    return Found {
                        seen: Seen::of(transaction, facts.content),
                        handle: self.table.handle(index),
                    };
                }
                Some(Body::Tombstone(tombstone)) if is_buried(tombstone, facts) => {
                    found.seen = Seen::Tombstone;
                }
                Some(Body::Transaction(_) | Body::Tombstone(_) | Body::Vacant) | None => {}
            }
        }
        found
    }

    fn admit(&mut self, request: &Request) {
        let frame = request.frame;
        if let Err((code, reason)) = self.may_admit(request) {
            return self.not_admitted(Sender::of(request), code, reason);
        }
        let wall = self.clock.wall();
        let id = self.next_id(request.facts.slot);
        let body = Body::Transaction(Transaction::admit(request, id, wall));
        let Some(handle) = self.table.insert(request.facts.trace_key, body) else {
            debug_assert!(false, "there was room a moment ago");
            return;
        };
        self.load.inflight = self.load.inflight.saturating_add(1);
        self.load.exposed = self.load.exposed.saturating_add(1);
        self.set_deadline(handle, self.settings.decision_timeout);
        match request.completion {
            Completion::No => self.emit(Output::Assess { handle, frame }),
            Completion::Named(named) => self.emit(Output::FindOriginal {
                handle,
                query: OriginalQuery::of(&request.facts, named),
            }),
            Completion::Unnamed => self.emit(Output::FindReferred { handle }),
        }
    }

    fn may_admit(&mut self, request: &Request) -> Result<(), (ResponseCode, NotAdmitted)> {
        let full = |reason| Err((ResponseCode::MALFUNCTION, reason));
        if self.is_skewed(request) {
            return Err((ResponseCode::FORMAT_ERROR, NotAdmitted::ClockSkew));
        }
        if !self.is_inside_window(request) {
            return Err((ResponseCode::DUPLICATE, NotAdmitted::OutsideWindow));
        }
        if self.shed {
            return full(NotAdmitted::Shed);
        }
        if self.load.inflight >= self.settings.inflight_max {
            return full(NotAdmitted::InflightFull);
        }
        let saf_max = self.settings.saf_free_of_reserve();
        if self.saf.count().saturating_add(self.load.exposed) >= saf_max {
            return full(NotAdmitted::SafFull);
        }
        let crowd = self.table.crowd(request.facts.trace_key);
        if !self.make_room(crowd) {
            return full(NotAdmitted::TableFull);
        }
        Ok(())
    }

    /// Whether there is a place in the table, and room for the answers of all in flight.
    pub(crate) fn make_room(&mut self, crowd: Crowd) -> bool {
        let wall = self.clock.wall();
        if crowd.count >= CROWD_MAX && !self.table.forget(crowd.oldest, wall) {
            return false;
        }
        // Advices are in flight too, beyond the bound of requests, and store nothing.
        let answers = self.load.inflight.min(self.settings.inflight_max);
        let mut moves = 0_u32;
        while !self.table.has_room(answers) {
            let lacks_answers = self.table.lacks_answers(answers);
            let oldest = match lacks_answers {
                true => self.table.oldest_answer_to_forget(wall),
                false => self.table.oldest_to_forget(wall),
            };
            if let Some(oldest) = oldest {
                self.table.forget(oldest, wall);
            } else if lacks_answers && moves < MOVES_MAX && self.table.move_lasting_answer(wall) {
                moves = moves.saturating_add(1);
            } else {
                return false;
            }
        }
        true
    }

    //= docs/rules.md#D-08
    /// Whether the clock that a request was sent by is too far from ours for its session. A repeat
    /// says when its first copy was sent, and is as old as its acquirer is patient.
    fn is_skewed(&self, request: &Request) -> bool {
        let ClockCheck::Within { seconds } = request.clock else {
            return false;
        };
        let transmitted = request.facts.trace.transmitted;
        // A message of 1993 without DE7 says when in the time of its place, which is no UTC.
        if request.transmission == Transmission::Repeat || !transmitted.is_known() {
            return false;
        }
        let skew = transmitted.skew(self.clock.wall());
        skew.is_none_or(|skew| skew.seconds() > u64::from(seconds))
    }

    //= docs/rules.md#D-08
    /// Whether its DE7 is near enough for a copy to be recognised (semantics §4, F63).
    fn is_inside_window(&self, request: &Request) -> bool {
        let is_unchecked = request.clock == ClockCheck::Untrusted;
        if is_unchecked || self.settings.outside_window == OutsideWindow::Admit {
            return true;
        }
        let transmitted = request.facts.trace.transmitted;
        // A message of 1993 without DE7 says when in the time of its place, which is no UTC.
        if !transmitted.is_known() {
            return true;
        }
        let wall = self.clock.wall();
        let acquirer = request.facts.acquirer;
        let window = self.table.windows(acquirer).requests;
        let sent = transmitted.resolve(wall);
        sent.is_some_and(|sent| {
            let is_near = sent >= wall.before(window) && sent <= wall.after(window);
            is_near && !self.table.may_be_unknown(acquirer, sent)
        })
    }

    pub(crate) fn next_id(&mut self, slot: Slot) -> TransactionId {
        let id = self.id_at(slot);
        self.serial = self.serial.wrapping_add(1);
        id
    }

    /// The id of what comes next.
    pub(crate) fn id_at(&self, slot: Slot) -> TransactionId {
        let shard = u32::from(self.settings.shard.0 & 0xFF);
        let serial = self.serial.wrapping_shl(8) | shard;
        let origin = Origin {
            node: self.settings.node,
            start: self.settings.start,
            serial,
        };
        TransactionId::new(self.clock.wall().unix_millis(), slot, origin)
    }

    //= docs/rules.md#D-01
    fn reply_stored(&mut self, handle: Option<Handle>, request: &Request) {
        let Some(handle) = handle else {
            debug_assert!(false, "what is replayed was found");
            return;
        };
        let stored = Event::Copy(CopyResult::Stored);
        self.count_of(request.facts.acquirer, stored);
        self.delivered_again(handle);
        let reply = Reply::Answer(handle);
        let frame = request.frame;
        self.emit(Output::Reply { frame, reply });
    }

    //= docs/rules.md#T-11
    //= docs/rules.md#D-02
    /// The newest copy waits for the answer; the one before it waits no longer.
    fn attach(&mut self, handle: Option<Handle>, request: &Request) {
        let transaction = handle.and_then(|handle| self.table.transaction_mut(handle));
        let Some(transaction) = transaction else {
            debug_assert!(false, "what is attached to was found");
            return;
        };
        if let Some(frame) = transaction.frame.replace(request.frame) {
            self.emit(Output::Discard { frame });
        }
        let attached = Event::Copy(CopyResult::Attached);
        self.count_of(request.facts.acquirer, attached);
    }

    //= docs/rules.md#D-03
    pub(crate) fn refuse_duplicate(&mut self, sender: Sender, result: CopyResult) {
        self.refuse_copy(sender, ResponseCode::DUPLICATE, result);
    }

    fn refuse_copy(&mut self, sender: Sender, code: ResponseCode, result: CopyResult) {
        let Sender { acquirer, frame } = sender;
        self.count_of(acquirer, Event::Copy(result));
        let reply = Reply::Code(code);
        self.emit(Output::Reply { frame, reply });
    }

    //= docs/rules.md#D-05
    /// R9. Who is told so may rely on the reversal: it is durable by then.
    fn refuse_reversed(&mut self, request: &Request, event: Event) {
        let sender @ Sender { acquirer, frame } = Sender::of(request);
        if !self.may_wait() {
            let busy = ResponseCode::MALFUNCTION;
            return self.not_admitted(sender, busy, NotAdmitted::InflightFull);
        }
        self.count_of(acquirer, event);
        let code = request.profile.reversed_original.code();
        self.reply_when_durable(frame, Reply::Code(code));
    }

    //= docs/rules.md#D-06
    pub(crate) fn not_admitted(&mut self, sender: Sender, code: ResponseCode, why: NotAdmitted) {
        let Sender { acquirer, frame } = sender;
        self.count_of(acquirer, Event::NotAdmitted(why));
        let reply = Reply::Code(code);
        self.emit(Output::Reply { frame, reply });
    }
}
