//! MACs in software: ISO/IEC 9797-1 algorithms 1 and 3 for links that know DES alone, AES-CMAC
//! (NIST SP 800-38B) for all others.
//!
//! The keys lie in this process and not in an HSM, so a configuration has to admit it
//! (`keys.software_mac`). DES is used for MACs of old links and for nothing else.

use aes_gcm::aes::{Aes128, Aes192, Aes256};
use cmac::{Cmac, Mac as _};
use des::cipher::consts::U8;
use des::cipher::{Array, BlockCipherDecrypt as _, BlockCipherEncrypt, KeyInit as _};
use des::{Des, TdesEde2, TdesEde3};
use iso8583::mac::{MAC_LEN, MacEngine};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

use thiserror::Error;
use zeroize::Zeroizing;

use super::key_change::KeyChange;

/// How a MAC is made from a key and the bytes that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// ISO/IEC 9797-1 algorithm 1, CBC: DES, or TDES with two or three keys.
    Cbc(MacPadding),
    /// ISO/IEC 9797-1 algorithm 3, which is ANSI X9.19: CBC with DES under the first key, the last
    /// block under both.
    Retail(MacPadding),
    /// AES-CMAC, which pads by itself.
    AesCmac,
}

impl MacAlgorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Cbc(_) => "alg1",
            Self::Retail(_) => "retail",
            Self::AesCmac => "aes-cmac",
        }
    }

    /// Bytes that a key may have, in words.
    const fn key_lengths(self) -> &'static str {
        match self {
            Self::Cbc(_) => "8, 16 or 24",
            Self::Retail(_) => "16",
            Self::AesCmac => "16, 24 or 32",
        }
    }
}

/// What fills the last block of eight bytes (ISO/IEC 9797-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacPadding {
    /// Zeros, as few as it takes; bytes that end in zeros cannot be told from shorter ones.
    Method1,
    /// One bit, then zeros: always at least one byte.
    Method2,
}

impl MacPadding {
    /// `bytes` in whole blocks, at least one.
    pub fn blocks(self, bytes: &[u8]) -> impl Iterator<Item = [u8; 8]> + '_ {
        let (whole, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        let marked = rest.iter().copied().chain([match self {
            Self::Method1 => 0,
            Self::Method2 => 0x80,
        }]);
        last.iter_mut()
            .zip(marked)
            .for_each(|(slot, byte)| *slot = byte);
        let is_needed = match self {
            Self::Method1 => !rest.is_empty() || whole.is_empty(),
            Self::Method2 => true,
        };
        whole.iter().copied().chain(is_needed.then_some(last))
    }
}

/// Bytes of a MAC; with four, zeros fill the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacLen {
    /// The first four.
    Four,
    /// All eight of DES, the first eight of AES.
    Eight,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MacKeyError {
    /// It has a wrong length.
    #[error("has {len} bytes; {algorithm} takes {expected}")]
    Length {
        /// What it is for.
        algorithm: &'static str,
        /// The lengths that exist.
        expected: &'static str,
        /// Its length.
        len: usize,
    },
    /// A part is one of the weak keys of DES, or a part is the same as the one before it, which
    /// leaves DES with one key.
    #[error("is a weak key of DES, or repeats one of its parts")]
    Weak,
}

/// One key with its algorithm. Shows nothing of the key; zeroed when dropped; not `Clone`.
pub struct SoftwareMac {
    algorithm: MacAlgorithm,
    len: MacLen,
    cipher: Box<Cipher>,
}

enum Cipher {
    Des(Des),
    Tdes2(TdesEde2),
    Tdes3(TdesEde3),
    Retail { first: Des, second: Des },
    Aes128(Cmac<Aes128>),
    Aes192(Cmac<Aes192>),
    Aes256(Cmac<Aes256>),
}

impl SoftwareMac {
    /// Takes the key up. The parity of DES keys is not looked at.
    ///
    /// # Errors
    /// [`MacKeyError`].
    pub fn new(algorithm: MacAlgorithm, len: MacLen, key: &[u8]) -> Result<Self, MacKeyError> {
        let cipher = cipher(algorithm, key).ok_or_else(|| MacKeyError::Length {
            algorithm: algorithm.name(),
            expected: algorithm.key_lengths(),
            len: key.len(),
        })?;
        if algorithm != MacAlgorithm::AesCmac && is_weak(key) {
            return Err(MacKeyError::Weak);
        }
        Ok(Self {
            algorithm,
            len,
            cipher: Box::new(cipher),
        })
    }

    /// How it makes MACs, for a key that takes its place.
    #[must_use]
    pub const fn kind(&self) -> (MacAlgorithm, MacLen) {
        (self.algorithm, self.len)
    }

    /// Tells keys and their ways of making MACs apart, and says nothing more of them than any MAC
    /// does.
    #[must_use]
    pub fn digest(&self) -> [u8; MAC_LEN] {
        self.whole(b"njia: the configured key of a direction")
    }

