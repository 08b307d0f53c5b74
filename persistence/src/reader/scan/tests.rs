//! Tests of `scan`, on files in a temporary folder.

use std::fs;
use std::ops::RangeInclusive;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::reader::Folder;
use crate::testing::{Dice, IDENTITY, Log, intent, recover, sample, small};

/// What a scan came to.
#[derive(Debug, Default)]
struct Seen {
    records: Vec<(Lsn, String)>,
    findings: Vec<Finding>,
    segments: Vec<u64>,
    batches: usize,
    end: Option<End>,
}

impl Seen {
    fn labels(&self) -> Vec<Label> {
        let labels = self.findings.iter().filter_map(|found| found.what.label());
        labels.collect()
    }

    fn missing(&self) -> Vec<RangeInclusive<u64>> {
        let ranges = self.findings.iter().filter_map(|found| match found.what {
            What::Missing { first, last } => Some(first.0..=last.0),
            _ => None,
        });
        ranges.collect()
    }

    fn lsns(&self) -> Vec<u64> {
        self.records.iter().map(|(lsn, _)| lsn.0).collect()
    }
}

fn scanned(scan: &mut Scan) -> Seen {
    let mut seen = Seen::default();
    loop {
        match scan.advance().unwrap() {
            Event::Segment(header) => seen.segments.push(header.number),
            Event::Batch(_) => seen.batches += 1,
            Event::Record(met) => {
                assert_eq!(record::decode(met.bytes).unwrap().lsn, met.lsn);
                seen.records.push((met.lsn, format!("{:?}", met.record)));
            }
            Event::Finding(finding) => seen.findings.push(finding),
            Event::End(end) => {
                seen.end = Some(end);
                return seen;
            }
        }
    }
}

/// Records 1 to 3, 4, anchor, 5 and 6 in the first segment; 7 to 31 in two batches, anchor in the
/// second; 32 and 33 in the third.
fn log() -> Log {
    let mut log = Log::new();
    log.batch(&[small(1), sample(2), small(3)]);
    log.batch(&[intent(4)]);
    log.anchor();
    log.batch(&[small(5), small(6)]);
    log.roll();
    log.batch(&[intent(7); 15]);
    log.batch(&[intent(22); 10]);
    log.anchor();
    log.roll();
    log.batch(&[sample(32)]);
    log.batch(&[small(33)]);
    log
}

fn stored(log: &Log) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    log.store(dir.path());
    dir
}

fn shard_dir(dir: &TempDir) -> PathBuf {
    layout::shard_dir(dir.path(), IDENTITY.generation, IDENTITY.shard)
}

fn scan_from(dir: &TempDir, from: u64) -> Seen {
    let mut scan = Scan::open(&shard_dir(dir), Belongs::To(IDENTITY), Lsn(from)).unwrap();
    scanned(&mut scan)
}

/// Damages the stored files, and says what is found: labels, missing records, records read.
#[track_caller]
fn check(
    damage: impl FnOnce(&TempDir, &mut Log),
    labels: &[Label],
    missing: &[RangeInclusive<u64>],
    read: &[RangeInclusive<u64>],
) -> Seen {
    let mut log = log();
    let dir = stored(&log);
    damage(&dir, &mut log);
    let seen = scan_from(&dir, 1);
    assert_eq!(seen.labels(), labels, "{:#?}", seen.findings);
    assert_eq!(seen.missing(), missing);
    let expected: Vec<u64> = read.iter().cloned().flatten().collect();
    assert_eq!(seen.lsns(), expected);
    let all = recover(&self::log().segments, None).records;
    assert!(seen.records.iter().all(|record| all.contains(record)));
    seen
}

