//! Reading: one pass over the bytes validates every field and says where each one lies.

use crate::bitmap::Bitmap;
use crate::charset::Charset;
use crate::codec;
use crate::dialect::{BitmapForm, Dialect, Layout, MtiForm, TERTIARY_BIT, Tertiary};
use crate::error::{ParseError, ParseErrorKind};
use crate::field::{Count, FieldSpec, Rule, Shape};
use crate::hex;
use crate::message::{FieldIndex, MESSAGE_LEN_MAX, Span, Spans, span_of};
use crate::mti::Mti;

impl Dialect {
    /// Reads a whole message and validates every field; `index` then says where each one lies. What
    /// a field holds is not opened: [`MessageRef::check_composites`] reads it in the same way, in
    /// the dialect of its row.
    ///
    /// [`MessageRef::check_composites`]: crate::MessageRef::check_composites
    ///
    /// A field whose content is wrong but whose length is known is left out of the index, and the
    /// pass goes on, so that the MTI, DE11 and DE41 are there for the answer. Where the length is
    /// unknown the pass stops; the fields before stay readable.
    ///
    /// # Errors
    /// The first fault. Nothing of a message with a fault may be forwarded.
    pub fn parse(&'static self, bytes: &[u8], index: &mut FieldIndex) -> Result<(), ParseError> {
        index.begin(self);
        if self.walk_message::<true>(bytes, u8::MAX, index).is_some() {
            return Ok(());
        }
        self.parse_slowly(bytes, index)
    }

    /// Finds the fields of a message up to number `last` by their lengths, and looks neither at
    /// their contents nor at what comes behind them: for who reads a dozen fields, each of which
    /// says itself whether it can be used, and passes the message on as the bytes that it is or not
    /// at all.
    ///
    /// # Errors
    /// As [`Dialect::parse`]; most faults of content go unnoticed, and all behind `last`, as do
    /// bytes that follow the last field.
    pub fn scan(
        &'static self,
        bytes: &[u8],
        last: u8,
        index: &mut FieldIndex,
    ) -> Result<(), ParseError> {
        index.begin(self);
        if self.walk_message::<false>(bytes, last, index).is_some() {
            return Ok(());
        }
        index.begin(self);
        let parsed = self.parse_slowly(bytes, index);
        index.present = index.present.minus(index.present.above(last));
        match parsed {
            Err(error) if error.field > last || error.kind == ParseErrorKind::Trailing => Ok(()),
            other => other,
        }
    }

    /// [`Dialect::parse`], field by field.
    #[inline(never)]
    pub(crate) fn parse_slowly(
        &'static self,
        bytes: &[u8],
        index: &mut FieldIndex,
    ) -> Result<(), ParseError> {
        if bytes.len() > MESSAGE_LEN_MAX {
            return Err(fault(0, 0, ParseErrorKind::TooLong));
        }
        index.mti = read_mti(self.form().mti, bytes)
            .ok_or_else(|| fault(0, 0, mti_fault(self.form().mti, bytes)))?;
        let (mut fields, at) = self.read_bitmaps(bytes)?;
        let mut pass = Pass {
            dialect: self,
            bytes,
            at,
            first_fault: None,
        };
        if self.form().layout == Layout::Positional {
            fields = pass.fields_up_to_the_end(index);
        }
        if fields.contains(TERTIARY_BIT) && self.has_field_65() {
            pass.read(fields.below(TERTIARY_BIT), index)?;
            fields = pass.read_field_65(fields.above(TERTIARY_BIT))?;
        }
        pass.read(fields, index)?;
        pass.end(index.present)
    }

    pub(crate) fn has_field_65(&self) -> bool {
        self.form().layout == Layout::Chained(Tertiary::Field65)
    }

    /// Reads `fields` up to the first fault, and leaves `at` behind the last one that was read,
    /// also when its content is at fault.
    fn read_fields(
        &self,
        bytes: &[u8],
        at: &mut usize,
        fields: Bitmap,
        spans: &mut Spans,
    ) -> Result<(), ParseError> {
        debug_assert!(*at <= bytes.len());
        for number in fields {
            let field = self.read_field(number, bytes, *at);
            *at = field.end();
            if let Some(kind) = field.fault {
                return Err(fault(number, field.start, kind));
            }
            if let Some(span) = span_of(spans, number) {
                *span = Span::new(field.start, field.len);
            }
        }
        Ok(())
    }

