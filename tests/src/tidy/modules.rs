//! Follows `mod` from every crate root: what is reached, and by tests alone or not.

use std::collections::{BTreeMap, BTreeSet};

use super::blank;
use super::source::{SourceFile, words};
use super::tree::Tree;

/// Fills `tree.unreached` and strips files that only tests reach of their production code.
pub fn mark(tree: &mut Tree) {
    let folders: Vec<String> = tree.packages.iter().map(|p| p.folder.clone()).collect();
    let reached = reach(&tree.sources, &folders);
    tree.unreached = unreached(&tree.sources, &reached);
    for source in &mut tree.sources {
        if reached.get(&source.path) == Some(&Reach::Test) {
            *source = source.clone().into_test();
        }
    }
}

/// How a file is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Test,
    Production,
}

/// Every file that a crate root of one of the packages in `folders` reaches.
#[must_use]
pub fn reach(sources: &[SourceFile], folders: &[String]) -> BTreeMap<String, Reach> {
    let by_path: BTreeMap<&str, &SourceFile> = sources
        .iter()
        .map(|source| (source.path.as_str(), source))
        .collect();
    let mut reached = BTreeMap::new();
    let mut open: Vec<(String, Reach)> = sources
        .iter()
        .filter(|source| folders.iter().any(|folder| is_root(&source.path, folder)))
        .map(|source| (source.path.clone(), Reach::Production))
        .collect();
    while let Some((path, how)) = open.pop() {
        if reached.get(&path).is_some_and(|known| *known >= how) {
            continue;
        }
        let Some(source) = by_path.get(path.as_str()) else {
            continue;
        };
        reached.insert(path, how);
        open.extend(children(source, how));
    }
    reached
}

/// Paths of `sources` that are not in `reached`.
#[must_use]
pub fn unreached(sources: &[SourceFile], reached: &BTreeMap<String, Reach>) -> Vec<String> {
    let paths: BTreeSet<&String> = sources.iter().map(|source| &source.path).collect();
    paths
        .into_iter()
        .filter(|path| !reached.contains_key(*path))
        .cloned()
        .collect()
}

/// `src/lib.rs`, `src/main.rs`, `build.rs`, and each file or folder of bins, tests and benches.
fn is_root(path: &str, folder: &str) -> bool {
    let Some(rest) = path
        .strip_prefix(folder)
        .and_then(|rest| rest.strip_prefix('/'))
    else {
        return false;
    };
    if ["src/lib.rs", "src/main.rs", "build.rs"].contains(&rest) {
        return true;
    }
    ["src/bin/", "tests/", "benches/", "examples/"]
        .iter()
        .any(|place| {
            rest.strip_prefix(place).is_some_and(|name| {
                !name.contains('/')
                    || (name.ends_with("/main.rs") && name.matches('/').count() == 1)
            })
        })
}

/// Candidate paths of each `mod name;` in `source`; those that do not exist are harmless.
fn children(source: &SourceFile, how: Reach) -> Vec<(String, Reach)> {
    let mut found = Vec::new();
    for offset in words(&source.code, "mod ") {
        let (end, has_body) = blank::item_end(&source.code, offset);
        let name = source.code[offset + 4..end].trim_end_matches(';').trim();
        if has_body || name.is_empty() {
            continue;
        }
        let is_test = source.production.as_bytes().get(offset) != Some(&b'm');
        let how = if is_test { Reach::Test } else { how };
        let folder = module_folder(&source.path);
        found.push((format!("{folder}/{name}.rs"), how));
        found.push((format!("{folder}/{name}/mod.rs"), how));
    }
    let beside = source
        .path
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    for line in source.text.lines() {
        let named = line
            .trim()
            .strip_prefix("#[path = \"")
            .and_then(|rest| rest.strip_suffix("\"]"));
        if let Some(path) = named {
            found.push((format!("{beside}/{path}"), Reach::Test));
        }
    }
    found
}

/// Where the children of the module in `path` lie.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.trim_end_matches(".rs");
    let is_bin_folder = ["bin", "tests", "benches", "examples"]
        .iter()
        .any(|f| folder.ends_with(f));
    if ["lib", "main", "mod", "build"].contains(&stem) || is_bin_folder {
        folder.to_owned()
    } else {
        format!("{folder}/{stem}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<SourceFile> {
        vec![
            SourceFile::new("a/src/lib.rs", "pub mod x;\n#[cfg(test)]\nmod helper;"),
            SourceFile::new("a/src/x.rs", "mod y;\nmod inline { fn z() {} }"),
            SourceFile::new("a/src/x/y.rs", ""),
            SourceFile::new("a/src/helper.rs", "fn h() {}"),
            SourceFile::new("a/src/lost.rs", "// mod nothing;"),
            SourceFile::new("a/tests/e2e.rs", "mod common;"),
            SourceFile::new("a/tests/common/mod.rs", ""),
        ]
    }

    #[test]
    fn a_file_without_a_mod_is_found() {
        let sources = sample();
        let reached = reach(&sources, &["a".to_owned()]);
        assert_eq!(unreached(&sources, &reached), ["a/src/lost.rs"]);
    }

    #[test]
    fn a_module_under_cfg_test_is_a_test() {
        let reached = reach(&sample(), &["a".to_owned()]);
        assert_eq!(reached["a/src/helper.rs"], Reach::Test);
        assert_eq!(reached["a/src/x/y.rs"], Reach::Production);
    }
}
