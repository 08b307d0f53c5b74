//! The running journal on a real disk.

mod checkpoints;
mod faults;
mod recovery;
mod space;

use domain::ids::{Lsn, ShardId};

use super::testing::{Bench, on_executor, until};
use super::*;
use crate::reader::{ShardReader, UpTo};
use crate::testing::{sample, small};

/// Appends records `numbers` and waits until all are durable.
async fn fill(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers.clone() {
        let lsn = journal.append(&small(number), Class::New).unwrap();
        assert_eq!(lsn, Lsn(number));
    }
    wait(journal, *numbers.end()).await;
}

async fn wait(journal: &Journal, lsn: u64) {
    while journal.durable() < Lsn(lsn) {
        journal.wait_durable(journal.durable()).await.unwrap();
    }
}

fn expected(numbers: std::ops::RangeInclusive<u64>) -> Vec<(Lsn, String)> {
    numbers
        .map(|number| (Lsn(number), format!("{:?}", small(number))))
        .collect()
}

#[test]
fn what_was_appended_is_there_after_rolls_and_restarts() {
    let bench = Bench::new("append");
    for round in 0..3 {
        on_executor(async {
            let opened = bench.open().await.unwrap();
            let journal = opened.journal;
            let before = round * 3_000;
            assert_eq!(opened.records, expected(1..=before));
            assert_eq!(opened.recovered.next_lsn, Lsn(before + 1));
            assert_eq!(opened.recovered.records, before);
            assert_eq!(
                journal.durable(),
                Lsn(before),
                "what was found may be applied"
            );
            for burst in 0..30 {
                let first = before + burst * 100 + 1;
                fill(&journal, first..=first + 99).await;
            }
            assert!(journal.counters().rolls > 0, "segments were rolled");
            journal.close().await.unwrap();
        });
    }
    let mut reader = ShardReader::open(bench.dir.path(), ShardId(0), Lsn::ZERO).unwrap();
    let mut read = Vec::new();
    while let Some(entry) = reader.next(UpTo::Durable(Lsn(9_000))).unwrap() {
        read.push((entry.lsn, format!("{:?}", entry.record)));
    }
    assert_eq!(read, expected(1..=9_000));
}

#[test]
fn records_of_every_type_and_length_come_back() {
    let bench = Bench::new("types");
    on_executor(async {
        let opened = bench.open().await.unwrap();
        for number in 1..=500 {
            let lsn = opened.journal.append(&sample(number), Class::New).unwrap();
            if number % 50 == 0 {
                wait(&opened.journal, lsn.0).await;
            }
        }
        opened.journal.close().await.unwrap();
        let reopened = bench.open().await.unwrap();
        let expected: Vec<_> = (1..=500)
            .map(|number| (Lsn(number), format!("{:?}", sample(number))))
            .collect();
        assert_eq!(reopened.records, expected);
    });
}

#[test]
fn what_arrives_during_a_flush_is_the_next_batch() {
    let bench = Bench::new("group");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        fill(&journal, 1..=100).await;
        assert_eq!(journal.counters().batches, 1, "one turn is one batch");
        journal.append(&small(101), Class::New).unwrap();
        // The writer has taken the first record when it yields for the flush.
        glommio::executor().yield_task_queue_now().await;
        for number in 102..=150 {
            journal.append(&small(number), Class::New).unwrap();
        }
        wait(&journal, 150).await;
        let flushes: Vec<u32> = std::iter::from_fn(|| journal.poll_flush())
            .map(|flush| flush.records)
            .filter(|records| *records > 0)
            .collect();
        assert_eq!(flushes, [100, 1, 49]);
    });
}

#[test]
fn an_idle_shard_ends_its_log_with_one_anchor() {
    let bench = Bench::new("anchor");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        fill(&journal, 1..=3).await;
        until(|| journal.counters().anchors > 0).await;
        // Long enough for another one, were it wrongly written.
        glommio::timer::sleep(5 * bench.settings.anchor_wait).await;
        let counters = journal.counters();
        assert_eq!(
            (counters.batches, counters.anchors, counters.records),
            (2, 1, 3)
        );
        fill(&journal, 4..=4).await;
        journal.close().await.unwrap();
        assert_eq!(
            journal.counters().anchors,
            2,
            "closing leaves one behind the last batch"
        );
    });
}

