//! Tests of `checkpoint`.

use std::fs;
use std::path::Path;

use super::*;
use crate::batch::BLOCK;
use crate::layout::segment_name;
use crate::recovery::{Label, Place, Recovery, judge_cover};
use crate::segment_header::SegmentHeader;
use crate::testing::{IDENTITY, Log, checkpoint_of, intent, sample, small, write_checkpoint};
use domain::ids::{IssuerId, ShardId, Stan};
use domain::record::{Carriage, LeftBehind, Record};

const SMALL: Shape = Shape {
    segment_bytes: 6 * BLOCK,
    batch_bytes_max: 2 * BLOCK,
};

fn covered() -> Covered {
    Covered {
        identity: IDENTITY,
        segment: 32,
        next_lsn: Lsn(81_235),
        next_sequence: 5_512,
        chain: 0x1A2B_3C4D,
        files: 3,
        records: 40_213,
        marks: Marks {
            left_behind: LeftBehind {
                over: WallTime::from_unix_millis(1_763_781_234_567),
                advices: WallTime::from_unix_millis(1_763_781_200_000),
            },
            latest_stans: vec![
                (IssuerId(0), Stan::new(123).unwrap()),
                (IssuerId(0), Stan::new(130_001).unwrap()),
                (IssuerId(7), Stan::new(999_999).unwrap()),
            ],
        },
    }
}

/// As it was before format 2.
fn unmarked() -> Covered {
    Covered {
        marks: Marks {
            left_behind: LeftBehind {
                advices: WallTime::default(),
                ..covered().marks.left_behind
            },
            latest_stans: Vec::new(),
        },
        ..covered()
    }
}

/// The text is the format: this test may only be added to.
#[test]
fn covered_is_as_documented_and_as_it_was_in_format_1() {
    let check = |covered: Covered, from: &str, to: &str| {
        let text = covered.encode();
        assert!(text.starts_with(from), "{text}");
        assert!(text.contains(to), "{text}");
        assert_eq!(Covered::decode(32, &text), Ok(covered));
    };
    check(
        unmarked(),
        "njia-checkpoint 1\n",
        "left_behind 1763781234567\nfiles 3\nrecords 40213\ncrc32c ",
    );
    check(
        covered(),
        "njia-checkpoint 2\n",
        "left_behind 1763781234567/1763781200000\nfiles 3\nrecords 40213\n\
         stans 0 000123 130001\nstans 7 999999\ncrc32c ",
    );
}

#[test]
fn covered_reads_what_it_writes_and_nothing_else() {
    for covered in [
        covered(),
        unmarked(),
        Covered {
            marks: Marks {
                latest_stans: Vec::new(),
                ..covered().marks
            },
            ..covered()
        },
        Covered {
            marks: Marks {
                latest_stans: (0..u16::try_from(Covered::LATEST_STANS_MAX).unwrap())
                    .map(|issuer| (IssuerId(u16::MAX - issuer), Stan::default()))
                    .collect(),
                ..covered().marks
            },
            ..covered()
        },
    ] {
        let text = covered.encode();
        assert!(text.len() <= Covered::LEN_MAX);
        assert_eq!(Covered::decode(32, &text), Ok(covered));
    }
    let text = covered().encode();
    let refused = |segment, text: &str| Covered::decode(segment, text).unwrap_err().label();
    assert_eq!(refused(33, &text), Label::J21);
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        assert_eq!(refused(32, &String::from_utf8(bytes).unwrap()), Label::J21);
        assert_eq!(refused(32, &text[..at]), Label::J21);
    }
    let resealed = |from: &str, to: &str| {
        let body = text.split("crc32c ").next().unwrap().replacen(from, to, 1);
        format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()))
    };
    assert_eq!(Covered::decode(32, &resealed("3\n", "3\n")), Ok(covered()));
    for (from, to) in [
        ("njia-checkpoint 2", "njia-checkpoint 1"),
        ("njia-checkpoint 2", "njia-checkpoint 3"),
        ("/1763781200000", "/0"),
        ("stans 7 999999", "stans 7 1000000"),
        ("stans 7 999999", "stans 7"),
        ("000123 130001", "123 130001"),
        ("files 3", "files 03"),
        ("shard 3", "shard x"),
        ("records ", "more 1\nrecords "),
    ] {
        assert_eq!(refused(32, &resealed(from, to)), Label::J21, "{to}");
    }
}

