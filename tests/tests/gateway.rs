//! Gateways on real sockets: curl where it serves, bytes of our own where no client would send
//! them. The issuers are simulated and speak ISO 8583.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use njia_tests::e2e::contract::{Contract, Seen, method_of};
use njia_tests::e2e::gateway::{GATEWAY, start};
use njia_tests::e2e::{Issuers, Node, alone, eventually, folder};
use serde_json::Value;

/// A switch with a gateway, and what it needs.
struct Stage {
    node: Node,
    issuers: Issuers,
    folder: PathBuf,
    gateway: String,
}

impl Stage {
    fn open(name: &str) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
        Self::on(folder, issuers)
    }

    fn on(folder: PathBuf, issuers: Issuers) -> Self {
        let node = start(&folder, &issuers, GATEWAY);
        let gateway = node.gateway_named("mobile").to_owned();
        Self {
            node,
            issuers,
            folder,
            gateway,
        }
    }

    /// Kills the switch and starts it again on what it has written.
    fn killed(self) -> Self {
        self.node.kill().unwrap();
        Self::on(self.folder, self.issuers)
    }

    fn close(self) {
        self.node.check_sums().unwrap();
        assert!(self.node.terminate().unwrap().success());
        self.issuers.finish().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }

    /// What curl gets, with further arguments.
    fn curl(&self, path: &str, more: &[&str]) -> Answer {
        let credential = format!("Authorization: Bearer {API_KEY}");
        self.curl_as(&[&credential], path, more)
    }

    /// The same with these headers for a credential.
    fn curl_as(&self, credentials: &[&str], path: &str, more: &[&str]) -> Answer {
        let url = format!("http://{}{path}", self.gateway);
        let output = Command::new("curl")
            .args(["-sS", "-i", "--max-time", "60"])
            .args(credentials.iter().flat_map(|header| ["-H", header]))
            .args(more)
            .arg(url)
            .output()
            .expect("curl is there");
        assert!(output.status.success(), "{output:?}");
        let answer = Answer::read(&String::from_utf8(output.stdout).unwrap());
        if path != "/openapi.json" {
            let document = self.curl("/openapi.json", &[]);
            Contract::read(&document.text).check(Seen {
                method: method_of(more),
                target: path,
                status: answer.status,
                head: &answer.head,
                body: &answer.text,
            });
        }
        answer
    }

    fn post(&self, key: &str, body: &str, more: &[&str]) -> Answer {
        let key = format!("Idempotency-Key: {key}");
        let kind = "Content-Type: application/json";
        let mut all = vec!["-H", &key, "-H", kind, "--data-binary", body];
        all.extend(more);
        self.curl("/v1/transactions", &all)
    }

    /// What comes back to these bytes, until the switch closes.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.gateway).unwrap();
        let timeout = Some(Duration::from_secs(60));
        stream.set_read_timeout(timeout).unwrap();
        if let Err(error) = stream.write_all(bytes) {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        String::from_utf8(answer).unwrap()
    }
}

/// A status, a head and a body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    text: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).expect("a head has a status");
        Self {
            status: status.parse().unwrap(),
            head: head.to_ascii_lowercase(),
            text: body.to_owned(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::trim)
    }

    /// Status and the last part of the problem's type.
    fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let kind = self.json()["type"].as_str().unwrap().to_owned();
        (self.status, kind.replace("/problems/", ""))
    }
}

const API_KEY: &str = "mobile-test-key";

const BODY: &str = concat!(
    r#"{"type":"merchantpay","amount":{"minor":152300,"currency":"KES"},"#,
    r#""debitParty":[{"key":"msisdn","value":"+254712345678"}],"#,
    r#""creditParty":[{"key":"organisationid","value":"MERCHANT0000001"}],"#,
    r#""reference":"INV-2026-00042"}"#,
);

#[test]
fn a_payment_ends_at_an_issuer_of_iso_8583_and_is_found_again() {
    let _machine = alone();
    let stage = Stage::open("gateway-payment");
    let first = stage.post("key-1", BODY, &[]);
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.header("preference-applied"), Some("wait=10"));
    let told = first.json();
    assert_eq!(told["state"], "approved");
    assert_eq!(told["amount"]["decimal"], "1523.00");
    assert_eq!(told["issuer"]["route"], "momo");
    let id = told["id"].as_str().unwrap();
    assert_eq!(
        first.header("location"),
        Some(format!("/v1/transactions/{id}").as_str())
    );

    let found = stage.curl(&format!("/v1/transactions/{id}"), &[]);
    assert_eq!(
        (found.status, found.json()["state"].as_str()),
        (200, Some("approved"))
    );
    let found = stage.curl("/v1/transactions?idempotency_key=key-1", &[]);
    assert_eq!(found.json()["id"], told["id"]);

    // A repeat gets the same bytes; another body under the key gets none; the issuer has one.
    let again = stage.post("\"key-1\"", BODY, &[]);
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other = BODY.replace("254712345678", "254712345679");
    let reused = stage.post("key-1", &other, &[]);
    assert_eq!(reused.problem(), (422, "idempotency-key-reused".to_owned()));
    assert_eq!(
        reused.json()["instance"],
        format!("/v1/transactions/{id}").as_str()
    );

    let stage = stage.killed();
    let after = stage.post("key-1", BODY, &[]);
    assert_eq!(
        (after.status, &after.text),
        (201, &first.text),
        "after a restart"
    );
    let found = stage.curl(&format!("/v1/transactions/{id}"), &[]);
    assert_eq!(found.json()["state"], "approved");
    stage.close();
}

