//! What a medium does to what was acknowledged, by the rows of faults.md.

use super::*;

/// Flips a bit of every byte of `range` of the segment at `index`, one at a time.
fn flips(log: &Log, index: usize, range: std::ops::Range<usize>) -> Vec<Vec<Vec<u8>>> {
    let flipped = |at: usize| {
        let mut segments = log.segments.clone();
        segments[index][at] ^= 1 << (at % 8);
        segments
    };
    range.step_by(STRIDE).map(flipped).collect()
}

/// A prime, so that header, records, checksums and padding are all met.
const STRIDE: usize = 7;

#[test]
fn fault_025_a_flip_in_an_earlier_batch_is_refused_wherever_it_is() {
    let (log, [first, second, _, _]) = log();
    for segments in flips(&log, 0, first.at..second.at + second.len) {
        assert!(recover(&segments, None).end.is_err());
    }
    for segments in flips(&log, 0, 0..BLOCK) {
        check_refused(&segments, Label::J08);
    }
}

#[test]
fn fault_026_a_flip_in_the_last_acknowledged_batch_is_refused_once_something_convicts_it() {
    let mut log = Log::new();
    let batch = log.batch(&[small(1), small(2)]);
    let bare = log.segments.clone();
    for segments in flips(&log, 0, batch.at..batch.at + batch.len) {
        let known = recover(&segments, Some(Lsn(2))).end.unwrap_err();
        assert_eq!(known.label(), Label::J13, "the watermark convicts");
        // The residual risk of one disk: it looks like a write that was torn.
        let end = recover(&segments, None).end.unwrap();
        assert!(matches!(end, SegmentEnd::Torn { .. }));
    }
    log.anchor();
    assert_ne!(log.segments, bare);
    for segments in flips(&log, 0, batch.at..batch.at + batch.len) {
        check_refused(&segments, Label::J13);
    }
}

/// Three segments with a batch each.
fn three() -> Log {
    let mut log = Log::with_segments_of(4 * BLOCK);
    log.batch(&[small(1)]);
    log.roll();
    log.batch(&[small(2)]);
    log.roll();
    log.batch(&[small(3)]);
    log
}

fn check_numbered(segments: &[(u64, &[u8])], label: Label) {
    let numbers: Vec<u64> = segments.iter().map(|(number, _)| *number).collect();
    let refusal = match judge_numbers(&numbers) {
        Ok(()) => recover_numbered(segments, None).end.unwrap_err(),
        Err(refusal) => refusal,
    };
    assert_eq!(refusal.label(), label, "{refusal}");
}

#[test]
fn fault_027_a_segment_that_is_missing_doubled_swapped_or_from_elsewhere_is_refused() {
    let log = three();
    let [one, two, three] = [0, 1, 2].map(|index| log.segments[index].as_slice());
    check_numbered(&[(1, one), (3, three)], Label::J09);
    check_numbered(&[(1, one), (2, one), (3, three)], Label::J08);
    check_numbered(&[(1, two), (2, one), (3, three)], Label::J08);
    let mut foreign = two.to_vec();
    reheader(&mut foreign, |header| header.identity.node = NodeId(77));
    check_numbered(&[(1, one), (2, &foreign), (3, three)], Label::J08);
    // An older backup of the last segments: PostgreSQL knows more.
    let older = [one.to_vec(), two.to_vec()];
    let refusal = recover(&older, Some(Lsn(3)));
    assert!(refusal.end.is_ok(), "the files alone are whole");
    let found = Found {
        journal: IDENTITY.journal,
        first: Lsn(1),
        last: Lsn(2),
        torn: None,
    };
    let watermark = Watermark {
        journal: IDENTITY.journal,
        lsn: Lsn(3),
    };
    let refusal = judge_watermark(Some(&found), Some(watermark)).unwrap_err();
    assert_eq!(refusal.label(), Label::J18);
}

#[test]
fn fault_028_a_batch_at_any_wrong_place_of_its_segment_is_refused() {
    let mut log = Log::new();
    for number in 1..=5 {
        log.batch(&[small(number)]);
    }
    let blocks = log.at / BLOCK;
    for place in 0..log.segment_bytes / BLOCK {
        let mut segments = log.segments.clone();
        let last = (blocks - 1) * BLOCK;
        let batch = segments[0][last..last + BLOCK].to_vec();
        segments[0][last..last + BLOCK].fill(0);
        segments[0][place * BLOCK..(place + 1) * BLOCK].copy_from_slice(&batch);
        let end = recover(&segments, None).end;
        assert_eq!(end.is_err(), place + 1 != blocks, "block {place}: {end:?}");
    }
}
