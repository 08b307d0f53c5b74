//! Limits of an account over a restart: its transactions lie in the journals of several shards, and
//! its home counts them all.

use std::fs;
use std::path::Path;
use std::time::Duration;

use njia_tests::e2e::session::{Session, purchase};
use njia_tests::e2e::{Build, Issuers, Node, alone, eventually, folder};

/// Of one account in a day, at risk: so many requests, and so much in KES.
const COUNT_MAX: usize = 12;
const MINOR_MAX: u64 = 10_000;
/// Of one account in a day, in place of its issuer.
const STOOD_IN_MAX: usize = 6;

fn start(folder: &Path, issuers: &Issuers, shards: u16) -> Node {
    let (config, state) = (folder.join("njia.toml"), folder.join("state"));
    let [bank, momo] = issuers.addresses();
    let text = format!(
        r#"
[node]
state_dir = "{}"
shards = {shards}

[keys]
token_key = "env:NJIA_TEST_KEY"
pan_key = "env:NJIA_TEST_KEY"
hash_key = "env:NJIA_TEST_KEY"

[admin]
address = "127.0.0.1:0"

[[risk.window]]
span_s = 86_400
limits.KES = {{ count_max = {COUNT_MAX}, amount_max = {MINOR_MAX} }}

[[acquirer]]
name = "acquirer-1"

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "acquirer-1"

[[issuer]]
name = "bank"
addresses = ["{bank}"]
institution = "100001"

[[issuer]]
name = "momo"
addresses = ["{momo}"]
institution = "100002"

[[route]]
name = "cards"
prefixes = ["5061"]
candidates = ["bank"]
deadline_ms = 30_000

[[route]]
name = "wallets"
prefixes = ["5062"]
candidates = ["momo"]
deadline_ms = 30_000

[[stand_in]]
name = "small"
issuer = "momo"
prefixes = ["5062"]
floor_limits = {{ KES = 2_000 }}
[[stand_in.window]]
span_s = 86_400
limits.KES = {{ count_max = {STOOD_IN_MAX} }}
"#,
        state.display()
    );
    fs::write(&config, text).unwrap();
    let key = [("NJIA_TEST_KEY", KEY)];
    let node = Node::configured(Build::Product, &config, &state, &key).unwrap();
    assert!(has_links(&node, "bank", true), "{}", node.log());
    node
}

/// Waits until an issuer has links, or none.
fn has_links(node: &Node, issuer: &str, wanted: bool) -> bool {
    let issuer = format!("issuer=\"{issuer}\"");
    let links = || {
        node.metric("njia_links", &[&issuer, "state=\"up\""])
            .unwrap()
    };
    eventually(Duration::from_secs(60), || (links() > 0.0) == wanted)
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Requests with STANs of their own, so that all shards own some of them.
struct Till {
    stan: u32,
}

impl Till {
    /// DE39 of a request of `account` for so many minor units.
    fn ask(&mut self, session: &mut Session, account: &str, minor: u64) -> String {
        self.stan += 1;
        let stan = format!("{:06}", self.stan);
        let made = purchase(&stan);
        let at = made.windows(12).position(|text| text == b"000000001500");
        let at = at.expect("DE4 of a purchase");
        let mut sent = made;
        sent[at..][..12].copy_from_slice(format!("{minor:012}").as_bytes());
        let at = sent
            .windows(16)
            .position(|text| text == b"5061001234567890");
        let at = at.expect("DE2 of a purchase");
        sent[at..][..16].copy_from_slice(account.as_bytes());
        session.send(&sent).unwrap();
        session.receive().unwrap().text(39)
    }
}

//= docs/rules.md#R-14
#[test]
fn limits_hold_over_a_restart_whichever_shards_have_the_requests() {
    let _machine = alone();
    for shards in [2, 3] {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), "velocity");
        let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
        let mut till = Till { stan: 0 };
        // Homes are by the hash of the account: of so many, each shard is home to some.
        let accounts: Vec<String> = (0..8).map(|n| format!("506100123456{n:04}")).collect();
        let node = start(&folder, &issuers, shards);
        let mut session = Session::connect(node.listener()).unwrap();
        for account in &accounts {
            for _ in 0..COUNT_MAX - 4 {
                assert_eq!(till.ask(&mut session, account, 100), "00");
            }
        }
        let dear = "5061009999990000";
        for _ in 0..4 {
            assert_eq!(till.ask(&mut session, dear, MINOR_MAX / 5), "00");
        }
        node.kill().unwrap();

        let node = start(&folder, &issuers, shards);
        let mut session = Session::connect(node.listener()).unwrap();
        for account in &accounts {
            let codes: Vec<String> = (0..6)
                .map(|_| till.ask(&mut session, account, 100))
                .collect();
            assert_eq!(
                codes,
                ["00", "00", "00", "00", "65", "65"],
                "{shards} shards"
            );
        }
        assert_eq!(till.ask(&mut session, dear, MINOR_MAX / 5 + 1), "61");
        assert_eq!(till.ask(&mut session, dear, MINOR_MAX / 5), "00");
        assert_eq!(till.ask(&mut session, dear, 1), "61");
        node.kill().unwrap();

        // And over a second one: what was counted anew is in the journals too.
        let node = start(&folder, &issuers, shards);
        let mut session = Session::connect(node.listener()).unwrap();
        for account in &accounts {
            assert_eq!(
                till.ask(&mut session, account, 100),
                "65",
                "{shards} shards"
            );
        }
        assert_eq!(till.ask(&mut session, dear, 1), "61");
        assert!(node.terminate().unwrap().success());
        issuers.finish().unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}

//= docs/rules.md#R-14
#[test]
fn what_was_approved_in_place_of_issuers_counts_over_a_restart() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "velocity-stand-in");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let momo = issuers.host.control(Issuers::MOMO);
    let mut till = Till { stan: 500 };
    let accounts: Vec<String> = (0..6).map(|n| format!("506200123456{n:04}")).collect();
    let node = start(&folder, &issuers, 2);
    momo.refuse_connections(true);
    momo.disconnect();
    assert!(has_links(&node, "momo", false), "{}", node.log());
    let mut session = Session::connect(node.listener()).unwrap();
    for account in &accounts {
        for _ in 0..STOOD_IN_MAX - 2 {
            assert_eq!(till.ask(&mut session, account, 100), "00");
        }
    }
    node.kill().unwrap();

    let node = start(&folder, &issuers, 2);
    assert!(has_links(&node, "momo", false), "{}", node.log());
    let mut session = Session::connect(node.listener()).unwrap();
    for account in &accounts {
        let codes: Vec<String> = (0..4)
            .map(|_| till.ask(&mut session, account, 100))
            .collect();
        assert_eq!(codes, ["00", "00", "91", "91"], "{account}");
    }
    node.kill().unwrap();
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