    fn whole(&self, covered: &[u8]) -> [u8; MAC_LEN] {
        let padding = match self.algorithm {
            MacAlgorithm::Cbc(padding) | MacAlgorithm::Retail(padding) => padding,
            MacAlgorithm::AesCmac => MacPadding::Method2,
        };
        match &*self.cipher {
            Cipher::Des(cipher) => cbc(cipher, padding.blocks(covered)).into(),
            Cipher::Tdes2(cipher) => cbc(cipher, padding.blocks(covered)).into(),
            Cipher::Tdes3(cipher) => cbc(cipher, padding.blocks(covered)).into(),
            Cipher::Retail { first, second } => {
                let mut block = cbc(first, padding.blocks(covered));
                second.decrypt_block(&mut block);
                first.encrypt_block(&mut block);
                block.into()
            }
            Cipher::Aes128(key) => leftmost(key.clone().chain_update(covered)),
            Cipher::Aes192(key) => leftmost(key.clone().chain_update(covered)),
            Cipher::Aes256(key) => leftmost(key.clone().chain_update(covered)),
        }
    }
}

impl std::fmt::Debug for SoftwareMac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoftwareMac")
            .field("algorithm", &self.algorithm)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl MacEngine for SoftwareMac {
    fn compute(&self, covered: &[u8]) -> [u8; MAC_LEN] {
        let [a, b, c, d, rest @ ..] = self.whole(covered);
        let [e, f, g, h] = match self.len {
            MacLen::Four => [0; 4],
            MacLen::Eight => rest,
        };
        [a, b, c, d, e, f, g, h]
    }

    fn verify(&self, covered: &[u8], received: &[u8; MAC_LEN]) -> bool {
        self.compute(covered).ct_eq(received).into()
    }
}

/// The MACs of one endpoint as they are configured: each direction has a key of its own. What is in
/// use stands in `EndpointKeys`.
#[derive(Debug)]
pub struct EndpointMac {
    /// Checks what comes.
    pub receive: Arc<SoftwareMac>,
    /// Makes those of what leaves.
    pub send: Arc<SoftwareMac>,
    /// Whether network messages (08xx) have one too.
    pub network: bool,
    /// How the keys are changed; `None` when they stay.
    pub change: Option<KeyChange>,
}

/// `None` for a key of a wrong length.
fn cipher(algorithm: MacAlgorithm, key: &[u8]) -> Option<Cipher> {
    match algorithm {
        MacAlgorithm::Cbc(_) => Des::new_from_slice(key)
            .map(Cipher::Des)
            .or_else(|_| TdesEde2::new_from_slice(key).map(Cipher::Tdes2))
            .or_else(|_| TdesEde3::new_from_slice(key).map(Cipher::Tdes3))
            .ok(),
        MacAlgorithm::Retail(_) => {
            let (first, second) = key.split_at_checked(8)?;
            Some(Cipher::Retail {
                first: Des::new_from_slice(first).ok()?,
                second: Des::new_from_slice(second).ok()?,
            })
        }
        MacAlgorithm::AesCmac => Cmac::new_from_slice(key)
            .map(Cipher::Aes128)
            .or_else(|_| Cmac::new_from_slice(key).map(Cipher::Aes192))
            .or_else(|_| Cmac::new_from_slice(key).map(Cipher::Aes256))
            .ok(),
    }
}

/// Whether a part of a DES key is weak or is the one before it. The lowest bit of each byte is
/// parity, which takes no part in the cipher.
fn is_weak(key: &[u8]) -> bool {
    let odd = |byte: &u8| byte & 0xFE | u8::from((byte & 0xFE).count_ones().is_multiple_of(2));
    let key: Zeroizing<Vec<u8>> = Zeroizing::new(key.iter().map(odd).collect());
    let (parts, _) = key.as_chunks::<8>();
    let is_weak = parts.iter().any(|part| des::weak_key_test(part).is_err());
    is_weak
        || parts
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a == b))
}

/// The last block of a chain that begins with zeros.
fn cbc(
    cipher: &impl BlockCipherEncrypt<BlockSize = U8>,
    blocks: impl Iterator<Item = [u8; 8]>,
) -> Array<u8, U8> {
    let mut chain = Array::from([0; 8]);
    for block in blocks {
        chain
            .iter_mut()
            .zip(block)
            .for_each(|(chained, byte)| *chained ^= byte);
        cipher.encrypt_block(&mut chain);
    }
    chain
}

/// The most significant bytes, as NIST SP 800-38B cuts a MAC.
fn leftmost(mac: impl cmac::Mac<OutputSize = des::cipher::consts::U16>) -> [u8; MAC_LEN] {
    let whole: [u8; 16] = mac.finalize().into_bytes().into();
    let [a, b, c, d, e, f, g, h, ..] = whole;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests;
