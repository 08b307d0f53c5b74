//! Text that may stand nowhere, each with what to write in its place.

use super::blank;
use super::source::{Finding, SourceFile, words};

const MACROS: [(&str, &str); 3] = [
    ("todo!", "write it, or leave it out and say so in the issue"),
    (
        "unimplemented!",
        "write it, or leave it out and say so in the issue",
    ),
    ("dbg!", "use tracing in a shell, an assertion in a test"),
];

/// Macros that mark unfinished work.
#[must_use]
pub fn macros(source: &SourceFile) -> Vec<Finding> {
    let found = MACROS.iter().flat_map(|(name, instead)| {
        words(&source.code, name).map(move |offset| (offset, format!("{name}: {instead}")))
    });
    found
        .map(|(offset, text)| source.finding(offset, text))
        .collect()
}

/// `matches!(…);` as a statement: it computes a truth and drops it.
#[must_use]
pub fn bare_matches(source: &SourceFile) -> Vec<Finding> {
    let is_statement = |offset: &usize| {
        let before = source.code[..*offset].trim_end();
        let (end, _) = blank::item_end(&source.code, *offset);
        let statement = source.code[..end].trim_end();
        let closes = statement
            .strip_suffix(';')
            .is_some_and(|s| s.trim_end().ends_with(')'));
        before.ends_with([';', '{', '}']) && closes && is_one_call(&source.code[*offset..end])
    };
    words(&source.code, "matches!")
        .filter(is_statement)
        .map(|offset| source.finding(offset, "asserts nothing: assert!(matches!(…))"))
        .collect()
}

/// Whether `statement` is `name!(…);` and nothing behind the closing parenthesis.
fn is_one_call(statement: &str) -> bool {
    let mut depth = 0_i32;
    for (offset, byte) in statement.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return statement[offset + 1..].trim() == ";";
                }
            }
            _ => {}
        }
    }
    false
}

/// Tests that expect a panic, and tests that are left out without a reason.
#[must_use]
pub fn weak_tests(source: &SourceFile) -> Vec<Finding> {
    let rules = [
        (
            "#[should_panic",
            "test the outcome; a panic is for a broken invariant",
        ),
        ("#[ignore]", "give the reason: #[ignore = \"…\"]"),
    ];
    let mut findings = Vec::new();
    for (attribute, instead) in rules {
        let found = source.code.match_indices(attribute);
        findings.extend(found.map(|(offset, _)| source.finding(offset, instead)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&SourceFile) -> Vec<Finding>, text: &str, findings: usize) {
        assert_eq!(
            rule(&SourceFile::new("a/src/b.rs", text)).len(),
            findings,
            "{text}"
        );
    }

    #[test]
    fn unfinished_work_is_found() {
        check(macros, "fn a() { todo!() }", 1);
        check(macros, "fn a() { unimplemented!(\"x\") }", 1);
        check(macros, "fn a() { dbg!(x) }", 1);
        check(macros, "fn a() { not_todo!() } // todo!", 0);
    }

    #[test]
    fn a_dropped_truth_is_found() {
        check(bare_matches, "fn a() { matches!(x, Some(_)); }", 1);
        check(
            bare_matches,
            "fn a() { b();\n matches!(\n x,\n Some(_)\n);\n }",
            1,
        );
        check(bare_matches, "fn a() { assert!(matches!(x, Some(_))); }", 0);
        check(bare_matches, "fn a() -> bool { matches!(x, Some(_)) }", 0);
        check(bare_matches, "fn a() { matches!(x, Some(_)).then(b); }", 0);
        check(bare_matches, "fn a() { let y = matches!(x, Some(_)); }", 0);
    }

    #[test]
    fn a_weak_test_is_found() {
        check(weak_tests, "#[test]\n#[should_panic]\nfn a() {}", 1);
        check(
            weak_tests,
            "#[test]\n#[should_panic(expected = \"x\")]\nfn a() {}",
            1,
        );
        check(weak_tests, "#[test]\n#[ignore]\nfn a() {}", 1);
        check(
            weak_tests,
            "#[test]\n#[ignore = \"needs a loop device\"]\nfn a() {}",
            0,
        );
    }
}
