//! Reading a message: one validating pass fills a table of offsets, then a view over the bytes.

use core::fmt;

use crate::bitmap::{Bitmap, Numbers};
use crate::dialect::{BitmapForm, Dialect, TERTIARY_BIT};
use crate::error::{ParseError, ParseErrorKind};
use crate::field::{Encoding, PrefixLen, Rule};
use crate::hex;
use crate::mti::Mti;

/// Where each field of a message lies. Plain data without a lifetime, so that it can be kept beside
/// an owned buffer and move with it between threads.
#[derive(Clone, Copy)]
pub struct FieldIndex {
    present: Bitmap,
    dialect: &'static Dialect,
    mti: Mti,
    spans: Spans,
}

impl FieldIndex {
    /// The index of no message.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            present: Bitmap::EMPTY,
            dialect: Dialect::ISO87_ASCII,
            mti: Mti::UNREAD,
            spans: [Span::EMPTY; 129],
        }
    }

    /// The MTI; 0000 when it could not be read.
    #[must_use]
    pub const fn mti(&self) -> Mti {
        self.mti
    }

    /// The fields that were read and are well-formed.
    #[must_use]
    pub const fn present(&self) -> Bitmap {
        self.present
    }

    /// The dialect it was read in.
    #[must_use]
    pub const fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// Where the value of a field lies.
    #[inline]
    pub(crate) fn span(&self, number: u8) -> Option<Span> {
        if !self.present.contains(number) {
            return None;
        }
        self.spans.get(usize::from(number)).copied()
    }

    /// The spans stay as they are: without its bit in `present` none is ever read.
    fn begin(&mut self, dialect: &'static Dialect) {
        self.present = Bitmap::EMPTY;
        self.dialect = dialect;
        self.mti = Mti::UNREAD;
    }
}

impl Default for FieldIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FieldIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.mti, self.dialect)?;
        f.debug_set().entries(self.present).finish()
    }
}

/// By field number; places 0 and 1 stay empty.
type Spans = [Span; 129];

/// A value on the wire, without its length prefix: where it starts, and how long it is.
#[derive(Clone, Copy)]
pub(crate) struct Span(u32);

impl Span {
    const EMPTY: Self = Self(0);

    /// Both are bounded by the longest message, 65,535 bytes.
    #[expect(clippy::cast_possible_truncation, reason = "16 bits each")]
    const fn new(start: usize, len: usize) -> Self {
        debug_assert!(start <= MESSAGE_LEN_MAX && len <= MESSAGE_LEN_MAX);
        Self((start as u32) << 16 | len as u32)
    }

    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> Option<&[u8]> {
        let (start, len) = self.parts();
        bytes.get(start..start.saturating_add(len))
    }

    pub(crate) fn of_mut(self, bytes: &mut [u8]) -> Option<&mut [u8]> {
        let (start, len) = self.parts();
        bytes.get_mut(start..start.saturating_add(len))
    }

    /// The value and `prefix_len` bytes before it.
    fn with_prefix(self, prefix_len: usize, bytes: &[u8]) -> Option<&[u8]> {
        let (start, len) = self.parts();
        bytes.get(start.checked_sub(prefix_len)?..start.saturating_add(len))
    }

    #[inline]
    const fn parts(self) -> (usize, usize) {
        ((self.0 >> 16) as usize, (self.0 & 0xFFFF) as usize)
    }
}

