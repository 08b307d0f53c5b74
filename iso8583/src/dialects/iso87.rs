//! ISO 8583:1987, by the standard's table of data elements. Where practice knows better than the
//! table, the row follows practice: 55 is binary, 48, 59 to 63 and 112 to 127 are private bytes.
//!
//! The table is that of ASCII; the other dialects are the same rows packed, or in EBCDIC. Their
//! bitmaps are bytes.

use crate::bitmap::Bitmap;
use crate::calendar::Calendar;
use crate::charset::Charset;
use crate::class::Class::{An, Ans, B, N, Xn, Z};
use crate::composite::Composite::Tlv;
use crate::dialect::{BitmapForm, Dialect, Form, MtiForm};
use crate::dialects::{build, ebcdic, in_hex, needs, packed, padded_with_f, row, with_currencies};
use crate::field::Encoding::Binary;
use crate::field::FieldSpec;
use crate::field::Length::{self, Fixed};
use crate::field::Relay::{Echo, Replay};
use crate::field::Sensitivity::{Pan, Sad};
use crate::requirement::Requirement;

/// Bitmap and binary fields as bytes.
pub(crate) static ASCII: Dialect = iso87("iso87-ascii", Form::ASCII, &ROWS);

/// Bitmap and binary fields as hexadecimal digits.
pub(crate) static ASCII_HEX: Dialect = iso87(
    "iso87-ascii-hex",
    Form::ASCII.bitmap(BitmapForm::HEX),
    &in_hex(ROWS),
);

/// Packed digits; a zero behind an odd number of left-justified ones.
pub(crate) static BCD: Dialect =
    iso87("iso87-bcd", Form::ASCII.mti(MtiForm::Packed), &packed(ROWS));

/// Packed digits; F behind an odd number of left-justified ones.
pub(crate) static BCD_F: Dialect = iso87(
    "iso87-bcd-f",
    Form::ASCII.mti(MtiForm::Packed),
    &padded_with_f(packed(ROWS)),
);

/// EBCDIC of the United States and Canada.
pub(crate) static EBCDIC_CP037: Dialect = in_ebcdic("iso87-ebcdic-cp037", Charset::Cp037);

/// International EBCDIC.
pub(crate) static EBCDIC_CP500: Dialect = in_ebcdic("iso87-ebcdic-cp500", Charset::Cp500);

/// EBCDIC of open systems.
pub(crate) static EBCDIC_CP1047: Dialect = in_ebcdic("iso87-ebcdic-cp1047", Charset::Cp1047);

const fn in_ebcdic(name: &'static str, page: Charset) -> Dialect {
    iso87(
        name,
        Form::ASCII.mti(MtiForm::Text(page)),
        &ebcdic(ROWS, page),
    )
}

const fn iso87(name: &'static str, form: Form, rows: &[FieldSpec]) -> Dialect {
    build(name, form, rows, REQUIREMENTS)
}

