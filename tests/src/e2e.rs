//! The real binaries on real sockets: a switch that can be killed and started again, simulated
//! issuers that can be told to misbehave, and load.

pub mod audit;
pub mod bank;
pub mod campaign;
pub mod chaos;
pub mod contract;
pub mod crowd;
pub mod desk;
pub mod disk;
pub mod gateway;
mod http;
pub mod json_bank;
pub mod kept;
mod load;
pub mod memory;
pub mod missing;
pub mod mix;
mod node;
pub mod proxy;
pub mod scene;
pub mod session;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use loadgen::clock::Clock;
use loadgen::issuer::{Behaviour, IssuerConfig, IssuerHost, Speaks};
use loadgen::message::Wire;
use rustls::ServerConfig;

pub use load::{Load, LoadReport, Running, concatenated};
pub use node::{Build, Node, OPERATORS, Process, variable_or};
pub use session::Session;

/// Two simulated issuers, `bank` and `momo`, in this process: they outlive the switch.
#[derive(Debug)]
pub struct Issuers {
    /// The host; its controls make the issuers misbehave.
    pub host: IssuerHost,
    ledgers: Vec<PathBuf>,
}

impl Issuers {
    /// The place of the bank in [`Issuers::host`].
    pub const BANK: usize = 0;
    /// The place of the mobile-money operator.
    pub const MOMO: usize = 1;

    /// Issuers that approve everything after about `latency`, with ledgers in `folder`.
    ///
    /// # Errors
    /// No address could be bound.
    pub fn start(folder: &Path, latency: Duration) -> Result<Self> {
        Self::start_on(folder, latency, [Wire::PLAIN; 2])
    }

    /// The same over TLS.
    ///
    /// # Errors
    /// No address could be bound.
    pub fn start_secure(folder: &Path, latency: Duration, tls: &Arc<ServerConfig>) -> Result<Self> {
        Self::start_with(folder, latency, [Wire::PLAIN; 2], Some(tls))
    }

    /// In clear, where each speaks in its own way.
    ///
    /// # Errors
    /// No address could be bound.
    pub fn start_on(folder: &Path, latency: Duration, wires: [Wire; 2]) -> Result<Self> {
        Self::start_with(folder, latency, wires, None)
    }

    fn start_with(
        folder: &Path,
        latency: Duration,
        wires: [Wire; 2],
        tls: Option<&Arc<ServerConfig>>,
    ) -> Result<Self> {
        let ledgers: Vec<PathBuf> = ["bank", "momo"]
            .iter()
            .map(|name| folder.join(format!("{name}.ledger")))
            .collect();
        let config = |((seed, ledger), wire): ((u64, &PathBuf), Wire)| IssuerConfig {
            name: ledger
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            speaks: Speaks::Iso {
                wire,
                sign_on: true,
            },
            behaviour: Behaviour::faithful(latency),
            faults: Vec::new(),
            ledger: Some(ledger.clone()),
            tls: tls.cloned(),
            seed,
        };
        let configs = (1..).zip(&ledgers).zip(wires).map(config).collect();
        Ok(Self {
            host: IssuerHost::start(configs, Clock::start())?,
            ledgers,
        })
    }

    /// Where the switch finds them.
    #[must_use]
    pub fn addresses(&self) -> [SocketAddr; 2] {
        [self.host.address(Self::BANK), self.host.address(Self::MOMO)]
    }

    /// The truth on disk; complete after [`Issuers::finish`].
    #[must_use]
    pub fn ledgers(&self) -> Vec<PathBuf> {
        self.ledgers.clone()
    }

    /// Completes the ledgers.
    ///
    /// # Errors
    /// A ledger could not be written.
    pub fn finish(self) -> Result<()> {
        self.host.finish()?;
        Ok(())
    }

    /// The same; says what a right switch never does to an issuer, with how often it did.
    ///
    /// # Errors
    /// A ledger could not be written.
    pub fn breaches(self) -> Result<Vec<(u64, &'static str)>> {
        let all = self.host.finish()?;
        let each = all.iter().map(|(_, stats)| stats.breaches());
        Ok(each.flatten().collect())
    }
}

/// All files below `folder`, and what they hold.
///
/// # Panics
/// One cannot be read.
#[must_use]
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be read") {
            let entry = entry.expect("it can be read");
            let kind = entry.file_type().expect("it can be read");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let bytes = std::fs::read(entry.path()).expect("it can be read");
                found.push((entry.path().display().to_string(), bytes));
            }
        }
    }
    found
}

/// A fresh folder on the disk of the target folder, because a journal needs direct I/O and `/tmp`
/// may be a tmpfs. Left behind when a test fails.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn folder(target_tmp: &str, name: &str) -> PathBuf {
    let folder = Path::new(target_tmp).join(format!("{name}-{}", std::process::id()));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("an old folder of the same name can be removed");
    }
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// Keeps the other tests of the same binary waiting: each offers load that needs the machine.
pub fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    // A test that failed while it held the machine has left nothing that the next one could find.
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks again until `found` says yes, for at most `deadline`. Returns whether it did.
pub fn eventually(deadline: Duration, mut found: impl FnMut() -> bool) -> bool {
    let clock = Clock::start();
    let end = clock.now().after(deadline);
    while clock.now() < end {
        if found() {
            return true;
        }
        pause(Duration::from_millis(20));
    }
    found()
}

/// Waits for the next day of UTC when it is near, for tests that name a day before they use it.
pub fn away_from_midnight() {
    let clock = Clock::start();
    let left = DAY_MS - clock.wall(clock.now()).unix_millis() % DAY_MS;
    if left < NEAR_MS {
        pause(Duration::from_millis(left + 100));
    }
}

const DAY_MS: u64 = 86_400_000;
/// Longer than any of those tests takes.
const NEAR_MS: u64 = 180_000;

/// Lets time pass; for moments that a test chooses, never instead of waiting for an event.
pub fn pause(time: Duration) {
    let clock = Clock::start();
    let end = clock.now().after(time);
    while clock.now() < end {
        std::thread::park_timeout(end.since(clock.now()));
    }
}
