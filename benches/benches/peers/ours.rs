//! `iso8583` of this workspace. It checks every character of every field; index and buffer are the
//! caller's and are used again. DE55 is handed over as bytes, as by the peers.

use std::hint::black_box;
use std::sync::OnceLock;

use iso8583::dialect::BitmapForm;
use iso8583::{Dialect, FieldIndex, MessageRef, Mti, Writer, tlv};

use super::message::{self, Bits, Chip, Form, digits};
use super::{Read, Side, Visitor, check};

/// The forms that the peers have, each with a dialect of ours for the very same bytes.
pub const FORMS: [(Form, &str); 4] = [
    (BINARY, "iso87-ascii"),
    (HEX, "iso87-ascii-hex"),
    (MIXED, "hex bitmap, DE55 as bytes"),
    (TEXT, "binary bitmap, DE55 as text, DE48"),
];
pub const BINARY: Form = Form {
    bits: Bits::Binary,
    chip: Chip::Bytes,
};
pub const HEX: Form = Form {
    bits: Bits::Hex,
    chip: Chip::Hex,
};
pub const MIXED: Form = Form {
    bits: Bits::Hex,
    chip: Chip::Bytes,
};
pub const TEXT: Form = Form {
    bits: Bits::Binary,
    chip: Chip::TextAndDe48,
};

/// Parses and builds in each form, then copies the bytes of the first.
pub fn each(visitor: &mut impl Visitor) {
    let elements: Vec<_> = tlv::elements(&message::CHIP_DATA).collect();
    assert!(elements.len() == 19 && elements.iter().all(Result::is_ok));
    for (form, name) in FORMS {
        let (dialect, wire) = (dialect(form), message::wire(form).bytes);
        let text = digits(&message::CHIP_DATA);
        let mut fields = message::fields(form);
        for field in &mut fields {
            if field.0 == 55 && form.chip == Chip::TextAndDe48 {
                field.1 = text.as_bytes();
            }
        }
        let mut out = [0; 1024];
        let len = build(dialect, &fields, &mut out);
        let name = format!("njia {name}");
        check(&name, read(dialect, &wire), &out[..len], form);
        let mut index = FieldIndex::new();
        visitor.visit(Side::Parse, &name, form, || {
            dialect.parse(black_box(&wire), black_box(&mut index))
        });
        visitor.visit(Side::Build, &name, form, || {
            build(dialect, black_box(&fields), black_box(&mut out))
        });
    }
    let (wire, mut copy) = (message::wire(BINARY).bytes, [0; 1024]);
    for side in [Side::Parse, Side::Build] {
        visitor.visit(side, "memcpy of the frame", BINARY, || {
            black_box(&mut copy[..wire.len()]).copy_from_slice(black_box(&wire));
        });
    }
}

/// All fields, binary ones as bytes.
pub fn read(dialect: &'static Dialect, bytes: &[u8]) -> Read {
    let mut index = FieldIndex::new();
    let parsed = dialect.parse(bytes, &mut index);
    parsed.map_err(|error| error.to_string())?;
    let view = MessageRef::new(bytes, &index);
    let mut fields = Vec::new();
    for (number, _) in view.fields() {
        let mut scratch = [0; 1024];
        let value = view.decode(number, &mut scratch).unwrap_or_default();
        fields.push((number, value.to_vec()));
    }
    Ok(fields)
}

fn build(dialect: &'static Dialect, fields: &[(u8, &[u8])], out: &mut [u8]) -> usize {
    let mut writer = Writer::new(dialect, Mti::FINANCIAL_REQUEST, out);
    for (number, value) in fields {
        writer.put(*number, value).expect("the fields suit");
    }
    writer.finish().expect("there is room")
}

/// The dialect of a form. What is not built in is `iso87-ascii` with another bitmap.
pub fn dialect(form: Form) -> &'static Dialect {
    static OTHER: OnceLock<&'static Dialect> = OnceLock::new();
    match (form.bits, form.chip) {
        (Bits::Binary, _) => Dialect::ISO87_ASCII,
        (Bits::Hex, Chip::Hex) => Dialect::ISO87_ASCII_HEX,
        (Bits::Hex, _) => OTHER.get_or_init(|| {
            let base = Dialect::ISO87_ASCII;
            let rows: Vec<_> = base.rows().copied().collect();
            let form = base.form().bitmap(BitmapForm::HEX);
            let dialect = Dialect::new("hex bitmap alone", form, &rows, base.requirements());
            Box::leak(Box::new(dialect.expect("the rows are those of a dialect")))
        }),
    }
}
