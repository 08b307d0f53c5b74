//! A message printed for people: masked, escaped, one field a line.

use core::fmt;

use domain::pan::Pan;

use crate::class::Class;
use crate::field::{FieldSpec, Sensitivity};
use crate::message::MessageRef;

/// Prints a message: account numbers as first six and last four digits, authentication data as a
/// fixed word, bytes without a character set as their number.
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
        for (number, value) in message.fields() {
            if let Some(row) = message.dialect().field(number) {
                write!(f, "\nDE{number:03} {}: ", row.name)?;
                show(row, value, f)?;
            }
        }
        Ok(())
    }
}

fn show(row: &FieldSpec, value: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match (row.sensitivity, row.class) {
        (Sensitivity::Sad, _) => write!(f, "[SAD, {} bytes]", value.len()),
        (Sensitivity::Pan, _) => match Pan::new(value) {
            Ok(pan) => fmt::Display::fmt(&pan, f),
            Err(_) => write!(f, "[masked, {} bytes]", value.len()),
        },
        (Sensitivity::Public, Class::B) => write!(f, "[{} bytes]", value.len()),
        (
            Sensitivity::Public,
            Class::N | Class::A | Class::An | Class::Ns | Class::Ans | Class::Z | Class::Xn,
        ) => write!(f, "\"{}\"", value.escape_ascii()),
    }
}

#[cfg(test)]
mod tests;
