//! Where a transaction is found by what all its messages share: acquirer, DE37, DE41 and DE42. For
//! a reversal or a completion request whose DE90 leads nowhere (semantics §3.3): real networks fill
//! it differently.
//!
//! All transactions of one reference are chained, the newest first. The chain is linked both ways,
//! so that an acquirer whose DE37 never changes costs no walk when one of them is forgotten.

use domain::Amount;
use domain::ids::{AcquirerId, AuthorisationId, MerchantId, Rrn, TerminalId};
use domain::pan::PanToken;
use domain::record::AdviceOrigin;
use domain::request::{Facts, MessageClass, OriginalReference, Reversal, Trace};
use domain::time::{TransmissionTime, WallTime};

use crate::advice::Original;
use crate::engine::Engine;
use crate::input::Handle;
use crate::random::mix;
use crate::table::{Body, NONE, Table};
use crate::transaction::Transaction;

/// What a reversal or a completion request says of its original beside DE90.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceQuery {
    /// Whose session it came on.
    pub acquirer: AcquirerId,
    /// DE37.
    pub rrn: Rrn,
    /// DE41.
    pub terminal: TerminalId,
    /// DE42.
    pub merchant: MerchantId,
    /// The class in the original MTI, when DE90 has one: a check.
    pub class: Option<MessageClass>,
    /// DE7 in DE90, when it has one: a check.
    pub transmitted: Option<TransmissionTime>,
    /// DE12 in DE56 of 1993, when it has one: a check.
    pub local: Option<TransmissionTime>,
    /// DE4 of a reversal, that of the original: a check. What is completed may have been more.
    pub amount: Option<Amount>,
    /// DE38 of a completion request, that of the original: a check. Empty when absent.
    pub authorisation: AuthorisationId,
    /// What for.
    pub purpose: Purpose,
    /// The account, when there is one: a check.
    pub token: Option<PanToken>,
}

/// What an original is looked for for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be reversed: any transaction.
    Reversal,
    /// To be completed: one that an issuer knows, and that completes nothing itself.
    Completion,
}

impl ReferenceQuery {
    /// Whether it says enough to be looked for by.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.rrn.is_empty() && !self.terminal.is_empty() && !self.merchant.is_empty()
    }

    fn means(&self, transaction: &Transaction) -> bool {
        let facts = &transaction.facts;
        let trace = &facts.trace;
        facts.acquirer == self.acquirer
            && trace.rrn == self.rrn
            && trace.terminal == self.terminal
            && trace.merchant == self.merchant
            && self.amount.is_none_or(|amount| amount == facts.amount)
            && self.class.is_none_or(|class| class == facts.class)
            && self.is_of_its_time(trace)
            && self.token.is_none_or(|token| token == facts.account.token)
            && match self.purpose {
                Purpose::Reversal => true,
                Purpose::Completion => self.is_completed_by(transaction),
            }
    }

    /// A completion has the reference of what it completes. Its reversal, where it has never come
    /// itself, names another time, and must not take back what it was to complete.
    fn is_of_its_time(&self, trace: &Trace) -> bool {
        let local = self.local.zip(trace.local());
        self.transmitted
            .is_none_or(|time| time == trace.transmitted)
            && local.is_none_or(|(named, own)| named == own)
    }

    /// A completion has the reference of what it completes, and is not meant by the next one.
    fn is_completed_by(&self, transaction: &Transaction) -> bool {
        let own = &transaction.answer.authorisation;
        let is_same = self.authorisation.is_empty() || own.is_empty() || *own == self.authorisation;
        let completes =
            transaction.is_completion() || transaction.advised == Some(AdviceOrigin::Acquirer);
        is_same && !completes && transaction.as_original() != Original::Unknown
    }
}

/// A transaction that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub handle: Handle,
    /// When it came: of several the newest is meant.
    pub admitted: WallTime,
    /// What whoever completes it has to know.
    pub original: Original,
}

impl Engine {
    /// Whether the original of this reversal is known where DE90 leads, or its tombstone is.
    #[must_use]
    pub fn knows_original(&self, reversal: &Reversal) -> bool {
        let mut sharing = self.table.sharing(reversal.trace_key);
        sharing.any(|index| {
            let transaction = self.table.at(index);
            transaction.is_some_and(|transaction| transaction.is_meant_by(reversal))
        })
    }

