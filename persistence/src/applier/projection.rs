//! The fold of one batch: per transaction, what its records of this batch set.
//!
//! A transaction's columns fall into groups. Each record sets one or more groups whole, so the last
//! record that touches a group decides it, and the fold of a batch can be laid over the fold of all
//! records before it: `transaction = f(all records)` holds batch by batch, and laying the same
//! batch over twice changes nothing.
//!
//! | record | groups it sets |
//! |---|---|
//! | intent | request, leg, outcome (to `sent`) |
//! | refused | request, outcome |
//! | outcome | outcome |
//! | saf-owed | owed, ended (to `owed`) |
//! | saf-done | ended; a failed one is also kept by itself, whatever follows it |
//! | advised | request, leg, outcome; one that nobody is told of is also kept by itself |
//! | advice-done | none; a failed one is kept by itself |
//! | operated | ended, of a reversal (to `owed` again, or `dropped`); also kept by itself |
//! | late response | late; also kept by itself, in case it contradicts the first answer |
//! | any that posts | posted, from the books (`ledger`) |
//! | tombstone | none: it is no transaction, its row is in `event` alone |
//! | day, totals, reconciliation-owed | as a tombstone |
//! | reconciled, reconciliation-done | as a tombstone; a failed one is kept by itself |

use std::collections::{BTreeMap, HashMap};

use domain::ids::{AuthorisationId, Lsn, TransactionId};
use domain::reconciliation::{
    Figure, Party, Reconciled, ReconciliationDone, ReconciliationOwed, Totals, Verdict,
};
use domain::record::{
    AdviceOrigin, Advised, Intent, LateResponse, Operated, Operation, Outcome, OutcomeKind,
    OwedKind, Record, Refused, SafDone, SafOwed, SafResult,
};
use domain::request::{Facts, IssuerLeg};
use domain::time::WallTime;
use domain::{Amount, ResponseCode};

use super::ledger::{Between, Standing};
use super::words;

/// Which groups of columns a staged row sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched(u16);

impl Touched {
    pub(crate) const REQUEST: Self = Self(1);
    pub(crate) const LEG: Self = Self(2);
    pub(crate) const OUTCOME: Self = Self(4);
    pub(crate) const OWED: Self = Self(8);
    pub(crate) const ENDED: Self = Self(16);
    pub(crate) const LATE: Self = Self(32);
    pub(crate) const POSTED: Self = Self(64);

    /// As a statement reads it.
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a batch sets of one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    pub(crate) transaction: TransactionId,
    /// The last record of the batch that names it.
    pub(crate) lsn: Lsn,
    pub(crate) touched: Touched,
    /// Whether its first record of the batch is one that a transaction begins with.
    begins: bool,
    pub(crate) request: Option<Asked>,
    pub(crate) leg: Option<IssuerLeg>,
    pub(crate) outcome: Ending,
    pub(crate) owed: Option<SafOwed>,
    pub(crate) ended: Option<ReversalState>,
    pub(crate) late: Option<LateResponse>,
    /// What the books hold of it after the batch, when the batch changes that.
    pub(crate) posted: Option<Standing>,
}

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) admitted: WallTime,
    pub(crate) facts: Facts,
}

/// How it ended, so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) state: &'static str,
    pub(crate) approved: bool,
    pub(crate) code: Option<ResponseCode>,
    pub(crate) issuer_code: Option<ResponseCode>,
    pub(crate) refusal: Option<&'static str>,
    pub(crate) authorisation: AuthorisationId,
    pub(crate) amount: Option<Amount>,
    pub(crate) decided: Option<WallTime>,
}

impl Ending {
    const SENT: Self = Self {
        state: words::SENT,
        approved: false,
        code: None,
        issuer_code: None,
        refusal: None,
        authorisation: AuthorisationId::EMPTY,
        amount: None,
        decided: None,
    };
}

/// How far the reversal is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReversalState {
    pub(crate) state: &'static str,
    pub(crate) code: Option<ResponseCode>,
    pub(crate) attempts: Option<u32>,
    pub(crate) ended: Option<WallTime>,
}

/// The fold of one batch, in the order in which its transactions first appear.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    rows: Vec<Staged>,
    index: HashMap<TransactionId, usize>,
    failed: Vec<Failed>,
    totals: OwedTotals,
}

