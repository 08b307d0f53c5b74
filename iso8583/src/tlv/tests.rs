//! Elements by hand, hostile ones, and what holds of any bytes.

use std::format;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::TlvRule::{IndefiniteLength, LengthTooLong, TagTooLong, TooDeep, Truncated};
use super::*;

#[track_caller]
fn check_row(bytes: &[u8], expected: &[(u32, &[u8])]) {
    let read: Vec<_> = elements(bytes).map(Result::unwrap).collect();
    let plain: Vec<_> = read.iter().map(|one| (one.tag, one.value)).collect();
    assert_eq!(plain, expected);
    let mut again: Vec<u8> = read.iter().flat_map(|one| one.bytes).copied().collect();
    again.resize(bytes.len(), 0);
    assert_eq!(again, bytes, "only padding is behind the last element");
    assert_eq!(check(bytes), Ok(()));
}

/// The rows that `walk` gives: depth, tag, offset.
#[track_caller]
fn check_walk(bytes: &[u8], expected: &[(usize, u32, u32)]) {
    let read: Vec<_> = walk(bytes).map(Result::unwrap).collect();
    let plain: Vec<_> = read
        .iter()
        .map(|(depth, one)| (*depth, one.tag, one.offset))
        .collect();
    assert_eq!(plain, expected);
    assert_eq!(check(bytes), Ok(()));
}

/// All ways of reading end with this fault.
#[track_caller]
fn check_fault(bytes: &[u8], offset: u32, rule: TlvRule) {
    let error = TlvError { offset, rule };
    assert_eq!(walk(bytes).last().and_then(Result::err), Some(error));
    assert_eq!(check(bytes), Err(error));
    let mut walk = walk(bytes);
    assert!(walk.any(|one| one.is_err()));
    assert!(walk.next().is_none(), "nothing is read behind a fault");
}

#[test]
fn tags_of_one_to_four_bytes_and_all_lengths_are_read() {
    check_row(&[0x91, 2, 0xAA, 0xBB], &[(0x91, &[0xAA, 0xBB])]);
    check_row(&[0x9F, 0x36, 1, 7, 0x8A, 0], &[(0x9F36, &[7]), (0x8A, &[])]);
    check_row(&[0xDF, 0x81, 0x01, 1, 7], &[(0xDF_8101, &[7])]);
    check_row(&[0xDF, 0x81, 0x82, 0x03, 1, 7], &[(0xDF81_8203, &[7])]);
    check_row(&[0xFF, 0x81, 0x05, 0], &[(0xFF_8105, &[])]);
    check_row(&[], &[]);
    for len in [0_usize, 1, 127, 128, 255] {
        let (value, short) = (std::vec![7; len], u8::try_from(len).unwrap());
        for header in [&[0x5A, 0x81, short][..], &[0x5A, 0x82, 0, short]] {
            check_row(&[header, &value].concat(), &[(0x5A, &value)]);
        }
    }
}

#[test]
fn duplicates_and_empty_values_are_kept_in_order() {
    check_row(
        &[0x95, 0, 0x9A, 1, 1, 0x95, 0, 0x9A, 1, 2],
        &[(0x95, &[]), (0x9A, &[1]), (0x95, &[]), (0x9A, &[2])],
    );
    assert_eq!(
        find(&[0x95, 0, 0x9A, 1, 1, 0x9A, 1, 2], 0x9A),
        Some(&[1][..])
    );
    assert_eq!(find(&[0x95, 0, 0x9A, 1, 1], 0x9F36), None);
    assert_eq!(find(&[0xE1, 3, 0x9A, 1, 1], 0x9A), None, "not opened");
    assert_eq!(
        find(&[0x95, 0x80, 0x9A, 1, 1], 0x9A),
        None,
        "behind a fault"
    );
}

#[test]
fn zeros_are_padding_and_ff_is_a_tag() {
    let padded = [0, 0, 0x95, 1, 7, 0, 0x9A, 1, 8, 0, 0, 0];
    check_row(&padded, &[(0x95, &[7]), (0x9A, &[8])]);
    check_walk(&padded, &[(0, 0x95, 2), (0, 0x9A, 6)]);
    check_row(&[0, 0], &[]);
    let template = [0x70, 6, 0, 0x95, 1, 7, 0, 0, 0, 0x9A, 0];
    check_walk(&template, &[(0, 0x70, 0), (1, 0x95, 3), (0, 0x9A, 9)]);
    check_fault(&[0x95, 0, 0xFF, 0xFF, 0xFF, 0xFF], 2, TagTooLong);
    check_fault(&[0x95, 0, 0xFF], 2, Truncated);
}

