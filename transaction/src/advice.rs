//! What becomes of an advice: it reports what has happened, so it cannot be refused (semantics §2,
//! R6). It is acknowledged once the issuer is durably owed it.
//!
//! | row | known | advice | answer | toward the issuer |
//! |---|---|---|---|---|
//! | A01 | nothing | names no original, or an unknown one | 00 | owed, by the route |
//! | A02 | nothing | names an original that went to an issuer | 00 | owed to that issuer |
//! | A03 | nothing | names an original that was reversed, or is being | 00 | nothing: people look |
//! | A04 | its own copy | equal content | 00, once durable | nothing further |
//! | A05 | its own copy | other content | 94, alarm | nothing |
//! | A06 | a tombstone | any | 00 | nothing: it was reversed before it came |
//! | A07 | nothing | no route leads anywhere | 92 | nothing, nothing is remembered |
//! | A08 | nothing | no room to promise it | 96 | nothing, nothing is remembered |
//! | A09 | nothing | older than an advice may be | 94 | nothing |
//! | A10 | nothing | its original's issuer is not configured any more | 00 | nothing: people look |
//! | A11 | nothing | names an original that is undecided | 96 | nothing, nothing is remembered |
//! | A12 | nothing | completes more than its session lets it | 00 | nothing: people look |
//! | A13 | nothing | names an original of which too much is owed | 96 | nothing is remembered |

use core::time::Duration;

use domain::ids::{AcquirerId, IssuerId, MerchantId};
use domain::pan::PanToken;
use domain::profile::ClockCheck;
use domain::record::{Acknowledged, AdviceOrigin, Advised, Completed, RefusalReason};
use domain::request::{Advice, Facts, IssuerLeg, NamedOriginal, OriginalReference};
use domain::time::WallTime;
use domain::{Amount, ResponseCode};

use crate::engine::act::Forgotten;
use crate::engine::admit::Sender;
use crate::engine::{Effect, Engine};
use crate::input::{Assignment, Handle};
use crate::output::{
    AdviceResult, CopyResult, Ended, EntryKind, Event, NotAdmitted, Output, Owed, OwedAdvice, Reply,
};
use crate::saf::SafEntry;
use crate::settings::OutsideWindow;
use crate::state::{Ending, Signal, State, StoodIn};
use crate::stored_answer::StoredAnswer;
use crate::table::{Body, NONE};
use crate::transaction::{Transaction, is_buried};

/// What a shard is asked about an original that a message on another one names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalQuery {
    /// Whose session it came on.
    pub acquirer: AcquirerId,
    /// Where it would lie.
    pub named: NamedOriginal,
    /// DE42 of the message that names it: a check. Empty when absent.
    pub merchant: MerchantId,
    /// The account of the message that names it: a check.
    pub token: PanToken,
    /// When the advice that names it was taken: the original gives it a place behind all that is
    /// owed about it. A request leaves at once and needs none.
    pub taken: Option<WallTime>,
}

impl OriginalQuery {
    /// For what a message that says this names.
    pub(crate) const fn of(facts: &Facts, named: NamedOriginal) -> Self {
        Self {
            acquirer: facts.acquirer,
            named,
            merchant: facts.trace.merchant,
            token: facts.account.token,
            taken: None,
        }
    }
}

/// What is known of an original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    /// Nothing, or that it went nowhere.
    Unknown,
    /// It went to an issuer, and stands.
    Stands {
        /// Whose it is.
        issuer: IssuerId,
        /// Its leg.
        completed: Completed,
        /// The place of the advice that names it.
        place: Option<WallTime>,
        /// Whether that issuer has heard of it: of what was approved in its place not before it has
        /// taken the advice.
        is_told: bool,
        /// What stands of it; `None` of a decline.
        approved: Option<Amount>,
    },
    /// It was reversed, or is being.
    Reversed,
    /// It has not ended, or its end is not durable: another issuer may still get it, and a crash
    /// may take it back. Nobody was told of it either, so whoever completes it comes too early.
    Undecided,
}

