//! What a campaign found: the table of faults.md §5, as JSON and as Markdown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use loadgen::runner::RunReport;
use loadgen::verify::{Audit, Sums};

use super::{Aim, Backlog, Plan, ROUND};
use crate::e2e::Build;

/// What a campaign found.
#[derive(Clone, Debug)]
pub struct Report {
    build: Build,
    seed: u64,
    device: String,
    /// Kills by row, and of them those that its step brought; 0 stands for random moments.
    kills: BTreeMap<u8, (u64, u64)>,
    /// Points that were begun.
    begun: u64,
    offered: u64,
    acked: u64,
    acked_writes: u64,
    lost: u64,
    gaps: u64,
    never_acked: u64,
    doubled: u64,
    outstanding: u64,
    /// Advices, completions and reversals in part: without one of each, nothing is said of them.
    kinds: [u64; 3],
    failures: Vec<String>,
    recoveries: Vec<Duration>,
    /// What the audits found, by name.
    found: BTreeMap<&'static str, u64>,
    sums: BTreeMap<u16, Sums>,
    backlog: Option<Backlog>,
    /// Whether the null control failed, as it must; none when it was not run.
    control_failed: Option<bool>,
}

impl Report {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            build: plan.build,
            seed: plan.seed,
            device: device_of(&plan.folder),
            kills: BTreeMap::new(),
            begun: 0,
            offered: 0,
            acked: 0,
            acked_writes: 0,
            lost: 0,
            gaps: 0,
            never_acked: 0,
            doubled: 0,
            outstanding: 0,
            kinds: [0; 3],
            failures: Vec::new(),
            recoveries: Vec::new(),
            found: BTreeMap::new(),
            sums: BTreeMap::new(),
            backlog: None,
            control_failed: None,
        }
    }

    /// What the next point aims at: after a round, every second one at what was missed in it.
    pub(super) fn next_aim(&mut self) -> Aim {
        let number = self.begun;
        self.begun += 1;
        let again = self.least_tried();
        let again = again.filter(|_| number >= ROUND && number.is_multiple_of(2));
        again.unwrap_or_else(|| Aim::of(number))
    }

    /// Whether a row has a step that no kill has met yet.
    pub(super) fn has_missed(&self) -> bool {
        self.missed().next().is_some()
    }

    fn missed(&self) -> impl Iterator<Item = (u64, Aim)> {
        let aims = (0..ROUND).map(Aim::of);
        aims.filter_map(|aim| {
            let (kills, hits) = self.kills.get(&aim.row?).copied().unwrap_or_default();
            (hits == 0).then_some((kills, aim))
        })
    }

    /// Of what was missed, what was tried least. What was tried often may not be there to be met,
    /// and is aimed at in its turn alone.
    fn least_tried(&self) -> Option<Aim> {
        let tried = self.missed().filter(|(kills, _)| *kills < TRIES_MAX);
        tried.min_by_key(|(kills, _)| *kills).map(|(_, aim)| aim)
    }

    pub(super) fn kill(&mut self, aim: Aim, reached: bool) {
        let (kills, hits) = self.kills.entry(aim.row.unwrap_or(0)).or_default();
        *kills += 1;
        *hits += u64::from(reached);
    }

    pub(super) fn recovered(&mut self, took: Duration) {
        self.recoveries.push(took);
    }

    pub(super) fn offered(&mut self, run: &RunReport) {
        let sent = run.totals.items.iter().map(|(_, item)| item.tally.sent);
        self.offered += sent.sum::<u64>();
        self.broken(&run.totals.breaches());
        if run.conduct.inflight_exhausted {
            self.failures
                .push("the switch has stopped answering".to_owned());
        }
    }

    /// Takes what a right switch never does to those who speak with it.
    pub(super) fn broken(&mut self, breaches: &[(u64, &'static str)]) {
        for (count, what) in breaches {
            *self.found.entry(what).or_default() += count;
        }
    }

    pub(super) fn failed(&mut self, error: &anyhow::Error) {
        let text = format!("{error:#}");
        self.gaps += u64::from(text.contains("refuse"));
        self.failures.push(text);
    }

    pub(super) fn audited(&mut self, audit: &Audit) {
        self.acked += audit.acknowledged;
        self.acked_writes += audit.acked_writes;
        self.lost += audit.lost();
        self.doubled += audit.doubled();
        self.never_acked += audit.unacknowledged;
        self.outstanding += audit.reversals_owed;
        // No line spoils a byte here.
        if audit.unread > 0 {
            self.broken(&[(audit.unread, "messages were told that they cannot be read")]);
        }
        let kinds = [audit.advised, audit.completed, audit.reversed_in_part];
        for (sum, one) in self.kinds.iter_mut().zip(kinds) {
            *sum += one;
        }
        for check in audit.checks.iter().filter(|check| check.count > 0) {
            *self.found.entry(check.name).or_default() += check.count;
            eprintln!("{}: {} {:?}", check.name, check.count, check.offenders);
        }
        for (currency, one) in &audit.sums {
            let sums = self.sums.entry(*currency).or_default();
            sums.acquirer += one.acquirer;
            sums.untold += one.untold;
            sums.journal += one.journal;
            add(&mut sums.issuers, one.issuers);
            add(&mut sums.database, one.database);
        }
    }

    /// Says what the measurement of a long recovery found.
    pub fn set_backlog(&mut self, backlog: Backlog) {
        self.backlog = Some(backlog);
    }

    /// Says how the null control ended.
    pub fn set_control(&mut self, control: &Self) {
        self.control_failed = Some(control.lost > 0);
    }

    /// Kills.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.kills.values().map(|(kills, _)| kills).sum()
    }

    /// Kills at a step of this row.
    #[must_use]
    pub fn hits(&self, row: u8) -> u64 {
        self.kills.get(&row).map_or(0, |(_, hits)| *hits)
    }

    /// Approvals and acknowledgements of reversals.
    #[must_use]
    pub const fn acked_writes(&self) -> u64 {
        self.acked_writes
    }

    /// What was acknowledged and is not where it must be.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether going on makes no sense: the harness fails again and again.
    #[must_use]
    pub(super) fn must_end(&self) -> bool {
        self.failures.len() >= FAILURES_MAX
    }

    /// Nothing that must not be was found.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
            && self.found.is_empty()
            && self.lost + self.gaps + self.doubled + self.outstanding == 0
            && self.kinds.iter().all(|count| *count > 0)
            && self.control_failed != Some(false)
    }

    /// The table as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let rows: serde_json::Map<String, serde_json::Value> = self
            .kills
            .iter()
            .map(|(row, (kills, hits))| {
                let name = if *row == 0 {
                    "random".to_owned()
                } else {
                    row.to_string()
                };
                (
                    name,
                    serde_json::json!({ "kills": kills, "at_the_step": hits }),
                )
            })
            .collect();
        serde_json::json!({
            "build": self.build_name(),
            "seed": self.seed,
            "journal_device": self.device,
            "kill_points": self.points(),
            "kill_points_by_row": rows,
            "messages_sent": self.offered,
            "acknowledged": self.acked,
            "acked_writes": self.acked_writes,
            "acked_lost": self.lost,
            "recoveries_with_a_gap": self.gaps,
            "present_but_never_acked": self.never_acked,
            "double_effects": self.doubled,
            "reversals_outstanding": self.outstanding,
            "advices": self.kinds[0],
            "completions": self.kinds[1],
            "reversals_in_part": self.kinds[2],
            "cycles_that_failed_to_run": self.failures,
            "recoveries": self.recoveries.len(),
            "recovery_ms_p50": millis(self.recovery(50)),
            "recovery_ms_max": millis(self.recovery(100)),
            "backlog": self.backlog.as_ref().map(Backlog::json),
            "null_control_failed": self.control_failed,
            "other_findings": self.found,
            "passed": self.passed(),
        })
    }

    /// Writes `report.json` and `report.md` into `folder`.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let json = serde_json::to_string_pretty(&self.json())?;
        std::fs::write(folder.join("report.json"), json + "\n").context("report.json")?;
        std::fs::write(folder.join("report.md"), self.to_string()).context("report.md")
    }

    fn build_name(&self) -> &'static str {
        match self.build {
            Build::Product => "product",
            Build::CrashPoints => "crash-points",
            Build::ReplyBeforeJournal => "null control",
            Build::WithEvents => "with events",
        }
    }

    /// The recovery that so many of a hundred did not exceed.
    fn recovery(&self, percent: usize) -> Duration {
        let mut sorted = self.recoveries.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(place).copied().unwrap_or_default()
    }

    fn show_money(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (currency, sums) in &self.sums {
            let of = |sum: Option<i128>| sum.map_or("not asked".to_owned(), |sum| sum.to_string());
            let told = sums.acquirer + sums.untold;
            let value = format!(
                "acquirer {told} (of it {} untold), switch {}, issuers {}, PostgreSQL {}",
                sums.untold,
                sums.journal,
                of(sums.issuers),
                of(sums.database)
            );
            writeln!(f, "| money of {currency:03} | {value} | equal |")?;
        }
        Ok(())
    }

    fn by_row(&self) -> String {
        let mut rows = Vec::new();
        for row in 1..=18 {
            rows.push(match self.kills.get(&row) {
                Some((kills, hits)) if kills == hits => format!("{row}: {kills}"),
                Some((kills, hits)) => format!("{row}: {kills} ({hits} at the step)"),
                None if row == 16 => "16: not applicable, nothing is reloaded".to_owned(),
                None => format!("{row}: 0"),
            });
        }
        let random = self.kills.get(&0).map_or(0, |(kills, _)| *kills);
        format!("{}; at random: {random}", rows.join(", "))
    }
}

