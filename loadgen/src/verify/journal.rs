//! What the journal says, by transaction.

use std::path::Path;

use anyhow::{Context, Result};
use domain::amount::Amount;
use domain::ids::{AcquirerId, AuthorisationId, Lsn, Rrn, ShardId, Stan, TransactionId};
use domain::record::{
    Advised, Intent, Operated, Operation, Outcome, OutcomeKind, OwedKind, Record, SafOwed,
    SafResult,
};
use domain::request::{DuplicateKey, Facts, IssuerLeg, Trace};
use domain::response_code::ResponseCode;
use domain::time::{TransmissionTime, WallTime};
use hashbrown::HashMap;
use persistence::identity::Identity;
use persistence::reader::{KnownReader, UpTo, list};
use persistence::{Manifest, ShardReader};

use crate::trace_id::TraceId;

/// All transactions of one journal.
#[derive(Debug, Default)]
pub struct JournalBook {
    pub(super) transactions: HashMap<TransactionId, Entry>,
    /// By DE11, DE7, DE37 and DE41 of the acquirer's leg.
    pub(super) by_request: HashMap<TraceId, TransactionId>,
    /// By the same fields of the issuer's leg.
    pub(super) by_leg: HashMap<TraceId, TransactionId>,
    /// Of advices that complete something: what they complete.
    pub(super) completes: HashMap<TransactionId, TransactionId>,
    /// By DE11 and DE37 of what was reversed before it came.
    buried: HashMap<(Stan, Rrn), Vec<Tomb>>,
    /// Requests that have more than one transaction.
    pub(super) doubled: Vec<TransactionId>,
    /// Records that contradict the ones before them.
    pub(super) contradictions: Vec<(TransactionId, &'static str)>,
    /// Records in all.
    pub(super) records: u64,
    /// The last record of each shard.
    pub(super) last: Vec<(u16, Lsn)>,
}

/// What the records of one transaction add up to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) request: TraceId,
    pub(super) acquirer: AcquirerId,
    /// By which the switch knows copies.
    pub(super) key: DuplicateKey,
    pub(super) amount: Amount,
    /// What the acquirer is told; `None` while the intent is open.
    pub(super) code: Option<ResponseCode>,
    pub(super) kind: Option<OutcomeKind>,
    pub(super) authorisation: AuthorisationId,
    /// DE4 of the answer.
    pub(super) answered: Option<Amount>,
    /// Waits for its outcome.
    pub(super) open: bool,
    pub(super) reversal: Option<Reversal>,
    /// An advice is owed, and how that ended.
    pub(super) advice: Option<Option<SafResult>>,
    /// An advice reports an approval.
    pub(super) moved: bool,
    is_advised: bool,
}

/// What is owed to the issuer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reversal {
    /// What it leaves.
    pub(super) stays: u64,
    pub(super) result: Option<SafResult>,
}

/// What a tombstone says beside DE11 and DE37 of what it is about.
#[derive(Clone, Copy, Debug)]
struct Tomb {
    /// DE7; a reversal of 1993 does not name it.
    transmitted: Option<TransmissionTime>,
    decided: WallTime,
}

