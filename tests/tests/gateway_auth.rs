//! How gateways show who they are, and what each credential opens: keys that end and follow each
//! other, signatures as the documents make them, and every route with every credential.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use njia_tests::e2e::audit::{self, AUDIT};
use njia_tests::e2e::gateway::{Answer, GATEWAY, GatewayStage, KEY, PAYMENT};
use njia_tests::e2e::{Build, alone, eventually};

#[path = "gateway_auth/restart.rs"]
mod restart;

const PATIENCE: Duration = Duration::from_secs(60);
const DOCUMENT: &str = include_str!("../../docs/http-api.md");
const TRANSACTIONS: &str = "/v1/transactions";

/// The gateway `mobile` with a key that has ended; `other` with a key; `signed` with one key that
/// is good and one that has ended.
fn configuration() -> String {
    let of = |name: &str, number: u32, more: &str| {
        format!(
            "[[acquirer]]\nname = \"{name}-money\"\n[[gateway]]\nname = \"{name}\"\n\
             address = \"127.0.0.1:0\"\nplaintext = true\nacquirer = \"{name}-money\"\n\
             terminal = \"GATEWAY{number}\"\nmerchant = \"MOBILEMONEY000{number}\"\n{more}\n"
        )
    };
    let ended = "not_after = \"2020-01-01T00:00:00Z\"\n";
    let signing = |id: &str, more: &str| {
        format!("[[gateway.signing_key]]\nid = \"{id}\"\nsecret = \"env:NJIA_TEST_KEY\"\n{more}")
    };
    let keys = [signing("2026-11", ""), signing("2019-11", ended)].concat();
    let other = format!("api_keys_sha256 = [\"{OTHER_SHA256}\"]");
    format!("{GATEWAY}[[gateway.api_key]]\nsha256 = \"{OLD_SHA256}\"\n{ended}")
        + &of("other", 2, &other)
        + &of("signed", 3, &keys)
}

const OLD_SHA256: &str = "932e974ed462265b2cd72c8ef2f2056a780b66d84767632d69df83a1eb58b51e";
const OTHER_SHA256: &str = "7788d9b851aa8c3a0724215ac27226bcf1276402fe44f9aa4247ffe90b00a689";
const NEW_SHA256: &str = "db575e9d4b517d8132650839ef3c88e0bb39ceda487254d6868354efceb2ab40";

fn open(name: &str) -> GatewayStage {
    GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), name, &configuration())
}

fn refusals(stage: &GatewayStage, gateway: &str, reason: &str) -> f64 {
    let labels = [
        &format!("gateway=\"{gateway}\"")[..],
        &format!("reason=\"{reason}\""),
    ];
    stage
        .node
        .metric("njia_gateway_refusals_total", &labels)
        .unwrap()
}

fn reloaded(stage: &GatewayStage, result: &str, count: f64) {
    let labels = [&format!("result=\"{result}\"")[..]];
    let name = "njia_gateway_credential_reloads_total";
    let done = eventually(PATIENCE, || {
        stage.node.metric(name, &labels).unwrap() >= count
    });
    assert!(done, "{}", stage.node.log());
}

/// What a gateway signs.
#[derive(Clone, Debug)]
struct Signed<'a> {
    gateway: &'a str,
    key: &'a str,
    secret: &'a str,
    method: &'a str,
    path: &'a str,
    timestamp: u64,
    nonce: String,
    idempotency_key: &'a str,
    body: &'a str,
}

impl<'a> Signed<'a> {
    fn new(method: &'a str, path: &'a str, nonce: &str) -> Self {
        let is_post = method == "POST";
        Self {
            gateway: "signed",
            key: "2026-11",
            secret: KEY,
            method,
            path,
            timestamp: now(),
            nonce: format!("nonce-{nonce:0>12}"),
            idempotency_key: if is_post { "key-1" } else { "" },
            body: if is_post { PAYMENT } else { "" },
        }
    }

    fn authorization(&self) -> String {
        let Self {
            gateway,
            key,
            timestamp,
            nonce,
            ..
        } = self;
        let signature = self.signature();
        format!(
            "Authorization: NJIA-HMAC-SHA256 id={gateway},key={key},timestamp={timestamp},\
             nonce={nonce},signature={signature}"
        )
    }

