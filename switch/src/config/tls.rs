//! `tls` of a listener and of an issuer: which files, and who may come.

use std::path::{Path, PathBuf};

use domain::ids::InstitutionId;
use rustls::pki_types::ServerName;

use super::secret::{SecretPlace, Vault};
use super::section::Section;
use crate::tls::material::{self, Alpn};

/// TLS of a listener's sessions.
#[derive(Debug)]
pub struct ListenerTls {
    /// PEM files; read again at SIGHUP.
    pub files: TlsFiles,
    /// A connection without a certificate of the other side is refused.
    pub require_client_certificate: bool,
    /// Who may come; empty admits whoever has a certificate of somebody trusted.
    pub identities: Vec<TlsIdentity>,
}

/// TLS of an issuer's links.
#[derive(Debug)]
pub struct IssuerTls {
    /// PEM files; read again at SIGHUP.
    pub files: TlsFiles,
    /// What the issuer's certificate must be made out to; `None` for the address that is connected
    /// to.
    pub server_name: Option<ServerName<'static>>,
}

/// PEM files of one endpoint.
#[derive(Debug)]
pub struct TlsFiles {
    /// Who may have signed the other side's certificate.
    pub trust: Option<PathBuf>,
    /// What this side shows: the chain, its own certificate first; and its key.
    pub own: Option<TlsIdentityFiles>,
    /// Certificates that are withdrawn.
    pub crl: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub version_min: TlsVersion,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct TlsIdentityFiles {
    /// The chain, the switch's own certificate first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: SecretPlace,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2.
    V12,
    /// 1.3.
    V13,
}

/// One who may come, by a name of his certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// A URI or a DNS name among the subject's alternative names, letter by letter.
    pub san: String,
    /// What DE32 and DE33 of its messages may say; empty for anything.
    pub institutions: Vec<InstitutionId>,
}

impl TlsIdentity {
    /// Whether DE32 or DE33 may say this.
    #[must_use]
    pub fn speaks_for(&self, institution: &[u8]) -> bool {
        let mut known = self.institutions.iter();
        self.institutions.is_empty() || known.any(|known| known.as_bytes() == institution)
    }
}

pub(super) fn listener(section: &Section<'_>, vault: &Vault<'_>) -> Option<ListenerTls> {
    let section = section.optional_section("tls")?;
    let tls = serving(&section, vault, (Alpn::None, Client::IsRequired));
    section.finish();
    tls
}

/// Of the admin listener: whoever has a certificate of somebody trusted may look.
pub(super) fn admin(section: &Section<'_>, vault: &Vault<'_>) -> Option<ListenerTls> {
    unnamed(section, vault, Client::IsRequired)
}

/// Of the listener for issuers' callbacks: each address has its own proof.
pub(super) fn issuer_callbacks(section: &Section<'_>, vault: &Vault<'_>) -> Option<ListenerTls> {
    unnamed(section, vault, Client::MayCome)
}

/// Of a listener that asks nobody for his name.
fn unnamed(section: &Section<'_>, vault: &Vault<'_>, client: Client) -> Option<ListenerTls> {
    let section = section.optional_section("tls")?;
    let tls = serving(&section, vault, (Alpn::Http11, client));
    if section.has("identities") {
        section.fault_at("identities", "`identities` are of listeners and gateways");
    }
    section.finish();
    tls
}

/// Whether the other side shows a certificate where the configuration does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    IsRequired,
    MayCome,
}

/// Of a gateway. Whoever is named may act as the acquirer of the gateway that names him, and of no
/// other.
pub(super) fn gateway(section: &Section<'_>, vault: &Vault<'_>) -> Option<ListenerTls> {
    let section = section.optional_section("tls")?;
    let tls = serving(&section, vault, (Alpn::Http11, Client::IsRequired));
    let named = tls.iter().flat_map(|tls| &tls.identities);
    if named.into_iter().any(|one| !one.institutions.is_empty()) {
        let text = "`institutions` are of listeners: what a gateway asks for names none";
        section.fault_at("identities", text);
    }
    section.finish();
    tls
}