impl Dialect {
    /// Reads a whole message and validates every field; `index` then says where each one lies.
    ///
    /// A field whose content is wrong but whose length is known is left out of the index, and the
    /// pass goes on, so that the MTI, DE11 and DE41 are there for the answer. Where the length is
    /// unknown the pass stops; the fields before stay readable.
    ///
    /// # Errors
    /// The first fault. Nothing of a message with a fault may be forwarded.
    pub fn parse(&'static self, bytes: &[u8], index: &mut FieldIndex) -> Result<(), ParseError> {
        index.begin(self);
        if bytes.len() > MESSAGE_LEN_MAX {
            return Err(fault(0, 0, ParseErrorKind::TooLong));
        }
        index.mti = read_mti(bytes)?;
        let (fields, mut at) = self.read_bitmaps(bytes)?;
        index.present = fields;
        let mut rest = fields;
        let mut first_fault = None;
        while let Err(stop) = self.read_fields(bytes, &mut at, rest, &mut index.spans) {
            let first = *first_fault.get_or_insert(stop);
            if stop.kind != ParseErrorKind::Content {
                index.present = index.present.below(stop.field);
                return Err(first);
            }
            index.present = index.present.without(stop.field);
            rest = rest.above(stop.field);
        }
        debug_assert!(at <= bytes.len() && !index.present.contains(TERTIARY_BIT));
        if at != bytes.len() && first_fault.is_none() {
            first_fault = Some(fault(
                fields.last().unwrap_or(1),
                at,
                ParseErrorKind::Trailing,
            ));
        }
        first_fault.map_or(Ok(()), Err)
    }

    /// Reads `fields` up to the first fault, and leaves `at` behind the last one that was read,
    /// also when its content is at fault.
    ///
    /// Warning to the next editor: this is the hot loop of the crate. What it works on fits the
    /// registers; measure (`benches/benches/codec.rs`, and instructions) before and after.
    fn read_fields(
        &self,
        bytes: &[u8],
        at: &mut usize,
        fields: Bitmap,
        spans: &mut Spans,
    ) -> Result<(), ParseError> {
        debug_assert!(*at <= bytes.len() && !fields.contains(1));
        let mut here = *at;
        for (first, half) in fields.numbered_halves() {
            let mut bits = half;
            while bits != 0 {
                let number = first.wrapping_add(bits.trailing_zeros());
                bits &= bits.wrapping_sub(1);
                let field = read_field(self.rule_at(number), bytes, here);
                here = field.end();
                if let Some(kind) = field.fault {
                    *at = here;
                    return Err(fault_at(number, field.start, kind));
                }
                if let Some(span) = spans.get_mut(number as usize) {
                    *span = Span::new(field.start, field.len);
                }
            }
        }
        *at = here;
        Ok(())
    }

    /// The fields that the bitmaps announce, without the bits that announce bitmaps, and where the
    /// first field begins.
    fn read_bitmaps(&self, bytes: &[u8]) -> Result<(Bitmap, usize), ParseError> {
        let bitmap_len = self.bitmap().wire_len();
        let second = MTI_LEN.saturating_add(bitmap_len);
        let primary = self.read_bitmap(bytes, MTI_LEN)?;
        if primary & FIRST_BIT == 0 {
            return Ok((Bitmap::from_halves(primary, 0), second));
        }
        let secondary = self.read_bitmap(bytes, second)?;
        let fields = Bitmap::from_halves(primary & !FIRST_BIT, secondary);
        let end = second.saturating_add(bitmap_len);
        if fields.contains(TERTIARY_BIT) {
            return Err(fault(1, end, ParseErrorKind::Tertiary));
        }
        Ok((fields, end))
    }

    fn read_bitmap(&self, bytes: &[u8], at: usize) -> Result<u64, ParseError> {
        let ahead = bytes.get(at..).unwrap_or_default();
        let bits = match self.bitmap() {
            BitmapForm::Binary => ahead
                .first_chunk()
                .map(|bytes| Some(u64::from_be_bytes(*bytes))),
            BitmapForm::Hex => ahead.first_chunk().map(hex::word),
        };
        match bits {
            Some(Some(bits)) => Ok(bits),
            Some(None) => Err(fault(1, at, ParseErrorKind::Bitmap)),
            None => Err(fault(1, at, ParseErrorKind::Truncated)),
        }
    }
}

