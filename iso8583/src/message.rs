//! Reading a message: one validating pass fills a table of offsets, then a view over the bytes.

use core::fmt;

use crate::bitmap::{Bitmap, Numbers};
use crate::dialect::{BitmapForm, Dialect, TERTIARY_BIT};
use crate::error::{ParseError, ParseErrorKind};
use crate::field::{Encoding, PrefixLen, Rule};
use crate::hex;
use crate::mti::Mti;
use crate::reader::Reader;

/// Where each field of a message lies. Plain data without a lifetime, so that it can be kept beside an
/// owned buffer and move with it between threads.
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
            spans: [Span { start: 0, len: 0 }; 129],
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

/// A value on the wire, without its length prefix.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: u16,
    pub(crate) len: u16,
}

impl Span {
    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> Option<&[u8]> {
        let start = usize::from(self.start);
        bytes.get(start..start.saturating_add(usize::from(self.len)))
    }

    pub(crate) fn of_mut(self, bytes: &mut [u8]) -> Option<&mut [u8]> {
        let start = usize::from(self.start);
        bytes.get_mut(start..start.saturating_add(usize::from(self.len)))
    }
}

impl Dialect {
    /// Reads a whole message and validates every field; `index` then says where each one lies.
    ///
    /// A field whose content is wrong but whose length is known is left out of the index, and the pass
    /// goes on, so that the MTI, DE11 and DE41 are there for the answer. Where the length is unknown
    /// the pass stops; the fields before stay readable.
    ///
    /// # Errors
    /// The first fault. Nothing of a message with a fault may be forwarded.
    pub fn parse(&'static self, bytes: &[u8], index: &mut FieldIndex) -> Result<(), ParseError> {
        index.begin(self);
        let Some(mut reader) = Reader::new(bytes) else {
            return Err(fault(0, 0, ParseErrorKind::TooLong));
        };
        index.mti = read_mti(&mut reader)?;
        let fields = self.read_bitmaps(&mut reader)?;
        index.present = fields;
        let mut first_fault = None;
        let mut last = 1;
        for number in fields {
            last = number;
            if let Err(fault) = self.read_field(number, &mut reader, &mut index.spans) {
                let first = *first_fault.get_or_insert(fault);
                if fault.kind != ParseErrorKind::Content {
                    index.present = index.present.below(number);
                    return Err(first);
                }
                index.present = index.present.without(number);
            }
        }
        if !reader.is_done() && first_fault.is_none() {
            first_fault = Some(fault(last, reader.at(), ParseErrorKind::Trailing));
        }
        first_fault.map_or(Ok(()), Err)
    }

    #[inline]
    fn read_field(
        &self,
        number: u8,
        reader: &mut Reader<'_>,
        spans: &mut Spans,
    ) -> Result<(), ParseError> {
        let rule = self.rule(number);
        let len = match read_len(rule, reader) {
            Ok(len) => len,
            Err(kind) => return Err(fault(number, reader.at(), kind)),
        };
        let start = reader.at();
        let ahead = reader.rest();
        if reader.take(len).is_none() {
            return Err(fault(number, start, ParseErrorKind::Truncated));
        }
        if !rule.admits(ahead, len) {
            return Err(fault(number, start, ParseErrorKind::Content));
        }
        if let Some(span) = spans.get_mut(usize::from(number)) {
            *span = Span {
                start,
                len: reader.at().wrapping_sub(start),
            };
        }
        Ok(())
    }

    /// The fields that the bitmaps announce, without the bits that announce bitmaps.
    fn read_bitmaps(&self, reader: &mut Reader<'_>) -> Result<Bitmap, ParseError> {
        let primary = self.read_bitmap(reader)?;
        if primary & FIRST_BIT == 0 {
            return Ok(Bitmap::from_halves(primary, 0));
        }
        let secondary = self.read_bitmap(reader)?;
        let fields = Bitmap::from_halves(primary & !FIRST_BIT, secondary);
        if fields.contains(TERTIARY_BIT) {
            return Err(fault(1, reader.at(), ParseErrorKind::Tertiary));
        }
        Ok(fields)
    }

