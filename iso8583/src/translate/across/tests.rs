//! Between 1987 and 1993: requests, answers and reversals, field by field.

use std::vec::Vec;

use domain::bytes::Text;
use domain::code_map::CodeMap;
use domain::currency::Currency;
use domain::ids::{
    AcquirerId, InstitutionId, IssuerId, LinkId, RouteId, Slot, Stan, TransactionId,
};
use domain::pan::{Account, PanToken, SealedPan, TokenKeyId};
use domain::record::{Completed, Extent, ReversalCause};
use domain::request::{
    ContentHash, DuplicateKey, Facts, MessageClass, MessageKind, TraceKey, Transmission,
};
use domain::response_code::ResponseCode;

use super::*;
use crate::dialect::Dialect;
use crate::testing::{Message, purchase_with, written};
use crate::translate::{self, IssuerRequest, IssuerReversal};

const OF_1987: [&Dialect; 3] = [
    Dialect::ISO87_ASCII,
    Dialect::ISO87_BCD,
    Dialect::ISO87_EBCDIC,
];

fn of_1993() -> [&'static Dialect; 3] {
    let ebcdic = Dialect::by_name("iso93-ebcdic").unwrap();
    [Dialect::ISO93_ASCII, Dialect::ISO93_BCD, ebcdic]
}

/// What an acquirer of 1993 sends for the purchase of the other tests.
const PURCHASE: [(u8, &[u8]); 18] = [
    (2, b"5061001234567890"),
    (3, b"000000"),
    (4, b"000000001500"),
    (7, b"0601120000"),
    (11, b"000042"),
    (12, b"260601150000"),
    (14, b"2812"),
    (22, b"511101513344"),
    (24, b"200"),
    (25, b"1508"),
    (26, b"5411"),
    (32, b"00000123456"),
    (37, b"615212000042"),
    (41, b"TERM0001"),
    (42, b"MERCHANT 000001"),
    (43, b"SHOP AT THE CORNER"),
    (49, b"KES"),
    (58, b"12345"),
];

fn of_edition(dialect: &'static Dialect, mti: &str, changes: &[(u8, &[u8])]) -> Message {
    let base: Vec<(u8, &[u8])> = if dialect.version() == Version::Iso1993 {
        PURCHASE.to_vec()
    } else {
        crate::testing::PURCHASE.to_vec()
    };
    let unchanged = |(number, _): &(u8, &[u8])| changes.iter().all(|change| change.0 != *number);
    let mut fields: Vec<_> = base.into_iter().filter(unchanged).collect();
    fields.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    fields.sort_by_key(|(number, _)| *number);
    Message::new(dialect, written(dialect, mti, &fields))
}

fn leg() -> IssuerLeg {
    IssuerLeg {
        route: RouteId(0),
        candidate: 0,
        issuer: IssuerId(0),
        link: LinkId(0),
        stan: Stan::new(700_001).unwrap(),
        transmitted: TransmissionTime::from_number(601_120_001),
    }
}

fn forwarding() -> InstitutionId {
    Text::new("DE33", b"999").unwrap()
}

/// 1 June 2026, 12:00:03 UTC.
const NOW: WallTime = WallTime::from_unix_millis(1_780_315_203_000);

fn forwarded(request: &Message, to: &'static Dialect) -> Message {
    forwarded_as(request, to, None)
}

fn forwarded_as(request: &Message, to: &'static Dialect, completed: Option<&Completed>) -> Message {
    let (leg, forwarding) = (leg(), forwarding());
    let going = IssuerRequest {
        leg: &leg,
        forwarding: &forwarding,
        admitted: NOW,
        amount: None,
        completed,
    };
    let mut out = [0; 2048];
    let len = translate::write_issuer_request(to, request.view(), &going, &mut out).unwrap();
    Message::new(to, out[..len].to_vec())
}

fn text(message: &Message, number: u8) -> Option<std::string::String> {
    let mut scratch = [0; 999];
    let value = message.view().decode(number, &mut scratch)?;
    Some(std::string::String::from_utf8_lossy(value).into_owned())
}

