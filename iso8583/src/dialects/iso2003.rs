//! ISO 8583:2003, as far as public tables give it: amounts of sixteen digits with currency and
//! exponent in front, a trace number of twelve, dates with their century, an action code of four
//! digits, and fields of up to 9,999 bytes, some of which hold datasets.
//!
//! # What this base leaves opaque
//! - DE43 and DE49, which some tables give a bitmap, and the reserved fields of 9,999 bytes:
//!   private bytes. DE34, DE44 and DE104 hold datasets.
//! - DE22: sixteen bytes of flags.
//! - DE30, DE74 and DE75: amounts and counts, kept as one row of digits.
//! - Dates with a century (12, 15, 28, 73): digits, not checked against the calendar.
//! - DE46, DE66, DE109 and DE110: fee amounts, kept as one text.
//!
//! DE64 and DE128 are eight bytes; some use four.

use crate::bitmap::Bitmap;
use crate::calendar::Calendar;
use crate::class::Class::{An, Ans, B, N, Xn, Z};
use crate::composite::Composite::{Datasets, Positional, Tlv};
use crate::dialect::{Dialect, Form, MtiForm};
use crate::dialects::{build, needs, packed, row, with};
use crate::field::Encoding::Binary;
use crate::field::FieldSpec;
use crate::field::Length::{self, Fixed};
use crate::field::Relay::{Echo, Replay};
use crate::field::Sensitivity::{Pan, Sad};
use crate::requirement::Requirement;

/// Text in ASCII, bitmap and binary fields as bytes.
pub(crate) static BASE: Dialect = build("iso2003-base", Form::ASCII, &ROWS, REQUIREMENTS);

/// Packed digits; a zero behind an odd number of left-justified ones.
pub(crate) static BCD: Dialect = build(
    "iso2003-bcd",
    Form::ASCII.mti(MtiForm::Packed),
    &with(packed(ROWS), &PACKED),
    REQUIREMENTS,
);