fn add(to: &mut Option<i128>, what: Option<i128>) {
    if let Some(what) = what {
        *to.get_or_insert(0) += what;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: String, pass: &str| {
            writeln!(f, "| {name} | {value} | {pass} |")
        };
        writeln!(f, "| column | value | pass |\n|---|---|---|")?;
        let tested = format!("{}, {}, {}", self.build_name(), self.seed, self.device);
        row(f, "build, seed, journal device", tested, "–")?;
        let points = format!("{} ({})", self.points(), self.by_row());
        row(f, "kill points", points, "every row")?;
        let acked = format!("{} of {} answers", self.acked_writes, self.acked);
        row(f, "acked writes", acked, "any")?;
        row(f, "**acked lost**", self.lost.to_string(), "0")?;
        row(f, "recoveries with a gap", self.gaps.to_string(), "0")?;
        row(
            f,
            "present but never acked",
            self.never_acked.to_string(),
            "any",
        )?;
        row(f, "double effects", self.doubled.to_string(), "0")?;
        row(
            f,
            "reversals outstanding",
            self.outstanding.to_string(),
            "0",
        )?;
        row(
            f,
            "cycles that failed to run",
            self.failures.len().to_string(),
            "0",
        )?;
        let [advices, completions, parts] = self.kinds;
        let kinds = format!("{advices}, {completions}, {parts}");
        row(f, "advices, completions, reversals in part", kinds, "each")?;
        let (half, all) = (millis(self.recovery(50)), millis(self.recovery(100)));
        let mut recovery = format!("{half} / {all} ms over {}", self.recoveries.len());
        if let Some(backlog) = &self.backlog {
            recovery = format!("{recovery}; {backlog}");
        }
        row(
            f,
            "recovery time p50 / max",
            recovery,
            "< 2 s for 1 GiB not yet applied",
        )?;
        let control = match self.control_failed {
            Some(true) => "failed, as it must",
            Some(false) => "PASSED: the campaign is void",
            None => "not run",
        };
        row(f, "**null control**", control.to_owned(), "must FAIL")?;
        self.show_money(f)?;
        for (name, count) in &self.found {
            row(f, name, count.to_string(), "0")?;
        }
        for failure in &self.failures {
            writeln!(f, "\n{failure}")?;
        }
        Ok(())
    }
}