impl Engine {
    /// What this shard knows of an original; an advice that names it is given its place.
    #[must_use]
    pub fn original(&mut self, query: &OriginalQuery) -> Original {
        let mut sharing = self.table.sharing(query.named.trace_key);
        let found = sharing.find_map(|index| {
            let transaction = self.table.at(index)?;
            let original = transaction.as_original();
            // An advice may have the STAN of what it completes.
            let is_it = is_named(transaction, query) && original != Original::Unknown;
            is_it.then_some((self.table.handle(index)?, original))
        });
        let Some((handle, mut original)) = found else {
            return Original::Unknown;
        };
        if let (Original::Stands { place, .. }, Some(taken)) = (&mut original, query.taken) {
            *place = self.place_behind(handle, taken);
        }
        original
    }

    //= docs/rules.md#A-04
    pub(crate) fn on_advice(&mut self, advice: &Advice<'_>) {
        let sender @ Sender { acquirer, frame } = sender_of(advice);
        if !self.may_wait() {
            let busy = ResponseCode::MALFUNCTION;
            return self.not_admitted(sender, busy, NotAdmitted::InflightFull);
        }
        match self.known_copy(advice) {
            Known::Nothing => self.take_advice(advice),
            Known::Equal(handle) => self.acknowledge_copy(handle, sender),
            Known::Other => self.refuse_duplicate(sender, CopyResult::Conflict),
            Known::Buried => {
                self.count_of(acquirer, Event::Advice(AdviceResult::Reversed));
                let code = ResponseCode::APPROVED;
                self.reply_when_durable(frame, Reply::Acknowledge { code });
            }
        }
    }

    fn known_copy(&self, advice: &Advice<'_>) -> Known {
        let facts = &advice.facts;
        let mut known = Known::Nothing;
        for index in self.table.sharing(facts.trace_key) {
            match (self.table.body(index), self.table.handle(index)) {
                (Some(Body::Transaction(found)), Some(handle)) if found.facts.key == facts.key => {
                    let equal = found.facts.content == facts.content;
                    return if equal {
                        Known::Equal(handle)
                    } else {
                        Known::Other
                    };
                }
                (Some(Body::Tombstone(tombstone)), _) if is_buried(tombstone, facts) => {
                    known = Known::Buried;
                }
                (Some(Body::Transaction(_) | Body::Tombstone(_) | Body::Vacant) | None, _) => {}
            }
        }
        known
    }

    /// A04. One that is not durable yet waits for its own record; every copy is told the same.
    fn acknowledge_copy(&mut self, handle: Handle, sender: Sender) {
        let Sender { acquirer, frame } = sender;
        let found = self.table.transaction_mut(handle);
        let Some(transaction) = found.filter(|found| !found.state.is_settled()) else {
            self.count_of(acquirer, Event::Copy(CopyResult::Stored));
            let code = ResponseCode::APPROVED;
            return self.emit(Output::Reply {
                frame,
                reply: Reply::Acknowledge { code },
            });
        };
        if let Some(frame) = transaction.frame.replace(frame) {
            self.emit(Output::Discard { frame });
        }
        self.count_of(acquirer, Event::Copy(CopyResult::Attached));
    }

    fn take_advice(&mut self, advice: &Advice<'_>) {
        let sender = sender_of(advice);
        if let Err((code, reason)) = self.may_take(advice) {
            return self.not_admitted(sender, code, reason);
        }
        let facts = advice.facts;
        let id = self.next_id(facts.slot);
        let transaction = Transaction::advise(advice, id, self.clock.wall());
        let body = Body::Transaction(transaction);
        let Some(handle) = self.table.insert(facts.trace_key, body) else {
            debug_assert!(false, "there was room a moment ago");
            return;
        };
        self.load.inflight = self.load.inflight.saturating_add(1);
        // Whose it is comes with the assignment.
        let what = Owed::Advice(AdviceOrigin::Acquirer);
        let mut entry = SafEntry::new(handle, IssuerId(0), what);
        entry.decided = self.clock.wall();
        let content = advice.fields;
        if self.promise(entry, content, Duration::ZERO).is_none() {
            debug_assert!(false, "there was room a moment ago");
            self.forget_advice(handle);
            return self.not_admitted(sender, ResponseCode::MALFUNCTION, NotAdmitted::SafFull);
        }
        self.set_deadline(handle, self.settings.decision_timeout);
        match advice.original {
            Some(named) => self.emit(Output::FindOriginal {
                handle,
                query: OriginalQuery {
                    taken: Some(self.clock.wall()),
                    ..OriginalQuery::of(&facts, named)
                },
            }),
            None => self.assign(handle, None),
        }
    }

