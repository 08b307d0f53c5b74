//! What a start makes of what it finds.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use super::*;
use crate::batch::BLOCK;
use crate::error::Unfit;
use crate::journal::testing::disk_dir;
use crate::layout::segment_name;
use crate::manifest::Manifest;
use crate::recovery::Label;
use crate::segment_header::WrappedKey;
use domain::ids::NodeId;
use rustix::fs::{FlockOperation, flock};

/// A closed journal with records 1 to 3 in one segment: a batch at one block, an anchor at two.
fn closed(name: &str) -> Bench {
    let bench = Bench::new(name);
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        fill(&journal, 1..=3).await;
        journal.close().await.unwrap();
    });
    bench
}

/// The manifest knows which segment the last start went on in: without it, or with older ones
/// alone, what was acknowledged is gone, and beginning anew would forget it in silence.
#[test]
fn j09_a_newest_segment_that_is_gone_is_missed() {
    let mut bench = closed("lost");
    bench.settings.segment_known = 1;
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        journal.close().await.unwrap();
    });
    bench.settings.segment_known = 2;
    let refused = check_refused(&bench, Label::J09).to_string();
    assert!(
        refused.contains("segment 2, the newest here is 1"),
        "{refused}"
    );
    for name in segment_names(&bench) {
        fs::remove_file(bench.shard_dir().join(name)).unwrap();
    }
    bench.settings.segment_known = 1;
    let refused = check_refused(&bench, Label::J09).to_string();
    assert!(
        refused.contains("segment 1, and there is none"),
        "{refused}"
    );
}