    fn signature(&self) -> String {
        let text = format!(
            "NJIA-HMAC-SHA256\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}",
            self.method,
            self.path,
            self.gateway,
            self.key,
            self.timestamp,
            self.nonce,
            self.idempotency_key,
            self.body
        );
        let mut command = Command::new("openssl");
        command.args(["dgst", "-sha256", "-mac", "HMAC", "-r", "-macopt"]);
        command.arg(format!("hexkey:{}", self.secret));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("openssl is there");
        let mut input = child.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        told.split(' ').next().unwrap().to_owned()
    }

    fn sent(&self, stage: &GatewayStage) -> Answer {
        send(
            stage,
            "signed",
            (self.method, self.path),
            Some(&self.authorization()),
            (self.idempotency_key, self.body),
        )
    }
}

fn send(
    stage: &GatewayStage,
    gateway: &str,
    (method, path): (&str, &str),
    authorization: Option<&str>,
    (key, body): (&str, &str),
) -> Answer {
    let key = format!("Idempotency-Key: {key}");
    let mut all = vec!["-X", method];
    if method == "POST" {
        all.extend(["-H", "Content-Type: application/json", "-H", &key]);
        all.extend(["--data-binary", body]);
    }
    if let Some(authorization) = authorization {
        all.extend(["-H", authorization]);
    }
    stage.curl_at(gateway, path, &all)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs()
}

fn unauthenticated(answer: &Answer) -> bool {
    answer.problem() == (401, "unauthenticated".to_owned())
}

#[test]
fn a_new_key_follows_an_old_one_without_a_restart() {
    let _machine = alone();
    let stage = open("gateway-auth-rotation");
    let path = "/v1/transactions?idempotency_key=k";
    let status = |key: &str| {
        let credential = format!("Authorization: Bearer {key}");
        stage.curl_unnamed(path, &["-H", &credential]).status
    };
    let all = || ["mobile-old-key", "mobile-test-key", "mobile-new-key"].map(status);
    assert_eq!(all(), [401, 404, 401]);
    assert!(refusals(&stage, "mobile", "credential_expired") >= 1.0);
    assert!(refusals(&stage, "mobile", "credential_unknown") >= 1.0);
    // The new one beside the old one.
    let ended = format!("[[gateway.api_key]]\nsha256 = \"{OLD_SHA256}\"\n");
    let beside = format!("[[gateway.api_key]]\nsha256 = \"{NEW_SHA256}\"\n{ended}");
    stage.reload(&ended, &beside);
    reloaded(&stage, "ok", 1.0);
    let done = eventually(PATIENCE, || all() == [401, 404, 404]);
    assert!(done, "{:?}", all());
    // A key that is none is refused, and those before stay.
    stage.reload(NEW_SHA256, "abc");
    reloaded(&stage, "refused", 1.0);
    assert_eq!(all(), [401, 404, 404]);
    // The old one goes.
    stage.reload("sha256 = \"abc\"", &format!("sha256 = \"{NEW_SHA256}\""));
    reloaded(&stage, "ok", 2.0);
    let line = GATEWAY.lines().last().unwrap();
    stage.reload(line, "");
    reloaded(&stage, "ok", 3.0);
    let done = eventually(PATIENCE, || all() == [401, 401, 404]);
    assert!(done, "{:?}", all());
    // One that signs goes on signing.
    stage.reload("[[gateway.signing_key]]", "[[gateway.api_key]]");
    reloaded(&stage, "refused", 2.0);
    assert!(stage.close().is_empty());
}

