//! A bound on the memory that a process may take from now on, by a control group of its own. It
//! takes root and a kernel whose memory controller can be used.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A control group, gone when it is dropped; its processes have to be gone before.
#[derive(Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
    files: Files,
}

/// What the files of one version of control groups are called.
#[derive(Clone, Copy, Debug)]
struct Files {
    limit: &'static str,
    peak: &'static str,
    /// Has a line `oom_kill` and a number.
    kills: &'static str,
}

const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    kills: "memory.oom_control",
};
const V2: Files = Files {
    limit: "memory.max",
    peak: "memory.peak",
    kills: "memory.events",
};

/// What does not fit is not to be put elsewhere.
const NO_SWAP: [(&str, &str); 2] = [("memory.swap.max", "0"), ("memory.swappiness", "0")];

impl MemoryGroup {
    /// A group without members whose name begins with `name`.
    ///
    /// `None`, and a line on the standard error output that no test runner holds back, when there
    /// is none to be had.
    ///
    /// # Errors
    /// It was made and cannot be used.
    pub fn new(name: &str) -> Result<Option<Self>> {
        let name = format!("njia-{name}-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let kinds = [(root.join("memory"), V1), (root.to_owned(), V2)];
        for (parent, files) in kinds {
            let folder = parent.join(&name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self { folder, files };
            if group.folder.join(files.limit).exists() {
                return Ok(Some(group));
            }
        }
        let mut told = std::io::stderr().lock();
        writeln!(
            told,
            "NOT CHECKED: a bound on memory needs root and a control group with `memory`"
        )?;
        Ok(None)
    }

    /// What the process `pid` takes from here on, it takes out of `bytes`.
    ///
    /// # Errors
    /// It has ended, or the kernel refuses.
    pub fn take(&self, pid: u32, bytes: u64) -> Result<()> {
        self.write(self.files.limit, &bytes.to_string())?;
        for (file, none) in NO_SWAP {
            // There is none without swap, nor in the other version.
            fs::write(self.folder.join(file), none).ok();
        }
        self.write("cgroup.procs", &pid.to_string())
    }

    /// The most that was ever taken, in bytes.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn peak(&self) -> Result<u64> {
        let peak = self.read(self.files.peak);
        // Kernels before 5.19 say only what is taken now.
        let told = peak.or_else(|_| self.read("memory.current"))?;
        Ok(told.trim().parse()?)
    }

    /// How many processes were ended because there was no more.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn kills(&self) -> Result<u64> {
        let all = self.read(self.files.kills)?;
        let line = all.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(line.context("no line `oom_kill`")?.trim().parse()?)
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| path.display().to_string())
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // One that still has a member stays: the next boot finds none.
        fs::remove_dir(&self.folder).ok();
    }
}