    /// Any field, with any fault.
    #[inline(never)]
    pub(crate) fn read_field(&self, number: u8, bytes: &[u8], at: usize) -> Field {
        let rule = self.rule(number);
        let (start, len) = match rule.shape {
            Shape::Fixed => (at, rule.wire_len_max()),
            Shape::Decimal => match read_decimal(rule, bytes.get(at..).unwrap_or_default()) {
                Ok(len) => (at.wrapping_add(rule.prefix_len()), len),
                Err(kind) => return Field::faulty(at, kind),
            },
            Shape::Special | Shape::Undefined => return self.read_special(number, bytes, at),
        };
        let Some(value) = bytes.get(start..start.wrapping_add(len)) else {
            return Field::faulty(start, ParseErrorKind::Truncated);
        };
        let fault = match rule.admits(value) {
            Some(true) => None,
            Some(false) | None => self.judge(number, value),
        };
        Field { start, len, fault }
    }

    /// What the row says of a value whose length stands in no unusual prefix.
    pub(crate) fn judge(&self, number: u8, value: &[u8]) -> Option<ParseErrorKind> {
        let row = self.field(number)?;
        let units = match self.rule(number).shape {
            Shape::Fixed => usize::from(row.units_max()),
            Shape::Decimal | Shape::Special | Shape::Undefined => value.len(),
        };
        codec::fault_of(row, value, units, self.form().strict_padding)
    }

    /// A field with a prefix that is not one to three ASCII digits, or one that counts otherwise;
    /// or one without a row.
    fn read_special(&self, number: u8, bytes: &[u8], at: usize) -> Field {
        let Some(row) = self.field(number) else {
            return Field::faulty(at, ParseErrorKind::Undefined);
        };
        let start = at.saturating_add(usize::from(row.prefix_len()));
        let Some(prefix) = bytes.get(at..start) else {
            return Field::faulty(at, ParseErrorKind::Truncated);
        };
        let len = match row.prefix.coding.read(prefix) {
            Some(number) => usize::try_from(number).unwrap_or(usize::MAX),
            None => return Field::faulty(at, ParseErrorKind::Prefix),
        };
        let Some(len) = wire_len(row, len) else {
            return Field::faulty(at, ParseErrorKind::AboveMaximum);
        };
        let Some(value) = bytes.get(start..start.saturating_add(len)) else {
            return Field::faulty(start, ParseErrorKind::Truncated);
        };
        let units = match row.prefix.count {
            Count::Units => row.prefix.coding.read(prefix).unwrap_or(0) as usize,
            Count::Bytes => codec::units_of(row, value),
        };
        if units > usize::from(row.units_max()) {
            return Field::faulty(at, ParseErrorKind::AboveMaximum);
        }
        let fault = if row.wire_len(units) == len {
            codec::fault_of(row, value, units, self.form().strict_padding)
        } else {
            Some(ParseErrorKind::Content)
        };
        Field { start, len, fault }
    }

    /// The fields that the bitmaps announce, without the bits that announce bitmaps before the
    /// first field, and where the first field begins.
    pub(crate) fn read_bitmaps(&self, bytes: &[u8]) -> Result<(Bitmap, usize), ParseError> {
        let form = self.form();
        let (first, second) = (form.mti.wire_len(), form.head_len());
        let tertiary = match form.layout {
            Layout::Chained(tertiary) => tertiary,
            Layout::Fixed(len) => return self.read_fixed_bitmap(bytes, len),
            Layout::Positional => return Ok((Bitmap::EMPTY, first)),
        };
        let primary = self.read_bitmap(bytes, first)?;
        if primary & FIRST_BIT == 0 {
            return Ok((Bitmap::from_words(primary, 0, 0), second));
        }
        let primary = primary & !FIRST_BIT;
        let secondary = self.read_bitmap(bytes, second)?;
        let end = second.saturating_add(form.bitmap_len());
        match tertiary {
            Tertiary::None if secondary & FIRST_BIT != 0 => {
                Err(fault(1, end, ParseErrorKind::Tertiary))
            }
            Tertiary::AfterSecondary if secondary & FIRST_BIT != 0 => {
                let third = self.read_bitmap(bytes, end)?;
                let fields = Bitmap::from_words(primary, secondary & !FIRST_BIT, third);
                Ok((fields, end.saturating_add(form.bitmap_len())))
            }
            Tertiary::None | Tertiary::AfterSecondary | Tertiary::Field65 => {
                Ok((Bitmap::from_words(primary, secondary, 0), end))
            }
        }
    }

