//! The seeded hash of an account.

use domain::pan::PanToken;

/// Spreads a token, and a number that tells its uses apart, over 64 bits.
///
/// A token is the output of a keyed hash: nobody outside chooses two that collide here. The seed
/// only keeps two tables from being alike.
pub(crate) fn hash(token: PanToken, apart: u16, seed: u64) -> u64 {
    let value = u128::from_le_bytes(token.0);
    let low = u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0);
    let high = u64::try_from(value >> 64).unwrap_or(0);
    finish(low ^ u64::from(apart) ^ finish(high ^ seed))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): each bit of `value` moves half of the
/// result.
const fn finish(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_use_and_seed_all_matter() {
        let one = PanToken([1; 16]);
        let mut first_half = one;
        first_half.0[0] = 2;
        let mut second_half = one;
        second_half.0[15] = 2;
        let all = [
            hash(one, 0, 0),
            hash(one, 1, 0),
            hash(one, 0, 1),
            hash(first_half, 0, 0),
            hash(second_half, 0, 0),
        ];
        for (place, hash) in all.iter().enumerate() {
            assert!(!all[..place].contains(hash), "{place}");
        }
    }
}
