//! Version 1 of every payload. Each struct is archived as `repr(C)`, little-endian, and has no gap:
//! `reserved` fills up to the alignment and is zero.
//!
//! **Never change a struct in this file.** A record that is read under another layout than it was
//! written with is silent damage. A new field means a new struct (`…V2`) with a new payload version
//! beside this one, whose reader ships one release before its writer. The one exception is a byte
//! of `reserved`: it may get a meaning in which zero is what was before, since every reader refuses
//! another value that it does not know.

use core::num::NonZeroU8;

use domain::amount::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::error::InvalidValue;
use domain::ids::{AcquirerId, IssuerId, LinkId, RouteId, Slot, Stan, TransactionId};
use domain::pan::{Account, MaskedPan, PanToken, SealedPan, TokenKeyId};
use domain::record::{
    Intent, LateResponse, Outcome, OutcomeKind, RefusalReason, Refused, ReversalCause, SafDone,
    SafOwed, SafResult, Tombstone,
};
use domain::request::{
    Answer, ContentHash, DuplicateKey, Facts, IssuerLeg, MessageClass, OriginalReference, Trace,
    TraceKey,
};
use domain::response_code::ResponseCode;
use domain::time::{TransmissionTime, WallTime};
use rkyv::{Archive, Deserialize, Serialize};

use super::super::RecordError;

mod advised;
mod book;
mod operated;

pub(super) use advised::{ADVISED_LEN, AdvisedV1};
pub(super) use book::{
    DAY_LEN, DayV1, RECONCILED_LEN, RECONCILIATION_DONE_LEN, RECONCILIATION_OWED_LEN, ReconciledV1,
    ReconciliationDoneV1, ReconciliationOwedV1, TOTALS_LEN, TotalsV1,
};
pub(super) use operated::{OPERATED_LEN, OperatedV1};

pub(super) const INTENT_LEN: usize = size_of::<ArchivedIntentV1>();
pub(super) const REFUSED_LEN: usize = size_of::<ArchivedRefusedV1>();
pub(super) const OUTCOME_LEN: usize = size_of::<ArchivedOutcomeV1>();
pub(super) const SAF_OWED_LEN: usize = size_of::<ArchivedSafOwedV1>();
pub(super) const SAF_DONE_LEN: usize = size_of::<ArchivedSafDoneV1>();
pub(super) const TOMBSTONE_LEN: usize = size_of::<ArchivedTombstoneV1>();
pub(super) const LATE_RESPONSE_LEN: usize = size_of::<ArchivedLateResponseV1>();

