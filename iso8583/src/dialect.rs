//! A dialect is rows of data; a new dialect adds rows, not code.

use core::fmt;

use crate::bitmap::Bitmap;
use crate::charset::Charset;
use crate::codec;
use crate::composite::Composite;
use crate::dialects;
use crate::error::DialectError;
use crate::field::{FieldSpec, Length, Relay, Rule, Sensitivity};
use crate::mti::Version;
use crate::requirement::Requirement;

/// What each field of a message looks like, and how type indicator and bitmap are written.
#[derive(Clone)]
pub struct Dialect {
    name: &'static str,
    form: Form,
    version: Version,
    /// From field 1 on, as in the bitmaps.
    rules: [Rule; Bitmap::LAST as usize],
    rows: [Option<FieldSpec>; COUNT],
    requirements: &'static [Requirement],
    echo: Bitmap,
    replay: Bitmap,
    sad: Bitmap,
    composites: Bitmap,
    padded: Bitmap,
}

impl Dialect {
    /// ISO 8583:1987 in ASCII; bitmap and binary fields as bytes.
    pub const ISO87_ASCII: &'static Self = &dialects::iso87::ASCII;
    /// ISO 8583:1987 in ASCII; bitmap and binary fields as hexadecimal digits.
    pub const ISO87_ASCII_HEX: &'static Self = &dialects::iso87::ASCII_HEX;
    /// ISO 8583:1987 in packed digits; text in ASCII, binary fields as bytes.
    pub const ISO87_BCD: &'static Self = &dialects::iso87::BCD;
    /// ISO 8583:1987 in EBCDIC, code page 037; binary fields as bytes.
    pub const ISO87_EBCDIC: &'static Self = &dialects::iso87::EBCDIC_CP037;
    /// ISO 8583:1993 in ASCII; bitmap and binary fields as bytes.
    pub const ISO93_ASCII: &'static Self = &dialects::iso93::ASCII;
    /// ISO 8583:1993 in packed digits; text in ASCII, binary fields as bytes.
    pub const ISO93_BCD: &'static Self = &dialects::iso93::BCD;
    /// ISO 8583:2003 in ASCII, as far as public tables give it.
    pub const ISO2003_BASE: &'static Self = &dialects::iso2003::BASE;
    /// Like Visa's BASE I.
    pub const VISA_LIKE: &'static Self = &dialects::visa::LIKE;
    /// Like a Mastercard authorisation link.
    pub const MASTERCARD_LIKE: &'static Self = &dialects::mastercard::LIKE;
    /// Like Postilion's PostBridge.
    pub const POSTILION_LIKE: &'static Self = &dialects::postilion::LIKE;