fn read_mti(bytes: &[u8]) -> Result<Mti, ParseError> {
    let Some(digits) = bytes.first_chunk() else {
        return Err(fault(0, 0, ParseErrorKind::Truncated));
    };
    Mti::new(*digits).ok_or_else(|| fault(0, 0, ParseErrorKind::Mti))
}

/// What was read at one place.
struct Field {
    /// Where the value starts; with a fault, where the fault is.
    start: usize,
    /// Bytes of the value; 0 when the fault does not let them be known.
    len: usize,
    fault: Option<ParseErrorKind>,
}

impl Field {
    const fn faulty(start: usize, kind: ParseErrorKind) -> Self {
        Self {
            start,
            len: 0,
            fault: Some(kind),
        }
    }

    const fn end(&self) -> usize {
        self.start.wrapping_add(self.len)
    }
}

#[inline(always)]
fn read_field(rule: &Rule, bytes: &[u8], at: usize) -> Field {
    let (start, len) = if rule.prefix == PrefixLen::None {
        (at, rule.wire_len_max())
    } else {
        let (len, fault) = read_prefix(rule, bytes.get(at..).unwrap_or_default());
        if let Some(kind) = fault {
            return Field::faulty(at, kind);
        }
        (at.wrapping_add(rule.prefix.len()), len)
    };
    let Some(value) = bytes.get(start..start.wrapping_add(len)) else {
        return Field::faulty(start, ParseErrorKind::Truncated);
    };
    let fault = if rule.admits(value) {
        None
    } else {
        Some(ParseErrorKind::Content)
    };
    Field { start, len, fault }
}

/// Bytes of the value behind the prefix that `ahead` begins with. A pair, because that is returned
/// in registers.
#[inline(always)]
fn read_prefix(rule: &Rule, ahead: &[u8]) -> (usize, Option<ParseErrorKind>) {
    let (true, Some(chunk)) = (rule.is_defined(), ahead.first_chunk::<4>()) else {
        return read_short_prefix(rule, ahead);
    };
    match decimal(u32::from_le_bytes(*chunk), rule.prefix.len()) {
        Some(units) if units <= rule.units_max() => (rule.wire_len(units), None),
        Some(_) => (0, Some(ParseErrorKind::AboveMaximum)),
        None => (0, Some(ParseErrorKind::Prefix)),
    }
}

/// The same with fewer than four bytes left, or without a row.
#[cold]
#[inline(never)]
fn read_short_prefix(rule: &Rule, ahead: &[u8]) -> (usize, Option<ParseErrorKind>) {
    let len = rule.prefix.len();
    if !rule.is_defined() {
        return (0, Some(ParseErrorKind::Undefined));
    }
    if ahead.len() < len {
        return (0, Some(ParseErrorKind::Truncated));
    }
    let mut padded = [b'0'; 4];
    for (slot, byte) in padded.iter_mut().zip(ahead) {
        *slot = *byte;
    }
    read_prefix(rule, &padded)
}

/// The number that the first `len` characters of four say, at most three; `None` when one of them
/// is no digit.
#[inline(always)]
const fn decimal(word: u32, len: usize) -> Option<usize> {
    // The characters become digits, and those that are not asked for go out at the top.
    let digits = (word ^ 0x3030_3030) << (4_usize.wrapping_sub(len) & 3).wrapping_mul(8);
    if (digits | digits.wrapping_add(0x7676_7676)) & 0x8080_8080 != 0 {
        return None;
    }
    let [_, hundreds, tens, ones] = digits.to_le_bytes();
    let tens = (hundreds as usize)
        .wrapping_mul(10)
        .wrapping_add(tens as usize);
    Some(tens.wrapping_mul(10).wrapping_add(ones as usize))
}

#[cold]
fn fault(field: u8, offset: usize, kind: ParseErrorKind) -> ParseError {
    let offset = u32::try_from(offset).unwrap_or(u32::MAX);
    ParseError {
        field,
        offset,
        kind,
    }
}