    /// The newest transaction of this shard that can be meant.
    #[must_use]
    pub fn referred(&self, query: &ReferenceQuery) -> Option<Found> {
        let chain = self.table.referred(reference_key(query));
        // Whoever sends the same reference again and again is looked after so far.
        let found = chain.take(WALK_MAX).find_map(|index| {
            let transaction = self.table.at(index)?;
            query.means(transaction).then_some((index, transaction))
        });
        let (index, transaction) = found?;
        Some(Found {
            handle: self.table.handle(index)?,
            admitted: transaction.admitted,
            original: transaction.as_original(),
        })
    }

    /// The same reversal as if it named this transaction by DE90; `None` when that is forgotten.
    #[must_use]
    pub fn named_by(&self, handle: Handle, reversal: &Reversal) -> Option<Reversal> {
        let facts = &self.table.transaction(handle)?.facts;
        (facts.acquirer == reversal.acquirer).then_some(Reversal {
            slot: facts.slot,
            trace_key: facts.trace_key,
            original: OriginalReference {
                stan: facts.trace.stan,
                class: Some(facts.class),
                transmitted: Some(facts.trace.transmitted),
                rrn: facts.trace.rrn,
            },
            ..*reversal
        })
    }
}

impl Table {
    /// Chains a transaction that has just been put in, if it has a reference.
    pub(crate) fn chain_reference(&mut self, index: u32) {
        let Some(key) = self.reference(index) else {
            return;
        };
        let first = self.first_referred(key);
        if let Some(entry) = self.entry_mut(index) {
            entry.reference = [NONE, first.unwrap_or(NONE)];
        }
        match first {
            Some(first) => {
                self.references.replace(key, first, index);
                if let Some(entry) = self.entry_mut(first) {
                    let [before, _] = &mut entry.reference;
                    *before = index;
                }
            }
            None => {
                let inserted = self.references.insert(key, index);
                debug_assert!(inserted, "it holds as many keys as there are entries");
            }
        }
    }

    /// Takes a transaction out of its chain.
    pub(crate) fn unchain_reference(&mut self, index: u32) {
        let Some(key) = self.reference(index) else {
            return;
        };
        let Some(entry) = self.entry_mut(index) else {
            return;
        };
        let [before, after] = core::mem::replace(&mut entry.reference, [NONE, NONE]);
        match (before, after) {
            (NONE, NONE) => self.references.remove(key, index),
            (NONE, after) => self.references.replace(key, index, after),
            (_, _) => {}
        }
        if let Some(entry) = self.entry_mut(before) {
            let [_, next] = &mut entry.reference;
            *next = after;
        }
        if let Some(entry) = self.entry_mut(after) {
            let [previous, _] = &mut entry.reference;
            *previous = before;
        }
    }

    /// The transactions of one reference, the newest first.
    fn referred(&self, key: u64) -> impl Iterator<Item = u32> {
        core::iter::successors(self.first_referred(key), |index| {
            let [_, next] = self.entry(*index)?.reference;
            (next != NONE).then_some(next)
        })
    }

    fn first_referred(&self, key: u64) -> Option<u32> {
        self.references
            .find(key, |index| self.reference(index) == Some(key))
    }

    fn reference(&self, index: u32) -> Option<u64> {
        match self.body(index)? {
            Body::Transaction(transaction) => reference_of(&transaction.facts),
            Body::Vacant | Body::Tombstone(_) => None,
        }
    }
}

fn reference_of(facts: &Facts) -> Option<u64> {
    let trace = &facts.trace;
    let is_whole =
        !trace.rrn.is_empty() && !trace.terminal.is_empty() && !trace.merchant.is_empty();
    is_whole.then(|| {
        key_of(
            facts.acquirer,
            [
                trace.rrn.as_bytes(),
                trace.terminal.as_bytes(),
                trace.merchant.as_bytes(),
            ],
        )
    })
}

fn reference_key(query: &ReferenceQuery) -> u64 {
    let parts = [
        query.rrn.as_bytes(),
        query.terminal.as_bytes(),
        query.merchant.as_bytes(),
    ];
    key_of(query.acquirer, parts)
}

/// A hash, not a secret: whoever finds two references of one hash shares a chain with itself.
fn key_of(acquirer: AcquirerId, parts: [&[u8]; 3]) -> u64 {
    let mut hash = mix(u64::from(acquirer.0).wrapping_add(1));
    for part in parts {
        for chunk in part.chunks(8) {
            let mut bytes = [0; 8];
            for (byte, value) in bytes.iter_mut().zip(chunk) {
                *byte = *value;
            }
            hash = mix(hash ^ u64::from_le_bytes(bytes));
        }
        hash = mix(hash ^ 0xFF);
    }
    hash
}

/// Transactions of one reference that are looked at: a completion and what it completes share one,
/// an acquirer that counts wrong has a few more.
const WALK_MAX: usize = 32;

#[cfg(test)]
mod tests;
