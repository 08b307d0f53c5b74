//! Our rows as formats of npm's iso_8583.
//!
//! It knows ASCII alone, with the bitmap in binary, or in hexadecimal digits where the format of
//! field 1 is "an". Messages are in frames with a two-byte length. It always writes the secondary
//! bitmap, also an empty one, which we read but never write; and it takes only message types that
//! it knows. Its fixed field of bytes ("b") is shown as hexadecimal digits, and its length counts
//! those. Its other fields are text, which must not be empty. Nothing is asked of its answers to a
//! message: their types are wrong.

use iso8583::Framing;
use iso8583::charset::Charset;
use iso8583::class::Class;
use iso8583::dialect::{BitmapForm, Dialect, Layout, MtiForm, Tertiary};
use iso8583::field::{Encoding, FieldSpec, Length, Prefix};
use serde_json::{Map, Value, json};

use crate::draw::Shape;
use crate::shown::Shown;
use crate::told::{LeftOut, Shared, Told};

/// The dialect, and the rows of it that iso_8583 has words for.
///
/// # Errors
/// Why it has no words for any message of it.
pub fn told(dialect: &'static Dialect) -> Result<Told, &'static str> {
    let (form, mut formats) = (dialect.form(), Map::new());
    if form.mti != MtiForm::Text(Charset::Ascii) {
        return Err("it writes ASCII alone");
    }
    if form.layout != Layout::Chained(Tertiary::None) {
        return Err("it has two bitmaps");
    }
    let bitmap = match form.bitmap {
        BitmapForm::Binary => format("b", "fixed", 8),
        BitmapForm::Hex(Charset::Ascii) => format("an", "fixed", 16),
        BitmapForm::Hex(_) => return Err("it writes ASCII alone"),
    };
    formats.insert("1".to_owned(), bitmap);
    let (mut shared, mut left_out) = (Vec::new(), Vec::new());
    for row in dialect.rows() {
        let number = row.number;
        match described(row) {
            Ok((described, shown)) => {
                formats.insert(number.to_string(), described);
                let shape = shape_of(row, shown);
                shared.push(Shared {
                    number,
                    shape,
                    shown,
                });
            }
            Err(reason) => left_out.push(LeftOut { number, reason }),
        }
    }
    Ok(Told {
        dialect,
        spec: Value::Object(formats),
        shared,
        left_out,
        mtis: &MTIS,
        needs_secondary: true,
        framing: Some(Framing::Be16),
    })
}

/// Types that are in its table.
const MTIS: [&str; 15] = [
    "0100", "0110", "0120", "0200", "0210", "0220", "0230", "0400", "0410", "0420", "0430", "0800",
    "0810", "1200", "2420",
];

/// Values that both sides admit: it takes no sign but C and D, and reads text as UTF-8, so that of
/// private bytes only the printable ones come back.
fn shape_of(row: &FieldSpec, shown: Shown) -> Shape {
    let mut shape = Shape::of(row);
    shape.starts.retain(|sign| sign != "0");
    shape.least = shape.least.max(1);
    if shown == Shown::Text {
        shape.letters.retain(|letter| matches!(letter, ' '..='~'));
    }
    shape
}

fn described(row: &FieldSpec) -> Result<(Value, Shown), &'static str> {
    if row.number == 127 {
        return Err("its field 127 is Postilion's, with fields of its own");
    }
    let (units, is_fixed) = (row.units_max(), matches!(row.length, Length::Fixed(_)));
    let len_type = match row.length {
        Length::Fixed(_) => "fixed".to_owned(),
        Length::Var { digits, .. } if row.prefix == Prefix::ASCII => {
            "l".repeat(usize::from(digits)) + "var"
        }
        Length::Var { .. } => return Err("its lengths are ASCII digits"),
    };
    match row.encoding {
        Encoding::Binary if is_fixed => Ok((format("b", &len_type, units * 2), Shown::LowerHex)),
        Encoding::Hex(Charset::Ascii) if is_fixed => {
            Ok((format("an", &len_type, units * 2), Shown::Hex))
        }
        Encoding::Binary | Encoding::Text(Charset::Ascii) => {
            Ok((format(content(row.class), &len_type, units), Shown::Text))
        }
        Encoding::Hex(Charset::Ascii) => {
            Err("its length of hexadecimal text counts digits, ours bytes")
        }
        Encoding::Hex(_) | Encoding::Text(_) | Encoding::Packed(..) => Err("it writes ASCII alone"),
    }
}

/// Its "ans" and "ns" lack some characters and its "a" the space; its "z" admits all.
const fn content(class: Class) -> &'static str {
    match class {
        Class::N => "n",
        Class::An => "anp",
        Class::Xn => "x+n",
        Class::A | Class::Ns | Class::Ans | Class::Z | Class::B => "z",
    }
}

fn format(content: &str, len_type: &str, len_max: u16) -> Value {
    json!({
        "ContentType": content,
        "Label": "",
        "LenType": len_type,
        "MaxLen": len_max,
    })
}