    pub(crate) fn read_bitmap(&self, bytes: &[u8], at: usize) -> Result<u64, ParseError> {
        let end = at.saturating_add(self.form().bitmap_len());
        match self.bitmap_at(bytes, at) {
            Some(bits) => Ok(bits),
            None if bytes.len() >= end => Err(fault(1, at, ParseErrorKind::Bitmap)),
            None => Err(fault(1, at, ParseErrorKind::Truncated)),
        }
    }

    /// A bitmap of eight bytes; `None` when it is cut, or not hexadecimal.
    #[inline]
    pub(crate) fn bitmap_at(&self, bytes: &[u8], at: usize) -> Option<u64> {
        let ahead = bytes.get(at..)?;
        match self.form().bitmap {
            BitmapForm::Binary => ahead.first_chunk().map(|bits| u64::from_be_bytes(*bits)),
            BitmapForm::Hex(Charset::Ascii) => hex::word(ahead.first_chunk()?),
            BitmapForm::Hex(charset) => {
                let digits = ahead.first_chunk::<16>()?;
                hex::word(&digits.map(|digit| charset.character(digit)))
            }
        }
    }

    /// One bitmap of `len` bytes. In a message its first bit has no meaning.
    #[cold]
    fn read_fixed_bitmap(&self, bytes: &[u8], len: u8) -> Result<(Bitmap, usize), ParseError> {
        let (at, end) = (self.form().mti.wire_len(), self.form().head_len());
        let Some(wire) = bytes.get(at..end) else {
            return Err(fault(1, at, ParseErrorKind::Truncated));
        };
        let mut buffer = [0; FIXED_LEN_MAX];
        let (bits, _) = buffer.split_at_mut(FIXED_LEN_MAX.min(usize::from(len)));
        if read_bits(self.form().bitmap, wire, bits).is_none() {
            return Err(fault(1, at, ParseErrorKind::Bitmap));
        }
        let [primary, secondary] = [buffer.first_chunk::<8>(), buffer.last_chunk::<8>()]
            .map(|half| half.map_or(0, |half| u64::from_be_bytes(*half)));
        let fields = Bitmap::from_words(primary, secondary, 0);
        let fields = match self.form().mti {
            MtiForm::None => fields,
            MtiForm::Text(_) | MtiForm::Packed => fields.without(1),
        };
        Ok((fields, end))
    }
}

/// Reads the bytes of a bitmap of any length into `out`.
fn read_bits(form: BitmapForm, wire: &[u8], out: &mut [u8]) -> Option<()> {
    match form {
        BitmapForm::Binary => {
            for (slot, byte) in out.iter_mut().zip(wire) {
                *slot = *byte;
            }
        }
        BitmapForm::Hex(charset) => {
            let (pairs, _) = wire.as_chunks::<2>();
            for (slot, pair) in out.iter_mut().zip(pairs) {
                let pair = pair.map(|digit| charset.character(digit));
                hex::decode(&pair, core::slice::from_mut(slot))?;
            }
        }
    }
    Some(())
}

/// One pass over a message: what is read, up to where, and the first fault.
struct Pass<'a> {
    dialect: &'static Dialect,
    bytes: &'a [u8],
    at: usize,
    first_fault: Option<ParseError>,
}

impl Pass<'_> {
    /// Reads `fields`, which are in `present` of the index from then on, but for those at fault.
    ///
    /// # Errors
    /// The first fault of the pass, when it cannot go on.
    #[inline]
    fn read(&mut self, fields: Bitmap, index: &mut FieldIndex) -> Result<(), ParseError> {
        index.present = index.present.union(fields);
        let mut rest = fields;
        while let Err(stop) =
            self.dialect
                .read_fields(self.bytes, &mut self.at, rest, &mut index.spans)
        {
            let first = *self.first_fault.get_or_insert(stop);
            if stop.kind.is_structural() {
                index.present = index.present.below(stop.field);
                return Err(first);
            }
            index.present = index.present.without(stop.field);
            rest = rest.above(stop.field);
        }
        Ok(())
    }

    /// The third bitmap, in its place among the fields; what it announces with `rest`.
    #[cold]
    fn read_field_65(&mut self, rest: Bitmap) -> Result<Bitmap, ParseError> {
        let third = match self.dialect.read_bitmap(self.bytes, self.at) {
            Ok(third) => third,
            Err(stop) => return Err(*self.first_fault.get_or_insert(stop)),
        };
        self.at = self.at.saturating_add(self.dialect.form().bitmap_len());
        Ok(rest.union(Bitmap::from_words(0, 0, third)))
    }

    /// Without a bitmap: the rows for which there are bytes.
    #[cold]
    fn fields_up_to_the_end(&self, index: &mut FieldIndex) -> Bitmap {
        let (mut fields, mut at) = (Bitmap::EMPTY, self.at);
        for row in self.dialect.rows() {
            if at >= self.bytes.len() {
                break;
            }
            fields = fields.with(row.number);
            let only = Bitmap::EMPTY.with(row.number);
            match self
                .dialect
                .read_fields(self.bytes, &mut at, only, &mut index.spans)
            {
                Err(stop) if stop.kind.is_structural() => break,
                Ok(()) | Err(_) => {}
            }
        }
        fields
    }

    /// Nothing may follow the last field.
    #[inline]
    fn end(mut self, present: Bitmap) -> Result<(), ParseError> {
        debug_assert!(self.at <= self.bytes.len());
        if self.at != self.bytes.len() && self.first_fault.is_none() {
            let last = present.last().unwrap_or(1);
            self.first_fault = Some(fault(last, self.at, ParseErrorKind::Trailing));
        }
        self.first_fault.map_or(Ok(()), Err)
    }
}