/// Fields and values that a message has, and no others of those named.
#[track_caller]
fn check(message: &Message, mti: &str, expected: &[(u8, &str)], absent: &[u8]) {
    assert_eq!(message.view().mti().as_bytes(), mti.as_bytes());
    for (number, value) in expected {
        assert_eq!(
            text(message, *number).as_deref(),
            Some(*value),
            "DE{number}"
        );
    }
    for number in absent {
        assert_eq!(text(message, *number), None, "DE{number}");
    }
    assert_eq!(message.view().check_requirements(), Ok(()));
}

#[test]
fn a_request_of_1987_becomes_one_of_1993() {
    for (mti, repeat, told, function) in [
        ("0100", "0101", "1100", "100"),
        ("0200", "0201", "1200", "200"),
    ] {
        for (from, to) in OF_1987
            .into_iter()
            .flat_map(|from| of_1993().map(|to| (from, to)))
        {
            for mti in [mti, repeat] {
                let request = of_edition(from, mti, &[(28, b"C00000100"), (52, &[7; 8])]);
                let expected = [
                    (2, "5061001234567890"),
                    (3, "000000"),
                    (4, "000000001500"),
                    (7, "0601120001"),
                    (11, "700001"),
                    (12, "260601150000"),
                    (14, "2812"),
                    (24, function),
                    (26, "5411"),
                    (32, "00000123456"),
                    (33, "999"),
                    (37, "615212000042"),
                    (41, "TERM0001"),
                    (42, "MERCHANT 000001"),
                    (43, "SHOP AT THE CORNER       NAIROBI      KE"),
                    (49, "404"),
                ];
                // The time, the entry mode, the condition and a fee have no like there.
                let absent = [13, 18, 22, 25, 28];
                let leg_b = forwarded(&request, to);
                check(&leg_b, told, &expected, &absent);
                for same in [35, 52, 55, 63] {
                    assert_eq!(text(&leg_b, same), text(&request, same), "DE{same}");
                }
            }
        }
    }
}

#[test]
fn a_request_of_1993_becomes_one_of_1987() {
    for (from, to) in of_1993()
        .into_iter()
        .flat_map(|from| OF_1987.map(|to| (from, to)))
    {
        for (mti, told) in [("1100", "0100"), ("1201", "0200"), ("1202", "0202")] {
            let request = of_edition(from, mti, &[]);
            let padded = std::format!("{:40}", "SHOP AT THE CORNER");
            let expected = [
                (4, "000000001500"),
                (7, "0601120001"),
                (11, "700001"),
                (12, "150000"),
                (13, "0601"),
                (18, "5411"),
                (33, "999"),
                (43, &padded),
                (49, "404"),
            ];
            check(
                &forwarded(&request, to),
                told,
                &expected,
                &[22, 24, 25, 26, 58],
            );
        }
        let long = [b'x'; 99];
        let request = of_edition(from, "1200", &[(43, &long), (7, b"")]);
        let leg_b = forwarded(&request, to);
        assert_eq!(text(&leg_b, 43).unwrap().len(), 40);
        assert_eq!(text(&leg_b, 7).as_deref(), Some("0601120001"));
    }
}

/// DE22 has twelve characters in one edition and three digits in the other, which do not follow
/// from each other: within an edition it passes, and between two it is left out.
#[test]
fn within_an_edition_all_passes_as_it_came() {
    for (from, to) in of_1993()
        .into_iter()
        .flat_map(|from| of_1993().map(|to| (from, to)))
    {
        let request = of_edition(from, "1200", &[]);
        let leg_b = forwarded(&request, to);
        let own = [(7, "0601120001"), (11, "700001"), (33, "999")];
        check(&leg_b, "1200", &own, &[]);
        for (number, _) in PURCHASE
            .iter()
            .filter(|(number, _)| ![7, 11].contains(number))
        {
            assert_eq!(text(&leg_b, *number), text(&request, *number), "DE{number}");
        }
    }
}

