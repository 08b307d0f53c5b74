//! Answers, the legs to issuers, and reversals, byte for byte.

use std::format;
use std::vec::Vec;

use domain::bytes::Text;
use domain::code_map::CodeMap;
use domain::currency::Currency;
use domain::ids::{AcquirerId, AuthorisationId, IssuerId, LinkId, RouteId, Slot, Stan};
use domain::pan::{Account, PanToken, SealedPan, TokenKeyId};
use domain::request::{ContentHash, DuplicateKey, MessageClass, TraceKey};

use super::*;
use crate::field::Length;
use crate::message::FieldIndex;
use crate::testing::{Message, purchase_with, raw};
use crate::translate;

const DIALECT: &Dialect = Dialect::ISO87_ASCII;

fn amount(minor: u64) -> Amount {
    Amount::new(minor, Currency::KES).unwrap()
}

pub(in crate::translate) fn written(
    write: impl FnOnce(&mut [u8]) -> Result<usize, WriteError>,
) -> Vec<u8> {
    let mut out = [0; 2048];
    let len = write(&mut out).unwrap();
    out[..len].to_vec()
}

fn answered(request: &Message, answer: &Answer<'_>) -> Message {
    Message::new(
        DIALECT,
        written(|out| write_answer(DIALECT, request.view(), answer, out)),
    )
}

pub(in crate::translate) fn leg() -> IssuerLeg {
    IssuerLeg {
        route: RouteId(0),
        candidate: 0,
        issuer: IssuerId(0),
        link: LinkId(0),
        stan: Stan::new(700_001).unwrap(),
        transmitted: TransmissionTime::from_number(601_120_001),
    }
}

/// 1 June 2026, 12:00:03 UTC.
pub(in crate::translate) fn admitted() -> WallTime {
    WallTime::from_unix_millis(1_780_315_203_000)
}

fn sent_on(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let (leg, forwarding) = (leg(), forwarding());
    let going = IssuerRequest {
        leg: &leg,
        forwarding: &forwarding,
        admitted: admitted(),
        amount: None,
        completed: None,
    };
    write_issuer_request(dialect, request, &going, out)
}

pub(in crate::translate) fn forwarding() -> InstitutionId {
    Text::new("DE33", b"999").unwrap()
}

