//! A certificate for one step, and who has signed it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};

/// PEM files of the switch.
#[derive(Debug)]
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    /// What it is made out to.
    pub const NAME: &str = "localhost";

    /// Makes one, and its authority.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn write(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "njia limit root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let own = CertificateParams::new(vec![Self::NAME.to_owned()])?.signed_by(&key, &root)?;
        std::fs::write(Self::root(folder), root.pem())?;
        let folder = std::path::absolute(folder)?;
        let written = Self {
            chain: folder.join("switch.pem"),
            key: folder.join("switch.key"),
        };
        std::fs::write(&written.chain, own.pem())?;
        // The switch takes no key that others can read.
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&written.key)?;
        file.write_all(key.serialize_pem().as_bytes())?;
        Ok(written)
    }

    /// Who has signed it: what the acquirer trusts.
    #[must_use]
    pub fn root(folder: &Path) -> PathBuf {
        folder.join("root.pem")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_and_its_authority_are_written() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let own = Certificate::write(folder.path()).expect("it can be made");
        for path in [&own.chain, &own.key, &Certificate::root(folder.path())] {
            let text = std::fs::read_to_string(path).expect("it was written");
            assert!(text.starts_with("-----BEGIN"), "{text}");
        }
    }
}