#[test]
fn fault_082_the_year_of_a_date_is_the_nearest() {
    let at = |date: &str, time: &str, near: u64| {
        let request = purchase_with("0200", &[(12, time.as_bytes()), (13, date.as_bytes())]);
        let trace = translate::trace(request.view()).unwrap();
        let near = WallTime::from_unix_millis(near * 1000);
        let local = local_time(&trace, &leg(), near);
        std::string::String::from_utf8(local.to_vec()).unwrap()
    };
    // 31 December 2026, 23:30 UTC, and an hour later.
    let (before, after) = (1_798_759_800, 1_798_763_400);
    assert_eq!(at("0101", "013000", before), "270101013000");
    assert_eq!(at("1231", "233000", before), "261231233000");
    assert_eq!(at("1231", "183000", after), "261231183000");
    assert_eq!(at("0101", "003000", after), "270101003000");
    // 29 February 2028.
    assert_eq!(at("0229", "120000", 1_835_438_400), "280229120000");
    // Without a date of its own, the time of the leg.
    let request = purchase_with("0200", &[(12, b""), (13, b"")]);
    let trace = translate::trace(request.view()).unwrap();
    assert_eq!(&local_time(&trace, &leg(), NOW), b"260601120001");
}

/// How an issuer's answer in one dialect is told in another.
fn told(issuer: &'static Dialect, said: &[(u8, &[u8])], acquirer: &'static Dialect) -> Message {
    let answer = Message::new(issuer, {
        let mti = if issuer.version() == Version::Iso1993 {
            "1210"
        } else {
            "0210"
        };
        written(issuer, mti, said)
    });
    let mut scratch = [0; 1024];
    let answer = translate::issuer_answer(answer.view(), &CodeMap::STANDARD, &mut scratch);
    let mti = if acquirer.version() == Version::Iso1993 {
        "1200"
    } else {
        "0200"
    };
    let request = of_edition(acquirer, mti, &[]);
    let mut out = [0; 2048];
    let written = translate::write_answer(acquirer, request.view(), &answer.unwrap(), &mut out);
    Message::new(acquirer, out[..written.unwrap()].to_vec())
}

#[test]
fn an_answer_is_told_in_the_acquirers_edition() {
    let of_1993 = |said: &[(u8, &[u8])]| told(Dialect::ISO93_ASCII, said, Dialect::ISO87_ASCII);
    // DE28 and DE30 mean other things in 1987, DE58 and DE95 too.
    let answer = of_1993(&[
        (11, b"700001"),
        (15, b"260602"),
        (28, b"260602"),
        (30, b"000000001500000000001500"),
        (38, b"A1B2C3"),
        (39, b"000"),
        (54, b"0002404C000000001500"),
        (58, b"12345678901"),
        (95, b"123456789012345678901234567890123456789012"),
    ]);
    let expected = [
        (11, "000042"),
        (15, "0602"),
        (38, "A1B2C3"),
        (39, "00"),
        (49, "404"),
    ];
    check(&answer, "0210", &expected, &[28, 30, 58, 95]);
    assert_eq!(text(&answer, 54).as_deref(), Some("0002404C000000001500"));

    let of_1987 = |said: &[(u8, &[u8])]| told(Dialect::ISO87_BCD, said, Dialect::ISO93_ASCII);
    let answer = of_1987(&[(11, b"700001"), (15, b"0602"), (39, b"51"), (44, b"note")]);
    let expected = [
        (11, "000042"),
        (15, "260602"),
        (39, "116"),
        (44, "note"),
        (49, "KES"),
    ];
    check(&answer, "1210", &expected, &[13]);

    let same = told(
        Dialect::ISO93_ASCII,
        &[(11, b"700001"), (28, b"260602"), (39, b"126")],
        Dialect::ISO93_BCD,
    );
    check(&same, "1210", &[(28, "260602"), (39, "126")], &[]);
}

