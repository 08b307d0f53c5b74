//! Certificates for one test, made by the `openssl` program in a temporary folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// Signs certificates; gone when it is dropped.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

/// PEM files of one certificate.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Nothing but what the command line says.
const EMPTY: &str = "[req]\ndistinguished_name=dn\n[dn]\n";

const CA: &str = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\n\
    crlnumber=crlnumber\nnew_certs_dir=.\ncertificate=root.pem\nprivate_key=root.key\n\
    default_md=sha256\ndefault_days=2\ndefault_crl_days=2\npolicy=p\nunique_subject=no\n\
    [p]\ncommonName=supplied\n";

impl Authority {
    /// With a key of its own.
    ///
    /// # Errors
    /// `openssl` is absent or refuses.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("njia-ca-").tempdir()?;
        fs::write(folder.path().join("empty.cnf"), EMPTY)?;
        let authority = Self { folder };
        let extensions = [
            "basicConstraints=critical,CA:TRUE",
            "keyUsage=keyCertSign,cRLSign",
        ];
        authority.make("root", "njia test root", &extensions, false)?;
        Ok(authority)
    }

    /// Its own certificate: what trusts it holds this file.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// A certificate of `subject`, good for `names`, as in `DNS:localhost,IP:127.0.0.1`.
    ///
    /// # Errors
    /// `openssl` refuses.
    pub fn issue(&self, subject: &str, names: &str) -> Result<Pair> {
        let names = format!("subjectAltName={names}");
        self.make(
            subject,
            subject,
            &["basicConstraints=CA:FALSE", &names],
            true,
        )
    }

    /// A certificate of `subject`, good for `names`, whose time is over.
    ///
    /// # Errors
    /// `openssl` refuses.
    pub fn issue_expired(&self, subject: &str, names: &str) -> Result<Pair> {
        self.issue_between(subject, names, ["20200101000000Z", "20210101000000Z"])
    }

    /// A certificate of `subject`, good for `names`, whose time has not come.
    ///
    /// # Errors
    /// `openssl` refuses.
    pub fn issue_early(&self, subject: &str, names: &str) -> Result<Pair> {
        self.issue_between(subject, names, ["20900101000000Z", "20910101000000Z"])
    }

    /// A certificate of `subject`, good for `names` and for so many minutes more.
    ///
    /// # Errors
    /// `date` or `openssl` refuses.
    pub fn issue_for(&self, subject: &str, names: &str, minutes: u32) -> Result<Pair> {
        self.issue_until(subject, names, &format!("+{minutes} minutes"))
    }

    /// A certificate of `subject`, good for `names` until a time as `date` reads it.
    ///
    /// # Errors
    /// `date` or `openssl` refuses.
    pub fn issue_until(&self, subject: &str, names: &str, end: &str) -> Result<Pair> {
        let date = Command::new("date")
            .args(["-u", "-d", end, "+%Y%m%d%H%M%SZ"])
            .output()
            .context("date")?;
        let end = String::from_utf8(date.stdout)?;
        self.issue_between(subject, names, ["20200101000000Z", end.trim()])
    }

    fn issue_between(&self, subject: &str, names: &str, [start, end]: [&str; 2]) -> Result<Pair> {
        let pair = self.issue(subject, names)?;
        let request = self.folder.path().join(format!("{subject}.csr"));
        let old = self.folder.path().join(format!("{subject}.old.pem"));
        let config = format!("[req]\ndistinguished_name=dn\n[dn]\n[x]\nsubjectAltName={names}\n");
        fs::write(self.folder.path().join("names.cnf"), config)?;
        self.run(
            &[
                "req",
                "-new",
                "-config",
                "empty.cnf",
                "-subj",
                &format!("/CN={subject}"),
            ],
            &[("-key", &pair.key), ("-out", &request)],
        )?;
        let dates = ["-startdate", start, "-enddate", end];
        let ca = [
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.cnf",
            "-extfile",
            "names.cnf",
        ];
        let ca = [&ca[..], &["-extensions", "x"], &dates].concat();
        self.prepare_ca()?;
        self.run(&ca, &[("-in", &request), ("-out", &old)])?;
        fs::rename(&old, &pair.certificate)?;
        Ok(pair)
    }

    /// A list of those certificates that are withdrawn: these.
    ///
    /// # Errors
    /// `openssl` refuses.
    pub fn withdraw(&self, pairs: &[&Pair]) -> Result<PathBuf> {
        self.prepare_ca()?;
        for pair in pairs {
            let revoke = ["ca", "-batch", "-config", "ca.cnf"];
            self.run(&revoke, &[("-revoke", &pair.certificate)])?;
        }
        let list = self.folder.path().join("list-of-withdrawn.pem");
        self.run(&["ca", "-config", "ca.cnf", "-gencrl"], &[("-out", &list)])?;
        Ok(list)
    }

    /// What `openssl ca` remembers.
    fn prepare_ca(&self) -> Result<()> {
        let at = |name: &str| self.folder.path().join(name);
        if at("ca.cnf").exists() {
            return Ok(());
        }
        fs::write(at("index.txt"), "")?;
        fs::write(at("serial"), "1000\n")?;
        fs::write(at("crlnumber"), "01\n")?;
        fs::write(at("ca.cnf"), CA)?;
        Ok(())
    }

    fn run(&self, arguments: &[&str], files: &[(&str, &PathBuf)]) -> Result<()> {
        let mut command = Command::new("openssl");
        command.current_dir(self.folder.path()).args(arguments);
        for (name, file) in files {
            command.arg(name).arg(file);
        }
        let output = command
            .output()
            .context("openssl: apt-get install openssl")?;
        if !output.status.success() {
            bail!("openssl: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn make(&self, file: &str, subject: &str, extensions: &[&str], signed: bool) -> Result<Pair> {
        let at = |ending: &str| self.folder.path().join(format!("{file}.{ending}"));
        let pair = Pair {
            certificate: at("pem"),
            key: at("key"),
        };
        let mut command = Command::new("openssl");
        command
            .current_dir(self.folder.path())
            .args([
                "req",
                "-x509",
                "-config",
                "empty.cnf",
                "-days",
                "2",
                "-nodes",
            ])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-subj", &format!("/CN={subject}"), "-keyout"])
            .arg(&pair.key)
            .arg("-out")
            .arg(&pair.certificate);
        for extension in extensions {
            command.args(["-addext", extension]);
        }
        if signed {
            command.args(["-CA", "root.pem", "-CAkey", "root.key"]);
        }
        let output = command
            .output()
            .context("openssl: apt-get install openssl")?;
        if !output.status.success() {
            bail!("openssl: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(pair)
    }
}

/// Puts the content of one file in the place of another, at once, as whoever rotates it does.
///
/// # Errors
/// The files cannot be read or written.
pub fn replace(file: &Path, by: &Path) -> Result<()> {
    let aside = file.with_extension("aside");
    fs::copy(by, &aside)?;
    Ok(fs::rename(aside, file)?)
}

/// A server that shows this certificate and asks nobody for one.
///
/// # Errors
/// The files hold no certificate or no key of it.
pub fn server(pair: &Pair) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(&pair.certificate)?;
    let chain = chain.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&pair.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}
