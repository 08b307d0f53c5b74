//! The one source of chance in a run: SplitMix64.

/// A source; what it yields follows from its seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A source of its own for each seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5157_0A1C)
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is above zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// From `low` to below `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }

    /// As [`Random::permille`], but what cannot happen draws nothing: a world without it is the
    /// same as one that never knew of it.
    pub fn happens(&mut self, chance: u64) -> bool {
        chance > 0 && self.permille(chance)
    }

    /// Whether what happens `chance` times in a thousand happens.
    pub fn permille(&mut self, chance: u64) -> bool {
        self.below(1000) < chance
    }
}
