//! Between messages and the words of `domain`: the only module that knows both.
//!
//! Reading: [`request`], [`completion`], [`advice`], [`reversal`], [`administrative`], [`account`]
//! on the acquirer's side, [`response_code`], [`issuer_answer`] on the issuer's, [`network`],
//! [`reconciliation`] on both, [`reason`] of any.
//! Writing:
//! [`write_answer`], [`write_refusal`], [`write_administrative_answer`] toward the acquirer,
//! [`write_issuer_request`], [`write_advice`], [`write_reversal`], [`write_administrative`] toward
//! the issuer, [`write_network`],
//! [`write_network_answer`], [`write_network_refusal`] on both.

mod across;
mod administrative;
mod advice;
mod answer_fields;
mod network;
mod original;
mod read;
mod reason;
mod reconciliation;
mod scrub;
mod write;

pub use administrative::{
    AdministrativeFields, GoingAdministrative, administrative, administrative_amount,
    administrative_kind, write_administrative, write_administrative_answer,
};
pub use advice::{AdviceFields, IssuerAdvice, Why, advice, advice_content, write_advice};
pub use network::{
    NetworkCode, NetworkCodes, NetworkKind, NetworkRefusal, NetworkRequest, network,
    network_accepted, network_field, settlement_date, write_network, write_network_answer,
    write_network_refusal,
};
pub use read::{
    CompletionFields, RequestFields, ReversalFields, account, can_be_refused, completion, currency,
    issuer_answer, request, response_code, reversal, stan, trace,
};
pub use reason::{ReasonField, reason};
pub use reconciliation::{
    OurReconciliation, ReconciliationAnswer, ReconciliationFields, reconciliation,
    reconciliation_verdict, write_reconciliation, write_reconciliation_answer,
};
pub use scrub::scrub_sad;
pub use write::{
    IssuerInquiry, IssuerRequest, IssuerReversal, ReversalForm, write_acknowledgement,
    write_answer, write_inquiry, write_issuer_request, write_refusal, write_reversal,
};
