//! A message taken apart for people: field by field, and what fields hold part by part, with every
//! value masked.
//!
//! What may be seen is decided here, so that whoever prints cannot show too much. An account number
//! has its first six and last four digits. Of authentication data, and of private fields that may
//! hold some, nothing is shown but parts that are known to be public: a sub-field by its row, an
//! element of chip data by its tag. In a message with a fault nothing need be where it seems to be:
//! there a value is shown only with evidence that it is the one of its field.

mod composite;
pub(crate) mod emv;
mod field;
mod fields;
mod gate;
mod mask;
mod path;
#[cfg(test)]
mod tests;
mod window;

use core::fmt;

use crate::bitmap::Bitmap;
use crate::dialect::Dialect;
use crate::error::{ParseError, ParseErrorKind};
use crate::mti::Mti;
use field::{Around, Field};
use fields::{Fields, Head, Survey};
use gate::Gate;
pub use mask::{Hidden, Value};
pub use path::{Path, Step};
pub use window::Window;

/// Is shown a message, in the order of the wire.
pub trait Visitor {
    /// The type indicator.
    fn mti(&mut self, mti: Mti);

    /// The bitmaps before the first field, and the fields that they announce. Of what a field
    /// holds nothing is told here.
    fn bitmaps(&mut self, place: core::ops::Range<usize>, fields: Bitmap);

    /// A part; what it holds follows.
    fn part(&mut self, part: &Part<'_>);

    /// What the part at `path` holds is malformed: where, and which rule does not hold. What could
    /// be read before came part by part.
    fn malformed(&mut self, path: &Path, offset: usize, rule: &dyn fmt::Display);
}

/// A field, or a part of what one holds.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Where it belongs.
    pub path: Path,
    /// Its name in the dialect or in the standard; empty where none is known.
    pub name: &'a str,
    /// Its first byte, that of its length or tag where it has one: bytes from the start of the
    /// message. Where the wire has what is around it in another encoding than bytes, the start of
    /// that.
    pub offset: usize,
    /// Bytes of its value.
    pub len: usize,
    /// What may be shown.
    pub value: Value<'a>,
    /// What is wrong with its content; it is shown nevertheless.
    pub fault: Option<ParseErrorKind>,
    /// Whether its odd number of packed digits is filled as its row says.
    pub is_padded: bool,
}

/// Shows `message` to `visitor`, part by part, up to where it cannot be read further. Values that
/// the wire has in another encoding are decoded into `scratch`; of one that does not fit nothing is
/// shown. Twice the longest value is enough, 128 KiB for any message.
///
/// # Errors
/// What [`Dialect::parse`] says of the message. What the fields hold is told to the visitor alone.
pub fn visit(
    dialect: &'static Dialect,
    message: &[u8],
    scratch: &mut [u8],
    visitor: &mut dyn Visitor,
) -> Result<(), ParseError> {
    let survey = Survey::of(dialect, message);
    if let Ok(mti) = Head::mti(dialect, message) {
        visitor.mti(mti);
        if let Ok(head) = Head::read(dialect, message) {
            visitor.bitmaps(dialect.form().mti.wire_len()..head.end, head.fields);
        }
    }
    let around = Around::message(message, Gate::of_message(dialect, message, &survey));
    Visit { visitor }.fields(dialect, around, scratch);
    survey.first_fault.map_or(Ok(()), Err)
}

/// The bytes around a fault, masked.
#[must_use]
pub fn window(dialect: &'static Dialect, message: &[u8], error: ParseError) -> Window {
    window::of(dialect, message, error)
}

/// The place in the message of the first character that is outside the class of its field, where
/// that is the fault and the field is text.
#[must_use]
pub fn outsider(dialect: &'static Dialect, message: &[u8], error: ParseError) -> Option<usize> {
    window::outsider(dialect, message, error)
}

struct Visit<'v> {
    visitor: &'v mut dyn Visitor,
}

impl Visit<'_> {
    /// The fields of a message, or of what a field holds.
    fn fields(&mut self, dialect: &'static Dialect, around: Around<'_>, scratch: &mut [u8]) {
        let Ok(head) = Head::read(dialect, around.bytes) else {
            return;
        };
        let mut gate = around.gate;
        for read in Fields::new(dialect, around.bytes, head) {
            if read.is_stop() {
                return;
            }
            if let Some(row) = dialect.field(read.number) {
                self.field(&Field::new(row, read, around), &mut gate, scratch);
            }
        }
    }

    fn field(&mut self, field: &Field<'_>, gate: &mut Gate, scratch: &mut [u8]) {
        if field.is_opened() {
            self.open(field, scratch);
        } else {
            let value = gate.value(field, scratch);
            self.visitor.part(&field.part(value));
        }
    }
}