fn change(bench: &Bench, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
    let path = bench.shard_dir().join(segment_name(number));
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[track_caller]
fn check_refused(bench: &Bench, label: Label) -> JournalError {
    let before: Vec<(String, Vec<u8>)> = files(bench);
    let refused = on_executor(async { bench.open().await.err() }).unwrap();
    assert_eq!(refused.label(), Some(label), "{refused}");
    assert_eq!(files(bench), before, "nothing was changed");
    refused
}

fn files(bench: &Bench) -> Vec<(String, Vec<u8>)> {
    let names = bench.names().into_iter();
    names
        .filter(|name| !name.starts_with("spare-"))
        .map(|name| {
            let bytes = fs::read(bench.shard_dir().join(&name)).unwrap();
            (name, bytes)
        })
        .collect()
}

fn segment_names(bench: &Bench) -> Vec<String> {
    let mut names = bench.names();
    names.retain(|name| name.ends_with(".seg"));
    names
}

#[test]
fn fault_030_j01_a_journal_that_is_open_is_in_use() {
    let bench = Bench::new("lock");
    on_executor(async {
        let held = bench.open().await.unwrap();
        let refused = bench.open().await.err().unwrap();
        assert_eq!(
            (refused.label(), refused.exit_code()),
            (Some(Label::J01), 75)
        );
        held.journal.close().await.unwrap();
        assert!(bench.open().await.is_ok());
    });
}

#[test]
fn fault_030_j01_a_lock_that_ends_within_a_quarter_of_a_second_is_waited_for() {
    let bench = closed("lock-wait");
    let held = fs::File::open(bench.shard_dir()).unwrap();
    flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
    on_executor(async {
        let ending = glommio::spawn_local(async move {
            glommio::timer::sleep(Duration::from_millis(75)).await;
            drop(held);
        });
        assert!(bench.open().await.is_ok());
        ending.await;
    });
}

/// What a killed process leaves: the directory is free, and writes into its segment are still on
/// their way, on a descriptor that the kernel keeps.
fn held_segment(bench: &Bench) -> fs::File {
    let file = fs::File::open(bench.shard_dir().join(segment_name(1))).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

#[test]
fn j01_a_segment_that_is_held_is_not_judged_and_not_cut() {
    let bench = closed("segment-lock");
    change(&bench, 1, |bytes| bytes[3 * BLOCK] = 1);
    let before = files(&bench);
    let held = held_segment(&bench);
    on_executor(async {
        let mut seen = 0;
        let mut on_record = |_: Lsn, _: &Record<'_>, _: Carriage| seen += 1;
        let refused = Journal::open(bench.settings.clone(), &mut on_record).await;
        let refused = refused.err().unwrap();
        assert_eq!(
            (refused.label(), refused.exit_code(), seen),
            (Some(Label::J01), 75, 0)
        );
    });
    assert_eq!(files(&bench), before, "the tail may not be torn at all");
    drop(held);
    on_executor(async { assert_eq!(bench.open().await.unwrap().records, expected(1..=3)) });
    assert_eq!(segment_names(&bench), ["00000001.seg", "00000002.seg"]);
}

#[test]
fn j01_what_a_killed_process_still_writes_is_waited_for_and_read() {
    let bench = closed("segment-lock-wait");
    let path = bench.shard_dir().join(segment_name(1));
    let whole = fs::read(&path).unwrap();
    change(&bench, 1, |bytes| bytes[BLOCK + 100..].fill(0));
    let held = held_segment(&bench);
    on_executor(async {
        let ending = glommio::spawn_local(async move {
            glommio::timer::sleep(Duration::from_millis(75)).await;
            fs::write(&path, whole).unwrap();
            drop(held);
        });
        assert_eq!(bench.open().await.unwrap().records, expected(1..=3));
        ending.await;
    });
    assert_eq!(segment_names(&bench), ["00000001.seg"], "nothing was cut");
}

/// On the standard error output that no test runner holds back.
fn not_checked(what: &str) {
    let mut told = std::io::stderr().lock();
    writeln!(told, "NOT CHECKED: {what}").unwrap();
}

#[test]
fn fault_029_j02_a_directory_in_memory_is_refused_even_when_any_file_system_is_allowed() {
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        return not_checked("a file system in memory: there is no /dev/shm");
    };
    let manifest = Manifest::open_or_create(memory.path(), NodeId(1), 1).unwrap();
    let mut bench = Bench::new("tmpfs");
    bench.settings.root = memory.path().to_owned();
    bench.settings.identity = manifest.identity(ShardId(0));
    let mut check = |file_systems, expected: fn(&Unfit) -> bool| {
        bench.settings.file_systems = file_systems;
        let refused = on_executor(async { bench.open().await.err() }).unwrap();
        assert_eq!(
            (refused.label(), refused.exit_code()),
            (Some(Label::J02), 69)
        );
        assert!(matches!(&refused, JournalError::Unfit { unfit, .. } if expected(unfit)));
    };
    check(FileSystems::Tried, |unfit| {
        matches!(unfit, Unfit::FileSystem { .. })
    });
    check(FileSystems::Any, |unfit| matches!(unfit, Unfit::NotDirect));
}

#[test]
fn fault_029_j02_another_users_directory_is_refused() {
    let bench = closed("owner");
    if std::os::unix::fs::chown(bench.shard_dir(), Some(12_345), None).is_err() {
        return not_checked("another user's directory: giving one away needs root");
    }
    let refused = check_refused(&bench, Label::J02);
    assert!(
        refused.to_string().contains("belongs to user 12345"),
        "{refused}"
    );
}

#[test]
fn j10_what_was_being_made_is_removed() {
    let bench = closed("spare");
    let dir = bench.shard_dir();
    fs::write(dir.join("spare-77.zero"), [0; 100]).unwrap();
    fs::write(dir.join("probe-0.tmp"), [0; 100]).unwrap();
    fs::write(dir.join("notes.txt"), b"an operator's").unwrap();
    on_executor(async {
        assert_eq!(bench.open().await.unwrap().records, expected(1..=3));
    });
    let names = bench.names();
    assert!(!names.contains(&"spare-77.zero".to_owned()));
    assert!(!names.contains(&"probe-0.tmp".to_owned()));
    assert!(
        names.contains(&"notes.txt".to_owned()),
        "what is not ours is left alone"
    );
}

#[test]
fn a_clean_end_is_continued_in_the_same_segment() {
    let bench = closed("clean");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        fill(&journal, 4..=6).await;
        journal.close().await.unwrap();
        assert_eq!(bench.open().await.unwrap().records, expected(1..=6));
    });
    assert_eq!(segment_names(&bench), ["00000001.seg"]);
}

