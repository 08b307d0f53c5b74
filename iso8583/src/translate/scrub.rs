//! Authentication data leaves the buffer as soon as the issuer has it (security.md §2).

use crate::dialect::Dialect;
use crate::message::FieldIndex;

/// Zeroes the fields that the dialect marks as authentication data, in place. What an answer echoes
/// stays.
pub fn scrub_sad(bytes: &mut [u8], index: &FieldIndex, dialect: &Dialect) {
    for number in dialect.sad().intersection(index.present()) {
        if let Some(value) = index.span(number).and_then(|span| span.of_mut(bytes)) {
            value.fill(0);
        }
    }
    // Keeps the stores above from being dropped as dead: there is no unsafe here to make them
    // volatile.
    core::hint::black_box(bytes);
}
