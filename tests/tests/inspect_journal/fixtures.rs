//! Every journal of `tests/fixtures/`, good and damaged, of every format version.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Told, home, journal, objects};

/// All segments of the fixtures are this long; the repository leaves out the zeros at their ends.
const SEGMENT_BYTES: usize = 64 * 1024;

/// A fixture as a journal on disk: shard 3 of generation 1.
fn unpacked(version: &Path, name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("1/3");
    fs::create_dir_all(&to).unwrap();
    fs::copy(version.join("manifest"), dir.path().join("manifest")).unwrap();
    for entry in fs::read_dir(version.join(name)).unwrap() {
        let entry = entry.unwrap();
        let mut bytes = fs::read(entry.path()).unwrap();
        bytes.resize(SEGMENT_BYTES, 0);
        fs::write(to.join(entry.file_name()), bytes).unwrap();
    }
    dir
}

fn names(of: &Path) -> Vec<String> {
    let entries = fs::read_dir(of).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What `verify` must say of a fixture, and how many of its records are read all the same.
#[track_caller]
fn check(dir: &Path, name: &str) {
    let (code, said, records) = match name {
        "good" => (0, "good: 2 segments, 5 batches, 9 records up to 9", 9),
        "reasons" => (0, "good: 1 segments, 2 batches, 5 records up to 5", 5),
        "asked" => (0, "good: 1 segments, 2 batches, 3 records up to 3", 3),
        "torn" => (0, "with a torn tail, which the next start judges", 8),
        "corrupt" => (65, "J13 ", 7),
        "foreign" => (65, "belongs elsewhere: its journal UUID does not fit", 0),
        "newer" => (65, "has format 999", 0),
        name => panic!("nothing is known of the fixture {name}"),
    };
    let found: Told = journal("verify", dir, &[]);
    assert_eq!(found.code, Some(code), "{name}: {found:?}");
    assert!(found.out.contains(said), "{name}: {}", found.out);
    if name == "corrupt" {
        let bad = "00000001.seg at 4096: the batch at offset 4096 of segment 1 is damaged";
        assert!(found.out.contains(bad), "{}", found.out);
        assert!(
            found.out.contains("records 1 to 2 are missing"),
            "{}",
            found.out
        );
    }
    let exported = journal("export", dir, &[]);
    assert_eq!(exported.code, Some(code), "{name}: {exported:?}");
    assert_eq!(
        objects(&exported.out).len(),
        records,
        "{name}: {}",
        exported.out
    );
    assert!(
        exported.out.is_empty() || exported.out.contains("506100******1234"),
        "{name}"
    );
}

#[test]
fn fault_102_every_fixture_is_told_for_what_it_is() {
    let mut count = 0;
    for version in names(&home()) {
        assert!(version.starts_with("journal-v"), "{version}");
        let version = home().join(version);
        for name in names(&version) {
            check(unpacked(&version, &name).path(), &name);
            count += 1;
        }
    }
    assert!(count >= 7, "{count}");
}

#[test]
fn without_its_manifest_a_journal_can_still_be_exported() {
    let version = home().join("journal-v1");
    let dir = unpacked(&version, "good");
    fs::write(dir.path().join("manifest"), "no manifest").unwrap();
    let found = journal("verify", dir.path(), &[]).damaged();
    assert!(found.out.contains("J05"), "{}", found.out);
    let exported = journal("export", dir.path(), &[]).damaged();
    assert_eq!(objects(&exported.out).len(), 9);
    assert!(
        objects(&exported.out)[0]["acquirer"] == "?",
        "{}",
        exported.out
    );
}

#[test]
fn an_older_generation_is_read_and_a_newer_one_is_left_out() {
    let version = home().join("journal-v1");
    let dir = unpacked(&version, "good");
    fs::create_dir_all(dir.path().join("2/0")).unwrap();
    let found = journal("verify", dir.path(), &[]).good();
    assert!(
        found.contains("shard 2/0 (unfinished): the next start removes it (J10)"),
        "{found}"
    );
    assert_eq!(objects(&journal("export", dir.path(), &[]).good()).len(), 9);
}
