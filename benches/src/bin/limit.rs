//! The driver of `make limit`.

use anyhow::Result;
use clap::Parser as _;
use njia_benches::limit::{self, Options};

fn main() -> Result<()> {
    limit::run(&Options::parse())
}