#[test]
fn a_directory_of_a_card_is_walked_to_its_leaves() {
    let directory = [
        0x6F, 16, 0x84, 1, 0x32, 0xA5, 11, 0xBF, 0x0C, 8, 0x61, 4, 0x4F, 2, 0xA0, 0, 0x61, 0,
    ];
    check_walk(
        &directory,
        &[
            (0, 0x6F, 0),
            (1, 0x84, 2),
            (1, 0xA5, 5),
            (2, 0xBF0C, 7),
            (3, 0x61, 10),
            (4, 0x4F, 12),
            (3, 0x61, 16),
        ],
    );
}

#[test]
fn what_is_cut_is_named_by_its_place() {
    check_fault(&[0x95, 0, 0x91], 3, Truncated);
    check_fault(&[0x95, 0, 0x91, 2, 0xAA], 4, Truncated);
    check_fault(&[0x95, 0, 0x9F], 2, Truncated);
    check_fault(&[0x95, 0, 0x9F, 0x81, 0x81], 2, Truncated);
    check_fault(&[0x91, 0x81], 1, Truncated);
    check_fault(&[0x91, 0x82, 0xFF], 1, Truncated);
    check_fault(&[0x91, 0x82, 0xFF, 0xFF, 1, 2], 4, Truncated);
    // The inner element is within the field, but not within the element around it.
    check_fault(&[0xE1, 3, 0x95, 2, 1, 1, 0x9A, 0], 4, Truncated);
}

#[test]
fn fault_079_forms_that_are_not_taken_are_named() {
    check_fault(&[0x91, 0x80, 0, 0], 1, IndefiniteLength);
    check_fault(&[0xE1, 0x80, 0x95, 0, 0, 0], 1, IndefiniteLength);
    check_fault(&[0x91, 0x83, 0, 0, 1, 7], 1, LengthTooLong);
    check_fault(&[0x91, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], 1, LengthTooLong);
    check_fault(&[0x91, 0x88, 0x80, 0, 0, 0, 0, 0, 0, 0], 1, LengthTooLong);
    check_fault(&[0x91, 0xFF], 1, LengthTooLong);
    check_fault(&[0x9F, 0x81, 0x81, 0x81, 0x01, 0], 0, TagTooLong);
    check_fault(
        &[0x95, 0, 0xE1, 7, 0x9F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        4,
        TagTooLong,
    );
    check_fault(&[0x9F; 5000], 0, TagTooLong);
    let mut row = elements(&[0x91, 0x80, 0x95, 0]);
    assert!(row.next().is_some_and(|one| one.is_err()));
    assert_eq!(row.next(), None, "nothing is read behind a fault");
}

/// Constructed elements around one another, with an empty one innermost.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = std::vec![0xE1, 0];
    for _ in 0..depth {
        let mut around = std::vec![0; bytes.len() + 4];
        let written = put(&mut around, 0xE1, &bytes).unwrap();
        around.truncate(written);
        bytes = around;
    }
    bytes
}

#[test]
fn fault_079_the_depth_has_an_end() {
    for depth in 0..=DEPTH_MAX {
        let depths: Vec<_> = walk(&nested(depth)).map(|one| one.unwrap().0).collect();
        assert_eq!(depths, (0..=depth).collect::<Vec<_>>());
    }
    // What holds the fifth is at fault: at offset 8 behind four headers of two bytes.
    check_fault(&nested(DEPTH_MAX + 1), 8, TooDeep);
    check_fault(&nested(10_000), 16, TooDeep);
    assert!(nested(10_000).len() > 39_000);
}

