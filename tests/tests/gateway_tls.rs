//! Gateways behind TLS: curl and `openssl s_client` as they come, and connections that are kept
//! while certificates change.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use njia_tests::certificates::{Authority, Pair, replace};
use njia_tests::e2e::gateway::stage_text;
use njia_tests::e2e::kept::{Kept, showing};
use njia_tests::e2e::{Build, Issuers, Node, alone, eventually, folder};

const PATIENCE: Duration = Duration::from_secs(60);
const HERE: &str = "DNS:localhost,IP:127.0.0.1";
const MOBILE: &str = "URI:urn:gateway:mobile";
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const API_KEY: &str = "Authorization: Bearer mobile-test-key";
const API_KEY_SHA256: &str = "a7cfbf471bcb91c4dfc94427bedb9a2ce013a69a0dd7a127b2e7a9e4387188da";
const BODY: &str = concat!(
    r#"{"type":"merchantpay","amount":{"minor":152300,"currency":"KES"},"#,
    r#""debitParty":[{"key":"msisdn","value":"+254712345678"}],"#,
    r#""creditParty":[{"key":"organisationid","value":"MERCHANT0000001"}],"#,
    r#""reference":"INV-2026-00042"}"#,
);

/// A switch with three gateways: `mobile` asks for a certificate of its own, `both` for that and a
/// key, `keyed` for a key alone.
struct Stage {
    node: Node,
    issuers: Issuers,
    folder: PathBuf,
    authority: Authority,
    own: Pair,
}

impl Stage {
    fn open(name: &str) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let authority = Authority::new().unwrap();
        let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
        let own = copied(&authority.issue("switch", HERE).unwrap(), &folder);
        let node = start(&folder, &issuers, &authority, &own);
        Self {
            node,
            issuers,
            folder,
            authority,
            own,
        }
    }

    fn close(self) {
        assert!(self.node.terminate().unwrap().success());
        self.issuers.finish().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }

    /// A connection that is kept, behind its first answer.
    fn keep(&self, own: &Pair) -> Kept {
        let config = showing(&self.authority.root(), Some(own)).unwrap();
        let mut kept = Kept::secured(self.node.gateway_named("mobile"), &config).unwrap();
        assert_eq!(kept.heartbeat().unwrap(), 200);
        kept
    }

    fn pair(&self, name: &str, san: &str) -> Pair {
        self.authority.issue(name, san).unwrap()
    }

    /// What curl says: its status, or why there is none.
    fn curl(&self, gateway: &str, own: Option<&Pair>, more: &[&str]) -> Result<String, String> {
        let address = self.node.gateway_named(gateway);
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "-o", "/dev/null", "-w"]);
        command.args(["%{http_version} %{http_code}", "--cacert"]);
        command.arg(self.authority.root());
        if let Some(own) = own {
            command.arg("--cert").arg(&own.certificate);
            command.arg("--key").arg(&own.key);
        }
        let url = more.last().expect("a path stands last");
        command.args(&more[..more.len() - 1]);
        let output = command.arg(format!("https://{address}{url}")).output();
        let output = output.expect("curl is there");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(told)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn metric(&self, name: &str, label: &str) -> f64 {
        self.node.metric(name, &[label]).unwrap()
    }

    fn hang_up(&self) {
        let pid = self.node.pid().to_string();
        let done = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
        assert!(done.success());
    }
}

fn copied(pair: &Pair, folder: &Path) -> Pair {
    let copy = Pair {
        certificate: folder.join("own.pem"),
        key: folder.join("own.key"),
    };
    fs::copy(&pair.certificate, &copy.certificate).unwrap();
    fs::copy(&pair.key, &copy.key).unwrap();
    let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    fs::set_permissions(&copy.key, only_mine).unwrap();
    copy
}

fn gateway(name: &str, number: u32, more: &str, tls: &str) -> String {
    format!(
        r#"
[[acquirer]]
name = "{name}"

[[gateway]]
name = "{name}"
address = "127.0.0.1:0"
acquirer = "{name}"
terminal = "GATEWAY{number}"
merchant = "MOBILEMONEY000{number}"
{more}
[gateway.tls]
{tls}
"#
    )
}

