//! Both sides of a connection in one process: the switch's on an executor, the other one by rustls
//! on a thread.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream as Socket};
use std::path::PathBuf;
use std::thread::JoinHandle;

use domain::ids::{InstitutionId, IssuerId};
use domain::time::WallTime;
use futures_lite::future;
use glommio::net::TcpListener;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore, StreamOwned};
use tempfile::TempDir;

use super::material::{self, Alpn};
use super::*;
use crate::config::{
    IssuerTls, ListenerId, ListenerTls, SecretPlace, TlsFiles, TlsIdentityFiles, TlsVersion,
};
use crate::control::shared::Shared;

/// Signs certificates in a folder of its own.
pub(super) struct Authority {
    folder: TempDir,
    root: CertifiedIssuer<'static, KeyPair>,
}

/// A chain and its key.
pub(super) struct Issued {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pem: String,
    key: String,
}

const SWITCH: &str = "localhost";
const ACQUIRER: &str = "urn:acquirer:one";

impl Authority {
    /// From when its certificates are good.
    pub(super) fn begin() -> WallTime {
        WallTime::from_unix_millis(1_577_836_800_000)
    }

    fn end() -> WallTime {
        WallTime::from_unix_millis(4_070_908_800_000)
    }

    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        span(&mut params, Self::begin(), Self::end());
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("root.pem"), root.pem()).unwrap();
        Self { folder, root }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    pub(super) fn issue(&self, name: &str, from: WallTime, until: WallTime) -> Issued {
        self.issue_through(name, (from, until), 0)
    }

    /// With so many authorities between it and the root.
    fn issue_through(&self, name: &str, (from, until): Span, between: usize) -> Issued {
        let mut above: Vec<CertifiedIssuer<'static, KeyPair>> = Vec::new();
        for place in 0..between {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            let common = format!("between {place}");
            params.distinguished_name.push(DnType::CommonName, common);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            span(&mut params, Self::begin(), Self::end());
            let key = KeyPair::generate().unwrap();
            let signer = above.last().unwrap_or(&self.root);
            above.push(CertifiedIssuer::signed_by(params, key, signer).unwrap());
        }
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![if name.starts_with("urn:") {
            SanType::URI(name.try_into().unwrap())
        } else {
            SanType::DnsName(name.try_into().unwrap())
        }];
        params.serial_number = Some(SerialNumber::from(vec![1, u8::try_from(between).unwrap()]));
        span(&mut params, from, until);
        let key = KeyPair::generate().unwrap();
        let signer = above.last().unwrap_or(&self.root);
        let own = params.signed_by(&key, signer).unwrap();
        let chain = std::iter::once(own.pem());
        let pem: String = chain
            .chain(above.iter().rev().map(|one| one.pem()))
            .collect();
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
        Issued {
            chain: chain.collect::<Result<_, _>>().unwrap(),
            key: key.serialize_pem(),
            pem,
        }
    }

    fn good(&self, name: &str) -> Issued {
        self.issue(name, Self::begin(), Self::end())
    }

    /// A list of nothing withdrawn, which says when the next one comes.
    fn list(&self, next: WallTime) -> PathBuf {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(1970, 1, 1) + Duration::from_millis(next.unix_millis()),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.root).unwrap().pem().unwrap();
        let path = self
            .folder
            .path()
            .join(format!("{}.crl", next.unix_millis()));
        fs::write(&path, list).unwrap();
        path
    }

    fn files(&self, own: Option<&Issued>, name: &str) -> TlsFiles {
        let certificate = self.folder.path().join(format!("{name}.pem"));
        if let Some(own) = own {
            fs::write(&certificate, &own.pem).unwrap();
        }
        TlsFiles {
            trust: Some(self.root()),
            own: own.map(|own| TlsIdentityFiles {
                certificate,
                key: SecretPlace::known(&own.key),
            }),
            crl: None,
            version_min: TlsVersion::V12,
        }
    }

    fn listener(&self, own: &Issued) -> ListenerTls {
        ListenerTls {
            files: self.files(Some(own), "own"),
            require_client_certificate: true,
            identities: vec![TlsIdentity {
                san: ACQUIRER.to_owned(),
                institutions: vec![InstitutionId::new("institution", b"628123").unwrap()],
            }],
        }
    }

    fn listener_side(&self, tls: &ListenerTls, alpn: Alpn) -> Arc<ListenerSide> {
        let loaded = material::server(tls, alpn).unwrap();
        Arc::new(ListenerSide {
            config: loaded.config,
            verifier: loaded.verifier,
            identities: tls.identities.iter().cloned().map(Arc::new).collect(),
        })
    }

    /// What sessions of a listener begin with that trusts this authority.
    pub(super) fn side_of_listener(&self) -> Arc<ListenerSide> {
        self.listener_side(&self.listener(&self.good(SWITCH)), Alpn::None)
    }

    pub(super) fn until_the_end(&self, name: &str) -> Vec<CertificateDer<'static>> {
        self.good(name).chain
    }

    pub(super) fn issuer_side(&self, own_until: Option<WallTime>) -> IssuerSide {
        let tls = IssuerTls {
            files: self.files(None, "none"),
            server_name: None,
        };
        IssuerSide {
            config: material::client(&tls).unwrap().config,
            server_name: Some(SWITCH.try_into().unwrap()),
            own_until,
        }
    }

    /// What the other side begins with.
    fn caller(&self, own: Option<&Issued>, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.root()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(own.key.as_bytes());
                builder
                    .with_client_auth_cert(own.chain.clone(), key.unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

type Span = (WallTime, WallTime);

fn span(params: &mut CertificateParams, from: WallTime, until: WallTime) {
    params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_millis(from.unix_millis());
    params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_millis(until.unix_millis());
}

/// Runs on an executor; nothing here may take longer than a minute.
pub(super) fn run<T: Send + 'static>(test: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    let executor = persistence::journal::executor(glommio::Placement::Unbound);
    let running = executor.spawn(move || async move {
        let over = async {
            glommio::timer::sleep(Duration::from_secs(60)).await;
            None
        };
        future::or(async { Some(test().await) }, over).await
    });
    running.unwrap().join().unwrap().expect("it ends")
}

const BOUNDS: Bounds = Bounds {
    open_max: 2,
    of_network_max: 1,
};

pub(super) fn lanes() -> Lanes {
    Lanes::bounded(BOUNDS, Clock::start(), &Metrics::new())
}

type Spoken = StreamOwned<ClientConnection, Socket>;

/// The other side: connects, and does this on a thread of its own.
fn call<T: Send + 'static>(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    talk: impl FnOnce(Spoken) -> T + Send + 'static,
) -> JoinHandle<T> {
    std::thread::spawn(move || {
        let name = ServerName::try_from(SWITCH).unwrap();
        let connection = ClientConnection::new(config, name).unwrap();
        let socket = Socket::connect(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        talk(StreamOwned::new(connection, socket))
    })
}

/// Waits for a thread, and lets the executor go on: it closes what was dropped.
async fn joined<T>(thread: JoinHandle<T>) -> T {
    while !thread.is_finished() {
        glommio::timer::sleep(Duration::from_millis(1)).await;
    }
    thread.join().unwrap()
}

/// What became of a handshake with `caller`, who waits for its end.
fn greeted(side: &Arc<ListenerSide>, caller: Arc<ClientConfig>) -> Result<String, HandshakeError> {
    let side = Arc::clone(side);
    run(async move || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let waits = |mut spoken: Spoken| drop(spoken.read(&mut [0]));
        let calling = call(listener.local_addr().unwrap(), caller, waits);
        let stream = listener.accept().await.unwrap();
        let peer = stream.peer_addr().unwrap().ip();
        let accepted = lanes().sessions.accept(stream, Some(peer), &side).await;
        let known = accepted.map(|secured| secured.identity.unwrap().san.clone());
        joined(calling).await;
        known
    })
}

