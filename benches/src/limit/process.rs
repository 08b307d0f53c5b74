//! Child processes that say when they are ready, and that end with their owner.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// How often a child is asked whether it is ready, and how far apart: 30 s in all.
const POLLS_MAX: u32 = 1_500;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A process that was started here; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `command` with its output in `log` and waits for the JSON in `ready_file`.
    ///
    /// # Errors
    /// The program cannot be started, ends, or is not ready in time.
    pub fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        ready_file: &Path,
    ) -> Result<(Self, Value)> {
        let output =
            std::fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {:?}", command.get_program()))?;
        let mut process = Self { name, child };
        let ready = process.wait_ready(log, ready_file)?;
        Ok((process, ready))
    }

    /// Id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn wait_ready(&mut self, log: &Path, ready_file: &Path) -> Result<Value> {
        for _ in 0..POLLS_MAX {
            // A file that is half written does not parse and is read again.
            let text = std::fs::read_to_string(ready_file).unwrap_or_default();
            if let Ok(ready) = serde_json::from_str(&text) {
                return Ok(ready);
            }
            if let Some(status) = self.child.try_wait()? {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                bail!(
                    "{} ended with {status} before it was ready:\n{said}",
                    self.name
                );
            }
            std::thread::park_timeout(POLL_INTERVAL);
        }
        bail!(
            "{} was not ready within {:?}",
            self.name,
            POLL_INTERVAL * POLLS_MAX
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// Creates `path` afresh.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn create(path: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_child_is_ready_when_its_file_parses_and_ends_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let ready = folder.path().join("ready.json");
        let script = format!("echo '{{\"a\":1}}' > {}; exec cat", ready.display());
        let mut command = shell(&script);
        let log = folder.path().join("log");
        let (process, value) =
            Process::start("sample", &mut command, &log, &ready).expect("it becomes ready");
        assert_eq!(value["a"], 1);
        let pid = process.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_child_that_ends_early_is_reported_with_what_it_said() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let ready = folder.path().join("ready.json");
        let log = folder.path().join("log");
        let mut command = shell("echo no such device; exit 69");
        let error = Process::start("sample", &mut command, &log, &ready).expect_err("it ends");
        let text = error.to_string();
        assert!(
            text.contains("no such device") && text.contains("69"),
            "{text}"
        );
    }
}