pub(super) const ROWS: [FieldSpec; 126] = [
    row(2, "primary account number", N, Length::ll(19))
        .seen_as(Pan)
        .relayed(Echo),
    row(3, "processing code", N, Fixed(6)).relayed(Echo),
    row(4, "amount, transaction", N, Fixed(12)).relayed(Echo),
    row(5, "amount, settlement", N, Fixed(12)).relayed(Replay),
    row(6, "amount, cardholder billing", N, Fixed(12)).relayed(Replay),
    row(7, "transmission date and time", N, Fixed(10))
        .dated(Calendar::MonthDayTime)
        .relayed(Echo),
    row(8, "amount, cardholder billing fee", N, Fixed(8)),
    row(9, "conversion rate, settlement", N, Fixed(8)).relayed(Replay),
    row(10, "conversion rate, cardholder billing", N, Fixed(8)).relayed(Replay),
    row(11, "system trace audit number", N, Fixed(6)).relayed(Echo),
    row(12, "time, local transaction", N, Fixed(6))
        .dated(Calendar::Time)
        .relayed(Echo),
    row(13, "date, local transaction", N, Fixed(4))
        .dated(Calendar::MonthDay)
        .relayed(Echo),
    row(14, "date, expiration", N, Fixed(4)),
    row(15, "date, settlement", N, Fixed(4)).relayed(Replay),
    row(16, "date, conversion", N, Fixed(4)).relayed(Replay),
    row(17, "date, capture", N, Fixed(4)),
    row(18, "merchant type", N, Fixed(4)),
    row(19, "acquiring institution country code", N, Fixed(3)),
    row(20, "primary account number country code", N, Fixed(3)),
    row(21, "forwarding institution country code", N, Fixed(3)),
    row(22, "point of service entry mode", N, Fixed(3)),
    row(23, "card sequence number", N, Fixed(3)),
    row(24, "network international identifier", N, Fixed(3)),
    row(25, "point of service condition code", N, Fixed(2)),
    row(26, "point of service PIN capture code", N, Fixed(2)),
    row(
        27,
        "authorisation identification response length",
        N,
        Fixed(1),
    ),
    row(28, "amount, transaction fee", Xn, Fixed(9)),
    row(29, "amount, settlement fee", Xn, Fixed(9)),
    row(30, "amount, transaction processing fee", Xn, Fixed(9)),
    row(31, "amount, settlement processing fee", Xn, Fixed(9)),
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
    row(38, "authorisation identification response", An, Fixed(6)),
    row(39, "response code", An, Fixed(2)),
    row(40, "service restriction code", An, Fixed(3)),
    row(41, "card acceptor terminal identification", Ans, Fixed(8)).relayed(Echo),
    row(42, "card acceptor identification code", Ans, Fixed(15)).relayed(Echo),
    row(43, "card acceptor name and location", Ans, Fixed(40)),
    row(44, "additional response data", Ans, Length::ll(25)).relayed(Replay),
    row(45, "track 1 data", Ans, Length::ll(76)).seen_as(Sad),
    row(46, "additional data, ISO", Ans, Length::lll(999)),
    row(47, "additional data, national", Ans, Length::lll(999)),
    row(48, "additional data, private", B, Length::lll(999)).seen_as(Sad),
    row(49, "currency code, transaction", An, Fixed(3)).relayed(Echo),
    row(50, "currency code, settlement", An, Fixed(3)).relayed(Replay),
    row(51, "currency code, cardholder billing", An, Fixed(3)).relayed(Replay),
    row(52, "personal identification number data", B, Fixed(8))
        .encoded(Binary)
        .seen_as(Sad),
    row(53, "security related control information", N, Fixed(16)),
    row(54, "additional amounts", Ans, Length::lll(120)).relayed(Replay),
    row(55, "integrated circuit card data", B, Length::lll(255))
        .encoded(Binary)
        .holding(Tlv)
        .seen_as(Sad)
        .relayed(Replay),
    row(56, "reserved, ISO", Ans, Length::lll(999)),
    row(57, "reserved, national", Ans, Length::lll(999)),
    row(58, "reserved, national", Ans, Length::lll(999)),
    row(59, "echo data", B, Length::lll(999)).relayed(Echo),
    row(60, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(61, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(62, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(63, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(64, "message authentication code", B, Fixed(8)).encoded(Binary),
    row(66, "settlement code", N, Fixed(1)),
    row(67, "extended payment code", N, Fixed(2)),
    row(68, "receiving institution country code", N, Fixed(3)),
    row(69, "settlement institution country code", N, Fixed(3)),
    row(70, "network management information code", N, Fixed(3)),
    row(71, "message number", N, Fixed(4)),
    row(72, "message number, last", N, Fixed(4)),
    row(73, "date, action", N, Fixed(6)),
    row(74, "credits, number", N, Fixed(10)),
    row(75, "credits, reversal number", N, Fixed(10)),
    row(76, "debits, number", N, Fixed(10)),
    row(77, "debits, reversal number", N, Fixed(10)),
    row(78, "transfer, number", N, Fixed(10)),
    row(79, "transfer, reversal number", N, Fixed(10)),
    row(80, "inquiries, number", N, Fixed(10)),
    row(81, "authorisations, number", N, Fixed(10)),
    row(82, "credits, processing fee amount", N, Fixed(12)),
    row(83, "credits, transaction fee amount", N, Fixed(12)),
    row(84, "debits, processing fee amount", N, Fixed(12)),
    row(85, "debits, transaction fee amount", N, Fixed(12)),
    row(86, "credits, amount", N, Fixed(16)),
    row(87, "credits, reversal amount", N, Fixed(16)),
    row(88, "debits, amount", N, Fixed(16)),
    row(89, "debits, reversal amount", N, Fixed(16)),
    row(90, "original data elements", N, Fixed(42)),
    row(91, "file update code", An, Fixed(1)),
    row(92, "file security code", An, Fixed(2)),
    row(93, "response indicator", An, Fixed(5)),
    row(94, "service indicator", An, Fixed(7)),
    row(95, "replacement amounts", An, Fixed(42)),
    row(96, "message security code", B, Fixed(8))
        .encoded(Binary)
        .seen_as(Sad),
    row(97, "amount, net settlement", Xn, Fixed(17)),
    row(98, "payee", Ans, Fixed(25)),
    row(
        99,
        "settlement institution identification code",
        N,
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
    row(105, "reserved, ISO", Ans, Length::lll(999)),
    row(106, "reserved, ISO", Ans, Length::lll(999)),
    row(107, "reserved, ISO", Ans, Length::lll(999)),
    row(108, "reserved, ISO", Ans, Length::lll(999)),
    row(109, "reserved, ISO", Ans, Length::lll(999)),
    row(110, "reserved, ISO", Ans, Length::lll(999)),
    row(111, "reserved, ISO", Ans, Length::lll(999)),
    row(112, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(113, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(114, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(115, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(116, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(117, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(118, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(119, "reserved, national", B, Length::lll(999)).seen_as(Sad),
    row(120, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(121, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(122, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(123, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(124, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(125, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(126, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(127, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    row(128, "message authentication code", B, Fixed(8)).encoded(Binary),
];

/// What a message needs to be processed at all. Of a network message nothing is asked here: which
/// fields it has is a matter of the endpoint.
pub(super) const REQUIREMENTS: &[Requirement] = &[
    with_currencies(needs(*b"010x", PURCHASE, ACCOUNT)),
    with_currencies(needs(*b"012x", PURCHASE, ACCOUNT)),
    with_currencies(needs(*b"020x", PURCHASE, ACCOUNT)),
    with_currencies(needs(*b"022x", PURCHASE, ACCOUNT)),
    with_currencies(needs(*b"040x", AMOUNT, &[])),
    with_currencies(needs(*b"042x", AMOUNT, &[])),
    needs(*b"011x", ANSWER, &[]),
    needs(*b"013x", ANSWER, &[]),
    needs(*b"021x", ANSWER, &[]),
    needs(*b"023x", ANSWER, &[]),
    needs(*b"041x", ANSWER, &[]),
    needs(*b"043x", ANSWER, &[]),
];

/// An amount, its currency, and what names the message.
const AMOUNT: Bitmap = Bitmap::EMPTY.with(4).with(7).with(11).with(41).with(49);
const PURCHASE: Bitmap = AMOUNT.with(3);
/// Its number, or its track.
const ACCOUNT: &[Bitmap] = &[Bitmap::EMPTY.with(2).with(35)];
const ANSWER: Bitmap = Bitmap::EMPTY.with(11).with(39);
