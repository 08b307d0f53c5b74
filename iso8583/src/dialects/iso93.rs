//! ISO 8583:1993, by the standard's table of data elements. What differs from 1987 in what njia
//! looks at: DE12 has the date too, DE22 is twelve characters, DE24 says what the message does and
//! DE25 why, DE30 has the original amounts, DE39 three digits, DE56 names the original message.
//!
//! As in 1987 the row follows practice: 48, 59 to 63 and 116 to 127 are private bytes. Fee amounts
//! (46, 66, 109, 110) are kept as one text.

use crate::bitmap::Bitmap;
use crate::calendar::Calendar;
use crate::charset::Charset;
use crate::class::Class::{An, Ans, B, N, Xn, Z};
use crate::composite::Composite::Tlv;
use crate::dialect::{BitmapForm, Dialect, Form, MtiForm};
use crate::dialects::{build, ebcdic, in_hex, needs, packed, row, with_currencies};
use crate::field::Encoding::Binary;
use crate::field::FieldSpec;
use crate::field::Length::{self, Fixed};
use crate::field::Relay::{Echo, Replay};
use crate::field::Sensitivity::{Pan, Sad};
use crate::requirement::Requirement;

/// Bitmap and binary fields as bytes.
pub(crate) static ASCII: Dialect = iso93("iso93-ascii", Form::ASCII, &ROWS);

/// Bitmap and binary fields as hexadecimal digits.
pub(crate) static ASCII_HEX: Dialect = iso93(
    "iso93-ascii-hex",
    Form::ASCII.bitmap(BitmapForm::HEX),
    &in_hex(ROWS),
);

/// Packed digits; a zero behind an odd number of left-justified ones.
pub(crate) static BCD: Dialect =
    iso93("iso93-bcd", Form::ASCII.mti(MtiForm::Packed), &packed(ROWS));

/// EBCDIC of the United States and Canada.
pub(crate) static EBCDIC_CP037: Dialect = in_ebcdic("iso93-ebcdic-cp037", Charset::Cp037);

/// International EBCDIC.
pub(crate) static EBCDIC_CP500: Dialect = in_ebcdic("iso93-ebcdic-cp500", Charset::Cp500);

/// EBCDIC of open systems.
pub(crate) static EBCDIC_CP1047: Dialect = in_ebcdic("iso93-ebcdic-cp1047", Charset::Cp1047);

const fn in_ebcdic(name: &'static str, page: Charset) -> Dialect {
    iso93(
        name,
        Form::ASCII.mti(MtiForm::Text(page)),
        &ebcdic(ROWS, page),
    )
}

const fn iso93(name: &'static str, form: Form, rows: &[FieldSpec]) -> Dialect {
    build(name, form, rows, REQUIREMENTS)
}

