//! A scenario as it is written in TOML, and its way into the checked form.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use domain::currency::Currency;
use serde::Deserialize;

use super::{Completions, FollowUp, Item, MessageKind, Reversals, Scenario};
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
    reverse: Option<RawReversals>,
    repeat: Option<RawFollowUp>,
    complete: Option<RawCompletions>,
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
struct RawReversals {
    share: f64,
    after: String,
    #[serde(default)]
    partial: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCompletions {
    share: f64,
    after: String,
    #[serde(default)]
    request: f64,
    amount: Option<String>,
    repeat: Option<RawFollowUp>,
    reverse: Option<RawReversals>,
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
        let message = kind(&self.message)?;
        if self.complete.is_some() && message != MessageKind::Authorisation {
            bail!("complete: only what `auth` has authorised is completed");
        }
        let item = Item {
            weight: self.weight,
            message,
            amount: Distribution::parse_number(&self.amount_minor)?,
            currencies: currencies(self.currency)?,
            cards: CardSet::new(&self.cards.bins, self.cards.count, skew)?,
            chip: share("chip", self.chip)?,
            track2: share("track2", self.track2)?,
            repeat: follow_up("repeat", self.repeat)?,
            reverse: reversals(self.reverse)?,
            complete: completions(self.complete)?,
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
        "balance" => Ok(MessageKind::Balance),
        "advice" => Ok(MessageKind::Advice),
        "auth-advice" => Ok(MessageKind::AuthorisationAdvice),
        other => bail!(
            "`{other}` is not a message that is offered: purchase, auth, cash, balance, advice or \
             auth-advice"
        ),
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

fn reversals(raw: Option<RawReversals>) -> Result<Reversals> {
    let Some(raw) = raw else {
        return Ok(Reversals::NEVER);
    };
    let RawReversals {
        share: of,
        after,
        partial,
    } = raw;
    Ok(Reversals {
        follow: follow_up("reverse", Some(RawFollowUp { share: of, after }))?,
        partial: share("partial", partial)?,
    })
}

fn completions(raw: Option<RawCompletions>) -> Result<Completions> {
    let Some(raw) = raw else {
        return Ok(Completions::NEVER);
    };
    let follow = RawFollowUp {
        share: raw.share,
        after: raw.after,
    };
    let amount = match &raw.amount {
        Some(amount) => Distribution::parse_number(amount).context("complete: amount")?,
        None => Distribution::Fixed(1.0),
    };
    let largest = match amount {
        Distribution::Fixed(value) => value,
        Distribution::Uniform { high, .. } => high,
        Distribution::Lognormal { .. } => bail!("complete: its amount has no bound"),
    };
    if !(largest > 0.0 && largest <= COMPLETED_MAX) {
        bail!("complete: its amount is above 0 and up to {COMPLETED_MAX} of what was authorised");
    }
    Ok(Completions {
        follow: follow_up("complete", Some(follow))?,
        request: share("request", raw.request)?,
        amount,
        repeat: follow_up("repeat", raw.repeat)?,
        reverse: reversals(raw.reverse)?,
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
/// A tip doubles a bill at most.
const COMPLETED_MAX: f64 = 2.0;
