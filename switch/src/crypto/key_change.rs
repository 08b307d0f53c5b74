//! A MAC key as the other side sends it: encrypted under a key that both have, the KEK, and with a
//! check value. It is verified before anything of it is used.
//!
//! The parts of a DES key are encrypted one by one with TDES, its check value is the beginning of a
//! block of zeros encrypted under it. An AES key is encrypted block by block, its check value is
//! the beginning of the CMAC of a block of zeros (ANSI X9.24-1). Key blocks (TR-31) are not read.

use std::sync::Arc;
use std::time::Duration;

use aes_gcm::aes::{Aes128, Aes192, Aes256};
use cmac::{Cmac, Mac as _};
use des::cipher::consts::{U8, U16};
use des::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt as _, KeyInit as _};
use des::{Des, TdesEde2, TdesEde3};
use iso8583::MessageRef;
use persistence::key_file::WrappedMacKey;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use transaction::network::KeyPolicy;
use zeroize::{Zeroize as _, Zeroizing};

use super::mac::{MacAlgorithm, MacLen, SoftwareMac};

/// How the keys of one endpoint are changed.
#[derive(Debug)]
pub struct KeyChange {
    /// What the new key is encrypted under.
    pub kek: Kek,
    /// The field with the encrypted key.
    pub key_field: u8,
    /// The field with the check value; the same one has it behind the key.
    pub check_field: u8,
    /// Bytes of the check value, 3 to 8.
    pub check_len: usize,
    /// Which direction gets the key.
    pub scope: KeyScope,
    /// How long the key before it still checks.
    pub overlap: Duration,
    /// Whether to ask for keys; only of issuers.
    pub ask: Option<KeyPolicy>,
}

/// Which direction gets a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// One key for both.
    Both,
    /// That of what comes.
    Receive,
    /// That of what leaves.
    Send,
}

/// A key that was verified.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The key.
    pub key: Arc<SoftwareMac>,
    /// As it came, to be stored.
    pub stored: WrappedMacKey,
    /// Which direction gets it.
    pub scope: KeyScope,
}

/// Why a key is not taken. Says nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyRefused {
    /// The field with the key is missing, or has another length.
    #[error("field {0} does not hold a key of the algorithm with its check value")]
    Format(u8),
    /// The check value is not that of the key.
    #[error("the check value is wrong")]
    Check,
    /// The key cannot be used: it is weak.
    #[error("the key is weak")]
    Weak,
}

/// A key that encrypts keys. Shows nothing of itself; zeroed when dropped; not `Clone`.
pub struct Kek(Box<Cipher>);

enum Cipher {
    Tdes2(TdesEde2),
    Tdes3(TdesEde3),
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
}

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kek(set)")
    }
}

impl Kek {
    /// For keys of this algorithm: TDES of 16 or 24 bytes for those of DES, AES of 16, 24 or 32 for
    /// those of AES. `None` for another length.
    #[must_use]
    pub fn new(algorithm: MacAlgorithm, key: &[u8]) -> Option<Self> {
        let cipher = match algorithm {
            MacAlgorithm::Cbc(_) | MacAlgorithm::Retail(_) => TdesEde2::new_from_slice(key)
                .map(Cipher::Tdes2)
                .or_else(|_| TdesEde3::new_from_slice(key).map(Cipher::Tdes3)),
            MacAlgorithm::AesCmac => Aes128::new_from_slice(key)
                .map(Cipher::Aes128)
                .or_else(|_| Aes192::new_from_slice(key).map(Cipher::Aes192))
                .or_else(|_| Aes256::new_from_slice(key).map(Cipher::Aes256)),
        };
        Some(Self(Box::new(cipher.ok()?)))
    }

    fn decrypt(&self, key: &mut [u8]) -> Option<()> {
        match &*self.0 {
            Cipher::Tdes2(cipher) => blocks_of_8(cipher, key),
            Cipher::Tdes3(cipher) => blocks_of_8(cipher, key),
            Cipher::Aes128(cipher) => blocks_of_16(cipher, key),
            Cipher::Aes192(cipher) => blocks_of_16(cipher, key),
            Cipher::Aes256(cipher) => blocks_of_16(cipher, key),
        }
    }
}

/// `None` when it is not made of whole blocks.
fn blocks_of_8(cipher: &impl BlockCipherDecrypt<BlockSize = U8>, key: &mut [u8]) -> Option<()> {
    let (blocks, []) = key.as_chunks_mut::<8>() else {
        return None;
    };
    for block in blocks {
        let mut one = Array::from(*block);
        cipher.decrypt_block(&mut one);
        block.copy_from_slice(&one);
        one.zeroize();
    }
    Some(())
}

fn blocks_of_16(cipher: &impl BlockCipherDecrypt<BlockSize = U16>, key: &mut [u8]) -> Option<()> {
    let (blocks, []) = key.as_chunks_mut::<16>() else {
        return None;
    };
    for block in blocks {
        let mut one = Array::from(*block);
        cipher.decrypt_block(&mut one);
        block.copy_from_slice(&one);
        one.zeroize();
    }
    Some(())
}

impl KeyChange {
    /// Whether a message brings a key; one without asks for one.
    #[must_use]
    pub fn is_offered(&self, message: MessageRef<'_>) -> bool {
        message.present().contains(self.key_field)
    }