impl JournalBook {
    /// Reads all shards of a journal at rest.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn read(root: &Path) -> Result<Self> {
        let mut book = Self::default();
        book.last = read_shards(root, |record| book.fold(record))?;
        Ok(book)
    }

    /// Takes one record.
    pub fn fold(&mut self, record: &Record<'_>) {
        self.records += 1;
        match record {
            Record::Intent(intent) => self.intent(intent),
            Record::Refused(refused) => {
                let mut entry = Entry::asked(&refused.facts);
                entry.open = false;
                entry.code = Some(refused.code);
                self.admit(refused.transaction, entry);
            }
            Record::Outcome(outcome) => self.outcome(outcome),
            Record::Advised(advised) => self.advised(advised),
            Record::AdviceDone(done) => match self.entry(done.transaction) {
                Some(entry) if entry.advice == Some(None) => entry.advice = Some(Some(done.result)),
                Some(_) | None => self.contradict(done.transaction, "advice-done without advised"),
            },
            Record::SafOwed(owed) => self.saf_owed(owed),
            Record::SafDone(done) => {
                match self
                    .entry(done.transaction)
                    .and_then(|e| e.reversal.as_mut())
                {
                    Some(reversal) => reversal.result = Some(done.result),
                    None => self.contradict(done.transaction, "saf-done without saf-owed"),
                }
            }
            Record::Operated(operated) => self.operated(operated),
            Record::Tombstone(tombstone) => {
                let original = &tombstone.original;
                let tombs = self.buried.entry((original.stan, original.rrn));
                tombs.or_default().push(Tomb {
                    transmitted: original.transmitted,
                    decided: tombstone.decided,
                });
            }
            // None of them moves money.
            Record::LateResponse(_)
            | Record::Day(_)
            | Record::Totals(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => {}
        }
    }

    /// What was put back is open again; what was taken out has ended without its issuer.
    fn operated(&mut self, operated: &Operated) {
        let result = match operated.operation {
            Operation::Retry => None,
            Operation::Drop => Some(SafResult::Dropped),
        };
        let entry = self.entry(operated.transaction);
        let known = match (operated.what, entry) {
            (OwedKind::Reversal, Some(entry)) => match entry.reversal.as_mut() {
                Some(reversal) => {
                    reversal.result = result;
                    true
                }
                None => false,
            },
            (OwedKind::Advice, Some(entry)) => {
                let is_owed = entry.advice.is_some();
                entry.advice = Some(result);
                is_owed
            }
            (OwedKind::Reversal | OwedKind::Advice, None) => false,
        };
        if !known {
            self.contradict(operated.transaction, "operated on what was not owed");
        }
    }

    fn intent(&mut self, intent: &Intent) {
        let leg = leg_id(&intent.leg, &intent.facts);
        self.by_leg.insert(leg, intent.transaction);
        match self.entry(intent.transaction) {
            // The next candidate is tried after one that provably got nothing.
            Some(entry) if entry.kind == Some(OutcomeKind::NotSent) => {
                entry.open = true;
                entry.kind = None;
                entry.code = None;
            }
            Some(_) => self.contradict(intent.transaction, "sent twice"),
            None => self.admit(intent.transaction, Entry::asked(&intent.facts)),
        }
    }

    fn advised(&mut self, advised: &Advised<'_>) {
        if let Some(completed) = &advised.completes {
            self.completes
                .insert(advised.transaction, completed.transaction);
        }
        let mut entry = Entry::asked(&advised.facts);
        entry.open = false;
        entry.is_advised = true;
        entry.code = Some(advised.answer.code);
        entry.authorisation = advised.answer.authorisation;
        entry.advice = Some(None);
        match advised.leg {
            Some(leg) => {
                entry.moved = advised.is_approval();
                let leg = leg_id(&leg, &advised.facts);
                self.by_leg.insert(leg, advised.transaction);
            }
            // Nobody is told, and people look at it.
            None => entry.advice = None,
        }
        match self.entry(advised.transaction) {
            // After a candidate that provably got nothing the switch may approve by itself.
            Some(before) if before.open || before.kind == Some(OutcomeKind::NotSent) => {
                *before = entry;
            }
            Some(_) => self.contradict(advised.transaction, "advised twice"),
            None => self.admit(advised.transaction, entry),
        }
    }

    fn outcome(&mut self, outcome: &Outcome<'_>) {
        match self.entry(outcome.transaction) {
            Some(entry) if entry.open => {
                entry.open = false;
                entry.kind = Some(outcome.kind);
                entry.code = Some(outcome.answer.code);
                entry.authorisation = outcome.answer.authorisation;
                entry.answered = outcome.answer.amount;
            }
            Some(_) => self.contradict(outcome.transaction, "a second outcome"),
            None => self.contradict(outcome.transaction, "an outcome without an intent"),
        }
    }

    fn saf_owed(&mut self, owed: &SafOwed) {
        let stays = owed.replacement.map_or(0, Amount::minor);
        match self.entry(owed.transaction) {
            Some(entry) => {
                entry.reversal = Some(Reversal {
                    stays,
                    result: None,
                });
            }
            None => self.contradict(owed.transaction, "a reversal without an intent"),
        }
    }

    fn admit(&mut self, transaction: TransactionId, entry: Entry) {
        if self
            .by_request
            .insert(entry.request, transaction)
            .is_some_and(|before| before != transaction)
        {
            self.doubled.push(transaction);
        }
        if self.transactions.insert(transaction, entry).is_some() {
            self.contradict(transaction, "admitted twice");
        }
    }

    /// The transaction of a request.
    pub(super) fn of_request(&self, request: &TraceId) -> Option<(TransactionId, &Entry)> {
        let id = self.by_request.get(request)?;
        Some((*id, self.transactions.get(id)?))
    }

    /// Whether it is an advice.
    pub(super) fn is_advised(&self, transaction: TransactionId) -> bool {
        let entry = self.transactions.get(&transaction);
        entry.is_some_and(|entry| entry.is_advised)
    }

    /// Whether a request was reversed before it came, and so before `approved`, when its acquirer
    /// first read that it was taken. What was told before its tombstone was lost, not buried.
    pub(super) fn is_buried(&self, request: &TraceId, approved: Option<WallTime>) -> bool {
        let tombs = self.buried.get(&(request.stan, request.rrn));
        tombs.into_iter().flatten().any(|tomb| {
            let named = tomb.transmitted.is_none_or(|at| at == request.transmitted);
            let earliest = tomb.decided.unix_millis().saturating_sub(SKEW_MS);
            named && approved.is_some_and(|at| at.unix_millis() >= earliest)
        })
    }

    fn entry(&mut self, transaction: TransactionId) -> Option<&mut Entry> {
        self.transactions.get_mut(&transaction)
    }

    fn contradict(&mut self, transaction: TransactionId, what: &'static str) {
        self.contradictions.push((transaction, what));
    }
}

