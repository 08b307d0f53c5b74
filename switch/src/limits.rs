//! Bounds that are not knobs, each with its reason, and the inequalities between them.

use std::time::Duration;

/// Acquirers, issuers, routes or listeners, each: they become metric labels.
pub const LABELS_MAX: usize = 50;

/// Bytes of such a name.
pub const LABEL_LEN_MAX: usize = 32;

/// Connections to issuers, over all of them.
pub const LINKS_MAX: u16 = 1_024;

/// Executors.
pub const SHARDS_MAX: u16 = 64;
const _: () = assert!(SHARDS_MAX <= 1_024, "a transaction id has no room for more");

/// Entries of one block or allow file.
pub const RISK_ACCOUNTS_LISTED_MAX: usize = 10_000_000;

/// Dialects of the user, of some 30 KiB each, which are never given back.
pub const DIALECTS_MAX: usize = 64;

/// Files that `dialect_files` names.
pub const DIALECT_FILES_MAX: usize = 64;

/// Bytes of one of them.
pub const DIALECT_FILE_BYTES_MAX: u64 = 1 << 20;

/// Sub-fields within sub-fields.
pub const DIALECT_DEPTH_MAX: usize = 3;

/// The least that `frame_len_max`, a `frame_cap` and the framing of an endpoint may hold: a request
/// with chip data and private fields fits.
pub const FRAME_LEN_MIN: usize = 512;

/// Seconds that the clock of a gateway may be ahead of ours when it signs. A start after a kill
/// refuses for so long what is signed by a clock that is right.
pub const SIGNED_AHEAD_MAX_S: u64 = 5;

/// Seconds that a signature may be old.
pub const SIGNED_BEHIND_MAX_S: u64 = 300;

/// Locked memory that one executor's rings need.
pub const MEMLOCK_PER_EXECUTOR: u64 = 512 * 1024;

/// Attempts to connect to one issuer that a shard makes at once: a thousand links that come back do
/// not take its turns from its sessions.
pub const CONNECTS_MAX: u32 = 8;

/// Reconciliations that one shard leads at once.
pub const RECONCILIATIONS_MAX: usize = 64;

/// Key changes that wait for their acknowledgement, per shard.
pub const KEY_CHANGES_MAX: usize = 64;

/// How long all shards may take to say that they can check with a new key.
pub const KEY_SPREAD_MAX: Duration = Duration::from_secs(2);

/// How long a new key may take to be stored, its turn included, before it is refused: whoever
/// brought it waits no longer.
pub const KEY_STORE_MAX: Duration = Duration::from_secs(5);

/// Answers that were not matched, of which the last ones are shown to people.
pub const UNMATCHED_SHOWN_MAX: usize = 64;

/// Descriptors beside those of sessions and links: standard streams, rings, journal files, the
/// control plane and its connections.
pub const DESCRIPTORS_RESERVED: u64 = 256;

/// Reversals of one shard that wait until all shards have said whether they know their original.
pub const QUESTIONS_MAX: usize = 1_024;

/// How long they may take for it: a turn is a few milliseconds.
pub const QUESTION_TIMEOUT: Duration = Duration::from_millis(500);

/// Frames that a shard keeps for reuse, about 2 KiB each.
pub const FRAMES_POOLED_MAX: usize = 8_192;

/// How long an answer that came too late is still recognised as such.
pub const LATE_WINDOW: Duration = Duration::from_secs(600);

/// Bytes for the further fields of a stored answer, on average.
pub const ANSWER_BYTES_PER_TRANSACTION: usize = 64;

/// How long risk and route may take, mesh round trip included, before a request is shed.
pub const DECISION_TIMEOUT: Duration = Duration::from_secs(1);

/// A shard that has not turned for so long never will: the process is aborted and recovers.
pub const WATCHDOG: Duration = Duration::from_secs(10);

/// A journal whose batch has been due for so long, as far as its shard could see its end, is given
/// up: the process ends and recovers.
pub const JOURNAL_STALL_MAX: Duration = Duration::from_secs(10);

/// A shard that has not turned for so long makes the process not live.
pub const LIVE: Duration = Duration::from_secs(5);
const _: () = assert!(LIVE.as_secs() < WATCHDOG.as_secs());
