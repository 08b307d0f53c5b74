//! The TLS of all endpoints as one: what is in force is replaced whole, and a connection keeps what
//! it began with.

use std::cell::RefCell;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;
use domain::ids::IssuerId;
use domain::time::WallTime;
use rustls::pki_types::ServerName;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ServerConfig};

use super::material::{self, Alpn, Loaded};
use crate::config::{Config, ListenerId, ListenerTls, TlsIdentity};

/// Everything that was read of all files.
#[derive(Debug)]
pub struct TlsSet {
    /// By [`ListenerId`].
    listeners: Vec<Begins<ListenerSide>>,
    /// In the order of the configuration.
    gateways: Vec<Begins<ListenerSide>>,
    /// By [`IssuerId`].
    issuers: Vec<Begins<IssuerSide>>,
    admin: Begins<ListenerSide>,
    issuer_callbacks: Begins<ListenerSide>,
    expiries: Vec<(String, WallTime)>,
}

/// How a connection begins.
#[derive(Debug)]
pub(crate) enum Begins<T> {
    /// Its endpoint has no table `tls`.
    InClear,
    Secured(Arc<T>),
    /// Nobody has said what its endpoint has: it does not begin. Never taken for in clear.
    Unknown,
}

impl<T> Clone for Begins<T> {
    fn clone(&self) -> Self {
        match self {
            Self::InClear => Self::InClear,
            Self::Secured(side) => Self::Secured(Arc::clone(side)),
            Self::Unknown => Self::Unknown,
        }
    }
}

impl<T> Begins<T> {
    fn of(side: Option<T>) -> Self {
        side.map_or(Self::InClear, |side| Self::Secured(Arc::new(side)))
    }

    const fn is_secured(&self) -> bool {
        matches!(self, Self::Secured(_))
    }
}

/// What the sessions of a listener, or the connections of a gateway, begin with.
#[derive(Debug)]
pub(crate) struct ListenerSide {
    pub(crate) config: Arc<ServerConfig>,
    /// Who says whether a certificate is good; `None` where none is asked for.
    pub(crate) verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Who may come; empty admits whoever is trusted.
    pub(crate) identities: Vec<Arc<TlsIdentity>>,
}

/// What the links of an issuer begin with.
#[derive(Debug)]
pub(crate) struct IssuerSide {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server_name: Option<ServerName<'static>>,
    /// When the first certificate of its own chain expires.
    pub(crate) own_until: Option<WallTime>,
}

impl TlsSet {
    /// Reads all files that `config` names.
    ///
    /// # Errors
    /// The endpoint, and what is wrong with which file.
    pub fn load(config: &Config) -> Result<Self, String> {
        let mut expiries = Vec::new();
        let mut serving = |kind: &str, name: &str, tls: Option<&ListenerTls>, alpn: Alpn| {
            let side = tls.map(|tls| {
                let loaded = material::server(tls, alpn);
                let loaded = loaded.map_err(|fault| format!("{kind} {name}: {fault}"))?;
                note(&mut expiries, kind, name, &loaded);
                Ok::<_, String>(ListenerSide {
                    config: loaded.config,
                    verifier: loaded.verifier,
                    identities: tls.identities.iter().cloned().map(Arc::new).collect(),
                })
            });
            Ok::<_, String>(Begins::of(side.transpose()?))
        };
        let listeners = config.listeners.iter().map(|listener| {
            serving(
                "listener",
                &listener.name,
                listener.tls.as_ref(),
                Alpn::None,
            )
        });
        let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
        let gateways = config.gateways.iter();
        let gateways = gateways.map(|gateway| {
            serving(
                "gateway",
                &gateway.name,
                gateway.tls.as_deref(),
                Alpn::Http11,
            )
        });
        let gateways = gateways.collect::<Result<Vec<_>, _>>()?;
        let admin = serving("admin", "listener", config.admin.tls.as_ref(), Alpn::Http11)?;
        let callbacks = config.issuer_callbacks.as_ref();
        let callbacks = callbacks.and_then(|callbacks| callbacks.tls.as_ref());
        let issuer_callbacks = serving("issuer-callbacks", "listener", callbacks, Alpn::Http11)?;
        let mut issuers = Vec::with_capacity(config.issuers.len());
        for issuer in &config.issuers {
            let name = &issuer.name;
            let side = issuer.tls.as_ref().map(|tls| {
                let loaded =
                    material::client(tls).map_err(|fault| format!("issuer {name}: {fault}"))?;
                note(&mut expiries, "issuer", name, &loaded);
                Ok::<_, String>(IssuerSide {
                    config: loaded.config,
                    server_name: tls.server_name.clone(),
                    own_until: loaded.own_until,
                })
            });
            issuers.push(Begins::of(side.transpose()?));
        }
        Ok(Self {
            listeners,
            gateways,
            issuers,
            admin,
            issuer_callbacks,
            expiries,
        })
    }

    /// For what the control plane asks of an issuer.
    pub(crate) fn issuer_side(&self, issuer: IssuerId) -> Begins<IssuerSide> {
        begins(&self.issuers, issuer.0)
    }

    /// For a connection to the admin listener.
    pub(crate) const fn admin(&self) -> &Begins<ListenerSide> {
        &self.admin
    }

    /// For a connection to the listener for issuers' callbacks.
    pub(crate) const fn issuer_callbacks(&self) -> &Begins<ListenerSide> {
        &self.issuer_callbacks
    }

    /// Until when the files of each endpoint are good: `listener/pos`, `issuer/bank/trust`.
    #[must_use]
    pub fn expiries(&self) -> &[(String, WallTime)] {
        &self.expiries
    }

    /// No endpoint speaks TLS.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        let served = self.listeners.iter().chain(&self.gateways);
        let mut served = served.chain([&self.admin, &self.issuer_callbacks]);
        !served.any(Begins::is_secured) && !self.issuers.iter().any(Begins::is_secured)
    }

    pub(super) const fn none() -> Self {
        Self {
            listeners: Vec::new(),
            gateways: Vec::new(),
            issuers: Vec::new(),
            admin: Begins::Unknown,
            issuer_callbacks: Begins::Unknown,
            expiries: Vec::new(),
        }
    }
}

fn note<T>(expiries: &mut Vec<(String, WallTime)>, kind: &str, name: &str, loaded: &Loaded<T>) {
    let ends = [
        ("", loaded.own_until),
        ("/trust", loaded.trust_until),
        ("/crl", loaded.crl_until),
    ];
    let ends = ends.into_iter();
    expiries.extend(ends.filter_map(|(of, at)| Some((format!("{kind}/{name}{of}"), at?))));
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
    pub(crate) fn listener(&self, listener: ListenerId) -> Begins<ListenerSide> {
        self.take_up();
        begins(&self.set.borrow().listeners, listener.0)
    }

    /// For a connection of a gateway that begins.
    pub(crate) fn gateway(&self, number: u16) -> Begins<ListenerSide> {
        self.take_up();
        begins(&self.set.borrow().gateways, number)
    }

    /// For a link that begins.
    pub(crate) fn issuer(&self, issuer: IssuerId) -> Begins<IssuerSide> {
        self.take_up();
        begins(&self.set.borrow().issuers, issuer.0)
    }

    fn take_up(&self) {
        if let Some(set) = self.shared.tls.newest.pop() {
            *self.set.borrow_mut() = set;
        }
    }
}

/// What is not there is not known.
fn begins<T>(of: &[Begins<T>], place: u16) -> Begins<T> {
    of.get(usize::from(place))
        .cloned()
        .unwrap_or(Begins::Unknown)
}
