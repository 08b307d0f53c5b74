//! A profile like Visa's BASE I: packed digits, text in EBCDIC, binary bitmaps of which there may
//! be a third, lengths of one byte. What a length counts is said per field: digits of 2, 32, 33,
//! 35, 36, 99 and 100, bytes of all others. An odd number of digits has a zero in front.
//!
//! DE35 is described with the zero behind as well (semantics.md §12): that takes a row of one's
//! own. So does a DE62 in fixed places instead of a bitmap. DE34, 55, 104, 110, 111, 114, 120 and
//! 123 hold datasets.

use crate::calendar::Calendar;
use crate::charset::Charset;
use crate::class::Class::{self, An, Ans, B, N, Xn, Z};
use crate::composite::Composite::{Bitmapped, Datasets, Positional};
use crate::dialect::{BitmapForm, Dialect, Form, Layout, MtiForm, Tertiary};
use crate::dialects::{build, iso87, row};
use crate::field::Encoding::{self, Binary};
use crate::field::Length::{self, Fixed, Var};
use crate::field::Relay::{Echo, Replay};
use crate::field::Sensitivity::{Pan, Sad};
use crate::field::{Coding, Count, FieldSpec, Prefix};
use crate::packed::Packed;

/// The whole profile.
pub(crate) static LIKE: Dialect = build(
    "visa-like",
    Form::ASCII
        .mti(MtiForm::Packed)
        .layout(Layout::Chained(Tertiary::AfterSecondary)),
    &ROWS,
    iso87::REQUIREMENTS,
);

