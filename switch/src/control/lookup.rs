//! Asks PostgreSQL for single transactions, for people at a terminal. Blocks.

use persistence::applier::{self, ApplierError, Held, Wanted};

use super::applier::{chain, settings};
use crate::config::{Config, Postgres};

/// What PostgreSQL holds of them; `None` when its schema was never made.
///
/// # Errors
/// Why it cannot be asked, in one line.
pub fn look_up(
    config: &Config,
    postgres: &Postgres,
    wanted: &Wanted,
) -> Result<Option<Held>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let settings = settings(config, postgres).map_err(|error| chain(&error))?;
    runtime
        .block_on(applier::look_up(&settings.server, wanted))
        .map_err(|error: ApplierError| chain(&error))
}
