//! A new key for account numbers: what is owed from before still carries them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use njia_tests::e2e::desk::{Desk, answered};
use njia_tests::e2e::scene::{ALONE, SHORT, asked, next, told};
use njia_tests::e2e::session::{Session, purchase};
use njia_tests::e2e::{Build, Issuers, Process, alone, eventually, folder};

const PATIENCE: Duration = Duration::from_secs(60);
const ACCOUNT: &str = "5061001234567890";
const OLD: (&str, &str) = ("NJIA__KEYS__PAN_KEYS_OLD", "1=file:keys/pan-1.key");
const SECOND: (&str, &str) = ("NJIA__KEYS__PAN_KEY_ID", "2");

fn process(folder: &Path, desk: &Desk, operator: &Issuers, keys: &[(&str, &str)]) -> Process {
    let addresses = [desk.address().unwrap(), operator.addresses()[Issuers::MOMO]];
    let usual = [
        ALONE,
        SHORT,
        ("NJIA__ISSUER__BANK__LINKS", "1"),
        ("NJIA__ISSUER__BANK__RECONNECT_MAX_MS", "100"),
        ("NJIA__SAF__BACKOFF_FIRST_MS", "50"),
    ];
    let environment = [&usual, keys].concat();
    Process::start(
        Build::Product,
        &folder.join("state"),
        addresses,
        &environment,
    )
    .unwrap()
}

#[test]
fn a_new_pan_key_takes_over_at_a_restart_and_the_old_one_is_asked_for() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "keys");
    let operator = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let desk = Desk::open().unwrap();
    let node = process(&folder, &desk, &operator, &[]).ready().unwrap();
    let mut link = desk.signed_on().unwrap();
    let is_up = || {
        node.metric("njia_links", &["issuer=\"bank\"", "state=\"up\""])
            .unwrap()
            == 1.0
    };
    assert!(eventually(PATIENCE, is_up));
    let mut session = Session::connect(node.listener()).unwrap();
    session.send(&purchase("000001")).unwrap();
    asked(&mut link, "0200");
    assert_eq!(next(&mut session), told("0210", "000001", "91"));
    node.kill().unwrap();
    drop(link);

    let keys = folder.join("state/keys");
    fs::rename(keys.join("pan.key"), keys.join("pan-1.key")).unwrap();
    fs::copy(keys.join("token.key"), keys.join("pan.key")).unwrap();
    for (environment, named) in [(vec![], "id 1"), (vec![SECOND], "id 1")] {
        let mut refused = process(&folder, &desk, &operator, &environment);
        let mut ended = None;
        assert!(eventually(PATIENCE, || {
            ended = refused.ended().unwrap();
            ended.is_some()
        }));
        let log = refused.log_end();
        assert_eq!(ended.and_then(|status| status.code()), Some(65), "{log}");
        assert!(log.contains(named) && log.contains("pan_keys_old"), "{log}");
    }

    let started = process(&folder, &desk, &operator, &[SECOND, OLD]);
    let mut link = desk.signed_on().unwrap();
    let owed = link.receive().unwrap();
    assert!(owed.mti().starts_with("042"), "{}", owed.mti());
    assert_eq!(owed.text(2), ACCOUNT, "opened with the old key");
    link.send(&answered(&owed, "00")).unwrap();
    let node = started.ready().unwrap();
    node.settle(PATIENCE).unwrap();
    node.kill().unwrap();
    operator.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
