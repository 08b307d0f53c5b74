//! Callbacks to a receiver on real sockets, over TLS and in clear: told at least once, signed,
//! again after a failure and after a kill, and never anywhere else.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use njia_tests::certificates::{Authority, server};
use njia_tests::e2e::gateway::{GATEWAY, GatewayStage, PAYMENT};
use njia_tests::e2e::{alone, eventually};
use njia_tests::outside::Peer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);
/// With ten digits in the middle that are nowhere else.
const ACCOUNT: &str = "5061007395142468";
const NEXT_SECRET: &str = "whsec_bmV4dG5leHRuZXh0bmV4dG5leHRuZXh0";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The same in hexadecimal digits, for openssl.
const SECRET_HEX: &str = "31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0";

/// What has come: the head and the body.
type Came = Arc<Mutex<Vec<(String, String)>>>;

/// Answers with the statuses that it is given, then with 200.
struct Receiver {
    port: u16,
    came: Came,
    statuses: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    fn start(tls: Option<Arc<ServerConfig>>, statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let came = Came::default();
        let statuses = Arc::new(Mutex::new(statuses.iter().copied().collect()));
        let (heard, next) = (Arc::clone(&came), Arc::clone(&statuses));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                let served = match &tls {
                    None => serve(stream, &heard, &next),
                    Some(tls) => {
                        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
                        serve(StreamOwned::new(connection, stream), &heard, &next)
                    }
                };
                // A switch that is killed ends in the middle.
                drop(served);
            }
        });
        Self {
            port,
            came,
            statuses,
        }
    }

    /// Waits until so many have come.
    #[track_caller]
    fn came(&self, count: usize) -> Vec<(String, Value)> {
        let all = || self.came.lock().unwrap().clone();
        assert!(eventually(DEADLINE, || all().len() >= count), "{:?}", all());
        let read = |(head, body): (String, String)| (head, serde_json::from_str(&body).unwrap());
        all().into_iter().map(read).collect()
    }
}

fn serve(
    mut stream: impl Read + Write,
    came: &Came,
    statuses: &Mutex<VecDeque<u16>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut some = [0; 4_096];
        let len = stream.read(&mut some)?;
        if len == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&some[..len]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let text_head = head.to_owned();
        if field(head, "content-length").parse() == Ok(body.len()) {
            break (text_head, body.to_owned());
        }
    };
    came.lock().unwrap().push((head, body));
    let status = statuses.lock().unwrap().pop_front().unwrap_or(200);
    let answer = format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes())?;
    stream.flush()
}

fn field<'h>(head: &'h str, name: &str) -> &'h str {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map_or("", |(_, value)| value)
}

/// Against an HMAC of somebody else's.
#[track_caller]
fn check_signature(head: &str, body: &str) {
    let (id, at) = (field(head, "webhook-id"), field(head, "webhook-timestamp"));
    assert!(!id.is_empty() && !id.contains('.'), "{head}");
    let digest = format!("openssl dgst -sha256 -mac HMAC -macopt hexkey:{SECRET_HEX} -binary");
    let mut signer = Command::new("sh")
        .args(["-c", &format!("{digest} | openssl base64 -A")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let signed = format!("{id}.{at}.{body}");
    let mut input = signer.stdin.take().unwrap();
    input.write_all(signed.as_bytes()).unwrap();
    drop(input);
    let output = signer.wait_with_output().unwrap();
    let expected = String::from_utf8(output.stdout).unwrap();
    assert_eq!(field(head, "webhook-signature"), format!("v1,{expected}"));
}

/// A switch whose gateway may be told at 127.0.0.1, and whoever signs for its receiver.
fn open(name: &str, trust: Option<&Path>) -> (GatewayStage, TempDir) {
    open_with(name, trust, &[SECRET])
}

fn open_with(name: &str, trust: Option<&Path>, secrets: &[&str]) -> (GatewayStage, TempDir) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = |(number, secret): (usize, &&str)| {
        let path = folder.path().join(format!("callback-{number}.secret"));
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        format!("\"file:{}\"", path.display())
    };
    let secrets: Vec<_> = secrets.iter().enumerate().map(file).collect();
    let trust = trust.map_or_else(String::new, |file| {
        format!("callback_trust = \"{}\"\n", file.display())
    });
    let more = format!(
        "{GATEWAY}allow_pan = true\ngsma = true\ncallback_hosts = [\"localhost\"]\n\
         callback_private_hosts = [\"127.0.0.1\"]\n\
         callback_secrets = [{}]\n{trust}",
        secrets.join(", ")
    );
    let stage = GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), name, &more);
    (stage, folder)
}

