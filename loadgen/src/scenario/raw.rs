//! A scenario as it is written in TOML, and its way into the checked form.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use domain::currency::Currency;
use serde::Deserialize;

use super::{FollowUp, Item, MessageKind, Scenario};
use crate::cards::{CardSet, Skew};
use crate::distribution::Distribution;
use crate::terminals::TerminalPlan;
use crate::threshold::Threshold;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScenario {
    terminals: RawTerminals,
    item: Vec<RawItem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTerminals {
    count: u32,
    merchants: u32,
    institution: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    name: String,
    weight: f64,
    message: String,
    amount_minor: String,
    currency: RawCurrency,
    cards: RawCards,
    #[serde(default)]
    chip: f64,
    #[serde(default)]
    track2: f64,
    reverse: Option<RawFollowUp>,
    repeat: Option<RawFollowUp>,
    expect: Option<RawExpect>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawCurrency {
    One(String),
    Mix(BTreeMap<String, f64>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCards {
    bins: Vec<String>,
    count: u32,
    #[serde(default)]
    zipf: f64,
    #[serde(default = "one")]
    shift: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFollowUp {
    share: f64,
    after: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpect {
    approved: String,
}

const fn one() -> f64 {
    1.0
}

impl RawScenario {
    pub(super) fn check(self) -> Result<Scenario> {
        if self.item.is_empty() || self.item.len() > ITEMS_MAX {
            bail!("a scenario has 1 to {ITEMS_MAX} items");
        }
        let terminals = TerminalPlan::new(
            self.terminals.count,
            self.terminals.merchants,
            &self.terminals.institution,
        )?;
        let mut items = Vec::with_capacity(self.item.len());
        let mut expectations = Vec::new();
        for raw in self.item {
            let name = raw.name.clone();
            if items.iter().any(|item: &Item| item.name == name) {
                bail!("the item `{name}` is there twice");
            }
            let (item, expectation) = raw.check().with_context(|| format!("item `{name}`"))?;
            items.push(item);
            expectations.extend(expectation);
        }
        Ok(Scenario {
            items,
            terminals,
            expectations,
        })
    }
}

impl RawItem {
    fn check(self) -> Result<(Item, Option<Threshold>)> {
        if !(self.weight > 0.0 && self.weight <= 1e6) {
            bail!("the weight is not above 0");
        }
        let skew = Skew {
            exponent: self.cards.zipf,
            shift: self.cards.shift,
        };
        let expectation = match &self.expect {
            Some(expect) => Some(approval(&expect.approved, &self.name)?),
            None => None,
        };
        let item = Item {
            weight: self.weight,
            message: kind(&self.message)?,
            amount: Distribution::parse_number(&self.amount_minor)?,
            currencies: currencies(self.currency)?,
            cards: CardSet::new(&self.cards.bins, self.cards.count, skew)?,
            chip: share("chip", self.chip)?,
            track2: share("track2", self.track2)?,
            reverse: follow_up("reverse", self.reverse)?,
            repeat: follow_up("repeat", self.repeat)?,
            name: self.name,
        };
        Ok((item, expectation))
    }
}

fn kind(word: &str) -> Result<MessageKind> {
    match word {
        "purchase" => Ok(MessageKind::Purchase),
        "auth" => Ok(MessageKind::Authorisation),
        "cash" => Ok(MessageKind::Cash),
        other => bail!("`{other}` is not a message that is offered: purchase, auth or cash"),
    }
}

fn currencies(raw: RawCurrency) -> Result<Vec<(Currency, f64)>> {
    let mix = match raw {
        RawCurrency::One(name) => BTreeMap::from([(name, 1.0)]),
        RawCurrency::Mix(mix) => mix,
    };
    if mix.is_empty() {
        bail!("there is no currency");
    }
    mix.into_iter()
        .map(|(name, weight)| {
            let currency = Currency::from_alphabetic(&name)
                .with_context(|| format!("the currency `{name}` is not known"))?;
            if !(weight > 0.0 && weight <= 1e6) {
                bail!("the weight of {name} is not above 0");
            }
            Ok((currency, weight))
        })
        .collect()
}

fn follow_up(what: &str, raw: Option<RawFollowUp>) -> Result<FollowUp> {
    let Some(raw) = raw else {
        return Ok(FollowUp::NEVER);
    };
    Ok(FollowUp {
        share: share(what, raw.share)?,
        after: Distribution::parse_time(&raw.after).with_context(|| what.to_owned())?,
    })
}

fn share(what: &str, share: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&share) {
        bail!("the share of `{what}` is not between 0 and 1");
    }
    Ok(share)
}

fn approval(bound: &str, item: &str) -> Result<Threshold> {
    let bound = bound.replace(' ', "");
    format!("approved{bound}@{item}")
        .parse()
        .with_context(|| format!("the expectation `{bound}` cannot be read"))
}

const ITEMS_MAX: usize = 64;