/// Turns one byte of a stored segment over.
fn flip(dir: &TempDir, number: u64, at: usize) {
    let path = shard_dir(dir).join(layout::segment_name(number));
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_good_journal_is_read_whole_and_nothing_is_wrong_with_it() {
    let seen = check(|_, _| {}, &[], &[], &[1..=33]);
    assert_eq!(seen.segments, [1, 2, 3]);
    assert_eq!(seen.batches, 9);
    let end = seen.end.unwrap();
    assert_eq!((end.segment, end.next_lsn), (3, Lsn(34)));
    assert!(matches!(end.how, SegmentEnd::Clean { .. }));
}

#[test]
fn reading_begins_in_the_segment_that_holds_what_is_wanted() {
    let dir = stored(&log());
    assert_eq!(scan_from(&dir, 6).segments, [1, 2, 3]);
    assert_eq!(scan_from(&dir, 7).segments, [2, 3]);
    let last = scan_from(&dir, 900);
    assert_eq!((last.segments.clone(), last.labels()), (vec![3], vec![]));
    assert_eq!(last.records.len(), 2);
}

#[test]
fn what_lies_behind_a_damaged_batch_is_found() {
    let seen = check(
        |dir, _| flip(dir, 1, BLOCK + 70),
        &[Label::J13],
        &[1..=3],
        &[4..=33],
    );
    let told = seen.findings[0].path.ends_with("00000001.seg");
    assert!(told, "{:?}", seen.findings);
    let What::Refused(Refusal::Corrupt { offset, proof, .. }) = seen.findings[0].what else {
        panic!("{:?}", seen.findings);
    };
    assert_eq!(offset, BLOCK as u64);
    assert!(proof.to_string().contains("8192"), "{proof}");
    check(
        |dir, _| flip(dir, 2, BLOCK + 70),
        &[Label::J13],
        &[7..=21],
        &[1..=6, 22..=33],
    );
    // The last batch with records of a segment that another one follows.
    check(
        |dir, _| flip(dir, 1, 4 * BLOCK + 70),
        &[Label::J13],
        &[5..=6],
        &[1..=4, 7..=33],
    );
    // An anchor holds nothing.
    check(
        |dir, _| flip(dir, 1, 3 * BLOCK + 9),
        &[Label::J13],
        &[],
        &[1..=33],
    );
}

#[test]
fn the_last_batch_of_all_is_an_open_end_and_no_damage() {
    let seen = check(|dir, _| flip(dir, 3, 2 * BLOCK + 70), &[], &[], &[1..=32]);
    assert!(matches!(
        seen.end.unwrap().how,
        SegmentEnd::Torn { offset: 8192, .. }
    ));
    // One more block than a torn write can leave.
    let far = 2 * BLOCK + Log::BATCH_MAX + 5;
    check(
        |dir, _| {
            [2 * BLOCK + 70, far]
                .map(|at| flip(dir, 3, at))
                .iter()
                .for_each(drop)
        },
        &[Label::J15],
        &[],
        &[1..=32],
    );
}

#[test]
fn a_segment_that_cannot_be_used_does_not_hide_the_others() {
    // Its batches are found without its header.
    check(|dir, _| flip(dir, 2, 300), &[Label::J08], &[], &[1..=33]);
    check(|dir, _| flip(dir, 1, 300), &[Label::J08], &[], &[1..=33]);
    let segment = |dir: &TempDir, number| shard_dir(dir).join(layout::segment_name(number));
    check(
        |dir, _| fs::remove_file(segment(dir, 2)).unwrap(),
        &[Label::J09],
        &[7..=31],
        &[1..=6, 32..=33],
    );
    check(
        |dir, _| {
            fs::copy(segment(dir, 1), segment(dir, 2))
                .map(drop)
                .unwrap()
        },
        &[Label::J08],
        &[7..=31],
        &[1..=6, 32..=33],
    );
    check(
        |dir, _| fs::write(segment(dir, 2), b"short").unwrap(),
        &[Label::J08],
        &[7..=31],
        &[1..=6, 32..=33],
    );
}

#[test]
fn a_file_of_another_length_is_told_and_read() {
    let cut = |dir: &TempDir, _: &mut Log| {
        let path = shard_dir(dir).join(layout::segment_name(2));
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() - BLOCK]).unwrap();
    };
    check(cut, &[Label::J08], &[], &[1..=33]);
}

#[test]
fn a_stale_batch_is_told_and_not_read() {
    let again = |dir: &TempDir, log: &mut Log| {
        let first = log.segments[0][BLOCK..2 * BLOCK].to_vec();
        let path = shard_dir(dir).join(layout::segment_name(1));
        let mut bytes = fs::read(&path).unwrap();
        bytes[5 * BLOCK..6 * BLOCK].copy_from_slice(&first);
        fs::write(path, bytes).unwrap();
    };
    check(again, &[Label::J16], &[], &[1..=33]);
}

