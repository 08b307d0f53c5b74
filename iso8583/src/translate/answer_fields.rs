//! The further fields of an issuer's answer, as `domain::request::Answer::fields` lays them out:
//! for each one byte field number, two bytes big-endian length, the value. Those of an issuer
//! of 1993 begin with field 0, which says so. Those of an advice have its message reason as field
//! 1; it is empty where the advice gave none and has a field that might be taken for one.

use domain::request::Answer;

use crate::bitmap::Bitmap;
use crate::chip::Conversion;
use crate::composite::Composite;
use crate::dialect::CHIP_DATA;
use crate::field::{DECODED_BYTES_MAX, Sensitivity};
use crate::message::MessageRef;
use crate::mti::Version;
use crate::parts::emv;
use crate::tlv;

/// Encodes what the dialect replays into `scratch`, ascending: no private field, as it may hold a
/// verification value, and what is collected here is stored in the outcome. DE55 gets its room
/// first, because the terminal needs it to end its dialogue with the card; what then does not fit
/// is left out.
pub(super) fn collect<'a>(message: MessageRef<'_>, scratch: &'a mut [u8]) -> &'a [u8] {
    collect_with(message, message.dialect().replay(), None, scratch)
}

/// Encodes those of `numbers` that are there, behind a reason of four digits, or behind an empty
/// one that says that none of them is it.
pub(super) fn collect_with<'a>(
    message: MessageRef<'_>,
    numbers: Bitmap,
    reason: Option<&[u8]>,
    scratch: &'a mut [u8],
) -> &'a [u8] {
    let room = scratch.len().min(Answer::FIELDS_LEN_MAX);
    let size = |number| match message.value_len(number) {
        Some(len) => len.saturating_add(HEADER_LEN),
        None => 0,
    };
    let mut spare = room.saturating_sub(size(CHIP_DATA));
    let mut at = put_origin(message.dialect().version(), scratch);
    if let Some(reason) = reason {
        at = at.saturating_add(put_reason(
            reason,
            scratch.get_mut(at..).unwrap_or_default(),
        ));
    }
    spare = spare.saturating_sub(at);
    for number in numbers.intersection(message.present()) {
        if number != CHIP_DATA {
            let size = size(number);
            if size > spare {
                continue;
            }
            spare = spare.saturating_sub(size);
        }
        debug_assert!(at <= room);
        if let Some(len) = scratch
            .get_mut(at..room)
            .and_then(|out| put(message, number, out))
        {
            at = at.saturating_add(len);
        }
    }
    scratch.get(..at).unwrap_or_default()
}

/// Fields of another edition than 1987 say so first: as field 0, which there is none, with the
/// first digit of the type indicator. Bytes written.
fn put_origin(version: Version, out: &mut [u8]) -> usize {
    let digit = match version {
        Version::Iso1993 => b'1',
        Version::Iso2003 => b'2',
        Version::Iso1987 | Version::National | Version::Private | Version::Reserved => return 0,
    };
    match out.first_chunk_mut::<ORIGIN_LEN>() {
        Some(slot) => {
            *slot = [0, 0, 1, digit];
            ORIGIN_LEN
        }
        None => 0,
    }
}

/// Bytes written.
fn put_reason(reason: &[u8], out: &mut [u8]) -> usize {
    debug_assert!(reason.is_empty() || reason.len() == REASON_LEN);
    let Some((header, body)) = out.split_first_chunk_mut::<HEADER_LEN>() else {
        return 0;
    };
    match body.get_mut(..reason.len()) {
        Some(body) => {
            let len = u8::try_from(reason.len()).unwrap_or(0);
            *header = [REASON, 0, len];
            body.copy_from_slice(reason);
            HEADER_LEN.saturating_add(reason.len())
        }
        None => 0,
    }
}

/// The edition that fields came in, and the fields.
pub(super) fn origin(fields: &[u8]) -> (Version, &[u8]) {
    match fields.split_first_chunk::<ORIGIN_LEN>() {
        Some(([0, 0, 1, b'1'], rest)) => (Version::Iso1993, rest),
        Some(([0, 0, 1, b'2'], rest)) => (Version::Iso2003, rest),
        Some(_) | None => (Version::Iso1987, fields),
    }
}

