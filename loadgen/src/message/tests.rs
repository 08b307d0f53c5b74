//! Messages against the codec's own reading of them.

use iso8583::{FieldIndex, translate};

use super::*;
use crate::cards::{CardSet, Skew};

const WIRE: Wire = Wire::PLAIN;

fn draft() -> Draft {
    let skew = Skew {
        exponent: 0.0,
        shift: 1.0,
    };
    let cards = CardSet::new(&["411111".to_owned()], 10, skew).unwrap();
    Draft {
        mti: Mti::FINANCIAL_REQUEST,
        echo: Echo {
            card: cards.card(3),
            processing_code: *b"000000",
            amount: *b"000000012345",
            transmitted: *b"0115101500",
            stan: *b"000042",
            local: *b"260115131500",
            institution: InstitutionId::new("DE32", b"628123").unwrap(),
            rrn: *b"601510000042",
            terminal: *b"KE000007",
            merchant: *b"KE5411000000001",
            currency: *b"404",
        },
        category: *b"5411",
        place: *b"BARAKA SUPERMARKET       NAIROBI      KE",
        chip: Some(99),
        track2: true,
        authorisation: None,
        completes: None,
    }
}

fn read(frame: &[u8], index: &mut FieldIndex) {
    let header = WIRE.message_at();
    WIRE.dialect.parse(&frame[header..], index).unwrap();
}

#[test]
fn a_request_is_what_the_codec_reads() {
    for (chip, track2) in [
        (None, false),
        (None, true),
        (Some(1), false),
        (Some(1), true),
    ] {
        let draft = Draft {
            chip,
            track2,
            ..draft()
        };
        let mut frame = Vec::new();
        draft.write(WIRE, &mut frame).unwrap();
        let mut index = FieldIndex::new();
        read(&frame, &mut index);
        let message = MessageRef::new(&frame[2..], &index);
        let fields = translate::request(message).unwrap();
        assert_eq!(fields.account.expose_digits(), draft.echo.card.digits());
        assert_eq!(fields.amount.minor(), 12_345);
        assert_eq!(message.field(35).is_some(), track2);
        assert_eq!(message.field(55).is_some(), chip.is_some());
    }
}

#[test]
fn a_reversal_names_its_original() {
    let draft = draft();
    let reversal = ReversalDraft {
        echo: Echo {
            stan: *b"000043",
            ..draft.echo
        },
        original: Original::of(draft.mti, &draft.echo),
        stays: None,
        category: draft.category,
    };
    let mut frame = Vec::new();
    reversal.write(WIRE, &mut frame).unwrap();
    let mut index = FieldIndex::new();
    read(&frame, &mut index);
    let message = MessageRef::new(&frame[2..], &index);
    let fields = translate::reversal(message).unwrap();
    assert_eq!(fields.original.stan.number(), 42);
    assert_eq!(fields.trace.stan.number(), 43);
    assert_eq!(
        fields.original.transmitted.unwrap().digits(),
        *b"0115101500"
    );
    assert_eq!(fields.replacement, None);
}

#[test]
fn a_repeat_differs_in_one_digit_in_every_form_of_the_type() {
    for (dialect, place) in [
        (Dialect::ISO87_ASCII, 5),
        (Dialect::ISO87_BCD, 3),
        (Dialect::ISO87_EBCDIC, 5),
    ] {
        let wire = Wire { dialect, ..WIRE };
        let mut frame = Vec::new();
        draft().write(wire, &mut frame).unwrap();
        let first = frame.clone();
        mark_repeat(wire, &mut frame);
        let differing: Vec<usize> = (0..frame.len())
            .filter(|place| frame[*place] != first[*place])
            .collect();
        assert_eq!(differing, [place], "{dialect:?}");
        let mut index = FieldIndex::new();
        assert_eq!(dialect.parse(&frame[2..], &mut index), Ok(()));
        assert_eq!(index.mti(), Mti::FINANCIAL_REQUEST.repeat());
    }
}

#[test]
fn an_answer_that_changes_an_echoed_field_is_seen() {
    let draft = draft();
    let mut frame = Vec::new();
    draft.write(WIRE, &mut frame).unwrap();
    let mut index = FieldIndex::new();
    read(&frame, &mut index);
    let answer = |change: Option<(u8, &[u8])>, leave_out: Option<u8>| {
        let request = MessageRef::new(&frame[2..], &index);
        let mut out = vec![0; 512];
        let mut writer = Writer::new(WIRE.dialect, Mti::FINANCIAL_RESPONSE, &mut out);
        for number in [2, 3, 4, 7, 11, 12, 13, 32, 37, 39, 41, 42, 49] {
            match change {
                Some((changed, value)) if changed == number => {
                    writer.put(number, value).unwrap();
                }
                _ if leave_out == Some(number) => {}
                _ if number == 39 => writer.put(39, b"00").unwrap(),
                _ => writer.copy(number, request).unwrap(),
            }
        }
        let len = writer.finish().unwrap();
        out.truncate(len);
        out
    };
    let check = |change, leave_out, partial, differs: Option<u8>| {
        let bytes = answer(change, leave_out);
        let mut index = FieldIndex::new();
        WIRE.dialect.parse(&bytes, &mut index).unwrap();
        let view = MessageRef::new(&bytes, &index);
        assert_eq!(draft.echo.differs(view, partial), differs);
    };
    check(None, None, false, None);
    check(Some((37, b"601510000043")), None, false, Some(37));
    check(Some((4, b"000000012346")), None, false, Some(4));
    check(None, Some(49), false, Some(49));
    check(None, Some(49), true, None);
    check(None, Some(41), true, Some(41));
}

