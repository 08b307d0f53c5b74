//! S6: digits of account numbers that may lie nowhere.

use super::words::pan_digits;

/// Digits of an account number that no masked one shows.
const LEN: usize = 12;

/// Whether an account number is in it, in characters or packed.
pub(super) fn is_in(bytes: &[u8]) -> bool {
    let digits = pan_digits(0);
    let clear = &digits[..LEN];
    let mut packed = [0; LEN / 2];
    for (packed, pair) in packed.iter_mut().zip(clear.chunks(2)) {
        *packed = (pair[0] - b'0') << 4 | (pair[1] - b'0');
    }
    let end = bytes.iter().rposition(|byte| *byte != 0);
    let written = &bytes[..end.map_or(0, |end| end + 1)];
    holds(written, clear) || holds(written, &packed)
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    let mut begins = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == what[0]);
    begins.any(|(at, _)| bytes[at..].starts_with(what))
}