#[test]
fn fault_025_j13_corruption_is_refused_with_file_and_offset() {
    let bench = closed("corrupt");
    change(&bench, 1, |bytes| bytes[BLOCK + 70] ^= 1);
    let text = check_refused(&bench, Label::J13).to_string();
    assert!(
        text.contains("00000001.seg") && text.contains("offset 4096"),
        "{text}"
    );
}

//= docs/rules.md#J-01
#[test]
fn fault_024_j14_a_torn_tail_is_kept_aside_cut_off_and_never_written_over() {
    let bench = closed("torn");
    let mut torn = Vec::new();
    change(&bench, 1, |bytes| {
        let (at, len) = (3 * BLOCK, 2 * BLOCK);
        bytes.copy_within(BLOCK..2 * BLOCK, at);
        bytes[at + 100] ^= 1;
        bytes[at + len - 5] = 0xEE;
        torn = bytes[at..at + len - 4].to_vec();
    });
    on_executor(async {
        let opened = bench.open().await.unwrap();
        assert_eq!(opened.records, expected(1..=3));
        let cut = opened.recovered.found.torn.unwrap();
        assert_eq!(
            (cut.segment, cut.offset, cut.lsn),
            (1, 3 * BLOCK as u64, Lsn(4))
        );
        fill(&opened.journal, 4..=6).await;
        opened.journal.close().await.unwrap();
    });
    let copy = fs::read(bench.shard_dir().join("00000001-12288.broken")).unwrap();
    assert_eq!(copy, torn);
    assert_eq!(segment_names(&bench), ["00000001.seg", "00000002.seg"]);
    on_executor(async {
        let opened = bench.open().await.unwrap();
        assert_eq!(opened.records, expected(1..=6));
        assert_eq!(opened.recovered.found.torn, None);
    });
}

#[test]
fn j14_a_second_tail_at_the_same_place_is_kept_beside_the_first() {
    let bench = closed("torn-twice");
    let path = |name| bench.shard_dir().join(name);
    fs::write(path("00000001-12288.broken"), b"the first").unwrap();
    change(&bench, 1, |bytes| bytes[3 * BLOCK] = 1);
    on_executor(async { assert!(bench.open().await.is_ok()) });
    assert_eq!(
        fs::read(path("00000001-12288.broken")).unwrap(),
        b"the first"
    );
    assert_eq!(fs::read(path("00000001-12288-2.broken")).unwrap(), [1]);
}

#[test]
fn other_refusals_come_through_with_their_label() {
    let bench = closed("refusals");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        for burst in 0..40 {
            fill(&journal, burst * 100 + 4..=burst * 100 + 103).await;
        }
        journal.close().await.unwrap();
    });
    let dir = bench.shard_dir();
    let aside = bench.dir.path().join("aside");
    let second = dir.join(segment_name(2));
    assert!(segment_names(&bench).len() > 2);
    fs::rename(&second, &aside).unwrap();
    check_refused(&bench, Label::J09);
    fs::write(&second, b"").unwrap();
    check_refused(&bench, Label::J08);
    fs::copy(dir.join(segment_name(1)), &second).unwrap();
    check_refused(&bench, Label::J08);
    fs::rename(&aside, &second).unwrap();
    on_executor(async { assert_eq!(bench.open().await.unwrap().records.len(), 4_003) });
}

#[test]
fn a_watermark_known_at_the_start_convicts_a_tail() {
    let mut bench = closed("watermark");
    change(&bench, 1, |bytes| bytes[3 * BLOCK] = 1);
    bench.settings.watermark = Some(Lsn(4));
    check_refused(&bench, Label::J13);
    bench.settings.watermark = Some(Lsn(3));
    on_executor(async { assert!(bench.open().await.is_ok()) });
}

fn key(key_id: u32) -> WrappedKey {
    WrappedKey {
        key_id,
        wrapping_id: 1,
        wrapped: [u8::try_from(key_id).unwrap(); 60],
    }
}

