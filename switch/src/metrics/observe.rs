//! What the pure crates say, in the words of the metrics.

use std::time::Duration;

use domain::ids::IssuerId;
use domain::record::{
    AdviceOrigin, Outcome as OutcomeRecord, OutcomeKind, Record, RefusalReason, ReversalCause,
    SafResult,
};
use domain::request::{IssuerLeg, MessageClass};
use domain::time::{Skew, TransmissionTime, WallTime};
use domain::{ResponseCode, ResultCode};
use iso8583::MessageRef;
use iso8583::error::{MacError, MacRule, ParseError, ParseErrorKind};
use router::breaker::BreakerState;
use router::links::EjectionChange;
use router::selection::Transition;
use transaction::output::{
    AdviceResult, CopyResult, Event, GivenUp, LegEnding, NotAdmitted, Owed, ReversalResult,
};

use super::labels::{
    AdviceOriginLabel, BreakerLabel, DeclineReason, EjectionLabel, ExceptionReason, GivenUpReason,
    Ingress, IssuerResult, MacFailure, Origin, Outcome, OwedResultLabel, ParseReason, RejectReason,
    RepeatResult, ReversalCauseLabel, Side, SkewDirection, TransactionType,
};
use super::{Counter, Gauge, Histogram, Metrics};
use crate::config::ListenerId;

/// What a shard states of itself from time to time.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardGauges {
    /// Transactions not decided yet.
    pub inflight: usize,
    /// Those of gateways among them that this start has begun.
    pub inflight_http: usize,
    /// Transactions remembered.
    pub duplicate_entries: usize,
    /// Reversals owed and not ended.
    pub saf_depth: usize,
    /// Exceptions that can be put back.
    pub saf_exceptions: usize,
    /// Requests that wait until their issuer has what it is owed.
    pub held_back: usize,
    /// Records not durable yet.
    pub journal_unsynced: u64,
    /// Segment files.
    pub journal_segments: u64,
    /// Their bytes.
    pub journal_used_bytes: u64,
    /// Messages to other shards that wait.
    pub mesh_depth: usize,
    /// Answers that wait for PostgreSQL.
    pub answers_waiting: usize,
    /// Administrative messages that wait for their issuer.
    pub administrative: usize,
}

impl Metrics {
    /// Counts bytes that were no message.
    pub fn count_parse_error(&self, side: Side, error: ParseError) {
        self.count(Counter::ParseErrors(side, error.kind.into()));
    }

    /// Counts a length that no frame can have.
    pub fn count_bad_length(&self, side: Side) {
        self.count(Counter::ParseErrors(side, ParseReason::Frame));
    }

    /// Counts a message that nothing shows to come from whom it should.
    pub fn count_mac_failure(&self, side: Side, error: MacError) {
        let reason = match error.rule {
            MacRule::Missing | MacRule::NotLast => MacFailure::Missing,
            MacRule::Wrong => MacFailure::Wrong,
        };
        self.count(Counter::MacFailures(side, reason));
    }

    /// Counts in `counter` the fields that are filled with a wrong nibble, which is no fault.
    #[inline]
    pub fn count_wrong_padding(&self, counter: Counter, message: MessageRef<'_>) {
        let wrong = message.wrong_padding().count();
        if wrong > 0 {
            self.add(counter, u64::from(wrong));
        }
    }

    /// Sorts the distance of an acquirer's clock into its bucket; what says no time is left out.
    pub fn observe_session_skew(&self, listener: ListenerId, sent: TransmissionTime, at: WallTime) {
        if let Some((direction, seconds)) = skew_of(sent, at) {
            self.observe(Histogram::SessionSkew(listener, direction), seconds);
        }
    }

    /// The same of an issuer's.
    pub fn observe_issuer_skew(&self, issuer: IssuerId, sent: TransmissionTime, at: WallTime) {
        if let Some((direction, seconds)) = skew_of(sent, at) {
            self.observe(Histogram::IssuerSkew(issuer, direction), seconds);
        }
    }

    /// Counts a message that is well-formed, and does not say what its type must say.
    pub fn count_meaningless(&self, side: Side) {
        self.count(Counter::ParseErrors(side, ParseReason::Meaning));
    }

