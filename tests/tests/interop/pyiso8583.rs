//! Our rows as a specification of pyiso8583.
//!
//! A field of it is fixed (`len_type` 0) or stands behind a length of `len_type` bytes. Its length
//! counts bytes on the wire, or nibbles (`len_count`); an odd number of nibbles is padded on one
//! side, and the pad is no part of the value. A value of bytes (`data_enc` "b") is shown as
//! hexadecimal digits, and so are packed digits. It has no classes: what a value may be is checked
//! on our side alone.

use iso8583::charset::Charset;
use iso8583::class::Class;
use iso8583::dialect::{BitmapForm, Dialect, Layout, MtiForm, Tertiary};
use iso8583::field::{Coding, Count, Encoding, FieldSpec, Length};
use iso8583::packed::{Justify, Packed};
use serde_json::{Map, Value, json};

use crate::draw::Shape;
use crate::shown::Shown;
use crate::told::{LeftOut, Shared, Told};

/// The dialect, and the rows of it that pyiso8583 has words for.
///
/// # Errors
/// Why it has no words for any message of it.
pub fn told(dialect: &'static Dialect) -> Result<Told, &'static str> {
    let (form, mut spec) = (dialect.form(), Map::new());
    let mti = match form.mti {
        MtiForm::Text(charset) => charset.name(),
        MtiForm::Packed => "b",
        MtiForm::None => return Err("it always has a type indicator"),
    };
    let bitmap = match form.bitmap {
        BitmapForm::Binary => "b",
        BitmapForm::Hex(charset) => charset.name(),
    };
    let last = match form.layout {
        // Its third bitmap stands behind the second one.
        Layout::Chained(Tertiary::AfterSecondary) => 192,
        Layout::Chained(Tertiary::None | Tertiary::Field65) => 128,
        Layout::Fixed(_) | Layout::Positional => return Err("its bitmaps are chained"),
    };
    for (key, data_enc) in [("h", "b"), ("t", mti), ("p", bitmap), ("1", bitmap)] {
        spec.insert(key.to_owned(), field(data_enc, 0));
    }
    let (mut shared, mut left_out) = (Vec::new(), Vec::new());
    for row in dialect.rows() {
        let number = row.number;
        let described = if number > last {
            Err("its third bitmap stands behind the second one")
        } else {
            described(row)
        };
        match described {
            Ok((description, shown)) => {
                spec.insert(number.to_string(), description);
                let shape = Shape::of(row);
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
        spec: Value::Object(spec),
        shared,
        left_out,
        mtis: &[],
        needs_secondary: false,
        framing: None,
    })
}

fn field(data_enc: &str, max_len: usize) -> Value {
    json!({
        "data_enc": data_enc,
        "len_enc": "ascii",
        "len_type": 0,
        "max_len": max_len,
        "len_count": "bytes",
        "desc": "",
    })
}

/// A row in its words, and how it shows the values.
fn described(row: &FieldSpec) -> Result<(Value, Shown), &'static str> {
    let units = usize::from(row.units_max());
    let (mut described, shown) = match (row.encoding, row.class) {
        (Encoding::Binary, _) | (Encoding::Text(Charset::Ascii), Class::B) => {
            (field("b", units), Shown::Hex)
        }
        (Encoding::Text(charset), _) => (field(charset.name(), units), Shown::Text),
        (Encoding::Hex(charset), _) => {
            let is_fixed = matches!(row.length, Length::Fixed(_));
            if !is_fixed && row.prefix.count == Count::Units {
                return Err("its length of hexadecimal text counts digits, ours bytes");
            }
            (field(charset.name(), units * 2), Shown::Hex)
        }
        // The sign is a character and the digits are packed: to pyiso8583 all of it is bytes.
        (Encoding::Packed(_, charset), Class::Xn) => match row.length {
            Length::Fixed(len) if len % 2 == 1 => {
                (field("b", row.wire_len(units)), Shown::Signed(charset))
            }
            Length::Fixed(_) | Length::Var { .. } => {
                return Err("it pads no digits behind a sign");
            }
        },
        (Encoding::Packed(packed, _), _) => packed_field(row, packed),
    };
    if let Length::Var { .. } = row.length {
        described["len_type"] = json!(row.prefix_len());
        described["len_enc"] = json!(match row.prefix.coding {
            Coding::Ascii => "ascii",
            // Digits are the same in all pages.
            Coding::Ebcdic => "cp500",
            Coding::Packed => "bcd",
            Coding::Binary => "b",
        });
    }
    Ok((described, shown))
}

/// Where the length counts bytes, the pad is to it a part of the value.
fn packed_field(row: &FieldSpec, packed: Packed) -> (Value, Shown) {
    let units = usize::from(row.units_max());
    if matches!(row.length, Length::Var { .. }) && row.prefix.count == Count::Bytes {
        return (
            field("b", row.wire_len(units)),
            Shown::PaddedNibbles(packed),
        );
    }
    let mut described = field("b", units);
    described["len_count"] = json!("nibbles");
    let side = match packed.justify {
        Justify::Right => "left_pad",
        Justify::Left => "right_pad",
    };
    described[side] = json!(format!("{:X}", packed.pad));
    (described, Shown::Nibbles)
}