/// What the switch keeps of the purchase.
pub(in crate::translate) fn facts() -> Facts {
    let message = purchase_with("0200", &[]);
    let fields = translate::request(message.view()).unwrap();
    Facts {
        acquirer: AcquirerId(0),
        class: MessageClass::Financial,
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

#[test]
fn an_answer_echoes_byte_for_byte() {
    for mti in ["0200", "0201"] {
        let request = purchase_with(mti, &[(42, b"SPACES BEHIND  "), (59, b"\x00echo\xFF")]);
        let answer = answered(&request, &Answer::of(ResponseCode::DO_NOT_HONOUR));
        assert_eq!(answer.view().mti(), Mti::FINANCIAL_RESPONSE);
        let echoed = [2, 3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49, 59];
        let others = answer
            .view()
            .present()
            .iter()
            .filter(|number| !echoed.contains(number));
        assert_eq!(others.collect::<Vec<_>>(), [39]);
        for number in echoed {
            assert_eq!(
                answer.view().field(number),
                request.view().field(number),
                "{number}"
            );
        }
        assert_eq!(answer.view().field(39), Some(&b"05"[..]));
    }
}

#[test]
fn a_field_that_was_not_sent_is_not_echoed() {
    let request = purchase_with("0100", &[(2, b""), (12, b""), (37, b"")]);
    let answer = answered(&request, &Answer::of(ResponseCode::APPROVED));
    assert_eq!(answer.view().mti(), Mti::AUTHORISATION_RESPONSE);
    let echoed = [3, 4, 7, 11, 13, 32, 39, 41, 42, 49];
    assert_eq!(answer.view().present().iter().collect::<Vec<_>>(), echoed);
}

#[test]
fn an_answer_carries_what_the_issuer_said() {
    let issuer = purchase_with(
        "0210",
        &[
            (15, b"0602"),
            (38, b"A1B2C3"),
            (39, b"00"),
            (44, b"note"),
            (55, &[0x91, 1, 7]),
        ],
    );
    let mut scratch = [0; 1024];
    let answer = translate::issuer_answer(issuer.view(), &CodeMap::STANDARD, &mut scratch).unwrap();
    let request = purchase_with("0200", &[(11, b"000099"), (37, b"000000000099")]);
    let answer = answered(&request, &answer);
    let value = |number| answer.view().field(number).unwrap();
    assert!(issuer.view().field(63).is_some());
    assert_eq!(
        answer.view().field(63),
        None,
        "it may hold what is not stored"
    );
    assert_eq!(value(11), b"000099");
    assert_eq!(value(37), b"000000000099");
    assert_eq!(
        (value(15), value(38), value(39)),
        (&b"0602"[..], &b"A1B2C3"[..], &b"00"[..])
    );
    assert_eq!((value(44), value(55)), (&b"note"[..], &[0x91, 1, 7][..]));
}

#[test]
fn only_a_partial_approval_changes_the_amount() {
    let request = purchase_with("0200", &[]);
    let check = |code: &[u8], expected: &[u8]| {
        let mut answer = Answer::of(ResponseCode::new(code).unwrap());
        answer.amount = Some(amount(1000));
        assert_eq!(answered(&request, &answer).view().field(4), Some(expected));
    };
    check(b"10", b"000000001000");
    check(b"00", b"000000001500");
    check(b"51", b"000000001500");
}

#[test]
fn a_short_authorisation_is_padded() {
    let mut answer = Answer::of(ResponseCode::APPROVED);
    answer.authorisation = AuthorisationId::new("DE38", b"77").unwrap();
    let answer = answered(&purchase_with("0200", &[]), &answer);
    assert_eq!(answer.view().field(38), Some(&b"77    "[..]));
}

#[test]
fn further_fields_never_displace_the_requesters_own() {
    let further = [
        2, 0, 1, b'9', 11, 0, 6, 9, 9, 9, 9, 9, 9, 44, 0, 1, b'x', 65, 0, 1, b'x',
    ];
    let mut answer = Answer::of(ResponseCode::APPROVED);
    answer.fields = &further;
    let request = purchase_with("0200", &[]);
    let answer = answered(&request, &answer);
    assert_eq!(answer.view().field(2), request.view().field(2));
    assert_eq!(answer.view().field(11), request.view().field(11));
    assert_eq!(answer.view().field(44), Some(&b"x"[..]));
}

#[test]
fn what_is_never_answered() {
    for mti in ["0210", "0110", "0430", "0240", "0810"] {
        let request = purchase_with(mti, &[]);
        let answer = Answer::of(ResponseCode::APPROVED);
        let refused = write_answer(DIALECT, request.view(), &answer, &mut [0; 500]);
        assert_eq!(refused, Err(WriteError::NotAnswerable), "{mti}");
    }
}

#[test]
fn a_reversal_is_acknowledged() {
    for (mti, response) in [("0400", "0410"), ("0421", "0430")] {
        let request = purchase_with(mti, &[(90, &[b'0'; 42])]);
        let code = ResponseCode::APPROVED;
        let bytes = written(|out| write_acknowledgement(DIALECT, request.view(), code, out));
        let answer = Message::new(DIALECT, bytes);
        assert_eq!(format!("{}", answer.view().mti()), response);
        assert_eq!(answer.view().field(39), Some(&b"00"[..]));
        assert_eq!(answer.view().field(90), None);
    }
}

#[test]
fn a_refusal_echoes_what_is_readable_and_names_the_field() {
    let bytes = raw(
        b"0201",
        &[3, 4, 11, 41, 49],
        b"00000x000000001500000042TERM0001404",
    );
    let mut index = FieldIndex::new();
    let error = DIALECT.parse(&bytes, &mut index).unwrap_err();
    let request = MessageRef::new(&bytes, &index);
    let code = ResponseCode::FORMAT_ERROR;
    let refused = |field| written(|out| write_refusal(DIALECT, request, code, field, out));
    let expected = raw(
        b"0210",
        &[4, 11, 39, 41, 44, 49],
        b"00000000150000004230TERM000103003404",
    );
    assert_eq!(refused(Some(error.field)), expected);
    let expected = raw(
        b"0210",
        &[4, 11, 39, 41, 49],
        b"00000000150000004230TERM0001404",
    );
    assert_eq!(refused(None), expected);
}

#[test]
fn the_issuers_leg_has_its_own_trace_and_all_else_of_the_acquirers() {
    let extra: &[(u8, &[u8])] = &[(33, b"111"), (52, &[9; 8]), (64, &[1; 8]), (128, &[2; 8])];
    let request = purchase_with("0201", extra);
    let leg_b = written(|out| sent_on(DIALECT, request.view(), out));
    let leg_b = Message::new(DIALECT, leg_b);
    let own: &[(u8, &[u8])] = &[
        (7, b"0601120001"),
        (11, b"700001"),
        (33, b"999"),
        (52, &[9; 8]),
    ];
    let expected = purchase_with("0200", own);
    assert_eq!(leg_b.bytes, expected.bytes);
}

#[test]
fn the_entry_mode_has_a_fill_where_the_dialect_has_one() {
    let check = |from: &'static Dialect, to: &'static Dialect, value: &[u8], expected: &[u8]| {
        let mut out = [0; 2048];
        let mut writer = Writer::new(from, Mti::AUTHORISATION_REQUEST, &mut out);
        for (number, bytes) in [(4, &b"000000001500"[..]), (22, value), (41, b"TERM0001")] {
            writer.put(number, bytes).unwrap();
        }
        let len = writer.finish().unwrap();
        let request = Message::new(from, out[..len].to_vec());
        let leg_b = written(|out| sent_on(to, request.view(), out));
        let leg_b = Message::new(to, leg_b);
        let mut digits = [0; 4];
        assert_eq!(leg_b.view().decode(22, &mut digits).unwrap(), expected);
        let present: Vec<u8> = leg_b.view().present().iter().collect();
        assert_eq!(present, [4, 7, 11, 22, 33, 41]);
    };
    let (visa, ascii) = (Dialect::VISA_LIKE, Dialect::ISO87_ASCII);
    check(visa, visa, b"0510", b"0510");
    check(visa, ascii, b"0510", b"051");
    check(ascii, visa, b"051", b"0510");
    check(ascii, Dialect::ISO87_ASCII_HEX, b"051", b"051");
}

#[test]
fn a_field_of_the_third_bitmap_alone_is_forwarded() {
    let mut forwarded = 0;
    for dialect in Dialect::ALL {
        let third = dialect
            .rows()
            .map(|row| row.number)
            .filter(|number| *number > 128);
        for number in third.take(3) {
            let mut out = [0; 2048];
            let mut writer = Writer::new(dialect, Mti::FINANCIAL_REQUEST, &mut out);
            let row = dialect.field(number).unwrap();
            let value = match row.length {
                Length::Fixed(len) => std::vec![b'0'; usize::from(len)],
                Length::Var { .. } => std::vec![b'0'; 2],
            };
            writer.put(4, b"000000001500").unwrap();
            writer.put(number, &value).unwrap();
            let len = writer.finish().unwrap();
            let request = Message::new(dialect, out[..len].to_vec());
            let leg_b = written(|out| sent_on(dialect, request.view(), out));
            let leg_b = Message::new(dialect, leg_b);
            let present: Vec<u8> = leg_b.view().present().iter().collect();
            assert_eq!(present, [4, 7, 11, 33, number], "{dialect:?}");
            forwarded += 1;
        }
    }
    assert!(forwarded > 0);
}

#[test]
fn an_issuer_of_another_dialect_gets_the_same_values() {
    let request = purchase_with("0100", &[]);
    let hex = Dialect::ISO87_ASCII_HEX;
    let bytes = written(|out| sent_on(hex, request.view(), out));
    let leg_b = Message::new(hex, bytes);
    let own: &[(u8, &[u8])] = &[(7, b"0601120001"), (11, b"700001"), (33, b"999")];
    assert_eq!(leg_b.values(), purchase_with("0100", own).values());
}

fn reversal_of<'a>(
    facts: &'a Facts,
    leg: &'a IssuerLeg,
    us: &'a InstitutionId,
) -> IssuerReversal<'a> {
    IssuerReversal {
        facts,
        account: b"5061001234567890",
        original: MessageKind::Request,
        leg,
        stan: leg.stan,
        form: ReversalForm::Advice,
        forwarding: us,
        amount: facts.amount,
        replacement: None,
        decided: admitted(),
        cause: ReversalCause::Timeout,
        reason: None,
        reason_field: None,
        transmission: Transmission::First,
        transmitted: TransmissionTime::from_number(601_120_003),
    }
}

