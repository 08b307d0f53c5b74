//! Card data: types that mask themselves whatever prints them (security.md §3).

use core::fmt;
use core::num::NonZeroU8;

use crate::error::InvalidValue;

/// A primary account number (DE2), 8 to 19 digits.
///
/// `Debug` and `Display` show the first six and the last four digits. Not `Clone`: whoever needs
/// the digits names [`Pan::expose_digits`], which reviewers can search for.
#[derive(PartialEq, Eq)]
pub struct Pan {
    len: u8,
    digits: [u8; Self::LEN_MAX],
}

impl Pan {
    /// Digits at most.
    pub const LEN_MAX: usize = 19;
    /// Digits at least (ISO/IEC 7812-1).
    pub const LEN_MIN: usize = 8;

    /// Takes 8 to 19 ASCII digits. Luhn is a risk signal and is not checked here.
    ///
    /// # Errors
    /// A non-digit, or another length.
    pub fn new(digits: &[u8]) -> Result<Self, InvalidValue> {
        if !(Self::LEN_MIN..=Self::LEN_MAX).contains(&digits.len()) {
            return Err(InvalidValue::Length("DE2"));
        }
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(InvalidValue::Character("DE2"));
        }
        let mut pan = Self {
            len: u8::try_from(digits.len()).map_err(|_| InvalidValue::Length("DE2"))?,
            digits: [0; Self::LEN_MAX],
        };
        if let Some(target) = pan.digits.get_mut(..digits.len()) {
            target.copy_from_slice(digits);
        }
        Ok(pan)
    }

    /// The digits in the clear: for the issuer leg, the token and the route, for nothing that is
    /// written down.
    #[must_use]
    pub fn expose_digits(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).unwrap_or_default()
    }

    //= docs/rules.md#C-02
    /// The form that may be shown and stored: first six and last four digits.
    #[must_use]
    pub fn masked(&self) -> MaskedPan {
        let digits = self.expose_digits();
        let mut masked = MaskedPan {
            len: self.len,
            first: [b'*'; 6],
            last: [b'*'; 4],
        };
        let tail = digits.len().saturating_sub(4);
        if let (Some(first), Some(last)) = (digits.first_chunk::<6>(), digits.last_chunk::<4>()) {
            masked.last = *last;
            // A number so short that both ends would meet shows its end only.
            if tail >= 6 {
                masked.first = *first;
            }
        }
        masked
    }
}

impl Drop for Pan {
    fn drop(&mut self) {
        self.digits = [0; Self::LEN_MAX];
        // Keeps the store above from being dropped as dead: there is no unsafe here to make it
        // volatile.
        core::hint::black_box(&self.digits);
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.masked(), f)
    }
}

impl fmt::Display for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.masked(), f)
    }
}

/// First six and last four digits of an account number (PCI DSS 3.4.1), `*` between.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaskedPan {
    /// Digits of the whole number.
    pub len: u8,
    /// The first six digits, or stars.
    pub first: [u8; 6],
    /// The last four digits, or stars.
    pub last: [u8; 4],
}

impl fmt::Display for MaskedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.first).unwrap_or_default())?;
        for _ in 0..self.len.saturating_sub(10) {
            f.write_str("*")?;
        }
        f.write_str(core::str::from_utf8(&self.last).unwrap_or_default())
    }
}

impl fmt::Debug for MaskedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// HMAC-SHA-256 of an account number under the token key, cut to 128 bits: equal accounts have
/// equal tokens, and nobody without the key can tell which.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PanToken(pub [u8; 16]);

impl fmt::Debug for PanToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

/// Which of the operator's keys made a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenKeyId(pub NonZeroU8);

impl TokenKeyId {
    /// That of tokens from before their keys had ids.
    pub const FIRST: Self = Self(NonZeroU8::MIN);
}

impl fmt::Display for TokenKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An account number under AES-256-GCM, for the reversals that need DE2 after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SealedPan {
    /// Which data key sealed it.
    pub key_id: u32,
    /// The nonce; never used twice under one data key.
    pub nonce: [u8; 12],
    /// Length byte and digits, padded to 20 bytes, encrypted.
    pub ciphertext: [u8; 20],
    /// The authentication tag.
    pub tag: [u8; 16],
}

impl fmt::Debug for SealedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedPan({})", self.key_id)
    }
}

/// Everything about an account that may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// For comparison and velocity.
    pub token: PanToken,
    /// What `token` was made with: tokens of two keys are never of one account.
    pub token_key: TokenKeyId,
    /// For people.
    pub masked: MaskedPan,
    /// For the reversal that carries DE2.
    pub sealed: SealedPan,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    //= docs/rules.md#C-02
    #[test]
    fn a_pan_never_shows_its_middle() {
        let pan = Pan::new(b"4111111111111111").unwrap();
        assert_eq!(
            format!("{pan} {pan:?} {pan:#?}"),
            ["411111******1111"; 3].join(" ")
        );
        assert_eq!(format!("{}", Pan::new(b"12345678").unwrap()), "******5678");
    }

    #[test]
    fn a_pan_is_8_to_19_digits() {
        assert_eq!(Pan::new(b"1234567"), Err(InvalidValue::Length("DE2")));
        assert_eq!(
            Pan::new(b"12345678901234567890"),
            Err(InvalidValue::Length("DE2"))
        );
        assert_eq!(
            Pan::new(b"41111111x1111111"),
            Err(InvalidValue::Character("DE2"))
        );
        assert_eq!(
            Pan::new(b"1234567890123456789")
                .unwrap()
                .expose_digits()
                .len(),
            19
        );
    }
}
