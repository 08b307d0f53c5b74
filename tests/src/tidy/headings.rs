//! Each `lib.rs` says what the crate promises, what it never contains, and where to begin.

use super::source::{Finding, SourceFile};

const HEADINGS: [&str; 3] = [
    "//! # Contract",
    "//! # Never contains",
    "//! # Entry points",
];

/// Headings that a `lib.rs` lacks or leaves empty.
#[must_use]
pub fn headings(source: &SourceFile) -> Vec<Finding> {
    if !source.path.ends_with("/src/lib.rs") {
        return Vec::new();
    }
    let absent = HEADINGS
        .iter()
        .filter(|heading| !has_text(&source.text, heading));
    absent
        .map(|heading| source.finding(0, format!("lacks `{heading}` with text")))
        .collect()
}

/// Files that do not begin with a module doc.
#[must_use]
pub fn module_doc(source: &SourceFile) -> Vec<Finding> {
    if source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![source.finding(0, "begins without a module doc (//!)")]
}

fn has_text(text: &str, heading: &str) -> bool {
    let mut lines = text
        .lines()
        .skip_while(|line| line.trim_end() != heading)
        .skip(1);
    lines
        .next()
        .is_some_and(|line| line.len() > "//! ".len() && !line.starts_with("//! #"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_heading_is_found() {
        let full = "//! A.\n//!\n//! # Contract\n//! B.\n//!\n//! # Never contains\n//! C.\n//!\n\
                    //! # Entry points\n//! D.\n";
        assert_eq!(headings(&SourceFile::new("a/src/lib.rs", full)), []);
        let empty = full.replace("//! C.\n", "");
        assert_eq!(headings(&SourceFile::new("a/src/lib.rs", &empty)).len(), 1);
        assert_eq!(
            headings(&SourceFile::new("a/src/lib.rs", "//! A.")).len(),
            3
        );
        assert_eq!(headings(&SourceFile::new("a/src/b.rs", "//! A.")), []);
    }

    #[test]
    fn a_file_without_a_doc_is_found() {
        assert_eq!(
            module_doc(&SourceFile::new("a/src/b.rs", "use x;\n//! A.")).len(),
            1
        );
        assert_eq!(
            module_doc(&SourceFile::new("a/src/b.rs", "//! A.\nuse x;")),
            []
        );
    }
}
