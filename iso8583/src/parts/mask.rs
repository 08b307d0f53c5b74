//! What may be shown of a value.

use core::fmt;

use domain::pan::{MaskedPan, Pan};

use crate::codec;
use crate::field::{Encoding, FieldSpec, Sensitivity};

/// A value as it may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Characters, one a byte; above 0x7F those of Latin-1.
    Text(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An account number.
    Account(MaskedPan),
    /// Nothing of it.
    Hidden(Hidden),
    /// What it holds follows, part by part.
    Parts,
}

/// Text in quotes, escaped; bytes as hexadecimal digits.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "\"{}\"", text.escape_ascii()),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}")),
            Self::Account(account) => fmt::Display::fmt(account, f),
            Self::Hidden(hidden) => fmt::Display::fmt(hidden, f),
            Self::Parts => Ok(()),
        }
    }
}

/// Why a value is not shown, and how many bytes it has on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Authentication data, or what may be some.
    Sad(usize),
    /// It should be an account number, and is not one that could be masked.
    Account(usize),
    /// Private bytes, of which nobody knows what they are.
    Private(usize),
    /// The message is read askew, so it could be card data.
    Doubt(usize),
    /// The caller's room is too small for it.
    Room(usize),
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sad(len) => write!(f, "[SAD, {len} bytes]"),
            Self::Account(len) | Self::Private(len) | Self::Doubt(len) => {
                write!(f, "[masked, {len} bytes]")
            }
            Self::Room(len) => write!(f, "[{len} bytes]"),
        }
    }
}

/// A public value of a row, decoded into `room` where the wire has it otherwise.
pub(super) fn public<'v>(
    row: &FieldSpec,
    wire: &'v [u8],
    units: usize,
    room: &'v mut [u8],
) -> Value<'v> {
    debug_assert_eq!(row.sensitivity, Sensitivity::Public);
    let decoded = codec::decode(row, wire, units, room);
    match (decoded, row.encoding) {
        (Some(_), Encoding::Text(_)) if row.is_binary() => {
            Value::Hidden(Hidden::Private(wire.len()))
        }
        (Some(value), Encoding::Text(_) | Encoding::Packed(..)) => Value::Text(value),
        (Some(value), Encoding::Binary | Encoding::Hex(_)) => Value::Bytes(value),
        (None, _) => Value::Hidden(Hidden::Room(wire.len())),
    }
}

/// An account number in characters.
pub(super) fn account<'v>(digits: &[u8], len: usize) -> Value<'v> {
    match Pan::new(digits) {
        Ok(pan) => Value::Account(pan.masked()),
        Err(_) => Value::Hidden(Hidden::Account(len)),
    }
}

/// An account number as chip data has it: packed, F behind an odd number of digits.
pub(super) fn packed_account<'v>(bytes: &[u8]) -> Value<'v> {
    let mut digits = [0; 2 * PACKED_LEN_MAX];
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    let mut len = 0_usize;
    for (slot, nibble) in digits.iter_mut().zip(nibbles) {
        // What is no digit shows below, but for the pad.
        *slot = nibble.saturating_add(b'0');
        if nibble != PAD {
            len = len.saturating_add(1);
        }
    }
    let is_whole = bytes.len() <= PACKED_LEN_MAX;
    match digits.get(..len) {
        Some(digits) if is_whole => account(digits, bytes.len()),
        Some(_) | None => Value::Hidden(Hidden::Account(bytes.len())),
    }
}

/// Twenty digits, one of which is the pad.
const PACKED_LEN_MAX: usize = 10;
const PAD: u8 = 0xF;