/// Bytes written; `None` when the field does not fit or nothing of it may be kept.
fn put(message: MessageRef<'_>, number: u8, out: &mut [u8]) -> Option<usize> {
    let (header, body) = out.split_first_chunk_mut::<HEADER_LEN>()?;
    let len = if number == CHIP_DATA {
        put_chip_data(message, body)?
    } else {
        message.decode_into(number, body)?
    };
    let [high, low] = u16::try_from(len).ok()?.to_be_bytes();
    *header = [number, high, low];
    len.checked_add(HEADER_LEN)
}

/// The elements of chip data that may be stored, without the datasets that they may stand in.
fn put_chip_data(message: MessageRef<'_>, out: &mut [u8]) -> Option<usize> {
    let row = message.dialect().field(CHIP_DATA)?;
    let conversion = Conversion::between(row.composite, Composite::Tlv);
    let mut scratch = [0; CHIP_DATA_LEN_MAX];
    let len = if conversion == Conversion::None {
        message.decode_into(CHIP_DATA, out)?
    } else {
        let value = message.decode(CHIP_DATA, &mut scratch)?;
        let value = conversion.apply(value, out)?;
        value.len()
    };
    keep_storable(out.get_mut(..len)?)
}

/// Moves the elements of chip data that may be stored to the front, and says how long they are.
/// `None` when none is left, or the data is no row of elements: then nobody can tell what it holds.
fn keep_storable(chip_data: &mut [u8]) -> Option<usize> {
    let (mut read, mut kept) = (0_usize, 0_usize);
    while let Some(element) = tlv::elements(chip_data.get(read..)?).next() {
        let element = element.ok()?;
        let end = read.checked_add(element.bytes.len())?;
        if may_be_stored(&element) {
            chip_data.copy_within(read..end, kept);
            kept = kept.checked_add(end.checked_sub(read)?)?;
        }
        debug_assert!(kept <= end && end > read);
        read = end;
    }
    (kept > 0).then_some(kept)
}

//= docs/rules.md#C-01
/// An element without account number and authentication data, in itself and in all that it holds.
/// What is malformed within it may hide some: where one reader sees a value another one sees tags.
fn may_be_stored(element: &tlv::Element<'_>) -> bool {
    tlv::walk(element.bytes).all(|inner| inner.is_ok_and(|(_, inner)| !is_secret(inner.tag)))
}

/// Whether an element is known to hold an account number or authentication data. What is kept is
/// all that the acquirer gets, so an element that nobody knows stays, and so do the commands of an
/// issuer's script: the terminal hands them to the card, which alone can read a PIN in them.
fn is_secret(tag: u32) -> bool {
    tag != ISSUER_SCRIPT_COMMAND
        && emv::known(tag).is_some_and(|known| match known.sensitivity {
            Sensitivity::Pan | Sensitivity::Sad => true,
            Sensitivity::Public => false,
        })
}

/// Numbers and values in the order in which they stand; ends early where the layout is broken.
#[derive(Clone, Debug)]
pub(super) struct AnswerFields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for AnswerFields<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([number, high, low], rest) = self.0.split_first_chunk::<HEADER_LEN>()?;
        let len = u16::from_be_bytes([*high, *low]);
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some((*number, value))
    }
}

/// The number under which a message reason is kept, whichever field it came in.
pub(super) const REASON: u8 = 1;
const REASON_LEN: usize = 4;
const HEADER_LEN: usize = 3;
const ORIGIN_LEN: usize = HEADER_LEN + 1;
/// The longest chip data that is taken out of datasets in another encoding than bytes.
const CHIP_DATA_LEN_MAX: usize = DECODED_BYTES_MAX as usize;
const ISSUER_SCRIPT_COMMAND: u32 = 0x86;

#[cfg(test)]
mod tests;
