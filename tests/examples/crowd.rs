//! `make crowd`: what busy connections feel of idle ones, and what those take.
//!
//! RATE transactions a second, half of them JSON, over BUSY connections, are offered alone and
//! beside IDLE connections that do nothing, half of them sessions, of the others a tenth behind
//! TLS; in turn, ROUNDS times, against one switch. The generator and the idle ends share the
//! machine with what they ask. Reported, never asserted, but that each idle connection is still
//! good for a request.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use njia_tests::e2e::crowd::{Crowd, CrowdStage, Size, Taken, raise_files};
use njia_tests::e2e::{eventually, pause};

fn main() -> Result<()> {
    let out = PathBuf::from(std::env::var("OUT").context("OUT names the folder of the report")?);
    let number = |name: &str, otherwise: u32| -> Result<u32> {
        match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
            Err(_) => Ok(otherwise),
        }
    };
    let (rate, rounds) = (number("RATE", 2_000)?, number("ROUNDS", 3)?);
    let size = Size::of_variables([("IDLE", 10_000), ("BUSY", 1_000)])?;
    raise_files(size)?;
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    std::fs::create_dir_all(&out)?;
    let stage = CrowdStage::start(&out, size)?;
    println!(
        "{rate}/s, half of them JSON, over {} connections, alone and beside {} idle ones, half of \
         them sessions, in turn",
        size.busy, size.idle
    );
    let mut all: [Vec<f64>; 2] = Default::default();
    for round in 1..=rounds {
        let [alone, beside] = &mut all;
        alone.push(measure(&stage, rate, &format!("round {round}, alone"))?);
        let crowd = opened(&stage)?;
        beside.push(measure(&stage, rate, &format!("round {round}, beside"))?);
        leave(&stage, crowd)?;
    }
    for (what, of) in [("median", median as fn(&[f64]) -> f64), ("lowest", lowest)] {
        let [alone, beside] = all.each_ref().map(|found| of(found));
        println!(
            "{what} p99 alone {alone:.1} ms, beside the idle ones {beside:.1} ms, ratio {:.2}",
            beside / alone
        );
    }
    stage.close()
}

/// p99 in milliseconds.
fn measure(stage: &CrowdStage, rate: u32, name: &str) -> Result<f64> {
    let report = stage.offer(rate, ("8s", "2s"))?.finish()?;
    let p99 = report.number("/response/p99_us") / 1e3;
    println!(
        "{name:<18} p50 {:6.1} ms, p99 {p99:6.1} ms; sent {:.0}, refused {:.0}, unanswered {:.0}",
        report.number("/response/p50_us") / 1e3,
        report.number("/sent"),
        report.number("/refused"),
        report.number("/timeout"),
    );
    ensure!(report.number("/timeout") < 1.0, "{}", report.printed);
    Ok(p99)
}

/// Opens all of them, and says what each kind takes.
fn opened(stage: &CrowdStage) -> Result<Crowd> {
    let mut crowd = Crowd::default();
    let mut before = stage.taken()?;
    let mut tell = |kind: &str, count: usize, since: Instant| -> Result<()> {
        let now = stage.taken()?;
        println!("{}", line((kind, count), (before, now), since.elapsed()));
        before = now;
        Ok(())
    };
    let since = Instant::now();
    tell("gateway, in clear", crowd.open_clear(stage)?, since)?;
    let since = Instant::now();
    tell("gateway, TLS", crowd.open_sealed(stage)?, since)?;
    let since = Instant::now();
    tell("session", crowd.open_sessions(stage)?, since)?;
    let (cpu, since) = (cpu_seconds(stage)?, Instant::now());
    pause(QUIET);
    let share = (cpu_seconds(stage)? - cpu) / since.elapsed().as_secs_f64();
    println!("  while nobody asks: {:.1} % of a core", share * 100.0);
    Ok(crowd)
}

#[expect(clippy::cast_precision_loss, reason = "a machine has less")]
fn line((kind, count): (&str, usize), (before, now): (Taken, Taken), took: Duration) -> String {
    let kib = now.kib.saturating_sub(before.kib) as f64;
    let descriptors = now.descriptors.saturating_sub(before.descriptors);
    format!(
        "  {count:6} idle, {kind:<18} {:5.1} KiB and {:.2} descriptors each, opened in {:.1} s; \
         all {} MiB, {} descriptors",
        kib / count.max(1) as f64,
        descriptors as f64 / count.max(1) as f64,
        took.as_secs_f64(),
        now.kib / 1_024,
        now.descriptors
    )
}

/// Each is still good for a request; then they go.
fn leave(stage: &CrowdStage, mut crowd: Crowd) -> Result<()> {
    let count = crowd.use_each()?;
    let with = stage.taken()?.descriptors;
    drop(crowd);
    let mut taken = stage.taken()?;
    let is_given_back = eventually(Duration::from_secs(60), || {
        taken = stage.taken().unwrap_or(taken);
        taken.descriptors + count <= with
    });
    println!(
        "  all {count} were still good for a request; behind them {} descriptors, {} MiB",
        taken.descriptors,
        taken.kib / 1_024
    );
    ensure!(
        is_given_back,
        "descriptors were not given back: {with} with them"
    );
    Ok(())
}

fn cpu_seconds(stage: &CrowdStage) -> Result<f64> {
    stage.node.metric("process_cpu_seconds_total", &[])
}

fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What others on the machine have disturbed least.
fn lowest(all: &[f64]) -> f64 {
    all.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Over which the idle ones are watched.
const QUIET: Duration = Duration::from_secs(3);
