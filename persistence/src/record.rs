//! The bytes of one record: a header of our own, then a payload whose layout is named by its
//! version.
//!
//! Pure: no file, no clock. Offsets are in `docs/journal-format.md`. The header is not rkyv, so
//! that a payload is found by type and version before anything is believed about its layout; a
//! payload is checked by CRC32C, by length and by bytecheck before a field of it is read.

mod payload;

use domain::ids::{Lsn, TransactionId};
use domain::record::{Carriage, Record};
use thiserror::Error;

/// Length of a record header. A multiple of 8, so that a payload is aligned as its record is.
pub const RECORD_HEADER_LEN: usize = 40;
/// No record is longer, header and padding included.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;
/// No address of a callback is longer.
pub const CALLBACK_URL_LEN_MAX: usize = 512;
/// Every record starts and ends at a multiple of this.
pub const RECORD_ALIGN: usize = 8;

const MAGIC: [u8; 2] = *b"jR";

/// What a record is, as its header says. The numbers are on disk: never reused, never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum RecordType {
    /// [`domain::record::Intent`]
    Intent = 1,
    /// [`domain::record::Refused`]
    Refused = 2,
    /// [`domain::record::Outcome`]
    Outcome = 3,
    /// [`domain::record::SafOwed`]
    SafOwed = 4,
    /// [`domain::record::SafDone`]
    SafDone = 5,
    /// [`domain::record::Tombstone`]
    Tombstone = 6,
    /// [`domain::record::LateResponse`]
    LateResponse = 7,
    /// [`domain::record::Advised`]
    Advised = 8,
    /// [`domain::record::SafDone`], of an advice
    AdviceDone = 9,
    /// [`domain::record::Operated`]
    Operated = 10,
    /// [`domain::reconciliation::BusinessDay`]
    Day = 20,
    /// [`domain::reconciliation::DayTotals`]
    Totals = 21,
    /// [`domain::reconciliation::Reconciled`]
    Reconciled = 22,
    /// [`domain::reconciliation::ReconciliationOwed`]
    ReconciliationOwed = 23,
    /// [`domain::reconciliation::ReconciliationDone`]
    ReconciliationDone = 24,
}

impl RecordType {
    /// The type of `record`.
    #[must_use]
    pub const fn of(record: &Record<'_>) -> Self {
        match record {
            Record::Intent(_) => Self::Intent,
            Record::Refused(_) => Self::Refused,
            Record::Outcome(_) => Self::Outcome,
            Record::SafOwed(_) => Self::SafOwed,
            Record::SafDone(_) => Self::SafDone,
            Record::Tombstone(_) => Self::Tombstone,
            Record::LateResponse(_) => Self::LateResponse,
            Record::Advised(_) => Self::Advised,
            Record::AdviceDone(_) => Self::AdviceDone,
            Record::Operated(_) => Self::Operated,
            Record::Day(_) => Self::Day,
            Record::Totals(_) => Self::Totals,
            Record::Reconciled(_) => Self::Reconciled,
            Record::ReconciliationOwed(_) => Self::ReconciliationOwed,
            Record::ReconciliationDone(_) => Self::ReconciliationDone,
        }
    }

    /// All of them, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).filter_map(|number| Self::from_number(u16::from(number)))
    }

    /// The word for it in tables and exports: never changed, only added to.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Refused => "refused",
            Self::Outcome => "outcome",
            Self::SafOwed => "saf_owed",
            Self::SafDone => "saf_done",
            Self::Tombstone => "tombstone",
            Self::LateResponse => "late_response",
            Self::Advised => "advised",
            Self::AdviceDone => "advice_done",
            Self::Operated => "operated",
            Self::Day => "day",
            Self::Totals => "totals",
            Self::Reconciled => "reconciled",
            Self::ReconciliationOwed => "reconciliation_owed",
            Self::ReconciliationDone => "reconciliation_done",
        }
    }

    const fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Intent),
            2 => Some(Self::Refused),
            3 => Some(Self::Outcome),
            4 => Some(Self::SafOwed),
            5 => Some(Self::SafDone),
            6 => Some(Self::Tombstone),
            7 => Some(Self::LateResponse),
            8 => Some(Self::Advised),
            9 => Some(Self::AdviceDone),
            10 => Some(Self::Operated),
            20 => Some(Self::Day),
            21 => Some(Self::Totals),
            22 => Some(Self::Reconciled),
            23 => Some(Self::ReconciliationOwed),
            24 => Some(Self::ReconciliationDone),
            _ => None,
        }
    }
}

