//! The built-in dialects, as tables, and how one table is made from another: what holds for all of
//! its rows is a function over them, and only the rows that differ are written down again.

use crate::bitmap::Bitmap;
use crate::calendar::Calendar;
use crate::charset::Charset;
use crate::class::Class;
use crate::dialect::{Dialect, Form};
use crate::field::{Coding, Count, Encoding, FieldSpec, Length, Prefix};
use crate::packed::Packed;
use crate::requirement::{Condition, MtiPattern, Requirement};

pub(crate) mod iso2003;
pub(crate) mod iso87;
pub(crate) mod iso93;
pub(crate) mod mastercard;
pub(crate) mod postilion;
pub(crate) mod visa;

/// All of them.
pub(crate) static ALL: [&Dialect; 19] = [
    &iso87::ASCII,
    &iso87::ASCII_HEX,
    &iso87::BCD,
    &iso87::BCD_F,
    &iso87::EBCDIC_CP037,
    &iso87::EBCDIC_CP500,
    &iso87::EBCDIC_CP1047,
    &iso93::ASCII,
    &iso93::ASCII_HEX,
    &iso93::BCD,
    &iso93::EBCDIC_CP037,
    &iso93::EBCDIC_CP500,
    &iso93::EBCDIC_CP1047,
    &iso2003::BASE,
    &iso2003::BCD,
    &visa::LIKE,
    &mastercard::LIKE,
    &mastercard::LIKE_ASCII,
    &postilion::LIKE,
];

/// Second names: EBCDIC without a code page is the commonest one.
pub(crate) static ALIASES: [(&str, &Dialect); 2] = [
    ("iso87-ebcdic", &iso87::EBCDIC_CP037),
    ("iso93-ebcdic", &iso93::EBCDIC_CP037),
];

const fn row(number: u8, name: &'static str, class: Class, length: Length) -> FieldSpec {
    FieldSpec::new(number, name, class, length)
}

/// A row that cannot be fails the build, not the start.
const fn build(
    name: &'static str,
    form: Form,
    rows: &[FieldSpec],
    requirements: &'static [Requirement],
) -> Dialect {
    match Dialect::new(name, form, rows, requirements) {
        Ok(dialect) => dialect,
        Err(_) => unreachable!(),
    }
}

/// A pattern that cannot be fails the build, not the start.
const fn needs(mti: [u8; 4], mandatory: Bitmap, one_of: &'static [Bitmap]) -> Requirement {
    let Some(mti) = MtiPattern::new(mti) else {
        unreachable!()
    };
    Requirement {
        mti,
        mandatory,
        one_of,
        conditions: &[],
    }
}

/// The same of a message that may say its amount in further currencies.
const fn with_currencies(requirement: Requirement) -> Requirement {
    Requirement {
        conditions: CURRENCIES,
        ..requirement
    }
}

/// The standard has the amount of settlement and that billed to the cardholder only beside the
/// currency that each is in.
const CURRENCIES: &[Condition] = &[
    Condition {
        when: 5,
        then: Bitmap::EMPTY.with(50),
    },
    Condition {
        when: 6,
        then: Bitmap::EMPTY.with(51),
    },
];

/// The rows with some of them replaced. A row that replaces none fails the build.
const fn with<const N: usize>(mut rows: [FieldSpec; N], changes: &[FieldSpec]) -> [FieldSpec; N] {
    let mut changes = changes;
    while let [change, later @ ..] = changes {
        let mut rest: &mut [FieldSpec] = &mut rows;
        let mut found = false;
        while let [row, tail @ ..] = rest {
            if row.number == change.number {
                *row = *change;
                found = true;
            }
            rest = tail;
        }
        assert!(found, "a row that replaces none");
        changes = later;
    }
    rows
}

/// Dates as digits: whatever they say passes.
const fn undated<const N: usize>(mut rows: [FieldSpec; N]) -> [FieldSpec; N] {
    let mut rest: &mut [FieldSpec] = &mut rows;
    while let [row, tail @ ..] = rest {
        row.calendar = Calendar::None;
        rest = tail;
    }
    rows
}

/// Bytes as hexadecimal digits.
const fn in_hex<const N: usize>(mut rows: [FieldSpec; N]) -> [FieldSpec; N] {
    let mut rest: &mut [FieldSpec] = &mut rows;
    while let [row, tail @ ..] = rest {
        if matches!(row.encoding, Encoding::Binary) {
            row.encoding = Encoding::HEX;
        }
        rest = tail;
    }
    rows
}

/// Digits and tracks packed, lengths in packed digits that count characters; of an odd number of
/// digits a fixed length has the zero in front and a variable one behind (semantics.md §12). Other
/// text and the sign of x+n stay ASCII.
const fn packed<const N: usize>(mut rows: [FieldSpec; N]) -> [FieldSpec; N] {
    let mut rest: &mut [FieldSpec] = &mut rows;
    while let [row, tail @ ..] = rest {
        let packed = match row.length {
            Length::Fixed(_) => Packed::RIGHT,
            Length::Var { .. } => Packed::LEFT,
        };
        if matches!(row.class, Class::N | Class::Z | Class::Xn) {
            row.encoding = Encoding::Packed(packed, Charset::Ascii);
        }
        row.prefix = Prefix::new(Coding::Packed, Count::Units);
        rest = tail;
    }
    rows
}

/// F instead of zero behind an odd number of left-justified digits.
const fn padded_with_f<const N: usize>(mut rows: [FieldSpec; N]) -> [FieldSpec; N] {
    let mut rest: &mut [FieldSpec] = &mut rows;
    while let [row, tail @ ..] = rest {
        if let (Encoding::Packed(_, charset), Length::Var { .. }) = (row.encoding, row.length) {
            row.encoding = Encoding::Packed(Packed::LEFT_F, charset);
        }
        rest = tail;
    }
    rows
}

/// Text in a code page, lengths in EBCDIC digits. What is bytes stays bytes, also where it is
/// private: nobody knows that it is text.
const fn ebcdic<const N: usize>(mut rows: [FieldSpec; N], page: Charset) -> [FieldSpec; N] {
    let mut rest: &mut [FieldSpec] = &mut rows;
    while let [row, tail @ ..] = rest {
        if matches!(row.encoding, Encoding::ASCII) && !matches!(row.class, Class::B) {
            row.encoding = Encoding::Text(page);
        }
        row.prefix = Prefix::new(Coding::Ebcdic, Count::Units);
        rest = tail;
    }
    rows
}

#[cfg(test)]
mod tests;
