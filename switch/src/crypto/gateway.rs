//! How a request of a gateway is named in the table of duplicates: what MTI, STAN and terminal are
//! to a session, its idempotency key is here.

use domain::ids::{AcquirerId, Slot};
use domain::request::{ContentHash, DuplicateKey, TraceKey};

use super::{Input, Keyring, Purpose, low};

/// The names of one (gateway, key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyNames {
    /// Where its transaction lives, whatever its account: a copy with another one meets it there.
    pub(crate) slot: Slot,
    /// What its copies have in common.
    pub(crate) key: DuplicateKey,
    /// Where its copies look for it.
    pub(crate) trace_key: TraceKey,
}

impl Keyring {
    /// Names an idempotency key of 1 to 64 bytes.
    #[must_use]
    pub(crate) fn key_names(&self, acquirer: AcquirerId, key: &[u8]) -> KeyNames {
        let mut input = Input::of(Purpose::Idempotency);
        input.put(&acquirer.0.to_be_bytes());
        input.put(key);
        let hash = self.hash.hash(input.bytes());
        // The slot is made of other bits than the trace key, which spreads within one slot.
        KeyNames {
            slot: Slot::from_hash(low(hash >> 64)),
            key: DuplicateKey(hash),
            trace_key: TraceKey(low(hash)),
        }
    }

    /// The fingerprint of a body, out of the SHA-256 of what it covers. Keyed, because what it
    /// covers holds an account.
    #[must_use]
    pub(crate) fn fingerprint(&self, digest: &[u8; 32]) -> ContentHash {
        let mut input = Input::of(Purpose::Body);
        input.put(digest);
        ContentHash(low(self.hash.hash(input.bytes())))
    }
}