    /// Takes the key out of a message and verifies it. It takes the place of one that makes MACs in
    /// the same way.
    ///
    /// # Errors
    /// [`KeyRefused`]; nothing has changed.
    pub fn open(
        &self,
        message: MessageRef<'_>,
        kind: (MacAlgorithm, MacLen),
    ) -> Result<NewKey, KeyRefused> {
        let format = KeyRefused::Format(self.key_field);
        let (algorithm, _) = kind;
        let is_beside = self.check_field == self.key_field;
        let behind = if is_beside { self.check_len } else { 0 };
        // The shortest that fits: nothing but fill stands behind it.
        let found = key_lengths(algorithm).iter().find_map(|key_len| {
            let bytes = taken(message, self.key_field, key_len + behind)?;
            Some((*key_len, bytes))
        });
        let (key_len, bytes) = found.ok_or(format)?;
        let (wrapped, check) = bytes.split_at(key_len);
        let apart;
        let check = if is_beside {
            check
        } else {
            let bytes = taken(message, self.check_field, self.check_len);
            apart = bytes.ok_or(KeyRefused::Format(self.check_field))?;
            &*apart
        };
        let stored = WrappedMacKey {
            wrapped: wrapped.into(),
            check: check.into(),
        };
        Ok(NewKey {
            key: Arc::new(self.reopen(&stored, kind)?),
            scope: self.scope,
            stored,
        })
    }

    /// Decrypts and verifies a key that came, now or before a restart.
    ///
    /// # Errors
    /// [`KeyRefused`].
    pub fn reopen(
        &self,
        stored: &WrappedMacKey,
        (algorithm, len): (MacAlgorithm, MacLen),
    ) -> Result<SoftwareMac, KeyRefused> {
        let format = KeyRefused::Format(self.key_field);
        if !key_lengths(algorithm).contains(&stored.wrapped.len()) {
            return Err(format);
        }
        let mut key = Zeroizing::new(stored.wrapped.to_vec());
        self.kek.decrypt(&mut key).ok_or(format)?;
        let expected = check_value(algorithm, &key).ok_or(format)?;
        let expected = expected.get(..stored.check.len()).unwrap_or_default();
        if !bool::from(expected.ct_eq(&stored.check)) {
            return Err(KeyRefused::Check);
        }
        SoftwareMac::new(algorithm, len, &key).map_err(|_| KeyRefused::Weak)
    }
}

/// Bytes that a key of an algorithm may have, ascending. Of AES 24 bytes are no whole blocks.
const fn key_lengths(algorithm: MacAlgorithm) -> &'static [usize] {
    match algorithm {
        MacAlgorithm::Cbc(_) => &[8, 16, 24],
        MacAlgorithm::Retail(_) => &[16],
        MacAlgorithm::AesCmac => &[16, 32],
    }
}

/// A field that holds `len` bytes, as they are or in hexadecimal digits; zeros or spaces may fill
/// it. `None` for anything else.
fn taken(message: MessageRef<'_>, field: u8, len: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut scratch = Zeroizing::new([0; FIELD_LEN_MAX]);
    let value = message.decode(field, &mut *scratch)?;
    let is_fill = |rest: &[u8]| rest.iter().all(|byte| matches!(byte, 0 | b' '));
    let digits = value.split_at_checked(len.checked_mul(2)?);
    let digits =
        digits.filter(|(digits, rest)| is_fill(rest) && digits.iter().all(u8::is_ascii_hexdigit));
    if let Some((digits, _)) = digits {
        let mut bytes = Zeroizing::new(Vec::with_capacity(len));
        for pair in digits.as_chunks::<2>().0 {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            bytes.push(u8::try_from(high? << 4 | low?).ok()?);
        }
        return Some(bytes);
    }
    let (bytes, rest) = value.split_at_checked(len)?;
    is_fill(rest).then(|| Zeroizing::new(bytes.to_vec()))
}

/// The check value of a key, of which the first bytes are sent.
fn check_value(algorithm: MacAlgorithm, key: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        MacAlgorithm::Cbc(_) | MacAlgorithm::Retail(_) => {
            let mut block = Array::<u8, U8>::default();
            if let Ok(cipher) = Des::new_from_slice(key) {
                cipher.encrypt_block(&mut block);
            } else if let Ok(cipher) = TdesEde2::new_from_slice(key) {
                cipher.encrypt_block(&mut block);
            } else {
                TdesEde3::new_from_slice(key)
                    .ok()?
                    .encrypt_block(&mut block);
            }
            Some(block.to_vec())
        }
        MacAlgorithm::AesCmac => {
            let zeros = [0; 16];
            let mac = if let Ok(cmac) = Cmac::<Aes128>::new_from_slice(key) {
                cmac.chain_update(zeros).finalize().into_bytes()
            } else {
                let cmac = Cmac::<Aes256>::new_from_slice(key).ok()?;
                cmac.chain_update(zeros).finalize().into_bytes()
            };
            Some(mac.to_vec())
        }
    }
}

/// The longest of the fields in which a key may stand.
const FIELD_LEN_MAX: usize = 999;

#[cfg(test)]
mod tests;