#[test]
fn a_record_written_wrong_does_not_hide_the_ones_behind_it() {
    let wrong = |at: usize| {
        move |dir: &TempDir, log: &mut Log| {
            let mut bytes = log.segments[0].clone();
            bytes[BLOCK + BATCH_HEADER_LEN + at] ^= 1;
            let (header, _) = batch_at(&bytes, BLOCK);
            crate::batch::seal(header, IDENTITY.journal, &mut bytes[BLOCK..2 * BLOCK]);
            let path = shard_dir(dir).join(layout::segment_name(1));
            fs::write(path, bytes).unwrap();
        }
    };
    // Its payload; then its type. The chain does not fit behind a batch that was written again.
    let labels = [Label::J17, Label::J16];
    check(wrong(44), &labels, &[], &[2..=33]);
    check(wrong(4), &labels, &[], &[2..=33]);
    // Its header: where the next one begins is not known.
    check(wrong(0), &labels, &[1..=3], &[4..=33]);
}

fn batch_at(bytes: &[u8], at: usize) -> (BatchHeader, usize) {
    let header = BatchHeader::peek(&bytes[at..]).unwrap();
    (header, usize::try_from(header.extent()).unwrap())
}

#[test]
fn what_is_written_while_it_is_read_is_found_and_no_damage() {
    let mut log = Log::new();
    log.batch(&[small(1)]);
    let dir = stored(&log);
    let mut scan = Scan::open(&shard_dir(&dir), Belongs::To(IDENTITY), Lsn(1)).unwrap();
    assert_eq!(scanned(&mut scan).lsns(), [1]);
    scan.follow();
    let mut expected = 2;
    for turn in 0..40 {
        if turn % 7 == 3 {
            log.roll();
        }
        log.batch(&[small(expected), intent(expected + 1)]);
        // Half of a batch is there first.
        let whole = log.segments.clone();
        let at = log.at - BLOCK + 50;
        log.last()[at..].fill(0);
        log.store(dir.path());
        let half = scanned(&mut scan);
        assert!(
            half.lsns().is_empty() && half.findings.is_empty(),
            "{half:?}"
        );
        log.segments = whole;
        log.store(dir.path());
        let seen = scanned(&mut scan);
        assert_eq!(seen.lsns(), [expected, expected + 1]);
        assert!(seen.findings.is_empty(), "{:?}", seen.findings);
        expected += 2;
    }
}

#[test]
fn folders_are_found_without_a_manifest() {
    let dir = stored(&log());
    fs::write(dir.path().join(layout::MANIFEST), "no manifest").unwrap();
    let folder = Folder::read(dir.path()).unwrap();
    assert_eq!(folder.manifest.unwrap_err().label(), Some(Label::J05));
    assert!(!folder.is_held);
    let [shard] = folder.shards.as_slice() else {
        panic!("{:?}", folder.shards);
    };
    let mut scan = Scan::open(&shard.dir, shard.belongs, Lsn(1)).unwrap();
    let seen = scanned(&mut scan);
    assert_eq!((seen.records.len(), seen.findings.len()), (33, 0));
    assert_eq!(scan.belongs(), Belongs::To(IDENTITY));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// What is handed out was written, in order; and whatever recovery refuses the journal for is
    /// what a scan names first.
    #[test]
    fn a_damaged_journal_yields_no_invented_record_and_the_verdict_of_recovery(
        seed: u64, hits in 0_usize..6,
    ) {
        let mut log = log();
        let all = log.recover().records;
        let mut dice = Dice::new(seed);
        for _ in 0..hits {
            let segment = &mut log.segments[usize::try_from(dice.below(3)).unwrap()];
            let at = usize::try_from(dice.below(7 * BLOCK as u64)).unwrap();
            let len = usize::try_from(dice.below(2 * BLOCK as u64)).unwrap();
            match dice.below(3) {
                0 => segment[at] = dice.next().to_le_bytes()[0],
                1 => segment[at..at + len].fill(0),
                _ => segment.copy_within(at / BLOCK * BLOCK..(at + len) / BLOCK * BLOCK, BLOCK),
            }
        }
        let dir = stored(&log);
        let seen = scan_from(&dir, 1);
        let mut expected = all.iter();
        for record in &seen.records {
            prop_assert!(expected.any(|known| known == record), "{record:?}");
        }
        let refused = recover(&log.segments, None).end.err().map(|refusal| refusal.label());
        prop_assert_eq!(seen.labels().first().copied(), refused, "{:#?}", seen.findings);
        if refused.is_none() {
            prop_assert_eq!(seen.records, recover(&log.segments, None).records);
        }
    }
}
