//! Load from a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::node::njia_loadgen;

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
