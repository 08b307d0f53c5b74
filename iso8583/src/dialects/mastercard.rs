//! A profile like that of a Mastercard authorisation link: 1987 with all text in one character set,
//! binary bitmap, DE48 of a transaction category byte and sub-elements, DE61 in fixed places.
//!
//! No date is checked: public messages of such links have a DE7 of zeros.
//!
//! DE48 has its sub-elements in the character set of the link: id of two digits, length of two.
//! Those of DE56, 104, 105, 108 and 112 are opaque private bytes.

use crate::charset::Charset;
use crate::class::Class::{An, Ans, B, N};
use crate::composite::Composite::{Positional, Tagged};
use crate::dialect::{Dialect, Form, MtiForm};
use crate::dialects::{build, ebcdic, iso87, row, undated, with};
use crate::field::Encoding::Binary;
use crate::field::FieldSpec;
use crate::field::Length::{self, Fixed};
use crate::field::Relay::Replay;
use crate::field::Sensitivity::Sad;
use crate::tagged::{self, Form as Coded, LenCounts};

/// Text in international EBCDIC, as on the network itself.
pub(crate) static LIKE: Dialect = build(
    "mastercard-like",
    Form::ASCII.mti(MtiForm::Text(Charset::Cp500)),
    &ebcdic(
        with(
            ROWS,
            &[
                additional_data(Coded::Ebcdic),
                place_of_sale(&PLACE_OF_SALE),
            ],
        ),
        Charset::Cp500,
    ),
    iso87::REQUIREMENTS,
);

/// Text in ASCII, as processors in front of it have it.
pub(crate) static LIKE_ASCII: Dialect = build(
    "mastercard-like-ascii",
    Form::ASCII,
    &ROWS,
    iso87::REQUIREMENTS,
);

const ROWS: [FieldSpec; 126] = with(undated(iso87::ROWS), &CHANGES);

const CHANGES: [FieldSpec; 16] = [
    additional_data(Coded::Ascii),
    row(54, "additional amounts", Ans, Length::lll(240)).relayed(Replay),
    private(56, "payment account data", 999),
    private(60, "advice reason code", 999),
    place_of_sale(&PLACE_OF_SALE_ASCII),
    private(62, "intermediate network facility data", 999),
    private(63, "network data", 999),
    row(94, "service indicator", Ans, Fixed(7)),
    row(96, "message security code", An, Fixed(8)).seen_as(Sad),
    private(104, "digital payment data", 999),
    private(105, "multi-use transaction identification data", 999),
    private(108, "additional transaction reference data", 999),
    private(112, "additional data, national", 999),
    row(
        121,
        "authorising agent identification code",
        N,
        Length::lll(11),
    ),
    row(123, "receipt free text", Ans, Length::lll(999)),
    row(125, "new PIN data", B, Fixed(8))
        .encoded(Binary)
        .seen_as(Sad),
];

const fn private(number: u8, name: &'static str, len_max: u32) -> FieldSpec {
    row(number, name, B, Length::lll(len_max)).seen_as(Sad)
}

/// The category of the transaction, then sub-elements.
const fn additional_data(coded: Coded) -> FieldSpec {
    let layout = tagged::Layout {
        lead: 1,
        id_len: 2,
        id_form: coded,
        len_len: 2,
        len_form: coded,
        len_counts: LenCounts::Value,
    };
    private(48, "additional data, private", 999).holding(Tagged(layout))
}

/// All 26 characters; where the postal code is cut short, the field is passed on but not opened.
const fn place_of_sale(sub_fields: &'static Dialect) -> FieldSpec {
    private(61, "point of service data", 999).holding(Positional(sub_fields))
}

static PLACE_OF_SALE_ASCII: Dialect = build(
    "mastercard-like DE61, ASCII",
    Form::POSITIONAL,
    &PLACE_OF_SALE_ROWS,
    &[],
);

static PLACE_OF_SALE: Dialect = build(
    "mastercard-like DE61",
    Form::POSITIONAL,
    &ebcdic(PLACE_OF_SALE_ROWS, Charset::Cp500),
    &[],
);

const PLACE_OF_SALE_ROWS: [FieldSpec; 14] = [
    row(1, "terminal attendance", N, Fixed(1)),
    row(2, "reserved", An, Fixed(1)),
    row(3, "terminal location", N, Fixed(1)),
    row(4, "cardholder presence", N, Fixed(1)),
    row(5, "card presence", N, Fixed(1)),
    row(6, "card capture capability", N, Fixed(1)),
    row(7, "transaction status", N, Fixed(1)),
    row(8, "transaction security", N, Fixed(1)),
    row(9, "reserved", An, Fixed(1)),
    row(10, "cardholder activated terminal level", N, Fixed(1)),
    row(11, "card data input capability", N, Fixed(1)),
    row(12, "authorisation life cycle", N, Fixed(2)),
    row(13, "country code", N, Fixed(3)),
    row(14, "postal code", Ans, Fixed(10)),
];
