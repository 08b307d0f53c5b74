//! The bytes around a fault. The type indicator and the length of the field at fault are shown, and
//! nothing else: behind a fault nobody knows what a byte is, and before it nobody is sure.

use core::fmt;

use super::fields::{Fields, Head};
use crate::class::{Check, Class};
use crate::dialect::Dialect;
use crate::error::{ParseError, ParseErrorKind};
use crate::field::{Coding, Encoding, FieldSpec};

/// The bytes around a fault, masked. Its text is hexadecimal: `**` for a byte that is not shown,
/// `|` before the byte at fault.
#[derive(Clone, Copy)]
pub struct Window {
    start: usize,
    at: usize,
    bytes: [Option<u8>; LEN_MAX],
    len: usize,
}

impl Window {
    /// Where its first byte stands, in bytes from the start of the message.
    #[must_use]
    pub const fn start(&self) -> usize {
        self.start
    }

    /// The bytes, and `None` for those that are not shown.
    #[must_use]
    pub fn bytes(&self) -> &[Option<u8>] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Shows a byte, if it is one of these.
    fn show(&mut self, message: &[u8], place: usize) {
        let within = place.checked_sub(self.start).filter(|at| *at < self.len);
        let slot = within.and_then(|at| self.bytes.get_mut(at));
        if let Some(slot) = slot {
            *slot = message.get(place).copied();
        }
    }

    /// Shows a length: not more of it than could be the end of a card number.
    fn show_prefix(&mut self, message: &[u8], row: &FieldSpec, at: usize) {
        let end = at.saturating_add(row.prefix_len().into());
        let mut digits = 0_usize;
        for place in at..end {
            let byte = message.get(place).copied().unwrap_or_default();
            let is_one = match row.prefix.coding {
                Coding::Ascii => byte.is_ascii_digit(),
                Coding::Ebcdic => byte >= 0xF0,
                Coding::Packed | Coding::Binary => false,
            };
            digits = digits.saturating_add(if is_one { 1 } else { 2 });
            if digits <= PREFIX_SHOWN_MAX {
                self.show(message, place);
            }
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.bytes().iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            if self.start.saturating_add(place) == self.at {
                f.write_str("|")?;
            }
            match byte {
                Some(byte) => write!(f, "{byte:02X}")?,
                None => f.write_str("**")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) fn of(dialect: &'static Dialect, message: &[u8], error: ParseError) -> Window {
    let at = usize::try_from(error.offset).unwrap_or(usize::MAX);
    let start = at.saturating_sub(BEFORE).min(message.len());
    let mut window = Window {
        start,
        at,
        bytes: [None; LEN_MAX],
        len: message.len().saturating_sub(start).min(LEN_MAX),
    };
    for place in 0..dialect.form().mti.wire_len() {
        window.show(message, place);
    }
    let Ok(head) = Head::read(dialect, message) else {
        return window;
    };
    let mut fields = Fields::new(dialect, message, head);
    let failed = fields.find(|read| read.number == error.field && read.fault.is_some());
    if let Some((read, row)) = failed.zip(dialect.field(error.field)) {
        window.show_prefix(message, row, read.at);
    }
    window
}

/// The place in the message of the first character that is outside the class of its field.
pub(super) fn outsider(
    dialect: &'static Dialect,
    message: &[u8],
    error: ParseError,
) -> Option<usize> {
    let row = dialect.field(error.field)?;
    let Encoding::Text(charset) = row.encoding else {
        return None;
    };
    if error.kind != ParseErrorKind::Content || row.class == Class::Xn {
        return None;
    }
    let head = Head::read(dialect, message).ok()?;
    let mut fields = Fields::new(dialect, message, head);
    let read = fields.find(|read| read.number == error.field)?;
    let check = Check::of(row.class);
    let is_outside = |byte: &u8| !check.admits(&[charset.character(*byte)]);
    let place = read.wire(message).iter().position(is_outside)?;
    Some(read.start.saturating_add(place))
}

const LEN_MAX: usize = 16;
/// Bytes before the one at fault.
const BEFORE: usize = 8;
/// As many digits of a card number may be shown at its end. A byte may hold two of them.
const PREFIX_SHOWN_MAX: usize = 4;
