//! GSMA's Mobile Money API 1.2 on real sockets, beside the API that it is mapped onto.

use std::time::Duration;

use njia_tests::e2e::gateway::{Answer, GATEWAY, GatewayStage};
use njia_tests::e2e::{alone, eventually};
use sha2::{Digest as _, Sha256};

const BASE: &str = "/gsma/v1.2/mm";
const KEY: &str = "6f1b1f0e-3a77-4a39-9d1e-0d3f2c9b7a10";
const OTHER: &str = "6f1b1f0e-3a77-4a39-9d1e-0d3f2c9b7a11";

const PAYMENT: &str = concat!(
    r#"{"amount":"10.00","currency":"KES","#,
    r#""debitParty":[{"key":"msisdn","value":"+254712345678"}],"#,
    r#""creditParty":[{"key":"organisationid","value":"MERCHANT0000001"}],"#,
    r#""requestingOrganisationTransactionReference":"INV-2026-00042"}"#,
);

fn open(name: &str) -> GatewayStage {
    let gateway = format!("{GATEWAY}gsma = true\n");
    GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), name, &gateway)
}

fn get(stage: &GatewayStage, path: &str) -> Answer {
    stage.curl(&format!("{BASE}{path}"), &[])
}

fn post(stage: &GatewayStage, path: &str, key: &str, body: &str, more: &[&str]) -> Answer {
    let key = format!("X-CorrelationID: {key}");
    let kind = "Content-Type: application/json";
    let mut all = vec!["-H", &key, "-H", kind, "--data-binary", body];
    all.extend(more);
    stage.curl(&format!("{BASE}{path}"), &all)
}

fn pay(stage: &GatewayStage, key: &str, body: &str) -> Answer {
    post(stage, "/transactions/type/merchantpay", key, body, &[])
}

#[track_caller]
fn check(answer: &Answer, status: u16, name: &str, expected: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()[name], expected, "{answer:?}");
}

#[track_caller]
fn refused(answer: &Answer, status: u16, category: &str, code: &str) {
    check(answer, status, "errorCode", code);
    check(answer, status, "errorCategory", category);
    assert!(answer.json()["errorDescription"].is_string());
    assert!(answer.json()["errorDateTime"].is_string());
}

#[test]
fn a_payment_is_made_and_found_by_either_api() {
    let _machine = alone();
    let stage = open("gsma-payment");
    let paid = pay(&stage, KEY, PAYMENT);
    check(&paid, 201, "transactionStatus", "completed");
    assert_eq!(paid.json()["amount"], "10.00");
    assert_eq!(paid.json()["type"], "merchantpay");
    let reference = "requestingOrganisationTransactionReference";
    assert_eq!(paid.json()[reference], "INV-2026-00042");
    let id = paid.json()["transactionReference"]
        .as_str()
        .unwrap()
        .to_owned();

    let again = pay(&stage, &KEY.to_ascii_uppercase(), PAYMENT);
    assert_eq!((again.status, &again.text), (201, &paid.text));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other = PAYMENT.replace("10.00", "10.01");
    refused(
        &pay(&stage, KEY, &other),
        400,
        "businessRule",
        "duplicateRequest",
    );

    // One transaction, whichever API it is asked for by.
    let found = stage.curl(&format!("/v1/transactions?idempotency_key={KEY}"), &[]);
    assert_eq!(
        (found.state(), found.id()),
        ((200, "approved".to_owned()), id.clone())
    );
    let native = stage.post("/v1/transactions", KEY, &native(), &[]);
    assert_eq!(native.header("idempotency-replayed"), Some("true"));

    check(
        &get(&stage, &format!("/transactions/{id}")),
        200,
        "transactionStatus",
        "completed",
    );
    let state = get(&stage, &format!("/requeststates/{id}"));
    check(&state, 200, "status", "completed");
    check(&state, 200, "objectReference", &id);
    let link = get(&stage, &format!("/responses/{KEY}"));
    check(&link, 200, "link", &format!("/transactions/{id}"));
    check(
        &get(&stage, "/heartbeat"),
        200,
        "serviceStatus",
        "available",
    );
    assert_eq!(stage.close(), [("approve".to_owned(), 1_000)]);
}

