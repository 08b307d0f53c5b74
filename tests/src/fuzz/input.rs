//! The bytes of one input, taken from the front.

use iso8583::Dialect;

use super::odd;

/// What is left of an input. Where nothing is left, zeros are.
#[derive(Clone, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of an input.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    /// The next two bytes as a number, the high one first.
    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// At most so many of the next bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Everything that is left.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The dialect that the next byte names, and whether its top bit is set. `None` for a number
    /// that no dialect has: a number never means another dialect because there are more of them.
    pub fn dialect(&mut self) -> Option<(&'static Dialect, bool)> {
        let byte = self.byte();
        Some((dialect(byte & !MODE)?, byte & MODE != 0))
    }
}

/// The dialect of that number.
#[must_use]
pub fn dialect(number: u8) -> Option<&'static Dialect> {
    let found = match number.checked_sub(FIRST_ODD) {
        Some(odd) => odd::ALL.get(usize::from(odd)),
        None => Dialect::ALL.get(usize::from(number)),
    };
    found.copied()
}

/// The numbers of all dialects.
#[must_use]
pub fn dialect_numbers() -> Vec<u8> {
    let numbers = 0..MODE;
    numbers
        .filter(|number| dialect(*number).is_some())
        .collect()
}

/// The number of the first dialect that is not built in.
const FIRST_ODD: u8 = 0x60;
/// The top bit of the byte that names a dialect.
pub const MODE: u8 = 0x80;
