//! PEM files into configurations of TLS: read whole, checked, refused with the key that names the
//! file. Nothing of a key is ever in an error.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use domain::time::WallTime;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::clock::Clock;
use crate::config::{IssuerTls, ListenerTls, TlsFiles, TlsIdentityFiles, TlsVersion};

/// What is wrong with a file, and which key names it.
#[derive(Debug)]
pub(crate) struct Fault {
    /// `certificate`, `key`, `trust` or `crl`.
    pub(crate) key: &'static str,
    text: String,
}

impl Fault {
    fn new(key: &'static str, path: &Path, text: impl fmt::Display) -> Self {
        let text = format!("`{key}` ({}) {text}", path.display());
        Self { key, text }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Something made out of files, and until when these are good.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    pub(crate) config: Arc<T>,
    /// Of its own chain, the soonest.
    pub(crate) own_until: Option<WallTime>,
    /// Of those trusted, the soonest.
    pub(crate) trust_until: Option<WallTime>,
    /// When the first list of withdrawn certificates is overdue.
    pub(crate) crl_until: Option<WallTime>,
    /// Of who comes; `None` where nobody does, or no certificate is asked for.
    pub(crate) verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// What is spoken inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// Whatever both sides know of each other.
    None,
    /// HTTP/1.1: who wants to speak anything else is refused in the handshake.
    Http11,
}

/// The acquirers' side. No resumption: a certificate that has been withdrawn is looked at with each
/// connection, and connections are kept for days.
pub(crate) fn server(tls: &ListenerTls, alpn: Alpn) -> Result<Loaded<ServerConfig>, Fault> {
    let Some(own) = &tls.files.own else {
        let text = "is required".to_owned();
        let key = "certificate";
        return Err(Fault { key, text });
    };
    let (chain, own_until) = chain(own)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let trust = tls.files.trust.as_deref().map(trusted).transpose()?;
    let (lists, crl_until) = withdrawn(&tls.files)?;
    let (verifier, trust_until) = match trust {
        None => (None, None),
        Some((roots, until)) => {
            let path = tls.files.trust.as_deref().unwrap_or_else(|| Path::new(""));
            let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .with_crls(lists)
                .enforce_revocation_expiration();
            let builder = if tls.require_client_certificate {
                builder
            } else {
                builder.allow_unauthenticated()
            };
            let verifier = builder
                .build()
                .map_err(|error| Fault::new("trust", path, error))?;
            (Some(verifier), until)
        }
    };
    let asking = verifier.clone();
    let asking = asking.unwrap_or_else(WebPkiClientVerifier::no_client_auth);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(tls.files.version_min))
        .map_err(|error| Fault::new("certificate", &own.certificate, error))?
        .with_client_cert_verifier(asking)
        .with_single_cert(chain, key_of(own)?)
        .map_err(|error| unfit(own, &error))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if alpn == Alpn::Http11 {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    Ok(Loaded {
        config: Arc::new(config),
        own_until: Some(own_until),
        trust_until,
        crl_until,
        verifier,
    })
}

/// The issuers' side.
pub(crate) fn client(tls: &IssuerTls) -> Result<Loaded<ClientConfig>, Fault> {
    let Some(path) = tls.files.trust.as_deref() else {
        let text = "is required".to_owned();
        return Err(Fault { key: "trust", text });
    };
    let (roots, trust_until) = trusted(path)?;
    let (lists, crl_until) = withdrawn(&tls.files)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| Fault::new("trust", path, error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(tls.files.version_min))
        .map_err(|error| Fault::new("trust", path, error))?
        .with_webpki_verifier(verifier);
    let (mut config, own_until) = match &tls.files.own {
        None => (builder.with_no_client_auth(), None),
        Some(own) => {
            let (chain, until) = chain(own)?;
            let config = builder.with_client_auth_cert(chain, key_of(own)?);
            (config.map_err(|error| unfit(own, &error))?, Some(until))
        }
    };
    config.resumption = Resumption::disabled();
    Ok(Loaded {
        config: Arc::new(config),
        own_until,
        trust_until,
        crl_until,
        verifier: None,
    })
}

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    static FROM_13: [&SupportedProtocolVersion; 1] = [&TLS13];
    match min {
        TlsVersion::V12 => &FROM_12,
        TlsVersion::V13 => &FROM_13,
    }
}

/// The switch's own chain, and until when all of it is good.
fn chain(own: &TlsIdentityFiles) -> Result<(Vec<CertificateDer<'static>>, WallTime), Fault> {
    let path = &own.certificate;
    let chain = certificates("certificate", path)?;
    let now = Clock::start().wall();
    let mut until = WallTime::from_unix_millis(u64::MAX);
    for certificate in &chain {
        let (begin, end) = validity(certificate)
            .map_err(|error| Fault::new("certificate", path, unreadable(error)))?;
        if now < begin {
            let text = "is not valid yet: look at its dates and at the clock of this machine";
            return Err(Fault::new("certificate", path, text));
        }
        if end < now {
            return Err(Fault::new("certificate", path, "has expired"));
        }
        until = until.min(end);
    }
    Ok((chain, until))
}

