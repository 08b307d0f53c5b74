//! `make chaos`: load, bad connections, kills and PostgreSQL restarts for MINUTES by SEED, at RATE
//! transactions a second; then the closing table. Half of the time the acquirer speaks 1987, and by
//! the next seed 1993. OUT is the folder for states and logs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use njia_tests::e2e::chaos::{Plan, chaos};

fn main() -> Result<ExitCode> {
    let out = PathBuf::from(std::env::var("OUT").context("OUT names the folder of the report")?);
    let number = |name: &str, otherwise: u32| -> Result<u32> {
        match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
            Err(_) => Ok(otherwise),
        }
    };
    let work = out.join("work");
    if work.exists() {
        std::fs::remove_dir_all(&work)?;
    }
    let first = u64::from(number("SEED", 1)?);
    let (mut told, mut passed) = (String::new(), true);
    for seed in [first, first + 1] {
        let folder = work.join(seed.to_string());
        std::fs::create_dir_all(&folder)?;
        let found = chaos(&Plan {
            time: Duration::from_secs(30 * u64::from(number("MINUTES", 10)?)),
            seed,
            rate: f64::from(number("RATE", 800)?),
            folder,
        })?;
        println!("\n{found}");
        told += &format!("{found}\n");
        passed &= found.passed();
        std::fs::write(out.join("report.md"), &told)?;
    }
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