/// Our totals that issuers were owed, the latest of them: how that ends comes batches later.
#[derive(Debug, Default)]
pub(crate) struct OwedTotals(BTreeMap<TransactionId, ReconciliationOwed>);

impl OwedTotals {
    /// Also of what was carried over.
    pub(crate) fn note(&mut self, owed: &ReconciliationOwed) {
        self.0.insert(owed.transaction, *owed);
        if self.0.len() > TOTALS_MAX {
            self.0.pop_first();
        }
    }
}

/// Many days of many issuers.
const TOTALS_MAX: usize = 1_024;

/// Something that a person has to look at. No fold: a later reversal of the same transaction does
/// not settle one that its issuer did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) transaction: TransactionId,
    pub(crate) lsn: Lsn,
    pub(crate) what: What,
    /// Whom it is with, where the transaction does not say.
    pub(crate) party: Option<Party>,
    /// Who has done it by hand, and why; or what else is needed to act on it.
    pub(crate) note: Option<String>,
}

/// What has to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Something owed that ended without the issuer taking it.
    Owed(OwedKind, Failure),
    /// An issuer's answer after the end. It matters where the first one said the opposite, which
    /// the row of its transaction knows.
    SecondAnswer {
        /// What it says.
        code: ResponseCode,
        /// When it came.
        at: WallTime,
    },
    /// Two sides do not have the same totals.
    OutOfBalance,
    /// An issuer did not take our totals.
    ReconciliationRefused,
    /// It never answered.
    ReconciliationExpired,
}

/// Why the issuer has not taken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was refused, or its time ran out.
    Ended(SafResult),
    /// What it completes had been reversed.
    Reversed,
    /// The issuer of what it completes is not configured any more.
    NoIssuer,
    /// It completes more than its session lets it.
    Over,
    /// An operator has put it back.
    PutBack,
}

impl Failed {
    fn late(lsn: Lsn, late: &LateResponse) -> Self {
        Self {
            transaction: late.transaction,
            lsn,
            what: What::SecondAnswer {
                code: late.code,
                at: late.received,
            },
            party: Some(Party::Issuer(late.issuer)),
            note: None,
        }
    }

    /// Of a second answer, whether it approves.
    pub(crate) fn approves(&self) -> Option<bool> {
        match self.what {
            What::SecondAnswer { code, .. } => Some(code.is_approval()),
            What::Owed(..)
            | What::OutOfBalance
            | What::ReconciliationRefused
            | What::ReconciliationExpired => None,
        }
    }

    /// Its note. That of a second answer is written only here: most of them contradict nothing.
    pub(crate) fn said(&self) -> Option<String> {
        match self.what {
            What::SecondAnswer { code, at } => {
                let says = if code.is_approval() {
                    "approves"
                } else {
                    "declines"
                };
                Some(format!("{says} with {code} at {at}, after the opposite"))
            }
            What::Owed(..)
            | What::OutOfBalance
            | What::ReconciliationRefused
            | What::ReconciliationExpired => self.note.clone(),
        }
    }

    /// A reconciliation of the other side, where both do not say the same.
    fn reconciled(lsn: Lsn, reconciled: &Reconciled) -> Option<Self> {
        let differs = reconciled.differs;
        (reconciled.verdict == Verdict::OutOfBalance).then(|| Self {
            transaction: reconciled.transaction,
            lsn,
            what: What::OutOfBalance,
            party: Some(reconciled.party),
            note: Some(format!(
                "{} {}, DE11 {}; other figures in {}; ours: {}",
                reconciled.date,
                reconciled.currency,
                reconciled.stan,
                listed(differs.fields().map(|field| format!("DE{field}"))),
                figures(&reconciled.ours),
            )),
        })
    }

    /// A reconciliation of ours that its issuer did not take, or did not agree with. What was owed
    /// is not known when an earlier process has copied that: it is in `event`.
    fn not_taken(
        lsn: Lsn,
        done: &ReconciliationDone,
        owed: Option<&ReconciliationOwed>,
    ) -> Option<Self> {
        let what = match (done.result, done.verdict) {
            (SafResult::Acknowledged, Verdict::OutOfBalance) => What::OutOfBalance,
            (SafResult::Acknowledged, Verdict::InBalance | Verdict::Unknown) => return None,
            (SafResult::Acknowledged, Verdict::Error)
            | (SafResult::Refused | SafResult::Dropped, _) => What::ReconciliationRefused,
            (SafResult::Expired, _) => What::ReconciliationExpired,
        };
        let attempts = done.attempts;
        let ours = owed.map_or_else(
            || "what was owed is in the event reconciliation_owed".to_owned(),
            |owed| {
                format!(
                    "{} {}, DE11 {}; ours: {}",
                    owed.date,
                    owed.currency,
                    owed.stan,
                    figures(&owed.ours)
                )
            },
        );
        Some(Self {
            transaction: done.transaction,
            lsn,
            what,
            party: owed.map(|owed| Party::Issuer(owed.issuer)),
            note: Some(format!("{ours}; sent {attempts} times")),
        })
    }
}

