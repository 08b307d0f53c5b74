//! One test per row of the decision table that needs no running journal, on bytes; then what
//! damage of any kind may and may not do.

mod crash;
mod exhaustive;
mod media;

use proptest::prelude::*;

use super::*;
use crate::identity::JournalUuid;
use crate::testing::{
    Dice, IDENTITY, Log, Place4k, intent, recover, recover_numbered, sample, small,
};
use domain::ids::{NodeId, ShardId};

/// Three batches and an anchor in one segment: records 1 to 6.
fn log() -> (Log, [Place4k; 4]) {
    let mut log = Log::new();
    let first = log.batch(&[small(1), intent(2), small(3)]);
    let second = log.batch(&[sample(4)]);
    let third = log.batch(&[small(5), small(6)]);
    let anchor = log.anchor();
    (log, [first, second, third, anchor])
}

#[track_caller]
fn check_refused(segments: &[Vec<u8>], label: Label) -> Refusal {
    let refusal = recover(segments, None).end.unwrap_err();
    assert_eq!(refusal.label(), label, "{refusal}");
    refusal
}

/// Seals the segment header in `segment` after `change`, as if it had been written so.
fn reheader(segment: &mut [u8], change: impl FnOnce(&mut SegmentHeader)) {
    let mut header = SegmentHeader::decode(segment).unwrap();
    change(&mut header);
    segment[..BLOCK].copy_from_slice(&header.encode());
}

/// Seals the batch at `place` after `change`, as if it had been written so.
fn reseal(segment: &mut [u8], place: Place4k, change: impl FnOnce(&mut BatchHeader, &mut [u8])) {
    let batch = &mut segment[place.at..place.at + place.len];
    let mut header = BatchHeader::peek(batch).unwrap();
    change(&mut header, batch);
    batch::seal(header, IDENTITY.journal, batch);
}

