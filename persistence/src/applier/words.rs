//! The words that stand in text columns. They are read by people and reports: never changed, only
//! added to.

use domain::reconciliation::{Effect, ReconciliationDone, Verdict};
use domain::record::{
    AdviceOrigin, Advised, Operation, OutcomeKind, OwedKind, Record, RefusalReason, ReversalCause,
    SafResult,
};
use domain::request::MessageClass;

use super::projection::{Failed, Failure, What};
use crate::record::RecordType;

/// The type of a record.
#[must_use]
pub const fn kind(record: &Record<'_>) -> &'static str {
    RecordType::of(record).word()
}

/// How a reconciliation of ours ended: what its issuer has found, or that it has not taken it.
#[must_use]
pub const fn reconciliation(done: &ReconciliationDone) -> &'static str {
    match done.result {
        SafResult::Acknowledged => verdict(done.verdict),
        SafResult::Refused | SafResult::Expired | SafResult::Dropped => saf_result(done.result),
    }
}

/// What a reconciliation came to.
#[must_use]
pub const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unknown => "unknown",
        Verdict::InBalance => "in_balance",
        Verdict::OutOfBalance => "out_of_balance",
        Verdict::Error => "error",
    }
}

/// The class of a money message.
#[must_use]
pub const fn class(class: MessageClass) -> &'static str {
    match class {
        MessageClass::Authorisation => "authorisation",
        MessageClass::Financial => "financial",
    }
}

/// State of a transaction whose intent has no outcome.
pub const SENT: &str = "sent";
/// State of a transaction that the switch declined.
pub const REFUSED: &str = "refused";

/// State of a transaction that an advice reports.
#[must_use]
pub const fn advised(advised: &Advised<'_>) -> &'static str {
    match (advised.leg, advised.origin) {
        (None, _) => "unforwarded",
        (Some(_), AdviceOrigin::Acquirer) => "advised",
        (Some(_), AdviceOrigin::StandIn) => "stood_in",
    }
}

/// How an intent ended.
#[must_use]
pub const fn outcome(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Answered => "answered",
        OutcomeKind::TimedOut => "timed_out",
        OutcomeKind::Invalid => "invalid",
        OutcomeKind::NotSent => "not_sent",
        OutcomeKind::AcquirerReversed => "acquirer_reversed",
    }
}

/// Why the switch declined.
#[must_use]
pub const fn refusal(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::BlockList => "block_list",
        RefusalReason::AmountLimit => "amount_limit",
        RefusalReason::VelocityAmount => "velocity_amount",
        RefusalReason::VelocityCount => "velocity_count",
        RefusalReason::Fraud => "fraud",
        RefusalReason::NoRoute => "no_route",
        RefusalReason::NoneAdmits => "none_admits",
        RefusalReason::UnknownOriginal => "unknown_original",
        RefusalReason::ReversedOriginal => "reversed_original",
        RefusalReason::OverOriginal => "over_original",
    }
}

/// Why a reversal is owed.
#[must_use]
pub const fn cause(cause: ReversalCause) -> &'static str {
    match cause {
        ReversalCause::Timeout => "timeout",
        ReversalCause::Requested => "requested",
        ReversalCause::InvalidAnswer => "invalid_answer",
        ReversalCause::Restart => "restart",
        ReversalCause::Undelivered => "undelivered",
    }
}

/// Reversal state between saf-owed and saf-done.
pub const OWED: &str = "owed";

/// Why people have to look at something that was owed.
pub(crate) const fn exception(failed: &Failed) -> &'static str {
    let (kind, failure) = match failed.what {
        What::Owed(kind, failure) => (kind, failure),
        What::SecondAnswer { .. } => return "answer_conflict",
        What::OutOfBalance => return "out_of_balance",
        What::ReconciliationRefused => return "reconciliation_refused",
        What::ReconciliationExpired => return "reconciliation_expired",
    };
    match (kind, failure) {
        (OwedKind::Reversal, Failure::Ended(SafResult::Refused)) => "reversal_refused",
        (OwedKind::Reversal, Failure::Ended(SafResult::Expired)) => "reversal_expired",
        (OwedKind::Reversal, Failure::Ended(SafResult::Dropped)) => "reversal_dropped",
        (OwedKind::Reversal, Failure::Ended(SafResult::Acknowledged)) => "reversal_acknowledged",
        (OwedKind::Advice, Failure::Ended(SafResult::Refused)) => "advice_refused",
        (OwedKind::Advice, Failure::Ended(SafResult::Expired)) => "advice_expired",
        (OwedKind::Advice, Failure::Ended(SafResult::Dropped)) => "advice_dropped",
        (OwedKind::Advice, Failure::Ended(SafResult::Acknowledged)) => "advice_acknowledged",
        (OwedKind::Reversal, Failure::PutBack) => "reversal_retried",
        (OwedKind::Advice, Failure::PutBack) => "advice_retried",
        (OwedKind::Reversal | OwedKind::Advice, Failure::Reversed) => "advice_of_reversed",
        (OwedKind::Reversal | OwedKind::Advice, Failure::NoIssuer) => "advice_of_removed",
        (OwedKind::Reversal | OwedKind::Advice, Failure::Over) => "advice_over_original",
    }
}

/// What an entry belongs to.
pub(crate) const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Approval => "approval",
        Effect::Reversal => "reversal",
    }
}

/// What an operator has done.
#[must_use]
pub const fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Retry => "retried",
        Operation::Drop => "dropped",
    }
}

/// How something owed ended.
#[must_use]
pub const fn saf_result(result: SafResult) -> &'static str {
    match result {
        SafResult::Acknowledged => "acknowledged",
        SafResult::Refused => "refused",
        SafResult::Expired => "expired",
        SafResult::Dropped => "dropped",
    }
}