/// Those that are not 0.
fn figures(totals: &Totals) -> String {
    let all = Figure::ALL
        .into_iter()
        .map(|figure| (figure.field(), totals.of(figure)));
    let counted = all.filter(|(_, value)| *value > 0);
    listed(counted.map(|(field, value)| format!("DE{field} {value}")))
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        return "none".to_owned();
    }
    parts.join(", ")
}

impl Projection {
    /// Nothing yet, behind batches in which these totals were owed.
    pub(crate) fn after(totals: OwedTotals) -> Self {
        Self {
            totals,
            ..Self::default()
        }
    }

    /// What the next batch may need of this one and those before.
    pub(crate) fn take_totals(&mut self) -> OwedTotals {
        std::mem::take(&mut self.totals)
    }

    /// A record that was carried over: it is a row already.
    pub(crate) fn know(&mut self, record: &Record<'_>) {
        if let Record::ReconciliationOwed(owed) = record {
            self.totals.note(owed);
        }
    }

    /// Lays `record` over what the batch has set so far.
    pub(crate) fn fold(&mut self, lsn: Lsn, record: &Record<'_>) {
        match record {
            Record::Intent(intent) => {
                self.request(lsn, intent.transaction, !is_further(&intent.leg))
                    .intent(intent);
            }
            Record::Refused(refused) => {
                self.request(lsn, refused.transaction, true)
                    .refused(refused);
            }
            Record::Outcome(outcome) => self.row(lsn, outcome.transaction).outcome(outcome),
            Record::SafOwed(owed) => self.row(lsn, owed.transaction).saf_owed(*owed),
            Record::SafDone(done) => {
                self.end(lsn, OwedKind::Reversal, done);
                self.row(lsn, done.transaction).saf_done(done);
            }
            Record::AdviceDone(done) => self.end(lsn, OwedKind::Advice, done),
            Record::Advised(advised) => {
                if advised.leg.is_none() {
                    self.failed.push(Failed {
                        transaction: advised.transaction,
                        lsn,
                        what: What::Owed(
                            OwedKind::Advice,
                            match advised.completes {
                                Some(_) if advised.is_over => Failure::Over,
                                Some(_) => Failure::NoIssuer,
                                None => Failure::Reversed,
                            },
                        ),
                        party: None,
                        note: None,
                    });
                }
                let begins = advised.origin != AdviceOrigin::StandIn;
                self.request(lsn, advised.transaction, begins)
                    .advised(advised);
            }
            Record::Operated(operated) => self.operated(lsn, operated),
            Record::LateResponse(late) => {
                self.failed.push(Failed::late(lsn, late));
                self.row(lsn, late.transaction).late(*late);
            }
            Record::Reconciled(reconciled) => {
                self.failed.extend(Failed::reconciled(lsn, reconciled));
            }
            Record::ReconciliationOwed(owed) => self.totals.note(owed),
            Record::ReconciliationDone(done) => {
                let owed = self.totals.0.get(&done.transaction);
                self.failed.extend(Failed::not_taken(lsn, done, owed));
            }
            Record::Tombstone(_) | Record::Day(_) | Record::Totals(_) => {}
        }
    }

    fn end(&mut self, lsn: Lsn, what: OwedKind, done: &SafDone) {
        if done.result != SafResult::Acknowledged {
            self.failed.push(Failed {
                transaction: done.transaction,
                lsn,
                what: What::Owed(what, Failure::Ended(done.result)),
                party: None,
                note: None,
            });
        }
    }

