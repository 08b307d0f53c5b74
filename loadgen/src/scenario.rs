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
    /// Sent a second time later.
    pub repeat: FollowUp,
    /// Reversed by the acquirer later.
    pub reverse: Reversals,
    /// Completed by the acquirer later, where it was approved.
    pub complete: Completions,
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
    /// 0200, what is on the account: it moves no money.
    Balance,
    /// 0220, goods and services that were sold without asking.
    Advice,
    /// 0120, what was authorised without asking.
    AuthorisationAdvice,
}

impl MessageKind {
    /// The message type.
    #[must_use]
    pub const fn mti(self) -> Mti {
        match self {
            Self::Purchase | Self::Cash | Self::Balance => Mti::FINANCIAL_REQUEST,
            Self::Authorisation => Mti::AUTHORISATION_REQUEST,
            Self::Advice => Mti::FINANCIAL_ADVICE,
            Self::AuthorisationAdvice => Mti::AUTHORISATION_ADVICE,
        }
    }

    /// DE3.
    #[must_use]
    pub const fn processing_code(self) -> &'static [u8; 6] {
        match self {
            Self::Purchase | Self::Authorisation | Self::Advice | Self::AuthorisationAdvice => {
                b"000000"
            }
            Self::Cash => b"010000",
            Self::Balance => b"310000",
        }
    }

    /// Whether it reports what has happened.
    #[must_use]
    pub const fn is_advice(self) -> bool {
        matches!(self, Self::Advice | Self::AuthorisationAdvice)
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

    /// Whether it follows this message.
    pub fn happens(&self, random: &mut Random) -> bool {
        random.chance(self.share)
    }
}

/// Reversals of earlier messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reversals {
    /// Which messages they follow, and when.
    pub follow: FollowUp,
    /// The share of them that leaves a part of the amount.
    pub partial: f64,
}

/// Completions of earlier authorisations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Completions {
    /// Which approvals they follow, and when.
    pub follow: FollowUp,
    /// The share of them that asks (0202) instead of reporting (0220).
    pub request: f64,
    /// Their amount as a share of what was authorised.
    pub amount: Distribution,
    /// Sent a second time later.
    pub repeat: FollowUp,
    /// Reversed later.
    pub reverse: Reversals,
}

impl Reversals {
    /// None.
    pub const NEVER: Self = Self {
        follow: FollowUp::NEVER,
        partial: 0.0,
    };
}

impl Completions {
    /// None.
    pub const NEVER: Self = Self {
        follow: FollowUp::NEVER,
        request: 0.0,
        amount: Distribution::Fixed(1.0),
        repeat: FollowUp::NEVER,
        reverse: Reversals::NEVER,
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

    /// The built-in mix of all classes of messages.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn mixed() -> Result<Self> {
        Self::parse(MIXED)
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

    /// The TOML of the built-in mix of all classes of messages.
    #[must_use]
    pub const fn mixed_text() -> &'static str {
        MIXED
    }

    /// Names of what is reported: the items, then repeats, reversals and completions.
    #[must_use]
    pub fn report_names(&self) -> Vec<String> {
        let items = self.items.iter().map(|item| item.name.clone());
        items.chain(FOLLOW_UPS.map(str::to_owned)).collect()
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

/// What is reported beside the items.
pub(crate) const FOLLOW_UPS: [&str; 3] = ["repeat", "reversal", "completion"];
const BUILT_IN: &str = include_str!("scenario/built_in.toml");
const MIXED: &str = include_str!("scenario/mixed.toml");

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
            let reverse = item.reverse.follow;
            assert!((reverse.share - 0.01).abs() < 1e-9, "{}", item.name);
            assert_eq!(item.complete, Completions::NEVER, "{}", item.name);
        }
        assert_eq!(scenario.report_names().len(), scenario.items.len() + 3);
    }

    #[test]
    fn the_mix_has_every_kind_and_what_follows_it() {
        let scenario = Scenario::mixed().unwrap();
        let has = |kind| {
            let mut items = scenario.items.iter();
            items.find(|item| item.message == kind).unwrap()
        };
        for kind in [
            MessageKind::Purchase,
            MessageKind::Cash,
            MessageKind::Balance,
            MessageKind::Advice,
            MessageKind::AuthorisationAdvice,
        ] {
            assert_eq!(has(kind).complete, Completions::NEVER, "{kind:?}");
        }
        let held = has(MessageKind::Authorisation);
        assert!(held.complete.follow.share > 0.5);
        assert!(held.complete.request > 0.0 && held.complete.reverse.follow.share > 0.0);
        assert!(has(MessageKind::Purchase).reverse.partial > 0.0);
    }

    #[test]
    fn only_what_was_authorised_is_completed() {
        let wrong = MIXED.replacen("message = \"auth\"", "message = \"purchase\"", 1);
        let error = format!("{:#}", Scenario::parse(&wrong).unwrap_err());
        assert!(error.contains("complete"), "{error}");
        let wrong = MIXED.replacen("uniform(0.5, 1.0)", "uniform(0.5, 3.0)", 1);
        assert_ne!(wrong, MIXED);
        assert!(Scenario::parse(&wrong).is_err());
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
