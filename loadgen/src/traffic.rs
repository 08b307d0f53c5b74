//! Draws the messages of one generator thread from the scenario.

use std::sync::Arc;

use domain::amount::Amount;
use domain::time::{WallTime, digits_of};
use iso8583::Mti;

use crate::calendar::Calendar;
use crate::message::{Draft, Echo, Original};
use crate::numeric::whole;
use crate::random::Random;
use crate::scenario::{FollowUp, Item, MessageKind, Reversals, Scenario, weighted};
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
#[derive(Clone, Debug)]
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
        /// What stays of the amount; `None` reverses all of it.
        stays: Option<[u8; 12]>,
    },
    /// Its completion, if it is approved.
    Completion {
        /// Nanoseconds after the original was due.
        after: u64,
        /// All of it but its times and what the original's answer says.
        draft: Box<Draft>,
        /// What follows it.
        follow_up: Option<Box<Self>>,
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
            local: stamp.local,
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
            authorisation: item
                .message
                .is_advice()
                .then(|| digits_of(random.bits() >> 32)),
            completes: None,
        };
        let follow_up = follow_up(item, &draft, terminal, random);
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

fn follow_up(
    item: &Item,
    draft: &Draft,
    terminal: &mut Terminal,
    random: &mut Random,
) -> Option<Planned> {
    let amount = draft.echo.amount;
    copy_or_reversal((&item.repeat, &item.reverse), amount, terminal, random).or_else(|| {
        let complete = &item.complete;
        if !complete.follow.happens(random) {
            return None;
        }
        let after = complete.follow.after.sample_nanos(random);
        let stan = digits_of(u64::from(terminal.take_stan()));
        let mti = if random.chance(complete.request) {
            Mti::FINANCIAL_COMPLETION
        } else {
            Mti::FINANCIAL_ADVICE
        };
        let amount = share_of(draft.echo.amount, complete.amount.sample(random));
        let follows = (&complete.repeat, &complete.reverse);
        let follow_up = copy_or_reversal(follows, amount, terminal, random).map(Box::new);
        let draft = Box::new(Draft {
            mti,
            echo: Echo {
                amount,
                stan,
                ..draft.echo
            },
            chip: None,
            track2: false,
            completes: Some(Original::of(draft.mti, &draft.echo)),
            ..draft.clone()
        });
        Some(Planned::Completion {
            after,
            draft,
            follow_up,
        })
    })
}

fn copy_or_reversal(
    (repeat, reverse): (&FollowUp, &Reversals),
    amount: [u8; 12],
    terminal: &mut Terminal,
    random: &mut Random,
) -> Option<Planned> {
    if repeat.happens(random) {
        let after = repeat.after.sample_nanos(random);
        return Some(Planned::Repeat { after });
    }
    reverse.follow.happens(random).then(|| Planned::Reversal {
        after: reverse.follow.after.sample_nanos(random),
        stan: digits_of(u64::from(terminal.take_stan())),
        stays: random
            .chance(reverse.partial)
            .then(|| share_of(amount, 0.1 + 0.8 * random.unit()))
            .filter(|stays| *stays != amount),
    })
}

/// A share of an amount, at least one minor unit.
fn share_of(amount: [u8; 12], share: f64) -> [u8; 12] {
    let minor = domain::time::decimal("DE4", &amount).unwrap_or(0);
    digits_of(whole(crate::numeric::real(minor) * share).clamp(1, AMOUNT_MAX))
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
    if item.message == MessageKind::Balance {
        return Amount::new(0, currency).ok();
    }
    let minor = whole(item.amount.sample(random)).clamp(1, AMOUNT_MAX);
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
        MessageKind::Purchase
        | MessageKind::Authorisation
        | MessageKind::Balance
        | MessageKind::Advice
        | MessageKind::AuthorisationAdvice => category,
    }
}

/// Minor units; so that twice as much still has a place in DE4.
const AMOUNT_MAX: u64 = 99_999_999_999;

#[cfg(test)]
mod tests {
    use super::*;
    use iso8583::mti::Function;
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
    fn the_mix_draws_completions_below_what_they_complete_and_reversals_in_part() {
        let scenario = Arc::new(Scenario::mixed().unwrap());
        let mut traffic = Traffic::new(scenario, 0, 1, 42);
        let drawn = draw(&mut traffic, 20_000);
        let (mut advices, mut asks, mut completions, mut parts) = (0, 0, 0, 0);
        let mut seen = HashSet::new();
        for one in &drawn {
            let echo = &one.draft.echo;
            assert!(seen.insert((echo.terminal, echo.stan)));
            assert_eq!(
                one.draft.authorisation.is_some(),
                one.draft.mti.function() == Function::Advice
            );
            match &one.follow_up {
                Some(Planned::Completion { draft, .. }) => {
                    completions += 1;
                    asks += u32::from(draft.mti == Mti::FINANCIAL_COMPLETION);
                    assert!(draft.echo.amount <= echo.amount && draft.echo.amount > [b'0'; 12]);
                    assert_eq!(draft.completes.unwrap().stan, echo.stan);
                    assert!(seen.insert((echo.terminal, draft.echo.stan)));
                }
                Some(Planned::Reversal { stays, stan, .. }) => {
                    parts += u32::from(stays.is_some_and(|stays| stays < echo.amount));
                    assert!(seen.insert((echo.terminal, *stan)));
                }
                Some(Planned::Repeat { .. }) | None => {}
            }
            advices += u32::from(one.draft.mti.function() == Function::Advice);
        }
        assert!(completions > 2_500 && advices > 1_800 && parts > 400);
        assert!(asks * 3 < completions && asks > 300);
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