#[test]
fn a_signature_is_made_as_the_document_has_it() {
    let _machine = alone();
    let more = configuration().replace("\"mobile\"", "\"unsigned\"");
    let more = more.replace("name = \"signed\"", "name = \"mobile\"");
    let stage = GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), "gateway-auth-document", &more);
    let blocks = DOCUMENT.split("```sh\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    let script = blocks.find(|block| block.contains("openssl dgst"));
    let script = script.expect("the document signs");
    let gateway = format!("http://{}", stage.node.gateway_named("mobile"));
    let ran = || {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]);
        let output = command.env("GATEWAY", &gateway).env("SECRET", KEY).output();
        let output = output.expect("bash is there");
        assert!(output.status.success(), "{output:?}");
        Answer::read(&String::from_utf8(output.stdout).unwrap())
    };
    for _ in 0..2 {
        let answer = ran();
        assert_eq!(answer.state(), (201, "approved".to_owned()), "{answer:?}");
    }
    let paid = ("approve".to_owned(), 1_000);
    assert_eq!(stage.close(), [paid.clone(), paid]);
}

#[test]
fn fault_085_what_is_signed_comes_once_and_in_time() {
    let _machine = alone();
    let stage = open("gateway-auth-signed");
    let good = Signed::new("POST", TRANSACTIONS, "1");
    assert_eq!(good.sent(&stage).state(), (201, "approved".to_owned()));
    // Whichever shard it comes to, and with whichever key.
    for _ in 0..8 {
        assert!(unauthenticated(&good.sent(&stage)));
    }
    for key in ["key-2", "key-3", "key-4", "key-5", "key-6", "key-7"] {
        let other = Signed {
            idempotency_key: key,
            ..good.clone()
        };
        assert!(unauthenticated(&other.sent(&stage)), "{key}");
    }
    let replayed = refusals(&stage, "signed", "nonce_replayed");
    assert_eq!(replayed.to_bits(), 14.0_f64.to_bits());
    // A copy is signed anew.
    let copy = Signed::new("POST", TRANSACTIONS, "2").sent(&stage);
    assert_eq!(copy.status, 201);
    assert_eq!(copy.header("idempotency-replayed"), Some("true"));
    // What is refused spends no nonce.
    let fresh = Signed {
        idempotency_key: "key-8",
        ..Signed::new("POST", TRANSACTIONS, "3")
    };
    let forged = Signed {
        secret: &KEY.replace("1e1f", "1e1e"),
        ..fresh.clone()
    };
    assert!(unauthenticated(&forged.sent(&stage)));
    let stale = Signed {
        timestamp: now() - 400,
        ..fresh.clone()
    };
    assert!(unauthenticated(&stale.sent(&stage)));
    let early = Signed {
        timestamp: now() + 400,
        ..fresh.clone()
    };
    assert!(unauthenticated(&early.sent(&stage)));
    let authorization = fresh.authorization();
    let body = PAYMENT.replace("1000", "9000");
    let target = ("POST", TRANSACTIONS);
    let changed = [("key-8", body.as_str()), ("key-9", PAYMENT), ("key-8", "{")];
    for sent in changed {
        let answer = send(&stage, "signed", target, Some(&authorization), sent);
        assert!(unauthenticated(&answer), "{answer:?}");
    }
    assert_eq!(fresh.sent(&stage).state(), (201, "approved".to_owned()));
    let counted = |reason: &str| refusals(&stage, "signed", reason);
    assert!(counted("signature_stale") >= 2.0 && counted("signature_wrong") >= 4.0);
    let paid = ("approve".to_owned(), 1_000);
    assert_eq!(stage.close(), [paid.clone(), paid]);
}

/// What a request may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credential {
    None,
    Unknown,
    Ended,
    OfAnother,
    Good,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Create,
    ById,
    ByKey,
    ReverseById,
    ReverseByKey,
    Heartbeat,
    Problem,
}

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Own,
    Foreign,
}

const CREDENTIALS: [Credential; 5] = [
    Credential::None,
    Credential::Unknown,
    Credential::Ended,
    Credential::OfAnother,
    Credential::Good,
];
const ROUTES: [Route; 7] = [
    Route::Create,
    Route::ById,
    Route::ByKey,
    Route::ReverseById,
    Route::ReverseByKey,
    Route::Heartbeat,
    Route::Problem,
];

