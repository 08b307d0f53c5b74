//! `make crash`: a campaign of kills, a start on a long journal, and the null control.
//!
//! Reads POINTS, SEED, RATE, LIFE (seconds), BACKLOG (MiB, 0 leaves it out) and OUT from the
//! environment. Ends with 0 only when everything held and the null control failed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use njia_tests::e2e::Build;
use njia_tests::e2e::campaign::{Plan, campaign, measure_recovery};

fn main() -> Result<ExitCode> {
    let out = PathBuf::from(std::env::var("OUT").context("OUT names the folder of the report")?);
    let number = |name: &str, otherwise: u64| -> Result<u64> {
        match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
            Err(_) => Ok(otherwise),
        }
    };
    let work = out.join("work");
    if work.exists() {
        std::fs::remove_dir_all(&work)?;
    }
    std::fs::create_dir_all(&work)?;
    let plan = Plan {
        build: Build::CrashPoints,
        points: number("POINTS", 1_000)?,
        seed: number("SEED", 20_260_301)?,
        rate: f64::from(u32::try_from(number("RATE", 1_500)?)?),
        life: Duration::from_secs(number("LIFE", 45)?),
        folder: work.join("campaign"),
    };
    std::fs::create_dir_all(&plan.folder)?;
    let mut report = campaign(&plan, &mut |so_far| {
        println!(
            "{} points, {} acked writes, {} lost",
            so_far.points(),
            so_far.acked_writes(),
            so_far.lost()
        );
    })?;
    let backlog = number("BACKLOG", 1_024)?;
    if backlog > 0 {
        println!("a start on {backlog} MiB");
        let folder = work.join("backlog");
        report.set_backlog(measure_recovery(Build::Product, &folder, backlog << 20, 7)?);
    }
    println!("the null control");
    let control = Plan {
        build: Build::ReplyBeforeJournal,
        points: number("CONTROL_POINTS", 36)?,
        folder: work.join("null-control"),
        ..plan
    };
    std::fs::create_dir_all(&control.folder)?;
    let control = campaign(&control, &mut |_| ())?;
    report.set_control(&control);
    report.write(&out)?;
    println!("\n{report}");
    Ok(if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