//= docs/rules.md#T-16
/// Whoever reads it knows the request by DE7 and DE11, and that it is not to be done again.
#[test]
fn an_inquiry_is_the_repeat_of_its_request() {
    let (leg, us) = (leg(), forwarding());
    for (class, mti, response) in [
        (MessageClass::Authorisation, b"0101", b"0110"),
        (MessageClass::Financial, b"0201", b"0210"),
    ] {
        let facts = Facts { class, ..facts() };
        let inquiry = IssuerInquiry {
            facts: &facts,
            account: b"5061001234567890",
            leg: &leg,
            forwarding: &us,
            amount: facts.amount,
        };
        let bytes = written(|out| write_inquiry(DIALECT, &inquiry, out));
        assert_eq!(&bytes[..4], mti);
        let read = Message::new(DIALECT, bytes);
        assert_eq!(read.view().field(11), Some(&leg.stan.digits()[..]));
        assert_eq!(read.view().field(7), Some(&leg.transmitted.digits()[..]));
        assert_eq!(read.view().field(4), Some(&facts.amount.digits()[..]));
        let answer = Answer::of(ResponseCode::APPROVED);
        let bytes = written(|out| write_answer(DIALECT, read.view(), &answer, out));
        assert_eq!(&bytes[..4], response);
    }
}

