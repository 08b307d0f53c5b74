//! A campaign of kills: one switch after the other on the same state, under a load that goes on and
//! repeats what it was not answered, with PostgreSQL behind; then what everybody believes is
//! compared.
//!
//! A campaign is cut into lives. A life has a state, a schema and issuers of its own, which outlive
//! its switches; at its end the switch heals, settles and drains, and is audited as a whole. So no
//! start has more to read than a few minutes of load, and a fault is found near its cause.

mod aim;
mod dice;
mod life;
mod recovery;
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::Build;
use crate::postgres::Cluster;
pub use aim::{Aim, ROUND, Way};
pub use dice::Dice;
use life::Life;
pub use recovery::{Backlog, measure_recovery};
pub use report::{Report, device_of};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The binary that is killed.
    pub build: Build,
    /// Points at the least; the last life is filled.
    pub points: u64,
    /// Of all that is random.
    pub seed: u64,
    /// Transactions offered per second.
    pub rate: f64,
    /// How long each life is offered load.
    pub life: Duration,
    /// Where states, ledgers and logs lie; a life that passed is removed.
    pub folder: PathBuf,
}

/// Carries `plan` out; `show` is told after each life.
///
/// # Errors
/// The harness itself failed. What it found is in the report.
pub fn campaign(plan: &Plan, show: &mut dyn FnMut(&Report)) -> Result<Report> {
    let cluster = Cluster::start()?;
    let mut report = Report::new(plan);
    let mut number = 0;
    // A slow machine misses steps; what is told of each row is that one was met.
    let misses = |report: &Report| plan.points >= ROUND && report.has_missed();
    while report.points() < plan.points || (misses(&report) && number < LIVES_MAX) {
        let mut life = Life::begin(plan, number, &cluster)?;
        if let Err(error) = life.kill_under_load(&mut report) {
            report.failed(&error);
        }
        match life.end(&mut report) {
            Ok(()) => {}
            Err(error) => report.failed(&error),
        }
        number += 1;
        show(&report);
        if report.must_end() {
            break;
        }
    }
    Ok(report)
}

/// A port of loopback that no connection of this machine takes as its own end: a generator that
/// tries to connect to a switch that is down could meet itself otherwise.
///
/// # Errors
/// None of many was free.
pub fn free_port(dice: &mut Dice) -> Result<u16> {
    // Tests beside this one throw the same numbers.
    let own = u64::from(std::process::id());
    for _ in 0..1_000 {
        let port = 20_000 + u16::try_from((dice.below(10_000) + own) % 10_000).unwrap_or(0);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port from 20000 to 29999 is free")
}

/// Lives that a campaign which has its points may have, to meet what it has missed.
const LIVES_MAX: u64 = 6;

/// The folder of one life.
fn life_folder(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("life-{number}"))
}