fn configuration(
    folder: &Path,
    addresses: &[String; 2],
    authority: &Authority,
    own: &Pair,
) -> String {
    let files = format!(
        "certificate = \"file:{}\"\nkey = \"file:{}\"\n",
        own.certificate.display(),
        own.key.display()
    );
    let list = authority.withdraw(&[]).unwrap();
    let trust = format!(
        "trust = \"file:{}\"\ncrl = \"file:{}\"\n",
        authority.root().display(),
        list.display()
    );
    let named = format!("{files}{trust}identities = [{{ san = \"urn:gateway:mobile\" }}]");
    let keys = format!("api_keys_sha256 = [\"{API_KEY_SHA256}\"]");
    let open = format!("{files}require_client_certificate = false");
    let gateways = [
        gateway("mobile", 1, "", &named),
        gateway("both", 2, &keys, &named),
        gateway("keyed", 3, &keys, &open),
    ];
    let audit = "[audit]\nkey = \"env:NJIA_TEST_KEY\"\n";
    stage_text(&folder.join("state"), addresses) + &gateways.concat() + audit
}

fn start(folder: &Path, issuers: &Issuers, authority: &Authority, own: &Pair) -> Node {
    let addresses = issuers.addresses().map(|address| address.to_string());
    let config = folder.join("njia.toml");
    fs::write(&config, configuration(folder, &addresses, authority, own)).unwrap();
    let key = [("NJIA_TEST_KEY", KEY)];
    Node::configured(Build::Product, &config, &folder.join("state"), &key).unwrap()
}

const ASK: &str = "/v1/transactions?idempotency_key=none";

//= docs/rules.md#L-03
#[test]
fn fault_099_a_gateway_is_who_its_certificate_says() {
    let _machine = alone();
    let stage = Stage::open("gateway-tls");
    let mobile = stage.pair("mobile", MOBILE);
    let other = stage.pair("other", "URI:urn:gateway:other");
    let expired = stage.authority.issue_expired("expired", MOBILE).unwrap();
    let early = stage.authority.issue_early("early", MOBILE).unwrap();
    let stranger = Authority::new().unwrap();
    let forged = stranger.issue("mobile", MOBILE).unwrap();
    // Known, so that there is an answer; and of HTTP/1.1, whatever curl would rather speak.
    let found = stage.curl("mobile", Some(&mobile), &["--http2", ASK]);
    assert_eq!(found.unwrap(), "1.1 404");
    for own in [
        None,
        Some(&other),
        Some(&expired),
        Some(&early),
        Some(&forged),
    ] {
        let refused = stage.metric("njia_tls_handshakes_total", "result=\"refused\"");
        let told = stage.curl("mobile", own, &["/v1/heartbeat"]);
        assert!(told.is_err(), "{own:?}: {told:?}");
        assert!(eventually(PATIENCE, || {
            stage.metric("njia_tls_handshakes_total", "result=\"refused\"") > refused
        }));
    }
    // One line for all of them, and a count to come: they are from one address.
    let line = concat!(
        r#""event":"tls","who":"unknown","from":"127.0.0.1","object":"gateway:mobile","#,
        r#""result":"refused","reason":"certificate_refused","count":1,"#
    );
    let file = stage.folder.join("state/audit.jsonl");
    let folded = || stage.metric("njia_audit_events_total", "result=\"folded\"");
    assert!(eventually(PATIENCE, || folded() >= 4.0));
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(line).count(), 1, "{text}");
    // A certificate and a key where both are asked for, and a key alone where that is.
    let with_key = ["-H", API_KEY, ASK];
    assert_eq!(
        stage.curl("both", Some(&mobile), &with_key).unwrap(),
        "1.1 404"
    );
    assert_eq!(
        stage.curl("both", Some(&mobile), &[ASK]).unwrap(),
        "1.1 401"
    );
    assert!(stage.curl("both", None, &with_key).is_err());
    assert_eq!(stage.curl("keyed", None, &with_key).unwrap(), "1.1 404");
    assert_eq!(stage.curl("keyed", None, &[ASK]).unwrap(), "1.1 401");

    let pay = [
        "-H",
        "Content-Type: application/json",
        "-H",
        "Idempotency-Key: key-1",
        "--data-binary",
        BODY,
        "/v1/transactions",
    ];
    assert_eq!(
        stage.curl("mobile", Some(&mobile), &pay).unwrap(),
        "1.1 201"
    );
    let expiry = "njia_tls_certificate_expiry_timestamp_seconds";
    assert!(stage.metric(expiry, "name=\"gateway/mobile\"") > 0.0);
    stage.close();
}

