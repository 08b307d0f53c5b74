//! A new key for account numbers: what is owed from before still carries them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use loadgen::verify::{Inputs, audit};

use njia_tests::e2e::desk::{Desk, answered};
use njia_tests::e2e::scene::{ALONE, SHORT, asked, next, reversal, told};
use njia_tests::e2e::session::{Session, purchase};
use njia_tests::e2e::{Build, Issuers, Load, Node, Process, alone, eventually, folder};

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

/// A switch of two shards on a configuration whose keys change while it runs.
struct Rotated {
    folder: PathBuf,
    config: PathBuf,
    issuers: [SocketAddr; 2],
}

impl Rotated {
    fn new(folder: PathBuf, issuers: [SocketAddr; 2]) -> Self {
        let rotated = Self {
            config: folder.join("njia.toml"),
            folder,
            issuers,
        };
        fs::create_dir_all(rotated.folder.join("state/keys")).unwrap();
        for (name, digit) in [("token", 'a'), ("hash", 'b'), ("pan", '1'), ("pan-2", '2')] {
            rotated.key(name, &digit.to_string().repeat(64));
        }
        rotated.configure(1, "keys/pan.key", "");
        rotated
    }

    fn key(&self, name: &str, digits: &str) {
        let path = self.folder.join(format!("state/keys/{name}.key"));
        fs::write(&path, digits).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// `old` stands in the list of those before.
    fn configure(&self, id: u32, key: &str, old: &str) {
        let example =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../njia.example.toml"));
        let text = example.unwrap();
        let lines = text.lines().map(|line| match line.split(' ').next() {
            Some("pan_key") => format!("pan_key = \"file:{key}\""),
            Some("pan_key_id") => format!("pan_key_id = {id}\npan_key_until = \"2100-01-01\""),
            Some("pan_keys_old") => format!("pan_keys_old = [{old}]"),
            _ => line.to_owned(),
        });
        let text: Vec<String> = lines.collect();
        fs::write(&self.config, text.join("\n")).unwrap();
    }

    fn start(&self, more: &[(&str, &str)]) -> Node {
        self.try_start(more).unwrap()
    }

    fn try_start(&self, more: &[(&str, &str)]) -> anyhow::Result<Node> {
        let state = self.folder.join("state");
        let [bank, momo] = self.issuers.map(|address| address.to_string());
        let usual = [
            ("NJIA__NODE__STATE_DIR", state.to_str().unwrap()),
            ("NJIA__NODE__SHARDS", "2"),
            ("NJIA__LIMITS__REQUEST_WAIT_MAX_MS", "60000"),
            ("NJIA__ISSUER__BANK__ADDRESSES", &bank),
            ("NJIA__ISSUER__MOMO__ADDRESSES", &momo),
            ("NJIA__ISSUER__BANK__RECONNECT_MAX_MS", "100"),
            ("NJIA__SAF__BACKOFF_FIRST_MS", "50"),
        ];
        let environment = [&usual, more].concat();
        Node::configured(Build::Product, &self.config, &state, &environment)
    }
}

fn hang_up(node: &Node) {
    let pid = node.pid().to_string();
    let done = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    assert!(done.success());
}

/// Signals until the keys were judged `count` times in all, so.
#[track_caller]
fn await_reloads(node: &Node, result: &str, count: f64) {
    let label = format!("result=\"{result}\"");
    let judged = || node.metric("njia_key_reloads_total", &[&label]).unwrap();
    assert!(eventually(PATIENCE, || judged() == count), "{}", node.log());
}

/// The log follows what is counted.
#[track_caller]
fn await_log(node: &Node, told: &str) {
    assert!(
        eventually(PATIENCE, || node.log().contains(told)),
        "{}",
        node.log()
    );
}

/// By shard, the key that its newest segment names.
fn written(node: &Node) -> [f64; 2] {
    ["shard=\"0\"", "shard=\"1\""].map(|shard| node.metric("njia_pan_key_id", &[shard]).unwrap())
}

const FIRST: &str = "\"1=file:keys/pan.key\"";

/// Keys that cannot be used change nothing.
#[track_caller]
fn check_refused(rotated: &Rotated, node: &Node) {
    // Without the one before, under its own id, and a file that holds no key.
    rotated.configure(2, "keys/pan-2.key", "");
    hang_up(node);
    await_reloads(node, "refused", 1.0);
    await_log(node, "pan key with the id 1");
    rotated.configure(1, "keys/pan-2.key", "");
    hang_up(node);
    await_reloads(node, "refused", 2.0);
    rotated.key("bad", "no key");
    rotated.configure(2, "keys/bad.key", FIRST);
    hang_up(node);
    await_reloads(node, "refused", 3.0);
    assert!(!node.log().contains("no key"), "nothing of a key is told");
    assert_eq!(written(node), [1.0, 1.0]);
}

/// A load goes on while one key after the other is taken up, and over a start on what they sealed;
/// keys that cannot be used change nothing.
#[test]
fn a_new_pan_key_is_taken_up_under_load() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "keys-load");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let rotated = Rotated::new(folder.clone(), issuers.addresses());
    let deadlines = [
        ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "30000"),
        ("NJIA__ROUTE__MOMO_CARDS__DEADLINE_MS", "30000"),
    ];
    let node = rotated.start(&deadlines);
    let load = Load {
        rate: 200,
        duration: "600s".to_owned(),
        warmup: "1s".to_owned(),
        timeout: "60s".to_owned(),
        seed: 7,
        connections: 8,
        more: vec![],
    };
    let running = load.start(node.listener(), &folder).unwrap();
    let decided = || node.metric("njia_transactions_total", &[]).unwrap();
    assert!(eventually(PATIENCE, || decided() > 100.0));
    assert_eq!(written(&node), [1.0, 1.0]);

    check_refused(&rotated, &node);
    rotated.configure(2, "keys/pan-2.key", FIRST);
    hang_up(&node);
    await_reloads(&node, "ok", 1.0);
    assert!(
        eventually(PATIENCE, || written(&node) == [2.0, 2.0]),
        "{}",
        node.log()
    );
    let expiry = node.metric("njia_pan_key_expiry_timestamp_seconds", &[]);
    assert_eq!(expiry.unwrap(), 4_102_444_800.0);
    // Its segments are still there.
    rotated.configure(2, "keys/pan-2.key", "");
    hang_up(&node);
    await_reloads(&node, "refused", 4.0);
    rotated.configure(2, "keys/pan-2.key", FIRST);
    let then = decided();
    assert!(eventually(PATIENCE, || decided() > then + 100.0));
    let report = running.end().unwrap();
    report.check_refusals(&node);
    node.check_sums().unwrap();
    node.kill().unwrap();

    // What the kill left in flight is decided here, and was read there.
    let node = rotated.start(&deadlines);
    node.settle(PATIENCE).unwrap();
    let journal = node.journal().to_owned();
    assert!(node.terminate().unwrap().success());
    let ledgers = issuers.ledgers();
    issuers.finish().unwrap();
    let found = audit(&Inputs {
        acks: report.acks,
        gateway: None,
        journal,
        ledgers,
        database: None,
    })
    .unwrap();
    assert!(found.passed(), "{found}");
    fs::remove_dir_all(&folder).unwrap();
}

