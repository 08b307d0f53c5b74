//! What the fuzzers have found is held on stable: every file of `fuzz/corpus` and of
//! `fuzz/regressions` once through the check of its target.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use iso8583::Dialect;
use njia_tests::fuzz::dialect_toml::check_made;
use njia_tests::fuzz::input::{MODE, dialect_numbers};
use njia_tests::fuzz::seeds::seeds;
use njia_tests::fuzz::{Check, TARGETS};
use switch::config::dialects;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The files of one target, by name; none where it has no folder.
fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = fuzz().join(kind).join(target);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Runs all inputs before it fails, and names those at fault; what each broke is above.
#[track_caller]
fn check_all<'a>(inputs: impl Iterator<Item = (String, Check, Vec<u8>)> + 'a) -> usize {
    let (mut count, mut broken) = (0, Vec::new());
    for (name, check, bytes) in inputs {
        count += 1;
        if catch_unwind(AssertUnwindSafe(|| check(&bytes))).is_err() {
            broken.push(name);
        }
    }
    assert!(broken.is_empty(), "{count} inputs, broken: {broken:#?}");
    count
}

fn read(kind: &'static str) -> impl Iterator<Item = (String, Check, Vec<u8>)> {
    TARGETS.into_iter().flat_map(move |(target, check)| {
        inputs(kind, target).into_iter().map(move |path| {
            let bytes = fs::read(&path).unwrap();
            (path.display().to_string(), check, bytes)
        })
    })
}

#[test]
fn the_corpus_holds() {
    assert!(check_all(read("corpus")) > 0);
    for (target, _) in TARGETS {
        assert!(!inputs("corpus", target).is_empty(), "{target} has none");
    }
}

#[test]
fn what_was_wrong_once_is_right() {
    assert!(check_all(read("regressions")) > 0);
}

/// The first byte of a message's input is the number of a dialect: what was wrong in one of them
/// must not be wrong in another.
#[test]
fn what_was_wrong_in_one_dialect_is_right_in_all() {
    let of_dialects = read("regressions").filter(|(name, ..)| {
        let of = |target: &str| name.contains(&format!("/{target}/"));
        of("message") || of("translate")
    });
    let count = check_all(of_dialects.flat_map(|(name, check, bytes)| {
        dialect_numbers().into_iter().map(move |number| {
            let mut bytes = bytes.clone();
            if let Some(first) = bytes.first_mut() {
                *first = *first & MODE | number;
            }
            (format!("{name} in dialect {number}"), check, bytes)
        })
    }));
    assert!(count >= dialect_numbers().len());
}

/// The target makes one of many; here each that passes is made.
#[test]
fn dialects_of_the_corpus_are_made_and_used() {
    let passes = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        dialects::check("it", &text).is_ok()
    };
    let mut paths = inputs("corpus", "dialect_toml");
    paths.extend(inputs("regressions", "dialect_toml"));
    paths.retain(passes);
    assert!(!paths.is_empty());
    for path in paths {
        check_made(&path);
    }
}

#[test]
fn our_own_messages_hold_in_every_dialect_and_framing() {
    let inputs = seeds().into_iter().map(|seed| {
        let (_, check) = TARGETS
            .into_iter()
            .find(|(target, _)| *target == seed.target)
            .unwrap();
        (format!("{} {}", seed.target, seed.name), check, seed.bytes)
    });
    assert!(check_all(inputs) > 8 * Dialect::ALL.len());
}

#[test]
fn each_regression_has_its_sentence() {
    let page = fs::read_to_string(fuzz().join("regressions/README.md")).unwrap();
    for (target, _) in TARGETS {
        for path in inputs("regressions", target) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let entry = format!("- `{target}/{name}`: ");
            assert!(page.contains(&entry), "the page has no line {entry:?}");
        }
    }
    let named = page.lines().filter_map(|line| line.strip_prefix("- `"));
    for (path, _) in named.filter_map(|entry| entry.split_once('`')) {
        let file = fuzz().join("regressions").join(path);
        assert!(file.is_file(), "the page names {path}, which is none");
    }
}

#[test]
fn the_corpus_stays_small() {
    let files = TARGETS
        .iter()
        .flat_map(|(target, _)| inputs("corpus", target));
    let bytes: u64 = files.map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes < 1_000_000, "{bytes} bytes: minimise it");
}
