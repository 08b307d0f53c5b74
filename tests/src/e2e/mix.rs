//! What campaigns offer: all classes of messages, in the edition of 1987 or of 1993.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use iso8583::Dialect;
use loadgen::message::Wire;
use loadgen::scenario::Scenario;

use super::Issuers;

/// The edition in which the acquirer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// ISO 8583:1987.
    Of1987,
    /// ISO 8583:1993.
    Of1993,
}

impl Edition {
    /// Every other one, so that a campaign has both.
    #[must_use]
    pub const fn alternating(number: u64) -> Self {
        if number.is_multiple_of(2) {
            Self::Of1987
        } else {
            Self::Of1993
        }
    }

    /// The dialect of its listener.
    #[must_use]
    pub const fn dialect(self) -> &'static str {
        match self {
            Self::Of1987 => "iso87-ascii",
            Self::Of1993 => OF_1993,
        }
    }
}

/// Purchases, authorisations and their completions, advices, reversals and repeats of them all.
///
/// # Errors
/// None: it is built in.
pub fn scenario() -> Result<Arc<Scenario>> {
    Ok(Arc::new(Scenario::mixed()?))
}

/// A bank of 1987 and an operator of 1993.
///
/// # Errors
/// No address could be bound.
pub fn issuers(folder: &Path, latency: Duration) -> Result<Issuers> {
    let dialect = Dialect::by_name(OF_1993).context("the dialect of the operator is built in")?;
    let of_1993 = Wire {
        dialect,
        ..Wire::PLAIN
    };
    Issuers::start_on(folder, latency, [Wire::PLAIN, of_1993])
}

/// What the switch must know of both sides.
#[must_use]
pub fn environment(edition: Edition) -> [(&'static str, String); 2] {
    [
        ("NJIA__LISTENER__POS__DIALECT", edition.dialect().to_owned()),
        ("NJIA__ISSUER__MOMO__DIALECT", OF_1993.to_owned()),
    ]
}

const OF_1993: &str = "iso93-ascii";