fn of_1993() -> Wire {
    let dialect = Dialect::by_name("iso93-ascii").unwrap();
    Wire { dialect, ..WIRE }
}

/// Calls `look` with the message as the codec reads it, in both editions.
fn in_both(write: impl Fn(Wire) -> Vec<u8>, look: impl Fn(MessageRef<'_>)) {
    for wire in [WIRE, of_1993()] {
        let frame = write(wire);
        let mut index = FieldIndex::new();
        wire.dialect.parse(&frame[2..], &mut index).unwrap();
        let message = MessageRef::new(&frame[2..], &index);
        assert_eq!(message.check_requirements(), Ok(()));
        assert_eq!(message.mti().version(), wire.version());
        look(message);
    }
}

fn written(draft: &Draft, wire: Wire) -> Vec<u8> {
    let mut frame = Vec::new();
    draft.write(wire, &mut frame).unwrap();
    frame
}

#[test]
fn a_completion_names_its_original_in_both_editions() {
    let held = Draft {
        mti: Mti::AUTHORISATION_REQUEST,
        ..draft()
    };
    for (mti, amount) in [
        (Mti::FINANCIAL_ADVICE, b"000000012345"),
        (Mti::FINANCIAL_COMPLETION, b"000000009000"),
    ] {
        let completion = Draft {
            mti,
            echo: Echo {
                stan: *b"000043",
                transmitted: *b"0115101600",
                amount: *amount,
                ..held.echo
            },
            authorisation: Some(*b"A1B2C3"),
            completes: Some(Original::of(held.mti, &held.echo)),
            ..held.clone()
        };
        in_both(
            |wire| written(&completion, wire),
            |message| {
                let (named, is_told) = match translate::completion(message).unwrap() {
                    Some(asked) => (asked.original, asked.authorisation.as_str() == "A1B2C3"),
                    None => {
                        let advice = translate::advice(message).unwrap();
                        let reported = advice.reported.unwrap();
                        (advice.original, reported.is_approval())
                    }
                };
                assert_eq!(named.unwrap().stan.number(), 42);
                assert!(is_told);
                if message.mti().version() == Version::Iso1993 {
                    let whole = *amount == held.echo.amount;
                    let function = if whole { b"201" } else { b"202" };
                    assert_eq!(message.field(24), Some(&function[..]));
                }
            },
        );
    }
}

#[test]
fn a_reversal_says_what_stays_in_both_editions() {
    let draft = draft();
    let check = |stays: Option<[u8; 12]>, minor: Option<u64>| {
        let write = |wire: Wire| {
            let amount = match (wire.version(), stays) {
                (Version::Iso1993, Some(stays)) => stays,
                _ => draft.echo.amount,
            };
            let reversal = ReversalDraft {
                echo: Echo {
                    stan: *b"000043",
                    amount,
                    ..draft.echo
                },
                original: Original::of(draft.mti, &draft.echo),
                stays,
                category: draft.category,
            };
            let mut frame = Vec::new();
            reversal.write(wire, &mut frame).unwrap();
            frame
        };
        in_both(write, |message| {
            let fields = translate::reversal(message).unwrap();
            assert_eq!(fields.amount.minor(), 12_345);
            assert_eq!(fields.replacement.map(|stays| stays.minor()), minor);
            assert_eq!(fields.original.stan.number(), 42);
        });
    };
    check(None, None);
    check(Some(*b"000000001200"), Some(1_200));
}

#[test]
fn a_request_and_an_advice_of_1993_are_what_the_codec_reads() {
    let advice = Draft {
        mti: Mti::AUTHORISATION_ADVICE,
        authorisation: Some(*b"123456"),
        ..draft()
    };
    let wire = of_1993();
    in_both(
        |wire| written(&draft(), wire),
        |message| {
            let fields = translate::request(message).unwrap();
            assert_eq!(fields.trace.local_time.as_str(), "131500");
            assert_eq!(fields.trace.local_date.as_str(), "0115");
            assert_eq!(draft().echo.differs(message, false), None);
        },
    );
    in_both(
        |wire| written(&advice, wire),
        |message| assert!(translate::advice(message).unwrap().original.is_none()),
    );
    assert_eq!(wire.mti(Mti::REVERSAL_ADVICE).as_bytes(), b"1420");
}
