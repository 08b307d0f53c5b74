//! Tests of `reader`.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::recovery::Label;
use crate::testing::{Dice, IDENTITY, Log, intent, sample, small};

/// Records 1 to 6 in the first segment, 7 to 31 in the second, 32 in the third.
fn stored() -> (TempDir, Log) {
    let mut log = Log::new();
    log.batch(&[small(1), sample(2), small(3)]);
    log.batch(&[intent(4)]);
    log.anchor();
    log.batch(&[small(5), small(6)]);
    log.roll();
    log.batch(&[intent(7); 25]);
    log.anchor();
    log.roll();
    log.batch(&[sample(32)]);
    let dir = tempfile::tempdir().unwrap();
    log.store(dir.path());
    (dir, log)
}

fn reader(dir: &TempDir, after: u64) -> ShardReader {
    ShardReader::open(dir.path(), IDENTITY.shard, Lsn(after)).unwrap()
}

fn read(reader: &mut ShardReader, up_to: UpTo) -> Result<Vec<(Lsn, String)>, JournalError> {
    let mut records = Vec::new();
    while let Some(entry) = reader.next(up_to)? {
        assert_eq!(record::decode(entry.bytes).unwrap().lsn, entry.lsn);
        records.push((entry.lsn, format!("{:?}", entry.record)));
    }
    Ok(records)
}

fn segment_path(dir: &TempDir, number: u64) -> PathBuf {
    let shard = layout::shard_dir(dir.path(), IDENTITY.generation, IDENTITY.shard);
    shard.join(layout::segment_name(number))
}

thread_local! {
    /// What the disk holds behind the cached pages, for a test: put in place when they are dropped.
    static ON_DISK: RefCell<Option<(PathBuf, Vec<u8>)>> = const { RefCell::new(None) };
}

