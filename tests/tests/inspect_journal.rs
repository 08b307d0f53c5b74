//! `njia inspect journal` with the real binary: on a journal that a switch is writing under load,
//! on one at rest, and on damaged ones.

#[path = "inspect_journal/fixtures.rs"]
mod fixtures;
#[path = "inspect_journal/transaction.rs"]
mod transaction;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use njia_tests::e2e::desk::{answered, with_field};
use njia_tests::e2e::scene::{ALONE, Scene, asked};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{Build, Issuers, Load, Node, alone, eventually, folder};
use serde_json::Value;

/// What a command answered.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Told {
    #[track_caller]
    fn good(self) -> String {
        assert_eq!(
            (self.code, self.err.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
        self.out
    }

    /// Of a damaged journal.
    #[track_caller]
    fn damaged(self) -> Self {
        assert_eq!(self.code, Some(65), "{self:?}");
        assert!(
            self.err.contains("findings: see above (exit 65)"),
            "{self:?}"
        );
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

fn command(what: &str, dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(Build::Product.njia());
    command
        .args(["inspect", "journal", what])
        .arg(dir)
        .args(more);
    command
}

fn told(command: &mut Command) -> Told {
    let output = command.output().unwrap();
    Told {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn journal(what: &str, dir: &Path, more: &[&str]) -> Told {
    told(&mut command(what, dir, more))
}

fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// By shard, the LSNs of lines of `cat`.
fn lsns(text: &str) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let shard = words.next().unwrap().to_owned();
        let lsn = words.next().unwrap().parse().unwrap();
        found.entry(shard).or_default().push(lsn);
    }
    found
}

#[track_caller]
fn assert_dense(lsns: &BTreeMap<String, Vec<u64>>) {
    for (shard, lsns) in lsns {
        let dense: Vec<u64> = (1..).take(lsns.len()).collect();
        assert_eq!(lsns, &dense, "shard {shard}");
    }
}

/// Ends with the test, whatever becomes of it.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_journal_is_looked_at_while_a_switch_writes_it_under_load() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "inspect-live");
    let issuers = Issuers::start(&folder, Duration::from_millis(5)).unwrap();
    let environment = [
        ("NJIA__NODE__SHARDS", "2"),
        ("NJIA__JOURNAL__SEGMENT_BYTES", "8388608"),
    ];
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap();
    let dir = node.journal().to_owned();
    let followed = folder.join("followed");
    let output = fs::File::create(&followed).unwrap();
    let mut follow = command("cat", &dir, &["--follow"]);
    let follower = Follower(
        follow
            .stdout(output)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap(),
    );
    let load = Load {
        rate: 700,
        duration: "8s".to_owned(),
        warmup: "1s".to_owned(),
        timeout: "5s".to_owned(),
        seed: 5,
        connections: 8,
        more: Vec::new(),
    };
    let running = load.start(node.listener(), &folder.join("load")).unwrap();
    verified_all_along(&node, &dir);
    let printed = journal("cat", &dir, &[]).good();
    assert_dense(&lsns(&printed));
    running.finish().unwrap();
    node.settle(Duration::from_secs(60)).unwrap();
    let sums = journal("stat", &dir, &["--json"]);
    let sum = |shard: &Value| shard["records"].as_u64().unwrap();
    let all: u64 = sums.json()["shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(sum)
        .sum();
    let has_all = || {
        let text = fs::read_to_string(&followed).unwrap();
        text.lines().count() as u64 == all && text.ends_with('\n')
    };
    assert!(
        eventually(Duration::from_secs(60), has_all),
        "the follower has all {all}"
    );
    drop(follower);
    assert_dense(&lsns(&fs::read_to_string(&followed).unwrap()));
    node.kill().unwrap();
    let verified = journal("verify", &dir, &["--json"]);
    assert_eq!(verified.json()["held"], false);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    export_is_the_same(&dir, &folder, all);
    damage_is_gone_round(&dir, all);
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// Looks again and again while records are added: nothing is ever wrong, and nothing goes.
fn verified_all_along(node: &Node, dir: &Path) {
    let written = || {
        node.metric("njia_journal_batch_records_sum", &[])
            .unwrap_or(0.0)
    };
    let mut looks = 0;
    let mut seen = 0;
    while looks < 5 || (written() < 6_000.0 && looks < 60) {
        let verified = journal("verify", dir, &["--json"]);
        assert_eq!(
            (verified.code, verified.err.as_str()),
            (Some(0), ""),
            "{verified:?}"
        );
        let found = verified.json();
        assert_eq!(
            (&found["good"], &found["held"]),
            (&true.into(), &true.into())
        );
        let records = |shard: &Value| shard["records"].as_u64().unwrap();
        let records = found["shards"]
            .as_array()
            .unwrap()
            .iter()
            .map(records)
            .sum();
        assert!(records >= seen, "what was there stays there");
        seen = records;
        looks += 1;
    }
    assert!(seen > 100, "{looks} looks, {seen} records");
}

/// Every filter lets through what it says, and a file gets its name when it is whole.
fn export_is_the_same(dir: &Path, folder: &Path, all: u64) {
    let file = folder.join("records.jsonl");
    let output = ["--output", file.to_str().unwrap()];
    assert_eq!(journal("export", dir, &output).good(), "");
    let records = objects(&fs::read_to_string(&file).unwrap());
    assert_eq!(records.len() as u64, all);
    let left: Vec<_> = fs::read_dir(folder).unwrap().flatten().collect();
    assert!(
        left.iter()
            .all(|entry| !entry.file_name().to_string_lossy().contains(".part"))
    );
    let nowhere = journal("export", dir, &["--output", "/nowhere/at/all"]);
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
    let count = |more: &[&str]| journal("export", dir, more).good().lines().count();
    let of = |is: &dyn Fn(&Value) -> bool| records.iter().filter(|found| is(found)).count();
    let lsn = |found: &Value| found["lsn"].as_u64().unwrap();
    assert_eq!(count(&["--shard", "1"]), of(&|found| found["shard"] == 1));
    assert_eq!(
        count(&["--type", "intent"]),
        of(&|found| found["type"] == "intent")
    );
    assert_eq!(
        count(&["--type", "intent", "--type", "outcome", "--shard", "0"]),
        of(&|found| {
            found["shard"] == 0 && (found["type"] == "intent" || found["type"] == "outcome")
        })
    );
    assert_eq!(
        count(&["--from-lsn", "900", "--to-lsn", "1000"]),
        of(&|found| (900..=1000).contains(&lsn(found)))
    );
    let some = &records[records.len() / 2];
    let id = some["transaction"].as_str().unwrap();
    assert_eq!(
        count(&["--transaction", id]),
        of(&|found| found["transaction"] == *id)
    );
    let at = some["at"].as_str().unwrap();
    let text = |found: &Value| found["at"].as_str().unwrap().to_owned();
    assert_eq!(
        count(&["--since", at]),
        of(&|found| text(found).as_str() >= at)
    );
    assert_eq!(
        count(&["--until", at]),
        of(&|found| text(found).as_str() < at)
    );
}

/// A batch in the middle of a segment goes bad: everything else is still read.
fn damage_is_gone_round(dir: &Path, all: u64) {
    let path = dir.join("1/0/00000001.seg");
    let mut bytes = fs::read(&path).unwrap();
    // An anchor has no records: without it nothing would be missing.
    let has_records = |at: &usize| {
        let head = &bytes[*at..at + 64];
        head.starts_with(b"njB1") && head[32..36] != [0; 4]
    };
    let bad = (40 * 4096..bytes.len()).step_by(4096).find(has_records);
    bytes[bad.expect("a batch with records") + 100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let verified = journal("verify", dir, &["--json"]).damaged();
    let shard = &verified.json()["shards"][0];
    let findings = shard["findings"].as_array().unwrap();
    let [bad, missing] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    assert_eq!(bad["label"], "J13");
    assert_eq!(bad["file"], path.to_str().unwrap());
    let [first, last] = [0, 1].map(|end| missing["missing"][end].as_u64().unwrap());
    let printed = journal("cat", dir, &[]).damaged();
    assert!(printed.err.contains("J13"), "{}", printed.err);
    assert_eq!(printed.out.lines().count() as u64, all - (last - first + 1));
    let of_shard = &lsns(&printed.out)["1/0"];
    assert!(of_shard.contains(&(first - 1)) && of_shard.contains(&(last + 1)));
    assert!(!of_shard.iter().any(|lsn| (first..=last).contains(lsn)));
    let text = journal("verify", dir, &[]).damaged().out;
    for said in [
        "J13 ",
        "00000001.seg at ",
        "do: ",
        "shard 1/0: DAMAGED",
        "shard 1/1: good",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

const PAN: &str = "5061001234567890";
const TRACK: &str = "5061001234567890=28122019876543219999";
const PIN_BLOCK: &str = "SECRETPB";

/// Nothing of a card stands in what was told.
#[track_caller]
fn assert_masked(text: &str) {
    let secrets = [
        PAN,
        TRACK,
        PIN_BLOCK,
        "0123456",
        "1234567",
        "28122019",
        "9876543219",
        "5345435245545042",
    ];
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// A card, its track and a PIN block, on their way through.
fn planted() -> (Scene, njia_tests::e2e::Session) {
    let (scene, mut link) = Scene::open("inspect-planted", &[ALONE]);
    let mut session = scene.session();
    for (stan, code) in [("000041", "00"), ("000042", "51")] {
        let purchase = with_field(&purchase(stan), 35, TRACK);
        session.send(&with_field(&purchase, 52, PIN_BLOCK)).unwrap();
        let request = asked(&mut link, "0200");
        link.send(&answered(&request, code)).unwrap();
        assert_eq!(session.receive().unwrap().text(39), code);
    }
    (scene, link)
}

#[test]
fn what_is_planted_is_in_no_output() {
    let _machine = alone();
    let (scene, link) = planted();
    let dir = scene.node.journal().to_owned();
    let text = journal("cat", &dir, &[]).good();
    assert!(text.contains("account=506100******7890"), "{text}");
    let json = journal("export", &dir, &[]).good();
    assert!(json.contains("\"account\":\"506100******7890\""), "{json}");
    for object in objects(&json) {
        let object = object.as_object().unwrap();
        assert_eq!(object["schema"], 1);
        let hidden = ["account_token", "token", "sealed", "nonce", "ciphertext"];
        assert!(
            !hidden.iter().any(|key| object.contains_key(*key)),
            "{object:?}"
        );
    }
    let old = told(
        Command::new(Build::Product.njia())
            .args(["inspect", "journal"])
            .arg(&dir),
    );
    let old = old.good();
    for said in [
        "; a switch holds it",
        "shard 1/0: good",
        "asked for KES ",
        "intent",
    ] {
        assert!(old.contains(said), "{said}: {old}");
    }
    let mut all = vec![text, json, old];
    for (what, more) in [
        ("verify", ""),
        ("verify", "--json"),
        ("stat", ""),
        ("stat", "--json"),
    ] {
        let more: Vec<&str> = [more].into_iter().filter(|more| !more.is_empty()).collect();
        all.push(journal(what, &dir, &more).good());
    }
    all.iter().for_each(|text| assert_masked(text));
    scene.close_with(link);
}

#[test]
fn what_is_no_journal_is_told() {
    let check = |dir: &str, more: &[&str], code: i32, said: &str| {
        let found = journal("verify", Path::new(dir), more);
        assert_eq!(found.code, Some(code), "{found:?}");
        assert!(found.err.contains(said), "{found:?}");
    };
    check(
        "/nowhere/at/all",
        &[],
        1,
        "there is no journal in /nowhere/at/all",
    );
    check("/proc/self/task", &["--unknown"], 2, "--unknown");
    let empty = tempfile::tempdir().unwrap();
    check(
        empty.path().to_str().unwrap(),
        &[],
        1,
        "there is no journal in ",
    );
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}
