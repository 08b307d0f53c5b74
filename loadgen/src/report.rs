//! What a run leaves behind: `summary.json` for machines, `summary.txt` for people.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::numeric::{real, share};
use crate::recorder::{ItemRecord, Outcome, Second, Tally, Totals};
use crate::runner::{RunConfig, RunReport, Snapshot};
use crate::units::{show_count, show_duration};
use crate::verdict::Judgement;

/// The whole of a run in numbers. `schema` changes when a field changes its meaning.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    schema: u32,
    #[serde(flatten)]
    judgement: Judgement,
    command: String,
    version: &'static str,
    host: Host,
    seed: u64,
    started_unix_ms: u64,
    elapsed_s: f64,
    offered_s: f64,
    connections: usize,
    generator_busy: Vec<f64>,
    /// Answers within the promise that were not refused, per second of the profile.
    goodput_per_s: f64,
    /// All items together.
    #[serde(flatten)]
    all: ItemSummary,
    items: Vec<NamedItem>,
    warmup: ItemSummary,
    seconds: Vec<SecondSummary>,
}

#[derive(Clone, Debug, Serialize)]
struct NamedItem {
    name: String,
    #[serde(flatten)]
    summary: ItemSummary,
}

#[derive(Clone, Debug, Serialize)]
struct ItemSummary {
    #[serde(flatten)]
    counts: Counts,
    response: Quantiles,
    service: Quantiles,
    lag: Quantiles,
}

#[derive(Clone, Debug, Serialize)]
struct Counts {
    scheduled: u64,
    sent: u64,
    blocked: u64,
    answered: u64,
    good: u64,
    late: u64,
    approved: u64,
    declined: u64,
    declined_unexpectedly: u64,
    refused: u64,
    reversed: u64,
    timeout: u64,
    disconnected: u64,
    protocol_error: u64,
    mismatched: u64,
    duplicate_answer: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Quantiles {
    #[serde(rename = "p50_us")]
    p50: u64,
    #[serde(rename = "p90_us")]
    p90: u64,
    #[serde(rename = "p95_us")]
    p95: u64,
    #[serde(rename = "p99_us")]
    p99: u64,
    #[serde(rename = "p99_9_us")]
    p99_9: u64,
    #[serde(rename = "p99_99_us")]
    p99_99: u64,
    #[serde(rename = "max_us")]
    max: u64,
}

/// One second of the run; its response times are the upper edges of steps of an eighth.
#[derive(Clone, Debug, Serialize)]
struct SecondSummary {
    second: usize,
    offered: u64,
    sent: u64,
    answered: u64,
    good: u64,
    approved: u64,
    declined: u64,
    refused: u64,
    failed: u64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Host {
    cpu: String,
    cores: usize,
    kernel: String,
}

impl Summary {
    /// Puts a run into numbers. `command` is what repeats it.
    #[must_use]
    pub fn new(report: &RunReport, config: &RunConfig, command: &str) -> Self {
        let totals = &report.totals;
        let offered = config.profile.duration().as_secs_f64();
        Self {
            schema: 1,
            judgement: report.judgement.clone(),
            command: command.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            host: Host::here(),
            seed: config.seed,
            started_unix_ms: report.started.unix_millis(),
            elapsed_s: report.elapsed.as_secs_f64(),
            offered_s: offered,
            connections: config.connections,
            generator_busy: report.conduct.busy.clone(),
            goodput_per_s: real(totals.all.tally.good) / offered.max(1e-9),
            all: ItemSummary::of(&totals.all),
            items: totals
                .items
                .iter()
                .map(|(name, record)| NamedItem {
                    name: name.clone(),
                    summary: ItemSummary::of(record),
                })
                .collect(),
            warmup: ItemSummary::of(&totals.warmup),
            seconds: totals.seconds.iter().enumerate().map(second).collect(),
        }
    }

    /// Writes `summary.json` and `summary.txt` below a folder, which is made if it is not there.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path, text: &str) -> Result<()> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let json = serde_json::to_vec_pretty(self)?;
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes)
                .with_context(|| format!("{} cannot be written", path.display()))
        };
        write("summary.json", &json)?;
        write("summary.txt", text.as_bytes())
    }

    /// The same as JSON.
    ///
    /// # Errors
    /// None that a summary can cause.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

impl ItemSummary {
    fn of(record: &ItemRecord) -> Self {
        Self {
            counts: Counts::of(&record.tally),
            response: Quantiles::of(&record.latencies.response),
            service: Quantiles::of(&record.latencies.service),
            lag: Quantiles::of(&record.latencies.lag),
        }
    }
}