/// The certificates of those trusted that are good today, and until when all of these are. The
/// verifier looks at no dates of theirs.
fn trusted(path: &Path) -> Result<(Arc<RootCertStore>, Option<WallTime>), Fault> {
    let now = Clock::start().wall();
    let mut roots = RootCertStore::empty();
    let mut until = None::<WallTime>;
    for certificate in certificates("trust", path)? {
        let (begin, end) =
            validity(&certificate).map_err(|error| Fault::new("trust", path, unreadable(error)))?;
        if now < begin || end < now {
            tracing::warn!(file = %path.display(), "a certificate of those trusted is left out: it \
                has expired, or is not valid yet");
            continue;
        }
        roots
            .add(certificate)
            .map_err(|error| Fault::new("trust", path, unreadable(error)))?;
        until = Some(until.map_or(end, |soonest| soonest.min(end)));
    }
    if roots.is_empty() {
        let text = "has no certificate that is valid today";
        return Err(Fault::new("trust", path, text));
    }
    Ok((Arc::new(roots), until))
}

/// The lists of withdrawn certificates, and when the first of them is overdue. One that is overdue
/// says nothing of what was withdrawn since: it is not taken, and no connection is once it is.
fn withdrawn(files: &TlsFiles) -> Result<Withdrawn, Fault> {
    let Some(path) = files.crl.as_deref() else {
        return Ok((Vec::new(), None));
    };
    let lists = CertificateRevocationListDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| Fault::new("crl", path, unreadable(error)))?;
    if lists.is_empty() {
        return Err(Fault::new("crl", path, "holds no list"));
    }
    let now = Clock::start().wall();
    let mut until = WallTime::from_unix_millis(u64::MAX);
    for list in &lists {
        let read = CertificateList::from_der(list);
        let read = read.map_err(|error| Fault::new("crl", path, unreadable(error)))?;
        let next = read.tbs_cert_list.next_update.map(wall);
        let next = next.ok_or_else(|| {
            let text = "holds a list that does not say until when it is good (nextUpdate)";
            Fault::new("crl", path, text)
        })?;
        if next < now {
            let text = "holds a list that is overdue: its nextUpdate has passed, get a new one";
            return Err(Fault::new("crl", path, text));
        }
        until = until.min(next);
    }
    Ok((lists, Some(until)))
}

type Withdrawn = (Vec<CertificateRevocationListDer<'static>>, Option<WallTime>);

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let all = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| Fault::new(key, path, unreadable(error)))?;
    if all.is_empty() {
        return Err(Fault::new(key, path, "holds no certificate"));
    }
    Ok(all)
}

fn key_of(own: &TlsIdentityFiles) -> Result<PrivateKeyDer<'static>, Fault> {
    let path = own.key.path().unwrap_or_else(|| Path::new("a variable"));
    let text = own
        .key
        .read()
        .map_err(|fault| Fault::new("key", path, fault))?;
    // The error of a key may hold some of it.
    PrivateKeyDer::from_pem_slice(text.expose().as_bytes())
        .map_err(|_| Fault::new("key", path, "holds no private key in PEM"))
}

fn unfit(own: &TlsIdentityFiles, error: &Error) -> Fault {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let text = "does not fit the certificate";
            Fault::new(
                "key",
                own.key.path().unwrap_or_else(|| Path::new("a variable")),
                text,
            )
        }
        error => Fault::new("certificate", &own.certificate, unreadable(error)),
    }
}

fn unreadable(error: impl fmt::Display) -> String {
    format!("cannot be used: {error}")
}

/// From when and until when a certificate is good.
fn validity(
    certificate: &CertificateDer<'_>,
) -> Result<(WallTime, WallTime), x509_cert::der::Error> {
    let read = x509_cert::Certificate::from_der(certificate)?;
    let validity = read.tbs_certificate.validity;
    Ok((wall(validity.not_before), wall(validity.not_after)))
}

fn wall(time: x509_cert::time::Time) -> WallTime {
    let millis = time.to_unix_duration().as_millis();
    WallTime::from_unix_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Until when a certificate is good that rustls has taken.
pub(super) fn good_until(certificate: &CertificateDer<'_>) -> Option<WallTime> {
    validity(certificate).ok().map(|(_, end)| end)
}

/// Whether a certificate is made out to `name`: a URI, letter by letter, or a DNS name. The common
/// name says nothing.
pub(super) fn is_made_out_to(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(read) = x509_cert::Certificate::from_der(certificate) else {
        return false;
    };
    let Ok(Some((_, names))) = read.tbs_certificate.get::<SubjectAltName>() else {
        return false;
    };
    names.0.iter().any(|found| match found {
        GeneralName::UniformResourceIdentifier(uri) => uri.as_str() == name,
        GeneralName::DnsName(dns) => dns.as_str().eq_ignore_ascii_case(name),
        GeneralName::OtherName(_)
        | GeneralName::Rfc822Name(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::IpAddress(_)
        | GeneralName::RegisteredId(_) => false,
    })
}
