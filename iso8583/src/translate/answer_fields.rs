//! The further fields of an issuer's answer, as `domain::request::Answer::fields` lays them out: for
//! each one byte field number, two bytes big-endian length, the value.

use domain::request::Answer;

use crate::message::MessageRef;

/// Encodes what the dialect replays into `scratch`, ascending. DE55 gets its room first, because the
/// terminal needs it to end its dialogue with the card; what then does not fit is left out.
pub(super) fn collect<'a>(message: MessageRef<'_>, scratch: &'a mut [u8]) -> &'a [u8] {
    let room = scratch.len().min(Answer::FIELDS_LEN_MAX);
    let size = |number| match message.field(number) {
        Some(value) => value.len().saturating_add(HEADER_LEN),
        None => 0,
    };
    let mut spare = room.saturating_sub(size(CHIP_DATA));
    let mut at = 0_usize;
    for number in message.dialect().replay().intersection(message.present()) {
        if number != CHIP_DATA {
            let size = size(number);
            if size > spare {
                continue;
            }
            spare = spare.saturating_sub(size);
        }
        if let Some(len) = scratch
            .get_mut(at..room)
            .and_then(|out| put(message, number, out))
        {
            at = at.saturating_add(len);
        }
    }
    scratch.get(..at).unwrap_or_default()
}

/// Bytes written; `None` when the field does not fit.
fn put(message: MessageRef<'_>, number: u8, out: &mut [u8]) -> Option<usize> {
    let (header, body) = out.split_first_chunk_mut::<HEADER_LEN>()?;
    let len = message.decode_into(number, body)?;
    let [high, low] = u16::try_from(len).ok()?.to_be_bytes();
    *header = [number, high, low];
    len.checked_add(HEADER_LEN)
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

const HEADER_LEN: usize = 3;
const CHIP_DATA: u8 = 55;
