//! What a gateway wants of a transaction's owner, and what that tells: plain values, which go
//! through the mesh.

use std::fmt;

use domain::amount::Amount;
use domain::ids::{AcquirerId, TransactionId};
use domain::message_reason::MessageReason;
use domain::pan::Pan;
use domain::time::{Instant, WallTime};

use super::signature::Nonce;
use crate::acquirer::json::problem::Slug;
use crate::acquirer::json::{Kind, Transaction};
use crate::shard::nonces::Spent;

/// An idempotency key: 1 to 64 visible ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdempotencyKey {
    /// Zeros behind its end.
    bytes: [u8; Self::LEN_MAX],
    len: u8,
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdempotencyKey")
            .field(&self.as_str())
            .finish()
    }
}

impl IdempotencyKey {
    /// Reads a header: an RFC 8941 string, or bare; both name the same key.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_ascii();
        let inner = text
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let bare = inner.unwrap_or(text);
        let is_key = (1..=Self::LEN_MAX).contains(&bare.len())
            && bare.bytes().all(|byte| byte.is_ascii_graphic())
            && !bare.contains(['"', '\\']);
        let mut bytes = [0; Self::LEN_MAX];
        bytes
            .get_mut(..bare.len())?
            .copy_from_slice(bare.as_bytes());
        let len = u8::try_from(bare.len()).ok()?;
        is_key.then_some(Self { bytes, len })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    const LEN_MAX: usize = 64;
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A new transaction, or a copy of one.
    Create(Box<NewTransaction>),
    /// Where the one of this key stands.
    ByKey(AcquirerId, IdempotencyKey),
    /// Where this one stands.
    ById {
        acquirer: AcquirerId,
        /// Of the gateway, in the configuration.
        gateway: u16,
        id: TransactionId,
        /// Until when it waits to be told; `None` when it is told at once.
        waits_until: Option<Instant>,
    },
    /// A reversal, or a copy of one.
    Reverse(Box<NewReversal>),
    /// Whether a nonce is new, which it is once.
    Spend(NewNonce),
}

impl Ask {
    /// Whether it is counted as read: a question is none, nor what a handler asks once more.
    pub(crate) fn is_message(&self) -> bool {
        match self {
            Self::Create(_) => true,
            Self::Reverse(new) => !new.is_again,
            Self::ByKey(..) | Self::ById { .. } | Self::Spend(_) => false,
        }
    }

    /// Whether something is remembered of it that was not known before.
    pub(crate) fn may_begin(&self) -> bool {
        match self {
            Self::Create(_) => true,
            Self::Reverse(new) => matches!(new.original, Original::Key(_)),
            Self::ByKey(..) | Self::ById { .. } | Self::Spend(_) => false,
        }
    }
}

/// A nonce of a signature that is good.
#[derive(Debug)]
pub(crate) struct NewNonce {
    pub(crate) acquirer: AcquirerId,
    /// In the configuration.
    pub(crate) gateway: u16,
    pub(crate) nonce: Nonce,
    /// When it was made; seconds since 1970.
    pub(crate) timestamp: u64,
}

/// What is to be reversed.
#[derive(Clone, Debug)]
pub(crate) enum Original {
    /// By its id.
    Id(TransactionId),
    /// By its key: its gateway may never have been told the id, and it may never have come.
    Key(IdempotencyKey),
}

/// A reversal.
#[derive(Clone, Debug)]
pub(crate) struct NewReversal {
    pub(crate) acquirer: AcquirerId,
    /// In the configuration.
    pub(crate) gateway: u16,
    pub(crate) original: Original,
    /// Its own.
    pub(crate) key: IdempotencyKey,
    /// SHA-256 of what its fingerprint covers.
    pub(crate) digest: [u8; 32],
    /// What of the original is taken back; `None` for all of it.
    pub(crate) amount: Option<Amount>,
    pub(crate) reason: Option<MessageReason>,
    /// When the original was sent for the first time.
    pub(crate) sent: Option<WallTime>,
    /// Until when it waits for the issuer; `None` when it is told as soon as it is durable.
    pub(crate) waits_until: Option<Instant>,
    /// Whether its handler has asked before, for the same message.
    pub(crate) is_again: bool,
}

/// A new transaction.
#[derive(Debug)]
pub(crate) struct NewTransaction {
    pub(crate) acquirer: AcquirerId,
    /// In the configuration.
    pub(crate) gateway: u16,
    pub(crate) key: IdempotencyKey,
    /// SHA-256 of what its fingerprint covers.
    pub(crate) digest: [u8; 32],
    pub(crate) kind: Kind,
    pub(crate) amount: Amount,
    pub(crate) account: Pan,
    /// Where its end is told; of a copy it changes nothing.
    pub(crate) callback: Option<Box<str>>,
    /// Told as soon as its intent is durable.
    pub(crate) is_async: bool,
    /// Since when it waits to be taken.
    pub(crate) queued: Instant,
    /// Until when it waits to be told.
    pub(crate) waits_until: Instant,
}

/// What is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// Where it stands.
    Transaction {
        transaction: Box<Transaction>,
        /// The key had come before.
        is_copy: bool,
    },
    /// It is known and nothing of it is durable yet.
    Reserved,
    /// The key had come before with another body.
    Reused(TransactionId),
    /// What is asked of this transaction does not go with where it stands.
    Conflict {
        id: TransactionId,
        detail: &'static str,
    },
    /// What has this key was reversed before it came: it is not executed.
    Buried,
    /// It is not answered as it was asked: look where it stands.
    Elsewhere,
    /// What became of a nonce.
    Nonce(Spent),
    /// It is refused, and nothing is remembered of it.
    Refused(Slug),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_in_quotes_and_without() {
        let bare = IdempotencyKey::read(b"abc-1").unwrap();
        assert_eq!(IdempotencyKey::read(b"\"abc-1\"").unwrap(), bare);
        assert_eq!(IdempotencyKey::read(b" abc-1 ").unwrap(), bare);
        assert!(IdempotencyKey::read(&[b'x'; 64]).is_some());
        let too_long = [b'x'; 65];
        for bad in [
            &b""[..],
            b"\"\"",
            b"a b",
            b"\"a",
            b"a\"b",
            b"a\\b",
            b"\xc3\xa9",
            &too_long,
        ] {
            assert!(
                IdempotencyKey::read(bad).is_none(),
                "{}",
                bad.escape_ascii()
            );
        }
    }
}
