//! One source file in three readings, and what a check has to say about it.

use std::fmt;

use super::blank;

/// A Rust source file of the workspace.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Path below the root of the workspace, with `/`.
    pub path: String,
    /// As it stands on disk.
    pub text: String,
    /// `text` without comments and literals; same offsets.
    pub code: String,
    /// `code` without items that only tests build; empty for a file of tests.
    pub production: String,
}

impl SourceFile {
    /// Reads `text` in its three forms.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank::comments_and_literals(text);
        let production = if is_test_path(path) || code.contains("#![cfg(test)]") {
            String::new()
        } else {
            blank::test_items(&code)
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            production,
        }
    }

    /// The same file when only tests reach it.
    #[must_use]
    pub fn into_test(mut self) -> Self {
        self.production.clear();
        self
    }

    /// A finding at byte `offset`.
    #[must_use]
    pub fn finding(&self, offset: usize, text: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line: line_of(&self.text, offset),
            text: text.into(),
        }
    }

    /// Whether the file lies below one of `places`: a folder that ends in `/`, or a file.
    #[must_use]
    pub fn is_below(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            self.path == *place || (place.ends_with('/') && self.path.starts_with(place))
        })
    }
}

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// From 1; 0 where the finding is about the file as a whole.
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// Offsets at which `pattern` stands as a word of its own. Blanks in `pattern` match as given.
pub fn words<'a>(code: &'a str, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(pattern)
        .map(|(offset, _)| offset)
        .filter(move |&offset| {
            let before = code[..offset].chars().next_back();
            let after = code[offset + pattern.len()..].chars().next();
            let first = pattern.chars().next().is_some_and(is_word);
            let last = pattern.chars().next_back().is_some_and(is_word);
            !(first && before.is_some_and(is_word) || last && after.is_some_and(is_word))
        })
}

/// Line of `offset`, from 1.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
        + 1
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Files that hold tests by their name or folder.
fn is_test_path(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.trim_end_matches(".rs");
    ["test", "tests"].contains(&stem)
        || ["_test", "_tests", "_props"]
            .iter()
            .any(|end| stem.ends_with(end))
        || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_not_part_of_another() {
        let found: Vec<usize> = words("tokio tokio_x atokio tokio::", "tokio").collect();
        assert_eq!(found, [0, 21]);
        assert_eq!(words("std::time std::timer", "std::time").count(), 1);
    }

    #[test]
    fn a_file_of_tests_has_no_production_code() {
        for path in ["a/src/foo/tests.rs", "a/src/foo_props.rs", "a/tests/x.rs"] {
            assert!(
                SourceFile::new(path, "fn a() {}").production.is_empty(),
                "{path}"
            );
        }
        assert!(
            !SourceFile::new("a/src/latest.rs", "fn a() {}")
                .production
                .is_empty()
        );
    }

    #[test]
    fn a_finding_names_its_line() {
        let file = SourceFile::new("a/src/b.rs", "x\ny\nz");
        assert_eq!(file.finding(4, "no").to_string(), "a/src/b.rs:3: no");
    }

    #[test]
    fn a_place_is_a_folder_or_a_file() {
        let file = SourceFile::new("switch/src/control/admin.rs", "");
        assert!(file.is_below(&["switch/src/control/"]));
        assert!(!file.is_below(&["switch/src/control"]));
        assert!(file.is_below(&["switch/src/control/admin.rs"]));
    }
}
