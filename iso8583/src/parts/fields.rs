//! The fields of one row of bytes, one after the other, with every fault: the pass of
//! [`Dialect::parse`](crate::Dialect::parse), told step by step.

use crate::bitmap::Bitmap;
use crate::codec;
use crate::dialect::{Dialect, Layout, TERTIARY_BIT};
use crate::error::{ParseError, ParseErrorKind};
use crate::field::FieldSpec;
use crate::message::MESSAGE_LEN_MAX;
use crate::mti::Mti;
use crate::parse::{fault, mti_fault, read_mti};

/// What stands before the fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Where the first field begins.
    pub(super) end: usize,
    /// The fields that are announced; of rows without a bitmap all that there are.
    pub(super) fields: Bitmap,
}

impl Head {
    /// The type indicator.
    pub(super) fn mti(dialect: &Dialect, bytes: &[u8]) -> Result<Mti, ParseError> {
        let form = dialect.form().mti;
        if bytes.len() > MESSAGE_LEN_MAX {
            return Err(fault(0, 0, ParseErrorKind::TooLong));
        }
        read_mti(form, bytes).ok_or_else(|| fault(0, 0, mti_fault(form, bytes)))
    }

    pub(super) fn read(dialect: &Dialect, bytes: &[u8]) -> Result<Self, ParseError> {
        Self::mti(dialect, bytes)?;
        let (announced, end) = dialect.read_bitmaps(bytes)?;
        let fields = match dialect.form().layout {
            Layout::Positional => dialect.rows().map(|row| row.number).collect(),
            Layout::Chained(_) | Layout::Fixed(_) => announced,
        };
        Ok(Self { end, fields })
    }
}

/// A field that was found, and what is wrong with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) number: u8,
    /// Its first byte, that of the length prefix where it has one.
    pub(super) at: usize,
    /// The first byte of its value; with a fault that keeps its length unknown, where that is.
    pub(super) start: usize,
    /// Bytes of its value.
    pub(super) len: usize,
    pub(super) fault: Option<ParseErrorKind>,
}

impl Read {
    /// Whether nobody knows where it ends.
    pub(super) fn is_stop(&self) -> bool {
        self.fault.is_some_and(ParseErrorKind::is_structural)
    }

    fn error(&self) -> Option<ParseError> {
        self.fault.map(|kind| fault(self.number, self.start, kind))
    }

    /// Its value on the wire.
    pub(super) fn wire<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let end = self.start.saturating_add(self.len);
        bytes.get(self.start..end).unwrap_or_default()
    }

    /// Units of its value, as [`MessageRef`](crate::MessageRef) tells them.
    pub(super) fn units(&self, row: &FieldSpec, bytes: &[u8]) -> usize {
        let prefix = || bytes.get(self.at..self.start);
        codec::units_behind(row, self.wire(bytes), prefix).unwrap_or(0)
    }
}

/// The fields in the order of the wire. Ends behind the last one, and behind the first whose end
/// nobody knows.
#[derive(Clone, Debug)]
pub(super) struct Fields<'b> {
    dialect: &'static Dialect,
    bytes: &'b [u8],
    /// Where the next one begins.
    at: usize,
    rest: Bitmap,
    /// The fault of a bitmap among the fields.
    bitmap_fault: Option<ParseError>,
}

impl<'b> Fields<'b> {
    pub(super) const fn new(dialect: &'static Dialect, bytes: &'b [u8], head: Head) -> Self {
        Self {
            dialect,
            bytes,
            at: head.end,
            rest: head.fields,
            bitmap_fault: None,
        }
    }

    /// The third bitmap, where that stands among the fields.
    fn pass_bitmap(&mut self) {
        match self.dialect.read_bitmap(self.bytes, self.at) {
            Ok(third) => {
                self.at = self.at.saturating_add(self.dialect.form().bitmap_len());
                self.rest = self.rest.union(Bitmap::from_words(0, 0, third));
            }
            Err(error) => {
                self.bitmap_fault = Some(error);
                self.rest = Bitmap::EMPTY;
            }
        }
    }
}

impl Iterator for Fields<'_> {
    type Item = Read;

    fn next(&mut self) -> Option<Read> {
        if self.rest.first()? == TERTIARY_BIT && self.dialect.has_field_65() {
            self.rest = self.rest.without(TERTIARY_BIT);
            self.pass_bitmap();
        }
        let number = self.rest.first()?;
        self.rest = self.rest.without(number);
        let is_positional = self.dialect.form().layout == Layout::Positional;
        if is_positional && self.at >= self.bytes.len() {
            self.rest = Bitmap::EMPTY;
            return None;
        }
        let field = self.dialect.read_field(number, self.bytes, self.at);
        let read = Read {
            number,
            at: self.at,
            start: field.start,
            len: field.len,
            fault: field.fault,
        };
        if read.is_stop() {
            self.rest = Bitmap::EMPTY;
        } else {
            self.at = field.end();
        }
        Some(read)
    }
}

/// What a whole pass comes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survey {
    /// The first fault, as [`Dialect::parse`](crate::Dialect::parse) has it.
    pub(super) first_fault: Option<ParseError>,
    /// Whether the fields fill the bytes.
    pub(super) is_filled: bool,
}

impl Survey {
    pub(super) fn of(dialect: &'static Dialect, bytes: &[u8]) -> Self {
        match Head::read(dialect, bytes) {
            Ok(head) => Self::of_fields(Fields::new(dialect, bytes, head)),
            Err(error) => Self {
                first_fault: Some(error),
                is_filled: false,
            },
        }
    }

    fn of_fields(mut fields: Fields<'_>) -> Self {
        let (mut first_fault, mut last, mut stopped) = (None, 1, false);
        for read in fields.by_ref() {
            match read.error() {
                Some(error) => {
                    first_fault = first_fault.or(Some(error));
                    stopped |= read.is_stop();
                }
                None => last = read.number,
            }
        }
        let stop = fields.bitmap_fault;
        let is_filled = !stopped && stop.is_none() && fields.at == fields.bytes.len();
        let trailing = || {
            let is_left = !stopped && stop.is_none() && !is_filled;
            is_left.then(|| fault(last, fields.at, ParseErrorKind::Trailing))
        };
        Self {
            first_fault: first_fault.or(stop).or_else(trailing),
            is_filled,
        }
    }
}
