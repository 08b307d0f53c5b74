//! Asks PostgreSQL for what `njia report` prints.

use domain::currency::Currency;
use domain::network::SettlementDate;
use persistence::applier::report::{IssuerItem, Settlement, issuer_items, settlement};
use persistence::applier::{SchemaName, SecretSource, Server, Timeouts};
use thiserror::Error;

use super::applier::{chain, settings};
use crate::config::Config;

/// Why there is no report.
#[derive(Debug, Error)]
pub(crate) enum ReportError {
    /// The configuration names no PostgreSQL.
    #[error("the configuration has no [postgres]: without it there are no books")]
    NoPostgres,
    /// As the applier tells it.
    #[error("{0}")]
    Failed(String),
}

/// Where the books are.
#[derive(Debug)]
pub(crate) struct Books(Server);

impl Books {
    /// Those of a configuration.
    pub(crate) fn of(config: &Config) -> Result<Self, ReportError> {
        let postgres = config.postgres.as_ref().ok_or(ReportError::NoPostgres)?;
        let settings = settings(config, postgres).map_err(|error| failed(&error))?;
        Ok(Self(settings.server))
    }

    /// Those behind a connection string.
    pub(crate) fn at(url: String, schema: &str) -> Result<Self, ReportError> {
        Ok(Self(Server {
            url: SecretSource::fixed(url),
            password: None,
            tls: None,
            schema: SchemaName::new(schema).map_err(|error| failed(&error))?,
            timeouts: Timeouts::STANDARD,
        }))
    }

    /// The positions of a day.
    pub(crate) fn settlement(
        &self,
        date: SettlementDate,
        currency: Option<Currency>,
    ) -> Result<Settlement, ReportError> {
        let answer = runtime()?.block_on(settlement(&self.0, date, currency));
        answer.map_err(|error| failed(&error))
    }

    /// What counts with an issuer on a day, at most `max`.
    pub(crate) fn issuer(
        &self,
        issuer: &str,
        date: SettlementDate,
        max: usize,
    ) -> Result<Vec<IssuerItem>, ReportError> {
        let answer = runtime()?.block_on(issuer_items(&self.0, issuer, date, max));
        answer.map_err(|error| failed(&error))
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, ReportError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| failed(&error))
}

fn failed(error: &dyn std::error::Error) -> ReportError {
    ReportError::Failed(chain(error))
}
