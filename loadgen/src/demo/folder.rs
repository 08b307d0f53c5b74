//! The folder of one demo: fresh, and gone afterwards unless it is to be kept.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cli::DemoArgs;
use crate::clock::Clock;
use crate::console::say;
use crate::random::scramble;

/// A folder that is removed when it is closed or dropped.
#[derive(Debug)]
pub(super) struct DemoFolder {
    path: PathBuf,
    keep: bool,
    open: bool,
}

impl DemoFolder {
    /// Makes a folder below the target folder, where files have direct I/O: a temporary folder may
    /// lie in memory.
    pub(super) fn create(args: &DemoArgs) -> Result<Self> {
        let asked = std::env::var_os("KEEP").is_some_and(|keep| is_yes(&keep));
        let (path, keep) = match &args.keep {
            Some(Some(path)) => (path.clone(), true),
            Some(None) => (fresh_path()?, true),
            None => (fresh_path()?, asked),
        };
        std::fs::create_dir_all(&path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        if std::fs::read_dir(&path)?.next().is_some() {
            bail!(
                "{} is not empty; a demo needs a folder of its own",
                path.display()
            );
        }
        Ok(Self {
            path: path.canonicalize()?,
            keep,
            open: true,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the switch keeps its state.
    pub(super) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Where the switch keeps its journal.
    pub(super) fn journal(&self) -> PathBuf {
        self.state().join("journal")
    }

    /// Removes it, or says where it is.
    pub(super) fn close(&mut self, passed: bool) {
        self.open = false;
        if self.keep {
            say(format_args!("kept        {}", self.path.display()));
            return;
        }
        if !passed {
            say(format_args!(
                "hint        --keep keeps the folder with logs and journal"
            ));
        }
        self.remove();
    }

    fn remove(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            say(format_args!("{} is left: {error}", self.path.display()));
        }
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if self.open && !self.keep {
            self.remove();
        }
    }
}

fn is_yes(value: &OsStr) -> bool {
    !matches!(
        value.to_string_lossy().to_lowercase().as_str(),
        "" | "0" | "no" | "false" | "off"
    )
}

/// `njia-demo-` and eight random digits below the target folder.
fn fresh_path() -> Result<PathBuf> {
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => PathBuf::from(target),
        None => std::env::current_dir()?.join("target"),
    };
    Ok(target.join(format!("njia-demo-{}", unique())))
}

/// Eight digits that no other demo of this machine has at present.
pub(super) fn unique() -> String {
    let clock = Clock::start();
    let now = clock.wall(clock.now()).unix_millis();
    let mixed = scramble(now ^ scramble(u64::from(std::process::id())));
    format!("{:08x}", crate::numeric::narrow(mixed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn args(line: &[&str]) -> DemoArgs {
        let cli = crate::cli::Cli::parse_from([&["njia-loadgen", "demo"], line].concat());
        match cli.command {
            crate::cli::Command::Demo(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_folder_that_is_named_is_kept_and_must_be_empty() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("demo");
        let text = path.to_str().unwrap();
        let mut folder = DemoFolder::create(&args(&["--keep", text])).unwrap();
        std::fs::write(folder.path().join("file"), b"x").unwrap();
        folder.close(true);
        assert!(path.join("file").exists());
        assert!(DemoFolder::create(&args(&["--keep", text])).is_err());
    }

    #[test]
    fn words_for_yes_and_no() {
        for no in ["", "0", "no", "FALSE"] {
            assert!(!is_yes(OsStr::new(no)), "{no}");
        }
        assert!(is_yes(OsStr::new("1")) && is_yes(OsStr::new("yes")));
        assert_eq!(unique().len(), 8);
    }
}
