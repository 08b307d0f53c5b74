//! The payload of a record: one archived struct of fixed size, then, for an outcome, the fields to
//! replay as they are; and so for an advice, the fields to pass on, and for what an operator did,
//! the reason.

mod v1;
mod v2;

use domain::ids::TransactionId;
use domain::record::{Outcome, Record};
use domain::request::Answer;
use rkyv::api::low;
use rkyv::bytecheck::CheckBytes;
use rkyv::de::pooling::Unpool;
use rkyv::rancor::{Failure, Strategy};
use rkyv::ser::allocator::SubAllocator;
use rkyv::ser::writer::Buffer;
use rkyv::{Archive, Deserialize, Serialize};

use super::{EncodeError, RecordError, RecordType};

/// Longest fixed part of any payload.
const FIXED_MAX: usize = 280;

const _: () = assert!(v1::ADVISED_LEN <= FIXED_MAX && v2::INTENT_LEN <= FIXED_MAX);

/// Bytes on the alignment that an archive needs; records lie where the file has them.
#[repr(align(16))]
struct Aligned([u8; FIXED_MAX]);

/// The version that `record` is written in: the oldest that holds what it says, so that an older
/// program reads it too.
pub(super) const fn version(record: &Record<'_>) -> u16 {
    if let Record::SafOwed(owed) = record
        && owed.reason.is_some()
    {
        return 2;
    }
    if let Record::Intent(intent) = record
        && intent.asked_until.is_some()
    {
        return 2;
    }
    1
}

/// Whether payloads of `kind` come in this version.
pub(super) const fn knows(kind: RecordType, version: u16) -> bool {
    matches!(
        (kind, version),
        (_, 1) | (RecordType::SafOwed | RecordType::Intent, 2)
    )
}

/// Bytes of the payload of `record`.
pub(super) const fn len(record: &Record<'_>) -> usize {
    match record {
        Record::Intent(intent) if intent.asked_until.is_some() => v2::INTENT_LEN,
        Record::Intent(_) => v1::INTENT_LEN,
        Record::Refused(_) => v1::REFUSED_LEN,
        Record::Outcome(outcome) => v1::OUTCOME_LEN + outcome.answer.fields.len(),
        Record::SafOwed(owed) if owed.reason.is_some() => v2::SAF_OWED_LEN,
        Record::SafOwed(_) => v1::SAF_OWED_LEN,
        Record::SafDone(_) | Record::AdviceDone(_) => v1::SAF_DONE_LEN,
        Record::Tombstone(_) => v1::TOMBSTONE_LEN,
        Record::LateResponse(_) => v1::LATE_RESPONSE_LEN,
        Record::Advised(advised) => v1::ADVISED_LEN + advised.fields.len(),
        Record::Operated(operated) => v1::OPERATED_LEN + operated.reason.len(),
        Record::Day(_) => v1::DAY_LEN,
        Record::Totals(_) => v1::TOTALS_LEN,
        Record::Reconciled(_) => v1::RECONCILED_LEN,
        Record::ReconciliationOwed(_) => v1::RECONCILIATION_OWED_LEN,
        Record::ReconciliationDone(_) => v1::RECONCILIATION_DONE_LEN,
    }
}

/// Fills `out`, which has exactly the length that [`len`] gave.
pub(super) fn write(record: &Record<'_>, out: &mut [u8]) -> Result<(), EncodeError> {
    match record {
        Record::Intent(intent) => match intent.asked_until {
            Some(until) => archive(&v2::IntentV2::new(intent, until), out),
            None => archive(&v1::IntentV1::from(intent), out),
        },
        Record::Refused(refused) => archive(&v1::RefusedV1::from(refused), out),
        Record::Outcome(outcome) => {
            let fixed = v1::OutcomeV1::from(outcome);
            write_with_fields(&fixed, v1::OUTCOME_LEN, outcome.answer.fields, out)
        }
        Record::SafOwed(owed) => match owed.reason {
            Some(reason) => archive(&v2::SafOwedV2::new(owed, reason), out),
            None => archive(&v1::SafOwedV1::from(owed), out),
        },
        Record::SafDone(done) | Record::AdviceDone(done) => {
            archive(&v1::SafDoneV1::from(done), out)
        }
        Record::Tombstone(tombstone) => archive(&v1::TombstoneV1::from(tombstone), out),
        Record::LateResponse(late) => archive(&v1::LateResponseV1::from(late), out),
        Record::Advised(advised) => write_with_fields(
            &v1::AdvisedV1::from(advised),
            v1::ADVISED_LEN,
            advised.fields,
            out,
        ),
        Record::Operated(operated) => write_with_fields(
            &v1::OperatedV1::from(operated),
            v1::OPERATED_LEN,
            operated.reason.as_str().as_bytes(),
            out,
        ),
        Record::Day(day) => archive(&v1::DayV1::from(day), out),
        Record::Totals(totals) => archive(&v1::TotalsV1::from(totals), out),
        Record::Reconciled(reconciled) => archive(&v1::ReconciledV1::from(reconciled), out),
        Record::ReconciliationOwed(owed) => archive(&v1::ReconciliationOwedV1::from(owed), out),
        Record::ReconciliationDone(done) => archive(&v1::ReconciliationDoneV1::from(done), out),
    }
}

