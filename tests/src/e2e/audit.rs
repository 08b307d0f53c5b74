//! What a switch has written down of who was refused and what was done by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Build;

/// What turns the audit log on, by the key of all tests.
pub const AUDIT: &str = "[audit]\nkey = \"env:NJIA_TEST_KEY\"\n";

/// Event, who, object, result, reason and count.
pub type Line = [String; 6];

/// The file in a switch's folder of state.
#[must_use]
pub fn file(state: &Path) -> PathBuf {
    state.join("audit.jsonl")
}

/// Each line of the file so far.
///
/// # Panics
/// One is no JSON.
#[must_use]
pub fn lines(file: &Path) -> Vec<Line> {
    let text = fs::read_to_string(file).unwrap_or_default();
    // The last one may be on its way.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let fields = ["event", "who", "object", "result", "reason", "count"];
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("each line is an object");
        fields.map(|field| line[field].to_string().trim_matches('"').to_owned())
    };
    whole.lines().map(line).collect()
}

/// What `njia inspect audit --verify` says of files, and its exit code.
///
/// # Panics
/// It cannot be run.
#[must_use]
pub fn verified(config: &Path, key: &str, files: &[&Path]) -> (i32, String) {
    let output = Command::new(Build::Product.njia())
        .args(["inspect", "audit", "--verify", "-c"])
        .arg(config)
        .args(files)
        .env("NJIA_TEST_KEY", key)
        .output()
        .expect("njia can be run");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().expect("no signal ended it"), told)
}