/// Why a record cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The buffer is too short for it; nothing of use was written.
    #[error("no room for the record")]
    NoRoom,
    /// The replayable fields of an answer are over their bound.
    #[error("the record is longer than a record may be")]
    TooLong,
}

/// Why bytes are not a record. Names the fault, never a byte of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Fewer bytes than the header needs or than it names.
    #[error("record is cut short")]
    Short,
    /// The record does not begin as one, or a field that must be zero is not.
    #[error("not a record header")]
    Header,
    /// A type or payload version that this program does not know.
    #[error("record type {kind} with payload version {version} is not known")]
    Unknown {
        /// The type as it stands in the header.
        kind: u16,
        /// The payload version as it stands in the header.
        version: u16,
    },
    /// The checksum of the payload does not fit.
    #[error("record checksum does not fit")]
    Checksum,
    /// The payload is not as long as its type and version demand.
    #[error("record payload has the wrong length")]
    Length,
    /// A field holds a value that its type does not admit.
    #[error("record field {0} holds an impossible value")]
    Value(&'static str),
}

/// A record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Its position.
    pub lsn: Lsn,
    /// What it says.
    pub record: Record<'a>,
    /// Whether it was carried over.
    pub carriage: Carriage,
    /// Bytes that it takes, padding included: the next record begins there.
    pub len: usize,
}

/// Bytes that `record` takes, header and padding included.
#[must_use]
pub fn encoded_len(record: &Record<'_>) -> usize {
    encoded_len_with(record, None)
}

/// The same with an address behind it.
#[must_use]
pub fn encoded_len_with(record: &Record<'_>, callback: Option<&str>) -> usize {
    let payload_len = payload::len(record) + callback_len(callback);
    (RECORD_HEADER_LEN + payload_len).next_multiple_of(RECORD_ALIGN)
}

/// Writes `record` to the front of `out` and returns the bytes it took. Does not allocate.
///
/// # Errors
/// [`EncodeError`]; `out` may then hold a part of the record.
pub fn encode(record: &Record<'_>, lsn: Lsn, out: &mut [u8]) -> Result<usize, EncodeError> {
    encode_as(record, Carriage::Fresh, lsn, out)
}

/// The same of a record that may have been carried over.
///
/// # Errors
/// As [`encode`].
pub fn encode_as(
    record: &Record<'_>,
    carriage: Carriage,
    lsn: Lsn,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    encode_with(record, (carriage, None), lsn, out)
}

/// The same of one whose end is told to the address `callback`, at most
/// [`CALLBACK_URL_LEN_MAX`] bytes.
///
/// # Errors
/// As [`encode`].
pub fn encode_with(
    record: &Record<'_>,
    (carriage, callback): (Carriage, Option<&str>),
    lsn: Lsn,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    let record_len = payload::len(record);
    let payload_len = record_len + callback_len(callback);
    let len = (RECORD_HEADER_LEN + payload_len).next_multiple_of(RECORD_ALIGN);
    let is_long = callback.is_some_and(|url| url.len() > CALLBACK_URL_LEN_MAX);
    if len > RECORD_BYTES_MAX || is_long {
        return Err(EncodeError::TooLong);
    }
    let out = out.get_mut(..len).ok_or(EncodeError::NoRoom)?;
    let (header, rest) = out
        .split_at_mut_checked(RECORD_HEADER_LEN)
        .ok_or(EncodeError::NoRoom)?;
    let (body, padding) = rest
        .split_at_mut_checked(payload_len)
        .ok_or(EncodeError::NoRoom)?;
    let (own, behind) = body
        .split_at_mut_checked(record_len)
        .ok_or(EncodeError::NoRoom)?;
    payload::write(record, own)?;
    write_callback(callback, behind)?;
    padding.fill(0);
    Header {
        version: payload::version(record),
        kind: RecordType::of(record) as u16,
        carriage,
        is_called_back: callback.is_some(),
        payload_len: u32::try_from(payload_len).map_err(|_| EncodeError::TooLong)?,
        checksum: crc32c::crc32c(body),
        lsn,
        transaction: record.transaction(),
    }
    .write(header);
    Ok(len)
}