const ROWS: [FieldSpec; 146] = [
    digits(2, "primary account number", up_to(19))
        .seen_as(Pan)
        .relayed(Echo),
    digits(3, "processing code", Fixed(6)).relayed(Echo),
    digits(4, "amount, transaction", Fixed(12)).relayed(Echo),
    digits(5, "amount, settlement", Fixed(12)).relayed(Replay),
    digits(6, "amount, cardholder billing", Fixed(12)).relayed(Replay),
    digits(7, "transmission date and time", Fixed(10))
        .dated(Calendar::MonthDayTime)
        .relayed(Echo),
    digits(8, "amount, cardholder billing fee", Fixed(8)),
    digits(9, "conversion rate, settlement", Fixed(8)).relayed(Replay),
    digits(10, "conversion rate, cardholder billing", Fixed(8)).relayed(Replay),
    digits(11, "system trace audit number", Fixed(6)).relayed(Echo),
    digits(12, "time, local transaction", Fixed(6))
        .dated(Calendar::Time)
        .relayed(Echo),
    digits(13, "date, local transaction", Fixed(4))
        .dated(Calendar::MonthDay)
        .relayed(Echo),
    digits(14, "date, expiration", Fixed(4)),
    digits(15, "date, settlement", Fixed(4)).relayed(Replay),
    digits(16, "date, conversion", Fixed(4)).relayed(Replay),
    digits(17, "date, capture", Fixed(4)),
    digits(18, "merchant type", Fixed(4)),
    digits(19, "acquiring institution country code", Fixed(3)),
    digits(20, "primary account number country code", Fixed(3)),
    digits(21, "forwarding institution country code", Fixed(3)),
    digits(22, "point of service entry mode", Fixed(4)),
    digits(23, "card sequence number", Fixed(3)),
    digits(24, "network international identifier", Fixed(3)),
    digits(25, "point of service condition code", Fixed(2)),
    digits(26, "point of service PIN capture code", Fixed(2)),
    digits(27, "authorisation identification response length", Fixed(1)),
    text(28, "amount, transaction fee", Xn, Fixed(9)),
    text(29, "amount, settlement fee", Xn, Fixed(9)),
    text(30, "amount, transaction processing fee", Xn, Fixed(9)),
    text(31, "amount, settlement processing fee", Xn, Fixed(9)),
    digits(32, "acquiring institution identification code", up_to(11)).relayed(Echo),
    digits(33, "forwarding institution identification code", up_to(11)),
    long(34, "electronic commerce data"),
    track(35, "track 2 data", up_to(37)),
    track(36, "track 3 data", up_to(104)),
    text(37, "retrieval reference number", An, Fixed(12)).relayed(Echo),
    text(38, "authorisation identification response", An, Fixed(6)),
    text(39, "response code", An, Fixed(2)),
    text(40, "service restriction code", An, Fixed(3)),
    text(41, "card acceptor terminal identification", Ans, Fixed(8)).relayed(Echo),
    text(42, "card acceptor identification code", Ans, Fixed(15)).relayed(Echo),
    text(43, "card acceptor name and location", Ans, Fixed(40)),
    text(44, "additional response data", Ans, up_to(25)).relayed(Replay),
    text(45, "track 1 data", Ans, up_to(76)).seen_as(Sad),
    text(46, "additional data, ISO", Ans, up_to(255)),
    text(47, "additional data, national", Ans, up_to(255)),
    private(48, "additional data, private"),
    digits(49, "currency code, transaction", Fixed(3)).relayed(Echo),
    digits(50, "currency code, settlement", Fixed(3)).relayed(Replay),
    digits(51, "currency code, cardholder billing", Fixed(3)).relayed(Replay),
    secret(52, "personal identification number data", 8),
    digits(53, "security related control information", Fixed(16)),
    text(54, "additional amounts", Ans, up_to(120)).relayed(Replay),
    private(55, "integrated circuit card data")
        .holding(Datasets)
        .relayed(Replay),
    text(56, "customer related data", Ans, up_to(255)),
    text(57, "reserved, national", Ans, up_to(255)),
    text(58, "reserved, national", Ans, up_to(255)),
    text(
        59,
        "national point of service geographic data",
        Ans,
        up_to(14),
    )
    .relayed(Echo),
    private(60, "additional point of service information").holding(Positional(&POINT_OF_SERVICE)),
    private(61, "other amounts").holding(Positional(&OTHER_AMOUNTS)),
    private(62, "custom payment service fields").holding(Bitmapped(&PAYMENT_SERVICE)),
    private(63, "network private fields").holding(Bitmapped(&NETWORK)),
    bytes(64, "message authentication code", Fixed(8)),
    digits(66, "settlement code", Fixed(1)),
    digits(67, "extended payment code", Fixed(2)),
    digits(68, "receiving institution country code", Fixed(3)),
    digits(69, "settlement institution country code", Fixed(3)),
    digits(70, "network management information code", Fixed(3)),
    digits(71, "message number", Fixed(4)),
    digits(72, "message number, last", Fixed(4)),
    digits(73, "date, action", Fixed(6)),
    digits(74, "credits, number", Fixed(10)),
    digits(75, "credits, reversal number", Fixed(10)),
    digits(76, "debits, number", Fixed(10)),
    digits(77, "debits, reversal number", Fixed(10)),
    digits(78, "transfer, number", Fixed(10)),
    digits(79, "transfer, reversal number", Fixed(10)),
    digits(80, "inquiries, number", Fixed(10)),
    digits(81, "authorisations, number", Fixed(10)),
    digits(82, "credits, processing fee amount", Fixed(12)),
    digits(83, "credits, transaction fee amount", Fixed(12)),
    digits(84, "debits, processing fee amount", Fixed(12)),
    digits(85, "debits, transaction fee amount", Fixed(12)),
    digits(86, "credits, amount", Fixed(16)),
    digits(87, "credits, reversal amount", Fixed(16)),
    digits(88, "debits, amount", Fixed(16)),
    digits(89, "debits, reversal amount", Fixed(16)),
    digits(90, "original data elements", Fixed(42)),
    text(91, "file update code", An, Fixed(1)),
    text(92, "file security code", An, Fixed(2)),
    text(93, "response indicator", An, Fixed(5)),
    text(94, "service indicator", Ans, Fixed(7)),
    text(95, "replacement amounts", An, Fixed(42)),
    secret(96, "message security code", 8),
    text(97, "amount, net settlement", Xn, Fixed(17)),
    text(98, "payee", Ans, Fixed(25)),
    digits(99, "settlement institution identification code", up_to(11)),
    digits(100, "receiving institution identification code", up_to(11)),
    text(101, "file name", Ans, up_to(17)),
    text(102, "account identification 1", Ans, up_to(28)).seen_as(Pan),
    text(103, "account identification 2", Ans, up_to(28)).seen_as(Pan),
    private(104, "transaction specific data").holding(Datasets),
    secret(105, "double-length key", 16),
    private(106, "reserved, ISO"),
    private(107, "reserved, ISO"),
    private(108, "reserved, ISO"),
    private(109, "reserved, ISO"),
    long(110, "encryption data"),
    long(111, "additional transaction specific data"),
    private(112, "reserved, national"),
    private(113, "reserved, national"),
    long(114, "domestic and localised data"),
    text(115, "additional trace data", Ans, up_to(24)),
    private(116, "card issuer reference data"),
    private(117, "reserved, national"),
    private(118, "intra-country data"),
    private(119, "reserved, national"),
    long(120, "auxiliary transaction data"),
    text(
        121,
        "issuing institution identification code",
        Ans,
        up_to(11),
    ),
    private(122, "reserved, private"),
    private(123, "verification data").holding(Datasets),
    private(124, "reserved, private"),
    private(125, "supporting information"),
    private(126, "private fields").holding(Bitmapped(&PRIVATE)),
    private(127, "file record"),
    bytes(128, "message authentication code", Fixed(8)),
    bytes(130, "terminal capability profile", Fixed(3)),
    bytes(131, "terminal verification results", Fixed(5)),
    bytes(132, "unpredictable number", Fixed(4)),
    text(133, "terminal serial number", Ans, Fixed(8)),
    private(134, "discretionary data of the network"),
    private(135, "discretionary data of the issuer"),
    bytes(136, "cryptogram", Fixed(8)),
    bytes(137, "application transaction counter", Fixed(2)),
    bytes(138, "application interchange profile", Fixed(2)),
    bytes(139, "response cryptogram and code", Fixed(10)),
    private(140, "issuer authentication data"),
    private(142, "issuer script"),
    bytes(143, "issuer script results", up_to(20)),
    digits(144, "cryptogram transaction type", Fixed(2)),
    digits(145, "terminal country code", Fixed(3)),
    digits(146, "terminal transaction date", Fixed(6)),
    digits(147, "cryptogram amount", Fixed(12)),
    digits(148, "cryptogram currency code", Fixed(3)),
    digits(149, "cryptogram cashback amount", Fixed(12)),
    secret(152, "secondary PIN block", 8),
];