/// The type indicator; `None` when it is cut, or not four digits.
#[inline]
pub(crate) fn read_mti(form: MtiForm, bytes: &[u8]) -> Option<Mti> {
    let digits = match form {
        MtiForm::Text(Charset::Ascii) => *bytes.first_chunk()?,
        MtiForm::Text(charset) => bytes
            .first_chunk::<4>()?
            .map(|digit| charset.character(digit)),
        MtiForm::Packed => {
            let [first, second] = bytes.first_chunk()?;
            [first >> 4, first & 0x0F, second >> 4, second & 0x0F].map(|nibble| nibble | b'0')
        }
        MtiForm::None => return Some(Mti::UNREAD),
    };
    Mti::new(digits)
}

pub(crate) const fn mti_fault(form: MtiForm, bytes: &[u8]) -> ParseErrorKind {
    if bytes.len() < form.wire_len() {
        return ParseErrorKind::Truncated;
    }
    ParseErrorKind::Mti
}

/// What was read at one place.
pub(crate) struct Field {
    /// Where the value starts; with a fault, where the fault is.
    pub(crate) start: usize,
    /// Bytes of the value; 0 when the fault does not let them be known.
    pub(crate) len: usize,
    pub(crate) fault: Option<ParseErrorKind>,
}

impl Field {
    const fn faulty(start: usize, kind: ParseErrorKind) -> Self {
        Self {
            start,
            len: 0,
            fault: Some(kind),
        }
    }

    pub(crate) const fn end(&self) -> usize {
        self.start.wrapping_add(self.len)
    }
}

/// Bytes of a value behind a prefix that says `count`; `None` when that is above the maximum.
fn wire_len(row: &FieldSpec, count: usize) -> Option<usize> {
    let max = row.wire_len(usize::from(row.units_max()));
    match row.prefix.count {
        Count::Units if count <= usize::from(row.units_max()) => Some(row.wire_len(count)),
        Count::Bytes if count <= max => Some(count),
        Count::Units | Count::Bytes => None,
    }
}

/// Bytes of the value behind one to three ASCII digits that `ahead` begins with.
fn read_decimal(rule: &Rule, ahead: &[u8]) -> Result<usize, ParseErrorKind> {
    let len = rule.prefix_len();
    if ahead.len() < len {
        return Err(ParseErrorKind::Truncated);
    }
    let mut four = [b'0'; 4];
    for (slot, byte) in four.iter_mut().zip(ahead) {
        *slot = *byte;
    }
    match decimal(four, len) {
        Some(units) if units <= rule.units_max() => Ok(units),
        Some(_) => Err(ParseErrorKind::AboveMaximum),
        None => Err(ParseErrorKind::Prefix),
    }
}

/// The number that the first `len` characters of four say, at most three; `None` when one of them
/// is no digit.
#[inline(always)]
pub(crate) const fn decimal(four: [u8; 4], len: usize) -> Option<usize> {
    // The characters become digits, and those that are not asked for go out at the top.
    let word = u32::from_le_bytes(four);
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
pub(crate) fn fault(field: u8, offset: usize, kind: ParseErrorKind) -> ParseError {
    let offset = u32::try_from(offset).unwrap_or(u32::MAX);
    ParseError {
        field,
        offset,
        kind,
    }
}

pub(crate) const FIRST_BIT: u64 = 1 << 63;
/// The longest bitmap of a form with one.
const FIXED_LEN_MAX: usize = 16;
