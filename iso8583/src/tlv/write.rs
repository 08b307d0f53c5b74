//! Elements and lengths in their shortest form.

use super::read::{self, SHORT_LEN_MAX};

/// Writes an element at the start of `out`, its length in the shortest form; returns the bytes
/// written. `None`, and nothing is written, when `out` is too small, `tag` is not the number of a
/// tag of at most four bytes, or the value is longer than 65535 bytes.
#[must_use]
pub fn put(out: &mut [u8], tag: u32, value: &[u8]) -> Option<usize> {
    let tag_bytes = tag.to_be_bytes();
    let leading = tag_bytes.iter().take_while(|byte| **byte == 0).count();
    let tag_bytes = tag_bytes.get(leading..)?;
    if read::split_tag(tag_bytes) != Ok((tag, &[])) {
        return None;
    }
    let (len_bytes, len_len) = len_bytes(value.len())?;
    let len_bytes = len_bytes.get(..len_len)?;
    let header_len = tag_bytes.len().checked_add(len_len)?;
    let written = header_len.checked_add(value.len())?;
    let (header, body) = out.get_mut(..written)?.split_at_mut_checked(header_len)?;
    let header_bytes = tag_bytes.iter().chain(len_bytes);
    for (slot, byte) in header.iter_mut().zip(header_bytes) {
        *slot = *byte;
    }
    debug_assert_eq!(body.len(), value.len());
    body.copy_from_slice(value);
    Some(written)
}

/// Writes a length in its shortest form at the start of `out`; returns the bytes written. `None`,
/// and nothing is written, when `out` is too small or the length is above 65535.
#[must_use]
pub fn put_len(out: &mut [u8], len: usize) -> Option<usize> {
    let (bytes, len_len) = len_bytes(len)?;
    let bytes = bytes.get(..len_len)?;
    out.get_mut(..len_len)?.copy_from_slice(bytes);
    Some(len_len)
}

/// The bytes of a length, and how many of the three they are.
fn len_bytes(len: usize) -> Option<([u8; 3], usize)> {
    let [high, low] = u16::try_from(len).ok()?.to_be_bytes();
    Some(match (high, low) {
        (0, 0..=SHORT_LEN_MAX) => ([low, 0, 0], 1),
        (0, _) => ([0x81, low, 0], 2),
        _ => ([0x82, high, low], 3),
    })
}
