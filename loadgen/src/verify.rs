//! The proof: what the acquirer was told, held against the journal, the issuers and PostgreSQL.
//!
//! Money of a transaction, in each of the four places, is what stays with the merchant:
//!
//! | place | money |
//! |---|---|
//! | acquirer | told an approval: its amount; a reversal of it acknowledged: what that leaves |
//! | journal | answered with an approval, or advised: its amount; a reversal owed: what it leaves |
//! | PostgreSQL | the same from the columns of `transaction` |
//! | issuers | approved minus taken back, over all ledgers, by STAN and DE7 of the issuer's leg |
//!
//! The acquirer is both: who speaks ISO 8583, and who speaks JSON.
//!
//! What a completion completes is 0 in all of them for as long as something of the completion is
//! left, and what it was before when that is reversed as a whole.
//!
//! An approval that the issuer gave and the switch timed out is 0 everywhere once its reversal has
//! arrived. What the acquirer was never told is in the journal all the same: it is counted, its
//! money stands in a column of its own, and is for each transaction all that was asked for or
//! nothing, as the issuers have it.

mod acquirer;
mod checks;
mod completions;
mod database;
mod gateway;
mod journal;
mod ledgers;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

pub use acquirer::AcquirerBook;
pub use checks::{Acquirers, Audit, Check, Sums};
pub use database::{DatabaseBook, drop_schema, is_applied};
pub use gateway::GatewayBook;
pub use journal::{JournalBook, last_records};
pub use ledgers::LedgerBook;

use crate::stop::Stop;

/// Where the four accounts lie.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// `acks.log`.
    pub acks: PathBuf,
    /// `gateway-acks.log`; `None` where no gateway was asked.
    pub gateway: Option<PathBuf>,
    /// The folder with the journal's manifest.
    pub journal: PathBuf,
    /// Ledgers of all issuers; none leaves that comparison out.
    pub ledgers: Vec<PathBuf>,
    /// PostgreSQL, and the schema.
    pub database: Option<(String, String)>,
}

/// Reads everything and compares it.
///
/// # Errors
/// Something cannot be read. A difference is no error: see [`Audit::passed`].
pub fn audit(inputs: &Inputs) -> Result<Audit> {
    let acquirer = AcquirerBook::read(&inputs.acks)?;
    let gateway = inputs.gateway.as_deref().map(GatewayBook::read);
    let acquirers = Acquirers {
        iso: &acquirer,
        gateway: &gateway.transpose()?.unwrap_or_default(),
    };
    let journal = JournalBook::read(&inputs.journal)?;
    let ledgers = match inputs.ledgers.as_slice() {
        [] => None,
        paths => Some(LedgerBook::read(paths)?),
    };
    let database = match &inputs.database {
        Some((url, schema)) => Some(DatabaseBook::read(url, schema)?),
        None => None,
    };
    Ok(Audit::of(
        acquirers,
        &journal,
        ledgers.as_ref(),
        database.as_ref(),
    ))
}

/// As [`audit`], again and again until no reversal is owed any more, for at most `settle`.
///
/// # Errors
/// As [`audit`], or ended by hand.
pub fn audit_settled(inputs: &Inputs, settle: Duration, stop: &Stop) -> Result<Audit> {
    let mut last = None;
    stop.until(settle, Duration::from_secs(1), || {
        let found = audit(inputs)?;
        let settled = found.reversals_owed == 0;
        last = Some(found);
        Ok(settled)
    })?;
    match last {
        Some(found) => Ok(found),
        None => audit(inputs),
    }
}

#[cfg(test)]
mod tests;
