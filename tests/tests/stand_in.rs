//! Approvals in place of an issuer that cannot be asked, on real sockets.

use std::fs;
use std::path::Path;
use std::time::Duration;

use njia_tests::e2e::session::{Session, purchase, purchase_and};
use njia_tests::e2e::{Build, Issuers, Node, alone, eventually, folder};

/// Two approvals of at most 20.00 KES a day for each account.
fn start(folder: &Path, issuers: &Issuers) -> Node {
    let (config, state) = (folder.join("njia.toml"), folder.join("state"));
    let [bank, momo] = issuers.addresses();
    let text = format!(
        r#"
[node]
state_dir = "{}"
shards = 2

[keys]
token_key = "env:NJIA_TEST_KEY"
pan_key = "env:NJIA_TEST_KEY"
hash_key = "env:NJIA_TEST_KEY"

[admin]
address = "127.0.0.1:0"

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
prefixes = ["5"]
candidates = ["momo", "bank"]
deadline_ms = 30_000

[[stand_in]]
name = "small"
issuer = "bank"
prefixes = ["5061"]
floor_limits = {{ KES = 2_000 }}
[[stand_in.window]]
span_s = 86_400
limits.KES = {{ count_max = 2 }}

[[stand_in]]
name = "others"
issuer = "momo"
prefixes = ["5062"]
floor_limits = {{ KES = 100_000 }}
"#,
        state.display()
    );
    fs::write(&config, text).unwrap();
    let key = [("NJIA_TEST_KEY", KEY)];
    Node::configured(Build::Product, &config, &state, &key).unwrap()
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn told(session: &mut Session, sent: &[u8]) -> (String, String) {
    session.send(sent).unwrap();
    let answer = session.receive().unwrap();
    (answer.text(39), answer.text(38))
}

#[test]
fn fault_042_an_issuer_that_is_down_is_stood_in_for_within_limits() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "stand-in");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let node = start(&folder, &issuers);
    let mut session = Session::connect(node.listener()).unwrap();
    assert_eq!(told(&mut session, &purchase("000001")).0, "00");
    for issuer in [Issuers::BANK, Issuers::MOMO] {
        issuers.host.control(issuer).refuse_connections(true);
        issuers.host.control(issuer).disconnect();
    }
    let links = || node.metric("njia_links", &["state=\"up\""]).unwrap();
    let down = eventually(Duration::from_secs(60), || links() == 0.0);
    assert!(down, "{}", node.log());

    let with_pin = purchase_and("000002", &[(52, b"\x01\x02\x03\x04\x05\x06\x07\x08")]);
    assert_eq!(
        told(&mut session, &with_pin).0,
        "91",
        "nobody looked at the PIN"
    );
    let original = purchase("000003");
    let (code, given) = told(&mut session, &original);
    assert_eq!((code.as_str(), given.len(), &given[..1]), ("00", 6, "S"));
    let repeat = [b"0201", &original[4..]].concat();
    assert_eq!(told(&mut session, &repeat), (code, given.clone()));
    let mut dear = purchase("000004");
    let amount = dear
        .windows(12)
        .position(|digits| digits == b"000000001500")
        .unwrap();
    dear[amount..][..12].copy_from_slice(b"000000002001");
    assert_eq!(told(&mut session, &dear).0, "91", "above the floor");
    assert_eq!(told(&mut session, &purchase("000005")).0, "00");
    assert_eq!(
        told(&mut session, &purchase("000006")).0,
        "91",
        "the third one"
    );
    let owed = ["origin=\"stand_in\"", "\"owed\""];
    assert_eq!(node.metric("njia_advices_total", &owed).unwrap(), 2.0);
    node.kill().unwrap();

    // The issuer hears of both, once, after a restart.
    for issuer in [Issuers::BANK, Issuers::MOMO] {
        issuers.host.control(issuer).refuse_connections(false);
    }
    let node = start(&folder, &issuers);
    let taken = ["origin=\"stand_in\"", "\"acknowledged\""];
    let acknowledged = || node.metric("njia_advices_total", &taken).unwrap();
    let told_all = eventually(Duration::from_secs(60), || acknowledged() == 2.0);
    assert!(told_all, "{}", node.log());
    let mut session = Session::connect(node.listener()).unwrap();
    assert_eq!(told(&mut session, &repeat), ("00".to_owned(), given));
    assert!(node.terminate().unwrap().success());
    let ledgers = issuers.ledgers();
    issuers.finish().unwrap();
    let approvals = ledgers
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .map(|text| {
            text.lines()
                .filter(|line| line.starts_with("approve"))
                .count()
        })
        .sum::<usize>();
    assert_eq!(approvals, 3);
    fs::remove_dir_all(&folder).unwrap();
}
