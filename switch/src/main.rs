//! The binary `njia`.

use std::process::ExitCode;

/// Measured against the system's: fewer page faults under many small frames of many lengths.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    switch::cli::run()
}