/// Which file system on which device holds `folder`.
#[must_use]
pub fn device_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut best = ("", "unknown".to_owned());
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(at), Some(kind)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if folder.starts_with(at) && at.len() >= best.0.len() {
            best = (at, format!("{kind} on {device}"));
        }
    }
    best.1
}

const FAILURES_MAX: usize = 5;
/// Kills at a step that was never met until no more than its turn is given to it.
const TRIES_MAX: u64 = 20;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_is_never_met_does_not_take_the_campaign() {
        let mut report = Report::new(&Plan {
            build: Build::CrashPoints,
            points: ROUND,
            seed: 1,
            rate: 1.0,
            life: Duration::ZERO,
            folder: PathBuf::new(),
        });
        let rows = |report: &mut Report| {
            for _ in 0..4 * ROUND {
                let aim = report.next_aim();
                let is_met = aim.row.is_some_and(|row| ![2, 5].contains(&row));
                report.kill(aim, is_met);
            }
            [2, 5].map(|row| report.kills[&row].0)
        };
        let [first, second] = rows(&mut report);
        assert!(first.abs_diff(second) <= 2, "in turn: {first}, {second}");
        assert!(report.has_missed());
        let before: u64 = rows(&mut report).iter().sum();
        let after: u64 = rows(&mut report).iter().sum();
        assert!(
            after - before <= 2 * 4,
            "one in a round each: {before}, {after}"
        );
    }
}
