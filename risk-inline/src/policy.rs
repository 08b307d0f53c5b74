//! The rules as data.

use alloc::vec::Vec;
use core::time::Duration;

use domain::Amount;
use domain::currency::Currency;
use domain::request::Facts;

use crate::error::PolicyError;
use crate::list::ListSpec;

/// All rules of an engine. A currency that no limit names is not limited.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Declined, whatever else holds (62).
    pub block: ListSpec,
    /// Neither limits nor velocity apply, and nothing is counted.
    pub allow: ListSpec,
    /// What one request may move, at most one limit per currency (61).
    pub amounts: Vec<AmountLimit>,
    /// What an account may do in a time; at most [`Policy::WINDOWS_MAX`].
    pub windows: Vec<VelocityWindow>,
}

impl Policy {
    /// Windows at most: the counters of three fit into 256 bytes.
    pub const WINDOWS_MAX: usize = 3;
}

/// Bounds of DE4, both included, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmountLimit {
    /// Applies to amounts in this currency.
    pub currency: Currency,
    /// The smallest.
    pub minor_min: u64,
    /// The largest.
    pub minor_max: u64,
}

/// A sliding window of time.
///
/// It is kept in nine buckets, each an eighth of its length: a request counts for at least the
/// length of the window and for at most an eighth more. So a limit holds in every interval of that
/// length, and an account that reached it waits an eighth longer at worst.
#[derive(Clone, Debug)]
pub struct VelocityWindow {
    /// Its length, from [`VelocityWindow::LENGTH_MIN`] to [`VelocityWindow::LENGTH_MAX`].
    pub length: Duration,
    /// At most one per currency.
    pub limits: Vec<VelocityLimit>,
}

impl VelocityWindow {
    /// The shortest window.
    pub const LENGTH_MIN: Duration = Duration::from_secs(1);
    /// The longest window: 31 days.
    pub const LENGTH_MAX: Duration = Duration::from_secs(31 * 86_400);
}

/// What one account may do in one window and one currency. Each currency counts for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VelocityLimit {
    /// Applies to amounts in this currency.
    pub currency: Currency,
    /// Requests at most (65), up to [`VelocityLimit::COUNT_MAX`]; `None` for any number.
    pub count_max: Option<u32>,
    /// Minor units at most, all together (61), up to [`VelocityLimit::AMOUNT_MAX`]; `None` for any
    /// sum.
    pub amount_max: Option<u64>,
}

impl VelocityLimit {
    /// The largest count: what sixteen bits tell apart.
    pub const COUNT_MAX: u32 = 65_535;
    /// The largest sum in minor units: below what 48 bits hold.
    pub const AMOUNT_MAX: u64 = (1 << 48) - 2;
}

/// The limits of all currencies, laid out for look-up.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Ascending by currency.
    by_currency: Vec<CurrencyLimits>,
}

impl Limits {
    pub(crate) fn new(policy: &Policy) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        let mut limits = Self {
            by_currency: Vec::new(),
        };
        for amount in &policy.amounts {
            limits.take_amount(amount, &mut errors);
        }
        if policy.windows.len() > Policy::WINDOWS_MAX {
            errors.push(PolicyError::Windows {
                count: policy.windows.len(),
            });
        }
        for (position, window) in policy.windows.iter().enumerate() {
            let bounds = VelocityWindow::LENGTH_MIN..=VelocityWindow::LENGTH_MAX;
            if !bounds.contains(&window.length) {
                errors.push(PolicyError::Length { window: position });
            }
            for limit in &window.limits {
                limits.take_velocity(position, limit, &mut errors);
            }
        }
        if errors.is_empty() {
            Ok(limits)
        } else {
            Err(errors)
        }
    }

    pub(crate) fn of(&self, facts: &Facts) -> Option<&CurrencyLimits> {
        let currency = facts.amount.currency();
        let place = self
            .by_currency
            .binary_search_by_key(&currency, |limits| limits.currency);
        self.by_currency.get(place.ok()?)
    }

    fn take_amount(&mut self, limit: &AmountLimit, errors: &mut Vec<PolicyError>) {
        let currency = limit.currency;
        if limit.minor_min > limit.minor_max {
            errors.push(PolicyError::AmountOrder { currency });
        }
        let limits = self.entry(currency);
        if limits
            .and_then(|limits| limits.amount.replace(*limit))
            .is_some()
        {
            errors.push(PolicyError::AmountTwice { currency });
        }
    }

    fn take_velocity(
        &mut self,
        window: usize,
        limit: &VelocityLimit,
        errors: &mut Vec<PolicyError>,
    ) {
        let currency = limit.currency;
        if limit.count_max > Some(VelocityLimit::COUNT_MAX) {
            errors.push(PolicyError::CountMax { window, currency });
        }
        if limit.amount_max > Some(VelocityLimit::AMOUNT_MAX) {
            errors.push(PolicyError::AmountMax { window, currency });
        }
        // A window too many is reported by its own error.
        let limits = self.entry(currency);
        let place = limits.and_then(|limits| limits.windows.get_mut(window));
        if place.and_then(|place| place.replace(*limit)).is_some() {
            errors.push(PolicyError::VelocityTwice { window, currency });
        }
    }

    fn entry(&mut self, currency: Currency) -> Option<&mut CurrencyLimits> {
        let found = self
            .by_currency
            .binary_search_by_key(&currency, |limits| limits.currency);
        let place = found.unwrap_or_else(|place| {
            self.by_currency
                .insert(place, CurrencyLimits::none(currency));
            place
        });
        self.by_currency.get_mut(place)
    }
}

/// The limits of one currency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrencyLimits {
    currency: Currency,
    amount: Option<AmountLimit>,
    windows: WindowLimits,
}

/// A limit for each window that has one in some currency.
pub(crate) type WindowLimits = [Option<VelocityLimit>; Policy::WINDOWS_MAX];

impl CurrencyLimits {
    const fn none(currency: Currency) -> Self {
        Self {
            currency,
            amount: None,
            windows: [None; Policy::WINDOWS_MAX],
        }
    }

    /// Whether one request may move `amount`.
    pub(crate) fn admits(&self, amount: Amount) -> bool {
        let is_none = amount.minor() == 0;
        is_none
            || self
                .amount
                .is_none_or(|limit| (limit.minor_min..=limit.minor_max).contains(&amount.minor()))
    }

    /// What the windows allow; `None` when none of them has a limit.
    pub(crate) fn windows(&self) -> Option<&WindowLimits> {
        self.windows
            .iter()
            .any(Option::is_some)
            .then_some(&self.windows)
    }
}