    fn may_take(&mut self, advice: &Advice<'_>) -> Result<(), (ResponseCode, NotAdmitted)> {
        let wall = self.clock.wall();
        let sent = advice.facts.trace.transmitted.resolve(wall);
        let acquirer = advice.facts.acquirer;
        let oldest = wall.before(self.table.windows(acquirer).advices);
        let is_known = |sent| sent >= oldest && !self.table.may_be_unknown_advice(acquirer, sent);
        // A message of 1993 without DE7 says when in the time of its place, which is no UTC.
        let looks = self.settings.outside_window == OutsideWindow::Refuse
            && advice.clock != ClockCheck::Untrusted
            && advice.facts.trace.transmitted.is_known();
        if looks && !sent.is_some_and(is_known) {
            return Err((ResponseCode::DUPLICATE, NotAdmitted::OutsideWindow));
        }
        let full = |reason| Err((ResponseCode::MALFUNCTION, reason));
        let promised = self.saf.count().saturating_add(self.load.exposed);
        if promised >= self.settings.saf_free_of_reserve()
            || !self.make_room_for_content(advice.fields.len())
        {
            return full(NotAdmitted::SafFull);
        }
        let crowd = self.table.crowd(advice.facts.trace_key);
        if !self.make_room(crowd) {
            return full(NotAdmitted::TableFull);
        }
        Ok(())
    }

    /// Puts something owed into the SAF and behind what its transaction owes already.
    pub(crate) fn promise(
        &mut self,
        entry: SafEntry,
        content: &[u8],
        age: Duration,
    ) -> Option<u32> {
        let handle = entry.handle;
        let saf = self.saf.insert(entry, age, self.clock.now())?;
        self.saf.set_content(saf, content);
        self.chain_owed(handle, saf);
        Some(saf)
    }

    //= docs/rules.md#A-02
    pub(crate) fn on_original(&mut self, handle: Handle, original: Original) {
        let waits = self.table.transaction(handle);
        match waits.map(|found| found.state) {
            Some(State::Assigning) => {}
            Some(State::Locating) => return self.complete(handle, original),
            Some(_) | None => return self.count(Event::Stray),
        }
        match original {
            Original::Unknown => self.assign(handle, None),
            Original::Stands { completed, .. } if !self.may_owe_about(completed.transaction) => {
                self.advance(
                    handle,
                    Signal::Unassigned {
                        code: ResponseCode::MALFUNCTION,
                        reason: NotAdmitted::CompletionsFull,
                    },
                );
            }
            Original::Stands {
                issuer,
                completed,
                place,
                approved,
                ..
            } => {
                let is_over = self.is_over(handle, approved);
                let completed = self.extended(handle, completed, approved);
                let saf = self.first_owed(handle);
                if let Some(entry) = saf.and_then(|saf| self.saf.get_mut(saf)) {
                    entry.completed = Some(completed);
                    entry.is_over = is_over;
                    entry.decided = place.unwrap_or(entry.decided);
                    entry.follows = false;
                }
                self.take_place(handle, completed.transaction);
                if is_over {
                    return self.advance(handle, Signal::NotForwarded);
                }
                self.assign(handle, Some(issuer));
            }
            Original::Reversed => self.advance(handle, Signal::NotForwarded),
            Original::Undecided => {
                let code = ResponseCode::MALFUNCTION;
                let reason = NotAdmitted::Undecided;
                self.advance(handle, Signal::Unassigned { code, reason });
            }
        }
    }

    fn assign(&mut self, handle: Handle, issuer: Option<IssuerId>) {
        let frame = self.table.transaction(handle).and_then(|found| found.frame);
        if let Some(frame) = frame {
            self.emit(Output::AssignLeg {
                handle,
                frame,
                issuer,
            });
        } else {
            debug_assert!(false, "an advice is assigned in the turn of its frame");
        }
    }