    /// Counts what the engine says; of what is about a message, that came by `ingress`.
    pub fn count_event(&self, ingress: Ingress, event: Event) {
        match event {
            Event::Copy(result) => self.count_copy(ingress, result),
            Event::NotAdmitted(reason) => self.count(Counter::Rejected(ingress, reason.into())),
            Event::Reversal(result) => self.count_reversal(ingress, result),
            Event::SafOwed { cause } => {
                self.count(Counter::Reversals(cause.into(), OwedResultLabel::Owed));
            }
            Event::SafPutBack { what } => self.count_owed(what),
            Event::SafEnded { what, result } => self.count_ended(what, result),
            Event::Advice(result) => self.count_advice(ingress, result),
            Event::StoodIn => {
                let origin = AdviceOriginLabel::StandIn;
                self.count(Counter::Advices(origin, OwedResultLabel::Owed));
            }
            Event::HeldBack => self.count(Counter::HeldBack),
            Event::GivenUp(reason) => self.count(Counter::HeldBackGivenUp(reason.into())),
            Event::Uncounted => self.except(ExceptionReason::Uncounted),
            Event::SecondAnswer { conflict: true } => self.except(ExceptionReason::AnswerConflict),
            // Late and second answers are counted where they are matched, with their issuer; the
            // rest has no metric of its own.
            Event::SecondAnswer { conflict: false }
            | Event::LateResponse
            | Event::Stray
            | Event::SafRetry
            | Event::AnswerCut => {}
        }
    }

    fn count_owed(&self, what: Owed) {
        match what {
            Owed::Reversal(cause) => {
                self.count(Counter::Reversals(cause.into(), OwedResultLabel::Owed));
            }
            Owed::Advice(origin) => {
                self.count(Counter::Advices(origin.into(), OwedResultLabel::Owed));
            }
        }
    }

    fn count_ended(&self, what: Owed, result: SafResult) {
        match what {
            Owed::Reversal(cause) => self.count(Counter::Reversals(cause.into(), result.into())),
            Owed::Advice(origin) => self.count(Counter::Advices(origin.into(), result.into())),
        }
        match (what, result) {
            (_, SafResult::Acknowledged) => {}
            (Owed::Reversal(_), SafResult::Refused) => {
                self.except(ExceptionReason::ReversalRefused)
            }
            (Owed::Reversal(_), SafResult::Expired) => {
                self.except(ExceptionReason::ReversalExpired)
            }
            (Owed::Reversal(_), SafResult::Dropped) => {
                self.except(ExceptionReason::ReversalDropped)
            }
            (Owed::Advice(_), SafResult::Dropped) => self.except(ExceptionReason::AdviceDropped),
            (Owed::Advice(_), SafResult::Refused) => self.except(ExceptionReason::AdviceRefused),
            (Owed::Advice(_), SafResult::Expired) => self.except(ExceptionReason::AdviceExpired),
        }
    }

    fn count_advice(&self, ingress: Ingress, result: AdviceResult) {
        match result {
            AdviceResult::Accepted => {
                let origin = AdviceOriginLabel::Acquirer;
                self.count(Counter::Advices(origin, OwedResultLabel::Owed));
            }
            AdviceResult::LeftToPeople => self.except(ExceptionReason::AdviceOfReversed),
            AdviceResult::NoIssuer => self.except(ExceptionReason::AdviceOfRemoved),
            AdviceResult::OverOriginal => self.except(ExceptionReason::AdviceOverOriginal),
            AdviceResult::Reversed => {
                self.count(Counter::Rejected(ingress, RejectReason::Tombstone));
            }
        }
    }

