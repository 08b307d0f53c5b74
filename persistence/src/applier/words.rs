//! The words that stand in text columns. They are read by people and reports: never changed, only
//! added to.

use domain::record::{OutcomeKind, Record, RefusalReason, ReversalCause, SafResult};
use domain::request::MessageClass;

pub(crate) const fn kind(record: &Record<'_>) -> &'static str {
    match record {
        Record::Intent(_) => "intent",
        Record::Refused(_) => "refused",
        Record::Outcome(_) => "outcome",
        Record::SafOwed(_) => "saf_owed",
        Record::SafDone(_) => "saf_done",
        Record::Tombstone(_) => "tombstone",
        Record::LateResponse(_) => "late_response",
    }
}

pub(crate) const fn class(class: MessageClass) -> &'static str {
    match class {
        MessageClass::Authorisation => "authorisation",
        MessageClass::Financial => "financial",
    }
}

/// State of a transaction whose intent has no outcome.
pub(crate) const SENT: &str = "sent";
/// State of a transaction that the switch declined.
pub(crate) const REFUSED: &str = "refused";

pub(crate) const fn outcome(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Answered => "answered",
        OutcomeKind::TimedOut => "timed_out",
        OutcomeKind::Invalid => "invalid",
        OutcomeKind::NotSent => "not_sent",
        OutcomeKind::AcquirerReversed => "acquirer_reversed",
    }
}

pub(crate) const fn refusal(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::BlockList => "block_list",
        RefusalReason::AmountLimit => "amount_limit",
        RefusalReason::VelocityAmount => "velocity_amount",
        RefusalReason::VelocityCount => "velocity_count",
        RefusalReason::Fraud => "fraud",
        RefusalReason::NoRoute => "no_route",
        RefusalReason::NoneAdmits => "none_admits",
    }
}

pub(crate) const fn cause(cause: ReversalCause) -> &'static str {
    match cause {
        ReversalCause::Timeout => "timeout",
        ReversalCause::Requested => "requested",
        ReversalCause::InvalidAnswer => "invalid_answer",
        ReversalCause::Restart => "restart",
    }
}

/// Reversal state between saf-owed and saf-done.
pub(crate) const OWED: &str = "owed";

pub(crate) const fn saf_result(result: SafResult) -> &'static str {
    match result {
        SafResult::Acknowledged => "acknowledged",
        SafResult::Refused => "refused",
        SafResult::Expired => "expired",
    }
}