#[test]
fn a_payment_is_reversed_in_parts() {
    let _machine = alone();
    let stage = open("gsma-reversed");
    let paid = pay(&stage, KEY, PAYMENT);
    check(&paid, 201, "transactionStatus", "completed");
    let id = paid.json()["transactionReference"]
        .as_str()
        .unwrap()
        .to_owned();
    let reversals = format!("/transactions/{id}/reversals");
    let wait = ["-H", "Prefer: wait=30"];
    let part = r#"{"type":"reversal","amount":"2.50","currency":"KES"}"#;
    let answer = post(&stage, &reversals, OTHER, part, &wait);
    check(&answer, 201, "transactionStatus", "reversed");
    check(&answer, 201, "type", "reversal");
    let of = get(&stage, &format!("/transactions/{id}"));
    check(&of, 200, "transactionStatus", "completed");
    let more = r#"{"amount":"7.51","currency":"KES"}"#;
    let answer = post(&stage, &reversals, KEY, more, &wait);
    refused(&answer, 400, "businessRule", "incorrectState");
    check(
        &post(&stage, &reversals, KEY, "{}", &wait),
        201,
        "transactionStatus",
        "reversed",
    );
    check(
        &get(&stage, &format!("/transactions/{id}")),
        200,
        "transactionStatus",
        "reversed",
    );
    check(
        &get(&stage, &format!("/requeststates/{id}")),
        200,
        "status",
        "completed",
    );
    let told = stage.close();
    let told: Vec<(&str, u64)> = told
        .iter()
        .map(|(kind, minor)| (kind.as_str(), *minor))
        .collect();
    assert_eq!(
        told,
        [("approve", 1_000), ("reverse", 250), ("reverse", 750)]
    );
}

/// The same payment in the words of the other API.
fn native() -> String {
    njia_tests::e2e::gateway::PAYMENT.to_owned()
}

