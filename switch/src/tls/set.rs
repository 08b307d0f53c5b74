//! The TLS of all endpoints as one: what is in force is replaced whole, and a connection keeps what
//! it began with.

use std::cell::RefCell;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;
use domain::ids::IssuerId;
use domain::time::WallTime;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use super::material::{self, Loaded};
use crate::config::{Config, ListenerId, TlsIdentity};

/// Everything that was read of all files.
#[derive(Debug)]
pub struct TlsSet {
    /// By [`ListenerId`].
    listeners: Vec<Option<Arc<ListenerSide>>>,
    /// By [`IssuerId`].
    issuers: Vec<Option<Arc<IssuerSide>>>,
    expiries: Vec<(String, WallTime)>,
}

/// What the sessions of a listener begin with.
#[derive(Debug)]
pub(crate) struct ListenerSide {
    pub(crate) config: Arc<ServerConfig>,
    /// Who may come; empty admits whoever is trusted.
    pub(crate) identities: Vec<Arc<TlsIdentity>>,
}

/// What the links of an issuer begin with.
#[derive(Debug)]
pub(crate) struct IssuerSide {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server_name: Option<ServerName<'static>>,
}

impl TlsSet {
    /// Reads all files that `config` names.
    ///
    /// # Errors
    /// The endpoint, and what is wrong with which file.
    pub fn load(config: &Config) -> Result<Self, String> {
        let mut expiries = Vec::new();
        let mut listeners = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            let name = &listener.name;
            let side = listener.tls.as_ref().map(|tls| {
                let loaded =
                    material::server(tls).map_err(|fault| format!("listener {name}: {fault}"))?;
                note(&mut expiries, "listener", name, &loaded);
                Ok::<_, String>(Arc::new(ListenerSide {
                    config: loaded.config,
                    identities: tls.identities.iter().cloned().map(Arc::new).collect(),
                }))
            });
            listeners.push(side.transpose()?);
        }
        let mut issuers = Vec::with_capacity(config.issuers.len());
        for issuer in &config.issuers {
            let name = &issuer.name;
            let side = issuer.tls.as_ref().map(|tls| {
                let loaded =
                    material::client(tls).map_err(|fault| format!("issuer {name}: {fault}"))?;
                note(&mut expiries, "issuer", name, &loaded);
                Ok::<_, String>(Arc::new(IssuerSide {
                    config: loaded.config,
                    server_name: tls.server_name.clone(),
                }))
            });
            issuers.push(side.transpose()?);
        }
        Ok(Self {
            listeners,
            issuers,
            expiries,
        })
    }

    /// Until when the files of each endpoint are good: `listener/pos`, `issuer/bank/trust`.
    #[must_use]
    pub fn expiries(&self) -> &[(String, WallTime)] {
        &self.expiries
    }

    /// No endpoint speaks TLS.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.listeners.iter().all(Option::is_none) && self.issuers.iter().all(Option::is_none)
    }

    const fn none() -> Self {
        Self {
            listeners: Vec::new(),
            issuers: Vec::new(),
            expiries: Vec::new(),
        }
    }
}

fn note<T>(expiries: &mut Vec<(String, WallTime)>, kind: &str, name: &str, loaded: &Loaded<T>) {
    let own = loaded.own_until.map(|at| (format!("{kind}/{name}"), at));
    let trust = loaded.trust_until;
    let trust = trust.map(|at| (format!("{kind}/{name}/trust"), at));
    expiries.extend(own.into_iter().chain(trust));
}

/// From the control plane to one shard: the newest set that the shard has not taken up.
#[derive(Debug)]
pub(crate) struct TlsNews {
    newest: ArrayQueue<Arc<TlsSet>>,
}

impl TlsNews {
    pub(crate) fn new() -> Self {
        Self {
            newest: ArrayQueue::new(1),
        }
    }

    /// Takes the place of one that was not taken up.
    pub(crate) fn put(&self, set: Arc<TlsSet>) {
        drop(self.newest.force_push(set));
    }
}

/// A shard's side.
#[derive(Debug)]
pub(crate) struct TlsInForce {
    shared: Arc<crate::control::shared::ShardShared>,
    set: RefCell<Arc<TlsSet>>,
}

impl TlsInForce {
    pub(crate) fn new(shared: Arc<crate::control::shared::ShardShared>) -> Self {
        Self {
            shared,
            set: RefCell::new(Arc::new(TlsSet::none())),
        }
    }

    /// For a session that begins.
    pub(crate) fn listener(&self, listener: ListenerId) -> Option<Arc<ListenerSide>> {
        self.take_up();
        let set = self.set.borrow();
        set.listeners
            .get(usize::from(listener.0))
            .cloned()
            .flatten()
    }

    /// For a link that begins.
    pub(crate) fn issuer(&self, issuer: IssuerId) -> Option<Arc<IssuerSide>> {
        self.take_up();
        let set = self.set.borrow();
        set.issuers.get(usize::from(issuer.0)).cloned().flatten()
    }

    fn take_up(&self) {
        if let Some(set) = self.shared.tls.newest.pop() {
            *self.set.borrow_mut() = set;
        }
    }
}
