//! Values and their bytes on the wire, for every encoding that a row may have.

use crate::charset::Charset;
use crate::class::{self, Check, Class};
use crate::error::ParseErrorKind;
use crate::field::{Count, Encoding, FieldSpec, Length};
use crate::hex;
use crate::packed::{Packed, Symbols};

/// What is wrong with the bytes of a value of `units`, which are as many as they must be.
pub(crate) fn fault_of(
    row: &FieldSpec,
    wire: &[u8],
    units: usize,
    strict_padding: bool,
) -> Option<ParseErrorKind> {
    debug_assert_eq!(wire.len(), row.wire_len(units));
    let in_class = match row.encoding {
        Encoding::Binary => true,
        Encoding::Text(charset) => text_is_in_class(row.class, charset, wire),
        Encoding::Hex(Charset::Ascii) => class::are_hex(wire),
        Encoding::Hex(charset) => wire
            .iter()
            .all(|byte| charset.character(*byte).is_ascii_hexdigit()),
        Encoding::Packed(packed, charset) => {
            packed_is_in_class(row.class, packed, charset, wire, units)
        }
    };
    if !in_class {
        return Some(ParseErrorKind::Content);
    }
    if strict_padding && !is_padded(row, wire, units) {
        return Some(ParseErrorKind::Padding);
    }
    let mut digits = [0; DATED_LEN_MAX];
    if row.calendar.is_empty() {
        return None;
    }
    match decode(row, wire, units, &mut digits) {
        Some(digits) if row.calendar.admits(digits) => None,
        _ => Some(ParseErrorKind::Date),
    }
}

/// Units of a value whose length stands in no number of them.
pub(crate) fn units_of(row: &FieldSpec, wire: &[u8]) -> usize {
    match row.encoding {
        Encoding::Text(_) | Encoding::Binary => wire.len(),
        Encoding::Hex(_) => wire.len() / 2,
        Encoding::Packed(packed, _) => match (row.class, wire.split_first()) {
            (Class::Xn, Some((_, digits))) => packed.units_of(digits).saturating_add(1),
            _ => packed.units_of(wire),
        },
    }
}

/// Units of a value on the wire, behind the length prefix that `prefix` finds: of packed digits an
/// odd number can only be told by it. `None` where it cannot be read.
#[inline]
pub(crate) fn units_behind<'b>(
    row: &FieldSpec,
    wire: &[u8],
    prefix: impl FnOnce() -> Option<&'b [u8]>,
) -> Option<usize> {
    match (row.encoding, row.length, row.prefix.count) {
        (Encoding::Packed(..), Length::Var { .. }, Count::Units) => {
            usize::try_from(row.prefix.coding.read(prefix()?)?).ok()
        }
        (_, Length::Fixed(len), _) => Some(usize::from(len)),
        (_, Length::Var { .. }, _) => Some(units_of(row, wire)),
    }
}

/// What is wrong with a value that is to be written, whose length is known to be right.
pub(crate) fn value_is_in_class(row: &FieldSpec, value: &[u8]) -> bool {
    if row.is_binary() {
        return true;
    }
    text_is_in_class(row.class, Charset::Ascii, value) && row.calendar.admits(value)
}

fn text_is_in_class(class: Class, charset: Charset, wire: &[u8]) -> bool {
    let check = Check::of(class);
    match (class, wire.split_first()) {
        (Class::B, _) => true,
        (Class::Xn, Some((sign, digits))) => {
            class::is_sign(charset.character(*sign)) && check.admits_in(charset, digits)
        }
        _ => check.admits_in(charset, wire),
    }
}

fn packed_is_in_class(
    class: Class,
    packed: Packed,
    charset: Charset,
    wire: &[u8],
    units: usize,
) -> bool {
    let symbols = if class == Class::Z {
        Symbols::Track
    } else {
        Symbols::Digits
    };
    match (class, wire.split_first()) {
        (Class::Xn, Some((sign, digits))) => {
            let is_sign = class::is_sign(charset.character(*sign));
            is_sign && packed.admits(digits, units.saturating_sub(1), symbols)
        }
        _ => packed.admits(wire, units, symbols),
    }
}

