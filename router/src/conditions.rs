//! What a route demands of a request besides its account.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use domain::currency::Currency;
use domain::ids::AcquirerId;
use domain::request::MessageClass;
use thiserror::Error;

use crate::selection::Query;
use crate::week::WeekWindow;

/// All that a route asks for; what is left out or empty holds for every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Only messages of this class.
    pub class: Option<RouteClass>,
    /// Only amounts in this currency.
    pub currency: Option<Currency>,
    /// Only amounts within these bounds; needs `currency`, since minor units of different
    /// currencies do not compare.
    pub amount: Option<AmountRange>,
    /// Only these categories of merchants; a request that names none fits no such route.
    pub categories: Vec<CategoryRange>,
    /// Only requests of these acquirers.
    pub acquirers: Vec<AcquirerId>,
    /// Only at these times.
    pub times: Vec<WeekWindow>,
}

impl Conditions {
    /// Entries of each list at most, which bounds the work of a look-up.
    pub const LIST_MAX: usize = 256;

    /// Whether a request fits, whatever its account is.
    #[must_use]
    pub fn fit(&self, query: &Query<'_>) -> bool {
        self.class.is_none_or(|class| class == query.class)
            && query.has_currency(self.currency)
            && self.rare_fit(query)
    }

    /// The same without class and currency, which a rule of the table keeps at hand.
    pub(crate) fn rare_fit(&self, query: &Query<'_>) -> bool {
        let holds = |range: AmountRange| query.amount.is_some_and(|it| range.holds(it.minor()));
        self.amount.is_none_or(holds)
            && none_or_any(&self.categories, |range| {
                query.category.is_some_and(|category| range.holds(category))
            })
            && none_or_any(&self.acquirers, |acquirer| *acquirer == query.acquirer)
            && none_or_any(&self.times, |window| window.holds(query.at))
    }

    /// Whether some request fits both. Each condition looks at something else, so it is enough that
    /// no single one keeps them apart.
    #[must_use]
    pub fn meet(&self, other: &Self) -> bool {
        both(self.class, other.class, |mine, others| mine == others)
            && both(self.currency, other.currency, |mine, others| mine == others)
            && both(self.amount, other.amount, |mine, others| {
                mine.min <= others.max && others.min <= mine.max
            })
            && any_pair(&self.categories, &other.categories, CategoryRange::meets)
            && any_pair(&self.acquirers, &other.acquirers, PartialEq::eq)
            && any_pair(&self.times, &other.times, WeekWindow::meets)
    }

    /// How many of them there are. More win over fewer.
    #[must_use]
    pub fn count(&self) -> u8 {
        let class = u8::from(self.class.is_some());
        let currency = u8::from(self.currency.is_some());
        class
            .saturating_add(currency)
            .saturating_add(self.rare_count())
    }

    pub(crate) fn rare_count(&self) -> u8 {
        [
            self.amount.is_some(),
            !self.categories.is_empty(),
            !self.acquirers.is_empty(),
            !self.times.is_empty(),
        ]
        .into_iter()
        .map(u8::from)
        .fold(0, u8::saturating_add)
    }

    /// What is wrong with them, if anything is.
    #[must_use]
    pub fn fault(&self) -> Option<ConditionError> {
        let lists = [
            self.categories.len(),
            self.acquirers.len(),
            self.times.len(),
        ];
        match self.amount {
            Some(_) if self.currency.is_none() => Some(ConditionError::AmountWithoutCurrency),
            Some(range) if range.min > range.max => Some(ConditionError::AmountOrder),
            Some(_) | None => lists
                .iter()
                .any(|len| *len > Self::LIST_MAX)
                .then_some(ConditionError::List),
        }
    }
}

/// What kind of message asks for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteClass {
    /// Class 1.
    Authorisation,
    /// Class 2.
    Financial,
    /// Class 6: passed on without money, and the only one that may name no account.
    Administrative,
}

impl From<MessageClass> for RouteClass {
    fn from(class: MessageClass) -> Self {
        match class {
            MessageClass::Authorisation => Self::Authorisation,
            MessageClass::Financial => Self::Financial,
        }
    }
}

/// Amounts from `min` to `max`, both included, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmountRange {
    /// The smallest.
    pub min: u64,
    /// The largest; at least `min`.
    pub max: u64,
}

impl AmountRange {
    const fn holds(self, minor: u64) -> bool {
        self.min <= minor && minor <= self.max
    }
}

/// What a merchant deals in: DE18, four digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MerchantCategory(u16);

impl MerchantCategory {
    /// Reads four digits; `None` for anything else, as an absent field.
    #[must_use]
    pub fn from_digits(digits: &[u8]) -> Option<Self> {
        if digits.len() != 4 {
            return None;
        }
        let mut value = 0_u16;
        for byte in digits {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            value = value.checked_mul(10)?.checked_add(u16::from(digit))?;
        }
        Some(Self(value))
    }
}

/// Categories from one to another, both included.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CategoryRange {
    low: MerchantCategory,
    high: MerchantCategory,
}

impl CategoryRange {
    fn holds(&self, category: MerchantCategory) -> bool {
        self.low <= category && category <= self.high
    }

    fn meets(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

impl FromStr for CategoryRange {
    type Err = ConditionError;

    /// Reads `5411` or `5811-5814`.
    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let category = |text: &str| MerchantCategory::from_digits(text.as_bytes());
        match (category(low), category(high)) {
            (Some(low), Some(high)) if low <= high => Ok(Self { low, high }),
            (Some(_), Some(_)) => Err(ConditionError::CategoryOrder),
            (None, _) | (_, None) => Err(ConditionError::Category),
        }
    }
}

impl fmt::Debug for CategoryRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:04}", self.low.0, self.high.0)
    }
}

/// A condition that cannot stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConditionError {
    /// Bounds of an amount in no currency.
    #[error("bounds of an amount need a currency")]
    AmountWithoutCurrency,
    /// The smallest amount is above the largest.
    #[error("the smallest amount is above the largest")]
    AmountOrder,
    /// A list longer than a look-up may have to walk through.
    #[error("a list of conditions has at most {} entries", Conditions::LIST_MAX)]
    List,
    /// No category of merchants.
    #[error("a merchant category has four digits")]
    Category,
    /// A range that runs backwards.
    #[error("the low end of a range must not be above its high end")]
    CategoryOrder,
}

/// Whether a list demands nothing, or one of its entries holds.
fn none_or_any<T>(list: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(holds)
}

fn both<T>(mine: Option<T>, others: Option<T>, meet: impl FnOnce(T, T) -> bool) -> bool {
    match (mine, others) {
        (Some(mine), Some(others)) => meet(mine, others),
        (None, _) | (_, None) => true,
    }
}

fn any_pair<T>(mine: &[T], others: &[T], meet: impl Fn(&T, &T) -> bool) -> bool {
    none_or_any(mine, |one| none_or_any(others, |other| meet(one, other))) || others.is_empty()
}

#[cfg(test)]
mod tests;
