//! Bounds that are not knobs, each with its reason, and the inequalities between them.

/// Issuers that one route may name; the set of tried ones is a `u8`.
pub const CANDIDATES_MAX: usize = 8;
const _: () = assert!(CANDIDATES_MAX <= u8::BITS as usize);

/// Acquirers, issuers, routes or listeners, each: they become metric labels.
pub const LABELS_MAX: usize = 50;

/// Connections to issuers, over all of them.
pub const LINKS_MAX: u16 = 1_024;

/// Executors.
pub const SHARDS_MAX: u16 = 64;
const _: () = assert!(SHARDS_MAX <= 1_024, "a transaction id has no room for more");

/// Entries of one block or allow file.
pub const RISK_ACCOUNTS_LISTED_MAX: usize = 10_000_000;

/// Names of the message dialects.
pub const DIALECTS: [&str; 2] = ["iso87-ascii", "iso87-ascii-hex"];

/// Locked memory that one executor's rings need.
pub const MEMLOCK_PER_EXECUTOR: u64 = 512 * 1024;

/// Descriptors beside those of sessions and links: standard streams, rings, journal files, the
/// control plane and its connections.
pub const DESCRIPTORS_RESERVED: u64 = 256;