    /// Counts a record that decides its transaction. Not every outcome does: the engine knows.
    pub fn count_record(&self, ingress: Ingress, class: MessageClass, record: &Record<'_>) {
        let decided = |outcome| Counter::Transactions(ingress, class.into(), outcome);
        match record {
            Record::Refused(refused) => {
                self.count(decided(Outcome::Declined));
                let (origin, reason) = of_refusal(refused.reason);
                self.count(Counter::Declines(origin, reason));
            }
            Record::Outcome(outcome) => {
                self.count(decided(Outcome::of(outcome)));
                if let Some((origin, reason)) = of_outcome(outcome) {
                    self.count(Counter::Declines(origin, reason));
                }
            }
            Record::Advised(advised) => {
                let ended = if advised.is_approval() {
                    Outcome::Approved
                } else {
                    Outcome::Declined
                };
                self.count(decided(ended));
            }
            Record::Intent(_)
            | Record::AdviceDone(_)
            | Record::Operated(_)
            | Record::SafOwed(_)
            | Record::SafDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::Day(_)
            | Record::Totals(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => {}
        }
    }

    /// Counts the end of a call of an issuer.
    pub fn count_leg(&self, leg: &IssuerLeg, ending: LegEnding, elapsed: Duration) {
        self.count(Counter::IssuerRequests(leg.issuer, ending.into()));
        if ending != LegEnding::Unsent {
            self.observe_duration(Histogram::Issuer(leg.issuer), elapsed);
        }
    }

    /// Counts an answer to an acquirer: since its request was read, and how much of it was ours.
    pub fn observe_answer(
        &self,
        (ingress, outcome): (Ingress, Outcome),
        elapsed: Duration,
        at_issuer: Duration,
    ) {
        self.observe_duration(Histogram::Transaction(ingress, outcome), elapsed);
        let own = elapsed.saturating_sub(at_issuer);
        self.observe_duration(Histogram::Own(ingress), own);
    }

    /// Counts a turn of the loop.
    pub fn count_turn(&self, busy: Duration) {
        self.count(Counter::ShardTurns);
        self.add(
            Counter::ShardBusy,
            u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX),
        );
        if busy > STALL {
            self.count(Counter::ShardStalls);
        }
    }

    /// Counts a change of a breaker.
    pub fn count_transition(&self, transition: Transition) {
        self.count(Counter::BreakerTransitions(
            transition.issuer,
            transition.to.into(),
        ));
    }

    /// Counts a link that was ejected or taken back.
    pub fn count_ejection(&self, issuer: IssuerId, change: EjectionChange) {
        let to = if change.is_ejected {
            EjectionLabel::Ejected
        } else {
            EjectionLabel::Returned
        };
        self.count(Counter::LinkEjections(issuer, to));
    }

    /// States the calls of an issuer in flight from this shard.
    pub fn set_issuer_inflight(&self, issuer: IssuerId, inflight: u32) {
        self.set(Gauge::IssuerInflight(issuer), u64::from(inflight));
    }

    /// States what a shard knows of itself.
    pub fn set_shard_gauges(&self, gauges: &ShardGauges) {
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let iso = gauges.inflight.saturating_sub(gauges.inflight_http);
        self.set(Gauge::Inflight(Ingress::Iso), number(iso));
        let http = Gauge::Inflight(Ingress::Http);
        self.set(http, number(gauges.inflight_http));
        self.set(Gauge::DuplicateEntries, number(gauges.duplicate_entries));
        self.set(Gauge::SafDepth, number(gauges.saf_depth));
        self.set(Gauge::SafExceptions, number(gauges.saf_exceptions));
        self.set(Gauge::HeldBack, number(gauges.held_back));
        self.set(Gauge::JournalUnsynced, gauges.journal_unsynced);
        self.set(Gauge::JournalSegments, gauges.journal_segments);
        self.set(Gauge::JournalUsedBytes, gauges.journal_used_bytes);
        self.set(Gauge::MeshDepth, number(gauges.mesh_depth));
        self.set(Gauge::AnswersWaiting, number(gauges.answers_waiting));
        self.set(Gauge::AdministrativeInflight, number(gauges.administrative));
    }

    fn count_copy(&self, ingress: Ingress, result: CopyResult) {
        let result = match result {
            CopyResult::Stored => RepeatResult::Stored,
            CopyResult::Attached => RepeatResult::Attached,
            CopyResult::Rejected => RepeatResult::Rejected,
            CopyResult::Reversed => RepeatResult::Reversed,
            CopyResult::Conflict => {
                self.except(ExceptionReason::CopyConflict);
                RepeatResult::Conflict
            }
        };
        self.count(Counter::Repeats(ingress, result));
    }