    pub(crate) fn on_assigned(&mut self, handle: Handle, assignment: Assignment) {
        let signal = match assignment {
            Assignment::Leg(leg) if !self.saf.knows_issuer(leg.issuer) => {
                debug_assert!(false, "a route leads to an issuer that is configured");
                self.return_stan(leg);
                unassigned(ResponseCode::CANNOT_ROUTE)
            }
            Assignment::Leg(leg) => {
                let found = self.table.transaction(handle);
                let ending = found.map_or(Ending::Approved, Transaction::reported_ending);
                Signal::Assigned { leg, ending }
            }
            Assignment::NoIssuer => Signal::NotForwarded,
            Assignment::None { code } => unassigned(code),
        };
        self.advance(handle, signal);
    }

    /// A01, A02: the record that owes it and acknowledges it in one.
    //= docs/rules.md#A-01
    pub(crate) fn advise(&mut self, handle: Handle, leg: IssuerLeg) {
        let Some(saf) = self.first_owed(handle) else {
            debug_assert!(false, "an advice is promised when it is taken");
            return;
        };
        if let Some(entry) = self.saf.get_mut(saf) {
            entry.issuer = leg.issuer;
        }
        self.hold_requests_behind(saf);
        if let Some(transaction) = self.table.transaction_mut(handle) {
            transaction.leg = Some(leg);
            transaction.stan_held = true;
            transaction.answer.set_code(ResponseCode::APPROVED);
            if transaction.state.ending() == Some(Ending::Approved) {
                transaction.left = transaction.facts.amount.minor();
            }
        }
        let found = self.table.transaction(handle);
        if found.is_some_and(|found| found.state.ending() == Some(Ending::Approved)) {
            self.count_approval(handle);
        }
        self.count(Event::Advice(AdviceResult::Accepted));
        self.journal_advised(handle, saf);
    }

    /// Without room for the advice that it would owe, nobody is approved.
    pub(crate) fn on_stood_in(&mut self, handle: Handle, what: StoodIn<'_>) {
        let has_room = self.make_room_for_content(what.fields.len());
        if has_room && self.saf.knows_issuer(what.leg.issuer) {
            return self.advance(handle, Signal::StoodIn(what));
        }
        self.return_stan(what.leg);
        let code = ResponseCode::ISSUER_INOPERATIVE;
        let reason = RefusalReason::NoneAdmits;
        self.advance(handle, Signal::Unrouted { code, reason });
    }

    /// The switch has approved in the issuer's place: the issuer is owed an advice of it. It closes
    /// an intent that was provably not sent.
    //= docs/rules.md#A-06
    pub(crate) fn stand_in(&mut self, handle: Handle, what: &StoodIn<'_>) {
        let StoodIn {
            leg,
            authorisation,
            fields,
        } = *what;
        let owed = Owed::Advice(AdviceOrigin::StandIn);
        let mut entry = SafEntry::new(handle, leg.issuer, owed);
        entry.decided = self.clock.wall();
        let Some(saf) = self.promise(entry, fields, Duration::ZERO) else {
            debug_assert!(false, "room for every reversal is taken at admission");
            return;
        };
        self.hold_requests_behind(saf);
        if let Some(transaction) = self.table.transaction_mut(handle) {
            transaction.leg = Some(leg);
            transaction.stan_held = true;
            transaction.answer = StoredAnswer::of(ResponseCode::APPROVED);
            transaction.answer.authorisation = authorisation;
            transaction.left = transaction.facts.amount.minor();
            transaction.advised = Some(AdviceOrigin::StandIn);
        }
        self.count_approval(handle);
        self.count(Event::StoodIn);
        self.journal_advised(handle, saf);
    }

