//! Draws the messages of one generator thread from the scenario.

use std::sync::Arc;

use domain::amount::Amount;
use domain::time::{WallTime, digits_of};

use crate::calendar::Calendar;
use crate::message::{Draft, Echo};
use crate::numeric::whole;
use crate::random::Random;
use crate::scenario::{Item, MessageKind, Scenario, weighted};
use crate::terminals::{Terminal, Terminals};

/// The messages of one generator thread: the same seed draws the same ones in the same order.
#[derive(Debug)]
pub struct Traffic {
    scenario: Arc<Scenario>,
    weights: Vec<f64>,
    terminals: Terminals,
    random: Random,
    calendar: Calendar,
}

/// A message, and what is to follow it.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Place of its item in the scenario.
    pub item: usize,
    /// The message.
    pub draft: Draft,
    /// What follows.
    pub follow_up: Option<Planned>,
}

/// A message that is to follow another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// The same bytes once more.
    Repeat {
        /// Nanoseconds after the original was due.
        after: u64,
    },
    /// Its reversal.
    Reversal {
        /// Nanoseconds after the original was due.
        after: u64,
        /// DE11 of the reversal.
        stan: [u8; 6],
    },
}

impl Traffic {
    /// The traffic of one thread out of `threads`.
    #[must_use]
    pub fn new(scenario: Arc<Scenario>, thread: u32, threads: u32, seed: u64) -> Self {
        Self {
            weights: scenario.items.iter().map(|item| item.weight).collect(),
            terminals: Terminals::new(&scenario.terminals, thread, threads, seed),
            random: Random::stream(seed, 0x7AFF_1C00 ^ u64::from(thread)),
            calendar: Calendar::new(),
            scenario,
        }
    }

    /// Draws the next message; `None` when the thread has no terminal or the scenario no item.
    pub fn draw(&mut self, wall: WallTime) -> Option<Drawn> {
        let place = weighted(self.weights.iter(), &mut self.random);
        let item = self.scenario.items.get(place)?;
        let institution = self.terminals.institution;
        let terminal = self.terminals.pick(&mut self.random)?;
        let stamp = *self.calendar.stamp(wall);
        let random = &mut self.random;
        let amount = amount(item, random)?;
        let stan = digits_of(u64::from(terminal.take_stan()));
        let echo = Echo {
            card: item.cards.pick(random),
            processing_code: *item.message.processing_code(),
            amount: amount.digits(),
            transmitted: stamp.transmitted,
            stan,
            local_time: stamp.local_time,
            local_date: stamp.local_date,
            institution,
            rrn: reference(stamp.reference, stan),
            terminal: terminal.id,
            merchant: terminal.merchant,
            currency: amount.currency().digits(),
        };
        let draft = Draft {
            mti: item.message.mti(),
            echo,
            category: category(item.message, terminal.category),
            place: terminal.place,
            chip: random.chance(item.chip).then(|| random.bits()),
            track2: random.chance(item.track2),
        };
        let follow_up = follow_up(item, terminal, random);
        Some(Drawn {
            item: place,
            draft,
            follow_up,
        })
    }

    /// The present time fields, for a message that is not drawn.
    pub fn stamp(&mut self, wall: WallTime) -> crate::calendar::Stamp {
        *self.calendar.stamp(wall)
    }
}

fn follow_up(item: &Item, terminal: &mut Terminal, random: &mut Random) -> Option<Planned> {
    if random.chance(item.repeat.share) {
        let after = item.repeat.after.sample_nanos(random);
        return Some(Planned::Repeat { after });
    }
    random
        .chance(item.reverse.share)
        .then(|| Planned::Reversal {
            after: item.reverse.after.sample_nanos(random),
            stan: digits_of(u64::from(terminal.take_stan())),
        })
}

/// DE37: the hour, then the STAN.
fn reference(hour: [u8; 6], stan: [u8; 6]) -> [u8; 12] {
    let mut reference = [b'0'; 12];
    for (slot, digit) in reference.iter_mut().zip(hour.iter().chain(&stan)) {
        *slot = *digit;
    }
    reference
}

/// Amounts that people pay end in round numbers more often than not; zero is never asked for.
fn amount(item: &Item, random: &mut Random) -> Option<Amount> {
    let place = weighted(item.currencies.iter().map(|(_, weight)| weight), random);
    let currency = item
        .currencies
        .get(place)
        .map_or(domain::currency::Currency::KES, |(currency, _)| *currency);
    let minor = whole(item.amount.sample(random)).clamp(1, 99_999_999_999);
    let minor = match (currency.exponent(), random.below(4)) {
        (0, _) => minor.div_ceil(50) * 50, // whole units only
        (_, 0) => minor,
        _ => minor.div_ceil(500) * 500,
    };
    Amount::new(minor, currency).ok()
}

/// Cash comes out of machines.
const fn category(message: MessageKind, category: [u8; 4]) -> [u8; 4] {
    match message {
        MessageKind::Cash => *b"6011",
        MessageKind::Purchase | MessageKind::Authorisation => category,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn traffic(thread: u32, seed: u64) -> Traffic {
        Traffic::new(Arc::new(Scenario::built_in().unwrap()), thread, 2, seed)
    }

    fn draw(traffic: &mut Traffic, count: u32) -> Vec<Drawn> {
        let wall = WallTime::from_unix_millis(1_767_225_600_000);
        (0..count).map(|_| traffic.draw(wall).unwrap()).collect()
    }

    #[test]
    fn a_seed_draws_the_same_messages_and_another_one_others() {
        let bytes = |seed| {
            let drawn = draw(&mut traffic(0, seed), 100);
            drawn
                .iter()
                .map(|one| format!("{one:?}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(bytes(42), bytes(42));
        assert_ne!(bytes(42), bytes(43));
    }

    #[test]
    fn no_two_messages_of_all_threads_share_terminal_and_stan() {
        let mut seen = HashSet::new();
        for thread in 0..2 {
            for one in draw(&mut traffic(thread, 42), 20_000) {
                let echo = &one.draft.echo;
                assert!(seen.insert((echo.terminal, echo.stan)));
                if let Some(Planned::Reversal { stan, .. }) = one.follow_up {
                    assert!(seen.insert((echo.terminal, stan)));
                }
                assert!(!echo.amount.iter().all(|digit| *digit == b'0'));
            }
        }
    }

    #[test]
    fn one_in_a_hundred_is_repeated_and_one_reversed() {
        let drawn = draw(&mut traffic(1, 7), 50_000);
        let repeats = drawn
            .iter()
            .filter(|one| matches!(one.follow_up, Some(Planned::Repeat { .. })))
            .count();
        let reversals = drawn
            .iter()
            .filter(|one| matches!(one.follow_up, Some(Planned::Reversal { .. })))
            .count();
        assert!((400..600).contains(&repeats), "{repeats}");
        assert!((400..600).contains(&reversals), "{reversals}");
    }
}