#[test]
fn only_a_certificate_that_is_good_and_known_comes_in() {
    let authority = Authority::new();
    let tls = authority.listener(&authority.good(SWITCH));
    let side = authority.listener_side(&tls, Alpn::None);
    let (begin, end) = (Authority::begin(), Authority::end());
    let soon = begin.after(Duration::from_secs(86_400));
    let far = end.after(Duration::from_secs(86_400));
    let through = |between| authority.issue_through(ACQUIRER, (begin, end), between);
    for (own, is_good) in [
        (Some(authority.good(ACQUIRER)), true),
        (Some(through(1)), true),
        (Some(through(9)), false),
        (Some(authority.issue(ACQUIRER, begin, soon)), false),
        (Some(authority.issue(ACQUIRER, end, far)), false),
        (Some(authority.good("urn:acquirer:two")), false),
        (Some(Authority::new().good(ACQUIRER)), false),
        (None, false),
    ] {
        let told = greeted(&side, authority.caller(own.as_ref(), &[]));
        let expected = if is_good {
            Ok(ACQUIRER.to_owned())
        } else {
            Err(HandshakeError::Refused)
        };
        assert_eq!(told, expected, "{:?}", own.map(|own| own.pem));
    }
}

//= docs/rules.md#L-02
#[test]
fn a_list_of_withdrawn_certificates_that_is_overdue_lets_nobody_in() {
    let authority = Authority::new();
    let mut tls = authority.listener(&authority.good(SWITCH));
    tls.files.crl = Some(authority.list(Authority::begin().after(Duration::from_secs(1))));
    let fault = material::server(&tls, Alpn::None).unwrap_err();
    assert_eq!(fault.key, "crl");
    assert!(fault.to_string().contains("is overdue"), "{fault}");

    // One that becomes overdue while it is in force.
    let loaded = loop {
        let next = Clock::start().wall().after(Duration::from_secs(3));
        tls.files.crl = Some(authority.list(next));
        if let Ok(loaded) = material::server(&tls, Alpn::None) {
            break loaded;
        }
    };
    assert!(loaded.crl_until.is_some());
    let side = Arc::new(ListenerSide {
        config: loaded.config,
        verifier: loaded.verifier,
        identities: tls.identities.iter().cloned().map(Arc::new).collect(),
    });
    let own = authority.good(ACQUIRER);
    let mut told = Ok(String::new());
    for _ in 0..10_000 {
        told = greeted(&side, authority.caller(Some(&own), &[]));
        if told.is_err() {
            break;
        }
    }
    assert_eq!(told, Err(HandshakeError::Refused));
}

