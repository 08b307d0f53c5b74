//! What an engine refuses to be made from. All are the configuration's fault, and all are reported
//! at once.

use domain::currency::Currency;
use thiserror::Error;

use crate::engine::RiskEngine;
use crate::policy::{Policy, VelocityLimit, VelocityWindow};

/// A policy, or a size, that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// A table for no account, or for more than can be numbered.
    #[error(
        "accounts_max is {accounts_max}; give 1 to {}",
        RiskEngine::ACCOUNTS_MAX
    )]
    Accounts {
        /// What was asked for.
        accounts_max: usize,
    },
    /// More windows than an account has room for.
    #[error(
        "{count} velocity windows are more than {}; remove some",
        Policy::WINDOWS_MAX
    )]
    Windows {
        /// How many there are.
        count: usize,
    },
    /// A window too short to be cut into buckets, or too long to be rebuilt after a restart.
    #[error(
        "velocity window {window} has a length out of bounds; give {} s to {} days",
        VelocityWindow::LENGTH_MIN.as_secs(),
        VelocityWindow::LENGTH_MAX.as_secs() / 86_400
    )]
    Length {
        /// Its position.
        window: usize,
    },
    /// A count that the counters cannot tell from a larger one.
    #[error(
        "velocity window {window}, {currency}: count_max is above {}; lower it or leave it out",
        VelocityLimit::COUNT_MAX
    )]
    CountMax {
        /// The position of the window.
        window: usize,
        /// The currency.
        currency: Currency,
    },
    /// A sum that the counters cannot tell from a larger one.
    #[error(
        "velocity window {window}, {currency}: amount_max is above {}; lower it or leave it out",
        VelocityLimit::AMOUNT_MAX
    )]
    AmountMax {
        /// The position of the window.
        window: usize,
        /// The currency.
        currency: Currency,
    },
    /// One currency twice in a window, which leaves open which limit holds.
    #[error("velocity window {window} has two limits in {currency}; remove one")]
    VelocityTwice {
        /// The position of the window.
        window: usize,
        /// The currency.
        currency: Currency,
    },
    /// One currency twice among the amount limits.
    #[error("there are two amount limits in {currency}; remove one")]
    AmountTwice {
        /// The currency.
        currency: Currency,
    },
    /// An amount limit that no amount keeps.
    #[error("the amount limit in {currency} has its minimum above its maximum; swap them")]
    AmountOrder {
        /// The currency.
        currency: Currency,
    },
}
