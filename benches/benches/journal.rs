//! Group commit: a turn of records appended and made durable, beside a bare write and fdatasync of
//! the same size into a file of pre-written zeros, on the same executor in the same run.
//!
//! `append/N` is N intents, sealed as one batch; `bare/N` writes as many bytes, padded alike;
//! `dsync/N` does so through `O_DSYNC` without a sync of its own. The table at the end takes the
//! three in turns, and adds what a saturated writer moves and what its flushes took.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use domain::ids::{Lsn, NodeId, ShardId};
use domain::time::WallTime;
use glommio::io::{DmaBuffer, DmaFile, OpenOptions};
use glommio::{LocalExecutor, Placement};
use njia_benches::samples::intent;
use persistence::journal::{
    Class, Clock, FileSystems, Full, Journal, JournalSettings, Pressure, executor,
};
use persistence::{Manifest, record};
use rustix::fs::OFlags;

const TURNS: [u64; 4] = [1, 10, 100, 1_000];
const BARE_BYTES: u64 = 64 << 20;
const BLOCK: usize = 4096;

fn clock() -> Clock {
    let zero = Instant::now();
    Clock {
        monotonic: Arc::new(move || {
            let nanos = u64::try_from(zero.elapsed().as_nanos()).unwrap();
            domain::time::Instant::from_nanos(nanos)
        }),
        wall: Arc::new(|| WallTime::from_unix_millis(1_700_000_000_000)),
    }
}

/// How a bare write becomes durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// By `fdatasync` behind it, as the journal does.
    Call,
    /// By `O_DSYNC` on the file.
    Flag,
}

/// A journal that stays open over all runs of one executor.
struct Bed {
    executor: LocalExecutor,
    journal: Rc<Journal>,
    bare: Rc<DmaFile>,
    dsync: Rc<DmaFile>,
    next: u64,
    _manifest: Manifest,
}

impl Bed {
    fn new(root: &Path) -> Self {
        let manifest = Manifest::open_or_create(&root.join("journal"), NodeId(1), 1).unwrap();
        let settings = JournalSettings {
            root: manifest.root().to_owned(),
            identity: manifest.identity(ShardId(0)),
            segment_bytes: JournalSettings::SEGMENT_BYTES,
            batch_bytes_max: JournalSettings::BATCH_BYTES_MAX,
            bytes_max: 64 * JournalSettings::SEGMENT_BYTES,
            batch_wait: Duration::ZERO,
            anchor_wait: Duration::from_secs(3600),
            file_systems: FileSystems::Any,
            keys: Vec::new(),
            segment_known: 0,
            watermark: None,
            clock: clock(),
        };
        let executor = executor(Placement::Unbound).make().unwrap();
        let (journal, bare, dsync) = executor.run(async {
            let opened = Journal::open(settings, &mut |_, _, _| {}).await;
            let (journal, _) = opened.unwrap();
            let path = root.join("bare");
            let bare = bare_file(&path).await;
            let mut options = OpenOptions::new();
            let flags = i32::try_from(OFlags::DSYNC.bits()).unwrap();
            options.read(true).write(true).custom_flags(flags);
            let dsync = options.dma_open(&path).await.unwrap();
            (journal, bare, dsync)
        });
        Self {
            executor,
            journal: Rc::new(journal),
            bare: Rc::new(bare),
            dsync: Rc::new(dsync),
            next: 1,
            _manifest: manifest,
        }
    }

    /// `iterations` turns of `records` records each, every turn durable before the next begins.
    fn append(&mut self, iterations: u64, records: u64) -> Duration {
        let journal = Rc::clone(&self.journal);
        let first = self.next;
        self.next += iterations * records;
        self.executor.run(async move {
            let mut spent = Duration::ZERO;
            let mut number = first;
            for _ in 0..iterations {
                spare(&journal).await;
                let started = Instant::now();
                for _ in 0..records {
                    journal.append(&intent(number), Class::New).unwrap();
                    number += 1;
                }
                while journal.durable() < Lsn(number - 1) {
                    journal.wait_durable(journal.durable()).await.unwrap();
                }
                spent += started.elapsed();
            }
            spent
        })
    }

    /// `iterations` writes of `len` bytes, each synced before the next.
    fn bare(&self, iterations: u64, len: usize, sync: Sync) -> Duration {
        let file = Rc::clone(match sync {
            Sync::Call => &self.bare,
            Sync::Flag => &self.dsync,
        });
        self.executor.run(async move {
            let buffer = Rc::new(filled(&file, len));
            let started = Instant::now();
            let mut at = 0;
            for _ in 0..iterations {
                if at + len as u64 > BARE_BYTES {
                    at = 0;
                }
                let written = file.write_rc_at(Rc::clone(&buffer), at).await.unwrap();
                assert_eq!(written, len);
                if sync == Sync::Call {
                    file.fdatasync().await.unwrap();
                }
                at += len as u64;
            }
            started.elapsed()
        })
    }

