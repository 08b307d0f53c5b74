//! Counting on a shard without a lock, and adding up when somebody scrapes.
//!
//! Each shard owns one block of numbers and is its only writer; the control plane has one more per
//! shard for what it knows of it. A scrape reads all of them with relaxed loads and waits for
//! nobody, so it works while a shard is stuck, which is when it is needed most.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::IssuerId;

mod block;
pub(crate) mod exposition;
pub(crate) mod fold;
pub mod labels;
pub mod names;
mod observe;
mod openmetrics;
mod process;
mod sampler;
#[cfg(test)]
mod tests;
mod text;

pub use exposition::{Exposition, Labels};
pub use labels::{
    AcceptError, AdministrativeResult, AdviceOriginLabel, BreakerLabel, CloseReason,
    CredentialReload, DeclineReason, EjectionLabel, ExceptionReason, GatewayRefusal, GivenUpReason,
    Ingress, IssuerResult, JournalOp, KeyReload, LinkState, LogDropCause, MacFailure, Origin,
    Outcome, OwedResultLabel, ParseReason, ReconciliationResult, RejectReason, RepeatResult,
    ReversalCauseLabel, RiskVerdict, Side, SkewDirection, Stage, TlsReload, TlsResult,
    TransactionType, UnmatchedReason, UnwritableReason,
};
pub use observe::ShardGauges;
pub(crate) use sampler::Sampler;

use crate::config::ListenerId;
use crate::limits::LABELS_MAX;
use block::{BOUNDS, Block, OFFSETS};
use names::FamilyId;

/// One writer's counters. Cheap to clone within its writer; never shared between threads that
/// count.
#[derive(Clone, Debug)]
pub struct Metrics {
    block: Arc<Block>,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// A request or a reversal was read from an acquirer.
    Requests(Ingress),
    /// A copy was recognised.
    Repeats(Ingress, RepeatResult),
    /// A request made no transaction.
    Rejected(Ingress, RejectReason),
    /// A connection or a request of a gateway, by its number, was refused.
    GatewayRefusals(u16, GatewayRefusal),
    /// A transaction was decided.
    Transactions(Ingress, TransactionType, Outcome),
    /// A transaction was declined.
    Declines(Origin, DeclineReason),
    /// A connection could not be accepted.
    AcceptErrors(AcceptError),
    /// A TLS handshake ended.
    TlsHandshakes(Side, TlsResult),
    /// A frame was no message, or its meaning was not clear.
    ParseErrors(Side, ParseReason),
    /// The MAC of a message was missing or wrong.
    MacFailures(Side, MacFailure),
    /// Packed digits of an acquirer were filled with another nibble than the dialect's.
    SessionPadding(ListenerId),
    /// Packed digits of an issuer were.
    IssuerPadding(IssuerId),
    /// A call of an issuer ended.
    IssuerRequests(IssuerId, IssuerResult),
    /// A connection to an issuer was lost and is made again.
    LinkReconnects(IssuerId),
    /// A shard left a link of an issuer out, or took it back.
    LinkEjections(IssuerId, EjectionLabel),
    /// The network between gave back what was sent to an issuer.
    IssuerRejects(IssuerId),
    /// A message could not be written for an issuer.
    Unwritable(IssuerId, UnwritableReason),
    /// An answer belongs to nothing that waits.
    Unmatched(IssuerId, UnmatchedReason),
    /// A breaker changed its state.
    BreakerTransitions(IssuerId, BreakerLabel),
    /// An issuer was passed over because of its breaker.
    BreakerRejected(IssuerId),
    /// An issuer took a request that another one stood before it for.
    Failovers(IssuerId),
    /// A reversal is owed or has ended.
    Reversals(ReversalCauseLabel, OwedResultLabel),
    /// An advice is owed or has ended.
    Advices(AdviceOriginLabel, OwedResultLabel),
    /// People have to look at something.
    Exceptions(ExceptionReason),
    /// An administrative message ended.
    Administrative(AdministrativeResult),
    /// Totals were compared.
    Reconciliations(Side, ReconciliationResult),
    /// Risk accepted.
    RiskAllowed,
    /// Risk declined.
    RiskDeclined,
    /// Bytes were written to the journal; use [`Metrics::add`].
    JournalBytes,
    /// The journal failed.
    JournalErrors(JournalOp),
    /// Nanoseconds inside turns; use [`Metrics::add`].
    ShardBusy,
    /// A turn of the loop.
    ShardTurns,
    /// A turn longer than 10 ms.
    ShardStalls,
    /// A request was refused because its owner shard was behind.
    MeshRefused,
    /// All shards are asked for the original of a reversal.
    ReversalQuestions,
    /// An answer waited for PostgreSQL for too long.
    AnswersGivenUp,
    /// A request waits until its issuer has what it is owed.
    HeldBack,
    /// Such a request did not leave.
    HeldBackGivenUp(GivenUpReason),
}

