//! Tests of `record`.

use proptest::prelude::*;

use super::*;
use crate::testing::{intent, sample, small};
use domain::ResponseCode;
use domain::message_reason::MessageReason;
use domain::record::{Outcome, OutcomeKind, ReversalCause, SafOwed};
use domain::request::{Answer, DuplicateKey};
use domain::time::WallTime;

fn encoded(record: &Record<'_>, lsn: Lsn) -> Vec<u8> {
    let mut bytes = vec![0xEE; encoded_len(record)];
    let len = encode(record, lsn, &mut bytes).unwrap();
    assert_eq!(len, bytes.len());
    bytes
}

proptest! {
    #[test]
    fn every_record_comes_back_as_it_went(seed: u64, lsn: u64) {
        let record = sample(seed);
        let mut bytes = encoded(&record, Lsn(lsn));
        let len = bytes.len();
        prop_assert!(len.is_multiple_of(RECORD_ALIGN));
        bytes.extend_from_slice(b"what follows");
        let decoded = decode(&bytes).unwrap();
        prop_assert_eq!(decoded, Decoded { lsn: Lsn(lsn), record, carriage: Carriage::Fresh, len });
        prop_assert_eq!(peek(&bytes), Some((Lsn(lsn), len)));
    }

    #[test]
    fn a_record_reads_the_same_wherever_it_lies(seed: u64, shift in 0_usize..16) {
        let record = sample(seed);
        let mut bytes = vec![0; shift];
        bytes.extend(encoded(&record, Lsn(5)));
        prop_assert_eq!(decode(&bytes[shift..]).unwrap().record, record);
    }

    #[test]
    fn arbitrary_bytes_are_never_a_record(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(decode(&bytes).is_err());
    }

    /// The header's own fields are covered by the batch; what lies behind it is covered here.
    #[test]
    fn a_flipped_bit_of_payload_or_padding_is_seen(seed: u64, at: usize, bit in 0_u8..8) {
        let mut bytes = encoded(&sample(seed), Lsn(1));
        let at = RECORD_HEADER_LEN + at % (bytes.len() - RECORD_HEADER_LEN);
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn a_payload_that_was_written_wrong_is_an_error_and_not_a_panic(
        seed: u64,
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = encoded(&sample(seed), Lsn(1));
        let end = bytes.len().min(RECORD_HEADER_LEN + body.len());
        bytes[RECORD_HEADER_LEN..end].copy_from_slice(&body[..end - RECORD_HEADER_LEN]);
        let payload_len = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
        let payload = &bytes[RECORD_HEADER_LEN..RECORD_HEADER_LEN + payload_len];
        let checksum = crc32c::crc32c(payload);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        // A payload without a single impossible value may be a record; whatever is read writes the
        // same bytes again.
        if let Ok(decoded) = decode(&bytes) {
            prop_assert_eq!(encoded(&decoded.record, Lsn(1)), bytes);
        }
    }
}

/// What an issuer of 1993 sent takes the two bytes that a code of 1987 takes.
#[test]
fn an_outcome_keeps_what_the_issuer_sent() {
    let code = |digits: &str| ResponseCode::read(digits.as_bytes()).unwrap();
    let check = |told: ResponseCode, issuer_code, expected: (&str, Option<&str>)| {
        let record = Record::Outcome(Outcome {
            transaction: intent(1).transaction(),
            decided: WallTime::from_unix_millis(5),
            kind: OutcomeKind::Answered,
            answer: Answer::of(told),
            issuer_code,
        });
        let bytes = encoded(&record, Lsn(1));
        let Record::Outcome(read) = decode(&bytes).unwrap().record else {
            panic!("it was an outcome");
        };
        let expected = (code(expected.0), expected.1.map(code));
        assert_eq!((read.answer.code, read.issuer_code), expected);
        assert_eq!(encoded(&Record::Outcome(read), Lsn(1)), bytes);
    };
    check(code("116").internal(), None, ("51", Some("116")));
    check(code("51").internal(), None, ("51", None));
    check(code("126").internal(), None, ("126", None));
    check(code("1016").internal(), None, ("51", Some("1016")));
    let partial = code("002").internal();
    check(code("05"), Some(partial), ("05", Some("002")));
    check(code("05"), Some(code("10")), ("05", Some("10")));
}

#[test]
fn every_prefix_is_too_short() {
    for seed in 0..50 {
        let bytes = encoded(&sample(seed), Lsn(1));
        for cut in 0..bytes.len() {
            assert_eq!(
                decode(&bytes[..cut]),
                Err(RecordError::Short),
                "seed {seed}, cut {cut}"
            );
        }
    }
}

#[test]
fn a_buffer_that_is_too_short_is_refused() {
    let record = intent(1);
    for len in 0..encoded_len(&record) {
        let refused = encode(&record, Lsn(1), &mut vec![0; len]);
        assert_eq!(refused, Err(EncodeError::NoRoom), "length {len}");
    }
}

#[test]
fn an_answer_over_its_bound_is_refused() {
    let Record::Outcome(mut outcome) = (0..)
        .map(sample)
        .find(|record| matches!(record, Record::Outcome(_)))
        .unwrap()
    else {
        panic!("an outcome was looked for");
    };
    let fields = [1; 1025];
    outcome.answer.fields = &fields;
    let refused = encode(&Record::Outcome(outcome), Lsn(1), &mut [0; 4096]);
    assert_eq!(refused, Err(EncodeError::TooLong));
}

#[test]
fn a_record_is_written_in_the_oldest_version_that_holds_it() {
    let owed = |reason| {
        Record::SafOwed(SafOwed {
            transaction: intent(1).transaction(),
            decided: WallTime::from_unix_millis(5),
            cause: ReversalCause::Requested,
            key: DuplicateKey(9),
            replacement: None,
            reason,
        })
    };
    let check = |reason, version: u8, len| {
        let record = owed(reason);
        let mut bytes = encoded(&record, Lsn(1));
        assert_eq!((bytes[2], bytes.len()), (version, RECORD_HEADER_LEN + len));
        assert_eq!(decode(&bytes).unwrap().record, record);
        // Each is read as what it says it is.
        bytes[2] = 3 - version;
        assert_eq!(decode(&bytes), Err(RecordError::Length));
    };
    check(None, 1, 40);
    check(Some(MessageReason::TIMEOUT), 2, 48);
}

#[test]
fn types_and_versions_that_are_not_known_are_named() {
    let check = |at: usize, value: u8, expected| {
        let mut bytes = encoded(&small(1), Lsn(1));
        bytes[at] = value;
        assert_eq!(decode(&bytes), Err(expected), "byte {at}");
    };
    check(
        2,
        2,
        RecordError::Unknown {
            kind: 7,
            version: 2,
        },
    );
    check(
        4,
        11,
        RecordError::Unknown {
            kind: 11,
            version: 1,
        },
    );
    check(
        4,
        0,
        RecordError::Unknown {
            kind: 0,
            version: 1,
        },
    );
    // An intent is longer than a late response.
    check(4, 1, RecordError::Length);
    check(0, b'x', RecordError::Header);
    check(6, 2, RecordError::Header);
    check(7, 1, RecordError::Header);
}

/// The bytes are the format: this test may only be added to.
#[test]
fn the_bytes_of_a_record_are_as_documented() {
    let bytes = encoded(&small(0x0102_0304), Lsn(0x0A0B));
    let expected = [
        "6a52",
        "0100",
        "0700",
        "0000",
        "10000000",
        "",
        "0b0a000000000000",
        "00000000000000000000000001020304",
        "0403020100000000",
        "0700",
        "3030",
        "00000000",
    ];
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (before, rest) = hex.split_at(24);
    let (_checksum, after) = rest.split_at(8);
    assert_eq!(format!("{before}{after}"), expected.concat());
}

#[test]
fn no_record_is_near_the_bound() {
    let longest = (0..5_000).map(|seed| encoded_len(&sample(seed))).max();
    assert!(longest < Some(RECORD_BYTES_MAX / 16));
}

#[test]
fn what_is_carried_over_says_so_and_other_flags_are_no_record() {
    let record = sample(1);
    let mut bytes = vec![0; RECORD_BYTES_MAX];
    for carriage in [Carriage::Fresh, Carriage::Carried, Carriage::Counted] {
        let len = encode_as(&record, carriage, Lsn(7), &mut bytes).unwrap();
        let decoded = decode(bytes.get(..len).unwrap()).unwrap();
        assert_eq!((decoded.carriage, decoded.record), (carriage, record));
    }
    const FLAGS_AT: usize = 6;
    for flags in [2_u16, 5, 7, 8, 0x100, u16::MAX] {
        bytes[FLAGS_AT..FLAGS_AT + 2].copy_from_slice(&flags.to_le_bytes());
        assert_eq!(decode(&bytes).unwrap_err(), RecordError::Header, "{flags}");
    }
}

#[test]
fn an_address_stands_behind_a_record_and_is_no_part_of_it() {
    let record = sample(3);
    let url = "https://gateway.example/hooks";
    let mut bytes = vec![0xEE; encoded_len_with(&record, Some(url))];
    let fresh = Carriage::Fresh;
    let len = encode_with(&record, (fresh, Some(url)), Lsn(7), &mut bytes).unwrap();
    assert_eq!(len, bytes.len());
    let decoded = decode(&bytes).unwrap();
    assert_eq!((decoded.record, decoded.len), (record, len));
    assert_eq!(callback(&bytes), Some(url));
    assert_eq!(callback(&encoded(&record, Lsn(7))), None);

    let long = "x".repeat(CALLBACK_URL_LEN_MAX + 1);
    let mut out = vec![0; encoded_len_with(&record, Some(&long))];
    let refused = encode_with(&record, (fresh, Some(&long)), Lsn(7), &mut out);
    assert_eq!(refused, Err(EncodeError::TooLong));
    assert!(split_callback(true, &[]).is_err());
    assert!(split_callback(true, &[b'x', 2, 0]).is_err());
    assert!(split_callback(true, &[0, 0]).is_err());
    assert!(split_callback(true, &[0xFF, 1, 0]).is_err());
    assert_eq!(
        split_callback(true, b"ab\x01\0"),
        Ok((&b"a"[..], Some("b")))
    );
}
