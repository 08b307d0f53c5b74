//! Where a transaction stands, as whoever asks for it by its key or its id is told: what the
//! records that are durable say, never what a crash could unsay. That a reversal was accepted, and
//! how it ended, is told when a start would find it so.

use domain::ResponseCode;
use domain::ids::{AcquirerId, AuthorisationId, Slot, TransactionId};
use domain::record::ReversalCause;
use domain::request::{ContentHash, DuplicateKey, Facts, IssuerLeg, TraceKey};
use domain::time::WallTime;

use crate::engine::Engine;
use crate::input::Handle;
use crate::output::Owed;
use crate::saf::{SafEntry, Status};
use crate::state::{Ending, State};
use crate::table::NONE;
use crate::transaction::Transaction;

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of it is durable: a restart knows nothing of it.
    Reserved,
    /// A message may have left; nobody knows how it ends.
    Pending,
    /// Approved, perhaps reversed in part.
    Approved,
    /// The issuer or the switch said no.
    Declined,
    /// Proven not executed.
    NotExecuted,
    /// It will never be an approval: a reversal is owed.
    ReversalOwed,
    /// Nothing of it is left.
    Reversed,
    /// What is owed about it is an exception: a person decides.
    Excepted,
}

/// One transaction.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its id.
    pub id: TransactionId,
    /// When it was admitted.
    pub admitted: WallTime,
    /// What it says.
    pub facts: &'a Facts,
    /// Where it stands.
    pub standing: Standing,
    /// Who was asked, if anybody was.
    pub leg: Option<&'a IssuerLeg>,
    /// What it was decided with; meaningless before.
    pub code: ResponseCode,
    /// DE38; empty when there is none.
    pub authorisation: AuthorisationId,
    /// Whether an issuer is still to be told something about it, or that it was is not durable.
    pub is_owed: bool,
    /// Minor units that are approved and not reversed; meaningless unless it was approved.
    pub left: u64,
    /// Whether a part of what was approved was reversed.
    pub is_reversed_in_part: bool,
    /// Whether people have to look at something about it.
    pub is_excepted: bool,
    /// The last half of the key of each reversal that was accepted, the newest first; zero where
    /// there is none.
    pub reversals: [u64; 3],
}

impl Engine {
    /// The transaction.
    #[must_use]
    pub fn seen(&self, handle: Handle) -> Option<Seen<'_>> {
        let transaction = self.table.transaction(handle)?;
        Some(Seen {
            id: transaction.id,
            admitted: transaction.admitted,
            facts: &transaction.facts,
            standing: self.standing(transaction),
            leg: transaction.leg.as_ref(),
            code: transaction.answer.code,
            authorisation: transaction.answer.authorisation,
            is_owed: transaction.saf_head != NONE
                || transaction.unwritten > 0
                || transaction.is_owed_anew(),
            left: transaction.left,
            is_reversed_in_part: transaction.state == State::Settled(Ending::PartlyReversed),
            is_excepted: transaction.exceptions > 0 || transaction.legs.has_failed(),
            reversals: transaction.reversals,
        })
    }

    /// The transaction of this key, and whether it says the same.
    #[must_use]
    pub fn keyed(&self, trace_key: TraceKey, key: DuplicateKey) -> Option<(Handle, ContentHash)> {
        let mut sharing = self.table.sharing(trace_key);
        sharing.find_map(|index| {
            let facts = &self.table.at(index)?.facts;
            let handle = self.table.handle(index)?;
            (facts.key == key).then_some((handle, facts.content))
        })
    }

    /// Whether a transaction of this acquirer that was sent then may be forgotten: what is not
    /// found need not be new.
    #[must_use]
    pub fn may_have_forgotten(&self, acquirer: AcquirerId, sent: WallTime) -> bool {
        self.table.may_be_unknown(acquirer, sent)
    }

    /// The id of the next transaction in this slot that is admitted before the wall time is told
    /// anew.
    #[must_use]
    pub fn next_transaction_id(&self, slot: Slot) -> TransactionId {
        self.id_at(slot)
    }
}