#[test]
fn a_storm_in_one_lane_does_not_hold_up_the_others() {
    let authority = Authority::new();
    let own = authority.good(SWITCH);
    let side = authority.listener_side(&authority.listener(&own), Alpn::None);
    let link = Arc::new(authority.issuer_side(None));
    let mut tls = authority.listener(&own);
    tls.require_client_certificate = false;
    let open_to_all = material::server(&tls, Alpn::None).unwrap().config;
    let caller = authority.caller(Some(&authority.good(ACQUIRER)), &[]);
    run(async move || {
        let lanes = lanes();
        // As while somebody else is in the middle of a step.
        let held = lanes.sessions.turn.acquire_permit(1).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let waits = |mut spoken: Spoken| drop(spoken.read(&mut [0]));
        let calling = call(address, Arc::clone(&caller), waits);
        let stream = listener.accept().await.unwrap();
        let accepted = lanes.gateways.accept(stream, None, &side).await;
        drop(accepted.unwrap());
        joined(calling).await;

        let issuer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = issuer.local_addr().unwrap();
        let config = open_to_all;
        let answering = std::thread::spawn(move || {
            let connection = ServerConnection::new(config).unwrap();
            let mut spoken = StreamOwned::new(connection, issuer.accept().unwrap().0);
            drop(spoken.read(&mut [0]));
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let connected = lanes.links.connect(stream, address, &link).await.unwrap();
        assert!(connected.tls.term().is_some());
        drop((connected, held));
        joined(answering).await;
    });
}

#[test]
fn room_is_bounded_and_given_back() {
    let lane = lanes().sessions;
    let of = |address: &str| Some(Network::of(address.parse().unwrap()));
    let first = lane.room(of("192.0.2.1")).unwrap();
    assert!(lane.room(of("192.0.2.254")).is_none(), "of one /24");
    assert!(
        lane.room(of("::ffff:192.0.2.7")).is_none(),
        "the same, mapped"
    );
    let second = lane.room(of("2001:db8:0:ff00::1")).unwrap();
    assert!(lane.room(of("198.51.100.1")).is_none(), "of all");
    drop(first);
    assert!(lane.room(of("2001:db8:0:ffff::2")).is_none(), "of one /56");
    let third = lane.room(of("192.0.2.9")).unwrap();
    drop((second, third));
    assert_eq!(lane.open.get(), 0);
    assert!(
        lane.of_network.borrow().is_empty(),
        "nothing is kept of who has gone"
    );
}

#[test]
fn what_came_before_garbage_is_given_out_first() {
    let authority = Authority::new();
    let tls = authority.listener(&authority.good(SWITCH));
    let side = authority.listener_side(&tls, Alpn::None);
    let caller = authority.caller(Some(&authority.good(ACQUIRER)), &[]);
    run(async move || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let talk = |mut spoken: Spoken| {
            spoken.write_all(b"before").unwrap();
            spoken.flush().unwrap();
            spoken.sock.write_all(&[0xff; 64]).unwrap();
            drop(spoken.read(&mut [0]));
        };
        let calling = call(listener.local_addr().unwrap(), caller, talk);
        let stream = listener.accept().await.unwrap();
        let writer = SocketWriter::of(&stream, Duration::from_secs(60)).unwrap();
        let secured = lanes().sessions.accept(stream, None, &side).await.unwrap();
        let (mut incoming, tls) = (secured.incoming, secured.tls);
        incoming.set_read_timeout(None).unwrap();
        let (mut found, mut free) = (Vec::new(), [0; 4]);
        let error = loop {
            match incoming.read(Some(&tls), &mut free).await {
                Ok(Got::Bytes(count, _)) => found.extend_from_slice(&free[..count]),
                Ok(Got::End) => panic!("it has not ended"),
                Err(error) => break error,
            }
        };
        assert_eq!(found, b"before");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        writer.shut_down();
        joined(calling).await;
    });
}

#[test]
fn a_stream_carries_much_both_ways_and_says_goodbye() {
    const LEN: usize = 300_000;
    let authority = Authority::new();
    let tls = authority.listener(&authority.good(SWITCH));
    let side = authority.listener_side(&tls, Alpn::Http11);
    let own = authority.good(ACQUIRER);
    let speaks = authority.caller(Some(&own), &[b"h2", b"http/1.1"]);
    let talked = {
        let side = Arc::clone(&side);
        run(async move || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let talk = |mut spoken: Spoken| {
                spoken.write_all(&[7; LEN]).unwrap();
                spoken.flush().unwrap();
                let mut back = Vec::new();
                // An end without a farewell would be an error.
                spoken.read_to_end(&mut back).unwrap();
                (back.len(), spoken.conn.alpn_protocol().map(<[u8]>::to_vec))
            };
            let calling = call(listener.local_addr().unwrap(), speaks, talk);
            let stream = listener.accept().await.unwrap();
            let secured = lanes().gateways.accept(stream, None, &side).await.unwrap();
            let mut stream = TlsStream::of(secured).unwrap();
            let mut came = vec![0; LEN];
            stream.read_exact(&mut came).await.unwrap();
            assert!(came.iter().all(|byte| *byte == 7));
            stream.write_all(&came).await.unwrap();
            stream.close().await.unwrap();
            joined(calling).await
        })
    };
    assert_eq!(talked, (LEN, Some(b"http/1.1".to_vec())));
    let only_h2 = authority.caller(Some(&own), &[b"h2"]);
    assert_eq!(greeted(&side, only_h2), Err(HandshakeError::Broken));
}