fn counted(stage: &GatewayStage, result: &str) -> f64 {
    let label = format!("result=\"{result}\"");
    let name = "njia_callbacks_total";
    stage.node.metric(name, &[&label]).unwrap()
}

fn at(url: &str) -> String {
    format!("X-Callback-URL: {url}")
}

#[test]
fn what_has_become_final_is_told_over_tls_and_a_reversal_of_it_too() {
    let _machine = alone();
    let authority = Authority::new().unwrap();
    let pair = authority.issue("receiver", "IP:127.0.0.1").unwrap();
    let receiver = Receiver::start(Some(server(&pair).unwrap()), &[]);
    let (stage, _folder) = open("callbacks-tls", Some(&authority.root()));
    let url = at(&format!("https://127.0.0.1:{}/hooks?a=1", receiver.port));
    let paid = stage.pay("k1", &["-H", &url, "-H", "Prefer: wait=30"]);
    assert_eq!(paid.state(), (201, "approved".to_owned()));
    let path = format!("/v1/transactions/{}", paid.id());
    let shown = stage.curl(&path, &[]).json();
    let (head, mut body) = receiver.came(1).swap_remove(0);
    assert!(head.starts_with("POST /hooks?a=1 HTTP/1.1"), "{head}");
    let raw = receiver.came.lock().unwrap()[0].clone();
    check_signature(&raw.0, &raw.1);
    body.as_object_mut().unwrap().remove("updatedAt").unwrap();
    assert_eq!(body, shown, "what a GET shows");
    let reversals = format!("{path}/reversals");
    let reversed = stage.post(&reversals, "k2", "{}", &["-H", "Prefer: wait=30"]);
    assert_eq!(reversed.state(), (201, "reversed".to_owned()));
    let came = receiver.came(2);
    assert_eq!(came[1].1["state"], "reversed");
    assert_ne!(
        field(&came[0].0, "webhook-id"),
        field(&came[1].0, "webhook-id")
    );
    drop(stage.close());
}

/// A PUT of the transaction, or of why there is none, with the key of what was asked for: whoever
/// asked does not wait for it.
#[test]
fn in_gsmas_words_it_is_a_put() {
    let _machine = alone();
    let receiver = Receiver::start(None, &[204, 500, 204]);
    let (stage, _folder) = open("callbacks-gsma", None);
    let url = at(&format!("http://127.0.0.1:{}/hooks?a=1", receiver.port));
    let base = "/gsma/v1.2/mm/transactions";
    let keys = [
        "6f1b1f0e-3a77-4a39-9d1e-0d3f2c9b7a10",
        "6f1b1f0e-3a77-4a39-9d1e-0d3f2c9b7a11",
    ];
    let mut ids = Vec::new();
    for (key, payer) in keys.into_iter().zip(["+254712345678", "+1254712345678"]) {
        let body = format!(
            r#"{{"type":"merchantpay","amount":"10.00","currency":"KES",
            "debitParty":[{{"key":"msisdn","value":"{payer}"}}],
            "creditParty":[{{"key":"organisationid","value":"MERCHANT0000001"}}]}}"#
        );
        let key = format!("X-CorrelationID: {key}");
        let kind = "Content-Type: application/json";
        let more = ["-H", &key, "-H", &url, "-H", kind, "-H", "Prefer: wait=30"];
        let answer = stage.curl(base, &[&more[..], &["--data-binary", &body]].concat());
        if ids.is_empty() {
            assert_eq!(answer.status, 202, "{answer:?}");
            assert_eq!(answer.json()["notificationMethod"], "callback");
            ids.push(answer.json()["serverCorrelationId"].clone());
        } else {
            // Declined on the spot, and told all the same.
            assert_eq!(answer.status, 400, "{answer:?}");
        }
    }
    let came = receiver.came(3);
    let of = |key: &str| {
        let is_of = |one: &&(String, Value)| field(&one.0, "x-correlationid") == key;
        came.iter().filter(is_of).collect::<Vec<_>>()
    };
    let (paid, refused) = (of(keys[0]), of(keys[1]));
    assert_eq!(paid.len() + refused.len(), 3, "{came:?}");
    let (head, body) = paid[0];
    assert!(head.starts_with("PUT /hooks?a=1 HTTP/1.1"), "{head}");
    assert!(field(head, "x-date").ends_with('Z'), "{head}");
    assert_eq!(body["transactionStatus"], "completed");
    assert_eq!(body["transactionReference"], ids[0]);
    assert_eq!(refused[0].1["errorCategory"], "businessRule");
    let (head, body) = receiver.came.lock().unwrap()[0].clone();
    check_signature(&head, &body);
    drop(stage.close());
}