    /// As many records as the writer takes, for `time`; returns the records that became durable.
    fn saturate(&mut self, time: Duration) -> (u64, u64, Duration) {
        let journal = Rc::clone(&self.journal);
        let first = self.next;
        let (records, bytes, spent) = self.executor.run(async move {
            spare(&journal).await;
            let before = journal.counters();
            let started = Instant::now();
            let mut number = first;
            while started.elapsed() < time {
                match journal.append(&intent(number), Class::New) {
                    Ok(_) => number += 1,
                    Err(Full::Space) => drop(journal.retire(journal.durable()).await.unwrap()),
                    Err(_) => drop(journal.wait_durable(journal.durable()).await.unwrap()),
                }
            }
            while journal.durable() < Lsn(number - 1) {
                journal.wait_durable(journal.durable()).await.unwrap();
            }
            let after = journal.counters();
            (
                after.records - before.records,
                after.bytes - before.bytes,
                started.elapsed(),
            )
        });
        self.next += records;
        (records, bytes, spent)
    }

    fn flushes(&self) -> Vec<Duration> {
        let mut took: Vec<Duration> = std::iter::from_fn(|| self.journal.poll_flush())
            .map(|flush| flush.took)
            .collect();
        took.sort_unstable();
        took
    }
}

/// Outside of what is timed: segments that were read by nobody go, and the next one is there.
async fn spare(journal: &Journal) {
    if journal.segments() > 8 {
        journal.retire(journal.durable()).await.unwrap();
    }
    while journal.pressure(domain::time::Instant::ZERO) != Pressure::Admit {
        glommio::timer::sleep(Duration::from_millis(1)).await;
    }
}

fn filled(file: &DmaFile, len: usize) -> DmaBuffer {
    let mut buffer = file.alloc_dma_buffer(len);
    buffer.as_bytes_mut().fill(0xA5);
    buffer
}

async fn bare_file(path: &Path) -> DmaFile {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    let file = options.dma_open(path).await.unwrap();
    let buffer = Rc::new(filled(&file, 1 << 20));
    for at in (0..BARE_BYTES).step_by(1 << 20) {
        file.write_rc_at(Rc::clone(&buffer), at).await.unwrap();
    }
    file.fdatasync().await.unwrap();
    file
}

/// Bytes that a batch of `records` intents takes.
fn extent(records: u64) -> usize {
    let len = 64 + usize::try_from(records).unwrap() * record::encoded_len(&intent(1));
    len.next_multiple_of(BLOCK)
}

fn compare(criterion: &mut Criterion, bed: &mut Bed) {
    let mut group = criterion.benchmark_group("journal");
    group.sample_size(20);
    for records in TURNS {
        let len = extent(records);
        group.bench_function(BenchmarkId::new("append", records), |bencher| {
            bencher.iter_custom(|iterations| bed.append(iterations, records));
        });
        group.bench_function(BenchmarkId::new("bare", records), |bencher| {
            bencher.iter_custom(|iterations| bed.bare(iterations, len, Sync::Call));
        });
        group.bench_function(BenchmarkId::new("dsync", records), |bencher| {
            bencher.iter_custom(|iterations| bed.bare(iterations, len, Sync::Flag));
        });
    }
    group.finish();
}

/// One interleaved comparison, and the saturated writer: the figures for the README.
fn report(bed: &mut Bed) {
    const ROUNDS: u64 = 50;
    const TURNS_PER_ROUND: u64 = 10;
    println!("\nrecords/turn  bytes/batch  append µs  bare µs  dsync µs  append / bare");
    for records in TURNS {
        let len = extent(records);
        let mut spent = [Duration::ZERO; 3];
        for _ in 0..ROUNDS {
            spent[0] += bed.append(TURNS_PER_ROUND, records);
            spent[1] += bed.bare(TURNS_PER_ROUND, len, Sync::Call);
            spent[2] += bed.bare(TURNS_PER_ROUND, len, Sync::Flag);
        }
        let turns = (ROUNDS * TURNS_PER_ROUND) as f64;
        let [append, bare, dsync] = spent.map(|spent| spent.as_secs_f64() * 1e6 / turns);
        println!(
            "{records:>12}  {len:>11}  {append:>9.0}  {bare:>7.0}  {dsync:>8.0}  {:>13.2}",
            append / bare
        );
    }
    drop(bed.flushes());
    let (records, bytes, spent) = bed.saturate(Duration::from_secs(3));
    let seconds = spent.as_secs_f64();
    let flushes = bed.flushes();
    let at = |share: f64| flushes[((flushes.len() - 1) as f64 * share) as usize];
    println!(
        "saturated: {:.0} records/s, {:.0} MB/s, last {} flushes p50 {:?} p99 {:?} max {:?}",
        records as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        flushes.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut bed = Bed::new(dir.path());
    let mut criterion = Criterion::default().configure_from_args();
    compare(&mut criterion, &mut bed);
    criterion.final_summary();
    report(&mut bed);
}