const ROWS: [FieldSpec; 126] = [
    row(2, "primary account number", N, Length::ll(19))
        .seen_as(Pan)
        .relayed(Echo),
    row(3, "processing code", N, Fixed(6)).relayed(Echo),
    row(4, "amount, transaction", N, Fixed(12)).relayed(Echo),
    row(5, "amount, reconciliation", N, Fixed(12)).relayed(Replay),
    row(6, "amount, cardholder billing", N, Fixed(12)).relayed(Replay),
    row(7, "date and time, transmission", N, Fixed(10))
        .dated(Calendar::MonthDayTime)
        .relayed(Echo),
    row(8, "amount, cardholder billing fee", N, Fixed(8)),
    row(9, "conversion rate, reconciliation", N, Fixed(8)).relayed(Replay),
    row(10, "conversion rate, cardholder billing", N, Fixed(8)).relayed(Replay),
    row(11, "systems trace audit number", N, Fixed(6)).relayed(Echo),
    row(12, "date and time, local transaction", N, Fixed(12))
        .dated(Calendar::YearMonthDayTime)
        .relayed(Echo),
    row(13, "date, effective", N, Fixed(4)),
    row(14, "date, expiration", N, Fixed(4)),
    row(15, "date, settlement", N, Fixed(6)).relayed(Replay),
    row(16, "date, conversion", N, Fixed(4)).relayed(Replay),
    row(17, "date, capture", N, Fixed(4)),
    row(18, "merchant type", N, Fixed(4)),
    row(19, "country code, acquiring institution", N, Fixed(3)),
    row(20, "country code, primary account number", N, Fixed(3)),
    row(21, "country code, forwarding institution", N, Fixed(3)),
    row(22, "point of service data code", An, Fixed(12)),
    row(23, "card sequence number", N, Fixed(3)),
    row(24, "function code", N, Fixed(3)),
    row(25, "message reason code", N, Fixed(4)),
    row(26, "card acceptor business code", N, Fixed(4)),
    row(27, "approval code length", N, Fixed(1)),
    row(28, "date, reconciliation", N, Fixed(6)).relayed(Replay),
    row(29, "reconciliation indicator", N, Fixed(3)).relayed(Replay),
    row(30, "amounts, original", N, Fixed(24)).relayed(Replay),
    row(31, "acquirer reference data", Ans, Length::ll(99)),
    row(
        32,
        "acquiring institution identification code",
        N,
        Length::ll(11),
    )
    .relayed(Echo),
    row(
        33,
        "forwarding institution identification code",
        N,
        Length::ll(11),
    ),
    row(34, "primary account number, extended", Ans, Length::ll(28)).seen_as(Pan),
    row(35, "track 2 data", Z, Length::ll(37)).seen_as(Sad),
    row(36, "track 3 data", Ans, Length::lll(104)).seen_as(Sad),
    row(37, "retrieval reference number", An, Fixed(12)).relayed(Echo),
    row(38, "approval code", An, Fixed(6)),
    row(39, "action code", N, Fixed(3)),
    row(40, "service code", N, Fixed(3)),
    row(41, "card acceptor terminal identification", Ans, Fixed(8)).relayed(Echo),
    row(42, "card acceptor identification code", Ans, Fixed(15)).relayed(Echo),
    row(43, "card acceptor name and location", Ans, Length::ll(99)),
    row(44, "additional response data", Ans, Length::ll(99)).relayed(Replay),
    row(45, "track 1 data", Ans, Length::ll(76)).seen_as(Sad),
    row(46, "amounts, fees", Ans, Length::lll(204)),
    row(47, "additional data, national", Ans, Length::lll(999)),
    row(48, "additional data, private", B, Length::lll(999)).seen_as(Sad),
    row(49, "currency code, transaction", An, Fixed(3)).relayed(Echo),
    row(50, "currency code, reconciliation", An, Fixed(3)).relayed(Replay),
    row(51, "currency code, cardholder billing", An, Fixed(3)).relayed(Replay),
    row(52, "personal identification number data", B, Fixed(8))
        .encoded(Binary)
        .seen_as(Sad),
    row(
        53,
        "security related control information",
        B,
        Length::ll(48),
    )
    .encoded(Binary)
    .seen_as(Sad),
    row(54, "amounts, additional", Ans, Length::lll(120)).relayed(Replay),
    row(55, "integrated circuit card data", B, Length::lll(255))
        .encoded(Binary)
        .holding(Tlv)
        .seen_as(Sad)
        .relayed(Replay),
    row(56, "original data elements", N, Length::ll(35)),
    row(57, "authorisation life cycle code", N, Fixed(3)),
    row(
        58,
        "authorising agent institution identification code",
        N,
        Length::ll(11),
    )
    .relayed(Replay),
    row(59, "transport data", B, Length::lll(999)).relayed(Echo),
    row(60, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(61, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(62, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(63, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(64, "message authentication code", B, Fixed(8)).encoded(Binary),
    row(66, "amounts, original fees", Ans, Length::lll(204)),
    row(67, "extended payment data", N, Fixed(2)),
    row(68, "country code, receiving institution", N, Fixed(3)),
    row(69, "country code, settlement institution", N, Fixed(3)),
    row(
        70,
        "country code, authorising agent institution",
        N,
        Fixed(3),
    ),
    row(71, "message number", N, Fixed(8)),
    row(72, "data record", B, Length::lll(999)).seen_as(Sad),
    row(73, "date, action", N, Fixed(6)),
    row(74, "credits, number", N, Fixed(10)),
    row(75, "credits, reversal number", N, Fixed(10)),
    row(76, "debits, number", N, Fixed(10)),
    row(77, "debits, reversal number", N, Fixed(10)),
    row(78, "transfer, number", N, Fixed(10)),
    row(79, "transfer, reversal number", N, Fixed(10)),
    row(80, "inquiries, number", N, Fixed(10)),
    row(81, "authorisations, number", N, Fixed(10)),
    row(82, "inquiries, reversal number", N, Fixed(10)),
    row(83, "payments, number", N, Fixed(10)),
    row(84, "payments, reversal number", N, Fixed(10)),
    row(85, "fee collections, number", N, Fixed(10)),
    row(86, "credits, amount", N, Fixed(16)),
    row(87, "credits, reversal amount", N, Fixed(16)),
    row(88, "debits, amount", N, Fixed(16)),
    row(89, "debits, reversal amount", N, Fixed(16)),
    row(90, "authorisations, reversal number", N, Fixed(10)),
    row(
        91,
        "country code, transaction destination institution",
        N,
        Fixed(3),
    ),
    row(
        92,
        "country code, transaction originator institution",
        N,
        Fixed(3),
    ),
    row(
        93,
        "transaction destination institution identification code",
        N,
        Length::ll(11),
    ),
    row(
        94,
        "transaction originator institution identification code",
        N,
        Length::ll(11),
    ),
    row(95, "card issuer reference data", Ans, Length::ll(99)).relayed(Replay),
    row(96, "key management data", B, Length::lll(999))
        .encoded(Binary)
        .seen_as(Sad),
    row(97, "amount, net reconciliation", Xn, Fixed(17)),
    row(98, "payee", Ans, Fixed(25)),
    row(
        99,
        "settlement institution identification code",
        An,
        Length::ll(11),
    ),
    row(
        100,
        "receiving institution identification code",
        N,
        Length::ll(11),
    ),
    row(101, "file name", Ans, Length::ll(17)),
    row(102, "account identification 1", Ans, Length::ll(28)).seen_as(Pan),
    row(103, "account identification 2", Ans, Length::ll(28)).seen_as(Pan),
    row(104, "transaction description", Ans, Length::lll(100)),
    row(105, "credits, chargeback amount", N, Fixed(16)),
    row(106, "debits, chargeback amount", N, Fixed(16)),
    row(107, "credits, chargeback number", N, Fixed(10)),
    row(108, "debits, chargeback number", N, Fixed(10)),
    row(109, "credits, fee amounts", Ans, Length::ll(84)),
    row(110, "debits, fee amounts", Ans, Length::ll(84)),
    row(111, "reserved, ISO", Ans, Length::lll(999)),
    row(112, "reserved, ISO", Ans, Length::lll(999)),
    row(113, "reserved, ISO", Ans, Length::lll(999)),
    row(114, "reserved, ISO", Ans, Length::lll(999)),
    row(115, "reserved, ISO", Ans, Length::lll(999)),
    row(116, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(117, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(118, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(119, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(120, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(121, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(122, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(123, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(124, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(125, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(126, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(127, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(128, "message authentication code", B, Fixed(8)).encoded(Binary),
];

/// What a message needs to be processed at all. Of a network message nothing is asked here: which
/// fields it has is a matter of the endpoint.
const REQUIREMENTS: &[Requirement] = &[
    with_currencies(needs(*b"110x", PURCHASE, ACCOUNT)),
    with_currencies(needs(*b"112x", PURCHASE, ACCOUNT)),
    with_currencies(needs(*b"120x", PURCHASE, ACCOUNT)),
    with_currencies(needs(*b"122x", PURCHASE, ACCOUNT)),
    with_currencies(needs(*b"140x", AMOUNT, &[])),
    with_currencies(needs(*b"142x", AMOUNT, &[])),
    needs(*b"111x", ANSWER, &[]),
    needs(*b"113x", ANSWER, &[]),
    needs(*b"121x", ANSWER, &[]),
    needs(*b"123x", ANSWER, &[]),
    needs(*b"141x", ANSWER, &[]),
    needs(*b"143x", ANSWER, &[]),
];

/// An amount, its currency, what the message does, and what names it: DE12 is always there, DE7
/// not.
const AMOUNT: Bitmap = Bitmap::EMPTY
    .with(4)
    .with(11)
    .with(12)
    .with(24)
    .with(41)
    .with(49);
const PURCHASE: Bitmap = AMOUNT.with(3);
/// Its number, or its track.
const ACCOUNT: &[Bitmap] = &[Bitmap::EMPTY.with(2).with(35)];
const ANSWER: Bitmap = Bitmap::EMPTY.with(11).with(39);
