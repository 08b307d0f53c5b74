//! A device that fails: the first error is the last operation.

use std::fs::File;
use std::io::ErrorKind;
use std::time::Duration;

use super::*;
use crate::journal::sys::substitute;
use crate::layout::segment_name;
use crate::testing::intent;
use rustix::fs::{OFlags, fcntl_setfl};

/// Puts `with` behind the open segment, appends, and checks how the journal ends.
#[track_caller]
fn check_death(
    name: &str,
    with: impl std::os::fd::AsFd,
    operation: &str,
    check: impl FnOnce(&JournalError, Counters),
) {
    let bench = Bench::new(name);
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        fill(&journal, 1..=5).await;
        substitute(&bench.shard_dir().join(segment_name(1)), with);
        for number in 6..=40 {
            journal.append(&intent(number), Class::New).unwrap();
        }
        let error = journal.wait_durable(Lsn(5)).await.unwrap_err();
        assert!(error.to_string().contains(operation), "{error}");
        assert_eq!(error.exit_code(), 74);
        check(&error, journal.counters());
        check_dead(&bench, &journal).await;
        assert_eq!(
            journal.counters().batches,
            1,
            "nothing completed after the error"
        );
    });
    on_executor(async {
        let opened = bench.open().await.unwrap();
        assert_eq!(opened.records[..5], expected(1..=5));
    });
}

/// Fills a pipe, which is as long as the kernel grants; with how many bytes.
fn filled(writer: &std::io::PipeWriter) -> usize {
    fcntl_setfl(writer, OFlags::NONBLOCK).unwrap();
    let page = [0; 4096];
    let mut bytes = 0;
    while let Ok(written) = rustix::io::write(writer, &page) {
        bytes += written;
    }
    bytes
}

async fn check_dead(bench: &Bench, journal: &Journal) {
    assert_eq!(journal.durable(), Lsn(5), "no false success");
    assert!(journal.position().is_dead());
    assert_eq!(
        journal.append(&small(1), Class::Reserved),
        Err(Full::Closed)
    );
    let now = bench.clock.now();
    assert_eq!(journal.pressure(now), Pressure::Shed(ShedCause::Ended));
    let again = journal.wait_durable(Lsn(5)).await;
    assert!(
        matches!(again, Err(JournalError::Dead { .. })),
        "everybody is told the same"
    );
    assert_eq!(journal.wait_durable(Lsn(4)).await.unwrap(), Lsn(5));
    assert!(matches!(
        journal.close().await,
        Err(JournalError::Dead { .. })
    ));
}

fn source(error: &JournalError) -> &std::io::Error {
    match error {
        JournalError::Dead { source, .. } => source,
        other => panic!("{other}"),
    }
}

//= docs/rules.md#J-02
#[test]
fn fault_020_a_full_device_ends_the_journal() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    check_death("enospc", full, "write a batch", |error, counters| {
        assert_eq!(source(error).kind(), ErrorKind::StorageFull);
        assert_eq!((counters.write_errors, counters.sync_errors), (1, 0));
    });
}

//= docs/rules.md#J-02
#[test]
fn fault_021_a_failed_sync_ends_the_journal_at_once() {
    let null = File::options().write(true).open("/dev/null").unwrap();
    check_death("sync", null, "sync", |error, counters| {
        assert_eq!(source(error).kind(), ErrorKind::InvalidInput);
        assert_eq!((counters.write_errors, counters.sync_errors), (0, 1));
    });
}

#[test]
fn fault_023_a_short_write_ends_the_journal() {
    // A pipe takes what fits and no more.
    let (mut reader, writer) = std::io::pipe().unwrap();
    filled(&writer);
    std::io::Read::read_exact(&mut reader, &mut [0; 4096]).unwrap();
    check_death("short", writer, "write a batch", |error, counters| {
        assert_eq!(source(error).kind(), ErrorKind::WriteZero);
        assert_eq!(counters.write_errors, 1);
    });
    drop(reader);
}

#[test]
fn fault_022_a_flush_that_does_not_return_sheds_new_work_and_is_no_success() {
    let bench = Bench::new("hung");
    // A write into a full pipe waits until somebody reads.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let filled = filled(&writer);
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        fill(&journal, 1..=5).await;
        substitute(&bench.shard_dir().join(segment_name(1)), &writer);
        journal.append(&small(6), Class::New).unwrap();
        until(|| journal.shared.sink.borrow().in_flight().is_some()).await;
        assert_eq!(journal.pressure(bench.clock.now()), Pressure::Admit);
        bench.clock.advance(Duration::from_millis(1_001));
        let now = bench.clock.now();
        assert_eq!(journal.pressure(now), Pressure::Shed(ShedCause::SlowFlush));
        assert_eq!(journal.stalled(now), Duration::from_millis(1_001));
        assert_eq!(
            journal.append(&small(7), Class::Reserved),
            Ok(Lsn(7)),
            "still taken"
        );
        assert_eq!(journal.durable(), Lsn(5));
        std::io::Read::read_exact(&mut reader, &mut vec![0; filled]).unwrap();
        // A pipe takes the write and has no sync.
        let error = journal.wait_durable(Lsn(5)).await.unwrap_err();
        assert!(error.to_string().contains("sync"), "{error}");
        assert_eq!(journal.durable(), Lsn(5));
    });
}