/// Reads the record at the front of `bytes`.
///
/// # Errors
/// [`RecordError`]; nothing of the record was believed then.
pub fn decode(bytes: &[u8]) -> Result<Decoded<'_>, RecordError> {
    let (header, rest) = bytes
        .split_first_chunk::<RECORD_HEADER_LEN>()
        .ok_or(RecordError::Short)?;
    let header = Header::read(header)?;
    let payload_len = usize::try_from(header.payload_len).map_err(|_| RecordError::Short)?;
    if payload_len > RECORD_BYTES_MAX {
        return Err(RecordError::Length);
    }
    let len = (RECORD_HEADER_LEN + payload_len).next_multiple_of(RECORD_ALIGN);
    let body = rest.get(..payload_len).ok_or(RecordError::Short)?;
    let padding = rest
        .get(payload_len..len - RECORD_HEADER_LEN)
        .ok_or(RecordError::Short)?;
    if crc32c::crc32c(body) != header.checksum {
        return Err(RecordError::Checksum);
    }
    if padding.iter().any(|byte| *byte != 0) {
        return Err(RecordError::Header);
    }
    let unknown = RecordError::Unknown {
        kind: header.kind,
        version: header.version,
    };
    let kind = RecordType::from_number(header.kind).ok_or(unknown)?;
    if !payload::knows(kind, header.version) {
        return Err(unknown);
    }
    let (own, _) = split_callback(header.is_called_back, body)?;
    Ok(Decoded {
        lsn: header.lsn,
        record: payload::read((kind, header.version), header.transaction, own)?,
        carriage: header.carriage,
        len,
    })
}

/// Where the end of its transaction is to be told, of a record that [`decode`] has taken.
#[must_use]
pub fn callback(bytes: &[u8]) -> Option<&str> {
    let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER_LEN>()?;
    let header = Header::read(header).ok()?;
    let body = rest.get(..usize::try_from(header.payload_len).ok()?)?;
    split_callback(header.is_called_back, body).ok()?.1
}

/// Bytes that an address takes behind a payload: its own, and two that say how many.
fn callback_len(callback: Option<&str>) -> usize {
    callback.map_or(0, |url| url.len() + CALLBACK_TAIL_LEN)
}

fn write_callback(callback: Option<&str>, out: &mut [u8]) -> Result<(), EncodeError> {
    let Some(url) = callback else {
        return Ok(());
    };
    let (text, tail) = out
        .split_at_mut_checked(url.len())
        .ok_or(EncodeError::NoRoom)?;
    let len = u16::try_from(url.len()).map_err(|_| EncodeError::TooLong)?;
    if tail.len() != CALLBACK_TAIL_LEN {
        return Err(EncodeError::NoRoom);
    }
    text.copy_from_slice(url.as_bytes());
    tail.copy_from_slice(&len.to_le_bytes());
    Ok(())
}

/// The payload proper, and the address behind it.
fn split_callback(is_there: bool, body: &[u8]) -> Result<(&[u8], Option<&str>), RecordError> {
    if !is_there {
        return Ok((body, None));
    }
    let (rest, tail) = body
        .split_last_chunk::<CALLBACK_TAIL_LEN>()
        .ok_or(RecordError::Length)?;
    let len = usize::from(u16::from_le_bytes(*tail));
    let at = rest.len().checked_sub(len).ok_or(RecordError::Length)?;
    let (own, url) = rest.split_at_checked(at).ok_or(RecordError::Length)?;
    let url = core::str::from_utf8(url).ok();
    let url = url.filter(|url| (1..=CALLBACK_URL_LEN_MAX).contains(&url.len()));
    Ok((own, Some(url.ok_or(RecordError::Value("callback"))?)))
}