/// DE60: each byte is two digits, of which most are a field of their own.
static POINT_OF_SERVICE: Dialect = build(
    "visa-like DE60",
    Form::POSITIONAL,
    &[
        digits(1, "terminal type, entry capability", Fixed(2)),
        digits(2, "chip condition, special condition", Fixed(2)),
        digits(3, "merchant group", Fixed(2)),
        digits(
            4,
            "chip transaction, card authentication reliability",
            Fixed(2),
        ),
        digits(5, "mail, telephone and electronic commerce", Fixed(2)),
        digits(
            6,
            "cardholder identification, partial authorisation",
            Fixed(2),
        ),
    ],
    &[],
);

/// DE61.
static OTHER_AMOUNTS: Dialect = build(
    "visa-like DE61",
    Form::POSITIONAL,
    &[
        digits(1, "other amount, transaction", Fixed(12)),
        digits(2, "other amount, cardholder billing", Fixed(12)),
        digits(3, "other amount, replacement billing", Fixed(12)),
    ],
    &[],
);

/// DE62.
static PAYMENT_SERVICE: Dialect = build(
    "visa-like DE62",
    Form::nested(BitmapForm::Binary, 8),
    &[
        text(1, "authorisation characteristics indicator", Ans, Fixed(1)),
        digits(2, "transaction identifier", Fixed(15)),
        text(3, "validation code", Ans, Fixed(4)),
        text(4, "market specific data identifier", Ans, Fixed(1)),
        digits(5, "duration", Fixed(2)),
        text(6, "prestigious property indicator", Ans, Fixed(1)),
        text(7, "purchase identifier", Ans, Fixed(26)),
        digits(8, "check-out, check-in, or pick-up date", Fixed(6)),
        text(9, "no show indicator", Ans, Fixed(1)),
        digits(10, "extra charges", Fixed(6)),
        digits(11, "multiple clearing sequence number", Fixed(2)),
        digits(12, "multiple clearing sequence count", Fixed(2)),
        text(13, "restricted ticket indicator", Ans, Fixed(1)),
        digits(14, "total amount authorised", Fixed(12)),
        text(15, "requested payment service", Ans, Fixed(1)),
        text(16, "chargeback rights indicator", Ans, Fixed(2)),
        text(17, "gateway transaction identifier", Ans, Fixed(15)),
        text(18, "excluded transaction identifier", Ans, Fixed(1)),
        text(19, "electronic commerce goods indicator", Ans, Fixed(2)),
        digits(20, "merchant verification value", Fixed(10)),
        text(21, "risk score and reason codes", Ans, Fixed(4)),
        text(22, "risk condition codes", Ans, Fixed(6)),
        text(23, "product identification", Ans, Fixed(2)),
        text(24, "programme identifier", Ans, Fixed(6)),
        text(25, "spend qualified indicator", Ans, Fixed(1)),
        text(26, "account status", Ans, Fixed(1)),
    ],
    &[],
);