#[test]
fn elements_are_written_in_their_shortest_form() {
    for (len, header_len) in [(0, 2), (127, 2), (128, 3), (255, 3), (256, 4), (65_535, 4)] {
        let value = std::vec![7; len];
        let mut out = std::vec![0; len + 4];
        assert_eq!(put(&mut out, 0x71, &value), Some(len + header_len));
        assert_eq!(find(&out, 0x71), Some(&value[..]));
        let room = len + header_len - 1;
        assert_eq!(put(&mut out[..room], 0x71, &value), None, "room for {room}");
    }
    let mut out = [0xEE; 4];
    assert_eq!(put(&mut out, 0x71, &std::vec![7; 65_536]), None);
    for not_a_tag in [0, 0x1F, 0x9F, 0x1234, 0x9F_3601, 0x9F81, 0x9F81_8181] {
        assert_eq!(put(&mut out, not_a_tag, &[]), None, "{not_a_tag:X}");
    }
    assert_eq!(
        (put_len(&mut out, 65_536), put_len(&mut out[..2], 256)),
        (None, None)
    );
    assert_eq!(out, [0xEE; 4], "nothing is written");
}

#[test]
fn nothing_shows_a_value() {
    let bytes = [0x5A, 2, 0x50, 0x61, 0x57, 9, 0x50];
    let shown = format!("{:?} {:?}", elements(&bytes), elements(&bytes).next());
    assert_eq!(shown, "Elements[7 bytes] Some(Ok(5A[2 bytes]))");
    let error = check(&bytes).unwrap_err();
    assert_eq!(
        format!("{error}; {:?}", walk(&bytes)),
        "element at offset 6: it is longer than what it stands in; Walk[depth 0, 7 bytes]"
    );
}

/// A row as the obvious recursion reads it: depth, tag, offset, value.
type Read = Vec<(usize, u32, u32, Vec<u8>)>;

fn read_slowly(
    field: &[u8],
    row: (usize, usize),
    depth: usize,
    out: &mut Read,
) -> Result<(), TlvError> {
    let (mut at, end) = row;
    let fault = |offset: usize, rule| TlvError {
        offset: u32::try_from(offset).unwrap(),
        rule,
    };
    while at < end {
        if field[at] == 0 {
            at += 1;
            continue;
        }
        let start = at;
        let mut tag = u32::from(field[at]);
        at += 1;
        if tag & 0x1F == 0x1F {
            loop {
                if at - start == 4 {
                    return Err(fault(start, TagTooLong));
                }
                if at == end {
                    return Err(fault(start, Truncated));
                }
                tag = tag * 256 + u32::from(field[at]);
                at += 1;
                if field[at - 1] < 0x80 {
                    break;
                }
            }
        }
        let len_at = at;
        let len_len = match field[at..end].first() {
            None => return Err(fault(at, Truncated)),
            Some(0x80) => return Err(fault(at, IndefiniteLength)),
            Some(0x83..) => return Err(fault(at, LengthTooLong)),
            Some(first) => 1 + usize::from(first.saturating_sub(0x80)),
        };
        at += len_len;
        if at > end {
            return Err(fault(len_at, Truncated));
        }
        let stated = &field[if len_len == 1 { len_at } else { len_at + 1 }..at];
        let len = stated
            .iter()
            .fold(0, |len, byte| len * 256 + usize::from(*byte));
        if at + len > end {
            return Err(fault(at, Truncated));
        }
        let is_constructed = field[start] & 0x20 != 0;
        if is_constructed && len > 0 && depth == 4 {
            return Err(fault(start, TooDeep));
        }
        let offset = u32::try_from(start).unwrap();
        out.push((depth, tag, offset, field[at..at + len].to_vec()));
        if is_constructed {
            read_slowly(field, (at, at + len), depth + 1, out)?;
        }
        at += len;
    }
    Ok(())
}

/// Rows of elements, in forms of any length, some padded, some nested deeper than may be.
fn rows() -> impl Strategy<Value = Vec<u8>> {
    let primitive = proptest::sample::select(&PRIMITIVE[..]);
    let leaf = (primitive, vec(any::<u8>(), 0..20), 0..4_u8);
    let leaf = leaf.prop_map(|(tag, value, form)| written(tag, &value, form));
    let element = leaf.prop_recursive(6, 40, 4, |inner| {
        let tag = proptest::sample::select(&CONSTRUCTED[..]);
        let held = vec(inner, 0..4).prop_map(|row| row.concat());
        (tag, held, 0..4_u8).prop_map(|(tag, value, form)| written(tag, &value, form))
    });
    vec(element, 0..5).prop_map(|row| row.concat())
}

