//! Reversals that gateways ask for, at the owner of their original. From here they are those of any
//! acquirer: the engine decides, by the table of `transaction/src/reversal.rs`.
//!
//! | row | original | key | answer |
//! |---|---|---|---|
//! | G01 | no transaction of this id | any | 404 |
//! | G02 | none of this idempotency key, which would be known | in full | 201: it will not be executed, durably |
//! | G03 | none of this idempotency key otherwise | any | 404 |
//! | G04 | any | of an accepted one, same body | as before, where it stands now |
//! | G05 | any | of an accepted one, other body | 422 |
//! | G06 | declined, failed, reversed, owed a reversal, reversed by another key | new | 409 |
//! | G07 | not decided | new, in part | 409 |
//! | G08 | not decided | new, in full | 202: it will never be told as approved |
//! | G09 | approved | new, above what is left, or in part once too often | 409 |
//! | G10 | approved | new | 202 when it is durably owed, 201 when the issuer has it |
//! | G11 | any, no room to owe | new | 503 |

use domain::ResponseCode;
use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::{MerchantId, Rrn, Slot, Stan, TransactionId};
use domain::profile::{Profile, ReversalAnswer, ReversedOriginal};
use domain::request::{FrameId, OriginalReference, Reversal, TraceKey, Transmission};
use domain::time::{Instant, WallTime};
use iso8583::Framing;
use iso8583::header::HeaderBytes;
use transaction::output::Reply;
use transaction::standing::Standing;
use transaction::{Handle, Input};

use super::askers::{Asker, Wanted};
use super::gateways::{IsCopy, stan_of};
use super::{Shard, Waiting};
use crate::acquirer::DATE_APART_MAX;
use crate::acquirer::SessionRef;
use crate::acquirer::desk::{NewReversal, Original, Told};
use crate::acquirer::shown::Slug;
use crate::config::Gateway;
use crate::crypto::gateway::ReversalName;
use crate::frame::{Casing, Source};
use crate::metrics::{Counter, Ingress, Outcome, RejectReason, RepeatResult, TransactionType};

/// The original of a reversal.
type Found = (TransactionId, Handle);

/// How an original is named to the engine.
struct Named {
    slot: Slot,
    trace_key: TraceKey,
    original: OriginalReference,
    merchant: MerchantId,
    amount: Amount,
}

/// A reversal that the engine is not asked about.
struct Refusal {
    told: Told,
    /// What it came to.
    counter: Counter,
}

impl Refusal {
    fn rejected(reason: RejectReason, slug: Slug) -> Self {
        Self {
            told: Told::Refused(slug),
            counter: Counter::Rejected(Ingress::Http, reason),
        }
    }

    fn unknown() -> Self {
        Self::rejected(RejectReason::UnknownOriginal, Slug::NotFound)
    }

    fn reused(id: TransactionId) -> Self {
        Self {
            told: Told::Reused(id),
            counter: Counter::Repeats(Ingress::Http, RepeatResult::Conflict),
        }
    }

    /// Declined as the engine declines one that takes back too much.
    fn conflict(id: TransactionId, detail: &'static str) -> Self {
        let (kind, outcome) = (TransactionType::Reversal, Outcome::Declined);
        Self {
            told: Told::Conflict { id, detail },
            counter: Counter::Transactions(Ingress::Http, kind, outcome),
        }
    }
}

impl Shard {
    pub(super) fn reverse(&mut self, from: SessionRef, new: &NewReversal, now: Instant) {
        match self.reversal_of(new) {
            Err(refusal) => {
                if !new.is_again {
                    self.metrics.count(refusal.counter);
                }
                self.tell_asker(from, refusal.told);
            }
            Ok((original, is_copy, reversal)) => {
                let mut frame = self.pool.take(&[], NO_CASING);
                frame.acquirer = new.acquirer;
                frame.received = now;
                frame.queued = now;
                frame.source = Source::Reversal {
                    original,
                    is_copy,
                    until: new.waits_until,
                };
                let frame = self.keep(from, frame);
                self.work.counting.is_again = new.is_again;
                self.turn(Input::Reversal(Reversal { frame, ..reversal }), now);
                self.work.counting.is_again = false;
            }
        }
    }