#[test]
fn a_reversal_may_be_a_request_with_a_number_of_its_own() {
    let (facts, leg, us) = (facts(), leg(), forwarding());
    for (transmission, mti) in [
        (Transmission::First, b"0400"),
        (Transmission::Repeat, b"0401"),
    ] {
        let reversal = IssuerReversal {
            stan: Stan::new(500_007).unwrap(),
            form: ReversalForm::Request,
            transmission,
            ..reversal_of(&facts, &leg, &us)
        };
        let bytes = written(|out| write_reversal(DIALECT, &reversal, out));
        assert_eq!(&bytes[..4], mti);
        let read = Message::new(DIALECT, bytes);
        assert_eq!(read.view().field(11), Some(b"500007".as_slice()));
        let named = read.view().field(90).unwrap();
        assert_eq!(named[4..10], leg.stan.digits());
    }
}

#[test]
fn a_reversal_names_the_leg_that_it_undoes() {
    let (facts, leg, us) = (facts(), leg(), forwarding());
    let reversal = reversal_of(&facts, &leg, &us);
    let bytes = written(|out| write_reversal(DIALECT, &reversal, out));
    let fields: [(u8, &[u8]); 17] = [
        (2, b"5061001234567890"),
        (3, b"000000"),
        (4, b"000000001500"),
        (7, b"0601120003"),
        (11, b"700001"),
        (12, b"150000"),
        (13, b"0601"),
        (18, b"5411"),
        (22, b"051"),
        (32, b"00000123456"),
        (33, b"999"),
        (37, b"615212000042"),
        (41, b"TERM0001"),
        (42, b"MERCHANT 000001"),
        (49, b"404"),
        (90, b"020070000106011200010000012345600000000999"),
        (95, &[b'0'; 42]),
    ];
    assert_eq!(bytes, crate::testing::written(DIALECT, "0420", &fields));
}