//= docs/rules.md#L-02
#[test]
fn what_nobody_has_said_anything_of_is_never_in_clear() {
    let shared = Shared::new(1, 1, Clock::start());
    let in_force = TlsInForce::new(Arc::clone(&shared.shards[0]));
    let is_unknown = |in_force: &TlsInForce| {
        matches!(in_force.listener(ListenerId(0)), Begins::Unknown)
            && matches!(in_force.gateway(0), Begins::Unknown)
            && matches!(in_force.issuer(IssuerId(0)), Begins::Unknown)
    };
    assert!(is_unknown(&in_force), "before the files were read");
    shared.put_tls(&Arc::new(TlsSet::none()));
    assert!(
        is_unknown(&in_force),
        "of endpoints that the set has nothing of"
    );
}

#[test]
fn who_refuses_whom_is_told_from_what_is_no_protocol() {
    use rustls::{AlertDescription as Alert, CertificateError, Error, InvalidMessage};
    for (error, expected) in [
        (Error::NoCertificatesPresented, HandshakeError::Refused),
        (
            Error::InvalidCertificate(CertificateError::Expired),
            HandshakeError::Refused,
        ),
        (
            Error::InvalidCertificate(CertificateError::ExpiredRevocationList),
            HandshakeError::Refused,
        ),
        (
            Error::AlertReceived(Alert::UnknownCA),
            HandshakeError::Refused,
        ),
        (
            Error::AlertReceived(Alert::ProtocolVersion),
            HandshakeError::Broken,
        ),
        (
            Error::InvalidMessage(InvalidMessage::InvalidCcs),
            HandshakeError::Broken,
        ),
        (Error::NoApplicationProtocol, HandshakeError::Broken),
    ] {
        assert_eq!(HandshakeError::of(&error), expected, "{error}");
    }
}

#[test]
fn a_step_that_fails_takes_its_turn_too() {
    let others = run(async || {
        let authority = Authority::new();
        let tls = authority.listener(&authority.good(SWITCH));
        let side = authority.listener_side(&tls, Alpn::None);
        let handshakes = lanes().sessions;
        let connection = ServerConnection::new(Arc::clone(&side.config)).unwrap();
        let mut connection = Connection::from(connection);
        let mut cipher = Cipher::new();
        cipher.bytes[..6].copy_from_slice(b"GET / ");
        cipher.end = 6;
        let others = Rc::new(Cell::new(0));
        let ran = Rc::clone(&others);
        let other = async move {
            // A task runs right away up to where it waits.
            future::yield_now().await;
            ran.set(1);
        };
        glommio::spawn_local(other).detach();
        let failed = handshakes.step(&mut connection, &mut cipher).await;
        assert_eq!(failed, Err(HandshakeError::Broken));
        others.get()
    });
    assert_eq!(others, 1, "whatever else the shard has to do went first");
}
