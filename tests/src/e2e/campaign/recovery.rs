//! How long a start takes that must read a journal of which PostgreSQL has nothing.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::e2e::{Build, Issuers, Load, Node, Process, eventually, pause};

/// What starting on a long journal took.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// Bytes of all segments.
    pub bytes: u64,
    /// Records in them.
    pub records: u64,
    /// From the start to the open listener, each.
    pub starts: Vec<Duration>,
    /// A plain read of the same files, just before each start.
    pub reads: Vec<Duration>,
}

impl Backlog {
    /// The longest start.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        self.starts.iter().copied().max().unwrap_or_default()
    }

    /// What stands in the report.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let millis = |all: &[Duration]| -> Vec<u64> {
            let each = all.iter().map(Duration::as_millis);
            each.map(|one| u64::try_from(one).unwrap_or(u64::MAX))
                .collect()
        };
        serde_json::json!({
            "bytes": self.bytes,
            "records": self.records,
            "starts_ms": millis(&self.starts),
            "plain_reads_ms": millis(&self.reads),
        })
    }

    fn median(all: &[Duration]) -> Duration {
        let mut sorted = all.to_vec();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, read) = (Self::median(&self.starts), Self::median(&self.reads));
        write!(
            f,
            "{} MiB not applied, {} records, written by load: p50 {} ms, max {} ms over {} starts, \
             {:.1} times a plain read of the files ({} ms)",
            self.bytes >> 20,
            self.records,
            start.as_millis(),
            self.slowest().as_millis(),
            self.starts.len(),
            start.as_secs_f64() / read.as_secs_f64().max(0.001),
            read.as_millis(),
        )
    }
}

/// Lets load write `bytes` of journal without PostgreSQL, kills the switch, and starts it again and
/// again.
///
/// # Errors
/// The harness failed.
pub fn measure_recovery(build: Build, folder: &Path, bytes: u64, starts: usize) -> Result<Backlog> {
    fs::create_dir_all(folder)?;
    let state = folder.join("state");
    let issuers = Issuers::start(folder, Duration::from_millis(5))?;
    let environment = [
        ("NJIA__NODE__SHARDS", "2"),
        ("NJIA__JOURNAL__SEGMENT_BYTES", "67108864"),
    ];
    let node = Node::start(build, &state, issuers.addresses(), &environment)?;
    fill(&node, folder, bytes)?;
    let journal = node.journal().to_owned();
    node.kill()?;
    let files = segments(&journal)?;
    let mut backlog = Backlog {
        bytes: 0,
        records: 0,
        starts: Vec::new(),
        reads: Vec::new(),
    };
    for (_, last) in loadgen::verify::last_records(&journal)? {
        backlog.records += last.0;
    }
    for _ in 0..starts {
        let begun = Instant::now();
        backlog.bytes = read_all(&files)?;
        backlog.reads.push(begun.elapsed());
        let begun = Instant::now();
        let process = Process::start(build, &state, issuers.addresses(), &environment)?;
        backlog.starts.push(opened(process, begun)?);
    }
    issuers.finish()?;
    fs::remove_dir_all(folder)?;
    Ok(backlog)
}

/// Offers load until its journal is as long as asked for.
fn fill(node: &Node, folder: &Path, bytes: u64) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let enough = |used: f64| used >= bytes as f64;
    let used = || node.metric("njia_journal_used_bytes", &[]);
    for round in 0..ROUNDS_MAX {
        let load = Load {
            rate: FILL_RATE,
            duration: "20s".to_owned(),
            warmup: "0s".to_owned(),
            timeout: "5s".to_owned(),
            seed: 100 + round,
            connections: 32,
            more: Vec::new(),
        };
        let running = load.start(node.listener(), &folder.join(format!("fill-{round}")))?;
        let is_full = eventually(Duration::from_secs(21), || used().is_ok_and(enough));
        if is_full {
            return running.abandon();
        }
        running.finish()?;
    }
    bail!("{:?} bytes of journal after {ROUNDS_MAX} rounds", used())
}

fn opened(process: Process, begun: Instant) -> Result<Duration> {
    while begun.elapsed() < Duration::from_secs(120) {
        if process.is_ready() {
            let took = begun.elapsed();
            process.kill()?;
            return Ok(took);
        }
        pause(Duration::from_millis(2));
    }
    bail!("no listener:\n{}", process.log_end())
}

fn segments(journal: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![journal.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "seg") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn read_all(files: &[PathBuf]) -> Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    for path in files {
        let mut file = File::open(path)?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => bytes += read as u64,
            }
        }
    }
    Ok(bytes)
}

const FILL_RATE: u32 = 4_000;
const ROUNDS_MAX: u64 = 30;