#[test]
fn an_answer_may_come_later() {
    let _machine = alone();
    let stage = Stage::open("gateway-later");
    let control = stage.issuers.host.control(Issuers::MOMO);
    control.freeze(true);
    let first = stage.post("key-1", BODY, &["-H", "Prefer: respond-async"]);
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(first.header("preference-applied"), Some("respond-async"));
    let told = first.json();
    assert_eq!(
        (&told["state"], &told["final"]),
        (&"pending".into(), &false.into())
    );
    let again = stage.post("key-1", BODY, &["-H", "Prefer: wait=1"]);
    assert_eq!(
        (again.status, again.header("location")),
        (202, first.header("location"))
    );
    control.freeze(false);
    let path = format!("/v1/transactions/{}", told["id"].as_str().unwrap());
    let done = eventually(Duration::from_secs(60), || {
        let found = stage.curl(&path, &["-H", "Prefer: wait=5"]);
        found.json()["state"] == "approved"
    });
    assert!(done, "{}", stage.node.log());
    stage.close();
}

#[test]
fn fault_085_who_is_not_known_is_told_nothing() {
    let _machine = alone();
    let stage = Stage::open("gateway-unknown");
    let path = "/v1/transactions?idempotency_key=k";
    let good = format!("Authorization: Bearer {API_KEY}");
    let own = format!("X-API-Key: {API_KEY}");
    let (name, other) = ("X-Client-Id: mobile", "X-Client-Id: other");
    for credentials in [
        &[][..],
        &["Authorization: Bearer wrong"],
        &["Authorization: Bearer "],
        &["Authorization: Basic bW9iaWxlLXRlc3Qta2V5"],
        &[&good, "Authorization: Bearer wrong"],
        &[&good, &own, name],
        &[&own],
        &[&own, other],
        &["X-API-Key: wrong", name],
    ] {
        let answer = stage.curl_as(credentials, path, &[]);
        let refused = (401, "unauthenticated".to_owned());
        assert_eq!(answer.problem(), refused, "{credentials:?}");
    }
    for credentials in [&[good.as_str()][..], &[&own, name]] {
        assert_eq!(stage.curl_as(credentials, path, &[]).status, 404);
    }
    let id = "01a1fae5-9c1c-7b1a-8f00-0a0000000421";
    let answer = stage.curl(&format!("/v1/transactions/{id}"), &[]);
    assert_eq!(answer.problem(), (404, "not-found".to_owned()));
    stage.close();
}

