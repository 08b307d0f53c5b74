//! What a gateway may ask for: which types, in which currencies, up to which amount.

use domain::amount::Amount;
use domain::currency::Currency;

use super::section::{Section, nearest};
use crate::acquirer::shown::Kind;

/// What is permitted to one gateway.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    /// Empty for all.
    kinds: Vec<Kind>,
    /// Empty for all.
    currencies: Vec<Currency>,
    /// The most of one transaction, of each currency that has a bound.
    amounts_max: Vec<Amount>,
}

/// What is not permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPermitted {
    Type,
    Currency,
    Amount,
}

impl Permissions {
    /// Whether a new transaction may be asked for.
    ///
    /// # Errors
    /// What of it may not.
    pub(crate) fn check(&self, kind: Kind, amount: Amount) -> Result<(), NotPermitted> {
        let currency = amount.currency();
        if !self.kinds.is_empty() && !self.kinds.contains(&kind) {
            return Err(NotPermitted::Type);
        }
        if !self.currencies.is_empty() && !self.currencies.contains(&currency) {
            return Err(NotPermitted::Currency);
        }
        let mut bounds = self.amounts_max.iter();
        let most = bounds.find(|most| most.currency() == currency);
        if most.is_some_and(|most| amount.minor() > most.minor()) {
            return Err(NotPermitted::Amount);
        }
        Ok(())
    }
}

/// Reads the keys of `[[gateway]]`.
pub(super) fn permissions(section: &Section<'_>) -> Permissions {
    let listed = |key: &'static str| {
        if section.has(key) && section.count(key) == 0 {
            section.fault_at(
                key,
                format!("`{key}` may not be empty: leave it out for all"),
            );
        }
    };
    listed("types");
    listed("currencies");
    let currencies = section.list("currencies", currency);
    Permissions {
        kinds: section.list("types", kind),
        amounts_max: amounts_max(section, &currencies),
        currencies,
    }
}

fn amounts_max(section: &Section<'_>, currencies: &[Currency]) -> Vec<Amount> {
    let Some(section) = section.optional_section("amount_max") else {
        return Vec::new();
    };
    let bound = |(name, node)| {
        let known = currency(name).map_err(|fault| section.fault(format!("`{name}` {fault}")));
        let known = known.ok()?;
        if !currencies.is_empty() && !currencies.contains(&known) {
            section.fault(format!("`{name}` is not among `currencies`"));
        }
        let minor = section.number_in(node, name, &(1..=Amount::MINOR_MAX))?;
        Amount::new(minor, known).ok()
    };
    section.entries().into_iter().filter_map(bound).collect()
}

fn kind(text: &str) -> Result<Kind, String> {
    let mut all = Kind::ALL.into_iter();
    let found = all.find(|kind| kind.name() == text);
    found.ok_or_else(|| {
        let names = Kind::ALL.map(Kind::name);
        match nearest(text, &names) {
            Some(near) => format!("has no type `{text}`; `{near}`?"),
            None => format!("has no type `{text}`; known: {}", names.join(", ")),
        }
    })
}

fn currency(text: &str) -> Result<Currency, String> {
    Currency::from_alphabetic(text)
        .ok_or_else(|| "takes three capital letters of ISO 4217".to_owned())
}