/// Position and length of the record at the front of `bytes`, which were checked as part of a
/// batch; `None` at their end.
pub(crate) fn peek(bytes: &[u8]) -> Option<(Lsn, usize)> {
    let header = Header::read(bytes.first_chunk::<RECORD_HEADER_LEN>()?).ok()?;
    let payload_len = usize::try_from(header.payload_len).ok()?;
    let len = RECORD_HEADER_LEN.checked_add(payload_len)?;
    Some((header.lsn, len.checked_next_multiple_of(RECORD_ALIGN)?))
}

struct Header {
    version: u16,
    kind: u16,
    carriage: Carriage,
    is_called_back: bool,
    payload_len: u32,
    checksum: u32,
    lsn: Lsn,
    transaction: TransactionId,
}

impl Header {
    /// `out` holds [`RECORD_HEADER_LEN`] bytes.
    fn write(&self, out: &mut [u8]) {
        let parts: [&[u8]; 8] = [
            &MAGIC,
            &self.version.to_le_bytes(),
            &self.kind.to_le_bytes(),
            &flags_of(self.carriage, self.is_called_back).to_le_bytes(),
            &self.payload_len.to_le_bytes(),
            &self.checksum.to_le_bytes(),
            &self.lsn.0.to_le_bytes(),
            &self.transaction.0.to_be_bytes(),
        ];
        let bytes = parts.iter().flat_map(|part| part.iter());
        for (target, byte) in out.iter_mut().zip(bytes) {
            *target = *byte;
        }
    }

    fn read(bytes: &[u8; RECORD_HEADER_LEN]) -> Result<Self, RecordError> {
        let [m0, m1, v0, v1, k0, k1, f0, f1, rest @ ..] = bytes;
        let [l0, l1, l2, l3, c0, c1, c2, c3, rest @ ..] = rest;
        let (lsn, transaction) = rest.split_first_chunk::<8>().ok_or(RecordError::Short)?;
        let transaction = transaction.first_chunk::<16>().ok_or(RecordError::Short)?;
        if [*m0, *m1] != MAGIC {
            return Err(RecordError::Header);
        }
        let flags = u16::from_le_bytes([*f0, *f1]);
        let is_called_back = flags == CALLED_BACK;
        let of_carriage = if is_called_back { 0 } else { flags };
        Ok(Self {
            version: u16::from_le_bytes([*v0, *v1]),
            kind: u16::from_le_bytes([*k0, *k1]),
            carriage: carriage_of(of_carriage).ok_or(RecordError::Header)?,
            is_called_back,
            payload_len: u32::from_le_bytes([*l0, *l1, *l2, *l3]),
            checksum: u32::from_le_bytes([*c0, *c1, *c2, *c3]),
            lsn: Lsn(u64::from_le_bytes(*lsn)),
            transaction: TransactionId(u128::from_be_bytes(*transaction)),
        })
    }
}

/// The flags of a record header. The numbers are on disk: never reused, never changed.
const CARRIED: u16 = 1;
/// Only beside [`CARRIED`].
const COUNTED: u16 = 2;
/// An address stands behind the payload; never beside another flag.
const CALLED_BACK: u16 = 4;

/// How long the address behind a payload is: two bytes, little-endian.
const CALLBACK_TAIL_LEN: usize = 2;

const fn flags_of(carriage: Carriage, is_called_back: bool) -> u16 {
    let called_back = if is_called_back { CALLED_BACK } else { 0 };
    called_back
        | match carriage {
            Carriage::Fresh => 0,
            Carriage::Carried => CARRIED,
            Carriage::Counted => CARRIED | COUNTED,
        }
}

/// `None` for flags that this program does not know.
const fn carriage_of(flags: u16) -> Option<Carriage> {
    const BOTH: u16 = CARRIED | COUNTED;
    match flags {
        0 => Some(Carriage::Fresh),
        CARRIED => Some(Carriage::Carried),
        BOTH => Some(Carriage::Counted),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
