//! What each journal record says. Its bytes belong to `persistence`; what must be durable before
//! what is in `docs/journal-format.md`.

mod operated;

pub use operated::{Operated, Operation, Operator, OwedKind, Reason};

use crate::amount::Amount;
use crate::ids::{AcquirerId, AuthorisationId, IssuerId, Slot, Stan, TransactionId};
use crate::message_reason::MessageReason;
use crate::reconciliation::{
    BusinessDay, DayTotals, Reconciled, ReconciliationDone, ReconciliationOwed,
};
use crate::request::{
    Answer, DuplicateKey, Facts, IssuerLeg, MessageClass, MessageKind, OriginalReference, TraceKey,
};
use crate::response_code::ResponseCode;
use crate::time::{TransmissionTime, WallTime};

/// One record of a shard's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A request is about to leave for an issuer. Durable before its first byte does.
    Intent(Intent),
    /// Declined in the switch, nothing left for an issuer. Durable before the answer.
    Refused(Refused),
    /// How an intent ended. Durable before the answer.
    Outcome(Outcome<'a>),
    /// A reversal is owed. Durable before the answer that it stands for.
    SafOwed(SafOwed),
    /// An owed reversal has ended. Nothing waits for it.
    SafDone(SafDone),
    /// A reversal came before its original. Durable before its acknowledgement.
    Tombstone(Tombstone),
    /// An answer came after its transaction had timed out. Nothing waits for it.
    LateResponse(LateResponse),
    /// An issuer is owed an advice, or people are. Durable before its acknowledgement.
    Advised(Advised<'a>),
    /// An owed advice has ended. Nothing waits for it.
    AdviceDone(SafDone),
    /// An operator has put something owed back, or taken it out. Durable before the operator is
    /// told.
    Operated(Operated),
    /// A business day has begun, or goes on. Nothing waits for it.
    Day(BusinessDay),
    /// What was counted of a business day. Durable before it is told when the day is closed.
    Totals(DayTotals),
    /// A reconciliation was decided. Durable before its answer.
    Reconciled(Reconciled),
    /// An issuer is owed a reconciliation. Durable before its first byte leaves.
    ReconciliationOwed(ReconciliationOwed),
    /// It has ended. Nothing waits for it.
    ReconciliationDone(ReconciliationDone),
}

impl Record<'_> {
    /// The transaction that the record belongs to.
    #[must_use]
    pub const fn transaction(&self) -> TransactionId {
        match self {
            Self::Intent(record) => record.transaction,
            Self::Refused(record) => record.transaction,
            Self::Outcome(record) => record.transaction,
            Self::SafOwed(record) => record.transaction,
            Self::SafDone(record) => record.transaction,
            Self::Tombstone(record) => record.transaction,
            Self::LateResponse(record) => record.transaction,
            Self::Advised(record) => record.transaction,
            Self::AdviceDone(record) => record.transaction,
            Self::Operated(record) => record.transaction,
            Self::Day(record) => record.transaction,
            Self::Totals(record) => record.transaction,
            Self::Reconciled(record) => record.transaction,
            Self::ReconciliationOwed(record) => record.transaction,
            Self::ReconciliationDone(record) => record.transaction,
        }
    }
}

/// What a journal may not say of the past, as memory had no room for it when its records were
/// carried over. Zero says that nothing of the kind is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftBehind {
    /// Of what was over then.
    pub over: WallTime,
    /// Of the advices whose DE7 is no later: some gave way to requests before their window was
    /// over.
    pub advices: WallTime,
}

impl LeftBehind {
    /// What either of them lacks.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            over: self.over.max(other.over),
            advices: self.advices.max(other.advices),
        }
    }
}

/// Whether a record happened where it stands, or was carried over from an older generation of the
/// journal, when the number of shards changed. What is carried rebuilds what is known of its
/// transaction: it counts in no totals again, and is no row of PostgreSQL again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Carriage {
    /// It happened here.
    #[default]
    Fresh,
    /// Carried over.
    Carried,
    /// Carried over, of an approval that stands in the totals: its reversal counts too.
    Counted,
}

impl Carriage {
    /// Whether it was carried over.
    #[must_use]
    pub const fn is_carried(self) -> bool {
        match self {
            Self::Fresh => false,
            Self::Carried | Self::Counted => true,
        }
    }
}