#[cold]
fn fault_at(number: u32, offset: usize, kind: ParseErrorKind) -> ParseError {
    fault(u8::try_from(number).unwrap_or(u8::MAX), offset, kind)
}

const MTI_LEN: usize = 4;
/// No frame may be longer; offsets are kept in 16 bits.
const MESSAGE_LEN_MAX: usize = u16::MAX as usize;
const FIRST_BIT: u64 = 1 << 63;

/// A message that has been read: fields are slices of its bytes.
///
/// When the bytes are not those that the index was made from, fields are missing or nonsense;
/// nothing worse happens.
#[derive(Clone, Copy)]
pub struct MessageRef<'a> {
    bytes: &'a [u8],
    index: &'a FieldIndex,
}

impl<'a> MessageRef<'a> {
    /// The view of `bytes` that `index` was made from.
    #[must_use]
    pub const fn new(bytes: &'a [u8], index: &'a FieldIndex) -> Self {
        Self { bytes, index }
    }

    /// The MTI; 0000 when it could not be read.
    #[must_use]
    pub const fn mti(self) -> Mti {
        self.index.mti
    }

    /// The value as it stands on the wire, without its length prefix. Where the row says
    /// [`Encoding::Hex`] these are the hexadecimal digits; see [`MessageRef::decode`].
    #[must_use]
    pub fn field(self, number: u8) -> Option<&'a [u8]> {
        self.index.span(number)?.of(self.bytes)
    }

    /// The value itself: binary fields as bytes in every dialect. Takes room from `scratch` only
    /// where the wire form is another. `None` when the field is absent or `scratch` too small.
    #[must_use]
    pub fn decode<'s>(self, number: u8, scratch: &'s mut [u8]) -> Option<&'s [u8]>
    where
        'a: 's,
    {
        let wire = self.field(number)?;
        match self.encoding(number) {
            Encoding::Ascii | Encoding::Binary => Some(wire),
            Encoding::Hex => hex::decode(wire, scratch),
        }
    }

    /// Copies the value itself to the start of `out`, and says how long it is: binary fields as
    /// bytes in every dialect. `None` when the field is absent or `out` too small.
    #[must_use]
    pub fn decode_into(self, number: u8, out: &mut [u8]) -> Option<usize> {
        let wire = self.field(number)?;
        match self.encoding(number) {
            Encoding::Ascii | Encoding::Binary => {
                out.get_mut(..wire.len())?.copy_from_slice(wire);
                Some(wire.len())
            }
            Encoding::Hex => hex::decode(wire, out).map(<[u8]>::len),
        }
    }

    /// The fields that are there and well-formed.
    #[must_use]
    pub const fn present(self) -> Bitmap {
        self.index.present
    }

    /// Numbers and wire values, ascending.
    #[must_use]
    pub const fn fields(self) -> Fields<'a> {
        Fields {
            numbers: self.index.present.iter(),
            message: self,
        }
    }

    /// The dialect it was read in.
    #[must_use]
    pub const fn dialect(self) -> &'static Dialect {
        self.index.dialect
    }

    /// The whole message.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// How the value of a field is written.
    pub(crate) fn encoding(self, number: u8) -> Encoding {
        self.index.dialect.rule(number).encoding
    }

    /// Length prefix and value as they stand on the wire.
    pub(crate) fn wire(self, number: u8) -> Option<&'a [u8]> {
        let prefix_len = self.index.dialect.rule(number).prefix.len();
        self.index.span(number)?.with_prefix(prefix_len, self.bytes)
    }
}

impl fmt::Debug for MessageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.index, f)
    }
}

/// Numbers and wire values of a message, ascending.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    numbers: Numbers,
    message: MessageRef<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.numbers.next()?;
        Some((number, self.message.field(number)?))
    }
}

#[cfg(test)]
mod tests;
