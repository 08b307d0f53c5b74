//! What the publisher is told at construction.

use std::path::PathBuf;
use std::time::Duration;

use domain::ids::NodeId;
use domain::time::Instant;

use crate::applier::{Backoff, Names, SecretSource, TlsFiles};

/// Everything that a publisher needs to know besides the journals.
#[derive(Clone, Debug)]
pub struct EventSettings {
    /// This machine: part of each event.
    pub node: NodeId,
    /// `host:port`, separated by commas: where the cluster is asked for its brokers.
    pub brokers: String,
    /// Where events go.
    pub topic: String,
    /// How the brokers know us, and we them.
    pub access: Access,
    /// Names by id.
    pub names: Names,
    /// The journal's folder: the watermark lies beside the journal's manifest.
    pub root: PathBuf,
    /// Records in flight, over all shards. Raised: more throughput on slow links, more memory.
    pub inflight_max: usize,
    /// How long to wait after a failure.
    pub backoff: Backoff,
    /// Seeds the jitter of it.
    pub seed: u64,
    /// How often the watermark is written while it moves: at most what is published in that time
    /// is repeated after a crash.
    pub save_every: Duration,
    /// How often the durable positions are read while there is nothing to do.
    pub poll: Duration,
    /// After the signal to stop: how long catching up may still take.
    pub drain: Duration,
    /// Monotonic time.
    pub clock: fn() -> Instant,
}

/// How the brokers know us, and we them.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Certificates; without them connections are in clear.
    pub tls: Option<TlsFiles>,
    /// Name and password; without them the brokers ask for none.
    pub sasl: Option<Sasl>,
}

/// A name and its password.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// How the password is shown.
    pub mechanism: Mechanism,
    /// The name.
    pub username: String,
    /// Asked again for each producer: a rotated one is taken up.
    pub password: SecretSource,
}

/// How a password is shown to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// As it is.
    Plain,
    /// RFC 5802 with SHA-256.
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// As Kafka writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}