/// A request is about to leave. A second intent of the same transaction follows only an outcome
/// [`OutcomeKind::NotSent`]: the next candidate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The transaction.
    pub transaction: TransactionId,
    /// When it was admitted.
    pub admitted: WallTime,
    /// What was asked.
    pub facts: Facts,
    /// Where it goes.
    pub leg: IssuerLeg,
    /// Its issuer can be asked what became of it: a start that finds it open asks until then, in
    /// place of reversing it. Counted from its admission.
    pub asked_until: Option<WallTime>,
}

/// A decline made in the switch: the whole life of the transaction in one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The transaction.
    pub transaction: TransactionId,
    /// When it was admitted.
    pub admitted: WallTime,
    /// What was asked.
    pub facts: Facts,
    /// What the acquirer is told.
    pub code: ResponseCode,
    /// Who declined, and why.
    pub reason: RefusalReason,
}

/// Why the switch declined on its own. A closed set: it becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RefusalReason {
    /// Block list (62).
    BlockList = 1,
    /// Single amount above the limit (61).
    AmountLimit = 2,
    /// Sum over a window above the limit (61).
    VelocityAmount = 3,
    /// Number in a window above the limit (65).
    VelocityCount = 4,
    /// Score or rule (59).
    Fraud = 5,
    /// No route is configured (92).
    NoRoute = 6,
    /// Routes exist, none admits (91).
    NoneAdmits = 7,
    /// A completion request names nothing that is known (25).
    UnknownOriginal = 8,
    /// A completion request names what was reversed (94 or 12).
    ReversedOriginal = 9,
    /// A completion request is above what its session lets through (13).
    OverOriginal = 10,
}

/// How an intent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// The transaction.
    pub transaction: TransactionId,
    /// When it was decided.
    pub decided: WallTime,
    /// How it ended.
    pub kind: OutcomeKind,
    /// What the acquirer and every copy is told.
    pub answer: Answer<'a>,
    /// DE39 as the issuer sent it, when that is not what the acquirer is told.
    pub issuer_code: Option<ResponseCode>,
}

impl Outcome<'_> {
    /// Whether money has moved by it.
    #[must_use]
    pub fn is_approval(&self) -> bool {
        self.kind == OutcomeKind::Answered && self.answer.code.is_approval()
    }
}

/// The one transition out of SENT (semantics.md §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OutcomeKind {
    /// The issuer answered in time, with an approval or a decline.
    Answered = 1,
    /// No answer by the route's deadline; a reversal is owed in the same batch.
    TimedOut = 2,
    /// The answer belongs to it but cannot be used; a reversal is owed in the same batch.
    Invalid = 3,
    /// Provably nothing left for the issuer; no reversal is owed.
    NotSent = 4,
    /// The acquirer's reversal came first; the request's own answer is never sent.
    AcquirerReversed = 5,
}

/// A reversal is owed to the issuer of the transaction's latest intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafOwed {
    /// The transaction.
    pub transaction: TransactionId,
    /// When it was decided.
    pub decided: WallTime,
    /// Why.
    pub cause: ReversalCause,
    /// Names the acquirer's reversal and its copies; zero when the switch itself owes it.
    pub key: DuplicateKey,
    /// The amount that stays, for a partial reversal.
    pub replacement: Option<Amount>,
    /// Why, in the words of the acquirer that asked for it; `None` where it did not say.
    pub reason: Option<MessageReason>,
}

impl SafOwed {
    /// Whether it takes an approval back: the acquirer asked for it, or nobody was told of the
    /// approval. All others stand for answers that never came, and take nothing back that counts.
    #[must_use]
    pub const fn takes_back(&self) -> bool {
        match self.cause {
            ReversalCause::Requested | ReversalCause::Undelivered => true,
            ReversalCause::Timeout | ReversalCause::InvalidAnswer | ReversalCause::Restart => false,
        }
    }
}

/// Why a reversal is owed. A closed set: it becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ReversalCause {
    /// No answer by the deadline.
    Timeout = 1,
    /// The acquirer asked for it.
    Requested = 2,
    /// The answer could not be used.
    InvalidAnswer = 3,
    /// A restart found the intent without outcome.
    Restart = 4,
    /// The approval could not be told, and nobody asked for it again.
    Undelivered = 5,
}

