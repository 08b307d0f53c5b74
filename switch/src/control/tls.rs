//! The files of TLS, read at start and again at SIGHUP. What cannot be used is refused whole, and
//! what was in force stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::audit::{Act, AuditQueue, Fate};
use super::shared::Shared;
use crate::config::Config;
use crate::metrics::TlsReload;
use crate::metrics::exposition::Source;
use crate::metrics::fold::Sample;
use crate::metrics::names::FamilyId;
use crate::tls::TlsSet;

/// Reads the files and hands what they say to the shards.
#[derive(Debug)]
pub struct TlsKeeper {
    config: Arc<Config>,
    shared: Arc<Shared>,
    in_force: Mutex<Arc<TlsSet>>,
    taken: AtomicU64,
    refused: AtomicU64,
}

impl TlsKeeper {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// Which endpoint's, and what is wrong.
    pub fn open(config: &Arc<Config>, shared: &Arc<Shared>) -> Result<Arc<Self>, String> {
        let set = Arc::new(TlsSet::load(config)?);
        shared.put_tls(&set);
        Ok(Arc::new(Self {
            config: Arc::clone(config),
            shared: Arc::clone(shared),
            in_force: Mutex::new(set),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// Where it is told who was refused.
    pub(super) fn audit(&self) -> &Arc<AuditQueue> {
        self.shared.node().audit()
    }

    /// What is in force.
    pub(super) fn in_force(&self) -> Arc<TlsSet> {
        Arc::clone(&self.in_force.lock())
    }

    /// Reads them again: connections that begin from here on have what they say now.
    pub(super) fn reload(&self) {
        if self.in_force.lock().is_empty() {
            tracing::warn!(
                "no endpoint has tls; besides them SIGHUP takes up credentials of gateways and \
                 keys of account numbers"
            );
            return;
        }
        match TlsSet::load(&self.config) {
            Ok(set) => {
                let set = Arc::new(set);
                self.shared.put_tls(&set);
                *self.in_force.lock() = set;
                self.taken.fetch_add(1, Ordering::Relaxed);
                self.audit().act(Act::of_reload("tls", Fate::Done));
                tracing::info!(
                    "files of tls read again and in force for new connections; besides them SIGHUP \
                     takes up credentials of gateways and keys of account numbers"
                );
            }
            Err(fault) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                self.audit().act(Act::of_reload("tls", Fate::Refused));
                tracing::error!(%fault, "files of tls refused, those before stay in force");
            }
        }
    }
}

/// What a scrape is told of them.
#[derive(Debug)]
pub(super) struct TlsSource(pub(super) Arc<TlsKeeper>);

impl Source for TlsSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        match family {
            FamilyId::TlsCertificateExpiry => {
                let set = Arc::clone(&self.0.in_force.lock());
                let sample = |(name, at): &(String, domain::time::WallTime)| {
                    let nanos = at.unix_millis().saturating_mul(1_000_000);
                    Sample::labelled(vec![("name", name.clone())], nanos)
                };
                Some(set.expiries().iter().map(sample).collect())
            }
            FamilyId::TlsReloads => {
                let sample = |result: &TlsReload| {
                    let count = match result {
                        TlsReload::Ok => &self.0.taken,
                        TlsReload::Refused => &self.0.refused,
                    };
                    let name = TlsReload::VALUES.get(result.index()).copied();
                    let label = vec![("result", name.unwrap_or_default().to_owned())];
                    Sample::labelled(label, count.load(Ordering::Relaxed))
                };
                Some(TlsReload::ALL.iter().map(sample).collect())
            }
            _ => None,
        }
    }
}