const ROWS: [FieldSpec; 126] = [
    row(2, "primary account number", N, Length::ll(19))
        .seen_as(Pan)
        .relayed(Echo),
    row(3, "processing code", An, Fixed(6)).relayed(Echo),
    row(4, "amount, transaction", N, Fixed(16)).relayed(Echo),
    row(5, "amount, reconciliation", N, Fixed(16)).relayed(Replay),
    row(6, "amount, cardholder billing", N, Fixed(16)).relayed(Replay),
    row(7, "date and time, transmission", N, Fixed(10))
        .dated(Calendar::MonthDayTime)
        .relayed(Echo),
    row(8, "amount, cardholder billing fee", N, Fixed(12)),
    row(9, "conversion rate, reconciliation", N, Fixed(8)).relayed(Replay),
    row(10, "conversion rate, cardholder billing", N, Fixed(8)).relayed(Replay),
    row(11, "systems trace audit number", N, Fixed(12)).relayed(Echo),
    row(12, "date and time, local transaction", N, Fixed(14)).relayed(Echo),
    row(13, "date, effective", N, Fixed(6)),
    row(14, "date, expiration", N, Fixed(4)),
    row(15, "date, settlement", N, Fixed(8)).relayed(Replay),
    row(16, "date, conversion", N, Fixed(4)).relayed(Replay),
    row(17, "date, capture", N, Fixed(4)),
    row(18, "message error indicator", Ans, Length::lll(140)),
    row(19, "country code, acquiring institution", N, Fixed(3)),
    row(20, "country code, primary account number", N, Fixed(3)),
    row(
        21,
        "transaction life cycle identification data",
        Ans,
        Fixed(22),
    )
    .holding(Positional(&LIFE_CYCLE)),
    row(22, "point of service data code", B, Fixed(16)).encoded(Binary),
    row(23, "card sequence number", N, Fixed(3)),
    row(24, "function code", N, Fixed(3)),
    row(25, "message reason code", N, Fixed(4)),
    row(26, "merchant category code", N, Fixed(4)),
    row(27, "point of service capability", B, Fixed(27))
        .encoded(Binary)
        .holding(Positional(&CAPABILITY)),
    row(28, "date, reconciliation", N, Fixed(8)).relayed(Replay),
    row(29, "reconciliation indicator", N, Fixed(3)).relayed(Replay),
    row(30, "amounts, original", N, Fixed(32)).relayed(Replay),
    row(31, "acquirer reference number", N, Fixed(23)),
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
    private(34, "electronic commerce data").holding(Datasets),
    row(35, "track 2 data", Z, Length::ll(37)).seen_as(Sad),
    row(36, "track 3 data", Ans, Length::lll(104)).seen_as(Sad),
    row(37, "retrieval reference number", An, Fixed(12)).relayed(Echo),
    row(38, "approval code", An, Fixed(6)),
    row(39, "action code", N, Fixed(4)),
    row(40, "service code", N, Fixed(3)),
    row(41, "card acceptor terminal identification", Ans, Fixed(16)).relayed(Echo),
    row(42, "card acceptor identification code", Ans, Length::ll(35)).relayed(Echo),
    private(43, "card acceptor name and location"),
    private(44, "additional response data").holding(Datasets),
    row(45, "track 1 data", Ans, Length::ll(76)).seen_as(Sad),
    row(46, "amounts, fees", Ans, Length::lll(216)),
    row(47, "additional data, national", Ans, Length::lll(999)),
    row(48, "additional data, private", B, Length::lll(999)).seen_as(Sad),
    private(49, "verification data"),
    private(50, "reserved, ISO"),
    private(51, "reserved, ISO"),
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
    row(54, "amounts, additional", Ans, Length::lll(126)).relayed(Replay),
    private(55, "integrated circuit card data")
        .holding(Tlv)
        .relayed(Replay),
    row(56, "original data elements", N, Length::ll(41)),
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
    row(66, "amounts, original fees", Ans, Length::lll(216)),
    row(67, "extended payment data", N, Fixed(2)),
    row(68, "batch and file transfer message control", An, Fixed(9)),
    row(69, "batch and file transfer control data", Ans, Fixed(40)),
    row(70, "file transfer description data", N, Fixed(18)),
    private(71, "reserved, ISO"),
    private(72, "data record"),
    row(73, "date, action", N, Fixed(8)),
    row(74, "reconciliation data, primary", N, Fixed(156)),
    row(75, "reconciliation data, secondary", N, Fixed(90)),
    private(76, "reserved, ISO"),
    private(77, "reserved, ISO"),
    private(78, "reserved, ISO"),
    private(79, "reserved, ISO"),
    private(80, "reserved, ISO"),
    private(81, "reserved, ISO"),
    private(82, "reserved, ISO"),
    private(83, "reserved, ISO"),
    private(84, "reserved, ISO"),
    private(85, "reserved, ISO"),
    private(86, "reserved, ISO"),
    private(87, "reserved, ISO"),
    private(88, "reserved, ISO"),
    private(89, "reserved, ISO"),
    private(90, "reserved, ISO"),
    private(91, "reserved, ISO"),
    private(92, "reserved, ISO"),
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
    row(97, "amount, net reconciliation", Xn, Fixed(21)),
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
    row(101, "file name", Ans, Length::ll(99)),
    row(102, "account identification 1", Ans, Length::ll(28)).seen_as(Pan),
    row(103, "account identification 2", Ans, Length::ll(28)).seen_as(Pan),
    private(104, "transaction specific data").holding(Datasets),
    private(105, "reserved, ISO"),
    private(106, "reserved, ISO"),
    private(107, "reserved, ISO"),
    private(108, "reserved, ISO"),
    row(
        109,
        "reconciliation fee amounts, credit",
        Ans,
        Length::lll(144),
    ),
    row(
        110,
        "reconciliation fee amounts, debit",
        Ans,
        Length::lll(144),
    ),
    private(111, "reserved, private"),
    private(112, "reserved, private"),
    private(113, "reserved, private"),
    private(114, "reserved, private"),
    private(115, "reserved, private"),
    private(116, "reserved, national"),
    private(117, "reserved, national"),
    private(118, "reserved, national"),
    private(119, "reserved, national"),
    private(120, "reserved, national"),
    private(121, "reserved, national"),
    private(122, "reserved, national"),
    row(123, "reserved, private", B, Length::lll(999)).seen_as(Sad),
    private(124, "reserved, private"),
    private(125, "reserved, private"),
    private(126, "reserved, private"),
    private(127, "reserved, private"),
    row(128, "message authentication code", B, Fixed(8)).encoded(Binary),
];

