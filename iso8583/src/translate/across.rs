//! From one edition of the standard to another: which fields mean the same in both, and what the
//! others become. `docs/dialects.md` has the table for people.

use domain::amount::Amount;
use domain::record::{Completed, Extent};
use domain::request::{IssuerLeg, MessageClass, Trace};
use domain::time::{TransmissionTime, WallTime, digits_of};

use super::read;
use super::write::put_present;
use crate::bitmap::Bitmap;
use crate::error::WriteError;
use crate::message::MessageRef;
use crate::mti::{Class, Version};
use crate::writer::Writer;

/// Fields that mean the same in both editions, and hold what the other one can hold: 1987 and 1993.
/// What is not here is left out or made by a rule.
const SAME: &[u8] = &[
    2, 3, 4, 5, 6, 8, 9, 10, 14, 16, 17, 19, 20, 21, 23, 27, 32, 34, 35, 36, 37, 38, 40, 41, 42,
    44, 45, 47, 48, 50, 51, 52, 54, 55, 59, 60, 61, 62, 63, 67, 68, 69, 73, 98, 99, 100, 101, 102,
    103, 104, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
];

/// Fields that a rule makes out of others, or of what the leg has: [`put_converted`].
const CONVERTED: &[u8] = &[7, 11, 12, 13, 18, 24, 26, 33, 43, 49];

/// What crosses between two editions as it is.
pub(super) const fn carried(from: Version, to: Version) -> Bitmap {
    match (from, to) {
        (Version::Iso1987, Version::Iso1993) | (Version::Iso1993, Version::Iso1987) => set(SAME),
        // Editions that no endpoint speaks have nothing in common with any.
        _ => Bitmap::EMPTY,
    }
}

/// What a rule makes.
pub(super) const fn converted() -> Bitmap {
    set(CONVERTED)
}

const fn set(numbers: &[u8]) -> Bitmap {
    let mut set = Bitmap::EMPTY;
    let mut rest = numbers;
    while let [number, tail @ ..] = rest {
        set = set.with(*number);
        rest = tail;
    }
    set
}

/// When a transaction was made, where it was made: DE12 of 1993, `YYMMDDhhmmss`. The year of 1987's
/// DE13 is the one that puts it nearest to `near`; without both fields the leg's own DE7 stands in.
pub(super) fn local_time(trace: &Trace, leg: &IssuerLeg, near: WallTime) -> [u8; 12] {
    dated(trace.local().unwrap_or(leg.transmitted), near)
}

/// With the year that puts it nearest to `near`.
pub(super) fn dated(local: TransmissionTime, near: WallTime) -> [u8; 12] {
    let year = local.resolve(near).unwrap_or(near).civil().year;
    let year = u64::from(year % 100).saturating_mul(10_000_000_000);
    digits_of(year.saturating_add(u64::from(local.as_number())))
}

/// The transaction amount in the units of an endpoint.
pub(super) fn put_amount(writer: &mut Writer<'_>, amount: Amount) -> Result<(), WriteError> {
    writer.put(4, &amount.digits())
}

/// Puts one of [`converted`], but 7, 11 and 33, which are the leg's.
pub(super) fn put_converted(
    writer: &mut Writer<'_>,
    number: u8,
    request: MessageRef<'_>,
    local: &[u8; 12],
) -> Result<(), WriteError> {
    let to_1987 = writer.dialect().version() == Version::Iso1987;
    match number {
        12 if to_1987 => put_present(writer, 12, of_local(request, 6..12, local)),
        12 => writer.put(12, local),
        13 if to_1987 => put_present(writer, 13, of_local(request, 2..6, local)),
        18 if to_1987 => move_category(writer, 18, 26, request),
        26 if !to_1987 => move_category(writer, 26, 18, request),
        24 if !to_1987 => writer.put(24, function_code(request)),
        43 => put_place(writer, request, to_1987),
        49 => match read::currency(request) {
            Ok(currency) => writer.put(49, &currency.digits()),
            Err(_) => Err(WriteError::Content(49)),
        },
        _ => Ok(()),
    }
}