#[test]
fn the_settlement_date_gets_the_year_of_the_request() {
    let check = |request: &[u8], settled: &[u8], expected: &[u8]| {
        let request = of_edition(Dialect::ISO93_ASCII, "1200", &[(12, request)]);
        let (dated, part) = settlement_date(settled, request.view()).unwrap();
        assert_eq!(&dated[part], expected);
    };
    check(b"260601150000", b"0602", b"260602");
    check(b"261231235900", b"0101", b"270101");
    check(b"270101000500", b"1231", b"261231");
    check(b"000101000500", b"1231", b"991231");
    check(b"991231235900", b"0101", b"000101");
    check(b"260601150000", b"260602", b"0602");
}

/// What acknowledges something else is no approval of a purchase, whatever 1987 would write.
#[test]
fn an_acknowledgement_is_no_approval() {
    for code in ["400", "480", "500", "800", "900", "901"] {
        for acquirer in [Dialect::ISO87_ASCII, Dialect::ISO93_ASCII] {
            let said = [(11, &b"700001"[..]), (39, code.as_bytes())];
            let answer = told(Dialect::ISO93_ASCII, &said, acquirer);
            let declined = if acquirer == Dialect::ISO87_ASCII {
                "05"
            } else {
                "100"
            };
            assert_eq!(text(&answer, 39).as_deref(), Some(declined), "{code}");
        }
    }
}

#[test]
fn what_is_acknowledged_is_told_by_its_class() {
    for (mti, answer, code) in [
        ("1400", "1410", "400"),
        ("1421", "1430", "400"),
        ("1120", "1130", "900"),
        ("1221", "1230", "900"),
        ("1200", "1210", "000"),
    ] {
        let request = of_edition(Dialect::ISO93_ASCII, mti, &[]);
        let mut out = [0; 1024];
        let approved = ResponseCode::APPROVED;
        let dialect = Dialect::ISO93_ASCII;
        let len = translate::write_acknowledgement(dialect, request.view(), approved, &mut out);
        let written = Message::new(dialect, out[..len.unwrap()].to_vec());
        check(&written, answer, &[(39, code)], &[]);
    }
}

fn facts(request: &Message) -> Facts {
    let fields = translate::request(request.view()).unwrap();
    Facts {
        acquirer: AcquirerId(0),
        class: fields.class,
        slot: Slot(0),
        key: DuplicateKey(0),
        content: ContentHash(0),
        trace_key: TraceKey(0),
        account: Account {
            token: PanToken([0; 16]),
            token_key: TokenKeyId::FIRST,
            masked: fields.account.masked(),
            sealed: SealedPan {
                key_id: 0,
                nonce: [0; 12],
                ciphertext: [0; 20],
                tag: [0; 16],
            },
        },
        amount: fields.amount,
        processing_code: fields.processing_code,
        merchant_category: fields.merchant_category,
        entry_mode: fields.entry_mode,
        trace: fields.trace,
    }
}

fn owed(
    facts: &Facts,
    to: &'static Dialect,
    transmission: Transmission,
    kept: Option<u64>,
) -> Message {
    let (leg, forwarding) = (leg(), forwarding());
    let reversal = IssuerReversal {
        facts,
        account: b"5061001234567890",
        original: MessageKind::Request,
        leg: &leg,
        stan: leg.stan,
        form: translate::ReversalForm::Advice,
        forwarding: &forwarding,
        amount: facts.amount,
        replacement: kept.map(|minor| Amount::new(minor, Currency::KES).unwrap()),
        decided: NOW,
        cause: ReversalCause::Requested,
        reason: None,
        reason_field: translate::ReasonField::of_dialect(to),
        transmission,
        transmitted: TransmissionTime::from_number(601_120_003),
    };
    let mut out = [0; 2048];
    let len = translate::write_reversal(to, &reversal, &mut out).unwrap();
    Message::new(to, out[..len].to_vec())
}