#[test]
fn files_of_a_checkpoint_belong_to_no_journal_and_no_other_checkpoint() {
    let (one, other) = (files_of(&IDENTITY, 2), files_of(&IDENTITY, 3));
    assert_ne!(one.journal, IDENTITY.journal);
    assert_ne!(one.journal, other.journal);
    assert_eq!(files_of(&one, 2).journal, IDENTITY.journal);
}

fn build(shape: Shape, records: &[Record<'_>]) -> (Vec<Image>, Ended) {
    let mut builder = Builder::new((&IDENTITY, 7), shape, Vec::new(), WallTime::default());
    let mut images = Vec::new();
    for record in records {
        images.extend(builder.add(record, Carriage::Carried).unwrap());
    }
    let mut ended = builder.end();
    images.append(&mut ended.images);
    (images, ended)
}

fn read_images(images: &[Image]) -> Vec<(Lsn, String, Carriage)> {
    let mut judge = Recovery::new(files_of(&IDENTITY, 7), None);
    let mut read = Vec::new();
    for image in images {
        let mut on_record = |lsn: Lsn, record: &Record<'_>, carriage: Carriage| {
            read.push((lsn, format!("{record:?}"), carriage));
        };
        judge
            .segment(
                image.number,
                &image.bytes,
                Place::Checkpoint,
                &mut on_record,
            )
            .unwrap();
    }
    read
}

#[test]
fn what_was_added_is_read_back_in_its_order_whatever_the_size_of_files() {
    for count in [0, 1, 2, 10, 11, 12, 57, 400] {
        let records: Vec<Record<'_>> = (0..count)
            .map(|number| match number % 3 {
                0 => small(number),
                1 => intent(number),
                _ => sample(number),
            })
            .collect();
        let shape = Shape {
            segment_bytes: 20 * BLOCK,
            batch_bytes_max: 17 * BLOCK,
        };
        let (images, ended) = build(shape, &records);
        assert_eq!((ended.files, ended.records), (images.len() as u64, count));
        let expected: Vec<_> = (1..)
            .map(Lsn)
            .zip(&records)
            .map(|(lsn, record)| (lsn, format!("{record:?}"), Carriage::Carried))
            .collect();
        assert_eq!(read_images(&images), expected, "{count}");
    }
}

#[test]
fn a_file_is_no_longer_than_it_may_be_and_ends_with_its_last_batch() {
    let records: Vec<Record<'_>> = (0..2_000).map(small).collect();
    let (images, _) = build(SMALL, &records);
    assert!(images.len() > 3);
    for image in &images {
        assert!(image.bytes.len() <= SMALL.segment_bytes);
        let header = SegmentHeader::decode(&image.bytes).unwrap();
        assert_eq!(header.segment_bytes, image.bytes.len() as u64);
        assert_eq!(header.number, image.number);
    }
}

#[test]
fn j13_a_checkpoint_has_no_torn_tail() {
    let (mut images, _) = build(SMALL, &[small(1)]);
    let last = images.last_mut().unwrap();
    last.bytes[BLOCK + 80] ^= 1;
    let mut judge = Recovery::new(files_of(&IDENTITY, 7), None);
    let refused = judge
        .segment(1, &last.bytes, Place::Checkpoint, &mut |_, _, _| {})
        .unwrap_err();
    assert_eq!(refused.label(), Label::J13);
    assert!(refused.to_string().contains("offset 4096"), "{refused}");
}

/// Three segments with records 1 to 4, 5 to 8, and 9 to 12.
fn log() -> Log {
    let mut log = Log::new();
    for segment in 0..3 {
        if segment > 0 {
            log.roll();
        }
        for batch in 0..2 {
            let first = segment * 4 + batch * 2 + 1;
            log.batch(&[small(first), small(first + 1)]);
        }
    }
    log
}

fn recover_behind(log: &Log, covered: &Covered) -> Result<Vec<Lsn>, Refusal> {
    let numbers: Vec<u64> = (covered.segment..=log.segments.len() as u64).collect();
    judge_cover(&numbers, Some(covered))?;
    let mut judge = Recovery::behind(covered, None);
    let mut read = Vec::new();
    for (number, bytes) in (1..).zip(&log.segments) {
        if number < covered.segment {
            continue;
        }
        let place = if number == log.segments.len() as u64 {
            Place::Last
        } else {
            Place::Earlier
        };
        judge.segment(number, bytes, place, &mut |lsn, _, _| read.push(lsn))?;
    }
    assert_eq!(judge.tail(), log.sink.tail());
    Ok(read)
}