    /// The built-in dialects.
    pub const ALL: &'static [&'static Self] = &dialects::ALL;

    /// The built-in dialect of that name; `iso87-ebcdic` and `iso93-ebcdic` are in code page 037.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        let named = |dialect: &&&'static Self| dialect.name == name;
        let aliased = || dialects::ALIASES.iter().find(|(alias, _)| *alias == name);
        let found = Self::ALL.iter().find(named).copied();
        found.or_else(|| aliased().map(|(_, dialect)| *dialect))
    }

    /// Puts a dialect together from rows in ascending order.
    ///
    /// # Errors
    /// [`DialectError`] names the first row that cannot be, or the bitmap of the form.
    pub const fn new(
        name: &'static str,
        form: Form,
        rows: &[FieldSpec],
        requirements: &'static [Requirement],
    ) -> Result<Self, DialectError> {
        if let Layout::Fixed(len) = form.layout
            && !matches!(len, 1..=16)
        {
            return Err(DialectError::Bitmap(len));
        }
        let mut dialect = Self {
            name,
            form,
            version: Version::Iso1987,
            rules: [Rule::UNDEFINED; Bitmap::LAST as usize],
            rows: [None; COUNT],
            requirements,
            echo: Bitmap::EMPTY,
            replay: Bitmap::EMPTY,
            sad: Bitmap::EMPTY,
            composites: Bitmap::EMPTY,
            padded: Bitmap::EMPTY,
        };
        let mut rest = rows;
        let mut last = 0;
        while let [row, tail @ ..] = rest {
            if row.number <= last {
                return Err(DialectError::Order(row.number));
            }
            last = row.number;
            if let Err(error) = dialect.add(row) {
                return Err(error);
            }
            rest = tail;
        }
        Ok(dialect)
    }

    const fn add(&mut self, row: &FieldSpec) -> Result<(), DialectError> {
        let number = row.number;
        if !self.form.has(number) {
            return Err(DialectError::Number(number));
        }
        let rule = match row.rule() {
            Ok(rule) => rule,
            Err(error) => return Err(error),
        };
        if number == RESPONSE_CODE {
            self.version = match row.length {
                Length::Fixed(3) => Version::Iso1993,
                Length::Fixed(4) => Version::Iso2003,
                Length::Fixed(_) | Length::Var { .. } => Version::Iso1987,
            };
        }
        let is_sad = matches!(row.sensitivity, Sensitivity::Sad);
        if is_sad && matches!(row.relay, Relay::Replay) && number != CHIP_DATA {
            return Err(DialectError::Replay(number));
        }
        let (_, rules) = self.rules.split_at_mut(number.saturating_sub(1) as usize);
        let (_, rows) = self.rows.split_at_mut(number as usize);
        if let ([rule_slot, ..], [row_slot, ..]) = (rules, rows) {
            *rule_slot = rule;
            *row_slot = Some(*row);
        }
        match row.relay {
            Relay::Echo => self.echo = self.echo.with(number),
            Relay::Replay => self.replay = self.replay.with(number),
            Relay::Never => {}
        }
        if is_sad {
            self.sad = self.sad.with(number);
        }
        if !matches!(row.composite, Composite::Opaque) {
            self.composites = self.composites.with(number);
        }
        // Where padding is strict, a wrong pad is a fault of the field.
        if !self.form.strict_padding && codec::may_be_padded(row) {
            self.padded = self.padded.with(number);
        }
        Ok(())
    }

    /// The name used in configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How type indicator and bitmap are written.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The edition of the standard that it is of, which its response code tells: two characters in
    /// 1987, three digits in 1993, four in 2003.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The row of a field.
    #[must_use]
    pub fn field(&self, number: u8) -> Option<&FieldSpec> {
        self.rows.get(usize::from(number))?.as_ref()
    }

    /// The rows, ascending.
    pub fn rows(&self) -> impl Iterator<Item = &FieldSpec> {
        self.rows.iter().flatten()
    }

    /// What messages of some types must have.
    #[must_use]
    pub const fn requirements(&self) -> &'static [Requirement] {
        self.requirements
    }

    /// Fields whose request bytes stand in every answer.
    #[must_use]
    pub const fn echo(&self) -> Bitmap {
        self.echo
    }

    /// Fields whose issuer bytes stand in every answer.
    #[must_use]
    pub const fn replay(&self) -> Bitmap {
        self.replay
    }

    /// Fields that are zeroed when the issuer has them.
    #[must_use]
    pub const fn sad(&self) -> Bitmap {
        self.sad
    }

    /// Fields that hold something.
    #[must_use]
    pub const fn composites(&self) -> Bitmap {
        self.composites
    }

    /// Fields in which a nibble may be over that is not the row's pad.
    pub(crate) const fn padded(&self) -> Bitmap {
        self.padded
    }

    #[inline]
    pub(crate) fn rule(&self, number: u8) -> &Rule {
        match self.rules.get(usize::from(number.wrapping_sub(1))) {
            Some(rule) => rule,
            None => &Rule::UNDEFINED,
        }
    }

    /// The rules of one bitmap: fields 1 to 64, 65 to 128, 129 to 192.
    #[inline]
    pub(crate) fn rules(&self, part: usize) -> Option<&[Rule; 64]> {
        let (parts, _) = self.rules.as_chunks();
        parts.get(part)
    }
}

impl PartialEq for Dialect {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other) || (self.form == other.form && self.rows == other.rows)
    }
}

impl Eq for Dialect {}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How a message begins, and what holds for all its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// How the type indicator is written.
    pub mti: MtiForm,
    /// How a bitmap is written.
    pub bitmap: BitmapForm,
    /// How many bitmaps there are, and where.
    pub layout: Layout,
    /// Whether a pad nibble that is not the row's is a fault.
    pub strict_padding: bool,
}