/// What was sealed before a key was taken up, and after it, is opened by the next start.
#[test]
fn what_is_owed_from_before_and_after_a_rotation_carries_its_account() {
    check_owed("keys-owed", true);
}

/// The same wherever the switch is with the new key when it dies.
#[test]
fn fault_016_a_kill_while_a_key_is_taken_up_forgets_no_account() {
    check_owed("keys-killed", false);
}

/// Whether it `waits` until the key is taken up.
#[track_caller]
fn check_owed(name: &str, waits: bool) {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
    let operator = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let desk = Desk::open().unwrap();
    let addresses = [desk.address().unwrap(), operator.addresses()[Issuers::MOMO]];
    let rotated = Rotated::new(folder.clone(), addresses);
    let alone = [ALONE, SHORT, ("NJIA__ISSUER__BANK__LINKS", "1")];
    let node = rotated.start(&alone);
    let mut link = desk.signed_on().unwrap();
    let is_up = || {
        node.metric("njia_links", &["issuer=\"bank\"", "state=\"up\""])
            .unwrap()
            == 1.0
    };
    assert!(eventually(PATIENCE, is_up));
    let mut session = Session::connect(node.listener()).unwrap();
    let mut unanswered = |link: &mut Session, stan| {
        session.send(&purchase(stan)).unwrap();
        asked(link, "0200");
        assert_eq!(next(&mut session), told("0210", stan, "91"));
    };
    unanswered(&mut link, "000001");
    rotated.configure(2, "keys/pan-2.key", FIRST);
    hang_up(&node);
    if waits {
        let is_taken_up = || written(&node) == [2.0, 2.0];
        assert!(eventually(PATIENCE, is_taken_up), "{}", node.log());
    }
    session.send(&purchase("000002")).unwrap();
    // What is owed from before comes between.
    while link.receive().unwrap().mti() != "0200" {}
    node.kill().unwrap();
    drop(link);

    let node = rotated.start(&alone);
    let mut link = desk.signed_on().unwrap();
    let mut carried = vec![];
    while carried.len() < 2 {
        let owed = link.receive().unwrap();
        assert!(owed.mti().starts_with("042"), "{}", owed.mti());
        assert_eq!(owed.text(2), ACCOUNT);
        link.send(&answered(&owed, "00")).unwrap();
        carried.push(owed.text(11));
        carried.dedup();
    }
    node.settle(PATIENCE).unwrap();
    node.kill().unwrap();
    operator.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// Keeps shards from having a next segment: the names of those to come are taken.
struct NoSpares(Vec<PathBuf>);

impl NoSpares {
    /// Behind the one that each shard has ready.
    fn behind_first(node: &Node) -> Self {
        let folders = ["0", "1"].map(|shard| node.journal().join("1").join(shard));
        let are_ready = || {
            let ready = |folder: &PathBuf| folder.join("spare-1.zero").exists();
            folders.iter().all(ready)
        };
        assert!(eventually(PATIENCE, are_ready), "{}", node.log());
        let spare = |folder: &PathBuf, serial| folder.join(format!("spare-{serial}.zero"));
        // One is tried each second.
        let names = folders
            .iter()
            .flat_map(|folder| (2..600).map(move |serial| spare(folder, serial)));
        let names: Vec<PathBuf> = names.collect();
        for name in &names {
            fs::write(name, b"").unwrap();
        }
        Self(names)
    }

    fn free(self) {
        for name in self.0 {
            fs::remove_file(name).unwrap();
        }
    }
}

/// Whoever changes their mind before a segment is ready loses no key that one may name.
#[test]
fn keys_that_are_read_twice_and_undone_while_no_segment_is_ready_lose_nothing() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "keys-undone");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let rotated = Rotated::new(folder.clone(), issuers.addresses());
    rotated.key("pan-3", &"3".repeat(64));
    let node = rotated.start(&[]);
    let blocked = NoSpares::behind_first(&node);
    rotated.configure(2, "keys/pan-2.key", FIRST);
    hang_up(&node);
    await_reloads(&node, "ok", 1.0);
    let is_taken_up = || written(&node) == [2.0, 2.0];
    assert!(eventually(PATIENCE, is_taken_up), "{}", node.log());

    let second = "\"2=file:keys/pan-2.key\"";
    rotated.configure(3, "keys/pan-3.key", &format!("{FIRST}, {second}"));
    for count in [2.0, 3.0] {
        hang_up(&node);
        await_reloads(&node, "ok", count);
    }
    let third = "\"3=file:keys/pan-3.key\"";
    rotated.configure(2, "keys/pan-2.key", &format!("{FIRST}, {third}"));
    hang_up(&node);
    await_reloads(&node, "ok", 4.0);
    rotated.configure(2, "keys/pan-2.key", FIRST);
    hang_up(&node);
    await_reloads(&node, "refused", 1.0);
    await_log(
        &node,
        "still taking a key up, and a segment may be about to name pan_key 3",
    );
    assert_eq!(written(&node), [2.0, 2.0]);

    blocked.free();
    let taken = || {
        node.metric("njia_key_reloads_total", &["result=\"ok\""])
            .unwrap()
    };
    let judged = || node.metric("njia_key_reloads_total", &[]).unwrap();
    let is_let_go = || {
        let then = judged();
        hang_up(&node);
        assert!(eventually(PATIENCE, || judged() > then));
        taken() == 5.0
    };
    assert!(eventually(PATIENCE, is_let_go), "{}", node.log());
    node.kill().unwrap();
    let node = rotated.start(&[]);
    assert_eq!(written(&node), [2.0, 2.0]);
    node.kill().unwrap();
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// A new token key: copies and reversals of what came under the one before are known by it.
//= docs/rules.md#D-09
#[test]
fn what_came_under_the_token_key_before_is_known_under_the_next_one() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "keys-token");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let rotated = Rotated::new(folder.clone(), issuers.addresses());
    rotated.key("token-2", &"c".repeat(64));
    let node = rotated.start(&[]);
    let mut session = Session::connect(node.listener()).unwrap();
    let all_up = || {
        let up = |issuer| {
            node.metric("njia_links", &[issuer, "state=\"up\""])
                .unwrap()
        };
        up("issuer=\"bank\"") > 0.0 && up("issuer=\"momo\"") > 0.0
    };
    assert!(eventually(PATIENCE, all_up), "{}", node.log());
    let (first, second) = (purchase("000001"), purchase("000002"));
    let answers = [&first, &second].map(|purchase| {
        session.send(purchase).unwrap();
        let answer = session.receive().unwrap();
        (
            answer.mti(),
            answer.text(11),
            answer.text(39),
            answer.text(38),
        )
    });
    assert_eq!(answers[0].2, "00");
    node.kill().unwrap();

    let second_key = [
        ("NJIA__KEYS__TOKEN_KEY", "file:keys/token-2.key"),
        ("NJIA__KEYS__TOKEN_KEY_ID", "2"),
    ];
    let refused = rotated.try_start(&second_key).unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("exit 65"), "{refused}");
    assert!(refused.contains("the token key with the id 1"), "{refused}");
    let old = ("NJIA__KEYS__TOKEN_KEYS_OLD", "1=file:keys/token.key");
    let node = rotated.start(&[&second_key[..], &[old]].concat());
    let mut session = Session::connect(node.listener()).unwrap();
    session.send(&first).unwrap();
    let again = session.receive().unwrap();
    let again = (again.mti(), again.text(11), again.text(39), again.text(38));
    assert_eq!(again, answers[0], "a copy has the same answer");
    session
        .send(&reversal(*b"0400", "000003", &second))
        .unwrap();
    assert_eq!(next(&mut session), told("0410", "000003", "00"));
    node.settle(PATIENCE).unwrap();
    node.kill().unwrap();
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
