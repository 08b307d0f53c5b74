//! One step: two issuers, one target, one rate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::certificate::Certificate;
use super::cpu;
use super::options::Options;
use super::process::{Folder, Process};

/// What is offered to both.
const SCENARIO: &str = include_str!("scenario.toml");
/// Of the gateway, on loopback, for as long as a step lasts.
const API_KEY: &str = "limit-key";
/// What stands behind the default configuration.
const GATEWAY: &str = include_str!("gateway.toml");

/// What stands between acquirers and issuers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Relay,
    Switch,
    /// The switch with TLS on its sessions.
    Tls,
    /// A bare HTTP server, which needs no issuers.
    Echo,
    /// A gateway of the switch.
    Gateway,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Relay => "relay",
            Self::Switch => "switch",
            Self::Tls => "tls",
            Self::Echo => "echo",
            Self::Gateway => "gateway",
        })
    }
}

/// What became of one rate.
#[derive(Clone, Debug)]
pub struct Step {
    pub target: Target,
    /// Offered transactions per second.
    pub rate: u32,
    /// PASS, FAIL or INVALID.
    pub verdict: String,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// CPU time of the target per transaction that was sent to it, in microseconds.
    pub cpu_us: Option<f64>,
}

/// Runs steps.
#[derive(Debug)]
pub struct Bench<'a> {
    options: &'a Options,
    folder: &'a Path,
}

impl<'a> Bench<'a> {
    /// Steps leave their files below `folder`.
    #[must_use]
    pub fn new(options: &'a Options, folder: &'a Path) -> Self {
        Self { options, folder }
    }

    /// Starts everything, offers `rate` to `target`, and ends everything.
    ///
    /// # Errors
    /// A process cannot be started, or the load generator leaves no summary.
    pub fn step(&self, target: Target, rate: u32) -> Result<Step> {
        let folder = Folder::create(self.folder.join(format!("{target}-{rate}")))?;
        let bank = self.issuer("bank", &folder.0)?;
        let momo = self.issuer("momo", &folder.0)?;
        let issuers = [bank.1.as_str(), momo.1.as_str()];
        let (process, address) = match target {
            Target::Relay => self.relay(issuers, &folder.0)?,
            Target::Switch => self.switch(issuers, &folder.0)?,
            Target::Tls => self.secure(issuers, &folder.0)?,
            Target::Echo => self.echo(&folder.0)?,
            Target::Gateway => self.gateway(issuers, &folder.0)?,
        };
        let before = cpu::cpu_time(process.id())?;
        let summary = self.load((target, &address), rate, &folder.0)?;
        let used = cpu::cpu_time(process.id())?.saturating_sub(before);
        Ok(step_of(target, rate, &summary, used))
    }

    /// A simulated issuer and its address.
    fn issuer(&self, name: &'static str, folder: &Path) -> Result<(Process, String)> {
        let ready = folder.join(format!("{name}.ready"));
        let mut command = self.program("njia-loadgen");
        command
            .args([
                "sim",
                "issuer",
                "--listen",
                "127.0.0.1:0",
                "--sign-on",
                "--decline",
                "0%",
            ])
            .args(["--latency", &self.options.latency])
            .args(["--seed", &self.options.seed.to_string()])
            .arg("--ready-file")
            .arg(&ready);
        let log = folder.join(format!("{name}.log"));
        let (process, value) = Process::start(name, &mut command, &log, &ready)?;
        Ok((process, text(&value, "/address")?))
    }

    fn relay(&self, issuers: [&str; 2], folder: &Path) -> Result<(Process, String)> {
        let ready = folder.join("relay.ready");
        let mut command = self.program("relay");
        command
            .args(["--issuer", issuers[0], "--issuer", issuers[1]])
            .args(["--links", &self.options.links.to_string()])
            .args(["--executors", &self.options.executors.to_string()])
            .arg("--ready-file")
            .arg(&ready);
        let log = folder.join("relay.log");
        let (process, value) = Process::start("relay", &mut command, &log, &ready)?;
        Ok((process, text(&value, "/listener")?))
    }

    fn switch(&self, issuers: [&str; 2], folder: &Path) -> Result<(Process, String)> {
        let mut command = self.program("njia");
        command.args(["serve", "--default-config", "--state-dir"]);
        command.arg(folder.join("state"));
        self.serving(command, issuers, folder, "/listeners/pos")
    }

    /// The same with certificates, which its acquirers check.
    fn secure(&self, issuers: [&str; 2], folder: &Path) -> Result<(Process, String)> {
        let own = Certificate::write(folder)?;
        let file = |path: &Path| format!("file:{}", path.display());
        let mut command = self.program("njia");
        command.args(["serve", "--default-config", "--state-dir"]);
        command
            .arg(folder.join("state"))
            .env("NJIA__LISTENER__POS__TLS__CERTIFICATE", file(&own.chain))
            .env("NJIA__LISTENER__POS__TLS__KEY", file(&own.key))
            .env(
                "NJIA__LISTENER__POS__TLS__REQUIRE_CLIENT_CERTIFICATE",
                "false",
            );
        self.serving(command, issuers, folder, "/listeners/pos")
    }

