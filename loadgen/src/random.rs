//! Seeded randomness: the same seed gives the same run, on every machine.

use crate::numeric::{narrow, real};

/// xoshiro256++ (Blackman and Vigna), seeded through splitmix64.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mix = seed;
        Self {
            state: std::array::from_fn(|_| {
                mix = mix.wrapping_add(0x9E37_79B9_7F4A_7C15);
                scramble(mix)
            }),
        }
    }

    /// A stream of its own for one purpose, so that a draw more in one place does not move others.
    #[must_use]
    pub fn stream(seed: u64, purpose: u64) -> Self {
        Self::new(scramble(seed ^ scramble(purpose)))
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c2, d2) = (c ^ a, d ^ b);
        self.state = [a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)];
        result
    }

    /// Uniform, above 0 and at most 1.
    pub fn unit(&mut self) -> f64 {
        real((self.bits() >> 11) + 1) / real(1 << 53)
    }

    /// Uniform below `bound`; zero for a bound of zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        let wide = u64::from(narrow(self.bits() >> 32)) * u64::from(bound);
        narrow(wide >> 32)
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() <= probability
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// The finaliser of splitmix64: every input bit moves every output bit.
#[must_use]
pub const fn scramble(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_a_stream() {
        let draw = |seed, purpose| {
            let mut random = Random::stream(seed, purpose);
            [random.bits(), random.bits(), random.bits()]
        };
        assert_eq!(draw(42, 1), draw(42, 1));
        assert_ne!(draw(42, 1), draw(43, 1));
        assert_ne!(draw(42, 1), draw(42, 2));
    }

    #[test]
    fn moments_are_those_of_the_named_distributions() {
        let mut random = Random::new(7);
        let draws = 200_000_u32;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / f64::from(draws);
        let units: Vec<f64> = (0..draws).map(|_| random.unit()).collect();
        let exponentials: Vec<f64> = (0..draws).map(|_| random.exponential()).collect();
        let normals: Vec<f64> = (0..draws).map(|_| random.normal()).collect();
        let squares: Vec<f64> = normals.iter().map(|value| value * value).collect();
        assert!((mean(&units) - 0.5).abs() < 0.005);
        assert!((mean(&exponentials) - 1.0).abs() < 0.01);
        assert!(mean(&normals).abs() < 0.01);
        assert!((mean(&squares) - 1.0).abs() < 0.02);
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let mut random = Random::new(1);
        let mut seen = [0_u32; 5];
        for _ in 0..10_000 {
            seen[random.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 1_800));
        assert_eq!(random.below(0), 0);
        assert!(!random.chance(0.0));
        assert!(random.chance(1.0));
    }
}
