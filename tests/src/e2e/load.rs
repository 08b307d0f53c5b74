//! Load from a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::node::{Node, njia_loadgen};

/// What is offered.
#[derive(Clone, Debug)]
pub struct Load {
    /// Transactions per second.
    pub rate: u32,
    /// As the tool reads it, `3s`.
    pub duration: String,
    /// Not judged before.
    pub warmup: String,
    /// When an answer is given up.
    pub timeout: String,
    /// Of everything random.
    pub seed: u64,
    /// Connections.
    pub connections: u32,
    /// Further arguments.
    pub more: Vec<String>,
}

/// A running load.
#[derive(Debug)]
pub struct Running {
    child: Child,
    folder: PathBuf,
}

/// What a load has found.
#[derive(Debug)]
pub struct LoadReport {
    /// `summary.json`.
    pub summary: serde_json::Value,
    /// What the acquirer was told.
    pub acks: PathBuf,
    /// The tool's exit code.
    pub exit: Option<i32>,
    /// What it printed.
    pub printed: String,
}

impl LoadReport {
    /// A number of `summary.json`.
    ///
    /// # Panics
    /// There is none at `pointer`.
    #[must_use]
    #[track_caller]
    pub fn number(&self, pointer: &str) -> f64 {
        let value = self.summary.pointer(pointer);
        let number = value.and_then(serde_json::Value::as_f64);
        number.unwrap_or_else(|| panic!("the summary has no number {pointer}"))
    }

    /// How many requests were answered with this DE39.
    ///
    /// # Errors
    /// The file of answers cannot be read.
    #[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
    pub fn told(&self, code: &str) -> Result<f64> {
        let text = std::fs::read_to_string(&self.acks).context("reading acks.log")?;
        let codes = text.lines().filter_map(|line| line.split(' ').nth(6));
        Ok(codes.filter(|found| *found == code).count() as f64)
    }

    /// Nobody was refused, but by a machine that stood still for a second, whatever else happens.
    ///
    /// # Panics
    /// Somebody was, for another reason, or many were.
    pub fn check_refusals(&self, node: &Node) {
        let reasons = [
            "journal_unavailable",
            "\"shed\"",
            "undecided",
            "waited_too_long",
        ];
        let rejected = |reason| node.metric("njia_rejected_total", &[reason]).unwrap();
        let machine: f64 = reasons.into_iter().map(rejected).sum();
        let refused = self.told("96").unwrap();
        let most = 0.1 * self.number("/sent");
        assert!(refused <= machine && refused < most, "{}", self.printed);
        for bound in ["postgres_behind", "saf_full", "table_full"] {
            assert_eq!(rejected(bound), 0.0, "{bound}: {}", self.printed);
        }
        // A journal that is nearly full refuses for the same reason as one whose disk is slow.
        let journal = |what| node.metric(&format!("njia_journal_{what}_bytes"), &[]);
        let (used, limit) = (journal("used").unwrap(), journal("limit").unwrap());
        assert!(used < 0.7 * limit, "{used} bytes of {limit} for each shard");
    }
}

impl Load {
    /// Starts it against `listener`, with its files in `folder`.
    ///
    /// # Errors
    /// The tool cannot be started.
    pub fn start(&self, listener: &str, folder: &Path) -> Result<Running> {
        let child = Command::new(njia_loadgen())
            .arg("run")
            .arg(format!("iso://{listener}?framing=be16&dialect=iso87-ascii"))
            .args([
                "--rate",
                &self.rate.to_string(),
                "--duration",
                &self.duration,
            ])
            .args([
                "--warmup",
                &self.warmup,
                "--grace",
                &self.timeout,
                "--timeout",
                &self.timeout,
            ])
            .args(["--seed", &self.seed.to_string()])
            .args(["--connections", &self.connections.to_string()])
            .arg("--out")
            .arg(folder)
            .args(&self.more)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting njia-loadgen")?;
        Ok(Running {
            child,
            folder: folder.to_owned(),
        })
    }
}

impl Running {
    /// Waits for its end.
    ///
    /// # Errors
    /// It left no summary.
    pub fn finish(self) -> Result<LoadReport> {
        let output = self.child.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let summary = std::fs::read_to_string(self.folder.join("summary.json"))
            .with_context(|| format!("the load left no summary:\n{printed}"))?;
        Ok(LoadReport {
            summary: serde_json::from_str(&summary)?,
            acks: self.folder.join("acks.log"),
            exit: output.status.code(),
            printed,
        })
    }
}

impl Running {
    /// Asks it to end before its time and takes its report.
    ///
    /// # Errors
    /// It left no summary.
    pub fn end(self) -> Result<LoadReport> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        self.finish()
    }

    /// Ends it without a report.
    ///
    /// # Errors
    /// It cannot be ended.
    pub fn abandon(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// The answers of several loads as one file in `folder`, for one audit of them all.
///
/// # Errors
/// A file cannot be read or written.
pub fn concatenated(folder: &Path, parts: &[PathBuf]) -> Result<PathBuf> {
    let whole = folder.join("acks.log");
    let mut text = String::new();
    for (position, part) in parts.iter().enumerate() {
        let part = std::fs::read_to_string(part)?;
        // Each file begins with a line that names its format.
        let lines = part.split_inclusive('\n').skip(usize::from(position > 0));
        text.extend(lines);
    }
    std::fs::write(&whole, text)?;
    Ok(whole)
}
