//! A message that has been read: a table of offsets, and a view over the bytes.

use core::fmt;

use crate::bitmap::{Bitmap, Numbers};
use crate::codec;
use crate::dialect::Dialect;
use crate::error::{ParseError, ParseErrorKind};
use crate::field::FieldSpec;
use crate::mti::Mti;

/// What a request for something without an amount may lack: DE4 and DE49.
const AMOUNT: u8 = 4;
const CURRENCY: u8 = 49;

/// Where each field of a message lies. Plain data without a lifetime, so that it can be kept beside
/// an owned buffer and move with it between threads.
#[derive(Clone, Copy)]
pub struct FieldIndex {
    pub(crate) present: Bitmap,
    dialect: &'static Dialect,
    pub(crate) mti: Mti,
    pub(crate) spans: Spans,
}

impl FieldIndex {
    /// The index of no message.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            present: Bitmap::EMPTY,
            dialect: Dialect::ISO87_ASCII,
            mti: Mti::UNREAD,
            spans: [Span::EMPTY; Bitmap::LAST as usize],
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
        self.spans.get(usize::from(number.wrapping_sub(1))).copied()
    }

    /// The spans stay as they are: without its bit in `present` none is ever read.
    pub(crate) fn begin(&mut self, dialect: &'static Dialect) {
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

/// From field 1 on, as in the bitmaps.
pub(crate) type Spans = [Span; Bitmap::LAST as usize];

/// The place of a field.
#[inline]
pub(crate) fn span_of(spans: &mut Spans, number: u8) -> Option<&mut Span> {
    spans.get_mut(usize::from(number.wrapping_sub(1)))
}

/// A value on the wire, without its length prefix: where it starts, and how long it is.
#[derive(Clone, Copy)]
pub(crate) struct Span(u32);

impl Span {
    const EMPTY: Self = Self(0);

    /// Both are bounded by the longest message, 65,535 bytes.
    #[expect(clippy::cast_possible_truncation, reason = "16 bits each")]
    #[inline]
    pub(crate) const fn new(start: usize, len: usize) -> Self {
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

    /// Where it starts.
    #[inline]
    pub(crate) const fn start(self) -> usize {
        self.parts().0
    }

    /// Where it ends.
    #[inline]
    pub(crate) const fn end(self) -> usize {
        let (start, len) = self.parts();
        start.saturating_add(len)
    }

    #[inline]
    const fn parts(self) -> (usize, usize) {
        ((self.0 >> 16) as usize, (self.0 & 0xFFFF) as usize)
    }
}

/// No frame may be longer; offsets are kept in 16 bits.
pub(crate) const MESSAGE_LEN_MAX: usize = u16::MAX as usize;

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

    /// The value as it stands on the wire, in whatever encoding, without its length prefix; see
    /// [`MessageRef::decode`].
    #[must_use]
    #[inline]
    pub fn field(self, number: u8) -> Option<&'a [u8]> {
        self.index.span(number)?.of(self.bytes)
    }

    /// The value itself, where the wire has it as it is.
    #[inline]
    pub(crate) fn plain(self, number: u8) -> Option<&'a [u8]> {
        let wire = self.field(number)?;
        self.dialect().rule(number).is_plain.then_some(wire)
    }

    /// The value itself: text as ASCII characters, binary as bytes in every dialect. Takes room
    /// from `scratch` only where the wire form is another. `None` when the field is absent or
    /// `scratch` too small.
    #[must_use]
    #[inline]
    pub fn decode<'s>(self, number: u8, scratch: &'s mut [u8]) -> Option<&'s [u8]>
    where
        'a: 's,
    {
        let wire = self.field(number)?;
        if self.dialect().rule(number).is_plain {
            return Some(wire);
        }
        let row = self.dialect().field(number)?;
        codec::decode(row, wire, self.units(row, wire)?, scratch)
    }

    /// The value itself, where it has exactly so many characters or bytes.
    #[must_use]
    pub fn array<const N: usize>(self, number: u8) -> Option<[u8; N]> {
        let mut scratch = [0; N];
        self.decode(number, &mut scratch)?.try_into().ok()
    }

    /// Copies the value itself to the start of `out`, and says how long it is. `None` when the
    /// field is absent or `out` too small.
    #[must_use]
    pub fn decode_into(self, number: u8, out: &mut [u8]) -> Option<usize> {
        let wire = self.field(number)?;
        if self.dialect().rule(number).is_plain {
            out.get_mut(..wire.len())?.copy_from_slice(wire);
            return Some(wire.len());
        }
        let row = self.dialect().field(number)?;
        let units = self.units(row, wire)?;
        codec::decode(row, wire, units, out).map(<[u8]>::len)
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

    /// Where the value of a field begins and ends, in bytes from the start of the message.
    #[must_use]
    pub fn value_place(self, number: u8) -> Option<core::ops::Range<usize>> {
        let span = self.index.span(number)?;
        Some(span.start()..span.end())
    }

    /// Where a field begins, its length prefix included, and where it ends, in bytes from the start
    /// of the message.
    #[must_use]
    pub fn extent(self, number: u8) -> Option<core::ops::Range<usize>> {
        let span = self.index.span(number)?;
        let start = span
            .start()
            .checked_sub(self.dialect().rule(number).prefix_len())?;
        Some(start..span.end())
    }

    /// The first mandatory or conditional field of its type that it lacks: what its dialect's
    /// requirements say.
    ///
    /// What has no amount ([`Self::needs_no_amount`]) needs neither DE4 nor DE49.
    ///
    /// # Errors
    /// [`ParseErrorKind::Missing`] with the field, and the offset at which it would stand.
    pub fn check_requirements(self) -> Result<(), ParseError> {
        let Some(mut field) = self.first_missing(Bitmap::EMPTY) else {
            return Ok(());
        };
        if field <= CURRENCY && self.needs_no_amount() {
            let amount = Bitmap::EMPTY.with(AMOUNT).with(CURRENCY);
            match self.first_missing(amount) {
                Some(other) => field = other,
                None => return Ok(()),
            }
        }
        let next = self.present().above(field).iter().next();
        let place = next.and_then(|next| self.extent(next));
        let offset = place.map_or(self.bytes.len(), |place| place.start);
        Err(ParseError {
            field,
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            kind: ParseErrorKind::Missing,
        })
    }

    /// The first field that its type must have and that is neither there nor one of these.
    fn first_missing(self, spared: Bitmap) -> Option<u8> {
        let present = self.present().union(spared);
        let rows = self.dialect().requirements().iter();
        rows.filter_map(|row| row.missing(self.mti(), present))
            .min()
    }

    /// The fields whose odd number of packed digits is filled with another nibble than their row
    /// says. That is no fault unless the dialect's padding is strict. What fields hold is not
    /// looked into.
    #[must_use]
    #[inline]
    pub fn wrong_padding(self) -> Bitmap {
        let padded = self.dialect().padded().intersection(self.present());
        padded
            .iter()
            .filter(|number| self.is_padded(*number) == Some(false))
            .collect()
    }

    fn is_padded(self, number: u8) -> Option<bool> {
        let (row, wire) = (self.dialect().field(number)?, self.field(number)?);
        Some(codec::is_padded(row, wire, self.units(row, wire)?))
    }

    /// Length prefix and value as they stand on the wire.
    pub(crate) fn wire(self, number: u8) -> Option<&'a [u8]> {
        self.bytes.get(self.extent(number)?)
    }

    /// How long the value itself is.
    pub(crate) fn value_len(self, number: u8) -> Option<usize> {
        let (row, wire) = (self.dialect().field(number)?, self.field(number)?);
        self.units(row, wire)
    }

    /// Units of the value. Of packed digits an odd number can only be told by the prefix.
    pub(crate) fn units(self, row: &FieldSpec, wire: &[u8]) -> Option<usize> {
        codec::units_behind(row, wire, || {
            let start = self.index.span(row.number)?.start();
            let prefix = start.checked_sub(usize::from(row.prefix_len()))?..start;
            self.bytes.get(prefix)
        })
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