impl Form {
    /// Everything in ASCII, the bitmap as bytes.
    pub const ASCII: Self = Self {
        mti: MtiForm::Text(Charset::Ascii),
        bitmap: BitmapForm::Binary,
        layout: Layout::Chained(Tertiary::None),
        strict_padding: false,
    };

    /// The form of what a field holds behind a bitmap of so many bytes, 1 to 16.
    #[must_use]
    pub const fn nested(bitmap: BitmapForm, len: u8) -> Self {
        Self {
            mti: MtiForm::None,
            bitmap,
            layout: Layout::Fixed(len),
            strict_padding: false,
        }
    }

    /// The form of sub-fields without a bitmap.
    pub const POSITIONAL: Self = Self {
        mti: MtiForm::None,
        bitmap: BitmapForm::Binary,
        layout: Layout::Positional,
        strict_padding: false,
    };

    /// The same form with another way to write the type indicator.
    #[must_use]
    pub const fn mti(mut self, mti: MtiForm) -> Self {
        self.mti = mti;
        self
    }

    /// The same form with another way to write the bitmap.
    #[must_use]
    pub const fn bitmap(mut self, bitmap: BitmapForm) -> Self {
        self.bitmap = bitmap;
        self
    }

    /// The same form with other bitmaps.
    #[must_use]
    pub const fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Bytes of one bitmap on the wire, or of the only one.
    #[must_use]
    pub const fn bitmap_len(self) -> usize {
        let bytes = match self.layout {
            Layout::Chained(_) => 8,
            Layout::Fixed(len) => len as usize,
            Layout::Positional => 0,
        };
        self.bitmap.wire_len(bytes)
    }

    /// Bytes before the second bitmap, or before the first field where there is one bitmap.
    pub(crate) const fn head_len(self) -> usize {
        self.mti.wire_len().saturating_add(self.bitmap_len())
    }

    /// Whether a field of that number can be in a message of this form.
    const fn has(self, number: u8) -> bool {
        let is_message = !matches!(self.mti, MtiForm::None);
        if is_message && matches!(number, 1 | TERTIARY_BIT) {
            return false;
        }
        let last = match self.layout {
            Layout::Chained(Tertiary::None) => 128,
            Layout::Chained(Tertiary::AfterSecondary | Tertiary::Field65) | Layout::Positional => {
                Bitmap::LAST
            }
            Layout::Fixed(len) => len.saturating_mul(8),
        };
        number >= 1 && number <= last && number <= Bitmap::LAST
    }
}

/// How the type indicator is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MtiForm {
    /// Four digits.
    Text(Charset),
    /// Two bytes of packed digits.
    Packed,
    /// Not at all: what a field holds.
    None,
}

impl MtiForm {
    /// Bytes of it.
    #[must_use]
    pub const fn wire_len(self) -> usize {
        match self {
            Self::Text(_) => 4,
            Self::Packed => 2,
            Self::None => 0,
        }
    }
}

/// How a bitmap is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitmapForm {
    /// Bytes.
    Binary,
    /// Hexadecimal digits, read in either case, written in upper case.
    Hex(Charset),
}

impl BitmapForm {
    /// Hexadecimal digits in ASCII.
    pub const HEX: Self = Self::Hex(Charset::Ascii);

    /// Bytes on the wire of a bitmap of so many bytes.
    #[must_use]
    pub const fn wire_len(self, bytes: usize) -> usize {
        match self {
            Self::Binary => bytes,
            Self::Hex(_) => bytes.saturating_mul(2),
        }
    }
}

/// How many bitmaps there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Eight bytes; bit 1 announces eight more, and bit 65 perhaps a third time.
    Chained(Tertiary),
    /// One of so many bytes, 1 to 16, whatever bit 1 says. Of a message bit 1 has no meaning.
    Fixed(u8),
    /// None: each row stands for itself until the bytes end.
    Positional,
}

/// Where the third bitmap stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tertiary {
    /// There is none: bit 65 is a fault.
    None,
    /// Behind the second one.
    AfterSecondary,
    /// In its place among the fields, between 64 and 66.
    Field65,
}