/// Whatever the acquirer speaks, the issuer of 1993 gets DE56 with what it was sent, and reads it.
#[test]
fn a_reversal_names_its_original_in_the_issuers_edition() {
    for from in [
        Dialect::ISO87_ASCII,
        Dialect::ISO87_BCD,
        Dialect::ISO93_ASCII,
    ] {
        let mti = if from.version() == Version::Iso1993 {
            "1100"
        } else {
            "0100"
        };
        let request = of_edition(from, mti, &[]);
        let facts = facts(&request);
        for to in of_1993() {
            let first = owed(&facts, to, Transmission::First, None);
            let expected = [
                (4, "000000001500"),
                (7, "0601120003"),
                (11, "700001"),
                (12, "260601150000"),
                (24, "400"),
                (25, "4000"),
                (26, "5411"),
                (37, "615212000042"),
                (56, "11007000012606011500001100000123456"),
            ];
            check(&first, "1420", &expected, &[30, 90, 95]);
            let read = translate::reversal(first.view()).unwrap();
            assert_eq!(read.original.stan, leg().stan);
            assert_eq!(read.original.class, Some(MessageClass::Authorisation));
            assert_eq!(read.original_local.as_str(), "0601150000");
            assert_eq!((read.amount, read.replacement), (facts.amount, None));
            let sent = forwarded(&request, to);
            assert_eq!(text(&sent, 12), text(&first, 12), "as the request had it");

            let again = owed(&facts, to, Transmission::Repeat, None);
            check(&again, "1421", &expected, &[]);
            let partial = owed(&facts, to, Transmission::First, Some(600));
            let expected = [
                (4, "000000000600"),
                (24, "401"),
                (25, "4004"),
                (30, "000000001500000000000000"),
            ];
            check(&partial, "1420", &expected, &[95]);
            let read = translate::reversal(partial.view()).unwrap();
            assert_eq!(read.amount, facts.amount);
            assert_eq!(read.replacement.map(Amount::minor), Some(600));
        }
        let of_1987 = owed(&facts, Dialect::ISO87_ASCII, Transmission::First, Some(600));
        let expected = [
            (4, "000000001500"),
            (90, "010070000106011200010000012345600000000999"),
            (95, "000000000600000000000000000000000000000000"),
        ];
        check(&of_1987, "0420", &expected, &[24, 30, 56]);
    }
}

#[test]
fn a_reversal_of_1993_is_read() {
    let of = |mti: &str, changes: &[(u8, &[u8])]| {
        let message = of_edition(Dialect::ISO93_ASCII, mti, changes);
        translate::reversal(message.view()).map_err(|error| error.field)
    };
    for mti in ["1400", "1401", "1420", "1421"] {
        let read = of(mti, &[(24, b"400"), (56, b"120000004126060114590000")]).unwrap();
        assert_eq!(read.original.stan.number(), 41);
        assert_eq!(read.original.class, Some(MessageClass::Financial));
        assert_eq!(read.original.transmitted, None);
        assert_eq!(read.original_local.as_str(), "0601145900");
        assert_eq!(read.version, Version::Iso1993);
    }
    // What does not name one means the original of its own STAN.
    for other in [
        &b"0200000041260601145900"[..],
        b"12000000",
        b"140000004126060114590000",
    ] {
        let read = of("1420", &[(24, b"400"), (56, other)]).unwrap();
        assert_eq!(
            (read.original.stan.number(), read.original.class),
            (42, None)
        );
    }
    let partial: &[(u8, &[u8])] = &[(24, b"401"), (30, b"000000001500000000001500")];
    let read = of("1420", &[partial, &[(4, b"000000000600")]].concat()).unwrap();
    assert_eq!(read.amount.minor(), 1_500);
    assert_eq!(read.replacement.map(Amount::minor), Some(600));
    assert_eq!(of("1420", &[(24, b"401")]).unwrap_err(), 30);
    let all = of("1420", &[(24, b"400"), (30, b"000000001600000000001500")]).unwrap();
    assert_eq!((all.amount.minor(), all.replacement), (1_500, None));
    assert_eq!(of("0420", &[(24, b"400")]).unwrap_err(), 0);
    assert_eq!(of("1430", &[(24, b"400")]).unwrap_err(), 0);
}

