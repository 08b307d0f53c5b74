//! Dialects put together here from the table of 1987, for combinations that no built-in one has.

use iso8583::Dialect;
use iso8583::charset::Charset;
use iso8583::class::Class;
use iso8583::dialect::{BitmapForm, Form, Layout, MtiForm, Tertiary};
use iso8583::field::{Coding, Count, Encoding, FieldSpec, Length, Prefix, Relay};
use iso8583::packed::Packed;

/// All of them.
pub fn all() -> [&'static Dialect; 3] {
    let packed = Form::ASCII.mti(MtiForm::Packed);
    let in_cp500 = Form::ASCII
        .mti(MtiForm::Text(Charset::Cp500))
        .bitmap(BitmapForm::Hex(Charset::Cp500))
        .layout(Layout::Chained(Tertiary::AfterSecondary));
    [
        made(
            "made: F behind, lengths of packed digits that count bytes",
            packed,
            counted_in_bytes,
        ),
        made(
            "made: zero in front, binary lengths",
            packed,
            behind_binary_lengths,
        ),
        made(
            "made: cp500, everything hexadecimal, three bitmaps",
            in_cp500,
            in_hex_of_cp500,
        ),
    ]
}

fn made(name: &'static str, form: Form, change: fn(FieldSpec) -> FieldSpec) -> &'static Dialect {
    let mut rows: Vec<FieldSpec> = Dialect::ISO87_ASCII.rows().copied().map(change).collect();
    if form.layout == Layout::Chained(Tertiary::AfterSecondary) {
        let again = |row: &FieldSpec| FieldSpec {
            number: row.number + 127,
            relay: Relay::Never,
            ..*row
        };
        let third: Vec<FieldSpec> = rows.iter().take(63).map(again).collect();
        rows.extend(third);
    }
    Box::leak(Box::new(Dialect::new(name, form, &rows, &[]).unwrap()))
}

fn counted_in_bytes(row: FieldSpec) -> FieldSpec {
    pack(row, Packed::LEFT_F).prefixed(Prefix::new(Coding::Packed, Count::Bytes))
}

fn behind_binary_lengths(mut row: FieldSpec) -> FieldSpec {
    if let Length::Var { digits, max } = row.length {
        let digits = digits - 1;
        row.length = Length::Var { digits, max };
    }
    pack(row, Packed::RIGHT).prefixed(Prefix::new(Coding::Binary, Count::Units))
}

fn pack(row: FieldSpec, packed: Packed) -> FieldSpec {
    match row.class {
        Class::N | Class::Z | Class::Xn => row.encoded(Encoding::Packed(packed, Charset::Ascii)),
        Class::A | Class::An | Class::Ns | Class::Ans | Class::B => row,
    }
}

/// Bytes as digits, with lengths that count those; the bytes that are private are text.
fn in_hex_of_cp500(row: FieldSpec) -> FieldSpec {
    let encoding = match row.encoding {
        Encoding::Binary => Encoding::Hex(Charset::Cp500),
        _ => Encoding::Text(Charset::Cp500),
    };
    row.encoded(encoding)
        .prefixed(Prefix::new(Coding::Ebcdic, Count::Bytes))
}
