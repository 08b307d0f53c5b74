//! Can the neighbours be reached? A connection to each, and no business message.

use std::net::TcpStream;

use persistence::applier::{self, ApplierError};

use super::applier::{chain, settings};
use crate::config::{Config, Postgres};

/// What cannot be reached, one sentence each. Blocks for as long as the configured timeouts.
#[must_use]
pub fn faults(config: &Config) -> Vec<String> {
    let mut faults = Vec::new();
    for issuer in &config.issuers {
        for address in &issuer.addresses {
            if let Err(error) = TcpStream::connect_timeout(address, issuer.connect_timeout) {
                faults.push(format!(
                    "issuer {}: cannot connect to {address}: {error}",
                    issuer.name
                ));
            }
        }
    }
    if let Some(postgres) = &config.postgres
        && let Err(error) = ask(config, postgres)
    {
        faults.push(format!("postgres: {}", chain(&*error)));
    }
    faults
}

/// What is wrong with the settings of PostgreSQL, as far as that can be told without connecting.
pub(crate) fn postgres_fault(config: &Config) -> Option<String> {
    let postgres = config.postgres.as_ref()?;
    let settings = match settings(config, postgres) {
        Ok(settings) => settings,
        Err(error) => return Some(chain(&error)),
    };
    let fault = settings.server.check().err();
    fault.map(|error| chain(&error))
}

/// Connects and reads this node's watermarks.
fn ask(config: &Config, postgres: &Postgres) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let settings = settings(config, postgres)?;
    runtime
        .block_on(applier::watermarks(&settings))
        .map(drop)
        .map_err(|error: ApplierError| error.into())
}