#[test]
fn a_repeated_reversal_differs_in_one_digit() {
    let (facts, leg, us) = (facts(), leg(), forwarding());
    let mut reversal = reversal_of(&facts, &leg, &us);
    let first = written(|out| write_reversal(DIALECT, &reversal, out));
    reversal.transmission = Transmission::Repeat;
    let repeat = written(|out| write_reversal(DIALECT, &reversal, out));
    assert_eq!((&first[..4], &repeat[..4]), (&b"0420"[..], &b"0421"[..]));
    assert_eq!(first[4..], repeat[4..]);
}

#[test]
fn a_reversal_is_read_as_it_was_meant() {
    let (mut facts, leg, us) = (facts(), leg(), forwarding());
    for (class, replacement) in [
        (MessageClass::Financial, None),
        (MessageClass::Authorisation, Some(amount(1000))),
    ] {
        facts.class = class;
        let mut reversal = reversal_of(&facts, &leg, &us);
        reversal.replacement = replacement;
        let message = Message::new(
            DIALECT,
            written(|out| write_reversal(DIALECT, &reversal, out)),
        );
        let read = translate::reversal(message.view()).unwrap();
        assert_eq!(read.replacement, replacement);
        assert_eq!(read.amount, facts.amount);
        assert_eq!(read.account.unwrap().expose_digits(), b"5061001234567890");
        assert_eq!(read.original.stan, leg.stan);
        assert_eq!(read.original.class, Some(class));
        assert_eq!(read.original.transmitted, Some(leg.transmitted));
        assert_eq!(read.original.rrn, facts.trace.rrn);
        assert_eq!(read.trace.transmitted, reversal.transmitted);
    }
}

#[test]
fn a_reversal_of_what_had_no_amount_names_none() {
    let (mut facts, leg, us) = (facts(), leg(), forwarding());
    facts.processing_code = Text::new("DE3", b"310000").unwrap();
    facts.amount = Amount::new(0, Currency::NONE).unwrap();
    for dialect in [DIALECT, Dialect::ISO93_ASCII] {
        let reversal = reversal_of(&facts, &leg, &us);
        let bytes = written(|out| write_reversal(dialect, &reversal, out));
        let message = Message::new(dialect, bytes);
        let present = message.view().present();
        assert!(!present.contains(4) && !present.contains(49), "{present:?}");
        let read = translate::reversal(message.view()).unwrap();
        assert_eq!((read.amount, read.replacement), (facts.amount, None));
    }
}

#[test]
fn a_reversal_of_a_request_with_little_in_it() {
    let (mut facts, leg, us) = (facts(), leg(), forwarding());
    facts.trace.institution = Text::EMPTY;
    facts.trace.merchant = Text::EMPTY;
    facts.trace.rrn = Text::EMPTY;
    facts.trace.local_time = Text::EMPTY;
    facts.merchant_category = Text::EMPTY;
    facts.entry_mode = Text::EMPTY;
    facts.trace.terminal = Text::new("DE41", b"T1").unwrap();
    let reversal = reversal_of(&facts, &leg, &us);
    let message = Message::new(
        DIALECT,
        written(|out| write_reversal(DIALECT, &reversal, out)),
    );
    let present = [2, 3, 4, 7, 11, 13, 33, 41, 49, 90, 95];
    assert_eq!(message.view().present().iter().collect::<Vec<_>>(), present);
    assert_eq!(message.view().field(41), Some(&b"T1      "[..]));
    let original = message.view().field(90).unwrap();
    assert_eq!(original, b"020070000106011200010000000000000000000999");
    let shown = format!("{reversal:?}");
    assert!(!shown.contains("1234567"), "{shown}");
}

#[test]
fn a_buffer_that_is_too_small_is_full() {
    let request = purchase_with("0200", &[]);
    let answer = Answer::of(ResponseCode::APPROVED);
    let further = Answer {
        fields: &[104, 0, 3, b'a', b'b', b'c'],
        ..answer
    };
    for answer in [answer, further] {
        let whole = written(|out| write_answer(DIALECT, request.view(), &answer, out)).len();
        for len in 0..whole {
            let mut out = std::vec![0; len];
            let result = write_answer(DIALECT, request.view(), &answer, &mut out);
            assert_eq!(result, Err(WriteError::Full), "{len} of {whole} bytes");
        }
    }
}
