//! What the switch keeps of a request, and the reversal that it owes for it.

use domain::ids::{AcquirerId, InstitutionId, Slot};
use domain::pan::{Account, PanToken, SealedPan, TokenKeyId};
use domain::record::ReversalCause;
use domain::request::{
    ContentHash, DuplicateKey, Facts, IssuerLeg, MessageKind, TraceKey, Transmission,
};
use domain::time::WallTime;
use iso8583::translate::{IssuerReversal, RequestFields, ReversalForm};

/// 1 June 2026, 12:00:03 UTC.
pub(super) const ADMITTED: WallTime = WallTime::from_unix_millis(1_780_315_203_000);

pub(super) fn facts(request: &RequestFields) -> Facts {
    Facts {
        acquirer: AcquirerId(0),
        class: request.class,
        slot: Slot(0),
        key: DuplicateKey(0),
        content: ContentHash(0),
        trace_key: TraceKey(0),
        account: Account {
            token: PanToken([0; 16]),
            token_key: TokenKeyId::FIRST,
            masked: request.account.masked(),
            sealed: SealedPan {
                key_id: 0,
                nonce: [0; 12],
                ciphertext: [0; 20],
                tag: [0; 16],
            },
        },
        amount: request.amount,
        processing_code: request.processing_code,
        merchant_category: request.merchant_category,
        entry_mode: request.entry_mode,
        trace: request.trace,
    }
}

pub(super) fn reversal<'a>(
    facts: &'a Facts,
    request: &'a RequestFields,
    leg: &'a IssuerLeg,
    forwarding: &'a InstitutionId,
) -> IssuerReversal<'a> {
    IssuerReversal {
        facts,
        account: request.account.expose_digits(),
        original: MessageKind::Request,
        leg,
        stan: leg.stan,
        form: ReversalForm::Advice,
        forwarding,
        amount: facts.amount,
        replacement: None,
        decided: ADMITTED,
        cause: ReversalCause::Timeout,
        reason: None,
        reason_field: None,
        transmission: Transmission::First,
        transmitted: leg.transmitted,
    }
}
