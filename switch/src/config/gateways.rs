//! Gateways: who sends JSON over HTTP, and how it proves who it is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::bytes::Text;
use domain::ids::{AcquirerId, MerchantId, TerminalId};

use transaction::settings::Windows;

use super::connections::{self, ConnectionBounds};
use super::gateway_credentials::{CredentialSet, Credentials, Needs, credentials};
use super::gateway_permissions::{Permissions, permissions};
use super::gateway_rates::{GatewayRates, rates};
use super::profile::{check_different, windows};
use super::secret::{SecretPlace, Vault};
use super::section::{Section, nearest};
use super::tls::{self, ListenerTls};
use super::{Acquirer, Duplicates, Durability, Listener, Node, endpoints};
use crate::callback::{self, Hosts};

/// Where one gateway connects.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Unique among gateways.
    pub name: String,
    /// Port 0 takes a free one, told in the ready file.
    pub address: SocketAddr,
    /// Whose transactions these are: of no other gateway and no listener.
    pub acquirer: AcquirerId,
    /// TLS of its connections; `None` for plain text.
    pub tls: Option<Arc<ListenerTls>>,
    /// How it shows who it is, as the start found it.
    pub credentials: Arc<Credentials>,
    /// DE41 of what it asks for.
    pub terminal: TerminalId,
    /// DE42 of what it asks for.
    pub merchant: MerchantId,
    /// DE18; empty for none.
    pub merchant_category: Text<4>,
    /// Whether a party may be named by a PAN: where gateways handle cards, all rules for card data
    /// hold for them.
    pub allow_pan: bool,
    /// Whether GSMA's Mobile Money API is served beside the other one.
    pub gsma: bool,
    /// What a copy is told in GSMA's words.
    pub gsma_duplicate: GsmaDuplicate,
    /// Bytes of one body.
    pub body_len_max: usize,
    /// How long a key is known.
    pub windows: Windows,
    /// What it may ask for.
    pub permissions: Permissions,
    /// Nonces that are known of it, over all shards.
    pub nonces_max: usize,
    /// How often it may ask.
    pub rates: GatewayRates,
    /// How many connections it may have.
    pub connections: ConnectionBounds,
    /// Who is told of what has become final; `None` where nobody is.
    pub callbacks: Option<Callbacks>,
}

/// How a gateway is called back.
#[derive(Clone, Debug)]
pub struct Callbacks {
    /// Where it may be.
    pub hosts: Hosts,
    /// What signs, the first of them first: two while one takes the other's place. Read anew for
    /// each message.
    pub secrets: Vec<SecretPlace>,
    /// PEM of who may vouch for it.
    pub trust: PathBuf,
}

impl Gateway {
    /// Whether only those come in whom it names.
    #[must_use]
    pub fn names_identities(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| !tls.identities.is_empty())
    }
}

/// What a copy is told in GSMA's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsmaDuplicate {
    /// What its first was told.
    Replay,
    /// That it is a duplicate, as the specification has it.
    Reject,
}

fn gsma_duplicate(section: &Section<'_>) -> GsmaDuplicate {
    let told = section.parsed("gsma_duplicate", |text| match text {
        "replay" => Ok(GsmaDuplicate::Replay),
        "reject" => Ok(GsmaDuplicate::Reject),
        _ => Err("takes \"replay\" or \"reject\"".to_owned()),
    });
    told.unwrap_or(GsmaDuplicate::Replay)
}

