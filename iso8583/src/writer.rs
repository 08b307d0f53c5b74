//! Writing a message into the caller's buffer.

use core::fmt;

use crate::bitmap::Bitmap;
use crate::dialect::{BitmapForm, Dialect, TERTIARY_BIT};
use crate::error::WriteError;
use crate::field::{Encoding, PrefixLen, Rule, UNITS_MAX};
use crate::hex;
use crate::message::MessageRef;
use crate::mti::Mti;

/// Writes one message: fields in ascending order, then [`Writer::finish`].
///
/// ```text
/// out:  MTI │ primary │ (secondary, opened by the first field above 64) │ fields …
/// ```
pub struct Writer<'b> {
    dialect: &'static Dialect,
    mti: Mti,
    out: &'b mut [u8],
    at: usize,
    present: Bitmap,
    last: u8,
}

impl<'b> Writer<'b> {
    /// Starts a message. A buffer that is too small shows at the first field or at the end.
    #[must_use]
    pub const fn new(dialect: &'static Dialect, mti: Mti, out: &'b mut [u8]) -> Self {
        let at = MTI_LEN.saturating_add(dialect.bitmap().wire_len());
        Self {
            dialect,
            mti,
            out,
            at,
            present: Bitmap::EMPTY,
            last: 1,
        }
    }

    /// Puts a field: text as characters, binary as bytes in every dialect. A field that fails
    /// leaves the message as it was.
    ///
    /// # Errors
    /// The field is out of order or undefined; the value has a wrong length or character; the
    /// buffer is full.
    pub fn put(&mut self, number: u8, value: &[u8]) -> Result<(), WriteError> {
        let rule = self.next(number)?;
        if !rule.has_length(value.len()) {
            return Err(WriteError::Length(number));
        }
        if !rule.admits_value(value) {
            return Err(WriteError::Content(number));
        }
        let room = self.reserve_with_prefix(number, rule, value.len())?;
        match rule.encoding {
            Encoding::Ascii | Encoding::Binary => copy(value, room),
            Encoding::Hex => hex::encode(value, room),
        }
        Ok(())
    }