    fn reversal_of(
        &self,
        new: &NewReversal,
    ) -> Result<(Option<Handle>, IsCopy, Reversal), Refusal> {
        if !self.journal.takes_reversals() {
            let reason = RejectReason::JournalUnavailable;
            return Err(Refusal::rejected(reason, Slug::Overloaded));
        }
        match &new.original {
            Original::Id(id) => {
                let found = self.identified(new.acquirer, new.gateway, *id);
                let handle = found.ok_or_else(Refusal::unknown)?;
                self.known_reversal((*id, handle), new)
            }
            Original::Key(key) => {
                let names = self.keyring.key_names(new.acquirer, key.as_bytes());
                if let Some((handle, _)) = self.engine.keyed(names.trace_key, names.key) {
                    let id = self.engine.transaction_id(handle).unwrap_or_default();
                    return self.known_reversal((id, handle), new);
                }
                let gateway = self.gateway(new.gateway);
                let gateway = gateway.filter(|gateway| self.may_bury(new, gateway));
                let gateway = gateway.ok_or_else(Refusal::unknown)?;
                if !self.has_share(new.acquirer) {
                    let reason = RejectReason::AcquirerFull;
                    return Err(Refusal::rejected(reason, Slug::RateLimited));
                }
                // A tombstone has no amount: whatever comes is not executed.
                let amount = Amount::new(0, Currency::KES);
                let amount = amount.map_err(|_| Refusal::unknown())?;
                let named = Named {
                    slot: names.slot,
                    trace_key: names.trace_key,
                    original: of_key(stan_of(&names)),
                    merchant: gateway.merchant,
                    amount,
                };
                Ok((None, IsCopy::No, self.asked_for(new, &named, None)))
            }
        }
    }

    /// Whether what is not known never came: had it come since it was sent, its key would be known
    /// still, also if the clocks are as far apart as they may be. Of a part of it nobody could say
    /// what stays.
    fn may_bury(&self, new: &NewReversal, gateway: &Gateway) -> bool {
        let latest = self.work.wall.after(DATE_APART_MAX);
        let is_known =
            |sent: WallTime| sent <= latest && sent.after(gateway.windows.requests) > latest;
        // Nor was any of its time forgotten since.
        let is_whole = |sent: WallTime| {
            let earliest = sent.before(DATE_APART_MAX);
            !self.engine.may_have_forgotten(new.acquirer, earliest)
        };
        new.amount.is_none()
            && new
                .sent
                .is_some_and(|sent| is_known(sent) && is_whole(sent))
    }

    fn known_reversal(
        &self,
        (id, handle): Found,
        new: &NewReversal,
    ) -> Result<(Option<Handle>, IsCopy, Reversal), Refusal> {
        let Some(seen) = self.engine.seen(handle) else {
            return Err(Refusal::unknown());
        };
        let name = self.name_of(new);
        let mut known = seen.reversals.into_iter();
        let is_copy = match known.find(|known| name.is_of_same_key(*known)) {
            Some(known) if name.is_same(known) => IsCopy::Yes,
            Some(_) => return Err(Refusal::reused(id)),
            None => IsCopy::No,
        };
        let facts = seen.facts;
        let replacement = match is_copy {
            IsCopy::Yes => None,
            IsCopy::No => Left {
                standing: seen.standing,
                amount: facts.amount,
                minor: seen.left,
                is_reversing: seen.reversals != [0; 3],
            }
            .without(new.amount)
            .map_err(|detail| Refusal::conflict(id, detail))?,
        };
        let named = Named {
            slot: facts.slot,
            trace_key: facts.trace_key,
            original: of_key(facts.trace.stan),
            merchant: facts.trace.merchant,
            amount: facts.amount,
        };
        let reversal = self.asked_for(new, &named, replacement);
        Ok((Some(handle), is_copy, reversal))
    }

    fn asked_for(&self, new: &NewReversal, named: &Named, replacement: Option<Amount>) -> Reversal {
        Reversal {
            frame: FrameId::default(),
            transmission: Transmission::First,
            acquirer: new.acquirer,
            slot: named.slot,
            trace_key: named.trace_key,
            key: self.name_of(new).key(),
            original: named.original,
            merchant: named.merchant,
            token: None,
            amount: named.amount,
            replacement,
            reason: new.reason,
            profile: PROFILE,
            answered: ReversalAnswer::WhenOwed,
        }
    }

    fn name_of(&self, new: &NewReversal) -> ReversalName {
        let key = new.key.as_bytes();
        self.keyring.reversal_name(new.acquirer, key, &new.digest)
    }