fn set_version(segment: &mut [u8], version: u16) {
    segment[8..10].copy_from_slice(&version.to_le_bytes());
    let checksum = crc32c::crc32c(&segment[..BLOCK - 4]);
    segment[BLOCK - 4..BLOCK].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn j03_nothing_anywhere_is_a_new_journal() {
    assert_eq!(judge_watermark(None, None), Ok(()));
    let nothing = recover(&[], None);
    assert_eq!((nothing.records.len(), nothing.tail), (0, Tail::new()));
}

#[test]
fn j04_nothing_on_disk_but_a_watermark_is_a_lost_journal() {
    let watermark = Watermark {
        journal: IDENTITY.journal,
        lsn: Lsn(7),
    };
    let refusal = judge_watermark(None, Some(watermark)).unwrap_err();
    assert_eq!(refusal.label(), Label::J04);
}

#[test]
fn j06_a_newer_format_is_refused_and_both_versions_are_named() {
    let (mut log, _) = log();
    set_version(log.last(), FORMAT_VERSION + 1);
    let refusal = check_refused(&log.segments, Label::J06);
    let expected = Refusal::Format {
        segment: 1,
        found: FORMAT_VERSION + 1,
        known: FORMAT_VERSION,
    };
    assert_eq!(refusal, expected);
    assert_eq!(judge_version(8, 7), Version::Newer);
}

#[test]
fn j07_the_format_before_is_read() {
    assert_eq!(judge_version(7, 7), Version::Current);
    assert_eq!(judge_version(6, 7), Version::Previous);
    assert_eq!(judge_version(5, 7), Version::TooOld);
    assert_eq!(judge_version(0, 1), Version::TooOld);
}

#[test]
fn j08_a_damaged_header_is_refused() {
    let (log, _) = log();
    for at in [0, 8, 20, 40, 57, 100, 130, 500, BLOCK - 1] {
        let mut segments = log.segments.clone();
        segments[0][at] ^= 1;
        check_refused(&segments, Label::J08);
    }
    check_refused(&[vec![0; 8 * BLOCK]], Label::J08);
    check_refused(&[Vec::new()], Label::J08);
}

#[test]
fn j08_a_segment_from_elsewhere_is_refused() {
    let (log, _) = log();
    let check = |what, change: fn(&mut SegmentHeader)| {
        let mut segments = log.segments.clone();
        reheader(&mut segments[0], change);
        let refusal = check_refused(&segments, Label::J08);
        assert_eq!(refusal, Refusal::Elsewhere { segment: 1, what });
    };
    check("journal UUID", |header| {
        header.identity.journal = JournalUuid([1; 16])
    });
    check("node", |header| header.identity.node = NodeId(8));
    check("generation", |header| header.identity.generation = 2);
    check("shard", |header| header.identity.shard = ShardId(2));
    check("shard count", |header| header.identity.shards = 5);
    check("segment number", |header| header.number = 2);
    check("length", |header| header.segment_bytes += 4096);
}

#[test]
fn j08_a_segment_that_was_cut_or_grown_is_refused() {
    let (log, _) = log();
    let len = log.segments[0].len();
    for len in [BLOCK, 2 * BLOCK, len - 1, len + 1, len + BLOCK] {
        let mut segments = log.segments.clone();
        segments[0].resize(len, 0);
        check_refused(&segments, Label::J08);
    }
}

#[test]
fn j09_a_gap_between_segments_is_refused() {
    assert_eq!(judge_numbers(&[]), Ok(()));
    assert_eq!(judge_numbers(&[4, 5, 6]), Ok(()));
    let gap = Refusal::Gap {
        before: 5,
        after: 7,
    };
    assert_eq!(judge_numbers(&[4, 5, 7]), Err(gap));
    let twice = Refusal::Gap {
        before: 5,
        after: 5,
    };
    assert_eq!(judge_numbers(&[5, 5]), Err(twice));
    assert_eq!(gap.label(), Label::J09);
}

#[test]
fn j09_segments_that_do_not_continue_each_other_are_refused() {
    let (mut log, _) = log();
    log.roll();
    log.batch(&[small(7)]);
    assert!(recover(&log.segments, None).end.is_ok());
    let check = |change: fn(&mut SegmentHeader)| {
        let mut segments = log.segments.clone();
        reheader(&mut segments[1], change);
        check_refused(&segments, Label::J09);
    };
    check(|header| header.first_lsn = header.first_lsn.next());
    check(|header| header.first_sequence += 1);
    check(|header| header.previous_chain ^= 1);
    // The tail of the first segment went missing: zeros, then a segment that goes on elsewhere.
    let mut segments = log.segments.clone();
    segments[0][2 * BLOCK..].fill(0);
    check_refused(&segments, Label::J09);
}

#[test]
fn j09_the_first_segment_of_a_journal_begins_at_one() {
    let (mut log, _) = log();
    reheader(log.last(), |header| header.first_lsn = Lsn(2));
    check_refused(&log.segments, Label::J09);
}

#[test]
fn j09_a_journal_whose_early_segments_are_gone_is_refused_without_a_checkpoint() {
    let (mut log, _) = log();
    log.roll();
    log.batch(&[small(7), small(8)]);
    let recovered = recover_numbered(&[(2, &log.segments[1])], None);
    assert_eq!(recovered.end, Err(Refusal::Uncovered { first: 2 }));
    assert!(recovered.records.is_empty(), "nothing was handed out");
}

#[test]
fn j10_what_was_being_made_is_not_a_segment() {
    use crate::layout::{Entry, classify};
    assert_eq!(classify("spare-7.zero"), Entry::Spare);
    assert_eq!(classify("probe-0.tmp"), Entry::Probe);
}

#[test]
fn j11_zeros_to_the_end_are_a_clean_end() {
    let empty = Log::new();
    let recovered = empty.recover();
    let offset = BLOCK as u64;
    assert_eq!(recovered.end, Ok(SegmentEnd::Clean { offset }));
    let (log, [.., anchor]) = log();
    let offset = (anchor.at + anchor.len) as u64;
    assert_eq!(log.recover().end, Ok(SegmentEnd::Clean { offset }));
}

#[test]
fn j11_a_segment_that_is_full_to_its_last_byte_is_clean() {
    let mut log = Log::with_segments_of(3 * BLOCK);
    log.batch(&[small(1)]);
    log.batch(&[small(2)]);
    let offset = 3 * BLOCK as u64;
    assert_eq!(log.recover().end, Ok(SegmentEnd::Clean { offset }));
    log.roll();
    assert_eq!(
        log.recover().end,
        Ok(SegmentEnd::Clean {
            offset: BLOCK as u64
        })
    );
}

#[test]
fn j12_every_good_batch_is_taken_whether_or_not_it_was_acknowledged() {
    let (mut log, _) = log();
    log.roll();
    log.batch(&[sample(7)]);
    let recovered = log.recover();
    let expected = [
        small(1),
        intent(2),
        small(3),
        sample(4),
        small(5),
        small(6),
        sample(7),
    ];
    let expected: Vec<_> = (1..)
        .map(Lsn)
        .zip(expected.iter().map(|record| format!("{record:?}")))
        .collect();
    assert_eq!(recovered.records, expected);
    assert_eq!(recovered.tail, log.sink.tail());
}

#[test]
fn j13_a_bad_batch_before_a_good_one_is_corruption() {
    let (log, [first, second, third, _]) = log();
    for bad in [first, second, third] {
        for at in [0, 9, 20, 33, 37, 41, 49, 53, 57, 64, 100, bad.len - 1] {
            let mut segments = log.segments.clone();
            segments[0][bad.at + at] ^= 0x10;
            let refusal = check_refused(&segments, Label::J13);
            let Refusal::Corrupt {
                segment, offset, ..
            } = refusal
            else {
                panic!("{refusal}");
            };
            assert_eq!((segment, offset), (1, bad.at as u64), "byte {at}");
        }
    }
}

//= docs/rules.md#J-03
#[test]
fn j13_a_later_acknowledgement_convicts() {
    let (log, [.., third, anchor]) = log();
    let mut segments = log.segments;
    segments[0][third.at + 70] ^= 1;
    let proof = Proof::AckedUpTo {
        offset: anchor.at as u64,
    };
    let expected = Refusal::Corrupt {
        segment: 1,
        offset: third.at as u64,
        proof,
    };
    assert_eq!(check_refused(&segments, Label::J13), expected);
}

#[test]
fn j13_a_later_segment_convicts() {
    let (mut log, [.., anchor]) = log();
    log.roll();
    log.segments[0][anchor.at + 1] ^= 1;
    let expected = Refusal::Corrupt {
        segment: 1,
        offset: anchor.at as u64,
        proof: Proof::LaterSegment,
    };
    assert_eq!(check_refused(&log.segments, Label::J13), expected);
}

#[test]
fn j13_the_watermark_convicts_when_it_is_known_at_the_start() {
    let mut log = Log::new();
    log.batch(&[small(1), small(2)]);
    let last = log.batch(&[small(3), small(4)]);
    log.segments[0][last.at + 70] ^= 1;
    let end = |watermark| recover(&log.segments, Some(Lsn(watermark))).end;
    assert!(matches!(end(2), Ok(SegmentEnd::Torn { .. })));
    for watermark in [3, 4, 9] {
        let refusal = end(watermark).unwrap_err();
        let expected = Refusal::Corrupt {
            segment: 1,
            offset: last.at as u64,
            proof: Proof::Watermark,
        };
        assert_eq!(refusal, expected);
    }
}

#[test]
fn j13_the_watermark_convicts_at_the_first_connect() {
    let found = Found {
        journal: IDENTITY.journal,
        first: Lsn(1),
        last: Lsn(9),
        torn: Some(Torn {
            segment: 2,
            offset: 8192,
            lsn: Lsn(10),
        }),
    };
    let judge = |lsn| {
        let journal = IDENTITY.journal;
        judge_watermark(Some(&found), Some(Watermark { journal, lsn }))
    };
    assert_eq!(judge(Lsn(9)), Ok(()));
    let expected = Refusal::Corrupt {
        segment: 2,
        offset: 8192,
        proof: Proof::Watermark,
    };
    assert_eq!(judge(Lsn(10)), Err(expected));
}

//= docs/rules.md#J-04
#[test]
fn j14_a_torn_last_batch_is_a_tail() {
    let mut log = Log::new();
    log.batch(&[small(1)]);
    let tail = log.sink.tail();
    let last = log.batch(&[intent(2); 20]);
    let len = BatchHeader::peek(&log.segments[0][last.at..]).unwrap().len as usize;
    assert!(len > BLOCK);
    for cut in (0..last.len).step_by(512) {
        let mut segments = log.segments.clone();
        segments[0][last.at + cut..].fill(0);
        if cut >= len {
            assert_eq!(
                recover(&segments, None),
                log.recover(),
                "only padding was cut"
            );
            continue;
        }
        let recovered = recover(&segments, None);
        assert_eq!(
            (recovered.records.len(), recovered.tail),
            (1, tail),
            "cut at {cut}"
        );
        let offset = last.at as u64;
        let expected = if cut == 0 {
            SegmentEnd::Clean { offset }
        } else {
            let end = segments[0].iter().rposition(|byte| *byte != 0).unwrap() + 1;
            let end = end as u64;
            SegmentEnd::Torn { offset, end }
        };
        assert_eq!(recovered.end, Ok(expected), "cut at {cut}");
    }
}

#[test]
fn j14_a_header_block_that_never_arrived_is_a_tail_all_the_same() {
    let mut log = Log::new();
    log.batch(&[small(1)]);
    let last = log.batch(&[intent(2); 20]);
    log.segments[0][last.at..last.at + BLOCK].fill(0);
    let recovered = log.recover();
    assert_eq!(recovered.records.len(), 1);
    assert!(
        matches!(recovered.end, Ok(SegmentEnd::Torn { offset, .. }) if offset == last.at as u64)
    );
}

#[test]
fn j15_bytes_beyond_what_one_torn_write_can_leave_are_refused() {
    let mut log = Log::new();
    log.batch(&[small(1)]);
    let last = log.batch(&[small(2)]);
    log.segments[0][last.at + 1] ^= 1;
    let bound = last.at + Log::BATCH_MAX;
    log.segments[0][bound - 1] = 1;
    assert!(matches!(log.recover().end, Ok(SegmentEnd::Torn { .. })));
    log.segments[0][bound] = 1;
    let expected = Refusal::BeyondTail {
        segment: 1,
        offset: last.at as u64,
        beyond: bound as u64 + 1,
    };
    assert_eq!(check_refused(&log.segments, Label::J15), expected);
}

#[test]
fn j16_a_good_batch_that_does_not_continue_the_log_is_refused() {
    let (log, [_, second, ..]) = log();
    let check = |what, change: fn(&mut BatchHeader)| {
        let mut segments = log.segments.clone();
        reseal(&mut segments[0], second, |header, _| change(header));
        let expected = Refusal::Misplaced {
            segment: 1,
            offset: second.at as u64,
            what,
        };
        assert_eq!(check_refused(&segments, Label::J16), expected);
    };
    check("segment number", |header| header.segment = 2);
    check("batch sequence", |header| header.sequence += 1);
    check("batch sequence", |header| header.sequence -= 1);
    check("first LSN", |header| header.first_lsn = Lsn(9));
    check("chain value", |header| header.previous_chain ^= 1);
    check("acked-up-to LSN", |header| header.acked_up_to = Lsn(4));
    check("record count", |header| header.records = 0);
    check("record count", |header| header.kind = BatchKind::Anchor);
}

#[test]
fn j16_a_batch_at_another_batchs_place_is_refused() {
    let (log, [first, second, third, _]) = log();
    for (from, to) in [(first, second), (third, second), (second, first)] {
        assert_eq!(from.len, to.len);
        let mut segments = log.segments.clone();
        segments[0].copy_within(from.at..from.at + from.len, to.at);
        check_refused(&segments, Label::J16);
    }
}

#[test]
fn j16_a_batch_longer_than_its_segment_allows_is_refused() {
    let mut log = Log::new();
    log.batch(&[intent(1); 20]);
    reheader(log.last(), |header| header.batch_bytes_max = 4096);
    check_refused(&log.segments, Label::J16);
}

#[test]
fn j17_a_bad_record_in_a_good_batch_is_refused() {
    let (log, [first, ..]) = log();
    let check = |at: usize, value: u8| {
        let mut segments = log.segments.clone();
        reseal(&mut segments[0], first, |_, batch| {
            batch[BATCH_HEADER_LEN + at] = value
        });
        let refusal = check_refused(&segments, Label::J17);
        assert!(
            matches!(refusal, Refusal::BadRecord { segment: 1, offset, .. }
            if offset == first.at as u64)
        );
    };
    check(0, 0); // magic
    check(2, 9); // payload version
    check(4, 99); // type
    check(8, 200); // payload length
    check(12, 1); // checksum
    check(16, 9); // LSN
    check(40, 0xAA); // payload
    let mut segments = log.segments.clone();
    reseal(&mut segments[0], first, |header, _| header.len += 8);
    check_refused(&segments, Label::J17);
}

#[test]
fn j18_a_watermark_beyond_the_journal_is_an_old_backup() {
    let found = Found {
        journal: IDENTITY.journal,
        first: Lsn(1),
        last: Lsn(9),
        torn: None,
    };
    let judge = |journal, lsn| judge_watermark(Some(&found), Some(Watermark { journal, lsn }));
    for lsn in 0..=9 {
        assert_eq!(judge(IDENTITY.journal, Lsn(lsn)), Ok(()), "{lsn}");
    }
    let behind = judge(IDENTITY.journal, Lsn(10)).unwrap_err();
    assert_eq!(behind.label(), Label::J18);
    let other = judge(JournalUuid([9; 16]), Lsn(5)).unwrap_err();
    assert_eq!(other.label(), Label::J18);
    assert!(matches!(other, Refusal::OtherJournal { .. }));
}

#[test]
fn j19_rows_between_the_watermark_and_the_first_record_are_missed() {
    let found = Found {
        journal: IDENTITY.journal,
        first: Lsn(100),
        last: Lsn(200),
        torn: None,
    };
    let journal = IDENTITY.journal;
    let judge = |lsn| judge_watermark(Some(&found), Some(Watermark { journal, lsn }));
    assert_eq!(judge(Lsn(98)).unwrap_err().label(), Label::J19);
    assert_eq!(judge(Lsn(99)), Ok(()));
    let empty = judge_watermark(Some(&found), None).unwrap_err();
    assert_eq!(
        empty.label(),
        Label::J19,
        "an empty database misses them too"
    );
    let new = Found {
        first: Lsn(1),
        ..found
    };
    assert_eq!(judge_watermark(Some(&new), None), Ok(()));
}

/// What was handed out must be what was written, from the first record on; nothing else.
#[track_caller]
fn check_prefix(log: &Log, segments: &[Vec<u8>]) {
    let whole = log.recover().records;
    let found = recover(segments, None).records;
    assert!(found.len() <= whole.len());
    assert_eq!(found, whole[..found.len()]);
}

proptest! {
    #[test]
    fn a_flipped_bit_never_invents_a_record(at: usize, bit in 0_u8..8) {
        let (log, [.., anchor]) = log();
        let mut segments = log.segments.clone();
        let at = at % (anchor.at + anchor.len);
        segments[0][at] ^= 1 << bit;
        check_prefix(&log, &segments);
        let end = recover(&segments, None).end;
        if at < anchor.at {
            prop_assert!(end.is_err(), "anything before the anchor is refused");
        } else {
            // The documented residual risk: the last batch, which holds no record here.
            let torn = matches!(end, Ok(SegmentEnd::Torn { .. }));
            prop_assert!(torn);
        }
    }

    #[test]
    fn arbitrary_bytes_behind_a_header_are_no_record(
        seed: u64, from in 0_usize..8, len in 0_usize..20_000,
    ) {
        let (log, _) = log();
        let mut segments = log.segments.clone();
        let mut dice = Dice::new(seed);
        let from = BLOCK + from * 512;
        let bytes = segments[0].iter_mut().skip(from).take(len);
        bytes.for_each(|byte| *byte = dice.next().to_le_bytes()[0]);
        check_prefix(&log, &segments);
    }

    #[test]
    fn arbitrary_bytes_are_never_a_journal(seed: u64, len in 0_usize..20_000) {
        let mut dice = Dice::new(seed);
        let bytes: Vec<u8> = (0..len).map(|_| dice.next().to_le_bytes()[0]).collect();
        let recovered = recover(&[bytes], None);
        prop_assert!(recovered.records.is_empty() && recovered.end.is_err());
    }

    /// Sectors of a journal that move, repeat or vanish.
    #[test]
    fn shuffled_sectors_never_invent_a_record(seed: u64, moves in 1_usize..6) {
        let (mut log, _) = log();
        log.roll();
        log.batch(&[sample(7), sample(8)]);
        let mut segments = log.segments.clone();
        let mut dice = Dice::new(seed);
        for _ in 0..moves {
            let mut sector = || {
                let at = usize::try_from(dice.below(6 * 8)).unwrap() * 512;
                (usize::try_from(dice.below(2)).unwrap(), at)
            };
            let ((from, from_at), (to, to_at)) = (sector(), sector());
            let bytes = segments[from][from_at..from_at + 512].to_vec();
            segments[to][to_at..to_at + 512].copy_from_slice(&bytes);
        }
        check_prefix(&log, &segments);
    }
}
