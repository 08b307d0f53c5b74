//! Arrows between our crates, and the outside crates that each may name.

use super::source::{Finding, SourceFile, words};
use super::tree::Package;

/// Our crates that each folder may depend on. `tests` and `benches` may name all.
const ARROWS: [(&str, &[&str]); 8] = [
    ("domain", &[]),
    ("iso8583", &["domain"]),
    ("transaction", &["domain"]),
    ("router", &["domain"]),
    ("risk-inline", &["domain"]),
    ("persistence", &["domain"]),
    (
        "switch",
        &[
            "domain",
            "iso8583",
            "transaction",
            "router",
            "risk-inline",
            "persistence",
        ],
    ),
    ("loadgen", &["domain", "iso8583", "persistence"]),
];
/// Outside crates that a pure crate may depend on.
const PURE_OUTSIDE: [&str; 2] = ["thiserror", "hashbrown"];
/// Features of `persistence` that carry a runtime; loadgen must do without them.
const RUNTIME_FEATURES: [&str; 2] = ["journal", "applier"];
/// Crates that njia is fixed to: each does real work outside tests.
pub const FIXED: [&str; 10] = [
    "glommio",
    "rkyv",
    "crossbeam",
    "hdrhistogram",
    "io_uring",
    "rustls",
    "parking_lot",
    "mimalloc",
    "criterion",
    "tokio_postgres",
];

/// Arrows between our crates that are not in the table.
#[must_use]
pub fn arrows(package: &Package) -> Vec<Finding> {
    let Some((_, allowed)) = ARROWS.iter().find(|(folder, _)| *folder == package.folder) else {
        return Vec::new();
    };
    let is_ours = |name: &String| ARROWS.iter().any(|(folder, _)| folder == name);
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let named = sections
        .iter()
        .flat_map(|section| dependencies(package, section));
    named
        .filter(is_ours)
        .filter(|name| !allowed.contains(&name.as_str()))
        .map(|name| {
            finding(
                package,
                format!("no arrow to {name} is drawn in ARCHITECTURE.md"),
            )
        })
        .collect()
}

/// Outside crates in a pure crate.
#[must_use]
pub fn pure_outside(package: &Package, pure: &[&str]) -> Vec<Finding> {
    if !pure.contains(&package.folder.as_str()) {
        return Vec::new();
    }
    dependencies(package, "dependencies")
        .into_iter()
        .filter(|name| name != "domain" && !PURE_OUTSIDE.contains(&name.as_str()))
        .map(|name| finding(package, format!("a pure crate does without {name}")))
        .collect()
}

/// A runtime that comes to loadgen through `persistence`.
#[must_use]
pub fn reader_only(package: &Package) -> Vec<Finding> {
    if package.folder != "loadgen" {
        return Vec::new();
    }
    let features = package
        .manifest
        .get("dependencies")
        .and_then(|section| section.get("persistence"))
        .and_then(|persistence| persistence.get("features"))
        .and_then(toml::Value::as_array);
    let features = features
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_str);
    features
        .filter(|feature| RUNTIME_FEATURES.contains(feature))
        .map(|feature| {
            finding(
                package,
                format!("persistence's `{feature}` brings a runtime"),
            )
        })
        .collect()
}

/// Fixed crates that no production code names.
#[must_use]
pub fn unused_fixed(sources: &[SourceFile]) -> Vec<Finding> {
    let is_used = |name: &str| {
        sources.iter().any(|source| {
            let text = if name == "criterion" {
                &source.code
            } else {
                &source.production
            };
            !source.path.starts_with("tests/")
                && source.is_below(&["switch/", "persistence/", "loadgen/", "benches/"])
                && words(text, name).next().is_some()
        })
    };
    FIXED
        .iter()
        .filter(|name| !is_used(name))
        .map(|name| Finding {
            path: "Cargo.toml".to_owned(),
            line: 0,
            text: format!("{name} is fixed for njia, but nothing outside tests uses it"),
        })
        .collect()
}

/// Names in one section of a manifest.
#[must_use]
pub fn dependencies(package: &Package, section: &str) -> Vec<String> {
    let table = package
        .manifest
        .get(section)
        .and_then(toml::Value::as_table);
    table
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

fn finding(package: &Package, text: String) -> Finding {
    Finding {
        path: format!("{}/Cargo.toml", package.folder),
        line: 0,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &str, manifest: &str) -> Package {
        let manifest = manifest.parse().expect("the sample is TOML");
        Package {
            folder: folder.to_owned(),
            manifest,
        }
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_found() {
        let sideways = "[dependencies]\ndomain.workspace = true\nrouter.workspace = true";
        assert_eq!(arrows(&package("transaction", sideways)).len(), 1);
        assert_eq!(arrows(&package("switch", sideways)), []);
        assert_eq!(arrows(&package("tests", sideways)), []);
        let hidden = "[dev-dependencies]\nswitch.workspace = true";
        assert_eq!(arrows(&package("loadgen", hidden)).len(), 1);
    }

    #[test]
    fn an_outside_crate_in_a_pure_crate_is_found() {
        let manifest = "[dependencies]\nthiserror = \"2\"\nserde = \"1\"";
        assert_eq!(
            pure_outside(&package("router", manifest), &["router"]).len(),
            1
        );
        assert_eq!(pure_outside(&package("switch", manifest), &["router"]), []);
    }

    #[test]
    fn a_runtime_in_loadgen_is_found() {
        let manifest = "[dependencies]\npersistence = { path = \"x\", features = [\"applier\"] }";
        assert_eq!(reader_only(&package("loadgen", manifest)).len(), 1);
        assert_eq!(reader_only(&package("switch", manifest)), []);
    }

    #[test]
    fn a_fixed_crate_that_only_tests_use_is_found() {
        let all: String = FIXED
            .iter()
            .map(|name| format!("use {name}::x;\n"))
            .collect();
        let used = SourceFile::new("switch/src/a.rs", &all);
        assert_eq!(unused_fixed(std::slice::from_ref(&used)), []);
        let test = format!("#[cfg(test)]\nmod tests {{ {all} }}");
        let absent = unused_fixed(&[SourceFile::new("switch/src/a.rs", &test)]);
        assert_eq!(
            absent.len(),
            FIXED.len() - 1,
            "criterion may stand in a bench"
        );
    }
}
