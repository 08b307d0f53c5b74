//! Tokens of account numbers: under the token key in force, and under those before it.
//!
//! An account has one token as long as a start runs, so that whatever is compared by it agrees:
//! copies, reversals, velocity, what an issuer is owed. What a journal holds under another key is
//! given that token while it is read. It is that of the key in force, but for an account that a
//! list of the configuration names by a token of an earlier key: that keeps the one that is listed.

use std::collections::BTreeSet;

use domain::pan::{Pan, PanToken, TokenKeyId};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{CryptoError, hmac};
use crate::config::Keys;

/// The keys of tokens.
pub(super) struct Tokens {
    in_force: TokenKey,
    before: Vec<TokenKey>,
    /// What lists name; empty where all tokens are of one key.
    listed: BTreeSet<PanToken>,
}

struct TokenKey {
    id: TokenKeyId,
    mac: Hmac<Sha256>,
}

/// A token and the key that it was made with.
pub(super) type Made = (PanToken, TokenKeyId);

impl Tokens {
    pub(super) fn new(keys: &Keys) -> Result<Self, CryptoError> {
        let key = |id, key: &[u8]| hmac(key).map(|mac| TokenKey { id, mac });
        let before = keys.token_keys_old.iter();
        let before = before.map(|(id, secret)| key(*id, secret.expose()));
        Ok(Self {
            in_force: key(keys.token_key_id, keys.token_key.expose())?,
            before: before.collect::<Result<_, CryptoError>>()?,
            listed: BTreeSet::new(),
        })
    }

    pub(super) fn keep_listed(&mut self, tokens: impl Iterator<Item = PanToken>) {
        if self.is_rotating() {
            self.listed.extend(tokens);
        }
    }

    pub(super) const fn is_rotating(&self) -> bool {
        !self.before.is_empty()
    }

    /// The token by which the account is known.
    pub(super) fn of(&self, pan: &Pan) -> Made {
        let listed = if self.listed.is_empty() {
            None
        } else {
            let mut made = self.before.iter().map(|key| key.make(pan));
            made.find(|(token, _)| self.listed.contains(token))
        };
        listed.unwrap_or_else(|| self.in_force.make(pan))
    }

    /// Its tokens under all keys.
    pub(super) fn all(&self, pan: &Pan) -> impl Iterator<Item = PanToken> {
        let keys = std::iter::once(&self.in_force).chain(&self.before);
        keys.map(|key| key.make(pan).0)
    }

    /// Whether an account with a token of this key may be known by another.
    ///
    /// # Errors
    /// [`CryptoError::UnknownToken`].
    pub(super) fn may_differ(&self, id: TokenKeyId) -> Result<bool, CryptoError> {
        let is_known = |key: &TokenKey| key.id == id;
        if id == self.in_force.id {
            return Ok(!self.listed.is_empty());
        }
        match self.before.iter().any(is_known) {
            true => Ok(true),
            false => Err(CryptoError::UnknownToken(id)),
        }
    }
}

impl TokenKey {
    fn make(&self, pan: &Pan) -> Made {
        let mut mac = self.mac.clone();
        mac.update(pan.expose_digits());
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut token = [0_u8; 16];
        token
            .iter_mut()
            .zip(full)
            .for_each(|(target, byte)| *target = byte);
        (PanToken(token), self.id)
    }
}
