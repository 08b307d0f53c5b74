//! A dialect is rows of data; a new dialect adds rows, not code.

use core::fmt;

use crate::bitmap::Bitmap;
use crate::dialects::iso87;
use crate::error::DialectError;
use crate::field::{FieldSpec, Relay, Rule, Sensitivity};

/// What each field of a message looks like, and how the bitmap is written.
#[derive(Clone)]
pub struct Dialect {
    name: &'static str,
    bitmap: BitmapForm,
    rules: [Rule; COUNT],
    rows: [Option<FieldSpec>; COUNT],
    echo: Bitmap,
    replay: Bitmap,
    sad: Bitmap,
}

impl Dialect {
    /// ISO 8583:1987 in ASCII; bitmap and binary fields as bytes.
    pub const ISO87_ASCII: &'static Self = &iso87::ASCII;
    /// ISO 8583:1987 in ASCII; bitmap and binary fields as hexadecimal digits.
    pub const ISO87_ASCII_HEX: &'static Self = &iso87::ASCII_HEX;

    /// The built-in dialect of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        [Self::ISO87_ASCII, Self::ISO87_ASCII_HEX]
            .into_iter()
            .find(|dialect| dialect.name == name)
    }

    /// Puts a dialect together from rows in ascending order.
    ///
    /// # Errors
    /// [`DialectError`] names the first row that cannot be.
    pub const fn new(
        name: &'static str,
        bitmap: BitmapForm,
        rows: &[FieldSpec],
    ) -> Result<Self, DialectError> {
        let mut dialect = Self {
            name,
            bitmap,
            rules: [Rule::UNDEFINED; COUNT],
            rows: [None; COUNT],
            echo: Bitmap::EMPTY,
            replay: Bitmap::EMPTY,
            sad: Bitmap::EMPTY,
        };
        let mut rest = rows;
        let mut last = 1;
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
        let rule = match row.rule() {
            Ok(rule) => rule,
            Err(error) => return Err(error),
        };
        if number < 2 || number > 128 || number == TERTIARY_BIT {
            return Err(DialectError::Number(number));
        }
        let is_sad = matches!(row.sensitivity, Sensitivity::Sad);
        if is_sad && matches!(row.relay, Relay::Replay) && number != CHIP_DATA {
            return Err(DialectError::Replay(number));
        }
        let (_, rules) = self.rules.split_at_mut(number as usize);
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
        Ok(())
    }

    /// The name used in configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How the bitmap is written.
    #[must_use]
    pub const fn bitmap(&self) -> BitmapForm {
        self.bitmap
    }

    /// The row of a field.
    #[must_use]
    pub fn field(&self, number: u8) -> Option<&FieldSpec> {
        self.rows.get(usize::from(number))?.as_ref()
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

    pub(crate) fn rule(&self, number: u8) -> &Rule {
        self.rule_at(u32::from(number))
    }

    #[inline]
    pub(crate) fn rule_at(&self, number: u32) -> &Rule {
        match self.rules.get(number as usize) {
            Some(rule) => rule,
            None => &Rule::UNDEFINED,
        }
    }
}

impl PartialEq for Dialect {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other) || (self.bitmap == other.bitmap && self.rows == other.rows)
    }
}

impl Eq for Dialect {}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How a bitmap is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitmapForm {
    /// Eight bytes.
    Binary,
    /// Sixteen hexadecimal digits, read in either case, written in upper case.
    Hex,
}

impl BitmapForm {
    /// Bytes of one bitmap of 64 fields.
    #[must_use]
    pub const fn wire_len(self) -> usize {
        match self {
            Self::Binary => 8,
            Self::Hex => 16,
        }
    }
}

/// The bit that announces a third bitmap.
pub(crate) const TERTIARY_BIT: u8 = 65;

/// Integrated circuit card data: elements, each of which is known to be fit for storage or not.
pub(crate) const CHIP_DATA: u8 = 55;

/// Places 0 to 128; place 0 and 1 stay empty.
const COUNT: usize = 129;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::field::Length;

    #[test]
    fn built_in_dialects_are_found_by_name() {
        assert_eq!(
            Dialect::by_name("iso87-ascii").unwrap().bitmap(),
            BitmapForm::Binary
        );
        assert_eq!(
            Dialect::by_name("iso87-ascii-hex").unwrap().bitmap(),
            BitmapForm::Hex
        );
        assert!(Dialect::by_name("iso93").is_none());
        assert!(Dialect::ISO87_ASCII != Dialect::ISO87_ASCII_HEX);
    }

    #[test]
    fn every_field_of_1987_has_a_row_but_1_and_65() {
        for number in 0..=255_u8 {
            let defined = matches!(number, 2..=64 | 66..=128);
            assert_eq!(
                Dialect::ISO87_ASCII.field(number).is_some(),
                defined,
                "{number}"
            );
            assert_eq!(
                Dialect::ISO87_ASCII.rule(number).is_defined(),
                defined,
                "{number}"
            );
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
        let check = |rows: &[FieldSpec], error| {
            assert_eq!(
                Dialect::new("test", BitmapForm::Binary, rows).err(),
                Some(error)
            );
        };
        check(&[row(65, Length::Fixed(1))], DialectError::Number(65));
        check(&[row(129, Length::Fixed(1))], DialectError::Number(129));
        check(&[row(1, Length::Fixed(8))], DialectError::Order(1));
        check(
            &[row(3, Length::Fixed(6)), row(3, Length::Fixed(6))],
            DialectError::Order(3),
        );
        check(&[row(3, Length::Ll(100))], DialectError::Length(3));
        let replayed = row(48, Length::Lll(999)).seen_as(Sensitivity::Sad);
        check(&[replayed.relayed(Relay::Replay)], DialectError::Replay(48));
    }
}