#[test]
fn s_client_is_answered_and_only_http_1_1_is_spoken() {
    let _machine = alone();
    let stage = Stage::open("gateway-s-client");
    let mobile = stage.pair("mobile", MOBILE);
    let speak = |alpn: &str, version: &str| {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-connect"])
            .arg(stage.node.gateway_named("mobile"))
            .args([
                version,
                "-alpn",
                alpn,
                "-servername",
                "localhost",
                "-CAfile",
            ])
            .arg(stage.authority.root())
            .arg("-cert")
            .arg(&mobile.certificate)
            .arg("-key")
            .arg(&mobile.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is there");
        let request = "GET /v1/heartbeat HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let mut stdin = child.stdin.take().unwrap();
        // Who is refused does not read.
        drop(stdin.write_all(request.as_bytes()));
        let mut told = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        drop(stdin);
        child.wait().unwrap();
        told
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let told = speak("http/1.1", version);
        assert!(told.starts_with("HTTP/1.1 200 OK"), "{told}");
        assert!(told.ends_with(r#"{"serviceStatus":"available"}"#), "{told}");
        assert_eq!(speak("h2", version), "", "nothing else is spoken");
    }
    stage.close();
}

#[test]
fn fault_099_a_kept_connection_outlives_new_certificates() {
    let _machine = alone();
    let stage = Stage::open("gateway-rotation");
    let mobile = stage.pair("mobile", MOBILE);
    let mut before = stage.keep(&mobile);
    let next = stage.pair("next", HERE);
    replace(&stage.own.certificate, &next.certificate).unwrap();
    stage.hang_up();
    let refused = || stage.metric("njia_tls_reloads_total", "result=\"refused\"");
    assert!(
        eventually(PATIENCE, || refused() == 1.0),
        "the key does not fit"
    );
    drop(stage.keep(&mobile));
    replace(&stage.own.key, &next.key).unwrap();
    stage.hang_up();
    let taken = || stage.metric("njia_tls_reloads_total", "result=\"ok\"");
    assert!(eventually(PATIENCE, || taken() == 1.0));
    let after = stage.keep(&mobile);
    assert_ne!(before.shown(), after.shown());
    let asked = before.heartbeat().unwrap();
    assert_eq!(asked, 200, "it goes on with what it began with");
    stage.close();
}

/// What has begun is answered, what is idle is closed at once, and nobody else feels it.
#[track_caller]
fn check_leaves(stage: &Stage, own: &Pair, over: impl FnOnce()) {
    let mut busy = stage.keep(own);
    // So many that each shard has one of them.
    let idle: Vec<Kept> = (0..IDLE).map(|_| stage.keep(own)).collect();
    let mut other = stage.keep(&stage.pair("other", MOBILE));
    let momo = stage.issuers.host.control(Issuers::MOMO);
    momo.freeze(true);
    busy.send_payment("in-hand").unwrap();
    let inflight = || stage.metric("njia_inflight_transactions", "ingress=\"http\"");
    assert!(eventually(PATIENCE, || inflight() == 1.0));
    over();
    for mut idle in idle {
        idle.is_closed().unwrap();
    }
    assert_eq!(other.heartbeat().unwrap(), 200, "nobody else feels it");
    // Behind it on the same connection: not executed, and not lost, as nobody was told of it.
    drop(busy.send_payment("too-late"));
    momo.freeze(false);
    let answer = busy.receive().unwrap();
    assert_eq!(answer.state(), (201, "approved".to_owned()));
    assert_eq!(answer.header("connection"), Some("close"));
    busy.is_closed().unwrap();
    let line = "GET /v1/transactions?idempotency_key=too-late";
    other.send(line, &[], "").unwrap();
    assert_eq!(other.receive().unwrap().status, 404);
    let closed = || stage.metric("njia_gateway_refusals_total", "reason=\"certificate_over\"");
    assert!(eventually(PATIENCE, || closed() == f64::from(IDLE + 1)));
    let config = showing(&stage.authority.root(), Some(own)).unwrap();
    let address = stage.node.gateway_named("mobile");
    let anew = Kept::secured(address, &config).unwrap().heartbeat();
    assert!(anew.is_err(), "{anew:?}");
    stage.node.check_sums().unwrap();
}

const IDLE: u32 = 16;

//= docs/rules.md#L-04
#[test]
fn fault_099_a_kept_connection_goes_when_its_certificate_is_withdrawn() {
    let _machine = alone();
    let stage = Stage::open("gateway-withdrawn");
    let own = stage.pair("stolen", MOBILE);
    check_leaves(&stage, &own, || {
        stage.authority.withdraw(&[&own]).unwrap();
        stage.hang_up();
    });
    stage.close();
}

#[test]
fn fault_099_a_kept_connection_goes_when_its_certificate_ends() {
    let _machine = alone();
    let stage = Stage::open("gateway-ends");
    let own = stage.authority.issue_until("short", MOBILE, "+20 seconds");
    check_leaves(&stage, &own.unwrap(), || ());
    stage.close();
}

#[test]
fn fault_100_who_does_not_shake_hands_is_closed() {
    let _machine = alone();
    let stage = Stage::open("gateway-no-handshake");
    let address = stage.node.gateway_named("mobile");
    let mut silent = TcpStream::connect(address).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut clear = TcpStream::connect(address).unwrap();
    clear.set_read_timeout(Some(PATIENCE)).unwrap();
    clear
        .write_all(b"GET /v1/heartbeat HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    for socket in [&mut clear, &mut silent] {
        let mut told = Vec::new();
        // A reset is an end too.
        drop(socket.read_to_end(&mut told));
        assert!(told.len() < 64 && !told.starts_with(b"HTTP"), "{told:?}");
    }
    let ended = |result: &str| {
        let result = format!("result=\"{result}\"");
        stage.metric("njia_tls_handshakes_total", &result)
    };
    assert!(eventually(PATIENCE, || ended("error") == 1.0
        && ended("timeout") == 1.0));
    stage.close();
}

#[test]
fn a_gateway_that_would_know_nobody_refuses_the_start() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "gateway-tls-refused");
    let authority = Authority::new().unwrap();
    let own = copied(&authority.issue("switch", HERE).unwrap(), &folder);
    let addresses = ["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
    let good = configuration(&folder, &addresses, &authority, &own);
    let identities = "identities = [{ san = \"urn:gateway:mobile\" }]";
    for (from, to, told) in [
        (identities, "", "`api_keys_sha256` is missing"),
        (
            identities,
            "identities = [{ san = \"urn:a\", institutions = [\"1\"] }]",
            "`institutions` are of listeners",
        ),
        (
            "\n[gateway.tls]",
            "plaintext = true\n[gateway.tls]",
            "are one or the other",
        ),
        (
            "require_client_certificate = false",
            "",
            "`trust` is required",
        ),
    ] {
        let config = folder.join("njia.toml");
        assert!(good.contains(from));
        fs::write(&config, good.replacen(from, to, 1)).unwrap();
        let output = Command::new(Build::Product.njia())
            .args(["serve", "-c"])
            .arg(&config)
            .env("NJIA_TEST_KEY", KEY)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(told) && said.contains("njia.toml:"), "{said}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