/// Something that is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// Transactions not decided yet.
    Inflight(Ingress),
    /// Calls of an issuer in flight.
    IssuerInflight(IssuerId),
    /// Calls of an issuer that may be in flight.
    IssuerInflightLimit(IssuerId),
    /// Connections to an issuer in a state.
    Links(IssuerId, LinkState),
    /// Administrative messages that wait for their issuer.
    AdministrativeInflight,
    /// Reversals owed and not ended.
    SafDepth,
    /// Exceptions that can be put back.
    SafExceptions,
    /// Requests that wait until their issuer has what it is owed.
    HeldBack,
    /// Records not durable yet.
    JournalUnsynced,
    /// Segment files.
    JournalSegments,
    /// Bytes of segment files.
    JournalUsedBytes,
    /// Bytes that one shard's segments may use.
    JournalLimitBytes,
    /// Transactions remembered.
    DuplicateEntries,
    /// Messages to other shards that wait.
    MeshDepth,
    /// Answers that wait for PostgreSQL.
    AnswersWaiting,
}

/// Something that has a size, in nanoseconds unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Histogram {
    /// Request read to first answer.
    Transaction(Ingress, Outcome),
    /// The same without the wait for an issuer.
    Own(Ingress),
    /// One step.
    Stage(Stage),
    /// One TLS handshake.
    TlsHandshake(Side),
    /// One call of an issuer.
    Issuer(IssuerId),
    /// One assessment.
    Risk,
    /// One flush of the journal.
    JournalSync,
    /// Records that one flush made durable.
    JournalBatchRecords,
    /// The clock of an acquirer, in seconds.
    SessionSkew(ListenerId, SkewDirection),
    /// The clock of an issuer, in seconds.
    IssuerSkew(IssuerId, SkewDirection),
}

impl Metrics {
    /// A writer of its own.
    #[must_use]
    pub fn new() -> Self {
        Self {
            block: Block::new(),
        }
    }

    /// Counts one.
    pub fn count(&self, counter: Counter) {
        self.block.add(counter.slot(), 1);
    }

    /// Counts many.
    pub fn add(&self, counter: Counter, count: u64) {
        self.block.add(counter.slot(), count);
    }

    /// States a value.
    pub fn set(&self, gauge: Gauge, value: u64) {
        self.block.set(gauge.slot(), value);
    }

    /// Sorts a size into its bucket.
    pub fn observe(&self, histogram: Histogram, value: u64) {
        let (slot, bounds) = histogram.slot();
        self.block.observe(slot, bounds, value);
    }

    /// Sorts a time into its bucket.
    pub fn observe_duration(&self, histogram: Histogram, value: Duration) {
        self.observe(
            histogram,
            u64::try_from(value.as_nanos()).unwrap_or(u64::MAX),
        );
    }

    /// States a breaker's state.
    pub fn set_breaker(&self, issuer: IssuerId, state: BreakerLabel) {
        self.block.set(
            offset(FamilyId::BreakerState) + of_issuer(issuer),
            state.index() as u64,
        );
    }

    /// A session was accepted.
    pub fn session_opened(&self, listener: ListenerId) {
        let listener = of_listener(listener);
        self.block
            .add(offset(FamilyId::SessionAccepts) + listener, 1);
        self.block.add(offset(FamilyId::Sessions) + listener, 1);
    }

    /// A session that was accepted has ended.
    pub fn session_closed(&self, listener: ListenerId, reason: CloseReason) {
        self.block
            .subtract_one(offset(FamilyId::Sessions) + of_listener(listener));
        self.session_refused(listener, reason);
    }

    /// A session was closed before it began.
    pub fn session_refused(&self, listener: ListenerId, reason: CloseReason) {
        let position = pair(of_listener(listener), reason.index(), CloseReason::VALUES);
        self.block
            .add(offset(FamilyId::SessionCloses) + position, 1);
    }

    /// What the shard stated last of its segment files, in bytes.
    #[must_use]
    pub fn journal_used_bytes(&self) -> u64 {
        self.block.value(Gauge::JournalUsedBytes.slot())
    }