#[test]
fn a_new_key_begins_a_segment_and_old_keys_are_found() {
    let mut bench = closed("keys");
    bench.settings.keys = vec![key(2)];
    on_executor(async {
        let opened = bench.open().await.unwrap();
        assert!(opened.recovered.wrapped_keys.is_empty());
        fill(&opened.journal, 4..=4).await;
        opened.journal.close().await.unwrap();
    });
    assert_eq!(segment_names(&bench), ["00000001.seg", "00000002.seg"]);
    bench.settings.keys = vec![key(3), key(2)];
    on_executor(async {
        let opened = bench.open().await.unwrap();
        assert_eq!(opened.recovered.wrapped_keys, [key(2)]);
        fill(&opened.journal, 5..=5).await;
        opened.journal.close().await.unwrap();
        let reopened = bench.open().await.unwrap();
        assert_eq!(reopened.records, expected(1..=5));
        assert_eq!(reopened.recovered.wrapped_keys, [key(2), key(3)]);
    });
    let read = crate::reader::wrapped_keys(bench.dir.path(), ShardId(0)).unwrap();
    assert_eq!(read, [key(2), key(3)]);
}

#[test]
fn new_keys_begin_a_segment_under_a_journal_that_runs() {
    let mut bench = closed("rekeyed");
    bench.settings.keys = vec![key(2)];
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        fill(&journal, 4..=4).await;
        journal.rekey(vec![key(3), key(2)]);
        assert!(journal.is_rekeying(), "nothing may be sealed under it yet");
        fill(&journal, 5..=5).await;
        until(|| !journal.is_rekeying()).await;
        fill(&journal, 6..=6).await;
        journal.close().await.unwrap();
    });
    let names = ["00000001.seg", "00000002.seg", "00000003.seg"];
    assert_eq!(segment_names(&bench), names);
    let read = crate::reader::wrapped_keys(bench.dir.path(), ShardId(0)).unwrap();
    assert_eq!(read, [key(2), key(3)]);
    on_executor(async {
        let reopened = bench.open().await.unwrap();
        assert_eq!(reopened.records, expected(1..=6));
    });
}

#[test]
fn restarts_without_work_do_not_add_segments() {
    let mut bench = closed("idle-restarts");
    for start in 1..=4 {
        bench.settings.keys = vec![key(start)];
        on_executor(async {
            let journal = bench.open().await.unwrap().journal;
            journal.close().await.unwrap();
        });
    }
    assert_eq!(segment_names(&bench), ["00000001.seg", "00000002.seg"]);
    let keys = crate::reader::wrapped_keys(bench.dir.path(), ShardId(0)).unwrap();
    assert_eq!(keys, [key(4)], "the segment that held nothing was replaced");
}

#[test]
fn other_sizes_take_effect_in_a_new_segment() {
    let mut bench = closed("sizes");
    bench.settings.segment_bytes = 256 * 1024;
    bench.settings.batch_bytes_max = 64 * 1024;
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        fill(&journal, 4..=9).await;
        journal.close().await.unwrap();
        assert_eq!(bench.open().await.unwrap().records, expected(1..=9));
    });
    let len = |number| {
        let path = bench.shard_dir().join(segment_name(number));
        fs::metadata(path).unwrap().len()
    };
    assert_eq!((len(1), len(2)), (128 * 1024, 256 * 1024));
}

#[test]
fn shards_of_one_journal_do_not_meet() {
    let dir = disk_dir("shards");
    let manifest = Manifest::open_or_create(dir.path(), NodeId(1), 2).unwrap();
    let mut bench = Bench::new("shards-unused");
    bench.settings.root = dir.path().to_owned();
    let mut opened = Vec::new();
    on_executor(async {
        for shard in 0..2 {
            bench.settings.identity = manifest.identity(ShardId(shard));
            opened.push(bench.open().await.unwrap().journal);
        }
        fill(&opened[0], 1..=10).await;
        fill(&opened[1], 1..=3).await;
        for journal in &opened {
            journal.close().await.unwrap();
        }
    });
    let read = |shard| {
        let mut reader = ShardReader::open(dir.path(), ShardId(shard), Lsn::ZERO).unwrap();
        let mut count = 0;
        while reader.next(UpTo::End).unwrap().is_some() {
            count += 1;
        }
        count
    };
    assert_eq!((read(0), read(1)), (10, 3));
}
