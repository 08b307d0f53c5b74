//! SipHash-2-4 with 128 bits of output: a keyed hash whose value is the same in every build, for
//! keys that are stored in the journal and compared after a restart. (The hashers of the standard
//! library and of ahash promise no such thing.)
//!
//! Source: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF"; the 128-bit
//! variant and its vectors are those of the reference implementation.

/// A key, ready to hash with.
#[derive(Clone)]
pub(crate) struct SipKey {
    k0: u64,
    k1: u64,
}

impl std::fmt::Debug for SipKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SipKey(secret)")
    }
}

impl SipKey {
    /// Takes 16 bytes of secret.
    pub(crate) const fn new(key: [u8; 16]) -> Self {
        let whole = u128::from_le_bytes(key);
        Self {
            k0: low(whole),
            k1: low(whole >> 64),
        }
    }

    /// 128 bits of `bytes`.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u128 {
        let mut state = State {
            v0: self.k0 ^ 0x736f_6d65_7073_6575,
            v1: self.k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            v2: self.k0 ^ 0x6c79_6765_6e65_7261,
            v3: self.k1 ^ 0x7465_6462_7974_6573,
        };
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0_u8; 8];
        for (target, byte) in last.iter_mut().zip(tail) {
            *target = *byte;
        }
        let length = (bytes.len() as u64) << 56;
        state.absorb(u64::from_le_bytes(last) | length);
        state.v2 ^= 0xee;
        let first = state.finish();
        state.v1 ^= 0xdd;
        let second = state.finish();
        u128::from(first) | u128::from(second) << 64
    }
}

/// The low half, by truncation.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is asked for"
)]
pub(crate) const fn low(whole: u128) -> u64 {
    whole as u64
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    const fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    const fn finish(&mut self) -> u64 {
        self.round();
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_reference_implementation() {
        let key = SipKey::new(std::array::from_fn(|i| u8::try_from(i).unwrap()));
        let check = |len: u8, expected: [u8; 16]| {
            let input: Vec<u8> = (0..len).collect();
            assert_eq!(key.hash(&input).to_le_bytes(), expected, "{len} bytes");
        };
        check(
            0,
            [
                0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55,
                0x02, 0x93,
            ],
        );
        check(
            1,
            [
                0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22,
                0xfc, 0x45,
            ],
        );
        check(
            2,
            [
                0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a,
                0xff, 0xe4,
            ],
        );
    }

    #[test]
    fn length_and_key_change_the_hash() {
        let key = SipKey::new([1; 16]);
        assert_ne!(key.hash(b"\0"), key.hash(b"\0\0"));
        assert_ne!(
            key.hash(b"12345678"),
            SipKey::new([2; 16]).hash(b"12345678")
        );
    }
}