/// Reads a payload of `kind`, in a version that is known; `bytes` must be all of it.
pub(super) fn read(
    (kind, version): (RecordType, u16),
    transaction: TransactionId,
    bytes: &[u8],
) -> Result<Record<'_>, RecordError> {
    Ok(match kind {
        RecordType::Intent if version == 2 => {
            Record::Intent(exact::<v2::IntentV2>(bytes)?.intent(transaction)?)
        }
        RecordType::Intent => Record::Intent(exact::<v1::IntentV1>(bytes)?.intent(transaction)?),
        RecordType::Refused => {
            Record::Refused(exact::<v1::RefusedV1>(bytes)?.refused(transaction)?)
        }
        RecordType::Outcome => Record::Outcome(read_outcome(transaction, bytes)?),
        RecordType::SafOwed if version == 2 => {
            Record::SafOwed(exact::<v2::SafOwedV2>(bytes)?.saf_owed(transaction)?)
        }
        RecordType::SafOwed => {
            Record::SafOwed(exact::<v1::SafOwedV1>(bytes)?.saf_owed(transaction)?)
        }
        RecordType::SafDone => {
            Record::SafDone(exact::<v1::SafDoneV1>(bytes)?.saf_done(transaction)?)
        }
        RecordType::AdviceDone => {
            Record::AdviceDone(exact::<v1::SafDoneV1>(bytes)?.saf_done(transaction)?)
        }
        RecordType::Tombstone => {
            Record::Tombstone(exact::<v1::TombstoneV1>(bytes)?.tombstone(transaction)?)
        }
        RecordType::LateResponse => {
            Record::LateResponse(exact::<v1::LateResponseV1>(bytes)?.late_response(transaction)?)
        }
        RecordType::Advised => {
            let (fixed, fields) = split_fields(bytes, v1::ADVISED_LEN)?;
            Record::Advised(exact::<v1::AdvisedV1>(fixed)?.advised(transaction, fields)?)
        }
        RecordType::Operated => {
            let (fixed, reason) = split_fields(bytes, v1::OPERATED_LEN)?;
            Record::Operated(exact::<v1::OperatedV1>(fixed)?.operated(transaction, reason)?)
        }
        RecordType::Day => Record::Day(exact::<v1::DayV1>(bytes)?.day(transaction)?),
        RecordType::Totals => Record::Totals(exact::<v1::TotalsV1>(bytes)?.totals(transaction)?),
        RecordType::Reconciled => {
            Record::Reconciled(exact::<v1::ReconciledV1>(bytes)?.reconciled(transaction)?)
        }
        RecordType::ReconciliationOwed => {
            let owed = exact::<v1::ReconciliationOwedV1>(bytes)?;
            Record::ReconciliationOwed(owed.owed(transaction)?)
        }
        RecordType::ReconciliationDone => {
            let done = exact::<v1::ReconciliationDoneV1>(bytes)?;
            Record::ReconciliationDone(done.done(transaction)?)
        }
    })
}

/// A fixed part of `len` bytes, then `fields` as they are.
fn write_with_fields<'a, T>(
    fixed: &T,
    len: usize,
    fields: &[u8],
    out: &'a mut [u8],
) -> Result<(), EncodeError>
where
    T: Serialize<Serializer<'a>>,
{
    if fields.len() > Answer::FIELDS_LEN_MAX {
        return Err(EncodeError::TooLong);
    }
    let (start, rest) = out.split_at_mut_checked(len).ok_or(EncodeError::NoRoom)?;
    archive(fixed, start)?;
    if rest.len() != fields.len() {
        return Err(EncodeError::NoRoom);
    }
    rest.copy_from_slice(fields);
    Ok(())
}

fn read_outcome(transaction: TransactionId, bytes: &[u8]) -> Result<Outcome<'_>, RecordError> {
    let (fixed, fields) = split_fields(bytes, v1::OUTCOME_LEN)?;
    exact::<v1::OutcomeV1>(fixed)?.outcome(transaction, fields)
}

fn split_fields(bytes: &[u8], len: usize) -> Result<(&[u8], &[u8]), RecordError> {
    let (fixed, fields) = bytes.split_at_checked(len).ok_or(RecordError::Length)?;
    if fields.len() > Answer::FIELDS_LEN_MAX {
        return Err(RecordError::Length);
    }
    Ok((fixed, fields))
}

type Serializer<'a> = Strategy<rkyv::ser::Serializer<Buffer<'a>, SubAllocator<'a>, ()>, Failure>;

fn archive<'a, T>(value: &T, out: &'a mut [u8]) -> Result<(), EncodeError>
where
    T: Serialize<Serializer<'a>>,
{
    let len = out.len();
    let written = low::to_bytes_in_with_alloc::<_, _, Failure>(
        value,
        Buffer::from(out),
        SubAllocator::empty(),
    )
    .map_err(|_| EncodeError::NoRoom)?;
    debug_assert_eq!(written.len(), len, "a payload has the length of its type");
    Ok(())
}

/// Reads `bytes` as one archived `T` and nothing more.
fn exact<T>(bytes: &[u8]) -> Result<T, RecordError>
where
    T: Archive,
    T::Archived: for<'a> CheckBytes<low::LowValidator<'a, Failure>>
        + Deserialize<T, Strategy<Unpool, Failure>>,
{
    if bytes.len() != size_of::<T::Archived>() {
        return Err(RecordError::Length);
    }
    let mut aligned = Aligned([0; FIXED_MAX]);
    let copy = aligned
        .0
        .get_mut(..bytes.len())
        .ok_or(RecordError::Length)?;
    copy.copy_from_slice(bytes);
    low::from_bytes::<T, Failure>(copy).map_err(|_| RecordError::Value("layout"))
}
