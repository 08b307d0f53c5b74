//! How many connections there may be of a listener or a gateway, and for how long in silence.

use std::time::Duration;

use super::section::Section;

/// The bounds of one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionBounds {
    /// Of it, over all shards.
    pub all: usize,
    /// Of each address, on each shard; `None` is no bound.
    pub of_address: Option<u32>,
    /// For how long one may have no request under way.
    pub idle_max: Duration,
}

/// Reads the keys of `[[gateway]]`.
pub(super) fn of_gateway(section: &Section<'_>) -> ConnectionBounds {
    ConnectionBounds {
        all: section.number("connections_max", 1..=100_000, 2_048),
        of_address: of_address(section),
        idle_max: section.seconds("idle_max_s", 5..=3_600, 60),
    }
}

/// Reads the key that listeners have too.
pub(super) fn of_address(section: &Section<'_>) -> Option<u32> {
    let most = section.number("connections_per_address_max", 0..=100_000, 1_024);
    (most > 0).then_some(most)
}