/// The rule: what is open is open to all; who is not known gets 401 whatever there is; and what is
/// another's is not there.
fn expected(route: Route, credential: Credential, object: Object) -> &'static [u16] {
    match (route, credential, object) {
        (Route::Heartbeat | Route::Problem, _, _) => &[200],
        (_, Credential::None | Credential::Unknown, _)
        | (_, Credential::Ended | Credential::OfAnother, _) => &[401],
        // A key of another is one of one's own, that was not used yet.
        (Route::Create, Credential::Good, _) => &[201],
        (_, Credential::Good, Object::Foreign) => &[404],
        (Route::ById | Route::ByKey, Credential::Good, Object::Own) => &[200],
        (Route::ReverseById | Route::ReverseByKey, Credential::Good, Object::Own) => &[201, 202],
    }
}

fn authorization(gateway: &str, credential: Credential, signed: Signed<'_>) -> Option<String> {
    let bearer = |key: &str| Some(format!("Authorization: Bearer {key}"));
    let signs = gateway == "signed";
    match (credential, signs) {
        (Credential::None, _) => None,
        (Credential::Unknown, false) => bearer("no-key"),
        (Credential::Ended, false) => bearer("mobile-old-key"),
        (Credential::OfAnother, false) => bearer("other-test-key"),
        (Credential::Good, false) => bearer("mobile-test-key"),
        (Credential::OfAnother, true) => bearer("mobile-test-key"),
        (Credential::Unknown, true) => {
            let key = "2030-11";
            Some(Signed { key, ..signed }.authorization())
        }
        (Credential::Ended, true) => {
            let key = "2019-11";
            Some(Signed { key, ..signed }.authorization())
        }
        (Credential::Good, true) => Some(signed.authorization()),
    }
}

#[test]
fn fault_085_every_route_with_every_credential() {
    let _machine = alone();
    let stage = open("gateway-auth-matrix");
    let mut count = 0;
    for gateway in ["mobile", "signed"] {
        for route in ROUTES {
            for credential in CREDENTIALS {
                for object in [Object::Own, Object::Foreign] {
                    count += 1;
                    check_cell(&stage, (gateway, count), (route, credential, object));
                }
            }
        }
    }
    drop(stage.close());
}

#[track_caller]
fn check_cell(
    stage: &GatewayStage,
    (gateway, count): (&str, u32),
    (route, credential, object): (Route, Credential, Object),
) {
    let key = format!("paid-{count}");
    let id = match (object, gateway) {
        (Object::Own, "signed") => {
            let nonce = format!("paid{count}");
            let signed = Signed {
                idempotency_key: &key,
                ..Signed::new("POST", TRANSACTIONS, &nonce)
            };
            signed.sent(stage).id()
        }
        (owner, _) => {
            let (at, secret) = match owner {
                Object::Own => ("mobile", "mobile-test-key"),
                Object::Foreign => ("other", "other-test-key"),
            };
            let credential = format!("Authorization: Bearer {secret}");
            let paid = ("POST", TRANSACTIONS);
            send(stage, at, paid, Some(&credential), (&key, PAYMENT)).id()
        }
    };
    assert_eq!(id.len(), 36, "{route:?} {credential:?} {object:?}");
    let (method, path, body) = match route {
        Route::Create => ("POST", TRANSACTIONS.to_owned(), PAYMENT),
        Route::ById => ("GET", format!("{TRANSACTIONS}/{id}"), ""),
        Route::ByKey => ("GET", format!("{TRANSACTIONS}?idempotency_key={key}"), ""),
        Route::ReverseById => ("POST", format!("{TRANSACTIONS}/{id}/reversals"), "{}"),
        Route::ReverseByKey => {
            let path = format!("{TRANSACTIONS}/reversals?idempotency_key={key}");
            ("POST", path, "{}")
        }
        Route::Heartbeat => ("GET", "/v1/heartbeat".to_owned(), ""),
        Route::Problem => ("GET", "/problems/not-found".to_owned(), ""),
    };
    let own = format!("ask-{count}");
    let signed = Signed {
        idempotency_key: if method == "POST" { &own } else { "" },
        body,
        ..Signed::new(method, &path, &format!("ask{count}"))
    };
    let shown = authorization(gateway, credential, signed);
    let answer = send(
        stage,
        gateway,
        (method, &path),
        shown.as_deref(),
        (&own, body),
    );
    let good = expected(route, credential, object);
    assert!(
        good.contains(&answer.status),
        "{gateway} {route:?} {credential:?} {object:?}: {answer:?}"
    );
    if answer.status == 401 {
        // Nothing says why, and nothing says whether it is there.
        assert!(unauthenticated(&answer));
        assert!(answer.json()["detail"].is_null(), "{answer:?}");
    }
}