/// Reads `[[gateway]]`.
pub(super) fn gateways(
    root: &Section<'_>,
    acquirers: &[Acquirer],
    (listeners, duplicates): (&[Listener], &Duplicates),
    (node, vault): (&Node, &Vault<'_>),
) -> Vec<Gateway> {
    let names: Vec<&str> = acquirers.iter().map(|known| known.name.as_str()).collect();
    let mut gateways: Vec<Gateway> = Vec::new();
    for section in root.tables("gateway") {
        let acquirer = section.required("acquirer", |text| position(text, &names));
        let tls = tls::gateway(&section, vault);
        // A table with a fault, which was told, may have named somebody.
        let may_name =
            section.has("tls") && tls.as_ref().is_none_or(|tls| !tls.identities.is_empty());
        let needs = if may_name {
            Needs::Nothing
        } else {
            Needs::Some
        };
        let gateway = Gateway {
            name: endpoints::name(&section),
            address: section.required("address", address).unwrap_or(UNUSED),
            acquirer: AcquirerId(acquirer.unwrap_or(0)),
            tls: tls.map(Arc::new),
            credentials: Arc::new(credentials(&section, needs, vault)),
            permissions: permissions(&section),
            nonces_max: section.number("nonces_max", 1_000..=10_000_000, 400_000),
            terminal: section
                .required("terminal", terminal)
                .unwrap_or(Text::EMPTY),
            merchant: section
                .required("merchant", merchant)
                .unwrap_or(Text::EMPTY),
            merchant_category: section
                .parsed("merchant_category", category)
                .unwrap_or(Text::EMPTY),
            allow_pan: section.flag("allow_pan", false),
            gsma: section.flag("gsma", false),
            gsma_duplicate: gsma_duplicate(&section),
            body_len_max: section.number("body_len_max", 1_024..=65_536, 16_384),
            windows: windows(&section, duplicates),
            rates: rates(&section),
            connections: connections::of_gateway(&section),
            callbacks: callbacks(&section, vault),
        };
        let of_listeners = listeners.iter().map(|listener| listener.windows);
        let of_gateways = gateways.iter().map(|gateway| gateway.windows);
        let others = of_listeners.chain(of_gateways);
        check_different(&section, others.chain([gateway.windows]));
        check(&section, &gateway, &gateways, listeners);
        check_signing(&section, &gateway);
        if node.durability == Durability::Postgres {
            let text = "answers of a gateway cannot wait for PostgreSQL: `node.durability` must \
                        be `journal`";
            section.fault(text);
        }
        section.finish();
        gateways.push(gateway);
    }
    gateways
}

/// The credentials alone, of each gateway that has a name.
pub(super) fn credential_set(root: &Section<'_>, vault: &Vault<'_>) -> CredentialSet {
    let sections = root.tables("gateway");
    let each = sections.iter().filter_map(|section| {
        let (name, _) = section.required_text("name")?;
        // What a gateway needs is that of the start: the kind of its credentials must stay.
        let held = credentials(section, Needs::Nothing, vault);
        Some((name, Arc::new(held)))
    });
    CredentialSet(each.collect())
}

/// What is signed is good for so long, and a copy of it must not be a new payment.
fn check_signing(section: &Section<'_>, gateway: &Gateway) {
    let signs = !gateway.credentials.signing_keys.is_empty();
    if signs && gateway.windows.requests < SIGNED_FOR {
        let text = "`duplicate_window_s` is below 600 s, for which a signature may be good";
        section.fault_at("duplicate_window_s", text);
    }
    if !signs && section.has("nonces_max") {
        let text = "`nonces_max` is of no use without [[gateway.signing_key]]";
        section.fault_at("nonces_max", text);
    }
}

/// From 300 s before its time to 300 s after it.
const SIGNED_FOR: Duration = Duration::from_secs(600);

fn check(section: &Section<'_>, gateway: &Gateway, others: &[Gateway], listeners: &[Listener]) {
    let is_plain = section.flag("plaintext", false);
    // Without TLS a key can be read on the way, so it must be said, and only where nobody listens.
    if section.has("tls") {
        if is_plain {
            section.fault_at("plaintext", "`plaintext` and `tls` are one or the other");
        }
    } else if !is_plain {
        let text = "`tls` is required; `plaintext = true` says that something else does it";
        section.fault(text);
    } else if !is_near(gateway.address) {
        let text = "plain text is for loopback and private addresses alone";
        section.fault_at("address", text);
    }
    let is_taken = listeners
        .iter()
        .any(|listener| listener.acquirer == gateway.acquirer)
        || others
            .iter()
            .any(|other| other.acquirer == gateway.acquirer);
    if is_taken {
        let text = "an acquirer is of one gateway and of nobody else: its keys would meet others";
        section.fault_at("acquirer", text);
    }
    let mut taken = listeners.iter().map(|listener| listener.address);
    let port = gateway.address.port();
    if port != 0
        && (taken.any(|address| address == gateway.address)
            || others.iter().any(|other| other.address == gateway.address))
    {
        section.fault_at("address", format!("{} is taken", gateway.address));
    }
    if others.iter().any(|other| other.name == gateway.name) {
        section.fault_at("name", "is the name of another gateway");
    }
}

/// Reads the keys that begin with `callback_`.
fn callbacks(section: &Section<'_>, vault: &Vault<'_>) -> Option<Callbacks> {
    let hosts = Hosts {
        public: section.list("callback_hosts", host),
        private: section.list("callback_private_hosts", host),
    };
    let secrets = section.list("callback_secrets", |reference| {
        let place = vault.place(reference)?;
        let text = place.read()?;
        callback::secret(text.expose()).map_err(|fault| format!("({reference}) {fault}"))?;
        Ok(place)
    });
    let trust = section.parsed("callback_trust", |text| Ok(vault.state_dir.join(text)));
    if hosts.is_empty() {
        for key in ["callback_secrets", "callback_trust"] {
            if section.has(key) {
                section.fault_at(key, "nobody is told: `callback_hosts` is empty");
            }
        }
        return None;
    }
    if section.count("callback_secrets") == 0 {
        section.fault_at(
            "callback_secrets",
            "is required where `callback_hosts` is set",
        );
    } else if section.count("callback_secrets") > 2 {
        section.fault_at(
            "callback_secrets",
            "takes one, or two while one is replaced",
        );
    }
    Some(Callbacks {
        hosts,
        secrets,
        trust: trust.unwrap_or_else(|| PathBuf::from(SYSTEM_TRUST)),
    })
}

/// A name or an address, without scheme, port and wildcard.
fn host(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_host = text.parse::<std::net::Ipv6Addr>().is_ok()
        || (!text.is_empty() && text.len() <= 253 && text.bytes().all(is_name));
    if is_host {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("takes names of hosts, as gateway.example: no scheme, port or wildcard".to_owned())
    }
}

/// Where Debian and what descends from it keep whom everybody trusts.
const SYSTEM_TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whether nobody outside of this site can listen.
pub(super) fn is_near(address: SocketAddr) -> bool {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

fn position(text: &str, names: &[&str]) -> Result<u16, String> {
    let found = names.iter().position(|name| *name == text);
    let found = found.and_then(|place| u16::try_from(place).ok());
    found.ok_or_else(|| match nearest(text, names) {
        Some(near) => format!("no acquirer `{text}`; `{near}`?"),
        None => format!("no acquirer `{text}`"),
    })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "takes an address with its port, as 127.0.0.1:8443".to_owned())
}

fn terminal(text: &str) -> Result<TerminalId, String> {
    let fixed = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_graphic());
    let read = Text::new("DE41", text.as_bytes()).ok().filter(|_| fixed);
    read.ok_or_else(|| "takes 8 visible characters (DE41)".to_owned())
}

fn merchant(text: &str) -> Result<MerchantId, String> {
    let fixed = text.len() == 15 && text.bytes().all(|byte| byte.is_ascii_graphic());
    let read = Text::new("DE42", text.as_bytes()).ok().filter(|_| fixed);
    read.ok_or_else(|| "takes 15 visible characters (DE42)".to_owned())
}

fn category(text: &str) -> Result<Text<4>, String> {
    let fixed = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let read = Text::new("DE18", text.as_bytes()).ok().filter(|_| fixed);
    read.ok_or_else(|| "takes 4 digits (DE18)".to_owned())
}

const UNUSED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