#[test]
fn fault_083_a_body_that_cannot_be_used_moves_nothing() {
    let _machine = alone();
    let stage = Stage::open("gateway-bodies");
    let malformed = (400, "malformed".to_owned());
    let deep = format!("{}{}", "[".repeat(17), "]".repeat(17));
    let twice = BODY.replacen("{\"type\"", "{\"type\":\"billpay\",\"type\"", 1);
    let behind = format!("{BODY}{BODY}");
    for body in ["", "{", &deep, &twice, &behind, "\u{feff}{}", "NaN"] {
        assert_eq!(stage.post("k", body, &[]).problem(), malformed, "{body}");
    }
    let invalid = (400, "invalid-field".to_owned());
    for number in ["1e3", "1.0", "-0", "0", "9007199254740993", "\"1\""] {
        let answer = stage.post("k", &BODY.replace("152300", number), &[]);
        assert_eq!(answer.problem(), invalid, "{number}");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/amount/minor");
    }
    let answer = stage.post("k", &BODY.replace("KES", "ABC"), &[]);
    assert_eq!(answer.problem(), (422, "currency-not-supported".to_owned()));
    let callback = ["-H", "X-Callback-URL: https://gateway.example/hooks"];
    let answer = stage.post("k", BODY, &callback);
    assert_eq!(answer.problem(), (403, "not-permitted".to_owned()));
    let padded = |len: usize| format!("{BODY}{}", " ".repeat(len - BODY.len()));
    let answer = stage.post("k", &padded(16_385), &[]);
    assert_eq!(answer.problem(), (413, "too-large".to_owned()));
    assert_eq!(
        stage.post("k", &padded(16_384), &[]).status,
        201,
        "nothing was bound before"
    );

    let kind = ["-H", "Content-Type: text/plain"];
    let answer = stage.curl("/v1/transactions", &[&kind[..], &["-d", BODY]].concat());
    assert_eq!(answer.problem(), (415, "unsupported-media-type".to_owned()));
    let kind = ["-H", "Content-Type: application/json"];
    let answer = stage.curl("/v1/transactions", &[&kind[..], &["-d", BODY]].concat());
    assert_eq!(
        answer.problem(),
        (400, "idempotency-key-missing".to_owned())
    );
    for (path, method, allow) in [
        ("/v1/transactions", "PUT", "GET, POST"),
        ("/v1/transactions/reversals", "GET", "POST"),
        ("/openapi.json", "POST", "GET"),
    ] {
        let answer = stage.curl(path, &["-X", method, "-H", "Content-Length: 0"]);
        assert_eq!(answer.problem(), (405, "method-not-allowed".to_owned()));
        let found = answer.header("allow").map(str::to_ascii_uppercase);
        assert_eq!(found.as_deref(), Some(allow), "{method} {path}");
    }
    let answer = stage.curl("/v1/heartbeat", &[]);
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, r#"{"serviceStatus":"available"}"#)
    );
    stage.close();
}

#[test]
fn fault_084_what_may_be_read_in_two_ways_ends_the_connection() {
    let _machine = alone();
    let stage = Stage::open("gateway-smuggling");
    let head = "POST /v1/transactions HTTP/1.1\r\nHost: a\r\n";
    let behind = "GET /v1/heartbeat HTTP/1.1\r\nHost: a\r\n\r\n";
    for (fields, status) in [
        (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        ("Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        ("Content-Length: 3\r\n folded\r\n\r\nabc", 400),
        ("Content-Length: 3\n\r\nabc", 400),
        ("\r\n", 411),
        ("Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", 417),
        ("Content-Length: 99999\r\n\r\nabc", 413),
    ] {
        let answer = stage.raw(format!("{head}{fields}{behind}").as_bytes());
        let read = Answer::read(&answer);
        assert_eq!(read.status, status, "{fields}");
        assert_eq!(read.header("connection"), Some("close"));
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "nothing behind it: {answer}"
        );
    }
    for (request, status) in [
        ("GET /v1/heartbeat\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET /v1/heartbeat HTTP/1.1\n\n", 400),
        (
            &format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2_048)),
            414,
        ),
        (
            &format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
                "x".repeat(8_192)
            ),
            431,
        ),
    ] {
        assert_eq!(Answer::read(&stage.raw(request.as_bytes())).status, status);
    }
    // What is well formed and comes at once is answered in order.
    let last = "GET /v1/heartbeat HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = stage.raw(format!("{}{last}", behind.repeat(15)).as_bytes());
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 16);
    stage.close();
}

#[test]
fn whoever_uses_another_method_is_told_which_there_are() {
    let _machine = alone();
    let stage = Stage::open("gateway-methods");
    let id = "/v1/transactions/01a1fae5-9c1c-7b1a-8f00-0a0000000421";
    for (method, path, allowed) in [
        ("DELETE", "/v1/transactions".to_owned(), "GET, POST"),
        ("POST", id.to_owned(), "GET"),
        ("GET", format!("{id}/reversals"), "POST"),
        (
            "GET",
            "/v1/transactions/reversals?idempotency_key=k".to_owned(),
            "POST",
        ),
        ("POST", "/v1/heartbeat".to_owned(), "GET"),
        ("POST", "/openapi.json".to_owned(), "GET"),
        ("POST", "/problems/malformed".to_owned(), "GET"),
    ] {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        let told = stage.raw(format!("{head}Content-Length: 0\r\n\r\n").as_bytes());
        let told = Answer::read(&told);
        let allow = told.header("allow").map(str::to_ascii_uppercase);
        assert_eq!(
            (told.status, allow.as_deref()),
            (405, Some(allowed)),
            "{method} {path}"
        );
        let fields = "Content-Length: 2\r\nContent-Type: application/json\r\n";
        // A body that no target takes is not read: what is behind it means nothing any more.
        let told =
            stage.raw(format!("PUT {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{{}}").as_bytes());
        let told = Answer::read(&told);
        assert_eq!(told.status, 405, "{path}");
        assert!(told.header("allow").is_some(), "{path}");
    }
    stage.close();
}