    /// A reversal is a request too, so each ends in exactly one of the three: a copy, refused
    /// before anything is remembered, or decided.
    fn count_reversal(&self, ingress: Ingress, result: ReversalResult) {
        let kind = TransactionType::Reversal;
        let decided = |outcome| Counter::Transactions(ingress, kind, outcome);
        if result == ReversalResult::Forgotten {
            self.except(ExceptionReason::OriginalForgotten);
        }
        self.count(match result {
            ReversalResult::Accepted
            | ReversalResult::InFlight
            | ReversalResult::NotSent
            | ReversalResult::NothingOwed
            | ReversalResult::Unknown
            | ReversalResult::Forgotten => decided(Outcome::Approved),
            ReversalResult::TooMuch => decided(Outcome::Declined),
            ReversalResult::Copy => Counter::Repeats(ingress, RepeatResult::Stored),
            ReversalResult::Full => Counter::Rejected(ingress, RejectReason::SafFull),
        });
    }

    fn except(&self, reason: ExceptionReason) {
        self.count(Counter::Exceptions(reason));
    }
}

impl Outcome {
    /// How a transaction ended, out of the record that says it.
    #[must_use]
    pub fn of(record: &OutcomeRecord<'_>) -> Self {
        match record.kind {
            OutcomeKind::Answered if record.answer.code.is_approval() => Self::Approved,
            OutcomeKind::Answered | OutcomeKind::NotSent => Self::Declined,
            OutcomeKind::TimedOut => Self::TimedOut,
            OutcomeKind::Invalid => Self::Failed,
            OutcomeKind::AcquirerReversed => Self::Expired,
        }
    }
}

/// Who declined and why, when an outcome is a decline.
fn of_outcome(record: &OutcomeRecord<'_>) -> Option<(Origin, DeclineReason)> {
    match record.kind {
        OutcomeKind::Answered if !record.answer.code.is_approval() => {
            Some((Origin::Issuer, of_code(record.answer.code)))
        }
        OutcomeKind::NotSent => Some((Origin::Switch, DeclineReason::NoneAdmits)),
        OutcomeKind::Answered
        | OutcomeKind::TimedOut
        | OutcomeKind::Invalid
        | OutcomeKind::AcquirerReversed => None,
    }
}

const fn of_refusal(reason: RefusalReason) -> (Origin, DeclineReason) {
    match reason {
        RefusalReason::BlockList => (Origin::Risk, DeclineReason::RestrictedCard),
        RefusalReason::AmountLimit => (Origin::Risk, DeclineReason::AmountLimit),
        RefusalReason::VelocityAmount => (Origin::Risk, DeclineReason::VelocityAmount),
        RefusalReason::VelocityCount => (Origin::Risk, DeclineReason::VelocityCount),
        RefusalReason::Fraud => (Origin::Risk, DeclineReason::Fraud),
        RefusalReason::NoRoute => (Origin::Switch, DeclineReason::NoRoute),
        RefusalReason::NoneAdmits => (Origin::Switch, DeclineReason::NoneAdmits),
        RefusalReason::UnknownOriginal => (Origin::Switch, DeclineReason::UnknownOriginal),
        RefusalReason::ReversedOriginal => (Origin::Switch, DeclineReason::ReversedOriginal),
        RefusalReason::OverOriginal => (Origin::Switch, DeclineReason::OverOriginal),
    }
}

fn of_code(code: ResponseCode) -> DeclineReason {
    match code.meaning() {
        ResultCode::InsufficientFunds => DeclineReason::InsufficientFunds,
        ResultCode::DoNotHonour => DeclineReason::DoNotHonour,
        ResultCode::ExpiredCard => DeclineReason::ExpiredCard,
        ResultCode::WrongPin | ResultCode::PinTriesExceeded => DeclineReason::Pin,
        ResultCode::RestrictedCard => DeclineReason::RestrictedCard,
        ResultCode::ExceedsAmountLimit => DeclineReason::AmountLimit,
        ResultCode::ExceedsFrequencyLimit => DeclineReason::VelocityCount,
        ResultCode::SuspectedFraud | ResultCode::FraudPickUp => DeclineReason::Fraud,
        _ if code.is_issuer_failure() => DeclineReason::IssuerFailure,
        _ => DeclineReason::Other,
    }
}

fn skew_of(sent: TransmissionTime, at: WallTime) -> Option<(SkewDirection, u64)> {
    let skew = sent.is_known().then(|| sent.skew(at)).flatten()?;
    let direction = match skew {
        Skew::Behind { .. } => SkewDirection::Behind,
        Skew::Ahead { .. } => SkewDirection::Ahead,
    };
    Some((direction, skew.seconds()))
}