/// While a secret is changed a receiver has the old one or the new one.
#[test]
fn another_library_believes_either_secret_and_no_third() {
    let _machine = alone();
    let receiver = Receiver::start(None, &[]);
    let (stage, _folder) = open_with("callbacks-outside", None, &[SECRET, NEXT_SECRET]);
    let url = at(&format!("http://127.0.0.1:{}/", receiver.port));
    let paid = stage.pay("k1", &["-H", &url]);
    receiver.came(1);
    let (head, body) = receiver.came.lock().unwrap()[0].clone();
    let mut library = Peer::python("webhooks.py");
    let mut verify = |secret: &str, body: &str| {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers: BTreeMap<_, _> = names.map(|name| (name, field(&head, name))).into();
        library.ask(&json!({ "secret": secret, "body": body, "headers": headers }))
    };
    for secret in [SECRET, NEXT_SECRET] {
        assert_eq!(verify(secret, &body)["said"]["id"], paid.id());
    }
    let third = SECRET.replace("MfKQ", "MfKR");
    assert!(verify(&third, &body)["error"].is_string());
    let changed = body.replace("approved", "declined");
    assert!(verify(SECRET, &changed)["error"].is_string());
    drop(stage.close());
}

/// While it is on its way, and when it comes.
#[test]
fn neither_a_callback_nor_what_is_kept_for_it_shows_an_account_number() {
    let _machine = alone();
    let receiver = Receiver::start(None, &[503]);
    let (stage, _folder) = open("callbacks-card", None);
    let url = at(&format!("http://127.0.0.1:{}/", receiver.port));
    let party = r#"{"key":"msisdn","value":"+254712345678"}"#;
    let card = format!(r#"{{"key":"pan","value":"{ACCOUNT}"}}"#);
    let payment = PAYMENT.replace(party, &card);
    let paid = stage.post("/v1/transactions", "k1", &payment, &["-H", &url]);
    assert_eq!(paid.state(), (201, "approved".to_owned()));
    receiver.came(1);
    let state = stage.node.journal().join("callbacks.state");
    let kept = || fs::read_to_string(&state).unwrap_or_default();
    let is_kept = || kept().contains(&paid.id());
    assert!(eventually(DEADLINE, is_kept), "{}", kept());
    let (head, body) = receiver.came.lock().unwrap()[0].clone();
    for text in [&head, &body, &kept()] {
        for start in 0..=ACCOUNT.len() - 8 {
            assert!(!text.contains(&ACCOUNT[start..start + 8]), "{text}");
        }
    }
    drop(stage.close());
}

#[test]
fn a_failure_is_tried_again_and_410_ends_it() {
    let _machine = alone();
    let receiver = Receiver::start(None, &[500]);
    let (stage, _folder) = open("callbacks-again", None);
    let url = at(&format!("http://127.0.0.1:{}/", receiver.port));
    let paid = stage.pay("k1", &["-H", &url, "-H", "Prefer: respond-async"]);
    assert_eq!(paid.status, 202);
    let came = receiver.came(2);
    assert_eq!(came[0].1, came[1].1);
    assert_eq!(
        field(&came[0].0, "webhook-id"),
        field(&came[1].0, "webhook-id")
    );
    receiver.statuses.lock().unwrap().push_back(410);
    assert_eq!(stage.pay("k2", &["-H", &url]).status, 201);
    receiver.came(3);
    assert!(eventually(DEADLINE, || counted(&stage, "gone") == 1.0));
    let backlog = || stage.node.metric("njia_callback_backlog", &[]).unwrap();
    assert!(eventually(DEADLINE, || backlog() == 0.0));
    drop(stage.close());
}

#[test]
fn what_was_decided_before_a_kill_is_told_after_it() {
    let _machine = alone();
    let receiver = Receiver::start(None, &[503]);
    let (stage, _folder) = open("callbacks-killed", None);
    let url = at(&format!("http://127.0.0.1:{}/", receiver.port));
    assert_eq!(stage.pay("k1", &["-H", &url]).status, 201);
    let before = receiver.came(1);
    let stage = stage.killed();
    let after = receiver.came(2);
    assert_eq!(before[0].1, after[1].1);
    assert_eq!(
        field(&before[0].0, "webhook-id"),
        field(&after[1].0, "webhook-id")
    );
    drop(stage.close());
}

/// In the words of GSMA too, with the key of what was asked for.
#[test]
fn what_gsma_is_owed_before_a_kill_is_put_after_it() {
    let _machine = alone();
    let receiver = Receiver::start(None, &[503]);
    let (stage, _folder) = open("callbacks-gsma-killed", None);
    let url = at(&format!("http://127.0.0.1:{}/", receiver.port));
    let key = "6f1b1f0e-3a77-4a39-9d1e-0d3f2c9b7a10";
    let of = format!("X-CorrelationID: {key}");
    let kind = "Content-Type: application/json";
    let body = r#"{"type":"merchantpay","amount":"10.00","currency":"KES",
        "debitParty":[{"key":"msisdn","value":"+254712345678"}],
        "creditParty":[{"key":"organisationid","value":"MERCHANT0000001"}]}"#;
    let more = ["-H", &of, "-H", &url, "-H", kind, "--data-binary", body];
    let taken = stage.curl("/gsma/v1.2/mm/transactions", &more);
    assert_eq!(taken.status, 202, "{taken:?}");
    let before = receiver.came(1);
    let stage = stage.killed();
    let after = receiver.came(2);
    for (head, body) in &after {
        assert!(head.starts_with("PUT / HTTP/1.1"), "{head}");
        assert_eq!(field(head, "x-correlationid"), key, "{head}");
        assert_eq!(body["transactionStatus"], "completed", "{body}");
    }
    assert_eq!(before[0].1, after[1].1);
    assert_eq!(
        field(&before[0].0, "webhook-id"),
        field(&after[1].0, "webhook-id")
    );
    let (head, body) = receiver.came.lock().unwrap()[1].clone();
    check_signature(&head, &body);
    drop(stage.close());
}

#[test]
fn nobody_else_is_told() {
    let _machine = alone();
    let receiver = Receiver::start(None, &[]);
    let (stage, _folder) = open("callbacks-refused", None);
    for url in [
        "https://evil.example/",
        "http://localhost/",
        "https://127.0.0.1.evil.example/",
    ] {
        let refused = stage.pay("k1", &["-H", &at(url)]);
        assert_eq!(
            refused.problem(),
            (403, "not-permitted".to_owned()),
            "{url}"
        );
    }
    // A host of the list whose address is one of this machine: taken, and never connected to.
    let url = at(&format!("https://localhost:{}/", receiver.port));
    assert_eq!(stage.pay("k1", &["-H", &url]).status, 201);
    assert!(eventually(DEADLINE, || counted(&stage, "retried") == 1.0));
    assert!(receiver.came.lock().unwrap().is_empty());
    drop(stage.close());
}
