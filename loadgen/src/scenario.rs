//! The mix of messages as data: what is asked, how often, with which cards and amounts.

mod raw;

use anyhow::{Context, Result};
use domain::currency::Currency;
use iso8583::Mti;

use crate::cards::CardSet;
use crate::distribution::Distribution;
use crate::random::Random;
use crate::terminals::TerminalPlan;
use crate::threshold::Threshold;

/// Everything that a run sends.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The messages and their weights.
    pub items: Vec<Item>,
    /// Where they come from.
    pub terminals: TerminalPlan,
    /// What the scenario itself expects; judged beside the thresholds of the command line.
    pub expectations: Vec<Threshold>,
}

/// One kind of message.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name in reports and thresholds.
    pub name: String,
    /// How often it is drawn, relative to the others.
    pub weight: f64,
    /// What it asks.
    pub message: MessageKind,
    /// Minor units.
    pub amount: Distribution,
    /// Currencies with their weights.
    pub currencies: Vec<(Currency, f64)>,
    /// Whose cards.
    pub cards: CardSet,
    /// Share read from the chip: DE55 is present.
    pub chip: f64,
    /// Share that carries track 2 (DE35).
    pub track2: f64,
    /// Reversed by the acquirer later.
    pub reverse: FollowUp,
    /// Sent a second time later.
    pub repeat: FollowUp,
}

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// 0200, goods and services.
    Purchase,
    /// 0100, goods and services.
    Authorisation,
    /// 0200, cash.
    Cash,
}

impl MessageKind {
    /// The message type.
    #[must_use]
    pub const fn mti(self) -> Mti {
        match self {
            Self::Purchase | Self::Cash => Mti::FINANCIAL_REQUEST,
            Self::Authorisation => Mti::AUTHORISATION_REQUEST,
        }
    }

    /// DE3.
    #[must_use]
    pub const fn processing_code(self) -> &'static [u8; 6] {
        match self {
            Self::Purchase | Self::Authorisation => b"000000",
            Self::Cash => b"010000",
        }
    }
}

/// A message that follows another one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FollowUp {
    /// The share of messages that it follows.
    pub share: f64,
    /// How long after its original was due, in nanoseconds.
    pub after: Distribution,
}

impl FollowUp {
    /// Follows nothing.
    pub const NEVER: Self = Self {
        share: 0.0,
        after: Distribution::Fixed(0.0),
    };
}

impl Scenario {
    /// The built-in mix.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn built_in() -> Result<Self> {
        Self::parse(BUILT_IN)
    }

    /// Reads a scenario; unknown keys are refused.
    ///
    /// # Errors
    /// Not TOML, an unknown key, or a value out of its bounds.
    pub fn parse(text: &str) -> Result<Self> {
        let raw: raw::RawScenario = toml::from_str(text).context("the scenario cannot be read")?;
        raw.check()
    }

    /// The TOML of the built-in mix.
    #[must_use]
    pub const fn built_in_text() -> &'static str {
        BUILT_IN
    }

    /// Names of what is reported: the items, then repeats and reversals.
    #[must_use]
    pub fn report_names(&self) -> Vec<String> {
        let items = self.items.iter().map(|item| item.name.clone());
        items
            .chain(["repeat".to_owned(), "reversal".to_owned()])
            .collect()
    }
}

/// Draws the place of an element from weights.
pub fn weighted<'a>(weights: impl Iterator<Item = &'a f64> + Clone, random: &mut Random) -> usize {
    let total: f64 = weights.clone().sum();
    let mut rest = total * random.unit();
    let mut last = 0;
    for (place, weight) in weights.enumerate() {
        last = place;
        rest -= weight;
        if rest <= 0.0 {
            break;
        }
    }
    last
}

const BUILT_IN: &str = include_str!("scenario/built_in.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_scenario_is_what_the_manual_says() {
        let scenario = Scenario::built_in().unwrap();
        assert!(scenario.items.len() >= 3);
        assert!(scenario.terminals.count >= 2_000);
        let kinds: Vec<MessageKind> = scenario.items.iter().map(|item| item.message).collect();
        assert!(kinds.contains(&MessageKind::Purchase));
        assert!(kinds.contains(&MessageKind::Authorisation));
        for item in &scenario.items {
            assert!((item.repeat.share - 0.01).abs() < 1e-9, "{}", item.name);
            assert!((item.reverse.share - 0.01).abs() < 1e-9, "{}", item.name);
        }
        assert_eq!(scenario.report_names().len(), scenario.items.len() + 2);
    }

    #[test]
    fn unknown_keys_and_values_out_of_bounds_are_refused() {
        let check = |from: &str, to: &str, said: &str| {
            let text = BUILT_IN.replacen(from, to, 1);
            assert_ne!(text, BUILT_IN, "`{from}` is not in the scenario");
            let error = format!("{:#}", Scenario::parse(&text).unwrap_err());
            assert!(error.contains(said), "{error}");
        };
        check("weight =", "wieght =", "wieght");
        check("message = \"purchase\"", "message = \"refund\"", "refund");
        check("share = 0.01", "share = 1.5", "share");
        check("currency = {", "currency = { XXX = 1,", "XXX");
        check("count = 2400", "count = 0", "terminals");
        check("411111", "400000", "test ranges");
    }

    #[test]
    fn weights_are_respected() {
        let weights = [1.0, 0.0, 3.0];
        let mut random = Random::new(9);
        let mut seen = [0_u32; 3];
        for _ in 0..40_000 {
            seen[weighted(weights.iter(), &mut random)] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!((9_500..10_500).contains(&seen[0]), "{seen:?}");
    }
}