#[test]
fn the_log_goes_on_behind_what_is_covered() {
    let log = log();
    for segment in 2..=3 {
        let (covered, _) = checkpoint_of(&log, segment);
        let expected: Vec<Lsn> = ((segment - 1) * 4 + 1..=12).map(Lsn).collect();
        assert_eq!(recover_behind(&log, &covered), Ok(expected));
    }
}

#[test]
fn j09_a_segment_that_does_not_continue_the_checkpoint_is_refused() {
    let log = log();
    let (covered, _) = checkpoint_of(&log, 2);
    let check = |covered: Covered| {
        let refused = recover_behind(&log, &covered).unwrap_err();
        assert_eq!(refused.label(), Label::J09, "{refused}");
    };
    check(Covered {
        next_lsn: Lsn(6),
        ..covered.clone()
    });
    check(Covered {
        next_sequence: covered.next_sequence + 1,
        ..covered.clone()
    });
    check(Covered {
        chain: covered.chain ^ 1,
        ..covered.clone()
    });
    check(Covered {
        segment: 3,
        ..covered
    });
}

#[test]
fn j09_what_is_not_here_must_be_covered() {
    let (covered, _) = checkpoint_of(&log(), 2);
    let check = |numbers: &[u64], covered: Option<&Covered>, good: bool| {
        let judged = judge_cover(numbers, covered);
        assert_eq!(judged.is_ok(), good, "{numbers:?}");
        if let Err(refused) = judged {
            assert_eq!(refused.label(), Label::J09);
        }
    };
    check(&[], None, true);
    check(&[1, 2, 3], None, true);
    check(&[2, 3], None, false);
    check(&[1, 2, 3], Some(&covered), true);
    check(&[2, 3], Some(&covered), true);
    check(&[3], Some(&covered), false);
    check(&[1], Some(&covered), false);
    check(&[], Some(&covered), false);
}

/// All of a checkpoint, as a start reads it.
fn read(dir: &Path) -> Result<Option<u64>, crate::JournalError> {
    let Some(covered) = newest(dir, &IDENTITY)? else {
        return Ok(None);
    };
    let mut records = 0;
    verified(dir, &covered, &mut |_, _, _| records += 1)?;
    Ok(Some(records))
}

#[test]
fn j21_a_checkpoint_is_whole_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert_eq!(read(dir).unwrap(), None);
    write_checkpoint(dir, &log(), 3);
    assert_eq!(read(dir).unwrap(), Some(8));
    let folder = folder(dir, 3);
    let (file, told) = (folder.join(segment_name(1)), folder.join("covered"));
    let check = |path: &Path, change: &dyn Fn(&Path), label| {
        let kept = fs::read(path).unwrap();
        change(path);
        let refused = read(dir).unwrap_err();
        assert_eq!(refused.label(), Some(label), "{refused}");
        fs::write(path, kept).unwrap();
        assert_eq!(read(dir).unwrap(), Some(8));
    };
    let flip = |at: usize| {
        move |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    };
    let gone = |path: &Path| fs::remove_file(path).unwrap();
    let empty = |path: &Path| fs::write(path, b"").unwrap();
    check(&told, &gone, Label::J21);
    check(&told, &empty, Label::J21);
    check(&told, &flip(40), Label::J21);
    check(&file, &gone, Label::J21);
    check(&file, &empty, Label::J08);
    check(&file, &flip(10), Label::J08);
    check(&file, &flip(BLOCK + 100), Label::J13);
    let other = Identity {
        shard: ShardId(0),
        ..IDENTITY
    };
    let refused = newest(dir, &other).unwrap_err();
    assert_eq!(refused.label(), Some(Label::J21));
    // Files of another checkpoint.
    write_checkpoint(dir, &log(), 2);
    fs::copy(super::folder(dir, 2).join(segment_name(1)), &file).unwrap();
    assert_eq!(read(dir).unwrap_err().label(), Some(Label::J08));
}

#[test]
fn the_newest_is_read_and_the_older_one_goes_when_it_has_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_checkpoint(dir, &log(), 2);
    assert_eq!(numbers(dir).unwrap(), [2]);
    write_checkpoint(dir, &log(), 3);
    assert_eq!(numbers(dir).unwrap(), [3]);
    fs::create_dir(dir.join("checkpoint-00000004.part")).unwrap();
    fs::write(dir.join("checkpoint-00000004.part/covered"), b"half").unwrap();
    assert_eq!(read(dir).unwrap(), Some(8));
    remove_unfinished(dir).unwrap();
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
    let mut draft = Draft::begin(dir, 4).unwrap();
    draft
        .put(&Image {
            number: 1,
            bytes: vec![0; BLOCK],
        })
        .unwrap();
    draft.discard().unwrap();
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
}
