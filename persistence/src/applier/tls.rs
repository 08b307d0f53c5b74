//! TLS to PostgreSQL: what `sslmode` means here, and the client's side of it.
//!
//! | `sslmode` | done |
//! |---|---|
//! | `disable` | in clear |
//! | `allow`, `prefer` | refused: whoever stands in between could choose for clear text |
//! | `verify-ca` | the server's certificate must be signed by somebody trusted |
//! | `verify-full`, `require` | and must be made out to the host of the connection string |
//! | left out | `verify-full` with a file of trust; without one in clear, on this machine alone |
//!
//! libpq's `require` takes any certificate when it has no root; here there is always one, and what
//! it signs for another host is refused too.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::error::ApplierError;
use super::session::{ConnectError, unreadable};
use super::settings::TlsFiles;

/// What is demanded of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// Nothing was said.
    Unsaid,
    /// Clear text.
    Disable,
    /// A certificate of somebody trusted.
    VerifyCa,
    /// And made out to the host that was asked for.
    VerifyFull,
}

impl SslMode {
    /// Takes `sslmode` out of a connection string, of either form: the parser does not know all of
    /// its values.
    pub(crate) fn split(url: &str) -> Result<(Self, String), ApplierError> {
        const KEY: &str = "sslmode=";
        let begins = |at: &usize| {
            let before = url.get(..*at).and_then(|front| front.chars().next_back());
            before.is_none_or(|c| matches!(c, '?' | '&') || c.is_whitespace())
        };
        let Some(at) = url.match_indices(KEY).map(|(at, _)| at).find(begins) else {
            return Ok((Self::Unsaid, url.to_owned()));
        };
        let (front, rest) = url.split_at(at);
        let rest = rest.strip_prefix(KEY).unwrap_or(rest);
        let end = rest.find(|c: char| c == '&' || c.is_whitespace());
        let (value, back) = rest.split_at(end.unwrap_or(rest.len()));
        let mode = match value {
            "disable" => Self::Disable,
            "verify-ca" => Self::VerifyCa,
            "require" | "verify-full" => Self::VerifyFull,
            "allow" | "prefer" => {
                return Err(ApplierError::Misconfigured(
                    "url: sslmode=allow and prefer fall back to clear text; use verify-full, \
                     verify-ca or disable",
                ));
            }
            _ => {
                return Err(ApplierError::Misconfigured(
                    "url: sslmode is disable, verify-ca, verify-full or require",
                ));
            }
        };
        // A parameter of a URL goes with its separator: none may stand alone.
        let back = back.strip_prefix('&').unwrap_or(back);
        let front = if back.is_empty() {
            front.trim_end_matches(['?', '&'])
        } else {
            front
        };
        Ok((mode, format!("{front}{back}")))
    }
}

/// The client's side of the handshake.
pub(crate) fn client(files: &TlsFiles, mode: SslMode) -> Result<ClientConfig, ConnectError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.trust, "the file of trust")? {
        roots
            .add(certificate)
            .map_err(unreadable("the file of trust"))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unreadable("the protocol versions of TLS"))?;
    let builder = if mode == SslMode::VerifyCa {
        let verifier = AnyName::new(Arc::new(roots), provider)?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        builder.with_root_certificates(roots)
    };
    let Some(identity) = &files.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(&identity.certificates, "the certificate file")?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(unreadable("the key file"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(unreadable("the certificate and key"))
}

fn certificates(
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let read = || -> Result<Vec<_>, Box<dyn std::error::Error + Send + Sync>> {
        let all: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?;
        if all.is_empty() {
            return Err(Box::new(io::Error::other("no certificate in the file")));
        }
        Ok(all)
    };
    read().map_err(unreadable(what))
}

/// `verify-ca`: whoever is trusted has signed, for whatever name.
#[derive(Debug)]
struct AnyName {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    /// For the signatures of the handshake.
    inner: Arc<WebPkiServerVerifier>,
}

impl AnyName {
    fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Result<Self, ConnectError> {
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        Ok(Self {
            roots,
            provider,
            inner: inner.build().map_err(unreadable("the file of trust"))?,
        })
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, mode: SslMode, rest: &str) {
        let found = SslMode::split(url).unwrap();
        assert_eq!(found, (mode, rest.to_owned()), "{url}");
        if let Err(error) = found.1.parse::<tokio_postgres::Config>() {
            panic!("{url}: {error}");
        }
    }

    #[test]
    fn sslmode_is_taken_out_wherever_it_stands() {
        let full = SslMode::VerifyFull;
        check("postgresql://h/d", SslMode::Unsaid, "postgresql://h/d");
        check(
            "postgresql://h/d?sslmode=verify-full",
            full,
            "postgresql://h/d",
        );
        check(
            "postgresql://h/d?sslmode=require&user=u",
            full,
            "postgresql://h/d?user=u",
        );
        let between = "postgresql://h/d?user=u&sslmode=verify-ca&options=o";
        check(
            between,
            SslMode::VerifyCa,
            "postgresql://h/d?user=u&options=o",
        );
        let last = "postgresql://h/d?user=u&sslmode=disable";
        check(last, SslMode::Disable, "postgresql://h/d?user=u");
        check("sslmode=require host=h user=u", full, " host=h user=u");
        check(
            "host=h sslmode=verify-ca user=u",
            SslMode::VerifyCa,
            "host=h  user=u",
        );
        check("host=h\nsslmode=disable", SslMode::Disable, "host=h\n");
        let other = "postgresql://u:xsslmode=prefer@h/d";
        check(other, SslMode::Unsaid, other);
    }

    #[test]
    fn a_mode_that_falls_back_or_is_unknown_is_refused() {
        for value in ["allow", "prefer", "verify", ""] {
            let url = format!("postgresql://h/d?sslmode={value}");
            let refused = SslMode::split(&url);
            assert!(
                matches!(refused, Err(ApplierError::Misconfigured(_))),
                "{value}"
            );
        }
    }
}
