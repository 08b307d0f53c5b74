//! What a start costs for each byte of journal: the checks of recovery, and feeding the engine.
//!
//! `copy` moves the bytes once, the least that reading them can cost; `check` judges every batch
//! and decodes every record; `fold` also feeds each record to an engine whose table holds them all,
//! as the start after a crash does. A shard does this alone on its core; two shards read half each.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::ids::{AuthorisationId, Lsn, NodeId, ShardId, TransactionId};
use domain::record::{Carriage, Outcome, OutcomeKind, Record};
use domain::request::Answer;
use domain::response_code::ResponseCode;
use domain::time::Instant;
use njia_benches::samples::{self, WALL, intent};
use persistence::batch::BLOCK;
use persistence::identity::{Identity, JournalUuid};
use persistence::recovery::{Place, Recovery, Tail};
use persistence::segment_header::SegmentHeader;
use persistence::sink::{Class, Sink};
use transaction::{Engine, Settings};

const TRANSACTIONS: usize = 1 << 19;
const SEGMENT_BYTES: usize = 64 << 20;
const BATCH_BYTES: usize = 64 << 10;

fn settings() -> Settings {
    samples::settings(TRANSACTIONS * 2, Duration::from_secs(600))
}

fn outcome(serial: u64) -> Record<'static> {
    Record::Outcome(Outcome {
        transaction: TransactionId(u128::from(serial << 8)),
        kind: OutcomeKind::Answered,
        issuer_code: None,
        answer: Answer {
            code: ResponseCode::APPROVED,
            authorisation: AuthorisationId::EMPTY,
            amount: None,
            fields: b"\x37\x00\x08abcdefgh",
        },
        decided: WALL,
    })
}

fn identity() -> Identity {
    Identity {
        journal: JournalUuid([9; 16]),
        node: NodeId(1),
        generation: 1,
        shard: ShardId(0),
        shards: 1,
    }
}

/// The segments that a shard under load leaves: some dozens of records in flight at any time.
fn journal() -> Vec<Vec<u8>> {
    let mut sink = Sink::new(identity().journal, Tail::new(), BATCH_BYTES);
    let mut segments = vec![begin(1, &Tail::new())];
    let mut tail = Tail::new();
    for group in 0..(TRANSACTIONS as u64 / 64) {
        for record in [intent, outcome] {
            for serial in 1..=64 {
                let record = record(group * 64 + serial);
                sink.try_append(&record, Class::New).expect("room");
            }
            flush(&mut sink, &mut segments, &mut tail);
        }
    }
    for segment in &mut segments {
        segment.resize(SEGMENT_BYTES, 0);
    }
    segments
}

fn flush(sink: &mut Sink, segments: &mut Vec<Vec<u8>>, tail: &mut Tail) {
    let extent = sink.next_extent().expect("records wait") as usize;
    if segments.last().map_or(0, Vec::len) + extent > SEGMENT_BYTES {
        segments.push(begin(segments.len() as u64 + 1, tail));
    }
    let batch = sink
        .take_batch(segments.len() as u64)
        .expect("records wait");
    let header = persistence::batch::BatchHeader::peek(batch.bytes).expect("a batch");
    tail.next_lsn = header.next_lsn();
    tail.next_sequence = header.sequence + 1;
    tail.chain = header.chain;
    segments
        .last_mut()
        .expect("one")
        .extend_from_slice(batch.bytes);
    sink.completed();
}

fn begin(number: u64, tail: &Tail) -> Vec<u8> {
    let header = SegmentHeader {
        identity: identity(),
        segment_bytes: SEGMENT_BYTES as u64,
        batch_bytes_max: BATCH_BYTES as u32,
        number,
        first_lsn: tail.next_lsn,
        first_sequence: tail.next_sequence,
        previous_chain: tail.chain,
        created: WALL,
        keys: Vec::new(),
    };
    let block = header.encode();
    assert_eq!(block.len(), BLOCK, "a header is one block");
    block
}

/// Reads all segments; how many records they held.
fn judge(segments: &[Vec<u8>], on_record: &mut dyn FnMut(&Record<'_>)) -> u64 {
    let mut recovery = Recovery::new(identity(), None);
    let mut records = 0;
    for (index, segment) in segments.iter().enumerate() {
        let place = if index + 1 < segments.len() {
            Place::Earlier
        } else {
            Place::Last
        };
        let mut counted = |_: Lsn, record: &Record<'_>, _: Carriage| {
            records += 1;
            on_record(record);
        };
        let number = index as u64 + 1;
        let judged = recovery.segment(number, segment, place, &mut counted);
        judged.expect("a good journal");
    }
    records
}

fn recovery(criterion: &mut Criterion) {
    let segments = journal();
    let bytes: usize = segments.iter().map(Vec::len).sum();
    let mut group = criterion.benchmark_group("recovery");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(bytes as u64));
    let mut into = Vec::with_capacity(SEGMENT_BYTES);
    group.bench_function("copy", |bencher| {
        bencher.iter(|| {
            for segment in &segments {
                into.clear();
                into.extend_from_slice(segment);
                black_box(&into);
            }
        });
    });
    group.bench_function("check", |bencher| {
        bencher.iter(|| {
            judge(&segments, &mut |record| {
                black_box(record);
            })
        });
    });
    group.bench_function("fold", |bencher| {
        bencher.iter_with_large_drop(|| {
            let mut engine = Engine::new(settings());
            let records = judge(&segments, &mut |record| {
                engine.recover(record, Instant::ZERO).expect("it fits");
            });
            assert_eq!(records, TRANSACTIONS as u64 * 2);
            engine
        });
    });
    group.finish();
}

criterion_group!(benches, recovery);
criterion_main!(benches);
