//! How gateways show who they are, taken up again at SIGHUP. What cannot be used is refused whole,
//! and what was in force stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::audit::{Act, Fate};
use super::shared::Shared;
use crate::config::{Config, ConfigErrors, CredentialSet};
use crate::metrics::CredentialReload;
use crate::metrics::exposition::Source;
use crate::metrics::fold::Sample;
use crate::metrics::names::FamilyId;

/// Reads the credentials of the configuration again.
pub struct CredentialsReader(Box<dyn Fn() -> Result<CredentialSet, ConfigErrors> + Send + Sync>);

impl CredentialsReader {
    /// With `read`.
    pub fn new(
        read: impl Fn() -> Result<CredentialSet, ConfigErrors> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(read))
    }
}

impl std::fmt::Debug for CredentialsReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialsReader")
    }
}

/// Reads the credentials and hands them to the shards.
#[derive(Debug)]
pub struct CredentialsKeeper {
    reread: CredentialsReader,
    config: Arc<Config>,
    shared: Arc<Shared>,
    taken: AtomicU64,
    refused: AtomicU64,
}

impl CredentialsKeeper {
    /// For the gateways of `config`.
    #[must_use]
    pub fn new(reread: CredentialsReader, config: &Arc<Config>, shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            reread,
            config: Arc::clone(config),
            shared: Arc::clone(shared),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Reads them again: requests that come from here on are held to them.
    pub(super) fn reload(&self) {
        if self.config.gateways.is_empty() {
            return;
        }
        match self.taken_up() {
            Ok(set) => {
                self.shared.put_credentials(&Arc::new(set));
                self.taken.fetch_add(1, Ordering::Relaxed);
                self.shared
                    .node()
                    .audit()
                    .act(Act::of_reload("credentials", Fate::Done));
                tracing::info!("credentials of gateways read again and in force");
            }
            Err(fault) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                self.shared
                    .node()
                    .audit()
                    .act(Act::of_reload("credentials", Fate::Refused));
                tracing::error!(
                    %fault,
                    "credentials of gateways refused, those before stay in force"
                );
            }
        }
    }

    /// In the order of the configuration that is in force.
    fn taken_up(&self) -> Result<CredentialSet, String> {
        let read = (self.reread.0)().map_err(|errors| errors.to_string())?;
        let gateways = self.config.gateways.iter();
        let each = gateways.map(|gateway| {
            let name = &gateway.name;
            let held = read.named(name);
            let held = held.ok_or_else(|| format!("gateway {name} is not there any more"))?;
            if !gateway.credentials.is_of_kind(held) {
                return Err(format!(
                    "gateway {name}: whether it signs, shows a key or neither is read at start"
                ));
            }
            Ok((name.clone(), Arc::clone(held)))
        });
        Ok(CredentialSet(each.collect::<Result<_, String>>()?))
    }
}

/// What a scrape is told of them.
#[derive(Debug)]
pub(super) struct CredentialsSource(pub(super) Arc<CredentialsKeeper>);

impl Source for CredentialsSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        if family != FamilyId::CredentialReloads {
            return None;
        }
        let sample = |result: &CredentialReload| {
            let count = match result {
                CredentialReload::Ok => &self.0.taken,
                CredentialReload::Refused => &self.0.refused,
            };
            let name = CredentialReload::VALUES.get(result.index()).copied();
            let label = vec![("result", name.unwrap_or_default().to_owned())];
            Sample::labelled(label, count.load(Ordering::Relaxed))
        };
        Some(CredentialReload::ALL.iter().map(sample).collect())
    }
}
