//! What the comparison is started with.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::step::Target;

/// What is held against what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pair {
    /// The switch against a bare relay.
    Relay,
    /// The switch with TLS on its sessions against the switch in clear.
    Tls,
    /// A gateway of the switch against a bare HTTP server.
    Gateway,
}

impl Pair {
    /// What is held against first, then what is held against it.
    #[must_use]
    pub const fn targets(self) -> [Target; 2] {
        match self {
            Self::Relay => [Target::Relay, Target::Switch],
            Self::Tls => [Target::Switch, Target::Tls],
            Self::Gateway => [Target::Echo, Target::Gateway],
        }
    }
}

/// The switch against something beside it, in one run on one machine.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// What is held against what.
    #[arg(long, value_enum, default_value_t = Pair::Relay)]
    pub pair: Pair,
    /// Folder with `njia`, `njia-loadgen`, `relay` and `echo`.
    #[arg(long, default_value = "target/release")]
    pub bin_dir: PathBuf,
    /// Executors of the relay and shards of the switch, pinned to the first cores.
    #[arg(long, default_value_t = 1)]
    pub executors: usize,
    /// Links to each of the two issuers.
    #[arg(long, default_value_t = 4)]
    pub links: usize,
    /// Connections of acquirers; of gateways eight times as many, which take one request each.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Transactions per second of the first step.
    #[arg(long, default_value_t = 5_000)]
    pub start: u32,
    /// Seconds of each step that are judged.
    #[arg(long, default_value_t = 6)]
    pub step: u32,
    /// Seconds of each step before that.
    #[arg(long, default_value_t = 2)]
    pub warmup: u32,
    /// Response p99 in milliseconds below which a step is held.
    #[arg(long, default_value_t = 400.0)]
    pub p99_ms: f64,
    /// Interval at which the search ends, as a share of the rate that was held.
    #[arg(long, default_value_t = 0.06)]
    pub resolution: f64,
    /// Latency of the simulated issuers.
    #[arg(long, default_value = "lognormal(5ms,0.4)")]
    pub latency: String,
    /// From which all randomness of the load follows.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
}