/// The side that is connected to.
fn serving(
    section: &Section<'_>,
    vault: &Vault<'_>,
    (alpn, client): (Alpn, Client),
) -> Option<ListenerTls> {
    let is_required = client == Client::IsRequired;
    let requires = section.flag("require_client_certificate", is_required);
    let tls = ListenerTls {
        files: files(section, vault)?,
        require_client_certificate: requires,
        identities: identities(section),
    };
    if tls.files.own.is_none() {
        section.fault_at("certificate", "`certificate` and `key` are required");
    }
    if requires && tls.files.trust.is_none() {
        let text = "`trust` is required: it says who may have signed the other side's certificate; \
                    or set `require_client_certificate` to false";
        section.fault_at("trust", text);
    }
    if !requires && !tls.identities.is_empty() {
        let text = "`identities` need `require_client_certificate`";
        section.fault_at("identities", text);
    }
    if tls.files.crl.is_some() && tls.files.trust.is_none() {
        section.fault_at("crl", "`crl` needs `trust`");
    }
    let is_whole = tls.files.own.is_some() && (tls.files.trust.is_some() || !requires);
    if is_whole && let Err(fault) = material::server(&tls, alpn) {
        section.fault_at(fault.key, fault.to_string());
    }
    Some(tls)
}

pub(super) fn issuer(section: &Section<'_>, vault: &Vault<'_>) -> Option<IssuerTls> {
    let section = section.optional_section("tls")?;
    let tls = IssuerTls {
        server_name: section.parsed("server_name", |text| {
            ServerName::try_from(text.to_owned())
                .map_err(|_| "takes a DNS name or an IP address".to_owned())
        }),
        files: files(&section, vault)?,
    };
    if tls.files.trust.is_none() {
        let text = "`trust` is required: it says who may have signed the issuer's certificate";
        section.fault_at("trust", text);
    } else if let Err(fault) = material::client(&tls) {
        section.fault_at(fault.key, fault.to_string());
    }
    section.finish();
    Some(tls)
}

/// `None` after a fault that was told.
fn files(section: &Section<'_>, vault: &Vault<'_>) -> Option<TlsFiles> {
    let certificate = section.parsed("certificate", |text| public(vault, text));
    let key = section.parsed("key", |text| {
        vault.text(text)?;
        vault.place(text)
    });
    let is_paired = section.has("certificate") == section.has("key");
    if !is_paired {
        let text = "`certificate` and `key` go together";
        section.fault_at("certificate", text);
    }
    let is_read =
        certificate.is_some() == section.has("certificate") && key.is_some() == section.has("key");
    let trust = section.parsed("trust", |text| public(vault, text));
    let crl = section.parsed("crl", |text| public(vault, text));
    let version_min = section.parsed("min_version", |text| match text {
        "1.2" => Ok(TlsVersion::V12),
        "1.3" => Ok(TlsVersion::V13),
        _ => Err("takes \"1.2\" or \"1.3\"".to_owned()),
    });
    let own = certificate.zip(key);
    let files = TlsFiles {
        trust,
        own: own.map(|(certificate, key)| TlsIdentityFiles { certificate, key }),
        crl,
        version_min: version_min.unwrap_or(TlsVersion::V12),
    };
    (is_paired && is_read).then_some(files)
}

/// A file that is no secret, by its reference.
pub(super) fn public(vault: &Vault<'_>, text: &str) -> Result<PathBuf, String> {
    let place = vault.place(text).ok();
    let path = place
        .as_ref()
        .and_then(SecretPlace::path)
        .map(Path::to_owned);
    path.ok_or_else(|| "takes file:PATH or credential:NAME".to_owned())
}

fn identities(section: &Section<'_>) -> Vec<TlsIdentity> {
    let identity = |section: Section<'_>| {
        let identity = TlsIdentity {
            san: section
                .required("san", |text| match text.trim() {
                    "" => Err("is empty".to_owned()),
                    name => Ok(name.to_owned()),
                })
                .unwrap_or_default(),
            institutions: section.list("institutions", super::endpoints::institution),
        };
        section.finish();
        identity
    };
    let tables = section.tables("identities");
    tables.into_iter().map(identity).collect()
}
