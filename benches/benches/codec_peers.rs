//! The codec beside other crates: one message, one run, one thread.
//!
//! The message is a purchase of 20 fields (0200 with DE2 3 4 7 11 12 13 14 18 22 25 32 35 37 41 42
//! 43 49, DE55 of 120 bytes of chip data, DE63 of 20 bytes). Each peer is first shown to have read
//! all 20 fields with their values, and to have written the bytes that it reads. Each is held
//! against ours on the very same bytes, of which there are three forms, because not every peer can
//! read each:
//!
//! | peer | bitmap | DE55 |
//! |---|---|---|
//! | i8583 | hexadecimal only | bytes |
//! | iso8583_rs | binary only | bytes |
//! | iso8583-codec-rs | both | bytes, handed over as hexadecimal digits |
//! | iso8583-core | binary only | 240 characters of text; it refuses bytes that are not UTF-8 |
//!
//! iso8583-core also takes DE63 for a field of four characters; it has DE48 of 20 bytes for it.
//! `iso87-ascii-hex`, which writes DE55 in hexadecimal digits, has no peer here.
//!
//! Ours checks every character and uses the caller's index and buffer again. The peers check less,
//! `docs/codec-peers.md` says what; what a peer allocates for a message is freed within its time.
//! Nobody looks into DE55. `--test` runs the checks alone.

#[expect(dead_code, reason = "shared with the examples")]
mod peers;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use criterion::Criterion;

use peers::message::Form;
use peers::{Side, Visitor};

fn main() {
    peers::yaml_spec::with_spec();
    let started = SystemTime::now();
    let criterion = Criterion::default()
        .output_directory(&folder())
        .configure_from_args();
    let mut timing = Timing {
        criterion,
        rows: Vec::new(),
    };
    peers::each(&mut timing);
    timing.criterion.final_summary();
    if let Some(table) = table(&timing.rows, started) {
        print!("\n{table}");
        let path = folder().join("codec-peers.txt");
        std::fs::write(&path, table).expect("the folder of the measurements can be written to");
    }
}

/// Measures each operation with criterion.
struct Timing {
    criterion: Criterion,
    rows: Vec<Row>,
}

struct Row {
    side: Side,
    name: String,
    form: Form,
}

impl Visitor for Timing {
    fn visit<R>(&mut self, side: Side, name: &str, form: Form, operation: impl FnMut() -> R) {
        let mut operation = operation;
        let mut group = self.criterion.benchmark_group(group(side));
        group.bench_function(name, |bencher| bencher.iter(&mut operation));
        group.finish();
        let name = name.to_owned();
        self.rows.push(Row { side, name, form });
    }
}

/// Medians and how many times ours each is. `None` unless every row was measured since `started`.
fn table(rows: &[Row], started: SystemTime) -> Option<String> {
    let mut table = String::new();
    for side in [Side::Parse, Side::Build] {
        let rows = rows.iter().filter(|row| row.side == side);
        let _ = writeln!(
            table,
            "{side:?}: median of this run, and times ours on the same bytes"
        );
        for row in rows.clone() {
            let ours = rows.clone().find(|ours| ours.form == row.form)?;
            let (time, ours) = (median_ns(row, started)?, median_ns(ours, started)?);
            let ratio = time / ours;
            let _ = writeln!(table, "  {:<53} {time:>8.1} ns {ratio:>7.2}", row.name);
        }
    }
    Some(table)
}

fn median_ns(row: &Row, started: SystemTime) -> Option<f64> {
    let place = folder().join(group(row.side)).join(&row.name);
    let path = place.join("new/estimates.json");
    let is_new = path.metadata().ok()?.modified().ok()? >= started;
    let text = std::fs::read_to_string(path).ok()?;
    let estimates: serde_json::Value = serde_json::from_str(&text).ok()?;
    estimates["median"]["point_estimate"]
        .as_f64()
        .filter(|_| is_new)
}

/// Without a slash, so that it is the name of a folder as well.
fn group(side: Side) -> &'static str {
    match side {
        Side::Parse => "codec_peers parse",
        Side::Build => "codec_peers build",
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../criterion")
}