    /// An operator's hand stays visible, whatever follows it.
    fn operated(&mut self, lsn: Lsn, operated: &Operated) {
        let operator = &operated.operator;
        let (name, reason) = (operator.name.as_str(), operated.reason.as_str());
        self.failed.push(Failed {
            transaction: operated.transaction,
            lsn,
            what: What::Owed(
                operated.what,
                match operated.operation {
                    Operation::Retry => Failure::PutBack,
                    Operation::Drop => Failure::Ended(SafResult::Dropped),
                },
            ),
            party: None,
            note: Some(format!("by {name} ({}): {reason}", operator.uid)),
        });
        if operated.what == OwedKind::Reversal {
            self.row(lsn, operated.transaction).operated(operated);
        }
    }

    /// Between whom a transaction is whose request is in the batch.
    pub(crate) fn between(&self, transaction: TransactionId) -> Option<Between> {
        let row = self.rows.get(*self.index.get(&transaction)?)?;
        let (asked, leg) = (row.request.as_ref()?, row.leg.as_ref()?);
        Some(Between::of(&asked.facts, leg.issuer))
    }

    /// Lays over it what the books hold after the batch.
    pub(crate) fn post(&mut self, standing: &HashMap<TransactionId, Standing>) {
        for (transaction, standing) in standing {
            let row = self.index.get(transaction).copied();
            if let Some(row) = row.and_then(|row| self.rows.get_mut(row)) {
                row.touched.add(Touched::POSTED);
                row.posted = Some(*standing);
            }
        }
    }

    /// The rows that carry a request, in the order in which their transactions first appear: of
    /// doubles inside one batch the first wins.
    pub(crate) fn requested(&self) -> impl Iterator<Item = &Staged> {
        let rows = self.rows.iter();
        rows.filter(|row| row.touched.has(Touched::REQUEST))
    }

    /// Of the [`Self::requested`], those that an earlier batch has probably begun: it held the
    /// intent for a candidate that could not be reached.
    pub(crate) fn resumed(&self) -> impl Iterator<Item = &Staged> {
        self.requested().filter(|row| !row.begins)
    }

    /// The others.
    pub(crate) fn begun(&self) -> impl Iterator<Item = &Staged> {
        self.requested().filter(|row| row.begins)
    }

    /// The rows of transactions whose request came in an earlier batch.
    pub(crate) fn continued(&self) -> impl Iterator<Item = &Staged> {
        let rows = self.rows.iter();
        rows.filter(|row| !row.touched.has(Touched::REQUEST))
    }

    /// What a person has to look at.
    pub(crate) fn failed(&self) -> &[Failed] {
        &self.failed
    }

    /// The row of a record that carries a request.
    fn request(&mut self, lsn: Lsn, transaction: TransactionId, begins: bool) -> &mut Staged {
        let row = self.row(lsn, transaction);
        row.begins |= begins && row.touched == Touched::default();
        row
    }

    fn row(&mut self, lsn: Lsn, transaction: TransactionId) -> &mut Staged {
        let next = self.rows.len();
        let at = *self.index.entry(transaction).or_insert(next);
        if at == next {
            self.rows.push(Staged::new(lsn, transaction));
        }
        #[expect(clippy::expect_used, reason = "the index holds positions in rows only")]
        let row = self
            .rows
            .get_mut(at)
            .expect("invariant: an indexed row exists");
        row.lsn = lsn;
        row
    }
}

/// Whether another candidate has probably been tried before it. With a breaker open it may be the
/// first all the same.
const fn is_further(leg: &IssuerLeg) -> bool {
    leg.candidate != 0 && leg.candidate != IssuerLeg::OF_ORIGINAL
}

impl Staged {
    const fn new(lsn: Lsn, transaction: TransactionId) -> Self {
        Self {
            transaction,
            lsn,
            touched: Touched(0),
            begins: false,
            request: None,
            leg: None,
            outcome: Ending::SENT,
            owed: None,
            ended: None,
            late: None,
            posted: None,
        }
    }

    const fn intent(&mut self, intent: &Intent) {
        self.ask(intent.admitted, intent.facts);
        self.touched.add(Touched::LEG);
        self.leg = Some(intent.leg);
        self.outcome = Ending::SENT;
    }

    fn advised(&mut self, advised: &Advised<'_>) {
        self.ask(advised.admitted, advised.facts);
        if advised.leg.is_some() {
            self.touched.add(Touched::LEG);
            self.leg = advised.leg;
        }
        self.outcome = Ending {
            state: words::advised(advised),
            approved: advised.leg.is_some() && advised.is_approval(),
            code: Some(advised.answer.code),
            issuer_code: advised.reported,
            authorisation: advised.answer.authorisation,
            decided: Some(advised.admitted),
            ..Ending::SENT
        };
    }