#[test]
fn what_is_not_decided_in_time_is_polled() {
    let _machine = alone();
    let stage = open("gsma-pending");
    let async_ = ["-H", "Prefer: respond-async"];
    let path = "/transactions/type/merchantpay";
    let typed = PAYMENT.replacen('{', r#"{"type":"merchantpay","#, 1);
    stage
        .issuers
        .host
        .control(njia_tests::e2e::Issuers::MOMO)
        .freeze(true);
    let pending = post(&stage, path, KEY, PAYMENT, &async_);
    check(&pending, 202, "status", "pending");
    check(&pending, 202, "notificationMethod", "polling");
    assert!(pending.json()["expiryTime"].is_string());
    let id = pending.json()["serverCorrelationId"]
        .as_str()
        .unwrap()
        .to_owned();
    check(
        &get(&stage, &format!("/transactions/{id}")),
        200,
        "transactionStatus",
        "pending",
    );
    stage
        .issuers
        .host
        .control(njia_tests::e2e::Issuers::MOMO)
        .freeze(false);
    let done = eventually(Duration::from_secs(60), || {
        get(&stage, &format!("/requeststates/{id}")).json()["status"] == "completed"
    });
    assert!(done, "{}", stage.node.log());
    // By the path without a type, which is the same.
    check(
        &post(&stage, "/transactions", KEY, &typed, &[]),
        201,
        "transactionStatus",
        "completed",
    );
    assert_eq!(stage.close().len(), 1);
}

#[test]
fn what_is_refused_is_told_in_its_few_statuses() {
    let _machine = alone();
    let stage = open("gsma-refused");
    let validation = "validation";
    let answer = pay(&stage, "key-1", PAYMENT);
    refused(&answer, 400, validation, "mandatoryValueNotSupplied");
    let precise = PAYMENT.replace("10.00", "10.001");
    refused(&pay(&stage, KEY, &precise), 400, validation, "formatError");
    let number = PAYMENT.replace("\"10.00\"", "10.00");
    refused(&pay(&stage, KEY, &number), 400, validation, "formatError");
    let large = PAYMENT.replace("10.00", "10000000000.00");
    let answer = pay(&stage, KEY, &large);
    refused(&answer, 400, validation, "greaterThanTransactionMaxValue");
    let unknown = PAYMENT.replace("KES", "ABC");
    refused(
        &pay(&stage, KEY, &unknown),
        400,
        validation,
        "currencyNotSupported",
    );
    for kind in ["deposit", "nothing"] {
        let answer = post(
            &stage,
            &format!("/transactions/type/{kind}"),
            KEY,
            PAYMENT,
            &[],
        );
        refused(&answer, 400, validation, "formatError");
    }
    let plain = ["-H", "Content-Type: text/plain", "-d", PAYMENT];
    let answer = stage.curl(&format!("{BASE}/transactions"), &plain);
    refused(&answer, 400, validation, "formatError");
    // Callbacks are permitted to nobody: 403 does not exist there.
    let callback = ["-H", "X-Callback-URL: https://gateway.example/hooks"];
    let answer = post(&stage, "/transactions", KEY, PAYMENT, &callback);
    refused(
        &answer,
        401,
        "authorisation",
        "requestingPartyAuthorisationError",
    );
    let answer = stage.curl_unnamed(&format!("{BASE}/transactions/{KEY}"), &[]);
    refused(&answer, 401, "authorisation", "clientAuthorisationError");
    for path in [
        &format!("/transactions/{KEY}"),
        &format!("/requeststates/{KEY}"),
        &format!("/responses/{KEY}"),
        "/responses/key-1",
        "/transactions",
        "/accounts/msisdn/254712345678/balance",
        "/",
    ] {
        refused(&get(&stage, path), 404, "identification", "identifierError");
    }
    // Nothing was bound by what was refused. Nobody routes this account: declined on the spot.
    let nowhere = PAYMENT.replace("+254", "+1254");
    let answer = pay(&stage, KEY, &nowhere);
    refused(&answer, 400, "businessRule", "requestDeclined");
    let link = get(&stage, &format!("/responses/{KEY}"));
    let link = link.json()["link"].as_str().unwrap().to_owned();
    check(&get(&stage, &link), 200, "transactionStatus", "failed");
    let state = get(&stage, &link.replace("transactions", "requeststates"));
    check(&state, 200, "status", "failed");
    assert_eq!(state.json()["error"]["errorCode"], "requestDeclined");
    assert!(stage.close().is_empty());
}

/// As the specification has it, where that is wanted: a copy is refused, and harms nothing.
#[test]
fn a_copy_is_refused_where_that_is_wanted() {
    let _machine = alone();
    let gateway = format!("{GATEWAY}gsma = true\ngsma_duplicate = \"reject\"\n");
    let stage = GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), "gsma-reject", &gateway);
    let paid = pay(&stage, KEY, PAYMENT);
    check(&paid, 201, "transactionStatus", "completed");
    let copy = pay(&stage, KEY, PAYMENT);
    refused(&copy, 400, "businessRule", "duplicateRequest");
    let link = get(&stage, &format!("/responses/{KEY}")).json();
    let link = link["link"].as_str().unwrap();
    check(&get(&stage, link), 200, "transactionStatus", "completed");
    assert_eq!(stage.close(), [("approve".to_owned(), 1_000)]);
}

#[test]
fn a_body_that_does_not_fit_its_hash_is_refused() {
    let _machine = alone();
    let stage = open("gsma-hash");
    let digest = Sha256::digest(PAYMENT.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = |of: &str| format!("X-Content-Hash: {of}");
    let path = "/transactions/type/merchantpay";
    let wrong = hash(&digest.replace(&digest[..2], "zz"));
    let answer = post(&stage, path, KEY, PAYMENT, &["-H", &wrong]);
    refused(&answer, 400, "validation", "formatError");
    let answer = post(&stage, path, KEY, PAYMENT, &["-H", &hash(&digest)]);
    check(&answer, 201, "transactionStatus", "completed");
    assert_eq!(stage.close(), [("approve".to_owned(), 1_000)]);
}

#[test]
fn who_has_not_asked_for_it_does_not_have_it() {
    let _machine = alone();
    let stage = GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), "gsma-off", GATEWAY);
    for path in ["/heartbeat", "/transactions/a"] {
        let answer = get(&stage, path);
        assert_eq!(answer.problem(), (404, "not-found".to_owned()));
    }
    assert!(stage.close().is_empty());
}
