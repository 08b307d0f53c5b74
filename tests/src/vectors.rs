//! The public vectors, which lie beside the repository: some may not be copied into it.

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

/// Where they are, for whoever has them.
pub const PUBLIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors");

/// Public messages that built-in dialects read without rows of their own.
pub const BUILT_IN: [(&str, &str); 12] = [
    ("iso87b-all-fields", "iso87-bcd"),
    ("bcd-0800-primary", "iso87-bcd"),
    ("bcd-0800-secondary-de60-de70", "iso87-bcd"),
    ("bcd-0200-odd-track2-pad-f", "iso87-bcd-f"),
    ("visa-0800-sign-on", "visa-like"),
    ("visa-style-0810-sign-on-reply", "visa-like"),
    ("post-de127-nested", "postilion-like"),
    ("tagged-subfields-de48-de60", "iso93-ascii"),
    ("ascii-0100-minimal", "iso87-ascii-hex"),
    ("ascii-0200-purchase", "iso87-ascii-hex"),
    ("ascii-0800-echo", "iso87-ascii-hex"),
    ("ascii-0800-binary-bitmap", "iso87-ascii"),
];

/// Those of some files; `None` where the folder is absent, which is told.
///
/// # Panics
/// When a file that should be there is not, or is no list.
#[must_use]
pub fn public(files: &[&str]) -> Option<Vec<Value>> {
    if !Path::new(PUBLIC).is_dir() {
        // Past the capture of the test harness: what is left out is to be seen.
        let told = format!("vectors: {files:?} of {PUBLIC} are absent; our own stand alone\n");
        std::io::stderr()
            .write_all(told.as_bytes())
            .expect("standard error is open");
        return None;
    }
    Some(files.iter().flat_map(|file| read(PUBLIC, file)).collect())
}

/// Those of one file.
///
/// # Panics
/// When it is not there, or is no list.
#[must_use]
pub fn read(folder: &str, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(Path::new(folder).join(file)).expect("it can be read");
    match serde_json::from_str(&text).expect("it is JSON") {
        Value::Array(vectors) => vectors,
        other => panic!("{file}: {other}"),
    }
}
