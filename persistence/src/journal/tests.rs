//! The running journal on a real disk.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{Lsn, NodeId, ShardId, TransactionId};
use domain::record::{LateResponse, Record};
use domain::response_code::ResponseCode;
use domain::time::{Instant, WallTime};

use super::testing::{disk_dir, on_executor};
use super::*;
use crate::manifest::Manifest;
use crate::reader::{ShardReader, UpTo};

fn settings(manifest: &Manifest) -> JournalSettings {
    JournalSettings {
        root: manifest.root().to_owned(),
        identity: manifest.identity(ShardId(0)),
        segment_bytes: 128 * 1024,
        batch_bytes_max: 32 * 1024,
        bytes_max: 128 * 1024 * 64,
        batch_wait: Duration::ZERO,
        anchor_wait: Duration::from_millis(2),
        file_systems: FileSystems::Tried,
        keys: Vec::new(),
        watermark: None,
        clock: Clock {
            monotonic: Arc::new(|| Instant::ZERO),
            wall: Arc::new(|| WallTime::from_unix_millis(1)),
        },
    }
}

fn record(number: u64) -> Record<'static> {
    Record::LateResponse(LateResponse {
        transaction: TransactionId(u128::from(number)),
        received: WallTime::from_unix_millis(number),
        issuer: domain::ids::IssuerId(7),
        code: ResponseCode::APPROVED,
    })
}

fn manifest(root: &Path) -> Manifest {
    Manifest::open_or_create(root, NodeId(1), 1).unwrap()
}

#[test]
fn what_was_appended_is_read_back_over_segments_and_restarts() {
    let dir = disk_dir("append");
    let mut appended = 0;
    for round in 0..3_u64 {
        let manifest = manifest(dir.path());
        let settings = settings(&manifest);
        let found = RefCell::new(Vec::new());
        on_executor(async {
            let mut on_record = |lsn: Lsn, record: &Record<'_>| {
                found.borrow_mut().push((lsn, record.transaction()))
            };
            let (journal, recovered) = Journal::open(settings, &mut on_record).await.unwrap();
            assert_eq!(recovered.next_lsn, Lsn(appended + 1), "round {round}");
            for _ in 0..50 {
                for _ in 0..100 {
                    appended += 1;
                    let lsn = journal.append(&record(appended), Class::New).unwrap();
                    assert_eq!(lsn, Lsn(appended));
                }
                journal.wait_durable(Lsn(appended - 1)).await.unwrap();
            }
            journal.close().await.unwrap();
            assert_eq!(journal.durable(), Lsn(appended));
        });
        assert_eq!(found.borrow().len() as u64, round * 5000);
    }
    let mut reader = ShardReader::open(dir.path(), ShardId(0), Lsn::ZERO).unwrap();
    let mut expected = 0;
    while let Some(entry) = reader.next(UpTo::Durable(Lsn(appended))).unwrap() {
        expected += 1;
        assert_eq!(entry.lsn, Lsn(expected));
        assert_eq!(entry.record, record(expected));
    }
    assert_eq!(expected, appended);
}
