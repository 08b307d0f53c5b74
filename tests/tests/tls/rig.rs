//! A switch that takes TLS alone, certificates for all, and an acquirer by hand.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use iso8583::{Dialect, FieldIndex, MessageRef};
use njia_tests::certificates::{Authority, Pair};
use njia_tests::e2e::session::framed;
use njia_tests::e2e::{Build, Issuers, Node, eventually, folder};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use switch::config::{EXAMPLE, create_missing_keys};

pub const PATIENCE: Duration = Duration::from_secs(60);
/// What the certificate of the switch is made out to.
pub const HERE: &str = "DNS:localhost,IP:127.0.0.1";
/// Whom the acquirer's certificate names.
pub const ACQUIRER: &str = "URI:urn:acquirer:one";

pub static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
pub static ONLY_12: [&SupportedProtocolVersion; 1] = [&TLS12];
pub static ONLY_13: [&SupportedProtocolVersion; 1] = [&TLS13];

/// A running switch with TLS on its listener.
pub struct Secured {
    pub folder: PathBuf,
    pub authority: Authority,
    pub node: Node,
    pub issuers: Issuers,
    /// Copies of what the switch shows and of its key.
    pub own: Pair,
}

impl Secured {
    /// Its listener has these further keys of `tls`.
    pub fn start(name: &str, more: &str) -> Self {
        let authority = Authority::new().unwrap();
        Self::start_with(name, authority, more)
    }

    pub fn start_with(name: &str, authority: Authority, more: &str) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
        Self::start_on(folder, authority, issuers, more, "")
    }

    /// `link` goes into the table of each issuer.
    pub fn start_on(
        folder: PathBuf,
        authority: Authority,
        issuers: Issuers,
        more: &str,
        link: &str,
    ) -> Self {
        let own = copied(&authority.issue("switch", HERE).unwrap(), &folder, "own");
        let config = configuration(&folder, &authority, &own, &issuers, (more, link));
        let state = folder.join("state");
        let node = Node::configured(Build::Product, &config, &state, &[]).unwrap();
        let labels = ["issuer=\"bank\"", "state=\"up\""];
        let has_links = || node.metric("njia_links", &labels).unwrap() > 0.0;
        assert!(eventually(PATIENCE, has_links), "{}", node.log());
        Self {
            folder,
            authority,
            node,
            issuers,
            own,
        }
    }

    /// A certificate of the acquirer.
    pub fn acquirer(&self) -> Pair {
        self.authority.issue("acquirer", ACQUIRER).unwrap()
    }

    /// Handshakes with acquirers that ended so.
    pub fn handshakes(&self, result: &str) -> f64 {
        let result = format!("result=\"{result}\"");
        let labels = ["side=\"acquirer\"", &result];
        let name = "njia_tls_handshakes_total";
        self.node.metric(name, &labels).unwrap()
    }

    #[track_caller]
    pub fn await_handshakes(&self, result: &str, count: f64) {
        let found = || self.handshakes(result) == count;
        let waited = eventually(PATIENCE, found);
        let counted = self.node.page("/metrics").unwrap();
        let counted: Vec<&str> = counted
            .lines()
            .filter(|line| line.starts_with("njia_tls_handshakes_total"))
            .collect();
        assert!(
            waited,
            "never {count} {result}: {counted:?}\n{}",
            self.node.log()
        );
    }

    /// Has the files read again.
    pub fn hang_up(&self) {
        let pid = self.node.pid().to_string();
        let done = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
        assert!(done.success());
    }

    pub fn close(self) {
        assert!(self.node.terminate().unwrap().success());
        self.issuers.finish().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// The files of a switch, which only its user reads.
pub fn copied(pair: &Pair, folder: &Path, name: &str) -> Pair {
    let copy = Pair {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
    };
    fs::copy(&pair.certificate, &copy.certificate).unwrap();
    fs::copy(&pair.key, &copy.key).unwrap();
    let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    fs::set_permissions(&copy.key, only_mine).unwrap();
    copy
}

/// Writes a configuration with TLS on the listener.
pub fn configuration(
    folder: &Path,
    authority: &Authority,
    own: &Pair,
    issuers: &Issuers,
    (more, link): (&str, &str),
) -> PathBuf {
    let state = folder.join("state");
    fs::create_dir_all(&state).unwrap();
    create_missing_keys(&state).unwrap();
    let tls = format!(
        "name = \"pos\"\ntls = {{ certificate = \"file:{}\", key = \"file:{}\", trust = \
         \"file:{}\"{more} }}\n",
        own.certificate.display(),
        own.key.display(),
        authority.root().display(),
    );
    let [bank, momo] = issuers.addresses().map(|address| address.to_string());
    let text = EXAMPLE
        .replacen("name = \"pos\"", &tls, 1)
        .replacen("shards = 0", "shards = 2", 1)
        .replacen(
            "request_wait_max_ms = 100 ",
            "request_wait_max_ms = 60_000 ",
            1,
        )
        .replace("\ndeadline_ms = 1_000", "\ndeadline_ms = 30_000")
        .replacen("/var/lib/njia", &state.to_string_lossy(), 1)
        .replacen("127.0.0.1:9101", &bank, 1)
        .replacen("127.0.0.1:9102", &momo, 1)
        .replacen("name = \"bank\"", &format!("name = \"bank\"\n{link}"), 1)
        .replacen("name = \"momo\"", &format!("name = \"momo\"\n{link}"), 1);
    let path = folder.join("njia.toml");
    fs::write(&path, text).unwrap();
    path
}

/// How an acquirer by hand begins.
pub struct Caller<'a> {
    pub trust: &'a Path,
    pub own: Option<&'a Pair>,
    pub versions: &'static [&'static SupportedProtocolVersion],
}

/// An acquirer by hand, behind its handshake.
pub struct Acquirer {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Acquirer {
    /// Connects, and waits until the switch has taken the certificate: in 1.3 it looks at it after
    /// this side is done, so an answer shows that it has.
    pub fn connect(listener: &str, caller: &Caller<'_>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(caller.trust)?)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(caller.versions)?
            .with_root_certificates(roots);
        let config = match caller.own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_file_iter(&own.certificate)?;
                let chain = chain.collect::<Result<Vec<_>, _>>()?;
                let key = PrivateKeyDer::from_pem_file(&own.key)?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        let name = ServerName::try_from("localhost")?;
        let connection = ClientConnection::new(Arc::new(config), name)?;
        let socket = TcpStream::connect(listener)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Self {
            stream: StreamOwned::new(connection, socket),
        })
    }

    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        self.stream.write_all(&framed(message))?;
        self.stream.flush()?;
        Ok(())
    }

    /// MTI and DE39 of the next message.
    pub fn receive(&mut self) -> Result<(String, String)> {
        let mut len = [0; 2];
        self.stream.read_exact(&mut len)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
        self.stream.read_exact(&mut message)?;
        let mut index = FieldIndex::new();
        Dialect::ISO87_ASCII
            .parse(&message, &mut index)
            .context("it is a message")?;
        let view = MessageRef::new(&message, &index);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = text(view.field(39).unwrap_or_default());
        Ok((text(view.mti().as_bytes()), code))
    }

    /// The certificate that the switch has shown.
    pub fn shown(&self) -> Vec<u8> {
        let shown = self.stream.conn.peer_certificates();
        shown
            .and_then(<[_]>::first)
            .expect("it has shown one")
            .to_vec()
    }

    /// DE39 of the answer to this message.
    pub fn ask(&mut self, message: &[u8]) -> Result<String> {
        self.send(message)?;
        Ok(self.receive()?.1)
    }
}
