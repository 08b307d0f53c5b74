//! What is written down of peers on the ISO 8583 side and of the operator who ends the switch, and
//! that whoever has the key finds it whole. Gateways: `gateway_auth.rs`; callbacks of issuers:
//! `http_pending.rs`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use iso8583::Dialect;
use njia_tests::e2e::audit::{self, AUDIT};
use njia_tests::e2e::desk::{accepted, answered, said};
use njia_tests::e2e::scene::{ALONE, SHORT, Scene, asked, next, told};
use njia_tests::e2e::session::{Session, authenticated, purchase};
use njia_tests::e2e::{Build, eventually};
use rustix::process::Signal;
use switch::crypto::mac::{MacAlgorithm, MacLen, MacPadding, SoftwareMac};

const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BANK_TO_US: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const US_TO_BANK: &str = "603deb1015ca71be2b73aef0857d7781";
const KEK: &str = "0123456789abcdeffedcba9876543210";
/// A key under [`KEK`] and its check value, both by `openssl enc -des-ede`.
const OFFERED: &str = "f08d805d3435580116f6d4d7a1d8916129a9c3";
/// The same with a check value of another key.
const UNUSABLE: &str = "f08d805d3435580116f6d4d7a1d8916129a9c4";

const AUDITED: [(&str, &str); 13] = [
    ALONE,
    SHORT,
    ("NJIA__AUDIT__KEY", "env:NJIA_TEST_KEY"),
    ("NJIA_TEST_KEY", KEY),
    ("NJIA__KEYS__SOFTWARE_MAC", "true"),
    ("NJIA__ISSUER__BANK__MAC__ALGORITHM", "retail"),
    ("NJIA__ISSUER__BANK__MAC__RECEIVE_KEY", "env:BANK_TO_US"),
    ("NJIA__ISSUER__BANK__MAC__SEND_KEY", "env:US_TO_BANK"),
    ("NJIA__ISSUER__BANK__MAC__NETWORK", "false"),
    ("NJIA__ISSUER__BANK__MAC__KEY_CHANGE__KEK", "env:KEK"),
    ("BANK_TO_US", BANK_TO_US),
    ("US_TO_BANK", US_TO_BANK),
    ("KEK", KEK),
];

const ASCII: &Dialect = Dialect::ISO87_ASCII;

fn key(hex: &str) -> SoftwareMac {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digit).collect();
    let algorithm = MacAlgorithm::Retail(MacPadding::Method2);
    SoftwareMac::new(algorithm, MacLen::Eight, &bytes).unwrap()
}

/// Event, who, object, result and reason, once each.
const EXPECTED: [[&str; 5]; 7] = [
    ["log_opened", "switch", "log", "done", "first"],
    ["mac", "unknown", BANK, "refused", "mac_wrong"],
    ["mac", "unknown", BANK, "refused", "mac_missing"],
    ["key_change", "unknown", BANK, "refused", "key_unusable"],
    ["key_change", BANK, BANK, "done", "none"],
    ["drain", "operator", "switch", "done", "none"],
    ["log_closed", "switch", "log", "done", "none"],
];
const BANK: &str = "issuer:bank";

/// A purchase whose answer, by `seal`, is as good as none: it is reversed, and that is taken.
fn pay(scene: &Scene, link: &mut Session, stan: &str, seal: impl Fn(&[u8]) -> Vec<u8>) {
    let mut session = scene.session();
    session.send(&purchase(stan)).unwrap();
    let request = asked(link, "0200");
    link.send(&seal(&answered(&request, "00"))).unwrap();
    assert_eq!(next(&mut session), told("0210", stan, "91"));
    let owed = asked(link, "0420");
    let taken = authenticated(ASCII, &answered(&owed, "00"), &key(BANK_TO_US));
    link.send(&taken).unwrap();
}

/// Whoever has the key finds the file whole, and one word of another kind.
fn check_chain(file: &Path) {
    let config = file.with_file_name("njia.toml");
    let njia = Build::Product.njia();
    let defaults = Command::new(njia).args(["config", "defaults"]).output();
    let defaults = String::from_utf8(defaults.unwrap().stdout).unwrap();
    fs::write(&config, defaults + AUDIT).unwrap();
    let (code, told) = audit::verified(&config, KEY, &[file]);
    assert_eq!(code, 0, "{told}");
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.replacen("mac_wrong", "mac_right", 1)).unwrap();
    let (code, told) = audit::verified(&config, KEY, &[file]);
    assert_eq!(code, 65, "{told}");
    assert!(told.contains("audit.jsonl:2:"), "{told}");
}

#[test]
fn what_peers_and_operators_have_done_is_written_down_in_its_order() {
    let (scene, mut link) = Scene::open("audit", &AUDITED);
    let file = audit::file(scene.node.journal().parent().unwrap());
    // Whoever made this has another key.
    let stranger = |answer: &[u8]| authenticated(ASCII, answer, &key(KEK));
    pay(&scene, &mut link, "000001", stranger);
    pay(&scene, &mut link, "000002", <[u8]>::to_vec);
    assert_eq!(said(&mut link, "160", &[(48, UNUSABLE)]), "63");
    assert_eq!(said(&mut link, "160", &[(48, OFFERED)]), "00");
    let before_the_end = EXPECTED.len() - 2;
    let written = eventually(PATIENCE, || audit::lines(&file).len() >= before_the_end);
    assert!(written, "{:?}", audit::lines(&file));
    let reader = thread::spawn(move || {
        while let Ok(received) = link.receive() {
            if received.mti() == "0800" {
                drop(link.send(&accepted(&received)));
            }
        }
    });
    let (remains, ended) = scene.signalled(Signal::TERM);
    reader.join().unwrap();
    assert!(ended.success(), "{ended}");
    let lines = audit::lines(&file);
    let expected = EXPECTED.map(|[event, who, object, result, reason]| {
        [event, who, object, result, reason, "1"].map(str::to_owned)
    });
    assert_eq!(lines, expected);
    let text = fs::read_to_string(&file).unwrap();
    let account = "5061001234567890";
    for secret in [KEY, BANK_TO_US, US_TO_BANK, KEK, OFFERED, account] {
        assert!(!text.contains(secret), "{secret}");
    }
    check_chain(&file);
    remains.forget();
}