impl From<MessageClass> for TransactionType {
    fn from(class: MessageClass) -> Self {
        match class {
            MessageClass::Authorisation => Self::Authorisation,
            MessageClass::Financial => Self::Financial,
        }
    }
}

impl From<NotAdmitted> for RejectReason {
    fn from(reason: NotAdmitted) -> Self {
        match reason {
            NotAdmitted::Shed => Self::Shed,
            NotAdmitted::TableFull => Self::TableFull,
            NotAdmitted::InflightFull => Self::InflightFull,
            NotAdmitted::SafFull => Self::SafFull,
            NotAdmitted::OutsideWindow => Self::OutsideWindow,
            NotAdmitted::ClockSkew => Self::ClockSkew,
            NotAdmitted::Tombstone => Self::Tombstone,
            NotAdmitted::NoRoute => Self::NoRoute,
            NotAdmitted::Undecided => Self::Undecided,
            NotAdmitted::HeldBackFull => Self::HeldBackFull,
            NotAdmitted::CompletionsFull => Self::CompletionsFull,
        }
    }
}

impl From<GivenUp> for GivenUpReason {
    fn from(reason: GivenUp) -> Self {
        match reason {
            GivenUp::TooLong => Self::TooLong,
            GivenUp::Full => Self::Full,
            GivenUp::Draining => Self::Draining,
            GivenUp::OtherIssuer => Self::OtherIssuer,
        }
    }
}

impl From<LegEnding> for IssuerResult {
    fn from(ending: LegEnding) -> Self {
        match ending {
            LegEnding::Answered(code) if code.is_approval() => Self::Approved,
            LegEnding::Answered(code) if code.is_issuer_failure() => Self::Error,
            LegEnding::Answered(_) => Self::Declined,
            LegEnding::TimedOut => Self::Timeout,
            LegEnding::Unusable => Self::Error,
            LegEnding::Unsent => Self::NotSent,
        }
    }
}

impl From<BreakerState> for BreakerLabel {
    fn from(state: BreakerState) -> Self {
        match state {
            BreakerState::Closed => Self::Closed,
            BreakerState::HalfOpen => Self::HalfOpen,
            BreakerState::Open => Self::Open,
        }
    }
}

impl From<ReversalCause> for ReversalCauseLabel {
    fn from(cause: ReversalCause) -> Self {
        match cause {
            ReversalCause::Timeout => Self::Timeout,
            ReversalCause::Requested => Self::Requested,
            ReversalCause::InvalidAnswer => Self::InvalidAnswer,
            ReversalCause::Restart => Self::Restart,
            ReversalCause::Undelivered => Self::Undelivered,
        }
    }
}

impl From<AdviceOrigin> for AdviceOriginLabel {
    fn from(origin: AdviceOrigin) -> Self {
        match origin {
            AdviceOrigin::Acquirer => Self::Acquirer,
            AdviceOrigin::StandIn => Self::StandIn,
        }
    }
}

impl From<SafResult> for OwedResultLabel {
    fn from(result: SafResult) -> Self {
        match result {
            SafResult::Acknowledged => Self::Acknowledged,
            SafResult::Refused => Self::Refused,
            SafResult::Expired => Self::Expired,
            SafResult::Dropped => Self::Dropped,
        }
    }
}

impl From<ParseErrorKind> for ParseReason {
    fn from(kind: ParseErrorKind) -> Self {
        match kind {
            ParseErrorKind::Truncated => Self::Truncated,
            ParseErrorKind::Mti => Self::Mti,
            ParseErrorKind::Bitmap | ParseErrorKind::Tertiary => Self::Bitmap,
            ParseErrorKind::Undefined => Self::Undefined,
            ParseErrorKind::Prefix | ParseErrorKind::AboveMaximum | ParseErrorKind::TooLong => {
                Self::Length
            }
            ParseErrorKind::Content
            | ParseErrorKind::Padding
            | ParseErrorKind::Date
            | ParseErrorKind::Composite => Self::Content,
            ParseErrorKind::Missing => Self::Meaning,
            ParseErrorKind::Trailing => Self::Trailing,
        }
    }
}

/// A turn longer than this is a stall: it is what every message of the shard waited.
const STALL: Duration = Duration::from_millis(10);
