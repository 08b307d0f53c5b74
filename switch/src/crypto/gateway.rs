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

/// The name of a reversal of one (gateway, key). The engine remembers half of it with the original:
/// one part of that is of the key, the other of the body, so that another body under a key that has
/// moved money is told from a copy, across restarts and without a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReversalName(u128);

impl ReversalName {
    pub(crate) const fn key(self) -> DuplicateKey {
        DuplicateKey(self.0)
    }

    /// Whether `known`, the half that is remembered, is of the same key; of no reversal it is zero.
    pub(crate) const fn is_of_same_key(self, known: u64) -> bool {
        low(self.0) >> 32 == known >> 32
    }

    /// Whether it is of the same body too.
    pub(crate) const fn is_same(self, known: u64) -> bool {
        low(self.0) == known
    }
}

impl Keyring {
    /// Names a reversal by its key and the SHA-256 of what its fingerprint covers.
    #[must_use]
    pub(crate) fn reversal_name(
        &self,
        acquirer: AcquirerId,
        key: &[u8],
        digest: &[u8; 32],
    ) -> ReversalName {
        let mut input = Input::of(Purpose::Reversal);
        input.put(&acquirer.0.to_be_bytes());
        input.put(key);
        let of_key = self.hash.hash(input.bytes());
        let of_body = u128::from(self.fingerprint(digest).0 & 0xFFFF_FFFF);
        // Half of it is never zero, which stands for none.
        ReversalName(of_key & !0xFFFF_FFFF | of_body | 1 << 63)
    }

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

    /// Names a nonce of 16 to 64 bytes, and its owner.
    #[must_use]
    pub(crate) fn nonce_name(&self, acquirer: AcquirerId, nonce: &[u8]) -> (Slot, u128) {
        let mut input = Input::of(Purpose::Nonce);
        input.put(&acquirer.0.to_be_bytes());
        input.put(nonce);
        let hash = self.hash.hash(input.bytes());
        (Slot::from_hash(low(hash >> 64)), hash)
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