    const fn refused(&mut self, refused: &Refused) {
        self.ask(refused.admitted, refused.facts);
        self.outcome = Ending {
            state: words::REFUSED,
            code: Some(refused.code),
            refusal: Some(words::refusal(refused.reason)),
            decided: Some(refused.admitted),
            ..Ending::SENT
        };
    }

    /// Sets the request and clears the outcome, which belongs to an earlier leg if there is one.
    const fn ask(&mut self, admitted: WallTime, facts: Facts) {
        self.touched.add(Touched::REQUEST);
        self.touched.add(Touched::OUTCOME);
        self.request = Some(Asked { admitted, facts });
    }

    fn outcome(&mut self, outcome: &Outcome<'_>) {
        let answered = outcome.kind == OutcomeKind::Answered;
        self.touched.add(Touched::OUTCOME);
        self.outcome = Ending {
            state: words::outcome(outcome.kind),
            approved: answered && outcome.answer.code.is_approval(),
            code: Some(outcome.answer.code),
            issuer_code: outcome.issuer_code,
            refusal: None,
            authorisation: outcome.answer.authorisation,
            amount: outcome.answer.amount,
            decided: Some(outcome.decided),
        };
    }

    const fn saf_owed(&mut self, owed: SafOwed) {
        self.touched.add(Touched::OWED);
        self.owed = Some(owed);
        self.end_reversal(ReversalState {
            state: words::OWED,
            code: None,
            attempts: None,
            ended: None,
        });
    }

    const fn saf_done(&mut self, done: &SafDone) {
        self.end_reversal(ReversalState {
            state: words::saf_result(done.result),
            code: done.code,
            attempts: Some(done.attempts),
            ended: Some(done.decided),
        });
    }

    const fn operated(&mut self, operated: &Operated) {
        self.end_reversal(match operated.operation {
            Operation::Retry => ReversalState {
                state: words::OWED,
                code: None,
                attempts: None,
                ended: None,
            },
            Operation::Drop => ReversalState {
                state: words::saf_result(SafResult::Dropped),
                code: operated.code,
                attempts: Some(operated.attempts),
                ended: Some(operated.decided),
            },
        });
    }

    const fn end_reversal(&mut self, state: ReversalState) {
        self.touched.add(Touched::ENDED);
        self.ended = Some(state);
    }

    const fn late(&mut self, late: LateResponse) {
        self.touched.add(Touched::LATE);
        self.late = Some(late);
    }
}

#[cfg(test)]
mod tests {
    use domain::record::Record;

    use super::*;
    use crate::testing::sample;

    fn intent(transaction: u128, candidate: u8) -> Record<'static> {
        let mut found = (0..).find_map(|seed| match sample(seed) {
            Record::Intent(intent) => Some(intent),
            _ => None,
        });
        let mut intent = found.take().unwrap();
        intent.transaction = TransactionId(transaction);
        intent.leg.candidate = candidate;
        Record::Intent(intent)
    }

    fn outcome(transaction: u128) -> Record<'static> {
        let mut found = (0..).find_map(|seed| match sample(seed) {
            Record::Outcome(outcome) => Some(outcome),
            _ => None,
        });
        let mut outcome = found.take().unwrap();
        outcome.transaction = TransactionId(transaction);
        Record::Outcome(outcome)
    }

    #[test]
    fn what_an_earlier_batch_may_have_begun_is_told_from_what_begins_here() {
        let records = [
            intent(1, 0),
            intent(2, 1),
            intent(3, 0),
            intent(3, 1),
            outcome(4),
            intent(4, 0),
            intent(5, IssuerLeg::OF_ORIGINAL),
            outcome(6),
        ];
        let mut projection = Projection::default();
        for (lsn, record) in (1..).zip(&records) {
            projection.fold(Lsn(lsn), record);
        }
        let ids = |rows: &mut dyn Iterator<Item = &Staged>| -> Vec<u128> {
            rows.map(|row| row.transaction.0).collect()
        };
        assert_eq!(ids(&mut projection.begun()), [1, 3, 5]);
        assert_eq!(ids(&mut projection.resumed()), [2, 4]);
        assert_eq!(ids(&mut projection.continued()), [6]);
    }
}
