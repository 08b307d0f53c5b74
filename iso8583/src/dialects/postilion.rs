//! A profile like that of Postilion's PostBridge: 1987 in ASCII with binary bitmaps, DE56 says why
//! a message was sent, DE59 comes back as it went, DE123 describes the point of service, and DE127
//! holds fields of its own behind a six-digit length and an eight-byte bitmap.
//!
//! Fields of DE127 above 42 are not public: a DE127 with one of them is passed on, but cannot be
//! opened. Structured data (127.22) and chip data (127.25) are kept as text.

use crate::class::Class::{An, Ans, B, N};
use crate::composite::Composite::Bitmapped;
use crate::dialect::{BitmapForm, Dialect, Form};
use crate::dialects::{build, iso87, row, with};
use crate::field::Encoding::Binary;
use crate::field::FieldSpec;
use crate::field::Length::{self, Fixed, Var};
use crate::field::Relay::{Echo, Replay};
use crate::field::Sensitivity::{Pan, Sad};

/// The whole profile.
pub(crate) static LIKE: Dialect = build(
    "postilion-like",
    Form::ASCII,
    &with(iso87::ROWS, &CHANGES),
    iso87::REQUIREMENTS,
);

const CHANGES: [FieldSpec; 9] = [
    row(53, "security related control information", B, Fixed(48))
        .encoded(Binary)
        .seen_as(Sad),
    row(56, "message reason code", N, Length::lll(4)),
    row(57, "authorisation life cycle code", N, Fixed(3)),
    // Spaces may follow the digits.
    row(
        58,
        "authorising agent institution identification code",
        An,
        Length::ll(11),
    )
    .relayed(Replay),
    row(59, "echo data", B, Length::lll(999)).relayed(Echo),
    row(118, "payments, number", N, Length::lll(10)),
    row(119, "payments, reversal number", N, Length::lll(10)),
    row(123, "point of service data code", An, Length::lll(15)),
    row(
        127,
        "Postilion private data",
        B,
        Var {
            digits: 6,
            max: 999_999,
        },
    )
    .holding(Bitmapped(&PRIVATE))
    .seen_as(Sad),
];

/// DE127.
static PRIVATE: Dialect = build(
    "postilion-like DE127",
    Form::nested(BitmapForm::Binary, 8),
    &[
        row(2, "switch key", Ans, Length::ll(32)),
        row(3, "routing information", Ans, Fixed(48)),
        row(4, "point of service data", Ans, Fixed(22)),
        row(5, "service station data", Ans, Fixed(73)),
        row(6, "authorisation profile", An, Fixed(2)),
        row(7, "check data", Ans, Length::ll(70)).seen_as(Sad),
        row(8, "retention data", Ans, Length::lll(999)).seen_as(Sad),
        row(9, "additional node data", Ans, Length::lll(999)).seen_as(Sad),
        row(10, "card verification value 2", N, Fixed(3)).seen_as(Sad),
        row(11, "original key", Ans, Length::ll(32)),
        row(12, "terminal owner", Ans, Length::ll(25)),
        row(13, "point of service geographic data", Ans, Fixed(17)),
        row(14, "sponsor bank", Ans, Fixed(8)),
        row(15, "address verification data", Ans, Length::ll(29)).seen_as(Sad),
        row(16, "address verification result", Ans, Fixed(1)),
        row(17, "cardholder information", Ans, Length::ll(50)).seen_as(Sad),
        row(18, "validation data", Ans, Length::ll(50)).seen_as(Sad),
        row(19, "bank details", Ans, Fixed(31)).seen_as(Sad),
        row(20, "date of settlement at the authoriser", N, Fixed(8)),
        row(21, "record identification", Ans, Length::ll(12)),
        row(
            22,
            "structured data",
            B,
            Var {
                digits: 5,
                max: 99_999,
            },
        )
        .seen_as(Sad),
        row(23, "payee name and address", Ans, Fixed(253)).seen_as(Sad),
        row(24, "payer account", Ans, Length::ll(28)).seen_as(Pan),
        row(
            25,
            "integrated circuit card data",
            B,
            Var {
                digits: 4,
                max: 9999,
            },
        )
        .seen_as(Sad),
        row(26, "original node", Ans, Length::ll(20)),
        row(27, "card verification result", Ans, Fixed(1)),
        row(28, "card identifier", N, Fixed(4)).seen_as(Sad),
        row(29, "3-D Secure data", B, Fixed(40)).seen_as(Sad),
        row(30, "3-D Secure result", Ans, Fixed(1)),
        row(31, "issuer network identification", Ans, Length::ll(11)),
        row(
            32,
            "universal cardholder authentication data",
            B,
            Length::ll(33),
        )
        .seen_as(Sad),
        row(33, "extended transaction type", N, Fixed(4)),
        row(34, "account type qualifiers", N, Fixed(2)),
        row(35, "acquirer network identification", Ans, Length::ll(11)),
        row(36, "customer identification", Ans, Length::ll(25)).seen_as(Sad),
        row(37, "extended response code", An, Fixed(4)),
        row(38, "additional point of service data", An, Length::ll(99)),
        row(39, "original response code", An, Fixed(2)),
        row(40, "transaction reference", Ans, Length::lll(512)),
        row(41, "originating remote address", Ans, Length::ll(99)),
        row(42, "transaction number", N, Length::ll(10)),
    ],
    &[],
);