/// A part of 1993's DE12, when the message has it.
fn of_local<'a>(
    request: MessageRef<'_>,
    part: core::ops::Range<usize>,
    local: &'a [u8; 12],
) -> &'a [u8] {
    if request.present().contains(12) {
        local.get(part).unwrap_or_default()
    } else {
        &[]
    }
}

/// The merchant category code has a field of its own in each edition.
fn move_category(
    writer: &mut Writer<'_>,
    to: u8,
    from: u8,
    request: MessageRef<'_>,
) -> Result<(), WriteError> {
    let mut scratch = [0; 4];
    match request.decode(from, &mut scratch) {
        Some(category) => writer.put(to, category),
        None => Ok(()),
    }
}

//= docs/rules.md#A-10
/// DE24 of a request or an advice: an original authorisation, an original financial one, or one
/// that was authorised before, with the amount of then or with another one.
pub(super) const fn function_of(
    class: MessageClass,
    completed: Option<&Completed>,
) -> &'static [u8; 3] {
    match (class, completed) {
        (MessageClass::Authorisation, _) => b"100",
        (MessageClass::Financial, None) => b"200",
        (MessageClass::Financial, Some(completed)) => match completed.extent {
            Extent::Unknown => b"200",
            Extent::Whole => b"201",
            Extent::Other => b"202",
        },
    }
}

/// The same by the type of a message.
fn function_code(request: MessageRef<'_>) -> &'static [u8; 3] {
    match request.mti().class() {
        Class::Authorisation => b"100",
        Class::Financial
        | Class::FileAction
        | Class::Reversal
        | Class::Reconciliation
        | Class::Administrative
        | Class::FeeCollection
        | Class::Network
        | Class::Reserved => b"200",
    }
}

/// DE43: forty characters in 1987, up to 99 in 1993. Longer ones are cut, shorter ones padded.
fn put_place(
    writer: &mut Writer<'_>,
    request: MessageRef<'_>,
    to_1987: bool,
) -> Result<(), WriteError> {
    let mut scratch = [0; 99];
    let Some(place) = request.decode(43, &mut scratch) else {
        return Ok(());
    };
    let len_max = if to_1987 { 40 } else { 99 };
    let place = place.get(..len_max).unwrap_or(place);
    writer.put_padded(43, place)
}

/// DE15 of an answer, settlement date: MMDD in 1987, YYMMDD in 1993. The year is the one that puts
/// it nearest to the request's DE12, so that no clock is asked. `None` when it cannot be told.
pub(super) fn settlement_date(
    value: &[u8],
    request: MessageRef<'_>,
) -> Option<([u8; 6], core::ops::Range<usize>)> {
    if let Ok(dated) = <[u8; 6]>::try_from(value) {
        return Some((dated, 2..6));
    }
    let settled: [u8; 4] = value.try_into().ok()?;
    let request: [u8; 12] = request.array(12)?;
    let (year, rest) = request.split_first_chunk::<2>()?;
    let month = |digits: &[u8]| {
        let [tens, ones] = digits.first_chunk::<2>()?;
        let tens = tens.checked_sub(b'0')?.checked_mul(10)?;
        Some(i16::from(tens.checked_add(ones.checked_sub(b'0')?)?))
    };
    let ahead = month(&settled)?.saturating_sub(month(rest)?);
    let year = u64::try_from(month(year)?).ok()?;
    let year = match ahead {
        ..-6 => year.saturating_add(1),
        7.. => year.saturating_add(99),
        _ => year,
    } % 100;
    let mut dated: [u8; 6] = digits_of(year.saturating_mul(10_000));
    if let Some(slot) = dated.last_chunk_mut::<4>() {
        *slot = settled;
    }
    Some((dated, 0..6))
}

#[cfg(test)]
mod tests;