/// One element, its length in the shortest form (0) or longer ones, padded before it (3).
fn written(tag: &[u8], value: &[u8], form: u8) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).unwrap().to_be_bytes();
    let mut shortest = [0; 3];
    let len = put_len(&mut shortest, value.len()).unwrap();
    match form {
        1 if high == 0 => [tag, &[0x81, low], value].concat(),
        2 => [tag, &[0x82, high, low], value].concat(),
        3 => [&[0, 0], tag, &shortest[..len], value].concat(),
        _ => [tag, &shortest[..len], value].concat(),
    }
}

/// Bytes that are tags, lengths and padding more often than chance has it.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let telling: &[u8] = &[
        0, 1, 2, 3, 4, 0x1F, 0x3F, 0x5A, 0x70, 0x7F, 0x80, 0x81, 0x82, 0x84, 0x9F, 0xE1, 0xFF,
    ];
    vec(
        prop_oneof![4 => proptest::sample::select(telling), 1 => any::<u8>()],
        0..60,
    )
}

/// Rows with a few bytes changed and the end cut off.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4);
    (rows(), changes, any::<proptest::sample::Index>()).prop_map(|(mut row, changes, cut)| {
        for (at, byte) in changes
            .iter()
            .filter(|_| !row.is_empty())
            .collect::<Vec<_>>()
        {
            let at = at.index(row.len());
            row[at] = *byte;
        }
        row.truncate(cut.index(row.len() + 1));
        row
    })
}

#[track_caller]
fn agrees_with_the_slow_reading(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut expected = Vec::new();
    let result = read_slowly(bytes, (0, bytes.len()), 0, &mut expected);
    let (read, faults): (Vec<_>, Vec<_>) = walk(bytes).partition(Result::is_ok);
    let read: Read = read
        .into_iter()
        .map(Result::unwrap)
        .map(|(depth, one)| (depth, one.tag, one.offset, one.value.to_vec()))
        .collect();
    prop_assert_eq!(read, expected);
    prop_assert_eq!(faults.first().map(|one| one.unwrap_err()), result.err());
    prop_assert_eq!(check(bytes), result);
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_end(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(elements(&bytes).count() <= bytes.len());
        prop_assert!(walk(&bytes).count() <= bytes.len());
        agrees_with_the_slow_reading(&bytes)?;
    }

    #[test]
    fn hostile_bytes_are_read_as_the_slow_reading_does(bytes in hostile()) {
        agrees_with_the_slow_reading(&bytes)?;
    }

    #[test]
    fn rows_are_read_as_the_slow_reading_does(bytes in rows()) {
        agrees_with_the_slow_reading(&bytes)?;
    }

    #[test]
    fn damaged_rows_are_read_as_the_slow_reading_does(bytes in damaged()) {
        agrees_with_the_slow_reading(&bytes)?;
    }

    #[test]
    fn each_cut_of_a_row_is_a_fault_or_a_shorter_row(bytes in rows()) {
        let whole: Vec<_> = elements(&bytes).map(Result::unwrap).collect();
        for cut in 0..bytes.len() {
            let read: Vec<_> = elements(&bytes[..cut]).map_while(Result::ok).collect();
            prop_assert_eq!(&read[..], &whole[..read.len()]);
            let rest = &bytes[read.iter().map(|one| one.bytes.len()).sum()..cut];
            let is_row = elements(&bytes[..cut]).all(|one| one.is_ok());
            prop_assert_eq!(is_row, rest.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn what_is_put_is_read(
        row in vec((proptest::sample::select(&TAGS[..]), vec(any::<u8>(), 0..300)), 0..6),
    ) {
        let mut out = [0xEE; 2000];
        let mut end = 0;
        for (tag, value) in &row {
            end += put(&mut out[end..], *tag, value).unwrap();
        }
        let read: Vec<_> = elements(&out[..end])
            .map(|one| one.map(|one| (one.tag, one.value.to_vec())).unwrap())
            .collect();
        prop_assert_eq!(read, row);
    }
}

const PRIMITIVE: [&[u8]; 4] = [
    &[0x95],
    &[0x9F, 0x36],
    &[0xDF, 0x81, 0x01],
    &[0x5F, 0x80, 0x80, 0x00],
];
const CONSTRUCTED: [&[u8]; 2] = [&[0xE1], &[0xBF, 0x0C]];
const TAGS: [u32; 8] = [
    0x5A,
    0x95,
    0x9F26,
    0x5F2A,
    0xDF_8101,
    0x71,
    0xFF81_8101,
    0xBF0C,
];