#[test]
fn waiting_ends_with_the_position_or_with_the_journal() {
    let bench = Bench::new("wait");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        let waiter = journal.waiter();
        let waiting = glommio::spawn_local(async move {
            let first = waiter.wait_durable(Lsn::ZERO).await;
            let second = waiter.wait_durable(Lsn(2)).await;
            (first, second)
        });
        fill(&journal, 1..=2).await;
        journal.close().await.unwrap();
        let (first, second) = waiting.await;
        assert_eq!(first.unwrap(), Lsn(2));
        assert!(matches!(second, Err(JournalError::Closed)));
        assert_eq!(
            journal.append(&small(3), Class::Reserved),
            Err(Full::Closed)
        );
        let now = bench.clock.now();
        assert_eq!(journal.pressure(now), Pressure::Shed(ShedCause::Ended));
        assert!(!journal.position().is_dead());
    });
}

#[test]
fn a_reader_on_another_thread_follows_the_writer_over_rolls() {
    const LAST: u64 = 20_000;
    let bench = Bench::new("follow");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        let position = journal.position();
        let root = bench.dir.path().to_owned();
        let follower = std::thread::spawn(move || {
            let mut reader = ShardReader::open(&root, ShardId(0), Lsn::ZERO).unwrap();
            let mut next = 1;
            while next <= LAST {
                while let Some(entry) = reader.next(UpTo::Durable(position.lsn())).unwrap() {
                    assert_eq!(entry.lsn, Lsn(next));
                    assert_eq!(entry.record, small(next));
                    next += 1;
                }
                std::thread::yield_now();
            }
        });
        for burst in 0..LAST / 40 {
            fill(&journal, burst * 40 + 1..=burst * 40 + 40).await;
        }
        assert!(journal.counters().rolls > 5);
        journal.close().await.unwrap();
        follower.join().unwrap();
    });
}

#[test]
fn a_journal_that_was_dropped_keeps_what_was_durable() {
    let bench = Bench::new("drop");
    let durable = on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        fill(&journal, 1..=50).await;
        for number in 51..=90 {
            journal.append(&small(number), Class::New).unwrap();
        }
        glommio::executor().yield_task_queue_now().await;
        let durable = journal.durable();
        drop(journal);
        // glommio closes dropped files when its reactor turns once more.
        glommio::timer::sleep(bench.settings.anchor_wait).await;
        durable
    });
    on_executor(async {
        let opened = bench.open().await.unwrap();
        let found = opened.records.len() as u64;
        assert!(found >= durable.0 && found <= 90);
        assert_eq!(opened.records, expected(1..=found));
    });
}

#[test]
fn waiting_for_company_makes_one_batch_of_several_turns() {
    let mut bench = Bench::new("company");
    bench.settings.batch_wait = Duration::from_secs(1);
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        for number in 1..=10 {
            journal.append(&small(number), Class::New).unwrap();
            glommio::executor().yield_task_queue_now().await;
        }
        wait(&journal, 10).await;
        assert_eq!(journal.counters().batches, 1);
    });
}

#[test]
fn settings_out_of_their_bounds_are_named() {
    let bench = Bench::new("settings");
    let check = |key: &str, change: fn(&mut JournalSettings)| {
        let mut settings = bench.settings.clone();
        change(&mut settings);
        let error = settings.check().unwrap_err();
        assert_eq!(error.exit_code(), 78);
        assert!(error.to_string().contains(key), "{error}");
    };
    assert!(bench.settings.check().is_ok());
    check("batch_bytes_max", |settings| {
        settings.batch_bytes_max = 4095
    });
    check("batch_bytes_max", |settings| settings.batch_bytes_max = 0);
    check("batch_bytes_max", |settings| {
        settings.batch_bytes_max = 32 << 20
    });
    check("segment_bytes", |settings| settings.segment_bytes += 1);
    check("segment_bytes", |settings| settings.segment_bytes = 2 << 30);
    check("segment_bytes", |settings| {
        settings.segment_bytes = 64 * 1024
    });
    check("bytes_max", |settings| settings.bytes_max = 3 * 128 * 1024);
    check("keys", |settings| {
        let key = WrappedKey {
            key_id: 1,
            wrapping_id: 1,
            wrapped: [0; 60],
        };
        settings.keys = vec![key; 9];
    });
}