    fn gateway(&self, issuers: [&str; 2], folder: &Path) -> Result<(Process, String)> {
        let defaults = self.program("njia").args(["config", "defaults"]).output()?;
        let config = folder.join("njia.toml");
        std::fs::write(&config, String::from_utf8(defaults.stdout)? + GATEWAY)?;
        let mut command = self.program("njia");
        command.args(["serve", "--config"]);
        command
            .arg(config)
            .env(
                "NJIA__NODE__STATE_DIR",
                std::path::absolute(folder.join("state"))?,
            )
            .env("NJIA_LIMIT_KEY", "0f".repeat(32));
        for name in ["TOKEN_KEY", "PAN_KEY", "HASH_KEY"] {
            command.env(format!("NJIA__KEYS__{name}"), "env:NJIA_LIMIT_KEY");
        }
        self.serving(command, issuers, folder, "/gateways/limit")
    }

    fn serving(
        &self,
        mut command: Command,
        issuers: [&str; 2],
        folder: &Path,
        listener: &str,
    ) -> Result<(Process, String)> {
        let ready = folder.join("njia.ready");
        let links = self.options.links.to_string();
        command
            .arg("--ready-file")
            .arg(&ready)
            .env("NJIA__NODE__SHARDS", self.options.executors.to_string())
            .env("NJIA__ISSUER__BANK__ADDRESSES", issuers[0])
            .env("NJIA__ISSUER__MOMO__ADDRESSES", issuers[1])
            .env("NJIA__ISSUER__BANK__LINKS", &links)
            .env("NJIA__ISSUER__MOMO__LINKS", &links);
        let log = folder.join("njia.log");
        let (process, value) = Process::start("njia", &mut command, &log, &ready)?;
        Ok((process, text(&value, listener)?))
    }

    fn echo(&self, folder: &Path) -> Result<(Process, String)> {
        let ready = folder.join("echo.ready");
        let mut command = self.program("echo");
        command
            .args(["--executors", &self.options.executors.to_string()])
            .arg("--ready-file")
            .arg(&ready);
        let log = folder.join("echo.log");
        let (process, value) = Process::start("echo", &mut command, &log, &ready)?;
        Ok((process, text(&value, "/listener")?))
    }

    /// Offers the load and reads what the load generator says about it.
    fn load(&self, to: (Target, &str), rate: u32, folder: &Path) -> Result<Value> {
        let out = folder.join("load");
        let scenario = folder.join("scenario.toml");
        std::fs::write(&scenario, SCENARIO).context("writing the scenario")?;
        let output = self
            .offering(to, folder)
            .args(["--rate", &rate.to_string()])
            .args(["--duration", &format!("{}s", self.options.step)])
            .args(["--warmup", &format!("{}s", self.options.warmup)])
            .args(["--seed", &self.options.seed.to_string()])
            .arg("--scenario")
            .arg(&scenario)
            .arg("--out")
            .arg(&out)
            .output()
            .context("starting njia-loadgen")?;
        let path = out.join("summary.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "njia-loadgen ended with {} and left no summary:\n{said}",
                output.status
            );
        };
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// What the load generator is told of its target.
    fn offering(&self, (target, address): (Target, &str), folder: &Path) -> Command {
        let mut command = self.program("njia-loadgen");
        command.arg("run");
        let connections = self.options.connections;
        match target {
            Target::Relay | Target::Switch | Target::Tls => command
                .arg(format!("iso://{address}?framing=be16&dialect=iso87-ascii"))
                .args(["--connections", &connections.to_string()]),
            Target::Echo | Target::Gateway => command
                .args(["--gateway", &format!("http://{address}")])
                .args(["--gateway-key", "env:NJIA_LIMIT_API_KEY"])
                .args(["--gateway-connections", &(connections * 8).to_string()])
                .args(["--gateway-repeat", "0%", "--gateway-reverse", "0%"])
                .env("NJIA_LIMIT_API_KEY", API_KEY),
        };
        if target == Target::Tls {
            let root = Certificate::root(folder);
            command.arg("--tls-ca").arg(root);
            command.args(["--server-name", Certificate::NAME]);
        }
        command
    }

    fn program(&self, name: &str) -> Command {
        let path: PathBuf = self.options.bin_dir.join(name);
        Command::new(path)
    }
}

fn step_of(target: Target, rate: u32, summary: &Value, used: Duration) -> Step {
    let number = |pointer: &str| summary.pointer(pointer).and_then(Value::as_f64);
    let sent = number("/sent")
        .zip(number("/warmup/sent"))
        .map(|(sent, before)| sent + before);
    Step {
        target,
        rate,
        verdict: text(summary, "/verdict").unwrap_or_else(|_| "INVALID".to_owned()),
        p50_ms: number("/response/p50_us").map(|us| us / 1e3),
        p99_ms: number("/response/p99_us").map(|us| us / 1e3),
        cpu_us: sent
            .filter(|sent| *sent > 0.0)
            .map(|sent| used.as_secs_f64() * 1e6 / sent),
    }
}

fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .with_context(|| format!("no {pointer} in {value}"))
}