/// The lengths are part of the format: a dependency that lays a struct out in another way must not
/// compile.
const _: () = {
    assert!(size_of::<ArchivedFactsV1>() == 208);
    assert!(size_of::<ArchivedLegV1>() == 16);
    assert!(INTENT_LEN == 232);
    assert!(REFUSED_LEN == 224);
    assert!(OUTCOME_LEN == 32);
    assert!(SAF_OWED_LEN == 40);
    assert!(SAF_DONE_LEN == 16);
    assert!(TOMBSTONE_LEN == 64);
    assert!(LATE_RESPONSE_LEN == 16);
};

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct FactsV1 {
    content: u64,
    trace_key: u64,
    amount_minor: u64,
    sealed_key_id: u32,
    stan: u32,
    transmitted: u32,
    currency: u16,
    acquirer: u16,
    slot: u16,
    /// 1 authorisation, 2 financial.
    class: u8,
    masked_len: u8,
    key: [u8; 16],
    token: [u8; 16],
    masked_first: [u8; 6],
    masked_last: [u8; 4],
    sealed_nonce: [u8; 12],
    sealed_ciphertext: [u8; 20],
    sealed_tag: [u8; 16],
    processing_code: [u8; 6],
    merchant_category: [u8; 4],
    entry_mode: [u8; 3],
    local_time: [u8; 6],
    local_date: [u8; 4],
    rrn: [u8; 12],
    terminal: [u8; 8],
    merchant: [u8; 15],
    institution: [u8; 11],
    /// 0: the first one, in journals from before these had ids too. A reader from before refuses
    /// what is not zero here.
    token_key: u8,
    reserved: [u8; 4],
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct LegV1 {
    stan: u32,
    transmitted: u32,
    route: u16,
    issuer: u16,
    link: u16,
    candidate: u8,
    reserved: u8,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct IntentV1 {
    admitted: u64,
    facts: FactsV1,
    leg: LegV1,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct RefusedV1 {
    admitted: u64,
    facts: FactsV1,
    code: [u8; 2],
    reason: u8,
    reserved: [u8; 5],
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct OutcomeV1 {
    decided: u64,
    amount_minor: u64,
    /// 0: the answer carries no amount.
    currency: u16,
    /// Bytes of the replayable fields that follow this struct.
    fields_len: u16,
    code: [u8; 2],
    /// Zeros: the issuer's code is what the acquirer is told, or there is none.
    issuer_code: [u8; 2],
    authorisation: [u8; 6],
    kind: u8,
    reserved: u8,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct SafOwedV1 {
    decided: u64,
    replacement_minor: u64,
    /// 0: all of it is reversed.
    replacement_currency: u16,
    cause: u8,
    reserved: [u8; 5],
    key: [u8; 16],
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct SafDoneV1 {
    decided: u64,
    attempts: u32,
    /// Zeros: the issuer never answered.
    code: [u8; 2],
    result: u8,
    reserved: u8,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct TombstoneV1 {
    decided: u64,
    trace_key: u64,
    stan: u32,
    transmitted: u32,
    acquirer: u16,
    slot: u16,
    /// 0 not known, 1 authorisation, 2 financial.
    class: u8,
    /// 1: `transmitted` holds the original's DE7.
    has_transmitted: u8,
    key: [u8; 16],
    rrn: [u8; 12],
    reserved: [u8; 6],
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct LateResponseV1 {
    received: u64,
    issuer: u16,
    code: [u8; 2],
    reserved: [u8; 4],
}

impl From<&Facts> for FactsV1 {
    fn from(facts: &Facts) -> Self {
        let (account, trace) = (&facts.account, &facts.trace);
        Self {
            content: facts.content.0,
            trace_key: facts.trace_key.0,
            amount_minor: facts.amount.minor(),
            sealed_key_id: account.sealed.key_id,
            stan: trace.stan.number(),
            transmitted: trace.transmitted.as_number(),
            currency: facts.amount.currency().code(),
            acquirer: facts.acquirer.0,
            slot: facts.slot.0,
            class: class_number(facts.class),
            masked_len: account.masked.len,
            key: facts.key.0.to_le_bytes(),
            token: account.token.0,
            masked_first: account.masked.first,
            masked_last: account.masked.last,
            sealed_nonce: account.sealed.nonce,
            sealed_ciphertext: account.sealed.ciphertext,
            sealed_tag: account.sealed.tag,
            processing_code: text_bytes(&facts.processing_code),
            merchant_category: text_bytes(&facts.merchant_category),
            entry_mode: text_bytes(&facts.entry_mode),
            local_time: text_bytes(&trace.local_time),
            local_date: text_bytes(&trace.local_date),
            rrn: text_bytes(&trace.rrn),
            terminal: text_bytes(&trace.terminal),
            merchant: text_bytes(&trace.merchant),
            institution: text_bytes(&trace.institution),
            token_key: match account.token_key {
                TokenKeyId::FIRST => 0,
                TokenKeyId(id) => id.get(),
            },
            reserved: [0; 4],
        }
    }
}

impl FactsV1 {
    fn facts(&self) -> Result<Facts, RecordError> {
        zero("reserved", &self.reserved)?;
        Ok(Facts {
            acquirer: AcquirerId(self.acquirer),
            class: class(self.class)?.ok_or(RecordError::Value("class"))?,
            slot: slot(self.slot)?,
            key: DuplicateKey(u128::from_le_bytes(self.key)),
            content: ContentHash(self.content),
            trace_key: TraceKey(self.trace_key),
            account: self.account(),
            amount: amount(self.amount_minor, self.currency)?.ok_or(RecordError::Value("DE49"))?,
            processing_code: text("DE3", &self.processing_code)?,
            merchant_category: text("DE18", &self.merchant_category)?,
            entry_mode: text("DE22", &self.entry_mode)?,
            trace: self.trace()?,
        })
    }

    fn account(&self) -> Account {
        Account {
            token: PanToken(self.token),
            token_key: NonZeroU8::new(self.token_key).map_or(TokenKeyId::FIRST, TokenKeyId),
            masked: MaskedPan {
                len: self.masked_len,
                first: self.masked_first,
                last: self.masked_last,
            },
            sealed: SealedPan {
                key_id: self.sealed_key_id,
                nonce: self.sealed_nonce,
                ciphertext: self.sealed_ciphertext,
                tag: self.sealed_tag,
            },
        }
    }

    fn trace(&self) -> Result<Trace, RecordError> {
        Ok(Trace {
            stan: Stan::new(self.stan).map_err(value)?,
            transmitted: TransmissionTime::from_number(self.transmitted),
            local_time: text("DE12", &self.local_time)?,
            local_date: text("DE13", &self.local_date)?,
            rrn: text("DE37", &self.rrn)?,
            terminal: text("DE41", &self.terminal)?,
            merchant: text("DE42", &self.merchant)?,
            institution: text("DE32", &self.institution)?,
        })
    }
}

impl LegV1 {
    /// Stands where there is no leg.
    const ZERO: Self = Self {
        stan: 0,
        transmitted: 0,
        route: 0,
        issuer: 0,
        link: 0,
        candidate: 0,
        reserved: 0,
    };
}

impl From<&IssuerLeg> for LegV1 {
    fn from(leg: &IssuerLeg) -> Self {
        Self {
            stan: leg.stan.number(),
            transmitted: leg.transmitted.as_number(),
            route: leg.route.0,
            issuer: leg.issuer.0,
            link: leg.link.0,
            candidate: leg.candidate,
            reserved: 0,
        }
    }
}

impl LegV1 {
    fn leg(&self) -> Result<IssuerLeg, RecordError> {
        zero("reserved", &[self.reserved])?;
        Ok(IssuerLeg {
            route: RouteId(self.route),
            candidate: self.candidate,
            issuer: IssuerId(self.issuer),
            link: LinkId(self.link),
            stan: Stan::new(self.stan).map_err(value)?,
            transmitted: TransmissionTime::from_number(self.transmitted),
        })
    }
}

impl From<&Intent> for IntentV1 {
    fn from(intent: &Intent) -> Self {
        Self {
            admitted: intent.admitted.unix_millis(),
            facts: FactsV1::from(&intent.facts),
            leg: LegV1::from(&intent.leg),
        }
    }
}

impl IntentV1 {
    pub(super) fn intent(&self, transaction: TransactionId) -> Result<Intent, RecordError> {
        Ok(Intent {
            transaction,
            admitted: WallTime::from_unix_millis(self.admitted),
            facts: self.facts.facts()?,
            leg: self.leg.leg()?,
            asked_until: None,
        })
    }
}

impl From<&Refused> for RefusedV1 {
    fn from(refused: &Refused) -> Self {
        Self {
            admitted: refused.admitted.unix_millis(),
            facts: FactsV1::from(&refused.facts),
            code: *refused.code.as_bytes(),
            reason: refused.reason as u8,
            reserved: [0; 5],
        }
    }
}

impl RefusedV1 {
    pub(super) fn refused(&self, transaction: TransactionId) -> Result<Refused, RecordError> {
        zero("reserved", &self.reserved)?;
        Ok(Refused {
            transaction,
            admitted: WallTime::from_unix_millis(self.admitted),
            facts: self.facts.facts()?,
            code: ResponseCode::from_stored(self.code).map_err(value)?,
            reason: match self.reason {
                1 => RefusalReason::BlockList,
                2 => RefusalReason::AmountLimit,
                3 => RefusalReason::VelocityAmount,
                4 => RefusalReason::VelocityCount,
                5 => RefusalReason::Fraud,
                6 => RefusalReason::NoRoute,
                7 => RefusalReason::NoneAdmits,
                8 => RefusalReason::UnknownOriginal,
                9 => RefusalReason::ReversedOriginal,
                10 => RefusalReason::OverOriginal,
                _ => return Err(RecordError::Value("refusal reason")),
            },
        })
    }
}

impl From<&Outcome<'_>> for OutcomeV1 {
    fn from(outcome: &Outcome<'_>) -> Self {
        let answer = &outcome.answer;
        let (amount_minor, currency) = amount_parts(answer.amount);
        Self {
            decided: outcome.decided.unix_millis(),
            amount_minor,
            currency,
            // The writer has refused more than Answer::FIELDS_LEN_MAX bytes.
            fields_len: u16::try_from(answer.fields.len()).unwrap_or(u16::MAX),
            code: *answer.code.as_bytes(),
            issuer_code: code_bytes(sent(outcome)),
            authorisation: text_bytes(&answer.authorisation),
            kind: outcome.kind as u8,
            reserved: 0,
        }
    }
}

impl OutcomeV1 {
    pub(super) fn outcome<'a>(
        &self,
        transaction: TransactionId,
        fields: &'a [u8],
    ) -> Result<Outcome<'a>, RecordError> {
        zero("reserved", &[self.reserved])?;
        if usize::from(self.fields_len) != fields.len() {
            return Err(RecordError::Length);
        }
        Ok(Outcome {
            transaction,
            decided: WallTime::from_unix_millis(self.decided),
            kind: match self.kind {
                1 => OutcomeKind::Answered,
                2 => OutcomeKind::TimedOut,
                3 => OutcomeKind::Invalid,
                4 => OutcomeKind::NotSent,
                5 => OutcomeKind::AcquirerReversed,
                _ => return Err(RecordError::Value("outcome kind")),
            },
            answer: Answer {
                code: ResponseCode::from_stored(self.code).map_err(value)?,
                authorisation: text("DE38", &self.authorisation)?,
                amount: amount(self.amount_minor, self.currency)?,
                fields,
            },
            issuer_code: code(self.issuer_code)?,
        })
    }
}

impl From<&SafOwed> for SafOwedV1 {
    fn from(owed: &SafOwed) -> Self {
        let (replacement_minor, replacement_currency) = amount_parts(owed.replacement);
        Self {
            decided: owed.decided.unix_millis(),
            replacement_minor,
            replacement_currency,
            cause: owed.cause as u8,
            reserved: [0; 5],
            key: owed.key.0.to_le_bytes(),
        }
    }
}

impl SafOwedV1 {
    pub(super) fn saf_owed(&self, transaction: TransactionId) -> Result<SafOwed, RecordError> {
        zero("reserved", &self.reserved)?;
        Ok(SafOwed {
            transaction,
            decided: WallTime::from_unix_millis(self.decided),
            cause: match self.cause {
                1 => ReversalCause::Timeout,
                2 => ReversalCause::Requested,
                3 => ReversalCause::InvalidAnswer,
                4 => ReversalCause::Restart,
                5 => ReversalCause::Undelivered,
                _ => return Err(RecordError::Value("reversal cause")),
            },
            key: DuplicateKey(u128::from_le_bytes(self.key)),
            replacement: amount(self.replacement_minor, self.replacement_currency)?,
            reason: None,
        })
    }
}

impl From<&SafDone> for SafDoneV1 {
    fn from(done: &SafDone) -> Self {
        Self {
            decided: done.decided.unix_millis(),
            attempts: done.attempts,
            code: code_bytes(done.code),
            result: done.result as u8,
            reserved: 0,
        }
    }
}

impl SafDoneV1 {
    pub(super) fn saf_done(&self, transaction: TransactionId) -> Result<SafDone, RecordError> {
        zero("reserved", &[self.reserved])?;
        Ok(SafDone {
            transaction,
            decided: WallTime::from_unix_millis(self.decided),
            result: result(self.result)?,
            code: code(self.code)?,
            attempts: self.attempts,
        })
    }
}

impl From<&Tombstone> for TombstoneV1 {
    fn from(tombstone: &Tombstone) -> Self {
        let original = &tombstone.original;
        Self {
            decided: tombstone.decided.unix_millis(),
            trace_key: tombstone.trace_key.0,
            stan: original.stan.number(),
            transmitted: original.transmitted.map_or(0, TransmissionTime::as_number),
            acquirer: tombstone.acquirer.0,
            slot: tombstone.slot.0,
            class: original.class.map_or(0, class_number),
            has_transmitted: u8::from(original.transmitted.is_some()),
            key: tombstone.key.0.to_le_bytes(),
            rrn: text_bytes(&original.rrn),
            reserved: [0; 6],
        }
    }
}

impl TombstoneV1 {
    pub(super) fn tombstone(&self, transaction: TransactionId) -> Result<Tombstone, RecordError> {
        zero("reserved", &self.reserved)?;
        let transmitted = match (self.has_transmitted, self.transmitted) {
            (0, 0) => None,
            (1, number) => Some(TransmissionTime::from_number(number)),
            _ => return Err(RecordError::Value("DE7")),
        };
        Ok(Tombstone {
            transaction,
            decided: WallTime::from_unix_millis(self.decided),
            acquirer: AcquirerId(self.acquirer),
            slot: slot(self.slot)?,
            trace_key: TraceKey(self.trace_key),
            key: DuplicateKey(u128::from_le_bytes(self.key)),
            original: OriginalReference {
                stan: Stan::new(self.stan).map_err(value)?,
                class: class(self.class)?,
                transmitted,
                rrn: text("DE37", &self.rrn)?,
            },
        })
    }
}

impl From<&LateResponse> for LateResponseV1 {
    fn from(late: &LateResponse) -> Self {
        Self {
            received: late.received.unix_millis(),
            issuer: late.issuer.0,
            code: *late.code.as_bytes(),
            reserved: [0; 4],
        }
    }
}

impl LateResponseV1 {
    pub(super) fn late_response(
        &self,
        transaction: TransactionId,
    ) -> Result<LateResponse, RecordError> {
        zero("reserved", &self.reserved)?;
        Ok(LateResponse {
            transaction,
            received: WallTime::from_unix_millis(self.received),
            issuer: IssuerId(self.issuer),
            code: ResponseCode::from_stored(self.code).map_err(value)?,
        })
    }
}

const fn result(number: u8) -> Result<SafResult, RecordError> {
    match number {
        1 => Ok(SafResult::Acknowledged),
        2 => Ok(SafResult::Refused),
        3 => Ok(SafResult::Expired),
        4 => Ok(SafResult::Dropped),
        _ => Err(RecordError::Value("reversal result")),
    }
}

pub(super) const fn value(error: InvalidValue) -> RecordError {
    match error {
        InvalidValue::Character(what) | InvalidValue::Length(what) | InvalidValue::Range(what) => {
            RecordError::Value(what)
        }
    }
}

pub(super) fn zero(what: &'static str, bytes: &[u8]) -> Result<(), RecordError> {
    if bytes.iter().any(|byte| *byte != 0) {
        return Err(RecordError::Value(what));
    }
    Ok(())
}

const fn class_number(class: MessageClass) -> u8 {
    match class {
        MessageClass::Authorisation => 1,
        MessageClass::Financial => 2,
    }
}

const fn class(number: u8) -> Result<Option<MessageClass>, RecordError> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(MessageClass::Authorisation)),
        2 => Ok(Some(MessageClass::Financial)),
        _ => Err(RecordError::Value("class")),
    }
}

const fn slot(number: u16) -> Result<Slot, RecordError> {
    if number >= Slot::COUNT {
        return Err(RecordError::Value("slot"));
    }
    Ok(Slot(number))
}

/// Minor units and currency; no amount is currency 0, which ISO 4217 does not give out.
fn amount_parts(amount: Option<Amount>) -> (u64, u16) {
    amount.map_or((0, 0), |amount| (amount.minor(), amount.currency().code()))
}

fn amount(minor: u64, currency: u16) -> Result<Option<Amount>, RecordError> {
    if (minor, currency) == (0, 0) {
        return Ok(None);
    }
    let currency = Currency::new(currency).map_err(value)?;
    Ok(Some(Amount::new(minor, currency).map_err(value)?))
}

/// DE39 as the issuer sent it, when that is not the code of the answer.
fn sent(outcome: &Outcome<'_>) -> Option<ResponseCode> {
    match outcome.issuer_code {
        Some(code) => Some(code.sent().unwrap_or(code)),
        None => outcome.answer.code.sent(),
    }
}

fn code_bytes(code: Option<ResponseCode>) -> [u8; 2] {
    code.map_or([0, 0], |code| *code.as_bytes())
}

fn code(bytes: [u8; 2]) -> Result<Option<ResponseCode>, RecordError> {
    if bytes == [0, 0] {
        return Ok(None);
    }
    ResponseCode::from_stored(bytes).map(Some).map_err(value)
}

/// Padded with zeros, which no text contains.
fn text_bytes<const N: usize>(text: &Text<N>) -> [u8; N] {
    let mut bytes = [0; N];
    for (target, byte) in bytes.iter_mut().zip(text.as_bytes()) {
        *target = *byte;
    }
    bytes
}

fn text<const N: usize>(what: &'static str, bytes: &[u8; N]) -> Result<Text<N>, RecordError> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(N);
    let (content, padding) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    zero(what, padding)?;
    Text::new(what, content).map_err(value)
}