/// DE63.
static NETWORK: Dialect = build(
    "visa-like DE63",
    Form::nested(BitmapForm::Binary, 3),
    &[
        digits(1, "network identification", Fixed(4)),
        digits(2, "time limit of a preauthorisation", Fixed(4)),
        digits(3, "message reason code", Fixed(4)),
        digits(4, "stand-in reason code", Fixed(4)),
        digits(5, "reserved", Fixed(6)),
        text(6, "chargeback reduction flags", Ans, Fixed(7)),
        bytes(7, "network participant flags", Fixed(8)),
        digits(8, "acquirer's business identification", Fixed(8)),
        text(9, "fraud data", Ans, Fixed(14)),
        text(10, "gateway merchant data", Ans, Fixed(13)),
        text(11, "reimbursement attribute", Ans, Fixed(1)),
        text(12, "sharing group code", Ans, Fixed(30)),
        digits(13, "decimal positions indicator", Fixed(6)),
        text(14, "issuer currency conversion data", Ans, Fixed(36)),
        text(15, "reserved", Ans, Fixed(9)),
        digits(16, "reserved", Fixed(6)),
        digits(18, "merchant volume indicator", Fixed(2)),
        text(19, "fee programme indicator", Ans, Fixed(3)),
        digits(20, "reserved", Fixed(2)),
        text(21, "charge indicator", Ans, Fixed(1)),
    ],
    &[],
);

/// DE126.
static PRIVATE: Dialect = build(
    "visa-like DE126",
    Form::nested(BitmapForm::Binary, 8),
    &[
        text(5, "merchant identifier", Ans, Fixed(8)),
        secret(6, "cardholder certificate serial number", 17),
        secret(7, "merchant certificate serial number", 17),
        secret(8, "transaction identification", 20),
        secret(9, "cardholder authentication verification data", 20),
        text(10, "card verification value 2", Ans, Fixed(6)).seen_as(Sad),
        bytes(12, "service indicators", Fixed(3)),
        text(13, "point of service environment", Ans, Fixed(1)),
        text(14, "payment guarantee option", Ans, Fixed(1)),
        text(15, "collection indicator", Ans, Fixed(1)),
        text(
            16,
            "universal cardholder authentication data",
            Ans,
            up_to(32),
        )
        .seen_as(Sad),
        bytes(18, "agent unique account result", Fixed(12)),
        text(19, "dynamic currency conversion indicator", Ans, Fixed(1)),
        text(20, "3-D Secure indicator", Ans, Fixed(1)),
    ],
    &[],
);

/// Behind one byte that says how long.
const fn up_to(max: u32) -> Length {
    Var { digits: 1, max }
}

const fn digits(number: u8, name: &'static str, length: Length) -> FieldSpec {
    row(number, name, N, length)
        .encoded(Encoding::Packed(Packed::RIGHT, Charset::Cp500))
        .prefixed(COUNTED)
}

const fn track(number: u8, name: &'static str, length: Length) -> FieldSpec {
    row(number, name, Z, length)
        .encoded(Encoding::Packed(Packed::RIGHT, Charset::Cp500))
        .prefixed(COUNTED)
        .seen_as(Sad)
}

const fn text(number: u8, name: &'static str, class: Class, length: Length) -> FieldSpec {
    row(number, name, class, length)
        .encoded(Encoding::Text(Charset::Cp500))
        .prefixed(COUNTED)
}

const fn bytes(number: u8, name: &'static str, length: Length) -> FieldSpec {
    row(number, name, B, length)
        .encoded(Binary)
        .prefixed(COUNTED)
}

const fn private(number: u8, name: &'static str) -> FieldSpec {
    bytes(number, name, up_to(255)).seen_as(Sad)
}

const fn secret(number: u8, name: &'static str, len: u16) -> FieldSpec {
    bytes(number, name, Fixed(len)).seen_as(Sad)
}

/// Datasets behind two bytes that say how long.
const fn long(number: u8, name: &'static str) -> FieldSpec {
    let length = Var {
        digits: 2,
        max: 1537,
    };
    bytes(number, name, length).seen_as(Sad).holding(Datasets)
}

/// Digits of what is packed, bytes of all else.
const COUNTED: Prefix = Prefix::new(Coding::Binary, Count::Units);