#[test]
fn what_is_not_permitted_is_refused_and_counted() {
    let _machine = alone();
    let bounds = "types = [\"merchantpay\"]\ncurrencies = [\"KES\"]\n\
                  [gateway.amount_max]\nKES = 1_000\n";
    let more = format!("{GATEWAY}{bounds}");
    let stage = GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), "gateway-permitted", &more);
    let paid = stage.pay("key-1", &[]);
    assert_eq!(paid.state(), (201, "approved".to_owned()));
    for (from, to, reason) in [
        (":1000", ":1001", "amount"),
        ("\"KES\"", "\"UGX\"", "currency"),
        ("\"merchantpay\"", "\"withdrawal\"", "type"),
    ] {
        assert!(PAYMENT.contains(from));
        let body = PAYMENT.replace(from, to);
        let answer = stage.post(TRANSACTIONS, "key-2", &body, &[]);
        assert_eq!(
            answer.problem(),
            (403, "not-permitted".to_owned()),
            "{reason}"
        );
        let count = refusals(&stage, "mobile", reason);
        assert_eq!(count.to_bits(), 1.0_f64.to_bits(), "{reason}");
    }
    // The key was not bound, and what was paid may be taken back.
    assert_eq!(stage.pay("key-2", &[]).state().0, 201);
    let path = format!("{TRANSACTIONS}/{}/reversals", paid.id());
    let reversed = stage.post(&path, "back-1", "{}", &["-H", "Prefer: wait=30"]);
    assert_eq!(reversed.state(), (201, "reversed".to_owned()));
    let told = stage.close();
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["approve", "approve", "reverse"]);
}

fn audit_file(stage: &GatewayStage) -> PathBuf {
    audit::file(stage.node.journal().parent().unwrap())
}

fn audited(stage: &GatewayStage) -> Vec<audit::Line> {
    audit::lines(&audit_file(stage))
}

fn verified(stage: &GatewayStage, files: &[&Path]) -> (i32, String) {
    let config = audit_file(stage).with_file_name("../njia.toml");
    audit::verified(&config, KEY, files)
}

/// Asks for what must not be had, once each, and gives back the lines that are to be of it.
fn misbehave(stage: &GatewayStage) -> Vec<[&'static str; 5]> {
    let target = ("POST", TRANSACTIONS);
    let planted = format!("Authorization: Bearer {PLANTED}");
    let wrong = send(stage, "other", target, Some(&planted), ("key-1", PAYMENT));
    assert!(unauthenticated(&wrong), "{wrong:?}");
    let path = format!("{TRANSACTIONS}/{PLANTED_PAN}");
    assert!(unauthenticated(&send(
        stage,
        "other",
        ("GET", &path),
        None,
        ("", "")
    )));
    let good = Signed::new("POST", TRANSACTIONS, "1");
    assert_eq!(good.sent(stage).status, 201);
    assert!(unauthenticated(&good.sent(stage)));
    let forged = Signed {
        secret: &KEY.replace("1e1f", "1e1e"),
        ..Signed::new("POST", TRANSACTIONS, "2")
    };
    assert!(unauthenticated(&forged.sent(stage)));
    let body = PAYMENT.replace("KES", "USD");
    let forbidden = stage.post(TRANSACTIONS, "key-2", &body, &[]);
    assert_eq!(forbidden.problem(), (403, "not-permitted".to_owned()));
    vec![
        [
            "authentication",
            "unknown",
            OTHER_PAYS,
            "refused",
            "credential_unknown",
        ],
        [
            "authentication",
            "unknown",
            OTHER_ASKS,
            "refused",
            "credential_missing",
        ],
        [
            "authentication",
            "gateway:signed",
            SIGNED_PAYS,
            "refused",
            "nonce_replayed",
        ],
        [
            "authentication",
            "unknown",
            SIGNED_PAYS,
            "refused",
            "signature_wrong",
        ],
        [
            "permission",
            "gateway:mobile",
            MOBILE_PAYS,
            "refused",
            "currency",
        ],
    ]
}