    pub(crate) fn block(&self) -> &Block {
        &self.block
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Counter {
    const fn slot(self) -> usize {
        use FamilyId as F;
        let (family, position) = match self {
            Self::Requests(ingress) => (F::Requests, ingress.index()),
            Self::Repeats(ingress, result) => (F::Repeats, repeated(ingress, result)),
            Self::Rejected(ingress, reason) => (F::Rejected, rejected(ingress, reason)),
            Self::GatewayRefusals(gateway, reason) => {
                (F::GatewayRefusals, refusal(gateway, reason))
            }
            Self::Transactions(ingress, kind, outcome) => {
                (F::Transactions, decided(ingress, kind, outcome))
            }
            Self::Declines(origin, reason) => (F::Declines, declined(origin, reason)),
            Self::AcceptErrors(reason) => (F::AcceptErrors, reason.index()),
            Self::TlsHandshakes(side, result) => (F::TlsHandshakes, handshake(side, result)),
            Self::ParseErrors(side, reason) => (
                F::ParseErrors,
                pair(side.index(), reason.index(), ParseReason::VALUES),
            ),
            Self::MacFailures(side, reason) => (F::MacFailures, mac_failure(side, reason)),
            Self::SessionPadding(listener) => (F::SessionPadding, of_listener(listener)),
            Self::IssuerPadding(issuer) => (F::IssuerPadding, of_issuer(issuer)),
            Self::IssuerRequests(issuer, result) => {
                let position = pair(of_issuer(issuer), result.index(), IssuerResult::VALUES);
                (F::IssuerRequests, position)
            }
            Self::LinkReconnects(issuer) => (F::LinkReconnects, of_issuer(issuer)),
            Self::IssuerRejects(issuer) => (F::IssuerRejects, of_issuer(issuer)),
            Self::Unwritable(issuer, reason) => {
                let position = pair(of_issuer(issuer), reason.index(), UnwritableReason::VALUES);
                (F::IssuerUnwritable, position)
            }
            Self::Unmatched(issuer, reason) => {
                let position = pair(of_issuer(issuer), reason.index(), UnmatchedReason::VALUES);
                (F::UnmatchedAnswers, position)
            }
            Self::LinkEjections(issuer, to) => {
                let position = pair(of_issuer(issuer), to.index(), EjectionLabel::VALUES);
                (F::LinkEjections, position)
            }
            Self::BreakerTransitions(issuer, to) => {
                let position = pair(of_issuer(issuer), to.index(), BreakerLabel::VALUES);
                (F::BreakerTransitions, position)
            }
            Self::BreakerRejected(issuer) => (F::BreakerRejected, of_issuer(issuer)),
            Self::Failovers(issuer) => (F::Failovers, of_issuer(issuer)),
            Self::Reversals(cause, result) => (F::Reversals, owed(cause.index(), result)),
            Self::Advices(origin, result) => (F::Advices, owed(origin.index(), result)),
            Self::Exceptions(reason) => (F::Exceptions, reason.index()),
            Self::Administrative(result) => (F::Administrative, result.index()),
            Self::Reconciliations(side, result) => (
                F::Reconciliations,
                pair(side.index(), result.index(), ReconciliationResult::VALUES),
            ),
            Self::RiskAllowed => (F::RiskVerdicts, RiskVerdict::Allow.index()),
            Self::RiskDeclined => (F::RiskVerdicts, RiskVerdict::Decline.index()),
            Self::JournalBytes => (F::JournalBytes, 0),
            Self::JournalErrors(op) => (F::JournalErrors, op.index()),
            Self::ShardBusy => (F::ShardBusy, 0),
            Self::ShardTurns => (F::ShardTurns, 0),
            Self::ShardStalls => (F::ShardStalls, 0),
            Self::MeshRefused => (F::MeshRefused, 0),
            Self::ReversalQuestions => (F::ReversalQuestions, 0),
            Self::AnswersGivenUp => (F::AnswersGivenUp, 0),
            Self::HeldBack => (F::HeldBackTotal, 0),
            Self::HeldBackGivenUp(reason) => (F::HeldBackGivenUp, reason.index()),
        };
        OFFSETS[family as usize] + position
    }
}

impl Gauge {
    const fn slot(self) -> usize {
        use FamilyId as F;
        let (family, position) = match self {
            Self::Inflight(ingress) => (F::Inflight, ingress.index()),
            Self::IssuerInflight(issuer) => (F::IssuerInflight, of_issuer(issuer)),
            Self::IssuerInflightLimit(issuer) => (F::IssuerInflightLimit, of_issuer(issuer)),
            Self::Links(issuer, state) => (
                F::Links,
                pair(of_issuer(issuer), state.index(), LinkState::VALUES),
            ),
            Self::AdministrativeInflight => (F::AdministrativeInflight, 0),
            Self::SafDepth => (F::SafDepth, 0),
            Self::SafExceptions => (F::SafExceptions, 0),
            Self::HeldBack => (F::HeldBack, 0),
            Self::JournalUnsynced => (F::JournalUnsynced, 0),
            Self::JournalSegments => (F::JournalSegments, 0),
            Self::JournalUsedBytes => (F::JournalUsed, 0),
            Self::JournalLimitBytes => (F::JournalLimit, 0),
            Self::DuplicateEntries => (F::DuplicateEntries, 0),
            Self::MeshDepth => (F::MeshDepth, 0),
            Self::AnswersWaiting => (F::AnswersWaiting, 0),
        };
        OFFSETS[family as usize] + position
    }
}

impl Histogram {
    /// Where it begins, and the bounds of its buckets.
    const fn slot(self) -> (usize, &'static [u64]) {
        use FamilyId as F;
        let (family, position) = match self {
            Self::Transaction(ingress, outcome) => (
                F::TransactionDuration,
                pair(ingress.index(), outcome.index(), Outcome::VALUES),
            ),
            Self::Own(ingress) => (F::OwnDuration, ingress.index()),
            Self::Stage(stage) => (F::StageDuration, stage.index()),
            Self::TlsHandshake(side) => (F::TlsHandshakeDuration, side.index()),
            Self::Issuer(issuer) => (F::IssuerDuration, of_issuer(issuer)),
            Self::Risk => (F::RiskDuration, 0),
            Self::JournalSync => (F::JournalSyncDuration, 0),
            Self::JournalBatchRecords => (F::JournalBatchRecords, 0),
            Self::SessionSkew(listener, direction) => {
                (F::SessionSkew, skewed(of_listener(listener), direction))
            }
            Self::IssuerSkew(issuer, direction) => {
                (F::IssuerSkew, skewed(of_issuer(issuer), direction))
            }
        };
        let bounds = BOUNDS[family as usize];
        (
            OFFSETS[family as usize] + position * (bounds.len() + 2),
            bounds,
        )
    }
}

const fn repeated(ingress: Ingress, result: RepeatResult) -> usize {
    pair(ingress.index(), result.index(), RepeatResult::VALUES)
}

const fn rejected(ingress: Ingress, reason: RejectReason) -> usize {
    pair(ingress.index(), reason.index(), RejectReason::VALUES)
}

const fn decided(ingress: Ingress, kind: TransactionType, outcome: Outcome) -> usize {
    let kind = pair(ingress.index(), kind.index(), TransactionType::VALUES);
    pair(kind, outcome.index(), Outcome::VALUES)
}

/// Where a decline stands in its family.
const fn declined(origin: Origin, reason: DeclineReason) -> usize {
    pair(origin.index(), reason.index(), DeclineReason::VALUES)
}

const fn handshake(side: Side, result: TlsResult) -> usize {
    pair(side.index(), result.index(), TlsResult::VALUES)
}

const fn skewed(endpoint: usize, direction: SkewDirection) -> usize {
    pair(endpoint, direction.index(), SkewDirection::VALUES)
}

const fn owed(first: usize, result: OwedResultLabel) -> usize {
    pair(first, result.index(), OwedResultLabel::VALUES)
}

const fn pair(first: usize, second: usize, of_second: &[&str]) -> usize {
    first * of_second.len() + second
}

/// A configuration with more issuers than labels is refused, so none is folded into another.
const fn of_issuer(issuer: IssuerId) -> usize {
    below_max(issuer.0 as usize)
}

const fn of_listener(listener: ListenerId) -> usize {
    below_max(listener.0 as usize)
}

/// Of a gateway by its number.
const fn refusal(gateway: u16, reason: GatewayRefusal) -> usize {
    let gateway = below_max(gateway as usize);
    pair(gateway, reason.index(), GatewayRefusal::VALUES)
}

const fn mac_failure(side: Side, reason: MacFailure) -> usize {
    pair(side.index(), reason.index(), MacFailure::VALUES)
}

const fn below_max(position: usize) -> usize {
    if position < LABELS_MAX {
        position
    } else {
        LABELS_MAX - 1
    }
}

const fn offset(family: FamilyId) -> usize {
    OFFSETS[family as usize]
}