impl Engine {
    fn standing(&self, transaction: &Transaction) -> Standing {
        match transaction.state {
            State::Assessing
            | State::Routing
            | State::HeldBack
            | State::Assigning
            | State::Locating
            | State::Intended
            | State::Sent
            | State::Rerouting
            | State::Settling(_) => undecided(transaction.legs.has_intent()),
            State::Reversing => Standing::ReversalOwed,
            State::Settled(ending) => self.settled(transaction, ending),
        }
    }

    fn settled(&self, transaction: &Transaction, ending: Ending) -> Standing {
        match ending {
            Ending::Refused if is_ours(transaction.answer.code) => Standing::NotExecuted,
            Ending::Refused | Ending::Declined => Standing::Declined,
            Ending::NotSent => Standing::NotExecuted,
            Ending::Approved | Ending::PartlyReversed => Standing::Approved,
            Ending::Reversed | Ending::TimedOut | Ending::Invalid | Ending::AcquirerReversed => {
                self.taken_back(transaction, ending)
            }
        }
    }

    //= docs/rules.md#V-18
    fn taken_back(&self, transaction: &Transaction, ending: Ending) -> Standing {
        let owed = || self.owed_from(transaction.saf_head).map(|(_, entry)| entry);
        let appended = |entry: &SafEntry| entry.status == Status::Appended;
        // What is put back was found before, so that this one has begun something.
        let begun = owed().find(|entry| appended(entry) && !entry.found && !entry.foreseen);
        match begun.map(|entry| entry.what) {
            Some(Owed::Reversal(ReversalCause::InvalidAnswer)) => return Standing::Reversed,
            Some(Owed::Reversal(_)) if ending == Ending::Reversed => return Standing::Approved,
            Some(Owed::Reversal(_) | Owed::Advice(_)) => return Standing::ReversalOwed,
            None => {}
        }
        let is_owed = owed().any(|entry| !appended(entry) || entry.foreseen)
            || transaction.unwritten > 0
            || transaction.is_owed_anew();
        if is_owed {
            Standing::ReversalOwed
        } else if transaction.exceptions > 0
            || transaction.legs.has_failed()
            || transaction.saf_head != NONE
        {
            Standing::Excepted
        } else {
            Standing::Reversed
        }
    }
}

/// One that asks a second issuer, or is refused before its intent was durable, is in the same
/// states as others: what counts is what a restart would know.
const fn undecided(has_intent: bool) -> Standing {
    match has_intent {
        true => Standing::Pending,
        false => Standing::Reserved,
    }
}

/// What the switch says of itself: nobody was asked.
fn is_ours(code: ResponseCode) -> bool {
    code.is_issuer_failure() || code == ResponseCode::CANNOT_ROUTE
}

#[cfg(test)]
mod tests {
    use domain::record::{Operation, Reason};

    use super::*;
    use crate::input::Input;
    use crate::operating::{NOBODY, Operate};
    use crate::testing::{Auto, Rig, approval, code, decline, facts};

    #[track_caller]
    fn check(rig: &Rig, expected: Standing) {
        let facts = facts(1);
        let (handle, content) = rig.engine.keyed(facts.trace_key, facts.key).unwrap();
        let seen = rig.engine.seen(handle).unwrap();
        assert_eq!(seen.standing, expected);
        assert_eq!((seen.facts.key, content), (facts.key, facts.content));
        assert_eq!(seen.id.slot(), facts.slot);
    }

    /// The one thing that is owed, or people look at.
    fn operate(rig: &mut Rig, operation: Operation) {
        let (mut views, _) = rig.engine.owed_views(0, 1_000);
        let owed = views.next().unwrap().owed;
        drop(views);
        let operate = Operate {
            owed,
            operation,
            operator: NOBODY,
            reason: Reason::EMPTY,
        };
        let ticket = 1;
        rig.give(Input::Operate { ticket, operate });
    }

