//! The house rules, executed: reads every source file and manifest of the workspace.
//!
//! Each check is a function from sources to [`Finding`]s, so that a small bad sample can show
//! that it bites. `tests/tests/tidy.rs` runs every check over the real tree.

pub mod architecture;
pub mod banned;
pub mod blank;
pub mod faults;
pub mod headings;
pub mod length;
pub mod lexicon;
pub mod manifest;
pub mod modules;
pub mod places;
pub mod purity;
pub mod source;
pub mod tree;

pub use source::{Finding, SourceFile};
pub use tree::Tree;

/// Fails with one line per finding.
#[track_caller]
pub fn expect_none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} findings\n{}",
        lines.len(),
        lines.join("\n")
    );
}