/// Cached pages were dropped: the next read sees the disk.
pub(super) fn page_dropped() {
    if let Some((path, bytes)) = ON_DISK.take() {
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_stale_page_of_zeros_is_not_the_end_of_a_segment_that_has_a_successor() {
    let (dir, log) = stored();
    let all = log.recover().records;
    for up_to in [UpTo::Durable(Lsn(32)), UpTo::End] {
        let mut reader = reader(&dir, 0);
        assert_eq!(read(&mut reader, UpTo::Durable(Lsn(3))).unwrap(), all[..3]);
        let path = segment_path(&dir, 1);
        let on_disk = fs::read(&path).unwrap();
        let at = usize::try_from(reader.open.as_ref().unwrap().at).unwrap();
        let mut cached = on_disk.clone();
        cached[at..].fill(0);
        fs::write(&path, cached).unwrap();
        ON_DISK.set(Some((path, on_disk)));
        assert_eq!(read(&mut reader, up_to).unwrap(), all[3..]);
    }
}

#[test]
fn a_journal_at_rest_is_read_to_its_end_from_any_place() {
    let (dir, log) = stored();
    let all = log.recover().records;
    assert_eq!(all.len(), 32);
    for after in 0..=32 {
        let mut reader = reader(&dir, after);
        let read = read(&mut reader, UpTo::End).unwrap();
        assert_eq!(
            read,
            all[usize::try_from(after).unwrap()..],
            "after {after}"
        );
        assert!(!reader.torn());
    }
    assert!(read(&mut reader(&dir, 33), UpTo::End).unwrap().is_empty());
}

#[test]
fn reading_stops_at_the_durable_position_and_goes_on_when_it_moves() {
    let (dir, log) = stored();
    let all = log.recover().records;
    let mut reader = reader(&dir, 0);
    let mut seen = Vec::new();
    for durable in [0, 0, 1, 2, 5, 6, 7, 7, 31, 32, 32] {
        seen.extend(read(&mut reader, UpTo::Durable(Lsn(durable))).unwrap());
        assert_eq!(
            seen,
            all[..usize::try_from(durable).unwrap()],
            "durable {durable}"
        );
    }
}

#[test]
fn the_files_may_come_after_the_reader() {
    let (dir, log) = stored();
    let shard = layout::shard_dir(dir.path(), IDENTITY.generation, IDENTITY.shard);
    let aside = dir.path().join("aside");
    fs::rename(&shard, &aside).unwrap();
    let mut reader = reader(&dir, 0);
    assert!(read(&mut reader, UpTo::End).unwrap().is_empty());
    assert!(
        read(&mut reader, UpTo::Durable(Lsn::ZERO))
            .unwrap()
            .is_empty()
    );
    fs::rename(&aside, &shard).unwrap();
    let records = read(&mut reader, UpTo::Durable(Lsn(32))).unwrap();
    assert_eq!(records, log.recover().records);
}

#[test]
fn what_was_published_but_is_not_there_is_corruption() {
    let (dir, _) = stored();
    let refused = read(&mut reader(&dir, 0), UpTo::Durable(Lsn(33))).unwrap_err();
    assert_eq!(refused.label(), Some(Label::J13));
    let (dir, mut log) = stored();
    log.segments[1][BLOCK + 100] ^= 1;
    log.store(dir.path());
    let mut reader = reader(&dir, 0);
    assert_eq!(read(&mut reader, UpTo::Durable(Lsn(6))).unwrap().len(), 6);
    let refused = read(&mut reader, UpTo::Durable(Lsn(7))).unwrap_err();
    assert_eq!(refused.label(), Some(Label::J13));
    let text = refused.to_string();
    assert!(
        text.contains("00000002.seg") && text.contains("offset 4096"),
        "{text}"
    );
}

#[test]
fn a_torn_tail_ends_a_journal_at_rest() {
    let (dir, mut log) = stored();
    log.batch(&[small(33)]);
    log.last()[2 * BLOCK + 70] ^= 1;
    log.store(dir.path());
    let mut reader = reader(&dir, 30);
    assert_eq!(read(&mut reader, UpTo::End).unwrap().len(), 2);
    assert!(reader.torn());
}

#[test]
fn damage_before_the_last_segment_is_not_a_torn_tail() {
    let (dir, mut log) = stored();
    log.segments[1][BLOCK + 100] ^= 1;
    log.store(dir.path());
    let refused = read(&mut reader(&dir, 0), UpTo::End).unwrap_err();
    assert_eq!(refused.label(), Some(Label::J13));
}

#[test]
fn records_that_were_retired_are_missed() {
    let (dir, log) = stored();
    fs::remove_file(segment_path(&dir, 1)).unwrap();
    let refused = read(&mut reader(&dir, 5), UpTo::Durable(Lsn(32))).unwrap_err();
    assert_eq!(refused.label(), Some(Label::J19));
    let records = read(&mut reader(&dir, 6), UpTo::Durable(Lsn(32))).unwrap();
    assert_eq!(records, log.recover().records[6..]);
}

#[test]
fn a_segment_that_does_not_continue_the_log_is_refused() {
    let (dir, _) = stored();
    let (_, other) = stored();
    let mut bytes = other.segments[2].clone();
    let mut header = SegmentHeader::decode(&bytes).unwrap();
    header.previous_chain ^= 1;
    bytes[..BLOCK].copy_from_slice(&header.encode());
    fs::write(segment_path(&dir, 3), bytes).unwrap();
    let refused = read(&mut reader(&dir, 0), UpTo::Durable(Lsn(32))).unwrap_err();
    assert_eq!(refused.label(), Some(Label::J09));
}

#[test]
fn what_is_no_record_inside_a_batch_is_not_passed_by() {
    let (dir, mut log) = stored();
    let bytes = &mut log.segments[0];
    bytes[BLOCK + BATCH_HEADER_LEN] ^= 1;
    let header = BatchHeader::peek(&bytes[BLOCK..]).unwrap();
    batch::seal(header, IDENTITY.journal, &mut bytes[BLOCK..2 * BLOCK]);
    log.store(dir.path());
    let refused = read(&mut reader(&dir, 0), UpTo::Durable(Lsn(32))).unwrap_err();
    assert_eq!(refused.label(), Some(Label::J17));
}

#[test]
fn the_keys_of_all_segments_are_found_each_once() {
    let (dir, _) = stored();
    let keys = wrapped_keys(dir.path(), IDENTITY.shard).unwrap();
    let ids: Vec<u32> = keys.iter().map(|key| key.key_id).collect();
    assert_eq!(ids, [1, 2, 3]);
    fs::copy(segment_path(&dir, 2), segment_path(&dir, 4)).unwrap();
    let refused = wrapped_keys(dir.path(), IDENTITY.shard).unwrap_err();
    assert_eq!(refused.label(), Some(Label::J08));
}

#[test]
fn reading_changes_nothing() {
    let (dir, log) = stored();
    read(&mut reader(&dir, 0), UpTo::End).unwrap();
    for (number, bytes) in (1..).zip(&log.segments) {
        assert_eq!(&fs::read(segment_path(&dir, number)).unwrap(), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What the reader hands out is a part of what was written, whatever the files hold.
    #[test]
    fn damaged_files_never_yield_an_invented_record(
        seed: u64, hits in 1_usize..5, after in 0_u64..33,
    ) {
        let (dir, mut log) = stored();
        let all = log.recover().records;
        let mut dice = Dice::new(seed);
        for _ in 0..hits {
            let segment = &mut log.segments[usize::try_from(dice.below(3)).unwrap()];
            let at = usize::try_from(dice.below(5 * BLOCK as u64)).unwrap();
            segment[at] = dice.next().to_le_bytes()[0];
        }
        log.store(dir.path());
        for up_to in [UpTo::End, UpTo::Durable(Lsn(32))] {
            let mut reader = reader(&dir, after);
            let mut expected = all[usize::try_from(after).unwrap().min(32)..].iter();
            while let Ok(Some(entry)) = reader.next(up_to) {
                let found = (entry.lsn, format!("{:?}", entry.record));
                prop_assert_eq!(Some(&found), expected.next());
            }
        }
    }
}
