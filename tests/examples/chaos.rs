//! `make chaos`: load, bad connections, kills and PostgreSQL restarts for MINUTES by SEED, at RATE
//! transactions a second; then the closing table. OUT is the folder for states and logs.

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
    let folder = out.join("work");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let found = chaos(&Plan {
        time: Duration::from_secs(60 * u64::from(number("MINUTES", 10)?)),
        seed: u64::from(number("SEED", 1)?),
        rate: f64::from(number("RATE", 800)?),
        folder,
    })?;
    std::fs::write(out.join("report.md"), found.to_string())?;
    println!("\n{found}");
    Ok(if found.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
