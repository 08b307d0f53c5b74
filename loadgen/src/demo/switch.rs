//! The switch as a child of the demo.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::config::{self, Configuration};
use super::folder::{DemoFolder, unique};
use crate::stop::Stop;

/// PostgreSQL, in a schema that no other demo uses.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) url: String,
    pub(super) schema: String,
}

impl Database {
    pub(super) fn own_schema(url: String) -> Self {
        Self {
            url,
            schema: format!("njia_demo_{}", unique()),
        }
    }
}

/// Where the running switch is.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) listener: SocketAddr,
    pub(super) gateway: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) journal: PathBuf,
}

#[derive(Deserialize)]
struct ReadyFile {
    admin: SocketAddr,
    listeners: BTreeMap<String, SocketAddr>,
    gateways: BTreeMap<String, SocketAddr>,
    journal: PathBuf,
}

/// A running switch; killed by its id when it is dropped.
#[derive(Debug)]
pub(super) struct Switch {
    child: Child,
    ready_file: PathBuf,
    ended: bool,
}

impl Switch {
    pub(super) fn start(
        program: &Path,
        folder: &DemoFolder,
        issuers: [SocketAddr; 3],
        database: Option<&Database>,
    ) -> Result<Self> {
        let config = Configuration::write(program, folder)?;
        let log = File::create(log_path(folder))?;
        let ready_file = folder.path().join("ready.json");
        let [bank, momo, wallet] = issuers;
        let mut command = Command::new(program);
        command
            .args(["serve", "--config"])
            .arg(config.path())
            .arg("--ready-file")
            .arg(&ready_file)
            .env("NJIA__NODE__STATE_DIR", folder.state())
            .env("NJIA__ISSUER__BANK__ADDRESSES", bank.to_string())
            .env("NJIA__ISSUER__MOMO__ADDRESSES", momo.to_string())
            .env("NJIA__ISSUER__WALLET__ADDRESSES", wallet.to_string())
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(database) = database {
            command
                .env("NJIA__POSTGRES__URL", &database.url)
                .env("NJIA__POSTGRES__SCHEMA", &database.schema)
                .env("NJIA__POSTGRES__MIGRATE", "true");
        }
        // Ctrl-C at the terminal goes to the whole group: the demo ends the switch itself.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self {
            child,
            ready_file,
            ended: false,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the file that says where everything is.
    pub(super) fn wait_until_ready(&mut self, stop: &Stop) -> Result<Ready> {
        let mut found = None;
        let ready = stop.until(START, Duration::from_millis(50), || {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                bail!("njia ended before it was ready: {status}");
            }
            if !self.ready_file.exists() {
                return Ok(false);
            }
            let text = std::fs::read_to_string(&self.ready_file)?;
            found = serde_json::from_str::<ReadyFile>(&text).ok();
            Ok(found.is_some())
        })?;
        match found {
            Some(file) if ready => Ok(Ready {
                listener: *file
                    .listeners
                    .get("pos")
                    .context("njia has no listener `pos`")?,
                gateway: *file
                    .gateways
                    .get(config::GATEWAY)
                    .context("njia has no gateway")?,
                admin: file.admin,
                journal: file.journal,
            }),
            _ => bail!("njia was not ready within {} s", START.as_secs()),
        }
    }

    /// Drains it with SIGTERM, and checks that it ends with 0.
    pub(super) fn end(&mut self, stop: &Stop) -> Result<()> {
        self.signal(Signal::TERM)?;
        let mut status: Option<ExitStatus> = None;
        stop.until(DRAIN, Duration::from_millis(50), || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        let status = status.with_context(|| {
            format!(
                "njia did not end within {} s after SIGTERM",
                DRAIN.as_secs()
            )
        })?;
        self.ended = true;
        if !status.success() {
            bail!("njia ended with {status} after SIGTERM instead of 0");
        }
        Ok(())
    }

    /// The end of what it wrote, for a person who wonders why.
    pub(super) fn log_tail(&self, folder: &DemoFolder) -> String {
        let text = std::fs::read_to_string(log_path(folder)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES);
        let tail = lines.get(from..).unwrap_or_default().join("\n");
        if tail.is_empty() {
            "njia wrote nothing".to_owned()
        } else {
            format!("the end of what njia wrote:\n{tail}")
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(id).context("the switch has no process id")?;
        kill_process(pid, signal).context("the switch cannot be told to end")
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Both fail only when it has ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Finds the switch beside this program, else on the PATH.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let beside = std::env::current_exe()?.with_file_name("njia");
    if beside.is_file() {
        return Ok(beside);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("njia"))
        .find(|program| program.is_file())
        .context(
            "njia is neither beside njia-loadgen nor on the PATH: cargo build --release -p switch",
        )
}

fn log_path(folder: &DemoFolder) -> PathBuf {
    folder.path().join("njia.log")
}

const START: Duration = Duration::from_secs(60);
const DRAIN: Duration = Duration::from_secs(40);
const LOG_LINES: usize = 20;
