//! The card of `card_data` on the ways that are HTTP: an issuer that is asked in JSON, whatever it
//! answers, and a gateway that may name a card, in good requests and in bad ones. Afterwards it is
//! looked for wherever something is kept or told.

#[path = "card_data/planted.rs"]
mod planted;

use std::fs;
use std::process::Command;
use std::time::Duration;

use njia_tests::e2e::gateway::{API_KEY, GATEWAY, KEY};
use njia_tests::e2e::json_bank::{JsonBank, Submit, issuer_text};
use njia_tests::e2e::scene::next;
use njia_tests::e2e::session::{Session, purchase};
use njia_tests::e2e::{Build, Node, alone, eventually, files, folder};
use planted::{ACCOUNT, MASKED, PIN_BLOCK, TRACK_2, traces, with_bytes, with_card};

const PATIENCE: Duration = Duration::from_secs(60);

/// A switch whose cards are all at a bank of JSON, and which logs everything.
fn configured(bank: &JsonBank, state: &str) -> String {
    let issuer = issuer_text("bank", bank.address());
    format!(
        r#"
[node]
state_dir = "{state}"
shards = 1

[keys]
token_key = "env:NJIA_TEST_KEY"
pan_key = "env:NJIA_TEST_KEY"
hash_key = "env:NJIA_TEST_KEY"

[admin]
address = "127.0.0.1:0"

[journal]
segment_bytes = 8388608

[limits]
request_wait_max_ms = 5_000

[[acquirer]]
name = "acquirer-1"

[[acquirer]]
name = "mobile-money"

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "acquirer-1"
{issuer}{GATEWAY}allow_pan = true

[[route]]
name = "cards"
prefixes = ["5"]
candidates = ["bank"]
deadline_ms = 10_000
"#
    )
}

/// What the bank does with it, and the acquirer is told.
const OF_CARDS: [(Submit, &str); 8] = [
    (Submit::Approve, "00"),
    (Submit::Decline, "51"),
    (Submit::Garbled, "96"),
    (Submit::HangUp, "96"),
    (Submit::OtherAmount, "96"),
    (Submit::Failed(500), "96"),
    (Submit::Refused(422), "96"),
    (Submit::Refused(401), "96"),
];

fn by_card(node: &Node, bank: &JsonBank) {
    let mut session = Session::connect(node.listener()).unwrap();
    for (number, (submit, code)) in (1..).zip(OF_CARDS) {
        bank.script(&[submit]);
        let stan = format!("{number:06}");
        session.send(&with_card(&purchase(&stan))).unwrap();
        let (mti, told_stan, told_code) = next(&mut session);
        assert_eq!(
            (told_stan, told_code),
            (stan, code.to_owned()),
            "{mti} {submit:?}"
        );
    }
}

fn body(party: &str, more: &str) -> String {
    format!(
        r#"{{"type":"merchantpay","amount":{{"minor":1000,"currency":"KES"}},"debitParty":[{party}],
        "creditParty":[{{"key":"organisationid","value":"MERCHANT0000001"}}],{more}
        "reference":"INV-2026-00042"}}"#
    )
}

/// Posts it; the status, and all that was told.
fn post(node: &Node, key: &str, body: &str) -> (u16, String) {
    let output = Command::new("curl")
        .args(["-sS", "-i", "--max-time", "60", "-H"])
        .arg(format!("Authorization: Bearer {API_KEY}"))
        .args(["-H", "Content-Type: application/json", "-H"])
        .arg(format!("Idempotency-Key: {key}"))
        .args(["-d", body])
        .arg(format!(
            "http://{}/v1/transactions",
            node.gateway_named("mobile")
        ))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.unwrap(), text)
}

/// Good and bad; all that was told.
fn by_gateway(node: &Node, bank: &JsonBank) -> Vec<(String, Vec<u8>)> {
    let pan = format!(r#"{{"key":"pan","value":"{ACCOUNT}"}}"#);
    let pin = PIN_BLOCK.iter().map(|byte| format!("{byte:02x}"));
    let pin: String = pin.collect();
    let mut told = Vec::new();
    let mut check = |submit: Option<Submit>, text: &str, status: u16| {
        bank.script(submit.as_slice());
        let key = format!("key-{}", told.len());
        let (found, text) = post(node, &key, text);
        assert_eq!(found, status, "{text}");
        told.push((key, text.into_bytes()));
    };
    check(Some(Submit::Approve), &body(&pan, ""), 201);
    check(Some(Submit::Decline), &body(&pan, ""), 201);
    check(Some(Submit::Garbled), &body(&pan, ""), 202);
    check(None, &body(&pan, &format!(r#""track2":"{TRACK_2}","#)), 400);
    check(None, &body(&pan, &format!(r#""pin":"{pin}","#)), 400);
    check(None, &body(&pan, &format!(r#""{ACCOUNT}":1,"#)), 400);
    check(
        None,
        &body(&pan, &format!(r#""channel":"{TRACK_2}","#)),
        400,
    );
    check(
        None,
        &body(&format!(r#"{{"key":"{ACCOUNT}","value":"1"}}"#), ""),
        400,
    );
    check(None, &format!(r#"{{"a":"{ACCOUNT}"#), 400);
    told
}

#[test]
fn what_goes_over_http_is_kept_and_told_nowhere_else() {
    let _machine = alone();
    let bank = JsonBank::start().unwrap();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "card-data-http");
    let state = folder.join("state");
    let config = folder.join("njia.toml");
    fs::write(&config, configured(&bank, &state.display().to_string())).unwrap();
    let environment = [("NJIA_TEST_KEY", KEY), ("NJIA_LOG", "trace")];
    let start = || Node::configured(Build::Product, &config, &state, &environment).unwrap();
    let node = start();
    let is_up = || {
        let labels = ["issuer=\"bank\"", "state=\"up\""];
        node.metric("njia_links", &labels).unwrap_or(0.0) >= 2.0
    };
    assert!(eventually(PATIENCE, is_up), "{}", node.log());
    by_card(&node, &bank);
    let mut told = by_gateway(&node, &bank);
    for page in ["/metrics", "/statusz", "/readyz"] {
        told.push((page.to_owned(), node.page(page).unwrap().into_bytes()));
    }
    let journal = node.journal().display().to_string();
    let inspect = ["inspect", "journal", "export", &journal];
    let shown = Command::new(Build::Product.njia()).args(inspect).output();
    let shown = shown.unwrap().stdout;
    assert!(String::from_utf8_lossy(&shown).contains(MASKED));
    told.push(("export".to_owned(), shown));
    // What is owed is asked for again by a process that has the card from the journal alone.
    node.kill().unwrap();
    let node = start();
    node.settle(PATIENCE).unwrap();
    let is_reversal = |(kind, _, _): &(String, String, u64)| kind == "reverse";
    assert!(
        bank.effects().iter().any(is_reversal),
        "{:?}",
        bank.effects()
    );
    assert!(node.terminate().unwrap().success());
    assert_eq!(traces(&told), Vec::<String>::new());
    let kept = files(&state);
    let bytes = kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    assert!(bytes > 1 << 20, "journal and log: {bytes}");
    assert_eq!(traces(&kept), Vec::<String>::new());
    // The search finds what is there.
    let control = with_bytes(&purchase("000113"), 2, ACCOUNT.as_bytes());
    fs::write(state.join("control"), control).unwrap();
    assert!(!traces(&files(&state)).is_empty());
    fs::remove_dir_all(&folder).unwrap();
}
