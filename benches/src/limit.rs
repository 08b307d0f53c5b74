//! Two of a kind against each other: same load, issuers, sockets, machine, run.
//!
//! Every step starts its processes afresh, so that no step inherits the backlog of another. A
//! step is held when the load generator says PASS and the response p99 is below the bound.

mod certificate;
mod cpu;
mod options;
mod process;
mod report;
mod search;
mod step;

use std::io::Write as _;

use anyhow::Result;

pub use options::{Options, Pair};
use process::Folder;
use report::Report;
use search::Search;
pub use step::Target;
use step::{Bench, Step};

/// Runs the comparison and prints it.
///
/// # Errors
/// A process cannot be started, or a target holds no rate at all.
pub fn run(options: &Options) -> Result<()> {
    let name = format!("njia-limit-{}", std::process::id());
    let folder = Folder::create(options.bin_dir.join("..").join(name))?;
    let bench = Bench::new(options, &folder.0);
    let mut report = Report::new(options);
    print!("{}", report.head());
    for target in options.pair.targets() {
        let mut search = Search::new(options.start, options.resolution);
        while let Some(rate) = search.next_rate() {
            let step = bench.step(target, rate)?;
            search.record(rate, is_held(&step, options));
            print!("{}", report.line(&step));
            std::io::stdout().flush()?;
            report.add(step);
        }
        report.limit(target, search.held());
    }
    print!("{}", report.conclusion());
    Ok(())
}

fn is_held(step: &Step, options: &Options) -> bool {
    step.verdict == "PASS" && step.p99_ms.is_some_and(|p99| p99 < options.p99_ms)
}
