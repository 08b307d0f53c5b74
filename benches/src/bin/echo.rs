//! The bare HTTP server as a process of its own.

use anyhow::{Context as _, Result};
use clap::Parser as _;
use njia_benches::echo::{Echo, Options};

fn main() -> Result<()> {
    let options = Options::parse();
    let echo = Echo::start(&options)?;
    println!("echo: gateways connect to {}", echo.address);
    if let Some(path) = &options.ready_file {
        let pid = std::process::id();
        let text = format!("{{\"pid\":{pid},\"listener\":\"{}\"}}\n", echo.address);
        // Renamed into place, so that a reader never sees half of it.
        let aside = path.with_extension("part");
        std::fs::write(&aside, text).with_context(|| format!("writing {}", aside.display()))?;
        std::fs::rename(&aside, path).with_context(|| format!("writing {}", path.display()))?;
    }
    echo.join()
}