    /// As [`Writer::put`], with spaces after a text that is shorter than its fixed length.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn put_padded(&mut self, number: u8, value: &[u8]) -> Result<(), WriteError> {
        let rule = self.dialect.rule(number);
        let len = rule.units_max();
        if rule.prefix != PrefixLen::None || value.len() >= len {
            return self.put(number, value);
        }
        let mut padded = [b' '; PADDED_LEN_MAX];
        for (slot, byte) in padded.iter_mut().zip(value) {
            *slot = *byte;
        }
        match padded.get(..len) {
            Some(padded) => self.put(number, padded),
            None => Err(WriteError::Length(number)),
        }
    }

    /// Puts a field of another message, if it has it: byte for byte where both are of one dialect.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn copy(&mut self, number: u8, from: MessageRef<'_>) -> Result<(), WriteError> {
        let Some(value) = from.field(number) else {
            return Ok(());
        };
        if !core::ptr::eq(self.dialect, from.dialect()) {
            return match from.encoding(number) {
                Encoding::Ascii | Encoding::Binary => self.put(number, value),
                Encoding::Hex => self.put_digits(number, value),
            };
        }
        self.next(number)?;
        let wire = from.wire(number).unwrap_or_default();
        copy(wire, self.reserve(number, wire.len())?);
        Ok(())
    }

    /// Puts a field of which `digits` are the hexadecimal form, without a copy between.
    fn put_digits(&mut self, number: u8, digits: &[u8]) -> Result<(), WriteError> {
        let rule = self.next(number)?;
        let len = digits.len().div_ceil(2);
        if !rule.has_length(len) {
            return Err(WriteError::Length(number));
        }
        if !rule.admits_any() {
            return Err(WriteError::Content(number));
        }
        let room = self.reserve_with_prefix(number, rule, len)?;
        match rule.encoding {
            Encoding::Ascii | Encoding::Binary => match hex::decode(digits, room) {
                Some(_) => Ok(()),
                None => Err(WriteError::Content(number)),
            },
            Encoding::Hex => {
                copy(digits, room);
                Ok(())
            }
        }
    }

    /// Writes MTI and bitmap, and says how long the message is.
    ///
    /// # Errors
    /// The buffer is full.
    pub fn finish(self) -> Result<usize, WriteError> {
        debug_assert!(!self.present.contains(1) && !self.present.contains(TERTIARY_BIT));
        let (primary, secondary) = self.present.halves();
        let primary = if secondary == 0 {
            primary
        } else {
            primary | FIRST_BIT
        };
        let bitmap_len = self.dialect.bitmap().wire_len();
        let (mti, rest) = self
            .out
            .split_first_chunk_mut::<MTI_LEN>()
            .ok_or(WriteError::Full)?;
        *mti = *self.mti.as_bytes();
        let (first, rest) = rest
            .split_at_mut_checked(bitmap_len)
            .ok_or(WriteError::Full)?;
        put_bitmap(self.dialect.bitmap(), primary, first);
        if secondary != 0 {
            let second = rest.get_mut(..bitmap_len).ok_or(WriteError::Full)?;
            put_bitmap(self.dialect.bitmap(), secondary, second);
        }
        Ok(self.at)
    }

    /// The rule of a field that may come next.
    #[inline]
    fn next(&self, number: u8) -> Result<&'static Rule, WriteError> {
        let rule = self.dialect.rule(number);
        if !rule.is_defined() {
            return Err(WriteError::Undefined(number));
        }
        if number <= self.last {
            return Err(WriteError::Order(number));
        }
        Ok(rule)
    }

    /// Room for a value of `units` behind its prefix, which is written.
    #[inline]
    fn reserve_with_prefix(
        &mut self,
        number: u8,
        rule: &Rule,
        units: usize,
    ) -> Result<&mut [u8], WriteError> {
        let prefix_len = rule.prefix.len();
        let len = rule.wire_len(units).saturating_add(prefix_len);
        let room = self.reserve(number, len)?;
        let (prefix, room) = room
            .split_at_mut_checked(prefix_len)
            .ok_or(WriteError::Full)?;
        put_prefix(units, prefix);
        Ok(room)
    }

    /// Room for a field, which is in the message from then on.
    #[inline]
    fn reserve(&mut self, number: u8, len: usize) -> Result<&mut [u8], WriteError> {
        debug_assert!(number > self.last && number != TERTIARY_BIT);
        if number > 64 && self.last <= 64 {
            self.open_secondary(len)?;
        }
        let end = self.at.saturating_add(len);
        let room = self.out.get_mut(self.at..end).ok_or(WriteError::Full)?;
        self.at = end;
        self.last = number;
        self.present.insert(number);
        debug_assert_eq!(room.len(), len);
        Ok(room)
    }

    /// Moves the fields that are written to make room for the secondary bitmap, when there is room
    /// for the first field above 64 as well.
    #[cold]
    fn open_secondary(&mut self, len: usize) -> Result<(), WriteError> {
        let bitmap_len = self.dialect.bitmap().wire_len();
        let fields = MTI_LEN.saturating_add(bitmap_len);
        let end = self.at.saturating_add(bitmap_len);
        if end.saturating_add(len) > self.out.len() {
            return Err(WriteError::Full);
        }
        let moved = self.out.get_mut(fields..end).ok_or(WriteError::Full)?;
        moved.rotate_right(bitmap_len);
        debug_assert!(self.present.last().is_none_or(|last| last <= 64));
        self.at = end;
        Ok(())
    }
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {} bytes", self.mti, self.dialect, self.at)
    }
}

#[inline]
fn put_prefix(units: usize, prefix: &mut [u8]) {
    debug_assert!(prefix.is_empty() || units <= usize::from(UNITS_MAX));
    let mut rest = u16::try_from(units).unwrap_or(0);
    for slot in prefix.iter_mut().rev() {
        let digit = (rest % 10) as u8;
        *slot = digit | b'0';
        rest /= 10;
    }
}

/// Both are of one length. The short values, which are most, are copied as one or two words,
/// without a call.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    debug_assert_eq!(from.len(), to.len());
    match from.len() {
        4..=8 => copy_ends::<4>(from, to),
        9..=16 => copy_ends::<8>(from, to),
        17..=32 => copy_ends::<16>(from, to),
        0..=3 => {
            for (slot, byte) in to.iter_mut().zip(from) {
                *slot = *byte;
            }
        }
        _ if from.len() == to.len() => to.copy_from_slice(from),
        _ => {}
    }
}

/// Both are of one length, from `N` to twice `N`.
#[inline]
fn copy_ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    if let (Some(slot), Some(chunk)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *slot = *chunk;
    }
    if let (Some(slot), Some(chunk)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *slot = *chunk;
    }
}

fn put_bitmap(form: BitmapForm, bits: u64, out: &mut [u8]) {
    match form {
        BitmapForm::Binary => out.copy_from_slice(&bits.to_be_bytes()),
        BitmapForm::Hex => out.copy_from_slice(&hex::digits(bits)),
    }
}

const MTI_LEN: usize = 4;
const FIRST_BIT: u64 = 1 << 63;
/// No text of fixed length is longer than 42 characters.
const PADDED_LEN_MAX: usize = 64;

#[cfg(test)]
mod tests;