impl Entry {
    fn asked(facts: &Facts) -> Self {
        Self {
            request: request_id(&facts.trace),
            acquirer: facts.acquirer,
            key: facts.key,
            amount: facts.amount,
            code: None,
            kind: None,
            authorisation: AuthorisationId::EMPTY,
            answered: None,
            open: true,
            reversal: None,
            advice: None,
            moved: false,
            is_advised: false,
        }
    }

    /// Money as the journal knows it, in minor units.
    pub(super) fn money(&self) -> u64 {
        let answered = self.kind == Some(OutcomeKind::Answered);
        let approved = self.moved || (answered && self.code.is_some_and(ResponseCode::is_approval));
        match (approved, self.reversal) {
            (false, _) => 0,
            (true, Some(reversal)) => reversal.stays,
            (true, None) => self.answered.unwrap_or(self.amount).minor(),
        }
    }

    /// Whether its money is what was `asked` for, what a reversal leaves of that, or none: a lost
    /// answer explains no other.
    pub(super) fn is_all_or_nothing(&self, asked: Amount, stays: u64) -> bool {
        let same_currency = self.amount.currency() == asked.currency();
        let explained = [asked.minor(), stays].contains(&self.money());
        self.money() == 0 || (same_currency && explained)
    }

    /// A reversal or an advice is owed and has not ended.
    pub(super) fn is_owing(&self) -> bool {
        let reversal = self
            .reversal
            .is_some_and(|reversal| reversal.result.is_none());
        reversal || self.advice == Some(None)
    }
}

/// What the clocks of the switch and of the acquirer may differ by in a long run: each counts from
/// a wall time of its own.
const SKEW_MS: u64 = 500;

/// The last record of each shard.
///
/// # Errors
/// The journal cannot be read, or is damaged.
pub fn last_records(root: &Path) -> Result<Vec<(u16, Lsn)>> {
    read_shards(root, |_| ())
}

fn read_shards(root: &Path, mut take: impl FnMut(&Record<'_>)) -> Result<Vec<(u16, Lsn)>> {
    let content = Manifest::read(root).context("the journal cannot be read")?;
    let mut all = Vec::new();
    for earlier in content
        .earlier
        .iter()
        .filter(|earlier| earlier.is_there(root))
    {
        for (shard, last) in (0..).zip(&earlier.last) {
            let identity = earlier.identity(content.node, ShardId(shard));
            read_shard(root, identity, UpTo::Durable(*last), &mut take)?;
        }
    }
    for shard in 0..content.shards {
        let identity = content.identity(ShardId(shard));
        all.push((shard, read_shard(root, identity, UpTo::End, &mut take)?));
    }
    Ok(all)
}

/// What was carried over was taken where it happened; where that was retired, from the checkpoint
/// that stands for it.
fn read_shard(
    root: &Path,
    identity: Identity,
    up_to: UpTo,
    take: &mut impl FnMut(&Record<'_>),
) -> Result<Lsn> {
    let (generation, shard) = (identity.generation, identity.shard);
    let damaged = || format!("shard {shard} of generation {generation} cannot be read");
    let segments = list(root, &identity).with_context(damaged)?;
    if segments.first().is_some_and(|first| first.number > 1) {
        return read_known(root, identity, up_to, take).with_context(damaged);
    }
    let mut reader = ShardReader::of(root, identity, Lsn::ZERO);
    let mut last = Lsn::ZERO;
    while let Some(entry) = reader.next(up_to).with_context(damaged)? {
        last = entry.lsn;
        if !entry.carriage.is_carried() {
            take(&entry.record);
        }
    }
    Ok(last)
}

/// What a start would read: of what was over and is forgotten nothing is left.
fn read_known(
    root: &Path,
    identity: Identity,
    up_to: UpTo,
    take: &mut impl FnMut(&Record<'_>),
) -> Result<Lsn> {
    let mut reader = KnownReader::open(root, identity)?;
    let covered = reader.covered();
    let mut left = covered.map_or(0, |covered| covered.records);
    let mut last = covered.map_or(Lsn::ZERO, |covered| {
        Lsn(covered.next_lsn.0.saturating_sub(1))
    });
    while let Some(entry) = reader.next(up_to)? {
        if left > 0 {
            left -= 1;
            take(&entry.record);
            continue;
        }
        last = entry.lsn;
        if !entry.carriage.is_carried() {
            take(&entry.record);
        }
    }
    Ok(last)
}

fn leg_id(leg: &IssuerLeg, facts: &Facts) -> TraceId {
    TraceId {
        stan: leg.stan,
        transmitted: leg.transmitted,
        rrn: facts.trace.rrn,
        terminal: facts.trace.terminal,
    }
}

fn request_id(trace: &Trace) -> TraceId {
    TraceId {
        stan: trace.stan,
        transmitted: trace.transmitted,
        rrn: trace.rrn,
        terminal: trace.terminal,
    }
}
