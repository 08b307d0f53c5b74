//! How a simulated issuer behaves: shares and shapes, and the dice thrown for each message.

use std::time::Duration;

use domain::response_code::ResponseCode;

use crate::distribution::Distribution;
use crate::random::Random;

/// What an issuer does how often. Shares are of the requests it gets.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// From a request to its answer.
    pub latency: Distribution,
    /// Declined with 51, 05, 54 and others.
    pub decline: f64,
    /// Never answered; half of these are processed all the same.
    pub silent: f64,
    /// Answered after `late_by` instead of `latency`.
    pub late: f64,
    /// From a request to a late answer.
    pub late_by: Distribution,
    /// Answered twice.
    pub duplicate: f64,
    /// Answered with bytes that are no message, inside a good frame.
    pub garble: f64,
}

impl Behaviour {
    /// Approves everything after a fixed time.
    #[must_use]
    pub fn faithful(latency: Duration) -> Self {
        Self {
            latency: Distribution::fixed_time(latency),
            decline: 0.0,
            silent: 0.0,
            late: 0.0,
            late_by: Distribution::fixed_time(Duration::from_secs(4)),
            duplicate: 0.0,
            garble: 0.0,
        }
    }
}

/// How an answer is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Once.
    Once,
    /// Never; whether the request was processed.
    Silent {
        processed: bool,
    },
    Late,
    Twice,
    Garbled,
}

/// Throws dice by a seed.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    behaviour: Behaviour,
    random: Random,
}

impl Dice {
    pub(super) fn new(behaviour: Behaviour, seed: u64) -> Self {
        Self {
            behaviour,
            random: Random::stream(seed, 0x1550_E500),
        }
    }

    /// The code that a request gets if money allows.
    pub(super) fn code(&mut self) -> ResponseCode {
        if !self.random.chance(self.behaviour.decline) {
            return ResponseCode::APPROVED;
        }
        let place = crate::numeric::index(u64::from(self.random.below(DECLINES)));
        DECLINE_CODES
            .get(place)
            .and_then(|code| ResponseCode::new(*code).ok())
            .unwrap_or(ResponseCode::DO_NOT_HONOUR)
    }

    /// How the answer is delivered.
    pub(super) fn delivery(&mut self) -> Delivery {
        let Behaviour {
            silent,
            late,
            duplicate,
            garble,
            ..
        } = self.behaviour;
        let mut place = self.random.unit();
        let mut within = |share: f64| {
            let hit = place <= share && share > 0.0;
            place -= share;
            hit
        };
        if within(silent / 2.0) {
            Delivery::Silent { processed: true }
        } else if within(silent / 2.0) {
            Delivery::Silent { processed: false }
        } else if within(late) {
            Delivery::Late
        } else if within(duplicate) {
            Delivery::Twice
        } else if within(garble) {
            Delivery::Garbled
        } else {
            Delivery::Once
        }
    }

    /// Nanoseconds until the answer.
    pub(super) fn delay(&mut self, delivery: Delivery) -> u64 {
        let shape = match delivery {
            Delivery::Late => self.behaviour.late_by,
            Delivery::Once | Delivery::Silent { .. } | Delivery::Twice | Delivery::Garbled => {
                self.behaviour.latency
            }
        };
        shape.sample_nanos(&mut self.random)
    }

    /// 64 random bits.
    pub(super) const fn bits(&mut self) -> u64 {
        self.random.bits()
    }
}

/// Insufficient funds, do not honour, expired card, wrong PIN, not permitted: as often as cards see
/// them.
const DECLINE_CODES: [&[u8; 2]; 12] = [
    b"51", b"51", b"51", b"51", b"51", b"05", b"05", b"05", b"54", b"54", b"55", b"57",
];
const DECLINES: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_thrown_as_often_as_they_say() {
        let behaviour = Behaviour {
            decline: 0.2,
            silent: 0.1,
            late: 0.05,
            duplicate: 0.05,
            garble: 0.02,
            ..Behaviour::faithful(Duration::from_millis(1))
        };
        let mut dice = Dice::new(behaviour, 42);
        let mut deliveries = Vec::new();
        let mut declined = 0;
        for _ in 0..100_000 {
            deliveries.push(dice.delivery());
            declined += u32::from(!dice.code().is_approval());
        }
        let check = |delivery, percent: usize| {
            let count = deliveries.iter().filter(|one| **one == delivery).count();
            assert!(
                count.abs_diff(percent * 1_000) < 400,
                "{delivery:?}: {count}"
            );
        };
        check(Delivery::Silent { processed: true }, 5);
        check(Delivery::Silent { processed: false }, 5);
        check(Delivery::Late, 5);
        check(Delivery::Twice, 5);
        check(Delivery::Garbled, 2);
        check(Delivery::Once, 78);
        assert!(declined.abs_diff(20_000) < 800);
    }

    #[test]
    fn a_faithful_issuer_throws_no_dice() {
        let mut dice = Dice::new(Behaviour::faithful(Duration::from_millis(3)), 1);
        for _ in 0..1_000 {
            assert_eq!(dice.delivery(), Delivery::Once);
            assert_eq!(dice.code(), ResponseCode::APPROVED);
            assert_eq!(dice.delay(Delivery::Once), 3_000_000);
        }
    }
}
