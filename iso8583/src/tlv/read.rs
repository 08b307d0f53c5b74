//! One element after the other out of one row: the leaf under every way of reading.

use super::{Element, TlvError, TlvRule};
use crate::rest::Rest;

/// The next element of a row; `None` behind the last one, and behind a fault.
#[inline]
pub(super) fn next<'a>(row: &mut Rest<'a>) -> Option<Result<Element<'a>, TlvError>> {
    let from_tag = behind_padding(row.bytes);
    if from_tag.is_empty() {
        row.stop();
        return None;
    }
    let read = split(row, from_tag);
    match &read {
        Ok(element) => row.pass(element.bytes.len()),
        Err(_) => row.stop(),
    }
    Some(read)
}

#[inline]
fn behind_padding(row: &[u8]) -> &[u8] {
    match row {
        [0, padded @ ..] => {
            let padding = padded.iter().take_while(|byte| **byte == 0).count();
            padded.get(padding..).unwrap_or_default()
        }
        unpadded => unpadded,
    }
}

/// The element whose tag is at the front of `from_tag`, which is an end of the row.
#[inline]
fn split<'a>(row: &Rest<'a>, from_tag: &'a [u8]) -> Result<Element<'a>, TlvError> {
    let fault = |from, rule| TlvError {
        offset: row.offset_of(from),
        rule,
    };
    let (tag, from_len) = split_tag(from_tag).map_err(|rule| fault(from_tag, rule))?;
    let (len, from_value) = split_len(from_len).map_err(|rule| fault(from_len, rule))?;
    let Some((value, behind)) = from_value.split_at_checked(len) else {
        return Err(fault(from_value, TlvRule::Truncated));
    };
    debug_assert!(tag != 0, "zeros are padding");
    Ok(Element {
        tag,
        offset: row.offset_of(from_tag),
        value,
        bytes: row.up_to(behind),
    })
}

/// The tag at the front as a number, and what stands behind it. Bytes behind the first say with
/// their top bit whether one more follows.
#[inline]
pub(super) fn split_tag(bytes: &[u8]) -> Result<(u32, &[u8]), TlvRule> {
    let (first, mut rest) = bytes.split_first().ok_or(TlvRule::Truncated)?;
    let mut tag = u32::from(*first);
    if first & LOW_TAG_BITS != LOW_TAG_BITS {
        return Ok((tag, rest));
    }
    for _ in 1..TAG_LEN_MAX {
        let (byte, behind) = rest.split_first().ok_or(TlvRule::Truncated)?;
        tag = (tag << 8) | u32::from(*byte);
        if byte & MORE == 0 {
            return Ok((tag, behind));
        }
        rest = behind;
    }
    Err(TlvRule::TagTooLong)
}

/// The length that stands at the front, and what stands behind it.
#[inline]
fn split_len(bytes: &[u8]) -> Result<(usize, &[u8]), TlvRule> {
    match bytes {
        [len @ 0..=SHORT_LEN_MAX, rest @ ..] => Ok((usize::from(*len), rest)),
        [0x80, ..] => Err(TlvRule::IndefiniteLength),
        [0x81, len, rest @ ..] => Ok((usize::from(*len), rest)),
        [0x82, high, low, rest @ ..] => Ok((usize::from(u16::from_be_bytes([*high, *low])), rest)),
        [] | [0x81 | 0x82, ..] => Err(TlvRule::Truncated),
        [0x83..=0xFF, ..] => Err(TlvRule::LengthTooLong),
    }
}

pub(super) const CONSTRUCTED: u8 = 0x20;
pub(super) const LOW_TAG_BITS: u8 = 0x1F;
pub(super) const MORE: u8 = 0x80;
/// The longest value whose length is one byte.
pub(super) const SHORT_LEN_MAX: u8 = 0x7F;
const TAG_LEN_MAX: u8 = 4;
