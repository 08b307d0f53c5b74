//! What a field holds besides characters: elements, sub-fields, sub-bitmaps (semantics.md §10).

use crate::dialect::{CHIP_DATA, Dialect};
use crate::error::{ParseError, ParseErrorKind};
use crate::field::DECODED_BYTES_MAX;
use crate::message::{FieldIndex, MessageRef};
use crate::tagged::Layout;
use crate::{dataset, tlv};

/// What the value of a field holds. A message is read without opening it: whoever needs a part asks
/// for it, and what nobody configured passes through byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Composite {
    /// Nothing that is known.
    Opaque,
    /// A row of BER-TLV elements.
    Tlv,
    /// Datasets, which hold BER-TLV elements or have bitmaps of their own (ISO 8583:2003, and
    /// Visa's DE55).
    Datasets,
    /// Sub-elements of an id, a length and a value.
    Tagged(Layout),
    /// Sub-fields behind a bitmap of their own.
    Bitmapped(&'static Dialect),
    /// Sub-fields one after the other, as many as there are bytes for.
    Positional(&'static Dialect),
}

impl Composite {
    /// Whether a value is what it must be.
    ///
    /// # Errors
    /// Where in the value the first fault is, in bytes from its start.
    pub fn check(self, value: &[u8]) -> Result<(), u32> {
        match self {
            Self::Opaque => Ok(()),
            Self::Tlv => tlv::check(value).map_err(|error| error.offset),
            Self::Datasets => dataset::check(value).map_err(|error| error.offset),
            Self::Tagged(layout) => layout.check(value).map_err(|error| error.offset),
            Self::Bitmapped(dialect) | Self::Positional(dialect) => {
                let parsed = dialect.parse(value, &mut FieldIndex::new());
                parsed.map_err(|error| error.offset)
            }
        }
    }
}

impl MessageRef<'_> {
    /// Opens what the fields hold, by the rows of the dialect.
    ///
    /// # Errors
    /// [`ParseErrorKind::Composite`] with the first field whose content is malformed, and where: in
    /// bytes of the message, or at the start of the value where the wire has it in another
    /// encoding.
    pub fn check_composites(self) -> Result<(), ParseError> {
        for number in self.dialect().composites().intersection(self.present()) {
            if let Err(offset) = self.check_composite(number) {
                return Err(ParseError {
                    field: number,
                    offset,
                    kind: ParseErrorKind::Composite,
                });
            }
        }
        Ok(())
    }

    /// Opens chip data (DE55) alone: the terminal and the issuer must be able to read it, and what
    /// is kept of it is told by its tags. Private fields are for who agreed on them.
    ///
    /// # Errors
    /// As [`MessageRef::check_composites`].
    pub fn check_chip_data(self) -> Result<(), ParseError> {
        let is_there = self.present().contains(CHIP_DATA);
        match self.check_composite(CHIP_DATA) {
            Err(offset) if is_there => Err(ParseError {
                field: CHIP_DATA,
                offset,
                kind: ParseErrorKind::Composite,
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn check_composite(self, number: u8) -> Result<(), u32> {
        let (Some(row), Some(place)) = (self.dialect().field(number), self.value_place(number))
        else {
            return Ok(());
        };
        let start = u32::try_from(place.start).unwrap_or(u32::MAX);
        let mut scratch = [0; DECODED_LEN_MAX];
        let Some(value) = self.decode(number, &mut scratch) else {
            return Err(start);
        };
        let is_plain = value.len() == place.len();
        row.composite
            .check(value)
            .map_err(|offset| start.saturating_add(if is_plain { offset } else { 0 }))
    }
}

/// The longest value that is opened where the wire has it in another encoding than bytes.
const DECODED_LEN_MAX: usize = DECODED_BYTES_MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::dialect::{BitmapForm, Form};
    use crate::field::{FieldSpec, Length};
    use crate::testing::{purchase_with, raw, written};

    /// The offset of the fault in DE55 of a purchase, from the start of the value.
    #[track_caller]
    fn check_chip(dialect: &'static Dialect, chip: &[u8], offset: Option<u32>) {
        let bytes = written(dialect, "0200", &[(3, b"000000"), (55, chip)]);
        let mut index = FieldIndex::new();
        assert_eq!(dialect.parse(&bytes, &mut index), Ok(()));
        let message = MessageRef::new(&bytes, &index);
        let start = message.value_place(55).unwrap().start;
        let expected = match offset {
            Some(offset) => Err(ParseError {
                field: 55,
                offset: offset + u32::try_from(start).unwrap(),
                kind: ParseErrorKind::Composite,
            }),
            None => Ok(()),
        };
        assert_eq!(message.check_composites(), expected);
        assert_eq!(message.check_chip_data(), expected);
    }

    #[test]
    fn chip_data_that_is_no_row_of_elements_is_found() {
        let (ascii, hex) = (Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX);
        for dialect in [ascii, hex] {
            check_chip(dialect, &[0x9F, 0x36, 2, 0, 1, 0x8A, 0], None);
            check_chip(
                dialect,
                &[0x9F, 0x36, 0x80, 0, 0],
                if dialect == ascii { Some(2) } else { Some(0) },
            );
        }
        check_chip(ascii, &[0x9F, 0x36, 9, 0], Some(3));
        assert_eq!(purchase_with("0200", &[]).view().check_composites(), Ok(()));
    }

    #[test]
    fn a_bitmap_within_a_field_announces_its_sub_fields() {
        static INNER: Dialect = match Dialect::new(
            "inner",
            Form::nested(BitmapForm::Binary, 3),
            &[
                FieldSpec::new(1, "first", Class::N, Length::Fixed(2)),
                FieldSpec::new(24, "last", Class::An, Length::ll(5)),
            ],
            &[],
        ) {
            Ok(dialect) => dialect,
            Err(_) => unreachable!(),
        };
        let row = FieldSpec::new(63, "outer", Class::B, Length::lll(99));
        let row = row.holding(Composite::Bitmapped(&INNER));
        let dialect = Dialect::new("outer", Form::ASCII, &[row], &[]).unwrap();
        let dialect: &'static Dialect = std::boxed::Box::leak(std::boxed::Box::new(dialect));
        let check = |value: &[u8], fault: Option<u32>| {
            let len = std::format!("{:03}", value.len());
            let bytes = raw(b"0200", &[63], &[len.as_bytes(), value].concat());
            let mut index = FieldIndex::new();
            assert_eq!(dialect.parse(&bytes, &mut index), Ok(()));
            let checked = MessageRef::new(&bytes, &index).check_composites();
            assert_eq!(checked.err().map(|error| error.offset), fault);
        };
        check(
            &[0x80, 0, 1, b'1', b'2', b'0', b'3', b'a', b'b', b'c'],
            None,
        );
        check(
            &[0x80, 0, 1, b'1', b'x', b'0', b'3', b'a', b'b', b'c'],
            Some(18),
        );
        check(&[0x80, 0, 1, b'1', b'2', b'0', b'6', b'a'], Some(20));
        check(&[0x40, 0, 0, b'1', b'2'], Some(18));
        check(&[0x80, 0], Some(15));
    }

    #[test]
    fn sub_fields_without_a_bitmap_end_where_the_value_ends() {
        let rows = [
            FieldSpec::new(1, "first", Class::N, Length::Fixed(2)),
            FieldSpec::new(2, "second", Class::An, Length::Fixed(3)),
        ];
        let dialect = Dialect::new("parts", Form::POSITIONAL, &rows, &[]).unwrap();
        let dialect: &'static Dialect = std::boxed::Box::leak(std::boxed::Box::new(dialect));
        let check = |value: &[u8], fault: Option<u32>| {
            assert_eq!(Composite::Positional(dialect).check(value).err(), fault);
        };
        check(b"12abc", None);
        check(b"12", None);
        check(b"", None);
        check(b"12ab", Some(2));
        check(b"1xabc", Some(0));
        check(b"12abcd", Some(5));
    }
}