/// The bit that announces a third bitmap.
pub(crate) const TERTIARY_BIT: u8 = 65;

/// Its length tells the edition.
const RESPONSE_CODE: u8 = 39;

/// Integrated circuit card data: elements, each of which is known to be fit for storage or not.
pub(crate) const CHIP_DATA: u8 = 55;

/// Places 0 to 192; place 0 stays empty.
const COUNT: usize = Bitmap::LAST as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;

    #[test]
    fn built_in_dialects_are_found_by_name() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::by_name(dialect.name()), Some(*dialect));
        }
        assert_eq!(
            Dialect::by_name("iso87-ascii-hex").unwrap().form().bitmap,
            BitmapForm::HEX
        );
        assert!(Dialect::by_name("iso86").is_none());
        assert!(Dialect::ISO87_ASCII != Dialect::ISO87_ASCII_HEX);
    }

    #[test]
    fn every_field_of_1987_has_a_row_but_1_and_65() {
        for number in 0..=255_u8 {
            let defined = matches!(number, 2..=64 | 66..=128);
            let dialect = Dialect::ISO87_ASCII;
            assert_eq!(dialect.field(number).is_some(), defined, "{number}");
            assert_eq!(dialect.rule(number).is_defined(), defined, "{number}");
        }
    }

    #[test]
    fn what_is_echoed_and_what_is_never_kept() {
        let echo: std::vec::Vec<u8> = Dialect::ISO87_ASCII.echo().iter().collect();
        assert_eq!(echo, [2, 3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49, 59]);
        let sad = Dialect::ISO87_ASCII.sad();
        for number in [35, 36, 45, 52] {
            assert!(sad.contains(number));
        }
        assert!(sad.intersection(Dialect::ISO87_ASCII.echo()).is_empty());
        let taken_apart: std::vec::Vec<u8> = sad
            .intersection(Dialect::ISO87_ASCII.replay())
            .iter()
            .collect();
        assert_eq!(taken_apart, [CHIP_DATA]);
    }

    #[test]
    fn impossible_rows_are_refused() {
        let row = |number, length| FieldSpec::new(number, "row", Class::N, length);
        let check_in = |form: Form, rows: &[FieldSpec], error| {
            assert_eq!(Dialect::new("test", form, rows, &[]).err(), Some(error));
        };
        let check = |rows: &[FieldSpec], error| check_in(Form::ASCII, rows, error);
        check(&[row(65, Length::Fixed(1))], DialectError::Number(65));
        check(&[row(129, Length::Fixed(1))], DialectError::Number(129));
        check(&[row(1, Length::Fixed(8))], DialectError::Number(1));
        check(&[row(0, Length::Fixed(8))], DialectError::Order(0));
        check(
            &[row(3, Length::Fixed(6)), row(3, Length::Fixed(6))],
            DialectError::Order(3),
        );
        check(&[row(3, Length::ll(100))], DialectError::Length(3));
        let replayed = row(48, Length::lll(999)).seen_as(Sensitivity::Sad);
        check(&[replayed.relayed(Relay::Replay)], DialectError::Replay(48));
        let nested = Form::nested(BitmapForm::Binary, 3);
        check_in(
            nested,
            &[row(25, Length::Fixed(1))],
            DialectError::Number(25),
        );
        let tertiary = Form::ASCII.layout(Layout::Chained(Tertiary::AfterSecondary));
        check_in(
            tertiary,
            &[row(193, Length::Fixed(1))],
            DialectError::Number(193),
        );
        for len in [0, 17, 24, 255] {
            let none = Form::nested(BitmapForm::Binary, len);
            check_in(none, &[], DialectError::Bitmap(len));
        }
        for len in 1..=16 {
            let one = Form::nested(BitmapForm::HEX, len);
            assert!(Dialect::new("test", one, &[row(8, Length::Fixed(1))], &[]).is_ok());
        }
        assert!(Dialect::new("test", tertiary, &[row(192, Length::Fixed(1))], &[]).is_ok());
        assert!(Dialect::new("test", nested, &[row(1, Length::Fixed(1))], &[]).is_ok());
    }
}