    fn read_bitmap(&self, reader: &mut Reader<'_>) -> Result<u64, ParseError> {
        let start = reader.at();
        let bits = match self.bitmap() {
            BitmapForm::Binary => reader
                .take_array::<8>()
                .map(|bytes| Some(u64::from_be_bytes(*bytes))),
            BitmapForm::Hex => reader.take_array::<16>().map(hex::word),
        };
        match bits {
            Some(Some(bits)) => Ok(bits),
            Some(None) => Err(fault(1, start, ParseErrorKind::Bitmap)),
            None => Err(fault(1, start, ParseErrorKind::Truncated)),
        }
    }
}

fn read_mti(reader: &mut Reader<'_>) -> Result<Mti, ParseError> {
    let digits = reader
        .take_array::<4>()
        .ok_or_else(|| fault(0, 0, ParseErrorKind::Truncated))?;
    Mti::new(*digits).ok_or_else(|| fault(0, 0, ParseErrorKind::Mti))
}

/// Bytes of the value that follows. On an error the reader stays before the prefix.
#[inline]
fn read_len(rule: &Rule, reader: &mut Reader<'_>) -> Result<usize, ParseErrorKind> {
    let mut ahead = *reader;
    let units = match rule.prefix {
        PrefixLen::None => return Ok(rule.wire_len(rule.units_max())),
        PrefixLen::One => decimal(ahead.take_array::<1>()),
        PrefixLen::Two => decimal(ahead.take_array::<2>()),
        PrefixLen::Three => decimal(ahead.take_array::<3>()),
        PrefixLen::Undefined => Err(ParseErrorKind::Undefined),
    }?;
    if units > rule.units_max() {
        return Err(ParseErrorKind::AboveMaximum);
    }
    *reader = ahead;
    Ok(rule.wire_len(units))
}

/// At most three digits.
#[inline]
fn decimal<const N: usize>(digits: Option<&[u8; N]>) -> Result<usize, ParseErrorKind> {
    let mut value = 0_usize;
    let mut largest = 0;
    for digit in digits.ok_or(ParseErrorKind::Truncated)? {
        let digit = digit.wrapping_sub(b'0');
        largest = digit.max(largest);
        value = value.wrapping_mul(10).wrapping_add(usize::from(digit));
    }
    if largest > 9 {
        return Err(ParseErrorKind::Prefix);
    }
    Ok(value)
}

#[cold]
fn fault(field: u8, offset: u16, kind: ParseErrorKind) -> ParseError {
    let offset = u32::from(offset);
    ParseError {
        field,
        offset,
        kind,
    }
}

const FIRST_BIT: u64 = 1 << 63;

/// A message that has been read: fields are slices of its bytes.
///
/// When the bytes are not those that the index was made from, fields are missing or nonsense; nothing
/// worse happens.
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

    /// The value itself: binary fields as bytes in every dialect. Takes room from `scratch` only where
    /// the wire form is another. `None` when the field is absent or `scratch` too small.
    #[must_use]
    pub fn decode<'s>(self, number: u8, scratch: &'s mut [u8]) -> Option<&'s [u8]>
    where
        'a: 's,
    {
        let wire = self.field(number)?;
        match self.index.dialect.rule(number).encoding {
            Encoding::Ascii | Encoding::Binary => Some(wire),
            Encoding::Hex => hex::decode(wire, scratch),
        }
    }

    /// Copies the value itself to the start of `out`, and says how long it is: binary fields as bytes
    /// in every dialect. `None` when the field is absent or `out` too small.
    #[must_use]
    pub fn decode_into(self, number: u8, out: &mut [u8]) -> Option<usize> {
        let wire = self.field(number)?;
        match self.index.dialect.rule(number).encoding {
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

    /// Length prefix and value as they stand on the wire.
    pub(crate) fn wire(self, number: u8) -> Option<&'a [u8]> {
        let span = self.index.span(number)?;
        let prefix_len = self.index.dialect.rule(number).prefix.len();
        let value = usize::from(span.start);
        let start = value.checked_sub(prefix_len)?;
        self.bytes
            .get(start..value.saturating_add(usize::from(span.len)))
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