    #[test]
    fn nothing_is_told_that_is_not_durable() {
        let mut rig = Rig::new(Auto::Decide);
        let facts = facts(1);
        assert!(rig.engine.keyed(facts.trace_key, facts.key).is_none());
        let id = rig.engine.next_transaction_id(facts.slot);
        rig.request(1, 1);
        check(&rig, Standing::Reserved);
        let (handle, _) = rig.engine.keyed(facts.trace_key, facts.key).unwrap();
        assert_eq!(rig.engine.transaction_id(handle), Some(id));
        rig.flush();
        check(&rig, Standing::Pending);
        rig.respond(approval());
        check(&rig, Standing::Pending);
        rig.flush();
        check(&rig, Standing::Approved);
    }

    #[test]
    fn a_decline_is_told_as_one() {
        let mut rig = Rig::new(Auto::Flush);
        rig.request(1, 1);
        rig.respond(decline());
        check(&rig, Standing::Declined);
    }

    #[test]
    fn a_silent_issuer_is_owed_a_reversal_and_then_nothing_is_left() {
        let mut rig = Rig::new(Auto::Flush);
        rig.request(1, 1);
        rig.pass(core::time::Duration::from_secs(60));
        check(&rig, Standing::ReversalOwed);
        rig.respond_to_reversal(code(b"00"));
        check(&rig, Standing::Reversed);
    }

    //= docs/rules.md#V-18
    #[test]
    fn a_reversal_is_told_when_a_start_would_find_it() {
        let mut rig = Rig::new(Auto::Flush);
        rig.request(1, 1);
        rig.respond(approval());
        rig.auto = Auto::Decide;
        rig.reverse(1, 2);
        check(&rig, Standing::Approved);
        rig.flush();
        check(&rig, Standing::ReversalOwed);
        let written = rig.journal.len();
        rig.respond_to_reversal(code(b"00"));
        check(&rig, Standing::ReversalOwed);
        rig.restart(written).unwrap();
        check(&rig, Standing::ReversalOwed);
        rig.auto = Auto::Decide;
        rig.respond_to_reversal(code(b"00"));
        rig.flush();
        check(&rig, Standing::Reversed);
        rig.restart(rig.journal.len()).unwrap();
        check(&rig, Standing::Reversed);
    }

    //= docs/rules.md#V-18
    #[test]
    fn what_goes_to_people_or_back_is_told_when_a_start_would_find_it() {
        let mut rig = Rig::new(Auto::Flush);
        rig.request(1, 1);
        rig.pass(core::time::Duration::from_secs(60));
        rig.auto = Auto::Decide;
        for operation in [Operation::Drop, Operation::Retry] {
            let expected = match operation {
                Operation::Drop => [Standing::ReversalOwed, Standing::Excepted],
                Operation::Retry => [Standing::Excepted, Standing::ReversalOwed],
            };
            operate(&mut rig, operation);
            check(&rig, expected[0]);
            rig.flush();
            check(&rig, expected[1]);
        }
    }

    #[test]
    fn what_was_durable_once_stays_so_while_another_issuer_is_asked() {
        let mut rig = Rig::new(Auto::Decide);
        rig.request(1, 1);
        rig.flush();
        check(&rig, Standing::Pending);
        let (handle, leg) = rig.sent();
        let stan = leg.stan;
        rig.give(Input::Unsent { handle, stan });
        check(&rig, Standing::Pending);
        rig.flush();
        check(&rig, Standing::Pending);
    }

    #[test]
    fn a_restart_knows_it_by_its_key() {
        let mut rig = Rig::new(Auto::Flush);
        rig.request(1, 1);
        rig.respond(approval());
        rig.restart(rig.journal.len()).unwrap();
        check(&rig, Standing::Approved);
    }
}