/// Only digits are packed: of DE21 the sequence number and the authentication token.
const PACKED: [FieldSpec; 1] = [row(
    21,
    "transaction life cycle identification data",
    B,
    Fixed(19),
)
.encoded(Binary)
.holding(Positional(&LIFE_CYCLE_PACKED))];

/// Up to 9,999 bytes behind four digits. What they hold may be a verification value.
const fn private(number: u8, name: &'static str) -> FieldSpec {
    let length = Length::Var {
        digits: 4,
        max: 9999,
    };
    row(number, name, B, length).encoded(Binary).seen_as(Sad)
}

static LIFE_CYCLE: Dialect = build("iso2003 DE21", Form::POSITIONAL, &LIFE_CYCLE_ROWS, &[]);

static LIFE_CYCLE_PACKED: Dialect = build(
    "iso2003 DE21, packed",
    Form::POSITIONAL,
    &packed(LIFE_CYCLE_ROWS),
    &[],
);

const LIFE_CYCLE_ROWS: [FieldSpec; 4] = [
    row(1, "support indicator", An, Fixed(1)),
    row(2, "trace identifier", Ans, Fixed(15)),
    row(3, "sequence number", N, Fixed(2)),
    row(4, "authentication token", N, Fixed(4)),
];

static CAPABILITY: Dialect = build(
    "iso2003 DE27",
    Form::POSITIONAL,
    &[
        row(1, "card reading", B, Fixed(4)).encoded(Binary),
        row(2, "cardholder verification", B, Fixed(4)).encoded(Binary),
        row(3, "approval code length", N, Fixed(1)),
        row(4, "cardholder receipt data length", N, Fixed(3)),
        row(5, "card acceptor receipt data length", N, Fixed(3)),
        row(6, "cardholder display data length", N, Fixed(3)),
        row(7, "card acceptor display data length", N, Fixed(3)),
        row(8, "integrated circuit card scripts length", N, Fixed(3)),
        row(9, "track 3 rewrite", An, Fixed(1)),
        row(10, "card capture", An, Fixed(1)),
        row(11, "PIN input length", B, Fixed(1)).encoded(Binary),
    ],
    &[],
);

/// What a message needs to be processed at all. Of a network message nothing is asked here: which
/// fields it has is a matter of the endpoint.
const REQUIREMENTS: &[Requirement] = &[
    needs(*b"210x", PURCHASE, ACCOUNT),
    needs(*b"212x", PURCHASE, ACCOUNT),
    needs(*b"220x", PURCHASE, ACCOUNT),
    needs(*b"222x", PURCHASE, ACCOUNT),
    needs(*b"240x", AMOUNT, &[]),
    needs(*b"242x", AMOUNT, &[]),
    needs(*b"211x", ANSWER, &[]),
    needs(*b"213x", ANSWER, &[]),
    needs(*b"221x", ANSWER, &[]),
    needs(*b"223x", ANSWER, &[]),
    needs(*b"241x", ANSWER, &[]),
    needs(*b"243x", ANSWER, &[]),
];

/// An amount, which has its currency, what the message does, and what names it.
const AMOUNT: Bitmap = Bitmap::EMPTY.with(4).with(11).with(12).with(24).with(41);
const PURCHASE: Bitmap = AMOUNT.with(3);
/// Its number, or its track.
const ACCOUNT: &[Bitmap] = &[Bitmap::EMPTY.with(2).with(35)];
const ANSWER: Bitmap = Bitmap::EMPTY.with(11).with(39);
