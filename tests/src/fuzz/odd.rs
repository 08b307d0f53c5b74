//! Two dialects that nobody sends, with everything that the rows can say and the built-in dialects
//! do not: a third bitmap as DE65 or one of sixteen bytes, strict padding, rare prefixes and
//! encodings, fields within fields.

use std::sync::LazyLock;

use iso8583::Dialect;
use iso8583::calendar::Calendar;
use iso8583::charset::Charset::{Ascii, Cp037, Cp500, Cp1047};
use iso8583::class::Class::{A, An, Ans, B, N, Ns, Xn, Z};
use iso8583::composite::Composite;
use iso8583::dialect::{BitmapForm, Form, Layout, MtiForm, Tertiary};
use iso8583::field::Encoding::{Binary, Hex, Packed as InDigits, Text};
use iso8583::field::Length::{self, Fixed, Var};
use iso8583::field::{Coding, Count, Encoding, FieldSpec, Prefix};
use iso8583::packed::Packed;

/// Both of them.
pub static ALL: LazyLock<[&'static Dialect; 2]> = LazyLock::new(|| {
    let numbers = || (2..=192).filter(|number| *number != 65);
    let rows = || numbers().map(row).collect::<Vec<_>>();
    let third_as_65 = Form::ASCII
        .mti(MtiForm::Text(Cp037))
        .bitmap(BitmapForm::Hex(Cp037))
        .layout(Layout::Chained(Tertiary::Field65));
    let sixteen_bytes = Form {
        strict_padding: true,
        ..Form::ASCII
            .mti(MtiForm::Packed)
            .bitmap(BitmapForm::HEX)
            .layout(Layout::Fixed(16))
    };
    let below_129 = rows().into_iter().filter(|row| row.number <= 128);
    [
        leaked("odd-third-as-65", third_as_65, &rows()),
        leaked("odd-sixteen", sixteen_bytes, &below_129.collect::<Vec<_>>()),
    ]
});

fn leaked(name: &'static str, form: Form, rows: &[FieldSpec]) -> &'static Dialect {
    let dialect = Dialect::new(name, form, rows, &[]).expect("the rows can be");
    Box::leak(Box::new(dialect))
}

/// Neighbours have nothing in common, but for a row of digits now and then.
fn row(number: u8) -> FieldSpec {
    let bytes = |coding| Prefix::new(coding, Count::Bytes);
    let units = |coding| Prefix::new(coding, Count::Units);
    let with = |class, length, encoding: Encoding| {
        FieldSpec::new(number, "odd", class, length).encoded(encoding)
    };
    match number % 24 {
        0 => with(N, Fixed(7), InDigits(Packed::RIGHT, Ascii)),
        1 => {
            with(N, Length::ll(19), InDigits(Packed::LEFT_F, Ascii)).prefixed(bytes(Coding::Packed))
        }
        2 => with(N, var(1, 255), InDigits(Packed::LEFT, Ascii)).prefixed(units(Coding::Binary)),
        3 => {
            with(Z, Length::ll(37), InDigits(Packed::LEFT_F, Cp037)).prefixed(units(Coding::Ebcdic))
        }
        4 => with(Xn, Fixed(9), InDigits(Packed::RIGHT, Cp1047)),
        5 => with(Ans, Length::lll(120), Text(Cp500)).prefixed(units(Coding::Ebcdic)),
        6 => with(B, Fixed(8), Hex(Cp037)),
        7 => with(B, var(2, 300), Binary).prefixed(units(Coding::Binary)),
        8 => with(B, Length::ll(49), Hex(Ascii)).prefixed(bytes(Coding::Ascii)),
        9 => with(A, Fixed(5), Text(Ascii)),
        10 => with(An, var(1, 9), Text(Ascii)),
        11 => with(Ns, var(4, 50), Text(Ascii)),
        12 => with(N, Fixed(6), InDigits(Packed::RIGHT, Ascii)).dated(Calendar::Time),
        13 => with(N, Fixed(12), Text(Cp037)).dated(Calendar::YearMonthDayTime),
        14 => with(Z, Length::ll(37), Text(Ascii)),
        15 => with(Xn, Fixed(9), Text(Ascii)),
        16 => with(B, Length::lll(60), Text(Cp1047)),
        17 => {
            with(N, Length::lll(40), InDigits(Packed::RIGHT, Ascii)).prefixed(bytes(Coding::Ebcdic))
        }
        18 => with(B, Length::lll(99), Binary).holding(Composite::Bitmapped(*HELD)),
        19 => with(Ans, Length::ll(40), Text(Cp037)).holding(Composite::Positional(*PLACED)),
        20 => with(N, Fixed(4), Text(Ascii)).dated(Calendar::YearMonth),
        21 => with(Xn, Length::ll(12), Text(Cp500)).prefixed(units(Coding::Packed)),
        22 => with(B, Length::ll(80), Binary).holding(Composite::Datasets),
        _ => with(N, Fixed(3), Text(Ascii)),
    }
}

const fn var(digits: u8, max: u32) -> Length {
    Var { digits, max }
}

/// Behind a bitmap of three bytes in hexadecimal digits; field 1 is one like any other.
static HELD: LazyLock<&'static Dialect> = LazyLock::new(|| {
    let rows = [
        FieldSpec::new(1, "first", N, Fixed(3)),
        FieldSpec::new(2, "packed", N, Length::ll(9)).encoded(InDigits(Packed::LEFT, Ascii)),
        FieldSpec::new(24, "last", Ans, Length::ll(20)),
    ];
    leaked("odd-held", Form::nested(BitmapForm::HEX, 3), &rows)
});

static PLACED: LazyLock<&'static Dialect> = LazyLock::new(|| {
    let rows = [
        FieldSpec::new(1, "first", An, Fixed(2)),
        FieldSpec::new(2, "second", N, Length::ll(5)),
        FieldSpec::new(3, "third", Ans, Fixed(4)),
    ];
    leaked("odd-placed", Form::POSITIONAL, &rows)
});