/// An owed reversal, or an owed advice, has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafDone {
    /// The transaction.
    pub transaction: TransactionId,
    /// When.
    pub decided: WallTime,
    /// How.
    pub result: SafResult,
    /// The last DE39 of the issuer, if it ever answered.
    pub code: Option<ResponseCode>,
    /// Transmissions in all.
    pub attempts: u32,
}

/// How an owed reversal or advice ended. A closed set: it becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SafResult {
    /// The issuer took it, or never had the original of a reversal.
    Acknowledged = 1,
    /// The issuer refused it three times: an exception for people.
    Refused = 2,
    /// Its time ran out: an exception for people.
    Expired = 3,
    /// An operator took it out: an exception for people.
    Dropped = 4,
}

/// A reversal whose original is not known here: the original, should it still come, is not
/// forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// An id of its own.
    pub transaction: TransactionId,
    /// When the reversal came.
    pub decided: WallTime,
    /// Whose session it came on.
    pub acquirer: AcquirerId,
    /// Where the original would live.
    pub slot: Slot,
    /// Where the original would be looked for.
    pub trace_key: TraceKey,
    /// Names the reversal and its copies.
    pub key: DuplicateKey,
    /// What the reversal says of its original.
    pub original: OriginalReference,
}

/// An answer that came after the transaction had ended. The reversal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateResponse {
    /// The transaction.
    pub transaction: TransactionId,
    /// When it came.
    pub received: WallTime,
    /// From whom.
    pub issuer: IssuerId,
    /// What it said.
    pub code: ResponseCode,
}

/// What an issuer has to be told of: an advice that an acquirer sent, or an approval in its place.
/// The whole life of the transaction but for the end of the advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advised<'a> {
    /// The transaction.
    pub transaction: TransactionId,
    /// When it was admitted.
    pub admitted: WallTime,
    /// What it reports.
    pub facts: Facts,
    /// DE39 of the advice: what was decided. `None` where it has none; then it was approved.
    pub reported: Option<ResponseCode>,
    /// Who decided it.
    pub origin: AdviceOrigin,
    /// How the advice travels. `None` when it does not: people have to look at it.
    pub leg: Option<IssuerLeg>,
    /// The transaction that it completes, as its issuer knows it. Without a leg: that issuer is not
    /// configured any more, or `is_over`, and else what it completes had been reversed.
    pub completes: Option<Completed>,
    /// It completes more than its session lets it, and has no leg therefore.
    pub is_over: bool,
    /// What the acquirer and every copy is told.
    pub answer: Acknowledged,
    /// Further fields to pass on, encoded as [`Answer::fields`]. No authentication data, no
    /// account number.
    pub fields: &'a [u8],
}

impl Advised<'_> {
    /// Whether money has moved by it.
    #[must_use]
    pub fn is_approval(&self) -> bool {
        self.reported.is_none_or(ResponseCode::is_approval)
    }
}

/// Who decided what an advice reports. A closed set: it becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AdviceOrigin {
    /// The acquirer: 0120 or 0220.
    Acquirer = 1,
    /// The switch, in place of an issuer that could not be asked.
    StandIn = 2,
}

/// An original by its issuer's leg, for the DE90 of what completes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The original.
    pub transaction: TransactionId,
    /// Its class.
    pub class: MessageClass,
    /// Whether it asked or reported.
    pub kind: MessageKind,
    /// DE11 of its leg.
    pub stan: Stan,
    /// DE7 of its leg.
    pub transmitted: TransmissionTime,
    /// When it was made where it was made, as an issuer of 1993 has it in DE12; DE7 of its leg
    /// where its acquirer did not say.
    pub local: TransmissionTime,
    /// How much of it is completed.
    pub extent: Extent,
}

/// How the amount of a completion stands to what it completes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Nothing was approved, or nobody has compared them.
    #[default]
    Unknown = 0,
    /// It is what was approved and stands.
    Whole = 1,
    /// It is more or less.
    Other = 2,
}

/// What was told at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// DE39.
    pub code: ResponseCode,
    /// DE38, given by the switch; empty when there is none.
    pub authorisation: AuthorisationId,
}