const PLANTED: &str = "planted-secret-0123456789abcdef";
const PLANTED_PAN: &str = "4111111111111111";
const OTHER_PAYS: &str = "gateway:other /v1/transactions";
const OTHER_ASKS: &str = "gateway:other /v1/transactions/{id}";
const SIGNED_PAYS: &str = "gateway:signed /v1/transactions";
const MOBILE_PAYS: &str = "gateway:mobile /v1/transactions";

/// An operator sends what is owed again, and has the configuration read.
fn operate(stage: &GatewayStage) {
    let retried = Command::new(Build::Product.njia())
        .args(["saf", "retry", "--issuer", "bank", "--socket"])
        .arg(stage.node.socket())
        .output()
        .unwrap();
    assert!(retried.status.success(), "{retried:?}");
    stage.reload("[audit]", "[audit]");
}

#[test]
fn fault_085_who_was_refused_and_what_was_done_by_hand_is_written_down() {
    let _machine = alone();
    let first = "[[gateway.api_key]]";
    let permitted = format!("currencies = [\"KES\"]\n{first}");
    let more = configuration().replacen(first, &permitted, 1) + AUDIT;
    let stage = GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), "gateway-audit", &more);
    let expected = misbehave(&stage);
    operate(&stage);
    let of_operators = ["saf_retry", "reload", "reload"];
    let lines = 1 + expected.len() + of_operators.len();
    let written = eventually(PATIENCE, || audited(&stage).len() >= lines);
    assert!(written, "{:?}", audited(&stage));
    let mut lines = audited(&stage);
    assert_eq!(lines.remove(0)[0], "log_opened");
    let (by_peers, by_hand): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|line| matches!(line[0].as_str(), "authentication" | "permission"));
    let expected = expected.iter().map(|line| {
        let [event, who, object, result, reason] = line.map(str::to_owned);
        [event, who, object, result, reason, "1".to_owned()]
    });
    assert_eq!(by_peers, expected.collect::<Vec<_>>());
    let events: Vec<&str> = by_hand.iter().map(|line| line[0].as_str()).collect();
    assert_eq!(events, of_operators);
    assert!(by_hand[0][1].starts_with("operator:"), "{by_hand:?}");
    assert_eq!(by_hand[0][2], "issuer:bank");
    let text = fs::read_to_string(audit_file(&stage)).unwrap();
    for secret in [PLANTED, PLANTED_PAN, KEY, "mobile-test-key"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(text.contains("\"from\":\"127.0.0.1\""), "{text}");
    assert!(stage.node.metric("njia_audit_last_line", &[]).unwrap() >= 9.0);
    // A crash leaves the chain whole, and the next start says so.
    let stage = stage.killed();
    let again = eventually(PATIENCE, || {
        let lines = audited(&stage);
        lines.iter().filter(|line| line[0] == "log_opened").count() == 2
    });
    assert!(again, "{:?}", audited(&stage));
    assert_eq!(audited(&stage).last().unwrap()[4], "after_crash");
    let file = audit_file(&stage);
    let (code, told) = verified(&stage, &[&file]);
    assert_eq!(code, 0, "{told}");
    // The null control: a line less is found.
    let text = fs::read_to_string(&file).unwrap();
    let kept = text.lines().enumerate().filter(|(number, _)| *number != 2);
    let kept: Vec<&str> = kept.map(|(_, line)| line).collect();
    let copy = file.with_file_name("copy.jsonl");
    fs::write(&copy, kept.join("\n") + "\n").unwrap();
    let (code, told) = verified(&stage, &[&copy]);
    assert_eq!(code, 65, "{told}");
    assert!(
        told.contains("copy.jsonl:3: lines 3 to 3 are missing"),
        "{told}"
    );
    assert_eq!(stage.close().len(), 1);
}
