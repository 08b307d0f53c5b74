//! What one flush took, for the shell's histograms.

use std::time::Duration;

/// One batch that became durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// Records in it; none in an anchor.
    pub records: u32,
    /// Bytes written, padding included.
    pub bytes: u32,
    /// From the write to the completed sync.
    pub took: Duration,
}
