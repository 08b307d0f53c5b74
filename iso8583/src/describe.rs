//! A message printed for people: masked, escaped, one field a line, and one for each part of what a
//! field holds.

use core::fmt;
use core::ops::Range;

use crate::bitmap::Bitmap;
use crate::field::DECODED_BYTES_MAX;
use crate::message::MessageRef;
use crate::mti::Mti;
use crate::parts::{self, Part, Path, Value, Visitor};

/// Prints a message: account numbers as first six and last four digits, authentication data as a
/// fixed word, bytes without a character set in hexadecimal digits. See [`parts`].
#[must_use]
pub const fn describe(message: MessageRef<'_>) -> Described<'_> {
    Described(message)
}

/// A message that prints itself, masked.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a>(MessageRef<'a>);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(message) = self;
        write!(f, "MTI {} ({})", message.mti(), message.dialect().name())?;
        let mut lines = Lines { f, written: Ok(()) };
        let mut scratch = [0; DECODED_LEN_MAX];
        let visited = parts::visit(message.dialect(), message.bytes(), &mut scratch, &mut lines);
        lines.written?;
        visited.or_else(|error| write!(f, "\n{error}"))
    }
}

/// Writes a line for each part.
struct Lines<'f, 'b> {
    f: &'f mut fmt::Formatter<'b>,
    written: fmt::Result,
}

impl Lines<'_, '_> {
    fn write(&mut self, line: fmt::Arguments<'_>) {
        if self.written.is_ok() {
            self.written = self.f.write_fmt(line);
        }
    }
}

impl Visitor for Lines<'_, '_> {
    fn mti(&mut self, _mti: Mti) {}

    fn bitmaps(&mut self, _place: Range<usize>, _fields: Bitmap) {}

    fn part(&mut self, part: &Part<'_>) {
        let (path, name) = (part.path, part.name);
        match (name, part.value) {
            ("", value) => self.write(format_args!("\nDE{path}: {value}")),
            (name, Value::Parts) => self.write(format_args!("\nDE{path} {name}")),
            (name, value) => self.write(format_args!("\nDE{path} {name}: {value}")),
        }
    }

    fn malformed(&mut self, path: &Path, offset: usize, rule: &dyn fmt::Display) {
        self.write(format_args!("\nDE{path} at offset {offset}: {rule}"));
    }
}

/// The longest value that is shown where the wire has it in another encoding.
const DECODED_LEN_MAX: usize = DECODED_BYTES_MAX as usize;

#[cfg(test)]
mod tests;