impl Counts {
    fn of(tally: &Tally) -> Self {
        Self {
            scheduled: tally.scheduled,
            sent: tally.sent,
            blocked: tally.blocked,
            answered: tally.answered(),
            good: tally.good,
            late: tally.late,
            approved: tally.of(Outcome::Approved),
            declined: tally.of(Outcome::Declined),
            declined_unexpectedly: tally.of(Outcome::Unexpected),
            refused: tally.of(Outcome::Refused),
            reversed: tally.of(Outcome::Reversed),
            timeout: tally.of(Outcome::Timeout),
            disconnected: tally.of(Outcome::Disconnected),
            protocol_error: tally.of(Outcome::Protocol),
            mismatched: tally.of(Outcome::Mismatched),
            duplicate_answer: tally.of(Outcome::Duplicate),
        }
    }
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: histogram.max(),
        }
    }
}

impl Host {
    fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map(|name| name.trim_start_matches([' ', '\t', ':']).to_owned());
        Self {
            cpu: cpu.unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

fn second((second, record): (usize, &Second)) -> SecondSummary {
    let tally = &record.tally;
    SecondSummary {
        second,
        offered: record.offered,
        sent: tally.sent,
        answered: tally.answered(),
        good: tally.good,
        approved: tally.of(Outcome::Approved),
        declined: tally.of(Outcome::Declined) + tally.of(Outcome::Unexpected),
        refused: tally.of(Outcome::Refused),
        failed: tally.errors() - tally.of(Outcome::Refused),
        p50_us: record.response.quantile(0.5),
        p99_us: record.response.quantile(0.99),
        max_us: record.response.quantile(1.0),
    }
}

/// A run for people: the verdict first, then why, then the numbers.
///
/// # Errors
/// None that memory can cause.
pub fn text(report: &RunReport, config: &RunConfig, command: &str) -> Result<String> {
    let mut out = Vec::new();
    writeln!(out, "{}", headline(report, config))?;
    for reason in &report.judgement.reasons {
        writeln!(out, "  because {reason}")?;
    }
    writeln!(out)?;
    for judged in &report.judgement.thresholds {
        writeln!(out, "  {}", judged.shown)?;
    }
    writeln!(out)?;
    table(&mut out, &report.totals)?;
    outcomes(&mut out, &report.totals.all.tally)?;
    let busy: Vec<String> = report
        .conduct
        .busy
        .iter()
        .map(|busy| format!("{:.0}%", busy * 100.0))
        .collect();
    writeln!(out, "  generator busy {}", busy.join(" "))?;
    writeln!(out, "  again with: {command}")?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn headline(report: &RunReport, config: &RunConfig) -> String {
    let all = &report.totals.all;
    let seconds = config.profile.duration().as_secs_f64();
    let response = |quantile| {
        let micros = all.latencies.response.value_at_quantile(quantile);
        show_duration(Duration::from_micros(micros))
    };
    format!(
        "{}  {} offered at {:.0}/s for {seconds:.0} s, response p50 {}, p99 {}, p99.9 {}, goodput \
         {:.0}/s",
        report.judgement.verdict,
        show_count(all.tally.scheduled),
        real(all.tally.scheduled) / seconds.max(1e-9),
        response(0.5),
        response(0.99),
        response(0.999),
        real(all.tally.good) / seconds.max(1e-9),
    )
}

fn table(out: &mut impl Write, totals: &Totals) -> Result<()> {
    writeln!(
        out,
        "  {:<16} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "item", "offered", "answered", "p50", "p99", "p99.9", "max", "service99", "lag p99"
    )?;
    let all = ("all".to_owned(), totals.all.clone());
    for (name, record) in totals.items.iter().chain([&all]) {
        let response = Quantiles::of(&record.latencies.response);
        let show = |micros| show_duration(Duration::from_micros(micros));
        writeln!(
            out,
            "  {:<16} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            name,
            show_count(record.tally.scheduled),
            show_count(record.tally.answered()),
            show(response.p50),
            show(response.p99),
            show(response.p99_9),
            show(response.max),
            show(record.latencies.service.value_at_quantile(0.99)),
            show(record.latencies.lag.value_at_quantile(0.99)),
        )?;
    }
    Ok(())
}

fn outcomes(out: &mut impl Write, tally: &Tally) -> Result<()> {
    for outcome in Outcome::ALL {
        let count = tally.of(outcome);
        if count > 0 {
            writeln!(
                out,
                "  {:<22} {:>12}  {:.3}%",
                outcome.name(),
                show_count(count),
                share(count, tally.scheduled) * 100.0
            )?;
        }
    }
    Ok(())
}

/// One line a second while a run goes on.
#[must_use]
pub fn progress_line(snapshot: &Snapshot, before: &Snapshot) -> String {
    let seconds = snapshot
        .elapsed
        .saturating_sub(before.elapsed)
        .as_secs_f64()
        .max(1e-9);
    let rate = |now: u64, before: u64| real(now.saturating_sub(before)) / seconds;
    format!(
        "{:>5.1} s  sent {:>6.0}/s  answered {:>6.0}/s  refused {:>5.0}/s  failed {:>5}  in flight \
         {:>6}  p50 {:>8}  p99 {:>8}",
        snapshot.elapsed.as_secs_f64(),
        rate(snapshot.sent, before.sent),
        rate(snapshot.answered, before.answered),
        rate(snapshot.refused, before.refused),
        snapshot.failed,
        snapshot.inflight,
        shown_quantile(snapshot.p50),
        shown_quantile(snapshot.p99),
    )
}

/// Nothing was measured yet: the warm-up has no seconds of its own.
fn shown_quantile(latency: Duration) -> String {
    if latency.is_zero() {
        "-".to_owned()
    } else {
        show_duration(latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::recorder::{Ending, Recorder, Window};
    use crate::target::Target;
    use crate::threshold::Threshold;
    use crate::verdict::Conduct;

    fn report() -> (RunReport, RunConfig) {
        let target = Target::plain(([127, 0, 0, 1], 1).into());
        let config = RunConfig::new(target, 100.0, Duration::from_secs(2)).unwrap();
        let window = Window {
            begin: 0,
            timeout: Duration::from_secs(5),
            promise: Duration::from_millis(400),
        };
        let mut recorder = Recorder::new(config.scenario.report_names().len(), window);
        for place in 0..200_u64 {
            let intended = place * 10_000_000;
            recorder.offered(0, intended);
            recorder.sent(0, intended, intended + 200_000);
            recorder.ended(&Ending {
                item: 0,
                outcome: if place < 10 {
                    Outcome::Refused
                } else {
                    Outcome::Approved
                },
                intended,
                attempted: Some(intended + 200_000),
                ended: intended + 20_000_000,
            });
        }
        let mut totals = Totals::new(&config.scenario.report_names());
        totals.add(&recorder);
        let conduct = Conduct::default();
        let judgement = Judgement::of(&totals, &conduct, &Threshold::defaults()).unwrap();
        let clock = Clock::start();
        let report = RunReport {
            judgement,
            totals,
            conduct,
            started: clock.wall(clock.now()),
            elapsed: Duration::from_secs(2),
        };
        (report, config)
    }

    #[test]
    fn a_summary_says_what_the_run_saw() {
        let (report, config) = report();
        let summary = Summary::new(&report, &config, "njia-loadgen run");
        let json: serde_json::Value = serde_json::from_str(&summary.json().unwrap()).unwrap();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["verdict"], "FAIL");
        assert_eq!(json["scheduled"], 200);
        assert_eq!(json["refused"], 10);
        assert_eq!(json["seconds"][0]["good"], 88);
        assert!((json["goodput_per_s"].as_f64().unwrap() - 95.0).abs() < 1e-9);
        let p99 = json["items"][0]["response"]["p99_us"].as_u64().unwrap();
        assert!(p99.abs_diff(20_000) < 50);
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        for key in ["thresholds", "reasons", "host", "command", "seed", "warmup"] {
            assert!(keys.iter().any(|have| *have == key), "{key}");
        }
    }

    #[test]
    fn the_first_line_is_the_verdict() {
        let (report, config) = report();
        let text = text(&report, &config, "njia-loadgen run iso://…").unwrap();
        assert!(text.starts_with("FAIL  200 offered at 100/s"), "{text}");
        assert!(text.contains("error_rate"));
        assert!(text.contains("again with: njia-loadgen run"));
    }

    #[test]
    fn files_are_written_into_a_new_folder() {
        let (report, config) = report();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a").join("b");
        let summary = Summary::new(&report, &config, "x");
        summary.write(&out, "text").unwrap();
        assert!(out.join("summary.json").exists());
        assert_eq!(
            std::fs::read_to_string(out.join("summary.txt")).unwrap(),
            "text"
        );
    }
}
