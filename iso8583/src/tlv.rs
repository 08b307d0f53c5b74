//! BER-TLV, as DE55 carries it: elements in the order in which they stand, unknown tags included.
//!
//! Tags of at most four bytes, lengths of at most two behind 81 or 82, no indefinite length. Tags
//! and lengths are taken as they come, in the shortest form or not, so that what was read can be
//! sent on byte for byte. A tag may stand more than once and a value may be empty: both are legal.
//!
//! Zero bytes before, between and after elements are padding (EMV Book 3, annex B1). Specification
//! update 69 allows them within templates alone; they are taken everywhere, since terminals copy
//! what the card gave, and are never written. FF is no padding: EMV pads with zeros alone, and FF
//! begins a tag in use, FF8105.

mod read;
#[cfg(test)]
mod tests;
mod walk;
mod write;

use crate::rest::Rest;
pub use walk::{DEPTH_MAX, Walk, check, walk};
pub use write::{put, put_len};

/// The elements of `bytes`. Constructed ones are not opened; [`walk`] opens them.
#[must_use]
pub const fn elements(bytes: &[u8]) -> Elements<'_> {
    Elements(Rest::of(bytes))
}

/// What the first element with this tag holds. Constructed ones are not opened, and behind a fault
/// nothing is found.
#[must_use]
pub fn find(bytes: &[u8], tag: u32) -> Option<&[u8]> {
    elements(bytes)
        .map_while(Result::ok)
        .find(|element| element.tag == tag)
        .map(|element| element.value)
}

/// One element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The tag's bytes as a number: 0x9F36, 0x57. None begins with a zero byte, so each tag is a
    /// number of its own.
    pub tag: u32,
    /// Where its tag begins: bytes from the start of the field.
    pub offset: u32,
    /// What it holds.
    pub value: &'a [u8],
    /// Padding before it, tag, length and value: side by side the elements of a row are the row,
    /// but for padding at its end.
    pub bytes: &'a [u8],
}

impl Element<'_> {
    /// Whether the value is itself a row of elements.
    #[must_use]
    pub fn is_constructed(&self) -> bool {
        let mut tag = self.tag.to_be_bytes().into_iter();
        tag.find(|byte| *byte != 0)
            .is_some_and(|first| first & read::CONSTRUCTED != 0)
    }
}

impl core::fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:X}[{} bytes]", self.tag, self.value.len())
    }
}

/// Elements in order; ends after the first fault.
#[derive(Clone)]
pub struct Elements<'a>(Rest<'a>);

impl core::fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Elements[{} bytes]", self.0.bytes.len())
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, TlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        read::next(&mut self.0)
    }
}

/// Why bytes are no row of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("element at offset {offset}: {rule}")]
pub struct TlvError {
    /// Bytes from the start of the field: to the tag when the tag is cut or too long or stands too
    /// deep, to the length when that is cut or has a form that is not taken, to the first byte of
    /// the value when the value is cut.
    pub offset: u32,
    /// What does not hold.
    pub rule: TlvRule,
}

/// What must hold of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TlvRule {
    /// It ends where the field ends, or the element around it, or before.
    #[error("it is longer than what it stands in")]
    Truncated,
    /// A tag has at most four bytes.
    #[error("the tag is longer than four bytes")]
    TagTooLong,
    /// A length is stated: 80 leaves it open.
    #[error("the length is indefinite")]
    IndefiniteLength,
    /// A length has at most two bytes behind 81 or 82.
    #[error("the length is longer than two bytes")]
    LengthTooLong,
    /// At most [`DEPTH_MAX`] constructed elements stand around one another's content.
    #[error("it stands too deep")]
    TooDeep,
}
