//! The pure crates name no clock, socket, thread, runtime, random source or logger.

use super::source::{Finding, SourceFile, words};

/// Crates whose production code is pure.
pub const PURE_CRATES: [&str; 5] = ["domain", "iso8583", "transaction", "router", "risk-inline"];
/// Modules of the shells that are pure as well.
const PURE_MODULES: [&str; 5] = [
    "persistence/src/record.rs",
    "persistence/src/batch.rs",
    "persistence/src/recovery.rs",
    "persistence/src/sink.rs",
    "switch/src/acquirer/json.rs",
];
const BANNED: [&str; 12] = [
    "std::time",
    "std::thread",
    "std::net",
    "std::process",
    "std::env",
    "tokio",
    "glommio",
    "tracing",
    "rand",
    "getrandom",
    "RandomState",
    "async fn",
];
/// What the head of a pure crate says; the compiler then does the rest.
const HEAD: [&str; 3] = ["#![no_std]", "#![forbid(unsafe_code)]", "missing_docs"];

/// Impure names in a pure crate or module.
#[must_use]
pub fn impure(source: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let in_crate = PURE_CRATES
        .iter()
        .any(|name| source.path.starts_with(&format!("{name}/src/")));
    if in_crate || source.is_below(&PURE_MODULES) {
        for name in BANNED {
            let found = words(&source.production, name);
            findings
                .extend(found.map(|offset| source.finding(offset, format!("{name} is impure"))));
        }
    }
    if in_crate {
        for name in ["std::", "extern crate std"] {
            let found = words(&source.production, name);
            let text = "std only under #[cfg(test)]";
            findings.extend(found.map(|offset| source.finding(offset, text)));
        }
    }
    findings
}

/// A pure crate whose `lib.rs` lacks one of the attributes that make it so.
#[must_use]
pub fn head(source: &SourceFile) -> Vec<Finding> {
    if !PURE_CRATES
        .iter()
        .any(|name| source.path == format!("{name}/src/lib.rs"))
    {
        return Vec::new();
    }
    let absent = HEAD
        .iter()
        .filter(|attribute| !source.code.contains(**attribute));
    absent
        .map(|attribute| source.finding(0, format!("the head lacks {attribute}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, findings: usize) {
        assert_eq!(
            impure(&SourceFile::new(path, text)).len(),
            findings,
            "{path}: {text}"
        );
    }

    #[test]
    fn an_impure_name_is_found() {
        check("router/src/a.rs", "use std::time::Instant;", 2);
        check("router/src/a.rs", "async fn a() {}", 1);
        check("router/src/a.rs", "tracing::info!()", 1);
        check(
            "router/src/a.rs",
            "let operand = brand(core::time::Duration::ZERO);",
            0,
        );
        check(
            "router/src/a.rs",
            "#[cfg(test)]\nmod tests { use std::time::Instant; }",
            0,
        );
        check("router/src/lib.rs", "extern crate std;", 1);
        check("router/src/lib.rs", "#[cfg(test)]\nextern crate std;", 0);
        check("persistence/src/batch.rs", "use std::thread;", 1);
        check("persistence/src/batch.rs", "use std::io;", 0);
        check("switch/src/shard.rs", "use std::thread;", 0);
    }

    #[test]
    fn a_head_without_its_attributes_is_found() {
        let full = "#![no_std]\n#![forbid(unsafe_code)]\n#![deny(missing_docs)]";
        assert_eq!(head(&SourceFile::new("router/src/lib.rs", full)), []);
        assert_eq!(
            head(&SourceFile::new("router/src/lib.rs", "#![no_std]")).len(),
            2
        );
    }
}