#[test]
fn a_request_of_1993_may_have_no_transmission_time() {
    let request = of_edition(Dialect::ISO93_ASCII, "1200", &[(7, b"")]);
    let read = translate::request(request.view()).unwrap();
    assert!(!read.trace.transmitted.is_known());
    assert_eq!(read.trace.local_date.as_str(), "0601");
    assert_eq!(read.trace.local_time.as_str(), "150000");
    assert_eq!(read.amount.currency(), Currency::KES);
    assert_eq!(read.point_of_service.as_str(), "511101513344");
    assert!(read.entry_mode.is_empty());
    assert_eq!(read.merchant_category.as_str(), "5411");
    for (number, value) in [(12, &b""[..]), (49, b"XQX"), (49, b"000")] {
        let request = of_edition(Dialect::ISO93_ASCII, "1200", &[(number, value)]);
        let error = translate::request(request.view()).unwrap_err();
        assert_eq!(error.field, number);
    }
    let of_1987 = of_edition(Dialect::ISO93_ASCII, "0200", &[]);
    assert_eq!(translate::request(of_1987.view()).unwrap_err().field, 0);
}

//= docs/rules.md#A-10
/// A completion request names its original as the issuer knows it, in the field of its edition,
/// whatever its acquirer has written there, or nothing.
#[test]
fn what_a_request_completes_is_named_as_its_issuer_knows_it() {
    let completed = Completed {
        transaction: TransactionId(1),
        class: MessageClass::Authorisation,
        kind: MessageKind::Request,
        stan: Stan::new(699_999).unwrap(),
        transmitted: TransmissionTime::from_number(601_115_931),
        local: TransmissionTime::from_number(601_145_931),
        extent: Extent::Whole,
    };
    let named_87 = "010069999906011159310000062812300000000999";
    let named_93 = "110069999926060114593106628123";
    let own_87: &[u8] = b"020000004206011200000000000000000000000000";
    let own_93: &[u8] = b"120000004226060112000000";
    let (of_1987, of_1993) = (Dialect::ISO87_ASCII, Dialect::ISO93_ASCII);
    let institution: (u8, &[u8]) = (32, b"628123");
    for (from, mti, named) in [
        (of_1987, "0202", Some((90, own_87))),
        (of_1987, "0203", None),
        (of_1993, "1202", Some((56, own_93))),
        (of_1993, "1203", None),
    ] {
        let mut changes = Vec::from([institution]);
        changes.extend(named);
        let sent = of_edition(from, mti, &changes);
        let read = translate::completion(sent.view()).unwrap().unwrap();
        let stan = read.original.map(|original| original.stan);
        assert_eq!(stan, named.map(|_| Stan::new(42).unwrap()), "{mti}");
        let going = forwarded_as(&sent, of_1987, Some(&completed));
        check(&going, "0202", &[(11, "700001"), (90, named_87)], &[56]);
        let going = forwarded_as(&sent, of_1993, Some(&completed));
        check(&going, "1202", &[(11, "700001"), (56, named_93)], &[90]);
        // An acquirer of 1993 says itself what it means.
        for (extent, told) in [
            (Extent::Unknown, "200"),
            (Extent::Whole, "201"),
            (Extent::Other, "202"),
        ] {
            let completed = Completed {
                extent,
                ..completed
            };
            let going = forwarded_as(&sent, of_1993, Some(&completed));
            let function = if from == of_1993 { "200" } else { told };
            assert_eq!(
                text(&going, 24).as_deref(),
                Some(function),
                "{mti} {extent:?}"
            );
        }
    }
}

#[test]
fn only_a_financial_request_of_that_origin_completes() {
    for mti in ["0200", "0201", "0100", "0102", "0220", "0222", "0204"] {
        let sent = of_edition(Dialect::ISO87_ASCII, mti, &[]);
        assert_eq!(translate::completion(sent.view()), Ok(None), "{mti}");
    }
}