    pub(crate) fn compose_advised(
        &self,
        transaction: &Transaction,
        saf: u32,
    ) -> Option<Advised<'_>> {
        let answer = &transaction.answer;
        Some(Advised {
            transaction: transaction.id,
            admitted: transaction.admitted,
            facts: transaction.facts,
            reported: transaction.reported,
            origin: transaction.advised?,
            leg: transaction.leg,
            completes: self.saf.get(saf).and_then(|entry| entry.completed),
            is_over: self.saf.get(saf).is_some_and(|entry| entry.is_over),
            answer: Acknowledged {
                code: answer.code,
                authorisation: answer.authorisation,
            },
            fields: self.saf.content(saf),
        })
    }

    fn journal_advised(&mut self, handle: Handle, saf: u32) {
        self.journal(handle, EntryKind::Advised { saf });
        let generation = self.saf.generation(saf);
        self.wait(Effect::Owed { saf, generation });
        self.wait(Effect::Outcome(handle));
    }

    /// A03, A10, A12: acknowledged and kept for people; the issuer is told nothing. Its record
    /// names what it completes only where that stands.
    //= docs/rules.md#A-03
    //= docs/rules.md#A-08
    pub(crate) fn leave_to_people(&mut self, handle: Handle) {
        self.store_code(handle, ResponseCode::APPROVED);
        let saf = self.first_owed(handle);
        let entry = saf.and_then(|saf| self.saf.get(saf));
        let is_over = entry.is_some_and(|entry| entry.is_over);
        self.count(Event::Advice(
            match entry.and_then(|entry| entry.completed) {
                Some(_) if is_over => AdviceResult::OverOriginal,
                Some(_) => AdviceResult::NoIssuer,
                None => AdviceResult::LeftToPeople,
            },
        ));
        let saf = saf.unwrap_or(NONE);
        self.journal(handle, EntryKind::Advised { saf });
        self.except_owed(handle, saf, Ended::Unforwarded);
        self.wait(Effect::Outcome(handle));
    }

    /// A07, A11, A13, or nothing was decided in time.
    pub(crate) fn drop_advice(&mut self, handle: Handle, code: ResponseCode, reason: NotAdmitted) {
        if let Some(sender) = self.forget_advice(handle).and_then(Forgotten::sender) {
            self.not_admitted(sender, code, reason);
        }
    }

    /// Its reversal has come before it was taken.
    pub(crate) fn withdraw_advice(&mut self, handle: Handle) {
        let forgotten = self.forget_advice(handle);
        self.withdrawn(forgotten);
    }

    fn forget_advice(&mut self, handle: Handle) -> Option<Forgotten> {
        self.unpromise(handle);
        self.forget(handle)
    }

    fn unpromise(&mut self, handle: Handle) {
        if let Some(saf) = self.first_owed(handle) {
            self.drop_owed(handle, saf);
        }
    }

    /// The advice that [`Output::SendAdvice`] sends.
    #[must_use]
    pub fn advice(&self, owed: crate::input::OwedId) -> Option<OwedAdvice<'_>> {
        let saf = self.still_owed(owed)?;
        let entry = self.saf.get(saf)?;
        let transaction = self.table.transaction(owed.handle)?;
        let Owed::Advice(origin) = entry.what else {
            return None;
        };
        Some(OwedAdvice {
            origin,
            leg: transaction.leg?,
            completed: entry.completed,
            authorisation: transaction.answer.authorisation,
            fields: self.saf.content(saf),
        })
    }
}

const fn sender_of(advice: &Advice<'_>) -> Sender {
    Sender {
        acquirer: advice.facts.acquirer,
        frame: advice.frame,
    }
}

/// No issuer was found for an advice, or no number for it.
fn unassigned(code: ResponseCode) -> Signal<'static> {
    let reason = if code == ResponseCode::CANNOT_ROUTE {
        NotAdmitted::NoRoute
    } else {
        NotAdmitted::Undecided
    };
    Signal::Unassigned { code, reason }
}

/// What the table holds under an advice's key.
enum Known {
    Nothing,
    Equal(Handle),
    Other,
    Buried,
}

fn is_named(transaction: &Transaction, query: &OriginalQuery) -> bool {
    let reference: &OriginalReference = &query.named.reference;
    transaction.is_named(
        query.acquirer,
        reference,
        &query.merchant,
        Some(query.token),
    )
}

#[cfg(test)]
mod tests;