/// Whether a nibble can be over that is not the pad. Never where the length counts bytes: there the
/// pad is told from a digit by its value.
pub(crate) const fn may_be_padded(row: &FieldSpec) -> bool {
    if !matches!(row.encoding, Encoding::Packed(..)) {
        return false;
    }
    match (row.length, row.prefix.count) {
        // The sign of an amount has a byte of its own.
        (Length::Fixed(len), _) => (len & 1 == 1) != matches!(row.class, Class::Xn),
        (Length::Var { .. }, Count::Units) => true,
        (Length::Var { .. }, Count::Bytes) => false,
    }
}

/// Whether the nibble that is over, if there is one, is the pad.
pub(crate) fn is_padded(row: &FieldSpec, wire: &[u8], units: usize) -> bool {
    let Encoding::Packed(packed, _) = row.encoding else {
        return true;
    };
    match (row.class, wire.split_first()) {
        (Class::Xn, Some((_, digits))) => packed.is_padded(digits, units.saturating_sub(1)),
        _ => packed.is_padded(wire, units),
    }
}

/// The value itself: text as ASCII characters, binary as bytes, at the start of `out` where the
/// wire has it otherwise. `None` when `out` is too small.
pub(crate) fn decode<'o>(
    row: &FieldSpec,
    wire: &'o [u8],
    units: usize,
    out: &'o mut [u8],
) -> Option<&'o [u8]> {
    match row.encoding {
        Encoding::Binary | Encoding::Text(Charset::Ascii) => Some(wire),
        Encoding::Text(charset) => charset.decode(wire, out),
        Encoding::Hex(Charset::Ascii) => hex::decode(wire, out),
        Encoding::Hex(charset) => decode_hex_in(charset, wire, out),
        Encoding::Packed(packed, charset) => match (row.class, wire.split_first()) {
            (Class::Xn, Some((sign, digits))) => {
                let (first, rest) = out.split_first_mut()?;
                *first = charset.character(*sign);
                packed.decode(digits, units.checked_sub(1)?, rest)?;
                out.get(..units)
            }
            _ => packed.decode(wire, units, out),
        },
    }
}

fn decode_hex_in<'o>(charset: Charset, wire: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let (pairs, []) = wire.as_chunks::<2>() else {
        return None;
    };
    let out = out.get_mut(..pairs.len())?;
    for (slot, pair) in out.iter_mut().zip(pairs) {
        let pair = pair.map(|byte| charset.character(byte));
        hex::decode(&pair, core::slice::from_mut(slot))?;
    }
    Some(out)
}

/// Writes a value over `out`, which has [`FieldSpec::wire_len`] bytes. The value is in its class.
pub(crate) fn encode(row: &FieldSpec, value: &[u8], out: &mut [u8]) {
    debug_assert_eq!(out.len(), row.wire_len(value.len()));
    match row.encoding {
        Encoding::Binary | Encoding::Text(Charset::Ascii) => {
            for (slot, byte) in out.iter_mut().zip(value) {
                *slot = *byte;
            }
        }
        Encoding::Text(charset) => charset.encode(value, out),
        Encoding::Hex(charset) => {
            hex::encode(value, out);
            if charset != Charset::Ascii {
                for digit in out {
                    *digit = charset.byte(*digit);
                }
            }
        }
        Encoding::Packed(packed, charset) => match (row.class, value.split_first()) {
            (Class::Xn, Some((sign, digits))) => {
                if let Some((first, rest)) = out.split_first_mut() {
                    *first = charset.byte(*sign);
                    packed.encode(digits, rest);
                }
            }
            _ => packed.encode(value, out),
        },
    }
}

/// The longest that a calendar has.
const DATED_LEN_MAX: usize = 12;

#[cfg(test)]
mod tests;
