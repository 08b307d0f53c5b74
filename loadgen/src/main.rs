//! The binary `njia-loadgen`: arguments to commands, an error to an exit code.

use std::process::ExitCode;

use clap::Parser;
use loadgen::cli::Cli;
use loadgen::{command, console};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match command::perform(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            console::complain(format_args!("njia-loadgen: {error:#}"));
            ExitCode::from(command::ERROR)
        }
    }
}