    /// The engine has decided about a reversal, durably.
    pub(super) fn answer_reversal(&mut self, waiting: &Waiting, reply: Reply, now: Instant) {
        let Source::Reversal {
            original,
            is_copy,
            until,
        } = waiting.frame.source
        else {
            return;
        };
        let to = waiting.session;
        let code = match reply {
            Reply::Acknowledge { code } | Reply::Code(code) => Some(code),
            Reply::Answer(_) => None,
        };
        let id = original.and_then(|handle| self.engine.transaction_id(handle));
        match (code.filter(|code| !code.is_approval()), original) {
            (Some(code), Some(_)) if code == ResponseCode::INVALID_AMOUNT => {
                let detail = "is more than can be reversed of the original";
                let id = id.unwrap_or_default();
                self.tell_asker(to, Told::Conflict { id, detail });
            }
            (Some(_), _) => self.tell_asker(to, Told::Refused(Slug::Overloaded)),
            // Nothing had come of it, and nothing will.
            (None, None) => self.tell_asker(to, Told::Buried),
            (None, Some(_)) if id.is_none() => self.tell_asker(to, Told::Buried),
            (None, Some(handle)) => {
                let asker = Asker {
                    to,
                    acquirer: waiting.frame.acquirer,
                    is_copy,
                    wants: Wanted::Acknowledged,
                    until: until.unwrap_or(now),
                };
                let is_owed = self.engine.seen(handle).is_some_and(|seen| seen.is_owed);
                if !is_owed || until.is_none() || !self.work.asked.put(handle, asker, now) {
                    self.tell_now(to, handle, is_copy);
                }
            }
        }
    }
}

/// What can be taken back of an original.
#[derive(Clone, Copy, Debug)]
struct Left {
    standing: Standing,
    amount: Amount,
    /// Minor units that are approved and not reversed; means nothing before it is approved.
    minor: u64,
    /// A reversal was accepted.
    is_reversing: bool,
}

impl Left {
    /// What stays when `asked` is taken back, or all that is left; `None` when nothing does.
    fn without(self, asked: Option<Amount>) -> Result<Option<Amount>, &'static str> {
        let currency = self.amount.currency();
        if asked.is_some_and(|asked| asked.currency() != currency) {
            return Err("is in another currency than the original");
        }
        let is_part = asked.is_some_and(|asked| asked != self.amount);
        match self.standing {
            Standing::Approved if self.minor > 0 => {
                let asked = asked.map_or(self.minor, Amount::minor);
                let stays = self.minor.checked_sub(asked);
                let stays = stays.ok_or("is more than is left of the original")?;
                Ok(Amount::new(stays, currency).ok().filter(|_| stays > 0))
            }
            Standing::Reserved | Standing::Pending if self.is_reversing => {
                Err("the original is being reversed by another key")
            }
            Standing::Reserved | Standing::Pending if is_part => {
                Err("the original is not decided: reverse all of it, or wait")
            }
            Standing::Reserved | Standing::Pending => Ok(None),
            Standing::Approved
            | Standing::Declined
            | Standing::NotExecuted
            | Standing::ReversalOwed
            | Standing::Reversed
            | Standing::Excepted => Err("nothing of the original is left to be reversed"),
        }
    }
}

/// What gateways ask for where practice differs: what was reversed is told from a duplicate.
pub(super) const PROFILE: Profile = Profile {
    reversed_original: ReversedOriginal::Invalid,
    ..Profile::PLAIN
};

/// It came as no message.
const NO_CASING: Casing = Casing {
    framing: Framing::Be16,
    header: HeaderBytes::NONE,
};

/// The original of a gateway, by its key alone, which is all of its trace key: each copy of a POST
/// has a DE7 and a DE37 of its own, and a tombstone has to bury them all.
pub(super) const fn of_key(stan: Stan) -> OriginalReference {
    OriginalReference {
        stan,
        class: None,
        transmitted: None,
        rrn: Rrn::EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_is_never_more_than_is_left() {
        let kes = |minor| Amount::new(minor, Currency::KES).unwrap();
        let check = |standing, minor, is_reversing, asked: Option<u64>, expected: Option<u64>| {
            let left = Left {
                standing,
                amount: kes(1_000),
                minor,
                is_reversing,
            };
            let stays = left.without(asked.map(kes)).ok();
            let stays = stays.map(|stays| stays.map_or(0, Amount::minor));
            assert_eq!(stays, expected, "{left:?}, {asked:?}");
        };
        let approved = Standing::Approved;
        check(approved, 1_000, false, None, Some(0));
        check(approved, 1_000, false, Some(1_000), Some(0));
        check(approved, 1_000, false, Some(300), Some(700));
        check(approved, 700, true, None, Some(0));
        check(approved, 700, true, Some(700), Some(0));
        // The amount of the original is no word for what is left.
        check(approved, 700, true, Some(1_000), None);
        // Another key takes all of it back, and that is not durable yet.
        check(approved, 0, true, None, None);
        check(approved, 0, true, Some(1), None);
        check(Standing::Pending, 0, false, None, Some(0));
        check(Standing::Pending, 0, false, Some(1_000), Some(0));
        check(Standing::Pending, 0, false, Some(1), None);
        check(Standing::Pending, 1_000, true, None, None);
        check(Standing::Reversed, 0, true, None, None);
        let ugx = Amount::new(1, Currency::UGX).unwrap();
        let left = Left {
            standing: approved,
            amount: kes(1_000),
            minor: 1_000,
            is_reversing: false,
        };
        assert!(left.without(Some(ugx)).is_err());
    }
}
