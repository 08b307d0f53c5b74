//! `[issuer_callbacks]`: where issuers over HTTP tell that something was decided.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Listener;
use super::endpoints::{address, unused_address};
use super::gateways::{Gateway, is_near};
use super::http_issuer::base_url;
use super::secret::Vault;
use super::section::Section;
use super::tls;
use crate::issuer::http::called::IssuerCallbacks;
use crate::issuer::http::plan::{Field, Operation, Plan};

/// Whether issuers can call back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Here<'a> {
    /// There is no such table.
    Nowhere,
    /// What is wrong with it was told.
    Faulty,
    /// There.
    At(&'a Arc<IssuerCallbacks>),
}

/// Reads it.
fn issuer_callbacks(section: &Section<'_>, vault: &Vault<'_>) -> Option<IssuerCallbacks> {
    let listen = section.required("address", address);
    let url = section.required("url", |text| {
        let url = base_url(text)?;
        Ok((text.trim_end_matches('/').to_owned(), url.path))
    });
    let secrets = section.list("secrets", |reference| vault.key(reference));
    if !(1..=2).contains(&section.count("secrets")) {
        let text = "takes one secret, or two while one is replaced: the first makes addresses";
        section.fault_at("secrets", text);
    }
    let tls = tls::issuer_callbacks(section, vault);
    let is_plain = section.flag("plaintext", false);
    if section.has("tls") == is_plain {
        let text = "takes [issuer_callbacks.tls], or `plaintext = true` where something in front \
                    of it has TLS: one of both";
        section.fault(text);
    } else if is_plain && listen.is_some_and(|listen| !is_near(listen)) {
        let text = "plain text is for loopback and private addresses alone";
        section.fault_at("address", text);
    }
    let (url, path) = url?;
    Some(IssuerCallbacks {
        address: listen.unwrap_or_else(unused_address),
        tls,
        url,
        path,
        secrets,
    })
}

/// The table, until it is known who else listens.
pub(super) struct Calls<'a> {
    section: Option<Section<'a>>,
    callbacks: Option<Arc<IssuerCallbacks>>,
}

impl<'a> Calls<'a> {
    pub(super) fn read(root: &Section<'a>, vault: &Vault<'_>) -> Self {
        let section = root.optional_section("issuer_callbacks");
        let callbacks = section.as_ref();
        let callbacks = callbacks.and_then(|section| issuer_callbacks(section, vault));
        Self {
            section,
            callbacks: callbacks.map(Arc::new),
        }
    }

    pub(super) const fn here(&self) -> Here<'_> {
        match &self.callbacks {
            Some(callbacks) => Here::At(callbacks),
            None if self.section.is_some() => Here::Faulty,
            None => Here::Nowhere,
        }
    }

    /// Nobody else may listen there.
    pub(super) fn checked(
        self,
        admin: SocketAddr,
        (listeners, gateways): (&[Listener], &[Gateway]),
    ) -> Option<Arc<IssuerCallbacks>> {
        let section = self.section?;
        let listeners = listeners.iter().map(|listener| listener.address);
        let gateways = gateways.iter().map(|gateway| gateway.address);
        let mut others = listeners.chain(gateways).chain([admin]);
        let own = self.callbacks.as_ref().map(|callbacks| callbacks.address);
        let taken = own.filter(|own| own.port() != 0 && others.any(|other| other == *own));
        if let Some(taken) = taken {
            section.fault_at("address", format!("{taken} is taken"));
        }
        section.finish();
        self.callbacks
    }
}

//= docs/rules.md#M-16
/// Where this issuer calls back, where a submit says so. A call brings a query forward.
pub(super) fn called(
    section: &Section<'_>,
    plan: &Plan,
    callbacks: Here<'_>,
) -> Option<Arc<IssuerCallbacks>> {
    let mut of_all = plan.headers.iter();
    if of_all.any(|(_, value)| value.contains(CALLBACK_URL)) {
        let text = "the callback is told with `submit`: name it in [issuer.http.submit.headers]";
        section.fault_at("headers", text);
    }
    if !plan.submit.names(CALLBACK_URL, Field::CallbackUrl) {
        return None;
    }
    if plan.query.is_none() {
        let text = "`submit` names the callback, which brings a query forward and decides nothing: \
                    it needs [issuer.http.query]";
        section.fault_at("submit", text);
    }
    match callbacks {
        Here::At(callbacks) => Some(Arc::clone(callbacks)),
        Here::Faulty => None,
        Here::Nowhere => {
            let text = "`submit` names the callback, and there is no [issuer_callbacks], where \
                        the switch listens for it";
            section.fault_at("submit", text);
            None
        }
    }
}

/// As a header has it.
pub(super) const CALLBACK_URL: &str = "{callbackUrl}";

/// A callback is of a submit.
pub(super) fn check_uncalled(section: &Section<'_>, operation: &Operation) {
    if operation.names(CALLBACK_URL, Field::CallbackUrl) {
        section.fault("the callback is told with `submit`, and with nothing else");
    }
}
